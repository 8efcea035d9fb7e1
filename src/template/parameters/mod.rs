//! Parameters: the schema that a template declares, defaults, and what is wrong with given values, in words.

mod defaults;
mod schema;
mod shape;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;

use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};

pub(crate) use self::shape::{Key, Shape};
use super::expression::term::size;
use super::fault::Fault;
use super::names::{below, hint, listed};
use crate::api::reasons::Reason;

/// The most bytes of one instance's parameters.
const MAX_PARAMETERS: usize = 256 * 1024;

/// What a template declares as its parameters: one JSON Schema, or several as pages of a form.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    pages: Vec<Page>,
    declared: BTreeSet<String>,
    open: bool,
}

/// One page.
#[derive(Debug)]
struct Page {
    schema: Value,
    validator: Validator,
}

impl Schema {
    /// Compiles `spec.parameters`. The schemas are JSON Schema draft 7, which is what Backstage's forms use
    /// (`@rjsf/core`), with its `dependencies`; `ui:*` and `backstage:*` keys are left alone.
    ///
    /// # Errors
    /// What is wrong with the schemas, by path.
    pub(crate) fn compile(parameters: Option<&Value>) -> Result<Self, Vec<Fault>> {
        let pages: Vec<(String, &Value)> = match parameters {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(pages)) => pages
                .iter()
                .enumerate()
                .map(|(place, page)| (format!("parameters[{place}]"), page))
                .collect(),
            Some(page) => vec![("parameters".to_owned(), page)],
        };
        let mut compiled = Self::default();
        let mut faults = Vec::new();
        for (path, page) in pages {
            match schema::compile(page, &path) {
                Ok(page) => {
                    compiled.declared.extend(schema::declared(&page.schema));
                    compiled.open |= schema::open(&page.schema);
                    compiled.pages.push(page);
                }
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(compiled) } else { Err(faults) }
    }

    /// The names of the parameters.
    pub(crate) fn declared(&self) -> &BTreeSet<String> {
        &self.declared
    }

    /// Whether a schema says that others may be given besides.
    pub(crate) fn open(&self) -> bool {
        self.open
    }

    /// The parameters with defaults applied, if they are right.
    ///
    /// # Errors
    /// Every fault, sorted by path.
    pub(crate) fn complete(&self, given: &Map<String, Value>) -> Result<Map<String, Value>, Vec<Fault>> {
        let mut value = Value::Object(given.clone());
        if size(&value, MAX_PARAMETERS) > MAX_PARAMETERS {
            return Err(vec![fault(
                "parameters",
                "larger than 256 KiB, which is the most that parameters may have",
            )]);
        }
        let schemas: Vec<&Value> = self.pages.iter().map(|page| &page.schema).collect();
        defaults::fill(&mut value, &schemas);
        let mut faults = BTreeSet::new();
        self.unknown(given, &mut faults);
        for page in &self.pages {
            for error in page.validator.iter_errors(&value) {
                faults.extend(
                    words::faults(&error, &page.schema, &value)
                        .into_iter()
                        .map(|(path, message)| fault(&path, &message)),
                );
            }
        }
        match (faults.is_empty(), value) {
            (true, Value::Object(map)) => Ok(map),
            _ => Err(faults.into_iter().collect()),
        }
    }

    fn unknown(&self, given: &Map<String, Value>, faults: &mut BTreeSet<Fault>) {
        if self.open {
            return;
        }
        for name in given.keys().filter(|name| !self.declared.contains(*name)) {
            let known = self.declared.iter().map(String::as_str);
            let near = hint(name, known.clone());
            let has = match (near.is_empty(), self.declared.is_empty()) {
                (false, _) => near,
                (true, true) => "; the template has no parameters".to_owned(),
                (true, false) => format!("; the template has {}", listed(known, 10)),
            };
            faults.insert(fault(&below("parameters", name), &format!("unknown parameter{has}")));
        }
    }
}

/// A schema that a value is checked against.
#[derive(Debug)]
pub(crate) struct Check {
    schema: Value,
    validator: Validator,
}

impl Check {
    /// A check by `schema`, without I/O and in linear time; none if it is no schema.
    pub(crate) fn by(schema: Value) -> Option<Self> {
        let validator = schema::validator(&schema).ok()?;
        Some(Self { schema, validator })
    }

    /// What it was made by.
    pub(crate) fn schema(&self) -> &Value {
        &self.schema
    }

    /// What is wrong with `value`: for each fault the JSON pointer to where it is, its path in words, and what it is.
    pub(crate) fn faults(&self, value: &Value) -> Vec<(String, String, String)> {
        let told = |error: ValidationError<'_>| {
            let pointer = error.instance_path().as_str().to_owned();
            let words = words::worded(&error, &self.schema, value, "");
            words
                .into_iter()
                .map(move |(path, message)| (pointer.clone(), path, message))
                .collect::<Vec<_>>()
        };
        self.validator.iter_errors(value).flat_map(told).collect()
    }

    /// Puts the schema's defaults in the place of what was not given.
    pub(crate) fn fill(&self, value: &mut Value) {
        defaults::fill(value, &[&self.schema]);
    }
}

fn fault(path: &str, message: &str) -> Fault {
    Fault {
        reason: Reason::InvalidParameters,
        resource: None,
        field: path.to_owned(),
        message: message.to_owned(),
    }
}
