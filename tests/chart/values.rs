//! What the chart refuses, and how it says so.

use std::fs;

use serde_json::{Map, Value, json};

use crate::documented::{Documented, defaults, documented};
use crate::helm::{rendered, try_template};

/// A value of each type of JSON, with what Helm calls it. A null takes a value out.
fn one_of_each() -> [(&'static str, Value); 6] {
    [
        ("string", json!("?")),
        ("number", json!(0.5)),
        ("boolean", json!(true)),
        ("array", json!([])),
        ("object", json!({})),
        ("null", Value::Null),
    ]
}

/// What Helm calls a value's type, by its default; that of an integer is none of [`one_of_each`], where the number is half.
fn type_of(default: &Value) -> &'static str {
    match default {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The values that hold `value` at each of these paths.
fn nested(paths: &[Vec<String>], value: &Value) -> Value {
    let mut whole = json!({});
    for path in paths {
        let (last, sections) = path.split_last().unwrap();
        let mut place = &mut whole;
        for section in sections {
            place = place
                .as_object_mut()
                .unwrap()
                .entry(section.clone())
                .or_insert_with(|| Value::Object(Map::new()));
        }
        place[last.as_str()] = value.clone();
    }
    whole
}

/// A place in the values, as Helm names it: `/controller/replicas`, and nothing for the whole.
fn pointer(path: &[String]) -> String {
    path.iter().flat_map(|part| ["/", part]).collect()
}

/// Renders with values of a file, and gives the complaint.
fn complaint(name: &str, values: &Value) -> String {
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("values-{name}.json"));
    fs::write(&place, values.to_string()).unwrap();
    try_template(&["--values", place.to_str().unwrap()]).expect_err("values that are to be refused")
}

#[test]
fn a_value_of_another_type_is_refused_by_name() {
    let all = documented();
    assert!(all.len() > 50, "{} values", all.len());
    for (name, wrong) in one_of_each() {
        let paths: Vec<Vec<String>> = all
            .iter()
            .filter(|one| type_of(&one.default) != name)
            .map(|one| one.path.clone())
            .collect();
        let said = complaint(name, &nested(&paths, &wrong));
        for path in paths {
            let (last, sections) = path.split_last().unwrap();
            let section = format!("at '{}'", pointer(sections));
            let told = if name == "null" {
                said.lines().any(|line| {
                    line.contains(&section) && line.contains("missing") && line.contains(&format!("'{last}'"))
                })
            } else {
                said.contains(&format!("at '{}': got {name}, want ", pointer(&path)))
            };
            assert!(told, "{} as {name}:\n{said}", path.join("."));
        }
    }
}

#[test]
fn an_unknown_key_is_refused_wherever_it_is() {
    fn sections(value: &Value, path: &[String], known: &[Documented], found: &mut Vec<Vec<String>>) {
        let Some(values) = value.as_object() else { return };
        if known.iter().any(|one| one.path == path) {
            return;
        }
        found.push([path, &["surprise".to_owned()]].concat());
        for (key, value) in values {
            sections(value, &[path, std::slice::from_ref(key)].concat(), known, found);
        }
    }
    let mut paths = Vec::new();
    sections(&defaults(), &[], &documented(), &mut paths);
    assert!(paths.len() > 10, "{paths:?}");
    let said = complaint("unknown", &nested(&paths, &json!(1)));
    for path in &paths {
        let section = pointer(&path[..path.len() - 1]);
        let place = format!("at '{section}': additional properties 'surprise' not allowed");
        assert!(said.contains(&place), "{place}\n{said}");
    }
}

/// What is set, and what is said of it.
const CANNOT_BE_MEANT: &[(&str, &str)] = &[
    (
        "controller.replicas=-1",
        "at '/controller/replicas': minimum: got -1, want 0",
    ),
    (
        "controller.port=80",
        "at '/controller/port': minimum: got 80, want 1,024",
    ),
    (
        "image.pullPolicy=Sometimes",
        "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
    ),
    (
        "log.format=yaml",
        "at '/log/format': value must be one of 'text', 'json'",
    ),
    (
        "reservedNamespaces={*}",
        "at '/reservedNamespaces/0': '*' does not match pattern",
    ),
    (
        "clusterScopedKinds={namespaces}",
        "at '/clusterScopedKinds/0': 'namespaces' does not match pattern",
    ),
    ("accounts[0].name=x", "at '/accounts/0': missing property 'namespace'"),
    (
        "goldenPath.bindableClusterRoles={cluster-admin}",
        "at '/goldenPath/bindableClusterRoles/0': 'not' failed",
    ),
    (
        "goldenPath.bindableClusterRoles={*}",
        "at '/goldenPath/bindableClusterRoles/0': '*' does not match pattern",
    ),
    (
        "goldenPath.extraRules[0].apiGroups={},goldenPath.extraRules[0].resources={x},goldenPath.extraRules[0].verbs={escalate}",
        "at '/goldenPath/extraRules/0/verbs/0': value must be one of 'get', ",
    ),
    (
        "goldenPath.extraRules[0].apiGroups={x},goldenPath.extraRules[0].resources={*},goldenPath.extraRules[0].verbs={get}",
        "at '/goldenPath/extraRules/0/resources/0': '*' does not match pattern",
    ),
    (
        "networkPolicy.apiserverCidrs={10.0.0.1}",
        "at '/networkPolicy/apiserverCidrs/0': '10.0.0.1' does not match pattern",
    ),
    (
        "networkPolicy.apiserverCidrs={10.0.0.256/32}",
        "at '/networkPolicy/apiserverCidrs/0': '10.0.0.256/32' does not match pattern",
    ),
    (
        "networkPolicy.apiserverCidrs={10.0.0.1/33}",
        "at '/networkPolicy/apiserverCidrs/0': '10.0.0.1/33' does not match pattern",
    ),
    (
        "log.filter=landfall=loud",
        "at '/log/filter': 'landfall=loud' does not match pattern",
    ),
    (
        "commonLabels.team=a b",
        "at '/commonLabels/team': 'a b' does not match pattern",
    ),
    (
        "commonLabels.app\\.kubernetes\\.io/name=other",
        "invalid propertyName 'app.kubernetes.io/name'",
    ),
    (
        "controller.podLabels.app\\.kubernetes\\.io/component=other",
        "invalid propertyName 'app.kubernetes.io/component'",
    ),
    (
        "goldenPath.namespace=kube-system",
        "at '/goldenPath/namespace': 'not' failed",
    ),
    (
        "leaderElection.leaseDurationSeconds=20",
        "leaderElection.renewDeadlineSeconds: 20 is not less than leaderElection.leaseDurationSeconds, 20",
    ),
    (
        "leaderElection.retryPeriodSeconds=11",
        "leaderElection.retryPeriodSeconds: 11 is more than half of leaderElection.renewDeadlineSeconds, 20",
    ),
    (
        "webhook.deletionGuard=warn",
        "at '/webhook/deletionGuard': value must be one of 'Allow', 'Warn', 'Deny'",
    ),
    (
        "webhook.timeoutSeconds=31",
        "at '/webhook/timeoutSeconds': maximum: got 31, want 30",
    ),
    (
        "leaderElection.enabled=false",
        "controller.replicas: 2 operators without leader election would undo each other's work",
    ),
    (
        "serviceAccount.create=false",
        "serviceAccount.name: with serviceAccount.create=false, name the account that is there",
    ),
];

#[test]
fn a_value_that_cannot_be_meant_is_refused() {
    for (value, expected) in CANNOT_BE_MEANT {
        let said = try_template(&["--set", value]).expect_err(value);
        assert!(said.contains(expected), "{value}: expected {expected:?} in\n{said}");
    }
}

/// What YAML would read as something else is quoted wherever it goes.
#[test]
fn values_arrive_as_they_were_written() {
    for filter in [
        "info,landfall=debug",
        "warn,landfall[reconcile{entity=a}]=trace,kube=off",
    ] {
        let filter = json!(filter).to_string();
        let rendered = rendered(&[
            "--namespace=456",
            "--set-json",
            &format!("log.filter={filter}"),
            "--set-string",
            "fullnameOverride=123",
        ]);
        let deployment = rendered.iter().find(|one| one["kind"] == "Deployment").unwrap();
        assert_eq!(deployment["metadata"]["name"], "123");
        let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
        let expected = json!(format!("--log={}", filter.trim_matches('"')));
        assert!(arguments.as_array().unwrap().contains(&expected), "{arguments}");
        for one in &rendered {
            assert!(one["metadata"]["name"].is_string(), "{one}");
            let namespace = &one["metadata"]["namespace"];
            assert!(namespace.is_string() || namespace.is_null(), "{one}");
        }
    }
}

#[test]
fn a_cluster_that_is_too_old_is_refused() {
    let said = try_template(&["--kube-version", "1.32.9"]).expect_err("Kubernetes 1.32");
    assert!(said.contains(">=1.33.0-0"), "{said}");
}
