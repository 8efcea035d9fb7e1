//! What a Template and a System count of each instance, read in place: they look at all instances, once a second while
//! any of them changes, and decoding a whole status for four fields would be most of the operator's work then.

use kube::api::DynamicObject;
use serde_json::Value;

use crate::api::conditions;

/// Four fields of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance<'o> {
    /// `spec.template.ref`, if it names a template.
    pub template: Option<&'o str>,
    /// `spec.system`.
    pub system: Option<&'o str>,
    /// The digest of the template's content that it is at.
    pub digest: Option<&'o str>,
    /// Whether its stored status says that it is Ready as it is.
    pub ready: bool,
}

impl<'o> Glance<'o> {
    /// Looks at `object`. What cannot be read is as what is not there.
    pub fn at(object: &'o DynamicObject) -> Self {
        let text = |pointer: &str| object.data.pointer(pointer).and_then(Value::as_str);
        let field = |name: &str| object.data.pointer("/status").and_then(|status| status.get(name));
        let observed = field("observedGeneration").and_then(Value::as_i64).unwrap_or_default();
        let conditions = field("conditions").and_then(Value::as_array);
        let says =
            |condition: &Value, name: &str, text: &str| condition.get(name).and_then(Value::as_str) == Some(text);
        Self {
            template: text("/spec/template/ref"),
            system: text("/spec/system"),
            digest: text("/status/template/digest"),
            ready: observed == object.metadata.generation.unwrap_or(0)
                && conditions
                    .into_iter()
                    .flatten()
                    .any(|condition| says(condition, "type", conditions::READY) && says(condition, "status", "True")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::instance::decode::Instance;
    use crate::controllers::wakes::{Key, OwnKind};
    use serde_json::json;

    #[test]
    fn it_sees_what_decoding_sees() {
        for (observed, status) in [(2, "True"), (1, "True"), (2, "False"), (-1, "Unknown")] {
            let object: DynamicObject = serde_json::from_value(json!({
                "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
                "metadata": {"name": "orders", "namespace": "shop", "generation": 2},
                "spec": {"owner": "group:shop/checkout", "system": "storefront", "template": {"ref": "platform/web"}},
                "status": {
                    "observedGeneration": observed,
                    "template": {"ref": "template:platform/web", "version": "1", "digest": "abc", "latestVersion": "1"},
                    "conditions": [
                        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "x", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                        {"type": "Ready", "status": status, "reason": "Ready", "message": "x", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                    ],
                },
            }))
            .unwrap();
            let decoded = Instance::decode(&Key::of(OwnKind::Component, &object), &object).unwrap();
            let glance = Glance::at(&object);
            assert_eq!(glance.ready, decoded.is_ready(), "{observed} {status}");
            assert_eq!(glance.system, decoded.system.as_deref());
            assert_eq!(
                glance.template,
                decoded.template.as_ref().map(|template| template.reference.as_str())
            );
            assert_eq!(
                glance.digest,
                decoded
                    .status
                    .template
                    .as_ref()
                    .map(|template| template.digest.as_str())
            );
        }
        let nothing = DynamicObject {
            types: None,
            metadata: kube::api::ObjectMeta::default(),
            data: json!({"spec": 7}),
        };
        assert_eq!(
            Glance::at(&nothing),
            Glance {
                template: None,
                system: None,
                digest: None,
                ready: false
            }
        );
    }
}
