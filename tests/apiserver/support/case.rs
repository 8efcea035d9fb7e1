//! A case: a platform team's namespace with an account, a product team's namespace, and what becomes of
//! what is applied there. Objects are written as YAML, in which `PLATFORM` and `TEAM` stand for the two
//! namespaces' names, and read back the same way.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::audit::Mark;
use super::cluster::{Cluster, cluster};
use super::conformance::{Computed, assert_conformance, computed, condition, is_observed, says};
use super::entry::{Entry, is_write};
use super::operator::operator;
use super::patience::eventually;
use super::picture::Picture;

/// The account that templates of a case name.
pub const GOLDEN_PATH: &str = "golden-path";
/// The rights of an account on a kind, all that it needs.
pub const ALL: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

/// The two namespaces of a case.
pub struct Case<'c> {
    pub cluster: &'c Cluster,
    pub client: Client,
    /// Where templates and their account live.
    pub platform: String,
    /// Where instances live.
    pub team: String,
}

/// What there was before something bad was applied.
pub struct Before {
    mark: Mark,
    picture: Picture,
    foreign: Vec<String>,
}

impl Case<'static> {
    /// A case on the shared cluster with the shared operator.
    pub async fn new() -> Self {
        operator().await;
        Self::on(cluster().await).await
    }
}

impl<'c> Case<'c> {
    /// A case whose account may write Namespaces, `ConfigMap`s and `ResourceQuota`s everywhere. Whether an
    /// operator runs on the cluster is the caller's affair.
    pub async fn on(cluster: &'c Cluster) -> Self {
        let case = Self {
            cluster,
            client: cluster.client().await,
            platform: cluster.namespace("platform").await,
            team: cluster.namespace("shop").await,
        };
        case.put(&format!(
            "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {GOLDEN_PATH}, namespace: PLATFORM}}}}"
        ))
        .await;
        case.grant(
            &json!([{"apiGroups": [""], "resources": ["namespaces", "configmaps", "resourcequotas"], "verbs": ALL}]),
        )
        .await;
        case
    }

    /// Gives the account these rights in the whole cluster, instead of those it had, and waits until the
    /// apiserver goes by them.
    pub async fn grant(&self, rules: &Value) {
        let name = format!("{GOLDEN_PATH}-of-{}", self.platform);
        let group = "rbac.authorization.k8s.io";
        self.put_object(&json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
        }))
        .await;
        self.put_object(&json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": GOLDEN_PATH, "namespace": self.platform}],
        }))
        .await;
        for rule in rules.as_array().unwrap() {
            for resource in rule["resources"].as_array().unwrap() {
                let last = rule["verbs"].as_array().unwrap().last().unwrap();
                self.may(&self.account(), &rule["apiGroups"][0], resource, last).await;
            }
        }
    }

    /// Waits until the apiserver lets a user do something everywhere.
    pub async fn may(&self, user: &str, group: &Value, resource: &Value, verb: &Value) {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
            "spec": {"user": user, "resourceAttributes": {"group": group, "resource": resource, "verb": verb}},
        });
        eventually("the right to be in force", async || {
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

    /// The user name of the account.
    pub fn account(&self) -> String {
        format!("system:serviceaccount:{}:{GOLDEN_PATH}", self.platform)
    }

    /// With the names of the two namespaces in the places that stand for them.
    pub fn named(&self, text: &str) -> String {
        text.replace("PLATFORM", &self.platform).replace("TEAM", &self.team)
    }

    /// With words in place of the two namespaces' names, which are others in each run.
    pub fn masked(&self, text: &str) -> String {
        text.replace(&self.platform, "platform").replace(&self.team, "shop")
    }

    /// Applies documents of YAML as a person would.
    pub async fn put(&self, yaml: &str) {
        for document in self.documents(yaml) {
            self.put_object(&document).await;
        }
    }

    /// Applies documents of YAML, of which the apiserver refuses the last. Gives its message.
    pub async fn refused_at_once(&self, yaml: &str) -> String {
        let mut refusal = None;
        for document in self.documents(yaml) {
            assert!(refusal.is_none(), "only the last may be refused: {refusal:?}");
            refusal = self.try_put(&document).await.err();
        }
        match refusal {
            Some(kube::Error::Api(status)) => self.masked(&status.message),
            other => panic!("it was not refused: {other:?}"),
        }
    }

    fn documents(&self, yaml: &str) -> Vec<Value> {
        self.named(yaml)
            .split("\n---\n")
            .map(|document| serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}:\n{document}")))
            .collect()
    }

    /// Applies one object.
    pub async fn put_object(&self, object: &Value) -> Value {
        let applied = self.try_put(object).await;
        applied.unwrap_or_else(|error| panic!("not applied: {error}\n{object:#}"))
    }

    async fn try_put(&self, object: &Value) -> Result<Value, kube::Error> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let api = self.api(text("/apiVersion"), text("/kind"), text("/metadata/namespace"));
        let parameters = PatchParams::apply("tests").force();
        let applied = api
            .patch(text("/metadata/name"), &parameters, &Patch::Apply(object))
            .await?;
        Ok(serde_json::to_value(applied).unwrap())
    }

    /// The API of a kind, in a namespace unless that is empty.
    pub fn api(&self, api_version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        }
    }

    /// The API of one of our kinds, where a case has it.
    pub fn own(&self, kind: &str) -> Api<DynamicObject> {
        let namespace = if kind == "Template" { &self.platform } else { &self.team };
        self.api("catalog.landfall.dev/v1alpha1", kind, namespace)
    }

    /// An object of our kinds as it is.
    pub async fn get(&self, kind: &str, name: &str) -> Value {
        serde_json::to_value(self.own(kind).get(name).await.unwrap()).unwrap()
    }

    /// What is on the server now, in the namespaces of the case and in `foreign` ones.
    pub async fn before(&self, foreign: &[&str]) -> Before {
        let foreign: Vec<String> = foreign.iter().map(|name| self.named(name)).collect();
        Before {
            mark: self.cluster.audit().mark().await,
            picture: self.picture(&foreign).await,
            foreign,
        }
    }

    /// The names of all that is in the namespaces of the case and in `foreign` ones.
    pub async fn picture_names(&self, foreign: &[&str]) -> Vec<String> {
        let foreign: Vec<String> = foreign.iter().map(|name| self.named(name)).collect();
        let picture = self.picture(&foreign).await;
        picture.names().into_iter().map(str::to_owned).collect()
    }

    async fn picture(&self, foreign: &[String]) -> Picture {
        let mut namespaces = vec![self.platform.as_str(), self.team.as_str()];
        namespaces.extend(foreign.iter().map(String::as_str));
        Picture::take(&self.client, &namespaces).await
    }

    /// Nothing was made, changed or deleted since.
    pub async fn assert_unchanged(&self, before: &Before) {
        let now = self.picture(&before.foreign).await;
        let differences = before.picture.differences(&now);
        assert!(differences.is_empty(), "{differences}");
    }

    /// The account was not even tried with a write since.
    pub async fn assert_nothing_tried(&self, before: &Before) {
        let tried = self.writes_since(before.mark).await;
        assert!(tried.is_empty(), "{tried:#?}");
    }

    /// What was written, or tried to be, as the account.
    pub async fn writes_since(&self, mark: Mark) -> Vec<Entry> {
        let account = self.account();
        let entries = self.cluster.audit().since(mark).await;
        entries
            .into_iter()
            .filter(|entry| entry.impersonated.as_ref() == Some(&account) && is_write(entry))
            .collect()
    }

    /// Waits until an object of our kinds is refused for this reason, and gives the whole of what it says: the
    /// condition beside Ready, the reason, and the message. All that came before has been worked off then.
    pub async fn refused(&self, kind: &str, name: &str, reason: &str) -> String {
        let object = self.until(kind, name, "False", reason).await;
        let ready = condition(&object, "Ready").unwrap();
        let abnormal: Vec<&str> = ["Stalled", "Reconciling"]
            .into_iter()
            .filter(|kind| says(&object, kind) == "True")
            .collect();
        let message = ready["message"].as_str().unwrap_or_default();
        let expected = if abnormal == ["Stalled"] {
            Computed::Failed
        } else {
            Computed::InProgress
        };
        assert_eq!(computed(&object), expected, "{:#}", object["status"]);
        self.masked(&format!("{}, {reason}: {message}", abnormal.join(" and ")))
    }

    /// As [`Self::refused`], and nothing is changed on the server, nor was it tried.
    pub async fn refused_untouched(&self, before: &Before, kind: &str, name: &str, reason: &str) -> String {
        self.refused(kind, name, reason).await;
        if kind != "Template" {
            self.mark_processed(kind, name, "look-again").await;
        }
        let said = self.refused(kind, name, reason).await;
        self.assert_unchanged(before).await;
        self.assert_nothing_tried(before).await;
        said
    }

    /// Asks for a pass over an instance and waits until it has ended.
    pub async fn mark_processed(&self, kind: &str, name: &str, mark: &str) {
        let patch = json!({"metadata": {"annotations": {"landfall.dev/reconcile": mark}}});
        let api = self.own(kind);
        api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        eventually("the pass that was asked for to end", async || {
            let object = self.get(kind, name).await;
            (object["status"]["lastHandledReconcileAt"] == mark)
                .then_some(())
                .ok_or(object["status"].to_string())
        })
        .await;
    }

    /// Waits until an object of our kinds is Ready.
    pub async fn ready(&self, kind: &str, name: &str) -> Value {
        let object = self.until(kind, name, "True", "").await;
        assert_eq!(computed(&object), Computed::Current, "{:#}", object["status"]);
        object
    }

    /// Waits for what Ready says of the spec as it is.
    pub async fn until(&self, kind: &str, name: &str, status: &str, reason: &str) -> Value {
        let what = format!("{kind} {name} to say Ready={status} {reason}");
        eventually(&what, async || {
            let object = self.get(kind, name).await;
            let ready = condition(&object, "Ready");
            let there = is_observed(&object)
                && ready
                    .is_some_and(|ready| ready["status"] == status && (reason.is_empty() || ready["reason"] == reason));
            if there {
                Ok(object)
            } else {
                Err(format!("{:#}", object["status"]))
            }
        })
        .await
    }

    /// Every object of our kinds in both namespaces keeps the rules of kstatus.
    pub async fn conforms(&self) {
        assert_conformance(&self.client, &[&self.platform, &self.team]).await;
    }
}
