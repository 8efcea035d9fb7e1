//! The runs of pipelines in an instance's namespaces, as its status shows them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use kube::api::ListParams;
use serde_json::Value;

use super::Pass;
use super::access::object_api;
use super::inventory::is_namespace;
use crate::api::instance::{InventoryEntry, PipelineStatus};
use crate::controllers::children::{Child, Watch, WatchKey};
use crate::runtime::clients::Account;
use crate::template::pipelines::{Engine, failed_task, failures, pipelines};
use crate::template::plan::Plan;

/// How many failed runs are remembered; past it, all are forgotten and asked for again where they are still shown.
const KNOWN: usize = 4096;
/// The most tasks of one run that are looked at.
const TASKS: u32 = 100;
/// The label by which Tekton marks a `TaskRun` with its `PipelineRun`.
const OF_RUN: &str = "tekton.dev/pipelineRun";

/// Why runs have failed, as their tasks say, by the run's UID: a run that is over says the same for ever, so that it
/// is asked about once.
#[derive(Default)]
pub struct FailedTasks {
    known: Mutex<HashMap<String, Cause>>,
}

/// What is known of why a run failed.
#[derive(Clone, Debug)]
enum Cause {
    /// Its task says so.
    Task(String),
    /// It was asked for, and there is none, or it may not be seen.
    None,
}

impl FailedTasks {
    fn get(&self, run: &Value) -> Option<Cause> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(uid(run)).cloned()
    }

    fn learn(&self, run: &Value, cause: Cause) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(uid(run).to_owned(), cause);
    }
}

/// The runs in the instance's namespaces. One that this very pass has made is in the watch on what bears our label before the watch
/// on all runs tells of it, and a status without it would be followed by another.
fn seen(inventory: &[InventoryEntry], watches: &HashMap<WatchKey, Arc<Watch>>) -> Vec<Child> {
    let of_runs = watches.iter().filter(|(key, _)| {
        Engine::ALL
            .iter()
            .any(|engine| engine.run() == (&key.kind.group, &key.kind.kind))
    });
    let mut newest: HashMap<String, Child> = HashMap::new();
    for (_, watch) in of_runs {
        for entry in inventory.iter().filter(|entry| is_namespace(entry)) {
            for run in watch.within(&entry.name) {
                let known = newest.get(&run.uid);
                if known.is_none_or(|known| known.resource_version < run.resource_version) {
                    newest.insert(run.uid.clone(), run);
                }
            }
        }
    }
    newest.into_values().collect()
}

fn uid(run: &Value) -> &str {
    run.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
}

impl Pass<'_> {
    /// The watches on all runs, whoever started them, of the engines that the plan has to do with.
    pub(super) fn runs(&self, plan: &Plan, account: &Account) -> Vec<WatchKey> {
        let told = |engine: &Engine| {
            let mut kinds = plan.objects.iter().map(|object| &object.kind);
            kinds.any(|kind| engine.is_told_by(&kind.group, &kind.kind))
        };
        let kind = |engine: Engine| {
            let (group, kind) = engine.run();
            self.world.kinds.find(group, kind)
        };
        Engine::ALL
            .into_iter()
            .filter(told)
            .filter_map(kind)
            .map(|kind| WatchKey {
                account: account.clone(),
                kind,
                labelled: false,
            })
            .collect()
    }

    /// The pipelines whose runs lie in the instance's own namespaces.
    pub(super) async fn pipelines(
        &self,
        account: &Account,
        inventory: &[InventoryEntry],
        watches: &HashMap<WatchKey, Arc<Watch>>,
    ) -> Vec<PipelineStatus> {
        let runs = seen(inventory, watches);
        let runs: Vec<&Value> = runs.iter().map(|run| run.object.as_ref()).collect();
        let unknown = failures(&runs)
            .into_iter()
            .filter(|run| self.known_cause(run).is_none())
            .map(|run| self.ask(account, run));
        join_all(unknown).await;
        pipelines(&runs, |run| match self.known_cause(run) {
            Some(Cause::Task(said)) => Some(said),
            Some(Cause::None) | None => None,
        })
    }

    /// What is known of why a run failed, also from the status that was written before this process began.
    fn known_cause(&self, run: &Value) -> Option<Cause> {
        let text = |pointer: &str| run.pointer(pointer).and_then(Value::as_str);
        let written = || {
            let shown = self.instance.status.pipelines.iter();
            let mut shown = shown.filter(|pipeline| text("/metadata/namespace") == Some(&pipeline.namespace));
            let last = shown.find_map(|pipeline| {
                let last = pipeline.last_run.as_ref()?;
                (text("/metadata/name") == Some(&last.name)
                    && text("/status/completionTime") == last.finished.as_deref())
                .then_some(last)
            })?;
            last.message
                .clone()
                .filter(|message| message.starts_with("task "))
                .map(Cause::Task)
        };
        self.world.failed_tasks.get(run).or_else(written)
    }

    /// Looks at a failed run's tasks, as the account. A right to list them that it lacks leaves the run's own words.
    async fn ask(&self, account: &Account, run: &Value) {
        let text = |pointer: &str| run.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let Some(kind) = self.world.kinds.find("tekton.dev", "TaskRun") else {
            return;
        };
        let Ok(api) = object_api(self.world, account, &kind, Some(text("/metadata/namespace"))) else {
            return;
        };
        let of_run = format!("{OF_RUN}={}", text("/metadata/name"));
        match api.list(&ListParams::default().labels(&of_run).limit(TASKS)).await {
            Ok(tasks) => {
                let tasks: Vec<Value> = tasks
                    .items
                    .into_iter()
                    .filter_map(|task| serde_json::to_value(task).ok())
                    .collect();
                let cause = failed_task(&tasks.iter().collect::<Vec<_>>());
                self.world
                    .failed_tasks
                    .learn(run, cause.map_or(Cause::None, Cause::Task));
            }
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
                tracing::debug!(
                    run = text("/metadata/name"),
                    cause = %status.message,
                    "its tasks are not looked at"
                );
                self.world.failed_tasks.learn(run, Cause::None);
            }
            Err(error) => tracing::debug!(run = text("/metadata/name"), %error, "its tasks could not be looked at"),
        }
    }
}
