//! JSON Schemas of the CRDs, for editors and for checks without a cluster.
//!
//! `kubeconform` and the public catalogs of CRDs look for them as `{group}/{kind}_{version}.json`, with the kind in
//! lower case (the `-schema-location` of kubeconform's README).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use serde_json::{Map, Value, json};

/// The dialect that the schemas are written in.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// A JSON Schema, and the file that it is published in, such as `catalog.landfall.dev/component_v1alpha1.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// With `/`, from the directory of all schemas.
    pub path: String,
    /// The schema.
    pub schema: Value,
}

/// The schemas of every version of a CRD.
pub fn json_schemas(crd: &CustomResourceDefinition) -> Vec<Published> {
    let (group, kind) = (&crd.spec.group, &crd.spec.names.kind);
    let of_version = |version: &CustomResourceDefinitionVersion| {
        let root = version.schema.as_ref()?.open_api_v3_schema.as_ref()?;
        let mut schema = strict(&serde_json::to_value(root).ok()?);
        name(&mut schema, &format!("{group}/{}", version.name), kind);
        Some(Published {
            path: format!("{group}/{}_{}.json", kind.to_lowercase(), version.name),
            schema,
        })
    };
    crd.spec.versions.iter().filter_map(of_version).collect()
}

/// What every object has, and no CRD says of itself.
fn name(schema: &mut Value, api_version: &str, kind: &str) {
    let Some(root) = schema.as_object_mut() else {
        return;
    };
    root.insert("$schema".to_owned(), json!(DIALECT));
    if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("apiVersion".to_owned(), json!({"type": "string", "const": api_version}));
        properties.insert("kind".to_owned(), json!({"type": "string", "const": kind}));
        // Labels, annotations and the rest are Kubernetes' own.
        if let Some(metadata) = properties.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("additionalProperties");
        }
    }
    let mut required = vec![json!("apiVersion"), json!("kind"), json!("metadata")];
    required.extend(
        root.get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .cloned(),
    );
    root.insert("required".to_owned(), Value::Array(required));
}

/// A schema without what Kubernetes alone understands, in which a field that the apiserver would refuse or drop is one
/// that may not be there.
fn strict(schema: &Value) -> Value {
    let Some(schema) = schema.as_object() else {
        return schema.clone();
    };
    let says = |extension: &str| schema.get(extension) == Some(&Value::Bool(true));
    let mut plain = Map::new();
    for (keyword, value) in schema {
        let converted = match keyword.as_str() {
            "properties" => value.as_object().map_or(Value::Null, |properties| {
                Value::Object(
                    properties
                        .iter()
                        .map(|(name, value)| (name.clone(), strict(value)))
                        .collect(),
                )
            }),
            "items" | "additionalProperties" => strict(value),
            extension if extension.starts_with("x-kubernetes-") => continue,
            _ => value.clone(),
        };
        plain.insert(keyword.clone(), converted);
    }
    let closed = schema.contains_key("properties") && !schema.contains_key("additionalProperties");
    if closed && !says("x-kubernetes-preserve-unknown-fields") {
        plain.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if says("x-kubernetes-int-or-string") {
        plain.insert("type".to_owned(), json!(["integer", "string"]));
    }
    Value::Object(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_says_what_the_apiserver_would_refuse() {
        let all: Vec<Published> = super::super::all().iter().flat_map(json_schemas).collect();
        assert_eq!(all.len(), 10);
        let component = all
            .iter()
            .find(|published| published.path == "catalog.landfall.dev/component_v1alpha1.json")
            .unwrap();
        let validator = jsonschema::validator_for(&component.schema).unwrap();
        let object = |spec: Value| {
            json!({
                "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
                "metadata": {"name": "orders", "labels": {"a": "b"}}, "spec": spec,
            })
        };
        let whole = json!({"type": "service", "lifecycle": "production", "owner": "shop"});
        assert!(validator.is_valid(&object(whole.clone())));
        let mut misspelled = whole.clone();
        misspelled["lifecicle"] = json!("production");
        assert!(!validator.is_valid(&object(misspelled)));
        assert!(!validator.is_valid(&object(json!({"type": "service"}))));
        let mut other = object(whole);
        other["kind"] = json!("System");
        assert!(!validator.is_valid(&other));
        assert!(!component.schema.to_string().contains("x-kubernetes"));
    }

    #[test]
    fn what_may_hold_anything_stays_open() {
        let open = strict(
            &json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}}),
        );
        assert_eq!(open, json!({"type": "object", "properties": {"a": {"type": "string"}}}));
        let number =
            strict(&json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}));
        assert_eq!(number["type"], json!(["integer", "string"]));
    }
}
