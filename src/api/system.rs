//! System: components that together do one thing, and with a template what they share.

#![allow(clippy::duplicated_attributes)] // Each printed column is an attribute, and they have types in common.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{EntityCounts, EntityMetadata};
use super::instance::{InstanceStatus, InstanceTemplate};
use super::{rules, schemas};

/// Components, APIs and resources that together do one thing.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "catalog.landfall.dev",
    version = "v1alpha1",
    kind = "System",
    namespaced,
    status = "SystemStatus",
    derive = "PartialEq",
    category = "catalog",
    shortname = "lfsys",
    doc = "Components, APIs and resources that together do one thing. With spec.template, Landfall provisions what they share.",
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner"),
    printcolumn(name = "Domain", type_ = "string", json_path = ".spec.domain"),
    printcolumn(name = "Components", type_ = "integer", json_path = ".status.components.total"),
    printcolumn(name = "Components Ready", type_ = "integer", json_path = ".status.components.ready"),
    printcolumn(name = "APIs", type_ = "integer", json_path = ".status.apis.total"),
    printcolumn(name = "Resources", type_ = "integer", json_path = ".status.resources.total"),
    printcolumn(name = "Template", type_ = "string", json_path = ".spec.template.ref"),
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
pub struct SystemSpec {
    /// The parts of Backstage's metadata that Kubernetes has no place for.
    #[serde(flatten)]
    pub metadata: EntityMetadata,
    /// Who owns it: `[group:|user:][namespace/]name`. Example: `group:shop/checkout`.
    #[schemars(schema_with = "schemas::owner")]
    pub owner: String,
    /// The domain it is part of: `[domain:][namespace/]name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::domain")]
    pub domain: Option<String>,
    /// What sort of system it is. Example: `product`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// The template that it is provisioned from. With it, the system is an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<InstanceTemplate>,
}

/// The state of a System.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemStatus {
    /// What every instance's status has.
    #[serde(flatten)]
    pub instance: InstanceStatus,
    /// The components that are part of this system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<EntityCounts>,
    /// The APIs that are part of this system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apis: Option<EntityCounts>,
    /// The resources that are part of this system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<EntityCounts>,
}
