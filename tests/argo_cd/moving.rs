//! A Component that moves by one commit, which takes the old file away and brings the new one.

use serde_json::{Value, json};

use crate::manifests::{account, component, template_of};
use crate::peer::argo_cd;
use crate::support::{config_map, namespace_manifest, resource, uid, with};

#[tokio::test]
async fn a_component_that_moves_in_one_commit_keeps_every_object() {
    let Some(argo) = argo_cd("a move in one commit, by a real Argo CD").await else {
        return;
    };
    let delivery = argo.delivery("moved").await;
    let (stage, home) = (&delivery.stage, delivery.stage.home.as_str());
    let space = format!("{home}-space");
    let namespace = with(namespace_manifest(""), json!({"metadata": {"name": space}}));
    let place = json!({"name": "settings", "namespace": space});
    let settings = with(
        config_map("settings", json!({"of": "${{ entity.metadata.name }}"})),
        json!({"metadata": place}),
    );
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "limits", "namespace": space},
        "spec": {"hard": {"pods": "${{ parameters.pods }}"}},
    });
    let resources = json!([
        resource("ns", namespace),
        resource("settings", settings),
        resource("quota", quota),
    ]);
    delivery.git.write("account.yaml", &account(home));
    delivery
        .git
        .write("template.yaml", &[template_of(home, "app", resources)]);
    let orders = component(home, "orders", "app", 2);
    delivery.git.write("orders.yaml", std::slice::from_ref(&orders));
    delivery.git.commit();
    delivery.begin();
    delivery.becomes("Healthy").await;

    // Whoever has the old one agrees first.
    let mut agreed = orders;
    agreed["metadata"]["annotations"] = json!({"landfall.dev/hand-over-to": format!("component:{home}/sales")});
    delivery.git.write("orders.yaml", &[agreed]);
    delivery.commit().await;
    let waits = |object: &Value| {
        object["status"]["conditions"]
            .to_string()
            .contains("WaitingForTakeOver")
    };
    stage.becomes(("Component", home, "orders"), waits).await;
    delivery.becomes("Healthy").await;
    let places = [
        ("Namespace", "", space.as_str()),
        ("ConfigMap", &space, "settings"),
        ("ResourceQuota", &space, "limits"),
    ];
    let mut before = Vec::new();
    for place in places {
        before.push(uid(&stage.get(place).await.unwrap()).to_owned());
    }

    delivery.git.remove("orders.yaml");
    let mut sales = component(home, "sales", "app", 2);
    sales["spec"]["template"]["takeOver"] = json!({"ref": format!("component:{home}/orders")});
    delivery.git.write("sales.yaml", &[sales]);
    delivery.commit().await;
    stage.vanishes(("Component", home, "orders")).await;
    delivery.becomes("Healthy").await;
    let sales = stage.get(("Component", home, "sales")).await.unwrap();
    for (place, before) in places.into_iter().zip(before) {
        let after = stage.get(place).await.unwrap();
        assert_eq!(uid(&after), before, "{place:?}");
        assert_eq!(after["metadata"]["labels"]["landfall.dev/instance-uid"], uid(&sales));
    }
}
