//! Parameter values that want to be more than data: they arrive byte for byte, or are refused with words, and nothing in them is
//! ever evaluated.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{GOOD, component, neighbour_works, template, template_with};
use crate::support::{Case, eventually};

const RESOURCES: &str = r#"
  parameters: {properties: {value: {}}}
  resources:
  - id: thing
    manifest:
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: thing, annotations: {example.com/note: "${{ parameters.value }}"}}
      data: {whole: "${{ parameters.value }}", inside: "<${{ parameters.value }}>"}
"#;

/// The Component as JSON text, whose value is `value`, itself JSON text: nothing in between reads it.
fn with_value(case: &Case<'_>, value: &str) -> String {
    let text = case.named(&component("{value: PLACE}"));
    let object: Value = serde_saphyr::from_str(&text).unwrap();
    object.to_string().replace("\"PLACE\"", value)
}

/// Creates the Component or changes it, with a body that no client of ours has read.
async fn sent(case: &Case<'_>, body: String) -> Result<String, kube::Error> {
    let path = format!(
        "/apis/catalog.landfall.dev/v1alpha1/namespaces/{}/components/orders?fieldManager=raw",
        case.team
    );
    let request = http::Request::patch(path)
        .header("content-type", "application/merge-patch+json")
        .body(body.into_bytes())
        .unwrap();
    case.client.request_text(request).await
}

#[tokio::test]
async fn arrive_as_plain_data() {
    let case = Case::new().await;
    case.put(&template(RESOURCES)).await;
    case.put(&component("{value: first}")).await;
    case.ready("Component", "orders").await;
    let maps = case.api("v1", "ConfigMap", &case.team);
    let before = case.picture_names(&[]).await;
    let long = format!("\"{}\"", "y".repeat(200_000));
    for value in [
        r#""a: b\n- c: &x {d: *x}\n---\nkind: Secret\n""#,
        r#""${{ 7 * 7 }}""#,
        r#""$${{{ parameters.value }}}""#,
        r#""{{ 7 * 7 }}{% if true %}x{% endif %}{# no #}""#,
        r#""{% raw %}${{ entity.metadata.name }}{% endraw %}""#,
        r#""$(params.secret) `id` $(id) ${HOME}""#,
        r#""}}, kind: Secret, x: ${{""#,
        r#""\"]}},{\"op\":\"remove\"}""#,
        r#""\u0000""#,
        r#""before\u0000after""#,
        r#""\u202etxt.exe\u2066 \u200b\ufeff""#,
        r#""\u0007\u001b[31m\r\n\t\u007f\u0085\u2028""#,
        r#""\ud800""#,
        r#""\udc00\ud800 \ud83d\ude80""#,
        r#""null""#,
        r#""true""#,
        r#""1e999""#,
        r#""!!binary aGk=""#,
        r#""<script>alert(1)</script>""#,
        r#""../../../etc/passwd""#,
        &long,
    ] {
        let stored = sent(&case, with_value(&case, value))
            .await
            .unwrap_or_else(|error| panic!("{value}: {error}"));
        let stored: Value = serde_json::from_str(&stored).unwrap();
        let stored = stored["spec"]["template"]["parameters"]["value"]
            .as_str()
            .unwrap()
            .to_owned();
        let short: String = value.chars().take(60).collect();
        let what = format!("{short} to arrive");
        eventually(&what, async || {
            let thing = maps.get("thing").await.map_err(|error| error.to_string())?;
            let whole = thing.data["data"]["whole"] == stored.as_str();
            let inside = thing.data["data"]["inside"] == format!("<{stored}>");
            let annotation = thing.metadata.annotations.unwrap_or_default()["example.com/note"] == stored;
            let component = case.get("Component", "orders").await;
            (whole && inside && annotation)
                .then_some(())
                .ok_or(format!("{}\n{}", thing.data, component["status"]["conditions"]))
        })
        .await;
        case.ready("Component", "orders").await;
    }
    assert_eq!(case.picture_names(&[]).await, before, "and nothing else was made");
    case.conforms().await;
}

/// What is no text is no text inside a text, and a key of a `ConfigMap` has its rules.
#[tokio::test]
async fn of_other_kinds_are_refused_with_words() {
    let mut all = Vec::new();
    for value in ["{a: {b: c}}", "[1, [2]]", "null", "1.5", "true"] {
        let case = Case::new().await;
        case.put(&template(RESOURCES)).await;
        case.ready("Template", "web").await;
        case.put(&component(&format!("{{value: {value}}}"))).await;
        let instance = eventually("a verdict", async || {
            let instance = case.get("Component", "orders").await;
            let ready = crate::support::conformance::condition(&instance, "Ready")
                .cloned()
                .unwrap_or_default();
            (!matches!(
                ready["reason"].as_str(),
                Some("Pending" | "Progressing" | "WaitingForTemplate")
            ))
            .then(|| ready.clone())
            .ok_or(ready.to_string())
        })
        .await;
        let text = |name: &str| instance[name].as_str().unwrap_or_default().to_owned();
        all.push(case.masked(&format!("{value}: {}: {}", text("reason"), text("message"))));
        neighbour_works(&case).await;
        case.conforms().await;
        case.put(&template_with(GOOD)).await;
        case.ready("Component", "orders").await;
    }
    assert_snapshot!(all.join("\n"), @r#"{a: {b: c}}: RenderFailed: resource "thing", manifest.data.inside: `parameters.value`: found a map, expected a text; name one of its fields or write | dump
[1, [2]]: RenderFailed: resource "thing", manifest.data.inside: `parameters.value`: found a list, expected a text; write | join(', ') or | dump
null: RenderFailed: resource "thing", manifest.data.inside: `parameters.value`: found null, expected a text; give one with | default('…')
1.5: Denied: resource "thing": ConfigMap shop/thing: the apiserver does not take it: .data.whole: expected string, got 1.5; .metadata.annotations.example.com/note: expected string, got 1.5
true: Denied: resource "thing": ConfigMap shop/thing: the apiserver does not take it: .data.whole: expected string, got true; .metadata.annotations.example.com/note: expected string, got true"#);
}

#[tokio::test]
async fn as_keys_keep_the_rules_of_the_object() {
    let case = Case::new().await;
    case.put(&template(
        r#"
  parameters: {properties: {value: {}}}
  resources:
  - id: thing
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: thing}, data: {"${{ parameters.value }}": x}}
"#,
    ))
    .await;
    case.ready("Template", "web").await;
    let mut all = Vec::new();
    for value in [r#""../a""#, r#""a\u202eb""#, r#""a\u0000""#, r#""""#] {
        case.put_object(&serde_json::from_str(&with_value(&case, value)).unwrap())
            .await;
        let said = case.refused("Component", "orders", "Denied").await;
        all.push(format!("{value}: {said}"));
    }
    assert!(
        case.api("v1", "ConfigMap", &case.team)
            .get_opt("thing")
            .await
            .unwrap()
            .is_none()
    );
    neighbour_works(&case).await;
    case.put(&component("{value: fine}")).await;
    case.ready("Component", "orders").await;
    case.conforms().await;
    assert_snapshot!(all.join("\n"), @r#""../a": Stalled, Denied: resource "thing": ConfigMap shop/thing: the apiserver does not take it: data[../a]: Invalid value: "../a": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name', or 'KEY_NAME', or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+'); data[../a]: Invalid value: "../a": must not start with '..'
"a\u202eb": Stalled, Denied: resource "thing": ConfigMap shop/thing: the apiserver does not take it: data[a�b]: Invalid value: "a\u202eb": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name', or 'KEY_NAME', or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')
"a\u0000": Stalled, Denied: resource "thing": ConfigMap shop/thing: the apiserver does not take it: data[a�]: Invalid value: "a\x00": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name', or 'KEY_NAME', or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')
"": Stalled, Denied: resource "thing": ConfigMap shop/thing: the apiserver does not take it: data[]: Invalid value: "": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name', or 'KEY_NAME', or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"#);
}

/// What is nested too deeply for most readers of JSON, this test's own client among them, is refused with its place, and
/// stops nobody else.
#[tokio::test]
async fn that_are_nested_too_deeply() {
    let case = Case::new().await;
    case.put(&template(RESOURCES)).await;
    case.put(&component("{value: first}")).await;
    case.ready("Component", "orders").await;
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let mut all = Vec::new();
    for depth in [70, 117, 118, 119, 125, 130, 1_000] {
        sent(&case, with_value(&case, &nested(depth))).await.unwrap();
        let what = format!("depth {depth} to be refused");
        let ready = eventually(&what, async || {
            let columns =
                "jsonpath={.metadata.generation} {.status.observedGeneration} {.status.conditions[?(@.type=='Ready')]}";
            let output = case
                .cluster
                .kubectl(&["get", "component", "orders", "-n", &case.team, "-o", columns]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let (generation, rest) = text.split_once(' ').unwrap_or_default();
            let (observed, ready) = rest.split_once(' ').unwrap_or_default();
            (generation == observed && ready.contains("InvalidSpec"))
                .then(|| serde_json::from_str::<Value>(ready).unwrap())
                .ok_or(text.clone())
        })
        .await;
        all.push(ready["message"].as_str().unwrap().to_owned());
        neighbour_works(&case).await;
    }
    all.dedup();
    assert_snapshot!(all.join("\n"), @r#"spec.template.parameters.value.a.a.a and what is below is nested more than 64 deep, which is the most that a spec may be; make it flatter, or pass it as a text"#);
    let things = case.api("v1", "ConfigMap", &case.team).get("thing").await.unwrap();
    assert_eq!(things.data["data"]["whole"], "first", "it is kept as it was");
    // Corrected, it goes on.
    let shallow = with_value(&case, "null").replace("null", "{\"a\": null}");
    sent(&case, shallow).await.unwrap();
    case.put(&component("{value: second}")).await;
    case.ready("Component", "orders").await;
    case.conforms().await;
}
