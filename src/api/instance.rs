//! What an entity gains by naming a template: `spec.template`, and the status of what was provisioned.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::common::RelationSummary;
use super::conditions::Condition;
use super::moving::{HandOver, TakeOver, TakenOver};
use super::rollout::Moved;
use super::{rules, schemas};

/// Which template an entity is provisioned from, and with what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceTemplate {
    /// The template: `[template:][namespace/]name`; without a namespace, the entity's own. Example: `platform/web-service`.
    #[serde(rename = "ref")]
    #[schemars(schema_with = "schemas::template")]
    pub reference: String,
    /// A pin: the one version of the template to use. Without it the instance follows the template's rollout. Example: `2.3.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub version: Option<String>,
    /// Pins for single environments' objects, by environment name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "x-kubernetes-validations" = rules::environment_keys()))]
    pub environments: BTreeMap<String, EnvironmentPin>,
    /// The values for the template's parameters; checked against the template's parameter schema.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub parameters: Map<String, Value>,
    /// What becomes of the objects when the instance is deleted or names no template any more:
    /// `Delete` (default), `Retain`, or `Confirm`, which waits for the annotation `landfall.dev/confirm-deletion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// From which instance it takes over the objects that its template makes too, if that one agrees: each keeps its UID, and
    /// nothing is deleted or made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_over: Option<TakeOver>,
    /// While true, nothing that this instance owns is written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

/// A pin for one environment's objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentPin {
    /// The version of the template from which this environment's objects are rendered. Example: `2.2.0`.
    #[schemars(length(min = 1, max = 63))]
    pub version: String,
}

/// What becomes of an object that is no longer wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schemas::without_description)]
pub enum DeletionPolicy {
    /// It is deleted.
    #[default]
    Delete,
    /// It stays, without our marks.
    Retain,
    /// It is deleted once a person has confirmed it.
    Confirm,
}

/// How an object is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schemas::without_description)]
pub enum Mode {
    /// Created, kept as rendered, deleted when no longer wanted.
    #[default]
    Own,
    /// Created once, then left alone.
    Once,
    /// Only the rendered fields are applied to an object that others made; it is never deleted.
    Patch,
}

/// What happens when a live object no longer says what its plan says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schemas::without_description)]
pub enum DriftPolicy {
    /// It is put right.
    #[default]
    Repair,
    /// It is reported in the condition `Drifted` and left.
    Report,
}

/// What was provisioned for an instance, and how it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// The generation of the spec that this status is about; -1 before the first.
    #[serde(default)]
    pub observed_generation: i64,
    /// What is so and why: `Ready`, then what it is made of, then what is abnormal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The relations of this entity, counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub relations: Vec<RelationSummary>,
    /// The template that is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateInForce>,
    /// The environments, in the order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub environments: Vec<EnvironmentStatus>,
    /// `ready/all` of the environments, for the printed column. Example: `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub environments_ready: Option<String>,
    /// That it hands its objects over to another instance, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<HandOver>,
    /// That it has taken over another instance's objects, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<TakenOver>,
    /// Every object that this instance owns. Written before the object is, shortened only after it is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "atomic"))]
    pub inventory: Vec<InventoryEntry>,
    /// The pipelines whose runs lie in a namespace of the inventory, each with its last run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub pipelines: Vec<PipelineStatus>,
    /// What the template's `output` came to.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub output: Map<String, Value>,
    /// The template's steps. Not run yet, see the Template's condition `StepsSupported`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::any_objects")]
    pub steps: Vec<Value>,
    /// The last value of the annotation `landfall.dev/reconcile` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
}

/// The template an instance is provisioned from, at the version in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateInForce {
    /// The template as a full ref. Example: `template:platform/web-service`.
    #[serde(rename = "ref")]
    #[schemars(length(max = 253))]
    pub reference: String,
    /// The version in force.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub version: String,
    /// The digest of the content in force.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub digest: String,
    /// The newest version that the template has.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub latest_version: String,
    /// That a rollout has moved the instance to the version in force, if one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    /// The environments that are at a version of their own: by a pin, or since a rollout has moved them by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub environments: Vec<EnvironmentInForce>,
}

/// The version that is in force for one environment's objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentInForce {
    /// The environment's name. Example: `prod`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The version in force.
    #[schemars(length(max = 63))]
    pub version: String,
    /// The digest of its content.
    #[schemars(length(max = 128))]
    pub digest: String,
    /// That a rollout has moved the environment to the version in force, if one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
}

/// One environment of an instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// The environment's name. Example: `prod`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The namespace that was made for it, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// The template's version that it is rendered from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
    /// Whether all its objects are there and healthy.
    pub ready: bool,
    /// Why not, if not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub message: Option<String>,
    /// Where the service answers in it, if the template says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub url: Option<String>,
}

/// One object that an instance owns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryEntry {
    /// API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub group: String,
    /// API version.
    #[schemars(length(max = 63))]
    pub version: String,
    /// Kind.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Namespace; empty for a cluster-scoped object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID; empty until the object is known to exist.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub uid: String,
    /// The template resource and, behind a slash, the `each` key. Example: `quota/prod`.
    #[schemars(length(max = 512))]
    pub resource: String,
    /// Hash of what was asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub intent_hash: String,
    /// Hash of our own managed fields as the apiserver gave them back.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub applied_hash: String,
    /// The random mark that this object carries too.
    #[schemars(length(max = 64))]
    pub claim: String,
    /// How the object is kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// What becomes of it when it is no longer wanted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deletion_policy: DeletionPolicy,
    /// Whether the template's resource says nothing of its own about that, so that the instance's policy holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherits_policy: bool,
    /// Of a namespace: whether an object that was left to others lies in it, so that it is never deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub holds_retained: bool,
    /// Its place in the order of creation; deletion goes the other way.
    #[serde(default)]
    pub order: i64,
    /// The service account, `namespace/name`, as which it was written.
    #[schemars(length(max = 253))]
    pub account: String,
}

/// A pipeline of an instance with its last run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineStatus {
    /// The pipeline's name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The namespace that it runs in.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// What runs it. Example: `Tekton`.
    #[schemars(length(max = 63))]
    pub engine: String,
    /// Its newest run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<PipelineRunStatus>,
}

/// One run of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineRunStatus {
    /// The run's name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Cancelled`.
    #[schemars(length(max = 63))]
    pub state: String,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub started: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub finished: Option<String>,
    /// The revision of the source it ran on, where the run says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub revision: Option<String>,
    /// Where it can be looked at, where the run says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub url: Option<String>,
    /// What the engine says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub message: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
