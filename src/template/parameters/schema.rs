//! One page's schema: whether it is a JSON Schema that is safe to use, and which parameters it declares.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::Page;
use super::words;
use crate::api::reasons::Reason;
use crate::template::fault::Fault;
use crate::template::names::shown;

/// The deepest nesting of a schema.
const MAX_DEPTH: usize = 64;
/// The most nodes of a schema, with every `$ref` written out: bounds the time of one validation.
const MAX_NODES: u64 = 20_000;
/// The most bytes that one pattern's automaton may take.
const MAX_PATTERN: usize = 1024 * 1024;

/// Compiles one page.
pub(super) fn compile(page: &Value, path: &str) -> Result<Page, Vec<Fault>> {
    let fault = |path: &str, message: String| Fault {
        reason: Reason::InvalidTemplate,
        resource: None,
        field: path.to_owned(),
        message,
    };
    if !page.is_object() {
        let found = crate::template::expression::term::kind_of(page);
        return Err(vec![fault(
            path,
            format!("found {found}, expected a JSON Schema of type object"),
        )]);
    }
    let kind = page.get("type").and_then(Value::as_str);
    if let Some(kind) = kind.filter(|kind| *kind != "object") {
        return Err(vec![fault(
            &format!("{path}.type"),
            format!("found {kind}, expected object: parameters are a map by name"),
        )]);
    }
    let schema = prepared(page);
    bounded(&schema).map_err(|message| vec![fault(path, message)])?;
    let told = |error: &ValidationError<'_>| -> Vec<Fault> {
        let words = words::faults_of_schema(error, &schema, path);
        words.into_iter().map(|(path, message)| fault(&path, message)).collect()
    };
    let broken: Vec<Fault> = jsonschema::draft7::meta::validator()
        .iter_errors(&schema)
        .flat_map(|error| told(&error))
        .collect();
    if !broken.is_empty() {
        return Err(broken);
    }
    let validator = validator(&schema).map_err(|error| told(&error))?;
    Ok(Page { schema, validator })
}

/// A validator that does no I/O and matches patterns in linear time.
pub(super) fn validator(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    jsonschema::options()
        .with_draft(Draft::Draft7)
        .with_pattern_options(
            PatternOptions::regex()
                .size_limit(MAX_PATTERN)
                .dfa_size_limit(MAX_PATTERN),
        )
        .should_ignore_unknown_formats(true)
        .build(schema)
}

/// The page as it is checked: unknown parameters are told by us, across all pages, so that `additionalProperties:
/// false` at the top must not make one page refuse another's.
fn prepared(page: &Value) -> Value {
    let mut schema = page.clone();
    if let Value::Object(map) = &mut schema {
        map.remove("$schema");
        map.remove("$id");
        if map.get("additionalProperties") == Some(&Value::Bool(false)) {
            map.remove("additionalProperties");
        }
    }
    schema
}

/// Whether the page says that other parameters may be given besides.
pub(super) fn open(schema: &Value) -> bool {
    match schema.get("additionalProperties") {
        None | Some(Value::Bool(false)) => false,
        Some(_) => true,
    }
}

/// The names that a schema declares, also those that it declares under a condition.
pub(super) fn declared(schema: &Value) -> BTreeSet<String> {
    let mut found = Vec::new();
    parts(schema, schema, 0, &mut found);
    let properties = found.into_iter().filter_map(|part| part.get("properties")?.as_object());
    properties.flat_map(|properties| properties.keys().cloned()).collect()
}

/// A schema, and every schema in it that says something of the same value, also under a condition.
pub(super) fn parts<'s>(schema: &'s Value, root: &'s Value, depth: usize, found: &mut Vec<&'s Value>) {
    if depth > 16 {
        return;
    }
    found.push(schema);
    let mut inner: Vec<&Value> = ["if", "then", "else"]
        .iter()
        .filter_map(|key| schema.get(*key))
        .collect();
    inner.extend(
        ["allOf", "anyOf", "oneOf"]
            .iter()
            .filter_map(|key| schema.get(*key)?.as_array())
            .flatten(),
    );
    inner.extend(
        ["dependencies", "dependentSchemas"]
            .iter()
            .filter_map(|key| schema.get(*key)?.as_object())
            .flat_map(|map| map.values()),
    );
    inner.extend(
        schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| target(root, reference)),
    );
    for schema in inner {
        parts(schema, root, depth + 1, found);
    }
}

/// What a local `$ref` points to.
pub(super) fn target<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    root.pointer(reference.strip_prefix('#')?)
}

/// Refuses what would take long or never end: remote and recursive references, deep and large schemas.
fn bounded(schema: &Value) -> Result<(), String> {
    let mut bounds = Bounds {
        root: schema,
        known: BTreeMap::new(),
        open: Vec::new(),
    };
    let nodes = bounds.nodes(schema, 0)?;
    if nodes > MAX_NODES {
        return Err(format!(
            "the schema has {nodes} nodes with every $ref written out, expected at most {MAX_NODES}"
        ));
    }
    Ok(())
}

struct Bounds<'s> {
    root: &'s Value,
    known: BTreeMap<&'s str, u64>,
    open: Vec<&'s str>,
}

impl<'s> Bounds<'s> {
    fn nodes(&mut self, value: &'s Value, depth: usize) -> Result<u64, String> {
        if depth > MAX_DEPTH {
            return Err(format!("the schema is nested more than {MAX_DEPTH} deep"));
        }
        let mut total = 1_u64;
        match value {
            Value::Object(map) => {
                for (name, inner) in map {
                    total = total.saturating_add(match (name.as_str(), inner) {
                        ("$ref", Value::String(reference)) => self.reference(reference, depth)?,
                        ("default" | "enum" | "const" | "examples", _) => 1,
                        ("$id", Value::String(_)) => {
                            return Err("$id inside a schema is not supported; use #/definitions/…".to_owned());
                        }
                        _ => self.nodes(inner, depth + 1)?,
                    });
                }
            }
            Value::Array(items) => {
                for item in items {
                    total = total.saturating_add(self.nodes(item, depth + 1)?);
                }
            }
            _ => {}
        }
        Ok(total)
    }

    fn reference(&mut self, reference: &'s str, depth: usize) -> Result<u64, String> {
        let written = shown(reference, 100);
        if !reference.starts_with('#') {
            return Err(format!(
                "$ref {written} leaves the template, expected a path such as #/definitions/port"
            ));
        }
        if let Some(known) = self.known.get(reference) {
            return Ok(*known);
        }
        if self.open.contains(&reference) {
            return Err(format!("$ref {written} leads back to itself, which is not supported"));
        }
        let target = target(self.root, reference).ok_or_else(|| format!("$ref {written} points to nothing"))?;
        // A target that holds the reference would be walked for ever, which the list of open ones ends.
        self.open.push(reference);
        let nodes = self.nodes(target, depth + 1)?;
        self.open.pop();
        self.known.insert(reference, nodes);
        Ok(nodes)
    }
}
