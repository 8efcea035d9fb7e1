//! `/metrics`, `/healthz` and `/readyz`, bound before anything else; and, for this machine alone, what can be changed while it runs.

use std::collections::BTreeMap;
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
    reasons: Mutex<BTreeMap<String, String>>,
    changed: Notify,
    once: AtomicBool,
}

impl Readiness {
    fn reasons(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that `what` is missing, and why. Gives whether that is news.
    pub fn lacks(&self, what: &str, why: impl Into<String>) -> bool {
        let why = why.into();
        self.reasons().insert(what.to_owned(), why.clone()) != Some(why)
    }

    /// Says that `what` is there. Gives whether that is news.
    pub fn has(&self, what: &str) -> bool {
        let mut reasons = self.reasons();
        let news = reasons.remove(what).is_some();
        if news {
            self.0.once.fetch_or(reasons.is_empty(), Ordering::SeqCst);
            self.0.changed.notify_waiters();
        }
        news
    }

    /// Whether there was a time at which nothing was missing.
    pub fn was_reached(&self) -> bool {
        self.0.once.load(Ordering::SeqCst)
    }

    /// Waits until nothing is missing.
    pub async fn reached(&self) {
        loop {
            let changed = self.0.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if self.reasons().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// What is missing, a line each; empty when nothing is.
    pub fn missing(&self) -> String {
        let mut lines = String::new();
        for (what, why) in self.reasons().iter() {
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
}
