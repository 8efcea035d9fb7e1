//! R16: what is Landfall's is deleted, or what says that it is taken off.

use std::time::Instant;

use serde_json::{Value, json};

use super::{neighbour_works, settled, stage};
use crate::support::{
    Place, Stage, Trial, Verdict, condition, config_map, lines, namespace_manifest, resource, uid, with,
};

const FAULT: &str = "a namespace, any one object, or all marks are deleted by hand";

/// A namespace with a `ServiceAccount`, a `ConfigMap`, a Role and a Service in it, and a `ConfigMap` beside it.
fn resources() -> Value {
    let inside = |manifest: Value| {
        let name = manifest["metadata"]["name"].clone();
        with(
            manifest,
            json!({"metadata": {"name": name, "namespace": "${{ resources.ns.metadata.name }}"}}),
        )
    };
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "runner"}});
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "runner"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]},
    });
    json!([
        resource("ns", namespace_manifest("")),
        resource("runner", inside(account)),
        resource("settings", inside(config_map("settings", json!({"a": "one"})))),
        resource("role", inside(role)),
        resource("service", inside(service)),
        resource("beside", config_map("beside", json!({"a": "one"}))),
    ])
}

/// Where each of them is.
fn places<'p>(home: &'p str, namespace: &'p str) -> [Place<'p>; 6] {
    [
        ("Namespace", "", namespace),
        ("ServiceAccount", namespace, "runner"),
        ("ConfigMap", namespace, "settings"),
        ("Role", namespace, "runner"),
        ("Service", namespace, "web"),
        ("ConfigMap", home, "beside"),
    ]
}

/// What an object says that a template can say, without what the apiserver gives.
fn said(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({
        "name": metadata["name"], "labels": metadata["labels"], "annotations": metadata["annotations"],
        "data": object["data"], "rules": object["rules"], "ports": object["spec"]["ports"],
    })
}

async fn said_by(stage: &Stage<'_>, places: &[Place<'_>]) -> Vec<Value> {
    let mut all = Vec::new();
    for place in places {
        all.push(said(&stage.get(*place).await.unwrap_or_default()));
    }
    all
}

#[tokio::test]
async fn every_object_that_is_deleted_comes_back() {
    let stage = stage("objects").await;
    settled(&stage, resources()).await;
    let namespace = format!("{}-orders", stage.home);
    let places = places(&stage.home, &namespace);
    let mut trial = Trial::of("R16", FAULT, places.len());
    let before = said_by(&stage, &places).await;
    for place in places {
        let was = stage.get(place).await.unwrap();
        stage.delete(place).await;
        if place.0 == "Namespace" {
            stage.becomes(place, |object| uid(object) != uid(&was)).await;
        }
        let gone = Instant::now();
        stage.becomes(place, |object| uid(object) != uid(&was)).await;
        for place in places {
            stage.appears(place).await;
        }
        trial.held(gone.elapsed());
        stage
            .becomes(("Component", &stage.home, "orders"), |object| {
                let listed = object["status"]["inventory"].as_array().unwrap();
                condition(object, "Ready").status == "True" && listed.iter().all(|entry| entry["uid"] != uid(&was))
            })
            .await;
        assert_eq!(said_by(&stage, &places).await, before, "{place:?}");
    }
    neighbour_works(&stage).await;
    trial.ends(Verdict::Resilient, "");
}

/// All labels, all annotations, and both, of every object: its kind decides what the apiserver does with it.
#[tokio::test]
async fn every_object_whose_marks_are_taken_off_has_them_again() {
    let stage = stage("marks").await;
    settled(&stage, resources()).await;
    let namespace = format!("{}-orders", stage.home);
    let places = places(&stage.home, &namespace);
    let strips = [
        json!({"metadata": {"labels": {"landfall.dev/instance-uid": null}}}),
        json!({"metadata": {"annotations": null}}),
        json!({"metadata": {"labels": null, "annotations": null}}),
        json!({"metadata": {"labels": null, "annotations": null, "managedFields": [{}]}}),
    ];
    let mut trial = Trial::of("R16", FAULT, places.len() * strips.len());
    for place in places {
        let before = stage.get(place).await.unwrap();
        let marks = |object: &Value| {
            let mut said = said(object);
            // The controller manager labels namespaces itself, and not at once.
            said["labels"]
                .as_object_mut()
                .map(|labels| labels.remove("kubernetes.io/metadata.name"));
            said
        };
        for strip in &strips {
            // Nothing of what came before is left to be seen, so that it is the event alone that wakes.
            stage.looked_at("Component", "orders").await;
            stage.edit(place, strip.clone()).await;
            let stripped = Instant::now();
            let after = stage.becomes(place, |object| marks(object) == marks(&before)).await;
            trial.held(stripped.elapsed());
            assert_eq!(uid(&after), uid(&before), "{place:?} {strip}");
        }
    }
    stage.ready("Component", "orders").await;
    let mark = stage.cluster.audit().mark().await;
    stage.looked_at("Component", "orders").await;
    let mut written = stage.written_since(mark).await;
    written.retain(|entry| entry.resource != "components.catalog.landfall.dev/status");
    assert!(written.is_empty(), "{}", lines(&written));
    trial.ends(Verdict::Resilient, "");
}

/// Our finalizer, by which nothing is left behind, is put back whoever takes it off, also when it goes with those of others.
#[tokio::test]
async fn our_finalizer_is_put_back_and_that_of_others_is_left() {
    let mut trial = Trial::of("R16", FAULT, 2);
    let stage = stage("finalizers").await;
    settled(&stage, super::settings()).await;
    let place = ("Component", stage.home.as_str(), "orders");
    for theirs in [json!(null), json!(["example.com/theirs"])] {
        stage.looked_at("Component", "orders").await;
        stage.edit(place, json!({"metadata": {"finalizers": theirs}})).await;
        let stripped = Instant::now();
        let ours = json!("catalog.landfall.dev/provisioned");
        let component = stage
            .becomes(place, |object| {
                object["metadata"]["finalizers"]
                    .as_array()
                    .is_some_and(|all| all.contains(&ours))
            })
            .await;
        trial.held(stripped.elapsed());
        let all = component["metadata"]["finalizers"].as_array().unwrap();
        assert_eq!(all.len(), 1 + theirs.as_array().map_or(0, Vec::len), "{all:?}");
    }
    trial.ends(Verdict::Resilient, "");
}
