//! Waves, canaries, what stops a rollout and what does not, and what a person stops.

use serde_json::json;

use super::*;
use crate::support::eventually;

#[tokio::test]
async fn no_more_instances_than_may_be_unavailable_are_moved_at_a_time() {
    let stage = Stage::new("waves").await;
    let rollout = json!({"maxUnavailable": 2});
    publish(&stage, "fast", "1.0.0", &rollout).await;
    let names = ["a", "b", "c", "d", "e"];
    instances(&stage, &names).await;
    let all = json!({"total": 5, "updated": 5, "ready": 5});
    stage
        .becomes(("Template", &stage.home, "app"), |object| {
            object["status"]["instances"] == all
        })
        .await;

    publish(&stage, "slow", "2.0.0", &rollout).await;
    let mut ready: Vec<String> = Vec::new();
    while ready.len() < names.len() {
        // As many as may be are moved, and each that becomes Ready makes room for one.
        let left = names.len() - ready.len();
        let down = eventually("the wave is full", async || {
            let (_, down) = at(&stage, &names, "2.0.0").await;
            (down.len() == left.min(2)).then_some(down)
        })
        .await;
        let status = stage
            .becomes(("Template", &stage.home, "app"), |object| {
                object["status"]["rollout"]["unavailable"] == down.len()
            })
            .await;
        assert_eq!(status["status"]["rollout"]["state"], "Progressing");
        stage.looked_at("Component", "e").await;
        let (at, still) = at(&stage, &names, "2.0.0").await;
        assert_eq!(
            (at.len(), &still),
            (ready.len() + down.len(), &down),
            "nobody else was moved"
        );
        let waiting = names.iter().find(|name| !at.contains(&(**name).to_owned()));
        if let Some(waiting) = waiting {
            let component = stage.get(("Component", &stage.home, waiting)).await.unwrap();
            let said = condition(&component, "UpToDate");
            assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", "NewerVersion"));
            assert!(said.message.contains("waits for its turn"), "{}", said.message);
            assert_eq!(condition(&component, "Ready").status, "True");
        }
        let_go(&stage, &down[0], "slow").await;
        arrives(&stage, &down[0], "2.0.0").await;
        ready.push(down[0].clone());
    }
    let status = rollout_is(&stage, "Complete", "2.0.0").await;
    assert_eq!(
        (
            status["rollout"]["updated"].as_i64(),
            status["rollout"]["following"].as_i64()
        ),
        (Some(5), Some(5))
    );
    assert_eq!(status["previous"]["version"], "1.0.0");
}

#[tokio::test]
async fn canaries_come_first_and_one_that_fails_stops_the_rollout_until_it_is_put_right() {
    let stage = Stage::new("canary").await;
    let rollout = json!({"canarySelector": {"matchLabels": {"stage": "canary"}}});
    publish(&stage, "fast", "1.0.0", &rollout).await;
    instances(&stage, &["a", "b"]).await;
    canary(&stage, "z").await;
    rollout_is(&stage, "Complete", "1.0.0").await;

    stage.template_with("app", refused(), spec("2.0.0", &rollout)).await;
    let status = rollout_is(&stage, "Stopped", "2.0.0").await;
    let message = status["rollout"]["message"].as_str().unwrap();
    let canary = format!("component:{}/z was Ready before it was moved, and is not", stage.home);
    assert!(
        message.contains(&canary) && message.contains("no such key"),
        "{message}"
    );
    assert_eq!(version_of(&stage, "z").await, "2.0.0");
    for name in ["a", "b"] {
        let component = stage.looked_at("Component", name).await;
        assert_eq!(component["status"]["template"]["version"], "1.0.0");
        assert_eq!(condition(&component, "Ready").status, "True");
    }

    // Another version goes to the canary first again, and then to all.
    publish(&stage, "slow", "3.0.0", &rollout).await;
    stage
        .becomes(("Component", &stage.home, "z"), |object| {
            object["status"]["template"]["version"] == "3.0.0"
        })
        .await;
    rollout_is(&stage, "Progressing", "3.0.0").await;
    stage.looked_at("Component", "a").await;
    assert_eq!(at(&stage, &["a", "b", "z"], "3.0.0").await.0, ["z"]);
    let_go(&stage, "z", "slow").await;
    for name in ["a", "b"] {
        stage
            .becomes(("Component", &stage.home, name), |object| {
                object["status"]["template"]["version"] == "3.0.0"
            })
            .await;
        let_go(&stage, name, "slow").await;
    }
    rollout_is(&stage, "Complete", "3.0.0").await;
}

#[tokio::test]
async fn instances_that_were_broken_from_the_start_do_not_stop_it() {
    let stage = Stage::new("broken").await;
    let rollout = json!({"maxUnavailable": 1});
    publish(&stage, "fast", "1.0.0", &rollout).await;
    // What is in the way of three of ten.
    let broken = ["b1", "b2", "b3"];
    for name in broken {
        let mut object = config_map(&format!("{name}-settings"), json!({"theirs": "x"}));
        object["metadata"]["namespace"] = json!(stage.home);
        stage.put(object).await;
        stage.component(name, json!({"ref": "app"})).await;
        stage.unready("Component", name, "NameConflict").await;
    }
    let healthy = ["a", "c", "d", "e", "f", "g", "h"];
    instances(&stage, &healthy).await;
    rollout_is(&stage, "Complete", "1.0.0").await;

    publish(&stage, "fast again", "2.0.0", &rollout).await;
    rollout_is(&stage, "Complete", "2.0.0").await;
    let all = json!({"total": 10, "updated": 10, "ready": 7});
    stage
        .becomes(("Template", &stage.home, "app"), |object| {
            object["status"]["instances"] == all
        })
        .await;
    for name in healthy {
        arrives(&stage, name, "2.0.0").await;
    }
}

#[tokio::test]
async fn a_paused_rollout_moves_nobody_and_goes_on_when_it_is_resumed() {
    let stage = Stage::new("paused").await;
    publish(&stage, "fast", "1.0.0", &json!({"paused": true})).await;
    let names = ["a", "b"];
    // New instances begin with the newest.
    instances(&stage, &names).await;
    publish(&stage, "fast again", "2.0.0", &json!({"paused": true})).await;
    let status = rollout_is(&stage, "Paused", "2.0.0").await;
    assert_eq!(
        (
            status["rollout"]["updated"].as_i64(),
            status["rollout"]["following"].as_i64()
        ),
        (Some(0), Some(2))
    );
    // What it is at is kept so, and its own parameters and pins hold.
    stage.delete(("ConfigMap", &stage.home, "a-settings")).await;
    stage
        .becomes(("ConfigMap", &stage.home, "a-settings"), |object| {
            object["data"]["text"] == "fast"
        })
        .await;
    let component = stage.looked_at("Component", "b").await;
    let said = condition(&component, "UpToDate");
    assert!(
        said.message.contains("paused") && said.reason == "NewerVersion",
        "{}",
        said.message
    );
    assert_eq!(at(&stage, &names, "1.0.0").await.0.len(), 2);

    publish(
        &stage,
        "fast again",
        "2.0.0",
        &json!({"paused": false, "maxUnavailable": "50%"}),
    )
    .await;
    rollout_is(&stage, "Complete", "2.0.0").await;
    for name in names {
        let component = arrives(&stage, name, "2.0.0").await;
        assert_eq!(component["status"]["template"]["moved"]["wasReady"], true);
        assert_eq!(condition(&component, "UpToDate").status, "True");
    }
}

#[tokio::test]
async fn under_manual_an_instance_moves_by_its_pin_alone() {
    let stage = Stage::new("manual").await;
    let rollout = json!({"strategy": "Manual"});
    publish(&stage, "fast", "1.0.0", &rollout).await;
    instances(&stage, &["a", "b"]).await;
    publish(&stage, "fast again", "2.0.0", &rollout).await;
    rollout_is(&stage, "Manual", "2.0.0").await;
    stage.component("a", json!({"ref": "app", "version": "2.0.0"})).await;
    arrives(&stage, "a", "2.0.0").await;
    let component = stage.looked_at("Component", "b").await;
    assert_eq!(component["status"]["template"]["version"], "1.0.0");
    // Without the pin it stays where it is.
    stage.component("a", json!({"ref": "app"})).await;
    stage.looked_at("Component", "a").await;
    assert_eq!(at(&stage, &["a", "b"], "2.0.0").await.0, ["a"]);
}

#[tokio::test]
async fn a_template_that_is_edited_ten_times_during_a_wave_ends_at_the_last() {
    let stage = Stage::new("edited").await;
    let rollout = json!({"maxUnavailable": 1});
    publish(&stage, "fast", "1.0.0", &rollout).await;
    let names = ["a", "b", "c", "d"];
    instances(&stage, &names).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    let worst = std::sync::atomic::AtomicUsize::new(0);
    for edit in 0..10 {
        publish(&stage, &format!("slow {edit}"), &format!("2.0.{edit}"), &rollout).await;
        let mut down = 0;
        for name in names {
            let component = stage.get(("Component", &stage.home, name)).await.unwrap();
            down += usize::from(condition(&component, "Ready").status != "True");
        }
        worst.fetch_max(down, std::sync::atomic::Ordering::Relaxed);
    }
    assert!(worst.into_inner() <= 1, "one at a time, whatever is published");
    publish(&stage, "fast at last", "3.0.0", &rollout).await;
    rollout_is(&stage, "Complete", "3.0.0").await;
    for name in names {
        arrives(&stage, name, "3.0.0").await;
        let object = stage
            .get(("ConfigMap", &stage.home, &format!("{name}-settings")))
            .await
            .unwrap();
        assert_eq!(object["data"]["text"], "fast at last");
    }
}

#[tokio::test]
async fn the_next_wave_waits_until_the_one_before_has_been_ready_long_enough() {
    let stage = Stage::new("minready").await;
    let rollout = json!({"maxUnavailable": 1, "minReadySeconds": 3});
    publish(&stage, "fast", "1.0.0", &rollout).await;
    instances(&stage, &["a", "b"]).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    publish(&stage, "fast again", "2.0.0", &rollout).await;
    rollout_is(&stage, "Complete", "2.0.0").await;
    let mut moved = Vec::new();
    for name in ["a", "b"] {
        let component = stage.get(("Component", &stage.home, name)).await.unwrap();
        let text = component["status"]["template"]["moved"]["at"].as_str().unwrap();
        moved.push(text.parse::<jiff::Timestamp>().unwrap());
    }
    let between = moved[1].as_second() - moved[0].as_second();
    assert!(between >= 3, "the second came {between} s after the first");
}
