//! Objects that others have made and of which a template only sets some fields (`mode: Patch`): never made, never deleted, and
//! waited for where they are not there.

use std::collections::HashSet;

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::access::describe_planned;
use super::apply::{Apply, Outcome, being_deleted};
use super::inventory::{for_update, owned};
use super::ownership::{is_handed_over, is_marked_by_another, stands};
use crate::api::instance::InventoryEntry;
use crate::api::reasons::Reason;
use crate::controllers::awaited::Place;
use crate::controllers::children::Watch;
use crate::controllers::trouble::{Trouble, is_gone, of_error};
use crate::template::kinds::KindInfo;
use crate::template::plan::PlannedObject;

impl Apply<'_> {
    /// Sets the fields of `intent` on the object, if it is there.
    pub(super) async fn patch(
        &self,
        object: &PlannedObject,
        entry: &InventoryEntry,
        watch: &Watch,
        intent: &Value,
    ) -> Result<DynamicObject, Trouble> {
        let seen = watch.get(object.namespace.as_deref(), &object.name);
        let uid = match seen.filter(|child| child.uid == entry.uid) {
            Some(child) => child.uid,
            None => self.found(object).await?,
        };
        match self.apply(object, for_update(intent.clone(), &uid)).await {
            Ok(patched) => Ok(patched),
            // It has gone in this moment. What comes after it is seen by its own watch.
            Err(error) if is_gone(&error) => Err(awaited(object)),
            Err(error) => Err(of_error(&error, self.attempt("patch", object).of(intent))),
        }
    }

    /// The UID of the object of others.
    async fn found(&self, object: &PlannedObject) -> Result<String, Trouble> {
        let Some(found) = self.live(object).await? else {
            return Err(awaited(object));
        };
        if found.metadata.deletion_timestamp.is_some() {
            return Err(being_deleted(object));
        }
        if is_marked_by_another(self.instance, &found) && !is_handed_over(self.instance, &found) {
            return Err(self.conflict(object, &stands(self.instance, &found)));
        }
        Ok(found.metadata.uid.unwrap_or_default())
    }

    /// What was only patched so far is to be the instance's own: it was handed over, or is not there, so that another is made.
    pub(super) fn becomes_own(&self, object: &PlannedObject, entry: &mut InventoryEntry, handed_over: bool) {
        let policy = self
            .instance
            .template
            .as_ref()
            .and_then(|wanted| wanted.deletion_policy);
        *entry = owned(entry.clone(), object, policy.unwrap_or_default());
        if !handed_over {
            entry.uid.clear();
        }
    }

    /// Opens watches for what is not there yet, so that its coming wakes the instance.
    pub(super) fn await_objects(&self, outcomes: &[Outcome]) {
        let awaited = self.plan.objects.iter().zip(outcomes).filter(|(_, outcome)| {
            let reason = outcome.trouble.as_ref().map(|trouble| trouble.reason);
            reason == Some(Reason::WaitingForObject)
        });
        let places: HashSet<Place> = awaited
            .map(|(object, _)| Place {
                account: self.account.clone(),
                kind: object.kind.clone(),
                namespace: object.namespace.clone().unwrap_or_default(),
                name: object.name.clone(),
            })
            .collect();
        self.world.awaited.only(&self.instance.key, &places);
    }
}

fn awaited(object: &PlannedObject) -> Trouble {
    Trouble::waiting(
        Reason::WaitingForObject,
        format!(
            "resource \"{}\": waiting for others to make {}, of which it sets fields (mode Patch)",
            object.resource,
            describe_planned(object)
        ),
    )
}

/// The body of an apply that says nothing but which object it is for: what our manager alone has set is taken away by it, and
/// all else stays.
pub fn nothing(kind: &KindInfo, entry: &InventoryEntry, uid: &str) -> Value {
    json!({
        "apiVersion": kind.api_version(), "kind": kind.kind,
        "metadata": {"name": entry.name, "namespace": entry.namespace, "uid": uid},
    })
}
