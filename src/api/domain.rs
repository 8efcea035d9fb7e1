//! Domain: systems that share terms and purpose.

#![allow(clippy::duplicated_attributes)] // Each printed column is an attribute, and they have types in common.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{EntityCounts, EntityMetadata, EntityStatus};
use super::{rules, schemas};

/// Systems that share terms and purpose.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "catalog.landfall.dev",
    version = "v1alpha1",
    kind = "Domain",
    plural = "domains",
    namespaced,
    status = "DomainStatus",
    derive = "PartialEq",
    category = "catalog",
    shortname = "lfdom",
    doc = "Systems that share terms and purpose.",
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner"),
    printcolumn(name = "Part Of", type_ = "string", json_path = ".spec.subdomainOf"),
    printcolumn(name = "Systems", type_ = "integer", json_path = ".status.systems.total"),
    printcolumn(name = "Systems Ready", type_ = "integer", json_path = ".status.systems.ready"),
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
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::spec()))]
pub struct DomainSpec {
    /// The parts of Backstage's metadata that Kubernetes has no place for.
    #[serde(flatten)]
    pub metadata: EntityMetadata,
    /// Who owns it: `[group:|user:][namespace/]name`. Example: `group:shop/checkout`.
    #[schemars(schema_with = "schemas::owner")]
    pub owner: String,
    /// The domain it is a part of: `[domain:][namespace/]name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::domain")]
    pub subdomain_of: Option<String>,
    /// What sort of domain it is. Example: `product-area`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
}

/// The state of a Domain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DomainStatus {
    /// What every entity's status has.
    #[serde(flatten)]
    pub entity: EntityStatus,
    /// The systems that are part of this domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systems: Option<EntityCounts>,
}
