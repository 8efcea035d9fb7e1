//! An entity as a watch reads it. Managed fields are more than half of what the apiserver sends of a small object, and
//! nothing here reads those of our own kinds: they are passed over, not read and thrown away.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::Resource;
use kube::api::{ApiResource, DynamicObject, ObjectMeta, TypeMeta};
use kube::core::DynamicResourceScope;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// An entity of one of our kinds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrival {
    api_version: Option<String>,
    kind: Option<String>,
    #[serde(default, deserialize_with = "metadata")]
    metadata: ObjectMeta,
    spec: Option<Value>,
    status: Option<Value>,
}

impl Arrival {
    /// The same, as the rest of the controllers knows it.
    pub fn into_object(self) -> DynamicObject {
        let types = self
            .api_version
            .zip(self.kind)
            .map(|(api_version, kind)| TypeMeta { api_version, kind });
        let parts = [("spec", self.spec), ("status", self.status)];
        let data: Map<String, Value> = parts
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect();
        DynamicObject {
            types,
            metadata: self.metadata,
            data: Value::Object(data),
        }
    }
}

impl Resource for Arrival {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What metadata has beside managed fields. A field that is missing here is lost: a test holds it to what is defined.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    generate_name: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    name: Option<String>,
    namespace: Option<String>,
    owner_references: Option<Vec<OwnerReference>>,
    resource_version: Option<String>,
    self_link: Option<String>,
    uid: Option<String>,
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let read = Metadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        annotations: read.annotations,
        creation_timestamp: read.creation_timestamp,
        deletion_grace_period_seconds: read.deletion_grace_period_seconds,
        deletion_timestamp: read.deletion_timestamp,
        finalizers: read.finalizers,
        generate_name: read.generate_name,
        generation: read.generation,
        labels: read.labels,
        managed_fields: None,
        name: read.name,
        namespace: read.namespace,
        owner_references: read.owner_references,
        resource_version: read.resource_version,
        self_link: read.self_link,
        uid: read.uid,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_but_the_managed_fields_comes_through() {
        let mut object = json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
            "metadata": {
                "annotations": {"a": "b"}, "creationTimestamp": "2026-01-02T03:04:05Z", "deletionGracePeriodSeconds": 0,
                "deletionTimestamp": "2026-01-02T03:04:06Z", "finalizers": ["catalog.landfall.dev/provisioned"],
                "generateName": "orders-", "generation": 3, "labels": {"c": "d"}, "name": "orders", "namespace": "shop",
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u", "controller": true}],
                "resourceVersion": "17", "selfLink": "/x", "uid": "c59599df-4546-474f-9aac-ad330516a0b7",
                "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": {"type": "service", "owner": null}, "status": {"observedGeneration": 3},
        });
        let arrival: Arrival = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(arrival.meta().name.as_deref(), Some("orders"));
        object["metadata"].as_object_mut().unwrap().remove("managedFields");
        assert_eq!(serde_json::to_value(arrival.into_object()).unwrap(), object);
    }

    #[test]
    fn what_is_not_there_stays_so() {
        let object = json!({"metadata": {"name": "orders"}});
        let arrival: Arrival = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(serde_json::to_value(arrival.into_object()).unwrap(), object);
    }
}
