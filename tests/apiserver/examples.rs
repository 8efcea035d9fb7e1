//! Every example does on a real apiserver what it says, and leaves nothing behind.
//!
//! The examples' namespaces have fixed names, and what they leave alone is the whole rest of the cluster: so
//! they have a cluster to themselves, and take turns.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ResourceQuota};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, ObjectMeta, PostParams, WatchEvent, WatchParams};
use kube::discovery::{Discovery, Scope, verbs};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::support::{Cluster, Operator, eventually, eventually_within, patience};

mod delivery;
mod moving;
mod rollout;

/// A cluster for one example at a time. Each starts an operator of its own.
struct Stage {
    cluster: Cluster,
}

async fn stage() -> MutexGuard<'static, Stage> {
    static SHARED: OnceCell<Mutex<Stage>> = OnceCell::const_new();
    let shared = SHARED.get_or_init(async || {
        let cluster = Cluster::own("examples").await;
        let bystander = Namespace {
            metadata: ObjectMeta {
                name: Some("bystander".into()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        Api::all(cluster.client().await)
            .create(&PostParams::default(), &bystander)
            .await
            .unwrap();
        Mutex::new(Stage { cluster })
    });
    shared.await.lock().await
}

impl Stage {
    /// Runs kubectl where tests run, at the top of the repository, as a reader of README.md would. Gives what it printed.
    fn kubectl(&self, line: &str) -> String {
        let output = self.cluster.kubectl(&line.split(' ').collect::<Vec<_>>());
        assert!(
            output.status.success(),
            "kubectl {line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Writes a kubeconfig with which a service account comes in, and gives its place.
    fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.kubectl(&format!("create token {account} -n {namespace}"));
        let mut config: Value = serde_json::from_str(&self.kubectl("config view --raw --minify -o json")).unwrap();
        config["users"][0]["user"] = json!({"token": token.trim()});
        let place = self.cluster.directory().join(format!("{account}.kubeconfig"));
        std::fs::write(&place, config.to_string()).unwrap();
        place
    }

    async fn entities(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let resource = ApiResource {
            group: "catalog.landfall.dev".into(),
            version: "v1alpha1".into(),
            api_version: "catalog.landfall.dev/v1alpha1".into(),
            kind: kind.into(),
            plural: format!("{}s", kind.to_lowercase()),
        };
        Api::namespaced_with(self.cluster.client().await, namespace, &resource)
    }

    async fn entity(&self, kind: &str, namespace: &str, name: &str) -> Option<DynamicObject> {
        self.entities(kind, namespace).await.get_opt(name).await.unwrap()
    }

    async fn status(&self, kind: &str, namespace: &str, name: &str) -> Value {
        self.entity(kind, namespace, name).await.unwrap().data["status"].clone()
    }

    /// Waits until an entity says `expected`: status, reason and message of its condition Ready.
    async fn says(&self, kind: &str, namespace: &str, name: &str, expected: [&str; 3]) {
        eventually(&format!("{kind} {namespace}/{name} says {expected:?}"), async || {
            let entity = self.entity(kind, namespace, name).await.ok_or("it does not exist")?;
            let conditions = entity.data["status"]["conditions"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let ready = conditions
                .iter()
                .find(|condition| condition["type"] == "Ready")
                .ok_or("it has no Ready")?;
            let found = ["status", "reason", "message"].map(|field| ready[field].as_str().unwrap_or_default());
            let current = ready["observedGeneration"] == json!(entity.metadata.generation);
            if current && found == expected {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        })
        .await;
    }

    /// Waits until every entity of a namespace is Ready.
    async fn all_ready(&self, namespace: &str, kind: &str, names: &[&str]) {
        for name in names {
            eventually_within(
                patience() * 2,
                &format!("{kind} {namespace}/{name} is Ready"),
                async || {
                    let status = self.status(kind, namespace, name).await;
                    let ready = status["conditions"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .find(|found| found["type"] == "Ready");
                    let ready = ready.cloned().unwrap_or_default();
                    if ready["status"] == "True" {
                        Ok(())
                    } else {
                        Err(ready.to_string())
                    }
                },
            )
            .await;
        }
    }

    async fn get<K>(&self, namespace: &str, name: &str) -> Option<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        Api::namespaced(self.cluster.client().await, namespace)
            .get_opt(name)
            .await
            .unwrap()
    }

    async fn namespace(&self, name: &str) -> Option<Namespace> {
        Api::all(self.cluster.client().await).get_opt(name).await.unwrap()
    }

    /// The names of what a namespace holds of one kind, sorted.
    fn names(&self, resource: &str, namespace: &str) -> Vec<String> {
        let found = self.kubectl(&format!("get {resource} -n {namespace} -o name"));
        let mut names: Vec<_> = found
            .lines()
            .filter_map(|line| Some(line.split_once('/')?.1.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// Every object of the cluster with its UID and version, but for what moves by itself.
    async fn everything(&self) -> BTreeMap<String, String> {
        let client = self.cluster.client().await;
        let discovery = Discovery::new(client.clone()).run().await.unwrap();
        let mut everything = BTreeMap::new();
        for group in discovery.groups() {
            for (resource, capabilities) in group.recommended_resources() {
                let moves = matches!(
                    resource.kind.as_str(),
                    "Event" | "Lease" | "APIService" | "PriorityLevelConfiguration" | "FlowSchema"
                );
                if moves || !capabilities.supports_operation(verbs::LIST) {
                    continue;
                }
                let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
                // A young apiserver does not list every kind yet.
                let listed = eventually(&resource.plural, async || {
                    all.list_metadata(&ListParams::default()).await
                });
                for object in listed.await {
                    let place = object
                        .metadata
                        .namespace
                        .filter(|_| capabilities.scope == Scope::Namespaced);
                    let identity = format!(
                        "{}/{} {} {}",
                        resource.group,
                        resource.kind,
                        place.unwrap_or_default(),
                        object.metadata.name.unwrap_or_default()
                    );
                    let state = [object.metadata.uid, object.metadata.resource_version];
                    everything.insert(identity, state.map(Option::unwrap_or_default).join(" "));
                }
            }
        }
        everything
    }

    /// Waits until the cluster has come to rest, and gives what it holds.
    async fn at_rest(&self) -> BTreeMap<String, String> {
        let mut before = self.everything().await;
        eventually_within(patience() * 3, "the cluster comes to rest", async || {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            let now = self.everything().await;
            let rest = now == before;
            before.clone_from(&now);
            rest.then_some(now)
        })
        .await
    }

    /// Waits until the cluster is byte for byte what it was.
    async fn is_again(&self, before: &BTreeMap<String, String>) {
        eventually_within(
            patience() * 3,
            "nothing is left and nothing else was touched",
            async || {
                let now = self.everything().await;
                let changed: Vec<_> = before
                    .iter()
                    .filter(|(identity, state)| now.get(*identity) != Some(state))
                    .collect();
                let left: Vec<_> = now.keys().filter(|identity| !before.contains_key(*identity)).collect();
                if changed.is_empty() && left.is_empty() {
                    Ok(())
                } else {
                    Err(format!("changed: {changed:?}; left: {left:?}"))
                }
            },
        )
        .await;
    }
}

#[tokio::test]
async fn quickstart() {
    let stage = stage().await;
    let before = stage.at_rest().await;
    let _operator = Operator::start(&stage.cluster).await;
    stage.kubectl("apply -f examples/quickstart.yaml");
    stage
        .says(
            "Component",
            "quickstart",
            "hello",
            ["True", "Ready", "3 objects are as planned and healthy"],
        )
        .await;
    stage.all_ready("quickstart", "Template", &["sandbox"]).await;
    let quota = stage.get::<ResourceQuota>("sandbox-hello", "limits").await.unwrap();
    assert_eq!(json!(quota.spec.unwrap().hard), json!({"pods": "8"}));
    let about = stage.get::<ConfigMap>("sandbox-hello", "about").await.unwrap();
    assert_eq!(json!(about.data), json!({"owner": "team-a"}));

    stage.kubectl("delete resourcequota limits -n sandbox-hello");
    eventually("the quota is back", async || {
        stage
            .get::<ResourceQuota>("sandbox-hello", "limits")
            .await
            .filter(|found| found.metadata.uid != quota.metadata.uid)
    })
    .await;

    let patch =
        r#"patch component hello -n quickstart --type merge -p {"spec":{"template":{"parameters":{"podz":9}}}}"#;
    stage.kubectl(patch);
    let message = "parameters.podz: unknown parameter; did you mean pods?";
    stage
        .says(
            "Component",
            "quickstart",
            "hello",
            ["False", "InvalidParameters", message],
        )
        .await;
    stage.kubectl(&patch.replace("\"podz\":9", "\"podz\":null"));
    stage
        .says(
            "Component",
            "quickstart",
            "hello",
            ["True", "Ready", "3 objects are as planned and healthy"],
        )
        .await;

    stage.kubectl("delete component hello -n quickstart --timeout=60s");
    assert!(
        stage.namespace("sandbox-hello").await.is_none(),
        "it goes before the component is gone"
    );
    stage.kubectl("delete -f examples/quickstart.yaml --ignore-not-found --timeout=60s");
    stage.is_again(&before).await;
}

#[tokio::test]
async fn quickstart_released() {
    let stage = stage().await;
    let before = stage.at_rest().await;
    let _operator = Operator::start(&stage.cluster).await;
    stage.kubectl("apply -f examples/quickstart.yaml");
    stage.all_ready("quickstart", "Component", &["hello"]).await;
    let namespace = stage.namespace("sandbox-hello").await.unwrap();

    let output = std::process::Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["release", "--all"])
        .env("KUBECONFIG", stage.cluster.kubeconfig())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    stage.kubectl("delete -f examples/quickstart.yaml --ignore-not-found --timeout=60s");

    let kept = stage.namespace("sandbox-hello").await.unwrap();
    assert_eq!(kept.metadata.uid, namespace.metadata.uid);
    assert_eq!(
        json!(kept.metadata.labels),
        json!({"kubernetes.io/metadata.name": "sandbox-hello"})
    );
    assert_eq!(kept.metadata.annotations.unwrap_or_default(), BTreeMap::new());
    assert!(stage.get::<ResourceQuota>("sandbox-hello", "limits").await.is_some());
    assert!(stage.get::<ConfigMap>("sandbox-hello", "about").await.is_some());
    stage.kubectl("delete namespace sandbox-hello --timeout=60s");
    stage.is_again(&before).await;
}

#[tokio::test]
async fn golden_path() {
    let stage = stage().await;
    let before = stage.at_rest().await;
    // As in a cluster: the operator has an account of its own, with the rights of deploy and no more.
    stage.kubectl("apply -f examples/golden-path/namespaces.yaml");
    stage.kubectl("apply -f deploy/rbac.yaml -f deploy/account.yaml");
    let kubeconfig = stage.kubeconfig_of("landfall-system", "landfall");
    let _operator = Operator::start_with(&stage.cluster, |command| {
        command.env("KUBECONFIG", &kubeconfig);
    })
    .await;
    stage.kubectl("apply -k examples/golden-path");
    stage.all_ready("platform", "Template", &["web-service"]).await;
    stage
        .all_ready("shop", "Component", &["orders", "payments", "catalogue"])
        .await;
    stage.all_ready("shop", "System", &["storefront"]).await;

    let namespaces = stage.kubectl("get namespaces -l owner -o name");
    assert_eq!(
        namespaces
            .lines()
            .map(|line| line.trim_start_matches("namespace/"))
            .collect::<Vec<_>>(),
        [
            "shop-catalogue-dev",
            "shop-orders-ci",
            "shop-orders-dev",
            "shop-orders-prod",
            "shop-payments-ci",
            "shop-payments-dev",
            "shop-payments-prod",
            "shop-payments-staging",
        ]
    );
    guard_rails(&stage).await;
    pipeline(&stage).await;
    eventually("the system counts its components", async || {
        let status = stage.status("System", "shop", "storefront").await;
        let counts = [&status["components"]["total"], &status["components"]["ready"]];
        if counts == [&json!(3), &json!(3)] {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;

    one_more(&stage).await;
    access_follows_ownership(&stage).await;

    let patch = r#"patch component orders -n shop --type merge -p {"spec":{"template":{"parameters":{"environments":{"prod":{"replicas":99}}}}}}"#;
    stage.kubectl(patch);
    let message = "parameters.environments.prod.replicas: 99 is more than the maximum of 10";
    stage
        .says("Component", "shop", "orders", ["False", "InvalidParameters", message])
        .await;

    stage.kubectl("delete -f examples/golden-path/components.yaml --timeout=60s");
    stage.kubectl("delete -k examples/golden-path --ignore-not-found --timeout=60s");
    stage.kubectl("delete -f deploy/rbac.yaml -f deploy/account.yaml --ignore-not-found --timeout=60s");
    stage.is_again(&before).await;
}

/// A component that joins when the template is there already says in one step from nothing to Ready: a run that
/// has been made and has not begun is nothing to wait for.
async fn one_more(stage: &Stage) {
    let spec = json!({
        "type": "service", "lifecycle": "experimental", "owner": "group:shop/checkout",
        "template": {"ref": "platform/web-service", "parameters": {"repository": "harbour-goods/basket"}},
    });
    let component = json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
        "metadata": {"name": "basket", "namespace": "shop"}, "spec": spec,
    });
    let component = serde_json::from_value(component).unwrap();
    let components = stage.entities("Component", "shop").await;
    let only = WatchParams::default().fields("metadata.name=basket").timeout(60);
    let mut states = components.watch(&only, "0").await.unwrap().boxed();
    components.create(&PostParams::default(), &component).await.unwrap();
    let mut said = Vec::new();
    while let Some(event) = states.next().await {
        let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event.unwrap() else {
            continue;
        };
        let ready = &object.data["status"]["conditions"][0];
        said.push(format!("{} {}", ready["reason"], ready["message"]));
        if ready["status"] == "True" {
            break;
        }
    }
    said.dedup();
    assert_eq!(
        said,
        [
            r#""Pending" "Waiting for the controller""#,
            r#""Progressing" "making 13 objects as platform/golden-path""#,
            r#""Ready" "13 objects are as planned and healthy""#,
        ]
    );
    stage.kubectl("delete component basket -n shop --timeout=60s");
}

/// Who may do what follows the owner, and whom the owner is to Kubernetes, within a moment.
async fn access_follows_ownership(stage: &Stage) {
    let becomes = async |group: &str, namespace: &str, expected: &str| {
        let what = format!("{group} may get deployments in {namespace}: {expected}");
        eventually(&what, async || {
            let asked = [
                "auth",
                "can-i",
                "get",
                "deployments",
                "-n",
                namespace,
                "--as",
                "someone",
                "--as-group",
                group,
            ];
            let said = String::from_utf8_lossy(&stage.cluster.kubectl(&asked).stdout)
                .trim()
                .to_owned();
            if said == expected { Ok(()) } else { Err(said) }
        })
        .await;
    };
    let patch = |what: &str, patch: &str| stage.kubectl(&format!("patch {what} -n shop --type merge -p {patch}"));
    // Another owner.
    becomes("assortment", "shop-catalogue-dev", "yes").await;
    becomes("checkout", "shop-catalogue-dev", "no").await;
    patch("component catalogue", r#"{"spec":{"owner":"checkout"}}"#);
    becomes("checkout", "shop-catalogue-dev", "yes").await;
    becomes("assortment", "shop-catalogue-dev", "no").await;
    // Another name of the same group, in all that it owns.
    patch(
        "groups.catalog.landfall.dev checkout",
        r#"{"spec":{"subjects":[{"kind":"Group","name":"oidc:checkout"}]}}"#,
    );
    for namespace in ["shop-catalogue-dev", "shop-orders-dev", "shop-payments-prod"] {
        becomes("oidc:checkout", namespace, "yes").await;
        becomes("checkout", namespace, "no").await;
    }
    // A group that is gone is nobody; its components live on.
    stage.kubectl("delete groups.catalog.landfall.dev checkout -n shop");
    becomes("oidc:checkout", "shop-orders-dev", "no").await;
    stage.kubectl("apply -f examples/golden-path/groups.yaml");
    becomes("checkout", "shop-orders-dev", "yes").await;
    // A user who owns.
    let user = r#"{"apiVersion":"catalog.landfall.dev/v1alpha1","kind":"User","metadata":{"name":"jenny","namespace":"shop"},"spec":{"subjects":[{"kind":"Group","name":"only-jenny"}]}}"#;
    let place = stage.cluster.directory().join("user.json");
    std::fs::write(&place, user).unwrap();
    stage.kubectl(&format!("apply -f {}", place.display()));
    patch("component catalogue", r#"{"spec":{"owner":"user:jenny"}}"#);
    becomes("only-jenny", "shop-catalogue-dev", "yes").await;
    becomes("checkout", "shop-catalogue-dev", "no").await;
    stage.kubectl("delete users.catalog.landfall.dev jenny -n shop");
    stage
        .all_ready("shop", "Component", &["orders", "payments", "catalogue"])
        .await;
}

/// What an environment's namespace is given.
async fn guard_rails(stage: &Stage) {
    let labels = stage
        .namespace("shop-orders-prod")
        .await
        .unwrap()
        .metadata
        .labels
        .unwrap();
    for (name, expected) in [
        ("component", "orders"),
        ("system", "storefront"),
        ("owner", "checkout"),
        ("environment", "prod"),
        ("pod-security.kubernetes.io/enforce", "restricted"),
    ] {
        assert_eq!(labels.get(name).map(String::as_str), Some(expected), "{name}");
    }
    let quota = stage.get::<ResourceQuota>("shop-orders-prod", "size").await.unwrap();
    let hard = json!(quota.spec.unwrap().hard);
    assert_eq!((&hard["pods"], &hard["limits.memory"]), (&json!("4"), &json!("2Gi")));
    assert_eq!(stage.names("limitranges", "shop-orders-prod"), ["defaults"]);
    assert_eq!(
        stage.names("networkpolicies", "shop-orders-prod"),
        ["default-deny", "from-ingress"]
    );
    assert_eq!(stage.names("networkpolicies", "shop-orders-dev"), ["default-deny"]);
    assert_eq!(
        stage.names("serviceaccounts", "shop-orders-prod"),
        ["default", "orders"]
    );
    let may = |verb: &str, namespace: &str| {
        let question = [
            "auth",
            "can-i",
            verb,
            "deployments",
            "-n",
            namespace,
            "--as",
            "someone",
            "--as-group",
            "checkout",
        ];
        String::from_utf8_lossy(&stage.cluster.kubectl(&question).stdout)
            .trim()
            .to_owned()
    };
    assert_eq!(may("create", "shop-orders-dev"), "yes");
    assert_eq!(may("create", "shop-orders-prod"), "no");
    assert_eq!(may("get", "shop-orders-prod"), "yes");
    assert_eq!(may("get", "shop-catalogue-dev"), "no");
}

/// What a component's CI namespace is given, and how its runs show.
async fn pipeline(stage: &Stage) {
    assert_eq!(stage.names("pipelines.tekton.dev", "shop-orders-ci"), ["build"]);
    assert_eq!(stage.names("triggers.triggers.tekton.dev", "shop-orders-ci"), ["push"]);
    assert_eq!(
        stage.names("pipelineruns.tekton.dev", "shop-orders-ci"),
        ["first-build"]
    );
    let pipelines = &stage.status("Component", "shop", "orders").await["pipelines"];
    assert_eq!(pipelines[0]["name"], "build", "{pipelines}");
    assert_eq!(pipelines[0]["lastRun"]["name"], "first-build", "{pipelines}");
    let listener = |namespace: &str| {
        let account = "system:serviceaccount:webhooks:listener";
        let question = [
            "auth",
            "can-i",
            "create",
            "pipelineruns.tekton.dev",
            "-n",
            namespace,
            "--as",
            account,
        ];
        String::from_utf8_lossy(&stage.cluster.kubectl(&question).stdout)
            .trim()
            .to_owned()
    };
    assert_eq!(listener("shop-orders-ci"), "yes");
    assert_eq!(listener("shop-orders-prod"), "no");
    // A run that has been made is not made again.
    stage.kubectl("delete pipelinerun first-build -n shop-orders-ci");
    stage.kubectl("annotate component orders -n shop landfall.dev/reconcile=again");
    eventually("the pass that was asked for", async || {
        let status = stage.status("Component", "shop", "orders").await;
        (status["lastHandledReconcileAt"] == "again")
            .then_some(())
            .ok_or(status.to_string())
    })
    .await;
    assert_eq!(
        stage.names("pipelineruns.tekton.dev", "shop-orders-ci"),
        Vec::<String>::new()
    );
}
