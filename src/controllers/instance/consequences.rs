//! What would become of what falls out of a plan, is let go, or is held up by something else. Pure.

use std::collections::{HashMap, HashSet};

use super::access::describe_planned;
use super::decode::Instance;
use super::inventory::{Fate, Union, asking, doomed, fallen_out, fate, is_namespace, lived_in};
use super::leaving::unconfirmed;
use super::preview::{Action, Preview};
use crate::api::instance::{InventoryEntry, Mode};
use crate::api::reasons::Reason;
use crate::template::plan::PlannedObject;

/// What becomes of an object that is left to itself.
const UNMARKED: &str = "it stays, without Landfall's marks";

/// Lets what a pass would not reach wait: what depends on an object that waits itself or would be refused. `previews` are those
/// of `objects`, in their order, in which each comes after what it depends on.
pub fn held_up(objects: &[PlannedObject], previews: &mut [Preview]) {
    for (place, object) in objects.iter().enumerate() {
        let awaited = object.depends_on.iter().find_map(|before| {
            let action = previews.get(*before)?.action;
            matches!(action, Action::Wait | Action::Deny).then(|| objects.get(*before))?
        });
        let (Some(awaited), Some(preview)) = (awaited, previews.get_mut(place)) else {
            continue;
        };
        if matches!(
            preview.action,
            Action::Create | Action::Change | Action::Replace | Action::Adopt
        ) {
            let message = format!("waiting for {} to be ready", describe_planned(awaited));
            *preview = Preview {
                changes: std::mem::take(&mut preview.changes),
                unchecked: preview.unchecked.take(),
                ..Preview::of(Action::Wait).saying(Reason::WaitingForDependency, message)
            };
        }
    }
}

/// What would become of all that an instance has, when it is let go.
pub fn let_go(instance: &Instance) -> Vec<(InventoryEntry, Preview)> {
    let entries = instance.status.inventory.iter().cloned();
    let kept = |entry| {
        let message = Some(UNMARKED.to_owned());
        (
            entry,
            Preview {
                message,
                ..Preview::of(Action::Keep)
            },
        )
    };
    entries.map(kept).collect()
}

/// What would become of all that fell out of a plan, the last made first. `claims` are the claims on volumes by namespace,
/// where they could be read.
pub fn removals<S: std::hash::BuildHasher>(
    instance: &Instance,
    union: &Union,
    claims: &HashMap<String, Result<Vec<String>, String>, S>,
) -> Vec<(InventoryEntry, Preview)> {
    let (inhabited, mut fallen) = fallen_out(union);
    let mut found: Vec<(InventoryEntry, Preview)> = inhabited
        .into_iter()
        .map(|entry| {
            let message = lived_in(&entry);
            (
                entry,
                Preview::of(Action::Keep).saying(Reason::NamespaceNotAllowed, message),
            )
        })
        .collect();
    fallen.sort_by_key(|entry| std::cmp::Reverse((!is_namespace(entry), entry.order)));
    let (doomed, asking) = (doomed(&fallen), asking(&fallen));
    let previews: Vec<Preview> = fallen
        .iter()
        .map(|entry| match fate(entry, &doomed) {
            Fate::GoesWithNamespace => Preview {
                message: Some(format!("with its namespace {}", entry.namespace)),
                ..Preview::of(Action::Remove)
            },
            Fate::Stays => Preview {
                message: Some(
                    if entry.mode == Mode::Patch {
                        "it stays, without the fields that were set on it"
                    } else {
                        UNMARKED
                    }
                    .to_owned(),
                ),
                ..Preview::of(Action::Keep)
            },
            Fate::Deleted => deletion(
                instance,
                entry,
                asking.get(entry.name.as_str()),
                claims.get(&entry.name),
            ),
        })
        .collect();
    found.extend(fallen.iter().cloned().zip(previews));
    found
}

fn deletion(
    instance: &Instance,
    entry: &InventoryEntry,
    asking: Option<&Vec<String>>,
    claims: Option<&Result<Vec<String>, String>>,
) -> Preview {
    let mut held = Vec::new();
    let mut unchecked = None;
    if is_namespace(entry) {
        held.extend(asking.into_iter().flatten().cloned());
        match claims {
            Some(Ok(claims)) => held.extend(claims.iter().cloned()),
            Some(Err(why)) => unchecked = Some(format!("whether it holds claims on volumes: {why}")),
            None => {}
        }
    }
    let preview = match unconfirmed(instance, entry, &entry.uid, &held) {
        Some(trouble) => Preview::of(Action::Wait).saying(trouble.reason, trouble.message),
        None => Preview::of(Action::Remove),
    };
    Preview { unchecked, ..preview }
}

/// The namespaces that would be deleted with all that is in them, of what fell out of a plan.
pub fn namespaces_to_go(union: &Union) -> HashSet<String> {
    let (_, fallen) = fallen_out(union);
    doomed(&fallen).into_iter().map(str::to_owned).collect()
}
