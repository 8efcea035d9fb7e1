//! Several operators on one cluster, of which one leads.

use std::collections::HashSet;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::support::{
    Cluster, Entry, OPERATOR_AGENT, Operator, eventually, eventually_within, is_write, lines, patience,
};

/// The Lease, in the namespace that the kubeconfig names.
pub const LEASE: (&str, &str) = ("default", "landfall-controller");
/// The times of these elections.
pub const LEASE_DURATION: Duration = Duration::from_secs(5);
/// How long a takeover may take beyond the time that the lease promises, on a machine that has much else to do.
pub const TAKEOVER_MARGIN: Duration = Duration::from_secs(20);

/// An operator that stands for election, and the name under which it does.
pub struct Replica {
    pub operator: Operator,
    pub identity: String,
}

impl Replica {
    /// Starts one and waits until it is ready, as leader or standing by.
    pub async fn start(cluster: &Cluster) -> Self {
        Self::start_with(cluster, |_| {}).await
    }

    /// [`Self::start`] with further arguments or environment.
    pub async fn start_with(cluster: &Cluster, prepare: impl Fn(&mut Command)) -> Self {
        Self::of(Self::spawn_with(cluster, prepare)).await
    }

    /// Starts one without waiting for anything.
    pub fn spawn_with(cluster: &Cluster, prepare: impl Fn(&mut Command)) -> Operator {
        Operator::spawn(cluster, |command| {
            let seconds = format!("{}s", LEASE_DURATION.as_secs());
            command.args(["--leader-elect", "--lease-duration", &seconds]);
            command.args(["--renew-deadline", "4s", "--retry-period", "500ms"]);
            prepare(command);
        })
        .unwrap()
    }

    /// Waits until `operator` is ready and has said who it is.
    pub async fn of(mut operator: Operator) -> Self {
        operator.wait_ready().await.unwrap();
        let identity = eventually("the operator to stand for election", async || {
            let log = std::fs::read_to_string(operator.log()).unwrap();
            let named = log.split_once("identity=\"").and_then(|(_, rest)| rest.split_once('"'));
            named.map(|(name, _)| name.to_owned()).ok_or(log.clone())
        })
        .await;
        Self { operator, identity }
    }

    /// Whether its own metrics say that it leads.
    pub async fn leads(&self) -> bool {
        let (_, metrics) = self.operator.get("/metrics").await.unwrap();
        metrics.lines().any(|line| line == "landfall_lease_held 1")
    }

    /// Waits until it leads, and gives how long that took.
    pub async fn comes_to_lead(&self, within: Duration) -> Duration {
        let began = Instant::now();
        eventually_within(within, "the operator to lead", async || {
            self.leads().await.then_some(()).ok_or(self.operator.log_tail())
        })
        .await;
        began.elapsed()
    }

    /// Sends it a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        signal(&self.operator, name);
    }

    /// Waits until it has ended by itself.
    pub async fn ends(&mut self) -> ExitStatus {
        eventually("the operator to end", async || {
            self.operator.ended().ok_or(self.operator.log_tail())
        })
        .await
    }
}

/// Sends a process a signal, such as `STOP`.
pub fn signal(operator: &Operator, name: &str) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {}", operator.id())])
        .status()
        .unwrap();
    assert!(status.success());
}

/// The one of `replicas` that leads, and the other.
pub async fn leader_first(one: Replica, other: Replica) -> (Replica, Replica) {
    let leads = eventually_within(patience() + LEASE_DURATION, "one to lead", async || {
        match (one.leads().await, other.leads().await) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            both => Err(format!(
                "{both:?}\n{}\n{}",
                one.operator.log_tail(),
                other.operator.log_tail()
            )),
        }
    })
    .await;
    if leads { (one, other) } else { (other, one) }
}

/// The writes of all operators but those of the lease.
pub fn writes(entries: &[Entry]) -> Vec<&Entry> {
    entries
        .iter()
        .filter(|entry| entry.user_agent.starts_with(OPERATOR_AGENT) && is_write(entry) && !is_lease(entry))
        .collect()
}

fn is_lease(entry: &Entry) -> bool {
    entry.resource == "leases.coordination.k8s.io"
}

/// No operator has written after another had taken the lease. What one had already asked for when it was stopped reaches the apiserver
/// when it wakes, and nothing of its own can hold it back: that it is refused, since the object is there or has changed, is all that can be
/// asked of it. Gives how many led.
pub fn assert_one_writer_at_a_time(entries: &[Entry]) -> usize {
    let mut leader: Option<&str> = None;
    let mut former: HashSet<&str> = HashSet::new();
    let of_operators = entries
        .iter()
        .filter(|entry| entry.user_agent.starts_with(OPERATOR_AGENT) && is_write(entry));
    for entry in of_operators {
        let agent = entry.user_agent.as_str();
        if is_lease(entry) {
            if entry.code < 300 && leader != Some(agent) {
                assert!(
                    !former.contains(agent),
                    "{agent} leads a second time:\n{}",
                    lines(entries)
                );
                former.extend(leader.replace(agent));
            }
        } else if !(entry.code == 409 && former.contains(agent)) {
            assert_eq!(leader, Some(agent), "written by one that does not lead: {entry}");
        }
    }
    former.len() + usize::from(leader.is_some())
}
