//! What a preview found, as JSON has it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::files::{Files, Finding};
use crate::controllers::instance::preview::{Action, Preview};
use crate::template::comparison::FieldChange;

/// The most fields that are told of one object.
const FIELDS: usize = 100;
/// The longest text that is told of one field, in characters.
const TEXT: usize = 2000;

/// All that was found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How many objects of templates come out how.
    pub summary: Summary,
    /// What is wrong with the files.
    pub faults: Vec<Finding>,
    /// The entities of the files, and the instances that a changed Template of them touches.
    pub entities: Vec<EntityReport>,
    /// What could not be looked at, of no entity in particular; in JSON, all of it.
    pub unchecked: Vec<String>,
}

/// How many come out how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Entities of the files that would be made or changed.
    pub entities: usize,
    /// Objects that would be made, or taken over.
    pub added: usize,
    /// Objects that would be changed, or made anew.
    pub changed: usize,
    /// Objects that would be deleted.
    pub removed: usize,
    /// Objects that fall out of their plans and would stay.
    pub kept: usize,
    /// Objects and entities that wait for something.
    pub waiting: usize,
    /// Objects and entities that would be refused.
    pub denied: usize,
    /// Objects that are as planned.
    pub unchanged: usize,
    /// Faults of the files.
    pub faults: usize,
}

/// One entity.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityReport {
    /// Its ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Where it stands, for one of the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The Template of the files by which it is touched, for one that is not of the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// What would become of it itself.
    pub action: Action,
    /// The fields of it that would change.
    #[serde(flatten)]
    pub changes: Changes,
    /// The template that it is provisioned from, or its version, for a Template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateReport>,
    /// Why nothing can be planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The objects of its template.
    pub objects: Vec<ObjectReport>,
    /// What could not be looked at, beside single objects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<String>,
}

/// Which template, and which version of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateReport {
    /// Its ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The version that would be in force.
    pub version: String,
    /// The version in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// As whom objects would be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// How many instances a Template has, where they could be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<usize>,
    /// The environments whose versions are not those of the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentReport>,
    /// The order in which the template's rollout would move the environments, one after the other, before all else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
}

/// The version of one environment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentReport {
    /// Its name.
    pub name: String,
    /// The version that would be in force.
    pub version: String,
    /// The version in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// The fields that would change.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// Each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// How many more there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub changes_left_out: usize,
}

/// One field.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Where.
    pub path: String,
    /// What is there; absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What would be there; absent where nothing would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// One object of a template.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// The template's resource, with the key behind it where it has `each`.
    pub resource: String,
    /// Its environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// `group/version`, or `v1`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// What would become of it.
    pub action: Action,
    /// The fields that would change.
    #[serde(flatten)]
    pub changes: Changes,
    /// It, where it would be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Value>,
    /// Why it waits, is denied or kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What could not be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<String>,
    /// The UID of what would be taken over once it is handed over, which it is not yet.
    #[serde(skip)]
    pub to_hand_over: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Changes {
    /// At most so many fields, each told with at most so much of its texts.
    pub fn of(found: Vec<FieldChange>) -> Self {
        let left_out = found.len().saturating_sub(FIELDS);
        let changes = found.into_iter().take(FIELDS).map(|change| Change {
            path: change.path,
            before: change.before.map(bounded),
            after: change.after.map(bounded),
        });
        Self {
            changes: changes.collect(),
            changes_left_out: left_out,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// A value whose texts are not longer than is told.
fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(TEXT) {
            Some((end, _)) => {
                let left_out = text.chars().count() - TEXT;
                let kept = text.get(..end).unwrap_or_default();
                Value::String(format!("{kept}… and {left_out} characters more"))
            }
            None => Value::String(text),
        },
        Value::Array(items) => items.into_iter().map(bounded).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, field)| (name, bounded(field))).collect(),
        other => other,
    }
}

impl EntityReport {
    /// An entity of which nothing more is known.
    pub fn of(reference: String, action: Action) -> Self {
        Self {
            reference,
            place: None,
            because: None,
            action,
            changes: Changes::default(),
            template: None,
            reason: None,
            message: None,
            objects: Vec::new(),
            unchecked: Vec::new(),
        }
    }

    /// Whether there is anything to tell of it.
    pub fn is_quiet(&self) -> bool {
        self.action == Action::Nothing
            && self.message.is_none()
            && self.objects.iter().all(|object| object.action == Action::Nothing)
    }
}

impl ObjectReport {
    /// Takes over what was found of it.
    #[must_use]
    pub fn with(self, preview: Preview) -> Self {
        Self {
            action: preview.action,
            changes: Changes::of(preview.changes),
            object: preview.object,
            reason: preview.reason.map(String::from),
            message: preview.message,
            unchecked: preview.unchecked,
            to_hand_over: preview.to_hand_over,
            ..self
        }
    }

    /// It for people.
    pub fn label(&self) -> String {
        crate::controllers::trouble::describe(&self.kind, self.namespace.as_deref(), &self.name)
    }
}

impl Report {
    /// One that knows only what is wrong with the files.
    pub fn of(files: &Files) -> Self {
        Self {
            faults: files.faults.clone(),
            ..Self::default()
        }
    }

    /// Counts what there is.
    pub fn count(&mut self) {
        let mut summary = Summary {
            faults: self.faults.len(),
            ..Summary::default()
        };
        for entity in &self.entities {
            match entity.action {
                Action::Wait => summary.waiting += 1,
                Action::Deny => summary.denied += 1,
                Action::Nothing => {}
                _ => summary.entities += 1,
            }
            for object in &entity.objects {
                *match object.action {
                    Action::Create | Action::Adopt => &mut summary.added,
                    Action::Change | Action::Replace => &mut summary.changed,
                    Action::Remove => &mut summary.removed,
                    Action::Keep => &mut summary.kept,
                    Action::Wait => &mut summary.waiting,
                    Action::Deny => &mut summary.denied,
                    Action::Nothing => &mut summary.unchanged,
                } += 1;
            }
        }
        self.summary = summary;
    }

    /// What was not looked at, each once, with how many objects it is so of.
    pub fn all_unchecked(&self) -> Vec<(String, usize)> {
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        let single = self.unchecked.iter().map(String::as_str);
        let of_entities = self.entities.iter().flat_map(|entity| &entity.unchecked);
        for text in single.chain(of_entities.map(String::as_str)) {
            found.entry(text).or_default();
        }
        let objects = self.entities.iter().flat_map(|entity| &entity.objects);
        for text in objects.filter_map(|object| object.unchecked.as_deref()) {
            *found.entry(text).or_default() += 1;
        }
        found
            .into_iter()
            .map(|(text, count)| (text.to_owned(), count))
            .collect()
    }
}

impl Summary {
    /// Whether anything would be different afterwards.
    pub fn has_changes(&self) -> bool {
        self.entities + self.added + self.changed + self.removed + self.kept + self.waiting > 0
    }

    /// How much of it is wrong.
    pub fn wrong(&self) -> usize {
        self.faults + self.denied
    }

    /// The counts as one line.
    pub fn line(&self) -> String {
        let mut line = format!(
            "{} to add, {} to change, {} to remove, {} kept, {} waiting, {} denied, {} unchanged",
            self.added, self.changed, self.removed, self.kept, self.waiting, self.denied, self.unchanged
        );
        if self.entities > 0 {
            line = format!(
                "{} {}; objects: {line}",
                self.entities,
                counted(self.entities, "entity changes", "entities change")
            );
        }
        if self.faults > 0 {
            line = format!("{line}; {} {}", self.faults, counted(self.faults, "fault", "faults"));
        }
        line
    }
}

/// The word for so many.
pub fn counted<'w>(count: usize, one: &'w str, several: &'w str) -> &'w str {
    if count == 1 { one } else { several }
}
