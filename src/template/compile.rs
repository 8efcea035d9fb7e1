//! A template's content, checked as far as that is possible without an instance.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::content::Content;
use super::expression::analysis::{Names, ResourceShape};
use super::fault::Fault;
use super::graph;
use super::kinds::Kinds;
use super::names::{hint, shown};
use super::parameters::Schema;
use super::references::{self, CompiledReference};
use super::rendering::has_items;
use super::resource::{self, CompiledResource};
use super::tree::Node;
use crate::api::reasons::Reason;

/// What a cluster's administrator allows, whoever writes the template.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Cluster-scoped kinds that templates may hold, as `Kind` or `Kind.group`. `Namespace` is usual.
    pub cluster_scoped_kinds: Vec<String>,
    /// Namespaces into which no object may go: names, or prefixes that end in `*`.
    pub reserved_namespaces: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            cluster_scoped_kinds: vec!["Namespace".to_owned()],
            reserved_namespaces: vec!["kube-*".to_owned()],
        }
    }
}

/// Content that compiled.
#[derive(Debug)]
pub struct Compiled {
    /// What it was compiled from.
    pub content: Content,
    /// Its digest.
    pub digest: String,
    /// Its version.
    pub version: String,
    /// The parameters' schema.
    pub(crate) parameters: Schema,
    /// The resources, in the order of the content.
    pub(crate) resources: Vec<CompiledResource>,
    /// The ids of those that have `each`.
    pub(crate) repeated: BTreeSet<String>,
    /// The references.
    pub(crate) references: Vec<CompiledReference>,
    /// The fields of the output.
    pub(crate) output: Vec<(String, Node)>,
}

/// The text of a field, if it is there and is no expression.
fn literal(value: Option<&Value>) -> Option<String> {
    value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty() && !text.contains("${{"))
        .map(str::to_owned)
}

/// The kinds that `content` names literally, as (apiVersion, kind): what a caller must look up before [`compile`].
///
/// Kinds of `references` to objects are among them. Kinds that expressions yield are not known before the plan.
pub fn kinds_named(content: &Content) -> Vec<(String, String)> {
    let resources = content.resources.iter().filter_map(|resource| {
        Some((
            literal(resource.manifest.get("apiVersion"))?,
            literal(resource.manifest.get("kind"))?,
        ))
    });
    let references = content
        .references
        .iter()
        .filter_map(|reference| reference.object.as_ref())
        .filter_map(|object| {
            let plain = |text: &str| (!text.contains("${{")).then(|| text.to_owned());
            Some((plain(&object.api_version)?, plain(&object.kind)?))
        });
    resources
        .chain(references)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Checks `content` and prepares it for planning.
///
/// # Errors
/// Every fault that was found, in the order of the resources.
pub fn compile(content: &Content, version: &str, kinds: &dyn Kinds, policy: &Policy) -> Result<Compiled, Vec<Fault>> {
    let mut faults = Vec::new();
    let parameters = Schema::compile(content.parameters.as_ref()).unwrap_or_else(|found| {
        faults.extend(found);
        Schema::default()
    });
    // Names are looked up in a broken schema's stead too, but none of them would be found.
    let schema_broken = !faults.is_empty();
    if !content.include.is_empty() {
        faults.push(template_fault(
            Reason::IncludeNotSupported,
            "include",
            "included templates are not supported yet; write their resources out",
        ));
    }
    ids(content, &mut faults);
    let shapes = shapes(content);
    let reference_kinds = content.references.iter().map(references::shape).collect();
    let steps: BTreeSet<String> = content
        .steps
        .iter()
        .filter_map(|step| literal(step.get("id")))
        .collect();
    let declared = parameters.shapes();
    let names = Names {
        steps: &steps,
        parameters: &declared,
        open: parameters.open() || schema_broken,
        resources: &shapes,
        references: &reference_kinds,
        kinds,
    };
    let references: Vec<CompiledReference> = content
        .references
        .iter()
        .map(|reference| references::compile(reference, &names, &mut faults))
        .collect();
    let resources: Vec<CompiledResource> = content
        .resources
        .iter()
        .map(|spec| resource::compile(spec, &names, policy, &mut faults))
        .collect();
    let output = output(content, &names, &mut faults);
    cycle(&resources, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let repeated = shapes
        .iter()
        .filter(|(_, shape)| shape.repeated)
        .map(|(id, _)| id.clone())
        .collect();
    Ok(Compiled {
        content: content.clone(),
        digest: content.digest(),
        version: version.to_owned(),
        parameters,
        resources,
        repeated,
        references,
        output,
    })
}

/// A fault of the template as a whole.
pub(crate) fn template_fault(reason: Reason, field: &str, message: &str) -> Fault {
    Fault {
        reason,
        resource: None,
        field: field.to_owned(),
        message: message.to_owned(),
    }
}

/// Checks that ids are well formed, and that no two resources, or two references, have the same.
fn ids(content: &Content, faults: &mut Vec<Fault>) {
    let mut check = |field: &str, ids: Vec<&str>| {
        let mut seen = BTreeSet::new();
        for (place, id) in ids.into_iter().enumerate() {
            let field = format!("{field}[{place}].id");
            let mut letters = id.chars();
            let legal = letters.next().is_some_and(|first| first.is_ascii_lowercase())
                && letters.all(|letter| letter.is_ascii_alphanumeric());
            if !legal {
                let message = format!(
                    "\"{}\" is not an id, expected a lower-case letter and then letters and digits",
                    shown(id, 63)
                );
                faults.push(template_fault(Reason::InvalidTemplate, &field, &message));
            }
            if !seen.insert(id) {
                faults.push(template_fault(
                    Reason::InvalidTemplate,
                    &field,
                    &format!("the id {} is there twice", shown(id, 63)),
                ));
            }
        }
    };
    check(
        "resources",
        content.resources.iter().map(|resource| resource.id.as_str()).collect(),
    );
    check(
        "references",
        content
            .references
            .iter()
            .map(|reference| reference.id.as_str())
            .collect(),
    );
}

fn shapes(content: &Content) -> BTreeMap<String, ResourceShape> {
    content
        .resources
        .iter()
        .map(|resource| {
            let kind = literal(resource.manifest.get("apiVersion")).zip(literal(resource.manifest.get("kind")));
            (
                resource.id.clone(),
                ResourceShape {
                    repeated: resource.each.is_some(),
                    kind,
                },
            )
        })
        .collect()
}

fn output(content: &Content, names: &Names<'_>, faults: &mut Vec<Fault>) -> Vec<(String, Node)> {
    let mut compiled = Vec::with_capacity(content.output.len());
    for (name, value) in &content.output {
        let field = super::names::below("output", name);
        let mut found = Vec::new();
        let node = match value {
            Value::Array(items) if has_items(name) => {
                Node::List(items.iter().map(|item| Node::parse(item, &field, &mut found)).collect())
            }
            _ => Node::parse(value, &field, &mut found),
        };
        faults.extend(
            found
                .into_iter()
                .map(|at| template_fault(Reason::InvalidTemplate, &at.path, &at.what)),
        );
        node.visit(&field, &mut |path, expression| {
            let findings = super::expression::analysis::analyse(
                expression,
                names,
                super::expression::analysis::Site::Output,
                None,
                None,
            );
            faults.extend(
                findings
                    .faults
                    .into_iter()
                    .map(|message| template_fault(Reason::InvalidTemplate, path, &message)),
            );
        });
        compiled.push((name.clone(), node));
    }
    compiled
}

/// Checks that every dependency exists and that they form no cycle.
fn cycle(resources: &[CompiledResource], faults: &mut Vec<Fault>) {
    let places: BTreeMap<&str, usize> = resources
        .iter()
        .enumerate()
        .map(|(place, resource)| (resource.id.as_str(), place))
        .collect();
    let mut needs = vec![BTreeSet::new(); resources.len()];
    for (resource, needs) in resources.iter().zip(&mut needs) {
        for id in &resource.listed {
            if !places.contains_key(id.as_str()) {
                faults.push(Fault {
                    reason: Reason::InvalidTemplate,
                    resource: Some(resource.id.clone()),
                    field: "dependsOn".to_owned(),
                    message: format!(
                        "no resource has the id {}{}",
                        shown(id, 63),
                        hint(id, places.keys().copied())
                    ),
                });
            }
        }
        needs.extend(
            resource
                .depends_on
                .keys()
                .filter_map(|id| places.get(id.as_str()).copied()),
        );
    }
    if let Err(cycle) = graph::ordered(resources.len(), &needs, |place| place) {
        let ids: Vec<&str> = cycle
            .iter()
            .filter_map(|place| resources.get(*place))
            .map(|resource| resource.id.as_str())
            .collect();
        faults.push(Fault {
            reason: Reason::InvalidTemplate,
            resource: ids.first().map(|id| (*id).to_owned()),
            field: "dependsOn".to_owned(),
            message: format!(
                "the resources wait for each other: {}; remove one of these dependencies",
                ids.join(" → ")
            ),
        });
    }
}
