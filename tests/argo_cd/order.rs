//! What comes before what: without an order nothing is lost, and with sync waves there is one.

use serde_json::json;

use crate::manifests::{account, component, in_wave, template, template_of};
use crate::peer::{argo_cd, said_of};
use crate::support::{condition, resource};

#[tokio::test]
async fn a_component_that_comes_before_its_template_waits_and_then_becomes_ready() {
    let Some(argo) = argo_cd("a component before its template, by a real Argo CD").await else {
        return;
    };
    let delivery = argo.delivery("early").await;
    let home = delivery.stage.home.as_str();
    delivery
        .git
        .write("component.yaml", &[component(home, "orders", "web", 2)]);
    delivery.git.commit();
    delivery.begin();
    // It says which template it waits for.
    delivery
        .becomes_so("Progressing", |status| {
            let application = json!({"status": status});
            status["sync"]["status"] == "Synced"
                && status["health"]["status"] == "Progressing"
                && said_of(&application, "Component", "orders").1.contains("template:")
        })
        .await;
    delivery.git.write("account.yaml", &account(home));
    delivery.git.write("template.yaml", &[template(home, "web")]);
    delivery.commit().await;
    let application = delivery.becomes("Healthy").await;
    let whole = "3 objects are as planned and healthy";
    assert_eq!(said_of(&application, "Component", "orders"), ("Healthy", whole));
}

#[tokio::test]
async fn a_later_sync_wave_begins_when_our_kinds_of_the_earlier_one_are_healthy() {
    let Some(argo) = argo_cd("sync waves of our kinds, by a real Argo CD").await else {
        return;
    };
    let delivery = argo.delivery("waves").await;
    let (stage, home) = (&delivery.stage, delivery.stage.home.as_str());
    // An object that becomes ready when its controller says so, and there is none.
    let source = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "source"},
        "spec": {"url": "https://git.example.com/shop/orders", "interval": "1m"},
    });
    let slow = template_of(home, "slow", json!([resource("source", source)]));
    delivery
        .git
        .write("account.yaml", &account(home).map(|object| in_wave(object, "-2")));
    let templates = [slow, template(home, "web")].map(|object| in_wave(object, "-1"));
    delivery.git.write("templates.yaml", &templates);
    delivery
        .git
        .write("first.yaml", &[in_wave(component(home, "first", "slow", 2), "0")]);
    delivery
        .git
        .write("second.yaml", &[in_wave(component(home, "second", "web", 2), "1")]);
    delivery.git.commit();
    delivery.begin();
    stage
        .becomes(("Component", home, "first"), |object| {
            condition(object, "Reconciling").status == "True" && condition(object, "Ready").reason == "Progressing"
        })
        .await;
    let waits = "waiting for healthy state of catalog.landfall.dev/Component/first";
    delivery
        .becomes_so("at the first wave", |status| {
            let said = status["operationState"]["message"].as_str();
            said.is_some_and(|said| said.contains(waits))
        })
        .await;
    assert_eq!(
        stage.get(("Component", home, "second")).await,
        None,
        "its wave has not come"
    );
    let ready = json!([{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored artifact",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let status = json!({"status": {"observedGeneration": 1, "conditions": ready}}).to_string();
    let resource = "gitrepository.source.toolkit.fluxcd.io";
    argo.kubectl(&[
        "patch",
        resource,
        "source",
        "-n",
        home,
        "--subresource=status",
        "--type",
        "merge",
        "-p",
        &status,
    ]);
    argo.kubectl(&[
        "wait",
        "--for=condition=Ready",
        "component/first",
        "-n",
        home,
        "--timeout=30s",
    ]);
    delivery.becomes("Healthy").await;
    let second = stage.get(("Component", home, "second")).await.unwrap();
    assert_eq!(condition(&second, "Ready").status, "True");
}
