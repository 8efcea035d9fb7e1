//! What a plan needs, gathered from the caches: the template, its revisions, the system and the owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::decode::Instance;
use super::inventory::is_namespace;
use super::moving;
use super::standing::Standing;
use super::versions::{Behind, Moving, Next, Offer, choose};
use crate::api::conditions;
use crate::api::instance::{InstanceStatus, InstanceTemplate, TemplateInForce};
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::api::template::{AllowedFrom, AllowedNamespaces, RevisionInForce, TemplateSpec, TemplateStatus};
use crate::catalog::integrity::advice;
use crate::catalog::refs::{self, EntityRef};
use crate::controllers::catalog::moment;
use crate::controllers::namespaces;
use crate::controllers::surroundings::Surroundings;
use crate::controllers::template::revisions::Held;
use crate::controllers::trouble::{Trouble, of_faults};
use crate::controllers::wakes::{Interest, Key, OwnKind};
use crate::runtime::clients::Account;
use crate::template::compile::Compiled;
use crate::template::plan::{self, Plan, PlanRequest};

/// The template of an instance, resolved.
pub struct Gathered {
    /// The template's name.
    pub template_name: String,
    /// The template's namespace.
    pub template_namespace: String,
    /// The template's ref.
    pub reference: EntityRef,
    /// What the status says about it.
    pub in_force: TemplateInForce,
    /// The template.
    pub template: Key,
    /// Its newest version.
    pub latest: RevisionInForce,
    /// Why that is not in force, where it is not.
    pub behind: Option<Behind>,
    /// What the template's rollout moves of the instance next.
    pub next: Option<Next>,
    /// That the instance follows its template to another version, if it does.
    pub moving: Option<Moving>,
    /// The versions in force.
    pub standing: Standing,
    /// The newest version, where the rollout is yet to move something of the instance to it.
    pub ahead: Option<Arc<Compiled>>,
    /// As whom its objects are written.
    pub account: Account,
    /// The live Template's `targetNamespaces`.
    pub target_namespaces: BTreeSet<String>,
    /// Namespaces that the instance's System made.
    pub system_namespaces: BTreeSet<String>,
    /// The System that lives beside the instance and may yet make its namespaces, if that is so.
    pub awaited_system: Option<EntityRef>,
    /// The owner as expressions see it.
    pub owner: Value,
    /// The system as expressions see it.
    pub system: Value,
}

impl Gathered {
    /// Puts other versions in force; `before` is what the status says of where the instance is.
    pub fn put(&mut self, standing: Standing, before: &TemplateInForce) {
        self.in_force = standing.in_force(&self.reference, &self.latest.version, Some(before));
        self.standing = standing;
        self.moving = None;
    }
}

/// What the outcome of [`gather`] depends on, also when there is none: the template, the system, the owner, who hands over to the
/// instance or takes over from it, the instance's own
/// namespace (a template may choose by its labels who may use it), and what the cluster serves.
pub fn interests(instance: &Instance, wanted: &InstanceTemplate) -> Vec<Interest> {
    let namespace = &instance.key.namespace;
    let template = refs::parse_of_kind(&wanted.reference, "template", namespace).ok();
    let system = instance
        .system
        .as_deref()
        .and_then(|written| refs::parse_of_kind(written, "system", namespace).ok());
    let owner = refs::parse(&instance.owner, Some("group"), namespace).ok();
    let named = [template, system, owner].into_iter().flatten();
    let entities = named.chain(moving::others(instance)).map(Interest::Entity);
    [Interest::Kinds, Interest::Namespace(namespace.clone())]
        .into_iter()
        .chain(entities)
        .collect()
}

/// Resolves what `wanted` names. See [`interests`] for what is to be said before.
///
/// # Errors
/// Why there is nothing to plan with.
pub fn gather(world: &dyn Surroundings, instance: &Instance, wanted: &InstanceTemplate) -> Result<Gathered, Trouble> {
    if let Some(conflict) = world.conflict(&instance.key) {
        return Err(conflict);
    }
    let reference = refs::parse_of_kind(&wanted.reference, "template", &instance.key.namespace)
        .map_err(|error| Trouble::invalid(Reason::InvalidSpec, format!("spec.template.ref: {error}")))?;
    let reference = world.meant(reference);
    descent(world, instance, &reference)?;
    let system = system(world, instance)?;
    let owner = owner(world, instance)?;
    let (template, spec, status) = template(world, &reference)?;
    allowed(world, instance, &reference, spec.allowed_namespaces.as_ref())?;
    let latest = status
        .latest
        .clone()
        .ok_or_else(|| not_ready(&reference, &status.conditions))?;
    let account = spec
        .service_account_name
        .map(|name| Account {
            namespace: reference.namespace.clone(),
            name,
        })
        .ok_or_else(|| {
            Trouble::waiting(
                Reason::TemplateNotReady,
                format!("{reference} names no service account to write its objects as; set spec.serviceAccountName"),
            )
        })?;
    let completed = status.rollout.and_then(|rollout| moment(&rollout.completed_at?));
    let offer = Offer {
        template: &template,
        reference: &reference,
        rollout: spec.rollout.as_ref(),
        latest: &latest,
        completed: completed.map_or(0, jiff::Timestamp::as_microsecond),
    };
    let choice = choose(world, instance, wanted, &offer)?;
    let ahead = choice.next.as_ref();
    let ahead = ahead.and_then(|_| newest(world, &template, &latest).ok());
    let at = instance.status.template.as_ref();
    Ok(Gathered {
        template_name: template.name.clone(),
        template_namespace: template.namespace.clone(),
        in_force: choice.standing.in_force(&reference, &latest.version, at),
        reference,
        template,
        latest,
        behind: choice.behind,
        next: choice.next,
        moving: choice.moving,
        standing: choice.standing,
        ahead,
        account,
        target_namespaces: spec.target_namespaces.into_iter().collect(),
        system_namespaces: system.namespaces,
        awaited_system: system.awaited,
        owner,
        system: system.seen,
    })
}

/// The most instances above one, each made by the next, that are looked at.
const GENERATIONS: usize = 16;

/// An instance may be what another instance's template has made. Where that one, or any above it, names the same template, each
/// would make one more, without an end.
fn descent(world: &dyn Surroundings, instance: &Instance, template: &EntityRef) -> Result<(), Trouble> {
    let mut of = instance.entity.clone();
    let mut line = vec![instance.reference().to_string()];
    for _ in 0..GENERATIONS {
        let uid = of
            .pointer("/metadata/labels")
            .and_then(|labels| labels.get(marks::INSTANCE_UID)?.as_str());
        let maker = uid
            .and_then(|uid| world.of_uid(uid))
            .and_then(|key| Some((world.entity(&key)?, key)));
        let Some(maker) = maker.and_then(|(object, key)| Instance::decode(&key, &object).ok()) else {
            return Ok(());
        };
        line.push(maker.reference().to_string());
        let named = maker
            .template
            .as_ref()
            .and_then(|wanted| refs::parse_of_kind(&wanted.reference, "template", &maker.key.namespace).ok())
            .map(|named| world.meant(named));
        if named.as_ref() == Some(template) {
            return Err(Trouble::invalid(
                Reason::NotAllowed,
                format!(
                    "spec.template.ref: {template} makes instances of itself, which would go on for ever: {}; let it make them from another template",
                    line.join(" is made by ")
                ),
            ));
        }
        of = maker.entity;
    }
    Ok(())
}

fn template(world: &dyn Surroundings, reference: &EntityRef) -> Result<(Key, TemplateSpec, TemplateStatus), Trouble> {
    let found = world.find(reference);
    let there = |(key, object): &(Key, Arc<DynamicObject>)| {
        key.kind == OwnKind::Template && object.metadata.deletion_timestamp.is_none()
    };
    let (key, object) = found.filter(there).ok_or_else(|| missing(world, reference))?;
    let spec: TemplateSpec = object
        .data
        .get("spec")
        .cloned()
        .and_then(|spec| serde_json::from_value(spec).ok())
        .ok_or_else(|| {
            Trouble::waiting(
                Reason::TemplateNotReady,
                format!("{reference} cannot be read; see its own condition Ready"),
            )
        })?;
    let status = object
        .data
        .get("status")
        .cloned()
        .and_then(|status| serde_json::from_value(status).ok())
        .unwrap_or_default();
    Ok((key, spec, status))
}

/// There is no such template. What may have been meant is looked for beside it: elsewhere, templates of one name come and go.
fn missing(world: &dyn Surroundings, reference: &EntityRef) -> Trouble {
    let former = world
        .catalog()
        .resolve(reference)
        .map(|key| world.catalog().reference(&key));
    if let Some(other) = former.filter(|other| other != reference) {
        return Trouble::waiting(
            Reason::TemplateNotFound,
            format!(
                "spec.template.ref: {reference} does not exist; it is an alias of {other}, which for templates counts within one namespace alone: write {other}. Objects that exist already are kept as they are"
            ),
        );
    }
    let mut near = world.catalog().index().near(reference, &["template"]);
    near.retain(|other| other.namespace == reference.namespace);
    let advice = advice(&near);
    let end = if advice.ends_with('?') { "" } else { "." };
    Trouble::waiting(
        Reason::TemplateNotFound,
        format!(
            "spec.template.ref: {reference} does not exist; {advice}{end} Objects that exist already are kept as they are"
        ),
    )
}

fn not_ready(reference: &EntityRef, found: &[conditions::Condition]) -> Trouble {
    let why = conditions::find(found, conditions::READY)
        .filter(|ready| ready.status == "False")
        .map(|ready| ready.message.as_str());
    match why {
        Some(why) => Trouble::waiting(Reason::TemplateNotReady, format!("{reference} is not ready: {why}")),
        None => Trouble::waiting(
            Reason::WaitingForTemplate,
            format!("waiting for {reference} to be compiled"),
        ),
    }
}

/// Whether the template is open to the instance's namespace.
fn allowed(
    world: &dyn Surroundings,
    instance: &Instance,
    template: &EntityRef,
    from: Option<&AllowedNamespaces>,
) -> Result<(), Trouble> {
    let namespace = &instance.key.namespace;
    let Some(why) = closed(world, namespace, &template.namespace, from) else {
        return Ok(());
    };
    Err(Trouble::new(
        crate::controllers::trouble::Class::Invalid,
        Reason::NotAllowed,
        format!(
            "spec.template.ref: {template} is not open to namespace {namespace}: {why}; ask its owner to widen its spec.allowedNamespaces, for example to {{from: All}}, or use a template that is open"
        ),
    ))
}

/// Why a template of namespace `of` is not open to `namespace`; none where it is.
pub fn closed(
    world: &dyn Surroundings,
    namespace: &str,
    of: &str,
    from: Option<&AllowedNamespaces>,
) -> Option<&'static str> {
    if namespace == of {
        return None;
    }
    let from = from.cloned().unwrap_or_default();
    match from.from {
        AllowedFrom::All => None,
        AllowedFrom::Same => Some("it is open to its own namespace only"),
        AllowedFrom::Selector => {
            let labels = world.namespace_labels(namespace);
            // Where they may not be read, nothing is held against it; whoever reads so says that it is unchecked.
            let open = from
                .selector
                .is_some_and(|selector| labels.is_none_or(|labels| namespaces::matches(&selector, &labels)));
            (!open).then_some("its selector does not match that namespace's labels")
        }
    }
}

fn owner(world: &dyn Surroundings, instance: &Instance) -> Result<Value, Trouble> {
    let owner = refs::parse(&instance.owner, Some("group"), &instance.key.namespace)
        .map_err(|error| Trouble::invalid(Reason::InvalidSpec, format!("spec.owner: {error}")))?;
    let owner = world.meant(owner);
    let found = world.find(&owner);
    Ok(shape(
        &owner,
        found.as_ref().and_then(|(_, object)| object.data.get("spec")),
    ))
}

/// The system of an instance.
#[derive(Default)]
struct SystemOf {
    /// As expressions see it.
    seen: Value,
    /// The namespaces that it made, if it lives beside the instance.
    namespaces: BTreeSet<String>,
    /// Its ref, if it lives beside the instance and is not there or not done yet.
    awaited: Option<EntityRef>,
}

fn system(world: &dyn Surroundings, instance: &Instance) -> Result<SystemOf, Trouble> {
    let Some(written) = &instance.system else {
        return Ok(SystemOf::default());
    };
    let reference = refs::parse_of_kind(written, "system", &instance.key.namespace)
        .map_err(|error| Trouble::invalid(Reason::InvalidSpec, format!("spec.system: {error}")))?;
    let reference = world.meant(reference);
    let found = world.find(&reference).filter(|(key, _)| key.kind == OwnKind::System);
    let seen = shape(
        &reference,
        found.as_ref().and_then(|(_, object)| object.data.get("spec")),
    );
    if reference.namespace != instance.key.namespace {
        return Ok(SystemOf {
            seen,
            ..SystemOf::default()
        });
    }
    let system = found.and_then(|(key, object)| Instance::decode(&key, &object).ok());
    let done = system.as_ref().is_some_and(Instance::is_ready);
    Ok(SystemOf {
        seen,
        namespaces: system.map(|system| made_namespaces(&system.status)).unwrap_or_default(),
        awaited: (!done).then_some(reference),
    })
}

/// The namespaces that an instance with this status has made.
pub fn made_namespaces(status: &InstanceStatus) -> BTreeSet<String> {
    status
        .inventory
        .iter()
        .filter(|entry| is_namespace(entry) && !entry.uid.is_empty())
        .map(|entry| entry.name.clone())
        .collect()
}

fn shape(reference: &EntityRef, spec: Option<&Value>) -> Value {
    json!({
        "kind": reference.kind, "namespace": reference.namespace, "name": reference.name,
        "ref": reference.to_string(), "exists": spec.is_some(), "spec": spec,
    })
}

pub(super) fn newest(
    world: &dyn Surroundings,
    template: &Key,
    latest: &RevisionInForce,
) -> Result<Arc<Compiled>, Trouble> {
    let wanted = |held: &Held| held.digest == latest.digest && held.version == latest.version;
    let held = world.revision(template, &wanted).ok_or_else(|| {
        Trouble::waiting(
            Reason::WaitingForVersion,
            format!("waiting for the newest revision of {template}"),
        )
    })?;
    compiled(world, template, &held)
}

pub(super) fn pinned(world: &dyn Surroundings, template: &Key, version: &str) -> Result<Arc<Compiled>, Trouble> {
    let held = world.revision(template, &|held| held.version == version).ok_or_else(|| {
        Trouble::waiting(
            Reason::VersionNotFound,
            format!("{template} has no version \"{version}\"; pin one that it has (kubectl get controllerrevisions -n {}), or take the pin away", template.namespace),
        )
    })?;
    compiled(world, template, &held)
}

pub(super) fn compiled(world: &dyn Surroundings, template: &Key, held: &Held) -> Result<Arc<Compiled>, Trouble> {
    world.compile(held).map_err(|faults| {
        let trouble = of_faults(&faults);
        Trouble {
            message: format!("{template} version {}: {}", held.version, trouble.message),
            ..trouble
        }
    })
}

/// What a plan of an instance depends on.
pub fn request<'a>(
    world: &'a dyn Surroundings,
    instance: &'a Instance,
    wanted: &'a InstanceTemplate,
    gathered: &'a Gathered,
) -> PlanRequest<'a> {
    PlanRequest {
        entity: &instance.entity,
        owner: &gathered.owner,
        system: &gathered.system,
        template_name: &gathered.template_name,
        template_namespace: &gathered.template_namespace,
        parameters: &wanted.parameters,
        base: gathered.standing.own.clone(),
        environments: gathered.standing.environments.clone(),
        newest: gathered.ahead.clone(),
        system_namespaces: gathered.system_namespaces.clone(),
        target_namespaces: gathered.target_namespaces.clone(),
        kinds: world.kinds(),
        policy: world.policy(),
        references: BTreeMap::new(),
    }
}

/// Plans an instance with what was gathered for it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn plan(
    world: &dyn Surroundings,
    instance: &Instance,
    wanted: &InstanceTemplate,
    gathered: &Gathered,
) -> Result<Plan, Trouble> {
    let plan = plan::plan(request(world, instance, wanted, gathered))
        .map_err(|faults| unless_awaited(of_faults(&faults), gathered))?;
    // What is known to be wrong with the last object is told before the first is made.
    match plan.faults() {
        faults if faults.is_empty() => Ok(plan),
        faults => Err(of_faults(&faults)),
    }
}

/// A namespace that is not allowed may be one that the System beside the instance is yet to make: `GitOps` applies in any order.
fn unless_awaited(trouble: Trouble, gathered: &Gathered) -> Trouble {
    match &gathered.awaited_system {
        Some(system) if trouble.reason == Reason::NamespaceNotAllowed => Trouble::waiting(
            Reason::WaitingForNamespace,
            format!(
                "waiting for {system}, which is not Ready; without it: {}",
                trouble.message
            ),
        ),
        _ => trouble,
    }
}
