//! Revisions: immutable snapshots of a template's content, as `ControllerRevision`s beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::runtime::reflector::Store;
use serde::{Deserialize, Serialize};

use crate::api::{API_VERSION, marks};
use crate::template::content::{Content, hash};

/// What a revision holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The template's name.
    pub template: String,
    /// The version.
    pub version: String,
    /// The content's digest.
    pub digest: String,
    /// The content.
    pub content: Content,
}

/// What `revision` holds; none if it is not one of ours.
pub fn decode(revision: &ControllerRevision) -> Option<Held> {
    serde_json::from_value(revision.data.0.clone()).ok()
}

/// The template that `revision` belongs to: namespace and name.
pub fn template_of(revision: &ControllerRevision) -> Option<(String, String)> {
    let name = revision.metadata.labels.as_ref()?.get(marks::TEMPLATE)?;
    Some((revision.metadata.namespace.clone()?, name.clone()))
}

/// Whether `revision` is one of the Template of `uid`, and not of an earlier one of its name.
pub fn owned_by(revision: &ControllerRevision, uid: &str) -> bool {
    revision
        .metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.uid == uid)
}

/// The revisions of a template, oldest first.
pub fn of_template(store: &Store<ControllerRevision>, namespace: &str, name: &str) -> Vec<Arc<ControllerRevision>> {
    let mut found = store.state_filter(|revision| {
        revision.metadata.namespace.as_deref() == Some(namespace)
            && revision
                .metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(marks::TEMPLATE))
                .is_some_and(|label| label == name)
            && revision.metadata.deletion_timestamp.is_none()
    });
    found.sort_by_key(|revision| revision.revision);
    found
}

/// The newest revision of a template for which `wanted` holds.
pub fn find(
    store: &Store<ControllerRevision>,
    namespace: &str,
    name: &str,
    wanted: &dyn Fn(&Held) -> bool,
) -> Option<Held> {
    let newest_first = of_template(store, namespace, name).into_iter().rev();
    newest_first
        .filter_map(|revision| decode(&revision))
        .find(|held| wanted(held))
}

/// The name of the revision that holds `held`: one content may have several versions, so both are in it.
pub fn name(held: &Held) -> String {
    let template = &held.template;
    let digest: String = hash(&serde_json::json!([held.version, held.digest]))
        .chars()
        .take(10)
        .collect();
    // A ControllerRevision's name may be 253 characters long, and a Template's as well.
    let template: String = template.chars().take(240).collect();
    format!("{template}-{digest}")
}

/// A new revision.
pub fn build(namespace: &str, template_uid: &str, held: &Held, revision: i64) -> ControllerRevision {
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(name(held)),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([(marks::TEMPLATE.to_owned(), held.template.clone())])),
            annotations: Some(BTreeMap::from([(marks::VERSION.to_owned(), held.version.clone())])),
            owner_references: Some(vec![OwnerReference {
                api_version: API_VERSION.to_owned(),
                kind: "Template".to_owned(),
                name: held.template.clone(),
                uid: template_uid.to_owned(),
                controller: Some(true),
                block_owner_deletion: None,
            }]),
            ..ObjectMeta::default()
        },
        data: RawExtension(serde_json::to_value(held).unwrap_or_default()),
        revision: Some(revision),
    }
}
