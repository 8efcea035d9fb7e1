//! What many instances cost the operator as a pod. `make bench` does it with 1,000 of five objects and the released image, and the
//! numbers that it prints are those of docs/operations.md; `make test` with a few.

use std::time::Instant;

use crate::cost::{self, Usage};
use crate::installation::{Installation, LEASE_DURATION, SHORT_LEASE};
use crate::load::Load;
use crate::operator::let_act;
use crate::support::{Cluster, is_write, lines, patience};

/// The chart's limit, in MB.
const MEMORY_LIMIT: f64 = 512.0 * 1.048_576;

/// How many instances: 20, or, with `LANDFALL_BENCH_SCALE`, so many thousands.
fn many() -> usize {
    let scale = std::env::var("LANDFALL_BENCH_SCALE").ok();
    let scale: f64 = scale.map_or(0.02, |text| text.parse().expect("LANDFALL_BENCH_SCALE is a number"));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Small and not negative.
    let many = (1000.0 * scale) as usize;
    many.max(3)
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn a_crowd_of_instances_costs_a_pod_little_and_is_taken_over_without_a_write() {
    let cluster = Cluster::bare_with_node("crowd").await;
    let installation = Installation::prepare(&cluster).await;
    let stage = &installation.stage;
    installation.install_this(&[SHORT_LEASE]);
    let_act(stage, &stage.home, "binder").await;
    installation.quickstart();
    cost::at_rest(&installation, "at rest with 1 instance").await;

    let leading = async || {
        let (pods, leader) = (installation.pods().await, installation.leader().await);
        let leads = |name: &str| leader.starts_with(name);
        let mut pods = pods.into_iter();
        pods.find(|pod| leads(pod["metadata"]["name"].as_str().unwrap()))
            .unwrap()
    };
    let load = Load::prepare(stage).await;
    let names: Vec<String> = (0..many()).map(|number| format!("app-{number:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (leader, began) = (leading().await, Instant::now());
    let before = Usage::of(&installation, &leader);
    load.make(&names).await;
    let (made, after) = (began.elapsed(), Usage::of(&installation, &leader));
    println!(
        "figures: {} instances of 5 objects: all Ready after {:.1} s, {:.2} s of the leader's processor time, {:.1} MB resident, at most {:.1} MB",
        names.len(),
        made.as_secs_f64(),
        after.processor - before.processor,
        after.memory,
        after.peak
    );
    let when = format!("at rest with {} instances", names.len());
    let most = cost::at_rest(&installation, &when).await;
    assert!(
        most.max(after.peak) < MEMORY_LIMIT,
        "{most} MB, at most {} MB",
        after.peak
    );
    println!("figures: {when}: {}", cost::further_pod(&installation).await);

    // Nobody but the next leader makes the quota again, and of all others it writes nothing.
    installation.ready_pods(2).await;
    let mark = cluster.audit().mark().await;
    cluster.enter(&["kill", "-KILL", &installation.process(&leading().await)]);
    let took = installation.repairs(LEASE_DURATION + patience()).await;
    println!(
        "figures: {when}: killed, the leader was followed and drift repaired after {:.1} s, with a lease of {} s",
        took.as_secs_f64(),
        LEASE_DURATION.as_secs()
    );
    // The crowd has been looked at, the last of it too.
    stage.looked_at("Component", names.last().unwrap()).await;
    let mut entries = cluster.audit().since(mark).await;
    entries.retain(|entry| entry.user_agent.starts_with("landfall/") && is_write(entry) && entry.is_counted());
    entries.retain(|entry| entry.namespace.starts_with(&stage.home) && entry.name != *names.last().unwrap());
    assert!(entries.is_empty(), "{}", lines(&entries));
    for pod in installation.ready_pods(2).await {
        let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap();
        assert!(restarts <= 1, "none but the one that was killed: {pod:#}");
    }
}
