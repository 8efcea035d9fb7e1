use serde_json::json;

use super::*;

/// The `ConfigMap` `settings` as we have written it.
fn settings(uid: &str, version: u64) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "settings", "namespace": "shop", "uid": uid, "resourceVersion": version.to_string(),
            "managedFields": [{
                "manager": marks::OBJECT_MANAGER, "operation": "Apply", "apiVersion": "v1",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}},
            }],
        },
    }))
    .unwrap()
}

fn seen(watch: &Watch) -> Option<String> {
    watch.get(Some("shop"), "settings").map(|child| child.uid)
}

#[test]
fn an_answer_that_comes_after_the_word_that_its_object_is_gone_brings_nothing_back() {
    let watch = Watch::closed();
    watch.observe(settings("a", 1));
    watch.gone(settings("a", 2));
    watch.applied(settings("a", 1));
    assert_eq!(seen(&watch), None, "it went at 2");
    // The object that follows it, and one that lost our label and got it back, are there.
    watch.applied(settings("a", 3));
    assert_eq!(seen(&watch).as_deref(), Some("a"));
    watch.gone(settings("a", 4));
    watch.applied(settings("b", 5));
    assert_eq!(seen(&watch).as_deref(), Some("b"));
}
