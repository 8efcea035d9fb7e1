//! What Argo Workflows runs: its own controller on the node, and steps in pods. `tests/cluster/cluster argo-workflows` builds it; where that
//! was not done, this is left out, and says so.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::kubectl;
use crate::support::{Cluster, Operator, Stage, built, condition, eventually, repository, skipped};
use crate::tekton::{import, last_run};

/// Installs Argo Workflows on the node as its release does, and waits until its controller is available.
async fn install(cluster: &Cluster) {
    let script = repository().join("tests/cluster/cluster");
    let output = Command::new(script).arg("argo-workflows").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let place = String::from_utf8(output.stdout).unwrap();
    let place = place.trim_end();
    for image in ["workflow-controller", "argoexec"] {
        import(cluster, &format!("{place}/{image}.tar"));
    }
    let stage = Stage::on(cluster, "workflows").await;
    // Some of its definitions are the cluster's already.
    let apply = ["apply", "--server-side", "--force-conflicts", "--kustomize", place];
    kubectl(&stage, &apply);
    let available = |object: &Value| condition(object, "Available").status == "True";
    let controller = ("Deployment", "argo", "workflow-controller");
    stage.becomes(controller, available).await;
}

/// Writes the files of the example to a directory, with our one image, in which there is no Git.
fn example(place: &Path) {
    fs::create_dir_all(place).unwrap();
    for entry in fs::read_dir(repository().join("examples/argo-workflows")).unwrap() {
        let file = entry.unwrap().path();
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().filter(|line| !line.trim().starts_with("git "));
        let text = lines.map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
        let text = text
            .replace("docker.io/library/golang:1.26", "localhost/busybox:1")
            .replace("/tmp/source", "/dev/shm/source");
        fs::write(place.join(file.file_name().unwrap()), text).unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn the_run_of_a_workflow_succeeds_in_pods_and_one_that_fails_says_at_which_step() {
    if built("argo-workflows").is_none() {
        skipped(
            "what Argo Workflows runs",
            "there is no Argo Workflows here; tests/cluster/cluster argo-workflows builds it",
        );
        return;
    }
    let cluster = Cluster::own_with_node("workflows").await;
    install(&cluster).await;
    let operator = Operator::start(&cluster).await;
    let path = cluster.directory().join("example");
    example(&path);
    let stage = Stage::on(&cluster, "runs").await;
    eventually("the example to be taken", async || {
        let applied = cluster.kubectl(&["apply", "-k", path.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&applied.stderr).into_owned();
        applied.status.success().then_some(()).ok_or(said)
    })
    .await;
    for (name, command) in [("works", "sleep 3; echo tested"), ("breaks", "echo no good; exit 7")] {
        let template = json!({
            "ref": "platform/workflow-service",
            "parameters": {"repository": "harbour-goods/some", "testCommand": command},
        });
        let spec =
            json!({"type": "service", "lifecycle": "production", "owner": "group:shop/checkout", "template": template});
        stage
            .put(json!({
                "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
                "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
            }))
            .await;
    }

    let works = ("Component", "shop", "works");
    let running = stage
        .becomes(works, |object| last_run(object)["state"] == "Running")
        .await;
    let pipelines = &running["status"]["pipelines"];
    assert_eq!(
        (&pipelines[0]["name"], &pipelines[0]["engine"]),
        (&json!("test"), &json!("Argo Workflows")),
        "{pipelines}"
    );
    let done = stage
        .becomes(works, |object| last_run(object)["state"] == "Succeeded")
        .await;
    assert!(last_run(&done)["finished"].is_string(), "{}", last_run(&done));
    assert_eq!(condition(&done, "Ready").status, "True");
    let log = kubectl(&stage, &["logs", "first-test", "-n", "shop-works-ci", "-c", "main"]);
    assert!(log.lines().any(|line| line == "tested"), "{log}"); // beside what the executor says

    let failed = stage
        .becomes(("Component", "shop", "breaks"), |object| {
            last_run(object)["state"] == "Failed"
        })
        .await;
    let message = last_run(&failed)["message"].as_str().unwrap_or_default();
    assert_eq!(message, "step first-test: main: Error (exit code 7)");
    // A run that fails is the code's fault, and not the platform's.
    assert_eq!(condition(&failed, "Ready").status, "True");
    drop(operator);
}
