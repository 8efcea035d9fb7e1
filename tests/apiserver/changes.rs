//! An instance follows its parameters: objects change in place, and what falls out of the plan goes.

use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, namespace_manifest, parameters, resource, uid, with};

fn text_parameter() -> Value {
    parameters(json!({"text": {"type": "string", "default": "one"}}))
}

fn given(text: &str) -> Value {
    json!({"ref": "app", "parameters": {"text": text}})
}

#[tokio::test]
async fn a_changed_parameter_changes_the_object_in_place() {
    let stage = Stage::new("change").await;
    let data = json!({"text": "${{ parameters.text }}", "same": "as ever"});
    let resources = json!([
        resource("a", config_map("a", data)),
        resource("b", config_map("b", json!({"b": "b"})))
    ]);
    stage.template_with("app", resources, text_parameter()).await;
    stage.component("orders", given("one")).await;
    stage.ready("Component", "orders").await;
    let before = stage.get(("ConfigMap", &stage.home, "a")).await.unwrap();
    let beside = stage.get(("ConfigMap", &stage.home, "b")).await.unwrap();
    assert_eq!(before["data"], json!({"text": "one", "same": "as ever"}));

    stage.component("orders", given("two")).await;
    let after = stage
        .becomes(("ConfigMap", &stage.home, "a"), |object| {
            object["data"]["text"] == "two"
        })
        .await;
    stage.ready("Component", "orders").await;
    assert_eq!(uid(&before), uid(&after), "it is the same object");
    for mark in ["instance", "resource", "claim"] {
        let mark = format!("landfall.dev/{mark}");
        let of = |object: &Value| object["metadata"]["annotations"][&mark].clone();
        assert_eq!(of(&before), of(&after));
    }
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "b")).await,
        Some(beside),
        "what did not change is not written"
    );
}

#[tokio::test]
async fn what_falls_out_of_the_plan_is_deleted_last_made_first() {
    let stage = Stage::new("prune").await;
    let resources = json!([
        with(
            resource("m", config_map("m-${{ each.value }}", json!({"a": "b"}))),
            json!({"each": "${{ parameters.names }}"}),
        ),
        with(
            resource("last", config_map("last", json!({"a": "b"}))),
            json!({"if": "${{ parameters.last }}", "dependsOn": ["m"]}),
        ),
    ]);
    let schema = parameters(json!({
        "names": {"type": "array", "items": {"type": "string"}}, "last": {"type": "boolean"},
    }));
    stage.template_with("app", resources, schema).await;
    let all = json!({"ref": "app", "parameters": {"names": ["x", "y"], "last": true}});
    stage.component("orders", all).await;
    stage.ready("Component", "orders").await;
    let kept = stage.get(("ConfigMap", &stage.home, "m-x")).await.unwrap();
    let theirs = stage
        .put(with(
            config_map("theirs", json!({})),
            json!({"metadata": {"name": "theirs", "namespace": stage.home}}),
        ))
        .await;

    let mark = stage.cluster.audit().mark().await;
    stage
        .component("orders", json!({"ref": "app", "parameters": {"names": ["x"]}}))
        .await;
    stage.vanishes(("ConfigMap", &stage.home, "m-y")).await;
    stage.vanishes(("ConfigMap", &stage.home, "last")).await;
    let component = stage.ready("Component", "orders").await;
    let deleted: Vec<String> = stage
        .written_since(mark)
        .await
        .into_iter()
        .filter(|entry| entry.verb == "delete")
        .map(|entry| entry.name)
        .collect();
    assert_eq!(
        deleted,
        ["last", "m-y"],
        "in the reverse of the order in which they were made"
    );
    let inventory = component["status"]["inventory"].as_array().unwrap();
    assert_eq!(inventory.len(), 1, "{inventory:?}");
    assert_eq!(inventory[0]["uid"], uid(&kept));
    assert_eq!(stage.get(("ConfigMap", &stage.home, "m-x")).await, Some(kept));
    assert_eq!(stage.get(("ConfigMap", &stage.home, "theirs")).await, Some(theirs));
}

#[tokio::test]
async fn nothing_is_pruned_while_anything_waits() {
    let stage = Stage::new("hold").await;
    let widget = stage.define_widget().await;
    let resources = json!([
        with(
            resource("old", config_map("old", json!({"a": "b"}))),
            json!({"if": "${{ not parameters.moved }}"})
        ),
        with(
            resource("db", stage.widget_manifest("db")),
            json!({"if": "${{ parameters.moved }}", "readyWhen": "${{ self.status.phase == 'Up' }}"}),
        ),
        with(
            resource("new", config_map("new", json!({"a": "b"}))),
            json!({"if": "${{ parameters.moved }}", "dependsOn": ["db"]}),
        ),
    ]);
    stage
        .template_with(
            "app",
            resources,
            parameters(json!({"moved": {"type": "boolean", "default": false}})),
        )
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let old = stage.get(("ConfigMap", &stage.home, "old")).await.unwrap();

    stage
        .component("orders", json!({"ref": "app", "parameters": {"moved": true}}))
        .await;
    stage.appears((&widget, &stage.home, "db")).await;
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "old")).await,
        Some(old.clone()),
        "pruned too early"
    );
    let inventory = component["status"]["inventory"].as_array().unwrap();
    assert!(
        inventory.iter().any(|entry| entry["uid"] == uid(&old)),
        "it is owned until it is gone"
    );

    stage
        .set_status((&widget, &stage.home, "db"), json!({"phase": "Up"}))
        .await;
    stage.appears(("ConfigMap", &stage.home, "new")).await;
    stage.vanishes(("ConfigMap", &stage.home, "old")).await;
    stage.ready("Component", "orders").await;
}

#[tokio::test]
async fn an_immutable_field_is_reported_and_the_object_kept() {
    let stage = Stage::new("immutable").await;
    let manifest = with(
        config_map("fixed", json!({"text": "${{ parameters.text }}"})),
        json!({"immutable": true}),
    );
    stage
        .template_with("app", json!([resource("fixed", manifest)]), text_parameter())
        .await;
    stage.component("orders", given("one")).await;
    stage.ready("Component", "orders").await;
    let before = stage.get(("ConfigMap", &stage.home, "fixed")).await.unwrap();

    stage.component("orders", given("two")).await;
    let message = stage.unready("Component", "orders", "ImmutableField").await;
    for part in [
        format!("ConfigMap {}/fixed: data: ", stage.home).as_str(),
        "immutable",
        "replace: true",
    ] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&component, "Stalled").reason, "ImmutableField");
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "fixed")).await,
        Some(before.clone())
    );

    stage.component("orders", given("one")).await;
    stage.ready("Component", "orders").await;
    assert_eq!(stage.get(("ConfigMap", &stage.home, "fixed")).await, Some(before));
}

#[tokio::test]
async fn an_immutable_field_of_a_replaceable_object_makes_it_anew() {
    let stage = Stage::new("replace").await;
    let manifest = with(
        config_map("fixed", json!({"text": "${{ parameters.text }}"})),
        json!({"immutable": true}),
    );
    let resources = json!([with(resource("fixed", manifest), json!({"replace": true}))]);
    stage.template_with("app", resources, text_parameter()).await;
    stage.component("orders", given("one")).await;
    stage.ready("Component", "orders").await;
    let before = stage.get(("ConfigMap", &stage.home, "fixed")).await.unwrap();

    stage.component("orders", given("two")).await;
    let after = stage
        .becomes(("ConfigMap", &stage.home, "fixed"), |object| {
            object["data"]["text"] == "two"
        })
        .await;
    assert_ne!(uid(&before), uid(&after));
    let component = stage.ready("Component", "orders").await;
    assert_eq!(component["status"]["inventory"][0]["uid"], uid(&after));
}

#[tokio::test]
async fn what_is_made_once_is_never_touched_again() {
    let stage = Stage::new("once").await;
    let manifest = |name: &str| config_map(name, json!({"text": "${{ parameters.text }}"}));
    let resources = json!([
        with(resource("first", manifest("first")), json!({"mode": "Once"})),
        with(resource("second", manifest("second")), json!({"mode": "Once"})),
        resource("owned", manifest("owned")),
    ]);
    stage.template_with("app", resources, text_parameter()).await;
    stage.component("orders", given("one")).await;
    stage.ready("Component", "orders").await;

    let edited = stage
        .edit(
            ("ConfigMap", &stage.home, "first"),
            json!({"data": {"text": "mine now"}}),
        )
        .await;
    stage.delete(("ConfigMap", &stage.home, "second")).await;
    stage.component("orders", given("two")).await;
    stage
        .becomes(("ConfigMap", &stage.home, "owned"), |object| {
            object["data"]["text"] == "two"
        })
        .await;
    stage.looked_at("Component", "orders").await;
    stage.ready("Component", "orders").await;
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "first")).await,
        Some(edited),
        "neither repaired nor changed"
    );
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "second")).await,
        None,
        "not made again"
    );

    let component = stage.get(("Component", &stage.home, "orders")).await.unwrap();
    for entry in component["status"]["inventory"].as_array().unwrap() {
        let mode = if entry["resource"] == "owned" {
            Value::Null
        } else {
            json!("Once")
        };
        assert_eq!(entry["mode"], mode, "{entry}");
    }
}

#[tokio::test]
async fn a_job_is_made_once_unless_the_template_says_otherwise() {
    let stage = Stage::new("job").await;
    let container = json!({"name": "main", "image": "example.com/never-pulled:1"});
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    });
    stage.template("app", json!([resource("migrate", job)])).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.appears(("Job", &stage.home, "migrate")).await;
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            object["status"]["inventory"][0]["uid"].is_string()
        })
        .await;
    stage.delete(("Job", &stage.home, "migrate")).await;
    stage.vanishes(("Job", &stage.home, "migrate")).await;
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(component["status"]["inventory"][0]["mode"], "Once");
    assert_eq!(
        stage.get(("Job", &stage.home, "migrate")).await,
        None,
        "what ran is not run again"
    );
}

#[tokio::test]
async fn an_environment_that_is_removed_goes_whole_and_may_come_back_before_it_is_gone() {
    let stage = Stage::new("leaveenv").await;
    let each = json!({"each": "${{ parameters.names }}", "environment": "${{ each.value }}"});
    let metadata = json!({"name": "settings", "namespace": "${{ resources.ns[each.key].metadata.name }}"});
    let settings = with(config_map("settings", json!({"a": "b"})), json!({"metadata": metadata}));
    let resources = json!([
        with(resource("ns", namespace_manifest("-${{ each.value }}")), each.clone()),
        with(resource("settings", settings), each),
    ]);
    let schema = parameters(json!({"names": {"type": "array", "items": {"type": "string"}}}));
    stage.template_with("app", resources, schema).await;
    let given = |names: Value| json!({"ref": "app", "parameters": {"names": names}});
    stage.component("orders", given(json!(["dev", "prod"]))).await;
    stage.ready("Component", "orders").await;
    let (dev, prod) = (
        format!("{}-orders-dev", stage.home),
        format!("{}-orders-prod", stage.home),
    );
    let kept = stage.get(("Namespace", "", &dev)).await.unwrap();
    let before = stage.get(("Namespace", "", &prod)).await.unwrap();

    stage.component("orders", given(json!(["dev"]))).await;
    stage
        .becomes(("Namespace", "", &prod), |object| {
            object["metadata"]["deletionTimestamp"].is_string()
        })
        .await;
    let message = stage.unready("Component", "orders", "WaitingForDeletion").await;
    assert!(
        message.contains(&format!("waiting for Namespace {prod} to be gone")),
        "{message}"
    );
    // Whoever changes their mind waits, and gets a new one.
    stage.component("orders", given(json!(["dev", "prod"]))).await;
    let after = stage
        .becomes(("Namespace", "", &prod), |object| uid(object) != uid(&before))
        .await;
    let component = stage.ready("Component", "orders").await;
    let settings = stage.get(("ConfigMap", &prod, "settings")).await.unwrap();
    let owned = |object: &Value| {
        let inventory = component["status"]["inventory"].as_array().unwrap();
        inventory.iter().any(|entry| entry["uid"] == uid(object))
    };
    assert!(owned(&after) && owned(&settings) && owned(&kept));
    assert_eq!(component["status"]["inventory"].as_array().unwrap().len(), 4);

    stage.component("orders", given(json!(["dev"]))).await;
    stage.vanishes(("Namespace", "", &prod)).await;
    let component = stage.ready("Component", "orders").await;
    assert_eq!(component["status"]["inventory"].as_array().unwrap().len(), 2);
    assert_eq!(stage.get(("Namespace", "", &dev)).await, Some(kept));
}
