//! A control plane on which a real Helm installs the chart.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::helm::{NAMESPACE, RELEASE, chart, helm, helm_4, said};
use crate::support::{Cluster, Operator};

/// A cluster on which the chart can be installed, by one test at a time.
pub struct Ground {
    pub cluster: Cluster,
    /// The Helm that it is done with.
    program: &'static Path,
}

/// The one that all tests here share.
pub async fn ground() -> MutexGuard<'static, Ground> {
    ground_for(helm_4()).await
}

/// [`ground`] with another Helm.
pub async fn ground_for(program: &'static Path) -> MutexGuard<'static, Ground> {
    static SHARED: OnceCell<Mutex<Ground>> = OnceCell::const_new();
    let shared = SHARED.get_or_init(async || {
        let cluster = Cluster::own("helm").await;
        Mutex::new(Ground { cluster, program })
    });
    let mut ground = shared.await.lock().await;
    ground.program = program;
    ground
}

impl Ground {
    /// Runs Helm with a line in which `CHART` stands for the chart, whatever comes of it.
    pub fn try_helm(&self, line: &str, more: &[&str]) -> Output {
        let chart = chart();
        let chart = chart.to_str().unwrap();
        let mut arguments: Vec<&str> = line
            .split(' ')
            .map(|word| if word == "CHART" { chart } else { word })
            .collect();
        arguments.extend(["--namespace", NAMESPACE]);
        arguments.extend(more);
        helm(self.program, Some(&self.cluster.kubeconfig()), &arguments)
    }

    /// Runs Helm, which must succeed, and gives what it wrote.
    pub fn helm(&self, line: &str) -> String {
        let output = self.try_helm(line, &[]);
        assert!(output.status.success(), "helm {line}: {}", said(&output));
        said(&output)
    }

    /// Runs kubectl at the top of the repository, whatever comes of it.
    pub fn try_kubectl(&self, line: &str) -> Output {
        self.cluster.kubectl(&line.split(' ').collect::<Vec<_>>())
    }

    /// Runs kubectl at the top of the repository, which must succeed, and gives what it printed.
    pub fn kubectl(&self, line: &str) -> String {
        let output = self.try_kubectl(line);
        assert!(output.status.success(), "kubectl {line}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Takes away the definitions that every test's cluster begins with.
    pub fn without_definitions(&self) {
        self.kubectl("delete -f crds --ignore-not-found --timeout=300s");
    }

    /// A kubeconfig with which a service account of the release's namespace comes in.
    pub fn kubeconfig_of(&self, account: &str) -> PathBuf {
        let token = self.kubectl(&format!("create token {account} -n {NAMESPACE}"));
        let mut config: Value = serde_json::from_str(&self.kubectl("config view --raw --minify -o json")).unwrap();
        config["users"][0]["user"] = json!({"token": token.trim()});
        config["contexts"][0]["context"]["namespace"] = json!(NAMESPACE);
        let place = self.cluster.directory().join(format!("{account}.kubeconfig"));
        std::fs::write(&place, config.to_string()).unwrap();
        place
    }

    /// The operator as the Deployment has it: with its arguments, as its account.
    pub async fn operator(&self) -> Operator {
        let deployment: Value =
            serde_json::from_str(&self.kubectl(&format!("get deployment {RELEASE} -n {NAMESPACE} -o json"))).unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        let kubeconfig = self.kubeconfig_of(pod["serviceAccountName"].as_str().unwrap());
        let arguments: Vec<String> = serde_json::from_value(pod["containers"][0]["args"].clone()).unwrap();
        let (command, flags) = arguments.split_first().unwrap();
        assert_eq!(command, "controller");
        Operator::start_with(&self.cluster, |command| {
            // Its port is one that is free here, and its namespace is told to a pod by a file.
            command.args(flags.iter().filter(|flag| !flag.starts_with("--listen=")));
            command.args(["--lease-namespace", NAMESPACE]);
            command.env("KUBECONFIG", &kubeconfig);
        })
        .await
    }

    /// The webhook as its Deployment has it: with its arguments, as its account, on a port of this machine, to which the configurations
    /// are led, since there is no Service here.
    pub async fn webhook(&self) -> Operator {
        let name = format!("{RELEASE}-webhook");
        let deployment: Value =
            serde_json::from_str(&self.kubectl(&format!("get deployment {name} -n {NAMESPACE} -o json"))).unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        let kubeconfig = self.kubeconfig_of(pod["serviceAccountName"].as_str().unwrap());
        let arguments: Vec<String> = serde_json::from_value(pod["containers"][0]["args"].clone()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        self.lead(|path| json!({"service": null, "url": format!("https://127.0.0.1:{port}/{path}")}));
        let mut webhook =
            Operator::spawn_program(&self.cluster, Path::new(env!("CARGO_BIN_EXE_landfall")), |command| {
                let own = ["--listen=", "--webhook-listen=", "--server-name="];
                command.args(
                    arguments
                        .iter()
                        .filter(|flag| !own.iter().any(|own| flag.starts_with(own))),
                );
                command.args(["--server-name=127.0.0.1", "--secret-namespace", NAMESPACE]);
                command.arg(format!("--webhook-listen=127.0.0.1:{port}"));
                command.env("KUBECONFIG", &kubeconfig);
            })
            .unwrap();
        if let Err(why) = webhook.wait_ready().await {
            panic!("the webhook did not become ready: {why}");
        }
        webhook
    }

    /// Leads the webhook configurations somewhere.
    pub fn lead(&self, client: impl Fn(&str) -> Value) {
        for path in ["instances", "deletions"] {
            let webhook = json!({"name": format!("{path}.catalog.landfall.dev"), "clientConfig": client(path)});
            let (configuration, patch) = (format!("{RELEASE}-{path}"), json!({"webhooks": [webhook]}).to_string());
            let command = [
                "patch",
                "validatingwebhookconfigurations",
                &configuration,
                "--type=strategic",
                "-p",
                &patch,
            ];
            let output = self.cluster.kubectl(&command);
            assert!(output.status.success(), "{}", said(&output));
        }
    }

    /// Which the quickstart's component is, and how often it was changed.
    pub fn generation(&self) -> Value {
        let hello: Value = serde_json::from_str(&self.kubectl("get components hello -n quickstart -o json")).unwrap();
        json!([hello["metadata"]["uid"], hello["metadata"]["generation"]])
    }
}
