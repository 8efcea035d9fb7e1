//! Namespaces as the cache has them: their labels, and selectors over them.

use std::collections::BTreeMap;

use kube::runtime::reflector::ObjectRef;

use super::world::World;
use crate::api::template::LabelSelector;

/// The labels of a namespace; none if it does not exist.
pub fn labels(world: &World, name: &str) -> BTreeMap<String, String> {
    let found = world.stores.namespaces.get(&ObjectRef::new(name));
    found
        .and_then(|namespace| namespace.metadata.labels.clone())
        .unwrap_or_default()
}

/// The place of a namespace's last change in the cluster's history; none if it does not exist.
pub fn version(world: &World, name: &str) -> Option<String> {
    let found = world.stores.namespaces.get(&ObjectRef::new(name));
    found.and_then(|namespace| namespace.metadata.resource_version.clone())
}

/// Whether `selector` matches `labels`: all of it must hold; an empty one matches everything, as everywhere in Kubernetes.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector
        .match_labels
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match requirement.operator.as_str() {
                "In" => value.is_some_and(|value| requirement.values.contains(value)),
                "NotIn" => value.is_none_or(|value| !requirement.values.contains(value)),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::template::LabelSelectorRequirement;

    fn requirement(key: &str, operator: &str, values: &[&str]) -> LabelSelector {
        LabelSelector {
            match_expressions: vec![LabelSelectorRequirement {
                key: key.into(),
                operator: operator.into(),
                values: values.iter().map(ToString::to_string).collect(),
            }],
            ..LabelSelector::default()
        }
    }

    #[test]
    fn selectors_match_as_in_kubernetes() {
        let labels = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
        assert!(matches(&LabelSelector::default(), &labels));
        assert!(matches(&requirement("team", "In", &["shop", "bank"]), &labels));
        assert!(!matches(&requirement("team", "NotIn", &["shop"]), &labels));
        assert!(matches(&requirement("other", "NotIn", &["shop"]), &labels));
        assert!(matches(&requirement("team", "Exists", &[]), &labels));
        assert!(!matches(&requirement("team", "DoesNotExist", &[]), &labels));
        assert!(!matches(&requirement("team", "Invented", &["shop"]), &labels));
    }
}
