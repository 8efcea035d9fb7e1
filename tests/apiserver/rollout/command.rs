//! `landfall rollout`.

use std::process::Command;

use serde_json::{Value, json};

use super::*;

/// Runs `landfall rollout` on a Template of the stage. Gives its exit code and what it says.
fn run(stage: &Stage<'_>, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .arg("rollout")
        .args(arguments)
        .args(["-n", &stage.home])
        .env("KUBECONFIG", stage.cluster.kubeconfig())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn a_rollout_is_shown_paused_resumed_and_undone() {
    let stage = Stage::new("command").await;
    let rollout = json!({"maxUnavailable": 1});
    publish(&stage, "fast", "1.0.0", &rollout).await;
    instances(&stage, &["a", "b"]).await;
    stage
        .becomes(("Template", &stage.home, "app"), |object| {
            object["status"]["instances"]["updated"] == 2
        })
        .await;
    let (code, said) = run(&stage, &["status", "app"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("Complete: 2 of 2 instances that follow the template are at version 1.0.0"),
        "{said}"
    );
    let (code, said) = run(&stage, &["undo", "app"]);
    assert!(code == 1 && said.contains("has no version before 1.0.0"), "{said}");

    let (code, said) = run(&stage, &["pause", "app"]);
    assert!(code == 0 && said.contains("paused"), "{said}");
    let changed = json!({"spec": {"version": "2.0.0", "resources": settings("fast again")}});
    stage.edit(("Template", &stage.home, "app"), changed).await;
    rollout_is(&stage, "Paused", "2.0.0").await;
    let (code, said) = run(&stage, &["status", "app", "-o", "json"]);
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(code, 2);
    assert_eq!(
        (
            &answer["rollout"]["state"],
            &answer["current"],
            &answer["previousVersion"]
        ),
        (&json!("Paused"), &json!(true), &json!("1.0.0"))
    );

    let (code, said) = run(&stage, &["resume", &format!("template:{}/app", stage.home)]);
    assert!(code == 0 && said.contains("resumed"), "{said}");
    rollout_is(&stage, "Complete", "2.0.0").await;
    let template = stage.get(("Template", &stage.home, "app")).await.unwrap();
    let rollout = &template["spec"]["rollout"];
    assert_eq!(
        (&rollout["maxUnavailable"], &rollout["paused"]),
        (&json!(1), &json!(null)),
        "the rest stays"
    );

    let (code, said) = run(&stage, &["undo", "app"]);
    assert!(code == 0 && said.contains("version 1.0.0"), "{said}");
    rollout_is(&stage, "Complete", "1.0.0").await;
    for name in ["a", "b"] {
        arrives(&stage, name, "1.0.0").await;
        let object = stage
            .get(("ConfigMap", &stage.home, &format!("{name}-settings")))
            .await
            .unwrap();
        assert_eq!(object["data"]["text"], "fast");
    }
    let (code, said) = run(&stage, &["undo", "app", "--to-version", "9.9.9"]);
    assert!(
        code == 1 && said.contains("no version \"9.9.9\"") && said.contains("1.0.0, 2.0.0"),
        "{said}"
    );
    let (code, said) = run(&stage, &["status", "missing"]);
    assert!(code == 1 && said.contains("does not exist"), "{said}");
}
