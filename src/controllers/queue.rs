//! A queue of entities that are to be looked at: each stands in it once, and none is looked at twice at a time.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A queue with times.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    due: BTreeSet<(Instant, K)>,
    times: HashMap<K, Instant>,
    /// Those that are being looked at, with the time at which they are to be looked at again if that was said meanwhile.
    taken: HashMap<K, Option<Instant>>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                due: BTreeSet::new(),
                times: HashMap::new(),
                taken: HashMap::new(),
            }),
            changed: Notify::new(),
        }
    }
}

impl<K: Clone + Eq + Ord + Hash> Queue<K> {
    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `key` in, to be looked at now.
    pub fn push(&self, key: K) {
        self.push_at(key, Instant::now());
    }

    /// Puts `key` in; of two times the earlier one holds. While it is being looked at, it waits for the end of that.
    fn push_at(&self, key: K, time: Instant) {
        let mut state = self.lock();
        if let Some(again) = state.taken.get_mut(&key) {
            *again = Some(again.map_or(time, |known| known.min(time)));
            return;
        }
        match state.times.get(&key).copied() {
            Some(known) if known <= time => return,
            Some(known) => {
                state.due.remove(&(known, key.clone()));
            }
            None => {}
        }
        state.times.insert(key.clone(), time);
        state.due.insert((time, key));
        drop(state);
        self.changed.notify_one();
    }

    /// How many wait whose time has come, and for how long the first of them has.
    pub fn waiting(&self) -> (usize, Duration) {
        let (state, now) = (self.lock(), Instant::now());
        let due = state.due.iter().take_while(|(time, _)| *time <= now).count();
        let oldest = state.due.first().map(|(time, _)| now.saturating_duration_since(*time));
        (due, oldest.unwrap_or_default())
    }

    /// Waits for the next one whose time has come, and takes it. To be called by one task at a time.
    pub async fn next(&self) -> K {
        loop {
            let wait = {
                let mut state = self.lock();
                match state.due.first().map(|(time, _)| *time) {
                    Some(time) if time <= Instant::now() => {
                        if let Some((_, key)) = state.due.pop_first() {
                            state.times.remove(&key);
                            state.taken.insert(key.clone(), None);
                            return key;
                        }
                        None
                    }
                    first => first,
                }
            };
            match wait {
                Some(time) => tokio::select! {
                    () = tokio::time::sleep_until(time) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// The look at `key` has ended; it is to be looked at again after `delay`, or when it is put in again.
    pub fn done(&self, key: K, delay: Option<Duration>) {
        let again = self.lock().taken.remove(&key).flatten();
        let later = delay.map(|delay| Instant::now() + delay);
        if let Some(time) = again.into_iter().chain(later).min() {
            self.push_at(key, time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is due now, in order.
    async fn due(queue: &Queue<&'static str>) -> Vec<&'static str> {
        let mut found = Vec::new();
        while let Ok(key) = tokio::time::timeout(Duration::from_millis(5), queue.next()).await {
            found.push(key);
        }
        found
    }

    const NONE: [&str; 0] = [];

    #[tokio::test]
    async fn each_stands_in_it_once_and_is_never_taken_twice() {
        let queue = Queue::default();
        for key in ["a", "b", "a", "b"] {
            queue.push(key);
        }
        assert_eq!(due(&queue).await, ["a", "b"]);
        queue.push("a");
        queue.push("a");
        assert_eq!(due(&queue).await, NONE, "it is being looked at");
        queue.done("b", None);
        assert_eq!(due(&queue).await, NONE, "nobody asked for it");
        queue.done("a", Some(Duration::from_mins(5)));
        assert_eq!(
            due(&queue).await,
            ["a"],
            "what came meanwhile is not lost, and does not wait"
        );
    }

    #[tokio::test]
    async fn it_tells_how_many_wait_and_for_how_long() {
        let queue = Queue::default();
        assert_eq!(queue.waiting(), (0, Duration::ZERO));
        queue.push("a");
        queue.push("b");
        queue.push_at("c", Instant::now() + Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
        let (waiting, oldest) = queue.waiting();
        assert_eq!(waiting, 2, "the third is not due yet");
        assert!(oldest >= Duration::from_millis(5), "{oldest:?}");
        assert_eq!(due(&queue).await, ["a", "b"]);
        assert_eq!(queue.waiting(), (0, Duration::ZERO));
    }

    #[tokio::test]
    async fn a_delay_is_kept_until_something_happens() {
        let queue = Queue::default();
        queue.push("a");
        assert_eq!(due(&queue).await, ["a"]);
        let began = Instant::now();
        queue.done("a", Some(Duration::from_millis(50)));
        assert_eq!(queue.next().await, "a");
        assert!(began.elapsed() >= Duration::from_millis(50));
        queue.done("a", Some(Duration::from_mins(1)));
        assert_eq!(due(&queue).await, NONE);
        queue.push("a");
        assert_eq!(due(&queue).await, ["a"], "sooner than was said");
        queue.done("a", None);
        assert_eq!(due(&queue).await, NONE, "the delay was over with it");
    }
}
