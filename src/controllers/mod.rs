//! The controllers: watches on our own kinds feed queues, and each entity is looked at one pass at a time.

pub mod catalog;
mod child;
pub mod children;
pub mod instance;
mod namespaces;
mod nesting;
mod queue;
mod record;
pub mod refusals;
pub mod repairs;
pub mod template;
pub mod trouble;
pub mod wakes;
mod watches;
pub mod world;
mod writes;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::catalog::Catalog;
use self::children::Children;
use self::queue::Queue;
use self::trouble::{Class, Trouble};
use self::wakes::{Key, OwnKind, Wakes};
use self::world::World;
use crate::runtime::backoff::{Attempts, between};
use crate::runtime::clients::{Clients, MakeClient};
use crate::runtime::discovery::KindPicture;
use crate::runtime::events::Events;
use crate::runtime::http::{self, Readiness};
use crate::runtime::metrics::{ControllerLabels, Metrics, PassLabels};
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
    /// What templates may hold, whoever writes them.
    pub policy: Policy,
    /// The shortest wait before something that no watch shows is looked at again; the longest is five times as long.
    pub blocked_retry: Duration,
    /// For how many seconds a watch is kept, 1 to 294.
    pub watch_timeout: u32,
    /// How its clients are made.
    pub make_client: MakeClient,
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
    Connect(#[source] kube::Error),
    /// A task that must never end has ended.
    #[error("{0} ended by itself; see the log above")]
    Ended(&'static str),
}

/// Runs the operator until `stop`.
///
/// # Errors
/// When it cannot start, or a part of it ends by itself.
pub async fn run(options: Options, stop: CancellationToken) -> Result<(), RunError> {
    let metrics = Arc::new(Metrics::default());
    let ready = Readiness::default();
    let bound = http::serve(options.listen, metrics.clone(), ready.clone(), stop.clone())
        .await
        .map_err(|source| RunError::Listen {
            address: options.listen,
            source,
        })?;
    tracing::info!(address = %bound, "probes and metrics are served");
    let clients = Arc::new(Clients::connect(options.make_client).await.map_err(RunError::Connect)?);
    let (wakes, queues) = Wakes::new();
    let (stores, feeds) = watches::stores();
    let world = Arc::new(World {
        children: Children::new(clients.clone(), wakes.clone(), metrics.clone(), options.watch_timeout),
        kinds: KindPicture::default(),
        events: Events::start(clients.operator()),
        attempts: Attempts::default(),
        catalog: Catalog::default(),
        ready: ready.clone(),
        compiled: std::sync::Mutex::default(),
        refusals: refusals::Refusals::standing_for(options.blocked_retry),
        repairs: repairs::Repairs::default(),
        policy: options.policy,
        blocked_retry: options.blocked_retry,
        clients,
        stores,
        wakes,
        metrics,
    });
    let watching = watches::run(world.clone(), feeds, ready.clone(), options.watch_timeout);
    let working = work(world.clone(), queues, ready.clone(), stop.clone());
    let stopping = stop.clone();
    let out_of_patience = async move {
        stopping.cancelled().await;
        tracing::info!("stopping");
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        // What is still under way is dropped then; a pass may end at any point without harm.
        () = out_of_patience => Ok(()),
        () = watching => Err(RunError::Ended("a watch on our own kinds")),
        () = working => if stop.is_cancelled() { Ok(()) } else { Err(RunError::Ended("a controller")) },
    }
}

/// Works the queues off, once everything has been seen.
async fn work(world: Arc<World>, queues: wakes::Queues, ready: Readiness, stop: CancellationToken) {
    while !ready.get() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
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
        name = key.name
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
    world
        .metrics
        .passes
        .get_or_create(&PassLabels {
            controller: kind.word(),
            result,
        })
        .inc();
    world
        .metrics
        .durations
        .get_or_create(&ControllerLabels {
            controller: kind.word(),
        })
        .observe(started.elapsed().as_secs_f64());
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
        message = trouble.message,
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
        Class::Transient => Some(world.attempts.failed(key, generation, trouble.retry_after)),
    }
}
