//! Defaults: what a schema puts in the place of what was not given.
//!
//! A default is applied where its field is missing and the map that would hold it is there, as the apiserver does
//! with a CRD's; a map that was not given is not made for the defaults inside it (it gets its own, e.g. `{}`).

use serde_json::Value;

use super::schema;

/// How often all pages are gone through: a default may make a condition true that brings another.
const ROUNDS: usize = 8;
/// The deepest nesting that is followed.
const MAX_DEPTH: usize = 64;

/// Applies every default of the pages to `value`.
pub(super) fn fill(value: &mut Value, pages: &[&Value]) {
    for _ in 0..ROUNDS {
        let mut changed = false;
        for page in pages {
            changed |= Filler { root: page }.fill(value, page, 0);
        }
        if !changed {
            return;
        }
    }
}

struct Filler<'s> {
    root: &'s Value,
}

impl Filler<'_> {
    /// Whether anything was added.
    fn fill(&self, value: &mut Value, schema: &Value, depth: usize) -> bool {
        if depth > MAX_DEPTH || !(value.is_object() || value.is_array()) {
            return false;
        }
        let depth = depth + 1;
        let mut changed = false;
        if let Some(target) = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| schema::target(self.root, reference))
        {
            changed |= self.fill(value, target, depth);
        }
        changed |= self.fields(value, schema, depth);
        changed |= self.items(value, schema, depth);
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            changed |= self.fill(value, part, depth);
        }
        changed |= self.conditions(value, schema, depth);
        changed
    }

    fn fields(&self, value: &mut Value, schema: &Value, depth: usize) -> bool {
        let Value::Object(map) = value else { return false };
        let mut changed = false;
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            if !map.contains_key(name)
                && let Some(default) = self.default_of(property)
            {
                map.insert(name.clone(), default.clone());
                changed = true;
            }
            if let Some(field) = map.get_mut(name) {
                changed |= self.fill(field, property, depth);
            }
        }
        if let Some(others @ Value::Object(_)) = schema.get("additionalProperties") {
            let declared = |name: &String| properties.is_some_and(|properties| properties.contains_key(name));
            for (_, field) in map.iter_mut().filter(|(name, _)| !declared(name)) {
                changed |= self.fill(field, others, depth);
            }
        }
        changed
    }

    fn default_of<'v>(&'v self, property: &'v Value) -> Option<&'v Value> {
        property.get("default").or_else(|| {
            let reference = property.get("$ref")?.as_str()?;
            schema::target(self.root, reference)?.get("default")
        })
    }

    fn items(&self, value: &mut Value, schema: &Value, depth: usize) -> bool {
        let Value::Array(items) = value else { return false };
        let mut changed = false;
        match schema.get("items") {
            Some(Value::Array(each)) => {
                for (item, schema) in items.iter_mut().zip(each) {
                    changed |= self.fill(item, schema, depth);
                }
            }
            Some(every) => {
                for item in items {
                    changed |= self.fill(item, every, depth);
                }
            }
            None => {}
        }
        changed
    }

    /// `if`/`then`/`else`, and `dependencies` with the `oneOf` that Backstage's forms have there.
    fn conditions(&self, value: &mut Value, schema: &Value, depth: usize) -> bool {
        let mut changed = false;
        if let Some(condition) = schema.get("if") {
            let branch = if self.holds(condition, value) { "then" } else { "else" };
            if let Some(branch) = schema.get(branch) {
                changed |= self.fill(value, branch, depth);
            }
        }
        for (name, dependency) in schema
            .get("dependencies")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if value.get(name).is_none() || !dependency.is_object() {
                continue;
            }
            changed |= self.fill(value, dependency, depth);
            let branches = dependency
                .get("oneOf")
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            // The branch is chosen by the field that the dependency hangs on; its other fields may still lack their defaults.
            let chosen = branches.iter().find(|branch| {
                branch
                    .pointer("/properties")
                    .and_then(|properties| properties.get(name))
                    .is_none_or(|property| value.get(name).is_some_and(|given| self.holds(property, given)))
            });
            if let Some(branch) = chosen {
                changed |= self.fill(value, branch, depth);
            }
        }
        changed
    }

    /// Whether `value` fits `condition`, which may refer to the definitions of the whole schema.
    fn holds(&self, condition: &Value, value: &Value) -> bool {
        let mut condition = condition.clone();
        if let Value::Object(map) = &mut condition {
            for name in ["definitions", "$defs"] {
                if let Some(definitions) = self.root.get(name) {
                    map.entry(name).or_insert_with(|| definitions.clone());
                }
            }
        }
        schema::validator(&condition).is_ok_and(|validator| validator.is_valid(value))
    }
}
