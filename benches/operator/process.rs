//! What processes use, as Linux counts it.

use std::fs;

use crate::support::{Cluster, Operator};

/// Processor time since its start, and memory, of the operator and of what it makes work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub operator_seconds: f64,
    pub apiserver_seconds: f64,
    pub etcd_seconds: f64,
    /// Resident memory of the operator now, in MB (10⁶ bytes).
    pub resident: f64,
    /// The most that it ever was.
    pub peak: f64,
}

impl Usage {
    pub fn of(operator: &Operator, cluster: &Cluster) -> Self {
        let others = cluster.processes();
        let seconds = |name: &str| others.get(name).map_or(0.0, |id| seconds(*id));
        let status = fs::read_to_string(format!("/proc/{}/status", operator.id())).unwrap();
        let memory = |field: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(field))
                .unwrap_or_default();
            let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
            kibibytes * 1024.0 / 1e6
        };
        Self {
            operator_seconds: self::seconds(operator.id()),
            apiserver_seconds: seconds("kube-apiserver"),
            etcd_seconds: seconds("etcd"),
            resident: memory("VmRSS:"),
            peak: memory("VmHWM:"),
        }
    }

    /// The processor time since then, and the memory now.
    pub fn since(self, before: Self) -> Self {
        Self {
            operator_seconds: self.operator_seconds - before.operator_seconds,
            apiserver_seconds: self.apiserver_seconds - before.apiserver_seconds,
            etcd_seconds: self.etcd_seconds - before.etcd_seconds,
            ..self
        }
    }
}

/// The processor time of a process. `/proc/PID/stat` counts in hundredths of a second (`man 5 proc_pid_stat`; Linux
/// has shown user space no other unit since 2.6).
fn seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
    let ticks = |place: usize| {
        fields
            .get(place)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}
