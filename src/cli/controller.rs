//! `landfall controller`: runs the operator.

use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::policy::PolicyArguments;
use super::{Fault, Outcome, signals};
use crate::controllers::{self, Election, Options};
use crate::runtime::clients::FencedBuilder;
use crate::runtime::leader::decide::Times;
use crate::runtime::telemetry::{self, LogFormat};

/// Run the operator against KUBECONFIG, or in the cluster that this pod is in.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(
        long,
        env = "LANDFALL_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// Where, for this machine or pod alone, /debug/log-filter is served; `off` for nowhere.
    #[arg(
        long,
        env = "LANDFALL_DEBUG_LISTEN",
        default_value = "127.0.0.1:6060",
        value_name = "ADDRESS",
        value_parser = local_address
    )]
    debug_listen: DebugListen,
    /// What is logged at the start, for example `info,landfall=debug`.
    #[arg(
        long,
        env = "LANDFALL_LOG",
        default_value = "info,kube_client=warn,kube_runtime=error",
        value_name = "FILTER"
    )]
    log: String,
    /// How log lines look.
    #[arg(long, env = "LANDFALL_LOG_FORMAT", default_value = "text", value_enum)]
    log_format: LogFormat,
    #[command(flatten)]
    policy: PolicyArguments,
    /// Whether one of several operators is made the leader, which alone writes: in a pod yes, elsewhere no.
    #[arg(
        long,
        env = "LANDFALL_LEADER_ELECT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    leader_elect: Option<bool>,
    /// The namespace of the Lease: without it that of the pod, or the one that the kubeconfig names.
    #[arg(long, env = "LANDFALL_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    lease_namespace: Option<String>,
    /// The name of the Lease.
    #[arg(
        long,
        env = "LANDFALL_LEASE_NAME",
        default_value = "landfall-controller",
        value_name = "NAME"
    )]
    lease_name: String,
    /// For how long a lease that is not renewed keeps others out, in whole seconds.
    #[arg(long, env = "LANDFALL_LEASE_DURATION", default_value = "30s", value_name = "TIME", value_parser = duration)]
    lease_duration: Duration,
    /// For how long after its last renewal a leader writes.
    #[arg(long, env = "LANDFALL_RENEW_DEADLINE", default_value = "20s", value_name = "TIME", value_parser = duration)]
    renew_deadline: Duration,
    /// How often the lease is renewed, and looked at by those who wait.
    #[arg(long, env = "LANDFALL_RETRY_PERIOD", default_value = "4s", value_name = "TIME", value_parser = duration)]
    retry_period: Duration,
    /// What is refused by something that no watch shows, such as a quota, is tried again after this many seconds, or up to five times as
    /// many.
    #[arg(
        long,
        env = "LANDFALL_BLOCKED_RETRY",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=3600),
        value_name = "SECONDS"
    )]
    blocked_retry: u32,
    /// For how many seconds a watch is kept: shorten it where something on the way forgets idle connections. One that has said
    /// nothing for five seconds longer is taken for dead and opened again.
    #[arg(
        long,
        env = "LANDFALL_WATCH_TIMEOUT",
        default_value_t = 290,
        value_parser = clap::value_parser!(u32).range(1..=294),
        value_name = "SECONDS"
    )]
    watch_timeout: u32,
}

/// Where what can be changed is served, if anywhere.
#[derive(Clone, Copy, Debug)]
struct DebugListen(Option<SocketAddr>);

fn local_address(text: &str) -> Result<DebugListen, String> {
    if text == "off" {
        return Ok(DebugListen(None));
    }
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "expected an address and port of this machine, such as 127.0.0.1:6060, or off".to_owned())?;
    if address.ip().is_loopback() {
        Ok(DebugListen(Some(address)))
    } else {
        Err(
            "it must be a loopback address: what is served there lets anyone who reaches it change what is logged"
                .to_owned(),
        )
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let expected = "expected a time such as 30s or 1m";
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| expected.to_owned())?;
    Duration::try_from(parsed).map_err(|_| expected.to_owned())
}

/// Runs until SIGTERM or SIGINT; a second one ends the process at once.
///
/// # Errors
/// When the operator cannot start, or a part of it ends by itself.
pub fn run(arguments: Arguments) -> Result<Outcome, Fault> {
    let times = Times {
        lease_duration: arguments.lease_duration,
        renew_deadline: arguments.renew_deadline,
        retry_period: arguments.retry_period,
    };
    times.check()?;
    let filter = telemetry::start(&arguments.log, arguments.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let options = Options {
        listen: arguments.listen,
        debug: arguments.debug_listen.0.map(|address| (address, filter)),
        policy: arguments.policy.policy(),
        election: Election {
            wanted: arguments.leader_elect,
            namespace: arguments.lease_namespace,
            name: arguments.lease_name,
            times,
        },
        make_client: FencedBuilder::build,
        blocked_retry: Duration::from_secs(arguments.blocked_retry.into()),
        watch_timeout: arguments.watch_timeout,
    };
    runtime.block_on(async {
        let stop = CancellationToken::new();
        signals::stops(&stop)?;
        controllers::run(options, stop).await?;
        Ok(Outcome::Done)
    })
}
