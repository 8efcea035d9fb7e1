//! What is counted: passes, writes, watches, queues and the lease. Labels never hold names or error texts.
//! `docs/operations.md` has a line for each; a test holds the two together.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// Upper bounds of histograms, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// What a pass can come to, beside `done` the classes of trouble.
const RESULTS: [&str; 5] = ["done", "waiting", "blocked", "invalid", "transient"];
/// What can be done to an object.
const WRITES: [&str; 5] = ["create", "apply", "delete", "status", "finalizer"];
/// What is asked for admission.
pub const WEBHOOKS: [&str; 2] = ["instances", "deletions"];
/// What can be answered.
const ANSWERS: [&str; 4] = ["allowed", "warned", "refused", "unreadable"];

/// Which controller, and how it came out.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct PassLabels {
    /// The kind, lower case. Example: `component`.
    pub controller: &'static str,
    /// `done`, `waiting`, `blocked`, `invalid` or `transient`.
    pub result: &'static str,
}

/// Which controller.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ControllerLabels {
    /// The kind, lower case. Example: `component`.
    pub controller: &'static str,
}

/// What was done to an object.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct WriteLabels {
    /// `create`, `apply`, `delete`, `status` or `finalizer`.
    pub write: &'static str,
}

/// Which admission webhook, and what it answered.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct AdmissionLabels {
    /// `instances` or `deletions`.
    pub webhook: &'static str,
    /// `allowed`, `warned`, `refused` or `unreadable`.
    pub answer: &'static str,
}

/// Which admission webhook.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct WebhookLabels {
    /// `instances` or `deletions`.
    pub webhook: &'static str,
}

/// Tells how many wait in a queue, and for how long the first of them has.
type Probe = Box<dyn Fn() -> (usize, Duration) + Send + Sync>;

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    controllers: Vec<&'static str>,
    /// Passes by controller and result.
    pub passes: Family<PassLabels, Counter>,
    /// How long passes take, in seconds.
    pub durations: Family<ControllerLabels, Histogram>,
    queues: Mutex<HashMap<&'static str, Probe>>,
    depths: Family<ControllerLabels, Gauge>,
    oldest: Family<ControllerLabels, Gauge<f64, AtomicU64>>,
    /// Mutating requests that were sent.
    pub writes: Family<WriteLabels, Counter>,
    /// Objects that were found as planned, so that nothing was sent.
    pub skipped: Counter,
    /// Objects that were put right after others had changed or deleted them.
    pub repairs: Counter,
    /// Watches that ended and were started again.
    pub watch_restarts: Counter,
    /// Child watches that are open.
    pub child_watches: Gauge,
    /// Whether this process holds the lease, or needs none: 1 or 0.
    pub lease_held: Gauge,
    /// How often this process has come to hold the lease.
    pub lease_acquisitions: Counter,
    /// Questions of the apiserver whether to admit something, by webhook and answer.
    pub admissions: Family<AdmissionLabels, Counter>,
    /// How long the answer took, in seconds.
    pub admission_durations: Family<WebhookLabels, Histogram>,
}

impl Metrics {
    /// The metrics of a process with these controllers.
    pub fn new(controllers: Vec<&'static str>) -> Self {
        let histogram = || Family::<ControllerLabels, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let metrics = Self {
            registry: Registry::with_prefix("landfall"),
            controllers,
            passes: Family::default(),
            durations: histogram(),
            queues: Mutex::default(),
            depths: Family::default(),
            oldest: Family::default(),
            writes: Family::default(),
            skipped: Counter::default(),
            repairs: Counter::default(),
            watch_restarts: Counter::default(),
            child_watches: Gauge::default(),
            lease_held: Gauge::default(),
            lease_acquisitions: Counter::default(),
            admissions: Family::default(),
            admission_durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
        };
        metrics.begin_at_zero();
        metrics.registered()
    }

    /// What has not happened yet is 0 and not missing: a rate over a series that begins at 1 does not see the first.
    fn begin_at_zero(&self) {
        for controller in self.controllers.iter().copied() {
            for result in RESULTS {
                drop(self.passes.get_or_create(&PassLabels { controller, result }));
            }
            let labels = ControllerLabels { controller };
            drop(self.durations.get_or_create(&labels));
        }
        for webhook in WEBHOOKS {
            for answer in ANSWERS {
                drop(self.admissions.get_or_create(&AdmissionLabels { webhook, answer }));
            }
            drop(self.admission_durations.get_or_create(&WebhookLabels { webhook }));
        }
        for write in WRITES {
            drop(self.writes.get_or_create(&WriteLabels { write }));
        }
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The program's version", Info::new(version));
        let passes = self.passes.clone();
        registry.register("reconcile", "Passes over an object, by controller and result", passes);
        let durations = self.durations.clone();
        registry.register("reconcile_duration_seconds", "How long a pass takes", durations);
        registry.register("queue_depth", "Objects that wait for a pass", self.depths.clone());
        registry.register(
            "queue_oldest_seconds",
            "How long the object that has waited longest has waited so far",
            self.oldest.clone(),
        );
        registry.register("writes", "Mutating requests for the apiserver", self.writes.clone());
        registry.register(
            "applies_skipped",
            "Objects found as planned, so that nothing was sent",
            self.skipped.clone(),
        );
        registry.register(
            "repairs",
            "Objects that were put right after others had changed or deleted them",
            self.repairs.clone(),
        );
        registry.register(
            "watch_restarts",
            "Watches that ended and were started again",
            self.watch_restarts.clone(),
        );
        registry.register(
            "child_watches",
            "Watches on templates' objects that are open",
            self.child_watches.clone(),
        );
        registry.register(
            "lease_held",
            "1 where this process may write: it holds the lease, or runs without election",
            self.lease_held.clone(),
        );
        registry.register(
            "lease_acquisitions",
            "How often this process has come to hold the lease",
            self.lease_acquisitions.clone(),
        );
        let admissions = self.admissions.clone();
        registry.register(
            "admission",
            "Answers to the apiserver, by webhook and answer",
            admissions,
        );
        let durations = self.admission_durations.clone();
        registry.register("admission_duration_seconds", "How long an answer takes", durations);
        self
    }

    /// Counts one write.
    pub fn wrote(&self, write: &'static str) {
        self.writes.get_or_create(&WriteLabels { write }).inc();
    }

    /// Counts one pass.
    pub fn passed(&self, controller: &'static str, result: &'static str, took: Duration) {
        self.passes.get_or_create(&PassLabels { controller, result }).inc();
        self.durations
            .get_or_create(&ControllerLabels { controller })
            .observe(took.as_secs_f64());
    }

    /// Counts one answer to the apiserver.
    pub fn answered(&self, webhook: &'static str, answer: &'static str, took: Duration) {
        self.admissions
            .get_or_create(&AdmissionLabels { webhook, answer })
            .inc();
        let durations = self.admission_durations.get_or_create(&WebhookLabels { webhook });
        durations.observe(took.as_secs_f64());
    }

    /// Shows the queue of `controller` from now on; until then it is shown as empty.
    pub fn shows_queue(&self, controller: &'static str, probe: impl Fn() -> (usize, Duration) + Send + Sync + 'static) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.insert(controller, Box::new(probe));
    }

    /// All metrics in the `OpenMetrics` text format.
    pub fn text(&self) -> String {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for controller in self.controllers.iter().copied() {
            let (depth, oldest) = queues.get(controller).map(|probe| probe()).unwrap_or_default();
            let labels = ControllerLabels { controller };
            let depth = i64::try_from(depth).unwrap_or(i64::MAX);
            self.depths.get_or_create(&labels).set(depth);
            self.oldest.get_or_create(&labels).set(oldest.as_secs_f64());
        }
        drop(queues);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}
