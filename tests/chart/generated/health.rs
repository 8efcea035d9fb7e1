//! Argo CD's health scripts for our kinds, with objects that they are tried on: in the layout in which Argo CD takes them
//! (its docs/operator-manual/health.md), and as keys of its `ConfigMap`. There is one script, in the chart.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use landfall::api::conditions::{self, Verdict, settle};
use landfall::api::reasons::Reason;
use landfall::api::{self, API_VERSION, GROUP, crds};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{holds, is_to_be_written};
use crate::helm::{chart, template};
use crate::support::repository;

const SCRIPT: &str = "files/argocd/health.lua";
/// When everything in the examples happened.
const TIME: &str = "2026-11-22T10:00:00Z";
/// What an instance says that has all it is to have.
const RESTS: &str = "5 objects are as planned and healthy";
/// What an instance says that cannot be planned.
const WRONG: &str = "parameters.environments.prod.replicas: 99 is more than the maximum of 10";

/// An object, and what Argo CD is to show of it.
struct Example {
    name: &'static str,
    object: Value,
    status: &'static str,
    message: &'static str,
}

fn scripts() -> PathBuf {
    repository().join("deploy/argocd/resource_customizations").join(GROUP)
}

/// Every kind, as it is spelled.
fn kinds() -> Vec<String> {
    crds::all().into_iter().map(|crd| crd.spec.names.kind).collect()
}

/// The least that a spec of this kind says.
fn spec(kind: &str) -> Value {
    let template = json!({"ref": "platform/web-service", "parameters": {"environments": {"prod": {"replicas": 3}}}});
    match kind {
        "API" => {
            json!({"type": "openapi", "lifecycle": "production", "owner": "checkout", "definition": "openapi: 3.1.0"})
        }
        "Component" => json!({"type": "service", "lifecycle": "production", "owner": "checkout", "template": template}),
        "Domain" => json!({"owner": "checkout"}),
        "Entity" => json!({"apiVersion": "example.com/v1", "kind": "Dashboard", "metadata": {"name": "orders"}}),
        "Group" => json!({"type": "team"}),
        "Location" => json!({"type": "url", "target": "https://example.com/catalog-info.yaml"}),
        "Resource" => json!({"type": "database", "owner": "checkout", "template": template}),
        "System" => json!({"owner": "checkout", "template": template}),
        "Template" => json!({"type": "service", "serviceAccountName": "golden-path"}),
        "User" => json!({"memberOf": ["checkout"]}),
        other => panic!("say what the spec of a {other} is"),
    }
}

/// An object of this kind at generation 2, without a status. Through our own type, so that it says nothing that is not there.
fn object(kind: &str, spec: &Value, status: &Value) -> Value {
    let mut object = json!({
        "apiVersion": API_VERSION, "kind": kind,
        "metadata": {"name": "orders", "namespace": "shop", "generation": 2, "uid": "4b1cf2a5-66a7-4ad0-9c4d-1f1d5b6a2f10",
            "resourceVersion": "1207", "creationTimestamp": TIME},
        "spec": spec,
    });
    if !status.is_null() {
        object["status"] = status.clone();
    }
    match kind {
        "API" => typed::<api::API>(&object),
        "Component" => typed::<api::Component>(&object),
        "Domain" => typed::<api::Domain>(&object),
        "Entity" => typed::<api::Entity>(&object),
        "Group" => typed::<api::Group>(&object),
        "Location" => typed::<api::Location>(&object),
        "Resource" => typed::<api::Resource>(&object),
        "System" => typed::<api::System>(&object),
        "Template" => typed::<api::Template>(&object),
        "User" => typed::<api::User>(&object),
        other => panic!("which type is a {other}?"),
    }
}

/// The object as our type writes it, which must be all that was said.
fn typed<K: DeserializeOwned + Serialize>(object: &Value) -> Value {
    let read: K = serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object:#}"));
    let written = serde_json::to_value(read).unwrap();
    assert_json_diff::assert_json_include!(actual: written.clone(), expected: object);
    written
}

/// A status as the controller writes it.
fn status(kind: &str, generation: i64, verdicts: &[Verdict]) -> Value {
    let conditions = settle(&[], verdicts, Some(generation), TIME);
    let mut status = json!({"observedGeneration": generation, "conditions": conditions});
    if is_instance(kind) {
        status["environments"] = json!([{"name": "prod", "namespace": "shop-orders-prod", "version": "2.3.0",
            "ready": verdicts.iter().any(|verdict| verdict.kind == conditions::READY && verdict.status == "True")}]);
    }
    status
}

fn is_instance(kind: &str) -> bool {
    matches!(kind, "Component" | "Resource" | "System")
}

/// The status that the definition gives a new object.
fn pending(kind: &str) -> Value {
    let definitions = crds::all();
    let definition = definitions.iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let definition = serde_json::to_value(definition).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"].clone()
}

fn example(kind: &str, name: &'static str, spec: &Value, status: &Value, shown: [&'static str; 2]) -> Example {
    let [health, message] = shown;
    Example {
        name,
        object: object(kind, spec, status),
        status: health,
        message,
    }
}

fn examples(kind: &str) -> Vec<Example> {
    let (is_instance, spec) = (is_instance(kind), spec(kind));
    let healthy = if is_instance { RESTS } else { "the catalog takes it" };
    let ready = [Verdict::yes(conditions::READY, Reason::Ready, healthy)];
    let (reason, said) = match kind {
        "Template" => (
            Reason::InvalidTemplate,
            "resources[quota]: parameters.podz is not declared; did you mean pods?",
        ),
        _ if is_instance => (Reason::InvalidParameters, WRONG),
        _ => (
            Reason::RefConflict,
            "another, older object has this ref: give this one another name",
        ),
    };
    let stalled = [
        Verdict::no(conditions::READY, reason, said),
        Verdict::yes(conditions::STALLED, reason, said),
    ];
    let waiting = ["Progressing", "Waiting for the controller"];
    let unseen = ["Progressing", "Waiting for the controller to see the latest change"];
    let mut found = vec![
        example(kind, "no_status", &spec, &Value::Null, waiting),
        example(kind, "pending", &spec, &pending(kind), waiting),
        example(kind, "not_seen_yet", &spec, &status(kind, 1, &ready), unseen),
        example(kind, "ready", &spec, &status(kind, 2, &ready), ["Healthy", healthy]),
        example(kind, "stalled", &spec, &status(kind, 2, &stalled), ["Degraded", said]),
    ];
    if is_instance {
        found.extend(of_instances(kind, &spec, &stalled));
    }
    found
}

/// What only an instance can be.
fn of_instances(kind: &str, spec: &Value, stalled: &[Verdict]) -> Vec<Example> {
    let on_its_way = "Deployment web: 0 of 1 replicas available";
    let reconciling = [
        Verdict::no(conditions::READY, Reason::Progressing, on_its_way),
        Verdict::yes(conditions::RECONCILING, Reason::Progressing, on_its_way),
    ];
    let suspended = [Verdict::yes(conditions::READY, Reason::Suspended, RESTS)];
    let mut stopped = spec.clone();
    stopped["template"]["suspend"] = json!(true);
    let made =
        |name, spec: &Value, verdicts: &[Verdict], shown| example(kind, name, spec, &status(kind, 2, verdicts), shown);
    vec![
        made("reconciling", spec, &reconciling, ["Progressing", on_its_way]),
        made("suspended", &stopped, &suspended, ["Suspended", RESTS]),
        made("suspended_and_stalled", &stopped, stalled, ["Degraded", WRONG]),
    ]
}

fn yaml(value: &Value) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(value, options).unwrap()
}

#[test]
fn each_kind_has_the_script_and_objects_that_it_is_tried_on() {
    let script = fs::read_to_string(chart().join(SCRIPT)).unwrap();
    let mut expected = BTreeMap::new();
    for kind in kinds() {
        let place = scripts().join(&kind);
        expected.insert(place.join("health.lua"), script.clone());
        let mut tests = Vec::new();
        for example in examples(&kind) {
            let input = format!("testdata/{}.yaml", example.name);
            expected.insert(place.join(&input), yaml(&example.object));
            tests.push(
                json!({"healthStatus": {"status": example.status, "message": example.message}, "inputPath": input}),
            );
        }
        expected.insert(place.join("health_test.yaml"), yaml(&json!({"tests": tests})));
    }
    if is_to_be_written() {
        let _ = fs::remove_dir_all(scripts());
    }
    for (place, text) in &expected {
        holds(place.clone(), text);
    }
    let found = files(&scripts());
    assert_eq!(
        found,
        expected.into_keys().collect::<Vec<_>>(),
        "what is generated, and nothing beside it"
    );
}

/// Every file below a directory, sorted.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What a script says of objects, each as `status: message`.
fn judged(script: &Path, objects: &[Value]) -> Result<Vec<String>, String> {
    let cluster = repository().join("tests/cluster/cluster");
    let built = Command::new(cluster)
        .arg("lua")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(built.status.success());
    let program = String::from_utf8(built.stdout).unwrap();
    let mut lua = Command::new(program.trim())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input: String = objects.iter().map(Value::to_string).collect();
    lua.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = lua.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers = answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    Ok(answers
        .map(|answer| {
            format!(
                "{}: {}",
                answer["status"].as_str().unwrap(),
                answer["message"].as_str().unwrap()
            )
        })
        .collect())
}

fn read(place: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(place).unwrap()).unwrap()
}

#[test]
fn the_interpreter_of_argo_cd_says_of_each_object_what_its_test_expects() {
    if is_to_be_written() {
        return; // what is compared is being written
    }
    let mut tried = 0;
    for kind in kinds() {
        let place = scripts().join(kind);
        let tests = read(&place.join("health_test.yaml"));
        let tests = tests["tests"].as_array().unwrap();
        let objects: Vec<Value> = tests
            .iter()
            .map(|test| read(&place.join(test["inputPath"].as_str().unwrap())))
            .collect();
        let text = |health: &Value| {
            format!(
                "{}: {}",
                health["status"].as_str().unwrap(),
                health["message"].as_str().unwrap()
            )
        };
        let expected: Vec<String> = tests.iter().map(|test| text(&test["healthStatus"])).collect();
        assert_eq!(
            judged(&place.join("health.lua"), &objects).unwrap(),
            expected,
            "{}",
            place.display()
        );
        tried += expected.len();
    }
    assert_eq!(tried, 10 * 5 + 3 * 3);
}

#[test]
fn the_script_takes_whatever_an_object_may_look_like() {
    let whole = examples("Component").pop().unwrap().object;
    let mut strange = Vec::new();
    for (pointer, value) in [
        ("/spec", Value::Null),
        ("/spec/template", json!("platform/web-service")),
        ("/status", json!({})),
        ("/status/conditions", json!([])),
        ("/status/conditions", json!([{"type": "Other", "status": "True"}])),
        ("/status/observedGeneration", Value::Null),
        ("/metadata/generation", Value::Null),
    ] {
        let mut object = whole.clone();
        *object.pointer_mut(pointer).unwrap() = value;
        strange.push(object);
    }
    let said = judged(&chart().join(SCRIPT), &strange).unwrap();
    assert_eq!(said.len(), strange.len());
    assert!(said.iter().all(|one| !one.starts_with("Healthy")), "{said:#?}");
}

/// The chart's `ConfigMap` as a change of Argo CD's own.
#[test]
fn the_keys_for_argo_cd_are_what_the_chart_renders() {
    let rendered = template(&[
        "--set",
        "argocd.healthScripts=true",
        "--show-only",
        "templates/argocd.yaml",
    ]);
    let (_, data) = rendered.split_once("\ndata:\n").unwrap();
    let text = format!(
        "# How Argo CD is to tell the health of Landfall's kinds:\n\
         #   kubectl patch configmap argocd-cm -n argocd --type merge --patch-file deploy/argocd/argocd-cm.yaml\n\
         # Rendered from charts/landfall by `make generate`: change it there.\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\n  namespace: argocd\ndata:\n{data}"
    );
    holds(repository().join("deploy/argocd/argocd-cm.yaml"), &text);
    let object: Value = serde_saphyr::from_str(&text).unwrap();
    let script = fs::read_to_string(chart().join(SCRIPT)).unwrap();
    let expected: BTreeMap<String, String> = kinds()
        .into_iter()
        .map(|kind| (format!("resource.customizations.health.{GROUP}_{kind}"), script.clone()))
        .collect();
    assert_eq!(object["data"], json!(expected));
}
