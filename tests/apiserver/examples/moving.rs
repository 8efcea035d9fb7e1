//! examples/moving: a service moves to another namespace and name, and its namespace stays as it is.

use serde_json::json;

use super::stage;
use crate::support::Operator;

#[tokio::test]
async fn moving() {
    let stage = stage().await;
    let before = stage.at_rest().await;
    let _operator = Operator::start(&stage.cluster).await;
    stage.kubectl("apply -f examples/moving/before.yaml");
    stage.all_ready("moving-shop", "Component", &["orders"]).await;
    let room = stage.namespace("moving-shop-orders").await.unwrap();
    stage.kubectl("annotate component orders -n moving-shop landfall.dev/hand-over-to=component:moving-retail/sales");
    stage.kubectl("delete component orders -n moving-shop --wait=false");
    stage.kubectl("apply -f examples/moving/after.yaml");
    stage.kubectl("wait --for=delete component/orders -n moving-shop --timeout=60s");
    stage.all_ready("moving-retail", "Component", &["sales"]).await;
    let kept = stage.namespace("moving-shop-orders").await.unwrap();
    assert_eq!(kept.metadata.uid, room.metadata.uid);
    assert_eq!(kept.metadata.labels.unwrap()["owner"], "sellers");
    assert_eq!(stage.names("resourcequota", "moving-shop-orders"), ["limits"]);
    let status = stage.status("Component", "moving-retail", "sales").await;
    assert_eq!(status["takenOver"]["ref"], json!("component:moving-shop/orders"));

    stage.kubectl("delete component sales -n moving-retail --timeout=60s");
    assert!(stage.namespace("moving-shop-orders").await.is_none());
    for file in ["after", "before"] {
        stage.kubectl(&format!(
            "delete -f examples/moving/{file}.yaml --ignore-not-found --timeout=60s"
        ));
    }
    stage.is_again(&before).await;
}
