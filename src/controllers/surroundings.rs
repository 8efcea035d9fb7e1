//! What surrounds an instance, as far as planning it asks: the entities, the templates' revisions, the namespaces, and
//! what the cluster serves and its administrator allows. The operator answers from its caches, and a preview from what it has
//! read, so that both plan alike.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use kube::api::DynamicObject;

use super::catalog::Catalog;
use super::template::revisions::Held;
use super::trouble::Trouble;
use super::turns::{Asked, Turn};
use super::wakes::Key;
use crate::api::reasons::Reason;
use crate::catalog::refs::EntityRef;
use crate::template::compile::{Compiled, Policy, compile};
use crate::template::fault::Fault;
use crate::template::kinds::Kinds;

/// Templates that compiled, by digest and version.
pub type CompiledTemplates = Mutex<HashMap<(String, String), Arc<Compiled>>>;

/// What the examples of templates came to, by all that decides it: what does not hold.
pub type TestedTemplates = Mutex<HashMap<String, Vec<Fault>>>;

/// What surrounds an instance.
pub trait Surroundings {
    /// All entities.
    fn catalog(&self) -> &Catalog;
    /// The instance that has a UID.
    fn of_uid(&self, uid: &str) -> Option<Key>;
    /// The newest revision of a template for which `wanted` holds.
    fn revision(&self, template: &Key, wanted: &dyn Fn(&Held) -> bool) -> Option<Held>;
    /// The labels of a namespace: none if it does not exist, and nothing at all if they may not be read.
    fn namespace_labels(&self, namespace: &str) -> Option<BTreeMap<String, String>>;
    /// What the cluster serves.
    fn kinds(&self) -> &dyn Kinds;
    /// What the administrator allows.
    fn policy(&self) -> &Policy;
    /// Templates that compiled before.
    fn compiled(&self) -> &CompiledTemplates;
    /// Templates whose examples were run before.
    fn tested(&self) -> &TestedTemplates;

    /// The turn of an instance to move to another version of its template, if it is its turn. Whoever only looks, looks as if every
    /// stage had come.
    fn turn(&self, _template: &Key, _instance: &Key, _asked: &Asked<'_>) -> Option<Turn> {
        Some(Turn::free())
    }

    /// The entity of `key`, as new as it is known.
    fn entity(&self, key: &Key) -> Option<Arc<DynamicObject>> {
        self.catalog().get(key)
    }

    /// The entity that a ref means where that decides on what someone gets, as new as it is known. A ref that it had before in
    /// another namespace does not count here: whoever writes there cannot say what refs to elsewhere mean.
    fn find(&self, reference: &EntityRef) -> Option<(Key, Arc<DynamicObject>)> {
        let key = self.catalog().resolve(reference)?;
        if key.namespace.to_lowercase() != reference.namespace {
            return None;
        }
        let object = self.entity(&key)?;
        Some((key, object))
    }

    /// The ref of the entity that [`Self::find`] finds; the same where it finds none.
    fn meant(&self, reference: EntityRef) -> EntityRef {
        let found = self.find(&reference).map(|(key, _)| self.catalog().reference(&key));
        found.unwrap_or(reference)
    }

    /// Why the catalog does not take the entity of `key`: an older one has its ref.
    fn conflict(&self, key: &Key) -> Option<Trouble> {
        let index = self.catalog().index();
        let (rival, reference) = (index.rival(key)?, index.reference(key)?);
        let message = format!(
            "{reference} is the ref of {} {}/{} too, which is older; give this one another name, or delete one of the two",
            rival.kind.full_name(),
            rival.namespace,
            rival.name
        );
        Some(Trouble::invalid(Reason::RefConflict, message))
    }

    /// The compiled content of a revision, from memory where it was compiled before.
    ///
    /// # Errors
    /// What is wrong with it.
    fn compile(&self, held: &Held) -> Result<Arc<Compiled>, Vec<Fault>> {
        let place = (held.digest.clone(), held.version.clone());
        let known = |cache: &CompiledTemplates| {
            let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.get(&place).cloned()
        };
        if let Some(compiled) = known(self.compiled()) {
            return Ok(compiled);
        }
        let fresh = Arc::new(compile(&held.content, &held.version, self.kinds(), self.policy())?);
        let mut cache = self.compiled().lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(place, fresh.clone());
        Ok(fresh)
    }
}
