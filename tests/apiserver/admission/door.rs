//! A webhook that the apiserver asks about the namespaces of one case, with the configurations that the chart renders.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};

use crate::support::{ALL, Case, Operator, eventually, repository};

/// The Secret of every door, in the platform's namespace.
pub const SECRET: &str = "landfall-webhook";

/// What a program said.
pub struct Said {
    pub done: bool,
    pub text: String,
}

impl Said {
    #[track_caller]
    pub fn has(&self, line: &str) -> &Self {
        assert!(self.text.contains(line), "\"{line}\" is not in:\n{}", self.text);
        self
    }

    #[track_caller]
    pub fn has_not(&self, line: &str) -> &Self {
        assert!(!self.text.contains(line), "\"{line}\" is in:\n{}", self.text);
        self
    }

    #[track_caller]
    pub fn done(&self) -> &Self {
        assert!(self.done, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn refused(&self) -> &Self {
        assert!(!self.done, "it was not refused:\n{}", self.text);
        self
    }
}

/// A webhook, and the configurations that lead to it.
pub struct Door<'c> {
    pub case: &'c Case<'c>,
    /// The first process.
    pub webhook: Operator,
    pub port: u16,
}

/// The chart's objects of one kind, as `deploy/` has them.
pub fn shipped(kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(repository().join("deploy/webhook.yaml")).unwrap();
    let documents = text
        .split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).unwrap());
    documents.filter(|document: &Value| document["kind"] == kind).collect()
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl<'c> Door<'c> {
    /// A door that is asked from now on, with further arguments of the webhook's.
    pub async fn open(case: &'c Case<'c>, more: &[&str]) -> Self {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": case.platform}, "type": "Opaque",
        });
        case.put_object(&secret).await;
        let port = free_port();
        for path in ["instances", "deletions"] {
            case.put_object(&Self::configuration(case, path, port)).await;
        }
        let mut door = Self {
            case,
            webhook: Self::process(case, port, more),
            port,
        };
        if let Err(why) = door.webhook.wait_ready().await {
            panic!("the webhook did not become ready: {why}");
        }
        door.asked().await;
        door
    }

    /// A webhook's process that is not waited for.
    pub fn process(case: &Case<'_>, port: u16, more: &[&str]) -> Operator {
        let program = Path::new(env!("CARGO_BIN_EXE_landfall"));
        Operator::spawn_program(case.cluster, program, |command| {
            command.args(["webhook", "--server-name", "127.0.0.1", "--secret", SECRET]);
            command.args(["--secret-namespace", &case.platform]);
            command.arg(format!("--webhook-listen=127.0.0.1:{port}"));
            for path in ["instances", "deletions"] {
                command.arg(format!("--configuration={}", name(case, path)));
            }
            command.args(more);
        })
        .unwrap()
    }

    /// A configuration as the chart has it, which asks at a port of this machine, about the namespaces of the case alone.
    pub fn configuration(case: &Case<'_>, path: &str, port: u16) -> Value {
        let mut all = shipped("ValidatingWebhookConfiguration");
        all.retain(|one| one["webhooks"][0]["clientConfig"]["service"]["path"] == format!("/{path}"));
        let mut found = all.pop().unwrap_or_else(|| panic!("no configuration for {path}"));
        found["metadata"] = json!({"name": name(case, path)});
        found["webhooks"][0]["clientConfig"] = json!({"url": format!("https://127.0.0.1:{port}/{path}")});
        let expressions = &mut found["webhooks"][0]["namespaceSelector"]["matchExpressions"];
        expressions.as_array_mut().unwrap().push(json!({
            "key": "kubernetes.io/metadata.name", "operator": "In", "values": [case.team, case.platform],
        }));
        found
    }

    /// Waits until the apiserver asks, which learns of configurations by a watch.
    pub async fn asked(&self) {
        let probe = component("probe", "{ref: PLATFORM/there-is-none}");
        eventually("the apiserver to ask", async || {
            let said = self.kubectl("apply --dry-run=server -f -", &probe);
            (said.done && said.text.contains("there-is-none does not exist"))
                .then_some(())
                .ok_or(said.text)
        })
        .await;
    }

    /// Runs kubectl with YAML as its input. The namespaces of the case go by other names in what it says.
    pub fn kubectl(&self, line: &str, yaml: &str) -> Said {
        kubectl(self.case, line, yaml)
    }

    /// Applies YAML as a person would.
    pub fn apply(&self, yaml: &str) -> Said {
        self.kubectl("apply -f -", yaml)
    }

    /// What the webhook has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.webhook.log()).unwrap()
    }

    /// How often the webhook has given an answer: `answers("instances", "refused")`.
    pub async fn answers(&self, webhook: &str, answer: &str) -> u64 {
        let (_, text) = self.webhook.get("/metrics").await.unwrap();
        let labels = [format!("webhook=\"{webhook}\""), format!("answer=\"{answer}\"")];
        let line = text.lines().find(|line| {
            line.starts_with("landfall_admission_total{") && labels.iter().all(|label| line.contains(label))
        });
        line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
    }
}

/// The configurations go with the door: nobody would answer.
pub async fn close(case: &Case<'_>) {
    let api = case.api("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "");
    for path in ["instances", "deletions"] {
        let _ = api.delete(&name(case, path), &DeleteParams::default()).await;
    }
}

/// The name of a configuration of a case.
pub fn name(case: &Case<'_>, path: &str) -> String {
    format!("{}-{path}", case.platform)
}

/// See [`Door::kubectl`].
pub fn kubectl(case: &Case<'_>, line: &str, yaml: &str) -> Said {
    let line = case.named(line);
    let mut child = case
        .cluster
        .kubectl_command(&line.split(' ').collect::<Vec<_>>())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let _ = input.write_all(case.named(yaml).as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    Said {
        done: output.status.success(),
        text: case.masked(&text),
    }
}

/// A Component of the team with this `spec.template`.
pub fn component(name: &str, template: &str) -> String {
    component_with(name, &format!("template: {template}"))
}

/// A Component of the team with more in its spec.
pub fn component_with(name: &str, more: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Component
metadata: {{name: {name}, namespace: TEAM}}
spec: {{type: service, lifecycle: production, owner: shop, {more}}}
"
    )
}

/// A Template `web` of the platform's: a namespace for each instance, and settings in it.
pub fn template(version: &str, allowed: &str, parameters: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {{name: web, namespace: PLATFORM}}
spec:
  type: service
  version: \"{version}\"
  serviceAccountName: golden-path
  allowedNamespaces: {allowed}
  parameters: {{properties: {parameters}}}
  resources:
  - {{id: ns, manifest: {{apiVersion: v1, kind: Namespace, metadata: {{name: '${{{{ entity.metadata.namespace }}}}-${{{{ entity.metadata.name }}}}'}}}}}}
  - {{id: settings, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: settings, namespace: '${{{{ resources.ns.metadata.name }}}}'}}, data: {{version: '${{{{ template.version }}}}'}}}}}}
"
    )
}

/// The parameters that most tests offer.
pub const PARAMETERS: &str = "{replicas: {type: integer, maximum: 10, default: 1}, host: {type: string}, tier: {enum: [gold, silver], default: gold}}";

/// A case with the Template, compiled, and a door before it.
pub async fn with_template(case: &Case<'_>) {
    // A namespace is deleted after a look at the volumes in it.
    let resources = ["namespaces", "configmaps", "persistentvolumeclaims"];
    case.grant(&json!([{"apiGroups": [""], "resources": resources, "verbs": ALL}]))
        .await;
    case.put(&template("1", "{from: All}", PARAMETERS)).await;
    case.ready("Template", "web").await;
}
