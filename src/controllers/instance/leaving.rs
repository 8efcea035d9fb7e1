//! What is said of objects whose deletion has begun.

use serde_json::Value;

use super::inventory::label;
use crate::api::instance::InventoryEntry;
use crate::api::reasons::Reason;
use crate::controllers::trouble::Trouble;

/// How many names of held objects a message lists.
const LISTED: usize = 5;

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
