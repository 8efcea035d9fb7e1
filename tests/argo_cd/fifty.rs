//! A repository of fifty of our manifests: two Templates, eight Systems, forty Components.

use std::collections::BTreeMap;
use std::time::Instant;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

use crate::manifests::{account, component, in_wave, system, template};
use crate::peer::{Delivery, argo_cd, said_of};
use crate::support::{condition, lines, requests, uid};

const COMPONENTS: usize = 40;

fn name(number: usize) -> String {
    format!("service-{number:02}")
}

fn file(number: usize) -> String {
    format!("{}.yaml", name(number))
}

/// Writes a component's file, with a system and so many pods.
fn write(delivery: &Delivery, number: usize, pods: u32) {
    let home = &delivery.stage.home;
    let mut object = component(home, &name(number), ["web", "job"][number % 2], pods);
    object["spec"]["system"] = json!(format!("system-{}", number % 8));
    delivery.git.write(&file(number), &[object]);
}

#[tokio::test]
async fn fifty_manifests_are_synced_kept_and_pruned() {
    let Some(argo) = argo_cd("fifty manifests, synced by a real Argo CD").await else {
        return;
    };
    let delivery = argo.delivery("fifty").await;
    let home = delivery.stage.home.as_str();
    delivery
        .git
        .write("account.yaml", &account(home).map(|object| in_wave(object, "-1")));
    delivery
        .git
        .write("templates.yaml", &["web", "job"].map(|name| template(home, name)));
    let systems: Vec<Value> = (0..8).map(|number| system(home, &format!("system-{number}"))).collect();
    delivery.git.write("systems.yaml", &systems);
    (0..COMPONENTS).for_each(|number| write(&delivery, number, 2));
    let began = Instant::now();
    delivery.git.commit();
    delivery.begin();
    delivery
        .becomes_so("Synced", |status| status["sync"]["status"] == "Synced")
        .await;
    let synced = began.elapsed();
    let application = delivery.becomes("Healthy").await;
    let healthy = began.elapsed();
    let resources = application["status"]["resources"].as_array().unwrap();
    let ours = resources
        .iter()
        .filter(|resource| resource["group"] == "catalog.landfall.dev");
    assert_eq!(ours.count(), 50, "{resources:#?}");
    // Nothing of what the components are given is Argo CD's.
    assert_eq!(resources.len(), 53);
    eprintln!(
        "from the commit of 50 manifests to Synced: {synced:.1?}, to Healthy: {healthy:.1?}; {}",
        argo.memory()
    );

    a_wrong_parameter_is_degraded_in_our_words(&delivery).await;
    a_suspended_component_is_suspended(&delivery).await;
    self_healing_never_finds_anything(&delivery).await;
    a_comparison_costs_the_operator_nothing(&delivery).await;
    a_removed_file_takes_its_component_and_nothing_else(&delivery).await;
}

async fn a_wrong_parameter_is_degraded_in_our_words(delivery: &Delivery) {
    write(delivery, 7, 99);
    delivery.commit().await;
    let application = delivery.becomes("Degraded").await;
    let wrong = "parameters.pods: 99 is more than the maximum of 10";
    assert_eq!(said_of(&application, "Component", &name(7)), ("Degraded", wrong));
    assert_eq!(said_of(&application, "Component", &name(8)).0, "Healthy");
    write(delivery, 7, 3);
    delivery.commit().await;
    delivery.becomes("Healthy").await;
}

async fn a_suspended_component_is_suspended(delivery: &Delivery) {
    let mut object = component(&delivery.stage.home, &name(9), "job", 2);
    object["spec"]["system"] = json!("system-1");
    object["spec"]["template"]["suspend"] = json!(true);
    delivery.git.write(&file(9), &[object]);
    delivery.commit().await;
    let application = delivery.becomes("Suspended").await;
    let rests = "3 objects are as planned and healthy";
    assert_eq!(said_of(&application, "Component", &name(9)), ("Suspended", rests));
    write(delivery, 9, 2);
    delivery.commit().await;
    delivery.becomes("Healthy").await;
}

/// The operator works all the while: what is deleted it makes again, and its statuses change.
async fn self_healing_never_finds_anything(delivery: &Delivery) {
    let (stage, home) = (&delivery.stage, &delivery.stage.home);
    let before = delivery.application().await;
    let api = stage.api("Application", "argocd");
    let only = WatchParams::default()
        .fields(&format!("metadata.name={home}"))
        .timeout(290);
    let version = before["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let mut states = api.watch(&only, &version).await.unwrap().boxed();
    let work = async {
        for _ in 0..3 {
            for number in 0..5 {
                let namespace = format!("{home}-{}", name(number));
                let place = ("ConfigMap", namespace.as_str(), "settings");
                let old = stage.appears(place).await;
                stage.delete(place).await;
                stage.becomes(place, |object| uid(object) != uid(&old)).await;
            }
            delivery.compared().await;
        }
    };
    let mut seen = BTreeMap::<String, usize>::new();
    let watching = async {
        while let Some(event) = states.next().await {
            if let WatchEvent::Modified(object) = event.unwrap() {
                let sync = object.data["status"]["sync"]["status"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                *seen.entry(sync).or_default() += 1;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = watching => panic!("the watch has ended"),
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["Synced"], "{seen:?}");
    let after = delivery.application().await;
    let operation = |application: &Value| application["status"]["operationState"]["startedAt"].clone();
    assert_eq!(operation(&after), operation(&before), "nothing was there to sync");
}

async fn a_comparison_costs_the_operator_nothing(delivery: &Delivery) {
    let mark = delivery.stage.cluster.audit().mark().await;
    delivery.compared().await;
    let asked = delivery.stage.asked_since(mark).await;
    assert!(asked.is_empty(), "{}", lines(&asked));
    // What is counted is there to be counted: a change of one parameter is an apply and a status.
    write(delivery, 3, 5);
    let mark = delivery.stage.cluster.audit().mark().await;
    delivery.commit().await;
    delivery.becomes("Healthy").await;
    let asked = delivery.stage.asked_since(mark).await;
    assert_eq!(
        requests(&asked),
        [
            "patch resourcequotas settings",
            "update components.catalog.landfall.dev/status service-03"
        ]
    );
}

async fn a_removed_file_takes_its_component_and_nothing_else(delivery: &Delivery) {
    let (stage, home) = (&delivery.stage, &delivery.stage.home);
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    let given = async || -> BTreeMap<String, Option<String>> {
        let all = namespaces.list(&ListParams::default()).await.unwrap().items.into_iter();
        let named = all.map(|found| (found.metadata.name.unwrap(), found.metadata.uid));
        named
            .filter(|(name, _)| name.starts_with(&format!("{home}-")))
            .collect()
    };
    let mut expected = given().await;
    assert_eq!(expected.len(), COMPONENTS);
    delivery.git.remove(&file(12));
    delivery.commit().await;
    let component = name(12);
    stage.vanishes(("Component", home, &component)).await;
    assert!(expected.remove(&format!("{home}-{component}")).is_some());
    assert_eq!(
        given().await,
        expected,
        "its namespace has gone before it, and no other"
    );
    let application = delivery.becomes("Healthy").await;
    assert_eq!(application["status"]["resources"].as_array().unwrap().len(), 52);
    // All that are left have been looked at since.
    for number in [11, 13] {
        let seen = stage.looked_at("Component", &name(number)).await;
        assert_eq!(condition(&seen, "Ready").status, "True");
    }
}
