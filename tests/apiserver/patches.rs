//! `mode: Patch`: fields of objects that others make are set, kept and given back; the objects are never made and never deleted.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    Stage, condition, config_map, eventually, lines, namespace_manifest, parameters, resource, uid, with,
};

/// A resource that sets fields of an object in the namespace that the plan makes as `ns`.
fn patch(id: &str, manifest: Value) -> Value {
    let name = manifest["metadata"]["name"].clone();
    let inside = json!({"name": name, "namespace": "${{ resources.ns.metadata.name }}"});
    let metadata = with(manifest["metadata"].clone(), inside);
    with(
        resource(id, with(manifest, json!({"metadata": metadata}))),
        json!({"mode": "Patch"}),
    )
}

/// A namespace that stays when the instance goes.
fn kept_namespace() -> Value {
    with(
        resource("ns", namespace_manifest("")),
        json!({"deletionPolicy": "Retain"}),
    )
}

/// Whether nothing on an object says that we were there.
fn is_left(object: &Value) -> bool {
    let managers = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    !object["metadata"].to_string().contains("landfall.dev/")
        && managers.into_iter().all(|entry| entry["manager"] != "landfall")
}

/// The namespace of the instance, and an object that somebody else makes in it.
async fn theirs(stage: &Stage<'_>, namespace: &str) -> Value {
    let object = with(
        config_map("theirs", json!({"a": "theirs"})),
        json!({"metadata": {"name": "theirs", "namespace": namespace}}),
    );
    stage.apply_as("someone", object).await
}

#[tokio::test]
async fn fields_of_what_others_make_are_set_kept_and_given_back() {
    let stage = Stage::new("patched").await;
    let namespace = format!("{}-orders", stage.home);
    let account = |more: Value| {
        let fields = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "labels": {"team": "shop"}}});
        let account = with(
            patch("account", with(fields, more)),
            json!({"if": "${{ parameters.patched }}"}),
        );
        json!([resource("ns", namespace_manifest("")), account])
    };
    let schema = || parameters(json!({"patched": {"type": "boolean", "default": true}}));
    let both = json!({"automountServiceAccountToken": false, "imagePullSecrets": [{"name": "registry"}]});
    stage.template_with("app", account(both), schema()).await;
    let patched = async |patched: bool| {
        stage
            .component("orders", json!({"ref": "app", "parameters": {"patched": patched}}))
            .await;
    };
    patched(true).await;
    // Kubernetes makes the account a moment after the namespace; nobody asks for a look.
    let component = stage.ready("Component", "orders").await;
    let entry = &component["status"]["inventory"][1];
    assert_eq!((&entry["mode"], &entry["name"]), (&json!("Patch"), &json!("default")));
    let place = ("ServiceAccount", namespace.as_str(), "default");
    let before = stage.get(place).await.unwrap();
    assert_eq!(before["automountServiceAccountToken"], false);
    assert_eq!(before["metadata"]["annotations"]["landfall.dev/mode"], "Patch");
    assert_eq!(entry["uid"], before["metadata"]["uid"]);

    // Settled, it costs nothing; others' fields are theirs; what others change of ours is put right.
    let mark = stage.cluster.audit().mark().await;
    stage
        .edit(place, json!({"metadata": {"labels": {"theirs": "yes"}}}))
        .await;
    stage.looked_at("Component", "orders").await;
    let mut written = stage.written_since(mark).await;
    written.retain(|entry| entry.resource == "serviceaccounts");
    assert!(written.is_empty(), "{}", lines(&written));
    stage.edit(place, json!({"automountServiceAccountToken": true})).await;
    stage
        .becomes(place, |object| object["automountServiceAccountToken"] == false)
        .await;

    // A field that the template sets no more is given back, and with the resource all of them.
    stage
        .template_with(
            "app",
            account(json!({"imagePullSecrets": [{"name": "registry"}]})),
            schema(),
        )
        .await;
    let fewer = stage
        .becomes(place, |object| object["automountServiceAccountToken"].is_null())
        .await;
    assert_eq!(fewer["imagePullSecrets"][0]["name"], "registry");
    patched(false).await;
    let left = stage.becomes(place, is_left).await;
    assert_eq!(uid(&left), uid(&before), "it was never deleted");
    assert_eq!(left["imagePullSecrets"], Value::Null, "{left:#}");
    assert_eq!(left["metadata"]["labels"], json!({"theirs": "yes"}));
    let component = stage.ready("Component", "orders").await;
    assert_eq!(component["status"]["inventory"].as_array().unwrap().len(), 1);

    // What is patched in a namespace of the plan does not keep it from going.
    patched(true).await;
    stage
        .becomes(place, |object| object["imagePullSecrets"].is_array())
        .await;
    stage.ready("Component", "orders").await;
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get(("Namespace", "", &namespace)).await, None);
}

#[tokio::test]
async fn what_is_to_be_patched_is_waited_for_however_often_it_comes_and_stays_when_the_instance_goes() {
    let stage = Stage::new("awaited").await;
    let namespace = format!("{}-orders", stage.home);
    let set = patch("set", config_map("theirs", json!({"b": "ours"})));
    stage.template("app", json!([kept_namespace(), set])).await;
    stage.component("orders", json!({"ref": "app"})).await;
    let place = ("ConfigMap", namespace.as_str(), "theirs");
    let mut seen = Vec::new();
    for _ in 0..2 {
        let message = stage.unready("Component", "orders", "WaitingForObject").await;
        assert_eq!(
            message,
            format!(
                "resource \"set\": waiting for others to make ConfigMap {namespace}/theirs, of which it sets fields (mode Patch)"
            )
        );
        let component = stage.looked_at("Component", "orders").await;
        assert_eq!(condition(&component, "Reconciling").reason, "WaitingForObject");
        assert_eq!(stage.get(place).await, None, "it is not ours to make");
        let why = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["why", "component/orders", "-n", &stage.home])
            .env("KUBECONFIG", stage.cluster.kubeconfig())
            .output()
            .unwrap();
        let why = String::from_utf8(why.stdout).unwrap();
        let said = format!("ConfigMap {namespace}/theirs: is made by others, and waited for");
        assert!(why.contains(&said), "{why}");
        // Its coming wakes the instance.
        seen.push(uid(&theirs(&stage, &namespace).await).to_owned());
        stage.becomes(place, |object| object["data"]["b"] == "ours").await;
        stage.ready("Component", "orders").await;
        stage.delete(place).await;
    }
    assert_ne!(seen[0], seen[1]);
    stage.unready("Component", "orders", "WaitingForObject").await;
    let before = theirs(&stage, &namespace).await;
    stage.becomes(place, |object| object["data"]["b"] == "ours").await;
    stage.ready("Component", "orders").await;
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    let left = stage.get(place).await.unwrap();
    assert!(is_left(&left), "{left:#}");
    assert_eq!(uid(&left), uid(&before));
    assert_eq!(left["data"], json!({"a": "theirs"}));
}

/// As after a crash between the apply and the status: the inventory knows the claim and no more.
#[tokio::test]
async fn what_was_patched_before_a_crash_is_known_by_its_claim() {
    let stage = Stage::new("crashed").await;
    let namespace = format!("{}-orders", stage.home);
    let set = with(
        patch("set", config_map("theirs", json!({"b": "ours"}))),
        json!({"if": "${{ parameters.patched }}"}),
    );
    let schema = parameters(json!({"patched": {"type": "boolean", "default": true}}));
    stage.template_with("app", json!([kept_namespace(), set]), schema).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.unready("Component", "orders", "WaitingForObject").await;
    theirs(&stage, &namespace).await;
    let component = stage.ready("Component", "orders").await;
    let mut inventory = component["status"]["inventory"].clone();
    let uid = inventory[1]["uid"].take();
    for field in ["uid", "intentHash", "appliedHash"] {
        inventory[1].as_object_mut().unwrap().remove(field);
    }
    let place = ("Component", stage.home.as_str(), "orders");
    stage.set_status(place, json!({"inventory": inventory})).await;
    stage
        .becomes(place, |object| object["status"]["inventory"][1]["uid"] == uid)
        .await;
    stage.ready("Component", "orders").await;
    // The same right before it is not wanted any more.
    stage.set_status(place, json!({"inventory": inventory})).await;
    stage
        .component("orders", json!({"ref": "app", "parameters": {"patched": false}}))
        .await;
    let left = stage.becomes(("ConfigMap", &namespace, "theirs"), is_left).await;
    assert_eq!(left["data"], json!({"a": "theirs"}));
}

#[tokio::test]
async fn what_is_marked_for_another_instance_is_not_patched() {
    let stage = Stage::new("anothers").await;
    let namespace = format!("{}-orders", stage.home);
    let set = patch("set", config_map("theirs", json!({"b": "ours"})));
    stage.template("app", json!([kept_namespace(), set])).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.unready("Component", "orders", "WaitingForObject").await;
    let marks = json!({
        "name": "theirs", "namespace": namespace, "labels": {"landfall.dev/instance-uid": "another"},
        "annotations": {"landfall.dev/instance": "component:shop/payments"},
    });
    let object = with(config_map("theirs", json!({})), json!({"metadata": marks}));
    let before = stage.apply_as("someone", object).await;
    let message = stage.unready("Component", "orders", "NameConflict").await;
    assert!(
        message.contains("exists, is marked as an object of component:shop/payments, and is not ours"),
        "{message}"
    );
    stage.looked_at("Component", "orders").await;
    let place = ("ConfigMap", namespace.as_str(), "theirs");
    assert_eq!(stage.get(place).await.as_ref(), Some(&before));
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get(place).await, Some(before));
}

#[tokio::test]
async fn what_was_patched_is_owned_only_once_it_is_handed_over() {
    let stage = Stage::new("promoted").await;
    let namespace = format!("{}-orders", stage.home);
    let set = patch("set", config_map("theirs", json!({"b": "ours"})));
    stage.template("app", json!([kept_namespace(), set])).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.unready("Component", "orders", "WaitingForObject").await;
    theirs(&stage, &namespace).await;
    stage.ready("Component", "orders").await;
    let place = ("ConfigMap", namespace.as_str(), "theirs");

    let inside = json!({"metadata": {"name": "theirs", "namespace": "${{ resources.ns.metadata.name }}"}});
    let own = resource("set", with(config_map("theirs", json!({"b": "owned"})), inside));
    stage.template("app", json!([kept_namespace(), own])).await;
    let message = stage.unready("Component", "orders", "NameConflict").await;
    let said = format!(
        "ConfigMap {namespace}/theirs was made by others and only patched so far (mode Patch); the template now wants to own it"
    );
    assert!(message.starts_with(&said), "{message}");
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(
        component["status"]["inventory"][1]["mode"], "Patch",
        "it is still theirs"
    );
    assert_eq!(
        stage.get(place).await.unwrap()["data"],
        json!({"a": "theirs", "b": "ours"})
    );

    let command = message.split("kubectl ").nth(1).unwrap();
    let output = stage.cluster.kubectl(&command.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "{command}: {output:?}");
    stage.looked_at("Component", "orders").await;
    let component = stage.ready("Component", "orders").await;
    assert_eq!(component["status"]["inventory"][1]["mode"], Value::Null);
    let owned = stage.get(place).await.unwrap();
    assert_eq!(owned["data"]["b"], "owned");
    assert_eq!(owned["metadata"]["annotations"]["landfall.dev/mode"], Value::Null);
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get(place).await, None, "what is owned goes");
}

/// A Service cannot be without its ports, and who lets go wants nothing changed.
#[tokio::test]
async fn what_cannot_be_given_back_or_was_let_go_stays_without_marks() {
    let stage = Stage::new("unbacked").await;
    let namespace = format!("{}-orders", stage.home);
    let service = json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}]}});
    let inside = json!({"metadata": {"name": "web", "namespace": "${{ resources.ns.metadata.name }}"}});
    let service = resource("service", with(service, inside));
    stage.template("app", json!([kept_namespace(), service])).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    // It was ours, and is only patched from now on: it will not be deleted any more.
    let set = patch("set", config_map("theirs", json!({"b": "ours"})));
    let patched = with(service.clone(), json!({"mode": "Patch"}));
    stage.template("app", json!([kept_namespace(), patched, set])).await;
    stage.unready("Component", "orders", "WaitingForObject").await;
    theirs(&stage, &namespace).await;
    stage.ready("Component", "orders").await;
    let set = patch("set", config_map("theirs", json!({"b": "ours"})));
    stage.template("app", json!([kept_namespace(), set])).await;
    let place = ("Service", namespace.as_str(), "web");
    let left = stage
        .becomes(place, |object| {
            !object["metadata"].to_string().contains("landfall.dev/instance-uid")
        })
        .await;
    assert_eq!(left["spec"]["ports"][0]["port"], 80);

    let release = json!({"metadata": {"annotations": {"landfall.dev/release": "yes"}}});
    stage.edit(("Component", &stage.home, "orders"), release).await;
    stage.unready("Component", "orders", "Released").await;
    let left = stage.get(("ConfigMap", &namespace, "theirs")).await.unwrap();
    assert_eq!(
        left["data"],
        json!({"a": "theirs", "b": "ours"}),
        "nothing is changed but the marks"
    );
    eventually("no mark to be on it", async || {
        let metadata = stage.get(("ConfigMap", &namespace, "theirs")).await.unwrap()["metadata"].take();
        let marks = json!([metadata["labels"], metadata["annotations"]]).to_string();
        if marks.contains("landfall.dev/") {
            Err(marks)
        } else {
            Ok(())
        }
    })
    .await;
}
