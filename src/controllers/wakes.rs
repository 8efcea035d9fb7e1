//! Who is to be looked at again when something changes.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::api::{ApiResource, DynamicObject};

use super::queue::Queue;
use crate::api;
use crate::catalog::refs::EntityRef;

/// How long aggregates are gathered before they are written.
const AGGREGATE: Duration = Duration::from_secs(1);

/// The kinds of ours that are reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnKind {
    /// API.
    Api,
    /// Component.
    Component,
    /// Domain.
    Domain,
    /// Entity.
    Entity,
    /// Group.
    Group,
    /// Location.
    Location,
    /// Resource.
    Resource,
    /// System.
    System,
    /// Template.
    Template,
    /// User.
    User,
}

impl OwnKind {
    /// Every one of them.
    pub const ALL: [Self; 10] = [
        Self::Api,
        Self::Component,
        Self::Domain,
        Self::Entity,
        Self::Group,
        Self::Location,
        Self::Resource,
        Self::System,
        Self::Template,
        Self::User,
    ];

    /// The kind's name, the kind as it stands in a ref and in a metrics label, and the name of its resource.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Api => ("API", "api", "apis"),
            Self::Component => ("Component", "component", "components"),
            Self::Domain => ("Domain", "domain", "domains"),
            Self::Entity => ("Entity", "entity", "entities"),
            Self::Group => ("Group", "group", "groups"),
            Self::Location => ("Location", "location", "locations"),
            Self::Resource => ("Resource", "resource", "resources"),
            Self::System => ("System", "system", "systems"),
            Self::Template => ("Template", "template", "templates"),
            Self::User => ("User", "user", "users"),
        }
    }

    /// The kind's name.
    pub fn kind(self) -> &'static str {
        self.names().0
    }

    /// The kind as it stands in a ref, and as a metrics label.
    pub fn word(self) -> &'static str {
        self.names().1
    }

    /// Its full resource name, as messages print it: other groups share the short one.
    pub fn full_name(self) -> String {
        format!("{}.{}", self.names().2, api::GROUP)
    }

    /// How the apiserver knows it.
    pub fn resource(self) -> ApiResource {
        ApiResource {
            group: api::GROUP.to_owned(),
            version: api::VERSION.to_owned(),
            api_version: api::API_VERSION.to_owned(),
            kind: self.kind().to_owned(),
            plural: self.names().2.to_owned(),
        }
    }
}

/// One entity of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: OwnKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The key of `object`.
    pub fn of(kind: OwnKind, object: &DynamicObject) -> Self {
        Self {
            kind,
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}/{}", self.kind.word(), self.namespace, self.name)
    }
}

/// What an entity's state depends on beside itself and its own objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Another entity that it reads: its template, its system, its owner.
    Entity(EntityRef),
    /// A namespace.
    Namespace(String),
    /// What the cluster serves.
    Kinds,
}

/// Which entities are concerned by which topics, looked up from both sides.
struct Concerns<T> {
    entities: HashMap<T, HashSet<Key>>,
    topics: HashMap<Key, Vec<T>>,
}

impl<T> Default for Concerns<T> {
    fn default() -> Self {
        Self {
            entities: HashMap::new(),
            topics: HashMap::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Concerns<T> {
    /// Says what concerns `key`, instead of what was said before.
    fn set(&mut self, key: &Key, topics: Vec<T>) {
        if self.topics.get(key) == Some(&topics) {
            return;
        }
        for topic in self.topics.remove(key).unwrap_or_default() {
            if let Some(entities) = self.entities.get_mut(&topic) {
                entities.remove(key);
                if entities.is_empty() {
                    self.entities.remove(&topic);
                }
            }
        }
        if topics.is_empty() {
            return;
        }
        for topic in &topics {
            self.entities.entry(topic.clone()).or_default().insert(key.clone());
        }
        self.topics.insert(key.clone(), topics);
    }

    /// Says what concerns `key` beside what was said before.
    fn add(&mut self, key: &Key, topics: Vec<T>) {
        let mut all = self.topics.get(key).cloned().unwrap_or_default();
        let new: Vec<T> = topics.into_iter().filter(|topic| !all.contains(topic)).collect();
        if !new.is_empty() {
            all.extend(new);
            self.set(key, all);
        }
    }

    /// Whom `topic` concerns.
    fn of(&self, topic: &T) -> Vec<Key> {
        self.entities.get(topic).into_iter().flatten().cloned().collect()
    }
}

#[derive(Default)]
struct Registered {
    interests: Concerns<Interest>,
    /// By namespace: to whom the runs in it belong.
    runs: Concerns<String>,
    uids: HashMap<String, Key>,
    /// When the next wake of an entity at a time of its own is due.
    timers: HashMap<Key, Instant>,
    /// Those whose second has not passed, and whether they are to be woken when it has.
    later: HashMap<Key, bool>,
}

/// The queues, one a kind.
pub type Queues = HashMap<OwnKind, Arc<Queue<Key>>>;

/// Who is to be woken by what, and the queues that they are put into.
#[derive(Clone)]
pub struct Wakes {
    queues: Queues,
    registered: Arc<Mutex<Registered>>,
}

impl Wakes {
    /// Nobody is registered yet.
    pub fn new() -> (Self, Queues) {
        let queues: Queues = OwnKind::ALL.into_iter().map(|kind| (kind, Arc::default())).collect();
        let wakes = Self {
            queues: queues.clone(),
            registered: Arc::default(),
        };
        (wakes, queues)
    }

    /// Where nobody works, nobody is woken, and nothing waits in a queue.
    pub fn of_nobody() -> Self {
        Self {
            queues: Queues::new(),
            registered: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registered> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `key` into its queue.
    pub fn wake(&self, key: &Key) {
        if let Some(queue) = self.queues.get(&key.kind) {
            queue.push(key.clone());
        }
    }

    /// Puts `key` into its queue in a second, once however often this is called until then.
    pub fn wake_soon(&self, key: &Key) {
        if self.gather(key, true) {
            self.clone().gathered(key.clone());
        }
    }

    /// Puts `key` into its queue now, unless that was less than a second ago: then as [`Self::wake_soon`]. One that names
    /// thousands is not looked at for each of them.
    pub fn wake_promptly(&self, key: &Key) {
        if self.gather(key, false) {
            self.wake(key);
            self.clone().gathered(key.clone());
        } else {
            self.gather(key, true);
        }
    }

    /// Notes that `key` is to be woken when its second is over, if `later`. Whether a second has begun with that.
    fn gather(&self, key: &Key, later: bool) -> bool {
        let mut registered = self.lock();
        match registered.later.get_mut(key) {
            Some(again) => {
                *again |= later;
                false
            }
            None => registered.later.insert(key.clone(), later).is_none(),
        }
    }

    /// The second of `key` has passed. Whether it is to be woken, and another one begins.
    fn second_over(&self, key: &Key) -> bool {
        let mut registered = self.lock();
        let again = registered.later.get_mut(key).is_some_and(std::mem::take);
        if !again {
            registered.later.remove(key);
        }
        again
    }

    /// Lets seconds pass until nothing more is asked for in one of them.
    fn gathered(self, key: Key) {
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(AGGREGATE).await;
                if !self.second_over(&key) {
                    return;
                }
                self.wake(&key);
            }
        });
    }

    /// Puts `key` into its queue after `delay`, or earlier where it was asked for earlier.
    pub fn wake_after(&self, key: &Key, delay: Duration) {
        let due = Instant::now() + delay;
        let mut registered = self.lock();
        if registered.timers.get(key).is_some_and(|earlier| *earlier <= due) {
            return;
        }
        registered.timers.insert(key.clone(), due);
        drop(registered);
        let (wakes, key) = (self.clone(), key.clone());
        tokio::spawn(async move {
            tokio::time::sleep_until(due.into()).await;
            let mut registered = wakes.lock();
            // A timer that was set for an earlier time has taken its place.
            if registered.timers.get(&key) == Some(&due) {
                registered.timers.remove(&key);
                drop(registered);
                wakes.wake(&key);
            }
        });
    }

    /// Remembers which entity has `uid`.
    pub fn learn_uid(&self, uid: &str, key: &Key) {
        self.lock().uids.insert(uid.to_owned(), key.clone());
    }

    /// Wakes the entity that has `uid`, if any has.
    pub fn wake_uid(&self, uid: &str) {
        if let Some(key) = self.of_uid(uid) {
            self.wake(&key);
        }
    }

    /// The entity that has `uid`, if any has.
    pub fn of_uid(&self, uid: &str) -> Option<Key> {
        self.lock().uids.get(uid).cloned()
    }

    /// Says what `key` depends on, beside what was said before. Say it before looking at what is depended on:
    /// a change between the look and the word would wake nobody.
    pub fn depend_also(&self, key: &Key, interests: Vec<Interest>) {
        self.lock().interests.add(key, interests);
    }

    /// Says what `key` depends on, instead of what was said before.
    pub fn depend(&self, key: &Key, interests: Vec<Interest>) {
        self.lock().interests.set(key, interests);
    }

    /// Wakes all that depend on `interest`.
    pub fn wake_interested(&self, interest: &Interest) {
        let keys = self.lock().interests.of(interest);
        for key in keys {
            self.wake(&key);
        }
    }

    /// Says in which namespaces runs belong to `key`, instead of what was said before.
    pub fn own_namespaces(&self, key: &Key, namespaces: Vec<String>) {
        self.lock().runs.set(key, namespaces);
    }

    /// Wakes those to whom runs in `namespace` belong.
    pub fn wake_owners_of(&self, namespace: &str) {
        let keys = self.lock().runs.of(&namespace.to_owned());
        for key in keys {
            self.wake(&key);
        }
    }

    /// Forgets all about an entity that is gone.
    pub fn forget(&self, key: &Key, uid: &str) {
        let mut registered = self.lock();
        registered.interests.set(key, Vec::new());
        registered.runs.set(key, Vec::new());
        // Another object of this name may have come already.
        if registered.uids.get(uid) == Some(key) {
            registered.uids.remove(uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that thousands concern is woken at the first of them, once a second after that, and at the last.
    #[tokio::test]
    async fn many_at_once_wake_nobody_more_than_once_a_second() {
        let (wakes, queues) = Wakes::new();
        let key = Key {
            kind: OwnKind::Group,
            namespace: "shop".to_owned(),
            name: "team".to_owned(),
        };
        let queue = &queues[&OwnKind::Group];
        let woken = async |limit: Duration| {
            let found = tokio::time::timeout(limit, queue.next()).await;
            if let Ok(found) = &found {
                queue.done(found.clone(), None);
            }
            found.is_ok()
        };
        let begun = std::time::Instant::now();
        wakes.wake_promptly(&key);
        assert!(woken(AGGREGATE / 2).await, "at once");
        for _ in 0..1000 {
            wakes.wake_promptly(&key);
            wakes.wake_soon(&key);
        }
        assert!(woken(AGGREGATE * 3).await);
        assert!(begun.elapsed() >= AGGREGATE, "not before a second has passed");
        assert!(!woken(AGGREGATE * 3 / 2).await, "and once for all of them");
        assert!(wakes.lock().later.is_empty(), "nothing is kept");
    }
}
