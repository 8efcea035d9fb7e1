//! What a move would do is told beforehand: by `landfall plan`, and at the door.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::{HAND_OVER_TO, Move, inside, resources};
use crate::support::{config_map, resource};

#[tokio::test]
async fn a_plan_shows_what_passes_what_stays_behind_and_that_nobody_has_agreed() {
    let mut all = resources();
    let more = inside(config_map("more-${{ entity.metadata.name }}", json!({"a": "b"})));
    all.as_array_mut().unwrap().push(resource("more", more));
    let moving = Move::of(all).await;
    let stage = &moving.stage;
    let before = moving.objects().await;
    let file = stage.cluster.directory().join(format!("{}-plan.json", moving.space));
    fs::write(&file, moving.successor(json!({})).to_string()).unwrap();
    let plan = || {
        let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["plan", "-o", "json", "-f", file.to_str().unwrap()])
            .env("KUBECONFIG", stage.cluster.kubeconfig())
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        report
    };
    let told = |report: &Value| -> Vec<String> {
        let objects = report["entities"][0]["objects"].as_array().cloned().unwrap_or_default();
        objects
            .iter()
            .map(|object| {
                let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
                let message = text("message").replace(&stage.home, "home");
                format!("{} {} {}: {message}", text("action"), text("kind"), text("name"))
            })
            .collect()
    };
    let alone = plan();
    let said = alone["entities"][0]["message"].as_str().unwrap_or_default();
    assert!(said.contains("does not hand over to this one"), "{alone:#}");
    moving.agree().await;
    let agreed = plan();
    assert_eq!(agreed["entities"][0]["message"], Value::Null, "{agreed:#}");
    let objects = told(&agreed);
    let passes = "it passes from component:home/orders, with its UID";
    assert_eq!(
        objects[0],
        format!("adopt Namespace {}: {passes}", moving.space),
        "{agreed:#}"
    );
    assert_eq!(objects[1], format!("adopt ResourceQuota limits: {passes}"));
    assert_eq!(objects[2], format!("adopt ConfigMap settings: {passes}"));
    assert!(
        objects.contains(&"create ConfigMap more-sales: ".to_owned()),
        "{objects:#?}"
    );
    assert!(
        objects.contains(&"keep ConfigMap more-orders: it stays with component:home/orders, since this one's template does not make it; it is deleted with that one only once that is confirmed".to_owned()),
        "{objects:#?}"
    );
    assert_eq!(moving.objects().await, before, "it only looks");
    assert_eq!(HAND_OVER_TO, "landfall.dev/hand-over-to");
}
