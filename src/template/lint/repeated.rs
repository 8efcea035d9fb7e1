//! What several templates have in common, word for word.

use super::{Finding, Rule};
use crate::api::template::{TemplateResource, TemplateSpec};
use crate::template::names::{count, listed};

/// So many resources in common may be chance: every template begins with a namespace.
const CHANCE: usize = 1;

/// Finds the resources of a template that others have too, whatever their ids are there. `others` are the other templates, each with its ref.
pub fn repeated<'t>(spec: &TemplateSpec, others: impl Iterator<Item = (&'t str, &'t TemplateSpec)>) -> Vec<Finding> {
    let common = |other: &TemplateSpec| -> Vec<String> {
        let repeats = |resource: &&TemplateResource| other.resources.iter().any(|found| is_same(resource, found));
        let resources = spec.resources.iter().filter(repeats);
        resources.map(|resource| resource.id.clone()).collect()
    };
    let common = others.map(|(reference, other)| (reference, common(other)));
    common
        .filter(|(_, ids)| ids.len() > CHANCE)
        .map(|(reference, ids)| Finding {
            rule: Rule::RepeatedResources,
            path: "spec.resources".to_owned(),
            message: format!(
                "{} are word for word in {reference} too: {}",
                count(ids.len(), "resource"),
                listed(ids.iter().map(String::as_str), 5)
            ),
            remedy: "put them into a template of their own and name it in spec.include of both, so that a change reaches both".to_owned(),
        })
        .collect()
}

/// Whether two resources say the same, whatever they are called.
fn is_same(one: &TemplateResource, other: &TemplateResource) -> bool {
    let other = TemplateResource {
        id: one.id.clone(),
        ..other.clone()
    };
    *one == other
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(resources: &Value) -> TemplateSpec {
        serde_json::from_value(json!({"type": "service", "resources": resources})).unwrap()
    }

    fn quota(id: &str, pods: u32) -> Value {
        let manifest = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "size"}, "spec": {"hard": {"pods": pods}}});
        json!({"id": id, "manifest": manifest})
    }

    #[test]
    fn what_two_templates_say_alike_is_told_of_each_and_what_may_be_chance_is_not() {
        let one = spec(&json!([quota("a", 1), quota("b", 2), quota("c", 3)]));
        let other = spec(&json!([quota("x", 2), quota("a", 1), quota("c", 4)]));
        let chance = spec(&json!([quota("a", 1)]));
        let found = repeated(
            &one,
            [
                ("template:platform/other", &other),
                ("template:platform/chance", &chance),
            ]
            .into_iter(),
        );
        let messages: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            messages,
            ["2 resources are word for word in template:platform/other too: a, b"]
        );
        let back = repeated(&other, [("template:platform/one", &one)].into_iter());
        assert_eq!(back.len(), 1);
        assert!(back[0].message.ends_with(": x, a"), "{:?}", back[0]);
    }
}
