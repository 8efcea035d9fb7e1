//! A test's own corner of the cluster: a namespace, the account as which its templates write, and short
//! words for what tests do with objects. Objects are plain JSON, as users write them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::audit::Mark;
use super::cluster::{Cluster, cluster};
use super::entry::{Entry, counted};
use super::operator::operator;
use super::patience::{eventually, eventually_within, patience};

/// The user agent of the operator's requests begins so.
pub const OPERATOR_AGENT: &str = "landfall/";
/// The account that [`Stage::template`] names.
pub const ACCOUNT: &str = "maker";

/// Where an object is: its kind (`Kind.group` for kinds that a test defines), namespace (empty where it has
/// none) and name.
pub type Place<'p> = (&'p str, &'p str, &'p str);

/// A namespace with an account that may make everything.
pub struct Stage<'c> {
    pub cluster: &'c Cluster,
    pub client: Client,
    /// The namespace of the test's templates and instances. What templates make elsewhere begins with its name.
    pub home: String,
}

impl Stage<'static> {
    /// A stage on the shared cluster, with the shared operator.
    pub async fn new(name: &str) -> Self {
        operator().await;
        Self::on(cluster().await, name).await
    }
}

impl<'c> Stage<'c> {
    /// A stage on a cluster; whether an operator runs there is the caller's affair.
    pub async fn on(cluster: &'c Cluster, name: &str) -> Self {
        let stage = Self {
            cluster,
            client: cluster.client().await,
            home: cluster.namespace(name).await,
        };
        let verbs = ["get", "list", "watch", "create", "patch", "delete"];
        stage
            .account(
                ACCOUNT,
                &json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": verbs}]),
            )
            .await;
        stage
    }

    /// A stage in another namespace, that has no account yet.
    pub fn beside(&self, home: &str) -> Self {
        Self {
            cluster: self.cluster,
            client: self.client.clone(),
            home: home.to_owned(),
        }
    }

    /// A service account in the stage's namespace that has `rules` in the whole cluster.
    pub async fn account(&self, name: &str, rules: &Value) {
        let role = format!("{}-{name}", self.home);
        let rbac = "rbac.authorization.k8s.io/v1";
        self.put(
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": self.home}}),
        )
        .await;
        self.put(json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules}))
            .await;
        self.put(json!({
            "apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.home}],
        }))
        .await;
        // The apiserver learns of its own rules by a watch.
        let user = format!("system:serviceaccount:{}:{name}", self.home);
        let groups = ["system:serviceaccounts", "system:authenticated"];
        for rule in rules.as_array().unwrap() {
            let attributes = json!({"group": rule["apiGroups"][0], "resource": rule["resources"][0], "verb": rule["verbs"].as_array().and_then(|verbs| verbs.last())});
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
                "spec": {"user": user, "groups": groups, "resourceAttributes": attributes},
            });
            eventually("the account's rights to be in force", async || {
                let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
                    .header("content-type", "application/json")
                    .body(review.to_string().into_bytes())
                    .unwrap();
                let answer: Value = self.client.request(request).await.unwrap();
                (answer["status"]["allowed"] == true)
                    .then_some(())
                    .ok_or(answer.to_string())
            })
            .await;
        }
    }

    /// Applies a Template with these resources and waits until it has compiled. `more` goes to its spec.
    pub async fn template_with(&self, name: &str, resources: Value, more: Value) -> Value {
        self.put(self.template_object(name, resources, more)).await;
        self.ready("Template", name).await
    }

    /// Applies a Template with these resources and waits until it has compiled.
    pub async fn template(&self, name: &str, resources: Value) -> Value {
        self.template_with(name, resources, json!({})).await
    }

    /// A Template as [`Stage::template_with`] applies it.
    pub fn template_object(&self, name: &str, resources: Value, more: Value) -> Value {
        let spec = json!({"type": "service", "serviceAccountName": ACCOUNT, "resources": resources});
        self.catalog("Template", name, with(spec, more))
    }

    /// Applies a Component that is provisioned from `template`, which is given as `spec.template`.
    pub async fn component(&self, name: &str, template: Value) -> Value {
        self.component_with(name, json!({"template": template})).await
    }

    /// Applies a Component. `more` goes to its spec.
    pub async fn component_with(&self, name: &str, more: Value) -> Value {
        let spec = json!({"type": "service", "lifecycle": "production", "owner": "group:shop/checkout"});
        self.put(self.catalog("Component", name, with(spec, more))).await
    }

    /// Applies a System. `more` goes to its spec.
    pub async fn system(&self, name: &str, more: Value) -> Value {
        self.put(self.catalog("System", name, with(json!({"owner": "group:shop/checkout"}), more)))
            .await
    }

    /// An entity in the stage's namespace.
    pub fn catalog(&self, kind: &str, name: &str, spec: Value) -> Value {
        json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": self.home}, "spec": spec,
        })
    }

    /// Defines a kind `Widget` of a group of the test's own, and gives it as [`Place`] wants it. Its status
    /// has `host` and `phase`.
    pub async fn define_widget(&self) -> String {
        self.put(self.widget_definition()).await;
        self.widget_served().await
    }

    /// Waits until the kind of [`Stage::widget_definition`], which the test has applied, is served.
    pub async fn widget_served(&self) -> String {
        let kind = self.widget();
        let api = self.api(&kind, &self.home);
        eventually("the kind to be served", async || api.list(&ListParams::default()).await).await;
        kind
    }

    /// The kind that [`Stage::define_widget`] defines.
    pub fn widget(&self) -> String {
        format!("Widget.{}.example.com", self.home)
    }

    /// A Widget as a template's manifest.
    pub fn widget_manifest(&self, name: &str) -> Value {
        json!({
            "apiVersion": format!("{}.example.com/v1", self.home), "kind": "Widget",
            "metadata": {"name": name}, "spec": {"size": 1},
        })
    }

    /// The definition of the kind.
    pub fn widget_definition(&self) -> Value {
        let text = json!({"type": "string"});
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
            "status": {"type": "object", "properties": {"host": text, "phase": text}},
        }});
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("widgets.{}.example.com", self.home)},
            "spec": {
                "group": format!("{}.example.com", self.home), "scope": "Namespaced",
                "names": {"kind": "Widget", "plural": "widgets"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema},
                }],
            },
        })
    }

    /// The API of a kind, in a namespace.
    pub fn api(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let resource = resource_of(kind);
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        }
    }

    /// Applies an object as the tests' own field manager.
    pub async fn put(&self, object: Value) -> Value {
        self.apply_as("tests", object).await
    }

    /// Applies an object as `manager`, by force.
    pub async fn apply_as(&self, manager: &str, object: Value) -> Value {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let kind = match text("/apiVersion").split_once('/') {
            Some((group, _)) if group.ends_with(".example.com") => format!("{}.{group}", text("/kind")),
            _ => text("/kind").to_owned(),
        };
        let parameters = PatchParams::apply(manager).force();
        let applied = self
            .api(&kind, text("/metadata/namespace"))
            .patch(text("/metadata/name"), &parameters, &Patch::Apply(&object))
            .await
            .unwrap_or_else(|error| panic!("{error}: {object}"));
        serde_json::to_value(applied).unwrap()
    }

    /// The object, if it exists.
    pub async fn get(&self, (kind, namespace, name): Place<'_>) -> Option<Value> {
        let found = self.api(kind, namespace).get_opt(name).await.unwrap();
        found.map(|object| serde_json::to_value(object).unwrap())
    }

    /// Waits until the object exists and is not being deleted.
    #[track_caller]
    pub fn appears<'a>(&'a self, place: Place<'a>) -> impl Future<Output = Value> + use<'a, 'c> {
        self.becomes(place, |object| object["metadata"]["deletionTimestamp"].is_null())
    }

    /// Waits until `holds` for the object.
    #[track_caller]
    pub fn becomes<'a, Holds: Fn(&Value) -> bool>(
        &'a self,
        place: Place<'a>,
        holds: Holds,
    ) -> impl Future<Output = Value> + use<'a, 'c, Holds> {
        let caller = std::panic::Location::caller();
        async move {
            let what = format!("{caller}: {place:?} to be as expected");
            eventually_within(patience() * 3, &what, async || match self.get(place).await {
                Some(object) if holds(&object) => Ok(object),
                Some(object) => Err(seen(object)),
                None => Err("it does not exist".to_owned()),
            })
            .await
        }
    }

    /// Waits until `holds` for one of the objects of a kind in a namespace.
    pub async fn becomes_listed(&self, kind: &str, namespace: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually("an object as expected to be listed", async || {
            let listed = self.api(kind, namespace).list(&ListParams::default()).await.unwrap();
            let listed: Vec<Value> = listed
                .items
                .into_iter()
                .map(|object| serde_json::to_value(object).unwrap())
                .collect();
            let found = listed.iter().find(|object| holds(object)).cloned();
            found.ok_or_else(|| format!("{:#}", Value::from(listed)))
        })
        .await
    }

    /// Waits until the object is gone. A namespace takes Kubernetes five seconds and more.
    #[track_caller]
    pub fn vanishes<'a>(&'a self, place: Place<'a>) -> impl Future<Output = ()> + use<'a, 'c> {
        let caller = std::panic::Location::caller();
        async move {
            let what = format!("{caller}: {place:?} to be gone");
            eventually_within(patience() + Duration::from_secs(30), &what, async || {
                match self.get(place).await {
                    Some(object) => Err(seen(object)),
                    None => Ok(()),
                }
            })
            .await;
        }
    }

    /// Changes an object as someone with `kubectl edit` would: an update, not an apply.
    pub async fn edit(&self, (kind, namespace, name): Place<'_>, change: Value) -> Value {
        let parameters = PatchParams {
            field_manager: Some("someone".to_owned()),
            ..PatchParams::default()
        };
        let changed = self
            .api(kind, namespace)
            .patch(name, &parameters, &Patch::Merge(&change))
            .await
            .unwrap_or_else(|error| panic!("{error}: {kind} {namespace}/{name}"));
        serde_json::to_value(changed).unwrap()
    }

    /// Sets an object's status as its controller would.
    pub async fn set_status(&self, (kind, namespace, name): Place<'_>, status: Value) {
        let change = json!({"status": status});
        self.api(kind, namespace)
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&change))
            .await
            .unwrap_or_else(|error| panic!("{error}: {kind} {namespace}/{name}"));
    }

    /// Deletes an object.
    pub async fn delete(&self, (kind, namespace, name): Place<'_>) {
        self.api(kind, namespace)
            .delete(name, &DeleteParams::background())
            .await
            .unwrap_or_else(|error| panic!("{error}: {kind} {namespace}/{name}"));
    }

    /// Waits until an object of ours is Ready at its present generation.
    #[track_caller]
    pub fn ready<'a>(&'a self, kind: &'a str, name: &'a str) -> impl Future<Output = Value> + use<'a, 'c> {
        self.becomes((kind, &self.home, name), |object| {
            is_current(object) && condition(object, "Ready").status == "True"
        })
    }

    /// Waits until an object of ours is not Ready for `reason` at its present generation, and gives the message.
    #[track_caller]
    pub fn unready<'a>(
        &'a self,
        kind: &'a str,
        name: &'a str,
        reason: &'a str,
    ) -> impl Future<Output = String> + use<'a, 'c> {
        let found = self.becomes((kind, &self.home, name), move |object| {
            let ready = condition(object, "Ready");
            is_current(object) && ready.status != "True" && ready.reason == reason
        });
        async move { condition(&found.await, "Ready").message }
    }

    /// Asks for a pass over an instance and waits until it has ended: what was going to happen because of all
    /// that came before has happened.
    pub async fn looked_at(&self, kind: &str, name: &str) -> Value {
        self.looked_at_in(&self.home, kind, name).await
    }

    /// The same for an instance in another namespace.
    pub async fn looked_at_in(&self, namespace: &str, kind: &str, name: &str) -> Value {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let token = format!("look-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let change = json!({"metadata": {"annotations": {"landfall.dev/reconcile": token}}});
        self.edit((kind, namespace, name), change).await;
        self.becomes((kind, namespace, name), |object| {
            object["status"]["lastHandledReconcileAt"] == token.as_str()
        })
        .await
    }

    /// What the operator asked for since the mark, as far as it is counted and concerns this stage's instances.
    /// A Template's own status counts all its instances and is no instance's cost.
    pub async fn asked_since(&self, mark: Mark) -> Vec<Entry> {
        let inside = format!("{}-", self.home);
        counted(self.cluster.audit().since(mark).await, OPERATOR_AGENT)
            .into_iter()
            .filter(|entry| entry.namespace == self.home || entry.namespace.starts_with(&inside))
            .filter(|entry| {
                !entry.resource.starts_with("templates.") && !entry.resource.starts_with("controllerrevisions.")
            })
            .collect()
    }

    /// Those of them that change something.
    pub async fn written_since(&self, mark: Mark) -> Vec<Entry> {
        let mut asked = self.asked_since(mark).await;
        asked.retain(|entry| !matches!(entry.verb.as_str(), "get" | "list" | "watch"));
        asked
    }
}

/// A resource of a template.
pub fn resource(id: &str, manifest: Value) -> Value {
    json!({"id": id, "manifest": manifest})
}

/// A `ConfigMap` as a manifest, in the instance's own namespace.
pub fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// A Namespace as a manifest, named after the instance and `suffix`.
pub fn namespace_manifest(suffix: &str) -> Value {
    let name = format!("${{{{ entity.metadata.namespace }}}}-${{{{ entity.metadata.name }}}}{suffix}");
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// A schema of parameters.
pub fn parameters(properties: Value) -> Value {
    json!({"parameters": {"type": "object", "properties": properties}})
}

/// `value` with the fields of `more`.
pub fn with(mut value: Value, more: Value) -> Value {
    if let (Some(fields), Value::Object(more)) = (value.as_object_mut(), more) {
        fields.extend(more);
    }
    value
}

/// One condition; empty where there is none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Condition {
    pub status: String,
    pub reason: String,
    pub message: String,
}

/// The condition `kind` of an object.
pub fn condition(object: &Value, kind: &str) -> Condition {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind);
    let text = |name: &str| {
        found
            .and_then(|found| found[name].as_str())
            .unwrap_or_default()
            .to_owned()
    };
    Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
    }
}

/// Whether the status is about the present spec.
pub fn is_current(object: &Value) -> bool {
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

/// The object's UID.
pub fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap()
}

/// `verb resource name` of each request, to compare with what was expected.
pub fn requests(entries: &[Entry]) -> Vec<String> {
    let line = |entry: &Entry| format!("{} {} {}", entry.verb, entry.resource, entry.name);
    entries.iter().map(line).collect()
}

/// The entries as lines, for messages.
pub fn lines(entries: &[Entry]) -> String {
    entries.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What a failed wait shows of an object.
fn seen(mut object: Value) -> String {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    if object["status"]["conditions"].is_array() {
        format!(
            "{:#} at generation {}",
            object["status"], object["metadata"]["generation"]
        )
    } else {
        format!("{object:#}")
    }
}

/// How the apiserver knows a kind.
fn resource_of(kind: &str) -> ApiResource {
    let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
    let (group, version) = match kind {
        _ if !group.is_empty() => (group, "v1"),
        "API" | "Component" | "Domain" | "Entity" | "Group" | "Location" | "Resource" | "System" | "Template"
        | "User" => ("catalog.landfall.dev", "v1alpha1"),
        "Deployment" | "ControllerRevision" => ("apps", "v1"),
        "Job" => ("batch", "v1"),
        "Lease" => ("coordination.k8s.io", "v1"),
        "NetworkPolicy" => ("networking.k8s.io", "v1"),
        "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => ("rbac.authorization.k8s.io", "v1"),
        "CustomResourceDefinition" => ("apiextensions.k8s.io", "v1"),
        _ if kind.contains("AdmissionPolicy") => ("admissionregistration.k8s.io", "v1"),
        "Pipeline" | "PipelineRun" | "TaskRun" => ("tekton.dev", "v1"),
        "EventListener" | "Trigger" => ("triggers.tekton.dev", "v1beta1"),
        "Application" | "Workflow" | "WorkflowTemplate" | "CronWorkflow" => ("argoproj.io", "v1alpha1"),
        _ => ("", "v1"),
    };
    let plural = match kind {
        _ if kind.ends_with("Policy") || kind == "Entity" => {
            format!("{}ies", kind.trim_end_matches('y').to_lowercase())
        }
        other => format!("{}s", other.to_lowercase()),
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        },
        kind: kind.to_owned(),
        plural,
    }
}
