//! One watch, and what it has seen.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use kube::api::DynamicObject;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::Child;
use crate::controllers::trouble::Trouble;
use crate::controllers::wakes::Key;

/// How long a pass waits for a watch to deliver its first list.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far a watch has come.
#[derive(Clone, Debug)]
pub(super) enum State {
    Starting,
    Synced,
    Failed(Trouble),
}

/// Namespace and name.
pub(super) type Place = (String, String);

/// How many UIDs of objects that are seen no more a watch remembers.
const REMEMBERED: usize = 4096;

/// The UIDs of objects that are seen no more, with the place in the history at which they went, newest last.
type Remembered = Mutex<VecDeque<(String, u64)>>;

fn remember(remembered: &Remembered, child: &Child) {
    let mut remembered = remembered.lock().unwrap_or_else(PoisonError::into_inner);
    if remembered.len() == REMEMBERED {
        remembered.pop_front();
    }
    remembered.push_back((child.uid.clone(), child.resource_version));
}

/// Where in the history the object of `uid` went last, if it did.
fn remembered_at(remembered: &Remembered, uid: &str) -> Option<u64> {
    let remembered = remembered.lock().unwrap_or_else(PoisonError::into_inner);
    let found = remembered.iter().rev().find(|(known, _)| known == uid);
    found.map(|(_, version)| *version)
}

/// One watch and what it has seen.
pub struct Watch {
    pub(super) objects: RwLock<HashMap<Place, Child>>,
    /// Of objects that were seen to go after their deletion had begun.
    departed: Remembered,
    /// Of objects that were written by us and are seen no more: they are gone, or have lost our label.
    strayed: Remembered,
    /// UIDs of what was applied since a list was begun that has not ended: it may lack them.
    pub(super) applied_since: Mutex<Option<HashSet<String>>>,
    pub(super) state: watch::Sender<State>,
    pub(super) users: Mutex<HashSet<Key>>,
    /// Whether it is closed, and waits for its next try.
    pub(super) closed: AtomicBool,
    pub(super) try_now: Notify,
    pub(super) stop: CancellationToken,
}

impl Watch {
    /// One that has seen nothing yet.
    pub(super) fn closed() -> Self {
        Self {
            objects: RwLock::default(),
            departed: Remembered::default(),
            strayed: Remembered::default(),
            applied_since: Mutex::default(),
            state: watch::Sender::new(State::Starting),
            users: Mutex::default(),
            closed: AtomicBool::default(),
            try_now: Notify::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Waits for the first list.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn synced(&self) -> Result<(), Trouble> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Starting));
        match tokio::time::timeout(PATIENCE, settled).await {
            Ok(Ok(state)) => match &*state {
                State::Failed(trouble) => Err(trouble.clone()),
                _ => Ok(()),
            },
            _ => Err(Trouble::transient(
                "a watch on the template's objects has not answered yet",
            )),
        }
    }

    /// Whether it is known why nothing can be seen.
    pub(super) fn has_failed(&self) -> bool {
        matches!(*self.state.borrow(), State::Failed(_))
    }

    /// The object of this name, as last seen.
    pub fn get(&self, namespace: Option<&str>, name: &str) -> Option<Child> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects
            .get(&(namespace.unwrap_or_default().to_owned(), name.to_owned()))
            .cloned()
    }

    /// The objects in one namespace.
    pub fn within(&self, namespace: &str) -> Vec<Child> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects
            .iter()
            .filter(|((place, _), _)| place == namespace)
            .map(|(_, child)| child.clone())
            .collect()
    }

    /// Takes in what an apply of ours gave back, so that the next pass need not wait for the watch to say the same, nor apply it
    /// again should the status not be written.
    pub fn applied(&self, object: DynamicObject) -> Child {
        let place = place_of(&object);
        let mut child = Child::of(object);
        child.written_hash.clone_from(&child.applied_hash);
        let mut since = self.applied_since.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = since.as_mut() {
            since.insert(child.uid.clone());
        }
        drop(since);
        self.keep(place, child)
    }

    /// Takes in how an object was seen.
    pub fn observe(&self, object: DynamicObject) -> Child {
        let place = place_of(&object);
        self.keep(place, Child::of(object))
    }

    pub(super) fn keep(&self, place: Place, child: Child) -> Child {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let known = objects.get(&place);
        let child = child.after(known);
        let newer = known.is_none_or(|known| known.resource_version <= child.resource_version);
        // The answer to a write may come after the word that what was written is gone; no further word would come.
        let gone = remembered_at(&self.strayed, &child.uid).is_some_and(|gone| gone >= child.resource_version);
        if newer && !gone {
            objects.insert(place, child.clone());
        }
        child
    }

    /// Takes in that an object is seen no more.
    pub(super) fn gone(&self, object: DynamicObject) -> Child {
        let place = place_of(&object);
        let before = self.get(Some(&place.0), &place.1);
        let child = Child::of(object).after(before.as_ref());
        // In this order: what is kept meanwhile is taken out again, or is not kept.
        if child.managed {
            remember(&self.strayed, &child);
        }
        if child.deleting {
            remember(&self.departed, &child);
        }
        self.remove(Some(&place.0), &place.1, &child.uid);
        child
    }

    /// Whether the object of `uid` was seen to go after its deletion had begun. One that merely lost its label
    /// leaves a watch as well, so its going alone proves nothing.
    pub fn has_departed(&self, uid: &str) -> bool {
        remembered_at(&self.departed, uid).is_some()
    }

    /// Whether the object of `uid`, which is not seen now, was seen before as one that was written by us.
    pub fn has_strayed(&self, uid: &str) -> bool {
        remembered_at(&self.strayed, uid).is_some()
    }

    /// Forgets an object that a delete has removed.
    pub fn remove(&self, namespace: Option<&str>, name: &str, uid: &str) {
        let place = (namespace.unwrap_or_default().to_owned(), name.to_owned());
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if objects.get(&place).is_some_and(|known| known.uid == uid) {
            objects.remove(&place);
        }
    }
}

/// Where an object lies.
pub(super) fn place_of(object: &DynamicObject) -> Place {
    (
        object.metadata.namespace.clone().unwrap_or_default(),
        object.metadata.name.clone().unwrap_or_default(),
    )
}

/// Puts what a list gave in place of what was known, and gives what differs: new, changed and gone. What a list lacks is gone,
/// however new it was, unless it was applied since the list was begun.
pub(super) fn relist(watch: &Watch, listed: HashMap<Place, Child>) -> Vec<Child> {
    let mut objects = watch.objects.write().unwrap_or_else(PoisonError::into_inner);
    let mut since = watch.applied_since.lock().unwrap_or_else(PoisonError::into_inner);
    let since = since.take().unwrap_or_default();
    let mut next = listed;
    let mut known: HashMap<Place, Child> = objects.drain().collect();
    let mut changed: Vec<Child> = Vec::new();
    for (place, now) in &mut next {
        let before = known.get(place);
        now.remember(before);
        if before.is_none_or(|before| before.resource_version < now.resource_version) {
            changed.push(now.clone());
            changed.extend(before.filter(|before| before.owner() != now.owner()).cloned());
        }
    }
    for (place, before) in known.drain() {
        let newer = next.get(&place).map_or_else(
            || since.contains(&before.uid),
            |now| now.resource_version < before.resource_version,
        );
        if newer {
            // The watch will tell of it.
            next.insert(place, before);
        } else if !next.contains_key(&place) {
            if before.managed {
                remember(&watch.strayed, &before);
            }
            changed.push(before);
        }
    }
    *objects = next;
    changed
}
