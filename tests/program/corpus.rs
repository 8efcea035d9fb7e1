//! The corpus of real descriptors.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The corpus of real descriptors; none where there is none.
pub fn corpus() -> Option<PathBuf> {
    let given = std::env::var_os("LANDFALL_CORPUS").map(PathBuf::from);
    let root = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"));
    if root.is_dir() {
        return Some(root);
    }
    println!("skipped: there is no corpus; LANDFALL_CORPUS names its folder");
    None
}

pub fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { yaml_files(&path) } else { vec![path] }
        })
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    found.sort();
    found
}

/// What a skeleton comes to, in form: the first of each choice, and a word for each of its expressions.
pub fn filled_in(text: &str) -> String {
    let (mut filled, mut otherwise) = (String::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("{%") {
            otherwise = line.contains("else");
            continue;
        }
        if otherwise {
            continue;
        }
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("${{") {
            filled += before;
            filled += "word";
            rest = after.split_once("}}").map_or("", |(_, rest)| rest);
        }
        let _ = writeln!(filled, "{rest}");
    }
    filled
}

/// Whether Backstage takes the document for an entity at all.
pub fn is_entity(document: &Value) -> bool {
    document["apiVersion"].is_string() && document["kind"].is_string() && document["metadata"]["name"].is_string()
}
