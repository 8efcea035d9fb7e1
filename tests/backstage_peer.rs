//! `landfall import --from` reads a real Backstage, and a real Backstage takes what `landfall export` prints.
//! `tests/cluster/backstage/build` installs it; where that was not done, this is left out, and says so.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // In a test, they are how it fails.

#[path = "backstage_peer/backstage.rs"]
mod backstage;
#[path = "backstage_peer/documents.rs"]
mod documents;
#[path = "program/mod.rs"]
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_json_diff::assert_json_eq;
use backstage::{Backstage, TOKEN, print};
use landfall::catalog::conversion;
use landfall::catalog::yaml::{self, Limits};
use program::{Said, run};
use serde_json::Value;

fn landfall(arguments: &[&str], token: Option<&str>) -> Said {
    let mut command = program::landfall(arguments);
    command.env_remove("LANDFALL_BACKSTAGE_TOKEN");
    if let Some(token) = token {
        command.env("LANDFALL_BACKSTAGE_TOKEN", token);
    }
    run(&mut command, "")
}

fn values(text: &str) -> Vec<Value> {
    let limits = Limits {
        bytes: usize::MAX,
        values: usize::MAX,
        ..Limits::default()
    };
    program::values(text, limits)
}

/// A folder of its own.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("backstage-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The entities by their refs.
fn by_ref(entities: &[Value]) -> BTreeMap<String, Value> {
    let found: BTreeMap<_, _> = entities
        .iter()
        .map(|entity| (reference(entity), entity.clone()))
        .collect();
    assert_eq!(found.len(), entities.len(), "one ref was there twice");
    found
}

/// What Backstage gives, without what docs/conversion.md says is not kept: what only it writes, and the annotations
/// that say how it keeps the entity.
fn bare(mut entity: Value) -> Value {
    for field in ["relations", "status"] {
        entity.as_object_mut().unwrap().remove(field);
    }
    let metadata = entity["metadata"].as_object_mut().unwrap();
    metadata.remove("uid");
    metadata.remove("etag");
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        for own in ["managed-by-location", "managed-by-origin-location", "orphan"] {
            annotations.remove(&format!("backstage.io/{own}"));
        }
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    entity
}

fn reference(entity: &Value) -> String {
    let metadata = &entity["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    format!(
        "{}:{namespace}/{}",
        entity["kind"].as_str().unwrap(),
        metadata["name"].as_str().unwrap()
    )
    .to_lowercase()
}

/// Whether a Backstage that is given the entity goes and looks for others.
fn leads_on(entity: &Value) -> bool {
    entity["kind"] == "Location" && (entity["spec"]["target"].is_string() || entity["spec"]["targets"].is_array())
}

fn assert_same(found: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>) {
    let refs = |entities: &BTreeMap<String, Value>| entities.keys().cloned().collect::<Vec<_>>();
    assert_eq!(refs(found), refs(expected));
    for (reference, entity) in expected {
        assert_json_eq!(&found[reference], entity);
    }
}

#[test]
fn a_real_backstage_is_imported_whole_and_another_takes_the_export_for_the_same() {
    let Some(installed) = backstage::installed() else {
        print("*** SKIPPED: backstage_peer: there is no Backstage here; tests/cluster/backstage/build installs it ***");
        return;
    };
    let folder = folder();
    let locations = documents::write(&folder.join("first"));
    let first = Backstage::start(&installed, &folder, "first", &locations.files);
    // Each of its locations is an entity, too.
    first.wait_for(locations.entities + locations.files.len());
    let entities: Vec<Value> = first.entities().into_iter().map(bare).collect();
    first.assert_nothing_was_refused();
    assert!(entities.len() > 500, "more than a page: {}", entities.len());

    refuses_who_has_no_token(&first);
    let imported = imported_by_file_and_by_variable(&first, &folder);
    let resources = values(&imported);
    let mut refs: Vec<String> = resources
        .iter()
        .map(|resource| conversion::reference(resource).unwrap().to_string())
        .collect();
    refs.sort();
    let first_by_ref = by_ref(&entities);
    assert_eq!(refs, first_by_ref.keys().cloned().collect::<Vec<_>>());

    let file = folder.join("imported.yaml");
    fs::write(&file, &imported).unwrap();
    let exported = landfall(&["export", "-f", file.to_str().unwrap()], None);
    assert_eq!((exported.code, exported.errors.as_str()), (0, ""));
    let exported = values(&exported.output);
    assert_same(&by_ref(&exported), &first_by_ref);

    // The other one would follow those that lead on, and find twice what is in the file already.
    let (places, rest): (Vec<Value>, Vec<Value>) = exported.into_iter().partition(leads_on);
    assert!(places.len() >= locations.files.len());
    let file = folder.join("exported.yaml");
    let written: String = rest.iter().map(|document| yaml::write(document).unwrap()).collect();
    fs::write(&file, written).unwrap();
    let second = Backstage::start(&installed, &folder, "second", &[file]);
    second.wait_for(rest.len() + 1);
    second.assert_nothing_was_refused();
    let (its_place, found): (Vec<Value>, Vec<Value>) = second.entities().into_iter().map(bare).partition(leads_on);
    assert_eq!(its_place.len(), 1);
    let mut expected = first_by_ref;
    expected.retain(|_, entity| !leads_on(entity));
    assert_same(&by_ref(&found), &expected);
}

fn refuses_who_has_no_token(backstage: &Backstage) {
    let said = landfall(&["import", "--from", &backstage.address], None);
    assert_eq!((said.code, said.output.as_str()), (1, ""));
    let message =
        "answers 401 Unauthorized; give a token with --token-file or in LANDFALL_BACKSTAGE_TOKEN; nothing was imported";
    assert!(said.errors.contains(message), "{}", said.errors);
    let said = landfall(&["import", "--from", &backstage.address], Some("another-token"));
    assert_eq!((said.code, said.output.as_str()), (1, ""));
    let message = "answers 401 Unauthorized; the token is not good for this; nothing was imported";
    assert!(said.errors.contains(message), "{}", said.errors);
}

fn imported_by_file_and_by_variable(backstage: &Backstage, folder: &Path) -> String {
    let file = folder.join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let by_file = [
        "import",
        "--from",
        &backstage.address,
        "--token-file",
        file.to_str().unwrap(),
    ];
    let by_file = landfall(&by_file, None);
    assert_eq!(by_file.code, 0, "{}", by_file.errors);
    let pages = backstage.requests_of("landfall/");
    let by_variable = landfall(&["import", "--from", &backstage.address], Some(TOKEN));
    assert_eq!(by_variable.code, 0, "{}", by_variable.errors);
    assert_eq!(by_variable.output, by_file.output);
    assert!(backstage.requests_of("landfall/") >= pages + 2, "it has several pages");
    by_file.output
}
