//! What a pass would do with each object, decided without doing it. Pure: how things are, and what the apiserver answers to a
//! dry run, is given.

use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::Value;

use super::access::describe_planned;
use super::contest::left_so;
use super::decode::Instance;
use super::drift::respelled;
use super::inventory::{Identity, for_create, for_update, stamp};
use super::moving::{self, can_pass, is_of};
use super::ownership::{NEVER_WRITTEN, PATCHED, conflict, is_handed_over, is_marked_by_another, stands};
use crate::api::instance::{DriftPolicy, InventoryEntry, Mode};
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::controllers::children::{Child, is_managed};
use crate::controllers::trouble::{Class, Trouble};
use crate::template::comparison::{FieldChange, applied, changes, written};
use crate::template::content::hash;
use crate::template::fault::Fault;
use crate::template::plan::PlannedObject;

/// What would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It would be made.
    Create,
    /// It would be changed.
    Change,
    /// It would be deleted and made anew, since a field of it cannot be changed.
    Replace,
    /// It is another's or nobody's, was handed over, and would be taken.
    Adopt,
    /// It would be deleted.
    Remove,
    /// It falls out of the plan and would stay, without our marks.
    Keep,
    /// Something is waited for first.
    Wait,
    /// It would be refused.
    Deny,
    /// It is as planned.
    Nothing,
}

impl Action {
    /// Whether something would be different afterwards.
    pub fn is_change(self) -> bool {
        !matches!(self, Self::Nothing | Self::Deny)
    }
}

/// What would be done with one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// What.
    pub action: Action,
    /// Which fields would change, of what is there.
    pub changes: Vec<FieldChange>,
    /// The object, of what would be made.
    pub object: Option<Value>,
    /// Why it waits, is denied or kept.
    pub reason: Option<Reason>,
    /// The same in words.
    pub message: Option<String>,
    /// What could not be looked at, and why.
    pub unchecked: Option<String>,
    /// The UID of what would be taken over once it is handed over, which it is not yet.
    pub to_hand_over: Option<String>,
}

impl Preview {
    /// This and nothing more to say.
    pub fn of(action: Action) -> Self {
        Self {
            action,
            changes: Vec::new(),
            object: None,
            reason: None,
            message: None,
            unchecked: None,
            to_hand_over: None,
        }
    }

    pub(super) fn saying(self, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason: Some(reason),
            message: Some(message.into()),
            ..self
        }
    }

    /// What is in the way of it.
    pub fn of_trouble(trouble: &Trouble) -> Self {
        let action = if trouble.class <= Class::Waiting {
            Action::Wait
        } else {
            Action::Deny
        };
        Self::of(action).saying(trouble.reason, &trouble.message)
    }

    /// What is wrong with the template for it.
    pub fn of_fault(fault: &Fault) -> Self {
        Self::of(Action::Deny).saying(fault.reason, fault.to_string())
    }

    /// A value in it is not there yet.
    pub fn waiting_for(field: &str, value: &str) -> Self {
        Self::of(Action::Wait).saying(Reason::WaitingForValue, format!("{field}: waiting for {value}"))
    }
}

/// What is known of how an object is.
#[derive(Clone, Debug)]
pub enum Seen {
    /// It does not exist.
    Absent,
    /// It exists.
    There(Box<DynamicObject>),
    /// It was not read, and why.
    Unread(String),
}

/// What the apiserver says to a dry run.
#[derive(Debug)]
pub enum Answer {
    /// It was not asked, and why.
    NotAsked(String),
    /// It takes the object, and this is how it would be.
    Taken(Value),
    /// It refuses.
    Refused(Trouble),
}

/// What is found out without asking the apiserver for a dry run.
#[derive(Debug)]
pub enum Look {
    /// All.
    Settled(Preview),
    /// What it is, unless the apiserver says otherwise.
    Open(Box<Question>),
}

/// What the apiserver is to be asked.
#[derive(Debug)]
pub struct Question {
    /// What would be sent.
    pub body: Value,
    /// What is so if it is not asked.
    pub otherwise: Preview,
    /// How the object is, without our marks.
    before: Option<Value>,
    replaceable: bool,
}

/// One object of a plan that is looked at.
pub struct Looked<'a> {
    /// Whose it is.
    pub instance: &'a Instance,
    /// As the plan has it.
    pub object: &'a PlannedObject,
    /// As the inventory would have it.
    pub entry: &'a InventoryEntry,
    /// Whether the inventory has it already.
    pub listed: bool,
    /// How it is.
    pub seen: &'a Seen,
    /// Whether nothing may be written.
    pub suspended: bool,
    /// Whether an object that is in the way is looked at as if it were handed over.
    pub as_if_handed_over: &'a dyn Fn(&DynamicObject) -> bool,
    /// The instance that hands over what it has.
    pub from: Option<&'a Instance>,
}

impl Looked<'_> {
    /// Whether it was made once and is done.
    pub fn is_done(&self) -> bool {
        self.object.mode == Mode::Once && !self.entry.uid.is_empty()
    }

    /// What would become of it, with `intent` as what is to be applied, marks and all.
    pub fn look(&self, intent: &Value) -> Look {
        if self.is_done() {
            return Look::Settled(Preview::of(Action::Nothing));
        }
        match self.seen {
            Seen::Absent => self.missing(intent),
            Seen::There(found) => self.found(found, intent),
            Seen::Unread(why) => self.unread(why, intent),
        }
    }

    fn missing(&self, intent: &Value) -> Look {
        if self.object.mode == Mode::Patch {
            let message = format!("{} is made by others, and waited for", describe_planned(self.object));
            return Look::Settled(Preview::of(Action::Wait).saying(Reason::WaitingForObject, message));
        }
        let gone = self.listed && !self.entry.uid.is_empty();
        let preview = Preview {
            object: Some(shown(intent)),
            message: gone.then(|| "it is gone, and would be made anew".to_owned()),
            ..Preview::of(Action::Create)
        };
        self.open(preview, None, for_create(stamped(intent)))
    }

    fn found(&self, found: &DynamicObject, intent: &Value) -> Look {
        let uid = found.metadata.uid.clone().unwrap_or_default();
        if found.metadata.deletion_timestamp.is_some() {
            let message = format!(
                "{} is being deleted, and waited for to be gone",
                describe_planned(self.object)
            );
            return Look::Settled(Preview::of(Action::Wait).saying(Reason::WaitingForDeletion, message));
        }
        let passing = self.passes(found);
        let meant = passing.is_some() || is_handed_over(self.instance, found);
        let handed_over = meant || (self.as_if_handed_over)(found);
        let listed = !uid.is_empty() && self.entry.uid == uid;
        let ours = (listed && is_managed(found)) || self.bears_our_marks(found);
        let patch = self.object.mode == Mode::Patch;
        let taken = patch && is_marked_by_another(self.instance, found);
        let patched = !patch && self.entry.mode == Mode::Patch;
        if patched && !handed_over {
            return Look::Settled(Preview::of_trouble(&conflict(self.instance, self.object, PATCHED)));
        }
        if !handed_over && !ours && (taken || !patch) {
            let how = if listed {
                NEVER_WRITTEN.into()
            } else {
                stands(self.instance, found)
            };
            return Look::Settled(Preview::of_trouble(&conflict(self.instance, self.object, &how)));
        }
        let live = serde_json::to_value(found).unwrap_or_default();
        let stamped = stamped(intent);
        let owned = owned_fields(found);
        let before = shown(&live);
        let same = self.entry.intent_hash == hash(intent);
        let mut predicted = changes(&before, &shown(&applied(&live, &stamped, owned.as_ref())));
        predicted.retain(|change| {
            let after = change.after.as_ref();
            after.is_none_or(|after| !respelled(change.before.as_ref(), after, same))
        });
        if same && self.object.drift_policy == DriftPolicy::Report {
            let told = left_so(
                self.object,
                &live,
                found.metadata.managed_fields.as_deref().unwrap_or_default(),
                intent,
            );
            return Look::Settled(Preview {
                reason: told.as_ref().map(|drift| drift.reason),
                message: told.map(|drift| drift.message),
                ..Preview::of(Action::Nothing)
            });
        }
        if same && predicted.is_empty() {
            return Look::Settled(Preview::of(Action::Nothing));
        }
        let action = match (
            handed_over && (taken || patched || !(patch || listed)),
            predicted.is_empty(),
        ) {
            (true, _) => Action::Adopt,
            (false, true) => Action::Nothing,
            (false, false) => Action::Change,
        };
        let preview = Preview {
            to_hand_over: (action == Action::Adopt && !meant).then(|| uid.clone()),
            changes: predicted,
            message: passing
                .map(|old| format!("it passes from {}, with its UID", old.reference()))
                .or_else(|| same.then(|| "changed by others since it was applied, and would be put right".to_owned())),
            ..Preview::of(action)
        };
        self.open(preview, Some(before), for_update(stamped, &uid))
    }

    /// The instance from which it passes to this one, if it does.
    fn passes(&self, found: &DynamicObject) -> Option<&Instance> {
        let old = self.from?;
        let entries = moving::listed(old);
        let entry = entries.get(&Identity::planned(self.object))?;
        let passes = can_pass(entry, self.object) && is_of(old, entry, &Child::of(found.clone()));
        passes.then_some(old)
    }

    fn unread(&self, why: &str, intent: &Value) -> Look {
        let known = self.listed && !self.entry.uid.is_empty();
        if !known && self.object.mode == Mode::Patch {
            let message = format!("{} is made by others", describe_planned(self.object));
            return Look::Settled(Preview {
                unchecked: Some(format!("whether it exists: {why}")),
                ..Preview::of(Action::Wait).saying(Reason::WaitingForObject, message)
            });
        }
        let action = match (known, self.entry.intent_hash == hash(intent)) {
            (false, _) => Action::Create,
            (true, true) => Action::Nothing,
            (true, false) => Action::Change,
        };
        let unchecked = match action {
            Action::Create => format!("whether it exists: {why}"),
            Action::Nothing => format!("whether others have changed it: {why}"),
            _ => format!("which fields would change: {why}"),
        };
        Look::Settled(Preview {
            object: (action == Action::Create).then(|| shown(intent)),
            unchecked: Some(unchecked),
            ..Preview::of(action)
        })
    }

    fn open(&self, preview: Preview, before: Option<Value>, body: Value) -> Look {
        if self.suspended && preview.action != Action::Nothing {
            return Look::Settled(
                Preview {
                    action: Action::Wait,
                    ..preview
                }
                .saying(Reason::Suspended, "the instance is suspended, and nothing is written"),
            );
        }
        let kept = matches!(self.object.kind.kind.as_str(), "Namespace" | "PersistentVolumeClaim");
        Look::Open(Box::new(Question {
            body,
            otherwise: preview,
            before,
            replaceable: self.object.replace && !kept,
        }))
    }

    /// Whether it was made for this very entry, and the status that says so was lost.
    fn bears_our_marks(&self, found: &DynamicObject) -> bool {
        let child = Child::of(found.clone());
        self.listed
            && self.entry.uid.is_empty()
            && child.managed
            && child.owner() == Some(&self.instance.uid)
            && child.mark(marks::CLAIM) == Some(&self.entry.claim)
    }
}

impl Question {
    /// What would become of the object, by what the apiserver says.
    pub fn answered(self, answer: Answer) -> Preview {
        let preview = self.otherwise;
        match answer {
            Answer::NotAsked(why) => Preview {
                unchecked: Some(format!("what the apiserver says to it: {why}")),
                ..preview
            },
            Answer::Refused(trouble) if trouble.reason == Reason::ImmutableField && self.replaceable => {
                let message = "a field of it cannot be changed, so that it would be deleted and made anew";
                Preview {
                    action: Action::Replace,
                    ..preview
                }
                .saying(Reason::ImmutableField, message)
            }
            Answer::Refused(trouble) => Preview {
                changes: preview.changes,
                ..Preview::of_trouble(&trouble)
            },
            Answer::Taken(after) => match &self.before {
                None => preview,
                Some(before) => {
                    let changes = changes(before, &shown(&after));
                    let action = match (preview.action, changes.is_empty()) {
                        (Action::Adopt, _) => Action::Adopt,
                        (_, true) => Action::Nothing,
                        (_, false) => Action::Change,
                    };
                    Preview {
                        action,
                        message: preview.message.filter(|_| action != Action::Nothing),
                        to_hand_over: preview.to_hand_over,
                        changes,
                        ..Preview::of(action)
                    }
                }
            },
        }
    }
}

fn stamped(intent: &Value) -> Value {
    stamp(intent.clone(), &hash(intent))
}

/// An object as people are shown it: without what the apiserver keeps, and without our marks.
pub fn shown(object: &Value) -> Value {
    let marks: Vec<&str> = marks::ON_OBJECTS
        .into_iter()
        .chain([marks::INSTANCE_UID, LAST_APPLIED])
        .collect();
    written(object, &marks)
}

/// The annotation in which `kubectl apply` keeps the whole object once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Our managed fields.
fn owned_fields(object: &DynamicObject) -> Option<Value> {
    let entries = object.metadata.managed_fields.iter().flatten();
    let ours = entries.filter(|entry| {
        entry.manager.as_deref() == Some(marks::OBJECT_MANAGER) && entry.operation.as_deref() == Some("Apply")
    });
    ours.filter_map(|entry| entry.fields_v1.as_ref())
        .map(|fields| fields.0.clone())
        .next()
}
