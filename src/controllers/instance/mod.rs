//! One pass over an instance: gather, plan, apply, status; or, when it is no longer wanted, remove.

mod access;
mod apply;
mod claim;
pub mod consequences;
mod contest;
pub mod decode;
mod drift;
pub mod gather;
mod handing;
pub mod inventory;
mod leaving;
pub mod moving;
pub mod ownership;
mod patch;
pub mod preview;
mod provision;
mod remove;
pub mod runs;
pub mod standing;
mod status;
mod taking;
mod teardown;
pub mod versions;
mod wanted;

use std::sync::Arc;

use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

use self::decode::Instance;
use self::gather::made_namespaces;
use self::moving::{Stand, stand};
use self::status::Facts;
use super::surroundings::Surroundings as _;
use super::trouble::Trouble;
use super::wakes::{Key, OwnKind};
use super::world::{World, reference};
use super::{record, writes};
use crate::api::conditions::{self, Verdict, settle};
use crate::api::instance::InstanceStatus;
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::catalog::refs::EntityRef;

/// One pass over the entity of `key`.
///
/// # Errors
/// The trouble that decides when it is looked at again. It is in the status already, unless it kept the status from being written.
pub async fn reconcile(world: &World, key: &Key, object: Arc<DynamicObject>) -> Result<(), Trouble> {
    let mut pass = match Instance::decode(key, &object) {
        Ok(instance) => Pass {
            world,
            instance,
            object,
        },
        Err(trouble) => return unreadable(world, key, object, trouble).await,
    };
    if pass.instance.deleting {
        return pass.delete().await;
    }
    match pass.instance.template.clone() {
        Some(_) if pass.instance.is_released() => pass.release().await,
        Some(wanted) => match stand(world, &pass.instance) {
            Stand::Agreed(new) => pass.hand_over(Some(&new)).await,
            Stand::Finished => pass.hand_over(None).await,
            Stand::Not | Stand::Waits(_) => {
                pass.go_on().await?;
                pass.provision(&wanted).await
            }
        },
        None if pass.instance.finalized || !pass.instance.status.inventory.is_empty() => pass.detach().await,
        None => pass.record().await,
    }
}

/// The spec or the inventory cannot be read: says so, and touches nothing else.
async fn unreadable(world: &World, key: &Key, object: Arc<DynamicObject>, trouble: Trouble) -> Result<(), Trouble> {
    if object.metadata.deletion_timestamp.is_some() && marks::says_release(object.annotations()) {
        // Its marks stay on what it owned, by which `landfall orphans` finds it.
        writes::finalizer(world, key, &object, false).await?;
        return Ok(());
    }
    let before: Vec<conditions::Condition> = object
        .data
        .pointer("/status/conditions")
        .cloned()
        .and_then(|conditions| serde_json::from_value(conditions).ok())
        .unwrap_or_default();
    let facts = Facts {
        stopped: Some(&trouble),
        ..Facts::default()
    };
    let generation = object.metadata.generation;
    let mut value = object
        .data
        .get("status")
        .cloned()
        .unwrap_or_else(|| serde_json::json!({}));
    let settled = settle(&before, &facts.verdicts(), generation, &now());
    if let Some(fields) = value.as_object_mut() {
        fields.insert(
            "conditions".to_owned(),
            serde_json::to_value(settled).unwrap_or_default(),
        );
        fields.insert("observedGeneration".to_owned(), generation.into());
    }
    writes::status(world, key, &object, value).await?;
    Err(trouble)
}

/// The most bytes of `status.lastHandledReconcileAt`, as its schema has it.
const RECONCILE_LIMIT: usize = 256;

/// The fields of a status by which the two instances of a move go.
const MOVING: [&str; 2] = ["handOver", "takenOver"];

struct Pass<'a> {
    world: &'a World,
    instance: Instance,
    object: Arc<DynamicObject>,
}

impl Pass<'_> {
    /// An entity that names no template is only recorded.
    async fn record(&mut self) -> Result<(), Trouble> {
        self.world.wakes.depend(&self.instance.key, Vec::new());
        if let Some(conflict) = self.world.conflict(&self.instance.key) {
            self.write(InstanceStatus::default(), &record::refused(&conflict))
                .await?;
            return Err(conflict);
        }
        let verdicts = [
            Verdict::yes(
                conditions::READY,
                Reason::Accepted,
                "recorded in the catalog; it names no template, so nothing is provisioned",
            ),
            Verdict::yes(conditions::ACCEPTED, Reason::Accepted, "the spec is valid"),
        ];
        let status = InstanceStatus::default();
        self.write(status, &verdicts).await
    }
    /// Writes the whole status, and an event when what Ready says has changed.
    async fn write(&mut self, mut status: InstanceStatus, verdicts: &[Verdict]) -> Result<(), Trouble> {
        let before = &self.instance.status.conditions;
        let around = record::around(self.world, &self.instance.key, &self.instance.entity);
        let finished = status.hand_over.as_ref().is_some_and(|given| given.finished);
        let moving = moving::verdict(self.world, &self.instance, finished);
        let beside = [around.resolved].into_iter().chain(moving);
        let verdicts: Vec<Verdict> = verdicts.iter().cloned().chain(beside).collect();
        status.observed_generation = self.instance.generation;
        status.conditions = settle(before, &verdicts, Some(self.instance.generation), &now());
        status.relations = around.relations;
        let asked = self.instance.annotations.get(marks::RECONCILE);
        // An annotation may be longer than what the status has room for, and all else in the status is to be said.
        status.last_handled_reconcile_at = asked.map(|token| conditions::bounded(token, RECONCILE_LIMIT));
        let mut value = serde_json::to_value(&status).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.extend(around.counts);
        }
        let said = |conditions: &[conditions::Condition]| {
            // What is on its way may say something else at each step; what is stuck is stuck on something else then.
            let stuck = conditions::find(conditions, conditions::STALLED).map(|stalled| stalled.message.clone());
            let ready = conditions::find(conditions, conditions::READY);
            ready.map(|ready| (ready.status.clone(), ready.reason.clone(), stuck))
        };
        let changed = said(before) != said(&status.conditions);
        let told = |status: Option<&Value>| MOVING.map(|field| status?.get(field).cloned());
        let is_news = told(Some(&value)) != told(self.object.data.get("status"));
        let written = writes::status(self.world, &self.instance.key, &self.object, value).await;
        if let Err(trouble) = &written
            && trouble.reason == Reason::Denied
        {
            // There is no other place in which it can be said.
            let about = reference(&self.instance.key, &self.object);
            self.world
                .events
                .publish(about, false, trouble.reason.as_str(), &trouble.message);
        }
        self.object = written?;
        if is_news {
            // The other one of a move goes by it, and the watch passes over our own writes.
            self.world.wake_readers(&self.instance.key);
        }
        if self.instance.key.kind == OwnKind::System
            && (changed || made_namespaces(&self.instance.status) != made_namespaces(&status))
        {
            // Its Components may go where it has made room for them, and the watch passes over our own writes.
            self.world.wake_readers(&self.instance.key);
        }
        let ready = conditions::find(&status.conditions, conditions::READY);
        // That a record is one is no news.
        if let Some(ready) = ready.filter(|ready| changed && ready.reason != Reason::Accepted.as_str()) {
            let good = ready.status == "True"
                || matches!(
                    ready.reason.as_str(),
                    "Progressing" | "Deleting" | "Released" | "HandingOver" | "HandedOver"
                );
            self.world.events.publish(
                reference(&self.instance.key, &self.object),
                good,
                &ready.reason,
                &ready.message,
            );
        }
        self.instance.status = status;
        Ok(())
    }
}

/// What is said of an instance that was let go and stays, whoever did it.
pub fn released(reference: &EntityRef) -> [Verdict; 2] {
    let message = format!(
        "let go by its annotation {}: what was made for it stays, without Landfall's marks, and nothing is made or changed; to have it provisioned again, take the annotation off, and hand over what is there: annotate each object with {}={reference}",
        marks::RELEASE,
        marks::ADOPT_BY
    );
    [
        Verdict::no(conditions::READY, Reason::Released, &message),
        Verdict::yes(conditions::STALLED, Reason::Released, message),
    ]
}

/// The time as conditions hold it: to the second.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
