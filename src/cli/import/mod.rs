//! `landfall import`: Backstage's descriptors as Landfall's resources.

use std::path::PathBuf;

use clap::Args;

use super::connection::Connection;
use super::{Fault, Outcome, print};
use crate::catalog::conversion::names;
use crate::catalog::yaml;

mod apply;
mod backstage;
mod batch;
mod files;
mod page;

use batch::Batch;
pub use batch::say;
pub use files::bounded;

/// Convert Backstage's descriptors (catalog-info.yaml) to Landfall's resources
///
/// Prints the resources as YAML. What is wrong is said with its place, and the rest is imported. Exit code 0: all was
/// imported; 1: something was not; with --check, 2: something is wrong.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Descriptors; folders, in which every catalog-info.yaml counts; - for standard input
    #[arg(value_name = "FILE|DIR|-", required_unless_present = "from", conflicts_with = "from")]
    sources: Vec<PathBuf>,
    /// Take the whole catalog of a running Backstage or Red Hat Developer Hub at this address instead
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// A file that holds the token for --from; without it, the variable `LANDFALL_BACKSTAGE_TOKEN` is taken
    #[arg(long, value_name = "FILE", requires = "from")]
    token_file: Option<PathBuf>,
    /// A file with the certificates of the authorities that --from is trusted by, instead of the system's
    #[arg(long, value_name = "FILE", requires = "from")]
    certificate_authority: Option<PathBuf>,
    /// How long --from may take for one answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "from", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Put every entity into this namespace, with refs in full so that they mean what they meant
    #[arg(short, long, value_name = "NAMESPACE", value_parser = namespace)]
    namespace: Option<String>,
    /// Apply the resources to the cluster of KUBECONFIG instead of printing them
    #[arg(long)]
    apply: bool,
    /// Only say what is wrong; print and apply nothing
    #[arg(long, conflicts_with = "apply")]
    check: bool,
    /// With --apply, take over fields that somebody else has set
    #[arg(long, requires = "apply")]
    force_conflicts: bool,
    #[command(flatten)]
    connection: Connection,
}

fn namespace(text: &str) -> Result<String, String> {
    if names::is_namespace(text) {
        Ok(text.to_owned())
    } else {
        Err("expected at most 63 lower-case letters, digits or -, for example shop".to_owned())
    }
}

/// Imports.
///
/// # Errors
/// When something was not imported, which is said before.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut batch = Batch::default();
    match &arguments.from {
        Some(url) => {
            let access = backstage::Access::read(
                arguments.token_file.as_deref(),
                arguments.certificate_authority.as_deref(),
                arguments.timeout,
            )?;
            for item in runtime.block_on(backstage::entities(url, access))? {
                batch.add_item(item);
            }
        }
        None => files::read(&arguments.sources, &mut batch)?,
    }
    batch.settle(arguments.namespace.as_deref());
    if arguments.check {
        return Ok(batch.conclude_check());
    }
    if arguments.apply {
        runtime.block_on(async {
            let client = arguments.connection.open().await?.client;
            apply::apply(&mut batch, client, arguments.force_conflicts).await
        })?;
    } else {
        for entry in batch.entries() {
            print(&yaml::write(&entry.resource)?)?;
        }
    }
    batch.conclude()
}
