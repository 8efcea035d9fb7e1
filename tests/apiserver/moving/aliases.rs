//! Refs that an entity had before go on meaning it, and say so.

use std::process::Command;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, parameters, resource, with};

/// What `ReferencesResolved` says, once it has this reason.
async fn resolved(stage: &Stage<'_>, name: &str, reason: &str) -> String {
    let holds = |object: &Value| condition(object, "ReferencesResolved").reason == reason;
    let found = stage.becomes(("Component", &stage.home, name), holds).await;
    let said = condition(&found, "ReferencesResolved");
    format!("{}: {}", said.status, said.message.replace(&stage.home, "home"))
}

/// Waits until a relation of an entity leads to these and to nothing else.
async fn related(stage: &Stage<'_>, name: &str, relation: &str, to: &[&str]) {
    let to: Vec<String> = to
        .iter()
        .map(|name| format!("component:{}/{name}", stage.home))
        .collect();
    let holds = |object: &Value| {
        let relations = object["status"]["relations"].as_array().cloned().unwrap_or_default();
        let found = relations.iter().find(|found| found["type"] == relation);
        found.map_or(to.is_empty(), |found| {
            found["sample"] == json!(to) && found["count"] == to.len()
        })
    };
    stage.becomes(("Component", &stage.home, name), holds).await;
}

async fn component(stage: &Stage<'_>, name: &str, more: Value) {
    stage
        .component_with(name, with(json!({"owner": "user:nobody"}), more))
        .await;
}

#[tokio::test]
async fn a_ref_of_before_means_the_entity_and_says_what_to_write_instead() {
    let stage = Stage::new("alias").await;
    let alias = format!("component:{}/old", stage.home);
    stage.put(stage.catalog("User", "nobody", json!({}))).await;
    component(&stage, "user", json!({"dependsOn": ["component:old"]})).await;
    assert!(
        resolved(&stage, "user", "ReferenceNotFound")
            .await
            .starts_with("False: ")
    );
    component(&stage, "new", json!({"aliases": [alias]})).await;
    assert_eq!(
        resolved(&stage, "user", "ResolvedByAlias").await,
        "True: every ref in the spec resolves; dependsOn[0]: component:home/old is an alias of component:home/new: write that instead"
    );
    related(&stage, "user", "dependsOn", &["new"]).await;
    related(&stage, "new", "dependencyOf", &["user"]).await;

    // An entity of that ref comes first, as long as there is one.
    component(&stage, "old", json!({})).await;
    assert_eq!(
        resolved(&stage, "user", "Resolved").await,
        "True: every ref in the spec resolves"
    );
    related(&stage, "user", "dependsOn", &["old"]).await;
    related(&stage, "new", "dependencyOf", &[]).await;
    let held = |object: &Value| {
        condition(object, "ReferencesResolved")
            .message
            .contains("until it is gone")
    };
    stage.becomes(("Component", &stage.home, "new"), held).await;
    stage.delete(("Component", &stage.home, "old")).await;
    resolved(&stage, "user", "ResolvedByAlias").await;
    related(&stage, "user", "dependsOn", &["new"]).await;

    // Of two the older has it, and the younger says so.
    component(&stage, "younger", json!({"aliases": [alias]})).await;
    // Seconds tell entities apart by age; within one, their UIDs do.
    let conflict = |object: &Value| condition(object, "ReferencesResolved").reason == "AliasConflict";
    let mut told = Vec::new();
    for name in ["new", "younger"] {
        let object = stage.looked_at("Component", name).await;
        told.extend(conflict(&object).then(|| condition(&object, "ReferencesResolved").message));
        assert_eq!(condition(&object, "Ready").status, "True");
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("aliases[0]: ") && told[0].contains("is an alias of component:"),
        "{told:?}"
    );
    stage.delete(("Component", &stage.home, "younger")).await;

    // A command that is asked for the old one tells of the new one.
    let why = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["why", &alias])
        .env("KUBECONFIG", stage.cluster.kubeconfig())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&why.stdout).into_owned() + &String::from_utf8_lossy(&why.stderr);
    assert!(text.contains(&format!("component:{}/new", stage.home)), "{text}");
    assert_eq!(why.status.code(), Some(0), "{text}");

    stage
        .edit(("Component", &stage.home, "new"), json!({"spec": {"aliases": null}}))
        .await;
    resolved(&stage, "user", "ReferenceNotFound").await;
}

#[tokio::test]
async fn what_is_no_ref_of_before_is_refused_or_told() {
    let stage = Stage::new("noalias").await;
    stage.put(stage.catalog("User", "nobody", json!({}))).await;
    for (alias, told) in [
        (
            "old",
            "alias old does not say its kind, which has no default here; write kind:[namespace/]name, for example component:shop/orders",
        ),
        ("component:", "alias component: is not an entity ref"),
    ] {
        let spec = json!({"type": "service", "lifecycle": "production", "owner": "user:nobody", "aliases": [alias]});
        let object = stage.catalog("Component", "new", spec);
        let api = stage.api("Component", &stage.home);
        let refused = api
            .patch("new", &PatchParams::apply("tests").force(), &Patch::Apply(&object))
            .await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(told), "{refused}");
    }
    component(&stage, "new", json!({"aliases": ["api:old"]})).await;
    assert_eq!(
        resolved(&stage, "new", "InvalidReference").await,
        "False: aliases[0]: \"api:old\" is of kind api, expected component, which is its own"
    );
}

/// What refs decide on stays within a namespace: whoever writes elsewhere cannot say what they mean.
#[tokio::test]
async fn an_owner_that_is_renamed_keeps_its_access_and_nobody_elsewhere_gets_it() {
    let stage = Stage::new("heir").await;
    let elsewhere = stage.cluster.namespace("elsewhere").await;
    let owner = config_map("owner", json!({"owner": "${{ owner.ref }} ${{ owner.exists }}"}));
    stage
        .template_with("app", json!([resource("owner", owner)]), parameters(json!({})))
        .await;
    let heir = |namespace: &str, name: &str| {
        json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Group", "metadata": {"name": name, "namespace": namespace},
            "spec": {"type": "team", "aliases": [format!("group:{}/team", stage.home)]},
        })
    };
    stage.put(heir(&elsewhere, "thieves")).await;
    stage
        .component_with("orders", json!({"owner": "group:team", "template": {"ref": "app"}}))
        .await;
    stage.ready("Component", "orders").await;
    let place = ("ConfigMap", stage.home.as_str(), "owner");
    let told = |object: &Value| object["data"]["owner"].as_str().unwrap().replace(&stage.home, "home");
    resolved(&stage, "orders", "ResolvedByAlias").await;
    stage.looked_at("Component", "orders").await;
    assert_eq!(told(&stage.get(place).await.unwrap()), "group:home/team false");
    stage.delete(("Group", &elsewhere, "thieves")).await;
    stage.put(heir(&stage.home, "new-team")).await;
    stage
        .becomes(place, |object| told(object) == "group:home/new-team true")
        .await;
}
