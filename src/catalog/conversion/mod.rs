//! Backstage's descriptors (`catalog-info.yaml`) and our resources: one says what the other says, and nothing is lost on
//! the way there or back. `docs/conversion.md` has the table.
//!
//! Each field of a descriptor goes to the field of ours that has its meaning, and what has none, or does not fit there, to
//! `spec.extensions` by where it stood. Each field of ours that no descriptor has goes to `metadata.landfall`, since
//! Backstage allows fields of one's own under `metadata` and not beside it. Which fields there are is read off the
//! resources' own schemas.
//!
//! Not carried over is what Backstage only puts out (`relations`, `status`, `metadata.uid`, `metadata.etag`) and what
//! Kubernetes only puts out; the order of keys has no meaning.

mod export;
mod from_catalog;
mod import;
mod labels;
pub mod names;
mod ours;
pub mod placeholders;
mod references;
mod schema;
mod split;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};

use super::refs::EntityRef;

pub use export::{Exported, export};
pub use from_catalog::detach;
pub use import::{Imported, import};
pub use references::{Placing, place};

/// What is to be said about a value of a document, and where in it the value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The way to the value from the root: keys, and indexes in decimal digits.
    pub path: Vec<String>,
    /// What was found, what was expected, and what to do. It names the field.
    pub message: String,
}

impl Remark {
    fn new(path: &[&str], message: impl Into<String>) -> Self {
        Self {
            path: path.iter().map(|&step| step.to_owned()).collect(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// The namespace of an entity whose descriptor names none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// The key under a descriptor's `metadata` that holds what only a resource has.
pub const OURS: &str = "landfall";
/// Fields of a descriptor that Backstage writes and nobody else.
const OUTPUT_ONLY_ROOT: [&str; 2] = ["relations", "status"];
/// As [`OUTPUT_ONLY_ROOT`], under `metadata`.
const OUTPUT_ONLY_METADATA: [&str; 2] = ["uid", "etag"];
/// The fields that every descriptor has.
const ENVELOPE: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
/// Lists that Backstage requires, if only empty, and that a resource leaves out then.
const REQUIRED_LISTS: [(&str, &str); 2] = [("Group", "children"), ("User", "memberOf")];

/// The `apiVersion` that descriptors of a kind have.
fn usual_api_version(kind: &str) -> &'static str {
    if kind == "Template" {
        "scaffolder.backstage.io/v1beta3"
    } else {
        "backstage.io/v1alpha1"
    }
}

fn required_list(kind: &str) -> Option<&'static str> {
    REQUIRED_LISTS
        .iter()
        .find(|(of, _)| *of == kind)
        .map(|(_, field)| *field)
}

/// A path for people. Example: `spec.links[2].url`.
pub fn shown(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        let plain = !step.is_empty()
            && step
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '$' | ':'));
        let index = step.bytes().all(|byte| byte.is_ascii_digit());
        // Writing to a text cannot fail.
        let _ = if text.is_empty() {
            write!(text, "{step}")
        } else if index && !step.is_empty() {
            write!(text, "[{step}]")
        } else if plain {
            write!(text, ".{step}")
        } else {
            write!(text, "[{step:?}]")
        };
    }
    text
}

/// A value for people, cut short.
fn found(value: &Value) -> String {
    const LIMIT: usize = 60;
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        Value::String(text) if text.chars().count() > LIMIT => {
            format!("{:?}…", text.chars().take(LIMIT).collect::<String>())
        }
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// Puts `value` there unless there is nothing in it.
fn insert_map(into: &mut Map<String, Value>, key: &str, value: Map<String, Value>) {
    if !value.is_empty() {
        into.insert(key.to_owned(), Value::Object(value));
    }
}

/// The ref of a resource: of what it is in the catalog, whatever the object is called.
pub fn reference(resource: &Value) -> Option<EntityRef> {
    let text = |path: &str| resource.pointer(path).and_then(Value::as_str);
    let object = text("/metadata/name")?;
    let (kind, name) = if text("/kind")? == "Entity" {
        (text("/spec/kind")?, text("/spec/metadata/name"))
    } else {
        (text("/kind")?, text("/spec/entityName"))
    };
    let namespace = text("/metadata/namespace").unwrap_or(DEFAULT_NAMESPACE);
    Some(EntityRef::new(kind, namespace, name.unwrap_or(object)))
}
