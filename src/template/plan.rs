//! The plan: the objects that a template renders to for one instance, in apply order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::compile::{Compiled, Policy};
use super::expression::term::Meter;
use super::fault::Fault;
use super::kinds::{KindInfo, Kinds};
use super::planning::{self, Binding, Inputs, Version};
pub use super::references::{ReferenceTarget, WantedReference};
use super::rendering::Sizes;
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
    /// The newest version, where the instance is yet to be moved to it: a parameter that only it knows is no fault.
    pub newest: Option<Arc<Compiled>>,
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
    /// What expressions can name besides.
    pub(crate) inputs: Inputs,
    /// The versions in use; the first is the instance's own.
    pub(crate) versions: Vec<Version>,
    /// Where each object comes from, by place.
    pub(crate) bindings: Vec<Binding>,
    /// How large each object was when it was last rendered.
    pub(crate) sizes: Sizes,
}

/// Plans one instance.
///
/// The plan is the same for the same request, whatever was planned before.
///
/// # Errors
/// Every fault that was found; nothing is planned then.
#[allow(clippy::needless_pass_by_value)] // A request is made for one plan.
pub fn plan(request: PlanRequest<'_>) -> Result<Plan, Vec<Fault>> {
    planning::plan(&request, &Meter::for_plan())
}

/// The references that the instance wants read before it is planned. Those whose `if` is false are left out.
///
/// # Errors
/// What is wrong with the parameters or with a reference.
pub fn references(request: &PlanRequest<'_>) -> Result<Vec<WantedReference>, Vec<Fault>> {
    planning::references(request)
}
