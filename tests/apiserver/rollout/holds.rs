//! What keeps an instance at its version though it would be its turn.

use serde_json::json;

use super::*;
use crate::support::parameters;

#[tokio::test]
async fn parameters_that_the_new_schema_does_not_take_keep_the_instance_at_its_version() {
    let stage = Stage::new("refuses").await;
    // As with a rollout, so without.
    for rollout in [json!({"rollout": {"maxUnavailable": 1}}), json!({})] {
        let text = |kind: &str| parameters(json!({"size": {"type": kind}}));
        let more = |version: &str, kind: &str| with(with(json!({"version": version}), text(kind)), rollout.clone());
        stage
            .template_with("app", settings("fast"), more("1.0.0", "string"))
            .await;
        stage
            .component("a", json!({"ref": "app", "parameters": {"size": "large"}}))
            .await;
        stage.component("b", json!({"ref": "app"})).await;
        stage.ready("Component", "a").await;
        stage.ready("Component", "b").await;

        stage
            .template_with("app", settings("fast again"), more("2.0.0", "integer"))
            .await;
        arrives(&stage, "b", "2.0.0").await;
        let status = rollout_is(&stage, "HeldBack", "2.0.0").await;
        let message = status["rollout"]["message"].as_str().unwrap();
        assert!(
            message.contains("1 stay where they are") && message.contains("parameters.size"),
            "{message}"
        );
        let component = stage.looked_at("Component", "a").await;
        let said = condition(&component, "UpToDate");
        assert_eq!(
            (said.status.as_str(), said.reason.as_str()),
            ("False", "InvalidParameters")
        );
        assert!(
            said.message.contains("at version 1.0.0")
                && said.message.contains("cannot take 2.0.0")
                && said.message.contains("size"),
            "{}",
            said.message
        );
        assert_eq!(condition(&component, "Ready").status, "True");
        // It is kept as it is meant to be there.
        stage.delete(("ConfigMap", &stage.home, "a-settings")).await;
        stage
            .becomes(("ConfigMap", &stage.home, "a-settings"), |object| {
                object["data"]["text"] == "fast"
            })
            .await;

        // It moves when it can.
        stage
            .component("a", json!({"ref": "app", "parameters": {"size": 3}}))
            .await;
        arrives(&stage, "a", "2.0.0").await;
        rollout_is(&stage, "Complete", "2.0.0").await;
        for name in ["a", "b"] {
            stage.delete(("Component", &stage.home, name)).await;
            stage.vanishes(("Component", &stage.home, name)).await;
        }
        stage.delete(("Template", &stage.home, "app")).await;
        stage.vanishes(("Template", &stage.home, "app")).await;
    }
}

/// The two objects of which the second goes, or is made anew.
fn two(text: &str, second: bool) -> serde_json::Value {
    let mut all = settings("fast");
    let fixed = config_map("${{ entity.metadata.name }}-fixed", json!({"text": text}));
    let fixed = with(fixed, json!({"immutable": true}));
    if second {
        all.as_array_mut()
            .unwrap()
            .push(with(resource("fixed", fixed), json!({"replace": true})));
    }
    all
}

#[tokio::test]
async fn a_version_that_deletes_or_makes_anew_waits_for_a_person_in_those_instances_alone() {
    let stage = Stage::new("consent").await;
    let rollout = json!({"maxUnavailable": 1});
    let each = |text: &str, second: bool| two(text, second);
    stage
        .template_with("app", each("one", true), spec("1.0.0", &rollout))
        .await;
    instances(&stage, &["a"]).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    let first = stage.get(("ConfigMap", &stage.home, "a-fixed")).await.unwrap();

    for (version, text, second, verb) in [
        ("2.0.0", "two", true, "delete and make anew"),
        ("3.0.0", "two", false, "delete "),
    ] {
        stage
            .template_with("app", each(text, second), spec(version, &rollout))
            .await;
        rollout_is(&stage, "HeldBack", version).await;
        // One that has nothing to lose has nothing to be asked about.
        let new = format!("new-{}", &version[..1]);
        instances(&stage, &[&new]).await;
        let component = stage.looked_at("Component", "a").await;
        let said = condition(&component, "UpToDate");
        assert_eq!(said.reason, "DeletionNotConfirmed");
        let object = format!("ConfigMap {}/a-fixed", stage.home);
        assert!(
            said.message.contains(verb) && said.message.contains(&object),
            "{}",
            said.message
        );
        assert_eq!(condition(&component, "Ready").status, "True");
        assert!(stage.get(("ConfigMap", &stage.home, "a-fixed")).await.is_some());
        let (_, word) = said.message.rsplit_once("landfall.dev/confirm-deletion=").unwrap();
        stage
            .edit(
                ("Component", &stage.home, "a"),
                json!({"metadata": {"annotations": {"landfall.dev/confirm-deletion": word}}}),
            )
            .await;
        arrives(&stage, "a", version).await;
        // The next version would delete what this one has made for the other.
        stage.delete(("Component", &stage.home, &new)).await;
        stage.vanishes(("Component", &stage.home, &new)).await;
    }
    assert!(stage.get(("ConfigMap", &stage.home, "a-fixed")).await.is_none());
    assert!(first["metadata"]["uid"].is_string());
}
