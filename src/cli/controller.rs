//! `landfall controller`: runs the operator.

use std::net::SocketAddr;
use std::time::Duration;

use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Fault, Outcome};
use crate::controllers::{self, Options};
use crate::runtime::telemetry::{self, LogFormat};
use crate::template::compile::Policy;

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
    /// What is logged, for example `info,landfall=debug`.
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
    /// Cluster-scoped kinds that templates may hold, as Kind or Kind.group.
    #[arg(
        long,
        env = "LANDFALL_CLUSTER_SCOPED_KINDS",
        value_delimiter = ',',
        default_value = "Namespace",
        value_name = "KINDS"
    )]
    cluster_scoped_kinds: Vec<String>,
    /// Namespaces into which no template may put anything: names, or prefixes that end in *.
    #[arg(
        long,
        env = "LANDFALL_RESERVED_NAMESPACES",
        value_delimiter = ',',
        default_value = "kube-*,landfall-system",
        value_name = "NAMESPACES"
    )]
    reserved_namespaces: Vec<String>,
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

/// Runs until SIGTERM or SIGINT; a second one ends the process at once.
///
/// # Errors
/// When the operator cannot start, or a part of it ends by itself.
pub fn run(arguments: Arguments) -> Result<Outcome, Fault> {
    telemetry::start(&arguments.log, arguments.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let options = Options {
        listen: arguments.listen,
        policy: Policy {
            cluster_scoped_kinds: arguments.cluster_scoped_kinds,
            reserved_namespaces: arguments.reserved_namespaces,
        },
        blocked_retry: Duration::from_secs(arguments.blocked_retry.into()),
        watch_timeout: arguments.watch_timeout,
        make_client: Client::try_from,
    };
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stopping = stop.clone();
        tokio::spawn(async move {
            for _ in 0..2 {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if stopping.is_cancelled() {
                    std::process::exit(1);
                }
                stopping.cancel();
            }
        });
        controllers::run(options, stop).await?;
        Ok(Outcome::Done)
    })
}
