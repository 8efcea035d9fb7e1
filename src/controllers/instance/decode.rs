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
use crate::controllers::nesting;
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
    /// The field that cannot be read. The CRD's schema keeps such objects out; one stored before, by a newer version of Landfall, or
    /// with a loosened CRD, comes here. Of one that is being deleted only what its deletion needs must be readable.
    pub fn decode(key: &Key, object: &DynamicObject) -> Result<Self, Trouble> {
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        let metadata = &object.metadata;
        let annotations = metadata.annotations.clone().unwrap_or_default();
        let deleting = metadata.deletion_timestamp.is_some();
        if !deleting {
            nesting::check(&spec)?;
        }
        let text = |name: &str| match field::<Option<String>>(&spec, name) {
            Err(_) if deleting => Ok(None),
            found => found,
        };
        Ok(Self {
            key: key.clone(),
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or(0),
            deleting,
            finalized: metadata
                .finalizers
                .iter()
                .flatten()
                .any(|name| name == marks::FINALIZER),
            template: match field(&spec, "template") {
                Err(_) if deleting => Some(of_deletion(&spec)?),
                found => found?,
            },
            owner: text("owner")?.unwrap_or_default(),
            system: match key.kind {
                OwnKind::Component | OwnKind::Resource => text("system")?,
                _ => None,
            },
            status: status(object.data.get("status"))?,
            entity: entity(key, object, &spec),
            annotations,
        })
    }

    /// Its ref.
    pub fn reference(&self) -> EntityRef {
        EntityRef::new(self.key.kind.word(), &self.key.namespace, &self.key.name)
    }

    /// Whether it is to let go of all that it owns, deleting nothing.
    pub fn is_released(&self) -> bool {
        marks::says_release(&self.annotations)
    }

    /// Whether a person has confirmed a deletion with this word.
    pub fn has_confirmed(&self, confirmation: &str) -> bool {
        let given = self.annotations.get(marks::CONFIRM_DELETION);
        given.is_some_and(|given| given.split(',').any(|given| given.trim() == confirmation))
    }

    /// Whether its stored status says that it is Ready.
    pub fn is_ready(&self) -> bool {
        self.status.observed_generation == self.generation && self.was_ready()
    }

    /// Whether it was Ready when it was last looked at, which may have been before its spec was changed.
    pub fn was_ready(&self) -> bool {
        conditions::find(&self.status.conditions, conditions::READY).is_some_and(|ready| ready.status == "True")
    }
}

/// What a deletion needs to know of a template that cannot be read as a whole.
fn of_deletion(spec: &Value) -> Result<InstanceTemplate, Trouble> {
    let template = spec.get("template").cloned().unwrap_or_default();
    let named = |mut trouble: Trouble| {
        trouble.message = trouble.message.replacen("spec.", "spec.template.", 1);
        trouble
    };
    Ok(InstanceTemplate {
        deletion_policy: field(&template, "deletionPolicy").map_err(named)?,
        suspend: field::<Option<bool>>(&template, "suspend")
            .map_err(named)?
            .unwrap_or_default(),
        ..InstanceTemplate::default()
    })
}

/// The status. Everything in it but the inventory can be found out again; without the inventory nothing may be done, since
/// what is owned would be lost.
fn status(found: Option<&Value>) -> Result<InstanceStatus, Trouble> {
    let Some(found) = found else {
        return Ok(InstanceStatus::default());
    };
    if let Ok(status) = serde_json::from_value(found.clone()) {
        return Ok(status);
    }
    let part = |name: &str| found.get(name).cloned().unwrap_or_else(|| json!([]));
    let inventory = serde_json::from_value(part("inventory")).map_err(|error| {
        Trouble::invalid(
            Reason::InvalidStatus,
            format!(
                "status.inventory cannot be read: {error}; nothing is written or deleted, since what this instance owns is not known. Run the version of Landfall that wrote it, or correct it with kubectl edit --subresource=status; to let go of everything: annotate the instance with {}=yes and delete it",
                marks::RELEASE
            ),
        )
    })?;
    Ok(InstanceStatus {
        inventory,
        conditions: serde_json::from_value(part("conditions")).unwrap_or_default(),
        ..InstanceStatus::default()
    })
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
