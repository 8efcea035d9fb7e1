//! Taking over what another instance hands over: the marks on each object change hands, and nothing else of it does. What the
//! template says of it is applied afterwards, as to any object of the instance's own.

use std::collections::HashSet;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::access::{describe_planned, watch_key};
use super::apply::{Apply, being_deleted};
use super::decode::Instance;
use super::inventory::{Identity, is_namespace};
use super::moving::{self, Source, can_pass, is_of, listed};
use crate::api::instance::{InventoryEntry, Mode};
use crate::api::marks;
use crate::controllers::children::{Child, Watch};
use crate::controllers::trouble::{Trouble, is_gone, of_error};
use crate::template::plan::PlannedObject;

/// How often an object is looked at again that changes while it is taken over.
const TRIES: usize = 3;

/// What an object that both have came to.
enum Taken {
    /// It is this instance's, by this UID.
    Ours(String),
    /// It is not there, or not the other's: it is dealt with as any object of the plan.
    NotTheirs,
}

impl Apply<'_> {
    /// Takes over what `old` has of the plan. Gives what is in the way, and whether anything has passed.
    pub(super) async fn take_over(
        &self,
        entries: &mut [InventoryEntry],
        old: Option<&Instance>,
    ) -> (Vec<Trouble>, bool) {
        let (mut troubles, mut passed) = (Vec::new(), false);
        let Some(old) = old else { return (troubles, passed) };
        let theirs = listed(old);
        // What lies in a namespace that has not passed goes with it, whoever's it is then.
        let mut missing: HashSet<String> = entries
            .iter()
            .filter(|entry| is_namespace(entry) && entry.uid.is_empty())
            .map(|entry| entry.name.clone())
            .collect();
        for (object, entry) in self.plan.objects.iter().zip(entries.iter_mut()) {
            if missing.contains(&entry.namespace) {
                continue;
            }
            let Some(before) = theirs
                .get(&Identity::planned(object))
                .filter(|before| entry.uid.is_empty() && can_pass(before, object))
            else {
                continue;
            };
            match self.take(object, entry, before, old).await {
                Ok(Taken::Ours(uid)) => {
                    entry.uid = uid;
                    passed = true;
                    if is_namespace(entry) {
                        missing.remove(&entry.name);
                    }
                }
                Ok(Taken::NotTheirs) => {}
                Err(trouble) => {
                    let wants_rest = trouble.retry_after.is_some();
                    troubles.push(trouble);
                    if wants_rest {
                        break;
                    }
                }
            }
        }
        (troubles, passed)
    }

    async fn take(
        &self,
        object: &PlannedObject,
        entry: &InventoryEntry,
        before: &InventoryEntry,
        old: &Instance,
    ) -> Result<Taken, Trouble> {
        let watch = self.watches.get(&watch_key(self.account, &object.kind));
        let watch =
            watch.ok_or_else(|| Trouble::transient(format!("{}: it is not watched yet", describe_planned(object))))?;
        // What was made once is done, whether it is still there or not.
        let gone = || match object.mode {
            Mode::Once if !before.uid.is_empty() => Taken::Ours(before.uid.clone()),
            Mode::Own | Mode::Once | Mode::Patch => Taken::NotTheirs,
        };
        let is_it = |child: &Child| before.uid.is_empty() || child.uid == before.uid;
        let seen = watch.get(object.namespace.as_deref(), &object.name);
        let mut found = seen.filter(|child| is_it(child));
        for _ in 0..TRIES {
            let child = match found.take() {
                Some(child) => child,
                None => match self.live(object).await? {
                    Some(live) => Child::of(live),
                    None => return Ok(gone()),
                },
            };
            if !is_it(&child) {
                return Ok(gone());
            }
            if self.is_ours(&child, entry) {
                return Ok(Taken::Ours(child.uid));
            }
            if !is_of(old, before, &child) {
                return Ok(Taken::NotTheirs);
            }
            if child.deleting {
                return Err(being_deleted(object));
            }
            if let Some(uid) = self.put_marks(object, entry, watch, &child, old).await? {
                return Ok(Taken::Ours(uid));
            }
        }
        Err(Trouble::transient(format!(
            "{} changes while it is taken over",
            describe_planned(object)
        )))
    }

    /// Puts this instance's marks in the place of the other's, on exactly what was looked at. Nothing if it is not that any more.
    async fn put_marks(
        &self,
        object: &PlannedObject,
        entry: &InventoryEntry,
        watch: &Watch,
        child: &Child,
        old: &Instance,
    ) -> Result<Option<String>, Trouble> {
        self.still_wanted()?;
        self.is_there().await?;
        match moving::source(self.world, self.instance) {
            Source::From(still) if still.uid == old.uid => {}
            _ => {
                let message = format!("{} does not hand over any more; looking again", old.reference());
                return Err(Trouble::transient(message));
            }
        }
        let patch = json!({"metadata": {
            "uid": child.uid,
            "resourceVersion": child.object.pointer("/metadata/resourceVersion").and_then(Value::as_str),
            "labels": {marks::INSTANCE_UID: self.instance.uid},
            "annotations": {
                marks::INSTANCE: self.instance.reference().to_string(),
                marks::RESOURCE: entry.resource,
                marks::CLAIM: entry.claim,
            },
        }});
        let parameters = PatchParams {
            field_manager: Some(marks::OBJECT_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let of = self.attempt("patch", object);
        self.world.metrics.wrote("apply");
        let api = self.api(object).map_err(|error| of_error(&error, of))?;
        match api.patch(&object.name, &parameters, &Patch::Merge(&patch)).await {
            Ok(marked) => Ok(Some(watch.observe(marked).uid)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(of_error(&error, of)),
        }
    }
}
