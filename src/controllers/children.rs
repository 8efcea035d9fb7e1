//! Watches on the objects that templates render to: one for each kind and account, opened before the first
//! object is touched, so that what is unchanged costs no request.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, TypeMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::trouble::{Attempt, Trouble, of_error};
use super::wakes::{Key, Wakes};
use crate::api::marks;
use crate::runtime::clients::{Account, Clients};
use crate::runtime::metrics::Metrics;
use crate::template::content::hash;
use crate::template::kinds::KindInfo;
use crate::template::pipelines::slim;

/// How long a pass waits for a watch to deliver its first list.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which objects are watched, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WatchKey {
    /// As whom.
    pub account: Account,
    /// Which kind.
    pub kind: KindInfo,
    /// Whether only objects that carry our label, or all.
    pub labelled: bool,
}

/// One live object as it was last seen.
#[derive(Clone, Debug)]
pub struct Child {
    /// Its UID.
    pub uid: String,
    /// Hash of our own managed fields.
    pub applied_hash: String,
    /// Whether its deletion has begun.
    pub deleting: bool,
    /// The object without managed fields.
    pub object: Arc<Value>,
    resource_version: u64,
}

impl Child {
    /// Takes `object` in. Managed fields are hashed and dropped, being most of a small object's size.
    pub fn of(mut object: DynamicObject) -> Self {
        let applied_hash = applied_hash(&object);
        object.metadata.managed_fields = None;
        let resource_version = revision(&object);
        Self {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            applied_hash,
            deleting: object.metadata.deletion_timestamp.is_some(),
            resource_version,
            object: Arc::new(serde_json::to_value(object).unwrap_or_default()),
        }
    }

    /// Takes in a run of a pipeline, of which a status shows little and of which there are many.
    fn of_run(object: DynamicObject) -> Self {
        let mut child = Self::of(object);
        if let Some(run) = Arc::get_mut(&mut child.object) {
            slim(run);
        }
        child
    }

    /// The UID of the instance that the label names.
    pub fn owner(&self) -> Option<&str> {
        self.object
            .get("metadata")?
            .get("labels")?
            .get(marks::INSTANCE_UID)?
            .as_str()
    }

    /// The value of the label or annotation `name`.
    pub fn mark(&self, name: &str) -> Option<&str> {
        let metadata = self.object.get("metadata")?;
        ["labels", "annotations"]
            .iter()
            .find_map(|place| metadata.get(place)?.get(name)?.as_str())
    }
}

/// The object's place in the history of the cluster. Kubernetes lets clients compare these since 1.35; it was so before.
fn revision(object: &DynamicObject) -> u64 {
    object
        .metadata
        .resource_version
        .as_deref()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// The hash of what `object` says that our field manager has applied; empty if it has applied nothing.
fn applied_hash(object: &DynamicObject) -> String {
    object
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .find(|entry| {
            entry.manager.as_deref() == Some(marks::OBJECT_MANAGER)
                && entry.operation.as_deref() == Some("Apply")
                && entry.subresource.as_deref().unwrap_or_default().is_empty()
        })
        .and_then(|entry| entry.fields_v1.as_ref())
        .map(|fields| hash(&fields.0))
        .unwrap_or_default()
}

#[derive(Clone, Debug)]
enum State {
    Starting,
    Synced,
    Failed(Trouble),
}

type Place = (String, String);

/// How many UIDs of departed objects a watch remembers.
const DEPARTED: usize = 4096;

/// One watch and what it has seen.
pub struct Watch {
    objects: RwLock<HashMap<Place, Child>>,
    /// UIDs of objects that were seen to go after their deletion had begun, newest last.
    departed: Mutex<VecDeque<String>>,
    state: watch::Sender<State>,
    users: Mutex<HashSet<Key>>,
    stop: CancellationToken,
}

impl Watch {
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

    /// The object of this name, as last seen.
    pub fn get(&self, namespace: Option<&str>, name: &str) -> Option<Child> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects
            .get(&(namespace.unwrap_or_default().to_owned(), name.to_owned()))
            .cloned()
    }

    /// The objects in one namespace.
    pub fn within(&self, namespace: &str) -> Vec<Arc<Value>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects
            .iter()
            .filter(|((place, _), _)| place == namespace)
            .map(|(_, child)| child.object.clone())
            .collect()
    }

    /// Takes in what a write gave back, so that the next pass need not wait for the watch to say the same.
    pub fn observe(&self, object: DynamicObject) -> Child {
        self.take_in(place_of(&object), Child::of(object))
    }

    fn take_in(&self, place: Place, child: Child) -> Child {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let newer = objects
            .get(&place)
            .is_none_or(|known| known.resource_version <= child.resource_version);
        if newer {
            objects.insert(place, child.clone());
        }
        child
    }

    /// Whether the object of `uid` was seen to go after its deletion had begun. One that merely lost its label
    /// leaves a watch as well, so its going alone proves nothing.
    pub fn has_departed(&self, uid: &str) -> bool {
        let departed = self.departed.lock().unwrap_or_else(PoisonError::into_inner);
        departed.iter().any(|known| known == uid)
    }

    fn depart(&self, uid: &str) {
        let mut departed = self.departed.lock().unwrap_or_else(PoisonError::into_inner);
        if departed.len() == DEPARTED {
            departed.pop_front();
        }
        departed.push_back(uid.to_owned());
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

fn place_of(object: &DynamicObject) -> Place {
    (
        object.metadata.namespace.clone().unwrap_or_default(),
        object.metadata.name.clone().unwrap_or_default(),
    )
}

/// Every watch on templates' objects.
#[derive(Clone)]
pub struct Children {
    clients: Arc<Clients>,
    wakes: Wakes,
    metrics: Arc<Metrics>,
    watches: Arc<Mutex<HashMap<WatchKey, Arc<Watch>>>>,
}

impl Children {
    /// No watch is open yet.
    pub fn new(clients: Arc<Clients>, wakes: Wakes, metrics: Arc<Metrics>) -> Self {
        Self {
            clients,
            wakes,
            metrics,
            watches: Arc::default(),
        }
    }

    /// The watches that `user` needs, opened where they are not; those that it needs no more are left, and
    /// closed when nobody needs them.
    pub fn hold(&self, user: &Key, needed: &HashSet<WatchKey>) -> HashMap<WatchKey, Arc<Watch>> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|key, watch| {
            let mut users = watch.users.lock().unwrap_or_else(PoisonError::into_inner);
            if needed.contains(key) || !users.remove(user) || !users.is_empty() {
                return true;
            }
            watch.stop.cancel();
            self.metrics.child_watches.dec();
            false
        });
        let mut held = HashMap::new();
        for key in needed {
            let watch = watches.entry(key.clone()).or_insert_with(|| self.open(key));
            watch
                .users
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(user.clone());
            held.insert(key.clone(), watch.clone());
        }
        held
    }

    fn open(&self, key: &WatchKey) -> Arc<Watch> {
        let watch = Arc::new(Watch {
            objects: RwLock::default(),
            departed: Mutex::default(),
            state: watch::Sender::new(State::Starting),
            users: Mutex::default(),
            stop: CancellationToken::new(),
        });
        self.metrics.child_watches.inc();
        let (children, key, opened) = (self.clone(), key.clone(), watch.clone());
        tokio::spawn(async move {
            let stop = opened.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = children.follow(&key, &opened) => {}
            }
        });
        watch
    }

    async fn follow(&self, key: &WatchKey, watch: &Watch) {
        let client = match self.clients.account(&key.account) {
            Ok(client) => client,
            Err(error) => {
                watch.state.send_replace(State::Failed(Trouble::transient(format!(
                    "no client for {}: {error}",
                    key.account
                ))));
                return;
            }
        };
        let api: Api<DynamicObject> = Api::all_with(client, &resource(&key.kind));
        let mut config = watcher::Config::default().any_semantic();
        if key.labelled {
            config = config.labels(marks::INSTANCE_UID);
        }
        let mut events = std::pin::pin!(watcher::watcher(api, config).default_backoff());
        let mut listed: Option<HashMap<Place, Child>> = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.take(key, watch, event, &mut listed),
                Err(error) => self.failed(key, watch, &error),
            }
        }
    }

    fn take(
        &self,
        key: &WatchKey,
        watch: &Watch,
        event: Event<DynamicObject>,
        listed: &mut Option<HashMap<Place, Child>>,
    ) {
        // All objects of a kind are watched only where they are runs.
        let child_of = if key.labelled { Child::of } else { Child::of_run };
        match event {
            Event::Init => *listed = Some(HashMap::new()),
            Event::InitApply(object) => {
                listed
                    .get_or_insert_default()
                    .insert(place_of(&object), child_of(typed(object, &key.kind)));
            }
            Event::InitDone => {
                let changed = relist(watch, listed.take().unwrap_or_default());
                let before = watch.state.send_replace(State::Synced);
                if matches!(before, State::Failed(_)) {
                    self.wake_users(watch);
                }
                for child in changed {
                    self.wake(key, &child);
                }
            }
            Event::Apply(object) => {
                let (namespace, name) = place_of(&object);
                let before = watch.get(Some(&namespace), &name);
                let child = watch.take_in((namespace, name), child_of(object));
                // One that was handed over, or whose mark was tampered with, concerns whom it belonged to as well.
                if let Some(before) = before.filter(|before| before.owner() != child.owner()) {
                    self.wake(key, &before);
                }
                self.wake(key, &child);
            }
            Event::Delete(object) => {
                let place = place_of(&object);
                let child = Child::of(object);
                watch.remove(Some(&place.0), &place.1, &child.uid);
                if child.deleting {
                    watch.depart(&child.uid);
                }
                self.wake(key, &child);
            }
        }
    }

    /// Wakes the instance that the label names (a wake is only a look, so a copied label does no harm), or
    /// for an unlabelled watch those whose namespace it is.
    fn wake(&self, key: &WatchKey, child: &Child) {
        if key.labelled {
            if let Some(uid) = child.owner() {
                self.wakes.wake_uid(uid);
            }
        } else if let Some(namespace) = child.object.pointer("/metadata/namespace").and_then(Value::as_str) {
            self.wakes.wake_owners_of(namespace);
        }
    }

    fn failed(&self, key: &WatchKey, watch: &Watch, error: &watcher::Error) {
        self.metrics.watch_restarts.inc();
        let attempt = Attempt {
            verb: "list",
            kind: &key.kind,
            namespace: None,
            name: "",
            account: &key.account,
        };
        let trouble = match error {
            watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
                of_error(error, attempt)
            }
            // A watch that was open and ended; what it has seen stands until it is open again.
            other => {
                tracing::debug!(kind = key.kind.resource(), account = %key.account, error = %other, "a watch ended and starts again");
                return;
            }
        };
        let first = matches!(*watch.state.borrow(), State::Starting);
        if trouble.class == super::trouble::Class::Transient && !first {
            return;
        }
        let before = watch.state.send_replace(State::Failed(trouble.clone()));
        if !matches!(before, State::Failed(known) if known == trouble) {
            self.wake_users(watch);
        }
    }

    /// Wakes all that a watch was opened for: it has begun or ceased to see.
    fn wake_users(&self, watch: &Watch) {
        let users: Vec<Key> = watch
            .users
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect();
        for user in users {
            self.wakes.wake(&user);
        }
    }
}

/// Puts what a list gave in place of what was known, and gives what differs: new, changed and gone.
fn relist(watch: &Watch, listed: HashMap<Place, Child>) -> Vec<Child> {
    let mut objects = watch.objects.write().unwrap_or_else(PoisonError::into_inner);
    let newest = listed.values().map(|child| child.resource_version).max().unwrap_or(0);
    let mut next = listed;
    let mut known: HashMap<Place, Child> = objects.drain().collect();
    let mut changed: Vec<Child> = Vec::new();
    for (place, now) in &next {
        let before = known.get(place);
        if before.is_none_or(|before| before.resource_version < now.resource_version) {
            changed.push(now.clone());
            changed.extend(before.filter(|before| before.owner() != now.owner()).cloned());
        }
    }
    for (place, before) in known.drain() {
        let listed_now = next.get(&place).map(|now| now.resource_version);
        // What is newer than the list was written by us after it was taken: the watch will tell of it.
        if listed_now.unwrap_or(newest) < before.resource_version {
            next.insert(place, before);
        } else if listed_now.is_none() {
            changed.push(before);
        }
    }
    *objects = next;
    changed
}

/// `object` with its kind on it: the objects of a list say theirs only for custom resources.
fn typed(mut object: DynamicObject, kind: &KindInfo) -> DynamicObject {
    object.types.get_or_insert_with(|| TypeMeta {
        api_version: kind.api_version(),
        kind: kind.kind.clone(),
    });
    object
}

/// How the client addresses `kind`.
pub fn resource(kind: &KindInfo) -> ApiResource {
    ApiResource {
        group: kind.group.clone(),
        version: kind.version.clone(),
        api_version: kind.api_version(),
        kind: kind.kind.clone(),
        plural: kind.plural.clone(),
    }
}
