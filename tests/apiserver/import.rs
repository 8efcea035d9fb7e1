//! `landfall import` and `landfall export` against a real apiserver, and what they print as the real kubectl reads it.

use std::path::{Path, PathBuf};

use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;
use landfall::api::Component;
use landfall::catalog::yaml::{self, Limits};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::{Cluster, cluster};
use program::{Said, run};
use traps::TRAPS;

mod whole;

#[path = "../program/corpus.rs"]
mod corpus;
#[path = "../program/mod.rs"]
pub mod program;
#[path = "../../src/catalog/yaml/traps.rs"]
mod traps;

pub fn landfall(kubeconfig: &Path, arguments: &[&str], input: &str) -> Said {
    run(program::landfall(arguments).env("KUBECONFIG", kubeconfig), input)
}

fn values(text: &str) -> Vec<Value> {
    program::values(text, Limits::default())
}

fn entity(kind: &str, name: &str, metadata: Value, spec: Value) -> Value {
    let api_version = if kind == "Template" {
        "scaffolder.backstage.io/v1beta3"
    } else {
        "backstage.io/v1alpha1"
    };
    let mut document = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec});
    for (key, value) in metadata.as_object().unwrap() {
        document["metadata"][key] = value.clone();
    }
    document
}

fn component(name: &str, spec: Value) -> Value {
    let mut document = entity(
        "Component",
        name,
        json!({}),
        json!({"type": "service", "lifecycle": "production", "owner": "team-a"}),
    );
    for (key, value) in spec.as_object().unwrap() {
        document["spec"][key] = value.clone();
    }
    document
}

pub fn stream(documents: &[Value]) -> String {
    documents
        .iter()
        .map(|document| yaml::write(document).unwrap())
        .collect()
}

/// Values that are easily read as others.
fn traps() -> Vec<Value> {
    let mut traps: Vec<Value> = TRAPS.iter().copied().map(Value::from).collect();
    traps.extend([
        json!(1),
        json!(-1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(9_007_199_254_740_993_i64),
        json!(0.1),
        json!(1e300),
        json!(-1.5e-7),
        json!(null),
        json!(true),
        json!([]),
        json!({}),
    ]);
    let mut runner = TestRunner::deterministic();
    let text = prop_oneof![
        "\\PC{0,12}",
        "[a-z:#\\-{}\\[\\], \n'\"|>&*!%@`\\\\]{0,16}",
        "[0-9_.:eExobaf+-]{1,8}",
        "[0-9-]{4,12}"
    ];
    let float = any::<f64>().prop_filter("finite", |float| float.is_finite());
    for _ in 0..600 {
        traps.push(text.new_tree(&mut runner).unwrap().current().into());
    }
    for _ in 0..100 {
        traps.push(float.new_tree(&mut runner).unwrap().current().into());
    }
    traps
}

/// Whether two values are one to Kubernetes, where 1.0 and 1 are.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64() && (one.is_f64() || other.is_f64())
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        (one, other) => one == other,
    }
}

#[tokio::test]
async fn kubectl_reads_every_value_as_it_was_meant() {
    let cluster = cluster().await;
    let traps = traps();
    let keys: serde_json::Map<String, Value> = traps
        .iter()
        .filter_map(Value::as_str)
        .enumerate()
        .map(|(index, key)| (key.to_owned(), index.into()))
        .collect();
    let keys: Vec<serde_json::Map<String, Value>> = keys
        .into_iter()
        .collect::<Vec<_>>()
        .chunks(200)
        .map(|part| part.iter().cloned().collect())
        .collect();
    let said = landfall(
        &cluster.kubeconfig(),
        &["import", "-"],
        &stream(&[component(
            "traps",
            json!({"values": traps, "keys": keys, "nested": [[traps]]}),
        )]),
    );
    assert_eq!(said.code, 0, "{}", said.errors);
    let file = cluster.directory().join("traps.yaml");
    std::fs::write(&file, &said.output).unwrap();
    let read = cluster.kubectl(&["create", "--dry-run=client", "-o", "json", "-f", file.to_str().unwrap()]);
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let read: Value = serde_json::from_slice(&read.stdout).unwrap();
    let read = &read["spec"]["extensions"]["spec"];
    for (index, trap) in traps.iter().enumerate() {
        assert!(
            same(&read["values"][index], trap),
            "{trap:?} is read as {:?}",
            read["values"][index]
        );
        assert!(
            same(&read["nested"][0][0][index], trap),
            "{trap:?}, nested, is read as {:?}",
            read["nested"][0][0][index]
        );
    }
    assert!(same(&read["keys"], &json!(keys)), "a key is read otherwise");
}

/// One of each kind, with what is odd about each.
fn everything() -> Vec<Value> {
    let unknown = json!({"null": null, "yes": "yes", "": [null, {}, [], 1.5, 1e300, i64::MAX], "0": {"a b": "12:30:45"}, "template": {"ref": "x"}, "tags": [], "status": {"a": 1}});
    let with = |mut spec: Value| {
        for (key, value) in unknown.as_object().unwrap() {
            spec[key] = value.clone();
        }
        spec
    };
    vec![
        entity(
            "Component",
            "Artist_Web",
            json!({
                "title": "yes", "description": "a\n\n  b\n", "tags": ["java", "c++", "java"], "labels": {"a": "b", "not a key": "x", "c": "not a value"},
                "annotations": {"A.example/b": "\u{0}?", "": "x"}, "links": [{"url": "slack://x"}, {"url": "https://a.example", "icon": "x"}, {"url": "https://a.example"}],
                "entityName": null, "extensions": {"a": null}, "landfall": {"spec": {"template": {"ref": "nowhere/web", "parameters": {"a": null}, "suspend": true}}},
            }),
            with(
                json!({"type": "service", "lifecycle": "1.0", "owner": "Team_A", "system": null, "dependsOn": ["API:x", "API:x"]}),
            ),
        ),
        entity(
            "API",
            "api",
            json!({}),
            with(json!({"type": "grpc", "lifecycle": "x", "owner": "a", "definition": {"$text": "https://a.example"}})),
        ),
        entity(
            "Resource",
            "resource",
            json!({}),
            with(json!({"type": "database", "owner": "a"})),
        ),
        entity(
            "System",
            "system",
            json!({}),
            with(json!({"owner": "a", "domain": "x"})),
        ),
        entity("Domain", "domain", json!({}), with(json!({"owner": "a"}))),
        entity(
            "Group",
            "Team_A",
            json!({}),
            with(json!({"type": "team", "children": [], "profile": {"displayName": "A", "more": null}})),
        ),
        entity(
            "User",
            "jdoe.x",
            json!({}),
            with(json!({"memberOf": ["Team_A"], "profile": {}})),
        ),
        entity(
            "Location",
            "location",
            json!({}),
            with(json!({"targets": ["https://a.example"]})),
        ),
        entity(
            "Template",
            "template",
            json!({"landfall": {"name": "other", "spec": {"version": "1.0"}}}),
            with(
                json!({"type": "service", "parameters": [{"title": "a", "x": null}], "steps": [{"id": "a", "if": null}], "output": {"a": null}}),
            ),
        ),
        entity(
            "AiResource",
            "Skill_1",
            json!({"labels": {"a": 1}, "tags": null, "landfall": {"labels": {"object": "own"}}}),
            unknown,
        ),
    ]
}

fn sorted(mut documents: Vec<Value>) -> Vec<Value> {
    documents.sort_by_key(|document| (document["kind"].to_string(), document["metadata"]["name"].to_string()));
    documents
}

#[tokio::test]
async fn what_is_imported_into_a_cluster_is_exported_as_it_was() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("import").await;
    let mut documents = everything();
    if let Some(root) = std::env::var_os("LANDFALL_CORPUS").map(PathBuf::from) {
        for file in [
            "backstage-demo/catalog-info.yaml",
            "backstage-demo/demo-template/template/template.yaml",
            "backstage-demo/examples/ai-resources.yaml",
        ] {
            documents.extend(values(&std::fs::read_to_string(root.join(file)).unwrap()));
        }
    }
    for document in &mut documents {
        document["metadata"]["namespace"] = json!(namespace);
    }
    let said = landfall(&cluster.kubeconfig(), &["import", "--apply", "-"], &stream(&documents));
    assert_eq!(said.code, 0, "{}", said.errors);
    assert_eq!(said.output.lines().count(), documents.len(), "{}", said.output);
    assert!(
        said.output.contains(&format!(
            "components.catalog.landfall.dev/artist-web in namespace {namespace} applied"
        )),
        "{}",
        said.output
    );
    let export = |arguments: &[&str]| {
        let said = landfall(&cluster.kubeconfig(), &[&["export"], arguments].concat(), "");
        assert_eq!(said.code, 0, "{}", said.errors);
        sorted(values(&said.output))
    };
    let (back, expected) = (export(&["-n", &namespace]), sorted(documents));
    for (back, expected) in back.iter().zip(&expected) {
        assert!(same(back, expected), "{back:#}\n{expected:#}");
    }
    assert_eq!(back.len(), expected.len());
    // kubectl gives the same resources.
    let listed = cluster.kubectl(&["get", "catalog", "-n", &namespace, "-o", "yaml"]);
    let said = landfall(
        &cluster.kubeconfig(),
        &["export", "-f", "-"],
        &String::from_utf8(listed.stdout).unwrap(),
    );
    assert_eq!((said.code, sorted(values(&said.output))), (0, back), "{}", said.errors);
    // And a part of it.
    let names = |documents: Vec<Value>| {
        documents
            .iter()
            .map(|document| document["metadata"]["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(export(&[&format!("component:{namespace}/artist_web")])),
        ["Artist_Web"]
    );
    assert_eq!(names(export(&["-n", &namespace, "template:template"])), ["template"]);
    assert_eq!(names(export(&["-n", &namespace, "api", "api"])), ["api"]);
    let misspelt = landfall(
        &cluster.kubeconfig(),
        &["export", "-n", &namespace, "--kind", "gruop", "--kind", "airesource"],
        "",
    );
    assert_eq!(
        (misspelt.code, misspelt.errors.as_str()),
        (0, "note: no entity is of kind gruop; did you mean group?\n")
    );
    assert_eq!(names(sorted(values(&misspelt.output)))[0], "Skill_1");
    assert_eq!(names(export(&["airesource:skill_1", "-n", &namespace])), ["Skill_1"]);
    assert_eq!(
        names(export(&["-n", &namespace, "--kind", "group", "--kind", "user"])),
        ["Team_A", "jdoe.x"]
    );
    assert_eq!(names(export(&["-n", &namespace, "-l", "object=own"])), ["Skill_1"]);
    let none = landfall(
        &cluster.kubeconfig(),
        &["export", &format!("component:{namespace}/gone")],
        "",
    );
    assert_eq!(none.code, 1);
    assert!(
        none.errors.contains(&format!(
            "component:{namespace}/gone does not exist; kubectl get components.catalog.landfall.dev"
        )),
        "{}",
        none.errors
    );
}

fn components(cluster: &'static Cluster, namespace: &str) -> impl Future<Output = Vec<DynamicObject>> {
    let namespace = namespace.to_owned();
    async move {
        let api: Api<DynamicObject> = Api::namespaced_with(
            cluster.client().await,
            &namespace,
            &ApiResource::erase::<Component>(&()),
        );
        api.list(&ListParams::default()).await.unwrap().items
    }
}

#[tokio::test]
async fn what_is_refused_is_said_and_the_rest_is_applied() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("import").await;
    let mut documents: Vec<Value> = (0..200)
        .map(|index| component(&format!("c{index}"), json!({})))
        .collect();
    for document in &mut documents {
        document["metadata"]["namespace"] = json!(namespace);
    }
    documents[70]["metadata"]["namespace"] = json!("no-such-namespace");
    documents[140]["spec"]["owner"] = json!("group:");
    let said = landfall(&cluster.kubeconfig(), &["import", "--apply", "-"], &stream(&documents));
    assert_eq!(said.code, 1);
    assert!(said.errors.contains("c70 in namespace no-such-namespace was refused: namespaces \"no-such-namespace\" not found; make it first: kubectl create namespace no-such-namespace"), "{}", said.errors);
    assert!(
        said.errors
            .contains("spec.owner: owner \"group:\" is not an entity ref"),
        "{}",
        said.errors
    );
    assert!(
        said.errors.ends_with("landfall: 198 imported, 2 faults: see above\n"),
        "{}",
        said.errors
    );
    let found = components(cluster, &namespace).await;
    assert_eq!(found.len(), 198);
    let managers: Vec<_> = found[0]
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .filter_map(|field| field.manager.as_deref())
        .collect();
    assert!(managers.contains(&"landfall-import"), "{managers:?}");

    // What somebody else has set meanwhile stays, unless it is asked for.
    let mut one = component("c1", json!({"owner": "team-b"}));
    one["metadata"]["namespace"] = json!(namespace);
    let set = json!({"apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component", "metadata": {"name": "c1", "namespace": namespace}, "spec": {"type": "service", "lifecycle": "production", "owner": "theirs"}});
    let file = cluster.directory().join(format!("{namespace}.yaml"));
    std::fs::write(&file, yaml::write(&set).unwrap()).unwrap();
    let applied = cluster.kubectl(&[
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        file.to_str().unwrap(),
    ]);
    assert!(applied.status.success());
    let owner = async || cluster_owner(cluster, &namespace).await;
    let said = landfall(
        &cluster.kubeconfig(),
        &["import", "--apply", "-"],
        &stream(&[one.clone()]),
    );
    assert!(
        said.code == 1 && said.errors.contains("; --force-conflicts takes these fields over"),
        "{}",
        said.errors
    );
    assert_eq!(owner().await, "theirs");
    let said = landfall(
        &cluster.kubeconfig(),
        &["import", "--apply", "--force-conflicts", "-"],
        &stream(&[one]),
    );
    assert_eq!((said.code, owner().await.as_str()), (0, "team-b"), "{}", said.errors);
}

async fn cluster_owner(cluster: &'static Cluster, namespace: &str) -> String {
    let found = components(cluster, namespace).await;
    let one = found
        .into_iter()
        .find(|object| object.metadata.name.as_deref() == Some("c1"))
        .unwrap();
    one.data["spec"]["owner"].as_str().unwrap().to_owned()
}

/// A kubeconfig of somebody without any right.
fn as_stranger(cluster: &Cluster, name: &str) -> PathBuf {
    let mut config = values(&std::fs::read_to_string(cluster.kubeconfig()).unwrap()).remove(0);
    config["users"][0]["user"]["as"] = json!("a-stranger");
    let kubeconfig = cluster.directory().join(format!("{name}.kubeconfig"));
    std::fs::write(&kubeconfig, yaml::write(&config).unwrap()).unwrap();
    kubeconfig
}

#[tokio::test]
async fn a_caller_without_the_right_applies_nothing_and_is_told() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("import").await;
    let kubeconfig = as_stranger(cluster, &namespace);
    let documents: Vec<Value> = ["a", "b"]
        .map(|name| {
            let mut document = component(name, json!({}));
            document["metadata"]["namespace"] = json!(namespace);
            document
        })
        .into();
    let said = landfall(&kubeconfig, &["import", "--apply", "-"], &stream(&documents));
    assert_eq!(said.code, 1);
    assert_eq!(
        said.errors,
        format!(
            "standard input:2:1: components.catalog.landfall.dev/a and 1 other of the kind in namespace {namespace} were refused: User \"a-stranger\" cannot patch them; \
             grant: apiGroups [catalog.landfall.dev], resources [components], verbs [create, patch]\n\
             landfall: 0 imported, 2 faults: see above\n"
        )
    );
    assert!(components(cluster, &namespace).await.is_empty());
    let gone = cluster.directory().join("no-such.kubeconfig");
    let said = landfall(&gone, &["import", "--apply", "-"], &stream(&documents));
    assert!(said.code == 1 && said.output.is_empty(), "{}", said.errors);
}
