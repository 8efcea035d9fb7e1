//! How an instance's objects pass to another instance: what the new one asks for, and what both say of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schemas;

/// From which instance objects are taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakeOver {
    /// The instance: `kind:[namespace/]name`; the kind must be given. It has to agree, by the annotation `landfall.dev/hand-over-to`
    /// with the ref of this one. Once it is gone, this has no effect. Example: `component:shop/orders`.
    #[serde(rename = "ref")]
    #[schemars(schema_with = "schemas::instance")]
    pub reference: String,
}

/// That an instance hands its objects over, and writes to none of them itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HandOver {
    /// To which instance, as a full ref.
    #[serde(rename = "ref")]
    #[schemars(length(max = 253))]
    pub reference: String,
    /// That instance's UID.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Whether it has taken over all that its template makes of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub finished: bool,
}

/// That an instance has taken over another's objects: all that its template makes of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakenOver {
    /// From which instance, as a full ref.
    #[serde(rename = "ref")]
    #[schemars(length(max = 253))]
    pub reference: String,
    /// That instance's UID.
    #[schemars(length(max = 64))]
    pub uid: String,
}
