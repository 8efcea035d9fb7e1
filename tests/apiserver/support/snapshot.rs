//! The content of namespaces, so that two can be compared in which the same was done.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures::StreamExt;
use kube::Client;
use kube::api::ApiResource;
use kube::core::GroupVersionKind;
use serde_json::Value;

use super::picture::{kinds, list};

/// All that is in a namespace and in those whose names begin with its name, our own kinds and their status included. What
/// must differ from one namespace to another and from one time to another has a word in its place.
pub type Snapshot = BTreeMap<String, Value>;

/// What stands before the hash that a deletion is confirmed with.
const CONFIRM: &str = "landfall.dev/confirm-deletion=";

/// Fields that differ although the same was done.
const MASKED: [&str; 15] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "lastTransitionTime",
    "lastHandledReconcileAt",
    "completedAt",
    "at",
    "time",
    "claim",
    "intentHash",
    "landfall.dev/claim",
    "landfall.dev/instance-uid",
    "landfall.dev/intent",
    "landfall.dev/reconcile",
];

/// The present content of each of `homes`.
pub async fn snapshots(client: &Client, homes: &[String]) -> BTreeMap<String, Snapshot> {
    let ours = ["Component", "System", "Template"]
        .map(|kind| ApiResource::from_gvk(&GroupVersionKind::gvk("catalog.landfall.dev", "v1alpha1", kind)));
    let others = kinds(client).await.iter().map(|(resource, _)| resource.clone());
    let listed = futures::stream::iter(others.chain(ours))
        .map(|resource| async move { list(client, &resource, None).await })
        .buffer_unordered(8)
        .collect::<Vec<_>>()
        .await;
    let mut found: BTreeMap<String, Snapshot> = homes.iter().map(|home| (home.clone(), Snapshot::new())).collect();
    for (resource, object) in listed.into_iter().flatten() {
        let name = object.metadata.name.clone().unwrap_or_default();
        let place = object.metadata.namespace.clone().unwrap_or_else(|| name.clone());
        let Some(home) = homes
            .iter()
            .find(|home| place == **home || place.starts_with(&format!("{home}-")))
        else {
            continue;
        };
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let key = format!("{resource} {namespace}/{name}").replace(home.as_str(), "HOME");
        let mut value = serde_json::to_value(&object).unwrap();
        mask(&mut value, home);
        found.get_mut(home).unwrap().insert(key, value);
    }
    found
}

fn mask(value: &mut Value, home: &str) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                if MASKED.contains(&name.as_str()) && field.is_string() {
                    *field = Value::from("MASKED");
                } else {
                    mask(field, home);
                }
            }
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                mask(item, home);
            }
            // Who wrote first is not what was written.
            items.sort_by_key(|item| item.get("manager").map(ToString::to_string));
        }
        Value::String(text) => {
            *text = text.replace(home, "HOME");
            // It stands for the object's UID among others.
            let asked = text.find(CONFIRM).map(|at| at + CONFIRM.len());
            if let Some(from) = asked {
                text.truncate(from);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What differs, in words; empty where nothing does.
pub fn differences(expected: &Snapshot, found: &Snapshot) -> String {
    let mut text = String::new();
    for (name, object) in found {
        match expected.get(name) {
            None => writeln!(text, "more: {name}\n  {object}").unwrap(),
            Some(other) if other != object => {
                writeln!(text, "other: {name}\n  expected {other}\n  found    {object}").unwrap();
            }
            Some(_) => {}
        }
    }
    for name in expected.keys().filter(|name| !found.contains_key(*name)) {
        writeln!(text, "missing: {name}").unwrap();
    }
    text
}
