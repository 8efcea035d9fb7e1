//! R22: objects as large as the apiserver takes them, and larger than it keeps them with their status.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{Stage, Trial, Verdict, config_map, resource, with};

/// A Component of the Template `app` with so many bytes in its spec that nothing reads.
fn component(stage: &Stage<'_>, name: &str, bytes: usize) -> Value {
    let spec = json!({
        "type": "service", "lifecycle": "production", "owner": "group:shop/checkout", "template": {"ref": "app"},
        "extensions": {"spec": {"blob": "x".repeat(bytes)}},
    });
    stage.catalog("Component", name, spec)
}

#[tokio::test]
async fn objects_that_are_as_large_as_they_may_be_are_kept_and_one_that_is_too_large_for_its_status_waits_for_a_person()
{
    let stage = Stage::new("huge").await;
    let mut trial = Trial::of(
        "R22",
        "huge objects: 500 in a plan, annotations and specs at their limit, no room for a status",
        4,
    );
    let many = with(
        resource(
            "many",
            config_map("${{ entity.metadata.name }}-${{ each.key }}", json!({"a": "b"})),
        ),
        json!({"each": "${{ range(parameters.count) }}"}),
    );
    let count = crate::support::parameters(json!({"count": {"type": "integer", "default": 2}}));
    stage.template_with("app", json!([many]), count).await;

    let began = Instant::now();
    stage
        .component("many", json!({"ref": "app", "parameters": {"count": 500}}))
        .await;
    let found = stage.ready("Component", "many").await;
    assert_eq!(found["status"]["inventory"].as_array().unwrap().len(), 500);
    trial.held(began.elapsed());

    let began = Instant::now();
    let mut annotated = component(&stage, "annotated", 0);
    annotated["metadata"]["annotations"] = json!({"example.com/blob": "x".repeat(255 * 1024)});
    stage.put(annotated).await;
    stage.ready("Component", "annotated").await;
    trial.held(began.elapsed());

    let began = Instant::now();
    stage.put(component(&stage, "large", 1_300_000)).await;
    let found = stage.ready("Component", "large").await;
    assert_eq!(
        found["spec"]["extensions"]["spec"]["blob"].as_str().unwrap().len(),
        1_300_000
    );
    trial.held(began.elapsed());

    // What is left beside its spec is less than its status needs.
    let mut bytes = 1_572_000;
    let parameters = kube::api::PostParams::default();
    let api = stage.api("Component", &stage.home);
    let huge = |bytes| serde_json::from_value(component(&stage, "huge", bytes)).unwrap();
    while api.create(&parameters, &huge(bytes)).await.is_err() {
        bytes -= 100;
    }
    let told = |event: &Value| {
        let message = event["message"].as_str().unwrap_or_default();
        event["involvedObject"]["name"] == "huge" && message.contains("larger than the apiserver keeps")
    };
    let event = stage.becomes_listed("Event", &stage.home, told).await;
    assert_eq!(
        (&event["type"], &event["reason"]),
        (&json!("Warning"), &json!("Denied"))
    );
    // Others go on meanwhile.
    stage.component("one", json!({"ref": "app"})).await;
    stage.ready("Component", "one").await;
    let began = Instant::now();
    // The apiserver would not even take its deletion, which adds a time to it.
    stage.put(component(&stage, "huge", 10)).await;
    stage.ready("Component", "huge").await;
    trial.held(began.elapsed());
    trial.ends(Verdict::Resilient, "");
}
