//! What the operator costs as a pod, and what is resident on the node, as Linux counts it there.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::installation::{Installation, NAMESPACE};
use crate::kubectl;
use crate::support::Cluster;

/// For how long the operator is watched at rest, in seconds; `make bench` watches longer.
fn rest() -> Duration {
    let seconds = std::env::var("LANDFALL_REST_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

/// What the operator of a pod uses.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Since its start, in seconds.
    pub processor: f64,
    /// Resident memory, in MB (10⁶ bytes): now, and the most that it ever was.
    pub memory: f64,
    pub peak: f64,
}

impl Usage {
    pub fn of(installation: &Installation<'_>, pod: &Value) -> Self {
        let process = installation.process(pod);
        let file = |name: &str| {
            installation
                .cluster()
                .enter(&["cat", &format!("/proc/{process}/{name}")])
        };
        // In hundredths of a second. `man 5 proc_pid_stat`.
        let stat = file("stat");
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: f64 = [11, 12]
            .map(|place: usize| fields[place].parse::<f64>().unwrap())
            .iter()
            .sum();
        let status = file("status");
        let memory = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
            let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            kibibytes * 1024.0 / 1e6
        };
        Self {
            processor: ticks / 100.0,
            memory: memory("VmRSS:"),
            peak: memory("VmHWM:"),
        }
    }
}

/// Prints what each of the operators uses while nothing changes, and gives the memory of the largest, in MB.
pub async fn at_rest(installation: &Installation<'_>, when: &str) -> f64 {
    let (pods, leader) = (installation.pods().await, installation.leader().await);
    let before: Vec<Usage> = pods.iter().map(|pod| Usage::of(installation, pod)).collect();
    // What is measured is what it does by itself in that time.
    tokio::time::sleep(rest()).await;
    let mut most = 0.0_f64;
    for (pod, before) in pods.iter().zip(before) {
        let now = Usage::of(installation, pod);
        let leads = leader.starts_with(pod["metadata"]["name"].as_str().unwrap());
        println!(
            "figures: {when}: {}: {:.1} MB resident, at most {:.1} MB, {:.0} ms of processor time in {} s",
            if leads { "leader" } else { "standby" },
            now.memory,
            now.peak,
            (now.processor - before.processor) * 1000.0,
            rest().as_secs()
        );
        most = most.max(now.memory);
    }
    most
}

/// How soon a pod more is there.
#[derive(Clone, Copy, Debug)]
pub struct Further {
    /// From asking for it.
    pub ready: Duration,
    /// From the first line of its log.
    pub seen: Duration,
}

impl fmt::Display for Further {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a further pod is Ready after {:.1} s, and has seen everything {:.2} s after the first line of its log",
            self.ready.as_secs_f64(),
            self.seen.as_secs_f64()
        )
    }
}

/// Asks for a pod more, waits until it is Ready, and takes it away again.
pub async fn further_pod(installation: &Installation<'_>) -> Further {
    let stage = &installation.stage;
    let name_of = |pod: &Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
    let former: Vec<String> = installation.ready_pods(2).await.iter().map(name_of).collect();
    let deployment = ["-n", NAMESPACE, "scale", "deployment/landfall"];
    let began = Instant::now();
    kubectl(stage, &[&deployment[..], &["--replicas=3"]].concat());
    let pods = installation.ready_pods(3).await;
    let ready = began.elapsed();
    let name = pods.iter().map(name_of).find(|name| !former.contains(name)).unwrap();
    let log = kubectl(stage, &["logs", "-n", NAMESPACE, "--timestamps", &name]);
    let time = |line: &str| -> jiff::Timestamp { line.split(' ').next().unwrap().parse().unwrap() };
    let first = time(log.lines().next().unwrap());
    let seen = log
        .lines()
        .find(|line| line.contains("everything has been seen once"))
        .map(time)
        .unwrap();
    kubectl(stage, &[&deployment[..], &["--replicas=2"]].concat());
    Further {
        ready,
        seen: seen.duration_since(first).unsigned_abs(),
    }
}

/// What is resident of every program on the node, in words, the largest first. What many share is counted for each of them.
pub fn resident(cluster: &Cluster) -> String {
    // One process a line: its memory in KiB, and by what name it was started. Some end in between.
    let script = r#"cd /proc && for process in [0-9]*; do
        memory=$(sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB$/\1/p' "$process/status")
        [ -z "$memory" ] || printf '%s %s\n' "$memory" "$(tr '\0\n' '  ' <"$process/cmdline" | cut -d ' ' -f 1)"
    done 2>/dev/null || true"#;
    let mut programs: BTreeMap<String, f64> = BTreeMap::new();
    for line in cluster.enter(&["sh", "-c", script]).lines() {
        let mut words = line.split(' ');
        let memory: f64 = words.next().unwrap().parse().unwrap();
        let path = words.next().unwrap_or_default();
        let name = match path.rsplit_once('/') {
            Some((place, _)) if place.ends_with("/ko-app") => "Tekton",
            Some((_, name)) => name,
            None => path,
        };
        *programs.entry(name.to_owned()).or_default() += memory * 1024.0 / 1e6;
    }
    let whole: f64 = programs.values().sum();
    let mut programs: Vec<(String, f64)> = programs.into_iter().filter(|(_, memory)| *memory >= 1.0).collect();
    programs.sort_by(|one, other| other.1.total_cmp(&one.1));
    let words = programs.iter().map(|(name, memory)| format!("{name} {memory:.0} MB"));
    format!("{whole:.0} MB on the node: {}", words.collect::<Vec<_>>().join(", "))
}
