//! The templates of the examples and of the documentation compile, and slips in them are found.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::api::template::TemplateSpec;
use crate::template::kinds::Assumed;

/// Every file below `path`.
fn files(path: &Path) -> Vec<PathBuf> {
    match fs::read_dir(path) {
        Ok(entries) => entries.flat_map(|entry| files(&entry.unwrap().path())).collect(),
        Err(_) => vec![path.to_owned()],
    }
}

/// The YAML of a file; of Markdown, its blocks of YAML.
fn yaml(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    if file.extension().is_some_and(|extension| extension == "md") {
        let blocks = text.split("```yaml\n").skip(1);
        return blocks
            .filter_map(|block| Some(block.split_once("```")?.0.to_owned()))
            .collect();
    }
    vec![text]
}

/// The templates that the repository shows.
fn templates() -> Vec<(String, Content)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["README.md", "docs", "examples"]
        .iter()
        .flat_map(|name| files(&root.join(name)));
    let mut found = Vec::new();
    for file in files {
        for text in yaml(&file).iter().filter(|text| text.contains("kind: Template\n")) {
            let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
            for document in documents
                .iter()
                .filter(|document| document["kind"] == json!("Template"))
            {
                let spec: TemplateSpec = serde_json::from_value(document["spec"].clone()).unwrap();
                found.push((file.display().to_string(), Content::of(&spec)));
            }
        }
    }
    found
}

#[test]
fn every_template_that_is_shown_compiles() {
    let templates = templates();
    assert!(templates.len() > 3, "{}", templates.len());
    for (file, content) in templates {
        if let Err(faults) = compile(&content, "1", &Assumed, &Policy::default()) {
            panic!("{file}: {}", texts(&faults).join("\n"));
        }
    }
}

#[test]
fn a_slip_in_the_golden_path_is_found() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/golden-path/template.yaml");
    let text = fs::read_to_string(path).unwrap();
    let (right, wrong) = ("${{ each.value.replicas + 1 }}", "${{ each.value.podz }}");
    assert!(text.contains(right));
    let document: Value = serde_saphyr::from_str(&text.replace(right, wrong)).unwrap();
    let spec: TemplateSpec = serde_json::from_value(document["spec"].clone()).unwrap();
    let found = texts(&compile(&Content::of(&spec), "1", &Assumed, &Policy::default()).unwrap_err());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("spec.hard.pods: each.value.podz does not exist; each.value has "),
        "{found:?}"
    );
}
