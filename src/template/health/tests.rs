//! Tables of objects as their controllers write them, and how they are.

use serde_json::json;

use super::*;

mod builtin;
mod composites;
mod engines;

/// The first letter of the variant, a colon, and the text; `H` for a healthy object.
fn told(health: &Health) -> String {
    let letter = match health {
        Health::Healthy => return "H".to_owned(),
        Health::Progressing(_) => 'P',
        Health::Degraded(_) => 'D',
        Health::Unknown(_) => 'U',
        Health::Terminating(_) => 'T',
    };
    format!("{letter}: {}", health.message().unwrap())
}

/// Checks a table for one kind: each row is the rest of the object (`metadata`, `spec`, `status`), and what is told.
fn table(api_version: &str, kind: &str, rows: &[(Value, &str)]) {
    table_with(api_version, kind, false, rows);
}

fn table_with(api_version: &str, kind: &str, declares_conditions: bool, rows: &[(Value, &str)]) {
    assert!(rows.len() >= 3, "{kind}: a kind has three rows at least");
    for (rest, expected) in rows {
        let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "web", "generation": 2}});
        for (name, value) in rest.as_object().unwrap() {
            if name == "metadata" {
                for (key, entry) in value.as_object().unwrap() {
                    object["metadata"][key] = entry.clone();
                }
            } else {
                object[name] = value.clone();
            }
        }
        assert_eq!(told(&health(&object, declares_conditions)), *expected, "{rest}");
    }
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-22T10:00:00Z"})
}

#[test]
fn kinds_that_need_only_exist() {
    for (api_version, kind, namespaced) in [
        ("v1", "ConfigMap", true),
        ("v1", "ServiceAccount", true),
        ("v1", "ResourceQuota", true),
        ("v1", "LimitRange", true),
        ("networking.k8s.io/v1", "NetworkPolicy", true),
        ("rbac.authorization.k8s.io/v1", "Role", true),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", true),
        ("tekton.dev/v1", "Pipeline", true),
        ("tekton.dev/v1", "Task", true),
        ("triggers.tekton.dev/v1beta1", "Trigger", true),
        ("triggers.tekton.dev/v1beta1", "TriggerTemplate", true),
        ("argoproj.io/v1alpha1", "AppProject", true),
    ] {
        table_with(
            api_version,
            kind,
            namespaced,
            &[
                (json!({}), "H"),
                (json!({"status": {"hard": {"pods": "10"}, "used": {"pods": "0"}}}), "H"),
                (
                    json!({"metadata": {"deletionTimestamp": "2026-11-22T10:00:00Z"}}),
                    &format!("T: {kind} web: is being deleted"),
                ),
            ],
        );
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        assert!(!watch_full(group, kind), "{kind}");
    }
    for (group, kind) in [
        ("apps", "Deployment"),
        ("batch", "Job"),
        ("", "Service"),
        ("tekton.dev", "PipelineRun"),
        ("example.com", "Role"),
    ] {
        assert!(watch_full(group, kind), "{kind}");
    }
}

#[test]
fn custom_resources_that_declare_conditions() {
    table_with(
        "external-secrets.io/v1",
        "ExternalSecret",
        true,
        &[
            (
                json!({}),
                "P: ExternalSecret web: no status yet, expected the condition Ready",
            ),
            (
                json!({"status": {"refreshTime": null, "binding": {"name": ""}}}),
                "P: ExternalSecret web: no condition yet, expected the condition Ready",
            ),
            (
                json!({"status": {"conditions": [condition("Ready", "False", "SecretSyncedError", "could not get secret data from provider")]}}),
                "P: ExternalSecret web: not Ready: could not get secret data from provider",
            ),
            (
                json!({"status": {"conditions": [condition("Ready", "True", "SecretSynced", "secret synced")]}}),
                "H",
            ),
        ],
    );
    let mut old = condition(
        "Ready",
        "True",
        "Ready",
        "Certificate is up to date and has not expired",
    );
    old["observedGeneration"] = json!(1);
    let mut new = old.clone();
    new["observedGeneration"] = json!(2);
    table_with(
        "cert-manager.io/v1",
        "Certificate",
        true,
        &[
            (
                json!({"status": {"conditions": [condition("Issuing", "True", "DoesNotExist", "Issuing certificate as Secret does not exist"), condition("Ready", "False", "DoesNotExist", "Issuing certificate as Secret does not exist")]}}),
                "P: Certificate web: not Ready: Issuing certificate as Secret does not exist",
            ),
            (
                json!({"status": {"conditions": [old]}}),
                "P: Certificate web: its controller has not seen the latest change yet",
            ),
            (json!({"status": {"conditions": [new]}}), "H"),
        ],
    );
    table_with(
        "kustomize.toolkit.fluxcd.io/v1",
        "Kustomization",
        true,
        &[
            (
                json!({"status": {"observedGeneration": -1}}),
                "P: Kustomization web: its controller has not seen the latest change yet",
            ),
            (
                json!({"status": {"observedGeneration": 2, "conditions": [condition("Reconciling", "True", "ProgressingWithRetry", "Running health checks"), condition("Ready", "Unknown", "Progressing", "Running health checks")]}}),
                "P: Kustomization web: Running health checks",
            ),
            (
                json!({"status": {"observedGeneration": 2, "conditions": [condition("Stalled", "True", "InvalidCELExpression", "failed to parse"), condition("Ready", "False", "InvalidCELExpression", "failed to parse")]}}),
                "D: Kustomization web: failed to parse",
            ),
            (
                json!({"status": {"observedGeneration": 2, "conditions": [condition("Ready", "True", "ReconciliationSucceeded", "Applied revision: main@sha1:4c0f")]}}),
                "H",
            ),
        ],
    );
}

#[test]
fn custom_resources_that_declare_none() {
    table(
        "example.com/v1",
        "Widget",
        &[
            (json!({"spec": {"size": 3}}), "H"),
            (json!({"status": {}}), "H"),
            (
                json!({"status": {"phase": "Ready"}}),
                "U: Widget web: its status has no condition Ready; say in readyWhen when it counts as ready",
            ),
            (
                json!({"status": {"observedGeneration": 2, "replicas": 3}}),
                "U: Widget web: its status has no condition Ready; say in readyWhen when it counts as ready",
            ),
            (
                json!({"status": {"conditions": [condition("Synced", "True", "ReconcileSuccess", "")]}}),
                "U: Widget web: its status has no condition Ready; say in readyWhen when it counts as ready",
            ),
            (
                json!({"status": {"conditions": "none"}}),
                "U: Widget web: its status has no condition Ready; say in readyWhen when it counts as ready",
            ),
            (
                json!({"status": {"conditions": [condition("Reconciling", "False", "Done", "")]}}),
                "H",
            ),
            (
                json!({"status": {"conditions": [condition("Ready", "Unknown", "", "")]}}),
                "P: Widget web: not Ready: Ready is Unknown",
            ),
            (
                json!({"metadata": {"deletionTimestamp": "2026-11-22T10:00:00Z"}, "status": {"conditions": [condition("Ready", "True", "", "")]}}),
                "T: Widget web: is being deleted",
            ),
        ],
    );
}

#[test]
fn what_a_template_waits_for_is_told_with_what_the_object_says() {
    let awaited = |health: Health| told(&health.awaited("Widget shop/web"));
    let waits = "Widget shop/web: readyWhen does not hold yet";
    assert_eq!(awaited(Health::Healthy), format!("P: {waits}"));
    assert_eq!(awaited(Health::Unknown("nothing".to_owned())), format!("P: {waits}"));
    assert_eq!(
        awaited(Health::Degraded("failed".to_owned())),
        format!("D: {waits}; failed")
    );
    assert_eq!(
        awaited(Health::Progressing("1 of 2".to_owned())),
        format!("P: {waits}; 1 of 2")
    );
}

#[test]
fn texts_are_bounded_and_on_one_line() {
    let long = "no\nroom ".repeat(500);
    let object = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "web"},
        "status": {"conditions": [condition("Ready", "False", "Broken", &long)]}});
    let seen = health(&object, false);
    let text = seen.message().unwrap();
    assert!(
        text.len() <= TEXT_LIMIT && !text.contains('\n') && text.ends_with('…'),
        "{text}"
    );
}

mod anything {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[A-Za-z]{0,9}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let key = prop_oneof![
                Just("conditions"),
                Just("type"),
                Just("status"),
                Just("phase"),
                Just("loadBalancer"),
                Just("ingress"),
                Just("reason"),
                Just("containerStatuses")
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_object_panics(status in json(), spec in json(), metadata in json(), declares in any::<bool>()) {
            for (api_version, kind) in [("apps/v1", "Deployment"), ("v1", "Pod"), ("v1", "Service"), ("argoproj.io/v1alpha1", "Application"), ("x.example/v1", "Widget")] {
                let _ = health(&json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec, "status": status}), declares);
            }
            let _ = health(&status, declares);
        }
    }
}
