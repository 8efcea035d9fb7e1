//! What the operator asks for, held against the role that is rendered where features are switched off. `tests/who_writes.rs` does it with the
//! role as it is shipped, over all that the tests have asked for.

use std::collections::BTreeSet;

use serde_json::json;

use crate::ground::ground;
use crate::helm::{NAMESPACE, RELEASE, rendered, said};
use crate::support::{Stage, condition, eventually, listed, uid, with};

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

/// What the rendered roles let the webhook do.
fn webhooks_role() -> BTreeSet<String> {
    let roles = rendered(&["--set", "webhook.enabled=true"]);
    let own = roles
        .iter()
        .filter(|object| object["metadata"]["name"] == "landfall-webhook" && object["rules"].is_array());
    own.flat_map(listed).collect()
}

#[tokio::test]
async fn the_webhooks_role_is_enough_for_it_and_nothing_else_is_asked_for() {
    let ground = ground().await;
    ground.without_definitions();
    ground.helm("install landfall CHART --create-namespace --set webhook.enabled=true");
    ground.kubectl("wait --for=condition=Established crd -l app.kubernetes.io/part-of=landfall --timeout=30s");
    let mark = ground.cluster.audit().mark().await;
    let operator = ground.operator().await;
    let webhook = ground.webhook().await;
    let stage = Stage::on(&ground.cluster, "asked").await;
    let ready = |object: &serde_json::Value| condition(object, "Ready").status == "True";
    // The template before the component: as long as there is none, what is wrong with its parameters is nobody's word.
    eventually("the apiserver to ask", async || {
        let output = ground.try_kubectl("apply -f examples/quickstart.yaml");
        output.status.success().then_some(()).ok_or(said(&output))
    })
    .await;
    stage.becomes(("Component", "quickstart", "hello"), ready).await;
    let wrong = [
        "patch",
        "components.catalog.landfall.dev",
        "hello",
        "-n",
        "quickstart",
        "--type=merge",
        "-p",
    ];
    let wrong = [&wrong[..], &[r#"{"spec":{"template":{"parameters":{"podz":8}}}}"#]].concat();
    let refused = said(&ground.cluster.kubectl(&wrong));
    assert!(
        refused.contains("podz: unknown parameter; did you mean pods?"),
        "{refused}"
    );
    let deleted =
        said(&ground.try_kubectl("delete templates.catalog.landfall.dev sandbox -n quickstart --dry-run=server"));
    assert!(
        deleted.contains("1 entity names template:quickstart/sandbox: component:quickstart/hello"),
        "{deleted}"
    );
    // An upgrade leaves alone what the webhook has written.
    let kept = || ground.kubectl("get secret landfall-webhook -n landfall-system -o jsonpath={.data}");
    let before = kept();
    assert!(before.contains("tls.crt"), "{before}");
    let hello = ("Component", "quickstart", "hello");
    stage.delete(hello).await;
    stage.vanishes(hello).await;
    let service = json!({"name": "landfall-webhook", "namespace": NAMESPACE, "port": 443});
    ground.lead(|path| json!({"url": null, "service": with(service.clone(), json!({"path": format!("/{path}")}))}));
    ground.helm("upgrade landfall CHART --set webhook.enabled=true,log.format=json");
    assert_eq!(kept(), before);
    let known = ground.kubectl(
        "get validatingwebhookconfigurations landfall-instances -o jsonpath={.webhooks[0].clientConfig.caBundle}",
    );
    assert!(!known.is_empty(), "the authority stays");

    let (role, own) = (
        webhooks_role(),
        format!("system:serviceaccount:{NAMESPACE}:{RELEASE}-webhook"),
    );
    let mut entries = ground.cluster.audit().since(mark).await;
    entries.retain(|entry| entry.user == own && !entry.resource.is_empty());
    assert!(entries.len() > 10, "{entries:#?}");
    for entry in &entries {
        let asked = format!("{} {}", entry.verb, entry.resource);
        assert!(
            role.contains(&asked) && entry.code != 403 && entry.impersonated.is_none(),
            "{entry}"
        );
    }
    let used: BTreeSet<String> = entries
        .iter()
        .map(|entry| format!("{} {}", entry.verb, entry.resource))
        .collect();
    // Our own kinds are listed by the events of a watch, and by a list where the apiserver is too old for that.
    let listed = |right: &&String| used.contains(&right.replacen("list ", "watch ", 1));
    let unused: Vec<&String> = role.difference(&used).filter(|right| !listed(right)).collect();
    assert!(unused.is_empty(), "{unused:#?}");
    drop((operator, webhook));
    ground.helm("uninstall landfall");
    ground.kubectl("delete -f examples/quickstart.yaml --ignore-not-found --timeout=60s");
}
