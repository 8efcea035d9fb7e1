//! What the engines of a golden path say of their objects decides whether an instance is Ready. Their real definitions
//! are installed; the tests write the status as the engines would.

use kube::api::ListParams;
use serde_json::{Value, json};

use crate::support::{Stage, condition, resource};

/// What one status of an object makes of its instance.
struct Step {
    status: Value,
    /// Reason and message of Ready; none where it is to be Ready.
    told: Option<(&'static str, &'static str)>,
}

fn step(status: Value, reason: &'static str, message: &'static str) -> Step {
    Step {
        status,
        told: Some((reason, message)),
    }
}

fn ready(status: Value) -> Step {
    Step { status, told: None }
}

/// An instance that has this one object `web`, whose status goes through the steps.
async fn goes_through(stage: &Stage<'_>, kind: &str, subresource: bool, manifest: Value, steps: Vec<Step>) {
    let name = kind.split('.').next().unwrap().to_lowercase();
    stage.template(&name, json!([resource("web", manifest)])).await;
    stage.component(&name, json!({"ref": name})).await;
    let place = (kind, stage.home.as_str(), "web");
    stage.appears(place).await;
    for Step { status, told } in steps {
        if subresource {
            stage.set_status(place, status.clone()).await;
        } else {
            stage.edit(place, json!({"status": status})).await;
        }
        let Some((reason, message)) = told else {
            stage.ready("Component", &name).await;
            continue;
        };
        let component = ("Component", stage.home.as_str(), name.as_str());
        let seen = stage
            .becomes(component, |object| {
                let ready = condition(object, "Ready");
                ready.status != "True" && ready.reason == reason && ready.message == message
            })
            .await;
        assert_eq!(condition(&seen, "Provisioned").status, "True", "{kind}: {status}");
        assert_eq!(condition(&seen, "Healthy").message, message);
    }
}

#[tokio::test]
async fn an_application_of_argo_cd() {
    let stage = Stage::new("application").await;
    let source = json!({"repoURL": "https://git.example.com/shop/orders", "path": "deploy", "targetRevision": "main"});
    let destination = json!({"server": "https://kubernetes.default.svc", "namespace": "shop"});
    let manifest = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web"},
        "spec": {"project": "default", "source": source, "destination": destination, "syncPolicy": {"automated": {}}},
    });
    let sync = |status: &str| json!({"status": status, "comparedTo": {"source": source, "destination": destination}});
    let operation = |phase: &str, message: &str, resources: Value| {
        json!({
            "phase": phase, "message": message, "startedAt": "2026-01-01T00:00:00Z", "operation": {},
            "syncResult": {"resources": resources, "revision": "4f2c1e9"},
        })
    };
    let refused = json!([{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "web",
        "status": "SyncFailed", "message": "deployments.apps \"web\" is forbidden: exceeded quota: limits"}]);
    let steps = vec![
        step(
            json!({"health": {"status": "Missing"}, "sync": sync("OutOfSync")}),
            "Progressing",
            "Application web: is Missing, expected Healthy",
        ),
        step(
            json!({"operationState": operation("Failed", "one or more objects failed to apply", refused)}),
            "Unhealthy",
            "Application web: its sync failed: Deployment shop/web: deployments.apps \"web\" is forbidden: exceeded quota: limits",
        ),
        step(
            json!({"health": {"status": "Degraded"}, "sync": sync("Synced"), "operationState": operation("Succeeded", "", json!([]))}),
            "Unhealthy",
            "Application web: is Degraded, expected Healthy",
        ),
        ready(json!({"health": {"status": "Healthy"}})),
        step(
            json!({"conditions": [{"type": "ComparisonError", "message": "authentication required"}]}),
            "Unhealthy",
            "Application web: ComparisonError: authentication required",
        ),
        ready(json!({"conditions": []})),
    ];
    goes_through(&stage, "Application", false, manifest, steps).await;
}

#[tokio::test]
async fn an_event_listener_of_tekton() {
    let stage = Stage::new("listener").await;
    let manifest = json!({
        "apiVersion": "triggers.tekton.dev/v1beta1", "kind": "EventListener", "metadata": {"name": "web"},
        "spec": {"serviceAccountName": "default", "triggers": []},
    });
    let told = |kind: &str, status: &str, message: &str| json!({"type": kind, "status": status, "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let behind = "Condition Available has status: False with message: Deployment does not have minimum availability.";
    let steps = vec![
        step(
            json!({"observedGeneration": 1, "conditions": [told("Ready", "False", behind)]}),
            "Progressing",
            "EventListener web: not Ready: Condition Available has status: False with message: Deployment does not have minimum availability.",
        ),
        ready(json!({"conditions": [told("Ready", "True", "EventListener is ready")]})),
    ];
    goes_through(&stage, "EventListener", true, manifest, steps).await;
}

/// A kind as Crossplane and kro serve them: conditions declared in its schema.
#[tokio::test]
async fn a_kind_that_declares_conditions() {
    let stage = Stage::new("declares").await;
    let group = format!("{}.example.com", stage.home);
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let conditions = json!({"type": "array", "items": open});
    let status = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"conditions": conditions}});
    stage
        .put(json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("buckets.{group}")},
            "spec": {"group": group, "scope": "Namespaced", "names": {"kind": "Bucket", "plural": "buckets"}, "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": open, "status": status}}},
            }]},
        }))
        .await;
    let kind = format!("Bucket.{group}");
    let served = stage.api(&kind, &stage.home);
    crate::support::eventually("the kind to be served", async || {
        served.list(&ListParams::default()).await
    })
    .await;
    let manifest = json!({"apiVersion": format!("{group}/v1"), "kind": "Bucket", "metadata": {"name": "web"}, "spec": {"region": "eu"}});
    let told = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "reason": reason, "message": message});
    let synced = told("Synced", "True", "ReconcileSuccess", "");
    let steps = vec![
        step(
            json!({"observed": {}}),
            "Progressing",
            "Bucket web: no condition yet, expected the condition Ready",
        ),
        step(
            json!({"conditions": [told("Synced", "False", "ReconcileError", "create failed: AccessDenied"), told("Ready", "False", "Creating", "")]}),
            "Unhealthy",
            "Bucket web: not Synced: create failed: AccessDenied",
        ),
        step(
            json!({"conditions": [synced, told("Ready", "False", "Creating", "Unready resources: policy")]}),
            "Progressing",
            "Bucket web: not Ready: Unready resources: policy",
        ),
        ready(json!({"conditions": [synced, told("Ready", "True", "Available", "")]})),
    ];
    goes_through(&stage, &kind, true, manifest, steps).await;
}
