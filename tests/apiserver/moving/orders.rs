//! In whatever order the old one goes and the new one comes.

use serde_json::{Value, json};

use super::{HAND_OVER_TO, Move, deletes, owners, resources, uids};
use crate::support::{condition, uid};

#[tokio::test]
async fn a_component_moves_to_another_namespace_and_name_and_every_object_keeps_its_uid() {
    let moving = Move::of(resources()).await;
    let stage = &moving.stage;
    let before = moving.objects().await;
    let mark = stage.cluster.audit().mark().await;
    moving.agree().await;
    // Alone it moves nothing, and says that it would.
    let waits = |object: &Value| condition(object, "Moving").reason == "WaitingForTakeOver";
    let old = stage.becomes(moving.old_place(), waits).await;
    assert_eq!(condition(&old, "Ready").status, "True");
    stage.put(moving.successor(json!({}))).await;
    let new = moving.arrived().await;
    let after = moving.objects().await;
    assert_eq!(uids(&after), uids(&before));
    assert!(owners(&after).iter().all(|owner| *owner == uid(&new)), "{after:#?}");
    assert_eq!(
        after[2]["data"]["of"],
        format!("{}/sales", moving.other),
        "by the new one's plan"
    );
    assert_eq!(after[3]["data"], before[3]["data"], "what is made once is done");
    assert_eq!(new["status"]["takenOver"]["ref"], moving.old().as_str());

    // The old one has nothing any more, and says what to do.
    let said = moving.says(moving.old_place(), "HandedOver").await;
    assert!(
        said.starts_with(&format!(
            "handed over to {}; nothing is made or changed here",
            moving.heir()
        )),
        "{said}"
    );
    assert!(
        said.ends_with(&format!(
            "kubectl delete -n {} components.catalog.landfall.dev orders",
            stage.home
        )),
        "{said}"
    );
    let old = stage.looked_at("Component", "orders").await;
    assert_eq!(old["status"]["inventory"], Value::Null);
    assert_eq!(condition(&old, "Stalled").reason, "HandedOver");
    stage.delete(moving.old_place()).await;
    stage.vanishes(moving.old_place()).await;
    stage.looked_at_in(&moving.other, "Component", "sales").await;
    assert_eq!(uids(&moving.objects().await), uids(&before));
    let asked = stage.cluster.audit().since(mark).await;
    assert_eq!(
        deletes(&asked, &moving.space),
        Vec::<String>::new(),
        "nothing was deleted on the way"
    );

    // They are the new one's in every respect.
    let settings = ("ConfigMap", moving.space.as_str(), "settings");
    stage.edit(settings, json!({"data": {"of": "somebody"}})).await;
    stage
        .becomes(settings, |object| {
            object["data"]["of"] == format!("{}/sales", moving.other)
        })
        .await;
    stage.delete(moving.new_place()).await;
    stage.vanishes(moving.new_place()).await;
    stage.vanishes(("Namespace", "", &moving.space)).await;
}

#[tokio::test]
async fn an_old_one_that_is_deleted_first_waits_for_the_new_one_and_loses_nothing() {
    let moving = Move::of(resources()).await;
    let stage = &moving.stage;
    let before = moving.objects().await;
    moving.agree().await;
    stage.delete(moving.old_place()).await;
    let said = moving.says(moving.old_place(), "Deleting").await;
    assert_eq!(
        said,
        format!(
            "deleting: nothing is deleted before it has been handed over: {} does not exist; to end the wait, let go of all that it has with the annotation landfall.dev/release=yes, or have it deleted as its policies say: kubectl annotate -n {} components.catalog.landfall.dev orders landfall.dev/hand-over-to-",
            moving.heir(),
            stage.home
        )
    );
    let old = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&old, "Moving").reason, "WaitingForTakeOver");
    assert_eq!(moving.objects().await, before, "not one of them was touched");

    stage.put(moving.successor(json!({}))).await;
    stage.vanishes(moving.old_place()).await;
    let new = moving.arrived().await;
    let after = moving.objects().await;
    assert_eq!(uids(&after), uids(&before));
    assert!(owners(&after).iter().all(|owner| *owner == uid(&new)));
    // It goes on by itself when the old one is gone, and the field may stay in its manifest.
    let new = stage.looked_at_in(&moving.other, "Component", "sales").await;
    assert_eq!(condition(&new, "Ready").status, "True");
}

#[tokio::test]
async fn both_in_one_apply_and_the_old_one_gone_in_the_same_moment() {
    let moving = Move::of(resources()).await;
    let stage = &moving.stage;
    let before = moving.objects().await;
    let mut old = stage.catalog(
        "Component",
        "orders",
        json!({"type": "service", "lifecycle": "production", "owner": "group:shop/checkout", "template": moving.template(json!({}))}),
    );
    old["metadata"]["annotations"] = json!({HAND_OVER_TO: moving.heir()});
    let both = json!({"apiVersion": "v1", "kind": "List", "items": [moving.successor(json!({})), old]});
    let file = stage.cluster.directory().join(format!("{}.json", moving.space));
    std::fs::write(&file, both.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let applied = stage
        .cluster
        .kubectl(&["apply", "--server-side", "--force-conflicts", "-f", file]);
    assert!(applied.status.success(), "{applied:?}");
    // At once, whatever has been looked at until then.
    stage.delete(moving.old_place()).await;
    stage.vanishes(moving.old_place()).await;
    let new = moving.arrived().await;
    let after = moving.objects().await;
    assert_eq!(uids(&after), uids(&before));
    assert!(owners(&after).iter().all(|owner| *owner == uid(&new)));
}

#[tokio::test]
async fn a_component_of_which_only_the_name_changes_takes_its_pinned_version_along() {
    let moving = Move::of(resources()).await;
    let stage = &moving.stage;
    let before = moving.objects().await;
    // A version that is not rolled out: nobody is moved to it by being moved.
    let manual = json!({"spec": {"rollout": {"strategy": "Manual"}}});
    stage.edit(("Template", &stage.home, "app"), manual).await;
    stage.ready("Template", "app").await;
    let at = stage.looked_at("Component", "orders").await["status"]["template"]["version"].clone();
    let newer = json!({"spec": {"resources": [{"id": "ns", "manifest": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "${{ parameters.space }}"}}}]}});
    stage.edit(("Template", &stage.home, "app"), newer).await;
    stage
        .becomes(("Template", &stage.home, "app"), |object| {
            let latest = &object["status"]["latest"]["version"];
            latest.is_string() && *latest != at
        })
        .await;
    moving.agree().await;
    stage.put(moving.successor(json!({}))).await;
    let new = moving.arrived().await;
    assert_eq!(new["status"]["template"]["version"], at);
    assert_eq!(condition(&new, "UpToDate").status, "False");
    assert_eq!(uids(&moving.objects().await), uids(&before));
}
