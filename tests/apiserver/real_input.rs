//! Input as it is found in the world.

mod skeletons;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{ALL, Case, condition, repository};

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

/// Not by a macro: what those print of a test that passes is thrown away.
fn print(text: &str) {
    std::io::stderr().write_all(format!("\n{text}\n\n").as_bytes()).unwrap();
}

/// The corpus, or a loud word that a test is left out.
fn corpus_for(test: &str) -> Option<PathBuf> {
    let found = corpus();
    if found.is_none() {
        print(&format!(
            "*** SKIPPED: real_input::{test}: there is no corpus; set LANDFALL_CORPUS to the directory that has {SKELETONS} ***"
        ));
    }
    found
}

/// Those of the corpus's Templates that the apiserver does not take, and why.
const REFUSED: &[(&str, &str)] = &[(
    "sdlc-app-template",
    "owner service@example.com is not an entity ref; write [kind:][namespace/]name, for example group:default/team-a",
)];

/// The Templates of Backstage's demo and of Developer Hub, as Templates of ours without resources.
#[tokio::test]
async fn every_template_of_the_corpus_is_taken_and_says_that_its_steps_do_not_run() {
    let Some(corpus) = corpus_for("every_template_of_the_corpus_is_taken_and_says_that_its_steps_do_not_run") else {
        return;
    };
    let case = Case::new().await;
    let mut names = BTreeSet::new();
    for file in files(&corpus) {
        let text = std::fs::read_to_string(corpus.join(&file)).unwrap_or_default();
        for document in text.split("\n---") {
            let Ok(found) = serde_saphyr::from_str::<Value>(document) else {
                continue;
            };
            if found["kind"] != "Template" {
                continue;
            }
            let metadata = &found["metadata"];
            let mut spec = found["spec"].clone();
            // Backstage's Template has no such field either; some of these have it all the same.
            spec.as_object_mut().unwrap().remove("system");
            for field in ["title", "description", "tags"] {
                if !metadata[field].is_null() {
                    spec[field] = metadata[field].clone();
                }
            }
            let name = metadata["name"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "two are called {name}");
            let object = json!({
                "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Template",
                "metadata": {"name": name, "namespace": case.platform}, "spec": spec,
            });
            match REFUSED.iter().find(|(refused, _)| *refused == name) {
                Some((_, why)) => {
                    let said = case.refused_at_once(&object.to_string()).await;
                    assert!(said.contains(why), "{name}: {said}");
                    names.remove(name);
                }
                None => drop(case.put_object(&object).await),
            }
        }
    }
    for name in &names {
        let template = case.ready("Template", name).await;
        let steps = condition(&template, "StepsSupported");
        assert_eq!(steps.status, "False", "{name}");
        if name == "define-ansible-job-template" {
            assert_eq!(
                steps.message,
                "spec.steps are stored and are not run yet (fetch:template, publish:github:pull-request, catalog:register); what is to live goes to spec.resources"
            );
        }
    }
    assert!(names.len() > 15, "{names:?}");
    case.conforms().await;
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
