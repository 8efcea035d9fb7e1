//! Leader election by a `Lease`: of several operators on one cluster one writes, and the others stand by, warm and ready.
//!
//! The leader may write until `renew_deadline` after it *sent* its last renewal ([`Fence`]); another may claim the lease only when
//! it has not seen it change for `lease_duration`, which is longer. Every write of the lease carries the resourceVersion that it
//! is about. A leader that could not renew in time writes nothing until it has renewed; if another has taken over meanwhile, it
//! ends. It never judges by the times that stand in the lease: they are for people.

pub mod decide;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::decide::{Decision, Record, Times, View};
use super::backoff::{Reopening, jittered};
use super::clock::since_boot;
use super::fence::Fence;
use super::metrics::Metrics;

/// How long a leader that ends tries to say so.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);
/// What a released lease promises, as other programs write it.
const RELEASED_SECONDS: i32 = 1;

/// Which lease, and the times of the election.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace of the Lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The times.
    pub times: Times,
}

/// The lease was this process's, and is another's now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Lease {lease} is held by {holder} now; this process has stopped writing and ends, so that it is started anew and stands by"
)]
pub struct Lost {
    lease: String,
    holder: String,
}

/// One candidate.
pub struct Elector {
    api: Api<Lease>,
    settings: Settings,
    identity: String,
    fence: Fence,
    metrics: Arc<Metrics>,
    leading: watch::Sender<bool>,
    view: View,
    /// When the lease was first ours in the present term, for people.
    acquired: Option<MicroTime>,
    /// What was last said in the log of why this process does not lead.
    said: Option<String>,
}

/// How an attempt to write the lease came out.
enum Attempt {
    Accepted,
    /// Someone else was faster.
    Conflict,
    Failed(String),
}

impl Elector {
    /// A candidate of this `identity`, which no other may have. `client` must not be behind `fence`, which it opens and closes.
    pub fn new(client: Client, settings: Settings, identity: &str, fence: Fence, metrics: Arc<Metrics>) -> Self {
        Self {
            api: Api::namespaced(client, &settings.namespace),
            settings,
            identity: identity.to_owned(),
            fence,
            metrics,
            leading: watch::Sender::new(false),
            view: View::default(),
            acquired: None,
            said: None,
        }
    }

    /// Whether this process leads. It turns true once.
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.leading.subscribe()
    }

    /// Stands for election until `leave`; then stops all writes and gives the lease back.
    ///
    /// # Errors
    /// When the lease was ours and another has taken it. Nothing is written any more by then.
    pub async fn run(mut self, leave: CancellationToken) -> Result<(), Lost> {
        let nudge = Arc::new(Notify::new());
        let watching = tokio::spawn(follow(
            self.api.clone(),
            self.settings.name.clone(),
            self.identity.clone(),
            nudge.clone(),
        ));
        let outcome = self.stand(&leave, &nudge).await;
        watching.abort();
        self.fence.close();
        self.metrics.lease_held.set(0);
        if outcome.is_ok() {
            self.release().await;
        }
        outcome
    }

    async fn stand(&mut self, leave: &CancellationToken, nudge: &Notify) -> Result<(), Lost> {
        let mut look = true;
        while !leave.is_cancelled() {
            if look {
                self.look().await;
            }
            let mut pause = jittered(self.settings.times.retry_period);
            match self.view.decide(&self.identity, &self.settings.times, since_boot()) {
                Decision::Claim | Decision::Renew if self.view.record().is_none() && !self.view.is_answered() => {
                    // Nothing is known of it yet.
                    look = true;
                }
                Decision::Claim | Decision::Renew => {
                    let attempt = self.write().await;
                    look = !matches!(attempt, Attempt::Accepted);
                    match attempt {
                        Attempt::Accepted => {}
                        Attempt::Conflict => pause = Duration::ZERO,
                        Attempt::Failed(why) => {
                            self.view.unsettled();
                            self.say(&format!("the lease could not be written: {why}"));
                        }
                    }
                }
                Decision::Wait(until) => {
                    look = true;
                    pause = pause.min(until.saturating_sub(since_boot()));
                    let holder = self.view.record().map_or("nobody", |record| record.holder.as_str());
                    self.say(&format!("standing by: the lease is held by {holder}"));
                }
                Decision::Lost(holder) => {
                    self.fence.close();
                    return Err(Lost {
                        lease: self.lease(),
                        holder,
                    });
                }
            }
            let held = self.fence.check() != Err(super::fence::Refused::NotLeader);
            self.metrics.lease_held.set(i64::from(held));
            tokio::select! {
                () = leave.cancelled() => {}
                () = nudge.notified() => look = true,
                () = tokio::time::sleep(pause) => {}
            }
        }
        Ok(())
    }

    fn lease(&self) -> String {
        format!("{}/{}", self.settings.namespace, self.settings.name)
    }

    /// Logs why this process does not lead, once for each reason.
    fn say(&mut self, why: &str) {
        if self.said.as_deref() != Some(why) {
            tracing::info!(lease = self.lease(), identity = self.identity, "{why}");
            self.said = Some(why.to_owned());
        }
    }

    /// How long one request may take: two fit into the time in which a leader has to renew.
    fn patience(&self) -> Duration {
        self.settings.times.renew_deadline / 2
    }

    async fn look(&mut self) {
        let answer = timeout(self.patience(), self.api.get_opt(&self.settings.name)).await;
        match answer {
            Ok(Ok(lease)) => self.view.saw(lease.as_ref().map(record), since_boot()),
            Ok(Err(error)) => {
                self.view.unanswered();
                self.say(&format!("the lease could not be read: {}", explained(&error, "get")));
            }
            Err(_) => {
                self.view.unanswered();
                self.say("the lease could not be read in time");
            }
        }
    }

    /// Claims or renews, depending on whose the lease is.
    async fn write(&mut self) -> Attempt {
        let sent = since_boot();
        let seen = self.view.record().cloned();
        let renewal = seen.as_ref().is_some_and(|record| record.holder == self.identity);
        if !renewal {
            self.acquired = Some(now());
        }
        let body = self.body(seen.as_ref(), renewal);
        let parameters = PostParams::default();
        let answer = timeout(self.patience(), async {
            if seen.is_some() {
                self.api.replace(&self.settings.name, &parameters, &body).await
            } else {
                self.api.create(&parameters, &body).await
            }
        })
        .await;
        match answer {
            Ok(Ok(lease)) => {
                let times = self.settings.times;
                if !self.view.wrote(record(&lease), &times, sent, since_boot()) {
                    return Attempt::Conflict;
                }
                self.fence.open_until(sent + times.renew_deadline);
                self.leads(renewal);
                Attempt::Accepted
            }
            // Changed, or deleted, or made meanwhile.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Attempt::Conflict,
            Ok(Err(error)) => {
                let verb = if seen.is_some() { "update" } else { "create" };
                Attempt::Failed(explained(&error, verb))
            }
            Err(_) => Attempt::Failed("the apiserver did not answer in time".to_owned()),
        }
    }

    fn leads(&mut self, renewal: bool) {
        if !renewal {
            self.metrics.lease_acquisitions.inc();
        }
        let first = !self.leading.send_replace(true);
        if first || self.said.is_some() {
            tracing::info!(lease = self.lease(), identity = self.identity, "leading");
            self.said = None;
        }
    }

    fn body(&self, seen: Option<&Record>, renewal: bool) -> Lease {
        let transitions = seen.map_or(0, |record| record.transitions + i32::from(!renewal));
        Lease {
            metadata: ObjectMeta {
                name: Some(self.settings.name.clone()),
                namespace: Some(self.settings.namespace.clone()),
                resource_version: seen.map(|record| record.version.clone()),
                labels: Some(BTreeMap::from([(
                    "app.kubernetes.io/name".to_owned(),
                    "landfall".to_owned(),
                )])),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(self.settings.times.lease_duration.as_secs()).ok(),
                acquire_time: self.acquired.clone(),
                renew_time: Some(now()),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Says that nobody holds the lease, so that another can claim it at once.
    async fn release(&mut self) {
        let Some(seen) = self
            .view
            .record()
            .filter(|record| record.holder == self.identity)
            .cloned()
        else {
            return;
        };
        let mut body = self.body(Some(&seen), true);
        if let Some(spec) = &mut body.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(RELEASED_SECONDS);
        }
        let parameters = PostParams::default();
        match timeout(RELEASE_LIMIT, self.api.replace(&self.settings.name, &parameters, &body)).await {
            Ok(Ok(_)) => tracing::info!(lease = self.lease(), "the lease was given back"),
            Ok(Err(error)) => {
                tracing::info!(lease = self.lease(), %error, "the lease could not be given back; it runs out");
            }
            Err(_) => tracing::info!(
                lease = self.lease(),
                "the lease could not be given back in time; it runs out"
            ),
        }
    }
}

/// Wakes the elector when another has done something with the lease: released, deleted or taken it. Without this, as where the
/// right to watch is missing, it is seen at the next look.
async fn follow(api: Api<Lease>, name: String, identity: String, nudge: Arc<Notify>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = std::pin::pin!(watcher::watcher(api, config).backoff(Reopening::default()));
    let (mut holder, mut told) = (None, false);
    while let Some(event) = events.next().await {
        told &= event.is_err();
        match event {
            Ok(Event::Apply(lease) | Event::InitApply(lease)) => {
                let holds = record(&lease).holder;
                if holds != identity && holder.as_ref() != Some(&holds) {
                    nudge.notify_one();
                }
                holder = Some(holds);
            }
            Ok(Event::Delete(_)) => {
                holder = None;
                nudge.notify_one();
            }
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => {
                if let Some((verb, refused)) = forbidden(&error) {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(
                            "what others do with the lease is seen at each look only: {}",
                            explained(refused, verb)
                        );
                    }
                    continue;
                }
                tracing::debug!(%error, "the watch on the lease ended and starts again");
            }
        }
    }
}

/// What the apiserver does not let us do, if it is that.
fn forbidden(error: &watcher::Error) -> Option<(&'static str, &kube::Error)> {
    let (verb, source) = match error {
        watcher::Error::InitialListFailed(source) => ("list", source),
        watcher::Error::WatchStartFailed(source) => ("watch", source),
        _ => return None,
    };
    matches!(source, kube::Error::Api(status) if status.code == 403).then_some((verb, source))
}

fn now() -> MicroTime {
    MicroTime(jiff::Timestamp::now())
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    Record {
        holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
        promise: spec
            .and_then(|spec| spec.lease_duration_seconds)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
        version: lease.resource_version().unwrap_or_default(),
        transitions: spec.and_then(|spec| spec.lease_transitions).unwrap_or(0),
    }
}

fn explained(error: &kube::Error, verb: &str) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => format!(
            "the operator may not {verb} it; grant by a Role in its namespace: apiGroups [coordination.k8s.io], resources [leases], verbs [create], and with resourceNames [its name] verbs [get, list, watch, update] ({})",
            status.message
        ),
        other => other.to_string(),
    }
}
