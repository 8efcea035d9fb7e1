//! What must never be lost: the last word on a parameter, and objects that nobody agreed to give up.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Cluster, Operator, Stage, condition, config_map, eventually_within, namespace_manifest, parameters, resource, uid,
    with,
};

/// A `ConfigMap` in the namespace that the plan makes as `ns`.
fn inside(name: &str, more: Value) -> Value {
    let metadata = json!({"name": name, "namespace": "${{ resources.ns.metadata.name }}"});
    let manifest = with(config_map(name, json!({"a": "b"})), json!({"metadata": metadata}));
    with(resource(name, manifest), more)
}

fn namespace(more: Value) -> Value {
    with(resource("ns", namespace_manifest("")), more)
}

/// The namespace that [`namespace`] makes for the component `orders`.
fn made(stage: &Stage<'_>) -> String {
    format!("{}-orders", stage.home)
}

async fn delete_and_ask(stage: &Stage<'_>, reason: &str) -> String {
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.unready("Component", "orders", reason).await
}

#[tokio::test]
async fn the_last_word_on_a_parameter_holds_however_fast_it_came() {
    let stage = Stage::new("lastword").await;
    let text = json!({"text": {"type": "string", "default": "one"}});
    let one = config_map("${{ entity.metadata.name }}", json!({"text": "${{ parameters.text }}"}));
    stage
        .template_with("app", json!([resource("settings", one)]), parameters(text))
        .await;
    for round in 0..12 {
        let name = format!("c{round}");
        stage
            .component(&name, json!({"ref": "app", "parameters": {"text": "one"}}))
            .await;
    }
    for round in 0..12_u64 {
        let name = format!("c{round}");
        stage.ready("Component", &name).await;
        for (text, pause) in [("two", round * 2), ("one", 0)] {
            let change = json!({"spec": {"template": {"parameters": {"text": text}}}});
            stage.edit(("Component", &stage.home, &name), change).await;
            tokio::time::sleep(Duration::from_millis(pause)).await; // where in the pass the next word falls
        }
    }
    for round in 0..12 {
        let name = format!("c{round}");
        stage.ready("Component", &name).await;
        stage
            .becomes(("ConfigMap", &stage.home, &name), |object| {
                object["data"]["text"] == "one"
            })
            .await;
    }
}

#[tokio::test]
async fn a_namespace_asks_for_the_object_in_it_that_asks() {
    let stage = Stage::new("asks").await;
    let precious = inside("precious", json!({"deletionPolicy": "Confirm"}));
    stage.template("app", json!([namespace(json!({})), precious])).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let message = delete_and_ask(&stage, "DeletionNotConfirmed").await;
    assert!(
        message.contains(&format!("holds ConfigMap {}/precious", made(&stage))),
        "{message}"
    );
    let left = stage.get(("Namespace", "", &made(&stage))).await.unwrap();
    assert_eq!(left["metadata"]["deletionTimestamp"], Value::Null);
    assert!(stage.get(("ConfigMap", &made(&stage), "precious")).await.is_some());
}

#[tokio::test]
async fn what_was_left_to_others_keeps_its_namespace_for_good() {
    let stage = Stage::new("leftthere").await;
    let keep = json!({"keep": {"type": "boolean", "default": true}});
    let data = inside(
        "data",
        json!({"deletionPolicy": "Retain", "if": "${{ parameters.keep }}"}),
    );
    stage
        .template_with("app", json!([namespace(json!({})), data]), parameters(keep))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let change = json!({"spec": {"template": {"parameters": {"keep": false}}}});
    stage.edit(("Component", &stage.home, "orders"), change).await;
    stage
        .becomes(("ConfigMap", &made(&stage), "data"), |object| {
            object["metadata"]["labels"]["landfall.dev/instance-uid"].is_null()
        })
        .await;
    stage.ready("Component", "orders").await;
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    let left = stage.get(("Namespace", "", &made(&stage))).await.unwrap();
    assert_eq!(left["metadata"]["deletionTimestamp"], Value::Null);
    assert!(stage.get(("ConfigMap", &made(&stage), "data")).await.is_some());
}

#[tokio::test]
async fn a_policy_holds_from_when_it_is_written_also_while_stalled() {
    let stage = Stage::new("stalledpolicy").await;
    stage.template("app", json!([namespace(json!({}))])).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let change = json!({"spec": {"template": {"deletionPolicy": "Confirm", "parameters": {"typo": "x"}}}});
    stage.edit(("Component", &stage.home, "orders"), change).await;
    stage.unready("Component", "orders", "InvalidParameters").await;
    delete_and_ask(&stage, "DeletionNotConfirmed").await;
    let left = stage.get(("Namespace", "", &made(&stage))).await.unwrap();
    assert_eq!(left["metadata"]["deletionTimestamp"], Value::Null);
}

#[tokio::test]
async fn a_namespace_that_the_plan_still_needs_is_not_pruned() {
    let stage = Stage::new("livedin").await;
    let own = json!({"own": {"type": "boolean", "default": true}});
    let metadata = json!({"name": "settings", "namespace": made(&stage)});
    let settings = with(config_map("settings", json!({"a": "b"})), json!({"metadata": metadata}));
    let resources = json!([
        namespace(json!({"if": "${{ parameters.own }}"})),
        resource("settings", settings)
    ]);
    let more = with(parameters(own), json!({"targetNamespaces": [made(&stage)]}));
    stage.template_with("app", resources, more).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let change = json!({"spec": {"template": {"parameters": {"own": false}}}});
    stage.edit(("Component", &stage.home, "orders"), change).await;
    let message = stage.unready("Component", "orders", "NamespaceNotAllowed").await;
    assert!(message.contains("fell out of the plan and is kept"), "{message}");
    assert!(stage.get(("ConfigMap", &made(&stage), "settings")).await.is_some());
}

#[tokio::test]
async fn a_suspended_instance_deletes_nothing() {
    let stage = Stage::new("suspendeddelete").await;
    stage
        .template("app", json!([resource("a", config_map("a", json!({"a": "b"})))]))
        .await;
    stage.component("orders", json!({"ref": "app", "suspend": true})).await;
    stage
        .edit(
            ("Component", &stage.home, "orders"),
            json!({"spec": {"template": {"suspend": false}}}),
        )
        .await;
    stage.ready("Component", "orders").await;
    stage
        .edit(
            ("Component", &stage.home, "orders"),
            json!({"spec": {"template": {"suspend": true}}}),
        )
        .await;
    let message = delete_and_ask(&stage, "Suspended").await;
    assert!(
        message.contains("it is suspended, so nothing that it owns is deleted"),
        "{message}"
    );
    let left = stage.get(("ConfigMap", &stage.home, "a")).await.unwrap();
    assert_eq!(left["metadata"]["deletionTimestamp"], Value::Null);
    stage
        .edit(
            ("Component", &stage.home, "orders"),
            json!({"spec": {"template": {"suspend": false}}}),
        )
        .await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get(("ConfigMap", &stage.home, "a")).await, None);
}

#[tokio::test]
async fn our_finalizer_comes_back_also_while_stalled() {
    let stage = Stage::new("finalizer").await;
    stage
        .template("app", json!([resource("a", config_map("a", json!({"a": "b"})))]))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let change = json!({"spec": {"template": {"parameters": {"typo": "x"}}}});
    stage.edit(("Component", &stage.home, "orders"), change).await;
    stage.unready("Component", "orders", "InvalidParameters").await;
    let bare = json!({"metadata": {"finalizers": null}});
    stage.edit(("Component", &stage.home, "orders"), bare).await;
    eventually_within(
        Duration::from_secs(10),
        "the finalizer is back",
        async || -> Option<()> {
            let object = stage.get(("Component", &stage.home, "orders")).await?;
            let finalizers = object["metadata"]["finalizers"].to_string();
            finalizers.contains("catalog.landfall.dev/provisioned").then_some(())
        },
    )
    .await;
    let object = stage.get(("Component", &stage.home, "orders")).await.unwrap();
    assert_eq!(condition(&object, "Ready").reason, "InvalidParameters");
}

/// An object that was deleted is made anew, and the operator dies before it has written down the new UID; then its instance
/// goes, or no longer wants it.
#[tokio::test]
async fn what_was_made_anew_before_a_crash_is_not_left_behind() {
    let cluster = Cluster::own("anew").await;
    let stage = Stage::on(&cluster, "anew").await;
    let operator = Operator::start(&cluster).await;
    let settings = config_map("${{ entity.metadata.name }}", json!({"a": "b"}));
    let optional = json!({"if": "${{ parameters.wanted }}"});
    let wanted = parameters(json!({"wanted": {"type": "boolean", "default": true}}));
    stage
        .template_with("app", json!([with(resource("settings", settings), optional)]), wanted)
        .await;
    let home = stage.home.as_str();
    let mut before = Vec::new();
    for name in ["goes", "changes"] {
        stage.component(name, json!({"ref": "app"})).await;
        let inventory = stage.ready("Component", name).await["status"]["inventory"].clone();
        let first = stage.get(("ConfigMap", home, name)).await.unwrap();
        stage.delete(("ConfigMap", home, name)).await;
        let other = |object: &Value| uid(object) != uid(&first);
        let again = stage.becomes(("ConfigMap", home, name), other).await;
        let known = |object: &Value| object["status"]["inventory"][0]["uid"] == again["metadata"]["uid"];
        stage.becomes(("Component", home, name), known).await;
        before.push((name, inventory));
    }
    operator.kill();
    for (name, inventory) in before {
        stage
            .set_status(("Component", home, name), json!({"inventory": inventory}))
            .await;
    }
    stage.delete(("Component", home, "goes")).await;
    let unwanted = json!({"spec": {"template": {"parameters": {"wanted": false}}}});
    stage.edit(("Component", home, "changes"), unwanted).await;
    let _operator = Operator::start(&cluster).await;
    for name in ["goes", "changes"] {
        stage.vanishes(("ConfigMap", home, name)).await;
    }
    stage.vanishes(("Component", home, "goes")).await;
    let left = stage.ready("Component", "changes").await;
    assert_eq!(
        left["status"]["inventory"].as_array().map_or(0, Vec::len),
        0,
        "{left:#}"
    );
}
