//! The rules for what Argo CD, Argo Workflows and Argo Rollouts run.

use serde_json::Value;

use crate::template::health::{Health, Seen, field};

/// An Argo CD Application: healthy when what it deploys is in sync with its source and healthy.
pub(super) fn application(seen: &Seen<'_>) -> Health {
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
    if !compares_what_is_asked(seen) {
        return seen.progressing("Argo CD has not compared the latest change yet");
    }
    let sync = seen.text("/status/sync/status");
    if (sync != "Synced" || is_of_what_is_live(seen))
        && let Some(operation) = operation(seen)
    {
        return operation;
    }
    of_health(seen).unwrap_or_else(|| match sync {
        "Synced" => Health::Healthy,
        "" => seen.progressing("not compared with its source yet, expected Synced"),
        word if seen.object.pointer("/spec/syncPolicy/automated").is_none() => seen.progressing(&format!(
            "is {word}, expected Synced; it has no spec.syncPolicy.automated, so somebody has to sync it"
        )),
        word => seen.progressing(&format!("is {word}, expected Synced")),
    })
}

/// What the aggregated health says; none where it is Healthy.
fn of_health(seen: &Seen<'_>) -> Option<Health> {
    let word = seen.text("/status/health/status");
    let said = unhealthy_resource(seen, word)
        .or_else(|| Some(seen.text("/status/health/message").to_owned()).filter(|said| !said.is_empty()));
    let text = |word: &str| match &said {
        None => format!("is {word}, expected Healthy"),
        Some(said) => format!("is {word}: {said}"),
    };
    match word {
        "Healthy" => None,
        "Progressing" | "Suspended" | "Missing" => Some(seen.progressing(&text(word))),
        "Degraded" => Some(seen.degraded(&text("Degraded"))),
        "" => Some(seen.progressing("no health yet, expected Healthy")),
        word => Some(seen.unknown(&text(word))),
    }
}

/// The first of its resources whose health is `word`, and what is said about it. Argo CD lists their health in the
/// Application only where it is told to (`controller.resource.health.persist`).
fn unhealthy_resource(seen: &Seen<'_>, word: &str) -> Option<String> {
    let is_worst = |resource: &&Value| {
        resource.pointer("/health/status").and_then(Value::as_str) == Some(word) && word != "Healthy"
    };
    let resource = seen.list("/status/resources").find(is_worst)?;
    let said = resource
        .pointer("/health/message")
        .and_then(Value::as_str)
        .filter(|said| !said.is_empty());
    Some(named(resource, said))
}

/// Whether the last sync is that of the revision that is live: its hooks are part of it, and what is live says nothing of them.
fn is_of_what_is_live(seen: &Seen<'_>) -> bool {
    let named = |pointer: &str| {
        ["revision", "revisions"].map(|name| {
            let found = seen.object.pointer(&format!("{pointer}/{name}"));
            found.filter(|found| found.as_str() != Some("") && !found.as_array().is_some_and(Vec::is_empty))
        })
    };
    let live = named("/status/sync");
    // While it runs it may have no result yet.
    let of_it = |pointer: &str| live.iter().any(Option::is_some) && named(pointer) == live;
    of_it("/status/operationState/syncResult") || of_it("/status/operationState/operation/sync")
}

/// What the last sync came to, where it did not succeed.
fn operation(seen: &Seen<'_>) -> Option<Health> {
    let failed = sync_failure(seen.object);
    let said = failed.unwrap_or_else(|| steady(seen.text("/status/operationState/message")).to_owned());
    match seen.text("/status/operationState/phase") {
        "Failed" | "Error" => Some(seen.degraded(&format!("its sync failed: {said}"))),
        "Running" | "Terminating" if said.is_empty() => Some(seen.progressing("is being synced")),
        "Running" | "Terminating" => Some(seen.progressing(&format!("is being synced: {said}"))),
        _ => None,
    }
}

/// The first object that the last sync of an Application could not bring onto the cluster, and what was said about it;
/// none where it lists none.
pub fn sync_failure(application: &Value) -> Option<String> {
    let resources = application.pointer("/status/operationState/syncResult/resources")?;
    let failed = resources.as_array()?.iter().find(|resource| {
        field(resource, "status") == "SyncFailed" || matches!(field(resource, "hookPhase"), "Failed" | "Error")
    })?;
    let said = Some(field(failed, "message")).filter(|said| !said.is_empty());
    Some(named(failed, said))
}

/// A message of an operation without the count and the time of its next try.
fn steady(message: &str) -> &str {
    message
        .split_once(". Retrying attempt #")
        .map_or(message, |(said, _)| said)
}

/// `Deployment shop/web: text`.
fn named(resource: &Value, said: Option<&str>) -> String {
    let namespace = field(resource, "namespace");
    let slash = if namespace.is_empty() { "" } else { "/" };
    let object = format!(
        "{} {namespace}{slash}{}",
        field(resource, "kind"),
        field(resource, "name")
    );
    said.map_or_else(|| object.clone(), |said| format!("{object}: {said}"))
}

/// Whether the comparison is about the source that the spec asks for. An Application has no observed generation.
fn compares_what_is_asked(seen: &Seen<'_>) -> bool {
    let differs = |asked: &Value, compared: &Value| {
        ["repoURL", "path", "chart", "targetRevision"].into_iter().any(|name| {
            let (asked, compared) = (field(asked, name), field(compared, name));
            !asked.is_empty() && !compared.is_empty() && asked != compared
        })
    };
    let pair = |pointer: &str| {
        let asked = seen.object.pointer(&format!("/spec/{pointer}"));
        asked.zip(seen.object.pointer(&format!("/status/sync/comparedTo/{pointer}")))
    };
    if pair("source").is_some_and(|(asked, compared)| differs(asked, compared)) {
        return false;
    }
    let lists = pair("sources").and_then(|(asked, compared)| asked.as_array().zip(compared.as_array()));
    lists.is_none_or(|(asked, compared)| {
        asked.len() == compared.len()
            && !asked
                .iter()
                .zip(compared)
                .any(|(asked, compared)| differs(asked, compared))
    })
}

/// An Argo Workflow.
pub(super) fn workflow(seen: &Seen<'_>) -> Health {
    let cause = workflow_cause(seen.object);
    match seen.text("/status/phase") {
        "Succeeded" => Health::Healthy,
        word @ ("Failed" | "Error") => seen.degraded(&format!("{word}: {}", cause.as_deref().unwrap_or("no message"))),
        _ if seen.object.pointer("/spec/suspend") == Some(&Value::Bool(true)) => {
            seen.progressing("is suspended, expected Succeeded")
        }
        "" => seen.progressing("not started yet, expected Succeeded"),
        word => match cause {
            Some(cause) => seen.progressing(&format!("is {word}: {cause}")),
            None => seen.progressing(&format!("is {word}, expected Succeeded")),
        },
    }
}

/// A `CronWorkflow` does its work when a schedule says so, unless it says that it cannot.
pub(super) fn cron_workflow(seen: &Seen<'_>) -> Health {
    let broken = ["SpecError", "SubmissionError"]
        .into_iter()
        .find(|kind| seen.is_true(kind));
    match broken {
        Some(kind) => seen.degraded(&format!("{kind}: {}", seen.condition_text(kind))),
        None => Health::Healthy,
    }
}

/// An Argo Rollout, which says in one word what its conditions add up to.
pub(super) fn rollout(seen: &Seen<'_>) -> Health {
    // It writes the generation as a text.
    let observed = seen.text("/status/observedGeneration");
    let generation = seen
        .number("/metadata/generation")
        .map(|generation| generation.to_string());
    if !observed.is_empty() && generation.is_some_and(|generation| generation != observed) {
        return seen.unobserved();
    }
    let said = seen.text("/status/message");
    let text = |word: &str| {
        if said.is_empty() {
            format!("is {word}, expected Healthy")
        } else {
            format!("is {word}: {said}")
        }
    };
    match seen.text("/status/phase") {
        "Healthy" => Health::Healthy,
        "Degraded" => seen.degraded(&text("Degraded")),
        "" => seen.progressing("no phase yet, expected Healthy"),
        word => seen.progressing(&text(word)),
    }
}

/// What keeps a Workflow from having succeeded: the message of the step that failed first, or that a step waits
/// for, else the Workflow's own. None where neither says anything.
pub fn workflow_cause(workflow: &Value) -> Option<String> {
    let own = workflow
        .pointer("/status/message")
        .and_then(Value::as_str)
        .filter(|said| !said.is_empty());
    let over = matches!(
        workflow.pointer("/status/phase").and_then(Value::as_str),
        Some("Failed" | "Error")
    );
    let steps = step_in_the_way(workflow, over).map(|step| {
        let name = [field(step, "displayName"), field(step, "name"), field(step, "id")];
        let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        let said = [field(step, "message"), field(step, "phase")];
        let said = said.into_iter().find(|said| !said.is_empty()).unwrap_or_default();
        if field(step, "type") == "Suspend" {
            format!("step {name} waits to be resumed")
        } else {
            format!("step {name}: {said}")
        }
    });
    steps.or_else(|| own.map(str::to_owned))
}

/// The step that failed first and not because another did, or of a Workflow that is not over the one that waits.
fn step_in_the_way(workflow: &Value, over: bool) -> Option<&Value> {
    let nodes = workflow.pointer("/status/nodes")?.as_object()?;
    let has_failed = |node: &Value| matches!(field(node, "phase"), "Failed" | "Error");
    if !over {
        let waits = |node: &&Value| match field(node, "type") {
            "Suspend" => field(node, "phase") == "Running",
            _ => field(node, "phase") == "Pending" && !field(node, "message").is_empty(),
        };
        return nodes.values().find(waits);
    }
    let children = |node: &Value| -> Vec<String> {
        let children = node.get("children").and_then(Value::as_array).into_iter().flatten();
        children.filter_map(|child| child.as_str().map(str::to_owned)).collect()
    };
    // An attempt that failed does no harm where a later one succeeded.
    let mended: Vec<String> = nodes
        .values()
        .filter(|node| field(node, "type") == "Retry" && field(node, "phase") == "Succeeded")
        .flat_map(children)
        .collect();
    let is_cause = |(id, node): &(&String, &Value)| {
        has_failed(node)
            && !mended.contains(id)
            && !children(node)
                .iter()
                .any(|child| nodes.get(child).is_some_and(&has_failed))
    };
    let mut causes: Vec<(&String, &Value)> = nodes.iter().filter(is_cause).collect();
    // A failed step that the flow went on from is not why it failed: the one that a message names is.
    let named = |id: &str| {
        let words = format!("child '{id}' failed");
        let own = workflow.pointer("/status/message").and_then(Value::as_str);
        own == Some(&words) || nodes.values().any(|node| field(node, "message") == words)
    };
    causes.sort_by_key(|(id, node)| (!named(id), field(node, "finishedAt").to_owned(), (*id).clone()));
    causes.first().map(|(_, node)| *node)
}
