//! An entity that may be provisioned, whatever its kind, decoded from what the watch gave.

use std::collections::BTreeMap;

use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::api::conditions;
use crate::api::instance::{InstanceStatus, InstanceTemplate};
use crate::api::reasons::Reason;
use crate::api::{API_VERSION, marks};
use crate::catalog::refs::EntityRef;
use crate::controllers::trouble::Trouble;
use crate::controllers::wakes::{Key, OwnKind};

/// A Component, a Resource or a System.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Which one.
    pub key: Key,
    /// Its UID.
    pub uid: String,
    /// Its spec's generation.
    pub generation: i64,
    /// Whether its deletion has begun.
    pub deleting: bool,
    /// Whether it carries our finalizer.
    pub finalized: bool,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The template that it names, if any.
    pub template: Option<InstanceTemplate>,
    /// `spec.owner`.
    pub owner: String,
    /// `spec.system`, of a Component or a Resource.
    pub system: Option<String>,
    /// Its status as last written.
    pub status: InstanceStatus,
    /// It as expressions see it: without status and managed fields.
    pub entity: Value,
}

impl Instance {
    /// Decodes `object`.
    ///
    /// # Errors
    /// The field that cannot be read. The CRD's schema keeps such objects out; one stored before, or with a loosened CRD, comes here.
    pub fn decode(key: &Key, object: &DynamicObject) -> Result<Self, Trouble> {
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        let metadata = &object.metadata;
        let annotations = metadata.annotations.clone().unwrap_or_default();
        Ok(Self {
            key: key.clone(),
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or(0),
            deleting: metadata.deletion_timestamp.is_some(),
            finalized: metadata
                .finalizers
                .iter()
                .flatten()
                .any(|name| name == marks::FINALIZER),
            template: field(&spec, "template")?,
            owner: field::<Option<String>>(&spec, "owner")?.unwrap_or_default(),
            system: match key.kind {
                OwnKind::Component | OwnKind::Resource => field(&spec, "system")?,
                _ => None,
            },
            status: object
                .data
                .get("status")
                .cloned()
                .and_then(|status| serde_json::from_value(status).ok())
                .unwrap_or_default(),
            entity: entity(key, object, &spec),
            annotations,
        })
    }

    /// Its ref.
    pub fn reference(&self) -> EntityRef {
        EntityRef::new(self.key.kind.word(), &self.key.namespace, &self.key.name)
    }

    /// Whether its stored status says that it is Ready.
    pub fn is_ready(&self) -> bool {
        self.status.observed_generation == self.generation
            && conditions::find(&self.status.conditions, conditions::READY).is_some_and(|ready| ready.status == "True")
    }
}

fn field<T: DeserializeOwned>(spec: &Value, name: &str) -> Result<T, Trouble> {
    let value = spec.get(name).cloned().unwrap_or(Value::Null);
    serde_json::from_value(value).map_err(|error| {
        Trouble::invalid(
            Reason::InvalidSpec,
            format!("spec.{name} cannot be read: {error}; correct it as `kubectl explain` says"),
        )
    })
}

/// The entity as expressions see it. The annotation that `kubectl apply` keeps holds the whole object again and is left out.
fn entity(key: &Key, object: &DynamicObject, spec: &Value) -> Value {
    let metadata = &object.metadata;
    let annotations: Map<String, Value> = metadata
        .annotations
        .iter()
        .flatten()
        .filter(|(name, _)| *name != "kubectl.kubernetes.io/last-applied-configuration")
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    json!({
        "apiVersion": API_VERSION,
        "kind": key.kind.kind(),
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "uid": metadata.uid,
            "labels": metadata.labels.clone().unwrap_or_default(),
            "annotations": annotations,
        },
        "spec": spec,
    })
}
