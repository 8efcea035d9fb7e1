//! Tests on a cluster with a node, where pods run. It needs root, so they run where they are asked for:
//! `make test` does where this machine can have a node, and says so where it cannot.
// What the lints ask of the program is not asked of its tests: here a panic is how a fault is reported.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    clippy::needless_pass_by_value // objects are written in place, as `json!` gives them
)]
// The helpers are those of all tests on a cluster.
#![allow(dead_code, unused_imports, unreachable_pub)]

mod commit;
mod cost;
mod crowd;
mod gitea;
mod helm;
mod image;
mod installation;
#[path = "../../benches/operator/load.rs"]
mod load;
mod machine;
mod operator;
mod outages;
#[path = "../argo_cd/peer.rs"]
mod peer;
mod pods;
mod push;
mod removal;
#[path = "../apiserver/support/mod.rs"]
mod support;
mod tekton;
mod versions;
mod webhook;
mod workflows;

use serde_json::{Value, json};

use support::{Stage, condition};

/// A pod of the image that has a shell and little else.
fn shell(namespace: &str, name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "shell", "image": "localhost/busybox:1", "command": ["sh", "-c", script]}],
        },
    })
}

/// Waits until a pod is Ready, and gives it.
async fn pod_ready(stage: &Stage<'_>, namespace: &str, name: &str) -> Value {
    stage
        .becomes(("Pod", namespace, name), |pod| condition(pod, "Ready").status == "True")
        .await
}

/// Runs kubectl, which must succeed, and gives what it printed.
fn kubectl(stage: &Stage<'_>, arguments: &[&str]) -> String {
    let output = stage.cluster.kubectl(arguments);
    assert!(
        output.status.success(),
        "kubectl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
