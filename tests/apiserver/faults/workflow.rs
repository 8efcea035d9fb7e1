//! What is done to instances while faults are at work: the same steps, in as many namespaces as there are points.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    ACCOUNT, Stage, condition, config_map, is_current, namespace_manifest, parameters, repository, resource, with,
};

/// One step in the life of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Create,
    Update,
    Prune,
    /// The template of its own has a new version, which goes from one environment to the next.
    RollOut,
    /// `spec.template` is taken away.
    Detach,
    Delete,
    /// It is deleted, and asks whether that is meant.
    Ask,
    /// That is confirmed.
    Confirm,
    /// It may be taken over by another, which is not there yet.
    Agree,
    /// The same, and it is deleted.
    Leave,
    /// The other comes, and takes over.
    Succeed,
    /// The same, and the first one has been deleted before.
    Follow,
}

/// A life of an instance.
#[derive(Debug)]
pub struct Workflow {
    pub name: &'static str,
    /// The instance's kind.
    pub kind: &'static str,
    pub steps: &'static [Step],
    /// What the Template's spec has beside the account.
    template: fn() -> Value,
    /// The instance's parameters after a step, those before it included.
    parameters: fn(Step) -> Value,
    /// What others have made before it, for an instance in this namespace.
    beside: fn(&str) -> Vec<Value>,
    /// Whether each instance has a template of its own beside it.
    pub own: bool,
}

/// What most instances go through.
pub const LIFE: Workflow = Workflow {
    name: "life",
    kind: "Component",
    steps: &[Step::Create, Step::Update, Step::Prune, Step::Delete],
    template: life,
    parameters: text_and_more,
    beside: |_| Vec::new(),
    own: false,
};

/// A new version goes from one environment to the next.
pub const STAGES: Workflow = Workflow {
    name: "stages",
    steps: &[Step::Create, Step::RollOut],
    template: || staged("one"),
    parameters: |_| json!({}),
    own: true,
    ..LIFE
};

/// Every way in which objects are made, moved, kept, let go and taken down.
pub const ALL: [Workflow; 11] = [
    LIFE,
    STAGES,
    Workflow {
        name: "system",
        kind: "System",
        ..LIFE
    },
    Workflow {
        name: "detached",
        steps: &[Step::Create, Step::Detach],
        ..LIFE
    },
    Workflow {
        name: "kept",
        steps: &[Step::Create, Step::Update, Step::Prune, Step::Delete],
        template: kept,
        ..LIFE
    },
    Workflow {
        name: "patched",
        template: patched,
        beside: handed_over,
        ..LIFE
    },
    Workflow {
        name: "confirmed",
        steps: &[Step::Create, Step::Ask, Step::Confirm],
        template: confirmed,
        ..LIFE
    },
    Workflow {
        name: "replaced",
        steps: &[Step::Create, Step::Update, Step::Delete],
        template: replaced,
        ..LIFE
    },
    Workflow {
        name: "moved",
        steps: &[Step::Create, Step::Agree, Step::Succeed, Step::Delete],
        template: moved,
        parameters: |_| json!({}),
        ..LIFE
    },
    Workflow {
        name: "left",
        steps: &[Step::Create, Step::Leave, Step::Follow],
        template: moved,
        parameters: |_| json!({}),
        ..LIFE
    },
    Workflow {
        name: "golden-path",
        template: golden_path,
        parameters: environments,
        ..LIFE
    },
];

/// The name of the instance in each namespace.
pub const APP: &str = "app";
/// The name of the one that takes over from it.
pub const NEXT: &str = "next";

impl Workflow {
    /// Applies the workflow's template, in the stage's own namespace, and waits until it has compiled.
    pub async fn prepare(&self, stage: &Stage<'_>) {
        self.install(stage).await;
        self.compiled(stage).await;
    }

    /// Applies the workflow's template.
    pub async fn install(&self, stage: &Stage<'_>) {
        self.install_with(stage, (self.template)()).await;
    }

    async fn install_with(&self, stage: &Stage<'_>, spec: Value) {
        let verbs = ["get", "list", "watch", "create", "patch", "delete"];
        let bind =
            json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["bind"]});
        let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": verbs});
        stage.account(ACCOUNT, &json!([all, bind])).await;
        let open = json!({"allowedNamespaces": {"from": "All"}});
        let mut spec = with(spec, open);
        let resources = spec.as_object_mut().unwrap().remove("resources").unwrap();
        stage.put(stage.template_object(self.name, resources, spec)).await;
    }

    /// Waits until it has compiled.
    pub async fn compiled(&self, stage: &Stage<'_>) {
        stage.ready("Template", self.name).await;
    }

    /// Takes a step in `home`.
    pub async fn take(&self, stage: &Stage<'_>, step: Step, home: &str) {
        let place = (self.kind, home, APP);
        match step {
            Step::Create => {
                for object in (self.beside)(home) {
                    stage.put(object).await;
                }
                let beside = stage.beside(home);
                if self.own {
                    self.install(&beside).await;
                }
                let of = if self.own { &beside } else { stage };
                let more = json!({"parameters": (self.parameters)(step)});
                self.put(stage, home, APP, (&of.home, more)).await;
            }
            Step::Agree | Step::Leave => {
                let to = format!("{}:{home}/{NEXT}", self.kind.to_lowercase());
                let change = json!({"metadata": {"annotations": {"landfall.dev/hand-over-to": to}}});
                stage.edit(place, change).await;
                if step == Step::Leave {
                    stage.delete(place).await;
                }
            }
            Step::Succeed | Step::Follow => {
                let from = format!("{}:{home}/{APP}", self.kind.to_lowercase());
                self.put(stage, home, NEXT, (&stage.home, json!({"takeOver": {"ref": from}})))
                    .await;
            }
            Step::Update | Step::Prune => {
                let change = json!({"spec": {"template": {"parameters": (self.parameters)(step)}}});
                stage.edit(place, change).await;
            }
            Step::RollOut => self.install_with(&stage.beside(home), staged("two")).await,
            Step::Detach => drop(stage.edit(place, json!({"spec": {"template": null}})).await),
            Step::Delete | Step::Ask => stage.delete(place).await,
            Step::Confirm => {
                let object = stage.get(place).await.unwrap();
                let message = condition(&object, "Ready").message;
                let token = message.rsplit_once('=').unwrap().1;
                let change = json!({"metadata": {"annotations": {"landfall.dev/confirm-deletion": token}}});
                stage.edit(place, change).await;
            }
        }
    }

    /// Applies an instance of the workflow's template.
    async fn put(&self, stage: &Stage<'_>, home: &str, name: &str, (platform, more): (&str, Value)) {
        let reference = format!("{platform}/{}", self.name);
        let template = with(json!({"ref": reference}), more);
        let spec = if self.kind == "System" {
            json!({"owner": "team", "template": template})
        } else {
            json!({"type": "service", "lifecycle": "production", "owner": "team", "template": template})
        };
        stage
            .put(json!({
                "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": self.kind,
                "metadata": {"name": name, "namespace": home}, "spec": spec,
            }))
            .await;
    }

    /// Waits until the step is done.
    pub async fn done(&self, stage: &Stage<'_>, step: Step, home: &str) {
        let place = (self.kind, home, APP);
        let ready = |object: &Value| is_current(object) && condition(object, "Ready").status == "True";
        match step {
            Step::Delete | Step::Confirm => stage.vanishes(place).await,
            Step::Ask => {
                let asks = |object: &Value| condition(object, "Ready").reason == "DeletionNotConfirmed";
                stage.becomes(place, asks).await;
            }
            Step::Agree | Step::Leave => {
                let waits = |object: &Value| condition(object, "Moving").reason == "WaitingForTakeOver";
                stage.becomes(place, waits).await;
            }
            Step::Succeed => {
                stage.becomes((self.kind, home, NEXT), ready).await;
                let done = |object: &Value| condition(object, "Ready").reason == "HandedOver";
                stage.becomes(place, done).await;
            }
            Step::Follow => {
                stage.becomes((self.kind, home, NEXT), ready).await;
                stage.vanishes(place).await;
            }
            _ => drop(stage.becomes(place, ready).await),
        }
        if self.own {
            // The template counts it in its own time.
            let version = if step == Step::RollOut { "two" } else { "one" };
            let counted = |object: &Value| {
                let (rollout, all) = (
                    &object["status"]["rollout"],
                    json!({"total": 1, "updated": 1, "ready": 1}),
                );
                rollout["version"] == version && rollout["state"] == "Complete" && object["status"]["instances"] == all
            };
            stage.becomes(("Template", home, self.name), counted).await;
        }
    }
}

fn text_and_more(step: Step) -> Value {
    match step {
        Step::Create => json!({"text": "one", "more": true}),
        Step::Update => json!({"text": "two"}),
        _ => json!({"more": false}),
    }
}

fn schema() -> Value {
    parameters(json!({
        "text": {"type": "string", "default": "one"},
        "more": {"type": "boolean", "default": true},
    }))
}

/// Metadata of an object in the namespace that the plan makes as `ns`.
fn inside(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "${{ resources.ns.metadata.name }}"}})
}

/// A namespace with objects in it, and one beside the instance; two of them can be taken away.
fn life() -> Value {
    let optional = json!({"if": "${{ parameters.more }}"});
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "9"}}});
    let settings = config_map("settings", json!({"text": "${{ parameters.text }}"}));
    let more = with(config_map("more", json!({"a": "b"})), inside("more"));
    let resources = json!([
        resource("ns", namespace_manifest("")),
        resource("quota", with(quota, inside("quota"))),
        resource(
            "account",
            with(json!({"apiVersion": "v1", "kind": "ServiceAccount"}), inside("run"))
        ),
        resource("settings", with(settings, inside("settings"))),
        with(resource("more", more), optional.clone()),
        with(resource("beside", config_map("beside", json!({"a": "b"}))), optional),
    ]);
    with(schema(), json!({"resources": resources}))
}

/// An object in each of two environments, and one outside, at a version.
fn staged(version: &str) -> Value {
    let each = json!({"each": {"dev": {}, "prod": {}}, "environment": "${{ each.key }}"});
    let config = config_map("${{ each.key }}", json!({"text": version}));
    let resources = json!([
        with(resource("config", config), each),
        resource("shared", config_map("shared", json!({"text": version}))),
    ]);
    json!({
        "version": version, "resources": resources,
        "rollout": {"environments": ["dev", "prod"], "maxUnavailable": 1},
    })
}

/// Objects that are made once, or left to others.
fn kept() -> Value {
    let settings = |name: &str| config_map(name, json!({"text": "${{ parameters.text }}"}));
    let left = with(resource("left", settings("left")), json!({"deletionPolicy": "Retain"}));
    let resources = json!([
        with(resource("once", settings("once")), json!({"mode": "Once"})),
        resource("plain", settings("plain")),
        left,
        with(
            resource("more", settings("more")),
            json!({"deletionPolicy": "Retain", "if": "${{ parameters.more }}"})
        ),
    ]);
    with(schema(), json!({"resources": resources}))
}

/// A namespace that others have made and handed over, and an object of theirs in it of which a field is set.
fn patched() -> Value {
    let theirs = with(
        config_map("", json!({"text": "${{ parameters.text }}"})),
        inside("theirs"),
    );
    let set = with(
        resource("set", theirs),
        json!({"mode": "Patch", "if": "${{ parameters.more }}"}),
    );
    with(
        schema(),
        json!({"resources": [resource("ns", namespace_manifest("")), set]}),
    )
}

/// What [`patched`] finds.
fn handed_over(home: &str) -> Vec<Value> {
    let namespace = format!("{home}-{APP}");
    let mark = json!({"landfall.dev/adopt-by": format!("component:{home}/{APP}")});
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "annotations": mark}}),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": namespace},
            "data": {"theirs": "yes"},
        }),
    ]
}

/// A namespace whose deletion is to be confirmed.
fn confirmed() -> Value {
    let resources = json!([
        with(
            resource("ns", namespace_manifest("")),
            json!({"deletionPolicy": "Confirm"})
        ),
        resource("settings", with(config_map("", json!({"a": "b"})), inside("settings"))),
    ]);
    with(schema(), json!({"resources": resources}))
}

/// Objects whose names are not made of the instance's.
fn moved() -> Value {
    let namespace = with(
        namespace_manifest(""),
        json!({"metadata": {"name": "${{ entity.metadata.namespace }}-space"}}),
    );
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "9"}}});
    let settings = config_map("settings", json!({"of": "${{ entity.metadata.name }}"}));
    let once = with(config_map("once", json!({"a": "b"})), inside("once"));
    let resources = json!([
        resource("ns", namespace),
        resource("quota", with(quota, inside("quota"))),
        resource("settings", with(settings, inside("settings"))),
        with(resource("once", once), json!({"mode": "Once"})),
        with(
            resource("kept", config_map("kept", json!({"a": "b"}))),
            json!({"deletionPolicy": "Retain"})
        ),
    ]);
    json!({"resources": resources})
}

/// An object that cannot be changed, and is made anew instead.
fn replaced() -> Value {
    let fixed = with(
        config_map("fixed", json!({"text": "${{ parameters.text }}"})),
        json!({"immutable": true}),
    );
    let resources = json!([with(resource("fixed", fixed), json!({"replace": true}))]);
    with(schema(), json!({"resources": resources}))
}

/// The template of the example.
fn golden_path() -> Value {
    let text = fs::read_to_string(repository().join("examples/golden-path/template.yaml")).unwrap();
    let template: Value = serde_saphyr::from_str(&text).unwrap();
    let field = |name: &str| template["spec"][name].clone();
    json!({"parameters": field("parameters"), "resources": field("resources")})
}

fn environments(step: Step) -> Value {
    match step {
        Step::Create => {
            json!({"repository": "harbour-goods/app", "environments": {"dev": {}, "prod": {"replicas": 3, "public": true}}})
        }
        Step::Update => json!({"environments": {"prod": {"replicas": 4}}}),
        _ => json!({"environments": {"prod": {"public": false}}}),
    }
}
