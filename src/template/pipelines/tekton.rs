//! Runs of Tekton Pipelines: `PipelineRun`s of `tekton.dev/v1` or `v1beta1`, and the `TaskRun`s that they are made of.

use serde_json::Value;

use super::{keep, list, text};

/// The pipeline that a run names; one that is written into the run, or fetched, is told by a label. Tekton puts the
/// run's own name into its label where it knows none.
pub(super) fn pipeline_name(run: &Value) -> Option<&str> {
    let own = text(run, "/metadata/name");
    [
        "/spec/pipelineRef/name",
        "/metadata/labels/pipelinesascode.tekton.dev~1original-prname",
        "/metadata/labels/tekton.dev~1pipeline",
    ]
    .into_iter()
    .map(|pointer| text(run, pointer))
    .find(|name| !name.is_empty() && *name != own)
}

/// What the condition Succeeded of a run or task says in its field `name`.
fn succeeded<'a>(run: &'a Value, name: &str) -> &'a str {
    list(run, "/status/conditions")
        .find(|condition| condition.get("type").and_then(Value::as_str) == Some("Succeeded"))
        .and_then(|condition| condition.get(name)?.as_str())
        .unwrap_or_default()
}

fn said(run: &Value) -> Option<&str> {
    ["message", "reason"]
        .into_iter()
        .map(|name| succeeded(run, name))
        .find(|said| !said.is_empty())
}

/// The state in one word, from the condition Succeeded: its status and its reason.
pub(super) fn state(run: &Value) -> &'static str {
    let reason = succeeded(run, "reason");
    match succeeded(run, "status") {
        "True" => "Succeeded",
        // Cancelled; before Tekton 1.0 also PipelineRunCancelled and CancelledRunFinally.
        "False" if reason.contains("Cancelled") || reason == "StoppedRunFinally" => "Cancelled",
        "False" => "Failed",
        _ if reason == "PipelineRunPending" || text(run, "/spec/status") == "PipelineRunPending" => "Pending",
        // Not yet seen by its controller.
        "" if text(run, "/status/startTime").is_empty() => "Pending",
        _ => "Running",
    }
}

/// What the engine says about a run. Of a failed one it only counts tasks; the one that failed says why.
pub(super) fn message(run: &Value, task: impl Fn(&Value) -> Option<String>) -> Option<String> {
    let of_task = if has_failed_in_a_task(run) { task(run) } else { None };
    of_task.or_else(|| said(run).map(str::to_owned))
}

/// Whether a run has failed because a task of it has.
pub(super) fn has_failed_in_a_task(run: &Value) -> bool {
    state(run) == "Failed"
        && list(run, "/status/childReferences")
            .any(|child| child.get("kind").and_then(Value::as_str) == Some("TaskRun"))
}

/// Why a run failed, from the `TaskRun`s of it: the one that failed first, and its words. None where none has failed.
pub fn failed_task(tasks: &[&Value]) -> Option<String> {
    let failed = tasks.iter().copied().filter(|task| {
        // One that failed and was to be tried again, or whose failure its pipeline takes, is no cause.
        succeeded(task, "status") == "False" && !matches!(succeeded(task, "reason"), "ToBeRetried" | "FailureIgnored")
    });
    let first = failed.min_by_key(|task| {
        // A task that was stopped because another had failed comes behind that.
        let cancelled = state(task) == "Cancelled" || succeeded(task, "reason") == "TaskRunCancelled";
        (
            cancelled,
            text(task, "/status/completionTime"),
            text(task, "/metadata/name"),
        )
    })?;
    let names = [
        text(first, "/metadata/labels/tekton.dev~1pipelineTask"),
        text(first, "/metadata/name"),
    ];
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    Some(format!(
        "task {name}: {}",
        said(first).unwrap_or("failed and does not say why")
    ))
}

pub(super) fn slim(run: &mut Value) {
    keep(run, "/spec", &["pipelineRef", "params", "status"]);
    keep(
        run,
        "/status",
        &[
            "conditions",
            "startTime",
            "completionTime",
            "results",
            "pipelineResults",
            "childReferences",
        ],
    );
}
