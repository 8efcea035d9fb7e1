//! From a commit to a service that is built and runs: Git, a real Argo CD, the operator, Tekton and again Argo CD, and pods of the node.
//! `tests/cluster/cluster argocd` builds Argo CD; where that was not done, this is left out, and says so.

use std::time::Instant;

use serde_json::{Value, json};

use crate::cost;
use crate::peer::{ArgoCd, program, with_repository};
use crate::support::{Cluster, Operator, condition, namespace_manifest, resource, skipped};
use crate::tekton::{install_pipelines, last_run, pipeline};

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

/// What the example's template gives a service more here: a pipeline, and its first run.
fn building() -> [Value; 3] {
    let namespace = "${{ resources.ci.metadata.name }}";
    let run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": "first", "namespace": namespace},
        "spec": {"pipelineRef": {"name": "${{ resources.pipeline.metadata.name }}"}},
    });
    let named = namespace_manifest("-ci");
    [
        resource("ci", named),
        resource("pipeline", pipeline(namespace, "echo tested")),
        resource("firstRun", run),
    ]
}

/// The right to it, for the example's account.
fn rights() -> [Value; 2] {
    let rbac = "rbac.authorization.k8s.io";
    let verbs = json!(["get", "list", "watch", "create", "patch", "delete"]);
    let rules = json!([
        {"apiGroups": ["tekton.dev"], "resources": ["pipelines", "pipelineruns"], "verbs": verbs},
        {"apiGroups": ["tekton.dev"], "resources": ["taskruns"], "verbs": ["list"]},
    ]);
    [
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": "builds"}, "rules": rules}),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "builds"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "builds"},
            "subjects": [{"kind": "ServiceAccount", "name": "delivery", "namespace": "platform"}],
        }),
    ]
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn a_commit_becomes_a_service_that_is_built_and_runs_and_the_component_has_its_link() {
    let Some(program) = program() else {
        skipped(
            "from a commit to a service",
            "there is no Argo CD here; tests/cluster/cluster argocd builds it",
        );
        return;
    };
    let cluster = Cluster::own_with_node("commit").await;
    install_pipelines(&cluster).await;
    let operator = Operator::start(&cluster).await;
    // The processes end with this one, and so does what holds them.
    let argo: &'static ArgoCd = Box::leak(Box::new(ArgoCd::start(program, cluster, operator).await));
    let code = argo.git("shipping");
    for environment in ["dev", "prod"] {
        code.write(&format!("deploy/{environment}/web.yaml"), &[service()]);
    }
    code.commit();

    let delivery = argo.delivery("catalog").await;
    let more = building().map(|resource| format!("  - {resource}\n")).concat();
    for (file, mut text) in with_repository(&code) {
        if file == "delivered-service" {
            text = text
                .replace("\n  resources:\n", &format!("\n  resources:\n{more}"))
                // Its own example says how many objects there are.
                .replace("count: 6", "count: 9");
        }
        delivery.git.write_text(&format!("{file}.yaml"), &text);
    }
    delivery.git.write("rights.yaml", &rights());
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
    stage.appears(("PipelineRun", "shop-shipping-ci", "first")).await;
    reached("run");
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
    let built = stage
        .becomes(("Component", "shop", "shipping"), |object| {
            last_run(object)["state"] == "Succeeded"
        })
        .await;
    reached("run Succeeded");
    delivery.becomes("Healthy").await;
    reached("all Healthy");
    println!("from a commit to a service that runs: {}", stages.join(", "));
    println!("{}; {}", argo.memory(), cost::resident(&argo.cluster));
    let tested = [
        "logs",
        "first-test-pod",
        "--namespace=shop-shipping-ci",
        "--container=step-run",
    ];
    assert_eq!(argo.kubectl(&tested), "tested\n");
    assert_eq!(built["status"]["pipelines"][0]["name"], "build");

    let prod = &component["status"]["environments"][1];
    assert_eq!(
        (&prod["name"], &prod["ready"], &prod["url"]),
        (&json!("prod"), &json!(true), &json!("https://shipping.example.com"))
    );
    // And back: without its file there is no service.
    delivery.git.remove("shop.yaml");
    delivery.commit().await;
    stage.vanishes(("Component", "shop", "shipping")).await;
    for name in ["prod", "ci"] {
        let name = format!("shop-shipping-{name}");
        assert_eq!(stage.get(("Namespace", "", &name)).await, None);
    }
    argo.cluster.down();
}
