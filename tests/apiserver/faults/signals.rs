//! R26: the operator as users run it is ended and killed in the middle of its work and of its start.

use std::process::Command;
use std::time::{Duration, Instant};

use futures::future::join_all;

use super::reference::{QUIET, Reference, assert_no_panic, assert_nowhere_else, assert_quiet};
use super::workflow::{LIFE, Step};
use crate::support::{Cluster, Operator, Stage, Trial, Verdict, eventually};

/// How long it may take to end when it is asked to, on a machine that has much else to do: less than the 30 s after which
/// a kubelet kills it.
const ENDING: Duration = Duration::from_secs(20);
/// How often it is ended in the middle of its work, and how often killed in its start.
const ROUNDS: usize = 6;

#[tokio::test]
async fn the_operator_may_be_ended_and_killed_at_any_time() {
    let cluster = Cluster::own("signals").await;
    let stage = Stage::on(&cluster, "signals").await;
    let mark = cluster.audit().mark().await;
    let mut operator = Operator::start(&cluster).await;
    LIFE.prepare(&stage).await;
    let reference = Reference::of(&stage, &LIFE).await;
    let mut trial = Trial::of(
        "R26",
        "SIGTERM in mid-flight, a storm of them, killed while it starts",
        3 * ROUNDS,
    );
    let mut homes = Vec::new();
    for round in 0..ROUNDS {
        let fresh = fresh(&stage).await;
        // Where in its work it is differs from round to round.
        tokio::time::sleep(Duration::from_millis(15) * u32::try_from(round).unwrap()).await;
        operator = ended(&cluster, operator).await;
        trial.held(done(&stage, &fresh).await);
        homes.extend(fresh);
    }
    for round in 0..ROUNDS {
        let fresh = fresh(&stage).await;
        tokio::time::sleep(Duration::from_millis(15) * u32::try_from(round).unwrap()).await;
        operator = stormed(&cluster, operator).await;
        trial.held(done(&stage, &fresh).await);
        homes.extend(fresh);
    }
    operator.kill();
    let fresh = fresh(&stage).await;
    for round in 0..ROUNDS {
        let starting = Operator::spawn(&cluster, |_| {}).unwrap();
        tokio::time::sleep(Duration::from_millis(12) * u32::try_from(round + 1).unwrap()).await;
        starting.kill();
        trial.held(Duration::ZERO);
    }
    let operator = Operator::start(&cluster).await;
    done(&stage, &fresh).await;
    homes.extend(fresh);

    assert_quiet(&cluster, &homes, QUIET).await;
    let places: Vec<(String, usize)> = homes.iter().map(|home| (home.clone(), 0)).collect();
    trial.extra_writes(reference.assert_same_in(&stage, &places, mark).await);
    homes.extend([stage.home.clone(), reference.home.clone()]);
    assert_nowhere_else(&cluster, &homes, mark).await;
    drop(operator);
    assert_no_panic(&cluster);
    trial.ends(Verdict::Resilient, "");
}

/// Some instances whose creation has just begun.
async fn fresh(stage: &Stage<'_>) -> Vec<String> {
    let mut homes = Vec::new();
    for _ in 0..3 {
        homes.push(stage.cluster.namespace("home").await);
    }
    join_all(homes.iter().map(|home| LIFE.take(stage, Step::Create, home))).await;
    homes
}

/// Waits until they are done, and gives how long that took.
async fn done(stage: &Stage<'_>, homes: &[String]) -> Duration {
    let began = Instant::now();
    join_all(homes.iter().map(|home| LIFE.done(stage, Step::Create, home))).await;
    began.elapsed()
}

/// Ends it with one SIGTERM, and gives the next.
async fn ended(cluster: &Cluster, operator: Operator) -> Operator {
    let began = Instant::now();
    let status = operator.stop().await;
    assert!(status.success(), "it ends with 0 when asked to: {status}");
    assert!(began.elapsed() < ENDING, "it took {:?}", began.elapsed());
    Operator::start(cluster).await
}

/// Sends it SIGTERMs until it ends, and gives the next. The second may end it at once, with 1.
async fn stormed(cluster: &Cluster, mut operator: Operator) -> Operator {
    let began = Instant::now();
    let storm = format!(
        "for i in 1 2 3 4 5 6 7 8 9 10; do kill -TERM {} 2>/dev/null; done",
        operator.id()
    );
    Command::new("sh").args(["-c", &storm]).status().unwrap();
    let status = eventually("the operator to end", async || operator.ended()).await;
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
    assert!(began.elapsed() < ENDING, "it took {:?}", began.elapsed());
    Operator::start(cluster).await
}
