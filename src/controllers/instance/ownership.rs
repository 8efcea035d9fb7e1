//! Whose an object is, by what stands on it. Pure.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::BuildHasher;

use kube::api::DynamicObject;

use super::access::describe_planned;
use super::decode::Instance;
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::catalog::refs;
use crate::controllers::trouble::Trouble;
use crate::template::plan::PlannedObject;

/// What is said of an object that is in the way.
const NOT_OURS: &str = "exists and is not ours";
/// The longest ref that is repeated from an object that is in the way: kind, namespace and name of 63 characters each.
const REF_LENGTH: usize = 3 * 63 + 2;
/// What is said of an object whose UID is in the inventory all the same.
pub const NEVER_WRITTEN: &str =
    "is in status.inventory, but Landfall has never written it, or nothing on it says so any more";

/// What is said of an object that an instance has patched and is now to own.
pub const PATCHED: &str = "was made by others and only patched so far (mode Patch); the template now wants to own it";

/// Whether a ref of an instance may hold this byte.
fn is_of_a_ref(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:/".contains(&byte)
}

/// How an object that is in the way stands to the instance.
pub fn stands(instance: &Instance, found: &DynamicObject) -> Cow<'static, str> {
    let label = label_of(found);
    let annotations = found.metadata.annotations.as_ref();
    let named = annotations.and_then(|all| all.get(marks::INSTANCE)) == Some(&instance.reference().to_string());
    if named && label.is_some_and(|uid| *uid != instance.uid) {
        let kind = instance.key.kind.word();
        return format!("bears the marks of another {kind} of this name, with another UID: that one was deleted without its objects, or the cluster was restored").into();
    }
    if named || label == Some(&instance.uid) {
        return "bears the marks of this instance, but status.inventory does not know it: the marks were copied, or the inventory was changed by hand".into();
    }
    // Anyone can write an annotation: only what is a full ref is repeated, and it is said as a claim.
    let named = |mark: &str| {
        annotations
            .and_then(|all| all.get(mark))
            .filter(|text| text.len() <= REF_LENGTH && text.bytes().all(is_of_a_ref))
            .and_then(|text| {
                refs::parse(text, None, "")
                    .ok()
                    .filter(|other| other.to_string() == *text)
            })
    };
    match (named(marks::INSTANCE), named(marks::ADOPT_BY)) {
        (Some(other), _) => format!("exists, is marked as an object of {other}, and is not ours").into(),
        (None, Some(other)) => format!("exists, is marked to be taken over by {other}, and is not ours").into(),
        (None, None) => NOT_OURS.into(),
    }
}

/// Whether `found`, which is not this instance's, may be handed over to it along with many others: it is not marked for another,
/// nor is it an object of one of the instances that live (by their UIDs; where they are not known, all do).
pub fn may_be_handed_over<S: BuildHasher>(
    instance: &Instance,
    found: &DynamicObject,
    living: Option<&HashSet<String, S>>,
) -> bool {
    let owner = label_of(found).filter(|uid| **uid != instance.uid);
    let free = owner.is_none_or(|uid| living.is_some_and(|living| !living.contains(uid)));
    let annotations = found.metadata.annotations.as_ref();
    let meant = annotations.and_then(|all| all.get(marks::ADOPT_BY));
    free && (meant.is_none() || is_handed_over(instance, found))
}

fn label_of(found: &DynamicObject) -> Option<&String> {
    found.metadata.labels.as_ref()?.get(marks::INSTANCE_UID)
}

/// Whether the marks on `found` are those of an instance of another name.
pub fn is_marked_by_another(instance: &Instance, found: &DynamicObject) -> bool {
    let annotations = found.metadata.annotations.as_ref();
    let named = annotations.and_then(|all| all.get(marks::INSTANCE));
    label_of(found).is_some_and(|uid| *uid != instance.uid) && named != Some(&instance.reference().to_string())
}

/// Whether whoever may annotate `found` has handed it to this instance, and to no other.
pub fn is_handed_over(instance: &Instance, found: &DynamicObject) -> bool {
    let annotations = found.metadata.annotations.as_ref();
    names(
        instance,
        annotations.and_then(|all| all.get(marks::ADOPT_BY)).map(String::as_str),
    )
}

/// Whether the mark for taking an object over names this instance.
pub fn names(instance: &Instance, adopt_by: Option<&str>) -> bool {
    adopt_by
        .and_then(|text| refs::parse(text, None, &instance.key.namespace).ok())
        .is_some_and(|to| to == instance.reference())
}

/// An object is in the way: what it is, and how it is handed over.
pub fn conflict(instance: &Instance, object: &PlannedObject, how: &str) -> Trouble {
    let place = object
        .namespace
        .as_ref()
        .map(|namespace| format!(" -n {namespace}"))
        .unwrap_or_default();
    Trouble::blocked(
        Reason::NameConflict,
        format!(
            "{} {how}; {}: kubectl annotate{place} {} {} {}={}",
            describe_planned(object),
            if how.starts_with("exists") || how.starts_with("was handed over") {
                format!("rename the {}, or hand it over", instance.key.kind.word())
            } else {
                format!("if it is this {}'s, say so", instance.key.kind.word())
            },
            if object.kind.kind == "Namespace" {
                "namespace".to_owned()
            } else {
                object.kind.resource()
            },
            object.name,
            marks::ADOPT_BY,
            instance.reference(),
        ),
    )
}
