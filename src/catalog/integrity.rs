//! Whether what an entity names is there, and is what it should be: the condition `ReferencesResolved`.

use std::fmt::Write as _;
use std::hash::Hash;

use super::fields::{Alias, Written};
use super::index::{AliasState, Index};
use super::refs::{EntityRef, RefError};
use super::relations::Role;
use crate::api::conditions::{REFERENCES_RESOLVED, Verdict};
use crate::api::reasons::Reason;

/// How many refs a message tells of.
const TOLD: usize = 5;
/// How many refs of a cycle are shown at either end.
const SHOWN: usize = 3;

/// What is wrong with a ref.
enum Fault<'w> {
    /// It cannot be read, or is of a kind that the field does not take.
    Unreadable(&'w Written, &'w RefError),
    /// There is no such entity.
    Missing(&'w Written, &'w EntityRef),
    /// It is the entity's own.
    Own(&'w Written),
    /// It leads back to where it began.
    Cycle(Option<&'w Written>, Role, Vec<EntityRef>),
    /// A ref that it had before cannot be read, or is of another kind.
    Alias(&'w Alias, &'w RefError),
    /// Another entity, of the second ref, had it before too and comes first.
    Shared(&'w Alias, &'w EntityRef, EntityRef),
}

/// What `ReferencesResolved` says of an entity whose refs are `written`, and that had those of `aliases` before. The template is left
/// out: without it an instance is not accepted, and says so there.
pub fn verdict<K: Eq + Hash + Ord, P>(index: &Index<K, P>, key: &K, written: &[Written], aliases: &[Alias]) -> Verdict {
    if index.rival(key).is_some() {
        let message = "not looked at: the catalog does not take this entity, see Ready";
        return Verdict::unknown(REFERENCES_RESOLVED, Reason::RefConflict, message);
    }
    let own = index.reference(key);
    let mut faults: Vec<Fault<'_>> = Vec::new();
    for one in written.iter().filter(|one| one.role != Role::InstanceOf) {
        match &one.target {
            Err(error) => faults.push(Fault::Unreadable(one, error)),
            Ok(target) if own.as_ref() == Some(target) => faults.push(Fault::Own(one)),
            Ok(target) => match index.resolve(target) {
                None => faults.push(Fault::Missing(one, target)),
                Some(meant) if meant == key => faults.push(Fault::Own(one)),
                Some(_) => {}
            },
        }
    }
    of_aliases(index, key, aliases, &mut faults);
    for upwards in [Role::PartOf, Role::ChildOf] {
        // One that names itself has been told of.
        if let Some(way) = index.cycle(key, upwards).filter(|way| way.len() > 2) {
            faults.push(Fault::Cycle(step(written, upwards, &way), upwards, way));
        }
    }
    let Some(first) = faults.first() else {
        return resolved(index, key, written, aliases);
    };
    let reason = first.reason();
    let mut message = String::new();
    for fault in faults.iter().take(TOLD) {
        if !message.is_empty() {
            message.push_str(if message.ends_with('?') { " " } else { ". " });
        }
        message.push_str(&fault.told(index));
    }
    if faults.len() > TOLD {
        // Writing to a String cannot fail.
        let _ = write!(message, " (and {} more)", faults.len() - TOLD);
    }
    Verdict::no(REFERENCES_RESOLVED, reason, message)
}

/// What is wrong with the refs that an entity had before.
fn of_aliases<'w, K: Eq + Hash + Ord, P>(
    index: &Index<K, P>,
    key: &K,
    aliases: &'w [Alias],
    faults: &mut Vec<Fault<'w>>,
) {
    for alias in aliases {
        match &alias.target {
            Err(error) => faults.push(Fault::Alias(alias, error)),
            Ok(target) => {
                if let Some(AliasState::Second(other)) = state(index, key, target) {
                    faults.push(Fault::Shared(alias, target, other.to_ref()));
                }
            }
        }
    }
}

/// How a ref that an entity had before stands.
fn state<'i, K: Eq + Hash + Ord, P>(index: &'i Index<K, P>, key: &'i K, alias: &EntityRef) -> Option<AliasState<'i>> {
    let mut all = index.aliases(key);
    all.find(|(parts, _)| parts.to_ref() == *alias).map(|(_, state)| state)
}

/// Every ref resolves; by which of them another is meant that should be written instead.
fn resolved<K: Eq + Hash + Ord, P>(index: &Index<K, P>, key: &K, written: &[Written], aliases: &[Alias]) -> Verdict {
    let mut notes: Vec<String> = Vec::new();
    let mut reason = Reason::Resolved;
    for one in written {
        let Ok(target) = &one.target else { continue };
        let meant = index.resolve(target).and_then(|key| index.reference(key));
        if let Some(meant) = meant.filter(|meant| meant != target) {
            reason = Reason::ResolvedByAlias;
            notes.push(format!(
                "{}: {target} is an alias of {meant}: write that instead",
                one.field
            ));
        }
    }
    for alias in aliases {
        let Ok(target) = &alias.target else { continue };
        if state(index, key, target) == Some(AliasState::Held) {
            notes.push(format!(
                "{}: {target} is an entity that exists, which has this ref until it is gone",
                alias.field
            ));
        }
    }
    let mut message = "every ref in the spec resolves".to_owned();
    for note in notes.iter().take(TOLD) {
        message.push_str("; ");
        message.push_str(note);
    }
    if notes.len() > TOLD {
        // Writing to a String cannot fail.
        let _ = write!(message, " (and {} more)", notes.len() - TOLD);
    }
    Verdict::yes(REFERENCES_RESOLVED, reason, message)
}

/// The field by which an entity takes its own step on the way of a cycle, if it is by one of its own.
fn step<'w>(written: &'w [Written], upwards: Role, way: &[EntityRef]) -> Option<&'w Written> {
    let next = way.get(1);
    let before = way.len().checked_sub(2).and_then(|at| way.get(at));
    written.iter().find(|one| {
        let target = one.target.as_ref().ok();
        target.is_some() && (one.role == upwards && target == next || one.role == upwards.inverse() && target == before)
    })
}

impl Fault<'_> {
    fn reason(&self) -> Reason {
        match self {
            Self::Unreadable(..) | Self::Own(_) | Self::Alias(..) => Reason::InvalidReference,
            Self::Shared(..) => Reason::AliasConflict,
            Self::Missing(..) => Reason::ReferenceNotFound,
            Self::Cycle(..) => Reason::ReferenceCycle,
        }
    }

    fn told<K: Eq + Hash + Ord, P>(&self, index: &Index<K, P>) -> String {
        match self {
            Self::Unreadable(one, error) => format!("{}: {error}", one.field),
            Self::Alias(alias, error) => format!("{}: {error}", alias.field),
            Self::Shared(alias, target, other) => format!(
                "{}: {target} is an alias of {other} too, which comes first; take it out of one of the two",
                alias.field
            ),
            Self::Own(one) => format!(
                "{}: {} is this entity itself; name another, or leave it out",
                one.field, one.text
            ),
            Self::Missing(one, target) => {
                let full = target.to_string();
                let meant = if one.text == full {
                    String::new()
                } else {
                    format!("means {full}, which ")
                };
                let advice = advice(&index.near(target, one.kinds));
                format!("{}: {} {meant}does not exist; {advice}", one.field, one.text)
            }
            Self::Cycle(one, upwards, way) => {
                let begin = one.map_or_else(
                    || upwards.word().unwrap_or_default().to_owned() + ": this entity",
                    |one| format!("{}: {}", one.field, one.text),
                );
                format!(
                    "{begin} leads back to where it began: {}; take one of these steps out",
                    path(way)
                )
            }
        }
    }
}

/// What to do about a ref to what does not exist, where `near` are refs that do exist and may have been meant.
pub fn advice(near: &[EntityRef]) -> String {
    let near: Vec<String> = near.iter().map(ToString::to_string).collect();
    match near.split_last() {
        None => "create it, or correct the ref".to_owned(),
        Some((last, [])) => format!("did you mean {last}?"),
        Some((last, others)) => format!("did you mean {} or {last}?", others.join(", ")),
    }
}

/// A way, shortened in the middle where it is long.
fn path(way: &[EntityRef]) -> String {
    let all: Vec<String> = way.iter().map(ToString::to_string).collect();
    match (all.get(..SHOWN), all.get(all.len().saturating_sub(SHOWN)..)) {
        (Some(first), Some(last)) if all.len() > 2 * SHOWN + 1 => {
            let left_out = all.len() - 2 * SHOWN;
            format!("{} → … ({left_out} more) → {}", first.join(" → "), last.join(" → "))
        }
        _ => all.join(" → "),
    }
}
