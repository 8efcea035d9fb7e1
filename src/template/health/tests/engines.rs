//! The kinds of the engines that golden paths are made of: each on its way, healthy, and failed with the deepest
//! message. The blocks are written after what the engines themselves write.

use super::*;

pub(super) fn conditions(conditions: &[Value]) -> Value {
    json!({"status": {"conditions": conditions}})
}

#[test]
fn tekton_runs() {
    for kind in ["PipelineRun", "TaskRun", "CustomRun"] {
        let told = |rest: &str, letter: char| format!("{letter}: {kind} web: {rest}");
        table(
            "tekton.dev/v1",
            kind,
            &[
                (
                    json!({}),
                    &told("not started yet, expected the condition Succeeded", 'P'),
                ),
                (
                    json!({"spec": {"status": "PipelineRunPending"}}),
                    &told("is held back by spec.status: PipelineRunPending", 'P'),
                ),
                (
                    conditions(&[condition(
                        "Succeeded",
                        "Unknown",
                        "Running",
                        "Tasks Completed: 1 (Failed: 0, Cancelled 0), Incomplete: 1, Skipped: 0",
                    )]),
                    &told(
                        "runs: Tasks Completed: 1 (Failed: 0, Cancelled 0), Incomplete: 1, Skipped: 0",
                        'P',
                    ),
                ),
                (
                    conditions(&[condition(
                        "Succeeded",
                        "False",
                        "CouldntGetTask",
                        "Pipeline shop/build can't be Run; it contains Tasks that don't exist: Couldn't retrieve Task \"test\"",
                    )]),
                    &told(
                        "failed: Pipeline shop/build can't be Run; it contains Tasks that don't exist: Couldn't retrieve Task \"test\"",
                        'D',
                    ),
                ),
                (
                    conditions(&[condition(
                        "Succeeded",
                        "False",
                        "Failed",
                        "\"step-unit\" exited with code 1: Error",
                    )]),
                    &told("failed: \"step-unit\" exited with code 1: Error", 'D'),
                ),
                (conditions(&[condition("Succeeded", "True", "Succeeded", "")]), "H"),
            ],
        );
    }
}

#[test]
fn event_listeners() {
    let behind = "Condition Available has status: False with message: Deployment does not have minimum availability.";
    let exists = |kind: &str| condition(kind, "True", &format!("{kind} exists"), &format!("{kind} exists"));
    table(
        "triggers.tekton.dev/v1beta1",
        "EventListener",
        &[
            (
                json!({}),
                "P: EventListener web: no status yet, expected the condition Ready",
            ),
            (
                conditions(&[exists("Deployment"), exists("Service")]),
                "U: EventListener web: its status has no condition Ready; say in readyWhen when it counts as ready",
            ),
            (
                conditions(&[
                    condition(
                        "Available",
                        "False",
                        "MinimumReplicasUnavailable",
                        "Deployment does not have minimum availability.",
                    ),
                    exists("Deployment"),
                    condition("Ready", "False", "", behind),
                ]),
                "P: EventListener web: not Ready: Condition Available has status: False with message: Deployment does not have minimum availability.",
            ),
            (
                conditions(&[
                    exists("Deployment"),
                    condition("Ready", "True", "", "EventListener is ready"),
                ]),
                "H",
            ),
        ],
    );
}

#[test]
fn applications_of_argo_cd() {
    let source = |revision: &str| json!({"repoURL": "https://git.example.com/shop/orders", "path": "deploy", "targetRevision": revision});
    let automated = json!({"source": source("main"), "syncPolicy": {"automated": {"selfHeal": true}}});
    let status = |status: Value| json!({"spec": automated, "status": status});
    let refused = json!({"phase": "Failed", "message": "one or more objects failed to apply, reason: Service \"web\" is invalid",
    "syncResult": {"resources": [
        {"kind": "ConfigMap", "namespace": "shop-dev", "name": "web", "status": "Synced", "message": "configmap/web unchanged"},
        {"kind": "Service", "namespace": "shop-dev", "name": "web", "status": "SyncFailed", "hookPhase": "Failed", "message": "Service \"web\" is invalid: spec.ports: Required value"},
    ]}});
    let hook = failed_hook();
    let again = json!({"phase": "Running", "retryCount": 3, "message": "one or more objects failed to apply, reason: namespaces \"shop-dev\" not found. Retrying attempt #3 at 10:04AM."});
    table(
        "argoproj.io/v1alpha1",
        "Application",
        &[
            (json!({}), "P: Application web: no health yet, expected Healthy"),
            (
                status(json!({"health": {"status": "Missing"}, "sync": {"status": "OutOfSync"}})),
                "P: Application web: is Missing, expected Healthy",
            ),
            (
                status(
                    json!({"health": {"status": "Missing"}, "sync": {"status": "OutOfSync"}, "operationState": {"phase": "Running", "message": "waiting for healthy state of apps/Deployment/web"}}),
                ),
                "P: Application web: is being synced: waiting for healthy state of apps/Deployment/web",
            ),
            (
                status(
                    json!({"health": {"status": "Missing"}, "sync": {"status": "OutOfSync"}, "operationState": again}),
                ),
                "P: Application web: is being synced: one or more objects failed to apply, reason: namespaces \"shop-dev\" not found",
            ),
            (
                status(
                    json!({"health": {"status": "Missing"}, "sync": {"status": "OutOfSync"}, "operationState": refused}),
                ),
                "D: Application web: its sync failed: Service shop-dev/web: Service \"web\" is invalid: spec.ports: Required value",
            ),
            (
                status(
                    json!({"health": {"status": "Healthy"}, "sync": {"status": "OutOfSync"}, "operationState": hook}),
                ),
                "D: Application web: its sync failed: Job shop-dev/migrate: Job has reached the specified backoff limit",
            ),
            (
                // The failure is over: what is live says what the source says.
                status(json!({"health": {"status": "Healthy"}, "sync": {"status": "Synced"}, "operationState": hook})),
                "H",
            ),
            (
                status(
                    json!({"health": {"status": "Degraded", "message": "exceeded its progress deadline"}, "sync": {"status": "Synced"}}),
                ),
                "D: Application web: is Degraded: exceeded its progress deadline",
            ),
            (
                status(
                    json!({"health": {"status": "Degraded"}, "sync": {"status": "Synced"}, "resources": [
                        {"kind": "Service", "namespace": "shop-dev", "name": "web", "health": {"status": "Healthy"}},
                        {"group": "apps", "kind": "Deployment", "namespace": "shop-dev", "name": "web", "health": {"status": "Degraded", "message": "Deployment \"web\" exceeded its progress deadline"}},
                    ]}),
                ),
                "D: Application web: is Degraded: Deployment shop-dev/web: Deployment \"web\" exceeded its progress deadline",
            ),
            (
                status(
                    json!({"health": {"status": "Healthy"}, "sync": {"status": "Unknown"}, "conditions": [{"type": "ComparisonError", "message": "repository not found"}]}),
                ),
                "D: Application web: ComparisonError: repository not found",
            ),
            (
                status(json!({"health": {"status": "Unknown"}, "sync": {"status": "Synced"}})),
                "U: Application web: is Unknown, expected Healthy",
            ),
            (
                status(json!({"health": {"status": "Healthy"}, "sync": {"status": "OutOfSync"}})),
                "P: Application web: is OutOfSync, expected Synced",
            ),
            (
                json!({"spec": {"source": source("main")}, "status": {"health": {"status": "Healthy"}, "sync": {"status": "OutOfSync"}}}),
                "P: Application web: is OutOfSync, expected Synced; it has no spec.syncPolicy.automated, so somebody has to sync it",
            ),
            (
                status(
                    json!({"health": {"status": "Healthy"}, "sync": {"status": "Synced", "comparedTo": {"source": source("v1")}}}),
                ),
                "P: Application web: Argo CD has not compared the latest change yet",
            ),
            (
                status(
                    json!({"health": {"status": "Healthy"}, "sync": {"status": "Synced", "comparedTo": {"source": source("main")}}}),
                ),
                "H",
            ),
        ],
    );
}

/// What Argo CD says of a sync of which a hook has failed.
fn failed_hook() -> Value {
    json!({"phase": "Failed", "message": "one or more synchronization tasks completed unsuccessfully",
        "syncResult": {"resources": [{"group": "batch", "kind": "Job", "namespace": "shop-dev", "name": "migrate", "hookPhase": "Failed", "hookType": "PreSync", "message": "Job has reached the specified backoff limit"}]}})
}

#[test]
fn the_last_sync_of_what_is_live_counts_with_its_hooks() {
    let automated = json!({"syncPolicy": {"automated": {"selfHeal": true}}});
    let status = |status: Value| json!({"spec": automated, "status": status});
    let hook = failed_hook();
    let with_revision = |operation: &Value, revision: &str| {
        let mut operation = operation.clone();
        operation["syncResult"]["revision"] = json!(revision);
        operation
    };
    table(
        "argoproj.io/v1alpha1",
        "Application",
        &[
            (
                // A hook that comes after all is in sync has failed.
                status(
                    json!({"health": {"status": "Healthy"}, "sync": {"status": "Synced", "revision": "4f2c1e9"}, "operationState": with_revision(&hook, "4f2c1e9")}),
                ),
                "D: Application web: its sync failed: Job shop-dev/migrate: Job has reached the specified backoff limit",
            ),
            (
                status(
                    json!({"health": {"status": "Healthy"}, "sync": {"status": "Synced", "revision": "4f2c1e9"}, "operationState": {"phase": "Running", "operation": {"sync": {"revision": "4f2c1e9"}}, "message": "waiting for completion of hook batch/Job/smoke"}}),
                ),
                "P: Application web: is being synced: waiting for completion of hook batch/Job/smoke",
            ),
            (
                // What failed was another revision.
                status(
                    json!({"health": {"status": "Healthy"}, "sync": {"status": "Synced", "revision": "4f2c1e9"}, "operationState": with_revision(&hook, "0000000")}),
                ),
                "H",
            ),
        ],
    );
}

/// A node of a Workflow: its type, name, phase, message and children.
fn node(kind: &str, name: &str, phase: &str, message: &str, children: &[&str]) -> Value {
    json!({"id": name, "name": format!("web.{name}"), "displayName": name, "type": kind, "phase": phase, "message": message, "children": children})
}

fn nodes(nodes: &[Value]) -> Value {
    nodes
        .iter()
        .map(|node| (node["id"].as_str().unwrap().to_owned(), node.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn workflows_of_argo() {
    let failing = [
        node("Steps", "web", "Failed", "child 'web-2' failed", &["web-0"]),
        node("StepGroup", "web-0", "Succeeded", "", &["web-1"]),
        node("Pod", "web-1", "Succeeded", "", &["web-00"]),
        node(
            "StepGroup",
            "web-00",
            "Failed",
            "child 'web-2' failed",
            &["web-2", "web-3"],
        ),
        node("Pod", "web-2", "Failed", "main: Error (exit code 1)", &[]),
        node("Pod", "web-3", "Failed", "main: Error (exit code 7)", &[]),
    ];
    let retried = [
        node("DAG", "web", "Failed", "", &["a", "b"]),
        node("Retry", "a", "Succeeded", "", &["a0", "a1"]),
        node("Pod", "a0", "Failed", "main: Error (exit code 2)", &[]),
        node("Pod", "a1", "Succeeded", "", &[]),
        node(
            "Pod",
            "b",
            "Error",
            "Pod failed before main container starts due to ImagePullBackOff: not found",
            &[],
        ),
    ];
    let pending = [
        node("DAG", "web", "Running", "", &["b"]),
        node(
            "Pod",
            "b",
            "Pending",
            "ImagePullBackOff: Back-off pulling image \"example.com/none:1\"",
            &[],
        ),
    ];
    let held = [
        node("Steps", "web", "Running", "", &["s"]),
        node("Suspend", "s", "Running", "", &[]),
    ];
    table(
        "argoproj.io/v1alpha1",
        "Workflow",
        &[
            (json!({}), "P: Workflow web: not started yet, expected Succeeded"),
            (
                json!({"spec": {"suspend": true}, "status": {"phase": "Running"}}),
                "P: Workflow web: is suspended, expected Succeeded",
            ),
            (
                json!({"status": {"phase": "Running"}}),
                "P: Workflow web: is Running, expected Succeeded",
            ),
            (
                json!({"status": {"phase": "Pending", "message": "Workflow processing has been postponed because too many workflows are already running"}}),
                "P: Workflow web: is Pending: Workflow processing has been postponed because too many workflows are already running",
            ),
            (
                json!({"status": {"phase": "Running", "nodes": nodes(&pending)}}),
                "P: Workflow web: is Running: step b: ImagePullBackOff: Back-off pulling image \"example.com/none:1\"",
            ),
            (
                json!({"status": {"phase": "Running", "nodes": nodes(&held)}}),
                "P: Workflow web: is Running: step s waits to be resumed",
            ),
            (
                json!({"status": {"phase": "Failed", "message": "child 'web-2' failed", "nodes": nodes(&failing)}}),
                "D: Workflow web: Failed: step web-2: main: Error (exit code 1)",
            ),
            (
                json!({"status": {"phase": "Failed", "nodes": nodes(&retried)}}),
                "D: Workflow web: Failed: step b: Pod failed before main container starts due to ImagePullBackOff: not found",
            ),
            (
                // Its nodes are kept elsewhere.
                json!({"status": {"phase": "Failed", "message": "child 'web-1' failed", "offloadNodeStatusVersion": "fnv:1"}}),
                "D: Workflow web: Failed: child 'web-1' failed",
            ),
            (
                json!({"status": {"phase": "Error", "message": "workflow templates not found: shop/none"}}),
                "D: Workflow web: Error: workflow templates not found: shop/none",
            ),
            (json!({"status": {"phase": "Succeeded"}}), "H"),
        ],
    );
    table(
        "argoproj.io/v1alpha1",
        "CronWorkflow",
        &[
            (json!({}), "H"),
            (
                json!({"status": {"active": [], "lastScheduledTime": "2026-11-22T10:00:00Z", "conditions": []}}),
                "H",
            ),
            (
                json!({"status": {"conditions": [{"type": "SubmissionError", "status": "True", "message": "Failed to submit Workflow: templates.main undefined"}]}}),
                "D: CronWorkflow web: SubmissionError: Failed to submit Workflow: templates.main undefined",
            ),
        ],
    );
}

#[test]
fn rollouts() {
    table(
        "argoproj.io/v1alpha1",
        "Rollout",
        &[
            (json!({}), "P: Rollout web: no phase yet, expected Healthy"),
            (
                json!({"status": {"observedGeneration": "1", "phase": "Healthy"}}),
                "P: Rollout web: its controller has not seen the latest change yet",
            ),
            (
                json!({"status": {"observedGeneration": "2", "phase": "Paused", "message": "CanaryPauseStep"}}),
                "P: Rollout web: is Paused: CanaryPauseStep",
            ),
            (
                json!({"status": {"observedGeneration": "2", "phase": "Degraded", "message": "ProgressDeadlineExceeded: ReplicaSet \"web-5d\" has timed out progressing."}}),
                "D: Rollout web: is Degraded: ProgressDeadlineExceeded: ReplicaSet \"web-5d\" has timed out progressing.",
            ),
            (json!({"status": {"observedGeneration": "2", "phase": "Healthy"}}), "H"),
        ],
    );
}
