//! The apiserver is away under an install that is alive, and comes back.

use std::time::Duration;

use serde_json::Value;

use crate::installation::{Installation, LEASE_DURATION, SHORT_LEASE};
use crate::support::{Cluster, Entry, Mark, condition, eventually, is_current, is_write, lines, patience};

/// The pods by name, with how often each was restarted.
fn restarts(pods: &[Value]) -> Vec<(String, Value)> {
    let mut restarts: Vec<(String, Value)> = pods
        .iter()
        .map(|pod| {
            let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
            (name, pod["status"]["containerStatuses"][0]["restartCount"].clone())
        })
        .collect();
    restarts.sort_by(|one, other| one.0.cmp(&other.0));
    restarts
}

/// What the operator has written of instances since the mark. A Template's own status counts all of them, in its own time.
async fn written(cluster: &Cluster, mark: Mark) -> Vec<Entry> {
    let entries = cluster.audit().since(mark).await;
    let own = entries
        .into_iter()
        .filter(|entry| entry.user_agent.starts_with("landfall/") && is_write(entry) && entry.is_counted());
    own.filter(|entry| !entry.resource.starts_with("templates.")).collect()
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn an_apiserver_that_was_away_finds_the_same_pods_at_work_and_nothing_is_written_because_of_it() {
    let cluster = Cluster::bare_with_node("outage").await;
    let installation = Installation::prepare(&cluster).await;
    installation.install_this(&[SHORT_LEASE]);
    installation.quickstart();
    installation.golden_path().await;
    let mut before = installation.made();
    let pods = restarts(&installation.ready_pods(2).await);

    for away in [Duration::ZERO, LEASE_DURATION * 2] {
        let mark = cluster.audit().mark().await;
        cluster.order("stop", "kube-apiserver");
        tokio::time::sleep(away).await;
        cluster.order("start", "kube-apiserver");
        eventually("the apiserver to answer again", async || {
            let asked = cluster.kubectl(&["get", "--raw", "/readyz"]);
            let said = String::from_utf8_lossy(&asked.stderr).into_owned();
            asked.status.success().then_some(()).ok_or(said)
        })
        .await;
        // It is worked with again: what was asked for after the outage is seen.
        let hello = installation
            .stage
            .looked_at_in("quickstart", "Component", "hello")
            .await;
        assert!(
            is_current(&hello) && condition(&hello, "Ready").status == "True",
            "{hello:#}"
        );
        assert_eq!(installation.made(), before, "away for {away:?}: made again or written");
        // To have looked is said in the status, once.
        let mut entries = written(&cluster, mark).await;
        let said = |entry: &Entry| entry.resource == "components.catalog.landfall.dev/status" && entry.name == "hello";
        let told = entries.iter().filter(|entry| said(entry) && entry.code < 300).count();
        entries.retain(|entry| !said(entry));
        assert!(
            entries.is_empty() && told == 1,
            "away for {away:?}: {told}, and\n{}",
            lines(&entries)
        );
        assert_eq!(
            restarts(&installation.ready_pods(2).await),
            pods,
            "away for {away:?}: nothing is gained by starting anew"
        );
        // And it leads and repairs.
        installation
            .repairs(patience().max(LEASE_DURATION) + Duration::from_secs(5))
            .await;
        let now = installation.made();
        let mut others = now.clone();
        for made in [&mut others, &mut before] {
            assert!(made.remove("ResourceQuota sandbox-hello/limits").is_some());
        }
        assert_eq!(others, before, "away for {away:?}");
        before = now;
    }
}
