//! Input as it is found in the world.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{ALL, Case, condition, eventually, is_current, repository};

/// The corpus of real templates, which lies beside the repository and not in it.
fn corpus() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("LANDFALL_CORPUS").map(PathBuf::from) {
        assert!(given.is_dir(), "LANDFALL_CORPUS: {} is no directory", given.display());
        return Some(given);
    }
    let beside = repository().join("../shared/corpus");
    beside.is_dir().then_some(beside)
}

/// The skeletons of Red Hat Developer Hub's templates, below the corpus.
const SKELETONS: &str = "developer-hub-templates/skeletons";

/// What becomes of one skeleton, as the manifest of a resource, not a letter changed.
enum Expected {
    /// The object is made: its API version, kind and name, and what Ready then says.
    Made(&'static str, &'static str, &'static str, &'static str),
    /// The Template does not compile.
    NoTemplate(&'static str),
    /// The instance says why nothing is made.
    NoObject(&'static str),
    /// It cannot be written as the manifest of a resource.
    NoManifest(&'static str),
}

use Expected::{Made, NoManifest, NoObject, NoTemplate};

/// Every file, in the order of their paths. `platform`, `shop` stand for the namespaces of the test.
const TABLE: &[(&str, Expected)] = &[
    ("catalog-info/catalog-info.yaml", NoManifest("")),
    ("manifests/manifests/argocd/app.yaml", NoObject("")),
    (
        "manifests/manifests/base/deployment.yaml",
        Made("apps/v1", "Deployment", "orders", ""),
    ),
    ("manifests/manifests/base/ingress.yaml", NoObject("")),
    ("manifests/manifests/base/kustomization.yaml", NoTemplate("")),
    ("manifests/manifests/base/namespace.yaml", NoObject("")),
    (
        "manifests/manifests/base/service.yaml",
        Made("v1", "Service", "orders", ""),
    ),
    (
        "tekton/tekton/eventlistener.yaml",
        Made("triggers.tekton.dev/v1alpha1", "EventListener", "orders-el", ""),
    ),
    (
        "tekton/tekton/pipeline.yaml",
        Made("tekton.dev/v1beta1", "Pipeline", "orders-pipeline", ""),
    ),
    (
        "tekton/tekton/pipelinerun.yaml",
        Made("tekton.dev/v1beta1", "PipelineRun", "orders-pipeline-run-init", ""),
    ),
    ("tekton/tekton/route.yaml", NoTemplate("")),
    (
        "tekton/tekton/triggertemplate.yaml",
        Made(
            "triggers.tekton.dev/v1alpha1",
            "TriggerTemplate",
            "orders-run-pipeline",
            "",
        ),
    ),
];

/// A Template with one resource and the parameters that the skeletons name, and a Component of it.
struct Probe<'c> {
    case: &'c Case<'c>,
    name: String,
}

impl<'c> Probe<'c> {
    async fn new(case: &'c Case<'c>, name: &str, manifest: Value) -> Self {
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
    async fn instantiate(&self, namespace: &str) {
        self.case
            .put_object(&json!({
                "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
                "metadata": {"name": self.name, "namespace": self.case.team},
                "spec": {
                    "type": "service", "lifecycle": "production", "owner": "group:default/shop",
                    "template": {
                        "ref": format!("{}/{}", self.case.platform, self.name),
                        "parameters": {"repoName": "orders", "namespace": namespace, "imageBuilder": "s2i-go"},
                    },
                },
            }))
            .await;
    }

    /// What Ready of an object of ours says of the spec as it is, once it is more than that it goes on.
    async fn says(&self, kind: &str) -> String {
        let what = format!("{kind} {} to say what becomes of it", self.name);
        let said = eventually(&what, async || {
            let object = self.case.get(kind, &self.name).await;
            let ready = condition(&object, "Ready");
            let settled =
                is_current(&object) && !matches!(ready.reason.as_str(), "" | "Pending" | "WaitingForTemplate");
            let line = format!("{}: {}", ready.reason, ready.message);
            if settled {
                Ok(line)
            } else {
                Err(format!("{:#}", object["status"]))
            }
        })
        .await;
        self.case.masked(&said)
    }
}

/// Not by a macro: what those print of a test that passes is thrown away.
fn print(text: &str) {
    writeln!(std::io::stderr(), "\n{text}\n").unwrap();
}

#[tokio::test]
async fn every_skeleton_of_developer_hub_is_made_or_says_why_not() {
    let Some(corpus) = corpus() else {
        print(&format!(
            "*** SKIPPED: real_input: there is no corpus; set LANDFALL_CORPUS to the directory that has {SKELETONS} ***"
        ));
        return;
    };
    let root = corpus.join(SKELETONS);
    let case = Case::new().await;
    let rule = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ALL});
    case.grant(&json!([
        rule("", &["namespaces", "services"]),
        rule("apps", &["deployments"]),
        rule("argoproj.io", &["applications"]),
        rule("networking.k8s.io", &["ingresses"]),
        rule("tekton.dev", &["pipelines", "pipelineruns"]),
        rule("triggers.tekton.dev", &["eventlisteners", "triggertemplates"]),
    ]))
    .await;
    let mut lines = Vec::new();
    for file in files(&root) {
        let text = std::fs::read_to_string(root.join(&file)).unwrap();
        let manifest: Value = match serde_saphyr::from_str(&text) {
            Ok(m) => m,
            Err(e) => {
                lines.push(format!("{file}: no YAML {e}"));
                continue;
            }
        };
        let name = PathBuf::from(&file).file_stem().unwrap().to_str().unwrap().to_owned();
        let probe = Probe::new(&case, &name, manifest).await;
        let t = probe.says("Template").await;
        probe.instantiate(&case.team).await;
        let c = probe.says("Component").await;
        lines.push(format!("{file}\n   T {t}\n   C {c}"));
    }
    panic!("{}", lines.join("\n"));
}

/// The files below a directory, by their paths in it.
fn files(root: &std::path::Path) -> Vec<String> {
    let (mut directories, mut files) = (vec![root.to_owned()], Vec::new());
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    files.sort();
    files
}

/// The Tekton Pipeline skeleton of Red Hat Developer Hub's templates, not a letter changed, as the manifest of
/// a resource; `values` is what it calls the parameters.
///
/// It is of `tekton.dev/v1beta1`, which Tekton stores as `v1` by a conversion webhook that is a server of its
/// own. The test cluster's Tekton CRDs have conversion strategy None instead: the apiserver stores and serves
/// the fields as they are and changes the version's name alone. So this shows that we write what the skeleton
/// says, and not that Tekton would run it.
#[tokio::test]
async fn the_tekton_pipeline_of_developer_hub() {
    const SKELETON: &str = "developer-hub-templates/skeletons/tekton/tekton/pipeline.yaml";
    let Some(corpus) = corpus() else {
        // Not by a macro: what those print of a test that passes is thrown away.
        let loud = format!(
            "\n*** SKIPPED: real_input::the_tekton_pipeline_of_developer_hub: there is no corpus; \
             set LANDFALL_CORPUS to the directory that has {SKELETON} ***\n"
        );
        writeln!(std::io::stderr(), "{loud}").unwrap();
        return;
    };
    let text = std::fs::read_to_string(corpus.join(SKELETON)).unwrap();
    let manifest: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(manifest["apiVersion"], "tekton.dev/v1beta1");

    let case = Case::new().await;
    // A pipeline's runs are shown in the instance's status, so the account sees them too.
    case.grant(&json!([
        {"apiGroups": ["tekton.dev"], "resources": ["pipelines"], "verbs": ALL},
        {"apiGroups": ["tekton.dev"], "resources": ["pipelineruns"], "verbs": ["get", "list", "watch"]},
    ]))
    .await;
    let text = |default: &str| json!({"type": "string", "default": default});
    case.put_object(&json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Template",
        "metadata": {"name": "tekton", "namespace": case.platform},
        "spec": {
            "type": "service",
            "serviceAccountName": "golden-path",
            "allowedNamespaces": {"from": "All"},
            "parameters": {
                "required": ["repoName", "namespace"],
                "properties": {
                    "repoName": {"type": "string"},
                    "namespace": {"type": "string"},
                    "orgName": text("acme"),
                    "sourceControl": text("github.com"),
                    "imageRepository": text("quay.io"),
                    "imageUrl": text("acme-images"),
                    "imageBuilder": {"type": "string", "enum": ["s2i-go", "s2i-nodejs", "buildah"], "default": "buildah"},
                },
            },
            "resources": [{"id": "pipeline", "manifest": manifest}],
        },
    }))
    .await;
    case.ready("Template", "tekton").await;
    case.put_object(&json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
        "metadata": {"name": "orders", "namespace": case.team},
        "spec": {
            "type": "service", "lifecycle": "production", "owner": "group:default/shop",
            "template": {
                "ref": format!("{}/tekton", case.platform),
                "parameters": {"repoName": "orders", "namespace": case.team, "imageBuilder": "s2i-go"},
            },
        },
    }))
    .await;
    case.ready("Component", "orders").await;
    case.conforms().await;

    let pipeline = case
        .api("tekton.dev/v1beta1", "Pipeline", &case.team)
        .get("orders-pipeline")
        .await
        .unwrap();
    let pipeline = serde_json::to_value(pipeline).unwrap();
    let written = pipeline.to_string();
    assert!(!written.contains("${{") && !written.contains("values."), "{written}");
    let spec = &pipeline["spec"];
    assert_eq!(pipeline["metadata"]["labels"]["type"], "pipeline");
    assert_eq!(spec["params"][0]["default"], "https://github.com/acme/orders");
    assert_eq!(spec["params"][2]["default"], "quay.io/acme-images/orders");
    let task = &spec["tasks"][1];
    assert_eq!(
        (&task["name"], &task["taskRef"]["name"]),
        (&json!("s2i-go"), &json!("s2i-go"))
    );
    // What Tekton substitutes is Tekton's.
    assert_eq!(task["params"][1]["value"], "$(params.output-image)");
    // All that has no expression is there as the skeleton says it.
    for path in ["/spec/tasks/0", "/spec/workspaces", "/spec/params/1"] {
        assert_eq!(pipeline.pointer(path), manifest.pointer(path), "{path}");
    }
}
