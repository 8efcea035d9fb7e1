//! What a workflow gives with nothing in its way, and what it is to give under a fault.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::workflow::{APP, NEXT, Workflow};
use crate::support::{
    Cluster, Entry, Mark, OPERATOR_AGENT, Snapshot, Stage, condition, counted, differences, eventually, is_current,
    is_write, lines, snapshots,
};

/// How long an instance is watched for writes that it should not take any more.
pub const QUIET: Duration = Duration::from_secs(2);

/// A mutating request, as the client knows it and as the audit log does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Write {
    pub method: String,
    /// Without the query.
    pub path: String,
}

impl Write {
    fn of(entry: &Entry) -> Self {
        let method = match entry.verb.as_str() {
            "create" => "POST",
            "update" => "PUT",
            "patch" => "PATCH",
            _ => "DELETE",
        };
        let path = entry.uri.split('?').next().unwrap_or_default();
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
        }
    }

    /// The same in another namespace.
    pub fn moved(&self, from: &str, to: &str) -> Self {
        Self {
            path: self.path.replace(from, to),
            ..self.clone()
        }
    }
}

/// What the steps of a workflow give with nothing in their way.
pub struct Reference {
    /// Its namespace.
    pub home: String,
    /// By step: each write, and which it is of those that look the same.
    pub writes: Vec<Vec<(Write, usize)>>,
    after: Vec<Snapshot>,
    counts: Vec<Counts>,
}

impl Reference {
    /// Takes the steps once.
    pub async fn of(stage: &Stage<'_>, workflow: &Workflow) -> Self {
        let cluster = stage.cluster;
        let home = cluster.namespace("reference").await;
        let mut reference = Self {
            writes: Vec::new(),
            after: Vec::new(),
            counts: Vec::new(),
            home: home.clone(),
        };
        for step in workflow.steps {
            let mark = cluster.audit().mark().await;
            workflow.take(stage, *step, &home).await;
            workflow.done(stage, *step, &home).await;
            settled(cluster, &home).await;
            let mut entries = writes_since(cluster, mark).await;
            entries.retain(|entry| within(entry, &home));
            reference.writes.push(numbered(&entries));
            reference.counts.push(Counts::of(&entries, &home));
            let content = snapshots(&stage.client, std::slice::from_ref(&home)).await;
            reference.after.push(content[&home].clone());
        }
        reference
    }

    /// In each of `homes`, in which the steps up to the given one were taken since the mark, things are as in the reference, and no
    /// object was made or deleted more often on the way. Gives how many writes more it took.
    pub async fn assert_same_in(&self, stage: &Stage<'_>, homes: &[(String, usize)], mark: Mark) -> usize {
        let names: Vec<String> = homes.iter().map(|(home, _)| home.clone()).collect();
        // What Kubernetes itself puts into a namespace comes in its own time.
        eventually("everything to be as without the fault", async || {
            let content = snapshots(&stage.client, &names).await;
            let differing: Vec<String> = homes
                .iter()
                .map(|(home, step)| (home, differences(&self.after[*step], &content[home])))
                .filter(|(_, differing)| !differing.is_empty())
                .map(|(home, differing)| format!("{home}:\n{differing}"))
                .collect();
            if differing.is_empty() {
                Ok(())
            } else {
                Err(differing.join("\n"))
            }
        })
        .await;
        for (home, _) in homes {
            assert_remembered(stage, home).await;
        }
        let entries = writes_since(stage.cluster, mark).await;
        homes
            .iter()
            .map(|(home, step)| self.assert_no_more_made(home, *step, &entries))
            .sum()
    }

    fn assert_no_more_made(&self, home: &str, step: usize, entries: &[Entry]) -> usize {
        let mine: Vec<Entry> = entries.iter().filter(|entry| within(entry, home)).cloned().collect();
        let expected = self.counts[..=step].iter().fold(Counts::default(), Counts::joined);
        let found = Counts::of(&mine, home);
        for (object, (made, deleted)) in &found.objects {
            let (at_most_made, at_most_deleted) = expected.objects.get(object).copied().unwrap_or_default();
            assert!(
                *made <= at_most_made && *deleted <= at_most_deleted,
                "{object} was made {made} times and deleted {deleted} times:\n{}",
                lines(&mine)
            );
        }
        found.writes.saturating_sub(expected.writes)
    }
}

/// What was written.
#[derive(Clone, Debug, Default)]
struct Counts {
    /// How often each object was made and deleted.
    objects: BTreeMap<String, (usize, usize)>,
    /// All that the apiserver took.
    writes: usize,
}

impl Counts {
    fn of(entries: &[Entry], home: &str) -> Self {
        let mut counts = Self::default();
        let counted =
            |entry: &&Entry| within(entry, home) && entry.code < 300 && !entry.resource.starts_with("templates.");
        for entry in entries.iter().filter(counted) {
            let object = format!("{} {}/{}", entry.resource, entry.namespace, entry.name).replace(home, "HOME");
            let (made, deleted) = counts.objects.entry(object).or_default();
            *made += usize::from(entry.code == 201);
            *deleted += usize::from(entry.verb == "delete");
            counts.writes += 1;
        }
        counts
    }

    fn joined(mut self, other: &Self) -> Self {
        for (object, (made, deleted)) in &other.objects {
            let all = self.objects.entry(object.clone()).or_default();
            *all = (all.0 + made, all.1 + deleted);
        }
        self.writes += other.writes;
        self
    }
}

/// What the operator tried to write since the mark, as the apiserver saw it.
pub async fn writes_since(cluster: &Cluster, mark: Mark) -> Vec<Entry> {
    let mut entries = counted(cluster.audit().since(mark).await, OPERATOR_AGENT);
    entries.retain(is_write);
    entries
}

/// Whether a request is about something in `home`, or in what was made from there.
pub fn within(entry: &Entry, home: &str) -> bool {
    [&entry.namespace, &entry.name]
        .into_iter()
        .any(|place| is_in(place, home))
}

/// Whether a namespace is `home`, or was made from there.
pub fn is_in(namespace: &str, home: &str) -> bool {
    namespace
        .strip_prefix(home)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The writes that every run takes. Of statuses in a row only the first is one: namespaces go in their own time, and how many states of
/// that are seen differs. A template's status counts its instances once a second, and is none of them.
fn numbered(entries: &[Entry]) -> Vec<(Write, usize)> {
    let mut seen: BTreeMap<Write, usize> = BTreeMap::new();
    let mut taken = Vec::new();
    let mut last = None;
    for entry in entries.iter().filter(|entry| !entry.resource.starts_with("templates.")) {
        let write = Write::of(entry);
        let occurrence = seen.entry(write.clone()).or_default();
        *occurrence += 1;
        let again = write.path.ends_with("/status") && last.as_ref() == Some(&write);
        last = Some(write.clone());
        if !again {
            taken.push((write, *occurrence));
        }
    }
    taken
}

/// Waits until the operator has written nothing there for a while.
async fn settled(cluster: &Cluster, home: &str) {
    loop {
        let mark = cluster.audit().mark().await;
        tokio::time::sleep(QUIET).await;
        if !writes_since(cluster, mark)
            .await
            .iter()
            .any(|entry| within(entry, home))
        {
            return;
        }
    }
}

/// The operator writes nothing in any of `homes` for as long as `quiet`.
pub async fn assert_quiet(cluster: &Cluster, homes: &[String], quiet: Duration) {
    let mark = cluster.audit().mark().await;
    tokio::time::sleep(quiet).await;
    let mut late = writes_since(cluster, mark).await;
    late.retain(|entry| homes.iter().any(|home| within(entry, home)));
    assert!(late.is_empty(), "written though it was done:\n{}", lines(&late));
}

/// Since the mark the operator has written nowhere but in `homes`.
pub async fn assert_nowhere_else(cluster: &Cluster, homes: &[String], mark: Mark) {
    let mut all = writes_since(cluster, mark).await;
    all.retain(|entry| !homes.iter().any(|home| within(entry, home)));
    assert!(all.is_empty(), "written where nothing was asked for:\n{}", lines(&all));
}

/// No operator on this cluster has panicked.
pub fn assert_no_panic(cluster: &Cluster) {
    for log in std::fs::read_dir(cluster.directory()).unwrap().flatten() {
        if log.file_name().to_string_lossy().starts_with("landfall-") {
            let text = std::fs::read_to_string(log.path()).unwrap();
            assert!(!text.contains("panicked"), "{}", log.path().display());
        }
    }
}

/// What the inventory says was asked for last is what the object says.
async fn assert_remembered(stage: &Stage<'_>, home: &str) {
    let Some(object) = instance(stage, home).await else {
        return;
    };
    for entry in object["status"]["inventory"].as_array().into_iter().flatten() {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let Some(made) = stage.get((text("kind"), text("namespace"), text("name"))).await else {
            continue;
        };
        let asked = made["metadata"]["annotations"]["landfall.dev/intent"]
            .as_str()
            .unwrap_or_default();
        // What is made once is not compared again, and what was asked for is not kept.
        assert!(
            text("mode") == "Once" || !asked.is_empty() && text("intentHash").starts_with(asked),
            "{entry:#} is about {made:#}"
        );
        assert_eq!(text("uid"), made["metadata"]["uid"], "{entry:#}");
    }
}

/// An instance is not Ready for the spec that it has while one of its objects is missing.
pub async fn assert_truth(stage: &Stage<'_>, home: &str) {
    let Some(object) = instance(stage, home).await else {
        return;
    };
    if condition(&object, "Ready").status != "True" || !is_current(&object) {
        return;
    }
    for entry in object["status"]["inventory"].as_array().into_iter().flatten() {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let place = (text("kind"), text("namespace"), text("name"));
        assert!(stage.get(place).await.is_some(), "Ready without {place:?}: {object:#}");
    }
}

/// The instance in `home`, of whichever kind.
async fn instance(stage: &Stage<'_>, home: &str) -> Option<Value> {
    for place in [
        ("Component", home, APP),
        ("System", home, APP),
        ("Component", home, NEXT),
    ] {
        if let Some(found) = stage.get(place).await {
            return Some(found);
        }
    }
    None
}
