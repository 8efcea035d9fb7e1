//! How soon people are told: of a change before it is applied, of a mistake in a template, of drift that is left.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};

use crate::load::Load;
use crate::support::{Stage, condition, config_map, resource, with};
use crate::table::Table;

/// How long any one thing may take before the bench gives up.
const LIMIT: Duration = Duration::from_mins(2);

/// A watch on one object.
struct Seen {
    events: Pin<Box<dyn futures::Stream<Item = watcher::Result<Event<DynamicObject>>> + Send>>,
}

impl Seen {
    fn of(stage: &Stage<'_>, kind: &str, name: &str) -> Self {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        Self {
            events: Box::pin(watcher(stage.api(kind, &stage.home), config)),
        }
    }

    /// Waits until the watch shows the object so.
    async fn shows(&mut self, holds: impl Fn(&Value) -> bool) {
        let wait = async {
            loop {
                match self.events.next().await {
                    Some(Ok(Event::Apply(object) | Event::InitApply(object))) => {
                        if holds(&serde_json::to_value(object).unwrap()) {
                            return;
                        }
                    }
                    Some(_) => {}
                    None => panic!("the watch ended"),
                }
            }
        };
        tokio::time::timeout(LIMIT, wait)
            .await
            .unwrap_or_else(|_| panic!("waited {LIMIT:?} for an object to be as expected"));
    }
}

/// From the answer to an edit of an object that is only reported on until a watch shows `Drifted` with the field and its author.
pub async fn drift_told(stage: &Stage<'_>, table: &mut Table, count: usize) {
    let settings = config_map("reported", json!({"a": "one"}));
    let reported = with(resource("settings", settings), json!({"driftPolicy": "Report"}));
    stage.template("reported", json!([reported])).await;
    stage.component("reported", json!({"ref": "reported"})).await;
    stage.ready("Component", "reported").await;
    let place = ("ConfigMap", stage.home.as_str(), "reported");
    let mut seen = Seen::of(stage, "Component", "reported");
    let mut taken = Vec::new();
    for _ in 0..count {
        seen.shows(|object| condition(object, "Drifted").status.is_empty())
            .await;
        stage.edit(place, json!({"data": {"a": "edited"}})).await;
        let began = Instant::now();
        seen.shows(|object| {
            condition(object, "Drifted")
                .message
                .contains("data.a was changed by field manager someone")
        })
        .await;
        taken.push(began.elapsed());
        stage.edit(place, json!({"data": {"a": "one"}})).await;
    }
    table.times("drift told (driftPolicy: Report)", &taken, None, "");
}

/// From the answer to an edit of a template, in turn good and bad, until a watch shows what is said of it.
pub async fn verdicts(stage: &Stage<'_>, table: &mut Table, count: usize) {
    stage
        .template("edited", json!([resource("settings", config_map("edited", json!({})))]))
        .await;
    let mut seen = Seen::of(stage, "Template", "edited");
    let mut taken = Vec::new();
    for number in 0..count {
        let text = if number % 2 == 0 {
            "${{ parameters.mistaken }}"
        } else {
            "${{ entity.metadata.name }}"
        };
        let data = json!({"number": number.to_string(), "text": text});
        let object = stage.template_object(
            "edited",
            json!([resource("settings", config_map("edited", data))]),
            json!({}),
        );
        let generation = stage.put(object).await["metadata"]["generation"].clone();
        let began = Instant::now();
        seen.shows(|object| object["status"]["observedGeneration"] == generation)
            .await;
        taken.push(began.elapsed());
    }
    table.times("edit of a template to the verdict on it", &taken, None, "");
}

/// `landfall plan` of so many instances at once, each of which is changed in one field: the whole program, from start to end.
pub async fn plans(load: &Load<'_>, table: &mut Table, count: usize) {
    const ROUNDS: usize = 5;
    let names: Vec<String> = (0..count).map(|number| format!("plan-{number}")).collect();
    let these: Vec<&str> = names.iter().map(String::as_str).collect();
    load.make(&these).await;
    let documents: Vec<String> = these.iter().map(|name| load.component(name, 10).to_string()).collect();
    let file = std::env::temp_dir().join(format!("landfall-bench-{}.yaml", std::process::id()));
    std::fs::write(&file, documents.join("\n---\n")).unwrap();
    let mut taken = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["plan", "-o", "json", "-f"])
            .arg(&file)
            .env("KUBECONFIG", load.stage.cluster.kubeconfig())
            .output()
            .unwrap();
        taken.push(began.elapsed());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["summary"]["changed"], count, "{}", report["summary"]);
    }
    let _ = std::fs::remove_file(&file);
    table.times(
        &format!("landfall plan of {count} changed instances of 5 objects"),
        &taken,
        None,
        "",
    );
    load.delete_all(&these).await;
}
