//! The runs in an instance's namespaces show in its status as they move, and never decide whether it is Ready.

use serde_json::{Value, json};

use crate::support::{Stage, condition, lines, namespace_manifest, resource, with};

fn run(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
        "metadata": {"name": name, "namespace": namespace, "annotations": {"dashboard.example.com/url": "https://ci.example.com/runs/1"}},
        "spec": {
            "pipelineRef": {"name": "build"},
            "params": [{"name": "revision", "value": "4f2c1e9"}],
        },
    })
}

fn succeeded(status: &str, reason: &str, message: &str) -> Value {
    json!([{
        "type": "Succeeded", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }])
}

async fn settled(stage: &Stage<'_>) -> String {
    let task =
        json!({"name": "main", "taskSpec": {"steps": [{"name": "main", "image": "example.com/never-pulled:1"}]}});
    let pipeline = json!({
        "apiVersion": "tekton.dev/v1", "kind": "Pipeline",
        "metadata": {"name": "build", "namespace": "${{ resources.ns.metadata.name }}"},
        "spec": {"params": [{"name": "revision", "type": "string"}], "tasks": [task]},
    });
    stage
        .template(
            "app",
            json!([
                resource("ns", namespace_manifest("-ci")),
                resource("pipeline", pipeline)
            ]),
        )
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    format!("{}-orders-ci", stage.home)
}

#[tokio::test]
async fn runs_show_as_they_move_and_a_failed_one_harms_nothing() {
    let stage = Stage::new("runs").await;
    let namespace = settled(&stage).await;
    let component = ("Component", stage.home.as_str(), "orders");
    // Another's run is another's affair.
    stage.put(run(&stage.home, "elsewhere")).await;

    stage.put(run(&namespace, "run-1")).await;
    let in_state =
        |wanted: &'static str| move |object: &Value| object["status"]["pipelines"][0]["lastRun"]["state"] == wanted;
    let seen = stage.becomes(component, in_state("Pending")).await;
    let pipelines = &seen["status"]["pipelines"];
    assert_eq!(pipelines.as_array().unwrap().len(), 1, "{pipelines}");
    assert_eq!(
        (
            &pipelines[0]["name"],
            &pipelines[0]["namespace"],
            &pipelines[0]["engine"]
        ),
        (&json!("build"), &json!(namespace), &json!("Tekton"))
    );
    let last = &pipelines[0]["lastRun"];
    assert_eq!((&last["name"], &last["revision"]), (&json!("run-1"), &json!("4f2c1e9")));
    assert_eq!(last["url"], "https://ci.example.com/runs/1");

    let place = ("PipelineRun", namespace.as_str(), "run-1");
    let started = "2026-01-01T00:00:00Z";
    stage
        .set_status(
            place,
            json!({"startTime": started, "conditions": succeeded("Unknown", "Running", "1 of 2 tasks")}),
        )
        .await;
    let seen = stage.becomes(component, in_state("Running")).await;
    assert_eq!(seen["status"]["pipelines"][0]["lastRun"]["started"], started);
    assert_eq!(condition(&seen, "Ready").status, "True");

    let finished = "2026-01-01T00:01:00Z";
    let failed = json!({"completionTime": finished, "conditions": succeeded("False", "Failed", "tests failed")});
    stage.set_status(place, failed).await;
    let seen = stage.becomes(component, in_state("Failed")).await;
    let last = &seen["status"]["pipelines"][0]["lastRun"];
    assert_eq!(
        (&last["finished"], &last["message"]),
        (&json!(finished), &json!("tests failed"))
    );
    for kind in ["Ready", "Healthy", "Provisioned"] {
        assert_eq!(condition(&seen, kind).status, "True", "{kind}");
    }
    let seen = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&seen, "Ready").status, "True");

    // The newest run of the pipeline is the one that is shown.
    stage.put(run(&namespace, "run-2")).await;
    let second = ("PipelineRun", namespace.as_str(), "run-2");
    stage
        .set_status(
            second,
            json!({"startTime": started, "conditions": succeeded("True", "Succeeded", "all passed")}),
        )
        .await;
    let seen = stage.becomes(component, in_state("Succeeded")).await;
    assert_eq!(seen["status"]["pipelines"][0]["lastRun"]["name"], "run-2");
    stage.delete(second).await;
    let seen = stage.becomes(component, in_state("Failed")).await;
    assert_eq!(seen["status"]["pipelines"][0]["lastRun"]["name"], "run-1");
}

#[tokio::test]
async fn a_first_run_of_the_template_is_started_once_and_is_no_part_of_readiness() {
    let stage = Stage::new("firstrun").await;
    let metadata = json!({"name": "first", "namespace": "${{ resources.ns.metadata.name }}"});
    let first = with(run("", "first"), json!({"metadata": metadata}));
    stage
        .template(
            "app",
            json!([resource("ns", namespace_manifest("-ci")), resource("firstRun", first)]),
        )
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let namespace = format!("{}-orders-ci", stage.home);
    let place = ("PipelineRun", namespace.as_str(), "first");
    stage
        .set_status(
            place,
            json!({"conditions": succeeded("False", "Failed", "tests failed")}),
        )
        .await;
    let component = ("Component", stage.home.as_str(), "orders");
    let seen = stage
        .becomes(component, |object| {
            object["status"]["pipelines"][0]["lastRun"]["state"] == "Failed"
        })
        .await;
    assert_eq!(condition(&seen, "Ready").status, "True");
    stage.delete(place).await;
    stage
        .becomes(component, |object| object["status"]["pipelines"].is_null())
        .await;
    let seen = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&seen, "Ready").status, "True");
    assert_eq!(stage.get(place).await, None, "what ran is not run again");
}

/// A run of `build` that has failed, and its task that did.
async fn failed_run(stage: &Stage<'_>, namespace: &str, name: &str) {
    stage.put(run(namespace, name)).await;
    let task = format!("{name}-test");
    let labels = json!({"tekton.dev/pipelineRun": name, "tekton.dev/pipelineTask": "test"});
    stage
        .put(json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
            "metadata": {"name": task, "namespace": namespace, "labels": labels},
            "spec": {"taskRef": {"name": "test"}},
        }))
        .await;
    let finished = "2026-01-01T00:01:00Z";
    let why = succeeded("False", "Failed", "\"step-unit\" exited with code 2: Error");
    stage
        .set_status(
            ("TaskRun", namespace, &task),
            json!({"podName": "", "completionTime": finished, "conditions": why}),
        )
        .await;
    let counted = succeeded(
        "False",
        "Failed",
        "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 0",
    );
    let children =
        json!([{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": task, "pipelineTaskName": "test"}]);
    stage
        .set_status(
            ("PipelineRun", namespace, name),
            json!({"completionTime": finished, "conditions": counted, "childReferences": children}),
        )
        .await;
}

#[tokio::test]
async fn a_failed_run_says_which_task_failed_and_is_asked_about_once() {
    let stage = Stage::new("failedtask").await;
    let namespace = settled(&stage).await;
    let mark = stage.cluster.audit().mark().await;
    failed_run(&stage, &namespace, "run-1").await;
    let component = ("Component", stage.home.as_str(), "orders");
    let told = |object: &Value| {
        object["status"]["pipelines"][0]["lastRun"]["message"] == "task test: \"step-unit\" exited with code 2: Error"
    };
    stage.becomes(component, told).await;
    for _ in 0..2 {
        let seen = stage.looked_at("Component", "orders").await;
        assert!(told(&seen), "{}", seen["status"]["pipelines"]);
    }
    let mut asked = stage.asked_since(mark).await;
    asked.retain(|entry| entry.resource.starts_with("taskruns"));
    assert_eq!(asked.len(), 1, "{}", lines(&asked));
    assert_eq!(
        asked[0].impersonated,
        Some(format!("system:serviceaccount:{}:maker", stage.home))
    );
}

#[tokio::test]
async fn workflows_show_beside_them_as_they_move() {
    let stage = Stage::new("workflows").await;
    let place = |kind: &str, name: &str| json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "${{ resources.ns.metadata.name }}"}});
    let spec = json!({"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "example.com/never-pulled:1"}}]});
    let template = with(place("WorkflowTemplate", "build"), json!({"spec": spec}));
    stage
        .template(
            "app",
            json!([
                resource("ns", namespace_manifest("-ci")),
                resource("workflow", template)
            ]),
        )
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let namespace = format!("{}-orders-ci", stage.home);
    let labels = json!({"workflows.argoproj.io/workflow-template": "build"});
    let arguments = json!({"parameters": [{"name": "revision", "value": "4f2c1e9"}]});
    stage
        .put(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
            "metadata": {"name": "build-x7k2p", "namespace": namespace, "labels": labels},
            "spec": {"workflowTemplateRef": {"name": "build"}, "arguments": arguments},
        }))
        .await;
    let component = ("Component", stage.home.as_str(), "orders");
    let in_state =
        |wanted: &'static str| move |object: &Value| object["status"]["pipelines"][0]["lastRun"]["state"] == wanted;
    let seen = stage.becomes(component, in_state("Pending")).await;
    let pipeline = &seen["status"]["pipelines"][0];
    assert_eq!(
        (&pipeline["name"], &pipeline["engine"]),
        (&json!("build"), &json!("Argo Workflows"))
    );
    assert_eq!(pipeline["lastRun"]["revision"], "4f2c1e9");
    // Argo writes the whole object: its kind has no subresource for the status.
    let run = ("Workflow", namespace.as_str(), "build-x7k2p");
    let started = "2026-01-01T00:00:00Z";
    stage
        .edit(run, json!({"status": {"phase": "Running", "startedAt": started}}))
        .await;
    let seen = stage.becomes(component, in_state("Running")).await;
    assert_eq!(seen["status"]["pipelines"][0]["lastRun"]["started"], started);
    let nodes = json!({
        "build-x7k2p": {"id": "build-x7k2p", "type": "Steps", "phase": "Failed", "children": ["build-x7k2p-1"], "message": "child 'build-x7k2p-1' failed"},
        "build-x7k2p-1": {"id": "build-x7k2p-1", "type": "Pod", "displayName": "test", "phase": "Failed", "message": "main: Error (exit code 1)"},
    });
    let failed = json!({"phase": "Failed", "finishedAt": "2026-01-01T00:01:00Z", "message": "child 'build-x7k2p-1' failed", "nodes": nodes});
    stage.edit(run, json!({"status": failed})).await;
    let seen = stage.becomes(component, in_state("Failed")).await;
    let last = &seen["status"]["pipelines"][0]["lastRun"];
    assert_eq!(last["message"], "step test: main: Error (exit code 1)");
    assert_eq!(last["finished"], "2026-01-01T00:01:00Z");
    let seen = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&seen, "Ready").status, "True", "a run decides nothing");
    stage.delete(run).await;
    stage
        .becomes(component, |object| object["status"]["pipelines"].is_null())
        .await;
}
