//! `spec.examples`: tried by the operator before a change of a Template goes live. `landfall template lint` with a cluster.

use std::process::Command;

use serde_json::json;

use crate::support::{Case, eventually};

/// A Template `web` whose one example expects so many pods of a quota that has `pods`.
fn template(pods: u32, expected: u32) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {{name: web, namespace: PLATFORM}}
spec:
  type: service
  serviceAccountName: golden-path
  allowedNamespaces: {{from: All}}
  examples:
  - {{name: plain, expect: {{count: 1, resources: [{{id: quota, manifest: {{spec: {{hard: {{pods: {expected}}}}}}}}}]}}}}
  resources:
  - {{id: quota, manifest: {{apiVersion: v1, kind: ResourceQuota, metadata: {{name: '${{{{ entity.metadata.name }}}}'}}, spec: {{hard: {{pods: {pods}}}}}}}}}
"
    )
}

const COMPONENT: &str = "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Component
metadata: {name: orders, namespace: TEAM}
spec: {type: service, lifecycle: production, owner: shop, template: {ref: PLATFORM/web}}
";

async fn pods(case: &Case<'_>) -> serde_json::Value {
    let quota = case.api("v1", "ResourceQuota", &case.team).get("orders").await.unwrap();
    quota.data["spec"]["hard"]["pods"].clone()
}

#[tokio::test]
async fn a_change_by_which_an_example_does_not_hold_reaches_nobody_until_it_holds() {
    let case = Case::new().await;
    case.put(&template(5, 5)).await;
    case.ready("Template", "web").await;
    case.put(COMPONENT).await;
    case.ready("Component", "orders").await;
    case.put(&template(6, 7)).await;
    let said = case.refused("Template", "web", "ExampleFailed").await;
    assert_eq!(
        said,
        "Stalled, ExampleFailed: examples[plain]: resource \"quota\", spec.hard.pods: found 6, expected 7; instances keep the last version that compiled"
    );
    // The instance has been looked at since, and has what it had.
    case.mark_processed("Component", "orders", "look-again").await;
    assert_eq!(pods(&case).await, "5");
    case.ready("Component", "orders").await;
    // The example is put right, and the same content goes live.
    case.put(&template(6, 6)).await;
    case.ready("Template", "web").await;
    eventually("the instance to follow", async || {
        let pods = pods(&case).await;
        if pods == "6" { Ok(()) } else { Err(pods.to_string()) }
    })
    .await;
    case.ready("Component", "orders").await;
    case.conforms().await;
}

#[tokio::test]
async fn an_example_alone_makes_no_revision_and_one_that_does_not_hold_lets_no_first_one_come() {
    let case = Case::new().await;
    case.put(&template(5, 6)).await;
    let said = case.refused("Template", "web", "ExampleFailed").await;
    assert!(said.ends_with("found 5, expected 6"), "{said}");
    let revisions = || async {
        let api = case.api("apps/v1", "ControllerRevision", &case.platform);
        api.list(&kube::api::ListParams::default()).await.unwrap().items.len()
    };
    assert_eq!(revisions().await, 0);
    case.put(&template(5, 5)).await;
    let digest = case.ready("Template", "web").await["status"]["latest"]["digest"].clone();
    let other = template(5, 5).replace("name: plain", "name: other");
    case.put(&other).await;
    let same = case.ready("Template", "web").await["status"]["latest"]["digest"].clone();
    assert_eq!(digest, same);
    assert_eq!(revisions().await, 1);
}

#[tokio::test]
async fn who_else_may_act_as_the_account_is_found_where_a_cluster_can_be_asked() {
    let case = Case::new().await;
    case.put(&template(5, 5)).await;
    let group = "rbac.authorization.k8s.io";
    case.put_object(&json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "helpers", "namespace": case.platform},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "Group", "apiGroup": group, "name": "helpers"}],
    }))
    .await;
    let text = case.named(&template(5, 5).replace("name: web", "name: other"));
    let file = case.cluster.directory().join(format!("{}-lint.yaml", case.platform));
    std::fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["template", "lint"])
        .arg(&file)
        .env("KUBECONFIG", case.cluster.kubeconfig())
        .output()
        .unwrap();
    let said = case.masked(&String::from_utf8([output.stdout, output.stderr].concat()).unwrap());
    assert_eq!(output.status.code(), Some(2), "{said}");
    for line in [
        "golden-path is the account of template:platform/web too",
        "Group helpers may impersonate it and ",
        "(RoleBinding platform/helpers, ClusterRole edit)",
        "[shared-account]",
    ] {
        assert!(said.contains(line), "\"{line}\" is not in:\n{said}");
    }
    assert!(!said.contains("unchecked"), "{said}");
}
