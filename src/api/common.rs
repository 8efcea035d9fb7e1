//! What every kind's `spec` has: the parts of Backstage's `metadata` that Kubernetes has no place for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::conditions::Condition;
use super::{rules, schemas};

/// The parts of Backstage's `metadata` that a Kubernetes object's metadata cannot hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntityMetadata {
    /// A name for people, shown instead of the object's name. Refs never use it. Example: `Order service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub title: Option<String>,
    /// What this entity is, in a sentence or a few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub description: Option<String>,
    /// Words to find this entity by: runs of `[a-z0-9:+#]` joined by `-`, at most 63 characters each. Example: `java`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::tags")]
    pub tags: Vec<String>,
    /// Where else to look: dashboards, chat rooms, runbooks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["url"]))]
    pub links: Vec<Link>,
    /// The entity's name in Backstage, given only where that name is not a legal Kubernetes object name. Immutable. Example: `artist_Web`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rules::entity_name()))]
    pub entity_name: Option<String>,
    /// Refs that this entity had before: `kind:[namespace/]name`; the kind must be given, and be its own. They go on meaning this entity,
    /// as long as no entity has them. Example: `component:shop/orders`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::aliases")]
    pub aliases: Vec<String>,
    /// Every field of the Backstage descriptor that this schema does not know, kept as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Extensions>,
}

/// A link out of the catalog.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Where the link goes: an absolute `http`, `https` or `mailto` URL. Example: `https://grafana.example.com/d/orders`.
    #[schemars(length(max = 2048), extend("x-kubernetes-validations" = rules::url()))]
    pub url: String,
    /// What is shown for it. Example: `Dashboard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub title: Option<String>,
    /// The key of an icon. Example: `dashboard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rules::icon()))]
    pub icon: Option<String>,
    /// What kind of link it is. Example: `runbook`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub kind: Option<String>,
}

/// Fields of a Backstage descriptor that the schema of its kind does not know, by where they stood.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Extensions {
    /// The descriptor's `apiVersion`, where it is not the usual one of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub api_version: Option<String>,
    /// Unknown fields of `metadata`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub metadata: Map<String, Value>,
    /// Unknown fields of `spec`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub spec: Map<String, Value>,
    /// Unknown fields beside `metadata` and `spec`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub root: Map<String, Value>,
}

/// How many entities stand in one relation to this one, and the first few of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelationSummary {
    /// The relation, in Backstage's words. Example: `ownedBy`.
    #[serde(rename = "type")]
    #[schemars(length(max = 63))]
    pub kind: String,
    /// How many entities stand in it.
    #[schemars(range(min = 0))]
    pub count: i64,
    /// The first of them by name, as full refs; the whole set is served by the catalog API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::sample_refs")]
    pub sample: Vec<String>,
}

/// The state of an entity that is a record and nothing more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntityStatus {
    /// The generation of the spec that this status is about; -1 before the first.
    #[serde(default)]
    pub observed_generation: i64,
    /// What is so and why: `Ready` says whether the catalog takes the entity, `ReferencesResolved` whether what it names exists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The relations of this entity, counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub relations: Vec<RelationSummary>,
}

/// How many entities there are of a sort, and how many of them are Ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntityCounts {
    /// How many there are.
    #[schemars(range(min = 0))]
    pub total: i64,
    /// How many of them are Ready.
    #[schemars(range(min = 0))]
    pub ready: i64,
    /// The first few that are not Ready, as full refs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::sample_refs")]
    pub not_ready: Vec<String>,
}

/// How a person or a group is shown and reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// A name for people. Example: `Jenny Doe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub display_name: Option<String>,
    /// Where mail goes. Example: `jenny.doe@example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320))]
    pub email: Option<String>,
    /// The URL of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub picture: Option<String>,
}

/// A subject of Kubernetes' access control, as a role binding has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::subject()))]
pub struct Subject {
    /// `Group`: a group of the identity provider; `User`: one of its users; `ServiceAccount`: an account of a namespace.
    #[schemars(extend("enum" = ["Group", "User", "ServiceAccount"]))]
    pub kind: String,
    /// `rbac.authorization.k8s.io` for a group and a user, nothing for a service account: what Kubernetes takes it for when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub api_group: Option<String>,
    /// Its name, as Kubernetes is told it. Example: `oidc:checkout`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The namespace of a service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
}
