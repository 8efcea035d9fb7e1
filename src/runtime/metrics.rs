//! What is counted: passes, writes and watches. Labels never hold names or error texts.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

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

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    /// Passes by controller and result.
    pub passes: Family<PassLabels, Counter>,
    /// How long passes take, in seconds.
    pub durations: Family<ControllerLabels, Histogram>,
    /// Mutating requests that were sent.
    pub writes: Family<WriteLabels, Counter>,
    /// Objects that were found as planned, so that nothing was sent.
    pub skipped: Counter,
    /// Watches that ended and were started again.
    pub watch_restarts: Counter,
    /// Child watches that are open.
    pub child_watches: Gauge<i64, std::sync::atomic::AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("landfall");
        let passes = Family::<PassLabels, Counter>::default();
        let durations = Family::<ControllerLabels, Histogram>::new_with_constructor(|| {
            Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
        });
        let writes = Family::<WriteLabels, Counter>::default();
        let skipped = Counter::default();
        let watch_restarts = Counter::default();
        let child_watches = Gauge::default();
        registry.register(
            "reconcile",
            "Passes over an object, by controller and result",
            passes.clone(),
        );
        registry.register("reconcile_duration_seconds", "How long a pass takes", durations.clone());
        registry.register("writes", "Mutating requests sent to the apiserver", writes.clone());
        registry.register(
            "applies_skipped",
            "Objects found as planned, so that nothing was sent",
            skipped.clone(),
        );
        registry.register(
            "watch_restarts",
            "Watches that ended and were started again",
            watch_restarts.clone(),
        );
        registry.register(
            "child_watches",
            "Watches on templates' objects that are open",
            child_watches.clone(),
        );
        Self {
            registry,
            passes,
            durations,
            writes,
            skipped,
            watch_restarts,
            child_watches,
        }
    }
}

impl Metrics {
    /// Counts one write.
    pub fn wrote(&self, write: &'static str) {
        self.writes.get_or_create(&WriteLabels { write }).inc();
    }

    /// All metrics in the `OpenMetrics` text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}
