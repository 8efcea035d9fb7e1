//! A new version of a template for many instances of three environments, one environment after the other, and their teardown.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};

use crate::load::Load;
use crate::process::Usage;
use crate::support::{Cluster, Mark, OPERATOR_AGENT, Operator, Stage, condition, counted, eventually_within};
use crate::table::Table;

/// How long all of it may take before the bench gives up.
const LIMIT: Duration = Duration::from_mins(30);
/// A tenth of the instances may be unavailable.
const PERCENT: usize = 10;
/// Three environments with one object that changes: announced, changed and told in each, and at last the rest, of which there is none.
const REQUESTS: f64 = 11.0;
/// What is deleted is announced; then the three namespaces, what came of it, and the finalizer.
const DELETION: f64 = 6.0;

async fn publish(stage: &Stage<'_>, version: &str, pods: &str) {
    let each = |id: &str, manifest: Value| json!({"id": id, "each": "${{ parameters.environments }}", "environment": "${{ each.key }}", "manifest": manifest});
    let namespace = "${{ entity.metadata.namespace }}-${{ entity.metadata.name }}-${{ each.key }}";
    let resources = json!([
        each(
            "ns",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        ),
        each(
            "quota",
            json!({
                "apiVersion": "v1", "kind": "ResourceQuota",
                "metadata": {"name": "size", "namespace": "${{ resources.ns[each.key].metadata.name }}"},
                "spec": {"hard": {"pods": pods}},
            })
        ),
    ]);
    let environments = json!({"type": "object", "default": {"dev": {}, "prod": {}, "stage": {}}});
    let more = json!({
        "version": version,
        "rollout": {"environments": ["dev", "stage", "prod"], "maxUnavailable": format!("{PERCENT}%")},
        "parameters": {"type": "object", "properties": {"pods": {"type": "integer"}, "environments": environments}},
    });
    stage.template_with("app", resources, more).await;
}

/// The most that were not Ready at a time, by a watch.
async fn watch_down(api: Api<DynamicObject>, most: Arc<AtomicUsize>) {
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
    let mut down = HashSet::new();
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(object) | Event::InitApply(object)) = event else {
            continue;
        };
        let name = object.metadata.name.clone().unwrap_or_default();
        if condition(&serde_json::to_value(object).unwrap(), "Ready").status == "True" {
            down.remove(&name);
        } else {
            down.insert(name);
        }
        most.fetch_max(down.len(), Ordering::Relaxed);
    }
}

/// What the budgets count for instances.
async fn asked_since(stage: &Stage<'_>, mark: Mark) -> usize {
    let entries = counted(stage.cluster.audit().since(mark).await, OPERATOR_AGENT);
    let of_templates = ["templates.", "controllerrevisions."];
    let mine = entries
        .iter()
        .filter(|entry| !of_templates.iter().any(|resource| entry.resource.starts_with(resource)));
    mine.count()
}

pub async fn staged(cluster: &'static Cluster, operator: &Operator, table: &mut Table, count: usize) {
    let stage = Stage::on(cluster, "staged").await;
    publish(&stage, "1.0.0", "9").await;
    let load = Load::watching(&stage);
    let names: Vec<String> = (0..count).map(|number| format!("staged-{number}")).collect();
    for part in names.chunks(200) {
        load.make(&part.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    rolled_out(&stage, "1.0.0").await;
    load.quiet().await;

    let most = Arc::<AtomicUsize>::default();
    let watching = tokio::spawn(watch_down(stage.api("Component", &stage.home), most.clone()));
    let mark = cluster.audit().mark().await;
    let (before, began) = (Usage::of(operator, cluster), Instant::now());
    publish(&stage, "2.0.0", "8").await;
    rolled_out(&stage, "2.0.0").await;
    let (took, used) = (began.elapsed(), Usage::of(operator, cluster).since(before));
    load.quiet().await;
    watching.abort();
    let what = format!("a new version for {count} of three environments");
    let asked = asked_since(&stage, mark).await;
    table.counts(
        &format!("requests each, {what}"),
        asked as f64 / count as f64,
        REQUESTS,
        "",
    );
    let allowed = (count * PERCENT / 100).max(1);
    table.counts(
        &format!("not Ready at a time, {what}"),
        most.load(Ordering::Relaxed) as f64,
        allowed as f64,
        "",
    );
    table.text(
        &format!("everywhere, {what}"),
        &format!("{:.1} s", took.as_secs_f64()),
        "",
    );
    table.usage(&what, &used, "", "");

    let mark = cluster.audit().mark().await;
    let began = Instant::now();
    load.delete_all(&names.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    let took = began.elapsed();
    let asked = asked_since(&stage, mark).await;
    let what = format!("{count} of three environments deleted at once");
    table.counts(
        &format!("requests each, {what}"),
        asked as f64 / count as f64,
        DELETION,
        "",
    );
    table.text(
        &format!("all gone, {what}"),
        &format!("{:.1} s", took.as_secs_f64()),
        "",
    );
}

async fn rolled_out(stage: &Stage<'_>, version: &str) {
    eventually_within(LIMIT, "the version to be everywhere", async || {
        let template = stage.get(("Template", &stage.home, "app")).await.unwrap();
        let rollout = &template["status"]["rollout"];
        let over = rollout["version"] == version && rollout["state"] == "Complete";
        if over { Ok(()) } else { Err(rollout.to_string()) }
    })
    .await;
}
