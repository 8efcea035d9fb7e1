//! Watches on the objects that templates render to: one for each kind and account, opened before the first
//! object is touched, so that what is unchanged costs no request.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, WatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use serde_json::Value;

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
mod watch;

pub use watch::Watch;
use watch::{Place, State, place_of, relist};

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
                    Some(Err(error)) => {
                        self.failed(key, watch, &error);
                        // A watch that could be opened again says so with its next event only, and a kind at rest has none.
                        if matches!(error, watcher::Error::WatchStartFailed(_)) && watch.has_failed() {
                            self.opens(key, watch, &api, &config).await;
                            break;
                        }
                    }
                    None => return,
                }
            }
        }
    }

    /// Tries until the watch can be opened. A list alone would prove nothing: an account may be allowed to list and not to watch.
    async fn opens(&self, key: &WatchKey, watch: &Watch, api: &Api<DynamicObject>, config: &watcher::Config) {
        let mut delays = watcher::DefaultBackoff::default();
        let asked = WatchParams {
            label_selector: config.label_selector.clone(),
            timeout: Some(1),
            ..WatchParams::default()
        };
        loop {
            tokio::select! {
                () = tokio::time::sleep(delays.next().unwrap_or_default()) => {}
                () = watch.try_now.notified() => {}
            }
            match api.watch(&asked, "0").await {
                Ok(_) => return,
                Err(error) => self.failed(key, watch, &watcher::Error::WatchStartFailed(error)),
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
