//! A template's objects are written as its account and as nobody else, and with no more than its rights.

use serde_json::json;

use crate::support::{OPERATOR_AGENT, Stage, condition, config_map, lines, namespace_manifest, resource, with};

fn rule(resource: &str) -> serde_json::Value {
    let verbs = ["get", "list", "watch", "create", "patch", "delete"];
    json!({"apiGroups": [""], "resources": [resource], "verbs": verbs})
}

fn service() -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 80}], "clusterIP": "None"},
    })
}

#[tokio::test]
async fn every_request_for_a_templates_objects_is_made_as_its_account() {
    let stage = Stage::new("account").await;
    let mark = stage.cluster.audit().mark().await;
    let inside = with(
        config_map("settings", json!({"text": "${{ parameters.text }}"})),
        json!({"metadata": {"name": "settings", "namespace": "${{ resources.ns.metadata.name }}"}}),
    );
    let schema =
        json!({"parameters": {"type": "object", "properties": {"text": {"type": "string", "default": "one"}}}});
    stage
        .template_with(
            "app",
            json!([resource("ns", namespace_manifest("")), resource("settings", inside)]),
            schema,
        )
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let namespace = format!("{}-orders", stage.home);
    // Create, change, repair and delete.
    stage
        .component("orders", json!({"ref": "app", "parameters": {"text": "two"}}))
        .await;
    let place = ("ConfigMap", namespace.as_str(), "settings");
    stage.becomes(place, |object| object["data"]["text"] == "two").await;
    stage.edit(place, json!({"data": {"text": "edited"}})).await;
    stage.becomes(place, |object| object["data"]["text"] == "two").await;
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;

    let account = format!("system:serviceaccount:{}:maker", stage.home);
    let asked = stage.asked_since(mark).await;
    let (own, objects): (Vec<_>, Vec<_>) = asked
        .into_iter()
        .partition(|entry| entry.resource.contains("catalog.landfall.dev"));
    assert!(objects.len() >= 5, "\n{}", lines(&objects));
    for entry in &objects {
        assert_eq!(entry.impersonated.as_deref(), Some(account.as_str()), "{entry}");
    }
    for entry in &own {
        assert_eq!(
            entry.impersonated, None,
            "the operator's own kinds are its own affair: {entry}"
        );
    }
    // Watches too, and they are the account's on each kind.
    let entries = stage.cluster.audit().since(mark).await;
    let seen = entries
        .iter()
        .filter(|entry| entry.user_agent.starts_with(OPERATOR_AGENT) && entry.verb == "watch");
    let as_account: Vec<_> = seen
        .filter(|entry| entry.impersonated.as_deref() == Some(&account))
        .collect();
    assert!(as_account.iter().any(|entry| entry.resource == "configmaps"));
    assert!(
        as_account.iter().all(|entry| entry.uri.contains("instance-uid")),
        "only what carries our label is watched"
    );
}

#[tokio::test]
async fn an_account_that_may_not_watch_a_kind_is_told_which_rule_it_needs() {
    let stage = Stage::new("blind").await;
    stage.account("narrow", &json!([rule("configmaps")])).await;
    let resources = json!([
        resource("settings", config_map("settings", json!({"a": "b"}))),
        resource("web", service()),
    ]);
    stage
        .template_with("app", resources, json!({"serviceAccountName": "narrow"}))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Component", "orders", "Forbidden").await;
    assert_eq!(
        message,
        format!(
            "{}/narrow may not list services in the whole cluster; grant: apiGroups [\"\"], resources [services], verbs [get, list, watch, create, patch, delete]",
            stage.home
        )
    );
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&component, "Stalled").reason, "Forbidden");
    assert_eq!(stage.get(("Service", &stage.home, "web")).await, None);

    // The rule of the message is enough, and nobody has to ask for a look.
    stage
        .account("narrow", &json!([rule("configmaps"), rule("services")]))
        .await;
    stage.ready("Component", "orders").await;
    assert!(stage.get(("Service", &stage.home, "web")).await.is_some());
}

#[tokio::test]
async fn an_account_that_may_not_create_is_told_which_rule_it_needs() {
    let stage = Stage::new("reader").await;
    let readable = json!({"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"]});
    stage.account("narrow", &json!([rule("configmaps"), readable])).await;
    let resources = json!([
        resource("web", service()),
        resource("settings", config_map("settings", json!({"a": "b"}))),
    ]);
    stage
        .template_with("app", resources, json!({"serviceAccountName": "narrow"}))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Component", "orders", "Forbidden").await;
    let home = &stage.home;
    assert_eq!(
        message,
        format!(
            "{home}/narrow may not create services in {home}; grant: apiGroups [\"\"], resources [services], verbs [get, list, watch, create, patch, delete]"
        )
    );
    stage.looked_at("Component", "orders").await;
    assert_eq!(stage.get(("Service", home, "web")).await, None);
    assert!(
        stage.get(("ConfigMap", home, "settings")).await.is_some(),
        "one broken object holds up no other"
    );
    stage
        .account("narrow", &json!([rule("configmaps"), rule("services")]))
        .await;
    stage.looked_at("Component", "orders").await;
    stage.ready("Component", "orders").await;
}

#[tokio::test]
async fn an_account_that_is_not_there_is_told_with_the_one_that_was_likely_meant() {
    let stage = Stage::new("misspelt").await;
    let resources = || json!([resource("settings", config_map("settings", json!({"a": "b"})))]);
    stage.template("good", resources()).await;
    stage
        .template_with("app", resources(), json!({"serviceAccountName": "makre"}))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Component", "orders", "Forbidden").await;
    let home = &stage.home;
    let said = format!(
        "service account {home}/makre does not exist; did you mean maker?; create it: kubectl create serviceaccount -n {home} makre; then: "
    );
    assert!(message.starts_with(&said), "{message}");
    assert_eq!(stage.get(("ConfigMap", home, "settings")).await, None);
    stage
        .template_with("app", resources(), json!({"serviceAccountName": "maker"}))
        .await;
    stage.ready("Component", "orders").await;
}

#[tokio::test]
async fn a_template_cannot_borrow_an_account_of_another_namespace() {
    let stage = Stage::new("borrow").await;
    // Same name, another namespace: without rights there.
    let other = stage.cluster.namespace(&format!("{}-other", stage.home)).await;
    let template = stage.template_object(
        "app",
        json!([resource("a", config_map("a", json!({"a": "b"})))]),
        json!({}),
    );
    stage
        .put(with(template, json!({"metadata": {"name": "app", "namespace": other}})))
        .await;
    let component = json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
        "metadata": {"name": "orders", "namespace": other},
        "spec": {"type": "service", "lifecycle": "production", "owner": "group:shop/checkout", "template": {"ref": "app"}},
    });
    stage.put(component).await;
    let place = ("Component", other.as_str(), "orders");
    let refused = stage
        .becomes(place, |object| condition(object, "Ready").reason == "Forbidden")
        .await;
    let message = condition(&refused, "Ready").message;
    let said = format!(
        "service account {other}/maker does not exist; create it: kubectl create serviceaccount -n {other} maker; then: {other}/maker may not "
    );
    assert!(message.starts_with(&said), "{message}");
    assert_eq!(stage.get(("ConfigMap", &other, "a")).await, None);
}
