//! R1: the operator crashes before and after every single write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::layer::{Desk, Order, Side, Write};
use super::workflow::{APP, LIFE, Step, Workflow};
use crate::support::{
    Cluster, Entry, OPERATOR_AGENT, Operator, Snapshot, Stage, Trial, Verdict, condition, counted, differences,
    eventually, is_current, is_write, lines, snapshots,
};

/// How many points share a crash. The passes of all of them hold still until the last is at its write, and the operator
/// works on sixteen at a time.
const AT_ONCE: usize = 12;
/// How long an instance is watched for writes that it should not take any more.
const QUIET: Duration = Duration::from_secs(2);
/// The same, once for all of them.
const LONG_QUIET: Duration = Duration::from_secs(30);

/// One place in one workflow, and the namespace in which the operator crashes there.
struct Point {
    step: usize,
    order: Order,
    home: String,
}

#[tokio::test]
async fn a_crash_before_or_after_any_write_does_no_harm() {
    sweep("crashes", &[&LIFE]).await;
}

/// Crashes the operator at every write of each workflow.
async fn sweep(name: &str, workflows: &[&'static Workflow]) {
    let cluster = Cluster::own(name).await;
    let bench = Bench {
        desk: Desk::new(&cluster),
        cluster: &cluster,
    };
    let mark = cluster.audit().mark().await;
    let mut operator = bench.started(&[]).await;
    let stage = Stage::on(&cluster, name).await;
    let mut homes = vec![stage.home.clone()];
    for workflow in workflows {
        operator = bench.workflow(operator, &stage, workflow, &mut homes).await;
    }
    // Nothing more is written, anywhere.
    let quiet = cluster.audit().mark().await;
    tokio::time::sleep(LONG_QUIET).await;
    let late = writes(cluster.audit().since(quiet).await);
    assert!(late.is_empty(), "written though all is done:\n{}", lines(&late));
    // And in all that time it has written nowhere but where it was asked to.
    let inside = |place: &str| {
        homes
            .iter()
            .any(|home| place == home || place.starts_with(&format!("{home}-")))
    };
    let mut all = writes(cluster.audit().since(mark).await);
    all.retain(|entry| !inside(&entry.namespace) && !inside(&entry.name));
    assert!(all.is_empty(), "written where nothing was asked for:\n{}", lines(&all));
    drop(operator);
    for log in std::fs::read_dir(cluster.directory()).unwrap().flatten() {
        if log.file_name().to_string_lossy().starts_with("landfall-") {
            let text = std::fs::read_to_string(log.path()).unwrap();
            assert!(!text.contains("panicked"), "{}", log.path().display());
        }
    }
}

struct Bench<'c> {
    cluster: &'c Cluster,
    desk: Desk,
}

/// What the same steps give without a crash.
struct Reference {
    /// In the reference's own namespace, by step.
    writes: Vec<Vec<Order>>,
    after: Vec<Snapshot>,
    made: Vec<Counts>,
    home: String,
}

impl Bench<'_> {
    async fn started(&self, orders: &[Order]) -> Operator {
        let mut operator = self.desk.start(self.cluster, orders);
        operator.wait_ready().await.unwrap();
        operator
    }

    async fn workflow(
        &self,
        operator: Operator,
        stage: &Stage<'_>,
        workflow: &'static Workflow,
        homes: &mut Vec<String>,
    ) -> Operator {
        workflow.prepare(stage).await;
        let reference = self.reference(stage, workflow).await;
        homes.push(reference.home.clone());
        let neighbour = self.cluster.namespace("neighbour").await;
        homes.push(neighbour.clone());
        workflow.take(stage, workflow.steps[0], &neighbour).await;
        workflow.done(stage, workflow.steps[0], &neighbour).await;

        let mut points = Vec::new();
        for (step, orders) in reference.writes.iter().enumerate() {
            for order in orders {
                for side in [Side::Before, Side::After] {
                    let home = self.cluster.namespace("point").await;
                    let path = order.write.path.replace(&reference.home, &home);
                    let write = Write {
                        path,
                        ..order.write.clone()
                    };
                    let order = Order {
                        write,
                        side,
                        ..order.clone()
                    };
                    points.push(Point { step, order, home });
                }
            }
        }
        homes.extend(points.iter().map(|point| point.home.clone()));
        let mut trial = Trial::of("R1", "crash before and after every single write", points.len());
        let mark = self.cluster.audit().mark().await;
        let operator = self.crash(operator, stage, workflow, &points, &mut trial).await;

        // The neighbours did not notice, and nothing is left to be done.
        let all: Vec<String> = points.iter().map(|point| point.home.clone()).collect();
        let found = Found {
            content: snapshots(&self.cluster.client().await, &all).await,
            writes: writes(self.cluster.audit().since(mark).await),
        };
        let noticed: Vec<Entry> = found
            .writes
            .iter()
            .filter(|entry| within(entry, &neighbour))
            .cloned()
            .collect();
        assert!(noticed.is_empty(), "a neighbour was written to:\n{}", lines(&noticed));
        for point in &points {
            assert_same_work(workflow, &reference, point, &found, &mut trial);
        }
        trial.ends(Verdict::Resilient, "");
        operator
    }

    /// Takes the steps once with nothing in the way.
    async fn reference(&self, stage: &Stage<'_>, workflow: &Workflow) -> Reference {
        let home = self.cluster.namespace("reference").await;
        let mut reference = Reference {
            writes: Vec::new(),
            after: Vec::new(),
            made: Vec::new(),
            home: home.clone(),
        };
        for step in workflow.steps {
            let (before, mark) = (self.desk.written().len(), self.cluster.audit().mark().await);
            workflow.take(stage, *step, &home).await;
            workflow.done(stage, *step, &home).await;
            self.settled(&home).await;
            let inside = format!("/{home}");
            let written = self.desk.written();
            let written = written[before..].iter().filter(|write| write.path.contains(&inside));
            reference.writes.push(numbered(written));
            reference
                .made
                .push(Counts::of(&writes(self.cluster.audit().since(mark).await), &home));
            reference.after.push(self.snapshot(&home).await);
        }
        reference
    }

    /// Waits until the operator has written nothing there for a while.
    async fn settled(&self, home: &str) {
        loop {
            let mark = self.cluster.audit().mark().await;
            tokio::time::sleep(QUIET).await;
            let late = writes(self.cluster.audit().since(mark).await);
            if !late.iter().any(|entry| within(entry, home)) {
                return;
            }
        }
    }

    async fn snapshot(&self, home: &str) -> Snapshot {
        let homes = [home.to_owned()];
        snapshots(&self.cluster.client().await, &homes)
            .await
            .remove(home)
            .unwrap()
    }

    /// Brings every point to its step, and lets the operator crash there.
    async fn crash(
        &self,
        mut operator: Operator,
        stage: &Stage<'_>,
        workflow: &Workflow,
        points: &[Point],
        trial: &mut Trial,
    ) -> Operator {
        let depth = points.iter().map(|point| point.step).max().unwrap_or(0);
        for step in &workflow.steps[..depth] {
            let place = workflow.steps.iter().position(|other| other == step).unwrap();
            let early: Vec<&Point> = points.iter().filter(|point| point.step > place).collect();
            futures::future::join_all(early.iter().map(|point| workflow.take(stage, *step, &point.home))).await;
            futures::future::join_all(early.iter().map(|point| workflow.done(stage, *step, &point.home))).await;
        }
        for batch in points.chunks(AT_ONCE) {
            operator.kill();
            let orders: Vec<Order> = batch.iter().map(|point| point.order.clone()).collect();
            operator = self.started(&orders).await;
            for point in batch {
                workflow.take(stage, workflow.steps[point.step], &point.home).await;
            }
            eventually("the operator to crash where it was ordered to", async || {
                let missed: Vec<&Order> = (0..orders.len())
                    .filter(|place| !self.desk.reached_orders().contains(place))
                    .map(|place| &orders[place])
                    .collect();
                operator.ended().map(drop).ok_or(format!("not reached: {missed:#?}"))
            })
            .await;
            assert_eq!(self.desk.reached_orders().len(), batch.len());
            for point in batch {
                assert_truth(stage, &point.home).await;
            }
            let began = Instant::now();
            operator = self.started(&[]).await;
            for point in batch {
                let step = workflow.steps[point.step];
                workflow.done(stage, step, &point.home).await;
                trial.held(began.elapsed());
            }
            let mark = self.cluster.audit().mark().await;
            tokio::time::sleep(QUIET).await;
            let mut late = writes(self.cluster.audit().since(mark).await);
            late.retain(|entry| batch.iter().any(|point| within(entry, &point.home)));
            assert!(late.is_empty(), "written though it was done:\n{}", lines(&late));
        }
        operator
    }
}

/// What came of a point is what came of the reference, and no object was made or deleted more often on the way.
fn assert_same_work(workflow: &Workflow, reference: &Reference, point: &Point, found: &Found, trial: &mut Trial) {
    let what = format!(
        "{} at step {:?}: {:?}",
        workflow.name, workflow.steps[point.step], point.order
    );
    let differing = differences(&reference.after[point.step], &found.content[&point.home]);
    assert!(differing.is_empty(), "{what}\n{differing}");
    let mine: Vec<Entry> = found
        .writes
        .iter()
        .filter(|entry| within(entry, &point.home))
        .cloned()
        .collect();
    let expected = reference.made[..=point.step]
        .iter()
        .fold(Counts::default(), Counts::joined);
    let counts = Counts::of(&mine, &point.home);
    for (object, (made, deleted)) in &counts.objects {
        let (at_most_made, at_most_deleted) = expected.objects.get(object).copied().unwrap_or_default();
        assert!(
            *made <= at_most_made && *deleted <= at_most_deleted,
            "{what}\n{object} was made {made} times and deleted {deleted} times:\n{}",
            lines(&mine)
        );
    }
    trial.extra_writes(counts.writes.saturating_sub(expected.writes));
}

/// What there is at the end.
struct Found {
    content: BTreeMap<String, Snapshot>,
    writes: Vec<Entry>,
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
        for entry in entries.iter().filter(|entry| within(entry, home) && entry.code < 300) {
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

/// The writes that the operator sent, as the apiserver saw them.
fn writes(entries: Vec<Entry>) -> Vec<Entry> {
    let mut entries = counted(entries, OPERATOR_AGENT);
    entries.retain(is_write);
    entries
}

/// Whether a request is about something in `home`, or in what was made from there.
fn within(entry: &Entry, home: &str) -> bool {
    [&entry.namespace, &entry.name]
        .into_iter()
        .any(|place| place == home || place.starts_with(&format!("{home}-")))
}

/// Each of the writes as an order, told from those that look the same by its place among them.
fn numbered<'w>(written: impl Iterator<Item = &'w Write>) -> Vec<Order> {
    let mut seen: BTreeMap<&Write, usize> = BTreeMap::new();
    written
        .map(|write| {
            let occurrence = seen.entry(write).or_default();
            *occurrence += 1;
            Order {
                write: write.clone(),
                occurrence: *occurrence,
                side: Side::Before,
            }
        })
        .collect()
}

/// While no operator runs: an instance is not Ready for the spec that it has while one of its objects is missing.
async fn assert_truth(stage: &Stage<'_>, home: &str) {
    let Some(object) = stage.get(("Component", home, APP)).await else {
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
