//! What becomes of each skeleton of Red Hat Developer Hub's templates.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{SKELETONS, corpus_for, files, print};
use crate::support::{ALL, Case, condition, is_current, patience, repository};

/// What becomes of one skeleton, as the manifest of a resource.
enum Expected {
    /// The object is made: its API version, kind and name, and what Ready then says.
    Made([&'static str; 3], &'static str),
    /// Nothing is made; what Ready of the Template or of the instance says.
    Not(&'static str, &'static str),
    /// It is no object before it is rendered, so no Template can hold it: what the reader of YAML says.
    NoObject(&'static str),
}

use Expected::{Made, NoObject, Not};

/// One skeleton and what becomes of it. Where `changed` says so it is as a person would write it instead.
struct Row {
    file: &'static str,
    changed: Option<(&'static str, &'static str, &'static str)>,
    expected: Expected,
}

const fn row(file: &'static str, expected: Expected) -> Row {
    Row {
        file,
        changed: None,
        expected,
    }
}

const fn changed(
    file: &'static str,
    what: &'static str,
    from: &'static str,
    to: &'static str,
    expected: Expected,
) -> Row {
    Row {
        file,
        changed: Some((what, from, to)),
        expected,
    }
}

/// What Ready says where all is well.
const READY: &str = "Ready: 1 object is as planned and healthy";

/// Every file, in the order of their paths. `platform` and `shop` stand for the namespaces of the test.
const TABLE: &[Row] = &[
    row(
        "catalog-info/catalog-info.yaml",
        NoObject("line 1 column 2: unexpected character: `%'"),
    ),
    row(
        "manifests/manifests/argocd/app.yaml",
        Not(
            "Component",
            "RenderFailed: resource \"it\", manifest.metadata.name: \"\"orders\"\" is not a legal name, expected lower-case letters, digits, - and ., beginning and ending with a letter or digit; its quotes are those of JSON: leave out the filter dump or tojson",
        ),
    ),
    changed(
        "manifests/manifests/argocd/app.yaml",
        "without its filter",
        " | dump",
        "",
        Made(
            ["argoproj.io/v1alpha1", "Application", "orders"],
            "Progressing: Application orders: no health yet, expected Healthy",
        ),
    ),
    row(
        "manifests/manifests/base/deployment.yaml",
        Made(
            ["apps/v1", "Deployment", "orders"],
            "Progressing: Deployment orders: 0 of 1 replicas available",
        ),
    ),
    row(
        "manifests/manifests/base/ingress.yaml",
        Not(
            "Component",
            "Denied: resource \"it\": Ingress shop/orders: the apiserver does not take it: .spec: expected map, got &{[map[host:orders.example.com http:map[paths:[map[backend:map[service:map[name:orders port:map[number:8080]]] path:/ pathType:Prefix]]]]]}",
        ),
    ),
    changed(
        "manifests/manifests/base/ingress.yaml",
        "with `rules` in `spec`",
        "spec:\n",
        "spec:\n  rules:\n",
        Made(
            ["networking.k8s.io/v1", "Ingress", "orders"],
            "Progressing: Ingress orders: no ingress controller has given it an address yet",
        ),
    ),
    row(
        "manifests/manifests/base/kustomization.yaml",
        Not(
            "Template",
            "InvalidTemplate: resource \"it\", manifest.metadata.name: missing; expected for example ${{ entity.metadata.name }}; resource \"it\", manifest.kind: Kustomization (kustomize.config.k8s.io/v1beta1) is not served by this cluster",
        ),
    ),
    row(
        "manifests/manifests/base/namespace.yaml",
        Not(
            "Component",
            "NamespaceNotAllowed: resource \"it\", manifest.metadata.name: the namespace shop is the one that the instance is in, and would go with it, while it waits for the instance to go; name another",
        ),
    ),
    changed(
        "manifests/manifests/base/namespace.yaml",
        "of a name that is free",
        "values.namespace",
        "values.namespace }}-${{ values.repoName",
        Made(["v1", "Namespace", "shop-orders"], READY),
    ),
    row(
        "manifests/manifests/base/service.yaml",
        Made(["v1", "Service", "orders"], READY),
    ),
    row(
        "tekton/tekton/eventlistener.yaml",
        Made(
            ["triggers.tekton.dev/v1alpha1", "EventListener", "orders-el"],
            "Progressing: EventListener orders-el: no status yet, expected the condition Ready",
        ),
    ),
    row(
        "tekton/tekton/pipeline.yaml",
        Made(["tekton.dev/v1beta1", "Pipeline", "orders-pipeline"], READY),
    ),
    row(
        "tekton/tekton/pipelinerun.yaml",
        Made(["tekton.dev/v1beta1", "PipelineRun", "orders-pipeline-run-init"], READY),
    ),
    row(
        "tekton/tekton/route.yaml",
        Not(
            "Template",
            "KindNotServed: resource \"it\", manifest.kind: Route (route.openshift.io/v1) is not served by this cluster",
        ),
    ),
    row(
        "tekton/tekton/triggertemplate.yaml",
        Made(
            ["triggers.tekton.dev/v1alpha1", "TriggerTemplate", "orders-run-pipeline"],
            READY,
        ),
    ),
];

/// A Template with one resource and the parameters that the skeletons name, and a Component of it.
struct Probe<'c> {
    case: &'c Case<'c>,
    name: String,
}

impl<'c> Probe<'c> {
    async fn new(case: &'c Case<'c>, manifest: Value) -> Self {
        let name = "probe";
        let text = |default: &str| json!({"type": "string", "default": default});
        let given = json!({"type": "string"});
        case.put_object(&json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Template",
            "metadata": {"name": name, "namespace": case.platform},
            "spec": {
                "type": "service", "serviceAccountName": "golden-path", "allowedNamespaces": {"from": "All"},
                "parameters": {
                    "required": ["repoName", "namespace"],
                    "properties": {
                        "repoName": given, "namespace": given, "hostUrl": text("orders.example.com"),
                        "orgName": text("acme"), "sourceControl": text("github.com"),
                        "imageRepository": text("quay.io"), "imageUrl": text("acme-images"),
                        "imageBuilder": {"type": "string", "enum": ["s2i-go", "s2i-nodejs", "buildah"], "default": "buildah"},
                        "port": {"type": "integer", "default": 8080},
                    },
                },
                "resources": [{"id": "it", "manifest": manifest}],
            },
        }))
        .await;
        Self {
            case,
            name: name.to_owned(),
        }
    }

    /// Applies the Component.
    async fn instantiate(&self) {
        let (case, name) = (self.case, &self.name);
        let parameters = json!({"repoName": "orders", "namespace": case.team, "imageBuilder": "s2i-go"});
        case.put_object(&json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
            "metadata": {"name": name, "namespace": case.team},
            "spec": {
                "type": "service", "lifecycle": "production", "owner": "group:default/shop",
                "template": {"ref": format!("{}/{name}", case.platform), "parameters": parameters},
            },
        }))
        .await;
    }

    /// Waits for Ready of an object of ours to say this of the spec as it is. What it says instead is the failure.
    async fn says(&self, kind: &str, expected: &str) -> Result<(), String> {
        let end = Instant::now() + patience();
        loop {
            let object = self.case.get(kind, &self.name).await;
            let ready = condition(&object, "Ready");
            let said = self.case.masked(&format!("{}: {}", ready.reason, ready.message));
            if is_current(&object) && said == expected {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("{kind} says: {said}\n  expected: {expected}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn meets(&self, expected: &Expected) -> Result<(), String> {
        match expected {
            NoObject(_) => Ok(()),
            Not("Template", said) => self.says("Template", said).await,
            Not(kind, said) => {
                self.instantiate().await;
                self.says(kind, said).await
            }
            Made([version, kind, name], said) => {
                self.instantiate().await;
                self.says("Component", said).await?;
                let name = name.replace("shop", &self.case.team);
                let namespace = if *kind == "Namespace" { "" } else { &self.case.team };
                let made = self.case.api(version, kind, namespace).get(&name).await;
                let made = made.map_err(|error| format!("{kind} {name}: {error}"))?;
                let text = serde_json::to_string(&made).unwrap();
                if text.contains("${{") || text.contains("values.") {
                    return Err(format!("not all of it is rendered: {text}"));
                }
                Ok(())
            }
        }
    }
}

#[tokio::test]
async fn every_skeleton_of_developer_hub_is_made_or_says_why_not() {
    let Some(corpus) = corpus_for("every_skeleton_of_developer_hub_is_made_or_says_why_not") else {
        return;
    };
    let root = corpus.join(SKELETONS);
    let listed: BTreeSet<&str> = TABLE.iter().map(|row| row.file).collect();
    assert_eq!(
        files(&root),
        listed.into_iter().collect::<Vec<_>>(),
        "a row for every file"
    );
    let rule = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ALL});
    let rights = json!([
        rule("", &["namespaces", "services"]),
        rule("apps", &["deployments"]),
        rule("argoproj.io", &["applications"]),
        rule("networking.k8s.io", &["ingresses"]),
        rule("tekton.dev", &["pipelines", "pipelineruns"]),
        rule("triggers.tekton.dev", &["eventlisteners", "triggertemplates"]),
    ]);
    let looks = TABLE.iter().map(async |row| {
        let text = std::fs::read_to_string(root.join(row.file)).unwrap();
        let text = row.changed.map_or(text.clone(), |(_, from, to)| text.replace(from, to));
        let manifest: Value = match (serde_saphyr::from_str(&text), &row.expected) {
            (Ok(manifest), _) => manifest,
            (Err(error), NoObject(said)) if error.to_string().contains(said) => return Ok(()),
            (Err(error), _) => return Err(format!("{}: {error}", row.file)),
        };
        // Each in namespaces of its own: two of them make objects of one name.
        let case = Case::new().await;
        case.grant(&rights).await;
        let outcome = Probe::new(&case, manifest).await.meets(&row.expected).await;
        case.conforms().await;
        outcome.map_err(|error| format!("{}: {error}", row.file))
    });
    let wrong: Vec<String> = futures::future::join_all(looks)
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    let table = table();
    print(&table);
    let document = std::fs::read_to_string(repository().join("docs/developer-hub.md")).unwrap();
    assert!(
        document.contains(&table),
        "docs/developer-hub.md does not have the table as it is"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table as it stands in `docs/developer-hub.md`.
fn table() -> String {
    let mut text = String::from("| skeleton | what becomes of it |\n|---|---|\n");
    for row in TABLE {
        let changed = row.changed.map_or(String::new(), |(what, ..)| format!(", {what}"));
        let what = match row.expected {
            Made([_, kind, name], said) => format!("{kind} `{name}` is made. {said}"),
            Not(kind, said) => format!("{kind}: {said}"),
            NoObject(said) => format!("no object before it is rendered: {said}"),
        };
        writeln!(text, "| `{}`{changed} | {what} |", row.file).unwrap();
    }
    text
}
