//! `metadata.landfall` of a descriptor: what only a resource has.
//!
//! ```yaml
//! metadata:
//!   landfall:
//!     name: web           # the object's name, where the entity's name would give another
//!     spec: {template: …} # fields of the spec that Backstage does not know
//!     labels: {…}         # of the object of an Entity, whose descriptor's own are in its spec
//!     annotations: {…}
//!     metadata: …         # a descriptor's own metadata.landfall that could be taken for this one
//! ```

use serde_json::{Map, Value};

use super::schema::{self, Home, Kind};
use super::split::{Problem, split};
use super::{OURS, Remark, found, insert_map, labels, names, shown};
use crate::catalog::index::distance;

const FIELDS: [&str; 5] = ["name", "spec", "labels", "annotations", "metadata"];

/// What only a resource has.
#[derive(Debug, Default, PartialEq)]
pub struct Ours {
    /// The object's name.
    pub name: Option<String>,
    /// Fields of its spec.
    pub spec: Map<String, Value>,
    /// The labels of the object of an `Entity`.
    pub labels: Map<String, Value>,
    /// The annotations of the object of an `Entity`.
    pub annotations: Map<String, Value>,
    /// The descriptor's own value under this key.
    pub theirs: Option<Value>,
}

/// Whether what stands under the key is meant to be what [`Ours::write`] writes, right or wrong, and not something of the
/// descriptor's own: one of its keys is a name of ours, or nearly.
pub fn is_ours(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| {
        FIELDS.iter().any(|name| fields.contains_key(*name)) || fields.keys().any(|key| meant(key).is_some())
    })
}

/// The name of ours that a key is, or was likely meant to be.
fn meant(key: &str) -> Option<&'static str> {
    let near = |name: &&str| {
        let allowed = if name.len() < 8 { 1 } else { 2 };
        // There may be very many keys, and hardly one of them is as long as a name.
        key.len().abs_diff(name.len()) <= allowed
            && (distance(&key.to_lowercase(), &name.to_lowercase(), allowed).is_some() || sorted(key) == sorted(name))
    };
    let names = || FIELDS.into_iter().chain(schema::ours());
    names().find(|name| *name == key).or_else(|| names().find(near))
}

/// The letters of a text in the order of the alphabet: those of two that differ by letters that changed places are one.
fn sorted(text: &str) -> Vec<u8> {
    let mut letters = text.to_ascii_lowercase().into_bytes();
    letters.sort_unstable();
    letters
}

/// Says which keys are none of ours, and which values are not what theirs take.
fn check(value: &Value, problems: &mut Vec<Problem>) {
    for (key, field) in value.as_object().into_iter().flatten() {
        let path = vec!["metadata".to_owned(), OURS.to_owned(), key.clone()];
        let at = shown(&path);
        let is_map = || field.as_object().is_some_and(|map| !map.is_empty());
        let message = match (key.as_str(), meant(key)) {
            ("metadata", _) => continue,
            ("name", _) if field.is_string() => continue,
            ("name", _) => format!("{at} is {}, expected a text", found(field)),
            (name, _) if FIELDS.contains(&name) && is_map() => continue,
            (name, _) if FIELDS.contains(&name) => {
                let found = if field.is_object() {
                    "empty".to_owned()
                } else {
                    found(field)
                };
                format!("{at} is {found}, expected a map with something in it")
            }
            (_, meant) => {
                let meant = meant.map(|name| {
                    if FIELDS.contains(&name) {
                        name.to_owned()
                    } else {
                        format!("spec.{name}")
                    }
                });
                let hint = meant.map(|name| format!("; did you mean metadata.{OURS}.{name}?"));
                format!(
                    "{at} is not known{}; expected one of {}; what is the descriptor's own goes under metadata.{OURS}.metadata",
                    hint.unwrap_or_default(),
                    FIELDS.join(", ")
                )
            }
        };
        problems.push(Problem::Wrong(Remark { path, message }));
    }
}

impl Ours {
    /// Reads it. What is wrong with it is said in `problems`.
    pub fn read(value: &Value, kind: Option<&Kind>, problems: &mut Vec<Problem>) -> Self {
        check(value, problems);
        let path = |step: &str| vec!["metadata".to_owned(), OURS.to_owned(), step.to_owned()];
        let wrong = |path: Vec<String>, message: String| Problem::Wrong(Remark { path, message });
        let name = value.get("name").and_then(Value::as_str).map(str::to_owned);
        if let Some(name) = name.as_deref().filter(|name| !names::is_object_name(name)) {
            let message = format!(
                "metadata.{OURS}.name is {}, which is not the name of an object; write lower-case letters, digits, - or .",
                found(&Value::from(name))
            );
            problems.push(wrong(path("name"), message));
        }
        let map = |field: &str| value.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
        for (field, value) in &map("spec") {
            let mut path = path("spec");
            path.push(field.clone());
            let schema = match kind {
                Some(kind) => kind.field(Home::Ours, field),
                None => schema::field_of_others(field),
            };
            let Some(schema) = schema else {
                let message = format!("{} is not a field of this kind that Landfall alone has", shown(&path));
                problems.push(wrong(path, message));
                continue;
            };
            let mut found = Vec::new();
            split(schema, value, &path, &mut found);
            // Nothing of ours can be kept aside: it would have no effect, and nobody would know.
            problems.extend(found.into_iter().map(|problem| match problem {
                Problem::Wrong(remark) | Problem::Beyond(remark) => Problem::Wrong(remark),
                Problem::Elsewhere => wrong(
                    path.clone(),
                    format!("{} stands for a text that is elsewhere", shown(&path)),
                ),
            }));
        }
        let (own_labels, own_annotations) = (map("labels"), map("annotations"));
        for (field, entries, valid) in [
            (
                "labels",
                &own_labels,
                labels::labels as fn(&Value, &mut Vec<Problem>) -> _,
            ),
            ("annotations", &own_annotations, labels::annotations),
        ] {
            let mut found = Vec::new();
            let whole = Value::Object(entries.clone());
            if !entries.is_empty() && (kind.is_some() || valid(&whole, &mut found).rest.is_some()) {
                let message = format!(
                    "metadata.{OURS}.{field} holds what an object cannot have, or stands where metadata.{field} is meant"
                );
                problems.push(wrong(path(field), message));
            }
        }
        Self {
            name,
            spec: map("spec"),
            labels: own_labels,
            annotations: own_annotations,
            theirs: value.get("metadata").cloned(),
        }
    }

    /// Puts it, and what the descriptor itself has there, under its key in `metadata`.
    pub fn write(mut self, metadata: &mut Map<String, Value>) {
        let theirs = metadata.remove(OURS);
        let nothing = self == Self::default();
        if nothing && !theirs.as_ref().is_some_and(is_ours) {
            metadata.extend(theirs.map(|theirs| (OURS.to_owned(), theirs)));
            return;
        }
        self.theirs = theirs;
        let mut fields = Map::new();
        fields.extend(self.name.map(|name| ("name".to_owned(), Value::String(name))));
        insert_map(&mut fields, "spec", self.spec);
        insert_map(&mut fields, "labels", self.labels);
        insert_map(&mut fields, "annotations", self.annotations);
        fields.extend(self.theirs.map(|theirs| ("metadata".to_owned(), theirs)));
        metadata.insert(OURS.to_owned(), Value::Object(fields));
    }
}
