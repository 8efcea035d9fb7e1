//! Whose turn it is to be moved to a new version. A Template's pass gives the turns, an instance's pass takes its own, and what came
//! of it is read from the instance's status: what is kept here is only what has been given and is not there to be read yet. After a
//! restart nothing is, and nothing was: an instance is not touched before its status says that it is being moved.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::wakes::Key;

/// A turn that was given.
#[derive(Debug)]
struct Given {
    /// The digest of the content to which the instance may move.
    to: String,
    /// The environment that may move; with none, all that is left.
    environment: Option<String>,
    /// The digest that it was at.
    from: String,
    /// Whether it was Ready, so that room was kept for it among the unavailable ones.
    ready: bool,
    /// Whether a pass is using it, so that it cannot be taken back.
    in_use: bool,
}

type ByInstance = HashMap<Key, Given>;

/// Where an instance is that may be moved.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The environment that is to be moved next; with none, all that is left.
    pub environment: Option<&'a str>,
    /// The digest of the content that this is at.
    pub digest: &'a str,
    /// Whether it is Ready.
    pub ready: bool,
}

/// The turn that an instance asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The digest of the content to which it would move.
    pub to: &'a str,
    /// The environment that would move; with none, all that is left.
    pub environment: Option<&'a str>,
    /// Whether it is Ready.
    pub ready: bool,
}

/// The turns of all templates.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<HashMap<Key, ByInstance>>>);

/// A turn that a pass is using, until it is dropped.
#[derive(Debug)]
pub struct Turn(Option<(Turns, Key, Key)>);

impl Turn {
    /// Of whoever need not wait for one.
    pub fn free() -> Self {
        Self(None)
    }

    /// Whether it is theirs: they move at once, in all their environments.
    pub fn is_free(&self) -> bool {
        self.0.is_none()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((turns, template, instance)) = self.0.take()
            && let Some(given) = turns
                .lock()
                .get_mut(&template)
                .and_then(|given| given.get_mut(&instance))
        {
            given.in_use = false;
        }
    }
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, ByInstance>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn of `instance` of `template`, if it has been given the one that it asks for. One that was given to an instance that was not
    /// Ready is not for one that is.
    pub fn take(&self, template: &Key, instance: &Key, asked: &Asked<'_>) -> Option<Turn> {
        let mut turns = self.lock();
        let given = turns.get_mut(template)?.get_mut(instance)?;
        let same = given.to == asked.to && given.environment.as_deref() == asked.environment;
        if !same || (asked.ready && !given.ready) {
            return None;
        }
        given.in_use = true;
        Some(Turn(Some((self.clone(), template.clone(), instance.clone()))))
    }

    /// Goes through the turns of a template. `at` says for each of its instances where it is, if it may still be moved: turns that were used, or are nobody's, are forgotten, and those to other content than `digest` taken back. Then `decide`
    /// is told who has one, and says who is given one beside them, or, with none, that all are taken back. Gives those.
    pub fn renew(
        &self,
        template: &Key,
        digest: &str,
        at: &HashMap<Key, At<'_>>,
        decide: impl FnOnce(&dyn Fn(&Key) -> bool) -> Option<Vec<Key>>,
    ) -> Vec<Key> {
        let mut turns = self.lock();
        let mut given = turns.remove(template).unwrap_or_default();
        given.retain(|instance, turn| {
            let there = |now: &At<'_>| now.digest == turn.from && now.environment == turn.environment.as_deref();
            let fits = |now: &At<'_>| there(now) && (turn.ready || !now.ready);
            turn.in_use || (turn.to == digest && at.get(instance).is_some_and(fits))
        });
        let decided = decide(&|instance| given.contains_key(instance));
        if decided.is_none() {
            given.retain(|_, turn| turn.in_use);
        }
        let granted = decided.unwrap_or_default();
        for instance in &granted {
            let Some(at) = at.get(instance) else { continue };
            let turn = Given {
                to: digest.to_owned(),
                environment: at.environment.map(str::to_owned),
                from: at.digest.to_owned(),
                ready: at.ready,
                in_use: false,
            };
            given.insert(instance.clone(), turn);
        }
        if !given.is_empty() {
            turns.insert(template.clone(), given);
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::wakes::OwnKind;

    fn key(kind: OwnKind, name: &str) -> Key {
        Key {
            kind,
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        }
    }

    fn ready_at(digest: &str) -> At<'_> {
        At {
            environment: None,
            digest,
            ready: true,
        }
    }

    fn asked(to: &str, ready: bool) -> Asked<'_> {
        Asked {
            to,
            environment: None,
            ready,
        }
    }

    #[test]
    fn a_turn_for_which_no_room_was_needed_is_not_for_one_that_is_ready_by_now() {
        let (turns, template) = (Turns::default(), key(OwnKind::Template, "app"));
        let orders = key(OwnKind::Component, "orders");
        let unready = At {
            ready: false,
            ..ready_at("one")
        };
        turns.renew(&template, "two", &HashMap::from([(orders.clone(), unready)]), |_| {
            Some(vec![orders.clone()])
        });
        assert!(turns.take(&template, &orders, &asked("two", true)).is_none());
        assert!(turns.take(&template, &orders, &asked("two", false)).is_some());
        turns.renew(
            &template,
            "two",
            &HashMap::from([(orders.clone(), ready_at("one"))]),
            |has| {
                assert!(!has(&orders), "it is to be given another one, if there is room");
                Some(Vec::new())
            },
        );
    }

    #[test]
    fn a_turn_is_taken_by_whom_it_was_given_to_and_for_that_content_only() {
        let (turns, template) = (Turns::default(), key(OwnKind::Template, "app"));
        let (orders, other) = (key(OwnKind::Component, "orders"), key(OwnKind::Component, "other"));
        let at = HashMap::from([(orders.clone(), ready_at("one")), (other.clone(), ready_at("one"))]);
        assert!(turns.take(&template, &orders, &asked("two", true)).is_none());
        turns.renew(&template, "two", &at, |_| Some(vec![orders.clone()]));
        assert!(turns.take(&template, &other, &asked("two", true)).is_none());
        assert!(turns.take(&template, &orders, &asked("three", true)).is_none());
        assert!(turns.take(&template, &orders, &asked("two", true)).is_some());
        // It is still the instance's until its status says that it was used.
        turns.renew(&template, "two", &at, |has| {
            assert!(has(&orders) && !has(&other));
            Some(Vec::new())
        });
        let moved = HashMap::from([(orders.clone(), ready_at("two")), (other, ready_at("one"))]);
        turns.renew(&template, "two", &moved, |has| {
            assert!(!has(&orders));
            Some(Vec::new())
        });
        assert!(turns.take(&template, &orders, &asked("two", true)).is_none());
    }

    #[test]
    fn a_turn_is_taken_back_unless_a_pass_is_using_it() {
        let (turns, template) = (Turns::default(), key(OwnKind::Template, "app"));
        let (orders, other) = (key(OwnKind::Component, "orders"), key(OwnKind::Component, "other"));
        let at = HashMap::from([(orders.clone(), ready_at("one")), (other.clone(), ready_at("one"))]);
        turns.renew(&template, "two", &at, |_| Some(vec![orders.clone(), other.clone()]));
        let using = turns.take(&template, &orders, &asked("two", true));
        turns.renew(&template, "two", &at, |_| None);
        assert!(
            turns.take(&template, &other, &asked("two", true)).is_none(),
            "taken back"
        );
        turns.renew(&template, "three", &at, |has| {
            assert!(has(&orders), "a pass is using it");
            Some(Vec::new())
        });
        drop(using);
        turns.renew(&template, "three", &at, |has| {
            assert!(!has(&orders), "it was for other content");
            Some(Vec::new())
        });
    }

    #[test]
    fn a_turn_in_one_environment_is_for_no_other() {
        let (turns, template) = (Turns::default(), key(OwnKind::Template, "app"));
        let orders = key(OwnKind::Component, "orders");
        let of = |environment: Option<&'static str>| Asked {
            environment,
            ..asked("two", true)
        };
        let dev = At {
            environment: Some("dev"),
            ..ready_at("one")
        };
        turns.renew(&template, "two", &HashMap::from([(orders.clone(), dev)]), |_| {
            Some(vec![orders.clone()])
        });
        assert!(turns.take(&template, &orders, &of(None)).is_none());
        assert!(turns.take(&template, &orders, &of(Some("prod"))).is_none());
        assert!(turns.take(&template, &orders, &of(Some("dev"))).is_some());
        let prod = At {
            environment: Some("prod"),
            ..ready_at("one")
        };
        turns.renew(&template, "two", &HashMap::from([(orders.clone(), prod)]), |has| {
            assert!(!has(&orders), "it was used");
            Some(Vec::new())
        });
    }
}
