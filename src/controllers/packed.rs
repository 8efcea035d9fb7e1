//! Objects as they are kept in memory: JSON, compressed. There are many, all much alike, and each is read now and then.

use kube::api::DynamicObject;
use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};

/// What nearly every entity says, in the words that it says it in: of this only where it lies is kept.
const COMMON: &[u8] = br#""roleRef","parameters":{"environments":{"dev":{"replicas":1},"prod":{"replicas":3}}},"deletionPolicy":"Delete","template":{"ref":"template:platform/web-service","version":"","digest":"","latestVersion":""},"inventory":[{"group":"apps","version":"v1","kind":"Deployment","namespace":"","name":"","uid":"","resource":"","intentHash":"","appliedHash":"","claim":"","order":0,"account":"","inheritsPolicy":true}],"environments":[{"name":"prod","namespace":"","version":"","ready":true,"message":""}],"pipelines":[{"name":"","engine":"tekton","lastRun":{"state":"Succeeded","started":"2026-","finished":"2026-"}}],"profile":{"displayName":"","email":"@example.com"},"memberOf":["group:default/"],"children":[],"members":0,"owned":{"count":0,"ready":0},"components":{"count":0,"ready":0},"apis":{"count":0,"ready":0},"resources":{"count":0,"ready":0},"systems":{"count":0,"ready":0},{"type":"Provisioned","status":"True","reason":"Provisioned","message":"","observedGeneration":1,"lastTransitionTime":"2026-{"type":"Healthy","status":"True","reason":"Healthy","message":"","observedGeneration":1,"lastTransitionTime":"2026-{"type":"Accepted","status":"True","reason":"Accepted","message":"","observedGeneration":1,"lastTransitionTime":"2026-{"type":"UpToDate","status":"True","reason":"UpToDate","message":"","annotations":{"backstage.io/source-location":"url:https://github.com/","backstage.io/techdocs-ref":"dir:.","github.com/project-slug":""},"labels":{"app.kubernetes.io/name":""},"finalizers":["catalog.landfall.dev/provisioned"],{"apiVersion":"catalog.landfall.dev/v1alpha1","kind":"Template","kind":"Location","kind":"Entity","kind":"Domain","kind":"Group","kind":"User","kind":"System","kind":"Resource","kind":"API","kind":"Component","metadata":{"creationTimestamp":"2026-11-22T10:00:00Z","generation":1,"name":"","namespace":"default","resourceVersion":"1","uid":""},"spec":{"type":"service","lifecycle":"production","owner":"group:default/","system":"system:default/","title":"","description":"","tags":["java"],"links":[{"url":"https://","title":"Dashboard"}],"providesApis":["api:default/"],"consumesApis":["api:default/"],"dependsOn":["resource:default/","component:default/"],"domain":"","parent":"","definition":"","status":{"conditions":[{"lastTransitionTime":"2026-11-22T10:00:00Z","message":"recorded in the catalog","observedGeneration":1,"reason":"Accepted","status":"True","type":"Ready"},{"lastTransitionTime":"2026-11-22T10:00:00Z","message":"every ref in the spec resolves","observedGeneration":1,"reason":"Resolved","status":"True","type":"ReferencesResolved"}],"observedGeneration":1,"relations":[{"count":1,"sample":["group:default/"],"type":"ownedBy"},{"count":1,"sample":["system:default/"],"type":"partOf"},{"count":1,"sample":["api:default/"],"type":"providesApi"},{"count":1,"sample":["api:default/"],"type":"consumesApi"},{"count":1,"sample":["component:default/"],"type":"apiProvidedBy"},{"count":1,"sample":["component:default/"],"type":"apiConsumedBy"},{"count":1,"sample":["resource:default/"],"type":"dependsOn"},{"count":1,"sample":["component:default/"],"type":"dependencyOf"},{"count":1,"sample":["group:default/"],"type":"memberOf"},{"count":1,"sample":["user:default/"],"type":"hasMember"},{"count":1,"sample":["component:default/"],"type":"hasPart"},{"count":1,"sample":["component:default/"],"type":"ownerOf"}]}}"#;

/// An object, packed.
#[derive(Debug)]
pub struct Packed(Box<[u8]>);

impl Packed {
    /// Packs an object.
    pub fn of(object: &DynamicObject) -> Self {
        // An object that was read can be written.
        let text = serde_json::to_vec(object).unwrap_or_default();
        Self(compress_prepend_size_with_dict(&text, COMMON).into())
    }

    /// The object.
    pub fn object(&self) -> Option<DynamicObject> {
        // What was packed here can be unpacked.
        let text = decompress_size_prepended_with_dict(&self.0, COMMON).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(name: &str, text: &str) -> DynamicObject {
        let relations = json!([{"count": 1, "sample": ["group:shop/a"], "type": "ownedBy"}]);
        let condition = json!({
            "lastTransitionTime": "2026-01-02T03:04:05Z", "message": "recorded in the catalog", "observedGeneration": 1,
            "reason": "Accepted", "status": "True", "type": "Ready",
        });
        serde_json::from_value(json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
            "metadata": {"name": name, "namespace": "shop", "uid": "c59599df-4546-474f-9aac-ad330516a0b7", "generation": 1},
            "spec": {"type": "service", "lifecycle": "production", "owner": "group:shop/a", "description": text},
            "status": {"conditions": [condition], "observedGeneration": 1, "relations": relations},
        }))
        .unwrap()
    }

    #[test]
    fn what_entities_have_in_common_takes_no_place() {
        let object = object("orders", "Takes orders.");
        let (plain, packed) = (serde_json::to_vec(&object).unwrap().len(), Packed::of(&object).0.len());
        assert!(packed * 2 < plain, "{packed} of {plain} bytes");
    }

    proptest! {
        #[test]
        fn an_object_comes_out_as_it_went_in(name in ".*", text in ".{0,3000}") {
            let object = object(&name, &text);
            prop_assert_eq!(Packed::of(&object).object(), Some(object));
        }
    }
}
