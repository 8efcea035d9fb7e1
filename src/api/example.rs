//! Examples of a template: what is chosen, and what must come of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::schemas;

/// One use of a template, and what must come of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// What is shown, in a word. Example: `two-environments`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The parameters, as an instance gives them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub parameters: Map<String, Value>,
    /// Where the instance differs from a Component `example` in namespace `example`: `kind`, `metadata`, `spec`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub entity: Map<String, Value>,
    /// The owner as expressions see it: `kind`, `namespace`, `name`, `exists`, `spec`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub owner: Map<String, Value>,
    /// The system as expressions see it; without it the instance is part of none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub system: Map<String, Value>,
    /// The namespaces that the system has made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::namespace_names")]
    pub system_namespaces: Vec<String>,
    /// What others read of objects that exist, by resource. Example: `db: {status: {host: db.example}}`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub live: Map<String, Value>,
    /// What must come of it.
    pub expect: Expectation,
}

/// What must come of an example: a plan, of which this is true, or a fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// How many objects there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 500))]
    pub count: Option<i64>,
    /// What is true of single objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub resources: Vec<ExpectedResource>,
    /// What the output says; it may say more.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub output: Map<String, Value>,
    /// That nothing can be planned, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<ExpectedFault>,
}

/// What is true of one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedResource {
    /// The resource and, behind a slash, the `each` key. Example: `quota/prod`.
    #[schemars(length(min = 1, max = 512))]
    pub id: String,
    /// That there is no such object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
    /// What the object says; it may say more, but a list has exactly these items, and a null field is not there.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schemas::any_object")]
    pub manifest: Map<String, Value>,
}

/// Why nothing can be planned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedFault {
    /// The reason word. Example: `InvalidParameters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub reason: Option<String>,
    /// What the message says, among other things. Example: `parameters.replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub message: Option<String>,
}
