//! The plan: the objects that a template renders to for one instance, in apply order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::compile::{Compiled, Policy};
use super::fault::Fault;
use super::kinds::{KindInfo, Kinds};
use crate::api::instance::{DeletionPolicy, DriftPolicy, Mode};

/// Everything that a plan depends on.
pub struct PlanRequest<'a> {
    /// The instance as JSON: apiVersion, kind, metadata (name, namespace, uid, labels, annotations), spec. No status.
    pub entity: &'a Value,
    /// The owner: `{kind, namespace, name, ref, exists, spec}`.
    pub owner: &'a Value,
    /// The system: the same shape, or null where the entity names none.
    pub system: &'a Value,
    /// The template's name.
    pub template_name: &'a str,
    /// The template's namespace.
    pub template_namespace: &'a str,
    /// The parameters as given, defaults not yet applied.
    pub parameters: &'a Map<String, Value>,
    /// The version that the instance runs.
    pub base: Arc<Compiled>,
    /// The version of single environments, where it is another one.
    pub environments: BTreeMap<String, Arc<Compiled>>,
    /// Namespaces that the instance's System made.
    pub system_namespaces: BTreeSet<String>,
    /// The live Template's `targetNamespaces`.
    pub target_namespaces: BTreeSet<String>,
    /// The picture of the cluster's kinds; kinds that expressions yield must be in it too.
    pub kinds: &'a dyn Kinds,
    /// What the administrator allows.
    pub policy: &'a Policy,
    /// What `references` resolve to, by id: the entity or object as JSON, or absent where it does not exist.
    pub references: BTreeMap<String, Value>,
}

/// One object of a plan. Its identity is known before anything is written; its body comes from [`Plan::render`].
#[derive(Clone, Debug)]
pub struct PlannedObject {
    /// The template resource's id.
    pub resource: String,
    /// The `each` key, where the resource has `each`.
    pub each_key: Option<String>,
    /// The environment that it belongs to.
    pub environment: Option<String>,
    /// Its kind.
    pub kind: KindInfo,
    /// Its namespace; none for a cluster-scoped object.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// How it is kept.
    pub mode: Mode,
    /// What becomes of it; none where the instance's own policy decides.
    pub deletion_policy: Option<DeletionPolicy>,
    /// What happens when it drifts.
    pub drift_policy: DriftPolicy,
    /// Whether it may be deleted and created anew.
    pub replace: bool,
    /// The objects (places in [`Plan::objects`], always smaller than its own) that must be ready before it.
    pub depends_on: Vec<usize>,
}

/// The live objects of a plan, by their place in [`Plan::objects`].
pub type Live = BTreeMap<usize, Arc<Value>>;

/// What a body came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Rendered {
    /// The object, complete but for our marks.
    Object(Value),
    /// A value that it names is not there yet.
    Waiting {
        /// Where it is named. Example: `data.HOST`.
        field: String,
        /// What is waited for. Example: `resources.db.status.host`.
        value: String,
    },
}

/// The objects of one instance, in apply order.
#[derive(Debug)]
pub struct Plan {
    /// The objects; an object stands behind all that it depends on.
    pub objects: Vec<PlannedObject>,
    /// The parameters with defaults applied.
    pub parameters: Map<String, Value>,
}

/// Plans one instance.
///
/// # Errors
/// Every fault that was found; nothing is planned then.
pub fn plan(_request: PlanRequest<'_>) -> Result<Plan, Vec<Fault>> {
    Ok(Plan {
        objects: Vec::new(),
        parameters: Map::new(),
    })
}

impl Plan {
    /// The body of the object at `place`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn render(&self, _place: usize, _live: &Live) -> Result<Rendered, Fault> {
        Ok(Rendered::Object(Value::Null))
    }

    /// Whether the template's `readyWhen` holds for the live object at `place`; none where it has no `readyWhen`.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub fn ready_when(&self, _place: usize, _object: &Value, _live: &Live) -> Result<Option<bool>, Fault> {
        Ok(None)
    }

    /// The template's `output`; what waits for a live value is left out.
    ///
    /// # Errors
    /// What is wrong with it, by field; the rest is given all the same.
    pub fn output(&self, _live: &Live) -> (Map<String, Value>, Vec<Fault>) {
        (Map::new(), Vec::new())
    }
}
