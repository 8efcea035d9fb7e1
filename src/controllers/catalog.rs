//! The catalog as the watches and our own writes have shown it: the index, and each entity packed, which takes a tenth of
//! the memory that a tree of values does.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::api::DynamicObject;
use serde::Deserialize as _;
use serde_json::Value;

use super::packed::Packed;
use super::wakes::{Key, OwnKind};
use crate::api::instance::{EnvironmentInForce, TemplateInForce};
use crate::api::reasons::Reason;
use crate::api::rollout::Moved;
use crate::api::{conditions, marks};
use crate::catalog::fields;
use crate::catalog::index::{Aspects, Changes, InEnvironment, InRollout, Index, MovedAt, Told};
use crate::catalog::refs::EntityRef;

/// The annotation in which `kubectl apply` keeps the whole object once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An entity as it is kept.
#[derive(Debug)]
pub struct Stored {
    /// Its place in the cluster's history.
    version: u64,
    uid: Box<str>,
    /// All but the status, hashed: what anyone can ask for.
    wanted: u64,
    /// The object without what nothing here reads: managed fields, the last applied configuration, and of an API the
    /// definition.
    object: Packed,
}

/// What a watch has shown.
pub struct Seen {
    /// Whom it concerns.
    pub changes: Changes<Key>,
    /// Whether nothing but the status has changed. Mostly it is what we wrote, come back before the answer to the write.
    pub status_only: bool,
}

/// Every entity.
#[derive(Default)]
pub struct Catalog {
    index: RwLock<Index<Key, Stored>>,
}

impl Catalog {
    /// The index, for as long as the guard lives. Not to be held across an await.
    pub fn index(&self) -> RwLockReadGuard<'_, Index<Key, Stored>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index<Key, Stored>> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entity of `key`, as new as it is known.
    pub fn get(&self, key: &Key) -> Option<Arc<DynamicObject>> {
        self.index()
            .get(key)
            .and_then(|stored| stored.object.object())
            .map(Arc::new)
    }

    /// The entity that a ref means.
    pub fn resolve(&self, reference: &EntityRef) -> Option<Key> {
        self.index().resolve(reference).cloned()
    }

    /// The ref of the entity of `key`, whether it is known or not.
    pub fn reference(&self, key: &Key) -> EntityRef {
        let known = self.index().reference(key);
        known.unwrap_or_else(|| EntityRef::new(key.kind.kind(), &key.namespace, &key.name))
    }

    /// Every ref that means, or meant, the entity of `key`, whether it is known or not.
    pub fn references(&self, key: &Key) -> Vec<EntityRef> {
        let (own, object) = (
            self.reference(key),
            EntityRef::new(key.kind.word(), &key.namespace, &key.name),
        );
        let index = self.index();
        let former = index.aliases(key).map(|(parts, _)| parts.to_ref());
        let mut all: Vec<EntityRef> = [own, object].into_iter().chain(former).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The UID of the entity of `key`.
    pub fn uid(&self, key: &Key) -> Option<String> {
        self.index().get(key).map(|stored| stored.uid.to_string())
    }

    /// Every entity of a kind.
    pub fn keys(&self, kind: OwnKind) -> Vec<Key> {
        self.index().keys().filter(|key| key.kind == kind).cloned().collect()
    }

    /// Takes in what a watch has shown. None if there is nothing new in it: what we wrote ourselves comes back.
    pub fn saw(&self, key: &Key, object: DynamicObject) -> Option<Seen> {
        let told = told(key, object);
        let mut index = self.index_mut();
        let known = index.get(key).filter(|known| known.uid == told.uid);
        if known.is_some_and(|known| known.version >= told.payload.version) {
            return None;
        }
        let status_only = known.is_some_and(|known| known.wanted == told.payload.wanted);
        Some(Seen {
            changes: index.put(told),
            status_only,
        })
    }

    /// Takes in what a write of ours gave back. None if it is gone, or known to be newer.
    pub fn wrote(&self, key: &Key, object: DynamicObject) -> Option<Changes<Key>> {
        let told = told(key, object);
        let mut index = self.index_mut();
        let known = index.get(key)?;
        if known.uid != told.uid || known.version >= told.payload.version {
            return None;
        }
        Some(index.put(told))
    }

    /// The entity of `key` is gone.
    pub fn gone(&self, key: &Key) -> Changes<Key> {
        self.index_mut().take(key)
    }
}

/// `object` as the index is told of it.
fn told(key: &Key, mut object: DynamicObject) -> Told<Key, Stored> {
    let kind = key.kind.kind();
    let spec = object.data.get("spec").unwrap_or(&Value::Null);
    let reference = fields::reference(kind, &key.namespace, &key.name, spec);
    let written = fields::written(kind, &key.namespace, spec).into_iter();
    // What names itself is told as a fault, and stands in no relation by it.
    let declared = written
        .filter_map(|one| Some((one.role, one.target.ok()?)))
        .filter(|(_, target)| *target != reference)
        .collect();
    let aliases = fields::aliases(kind, &key.namespace, spec).into_iter();
    let aliases = aliases.filter_map(|alias| alias.target.ok()).collect();
    let aspects = aspects(&object);
    let uid: Box<str> = object.metadata.uid.clone().unwrap_or_default().into();
    let version = version(&object);
    let created = object
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(0, |time| time.0.as_second());
    let wanted = wanted(&object);
    object.metadata.managed_fields = None;
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
    if key.kind == OwnKind::Api
        && let Some(spec) = object.data.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.remove("definition");
    }
    Told {
        key: key.clone(),
        uid: uid.clone(),
        created,
        reference,
        aliases,
        declared,
        aspects,
        payload: Stored {
            version,
            uid,
            wanted,
            object: Packed::of(&object),
        },
    }
}

fn wanted(object: &DynamicObject) -> u64 {
    let metadata = &object.metadata;
    let mut hasher = DefaultHasher::new();
    metadata.generation.hash(&mut hasher);
    metadata.deletion_timestamp.is_some().hash(&mut hasher);
    metadata.labels.hash(&mut hasher);
    metadata.annotations.hash(&mut hasher);
    metadata.finalizers.hash(&mut hasher);
    hasher.finish()
}

fn aspects(object: &DynamicObject) -> Aspects {
    let status = object.data.get("status").unwrap_or(&Value::Null);
    let current = status.get("observedGeneration").and_then(Value::as_i64) == object.metadata.generation;
    let revision = status.pointer("/template/digest").and_then(Value::as_str);
    let rollout = revision.map(|_| in_rollout(object, status)).unwrap_or_default();
    Aspects {
        ready: current && says(status, conditions::READY).is_some_and(is_true),
        revision: revision.map(Into::into),
        rollout,
    }
}

/// The condition of a type in a status.
fn says<'s>(status: &'s Value, kind: &str) -> Option<&'s Value> {
    let mut conditions = status.get("conditions")?.as_array()?.iter();
    conditions.find(|condition| text(condition, "type") == kind)
}

fn is_true(condition: &Value) -> bool {
    text(condition, "status") == "True"
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn in_rollout(object: &DynamicObject, status: &Value) -> InRollout {
    let template = object.data.pointer("/spec/template");
    let asks = |name: &str| template.and_then(|template| template.get(name));
    let released = object.metadata.annotations.as_ref().is_some_and(marks::says_release);
    let ready = says(status, conditions::READY);
    let at = status
        .get("template")
        .and_then(|at| TemplateInForce::deserialize(at).ok());
    let at = at.unwrap_or_default();
    let named = status
        .get("environments")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let pinned = |name: &str| asks("environments").is_some_and(|pins| pins.get(name).is_some());
    let environments = environments_that_follow(&at, named.map(|environment| text(environment, "name")), pinned);
    let environments = environments.into_iter().map(|(name, known)| InEnvironment {
        name: name.into(),
        revision: known.map(|known| known.digest.as_str().into()),
        moved: known.map_or_else(MovedAt::default, |known| moved_at(known.moved.as_ref())),
    });
    let up_to_date = says(status, conditions::UP_TO_DATE);
    InRollout {
        follows: template.is_some()
            && asks("version").is_none()
            && asks("suspend") != Some(&Value::Bool(true))
            && object.metadata.deletion_timestamp.is_none()
            && status.get("handOver").is_none_or(Value::is_null)
            && !released,
        up: ready.is_some_and(is_true),
        up_since: ready.map_or(0, |ready| {
            moment(text(ready, "lastTransitionTime")).map_or(0, jiff::Timestamp::as_second)
        }),
        failed: says(status, conditions::STALLED).is_some()
            || ready.is_some_and(|ready| text(ready, "reason") == Reason::Unhealthy.as_str()),
        stopped: says(status, conditions::ACCEPTED).is_some_and(|said| !is_true(said)),
        held: up_to_date.is_some_and(|said| !is_true(said) && is_of_its_own(text(said, "reason"))),
        moved: moved_at(at.moved.as_ref()),
        environments: environments.collect(),
    }
}

/// The environments of an instance at `at` that have no pin, in the order of their names, each with what is said of its version if
/// it is not the instance's own. `named` are those of which it has objects.
pub fn environments_that_follow<'a>(
    at: &'a TemplateInForce,
    named: impl Iterator<Item = &'a str>,
    pinned: impl Fn(&str) -> bool,
) -> BTreeMap<&'a str, Option<&'a EnvironmentInForce>> {
    let own = at.environments.iter().map(|known| (known.name.as_str(), Some(known)));
    let all = named.map(|name| (name, None)).chain(own);
    all.filter(|(name, _)| !pinned(name)).collect()
}

/// When a rollout moved something.
pub fn moved_at(moved: Option<&Moved>) -> MovedAt {
    let Some(moved) = moved else {
        return MovedAt::default();
    };
    MovedAt {
        at: moment(&moved.at).map_or(0, jiff::Timestamp::as_microsecond),
        was_ready: moved.was_ready,
    }
}

/// Whether an instance with this reason of `UpToDate` would not move if it was its turn.
pub fn is_of_its_own(reason: &str) -> bool {
    ![Reason::Latest, Reason::Pinned, Reason::NewerVersion]
        .iter()
        .any(|other| other.as_str() == reason)
}

/// A time as a status has it.
pub fn moment(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok()
}

/// A time as a status has it where seconds do not tell two events apart: to the microsecond.
pub fn to_the_microsecond(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The object's place in the cluster's history.
pub fn version(object: &DynamicObject) -> u64 {
    let text = object.metadata.resource_version.as_deref();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
