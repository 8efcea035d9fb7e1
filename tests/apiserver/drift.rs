//! What is changed behind the operator's back is put right, unless the template or the instance says to leave it.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, eventually, lines, namespace_manifest, resource, uid, with};

const MARKS: [&str; 3] = ["landfall.dev/instance", "landfall.dev/resource", "landfall.dev/claim"];

/// A Ready instance whose only object is the `ConfigMap` `settings`, and that object.
async fn settled(stage: &Stage<'_>, more: Value) -> Value {
    let manifest = config_map("settings", json!({"a": "one", "b": "two"}));
    stage
        .template("app", json!([with(resource("settings", manifest), more)]))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    stage.get(("ConfigMap", &stage.home, "settings")).await.unwrap()
}

/// Whether `object` says again what `before` said.
fn is_as(before: &Value, object: &Value) -> bool {
    let marks = |object: &Value| MARKS.map(|mark| object["metadata"]["annotations"][mark].clone());
    object["data"] == before["data"]
        && object["metadata"]["labels"]["landfall.dev/instance-uid"]
            == before["metadata"]["labels"]["landfall.dev/instance-uid"]
        && marks(object) == marks(before)
}

#[tokio::test]
async fn a_deleted_object_comes_back() {
    let stage = Stage::new("gone").await;
    let before = settled(&stage, json!({})).await;
    stage.delete(("ConfigMap", &stage.home, "settings")).await;
    let after = stage
        .becomes(("ConfigMap", &stage.home, "settings"), |object| {
            uid(object) != uid(&before)
        })
        .await;
    assert!(is_as(&before, &after), "{after:#}");
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            object["status"]["inventory"][0]["uid"] == uid(&after) && condition(object, "Ready").status == "True"
        })
        .await;
}

#[tokio::test]
async fn an_edited_object_is_put_right_and_what_others_added_stays() {
    let stage = Stage::new("edited").await;
    let before = settled(&stage, json!({})).await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    let edits = [
        ("a changed value", json!({"data": {"a": "edited"}})),
        ("a removed value", json!({"data": {"b": null}})),
        ("all data", json!({"data": null})),
        (
            "the label",
            json!({"metadata": {"labels": {"landfall.dev/instance-uid": null}}}),
        ),
        (
            "another label",
            json!({"metadata": {"labels": {"landfall.dev/instance-uid": "other"}}}),
        ),
        ("the annotations", json!({"metadata": {"annotations": null}})),
        (
            "label and annotations",
            json!({"metadata": {"labels": null, "annotations": null}}),
        ),
    ];
    for (what, edit) in edits {
        // Nothing of what came before is left to be seen.
        stage.looked_at("Component", "orders").await;
        let edited = stage.edit(place, edit).await;
        assert!(!is_as(&before, &edited), "{what}: the edit changed nothing");
        let after = stage.becomes(place, |object| is_as(&before, object)).await;
        assert_eq!(uid(&before), uid(&after), "{what}: it is the same object");
    }
    // What nobody planned is nobody's drift.
    stage
        .edit(
            place,
            json!({"data": {"c": "theirs"}, "metadata": {"labels": {"team": "theirs"}}}),
        )
        .await;
    stage.looked_at("Component", "orders").await;
    stage.edit(place, json!({"data": {"a": "edited"}})).await;
    let after = stage.becomes(place, |object| object["data"]["a"] == "one").await;
    assert_eq!(after["data"]["c"], "theirs");
    assert_eq!(after["metadata"]["labels"]["team"], "theirs");
}

/// The label is what wakes us: one that names another instance must wake the one that it named before.
#[tokio::test]
async fn an_object_that_is_labelled_as_anothers_is_put_right_at_once() {
    let stage = Stage::new("relabelled").await;
    let before = settled(&stage, json!({})).await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    // No pass is under way that could see it by chance.
    stage.looked_at("Component", "orders").await;
    stage.looked_at("Component", "orders").await;
    let edit = json!({"metadata": {"labels": {"landfall.dev/instance-uid": "other"}}});
    assert!(!is_as(&before, &stage.edit(place, edit).await));
    stage.becomes(place, |object| is_as(&before, object)).await;
}

#[tokio::test]
async fn a_field_that_another_manager_forced_away_is_taken_back() {
    let stage = Stage::new("forced").await;
    let before = settled(&stage, json!({})).await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": stage.home},
        "data": {"a": "forced"},
    });
    let forced = stage.apply_as("argocd", theirs).await;
    assert_eq!(forced["data"]["a"], "forced");
    let after = stage.becomes(place, |object| is_as(&before, object)).await;
    assert_eq!(uid(&before), uid(&after));
    stage.ready("Component", "orders").await;
}

#[tokio::test]
async fn a_whole_namespace_comes_back_with_all_that_was_in_it() {
    let stage = Stage::new("razed").await;
    let namespace = format!("{}-orders", stage.home);
    let inside = with(
        config_map("settings", json!({"a": "one"})),
        json!({"metadata": {
            "name": "settings", "namespace": "${{ resources.ns.metadata.name }}",
        }}),
    );
    stage
        .template(
            "app",
            json!([resource("ns", namespace_manifest("")), resource("settings", inside)]),
        )
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let before = stage.get(("Namespace", "", &namespace)).await.unwrap();

    stage.delete(("Namespace", "", &namespace)).await;
    let message = stage.unready("Component", "orders", "WaitingForDeletion").await;
    assert!(
        message.contains(&format!("Namespace {namespace} is being deleted")),
        "{message}"
    );
    let after = stage
        .becomes(("Namespace", "", &namespace), |object| uid(object) != uid(&before))
        .await;
    let settings = stage.appears(("ConfigMap", &namespace, "settings")).await;
    assert_eq!(settings["data"], json!({"a": "one"}));
    let component = stage.ready("Component", "orders").await;
    assert_eq!(component["status"]["inventory"][0]["uid"], uid(&after));
    assert_eq!(component["status"]["inventory"][1]["uid"], uid(&settings));
}

#[tokio::test]
async fn drift_is_only_reported_where_the_template_says_so() {
    let stage = Stage::new("report").await;
    settled(&stage, json!({"driftPolicy": "Report"})).await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    let edited = stage.edit(place, json!({"data": {"a": "edited"}})).await;
    let component = stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            condition(object, "Drifted").status == "True"
        })
        .await;
    let drifted = condition(&component, "Drifted");
    assert_eq!(drifted.reason, "FieldsDiffer");
    assert_eq!(
        drifted.message,
        format!(
            "ConfigMap {}/settings: data.a was changed by field manager someone; it is left so, since its driftPolicy is Report",
            stage.home
        )
    );
    assert_eq!(
        condition(&component, "Ready").status,
        "True",
        "drift never makes Ready False"
    );
    stage.looked_at("Component", "orders").await;
    assert_eq!(stage.get(place).await, Some(edited), "it is left as it is");

    // Put back by whoever changed it, it says again what the plan says.
    stage.edit(place, json!({"data": {"a": "one"}})).await;
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            condition(object, "Drifted").status.is_empty()
        })
        .await;
    stage.edit(place, json!({"data": {"a": "edited"}})).await;
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            condition(object, "Drifted").status == "True"
        })
        .await;

    // Our own marks are no part of what is reported on: without them nothing could be.
    stage
        .edit(place, json!({"metadata": {"labels": null, "annotations": null}}))
        .await;
    let marked = stage
        .becomes(place, |object| {
            object["metadata"]["labels"]["landfall.dev/instance-uid"].is_string()
                && object["metadata"]["annotations"]["landfall.dev/claim"].is_string()
        })
        .await;
    assert_eq!(marked["data"]["a"], "edited", "and the rest is left");
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&component, "Drifted").status, "True");

    // A deleted object is not drift of its fields: there is nothing left to report on.
    stage.delete(place).await;
    stage.appears(place).await;
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            condition(object, "Drifted").status.is_empty()
        })
        .await;
}

/// The Events that tell of drift, oldest first.
async fn told(stage: &Stage<'_>) -> Vec<String> {
    let said = crate::events::said(stage, "orders").await;
    let told = said.into_iter().filter(|(reason, ..)| reason == "Drifted");
    told.map(|(_, note, _)| note.replace(&stage.home, "shop")).collect()
}

async fn until_told(stage: &Stage<'_>, expected: &[&str]) {
    eventually("these words on what drifted", async || {
        let told = told(stage).await;
        if told == expected {
            Ok(())
        } else {
            Err(format!("{told:#?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn what_others_changed_is_told_with_its_author_when_it_is_put_right() {
    let stage = Stage::new("told").await;
    let before = settled(&stage, json!({})).await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    stage
        .edit(place, json!({"data": {"a": "edited", "b": null, "theirs": "yes"}}))
        .await;
    stage.becomes(place, |object| is_as_planned(&before, object)).await;
    let mut expected = vec![
        "ConfigMap shop/settings: data.a was changed by field manager someone, data.b was taken away; it is put right",
    ];
    until_told(&stage, &expected).await;
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": stage.home},
        "data": {"b": "forced"},
    });
    stage.apply_as("argocd-controller", theirs).await;
    stage.becomes(place, |object| is_as_planned(&before, object)).await;
    expected.push("ConfigMap shop/settings: data.b was changed by field manager argocd-controller; it is put right");
    until_told(&stage, &expected).await;

    // What is nobody's drift, and a change that the template asks for, are not told.
    stage.edit(place, json!({"data": {"theirs": "more"}})).await;
    let manifest = config_map("settings", json!({"a": "new"}));
    stage.template("app", json!([resource("settings", manifest)])).await;
    stage.becomes(place, |object| object["data"]["a"] == "new").await;
    stage.ready("Component", "orders").await;
    stage.looked_at("Component", "orders").await;
    stage.delete(place).await;
    stage.appears(place).await;
    expected.push("ConfigMap shop/settings: it is gone, or has lost the label by which it is seen; it is put right");
    until_told(&stage, &expected).await;
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(
        condition(&component, "Drifted").status,
        "",
        "what is repaired is no drift any more"
    );
}

/// Whether what was planned says again what it said; others may have added to it.
fn is_as_planned(before: &Value, object: &Value) -> bool {
    ["a", "b"].iter().all(|key| object["data"][key] == before["data"][key])
}

/// What a `HorizontalPodAutoscaler` does.
async fn scale(stage: &Stage<'_>, replicas: u32) {
    let parameters = PatchParams {
        field_manager: Some("kube-controller-manager".to_owned()),
        ..PatchParams::default()
    };
    let change = json!({"spec": {"replicas": replicas}});
    stage
        .api("Deployment", &stage.home)
        .patch_scale("web", &parameters, &Patch::Merge(&change))
        .await
        .unwrap();
}

#[tokio::test]
async fn replicas_that_the_template_does_not_set_are_left_to_whoever_scales() {
    let stage = Stage::new("scaled").await;
    let deployment = |more: Value| {
        let labels = json!({"app": "web"});
        let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "localhost/web:1"}]}});
        let spec = json!({"selector": {"matchLabels": labels}, "template": pod});
        let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": with(spec, more)});
        json!([with(resource("web", manifest), json!({"readyWhen": true}))])
    };
    stage.template("app", deployment(json!({}))).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let place = ("Deployment", stage.home.as_str(), "web");
    let mark = stage.cluster.audit().mark().await;
    scale(&stage, 3).await;
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&component, "Drifted").status, "");
    let mut written = stage.written_since(mark).await;
    written.retain(|entry| entry.resource == "deployments.apps");
    assert!(written.is_empty(), "{}", lines(&written));
    // Another field is changed by the template, and one is put right; the number stays.
    stage.template("app", deployment(json!({"minReadySeconds": 5}))).await;
    stage
        .becomes(place, |object| object["spec"]["minReadySeconds"] == 5)
        .await;
    stage.edit(place, json!({"spec": {"minReadySeconds": 7}})).await;
    let after = stage
        .becomes(place, |object| object["spec"]["minReadySeconds"] == 5)
        .await;
    assert_eq!(after["spec"]["replicas"], 3);
    // A template that says how many there are has them, and the Event says who wanted it otherwise.
    stage.template("app", deployment(json!({"replicas": 2}))).await;
    stage.becomes(place, |object| object["spec"]["replicas"] == 2).await;
    stage.ready("Component", "orders").await;
    scale(&stage, 9).await;
    stage.becomes(place, |object| object["spec"]["replicas"] == 2).await;
    until_told(
        &stage,
        &[
            "Deployment shop/web: spec.minReadySeconds was changed by field manager someone; it is put right",
            "Deployment shop/web: spec.replicas was changed by field manager kube-controller-manager; it is put right",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_suspended_instance_is_not_written_to_and_resumes() {
    let stage = Stage::new("suspend").await;
    let before = settled(&stage, json!({})).await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    stage.component("orders", json!({"ref": "app", "suspend": true})).await;
    let component = stage.ready("Component", "orders").await;
    assert_eq!(condition(&component, "Ready").reason, "Suspended");

    let mark = stage.cluster.audit().mark().await;
    let edited = stage.edit(place, json!({"data": {"a": "edited"}})).await;
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&component, "Ready").reason, "Suspended");
    let message = condition(&component, "Ready").message;
    let said = "is not as planned, and the instance is suspended: data.a was changed by field manager someone";
    assert!(message.ends_with(said), "{message}");
    assert_eq!(stage.get(place).await, Some(edited));
    stage.delete(place).await;
    stage.looked_at("Component", "orders").await;
    assert_eq!(stage.get(place).await, None);
    // A whole new template would add an object: it is not made either.
    let resources = json!([
        resource("settings", config_map("settings", json!({"a": "one", "b": "two"}))),
        resource("more", config_map("more", json!({"a": "b"}))),
    ]);
    stage.template("app", resources).await;
    stage.looked_at("Component", "orders").await;
    let mut written = stage.written_since(mark).await;
    written.retain(|entry| entry.resource != "components.catalog.landfall.dev/status");
    assert!(written.is_empty(), "written while suspended:\n{}", lines(&written));

    stage.component("orders", json!({"ref": "app"})).await;
    let after = stage.appears(place).await;
    assert!(is_as(&before, &after), "{after:#}");
    stage.appears(("ConfigMap", &stage.home, "more")).await;
    stage.ready("Component", "orders").await;
}

#[tokio::test]
async fn a_new_instance_that_is_suspended_makes_nothing() {
    let stage = Stage::new("asleep").await;
    stage
        .template("app", json!([resource("settings", config_map("settings", json!({})))]))
        .await;
    stage.component("orders", json!({"ref": "app", "suspend": true})).await;
    stage.unready("Component", "orders", "Suspended").await;
    stage.looked_at("Component", "orders").await;
    assert_eq!(stage.get(("ConfigMap", &stage.home, "settings")).await, None);
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    assert!(stage.get(("ConfigMap", &stage.home, "settings")).await.is_some());
}

#[tokio::test]
async fn a_finalizer_that_was_taken_off_comes_back() {
    let stage = Stage::new("stripped").await;
    settled(&stage, json!({})).await;
    let place = ("Component", stage.home.as_str(), "orders");
    stage.edit(place, json!({"metadata": {"finalizers": null}})).await;
    stage
        .becomes(place, |object| {
            object["metadata"]["finalizers"] == json!(["catalog.landfall.dev/provisioned"])
        })
        .await;
    stage.delete(place).await;
    stage.vanishes(place).await;
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "settings")).await,
        None,
        "nothing is left behind"
    );
}
