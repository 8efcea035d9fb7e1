//! The operator as a pod: from its image, as its account, with the rights of `deploy/` and no more.

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::{
    ACCOUNT, Cluster, Mark, Stage, condition, eventually, node_cluster, patience, repository, resource,
};
use crate::{kubectl, pod_ready, shell};

const NAMESPACE: &str = "landfall-system";

/// The shared cluster with the operator installed as README and `deploy/` say.
async fn installed() -> &'static Cluster {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = node_cluster().await;
    INSTALLED
        .get_or_init(async || {
            let stage = Stage::on(cluster, "installed").await;
            // The namespace of the golden path's templates, which deploy/account.yaml lets the operator act in.
            apply(&stage, "examples/golden-path/namespaces.yaml");
            let deploy = repository().join("deploy");
            // The definitions are the cluster's already, from where these come too.
            let whole = [
                "apply",
                "--server-side",
                "--force-conflicts",
                "-k",
                deploy.to_str().unwrap(),
            ];
            kubectl(&stage, &whole);
            apply(&stage, "deploy/account.yaml");
            stage
                .becomes(("Deployment", NAMESPACE, "landfall"), |object| {
                    condition(object, "Available").status == "True"
                })
                .await;
        })
        .await;
    cluster
}

fn apply(stage: &Stage<'_>, file: &str) {
    let path = repository().join(file);
    kubectl(stage, &["apply", "-f", path.to_str().unwrap()]);
}

/// Lets the operator act as an account in its namespace, as `deploy/account.yaml` does for that of the golden path.
pub async fn let_act(stage: &Stage<'_>, namespace: &str, account: &str) {
    let group = "rbac.authorization.k8s.io";
    let metadata = json!({"name": "landfall-acts", "namespace": namespace});
    stage
        .put(json!({
            "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata,
            "rules": [{"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [account], "verbs": ["impersonate"]}],
        }))
        .await;
    stage
        .put(json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "landfall-acts"},
            "subjects": [{"kind": "ServiceAccount", "name": "landfall", "namespace": NAMESPACE}],
        }))
        .await;
}

/// Waits until an entity is Ready.
async fn ready(stage: &Stage<'_>, kind: &str, namespace: &str, name: &str) -> Value {
    stage
        .becomes((kind, namespace, name), |object| {
            condition(object, "Ready").status == "True"
        })
        .await
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn runs_from_its_image_as_nobody() {
    let stage = Stage::on(installed().await, "looking").await;
    let pod = stage
        .becomes_listed("Pod", NAMESPACE, |pod| condition(pod, "Ready").status == "True")
        .await;
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["restartCount"], 0, "{status}");
    let image = concat!("localhost/landfall:", env!("CARGO_PKG_VERSION"));
    assert_eq!(status["image"], image);
    // As the kernel sees it, which is not what was asked for but what is so.
    let own = pod["metadata"]["uid"].as_str().unwrap();
    let script = format!(
        "for p in $(pgrep -f '^/landfall controller'); do grep -q {own} /proc/$p/cgroup && grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/$p/status; done; true"
    );
    let seen = stage.cluster.enter(&["sh", "-c", &script]);
    let seen: Vec<&str> = seen.lines().collect();
    assert_eq!(
        seen,
        [
            "Uid:\t65532\t65532\t65532\t65532",
            "CapEff:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2"
        ]
    );
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn provisions_the_quickstart_from_inside() {
    let stage = Stage::on(installed().await, "quick").await;
    apply(&stage, "examples/quickstart.yaml");
    let_act(&stage, "quickstart", "golden-path").await;
    let hello = ready(&stage, "Component", "quickstart", "hello").await;
    assert_eq!(
        condition(&hello, "Ready").message,
        "3 objects are as planned and healthy"
    );
    let quota = stage.appears(("ResourceQuota", "sandbox-hello", "limits")).await;
    assert_eq!(quota["spec"]["hard"], json!({"pods": "8"}));
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn provisions_the_golden_path_whose_guard_rails_hold_for_pods() {
    let stage = Stage::on(installed().await, "golden").await;
    let path = repository().join("examples/golden-path");
    kubectl(&stage, &["apply", "-k", path.to_str().unwrap()]);
    for name in ["orders", "payments", "catalogue"] {
        ready(&stage, "Component", "shop", name).await;
    }
    ready(&stage, "System", "shop", "storefront").await;

    let namespace = "shop-catalogue-dev";
    let mut good = shell(namespace, "good", "sleep 3600");
    good["spec"]["securityContext"] = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    good["spec"]["containers"][0]["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    stage.put(good).await;
    let good = pod_ready(&stage, namespace, "good").await;
    // What it did not say comes from the namespace's limits.
    assert_eq!(good["spec"]["containers"][0]["resources"]["limits"]["memory"], "256Mi");
    let bad = shell(namespace, "bad", "sleep 3600");
    let file = stage.cluster.directory().join("bad.json");
    std::fs::write(&file, bad.to_string()).unwrap();
    let refused = stage.cluster.kubectl(&["create", "-f", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("violates PodSecurity \"restricted:latest\""), "{said}");
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn a_deployment_of_a_template_is_ready_when_its_pods_are() {
    let stage = Stage::on(installed().await, "deployed").await;
    let home = stage.home.clone();
    let_act(&stage, &home, ACCOUNT).await;
    let container = json!({
        "name": "web", "image": "localhost/busybox:1",
        // Ready when someone says so.
        "command": ["sh", "-c", "sleep 3600"],
        "readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": "${{ parameters.replicas }}", "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                "terminationGracePeriodSeconds": 0, "containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}],
            }},
        },
    });
    let more = json!({"parameters": {"properties": {"replicas": {"type": "integer", "default": 2}}}});
    stage
        .template_with("web", json!([resource("web", deployment)]), more)
        .await;
    stage.component("shop", json!({"ref": "web"})).await;

    stage
        .becomes(("Deployment", &home, "web"), |object| object["status"]["replicas"] == 2)
        .await;
    let names = eventually("two pods that run", async || {
        let running = [
            "get",
            "pods",
            "-n",
            &home,
            "-l",
            "app=web",
            "--field-selector=status.phase=Running",
            "-o",
            "name",
        ];
        let found = kubectl(&stage, &running);
        if found.lines().count() == 2 {
            Ok(found)
        } else {
            Err(found)
        }
    })
    .await;
    let message = stage.unready("Component", "shop", "Progressing").await;
    assert!(message.contains("Deployment") && message.contains("web"), "{message}");
    for name in names.lines() {
        kubectl(&stage, &["exec", "-n", &home, name, "--", "touch", "/tmp/ready"]);
    }
    stage.ready("Component", "shop").await;
    let live = stage.get(("Deployment", &home, "web")).await.unwrap();
    assert_eq!(live["status"]["readyReplicas"], 2);
    // A pod that ceases to be ready is seen too.
    let first = names.lines().next().unwrap();
    kubectl(&stage, &["exec", "-n", &home, first, "--", "rm", "/tmp/ready"]);
    stage.unready("Component", "shop", "Progressing").await;
}

/// Names are resolved by what is linked into the static program, from the pod's `/etc/resolv.conf` with its
/// search domains and nothing else of a distribution.
#[tokio::test]
#[ignore = "needs a node: make test"]
async fn finds_the_apiserver_by_name() {
    let stage = Stage::on(node_cluster().await, "named").await;
    let home = stage.home.as_str();
    let secrets = "/var/run/secrets/kubernetes.io/serviceaccount";
    let run = async |name: &str, host: &str| {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": format!("https://{host}"), "certificate-authority": format!("{secrets}/ca.crt")}}],
            "users": [{"name": "here", "user": {"tokenFile": format!("{secrets}/token")}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        });
        stage
            .put(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": home},
                "data": {"config": kubeconfig.to_string()},
            }))
            .await;
        let image = concat!("localhost/landfall:", env!("CARGO_PKG_VERSION"));
        stage
            .put(json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": home},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{
                        "name": "controller", "image": image, "args": ["controller"],
                        "env": [{"name": "KUBECONFIG", "value": "/kube/config"}],
                        "volumeMounts": [{"name": "kube", "mountPath": "/kube"}],
                    }],
                    "volumes": [{"name": "kube", "configMap": {"name": name}}],
                },
            }))
            .await;
    };
    // The account has no rights, so what it asks for is refused; but it has come that far.
    run("right", "kubernetes.default.svc").await;
    let user = format!("system:serviceaccount:{home}:default");
    eventually("a request of the operator", async || {
        let entries = stage.cluster.audit().since(Mark::START).await;
        entries
            .into_iter()
            .find(|entry| entry.user == user && entry.user_agent.starts_with("landfall/"))
    })
    .await;
    // With a name that nobody has it does not.
    run("wrong", "nowhere.default.svc").await;
    eventually("the log to say that it cannot connect", async || {
        let output = stage.cluster.kubectl(&["logs", "-n", home, "wrong"]);
        let log = String::from_utf8_lossy(&output.stdout).into_owned();
        if log.contains("client error (Connect)") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
}
