//! What others do to our objects and go on doing: left, or put right ever more slowly, and told.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use super::access::describe_planned;
use super::apply::Apply;
use super::drift::{MANAGER, Step, by_whom, differences, manager, path, rewritten};
use super::inventory::Identity;
use crate::api::instance::{InventoryEntry, Mode};
use crate::api::reasons::Reason;
use crate::api::{conditions, marks};
use crate::controllers::children::Child;
use crate::controllers::repairs::{Fight, Turn};
use crate::controllers::trouble::Trouble;
use crate::controllers::world::reference;
use crate::template::names::shown;
use crate::template::plan::PlannedObject;

/// A difference that is told and stands in nobody's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Its reason.
    pub reason: Reason,
    /// Which object, which field, who, and what to do.
    pub message: String,
}

impl Drift {
    /// The drift that is the cause of a trouble.
    pub fn of(trouble: &Trouble) -> Option<Self> {
        (trouble.reason == Reason::Contested).then(|| Self {
            reason: trouble.reason,
            message: trouble.message.clone(),
        })
    }
}

/// What was changed, by whom, and is left so, since the template's resource says to only report it.
pub fn left_so(object: &PlannedObject, live: &Value, others: &[ManagedFieldsEntry], intent: &Value) -> Option<Drift> {
    by_whom(live, intent, others).map(|changed| Drift {
        reason: Reason::FieldsDiffer,
        message: format!(
            "{}: {changed}; it is left so, since its driftPolicy is Report",
            describe_planned(object)
        ),
    })
}

impl Apply<'_> {
    /// Tells what others have done to an object of ours, before it is put right and nothing of that is left to be seen.
    pub(super) fn tell_of_drift(&self, object: &PlannedObject, child: Option<&Child>, intent: &Value) {
        let changed = match child {
            Some(child) => by_whom(&child.object, intent, child.others()),
            None if object.mode == Mode::Patch => None,
            None => Some("it is gone, or has lost the label by which it is seen".to_owned()),
        };
        let (Some(changed), Some(instance)) = (changed, self.world.get(&self.instance.key)) else {
            return;
        };
        let message = format!("{}: {changed}; it is put right", describe_planned(object));
        tracing::info!(message, "drifted");
        let about = reference(&self.instance.key, &instance);
        self.world.events.publish(about, false, conditions::DRIFTED, &message);
    }

    /// Asks whether an object that is not as planned may be put right now. Gives the fight where it may not.
    pub(super) async fn turn(
        &self,
        object: &PlannedObject,
        entry: &InventoryEntry,
        seen: bool,
        intent: &Value,
    ) -> Result<Option<Fight>, Trouble> {
        let identity = Identity::planned(object);
        let asked = format!(
            "{} {}",
            self.instance.generation,
            self.instance
                .annotations
                .get(marks::RECONCILE)
                .map_or("", String::as_str)
        );
        match self.world.repairs.ask(&self.instance.key, &identity, seen, &asked) {
            Turn::Repair => Ok(None),
            Turn::Wait(fight) => Ok(Some(fight)),
            Turn::RepairAndTell => {
                let told = self.undone(object, entry, intent).await?;
                tracing::warn!(told, "fought over");
                self.world.repairs.tell(&self.instance.key, &identity, told);
                Ok(None)
            }
        }
    }

    /// What others do to the object, and who does it as far as that can be seen.
    async fn undone(&self, object: &PlannedObject, entry: &InventoryEntry, intent: &Value) -> Result<String, Trouble> {
        const SLOWLY: &str = "ever more slowly, at least every five minutes";
        let described = describe_planned(object);
        let found = self.live(object).await?;
        let Some(mut live) = found.filter(|live| live.metadata.uid.as_ref() == Some(&entry.uid)) else {
            return Ok(format!(
                "{described} is deleted again and again; it is made anew {SLOWLY}; find out who deletes it, or take it out of the template"
            ));
        };
        let managed = live.metadata.managed_fields.take().unwrap_or_default();
        let live = serde_json::to_value(live).unwrap_or_default();
        let steps = differences(&live, intent).into_iter().next().map(|first| first.steps);
        let field = steps.as_deref().map_or_else(|| "a field".to_owned(), path);
        let other = manager(&managed, &steps.unwrap_or_else(|| vec![Step::Item(0)]));
        Ok(match other.map(|other| shown(&other, MANAGER)) {
            Some(other) => format!(
                "{described}: {field} is changed again and again by field manager {other}; it is put right {SLOWLY}; let one of the two have it: take it out of the template, or out of what {other} writes"
            ),
            None => format!(
                "{described}: {field} is taken away again and again by others; it is put right {SLOWLY}; find out who does, or take it out of the template"
            ),
        })
    }

    /// An object that is put right too often is left as it is until its time has come.
    pub(super) fn held_back(&self, child: Option<Child>, fight: Fight) -> Result<(Child, Option<Drift>), Trouble> {
        match (child, self.told(fight)) {
            (Some(child), Ok(drift)) => Ok((child, Some(drift))),
            (None, Ok(drift)) => Err(Trouble::blocked(drift.reason, drift.message)),
            (_, Err(trouble)) => Err(trouble),
        }
    }

    /// What is told of a fight. While an object comes and goes, it cannot be called as planned.
    fn told(&self, fight: Fight) -> Result<Drift, Trouble> {
        self.world.wakes.wake_after(&self.instance.key, fight.again);
        if fight.unseen {
            return Err(Trouble::blocked(Reason::Contested, fight.told));
        }
        Ok(Drift {
            reason: Reason::Contested,
            message: fight.told,
        })
    }

    /// What is to be told of an object that says what we applied: that it is fought over, or that it was changed while it
    /// was written, so that to write it again would not help.
    pub(super) fn kept(&self, object: &PlannedObject, child: &Child, intent: &Value) -> Result<Option<Drift>, Trouble> {
        let fight = self.world.repairs.fight(&self.instance.key, &Identity::planned(object));
        if let Some(fight) = fight {
            return self.told(fight).map(Some);
        }
        let Some(steps) = rewritten(&child.object, intent) else {
            return Ok(None);
        };
        let advice = if steps.first() == Some(&Step::Field("metadata".to_owned())) {
            "except the object from the policy, since what is done to it is not seen while its marks are missing"
        } else {
            "take it out of the template, or except the object from the policy"
        };
        Ok(Some(Drift {
            reason: Reason::ChangedAtAdmission,
            message: format!(
                "{}: {} is not kept as it is written: a mutating policy or webhook of the cluster changes it; {advice}",
                describe_planned(object),
                path(&steps)
            ),
        }))
    }
}
