//! What a schema says about the fields of a value, so that a path below a parameter can be checked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::schema::{parts, target};
use super::{Page, Schema};

/// The most schemas that are followed side by side; past it, nothing is known of a value.
const MAX_FORMS: usize = 256;
/// Keywords that may declare fields beside `properties`, and are not followed.
const ELSEWHERE: [&str; 9] = [
    "anyOf",
    "oneOf",
    "allOf",
    "if",
    "then",
    "else",
    "dependencies",
    "dependentSchemas",
    "patternProperties",
];

/// One step below a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key<'k> {
    /// A field.
    Name(&'k str),
    /// Any field, or any item of a list.
    Any,
}

/// What is known of a value: it has one of these forms. Without any, nothing is known of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape<'s> {
    forms: Vec<Form<'s>>,
}

/// A schema, and the page that it stands in.
#[derive(Clone, Copy, Debug)]
struct Form<'s> {
    root: &'s Value,
    schema: &'s Value,
}

/// What one form says of a step.
enum Below<'s> {
    /// Nothing: whatever is there may be there.
    Open,
    /// The value there has one of these schemas.
    Forms(Vec<&'s Value>),
    /// It cannot be there; these names can.
    Missing(Vec<&'s str>),
}

impl Schema {
    /// Every declared parameter, and what is known of its value.
    pub(crate) fn shapes(&self) -> BTreeMap<&str, Shape<'_>> {
        let mut forms: BTreeMap<&str, Vec<Form<'_>>> = BTreeMap::new();
        for Page { schema: root, .. } in &self.pages {
            let mut found = Vec::new();
            parts(root, root, 0, &mut found);
            let declared = found.into_iter().filter_map(|part| part.get("properties")?.as_object());
            for (name, schema) in declared.flatten() {
                forms.entry(name).or_default().push(Form { root, schema });
            }
        }
        forms
            .into_iter()
            .map(|(name, forms)| (name, Shape::of(forms)))
            .collect()
    }
}

impl<'s> Shape<'s> {
    fn of(forms: Vec<Form<'s>>) -> Self {
        if forms.len() > MAX_FORMS {
            return Self::default();
        }
        Self { forms }
    }

    /// What is known of the value one step below.
    ///
    /// # Errors
    /// When there is no such field: the names of those that there are.
    pub(crate) fn below(&self, key: Key<'_>) -> Result<Self, BTreeSet<&'s str>> {
        let mut forms = Vec::new();
        let mut known = BTreeSet::new();
        for form in &self.forms {
            match form.below(key) {
                Below::Open => return Ok(Self::default()),
                Below::Forms(found) => forms.extend(found.into_iter().map(|schema| Form {
                    root: form.root,
                    schema,
                })),
                Below::Missing(names) => known.extend(names),
            }
        }
        if forms.is_empty() && !known.is_empty() {
            Err(known)
        } else {
            Ok(Self::of(forms))
        }
    }
}

impl<'s> Form<'s> {
    /// The schema, with its `$ref` followed, beside which draft 7 ignores everything else.
    fn followed(self) -> Option<&'s Value> {
        let mut schema = self.schema;
        for _ in 0..16 {
            match schema.get("$ref") {
                None => return Some(schema),
                Some(reference) => schema = target(self.root, reference.as_str()?)?,
            }
        }
        None
    }

    fn below(self, key: Key<'_>) -> Below<'s> {
        let followed = self.followed();
        let closed = followed.filter(|schema| ELSEWHERE.iter().all(|keyword| schema.get(keyword).is_none()));
        match (closed, key) {
            (None, _) => Below::Open,
            (Some(schema), Key::Name(name)) => field(schema, name),
            (Some(schema), Key::Any) => any(schema),
        }
    }
}

/// Whether a schema allows values of this type, and whether it names the type.
fn allows(schema: &Value, name: &str) -> (bool, bool) {
    match schema.get("type") {
        Some(Value::String(only)) => (only == name, only == name),
        Some(Value::Array(names)) => {
            let among = names.iter().any(|other| other == name);
            (among, among)
        }
        _ => (true, false),
    }
}

fn field<'s>(schema: &'s Value, name: &str) -> Below<'s> {
    if !allows(schema, "object").0 {
        return Below::Open;
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    if let Some(found) = properties.and_then(|properties| properties.get(name)) {
        return Below::Forms(vec![found]);
    }
    match (schema.get("additionalProperties"), properties) {
        (Some(other @ Value::Object(_)), _) => Below::Forms(vec![other]),
        (None | Some(Value::Bool(false)), Some(properties)) if !properties.is_empty() => {
            // A text or a list has a length.
            let only_a_map = schema.get("type").and_then(Value::as_str) == Some("object");
            if name == "length" && !only_a_map {
                return Below::Open;
            }
            Below::Missing(properties.keys().map(String::as_str).collect())
        }
        _ => Below::Open,
    }
}

fn any(schema: &Value) -> Below<'_> {
    let mut found = Vec::new();
    let (list, surely_list) = allows(schema, "array");
    if list {
        match schema.get("items") {
            Some(items @ Value::Object(_)) => found.push(items),
            None if !surely_list => {}
            _ => return Below::Open,
        }
    }
    let (map, surely_map) = allows(schema, "object");
    if map {
        let properties = schema.get("properties").and_then(Value::as_object);
        found.extend(properties.into_iter().flat_map(serde_json::Map::values));
        match (schema.get("additionalProperties"), properties) {
            (Some(other @ Value::Object(_)), _) => found.push(other),
            (None | Some(Value::Bool(false)), Some(_)) => {}
            (None, None) if !surely_map => {}
            _ => return Below::Open,
        }
    }
    if found.is_empty() {
        Below::Open
    } else {
        Below::Forms(found)
    }
}
