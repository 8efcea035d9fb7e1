//! Making the objects of a plan so, and keeping them so. What is as planned costs no request.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use kube::api::{Api, DynamicObject, PatchParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::access::{describe_planned, object_api, watch_key};
use super::contest::{Drift, left_so};
use super::decode::Instance;
use super::drift::by_whom;
use super::inventory::{Identity, for_update, intent_mark, mark, stamp};
use super::ownership::{NEVER_WRITTEN, PATCHED};
use crate::api::instance::{DriftPolicy, InventoryEntry, Mode};
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::controllers::children::{Child, Watch, WatchKey, resource};
use crate::controllers::namespaces;
use crate::controllers::refusals::Question;
use crate::controllers::trouble::{Attempt, Trouble, is_gone};
use crate::controllers::world::World;
use crate::runtime::clients::Account;
use crate::runtime::server_side_apply;
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
    /// What differs from the plan, or is fought over, though it stands in nobody's way.
    pub drift: Option<Drift>,
}

impl Outcome {
    fn troubled(trouble: Trouble) -> Self {
        Self {
            trouble: Some(trouble),
            health: None,
            drift: None,
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
    /// Whether the apiserver has confirmed in this pass that the instance is there.
    pub confirmed: OnceCell<()>,
    /// Why nothing more is asked for in this pass: the apiserver wants to be left alone.
    pub left_alone: OnceLock<Trouble>,
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
        self.await_objects(&outcomes);
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
        let seen = watch.get(object.namespace.as_deref(), &object.name);
        if let Some(handed_over) = self.handed_over(object, entry, seen.as_ref()) {
            // Whoever has it now may let it go: it is not to come back by what was known of it.
            entry.uid.clear();
            live.extend(seen.map(|child| (place, child.object)));
            return Outcome::troubled(handed_over);
        }
        let child = seen.filter(|child| child.uid == entry.uid || (entry.uid.is_empty() && self.is_ours(child, entry)));
        if let Some(child) = &child {
            entry.uid.clone_from(&child.uid);
        }
        if entry.mode == Mode::Patch && object.mode != Mode::Patch {
            let handed_over = child.as_ref().map(|child| self.names_us(child.mark(marks::ADOPT_BY)));
            if handed_over == Some(false) {
                return Outcome::troubled(self.conflict(object, PATCHED));
            }
            self.becomes_own(object, entry, handed_over.is_some());
        }
        if object.mode == Mode::Once && !entry.uid.is_empty() {
            // Done once and for all; whether it still exists is nobody's concern.
            if let Some(child) = child {
                live.insert(place, child.object);
            }
            return Outcome {
                trouble: None,
                health: Some(Health::Healthy),
                drift: None,
            };
        }
        if let Some(child) = child.as_ref().filter(|child| child.deleting) {
            live.insert(place, child.object.clone());
            return Outcome::troubled(being_deleted(object));
        }
        if let Some(child) = &child {
            live.insert(place, child.object.clone());
            if object.mode != Mode::Patch && !child.managed && !self.names_us(child.mark(marks::ADOPT_BY)) {
                return Outcome::troubled(self.conflict(object, NEVER_WRITTEN));
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
            Ok((child, drift)) => {
                // What is made once is done when it is made, in this pass as in every later one.
                let health = match object.mode {
                    Mode::Once => Health::Healthy,
                    Mode::Own | Mode::Patch => self.health(place, object, &child, live),
                };
                live.insert(place, child.object);
                Outcome {
                    trouble: None,
                    health: Some(health),
                    drift,
                }
            }
            Err(trouble) => Outcome {
                drift: Drift::of(&trouble),
                ..Outcome::troubled(trouble)
            },
        }
    }

    /// That an object which was this instance's has become another's, which is not to hand it back.
    fn handed_over(&self, object: &PlannedObject, entry: &InventoryEntry, seen: Option<&Child>) -> Option<Trouble> {
        let was_ours = !entry.uid.is_empty() || !entry.intent_hash.is_empty();
        let child = seen.filter(|child| {
            let comes_back = self.names_us(child.mark(marks::ADOPT_BY));
            was_ours && object.mode != Mode::Once && !child.deleting && !comes_back
        })?;
        let holder = self.world.holder(&self.instance.uid, entry, child)?;
        Some(self.conflict(object, &format!("was handed over to {holder}")))
    }

    /// Brings one object to what is intended, unless it is so already. Gives it, and how it differs all the same.
    async fn settle(
        &self,
        object: &PlannedObject,
        entry: &mut InventoryEntry,
        watch: &Watch,
        child: Option<Child>,
        intent: Value,
    ) -> Result<(Child, Option<Drift>), Trouble> {
        let intent_hash = hash(&intent);
        let reporting = object.drift_policy == DriftPolicy::Report && entry.intent_hash == intent_hash;
        let child = match child {
            None if reporting && !self.suspended => self.marked_again(object, entry, watch, &intent).await?,
            found => found,
        };
        if let Some(child) = child.clone() {
            let asked_last = child.mark(marks::INTENT) == Some(intent_mark(&intent_hash).as_str());
            let unchanged = [&entry.applied_hash, &child.written_hash].contains(&&child.applied_hash);
            if asked_last && unchanged && !child.applied_hash.is_empty() {
                self.world.metrics.skipped.inc();
                entry.applied_hash.clone_from(&child.applied_hash);
                entry.intent_hash = intent_hash;
                let drift = self.kept(object, &child, &intent)?;
                return Ok((child, drift));
            }
            if reporting {
                let drift = left_so(object, &child.object, child.others(), &intent);
                return Ok((child, drift));
            }
        }
        if self.suspended {
            let changed = child
                .filter(|_| entry.intent_hash == intent_hash)
                .and_then(|child| by_whom(&child.object, &intent, child.others()));
            let changed = changed.map_or_else(String::new, |changed| format!(": {changed}"));
            return Err(Trouble::waiting(
                Reason::Suspended,
                format!(
                    "{} is not as planned, and the instance is suspended{changed}",
                    describe_planned(object)
                ),
            ));
        }
        self.still_wanted()?;
        if let Some(trouble) = self.left_alone.get() {
            return Err(trouble.clone());
        }
        let question = self.question(object, entry, &intent_hash);
        if let Some(refusal) = self.world.refusals.standing(&question) {
            return Err(refusal);
        }
        let repair = !entry.uid.is_empty() && entry.intent_hash == intent_hash;
        if repair && let Some(fight) = self.turn(object, entry, child.is_some(), &intent).await? {
            return self.held_back(child, fight);
        }
        if repair {
            self.tell_of_drift(object, child.as_ref(), &intent);
        }
        let outcome = self.write(object, entry, watch, &intent, intent_hash).await;
        self.world.refusals.answered(question, outcome.as_ref().err());
        if let Err(trouble) = outcome.as_ref()
            && trouble.retry_after.is_some()
        {
            self.left_alone.get_or_init(|| trouble.clone());
        }
        let child = outcome?;
        if repair {
            self.world.metrics.repairs.inc();
            self.world.repairs.made(&self.instance.key, &Identity::planned(object));
        }
        let drift = self.kept(object, &child, &intent)?;
        Ok((child, drift))
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
                object.replace,
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
        intent: &Value,
        intent_hash: String,
    ) -> Result<Child, Trouble> {
        let intent = stamp(intent.clone(), &intent_hash);
        let made = if object.mode == Mode::Patch {
            self.patch(object, entry, watch, &intent).await?
        } else if entry.uid.is_empty() {
            self.create(object, entry, &intent).await?
        } else {
            self.look_before(object, entry, watch).await?;
            match self.apply(object, for_update(intent.clone(), &entry.uid)).await {
                Ok(made) => made,
                Err(error) if is_gone(&error) => self.create(object, entry, &intent).await?,
                Err(error) => return Err(self.refused(object, entry, watch, (&error, &intent)).await),
            }
        };
        // The pass has got further, so that what fails next fails for the first time.
        self.world.attempts.succeeded(&self.instance.key);
        let child = watch.applied(made);
        entry.uid.clone_from(&child.uid);
        // What is made once is never compared with what is intended; after a crash there would be nothing to take the hashes from.
        if object.mode != Mode::Once {
            entry.applied_hash.clone_from(&child.applied_hash);
            entry.intent_hash = intent_hash;
        }
        Ok(child)
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

    pub(super) async fn apply(&self, object: &PlannedObject, body: Value) -> Result<DynamicObject, kube::Error> {
        let creating = body.pointer("/metadata/resourceVersion").is_some();
        self.world.metrics.wrote(if creating { "create" } else { "apply" });
        let parameters = PatchParams::apply(marks::OBJECT_MANAGER).force();
        let client = self.world.clients.account(self.account)?;
        let (kind, namespace) = (resource(&object.kind), object.namespace.as_deref());
        server_side_apply::apply(&client, &kind, namespace, &object.name, &parameters, &body).await
    }

    pub(super) fn api(&self, object: &PlannedObject) -> Result<Api<DynamicObject>, kube::Error> {
        object_api(self.world, self.account, &object.kind, object.namespace.as_deref())
    }

    pub(super) fn attempt<'b>(&'b self, verb: &'b str, object: &'b PlannedObject) -> Attempt<'b> {
        Attempt {
            verb,
            kind: &object.kind,
            namespace: object.namespace.as_deref(),
            name: &object.name,
            account: self.account,
            resource: Some(&object.resource),
            role: None,
        }
    }
}

pub(super) fn being_deleted(object: &PlannedObject) -> Trouble {
    let then = match object.mode {
        Mode::Patch => "and others have made it anew",
        Mode::Own | Mode::Once => "to make it anew",
    };
    Trouble::waiting(
        Reason::WaitingForDeletion,
        format!(
            "{} is being deleted; waiting until it is gone {then}",
            describe_planned(object)
        ),
    )
}
