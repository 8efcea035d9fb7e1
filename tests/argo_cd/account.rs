//! A commit that takes away the account together with what was made as it.

use serde_json::json;

use crate::manifests::{account, component, in_wave, template, template_of};
use crate::peer::argo_cd;
use crate::support::{condition, config_map, namespace_manifest, resource, with};

#[tokio::test]
async fn an_account_that_is_pruned_beside_its_components_is_named_and_when_it_is_back_all_goes() {
    let Some(argo) = argo_cd("an account pruned beside its components, by a real Argo CD").await else {
        return;
    };
    let delivery = argo.delivery("pruned").await;
    let (stage, home) = (&delivery.stage, delivery.stage.home.as_str());
    // What is deleted first lies in the instance's own namespace, and somebody else holds it for a while.
    let mut settings = resource("settings", config_map("settings", json!({"a": "b"})));
    settings["dependsOn"] = json!(["ns"]);
    let app = template_of(home, "app", json!([resource("ns", namespace_manifest("")), settings]));
    let keep = with(
        config_map("keep", json!({})),
        json!({"metadata": {"name": "keep", "namespace": home}}),
    );
    delivery.git.write("keep.yaml", &[keep]);
    delivery.git.write("account.yaml", &account(home));
    delivery.git.write("template.yaml", &[app]);
    delivery
        .git
        .write("component.yaml", &[component(home, "orders", "app", 2)]);
    delivery.git.commit();
    delivery.begin();
    delivery.becomes("Healthy").await;
    let held = ("ConfigMap", home, "settings");
    stage
        .edit(held, json!({"metadata": {"finalizers": ["example.com/hold"]}}))
        .await;

    for file in ["account.yaml", "template.yaml", "component.yaml"] {
        delivery.git.remove(file);
    }
    delivery.commit().await;
    let name = format!("{home}-golden-path");
    stage.vanishes(("ClusterRoleBinding", "", &name)).await;
    stage.vanishes(("ServiceAccount", home, "golden-path")).await;
    stage
        .becomes(held, |object| !object["metadata"]["deletionTimestamp"].is_null())
        .await;
    stage.edit(held, json!({"metadata": {"finalizers": null}})).await;
    // It stays, and says what is missing: no finalizer without words.
    let place = ("Component", home, "orders");
    let account_named = format!("{home}/golden-path");
    let seen = stage
        .becomes(place, |object| {
            let ready = condition(object, "Ready");
            ready.status == "False" && ready.reason == "Forbidden" && ready.message.contains(&account_named)
        })
        .await;
    assert!(
        !seen["metadata"]["deletionTimestamp"].is_null(),
        "{:#}",
        seen["metadata"]
    );
    assert_eq!(condition(&seen, "Stalled").status, "True");
    let namespace = format!("{home}-orders");
    assert!(stage.get(("Namespace", "", &namespace)).await.is_some());

    // The account comes back by a commit, and the deletion ends.
    delivery.git.write("account.yaml", &account(home));
    delivery.commit().await;
    stage.appears(("ClusterRoleBinding", "", &name)).await;
    stage
        .edit(
            place,
            json!({"metadata": {"annotations": {"landfall.dev/reconcile": "the account is back"}}}),
        )
        .await;
    stage.vanishes(place).await;
    stage.vanishes(("Namespace", "", &namespace)).await;
    delivery.becomes("Healthy").await;
}

#[tokio::test]
async fn an_account_of_an_earlier_sync_wave_is_pruned_after_its_components() {
    let Some(argo) = argo_cd("an account of an earlier sync wave, by a real Argo CD").await else {
        return;
    };
    let delivery = argo.delivery("ordered").await;
    let (stage, home) = (&delivery.stage, delivery.stage.home.as_str());
    delivery
        .git
        .write("account.yaml", &account(home).map(|object| in_wave(object, "-2")));
    delivery
        .git
        .write("template.yaml", &[in_wave(template(home, "app"), "-1")]);
    let components = ["orders", "payments"].map(|name| component(home, name, "app", 2));
    delivery.git.write("components.yaml", &components);
    delivery.git.commit();
    delivery.begin();
    delivery.becomes("Healthy").await;
    for file in ["account.yaml", "template.yaml", "components.yaml"] {
        delivery.git.remove(file);
    }
    delivery.commit().await;
    let name = format!("{home}-golden-path");
    stage.vanishes(("ServiceAccount", home, "golden-path")).await;
    stage.vanishes(("ClusterRoleBinding", "", &name)).await;
    for component in ["orders", "payments"] {
        assert_eq!(stage.get(("Component", home, component)).await, None, "it went first");
        assert_eq!(stage.get(("Namespace", "", &format!("{home}-{component}"))).await, None);
    }
    delivery.becomes("Healthy").await;
}
