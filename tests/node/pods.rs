//! The node is what the other tests take it for.

use serde_json::json;

use crate::support::{Stage, eventually, node_cluster};
use crate::{kubectl, pod_ready, shell};

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn runs_a_pod_whose_logs_can_be_read_and_that_runs_commands() {
    let stage = Stage::on(node_cluster().await, "pods").await;
    let home = stage.home.as_str();
    stage.put(shell(home, "talker", "echo written; sleep 3600")).await;
    let pod = pod_ready(&stage, home, "talker").await;
    assert_eq!(pod["spec"]["nodeName"], "node");
    // As images of ours say: nobody.
    let user = kubectl(&stage, &["exec", "-n", home, "talker", "--", "id", "-u"]);
    assert_eq!(user, "65532\n");
    eventually("the log", async || {
        let log = kubectl(&stage, &["logs", "-n", home, "talker"]);
        if log == "written\n" { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn a_service_is_reached_by_its_address_and_by_its_name() {
    let stage = Stage::on(node_cluster().await, "services").await;
    let home = stage.home.as_str();
    let serve = "cd /tmp && echo served > index.html && exec httpd -f -p 8080";
    let mut server = shell(home, "server", serve);
    server["spec"]["containers"][0]["readinessProbe"] = json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1});
    server["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "tmp", "mountPath": "/tmp"}]);
    server["spec"]["volumes"] = json!([{"name": "tmp", "emptyDir": {}}]);
    stage.put(server).await;
    let service = stage
        .put(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": home},
            "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }))
        .await;
    stage.put(shell(home, "client", "sleep 3600")).await;
    pod_ready(&stage, home, "server").await;
    pod_ready(&stage, home, "client").await;
    let address = service["spec"]["clusterIP"].as_str().unwrap();
    // From another pod, and from the one that serves.
    for from in ["client", "server"] {
        for host in [address, "web", &format!("web.{home}.svc.cluster.local")] {
            let url = format!("http://{host}/");
            eventually(&format!("{url} from {from}"), async || {
                let command = ["exec", "-n", home, from, "--", "wget", "-q", "-O", "-", &url];
                let output = stage.cluster.kubectl(&command);
                match String::from_utf8_lossy(&output.stdout).as_ref() {
                    "served\n" => Ok(()),
                    _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
                }
            })
            .await;
        }
    }
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn a_deployment_rolls_out_and_replaces_a_pod_that_was_deleted() {
    let stage = Stage::on(node_cluster().await, "rollout").await;
    let home = stage.home.as_str();
    let pod = shell(home, "unused", "sleep 3600");
    stage
        .put(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "sleepers", "namespace": home},
            "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": "sleepers"}},
                "template": {"metadata": {"labels": {"app": "sleepers"}}, "spec": {
                    "terminationGracePeriodSeconds": 0, "containers": pod["spec"]["containers"],
                }},
            },
        }))
        .await;
    let place = ("Deployment", home, "sleepers");
    stage
        .becomes(place, |object| object["status"]["readyReplicas"] == 2)
        .await;
    let names = || kubectl(&stage, &["get", "pods", "-n", home, "-l", "app=sleepers", "-o", "name"]);
    let before = names();
    let first = before.lines().next().unwrap();
    kubectl(&stage, &["delete", first, "-n", home]);
    eventually("another pod in its place", async || {
        let now = names();
        let replaced = now.lines().count() == 2 && !now.contains(first);
        if replaced { Ok(()) } else { Err(now) }
    })
    .await;
    stage
        .becomes(place, |object| object["status"]["readyReplicas"] == 2)
        .await;
}
