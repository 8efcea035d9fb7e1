//! What was right when it was made, and is not any more.

use insta::assert_snapshot;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};

use super::{GOOD, component, good_template, neighbour_works, template, template_with};
use crate::support::{Case, eventually};

/// What a `ConfigMap` of the product team is now.
async fn thing(case: &Case<'_>, name: &str) -> DynamicObject {
    case.api("v1", "ConfigMap", &case.team).get(name).await.unwrap()
}

#[tokio::test]
async fn a_field_that_cannot_be_changed() {
    let case = Case::new().await;
    let fixed = "{apiVersion: v1, kind: ConfigMap, metadata: {name: thing}, immutable: true, data: {text: '${{ parameters.value }}'}}";
    case.put(&template_with(fixed)).await;
    case.put(&component("{value: one}")).await;
    case.ready("Component", "orders").await;
    let before = thing(&case, "thing").await;

    case.put(&component("{value: two}")).await;
    let said = case.refused("Component", "orders", "ImmutableField").await;
    assert_snapshot!(said, @r#"Stalled, ImmutableField: resource "thing": ConfigMap shop/thing: data: Forbidden: field is immutable when `immutable` is set; change it back, or set replace: true on the template's resource to delete and create it"#);
    case.mark_processed("Component", "orders", "again").await;
    assert_eq!(case.refused("Component", "orders", "ImmutableField").await, said);
    assert_eq!(thing(&case, "thing").await, before);
    case.conforms().await;
    neighbour_works(&case).await;

    // As the message says: a template that may make it anew, or the value that it had.
    case.put(&component("{value: one}")).await;
    case.ready("Component", "orders").await;
    assert_eq!(thing(&case, "thing").await, before);
    case.put(&component("{value: two}")).await;
    case.refused("Component", "orders", "ImmutableField").await;
    let replaced = template_with(fixed).replace("  - id: thing\n", "  - id: thing\n    replace: true\n");
    case.put(&replaced).await;
    eventually("the object to be made anew", async || {
        let now = case.api("v1", "ConfigMap", &case.team).get_opt("thing").await.unwrap();
        now.filter(|now| now.data["data"]["text"] == "two")
            .map(|_| ())
            .ok_or("it is as it was".to_owned())
    })
    .await;
    case.ready("Component", "orders").await;
    case.conforms().await;
}

#[tokio::test]
async fn a_namespace_that_another_component_has() {
    let case = Case::new().await;
    let claimed = "{apiVersion: v1, kind: Namespace, metadata: {name: '${{ parameters.value }}', labels: {of: '${{ entity.metadata.name }}'}}}";
    let resources =
        format!("  parameters: {{properties: {{value: {{}}}}}}\n  resources:\n  - id: shared\n    manifest: {claimed}");
    case.put(&template(&resources)).await;
    case.put(&component("{value: TEAM-shared}")).await;
    case.ready("Component", "orders").await;
    let shared = case.named("TEAM-shared");
    let before = case.before(&[&shared]).await;

    let second = component("{value: TEAM-shared}").replace("name: orders", "name: payments");
    case.put(&second).await;
    let said = case.refused("Component", "payments", "NameConflict").await;
    assert_snapshot!(said, @"Stalled, NameConflict: Namespace shop-shared exists, is marked as an object of component:shop/orders, and is not ours; rename the component, or hand it over: kubectl annotate namespace shop-shared landfall.dev/adopt-by=component:shop/payments");
    case.mark_processed("Component", "payments", "again").await;
    assert_eq!(case.refused("Component", "payments", "NameConflict").await, said);
    case.mark_processed("Component", "orders", "after-the-rival").await;
    case.ready("Component", "orders").await;
    case.assert_unchanged(&before).await;
    case.conforms().await;

    // The rival is deleted, and the namespace is the first one's as before.
    let components = case.own("Component");
    components.delete("payments", &DeleteParams::default()).await.unwrap();
    eventually("the rival to be gone", async || {
        let found = components.get_opt("payments").await.unwrap();
        found.is_none().then_some(()).ok_or(format!("{found:?}"))
    })
    .await;
    case.assert_unchanged(&before).await;
    case.put(&second.replace("TEAM-shared", "TEAM-other")).await;
    case.ready("Component", "payments").await;
    case.conforms().await;
}

#[tokio::test]
async fn an_object_that_was_replaced_by_another_of_its_name() {
    let case = Case::new().await;
    case.put(&template_with(GOOD)).await;
    case.put(&component("{}")).await;
    case.ready("Component", "orders").await;
    // One request after the other, so that nothing comes between: ours goes, and theirs is there.
    let things = case.api("v1", "ConfigMap", &case.team);
    let suspended = |value: bool| component("{}").replace("template: {", &format!("template: {{suspend: {value}, "));
    case.put(&suspended(true)).await;
    case.mark_processed("Component", "orders", "suspended").await;
    things.delete("thing", &DeleteParams::default()).await.unwrap();
    let theirs: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "thing"}, "data": {"theirs": "yes"},
    }))
    .unwrap();
    let theirs = things.create(&PostParams::default(), &theirs).await.unwrap();

    case.put(&suspended(false)).await;
    let said = case.refused("Component", "orders", "NameConflict").await;
    assert_snapshot!(said, @"Stalled, NameConflict: ConfigMap shop/thing exists and is not ours; rename the component, or hand it over: kubectl annotate -n shop configmaps thing landfall.dev/adopt-by=component:shop/orders");
    case.mark_processed("Component", "orders", "again").await;
    assert_eq!(case.refused("Component", "orders", "NameConflict").await, said);
    assert_eq!(thing(&case, "thing").await, theirs);
    case.conforms().await;
    neighbour_works(&case).await;

    things.delete("thing", &DeleteParams::default()).await.unwrap();
    case.mark_processed("Component", "orders", "out-of-the-way").await;
    case.ready("Component", "orders").await;
    assert_eq!(thing(&case, "thing").await.data.get("data"), None::<&Value>);
    case.conforms().await;
}

/// Without its template an instance keeps what it has; with the template back it goes on where it was, and nothing is made anew.
#[tokio::test]
async fn a_template_that_was_deleted_and_comes_back() {
    let case = Case::new().await;
    case.put(&good_template()).await;
    case.put(&component("{tier: gold}")).await;
    case.ready("Component", "orders").await;
    let before = case.before(&["TEAM-orders"]).await;
    let templates = case.own("Template");
    templates.delete("web", &DeleteParams::default()).await.unwrap();
    let said = case.refused("Component", "orders", "TemplateNotFound").await;
    assert_snapshot!(said, @"Reconciling, TemplateNotFound: spec.template.ref: template:platform/web does not exist; create it, or correct the ref. Objects that exist already are kept as they are");
    case.mark_processed("Component", "orders", "without-it").await;
    assert_eq!(case.refused("Component", "orders", "TemplateNotFound").await, said);
    case.assert_nothing_tried(&before).await;
    case.conforms().await;
    neighbour_works(&case).await;

    let kept = case
        .api("v1", "ConfigMap", &case.named("TEAM-orders"))
        .get("settings")
        .await
        .unwrap();
    case.put(&good_template()).await;
    case.ready("Template", "web").await;
    case.ready("Component", "orders").await;
    let settings = case.api("v1", "ConfigMap", &case.named("TEAM-orders"));
    assert_eq!(settings.get("settings").await.unwrap(), kept);
    // It is the template's again: what is changed there reaches it.
    case.put(&good_template().replace("TIER:", "LEVEL:")).await;
    eventually("the changed template to reach the object", async || {
        let now = settings.get("settings").await.unwrap();
        (now.data["data"] == json!({"LEVEL": "gold"}))
            .then_some(())
            .ok_or(format!("{now:?}"))
    })
    .await;
    assert_eq!(settings.get("settings").await.unwrap().metadata.uid, kept.metadata.uid);
    case.ready("Component", "orders").await;
    case.conforms().await;
}
