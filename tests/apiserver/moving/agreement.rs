//! Neither one alone moves anything, and nobody gets what the other's writer has not agreed to.

use serde_json::{Value, json};

use super::{HAND_OVER_TO, Move, merged, owners, resources, uids};
use crate::support::{Stage, condition, uid};

#[tokio::test]
async fn whoever_writes_the_new_one_alone_gets_nothing() {
    let moving = Move::of(resources()).await;
    let stage = &moving.stage;
    let before = moving.objects().await;
    stage.put(moving.successor(json!({}))).await;
    let said = moving.says(moving.new_place(), "WaitingForHandOver").await;
    assert_eq!(
        said,
        format!(
            "spec.template.takeOver.ref: {} does not hand over to this one; until then nothing passes, and nothing is made; take spec.template.takeOver out, or agree to it there: kubectl annotate -n {} --overwrite components.catalog.landfall.dev orders landfall.dev/hand-over-to={}",
            moving.old(),
            stage.home,
            moving.heir()
        )
    );
    // A word to somebody else is none to this one.
    let mark = json!({"metadata": {"annotations": {HAND_OVER_TO: format!("component:{}/other", moving.other)}}});
    stage.edit(moving.old_place(), mark).await;
    stage.looked_at("Component", "orders").await;
    let new = stage.looked_at_in(&moving.other, "Component", "sales").await;
    assert_eq!(condition(&new, "Ready").reason, "WaitingForHandOver");
    assert_eq!(new["status"]["inventory"], Value::Null);
    assert_eq!(moving.objects().await, before);
    // Nor does its going take anything.
    stage.delete(moving.new_place()).await;
    stage.vanishes(moving.new_place()).await;
    let old = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&old, "Ready").status, "True");
    assert_eq!(moving.objects().await, before);
}

#[tokio::test]
async fn whoever_writes_the_old_one_alone_gives_nothing_and_goes_on() {
    let moving = Move::of(resources()).await;
    let stage = &moving.stage;
    // One that is there, and asks for nothing.
    let mut successor = moving.successor(json!({"parameters": {"space": format!("{}-else", moving.space)}}));
    successor["spec"]["template"]
        .as_object_mut()
        .unwrap()
        .remove("takeOver");
    stage.put(successor).await;
    moving.arrived().await;
    moving.agree().await;
    let waits = |object: &Value| condition(object, "Moving").reason == "WaitingForTakeOver";
    let old = stage.becomes(moving.old_place(), waits).await;
    let said = condition(&old, "Moving").message;
    assert!(
        said.contains("does not ask for it; set spec.template.takeOver: {ref:"),
        "{said}"
    );
    // It is kept as before.
    let settings = ("ConfigMap", moving.space.as_str(), "settings");
    stage.edit(settings, json!({"data": {"of": "somebody"}})).await;
    let of = format!("{}/orders", stage.home);
    stage
        .becomes(settings, |object| object["data"]["of"] == of.as_str())
        .await;
    let objects = moving.objects().await;
    assert!(owners(&objects).iter().all(|owner| *owner == uid(&old)));
    let new = stage.looked_at_in(&moving.other, "Component", "sales").await;
    assert_eq!(condition(&new, "Ready").status, "True");
}

/// A third one that forges what it can: marks on itself, and the name of the old one.
#[tokio::test]
async fn what_was_agreed_with_one_gives_nothing_to_another() {
    let moving = Move::of(resources()).await;
    let stage = &moving.stage;
    let before = moving.objects().await;
    moving.agree().await;
    let mut thief = moving.successor(json!({}));
    thief["metadata"]["name"] = json!("thief");
    thief["metadata"]["annotations"] = json!({HAND_OVER_TO: moving.heir()});
    stage.put(thief).await;
    let place = ("Component", moving.other.as_str(), "thief");
    moving.says(place, "WaitingForHandOver").await;
    stage.looked_at_in(&moving.other, "Component", "thief").await;
    assert_eq!(moving.objects().await, before);
    // The one that was meant gets all of it all the same.
    stage.put(moving.successor(json!({}))).await;
    let new = moving.arrived().await;
    let after = moving.objects().await;
    assert_eq!(uids(&after), uids(&before));
    assert!(owners(&after).iter().all(|owner| *owner == uid(&new)));
    moving.says(place, "WaitingForHandOver").await;
}

#[tokio::test]
async fn the_new_ones_account_has_to_be_able_to_write_what_it_takes() {
    let moving = Move::of(resources()).await;
    let stage = &moving.stage;
    let before = moving.objects().await;
    let look = ["get", "list", "watch"];
    stage
        .account(
            "reader",
            &json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": look}]),
        )
        .await;
    let more = json!({
        "serviceAccountName": "reader", "allowedNamespaces": {"from": "All"},
        "parameters": {"properties": {"space": {"type": "string"}}},
    });
    stage.template_with("poor", resources(), more).await;
    moving.agree().await;
    let poor = json!({"ref": format!("{}/poor", stage.home)});
    stage.put(moving.successor(poor)).await;
    let said = moving.says(moving.new_place(), "Forbidden").await;
    assert!(said.contains("/reader may not patch"), "{said}");
    let waits = moving.says(moving.old_place(), "HandingOver").await;
    assert!(waits.contains(&moving.heir()), "{waits}");
    stage.looked_at_in(&moving.other, "Component", "sales").await;
    let after = moving.objects().await;
    assert_eq!(after, before);
    // Whoever agreed takes the word back, and all is as it was.
    let back = json!({"metadata": {"annotations": {HAND_OVER_TO: null}}});
    stage.edit(moving.old_place(), back).await;
    let old = stage.ready("Component", "orders").await;
    assert_eq!(old["status"]["handOver"], Value::Null);
    assert_eq!(old["status"]["inventory"].as_array().unwrap().len(), 4);
    assert_eq!(moving.objects().await, before);
}

#[tokio::test]
async fn a_word_that_names_nobody_is_told_and_deletes_nothing() {
    let moving = Move::of(resources()).await;
    let stage = &moving.stage;
    let before = moving.objects().await;
    for (word, told) in [
        ("sales", "\"sales\" does not say its kind; write kind:[namespace/]name"),
        (
            "group:shop/sales",
            "group:shop/sales is of kind group, expected component, resource or system",
        ),
        ("component:orders", "is this one itself"),
        ("", "has an empty name"),
        ("no such thing", "it is not an entity ref"),
    ] {
        let mark = json!({"metadata": {"annotations": {HAND_OVER_TO: word}}});
        stage.edit(moving.old_place(), mark).await;
        let holds = |object: &Value| condition(object, "Moving").message.contains(told);
        let old = stage.becomes(moving.old_place(), holds).await;
        assert_eq!(condition(&old, "Ready").status, "True", "{word}");
    }
    stage.delete(moving.old_place()).await;
    let said = moving.says(moving.old_place(), "Deleting").await;
    assert!(
        said.contains("the annotation landfall.dev/hand-over-to names no instance: it is not an entity ref"),
        "{said}"
    );
    stage.looked_at("Component", "orders").await;
    assert_eq!(moving.objects().await, before);
    let own = json!({"takeOver": {"ref": moving.heir()}});
    let message = refused(
        stage,
        merged(moving.successor(json!({})), json!({"spec": {"template": own}})),
    )
    .await;
    assert!(message.contains("is this one itself"), "{message}");
}

/// What is said of an entity that is stalled by its own spec.
async fn refused(stage: &Stage<'_>, object: Value) -> String {
    let (namespace, name) = (
        object["metadata"]["namespace"].clone(),
        object["metadata"]["name"].clone(),
    );
    stage.put(object).await;
    let place = ("Component", namespace.as_str().unwrap(), name.as_str().unwrap());
    let stalled = |object: &Value| condition(object, "Ready").reason == "InvalidSpec";
    condition(&stage.becomes(place, stalled).await, "Ready").message
}
