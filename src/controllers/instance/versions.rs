//! Which versions of its template an instance is planned at: the newest, unless a pin, the template's rollout, or what the newest
//! would do to it keeps it where it is, as a whole or in single environments. Pure.

use std::collections::HashSet;

use serde_json::json;

use super::decode::Instance;
use super::gather::{self, Gathered};
use super::inventory::{Identity, fallen_out, to_be_deleted, under_policy, unite};
use super::leaving::bounded_list;
use super::standing::{Source, Standing, parts};
use crate::api::conditions;
use crate::api::instance::{InstanceTemplate, Mode, TemplateInForce};
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::api::rollout::{Rollout, RolloutStrategy};
use crate::api::template::RevisionInForce;
use crate::catalog::refs::EntityRef;
use crate::controllers::catalog::is_of_its_own;
use crate::controllers::surroundings::Surroundings;
use crate::controllers::trouble::{Class, Trouble};
use crate::controllers::turns::{Asked, Turn};
use crate::controllers::wakes::Key;
use crate::template::content::hash;
use crate::template::names::listed;
use crate::template::plan::{Live, Plan, Rendered};
use crate::template::rollout::stages::{Part, Stages};

/// What a template offers.
pub struct Offer<'a> {
    /// The template.
    pub template: &'a Key,
    /// Its ref.
    pub reference: &'a EntityRef,
    /// How a new version reaches instances.
    pub rollout: Option<&'a Rollout>,
    /// The newest version.
    pub latest: &'a RevisionInForce,
    /// When a rollout of it last had nothing more to do, in microseconds since 1970.
    pub completed: i64,
}

/// The versions that were chosen.
pub struct Choice {
    /// They.
    pub standing: Standing,
    /// Why they are not the newest, where they are not.
    pub behind: Option<Behind>,
    /// What the template's rollout moves of it next, be it its turn or not.
    pub next: Option<Next>,
    /// That it moves to another version that it follows its template to.
    pub moving: Option<Moving>,
}

/// What is moved of an instance in one stage of a rollout.
#[derive(Clone, Debug)]
pub struct Next {
    /// The environment; with none, all that is left.
    pub environment: Option<String>,
    /// The environments of `spec.rollout.environments` that are to be moved, in its order; what is in none of them comes last.
    pub order: Vec<String>,
}

/// That an instance moves.
pub struct Moving {
    /// Where it is.
    pub from: TemplateInForce,
    /// The turn that is used by that, where the template has a rollout.
    pub turn: Option<Turn>,
    /// Whether what is moved is what was moved last while the instance was Ready.
    pub again: bool,
}

/// Why the newest version is not in force: the reason and the message of `UpToDate`.
pub type Behind = (Reason, String);

/// Chooses, without a look at what the versions would do.
///
/// # Errors
/// A version is not there, or does not compile.
pub fn choose(
    world: &dyn Surroundings,
    instance: &Instance,
    wanted: &InstanceTemplate,
    offer: &Offer<'_>,
) -> Result<Choice, Trouble> {
    let source = Source {
        world,
        template: offer.template,
        latest: offer.latest,
        wanted,
    };
    if let Some(version) = &wanted.version {
        let own = gather::pinned(world, offer.template, version)?;
        let why = "pinned to it by spec.template.version".to_owned();
        return Ok(Choice {
            behind: Some((Reason::Pinned, why)),
            ..Choice::of(source.pinned(own)?)
        });
    }
    let (Some(from), Some(rollout)) = (at(instance, offer.reference), offer.rollout) else {
        let from = at(instance, offer.reference).filter(|at| at.digest != offer.latest.digest);
        let moving = from.map(|from| Moving {
            from: from.clone(),
            turn: None,
            again: false,
        });
        return Ok(Choice {
            moving,
            ..Choice::of(source.newest()?)
        });
    };
    let stages = Stages::of(&rollout.environments);
    let parts = parts(from, &instance.status, wanted);
    let Some(stage) = stages.next(&parts, &offer.latest.digest) else {
        return Ok(Choice::of(source.still(from)?));
    };
    let next = Next {
        environment: stages.environment(stage).map(str::to_owned),
        order: order(stages, &parts, &offer.latest.digest),
    };
    let turn = match stays(wanted, rollout) {
        Some(why) => Err(why.to_owned()),
        None => world
            .turn(
                offer.template,
                &instance.key,
                &Asked {
                    to: &offer.latest.digest,
                    environment: stages.environment(stage),
                    ready: instance.was_ready(),
                },
            )
            .ok_or_else(|| waits(stages, stage, &parts, &offer.latest.digest)),
    };
    match turn {
        Ok(turn) => Ok(Choice {
            standing: if turn.is_free() {
                source.newest()?
            } else {
                source.moved(from, next.environment.as_deref())?
            },
            behind: left(stages, stage, &parts, &offer.latest.digest).filter(|_| !turn.is_free()),
            next: Some(next),
            moving: Some(Moving {
                from: from.clone(),
                turn: Some(turn),
                again: stages
                    .last(&parts, &offer.latest.digest, offer.completed)
                    .is_some_and(|last| last.stage == stage),
            }),
        }),
        Err(why) => Ok(Choice {
            behind: Some((Reason::NewerVersion, why)),
            next: Some(next),
            ..Choice::of(source.still(from)?)
        }),
    }
}

impl Choice {
    /// To stay there.
    fn of(standing: Standing) -> Self {
        Self {
            standing,
            behind: None,
            next: None,
            moving: None,
        }
    }
}

/// What an instance waits for whose turn it is not.
fn waits(stages: Stages<'_>, stage: usize, parts: &[Part<'_>], latest: &str) -> String {
    let turn = "waits for its turn in the template's rollout";
    let Some(environment) = stages.environment(stage) else {
        return turn.to_owned();
    };
    let order = order(stages, parts, latest);
    let later = order.iter().map(String::as_str).filter(|name| *name != environment);
    let last = |part: &Part<'_>| stages.environment(stages.place(part.environment)).is_none();
    let rest = parts.iter().any(|part| last(part) && part.digest != latest);
    let later = listed(later.chain(rest.then_some("the rest")), 8);
    let after = if later.is_empty() { "" } else { ", and after it " };
    format!("environment {environment} {turn}{after}{later}")
}

/// The environments that the stages name and in which an instance is to be moved, in their order.
fn order(stages: Stages<'_>, parts: &[Part<'_>], latest: &str) -> Vec<String> {
    let is_behind = |name: &&str| {
        let mut behind = parts.iter().filter(|part| part.digest != latest);
        behind.any(|part| part.environment == Some(name))
    };
    let named = (0..stages.count()).filter_map(|stage| stages.environment(stage));
    named.filter(is_behind).map(str::to_owned).collect()
}

/// Why the newest version is not in force everywhere once a stage is done.
fn left(stages: Stages<'_>, stage: usize, parts: &[Part<'_>], latest: &str) -> Option<Behind> {
    let left = parts.iter().filter(|part| stages.place(part.environment) != stage);
    let left: Vec<Part<'_>> = left.copied().collect();
    let next = stages.next(&left, latest)?;
    Some((Reason::NewerVersion, waits(stages, next, &left, latest)))
}

/// The version that an instance of this template is at.
fn at<'i>(instance: &'i Instance, template: &EntityRef) -> Option<&'i TemplateInForce> {
    let at = instance.status.template.as_ref()?;
    (at.reference == template.to_string() && !at.digest.is_empty()).then_some(at)
}

/// Why the instance is not to be moved, whoever's turn it is.
fn stays(wanted: &InstanceTemplate, rollout: &Rollout) -> Option<&'static str> {
    if wanted.suspend {
        Some("suspended by spec.template.suspend")
    } else if rollout.strategy == RolloutStrategy::Manual {
        Some("moved only by spec.template.version, since the template's rollout is Manual")
    } else if rollout.paused {
        Some("not moved while the template's rollout is paused")
    } else {
        None
    }
}

/// Gathers and plans an instance. One that is to be moved to a version that it cannot take stays where it is, and says why.
///
/// # Errors
/// Why there is nothing to plan with, or what is wrong with the plan.
pub fn planned(
    world: &dyn Surroundings,
    instance: &Instance,
    wanted: &InstanceTemplate,
) -> Result<(Gathered, Plan), Trouble> {
    let mut gathered = gather::gather(world, instance, wanted)?;
    let Some(moving) = &gathered.moving else {
        look_ahead(world, instance, wanted, &mut gathered);
        let plan = gather::plan(world, instance, wanted, &gathered)?;
        return Ok((gathered, plan));
    };
    let from = moving.from.clone();
    // Where the template says nothing about its rollout, whoever changes it has agreed for all.
    let asks = moving.turn.is_some();
    let refusal = match gather::plan(world, instance, wanted, &gathered) {
        Ok(plan) if !asks => return Ok((gathered, plan)),
        Ok(plan) => match disagreement(world, instance, wanted, &gathered, &plan) {
            None => return Ok((gathered, plan)),
            Some(refusal) => refusal,
        },
        Err(refusal) => refusal,
    };
    let keeps = refusal.reason == Reason::InvalidParameters || asks;
    if !keeps || refusal.class == Class::Transient {
        return Err(refusal);
    }
    let Ok(standing) = source(world, wanted, &gathered).still(&from) else {
        return Err(refusal);
    };
    let behind = (refusal.reason, why(&gathered.in_force.latest_version, &refusal));
    gathered.put(standing, &from);
    gathered.behind = Some(behind);
    // What it says fits neither version: by the newest it is to be put right.
    let plan = gather::plan(world, instance, wanted, &gathered).map_err(|_| refusal)?;
    Ok((gathered, plan))
}

fn source<'a>(world: &'a dyn Surroundings, wanted: &'a InstanceTemplate, gathered: &'a Gathered) -> Source<'a> {
    Source {
        world,
        template: &gathered.template,
        latest: &gathered.latest,
        wanted,
    }
}

fn why(newest: &str, refusal: &Trouble) -> String {
    format!("it stays there, since it cannot take {newest}: {}", refusal.message)
}

/// Whether one that could not take the newest version can now, or one whose turn it is not yet still cannot.
fn look_ahead(world: &dyn Surroundings, instance: &Instance, wanted: &InstanceTemplate, gathered: &mut Gathered) {
    let held = conditions::find(&instance.status.conditions, conditions::UP_TO_DATE)
        .is_some_and(|said| said.status == "False" && is_of_its_own(&said.reason));
    let waits = matches!(&gathered.behind, Some((Reason::NewerVersion, _)));
    if !held || !waits {
        return;
    }
    let Some(next) = gathered.next.clone() else {
        return;
    };
    let at = gathered.in_force.clone();
    let standing = gathered.standing.clone();
    let Ok(ahead) = source(world, wanted, gathered).moved(&at, next.environment.as_deref()) else {
        return;
    };
    gathered.put(ahead, &at);
    let refusal = match gather::plan(world, instance, wanted, gathered) {
        Ok(plan) => disagreement(world, instance, wanted, gathered, &plan),
        Err(refusal) => Some(refusal),
    };
    gathered.put(standing, &at);
    if let Some(refusal) = refusal {
        gathered.behind = Some((refusal.reason, why(&at.latest_version, &refusal)));
    }
}

/// What a person has to agree to, and has not: that moving to the version deletes objects of the instance, or makes them anew.
fn disagreement(
    world: &dyn Surroundings,
    instance: &Instance,
    wanted: &InstanceTemplate,
    gathered: &Gathered,
    plan: &Plan,
) -> Option<Trouble> {
    let at = instance.status.template.as_ref()?;
    let deleted = deleted(instance, wanted, gathered, plan);
    let anew = anew(world, instance, wanted, gathered, plan, at);
    if deleted.is_empty() && anew.is_empty() {
        return None;
    }
    let confirmation: String = hash(&json!([instance.uid, gathered.latest.digest, deleted, anew]))
        .chars()
        .take(10)
        .collect();
    if instance.has_confirmed(&confirmation) {
        return None;
    }
    let told = [("delete", deleted), ("delete and make anew", anew)]
        .into_iter()
        .filter(|(_, objects)| !objects.is_empty())
        .map(|(verb, objects)| format!("{verb} {}", bounded_list(&objects)));
    Some(Trouble::blocked(
        Reason::DeletionNotConfirmed,
        format!(
            "it would {}; agree to that: kubectl annotate -n {} --overwrite {} {} {}={confirmation}",
            told.collect::<Vec<_>>().join(", and "),
            instance.key.namespace,
            instance.key.kind.full_name(),
            instance.key.name,
            marks::CONFIRM_DELETION,
        ),
    ))
}

/// The objects that would be deleted.
fn deleted(instance: &Instance, wanted: &InstanceTemplate, gathered: &Gathered, plan: &Plan) -> Vec<String> {
    let policy = wanted.deletion_policy.unwrap_or_default();
    let inventory = &instance.status.inventory;
    let union = unite(inventory, &plan.objects, &gathered.account, policy, String::new);
    let (_, obsolete) = fallen_out(&union);
    to_be_deleted(&under_policy(obsolete, policy))
}

/// The objects that exist, may be replaced, and would be changed: whether the apiserver refuses the change is known only when it is tried.
fn anew(
    world: &dyn Surroundings,
    instance: &Instance,
    wanted: &InstanceTemplate,
    gathered: &Gathered,
    plan: &Plan,
    at: &TemplateInForce,
) -> Vec<String> {
    let there: HashSet<Identity> = instance
        .status
        .inventory
        .iter()
        .filter(|entry| !entry.uid.is_empty() && entry.mode == Mode::Own)
        .map(Identity::of)
        .collect();
    let replaceable: Vec<usize> = plan
        .objects
        .iter()
        .enumerate()
        .filter(|(_, object)| object.replace && there.contains(&Identity::planned(object)))
        .map(|(place, _)| place)
        .collect();
    if replaceable.is_empty() {
        return Vec::new();
    }
    let before = source(world, wanted, gathered).still(at).ok().and_then(|standing| {
        let mut request = gather::request(world, instance, wanted, gathered);
        request.base = standing.own;
        request.environments = standing.environments;
        crate::template::plan::plan(request).ok()
    });
    let changes = |place: &usize| {
        let Some(object) = plan.objects.get(*place) else {
            return false;
        };
        let identity = Identity::planned(object);
        let old = before.as_ref().and_then(|before| {
            let place = before
                .objects
                .iter()
                .position(|old| Identity::planned(old) == identity)?;
            body(before, place)
        });
        old.is_none() || old != body(plan, *place)
    };
    let shown = |place: usize| plan.objects.get(place).map(super::access::describe_planned);
    replaceable.into_iter().filter(changes).filter_map(shown).collect()
}

/// What an object says without what it takes from others that live. None where it says nothing without.
fn body(plan: &Plan, place: usize) -> Option<serde_json::Value> {
    match plan.render(place, &Live::new()) {
        Ok(Rendered::Object(body)) => Some(body),
        _ => None,
    }
}
