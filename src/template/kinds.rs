//! What the pure rooms know of the cluster's kinds: a picture taken beforehand.

/// One kind that the cluster serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindInfo {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// The name in URLs and in RBAC rules. Example: `networkpolicies`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl KindInfo {
    /// `group/version`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The full resource name, as tools and messages print it. Example: `applications.argoproj.io`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }
}

/// Whether a path exists in a kind's published schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldLookup {
    /// The schema has it, or leaves room for it.
    Exists,
    /// The schema does not have it; the names that it has there.
    Missing {
        /// The path as far as the schema has it.
        parent: String,
        /// What it has there instead.
        available: Vec<String>,
    },
    /// No schema is published, or not yet.
    Unknown,
}

/// A picture of the cluster's kinds.
pub trait Kinds {
    /// The kind, if the cluster serves it. `api_version` is `group/version` or `v1`.
    fn kind(&self, api_version: &str, kind: &str) -> Option<KindInfo>;
    /// Whether `path` (names only; list indexes are `*`) exists in the kind's schema.
    fn field(&self, api_version: &str, kind: &str, path: &[String]) -> FieldLookup;
}

/// A picture for where there is no cluster to ask: whatever is named is served, in a namespace but for Namespace
/// itself, and no schema is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Assumed;

impl Kinds for Assumed {
    fn kind(&self, api_version: &str, kind: &str) -> Option<KindInfo> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        Some(KindInfo {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: format!("{}s", kind.to_lowercase()),
            namespaced: kind != "Namespace",
        })
    }

    fn field(&self, _: &str, _: &str, _: &[String]) -> FieldLookup {
        FieldLookup::Unknown
    }
}
