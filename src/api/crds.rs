//! The CRDs as they are installed: what the types derive, finished where the derive has no word for it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::conditions::READY;
use super::reasons::Reason;
use super::{API, Component, Domain, Entity, Group, Location, Resource, System, Template, User};

pub mod published;
#[cfg(test)]
mod tests;

/// Every CRD, in the order of their names.
pub fn all() -> Vec<CustomResourceDefinition> {
    [
        API::crd(),
        Component::crd(),
        Domain::crd(),
        Entity::crd(),
        Group::crd(),
        Location::crd(),
        Resource::crd(),
        System::crd(),
        Template::crd(),
        User::crd(),
    ]
    .into_iter()
    .map(finish)
    .collect()
}

/// The file that holds a CRD in `crds/`. Example: `components.catalog.landfall.dev.yaml`.
pub fn file_name(crd: &CustomResourceDefinition) -> String {
    format!("{}.{}.yaml", crd.spec.names.plural, crd.spec.group)
}

/// CRDs as a stream of YAML documents that every reader, of YAML 1.1 too, takes for the same values.
///
/// # Errors
/// When a value has no form in YAML, which none of these has.
pub fn to_yaml(crds: &[CustomResourceDefinition]) -> Result<String, serde_saphyr::ser::Error> {
    // One value for all: through `Value` the keys are sorted, so that the text depends on the content alone.
    let documents: Vec<Value> = crds
        .iter()
        .map(|crd| serde_json::to_value(crd).unwrap_or_default())
        .collect();
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_multiple_with_options(&documents, options)
}

/// The status that the apiserver gives a new object: nothing is known yet. Whoever waits for `Ready` or reads
/// kstatus sees from the first moment that there is something to wait for.
fn status_default() -> Value {
    json!({
        "observedGeneration": -1,
        "conditions": [{
            "type": READY,
            "status": "Unknown",
            "reason": Reason::Pending.as_str(),
            "message": "Waiting for the controller",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }],
    })
}

/// What an entity's metadata may be beyond what Kubernetes says itself: a ref, and a label, hold a name of 63
/// characters and not of 253. The apiserver allows no description here, and gives its own.
fn metadata() -> JSONSchemaProps {
    let name = JSONSchemaProps {
        type_: Some("string".to_owned()),
        description: Some(
            "The entity's name, of at most 63 characters; a longer one for people goes to spec.title.".to_owned(),
        ),
        max_length: Some(63),
        ..JSONSchemaProps::default()
    };
    JSONSchemaProps {
        type_: Some("object".to_owned()),
        properties: Some([("name".to_owned(), name)].into()),
        ..JSONSchemaProps::default()
    }
}

fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(root) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        tidy(root);
        let properties = root.properties.get_or_insert_default();
        properties.insert("metadata".to_owned(), metadata());
        let Some(status) = properties.get_mut("status") else {
            continue;
        };
        // A status says what was seen: the apiserver may not put a value there that nobody saw.
        each(status, &mut |schema| schema.default = None);
        status.default = Some(JSON(status_default()));
        status.description = Some("What Landfall has seen and done; written by Landfall alone.".to_owned());
    }
    crd
}

/// Takes out what the derive says and an apiserver need not hear.
fn tidy(root: &mut JSONSchemaProps) {
    each(root, &mut |schema| {
        // An optional field is left out; a null that is given all the same is dropped by the apiserver.
        schema.nullable = None;
        schema.title = None;
        // The range of a Rust integer, in a format that Kubernetes does not know.
        if schema
            .format
            .as_deref()
            .is_some_and(|format| format.starts_with("uint"))
        {
            schema.format = None;
        }
    });
}

/// Calls `change` on `schema` and on every schema in it.
fn each(schema: &mut JSONSchemaProps, change: &mut dyn FnMut(&mut JSONSchemaProps)) {
    change(schema);
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        each(property, change);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => each(items, change),
        Some(JSONSchemaPropsOrArray::Schemas(schemas)) => schemas.iter_mut().for_each(|items| each(items, change)),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        each(values, change);
    }
}
