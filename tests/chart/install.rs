//! A real Helm on a real kube-apiserver: install, upgrade, roll back, uninstall, and what stays.

use std::process::Command;

use serde_json::{Value, json};

use crate::ground::{Ground, ground, ground_for};
use crate::helm::{ALL, NAMESPACE, RELEASE, find, helm_3, objects, place, rendered, said, template};
use crate::support::{Entry, Stage, condition, skipped, uid};

async fn hello_is_ready(stage: &Stage<'_>) {
    stage
        .becomes(("Component", "quickstart", "hello"), |object| {
            condition(object, "Ready").status == "True"
        })
        .await;
}

#[tokio::test]
async fn it_is_installed_upgraded_rolled_back_and_uninstalled_and_what_was_provisioned_stays() {
    lives(&*ground().await).await;
}

#[tokio::test]
async fn helm_3_does_the_same_with_it() {
    let Some(program) = helm_3() else {
        return skipped(
            "install::helm_3_does_the_same_with_it",
            "there is no Helm 3; tests/cluster/cluster helm3 builds it",
        );
    };
    lives(&*ground_for(program).await).await;
}

/// All that the chart goes through.
async fn lives(ground: &Ground) {
    ground.without_definitions();
    let said = ground.helm("install landfall CHART --create-namespace");
    assert!(
        said.contains("kubectl rollout status deployment/landfall -n landfall-system"),
        "{said}"
    );
    assert!(said.contains("helm test landfall -n landfall-system"), "{said}");
    ground.kubectl("wait --for=condition=Established crd -l app.kubernetes.io/part-of=landfall --timeout=30s");

    // What it rendered is enough for the operator, which comes in as the rendered account.
    let stage = Stage::on(&ground.cluster, "stage").await;
    let mark = ground.cluster.audit().mark().await;
    let operator = ground.operator().await;
    ground.kubectl("apply -f examples/quickstart.yaml");
    hello_is_ready(&stage).await;
    a_resource_is_repaired(&stage).await;
    helm_test_passes(ground);
    let entries = ground.cluster.audit().since(mark).await;
    let own = format!("system:serviceaccount:{NAMESPACE}:{RELEASE}");
    let refused: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.user == own && entry.code == 403 && entry.impersonated.is_none())
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let before = ground.generation();

    ground.helm("upgrade landfall CHART --set goldenPath.enabled=true,log.format=json");
    let changed = ground
        .kubectl("get deployment landfall -n landfall-system -o jsonpath={.spec.template.spec.containers[0].args}");
    assert!(changed.contains("--log-format=json"), "{changed}");
    ground.kubectl("get serviceaccount golden-path -n platform");

    ground.helm("rollback landfall 1");
    let changed = ground
        .kubectl("get deployment landfall -n landfall-system -o jsonpath={.spec.template.spec.containers[0].args}");
    assert!(changed.contains("--log-format=text"), "{changed}");
    assert!(
        !ground
            .try_kubectl("get serviceaccount golden-path -n platform")
            .status
            .success()
    );
    // The namespace of templates is not taken with what may lie in it.
    ground.kubectl("get namespace platform");
    assert_eq!(ground.generation(), before);
    hello_is_ready(&stage).await;

    drop(operator);
    ground.helm("uninstall landfall");
    assert!(
        !ground
            .try_kubectl("get deployment landfall -n landfall-system")
            .status
            .success()
    );
    assert!(
        !ground
            .try_kubectl("get clusterrole landfall-controller")
            .status
            .success()
    );
    let kept = ground.kubectl("get crd -l app.kubernetes.io/part-of=landfall -o name");
    assert_eq!(kept.lines().count(), 10, "{kept}");
    assert_eq!(ground.generation(), before);
    ground.kubectl("get resourcequota limits -n sandbox-hello");

    // Over the definitions that it has kept.
    ground.helm("install landfall CHART");
    let _operator = ground.operator().await;
    assert_eq!(ground.generation(), before);
    // Before the account that its objects were made as.
    ground.kubectl("delete component hello -n quickstart --timeout=60s");
    stage.vanishes(("Namespace", "", "sandbox-hello")).await;
    ground.kubectl("delete -f examples/quickstart.yaml --ignore-not-found --timeout=60s");
    ground.helm("uninstall landfall");
    ground.kubectl("delete namespace platform --timeout=60s");
}

/// A Resource as an instance: its object comes back, for which the instance is asked for, and it goes again.
async fn a_resource_is_repaired(stage: &Stage<'_>) {
    stage
        .put(json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Resource",
            "metadata": {"name": "store", "namespace": "quickstart"},
            "spec": {"type": "database", "owner": "team-a", "template": {"ref": "sandbox"}},
        }))
        .await;
    let quota = ("ResourceQuota", "sandbox-store", "limits");
    stage
        .becomes(("Resource", "quickstart", "store"), |object| {
            condition(object, "Ready").status == "True"
        })
        .await;
    let before = stage.get(quota).await.unwrap();
    stage.delete(quota).await;
    stage.becomes(quota, |object| uid(object) != uid(&before)).await;
    stage.delete(("Resource", "quickstart", "store")).await;
    stage.vanishes(("Namespace", "", "sandbox-store")).await;
}

/// What the pod of `helm test` does, as its account; no pod runs here.
fn helm_test_passes(ground: &Ground) {
    let text = template(&["--show-only", "templates/tests/catalog.yaml"]);
    let all = objects(&text);
    let pod = find(&all, "Pod", "landfall-test").unwrap();
    for object in all.iter().filter(|object| object["kind"] != "Pod") {
        let file = ground.cluster.directory().join("helm-test.json");
        std::fs::write(&file, object.to_string()).unwrap();
        ground.kubectl(&format!("apply -f {}", file.display()));
    }
    ground.kubectl(&format!(
        "wait --for=condition=Ready domain/landfall-test -n {NAMESPACE} --timeout=30s"
    ));
    ground.kubectl(&format!(
        "wait --for=condition=ReferencesResolved domain/landfall-test -n {NAMESPACE} --timeout=30s"
    ));
    let kubeconfig = ground.kubeconfig_of(pod["spec"]["serviceAccountName"].as_str().unwrap());
    let arguments: Vec<String> = serde_json::from_value(pod["spec"]["containers"][0]["args"].clone()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(&arguments)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    ground.kubectl(&format!(
        "delete domain/landfall-test group.catalog.landfall.dev/landfall-test serviceaccount/landfall-test role/landfall-test rolebinding/landfall-test -n {NAMESPACE}"
    ));
}

#[tokio::test]
async fn definitions_that_others_applied_are_taken_over_only_when_told_so() {
    let ground = ground().await;
    ground.without_definitions();
    ground.kubectl("apply --server-side -f crds");
    let output = ground.try_helm("install landfall CHART --create-namespace", &[]);
    let text = said(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("invalid ownership metadata"), "{text}");
    assert!(
        !ground
            .try_kubectl("get deployment landfall -n landfall-system")
            .status
            .success()
    );
    ground.helm("uninstall landfall --ignore-not-found");

    // Left to whom they are.
    ground.helm("install landfall CHART --create-namespace --set crds.enabled=false");
    ground.helm("uninstall landfall");
    assert_eq!(
        ground.kubectl("get crd -l app.kubernetes.io/part-of=landfall -o name"),
        ""
    );

    ground.helm("install landfall CHART --create-namespace --take-ownership --force-conflicts");
    ground.helm("uninstall landfall");
    let kept = ground.kubectl("get crd -l app.kubernetes.io/part-of=landfall -o name");
    assert_eq!(kept.lines().count(), 10, "{kept}");
}

#[tokio::test]
async fn the_apiserver_takes_everything_that_can_be_rendered() {
    let ground = ground().await;
    let stage = Stage::on(&ground.cluster, "dry").await;
    ground.kubectl("apply --server-side --force-conflicts -f crds");
    for name in [NAMESPACE, "platform"] {
        stage
            .put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .await;
    }
    for kind in ["ServiceMonitor", "PrometheusRule"] {
        stage.put(stand_in(kind)).await;
        ground.kubectl(&format!(
            "wait --for=condition=Established crd/{}s.monitoring.coreos.com --timeout=30s",
            kind.to_lowercase()
        ));
    }
    let all = rendered(&ALL);
    // A pod is taken only where its account is.
    for account in all.iter().filter(|object| object["kind"] == "ServiceAccount") {
        stage.put(account.clone()).await;
    }
    for (number, object) in all.iter().enumerate() {
        let file = ground.cluster.directory().join(format!("rendered-{number}.json"));
        std::fs::write(&file, object.to_string()).unwrap();
        let output = ground.cluster.kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            file.to_str().unwrap(),
        ]);
        let text = said(&output);
        assert!(output.status.success(), "{}: {text}", place(object));
        // What breaks a Pod Security Standard or is deprecated comes as a warning.
        assert!(!text.contains("Warning"), "{}: {text}", place(object));
    }
    for kind in ["servicemonitors", "prometheusrules"] {
        ground.kubectl(&format!("delete crd {kind}.monitoring.coreos.com"));
    }
    // What is left here without Helm's marks would be in the way of the next test's install.
    for account in all.iter().filter(|object| object["kind"] == "ServiceAccount") {
        let (namespace, name) = (&account["metadata"]["namespace"], &account["metadata"]["name"]);
        let place = [namespace, name].map(|text| text.as_str().unwrap());
        ground.kubectl(&format!("delete serviceaccount -n {} {}", place[0], place[1]));
    }
    ground.kubectl("delete namespace platform --timeout=60s");
}

/// A definition in place of the Prometheus operator's: of the fields that are rendered, with nothing else.
fn stand_in(kind: &str) -> Value {
    let (text, map) = (
        json!({"type": "string"}),
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
    );
    let list = |properties: Value| json!({"type": "array", "items": {"type": "object", "properties": properties}});
    let spec = if kind == "ServiceMonitor" {
        json!({
            "selector": {"type": "object", "properties": {"matchLabels": map}},
            "endpoints": list(json!({"port": text, "path": text, "interval": text})),
        })
    } else {
        let alert = json!({"alert": text, "expr": text, "for": text, "labels": map, "annotations": map});
        json!({"groups": list(json!({"name": text, "rules": list(alert)}))})
    };
    let plural = format!("{}s", kind.to_lowercase());
    let definition = ["CustomResource", "Definition"].concat();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": definition,
        "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": spec}},
            }}}],
        },
    })
}

#[tokio::test]
async fn without_helm_the_same_is_applied_by_kubectl() {
    let ground = ground().await;
    ground.kubectl("apply --server-side --force-conflicts -k deploy");
    let all = ground.kubectl("get deployment,service,networkpolicy,poddisruptionbudget -n landfall-system -o name");
    assert_eq!(
        all.lines().collect::<Vec<_>>(),
        [
            "deployment.apps/landfall",
            "service/landfall",
            "networkpolicy.networking.k8s.io/landfall",
            "poddisruptionbudget.policy/landfall"
        ]
    );
    drop(ground.operator().await);
    ground.kubectl("delete -k deploy --timeout=60s");
}
