//! What every test here needs: a control plane, clients, a namespace of its own, patience, the audit
//! log, and the operator as a process.
//!
//! Processes live in statics and are shared by all tests of a run; clients belong to the runtime of the
//! test that made them, so each test makes its own.

mod audit;
mod case;
mod cluster;
pub mod conformance;
mod entry;
mod operator;
mod patience;
mod picture;
mod processes;
mod role;
mod runs;
mod skipped;
mod snapshot;
mod stage;
mod verdict;

pub use audit::{Audit, Mark};
pub use case::{ALL, Before, Case, GOLDEN_PATH};
pub use cluster::{Cluster, built, cluster, image, node_cluster, quiet_cluster};
pub use conformance::assert_conformance;
pub use entry::{Entry, counted, is_write};
pub use operator::{Operator, operator};
pub use patience::{Outcome, eventually, eventually_within, patience};
pub use picture::Picture;
pub use processes::{spawn, tail};
pub use role::{listed, own_role, webhooks_role};
pub use runs::run_directory;
pub use skipped::skipped;
pub use snapshot::{Snapshot, differences, snapshots};
pub use stage::{
    ACCOUNT, Condition, OPERATOR_AGENT, Place, Stage, condition, config_map, is_current, lines, namespace_manifest,
    parameters, requests, resource, uid, with,
};
pub use verdict::{Trial, Verdict};

use std::path::Path;

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
