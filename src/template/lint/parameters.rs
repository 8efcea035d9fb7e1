//! Findings about parameters: what nobody uses, nobody understands, and what fails where it is not given.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Finding, Linted, Resource, Rule, mentioned};
use crate::template::expression::mentions::{Mention, mentions};
use crate::template::expression::text::{Part, Text};
use crate::template::names::below;
use crate::template::tree::Node;

/// One parameter, as the schemas declare it.
struct Parameter<'s> {
    schema: &'s Value,
    required: bool,
    path: String,
}

impl Parameter<'_> {
    fn may_be_missing(&self) -> bool {
        !self.required && self.schema.get("default").is_none()
    }

    fn is_bounded(&self) -> bool {
        let text = self.schema.get("type").is_none_or(|kind| kind == "string");
        let bounds = ["pattern", "enum", "const", "maxLength", "format"];
        !text || bounds.iter().any(|bound| self.schema.get(bound).is_some())
    }
}

/// Looks for all of them.
pub(super) fn look(linted: &Linted<'_>, found: &mut Vec<Finding>) {
    let declared = declared(linted.compiled.content.parameters.as_ref());
    let used = used(linted);
    let all = used.contains("");
    for (name, parameter) in &declared {
        if !all && !used.contains(name.as_str()) {
            found.push(Finding {
                rule: Rule::UnusedParameter,
                path: parameter.path.clone(),
                message: "is declared, and no expression uses it".to_owned(),
                remedy: "use it, or take it out of the schema".to_owned(),
            });
        }
        let described = ["title", "description"].iter().any(|field| {
            let text = parameter.schema.get(field).and_then(Value::as_str);
            text.is_some_and(|text| !text.trim().is_empty())
        });
        if !described {
            found.push(Finding {
                rule: Rule::UndescribedParameter,
                path: parameter.path.clone(),
                message: "says nowhere what it is for".to_owned(),
                remedy: "give it a description: forms and messages show it".to_owned(),
            });
        }
    }
    for resource in linted.resources() {
        optional(&resource, &declared, found);
        unbounded(&resource, &declared, found);
    }
}

/// The parameters of all pages.
fn declared(parameters: Option<&Value>) -> BTreeMap<String, Parameter<'_>> {
    let pages: Vec<(String, &Value)> = match parameters {
        Some(Value::Array(pages)) => pages
            .iter()
            .enumerate()
            .map(|(place, page)| (format!("spec.parameters[{place}]"), page))
            .collect(),
        Some(page) => vec![("spec.parameters".to_owned(), page)],
        None => Vec::new(),
    };
    let mut found = BTreeMap::new();
    for (path, page) in pages {
        let required: BTreeSet<&str> = page
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = page.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            let parameter = Parameter {
                schema,
                required: required.contains(name.as_str()),
                path: below(&format!("{path}.properties"), name),
            };
            found.insert(name.clone(), parameter);
        }
    }
    found
}

/// The parameters that expressions use; an empty name where one uses all of them.
fn used(linted: &Linted<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let content = &linted.compiled.content;
    // Steps are stored and not compiled; what they name is used all the same.
    let whole = serde_json::to_value(content).unwrap_or_default();
    let node = Node::parse(&whole, "", &mut Vec::new());
    let mut all = BTreeSet::new();
    node.visit("", &mut |_, expression| mentions(expression, &mut all));
    for mention in all {
        found.extend(parameter_of(&mention).map(str::to_owned));
    }
    found
}

/// The parameter that a mention is of; an empty name where it is of all of them.
fn parameter_of(mention: &Mention) -> Option<&str> {
    let mut parts = mention.iter().map(String::as_str);
    match parts.next() {
        Some("parameters" | "values") => Some(parts.next().unwrap_or_default()),
        _ => None,
    }
}

/// Parameters that need not be given and stand inside a text, unless the resource is only wanted where they are.
fn optional(resource: &Resource<'_>, declared: &BTreeMap<String, Parameter<'_>>, found: &mut Vec<Finding>) {
    let guarded: BTreeSet<Mention> = resource.compiled.condition.iter().flat_map(mentioned).collect();
    let is_guarded = |name: &str| guarded.iter().any(|mention| parameter_of(mention) == Some(name));
    resource.compiled.manifest.visit_texts("manifest", &mut |path, text| {
        let Text::Mixed(parts) = text else { return };
        for part in parts {
            let Part::Expression(expression, written) = part else {
                continue;
            };
            let mut of_part = BTreeSet::new();
            mentions(expression, &mut of_part);
            let only = of_part
                .iter()
                .next()
                .filter(|_| of_part.len() == 1 && expression.is_path());
            let Some(name) = only.and_then(parameter_of) else {
                continue;
            };
            let missing = declared.get(name).is_some_and(Parameter::may_be_missing);
            if missing && !is_guarded(name) {
                found.push(Finding {
                    rule: Rule::OptionalInText,
                    path: format!("spec.resources[{}].{path}", resource.compiled.id),
                    message: format!(
                        "{written} stands inside a text and need not be given; where it is not, nothing can be rendered"
                    ),
                    remedy: format!("give {name} a default, require it, or write {written} | default('…')"),
                });
            }
        }
    });
}

/// Parameters that decide names, and of which the schema says nothing that keeps them legal.
fn unbounded(resource: &Resource<'_>, declared: &BTreeMap<String, Parameter<'_>>, found: &mut Vec<Finding>) {
    let compiled = resource.compiled;
    let fields = [
        ("name", Some(&compiled.name)),
        ("namespace", compiled.namespace.as_ref()),
    ];
    for (field, node) in fields {
        for mention in node.into_iter().flat_map(mentioned) {
            let Some(name) = parameter_of(&mention).filter(|_| mention.len() == 2) else {
                continue;
            };
            if declared.get(name).is_some_and(|parameter| !parameter.is_bounded()) {
                found.push(Finding {
                    rule: Rule::UnboundedName,
                    path: format!("spec.resources[{}].manifest.metadata.{field}", compiled.id),
                    message: format!("is made of parameters.{name}, which may be any text"),
                    remedy: format!(
                        "give {name} a pattern, an enum or a maxLength, so that a bad one is refused by its own name"
                    ),
                });
            }
        }
    }
}
