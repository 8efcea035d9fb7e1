//! User: a person.

#![allow(clippy::duplicated_attributes)] // Each printed column is an attribute, and they have types in common.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{EntityCounts, EntityMetadata, EntityStatus, Profile, Subject};
use super::{rules, schemas};

/// A person.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "catalog.landfall.dev",
    version = "v1alpha1",
    kind = "User",
    plural = "users",
    namespaced,
    status = "UserStatus",
    derive = "PartialEq",
    category = "catalog",
    shortname = "lfusr",
    doc = "A person, as a member of groups and as an owner.",
    printcolumn(name = "Display Name", type_ = "string", json_path = ".spec.profile.displayName"),
    printcolumn(name = "Groups", type_ = "integer", json_path = ".status.groups"),
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
    printcolumn(name = "Email", type_ = "string", json_path = ".spec.profile.email", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::spec()))]
pub struct UserSpec {
    /// The parts of Backstage's metadata that Kubernetes has no place for.
    #[serde(flatten)]
    pub metadata: EntityMetadata,
    /// How it is shown and reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// The groups that this user is a member of: `[group:][namespace/]name`. Those that name the user in `members` need not be named here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::groups")]
    pub member_of: Vec<String>,
    /// Who this user is to Kubernetes: what `owner.spec.subjects` gives a template for its role bindings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub subjects: Vec<Subject>,
}

/// The state of a User.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserStatus {
    /// What every entity's status has.
    #[serde(flatten)]
    pub entity: EntityStatus,
    /// How many groups this user is a member of, whichever of the two names the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub groups: Option<i64>,
    /// The entities that this user owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<EntityCounts>,
}
