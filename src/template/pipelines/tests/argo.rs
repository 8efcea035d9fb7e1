//! Workflows, as Argo writes them.

use serde_json::json;

use super::super::*;
use super::merge;

fn workflow(name: &str, rest: Value) -> Value {
    let mut run = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
        "metadata": {"name": name, "namespace": "shop-orders-ci", "creationTimestamp": "2026-11-22T10:00:00Z"},
        "spec": {"workflowTemplateRef": {"name": "build"}},
    });
    merge(&mut run, rest);
    run
}

fn only(rest: Value) -> PipelineStatus {
    let run = workflow("build-x7k2p", rest);
    let mut slimmed = run.clone();
    slim(&mut slimmed);
    let shown = super::of(&[&run]);
    assert_eq!(super::of(&[&slimmed]), shown, "what is kept of it shows the same");
    let [pipeline] = &shown[..] else {
        panic!("one run, one pipeline")
    };
    pipeline.clone()
}

#[test]
fn states_times_and_messages() {
    let began = json!({"status": {"startedAt": "2026-11-22T10:00:01Z", "phase": "Running"}});
    let failed = json!({"status": {
        "startedAt": "2026-11-22T10:00:01Z", "finishedAt": "2026-11-22T10:00:31Z", "phase": "Failed",
        "message": "child 'build-x7k2p-2' failed",
        "storedTemplates": {"namespaced/build/main": {"name": "main"}},
        "nodes": {
            "build-x7k2p": {"id": "build-x7k2p", "type": "Steps", "phase": "Failed", "children": ["build-x7k2p-1"], "message": "child 'build-x7k2p-2' failed"},
            "build-x7k2p-1": {"id": "build-x7k2p-1", "type": "Pod", "displayName": "clone", "phase": "Succeeded", "outputs": {"exitCode": "0"}},
            "build-x7k2p-2": {"id": "build-x7k2p-2", "type": "Pod", "displayName": "test", "phase": "Failed", "message": "main: Error (exit code 1)", "inputs": {"parameters": []}},
        },
    }});
    let stopped = json!({"spec": {"shutdown": "Terminate"}, "status": {"phase": "Failed", "message": "Stopped with strategy 'Terminate'"}});
    let broken = json!({"status": {"phase": "Error", "message": "templates.main.steps[0].test undefined"}});
    let waiting =
        json!({"status": {"phase": "Pending", "message": "Waiting for shop/Semaphore/one lock. Lock status: 0/1"}});
    for (rest, state, message) in [
        (json!({}), "Pending", None),
        (
            waiting,
            "Pending",
            Some("Waiting for shop/Semaphore/one lock. Lock status: 0/1"),
        ),
        (began, "Running", None),
        (failed, "Failed", Some("step test: main: Error (exit code 1)")),
        (broken, "Failed", Some("templates.main.steps[0].test undefined")),
        (stopped, "Cancelled", Some("Stopped with strategy 'Terminate'")),
        (
            json!({"status": {"phase": "Succeeded", "message": "fine"}}),
            "Succeeded",
            None,
        ),
    ] {
        let pipeline = only(rest.clone());
        assert_eq!(
            (pipeline.name.as_str(), pipeline.engine.as_str()),
            ("build", "Argo Workflows")
        );
        let last = pipeline.last_run.unwrap();
        assert_eq!(
            (last.state.as_str(), last.message.as_deref()),
            (state, message),
            "{rest}"
        );
        let given = |pointer: &str| rest.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        assert_eq!(
            (last.started, last.finished),
            (given("/status/startedAt"), given("/status/finishedAt"))
        );
    }
}

#[test]
fn a_workflow_is_a_run_of_what_started_it() {
    let none = json!({"workflowTemplateRef": null});
    let label =
        |name: &str, value: &str| json!({"metadata": {"labels": {format!("workflows.argoproj.io/{name}"): value}}});
    for (rest, name) in [
        (label("cron-workflow", "nightly"), "nightly"),
        (label("workflow-template", "deploy"), "deploy"),
        (label("cluster-workflow-template", "scan"), "scan"),
        (json!({"spec": none, "metadata": {"generateName": "hello-"}}), "hello"),
        (json!({"spec": none}), "build-x7k2p"),
    ] {
        assert_eq!(only(rest.clone()).name, name, "{rest}");
    }
}

#[test]
fn revisions_and_pages() {
    let told = json!({
        "metadata": {"annotations": {"example.com/run-url": "https://argo.example.com/workflows/shop/build"}},
        "spec": {"arguments": {"parameters": [{"name": "revision", "value": "main"}]}},
    });
    let last = only(told.clone()).last_run.unwrap();
    assert_eq!(last.revision.as_deref(), Some("main"));
    assert_eq!(
        last.url.as_deref(),
        Some("https://argo.example.com/workflows/shop/build")
    );
    let mut found = told;
    merge(
        &mut found,
        json!({"status": {"outputs": {"parameters": [{"name": "commit-sha", "value": "4c0fb8a"}], "artifacts": []}}}),
    );
    assert_eq!(only(found).last_run.unwrap().revision.as_deref(), Some("4c0fb8a"));
}

#[test]
fn engines_stand_side_by_side() {
    let argo = workflow("build-1", json!({}));
    let tekton = super::run("build-1", "2026-11-22T10:00:00Z", json!({}));
    let shown: Vec<String> = super::of(&[&argo, &tekton])
        .into_iter()
        .map(|pipeline| format!("{} {}", pipeline.name, pipeline.engine))
        .collect();
    assert_eq!(shown, ["build Tekton", "build Argo Workflows"]);
    let other = workflow("a", json!({"kind": "Application"}));
    assert!(super::of(&[&other]).is_empty());
}

#[test]
fn an_engine_is_told_by_what_a_template_holds() {
    for (group, kind, engine) in [
        ("tekton.dev", "Pipeline", Some(Engine::Tekton)),
        ("triggers.tekton.dev", "EventListener", Some(Engine::Tekton)),
        ("pipelinesascode.tekton.dev", "Repository", Some(Engine::Tekton)),
        ("argoproj.io", "CronWorkflow", Some(Engine::Argo)),
        ("argoproj.io", "WorkflowTemplate", Some(Engine::Argo)),
        ("argoproj.io", "Sensor", Some(Engine::Argo)),
        ("argoproj.io", "Application", None),
        ("nottekton.dev", "Pipeline", None),
        ("", "Namespace", None),
    ] {
        let told = Engine::ALL.into_iter().find(|engine| engine.is_told_by(group, kind));
        assert_eq!(told, engine, "{group} {kind}");
    }
}
