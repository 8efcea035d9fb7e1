//! When the apiserver is back after it was away: what has failed meanwhile is tried again at once, and not after delays that have
//! grown with every vain try.

use std::sync::Arc;
use std::time::Duration;

use super::world::World;
use crate::runtime::backoff::jittered;
use crate::runtime::fence::Fence;

/// How often the apiserver is asked whether it is back, and at most whether it is away.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Follows outages until the process ends. One is suspected whenever something fails that need not fail again, and is over when
/// the apiserver answers and this process may write.
pub async fn follow(world: Arc<World>, fence: Fence) {
    loop {
        world.failed.notified().await;
        let mut away = false;
        while !is_back(&world, &fence).await {
            away = true;
            tokio::time::sleep(jittered(PAUSE)).await;
        }
        if away {
            tracing::info!("writes are taken again, and what has failed meanwhile is tried again");
            world.attempts.forgive().iter().for_each(|key| world.wakes.wake(key));
        }
        tokio::time::sleep(jittered(PAUSE)).await;
    }
}

async fn is_back(world: &World, fence: &Fence) -> bool {
    let asked = world.clients.operator();
    let answer = tokio::time::timeout(PATIENCE, asked.apiserver_version()).await;
    matches!(answer, Ok(Ok(_))) && fence.check().is_ok()
}
