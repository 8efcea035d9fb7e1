//! R10: the clocks of operators are ten minutes off, in both directions, and jump.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::reference::assert_no_panic;
use super::replicas::{LEASE, LEASE_DURATION, Replica, TAKEOVER_MARGIN, assert_one_writer_at_a_time};
use super::workflow::{LIFE, Step};
use crate::support::{Cluster, Mark, Stage, Trial, Verdict, repository};

/// In seconds.
const TEN_MINUTES: i64 = 600;

#[tokio::test]
async fn whose_lease_it_is_does_not_depend_on_what_time_it_is() {
    let cluster = Cluster::own("clocks").await;
    let stage = Stage::on(&cluster, "clocks").await;
    LIFE.install(&stage).await;
    let mut trial = Trial::of("R10", "clock of one operator ten minutes off, or set while it runs", 4);
    let library = library(&cluster);
    let early = Clock::new(&cluster, &library, "early", -TEN_MINUTES);
    let late = Clock::new(&cluster, &library, "late", TEN_MINUTES);

    let leader = Replica::start_with(&cluster, |command| early.set_for(command)).await;
    leader.comes_to_lead(LEASE_DURATION + TAKEOVER_MARGIN).await;
    assert!(off(&stage).await < -500, "the clock of the leader is not off");
    let standby = Replica::start_with(&cluster, |command| late.set_for(command)).await;
    trial.held(keeps_leading(&cluster, &stage, &leader, &standby).await);
    // The clock of each jumps by twenty minutes.
    early.set(TEN_MINUTES);
    late.set(-TEN_MINUTES);
    trial.held(keeps_leading(&cluster, &stage, &leader, &standby).await);
    assert!(off(&stage).await > 500, "the clock of the leader has not jumped");

    let began = Instant::now();
    leader.operator.kill();
    standby.comes_to_lead(LEASE_DURATION + TAKEOVER_MARGIN).await;
    trial.held(began.elapsed());
    let follower = Replica::start(&cluster).await;
    late.set(TEN_MINUTES);
    trial.held(keeps_leading(&cluster, &stage, &standby, &follower).await);
    assert_eq!(
        assert_one_writer_at_a_time(&cluster.audit().since(Mark::START).await),
        2
    );
    assert_no_panic(&cluster);
    trial.ends(Verdict::Resilient, "");
}

/// For longer than a lease lasts, while it works.
async fn keeps_leading(cluster: &Cluster, stage: &Stage<'_>, leader: &Replica, standby: &Replica) -> Duration {
    let began = Instant::now();
    let mut took = Duration::ZERO;
    while began.elapsed() < LEASE_DURATION * 2 {
        let home = cluster.namespace("clock").await;
        let asked = Instant::now();
        LIFE.take(stage, Step::Create, &home).await;
        LIFE.done(stage, Step::Create, &home).await;
        took = took.max(asked.elapsed());
        assert!(leader.leads().await && !standby.leads().await);
    }
    took
}

/// By how many seconds the time at which the lease was renewed differs from now.
async fn off(stage: &Stage<'_>) -> i64 {
    let lease: Value = stage.get(("Lease", LEASE.0, LEASE.1)).await.unwrap();
    let renewed: jiff::Timestamp = lease["spec"]["renewTime"].as_str().unwrap().parse().unwrap();
    renewed.as_second() - jiff::Timestamp::now().as_second()
}

/// What is preloaded into a program to set its clock, compiled by the compiler that Rust links with.
fn library(cluster: &Cluster) -> PathBuf {
    let library = cluster.directory().join("clock.so");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(repository().join("tests/apiserver/faults/clock.c"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    library
}

/// A clock that is off by some seconds, and can be set while a process goes by it.
struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    fn new(cluster: &Cluster, library: &Path, name: &str, off: i64) -> Self {
        let clock = Self {
            library: library.to_owned(),
            file: cluster.directory().join(format!("{name}.clock")),
        };
        clock.set(off);
        clock
    }

    /// In one step, so that the file is never read while it is empty.
    fn set(&self, off: i64) {
        let next = self.file.with_extension("next");
        std::fs::write(&next, off.to_string()).unwrap();
        std::fs::rename(&next, &self.file).unwrap();
    }

    fn set_for(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env("LANDFALL_TEST_CLOCK", &self.file);
    }
}
