//! R25 and R21: kinds that come, go and change, and objects that the program's own types cannot read.

use std::time::{Duration, Instant};

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{neighbour_works, stage};
use crate::support::{
    Cluster, Operator, Stage, Trial, Verdict, condition, config_map, eventually, is_current, resource, uid, with,
};

const KINDS: &str = "kinds of others are absent, come, go, and change their version";
const UNREADABLE: &str = "objects that the program's types cannot read, by a loosened CRD or a newer version";

/// How soon a kind that came is made use of. Discovery follows a definition within a second.
const PROMPT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_kind_that_comes_goes_and_comes_again_is_picked_up_promptly() {
    const ROUNDS: usize = 3;
    let mut trial = Trial::of("R25", KINDS, 1 + ROUNDS);
    let stage = stage("comes").await;
    let template = stage.template_object(
        "app",
        json!([resource("thing", stage.widget_manifest("thing"))]),
        json!({}),
    );
    stage.put(template).await;
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Template", "app", "KindNotServed").await;
    assert!(
        message.contains(&format!("Widget ({}.example.com/v1) is not served", stage.home)),
        "{message}"
    );
    let message = stage.unready("Component", "orders", "TemplateNotReady").await;
    assert!(message.contains("Widget"), "{message}");
    neighbour_works(&stage).await;

    let widget = stage.define_widget().await;
    let served = Instant::now();
    let place = (widget.as_str(), stage.home.as_str(), "thing");
    stage.appears(place).await;
    trial.held(within(served));
    stage.ready("Component", "orders").await;

    let definition = format!("widgets.{}.example.com", stage.home);
    for round in 0..ROUNDS {
        stage.delete(("CustomResourceDefinition", "", &definition)).await;
        stage.vanishes(("CustomResourceDefinition", "", &definition)).await;
        if round > 0 {
            // It has been gone for long enough to be told, and for every next try to be further away.
            let component = stage
                .becomes(("Component", &stage.home, "orders"), |object| {
                    condition(object, "Ready").status != "True"
                })
                .await;
            let message = condition(&component, "Ready").message;
            assert!(message.contains("Widget"), "{message}");
            neighbour_works(&stage).await;
        }
        stage.define_widget().await;
        let served = Instant::now();
        stage.appears(place).await;
        trial.held(within(served));
        stage.ready("Component", "orders").await;
    }
    trial.ends(Verdict::Resilient, "");
}

fn within(served: Instant) -> Duration {
    let took = served.elapsed();
    assert!(took < PROMPT, "{took:?}");
    took
}

/// The version that a template names is served no more: said, nothing is lost, and with the new version it is the same object.
#[tokio::test]
async fn a_version_that_is_served_no_more_is_named() {
    let mut trial = Trial::of("R25", KINDS, 1);
    let stage = stage("versions").await;
    let widget = stage.define_widget().await;
    let place = (widget.as_str(), stage.home.as_str(), "thing");
    let manifest = stage.widget_manifest("thing");
    stage
        .template("app", json!([resource("thing", manifest.clone())]))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let before = stage.get(place).await.unwrap();
    let versions = |first: bool| {
        let mut definition = stage.widget_definition();
        let mut second = definition["spec"]["versions"][0].clone();
        second["name"] = json!("v2");
        let versions = definition["spec"]["versions"].as_array_mut().unwrap();
        versions[0]["served"] = json!(first);
        versions[0]["storage"] = json!(false);
        versions.push(second);
        definition
    };
    stage.put(versions(true)).await;
    stage.put(versions(false)).await;
    let message = stage.unready("Template", "app", "KindNotServed").await;
    assert!(
        message.contains(&format!("Widget ({}.example.com/v1) is not served", stage.home)),
        "{message}"
    );
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            condition(object, "Ready").reason == "KindNotServed"
                || condition(object, "Ready").reason == "TemplateNotReady"
        })
        .await;
    neighbour_works(&stage).await;
    let newer = with(
        manifest,
        json!({"apiVersion": format!("{}.example.com/v2", stage.home), "spec": {"size": 2}}),
    );
    let renewed = Instant::now();
    stage.template("app", json!([resource("thing", newer)])).await;
    stage.ready("Component", "orders").await;
    trial.held(renewed.elapsed());
    // Served under both again, the test can read it as before.
    stage.put(versions(true)).await;
    let after = eventually("the thing to be read", async || {
        stage.api(&widget, &stage.home).get("thing").await
    })
    .await;
    assert_eq!(
        after.metadata.uid.as_deref(),
        Some(uid(&before)),
        "it is the same object"
    );
    assert_eq!(after.data["spec"]["size"], 2);
    trial.ends(Verdict::Resilient, "");
}

/// Takes the rules out of a definition of ours, as someone may who wants to help himself.
async fn loosen(stage: &Stage<'_>, plural: &str) {
    let name = format!("{plural}.catalog.landfall.dev");
    let place = ("CustomResourceDefinition", "", name.as_str());
    let mut definition = stage.get(place).await.unwrap();
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"spec": open, "status": open}});
    let versions = definition["spec"]["versions"].as_array_mut().unwrap();
    for version in versions.iter_mut() {
        version["schema"] = json!({"openAPIV3Schema": schema});
    }
    let patch = json!({"spec": {"versions": versions}});
    let api = stage.api("CustomResourceDefinition", "");
    api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    let loose = json!({"spec": "text"});
    eventually("the definition to be loosened", async || {
        let kind = if plural == "components" {
            "Component"
        } else {
            "Template"
        };
        let object = json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": kind,
            "metadata": {"name": "probe", "namespace": stage.home}, "spec": {"owner": loose, "resources": loose},
        });
        let dry = PatchParams {
            dry_run: true,
            ..PatchParams::apply("probe").force()
        };
        stage
            .api(kind, &stage.home)
            .patch("probe", &dry, &Patch::Apply(&object))
            .await
    })
    .await;
}

/// A spec of a Component with one field as it must not be, and what the message names.
fn unreadable() -> Vec<(&'static str, Value, &'static str)> {
    let with_template = |template: Value| json!({"owner": "group:a/b", "template": template});
    vec![
        (
            "text-template",
            with_template(json!("app")),
            "spec.template cannot be read",
        ),
        (
            "list-template",
            with_template(json!([1])),
            "spec.template cannot be read",
        ),
        (
            "number-ref",
            with_template(json!({"ref": 7})),
            "spec.template cannot be read",
        ),
        (
            "list-parameters",
            with_template(json!({"ref": "app", "parameters": [1]})),
            "spec.template cannot be read",
        ),
        (
            "unknown-policy",
            with_template(json!({"ref": "app", "deletionPolicy": "Keep"})),
            "unknown variant `Keep`",
        ),
        (
            "number-owner",
            json!({"owner": 7, "template": {"ref": "app"}}),
            "spec.owner cannot be read",
        ),
        (
            "map-system",
            json!({"owner": "group:a/b", "system": {}, "template": {"ref": "app"}}),
            "spec.system cannot be read",
        ),
        ("no-owner", json!({"template": {"ref": "app"}}), "spec.owner"),
        (
            "odd-ref",
            with_template(json!({"ref": "component:a/b"})),
            "spec.template.ref",
        ),
    ]
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_stops_nobody_else() {
    let cases = unreadable();
    let mut trial = Trial::of("R21", UNREADABLE, cases.len() + 5);
    let cluster = Cluster::own("unreadable").await;
    let operator = Operator::start(&cluster).await;
    let stage = Stage::on(&cluster, "loose").await;
    stage.template("app", named_settings()).await;
    for name in ["newer", "spoilt", "keeps", "orders"] {
        stage.component(name, json!({"ref": "app"})).await;
        stage.ready("Component", name).await;
    }
    loosen(&stage, "components").await;
    loosen(&stage, "templates").await;
    for (name, spec, words) in &cases {
        let object = json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
            "metadata": {"name": name, "namespace": stage.home}, "spec": spec,
        });
        stage.put(object).await;
        let message = stage.unready("Component", name, "InvalidSpec").await;
        assert!(message.contains(words), "{name}: {message}");
    }
    neighbour_works(&stage).await;
    for (name, _, _) in &cases {
        let corrected = Instant::now();
        stage.component(name, json!({"ref": "app"})).await;
        stage.ready("Component", name).await;
        trial.held(corrected.elapsed());
    }
    newer_inventory(&stage, &mut trial).await;
    spoilt_and_deleted(&stage, &mut trial).await;
    unreadable_template(&stage, &mut trial).await;
    started_among_them(&stage, operator, &cases, &mut trial).await;
    trial.ends(Verdict::Resilient, "");
}

/// A `ConfigMap` of the instance's name.
fn named_settings() -> Value {
    json!([resource(
        "settings",
        config_map("${{ entity.metadata.name }}", json!({"a": "one"}))
    )])
}

/// A newer version has written what this one does not know: nothing is touched, nothing is lost.
async fn newer_inventory(stage: &Stage<'_>, trial: &mut Trial) {
    let (place, child) = (
        ("Component", stage.home.as_str(), "newer"),
        ("ConfigMap", stage.home.as_str(), "newer"),
    );
    let good = stage.get(place).await.unwrap()["status"].clone();
    let mut newer = good.clone();
    newer["inventory"][0]["mode"] = json!("Borrowed");
    let before = stage.get(child).await.unwrap();
    stage.set_status(place, newer.clone()).await;
    let component = stage
        .becomes(place, |object| condition(object, "Ready").reason == "InvalidStatus")
        .await;
    let message = condition(&component, "Ready").message;
    assert!(
        message.contains("status.inventory cannot be read: unknown variant `Borrowed`"),
        "{message}"
    );
    assert_eq!(
        component["status"]["inventory"], newer["inventory"],
        "it is kept as it is"
    );
    stage.delete(place).await;
    stage
        .becomes(place, |object| object["metadata"]["deletionTimestamp"].is_string())
        .await;
    neighbour_works(stage).await;
    let held = stage.get(place).await.expect("it waits for who can read it");
    assert_eq!(condition(&held, "Ready").reason, "InvalidStatus");
    assert_eq!(stage.get(child).await.as_ref(), Some(&before));
    stage.set_status(place, json!({"inventory": good["inventory"]})).await;
    let corrected = Instant::now();
    stage.vanishes(place).await;
    trial.held(corrected.elapsed());
    assert_eq!(stage.get(child).await, None, "nothing is left behind");
}

/// A spec that was spoilt does not keep its instance from being deleted; one that hides what is to become of the objects does.
async fn spoilt_and_deleted(stage: &Stage<'_>, trial: &mut Trial) {
    let place = ("Component", stage.home.as_str(), "spoilt");
    stage
        .edit(place, json!({"spec": {"template": {"parameters": "text"}}}))
        .await;
    stage.unready("Component", "spoilt", "InvalidSpec").await;
    let deleted = Instant::now();
    stage.delete(place).await;
    stage.vanishes(place).await;
    trial.held(deleted.elapsed());
    assert_eq!(stage.get(("ConfigMap", &stage.home, "spoilt")).await, None);

    let place = ("Component", stage.home.as_str(), "keeps");
    stage
        .edit(place, json!({"spec": {"template": {"deletionPolicy": "Keep"}}}))
        .await;
    stage.unready("Component", "keeps", "InvalidSpec").await;
    stage.delete(place).await;
    let component = stage
        .becomes(place, |object| {
            condition(object, "Ready")
                .message
                .contains("spec.template.deletionPolicy")
        })
        .await;
    assert_eq!(condition(&component, "Ready").reason, "InvalidSpec");
    assert!(stage.get(("ConfigMap", &stage.home, "keeps")).await.is_some());
    stage
        .edit(place, json!({"spec": {"template": {"deletionPolicy": "Retain"}}}))
        .await;
    let corrected = Instant::now();
    stage.vanishes(place).await;
    trial.held(corrected.elapsed());
    assert!(
        stage.get(("ConfigMap", &stage.home, "keeps")).await.is_some(),
        "it was to be kept"
    );
}

/// A Template that cannot be read says so; its instances keep what they have.
async fn unreadable_template(stage: &Stage<'_>, trial: &mut Trial) {
    let place = ("Template", stage.home.as_str(), "app");
    let before = stage.get(("ConfigMap", &stage.home, "orders")).await.unwrap();
    stage.edit(place, json!({"spec": {"resources": "none"}})).await;
    let message = stage.unready("Template", "app", "InvalidSpec").await;
    assert!(message.contains("spec cannot be read"), "{message}");
    stage.looked_at("Component", "orders").await;
    stage.unready("Component", "orders", "TemplateNotReady").await;
    neighbour_works(stage).await;
    assert_eq!(stage.get(("ConfigMap", &stage.home, "orders")).await, Some(before));
    let corrected = Instant::now();
    stage.template("app", named_settings()).await;
    stage.ready("Component", "orders").await;
    trial.held(corrected.elapsed());
}

/// An operator that starts among all of them, and one that nothing of JSON can hold, starts.
async fn started_among_them(stage: &Stage<'_>, operator: Operator, cases: &[(&str, Value, &str)], trial: &mut Trial) {
    operator.stop().await;
    for (name, spec, _) in cases {
        stage
            .edit(("Component", &stage.home, name), json!({"spec": null}))
            .await;
        stage
            .edit(("Component", &stage.home, name), json!({"spec": spec}))
            .await;
    }
    let nested = format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000));
    let deep = json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
        "metadata": {"name": "deep", "namespace": stage.home},
        "spec": {"owner": "group:a/b", "template": {"ref": "app", "parameters": {"value": "NESTED"}}},
    });
    let path = format!(
        "/apis/catalog.landfall.dev/v1alpha1/namespaces/{}/components",
        stage.home
    );
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(deep.to_string().replace("\"NESTED\"", &nested).into_bytes())
        .unwrap();
    stage.client.request_text(request).await.unwrap();

    let began = Instant::now();
    let operator = Operator::start(stage.cluster).await;
    stage
        .edit(("ConfigMap", &stage.home, "orders"), json!({"data": {"a": "edited"}}))
        .await;
    stage
        .becomes(("ConfigMap", &stage.home, "orders"), |object| {
            object["data"]["a"] == "one"
        })
        .await;
    trial.held(began.elapsed());
    for (name, _, words) in cases {
        let component = stage
            .becomes(("Component", &stage.home, name), |object| {
                is_current(object) && condition(object, "Ready").reason == "InvalidSpec"
            })
            .await;
        let message = condition(&component, "Ready").message;
        assert!(message.contains(words), "{name}: {message}");
    }
    neighbour_works(stage).await;
    stage
        .api("Component", &stage.home)
        .delete_collection(&DeleteParams::default(), &kube::api::ListParams::default())
        .await
        .ok();
    drop(operator);
}
