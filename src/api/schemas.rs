//! Schemas that a Rust type alone does not say: untyped values, refs, and bounded lists.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Any JSON value at all. Kubernetes keeps it as it is.
pub fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// Any JSON object. Kubernetes keeps it as it is.
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A list of any JSON objects.
pub fn any_objects(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 256,
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}
    })
}

/// An entity ref: `[kind:][namespace/]name`.
pub fn entity_ref(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 253})
}

/// A list of entity refs.
pub fn entity_refs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 512, "items": {"type": "string", "minLength": 1, "maxLength": 253}})
}

/// The first few refs of a relation, in status.
pub fn sample_refs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 253}, "x-kubernetes-list-type": "atomic"})
}

/// Backstage's tags.
pub fn tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 64,
        "items": {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9:+#]+(-[a-z0-9:+#]+)*$"}
    })
}

/// A list of namespace names.
pub fn namespace_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 64,
        "items": {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
    })
}

/// A list of resource ids.
pub fn resource_ids(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 64, "items": {"type": "string", "minLength": 1, "maxLength": 127}})
}

/// A list of environment names.
pub fn environment_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 64, "items": {"type": "string", "minLength": 1, "maxLength": 63}})
}

/// A count or a percentage of a whole.
pub fn count_or_percentage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]})
}
