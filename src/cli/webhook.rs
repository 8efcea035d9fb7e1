//! `landfall webhook`: answers the apiserver before it takes something in.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use super::policy::PolicyArguments;
use super::{Fault, Outcome, signals};
use crate::runtime::clients::FencedBuilder;
use crate::runtime::telemetry::{self, LogFormat};
use crate::server::admission::dependents::Guard;
use crate::server::admission::{self, Options};

/// Answer the apiserver, against KUBECONFIG or in the cluster that this pod is in.
///
/// Checks instances before they are stored, and looks after what depends on what is deleted. It makes its own certificate, which
/// it keeps in a Secret that has to be there, and writes the authority of it into the webhook configurations that are named.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the apiserver asks, by TLS.
    #[arg(
        long,
        env = "LANDFALL_WEBHOOK_LISTEN",
        default_value = "127.0.0.1:9443",
        value_name = "ADDRESS"
    )]
    webhook_listen: SocketAddr,
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(
        long,
        env = "LANDFALL_LISTEN",
        default_value = "127.0.0.1:8081",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// A name or address by which the apiserver calls, such as landfall-webhook.landfall-system.svc. May be given several times.
    #[arg(long = "server-name", value_name = "NAME", required = true)]
    server_names: Vec<String>,
    /// The Secret that holds the certificate.
    #[arg(
        long,
        env = "LANDFALL_WEBHOOK_SECRET",
        default_value = "landfall-webhook",
        value_name = "NAME"
    )]
    secret: String,
    /// The namespace of the Secret: without it that of the pod, or the one that the kubeconfig names.
    #[arg(long, env = "LANDFALL_WEBHOOK_NAMESPACE", value_name = "NAMESPACE")]
    secret_namespace: Option<String>,
    /// A webhook configuration (validating) that is to know the certificate's authority. May be given several times.
    #[arg(long = "configuration", value_name = "NAME")]
    configurations: Vec<String>,
    /// What is said to the deletion of an entity that others name.
    #[arg(long, env = "LANDFALL_DELETION_GUARD", default_value = "warn", value_enum)]
    deletion_guard: Guard,
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
    #[command(flatten)]
    policy: PolicyArguments,
    /// For how many seconds a watch is kept: shorten it where something on the way forgets idle connections.
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
/// When the webhook cannot start, or a part of it ends by itself.
pub fn run(arguments: Arguments) -> Result<Outcome, Fault> {
    telemetry::start(&arguments.log, arguments.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let options = Options {
        listen: arguments.listen,
        webhook: arguments.webhook_listen,
        policy: arguments.policy.policy(),
        guard: arguments.deletion_guard,
        watch_timeout: arguments.watch_timeout,
        namespace: arguments.secret_namespace,
        secret: arguments.secret,
        configurations: arguments.configurations,
        names: arguments.server_names,
        make_client: FencedBuilder::build,
    };
    runtime.block_on(async {
        let stop = CancellationToken::new();
        signals::stops(&stop)?;
        admission::run(options, stop).await?;
        Ok(Outcome::Done)
    })
}
