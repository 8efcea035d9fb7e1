//! Whether an instance can be what it says: its parameters against the template's schema, and whether it may use the template.
//! What may change without it, such as a template that is not there yet, is a warning and no refusal. Pure.

use kube::api::DynamicObject;

use super::summary::summary;
use super::words::{Refusal, Verdict};
use crate::api::instance::InstanceTemplate;
use crate::api::reasons::Reason;
use crate::catalog::refs::{self, EntityRef};
use crate::controllers::instance::decode::Instance;
use crate::controllers::instance::gather::{self, Gathered};
use crate::controllers::instance::moving;
use crate::controllers::instance::versions;
use crate::controllers::surroundings::Surroundings;
use crate::controllers::trouble::{Class, Trouble, of_faults};
use crate::controllers::wakes::Key;
use crate::template::fault::Fault;
use crate::template::plan::{self, Plan};

/// What was found of an instance.
#[derive(Default)]
struct Found {
    /// What is wrong with what it says itself.
    faults: Vec<Fault>,
    /// What keeps it from being provisioned that it does not say itself.
    beside: Option<Trouble>,
    /// What it would be given.
    planned: Option<Planned>,
}

/// What an instance would be given.
pub(super) struct Planned {
    pub instance: Instance,
    pub wanted: InstanceTemplate,
    pub gathered: Gathered,
    pub plan: Plan,
}

/// What is said to a write of an instance, `new` in the place of `old`. To a dry run also what it would come to.
pub fn judge(
    world: &dyn Surroundings,
    key: &Key,
    new: &DynamicObject,
    old: Option<&DynamicObject>,
    dry_run: bool,
) -> Verdict {
    let unchanged = old.is_some_and(|old| old.data.get("spec") == new.data.get("spec"));
    // What a person takes away or leaves as it is, is never held up.
    if new.metadata.deletion_timestamp.is_some() || unchanged {
        return Verdict::default();
    }
    let found = examine(world, key, new);
    let mut verdict = Verdict::default();
    if !found.faults.is_empty() {
        let before = old.map(|old| examine(world, key, old).faults).unwrap_or_default();
        let by_schema = found
            .faults
            .iter()
            .all(|fault| fault.reason == Reason::InvalidParameters);
        let compiling = is_compiling(world, key, new).filter(|_| by_schema);
        let new_ones = found.faults.iter().any(|fault| !before.contains(fault));
        if !new_ones {
            let told = of_faults(&found.faults).message;
            verdict
                .warnings
                .push(format!("it was wrong before, and still is: {told}"));
        } else if let Some(template) = compiling {
            let told = of_faults(&found.faults).message;
            verdict.warnings.push(format!(
                "{template} has changed and is being compiled; by its version before: {told}"
            ));
        } else {
            verdict.refusal = Some(Refusal { faults: found.faults });
            return verdict;
        }
    }
    verdict.warnings.extend(found.beside.map(|trouble| trouble.message));
    if let Some(planned) = &found.planned {
        let objects = &planned.plan.objects;
        verdict
            .warnings
            .extend(moving::warnings(world, &planned.instance, objects));
    }
    if let (true, Some(planned)) = (dry_run, &found.planned) {
        verdict.warnings.extend(summary(planned));
    }
    verdict
}

/// The template that an instance names, as written, if that can be read.
pub fn template_of(key: &Key, object: &DynamicObject) -> Option<EntityRef> {
    let written = object.data.pointer("/spec/template/ref")?.as_str()?;
    refs::parse_of_kind(written, "template", &key.namespace).ok()
}

fn examine(world: &dyn Surroundings, key: &Key, object: &DynamicObject) -> Found {
    let instance = match Instance::decode(key, object) {
        Ok(instance) => instance,
        Err(trouble) => return stopped(trouble),
    };
    let Some(wanted) = instance.template.clone().filter(|_| !instance.is_released()) else {
        return Found::default();
    };
    let gathered = match gather::gather(world, &instance, &wanted) {
        Ok(gathered) => gathered,
        Err(trouble) => return stopped(trouble),
    };
    let planned = plan::plan(gather::request(world, &instance, &wanted, &gathered));
    let own = |faults: &[Fault]| faults.iter().all(|fault| fault.reason == Reason::InvalidParameters);
    let beside = |trouble: Option<Trouble>| Found {
        beside: trouble,
        ..Found::default()
    };
    match planned {
        Err(faults) if own(&faults) => at_its_version(world, &instance, &wanted).unwrap_or(Found {
            faults,
            ..Found::default()
        }),
        // The rest may be another's to put right, and the controllers' own words say what it waits for.
        Err(_) => beside(gather::plan(world, &instance, &wanted, &gathered).err()),
        Ok(plan) => match plan.faults() {
            faults if faults.is_empty() => Found {
                planned: Some(Planned {
                    instance,
                    wanted,
                    gathered,
                    plan,
                }),
                ..Found::default()
            },
            faults => beside(Some(of_faults(&faults))),
        },
    }
}

/// An instance that the newest version does not take stays at the one that it is at, if that takes it.
fn at_its_version(world: &dyn Surroundings, instance: &Instance, wanted: &InstanceTemplate) -> Option<Found> {
    let (gathered, _) = versions::planned(world, instance, wanted).ok()?;
    let (reason, why) = gathered.behind?;
    let message = format!("at version {}: {why}", gathered.in_force.version);
    Some(Found {
        beside: Some(Trouble::waiting(reason, message)),
        ..Found::default()
    })
}

/// What stands in the way, as the instance's own fault or not.
fn stopped(trouble: Trouble) -> Found {
    let own = trouble.class == Class::Invalid && matches!(trouble.reason, Reason::InvalidSpec | Reason::NotAllowed);
    if !own {
        return Found {
            beside: Some(trouble),
            ..Found::default()
        };
    }
    let fault = Fault {
        reason: trouble.reason,
        resource: None,
        field: String::new(),
        message: trouble.message,
    };
    Found {
        faults: vec![fault],
        ..Found::default()
    }
}

/// The template of an instance that follows its newest version, where that has not been compiled yet: `GitOps` applies both at once.
fn is_compiling(world: &dyn Surroundings, key: &Key, object: &DynamicObject) -> Option<EntityRef> {
    let reference = template_of(key, object)?;
    if object.data.pointer("/spec/template/version").is_some() {
        return None;
    }
    let (_, template) = world.find(&reference)?;
    let observed = template.data.pointer("/status/observedGeneration");
    let observed = observed.and_then(serde_json::Value::as_i64);
    (observed != template.metadata.generation).then_some(reference)
}
