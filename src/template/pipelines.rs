//! An instance's pipelines, as its status shows them: each with its last run.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::api::conditions::bounded;
use crate::api::instance::{PipelineRunStatus, PipelineStatus};
use crate::catalog::urls;

mod argo;
mod tekton;
#[cfg(test)]
mod tests;

pub use tekton::failed_task;

/// The most pipelines that a status shows.
const PIPELINES: usize = 64;
/// The longest message, in bytes.
const MESSAGE: usize = 1024;
/// The longest revision, in bytes.
const REVISION: usize = 253;
/// What names a revision of the source, without case, `-`, `_` and `.`.
const REVISION_NAMES: [&str; 10] = [
    "commit",
    "commitsha",
    "gitcommit",
    "gitcommitsha",
    "gitrevision",
    "gitsha",
    "chainsgitcommit",
    "revision",
    "sha",
    "sourcerevision",
];
/// What names the page of a run, without case, `-`, `_` and `.`.
const PAGE_NAMES: [&str; 7] = [
    "logurl",
    "logsurl",
    "runurl",
    "pipelinerunurl",
    "dashboardurl",
    "consoleurl",
    "url",
];

/// What runs a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// Tekton Pipelines, whose runs are `PipelineRun`s.
    Tekton,
    /// Argo Workflows, whose runs are `Workflow`s.
    Argo,
}

impl Engine {
    /// Every one of them.
    pub const ALL: [Self; 2] = [Self::Tekton, Self::Argo];

    /// As the status names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tekton => "Tekton",
            Self::Argo => "Argo Workflows",
        }
    }

    /// The group and the kind of its runs.
    pub fn run(self) -> (&'static str, &'static str) {
        match self {
            Self::Tekton => ("tekton.dev", "PipelineRun"),
            Self::Argo => ("argoproj.io", "Workflow"),
        }
    }

    /// Whether a template that holds an object of this kind gives its instances pipelines of this engine.
    pub fn is_told_by(self, group: &str, kind: &str) -> bool {
        match self {
            // Triggers and Pipelines as Code start runs, too.
            Self::Tekton => group == "tekton.dev" || group.ends_with(".tekton.dev"),
            // Argo CD, Rollouts and Events live in the same group; of these a Sensor starts Workflows.
            Self::Argo => group == "argoproj.io" && (kind.contains("Workflow") || kind == "Sensor"),
        }
    }

    fn of(run: &Value) -> Option<Self> {
        let group = text(run, "/apiVersion").split('/').next().unwrap_or_default();
        let kind = text(run, "/kind");
        let named = !text(run, "/metadata/name").is_empty();
        Self::ALL
            .into_iter()
            .find(|engine| engine.run() == (group, kind) && named)
    }
}

/// The pipelines that `runs` are runs of, sorted by namespace and name, each with its newest run. What is no run of
/// an [`Engine`] is left out, and so are, past 64, the pipelines that ran longest ago.
///
/// `task` gives what [`failed_task`] gave for a run that [`failures`] named.
pub fn pipelines(runs: &[&Value], task: impl Fn(&Value) -> Option<String>) -> Vec<PipelineStatus> {
    newest(runs)
        .into_iter()
        .map(|(pipeline, run)| PipelineStatus {
            name: pipeline.name.to_owned(),
            namespace: pipeline.namespace.to_owned(),
            engine: pipeline.engine.name().to_owned(),
            last_run: Some(last_run(run, pipeline.engine, &task)),
        })
        .collect()
}

/// The runs that [`pipelines`] shows as failed and that do not say themselves why: their tasks do.
pub fn failures<'r>(runs: &[&'r Value]) -> Vec<&'r Value> {
    newest(runs)
        .into_iter()
        .filter(|(pipeline, run)| pipeline.engine == Engine::Tekton && tekton::has_failed_in_a_task(run))
        .map(|(_, run)| run)
        .collect()
}

/// Takes out of a run what nothing here reads: a run carries its whole pipeline and every one of its steps.
pub fn slim(run: &mut Value) {
    if let Some(annotations) = run.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    match Engine::of(run) {
        Some(Engine::Tekton) => tekton::slim(run),
        Some(Engine::Argo) => argo::slim(run),
        None => {}
    }
}

/// A pipeline, by what tells it from others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pipeline<'r> {
    namespace: &'r str,
    name: &'r str,
    engine: Engine,
}

impl<'r> Pipeline<'r> {
    /// The pipeline of a run: what the engine names, else what the run's generated name begins with, else the run is
    /// the only one of its own.
    fn of(run: &'r Value) -> Option<Self> {
        let engine = Engine::of(run)?;
        let named = match engine {
            Engine::Tekton => tekton::pipeline_name(run),
            Engine::Argo => argo::pipeline_name(run),
        };
        let generated = text(run, "/metadata/generateName").trim_end_matches('-');
        let name = [named.unwrap_or_default(), generated, text(run, "/metadata/name")];
        Some(Self {
            namespace: text(run, "/metadata/namespace"),
            name: name.into_iter().find(|name| !name.is_empty()).unwrap_or_default(),
            engine,
        })
    }
}

fn newest<'r>(runs: &[&'r Value]) -> Vec<(Pipeline<'r>, &'r Value)> {
    let mut newest: BTreeMap<Pipeline<'_>, &Value> = BTreeMap::new();
    for run in runs.iter().copied() {
        let Some(pipeline) = Pipeline::of(run) else { continue };
        let last = newest.entry(pipeline).or_insert(run);
        if age(run) > age(last) {
            *last = run;
        }
    }
    let mut kept: Vec<(Pipeline<'_>, &Value)> = newest.into_iter().collect();
    if kept.len() > PIPELINES {
        kept.sort_by(|(_, one), (_, other)| age(other).cmp(&age(one)));
        kept.truncate(PIPELINES);
        kept.sort_by_key(|(pipeline, _)| *pipeline);
    }
    kept
}

/// What later runs have more of. Kubernetes writes times so that they sort as text.
fn age(run: &Value) -> (&str, &str) {
    (text(run, "/metadata/creationTimestamp"), text(run, "/metadata/name"))
}

fn last_run(run: &Value, engine: Engine, task: impl Fn(&Value) -> Option<String>) -> PipelineRunStatus {
    let (state, message, times) = match engine {
        Engine::Tekton => (
            tekton::state(run),
            tekton::message(run, task),
            ["/status/startTime", "/status/completionTime"],
        ),
        Engine::Argo => (
            argo::state(run),
            argo::message(run),
            ["/status/startedAt", "/status/finishedAt"],
        ),
    };
    let [started, finished] = times.map(|pointer| given(run, pointer));
    PipelineRunStatus {
        name: text(run, "/metadata/name").to_owned(),
        state: state.to_owned(),
        started,
        finished,
        revision: revision(run).map(str::to_owned),
        url: page(run).map(str::to_owned),
        message: message.map(|said| bounded(said.trim(), MESSAGE)),
    }
}

/// The revision: what the run found out comes before what it was told.
fn revision(run: &Value) -> Option<&str> {
    let places = [
        "/status/results",
        "/status/pipelineResults",
        "/status/outputs/parameters",
        "/spec/params",
        "/spec/arguments/parameters",
    ];
    let named = places.into_iter().flat_map(|pointer| {
        list(run, pointer).filter_map(|entry| Some((entry.get("name")?.as_str()?, entry.get("value")?.as_str()?)))
    });
    let marks = ["/metadata/labels", "/metadata/annotations"]
        .into_iter()
        .flat_map(|pointer| marks(run, pointer));
    named
        .chain(marks)
        .filter(|(name, _)| is_one_of(name, &REVISION_NAMES))
        .map(|(_, value)| value.trim())
        .find(|value| {
            !value.is_empty()
                && value.len() <= REVISION
                && !value.contains(|c: char| c.is_whitespace() || c.is_control())
        })
}

fn page(run: &Value) -> Option<&str> {
    marks(run, "/metadata/annotations")
        .filter(|(name, _)| is_one_of(name, &PAGE_NAMES))
        .find_map(|(_, value)| urls::clean(value))
}

/// The labels or annotations, by the part of their key behind the prefix, in the order of their keys.
fn marks<'a>(run: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let marks = run.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    marks.filter_map(|(key, value)| Some((key.rsplit('/').next().unwrap_or(key), value.as_str()?)))
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | '.'))
        .flat_map(char::to_lowercase)
        .collect();
    names.contains(&plain.as_str())
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn given(value: &Value, pointer: &str) -> Option<String> {
    Some(text(value, pointer))
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// Leaves of the object at `pointer` only the fields of these names.
fn keep(value: &mut Value, pointer: &str, names: &[&str]) {
    if let Some(fields) = value.pointer_mut(pointer).and_then(Value::as_object_mut) {
        let all: Map<String, Value> = std::mem::take(fields);
        *fields = all
            .into_iter()
            .filter(|(name, _)| names.contains(&name.as_str()))
            .collect();
    }
}
