//! Drafts: every object that a template has for one instance, with what it is, before it has a place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::parts::{PartsByInclude, entries};
use super::{Binding, Inputs, MAX_OBJECTS, Part, Version, stop_reason};
use crate::api::instance::Mode;
use crate::api::reasons::Reason;
use crate::template::compile::template_fault;
use crate::template::expression::context::Identity;
use crate::template::expression::evaluate::Evaluator;
use crate::template::expression::term::{Meter, Stop, kind_of};
use crate::template::fault::Fault;
use crate::template::graph;
use crate::template::kinds::KindInfo;
use crate::template::names::shown;
use crate::template::plan::PlanRequest;
use crate::template::resource::CompiledResource;
use crate::template::rules;
use crate::template::tree::{At, Node};

/// An object whose identity is known, before its place is.
pub(super) struct Draft {
    pub(super) binding: Binding,
    pub(super) id: String,
    /// The keys of each `each` that it is under, the outermost first.
    pub(super) keys: Vec<String>,
    pub(super) environment: Option<String>,
    pub(super) kind: KindInfo,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) mode: Mode,
}

impl Draft {
    /// The resource's id, with the key behind it.
    pub(super) fn label(&self) -> String {
        label(&self.id, &self.keys)
    }
}

fn label(id: &str, keys: &[String]) -> String {
    keys.iter()
        .fold(id.to_owned(), |label, key| format!("{label}/{}", shown(key, 63)))
}

/// A plan in the making.
pub(super) struct Planner<'r> {
    pub(super) request: &'r PlanRequest<'r>,
    pub(super) inputs: Inputs,
    pub(super) versions: Vec<Version>,
    pub(super) of_environment: BTreeMap<String, usize>,
    /// The resources outside environments that the instance's own version does not have, and an environment's needs: by id, the place
    /// of that version.
    pub(super) needed: BTreeMap<String, usize>,
    pub(super) meter: &'r Meter,
    pub(super) parts: PartsByInclude,
    pub(super) drafts: Vec<Draft>,
    pub(super) faults: Vec<Fault>,
    /// The resources of which an object is missing because of a fault: what depends on them is not looked at, so
    /// that one mistake is told once.
    pub(super) broken: BTreeSet<String>,
}

impl Planner<'_> {
    /// Drafts every resource of every version, each behind those whose names it may use.
    pub(super) fn draft_all(&mut self) {
        match self.order_of_ids() {
            Ok(ids) => {
                for id in ids {
                    for version in 0..self.versions.len() {
                        if !self.draft_resource(version, &id) {
                            return;
                        }
                    }
                }
            }
            Err(fault) => self.faults.push(fault),
        }
    }

    /// The ids of all versions' resources, each behind those that it depends on in any version.
    fn order_of_ids(&self) -> Result<Vec<String>, Fault> {
        let resources = || self.versions.iter().flat_map(|version| &version.compiled.resources);
        let mut ids: Vec<&str> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for resource in resources() {
            places.entry(&resource.id).or_insert_with(|| {
                ids.push(&resource.id);
                ids.len() - 1
            });
        }
        let mut needs = vec![BTreeSet::new(); ids.len()];
        for resource in resources() {
            let place = places.get(resource.id.as_str()).copied();
            if let Some(needs) = place.and_then(|place| needs.get_mut(place)) {
                needs.extend(
                    resource
                        .depends_on
                        .keys()
                        .filter_map(|id| places.get(id.as_str()).copied()),
                );
            }
        }
        let named = |places: Vec<usize>| -> Vec<String> {
            places
                .into_iter()
                .filter_map(|place| ids.get(place))
                .map(|id| (*id).to_owned())
                .collect()
        };
        graph::ordered(ids.len(), &needs, |place| place)
            .map(&named)
            .map_err(|cycle| {
                let message = format!(
                    "the versions of the environments wait for each other: {}; use one version",
                    named(cycle).join(" → ")
                );
                template_fault(Reason::InvalidTemplate, "resources", &message)
            })
    }

    /// Drafts one resource of one version. False once there are too many objects.
    fn draft_resource(&mut self, version: usize, id: &str) -> bool {
        let compiled = self.versions.get(version).map(|version| Arc::clone(&version.compiled));
        let resources = compiled
            .iter()
            .flat_map(|compiled| compiled.resources.iter().enumerate());
        for (place, resource) in resources.filter(|(_, resource)| resource.id == id) {
            if resource.depends_on.keys().any(|id| self.broken.contains(id)) {
                self.broken.insert(id.to_owned());
                continue;
            }
            // What a version has outside environments and is not wanted of it may name what is not there.
            if resource.environment.is_none() && self.needed.get(id).copied().unwrap_or_default() != version {
                continue;
            }
            let parts = match resource.include {
                None => vec![None],
                Some(include) => {
                    let Some(parts) = self.parts_of(version, include) else {
                        self.broken.insert(id.to_owned());
                        continue;
                    };
                    parts.into_iter().map(Some).collect()
                }
            };
            for part in parts {
                if !self.draft_in(version, part.as_ref(), place, resource) {
                    return false;
                }
            }
        }
        true
    }

    /// Drafts one resource in one part of a version. False once there are too many objects.
    fn draft_in(
        &mut self,
        version: usize,
        part: Option<&Arc<Part>>,
        place: usize,
        resource: &CompiledResource,
    ) -> bool {
        let entries = self
            .entries(version, part.map(AsRef::as_ref), resource)
            .unwrap_or_else(|fault| {
                self.note(&resource.id, vec![fault]);
                Vec::new()
            });
        for each in entries {
            let binding = Binding {
                version,
                part: part.cloned(),
                resource: place,
                each,
            };
            match self.draft(resource, binding) {
                Ok(draft) => self.keep(draft),
                Err(faults) => self.note(&resource.id, faults),
            }
            if self.drafts.len() > MAX_OBJECTS {
                self.note(&resource.id, vec![too_many(resource)]);
                return false;
            }
        }
        true
    }

    fn note(&mut self, id: &str, faults: Vec<Fault>) {
        self.broken.insert(id.to_owned());
        self.faults.extend(faults);
    }

    fn keep(&mut self, draft: Option<Draft>) {
        let Some(draft) = draft else { return };
        let identity = Identity {
            name: draft.name.clone(),
            namespace: draft.namespace.clone(),
        };
        self.inputs.known.add(&draft.id, &draft.keys, identity);
        self.drafts.push(draft);
    }

    /// The `each` of every object of a resource; one without for a resource that has none.
    fn entries(
        &self,
        version: usize,
        part: Option<&Part>,
        resource: &CompiledResource,
    ) -> Result<Vec<Option<Value>>, Fault> {
        let (Some(each), Some(version)) = (&resource.each, self.versions.get(version)) else {
            return Ok(vec![None]);
        };
        let fault = |reason, message: String| Fault {
            reason,
            resource: Some(label(&resource.id, part.map_or(&[], |part| &part.keys))),
            field: "each".to_owned(),
            message,
        };
        let evaluator = Evaluator {
            scope: self.inputs.scope(version, part, None),
            meter: self.meter,
        };
        let value = each
            .value(&evaluator)
            .map_err(|at| fault(stop_reason(&at.what), at.what.told()))?;
        let entries = entries(value).map_err(|message| fault(Reason::RenderFailed, message))?;
        if entries.len() > MAX_OBJECTS {
            let message = format!(
                "{} entries are more than the {MAX_OBJECTS} objects that a plan may have",
                entries.len()
            );
            return Err(fault(Reason::TooManyObjects, message));
        }
        Ok(entries.into_iter().map(Some).collect())
    }

    /// One object, if its `if` holds and its environment runs this version.
    fn draft(&self, resource: &CompiledResource, binding: Binding) -> Result<Option<Draft>, Vec<Fault>> {
        let Some(version) = self.versions.get(binding.version) else {
            return Ok(None);
        };
        let each = binding.each.as_ref();
        let mut keys = binding.part.as_ref().map(|part| part.keys.clone()).unwrap_or_default();
        let key = each.and_then(|each| each.get("key")).and_then(Value::as_str);
        keys.extend(key.map(str::to_owned));
        let label = label(&resource.id, &keys);
        let evaluator = Evaluator {
            scope: self.inputs.scope(version, binding.part.as_deref(), each),
            meter: self.meter,
        };
        let reader = Reader {
            evaluator: &evaluator,
            label: &label,
        };
        let environment = match self
            .wanted(resource, binding.version, &reader)
            .map_err(|fault| vec![fault])?
        {
            Wanted::No => return Ok(None),
            Wanted::In(environment) => environment,
        };
        let (kind, namespace, name) = self.identity(resource, &reader)?;
        let once = rules::runs_to_completion(&kind);
        let mode = resource.mode.unwrap_or(if once { Mode::Once } else { Mode::Own });
        Ok(Some(Draft {
            id: resource.id.clone(),
            keys,
            environment,
            kind,
            namespace,
            name,
            mode,
            binding,
        }))
    }

    /// Whether an object is wanted of this version, and its environment.
    fn wanted<'a>(
        &self,
        resource: &'a CompiledResource,
        version: usize,
        reader: &Reader<'_, 'a>,
    ) -> Result<Wanted, Fault> {
        if let Some(condition) = &resource.condition
            && !condition
                .holds(reader.evaluator)
                .map_err(|stop| reader.stopped("if", stop))?
        {
            return Ok(Wanted::No);
        }
        let environment = match &resource.environment {
            Some(node) => reader.text(node, "environment")?,
            None => None,
        };
        let runs = match &environment {
            Some(name) => self.of_environment.get(name),
            None => self.needed.get(&resource.id),
        };
        let runs = runs.copied().unwrap_or(0);
        if runs != version {
            return Ok(Wanted::No);
        }
        match environment.as_deref().map(|name| rules::label(name, 63)) {
            Some(Err(message)) => Err(reader.fault(Reason::RenderFailed, "environment", message)),
            _ => Ok(Wanted::In(environment)),
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
        let checked = match (kind.namespaced, &namespace) {
            (true, Some(namespace)) => rules::label(namespace, 63),
            (false, Some(_)) => Err(format!(
                "{} is cluster-scoped and has no namespace; remove it",
                kind.kind
            )),
            (_, None) => Ok(()),
        };
        if let Err(message) = checked {
            faults.push(reader.fault(Reason::RenderFailed, "manifest.metadata.namespace", message));
        }
        let namespace = if kind.namespaced {
            Some(namespace.unwrap_or_else(|| self.own_namespace().to_owned()))
        } else {
            None
        };
        if faults.is_empty() {
            Ok((kind, namespace, name))
        } else {
            Err(faults)
        }
    }

    /// The namespace of the instance.
    pub(super) fn own_namespace(&self) -> &str {
        self.request
            .entity
            .pointer("/metadata/namespace")
            .and_then(Value::as_str)
            .unwrap_or("default")
    }
}

/// What the environments' versions depend on outside environments and the instance's own, the first of `versions`, does not have: by id,
/// the place of the first version that has it.
pub(super) fn needed(versions: &[Version]) -> BTreeMap<String, usize> {
    let own: BTreeSet<&str> = resources(versions.first())
        .map(|resource| resource.id.as_str())
        .collect();
    let mut needed = BTreeMap::new();
    for (place, version) in versions.iter().enumerate().skip(1) {
        let by_id: BTreeMap<&str, &CompiledResource> = resources(Some(version))
            .map(|resource| (resource.id.as_str(), resource))
            .collect();
        let mut open: Vec<&CompiledResource> = resources(Some(version))
            .filter(|resource| resource.environment.is_some())
            .collect();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        while let Some(resource) = open.pop() {
            for id in resource.depends_on.keys() {
                let Some(other) = by_id.get(id.as_str()).filter(|_| seen.insert(id)) else {
                    continue;
                };
                if other.environment.is_none() && !own.contains(id.as_str()) {
                    needed.entry(id.clone()).or_insert(place);
                }
                open.push(other);
            }
        }
    }
    needed
}

fn resources(version: Option<&Version>) -> impl Iterator<Item = &CompiledResource> {
    version.into_iter().flat_map(|version| &version.compiled.resources)
}

fn too_many(resource: &CompiledResource) -> Fault {
    Fault {
        reason: Reason::TooManyObjects,
        resource: Some(resource.id.clone()),
        field: if resource.each.is_some() { "each" } else { "" }.to_owned(),
        message: format!("the plan has more than {MAX_OBJECTS} objects, which is the most that one may have"),
    }
}

/// Whether an object is wanted.
enum Wanted {
    No,
    /// Yes, in this environment.
    In(Option<String>),
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
        self.fault(stop_reason(&stop), field, stop.told())
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
