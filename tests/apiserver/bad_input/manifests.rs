//! What a template may hold: refused when it is compiled where it says so literally, and before the first
//! write where an expression yields it.

use insta::assert_snapshot;
use serde_json::json;

use super::{component, refused_template, refused_value, template_with};
use crate::support::{Case, eventually};

#[tokio::test]
async fn without_kind() {
    let said = refused_template("{apiVersion: v1, metadata: {name: thing}}", "InvalidTemplate").await;
    assert_snapshot!(said, @r#"Stalled, InvalidTemplate: resource "thing", manifest.kind: missing; expected for example ConfigMap"#);
}

#[tokio::test]
async fn without_kind_by_expression() {
    let manifest = "{apiVersion: v1, kind: '${{ parameters.value }}', metadata: {name: thing}}";
    let said = refused_value(manifest, "''", "RenderFailed").await;
    assert_snapshot!(said, @r#"Stalled, RenderFailed: resource "thing", manifest.kind: empty or not given, expected a text"#);
}

#[tokio::test]
async fn of_an_unknown_kind() {
    let said = refused_template(
        "{apiVersion: tekton.dev/v7, kind: Pipeline, metadata: {name: thing}}",
        "KindNotServed",
    )
    .await;
    assert_snapshot!(said, @r#"Reconciling, KindNotServed: resource "thing", manifest.kind: Pipeline (tekton.dev/v7) is not served by this cluster"#);
}

#[tokio::test]
async fn of_an_unknown_kind_by_expression() {
    let manifest = "{apiVersion: v1, kind: '${{ parameters.value }}', metadata: {name: thing}}";
    let said = refused_value(manifest, "ConfigMop", "KindNotServed").await;
    assert_snapshot!(said, @r#"Reconciling, KindNotServed: resource "thing", manifest.kind: ConfigMop (v1) is not served by this cluster"#);
}

/// The kind is waited for: installing its definition is all it takes.
#[tokio::test]
async fn of_a_kind_that_comes_later() {
    let case = Case::new().await;
    let group = format!("{}.example.com", case.team);
    case.grant(&json!([
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": crate::support::ALL},
        {"apiGroups": [group], "resources": ["gadgets"], "verbs": crate::support::ALL},
    ]))
    .await;
    let before = case.before(&[]).await;
    case.put(&template_with(
        "{apiVersion: TEAM.example.com/v1, kind: Gadget, metadata: {name: thing}}",
    ))
    .await;
    case.put(&component("{}")).await;
    let said = case
        .refused_untouched(&before, "Template", "web", "KindNotServed")
        .await;
    assert_snapshot!(said, @r#"Reconciling, KindNotServed: resource "thing", manifest.kind: Gadget (shop.example.com/v1) is not served by this cluster"#);
    case.conforms().await;
    case.put(
        r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.TEAM.example.com}
spec:
  group: TEAM.example.com
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
",
    )
    .await;
    case.ready("Component", "orders").await;
    case.conforms().await;
}

#[tokio::test]
async fn of_a_cluster_scoped_kind() {
    let said = refused_template(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: thing}, rules: []}",
        "KindNotAllowed",
    )
    .await;
    assert_snapshot!(said, @r#"Stalled, KindNotAllowed: resource "thing", manifest.kind: ClusterRole (rbac.authorization.k8s.io/v1) is cluster-scoped and not allowed in a template; the administrator may list ClusterRole.rbac.authorization.k8s.io in clusterScopedKinds"#);
}

/// What a kind is, discovery says, and not a namespace that the manifest gives it.
#[tokio::test]
async fn of_a_cluster_scoped_kind_with_a_forged_namespace() {
    let said = refused_template(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: thing, namespace: TEAM}, rules: []}",
        "KindNotAllowed",
    )
    .await;
    assert_snapshot!(said, @r#"Stalled, KindNotAllowed: resource "thing", manifest.kind: ClusterRole (rbac.authorization.k8s.io/v1) is cluster-scoped and not allowed in a template; the administrator may list ClusterRole.rbac.authorization.k8s.io in clusterScopedKinds"#);
}

#[tokio::test]
async fn of_a_cluster_scoped_kind_by_expression() {
    let manifest = "{apiVersion: rbac.authorization.k8s.io/v1, kind: '${{ parameters.value }}', metadata: {name: thing, namespace: TEAM}}";
    let said = refused_value(manifest, "ClusterRoleBinding", "KindNotAllowed").await;
    assert_snapshot!(said, @r#"Stalled, KindNotAllowed: resource "thing", manifest.kind: ClusterRoleBinding (rbac.authorization.k8s.io/v1) is cluster-scoped and not allowed in a template; the administrator may list ClusterRoleBinding.rbac.authorization.k8s.io in clusterScopedKinds"#);
}

#[tokio::test]
async fn of_kind_secret() {
    let said = refused_template(
        "{apiVersion: v1, kind: Secret, metadata: {name: thing}, stringData: {password: hunter2}}",
        "KindNotAllowed",
    )
    .await;
    assert!(!said.contains("hunter2"));
    assert_snapshot!(said, @r#"Stalled, KindNotAllowed: resource "thing", manifest.kind: Secret is not allowed in a template; write an ExternalSecret, a SealedSecret, a Certificate or the like, which makes one"#);
}

#[tokio::test]
async fn of_kind_secret_by_expression() {
    let manifest = "{apiVersion: v1, kind: '${{ parameters.value }}', metadata: {name: thing}}";
    let said = refused_value(manifest, "Secret", "KindNotAllowed").await;
    assert_snapshot!(said, @r#"Stalled, KindNotAllowed: resource "thing", manifest.kind: Secret is not allowed in a template; write an ExternalSecret, a SealedSecret, a Certificate or the like, which makes one"#);
}

#[tokio::test]
async fn with_a_generated_name() {
    let said = refused_template(
        "{apiVersion: v1, kind: ConfigMap, metadata: {generateName: thing-}}",
        "InvalidTemplate",
    )
    .await;
    assert_snapshot!(said, @r#"Stalled, InvalidTemplate: resource "thing", manifest.metadata.generateName: generateName is not allowed, since every name must be known beforehand; write metadata.name"#);
}

#[tokio::test]
async fn with_a_name_that_is_none() {
    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: '${{ parameters.value }}'}}";
    let said = refused_value(manifest, "Thing_One", "RenderFailed").await;
    assert_snapshot!(said, @r#"Stalled, RenderFailed: resource "thing", manifest.metadata.name: "Thing_One" is not a legal name, expected lower-case letters, digits, - and ., beginning and ending with a letter or digit"#);
}

#[tokio::test]
async fn with_reserved_marks() {
    let said = refused_template(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: thing, labels: {landfall.dev/instance-uid: other}, annotations: {landfall.dev/adopt-by: other, argocd.argoproj.io/tracking-id: x}}}",
        "InvalidTemplate",
    )
    .await;
    assert_snapshot!(said, @r#"Stalled, InvalidTemplate: resource "thing", manifest.metadata.labels["landfall.dev/instance-uid"]: keys of landfall.dev are Landfall's own marks; use another prefix; resource "thing", manifest.metadata.annotations["argocd.argoproj.io/tracking-id"]: Argo CD's tracking mark would make Argo CD delete the object; remove it; resource "thing", manifest.metadata.annotations["landfall.dev/adopt-by"]: keys of landfall.dev are Landfall's own marks; use another prefix"#);
}

/// Marks come in by a map that an expression yields as well, and so do owner references.
#[tokio::test]
async fn with_reserved_marks_by_expression() {
    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: thing, labels: '${{ parameters.value }}'}}";
    let said = refused_value(manifest, "{landfall.dev/instance-uid: other}", "InvalidTemplate").await;
    assert_snapshot!(said, @r#"Stalled, InvalidTemplate: resource "thing", manifest.metadata.labels["landfall.dev/instance-uid"]: keys of landfall.dev are Landfall's own marks; use another prefix"#);
    let manifest =
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: thing, ownerReferences: '${{ parameters.value }}'}}";
    let said = refused_template(manifest, "InvalidTemplate").await;
    assert_snapshot!(said, @r#"Stalled, InvalidTemplate: resource "thing", manifest.metadata.ownerReferences: ownerReferences would let another object's deletion take this one along; remove them"#);
}

/// What only the apiserver can refuse is told in its words, and is in the inventory until it is right.
#[tokio::test]
async fn that_the_apiserver_does_not_take() {
    let case = Case::new().await;
    case.put(&template_with("{apiVersion: v1, kind: ConfigMap, metadata: {name: thing, namespace: TEAM-orders}, data: '${{ parameters.value }}'}"))
        .await;
    case.put(&component("{value: {replicas: 3}}")).await;
    let said = case.refused("Component", "orders", "Denied").await;
    assert_snapshot!(said, @r#"Stalled, Denied: resource "thing": ConfigMap shop-orders/thing: the apiserver does not take it: .data.replicas: expected string, got 3"#);
    let inventory = case.get("Component", "orders").await["status"]["inventory"].clone();
    assert_eq!(inventory.as_array().unwrap().len(), 2, "{inventory:#}");
    case.conforms().await;
    case.put(&component("{value: {replicas: '3'}}")).await;
    case.ready("Component", "orders").await;
    let things = case.api("v1", "ConfigMap", &case.named("TEAM-orders"));
    eventually("the thing to be as planned", async || {
        let thing = things.get("thing").await.map_err(|error| error.to_string())?;
        (thing.data["data"]["replicas"] == "3")
            .then_some(())
            .ok_or(format!("{thing:?}"))
    })
    .await;
    case.conforms().await;
}
