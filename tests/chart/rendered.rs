//! What the chart renders.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::helm::{ALL, RELEASE, chart, find, helm, helm_4, place, rendered, said};
use crate::support::repository;

#[test]
fn helm_finds_nothing_to_complain_of() {
    for more in [&[][..], &ALL[..]] {
        let chart = chart();
        let mut arguments = vec!["lint", "--strict", chart.to_str().unwrap()];
        arguments.extend(more);
        let output = helm(helm_4(), None, &arguments);
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        let found: Vec<&str> = said
            .lines()
            .filter(|line| ["[WARNING]", "[ERROR]"].iter().any(|level| line.contains(level)))
            .collect();
        assert!(found.is_empty(), "{said}");
    }
}

#[test]
fn the_definitions_are_rendered_as_they_are() {
    let mut number = 0;
    for object in rendered(&[])
        .iter()
        .filter(|object| object["kind"] == "CustomResourceDefinition")
    {
        let name = object["metadata"]["name"].as_str().unwrap();
        let text = fs::read_to_string(repository().join(format!("crds/{name}.yaml"))).unwrap();
        let ours: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(object["spec"], ours["spec"], "{name}");
        number += 1;
    }
    assert_eq!(number, 10);
}

/// Everything says whose it is, and lies in the release's namespace unless it says why not.
#[test]
fn every_object_is_labelled_and_in_its_place() {
    let cluster_wide = [
        "CustomResourceDefinition",
        "ClusterRole",
        "ClusterRoleBinding",
        "Namespace",
        "ValidatingWebhookConfiguration",
    ];
    for object in rendered(&ALL) {
        let place = place(&object);
        let labels = &object["metadata"]["labels"];
        for (label, value) in [
            ("app.kubernetes.io/name", "landfall"),
            ("app.kubernetes.io/instance", RELEASE),
            ("app.kubernetes.io/managed-by", "Helm"),
            ("app.kubernetes.io/part-of", "landfall"),
        ] {
            assert_eq!(labels[label], value, "{place}");
        }
        let namespace = object["metadata"]["namespace"].as_str();
        let expected: &[Option<&str>] = if cluster_wide.contains(&object["kind"].as_str().unwrap()) {
            &[None]
        } else {
            &[Some("landfall-system"), Some("platform")]
        };
        assert!(expected.contains(&namespace), "{place}");
    }
}

#[test]
fn every_pod_is_as_the_restricted_standard_asks() {
    let objects = rendered(&ALL);
    let pods: Vec<&Value> = objects
        .iter()
        .filter_map(|object| match object["kind"].as_str()? {
            "Deployment" => object.pointer("/spec/template/spec"),
            "Pod" => object.get("spec"),
            _ => None,
        })
        .collect();
    assert_eq!(pods.len(), 3);
    for pod in pods {
        let context = &pod["securityContext"];
        assert_eq!(context["runAsNonRoot"], true);
        assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
        for container in pod["containers"].as_array().unwrap() {
            assert_eq!(
                container["securityContext"],
                json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
            );
            assert!(container["resources"]["limits"]["memory"].is_string());
        }
        assert!(pod.get("volumes").is_none(), "nothing is mounted");
    }
}

/// A rule that nobody explains is one that nobody dares to take away.
#[test]
fn every_rule_has_a_comment() {
    let mut rules = 0;
    for name in [
        "rbac",
        "accounts",
        "roles",
        "goldenpath",
        "webhook/rbac",
        "tests/catalog",
    ] {
        let text = fs::read_to_string(chart().join(format!("templates/{name}.yaml"))).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.starts_with("- apiGroups:"))
        {
            let before = lines[number - 1];
            assert!(before.starts_with("# "), "{name}.yaml:{}: {line}", number + 1);
            rules += 1;
        }
    }
    assert!(rules >= 20, "{rules}");
}

#[test]
fn no_rule_of_anybodys_has_a_wildcard_or_grants_more_than_itself() {
    for object in rendered(&ALL) {
        for rule in object["rules"].as_array().into_iter().flatten() {
            let place = place(&object);
            let words = |field: &str| -> BTreeSet<&str> {
                rule[field]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect()
            };
            let verbs = words("verbs");
            let all = ["apiGroups", "resources", "verbs"].map(words);
            assert!(!all.iter().any(|words| words.contains("*")), "{place}: {rule}");
            assert!(!verbs.contains("escalate"), "{place}: {rule}");
            if verbs.contains("bind") || verbs.contains("impersonate") {
                assert!(!words("resourceNames").is_empty(), "{place}: {rule}");
            }
            if verbs.contains("impersonate") {
                assert_eq!(object["kind"], "Role", "{place}: {rule}");
            }
            // One Secret by its name is the webhook's certificate.
            if words("resources").contains("secrets") {
                assert_eq!(object["kind"], "Role", "{place}: {rule}");
                assert_eq!(
                    words("resourceNames"),
                    BTreeSet::from(["landfall-webhook"]),
                    "{place}: {rule}"
                );
            }
        }
    }
}

/// The alerts are those of docs/operations.md, with the same expressions and times.
#[test]
fn the_alerts_are_those_that_are_documented() {
    let objects = rendered(&[
        "--set",
        "metrics.prometheusRule.enabled=true,metrics.prometheusRule.alertLabels.team=x",
    ]);
    let rule = find(&objects, "PrometheusRule", RELEASE).unwrap();
    let alerts = rule.pointer("/spec/groups/0/rules").unwrap().as_array().unwrap();
    let document = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let rows: Vec<&str> = document
        .lines()
        .filter(|line| line.contains("](#") && line.starts_with("| "))
        .collect();
    assert_eq!(rows.len(), alerts.len());
    for (row, alert) in rows.iter().zip(alerts) {
        let expression = alert["expr"].as_str().unwrap();
        assert!(row.contains(&format!("`{expression}`")), "{row}\n{alert}");
        let part = alert["annotations"]["runbook"]
            .as_str()
            .unwrap()
            .strip_prefix("docs/operations.md")
            .unwrap();
        assert!(row.contains(&format!("({part})")), "{row}\n{alert}");
        let time = alert["for"]
            .as_str()
            .map(|time| format!(" for {} minutes", time.trim_end_matches('m')));
        assert_eq!(row.contains(" for "), time.is_some(), "{row}\n{alert}");
        assert!(row.contains(&time.unwrap_or_default()), "{row}\n{alert}");
        assert_eq!(alert["labels"]["team"], "x");
        assert!(alert["labels"]["severity"].is_string());
    }
}

#[test]
fn its_version_is_the_programs() {
    let text = fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let about: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(about["appVersion"], env!("CARGO_PKG_VERSION"));
}
