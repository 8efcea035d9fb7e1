//! Reading a published `OpenAPI` v3 document: which fields a kind has.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::template::kinds::FieldLookup;

/// How deep references between schemas are followed.
const DEPTH: usize = 64;

/// The schemas of one group version.
#[derive(Debug, Default)]
pub struct Schemas {
    components: Map<String, Value>,
    kinds: HashMap<String, String>,
}

impl Schemas {
    /// The schemas in an `OpenAPI` v3 `document` that belong to `group` and `version`.
    pub fn of(mut document: Value, group: &str, version: &str) -> Self {
        let components = match document.pointer_mut("/components/schemas").map(Value::take) {
            Some(Value::Object(components)) => components,
            _ => Map::new(),
        };
        let mut kinds = HashMap::new();
        for (name, schema) in &components {
            let named = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
            for kind in named.into_iter().flatten() {
                let text = |key: &str| kind.get(key).and_then(Value::as_str).unwrap_or_default();
                if text("group") == group && text("version") == version {
                    kinds.insert(text("kind").to_owned(), name.clone());
                }
            }
        }
        Self { components, kinds }
    }

    /// Whether `path` exists in `kind`, or may exist because the schema leaves room for it.
    pub fn field(&self, kind: &str, path: &[String]) -> FieldLookup {
        let Some(mut schema) = self.kinds.get(kind).and_then(|name| self.components.get(name)) else {
            return FieldLookup::Unknown;
        };
        for (depth, name) in path.iter().enumerate() {
            schema = match self.step(schema, name) {
                Step::Into(next) => next,
                Step::Open => return FieldLookup::Exists,
                Step::Closed(available) => {
                    return FieldLookup::Missing {
                        parent: path.get(..depth).unwrap_or_default().join("."),
                        available,
                    };
                }
            };
        }
        FieldLookup::Exists
    }

    /// Whether `kind` declares exactly `path`, not merely leaves room for it.
    pub fn declares(&self, kind: &str, path: &[&str]) -> bool {
        let mut schema = self.kinds.get(kind).and_then(|name| self.components.get(name));
        for name in path {
            schema = schema.and_then(|schema| match self.step(schema, name) {
                Step::Into(next) => Some(next),
                _ => None,
            });
        }
        schema.is_some()
    }

    fn step<'a>(&'a self, schema: &'a Value, name: &str) -> Step<'a> {
        let schema = self.resolve(schema, 0);
        if let Some(property) = schema
            .pointer("/properties")
            .and_then(|properties| properties.get(name))
        {
            return Step::Into(property);
        }
        if name == "*" && schema.get("items").is_some() {
            return schema.get("items").map_or(Step::Open, Step::Into);
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(false)) | None => {}
            Some(Value::Bool(true)) => return Step::Open,
            Some(additional) => return Step::Into(additional),
        }
        let keeps_unknown = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
        let properties = schema.get("properties").and_then(Value::as_object);
        match properties {
            Some(properties) if !keeps_unknown => Step::Closed(properties.keys().cloned().collect()),
            // An array's length, a string's parts: nothing in the schema speaks against it.
            _ => Step::Open,
        }
    }

    /// Follows `$ref`, also where it is wrapped in an `allOf` of one.
    fn resolve<'a>(&'a self, schema: &'a Value, depth: usize) -> &'a Value {
        let target = schema
            .get("$ref")
            .or_else(|| schema.pointer("/allOf/0/$ref"))
            .and_then(Value::as_str)
            .and_then(|reference| reference.strip_prefix("#/components/schemas/"))
            .and_then(|name| self.components.get(name));
        match target {
            Some(target) if depth < DEPTH => self.resolve(target, depth + 1),
            _ => schema,
        }
    }
}

enum Step<'a> {
    Into(&'a Value),
    Open,
    Closed(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schemas() -> Schemas {
        Schemas::of(
            json!({"components": {"schemas": {
                "db": {
                    "x-kubernetes-group-version-kind": [{"group": "db.example", "version": "v1", "kind": "Database"}],
                    "properties": {
                        "status": {"allOf": [{"$ref": "#/components/schemas/status"}]},
                        "data": {"type": "object", "additionalProperties": {"type": "string"}}
                    }
                },
                "status": {"type": "object", "properties": {
                    "host": {"type": "string"},
                    "conditions": {"type": "array", "items": {"type": "object", "properties": {"type": {}}}},
                    "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}
                }}
            }}}),
            "db.example",
            "v1",
        )
    }

    fn look(path: &str) -> FieldLookup {
        schemas().field("Database", &path.split('.').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn paths_are_followed_through_references_lists_and_maps() {
        assert_eq!(look("status.host"), FieldLookup::Exists);
        assert_eq!(look("status.conditions.*.type"), FieldLookup::Exists);
        assert_eq!(look("status.open.whatever.below"), FieldLookup::Exists);
        assert_eq!(look("data.any"), FieldLookup::Exists);
    }

    #[test]
    fn a_path_that_is_not_there_is_told_with_what_is() {
        let FieldLookup::Missing { parent, available } = look("status.hots") else {
            panic!("it is not there")
        };
        assert_eq!(parent, "status");
        assert!(available.contains(&"host".to_owned()));
        assert_eq!(schemas().field("Other", &[]), FieldLookup::Unknown);
    }

    #[test]
    fn declared_is_more_than_allowed() {
        assert!(schemas().declares("Database", &["status", "conditions"]));
        assert!(!schemas().declares("Database", &["status", "open", "conditions"]));
    }
}
