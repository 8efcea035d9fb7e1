//! Whether others would be left without what is deleted: a word to whoever deletes it, or a refusal, as the administrator says.
//! Pure: who names what is in the index, which the watches fill.

use std::collections::BTreeSet;

use super::words::Verdict;
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::catalog::relations::Role;
use crate::controllers::surroundings::Surroundings;
use crate::controllers::wakes::Key;

/// How many dependents are named.
const NAMED: usize = 10;

/// What is said to a deletion that leaves others without what they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Guard {
    /// Nothing.
    Allow,
    /// It is done, and they are named.
    Warn,
    /// It is not done, and they are named.
    Deny,
}

/// Those that would be left without the entity of `key`, each with what it is to it, in the order of their refs. Those that are
/// being deleted themselves do not count, nor those that it has made.
fn dependents(world: &dyn Surroundings, key: &Key) -> BTreeSet<(String, Role)> {
    let found: Vec<(String, Role, Key)> = {
        let index = world.catalog().index();
        let all = index.dependents(key);
        all.map(|(role, other)| (other.reference.to_string(), role, other.key.clone()))
            .collect()
    };
    let uid = world.catalog().uid(key);
    let stays = |other: &Key| {
        let Some(object) = world.entity(other) else {
            return false;
        };
        let labels = object.metadata.labels.as_ref();
        let maker = labels.and_then(|labels| labels.get(marks::INSTANCE_UID));
        object.metadata.deletion_timestamp.is_none() && (maker.is_none() || maker != uid.as_ref())
    };
    found
        .into_iter()
        .filter(|(_, _, other)| other != key && stays(other))
        .map(|(reference, role, _)| (reference, role))
        .collect()
}

/// What is said to the deletion of the entity of `key`.
pub fn judge(world: &dyn Surroundings, key: &Key, guard: Guard) -> Verdict {
    if guard == Guard::Allow {
        return Verdict::default();
    }
    let dependents = dependents(world, key);
    if dependents.is_empty() {
        return Verdict::default();
    }
    let reference = world.catalog().reference(key);
    let mut names: Vec<String> = dependents
        .iter()
        .take(NAMED)
        .map(|(name, role)| format!("{name} ({})", word(*role)))
        .collect();
    let left_out = dependents.len().saturating_sub(NAMED);
    if left_out > 0 {
        names.push(format!("and {left_out} more"));
    }
    let verb = if dependents.len() == 1 { "names" } else { "name" };
    let number = if dependents.len() == 1 {
        "1 entity".to_owned()
    } else {
        format!("{} entities", dependents.len())
    };
    let told = format!("{number} {verb} {reference}: {}", names.join(", "));
    match guard {
        Guard::Deny => Verdict::refused(
            Reason::NotAllowed,
            format!("{told}; delete them first, or have them name another"),
        ),
        _ => Verdict::warned(format!("{told}; without it their refs lead nowhere")),
    }
}

/// What it is to what is deleted, in Backstage's word where there is one.
fn word(role: Role) -> &'static str {
    role.word().unwrap_or("instance of it")
}
