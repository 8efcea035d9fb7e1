//! Where objects may go (design §2).

use std::collections::BTreeSet;

use super::compile::Policy;
use super::names::listed;

/// The namespaces that a plan may use.
pub(crate) struct Allowed<'a> {
    /// Those that the plan makes.
    pub(crate) planned: BTreeSet<&'a str>,
    /// The instance's own.
    pub(crate) own: &'a str,
    /// Those that the instance's System made.
    pub(crate) system: &'a BTreeSet<String>,
    /// Those that the Template lists.
    pub(crate) target: &'a BTreeSet<String>,
    /// What is reserved.
    pub(crate) policy: &'a Policy,
}

impl Allowed<'_> {
    /// Whether an object may go into `namespace`. One of mode `Patch` is another's, and must lie in a namespace of the plan.
    ///
    /// # Errors
    /// Why not, and where it might go.
    pub(crate) fn check(&self, namespace: &str, patch: bool) -> Result<(), String> {
        if let Some(entry) = reserved(namespace, self.policy) {
            return Err(format!(
                "no object may go into {namespace}: the administrator reserves {entry}"
            ));
        }
        if patch && !self.planned.contains(namespace) {
            let names = if self.planned.is_empty() {
                "none".to_owned()
            } else {
                listed(self.planned.iter().copied(), 10)
            };
            return Err(format!(
                "mode Patch is for objects in namespaces that this plan makes, which {namespace} is not; it makes {names}"
            ));
        }
        let known = self.planned.contains(namespace)
            || namespace == self.own
            || self.system.contains(namespace)
            || self.target.contains(namespace);
        if known {
            return Ok(());
        }
        let mut names: BTreeSet<&str> = self.planned.clone();
        names.insert(self.own);
        names.extend(self.system.iter().map(String::as_str));
        names.extend(self.target.iter().map(String::as_str));
        let names = names.into_iter().filter(|name| reserved(name, self.policy).is_none());
        Err(format!(
            "no object may go into {namespace}; allowed are {}; make the namespace in this template, or list it in the Template's targetNamespaces",
            listed(names, 10)
        ))
    }
}

/// The entry of the reserved namespaces that `namespace` falls under.
pub(crate) fn reserved<'p>(namespace: &str, policy: &'p Policy) -> Option<&'p str> {
    policy
        .reserved_namespaces
        .iter()
        .find(|entry| {
            entry
                .strip_suffix('*')
                .map_or(*entry == namespace, |prefix| namespace.starts_with(prefix))
        })
        .map(String::as_str)
}
