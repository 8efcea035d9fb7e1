//! What the repositories hold.

use serde_json::{Value, json};

use crate::support::{config_map, namespace_manifest, resource, with};

/// The account that the templates of a repository name.
pub const ACCOUNT: &str = "golden-path";

/// An object with Argo CD's annotation for the order.
pub fn in_wave(object: Value, wave: &str) -> Value {
    let mut object = object;
    object["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] = json!(wave);
    object
}

/// An account in a namespace, with every right that its templates take.
pub fn account(namespace: &str) -> [Value; 3] {
    let rbac = "rbac.authorization.k8s.io";
    let name = format!("{namespace}-{ACCOUNT}");
    let verbs = json!(["get", "list", "watch", "create", "patch", "delete"]);
    let rules = json!([
        {"apiGroups": [""], "resources": ["namespaces", "configmaps", "resourcequotas"], "verbs": verbs},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["list"]},
        {"apiGroups": ["source.toolkit.fluxcd.io"], "resources": ["gitrepositories"], "verbs": verbs},
    ]);
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": namespace}}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
        }),
    ]
}

fn entity(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "catalog.landfall.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

/// A Template with these resources.
pub fn template_of(namespace: &str, name: &str, resources: Value) -> Value {
    let schema = json!({"type": "object", "properties": {"pods": {"type": "integer", "maximum": 10, "default": 2}}});
    let spec = json!({"type": "service", "serviceAccountName": ACCOUNT, "parameters": schema, "resources": resources});
    entity("Template", namespace, name, spec)
}

/// A Template of a namespace, its quota and a `ConfigMap` in it.
pub fn template(namespace: &str, name: &str) -> Value {
    let inside = json!({"metadata": {"name": "settings", "namespace": "${{ resources.ns.metadata.name }}"}});
    let quota =
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "${{ parameters.pods }}"}}});
    let resources = json!([
        resource("ns", namespace_manifest("")),
        resource("quota", with(quota, inside.clone())),
        resource(
            "settings",
            with(config_map("settings", json!({"owner": "${{ owner.name }}"})), inside)
        ),
    ]);
    template_of(namespace, name, resources)
}

pub fn system(namespace: &str, name: &str) -> Value {
    entity("System", namespace, name, json!({"owner": "checkout"}))
}

/// A Component of a template, with so many pods.
pub fn component(namespace: &str, name: &str, template: &str, pods: u32) -> Value {
    let template = json!({"ref": template, "parameters": {"pods": pods}});
    let spec = json!({"type": "service", "lifecycle": "production", "owner": "checkout", "template": template});
    entity("Component", namespace, name, spec)
}
