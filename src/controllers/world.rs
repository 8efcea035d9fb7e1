//! What every pass sees: the caches, the clients, and who is to be woken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{Namespace, ObjectReference};
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::reflector::Store;
use tokio::sync::Notify;

use super::awaited::Awaited;
use super::catalog::Catalog;
use super::children::{Child, Children};
use super::instance::decode::Instance;
use super::instance::inventory::Identity;
use super::instance::runs::FailedTasks;
use super::namespaces;
use super::refusals::Refusals;
use super::repairs::Repairs;
use super::surroundings::{CompiledTemplates, Surroundings, TestedTemplates};
use super::template::revisions::{self, Held};
use super::turns::{Asked, Turn, Turns};
use super::wakes::{Interest, Key, Wakes};
use crate::api::instance::InventoryEntry;
use crate::api::{self, marks};
use crate::catalog::index::Changes;
use crate::catalog::refs::EntityRef;
use crate::runtime::backoff::Attempts;
use crate::runtime::clients::Clients;
use crate::runtime::discovery::KindPicture;
use crate::runtime::events::Events;
use crate::runtime::http::Readiness;
use crate::runtime::metrics::Metrics;
use crate::template::compile::Policy;
use crate::template::kinds::Kinds;

/// What the watches on revisions and namespaces have seen.
pub struct Stores {
    /// Revisions of templates.
    pub revisions: Store<ControllerRevision>,
    /// Namespaces, their metadata only.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
}

/// What every pass sees.
pub struct World {
    /// The clients.
    pub clients: Arc<Clients>,
    /// What the cluster serves.
    pub kinds: KindPicture,
    /// All entities.
    pub catalog: Catalog,
    /// The caches of what is no entity.
    pub stores: Stores,
    /// Whether everything has been seen once.
    pub ready: Readiness,
    /// The watches on templates' objects.
    pub children: Children,
    /// The objects of others that are waited for.
    pub awaited: Awaited,
    /// Who is to be woken.
    pub wakes: Wakes,
    /// What the administrator allows.
    pub policy: Policy,
    /// The shortest wait before something that no watch shows is looked at again.
    pub blocked_retry: Duration,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where events go.
    pub events: Events,
    /// How often each entity has failed in a row.
    pub attempts: Attempts<Key>,
    /// Says that one has failed in a way that may be the apiserver's being away.
    pub failed: Notify,
    /// Templates that compiled, by digest and version.
    pub compiled: CompiledTemplates,
    /// What the examples of templates came to.
    pub tested: TestedTemplates,
    /// What the apiserver has refused.
    pub refusals: Refusals,
    /// What was put right, and how often.
    pub repairs: Repairs,
    /// Why runs of pipelines have failed.
    pub failed_tasks: FailedTasks,
    /// Whose turn it is to be moved to a new version.
    pub turns: Turns,
}

impl World {
    /// The entity of `key`, as new as it is known.
    pub fn get(&self, key: &Key) -> Option<Arc<DynamicObject>> {
        self.catalog.get(key)
    }

    /// Takes note of what a write of ours gave back.
    pub fn wrote(&self, key: &Key, object: DynamicObject) {
        if let Some(changes) = self.catalog.wrote(key, object) {
            self.concern(&changes);
        }
    }

    /// Wakes those whom a change in the catalog concerns: at once where it decides what is so, and soon where it is counted.
    pub fn concern(&self, changes: &Changes<Key>) {
        // Before that, everyone waits in a queue for the first pass.
        if self.ready.was_reached() {
            changes.named.iter().for_each(|key| self.wakes.wake_promptly(key));
            changes.counted.iter().for_each(|key| self.wakes.wake_soon(key));
        }
    }

    /// Wakes those that read the entity of `key`.
    pub fn wake_readers(&self, key: &Key) {
        for reference in self.catalog.references(key) {
            self.wakes.wake_interested(&Interest::Entity(reference));
        }
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

impl Surroundings for World {
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn of_uid(&self, uid: &str) -> Option<Key> {
        self.wakes.of_uid(uid)
    }

    fn revision(&self, template: &Key, wanted: &dyn Fn(&Held) -> bool) -> Option<Held> {
        revisions::find(&self.stores.revisions, &template.namespace, &template.name, wanted)
    }

    fn namespace_labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        Some(namespaces::labels(self, namespace))
    }

    fn kinds(&self) -> &dyn Kinds {
        &self.kinds
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn compiled(&self) -> &CompiledTemplates {
        &self.compiled
    }

    fn tested(&self) -> &TestedTemplates {
        &self.tested
    }

    fn turn(&self, template: &Key, instance: &Key, asked: &Asked<'_>) -> Option<Turn> {
        self.turns.take(template, instance, asked)
    }
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
