//! The types read what a newer or an older program has written.

use serde_json::{Map, Value, json};

use super::*;

/// Reads `object` as one of our types, and writes it again.
fn through<T: serde::Serialize + serde::de::DeserializeOwned>(object: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(object.clone()).unwrap()).unwrap()
}

fn component() -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "Component", "metadata": {"name": "orders", "namespace": "shop"},
        "spec": {
            "title": "Order service", "tags": ["java"], "links": [{"url": "https://a.example", "type": "runbook"}],
            "entityName": "Orders_1", "aliases": ["component:old/orders"], "extensions": {"metadata": {"x": [1, null, 1.5]}, "root": {"y": {}}},
            "type": "service", "lifecycle": "production", "owner": "team-a", "subcomponentOf": "shop", "dependsOn": ["api:x"],
            "template": {
                "ref": "platform/web-service", "version": "2.3.0", "environments": {"prod": {"version": "2.2.0"}},
                "parameters": {"deep": [{"er": null}]}, "deletionPolicy": "Confirm", "suspend": true, "takeOver": {"ref": "component:old/orders"},
            },
        },
        "status": {
            "observedGeneration": -1,
            "conditions": [{"type": "Ready", "status": "Unknown", "reason": "Pending", "message": "", "lastTransitionTime": "1970-01-01T00:00:00Z"}],
            "template": {"ref": "template:platform/web-service", "version": "2.3.0", "digest": "abc", "latestVersion": "2.4.0"},
            "handOver": {"ref": "component:new/orders", "uid": "v", "finished": true}, "takenOver": {"ref": "component:old/orders", "uid": "w"},
            "inventory": [{"version": "v1", "kind": "Namespace", "name": "a", "uid": "u", "resource": "ns/prod", "claim": "c", "mode": "Once", "deletionPolicy": "Retain", "order": 3, "account": "platform/x"}],
            "pipelines": [{"name": "build", "namespace": "a", "engine": "Tekton", "lastRun": {"name": "build-1", "state": "Failed"}}],
            "output": {"url": "https://a.example"},
        },
    })
}

fn template() -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "Template", "metadata": {"name": "web-service", "namespace": "platform"},
        "spec": {
            "type": "service", "version": "2.3.0", "serviceAccountName": "golden-path", "targetNamespaces": ["argocd"],
            "allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["x"]}]}},
            "rollout": {"strategy": "Manual", "maxUnavailable": "10%", "minReadySeconds": 60, "environments": ["dev"], "paused": true},
            "parameters": [{"title": "One"}], "steps": [{"id": "a", "action": "b", "if": null}],
            "include": [{"id": "g", "ref": "x", "version": "1", "if": true, "each": [1], "parameters": {"a": 1}}],
            "resources": [{
                "id": "ns", "each": {"a": 1}, "if": "${{ x }}", "environment": "${{ y }}", "mode": "Patch", "dependsOn": ["a"],
                "readyWhen": "${{ z }}", "deletionPolicy": "Delete", "driftPolicy": "Report", "replace": true, "manifest": {"kind": "X", "n": null},
            }],
            "references": [{"id": "db", "object": {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "namespace": "y"}, "if": false}],
            "output": {"a": [null]}, "secrets": {"b": 1}, "presentation": {"c": 1},
        },
        "status": {
            "observedGeneration": 3, "latest": {"version": "2.3.0", "digest": "abc", "revisionName": "web-service-1"},
            "instances": {"total": 3, "updated": 2, "ready": 1},
        },
    })
}

fn system() -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "System", "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"owner": "team-a", "domain": "commerce", "type": "product", "template": {"ref": "shared"}},
        "status": {"observedGeneration": 1, "environmentsReady": "1/1", "components": {"total": 2, "ready": 1, "notReady": ["component:shop/x"]}},
    })
}

fn records() -> Vec<Value> {
    let metadata = json!({"name": "a", "namespace": "shop"});
    let status = json!({
        "observedGeneration": 1, "relations": [{"type": "ownedBy", "count": 12, "sample": ["group:shop/x"]}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "1970-01-01T00:00:00Z"}],
    });
    let counted = |name: &str, more: Value| {
        let mut status = status.clone();
        status[name] = json!({"total": 2, "ready": 1, "notReady": ["system:shop/x"]});
        for (key, value) in more.as_object().into_iter().flatten() {
            status[key] = value.clone();
        }
        status
    };
    let subjects = json!([{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "x"}, {"kind": "ServiceAccount", "name": "x", "namespace": "y"}]);
    let profile = json!({"displayName": "A", "email": "b@c.example", "picture": "https://d.example"});
    [
        ("API", json!({"type": "grpc", "lifecycle": "x", "owner": "y", "system": "z", "definition": "service", "title": "A"}), status.clone()),
        ("Domain", json!({"owner": "y", "subdomainOf": "z", "type": "x", "tags": ["a"]}), counted("systems", Value::Null)),
        ("Group", json!({"type": "team", "profile": profile, "parent": "x", "children": ["y"], "members": ["z"], "subjects": subjects}), counted("owned", json!({"members": 3}))),
        ("User", json!({"profile": profile, "memberOf": ["x"], "subjects": subjects}), counted("owned", json!({"groups": 3}))),
        ("Location", json!({"type": "url", "target": "x", "targets": ["y"], "presence": "optional"}), status.clone()),
        ("Entity", json!({"apiVersion": "a/v1", "kind": "B", "metadata": {"x": null}, "spec": {"y": [1.5]}, "extensions": {"root": {"z": {}}}}), status.clone()),
        ("Resource", json!({"type": "database", "owner": "y", "system": "z", "dependsOn": ["resource:x"], "dependencyOf": ["component:x"], "template": {"ref": "db"}}), json!({"observedGeneration": 1, "environmentsReady": "1/1"})),
    ]
    .into_iter()
    .map(|(kind, spec, status)| json!({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec, "status": status}))
    .collect()
}

fn record_through(object: &Value) -> Value {
    match object["kind"].as_str().unwrap() {
        "API" => through::<API>(object),
        "Domain" => through::<Domain>(object),
        "Group" => through::<Group>(object),
        "User" => through::<User>(object),
        "Location" => through::<Location>(object),
        "Entity" => through::<Entity>(object),
        "Resource" => through::<Resource>(object),
        other => panic!("no record of kind {other}"),
    }
}

#[test]
fn every_field_comes_back_as_it_was() {
    for record in records() {
        assert_eq!(record_through(&record), record);
    }
    assert_eq!(through::<Component>(&component()), component());
    assert_eq!(through::<System>(&system()), system());
    assert_eq!(through::<Template>(&template()), template());
}

/// Puts a field that no type knows into every object that has a type.
fn with_unknown_fields(object: &Value, untyped: &[&str]) -> Value {
    match object {
        Value::Object(fields) => {
            let mut more: Map<String, Value> = fields
                .iter()
                .map(|(name, value)| {
                    let keep = untyped.contains(&name.as_str());
                    (
                        name.clone(),
                        if keep {
                            value.clone()
                        } else {
                            with_unknown_fields(value, untyped)
                        },
                    )
                })
                .collect();
            more.insert("fromTheFuture".to_owned(), json!({"any": ["thing"]}));
            Value::Object(more)
        }
        Value::Array(items) => items.iter().map(|item| with_unknown_fields(item, untyped)).collect(),
        other => other.clone(),
    }
}

/// A newer version's fields are no fault, and do not come into the way of the others.
#[test]
fn a_field_that_is_not_known_is_passed_over() {
    // What is under these is the user's, or a map, and kept whole.
    let untyped = [
        "metadata",
        "extensions",
        "environments",
        "parameters",
        "output",
        "secrets",
        "presentation",
        "steps",
        "manifest",
        "each",
        "if",
        "matchLabels",
    ];
    assert_eq!(
        through::<Component>(&with_unknown_fields(&component(), &untyped)),
        component()
    );
    assert_eq!(through::<System>(&with_unknown_fields(&system(), &untyped)), system());
    assert_eq!(
        through::<Template>(&with_unknown_fields(&template(), &untyped)),
        template()
    );
    for record in records().into_iter().filter(|record| record["kind"] != "Entity") {
        assert_eq!(record_through(&with_unknown_fields(&record, &untyped)), record);
    }
}

#[test]
fn what_is_left_out_stays_out() {
    let component = json!({
        "apiVersion": API_VERSION, "kind": "Component", "metadata": {"name": "a"},
        "spec": {"type": "x", "lifecycle": "y", "owner": "z"},
    });
    assert_eq!(through::<Component>(&component), component);
    let template =
        json!({"apiVersion": API_VERSION, "kind": "Template", "metadata": {"name": "a"}, "spec": {"type": "x"}});
    assert_eq!(through::<Template>(&template), template);
}
