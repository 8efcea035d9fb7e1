//! The cause lies in an object: `landfall why` follows it down to where it is.

use serde_json::json;

use super::{OPEN, SETTINGS, component, seeded, status, template, why};
use crate::support::{ALL, Case, eventually};

#[tokio::test]
async fn a_pod_cannot_pull_its_image() {
    let case = Case::new().await;
    case.grant(&json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ALL}]))
        .await;
    let deployment = "{id: web, manifest: {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 1, selector: {matchLabels: {app: web}}, \
         template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: 'example.com/never:1'}]}}}}}";
    case.put(&template(OPEN, &[deployment])).await;
    case.put(&component("")).await;
    // No kubelet runs here, so that the test says what one would.
    let pods = case.api("v1", "Pod", &case.team);
    let pod = eventually("the pod", async || {
        let list = pods
            .list(&kube::api::ListParams::default().labels("app=web"))
            .await
            .unwrap();
        list.items
            .into_iter()
            .next()
            .and_then(|pod| pod.metadata.name)
            .ok_or("none yet")
    })
    .await;
    let waiting =
        json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"example.com/never:1\""}});
    let container = json!({"name": "app", "image": "example.com/never:1", "imageID": "", "ready": false, "restartCount": 0, "state": waiting});
    status(
        &case,
        "v1",
        "Pod",
        &pod,
        json!({"phase": "Pending", "containerStatuses": [container]}),
    )
    .await;
    let said = why(&case, "Progressing", "container app waits: ImagePullBackOff").await;
    said.names(&format!("Pod shop/{}", case.masked(&pod)), "correct the image's name");
    assert!(
        said.tree.contains("Deployment shop/web") && said.tree.contains("ReplicaSet shop/web-"),
        "{}",
        said.tree
    );
    assert!(said.tree.contains("Back-off pulling image"), "{}", said.tree);
}

#[tokio::test]
async fn a_run_that_the_instance_needs_has_failed() {
    let case = Case::new().await;
    case.grant(&json!([{"apiGroups": ["tekton.dev"], "resources": ["pipelineruns"], "verbs": ALL}]))
        .await;
    let spec = "{pipelineSpec: {tasks: [{name: test, taskSpec: {steps: [{name: go, image: 'example.com/go:1'}]}}]}}";
    let run = format!(
        "{{id: check, mode: Own, manifest: {{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {{name: check}}, spec: {spec}}}}}"
    );
    case.put(&template(OPEN, &[&run])).await;
    case.put(&component("")).await;
    let failed = |message: &str| json!({"podName": "", "conditions": [{"type": "Succeeded", "status": "False", "reason": "Failed", "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    status(
        &case,
        "tekton.dev/v1",
        "PipelineRun",
        "check",
        failed("Tasks Completed: 1 (Failed: 1)"),
    )
    .await;
    let owner = case
        .api("tekton.dev/v1", "PipelineRun", &case.team)
        .get("check")
        .await
        .unwrap();
    case.put_object(&json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {"name": "check-test", "namespace": case.team, "ownerReferences": [
            {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": "check", "uid": owner.metadata.uid, "controller": true}]},
        "spec": {"taskRef": {"name": "test"}},
    }))
    .await;
    status(
        &case,
        "tekton.dev/v1",
        "TaskRun",
        "check-test",
        failed("step go exited with code 1"),
    )
    .await;
    let said = why(&case, "Unhealthy", "TaskRun shop/check-test").await;
    said.names(
        "step go exited with code 1",
        "kubectl logs -n shop -l tekton.dev/taskRun=check-test",
    );
}

#[tokio::test]
async fn an_application_is_degraded() {
    let case = Case::new().await;
    case.grant(&json!([{"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": ALL}]))
        .await;
    let application = "{id: app, manifest: {apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: web}, spec: {project: default, destination: {namespace: x}, source: {repoURL: 'https://example.com/r'}}}}";
    case.put(&template(OPEN, &[application])).await;
    case.put(&component("")).await;
    let api = case.api("argoproj.io/v1alpha1", "Application", &case.team);
    let degraded = json!({"status": {
        "health": {"status": "Degraded"}, "sync": {"status": "OutOfSync"},
        "operationState": {"phase": "Failed", "message": "one or more objects failed to apply: admission denied", "startedAt": "2026-01-01T00:00:00Z",
            "operation": {}},
    }});
    eventually("the application to be there for its status", async || {
        let patch = kube::api::Patch::Merge(&degraded);
        let patched = api.patch("web", &kube::api::PatchParams::default(), &patch).await;
        patched.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
    let said = why(&case, "Unhealthy", "one or more objects failed to apply").await;
    said.names("its last sync", "kubectl describe -n shop application.argoproj.io web");
}

#[tokio::test]
async fn a_value_is_awaited() {
    let case = Case::new().await;
    case.grant(&json!([{"apiGroups": [""], "resources": ["services", "configmaps"], "verbs": ALL}]))
        .await;
    let service = "{id: entry, readyWhen: '${{ true }}', manifest: {apiVersion: v1, kind: Service, metadata: {name: entry}, spec: {type: LoadBalancer, ports: [{port: 80}]}}}";
    let settings = "{id: settings, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {HOST: '${{ resources.entry.status.loadBalancer.ingress[0].ip }}'}}}";
    case.put(&template(OPEN, &[service, settings])).await;
    case.put(&component("")).await;
    let said = why(&case, "WaitingForValue", "Service shop/entry").await;
    said.names(
        "its load balancer has no address yet",
        "kubectl describe -n shop service entry",
    );
    status(
        &case,
        "v1",
        "Service",
        "entry",
        json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}),
    )
    .await;
    case.ready("Component", "orders").await;
}

#[tokio::test]
async fn its_deletion_waits_for_anothers_finalizer() {
    let case = seeded(&template(OPEN, &[SETTINGS]), "").await;
    case.ready("Component", "orders").await;
    let held = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    let settings = case.api("v1", "ConfigMap", &case.team);
    let patch = kube::api::Patch::Merge(&held);
    settings
        .patch("settings", &kube::api::PatchParams::default(), &patch)
        .await
        .unwrap();
    case.own("Component")
        .delete("orders", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    let said = why(&case, "Deleting", "held by the finalizer example.com/hold").await;
    said.names(
        "ConfigMap shop/settings",
        "take off what holds it: kubectl get -n shop configmap settings",
    );
    let free = kube::api::Patch::Merge(json!({"metadata": {"finalizers": null}}));
    settings
        .patch("settings", &kube::api::PatchParams::default(), &free)
        .await
        .unwrap();
}

#[tokio::test]
async fn its_deletion_is_not_confirmed() {
    let case = seeded(&template(OPEN, &[SETTINGS]), ", deletionPolicy: Confirm").await;
    case.ready("Component", "orders").await;
    case.own("Component")
        .delete("orders", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    let said = why(
        &case,
        "DeletionNotConfirmed",
        "ConfigMap shop/settings is to be deleted",
    )
    .await;
    said.names("component:shop/orders: DeletionNotConfirmed", "if it may go, confirm it: kubectl annotate -n shop --overwrite components.catalog.landfall.dev orders landfall.dev/confirm-deletion=");
    // The remedy is a command that a person copies.
    let command = said
        .remedy
        .split_once("kubectl ")
        .unwrap()
        .1
        .replace(" shop ", &format!(" {} ", case.team));
    let words: Vec<&str> = command.split(' ').collect();
    assert!(case.cluster.kubectl(&words).status.success(), "{command}");
    eventually("the component to be gone", async || {
        let left = case.own("Component").get_opt("orders").await.unwrap();
        left.is_none().then_some(()).ok_or("still there")
    })
    .await;
}
