//! The stages in which a new version reaches an instance: first the environments that the rollout names, in its order, and last
//! all that belongs to none of them.

use crate::catalog::index::MovedAt;

/// A part of an instance that has a version: an environment, or all that belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The environment's name; none of the instance's own version.
    pub environment: Option<&'a str>,
    /// The digest of the content that it runs.
    pub digest: &'a str,
    /// When a rollout moved it there.
    pub moved: MovedAt,
}

/// The stages of a rollout, counted from 0.
#[derive(Clone, Copy, Debug)]
pub struct Stages<'a> {
    order: &'a [String],
}

impl<'a> Stages<'a> {
    /// The stages of a rollout with this `spec.rollout.environments`. Without, there is one for all.
    pub fn of(order: &'a [String]) -> Self {
        Self { order }
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.order.len() + 1
    }

    /// The stage in which a part is moved.
    pub fn place(self, environment: Option<&str>) -> usize {
        let named = environment.and_then(|name| self.order.iter().position(|listed| listed == name));
        named.unwrap_or(self.order.len())
    }

    /// The environment that is moved in a stage; none in the last.
    pub fn environment(self, stage: usize) -> Option<&'a str> {
        self.order.get(stage).map(String::as_str)
    }

    /// The stage in which an instance with these parts is to be moved next to the content `latest`; none where it is there.
    pub fn next(self, parts: &[Part<'_>], latest: &str) -> Option<usize> {
        let behind = parts.iter().filter(|part| part.digest != latest);
        behind.map(|part| self.place(part.environment)).min()
    }

    /// What the rollout has moved last, of that which it moved since `completed` while the instance was Ready. None where a later stage
    /// was moved after it while it was not: a later stage comes only once the instance is Ready again, so it was, and what it lacks
    /// since then is nothing that the rollout has taken.
    pub fn last(self, parts: &[Part<'_>], latest: &str, completed: i64) -> Option<Move> {
        let moved = parts
            .iter()
            .filter(|part| part.moved.at > 0 && part.moved.at >= completed);
        let counted = moved.clone().filter(|part| part.moved.was_ready);
        let last = counted.max_by_key(|part| part.moved.at)?;
        let stage = self.place(last.environment);
        let passed = |part: &Part<'_>| part.moved.at > last.moved.at && self.place(part.environment) > stage;
        if moved.clone().any(passed) {
            return None;
        }
        Some(Move {
            stage,
            latest: last.digest == latest,
        })
    }
}

/// That a rollout has moved a part of an instance that was Ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// In which stage.
    pub stage: usize,
    /// Whether that was to the newest version.
    pub latest: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part that was moved while its instance was Ready, at a time below 0 while it was not.
    fn part(environment: Option<&'static str>, digest: &'static str, at: i64) -> Part<'static> {
        let moved = MovedAt {
            at: at.abs(),
            was_ready: at > 0,
        };
        Part {
            environment,
            digest,
            moved,
        }
    }

    #[test]
    fn an_instance_is_moved_in_the_order_of_the_list_and_last_in_what_it_does_not_name() {
        let order = ["dev".to_owned(), "prod".to_owned()];
        let stages = Stages::of(&order);
        let at = |own, dev, prod, other| {
            [
                part(None, own, 0),
                part(Some("other"), other, 0),
                part(Some("dev"), dev, 0),
                part(Some("prod"), prod, 0),
            ]
        };
        assert_eq!(stages.next(&at("1", "1", "1", "1"), "2"), Some(0));
        assert_eq!(stages.next(&at("1", "2", "1", "1"), "2"), Some(1));
        assert_eq!(stages.next(&at("1", "2", "2", "1"), "2"), Some(2));
        assert_eq!(stages.next(&at("2", "2", "2", "1"), "2"), Some(2));
        assert_eq!(stages.next(&at("2", "2", "2", "2"), "2"), None);
        // An instance that has no such environment passes over its stage.
        assert_eq!(stages.next(&[part(None, "1", 0)], "2"), Some(2));
        assert_eq!(
            stages.next(&at("1", "2", "1", "1"), "1"),
            Some(0),
            "back in the same order"
        );
        assert_eq!(stages.environment(2), None);
        assert_eq!(Stages::of(&[]).next(&at("1", "2", "2", "2"), "2"), Some(0));
    }

    #[test]
    fn what_counts_is_what_was_moved_last_since_the_last_rollout_ended() {
        let order = ["dev".to_owned()];
        let stages = Stages::of(&order);
        let parts = [part(None, "1", 10), part(Some("dev"), "2", 20)];
        let moved = |stage, latest| Some(Move { stage, latest });
        assert_eq!(stages.last(&parts, "2", 0), moved(0, true));
        assert_eq!(stages.last(&parts, "1", 0), moved(0, false));
        assert_eq!(stages.last(&parts, "2", 21), None);
        assert_eq!(stages.last(&[part(None, "2", -5)], "2", 0), None, "it was not Ready");
        let parts = |own| [part(None, "2", own), part(Some("dev"), "2", 20)];
        assert_eq!(stages.last(&parts(-10), "2", 0), moved(0, true));
        assert_eq!(stages.last(&parts(-30), "2", 0), None, "it was Ready in between");
    }
}
