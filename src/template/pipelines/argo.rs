//! Runs of Argo Workflows: `Workflow`s of `argoproj.io/v1alpha1`.

use serde_json::Value;

use super::{keep, text};
use crate::template::health::workflow_cause;

/// What a Workflow was started from: Argo puts it into labels, the `CronWorkflow` before the template.
pub(super) fn pipeline_name(run: &Value) -> Option<&str> {
    [
        "/metadata/labels/workflows.argoproj.io~1cron-workflow",
        "/metadata/labels/workflows.argoproj.io~1workflow-template",
        "/metadata/labels/workflows.argoproj.io~1cluster-workflow-template",
        "/spec/workflowTemplateRef/name",
    ]
    .into_iter()
    .map(|pointer| text(run, pointer))
    .find(|name| !name.is_empty())
}

/// The state in one word, from the phase.
pub(super) fn state(run: &Value) -> &'static str {
    match text(run, "/status/phase") {
        "Succeeded" => "Succeeded",
        // Argo has no phase for what was ended by hand.
        "Failed" | "Error" if !text(run, "/spec/shutdown").is_empty() => "Cancelled",
        "Failed" | "Error" => "Failed",
        "Running" => "Running",
        _ => "Pending",
    }
}

/// What keeps the run from having succeeded, in the words of the step where there is one.
pub(super) fn message(run: &Value) -> Option<String> {
    match state(run) {
        "Succeeded" => None,
        "Cancelled" => Some(text(run, "/status/message").to_owned()).filter(|said| !said.is_empty()),
        _ => workflow_cause(run),
    }
}

pub(super) fn slim(run: &mut Value) {
    keep(
        run,
        "/spec",
        &["arguments", "workflowTemplateRef", "shutdown", "suspend"],
    );
    keep(
        run,
        "/status",
        &["phase", "message", "startedAt", "finishedAt", "outputs", "nodes"],
    );
    keep(run, "/status/outputs", &["parameters"]);
    let Some(nodes) = run.pointer_mut("/status/nodes").and_then(Value::as_object_mut) else {
        return;
    };
    // Most steps have succeeded, or have not begun; of these only a retry says something of others.
    nodes.retain(|_, node| match text(node, "/phase") {
        "Succeeded" => text(node, "/type") == "Retry",
        "Skipped" | "Omitted" => false,
        _ => true,
    });
    for node in nodes.values_mut() {
        keep(
            node,
            "",
            &[
                "id",
                "name",
                "displayName",
                "type",
                "phase",
                "message",
                "children",
                "finishedAt",
            ],
        );
    }
}
