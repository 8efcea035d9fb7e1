//! Which version of its template an instance is planned at: the newest, unless a pin, the template's rollout, or what the newest
//! would do to it keeps it where it is. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;

use super::decode::Instance;
use super::gather::{self, Gathered, compiled};
use super::inventory::{Identity, fallen_out, to_be_deleted, under_policy, unite};
use super::leaving::bounded_list;
use crate::api::conditions;
use crate::api::instance::{InstanceTemplate, Mode, TemplateInForce};
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::api::rollout::{Rollout, RolloutStrategy};
use crate::api::template::RevisionInForce;
use crate::catalog::refs::EntityRef;
use crate::controllers::catalog::is_of_its_own;
use crate::controllers::surroundings::Surroundings;
use crate::controllers::template::revisions::Held;
use crate::controllers::trouble::{Class, Trouble};
use crate::controllers::turns::Turn;
use crate::controllers::wakes::Key;
use crate::template::compile::Compiled;
use crate::template::content::hash;
use crate::template::plan::{Live, Plan, Rendered};

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
}

/// The version that was chosen.
pub struct Choice {
    /// It.
    pub base: Arc<Compiled>,
    /// Why it is not the newest, where it is not.
    pub behind: Option<Behind>,
    /// The version that the instance is at, where this is another one that it follows its template to.
    pub from: Option<TemplateInForce>,
    /// The turn that is used by that, where the template has a rollout.
    pub turn: Option<Turn>,
}

/// Why the newest version is not in force: the reason and the message of `UpToDate`.
pub type Behind = (Reason, String);

/// Chooses, without a look at what the version would do.
///
/// # Errors
/// The version is not there, or does not compile.
pub fn choose(
    world: &dyn Surroundings,
    instance: &Instance,
    wanted: &InstanceTemplate,
    offer: &Offer<'_>,
) -> Result<Choice, Trouble> {
    if let Some(version) = &wanted.version {
        return Ok(Choice {
            base: gather::pinned(world, offer.template, version)?,
            behind: Some((Reason::Pinned, "pinned to it by spec.template.version".to_owned())),
            from: None,
            turn: None,
        });
    }
    let from = at(instance, offer.reference).filter(|at| at.digest != offer.latest.digest);
    let (Some(from), Some(rollout)) = (from, offer.rollout) else {
        return Ok(Choice {
            base: gather::newest(world, offer.template, offer.latest)?,
            behind: None,
            from: from.cloned(),
            turn: None,
        });
    };
    let turn = match stays(wanted, rollout) {
        Some(why) => Err(why),
        None => world
            .turn(
                offer.template,
                &instance.key,
                &offer.latest.digest,
                instance.was_ready(),
            )
            .ok_or("waits for its turn in the template's rollout"),
    };
    match turn {
        Ok(turn) => Ok(Choice {
            base: gather::newest(world, offer.template, offer.latest)?,
            behind: None,
            from: Some(from.clone()),
            turn: Some(turn),
        }),
        Err(why) => Ok(Choice {
            base: still(world, offer.template, from)?,
            behind: Some((Reason::NewerVersion, why.to_owned())),
            from: None,
            turn: None,
        }),
    }
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

/// The version that an instance is at, as long as it is kept.
fn still(world: &dyn Surroundings, template: &Key, at: &TemplateInForce) -> Result<Arc<Compiled>, Trouble> {
    let wanted = |held: &Held| held.digest == at.digest && held.version == at.version;
    let held = world.revision(template, &wanted).ok_or_else(|| {
        Trouble::waiting(
            Reason::VersionNotFound,
            format!(
                "{template} has no version \"{}\" any more, at which this instance is; its objects are kept as they are until it is moved: pin a version that there is in spec.template.version, or let the template's rollout go on",
                at.version
            ),
        )
    })?;
    compiled(world, template, &held)
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
    let Some(from) = gathered.from.clone() else {
        look_ahead(world, instance, wanted, &mut gathered);
        let plan = gather::plan(world, instance, wanted, &gathered)?;
        return Ok((gathered, plan));
    };
    // Where the template says nothing about its rollout, whoever changes it has agreed for all.
    let asks = gathered.turn.is_some();
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
    let Ok(base) = still(world, &gathered.template, &from) else {
        return Err(refusal);
    };
    let behind = (refusal.reason, why(&gathered.in_force.latest_version, &refusal));
    gathered.put(base, Some(&from));
    gathered.behind = Some(behind);
    // What it says fits neither version: by the newest it is to be put right.
    let plan = gather::plan(world, instance, wanted, &gathered).map_err(|_| refusal)?;
    Ok((gathered, plan))
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
    let at = gathered.in_force.clone();
    let base = gathered.base.clone();
    let Ok(newest) = gather::newest(world, &gathered.template, &gathered.latest) else {
        return;
    };
    gathered.put(newest, None);
    let refusal = match gather::plan(world, instance, wanted, gathered) {
        Ok(plan) => disagreement(world, instance, wanted, gathered, &plan),
        Err(refusal) => Some(refusal),
    };
    gathered.put(base, Some(&at));
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
    let at = instance
        .status
        .template
        .as_ref()
        .filter(|at| at.digest != gathered.base.digest)?;
    let deleted = deleted(instance, wanted, gathered, plan);
    let anew = anew(world, instance, wanted, gathered, plan, at);
    if deleted.is_empty() && anew.is_empty() {
        return None;
    }
    let confirmation: String = hash(&json!([instance.uid, gathered.base.digest, deleted, anew]))
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
    let before = still(world, &gathered.template, at).ok().and_then(|base| {
        let mut request = gather::request(world, instance, wanted, gathered);
        request.base = base;
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
