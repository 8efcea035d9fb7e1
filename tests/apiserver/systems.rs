//! A System is an instance too, and tells of its Components.

use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, namespace_manifest, resource, with};

/// A `ConfigMap` in the namespace that the System makes.
async fn templates(stage: &Stage<'_>) {
    stage
        .template("shared", json!([resource("ns", namespace_manifest("-shared"))]))
        .await;
    let metadata = json!({
        "name": "${{ entity.metadata.name }}", "namespace": "${{ system.namespace }}-${{ system.name }}-shared",
    });
    let manifest = with(
        config_map("", json!({"system": "${{ system.ref }}"})),
        json!({"metadata": metadata}),
    );
    let open = json!({"allowedNamespaces": {"from": "All"}});
    stage
        .template_with("member", json!([resource("settings", manifest)]), open)
        .await;
}

fn member(system: Option<&str>) -> Value {
    json!({"template": {"ref": "member"}, "system": system.unwrap_or("shop")})
}

#[tokio::test]
async fn a_system_is_provisioned_and_counts_its_components() {
    let stage = Stage::new("system").await;
    templates(&stage).await;
    stage
        .template(
            "plain",
            json!([resource(
                "a",
                config_map("${{ entity.metadata.name }}", json!({"a": "b"}))
            )]),
        )
        .await;
    stage.system("shop", json!({"template": {"ref": "shared"}})).await;
    let system = stage.ready("System", "shop").await;
    assert_eq!(system["status"]["inventory"].as_array().unwrap().len(), 1);
    let made = stage
        .get(("Namespace", "", &format!("{}-shop-shared", stage.home)))
        .await
        .unwrap();
    assert_eq!(
        made["metadata"]["annotations"]["landfall.dev/instance"],
        format!("system:{}/shop", stage.home)
    );
    assert_eq!(system["status"]["components"], json!({"total": 0, "ready": 0}));

    let template = |name: &str| json!({"system": "shop", "template": {"ref": name}});
    stage.component_with("orders", template("plain")).await;
    stage.component_with("payments", template("nowhere")).await;
    stage
        .component_with("elsewhere", json!({"system": "other", "template": {"ref": "plain"}}))
        .await;
    let place = ("System", stage.home.as_str(), "shop");
    let broken = json!({"total": 2, "ready": 1, "notReady": [format!("component:{}/payments", stage.home)]});
    let system = stage
        .becomes(place, |object| object["status"]["components"] == broken)
        .await;
    assert_eq!(
        condition(&system, "Ready").status,
        "True",
        "a component's state is not the system's"
    );
    stage.component_with("payments", template("plain")).await;
    stage
        .becomes(place, |object| {
            object["status"]["components"] == json!({"total": 2, "ready": 2})
        })
        .await;
    stage.delete(("Component", &stage.home, "orders")).await;
    stage
        .becomes(place, |object| {
            object["status"]["components"] == json!({"total": 1, "ready": 1})
        })
        .await;
}

#[tokio::test]
async fn a_systems_namespace_is_open_to_its_components_beside_it_and_to_nobody_else() {
    let stage = Stage::new("member").await;
    templates(&stage).await;
    let shared = format!("{}-shop-shared", stage.home);
    // It may come before its system.
    early(&stage).await;
    stage.component_with("orders", member(None)).await;
    let message = stage.unready("Component", "orders", "WaitingForNamespace").await;
    assert!(
        message.starts_with(&format!("waiting for system:{}/shop, which is not Ready", stage.home)),
        "{message}"
    );
    stage.system("shop", json!({"template": {"ref": "shared"}})).await;
    stage.ready("System", "shop").await;
    stage.ready("Component", "orders").await;
    let made = stage.get(("ConfigMap", &shared, "orders")).await.unwrap();
    assert_eq!(made["data"]["system"], format!("system:{}/shop", stage.home));

    // A component of another system beside it, and one that claims the system from another namespace.
    stage
        .template_with(
            "intruder",
            json!([resource(
                "settings",
                with(
                    config_map("", json!({})),
                    json!({"metadata": {"name": "intruder", "namespace": shared}})
                )
            )]),
            json!({"allowedNamespaces": {"from": "All"}}),
        )
        .await;
    stage.system("other", json!({})).await;
    stage.ready("System", "other").await;
    stage
        .component_with("stranger", json!({"system": "other", "template": {"ref": "intruder"}}))
        .await;
    let message = stage.unready("Component", "stranger", "NamespaceNotAllowed").await;
    assert!(message.contains(&shared), "{message}");
    let other = stage.cluster.namespace(&format!("{}-other", stage.home)).await;
    let claims = json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
        "metadata": {"name": "claims", "namespace": other},
        "spec": {
            "type": "service", "lifecycle": "production", "owner": "group:shop/checkout",
            "system": format!("{}/shop", stage.home), "template": {"ref": format!("{}/intruder", stage.home)},
        },
    });
    stage.put(claims).await;
    let refused = stage
        .becomes(("Component", &other, "claims"), |object| {
            condition(object, "Ready").reason == "NamespaceNotAllowed"
        })
        .await;
    assert_eq!(condition(&refused, "Stalled").reason, "NamespaceNotAllowed");
    assert_eq!(
        refused["status"]["inventory"],
        Value::Null,
        "refused before the first write"
    );
    assert_eq!(stage.get(("ConfigMap", &shared, "intruder")).await, None);
}

#[tokio::test]
async fn a_system_that_goes_takes_its_namespace_and_its_components_say_so() {
    let stage = Stage::new("sysgone").await;
    templates(&stage).await;
    stage.system("shop", json!({"template": {"ref": "shared"}})).await;
    stage.ready("System", "shop").await;
    stage.component_with("orders", member(None)).await;
    stage.ready("Component", "orders").await;
    stage.delete(("System", &stage.home, "shop")).await;
    stage.vanishes(("System", &stage.home, "shop")).await;
    assert_eq!(
        stage
            .get(("Namespace", "", &format!("{}-shop-shared", stage.home)))
            .await,
        None
    );
    let component = stage.looked_at("Component", "orders").await;
    assert_ne!(condition(&component, "Ready").status, "True");
    stage.system("shop", json!({"template": {"ref": "shared"}})).await;
    stage.ready("System", "shop").await;
    stage.ready("Component", "orders").await;
    stage
        .appears(("ConfigMap", &format!("{}-shop-shared", stage.home), "orders"))
        .await;
}

/// Components that come before their Systems are made as soon as these have their namespaces.
async fn early(stage: &Stage<'_>) {
    let names: Vec<String> = (0..8).map(|number| format!("early{number}")).collect();
    for name in &names {
        stage.component_with(name, member(Some(name))).await;
    }
    for name in &names {
        stage
            .becomes(("Component", &stage.home, name), |object| {
                condition(object, "Reconciling").reason == "WaitingForNamespace"
            })
            .await;
    }
    for name in &names {
        stage.system(name, json!({"template": {"ref": "shared"}})).await;
    }
    for name in &names {
        stage.ready("System", name).await;
        stage.ready("Component", name).await;
    }
}
