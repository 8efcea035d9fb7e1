//! The picture that a process has of its cluster, filled by watches: for the controllers, and for whoever judges by it and writes
//! nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::awaited::Awaited;
use super::catalog::Catalog;
use super::children::Children;
use super::instance::runs::FailedTasks;
use super::refusals::Refusals;
use super::repairs::Repairs;
use super::turns::Turns;
use super::wakes::Wakes;
use super::watches::{self, Feeds};
use super::world::World;
use crate::runtime::backoff::Attempts;
use crate::runtime::clients::Clients;
use crate::runtime::discovery::KindPicture;
use crate::runtime::events::Events;
use crate::runtime::http::Readiness;
use crate::runtime::metrics::Metrics;
use crate::template::compile::Policy;

/// What a picture is made with.
pub struct Sight {
    /// The clients, with whose rights it is looked.
    pub clients: Arc<Clients>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether everything has been seen once.
    pub ready: Readiness,
    /// What the administrator allows.
    pub policy: Policy,
    /// The shortest wait before something that no watch shows is looked at again.
    pub blocked_retry: Duration,
    /// For how many seconds a watch is kept, 1 to 294.
    pub watch_timeout: u32,
}

/// An empty picture, and what fills it. What comes into it wakes whom `wakes` knows.
pub(super) fn open(sight: Sight, wakes: Wakes) -> (Arc<World>, Feeds) {
    let (stores, feeds) = watches::stores();
    let Sight {
        clients,
        metrics,
        ready,
        policy,
        blocked_retry,
        watch_timeout,
    } = sight;
    let world = World {
        children: Children::new(clients.clone(), wakes.clone(), metrics.clone(), watch_timeout),
        awaited: Awaited::new(clients.clone(), wakes.clone(), watch_timeout),
        kinds: KindPicture::default(),
        events: Events::start(clients.operator()),
        attempts: Attempts::default(),
        failed: Notify::new(),
        catalog: Catalog::default(),
        ready,
        compiled: Mutex::default(),
        tested: Mutex::default(),
        refusals: Refusals::standing_for(blocked_retry),
        repairs: Repairs::default(),
        failed_tasks: FailedTasks::default(),
        turns: Turns::default(),
        policy,
        blocked_retry,
        clients,
        stores,
        wakes,
        metrics,
    };
    (Arc::new(world), feeds)
}

/// Says in `ready` that nothing has been seen yet.
pub fn expect(ready: &Readiness) {
    watches::expect(ready);
}

/// A picture for whoever writes nothing, and what fills it, which ends only with the process.
pub fn follow(sight: Sight) -> (Arc<World>, impl Future<Output = ()> + Send) {
    let (ready, timeout) = (sight.ready.clone(), sight.watch_timeout);
    let (world, feeds) = open(sight, Wakes::of_nobody());
    let watching = watches::run(world.clone(), feeds, ready, None, timeout);
    (world, watching)
}
