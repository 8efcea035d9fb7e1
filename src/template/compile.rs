//! A template's content, checked as far as that is possible without an instance.

use super::content::Content;
use super::fault::Fault;
use super::kinds::Kinds;

/// What a cluster's administrator allows, whoever writes the template.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Cluster-scoped kinds that templates may hold, as `Kind` or `Kind.group`. `Namespace` is usual.
    pub cluster_scoped_kinds: Vec<String>,
    /// Namespaces into which no object may go: names, or prefixes that end in `*`.
    pub reserved_namespaces: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            cluster_scoped_kinds: vec!["Namespace".to_owned()],
            reserved_namespaces: vec!["kube-*".to_owned()],
        }
    }
}

/// Content that compiled.
#[derive(Debug)]
pub struct Compiled {
    /// What it was compiled from.
    pub content: Content,
    /// Its digest.
    pub digest: String,
    /// Its version.
    pub version: String,
}

/// The kinds that `content` names literally, as (apiVersion, kind): what a caller must look up before [`compile`].
pub fn kinds_named(_content: &Content) -> Vec<(String, String)> {
    Vec::new()
}

/// Checks `content` and prepares it for planning.
///
/// # Errors
/// Every fault that was found, in the order of the resources.
pub fn compile(content: &Content, version: &str, _kinds: &dyn Kinds, _policy: &Policy) -> Result<Compiled, Vec<Fault>> {
    Ok(Compiled {
        content: content.clone(),
        digest: content.digest(),
        version: version.to_owned(),
    })
}
