//! One pass over a Template: compile it, keep its content as a revision, count its instances.

pub mod checks;
mod history;
pub mod includes;
pub mod revisions;
mod rollout;
mod telling;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use serde_json::Value;

use self::checks::check_all;
use self::revisions::{Held, owned_by};
use self::rollout::advance;
use super::instance::now;
use super::nesting;
use super::surroundings::Surroundings as _;
use super::trouble::{Class, Trouble};
use super::wakes::{Interest, Key};
use super::world::{World, reference};
use super::{record, writes};
use crate::api::conditions::{self, Verdict, settle};
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::api::template::{InstanceCounts, RevisionInForce, TemplateSpec, TemplateStatus};
use crate::catalog::index::Aspects;
use crate::catalog::relations::Role;
use crate::template::content::version;
use crate::template::names::{listed, shown};

/// One pass over the Template of `key`.
///
/// # Errors
/// The trouble that decides when it is looked at again. It is in the status already, unless it kept the status from being written.
pub async fn reconcile(world: &World, key: &Key, object: Arc<DynamicObject>) -> Result<(), Trouble> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let before: TemplateStatus = object
        .data
        .get("status")
        .cloned()
        .and_then(|status| serde_json::from_value(status).ok())
        .unwrap_or_default();
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    let spec: Result<TemplateSpec, Trouble> = nesting::check(&spec).and_then(|()| {
        serde_json::from_value(spec)
            .map_err(|error| Trouble::invalid(Reason::InvalidSpec, format!("spec cannot be read: {error}")))
    });
    let mut status = before.clone();
    let spec = world.conflict(key).map_or(spec, Err);
    let mut interests = spec
        .as_ref()
        .map(|spec| includes::interests(key, spec))
        .unwrap_or_default();
    interests.push(Interest::Kinds);
    world.wakes.depend(key, interests);
    let (outcome, spec) = match spec {
        Ok(spec) => (revise(world, key, &object, &spec).await, Some(spec)),
        Err(trouble) => (Err(trouble), None),
    };
    let steps = spec.as_ref().and_then(|spec| actions(&spec.steps));
    if let Ok(latest) = &outcome {
        if before.latest.as_ref().is_some_and(|before| before != latest) {
            status.previous.clone_from(&before.latest);
        }
        status.latest = Some(latest.clone());
    }
    status.observed_generation = object.metadata.generation.unwrap_or(0);
    status.instances = Some(count(world, key, status.latest.as_ref()));
    let around = record::around(world, key, &object.data);
    let mut verdicts = verdicts(&outcome, steps, before.latest.is_some());
    verdicts.push(around.resolved);
    status.relations = around.relations;
    let advanced = spec.as_ref().zip(status.latest.as_ref()).map(|(spec, latest)| {
        let rollout = spec.rollout.as_ref();
        advance(world, key, rollout, latest, before.rollout.as_ref())
    });
    if let Some(advanced) = &advanced {
        status.rollout = Some(advanced.status.clone());
        verdicts.push(advanced.verdict.clone());
    }
    status.conditions = settle(&before.conditions, &verdicts, object.metadata.generation, &now());
    let written = writes::status(world, key, &object, serde_json::to_value(&status).unwrap_or_default()).await;
    if let Some(advanced) = advanced {
        // Their turns are given, whether that could be written down or not, and are not given again.
        advanced.granted.iter().for_each(|instance| world.wakes.wake(instance));
        if let Some(again) = advanced.again {
            world.wakes.wake_after(key, again);
        }
    }
    let written = written?;
    tell(world, key, &written, &before, &status);
    if let (Ok(_), Some(spec)) = (&outcome, &spec) {
        trim(world, key, &object, spec, &status).await;
    }
    outcome.map(|_| ())
}

/// Deletes revisions of which there are too many.
async fn trim(world: &World, key: &Key, object: &DynamicObject, spec: &TemplateSpec, status: &TemplateStatus) {
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let mut known = revisions::of_template(&world.stores.revisions, &key.namespace, &key.name);
    known.retain(|revision| owned_by(revision, &uid));
    let kept = status.latest.iter().chain(&status.previous);
    let kept: Vec<String> = kept.map(|revision| revision.revision_name.clone()).collect();
    history::trim(world, key, &known, &kept, spec.revision_history_limit).await;
}

/// Compiles the spec and keeps it as a revision.
async fn revise(
    world: &World,
    key: &Key,
    object: &DynamicObject,
    spec: &TemplateSpec,
) -> Result<RevisionInForce, Trouble> {
    let content = includes::content(world, key, spec)?;
    let digest = content.digest();
    let version = version(spec.version.as_deref(), &digest);
    let mut outcome = check_all(world, key, spec, &content, &version);
    // Paths into live objects are checked against schemas that are fetched when they are first asked for.
    if world.kinds.fetch_wanted(&world.clients.operator()).await {
        outcome = check_all(world, key, spec, &content, &version);
    }
    outcome?;
    let held = Held {
        template: key.name.clone(),
        version,
        digest,
        content,
    };
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let known = revisions::of_template(&world.stores.revisions, &key.namespace, &key.name);
    let own: Vec<&Arc<ControllerRevision>> = known.iter().filter(|revision| owned_by(revision, &uid)).collect();
    if let Some(trouble) = own
        .iter()
        .filter_map(|revision| revisions::decode(revision))
        .find_map(|other| checks::reused(&held, &other))
    {
        return Err(trouble);
    }
    let same = own.iter().find(|revision| {
        revisions::decode(revision).is_some_and(|other| other.digest == held.digest && other.version == held.version)
    });
    let revision_name = match same {
        Some(revision) => revision.metadata.name.clone().unwrap_or_default(),
        None => {
            create(
                world,
                key,
                &uid,
                &held,
                own.last().and_then(|revision| revision.revision).unwrap_or(0) + 1,
            )
            .await?
        }
    };
    Ok(RevisionInForce {
        version: held.version,
        digest: held.digest,
        revision_name,
    })
}

/// Keeps `held` as a new revision. One of this name that is there already is taken if it holds the same.
async fn create(world: &World, key: &Key, uid: &str, held: &Held, number: i64) -> Result<String, Trouble> {
    let api: Api<ControllerRevision> = Api::namespaced(world.clients.operator(), &key.namespace);
    let wanted = revisions::build(&key.namespace, uid, held, number);
    let name = revisions::name(held);
    let parameters = PostParams {
        field_manager: Some(marks::STATUS_MANAGER.to_owned()),
        ..PostParams::default()
    };
    world.metrics.wrote("create");
    match api.create(&parameters, &wanted).await {
        Ok(_) => Ok(name),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            // A list of one, since the operator may list revisions anyway.
            let by_name = ListParams::default().fields(&format!("metadata.name={name}"));
            let found = api
                .list(&by_name)
                .await
                .map_err(|error| unreachable_revision(&name, &error))?;
            let same =
                |found: &ControllerRevision| revisions::decode(found).as_ref() == Some(held) && owned_by(found, uid);
            if found.items.first().is_some_and(same) {
                return Ok(name);
            }
            Err(taken(world, key, &name))
        }
        Err(error) => Err(unreachable_revision(&name, &error)),
    }
}

/// A revision of this name belongs to an earlier Template of this name, and goes with it.
fn taken(world: &World, key: &Key, name: &str) -> Trouble {
    world.wakes.wake_soon(key);
    Trouble::waiting(
        Reason::WaitingForDeletion,
        format!(
            "waiting for ControllerRevision {}/{name} of an earlier template of this name to be gone",
            key.namespace
        ),
    )
}

fn unreachable_revision(name: &str, error: &kube::Error) -> Trouble {
    match error {
        kube::Error::Api(status) if status.message.contains("being terminated") => Trouble::waiting(
            Reason::WaitingForNamespace,
            format!("ControllerRevision {name} cannot be kept: the namespace is being deleted"),
        ),
        kube::Error::Api(status) if status.code == 403 => Trouble::blocked(
            Reason::Forbidden,
            format!(
                "the operator may not keep ControllerRevision {name}: {}; grant it: apiGroups [apps], resources [controllerrevisions], verbs [list, watch, create, delete]",
                status.message
            ),
        ),
        other => Trouble::transient(format!("ControllerRevision {name} could not be kept: {other}")),
    }
}

fn verdicts(outcome: &Result<RevisionInForce, Trouble>, steps: Option<String>, had_one: bool) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    match outcome {
        Ok(latest) => {
            verdicts.push(Verdict::yes(
                conditions::READY,
                Reason::Compiled,
                format!("version {} compiled", latest.version),
            ));
        }
        Err(trouble) => {
            let kept = if had_one {
                "; instances keep the last version that compiled"
            } else {
                ""
            };
            let message = format!(
                "{}{kept}",
                conditions::bounded(&trouble.message, conditions::MESSAGE_LIMIT - 64)
            );
            verdicts.push(Verdict::no(conditions::READY, trouble.reason, &message));
            let abnormal = if trouble.class >= Class::Blocked {
                conditions::STALLED
            } else {
                conditions::RECONCILING
            };
            verdicts.push(Verdict::yes(abnormal, trouble.reason, message));
        }
    }
    if let Some(actions) = steps {
        verdicts.push(Verdict::no(
            conditions::STEPS_SUPPORTED,
            Reason::StepsNotSupported,
            format!("spec.steps are stored and are not run yet ({actions}); what is to live goes to spec.resources"),
        ));
    }
    verdicts
}

/// The actions of the steps, each once, in words; none where there are no steps.
fn actions(steps: &[Value]) -> Option<String> {
    let mut actions: Vec<&str> = Vec::new();
    for step in steps {
        let action = step.get("action").and_then(Value::as_str).unwrap_or("no action");
        if !actions.contains(&action) {
            actions.push(action);
        }
    }
    let shown: Vec<String> = actions.iter().map(|action| shown(action, 63)).collect();
    (!steps.is_empty()).then(|| listed(shown.iter().map(String::as_str), 8))
}

/// The instances that name this template, of whatever kind.
fn count(world: &World, key: &Key, latest: Option<&RevisionInForce>) -> InstanceCounts {
    let mut counts = InstanceCounts::default();
    for instance in world.catalog.index().related(key, Role::TemplateOf) {
        counts.total += 1;
        counts.ready += i64::from(instance.aspects.ready);
        counts.updated += i64::from(latest.is_some_and(|latest| is_at(instance.aspects, &latest.digest)));
    }
    counts
}

/// Whether an instance is at this content, with every environment that has no pin.
fn is_at(aspects: &Aspects, digest: &str) -> bool {
    let mut environments = aspects.rollout.environments.iter();
    aspects.revision.as_deref() == Some(digest)
        && environments.all(|environment| environment.revision.as_deref().is_none_or(|other| other == digest))
}

/// Wakes the instances when what they follow has changed, and publishes an event when what Ready says has.
fn tell(world: &World, key: &Key, object: &DynamicObject, before: &TemplateStatus, after: &TemplateStatus) {
    let ready = |status: &TemplateStatus| {
        conditions::find(&status.conditions, conditions::READY)
            .map(|ready| (ready.status.clone(), ready.reason.clone(), ready.message.clone()))
    };
    if before.latest != after.latest || ready(before) != ready(after) {
        world.wake_readers(key);
        if let Some((status, reason, message)) = ready(after) {
            world
                .events
                .publish(reference(key, object), status == "True", &reason, &message);
        }
    }
}
