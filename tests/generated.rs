//! What is generated and committed says what its source says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // In a test, they are how it fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, process};

fn files(directory: &Path) -> BTreeMap<String, String> {
    fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}; run `make generate`", directory.display()))
        .map(|entry| {
            let path = entry.unwrap().path();
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

fn landfall(arguments: &[&str]) -> process::Output {
    process::Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn crds_are_what_the_types_say() {
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crds");
    let _ = fs::remove_dir_all(&fresh);
    let output = landfall(&["crds", "--directory", fresh.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = files(&fresh);
    let committed = files(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("crds"));
    assert_eq!(
        committed.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>(),
        "crds/ holds other files than `landfall crds` writes; run `make generate`, and delete what it does not write"
    );
    for (name, text) in expected {
        assert!(
            committed[&name] == text,
            "crds/{name} is not what the types in src/api say; run `make generate`"
        );
    }
}

#[test]
fn the_printed_stream_holds_every_crd() {
    let output = landfall(&["crds"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let names: Vec<String> = serde_saphyr::from_multiple::<serde_json::Value>(&text)
        .unwrap()
        .iter()
        .map(|crd| crd["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "apis",
            "components",
            "domains",
            "entities",
            "groups",
            "locations",
            "resources",
            "systems",
            "templates",
            "users"
        ]
        .map(|plural| format!("{plural}.catalog.landfall.dev"))
    );
}

#[test]
fn exit_codes_are_ours_and_not_those_of_the_argument_parser() {
    assert_eq!(landfall(&["crds", "--no-such-option"]).status.code(), Some(1));
    assert_eq!(landfall(&["no-such-command"]).status.code(), Some(1));
    assert_eq!(landfall(&[]).status.code(), Some(1));
    assert_eq!(landfall(&["--help"]).status.code(), Some(0));
    let nowhere = landfall(&["crds", "--directory", "/dev/null/crds"]);
    assert_eq!(nowhere.status.code(), Some(1));
    let message = String::from_utf8(nowhere.stderr).unwrap();
    assert!(
        message.starts_with("landfall: cannot write /dev/null/crds: "),
        "{message}"
    );
}
