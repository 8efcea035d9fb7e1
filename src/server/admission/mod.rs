//! What the apiserver asks before it takes something in: whether an instance can be what it says, and whether others would be left
//! without what is deleted. The words are those of the controllers, whose pure parts decide; the picture is that of the watches.

pub mod dependents;
pub mod instance;
mod review;
mod summary;
#[cfg(test)]
mod tests;
pub mod words;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use tokio_util::sync::CancellationToken;

use self::dependents::Guard;
use self::review::Reviewer;
use super::certificates::keep::{CERTIFICATE, Keeper};
use super::tls::{Serving, TlsListener};
use crate::controllers::view::{self, Sight};
use crate::runtime::clients::{self, Clients, MakeClient};
use crate::runtime::destination::NoWay;
use crate::runtime::fence::Fence;
use crate::runtime::http::{self, Readiness};
use crate::runtime::metrics::Metrics;
use crate::template::compile::Policy;

/// How long what is being answered may go on when the process is to stop.
const GRACE: Duration = Duration::from_secs(5);
/// For how long the process goes on answering when it is to stop: so long may some not know yet that it does.
const FAREWELL: Duration = Duration::from_secs(5);

/// How the webhook is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub listen: SocketAddr,
    /// Where the apiserver asks.
    pub webhook: SocketAddr,
    /// What templates may hold, whoever writes them.
    pub policy: Policy,
    /// What is said to a deletion that leaves others without what they need.
    pub guard: Guard,
    /// For how many seconds a watch is kept, 1 to 294.
    pub watch_timeout: u32,
    /// The namespace of the Secret; without a word, that of the pod or of the kubeconfig.
    pub namespace: Option<String>,
    /// The Secret that holds the certificate.
    pub secret: String,
    /// The webhook configurations that are to know its authority.
    pub configurations: Vec<String>,
    /// The names and addresses by which the apiserver calls.
    pub names: Vec<String>,
    /// How its clients are made.
    pub make_client: MakeClient,
}

/// Why the webhook could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}; give another address with {flag}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// By which argument it was given.
        flag: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no way to the cluster.
    #[error("no way to a cluster: {0}; set KUBECONFIG, or run in a pod")]
    Connect(#[source] NoWay),
    /// A task that must never end has ended.
    #[error("{0} ended by itself; see the log above")]
    Ended(&'static str),
}

/// Answers the apiserver until `stop`.
///
/// # Errors
/// When it cannot start, or a part of it ends by itself.
pub async fn run(options: Options, stop: CancellationToken) -> Result<(), RunError> {
    let metrics = Arc::new(Metrics::new(Vec::new()));
    let (ready, serving) = (Readiness::default(), Serving::default());
    view::expect(&ready);
    ready.lacks(CERTIFICATE, "not looked at yet");
    let (ended, provider) = (CancellationToken::new(), provider());
    http::serve(options.listen, metrics.clone(), ready.clone(), ended.clone())
        .await
        .map_err(|source| cannot_listen(options.listen, "--listen", source))?;
    // It writes nothing but its certificate, and that by another client: the fence stays closed.
    let identity = clients::identity();
    let made = Clients::connect(Fence::default(), "landfall-webhook", &identity, options.make_client).await;
    let clients = Arc::new(made.map_err(RunError::Connect)?);
    let in_pod = clients.in_pod;
    let keeper = Keeper {
        client: clients.unfenced().map_err(|error| RunError::Connect(error.into()))?,
        namespace: options.namespace.unwrap_or_else(|| clients.namespace().to_owned()),
        secret: options.secret,
        configurations: options.configurations,
        names: options.names,
        serving: serving.clone(),
        ready: ready.clone(),
        provider: provider.clone(),
    };
    let (world, watching) = view::follow(Sight {
        clients,
        metrics: metrics.clone(),
        ready,
        policy: options.policy,
        blocked_retry: Duration::from_mins(1),
        watch_timeout: options.watch_timeout,
    });
    let listener = TlsListener::bind(options.webhook, serving, provider)
        .await
        .map_err(|source| cannot_listen(options.webhook, "--webhook-listen", source))?;
    let routes = review::routes(Reviewer {
        world,
        guard: options.guard,
        metrics,
    });
    let ending = ended.clone();
    let answering = axum::serve(listener, routes).with_graceful_shutdown(async move { ending.cancelled().await });
    let leaving = async {
        stop.cancelled().await;
        tracing::info!("stopping");
        // In a pod, others may go on asking until the Service's endpoints are known to be without it.
        if in_pod {
            tokio::time::sleep(FAREWELL).await;
        }
        ended.cancel();
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = leaving => Ok(()),
        () = watching => Err(RunError::Ended("a watch on our own kinds")),
        () = keeper.run() => Err(RunError::Ended("the keeping of the certificate")),
        answered = answering => match answered {
            Ok(()) if stop.is_cancelled() => Ok(()),
            _ => Err(RunError::Ended("the server")),
        },
    }
}

fn cannot_listen(address: SocketAddr, flag: &'static str, source: std::io::Error) -> RunError {
    RunError::Listen { address, flag, source }
}

/// The one that `main` has chosen.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}
