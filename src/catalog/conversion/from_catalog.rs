//! An entity as a running Backstage gives it: as it was registered, with what Backstage writes on it.

use serde_json::Value;

use super::OUTPUT_ONLY_ROOT;

const MANAGED_BY: &str = "backstage.io/managed-by-location";
const SOURCE: &str = "backstage.io/source-location";
/// What says how that Backstage keeps the entity. Here it would point to where nobody looks any more.
const ITS_OWN: [&str; 3] = [
    MANAGED_BY,
    "backstage.io/managed-by-origin-location",
    "backstage.io/orphan",
];

/// Takes off `entity` what is about the catalog that it comes from. Where the entity was read from is kept as
/// `backstage.io/source-location`, which paths in it (`backstage.io/techdocs-ref: dir:.`, a location's targets) are relative to.
pub fn detach(entity: &mut Value) {
    if let Some(fields) = entity.as_object_mut() {
        fields.retain(|field, _| !OUTPUT_ONLY_ROOT.contains(&field.as_str()));
    }
    let Some(annotations) = entity
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let source = annotations
        .get(MANAGED_BY)
        .filter(|place| place.as_str().is_some_and(|place| place.starts_with("url:")))
        .cloned();
    for own in ITS_OWN {
        annotations.remove(own);
    }
    if let Some(source) = source {
        annotations.entry(SOURCE).or_insert(source);
    }
    if annotations.is_empty()
        && let Some(metadata) = entity.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.remove("annotations");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_about_the_other_catalog_goes_and_the_source_stays() {
        for (annotations, left) in [
            (
                json!({"backstage.io/managed-by-location": "url:https://a/b.yaml", "backstage.io/managed-by-origin-location": "url:https://c", "x": "y"}),
                json!({"annotations": {"backstage.io/source-location": "url:https://a/b.yaml", "x": "y"}}),
            ),
            (
                json!({"backstage.io/managed-by-location": "url:https://a/b.yaml", "backstage.io/source-location": "url:https://a/"}),
                json!({"annotations": {"backstage.io/source-location": "url:https://a/"}}),
            ),
            (
                json!({"backstage.io/managed-by-location": "file:/tmp/x", "backstage.io/orphan": "true"}),
                json!({}),
            ),
        ] {
            let mut entity = json!({"metadata": {"annotations": annotations}});
            detach(&mut entity);
            assert_eq!(entity["metadata"], left);
        }
        let mut entity = json!({"kind": "A", "relations": [{"type": "ownedBy"}], "status": {"items": []}});
        detach(&mut entity);
        assert_eq!(entity, json!({"kind": "A"}));
        detach(&mut json!(1));
    }
}
