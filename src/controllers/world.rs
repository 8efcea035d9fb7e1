//! What every pass sees: the caches, the clients, and who is to be woken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{Namespace, ObjectReference};
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store};

use super::children::{Child, Children};
use super::instance::decode::Instance;
use super::instance::inventory::Identity;
use super::instance::runs::FailedTasks;
use super::refusals::Refusals;
use super::wakes::{Key, OwnKind, Wakes};
use crate::api::instance::InventoryEntry;
use crate::api::{self, marks};
use crate::catalog::refs::EntityRef;
use crate::runtime::backoff::Attempts;
use crate::runtime::clients::Clients;
use crate::runtime::discovery::KindPicture;
use crate::runtime::events::Events;
use crate::runtime::metrics::Metrics;
use crate::template::compile::{Compiled, Policy};

/// What the watches on our own kinds, revisions and namespaces have seen.
pub struct Stores {
    /// Components.
    pub components: Store<DynamicObject>,
    /// Systems.
    pub systems: Store<DynamicObject>,
    /// Templates.
    pub templates: Store<DynamicObject>,
    /// Revisions of templates.
    pub revisions: Store<ControllerRevision>,
    /// Namespaces, their metadata only.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
}

impl Stores {
    /// The store of a kind.
    pub fn of(&self, kind: OwnKind) -> &Store<DynamicObject> {
        match kind {
            OwnKind::Component => &self.components,
            OwnKind::System => &self.systems,
            OwnKind::Template => &self.templates,
        }
    }
}

/// What every pass sees.
pub struct World {
    /// The clients.
    pub clients: Arc<Clients>,
    /// What the cluster serves.
    pub kinds: KindPicture,
    /// The caches.
    pub stores: Stores,
    /// The watches on templates' objects.
    pub children: Children,
    /// Who is to be woken.
    pub wakes: Wakes,
    /// What the administrator allows.
    pub policy: Policy,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where events go.
    pub events: Events,
    /// How often each entity has failed in a row.
    pub attempts: Attempts<Key>,
    /// Our own last writes, until the caches have them.
    pub written: Mutex<HashMap<Key, Arc<DynamicObject>>>,
    /// Templates that compiled, by digest and version.
    pub compiled: Mutex<HashMap<(String, String), Arc<Compiled>>>,
    /// What the apiserver has refused.
    pub refusals: Refusals,
    /// Why runs of pipelines have failed.
    pub failed_tasks: FailedTasks,
}

impl World {
    /// The newer of what the cache holds and what we wrote last. `cached` may have been read a while ago.
    pub fn newest(&self, key: &Key, cached: Arc<DynamicObject>) -> Arc<DynamicObject> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        match written.get(key) {
            Some(ours) if ours.metadata.uid == cached.metadata.uid && version(ours) > version(&cached) => ours.clone(),
            Some(_) => {
                written.remove(key);
                cached
            }
            // What we wrote is forgotten once the cache has it, which may have been after `cached` was read.
            None => self
                .cached(key)
                .filter(|now| now.metadata.uid == cached.metadata.uid && version(now) > version(&cached))
                .unwrap_or(cached),
        }
    }

    fn cached(&self, key: &Key) -> Option<Arc<DynamicObject>> {
        let object_ref = ObjectRef::new_with(&key.name, key.kind.resource()).within(&key.namespace);
        self.stores.of(key.kind).get(&object_ref)
    }

    /// Remembers what a write of ours gave back.
    pub fn wrote(&self, key: &Key, object: &Arc<DynamicObject>) {
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone(), object.clone());
    }

    /// Whether `object` is what we wrote ourselves, so that there is nothing new in it.
    pub fn is_own_write(&self, key: &Key, object: &DynamicObject) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written
            .get(key)
            .is_some_and(|ours| ours.metadata.uid == object.metadata.uid && version(ours) >= version(object))
    }

    /// Takes note that the cache has `object`: a write of ours that is not newer is kept no longer, since every entity would be
    /// in memory twice. Gives what [`Self::is_own_write`] gives.
    pub fn caught_up(&self, key: &Key, object: &DynamicObject) -> bool {
        let own = self.is_own_write(key, object);
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead =
            |ours: &Arc<DynamicObject>| ours.metadata.uid == object.metadata.uid && version(ours) > version(object);
        if !written.get(key).is_some_and(ahead) {
            written.remove(key);
        }
        own
    }

    /// The entity of `key`, as new as it is known.
    pub fn get(&self, key: &Key) -> Option<Arc<DynamicObject>> {
        self.cached(key).map(|cached| self.newest(key, cached))
    }

    /// The instance other than that of `uid` to which the object of `entry` was handed over: its marks name it, and its inventory
    /// lists the object with the claim that is on it.
    pub fn holder(&self, uid: &str, entry: &InventoryEntry, child: &Child) -> Option<EntityRef> {
        let label = child.owner().filter(|label| *label != uid)?;
        let claim = child.mark(marks::CLAIM)?;
        let key = self.wakes.of_uid(label)?;
        let holder = Instance::decode(&key, &*self.get(&key)?).ok()?;
        let listed = holder
            .status
            .inventory
            .iter()
            .any(|listed| listed.claim == claim && Identity::of(listed) == Identity::of(entry));
        listed.then(|| holder.reference())
    }

    /// The API of one of our own kinds, as the operator itself.
    pub fn api(&self, key: &Key) -> Api<DynamicObject> {
        Api::namespaced_with(self.clients.operator(), &key.namespace, &key.kind.resource())
    }
}

/// The object's place in the cluster's history.
pub fn version(object: &DynamicObject) -> u64 {
    object
        .metadata
        .resource_version
        .as_deref()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// `object` as an Event names it.
pub fn reference(key: &Key, object: &DynamicObject) -> ObjectReference {
    ObjectReference {
        api_version: Some(api::API_VERSION.to_owned()),
        kind: Some(key.kind.kind().to_owned()),
        namespace: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
        uid: object.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}
