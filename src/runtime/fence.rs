//! The fence before every write: a layer in each of the process's clients that lets a mutating request pass only while this
//! process may write. It asks the clock itself, right before the request is handed to a connection, so that neither a pass that
//! was under way nor a process that was stopped and woken again can write when another one may have taken over.

use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request};
use tower::{BoxError, Layer, Service};

use super::clock::since_boot;

/// Open for as long as the process lives.
const ALWAYS: u64 = u64::MAX;

/// Why a write was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another process may be the leader.
    #[error("nothing was sent: this process does not hold the lease, and only the leader writes")]
    NotLeader,
    /// What it would write, the apiserver would cut.
    #[error("nothing was sent: the definitions of the operator's own kinds are older than the operator")]
    Outdated,
    /// It may be the same: nobody has looked yet.
    #[error("nothing was sent: the definitions of the operator's own kinds have just changed, and are looked at first")]
    Suspect,
}

/// Whether this process may write. Clones are one fence.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<Gate>);

#[derive(Debug, Default)]
struct Gate {
    /// Until when, in nanoseconds since boot.
    until: AtomicU64,
    outdated: AtomicBool,
    suspect: AtomicBool,
}

impl Fence {
    /// Lets writes pass until the process ends.
    pub fn open(&self) {
        self.0.until.store(ALWAYS, Ordering::SeqCst);
    }

    /// Lets writes pass until `until`, a time since boot.
    pub fn open_until(&self, until: Duration) {
        let until = u64::try_from(until.as_nanos()).unwrap_or(ALWAYS);
        self.0.until.store(until, Ordering::SeqCst);
    }

    /// Lets no write pass.
    pub fn close(&self) {
        self.0.until.store(0, Ordering::SeqCst);
    }

    /// Says whether the definitions on the cluster are too old for what this process writes.
    pub fn outdated(&self, outdated: bool) {
        self.0.outdated.store(outdated, Ordering::SeqCst);
    }

    /// Says whether those definitions have changed and have not been looked at since.
    pub fn suspect(&self, suspect: bool) {
        self.0.suspect.store(suspect, Ordering::SeqCst);
    }

    /// Whether a write passes now.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), Refused> {
        let until = self.0.until.load(Ordering::SeqCst);
        if until != ALWAYS && since_boot().as_nanos() >= u128::from(until) {
            return Err(Refused::NotLeader);
        }
        if self.0.outdated.load(Ordering::SeqCst) {
            return Err(Refused::Outdated);
        }
        if self.0.suspect.load(Ordering::SeqCst) {
            return Err(Refused::Suspect);
        }
        Ok(())
    }
}

impl<S> Layer<S> for Fence {
    type Service = Fenced<S>;

    fn layer(&self, inner: S) -> Fenced<S> {
        Fenced {
            inner,
            fence: self.clone(),
        }
    }
}

/// A client's service behind a fence.
#[derive(Debug)]
pub struct Fenced<S> {
    inner: S,
    fence: Fence,
}

impl<S, B> Service<Request<B>> for Fenced<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if is_read(request.method()) {
            let answer = self.inner.call(request);
            return Box::pin(async move { answer.await.map_err(Into::into) });
        }
        if let Err(refused) = self.fence.check() {
            return Box::pin(ready(Err(refused.into())));
        }
        let fence = self.fence.clone();
        let mut answer = Box::pin(self.inner.call(request));
        // A request can wait long for a connection, so each step of it is asked for anew.
        Box::pin(poll_fn(move |context| match fence.check() {
            Ok(()) => answer.as_mut().poll(context).map_err(Into::into),
            Err(refused) => Poll::Ready(Err(refused.into())),
        }))
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tower::service_fn;

    use super::*;

    /// The answer of a service behind `fence`, and how often it was asked.
    async fn ask(fence: &Fence, method: Method) -> (Result<(), String>, usize) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let mut service = fence.layer(service_fn(move |_: Request<()>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok::<(), BoxError>(()) }
        }));
        let request = Request::builder().method(method).body(()).unwrap();
        let answer = service.call(request).await.map_err(|error| error.to_string());
        (answer, asked.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn only_reads_pass_a_closed_fence() {
        let fence = Fence::default();
        assert_eq!(ask(&fence, Method::GET).await, (Ok(()), 1));
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let (answer, asked) = ask(&fence, method).await;
            assert!(answer.unwrap_err().contains("does not hold the lease"));
            assert_eq!(asked, 0);
        }
    }

    #[tokio::test]
    async fn a_fence_is_open_until_its_time_is_up() {
        let fence = Fence::default();
        fence.open_until(since_boot() + Duration::from_mins(1));
        assert_eq!(ask(&fence, Method::PATCH).await, (Ok(()), 1));
        fence.open_until(since_boot());
        assert_eq!(ask(&fence, Method::PATCH).await.1, 0);
        fence.open();
        assert_eq!(ask(&fence, Method::PATCH).await, (Ok(()), 1));
        fence.close();
        assert_eq!(ask(&fence, Method::PATCH).await.1, 0);
    }

    #[tokio::test]
    async fn older_definitions_close_it_whoever_leads() {
        let fence = Fence::default();
        fence.open();
        fence.outdated(true);
        let (answer, asked) = ask(&fence, Method::PUT).await;
        assert!(answer.unwrap_err().contains("older than the operator"));
        assert_eq!(asked, 0);
        fence.outdated(false);
        fence.suspect(true);
        assert_eq!(ask(&fence, Method::PUT).await.1, 0);
        fence.suspect(false);
        assert_eq!(ask(&fence, Method::PUT).await, (Ok(()), 1));
    }

    #[tokio::test]
    async fn a_write_that_waits_for_a_connection_does_not_pass_when_the_time_is_up() {
        let fence = Fence::default();
        fence.open();
        let (closing, sent) = (fence.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = sent.clone();
        let mut service = fence.layer(service_fn(move |_: Request<()>| {
            let (closing, counted) = (closing.clone(), counted.clone());
            async move {
                // The connection takes so long that the lease runs out.
                closing.close();
                tokio::task::yield_now().await;
                counted.fetch_add(1, Ordering::SeqCst);
                Ok::<(), BoxError>(())
            }
        }));
        let answer = service.call(Request::post("/").body(()).unwrap()).await;
        assert!(answer.is_err());
        assert_eq!(sent.load(Ordering::SeqCst), 0);
    }
}
