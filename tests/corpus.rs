//! The templates of Backstage's demo and of Red Hat Developer Hub, where they are at hand: each compiles, or what is
//! not supported is named. `LANDFALL_CORPUS` is their folder; without it, `../shared/corpus` beside the repository.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // In a test, they are how it fails.

use std::path::{Path, PathBuf};

use landfall::api::template::TemplateSpec;
use landfall::template::compile::{Policy, compile};
use landfall::template::content::Content;
use landfall::template::kinds::Assumed;
use serde_json::{Value, json};

/// Every YAML document of the corpus with its file's name; none where there is no corpus.
fn documents() -> Option<Vec<(String, Value)>> {
    let given = std::env::var_os("LANDFALL_CORPUS").map(PathBuf::from);
    let root = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"));
    if !root.is_dir() {
        println!("skipped: there is no corpus; LANDFALL_CORPUS names its folder");
        return None;
    }
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        for document in std::fs::read_to_string(&file).unwrap().split("\n---") {
            // A skeleton with block tags between its lines is no YAML before it is rendered.
            if let Ok(value) = serde_saphyr::from_str::<Value>(document) {
                found.push((name.clone(), value));
            }
        }
    }
    Some(found)
}

fn faults(content: &Content) -> Vec<String> {
    compile(content, "1", &Assumed, &Policy::default())
        .err()
        .into_iter()
        .flatten()
        .map(|fault| fault.to_string())
        .collect()
}

#[test]
fn every_template_compiles() {
    let Some(documents) = documents() else { return };
    let mut templates = 0;
    let mut broken = Vec::new();
    for (file, document) in documents {
        if document["kind"] != "Template" {
            continue;
        }
        templates += 1;
        match serde_json::from_value::<TemplateSpec>(document["spec"].clone()) {
            Ok(spec) => {
                broken.extend(
                    faults(&Content::of(&spec))
                        .into_iter()
                        .map(|fault| format!("{file}: {fault}")),
                );
            }
            Err(error) => broken.push(format!("{file}: {error}")),
        }
    }
    assert_eq!(broken, Vec::<String>::new());
    assert!(templates > 15, "only {templates} templates were found");
}

#[test]
fn every_expression_is_understood_or_what_it_lacks_is_named() {
    let Some(documents) = documents() else { return };
    let mut expressions = 0;
    for (file, document) in documents {
        expressions += document.to_string().matches("${{").count();
        let content: Content = serde_json::from_value(json!({
            "parameters": {"additionalProperties": true},
            "resources": [{"id": "all", "manifest": {
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "all"}, "data": document,
            }}],
        }))
        .unwrap();
        for fault in faults(&content) {
            // What only a running step, a person's session or a skeleton's own variable gives.
            let named = [
                "`steps` is not known",
                "`secrets` is not known",
                "`user` is not known",
                "`each` has a meaning only",
                "`name` is not known",
            ];
            assert!(named.iter().any(|named| fault.contains(named)), "{file}: {fault}");
        }
    }
    assert!(expressions > 400, "only {expressions} expressions were found");
}
