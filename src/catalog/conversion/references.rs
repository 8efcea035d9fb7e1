//! An entity that goes to another namespace than its descriptor says: its refs go on meaning what they meant.

use serde_json::Value;

use super::reference;
use super::schema::{self, Home};
use crate::api::rules::RefField;
use crate::catalog::refs::{self, EntityRef};

/// Where entities go.
pub struct Placing<'a> {
    /// The namespace that they all go to.
    pub namespace: &'a str,
    /// Whether an entity, as its descriptor names it, is among those that go there.
    pub comes_along: &'a dyn Fn(&EntityRef) -> bool,
}

/// Puts `resource` into a namespace, with every ref of it written in full: an entity that comes along is meant in its new
/// place, every other one where it was. A kind that has no resource of its own keeps the refs that it has as they are
/// written, since nobody knows which they are: then the answer is false.
pub fn place(resource: &mut Value, placing: &Placing<'_>) -> bool {
    let Some(own) = reference(resource) else { return true };
    let kind = resource.get("kind").and_then(Value::as_str).and_then(schema::kind);
    let moves = own.namespace != placing.namespace;
    if let Some(metadata) = resource.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), Value::from(placing.namespace));
    }
    let written = if kind.is_some() {
        "/spec/extensions/metadata"
    } else {
        "/spec/metadata"
    };
    if let Some(Value::Object(metadata)) = resource.pointer_mut(written)
        && moves
    {
        metadata.remove("namespace");
    }
    tidy(resource);
    let Some(kind) = kind else { return !moves };
    let Some(spec) = resource.get_mut("spec").and_then(Value::as_object_mut) else {
        return true;
    };
    for (field, value) in spec {
        if let Some((Home::Spec | Home::Ours, schema)) = kind.fields.get(field) {
            each_ref(schema, value, &mut |text, field| {
                in_full(text, field, &own.namespace, placing)
            });
        }
    }
    true
}

/// Takes out the extensions that hold nothing any more.
fn tidy(resource: &mut Value) {
    let empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
    if let Some(extensions) = resource.pointer_mut("/spec/extensions").and_then(Value::as_object_mut) {
        extensions.retain(|_, value| !empty(value));
    }
    if let Some(spec) = resource.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|key, value| !(matches!(key.as_str(), "extensions" | "metadata") && empty(value)));
    }
}

/// The ref that means from `placing.namespace` what `text` meant from `namespace`; none where there is nothing to change.
fn in_full(text: &str, field: RefField, namespace: &str, placing: &Placing<'_>) -> Option<String> {
    let default = field.kinds.first().copied().filter(|_| field.default_kind);
    // What is no ref is left to whoever checks refs; here it could only be made worse.
    let meant = refs::parse(text, default, namespace).ok()?;
    let to = if (placing.comes_along)(&meant) {
        placing.namespace
    } else {
        &meant.namespace
    };
    // The name, and the kind where it is given, keep their spelling.
    let (kind, rest) = match text.split_once(':') {
        Some((kind, rest)) if !kind.contains('/') => (kind, rest),
        _ => (meant.kind.as_str(), text),
    };
    let name = rest.rsplit_once('/').map_or(rest, |(_, name)| name);
    Some(format!("{kind}:{to}/{name}"))
}

/// Calls `change` on every ref in a value of this schema.
fn each_ref(schema: &Value, value: &mut Value, change: &mut dyn FnMut(&str, RefField) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(changed) = schema::ref_field(schema).and_then(|field| change(text, field)) {
                *text = changed;
            }
        }
        Value::Array(items) => {
            if let Some(of_items) = schema.get("items") {
                for item in items {
                    each_ref(of_items, item, change);
                }
            }
        }
        Value::Object(fields) if !schema::keeps_all(schema) => {
            for (name, field) in fields {
                if let Some(schema) = schema
                    .pointer("/properties")
                    .and_then(|properties| properties.get(name))
                {
                    each_ref(schema, field, change);
                }
            }
        }
        _ => {}
    }
}
