//! The inventory: every object that an instance owns. Pure.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use serde_json::{Value, json};

use super::decode::Instance;
use crate::api::instance::{DeletionPolicy, InventoryEntry, Mode};
use crate::api::marks;
use crate::controllers::trouble::describe;
use crate::runtime::clients::Account;
use crate::template::plan::PlannedObject;

/// What makes two entries the same object: group, kind, namespace and name. The API version is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    group: String,
    kind: String,
    namespace: String,
    name: String,
}

impl Identity {
    /// The identity of an entry.
    pub fn of(entry: &InventoryEntry) -> Self {
        Self {
            group: entry.group.clone(),
            kind: entry.kind.clone(),
            namespace: entry.namespace.clone(),
            name: entry.name.clone(),
        }
    }

    /// The identity of a planned object.
    pub fn planned(object: &PlannedObject) -> Self {
        Self {
            group: object.kind.group.clone(),
            kind: object.kind.kind.clone(),
            namespace: object.namespace.clone().unwrap_or_default(),
            name: object.name.clone(),
        }
    }
}

/// Whether an entry is a Namespace.
pub fn is_namespace(entry: &InventoryEntry) -> bool {
    entry.group.is_empty() && entry.kind == "Namespace"
}

/// The entry's object for people.
pub fn label(entry: &InventoryEntry) -> String {
    describe(&entry.kind, Some(&entry.namespace), &entry.name)
}

/// The union of what is owned and what is planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Union {
    /// An entry for each planned object, in the plan's order.
    pub planned: Vec<InventoryEntry>,
    /// Entries of objects that are planned no more, in their old order.
    pub obsolete: Vec<InventoryEntry>,
    /// Whether `planned` has objects that the old inventory does not know.
    pub grown: bool,
}

/// Brings the old inventory and the plan together. `claim` makes a new random mark.
pub fn unite(
    old: &[InventoryEntry],
    plan: &[PlannedObject],
    account: &Account,
    policy: DeletionPolicy,
    mut claim: impl FnMut() -> String,
) -> Union {
    let mut known: HashMap<Identity, &InventoryEntry> = old.iter().map(|entry| (Identity::of(entry), entry)).collect();
    let mut grown = false;
    let planned = plan
        .iter()
        .enumerate()
        .map(|(order, object)| {
            let before = known.remove(&Identity::planned(object));
            grown |= before.is_none();
            let kept = before.cloned().unwrap_or_else(|| InventoryEntry {
                claim: claim(),
                ..InventoryEntry::default()
            });
            // What is another's does not become ours by what the template says.
            let mode = if kept.mode == Mode::Patch {
                kept.mode
            } else {
                object.mode
            };
            InventoryEntry {
                group: object.kind.group.clone(),
                version: object.kind.version.clone(),
                kind: object.kind.kind.clone(),
                namespace: object.namespace.clone().unwrap_or_default(),
                name: object.name.clone(),
                resource: resource_label(object),
                mode,
                deletion_policy: deletion_policy(mode, object, policy),
                inherits_policy: mode != Mode::Patch && object.deletion_policy.is_none(),
                order: i64::try_from(order).unwrap_or(i64::MAX),
                account: account.to_string(),
                ..kept
            }
        })
        .collect();
    // In the old order; an object of the same UID that is in the plan under another entry is not obsolete.
    let obsolete = old
        .iter()
        .filter(|entry| known.contains_key(&Identity::of(entry)))
        .cloned()
        .collect();
    Union {
        planned,
        obsolete,
        grown,
    }
}

/// What becomes of an object that is kept as `mode` says, where the instance's own policy is `policy`.
fn deletion_policy(mode: Mode, object: &PlannedObject, policy: DeletionPolicy) -> DeletionPolicy {
    match mode {
        Mode::Patch => DeletionPolicy::Retain,
        Mode::Own | Mode::Once => object.deletion_policy.unwrap_or(policy),
    }
}

/// An entry of an object that was only patched, as it is once the object is the instance's own.
pub fn owned(entry: InventoryEntry, object: &PlannedObject, policy: DeletionPolicy) -> InventoryEntry {
    InventoryEntry {
        mode: object.mode,
        deletion_policy: deletion_policy(object.mode, object, policy),
        inherits_policy: object.deletion_policy.is_none(),
        ..entry
    }
}

/// The namespaces that go, with all that is in them. One that holds an object that is or was left to others stays; what was
/// only patched in it is not held by it.
pub fn doomed(entries: &[InventoryEntry]) -> HashSet<&str> {
    let holding: HashSet<&str> = entries
        .iter()
        .filter(|entry| entry.deletion_policy == DeletionPolicy::Retain && entry.mode != Mode::Patch)
        .map(|entry| entry.namespace.as_str())
        .collect();
    entries
        .iter()
        .filter(|entry| {
            is_namespace(entry)
                && entry.deletion_policy != DeletionPolicy::Retain
                && !entry.holds_retained
                && !holding.contains(entry.name.as_str())
        })
        .map(|entry| entry.name.as_str())
        .collect()
}

/// What becomes of an object that is taken down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is deleted.
    Deleted,
    /// It goes with its namespace, which is deleted.
    GoesWithNamespace,
    /// It stays, without our marks.
    Stays,
}

/// What becomes of `entry`, where the namespaces `doomed` go.
pub fn fate<S: BuildHasher>(entry: &InventoryEntry, doomed: &HashSet<&str, S>) -> Fate {
    if doomed.contains(entry.namespace.as_str()) {
        Fate::GoesWithNamespace
    } else if entry.deletion_policy == DeletionPolicy::Retain
        || (is_namespace(entry) && !doomed.contains(entry.name.as_str()))
    {
        Fate::Stays
    } else {
        Fate::Deleted
    }
}

/// Of what fell out of a plan: the namespaces that stay since other objects of the plan are in them, and what is to be taken
/// down. What is in the plan under another name is neither.
pub fn fallen_out(union: &Union) -> (Vec<InventoryEntry>, Vec<InventoryEntry>) {
    let planned = || union.planned.iter();
    let uids: HashSet<&str> = planned()
        .map(|entry| entry.uid.as_str())
        .filter(|uid| !uid.is_empty())
        .collect();
    let inhabited: HashSet<&str> = planned().map(|entry| entry.namespace.as_str()).collect();
    let fallen = union.obsolete.iter().filter(|entry| !uids.contains(entry.uid.as_str()));
    fallen
        .cloned()
        .partition(|entry| is_namespace(entry) && inhabited.contains(entry.name.as_str()))
}

/// The objects of `entries` that would be deleted, were they taken down, for people.
pub fn to_be_deleted(entries: &[InventoryEntry]) -> Vec<String> {
    let namespaces = doomed(entries);
    let goes = |entry: &&InventoryEntry| !entry.uid.is_empty() && fate(entry, &namespaces) != Fate::Stays;
    entries.iter().filter(goes).map(label).collect()
}

/// What is said of a namespace that fell out of the plan and is lived in.
pub fn lived_in(namespace: &InventoryEntry) -> String {
    format!(
        "Namespace {} fell out of the plan and is kept, since other objects of the plan are in it; take these out of the plan, too, or put it back",
        namespace.name
    )
}

/// By namespace: the objects in it that are not to go without a person's word.
pub fn asking(entries: &[InventoryEntry]) -> HashMap<&str, Vec<String>> {
    let mut asking: HashMap<&str, Vec<String>> = HashMap::new();
    for entry in entries
        .iter()
        .filter(|entry| entry.deletion_policy == DeletionPolicy::Confirm)
    {
        asking.entry(entry.namespace.as_str()).or_default().push(label(entry));
    }
    asking
}

/// Remembers on the entries of namespaces that an object in them was left to others.
pub fn hold_retained<S: BuildHasher>(entries: &mut [InventoryEntry], namespaces: &HashSet<String, S>) {
    for entry in entries {
        entry.holds_retained |= is_namespace(entry) && namespaces.contains(&entry.name);
    }
}

/// The entries as their policy is now: those that inherit it have the instance's.
pub fn under_policy(entries: Vec<InventoryEntry>, policy: DeletionPolicy) -> Vec<InventoryEntry> {
    let inherits = |entry: InventoryEntry| {
        if entry.inherits_policy {
            InventoryEntry {
                deletion_policy: policy,
                ..entry
            }
        } else {
            entry
        }
    };
    entries.into_iter().map(inherits).collect()
}

/// The most bytes that the status keeps of where an object comes from.
const LABEL_LIMIT: usize = 512;

/// `id`, or `id/key` where the resource has `each`.
pub fn resource_label(object: &PlannedObject) -> String {
    let label = match &object.each_key {
        Some(key) => format!("{}/{key}", object.resource),
        None => object.resource.clone(),
    };
    crate::api::conditions::bounded(&label, LABEL_LIMIT)
}

/// Puts our marks on a rendered object.
pub fn mark(mut object: Value, instance: &Instance, entry: &InventoryEntry) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(marks::INSTANCE_UID.to_owned(), json!(instance.uid));
        }
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(marks::INSTANCE.to_owned(), json!(instance.reference().to_string()));
            annotations.insert(marks::RESOURCE.to_owned(), json!(entry.resource));
            annotations.insert(marks::CLAIM.to_owned(), json!(entry.claim));
            if entry.mode == Mode::Patch {
                annotations.insert(marks::MODE.to_owned(), json!("Patch"));
            }
        }
    }
    object
}

/// How many digits of an intent's hash an object carries.
const INTENT_DIGITS: usize = 16;

/// What an object carries of its intent's hash.
pub fn intent_mark(intent_hash: &str) -> String {
    intent_hash.chars().take(INTENT_DIGITS).collect()
}

/// Puts the hash of what is asked for on the object itself, so that a status write that is lost afterwards, or a
/// crash before it, never lets what was applied and what is remembered get apart.
pub fn stamp(mut intent: Value, intent_hash: &str) -> Value {
    if let Some(annotations) = intent
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.insert(marks::INTENT.to_owned(), json!(intent_mark(intent_hash)));
    }
    intent
}

/// The body for a create that must find nothing: an apply that carries this resourceVersion makes an object
/// where there is none, and is a conflict where there is one.
pub fn for_create(mut intent: Value) -> Value {
    set_metadata(&mut intent, "resourceVersion", "1");
    intent
}

/// The body for an apply to exactly the object of `uid`.
pub fn for_update(mut intent: Value, uid: &str) -> Value {
    set_metadata(&mut intent, "uid", uid);
    intent
}

fn set_metadata(intent: &mut Value, field: &str, value: &str) {
    if let Some(metadata) = intent.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert(field.to_owned(), json!(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::instance::DriftPolicy;
    use crate::template::kinds::KindInfo;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn planned(kind: &str, namespace: &str, name: &str) -> PlannedObject {
        PlannedObject {
            resource: name.to_owned(),
            each_key: None,
            environment: None,
            kind: KindInfo {
                group: String::new(),
                version: "v1".into(),
                kind: kind.into(),
                plural: kind.to_lowercase(),
                namespaced: true,
            },
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
            mode: Mode::Own,
            deletion_policy: None,
            drift_policy: DriftPolicy::Repair,
            replace: false,
            depends_on: Vec::new(),
        }
    }

    fn plan(names: &BTreeSet<String>) -> Vec<PlannedObject> {
        names.iter().map(|name| planned("ConfigMap", "shop", name)).collect()
    }

    fn unite_names(old: &[InventoryEntry], names: &BTreeSet<String>) -> Union {
        let account = Account {
            namespace: "platform".into(),
            name: "golden-path".into(),
        };
        let mut next = 0;
        unite(old, &plan(names), &account, DeletionPolicy::Delete, || {
            next += 1;
            format!("claim-{next}")
        })
    }

    fn entry(kind: &str, namespace: &str, name: &str, deletion_policy: DeletionPolicy) -> InventoryEntry {
        InventoryEntry {
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
            deletion_policy,
            ..InventoryEntry::default()
        }
    }

    #[test]
    fn a_namespace_stays_with_what_is_left_in_it_and_asks_for_what_asks() {
        let mut entries = vec![
            entry("Namespace", "", "a", DeletionPolicy::Delete),
            entry("Namespace", "", "b", DeletionPolicy::Delete),
            entry("Namespace", "", "c", DeletionPolicy::Delete),
            entry("ConfigMap", "b", "kept", DeletionPolicy::Retain),
            entry("ConfigMap", "c", "precious", DeletionPolicy::Confirm),
        ];
        assert_eq!(doomed(&entries), HashSet::from(["a", "c"]));
        assert_eq!(
            asking(&entries),
            HashMap::from([("c", vec!["ConfigMap c/precious".to_owned()])])
        );
        // What was left in it keeps it, also when its own entry is gone.
        hold_retained(&mut entries, &HashSet::from(["b".to_owned()]));
        entries.remove(3);
        assert_eq!(doomed(&entries), HashSet::from(["a", "c"]));
    }

    #[test]
    fn the_instances_policy_holds_where_the_resource_has_none() {
        let inherits = InventoryEntry {
            inherits_policy: true,
            ..entry("Namespace", "", "a", DeletionPolicy::Delete)
        };
        let own = entry("Namespace", "", "b", DeletionPolicy::Delete);
        let now = under_policy(vec![inherits, own], DeletionPolicy::Retain);
        assert_eq!(now[0].deletion_policy, DeletionPolicy::Retain);
        assert_eq!(now[1].deletion_policy, DeletionPolicy::Delete);
    }

    #[test]
    fn what_is_patched_keeps_no_namespace_and_is_not_owned_by_what_a_template_says() {
        let patched = InventoryEntry {
            mode: Mode::Patch,
            ..entry("ServiceAccount", "a", "default", DeletionPolicy::Retain)
        };
        let entries = [entry("Namespace", "", "a", DeletionPolicy::Delete), patched.clone()];
        let doomed = doomed(&entries);
        assert_eq!(doomed, HashSet::from(["a"]));
        assert_eq!(fate(&patched, &doomed), Fate::GoesWithNamespace);
        assert_eq!(fate(&patched, &HashSet::new()), Fate::Stays);

        let account = Account {
            namespace: "platform".into(),
            name: "golden-path".into(),
        };
        let own = planned("ServiceAccount", "a", "default");
        let union = unite(
            &entries,
            std::slice::from_ref(&own),
            &account,
            DeletionPolicy::Delete,
            String::new,
        );
        let still = &union.planned[0];
        assert_eq!(
            (still.mode, still.deletion_policy),
            (Mode::Patch, DeletionPolicy::Retain)
        );
        assert_eq!(fate(still, &HashSet::new()), Fate::Stays);
        let taken = owned(still.clone(), &own, DeletionPolicy::Delete);
        assert_eq!(fate(&taken, &HashSet::new()), Fate::Deleted);
        assert!(taken.inherits_policy);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_in_twice(before in prop::collection::btree_set("[a-e]", 0..5), after in prop::collection::btree_set("[a-e]", 0..5)) {
            let first = unite_names(&[], &before);
            prop_assert_eq!(first.grown, !before.is_empty());
            let second = unite_names(&first.planned, &after);
            let all: BTreeSet<String> = second.planned.iter().chain(&second.obsolete).map(|entry| entry.name.clone()).collect();
            prop_assert_eq!(all.len(), second.planned.len() + second.obsolete.len());
            prop_assert_eq!(all, before.union(&after).cloned().collect::<BTreeSet<_>>());
            prop_assert_eq!(second.grown, !after.is_subset(&before));
            for entry in &second.planned {
                if let Some(kept) = first.planned.iter().find(|kept| kept.name == entry.name) {
                    prop_assert_eq!(&kept.claim, &entry.claim);
                }
            }
        }
    }
}
