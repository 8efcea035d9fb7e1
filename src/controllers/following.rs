//! A watch that is kept open for as long as the process lives, and says in readiness what keeps it from seeing.

use std::sync::Arc;

use futures::StreamExt;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::world::World;
use crate::runtime::backoff::Reopening;
use crate::runtime::definitions;
use crate::runtime::http::Readiness;
use crate::runtime::metrics::Metrics;

/// One watch that is kept open for as long as the process lives.
pub struct Following {
    metrics: Arc<Metrics>,
    ready: Readiness,
    /// What is watched.
    what: String,
    listed: bool,
    /// Whether lists come as events.
    streamed: bool,
}

impl Following {
    /// Nothing has been seen yet of `what`, a resource's full name.
    pub fn new(world: &World, ready: &Readiness, what: String) -> Self {
        Self {
            metrics: world.metrics.clone(),
            ready: ready.clone(),
            what,
            listed: false,
            streamed: false,
        }
    }

    /// Has lists come as the first events of the watch, one by one out of the apiserver's cache: pages that its cache has not kept cost
    /// it ten times the work, and a page is held as a whole here. An apiserver that cannot do so is asked for pages.
    #[must_use]
    pub fn streamed(mut self) -> Self {
        self.streamed = true;
        self
    }

    /// Follows one kind, and tells `react` of it.
    pub async fn follow<K>(mut self, api: Api<K>, config: watcher::Config, mut react: impl FnMut(Event<K>) + Send)
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
        K::DynamicType: Eq + std::hash::Hash + Clone,
    {
        let mut reopening = Reopening::default();
        loop {
            // Managed fields are more than half of a small object, and nothing here reads those of our own kinds.
            let config = if self.streamed {
                config.clone().streaming_lists()
            } else {
                config.clone()
            };
            let events = watcher::watcher(api.clone(), config)
                .backoff(Reopening::default())
                .modify(|object| object.managed_fields_mut().clear());
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        let listed = matches!(event, Event::InitDone);
                        react(event);
                        if listed {
                            self.seen();
                            reopening = Reopening::default();
                        }
                    }
                    // A watch that could be opened again says so with its next event only, a list at once.
                    Err(error) if self.cannot_stream(&error) => {
                        self.streamed = false;
                        break;
                    }
                    Err(error) if self.is_refused(&error) => break,
                    Err(_) => {}
                }
            }
            tokio::time::sleep(reopening.next().unwrap_or_default()).await;
        }
    }

    /// Whether the apiserver does not know this way to list: before Kubernetes 1.34 it is not switched on.
    fn cannot_stream(&self, error: &watcher::Error) -> bool {
        self.streamed
            && matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if [400, 422].contains(&status.code))
    }

    fn seen(&mut self) {
        self.listed = true;
        if self.ready.has(&self.what) {
            tracing::info!(what = self.what, "listed and watched");
        }
    }

    /// Says what has gone wrong. Gives whether the apiserver refuses, so that this process sees no more of it than it has.
    fn is_refused(&self, error: &watcher::Error) -> bool {
        self.metrics.watch_restarts.inc();
        let (verb, status) = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status)) => ("list", status),
            watcher::Error::WatchStartFailed(kube::Error::Api(status)) => ("watch", status),
            other => {
                self.tell_of(other);
                return false;
            }
        };
        let why = match status.code {
            403 => {
                let (plural, group) = self.what.split_once('.').unwrap_or((&self.what, "\"\""));
                format!(
                    "the operator may not {verb} them; grant its role: apiGroups [{group}], resources [{plural}], verbs [get, list, watch]"
                )
            }
            404 => format!(
                "the apiserver does not serve them; install their definitions: {}",
                definitions::INSTALL
            ),
            _ => {
                self.tell_of(error);
                return false;
            }
        };
        if self.ready.lacks(&self.what, &why) {
            tracing::warn!(what = self.what, "{why}");
        }
        true
    }

    /// What may pass by itself. What was seen before stands meanwhile.
    fn tell_of(&self, error: &watcher::Error) {
        if self.listed {
            tracing::info!(what = self.what, %error, "a watch ended and starts again");
        } else if self.ready.lacks(&self.what, format!("not listed yet: {error}")) {
            tracing::warn!(what = self.what, %error, "not listed yet; trying again");
        }
    }
}
