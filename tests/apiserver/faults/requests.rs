//! R2, R7 and R8: requests of the operator's whose answers are lost, and that are refused or late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;

use super::proxy::{Call, Fault, Proxy};
use super::reference::{QUIET, Reference, Write, assert_no_panic, assert_nowhere_else, assert_quiet};
use super::workflow::{LIFE, Step};
use crate::support::{Cluster, Operator, Stage, Trial, Verdict, eventually};

/// How long all writes to an instance are refused.
const STORM: Duration = Duration::from_secs(15);
/// After how long the apiserver asks to be asked again.
const AGAIN: u32 = 3;
/// How late an answer is.
const LATE: Duration = Duration::from_secs(30);

struct Bench<'c> {
    stage: Stage<'c>,
    proxy: Proxy,
    reference: Reference,
}

#[tokio::test]
async fn requests_that_are_lost_refused_or_late_are_made_good() {
    let cluster = Cluster::own("requests").await;
    let proxy = Proxy::before(&cluster);
    let operator = started_without_streams(&cluster, &proxy).await;
    let mark = cluster.audit().mark().await;
    let stage = Stage::on(&cluster, "requests").await;
    LIFE.prepare(&stage).await;
    let reference = Reference::of(&stage, &LIFE).await;
    let bench = Bench {
        stage,
        proxy,
        reference,
    };
    let homes = tokio::join!(
        lost_answers(&bench),
        many_conflicts(&bench),
        nothing_but_conflicts(&bench),
        an_overloaded_apiserver(&bench),
        a_slow_apiserver(&bench),
    );
    let mut all = vec![bench.stage.home.clone(), bench.reference.home.clone()];
    all.extend([homes.0, homes.1, homes.2, homes.3, homes.4].concat());
    assert_nowhere_else(&cluster, &all, mark).await;
    drop(operator);
    assert_no_panic(&cluster);
}

/// An operator on an apiserver that does not know how to list by the events of a watch, as those before Kubernetes 1.34.
async fn started_without_streams(cluster: &Cluster, proxy: &Proxy) -> Operator {
    let refusing = proxy.when(Fault::Refuse(422, None), |call| {
        call.query.contains("sendInitialEvents")
    });
    let operator = proxy.operator(cluster, &[]).await;
    assert_eq!(refusing.hits(), 10, "one for each of our kinds: {refusing:?}");
    let paged = proxy
        .calls()
        .into_iter()
        .filter(|call| !call.is_watch() && call.query.contains("limit="));
    let listed: BTreeSet<String> = paged
        .map(|call| call.path)
        .filter(|path| path.contains("catalog.landfall.dev"))
        .collect();
    assert_eq!(listed.len(), 10, "{listed:?}");
    operator
}

impl Bench<'_> {
    async fn homes(&self, count: usize) -> Vec<String> {
        let mut homes = Vec::new();
        for _ in 0..count {
            homes.push(self.stage.cluster.namespace("home").await);
        }
        homes
    }

    /// Takes the steps of a life up to `last` in `home`.
    async fn lives(&self, home: &str, last: usize) {
        for step in &LIFE.steps[..=last] {
            LIFE.take(&self.stage, *step, home).await;
            LIFE.done(&self.stage, *step, home).await;
        }
    }
}

/// Whether a call is the given one of those that look like `write`.
fn is_nth(write: Write, nth: usize) -> impl Fn(&Call) -> bool {
    let seen = AtomicUsize::new(0);
    move |call| {
        let same = call.method == write.method && call.path == write.path;
        same && seen.fetch_add(1, Ordering::SeqCst) + 1 == nth
    }
}

/// R2: each write of a life is carried out, and its answer is lost.
async fn lost_answers(bench: &Bench<'_>) -> Vec<String> {
    let (stage, reference) = (&bench.stage, &bench.reference);
    let writes: Vec<(usize, &Write, usize)> = reference
        .writes
        .iter()
        .enumerate()
        .flat_map(|(step, writes)| writes.iter().map(move |(write, nth)| (step, write, *nth)))
        .collect();
    let mut trial = Trial::of(
        "R2",
        "the answer to a write is lost after it was carried out",
        writes.len(),
    );
    let homes = bench.homes(writes.len()).await;
    let mark = stage.cluster.audit().mark().await;
    let lives = homes.iter().zip(&writes).map(|(home, (step, write, nth))| async move {
        if let Some(before) = step.checked_sub(1) {
            bench.lives(home, before).await;
        }
        let lost = bench
            .proxy
            .when(Fault::LoseAnswer, is_nth(write.moved(&reference.home, home), *nth));
        let began = Instant::now();
        LIFE.take(stage, LIFE.steps[*step], home).await;
        LIFE.done(stage, LIFE.steps[*step], home).await;
        assert_eq!(lost.hits(), 1, "{write:?}");
        began.elapsed()
    });
    for recovery in join_all(lives).await {
        trial.held(recovery);
    }
    assert_quiet(stage.cluster, &homes, QUIET).await;
    let places: Vec<(String, usize)> = homes
        .iter()
        .cloned()
        .zip(writes.iter().map(|(step, ..)| *step))
        .collect();
    trial.extra_writes(reference.assert_same_in(stage, &places, mark).await);
    trial.ends(Verdict::Resilient, "");
    homes
}

const R7: &str = "70 % of updates and 50 % of patches meet a conflict";

/// R7: seven of ten updates and five of ten patches meet a conflict.
async fn many_conflicts(bench: &Bench<'_>) -> Vec<String> {
    let stage = &bench.stage;
    let homes = bench.homes(3).await;
    let mut trial = Trial::of("R7", R7, homes.len());
    let mark = stage.cluster.audit().mark().await;
    let last = LIFE.steps.len() - 1;
    let lives = homes.iter().map(|home| async move {
        let (updates, patches) = (home.clone(), home.clone());
        let updates = bench.proxy.when_of_ten(7, Fault::Refuse(409, None), move |call| {
            call.method == "PUT" && call.is_in(&updates)
        });
        let patches = bench.proxy.when_of_ten(5, Fault::Refuse(409, None), move |call| {
            call.method == "PATCH" && call.is_in(&patches)
        });
        bench.lives(home, last).await;
        assert!(updates.hits() > 2 && patches.hits() > 2, "{updates:?}, {patches:?}");
    });
    join_all(lives).await;
    for _ in &homes {
        trial.held(Duration::ZERO); // it is done while the fault stands
    }
    let places: Vec<(String, usize)> = homes.iter().map(|home| (home.clone(), last)).collect();
    trial.extra_writes(bench.reference.assert_same_in(stage, &places, mark).await);
    trial.ends(Verdict::Resilient, "");
    homes
}

/// R7: for a while every write meets a conflict, and there is less than one request a second for each object.
async fn nothing_but_conflicts(bench: &Bench<'_>) -> Vec<String> {
    let stage = &bench.stage;
    let storm = bench.homes(1).await.remove(0);
    let mut trial = Trial::of("R7", R7, 1);
    let inside = storm.clone();
    let refused = bench.proxy.when(Fault::Refuse(409, None), move |call| {
        call.is_write() && call.is_in(&inside)
    });
    LIFE.take(stage, Step::Create, &storm).await;
    tokio::time::sleep(STORM).await;
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for call in bench.proxy.calls().iter().filter(|call| call.is_in(&storm)) {
        *asked
            .entry(call.path.trim_end_matches("/status").to_owned())
            .or_default() += 1;
    }
    let limit = usize::try_from(STORM.as_secs()).unwrap();
    assert!(
        asked.values().all(|count| *count < limit),
        "more than one request a second: {asked:#?}"
    );
    assert!(refused.hits() > 2, "{refused:?}");
    drop(refused);
    let began = Instant::now();
    LIFE.done(stage, Step::Create, &storm).await;
    trial.held(began.elapsed());
    trial.ends(Verdict::Resilient, "");
    vec![storm]
}

/// R8: the apiserver asks to be left alone, or fails, for every write in some namespaces; others do not notice.
async fn an_overloaded_apiserver(bench: &Bench<'_>) -> Vec<String> {
    let stage = &bench.stage;
    let refusals = [
        (429, Some(AGAIN)),
        (429, None),
        (500, None),
        (503, Some(AGAIN)),
        (503, None),
    ];
    let homes = bench.homes(refusals.len() * 2 + 1).await;
    let (other, refused) = homes.split_last().unwrap();
    // Half of them are refused from the first write, half only their objects.
    let points: Vec<Refused<'_>> = refused
        .iter()
        .zip(refusals.iter().chain(&refusals))
        .enumerate()
        .map(|(place, (home, refusal))| (home, *refusal, place < refusals.len()))
        .collect();
    let mut trial = Trial::of("R8", R8, points.len() + 1);
    let mark = stage.cluster.audit().mark().await;
    let standing: Vec<_> = points
        .iter()
        .map(|(home, (code, again), all)| {
            let (inside, all) = ((*home).clone(), *all);
            bench.proxy.when(Fault::Refuse(*code, *again), move |call| {
                call.is_write() && call.is_in(&inside) && (all || !call.is_of("components"))
            })
        })
        .collect();
    for (home, ..) in &points {
        LIFE.take(stage, Step::Create, home).await;
    }
    let last = LIFE.steps.len() - 1;
    let began = Instant::now();
    bench.lives(other, last).await;
    let alone = began.elapsed();
    eventually("each refusal to have been met twice", async || {
        standing
            .iter()
            .all(|fault| fault.hits() >= 2)
            .then_some(())
            .ok_or(format!("{standing:?}"))
    })
    .await;
    for ((home, (_, again), all), fault) in points.iter().zip(&standing) {
        if let Some(seconds) = again {
            let mut calls = bench.proxy.calls();
            calls.retain(|call| *all || !call.is_of("components"));
            assert_left_alone(&calls, home, Duration::from_secs(u64::from(*seconds)));
        }
        assert!(fault.hits() < 40, "{home}: {fault:?}");
    }
    drop(standing);
    let began = Instant::now();
    for (home, ..) in &points {
        LIFE.done(stage, Step::Create, home).await;
        trial.held(began.elapsed());
    }
    trial.held(Duration::ZERO);
    assert!(alone < Duration::from_mins(1), "another instance took {alone:?}");
    let mut places: Vec<(String, usize)> = refused.iter().map(|home| (home.clone(), 0)).collect();
    places.push((other.clone(), last));
    assert_quiet(stage.cluster, &homes, QUIET).await;
    trial.extra_writes(bench.reference.assert_same_in(stage, &places, mark).await);
    trial.ends(Verdict::Resilient, "");
    homes
}

/// Where, by which answer, and whether from the first write on.
type Refused<'h> = (&'h String, (u16, Option<u32>), bool);

const R8: &str = "429 and 503 with and without Retry-After, 500, 30 s latency";

/// After each refusal nothing was written there for as long as was asked.
fn assert_left_alone(calls: &[Call], home: &str, asked: Duration) {
    let writes: Vec<&Call> = calls
        .iter()
        .filter(|call| call.is_write() && call.is_in(home))
        .collect();
    for pair in writes.windows(2) {
        let refused = matches!(pair[0].code, Some(429 | 503));
        let pause = pair[1].at - pair[0].at;
        assert!(!refused || pause >= asked, "asked again after {pause:?}: {pair:#?}");
    }
}

/// R8: one write is half a minute late.
async fn a_slow_apiserver(bench: &Bench<'_>) -> Vec<String> {
    let (stage, reference) = (&bench.stage, &bench.reference);
    let writes = &reference.writes[0];
    let chosen: Vec<&(Write, usize)> = writes
        .iter()
        .enumerate()
        .filter(|(place, _)| place % 3 != 1)
        .map(|(_, write)| write)
        .collect();
    let homes = bench.homes(chosen.len()).await;
    let mut trial = Trial::of("R8", R8, chosen.len());
    let mark = stage.cluster.audit().mark().await;
    let lives = homes.iter().zip(&chosen).map(|(home, (write, nth))| async move {
        let late = bench
            .proxy
            .when(Fault::Late(LATE), is_nth(write.moved(&reference.home, home), *nth));
        LIFE.take(stage, Step::Create, home).await;
        eventually("the write to be late", async || (late.hits() == 1).then_some(())).await;
        let began = Instant::now();
        tokio::time::sleep(LATE).await;
        LIFE.done(stage, Step::Create, home).await;
        began.elapsed().saturating_sub(LATE)
    });
    for recovery in join_all(lives).await {
        trial.held(recovery);
    }
    assert_quiet(stage.cluster, &homes, QUIET).await;
    let places: Vec<(String, usize)> = homes.iter().map(|home| (home.clone(), 0)).collect();
    trial.extra_writes(reference.assert_same_in(stage, &places, mark).await);
    trial.ends(Verdict::Resilient, "");
    homes
}
