//! From drafts to a plan: where each object may go, that each is one of its own, and their order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Binding;
use super::draft::{Draft, Planner};
use crate::api::instance::Mode;
use crate::api::reasons::Reason;
use crate::template::expression::context::{Identity, Known};
use crate::template::fault::Fault;
use crate::template::graph;
use crate::template::kinds::KindInfo;
use crate::template::placement::{self, Allowed};
use crate::template::plan::{Plan, PlannedObject};
use crate::template::rendering::Sizes;
use crate::template::resource::CompiledResource;
use crate::template::rules;

impl Planner<'_> {
    /// Checks that every object may go where it says.
    pub(super) fn place_all(&mut self) {
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
                Some(namespace) => (
                    "manifest.metadata.namespace",
                    allowed.check(namespace, draft.mode == Mode::Patch),
                ),
                None if is_namespace(&draft.kind) => match placement::reserved(&draft.name, self.request.policy) {
                    Some(entry) => (
                        "manifest.metadata.name",
                        Err(format!(
                            "the namespace {} cannot be a template's: the administrator reserves {entry}",
                            draft.name
                        )),
                    ),
                    None if draft.mode != Mode::Patch && draft.name == allowed.own => (
                        "manifest.metadata.name",
                        Err(format!(
                            "the namespace {} is the one that the instance is in, and would go with it, while it waits for the instance to go; name another",
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
    pub(super) fn duplicates(&mut self) {
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
            for (id, same_keys) in resource.into_iter().flat_map(|resource| &resource.depends_on) {
                let found = by_id.get(id.as_str()).into_iter().flatten().copied();
                let same = |place: &usize| {
                    self.drafts.get(*place).is_some_and(|other| {
                        draft
                            .keys
                            .iter()
                            .zip(&other.keys)
                            .take(*same_keys)
                            .all(|(own, key)| own == key)
                    })
                };
                needs.extend(found.filter(same));
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
    pub(super) fn finish(mut self) -> Result<Plan, Vec<Fault>> {
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
                    draft.binding.part.as_ref().map(|part| part.order),
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
                &draft.keys,
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
            each_key: (!draft.keys.is_empty()).then(|| draft.keys.join("/")),
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
