//! Input as it is found in the world.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{ALL, Case, repository};

/// The corpus of real templates, which lies beside the repository and not in it.
fn corpus() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("LANDFALL_CORPUS").map(PathBuf::from) {
        assert!(given.is_dir(), "LANDFALL_CORPUS: {} is no directory", given.display());
        return Some(given);
    }
    let beside = repository().join("../shared/corpus");
    beside.is_dir().then_some(beside)
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
