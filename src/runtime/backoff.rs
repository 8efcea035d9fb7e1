//! Delays between tries: per object, growing, with jitter, so that one object's trouble is its own.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use kube::runtime::utils::Backoff;

/// The first delay after a transient error.
const FIRST: Duration = Duration::from_millis(200);
/// The longest that a watch on one of our own kinds stays closed.
const LONGEST_REOPENING: Duration = Duration::from_secs(3);
/// The longest delay after transient errors.
const LONGEST: Duration = Duration::from_mins(1);

/// How often each object has failed in a row, and until when it is left alone.
#[derive(Debug)]
pub struct Attempts<K> {
    failures: Mutex<HashMap<K, Failures>>,
}

#[derive(Debug, Default)]
struct Failures {
    count: u32,
    hold: Option<Hold>,
}

/// Until when an object is not looked at, whatever wakes it.
#[derive(Debug)]
struct Hold {
    until: Instant,
    /// The generation that failed: another is another matter. None where the apiserver asked for the pause.
    generation: Option<i64>,
}

impl<K> Default for Attempts<K> {
    fn default() -> Self {
        Self {
            failures: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash> Attempts<K> {
    /// Counts a failure of `key` at `generation` and gives the delay before the next try: doubling from 200 ms to a minute,
    /// jittered, and no less than the apiserver `asked` for.
    ///
    /// Until then it is held: an object is woken by what its own writes change, too, and would be tried again at once. A first
    /// failure holds nothing, since most often it comes of a change that the wake tells of.
    pub fn failed(&self, key: K, generation: Option<i64>, asked: Option<Duration>) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let failed = failures.entry(key).or_default();
        failed.count = failed.count.saturating_add(1);
        let backoff = jittered(FIRST.saturating_mul(1 << (failed.count - 1).min(16)).min(LONGEST));
        // Others were asked the same, and are not to come back all at once.
        let delay = asked.map_or(backoff, |asked| between(asked, asked.mul_f64(1.25)).max(backoff));
        failed.hold = (failed.count > 1 || asked.is_some()).then(|| Hold {
            until: Instant::now() + delay,
            generation: generation.filter(|_| asked.is_none()),
        });
        delay
    }

    /// For how long `key` at `generation` is still to be left alone.
    pub fn held(&self, key: &K, generation: Option<i64>) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let hold = failures.get(key)?.hold.as_ref()?;
        if hold.generation.is_some() && hold.generation != generation {
            return None;
        }
        hold.until.checked_duration_since(Instant::now())
    }

    /// Forgets all failures, since what they came of is over, and gives whose they were. Where the apiserver asked for a pause,
    /// that stands.
    pub fn forgive(&self) -> Vec<K>
    where
        K: Clone,
    {
        let mut failures = self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let asked = |failed: &Failures| failed.hold.as_ref().is_some_and(|hold| hold.generation.is_none());
        let forgiven = failures.extract_if(|_, failed| !asked(failed));
        forgiven.map(|(key, _)| key).collect()
    }

    /// Forgets the failures of `key`.
    pub fn succeeded(&self, key: &K) {
        self.failures
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(key);
    }
}

/// When a watch on one of our own kinds is opened again: they are few, and a CRD that was put back is to be seen at once.
#[derive(Debug, Default)]
pub struct Reopening {
    failures: u32,
}

impl Iterator for Reopening {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST_REOPENING);
        self.failures = self.failures.saturating_add(1);
        Some(jittered(delay))
    }
}

impl Backoff for Reopening {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// `delay`, shortened or lengthened by up to a quarter.
pub fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(0.75 + fraction() / 2.0)
}

/// A delay anywhere between `shortest` and `longest`.
pub fn between(shortest: Duration, longest: Duration) -> Duration {
    shortest + longest.saturating_sub(shortest).mul_f64(fraction())
}

/// A number in 0..1. The standard library's hasher is seeded at random; jitter needs no more than that.
fn fraction() -> f64 {
    let bits = std::hash::RandomState::new().hash_one(0_u8);
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_start_again_after_success() {
        let attempts = Attempts::default();
        let first = attempts.failed("a", None, None);
        assert!(
            first >= FIRST.mul_f64(0.75) && first <= FIRST.mul_f64(1.25),
            "{first:?}"
        );
        for _ in 0..40 {
            attempts.failed("a", None, None);
        }
        let late = attempts.failed("a", None, None);
        assert!(
            late >= LONGEST.mul_f64(0.75) && late <= LONGEST.mul_f64(1.25),
            "{late:?}"
        );
        attempts.succeeded(&"a");
        assert!(attempts.failed("a", None, None) <= FIRST.mul_f64(1.25));
    }

    #[test]
    fn what_failed_is_forgiven_unless_a_pause_was_asked_for() {
        let attempts = Attempts::default();
        for _ in 0..3 {
            attempts.failed("a", Some(1), None);
            attempts.failed("b", Some(1), Some(Duration::from_secs(7)));
        }
        attempts.failed("c", Some(1), None);
        let mut forgiven = attempts.forgive();
        forgiven.sort_unstable();
        assert_eq!(forgiven, ["a", "c"]);
        assert_eq!(attempts.held(&"a", Some(1)), None);
        assert!(attempts.held(&"b", Some(1)).is_some());
        assert!(attempts.failed("a", Some(1), None) <= FIRST.mul_f64(1.25));
    }

    #[test]
    fn what_fails_again_is_held_until_it_is_changed() {
        let attempts = Attempts::default();
        attempts.failed("a", Some(1), None);
        assert_eq!(attempts.held(&"a", Some(1)), None, "a first failure holds nothing");
        let delay = attempts.failed("a", Some(1), None);
        assert!(attempts.held(&"a", Some(1)).is_some_and(|left| left <= delay));
        assert_eq!(attempts.held(&"a", Some(2)), None, "another spec is another matter");
        assert_eq!(attempts.held(&"b", Some(1)), None);
        attempts.succeeded(&"a");
        assert_eq!(attempts.held(&"a", Some(1)), None);
    }

    #[test]
    fn what_the_apiserver_asks_for_holds_whatever_changes() {
        let attempts = Attempts::default();
        let second = Duration::from_secs(1);
        let delay = attempts.failed("a", Some(1), Some(second));
        assert!(delay >= second && delay <= second * 2, "{delay:?}");
        assert!(attempts.held(&"a", Some(2)).is_some_and(|left| left <= delay));
    }
}
