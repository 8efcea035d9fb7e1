//! Reading a published `OpenAPI` v3 document: which fields a kind has.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::template::kinds::FieldLookup;

/// How deep references between schemas are followed.
const DEPTH: usize = 64;

/// A published document, as far as it is read. What is not named here, descriptions and paths most of all, is passed
/// over when it arrives: a document has megabytes, of which this keeps little.
#[derive(Debug, Default, Deserialize)]
pub struct Document {
    #[serde(default)]
    components: Components,
}

#[derive(Debug, Default, Deserialize)]
struct Components {
    #[serde(default)]
    schemas: HashMap<Box<str>, Schema>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Schema {
    #[serde(rename = "$ref")]
    reference: Option<Box<str>>,
    #[serde(rename = "allOf")]
    all_of: Vec<Schema>,
    properties: Option<BTreeMap<Box<str>, Schema>>,
    items: Option<Box<Schema>>,
    #[serde(rename = "additionalProperties")]
    additional: Option<Additional>,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    keeps_unknown: bool,
    #[serde(rename = "x-kubernetes-group-version-kind")]
    kinds: Vec<GroupVersionKind>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Additional {
    Flag(bool),
    Of(Box<Schema>),
}

#[derive(Debug, Deserialize)]
struct GroupVersionKind {
    group: String,
    version: String,
    kind: String,
}

/// The schemas of one group version.
#[derive(Debug, Default)]
pub struct Schemas {
    components: HashMap<Box<str>, Schema>,
    kinds: HashMap<String, Box<str>>,
}

impl Schemas {
    /// The schemas in an `OpenAPI` v3 `document` that belong to `group` and `version`.
    pub fn of(document: Document, group: &str, version: &str) -> Self {
        let components = document.components.schemas;
        let mut kinds = HashMap::new();
        for (name, schema) in &components {
            let named = schema.kinds.iter();
            for kind in named.filter(|kind| kind.group == group && kind.version == version) {
                kinds.insert(kind.kind.clone(), name.clone());
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

    fn step<'a>(&'a self, schema: &'a Schema, name: &str) -> Step<'a> {
        let schema = self.resolve(schema, 0);
        if let Some(property) = schema.properties.as_ref().and_then(|properties| properties.get(name)) {
            return Step::Into(property);
        }
        if let Some(items) = schema.items.as_ref().filter(|_| name == "*") {
            return Step::Into(items);
        }
        match &schema.additional {
            Some(Additional::Flag(false)) | None => {}
            Some(Additional::Flag(true)) => return Step::Open,
            Some(Additional::Of(additional)) => return Step::Into(additional),
        }
        match &schema.properties {
            Some(properties) if !schema.keeps_unknown => {
                Step::Closed(properties.keys().map(ToString::to_string).collect())
            }
            // An array's length, a string's parts: nothing in the schema speaks against it.
            _ => Step::Open,
        }
    }

    /// Follows `$ref`, also where it is wrapped in an `allOf` of one.
    fn resolve<'a>(&'a self, schema: &'a Schema, depth: usize) -> &'a Schema {
        let wrapped = || schema.all_of.first()?.reference.as_ref();
        let target = schema
            .reference
            .as_ref()
            .or_else(wrapped)
            .and_then(|reference| reference.strip_prefix("#/components/schemas/"))
            .and_then(|name| self.components.get(name));
        match target {
            Some(target) if depth < DEPTH => self.resolve(target, depth + 1),
            _ => schema,
        }
    }
}

enum Step<'a> {
    Into(&'a Schema),
    Open,
    Closed(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schemas() -> Schemas {
        let document = json!({"components": {"schemas": {
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
        }}});
        Schemas::of(serde_json::from_value(document).unwrap(), "db.example", "v1")
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
