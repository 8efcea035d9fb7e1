//! The rules for runs and applications of the engines that golden paths are made of, which do not follow kstatus.

use serde_json::Value;

use super::{Health, Seen, field, generic};

pub(super) mod argo;

/// How an object of an engine with rules of its own is; none for every other kind.
pub(super) fn health(seen: &Seen<'_>) -> Option<Health> {
    let health = match (seen.group, seen.kind) {
        ("tekton.dev", "PipelineRun" | "TaskRun" | "CustomRun" | "Run") => tekton_run(seen),
        // Its CRD does not declare the conditions that its controller writes.
        ("triggers.tekton.dev", "EventListener") => generic(seen, true),
        ("argoproj.io", "Application") => argo::application(seen),
        ("argoproj.io", "Workflow") => argo::workflow(seen),
        ("argoproj.io", "CronWorkflow") => argo::cron_workflow(seen),
        ("argoproj.io", "Rollout") => argo::rollout(seen),
        ("bitnami.com", "SealedSecret") => sealed_secret(seen),
        ("gateway.networking.k8s.io", "Gateway") => gateway(seen),
        ("gateway.networking.k8s.io", kind) if kind.ends_with("Route") => routed(seen, "/status/parents", "Accepted"),
        ("route.openshift.io", "Route") => routed(seen, "/status/ingress", "Admitted"),
        _ => return kro(seen),
    };
    Some(health)
}

fn tekton_run(seen: &Seen<'_>) -> Health {
    match seen.condition_status("Succeeded") {
        Some("True") => Health::Healthy,
        Some("False") => seen.degraded(&format!("failed: {}", seen.condition_text("Succeeded"))),
        Some(_) => seen.progressing(&format!("runs: {}", seen.condition_text("Succeeded"))),
        None if seen.text("/spec/status") == "PipelineRunPending" => {
            seen.progressing("is held back by spec.status: PipelineRunPending")
        }
        None => seen.progressing("not started yet, expected the condition Succeeded"),
    }
}

/// An instance of a kind that kro serves. It may have conditions of its author's alone, but it always has a state.
fn kro(seen: &Seen<'_>) -> Option<Health> {
    let marked = || {
        let labels = seen.object.pointer("/metadata/labels").and_then(Value::as_object);
        labels.into_iter().flatten().any(|(key, _)| key.starts_with("kro.run/"))
    };
    if seen.group != "kro.run" && !marked() {
        return None;
    }
    // Of the conditions that are not True, one behind Ready says more than Ready.
    let cause = || {
        let deepest = seen
            .conditions()
            .find(|condition| field(condition, "type") != "Ready" && field(condition, "status") == "False");
        let kind = deepest.map_or("Ready", |condition| field(condition, "type"));
        seen.condition(kind).map(|_| seen.condition_text(kind))
    };
    match seen.text("/status/state") {
        word @ ("ERROR" | "FAILED") => {
            let cause = cause().unwrap_or_else(|| "no condition says why".to_owned());
            Some(seen.degraded(&format!("is {word}: {cause}")))
        }
        word @ ("IN_PROGRESS" | "DELETING") => {
            let cause = cause().unwrap_or_else(|| "expected ACTIVE".to_owned());
            Some(seen.progressing(&format!("is {word}: {cause}")))
        }
        "ACTIVE" if seen.condition("Ready").is_none() => Some(Health::Healthy),
        _ => None,
    }
}

/// A `SealedSecret` says only whether the Secret could be made of it.
fn sealed_secret(seen: &Seen<'_>) -> Health {
    match seen.condition_status("Synced") {
        _ if seen.stale().is_some() => seen.unobserved(),
        Some("True") => Health::Healthy,
        Some("False") => seen.degraded(&format!("not Synced: {}", seen.condition_text("Synced"))),
        _ => seen.progressing("no status yet, expected the condition Synced"),
    }
}

/// A Gateway serves once it is programmed (Gateway API, "Gateway Status").
fn gateway(seen: &Seen<'_>) -> Health {
    if seen.condition_status("Accepted") == Some("False") {
        return seen.degraded(&format!("not Accepted: {}", seen.condition_text("Accepted")));
    }
    match seen.condition_status("Programmed") {
        Some("True") if seen.is_condition_stale("Programmed") => seen.unobserved(),
        Some("True") => Health::Healthy,
        Some(_) => seen.progressing(&format!("not Programmed: {}", seen.condition_text("Programmed"))),
        None => seen.progressing("no gateway has taken it up, expected the condition Programmed"),
    }
}

/// A route is told by each gateway or router that it hangs on, at `pointer`, whether it takes it: all of them must.
fn routed(seen: &Seen<'_>, pointer: &str, wanted: &str) -> Health {
    let mut takers = 0;
    for taker in seen.list(pointer) {
        takers += 1;
        let conditions = || taker.get("conditions").and_then(Value::as_array).into_iter().flatten();
        // A backend that does not exist is told in ResolvedRefs.
        let refused = conditions().find(|condition| {
            [wanted, "ResolvedRefs"].contains(&field(condition, "type")) && field(condition, "status") == "False"
        });
        if let Some(condition) = refused {
            let said = [field(condition, "message"), field(condition, "reason")];
            let said = said
                .into_iter()
                .find(|text| !text.is_empty())
                .unwrap_or("no reason given");
            return seen.degraded(&format!("not {}: {said}", field(condition, "type")));
        }
        if !conditions().any(|condition| field(condition, "type") == wanted && field(condition, "status") == "True") {
            return seen.progressing(&format!("expected the condition {wanted} of all that it hangs on"));
        }
    }
    if takers == 0 {
        return seen.progressing(&format!("nothing has taken it up, expected the condition {wanted}"));
    }
    Health::Healthy
}
