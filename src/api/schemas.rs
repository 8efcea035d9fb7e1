//! Schemas that a Rust type alone does not say: untyped values, refs, and bounded lists.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::rules::{self, RefField};

/// Takes the description off a type, whose fields have their own: kube would put the type's in their place.
pub fn without_description(schema: &mut Schema) {
    schema.remove("description");
}

/// The longest ref: three parts of 63 characters, with room for what is to come.
const REF_LENGTH: u64 = 253;

/// The longest ref that there can be: three parts of 63 characters, and what divides them.
const EXACT_REF_LENGTH: u64 = 191;

/// Any JSON value at all. Kubernetes keeps it as it is.
pub fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// Any JSON object. Kubernetes keeps it as it is.
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 256, "x-kubernetes-preserve-unknown-fields": true})
}

/// A list of any JSON objects.
pub fn any_objects(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 256, "x-kubernetes-list-type": "atomic",
        "items": {"type": "object", "maxProperties": 256, "x-kubernetes-preserve-unknown-fields": true}
    })
}

/// A ref to the owner of an entity.
pub fn owner(_: &mut SchemaGenerator) -> Schema {
    reference(rules::OWNER)
}

/// A ref to a system.
pub fn system(_: &mut SchemaGenerator) -> Schema {
    reference(rules::SYSTEM)
}

/// A ref to a domain.
pub fn domain(_: &mut SchemaGenerator) -> Schema {
    reference(rules::DOMAIN)
}

/// A ref to a component.
pub fn component(_: &mut SchemaGenerator) -> Schema {
    reference(rules::COMPONENT)
}

/// A ref to a template.
pub fn template(_: &mut SchemaGenerator) -> Schema {
    reference(rules::TEMPLATE)
}

/// A set of refs to APIs.
pub fn apis(_: &mut SchemaGenerator) -> Schema {
    references(rules::API)
}

/// A set of refs to entities of any kind, which each must name.
pub fn dependencies(_: &mut SchemaGenerator) -> Schema {
    references(rules::DEPENDENCY)
}

/// A ref to an instance, which must name its kind.
pub fn instance(_: &mut SchemaGenerator) -> Schema {
    reference(rules::INSTANCE)
}

/// A few refs that an entity had before.
pub fn aliases(_: &mut SchemaGenerator) -> Schema {
    texts("set", 16, EXACT_REF_LENGTH, &rules::reference(rules::ALIAS))
}

/// A ref to a group.
pub fn group(_: &mut SchemaGenerator) -> Schema {
    reference(rules::GROUP)
}

/// A set of refs to groups.
pub fn groups(_: &mut SchemaGenerator) -> Schema {
    references(rules::GROUP)
}

/// The members of a group: many more than anything else has of anything, and so the rules leave less room for each.
pub fn members(_: &mut SchemaGenerator) -> Schema {
    texts(
        "set",
        10_000,
        EXACT_REF_LENGTH,
        &rules::reference_of_many(rules::MEMBER),
    )
}

fn reference(field: RefField) -> Schema {
    let validations = rules::reference(field);
    json_schema!({"type": "string", "maxLength": REF_LENGTH, "x-kubernetes-validations": validations})
}

fn references(field: RefField) -> Schema {
    texts("set", 512, REF_LENGTH, &rules::reference(field))
}

/// A list of `items` strings of `length` at most; `list_type` is `set` where order has no meaning.
fn texts(list_type: &str, items: u64, length: u64, validations: &Value) -> Schema {
    json_schema!({
        "type": "array", "maxItems": items, "x-kubernetes-list-type": list_type,
        "items": {"type": "string", "maxLength": length, "x-kubernetes-validations": validations}
    })
}

/// The first few refs of a relation, in status.
pub fn sample_refs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 10, "x-kubernetes-list-type": "atomic",
        "items": {"type": "string", "maxLength": REF_LENGTH}
    })
}

/// Backstage's tags.
pub fn tags(_: &mut SchemaGenerator) -> Schema {
    texts("set", 64, 63, &rules::tag())
}

/// The targets of a location.
pub fn targets(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 512, "x-kubernetes-list-type": "atomic",
        "items": {"type": "string", "minLength": 1, "maxLength": 2048}
    })
}

/// The metadata of a Backstage descriptor, whole.
pub fn entity_metadata(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 256, "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"name": {
            "type": "string", "maxLength": 63, "description": "The entity's name.",
            "x-kubernetes-validations": rules::entity_name()
        }}
    })
}

/// A set of namespaces' names.
pub fn namespace_names(_: &mut SchemaGenerator) -> Schema {
    texts("set", 64, 63, &rules::namespace())
}

/// A set of resource ids, of this template or of an include.
pub fn resource_ids(_: &mut SchemaGenerator) -> Schema {
    texts("set", 64, 127, &rules::resource_id())
}

/// Environments' names, whose order has a meaning.
pub fn environment_names(_: &mut SchemaGenerator) -> Schema {
    texts("atomic", 64, 63, &rules::environment())
}

/// The values of a label selector's requirement.
pub fn label_values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 64, "x-kubernetes-list-type": "atomic",
        "items": {"type": "string", "maxLength": 63}
    })
}

/// Labels with the values that they must have.
pub fn label_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 63}
    })
}

/// A count or a percentage of a whole.
pub fn count_or_percentage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}], "maxLength": 8,
        "x-kubernetes-validations": rules::count_or_percentage()
    })
}
