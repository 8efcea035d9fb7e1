//! A template's content, checked as far as that is possible without an instance.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::content::Content;
use super::expression::analysis::Declared;
use super::expression::context::Names;
use super::fault::Fault;
use super::graph;
use super::include::{self, CompiledInclude, Part, Parts};
use super::kinds::Kinds;
use super::names::shown;
use super::parameters::Schema;
use super::references::{self, CompiledReference};
use super::rendering::has_items;
use super::resource::{CompiledResource, literal_kind};
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
    /// The resources: its own in the order of the content, and behind them those of what it includes.
    pub(crate) resources: Vec<CompiledResource>,
    /// What it includes, those that these include among them.
    pub(crate) includes: Vec<CompiledInclude>,
    /// What its ids stand for.
    pub(crate) names: Names,
    /// The references.
    pub(crate) references: Vec<CompiledReference>,
    /// The fields of the output.
    pub(crate) output: Vec<(String, Node)>,
}

/// The text of a field, if it is there and is no expression.
pub(crate) fn literal(value: Option<&Value>) -> Option<String> {
    value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty() && !text.contains("${{"))
        .map(str::to_owned)
}

/// The kinds that `content` names literally, as (apiVersion, kind): what a caller must look up before [`compile`].
///
/// Kinds of `references` to objects are among them. Kinds that expressions yield are not known before the plan.
pub fn kinds_named(content: &Content) -> Vec<(String, String)> {
    let parts = content.parts();
    let resources = parts.iter().flat_map(|part| &part.resources).filter_map(literal_kind);
    let references = parts
        .iter()
        .flat_map(|part| &part.references)
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
    if content.include.len() != content.included.len() {
        faults.push(template_fault(
            Reason::IncludeNotFound,
            "include",
            "the included templates have not been looked up",
        ));
    }
    let names = include::names(content, "");
    let mut parts = Parts {
        kinds,
        policy,
        faults,
        resources: Vec::new(),
        includes: Vec::new(),
    };
    let references = parts.add(&Part {
        content,
        names: &names,
        schema: &parameters,
        open: parameters.open() || schema_broken,
        include: None,
        level: 0,
        depth: 0,
        needs: &BTreeMap::new(),
    });
    let Parts {
        resources,
        includes,
        mut faults,
        ..
    } = parts;
    let declared = parameters.shapes();
    let (reference_kinds, steps) = (references::shapes(content), output_names(content));
    let output = output(
        content,
        &Declared {
            steps: &steps,
            parameters: &declared,
            open: parameters.open() || schema_broken,
            resources: &names,
            depth: 0,
            references: &reference_kinds,
            kinds,
        },
        &mut faults,
    );
    cycle(&resources, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Compiled {
        content: content.clone(),
        digest: content.digest(),
        version: version.to_owned(),
        parameters,
        resources,
        includes,
        names,
        references,
        output,
    })
}

/// The ids of the steps, which the output may name.
pub(crate) fn output_names(content: &Content) -> BTreeSet<String> {
    let ids = content.steps.iter().map(|step| step.get("id"));
    ids.filter_map(literal).collect()
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

/// Checks that ids are well formed, and that no two resources, two includes, or two references have the same.
pub(crate) fn ids(content: &Content, faults: &mut Vec<Fault>) {
    let resources: Vec<&str> = content.resources.iter().map(|resource| resource.id.as_str()).collect();
    let includes: Vec<&str> = content.include.iter().map(|include| include.id.as_str()).collect();
    let references: Vec<&str> = content
        .references
        .iter()
        .map(|reference| reference.id.as_str())
        .collect();
    // An included template's resources stand behind its id, where the ids of resources stand.
    let mut under_resources = BTreeSet::new();
    check_ids("resources", &resources, &mut under_resources, faults);
    check_ids("include", &includes, &mut under_resources, faults);
    check_ids("references", &references, &mut BTreeSet::new(), faults);
}

fn check_ids<'i>(field: &str, ids: &[&'i str], seen: &mut BTreeSet<&'i str>, faults: &mut Vec<Fault>) {
    for (place, id) in ids.iter().enumerate() {
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
}

fn output(content: &Content, names: &Declared<'_>, faults: &mut Vec<Fault>) -> Vec<(String, Node)> {
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

/// Checks that the dependencies form no cycle.
fn cycle(resources: &[CompiledResource], faults: &mut Vec<Fault>) {
    let places: BTreeMap<&str, usize> = resources
        .iter()
        .enumerate()
        .map(|(place, resource)| (resource.id.as_str(), place))
        .collect();
    let mut needs = vec![BTreeSet::new(); resources.len()];
    for (resource, needs) in resources.iter().zip(&mut needs) {
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
