//! A cluster with a node keeps to itself, beside others, and leaves nothing behind, whatever ends it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Cluster, Stage, eventually, node_cluster};
use crate::{pod_ready, shell};

/// What of a cluster with a node could reach the machine that it runs on.
#[derive(Debug, PartialEq, Eq)]
struct Surroundings {
    mounts: BTreeSet<String>,
    interfaces: BTreeSet<String>,
    tables: String,
    settings: Vec<String>,
}

/// The machine's, but for mounts that are no cluster's.
fn surroundings() -> Surroundings {
    let settings = [
        "vm/overcommit_memory",
        "vm/panic_on_oom",
        "kernel/panic",
        "kernel/panic_on_oops",
        "kernel/keys/root_maxkeys",
        "net/ipv4/ip_forward",
    ];
    let places = [
        "/var/lib/kubelet",
        "/var/lib/cni",
        "/var/log/containers",
        "/var/log/pods",
        "/run/containerd",
    ];
    let settings = settings.map(|name| {
        let value = fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap_or_default();
        format!("{name}: {value}")
    });
    let places = places.map(|place| format!("{place}: {}", Path::new(place).exists()));
    Surroundings {
        mounts: fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .lines()
            .filter(|line| line.contains("/target/cluster/") || line.contains("/netns/"))
            .map(ToOwned::to_owned)
            .collect(),
        interfaces: fs::read_dir("/sys/class/net")
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect(),
        tables: text(Command::new("/usr/sbin/nft").args(["list", "tables"])),
        settings: settings.into_iter().chain(places).collect(),
    }
}

fn text(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// The processes whose arguments name a directory, as process id and arguments.
fn processes_of(directory: &Path) -> Vec<(u32, String)> {
    let directory = directory.to_str().unwrap();
    let running = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let arguments = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        Some((id, String::from_utf8_lossy(&arguments).replace('\0', " ")))
    });
    running.filter(|(_, arguments)| arguments.contains(directory)).collect()
}

/// Those control groups of a directory's cluster that are there.
fn control_groups(directory: &Path) -> Vec<String> {
    let settings = fs::read_to_string(directory.join("node/kubelet.yaml")).unwrap();
    let name = settings
        .lines()
        .find_map(|line| line.strip_prefix("cgroupRoot: /"))
        .unwrap();
    let find = format!("find /sys/fs/cgroup -maxdepth 2 -type d -name {name}");
    text(Command::new("sh").args(["-c", &find]))
        .lines()
        .map(ToOwned::to_owned)
        .collect()
}

fn kill(id: u32) {
    let killed = Command::new("sh").args(["-c", &format!("kill -KILL {id}")]).status();
    assert!(killed.unwrap().success());
}

async fn run_a_pod(cluster: &Cluster) {
    let stage = Stage::on(cluster, "left").await;
    stage.put(shell(&stage.home, "sleeper", "sleep 3600")).await;
    pod_ready(&stage, &stage.home, "sleeper").await;
}

async fn all_gone(directory: &Path) {
    eventually("all its processes to be gone", async || {
        let left = processes_of(directory);
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn leaves_nothing_when_a_part_of_it_or_the_whole_is_killed_and_starts_again() {
    // Another one runs beside it all the while.
    run_a_pod(node_cluster().await).await;
    let before = surroundings();

    let cluster = Cluster::own_with_node("killed").await;
    let directory = cluster.directory().to_owned();
    run_a_pod(&cluster).await;
    assert_eq!(surroundings(), before, "while it runs");
    assert_ne!(control_groups(&directory), [""; 0]);
    let running = processes_of(&directory);
    let runtime = running
        .iter()
        .find(|(_, arguments)| arguments.contains("containerd.toml"))
        .unwrap();
    kill(runtime.0);
    let said = cluster.ended().await;
    assert!(said.contains("containerd has ended (signal: killed)"), "{said}");
    all_gone(&directory).await;
    assert_eq!(control_groups(&directory), [""; 0]);
    assert_eq!(surroundings(), before);
    drop(cluster);

    let again = Cluster::own_with_node("killed").await;
    run_a_pod(&again).await;
    kill(again.id());
    again.ended().await;
    all_gone(&directory).await;
    assert_eq!(surroundings(), before);
    // What the kernel does not take back is removed by the next start, or by this.
    again.down();
    assert_eq!(control_groups(&directory), [""; 0]);

    run_a_pod(node_cluster().await).await;
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn pods_run_on_while_its_apiserver_is_away() {
    let cluster = Cluster::own_with_node("restarted").await;
    let stage = Stage::on(&cluster, "restarted").await;
    stage.put(shell(&stage.home, "sleeper", "sleep 3600")).await;
    let before = pod_ready(&stage, &stage.home, "sleeper").await;

    cluster.order("stop", "kube-apiserver");
    let asked = cluster.kubectl(&["get", "pods", "-A", "--request-timeout=2s"]);
    assert!(!asked.status.success(), "the apiserver answers although it was stopped");
    cluster.order("start", "kube-apiserver");

    eventually("the apiserver to answer again", async || {
        let asked = cluster.kubectl(&["get", "--raw", "/readyz"]);
        let said = String::from_utf8_lossy(&asked.stderr).into_owned();
        asked.status.success().then_some(()).ok_or(said)
    })
    .await;
    // A pod that is made now shows that kubelet, scheduler and controller manager are back too.
    stage.put(shell(&stage.home, "later", "sleep 3600")).await;
    pod_ready(&stage, &stage.home, "later").await;
    let after = pod_ready(&stage, &stage.home, "sleeper").await;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["status"]["containerStatuses"][0]["restartCount"], 0);
}
