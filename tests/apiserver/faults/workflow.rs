//! What is done to instances while the operator crashes: the same steps, in as many namespaces as there are points.

use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, is_current, namespace_manifest, parameters, resource, with};

/// One step in the life of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Create,
    Update,
    Prune,
    /// `spec.template` is taken away.
    Detach,
    Delete,
}

/// A life of an instance.
#[derive(Debug)]
pub struct Workflow {
    pub name: &'static str,
    pub steps: &'static [Step],
}

/// What most instances go through.
pub const LIFE: Workflow = Workflow {
    name: "life",
    steps: &[Step::Create, Step::Update, Step::Prune, Step::Delete],
};

/// The name of the instance in each namespace.
pub const APP: &str = "app";

impl Workflow {
    /// Applies the workflow's template, in the stage's own namespace, and waits until it has compiled.
    pub async fn prepare(&self, stage: &Stage<'_>) {
        self.install(stage).await;
        self.compiled(stage).await;
    }

    /// Applies the workflow's template.
    pub async fn install(&self, stage: &Stage<'_>) {
        let schema = parameters(json!({
            "text": {"type": "string", "default": "one"},
            "more": {"type": "boolean", "default": true},
        }));
        let more = with(schema, json!({"allowedNamespaces": {"from": "All"}}));
        stage.put(stage.template_object(self.name, resources(), more)).await;
    }

    /// Waits until it has compiled.
    pub async fn compiled(&self, stage: &Stage<'_>) {
        stage.ready("Template", self.name).await;
    }

    /// Takes a step in `home`.
    pub async fn take(&self, stage: &Stage<'_>, step: Step, home: &str) {
        let place = ("Component", home, APP);
        let change = |parameters: Value| json!({"spec": {"template": {"parameters": parameters}}});
        match step {
            Step::Create => {
                let reference = format!("{}/{}", stage.home, self.name);
                stage
                    .put(json!({
                        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
                        "metadata": {"name": APP, "namespace": home},
                        "spec": {
                            "type": "service", "lifecycle": "production", "owner": "team",
                            "template": {"ref": reference, "parameters": {"text": "one", "more": true}},
                        },
                    }))
                    .await;
            }
            Step::Update => drop(stage.edit(place, change(json!({"text": "two"}))).await),
            Step::Prune => drop(stage.edit(place, change(json!({"more": false}))).await),
            Step::Detach => drop(stage.edit(place, json!({"spec": {"template": null}})).await),
            Step::Delete => stage.delete(place).await,
        }
    }

    /// Waits until the step is done.
    pub async fn done(&self, stage: &Stage<'_>, step: Step, home: &str) {
        let place = ("Component", home, APP);
        if step == Step::Delete {
            stage.vanishes(place).await;
        } else {
            stage
                .becomes(place, |object| {
                    is_current(object) && condition(object, "Ready").status == "True"
                })
                .await;
        }
    }
}

/// A namespace with four objects in it, one of which can be taken away, and an object beside the instance, too.
fn resources() -> Value {
    let inside = |name: &str| json!({"name": name, "namespace": "${{ resources.ns.metadata.name }}"});
    let settings = config_map("settings", json!({"text": "${{ parameters.text }}"}));
    let more = with(
        config_map("more", json!({"a": "b"})),
        json!({"metadata": inside("more")}),
    );
    json!([
        resource("ns", namespace_manifest("")),
        resource(
            "quota",
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": inside("quota"), "spec": {"hard": {"pods": "9"}}})
        ),
        resource(
            "account",
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": inside("run")})
        ),
        resource("settings", with(settings, json!({"metadata": inside("settings")}))),
        with(resource("more", more), json!({"if": "${{ parameters.more }}"})),
        with(
            resource("beside", config_map("beside", json!({"a": "b"}))),
            json!({"if": "${{ parameters.more }}"})
        ),
    ])
}
