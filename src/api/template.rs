//! Template: a Backstage Template, plus what makes it live.

#![allow(clippy::duplicated_attributes)] // Each printed column is an attribute, and they have types in common.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::common::{EntityMetadata, RelationSummary};
use super::conditions::Condition;
use super::example::Example;
use super::instance::{DeletionPolicy, DriftPolicy, Mode};
use super::rollout::{Rollout, RolloutStatus};
use super::{rules, schemas};

/// A golden path: what an instance is given, and what may be chosen about it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "catalog.landfall.dev",
    version = "v1alpha1",
    kind = "Template",
    namespaced,
    status = "TemplateStatus",
    derive = "PartialEq",
    category = "catalog",
    shortname = "lftpl",
    doc = "A golden path: what every instance of it is given, and what may be chosen about it. A Backstage Template, plus what makes it live.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.latest.version"),
    printcolumn(name = "Instances", type_ = "integer", json_path = ".status.instances.total"),
    printcolumn(name = "Updated", type_ = "integer", json_path = ".status.instances.updated"),
    printcolumn(name = "Instances Ready", type_ = "integer", json_path = ".status.instances.ready"),
    printcolumn(name = "Rollout", type_ = "string", json_path = ".status.rollout.state"),
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
        name = "Rollout Message",
        type_ = "string",
        json_path = ".status.rollout.message",
        priority = 1
    ),
    printcolumn(
        name = "References",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"ReferencesResolved\")].status",
        priority = 1
    ),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::template_spec()))]
pub struct TemplateSpec {
    /// The parts of Backstage's metadata that Kubernetes has no place for.
    #[serde(flatten)]
    pub metadata: EntityMetadata,
    /// What sort of thing the template makes. Example: `service`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Who owns the template: `[group:|user:][namespace/]name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::owner")]
    pub owner: Option<String>,
    /// How far along it is. Well known: `experimental`, `production`, `deprecated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub lifecycle: Option<String>,
    /// The version of this content: one content per version, for ever. Without it the version is the first 10 hex digits of the content's digest. Example: `2.3.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rules::version()))]
    pub version: Option<String>,
    /// The service account, in this Template's namespace, as which every object is written, read and watched. Required where there are resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = rules::service_account()))]
    pub service_account_name: Option<String>,
    /// The namespaces from which entities may use this template; without it, only its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// Namespaces, by name, into which objects may go beside those that the plan makes. Example: `argocd`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::namespace_names")]
    pub target_namespaces: Vec<String>,
    /// How a new version reaches the instances that follow this template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// How many revisions are kept that no instance uses; 10 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub revision_history_limit: Option<i64>,
    /// The parameters: one JSON Schema, or a list of them as form pages, as in Backstage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::any")]
    pub parameters: Option<Value>,
    /// Backstage's steps: actions that run once. They are stored; see the condition `StepsSupported`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::any_objects")]
    pub steps: Vec<Value>,
    /// Other templates whose resources join the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub include: Vec<Include>,
    /// The living objects: what every instance is given, for as long as it lives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub resources: Vec<TemplateResource>,
    /// Other entities or objects that expressions read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub references: Vec<Reference>,
    /// What an instance says about itself in `status.output`; evaluated again whenever something changes.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub output: Map<String, Value>,
    /// Uses of the template, each with what must come of it: tried whenever the template changes, before the change reaches an instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub examples: Vec<Example>,
    /// Backstage's secrets schema; stored.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub secrets: Map<String, Value>,
    /// Backstage's presentation settings; stored.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub presentation: Map<String, Value>,
}

/// Who may use a template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::allowed_namespaces()))]
pub struct AllowedNamespaces {
    /// `Same`: entities of the template's own namespace; `All`: of every one; `Selector`: of those that the selector matches.
    #[serde(default)]
    pub from: AllowedFrom,
    /// Which namespaces, by their labels; with `from: Selector` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// From where a template may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schemas::without_description)]
pub enum AllowedFrom {
    /// The template's own namespace.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// The namespaces that a selector matches.
    Selector,
}

/// A selector by labels, as everywhere in Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must be there with exactly these values.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    #[schemars(schema_with = "schemas::label_map")]
    pub match_labels: std::collections::BTreeMap<String, String>,
    /// Further requirements; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One requirement of a label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::selector_requirement()))]
pub struct LabelSelectorRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    #[schemars(extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist"]))]
    pub operator: String,
    /// The values, with `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::label_values")]
    pub values: Vec<String>,
}

/// Another template whose resources join the plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Include {
    /// The id under which the resources join, as `<id>.<resource>`.
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rules::id()))]
    pub id: String,
    /// The template: `[template:][namespace/]name`.
    #[serde(rename = "ref")]
    #[schemars(schema_with = "schemas::template")]
    pub reference: String,
    /// The one version of it to include.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub version: Option<String>,
    /// Whether it is included.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::any")]
    pub condition: Option<Value>,
    /// A list or a map: included once for each entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::any")]
    pub each: Option<Value>,
    /// The included template's parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::any")]
    pub parameters: Option<Value>,
}

/// One living object, or with `each` several of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateResource {
    /// The name by which other resources refer to it, as `resources.<id>`.
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rules::id()))]
    pub id: String,
    /// A list or a map: one object for each entry, which is `each.key`, `each.value` and `each.index` to the expressions. Example: `${{ parameters.environments }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::any")]
    pub each: Option<Value>,
    /// Whether the object is wanted. False for false, null, "", 0, an empty list and a parameter that is not given. Example: `${{ parameters.ci == 'tekton' }}`.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::any")]
    pub condition: Option<Value>,
    /// The environment that the object belongs to. Example: `${{ each.key }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub environment: Option<String>,
    /// `Own` (default), `Once` (the default for `PipelineRun`, `TaskRun`, `Workflow`, `Job` and `Pod`), or `Patch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Ids of resources that must be ready before this one is applied; those that expressions name are added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::resource_ids")]
    pub depends_on: Vec<String>,
    /// When the object counts as ready, with the live object as `self`; without it, the health of its kind decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::any")]
    pub ready_when: Option<Value>,
    /// What becomes of the object when it is no longer wanted; without it, what the instance says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// What happens when the live object no longer says what the plan says: `Repair` (default) or `Report`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_policy: Option<DriftPolicy>,
    /// Delete and create the object when an immutable field changed. Never a `Namespace` or a `PersistentVolumeClaim`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// The object, with expressions in its strings.
    #[schemars(schema_with = "schemas::any_object")]
    pub manifest: Map<String, Value>,
}

/// Another entity, or an object, that expressions read as `references.<id>`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::entity_or_object()))]
pub struct Reference {
    /// The name by which expressions refer to it.
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rules::id()))]
    pub id: String,
    /// The entity's ref, mostly an expression. Example: `${{ parameters.database }}`.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub reference: Option<String>,
    /// An object instead of an entity, read as the template's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectReference>,
    /// Whether it is read at all.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::any")]
    pub condition: Option<Value>,
}

/// An object by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    /// `group/version`, or `v1`.
    #[schemars(length(min = 1, max = 317))]
    pub api_version: String,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Namespace; without it, the instance's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub namespace: Option<String>,
    /// Name.
    #[schemars(length(min = 1, max = 1024))]
    pub name: String,
}

/// The state of a Template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateStatus {
    /// The generation of the spec that this status is about; -1 before the first.
    #[serde(default)]
    pub observed_generation: i64,
    /// What is so and why: `Ready` says whether the spec as it stands compiles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The relations of this entity, counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub relations: Vec<RelationSummary>,
    /// The newest content that compiled: what instances without a pin follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<RevisionInForce>,
    /// What was the newest before: where `landfall rollout undo` goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<RevisionInForce>,
    /// The instances that name this template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<InstanceCounts>,
    /// How far the newest version has reached the instances that follow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
}

/// A revision of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionInForce {
    /// Its version.
    #[schemars(length(max = 63))]
    pub version: String,
    /// The digest of its content.
    #[schemars(length(max = 128))]
    pub digest: String,
    /// The name of the `ControllerRevision` that holds it.
    #[schemars(length(max = 253))]
    pub revision_name: String,
}

/// How many instances a template has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceCounts {
    /// How many name this template.
    #[schemars(range(min = 0))]
    pub total: i64,
    /// How many of them are at the newest version.
    #[schemars(range(min = 0))]
    pub updated: i64,
    /// How many of them are Ready.
    #[schemars(range(min = 0))]
    pub ready: i64,
}
