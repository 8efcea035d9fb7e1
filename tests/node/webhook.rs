//! The checks at the door with the webhook as pods, whom the apiserver reaches by their Service.

use std::process::Output;

use serde_json::json;

use crate::installation::{Installation, NAMESPACE, said};
use crate::kubectl;
use crate::support::{Cluster, eventually};

/// Applies a Component of the quickstart's template with so many pods.
fn apply(installation: &Installation<'_>, pods: &str) -> Output {
    let component = json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
        "metadata": {"name": "door", "namespace": "quickstart"},
        "spec": {
            "type": "service", "lifecycle": "production", "owner": "team-a",
            "template": {"ref": "sandbox", "parameters": {"pods": pods.parse::<u32>().map_or(json!(pods), |number| json!(number))}},
        },
    });
    let file = installation.cluster().directory().join("door.json");
    std::fs::write(&file, component.to_string()).unwrap();
    let file = file.to_str().unwrap();
    installation.cluster().kubectl(&["apply", "--server-side", "-f", file])
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn the_apiserver_reaches_the_webhook_by_its_service_and_no_write_fails_while_its_pods_are_changed() {
    let cluster = Cluster::bare_with_node("webhook").await;
    let installation = Installation::prepare(&cluster).await;
    installation.install_this(&["--set=webhook.enabled=true"]);
    installation.quickstart();
    let refused = apply(&installation, "many");
    let told = said(&refused);
    assert!(
        !refused.status.success() && told.contains("pods: \"many\" is a string"),
        "{told}"
    );
    // Every pod is exchanged; whoever writes meanwhile is answered each time.
    kubectl(
        &installation.stage,
        &["-n", NAMESPACE, "rollout", "restart", "deployment/landfall-webhook"],
    );
    let mut number = 1;
    eventually("the pods to be exchanged", async || {
        number = number % 9 + 1;
        let written = apply(&installation, &number.to_string());
        assert!(written.status.success(), "{}", said(&written));
        let refused = said(&apply(&installation, "many"));
        assert!(refused.contains("pods: \"many\" is a string"), "{refused}");
        let status = [
            "-n",
            NAMESPACE,
            "rollout",
            "status",
            "deployment/landfall-webhook",
            "--watch=false",
        ];
        let told = said(&installation.cluster().kubectl(&status));
        told.contains("successfully rolled out").then_some(()).ok_or(told)
    })
    .await;
    // The operator itself is never held up, nor is taking it all away.
    kubectl(
        &installation.stage,
        &["-n", NAMESPACE, "scale", "deployment/landfall-webhook", "--replicas=0"],
    );
    eventually("nobody to answer", async || {
        // Of a spec that stays as it is nobody is asked.
        number = number % 9 + 1;
        let output = apply(&installation, &number.to_string());
        (!output.status.success() && said(&output).contains("failed calling webhook"))
            .then_some(())
            .ok_or(said(&output))
    })
    .await;
    installation.repairs(crate::support::patience()).await;
    installation.helm(&["uninstall", "landfall", "--wait"]);
    assert!(apply(&installation, "7").status.success(), "nobody is asked any more");
}
