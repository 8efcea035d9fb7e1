//! How a plan is made: from parameters to objects whose identities are known, placed, and in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::compile::{Compiled, template_fault};
use super::expression::context::{Identity, Known, References, Scope};
use super::expression::evaluate::Evaluator;
use super::expression::term::{Meter, Stop, kind_of};
use super::fault::Fault;
use super::graph;
use super::kinds::KindInfo;
use super::names::shown;
use super::placement::{self, Allowed};
use super::plan::{Plan, PlanRequest, PlannedObject};
use super::references::{self, CompiledReference, CompiledTarget, ReferenceTarget, WantedReference};
use super::rendering::Sizes;
use super::resource::CompiledResource;
use super::rules;
use super::tree::{At, Node};
use crate::api::instance::Mode;
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

/// Where an object of a plan comes from.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// The place of its version.
    pub(crate) version: usize,
    /// The place of its resource in that version.
    pub(crate) resource: usize,
    /// `{key, value, index}` where the resource has `each`.
    pub(crate) each: Option<Value>,
}

impl Inputs {
    /// What an expression in `version` can name.
    pub(crate) fn scope<'a>(&'a self, version: &'a Version, each: Option<&'a Value>) -> Scope<'a> {
        Scope {
            parameters: &version.parameters,
            entity: &self.entity,
            system: &self.system,
            owner: &self.owner,
            template: &version.template,
            each,
            itself: None,
            references: &self.references,
            known: &self.known,
            repeated: &version.compiled.repeated,
            live: None,
        }
    }
}

/// Plans one instance.
pub(crate) fn plan(request: &PlanRequest<'_>) -> Result<Plan, Vec<Fault>> {
    let (versions, of_environment) = versions(request)?;
    let mut planner = Planner {
        request,
        inputs: inputs(request),
        versions,
        of_environment,
        meter: Meter::for_plan(),
        drafts: Vec::new(),
        faults: Vec::new(),
    };
    planner.inputs.references.unwanted = planner.unwanted();
    planner.draft_all();
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
    let (versions, _) = versions(request)?;
    let inputs = inputs(request);
    let meter = Meter::for_plan();
    let mut wanted: BTreeMap<String, WantedReference> = BTreeMap::new();
    let mut faults = Vec::new();
    for version in &versions {
        let evaluator = Evaluator {
            scope: inputs.scope(version, None),
            meter: &meter,
        };
        for reference in &version.compiled.references {
            match wanted_reference(reference, &evaluator) {
                Ok(Some(found)) => {
                    wanted.entry(found.id.clone()).or_insert(found);
                }
                Ok(None) => {}
                Err(fault) => faults.push(fault),
            }
        }
    }
    if faults.is_empty() {
        Ok(wanted.into_values().collect())
    } else {
        Err(faults)
    }
}

fn wanted_reference<'a>(
    reference: &'a CompiledReference,
    evaluator: &Evaluator<'a>,
) -> Result<Option<WantedReference>, Fault> {
    let field = format!("references.{}", reference.id);
    let fault = |message: &str| template_fault(Reason::RenderFailed, &field, message);
    let wanted = reference
        .condition
        .as_ref()
        .map_or(Ok(true), |condition| condition.holds(evaluator));
    if !wanted.map_err(|stop| fault(&stop_text(stop)))? {
        return Ok(None);
    }
    let text = |node: &'a Node| -> Result<Option<String>, Fault> {
        match node.value(evaluator).map_err(|at| fault(&stop_text(at.what)))? {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(fault(&format!("found {}, expected a string", kind_of(&other)))),
        }
    };
    let target = match &reference.target {
        CompiledTarget::Entity(node) => match text(node)? {
            Some(written) => ReferenceTarget::Entity(written),
            // A reference to nothing, such as a parameter that was not given, is not wanted.
            None => return Ok(None),
        },
        CompiledTarget::Object {
            api_version,
            kind,
            namespace,
            name,
        } => {
            let needed = |node: &'a Node, what: &str| text(node)?.ok_or_else(|| fault(&format!("{what} is missing")));
            let (api_version, kind) = (needed(api_version, "apiVersion")?, needed(kind, "kind")?);
            if let Some(message) = references::refused(&api_version, &kind) {
                return Err(template_fault(Reason::KindNotAllowed, &field, &message));
            }
            let namespace = namespace.as_ref().map(&text).transpose()?.flatten();
            ReferenceTarget::Object {
                api_version,
                kind,
                namespace,
                name: needed(name, "name")?,
            }
        }
    };
    Ok(Some(WantedReference {
        id: reference.id.clone(),
        target,
    }))
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
fn versions(request: &PlanRequest<'_>) -> Result<(Vec<Version>, BTreeMap<String, usize>), Vec<Fault>> {
    let version = |compiled: &Arc<Compiled>, parameters: Map<String, Value>| Version {
        compiled: Arc::clone(compiled),
        parameters: Value::Object(parameters),
        template: json!({
            "name": request.template_name, "namespace": request.template_namespace, "version": compiled.version,
        }),
    };
    let mut versions = vec![version(
        &request.base,
        request.base.parameters.complete(request.parameters)?,
    )];
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

/// What a stop says while planning, where nothing is waited for.
fn stop_text(stop: Stop) -> String {
    match stop {
        Stop::Fault(message) => message,
        Stop::Waiting(path) => format!("{path} does not exist"),
    }
}

/// An object whose identity is known, before its place is.
struct Draft {
    binding: Binding,
    id: String,
    key: Option<String>,
    environment: Option<String>,
    kind: KindInfo,
    namespace: Option<String>,
    name: String,
    mode: Mode,
}

impl Draft {
    /// The resource's id, with the key behind it.
    fn label(&self) -> String {
        label(&self.id, self.key.as_deref())
    }
}

fn label(id: &str, key: Option<&str>) -> String {
    key.map_or_else(|| id.to_owned(), |key| format!("{id}/{}", shown(key, 63)))
}

struct Planner<'r> {
    request: &'r PlanRequest<'r>,
    inputs: Inputs,
    versions: Vec<Version>,
    of_environment: BTreeMap<String, usize>,
    meter: Meter,
    drafts: Vec<Draft>,
    faults: Vec<Fault>,
}

impl Planner<'_> {
    fn unwanted(&mut self) -> BTreeSet<String> {
        let mut unwanted = BTreeSet::new();
        for version in &self.versions {
            let evaluator = Evaluator {
                scope: self.inputs.scope(version, None),
                meter: &self.meter,
            };
            for reference in &version.compiled.references {
                match wanted_reference(reference, &evaluator) {
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        unwanted.insert(reference.id.clone());
                    }
                    Err(fault) => self.faults.push(fault),
                }
            }
        }
        unwanted
    }

    /// Drafts every resource of every version, each behind those whose names it may use.
    fn draft_all(&mut self) {
        let mut ids: Vec<String> = Vec::new();
        for resource in self.versions.iter().flat_map(|version| &version.compiled.resources) {
            if !ids.contains(&resource.id) {
                ids.push(resource.id.clone());
            }
        }
        let places: BTreeMap<&str, usize> = ids.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
        let mut needs = vec![BTreeSet::new(); ids.len()];
        for resource in self.versions.iter().flat_map(|version| &version.compiled.resources) {
            if let Some(needs) = places.get(resource.id.as_str()).and_then(|place| needs.get_mut(*place)) {
                needs.extend(
                    resource
                        .depends_on
                        .keys()
                        .filter_map(|id| places.get(id.as_str()).copied()),
                );
            }
        }
        let order = match graph::ordered(ids.len(), &needs, |place| place) {
            Ok(order) => order,
            Err(cycle) => {
                let names: Vec<&str> = cycle
                    .iter()
                    .filter_map(|place| ids.get(*place))
                    .map(String::as_str)
                    .collect();
                let message = format!(
                    "the versions of the environments wait for each other: {}; use one version",
                    names.join(" → ")
                );
                self.faults
                    .push(template_fault(Reason::InvalidTemplate, "resources", &message));
                return;
            }
        };
        for id in order.into_iter().filter_map(|place| ids.get(place)) {
            for version in 0..self.versions.len() {
                if !self.draft_resource(version, id) {
                    return;
                }
            }
        }
    }

    /// Drafts one resource of one version. False once there are too many objects.
    fn draft_resource(&mut self, version: usize, id: &str) -> bool {
        let Some(compiled) = self.versions.get(version).map(|version| Arc::clone(&version.compiled)) else {
            return true;
        };
        let Some((place, resource)) = compiled
            .resources
            .iter()
            .enumerate()
            .find(|(_, resource)| resource.id == id)
        else {
            return true;
        };
        let entries = match self.entries(version, resource) {
            Ok(entries) => entries,
            Err(fault) => {
                self.faults.push(fault);
                return true;
            }
        };
        for each in entries {
            let binding = Binding {
                version,
                resource: place,
                each,
            };
            match self.draft(resource, binding) {
                Ok(Some(draft)) => {
                    let identity = Identity {
                        name: draft.name.clone(),
                        namespace: draft.namespace.clone(),
                    };
                    self.inputs.known.add(&draft.id, draft.key.as_deref(), identity);
                    self.drafts.push(draft);
                }
                Ok(None) => {}
                Err(faults) => self.faults.extend(faults),
            }
            if self.drafts.len() > MAX_OBJECTS {
                let message =
                    format!("the plan has more than {MAX_OBJECTS} objects, which is the most that one may have");
                let field = if resource.each.is_some() { "each" } else { "" };
                self.faults.push(Fault {
                    reason: Reason::TooManyObjects,
                    resource: Some(id.to_owned()),
                    field: field.to_owned(),
                    message,
                });
                return false;
            }
        }
        true
    }

    /// The `each` of every object of a resource; one without for a resource that has none.
    fn entries(&self, version: usize, resource: &CompiledResource) -> Result<Vec<Option<Value>>, Fault> {
        let (Some(each), Some(version)) = (&resource.each, self.versions.get(version)) else {
            return Ok(vec![None]);
        };
        let fault = |reason, message: String| Fault {
            reason,
            resource: Some(resource.id.clone()),
            field: "each".to_owned(),
            message,
        };
        let evaluator = Evaluator {
            scope: self.inputs.scope(version, None),
            meter: &self.meter,
        };
        let value = each
            .value(&evaluator)
            .map_err(|at| fault(stop_reason(&at.what), stop_text(at.what)))?;
        let entries: Vec<(String, Value)> = match value {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| (index.to_string(), item))
                .collect(),
            Some(Value::Object(map)) => map.into_iter().collect(),
            Some(other) => {
                return Err(fault(
                    Reason::RenderFailed,
                    format!("found {}, expected a list or a map", kind_of(&other)),
                ));
            }
        };
        if entries.len() > MAX_OBJECTS {
            let message = format!(
                "{} entries are more than the {MAX_OBJECTS} objects that a plan may have",
                entries.len()
            );
            return Err(fault(Reason::TooManyObjects, message));
        }
        let bind =
            |(index, (key, value)): (usize, (String, Value))| Some(json!({"key": key, "value": value, "index": index}));
        Ok(entries.into_iter().enumerate().map(bind).collect())
    }

    /// One object, if its `if` holds and its environment runs this version.
    fn draft(&self, resource: &CompiledResource, binding: Binding) -> Result<Option<Draft>, Vec<Fault>> {
        let Some(version) = self.versions.get(binding.version) else {
            return Ok(None);
        };
        let key = binding
            .each
            .as_ref()
            .and_then(|each| each.get("key"))
            .and_then(Value::as_str)
            .map(str::to_owned);
        let label = label(&resource.id, key.as_deref());
        let evaluator = Evaluator {
            scope: self.inputs.scope(version, binding.each.as_ref()),
            meter: &self.meter,
        };
        let reader = Reader {
            evaluator: &evaluator,
            label: &label,
        };
        if let Some(condition) = &resource.condition
            && !condition
                .holds(&evaluator)
                .map_err(|stop| vec![reader.stopped("if", stop)])?
        {
            return Ok(None);
        }
        let environment = match &resource.environment {
            Some(node) => reader.text(node, "environment").map_err(|fault| vec![fault])?,
            None => None,
        };
        let runs = environment
            .as_ref()
            .and_then(|name| self.of_environment.get(name))
            .copied()
            .unwrap_or(0);
        if runs != binding.version {
            return Ok(None);
        }
        let mut faults = Vec::new();
        if let Some(Err(message)) = environment.as_deref().map(|name| rules::label(name, 63)) {
            faults.push(reader.fault(Reason::RenderFailed, "environment", message));
        }
        match self.identity(resource, &reader) {
            Ok((kind, namespace, name)) if faults.is_empty() => {
                let once = rules::runs_to_completion(&kind);
                let mode = resource.mode.unwrap_or(if once { Mode::Once } else { Mode::Own });
                drop(label);
                Ok(Some(Draft {
                    id: resource.id.clone(),
                    key,
                    environment,
                    kind,
                    namespace,
                    name,
                    mode,
                    binding,
                }))
            }
            Ok(_) => Err(faults),
            Err(found) => {
                faults.extend(found);
                Err(faults)
            }
        }
    }

    /// The kind, namespace and name of one object.
    fn identity<'a>(
        &self,
        resource: &'a CompiledResource,
        reader: &Reader<'_, 'a>,
    ) -> Result<(KindInfo, Option<String>, String), Vec<Fault>> {
        let needed = |node: &'a Node, field: &str| {
            reader.text(node, field)?.ok_or_else(|| {
                reader.fault(
                    Reason::RenderFailed,
                    field,
                    "empty or not given, expected a text".to_owned(),
                )
            })
        };
        let kind = needed(&resource.api_version, "manifest.apiVersion").and_then(|api_version| {
            let kind = needed(&resource.kind, "manifest.kind")?;
            rules::kind(
                &api_version,
                &kind,
                self.request.kinds,
                self.request.policy,
                resource.mode,
                resource.replace,
            )
            .map_err(|broken| rules::of_resource(reader.label, broken))
        });
        let name = needed(&resource.name, "manifest.metadata.name");
        let namespace = resource
            .namespace
            .as_ref()
            .map_or(Ok(None), |node| reader.text(node, "manifest.metadata.namespace"));
        let (kind, name, namespace) = match (kind, name, namespace) {
            (Ok(kind), Ok(name), Ok(namespace)) => (kind, name, namespace),
            (kind, name, namespace) => {
                return Err([kind.err(), name.err(), namespace.err()]
                    .into_iter()
                    .flatten()
                    .collect());
            }
        };
        let mut faults = Vec::new();
        if let Err(message) = rules::object_name(&kind, &name) {
            faults.push(reader.fault(Reason::RenderFailed, "manifest.metadata.name", message));
        }
        let namespace = match (kind.namespaced, namespace) {
            (true, Some(namespace)) => {
                if let Err(message) = rules::label(&namespace, 63) {
                    faults.push(reader.fault(Reason::RenderFailed, "manifest.metadata.namespace", message));
                }
                Some(namespace)
            }
            (true, None) => Some(self.own_namespace().to_owned()),
            (false, Some(_)) => {
                let message = format!("{} is cluster-scoped and has no namespace; remove it", kind.kind);
                faults.push(reader.fault(Reason::RenderFailed, "manifest.metadata.namespace", message));
                None
            }
            (false, None) => None,
        };
        if faults.is_empty() {
            Ok((kind, namespace, name))
        } else {
            Err(faults)
        }
    }

    fn own_namespace(&self) -> &str {
        self.request
            .entity
            .pointer("/metadata/namespace")
            .and_then(Value::as_str)
            .unwrap_or("default")
    }

    /// Checks that every object may go where it says.
    fn place_all(&mut self) {
        let planned = self
            .drafts
            .iter()
            .filter(|draft| is_namespace(&draft.kind) && draft.mode != Mode::Patch);
        let allowed = Allowed {
            planned: planned.map(|draft| draft.name.as_str()).collect(),
            own: self.own_namespace(),
            system: &self.request.system_namespaces,
            target: &self.request.target_namespaces,
            policy: self.request.policy,
        };
        let mut faults = Vec::new();
        for draft in &self.drafts {
            let (field, checked) = match &draft.namespace {
                Some(namespace) => ("manifest.metadata.namespace", allowed.check(namespace)),
                None if is_namespace(&draft.kind) => match placement::reserved(&draft.name, self.request.policy) {
                    Some(entry) => (
                        "manifest.metadata.name",
                        Err(format!(
                            "the namespace {} cannot be a template's: the administrator reserves {entry}",
                            draft.name
                        )),
                    ),
                    None => continue,
                },
                None => continue,
            };
            if let Err(message) = checked {
                faults.push(Fault {
                    reason: Reason::NamespaceNotAllowed,
                    resource: Some(draft.label()),
                    field: field.to_owned(),
                    message,
                });
            }
        }
        self.faults.extend(faults);
    }

    /// Checks that no two resources render to one object.
    fn duplicates(&mut self) {
        let mut seen: BTreeMap<(&str, &str, Option<&str>, &str), &Draft> = BTreeMap::new();
        let mut faults = Vec::new();
        for draft in &self.drafts {
            let identity = (
                draft.kind.group.as_str(),
                draft.kind.kind.as_str(),
                draft.namespace.as_deref(),
                draft.name.as_str(),
            );
            if let Some(first) = seen.get(&identity) {
                let place = draft
                    .namespace
                    .as_deref()
                    .map_or_else(String::new, |namespace| format!(" in {namespace}"));
                faults.push(Fault {
                    reason: Reason::DuplicateObject,
                    resource: Some(draft.label()),
                    field: "manifest.metadata.name".to_owned(),
                    message: format!(
                        "{} {}{place} is already what resource \"{}\" renders to; give them different names",
                        draft.kind.kind,
                        draft.name,
                        first.label()
                    ),
                });
            } else {
                seen.insert(identity, draft);
            }
        }
        self.faults.extend(faults);
    }

    /// What each draft must come behind, by place in the drafts.
    fn needs(&self) -> Vec<BTreeSet<usize>> {
        let mut by_id: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut namespaces: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, draft) in self.drafts.iter().enumerate() {
            by_id.entry(&draft.id).or_default().push(place);
            if is_namespace(&draft.kind) && draft.mode != Mode::Patch {
                namespaces.insert(&draft.name, place);
            }
        }
        let needs_of = |draft: &Draft| {
            let mut needs: BTreeSet<usize> = draft
                .namespace
                .iter()
                .filter_map(|name| namespaces.get(name.as_str()).copied())
                .collect();
            let resource = self.resource(&draft.binding);
            for (id, same_key) in resource.into_iter().flat_map(|resource| &resource.depends_on) {
                let found = by_id.get(id.as_str()).into_iter().flatten().copied();
                let same = |place: &usize| {
                    self.drafts
                        .get(*place)
                        .is_some_and(|other| other.key.is_none() || other.key == draft.key)
                };
                needs.extend(found.filter(|place| !*same_key || same(place)));
            }
            needs
        };
        self.drafts.iter().map(needs_of).collect()
    }

    fn resource(&self, binding: &Binding) -> Option<&CompiledResource> {
        self.versions
            .get(binding.version)?
            .compiled
            .resources
            .get(binding.resource)
    }

    /// Orders the drafts and makes the plan of them.
    fn finish(mut self) -> Result<Plan, Vec<Fault>> {
        let needs = self.needs();
        let key = |place: usize| {
            self.drafts.get(place).map(|draft| {
                let index = draft
                    .binding
                    .each
                    .as_ref()
                    .and_then(|each| each.get("index"))
                    .and_then(Value::as_u64);
                (
                    rules::class(&draft.kind, draft.mode),
                    draft.binding.resource,
                    draft.id.clone(),
                    index,
                )
            })
        };
        let order = graph::ordered(self.drafts.len(), &needs, key).map_err(|cycle| {
            let labels: Vec<String> = cycle
                .iter()
                .filter_map(|place| self.drafts.get(*place))
                .map(Draft::label)
                .collect();
            let message = format!("the objects wait for each other: {}", labels.join(" → "));
            vec![Fault {
                reason: Reason::InvalidTemplate,
                resource: labels.into_iter().next(),
                field: "dependsOn".to_owned(),
                message,
            }]
        })?;
        let new_places: BTreeMap<usize, usize> = order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let mut drafts: Vec<Option<Draft>> = std::mem::take(&mut self.drafts).into_iter().map(Some).collect();
        let mut known = Known::default();
        let mut objects = Vec::with_capacity(order.len());
        let mut bindings = Vec::with_capacity(order.len());
        for old in order {
            let Some(draft) = drafts.get_mut(old).and_then(Option::take) else {
                continue;
            };
            known.add(
                &draft.id,
                draft.key.as_deref(),
                Identity {
                    name: draft.name.clone(),
                    namespace: draft.namespace.clone(),
                },
            );
            bindings.push(draft.binding.clone());
            let depends_on = needs
                .get(old)
                .into_iter()
                .flatten()
                .filter_map(|need| new_places.get(need).copied());
            let mut depends_on: Vec<usize> = depends_on.collect();
            depends_on.sort_unstable();
            objects.push(self.object(draft, depends_on));
        }
        self.inputs.known = known;
        let parameters = self
            .versions
            .first()
            .and_then(|version| version.parameters.as_object())
            .cloned()
            .unwrap_or_default();
        let sizes = Sizes::new(objects.len());
        Ok(Plan {
            objects,
            parameters,
            inputs: self.inputs,
            versions: self.versions,
            bindings,
            sizes,
        })
    }

    fn object(&self, draft: Draft, depends_on: Vec<usize>) -> PlannedObject {
        let resource = self.resource(&draft.binding);
        PlannedObject {
            deletion_policy: resource.and_then(|resource| resource.deletion_policy),
            drift_policy: resource.map(|resource| resource.drift_policy).unwrap_or_default(),
            replace: resource.is_some_and(|resource| resource.replace),
            resource: draft.id,
            each_key: draft.key,
            environment: draft.environment,
            kind: draft.kind,
            namespace: draft.namespace,
            name: draft.name,
            mode: draft.mode,
            depends_on,
        }
    }
}

fn is_namespace(kind: &KindInfo) -> bool {
    kind.group.is_empty() && kind.kind == "Namespace"
}

fn stop_reason(stop: &Stop) -> Reason {
    match stop {
        Stop::Fault(_) => Reason::RenderFailed,
        Stop::Waiting(_) => Reason::ReferenceNotFound,
    }
}

/// Reads the fields of one resource, and words what is wrong with them.
struct Reader<'e, 'a> {
    evaluator: &'e Evaluator<'a>,
    label: &'e str,
}

impl<'a> Reader<'_, 'a> {
    fn fault(&self, reason: Reason, field: &str, message: String) -> Fault {
        Fault {
            reason,
            resource: Some(self.label.to_owned()),
            field: field.to_owned(),
            message,
        }
    }

    fn stopped(&self, field: &str, stop: Stop) -> Fault {
        self.fault(stop_reason(&stop), field, stop_text(stop))
    }

    /// A text; none where it is empty or was not given.
    fn text(&self, node: &'a Node, field: &str) -> Result<Option<String>, Fault> {
        match node.value(self.evaluator) {
            Ok(None | Some(Value::Null)) => Ok(None),
            Ok(Some(Value::String(text))) => Ok(Some(text).filter(|text| !text.is_empty())),
            Ok(Some(other)) => Err(self.fault(
                Reason::RenderFailed,
                field,
                format!("found {}, expected a string", kind_of(&other)),
            )),
            Err(At { what, .. }) => Err(self.stopped(field, what)),
        }
    }
}
