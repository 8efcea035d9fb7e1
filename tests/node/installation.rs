//! A cluster on which nothing of ours is but what Helm has installed from the chart.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use kube::api::ListParams;
use serde_json::{Value, json};

use crate::kubectl;
use crate::support::{Cluster, Stage, condition, eventually, repository};

pub const NAMESPACE: &str = "landfall-system";
/// The name of the release, and of what it holds.
pub const RELEASE: &str = "landfall";
pub const CHART: &str = "charts/landfall";

/// The kinds of all objects that the examples make.
const MADE: &str = "namespaces,resourcequotas,limitranges,configmaps,serviceaccounts,networkpolicies,rolebindings,pipelines.tekton.dev,pipelineruns.tekton.dev,triggers.triggers.tekton.dev,eventlisteners.triggers.tekton.dev";
/// How the chart's values set a lease that soon runs out, and for how long it lasts.
pub const SHORT_LEASE: &str = "--set=leaderElection.leaseDurationSeconds=12,leaderElection.renewDeadlineSeconds=8,leaderElection.retryPeriodSeconds=2";
pub const LEASE_DURATION: Duration = Duration::from_secs(12);

/// A release on a cluster of its own.
pub struct Installation<'c> {
    pub stage: Stage<'c>,
}

impl<'c> Installation<'c> {
    /// Nothing installed yet; the namespace of the quickstart is there, whose account the operator may act as.
    pub async fn prepare(cluster: &'c Cluster) -> Self {
        let stage = Stage::on(cluster, "installation").await;
        for name in ["quickstart", "platform"] {
            stage
                .put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
                .await;
        }
        Self { stage }
    }

    pub fn cluster(&self) -> &'c Cluster {
        self.stage.cluster
    }

    /// Runs Helm in the release's namespace, whatever comes of it.
    pub fn try_helm(&self, arguments: &[&str]) -> Output {
        self.cluster().helm(&[&["--namespace", NAMESPACE], arguments].concat())
    }

    /// Runs Helm, which must succeed, and gives what it printed.
    #[track_caller]
    pub fn helm(&self, arguments: &[&str]) -> String {
        let output = self.try_helm(arguments);
        assert!(output.status.success(), "helm {arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Installs a chart, and waits as Helm does.
    #[track_caller]
    pub fn install(&self, chart: &Path, settings: &[&str]) -> Duration {
        let began = Instant::now();
        let command = [
            "install",
            RELEASE,
            chart.to_str().unwrap(),
            "--create-namespace",
            "--wait",
            "--timeout=3m",
            "--set=accounts[0].namespace=quickstart,accounts[0].name=golden-path",
            "--set=accounts[1].namespace=platform,accounts[1].name=golden-path",
        ];
        self.helm(&[&command, settings].concat());
        began.elapsed()
    }

    /// Installs the chart as it is here.
    #[track_caller]
    pub fn install_this(&self, settings: &[&str]) -> Duration {
        self.install(&repository().join(CHART), settings)
    }

    /// Changes values of the release, and waits as Helm does.
    #[track_caller]
    pub fn upgrade(&self, settings: &[&str]) {
        self.upgrade_to(&repository().join(CHART), &[&["--reuse-values"], settings].concat());
    }

    /// Upgrades the release to a chart, and waits as Helm does.
    #[track_caller]
    pub fn upgrade_to(&self, chart: &Path, settings: &[&str]) {
        let command = ["upgrade", RELEASE, chart.to_str().unwrap(), "--wait", "--timeout=3m"];
        self.helm(&[&command, settings].concat());
    }

    /// The operator's pods that are not being deleted.
    pub async fn pods(&self) -> Vec<Value> {
        let chosen = ListParams::default().labels("app.kubernetes.io/component=controller");
        let listed = self.stage.api("Pod", NAMESPACE).list(&chosen).await.unwrap();
        let pods = listed.items.into_iter().map(|pod| serde_json::to_value(pod).unwrap());
        pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .collect()
    }

    /// Waits until there are so many pods and all are Ready, and gives them.
    #[track_caller]
    pub fn ready_pods(&self, count: usize) -> impl Future<Output = Vec<Value>> + use<'_, 'c> {
        eventually("the operator's pods to be Ready", async move || {
            let pods = self.pods().await;
            let ready = pods.iter().all(|pod| condition(pod, "Ready").status == "True");
            if ready && pods.len() == count {
                Ok(pods)
            } else {
                Err(format!("{:#}", Value::from(pods)))
            }
        })
    }

    /// Who holds the lease; its name begins with that of its pod.
    pub async fn leader(&self) -> String {
        let lease = ("Lease", NAMESPACE, "landfall-controller");
        let held = self.stage.get(lease).await.unwrap_or_default();
        held["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }

    /// The id, in the node's machine, of the operator's process of a pod.
    pub fn process(&self, pod: &Value) -> String {
        let own = pod["metadata"]["uid"].as_str().unwrap();
        let script = format!(
            "for p in $(pgrep -f '^/landfall controller'); do grep -q {own} /proc/$p/cgroup && echo $p; done; true"
        );
        self.cluster().enter(&["sh", "-c", &script]).trim().to_owned()
    }

    /// Applies the quickstart of README, and waits as README does.
    #[track_caller]
    pub fn quickstart(&self) {
        let file = repository().join("examples/quickstart.yaml");
        kubectl(&self.stage, &["apply", "-f", file.to_str().unwrap()]);
        let ready = [
            "wait",
            "--for=condition=Ready",
            "component/hello",
            "-n",
            "quickstart",
            "--timeout=60s",
        ];
        kubectl(&self.stage, &ready);
    }

    /// Applies the example of the golden path, and waits until its components are Ready.
    pub async fn golden_path(&self) {
        let path = repository().join("examples/golden-path");
        kubectl(&self.stage, &["apply", "-k", path.to_str().unwrap()]);
        for name in ["orders", "payments", "catalogue"] {
            let is_ready = |object: &Value| condition(object, "Ready").status == "True";
            self.stage.becomes(("Component", "shop", name), is_ready).await;
        }
    }

    /// Lets so many operators run, and waits until so many are Ready.
    pub async fn scale(&self, replicas: usize) {
        let number = format!("--replicas={replicas}");
        kubectl(&self.stage, &["-n", NAMESPACE, "scale", "deployment/landfall", &number]);
        self.ready_pods(replicas).await;
    }

    /// Objects of the kinds that the examples make, by kind, namespace and name: all, or those that bear our label.
    pub fn objects(&self, more: &[&str]) -> BTreeMap<String, Value> {
        let command = ["get", MADE, "-A", "-o", "json", "--show-managed-fields"];
        let listed: Value = serde_json::from_str(&kubectl(&self.stage, &[&command, more].concat())).unwrap();
        let named = listed["items"].as_array().unwrap().iter().map(|object| {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let metadata = &object["metadata"];
            let place = format!(
                "{} {}/{}",
                word(&object["kind"]),
                word(&metadata["namespace"]),
                word(&metadata["name"])
            );
            (place, object.clone())
        });
        named.collect()
    }

    /// What was made from templates: which object it is, and what we have written of it and when.
    pub fn made(&self) -> BTreeMap<String, Value> {
        let marked = self.objects(&["-l", "landfall.dev/instance-uid"]);
        let ours = marked.into_iter().map(|(place, object)| {
            let managers = object["metadata"]["managedFields"].as_array().into_iter().flatten();
            let ours: Vec<&Value> = managers.filter(|one| one["manager"] == "landfall").collect();
            (place, json!({"uid": object["metadata"]["uid"], "written": ours}))
        });
        ours.collect()
    }

    /// What the quickstart's component was given, with resourceVersions, and the component without its status.
    pub async fn provisioned(&self) -> Vec<Value> {
        let places = [
            ("Namespace", "", "sandbox-hello"),
            ("ResourceQuota", "sandbox-hello", "limits"),
            ("ConfigMap", "sandbox-hello", "about"),
            ("Component", "quickstart", "hello"),
        ];
        let mut found = Vec::new();
        for place in places {
            let object = self
                .stage
                .get(place)
                .await
                .unwrap_or_else(|| panic!("{place:?} is not there"));
            let metadata = &object["metadata"];
            let seen = match place.0 {
                "Component" => {
                    json!({"uid": metadata["uid"], "generation": metadata["generation"], "spec": object["spec"]})
                }
                // Kubernetes counts in its status, in its own time: what else it has, and who set it and when, is compared.
                "ResourceQuota" => {
                    let mut managers = metadata["managedFields"].clone();
                    if let Some(all) = managers.as_array_mut() {
                        all.retain(|manager| manager["subresource"] != "status");
                    }
                    json!({"uid": metadata["uid"], "spec": object["spec"], "managers": managers})
                }
                _ => json!({"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}),
            };
            found.push(json!({"place": place.2, "seen": seen}));
        }
        found
    }

    /// Takes away the quota that the quickstart's component was given, and waits until the operator has made it again.
    pub async fn repairs(&self, limit: Duration) -> Duration {
        let quota = ("ResourceQuota", "sandbox-hello", "limits");
        let began = Instant::now();
        let former = self
            .stage
            .get(quota)
            .await
            .map(|object| object["metadata"]["uid"].clone());
        if former.is_some() {
            self.stage.delete(quota).await;
        }
        crate::support::eventually_within(limit, "the quota to be made again", async || {
            let now = self.stage.get(quota).await;
            now.filter(|object| Some(&object["metadata"]["uid"]) != former.as_ref())
        })
        .await;
        began.elapsed()
    }
}

/// All that a program has said.
pub fn said(output: &Output) -> String {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{stdout}{stderr}")
}
