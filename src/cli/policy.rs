//! What the administrator allows, as every subcommand that plans is told it.

use crate::template::compile::Policy;

/// What templates may hold, and where their objects may go.
#[derive(Clone, Debug, clap::Args)]
pub struct PolicyArguments {
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
}

impl PolicyArguments {
    /// The policy.
    pub fn policy(&self) -> Policy {
        Policy {
            cluster_scoped_kinds: self.cluster_scoped_kinds.clone(),
            reserved_namespaces: self.reserved_namespaces.clone(),
        }
    }
}
