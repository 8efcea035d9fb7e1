//! Making the objects of a plan so, and keeping them so. What is as planned costs no request.

use std::collections::HashMap;
use std::sync::Arc;

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};

use super::access::{describe_planned, object_api, watch_key};
use super::decode::Instance;
use super::drift::says;
use super::inventory::{Identity, for_create, for_update, intent_mark, mark, stamp};
use crate::api::instance::{DriftPolicy, InventoryEntry, Mode};
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::catalog::refs;
use crate::controllers::children::{Child, Watch, WatchKey};
use crate::controllers::namespaces;
use crate::controllers::refusals::Question;
use crate::controllers::trouble::{Attempt, Trouble, of_error};
use crate::controllers::world::World;
use crate::runtime::clients::Account;
use crate::template::content::hash;
use crate::template::health::{Health, health};
use crate::template::plan::{Live, Plan, PlannedObject, Rendered};

/// How one object of a plan came out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What is in the way of its being as planned.
    pub trouble: Option<Trouble>,
    /// Its health, where it exists.
    pub health: Option<Health>,
    /// What differs and is left so.
    pub drifted: bool,
}

impl Outcome {
    fn troubled(trouble: Trouble) -> Self {
        Self {
            trouble: Some(trouble),
            health: None,
            drifted: false,
        }
    }

    /// Whether it is as planned and healthy, so that what depends on it may follow.
    pub fn is_ready(&self) -> bool {
        self.trouble.is_none() && matches!(self.health, Some(Health::Healthy))
    }
}

/// One pass over the objects of a plan.
pub struct Apply<'a> {
    /// The caches and clients.
    pub world: &'a World,
    /// Whose objects they are.
    pub instance: &'a Instance,
    /// The plan.
    pub plan: &'a Plan,
    /// As whom.
    pub account: &'a Account,
    /// The watches on the plan's kinds.
    pub watches: &'a HashMap<WatchKey, Arc<Watch>>,
    /// Whether nothing may be written.
    pub suspended: bool,
}

impl Apply<'_> {
    /// Goes through the plan in order. `entries` has one entry for each object and takes in what came of it.
    pub async fn run(&self, entries: &mut [InventoryEntry]) -> (Vec<Outcome>, Live) {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(entries.len());
        let mut live = Live::new();
        for (place, (object, entry)) in self.plan.objects.iter().zip(entries.iter_mut()).enumerate() {
            let outcome = match self.held_up(object, &outcomes) {
                Some(trouble) => Outcome::troubled(trouble),
                None => self.one(place, object, entry, &mut live).await,
            };
            outcomes.push(outcome);
        }
        (outcomes, live)
    }

    /// The first of the objects before it that is not ready yet.
    fn held_up(&self, object: &PlannedObject, outcomes: &[Outcome]) -> Option<Trouble> {
        let before = object
            .depends_on
            .iter()
            .find(|place| outcomes.get(**place).is_some_and(|outcome| !outcome.is_ready()))?;
        let awaited = self.plan.objects.get(*before)?;
        Some(Trouble::waiting(
            Reason::WaitingForDependency,
            format!(
                "{}: waiting for {} to be ready",
                describe_planned(object),
                describe_planned(awaited)
            ),
        ))
    }

    async fn one(&self, place: usize, object: &PlannedObject, entry: &mut InventoryEntry, live: &mut Live) -> Outcome {
        let Some(watch) = self.watches.get(&watch_key(self.account, &object.kind)) else {
            return Outcome::troubled(Trouble::transient(format!(
                "{}: it is not watched yet",
                describe_planned(object)
            )));
        };
        let child = watch
            .get(object.namespace.as_deref(), &object.name)
            .filter(|child| child.uid == entry.uid);
        if object.mode == Mode::Once && !entry.uid.is_empty() {
            // Done once and for all; whether it still exists is nobody's concern.
            if let Some(child) = child {
                live.insert(place, child.object);
            }
            return Outcome {
                trouble: None,
                health: Some(Health::Healthy),
                drifted: false,
            };
        }
        if let Some(child) = child.as_ref().filter(|child| child.deleting) {
            live.insert(place, child.object.clone());
            return Outcome::troubled(being_deleted(object));
        }
        if let Some(child) = &child {
            live.insert(place, child.object.clone());
            let holder = self.world.holder(&self.instance.uid, entry, child);
            if let Some(holder) = holder.filter(|_| !self.names_us(child.mark(marks::ADOPT_BY))) {
                return Outcome::troubled(self.conflict(object, &format!("was handed over to {holder}")));
            }
        }
        let intent = match self.plan.render(place, live) {
            Ok(Rendered::Object(intent)) => mark(intent, self.instance, entry),
            Ok(Rendered::Waiting { field, value }) => {
                let message = format!("resource \"{}\", {field}: waiting for {value}", entry.resource);
                return Outcome::troubled(Trouble::waiting(Reason::WaitingForValue, message));
            }
            Err(fault) => return Outcome::troubled(Trouble::invalid(fault.reason, fault.to_string())),
        };
        match self.settle(object, entry, watch, child, intent).await {
            Ok((child, drifted)) => {
                // What is made once is done when it is made, in this pass as in every later one.
                let health = match object.mode {
                    Mode::Once => Health::Healthy,
                    Mode::Own | Mode::Patch => self.health(place, object, &child, live),
                };
                live.insert(place, child.object);
                Outcome {
                    trouble: None,
                    health: Some(health),
                    drifted,
                }
            }
            Err(trouble) => Outcome::troubled(trouble),
        }
    }

    /// Brings one object to what is intended, unless it is so already. Gives it, and whether it differs and is left so.
    async fn settle(
        &self,
        object: &PlannedObject,
        entry: &mut InventoryEntry,
        watch: &Watch,
        child: Option<Child>,
        intent: Value,
    ) -> Result<(Child, bool), Trouble> {
        let intent_hash = hash(&intent);
        let reporting = object.drift_policy == DriftPolicy::Report && entry.intent_hash == intent_hash;
        let child = match child {
            None if reporting && !self.suspended => self.marked_again(object, entry, watch, &intent).await?,
            found => found,
        };
        if let Some(child) = child {
            let asked_last = child.mark(marks::INTENT) == Some(intent_mark(&intent_hash).as_str());
            if asked_last && child.applied_hash == entry.applied_hash {
                self.world.metrics.skipped.inc();
                return Ok((child, false));
            }
            if reporting {
                let drifted = !says(&child.object, &intent);
                return Ok((child, drifted));
            }
        }
        if self.suspended {
            return Err(Trouble::waiting(
                Reason::Suspended,
                format!(
                    "{} is not as planned, and the instance is suspended",
                    describe_planned(object)
                ),
            ));
        }
        self.still_wanted()?;
        let question = self.question(object, entry, &intent_hash);
        if let Some(refusal) = self.world.refusals.standing(&question) {
            return Err(refusal);
        }
        let outcome = self.write(object, entry, watch, intent, intent_hash).await;
        self.world.refusals.answered(question, outcome.as_ref().err());
        outcome
    }

    /// What the apiserver is to be asked. A refusal stands until one of these is another.
    fn question(&self, object: &PlannedObject, entry: &InventoryEntry, intent_hash: &str) -> Question {
        let name = object.namespace.as_deref().unwrap_or(&object.name);
        Question {
            instance: self.instance.key.clone(),
            object: Identity::planned(object),
            asked: hash(&json!([
                intent_hash,
                entry.uid,
                self.instance.generation,
                self.instance.annotations.get(marks::RECONCILE),
                self.account.to_string(),
                namespaces::version(self.world, name),
            ])),
        }
    }

    async fn write(
        &self,
        object: &PlannedObject,
        entry: &mut InventoryEntry,
        watch: &Watch,
        intent: Value,
        intent_hash: String,
    ) -> Result<(Child, bool), Trouble> {
        let intent = stamp(intent, &intent_hash);
        let made = if entry.uid.is_empty() {
            self.create(object, entry, &intent).await?
        } else {
            match self.apply(object, for_update(intent.clone(), &entry.uid)).await {
                Ok(made) => made,
                Err(error) if is_gone(&error) => self.create(object, entry, &intent).await?,
                Err(error) => return self.refused(object, entry, watch, &error).await,
            }
        };
        let child = watch.observe(made);
        entry.uid.clone_from(&child.uid);
        entry.applied_hash.clone_from(&child.applied_hash);
        entry.intent_hash = intent_hash;
        Ok((child, false))
    }

    /// Whether the instance still asks for what this pass is bringing about. A long pass is not to go on against a newer word.
    fn still_wanted(&self) -> Result<(), Trouble> {
        let newest = self.world.get(&self.instance.key);
        let same = newest.is_some_and(|newest| {
            newest.metadata.uid.as_ref() == Some(&self.instance.uid)
                && newest.metadata.generation == Some(self.instance.generation)
                && newest.metadata.deletion_timestamp.is_none()
        });
        if same {
            return Ok(());
        }
        Err(Trouble::transient("the spec was changed meanwhile; looking again"))
    }

    /// An object that is only reported on has lost our label, and with it our watch, if it is still there. It gets our marks back
    /// and nothing else; an object that is gone is made anew.
    async fn marked_again(
        &self,
        object: &PlannedObject,
        entry: &InventoryEntry,
        watch: &Watch,
        intent: &Value,
    ) -> Result<Option<Child>, Trouble> {
        let of = |verb| self.attempt(verb, object);
        let api = self.api(object).map_err(|error| of_error(&error, of("get")))?;
        let found = api
            .get_opt(&object.name)
            .await
            .map_err(|error| of_error(&error, of("get")))?;
        let there = |found: &DynamicObject| {
            found.metadata.uid.as_ref() == Some(&entry.uid) && found.metadata.deletion_timestamp.is_none()
        };
        if !found.is_some_and(|found| there(&found)) {
            return Ok(None);
        }
        let mark = |place: &str, name: &str| intent.pointer(&format!("/metadata/{place}"))?.get(name).cloned();
        let annotations: serde_json::Map<String, Value> = [marks::INSTANCE, marks::RESOURCE, marks::CLAIM]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), mark("annotations", name)?)))
            .collect();
        let patch = json!({"metadata": {
            "uid": entry.uid, "labels": {marks::INSTANCE_UID: self.instance.uid}, "annotations": annotations,
        }});
        self.world.metrics.wrote("apply");
        let parameters = PatchParams {
            field_manager: Some(marks::OBJECT_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match api.patch(&object.name, &parameters, &Patch::Merge(&patch)).await {
            Ok(marked) => Ok(Some(watch.observe(marked))),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(of_error(&error, of("patch"))),
        }
    }

    /// Makes the object where there is none. What is there already is ours only if its marks say so or it was handed over.
    async fn create(
        &self,
        object: &PlannedObject,
        entry: &InventoryEntry,
        intent: &Value,
    ) -> Result<DynamicObject, Trouble> {
        let error = match self.apply(object, for_create(intent.clone())).await {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        if !matches!(&error, kube::Error::Api(status) if status.code == 409) {
            return Err(of_error(&error, self.attempt("create", object)));
        }
        let api = self
            .api(object)
            .map_err(|error| of_error(&error, self.attempt("get", object)))?;
        let found = api
            .get_opt(&object.name)
            .await
            .map_err(|error| of_error(&error, self.attempt("get", object)))?;
        let Some(found) = found else {
            return Err(Trouble::transient(format!(
                "{} came and went while it was to be made",
                describe_planned(object)
            )));
        };
        let uid = found.metadata.uid.clone().unwrap_or_default();
        if found.metadata.deletion_timestamp.is_some() {
            return Err(being_deleted(object));
        }
        if !self.is_ours(&found, entry) && !self.is_handed_over(&found) {
            return Err(self.conflict(object, "exists and is not ours"));
        }
        let updated = self.apply(object, for_update(intent.clone(), &uid)).await;
        let updated = updated.map_err(|error| of_error(&error, self.attempt("patch", object)))?;
        if let Some(before) = found
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(marks::INSTANCE_UID))
        {
            // Whose it was, if another's, has something to say now.
            self.world.wakes.wake_uid(before);
        }
        Ok(updated)
    }

    /// Whether both the label and the claim on `found` are this instance's: a create whose answer was lost.
    fn is_ours(&self, found: &DynamicObject, entry: &InventoryEntry) -> bool {
        let label = found
            .metadata
            .labels
            .iter()
            .flatten()
            .find(|(name, _)| *name == marks::INSTANCE_UID);
        let claim = found
            .metadata
            .annotations
            .iter()
            .flatten()
            .find(|(name, _)| *name == marks::CLAIM);
        label.is_some_and(|(_, uid)| *uid == self.instance.uid) && claim.is_some_and(|(_, claim)| *claim == entry.claim)
    }

    /// Whether whoever may annotate `found` has handed it to this instance, and to no other.
    fn is_handed_over(&self, found: &DynamicObject) -> bool {
        let annotations = found.metadata.annotations.as_ref();
        self.names_us(annotations.and_then(|all| all.get(marks::ADOPT_BY)).map(String::as_str))
    }

    /// Whether the mark for taking an object over names this instance.
    fn names_us(&self, adopt_by: Option<&str>) -> bool {
        adopt_by
            .and_then(|text| refs::parse(text, None, &self.instance.key.namespace).ok())
            .is_some_and(|to| to == self.instance.reference())
    }

    fn conflict(&self, object: &PlannedObject, how: &str) -> Trouble {
        let place = object
            .namespace
            .as_ref()
            .map(|namespace| format!(" -n {namespace}"))
            .unwrap_or_default();
        Trouble::blocked(
            Reason::NameConflict,
            format!(
                "{} {how}; rename the {}, or hand it over: kubectl annotate{place} {} {} {}={}",
                describe_planned(object),
                self.instance.key.kind.word(),
                if object.kind.kind == "Namespace" {
                    "namespace".to_owned()
                } else {
                    object.kind.resource()
                },
                object.name,
                marks::ADOPT_BY,
                self.instance.reference(),
            ),
        )
    }

    /// An apply was refused. Where a field cannot be changed and the template says so, the object is deleted to be made anew.
    async fn refused(
        &self,
        object: &PlannedObject,
        entry: &InventoryEntry,
        watch: &Watch,
        error: &kube::Error,
    ) -> Result<(Child, bool), Trouble> {
        let trouble = of_error(error, self.attempt("patch", object));
        let replaceable = object.replace && !matches!(object.kind.kind.as_str(), "Namespace" | "PersistentVolumeClaim");
        if trouble.reason != Reason::ImmutableField || !replaceable {
            return Err(trouble);
        }
        let api = self
            .api(object)
            .map_err(|error| of_error(&error, self.attempt("delete", object)))?;
        let only_this = Preconditions {
            uid: Some(entry.uid.clone()),
            resource_version: None,
        };
        let parameters = DeleteParams {
            preconditions: Some(only_this),
            ..DeleteParams::background()
        };
        self.world.metrics.wrote("delete");
        api.delete(&object.name, &parameters)
            .await
            .map_err(|error| of_error(&error, self.attempt("delete", object)))?;
        watch.remove(object.namespace.as_deref(), &object.name, &entry.uid);
        Err(Trouble::transient(format!(
            "{} is being replaced, since a field of it cannot be changed",
            describe_planned(object)
        )))
    }

    fn health(&self, place: usize, object: &PlannedObject, child: &Child, live: &Live) -> Health {
        let (api_version, kind) = (object.kind.api_version(), &object.kind.kind);
        let by_kind = health(&child.object, self.world.kinds.declares_conditions(&api_version, kind));
        match self.plan.ready_when(place, &child.object, live) {
            Ok(Some(true)) => Health::Healthy,
            Ok(Some(false)) => by_kind.awaited(&describe_planned(object)),
            Err(fault) => Health::Unknown(fault.to_string()),
            Ok(None) => by_kind,
        }
    }

    async fn apply(&self, object: &PlannedObject, body: Value) -> Result<DynamicObject, kube::Error> {
        let creating = body.pointer("/metadata/resourceVersion").is_some();
        self.world.metrics.wrote(if creating { "create" } else { "apply" });
        let parameters = PatchParams::apply(marks::OBJECT_MANAGER).force();
        self.api(object)?
            .patch(&object.name, &parameters, &Patch::Apply(&body))
            .await
    }

    fn api(&self, object: &PlannedObject) -> Result<Api<DynamicObject>, kube::Error> {
        object_api(self.world, self.account, &object.kind, object.namespace.as_deref())
    }

    fn attempt<'b>(&'b self, verb: &'b str, object: &'b PlannedObject) -> Attempt<'b> {
        Attempt {
            verb,
            kind: &object.kind,
            namespace: object.namespace.as_deref(),
            name: &object.name,
            account: self.account,
        }
    }
}

fn being_deleted(object: &PlannedObject) -> Trouble {
    Trouble::waiting(
        Reason::WaitingForDeletion,
        format!(
            "{} is being deleted; waiting until it is gone to make it anew",
            describe_planned(object)
        ),
    )
}

/// Whether an apply to one UID failed because that object is not there any more (409), or another is in its
/// place (422 on metadata.uid). `tests/apiserver/apply_preconditions.rs` holds the apiserver to these answers.
fn is_gone(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let replaced = || {
        status
            .details
            .iter()
            .flat_map(|details| &details.causes)
            .any(|cause| cause.field == "metadata.uid")
    };
    matches!(status.code, 404 | 409) || (status.code == 422 && replaced())
}
