//! Moving: whether two instances agree that what the one has passes to the other, and what that is. Pure.
//!
//! The old instance carries the annotation `landfall.dev/hand-over-to`, and the new one `spec.template.takeOver`. Each names the
//! other, and neither does anything alone. Once both do, the old one says in `status.handOver` that it writes to nothing any more;
//! only then the new one puts its marks on what both list, and says in `status.takenOver` when that is done; only then the old one
//! goes on with what it has left.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::decode::Instance;
use super::inventory::{Identity, hold_retained, is_namespace, label, to_be_deleted, under_policy};
use super::leaving::bounded_list;
use crate::api::TakenOver;
use crate::api::conditions::{self, Verdict};
use crate::api::instance::{DeletionPolicy, InventoryEntry, Mode};
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::catalog::refs::{self, EntityRef};
use crate::controllers::children::Child;
use crate::controllers::surroundings::Surroundings;
use crate::controllers::trouble::Trouble;
use crate::controllers::wakes::{Key, OwnKind};
use crate::template::content::hash;
use crate::template::plan::PlannedObject;

/// The longest ref that is read.
const REF_LENGTH: usize = 253;

/// How an instance stands that may be about to hand over what it has.
pub enum Stand {
    /// It is not.
    Not,
    /// It is, and why it cannot.
    Waits(String),
    /// Both agree. This is the other.
    Agreed(Box<Instance>),
    /// It has, and the other is gone or does not agree any more.
    Finished,
}

/// From where an instance takes over what it makes too.
pub enum Source {
    /// From nowhere: it asks for nothing, or there is nothing left to take.
    Nothing,
    /// From one that has not agreed, or is not ready for it.
    Waits(Trouble),
    /// From one that agrees, and is about to say that it writes to nothing any more. That wakes whoever waits for it, and nobody is told.
    Soon(Trouble),
    /// From this one, which writes to nothing any more.
    From(Box<Instance>),
}

/// The ref by which the instance of `key` is named in a move: by its object's name.
pub fn reference(key: &Key) -> EntityRef {
    EntityRef::new(key.kind.word(), &key.namespace, &key.name)
}

/// The instance other than `own` that a text names.
fn named(text: &str, own: &Key) -> Result<Key, String> {
    if text.len() > REF_LENGTH || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            "it is not an entity ref; write kind:[namespace/]name, for example component:shop/orders".to_owned(),
        );
    }
    let found = refs::parse(text, None, &own.namespace).map_err(|error| error.to_string())?;
    let kinds = [OwnKind::Component, OwnKind::Resource, OwnKind::System];
    let kind = kinds
        .into_iter()
        .find(|kind| kind.word() == found.kind)
        .ok_or_else(|| {
            format!(
                "{found} is of kind {}, expected component, resource or system",
                found.kind
            )
        })?;
    let key = Key {
        kind,
        namespace: found.namespace,
        name: found.name,
    };
    if key == *own {
        return Err(format!("{} is this one itself", reference(own)));
    }
    Ok(key)
}

/// The instance to which `old` is to hand over, if its annotation names one.
pub fn hands_over_to(old: &Instance) -> Option<Result<Key, String>> {
    let text = old.annotations.get(marks::HAND_OVER_TO)?;
    Some(named(text, &old.key))
}

/// The instance from which `new` is to take over, if its spec names one.
pub fn takes_over_from(new: &Instance) -> Option<Result<Key, String>> {
    let asked = new.template.as_ref()?.take_over.as_ref()?;
    Some(named(&asked.reference, &new.key))
}

/// The other instances that a move of this one depends on.
pub fn others(instance: &Instance) -> impl Iterator<Item = EntityRef> {
    let others = [hands_over_to(instance), takes_over_from(instance)];
    others.into_iter().flatten().flatten().map(|key| reference(&key))
}

fn is_suspended(instance: &Instance) -> bool {
    instance.template.as_ref().is_some_and(|template| template.suspend)
}

/// How `old` stands.
pub fn stand(world: &dyn Surroundings, old: &Instance) -> Stand {
    let to = match hands_over_to(old) {
        None => return Stand::Not,
        Some(Err(why)) => {
            return Stand::Waits(format!(
                "the annotation {} names no instance: {why}",
                marks::HAND_OVER_TO
            ));
        }
        Some(Ok(to)) => to,
    };
    match partner(world, old, &to) {
        Ok(new) => Stand::Agreed(new),
        Err(why) => match &old.status.hand_over {
            Some(done) if done.finished && done.reference == reference(&to).to_string() => Stand::Finished,
            _ => Stand::Waits(why),
        },
    }
}

/// The instance of `to`, if it agrees to take over from `old`; else why not.
fn partner(world: &dyn Surroundings, old: &Instance, to: &Key) -> Result<Box<Instance>, String> {
    let name = reference(to);
    let object = world.entity(to).ok_or_else(|| format!("{name} does not exist"))?;
    let new = Instance::decode(to, &object).map_err(|trouble| format!("{name} cannot be read: {}", trouble.message))?;
    if new.deleting {
        return Err(format!("{name} is being deleted"));
    }
    if !matches!(takes_over_from(&new), Some(Ok(from)) if from == old.key) {
        return Err(format!(
            "{name} does not ask for it; set spec.template.takeOver: {{ref: \"{}\"}} on it",
            reference(&old.key)
        ));
    }
    if hands_over_to(&new).is_some() {
        return Err(format!(
            "{name} is to hand over itself, by its annotation {}",
            marks::HAND_OVER_TO
        ));
    }
    if new.is_released() {
        return Err(format!("{name} is let go itself, by its annotation {}", marks::RELEASE));
    }
    if is_suspended(&new) {
        return Err(format!("{name} is suspended"));
    }
    if is_suspended(old) {
        return Err("this one is suspended, so that nothing that it has may be changed".to_owned());
    }
    Ok(Box::new(new))
}

/// From where `new` takes over.
pub fn source(world: &dyn Surroundings, new: &Instance) -> Source {
    let from = match takes_over_from(new) {
        Some(_) if is_suspended(new) => return Source::Nothing,
        None => return Source::Nothing,
        Some(Err(why)) => {
            let message = format!("spec.template.takeOver.ref: {why}");
            return Source::Waits(Trouble::invalid(Reason::InvalidSpec, message));
        }
        Some(Ok(from)) => from,
    };
    let name = reference(&from);
    let waits = |why: String, remedy: &str| {
        let message =
            format!("spec.template.takeOver.ref: {why}; until then nothing passes, and nothing is made{remedy}");
        Source::Waits(Trouble::waiting(Reason::WaitingForHandOver, message))
    };
    let Some(object) = world.entity(&from) else {
        return Source::Nothing;
    };
    // Whoever writes the old one, or another of its name later, has no say any more over what has passed.
    let taken = new.status.taken_over.as_ref();
    let was_done = taken.is_some_and(|done| done.reference == name.to_string());
    let old = match Instance::decode(&from, &object) {
        Ok(old) => old,
        Err(_) if was_done => return Source::Nothing,
        Err(trouble) => return waits(format!("{name} cannot be read: {}", trouble.message), ""),
    };
    let is_done = taken.is_some_and(|done| done.uid == old.uid);
    let is_over = old.deleting || old.template.is_none() || old.is_released();
    if old.status.inventory.is_empty() && (is_done || is_over) {
        return Source::Nothing;
    }
    if !matches!(hands_over_to(&old), Some(Ok(to)) if to == new.key) {
        if was_done {
            return Source::Nothing;
        }
        let remedy = format!(
            "; take spec.template.takeOver out, or agree to it there: kubectl annotate -n {} --overwrite {} {} {}={}",
            from.namespace,
            from.kind.full_name(),
            from.name,
            marks::HAND_OVER_TO,
            reference(&new.key)
        );
        return waits(format!("{name} does not hand over to this one"), &remedy);
    }
    if is_suspended(&old) {
        if was_done {
            return Source::Nothing;
        }
        let why = format!("{name} is suspended, so that nothing that it has may be changed");
        return waits(why, "");
    }
    match &old.status.hand_over {
        Some(given) if given.uid == new.uid => Source::From(Box::new(old)),
        _ if was_done => Source::Nothing,
        _ if old.is_released() => waits(format!("{name} is let go, by its annotation {}", marks::RELEASE), ""),
        _ if hands_over_to(new).is_some() => waits(
            "this one is to hand over itself".to_owned(),
            &format!(
                "; take either spec.template.takeOver or the annotation {} off",
                marks::HAND_OVER_TO
            ),
        ),
        _ => {
            let message = format!("waiting for {name} to leave alone what it has");
            Source::Soon(Trouble::waiting(Reason::WaitingForHandOver, message))
        }
    }
}

/// The instance from which `new` asks to take over, if it exists, whether it agrees or not.
pub fn asked(world: &dyn Surroundings, new: &Instance) -> Option<Instance> {
    let from = takes_over_from(new)?.ok()?;
    Instance::decode(&from, &*world.entity(&from)?).ok()
}

/// What is still the other's, from which `new` takes over or has taken over, in a namespace that has passed: it would go with it.
pub fn theirs_in(world: &dyn Surroundings, new: &Instance, namespace: &str) -> Vec<String> {
    let taken = || named(&new.status.taken_over.as_ref()?.reference, &new.key).ok();
    let Some(from) = takes_over_from(new).and_then(Result::ok).or_else(taken) else {
        return Vec::new();
    };
    let old = world.entity(&from);
    let Some(old) = old.and_then(|object| Instance::decode(&from, &object).ok()) else {
        return Vec::new();
    };
    let own: HashMap<Identity, &InventoryEntry> = listed(new);
    let is_ours = |entry: &InventoryEntry| {
        own.get(&Identity::of(entry))
            .is_some_and(|ours| !ours.uid.is_empty() && ours.uid == entry.uid)
    };
    let entries = old.status.inventory.iter();
    let inside = entries.filter(|entry| entry.namespace == namespace && entry.mode != Mode::Patch && !is_ours(entry));
    inside
        .map(|entry| format!("{} of {}", label(entry), reference(&from)))
        .collect()
}

/// What `new` starts with, before it has anything: the template's version that `old` is at, so that nothing but the owner changes. A
/// rollout has not moved it there.
pub fn inherit(new: &mut Instance, old: &Instance) {
    if new.status.template.is_some() {
        return;
    }
    new.status.template.clone_from(&old.status.template);
    if let Some(at) = &mut new.status.template {
        at.moved = None;
        for environment in &mut at.environments {
            environment.moved = None;
        }
    }
}

/// Whether what `old` has as `entry` can become what the plan of another has as `object`: what is only patched stays so.
pub fn can_pass(entry: &InventoryEntry, object: &PlannedObject) -> bool {
    (entry.mode == Mode::Patch) == (object.mode == Mode::Patch)
}

/// The entries of `old` by their objects.
pub fn listed(old: &Instance) -> HashMap<Identity, &InventoryEntry> {
    let entries = old.status.inventory.iter();
    entries.map(|entry| (Identity::of(entry), entry)).collect()
}

/// What an entry of `old` knows of its object beside what the new instance's template says of it.
pub fn carry(entries: &mut [InventoryEntry], old: &Instance) {
    let theirs = listed(old);
    let planned: HashSet<Identity> = entries.iter().map(Identity::of).collect();
    let policy = old.template.as_ref().and_then(|template| template.deletion_policy);
    // What stays with the other, and is never to be deleted there.
    let retained: HashSet<String> = under_policy(old.status.inventory.clone(), policy.unwrap_or_default())
        .into_iter()
        .filter(|entry| entry.deletion_policy == DeletionPolicy::Retain && entry.mode != Mode::Patch)
        .filter(|entry| !planned.contains(&Identity::of(entry)))
        .map(|entry| entry.namespace)
        .collect();
    for entry in entries {
        let before = theirs.get(&Identity::of(entry));
        entry.holds_retained |= before.is_some_and(|before| before.holds_retained)
            || (is_namespace(entry) && retained.contains(&entry.name));
    }
}

/// What the status says of having taken over, where all has passed that `from` has of the plan; what it said before, where nothing
/// is taken any more.
pub fn taken_over(new: &Instance, from: Option<&Instance>) -> Option<TakenOver> {
    if let Some(old) = from {
        return Some(TakenOver {
            reference: old.reference().to_string(),
            uid: old.uid.clone(),
        });
    }
    let asked = takes_over_from(new)?.ok()?;
    let before = new.status.taken_over.clone();
    before.filter(|taken| taken.reference == reference(&asked).to_string())
}

/// Whether `child` is the object of an entry of `old`: the inventory and the object's own marks must agree, and it must have been
/// written by us.
pub fn is_of(old: &Instance, entry: &InventoryEntry, child: &Child) -> bool {
    let label = child.mark(marks::INSTANCE_UID);
    let named = child.mark(marks::INSTANCE) == Some(&old.reference().to_string());
    let claimed = child.mark(marks::CLAIM) == Some(&entry.claim);
    if entry.uid.is_empty() {
        // It was announced, and the answer to its creation has not been written down.
        return child.managed && label == Some(&old.uid) && claimed;
    }
    child.managed && child.uid == entry.uid && (label == Some(&old.uid) || (label.is_none() && named && claimed))
}

/// What is left of the entries `old` without those that `new` lists with the same UID. A namespace in which something has passed is
/// never to be deleted with it.
pub fn left(old: &[InventoryEntry], new: &[InventoryEntry]) -> Vec<InventoryEntry> {
    let theirs: HashMap<Identity, &InventoryEntry> = new.iter().map(|entry| (Identity::of(entry), entry)).collect();
    let has_passed = |entry: &&InventoryEntry| {
        let taken = theirs.get(&Identity::of(entry));
        taken.is_some_and(|taken| {
            let same = if entry.uid.is_empty() {
                !taken.uid.is_empty()
            } else {
                taken.uid == entry.uid
            };
            same && (taken.mode == Mode::Patch) == (entry.mode == Mode::Patch)
        })
    };
    let (passed, left): (Vec<&InventoryEntry>, Vec<&InventoryEntry>) = old.iter().partition(has_passed);
    let owned = passed.into_iter().filter(|entry| entry.mode != Mode::Patch);
    let inhabited: HashSet<String> = owned.map(|entry| entry.namespace.clone()).collect();
    let mut left: Vec<InventoryEntry> = left.into_iter().cloned().collect();
    hold_retained(&mut left, &inhabited);
    left
}

/// What `old` would have left once all that `planned` has too has passed.
pub fn would_be_left(old: &Instance, planned: &[PlannedObject]) -> Vec<InventoryEntry> {
    let planned: HashMap<Identity, &PlannedObject> = planned
        .iter()
        .map(|object| (Identity::planned(object), object))
        .collect();
    let passes = |entry: &&InventoryEntry| {
        let object = planned.get(&Identity::of(entry));
        object.is_some_and(|object| can_pass(entry, object))
    };
    let taken = old.status.inventory.iter().filter(passes).cloned().map(supposed);
    let taken: Vec<InventoryEntry> = taken.collect();
    left(&old.status.inventory, &taken)
}

/// An entry of an object that may be there, though it is not known to be.
fn supposed(entry: InventoryEntry) -> InventoryEntry {
    let uid = if entry.uid.is_empty() {
        "?".to_owned()
    } else {
        entry.uid
    };
    InventoryEntry { uid, ..entry }
}

/// What is left of an instance that has handed over, and is to be deleted with it, as long as nobody has agreed to that.
pub fn unconfirmed(old: &Instance) -> Option<Trouble> {
    let to = old.status.hand_over.as_ref()?;
    let going = going(old);
    let confirmation: String = hash(&json!([old.uid, to.uid])).chars().take(10).collect();
    if going.is_empty() || old.has_confirmed(&confirmation) {
        return None;
    }
    let annotate = annotate(old);
    Some(Trouble::blocked(
        Reason::DeletionNotConfirmed,
        format!(
            "{} has not taken over what its template does not make, which is to be deleted: {}; let go of it with the annotation {}=yes, or confirm its deletion: {annotate} --overwrite {}={confirmation}",
            to.reference,
            bounded_list(&going),
            marks::RELEASE,
            marks::CONFIRM_DELETION,
        ),
    ))
}

/// What is left of it that would be deleted with it, for people.
pub fn going(old: &Instance) -> Vec<String> {
    let mut left = old.status.inventory.clone();
    if let Some(template) = &old.template {
        left = under_policy(left, template.deletion_policy.unwrap_or_default());
    }
    let left: Vec<InventoryEntry> = left.into_iter().map(supposed).collect();
    to_be_deleted(&left)
}

/// The begin of the command that annotates an instance.
fn annotate(instance: &Instance) -> String {
    let key = &instance.key;
    format!(
        "kubectl annotate -n {} {} {}",
        key.namespace,
        key.kind.full_name(),
        key.name
    )
}

/// How a person ends the wait of an instance that is to go and hands over first.
pub fn way_out(old: &Instance) -> String {
    let annotate = annotate(old);
    format!(
        "to end the wait, let go of all that it has with the annotation {}=yes, or have it deleted as its policies say: {annotate} {}-",
        marks::RELEASE,
        marks::HAND_OVER_TO
    )
}

/// What is said of an instance as long as a move of it has not come to its end.
pub fn verdict(world: &dyn Surroundings, instance: &Instance, finished: bool) -> Option<Verdict> {
    let to = || match hands_over_to(instance) {
        Some(Ok(to)) => reference(&to).to_string(),
        _ => "another".to_owned(),
    };
    let told = |reason: Reason, message: String| Some(Verdict::yes(conditions::MOVING, reason, message));
    match stand(world, instance) {
        Stand::Not => {}
        Stand::Waits(why) => {
            return told(
                Reason::WaitingForTakeOver,
                format!("to be handed over to {}: {why}", to()),
            );
        }
        Stand::Agreed(_) if !finished => {
            return told(Reason::HandingOver, format!("handing over to {}", to()));
        }
        Stand::Agreed(_) | Stand::Finished => {
            return told(Reason::HandedOver, format!("handed over to {}", to()));
        }
    }
    match source(world, instance) {
        Source::Waits(trouble) => told(trouble.reason, trouble.message),
        Source::Nothing | Source::Soon(_) | Source::From(_) => None,
    }
}

/// What is said to whoever asks for a move that is not agreed on, or of which something is left behind.
pub fn warnings(world: &dyn Surroundings, new: &Instance, planned: &[PlannedObject]) -> Vec<String> {
    let mut said = Vec::new();
    let Some(old) = asked(world, new) else { return said };
    if let Source::Waits(trouble) = source(world, new) {
        said.push(trouble.message);
    }
    let left = would_be_left(&old, planned);
    if !left.is_empty() {
        let names: Vec<String> = left.iter().map(label).collect();
        said.push(format!(
            "spec.template.takeOver.ref: not in this one's plan, so that it stays with {}: {}; it is deleted with that one only once that is confirmed",
            old.reference(),
            bounded_list(&names)
        ));
    }
    said
}
