//! What the operator asks for, held against the role that is rendered where features are switched off. `tests/who_writes.rs` does it with the
//! role as it is shipped, over all that the tests have asked for.

use std::collections::BTreeSet;

use crate::ground::ground;
use crate::helm::{NAMESPACE, RELEASE, rendered};
use crate::support::{Stage, condition, listed, uid};

const OFF: &str = "leaderElection.enabled=false,controller.replicas=1,rbac.aggregate=false,rbac.platformRole=false,networkPolicy.enabled=false";

/// What the rendered roles let the operator do as itself.
fn role(more: &[&str]) -> BTreeSet<String> {
    let roles = rendered(more);
    let own = roles
        .iter()
        .filter(|object| object["metadata"]["name"] == "landfall-controller" && object["rules"].is_array());
    own.flat_map(listed).collect()
}

#[test]
fn what_is_switched_off_takes_its_rules_with_it_and_no_others() {
    let (whole, least) = (role(&[]), role(&["--set", OFF]));
    let gone: BTreeSet<&str> = whole.difference(&least).map(String::as_str).collect();
    let leases = ["create", "get", "list", "update", "watch"].map(|verb| format!("{verb} leases.coordination.k8s.io"));
    assert_eq!(gone, leases.iter().map(String::as_str).collect());
    assert!(least.is_subset(&whole), "{least:#?}");
}

#[tokio::test]
async fn with_features_switched_off_the_role_is_enough_and_nothing_else_is_asked_for() {
    let ground = ground().await;
    ground.without_definitions();
    ground.helm(&format!("install landfall CHART --create-namespace --set {OFF}"));
    ground.kubectl("wait --for=condition=Established crd -l app.kubernetes.io/part-of=landfall --timeout=30s");
    let stage = Stage::on(&ground.cluster, "replayed").await;
    let mark = ground.cluster.audit().mark().await;
    let operator = ground.operator().await;
    ground.kubectl("apply -f examples/quickstart.yaml");
    let hello = ("Component", "quickstart", "hello");
    let ready = |object: &serde_json::Value| condition(object, "Ready").status == "True";
    stage.becomes(hello, ready).await;
    let quota = ("ResourceQuota", "sandbox-hello", "limits");
    let before = stage.get(quota).await.unwrap();
    stage.delete(quota).await;
    stage.becomes(quota, |object| uid(object) != uid(&before)).await;
    stage.delete(hello).await;
    stage.vanishes(("Namespace", "", "sandbox-hello")).await;
    stage.vanishes(hello).await;

    let (role, own) = (
        role(&["--set", OFF]),
        format!("system:serviceaccount:{NAMESPACE}:{RELEASE}"),
    );
    let mut entries = ground.cluster.audit().since(mark).await;
    entries.retain(|entry| entry.user == own && entry.impersonated.is_none() && !entry.resource.is_empty());
    assert!(entries.len() > 10, "{entries:#?}");
    for entry in entries {
        let asked = format!("{} {}", entry.verb, entry.resource);
        assert!(role.contains(&asked) && entry.code != 403, "{entry}");
    }
    drop(operator);
    ground.kubectl("delete -f examples/quickstart.yaml --ignore-not-found --timeout=60s");
    ground.helm("uninstall landfall");
}
