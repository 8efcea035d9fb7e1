//! Where objects may go, and what is someone else's.

use insta::assert_snapshot;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::{GOOD, component, good_template, refused_value, template_with};
use crate::support::{Case, eventually};

const PLACED: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: thing, namespace: '${{ parameters.value }}'}}";

#[tokio::test]
async fn kube_system() {
    let said = refused_value(PLACED, "kube-system", "NamespaceNotAllowed").await;
    assert_snapshot!(said, @r#"Stalled, NamespaceNotAllowed: resource "thing", manifest.metadata.namespace: no object may go into kube-system: the administrator reserves kube-*"#);
    let literal = PLACED.replace("'${{ parameters.value }}'", "kube-system");
    let said = refused_value(&literal, "x", "NamespaceNotAllowed").await;
    assert_snapshot!(said, @r#"Stalled, NamespaceNotAllowed: resource "thing", manifest.metadata.namespace: no object may go into kube-system: the administrator reserves kube-*"#);
}

#[tokio::test]
async fn another_teams_namespace_by_expression() {
    let case = Case::new().await;
    let other = case.cluster.namespace("other").await;
    case.put(&template_with(PLACED)).await;
    case.ready("Template", "web").await;
    let before = case.before(&[&other]).await;
    case.put(&component(&format!("{{value: {other}}}"))).await;
    let said = case
        .refused_untouched(&before, "Component", "orders", "NamespaceNotAllowed")
        .await;
    assert_snapshot!(said.replace(&other, "other"), @r#"Stalled, NamespaceNotAllowed: resource "thing", manifest.metadata.namespace: no object may go into other; allowed are shop, shop-orders; make the namespace in this template, or list it in the Template's targetNamespaces"#);
    case.conforms().await;
    case.put(&component("{value: TEAM-orders}")).await;
    case.ready("Component", "orders").await;
    case.conforms().await;
}

/// A Namespace of a plan is as reserved as a place for its objects.
#[tokio::test]
async fn a_reserved_namespace_itself() {
    let manifest = "{apiVersion: v1, kind: Namespace, metadata: {name: '${{ parameters.value }}'}}";
    let said = refused_value(manifest, "kube-public", "NamespaceNotAllowed").await;
    assert_snapshot!(said, @r#"Stalled, NamespaceNotAllowed: resource "thing", manifest.metadata.name: the namespace kube-public cannot be a template's: the administrator reserves kube-*"#);
}

/// The worst that an operator of this kind can do is to take over what is another's. It is refused, what is
/// inside stays byte for byte, also when the instance is deleted; renamed or handed over, all is well.
#[tokio::test]
async fn a_namespace_that_is_someone_elses() {
    let case = Case::new().await;
    let foreign = case.named("TEAM-orders");
    case.put(
        r"
apiVersion: v1
kind: Namespace
metadata: {name: TEAM-orders, labels: {owner: another-team, landfall.dev/instance-uid: forged}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: TEAM-orders}
data: {TIER: theirs}
",
    )
    .await;
    case.put(&good_template()).await;
    case.ready("Template", "web").await;
    let before = case.before(&[&foreign]).await;
    case.put(&component("{tier: gold}")).await;
    let said = case.refused("Component", "orders", "NameConflict").await;
    assert_snapshot!(said, @"Stalled, NameConflict: Namespace shop-orders exists and is not ours; rename the component, or hand it over: kubectl annotate namespace shop-orders landfall.dev/adopt-by=component:shop/orders");
    case.mark_processed("Component", "orders", "again").await;
    let instance = case.get("Component", "orders").await;
    case.refused("Component", "orders", "NameConflict").await;
    case.assert_unchanged(&before).await;
    case.conforms().await;
    // While nothing changes, nothing is written.
    let written = instance["status"].clone();
    case.mark_processed("Component", "orders", "and-again").await;
    let mut now = case.get("Component", "orders").await["status"].clone();
    now["lastHandledReconcileAt"] = written["lastHandledReconcileAt"].clone();
    assert_eq!(now, written);

    case.own("Component")
        .delete("orders", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the instance to be gone", async || {
        let found = case.own("Component").get_opt("orders").await.unwrap();
        found.is_none().then_some(()).ok_or(format!("{found:?}"))
    })
    .await;
    case.assert_unchanged(&before).await;

    case.put(&component("{tier: gold}").replace("name: orders", "name: orders-two"))
        .await;
    case.ready("Component", "orders-two").await;
    case.conforms().await;
}

#[tokio::test]
async fn a_namespace_that_is_handed_over() {
    let case = Case::new().await;
    case.put("{apiVersion: v1, kind: Namespace, metadata: {name: TEAM-orders, labels: {owner: another-team}}}")
        .await;
    case.put(&good_template()).await;
    case.put(&component("{tier: gold}")).await;
    let said = case.refused("Component", "orders", "NameConflict").await;
    // Handed to another instance, it stays what it was.
    let annotate = |to: &str| {
        let to = case.named(to);
        case.cluster.kubectl(&[
            "annotate",
            "namespace",
            &case.named("TEAM-orders"),
            "--overwrite",
            &format!("landfall.dev/adopt-by={to}"),
        ])
    };
    assert!(annotate("component:PLATFORM/orders").status.success());
    case.mark_processed("Component", "orders", "handed-to-another").await;
    let then = case.refused("Component", "orders", "NameConflict").await;
    assert!(
        then.contains("is marked to be taken over by component:platform/orders"),
        "{then}"
    );
    // The very command out of the message.
    let command = said.split("kubectl ").nth(1).unwrap().replace("shop", &case.team);
    let output = case
        .cluster
        .kubectl(&[command.split(' ').collect::<Vec<_>>(), vec!["--overwrite"]].concat());
    assert!(output.status.success(), "{command}: {output:?}");
    case.ready("Component", "orders").await;
    let namespace = case
        .api("v1", "Namespace", "")
        .get(&case.named("TEAM-orders"))
        .await
        .unwrap();
    let labels = namespace.metadata.labels.unwrap();
    assert_eq!(labels["owner"], "another-team");
    case.conforms().await;
}

/// An object in the instance's own namespace that someone made by hand.
#[tokio::test]
async fn an_object_that_is_someone_elses() {
    let case = Case::new().await;
    case.put("{apiVersion: v1, kind: ConfigMap, metadata: {name: thing, namespace: TEAM}, data: {theirs: 'yes'}}")
        .await;
    case.put(&template_with(GOOD)).await;
    case.ready("Template", "web").await;
    case.put(&component("{}")).await;
    let said = case.refused("Component", "orders", "NameConflict").await;
    assert_snapshot!(said, @"Stalled, NameConflict: ConfigMap shop/thing exists and is not ours; rename the component, or hand it over: kubectl annotate -n shop configmaps thing landfall.dev/adopt-by=component:shop/orders");
    case.mark_processed("Component", "orders", "again").await;
    let things = case.api("v1", "ConfigMap", &case.team);
    let thing = things.get("thing").await.unwrap();
    assert_eq!(thing.data["data"], json!({"theirs": "yes"}));
    assert_eq!(thing.metadata.labels, None);
    case.conforms().await;
    // Out of the way, it is made at the next look.
    things.delete("thing", &DeleteParams::default()).await.unwrap();
    case.mark_processed("Component", "orders", "out-of-the-way").await;
    case.ready("Component", "orders").await;
    let thing = things.get("thing").await.unwrap();
    assert_eq!(thing.data.get("data"), None::<&Value>);
    case.conforms().await;
}
