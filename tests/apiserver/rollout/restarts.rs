//! The operator ends in the middle of a rollout.

use serde_json::json;

use super::*;
use crate::support::{Cluster, Operator, eventually};

#[tokio::test]
async fn a_rollout_goes_on_where_it_was_when_the_operator_is_killed() {
    let cluster = Cluster::own("rollout-killed").await;
    let operator = Operator::start(&cluster).await;
    let stage = Stage::on(&cluster, "killed").await;
    let rollout = json!({"maxUnavailable": 2});
    publish(&stage, "fast", "1.0.0", &rollout).await;
    let names = ["a", "b", "c", "d", "e"];
    instances(&stage, &names).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    publish(&stage, "slow", "2.0.0", &rollout).await;
    let full = async || {
        eventually("the wave is full", async || {
            let (_, down) = at(&stage, &names, "2.0.0").await;
            (down.len() == 2).then_some(down)
        })
        .await
    };
    let before = full().await;
    operator.kill();
    let _operator = Operator::start(&cluster).await;
    // The new one gives no more turns than were left.
    stage.component_with("later", json!({})).await;
    stage.ready("Component", "later").await;
    stage.looked_at("Component", "e").await;
    let (moved, down) = at(&stage, &names, "2.0.0").await;
    assert_eq!((&moved, &down), (&before, &before));
    for name in names {
        stage
            .becomes(("Component", &stage.home, name), |object| {
                object["status"]["template"]["version"] == "2.0.0"
            })
            .await;
        let (_, down) = at(&stage, &names, "2.0.0").await;
        assert!(down.len() <= 2, "{down:?}");
        let_go(&stage, name, "slow").await;
    }
    rollout_is(&stage, "Complete", "2.0.0").await;
}
