//! A team that tries: whatever it writes as a parameter, a name or a system, nothing is put into a namespace
//! that is not its own, and never into a reserved one.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::conformance::{breaches, condition};
use crate::support::{Case, eventually};

fn template(name: &str, resource: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {{name: {name}, namespace: PLATFORM}}
spec:
  type: service
  serviceAccountName: golden-path
  allowedNamespaces: {{from: All}}
  targetNamespaces: [kube-system, kube-public, landfall-system]
  parameters: {{properties: {{value: {{}}}}}}
  resources:
  - id: thing
    manifest: {resource}
"
    )
}

fn component(template: &str, value: &Value) -> Value {
    json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component", "metadata": {"name": "orders", "namespace": "TEAM"},
        "spec": {
            "type": "service", "lifecycle": "production", "owner": "group:default/shop",
            "template": {"ref": format!("PLATFORM/{template}"), "parameters": {"value": value}},
        },
    })
}

/// Applies the Component with each value in turn. Gives for each what Ready said.
async fn tried(case: &Case<'_>, template: &str, values: &[Value]) -> Vec<String> {
    let mut said = Vec::new();
    for value in values {
        let object: Value = serde_json::from_str(&case.named(&component(template, value).to_string())).unwrap();
        let applied = case.put_object(&object).await;
        let generation = applied["metadata"]["generation"].clone();
        let (ready, broken) = eventually("the value to be judged", async || {
            let object = case.get("Component", "orders").await;
            let ready = condition(&object, "Ready").cloned().unwrap_or_default();
            let judged = ready["observedGeneration"] == generation && ready["reason"] != "Progressing";
            if judged {
                Ok((ready, breaches(&object)))
            } else {
                Err(object["status"].to_string())
            }
        })
        .await;
        assert_eq!(ready["status"], "False", "{value}: {ready}");
        said.push(format!("{value}: {}", ready["reason"].as_str().unwrap()));
        assert!(broken.is_empty(), "{value}: {broken:?}");
    }
    said
}

#[tokio::test]
async fn no_value_reaches_another_teams_namespace() {
    let case = Case::new().await;
    let other = case.cluster.namespace("other").await;
    case.put(&template(
        "web",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: thing, namespace: '${{ parameters.value }}'}}",
    ))
    .await;
    case.ready("Template", "web").await;
    let before = case.before(&[&other]).await;
    let values = [
        json!(other),
        json!(format!("{other}/")),
        json!(format!("../{other}")),
        json!(format!("{}/../{other}", case.team)),
        json!(format!("{}\n{other}", case.team)),
        json!(format!(" {other}")),
        json!(format!("{other}\u{0}")),
        json!(format!("{other}\u{200b}")),
        json!(other.to_uppercase()),
        json!("${{ 'kube-system' }}"),
        json!("*"),
        json!("x".repeat(300)),
        json!(7),
        json!(true),
        json!([other]),
        json!({"name": other}),
        json!("default"),
        json!("kube-system"),
        json!("kube-node-lease"),
        json!("landfall-system"),
        json!(case.platform),
    ];
    let said = tried(&case, "web", &values).await;
    case.assert_unchanged(&before).await;
    case.assert_nothing_tried(&before).await;
    let masked: Vec<String> = said
        .iter()
        .map(|line| {
            case.masked(line)
                .replace(&other, "other")
                .replace(&other.to_uppercase(), "OTHER")
        })
        .map(|line| line.replace(&"x".repeat(300), "x…").replace('\u{200b}', "\\u200b"))
        .collect();
    assert_snapshot!(masked.join("\n"), @r#""other": NamespaceNotAllowed
"other/": RenderFailed
"../other": RenderFailed
"shop/../other": RenderFailed
"shop\nother": RenderFailed
" other": RenderFailed
"other\u0000": RenderFailed
"other\u200b": RenderFailed
"OTHER": RenderFailed
"${{ 'kube-system' }}": RenderFailed
"*": RenderFailed
"x…": RenderFailed
7: RenderFailed
true: RenderFailed
["other"]: RenderFailed
{"name":"other"}: RenderFailed
"default": NamespaceNotAllowed
"kube-system": NamespaceNotAllowed
"kube-node-lease": NamespaceNotAllowed
"landfall-system": NamespaceNotAllowed
"platform": NamespaceNotAllowed"#);
}

/// What an object is, too, is not a way around: paths in names, groups in kinds, whole namespaces by name.
#[tokio::test]
async fn no_value_becomes_a_path() {
    let case = Case::new().await;
    let other = case.cluster.namespace("other").await;
    let before = case.before(&[&other]).await;
    for (name, manifest, values) in [
        (
            "name",
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: '${{ parameters.value }}'}}",
            vec![
                json!(format!("../../{other}/configmaps/x")),
                json!("x?force=true"),
                json!("x%2f..%2fy"),
                json!("x#y"),
                json!("."),
                json!(".."),
            ],
        ),
        (
            "version",
            "{apiVersion: '${{ parameters.value }}', kind: ConfigMap, metadata: {name: x}}",
            vec![
                json!(format!("v1/namespaces/{other}")),
                json!("../v1"),
                json!("/v1"),
                json!("V1"),
            ],
        ),
        (
            "kind",
            "{apiVersion: v1, kind: '${{ parameters.value }}', metadata: {name: x}}",
            vec![
                json!("configmaps"),
                json!("ConfigMap/status"),
                json!("Secret"),
                json!("List"),
                json!("Node"),
            ],
        ),
        (
            "namespace",
            "{apiVersion: v1, kind: Namespace, metadata: {name: '${{ parameters.value }}'}}",
            vec![json!("kube-system"), json!("kube-new"), json!("landfall-system")],
        ),
    ] {
        case.put(&template(name, manifest)).await;
        case.ready("Template", name).await;
        tried(&case, name, &values).await;
    }
    case.assert_unchanged(&before).await;
    case.assert_nothing_tried(&before).await;
}

/// A namespace that a System made is for its components, of its own namespace only.
#[tokio::test]
async fn a_system_of_another_namespace_lends_nothing() {
    let (case, theirs) = (Case::new().await, Case::new().await);
    let making = "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {name: room, namespace: PLATFORM}
spec:
  type: system
  serviceAccountName: golden-path
  allowedNamespaces: {from: All}
  resources:
  - id: ns
    manifest: {apiVersion: v1, kind: Namespace, metadata: {name: '${{ entity.metadata.namespace }}-room'}}
---
apiVersion: catalog.landfall.dev/v1alpha1
kind: System
metadata: {name: store, namespace: TEAM}
spec: {owner: 'group:default/shop', template: {ref: PLATFORM/room}}
";
    for case in [&case, &theirs] {
        case.put(making).await;
        case.ready("System", "store").await;
    }
    let room = theirs.named("TEAM-room");
    case.put(&template(
        "web",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: thing, namespace: '${{ parameters.value }}'}}",
    ))
    .await;
    case.ready("Template", "web").await;
    let before = case.before(&[&room]).await;
    let with = |system: &str, value: &str| {
        let mut object = component("web", &json!(value));
        object["spec"]["system"] = json!(system);
        serde_json::from_str::<Value>(&case.named(&object.to_string())).unwrap()
    };
    case.put_object(&with(&format!("system:{}/store", theirs.team), &room))
        .await;
    let said = case
        .refused_untouched(&before, "Component", "orders", "NamespaceNotAllowed")
        .await;
    assert!(said.contains("no object may go into"), "{said}");
    case.conforms().await;
    // Its own System's is open to it.
    case.put_object(&with("store", "TEAM-room")).await;
    case.ready("Component", "orders").await;
    case.conforms().await;
}
