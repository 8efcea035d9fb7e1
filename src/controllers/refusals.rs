//! What the apiserver has refused and would refuse again: asked anew when something has changed, or after a while,
//! never merely because another object of the instance has moved.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::instance::inventory::Identity;
use super::trouble::{Class, Trouble};
use super::wakes::Key;

/// What the apiserver was asked, for which object of which instance.
#[derive(Clone, Debug)]
pub struct Question {
    /// The instance.
    pub instance: Key,
    /// The object.
    pub object: Identity,
    /// All that the answer depends on, as far as it can be seen, hashed.
    pub asked: String,
}

struct Refusal {
    asked: String,
    at: Instant,
    trouble: Trouble,
}

/// The refusals that stand.
pub struct Refusals {
    stand: Duration,
    known: Mutex<HashMap<Key, HashMap<Identity, Refusal>>>,
}

impl Refusals {
    /// None yet. Each stands a little less than `shortest`, after which what is blocked is looked at again.
    pub fn standing_for(shortest: Duration) -> Self {
        Self {
            stand: shortest.mul_f64(0.8),
            known: Mutex::default(),
        }
    }

    /// The refusal that stands for exactly this question.
    pub fn standing(&self, question: &Question) -> Option<Trouble> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let refusal = known.get(&question.instance)?.get(&question.object)?;
        (refusal.asked == question.asked && refusal.at.elapsed() < self.stand).then(|| refusal.trouble.clone())
    }

    /// Remembers how a question was answered. Only what a person or another program has to mend is remembered.
    pub fn answered(&self, question: Question, trouble: Option<&Trouble>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble.filter(|trouble| trouble.class == Class::Blocked) {
            Some(trouble) => {
                let refusal = Refusal {
                    asked: question.asked,
                    at: Instant::now(),
                    trouble: trouble.clone(),
                };
                known
                    .entry(question.instance)
                    .or_default()
                    .insert(question.object, refusal);
            }
            None => {
                if let Some(objects) = known.get_mut(&question.instance) {
                    objects.remove(&question.object);
                }
            }
        }
    }

    /// Forgets an instance that is gone.
    pub fn forget(&self, instance: &Key) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(instance);
    }
}
