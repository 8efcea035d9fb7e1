//! What expressions can name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

/// The names that every expression may begin with, wherever it stands; some of them only where they have a meaning.
pub(crate) const ROOTS: [&str; 10] = [
    "parameters",
    "values",
    "entity",
    "system",
    "owner",
    "template",
    "each",
    "resources",
    "references",
    "self",
];

/// The identity of one object of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its name.
    pub(crate) name: String,
    /// Its namespace, where its kind has one.
    pub(crate) namespace: Option<String>,
}

/// The objects of a plan, by what expressions call them.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By id, then by `each` key.
    pub(crate) places: BTreeMap<String, BTreeMap<Option<String>, usize>>,
    /// By place.
    pub(crate) identities: Vec<Identity>,
}

impl Known {
    /// Adds an object, and gives it the next place.
    pub(crate) fn add(&mut self, id: &str, key: Option<&str>, identity: Identity) {
        let place = self.identities.len();
        self.identities.push(identity);
        self.places
            .entry(id.to_owned())
            .or_default()
            .insert(key.map(str::to_owned), place);
    }
}

/// What `references` came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct References {
    /// What exists, by id.
    pub(crate) found: BTreeMap<String, Value>,
    /// The ids whose `if` is false.
    pub(crate) unwanted: BTreeSet<String>,
}

/// Everything that one expression can name.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The parameters, defaults applied.
    pub(crate) parameters: &'a Value,
    /// The instance.
    pub(crate) entity: &'a Value,
    /// Its system, or null.
    pub(crate) system: &'a Value,
    /// Its owner.
    pub(crate) owner: &'a Value,
    /// The template: `{name, namespace, version}`.
    pub(crate) template: &'a Value,
    /// `{key, value, index}` under `each`.
    pub(crate) each: Option<&'a Value>,
    /// The live object in `readyWhen`.
    pub(crate) itself: Option<&'a Value>,
    /// The other entities and objects.
    pub(crate) references: &'a References,
    /// The objects of the plan.
    pub(crate) known: &'a Known,
    /// The ids of those resources that have `each`.
    pub(crate) repeated: &'a BTreeSet<String>,
    /// The live objects, by place; none while planning.
    pub(crate) live: Option<&'a BTreeMap<usize, Arc<Value>>>,
}

impl<'a> Scope<'a> {
    /// The live object at `place`, if it is there.
    pub(crate) fn live_object(&self, place: usize) -> Option<&'a Value> {
        self.live?.get(&place).map(AsRef::as_ref)
    }
}
