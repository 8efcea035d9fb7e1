//! The CRDs on the real apiserver: what it accepts, what it refuses and in which words, and what it shows.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

// An operator would write the status of what these tests look at.
use crate::support::{eventually, quiet_cluster as cluster};

mod columns;
mod refusals;

/// The kinds that have a CRD.
const KINDS: [&str; 10] = [
    "API",
    "Component",
    "Domain",
    "Entity",
    "Group",
    "Location",
    "Resource",
    "System",
    "Template",
    "User",
];

fn plural(kind: &str) -> String {
    match kind {
        "Entity" => "entities".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    }
}

/// Our objects of one kind in one namespace.
async fn api(kind: &str, namespace: &str) -> Api<DynamicObject> {
    let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk("catalog.landfall.dev", "v1alpha1", kind));
    resource.plural = plural(kind);
    Api::namespaced_with(cluster().await.client().await, namespace, &resource)
}

/// The smallest good object of a kind, with `changes` made to it.
fn object(kind: &str, changes: &Value) -> Value {
    let spec = match kind {
        "Component" => json!({"type": "service", "lifecycle": "production", "owner": "team-a"}),
        "API" => {
            json!({"type": "openapi", "lifecycle": "production", "owner": "team-a", "definition": "openapi: 3.1.0"})
        }
        "Resource" => json!({"type": "database", "owner": "team-a"}),
        "System" | "Domain" => json!({"owner": "team-a"}),
        "Group" => json!({"type": "team"}),
        "User" | "Location" => json!({}),
        "Entity" => json!({"apiVersion": "backstage.io/v1alpha1", "kind": "AiResource"}),
        "Template" => json!({"type": "service"}),
        other => panic!("no kind {other}"),
    };
    let mut object = json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": kind, "metadata": {"name": "orders"}, "spec": spec,
    });
    json_merge(&mut object, changes);
    object
}

/// A merge patch: a null takes a field away.
fn json_merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                if value.is_null() {
                    into.remove(key);
                } else {
                    json_merge(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Creates an object, or asks whether it could be; the message of the refusal otherwise.
async fn create(namespace: &str, object: &Value, dry_run: bool) -> Result<Value, String> {
    let typed: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let parameters = PostParams {
        dry_run,
        ..PostParams::default()
    };
    match api(object["kind"].as_str().unwrap(), namespace)
        .await
        .create(&parameters, &typed)
        .await
    {
        Ok(created) => Ok(serde_json::to_value(created).unwrap()),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(error) => panic!("{error}"),
    }
}

async fn patch_status(namespace: &str, kind: &str, name: &str, manager: &str, status: Value) -> Result<Value, String> {
    let patch = json!({"apiVersion": "catalog.landfall.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "status": status});
    match api(kind, namespace)
        .await
        .patch_status(name, &PatchParams::apply(manager), &Patch::Apply(patch))
        .await
    {
        Ok(object) => Ok(serde_json::to_value(object).unwrap()),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(error) => panic!("{error}"),
    }
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "observedGeneration": 1, "lastTransitionTime": "2026-11-22T10:00:00Z",
    })
}

#[tokio::test]
async fn all_are_established_under_their_own_names() {
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster().await.client().await);
    for crd in landfall::api::crds::all() {
        let name = crd.metadata.name.unwrap();
        let live = definitions.get(&name).await.unwrap();
        let conditions = live.status.unwrap_or_default().conditions.unwrap_or_default();
        for kind in ["NamesAccepted", "Established"] {
            let found = conditions.iter().find(|condition| condition.type_ == kind).unwrap();
            assert_eq!(
                found.status,
                "True",
                "{name}: {}",
                found.message.clone().unwrap_or_default()
            );
        }
        let not_structural = conditions
            .iter()
            .find(|condition| condition.type_ == "NonStructuralSchema");
        assert!(not_structural.is_none(), "{name}: {not_structural:?}");
    }
}

/// As many refs as a list takes, each as long as can be.
fn many(prefix: &str) -> Vec<String> {
    (0..512)
        .map(|index| format!("{prefix}{}/{index:0>63}", "n".repeat(63)))
        .collect()
}

/// Asks whether the smallest good object of a kind could be created with changes.
async fn accepted(rows: Vec<(&str, Value)>) {
    let namespace = cluster().await.namespace("crds-good").await;
    for (kind, changes) in rows {
        let text = changes.to_string();
        let result = create(&namespace, &object(kind, &changes), true).await;
        assert!(result.is_ok(), "{kind} {text:.200}: {result:?}");
    }
}

#[tokio::test]
async fn good_objects_are_accepted() {
    let links: Vec<Value> = (0..64)
        .map(|index| json!({"url": format!("https://a.example/{index:0>2030}"), "title": "x"}))
        .collect();
    let resources: Vec<Value> = (0..256)
        .map(|index| json!({"id": format!("r{index}"), "dependsOn": ["a", "guardrails.quota"], "manifest": {"kind": "ConfigMap"}}))
        .collect();
    accepted(vec![
        ("Component", json!({})),
        (
            "Component",
            json!({"spec": {"owner": "Group:Shop/Team_A.b", "system": "SYSTEM:shop", "subcomponentOf": "Component:x"}}),
        ),
        (
            "Component",
            json!({"spec": {"owner": "user:guest", "dependsOn": ["Resource:orders-db", "component:shop/x"]}}),
        ),
        (
            "Component",
            json!({"spec": {"tags": ["java", "c++", "ci:x", "event-driven"], "entityName": "artist_Web"}}),
        ),
        (
            "Component",
            json!({"spec": {"links": [{"url": "mailto:a@b.example"}, {"url": "HTTPS://a.example", "icon": "dashboard"}]}}),
        ),
        (
            "Component",
            json!({"spec": {"template": {"ref": "Template:platform/web-service", "environments": {"prod": {"version": "2.2.0"}}}}}),
        ),
        (
            "Component",
            json!({"spec": {"extensions": {"metadata": {"anything": [1, {"at": "all"}]}, "root": {"x": 1.5}}}}),
        ),
        ("Component", json!({"metadata": {"name": "n".repeat(63)}})),
        // As much as the bounds allow, within what the apiserver spends on rules.
        (
            "Component",
            json!({"spec": {"providesApis": many("API:"), "consumesApis": many(""), "dependsOn": many("resource:"), "dependencyOf": many("component:"), "links": links}}),
        ),
        (
            "System",
            json!({"spec": {"domain": "domain:default/commerce", "template": {"ref": "shared", "deletionPolicy": "Confirm", "suspend": true}}}),
        ),
        (
            "Template",
            json!({"spec": {"steps": [{"id": "fetch", "action": "fetch:template"}], "parameters": [{"title": "One"}]}}),
        ),
        (
            "Template",
            json!({"spec": {"serviceAccountName": "golden-path", "version": "2.3.0-rc.1+build", "resources": resources}}),
        ),
        (
            "Template",
            json!({"spec": {"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]}}}}),
        ),
        (
            "Template",
            json!({"spec": {"rollout": {"strategy": "Manual", "maxUnavailable": 3, "environments": ["dev", "prod"]}, "targetNamespaces": ["argocd"]}}),
        ),
        ("Template", json!({"spec": {"rollout": {"maxUnavailable": "100%"}}})),
        (
            "Template",
            json!({"spec": {"references": [{"id": "db", "ref": "${{ parameters.db }}"}, {"id": "ca", "object": {"apiVersion": "v1", "kind": "ConfigMap", "name": "ca"}}]}}),
        ),
    ])
    .await;
}

#[tokio::test]
async fn good_records_are_accepted() {
    let members = |prefix: &str, length: usize| -> Vec<String> {
        (0..10_000).map(|index| format!("{prefix}{index:0>length$}")).collect()
    };
    accepted(vec![
        (
            "API",
            json!({"spec": {"definition": "x".repeat(1_048_576), "system": "shop"}}),
        ),
        // A server of the Model Context Protocol has no definition; a placeholder stands for one.
        (
            "API",
            json!({"spec": {"definition": null, "type": "mcp-server", "extensions": {"spec": {"remotes": [{"url": "https://a.example"}]}}}}),
        ),
        (
            "Resource",
            json!({"spec": {"system": "shop", "dependsOn": ["resource:other"], "template": {"ref": "platform/database", "parameters": {"size": "10Gi"}}}}),
        ),
        (
            "Domain",
            json!({"spec": {"subdomainOf": "Domain:default/commerce", "type": "product-area"}}),
        ),
        // Ten thousand of any length, and ten thousand as they are.
        (
            "Group",
            json!({"spec": {"children": many("Group:"), "members": members("User:default/", 20)}}),
        ),
        ("Group", json!({"spec": {"members": members("", 30)}})),
        (
            "Group",
            json!({"spec": {
                "parent": "root", "profile": {"displayName": "Team A", "email": "a@b.example", "picture": "https://a.example/a.png"},
                "subjects": [
                    {"kind": "Group", "name": "oidc:team-a"}, {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jdoe"},
                    {"kind": "ServiceAccount", "name": "ci", "namespace": "build"},
                ],
            }}),
        ),
        (
            "User",
            json!({"spec": {"memberOf": many("group:"), "profile": {"displayName": "Jenny Doe"}, "subjects": [{"kind": "User", "name": "jdoe"}]}}),
        ),
        (
            "Location",
            json!({"spec": {"type": "url", "target": "./a.yaml", "targets": ["https://a.example/catalog-info.yaml"], "presence": "optional"}}),
        ),
        (
            "Entity",
            json!({"spec": {
                "metadata": {"name": "Skill_1", "namespace": "x", "tags": [1], "labels": {"a": null}}, "spec": {"any": [{"thing": 1.5}]},
                "extensions": {"root": {"x": 1}},
            }}),
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_has_no_type_is_kept_as_it_was() {
    let namespace = cluster().await.namespace("crds-untyped").await;
    let manifest = json!({
        "apiVersion": "${{ parameters.api }}", "kind": "Anything", "metadata": {"name": 5, "labels": ["not", "a map"], "creationTimestamp": "never"},
        "number": 1.50, "nothing": null, "nested": {"empty": {}, "list": []}, "status": {"kept": true},
    });
    let resource = json!({"id": "a", "each": ["x", 1, null], "if": "${{ parameters.a }}", "readyWhen": false, "manifest": manifest});
    let parameters = json!([{"required": ["a"], "properties": {"a": {"type": "string", "ui:field": "X"}}}]);
    let wanted = object("Template", &json!({"spec": {"serviceAccountName": "x"}}));
    let mut wanted = wanted.as_object().unwrap().clone();
    wanted["spec"]["resources"] = json!([resource]);
    wanted["spec"]["parameters"] = parameters.clone();
    let stored = create(&namespace, &Value::Object(wanted), false).await.unwrap();
    assert_eq!(stored["spec"]["resources"][0], resource);
    assert_eq!(stored["spec"]["parameters"], parameters);
}

#[tokio::test]
async fn a_new_object_says_from_the_first_moment_that_nothing_is_known() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("crds-default").await;
    let pending = json!({"observedGeneration": -1, "conditions": [{
        "type": "Ready", "status": "Unknown", "reason": "Pending", "message": "Waiting for the controller",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]});
    for kind in KINDS {
        // A status that comes with the object is not ours to believe.
        let created = object(
            kind,
            &json!({"status": {"observedGeneration": 1, "conditions": [condition("Ready", "True", "Ready", "")]}}),
        );
        assert_eq!(
            create(&namespace, &created, false).await.unwrap()["status"],
            pending,
            "{kind}"
        );
        let resource = format!("{}/orders", kind.to_lowercase());
        let wait = |timeout: &str| {
            cluster.kubectl(&[
                "wait",
                &resource,
                "-n",
                &namespace,
                "--for=condition=Ready",
                &format!("--timeout={timeout}"),
            ])
        };
        let early = wait("1s");
        assert!(!early.status.success(), "{kind}: kubectl waited for nothing");
        let said = String::from_utf8_lossy(&early.stderr).into_owned();
        assert!(said.contains("timed out waiting for the condition"), "{kind}: {said}");
        let ready = json!({"observedGeneration": 1, "conditions": [condition("Ready", "True", "Ready", "")]});
        patch_status(&namespace, kind, "orders", "landfall-status", ready)
            .await
            .unwrap();
        assert!(wait("5s").status.success(), "{kind}");
    }
}

#[tokio::test]
async fn conditions_of_several_managers_stand_side_by_side() {
    let namespace = cluster().await.namespace("crds-managers").await;
    create(&namespace, &object("Component", &json!({})), false)
        .await
        .unwrap();
    let types = |object: &Value| -> BTreeSet<String> {
        object["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["type"].as_str().unwrap().to_owned())
            .collect()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let ours = |status: &str, more: &[&str]| {
        let more = more.iter().map(|kind| condition(kind, "True", "Progressing", ""));
        let all: Vec<Value> = std::iter::once(condition("Ready", status, "Progressing", ""))
            .chain(more)
            .collect();
        json!({"observedGeneration": 1, "conditions": all})
    };
    // Neither the default nor the other manager's condition is in the way of an apply without force.
    patch_status(
        &namespace,
        "Component",
        "orders",
        "landfall-status",
        ours("False", &["Reconciling"]),
    )
    .await
    .unwrap();
    let audited = json!({"conditions": [condition("example.com/Audited", "True", "Audited", "by hand")]});
    let both = patch_status(&namespace, "Component", "orders", "auditor", audited)
        .await
        .unwrap();
    assert_eq!(types(&both), set(&["Ready", "Reconciling", "example.com/Audited"]));
    // A condition that its manager no longer gives is gone, and only that.
    let later = patch_status(&namespace, "Component", "orders", "landfall-status", ours("True", &[]))
        .await
        .unwrap();
    assert_eq!(types(&later), set(&["Ready", "example.com/Audited"]));
    let stolen = json!({"conditions": [condition("Ready", "False", "Audited", "")]});
    let refused = patch_status(&namespace, "Component", "orders", "auditor", stolen)
        .await
        .unwrap_err();
    assert!(
        refused.contains("\"landfall-status\"") && refused.contains("conflict"),
        "{refused}"
    );
}

/// The fields of a published schema that have no description.
fn undescribed(path: &str, schema: &Value, found: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        // A field whose type is another published schema carries its description in an allOf's company.
        if property["description"].as_str().unwrap_or_default().is_empty() {
            found.push(path.clone());
        }
        undescribed(&path, property, found);
        undescribed(&format!("{path}[]"), &property["items"], found);
        undescribed(&format!("{path}{{}}"), &property["additionalProperties"], found);
    }
}

#[tokio::test]
async fn kubectl_explains_every_field() {
    let cluster = cluster().await;
    // What `kubectl explain` reads; it is published a moment after the definitions are established.
    let client = cluster.client().await;
    let published: Value = eventually("the schemas to be published", async || {
        let request = http::Request::get("/openapi/v3/apis/catalog.landfall.dev/v1alpha1")
            .body(Vec::new())
            .unwrap();
        let published: Value = client.request(request).await.map_err(|error| error.to_string())?;
        let schema = |kind: &str| format!("/components/schemas/dev.landfall.catalog.v1alpha1.{kind}");
        match KINDS.iter().find(|kind| published.pointer(&schema(kind)).is_none()) {
            Some(kind) => Err(format!("{kind} is not there yet")),
            None => Ok(published),
        }
    })
    .await;
    for kind in KINDS {
        let mut found = Vec::new();
        undescribed(
            kind,
            &published["components"]["schemas"][format!("dev.landfall.catalog.v1alpha1.{kind}")],
            &mut found,
        );
        assert!(found.is_empty(), "{found:?}");
    }
    for (field, expected) in [
        ("component", "A piece of software: a service, a website, a library."),
        ("component.spec.owner", "`[group:|user:][namespace/]name`"),
        ("component.spec.template.deletionPolicy", "What becomes of the objects"),
        (
            "system.status.components",
            "The components that are part of this system.",
        ),
        ("groups.spec.subjects.kind", "an account of a namespace"),
        (
            "templates.spec.resources.manifest",
            "The object, with expressions in its strings.",
        ),
    ] {
        let output = cluster.kubectl(&["explain", field]);
        let said = String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(
            said.contains(expected),
            "{field}: {said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
