//! An instance's pipelines, as its status shows them: each with its last run.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::conditions::bounded;
use crate::api::instance::{PipelineRunStatus, PipelineStatus};
use crate::catalog::urls;

#[cfg(test)]
mod tests;

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

/// The pipelines that `runs`, Tekton `PipelineRun`s of `tekton.dev/v1` or `v1beta1`, are runs of, sorted by
/// namespace and name, each with its newest run. What is not a `PipelineRun` is left out, and so are, past 64,
/// the pipelines that ran longest ago.
pub fn pipelines(runs: &[&Value]) -> Vec<PipelineStatus> {
    let mut newest: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    for run in runs.iter().copied().filter(|run| is_run(run)) {
        let key = (text(run, "/metadata/namespace"), pipeline_name(run));
        let last = newest.entry(key).or_insert(run);
        if age(run) > age(last) {
            *last = run;
        }
    }
    let mut kept: Vec<((&str, &str), &Value)> = newest.into_iter().collect();
    if kept.len() > PIPELINES {
        kept.sort_by(|(_, one), (_, other)| age(other).cmp(&age(one)));
        kept.truncate(PIPELINES);
        kept.sort_by_key(|(key, _)| *key);
    }
    kept.into_iter()
        .map(|((namespace, name), run)| PipelineStatus {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            engine: "Tekton".to_owned(),
            last_run: Some(last_run(run)),
        })
        .collect()
}

/// A list's items need not repeat their kind.
fn is_run(run: &Value) -> bool {
    let group = text(run, "/apiVersion").split('/').next().unwrap_or_default();
    matches!(text(run, "/kind"), "" | "PipelineRun")
        && matches!(group, "" | "tekton.dev")
        && !text(run, "/metadata/name").is_empty()
}

/// The pipeline by name; a run whose pipeline is written into it, or fetched, is told by its label, or is its own.
fn pipeline_name(run: &Value) -> &str {
    [
        "/spec/pipelineRef/name",
        "/metadata/labels/tekton.dev~1pipeline",
        "/metadata/name",
    ]
    .into_iter()
    .map(|pointer| text(run, pointer))
    .find(|name| !name.is_empty())
    .unwrap_or_default()
}

/// What later runs have more of. Kubernetes writes times so that they sort as text.
fn age(run: &Value) -> (&str, &str) {
    (text(run, "/metadata/creationTimestamp"), text(run, "/metadata/name"))
}

fn last_run(run: &Value) -> PipelineRunStatus {
    let succeeded = succeeded(run);
    let word = |name: &str| {
        succeeded
            .and_then(|condition| condition.get(name)?.as_str())
            .unwrap_or_default()
    };
    let said = [word("message"), word("reason")]
        .into_iter()
        .find(|said| !said.is_empty());
    PipelineRunStatus {
        name: text(run, "/metadata/name").to_owned(),
        state: state(run, word("status"), word("reason")).to_owned(),
        started: given(run, "/status/startTime"),
        finished: given(run, "/status/completionTime"),
        revision: revision(run).map(str::to_owned),
        url: page(run).map(str::to_owned),
        message: said.map(|said| bounded(said.trim(), MESSAGE)),
    }
}

fn succeeded(run: &Value) -> Option<&Value> {
    let conditions = run.pointer("/status/conditions")?.as_array()?;
    conditions
        .iter()
        .find(|condition| condition.get("type").and_then(Value::as_str) == Some("Succeeded"))
}

/// The state in one word, from the condition Succeeded: its status and its reason.
fn state(run: &Value, status: &str, reason: &str) -> &'static str {
    match status {
        "True" => "Succeeded",
        // Cancelled; before Tekton 1.0 also PipelineRunCancelled and CancelledRunFinally.
        "False" if reason.contains("Cancelled") || reason == "StoppedRunFinally" => "Cancelled",
        "False" => "Failed",
        _ if reason == "PipelineRunPending" || text(run, "/spec/status") == "PipelineRunPending" => "Pending",
        // Not yet seen by its controller.
        "" if text(run, "/status/startTime").is_empty() => "Pending",
        _ => "Running",
    }
}

/// The revision: what the run found out comes before what it was told.
fn revision(run: &Value) -> Option<&str> {
    let named = ["/status/results", "/status/pipelineResults", "/spec/params"]
        .into_iter()
        .flat_map(|pointer| {
            let entries = run.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
            entries.filter_map(|entry| Some((entry.get("name")?.as_str()?, entry.get("value")?.as_str()?)))
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

fn given(value: &Value, pointer: &str) -> Option<String> {
    Some(text(value, pointer))
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}
