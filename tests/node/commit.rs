//! From a commit to a service that runs: Git, a real Argo CD, the operator, again Argo CD, and pods of the node. `tests/cluster/cluster
//! argocd` builds Argo CD; where that was not done, this is left out, and says so.

use std::time::Instant;

use serde_json::{Value, json};

use crate::peer::{ArgoCd, program, with_repository};
use crate::support::{Cluster, Operator, condition, skipped};

/// What the service is: a Deployment that the guard rails of its namespace let in.
fn service() -> Value {
    let shell = json!({
        "name": "web", "image": "localhost/busybox:1", "command": ["httpd", "-f", "-p", "8080", "-h", "/bin"],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    let pod = json!({
        "terminationGracePeriodSeconds": 0, "containers": [shell],
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod},
        },
    })
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn a_commit_becomes_a_service_that_runs_and_the_component_has_its_link() {
    let Some(program) = program() else {
        skipped(
            "from a commit to a service",
            "there is no Argo CD here; tests/cluster/cluster argocd builds it",
        );
        return;
    };
    let cluster = Cluster::own_with_node("commit").await;
    let operator = Operator::start(&cluster).await;
    // The processes end with this one, and so does what holds them.
    let argo: &'static ArgoCd = Box::leak(Box::new(ArgoCd::start(program, cluster, operator).await));
    let code = argo.git("shipping");
    for environment in ["dev", "prod"] {
        code.write(&format!("deploy/{environment}/web.yaml"), &[service()]);
    }
    code.commit();

    let delivery = argo.delivery("catalog").await;
    for (file, text) in with_repository(&code) {
        delivery.git.write_text(&format!("{file}.yaml"), &text);
    }
    delivery.git.commit();
    let began = Instant::now();
    delivery.begin();
    let stage = &delivery.stage;
    let mut stages = Vec::new();
    let mut reached = |what: &str| stages.push(format!("{what} {:.1} s", began.elapsed().as_secs_f64()));
    stage.appears(("Component", "shop", "shipping")).await;
    reached("Component");
    stage.appears(("Namespace", "", "shop-shipping-prod")).await;
    reached("namespace");
    stage.appears(("Application", "argocd", "shop-shipping-prod")).await;
    reached("Application");
    stage.appears(("Deployment", "shop-shipping-prod", "web")).await;
    reached("Deployment");
    let runs = |object: &Value| object["status"]["readyReplicas"] == 2;
    stage.becomes(("Deployment", "shop-shipping-prod", "web"), runs).await;
    reached("pods Ready");
    let component = stage
        .becomes(("Component", "shop", "shipping"), |object| {
            condition(object, "Ready").status == "True"
        })
        .await;
    reached("Component Ready");
    delivery.becomes("Healthy").await;
    reached("all Healthy");
    eprintln!(
        "from a commit to a service that runs: {}; {}",
        stages.join(", "),
        argo.memory()
    );

    let prod = &component["status"]["environments"][1];
    assert_eq!(
        (&prod["name"], &prod["ready"], &prod["url"]),
        (&json!("prod"), &json!(true), &json!("https://shipping.example.com"))
    );
    // And back: without its file there is no service.
    delivery.git.remove("shop.yaml");
    delivery.commit().await;
    stage.vanishes(("Component", "shop", "shipping")).await;
    assert_eq!(stage.get(("Namespace", "", "shop-shipping-prod")).await, None);
    argo.cluster.down();
}
