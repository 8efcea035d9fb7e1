//! R12: what the cluster refuses by its limits.

use std::time::Instant;

use serde_json::{Value, json};

use super::{neighbour_works, stage};
use crate::support::{Stage, Trial, Verdict, condition, namespace_manifest, resource, with};

const FAULT: &str = "quota used up, LimitRange, Pod Security denies the pod";

/// Waits until the instance is refused for `reason` with these words, and asserts what must hold meanwhile.
async fn refused(stage: &Stage<'_>, reason: &str, words: &[&str]) -> String {
    let message = stage.unready("Component", "orders", reason).await;
    for word in words {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
    let component = stage.get(("Component", &stage.home, "orders")).await.unwrap();
    assert_eq!(condition(&component, "Stalled").reason, reason);
    neighbour_works(stage).await;
    message
}

#[tokio::test]
async fn a_quota_that_is_raised_is_enough() {
    let mut trial = Trial::of("R12", FAULT, 1);
    let stage = stage("quota").await;
    stage.appears(("ConfigMap", &stage.home, "kube-root-ca.crt")).await;
    let quota = |count: &str| {
        json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": stage.home},
            "spec": {"hard": {"count/services": count}},
        })
    };
    stage.put(quota("0")).await;
    let place = ("ResourceQuota", stage.home.as_str(), "few");
    stage
        .becomes(place, |object| object["status"]["hard"]["count/services"] == "0")
        .await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "orders"}, "spec": {"ports": [{"port": 80}]},
    });
    stage.template("app", json!([resource("service", service)])).await;
    stage.component("orders", json!({"ref": "app"})).await;
    refused(
        &stage,
        "QuotaExceeded",
        &["Service", "exceeded quota: few", "raise the quota"],
    )
    .await;
    stage.put(quota("1")).await;
    let raised = Instant::now();
    stage.ready("Component", "orders").await;
    trial.held(raised.elapsed());
    trial.ends(
        Verdict::Resilient,
        "looked at again every 1 to 5 min; every 1 to 5 s in this test",
    );
}

/// A Pod as a manifest, with what its container asks for and may do.
fn pod(container: Value) -> Value {
    let container = with(json!({"name": "main", "image": "example.com/none"}), container);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "orders", "namespace": "${{ resources.ns.metadata.name }}"}, "spec": {"containers": [container]},
    })
}

#[tokio::test]
async fn a_limit_range_that_is_widened_is_enough() {
    let mut trial = Trial::of("R12", FAULT, 1);
    let stage = stage("limits").await;
    let range = |most: &str| {
        json!({
            "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small", "namespace": "${{ resources.ns.metadata.name }}"},
            "spec": {"limits": [{"type": "Container", "max": {"cpu": most}, "default": {"cpu": "10m"}, "defaultRequest": {"cpu": "10m"}}]},
        })
    };
    let ask = json!({"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "500m"}}});
    let resources = |most: &str| {
        json!([
            resource("ns", namespace_manifest("")),
            resource("range", range(most)),
            with(
                resource("pod", pod(ask.clone())),
                json!({"mode": "Own", "dependsOn": ["range"], "readyWhen": "${{ true }}"})
            ),
        ])
    };
    let namespace = format!("{}-orders", stage.home);
    stage.template("app", resources("100m")).await;
    stage.component("orders", json!({"ref": "app"})).await;
    refused(
        &stage,
        "Denied",
        &[
            &format!("Pod {namespace}/orders"),
            "maximum cpu usage per Container is 100m",
        ],
    )
    .await;
    stage.template("app", resources("1")).await;
    let widened = Instant::now();
    stage.ready("Component", "orders").await;
    trial.held(widened.elapsed());
    trial.ends(Verdict::Resilient, "");
}

#[tokio::test]
async fn a_namespace_that_is_opened_to_the_pod_is_enough() {
    let mut trial = Trial::of("R12", FAULT, 1);
    let stage = stage("restricted").await;
    let level = |level: &str| {
        with(
            namespace_manifest(""),
            json!({"metadata": {
                "name": "${{ entity.metadata.namespace }}-${{ entity.metadata.name }}",
                "labels": {"pod-security.kubernetes.io/enforce": level},
            }}),
        )
    };
    let resources = |enforced: &str| {
        json!([
            resource("ns", level(enforced)),
            with(
                resource("pod", pod(json!({}))),
                json!({"mode": "Own", "readyWhen": "${{ true }}"})
            ),
        ])
    };
    stage.template("app", resources("restricted")).await;
    stage.component("orders", json!({"ref": "app"})).await;
    refused(
        &stage,
        "Denied",
        &["Pod ", "violates PodSecurity \"restricted:latest\"", "runAsNonRoot"],
    )
    .await;
    stage.template("app", resources("privileged")).await;
    let opened = Instant::now();
    stage.ready("Component", "orders").await;
    trial.held(opened.elapsed());
    trial.ends(Verdict::Resilient, "");
}
