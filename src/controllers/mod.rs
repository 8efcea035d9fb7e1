//! The controllers: watches on our own kinds feed queues, and each entity is looked at one pass at a time.

mod arrival;
mod awaited;
pub mod catalog;
mod child;
pub mod children;
mod following;
pub mod instance;
pub mod namespaces;
pub mod nesting;
mod outages;
pub mod packed;
mod queue;
mod record;
pub mod refusals;
pub mod repairs;
pub mod surroundings;
pub mod template;
pub mod trouble;
pub mod turns;
pub mod view;
pub mod wakes;
mod watches;
pub mod world;
mod writes;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::queue::Queue;
use self::trouble::{Class, Trouble};
use self::view::Sight;
use self::wakes::{Key, OwnKind, Wakes};
use self::world::World;
use crate::runtime::backoff::between;
use crate::runtime::clients::{self, Clients, MakeClient};
use crate::runtime::definitions;
use crate::runtime::destination::NoWay;
use crate::runtime::fence::Fence;
use crate::runtime::http::{self, Readiness};
use crate::runtime::leader::decide::Times;
use crate::runtime::leader::{Elector, Lost, Settings};
use crate::runtime::metrics::Metrics;
use crate::runtime::telemetry::LogFilter;
use crate::template::compile::Policy;

/// The longest that one pass may take.
const PASS_LIMIT: Duration = Duration::from_mins(1);
/// How long passes that are under way may go on when the process is to stop.
const GRACE: Duration = Duration::from_secs(3);
/// How many entities of one kind are looked at at the same time.
const CONCURRENCY: usize = 16;
/// The longest wait before something that no watch shows is looked at again, in shortest ones.
const BLOCKED_SPREAD: u32 = 5;
/// When something that is being deleted, and that may be under no watch, is looked at again.
const DELETING: Duration = Duration::from_secs(5);

/// How the operator is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub listen: SocketAddr,
    /// Where what is logged can be changed, if anywhere, and by which handle.
    pub debug: Option<(SocketAddr, LogFilter)>,
    /// What templates may hold, whoever writes them.
    pub policy: Policy,
    /// The shortest wait before something that no watch shows is looked at again; the longest is five times as long.
    pub blocked_retry: Duration,
    /// How one of several operators is made the leader.
    pub election: Election,
    /// For how many seconds a watch is kept, 1 to 294.
    pub watch_timeout: u32,
    /// How its clients are made.
    pub make_client: MakeClient,
}

/// How one of several operators is made the leader.
#[derive(Clone, Debug)]
pub struct Election {
    /// Whether it is elected; without a word, it is in a pod, and not outside a cluster.
    pub wanted: Option<bool>,
    /// The namespace of the Lease; without a word, that of the pod or of the kubeconfig.
    pub namespace: Option<String>,
    /// The Lease's name.
    pub name: String,
    /// The times.
    pub times: Times,
}

/// Why the operator could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}; give another address with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no way to the cluster.
    #[error("no way to a cluster: {0}; set KUBECONFIG, or run in a pod")]
    Connect(#[source] NoWay),
    /// Another process leads now.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// A task that must never end has ended.
    #[error("{0} ended by itself; see the log above")]
    Ended(&'static str),
}

/// Runs the operator until `stop`.
///
/// # Errors
/// When it cannot start, when another process has taken its lease, or when a part of it ends by itself.
pub async fn run(options: Options, stop: CancellationToken) -> Result<(), RunError> {
    let metrics = Arc::new(Metrics::new(OwnKind::ALL.map(OwnKind::word).to_vec()));
    let ready = Readiness::default();
    watches::expect(&ready);
    definitions::expect(&ready);
    listen(&options, &metrics, &ready, &stop).await?;
    let (fence, identity) = (Fence::default(), clients::identity());
    let clients = Clients::connect(fence.clone(), "landfall", &identity, options.make_client).await;
    let clients = Arc::new(clients.map_err(RunError::Connect)?);
    let elector = elector(&options.election, &clients, &fence, &identity, &metrics)?;
    let (wakes, queues) = Wakes::new();
    let sight = Sight {
        clients,
        metrics,
        ready: ready.clone(),
        policy: options.policy,
        blocked_retry: options.blocked_retry,
        watch_timeout: options.watch_timeout,
    };
    let (world, feeds) = view::open(sight, wakes);
    let leading = elector
        .as_ref()
        .map_or_else(|| watch::channel(true).1, Elector::leading);
    let leave = CancellationToken::new();
    let mut electing = tokio::spawn(elect(elector, ready.clone(), leave.clone()));
    let outages = outages::follow(world.clone(), fence.clone());
    let watching = watches::run(world.clone(), feeds, ready.clone(), Some(fence), options.watch_timeout);
    let working = work(world.clone(), queues, ready.clone(), leading, stop.clone());
    let stopping = stop.clone();
    let out_of_patience = async move {
        stopping.cancelled().await;
        tracing::info!("stopping");
        tokio::time::sleep(GRACE).await;
    };
    let outcome = tokio::select! {
        // What is still under way is dropped then; a pass may end at any point without harm.
        () = out_of_patience => Ok(()),
        () = watching => Err(RunError::Ended("a watch on our own kinds")),
        () = outages => Err(RunError::Ended("the look out for outages")),
        () = working => if stop.is_cancelled() { Ok(()) } else { Err(RunError::Ended("a controller")) },
        // Nothing can be written any more; that is what matters, and the rest ends with the process.
        lost = &mut electing => return Err(lost.map_or(RunError::Ended("the election"), |lost| match lost {
            Ok(()) => RunError::Ended("the election"),
            Err(lost) => RunError::Lost(lost),
        })),
    };
    // Only when nothing is under way any more is the lease given back.
    leave.cancel();
    let _ = electing.await;
    outcome
}

/// Serves probes and metrics, and what is for this machine alone.
async fn listen(
    options: &Options,
    metrics: &Arc<Metrics>,
    ready: &Readiness,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let bound = http::serve(options.listen, metrics.clone(), ready.clone(), stop.clone())
        .await
        .map_err(|source| RunError::Listen {
            address: options.listen,
            source,
        })?;
    tracing::info!(address = %bound, "probes and metrics are served");
    if let Some((address, filter)) = &options.debug {
        match http::serve_debug(*address, filter.clone(), stop.clone()).await {
            Ok(bound) => tracing::info!(address = %bound, "/debug/log-filter is served to this machine"),
            // A second operator on one machine can do without.
            Err(error) => {
                tracing::warn!(%address, %error, "/debug/log-filter is not served; give another address with --debug-listen");
            }
        }
    }
    Ok(())
}

/// The candidate, where there is an election; where there is none, `fence` is opened for good.
fn elector(
    election: &Election,
    clients: &Clients,
    fence: &Fence,
    identity: &str,
    metrics: &Arc<Metrics>,
) -> Result<Option<Elector>, RunError> {
    if !election.wanted.unwrap_or(clients.in_pod) {
        tracing::info!(
            identity,
            "no leader is elected: this has to be the only operator on its cluster"
        );
        fence.open();
        metrics.lease_held.set(1);
        return Ok(None);
    }
    let settings = Settings {
        namespace: election
            .namespace
            .clone()
            .unwrap_or_else(|| clients.namespace().to_owned()),
        name: election.name.clone(),
        times: election.times,
    };
    let client = clients.unfenced().map_err(|error| RunError::Connect(error.into()))?;
    Ok(Some(Elector::new(
        client,
        settings,
        identity,
        fence.clone(),
        metrics.clone(),
    )))
}

/// Stands for election once this process can do the work. Ends when it has lost the lease, or has left.
async fn elect(elector: Option<Elector>, ready: Readiness, leave: CancellationToken) -> Result<(), Lost> {
    let Some(elector) = elector else {
        leave.cancelled().await;
        return Ok(());
    };
    tokio::select! {
        () = leave.cancelled() => return Ok(()),
        () = ready.reached() => {}
    }
    elector.run(leave).await
}

/// Works the queues off, once everything has been seen and this process leads. Until then they fill, each entity standing in
/// one once, so that the one that comes to lead looks at all: whoever led before may have stopped anywhere.
async fn work(
    world: Arc<World>,
    queues: wakes::Queues,
    ready: Readiness,
    mut leading: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let begin = async {
        ready.reached().await;
        tracing::info!("everything has been seen once");
        leading.wait_for(|leading| *leading).await.is_ok()
    };
    let leads = tokio::select! {
        () = stop.cancelled() => return,
        leads = begin => leads,
    };
    if !leads {
        // The candidate has ended, and with it this process does.
        return std::future::pending().await;
    }
    for (kind, queue) in &queues {
        let queue = queue.clone();
        world.metrics.shows_queue(kind.word(), move || queue.waiting());
    }
    let mut controllers: futures::stream::FuturesUnordered<_> = queues
        .into_iter()
        .map(|(kind, queue)| tokio::spawn(control(world.clone(), kind, queue, stop.clone())))
        .collect();
    // One that ends by itself takes the process down: half an operator helps nobody.
    while controllers.next().await.is_some() && stop.is_cancelled() {}
}

async fn control(world: Arc<World>, kind: OwnKind, queue: Arc<Queue<Key>>, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONCURRENCY));
    let mut passes = JoinSet::new();
    loop {
        let taken = async {
            // Never closed: the semaphore is this function's own.
            let slot = slots.clone().acquire_owned().await.ok()?;
            Some((slot, queue.next().await))
        };
        let taken = tokio::select! {
            () = stop.cancelled() => None,
            taken = taken => taken,
        };
        let Some((slot, key)) = taken else { break };
        let (world, queue) = (world.clone(), queue.clone());
        passes.spawn(async move {
            let delay = one(world, kind, key.clone()).await;
            queue.done(key, delay);
            drop(slot);
        });
        while passes.try_join_next().is_some() {}
    }
    while passes.join_next().await.is_some() {}
}

/// One pass over one entity, within its time limit. A panic in it is its own, never another entity's. Gives when it is to be
/// looked at again, watches aside.
async fn one(world: Arc<World>, kind: OwnKind, key: Key) -> Option<Duration> {
    // It may have gone while it stood in the queue.
    let object = world.get(&key)?;
    let generation = object.metadata.generation;
    if let Some(left) = world.attempts.held(&key, generation) {
        return Some(left);
    }
    let span = tracing::info_span!(
        "reconcile",
        kind = kind.kind(),
        namespace = key.namespace,
        entity = key.name
    );
    let started = Instant::now();
    let pass = {
        let (world, key) = (world.clone(), key.clone());
        async move {
            match kind {
                OwnKind::Template => template::reconcile(&world, &key, object).await,
                OwnKind::Component | OwnKind::Resource | OwnKind::System => {
                    instance::reconcile(&world, &key, object).await
                }
                OwnKind::Api
                | OwnKind::Domain
                | OwnKind::Entity
                | OwnKind::Group
                | OwnKind::Location
                | OwnKind::User => record::reconcile(&world, &key, object).await,
            }
        }
    };
    let outcome = limited(pass).instrument(span.clone()).await;
    let result = outcome.as_ref().err().map_or("done", |trouble| trouble.class.word());
    world.metrics.passed(kind.word(), result, started.elapsed());
    span.in_scope(|| next(&world, key, generation, outcome, started.elapsed()))
}

async fn limited(pass: impl Future<Output = Result<(), Trouble>> + Send + 'static) -> Result<(), Trouble> {
    let task = tokio::spawn(pass.in_current_span());
    let abort = task.abort_handle();
    match tokio::time::timeout(PASS_LIMIT, task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panicked)) => {
            tracing::error!(error = %panicked, "a pass panicked; please report this");
            Err(Trouble::transient(
                "a pass ended by a fault in the operator; see its log",
            ))
        }
        Err(_) => {
            abort.abort();
            Err(Trouble::transient(format!(
                "a pass took longer than {} s and was ended",
                PASS_LIMIT.as_secs()
            )))
        }
    }
}

/// When the entity is looked at again, watches aside.
fn next(
    world: &World,
    key: Key,
    generation: Option<i64>,
    outcome: Result<(), Trouble>,
    took: Duration,
) -> Option<Duration> {
    let Err(trouble) = outcome else {
        world.attempts.succeeded(&key);
        tracing::debug!(?took, "done");
        return None;
    };
    tracing::info!(
        ?took,
        class = trouble.class.word(),
        reason = trouble.reason.as_str(),
        cause = %trouble.message,
        "not done"
    );
    if trouble.class != Class::Transient {
        world.attempts.succeeded(&key);
    }
    match trouble.class {
        Class::Invalid => None,
        Class::Waiting if trouble.reason == crate::api::reasons::Reason::WaitingForDeletion => Some(DELETING),
        Class::Waiting | Class::Blocked => {
            let shortest = world.blocked_retry;
            Some(between(shortest, shortest * BLOCKED_SPREAD))
        }
        Class::Transient => {
            world.failed.notify_one();
            Some(world.attempts.failed(key, generation, trouble.retry_after))
        }
    }
}
