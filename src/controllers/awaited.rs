//! Objects of others that are waited for: a watch on each, by its name, until it is there.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt, watcher};
use tokio_util::sync::CancellationToken;

use super::children::resource;
use super::wakes::{Key, Wakes};
use crate::runtime::clients::{Account, Clients};
use crate::template::kinds::KindInfo;

/// One object, and as whom it is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// As whom.
    pub account: Account,
    /// Its kind.
    pub kind: KindInfo,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The watches that are open, by the instance that waits.
type Open = HashMap<Key, HashMap<Place, CancellationToken>>;

/// What is waited for.
#[derive(Clone)]
pub struct Awaited {
    clients: Arc<Clients>,
    wakes: Wakes,
    timeout: u32,
    open: Arc<Mutex<Open>>,
}

impl Awaited {
    /// Nothing is waited for yet. Each watch is to be kept for `timeout` seconds.
    pub fn new(clients: Arc<Clients>, wakes: Wakes, timeout: u32) -> Self {
        Self {
            clients,
            wakes,
            timeout,
            open: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `instance` wait for the objects at `places`, and for nothing else: it is woken once one of them is there.
    pub fn only(&self, instance: &Key, places: &HashSet<Place>) {
        let mut open = self.lock();
        if places.is_empty() && !open.contains_key(instance) {
            return;
        }
        let known = open.entry(instance.clone()).or_default();
        known.retain(|place, stop| {
            let kept = places.contains(place);
            if !kept {
                stop.cancel();
            }
            kept
        });
        for place in places {
            if !known.contains_key(place) {
                known.insert(place.clone(), self.open(instance, place));
            }
        }
        if known.is_empty() {
            open.remove(instance);
        }
    }

    /// Ends all watches of an instance that is gone.
    pub fn forget(&self, instance: &Key) {
        self.only(instance, &HashSet::new());
    }

    fn open(&self, instance: &Key, place: &Place) -> CancellationToken {
        let stop = CancellationToken::new();
        let (awaited, instance, place, stopped) = (self.clone(), instance.clone(), place.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => return,
                () = awaited.appears(&place) => {}
            }
            // First forgotten, so that the pass that it wakes can wait for it anew.
            let mut open = awaited.lock();
            if !stopped.is_cancelled()
                && let Some(known) = open.get_mut(&instance)
            {
                known.remove(&place);
            }
            drop(open);
            awaited.wakes.wake(&instance);
        });
        stop
    }

    /// Returns once the object is there, or cannot be looked for.
    async fn appears(&self, place: &Place) {
        let Ok(client) = self.clients.account(&place.account) else {
            return;
        };
        let api: Api<PartialObjectMeta<DynamicObject>> =
            Api::namespaced_with(client, &place.namespace, &resource(&place.kind));
        let config = Config::default()
            .timeout(self.timeout)
            .fields(&format!("metadata.name={}", place.name));
        let mut events = std::pin::pin!(watcher(api, config).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) if object.metadata.deletion_timestamp.is_none() => {
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(kind = place.kind.resource(), name = place.name, %error, "an awaited object is not watched");
                }
            }
        }
    }
}
