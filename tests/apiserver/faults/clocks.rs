//! R10: the clocks of operators are ten minutes off, in both directions, and jump.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::reference::assert_no_panic;
use super::replicas::{LEASE, LEASE_DURATION, Replica, TAKEOVER_MARGIN, assert_one_writer_at_a_time};
use super::workflow::{LIFE, Step};
use crate::support::{Cluster, Mark, Stage, Trial, Verdict};

/// Where Debian's package `libfaketime` puts it.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

#[tokio::test]
async fn whose_lease_it_is_does_not_depend_on_what_time_it_is() {
    let Some(library) = library() else {
        // The times in the lease are absurd in a test of R9 as well; a clock is set here only.
        println!("NOT RUN: {LIBRARY} is missing, so no clock can be set (Debian: apt-get install libfaketime)");
        return;
    };
    let cluster = Cluster::own("clocks").await;
    let stage = Stage::on(&cluster, "clocks").await;
    LIFE.install(&stage).await;
    let mut trial = Trial::of("R10", "clock of one operator ten minutes off, or set while it runs", 4);
    let early = Clock::new(&cluster, &library, "early", "-10m");
    let late = Clock::new(&cluster, &library, "late", "+10m");

    let leader = Replica::start_with(&cluster, |command| early.set_for(command)).await;
    leader.comes_to_lead(LEASE_DURATION + TAKEOVER_MARGIN).await;
    assert!(off(&stage).await < -500, "the clock of the leader is not off");
    let standby = Replica::start_with(&cluster, |command| late.set_for(command)).await;
    trial.held(keeps_leading(&cluster, &stage, &leader, &standby).await);
    // The clock of each jumps by twenty minutes.
    early.set("+10m");
    late.set("-10m");
    trial.held(keeps_leading(&cluster, &stage, &leader, &standby).await);
    assert!(off(&stage).await > 500, "the clock of the leader has not jumped");

    let began = Instant::now();
    leader.operator.kill();
    standby.comes_to_lead(LEASE_DURATION + TAKEOVER_MARGIN).await;
    trial.held(began.elapsed());
    let follower = Replica::start(&cluster).await;
    late.set("+10m");
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

fn library() -> Option<PathBuf> {
    let places = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|place| place.path());
    let mut found = places
        .map(|place| place.join(LIBRARY))
        .filter(|library| library.exists());
    found.next()
}

/// A clock that is off, and can be set while a process goes by it.
struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    fn new(cluster: &Cluster, library: &Path, name: &str, off: &str) -> Self {
        let clock = Self {
            library: library.to_owned(),
            file: cluster.directory().join(format!("{name}.clock")),
        };
        clock.set(off);
        clock
    }

    fn set(&self, off: &str) {
        std::fs::write(&self.file, off).unwrap();
    }

    fn set_for(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env("FAKETIME_TIMESTAMP_FILE", &self.file);
        command.env("FAKETIME_NO_CACHE", "1");
        // What no one can set is left alone.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}
