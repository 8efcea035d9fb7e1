//! Location: where descriptors of other entities are.

#![allow(clippy::duplicated_attributes)] // Each printed column is an attribute, and they have types in common.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{EntityMetadata, EntityStatus};
use super::{rules, schemas};

/// Where descriptors of other entities are.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "catalog.landfall.dev",
    version = "v1alpha1",
    kind = "Location",
    plural = "locations",
    namespaced,
    status = "EntityStatus",
    derive = "PartialEq",
    category = "catalog",
    shortname = "lfloc",
    doc = "Where descriptors of other entities are. A record: what it points to is not fetched.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    // The one, or the list of all.
    printcolumn(name = "Target", type_ = "string", json_path = ".spec['target','targets']"),
    printcolumn(name = "Presence", type_ = "string", json_path = ".spec.presence"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(
        name = "References",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"ReferencesResolved\")].status",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::spec()))]
pub struct LocationSpec {
    /// The parts of Backstage's metadata that Kubernetes has no place for.
    #[serde(flatten)]
    pub metadata: EntityMetadata,
    /// How its targets are read. Example: `url`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// The one place: a URL, or a path relative to this descriptor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub target: Option<String>,
    /// The places: URLs, or paths relative to this descriptor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::targets")]
    pub targets: Vec<String>,
    /// Whether its targets must be there: `required` (default) or `optional`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Presence>,
}

/// Whether a location's targets must be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schemas::without_description)]
pub enum Presence {
    /// A target that is not there is a fault.
    #[default]
    Required,
    /// A target that is not there is passed over.
    Optional,
}
