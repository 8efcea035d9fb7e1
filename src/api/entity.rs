//! Entity: an entity of any other kind, as its Backstage descriptor has it.

#![allow(clippy::duplicated_attributes)] // Each printed column is an attribute, and they have types in common.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::common::EntityStatus;
use super::{rules, schemas};

/// An entity of a kind that has no resource of its own, as its Backstage descriptor has it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "catalog.landfall.dev",
    version = "v1alpha1",
    kind = "Entity",
    plural = "entities",
    namespaced,
    status = "EntityStatus",
    derive = "PartialEq",
    category = "catalog",
    shortname = "lfent",
    doc = "An entity of a kind that has no resource of its own, as its Backstage descriptor has it.",
    printcolumn(name = "Entity Kind", type_ = "string", json_path = ".spec.kind"),
    printcolumn(name = "Entity Name", type_ = "string", json_path = ".spec.metadata.name"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.spec.type"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.spec.owner"),
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
    ),
    printcolumn(name = "API Version", type_ = "string", json_path = ".spec.apiVersion", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::entity_spec()))]
pub struct EntitySpec {
    /// The descriptor's `apiVersion`. Example: `backstage.io/v1alpha1`.
    #[schemars(length(max = 317), extend("x-kubernetes-validations" = rules::entity_api_version()))]
    pub api_version: String,
    /// The descriptor's `kind`, of which its ref is. Immutable. Example: `AiResource`.
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rules::entity_kind()))]
    pub kind: String,
    /// The descriptor's `metadata`. Its `name`, if it is given, is the entity's name and immutable; without it, this object's name is. Its namespace is this object's, whatever stands here.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::entity_metadata")]
    pub metadata: Map<String, Value>,
    /// The descriptor's `spec`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub spec: Map<String, Value>,
    /// Refs that this entity had before: `kind:[namespace/]name`; the kind must be given, and be its own. They go on meaning this entity,
    /// as long as no entity has them. Example: `airesource:shop/orders`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::aliases")]
    pub aliases: Vec<String>,
    /// Whatever else the descriptor has, kept as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<EntityExtensions>,
}

/// Fields of a descriptor beside those that every descriptor has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntityExtensions {
    /// Fields beside `apiVersion`, `kind`, `metadata` and `spec`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub root: Map<String, Value>,
}
