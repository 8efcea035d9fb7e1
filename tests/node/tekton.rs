//! Pipelines that run: Tekton's own controller and webhook on the node, and steps in pods.

use std::process::Command;

use serde_json::{Value, json};

use crate::kubectl;
use crate::support::{Cluster, Operator, Stage, condition, eventually, namespace_manifest, repository, resource, with};

const TEKTON: &str = "tekton-pipelines";

/// Builds Tekton where it is not built, installs it on the node as its release does, and waits until it answers.
async fn install(cluster: &Cluster) {
    let script = repository().join("tests/cluster/cluster");
    let built = tokio::task::spawn_blocking(move || Command::new(script).arg("tekton").output().unwrap());
    let built = built.await.unwrap();
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(built.status.success(), "tests/cluster/cluster tekton: {said}");
    let place = String::from_utf8(built.stdout).unwrap();
    let place = place.trim_end();
    let import = repository().join("target/cluster/bin/ctr");
    for name in ["controller", "webhook", "entrypoint", "nop", "workingdirinit"] {
        let archive = format!("{place}/{name}.tar");
        let socket = "/run/containerd/containerd.sock";
        let import = import.to_str().unwrap();
        cluster.enter(&[
            import,
            "--address",
            socket,
            "--namespace",
            "k8s.io",
            "images",
            "import",
            &archive,
        ]);
    }
    let stage = Stage::on(cluster, "tekton").await;
    kubectl(
        &stage,
        &["apply", "--server-side", "-f", &format!("{place}/install.yaml")],
    );
    for name in ["controller", "webhook"] {
        let name = format!("tekton-pipelines-{name}");
        stage
            .becomes(("Deployment", TEKTON, &name), |object| {
                condition(object, "Available").status == "True"
            })
            .await;
    }
    // Its certificate is made after its start, and until then it refuses what it is asked about.
    eventually("Tekton's webhook to answer", async || {
        let file = cluster.directory().join("tried.json");
        std::fs::write(&file, pipeline("default", "true").to_string()).unwrap();
        let tried = cluster.kubectl(&["create", "--dry-run=server", "-f", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&tried.stderr).into_owned();
        tried.status.success().then_some(()).ok_or(said)
    })
    .await;
}

/// Two tasks, one after the other, of which the second runs a script.
fn pipeline(namespace: &str, script: &str) -> Value {
    let task = |name: &str, script: &str| {
        json!({"name": name, "taskSpec": {"steps": [
            {"name": "run", "image": "localhost/busybox:1", "command": ["sh", "-c", script]},
        ]}})
    };
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": "build", "namespace": namespace},
        "spec": {"tasks": [
            task("compile", "echo compiled"),
            with(task("test", script), json!({"runAfter": ["compile"]})),
        ]},
    })
}

/// The last run as the component's status has it.
fn last_run(component: &Value) -> &Value {
    &component["status"]["pipelines"][0]["lastRun"]
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn a_first_run_succeeds_in_pods_and_one_that_fails_says_at_which_task() {
    let cluster = Cluster::own_with_node("tekton").await;
    install(&cluster).await;
    let operator = Operator::start(&cluster).await;
    let stage = Stage::on(&cluster, "pipelines").await;
    let namespace = "${{ resources.ns.metadata.name }}";
    let run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": "first", "namespace": namespace},
        "spec": {"pipelineRef": {"name": "${{ resources.pipeline.metadata.name }}"}},
    });
    stage
        .template_with(
            "service",
            json!([
                resource("ns", namespace_manifest("-ci")),
                resource("pipeline", pipeline(namespace, "${{ parameters.test }}")),
                resource("firstRun", run),
            ]),
            json!({"parameters": {"properties": {"test": {"type": "string"}}}}),
        )
        .await;

    stage
        .component(
            "works",
            json!({"ref": "service", "parameters": {"test": "sleep 3; echo tested"}}),
        )
        .await;
    let works = ("Component", stage.home.as_str(), "works");
    let running = stage
        .becomes(works, |object| last_run(object)["state"] == "Running")
        .await;
    let pipelines = &running["status"]["pipelines"];
    assert_eq!(
        (&pipelines[0]["name"], &pipelines[0]["engine"]),
        (&json!("build"), &json!("Tekton")),
        "{pipelines}"
    );
    assert!(last_run(&running)["started"].is_string(), "{pipelines}");
    assert!(last_run(&running).get("finished").is_none(), "{pipelines}");
    let done = stage
        .becomes(works, |object| last_run(object)["state"] == "Succeeded")
        .await;
    assert!(last_run(&done)["finished"].is_string(), "{}", last_run(&done));
    assert_eq!(condition(&done, "Ready").status, "True");
    // They truly ran: each task in a pod, and the second after the first.
    let namespace = format!("{}-works-ci", stage.home);
    let finished = |task: &str| {
        let pod = format!("first-{task}-pod");
        let ended = "jsonpath={.status.containerStatuses[0].state.terminated.finishedAt}";
        kubectl(&stage, &["get", "pod", &pod, "-n", &namespace, "-o", ended])
    };
    let (compiled, tested) = (finished("compile"), finished("test"));
    assert!(!compiled.is_empty() && compiled < tested, "{compiled} {tested}");
    let log = kubectl(&stage, &["logs", "first-test-pod", "-n", &namespace, "-c", "step-run"]);
    assert_eq!(log, "tested\n");

    stage
        .component(
            "breaks",
            json!({"ref": "service", "parameters": {"test": "echo no good; exit 7"}}),
        )
        .await;
    let breaks = ("Component", stage.home.as_str(), "breaks");
    let failed = stage
        .becomes(breaks, |object| last_run(object)["state"] == "Failed")
        .await;
    let message = last_run(&failed)["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("test") && message.contains("exited with code 7"),
        "{}",
        last_run(&failed)
    );
    // A run that fails is the code's fault, and not the platform's.
    assert_eq!(condition(&failed, "Ready").status, "True");
    // What is as planned is left alone, though Tekton's webhook has written its defaults into it.
    let looked = stage.looked_at("Component", "works").await;
    assert_eq!(condition(&looked, "Ready").status, "True");
    drop(operator);
}
