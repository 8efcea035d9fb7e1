//! Whether a resource of ours is what its kind's definition takes, as far as that can be told without an apiserver: its
//! schema, and fields that it does not know. The rules in CEL are the apiserver's affair.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::names::{below, hint, push_index};
use super::parameters::Check;
use crate::api::crds;

/// A place in a resource that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Misfit {
    /// The way to it, or to what should hold it.
    pub steps: Vec<String>,
    /// Its path, what was found there, and what was expected.
    pub message: String,
}

/// The checks by kind.
static CHECKS: LazyLock<BTreeMap<String, Check>> = LazyLock::new(|| {
    let check = |definition| {
        let definition = serde_json::to_value(definition).ok()?;
        let kind = definition.pointer("/spec/names/kind")?.as_str()?.to_owned();
        let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema")?.clone();
        Some((kind, Check::by(schema)?))
    };
    crds::all().into_iter().filter_map(check).collect()
});

/// Whether `kind` is one of ours.
pub fn is_ours(kind: &str) -> bool {
    CHECKS.contains_key(kind)
}

/// Where `resource`, which says of what kind of ours it is, does not fit the kind's definition.
pub fn misfits(resource: &Value) -> Vec<Misfit> {
    let kind = resource.get("kind").and_then(Value::as_str).unwrap_or_default();
    let Some(check) = CHECKS.get(kind) else {
        return Vec::new();
    };
    let schema = check
        .faults(resource)
        .into_iter()
        .map(|(pointer, path, message)| Misfit {
            steps: pointer
                .split('/')
                .skip(1)
                .map(|step| step.replace("~1", "/").replace("~0", "~"))
                .collect(),
            message: format!("{path}: {message}"),
        });
    let mut found: Vec<Misfit> = schema.collect();
    unknown(resource, check.schema(), &mut Vec::new(), "", &mut found);
    found.sort();
    found.dedup();
    found
}

/// `resource` with the defaults of its kind's definition, as the apiserver keeps it.
#[must_use]
pub fn with_defaults(resource: &Value) -> Value {
    let mut resource = resource.clone();
    let kind = resource.get("kind").and_then(Value::as_str).unwrap_or_default();
    let status = resource.get("status").cloned();
    if let Some(check) = CHECKS.get(kind) {
        check.fill(&mut resource);
    }
    if let Some(fields) = resource.as_object_mut() {
        // What the definition says of a new object's status is not for one that is only looked at.
        match status {
            Some(status) => fields.insert("status".to_owned(), status),
            None => fields.remove("status"),
        };
    }
    resource
}

/// Adds the fields that a schema does not know. The apiserver would drop them without a word.
fn unknown(value: &Value, schema: &Value, steps: &mut Vec<String>, path: &str, found: &mut Vec<Misfit>) {
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return;
    }
    match value {
        Value::Object(fields) => unknown_fields(fields, schema, steps, path, found),
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            for (place, item) in items.iter().enumerate() {
                let mut path = path.to_owned();
                push_index(&mut path, place);
                steps.push(place.to_string());
                unknown(item, schema, steps, &path, found);
                steps.pop();
            }
        }
        _ => {}
    }
}

fn unknown_fields(
    fields: &Map<String, Value>,
    schema: &Value,
    steps: &mut Vec<String>,
    path: &str,
    found: &mut Vec<Misfit>,
) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties").filter(|others| others.is_object());
    for (name, value) in fields {
        // Of metadata, the definition says only what it adds.
        if steps.is_empty() && matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status") {
            continue;
        }
        let known = properties.and_then(|properties| properties.get(name)).or(others);
        steps.push(name.clone());
        match (known, properties) {
            (Some(schema), _) => unknown(value, schema, steps, &below(path, name), found),
            (None, Some(properties)) => found.push(Misfit {
                steps: steps.clone(),
                message: format!(
                    "{}: unknown field{}",
                    below(path, name),
                    hint(name, properties.keys().map(String::as_str))
                ),
            }),
            (None, None) => {}
        }
        steps.pop();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn component(spec: &Value) -> Value {
        json!({"apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component", "metadata": {"name": "a"}, "spec": spec})
    }

    fn messages(resource: &Value) -> Vec<String> {
        misfits(resource).into_iter().map(|misfit| misfit.message).collect()
    }

    #[test]
    fn what_fits_is_taken_and_what_does_not_is_named_by_its_path() {
        let good = json!({"type": "service", "lifecycle": "production", "owner": "a", "template": {"ref": "b", "parameters": {"anything": 1}}});
        assert_eq!(messages(&component(&good)), Vec::<String>::new());
        let bad =
            json!({"type": 3, "lifecycle": "production", "owner": "a", "template": {"ref": "b", "parametrs": {}}});
        let found = misfits(&component(&bad));
        let messages: Vec<&str> = found.iter().map(|misfit| misfit.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "spec.template.parametrs: unknown field; did you mean parameters?",
                "spec.type: 3 is an integer, expected a string"
            ]
        );
        assert_eq!(found[0].steps, ["spec", "template", "parametrs"]);
    }

    #[test]
    fn defaults_are_those_of_the_definition_and_the_status_is_left_alone() {
        let template = json!({"kind": "Template", "spec": {"type": "service", "allowedNamespaces": {}}});
        let filled = with_defaults(&template);
        assert_eq!(filled["spec"]["allowedNamespaces"]["from"], "Same");
        assert_eq!(filled.get("status"), None);
    }
}
