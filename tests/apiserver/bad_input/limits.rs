//! What is too much, too long, or twice.

use insta::assert_snapshot;
use serde_json::json;

use super::{GOOD, component, neighbour_works, refused_value, template, template_with};
use crate::support::{ALL, Case};

/// A template that compiles, whose plan is refused for every instance.
async fn refused_plan(resources: &str, reason: &str) -> String {
    let case = Case::new().await;
    case.grant(&json!([
        {"apiGroups": [""], "resources": ["namespaces", "configmaps", "services"], "verbs": ALL},
        {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"], "verbs": ALL},
        {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ALL},
    ]))
    .await;
    case.put(&template(&format!("  resources:\n{}", resources.trim_matches('\n'))))
        .await;
    case.ready("Template", "web").await;
    let before = case.before(&[]).await;
    case.put(&component("{}")).await;
    let said = case.refused_untouched(&before, "Component", "orders", reason).await;
    case.conforms().await;
    neighbour_works(&case).await;
    case.put(&template_with(GOOD)).await;
    case.ready("Component", "orders").await;
    case.conforms().await;
    said
}

#[tokio::test]
async fn two_resources_that_render_to_one_object() {
    let said = refused_plan(
        r#"
  - id: first
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: thing}}
  - id: second
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${{ 'THING' | lower }}", namespace: "${{ entity.metadata.namespace }}"}}
"#,
        "DuplicateObject",
    )
    .await;
    assert_snapshot!(said, @r#"Stalled, DuplicateObject: resource "second", manifest.metadata.name: ConfigMap thing in shop is already what resource "first" renders to; give them different names"#);
}

#[tokio::test]
async fn one_resource_that_renders_to_one_object_again_and_again() {
    let said = refused_plan(
        r"
  - id: thing
    each: [dev, prod]
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: thing}}
",
        "DuplicateObject",
    )
    .await;
    assert_snapshot!(said, @r#"Stalled, DuplicateObject: resource "thing/1", manifest.metadata.name: ConfigMap thing in shop is already what resource "thing/0" renders to; give them different names"#);
}

#[tokio::test]
async fn more_objects_than_a_plan_may_have() {
    let said = refused_plan(
        r#"
  - id: thing
    each: ${{ range(501) }}
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: "thing-${{ each.key }}"}}
"#,
        "TooManyObjects",
    )
    .await;
    assert_snapshot!(said, @r#"Stalled, TooManyObjects: resource "thing", each: 501 entries are more than the 500 objects that a plan may have"#);
    let said = refused_plan(
        r#"
  - id: first
    each: ${{ range(300) }}
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: "first-${{ each.key }}"}}
  - id: second
    each: ${{ range(201) }}
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: "second-${{ each.key }}"}}
"#,
        "TooManyObjects",
    )
    .await;
    assert_snapshot!(said, @r#"Stalled, TooManyObjects: resource "second", each: the plan has more than 500 objects, which is the most that one may have"#);
}

#[tokio::test]
async fn a_value_and_a_plan_that_are_too_large() {
    let manifest =
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: thing}, data: {a: \"${{ 'x' * parameters.value }}\"}}";
    let said = refused_value(manifest, "1000000000", "RenderFailed").await;
    assert_snapshot!(said, @r#"Stalled, RenderFailed: resource "thing", manifest.data.a: a value of 1000000000 bytes is more than the 256 KiB that one may have"#);
    let said = refused_plan(
        r#"
  - id: thing
    each: ${{ range(20) }}
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: "thing-${{ each.key }}"}, data: {a: "${{ 'x' * 250000 }}"}}
"#,
        "RenderFailed",
    )
    .await;
    assert_snapshot!(said, @r#"Stalled, RenderFailed: resource "thing/16", manifest: the plan's objects have 4251044 bytes together, more than the 4 MiB that a plan may have; resource "thing/17", manifest: the plan's objects have 4501106 bytes together, more than the 4 MiB that a plan may have; resource "thing/18", manifest: the plan's objects have 4751168 bytes together, more than the 4 MiB that a plan may have; resource "thing/19", manifest: the plan's objects have 5001230 bytes together, more than the 4 MiB that a plan may have"#);
}

/// What no plan forbids, but the apiserver: over one MiB of data, over a quarter of one in annotations, over three in a request.
#[tokio::test]
async fn an_object_that_is_larger_than_the_apiserver_takes() {
    let big = |count: usize| {
        let names: Vec<String> = (0..count)
            .map(|place| format!("k{place}: \"${{{{ 'x' * 250000 }}}}\""))
            .collect();
        names.join(", ")
    };
    let mut all = Vec::new();
    for manifest in [
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: thing}}, data: {{{}}}}}",
            big(5)
        ),
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: thing, annotations: {{{}}}}}}}",
            big(2)
        ),
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: thing}}, data: {{{}}}}}",
            big(13)
        ),
    ] {
        let case = Case::new().await;
        case.put(&template_with(&manifest)).await;
        case.put(&component("{}")).await;
        let said = case.refused("Component", "orders", "Denied").await;
        case.mark_processed("Component", "orders", "again").await;
        assert_eq!(case.refused("Component", "orders", "Denied").await, said);
        let things = case.api("v1", "ConfigMap", &case.team);
        assert!(things.get_opt("thing").await.unwrap().is_none());
        case.conforms().await;
        neighbour_works(&case).await;
        case.put(&template_with(GOOD)).await;
        case.ready("Component", "orders").await;
        case.conforms().await;
        all.push(said);
    }
    assert_snapshot!(all.join("\n"), @r#"Stalled, Denied: resource "thing": ConfigMap shop/thing: the apiserver does not take it: []: Too long: may not be more than 1048576 bytes
Stalled, Denied: resource "thing": ConfigMap shop/thing: the apiserver does not take it: metadata.annotations: Too long: may not be more than 262144 bytes
Stalled, Denied: resource "thing": ConfigMap shop/thing: it is larger than the apiserver takes: Request entity too large: limit is 3145728"#);
}

/// A name that is too long for its kind, each with one letter more than it may have.
#[tokio::test]
async fn names_that_are_too_long_for_their_kind() {
    let mut all = Vec::new();
    for (api_version, kind, length) in [
        ("v1", "Namespace", 64),
        ("v1", "ConfigMap", 254),
        ("v1", "Service", 64),
        ("batch/v1", "CronJob", 53),
        ("batch/v1", "Job", 64),
        ("apps/v1", "StatefulSet", 64),
    ] {
        let resource = format!(
            "  - id: thing\n    manifest: {{apiVersion: {api_version}, kind: {kind}, metadata: {{name: \"${{{{ 'n' * {length} }}}}\"}}}}"
        );
        all.push(
            refused_plan(&resource, "RenderFailed")
                .await
                .replace(&"n".repeat(60), "n…"),
        );
    }
    all.push(
        refused_plan(
            "  - id: thing\n    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: thing, namespace: \"${{ 'n' * 64 }}\"}}",
            "RenderFailed",
        )
        .await
        .replace(&"n".repeat(60), "n…"),
    );
    assert_snapshot!(all.join("\n"), @r#"Stalled, RenderFailed: resource "thing", manifest.metadata.name: "n…nnnn" has 64 characters, expected at most 63
Stalled, RenderFailed: resource "thing", manifest.metadata.name: "n…nnnnnnnnnnnnnnnnnnnn…" has 254 characters, expected at most 253
Stalled, RenderFailed: resource "thing", manifest.metadata.name: "n…nnnn" has 64 characters, expected at most 63
Stalled, RenderFailed: resource "thing", manifest.metadata.name: "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" has 53 characters, expected at most 52
Stalled, RenderFailed: resource "thing", manifest.metadata.name: "n…nnnn" has 64 characters, expected at most 63
Stalled, RenderFailed: resource "thing", manifest.metadata.name: "n…nnnn" has 64 characters, expected at most 63
Stalled, RenderFailed: resource "thing", manifest.metadata.namespace: "n…nnnn" has 64 characters, expected at most 63"#);
}
