//! Marks and status that someone else has written: nothing that is not Landfall's is changed or deleted by them, and what
//! is said leads out of it.

use insta::assert_snapshot;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{GOOD, component, good_template, neighbour_works, template_with};
use crate::support::conformance::condition;
use crate::support::{ALL, Case, eventually};

/// Writes an instance's status, as someone could who may.
async fn forge(case: &Case<'_>, status: &Value) {
    let patch = json!({"status": status});
    let api = case.own("Component");
    api.patch_status("orders", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

/// What is said by an instance that is being deleted.
async fn held(case: &Case<'_>) -> String {
    let instance = case.until("Component", "orders", "False", "NameConflict").await;
    let ready = condition(&instance, "Ready").unwrap();
    case.masked(ready["message"].as_str().unwrap())
}

/// The instance is deleted and goes, or is let go of where it says that it cannot.
async fn deleted(case: &Case<'_>, released: bool) {
    let api = case.own("Component");
    if released {
        let release = json!({"metadata": {"annotations": {"landfall.dev/release": "yes"}}});
        api.patch("orders", &PatchParams::default(), &Patch::Merge(&release))
            .await
            .unwrap();
    } else {
        api.delete("orders", &DeleteParams::default()).await.unwrap();
    }
    eventually("the instance to be gone", async || {
        match api.get_opt("orders").await.unwrap() {
            None => Ok(()),
            Some(found) => Err(found.data["status"]["conditions"].to_string()),
        }
    })
    .await;
}

/// The inventory of the Ready instance.
async fn inventory(case: &Case<'_>) -> Vec<Value> {
    let instance = case.get("Component", "orders").await;
    instance["status"]["inventory"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_inventory_that_was_emptied() {
    let case = Case::new().await;
    let kinds = ["namespaces", "configmaps", "persistentvolumeclaims"];
    case.grant(&json!([{"apiGroups": [""], "resources": kinds, "verbs": ALL}]))
        .await;
    case.put(&good_template()).await;
    case.put(&component("{tier: gold}")).await;
    case.ready("Component", "orders").await;
    let owned = inventory(&case).await;
    let before = case.before(&["TEAM-orders"]).await;
    forge(&case, &json!({"inventory": null})).await;
    let said = case.refused("Component", "orders", "NameConflict").await;
    assert_snapshot!(said, @r#"Stalled, NameConflict: Namespace shop-orders bears the marks of this instance, but status.inventory does not know it: the marks were copied, or the inventory was changed by hand; if it is this component's, say so: kubectl annotate namespace shop-orders landfall.dev/adopt-by=component:shop/orders"#);
    case.mark_processed("Component", "orders", "again").await;
    case.refused("Component", "orders", "NameConflict").await;
    case.assert_unchanged(&before).await;
    case.conforms().await;
    neighbour_works(&case).await;
    // The commands out of the messages, one after another, until nothing is in the way.
    for round in ["first", "second"] {
        let said = case.refused("Component", "orders", "NameConflict").await;
        let command = said
            .split("kubectl ")
            .nth(1)
            .unwrap()
            .split([';', '('])
            .next()
            .unwrap()
            .trim();
        let command = command.replace("shop", &case.team);
        let output = case.cluster.kubectl(&command.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "{command}: {output:?}");
        case.mark_processed("Component", "orders", round).await;
    }
    case.ready("Component", "orders").await;
    let uids =
        |inventory: Vec<Value>| -> Vec<Value> { inventory.into_iter().map(|entry| entry["uid"].clone()).collect() };
    assert_eq!(
        uids(inventory(&case).await),
        uids(owned),
        "they are the objects that it had"
    );
    deleted(&case, false).await;
    assert!(
        case.api("v1", "Namespace", "")
            .get_opt(&case.named("TEAM-orders"))
            .await
            .unwrap()
            .is_none()
    );
}

/// The name and the UID of an object that others made, where the plan has one of that name: it is not taken over.
#[tokio::test]
async fn the_uid_of_an_object_of_others_that_is_in_the_way() {
    let case = Case::new().await;
    case.put("{apiVersion: v1, kind: ConfigMap, metadata: {name: thing, namespace: TEAM}, data: {theirs: 'yes'}}")
        .await;
    case.put(&template_with(GOOD)).await;
    case.put(&component("{}")).await;
    case.refused("Component", "orders", "NameConflict").await;
    let theirs = case.api("v1", "ConfigMap", &case.team).get("thing").await.unwrap();
    let before = case.before(&[]).await;
    let forged: Vec<Value> = inventory(&case)
        .await
        .into_iter()
        .map(|mut entry| {
            if entry["name"] == "thing" {
                entry["uid"] = json!(theirs.metadata.uid);
            }
            entry
        })
        .collect();
    forge(&case, &json!({"inventory": forged})).await;
    case.mark_processed("Component", "orders", "forged").await;
    let said = case.refused("Component", "orders", "NameConflict").await;
    assert_snapshot!(said, @r#"Stalled, NameConflict: ConfigMap shop/thing is in status.inventory, but Landfall has never written it, or nothing on it says so any more; if it is this component's, say so: kubectl annotate -n shop configmaps thing landfall.dev/adopt-by=component:shop/orders"#);
    case.assert_unchanged(&before).await;
    case.conforms().await;
    neighbour_works(&case).await;
    // Nor is it deleted; the way out is said.
    case.own("Component")
        .delete("orders", &DeleteParams::default())
        .await
        .unwrap();
    let said = eventually("the deletion to be held up", async || {
        let said = held(&case).await;
        said.starts_with("deleting").then_some(said.clone()).ok_or(said)
    })
    .await;
    assert_snapshot!(said, @r#"deleting (2 objects left: Namespace shop-orders, ConfigMap shop/thing): ConfigMap shop/thing is in status.inventory, but nothing on it says that Landfall has written it, so it is not deleted; delete it yourself, or, if it is not this component's, take its entry out: kubectl edit --subresource=status -n shop components.catalog.landfall.dev orders"#);
    deleted(&case, true).await;
    let now = case.api("v1", "ConfigMap", &case.team).get("thing").await.unwrap();
    assert_eq!(now.metadata.resource_version, theirs.metadata.resource_version);
}

/// An object that others made, or copied with all its marks from one of ours, put into the inventory: it is not deleted when it
/// falls out of the plan, which it never was in, nor with the instance.
#[tokio::test]
async fn an_object_of_others_that_was_put_into_the_inventory() {
    let mut all = Vec::new();
    for copied in [false, true] {
        let case = Case::new().await;
        case.put(&template_with(GOOD)).await;
        case.put(&component("{}")).await;
        case.ready("Component", "orders").await;
        let maps = case.api("v1", "ConfigMap", &case.team);
        let ours = maps.get("thing").await.unwrap();
        let mut theirs = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": case.team}, "data": {"theirs": "yes"},
        });
        if copied {
            theirs["metadata"]["labels"] = json!(ours.metadata.labels);
            theirs["metadata"]["annotations"] = json!(ours.metadata.annotations);
        }
        let theirs = case.put_object(&theirs).await;
        let before = case.before(&[]).await;
        let mut forged = inventory(&case).await;
        let mut entry = forged.iter().find(|entry| entry["name"] == "thing").unwrap().clone();
        entry["name"] = json!("theirs");
        entry["uid"] = theirs["metadata"]["uid"].clone();
        entry["order"] = json!(9);
        forged.push(entry);
        forge(&case, &json!({"inventory": forged})).await;
        let said = case.refused("Component", "orders", "NameConflict").await;
        all.push(said);
        case.mark_processed("Component", "orders", "forged").await;
        case.refused("Component", "orders", "NameConflict").await;
        case.assert_unchanged(&before).await;
        case.conforms().await;
        neighbour_works(&case).await;
        // Taken out of it again, as the message says, all is well; put in again, the instance is deleted.
        let forged = inventory(&case).await;
        let own: Vec<&Value> = forged.iter().filter(|entry| entry["name"] != "theirs").collect();
        forge(&case, &json!({"inventory": own})).await;
        case.ready("Component", "orders").await;
        case.conforms().await;
        forge(&case, &json!({"inventory": forged})).await;
        case.refused("Component", "orders", "NameConflict").await;
        case.own("Component")
            .delete("orders", &DeleteParams::default())
            .await
            .unwrap();
        eventually("the deletion to be held up", async || {
            let said = held(&case).await;
            said.starts_with("deleting").then_some(()).ok_or(said)
        })
        .await;
        deleted(&case, true).await;
        let now = serde_json::to_value(maps.get("theirs").await.unwrap()).unwrap();
        assert_eq!(now["data"], json!({"theirs": "yes"}));
        if !copied {
            assert_eq!(
                now["metadata"]["resourceVersion"],
                theirs["metadata"]["resourceVersion"]
            );
        }
    }
    assert_snapshot!(all.join("\n"), @r#"Stalled, NameConflict: ConfigMap shop/theirs is in status.inventory, but nothing on it says that Landfall has written it, so it is not deleted; delete it yourself, or, if it is not this component's, take its entry out: kubectl edit --subresource=status -n shop components.catalog.landfall.dev orders
Stalled, NameConflict: ConfigMap shop/theirs is in status.inventory, but nothing on it says that Landfall has written it, so it is not deleted; delete it yourself, or, if it is not this component's, take its entry out: kubectl edit --subresource=status -n shop components.catalog.landfall.dev orders"#);
}

/// A wrong UID for an object of ours, and hashes that say that all is well: the object is known again by its marks.
#[tokio::test]
async fn a_uid_that_nothing_has() {
    let case = Case::new().await;
    case.put(&template_with(GOOD)).await;
    case.put(&component("{}")).await;
    case.ready("Component", "orders").await;
    let maps = case.api("v1", "ConfigMap", &case.team);
    let before = maps.get("thing").await.unwrap().metadata.uid;
    let mut forged = inventory(&case).await;
    for entry in &mut forged {
        entry["uid"] = json!("00000000-0000-4000-8000-000000000000");
    }
    forge(&case, &json!({"inventory": forged})).await;
    case.mark_processed("Component", "orders", "forged").await;
    case.ready("Component", "orders").await;
    assert_eq!(maps.get("thing").await.unwrap().metadata.uid, before);
    assert!(inventory(&case).await.iter().any(|entry| entry["uid"] == json!(before)));
    case.conforms().await;
}

/// Conditions that say what is not so are put right at once.
#[tokio::test]
async fn conditions_that_lie() {
    let case = Case::new().await;
    case.put(&template_with(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: '${{ parameters.value }}'}}",
    ))
    .await;
    case.put(&component("{value: Not_A_Name}")).await;
    let said = case.refused("Component", "orders", "RenderFailed").await;
    let lie = json!([{
        "type": "Ready", "status": "True", "reason": "Ready", "message": "all is well",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
    }]);
    forge(&case, &json!({"conditions": lie})).await;
    assert_eq!(case.refused("Component", "orders", "RenderFailed").await, said);
    case.conforms().await;
    case.put(&component("{value: a-name}")).await;
    case.ready("Component", "orders").await;
}
