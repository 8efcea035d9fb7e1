//! API: an interface that components provide and call.

#![allow(clippy::duplicated_attributes)] // Each printed column is an attribute, and they have types in common.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{EntityMetadata, EntityStatus};
use super::{rules, schemas};

/// An interface that components provide and call.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "catalog.landfall.dev",
    version = "v1alpha1",
    kind = "API",
    plural = "apis",
    namespaced,
    status = "EntityStatus",
    derive = "PartialEq",
    category = "catalog",
    shortname = "lfapi",
    doc = "An interface that components provide and call, with its definition.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner"),
    printcolumn(name = "System", type_ = "string", json_path = ".spec.system"),
    printcolumn(name = "Lifecycle", type_ = "string", json_path = ".spec.lifecycle"),
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
#[schemars(extend("x-kubernetes-validations" = rules::api_spec()))]
pub struct ApiSpec {
    /// The parts of Backstage's metadata that Kubernetes has no place for.
    #[serde(flatten)]
    pub metadata: EntityMetadata,
    /// What sort of API it is. Well known: `openapi`, `asyncapi`, `graphql`, `grpc`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// How far along it is. Well known: `experimental`, `production`, `deprecated`.
    #[schemars(length(min = 1, max = 63))]
    pub lifecycle: String,
    /// Who owns it: `[group:|user:][namespace/]name`. Example: `group:shop/checkout`.
    #[schemars(schema_with = "schemas::owner")]
    pub owner: String,
    /// The system it is part of: `[system:][namespace/]name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::system")]
    pub system: Option<String>,
    /// The definition, in the form that `type` says. Left out only where `extensions.spec` holds what stands for it: a placeholder that is not resolved, or the `remotes` of an MCP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_048_576))]
    pub definition: Option<String>,
}
