//! Pipelines that run: Tekton's own controller and webhook on the node, and steps in pods.

use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Cluster, Operator, Stage, condition, eventually, namespace_manifest, repository, resource, with};
use crate::{kubectl, pod_ready, shell};

const TEKTON: &str = "tekton-pipelines";

/// Builds Tekton where it is not built, and gives the directory of what installs it.
async fn built() -> String {
    let script = repository().join("tests/cluster/cluster");
    let built = tokio::task::spawn_blocking(move || Command::new(script).arg("tekton").output().unwrap());
    let built = built.await.unwrap();
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(built.status.success(), "tests/cluster/cluster tekton: {said}");
    String::from_utf8(built.stdout).unwrap().trim_end().to_owned()
}

/// Gives an image to the node.
pub fn import(cluster: &Cluster, archive: &str) {
    let ctr = repository().join("target/cluster/bin/ctr");
    let import = ["--namespace", "k8s.io", "images", "import", archive];
    let socket = ["--address", "/run/containerd/containerd.sock"];
    cluster.enter(&[&[ctr.to_str().unwrap()][..], &socket, &import].concat());
}

/// Installs Triggers on a cluster that has Pipelines.
pub async fn install_triggers(stage: &Stage<'_>, place: &str) {
    let images = ["controller", "webhook", "eventlistenersink", "interceptors"];
    let deployments = ["controller", "webhook", "core-interceptors"];
    install(stage, place, "triggers", &images, &deployments).await;
}

/// Installs one of Tekton's parts on the node as its release does, with the images of these programs, and waits until its Deployments
/// are available.
async fn install(stage: &Stage<'_>, place: &str, part: &str, images: &[&str], deployments: &[&str]) {
    for image in images {
        import(stage.cluster, &format!("{place}/{part}-{image}.tar"));
    }
    // Some of it is of kinds about which its webhook is asked, which runs only then.
    eventually(&format!("Tekton's {part} to be installed"), async || {
        let apply = ["apply", "--server-side", "-f", &format!("{place}/{part}.yaml")];
        let applied = stage.cluster.kubectl(&apply);
        let said = String::from_utf8_lossy(&applied.stderr).into_owned();
        applied.status.success().then_some(()).ok_or(said)
    })
    .await;
    for name in deployments {
        let name = format!("tekton-{part}-{name}");
        let available = |object: &Value| condition(object, "Available").status == "True";
        stage.becomes(("Deployment", TEKTON, &name), available).await;
    }
}

/// A cluster with a node on which pipelines run, and the directory of what installs Triggers.
pub async fn with_pipelines(name: &str) -> (Cluster, String) {
    let cluster = Cluster::own_with_node(name).await;
    let place = install_pipelines(&cluster).await;
    (cluster, place)
}

/// Has pipelines run on a cluster with a node.
pub async fn install_pipelines(cluster: &Cluster) -> String {
    let place = built().await;
    let stage = Stage::on(cluster, "tekton").await;
    let images = ["controller", "webhook", "entrypoint", "nop", "workingdirinit"];
    install(&stage, &place, "pipelines", &images, &["controller", "webhook"]).await;
    // Its certificate is made after its start, and until then it refuses what it is asked about.
    eventually("Tekton's webhook to answer", async || {
        let file = cluster.directory().join("tried.json");
        std::fs::write(&file, pipeline("default", "true").to_string()).unwrap();
        let tried = cluster.kubectl(&["create", "--dry-run=server", "-f", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&tried.stderr).into_owned();
        tried.status.success().then_some(()).ok_or(said)
    })
    .await;
    place
}

/// Two tasks, one after the other, of which the second runs a script.
pub fn pipeline(namespace: &str, script: &str) -> Value {
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
pub fn last_run(component: &Value) -> &Value {
    &component["status"]["pipelines"][0]["lastRun"]
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn a_first_run_succeeds_in_pods_and_one_that_fails_says_at_which_task() {
    let (cluster, _) = with_pipelines("tekton").await;
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

/// The key that the Git server signs with.
const KEY: &str = "a key for the test alone";

/// HMAC with SHA-256, as RFC 2104 has it, in hexadecimal digits: how GitHub and Gitea sign what they send.
fn signature(key: &str, body: &str) -> String {
    let padded = |with: u8| -> Vec<u8> {
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(key.as_bytes());
        block.iter().map(|byte| byte ^ with).collect()
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(body).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    outer
        .iter()
        .fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
}

/// Sends the listener of the golden path what GitHub sends for a push, from a pod, and gives what was answered.
fn push(stage: &Stage<'_>, repository: &str, revision: &str, branch: &str, key: &str) -> Result<String, String> {
    let body = json!({
        "ref": format!("refs/heads/{branch}"), "after": revision, "deleted": false,
        "repository": {"full_name": repository},
    })
    .to_string();
    let signed = format!("X-Hub-Signature-256: sha256={}", signature(key, &body));
    let send = ["exec", "-n", &stage.home, "git", "--", "wget", "-q", "-O", "-"];
    let headers = [
        "--header",
        "Content-Type: application/json",
        "--header",
        "X-GitHub-Event: push",
        "--header",
        &signed,
    ];
    let rest = [
        "--post-data",
        &body,
        "http://el-github.webhooks.svc.cluster.local:8080/",
    ];
    let output = stage.cluster.kubectl(&[&send[..], &headers, &rest].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

#[test]
fn what_is_pushed_is_signed_as_rfc_4231_has_it() {
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(signature("Jefe", "what do ya want for nothing?"), expected);
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn a_push_reaches_the_shared_listener_and_starts_a_run_of_the_right_component() {
    let (cluster, place) = with_pipelines("triggers").await;
    let stage = Stage::on(&cluster, "pushes").await;
    install_triggers(&stage, &place).await;

    let operator = Operator::start(&cluster).await;
    let path = repository().join("examples/golden-path");
    let path = path.to_str().unwrap();
    eventually("the golden path to be taken", async || {
        let applied = cluster.kubectl(&["apply", "-k", path]);
        let said = String::from_utf8_lossy(&applied.stderr).into_owned();
        applied.status.success().then_some(()).ok_or(said)
    })
    .await;
    stage
        .put(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "github-webhook", "namespace": "webhooks"},
            "stringData": {"token": KEY},
        }))
        .await;
    for name in ["orders", "payments"] {
        let ready = |object: &Value| condition(object, "Ready").status == "True";
        stage.becomes(("Component", "shop", name), ready).await;
    }
    let listens = |object: &Value| condition(object, "Available").status == "True";
    stage.becomes(("EventListener", "webhooks", "github"), listens).await;
    stage.put(shell(&stage.home, "git", "sleep 3600")).await;
    pod_ready(&stage, &stage.home, "git").await;

    // Three that must start nothing, and one after them that must; that one is the marker.
    let revision = "4f2c1e9d1b7a4c0e8f3a5b6c7d8e9f0a1b2c3d4e";
    eventually("the listener to answer", async || {
        push(&stage, "harbour-goods/payments", revision, "other", KEY)
    })
    .await;
    push(&stage, "harbour-goods/payments", revision, "main", "another key").ok();
    push(&stage, "harbour-goods/unknown", revision, "main", KEY).unwrap();
    push(&stage, "harbour-goods/orders", revision, "main", KEY).unwrap();
    let orders = ("Component", "shop", "orders");
    let seen = stage
        .becomes(orders, |object| last_run(object)["revision"] == revision)
        .await;
    let run = last_run(&seen)["name"].as_str().unwrap();
    assert!(run.starts_with("build-"), "{run}");
    let runs = |namespace: &str| kubectl(&stage, &["get", "pipelineruns", "-n", namespace, "-o", "name"]);
    assert_eq!(runs("shop-orders-ci").lines().count(), 2, "{}", runs("shop-orders-ci"));
    assert_eq!(runs("shop-payments-ci"), "pipelinerun.tekton.dev/first-build\n");
    // It is Tekton that goes on with it, by the account that the template gave it.
    stage
        .becomes(orders, |object| last_run(object)["state"] == "Running")
        .await;
    let account = "jsonpath={.spec.taskRunTemplate.serviceAccountName}";
    let account = kubectl(
        &stage,
        &["get", "pipelinerun", run, "-n", "shop-orders-ci", "-o", account],
    );
    assert_eq!(account, "builder");
    drop(operator);
}
