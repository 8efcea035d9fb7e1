//! R9: of several operators one writes, whatever becomes of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::layer::{Desk, ELECTED, Order, Side};
use super::reference::{Reference, assert_no_panic, assert_quiet, within};
use super::replicas::{
    LEASE, LEASE_DURATION, Replica, TAKEOVER_MARGIN, assert_one_writer_at_a_time, leader_first, writes,
};
use super::workflow::{APP, LIFE, Step};
use crate::support::{
    Cluster, Mark, Operator, Stage, Trial, Verdict, counted, eventually, eventually_within, lines, patience,
};

const FAULT: &str = "leader killed at every write, stopped and woken, its lease deleted or held by another";
/// How many instances are in flight while operators come and go.
const IN_FLIGHT: usize = 12;

#[tokio::test]
async fn of_several_operators_one_writes_whatever_becomes_of_it() {
    let cluster = Cluster::own("leader").await;
    let stage = Stage::on(&cluster, "ha").await;
    LIFE.install(&stage).await;
    let mut trial = Trial::of("R9", FAULT, 6);

    trial.held(a_lease_that_an_unknown_holds_is_waited_for(&cluster, &stage).await);
    trial.held(one_of_two_that_claim_at_once_leads(&cluster).await);
    let pair = leader_first(Replica::start(&cluster).await, Replica::start(&cluster).await).await;
    LIFE.compiled(&stage).await;
    let pair = a_deleted_lease_is_made_again(&stage, pair, &mut trial).await;
    let pair = one_that_is_asked_to_end_gives_it_back_at_once(&cluster, &stage, pair, &mut trial).await;
    let pair = one_that_wakes_writes_nothing(&cluster, &stage, pair, &mut trial).await;
    let pair = a_rolling_restart_changes_nothing(&cluster, &stage, pair, &mut trial).await;
    drop(pair);

    let entries = cluster.audit().since(Mark::START).await;
    let led = assert_one_writer_at_a_time(&entries);
    assert!(led >= 6, "{led} have led");
    assert_no_panic(&cluster);
    trial.ends(Verdict::Resilient, "");
}

fn lease_manifest(holder: &str, seconds: u64, renewed: &str) -> Value {
    let (namespace, name) = LEASE;
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": namespace},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": renewed, "acquireTime": renewed},
    })
}

pub async fn holder(stage: &Stage<'_>) -> Option<String> {
    let (namespace, name) = LEASE;
    let lease = stage.get(("Lease", namespace, name)).await?;
    lease["spec"]["holderIdentity"].as_str().map(str::to_owned)
}

/// Also when the times in it are ten minutes off in either direction: they are not looked at. It is R10's fault where no clock
/// can be set.
async fn a_lease_that_an_unknown_holds_is_waited_for(cluster: &Cluster, stage: &Stage<'_>) -> Duration {
    let promise = 3;
    stage
        .put(lease_manifest("stranger", promise, "2020-01-01T00:00:00.000000Z"))
        .await;
    let replica = Replica::start(cluster).await;
    // It is renewed by its holder for longer than it promises, each time with another absurd time.
    let renewing = Instant::now();
    let mut number = 0;
    while renewing.elapsed() < Duration::from_secs(2 * promise) {
        number += 1;
        let renewed = format!(
            "{}-01-01T00:00:{:02}.000000Z",
            if number % 2 == 0 { 2020 } else { 2090 },
            number % 60
        );
        stage.put(lease_manifest("stranger", promise, &renewed)).await;
        assert!(!replica.leads().await);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(holder(stage).await.as_deref(), Some("stranger"));
    let log = std::fs::read_to_string(replica.operator.log()).unwrap();
    assert!(log.contains("standing by: the lease is held by stranger"), "{log}");
    let took = replica
        .comes_to_lead(Duration::from_secs(promise) + TAKEOVER_MARGIN)
        .await;
    assert!(
        took + Duration::from_millis(800) > Duration::from_secs(promise),
        "it did not wait: {took:?}"
    );
    assert!(replica.operator.stop().await.success());
    took
}

async fn one_of_two_that_claim_at_once_leads(cluster: &Cluster) -> Duration {
    let (namespace, name) = LEASE;
    let began = Instant::now();
    for round in 0..3 {
        if round == 0 {
            let output = cluster.kubectl(&["delete", "lease", "-n", namespace, name]);
            assert!(output.status.success(), "{output:?}");
        }
        let spawned = [
            Replica::spawn_with(cluster, |_| {}),
            Replica::spawn_with(cluster, |_| {}),
        ];
        let [one, other] = spawned.map(Replica::of);
        let (one, other) = futures::future::join(one, other).await;
        let (leader, standby) = leader_first(one, other).await;
        let (_, metrics) = standby.operator.get("/metrics").await.unwrap();
        assert!(metrics.contains("landfall_lease_acquisitions_total 0\n"), "{metrics}");
        assert_eq!(standby.operator.get("/readyz").await.unwrap().0, 200);
        assert!(standby.operator.stop().await.success());
        assert!(leader.operator.stop().await.success());
    }
    began.elapsed() / 3
}

async fn a_deleted_lease_is_made_again(
    stage: &Stage<'_>,
    (leader, standby): (Replica, Replica),
    trial: &mut Trial,
) -> (Replica, Replica) {
    let (namespace, name) = LEASE;
    let began = Instant::now();
    stage.delete(("Lease", namespace, name)).await;
    eventually("the lease to be its leader's again", async || {
        let found = holder(stage).await;
        (found.as_ref() == Some(&leader.identity))
            .then_some(())
            .ok_or(format!("{found:?}"))
    })
    .await;
    trial.held(began.elapsed());
    let home = stage.cluster.namespace("deleted-lease").await;
    LIFE.take(stage, Step::Create, &home).await;
    LIFE.done(stage, Step::Create, &home).await;
    assert!(leader.leads().await && !standby.leads().await);
    (leader, standby)
}

async fn one_that_is_asked_to_end_gives_it_back_at_once(
    cluster: &Cluster,
    stage: &Stage<'_>,
    (leader, standby): (Replica, Replica),
    trial: &mut Trial,
) -> (Replica, Replica) {
    let home = cluster.namespace("asked").await;
    LIFE.take(stage, Step::Create, &home).await;
    assert!(leader.operator.stop().await.success());
    let took = standby.comes_to_lead(Duration::from_secs(2)).await;
    trial.held(took);
    LIFE.done(stage, Step::Create, &home).await;
    (standby, Replica::start(cluster).await)
}

async fn one_that_wakes_writes_nothing(
    cluster: &Cluster,
    stage: &Stage<'_>,
    (mut leader, standby): (Replica, Replica),
    trial: &mut Trial,
) -> (Replica, Replica) {
    let mut homes = Vec::new();
    for _ in 0..IN_FLIGHT {
        homes.push(cluster.namespace("stopped").await);
    }
    for home in &homes {
        LIFE.take(stage, Step::Create, home).await;
    }
    leader.signal("STOP");
    let began = Instant::now();
    standby.comes_to_lead(LEASE_DURATION + TAKEOVER_MARGIN).await;
    trial.held(began.elapsed());
    for home in &homes {
        LIFE.done(stage, Step::Create, home).await;
    }
    let mark = cluster.audit().mark().await;
    leader.signal("CONT");
    let status = leader.ends().await;
    assert_eq!(status.code(), Some(1), "{}", leader.operator.log_tail());
    let said = format!("is held by {} now", standby.identity);
    assert!(
        leader.operator.log_tail().contains(&said),
        "{}",
        leader.operator.log_tail()
    );
    let entries = cluster.audit().since(mark).await;
    let late: Vec<_> = writes(&entries)
        .into_iter()
        .filter(|entry| entry.user_agent.contains(&leader.identity))
        // What it had half sent when it was stopped may still arrive, and is refused, since others have been there.
        .filter(|entry| entry.code < 300)
        .cloned()
        .collect();
    assert!(
        late.is_empty(),
        "written by one that had lost the lease:\n{}",
        lines(&late)
    );
    (standby, Replica::start(cluster).await)
}

async fn a_rolling_restart_changes_nothing(
    cluster: &Cluster,
    stage: &Stage<'_>,
    (leader, standby): (Replica, Replica),
    trial: &mut Trial,
) -> (Replica, Replica) {
    let mark = cluster.audit().mark().await;
    let mut homes = Vec::new();
    for _ in 0..IN_FLIGHT {
        homes.push(cluster.namespace("rolling").await);
    }
    for home in &homes {
        LIFE.take(stage, Step::Create, home).await;
    }
    // As a Deployment does it: the new one is ready before the old one is asked to end.
    let began = Instant::now();
    let second = Replica::start(cluster).await;
    assert!(leader.operator.stop().await.success());
    let third = Replica::start(cluster).await;
    assert!(standby.operator.stop().await.success());
    for home in &homes {
        LIFE.done(stage, Step::Create, home).await;
    }
    trial.held(began.elapsed());
    let entries = counted(cluster.audit().since(mark).await, crate::support::OPERATOR_AGENT);
    for home in &homes {
        let mut made: Vec<String> = entries
            .iter()
            .filter(|entry| entry.code == 201 && within(entry, home))
            .map(|entry| format!("{} {}/{}", entry.resource, entry.namespace, entry.name))
            .collect();
        let all = made.len();
        made.sort();
        made.dedup();
        assert_eq!(made.len(), all, "made twice: {made:?}");
        let component = stage.get(("Component", home, APP)).await.unwrap();
        assert_eq!(component["metadata"]["generation"], 1, "{component:#}");
    }
    let deleted: Vec<_> = entries.iter().filter(|entry| entry.verb == "delete").cloned().collect();
    assert!(deleted.is_empty(), "{}", lines(&deleted));

    // With nothing in flight nothing is written at all.
    let (leader, standby) = leader_first(second, third).await;
    let before = stage.get(("Component", &homes[0], APP)).await.unwrap();
    let template = ("Template", stage.home.as_str(), LIFE.name);
    let total = i64::try_from(2 * IN_FLIGHT + 2).unwrap();
    stage
        .becomes(template, |object| object["status"]["instances"]["ready"] == total)
        .await;
    let mark = cluster.audit().mark().await;
    assert!(leader.operator.stop().await.success());
    let newest = Replica::start(cluster).await;
    standby.comes_to_lead(Duration::from_secs(2)).await;
    let look = json!({"metadata": {"annotations": {"landfall.dev/reconcile": "after-all"}}});
    let place = ("Component", homes[0].as_str(), APP);
    stage.edit(place, look).await;
    stage
        .becomes(place, |object| {
            object["status"]["lastHandledReconcileAt"] == "after-all"
        })
        .await;
    let entries = cluster.audit().since(mark).await;
    let mut late: Vec<_> = writes(&entries).into_iter().cloned().collect();
    late.retain(|entry| !entry.resource.starts_with("events"));
    // The status of the one that was to be looked at, by the annotation that asked for it.
    late.retain(|entry| !(within(entry, &homes[0]) && entry.resource == "components.catalog.landfall.dev/status"));
    assert!(late.is_empty(), "{}", lines(&late));
    let after = stage.get(("Component", &homes[0], APP)).await.unwrap();
    assert_eq!(before["status"]["inventory"], after["status"]["inventory"]);
    (standby, newest)
}

#[tokio::test]
async fn a_leader_that_is_killed_at_any_write_is_followed_by_another() {
    let cluster = Cluster::own("leader-killed").await;
    let stage = Stage::on(&cluster, "killed").await;
    let desk = Desk::new(&cluster);
    LIFE.install(&stage).await;
    let elected = |orders: &[Order]| desk.start_with(&cluster, orders, &[(ELECTED, "yes")]);

    // What is written, by one that nobody disturbs.
    let undisturbed = Replica::of(elected(&[])).await;
    LIFE.compiled(&stage).await;
    let reference = Reference::of(&stage, &LIFE).await;
    let mut points = Vec::new();
    for side in [Side::Before, Side::After] {
        for (write, occurrence) in &reference.writes[0] {
            let home = cluster.namespace("point").await;
            let order = Order {
                write: write.moved(&reference.home, &home),
                occurrence: *occurrence,
                side,
            };
            points.push((home, order));
        }
    }
    assert!(points.len() >= 16, "{points:#?}");
    undisturbed.operator.kill();
    let mut trial = Trial::of("R9", FAULT, points.len());
    let mark = cluster.audit().mark().await;
    for batch in points.chunks(points.len() / 2) {
        let orders: Vec<Order> = batch.iter().map(|(_, order)| order.clone()).collect();
        let leader = Replica::of(elected(&orders)).await;
        leader.comes_to_lead(LEASE_DURATION + TAKEOVER_MARGIN).await;
        let standby = Replica::start(&cluster).await;
        for (home, _) in batch {
            LIFE.take(&stage, Step::Create, home).await;
        }
        let killed = crashes(leader).await;
        standby.comes_to_lead(LEASE_DURATION + TAKEOVER_MARGIN).await;
        assert!(
            killed.elapsed() < LEASE_DURATION + TAKEOVER_MARGIN,
            "{:?}",
            killed.elapsed()
        );
        for (home, _) in batch {
            LIFE.done(&stage, Step::Create, home).await;
            trial.held(killed.elapsed());
        }
        let homes: Vec<String> = batch.iter().map(|(home, _)| home.clone()).collect();
        assert_quiet(&cluster, &homes, Duration::from_secs(2)).await;
        assert!(standby.operator.stop().await.success());
    }
    assert_one_writer_at_a_time(&cluster.audit().since(Mark::START).await);
    let homes: Vec<(String, usize)> = points.iter().map(|(home, _)| (home.clone(), 0)).collect();
    trial.extra_writes(reference.assert_same_in(&stage, &homes, mark).await);
    assert_no_panic(&cluster);
    trial.ends(Verdict::Resilient, "");
}

/// Waits until the leader has crashed where it was ordered to, and gives when it was seen to have.
async fn crashes(mut leader: Replica) -> Instant {
    eventually_within(patience() * 2, "the leader to crash", async || {
        let ended: Option<()> = Operator::ended(&mut leader.operator).map(drop);
        ended.ok_or(leader.operator.log_tail())
    })
    .await;
    Instant::now()
}
