//! What may be done to an object by whose it is: what may be created, written again, replaced or given its marks back.

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};

use super::access::describe_planned;
use super::apply::{Apply, being_deleted};
use super::inventory::{for_create, for_update};
use super::ownership::{self, NEVER_WRITTEN, is_handed_over, stands};
use crate::api::instance::InventoryEntry;
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::controllers::children::{Child, Watch, is_managed};
use crate::controllers::trouble::{Trouble, is_gone, of_error};
use crate::template::plan::PlannedObject;

impl Apply<'_> {
    /// An object that is only reported on has lost our label, and with it our watch, if it is still there. It gets our marks back
    /// and nothing else; an object that is gone is made anew.
    pub(super) async fn marked_again(
        &self,
        object: &PlannedObject,
        entry: &InventoryEntry,
        watch: &Watch,
        intent: &Value,
    ) -> Result<Option<Child>, Trouble> {
        let of = |verb| self.attempt(verb, object);
        let found = self.live(object).await?;
        let there = |found: &DynamicObject| {
            found.metadata.uid.as_ref() == Some(&entry.uid) && found.metadata.deletion_timestamp.is_none()
        };
        let Some(found) = found.filter(there) else {
            return Ok(None);
        };
        self.is_known(object, entry, watch, &found)?;
        let mark = |place: &str, name: &str| intent.pointer(&format!("/metadata/{place}"))?.get(name).cloned();
        let annotations: serde_json::Map<String, Value> = [marks::INSTANCE, marks::RESOURCE, marks::CLAIM, marks::MODE]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), mark("annotations", name)?)))
            .collect();
        let patch = json!({"metadata": {
            "uid": entry.uid, "labels": {marks::INSTANCE_UID: self.instance.uid}, "annotations": annotations,
        }});
        self.world.metrics.wrote("apply");
        let api = self.api(object).map_err(|error| of_error(&error, of("patch")))?;
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
    pub(super) async fn create(
        &self,
        object: &PlannedObject,
        entry: &InventoryEntry,
        intent: &Value,
    ) -> Result<DynamicObject, Trouble> {
        self.is_there().await?;
        let error = match self.apply(object, for_create(intent.clone())).await {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        if !matches!(&error, kube::Error::Api(status) if status.code == 409) {
            return Err(of_error(&error, self.attempt("create", object).of(intent)));
        }
        let Some(found) = self.live(object).await? else {
            return Err(Trouble::transient(format!(
                "{} came and went while it was to be made",
                describe_planned(object)
            )));
        };
        let uid = found.metadata.uid.clone().unwrap_or_default();
        if found.metadata.deletion_timestamp.is_some() {
            return Err(being_deleted(object));
        }
        if !self.is_ours(&Child::of(found.clone()), entry) && !is_handed_over(self.instance, &found) {
            return Err(self.conflict(object, &stands(self.instance, &found)));
        }
        let updated = self.apply(object, for_update(intent.clone(), &uid)).await;
        let updated = updated.map_err(|error| of_error(&error, self.attempt("patch", object).of(intent)))?;
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

    /// Whether we have written `child`, and both its label and its claim are this instance's: a create whose answer, or the pass
    /// after it, was lost.
    pub(super) fn is_ours(&self, child: &Child, entry: &InventoryEntry) -> bool {
        child.managed && child.owner() == Some(&self.instance.uid) && child.mark(marks::CLAIM) == Some(&entry.claim)
    }

    /// Whether the object that an entry's UID names was ever written by us. A UID that someone put into the inventory is
    /// no reason to write to, or to delete, an object of others.
    pub(super) fn is_known(
        &self,
        object: &PlannedObject,
        entry: &InventoryEntry,
        watch: &Watch,
        found: &DynamicObject,
    ) -> Result<(), Trouble> {
        if is_managed(found) || watch.has_strayed(&entry.uid) || is_handed_over(self.instance, found) {
            return Ok(());
        }
        Err(self.conflict(object, NEVER_WRITTEN))
    }

    /// As [`Self::is_known`], for an entry whose object is not seen. Asks the apiserver only where nothing is remembered of it.
    pub(super) async fn look_before(
        &self,
        object: &PlannedObject,
        entry: &InventoryEntry,
        watch: &Watch,
    ) -> Result<(), Trouble> {
        let seen = watch.get(object.namespace.as_deref(), &object.name);
        if seen.is_some_and(|child| child.uid == entry.uid) || watch.has_strayed(&entry.uid) {
            return Ok(());
        }
        match self.live(object).await? {
            Some(found) if found.metadata.uid.as_ref() == Some(&entry.uid) => {
                self.is_known(object, entry, watch, &found)
            }
            _ => Ok(()),
        }
    }

    /// The object as it is on the apiserver.
    pub(super) async fn live(&self, object: &PlannedObject) -> Result<Option<DynamicObject>, Trouble> {
        let of = self.attempt("get", object);
        let api = self.api(object).map_err(|error| of_error(&error, of))?;
        api.get_opt(&object.name).await.map_err(|error| of_error(&error, of))
    }

    /// Whether the mark for taking an object over names this instance.
    pub(super) fn names_us(&self, adopt_by: Option<&str>) -> bool {
        ownership::names(self.instance, adopt_by)
    }

    pub(super) fn conflict(&self, object: &PlannedObject, how: &str) -> Trouble {
        ownership::conflict(self.instance, object, how)
    }

    /// An apply was refused. Where a field cannot be changed and the template says so, the object is deleted to be made anew.
    pub(super) async fn refused(
        &self,
        object: &PlannedObject,
        entry: &InventoryEntry,
        watch: &Watch,
        (error, intent): (&kube::Error, &Value),
    ) -> Trouble {
        let trouble = of_error(error, self.attempt("patch", object).of(intent));
        let replaceable = object.replace && !matches!(object.kind.kind.as_str(), "Namespace" | "PersistentVolumeClaim");
        if trouble.reason != Reason::ImmutableField || !replaceable {
            return trouble;
        }
        let only_this = Preconditions {
            uid: Some(entry.uid.clone()),
            resource_version: None,
        };
        let parameters = DeleteParams {
            preconditions: Some(only_this),
            ..DeleteParams::background()
        };
        self.world.metrics.wrote("delete");
        let deleted = match self.api(object) {
            Ok(api) => api.delete(&object.name, &parameters).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = deleted {
            return of_error(&error, self.attempt("delete", object));
        }
        watch.remove(object.namespace.as_deref(), &object.name, &entry.uid);
        Trouble::transient(format!(
            "{} is being replaced, since a field of it cannot be changed",
            describe_planned(object)
        ))
    }
}
