//! Whether an object does what it is there for, read off the object itself.
//!
//! Three sorts of kinds: those that are healthy once they exist, those with rules of their own (the built-in
//! workloads in `workloads`, pipeline and delivery engines in `engines`), and every other one, which is read by
//! the rules of kstatus (kubernetes-sigs/cli-utils, pkg/kstatus), with one difference: a status that says
//! nothing is Unknown and never healthy.

use serde_json::Value;

use crate::api::conditions::bounded;

mod engines;
#[cfg(test)]
mod tests;
mod workloads;

pub use engines::argo::{sync_failure, workflow_cause};

/// The longest text that is taken over from an object, in bytes.
const TEXT_LIMIT: usize = 512;

/// How an object is. Each text names the object, what is seen and what is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does what it is there for, or there is nothing more to it than to exist.
    Healthy,
    /// It is on its way, as far as can be seen.
    Progressing(String),
    /// It has failed, or will not get further by itself.
    Degraded(String),
    /// Its status says nothing that can be read.
    Unknown(String),
    /// It is being deleted.
    Terminating(String),
}

impl Health {
    /// Whether it is [`Health::Healthy`].
    pub fn is_healthy(&self) -> bool {
        *self == Self::Healthy
    }

    /// How an object is whose template says that it is not ready yet. What it says of itself is nearer to why.
    #[must_use]
    pub fn awaited(self, object: &str) -> Self {
        let waits = format!("{object}: readyWhen does not hold yet");
        match self {
            Self::Degraded(said) => Self::Degraded(format!("{waits}; {said}")),
            Self::Progressing(said) => Self::Progressing(format!("{waits}; {said}")),
            _ => Self::Progressing(waits),
        }
    }

    /// The text; none for a healthy object.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Healthy => None,
            Self::Progressing(text) | Self::Degraded(text) | Self::Unknown(text) | Self::Terminating(text) => {
                Some(text)
            }
        }
    }
}

/// How `object` is. `declares_conditions` says whether its kind's schema has `status.conditions`: then it is not
/// ready before it has one.
///
/// Only what the object says goes in, and no clock: the same object gives the same answer for ever. A run
/// (`Job`, `PipelineRun`) is healthy when it has succeeded; whether that counts is for the caller to say.
pub fn health(object: &Value, declares_conditions: bool) -> Health {
    let seen = Seen::of(object);
    if object
        .pointer("/metadata/deletionTimestamp")
        .is_some_and(|time| !time.is_null())
    {
        return Health::Terminating(workloads::terminating(&seen));
    }
    if exists_is_enough(seen.group, seen.kind) {
        return Health::Healthy;
    }
    workloads::health(&seen)
        .or_else(|| engines::health(&seen))
        .unwrap_or_else(|| generic(&seen, declares_conditions))
}

/// Whether [`health`] needs more of an object of this kind than its metadata.
pub fn watch_full(group: &str, kind: &str) -> bool {
    !exists_is_enough(group, kind)
}

/// Kinds whose objects are healthy once they exist, and terminating when their metadata says so.
fn exists_is_enough(group: &str, kind: &str) -> bool {
    match group {
        // A namespace is Active from its creation, and Terminating when it has a deletionTimestamp.
        "" => matches!(
            kind,
            "Namespace"
                | "ConfigMap"
                | "Secret"
                | "ServiceAccount"
                | "ResourceQuota"
                | "LimitRange"
                | "Endpoints"
                | "Event"
                | "PodTemplate"
        ),
        // A CronJob does its work when a schedule says so, and a job of it that failed is the next one's to mend.
        "batch" => kind == "CronJob",
        "apps" => kind == "ControllerRevision",
        "networking.k8s.io" => matches!(kind, "NetworkPolicy" | "IngressClass" | "ServiceCIDR" | "IPAddress"),
        "rbac.authorization.k8s.io"
        | "admissionregistration.k8s.io"
        | "scheduling.k8s.io"
        | "storage.k8s.io"
        | "discovery.k8s.io"
        | "coordination.k8s.io"
        | "node.k8s.io"
        | "events.k8s.io" => true,
        // What Tekton and Argo run, and not a run of it.
        "tekton.dev" => matches!(
            kind,
            "Pipeline" | "Task" | "ClusterTask" | "StepAction" | "VerificationPolicy"
        ),
        "triggers.tekton.dev" => kind != "EventListener",
        "argoproj.io" => matches!(kind, "AppProject" | "WorkflowTemplate" | "ClusterWorkflowTemplate"),
        // Crossplane's way to an account of a cloud: it counts its users and says nothing else.
        _ if kind.ends_with("ProviderConfig") || kind.ends_with("ProviderConfigUsage") => {
            group.ends_with(".crossplane.io") || group.ends_with(".upbound.io")
        }
        _ => false,
    }
}

/// The rules of kstatus, in its order: generation, Reconciling, Stalled, Ready; and Available, where a kind says that
/// instead. What Crossplane and those that are built like it say beside Ready comes before it.
fn generic(seen: &Seen<'_>, declares_conditions: bool) -> Health {
    if !seen.has_status() {
        return if declares_conditions {
            seen.progressing("no status yet, expected the condition Ready")
        } else {
            Health::Healthy
        };
    }
    if let Some(stale) = seen.stale() {
        return stale;
    }
    if seen.is_true("Reconciling") {
        return seen.progressing(&seen.condition_text("Reconciling"));
    }
    if seen.is_true("Stalled") {
        return seen.degraded(&seen.condition_text("Stalled"));
    }
    if let Some(kind) = seen.failed_condition() {
        let word = if kind == "Synced" { "not Synced" } else { kind };
        return seen.degraded(&format!("{word}: {}", seen.condition_text(kind)));
    }
    let summary = ["Ready", "Available"]
        .into_iter()
        .find(|kind| seen.condition(kind).is_some());
    let kind = summary.unwrap_or("Ready");
    match seen.condition_status(kind) {
        Some("True") if seen.is_condition_stale(kind) => seen.unobserved(),
        Some("True") => Health::Healthy,
        Some(_) => seen.progressing(&format!("not {kind}: {}", seen.reason_behind(kind))),
        // A controller that speaks of what is abnormal only, and says that nothing is.
        None if seen.condition_status("Reconciling") == Some("False") => Health::Healthy,
        None if declares_conditions && seen.conditions().next().is_none() => {
            seen.progressing("no condition yet, expected the condition Ready")
        }
        None => seen.unknown("its status has no condition Ready; say in readyWhen when it counts as ready"),
    }
}

/// An object and the parts of it that the rules read.
struct Seen<'a> {
    object: &'a Value,
    group: &'a str,
    kind: &'a str,
    name: &'a str,
}

impl<'a> Seen<'a> {
    fn of(object: &'a Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let group = text("/apiVersion").split_once('/').map_or("", |(group, _)| group);
        Self {
            object,
            group,
            kind: text("/kind"),
            name: text("/metadata/name"),
        }
    }

    /// The text at `pointer`, empty where there is none.
    fn text(&self, pointer: &str) -> &'a str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The number at `pointer`.
    fn number(&self, pointer: &str) -> Option<i64> {
        self.object.pointer(pointer).and_then(Value::as_i64)
    }

    /// The number at `pointer`; counts of zero are left out of a status.
    fn count(&self, pointer: &str) -> i64 {
        self.number(pointer).unwrap_or(0)
    }

    /// The items of the list at `pointer`.
    fn list(&self, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.object
            .pointer(pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }

    fn has_status(&self) -> bool {
        self.object
            .get("status")
            .and_then(Value::as_object)
            .is_some_and(|status| !status.is_empty())
    }

    fn conditions(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.list("/status/conditions")
    }

    fn condition(&self, kind: &str) -> Option<&'a Value> {
        self.conditions()
            .find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
    }

    fn condition_status(&self, kind: &str) -> Option<&'a str> {
        self.condition(kind).map(|condition| field(condition, "status"))
    }

    fn is_true(&self, kind: &str) -> bool {
        self.condition_status(kind) == Some("True")
    }

    /// What a condition says: its message, else its reason, else its status.
    fn condition_text(&self, kind: &str) -> String {
        let Some(condition) = self.condition(kind) else {
            return format!("no condition {kind}");
        };
        let said = ["message", "reason"]
            .into_iter()
            .map(|name| field(condition, name))
            .find(|text| !text.is_empty());
        said.map_or_else(|| format!("{kind} is {}", field(condition, "status")), str::to_owned)
    }

    /// The condition that says of an object that may well be Ready that what was asked for last cannot be had.
    fn failed_condition(&self) -> Option<&'static str> {
        let is =
            |kind: &str, status: &str| self.condition_status(kind) == Some(status) && !self.is_condition_stale(kind);
        let reason = |kind: &str| self.condition(kind).map_or("", |condition| field(condition, "reason"));
        // Upjet's providers, whose calls to a cloud go on by themselves; then Crossplane's own word. To have paused it
        // is somebody's will.
        if is("LastAsyncOperation", "False") {
            Some("LastAsyncOperation")
        } else if is("Synced", "False") && reason("Synced") != "ReconcilePaused" {
            Some("Synced")
        } else if is("ACK.Terminal", "True") {
            Some("ACK.Terminal")
        } else if is("Issuing", "False") && reason("Issuing") == "Failed" {
            // cert-manager's Certificate: Ready says only that there is none.
            Some("Issuing")
        } else {
            None
        }
    }

    /// Why the summary `kind` is not True: its own message, else that of another condition that is False, else its
    /// reason.
    fn reason_behind(&self, kind: &str) -> String {
        let has_message = |condition: &&Value| !field(condition, "message").is_empty();
        if self.condition(kind).as_ref().is_some_and(has_message) {
            return self.condition_text(kind);
        }
        let other = self
            .conditions()
            .filter(|condition| field(condition, "status") == "False")
            .find(has_message);
        match other {
            Some(condition) => format!("{}: {}", field(condition, "type"), field(condition, "message")),
            None => self.condition_text(kind),
        }
    }

    /// Whether the status is about an older content than the object has now.
    fn stale(&self) -> Option<Health> {
        let observed = self.number("/status/observedGeneration")?;
        let generation = self.number("/metadata/generation")?;
        (observed != generation).then(|| self.unobserved())
    }

    fn is_condition_stale(&self, kind: &str) -> bool {
        let observed = self
            .condition(kind)
            .and_then(|condition| condition.get("observedGeneration")?.as_i64());
        let generation = self.number("/metadata/generation");
        matches!((observed, generation), (Some(observed), Some(generation)) if observed != generation)
    }

    fn unobserved(&self) -> Health {
        self.progressing("its controller has not seen the latest change yet")
    }

    /// `<kind> <name>: <text>`, bounded and on one line.
    fn sentence(&self, text: &str) -> String {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        bounded(&format!("{} {}: {line}", self.kind, self.name), TEXT_LIMIT)
    }

    fn progressing(&self, text: &str) -> Health {
        Health::Progressing(self.sentence(text))
    }

    fn degraded(&self, text: &str) -> Health {
        Health::Degraded(self.sentence(text))
    }

    fn unknown(&self, text: &str) -> Health {
        Health::Unknown(self.sentence(text))
    }
}

/// The text of a field, empty where there is none.
fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
