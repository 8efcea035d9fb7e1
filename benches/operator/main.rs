//! What the operator costs and how fast it is, on a control plane of its own: requests are counted in the apiserver's
//! audit log, processor time and memory are read from `/proc`, times are those at which a watch shows what happened.
//!
//! `LANDFALL_BENCH_SCALE` makes every number of objects smaller, as in `LANDFALL_BENCH_SCALE=0.02 make bench`;
//! `LANDFALL_BENCH_ONLY=fuzz` leaves the measuring out, and `LANDFALL_BENCH_ONLY=rollout` all but the rollout and the teardown.
// What the lints ask of the program is not asked of what measures it: here a panic is how a fault is reported.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    missing_docs,
    clippy::needless_pass_by_value
)]
#![allow(dead_code, unused_imports, unreachable_pub)] // The helpers are there for all tests.

#[path = "../../tests/apiserver/fuzz/mod.rs"]
mod fuzz;
mod load;
mod preview;
mod process;
mod rollout;
#[path = "../../tests/apiserver/support/mod.rs"]
mod support;
mod table;

use std::time::{Duration, Instant};

use serde_json::json;

use load::Load;
use process::Usage;
use support::{Case, Cluster, Entry, Operator, Stage};
use table::Table;

/// How many of each there are.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    crowd: usize,
    many: usize,
    staged: usize,
    rest: usize,
    repairs: usize,
    previews: usize,
    verdicts: usize,
    fuzz: usize,
    idle: Duration,
}

impl Sizes {
    fn given() -> Self {
        let scale: f64 = std::env::var("LANDFALL_BENCH_SCALE")
            .ok()
            .map_or(1.0, |text| text.parse().expect("LANDFALL_BENCH_SCALE is a number"));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Small and not negative.
        let of = |full: u32| ((f64::from(full) * scale) as usize).max(3);
        Self {
            crowd: of(200),
            many: of(1000),
            staged: of(1000),
            rest: of(5000),
            repairs: of(100),
            previews: of(50),
            verdicts: of(50),
            fuzz: of(10_000),
            idle: Duration::from_secs(if scale < 1.0 { 10 } else { 60 }),
        }
    }
}

fn main() {
    // `cargo bench NAME` hands the name to every program; only `cargo bench` says `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut names = arguments.iter().filter(|argument| !argument.starts_with('-'));
    if !arguments.iter().any(|argument| argument == "--bench") || !names.all(|name| "operator".contains(name.as_str()))
    {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let holds = runtime.block_on(run(Sizes::given()));
    // Clusters live in statics; ending this process ends them.
    std::process::exit(i32::from(!holds));
}

async fn run(sizes: Sizes) -> bool {
    let began = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    eprintln!("operator: {sizes:?}; load average at the start {}", began.trim());
    let cluster = support::cluster().await;
    let mut table = Table::new(&began);
    let only = std::env::var("LANDFALL_BENCH_ONLY").unwrap_or_default();
    if only == "fuzz" {
        fuzzing(cluster, sizes.fuzz).await;
        return true;
    }
    if only == "rollout" {
        rollout::staged(cluster, &Operator::start(cluster).await, &mut table, sizes.staged).await;
        table.print();
        return table.holds();
    }
    {
        let operator = Operator::start(cluster).await;
        let stage = Stage::on(cluster, "bench").await;
        let load = Load::prepare(&stage).await;
        one(&load, &mut table).await;
        repairs(&load, &mut table, sizes.repairs).await;
        preview::drift_told(&stage, &mut table, sizes.verdicts).await;
        preview::verdicts(&stage, &mut table, sizes.verdicts).await;
        preview::plans(&load, &mut table, sizes.previews).await;
        crowd(&load, &operator, &mut table, "crowd", sizes.crowd, true).await;
        rollout::staged(cluster, &operator, &mut table, sizes.staged).await;
        crowd(&load, &operator, &mut table, "many", sizes.many, false).await;
        rest(&load, &operator, &mut table, sizes).await;
        restart(&load, operator, &mut table, sizes.rest).await;
    }
    table.print();
    fuzzing(cluster, sizes.fuzz).await;
    table.holds()
}

/// One instance from its creation to its deletion; the median of five.
async fn one(load: &Load<'_>, table: &mut Table) {
    load.make(&["warm-1", "warm-2", "warm-3"]).await;
    let (mut made, mut changed, mut deleted, mut taken) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..5 {
        let name = format!("one-{number}");
        let mark = load.stage.cluster.audit().mark().await;
        taken.push(load.make(&[&name]).await[0]);
        made.push(load.asked_since(mark).await);
        let mark = load.stage.cluster.audit().mark().await;
        load.change(&name).await;
        changed.push(load.asked_since(mark).await);
        let mark = load.stage.cluster.audit().mark().await;
        load.delete(&name).await;
        deleted.push(load.asked_since(mark).await);
    }
    let median = |counts: &mut Vec<usize>| {
        counts.sort_unstable();
        counts[counts.len() / 2]
    };
    table.counts(
        "requests, one instance of 5 objects, to Ready",
        median(&mut made) as f64,
        8.0,
        "79",
    );
    table.counts("requests, one field changed", median(&mut changed) as f64, 2.0, "67");
    table.counts("requests, one instance deleted", median(&mut deleted) as f64, 4.0, "55");
    table.times("create to Ready, one instance", &taken, None, "about 1 s");
}

/// So many edits undone, a few of each object: what is edited again and again is a fight, whose repairs slow down.
async fn repairs(load: &Load<'_>, table: &mut Table, count: usize) {
    const EACH: usize = 5;
    let mut taken = Vec::new();
    for number in 0..count.div_ceil(EACH) {
        // The first one is looked at again after the restart.
        let name = if number == 0 {
            "drift".to_owned()
        } else {
            format!("drift-{number}")
        };
        load.make(&[&name]).await;
        taken.extend(load.repairs(&name, EACH).await);
    }
    table.times("drift repaired", &taken, Some(Duration::from_millis(100)), "360 ms");
}

/// So many at once, from the first create to the last Ready.
async fn crowd(load: &Load<'_>, operator: &Operator, table: &mut Table, word: &str, count: usize, deleted: bool) {
    let names: Vec<String> = (0..count).map(|number| format!("{word}-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mark = load.stage.cluster.audit().mark().await;
    let (before, began) = (Usage::of(operator, load.stage.cluster), Instant::now());
    let taken = load.make(&names).await;
    let (took, used) = (began.elapsed(), Usage::of(operator, load.stage.cluster).since(before));
    let asked = load.asked_since(mark).await;
    let recorded = |text: &'static str| if deleted { text } else { "" };
    table.counts(
        &format!("requests each, {count} at once"),
        asked as f64 / count as f64,
        8.0,
        recorded("53.8 at 200"),
    );
    table.text(
        &format!("all Ready, {count} at once"),
        &format!("{:.1} s", took.as_secs_f64()),
        recorded("52 s at 200, 24 s of it creating"),
    );
    table.times(&format!("create to Ready, {count} at once"), &taken, None, "");
    table.usage(
        &format!("{count} at once"),
        &used,
        recorded("6.2 s at 200"),
        recorded("78 MB at 202"),
    );
    if deleted {
        let mark = load.stage.cluster.audit().mark().await;
        let began = Instant::now();
        load.delete_all(&names).await;
        let asked = load.asked_since(mark).await;
        table.counts(
            &format!("requests each, {count} deleted at once"),
            asked as f64 / count as f64,
            4.0,
            "55",
        );
        table.text(
            &format!("all gone, {count} at once"),
            &format!("{:.1} s", began.elapsed().as_secs_f64()),
            "67 s",
        );
    }
}

/// As many as there are to be, at rest.
async fn rest(load: &Load<'_>, operator: &Operator, table: &mut Table, sizes: Sizes) {
    let missing = sizes.rest.saturating_sub(sizes.many);
    let names: Vec<String> = (0..missing).map(|number| format!("rest-{number}")).collect();
    for part in names.chunks(500) {
        load.make(&part.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    load.quiet().await;
    let mark = load.stage.cluster.audit().mark().await;
    let before = Usage::of(operator, load.stage.cluster);
    tokio::time::sleep(sizes.idle).await;
    let used = Usage::of(operator, load.stage.cluster).since(before);
    let asked = load.stage.cluster.audit().since(mark).await;
    let asked: Vec<_> = asked
        .iter()
        .filter(|entry| entry.user_agent.starts_with(support::OPERATOR_AGENT))
        .collect();
    // A watch ends after some minutes and is opened again; that is a request of no instance.
    let asked = asked.iter().filter(|entry| entry.verb != "watch").count();
    let seconds = sizes.idle.as_secs();
    table.counts(
        &format!("requests in {seconds} s, {} at rest", sizes.rest),
        asked as f64,
        0.0,
        "0",
    );
    table.usage(&format!("{} at rest, {seconds} s", sizes.rest), &used, "", "");
}

/// A new process finds all as it was.
async fn restart(load: &Load<'_>, operator: Operator, table: &mut Table, count: usize) {
    let before = Usage::of(&operator, load.stage.cluster);
    operator.stop().await;
    let mark = load.stage.cluster.audit().mark().await;
    let began = Instant::now();
    let operator = Operator::start(load.stage.cluster).await;
    let ready = began.elapsed();
    load.looked_at("drift").await;
    load.quiet().await;
    let settled = began.elapsed();
    // The operator is another process, whose time begins at nothing.
    let before = Usage {
        operator_seconds: 0.0,
        ..before
    };
    let used = Usage::of(&operator, load.stage.cluster).since(before);
    let entries = support::counted(load.stage.cluster.audit().since(mark).await, support::OPERATOR_AGENT);
    // The look that was asked for is remembered in a status. The operator's own definitions are no instance's.
    let of_instances = |entry: &&Entry| {
        !entry.name.is_empty() && entry.name != "drift" && !entry.resource.starts_with("customresourcedefinitions.")
    };
    let each = entries.iter().filter(of_instances).count();
    table.counts(
        &format!("requests for instances at a restart, {count} of them"),
        each as f64,
        0.0,
        "21 each",
    );
    table.text("requests in all at a restart", &entries.len().to_string(), "");
    table.text("restart to /readyz", &format!("{:.2} s", ready.as_secs_f64()), "");
    table.text(
        "restart to all looked at",
        &format!("{:.1} s", settled.as_secs_f64()),
        "",
    );
    table.usage("after the restart", &used, "", "73 MB at 202");
}

async fn fuzzing(cluster: &'static Cluster, count: usize) {
    let operator = Operator::start(cluster).await;
    let seed = fuzz::given("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mut tally = fuzz::Tally::default();
    let began = Instant::now();
    for from in (0..count).step_by(500) {
        let case = Case::on(cluster).await;
        tally.add(&fuzz::campaign(&case, &operator, seed, from, (count - from).min(500)).await);
    }
    eprintln!("{tally}");
    println!(
        "{} fuzzed objects survived in {:.0} s, seed {seed}.",
        tally.objects,
        began.elapsed().as_secs_f64()
    );
}
