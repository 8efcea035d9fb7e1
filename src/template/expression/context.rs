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

/// What the ids of a template stand for, which expressions name behind `resources`.
pub(crate) type Names = BTreeMap<String, Named>;

/// What one id stands for.
#[derive(Clone, Debug)]
pub(crate) enum Named {
    /// A resource.
    Resource(NamedResource),
    /// Another template's resources.
    Include(NamedInclude),
}

/// A resource, as expressions see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamedResource {
    /// Its id in the plan: behind those of the includes that it is in. Example: `guardrails.quota`.
    pub(crate) id: String,
    /// Whether it is a map by key.
    pub(crate) repeated: bool,
    /// Its apiVersion and kind, where they are literal.
    pub(crate) kind: Option<(String, String)>,
}

/// An included template, as expressions see it.
#[derive(Clone, Debug)]
pub(crate) struct NamedInclude {
    /// Its id in the plan. Example: `guardrails`.
    pub(crate) id: String,
    /// Whether it is a map by key.
    pub(crate) repeated: bool,
    /// What is in it.
    pub(crate) names: Arc<Names>,
}

/// The ids of all resources in `names`, those of includes too.
pub(crate) fn resources_in(names: &Names) -> Vec<&str> {
    let mut found = Vec::new();
    for named in names.values() {
        match named {
            Named::Resource(resource) => found.push(resource.id.as_str()),
            Named::Include(include) => found.extend(resources_in(&include.names)),
        }
    }
    found
}

/// The objects of a plan, by what expressions call them.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By id, then by the keys of each `each` that it is under, the outermost first.
    pub(crate) places: BTreeMap<String, BTreeMap<Vec<String>, usize>>,
    /// By place.
    pub(crate) identities: Vec<Identity>,
}

impl Known {
    /// Adds an object, and gives it the next place.
    pub(crate) fn add(&mut self, id: &str, keys: &[String], identity: Identity) {
        let place = self.identities.len();
        self.identities.push(identity);
        self.places
            .entry(id.to_owned())
            .or_default()
            .insert(keys.to_vec(), place);
    }

    /// The object of this id and these keys.
    pub(crate) fn place(&self, id: &str, keys: &[String]) -> Option<usize> {
        self.places.get(id)?.get(keys).copied()
    }

    /// The objects of this id whose keys begin with `keys`: what comes behind them, and the place.
    pub(crate) fn under<'k>(
        &'k self,
        id: &str,
        keys: &'k [String],
    ) -> impl Iterator<Item = (&'k [String], usize)> + 'k {
        let all = self.places.get(id).into_iter().flatten();
        all.filter_map(move |(own, place)| Some((own.strip_prefix(keys)?, *place)))
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
    /// What the ids of the template stand for.
    pub(crate) names: &'a Names,
    /// The keys of the includes with `each` that the template is in, the outermost first.
    pub(crate) keys: &'a [String],
    /// What stands before the ids of its references: nothing, or the include that it is and a dot.
    pub(crate) within: &'a str,
    /// The live objects, by place; none while planning.
    pub(crate) live: Option<&'a BTreeMap<usize, Arc<Value>>>,
}

impl<'a> Scope<'a> {
    /// The live object at `place`, if it is there.
    pub(crate) fn live_object(&self, place: usize) -> Option<&'a Value> {
        self.live?.get(&place).map(AsRef::as_ref)
    }
}
