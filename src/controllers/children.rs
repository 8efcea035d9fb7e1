//! Watches on the objects that templates render to: one for each kind and account, opened before the first
//! object is touched, so that what is unchanged costs no request.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::child::typed;
pub use super::child::{Child, is_managed};
use super::trouble::{Attempt, Trouble, of_error};
use super::wakes::{Key, Wakes};
use crate::api::marks;
use crate::runtime::clients::{Account, Clients};
use crate::runtime::metrics::Metrics;
use crate::template::kinds::KindInfo;

#[cfg(test)]
mod tests;

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

#[derive(Clone, Debug)]
enum State {
    Starting,
    Synced,
    Failed(Trouble),
}

type Place = (String, String);

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
    objects: RwLock<HashMap<Place, Child>>,
    /// Of objects that were seen to go after their deletion had begun.
    departed: Remembered,
    /// Of objects that were written by us and are seen no more: they are gone, or have lost our label.
    strayed: Remembered,
    /// UIDs of what was applied since a list was begun that has not ended: it may lack them.
    applied_since: Mutex<Option<HashSet<String>>>,
    state: watch::Sender<State>,
    users: Mutex<HashSet<Key>>,
    /// Whether it is closed, and waits for its next try.
    closed: AtomicBool,
    try_now: Notify,
    stop: CancellationToken,
}

impl Watch {
    /// One that has seen nothing yet.
    fn closed() -> Self {
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

    fn keep(&self, place: Place, child: Child) -> Child {
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
    fn gone(&self, object: DynamicObject) -> Child {
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
    timeout: u32,
}

impl Children {
    /// No watch is open yet. Each is to be kept for `timeout` seconds.
    pub fn new(clients: Arc<Clients>, wakes: Wakes, metrics: Arc<Metrics>, timeout: u32) -> Self {
        Self {
            clients,
            wakes,
            metrics,
            watches: Arc::default(),
            timeout,
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
        let watch = Arc::new(Watch::closed());
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
        let mut config = watcher::Config::default().timeout(self.timeout);
        if key.labelled {
            config = config.labels(marks::INSTANCE_UID);
        }
        loop {
            let mut events = std::pin::pin!(watcher::watcher(api.clone(), config.clone()).default_backoff());
            let mut listed: Option<HashMap<Place, Child>> = None;
            loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    () = watch.try_now.notified() => break,
                };
                match event {
                    Some(Ok(event)) => self.take(key, watch, event, &mut listed),
                    Some(Err(error)) => self.failed(key, watch, &error),
                    None => return,
                }
            }
        }
    }

    /// Opens now what is closed and waits for its next try: what the cluster serves may have changed.
    pub fn reopen(&self) {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for watch in watches.values().filter(|watch| watch.closed.load(Ordering::Relaxed)) {
            watch.try_now.notify_one();
        }
    }

    fn take(
        &self,
        key: &WatchKey,
        watch: &Watch,
        event: Event<DynamicObject>,
        listed: &mut Option<HashMap<Place, Child>>,
    ) {
        // A list that begins has not been answered yet.
        if !matches!(event, Event::Init) {
            watch.closed.store(false, Ordering::Relaxed);
        }
        // All objects of a kind are watched only where they are runs.
        let child_of = if key.labelled { Child::of } else { Child::of_run };
        match event {
            Event::Init => {
                *listed = Some(HashMap::new());
                *watch.applied_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(HashSet::new());
            }
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
                let child = watch.keep((namespace, name), child_of(object));
                // One that was handed over, or whose mark was tampered with, concerns whom it belonged to as well.
                if let Some(before) = before.filter(|before| before.owner() != child.owner()) {
                    self.wake(key, &before);
                }
                self.wake(key, &child);
            }
            Event::Delete(object) => {
                let child = watch.gone(object);
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
        watch.closed.store(true, Ordering::Relaxed);
        let attempt = Attempt {
            verb: if matches!(error, watcher::Error::WatchStartFailed(_)) {
                "watch"
            } else {
                "list"
            },
            kind: &key.kind,
            namespace: None,
            name: "",
            account: &key.account,
            resource: None,
            role: None,
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

/// Puts what a list gave in place of what was known, and gives what differs: new, changed and gone. What a list lacks is gone,
/// however new it was, unless it was applied since the list was begun.
fn relist(watch: &Watch, listed: HashMap<Place, Child>) -> Vec<Child> {
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
