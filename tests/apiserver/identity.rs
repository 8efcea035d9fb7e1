//! An object is the same object for as long as its group, kind, namespace and name are: whatever else changes,
//! it is changed in place and never made anew.

use serde_json::{Value, json};

use crate::support::{ACCOUNT, Stage, condition, config_map, parameters, resource, uid, with};

fn inventory(component: &Value) -> &Vec<Value> {
    component["status"]["inventory"].as_array().unwrap()
}

#[tokio::test]
async fn a_resource_that_is_renamed_keeps_its_object() {
    let stage = Stage::new("rename").await;
    let manifest = || config_map("settings", json!({"a": "b"}));
    stage.template("app", json!([resource("old", manifest())])).await;
    stage.component("orders", json!({"ref": "app"})).await;
    let component = stage.ready("Component", "orders").await;
    let before = stage.get(("ConfigMap", &stage.home, "settings")).await.unwrap();
    stage.template("app", json!([resource("new", manifest())])).await;
    let after = stage
        .becomes(("ConfigMap", &stage.home, "settings"), |object| {
            object["metadata"]["annotations"]["landfall.dev/resource"] == "new"
        })
        .await;
    assert_eq!(uid(&before), uid(&after));
    let renamed = stage.ready("Component", "orders").await;
    assert_eq!(inventory(&renamed).len(), 1);
    assert_eq!(inventory(&renamed)[0]["claim"], inventory(&component)[0]["claim"]);
}

#[tokio::test]
async fn a_changed_api_version_is_no_other_object() {
    let stage = Stage::new("version").await;
    let mut definition = stage.widget_definition();
    let mut newer = definition["spec"]["versions"][0].clone();
    newer["name"] = json!("v2");
    newer["storage"] = json!(false);
    definition["spec"]["versions"].as_array_mut().unwrap().push(newer);
    stage.put(definition).await;
    let widget = stage.widget_served().await;
    stage
        .template("app", json!([resource("db", stage.widget_manifest("db"))]))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let before = stage.get((&widget, &stage.home, "db")).await.unwrap();

    let manifest = with(
        stage.widget_manifest("db"),
        json!({"apiVersion": format!("{}.example.com/v2", stage.home), "spec": {"size": 2}}),
    );
    stage.template("app", json!([resource("db", manifest)])).await;
    let after = stage
        .becomes((&widget, &stage.home, "db"), |object| object["spec"]["size"] == 2)
        .await;
    assert_eq!(uid(&before), uid(&after));
    let component = stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            inventory(object)[0]["version"] == "v2"
        })
        .await;
    assert_eq!(inventory(&component).len(), 1);
    assert_eq!(inventory(&component)[0]["uid"], uid(&after));

    // What it is watched by has changed as well: a repair still comes.
    stage
        .edit((&widget, &stage.home, "db"), json!({"spec": {"size": 9}}))
        .await;
    stage
        .becomes((&widget, &stage.home, "db"), |object| object["spec"]["size"] == 2)
        .await;
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get((&widget, &stage.home, "db")).await, None);
}

#[tokio::test]
async fn another_account_takes_the_objects_over_as_they_are() {
    let stage = Stage::new("successor").await;
    let rules = json!([{
        "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    }]);
    stage.account("second", &rules).await;
    let resources = json!([resource("settings", config_map("settings", json!({"a": "b"})))]);
    stage.template("app", resources.clone()).await;
    stage.component("orders", json!({"ref": "app"})).await;
    let component = stage.ready("Component", "orders").await;
    assert_eq!(inventory(&component)[0]["account"], format!("{}/{ACCOUNT}", stage.home));
    let before = stage.get(("ConfigMap", &stage.home, "settings")).await.unwrap();

    stage
        .template_with("app", resources, json!({"serviceAccountName": "second"}))
        .await;
    let second = format!("{}/second", stage.home);
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            object["status"]["inventory"][0]["account"] == second
        })
        .await;
    stage.ready("Component", "orders").await;
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "settings")).await,
        Some(before),
        "nothing to write"
    );
    stage
        .edit(("ConfigMap", &stage.home, "settings"), json!({"data": {"a": "edited"}}))
        .await;
    stage
        .becomes(("ConfigMap", &stage.home, "settings"), |object| {
            object["data"]["a"] == "b"
        })
        .await;
}

#[tokio::test]
async fn the_last_of_many_quick_changes_is_what_stays() {
    let stage = Stage::new("flap").await;
    let resources = json!([resource(
        "settings",
        config_map("settings", json!({"text": "${{ parameters.text }}"}))
    )]);
    stage
        .template_with("app", resources, parameters(json!({"text": {"type": "string"}})))
        .await;
    let given = |text: &str| json!({"ref": "app", "parameters": {"text": text}});
    for round in 0..5 {
        for text in ["a", "b", &format!("c{round}"), "a"] {
            stage.component("orders", given(text)).await;
        }
    }
    stage
        .becomes(("ConfigMap", &stage.home, "settings"), |object| {
            object["data"]["text"] == "a"
        })
        .await;
    stage.looked_at("Component", "orders").await;
    let component = stage.ready("Component", "orders").await;
    let settings = stage.get(("ConfigMap", &stage.home, "settings")).await.unwrap();
    assert_eq!(settings["data"]["text"], "a");
    assert_eq!(inventory(&component)[0]["uid"], uid(&settings));
    assert_eq!(condition(&component, "Ready").status, "True");
}

#[tokio::test]
async fn another_template_takes_over_what_both_name() {
    let stage = Stage::new("migrate").await;
    let shared = |text: &str| resource("shared", config_map("shared", json!({"text": text})));
    let only = |name: &str| resource("only", config_map(name, json!({"a": "b"})));
    stage.template("old", json!([shared("old"), only("only-old")])).await;
    stage.template("new", json!([shared("new"), only("only-new")])).await;
    stage.component("orders", json!({"ref": "old"})).await;
    stage.ready("Component", "orders").await;
    let before = stage.get(("ConfigMap", &stage.home, "shared")).await.unwrap();
    stage.component("orders", json!({"ref": "new"})).await;
    let after = stage
        .becomes(("ConfigMap", &stage.home, "shared"), |object| {
            object["data"]["text"] == "new"
        })
        .await;
    assert_eq!(uid(&before), uid(&after));
    stage.vanishes(("ConfigMap", &stage.home, "only-old")).await;
    let component = stage.ready("Component", "orders").await;
    assert_eq!(inventory(&component).len(), 2);
    assert_eq!(
        component["status"]["template"]["ref"],
        format!("template:{}/new", stage.home)
    );
    let total = |wanted: i64| move |object: &Value| object["status"]["instances"]["total"] == wanted;
    stage.becomes(("Template", &stage.home, "new"), total(1)).await;
    stage.becomes(("Template", &stage.home, "old"), total(0)).await;
}
