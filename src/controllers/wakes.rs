//! Who is to be looked at again when something changes.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
    later: HashSet<Key>,
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
        if !self.lock().later.insert(key.clone()) {
            return;
        }
        let (wakes, key) = (self.clone(), key.clone());
        tokio::spawn(async move {
            tokio::time::sleep(AGGREGATE).await;
            wakes.lock().later.remove(&key);
            wakes.wake(&key);
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
