//! A Component moves to another namespace or name: what both plans have passes with its UID, and nothing is lost on the way.

mod agreement;
mod aliases;
mod orders;
mod owner;
mod previews;
mod remains;

use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};

use crate::support::{
    Entry, Stage, condition, config_map, is_write, namespace_manifest, parameters, resource, uid, with,
};

pub const HAND_OVER_TO: &str = "landfall.dev/hand-over-to";

/// A stage with a second namespace, and a template `app` of which the names are a parameter.
pub struct Move<'c> {
    pub stage: Stage<'c>,
    /// The other namespace.
    pub other: String,
    /// The namespace that the template makes.
    pub space: String,
}

/// `value` with the fields of `more`, at every depth.
pub fn merged(mut value: Value, more: Value) -> Value {
    match (&mut value, more) {
        (Value::Object(fields), Value::Object(more)) => {
            for (name, field) in more {
                let before = fields.remove(&name).unwrap_or_default();
                fields.insert(name, merged(before, field));
            }
            value
        }
        (_, more) => more,
    }
}

/// An object in the namespace that the plan makes as `ns`.
pub fn inside(manifest: Value) -> Value {
    merged(
        manifest,
        json!({"metadata": {"namespace": "${{ resources.ns.metadata.name }}"}}),
    )
}

/// A namespace, a quota and settings in it, and something that is made once.
pub fn resources() -> Value {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "limits"}, "spec": {"hard": {"pods": "5"}},
    });
    let namespace = with(
        namespace_manifest(""),
        json!({"metadata": {"name": "${{ parameters.space }}"}}),
    );
    let settings = config_map(
        "settings",
        json!({"of": "${{ entity.metadata.namespace }}/${{ entity.metadata.name }}"}),
    );
    let first = config_map("first", json!({"made": "by ${{ entity.metadata.uid }}"}));
    json!([
        resource("ns", namespace),
        resource("quota", inside(quota)),
        resource("settings", inside(settings)),
        with(resource("first", inside(first)), json!({"mode": "Once"})),
    ])
}

impl Move<'static> {
    /// With a Ready Component `orders` of these resources.
    pub async fn of(resources: Value) -> Self {
        let stage = Stage::new("moves").await;
        let other = stage.cluster.namespace("moved").await;
        let space = format!("{}-space", stage.home);
        let moving = Self { stage, other, space };
        let more = with(
            parameters(json!({"space": {"type": "string"}, "more": {"type": "boolean", "default": true}})),
            json!({"allowedNamespaces": {"from": "All"}}),
        );
        moving.stage.template_with("app", resources, more).await;
        moving.stage.component("orders", moving.template(json!({}))).await;
        moving.stage.ready("Component", "orders").await;
        moving
    }
}

impl Move<'_> {
    /// `spec.template`, with `more`.
    pub fn template(&self, more: Value) -> Value {
        let reference = format!("{}/app", self.stage.home);
        with(json!({"ref": reference, "parameters": {"space": self.space}}), more)
    }

    /// The ref of the old one.
    pub fn old(&self) -> String {
        format!("component:{}/orders", self.stage.home)
    }

    /// The ref of the new one.
    pub fn heir(&self) -> String {
        format!("component:{}/sales", self.other)
    }

    /// The new one, which takes over from the old one; with `more` in `spec.template`.
    pub fn successor(&self, more: Value) -> Value {
        let template = with(self.template(json!({"takeOver": {"ref": self.old()}})), more);
        json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
            "metadata": {"name": "sales", "namespace": self.other},
            "spec": {"type": "service", "lifecycle": "production", "owner": "group:shop/checkout", "template": template},
        })
    }

    /// Lets the old one hand over.
    pub async fn agree(&self) {
        let mark = json!({"metadata": {"annotations": {HAND_OVER_TO: self.heir()}}});
        self.stage.edit(self.old_place(), mark).await;
    }

    pub fn old_place(&self) -> (&str, &str, &str) {
        ("Component", &self.stage.home, "orders")
    }

    pub fn new_place(&self) -> (&str, &str, &str) {
        ("Component", &self.other, "sales")
    }

    /// Waits until the new one is Ready.
    pub async fn arrived(&self) -> Value {
        let ready = |object: &Value| {
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
                && condition(object, "Ready").status == "True"
        };
        self.stage.becomes(self.new_place(), ready).await
    }

    /// Waits until Ready of an instance has this reason, and gives what it says.
    pub async fn says(&self, place: (&str, &str, &str), reason: &str) -> String {
        let holds = |object: &Value| condition(object, "Ready").reason == reason;
        condition(&self.stage.becomes(place, holds).await, "Ready").message
    }

    /// What the template makes: each object as it is.
    pub async fn objects(&self) -> Vec<Value> {
        let mut found = Vec::new();
        for place in [
            ("Namespace", "", self.space.as_str()),
            ("ResourceQuota", &self.space, "limits"),
            ("ConfigMap", &self.space, "settings"),
            ("ConfigMap", &self.space, "first"),
        ] {
            let object = self.stage.get(place).await;
            found.push(object.unwrap_or_else(|| panic!("{place:?} is gone")));
        }
        found
    }
}

/// The UIDs of objects.
pub fn uids(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(uid).collect()
}

/// Whose each of the objects is, by its label.
pub fn owners(objects: &[Value]) -> Vec<&str> {
    let owner = |object: &'_ Value| {
        object["metadata"]["labels"]["landfall.dev/instance-uid"]
            .as_str()
            .map(str::len)
    };
    assert!(objects.iter().all(|object| owner(object).is_some()), "{objects:#?}");
    objects
        .iter()
        .filter_map(|object| object["metadata"]["labels"]["landfall.dev/instance-uid"].as_str())
        .collect()
}

/// Whether something was deleted in `space`, or it itself.
pub fn deletes(entries: &[Entry], space: &str) -> Vec<String> {
    entries
        .iter()
        .filter(|entry| entry.verb.starts_with("delete") && (entry.namespace == space || entry.uri.contains(space)))
        .map(|entry| entry.uri.clone())
        .collect()
}
