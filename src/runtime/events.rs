//! Kubernetes Events, published off the reconcile path: one a transition, never one a pass.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType};
use tokio::sync::mpsc;

use super::recorder::Recorder;

/// The longest note that the apiserver takes, in bytes.
const NOTE_LIMIT: usize = 1024;
/// How many events wait at most; what comes on top is dropped, since an event is never the only word on a thing.
const QUEUE: usize = 1024;

/// What is said once when events cannot be published for want of a right.
const LACKING: &str = "the operator may not publish events; grant its role: apiGroups [events.k8s.io], resources [events], verbs [create, patch]";

/// Whether a refusal is for want of a right, and not because a namespace is going.
fn is_right(message: &str) -> bool {
    message.contains(" cannot ") && message.contains("resource \"")
}

/// Where events are handed in.
#[derive(Clone)]
pub struct Events {
    sender: mpsc::Sender<(Event, ObjectReference)>,
}

impl Events {
    /// Starts the task that publishes.
    pub fn start(client: Client) -> Self {
        let (sender, mut receiver) = mpsc::channel::<(Event, ObjectReference)>(QUEUE);
        tokio::spawn(async move {
            let recorder = Recorder::new(client);
            let mut forbidden = false;
            while let Some((event, about)) = receiver.recv().await {
                match recorder.publish(&event, &about).await {
                    Ok(()) => forbidden = false,
                    Err(kube::Error::Api(status)) if status.code == 403 && is_right(&status.message) => {
                        if !std::mem::replace(&mut forbidden, true) {
                            tracing::warn!(cause = %status.message, "{LACKING}");
                        }
                    }
                    Err(error) => tracing::debug!(%error, "an event could not be published"),
                }
            }
        });
        Self { sender }
    }

    /// Hands in one event about an object.
    pub fn publish(&self, about: ObjectReference, good: bool, reason: &str, note: &str) {
        let event = Event {
            type_: if good { EventType::Normal } else { EventType::Warning },
            reason: reason.to_owned(),
            note: Some(crate::api::conditions::bounded(note, NOTE_LIMIT)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if self.sender.try_send((event, about)).is_err() {
            tracing::debug!(reason, "an event was dropped: too many are waiting");
        }
    }
}
