//! What the index is told, and what it says in turn.

use std::sync::Arc;

use super::places::RefParts;
use crate::catalog::refs::EntityRef;
use crate::catalog::relations::Role;

/// What others show of an entity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aspects {
    /// Whether it is Ready.
    pub ready: bool,
    /// Of an instance, the digest of the template's content that it runs.
    pub revision: Option<Box<str>>,
    /// Of an instance, how it stands in a rollout.
    pub rollout: InRollout,
}

/// How an instance stands in the rollout of its template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own.
pub struct InRollout {
    /// Whether it follows the newest version: it has no pin, is not suspended and not going.
    pub follows: bool,
    /// Whether it was Ready when it was last looked at, which may have been before its spec was changed.
    pub up: bool,
    /// Since when, in seconds since 1970.
    pub up_since: i64,
    /// Whether it is not Ready, and nothing that is under way will make it so.
    pub failed: bool,
    /// Whether it cannot be planned at all, at whatever version.
    pub stopped: bool,
    /// Whether it stays at its version for a reason of its own.
    pub held: bool,
    /// When a rollout moved it to its version.
    pub moved: MovedAt,
    /// Its environments that have no pin, in the order of their names.
    pub environments: Box<[InEnvironment]>,
}

/// How one environment of an instance stands in the rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InEnvironment {
    /// Its name.
    pub name: Box<str>,
    /// The digest of the content that it runs, where it is not the instance's own.
    pub revision: Option<Box<str>>,
    /// When a rollout moved it by itself.
    pub moved: MovedAt,
}

/// An entity as it is now.
#[derive(Clone, Debug)]
pub struct Told<K, P> {
    /// What tells the object apart.
    pub key: K,
    /// Its UID.
    pub uid: Box<str>,
    /// When it was created, in seconds.
    pub created: i64,
    /// Its ref.
    pub reference: EntityRef,
    /// The refs that it had before.
    pub aliases: Vec<EntityRef>,
    /// The entities that it names, and what it is to each.
    pub declared: Vec<(Role, EntityRef)>,
    /// What others show of it.
    pub aspects: Aspects,
    /// What is kept with it.
    pub payload: P,
}

/// How a ref that an entity had before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasState<'i> {
    /// It means the entity.
    Means,
    /// Another entity has it.
    Held,
    /// Another entity, of this ref, had it before too and comes first.
    Second(RefParts<'i>),
}

/// Whom an event concerns, the entity itself aside.
#[derive(Debug)]
pub struct Changes<K> {
    /// Those that name an entity that came or went, or that stand in a cycle that came or went, or whose own ref is concerned.
    pub named: Vec<Arc<K>>,
    /// Those in whose counts the entity came, went or changed.
    pub counted: Vec<Arc<K>>,
}

impl<K> Default for Changes<K> {
    fn default() -> Self {
        Self {
            named: Vec::new(),
            counted: Vec::new(),
        }
    }
}

impl<K: Ord> Changes<K> {
    /// Each once, without the entity itself; whoever is in both is in the first.
    pub(super) fn settle(&mut self, own: &K) {
        self.named.retain(|key| **key != *own);
        self.named.sort_unstable();
        self.named.dedup();
        let named = &self.named;
        self.counted
            .retain(|key| **key != *own && named.binary_search(key).is_err());
        self.counted.sort_unstable();
        self.counted.dedup();
    }
}

/// When a rollout moved a part of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MovedAt {
    /// In microseconds since 1970; 0 where none has.
    pub at: i64,
    /// Whether the instance was Ready before: only then it counts against the rollout if it is not afterwards.
    pub was_ready: bool,
}

impl MovedAt {
    /// When, if it counts; else 0.
    pub fn counted(self) -> i64 {
        if self.was_ready { self.at } else { 0 }
    }
}
