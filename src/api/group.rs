//! Group: people who own things together.

#![allow(clippy::duplicated_attributes)] // Each printed column is an attribute, and they have types in common.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{EntityCounts, EntityMetadata, EntityStatus, Profile, Subject};
use super::{rules, schemas};

/// People who own things together: a team, a business unit.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "catalog.landfall.dev",
    version = "v1alpha1",
    kind = "Group",
    plural = "groups",
    namespaced,
    status = "GroupStatus",
    derive = "PartialEq",
    category = "catalog",
    shortname = "lfgrp",
    doc = "People who own things together: a team, a business unit.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Parent", type_ = "string", json_path = ".spec.parent"),
    printcolumn(name = "Members", type_ = "integer", json_path = ".status.members"),
    printcolumn(name = "Owned", type_ = "integer", json_path = ".status.owned.total"),
    printcolumn(name = "Owned Ready", type_ = "integer", json_path = ".status.owned.ready"),
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
    printcolumn(
        name = "Display Name",
        type_ = "string",
        json_path = ".spec.profile.displayName",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::spec()))]
pub struct GroupSpec {
    /// The parts of Backstage's metadata that Kubernetes has no place for.
    #[serde(flatten)]
    pub metadata: EntityMetadata,
    /// What sort of group it is. Well known: `team`, `business-unit`, `product-area`, `root`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// How it is shown and reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// The group it is a part of: `[group:][namespace/]name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::group")]
    pub parent: Option<String>,
    /// The groups that are parts of it: `[group:][namespace/]name`. Those that name it as their parent need not be named here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::groups")]
    pub children: Vec<String>,
    /// The users in it: `[user:][namespace/]name`. Those that name it in `memberOf` need not be named here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::members")]
    pub members: Vec<String>,
    /// Who this group is to Kubernetes: what `owner.spec.subjects` gives a template for its role bindings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub subjects: Vec<Subject>,
}

/// The state of a Group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupStatus {
    /// What every entity's status has.
    #[serde(flatten)]
    pub entity: EntityStatus,
    /// How many users are members of this group, whichever of the two names the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub members: Option<i64>,
    /// The entities that this group owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<EntityCounts>,
}
