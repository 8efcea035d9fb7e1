//! Findings about names: what two instances, or two entries of one, would both claim.

use std::collections::BTreeSet;

use super::{Finding, Linted, Resource, Rule, mentioned};
use crate::api::instance::Mode;
use crate::api::template::AllowedFrom;
use crate::template::tree::Node;

/// What tells the objects of one instance from those of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    /// By the instance's name.
    name: bool,
    /// By the instance's namespace.
    namespace: bool,
    /// By the entry of `each`.
    entry: bool,
}

impl Told {
    fn and(self, other: Self) -> Self {
        Self {
            name: self.name || other.name,
            namespace: self.namespace || other.namespace,
            entry: self.entry || other.entry,
        }
    }
}

/// Looks for all of them.
pub(super) fn look(linted: &Linted<'_>, found: &mut Vec<Finding>) {
    let resources: Vec<Resource<'_>> = linted.resources().collect();
    // Where all instances live in one namespace, their names tell them apart.
    let one_namespace = linted
        .spec
        .allowed_namespaces
        .as_ref()
        .is_none_or(|allowed| allowed.from == AllowedFrom::Same);
    for resource in resources
        .iter()
        .filter(|resource| resource.compiled.mode != Some(Mode::Patch))
    {
        let told = object(linted, &resources, resource);
        let path = format!("spec.resources[{}].manifest.metadata.name", resource.compiled.id);
        let lacks: Vec<&str> = [
            (!told.name).then_some("entity.metadata.name"),
            (!told.namespace && !one_namespace).then_some("entity.metadata.namespace"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !lacks.is_empty() {
            let open = if one_namespace {
                ""
            } else {
                ", and the template is open to several namespaces"
            };
            found.push(Finding {
                rule: Rule::SharedName,
                path: path.clone(),
                message: format!(
                    "two instances would both claim it: neither its name nor its namespace holds {}{open}",
                    lacks.join(" and ")
                ),
                remedy: format!("put {} into the name", lacks.join(" and ")),
            });
        }
        if resource.compiled.each.is_some() && !told.entry {
            found.push(Finding {
                rule: Rule::EachWithoutKey,
                path,
                message: "is the same for each entry of each, so that two entries are one object".to_owned(),
                remedy: "put each.key into the name or the namespace".to_owned(),
            });
        }
    }
}

/// What tells an object of a resource.
fn object(linted: &Linted<'_>, resources: &[Resource<'_>], resource: &Resource<'_>) -> Told {
    let by_name = node(resources, &resource.compiled.name, &mut BTreeSet::new());
    let (api_version, kind) = resource.kind();
    let namespaced = linted.kinds.kind(api_version, kind).is_none_or(|kind| kind.namespaced);
    if !namespaced {
        return by_name;
    }
    by_name.and(match &resource.compiled.namespace {
        Some(namespace) => node(resources, namespace, &mut BTreeSet::new()),
        // It goes into the instance's own.
        None => Told {
            namespace: true,
            ..Told::default()
        },
    })
}

/// What a name tells, also by what it takes from other resources.
fn node(resources: &[Resource<'_>], name: &Node, seen: &mut BTreeSet<String>) -> Told {
    let mut told = Told::default();
    for mention in mentioned(name) {
        let parts: Vec<&str> = mention.iter().map(String::as_str).collect();
        told = told.and(match parts.as_slice() {
            ["entity"] | ["entity", "metadata"] | ["entity", "metadata", "uid", ..] => Told {
                name: true,
                namespace: true,
                entry: false,
            },
            ["entity", "metadata", "name", ..] => Told {
                name: true,
                ..Told::default()
            },
            // A System beside the instance is of its namespace.
            ["entity", "metadata", "namespace", ..] | ["system", ..] => Told {
                namespace: true,
                ..Told::default()
            },
            ["each", ..] => Told {
                entry: true,
                ..Told::default()
            },
            ["resources", id, "metadata", field @ ("name" | "namespace"), ..] => other(resources, id, field, seen),
            // By a key, of which nothing is written out: it may be either.
            ["resources", id, ..] => {
                let by_name = other(resources, id, "name", seen);
                by_name.and(other(resources, id, "namespace", seen))
            }
            _ => Told::default(),
        });
    }
    told
}

/// What a field of another resource, `name` or `namespace`, tells.
fn other(resources: &[Resource<'_>], id: &str, field: &str, seen: &mut BTreeSet<String>) -> Told {
    if !seen.insert(format!("{id} {field}")) {
        return Told::default();
    }
    let found = resources.iter().find(|resource| resource.compiled.id == id);
    let named = found.and_then(|found| match field {
        "namespace" => found.compiled.namespace.as_ref(),
        _ => Some(&found.compiled.name),
    });
    named.map_or_else(Told::default, |named| node(resources, named, seen))
}
