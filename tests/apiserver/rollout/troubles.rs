//! What happens in the middle of a rollout: edits, flapping, teardown, and instances that change their template.

use serde_json::json;

use super::stages::{publish_staged, spec_of, staged, stands_at};
use super::*;

#[tokio::test]
async fn a_canary_that_flaps_lets_nobody_go_on_until_it_stays_ready() {
    let stage = Stage::new("flaps").await;
    let rollout =
        |seconds: u32| json!({"canarySelector": {"matchLabels": {"stage": "canary"}}, "minReadySeconds": seconds});
    publish(&stage, "fast", "1.0.0", &rollout(1)).await;
    instances(&stage, &["a", "b"]).await;
    canary(&stage, "z").await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    publish(&stage, "slow", "2.0.0", &rollout(600)).await;
    stage
        .becomes(("Component", &stage.home, "z"), |object| {
            object["status"]["template"]["version"] == "2.0.0"
        })
        .await;
    for _ in 0..4 {
        let_go(&stage, "z", "slow").await;
        arrives(&stage, "z", "2.0.0").await;
        rollout_is(&stage, "Progressing", "2.0.0").await;
        let_go(&stage, "z", "not").await;
        stage.unready("Component", "z", "Progressing").await;
        let status = rollout_is(&stage, "Progressing", "2.0.0").await;
        let message = status["rollout"]["message"].as_str().unwrap();
        assert!(message.contains("canarySelector"), "{message}");
    }
    let_go(&stage, "z", "slow").await;
    arrives(&stage, "z", "2.0.0").await;
    for name in ["a", "b"] {
        let component = stage.looked_at("Component", name).await;
        assert_eq!(component["status"]["template"]["version"], "1.0.0");
        assert_eq!(condition(&component, "Ready").status, "True");
    }
    publish(&stage, "slow", "2.0.0", &rollout(1)).await;
    for name in ["a", "b"] {
        stage
            .becomes(("Component", &stage.home, name), |object| {
                object["status"]["template"]["version"] == "2.0.0"
            })
            .await;
        let_go(&stage, name, "slow").await;
    }
    rollout_is(&stage, "Complete", "2.0.0").await;
}

#[tokio::test]
async fn a_template_that_is_edited_ten_times_while_it_goes_from_stage_to_stage_ends_at_the_last() {
    let stage = Stage::new("stagedits").await;
    let rollout = json!({"environments": ["dev", "prod"], "maxUnavailable": 1});
    publish_staged(&stage, "fast", "1.0.0", &rollout).await;
    let names = ["a", "b", "c"];
    instances(&stage, &names).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    for edit in 0..10 {
        // Now and then one that is ready at once, so that some are on their way to prod when the next comes.
        let text = if edit % 3 == 0 { "fast" } else { "slow" };
        publish_staged(&stage, &format!("{text} {edit}"), &format!("2.0.{edit}"), &rollout).await;
        let mut down = 0;
        for name in names {
            let component = stage.get(("Component", &stage.home, name)).await.unwrap();
            down += usize::from(condition(&component, "Ready").status != "True");
        }
        assert!(down <= 1, "one at a time, whatever is published");
    }
    publish_staged(&stage, "fast at last", "3.0.0", &rollout).await;
    rollout_is(&stage, "Complete", "3.0.0").await;
    for name in names {
        stands_at(&stage, name, ["3.0.0"; 3]).await;
        for part in ["dev", "prod", "shared"] {
            let object = stage
                .get(("ConfigMap", &stage.home, &format!("{name}-{part}")))
                .await
                .unwrap();
            assert_eq!(object["data"]["text"], "fast at last");
        }
    }
}

#[tokio::test]
async fn a_way_back_during_a_teardown_touches_nothing_that_goes_and_loses_nothing_that_stays() {
    let stage = Stage::new("goesback").await;
    let rollout = json!({"environments": ["dev", "prod"], "maxUnavailable": 1});
    publish_staged(&stage, "fast", "1.0.0", &rollout).await;
    let names = ["a", "b", "c"];
    instances(&stage, &names).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    // Something of others keeps one of its objects.
    let finalizer = |there: bool| json!({"metadata": {"finalizers": if there { json!(["example.com/theirs"]) } else { json!(null) }}});
    stage.edit(("ConfigMap", &stage.home, "a-prod"), finalizer(true)).await;
    publish_staged(&stage, "slow", "2.0.0", &rollout).await;
    let status = stage
        .becomes(("Template", &stage.home, "app"), |object| {
            object["status"]["rollout"]["unavailable"] == 1
        })
        .await;
    assert_eq!(status["status"]["rollout"]["environment"], "dev");
    stage.delete(("Component", &stage.home, "a")).await;
    stage
        .becomes(("ConfigMap", &stage.home, "a-prod"), |object| {
            object["metadata"]["deletionTimestamp"].is_string()
        })
        .await;

    let mark = stage.cluster.audit().mark().await;
    publish_staged(&stage, "fast", "1.0.0", &rollout).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    for name in ["b", "c"] {
        let component = stands_at(&stage, name, ["1.0.0"; 3]).await;
        assert_eq!(condition(&component, "Ready").status, "True");
    }
    stage.edit(("ConfigMap", &stage.home, "a-prod"), finalizer(false)).await;
    stage.vanishes(("Component", &stage.home, "a")).await;
    for part in ["dev", "prod", "shared"] {
        assert!(
            stage
                .get(("ConfigMap", &stage.home, &format!("a-{part}")))
                .await
                .is_none()
        );
        for name in ["b", "c"] {
            assert!(
                stage
                    .get(("ConfigMap", &stage.home, &format!("{name}-{part}")))
                    .await
                    .is_some()
            );
        }
    }
    let mut made = stage.written_since(mark).await;
    made.retain(|entry| entry.resource == "configmaps" && entry.name.starts_with("a-") && entry.verb != "delete");
    assert!(made.is_empty(), "what goes was written to: {made:?}");
}

#[tokio::test]
async fn two_templates_that_exchange_their_instances_during_their_rollouts_lose_nothing() {
    let stage = Stage::new("exchange").await;
    let rollout = json!({"environments": ["dev", "prod"], "maxUnavailable": 1});
    let publish = async |template: &str, text: &str, version: &str| {
        stage
            .template_with(template, staged(text), spec_of(version, &rollout))
            .await;
    };
    for (template, name) in [("one", "a"), ("one", "b"), ("two", "c"), ("two", "d")] {
        if name == "a" || name == "c" {
            publish(template, "fast", "1.0.0").await;
        }
        stage.component(name, json!({"ref": template})).await;
        stage.ready("Component", name).await;
    }
    let names = ["a", "b", "c", "d"];
    let uids = async || {
        let mut uids = Vec::new();
        for name in names {
            for part in ["dev", "prod", "shared"] {
                let object = stage
                    .get(("ConfigMap", &stage.home, &format!("{name}-{part}")))
                    .await
                    .unwrap();
                uids.push(object["metadata"]["uid"].clone());
            }
        }
        uids
    };
    let before = uids().await;
    publish("one", "slow", "2.0.0").await;
    publish("two", "slow", "2.0.0").await;
    for template in ["one", "two"] {
        stage
            .becomes(("Template", &stage.home, template), |object| {
                object["status"]["rollout"]["unavailable"] == 1
            })
            .await;
    }
    for (name, template) in [("a", "two"), ("c", "one"), ("b", "two"), ("d", "one")] {
        stage.component(name, json!({"ref": template})).await;
    }
    publish("one", "fast at last", "3.0.0").await;
    publish("two", "fast at last", "3.0.0").await;
    for (name, template) in [("a", "two"), ("b", "two"), ("c", "one"), ("d", "one")] {
        let component = stands_at(&stage, name, ["3.0.0"; 3]).await;
        let expected = format!("template:{}/{template}", stage.home);
        assert_eq!(component["status"]["template"]["ref"], expected);
        stage.ready("Component", name).await;
    }
    assert_eq!(uids().await, before, "what both plans have is passed on as it is");
    for template in ["one", "two"] {
        let template = stage
            .becomes(("Template", &stage.home, template), |object| {
                object["status"]["rollout"]["state"] == "Complete" && object["status"]["instances"]["ready"] == 2
            })
            .await;
        let rollout = &template["status"]["rollout"];
        assert_eq!((&rollout["following"], &rollout["updated"]), (&json!(2), &json!(2)));
    }
}
