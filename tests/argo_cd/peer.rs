//! Argo CD as processes of this machine: its repository server, its application controller, and Redis; and the Git repositories
//! that it reads.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::{
    Cluster, Operator, Stage, built, condition, eventually, eventually_within, patience, repository, skipped, spawn,
    tail,
};

/// A cluster with an operator and an Argo CD. The processes end with this one.
pub struct ArgoCd {
    pub cluster: Cluster,
    program: PathBuf,
    directory: PathBuf,
    operator: Operator,
    processes: Vec<Child>,
}

/// How long Argo CD may take: it looks at everything every ten seconds, and at what it is asked about at once.
pub fn long() -> Duration {
    patience() * 4
}

/// The one that all tests share; the first to ask starts it. None where it has not been built.
pub async fn argo_cd(test: &str) -> Option<&'static ArgoCd> {
    static SHARED: OnceCell<Option<ArgoCd>> = OnceCell::const_new();
    let shared = SHARED.get_or_init(async || {
        let program = program()?;
        let cluster = Cluster::own("argo-cd").await;
        let operator = Operator::start(&cluster).await;
        Some(ArgoCd::start(program, cluster, operator).await)
    });
    let found = shared.await.as_ref();
    if found.is_none() {
        skipped(test, "there is no Argo CD here; tests/cluster/cluster argocd builds it");
    }
    found
}

/// Where Argo CD is, if it was built and there is a Redis.
pub fn program() -> Option<PathBuf> {
    let redis = Command::new("redis-server")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    built("argocd").filter(|_| redis.is_ok())
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl ArgoCd {
    /// Starts it beside an operator.
    pub async fn start(program: PathBuf, cluster: Cluster, operator: Operator) -> Self {
        let directory = cluster.directory().join("argocd");
        for place in ["tls", "ssh", "home", "tmp"] {
            fs::create_dir_all(directory.join(place)).unwrap();
        }
        fs::write(directory.join("ssh/ssh_known_hosts"), "").unwrap();
        let mut argo = Self {
            cluster,
            program,
            directory,
            operator,
            processes: Vec::new(),
        };
        argo.configure().await;
        argo.run();
        argo
    }

    /// What an installation of Argo CD has on the cluster beside its definitions, and our health scripts as docs/gitops.md says.
    async fn configure(&self) {
        let stage = Stage::on(&self.cluster, "argo-cd").await;
        stage
            .put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}}))
            .await;
        let labels = json!({"app.kubernetes.io/part-of": "argocd"});
        for (kind, name) in [
            ("ConfigMap", "argocd-cm"),
            ("ConfigMap", "argocd-rbac-cm"),
            ("Secret", "argocd-secret"),
        ] {
            let mut object = json!({
                "apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "argocd", "labels": labels},
            });
            if kind == "Secret" {
                object["stringData"] = json!({"server.secretkey": "only-for-tests"});
            }
            stage.put(object).await;
        }
        let any = json!([{"server": "*", "namespace": "*"}]);
        let spec = json!({"sourceRepos": ["*"], "destinations": any, "clusterResourceWhitelist": [{"group": "*", "kind": "*"}]});
        let project = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
            "metadata": {"name": "default", "namespace": "argocd"}, "spec": spec});
        self.apply(&project);
        self.kubectl(&[
            "patch",
            "configmap",
            "argocd-cm",
            "-n",
            "argocd",
            "--type",
            "merge",
            "--patch-file",
            "deploy/argocd/argocd-cm.yaml",
        ]);
    }

    fn run(&mut self) {
        let [redis, repositories, metrics, more_metrics] = [(); 4].map(|()| free_port());
        let home = self.directory.clone();
        let port = redis.port().to_string();
        let quiet = [
            "--save",
            "",
            "--appendonly",
            "no",
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
        ];
        self.spawn(Path::new("redis-server"), "redis", |command| {
            command.args(quiet).current_dir(&home);
        });
        let program = self.program.clone();
        let (redis, server) = (redis.to_string(), repositories.to_string());
        let arguments = [
            "--disable-tls".to_owned(),
            format!("--redis={redis}"),
            "--address=127.0.0.1".to_owned(),
            format!("--port={}", repositories.port()),
            "--metrics-address=127.0.0.1".to_owned(),
            format!("--metrics-port={}", metrics.port()),
            "--revision-cache-expiration=5s".to_owned(),
        ];
        self.spawn(&program, "argocd-repo-server", |command| {
            command.args(arguments);
        });
        let kubeconfig = self.cluster.kubeconfig();
        let arguments = [
            format!("--kubeconfig={}", kubeconfig.display()),
            "--namespace=argocd".to_owned(),
            format!("--redis={redis}"),
            format!("--repo-server={server}"),
            "--repo-server-plaintext".to_owned(),
            "--app-resync=10".to_owned(),
            "--app-resync-jitter=0".to_owned(),
            format!("--metrics-port={}", more_metrics.port()),
            // So that an Application lists what is said of each object.
            "--persist-resource-health".to_owned(),
        ];
        self.spawn(&program, "argocd-application-controller", |command| {
            command.args(arguments);
        });
    }

    fn spawn(&mut self, program: &Path, name: &str, prepare: impl FnOnce(&mut Command)) {
        let output = File::create(self.log(name)).unwrap();
        let errors = output.try_clone().unwrap();
        let place = |name: &str| self.directory.join(name);
        let child = spawn(program, |command| {
            command
                .env("ARGOCD_BINARY_NAME", name)
                .env("ARGOCD_FAKE_IN_CLUSTER", "true")
                .env("ARGOCD_GPG_ENABLED", "false")
                .env("ARGOCD_TLS_DATA_PATH", place("tls"))
                .env("ARGOCD_SSH_DATA_PATH", place("ssh"))
                .env("KUBECONFIG", self.cluster.kubeconfig())
                .env("HOME", place("home"))
                .env("TMPDIR", place("tmp"))
                .stdin(Stdio::null())
                .stdout(output)
                .stderr(errors);
            prepare(command);
        });
        self.processes.push(child.unwrap());
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }

    /// What is resident of the operator, and of Redis and Argo CD together, in words.
    pub fn memory(&self) -> String {
        let resident = |process: u32| -> u64 {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
                .unwrap_or(0)
        };
        let theirs: u64 = self.processes.iter().map(|child| resident(child.id())).sum();
        format!(
            "resident: operator {} MB, Argo CD {} MB",
            resident(self.operator.id()) / 1024,
            theirs / 1024
        )
    }

    /// The last lines of the controller's log.
    pub fn log_tail(&self) -> String {
        tail(&self.log("argocd-application-controller"))
    }

    /// Runs kubectl at the top of the repository, which must succeed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self
            .cluster
            .kubectl_command(arguments)
            .current_dir(repository())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "kubectl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Applies an object of a kind that [`Stage`] does not know.
    pub fn apply(&self, object: &Value) {
        self.apply_text(object["metadata"]["name"].as_str().unwrap(), &object.to_string());
    }

    /// Applies the objects of a text, which `name` tells from others.
    pub fn apply_text(&self, name: &str, text: &str) {
        let file = self.directory.join(format!("{name}.yaml"));
        fs::write(&file, text).unwrap();
        self.kubectl(&["apply", "--server-side", "-f", file.to_str().unwrap()]);
    }

    /// A new Git repository.
    pub fn git(&self, name: &str) -> Git {
        Git::new(&self.directory.join("git").join(name))
    }

    /// A namespace, and a Git repository and an Application of the same name.
    pub async fn delivery(&'static self, name: &str) -> Delivery {
        let stage = Stage::on(&self.cluster, name).await;
        let git = self.git(&stage.home);
        Delivery { argo: self, stage, git }
    }
}

/// What one test has Argo CD deliver.
pub struct Delivery {
    pub argo: &'static ArgoCd,
    pub stage: Stage<'static>,
    pub git: Git,
}

impl Delivery {
    /// Makes the Application, which has Argo CD keep the cluster as the repository says.
    pub fn begin(&self) {
        let name = &self.stage.home;
        self.argo.apply(&json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd"},
            "spec": {
                "project": "default",
                "source": {"repoURL": self.git.url(), "targetRevision": "main", "path": ".",
                    "directory": {"recurse": true}},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": name},
                "syncPolicy": {
                    "automated": {"prune": true, "selfHeal": true, "allowEmpty": true},
                    "syncOptions": ["ServerSideApply=true"],
                    "retry": {"limit": 5, "backoff": {"duration": "2s", "factor": 1, "maxDuration": "2s"}},
                },
            },
        }));
    }

    pub async fn application(&self) -> Value {
        self.stage
            .get(("Application", "argocd", &self.stage.home))
            .await
            .unwrap()
    }

    /// Asks Argo CD to look at once, as its user interface does.
    pub async fn refresh(&self, how: &str) {
        let change = json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": how}}});
        self.stage
            .edit(("Application", "argocd", &self.stage.home), change)
            .await;
    }

    /// Has Argo CD compare everything anew, and waits until it has.
    pub async fn compared(&self) {
        self.refresh("hard").await;
        eventually_within(long(), "Argo CD to have compared", async || {
            let annotations = &self.application().await["metadata"]["annotations"];
            let asked = annotations["argocd.argoproj.io/refresh"].clone();
            asked.is_null().then_some(()).ok_or(asked.to_string())
        })
        .await;
    }

    /// Commits what was written, and has Argo CD look.
    pub async fn commit(&self) {
        self.git.commit();
        self.refresh("normal").await;
    }

    /// Waits until the newest commit is on the cluster and the whole is `health`.
    pub async fn becomes(&self, health: &str) -> Value {
        self.becomes_so(&format!("Synced and {health}"), |status| {
            status["sync"]["status"] == "Synced" && status["health"]["status"] == health
        })
        .await
    }

    /// Waits until Argo CD has compared the newest commit, and `holds` for the Application's status.
    pub async fn becomes_so(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let head = self.git.head();
        let what = format!("Application {} to be {what} at {head}", self.stage.home);
        eventually_within(long(), &what, async || {
            let application = self.application().await;
            let status = &application["status"];
            if status["sync"]["revision"] == head.as_str() && holds(status) {
                return Ok(application);
            }
            let operation = &status["operationState"];
            Err(format!(
                "{} {} at {}; {} {}; {}\n{}",
                status["sync"]["status"],
                status["health"]["status"],
                status["sync"]["revision"],
                operation["phase"],
                operation["message"],
                status["conditions"],
                self.argo.log_tail()
            ))
        })
        .await
    }
}

/// What Argo CD says of one object of an Application: the word, and the message.
pub fn said_of<'a>(application: &'a Value, kind: &str, name: &str) -> (&'a str, &'a str) {
    let resources = application["status"]["resources"].as_array();
    let resource = resources
        .into_iter()
        .flatten()
        .find(|resource| resource["kind"] == kind && resource["name"] == name)
        .unwrap_or_else(|| panic!("{kind} {name} is not in {:#}", application["status"]["resources"]));
    let text = |name: &str| resource["health"][name].as_str().unwrap_or_default();
    (text("status"), text("message"))
}

/// A Git repository with a working tree.
pub struct Git {
    place: PathBuf,
}

impl Git {
    /// An empty one, whose branch is `main`.
    pub fn new(place: &Path) -> Self {
        fs::create_dir_all(place).unwrap();
        let git = Self {
            place: place.to_owned(),
        };
        git.run(&["init", "--quiet", "--initial-branch=main"]);
        git
    }

    /// Where its working tree is.
    pub fn place(&self) -> &Path {
        &self.place
    }

    pub fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=Tests",
                "-c",
                "user.email=tests@example.com",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .current_dir(&self.place)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// As an Application names it.
    pub fn url(&self) -> String {
        format!("file://{}", self.place.display())
    }

    /// Writes a file of these objects.
    pub fn write(&self, name: &str, objects: &[Value]) {
        let documents: Vec<String> = objects.iter().map(|object| format!("{object:#}\n")).collect();
        self.write_text(name, &documents.join("---\n"));
    }

    /// Writes a file, and the folder that it lies in.
    pub fn write_text(&self, name: &str, text: &str) {
        let place = self.place.join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.place.join(name)).unwrap();
    }

    pub fn commit(&self) {
        self.run(&["add", "--all"]);
        self.run(&["commit", "--quiet", "--message", "A change"]);
    }

    pub fn head(&self) -> String {
        self.run(&["rev-parse", "HEAD"]).trim().to_owned()
    }
}

/// The files of examples/argo-cd by name, with the newest commit of a repository of this machine in place of one that does not exist.
pub fn with_repository(git: &Git) -> Vec<(&'static str, String)> {
    let (url, head) = (git.url(), git.head());
    let (folder, _) = url.rsplit_once('/').unwrap();
    let names = ["namespaces", "accounts", "product", "delivered-service", "shop"];
    let read = |name| {
        let text = fs::read_to_string(repository().join(format!("examples/argo-cd/{name}.yaml"))).unwrap();
        let text = text
            .replace("^(https|ssh)://", "^(https|file)://")
            .replace("https://git.example.com/shop/shipping", &url)
            .replace("https://git.example.com/shop", folder)
            .replace("4f2c1e9", &head);
        (name, text)
    };
    names.into_iter().map(read).collect()
}
