//! Taking down where what it needs is gone, and of one environment.

use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, eventually, namespace_manifest, parameters, resource, uid, with};

/// The hash that a message asks to be put on the instance.
fn token(message: &str) -> String {
    let (_, rest) = message.split_once("landfall.dev/confirm-deletion=").unwrap();
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// Template, definition of a kind and rights are gone: what can go goes, and what cannot is listed, until it is let go.
#[tokio::test]
async fn what_cannot_be_removed_is_listed_until_it_is_let_go() {
    let stage = Stage::new("helpless").await;
    let rules = |resources: Value| {
        let verbs = ["get", "list", "watch", "create", "patch", "delete"];
        let widgets =
            json!({"apiGroups": [format!("{}.example.com", stage.home)], "resources": ["widgets"], "verbs": verbs});
        json!([{"apiGroups": [""], "resources": resources, "verbs": verbs}, widgets])
    };
    stage.define_widget().await;
    stage
        .account("narrow", &rules(json!(["configmaps", "resourcequotas"])))
        .await;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "limits"}, "spec": {"hard": {"pods": "5"}},
    });
    let resources = json!([
        resource("a", config_map("a", json!({"a": "b"}))),
        with(resource("quota", quota), json!({"dependsOn": ["a"]})),
        with(
            resource("thing", stage.widget_manifest("thing")),
            json!({"dependsOn": ["quota"]})
        ),
    ]);
    stage
        .template_with("app", resources, json!({"serviceAccountName": "narrow"}))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.appears((&stage.widget(), &stage.home, "thing")).await;
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            object["status"]["inventory"]
                .as_array()
                .is_some_and(|all| all.len() == 3 && all.iter().all(|one| one["uid"].is_string()))
        })
        .await;
    let definition = format!("widgets.{}.example.com", stage.home);
    stage.delete(("CustomResourceDefinition", "", &definition)).await;
    stage.vanishes(("CustomResourceDefinition", "", &definition)).await;
    stage.account("narrow", &rules(json!(["configmaps"]))).await;
    let user = format!("--as=system:serviceaccount:{}:narrow", stage.home);
    eventually("the right to be gone", async || {
        let asked = ["auth", "can-i", "delete", "resourcequotas", "-n", &stage.home, &user];
        let said = String::from_utf8_lossy(&stage.cluster.kubectl(&asked).stdout)
            .trim()
            .to_owned();
        if said == "no" { Ok(()) } else { Err(said) }
    })
    .await;
    stage.delete(("Template", &stage.home, "app")).await;
    stage.delete(("Component", &stage.home, "orders")).await;
    let message = stage.unready("Component", "orders", "Forbidden").await;
    let home = &stage.home;
    let listed = format!("deleting (2 objects left: ConfigMap {home}/a, ResourceQuota {home}/limits): ");
    assert!(message.starts_with(&listed), "{message}");
    assert!(message.contains("narrow may not"), "{message}");
    let place = ("Component", home.as_str(), "orders");
    let kept = stage.get(("ConfigMap", home, "a")).await.unwrap();
    assert!(
        kept["metadata"]["deletionTimestamp"].is_null(),
        "what others were made after goes after them"
    );
    let release = json!({"metadata": {"annotations": {"landfall.dev/release": "yes"}}});
    stage.edit(place, release).await;
    stage.vanishes(place).await;
    let kept = stage.get(("ConfigMap", home, "a")).await.unwrap();
    assert_eq!(kept["metadata"]["labels"]["landfall.dev/instance-uid"], Value::Null);
    assert!(stage.get(("ResourceQuota", home, "limits")).await.is_some());
}

#[tokio::test]
async fn an_environment_that_holds_a_volume_asks_before_it_goes() {
    let stage = Stage::new("envvolume").await;
    let each = json!({"each": "${{ parameters.names }}", "environment": "${{ each.value }}"});
    let resources = json!([with(resource("ns", namespace_manifest("-${{ each.value }}")), each)]);
    let schema = parameters(json!({"names": {"type": "array", "items": {"type": "string"}}}));
    stage.template_with("app", resources, schema).await;
    let given = |names: Value| json!({"ref": "app", "parameters": {"names": names}});
    stage.component("orders", given(json!(["dev", "prod"]))).await;
    stage.ready("Component", "orders").await;
    let namespace = format!("{}-orders-prod", stage.home);
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    stage.put(claim).await;
    let before = stage.get(("Namespace", "", &namespace)).await.unwrap();
    stage.component("orders", given(json!(["dev"]))).await;
    let message = stage.unready("Component", "orders", "DeletionNotConfirmed").await;
    let holds = format!("Namespace {namespace} is to be deleted and holds PersistentVolumeClaim data");
    assert!(message.contains(&holds), "{message}");
    stage.looked_at("Component", "orders").await;
    let kept = stage.get(("Namespace", "", &namespace)).await.unwrap();
    assert_eq!(
        (uid(&kept), &kept["metadata"]["deletionTimestamp"]),
        (uid(&before), &Value::Null)
    );
    let confirm = json!({"metadata": {"annotations": {"landfall.dev/confirm-deletion": token(&message)}}});
    stage.edit(("Component", &stage.home, "orders"), confirm).await;
    stage.vanishes(("Namespace", "", &namespace)).await;
    let component = stage.ready("Component", "orders").await;
    assert_eq!(condition(&component, "Ready").status, "True");
    assert!(
        stage
            .get(("Namespace", "", &format!("{}-orders-dev", stage.home)))
            .await
            .is_some()
    );
}
