//! How a new version of a template reaches its instances.

mod budget;
mod command;
mod disturbed;
mod history;
mod holds;
mod restarts;
mod stages;
mod troubles;
mod waves;

use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, resource, with};

/// A Template's resources: one `ConfigMap` `<instance>-settings` that holds `text`. It is ready at once where that is `fast…`, and when
/// somebody has let it go elsewhere.
fn settings(text: &str) -> Value {
    let settings = config_map("${{ entity.metadata.name }}-settings", json!({"text": text}));
    let ready_when = if text.starts_with("fast") {
        "${{ true }}"
    } else {
        "${{ self.data.go == self.data.text }}"
    };
    json!([with(resource("settings", settings), json!({"readyWhen": ready_when}))])
}

/// What the apiserver refuses: a key that none can have.
fn refused() -> Value {
    json!([resource(
        "settings",
        config_map("${{ entity.metadata.name }}-settings", json!({"no such key": "x"}))
    )])
}

/// What a Template says beside its resources.
fn spec(version: &str, rollout: &Value) -> Value {
    json!({"version": version, "rollout": rollout})
}

/// Applies the Template `app` with this text at this version.
async fn publish(stage: &Stage<'_>, text: &str, version: &str, rollout: &Value) {
    stage.template_with("app", settings(text), spec(version, rollout)).await;
}

/// Applies Components of the Template `app` and waits until each is Ready.
async fn instances(stage: &Stage<'_>, names: &[&str]) {
    for name in names {
        stage.component(name, json!({"ref": "app"})).await;
    }
    for name in names {
        stage.ready("Component", name).await;
    }
}

/// Applies a Component of the Template `app` that is a canary.
async fn canary(stage: &Stage<'_>, name: &str) {
    let spec = json!({"type": "service", "lifecycle": "production", "owner": "group:shop/checkout", "template": {"ref": "app"}});
    let mut component = stage.catalog("Component", name, spec);
    component["metadata"]["labels"] = json!({"stage": "canary"});
    stage.put(component).await;
    stage.ready("Component", name).await;
}

/// Lets an object become ready that holds `text`.
async fn let_go(stage: &Stage<'_>, name: &str, text: &str) {
    let object = format!("{name}-settings");
    stage
        .edit(("ConfigMap", &stage.home, &object), json!({"data": {"go": text}}))
        .await;
}

/// The Components that are at a version, and those of them that are not Ready.
async fn at(stage: &Stage<'_>, names: &[&str], version: &str) -> (Vec<String>, Vec<String>) {
    let (mut at, mut down) = (Vec::new(), Vec::new());
    for name in names {
        let component = stage.get(("Component", &stage.home, name)).await.unwrap();
        if component["status"]["template"]["version"] == version {
            at.push((*name).to_owned());
            if condition(&component, "Ready").status != "True" {
                down.push((*name).to_owned());
            }
        }
    }
    (at, down)
}

/// Waits until the Template's rollout is in a state at a version, and gives its status.
async fn rollout_is(stage: &Stage<'_>, wanted: &str, version: &str) -> Value {
    let template = stage
        .becomes(("Template", &stage.home, "app"), |object| {
            let rollout = &object["status"]["rollout"];
            rollout["state"] == wanted && rollout["version"] == version
        })
        .await;
    let said = condition(&template, "RolledOut");
    let (status, reason) = if wanted == "Complete" {
        ("True", "RolloutComplete".to_owned())
    } else {
        ("False", format!("Rollout{wanted}"))
    };
    assert_eq!((said.status.as_str(), said.reason.as_str()), (status, reason.as_str()));
    template["status"].clone()
}

/// The version that an instance is at.
async fn version_of(stage: &Stage<'_>, name: &str) -> String {
    let component = stage.get(("Component", &stage.home, name)).await.unwrap();
    component["status"]["template"]["version"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Waits until an instance is at a version, and Ready.
async fn arrives(stage: &Stage<'_>, name: &str, version: &str) -> Value {
    stage
        .becomes(("Component", &stage.home, name), |object| {
            object["status"]["template"]["version"] == version && condition(object, "Ready").status == "True"
        })
        .await
}
