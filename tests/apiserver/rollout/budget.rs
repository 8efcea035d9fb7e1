//! What a rollout costs the apiserver, counted in its audit log.

use serde_json::json;

use super::stages::{publish_staged, stands_at};
use super::*;
use crate::support::{lines, requests};

#[tokio::test]
async fn a_move_is_announced_made_and_told_and_a_rollout_that_has_ended_asks_for_nothing() {
    let stage = Stage::new("rolloutbudget").await;
    let rollout = json!({"maxUnavailable": 1, "minReadySeconds": 1});
    publish(&stage, "fast", "1.0.0", &rollout).await;
    instances(&stage, &["a"]).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    let mark = stage.cluster.audit().mark().await;
    publish(&stage, "fast again", "2.0.0", &rollout).await;
    rollout_is(&stage, "Complete", "2.0.0").await;
    arrives(&stage, "a", "2.0.0").await;
    stage.component_with("later", json!({})).await;
    stage.ready("Component", "later").await;
    let mut asked = stage.asked_since(mark).await;
    asked.retain(|entry| !entry.name.starts_with("later"));
    assert_eq!(
        requests(&asked),
        [
            "update components.catalog.landfall.dev/status a",
            "patch configmaps a-settings",
            "update components.catalog.landfall.dev/status a",
        ],
        "\n{}",
        lines(&asked)
    );

    let mark = stage.cluster.audit().mark().await;
    for look in ["later-one", "later-two"] {
        stage.component_with(look, json!({})).await;
        stage.ready("Component", look).await;
        stage.looked_at("Component", look).await;
    }
    let mut asked = stage.asked_since(mark).await;
    asked.retain(|entry| !entry.name.starts_with("later"));
    assert!(asked.is_empty(), "asked though nothing changed:\n{}", lines(&asked));
}

#[tokio::test]
async fn each_stage_costs_what_a_move_costs_and_a_mix_of_versions_asks_for_nothing() {
    let stage = Stage::new("stagebudget").await;
    let rollout = json!({"environments": ["dev", "prod"]});
    publish_staged(&stage, "fast", "1.0.0", &rollout).await;
    instances(&stage, &["a"]).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    let mark = stage.cluster.audit().mark().await;
    publish_staged(&stage, "fast again", "2.0.0", &rollout).await;
    rollout_is(&stage, "Complete", "2.0.0").await;
    let component = arrives(&stage, "a", "2.0.0").await;
    assert_eq!(condition(&component, "UpToDate").status, "True");
    let status = "update components.catalog.landfall.dev/status a";
    let asked = stage.asked_since(mark).await;
    let expected = ["dev", "prod", "shared"].map(|part| {
        [
            status.to_owned(),
            format!("patch configmaps a-{part}"),
            status.to_owned(),
        ]
    });
    assert_eq!(requests(&asked), expected.concat(), "\n{}", lines(&asked));

    // Half way, and for as long as it stays so.
    let pinned = json!({"ref": "app", "environments": {"prod": {"version": "1.0.0"}}});
    stage.component("a", pinned).await;
    stands_at(&stage, "a", ["2.0.0", "1.0.0", "2.0.0"]).await;
    let component = stage.ready("Component", "a").await;
    assert_eq!(condition(&component, "UpToDate").reason, "Pinned");
    let mark = stage.cluster.audit().mark().await;
    for look in ["later-one", "later-two"] {
        stage.component_with(look, json!({})).await;
        stage.ready("Component", look).await;
        stage.looked_at("Component", look).await;
    }
    let mut asked = stage.asked_since(mark).await;
    asked.retain(|entry| !entry.name.starts_with("later"));
    assert!(asked.is_empty(), "asked though nothing changed:\n{}", lines(&asked));
}
