//! What the cluster itself refuses or changes: said in the status, and never fought over.

use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, lines, resource, with};

fn settings() -> Value {
    json!([
        resource("first", config_map("first", json!({"a": "b"}))),
        resource("second", config_map("second", json!({"a": "b"}))),
    ])
}

#[tokio::test]
async fn a_used_up_quota_is_named_and_the_rest_goes_on() {
    let stage = Stage::new("quota").await;
    // The namespace has one already, the authority's certificate.
    stage.appears(("ConfigMap", &stage.home, "kube-root-ca.crt")).await;
    let quota = |count: &str| {
        json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": stage.home},
            "spec": {"hard": {"count/configmaps": count}},
        })
    };
    stage.put(quota("2")).await;
    let place = ("ResourceQuota", stage.home.as_str(), "few");
    stage
        .becomes(place, |object| object["status"]["used"]["count/configmaps"] == "1")
        .await;
    stage.template("app", settings()).await;
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Component", "orders", "QuotaExceeded").await;
    assert!(
        message.contains("exceeded quota: few") && message.contains(&format!("{}/second", stage.home)),
        "{message}"
    );
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&component, "Stalled").reason, "QuotaExceeded");
    assert!(stage.get(("ConfigMap", &stage.home, "first")).await.is_some());
    assert_eq!(stage.get(("ConfigMap", &stage.home, "second")).await, None);

    stage.put(quota("9")).await;
    stage
        .becomes(place, |object| object["status"]["hard"]["count/configmaps"] == "9")
        .await;
    stage.looked_at("Component", "orders").await;
    stage.ready("Component", "orders").await;
}

/// A policy of the cluster for what the stage's account writes to `ConfigMap`s. `more` goes to its spec.
async fn policy(stage: &Stage<'_>, kind: &str, more: Value) {
    let admission = "admissionregistration.k8s.io/v1";
    let constraints = json!({"resourceRules": [{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"],
    }]});
    let user = format!(
        "request.userInfo.username == 'system:serviceaccount:{}:maker'",
        stage.home
    );
    let spec = json!({
        "failurePolicy": "Fail", "matchConstraints": constraints,
        "matchConditions": [{"name": "ours", "expression": user}],
    });
    let metadata = json!({"name": stage.home});
    stage
        .put(json!({"apiVersion": admission, "kind": kind, "metadata": metadata, "spec": with(spec, more)}))
        .await;
    let binding = match kind {
        "ValidatingAdmissionPolicy" => json!({"policyName": stage.home, "validationActions": ["Deny"]}),
        _ => json!({"policyName": stage.home}),
    };
    stage
        .put(json!({"apiVersion": admission, "kind": format!("{kind}Binding"), "metadata": metadata, "spec": binding}))
        .await;
}

#[tokio::test]
async fn a_policy_that_denies_is_quoted() {
    let stage = Stage::new("denied").await;
    let rule = json!({"expression": "object.metadata.name != 'second'", "message": "second is not wanted here"});
    policy(&stage, "ValidatingAdmissionPolicy", json!({"validations": [rule]})).await;
    // The apiserver takes a moment to put a policy in force.
    let account = stage.cluster.client_as(&stage.home, "maker").await;
    let probe = kube::Api::<k8s_openapi::api::core::v1::ConfigMap>::namespaced(account, &stage.home);
    let mut object = k8s_openapi::api::core::v1::ConfigMap::default();
    object.metadata.name = Some("second".to_owned());
    let dry = kube::api::PostParams {
        dry_run: true,
        ..kube::api::PostParams::default()
    };
    crate::support::eventually("the policy to be in force", async || {
        match probe.create(&dry, &object).await {
            Ok(_) => Err("it was let through".to_owned()),
            Err(error) => error
                .to_string()
                .contains("not wanted")
                .then_some(())
                .ok_or(error.to_string()),
        }
    })
    .await;

    stage.template("app", settings()).await;
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Component", "orders", "Denied").await;
    assert!(message.contains("second is not wanted here"), "{message}");
    assert!(
        message.starts_with(&format!("resource \"second\": ConfigMap {}/second: ", stage.home)),
        "{message}"
    );
    assert!(stage.get(("ConfigMap", &stage.home, "first")).await.is_some());
    let before = stage.looked_at("Component", "orders").await;
    let after = stage.looked_at("Component", "orders").await;
    assert_eq!(
        before["status"]["conditions"], after["status"]["conditions"],
        "the message does not change by itself"
    );

    stage
        .delete(("ValidatingAdmissionPolicyBinding", "", &stage.home))
        .await;
    crate::support::eventually("the policy to be gone", async || probe.create(&dry, &object).await).await;
    stage.looked_at("Component", "orders").await;
    stage.ready("Component", "orders").await;
}

#[tokio::test]
async fn a_policy_that_changes_what_is_written_is_not_fought() {
    let stage = Stage::new("mutated").await;
    let expression =
        "Object{metadata: Object.metadata{annotations: {'example.com/stamp': 'x'}}, data: {'a': 'theirs'}}";
    let mutation = json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
    policy(
        &stage,
        "MutatingAdmissionPolicy",
        json!({"mutations": [mutation], "reinvocationPolicy": "Never"}),
    )
    .await;
    stage.template("app", settings()).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    stage.looked_at("Component", "orders").await;
    let mark = stage.cluster.audit().mark().await;
    for _ in 0..3 {
        stage.looked_at("Component", "orders").await;
    }
    let mut written = stage.written_since(mark).await;
    written.retain(|entry| entry.resource == "configmaps");
    assert!(written.is_empty(), "written again and again:\n{}", lines(&written));
}

#[tokio::test]
async fn what_was_refused_is_not_asked_again_because_something_beside_it_moves() {
    let stage = Stage::new("notagain").await;
    let there = json!({"metadata": {"name": "second", "namespace": stage.home}});
    stage
        .put(with(config_map("second", json!({"theirs": "yes"})), there))
        .await;
    stage.template("app", settings()).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.unready("Component", "orders", "NameConflict").await;
    let mark = stage.cluster.audit().mark().await;
    for round in 0..5 {
        let change = json!({"data": {"a": format!("edited {round}")}});
        stage.edit(("ConfigMap", &stage.home, "first"), change).await;
        // It is repaired, so that a pass has come by the other one as well.
        stage
            .becomes(("ConfigMap", &stage.home, "first"), |object| object["data"]["a"] == "b")
            .await;
    }
    let mut asked = stage.asked_since(mark).await;
    asked.retain(|entry| entry.name == "second");
    assert!(asked.is_empty(), "{}", lines(&asked));
    // Asked for, it is looked at again at once.
    stage.delete(("ConfigMap", &stage.home, "second")).await;
    stage.looked_at("Component", "orders").await;
    stage.ready("Component", "orders").await;
}
