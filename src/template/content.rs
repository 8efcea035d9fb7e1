//! The immutable part of a template: what a revision holds, and its digest.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::api::template::{Include, Reference, TemplateResource, TemplateSpec};

/// What a revision freezes. Authority (account, allowed and target namespaces, rollout) is never in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// The parameters' schema or schemas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// Backstage's steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Value>,
    /// Other templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<Include>,
    /// What they say, in the order of `include`; empty until they were looked up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<Included>,
    /// The living objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<TemplateResource>,
    /// What expressions read besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// The live output.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub output: Map<String, Value>,
}

/// The content of an included template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Included {
    /// The template: namespace and name, with a slash between them.
    pub template: String,
    /// Its version.
    pub version: String,
    /// What it says, with what it includes in turn.
    pub content: Content,
}

impl Content {
    /// This content, and all that it includes, however deep.
    pub fn parts(&self) -> Vec<&Self> {
        let mut parts = vec![self];
        for included in &self.included {
            parts.extend(included.content.parts());
        }
        parts
    }

    /// The content of `spec`, whose includes are still to be looked up.
    pub fn of(spec: &TemplateSpec) -> Self {
        Self {
            parameters: spec.parameters.clone(),
            steps: spec.steps.clone(),
            include: spec.include.clone(),
            included: Vec::new(),
            resources: spec.resources.clone(),
            references: spec.references.clone(),
            output: spec.output.clone(),
        }
    }

    /// The SHA-256 of the content's canonical JSON (keys sorted), as 64 hex digits.
    pub fn digest(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        hash(&value)
    }
}

/// The version of a template whose content has `digest`: the one that was given, or the digest's first ten digits.
pub fn version(given: Option<&str>, digest: &str) -> String {
    given.map_or_else(|| digest.chars().take(10).collect(), str::to_owned)
}

/// The SHA-256 of a value's canonical JSON, as 64 hex digits.
pub fn hash(value: &Value) -> String {
    // serde_json keeps objects in a sorted map, so its text is canonical.
    let digest = Sha256::digest(value.to_string().as_bytes());
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}
