//! Delays between tries: per object, growing, with jitter, so that one object's trouble is its own.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Mutex;
use std::time::Duration;

use kube::runtime::utils::Backoff;

/// The first delay after a transient error.
const FIRST: Duration = Duration::from_millis(200);
/// The longest that a watch on one of our own kinds stays closed.
const LONGEST_REOPENING: Duration = Duration::from_secs(3);
/// The longest delay after transient errors.
const LONGEST: Duration = Duration::from_mins(1);

/// How often each object has failed in a row.
#[derive(Debug)]
pub struct Attempts<K> {
    failures: Mutex<HashMap<K, u32>>,
}

impl<K> Default for Attempts<K> {
    fn default() -> Self {
        Self {
            failures: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash> Attempts<K> {
    /// Counts a failure of `key` and gives the delay before the next try: doubling from 200 ms to a minute, jittered.
    pub fn failed(&self, key: K) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = failures.entry(key).or_insert(0);
        *count = count.saturating_add(1);
        jittered(FIRST.saturating_mul(1 << (*count - 1).min(16)).min(LONGEST))
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
        let first = attempts.failed("a");
        assert!(
            first >= FIRST.mul_f64(0.75) && first <= FIRST.mul_f64(1.25),
            "{first:?}"
        );
        for _ in 0..40 {
            attempts.failed("a");
        }
        let late = attempts.failed("a");
        assert!(
            late >= LONGEST.mul_f64(0.75) && late <= LONGEST.mul_f64(1.25),
            "{late:?}"
        );
        attempts.succeeded(&"a");
        assert!(attempts.failed("a") <= FIRST.mul_f64(1.25));
    }
}
