//! R3: the apiserver or etcd goes away under a running operator, and comes back.

use std::time::{Duration, Instant};

use super::reference::{Reference, assert_no_panic, assert_quiet};
use super::replicas::{LEASE_DURATION, Replica, assert_one_writer_at_a_time};
use super::workflow::{LIFE, Step};
use crate::support::{Cluster, Mark, Stage, Trial, Verdict, eventually, patience};

/// From the moment that the apiserver says that it is ready.
const RESUMES_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_apiserver_or_etcd_that_comes_back_is_worked_with_at_once() {
    let cluster = Cluster::own("outages").await;
    let stage = Stage::on(&cluster, "outages").await;
    LIFE.install(&stage).await;
    // Of two, since the leader's term ends while nobody answers.
    let leader = Replica::start(&cluster).await;
    leader.comes_to_lead(patience()).await;
    let standby = Replica::start(&cluster).await;
    LIFE.compiled(&stage).await;
    let reference = Reference::of(&stage, &LIFE).await;
    let outages: [(&[&str], Duration); 3] = [
        (&["kube-apiserver"], Duration::ZERO),
        // Longer than a lease lasts.
        (&["kube-apiserver"], LEASE_DURATION * 2),
        (&["etcd"], Duration::from_secs(3)),
    ];
    let mut trial = Trial::of(
        "R3",
        "apiserver restarted, away for longer than a lease lasts, etcd restarted",
        outages.len(),
    );
    for (components, away) in outages {
        let mark = cluster.audit().mark().await;
        let mut homes = Vec::new();
        for _ in 0..4 {
            homes.push(cluster.namespace("outage").await);
        }
        // In the middle of its work.
        for home in &homes {
            LIFE.take(&stage, Step::Create, home).await;
        }
        for component in components {
            cluster.order("stop", component);
        }
        tokio::time::sleep(away).await;
        for replica in [&leader, &standby] {
            assert_eq!(replica.operator.get("/healthz").await.unwrap().0, 200);
            assert_eq!(replica.operator.get("/readyz").await.unwrap().0, 200);
        }
        for component in components {
            cluster.order("start", component);
        }
        let ready = ready(&cluster).await;
        for home in &homes {
            LIFE.done(&stage, Step::Create, home).await;
        }
        // And something new is seen, for which the watches have to be open again.
        let home = cluster.namespace("outage").await;
        LIFE.take(&stage, Step::Create, &home).await;
        LIFE.done(&stage, Step::Create, &home).await;
        homes.push(home);
        let took = ready.elapsed();
        let limit = RESUMES_WITHIN.max(patience() / 3);
        assert!(
            took < limit,
            "it took {took:?} after {components:?} were away for {away:?}"
        );
        trial.held(took);
        let places: Vec<(String, usize)> = homes.iter().map(|home| (home.clone(), 0)).collect();
        trial.extra_writes(reference.assert_same_in(&stage, &places, mark).await);
        assert_quiet(&cluster, &homes, Duration::from_secs(2)).await;
    }
    // Neither has ended, and the one that led still does: its competitor lets it come first.
    let mut both = [leader, standby];
    for replica in &mut both {
        assert_eq!(replica.operator.ended(), None, "{}", replica.operator.log_tail());
    }
    assert_eq!(
        assert_one_writer_at_a_time(&cluster.audit().since(Mark::START).await),
        1
    );
    assert_no_panic(&cluster);
    trial.ends(Verdict::Resilient, "");
}

/// Waits until the apiserver says that it is ready, and gives when it did.
async fn ready(cluster: &Cluster) -> Instant {
    eventually("the apiserver to be ready", async || {
        let client = cluster.client().await;
        let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
        client.request_text(request).await
    })
    .await;
    Instant::now()
}
