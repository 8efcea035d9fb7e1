//! What the new one's plan does not have: it stays with the old one, and goes only on a word.

use serde_json::{Value, json};

use super::{HAND_OVER_TO, Move, inside, merged, owners, resources, uids};
use crate::support::{condition, config_map, namespace_manifest, resource, uid, with};

/// The hash that a message asks to be put on the instance.
fn token(message: &str) -> String {
    let (_, rest) = message.split_once("landfall.dev/confirm-deletion=").unwrap();
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn with_more() -> Value {
    let mut all = resources();
    let more = inside(config_map("more-${{ entity.metadata.name }}", json!({"a": "b"})));
    all.as_array_mut().unwrap().push(resource("more", more));
    all
}

#[tokio::test]
async fn what_only_the_old_plan_has_stays_with_it_and_is_deleted_only_when_that_is_confirmed() {
    let moving = Move::of(with_more()).await;
    let stage = &moving.stage;
    let before = moving.objects().await;
    let left = ("ConfigMap", moving.space.as_str(), "more-orders");
    moving.agree().await;
    stage.put(moving.successor(json!({}))).await;
    moving.arrived().await;
    let said = moving.says(moving.old_place(), "HandedOver").await;
    assert!(
        said.contains(&format!(
            "left here, since that one's template does not make it: ConfigMap {}/more-orders",
            moving.space
        )),
        "{said}"
    );
    stage.delete(moving.old_place()).await;
    let said = moving.says(moving.old_place(), "DeletionNotConfirmed").await;
    assert!(
        said.contains(&format!(
            "to be deleted: ConfigMap {}/more-orders; let go of it",
            moving.space
        )),
        "{said}"
    );
    stage.looked_at("Component", "orders").await;
    assert!(stage.get(left).await.is_some());
    let confirm = json!({"metadata": {"annotations": {"landfall.dev/confirm-deletion": token(&said)}}});
    stage.edit(moving.old_place(), confirm).await;
    stage.vanishes(moving.old_place()).await;
    assert_eq!(stage.get(left).await, None);
    let new = stage.looked_at_in(&moving.other, "Component", "sales").await;
    let after = moving.objects().await;
    assert_eq!(uids(&after), uids(&before), "nothing of the new one's went with it");
    assert!(owners(&after).iter().all(|owner| *owner == uid(&new)));
}

/// A template whose names are made of the entity's: nothing is in both plans.
#[tokio::test]
async fn where_names_are_made_of_the_entitys_nothing_passes_and_nothing_goes_unasked() {
    let named = with(
        namespace_manifest(""),
        json!({"metadata": {"name": "${{ entity.metadata.namespace }}-${{ entity.metadata.name }}"}}),
    );
    let settings = inside(config_map("settings", json!({"a": "b"})));
    let moving = Move::of(json!([resource("ns", named), resource("settings", settings)])).await;
    let stage = &moving.stage;
    moving.agree().await;
    stage.delete(moving.old_place()).await;
    stage.put(moving.successor(json!({}))).await;
    moving.arrived().await;
    let said = moving.says(moving.old_place(), "DeletionNotConfirmed").await;
    let namespace = format!("{}-orders", stage.home);
    assert!(
        said.contains(&format!(
            "to be deleted: Namespace {namespace}, ConfigMap {namespace}/settings"
        )),
        "{said}"
    );
    stage.looked_at("Component", "orders").await;
    let kept = stage.get(("Namespace", "", &namespace)).await.unwrap();
    assert_eq!(kept["metadata"]["deletionTimestamp"], Value::Null);
    // The other way out: all of it stays, and is nobody's.
    let release = json!({"metadata": {"annotations": {"landfall.dev/release": "yes"}}});
    stage.edit(moving.old_place(), release).await;
    stage.vanishes(moving.old_place()).await;
    let kept = stage.get(("Namespace", "", &namespace)).await.unwrap();
    assert_eq!(kept["metadata"]["labels"]["landfall.dev/instance-uid"], Value::Null);
    assert!(stage.get(("ConfigMap", &namespace, "settings")).await.is_some());
}

/// A namespace that only the old one's plan has, with something in it that has passed, never goes.
#[tokio::test]
async fn a_namespace_in_which_something_has_passed_is_never_deleted_with_the_rest() {
    let moving = Move::of(resources()).await;
    let stage = &moving.stage;
    let settings = merged(
        config_map("settings", json!({"of": "the new one"})),
        json!({"metadata": {"namespace": "${{ parameters.space }}"}}),
    );
    let more = json!({
        "allowedNamespaces": {"from": "All"}, "targetNamespaces": [moving.space],
        "parameters": {"properties": {"space": {"type": "string"}}},
    });
    stage
        .template_with("guest", json!([resource("settings", settings)]), more)
        .await;
    let before = moving.objects().await;
    moving.agree().await;
    stage.delete(moving.old_place()).await;
    let guest = json!({"ref": format!("{}/guest", stage.home)});
    stage.put(moving.successor(guest)).await;
    let new = moving.arrived().await;
    let said = moving.says(moving.old_place(), "DeletionNotConfirmed").await;
    assert!(
        said.contains("which is to be deleted: ResourceQuota "),
        "the namespace is not: {said}"
    );
    let confirm = json!({"metadata": {"annotations": {"landfall.dev/confirm-deletion": token(&said)}}});
    stage.edit(moving.old_place(), confirm).await;
    stage.vanishes(moving.old_place()).await;
    assert_eq!(stage.get(("ResourceQuota", &moving.space, "limits")).await, None);
    let namespace = stage.get(("Namespace", "", &moving.space)).await.unwrap();
    assert_eq!(namespace["metadata"]["deletionTimestamp"], Value::Null);
    let settings = stage.get(("ConfigMap", &moving.space, "settings")).await.unwrap();
    assert_eq!(uid(&settings), uid(&before[2]));
    assert_eq!(owners(&[settings]), [uid(&new)]);
}

#[tokio::test]
async fn the_wait_of_an_old_one_ends_as_its_message_says() {
    let moving = Move::of(resources()).await;
    let stage = &moving.stage;
    moving.agree().await;
    stage.delete(moving.old_place()).await;
    moving.says(moving.old_place(), "Deleting").await;
    assert_eq!(moving.objects().await.len(), 4);
    let back = json!({"metadata": {"annotations": {HAND_OVER_TO: null}}});
    stage.edit(moving.old_place(), back).await;
    stage.vanishes(moving.old_place()).await;
    stage.vanishes(("Namespace", "", &moving.space)).await;
}

/// The old one's own namespace is deleted: what it has elsewhere waits for the new one, too.
#[tokio::test]
async fn an_old_one_whose_namespace_is_deleted_hands_over_all_the_same() {
    let moving = Move::of(resources()).await;
    let stage = &moving.stage;
    let before = moving.objects().await;
    // The template and its account live elsewhere, and stay.
    let home = stage.cluster.namespace("leaving").await;
    let space = format!("{}-b", moving.space);
    let template = moving.template(json!({"parameters": {"space": space}}));
    let spec =
        json!({"type": "service", "lifecycle": "production", "owner": "group:shop/checkout", "template": template});
    let place = ("Component", home.as_str(), "orders");
    stage
        .put(json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
            "metadata": {"name": "orders", "namespace": home, "annotations": {HAND_OVER_TO: moving.heir()}}, "spec": spec,
        }))
        .await;
    stage
        .becomes(place, |object| condition(object, "Ready").status == "True")
        .await;
    let inside = stage.get(("ConfigMap", &space, "settings")).await.unwrap();
    stage.delete(("Namespace", "", &home)).await;
    moving.says(place, "Deleting").await;
    let takes = json!({"parameters": {"space": space}, "takeOver": {"ref": format!("component:{home}/orders")}});
    stage.put(moving.successor(takes)).await;
    moving.arrived().await;
    stage.vanishes(("Namespace", "", &home)).await;
    let after = stage.get(("ConfigMap", &space, "settings")).await.unwrap();
    assert_eq!(uid(&after), uid(&inside));
    assert_eq!(moving.objects().await, before, "nobody else is concerned");
}

/// A namespace that has passed, with something in it that has not: the new one does not take it along unasked.
#[tokio::test]
async fn what_stayed_with_the_old_one_does_not_go_with_the_new_one_unasked() {
    let moving = Move::of(with_more()).await;
    let stage = &moving.stage;
    let left = ("ConfigMap", moving.space.as_str(), "more-orders");
    moving.agree().await;
    stage.put(moving.successor(json!({}))).await;
    moving.arrived().await;
    moving.says(moving.old_place(), "HandedOver").await;
    stage.delete(moving.new_place()).await;
    let said = moving.says(moving.new_place(), "DeletionNotConfirmed").await;
    assert!(
        said.contains(&format!(
            "ConfigMap {}/more-orders of component:{}/orders",
            moving.space, stage.home
        )),
        "{said}"
    );
    assert!(stage.get(left).await.is_some());
    let confirm = json!({"metadata": {"annotations": {"landfall.dev/confirm-deletion": token(&said)}}});
    stage.edit(moving.new_place(), confirm).await;
    stage.vanishes(moving.new_place()).await;
    assert_eq!(stage.get(left).await, None);
}

/// What is never to be deleted keeps its namespace, whoever's that is by now.
#[tokio::test]
async fn what_the_old_one_retains_keeps_the_namespace_that_has_passed() {
    let mut all = with_more();
    let retained = all.as_array_mut().unwrap().last_mut().unwrap();
    retained["deletionPolicy"] = json!("Retain");
    let moving = Move::of(all).await;
    let stage = &moving.stage;
    moving.agree().await;
    stage.put(moving.successor(json!({}))).await;
    moving.arrived().await;
    stage.delete(moving.old_place()).await;
    stage.vanishes(moving.old_place()).await;
    stage.delete(moving.new_place()).await;
    stage.vanishes(moving.new_place()).await;
    assert!(stage.get(("ConfigMap", &moving.space, "more-orders")).await.is_some());
    let namespace = stage.get(("Namespace", "", &moving.space)).await.unwrap();
    assert_eq!(namespace["metadata"]["deletionTimestamp"], Value::Null);
}
