//! How a plan is made: from parameters to objects whose identities are known, placed, and in order.

mod draft;
mod parts;
mod settle;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use self::draft::Planner;
use super::compile::Compiled;
use super::expression::context::{Known, References, Scope};
use super::expression::term::{Meter, Stop};
use super::fault::Fault;
use super::names::listed;
use super::plan::{Plan, PlanRequest};
use super::references::WantedReference;
use crate::api::reasons::Reason;

/// The most objects that one plan may have (design §3).
const MAX_OBJECTS: usize = 500;

/// What expressions can name, whatever object they stand in.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) entity: Value,
    pub(crate) owner: Value,
    pub(crate) system: Value,
    pub(crate) references: References,
    pub(crate) known: Known,
}

/// A version that a plan uses.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) compiled: Arc<Compiled>,
    /// The parameters with this version's defaults, as a map.
    pub(crate) parameters: Value,
    /// `template` as expressions see it.
    pub(crate) template: Value,
}

/// An included template, as one plan has it: once, or once for each entry of the `each` of its include.
#[derive(Debug)]
pub(crate) struct Part {
    /// The place of its include in the version.
    pub(crate) include: usize,
    /// Which of the parts of this include it is.
    pub(crate) order: usize,
    /// The keys of each `each` around it, the outermost first.
    pub(crate) keys: Vec<String>,
    /// Its parameters, with the included template's defaults, as a map.
    pub(crate) parameters: Value,
    /// What stands before the ids of its references. Example: `guardrails[dev].`.
    pub(crate) within: String,
}

/// Where an object of a plan comes from.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// The place of its version.
    pub(crate) version: usize,
    /// The included template that it is of; none where it is the template's own.
    pub(crate) part: Option<Arc<Part>>,
    /// The place of its resource in that version.
    pub(crate) resource: usize,
    /// `{key, value, index}` where the resource has `each`.
    pub(crate) each: Option<Value>,
}

impl Inputs {
    /// What an expression in `version` can name: of the template itself, or of a part of it.
    pub(crate) fn scope<'a>(
        &'a self,
        version: &'a Version,
        part: Option<&'a Part>,
        each: Option<&'a Value>,
    ) -> Scope<'a> {
        let own = Scope {
            parameters: &version.parameters,
            entity: &self.entity,
            system: &self.system,
            owner: &self.owner,
            template: &version.template,
            each,
            itself: None,
            references: &self.references,
            known: &self.known,
            names: &version.compiled.names,
            keys: &[],
            within: "",
            live: None,
        };
        match part.and_then(|part| Some((part, version.compiled.includes.get(part.include)?))) {
            Some((part, include)) => Scope {
                parameters: &part.parameters,
                template: &include.template,
                names: &include.names,
                keys: &part.keys,
                within: &part.within,
                ..own
            },
            None => own,
        }
    }
}

/// Plans one instance, with as much work as `meter` has.
pub(crate) fn plan(request: &PlanRequest<'_>, meter: &Meter) -> Result<Plan, Vec<Fault>> {
    let mut planner = planner(request, meter)?;
    planner.inputs.references.unwanted = planner.wanted_references().unwanted;
    planner.draft_all();
    // Those of parts can be told only now.
    let parts = planner.wanted_references();
    planner.faults.extend(parts.faults);
    planner.inputs.references.unwanted.extend(parts.unwanted);
    planner.place_all();
    planner.duplicates();
    if planner.faults.is_empty() {
        planner.finish()
    } else {
        Err(planner.faults)
    }
}

/// The references that the instance wants read.
pub(crate) fn references(request: &PlanRequest<'_>) -> Result<Vec<WantedReference>, Vec<Fault>> {
    let meter = Meter::for_plan();
    let mut planner = planner(request, &meter)?;
    if planner
        .versions
        .iter()
        .any(|version| !version.compiled.includes.is_empty())
    {
        planner.inputs.references.unwanted = planner.wanted_references().unwanted;
        // What is wrong with it is told by the plan itself.
        planner.draft_all();
    }
    let found = planner.wanted_references();
    if found.faults.is_empty() {
        Ok(found.read.into_values().collect())
    } else {
        Err(found.faults)
    }
}

fn planner<'r>(request: &'r PlanRequest<'r>, meter: &'r Meter) -> Result<Planner<'r>, Vec<Fault>> {
    let (versions, of_environment) = versions(request)?;
    Ok(Planner {
        request,
        inputs: inputs(request),
        needed: draft::needed(&versions),
        versions,
        of_environment,
        meter,
        parts: BTreeMap::new(),
        drafts: Vec::new(),
        faults: Vec::new(),
        broken: BTreeSet::new(),
    })
}

fn inputs(request: &PlanRequest<'_>) -> Inputs {
    Inputs {
        entity: request.entity.clone(),
        owner: request.owner.clone(),
        system: request.system.clone(),
        references: References {
            found: request.references.clone(),
            unwanted: BTreeSet::new(),
        },
        known: Known::default(),
    }
}

/// The versions in use, and by environment the place of the one that it runs.
type Versions = (Vec<Version>, BTreeMap<String, usize>);

/// The versions in use, and by environment the place of the one that it runs.
fn versions(request: &PlanRequest<'_>) -> Result<Versions, Vec<Fault>> {
    let version = |compiled: &Arc<Compiled>, parameters: Map<String, Value>| Version {
        compiled: Arc::clone(compiled),
        parameters: Value::Object(parameters),
        template: json!({
            "name": request.template_name, "namespace": request.template_namespace, "version": compiled.version,
        }),
    };
    let complete = request.base.parameters.complete(&given_to_base(request));
    let complete = complete.map_err(|faults| in_base(faults, request))?;
    let mut versions = vec![version(&request.base, complete)];
    let mut of_environment = BTreeMap::new();
    for (environment, compiled) in &request.environments {
        let known = versions
            .iter()
            .position(|version| Arc::ptr_eq(&version.compiled, compiled));
        let place = if let Some(place) = known {
            place
        } else {
            // An older version need not know the parameters that a newer one brought.
            let mut given = request.parameters.clone();
            if !compiled.parameters.open() {
                given.retain(|name, _| compiled.parameters.declared().contains(name));
            }
            let complete = compiled
                .parameters
                .complete(&given)
                .map_err(|faults| in_environment(faults, environment, compiled))?;
            versions.push(version(compiled, complete));
            versions.len() - 1
        };
        of_environment.insert(environment.clone(), place);
    }
    Ok((versions, of_environment))
}

/// The parameters that the instance's own version is given: without those that only another one knows, which an environment runs
/// or to which the instance is yet to be moved.
fn given_to_base<'r>(request: &'r PlanRequest<'_>) -> Cow<'r, Map<String, Value>> {
    let own = &request.base.parameters;
    let others = || request.environments.values().chain(&request.newest);
    let known_elsewhere = |name: &String| others().any(|other| other.parameters.declared().contains(name));
    let is_given = |name: &String| own.open() || own.declared().contains(name) || !known_elsewhere(name);
    if request.parameters.keys().all(is_given) {
        return Cow::Borrowed(request.parameters);
    }
    let given = request.parameters.iter().filter(|(name, _)| is_given(name));
    Cow::Owned(given.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Where environments have other versions, says which one does not take the parameters.
fn in_base(faults: Vec<Fault>, request: &PlanRequest<'_>) -> Vec<Fault> {
    let others = request.environments.iter();
    let others: Vec<&str> = others
        .filter(|(_, other)| !Arc::ptr_eq(other, &request.base))
        .map(|(name, _)| name.as_str())
        .collect();
    if others.is_empty() {
        return faults;
    }
    let (version, others) = (&request.base.version, listed(others, 8));
    let named = |mut fault: Fault| {
        fault.message = format!(
            "{} (version {version}, which is in force outside {others})",
            fault.message
        );
        fault
    };
    faults.into_iter().map(named).collect()
}

fn in_environment(faults: Vec<Fault>, environment: &str, compiled: &Compiled) -> Vec<Fault> {
    let named = |mut fault: Fault| {
        fault.message = format!(
            "{} (version {}, which environment {environment} runs)",
            fault.message, compiled.version
        );
        fault
    };
    faults.into_iter().map(named).collect()
}

fn stop_reason(stop: &Stop) -> Reason {
    match stop {
        Stop::Fault(_) => Reason::RenderFailed,
        Stop::Waiting(_) => Reason::ReferenceNotFound,
    }
}
