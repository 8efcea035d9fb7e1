//! How a new version of a template reaches its instances: what is asked for, and how far it has come.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schemas;
use super::template::LabelSelector;

/// How a new version reaches the instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// `Automatic` (default), or `Manual`: instances stay until they are pinned anew.
    #[serde(default)]
    pub strategy: RolloutStrategy,
    /// How many instances may be not Ready because of the rollout: a count or a percentage; without it, any number. Example: `10%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::count_or_percentage")]
    pub max_unavailable: Option<Value>,
    /// How long an instance that was moved must have been Ready to count as available, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub min_ready_seconds: Option<i64>,
    /// The instances that come first, by their labels: until each of them is available, no other is moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_selector: Option<LabelSelector>,
    /// The order in which a new version reaches the environments: the first in every instance, then the next; last what belongs to none of them. Example: `[dev, prod]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::environment_names")]
    pub environments: Vec<String>,
    /// While true, no further instance is moved to a new version.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// Whether a new version is rolled out by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schemas::without_description)]
pub enum RolloutStrategy {
    /// It reaches every instance that has no pin.
    #[default]
    Automatic,
    /// It reaches an instance when its pin says so.
    Manual,
}

/// How far the newest version has reached the instances that follow it: those without a pin that are not suspended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The state.
    #[serde(default)]
    pub state: RolloutState,
    /// The version that is rolled out.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub version: String,
    /// How many instances follow the newest version.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub following: i64,
    /// How many of them are at it, with all their environments that have no pin.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub updated: i64,
    /// The environment that is being moved, of those in `spec.rollout.environments`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub environment: Option<String>,
    /// The environments of `spec.rollout.environments`, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub environments: Vec<EnvironmentRollout>,
    /// How many of them stay at their version, since they cannot take the newest, or a person has to agree first.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub held: i64,
    /// How many were Ready, have been moved, and are not available.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub unavailable: i64,
    /// What is so, why, and what to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub message: String,
    /// When a rollout last had nothing more to do. An instance that was moved before counts against no later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"), length(max = 64))]
    pub completed_at: Option<String>,
}

/// How far the newest version has come in one environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentRollout {
    /// The environment's name. Example: `prod`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// How many of the instances that follow have it, without a pin.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub following: i64,
    /// How many of those have it at the newest version.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub updated: i64,
}

/// The state of a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schemas::without_description)]
pub enum RolloutState {
    /// Every instance that follows is at the newest version.
    #[default]
    Complete,
    /// Instances are being moved.
    Progressing,
    /// Nobody is moved while `spec.rollout.paused` is true.
    Paused,
    /// Nobody is moved but by a pin.
    Manual,
    /// An instance that was Ready before it was moved is not any more.
    Stopped,
    /// Every instance is at the newest version that could be moved without a person.
    HeldBack,
}

impl RolloutState {
    /// The word itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "Complete",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::Manual => "Manual",
            Self::Stopped => "Stopped",
            Self::HeldBack => "HeldBack",
        }
    }
}

/// That a rollout has moved an instance to the version in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// When.
    #[schemars(extend("format" = "date-time"), length(max = 64))]
    pub at: String,
    /// Whether the instance was Ready before: only then it counts against the rollout if it is not afterwards.
    #[serde(default)]
    pub was_ready: bool,
}
