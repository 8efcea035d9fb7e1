//! One resource of a template, checked and prepared.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::compile::{Policy, literal};
use super::expression::analysis::{Declared, Site, analyse};
use super::expression::context::{Named, Names, resources_in};
use super::expression::paths::each_value;
use super::expression::text::Text;
use super::fault::Fault;
use super::names::{hint, shown};
use super::parameters::Shape;
use super::rules;
use super::tree::{At, Node};
use crate::api::instance::{DeletionPolicy, DriftPolicy, Mode};
use crate::api::reasons::Reason;
use crate::api::template::TemplateResource;

/// A resource that compiled.
#[derive(Debug)]
pub(crate) struct CompiledResource {
    /// Its id in the plan.
    pub(crate) id: String,
    /// The place of the include that it is in, among those of the template.
    pub(crate) include: Option<usize>,
    pub(crate) each: Option<Node>,
    pub(crate) condition: Option<Node>,
    pub(crate) environment: Option<Node>,
    pub(crate) api_version: Node,
    pub(crate) kind: Node,
    pub(crate) name: Node,
    pub(crate) namespace: Option<Node>,
    pub(crate) manifest: Node,
    pub(crate) ready_when: Option<Node>,
    pub(crate) mode: Option<Mode>,
    pub(crate) deletion_policy: Option<DeletionPolicy>,
    pub(crate) drift_policy: DriftPolicy,
    pub(crate) replace: bool,
    /// What must be there before it, by id, and how many keys, from the outermost, must be its own.
    pub(crate) depends_on: BTreeMap<String, usize>,
}

struct Compiler<'c, 'n> {
    spec: &'c TemplateResource,
    /// Its id in the plan.
    id: String,
    names: &'c Declared<'n>,
    faults: &'c mut Vec<Fault>,
    /// What is known of `each.value`.
    each: Option<Shape<'n>>,
    depends_on: BTreeMap<String, usize>,
    own: Option<(String, String)>,
}

/// Checks one resource. Its faults are added to `faults`.
pub(crate) fn compile(
    spec: &TemplateResource,
    names: &Declared<'_>,
    policy: &Policy,
    faults: &mut Vec<Fault>,
) -> CompiledResource {
    let (id, own) = match names.resources.get(&spec.id) {
        Some(Named::Resource(resource)) => (resource.id.clone(), resource.kind.clone()),
        _ => (spec.id.clone(), None),
    };
    let mut compiler = Compiler {
        spec,
        id,
        names,
        faults,
        each: None,
        depends_on: BTreeMap::new(),
        own,
    };
    compiler.shape(policy);
    let each = spec
        .each
        .as_ref()
        .map(|each| compiler.field(each, "each", Site::Identity));
    compiler.each = each.as_ref().map(|each| {
        let whole = match each {
            Node::Text(Text::Whole(expression)) => Some(expression),
            _ => None,
        };
        each_value(whole, names)
    });
    let condition = spec
        .condition
        .as_ref()
        .map(|condition| compiler.condition(condition, "if", Site::Identity));
    let environment = spec
        .environment
        .as_ref()
        .map(|environment| compiler.field(&Value::String(environment.clone()), "environment", Site::Identity));
    let metadata = spec.manifest.get("metadata");
    let identity = |name: &str| metadata.and_then(|metadata| metadata.get(name)).cloned();
    let api_version = unchecked(spec.manifest.get("apiVersion").cloned(), "manifest.apiVersion");
    let kind = unchecked(spec.manifest.get("kind").cloned(), "manifest.kind");
    let name = unchecked(identity("name"), "manifest.metadata.name");
    let namespace = identity("namespace").map(|namespace| unchecked(Some(namespace), "manifest.metadata.namespace"));
    let manifest = compiler.manifest();
    let ready_when = spec
        .ready_when
        .as_ref()
        .map(|ready_when| compiler.condition(ready_when, "readyWhen", Site::ReadyWhen));
    compiler.listed();
    let Compiler { id, depends_on, .. } = compiler;
    CompiledResource {
        id,
        include: None,
        each,
        condition,
        environment,
        api_version,
        kind,
        name,
        namespace,
        manifest,
        ready_when,
        mode: spec.mode,
        deletion_policy: spec.deletion_policy,
        drift_policy: spec.drift_policy.unwrap_or_default(),
        replace: spec.replace,
        depends_on,
    }
}

impl Compiler<'_, '_> {
    fn fault(&mut self, reason: Reason, field: &str, message: impl Into<String>) {
        let fault = Fault {
            reason,
            resource: Some(self.id.clone()),
            field: field.to_owned(),
            message: message.into(),
        };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Checks what the manifest has and what it must not have, and its kind where that is literal.
    fn shape(&mut self, policy: &Policy) {
        let manifest = &self.spec.manifest;
        let metadata = match manifest.get("metadata") {
            Some(Value::Object(metadata)) => Some(metadata),
            _ => None,
        };
        let needed = [
            rules::needed_string(manifest.get("apiVersion"), "manifest.apiVersion", "v1"),
            rules::needed_string(manifest.get("kind"), "manifest.kind", "ConfigMap"),
        ];
        let mut broken: Vec<rules::Broken> = needed.iter().filter_map(|result| result.clone().err()).collect();
        match (manifest.get("metadata"), metadata) {
            (Some(Value::String(text)), None) if text.contains("${{") => broken.push((
                Reason::InvalidTemplate,
                "manifest.metadata".to_owned(),
                "metadata must be written as a map, so that the name is known beforehand".to_owned(),
            )),
            _ => {
                let name = metadata.and_then(|metadata| metadata.get("name"));
                if metadata.is_none_or(|metadata| !metadata.contains_key("generateName")) {
                    broken.extend(
                        rules::needed_string(name, "manifest.metadata.name", "${{ entity.metadata.name }}").err(),
                    );
                }
            }
        }
        rules::manifest(manifest, &mut broken);
        rules::patch(self.spec, &mut broken);
        if let Some((api_version, kind)) = self.own.clone() {
            broken.extend(
                rules::kind(
                    &api_version,
                    &kind,
                    self.names.kinds,
                    policy,
                    self.spec.mode,
                    self.spec.replace,
                )
                .and_then(|info| namespace_of_cluster_scoped(info.namespaced, metadata, &info.kind))
                .err(),
            );
        }
        for (reason, field, message) in broken {
            self.fault(reason, &field, message);
        }
    }

    /// Parses and checks a field.
    fn field(&mut self, value: &Value, field: &str, site: Site) -> Node {
        let mut found = Vec::new();
        let node = Node::parse(value, field, &mut found);
        self.found(found);
        self.analyse(&node, field, site);
        node
    }

    /// Parses and checks a condition: a boolean, or one expression.
    fn condition(&mut self, value: &Value, field: &str, site: Site) -> Node {
        let node = self.field(value, field, site);
        let message = match &node {
            Node::Literal(Value::String(text)) if !text.is_empty() => {
                Some("a plain text is always true; write true, false, or an expression in ${{ }}")
            }
            Node::Text(Text::Mixed(_)) => {
                Some("a text around ${{ }} is always true; write the whole condition as one ${{ }}")
            }
            _ => None,
        };
        if let Some(message) = message
            && !self
                .faults
                .iter()
                .any(|fault| fault.resource.as_ref() == Some(&self.id) && fault.field == field)
        {
            self.fault(Reason::InvalidTemplate, field, message);
        }
        node
    }

    fn manifest(&mut self) -> Node {
        let mut found = Vec::new();
        let node = Node::parse(&Value::Object(self.spec.manifest.clone()), "manifest", &mut found);
        self.found(found);
        self.analyse(&node, "manifest", Site::Body);
        node
    }

    fn found(&mut self, found: Vec<At<String>>) {
        for At { path, what } in found {
            self.fault(Reason::InvalidTemplate, &path, what);
        }
    }

    fn analyse(&mut self, node: &Node, field: &str, site: Site) {
        let mut findings = Vec::new();
        node.visit(field, &mut |path, expression| {
            let identity = matches!(
                path,
                "manifest.apiVersion" | "manifest.kind" | "manifest.metadata.name" | "manifest.metadata.namespace"
            );
            let site = if identity { Site::Identity } else { site };
            findings.push((
                path.to_owned(),
                analyse(expression, self.names, site, self.each.as_ref(), self.own.as_ref()),
            ));
        });
        for (path, found) in findings {
            for message in found.faults {
                self.fault(Reason::InvalidTemplate, &path, message);
            }
            // What `readyWhen` reads of others is read after the object is there.
            if site == Site::ReadyWhen {
                continue;
            }
            for used in found.uses {
                need(&mut self.depends_on, used.id, used.same_keys);
            }
        }
    }

    /// Adds what its own `dependsOn` lists.
    fn listed(&mut self) {
        for listed in &self.spec.depends_on {
            let Some(ids) = found(self.names.resources, listed) else {
                let known = known(self.names.resources, "");
                let near = hint(listed, known.iter().map(String::as_str));
                let message = format!("no resource has the id {}{near}", shown(listed, 63));
                self.fault(Reason::InvalidTemplate, "dependsOn", message);
                continue;
            };
            for id in ids {
                need(&mut self.depends_on, id, self.names.depth);
            }
        }
    }
}

/// Notes that `id` must be there first, where at least so many of its keys are the same.
pub(crate) fn need(needs: &mut BTreeMap<String, usize>, id: String, same_keys: usize) {
    let known = needs.entry(id).or_insert(same_keys);
    *known = same_keys.min(*known);
}

/// The resources that `id` means in a `dependsOn`: one, or all of an include.
fn found(names: &Names, id: &str) -> Option<Vec<String>> {
    let (first, rest) = id
        .split_once('.')
        .map_or((id, None), |(first, rest)| (first, Some(rest)));
    match (names.get(first)?, rest) {
        (Named::Resource(resource), None) => Some(vec![resource.id.clone()]),
        (Named::Resource(_), Some(_)) => None,
        (Named::Include(include), None) => Some(resources_in(&include.names).into_iter().map(str::to_owned).collect()),
        (Named::Include(include), Some(rest)) => found(&include.names, rest),
    }
}

/// All that a `dependsOn` can list.
fn known(names: &Names, before: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (id, named) in names {
        let id = format!("{before}{id}");
        if let Named::Include(include) = named {
            all.extend(known(&include.names, &format!("{id}.")));
        }
        all.push(id);
    }
    all
}

/// The apiVersion and kind of a resource, where they are literal.
pub(crate) fn literal_kind(resource: &TemplateResource) -> Option<(String, String)> {
    literal(resource.manifest.get("apiVersion")).zip(literal(resource.manifest.get("kind")))
}

fn namespace_of_cluster_scoped(
    namespaced: bool,
    metadata: Option<&Map<String, Value>>,
    kind: &str,
) -> Result<(), rules::Broken> {
    if namespaced
        || metadata
            .and_then(|metadata| metadata.get("namespace"))
            .is_none_or(Value::is_null)
    {
        return Ok(());
    }
    Err((
        Reason::InvalidTemplate,
        "manifest.metadata.namespace".to_owned(),
        format!("{kind} is cluster-scoped and has no namespace; remove it"),
    ))
}

/// Parses a field of the manifest. What is wrong with it is told for the manifest as a whole.
fn unchecked(value: Option<Value>, field: &str) -> Node {
    Node::parse(&value.unwrap_or_default(), field, &mut Vec::new())
}
