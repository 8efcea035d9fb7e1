//! Events: one a transition, each with its own words, none for a pass that finds nothing new.

use kube::api::ListParams;
use serde_json::{Value, json};

use crate::support::{Stage, config_map, eventually, parameters, resource};

/// The events about an object of ours, oldest first: reason, note and how often it was said.
pub async fn said(stage: &Stage<'_>, name: &str) -> Vec<(String, String, i64)> {
    let events = stage
        .api("Event", &stage.home)
        .list(&ListParams::default())
        .await
        .unwrap();
    let mut found: Vec<Value> = events
        .items
        .into_iter()
        .map(|event| serde_json::to_value(event).unwrap())
        .filter(|event| event["involvedObject"]["name"] == name && event["involvedObject"]["kind"] == "Component")
        .collect();
    found.sort_by_key(|event| event["eventTime"].as_str().unwrap_or_default().to_owned());
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    found
        .iter()
        .map(|event| {
            let count = event["series"]["count"].as_i64().unwrap_or(1);
            (text(event, "reason"), text(event, "message"), count)
        })
        .collect()
}

async fn until_said(stage: &Stage<'_>, expected: &[(&str, &str, i64)]) {
    eventually("these events", async || {
        let seen = said(stage, "orders").await;
        let same = seen.len() == expected.len()
            && seen
                .iter()
                .zip(expected)
                .all(|((reason, note, count), (wanted, begins, times))| {
                    reason == wanted && note.starts_with(begins) && count == times
                });
        same.then_some(()).ok_or(format!("{seen:#?}"))
    })
    .await;
}

#[tokio::test]
async fn each_transition_is_an_event_with_its_own_words_and_a_pass_is_none() {
    let stage = Stage::new("events").await;
    let map = config_map("settings", json!({"tier": "${{ parameters.tier }}"}));
    let schema = parameters(json!({"tier": {"type": "string", "enum": ["gold", "silver"], "default": "gold"}}));
    stage
        .template_with("app", json!([resource("settings", map)]), schema)
        .await;
    let with = async |parameters: Value| {
        stage
            .component("orders", json!({"ref": "app", "parameters": parameters}))
            .await;
    };
    with(json!({})).await;
    stage.ready("Component", "orders").await;
    let mut expected = vec![
        ("Progressing", "making 1 object", 1),
        ("Ready", "1 object is as planned and healthy", 1),
    ];
    until_said(&stage, &expected).await;

    with(json!({"tier": "brass"})).await;
    stage.unready("Component", "orders", "InvalidParameters").await;
    expected.push(("InvalidParameters", "parameters.tier: \"brass\"", 1));
    until_said(&stage, &expected).await;
    // The same reason, and something else is wrong.
    with(json!({"tiers": "gold"})).await;
    expected.push(("InvalidParameters", "parameters.tiers: unknown parameter", 1));
    until_said(&stage, &expected).await;

    for _ in 0..3 {
        stage.looked_at("Component", "orders").await;
    }
    with(json!({"tier": "gold"})).await;
    stage.ready("Component", "orders").await;
    // That it is Ready was said before, so it counts up; the passes that found nothing new have said nothing.
    expected[1].2 = 2;
    until_said(&stage, &expected).await;
}
