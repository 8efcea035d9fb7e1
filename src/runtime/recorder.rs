//! Events as the apiserver keeps them. The same said of the same object again counts up on the Event that is there;
//! anything else said of it is an Event of its own.
//!
//! `kube`'s recorder takes no notice of the note: of two Events with one reason it keeps the first one's words.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as Published;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType};
use kube::{Client, Error};
use serde_json::json;

/// Who says it.
const REPORTER: &str = "landfall";
/// How long after an Event the same counts as its repetition, as in client-go's `tools/events`.
const SERIES: SignedDuration = SignedDuration::from_mins(6);
/// The longest part of an Event's name that is the object's, so that the whole is a legal name.
const NAME: usize = 200;

/// What makes two Events the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Said {
    uid: String,
    reason: String,
    note: String,
}

impl Said {
    fn of(event: &Event, about: &ObjectReference) -> Self {
        Self {
            uid: about.uid.clone().unwrap_or_default(),
            reason: event.reason.clone(),
            note: event.note.clone().unwrap_or_default(),
        }
    }
}

/// An Event that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    name: String,
    count: i32,
    at: Timestamp,
}

/// What was published in the last minutes.
#[derive(Debug, Default)]
struct Memory {
    known: HashMap<Said, Known>,
}

impl Memory {
    /// The Event that `said` repeats at `now`, counted up; none where it is said for the first time in a while.
    fn repeated(&mut self, said: &Said, now: Timestamp) -> Option<Known> {
        self.known.retain(|_, known| now.duration_since(known.at) < SERIES);
        let known = self.known.get_mut(said)?;
        known.count = known.count.saturating_add(1);
        known.at = now;
        Some(known.clone())
    }

    fn learn(&mut self, said: Said, name: String, at: Timestamp) {
        self.known.insert(said, Known { name, count: 1, at });
    }
}

/// Publishes events.
pub struct Recorder {
    client: Client,
    memory: Mutex<Memory>,
}

impl Recorder {
    /// One that has published nothing yet.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            memory: Mutex::default(),
        }
    }

    /// Publishes `event` about an object, or counts it up where it was published before.
    ///
    /// # Errors
    /// What the apiserver says.
    pub async fn publish(&self, event: &Event, about: &ObjectReference) -> Result<(), Error> {
        let now = Timestamp::now();
        let said = Said::of(event, about);
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let events: Api<Published> = Api::namespaced(self.client.clone(), namespace);
        let repeated = self.lock().repeated(&said, now);
        if let Some(known) = repeated {
            let series = json!({"series": {"count": known.count, "lastObservedTime": MicroTime(now)}});
            let counted = events
                .patch(&known.name, &PatchParams::default(), &Patch::Merge(&series))
                .await;
            match counted {
                // The apiserver keeps events for an hour, or as it is told.
                Err(Error::Api(status)) if status.code == 404 => {}
                other => return other.map(|_| ()),
            }
        }
        let fresh = built(event, about, now);
        let name = fresh.metadata.name.clone().unwrap_or_default();
        events.create(&PostParams::default(), &fresh).await?;
        self.lock().learn(said, name, now);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn built(event: &Event, about: &ObjectReference, now: Timestamp) -> Published {
    let object: String = about.name.as_deref().unwrap_or(REPORTER).chars().take(NAME).collect();
    let kind = match event.type_ {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    };
    Published {
        metadata: ObjectMeta {
            namespace: about.namespace.clone(),
            name: Some(format!("{object}.{:x}", now.as_nanosecond())),
            ..ObjectMeta::default()
        },
        type_: Some(kind.to_owned()),
        reason: Some(event.reason.clone()),
        note: event.note.clone(),
        action: Some(event.action.clone()),
        regarding: Some(about.clone()),
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(REPORTER.to_owned()),
        ..Published::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(note: &str) -> Said {
        Said {
            uid: "1".into(),
            reason: "NameConflict".into(),
            note: note.into(),
        }
    }

    #[test]
    fn the_same_counts_up_and_other_words_are_an_event_of_their_own() {
        let mut memory = Memory::default();
        let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        assert_eq!(memory.repeated(&said("a is there"), start), None);
        memory.learn(said("a is there"), "orders.1".into(), start);
        assert_eq!(
            memory.repeated(&said("b is there"), start),
            None,
            "it is about another object"
        );
        let later = start + SignedDuration::from_mins(5);
        let again = memory.repeated(&said("a is there"), later).unwrap();
        assert_eq!((again.name.as_str(), again.count), ("orders.1", 2));
        // The time since the last one counts, not since the first.
        let still = later + SignedDuration::from_mins(5);
        assert_eq!(memory.repeated(&said("a is there"), still).unwrap().count, 3);
        let over = still + SERIES;
        assert_eq!(memory.repeated(&said("a is there"), over), None);
        assert!(memory.known.is_empty(), "what is past is forgotten");
    }

    #[test]
    fn the_name_is_legal_however_long_the_objects_is() {
        let event = Event {
            type_: EventType::Normal,
            reason: "Ready".into(),
            note: None,
            action: "Reconcile".into(),
            secondary: None,
        };
        let about = ObjectReference {
            name: Some("a".repeat(253)),
            ..ObjectReference::default()
        };
        let name = built(&event, &about, Timestamp::now()).metadata.name.unwrap();
        assert!(name.len() <= 253, "{}", name.len());
    }
}
