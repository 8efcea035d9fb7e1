//! The rules for runs and applications of the engines that golden paths are made of, which do not follow kstatus.

use serde_json::Value;

use super::{Health, Seen, field, generic};

/// How an object of an engine with rules of its own is; none for every other kind.
pub(super) fn health(seen: &Seen<'_>) -> Option<Health> {
    let health = match (seen.group, seen.kind) {
        ("tekton.dev", "PipelineRun" | "TaskRun" | "CustomRun" | "Run") => tekton_run(seen),
        // Its CRD does not declare the conditions that its controller writes.
        ("triggers.tekton.dev", "EventListener") => generic(seen, true),
        ("argoproj.io", "Application") => application(seen),
        ("argoproj.io", "Workflow") => workflow(seen),
        _ => return None,
    };
    Some(health)
}

fn tekton_run(seen: &Seen<'_>) -> Health {
    match seen.condition_status("Succeeded") {
        Some("True") => Health::Healthy,
        Some("False") => seen.degraded(&format!("failed: {}", seen.condition_text("Succeeded"))),
        Some(_) => seen.progressing(&format!("runs: {}", seen.condition_text("Succeeded"))),
        None => seen.progressing("not started yet, expected the condition Succeeded"),
    }
}

/// An Argo CD Application: its health is that of what it deploys.
fn application(seen: &Seen<'_>) -> Health {
    // Argo CD calls an application Healthy that it could not even compare.
    let error = seen
        .conditions()
        .find(|condition| field(condition, "type").ends_with("Error"));
    if let Some(condition) = error {
        return seen.degraded(&format!(
            "{}: {}",
            field(condition, "type"),
            field(condition, "message")
        ));
    }
    let said = seen.text("/status/health/message");
    let text = |word: &str| {
        if said.is_empty() {
            format!("is {word}, expected Healthy")
        } else {
            format!("is {word}: {said}")
        }
    };
    match seen.text("/status/health/status") {
        "Healthy" => Health::Healthy,
        word @ ("Progressing" | "Suspended" | "Missing") => seen.progressing(&text(word)),
        "Degraded" => seen.degraded(&text("Degraded")),
        "" => seen.progressing("no health yet, expected Healthy"),
        word => seen.unknown(&text(word)),
    }
}

/// An Argo Workflow.
fn workflow(seen: &Seen<'_>) -> Health {
    let said = seen
        .object
        .pointer("/status/message")
        .and_then(Value::as_str)
        .unwrap_or("no message");
    match seen.text("/status/phase") {
        "Succeeded" => Health::Healthy,
        word @ ("Failed" | "Error") => seen.degraded(&format!("{word}: {said}")),
        "" => seen.progressing("not started yet, expected Succeeded"),
        word => seen.progressing(&format!("is {word}, expected Succeeded")),
    }
}
