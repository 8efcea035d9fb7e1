//! `/metrics`, `/healthz` and `/readyz`, bound before anything else; and, for this machine alone, what can be changed while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::telemetry::LogFilter;

/// What the process still lacks before it can be relied on, and why.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Lacks>);

#[derive(Default)]
struct Lacks {
    missing: Mutex<Missing>,
    changed: Notify,
    once: AtomicBool,
}

#[derive(Default)]
struct Missing {
    reasons: BTreeMap<String, String>,
    /// What the work can begin without.
    spared: BTreeSet<String>,
}

impl Missing {
    fn holds_up(&self) -> bool {
        self.reasons.keys().any(|what| !self.spared.contains(what))
    }
}

impl Readiness {
    fn state(&self) -> MutexGuard<'_, Missing> {
        self.0.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that `what` is missing, and why. Gives whether that is news.
    pub fn lacks(&self, what: &str, why: impl Into<String>) -> bool {
        let why = why.into();
        self.state().reasons.insert(what.to_owned(), why.clone()) != Some(why)
    }

    /// Says that `what` is there. Gives whether that is news.
    pub fn has(&self, what: &str) -> bool {
        let mut state = self.state();
        let news = state.reasons.remove(what).is_some();
        if news {
            self.tell(&state);
        }
        news
    }

    /// Says what the work can begin without, though the process is not ready while it is missing.
    pub fn spares(&self, what: BTreeSet<String>) {
        let mut state = self.state();
        if state.spared != what {
            state.spared = what;
            self.tell(&state);
        }
    }

    fn tell(&self, state: &Missing) {
        self.0.once.fetch_or(!state.holds_up(), Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }

    /// Whether there was a time at which nothing was missing that the work cannot begin without.
    pub fn was_reached(&self) -> bool {
        self.0.once.load(Ordering::SeqCst)
    }

    /// Waits until nothing is missing that the work cannot begin without.
    pub async fn reached(&self) {
        loop {
            let changed = self.0.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if !self.state().holds_up() {
                return;
            }
            changed.await;
        }
    }

    /// What is missing, a line each; empty when nothing is.
    pub fn missing(&self) -> String {
        let mut lines = String::new();
        for (what, why) in &self.state().reasons {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{what}: {why}");
        }
        lines
    }
}

/// Binds `address` and serves until `stop`.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    ready: Readiness,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let readyz = move || {
        let missing = ready.missing();
        async move {
            if missing.is_empty() {
                (StatusCode::OK, "ok\n".to_owned())
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, missing)
            }
        }
    };
    let shown = move || {
        let text = metrics.text();
        async move {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text)
        }
    };
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(shown));
    listen(address, routes, stop).await
}

/// Binds `address`, which is to be this machine's own, and serves `/debug/log-filter` until `stop`: GET gives what is logged,
/// PUT changes it, DELETE goes back to what it was at the start.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve_debug(
    address: SocketAddr,
    filter: LogFilter,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let put = async |State(filter): State<LogFilter>, body: String| match filter.set(body.trim()) {
        Ok(()) => (StatusCode::OK, format!("{}\n", filter.get())),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let delete = async |State(filter): State<LogFilter>| {
        filter.reset();
        format!("{}\n", filter.get())
    };
    let shown = async |State(filter): State<LogFilter>| format!("{}\n", filter.get());
    let routes = Router::new()
        .route("/debug/log-filter", get(shown).put(put).delete(delete))
        .with_state(filter);
    listen(address, routes, stop).await
}

async fn listen(address: SocketAddr, routes: Router, stop: CancellationToken) -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    tokio::spawn(async move {
        let served = axum::serve(listener, routes)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "an HTTP server ended");
        }
    });
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_ready_when_nothing_is_missing() {
        let ready = Readiness::default();
        assert!(ready.lacks("a", "not listed yet"));
        assert!(!ready.lacks("a", "not listed yet"));
        assert!(ready.lacks("a", "forbidden"));
        ready.lacks("b", "absent");
        assert_eq!(ready.missing(), "a: forbidden\nb: absent\n");
        let waiting = tokio::spawn({
            let ready = ready.clone();
            async move { ready.reached().await }
        });
        ready.has("a");
        assert!(!waiting.is_finished());
        assert!(!ready.was_reached());
        ready.has("b");
        waiting.await.unwrap();
        ready.lacks("a", "gone again");
        assert!(ready.was_reached());
        ready.has("a");
        assert!(!ready.has("b"));
    }

    #[tokio::test]
    async fn the_work_begins_without_what_is_spared_and_it_is_not_ready_all_the_same() {
        let ready = Readiness::default();
        ready.lacks("a", "being deleted");
        ready.lacks("b", "not listed yet");
        ready.spares(BTreeSet::from(["a".to_owned()]));
        assert!(!ready.was_reached());
        ready.has("b");
        ready.reached().await;
        assert!(ready.was_reached());
        assert_eq!(ready.missing(), "a: being deleted\n");
        // What is spared no longer is waited for again by whoever asks from now on.
        ready.spares(BTreeSet::new());
        let waiting = tokio::spawn({
            let ready = ready.clone();
            async move { ready.reached().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        ready.spares(BTreeSet::from(["a".to_owned()]));
        waiting.await.unwrap();
    }
}
