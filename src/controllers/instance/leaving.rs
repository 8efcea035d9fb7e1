//! What is said of objects that are to be deleted, or are being deleted. Pure.

use serde_json::{Value, json};

use super::decode::Instance;
use super::inventory::label;
use crate::api::instance::{DeletionPolicy, InventoryEntry};
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::controllers::trouble::Trouble;
use crate::template::content::hash;

/// How many names of held objects a message lists.
const LISTED: usize = 5;

/// What a person has to confirm, where one has to and has not: the deletion of what asks for it, and of a namespace that
/// holds something that does. `held` is what the object of `uid` holds.
pub fn unconfirmed(instance: &Instance, entry: &InventoryEntry, uid: &str, held: &[String]) -> Option<Trouble> {
    if entry.deletion_policy != DeletionPolicy::Confirm && held.is_empty() {
        return None;
    }
    let confirmation: String = hash(&json!([uid, held])).chars().take(10).collect();
    if instance.has_confirmed(&confirmation) {
        return None;
    }
    let holds = if held.is_empty() {
        String::new()
    } else {
        format!(" and holds {}", bounded_list(held))
    };
    Some(Trouble::blocked(
        Reason::DeletionNotConfirmed,
        format!(
            "{} is to be deleted{holds}; confirm it: kubectl annotate -n {} --overwrite {} {} {}={confirmation}",
            label(entry),
            instance.key.namespace,
            instance.key.kind.full_name(),
            instance.key.name,
            marks::CONFIRM_DELETION,
        ),
    ))
}

/// What is still in the way of an object whose deletion has begun, in the apiserver's words.
pub fn awaited(entry: &InventoryEntry, object: &Value) -> Trouble {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let remaining: Vec<String> = conditions
        .filter(|condition| {
            let text = |name: &str| condition.get(name).and_then(Value::as_str).unwrap_or_default();
            text("status") == "True"
                && matches!(
                    text("type"),
                    "NamespaceFinalizersRemaining"
                        | "NamespaceDeletionDiscoveryFailure"
                        | "NamespaceDeletionContentFailure"
                )
        })
        .filter_map(|condition| condition.get("message").and_then(Value::as_str).map(str::to_owned))
        .collect();
    let foreign: Vec<String> = object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let mut message = format!("waiting for {} to be gone", label(entry));
    if !remaining.is_empty() {
        message = format!("{message}: {}", bounded_list(&remaining));
    } else if !foreign.is_empty() {
        message = format!("{message}: it has the finalizers {}", bounded_list(&foreign));
    }
    Trouble::waiting(Reason::WaitingForDeletion, message)
}

/// The first few of `items`, and how many are left out.
pub fn bounded_list(items: &[String]) -> String {
    let shown = items.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > LISTED {
        format!("{shown} and {} more", items.len() - LISTED)
    } else {
        shown
    }
}
