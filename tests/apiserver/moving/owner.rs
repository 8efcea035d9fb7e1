//! A change of the owner moves access and labels, and nothing else.

use std::collections::BTreeMap;
use std::fs;

use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::deletes;
use crate::support::{ACCOUNT, Stage, condition, is_current, repository};

/// The template of the golden path, as a Template of the stage's.
async fn golden_path(stage: &Stage<'_>) {
    let verbs = ["get", "list", "watch", "create", "patch", "delete"];
    let bind = json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["bind"]});
    let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": verbs});
    stage.account(ACCOUNT, &json!([all, bind])).await;
    let text = fs::read_to_string(repository().join("examples/golden-path/template.yaml")).unwrap();
    let template: Value = serde_saphyr::from_str(&text).unwrap();
    let parameters = json!({"parameters": template["spec"]["parameters"]});
    stage
        .template_with("web", template["spec"]["resources"].clone(), parameters)
        .await;
}

async fn group(stage: &Stage<'_>, name: &str) {
    let subjects = json!([{"kind": "Group", "name": format!("oidc:{name}")}]);
    stage
        .put(stage.catalog("Group", name, json!({"type": "team", "subjects": subjects})))
        .await;
    stage.ready("Group", name).await;
}

/// All that the instance owns, by kind and place.
async fn owned(stage: &Stage<'_>) -> BTreeMap<String, Value> {
    let component = stage.get(("Component", &stage.home, "orders")).await.unwrap();
    let mut found = BTreeMap::new();
    for entry in component["status"]["inventory"].as_array().unwrap() {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let kind = GroupVersionKind::gvk(text("group"), text("version"), text("kind"));
        let kind = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> = match text("namespace") {
            "" => Api::all_with(stage.client.clone(), &kind),
            namespace => Api::namespaced_with(stage.client.clone(), namespace, &kind),
        };
        // What is made once may have been taken away by whoever runs it.
        if let Some(object) = api.get_opt(text("name")).await.unwrap() {
            let place = format!("{} {}/{}", kind.kind, text("namespace"), text("name"));
            found.insert(place, serde_json::to_value(object).unwrap());
        }
    }
    found
}

/// An object without what a change of the owner may move.
fn rest(object: &Value) -> Value {
    let mut rest = object.clone();
    let metadata = rest["metadata"].as_object_mut().unwrap();
    metadata.remove("resourceVersion");
    metadata.remove("managedFields");
    for (place, name) in [("labels", "owner"), ("annotations", "landfall.dev/intent")] {
        if let Some(marks) = metadata.get_mut(place).and_then(Value::as_object_mut) {
            marks.remove(name);
        }
    }
    if rest["kind"] == "RoleBinding" {
        rest.as_object_mut().unwrap().remove("subjects");
    }
    rest
}

#[tokio::test]
async fn a_change_of_the_owner_moves_access_and_labels_and_nothing_else() {
    let stage = Stage::new("owner").await;
    golden_path(&stage).await;
    group(&stage, "checkout").await;
    group(&stage, "logistics").await;
    let template = json!({"ref": "web", "parameters": {"repository": "harbour-goods/orders", "environments": {"dev": {}, "prod": {"replicas": 3}}}});
    stage
        .component_with("orders", json!({"owner": "group:checkout", "template": template}))
        .await;
    stage.ready("Component", "orders").await;
    stage.looked_at("Component", "orders").await;
    let before = owned(&stage).await;
    assert!(before.len() > 10, "{:?}", before.keys());
    let mark = stage.cluster.audit().mark().await;
    let place = ("Component", stage.home.as_str(), "orders");
    stage.edit(place, json!({"spec": {"owner": "group:logistics"}})).await;
    let ready = |object: &Value| is_current(object) && condition(object, "Ready").status == "True";
    stage.becomes(place, ready).await;
    stage.looked_at("Component", "orders").await;
    let after = owned(&stage).await;
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    let mut moved = (0, 0);
    for (name, was) in &before {
        let is = &after[name];
        assert_eq!(rest(was), rest(is), "{name}");
        if was["kind"] == "RoleBinding" && was["subjects"] != is["subjects"] {
            assert_eq!(was["subjects"][0]["name"], "oidc:checkout");
            assert_eq!(is["subjects"][0]["name"], "oidc:logistics");
            moved.0 += 1;
        } else if was["metadata"]["labels"]["owner"] != is["metadata"]["labels"]["owner"] {
            assert_eq!(is["metadata"]["labels"]["owner"], "logistics");
            moved.1 += 1;
        } else {
            assert_eq!(was, is, "{name} is not the owner's affair");
        }
    }
    assert!(moved.0 > 0 && moved.1 > 0, "{moved:?}");
    let asked = stage.cluster.audit().since(mark).await;
    assert_eq!(deletes(&asked, &stage.home), Vec::<String>::new());
}
