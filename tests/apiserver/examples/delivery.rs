//! What Argo CD, Flux and Argo Workflows deliver. Their real definitions are installed; the status is written as their
//! controllers write it (`tests/argo_cd` has Argo CD itself).

use serde_json::{Value, json};

use super::{Stage, stage};
use crate::support::{Operator, condition, eventually};

impl Stage {
    /// An object, as `get("application.argoproj.io", "argocd", "web")`.
    fn object(&self, resource: &str, namespace: &str, name: &str) -> Value {
        let text = self.kubectl(&format!("get {resource} {name} -n {namespace} -o json"));
        serde_json::from_str(&text).unwrap()
    }

    /// Changes an object, as its controller would.
    fn patch(&self, [resource, namespace, name]: [&str; 3], change: &Value, more: &[&str]) {
        let change = change.to_string();
        let mut arguments = vec![
            "patch", resource, name, "-n", namespace, "--type", "merge", "-p", &change,
        ];
        arguments.extend(more);
        let output = self.cluster.kubectl(&arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Waits until the environment of a component says `expected`, and is ready where that is nothing.
    async fn environment(&self, component: &str, name: &str, expected: Option<&str>) {
        eventually(&format!("{name} to say {expected:?}"), async || {
            let status = self.status("Component", "shop", component).await;
            let environments = status["environments"].as_array().cloned().unwrap_or_default();
            let found = environments
                .iter()
                .find(|found| found["name"] == name)
                .cloned()
                .unwrap_or_default();
            let there = found["ready"] == expected.is_none() && found["message"].as_str() == expected;
            if there { Ok(()) } else { Err(found.to_string()) }
        })
        .await;
    }

    /// What `landfall why` says of a component.
    fn why(&self, component: &str) -> String {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["why", &format!("component/{component}"), "-n", "shop"])
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .output()
            .unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }
}

/// What Argo CD says of the Application of an environment, compared with what it asks for.
fn argo_says(stage: &Stage, environment: &str, sync: &str, more: &Value) {
    let name = format!("shop-shipping-{environment}");
    let application = stage.object("application.argoproj.io", "argocd", &name);
    let compared = json!({"source": application["spec"]["source"], "destination": application["spec"]["destination"]});
    let mut status = more.clone();
    status["sync"] = json!({"status": sync, "comparedTo": compared});
    stage.patch(
        ["application.argoproj.io", "argocd", &name],
        &json!({"status": status}),
        &[],
    );
}

#[tokio::test]
async fn argo_cd() {
    let stage = stage().await;
    stage.kubectl("create namespace argocd");
    let before = stage.at_rest().await;
    let _operator = Operator::start(&stage.cluster).await;
    stage.kubectl("apply -k examples/argo-cd");
    stage
        .all_ready("platform", "Template", &["product", "delivered-service"])
        .await;
    stage.all_ready("shop", "System", &["logistics"]).await;
    let project = &stage.object("appproject.argoproj.io", "argocd", "shop-logistics")["spec"];
    assert_eq!(
        project["destinations"],
        json!([{"server": "https://kubernetes.default.svc", "namespace": "shop-*"}])
    );
    assert_eq!(project["sourceRepos"], json!(["https://git.example.com/shop/*"]));

    let unseen = "Application shop-shipping-dev: no health yet, expected Healthy";
    stage
        .says(
            "Component",
            "shop",
            "shipping",
            ["False", "Progressing", &format!("{unseen} (and 1 more)")],
        )
        .await;
    let healthy = json!({"health": {"status": "Healthy"}, "operationState": null});
    argo_says(&stage, "dev", "Synced", &healthy);
    stage.environment("shipping", "dev", None).await;

    // What Argo CD cannot do in production is told by the environment, by the component, and by the command for it.
    let refused = "admission webhook \"policy.example.com\" denied the request: no image without a digest";
    let operation = json!({
        "phase": "Failed", "message": "one or more objects failed to apply", "startedAt": "2026-01-01T00:00:00Z", "operation": {},
        "syncResult": {"revision": "4f2c1e9", "resources": [{"group": "apps", "version": "v1", "kind": "Deployment",
            "namespace": "shop-shipping-prod", "name": "web", "status": "SyncFailed", "message": refused}]},
    });
    argo_says(
        &stage,
        "prod",
        "OutOfSync",
        &json!({"health": {"status": "Missing"}, "operationState": operation}),
    );
    let told = format!("Application shop-shipping-prod: its sync failed: Deployment shop-shipping-prod/web: {refused}");
    stage.environment("shipping", "prod", Some(&told)).await;
    stage.environment("shipping", "dev", None).await;
    stage
        .says("Component", "shop", "shipping", ["False", "Unhealthy", &told])
        .await;
    let why = stage.why("shipping");
    let cause = why.lines().find(|line| line.starts_with("cause:")).unwrap_or_default();
    assert!(
        cause.contains("shop-shipping-prod") && cause.contains("no image without a digest"),
        "{why}"
    );
    argo_says(&stage, "prod", "Synced", &healthy);
    let whole = ["True", "Ready", "6 objects are as planned and healthy"];
    stage.says("Component", "shop", "shipping", whole).await;

    let status = stage.status("Component", "shop", "shipping").await;
    assert_eq!(
        status["environments"][1]["url"], "https://shipping.example.com",
        "{status:#}"
    );

    promotion(&stage, &healthy).await;
    stage.says("Component", "shop", "shipping", whole).await;

    // An environment that is not wanted any more goes with its Application, and no other does.
    stage.patch(
        ["component", "shop", "shipping"],
        &json!({"spec": {"template": {"parameters": {"environments": {"dev": null}}}}}),
        &[],
    );
    eventually("the namespace to go", async || {
        let gone = stage.namespace("shop-shipping-dev").await.is_none();
        gone.then_some(()).ok_or("it is there")
    })
    .await;
    assert_eq!(
        stage.names("applications.argoproj.io", "argocd"),
        ["shop-shipping-prod"]
    );

    stage.kubectl("delete -f examples/argo-cd/shop.yaml --timeout=60s");
    assert_eq!(stage.names("applications.argoproj.io", "argocd"), Vec::<String>::new());
    assert_eq!(stage.names("appprojects.argoproj.io", "argocd"), Vec::<String>::new());
    stage.kubectl("delete -k examples/argo-cd --ignore-not-found --timeout=60s");
    stage.is_again(&before).await;
    stage.kubectl("delete namespace argocd --timeout=60s");
}

/// A commit to the Component moves production, and nothing else.
async fn promotion(stage: &Stage, healthy: &Value) {
    let dev = stage.object("application.argoproj.io", "argocd", "shop-shipping-dev");
    stage.patch(
        ["component", "shop", "shipping"],
        &json!({"spec": {"template": {"parameters": {"environments": {"prod": {"revision": "9a8b7c6"}}}}}}),
        &[],
    );
    // Argo CD has not seen it yet: until it has, production is not what it is to be.
    let behind = "Application shop-shipping-prod: Argo CD has not compared the latest change yet";
    stage.environment("shipping", "prod", Some(behind)).await;
    let prod = stage.object("application.argoproj.io", "argocd", "shop-shipping-prod");
    assert_eq!(prod["spec"]["source"]["targetRevision"], "9a8b7c6");
    argo_says(stage, "prod", "Synced", healthy);
    stage.environment("shipping", "prod", None).await;
    let now = stage.object("application.argoproj.io", "argocd", "shop-shipping-dev");
    assert_eq!(now["metadata"]["resourceVersion"], dev["metadata"]["resourceVersion"]);
}

/// What a controller of Flux's says of an object: its conditions, for the generation that it has.
fn flux_says(stage: &Stage, [resource, namespace, name]: [&str; 3], conditions: &[[&str; 4]]) {
    let generation = stage.object(resource, namespace, name)["metadata"]["generation"].clone();
    let condition = |[kind, status, reason, message]: &[&str; 4]| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let conditions: Vec<Value> = conditions.iter().map(condition).collect();
    let status = json!({"status": {"observedGeneration": generation, "conditions": conditions}});
    stage.patch([resource, namespace, name], &status, &["--subresource=status"]);
}

#[tokio::test]
async fn flux() {
    let (source, kustomization) = (
        "gitrepository.source.toolkit.fluxcd.io",
        "kustomization.kustomize.toolkit.fluxcd.io",
    );
    let stage = stage().await;
    let before = stage.at_rest().await;
    let _operator = Operator::start(&stage.cluster).await;
    stage.kubectl("apply -k examples/flux");
    stage.all_ready("platform", "Template", &["flux-service"]).await;
    // Its definitions say of a new object that nothing has been seen, by a generation of -1.
    stage
        .environment(
            "returns",
            "dev",
            Some("GitRepository returns: its controller has not seen the latest change yet"),
        )
        .await;
    let stored = [["Ready", "True", "Succeeded", "stored artifact for revision main"]];
    let promoted = "returns-4f2c1e90c2";
    let prod = &stage.object(source, "shop-returns-prod", promoted)["spec"]["ref"];
    assert_eq!(prod["commit"], "4f2c1e90c2f4a1b9d3e5f60718293a4b5c6d7e8f");
    flux_says(&stage, [source, "shop-returns-prod", promoted], &stored);
    stage
        .environment(
            "returns",
            "prod",
            Some("Kustomization returns: its controller has not seen the latest change yet"),
        )
        .await;
    let deployment = &stage.object(kustomization, "shop-returns-prod", "returns")["spec"];
    assert_eq!(
        (&deployment["path"], &deployment["serviceAccountName"]),
        (&json!("./deploy/prod"), &json!("deployer"))
    );

    let dev = "shop-returns-dev";
    flux_says(&stage, [source, dev, "returns"], &stored);
    let waits = "Kustomization returns: its controller has not seen the latest change yet";
    stage.environment("returns", "dev", Some(waits)).await;
    flux_says(
        &stage,
        [kustomization, dev, "returns"],
        &[
            [
                "Reconciling",
                "True",
                "Progressing",
                "Building manifests for revision main",
            ],
            ["Ready", "Unknown", "Progressing", "Reconciliation in progress"],
        ],
    );
    stage
        .environment(
            "returns",
            "dev",
            Some("Kustomization returns: Building manifests for revision main"),
        )
        .await;
    // Reconciling goes before Stalled, and Stalled is for a person.
    let broken = "kustomize build failed: accumulating resources: missing web.yaml";
    flux_says(
        &stage,
        [kustomization, dev, "returns"],
        &[
            ["Stalled", "True", "BuildFailed", broken],
            ["Ready", "False", "BuildFailed", broken],
        ],
    );
    let told = format!("Kustomization returns: {broken}");
    stage.environment("returns", "dev", Some(&told)).await;
    let component = stage.entity("Component", "shop", "returns").await.unwrap();
    let ready = condition(&serde_json::to_value(component).unwrap(), "Ready");
    assert_eq!(
        (ready.reason.as_str(), ready.message.starts_with(&told)),
        ("Unhealthy", true),
        "{ready:?}"
    );

    let applied = [["Ready", "True", "ReconciliationSucceeded", "Applied revision: main"]];
    for environment in [dev, "shop-returns-prod"] {
        flux_says(&stage, [kustomization, environment, "returns"], &applied);
    }
    let whole = ["True", "Ready", "10 objects are as planned and healthy"];
    stage.says("Component", "shop", "returns", whole).await;

    // Promotion: what was said of what ran before does not count any more, by nobody.
    stage.patch(
        ["component", "shop", "returns"],
        &json!({"spec": {"template": {"parameters": {"environments": {"prod": {"commit": "0".repeat(40)}}}}}}),
        &[],
    );
    let unseen = |kind_and_name: &str| format!("{kind_and_name}: its controller has not seen the latest change yet");
    let source_waits = unseen("GitRepository returns-0000000000");
    stage.environment("returns", "prod", Some(&source_waits)).await;
    stage.environment("returns", "dev", None).await;
    flux_says(&stage, [source, "shop-returns-prod", "returns-0000000000"], &stored);
    let deployment_waits = unseen("Kustomization returns");
    stage.environment("returns", "prod", Some(&deployment_waits)).await;
    flux_says(&stage, [kustomization, "shop-returns-prod", "returns"], &applied);
    stage.says("Component", "shop", "returns", whole).await;
    let sources = stage.kubectl(&format!("get {source} -n shop-returns-prod -o name"));
    assert!(!sources.contains(promoted), "{sources}");

    stage.kubectl("delete -f examples/flux/shop.yaml --timeout=60s");
    stage.kubectl("delete -k examples/flux --ignore-not-found --timeout=60s");
    stage.is_again(&before).await;
}

#[tokio::test]
async fn argo_workflows() {
    let stage = stage().await;
    let before = stage.at_rest().await;
    let _operator = Operator::start(&stage.cluster).await;
    stage.kubectl("apply -k examples/argo-workflows");
    stage
        .says(
            "Component",
            "shop",
            "search",
            ["True", "Ready", "6 objects are as planned and healthy"],
        )
        .await;
    assert_eq!(stage.names("workflowtemplates.argoproj.io", "shop-search-ci"), ["test"]);
    assert_eq!(stage.names("cronworkflows.argoproj.io", "shop-search-ci"), ["nightly"]);
    let first = ["workflow.argoproj.io", "shop-search-ci", "first-test"];
    let nodes = json!({"first-test": {"id": "first-test", "name": "first-test", "displayName": "first-test", "type": "Pod",
        "phase": "Failed", "message": "main: Error (exit code 1)", "templateName": "test"}});
    let failed = json!({"phase": "Failed", "message": "main: Error (exit code 1)",
        "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z", "nodes": nodes});
    stage.patch(first, &json!({"status": failed}), &[]);
    eventually("the run to show", async || {
        let status = stage.status("Component", "shop", "search").await;
        let pipeline = &status["pipelines"][0];
        let run = &pipeline["lastRun"];
        let seen = [
            &pipeline["name"],
            &pipeline["engine"],
            &run["name"],
            &run["state"],
            &run["message"],
        ];
        let expected = [
            "test",
            "Argo Workflows",
            "first-test",
            "Failed",
            "step first-test: main: Error (exit code 1)",
        ];
        if seen == expected {
            Ok(())
        } else {
            Err(pipeline.to_string())
        }
    })
    .await;
    let component = stage.entity("Component", "shop", "search").await.unwrap();
    let ready = condition(&serde_json::to_value(component).unwrap(), "Ready");
    assert_eq!(ready.status, "True", "a run decides nothing");
    stage.kubectl("delete -f examples/argo-workflows/shop.yaml --timeout=60s");
    stage.kubectl("delete -k examples/argo-workflows --ignore-not-found --timeout=60s");
    stage.is_again(&before).await;
}
