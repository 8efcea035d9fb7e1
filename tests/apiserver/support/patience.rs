//! Waiting for what the cluster does in its own time.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long a test waits before it gives up: ten seconds, or what `LANDFALL_TEST_PATIENCE` says (in
/// seconds), for machines that do much else.
pub fn patience() -> Duration {
    let seconds = std::env::var("LANDFALL_TEST_PATIENCE")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

/// What one look gives: the value that was awaited, or what was seen instead.
pub trait Outcome {
    type Value;

    fn settle(self) -> Result<Self::Value, String>;
}

impl<T> Outcome for Option<T> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display> Outcome for Result<T, E> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Looks again and again until `look` gives the value that is awaited; panics with what it last saw
/// when [`patience`] is at its end.
#[track_caller]
pub fn eventually<O: Outcome, Look: AsyncFnMut() -> O>(
    what: &str,
    look: Look,
) -> impl Future<Output = O::Value> + use<'_, O, Look> {
    eventually_within(patience(), what, look)
}

/// [`eventually`] with a limit of its own.
#[track_caller]
pub fn eventually_within<O: Outcome, Look: AsyncFnMut() -> O>(
    limit: Duration,
    what: &str,
    mut look: Look,
) -> impl Future<Output = O::Value> + use<'_, O, Look> {
    // The test's line is what the reader of a failure needs, not the one below.
    let asked = std::panic::Location::caller();
    async move {
        let began = Instant::now();
        let mut pause = Duration::from_millis(10);
        let mut seen = String::from("(no look has ended)");
        loop {
            let left = limit.saturating_sub(began.elapsed());
            if let Ok(outcome) = tokio::time::timeout(left, look()).await {
                match outcome.settle() {
                    Ok(value) => return value,
                    Err(instead) => seen = instead,
                }
            }
            assert!(
                began.elapsed() < limit,
                "{asked}: waited {limit:?} for: {what}\nlast seen: {seen}"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }
}
