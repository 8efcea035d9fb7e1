//! What compiles and should not be: findings about a template, each with its rule, its place and what to do. Pure.

mod names;
mod parameters;
mod repeated;

pub use repeated::repeated;

use std::collections::{BTreeMap, BTreeSet};

use super::compile::Compiled;
use super::expression::mentions::{Mention, mentions};
use super::kinds::Kinds;
use super::names::{hint, listed, shown};
use super::tree::Node;
use crate::api::marks;
use crate::api::template::TemplateSpec;

macro_rules! rules {
    ($($(#[doc = $comment:literal])* $name:ident => $word:literal,)*) => {
        /// What is looked for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $($(#[doc = $comment])* $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

rules! {
    /// A parameter is declared and nothing uses it.
    UnusedParameter => "unused-parameter",
    /// A parameter has neither title nor description.
    UndescribedParameter => "undescribed-parameter",
    /// A parameter that need not be given and has no default stands inside a text, which is a fault where it is not given.
    OptionalInText => "optional-in-text",
    /// A parameter decides a name and its schema does not bound what it may be.
    UnboundedName => "unbounded-name",
    /// Two instances would render the same object.
    SharedName => "shared-name",
    /// A resource with `each` renders the same object for each entry.
    EachWithoutKey => "each-without-key",
    /// A namespace that holds data would be deleted without a word.
    NamespaceWithData => "namespace-with-data",
    /// A namespace is listed as a target and nothing goes there.
    UnusedTargetNamespace => "unused-target-namespace",
    /// Another template has the same resources.
    RepeatedResources => "repeated-resources",
    /// Others may use the same account, or act as it.
    SharedAccount => "shared-account",
    /// A rule is silenced without a reason, or there is no such rule.
    UnexplainedSilence => "unexplained-silence",
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Which rule it is by.
    pub rule: Rule,
    /// Where, below the Template. Example: `spec.resources[quota].manifest.metadata.name`.
    pub path: String,
    /// What is there, and why it should not be.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// A template that is looked at.
pub struct Linted<'l> {
    /// Its spec.
    pub spec: &'l TemplateSpec,
    /// What it compiled to.
    pub compiled: &'l Compiled,
    /// Its annotations.
    pub annotations: &'l BTreeMap<String, String>,
    /// The picture of the cluster's kinds.
    pub kinds: &'l dyn Kinds,
}

/// What was found, and what was found and is silenced: the rule, and the reason that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is to be told, in the order of rules and paths.
    pub found: Vec<Finding>,
    /// What is silenced, with the reason.
    pub silenced: Vec<(Finding, String)>,
}

impl Linted<'_> {
    /// Looks for all that can be found in the template alone.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        parameters::look(self, &mut found);
        names::look(self, &mut found);
        self.data(&mut found);
        self.targets(&mut found);
        found
    }

    /// Takes out of `found` what the Template's annotations silence, and adds what is wrong with these.
    pub fn settle(&self, found: Vec<Finding>) -> Findings {
        let mut settled = Findings::default();
        let mut reasons: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, reason) in self.annotations {
            let Some(rule) = name.strip_prefix(marks::LINT) else {
                continue;
            };
            let path = format!("metadata.annotations[\"{}\"]", shown(name, 126));
            let words = || Rule::ALL.iter().map(|rule| rule.word());
            if !words().any(|word| word == rule) {
                settled.found.push(Finding {
                    rule: Rule::UnexplainedSilence,
                    path,
                    message: format!("there is no rule {}{}", shown(rule, 63), hint(rule, words())),
                    remedy: format!("name one of {}", listed(words(), 20)),
                });
            } else if reason.trim().is_empty() {
                settled.found.push(Finding {
                    rule: Rule::UnexplainedSilence,
                    path,
                    message: format!("silences {rule} without a reason"),
                    remedy: "write as its value why it is right here".to_owned(),
                });
            } else {
                reasons.insert(rule, reason.trim());
            }
        }
        for finding in found {
            match reasons.get(finding.rule.word()) {
                Some(reason) => settled.silenced.push((finding, (*reason).to_owned())),
                None => settled.found.push(finding),
            }
        }
        settled.found.sort();
        settled.silenced.sort();
        settled
    }

    /// Namespaces that are deleted with data in them.
    fn data(&self, found: &mut Vec<Finding>) {
        use crate::api::instance::DeletionPolicy::{Confirm, Retain};
        let kept = |policy| matches!(policy, Some(Confirm | Retain));
        let namespaces = self.resources().filter(Resource::is_namespace);
        for namespace in namespaces.filter(|namespace| !kept(namespace.compiled.deletion_policy)) {
            let inside = self
                .resources()
                .filter(|resource| resource.holds_data() && !kept(resource.compiled.deletion_policy))
                .filter(|resource| resource.is_in(&namespace));
            for data in inside {
                found.push(Finding {
                    rule: Rule::NamespaceWithData,
                    path: format!("spec.resources[{}]", namespace.compiled.id),
                    message: format!(
                        "the namespace goes with its instance, and with it the data of resource \"{}\"",
                        data.compiled.id
                    ),
                    remedy: "set deletionPolicy: Confirm, or Retain, on the namespace".to_owned(),
                });
            }
        }
    }

    /// Target namespaces into which nothing goes.
    fn targets(&self, found: &mut Vec<Finding>) {
        let namespaces = || {
            self.resources()
                .filter_map(|resource| resource.compiled.namespace.as_ref())
        };
        // One that is computed may be any of them.
        let computed = namespaces().any(|namespace| {
            let named = mentioned(namespace);
            !named.is_empty() && !named.iter().all(is_known)
        });
        if computed {
            return;
        }
        for (place, target) in self.spec.target_namespaces.iter().enumerate() {
            let used = namespaces()
                .any(|namespace| matches!(namespace, Node::Literal(serde_json::Value::String(text)) if text == target));
            if !used {
                found.push(Finding {
                    rule: Rule::UnusedTargetNamespace,
                    path: format!("spec.targetNamespaces[{place}]"),
                    message: format!("no resource goes into {}", shown(target, 63)),
                    remedy: "take it out: whoever changes the template could put something there".to_owned(),
                });
            }
        }
    }

    fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        let written = self.compiled.content.resources.iter();
        let resources = self.compiled.resources.iter().zip(written);
        resources.map(|(compiled, written)| Resource { compiled, written })
    }
}

/// Whether a mention is of something that is no target namespace: the instance's own, or one of the plan.
fn is_known(mention: &Mention) -> bool {
    matches!(mention.first().map(String::as_str), Some("entity" | "resources"))
}

/// A resource, as it compiled and as it is written.
#[derive(Clone, Copy)]
struct Resource<'r> {
    compiled: &'r super::resource::CompiledResource,
    written: &'r crate::api::template::TemplateResource,
}

impl Resource<'_> {
    fn kind(&self) -> (&str, &str) {
        let text = |name: &str| self.written.manifest.get(name).and_then(serde_json::Value::as_str);
        (text("apiVersion").unwrap_or_default(), text("kind").unwrap_or_default())
    }

    fn is_namespace(&self) -> bool {
        self.kind() == ("v1", "Namespace")
    }

    fn holds_data(&self) -> bool {
        match self.kind() {
            ("v1", "PersistentVolumeClaim") => true,
            ("apps/v1", "StatefulSet") => {
                let spec = self.written.manifest.get("spec");
                spec.and_then(|spec| spec.get("volumeClaimTemplates")).is_some()
            }
            _ => false,
        }
    }

    /// Whether it goes into a namespace of the template.
    fn is_in(&self, namespace: &Resource<'_>) -> bool {
        let Some(own) = &self.compiled.namespace else {
            return false;
        };
        let named = |mention: &Mention| {
            let mut parts = mention.iter().map(String::as_str);
            parts.next() == Some("resources") && parts.next() == Some(namespace.compiled.id.as_str())
        };
        let written = |manifest: &serde_json::Map<String, serde_json::Value>, field: &str| {
            manifest
                .get("metadata")
                .and_then(|metadata| metadata.get(field))
                .cloned()
        };
        mentioned(own).iter().any(named)
            || written(&self.written.manifest, "namespace") == written(&namespace.written.manifest, "name")
    }
}

/// What the expressions of a node mention.
fn mentioned(node: &Node) -> BTreeSet<Mention> {
    let mut found = BTreeSet::new();
    node.visit("", &mut |_, expression| mentions(expression, &mut found));
    found
}
