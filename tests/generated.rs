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

/// Compares a directory of the repository with what the program writes for `option`.
fn holds(committed: &str, option: &str, below: &str) {
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join(committed);
    let _ = fs::remove_dir_all(&fresh);
    let output = landfall(&["crds", option, fresh.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = files(&fresh.join(below));
    let found = files(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(committed).join(below));
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>(),
        "{committed}/ holds other files than `landfall crds` writes; run `make generate`, and delete what it does not write"
    );
    for (name, text) in expected {
        assert!(
            found[&name] == text,
            "{committed}/{name} is not what the types in src/api say; run `make generate`"
        );
    }
}

#[test]
fn crds_are_what_the_types_say() {
    holds("crds", "--directory", "");
}

#[test]
fn schemas_are_what_the_types_say() {
    holds("schemas", "--schemas", "catalog.landfall.dev");
}

/// The examples that people begin with pass the published schemas, and a misspelled field does not.
#[test]
fn the_quickstart_passes_the_published_schemas() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("examples/quickstart.yaml")).unwrap();
    let mut checked = 0;
    for object in serde_saphyr::from_multiple::<serde_json::Value>(&text).unwrap() {
        let Some(version) = object["apiVersion"]
            .as_str()
            .unwrap()
            .strip_prefix("catalog.landfall.dev/")
        else {
            continue;
        };
        let kind = object["kind"].as_str().unwrap().to_lowercase();
        let place = root.join(format!("schemas/catalog.landfall.dev/{kind}_{version}.json"));
        let schema: serde_json::Value = serde_json::from_str(&fs::read_to_string(place).unwrap()).unwrap();
        if let Err(error) = jsonschema::validate(&schema, &object) {
            panic!("{kind}: {error}");
        }
        let mut misspelled = object.clone();
        misspelled["spec"]["typ"] = serde_json::json!("service");
        assert!(!jsonschema::is_valid(&schema, &misspelled), "{kind}");
        checked += 1;
    }
    assert_eq!(checked, 3);
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

/// Tests take other projects' definitions out of those projects' modules (`tests/cluster/peers.txt`).
#[test]
fn the_repository_holds_no_definition_outside_our_group() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = process::Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .unwrap_or_else(|error| panic!("git: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).unwrap();
    let (mut ours, mut others) = (0, Vec::new());
    for name in listed.split_terminator('\0') {
        // A file that is deleted and not yet committed so is listed too; what is no text is no definition.
        let Ok(text) = fs::read_to_string(root.join(name)) else {
            continue;
        };
        for document in text.split("\n---") {
            match group_of_definition(name, document) {
                Some(group) if group == "catalog.landfall.dev" => ours += 1,
                Some(group) => others.push(format!("{name}: {group}")),
                None => {}
            }
        }
    }
    assert_eq!(
        others,
        Vec::<String>::new(),
        "of {} files",
        listed.matches('\0').count()
    );
    assert!(
        ours >= 3,
        "only {ours} of our own definitions were seen, so others may have been missed"
    );
}

/// The group of the `CustomResourceDefinition` that a document is; `?` where it cannot be told.
fn group_of_definition(name: &str, document: &str) -> Option<String> {
    let says = |line: &str| {
        let line: String = line
            .chars()
            .filter(|letter| !matches!(letter, ' ' | '"' | '\'' | ','))
            .collect();
        line == "kind:CustomResourceDefinition"
    };
    // In our own programs they are made of parts, for kinds that tests define.
    let is_program = Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "rs" || extension == "go");
    if is_program || !document.lines().any(says) {
        return None;
    }
    let definition = serde_saphyr::from_str::<serde_json::Value>(document).ok();
    let group = definition.and_then(|definition| Some(definition["spec"]["group"].as_str()?.to_owned()));
    Some(group.unwrap_or_else(|| "?".to_owned()))
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

/// The names of all fields below a schema, but for those of a condition, which are everyone's.
fn fields(schema: &serde_json::Value, found: &mut Vec<String>) {
    let named = schema["properties"].as_object().into_iter().flatten();
    for (name, below) in named {
        found.push(name.clone());
        if name != "conditions" {
            fields(below, found);
        }
    }
    for below in ["items", "additionalProperties"] {
        if schema[below].is_object() {
            fields(&schema[below], found);
        }
    }
}

/// The words that stand between backticks.
fn quoted(page: &str) -> std::collections::BTreeSet<&str> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted
        .flat_map(|text| text.split(|letter: char| !letter.is_ascii_alphanumeric()))
        .collect()
}

/// What is common to kinds stands on the page to which theirs leads.
const COMMON: [&str; 3] = ["catalog.md", "component.md", "group.md"];

#[test]
fn every_field_of_every_kind_is_named_on_its_page() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let read = |name: &str| fs::read_to_string(docs.join(name)).unwrap_or_else(|error| panic!("docs/{name}: {error}"));
    let mut missing = Vec::new();
    for (file, text) in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")) {
        let definition: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let own = format!(
            "{}.md",
            definition["spec"]["names"]["kind"].as_str().unwrap().to_lowercase()
        );
        let mut page = read(&own);
        let leads_to: Vec<&str> = COMMON
            .into_iter()
            .filter(|name| page.contains(&format!("]({name}")))
            .collect();
        for name in leads_to {
            page.push_str(&read(name));
        }
        assert!(
            page.contains("## Spec") && page.contains("## Working with it") && page.contains("## Status"),
            "{own}"
        );
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        let mut names = Vec::new();
        fields(&schema["spec"], &mut names);
        fields(&schema["status"], &mut names);
        assert!(names.len() > 8, "{file}: {names:?}");
        let words = quoted(&page);
        missing.extend(
            names
                .into_iter()
                .filter(|name| !words.contains(name.as_str()))
                .map(|name| format!("docs/{own}: {name}")),
        );
    }
    assert!(missing.is_empty(), "fields that no page names: {missing:#?}");
}
