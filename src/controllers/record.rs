//! Entities as records: what stands around each, and the pass over those that are nothing more.

use std::sync::Arc;

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::instance::now;
use super::surroundings::Surroundings as _;
use super::trouble::Trouble;
use super::wakes::{Key, OwnKind};
use super::world::{World, reference};
use super::writes;
use crate::api::common::RelationSummary;
use crate::api::conditions::{self, Condition, Verdict, settle};
use crate::api::reasons::Reason;
use crate::catalog::relations::Role;
use crate::catalog::{fields, integrity, summary};

/// What an entity's status says of the entities around it.
pub struct Around {
    /// Whether what it names is there.
    pub resolved: Verdict,
    /// Its relations, counted.
    pub relations: Vec<RelationSummary>,
    /// The fields that its kind has beside: what is part of it, owned by it or in it.
    pub counts: Map<String, Value>,
}

/// What stands around the entity of `key`, whose whole is `entity`.
pub fn around(world: &World, key: &Key, entity: &Value) -> Around {
    let spec = entity.get("spec").unwrap_or(&Value::Null);
    let written = fields::written(key.kind.kind(), &key.namespace, spec);
    let aliases = fields::aliases(key.kind.kind(), &key.namespace, spec);
    let index = world.catalog.index();
    let parts = |kind: &str| json!(summary::counts(&index, key, Role::HasPart, |part| part.reference.kind == kind));
    let owned = || json!(summary::counts(&index, key, Role::OwnerOf, |_| true));
    let many = |role| json!(index.related(key, role).count());
    let counts = match key.kind {
        OwnKind::System => vec![
            ("components", parts("component")),
            ("apis", parts("api")),
            ("resources", parts("resource")),
        ],
        OwnKind::Domain => vec![("systems", parts("system"))],
        OwnKind::Group => vec![("members", many(Role::HasMember)), ("owned", owned())],
        OwnKind::User => vec![("groups", many(Role::MemberOf)), ("owned", owned())],
        _ => Vec::new(),
    };
    Around {
        resolved: integrity::verdict(&index, key, &written, &aliases),
        relations: summary::relations(&index, key),
        counts: counts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

/// What is said of an entity that the catalog does not take.
pub fn refused(conflict: &Trouble) -> [Verdict; 3] {
    let Trouble { reason, message, .. } = conflict;
    [
        Verdict::no(conditions::READY, *reason, message),
        Verdict::no(conditions::ACCEPTED, *reason, message),
        Verdict::yes(conditions::STALLED, *reason, message),
    ]
}

/// One pass over an entity that is a record and nothing more.
///
/// # Errors
/// Why the catalog does not take it, which its status says then; or why the status could not be written.
pub async fn reconcile(world: &World, key: &Key, object: Arc<DynamicObject>) -> Result<(), Trouble> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let conflict = world.conflict(key);
    let around = around(world, key, &object.data);
    let mut verdicts = match &conflict {
        Some(conflict) => refused(conflict).to_vec(),
        None => vec![Verdict::yes(
            conditions::READY,
            Reason::Accepted,
            "recorded in the catalog",
        )],
    };
    // To a record there is nothing but being ready.
    verdicts.retain(|verdict| verdict.kind != conditions::ACCEPTED);
    verdicts.push(around.resolved);
    let before = object.data.pointer("/status/conditions").cloned().unwrap_or_default();
    let before: Vec<Condition> = serde_json::from_value(before).unwrap_or_default();
    let generation = object.metadata.generation;
    let conditions = settle(&before, &verdicts, generation, &now());
    let mut status = json!({"observedGeneration": generation.unwrap_or(0), "conditions": conditions});
    if let Some(fields) = status.as_object_mut() {
        if !around.relations.is_empty() {
            fields.insert("relations".to_owned(), json!(around.relations));
        }
        fields.extend(around.counts);
    }
    let written = writes::status(world, key, &object, status).await?;
    let Some(conflict) = conflict else { return Ok(()) };
    let known = conditions::find(&before, conditions::READY);
    if known.is_none_or(|ready| ready.reason != conflict.reason.as_str()) {
        let about = reference(key, &written);
        world
            .events
            .publish(about, false, conflict.reason.as_str(), &conflict.message);
    }
    Err(conflict)
}
