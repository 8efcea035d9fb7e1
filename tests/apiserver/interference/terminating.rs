//! R15: a namespace that does not come to its end.

use std::time::Instant;

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::{neighbour_works, settled, stage};
use crate::support::{
    Cluster, Operator, Stage, Trial, Verdict, condition, config_map, namespace_manifest, resource, with,
};

const FAULT: &str = "a namespace stuck Terminating: foreign finalizer, dead APIService";

fn resources() -> Value {
    let inside = with(
        config_map("settings", json!({"a": "one"})),
        json!({"metadata": {"name": "settings", "namespace": "${{ resources.ns.metadata.name }}"}}),
    );
    json!([resource("ns", namespace_manifest("")), resource("settings", inside)])
}

/// The instance is being deleted, waits for its namespace, and says on what.
async fn waits(stage: &Stage<'_>, words: &str) -> Value {
    let namespace = format!("{}-orders", stage.home);
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            let message = condition(object, "Ready").message;
            message.contains(&format!("waiting for Namespace {namespace} to be gone")) && message.contains(words)
        })
        .await
}

#[tokio::test]
async fn a_finalizer_of_others_is_waited_for_and_never_taken_off() {
    let mut trial = Trial::of("R15", FAULT, 2);
    let stage = stage("stuck").await;
    settled(&stage, resources()).await;
    let namespace = format!("{}-orders", stage.home);
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "theirs", "namespace": namespace, "finalizers": ["example.com/theirs"]},
    });
    stage.put(theirs.clone()).await;
    let place = ("ConfigMap", namespace.as_str(), "theirs");
    // Someone deletes the namespace: all that was in it but this is gone, and comes back as soon as the namespace can.
    stage.delete(("Namespace", "", &namespace)).await;
    let message = stage.unready("Component", "orders", "WaitingForDeletion").await;
    assert!(
        message.contains(&format!("Namespace {namespace} is being deleted")),
        "{message}"
    );
    neighbour_works(&stage).await;
    stage.looked_at("Component", "orders").await;
    let held = stage.get(place).await.unwrap();
    assert_eq!(held["metadata"]["finalizers"], json!(["example.com/theirs"]));
    stage.edit(place, json!({"metadata": {"finalizers": null}})).await;
    stage
        .becomes(("Namespace", "", &namespace), |object| {
            object["metadata"]["deletionTimestamp"].is_null()
        })
        .await;
    let freed = Instant::now();
    stage.appears(("ConfigMap", &namespace, "settings")).await;
    stage.ready("Component", "orders").await;
    trial.held(freed.elapsed());

    // The instance is deleted: it waits, and says for what.
    stage.put(theirs).await;
    stage.delete(("Component", &stage.home, "orders")).await;
    waits(&stage, "example.com/theirs in 1 resource instances").await;
    neighbour_works(&stage).await;
    let held = stage.get(place).await.unwrap();
    assert_eq!(held["metadata"]["finalizers"], json!(["example.com/theirs"]));
    stage.edit(place, json!({"metadata": {"finalizers": null}})).await;
    stage.vanishes(("Namespace", "", &namespace)).await;
    let gone = Instant::now();
    stage.vanishes(("Component", &stage.home, "orders")).await;
    trial.held(gone.elapsed());
    trial.ends(Verdict::Resilient, "");
}

/// An object is to go into a namespace that is on its way out.
#[tokio::test]
async fn a_namespace_that_is_going_is_waited_for() {
    let mut trial = Trial::of("R15", FAULT, 1);
    let stage = stage("going").await;
    let target = format!("{}-target", stage.home);
    let namespace = || json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": target}});
    stage.put(namespace()).await;
    let holder = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "theirs", "namespace": target, "finalizers": ["example.com/theirs"]},
    });
    stage.put(holder).await;
    stage.delete(("Namespace", "", &target)).await;
    let inside = with(
        config_map("settings", json!({"a": "one"})),
        json!({"metadata": {"name": "settings", "namespace": target}}),
    );
    stage
        .template_with(
            "app",
            json!([resource("settings", inside)]),
            json!({"targetNamespaces": [target]}),
        )
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Component", "orders", "WaitingForNamespace").await;
    let expected = format!("ConfigMap {target}/settings: waiting for namespace {target}, which is being deleted");
    assert_eq!(message, expected);
    neighbour_works(&stage).await;
    let place = ("ConfigMap", target.as_str(), "theirs");
    stage.edit(place, json!({"metadata": {"finalizers": null}})).await;
    stage.vanishes(("Namespace", "", &target)).await;
    let message = stage.unready("Component", "orders", "WaitingForNamespace").await;
    assert!(
        message.contains("which does not exist") || message == expected,
        "{message}"
    );
    stage.put(namespace()).await;
    let back = Instant::now();
    stage.ready("Component", "orders").await;
    trial.held(back.elapsed());
    trial.ends(Verdict::Resilient, "");
}

/// An aggregated apiserver that does not answer keeps every namespace of the cluster from going, and part of what the cluster serves
/// from being known. An operator at work goes on, and one that starts then starts.
#[tokio::test]
async fn an_apiserver_that_does_not_answer_holds_up_nothing_else() {
    let mut trial = Trial::of("R15", FAULT, 2);
    let cluster = Cluster::own("dead-apiservice").await;
    let mut operator = Operator::start(&cluster).await;
    let stage = Stage::on(&cluster, "dead").await;
    settled(&stage, resources()).await;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apiregistration.k8s.io", "v1", "APIService"));
    let services: Api<DynamicObject> = Api::all_with(stage.client.clone(), &resource);
    let dead = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.dead.example.com"},
        "spec": {
            "group": "dead.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true, "service": {"namespace": "default", "name": "nobody", "port": 443},
        },
    });
    services
        .patch(
            "v1.dead.example.com",
            &PatchParams::apply("tests").force(),
            &Patch::Apply(&dead),
        )
        .await
        .unwrap();
    for round in 0..2 {
        neighbour_works(&stage).await;
        let began = Instant::now();
        stage.template(&format!("late{round}"), super::settings()).await;
        trial.held(began.elapsed());
        if round == 0 {
            operator.stop().await;
            operator = Operator::start(&cluster).await;
        }
    }
    stage.delete(("Component", &stage.home, "orders")).await;
    waits(&stage, "dead.example.com/v1").await;
    services
        .delete("v1.dead.example.com", &DeleteParams::default())
        .await
        .unwrap();
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(
        stage.get(("Namespace", "", &format!("{}-orders", stage.home))).await,
        None
    );
    drop(operator);
    trial.ends(Verdict::Resilient, "");
}
