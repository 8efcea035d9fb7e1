//! One object of an instance, as the watches give it.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DynamicObject, TypeMeta};
use serde_json::Value;

use crate::api::marks;
use crate::template::content::hash;
use crate::template::kinds::KindInfo;
use crate::template::pipelines::slim;

/// One live object as it was last seen.
#[derive(Clone, Debug)]
pub struct Child {
    /// Its UID.
    pub uid: String,
    /// Hash of our own managed fields.
    pub applied_hash: String,
    /// The same as the last write of this process left it; empty if there was none.
    pub written_hash: String,
    /// Whether our field manager has written it, now or when it was seen before. Marks can be copied with the rest of an
    /// object, this cannot.
    pub managed: bool,
    /// Whether its deletion has begun.
    pub deleting: bool,
    /// What others manage of it beside its status, by which is told who has changed something. Mostly nobody does.
    others: Option<Arc<[ManagedFieldsEntry]>>,
    /// The object without managed fields.
    pub object: Arc<Value>,
    /// Its place in the history of the cluster.
    pub resource_version: u64,
}

impl Child {
    /// Takes `object` in. Managed fields are hashed and dropped, being most of a small object's size.
    pub fn of(mut object: DynamicObject) -> Self {
        let applied_hash = applied_hash(&object);
        let managed = is_managed(&object);
        let others = of_others(object.metadata.managed_fields.take());
        let resource_version = revision(&object);
        Self {
            managed,
            others,
            uid: object.metadata.uid.clone().unwrap_or_default(),
            applied_hash,
            written_hash: String::new(),
            deleting: object.metadata.deletion_timestamp.is_some(),
            resource_version,
            object: Arc::new(serde_json::to_value(object).unwrap_or_default()),
        }
    }

    /// Takes in a run of a pipeline, of which a status shows little and of which there are many.
    pub fn of_run(object: DynamicObject) -> Self {
        let mut child = Self::of(object);
        child.others = None;
        if let Some(run) = Arc::get_mut(&mut child.object) {
            slim(run);
        }
        child
    }

    /// As it is once it is known what was seen `before`.
    #[must_use]
    pub fn after(mut self, before: Option<&Self>) -> Self {
        self.remember(before);
        self
    }

    /// Takes over what was known of the same object `before` and does not stand on it.
    pub fn remember(&mut self, before: Option<&Self>) {
        let Some(before) = before.filter(|before| before.uid == self.uid) else {
            return;
        };
        self.managed |= before.managed;
        if self.written_hash.is_empty() {
            self.written_hash.clone_from(&before.written_hash);
        }
    }

    /// What others manage of it beside its status.
    pub fn others(&self) -> &[ManagedFieldsEntry] {
        self.others.as_deref().unwrap_or_default()
    }

    /// The UID of the instance that the label names.
    pub fn owner(&self) -> Option<&str> {
        self.object
            .get("metadata")?
            .get("labels")?
            .get(marks::INSTANCE_UID)?
            .as_str()
    }

    /// The value of the label or annotation `name`.
    pub fn mark(&self, name: &str) -> Option<&str> {
        let metadata = self.object.get("metadata")?;
        ["labels", "annotations"]
            .iter()
            .find_map(|place| metadata.get(place)?.get(name)?.as_str())
    }
}

/// The object's place in the history of the cluster. Kubernetes lets clients compare these since 1.35; it was so before.
fn revision(object: &DynamicObject) -> u64 {
    object
        .metadata
        .resource_version
        .as_deref()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// Whether our field manager has written `object`.
pub fn is_managed(object: &DynamicObject) -> bool {
    let mut entries = object.metadata.managed_fields.iter().flatten();
    entries.any(|entry| entry.manager.as_deref() == Some(marks::OBJECT_MANAGER))
}

/// What managers other than ours have, without what they have of the status; nothing where that is all.
fn of_others(managed: Option<Vec<ManagedFieldsEntry>>) -> Option<Arc<[ManagedFieldsEntry]>> {
    let mut entries = managed?;
    entries.retain_mut(|entry| {
        let ours = entry.manager.as_deref() == Some(marks::OBJECT_MANAGER);
        if ours || entry.subresource.as_deref() == Some("status") {
            return false;
        }
        let fields = entry.fields_v1.as_mut().and_then(|fields| fields.0.as_object_mut());
        fields.is_some_and(|fields| {
            // Where the status is no subresource, it is the largest part of it.
            fields.remove("f:status");
            !fields.is_empty()
        })
    });
    (!entries.is_empty()).then(|| entries.into())
}

/// The hash of what `object` says that our field manager has applied; empty if it has applied nothing.
fn applied_hash(object: &DynamicObject) -> String {
    object
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .find(|entry| {
            entry.manager.as_deref() == Some(marks::OBJECT_MANAGER)
                && entry.operation.as_deref() == Some("Apply")
                && entry.subresource.as_deref().unwrap_or_default().is_empty()
        })
        .and_then(|entry| entry.fields_v1.as_ref())
        .map(|fields| hash(&fields.0))
        .unwrap_or_default()
}

/// `object` with its kind on it: the objects of a list say theirs only for custom resources.
pub fn typed(mut object: DynamicObject, kind: &KindInfo) -> DynamicObject {
    object.types.get_or_insert_with(|| TypeMeta {
        api_version: kind.api_version(),
        kind: kind.kind.clone(),
    });
    object
}
