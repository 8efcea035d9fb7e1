//! What is asked of the operator, and how it is seen.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt, TryStreamExt, stream};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{ACCOUNT, Mark, OPERATOR_AGENT, Stage, condition, counted, eventually_within, is_current};

/// How many creates are under way at a time, as of many people or one pipeline.
const AT_ONCE: usize = 64;
/// How long any one thing may take before the bench gives up.
const LIMIT: Duration = Duration::from_mins(30);

/// A template of five objects (the same kinds as in the recorded trial of kro), and what a watch has seen of its instances.
pub struct Load<'c> {
    pub stage: &'c Stage<'c>,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Receiver<u64>,
}

/// When each Component was seen to be Ready for the first time, and which are there.
#[derive(Default)]
struct Seen {
    ready: HashMap<String, Instant>,
    /// By name: the generation that was seen to be Ready last.
    generations: HashMap<String, i64>,
}

impl<'c> Load<'c> {
    pub async fn prepare(stage: &'c Stage<'c>) -> Self {
        // Whoever binds a role has its rights, or may bind it.
        stage
            .account(
                "binder",
                &json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]),
            )
            .await;
        let inside = |name: &str| json!({"name": name, "namespace": "${{ resources.ns.metadata.name }}"});
        let resources = json!([
            {"id": "ns", "manifest": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "${{ entity.metadata.namespace }}-${{ entity.metadata.name }}"}}},
            {"id": "quota", "manifest": {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": inside("size"), "spec": {"hard": {"pods": "${{ parameters.pods | string }}"}}}},
            {"id": "policy", "manifest": {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": inside("default"), "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}},
            {"id": "account", "manifest": {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": inside("run")}},
            {"id": "team", "manifest": {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": inside("team"),
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "team"}],
            }},
        ]);
        let more = json!({
            "serviceAccountName": "binder",
            "parameters": {"type": "object", "properties": {"pods": {"type": "integer", "default": 9}}},
        });
        stage.template_with("app", resources, more).await;
        Self::watching(stage)
    }

    /// What a watch sees of the instances of the template `app` in a stage.
    pub fn watching(stage: &'c Stage<'c>) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let (sender, changed) = watch::channel(0);
        let api = stage.api("Component", &stage.home);
        tokio::spawn(follow(api, seen.clone(), sender));
        Self { stage, seen, changed }
    }

    /// Creates instances, and gives for each how long it took from its creation to Ready.
    pub async fn make(&self, names: &[&str]) -> Vec<Duration> {
        let api = self.stage.api("Component", &self.stage.home);
        let creates = names.iter().map(async |name| {
            let object: DynamicObject = serde_json::from_value(self.component(name, 9)).unwrap();
            let began = Instant::now();
            api.create(&kube::api::PostParams::default(), &object).await.unwrap();
            Ok::<_, kube::Error>(((*name).to_owned(), began))
        });
        let began: Vec<(String, Instant)> = stream::iter(creates)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
            .unwrap();
        self.until("every instance to be Ready", |seen| {
            names.iter().all(|name| seen.ready.contains_key(*name))
        })
        .await;
        let seen = self.seen.lock().unwrap();
        began
            .iter()
            .map(|(name, began)| seen.ready[name].saturating_duration_since(*began))
            .collect()
    }

    pub fn component(&self, name: &str, pods: u32) -> Value {
        json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
            "metadata": {"name": name, "namespace": self.stage.home},
            "spec": {
                "type": "service", "lifecycle": "production", "owner": "group:shop/checkout",
                "template": {"ref": "app", "parameters": {"pods": pods}},
            },
        })
    }

    /// Changes one parameter of an instance and waits until it is Ready again.
    pub async fn change(&self, name: &str) {
        let change = json!({"spec": {"template": {"parameters": {"pods": 10}}}});
        let object = self.stage.edit(("Component", &self.stage.home, name), change).await;
        let generation = object["metadata"]["generation"].as_i64().unwrap();
        self.until("the changed instance to be Ready", |seen| {
            seen.generations.get(name) >= Some(&generation)
        })
        .await;
    }

    /// Deletes an instance and waits until it is gone.
    pub async fn delete(&self, name: &str) {
        self.delete_all(&[name]).await;
    }

    /// Deletes instances and waits until all are gone.
    pub async fn delete_all(&self, names: &[&str]) {
        let deletes = names
            .iter()
            .map(async |name| self.stage.delete(("Component", &self.stage.home, name)).await);
        stream::iter(deletes)
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<()>>()
            .await;
        self.until("the deleted instances to be gone", |seen| {
            names.iter().all(|name| !seen.generations.contains_key(*name))
        })
        .await;
    }

    /// Edits an object of the instance again and again, and gives for each how long it took from the edit's answer
    /// until a watch showed the object as planned.
    pub async fn repairs(&self, name: &str, count: usize) -> Vec<Duration> {
        let namespace = format!("{}-{name}", self.stage.home);
        let api = self.stage.api("ResourceQuota", &namespace);
        let config = watcher::Config::default().fields("metadata.name=size");
        let mut events: Pin<Box<_>> = Box::pin(watcher(api, config));
        let mut taken = Vec::new();
        pods(&mut events, "9").await;
        for _ in 0..count {
            self.stage
                .edit(
                    ("ResourceQuota", &namespace, "size"),
                    json!({"spec": {"hard": {"pods": "1"}}}),
                )
                .await;
            let began = Instant::now();
            pods(&mut events, "1").await;
            pods(&mut events, "9").await;
            taken.push(began.elapsed());
        }
        taken
    }

    /// Waits until an instance has been looked at because somebody asked for it.
    pub async fn looked_at(&self, name: &str) {
        self.stage.looked_at("Component", name).await;
    }

    /// Waits until the operator has asked for nothing for two seconds.
    pub async fn quiet(&self) {
        eventually_within(LIMIT, "the operator to be at rest", async || {
            let mark = self.stage.cluster.audit().mark().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            let entries = self.stage.cluster.audit().since(mark).await;
            let busy = entries
                .iter()
                .find(|entry| entry.user_agent.starts_with(OPERATOR_AGENT) && entry.verb != "watch");
            busy.map_or(Ok(()), |entry| Err(entry.to_string()))
        })
        .await;
    }

    /// How many requests the budgets count of all that the operator has asked for since: the whole process, but for the
    /// Template's own status, which counts all its instances once a second and is no instance's cost.
    pub async fn asked_since(&self, mark: Mark) -> usize {
        let entries = counted(self.stage.cluster.audit().since(mark).await, OPERATOR_AGENT);
        entries
            .iter()
            .filter(|entry| !entry.resource.starts_with("templates."))
            .count()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let mut changed = self.changed.clone();
        let wait = async {
            while !holds(&self.seen.lock().unwrap()) {
                changed.changed().await.unwrap();
            }
        };
        let within = tokio::time::timeout(LIMIT, wait).await;
        assert!(within.is_ok(), "waited {LIMIT:?} for {what}");
    }
}

/// Notes what a watch on all Components shows.
async fn follow(api: Api<DynamicObject>, seen: Arc<Mutex<Seen>>, changed: watch::Sender<u64>) {
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
    while let Some(event) = events.next().await {
        let now = Instant::now();
        let mut seen = seen.lock().unwrap();
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let name = object.metadata.name.clone().unwrap_or_default();
                let generation = object.metadata.generation.unwrap_or(0);
                let object = serde_json::to_value(object).unwrap();
                seen.generations.entry(name.clone()).or_insert(0);
                if is_current(&object) && condition(&object, "Ready").status == "True" {
                    seen.ready.entry(name.clone()).or_insert(now);
                    seen.generations.insert(name, generation);
                }
            }
            Ok(Event::Delete(object)) => {
                let name = object.metadata.name.unwrap_or_default();
                seen.generations.remove(&name);
                seen.ready.remove(&name);
            }
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => eprintln!("operator: the watch on Components: {error}"),
        }
        drop(seen);
        changed.send_modify(|count| *count += 1);
    }
}

/// Waits until the watch shows a quota of so many pods.
async fn pods(events: &mut (impl Stream<Item = watcher::Result<Event<DynamicObject>>> + Unpin), count: &str) {
    let found = tokio::time::timeout(LIMIT, async {
        loop {
            match events.next().await {
                Some(Ok(Event::Apply(object) | Event::InitApply(object)))
                    if object.data["spec"]["hard"]["pods"] == count =>
                {
                    return;
                }
                Some(_) => {}
                None => panic!("the watch ended"),
            }
        }
    });
    found
        .await
        .unwrap_or_else(|_| panic!("waited {LIMIT:?} for a quota of {count} pods"));
}
