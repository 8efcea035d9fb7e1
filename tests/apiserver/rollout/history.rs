//! Which revisions are kept, and pins to those that are not.

use serde_json::json;

use super::stages::{spec_of, staged, stands_at};
use super::*;

/// The versions of the revisions of the Template `app`.
async fn kept(stage: &Stage<'_>) -> Vec<String> {
    let api = stage.api("ControllerRevision", &stage.home);
    let listed = api
        .list(&kube::api::ListParams::default().labels("landfall.dev/template=app"))
        .await
        .unwrap();
    let mut versions: Vec<String> = listed
        .items
        .iter()
        .map(|revision| revision.metadata.annotations.as_ref().unwrap()["landfall.dev/version"].clone())
        .collect();
    versions.sort();
    versions
}

#[tokio::test]
async fn old_revisions_go_but_none_that_an_instance_uses() {
    let stage = Stage::new("history").await;
    let more = |version: usize| json!({"version": format!("{version}.0.0"), "revisionHistoryLimit": 1});
    stage.template_with("app", settings("fast 1"), more(1)).await;
    stage
        .component("pinned", json!({"ref": "app", "version": "1.0.0"}))
        .await;
    stage.component("follows", json!({"ref": "app"})).await;
    stage.ready("Component", "pinned").await;
    stage.ready("Component", "follows").await;
    for version in 2..=5 {
        stage
            .template_with("app", settings(&format!("fast {version}")), more(version))
            .await;
        arrives(&stage, "follows", &format!("{version}.0.0")).await;
    }
    // In use, one that nobody uses, the one before, and the newest.
    crate::support::eventually("the others are gone", async || {
        (kept(&stage).await == ["1.0.0", "3.0.0", "4.0.0", "5.0.0"]).then_some(())
    })
    .await;

    // A pin to what is gone changes nothing.
    let before = stage.get(("ConfigMap", &stage.home, "pinned-settings")).await.unwrap();
    stage
        .component("pinned", json!({"ref": "app", "version": "2.0.0"}))
        .await;
    let message = stage.unready("Component", "pinned", "VersionNotFound").await;
    assert!(message.contains("no version \"2.0.0\""), "{message}");
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "pinned-settings")).await.unwrap(),
        before
    );
    stage
        .component("pinned", json!({"ref": "app", "version": "1.0.0"}))
        .await;
    stage.ready("Component", "pinned").await;
}

#[tokio::test]
async fn a_revision_that_one_environment_still_uses_is_kept() {
    let stage = Stage::new("historyof").await;
    let more = |version: &str, paused: bool| {
        let rollout = json!({"environments": ["dev", "prod"], "paused": paused});
        with(spec_of(version, &rollout), json!({"revisionHistoryLimit": 0}))
    };
    stage.template_with("app", staged("fast"), more("1.0.0", false)).await;
    instances(&stage, &["a"]).await;
    stage.template_with("app", staged("slow"), more("2.0.0", false)).await;
    stands_at(&stage, "a", ["2.0.0", "1.0.0", "1.0.0"]).await;
    for version in ["3.0.0", "4.0.0", "5.0.0"] {
        stage
            .template_with("app", staged(&format!("slow {version}")), more(version, true))
            .await;
    }
    crate::support::eventually("the others are gone", async || {
        (kept(&stage).await == ["1.0.0", "2.0.0", "4.0.0", "5.0.0"]).then_some(())
    })
    .await;
    // Each of its environments is kept as its version says.
    for (part, text) in [("dev", "slow"), ("prod", "fast"), ("shared", "fast")] {
        let name = format!("a-{part}");
        stage.delete(("ConfigMap", &stage.home, &name)).await;
        stage
            .becomes(("ConfigMap", &stage.home, &name), |object| {
                object["data"]["text"] == text
            })
            .await;
    }
}
