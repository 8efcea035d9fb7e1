//! Component: a piece of software, and with a template the namespaces and pipelines it lives in.

#![allow(clippy::duplicated_attributes)] // Each printed column is an attribute, and they have types in common.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::EntityMetadata;
use super::instance::{InstanceStatus, InstanceTemplate};
use super::{rules, schemas};

/// A piece of software: a service, a website, a library.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "catalog.landfall.dev",
    version = "v1alpha1",
    kind = "Component",
    namespaced,
    status = "InstanceStatus",
    derive = "PartialEq",
    category = "catalog",
    shortname = "lfcomp",
    doc = "A piece of software: a service, a website, a library. With spec.template, Landfall provisions it and keeps it so.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner"),
    printcolumn(name = "System", type_ = "string", json_path = ".spec.system"),
    printcolumn(name = "Template", type_ = "string", json_path = ".spec.template.ref"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.template.version"),
    printcolumn(name = "Environments", type_ = "string", json_path = ".status.environmentsReady"),
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
    printcolumn(name = "Lifecycle", type_ = "string", json_path = ".spec.lifecycle", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::spec()))]
pub struct ComponentSpec {
    /// The parts of Backstage's metadata that Kubernetes has no place for.
    #[serde(flatten)]
    pub metadata: EntityMetadata,
    /// What sort of component it is. Well known: `service`, `website`, `library`.
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
    /// The component it is a part of: `[component:][namespace/]name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::component")]
    pub subcomponent_of: Option<String>,
    /// The APIs it provides: `[api:][namespace/]name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::apis")]
    pub provides_apis: Vec<String>,
    /// The APIs it calls: `[api:][namespace/]name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::apis")]
    pub consumes_apis: Vec<String>,
    /// What it needs to run: `kind:[namespace/]name`; the kind must be given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::dependencies")]
    pub depends_on: Vec<String>,
    /// What needs it to run: `kind:[namespace/]name`; the kind must be given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::dependencies")]
    pub dependency_of: Vec<String>,
    /// The template that it is provisioned from. With it, the component is an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<InstanceTemplate>,
}
