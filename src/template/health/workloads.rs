//! The rules for Kubernetes' own kinds.

use serde_json::Value;

use super::{Health, Seen, field};

/// How a built-in object with rules of its own is; none for every other kind.
pub(super) fn health(seen: &Seen<'_>) -> Option<Health> {
    let health = match (seen.group, seen.kind) {
        ("apps", "Deployment") => deployment(seen),
        ("apps", "StatefulSet") => stateful_set(seen),
        ("apps", "DaemonSet") => daemon_set(seen),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => replica_set(seen),
        ("", "Pod") => pod(seen),
        ("batch", "Job") => job(seen),
        ("", "PersistentVolumeClaim") => claim(seen),
        ("", "PersistentVolume") => volume(seen),
        ("", "Service") => service(seen),
        ("networking.k8s.io", "Ingress") => ingress(seen),
        ("policy", "PodDisruptionBudget") => disruption_budget(seen),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(seen),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => by_condition(seen, "Established"),
        ("apiregistration.k8s.io", "APIService") => by_condition(seen, "Available"),
        _ => return None,
    };
    Some(health)
}

/// What an object that is being deleted still waits for, as far as it says.
pub(super) fn terminating(seen: &Seen<'_>) -> String {
    let holds = ["NamespaceFinalizersRemaining", "NamespaceContentRemaining"];
    let waits = holds
        .into_iter()
        .find(|kind| seen.is_true(kind))
        .map(|kind| seen.condition_text(kind));
    let finalizers: Vec<&str> = seen.list("/metadata/finalizers").filter_map(Value::as_str).collect();
    match waits {
        Some(text) => seen.sentence(&format!("is being deleted: {text}")),
        None if finalizers.is_empty() => seen.sentence("is being deleted"),
        None => seen.sentence(&format!(
            "is being deleted, held by the finalizer {}",
            finalizers.join(", ")
        )),
    }
}

/// `what` of the wanted replicas there are: fewer, none where there are enough.
fn lacking(wanted: i64, there: i64, what: &str) -> Option<String> {
    (there < wanted).then(|| format!("{there} of {wanted} replicas {what}"))
}

/// The workload controllers always write the generation that they saw, so that without it they saw nothing.
fn unseen(seen: &Seen<'_>) -> Option<Health> {
    match seen.number("/status/observedGeneration") {
        None => Some(seen.progressing("its controller has not seen it yet")),
        Some(_) => seen.stale(),
    }
}

/// The number of replicas that are wanted; one where the object does not say.
fn replicas(seen: &Seen<'_>) -> i64 {
    seen.number("/spec/replicas").unwrap_or(1)
}

/// The first sentence that there is makes the object progressing; without one it is healthy.
fn first(seen: &Seen<'_>, sentences: impl IntoIterator<Item = Option<String>>) -> Health {
    sentences
        .into_iter()
        .flatten()
        .next()
        .map_or(Health::Healthy, |text| seen.progressing(&text))
}

fn deployment(seen: &Seen<'_>) -> Health {
    if let Some(health) = unseen(seen) {
        return health;
    }
    let wanted = replicas(seen);
    let updated = seen.count("/status/updatedReplicas");
    let lack = [
        lacking(wanted, updated, "updated"),
        surplus(seen.count("/status/replicas"), updated.max(wanted)),
        lacking(wanted, seen.count("/status/availableReplicas"), "available"),
    ];
    let failed = seen
        .condition("Progressing")
        .map(|condition| field(condition, "reason"));
    let lack = lack.into_iter().flatten().next().map(|text| with_failure(seen, text));
    match lack {
        Some(text) if failed == Some("ProgressDeadlineExceeded") => {
            seen.degraded(&format!("{text}; no progress within its deadline"))
        }
        Some(text) => seen.progressing(&text),
        None if wanted > 0 && seen.condition_status("Available") == Some("False") => {
            seen.progressing(&format!("not Available: {}", seen.condition_text("Available")))
        }
        None => Health::Healthy,
    }
}

fn surplus(there: i64, wanted: i64) -> Option<String> {
    (there > wanted).then(|| format!("replicas of an older version still there: {}", there - wanted))
}

/// Adds why pods cannot be made, where the controller says so.
fn with_failure(seen: &Seen<'_>, text: String) -> String {
    if seen.is_true("ReplicaFailure") {
        format!(
            "{text}; pods cannot be created: {}",
            without_pod_name(&seen.condition_text("ReplicaFailure"))
        )
    } else {
        text
    }
}

/// Each attempt has another pod name, which may not make another message each time.
fn without_pod_name(text: &str) -> &str {
    let behind = text.strip_prefix("pods \"").or_else(|| text.strip_prefix("Pod \""));
    behind
        .and_then(|rest| rest.split_once("\" "))
        .map_or(text, |(_, rest)| rest)
}

fn stateful_set(seen: &Seen<'_>) -> Health {
    if let Some(health) = unseen(seen) {
        return health;
    }
    let wanted = replicas(seen);
    let updated = seen.count("/status/updatedReplicas");
    // With a partition, only the replicas from it upwards get the new version; with OnDelete, none by itself.
    let by_hand = seen.text("/spec/updateStrategy/type") == "OnDelete";
    let partition = seen.count("/spec/updateStrategy/rollingUpdate/partition");
    let to_update = if by_hand { 0 } else { (wanted - partition).max(0) };
    let rolling = seen.text("/status/updateRevision") != seen.text("/status/currentRevision");
    first(
        seen,
        [
            lacking(wanted, seen.count("/status/readyReplicas"), "ready"),
            surplus(seen.count("/status/replicas"), wanted),
            if rolling {
                lacking(to_update, updated, "updated")
            } else {
                None
            },
        ],
    )
}

fn daemon_set(seen: &Seen<'_>) -> Health {
    if let Some(health) = unseen(seen) {
        return health;
    }
    let Some(wanted) = seen.number("/status/desiredNumberScheduled") else {
        return seen.progressing("its controller has not counted its nodes yet");
    };
    let by_hand = seen.text("/spec/updateStrategy/type") == "OnDelete";
    let lack = |there: i64, what: &str| (there < wanted).then(|| format!("{there} of {wanted} pods {what}"));
    first(
        seen,
        [
            if by_hand {
                None
            } else {
                lack(seen.count("/status/updatedNumberScheduled"), "updated")
            },
            lack(seen.count("/status/numberReady"), "ready"),
            lack(seen.count("/status/numberAvailable"), "available"),
        ],
    )
}

fn replica_set(seen: &Seen<'_>) -> Health {
    if let Some(health) = unseen(seen) {
        return health;
    }
    let wanted = replicas(seen);
    let lack = lacking(wanted, seen.count("/status/availableReplicas"), "available");
    let surplus = (seen.count("/status/replicas") > wanted).then(|| format!("more than {wanted} replicas are there"));
    first(seen, [lack.map(|text| with_failure(seen, text)), surplus])
}

/// Why a container waits, where nothing but a change will end it.
const HOPELESS: [&str; 7] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
];

/// What there is to know beside the word why a container waits. What the kubelet says itself counts up and names the
/// pod, so that it would be another text each time.
fn behind(container: &Value, reason: &str) -> String {
    let text = |pointer: &str| container.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    match reason {
        "CrashLoopBackOff" => {
            let ended = "/lastState/terminated";
            let code = container.pointer(&format!("{ended}/exitCode")).and_then(Value::as_i64);
            code.map(|code| format!("; it ended with code {code}: {}", text(&format!("{ended}/reason"))))
                .unwrap_or_default()
        }
        "ImagePullBackOff" | "ErrImagePull" | "ErrImageNeverPull" | "InvalidImageName" => {
            format!("; its image is {}", field(container, "image"))
        }
        _ => match text("/state/waiting/message") {
            "" => String::new(),
            said => format!("; {said}"),
        },
    }
}

/// The first container that ended with an error.
fn ended(seen: &Seen<'_>) -> Option<String> {
    let containers = seen
        .list("/status/initContainerStatuses")
        .chain(seen.list("/status/containerStatuses"));
    containers.into_iter().find_map(|container| {
        let ended = container.pointer("/state/terminated")?;
        let code = ended.get("exitCode")?.as_i64().filter(|code| *code != 0)?;
        let said = field(ended, "reason");
        Some(format!(
            "container {} ended with code {code}: {said}",
            field(container, "name")
        ))
    })
}

fn pod(seen: &Seen<'_>) -> Health {
    let phase = seen.text("/status/phase");
    match phase {
        "Succeeded" => return Health::Healthy,
        "Failed" => {
            let said = [seen.text("/status/message"), seen.text("/status/reason")];
            let text = said
                .into_iter()
                .find(|text| !text.is_empty())
                .map(str::to_owned)
                .or_else(|| ended(seen))
                .unwrap_or_else(|| "a container ended with an error".to_owned());
            return seen.degraded(&format!("failed: {text}"));
        }
        "Running" if seen.is_true("Ready") => return Health::Healthy,
        _ => {}
    }
    let containers = seen
        .list("/status/initContainerStatuses")
        .chain(seen.list("/status/containerStatuses"));
    for container in containers {
        let reason = container
            .pointer("/state/waiting/reason")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if HOPELESS.contains(&reason) {
            let name = field(container, "name");
            return seen.degraded(&format!(
                "container {name} waits: {reason}{}",
                behind(container, reason)
            ));
        }
    }
    if seen.condition_status("PodScheduled") == Some("False") {
        return seen.progressing(&format!("not scheduled: {}", seen.condition_text("PodScheduled")));
    }
    match phase {
        "" => seen.progressing("no phase yet, expected Running and Ready"),
        "Running" => seen.progressing("is Running but not Ready"),
        other => seen.progressing(&format!("is {other}, expected Running and Ready")),
    }
}

fn job(seen: &Seen<'_>) -> Health {
    if seen.is_true("Complete") || seen.is_true("SuccessCriteriaMet") {
        return Health::Healthy;
    }
    if let Some(kind) = ["Failed", "FailureTarget"].into_iter().find(|kind| seen.is_true(kind)) {
        return seen.degraded(&format!("failed: {}", seen.condition_text(kind)));
    }
    if seen.is_true("Suspended") || seen.object.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return seen.progressing("is suspended, expected Complete");
    }
    if seen.text("/status/startTime").is_empty() {
        return seen.progressing("not started yet, expected Complete");
    }
    // A job with a fixed number of completions is done after that many; without, after the first.
    let wanted = seen.number("/spec/completions").unwrap_or(1);
    seen.progressing(&format!(
        "{} of {wanted} completions succeeded",
        seen.count("/status/succeeded")
    ))
}

fn claim(seen: &Seen<'_>) -> Health {
    match seen.text("/status/phase") {
        "Bound" => Health::Healthy,
        "Lost" => seen.degraded("its volume is lost"),
        "" => seen.progressing("no phase yet, expected Bound"),
        other => seen.progressing(&format!("is {other}, expected Bound")),
    }
}

fn volume(seen: &Seen<'_>) -> Health {
    match seen.text("/status/phase") {
        "Available" | "Bound" => Health::Healthy,
        "Failed" => seen.degraded("failed to be reclaimed"),
        "" => seen.progressing("no phase yet, expected Available or Bound"),
        other => seen.progressing(&format!("is {other}, expected Available or Bound")),
    }
}

fn has_address(seen: &Seen<'_>) -> bool {
    seen.list("/status/loadBalancer/ingress").next().is_some()
}

fn service(seen: &Seen<'_>) -> Health {
    if seen.text("/spec/type") == "LoadBalancer" && !has_address(seen) {
        return seen.progressing("its load balancer has no address yet");
    }
    Health::Healthy
}

fn ingress(seen: &Seen<'_>) -> Health {
    if has_address(seen) {
        Health::Healthy
    } else {
        seen.progressing("no ingress controller has given it an address yet")
    }
}

fn disruption_budget(seen: &Seen<'_>) -> Health {
    if let Some(health) = unseen(seen) {
        return health;
    }
    let wanted = seen.count("/status/desiredHealthy");
    let there = seen.count("/status/currentHealthy");
    first(
        seen,
        [(there < wanted).then(|| format!("{there} of {wanted} pods healthy"))],
    )
}

fn autoscaler(seen: &Seen<'_>) -> Health {
    if seen.condition_status("AbleToScale") == Some("False") {
        return seen.degraded(&format!("cannot scale: {}", seen.condition_text("AbleToScale")));
    }
    match seen.condition("ScalingActive") {
        // Its target is scaled to zero, which is somebody's will.
        Some(condition) if field(condition, "reason") == "ScalingDisabled" => Health::Healthy,
        Some(condition) if field(condition, "status") == "False" => {
            seen.degraded(&format!("does not scale: {}", seen.condition_text("ScalingActive")))
        }
        Some(_) => Health::Healthy,
        None => seen.progressing("no status yet, expected the condition ScalingActive"),
    }
}

fn by_condition(seen: &Seen<'_>, kind: &str) -> Health {
    match seen.condition_status(kind) {
        Some("True") => Health::Healthy,
        Some(_) => seen.progressing(&format!("not {kind}: {}", seen.condition_text(kind))),
        None => seen.progressing(&format!("no status yet, expected the condition {kind}")),
    }
}
