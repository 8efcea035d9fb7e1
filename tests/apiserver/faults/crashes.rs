//! R1: the operator crashes before and after every single write.

use std::time::{Duration, Instant};

use super::layer::{Desk, Order, Side};
use super::reference::{
    QUIET, Reference, Write, assert_no_panic, assert_nowhere_else, assert_quiet, assert_truth, within, writes_since,
};
use super::workflow::{self, LIFE, STAGES, Workflow};
use crate::support::{Cluster, Operator, Stage, Trial, Verdict, eventually, lines};

/// How many points share a crash. The passes of all of them hold still until the last is at its write, and the operator
/// works on sixteen at a time.
const AT_ONCE: usize = 12;
/// How long nothing is to be written once everything is done.
const LONG_QUIET: Duration = Duration::from_secs(30);

/// One place in one workflow, and the namespace in which the operator crashes there.
struct Point {
    step: usize,
    order: Order,
    home: String,
}

#[tokio::test]
async fn a_crash_before_or_after_any_write_does_no_harm() {
    sweep("crashes", &[LIFE, STAGES]).await;
}

#[tokio::test]
#[ignore = "all workflows take minutes: `make bench` runs it"]
async fn a_crash_before_or_after_any_write_of_any_workflow_does_no_harm() {
    // One of them alone: LANDFALL_SWEEP_ONLY=golden-path
    let only = std::env::var("LANDFALL_SWEEP_ONLY").unwrap_or_default();
    let chosen: Vec<Workflow> = workflow::ALL
        .into_iter()
        .filter(|workflow| workflow.name.contains(&only))
        .collect();
    sweep("sweep", &chosen).await;
}

/// Crashes the operator at every write of each workflow.
async fn sweep(name: &str, workflows: &[Workflow]) {
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
    assert_quiet(&cluster, &homes, LONG_QUIET).await;
    assert_nowhere_else(&cluster, &homes, mark).await;
    drop(operator);
    assert_no_panic(&cluster);
}

struct Bench<'c> {
    cluster: &'c Cluster,
    desk: Desk,
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
        workflow: &Workflow,
        homes: &mut Vec<String>,
    ) -> Operator {
        workflow.prepare(stage).await;
        let reference = Reference::of(stage, workflow).await;
        let neighbour = self.cluster.namespace("neighbour").await;
        homes.extend([reference.home.clone(), neighbour.clone()]);
        workflow.take(stage, workflow.steps[0], &neighbour).await;
        workflow.done(stage, workflow.steps[0], &neighbour).await;

        let points = self.points(workflow, &reference).await;
        let places: Vec<(String, usize)> = points.iter().map(|point| (point.home.clone(), point.step)).collect();
        homes.extend(places.iter().map(|(home, _)| home.clone()));
        let mut trial = Trial::of("R1", "crash before and after every single write", points.len());
        let mark = self.cluster.audit().mark().await;
        let operator = self.crash(operator, stage, workflow, &points, &mut trial).await;
        let mut noticed = writes_since(self.cluster, mark).await;
        noticed.retain(|entry| within(entry, &neighbour));
        assert!(noticed.is_empty(), "a neighbour was written to:\n{}", lines(&noticed));
        trial.extra_writes(reference.assert_same_in(stage, &places, mark).await);
        println!("{}: {} of {} points", workflow.name, points.len(), points.len());
        trial.ends(Verdict::Resilient, "");
        operator
    }

    /// Two for each write of the reference, each in a namespace of its own.
    async fn points(&self, workflow: &Workflow, reference: &Reference) -> Vec<Point> {
        let mut points = Vec::new();
        for (step, writes) in reference.writes.iter().enumerate() {
            // How often an instance says that its turn is yet to come differs from run to run.
            let every_time = |(write, occurrence): &&(Write, usize)| {
                !workflow.own || *occurrence <= 2 || !write.path.ends_with("/status")
            };
            for (write, occurrence) in writes.iter().filter(every_time) {
                for side in [Side::Before, Side::After] {
                    let home = self.cluster.namespace("point").await;
                    let write = write.moved(&reference.home, &home);
                    let order = Order {
                        write,
                        occurrence: *occurrence,
                        side,
                    };
                    points.push(Point { step, order, home });
                }
            }
        }
        points
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
        for (place, step) in workflow.steps.iter().enumerate() {
            let early: Vec<&Point> = points.iter().filter(|point| point.step > place).collect();
            futures::future::join_all(early.iter().map(|point| workflow.take(stage, *step, &point.home))).await;
            futures::future::join_all(early.iter().map(|point| workflow.done(stage, *step, &point.home))).await;
        }
        for batch in points.chunks(AT_ONCE) {
            operator.kill();
            operator = self.crash_at(stage, workflow, batch).await;
            let began = Instant::now();
            for point in batch {
                workflow.done(stage, workflow.steps[point.step], &point.home).await;
                trial.held(began.elapsed());
            }
            let homes: Vec<String> = batch.iter().map(|point| point.home.clone()).collect();
            assert_quiet(self.cluster, &homes, QUIET).await;
        }
        operator
    }

    /// Lets an operator crash at all of these points, and gives the one that follows it.
    async fn crash_at(&self, stage: &Stage<'_>, workflow: &Workflow, batch: &[Point]) -> Operator {
        let orders: Vec<Order> = batch.iter().map(|point| point.order.clone()).collect();
        let mut operator = self.started(&orders).await;
        for point in batch {
            workflow.take(stage, workflow.steps[point.step], &point.home).await;
        }
        eventually("the operator to crash where it was ordered to", async || {
            let reached = self.desk.reached_orders();
            let missed: Vec<&Order> = orders
                .iter()
                .enumerate()
                .filter(|(place, _)| !reached.contains(place))
                .map(|(_, order)| order)
                .collect();
            operator.ended().map(drop).ok_or(format!("not reached: {missed:#?}"))
        })
        .await;
        assert_eq!(self.desk.reached_orders().len(), batch.len());
        for point in batch {
            assert_truth(stage, &point.home).await;
        }
        self.started(&[]).await
    }
}
