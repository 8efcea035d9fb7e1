//! What becomes of an instance's objects when it goes: each under its policy, and nothing unconfirmed that a
//! person has to confirm.

use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, namespace_manifest, resource, uid, with};

/// Whether nothing of ours is left on an object but its content.
pub fn is_released(object: &Value) -> bool {
    !object["metadata"]
        .get("labels")
        .unwrap_or(&Value::Null)
        .to_string()
        .contains("landfall.dev")
        && !object["metadata"]
            .get("annotations")
            .unwrap_or(&Value::Null)
            .to_string()
            .contains("landfall.dev")
        && object["metadata"]["deletionTimestamp"].is_null()
}

/// A `ConfigMap` in the namespace that the plan makes as `ns`.
fn inside(name: &str) -> Value {
    let metadata = json!({"name": name, "namespace": "${{ resources.ns.metadata.name }}"});
    with(config_map(name, json!({"a": "b"})), json!({"metadata": metadata}))
}

/// A Ready instance `orders` of a template with these resources.
async fn settled(stage: &Stage<'_>, resources: Value, more: Value) -> Value {
    stage.template("app", resources).await;
    stage.component("orders", with(json!({"ref": "app"}), more)).await;
    stage.ready("Component", "orders").await
}

/// The hash that a message asks to be put on the instance.
fn token(message: &str) -> String {
    let (_, rest) = message
        .split_once("landfall.dev/confirm-deletion=")
        .unwrap_or_else(|| panic!("no hash in: {message}"));
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

async fn confirm(stage: &Stage<'_>, token: &str) {
    let change = json!({"metadata": {"annotations": {"landfall.dev/confirm-deletion": token}}});
    stage.edit(("Component", &stage.home, "orders"), change).await;
}

#[tokio::test]
async fn retained_objects_stay_without_our_marks() {
    let stage = Stage::new("retain").await;
    let resources = json!([
        resource("a", config_map("a", json!({"a": "b"}))),
        with(
            resource("b", config_map("b", json!({"a": "b"}))),
            json!({"deletionPolicy": "Delete"})
        ),
    ]);
    settled(&stage, resources, json!({"deletionPolicy": "Retain"})).await;
    let before = stage.get(("ConfigMap", &stage.home, "a")).await.unwrap();
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    let after = stage.get(("ConfigMap", &stage.home, "a")).await.unwrap();
    assert_eq!((uid(&after), &after["data"]), (uid(&before), &before["data"]));
    assert!(is_released(&after), "{after:#}");
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "b")).await,
        None,
        "the resource's own policy comes first"
    );
}

#[tokio::test]
async fn a_namespace_that_holds_a_retained_object_stays() {
    let stage = Stage::new("holds").await;
    let namespace = format!("{}-orders", stage.home);
    let resources = json!([
        resource("ns", namespace_manifest("")),
        with(resource("kept", inside("kept")), json!({"deletionPolicy": "Retain"})),
        resource("dropped", inside("dropped")),
    ]);
    settled(&stage, resources, json!({})).await;
    let before = stage.get(("Namespace", "", &namespace)).await.unwrap();
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    let after = stage.get(("Namespace", "", &namespace)).await.unwrap();
    assert_eq!(uid(&after), uid(&before));
    assert!(is_released(&after), "{after:#}");
    let kept = stage.get(("ConfigMap", &namespace, "kept")).await.unwrap();
    assert!(is_released(&kept), "{kept:#}");
    assert_eq!(stage.get(("ConfigMap", &namespace, "dropped")).await, None);
}

#[tokio::test]
async fn what_is_to_be_confirmed_waits_for_the_hash_of_the_message() {
    let stage = Stage::new("confirm").await;
    settled(
        &stage,
        json!([resource("a", config_map("a", json!({"a": "b"})))]),
        json!({"deletionPolicy": "Confirm"}),
    )
    .await;
    let place = ("ConfigMap", stage.home.as_str(), "a");
    let before = stage.get(place).await.unwrap();
    stage.delete(("Component", &stage.home, "orders")).await;
    let message = stage.unready("Component", "orders", "DeletionNotConfirmed").await;
    let command = format!(
        "kubectl annotate -n {} --overwrite components.catalog.landfall.dev orders landfall.dev/confirm-deletion=",
        stage.home
    );
    assert!(
        message.contains(&format!("ConfigMap {}/a is to be deleted", stage.home)),
        "{message}"
    );
    assert!(message.contains(&command), "{message}");
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&component, "Stalled").reason, "DeletionNotConfirmed");

    confirm(&stage, "0123456789").await;
    stage.looked_at("Component", "orders").await;
    assert_eq!(stage.get(place).await, Some(before), "any other word confirms nothing");

    confirm(&stage, &token(&message)).await;
    stage.vanishes(place).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
}

#[tokio::test]
async fn a_prune_is_confirmed_as_a_deletion_is() {
    let stage = Stage::new("confirmprune").await;
    let resources = |both: bool| {
        let mut list = vec![resource("a", config_map("a", json!({"a": "b"})))];
        if both {
            list.push(with(
                resource("b", config_map("b", json!({"a": "b"}))),
                json!({"deletionPolicy": "Confirm"}),
            ));
        }
        json!(list)
    };
    settled(&stage, resources(true), json!({})).await;
    let before = stage.get(("ConfigMap", &stage.home, "b")).await.unwrap();
    stage.template("app", resources(false)).await;
    let message = stage.unready("Component", "orders", "DeletionNotConfirmed").await;
    stage.looked_at("Component", "orders").await;
    assert_eq!(stage.get(("ConfigMap", &stage.home, "b")).await, Some(before));
    confirm(&stage, &token(&message)).await;
    stage.vanishes(("ConfigMap", &stage.home, "b")).await;
    let component = stage.ready("Component", "orders").await;
    assert_eq!(component["status"]["inventory"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_namespace_with_a_claim_on_a_volume_is_never_deleted_unconfirmed() {
    let stage = Stage::new("volume").await;
    let namespace = format!("{}-orders", stage.home);
    settled(
        &stage,
        json!([resource("ns", namespace_manifest(""))]),
        json!({"deletionPolicy": "Delete"}),
    )
    .await;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    stage.put(claim).await;
    stage.delete(("Component", &stage.home, "orders")).await;
    let message = stage.unready("Component", "orders", "DeletionNotConfirmed").await;
    let holds = format!("Namespace {namespace} is to be deleted and holds PersistentVolumeClaim data");
    assert!(message.contains(&holds), "{message}");
    stage.looked_at("Component", "orders").await;
    let kept = stage.get(("Namespace", "", &namespace)).await.unwrap();
    assert!(kept["metadata"]["deletionTimestamp"].is_null());

    confirm(&stage, &token(&message)).await;
    stage.vanishes(("Namespace", "", &namespace)).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
}

#[tokio::test]
async fn deletion_needs_no_template() {
    let stage = Stage::new("orphan").await;
    settled(
        &stage,
        json!([resource("a", config_map("a", json!({"a": "b"})))]),
        json!({}),
    )
    .await;
    stage.delete(("Template", &stage.home, "app")).await;
    stage.unready("Component", "orders", "TemplateNotFound").await;
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get(("ConfigMap", &stage.home, "a")).await, None);
}

#[tokio::test]
async fn taking_the_template_away_is_a_deletion_under_its_policy() {
    let stage = Stage::new("detach").await;
    let resources = json!([
        resource("a", config_map("a", json!({"a": "b"}))),
        with(
            resource("b", config_map("b", json!({"a": "b"}))),
            json!({"deletionPolicy": "Retain"})
        ),
    ]);
    settled(&stage, resources, json!({})).await;
    stage.component_with("orders", json!({})).await;
    stage.vanishes(("ConfigMap", &stage.home, "a")).await;
    let component = stage.ready("Component", "orders").await;
    assert_eq!(condition(&component, "Ready").reason, "Accepted");
    assert_eq!(component["metadata"]["finalizers"], Value::Null);
    assert_eq!(component["status"]["inventory"], Value::Null);
    assert_eq!(component["status"]["template"], Value::Null);
    let kept = stage.get(("ConfigMap", &stage.home, "b")).await.unwrap();
    assert!(is_released(&kept), "{kept:#}");

    // And back again: what was let go is someone else's now.
    stage.component("orders", json!({"ref": "app"})).await;
    stage.unready("Component", "orders", "NameConflict").await;
    stage.appears(("ConfigMap", &stage.home, "a")).await;
    assert_eq!(stage.get(("ConfigMap", &stage.home, "b")).await, Some(kept));
}

#[tokio::test]
async fn a_finalizer_of_others_is_named_and_waited_for() {
    let stage = Stage::new("held").await;
    let resources = json!([
        resource("first", config_map("first", json!({"a": "b"}))),
        with(
            resource("second", config_map("second", json!({"a": "b"}))),
            json!({"dependsOn": ["first"]})
        ),
    ]);
    settled(&stage, resources, json!({})).await;
    let place = ("ConfigMap", stage.home.as_str(), "second");
    stage
        .edit(place, json!({"metadata": {"finalizers": ["example.com/hold"]}}))
        .await;
    stage.delete(("Component", &stage.home, "orders")).await;
    stage
        .becomes(place, |object| object["metadata"]["deletionTimestamp"].is_string())
        .await;
    let message = stage.unready("Component", "orders", "Deleting").await;
    assert!(
        message.contains(&format!("waiting for ConfigMap {}/second to be gone", stage.home))
            && message.contains("example.com/hold"),
        "{message}"
    );
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&component, "Reconciling").reason, "Deleting");
    let held = stage.get(place).await.unwrap();
    assert_eq!(
        held["metadata"]["finalizers"],
        json!(["example.com/hold"]),
        "it is not ours to take off"
    );
    let first = stage.get(("ConfigMap", &stage.home, "first")).await.unwrap();
    assert!(
        first["metadata"]["deletionTimestamp"].is_null(),
        "what others were made after goes after them"
    );

    stage.edit(place, json!({"metadata": {"finalizers": null}})).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get(("ConfigMap", &stage.home, "first")).await, None);
}

#[tokio::test]
async fn a_released_instance_goes_and_everything_stays() {
    let stage = Stage::new("release").await;
    let namespace = format!("{}-orders", stage.home);
    settled(
        &stage,
        json!([resource("ns", namespace_manifest("")), resource("a", inside("a"))]),
        json!({}),
    )
    .await;
    stage
        .edit(
            ("Component", &stage.home, "orders"),
            json!({"metadata": {"annotations": {"landfall.dev/release": ""}}}),
        )
        .await;
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    for place in [("Namespace", "", namespace.as_str()), ("ConfigMap", &namespace, "a")] {
        let object = stage.get(place).await.unwrap();
        assert!(is_released(&object), "{object:#}");
    }
}

#[tokio::test]
async fn an_account_that_may_not_delete_holds_the_instance_until_it_may() {
    let stage = Stage::new("norights").await;
    let rules = |verbs: Value| json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]);
    let all = json!(["get", "list", "watch", "create", "patch", "delete"]);
    stage
        .account("narrow", &rules(json!(["get", "list", "watch", "create", "patch"])))
        .await;
    let resources = json!([resource("a", config_map("a", json!({"a": "b"})))]);
    stage
        .template_with("app", resources, json!({"serviceAccountName": "narrow"}))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    stage.delete(("Component", &stage.home, "orders")).await;
    let message = stage.unready("Component", "orders", "Forbidden").await;
    let home = &stage.home;
    assert!(
        message.contains(&format!(
            "{home}/narrow may not delete configmaps in {home}; grant: apiGroups [\"\"], resources [configmaps], verbs [get, list, watch, create, patch, delete]"
        )),
        "{message}"
    );
    assert!(
        message.ends_with(&format!(
            "; or leave what is left as it is: landfall release component/orders -n {home}"
        )),
        "{message}"
    );
    assert!(stage.get(("ConfigMap", home, "a")).await.is_some());
    stage.account("narrow", &rules(all)).await;
    stage
        .edit(
            ("Component", home, "orders"),
            json!({"metadata": {"annotations": {"landfall.dev/reconcile": "now"}}}),
        )
        .await;
    stage.vanishes(("Component", home, "orders")).await;
    assert_eq!(stage.get(("ConfigMap", home, "a")).await, None);
}

#[tokio::test]
async fn what_keeps_a_namespace_from_going_is_named() {
    let stage = Stage::new("stuckns").await;
    let namespace = format!("{}-orders", stage.home);
    settled(&stage, json!([resource("ns", namespace_manifest(""))]), json!({})).await;
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "theirs", "namespace": namespace, "finalizers": ["example.com/hold"]},
    });
    stage.put(theirs).await;
    stage.delete(("Component", &stage.home, "orders")).await;
    let component = stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            condition(object, "Ready").message.contains("example.com/hold")
        })
        .await;
    let message = condition(&component, "Ready").message;
    assert!(
        message.starts_with(&format!("deleting: waiting for Namespace {namespace} to be gone: ")),
        "{message}"
    );
    let place = ("ConfigMap", namespace.as_str(), "theirs");
    let held = stage.get(place).await.unwrap();
    assert_eq!(held["metadata"]["finalizers"], json!(["example.com/hold"]));
    stage.edit(place, json!({"metadata": {"finalizers": null}})).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get(("Namespace", "", &namespace)).await, None);
}

#[tokio::test]
async fn a_teams_whole_namespace_can_go() {
    let stage = Stage::new("team").await;
    let namespace = format!("{}-orders", stage.home);
    settled(
        &stage,
        json!([
            resource("ns", namespace_manifest("")),
            resource("a", config_map("a", json!({"a": "b"})))
        ]),
        json!({}),
    )
    .await;
    // With the component go its template, its account and half of its objects, in any order.
    stage.delete(("Namespace", "", &stage.home)).await;
    stage.vanishes(("Namespace", "", &stage.home)).await;
    assert_eq!(stage.get(("Namespace", "", &namespace)).await, None);
}

#[tokio::test]
async fn an_instance_that_is_deleted_while_it_is_made_leaves_nothing_behind() {
    let stage = Stage::new("aborted").await;
    let after = |name: &str, before: &str| with(resource(name, inside(name)), json!({"dependsOn": [before]}));
    let resources = json!([
        resource("ns", namespace_manifest("")),
        resource(
            "beside",
            config_map("${{ entity.metadata.name }}-beside", json!({"a": "b"}))
        ),
        after("one", "ns"),
        after("two", "one"),
    ]);
    stage.template("app", resources).await;
    // Deleted the moment that this is there.
    let points = ["Component", "Namespace", "one", "two"];
    for point in points {
        let name = point.to_lowercase();
        let namespace = format!("{}-{name}", stage.home);
        stage.component(&name, json!({"ref": "app"})).await;
        match point {
            "Component" => {}
            "Namespace" => drop(stage.appears(("Namespace", "", &namespace)).await),
            object => drop(stage.appears(("ConfigMap", &namespace, object)).await),
        }
        stage.delete(("Component", &stage.home, &name)).await;
    }
    for point in points {
        let name = point.to_lowercase();
        stage.vanishes(("Component", &stage.home, &name)).await;
        let namespace = format!("{}-{name}", stage.home);
        assert_eq!(stage.get(("Namespace", "", &namespace)).await, None, "{point}");
        let beside = format!("{name}-beside");
        assert_eq!(stage.get(("ConfigMap", &stage.home, &beside)).await, None, "{point}");
    }
}

#[tokio::test]
async fn what_has_lost_its_marks_is_not_deleted_on_a_guess() {
    let stage = Stage::new("unmarked").await;
    let resources = json!([with(
        resource("a", config_map("a", json!({"a": "b"}))),
        json!({"mode": "Once"}) // which nobody repairs
    )]);
    let component = settled(&stage, resources, json!({})).await;
    let place = ("ConfigMap", stage.home.as_str(), "a");
    let stripped = json!({"metadata": {"labels": null, "annotations": null}});
    let before = stage.edit(place, stripped).await;
    stage.delete(("Component", &stage.home, "orders")).await;
    let message = stage.unready("Component", "orders", "NameConflict").await;
    let label = format!("landfall.dev/instance-uid={}", uid(&component));
    assert!(
        message.contains(&format!("ConfigMap {}/a has lost the marks", stage.home)),
        "{message}"
    );
    assert!(message.contains(&label), "{message}");
    stage.looked_at("Component", "orders").await;
    assert_eq!(stage.get(place).await, Some(before));
    // What the message says to do is enough.
    let output = stage
        .cluster
        .kubectl(&["label", "-n", &stage.home, "configmap", "a", &label]);
    assert!(output.status.success(), "{output:?}");
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get(place).await, None);
}
