//! `landfall import` and `landfall export` on files: what goes in comes out again, and what is wrong is said at its place
//! while the rest goes on. Nothing here needs a cluster.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // In a test, they are how it fails.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use corpus::{corpus, filled_in, is_entity, yaml_files};
use landfall::catalog::conversion;
use landfall::catalog::yaml::{self, Limits};
use program::{Said, run};
use serde_json::{Value, json};

#[path = "program/corpus.rs"]
mod corpus;
#[path = "program/mod.rs"]
mod program;

fn landfall(folder: &Path, arguments: &[&str], input: &str) -> Said {
    run(program::landfall(arguments).current_dir(folder), input)
}

/// A folder of its own with these files in it.
fn folder(files: &[(&str, &str)]) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "import-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).join("repo");
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn values(text: &str) -> Vec<Value> {
    let limits = Limits {
        bytes: usize::MAX,
        values: usize::MAX,
        ..Limits::default()
    };
    program::values(text, limits)
}

fn descriptor(name: &str) -> String {
    format!(
        "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: service\n  lifecycle: production\n  owner: team-a\n"
    )
}

fn api(name: &str, definition: &str) -> String {
    format!(
        "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata:\n  name: {name}\nspec:\n  type: openapi\n  lifecycle: production\n  owner: team-a\n  definition: {definition}\n"
    )
}

fn location(targets: &str) -> String {
    format!("apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata:\n  name: all\nspec:\n  targets: {targets}\n")
}

#[test]
fn every_file_of_the_corpus_comes_back_as_it_was() {
    let Some(root) = corpus() else { return };
    let (mut entities, mut skeletons, mut others) = (0, 0, Vec::new());
    for file in yaml_files(&root) {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        let text = fs::read_to_string(&file).unwrap();
        let raw: Vec<_> = yaml::documents(&text, Limits::default()).collect();
        let is_skeleton = raw.iter().any(|document| {
            document.as_ref().is_err()
                || document
                    .as_ref()
                    .is_ok_and(|document| document.root.value()["metadata"]["name"].to_string().contains("${{"))
        });
        let documents = if is_skeleton {
            skeletons += 1;
            for document in raw.iter().flatten().map(|document| document.root.value()) {
                if document["metadata"]["name"].to_string().contains("${{") {
                    let wrong = conversion::import(&document).unwrap_err();
                    assert!(
                        wrong
                            .iter()
                            .any(|remark| remark.message.contains("a skeleton that a template fills in")),
                        "{name}: {wrong:?}"
                    );
                }
            }
            let (read, broken): (Vec<_>, Vec<_>) =
                yaml::documents(&filled_in(&text), Limits::default()).partition(Result::is_ok);
            // Both branches of an `if` at once are not always YAML.
            others.extend(
                broken
                    .into_iter()
                    .filter_map(Result::err)
                    .map(|fault| format!("{name}:{fault}")),
            );
            read.into_iter()
                .flatten()
                .map(|document| document.root.value())
                .collect()
        } else {
            values(&text)
        };
        for document in documents {
            if !is_entity(&document) {
                let wrong = conversion::import(&document).unwrap_err();
                others.push(format!("{name}: {}", wrong[0]));
                continue;
            }
            let there = match conversion::import(&document) {
                Ok(there) => there,
                Err(wrong) if is_skeleton => {
                    others.push(format!("{name}: {}", wrong[0]));
                    continue;
                }
                Err(wrong) => panic!("{name}: {wrong:?}"),
            };
            entities += 1;
            let back = conversion::export(&there.resource).unwrap();
            assert_eq!(back.document, document, "{name}");
            assert_eq!(
                conversion::import(&back.document).unwrap().resource,
                there.resource,
                "{name}"
            );
            // And as texts, as the commands write and read them.
            let written = yaml::write(&there.resource).unwrap();
            assert_eq!(values(&written), [there.resource], "{name}: {written}");
        }
    }
    println!("{entities} entities, {skeletons} skeletons; no entities: {others:#?}");
    assert!(entities > 35, "only {entities} entities were found");
    assert!(others.len() < 6, "{others:#?}");
}

#[test]
fn the_corpus_goes_through_both_commands_unchanged() {
    let Some(root) = corpus() else { return };
    for (files, least) in [
        (
            vec![
                "backstage-demo/catalog-info.yaml",
                "backstage-demo/demo-template/template/template.yaml",
                "backstage-demo/examples/ai-resources.yaml",
                "backstage-demo/examples/mcp-server-api.yaml",
            ],
            10,
        ),
        (vec!["developer-hub-templates/templates.yaml"], 15),
    ] {
        let there = landfall(&root, &[&["import"][..], &files].concat(), "");
        assert_eq!(there.code, 0, "{}", there.errors);
        let back = landfall(&root, &["export", "-f", "-"], &there.output);
        assert_eq!(back.code, 0, "{}", back.errors);
        let again = landfall(&root, &["import", "-"], &back.output);
        let (mut resources, mut resources_again) = (values(&there.output), values(&again.output));
        assert!(resources.len() >= least, "{}", resources.len());
        for resources in [&mut resources, &mut resources_again] {
            resources.sort_by_key(ToString::to_string);
        }
        assert_eq!(resources, resources_again);
    }
}

#[test]
fn a_folder_is_read_with_what_its_locations_and_placeholders_name() {
    let folder = folder(&[
        ("catalog-info.yaml", &format!("{}---\n{}", descriptor("orders"), location("[./more/all.yaml, 'https://a.example/b.yaml', ./gone.yaml, ./x/*.yaml]").replace("spec:", "spec:\n  presence: optional"))),
        ("more/all.yaml", &location("[../more/api.yaml, all.yaml]").replace("name: all", "name: more")),
        ("more/api.yaml", &format!("{}---\n{}---\n{}", api("text", "{$text: ./api.txt}"), api("elsewhere", "{$text: 'https://a.example/x'}"), api("data", "x").replace("spec:\n", "spec:\n  data: {$json: ./data.json}\n  tree: {$yaml: ./tree.yaml}\n  other: {$ref: x}\n  two: {$text: a, b: c}\n"))),
        ("more/api.txt", "openapi: 3.1.0\n$text: not again\n"),
        ("more/data.json", "{\"a\": [1.0, null]}"),
        ("more/tree.yaml", "a: &a {b: 1}\nc: {<<: *a}\n"),
        ("deep/er/catalog-info.yml", &descriptor("deep")),
        ("node_modules/x/catalog-info.yaml", &descriptor("not-ours")),
        ("deep/other.yaml", &descriptor("not-named")),
    ]);
    let said = landfall(&folder, &["import", "."], "");
    assert_eq!(said.code, 0, "{}", said.errors);
    let resources = values(&said.output);
    let names: Vec<&str> = resources
        .iter()
        .map(|resource| resource["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["orders", "all", "more", "text", "elsewhere", "data", "deep"]);
    assert_eq!(resources[3]["spec"]["definition"], "openapi: 3.1.0\n$text: not again\n");
    assert_eq!(
        resources[4]["spec"]["extensions"]["spec"],
        json!({"definition": {"$text": "https://a.example/x"}})
    );
    assert_eq!(
        resources[5]["spec"]["extensions"]["spec"],
        json!({"data": {"a": [1, null]}, "tree": {"a": {"b": 1}, "c": {"b": 1}}, "other": {"$ref": "x"}, "two": {"$text": "a", "b": "c"}})
    );
    for line in [
        "catalog-info.yaml:16:30: note: https://a.example/b.yaml is elsewhere and was not fetched",
        "./x/*.yaml is a pattern, which is not followed; import the folder",
        "note: $text: https://a.example/x is elsewhere and was not fetched",
    ] {
        assert!(said.errors.contains(line), "{line}\n{}", said.errors);
    }
    assert!(!said.errors.contains("gone.yaml"), "it is optional: {}", said.errors);
}

#[cfg(unix)]
#[test]
fn nothing_climbs_out_of_its_folder() {
    let folder = folder(&[("secret-above.txt", "x"), ("inner/ok.txt", "fine")]);
    let outside = folder.parent().unwrap().join("outside.txt");
    fs::write(&outside, "SECRET").unwrap();
    std::os::unix::fs::symlink(&outside, folder.join("inner/link.txt")).unwrap();
    std::os::unix::fs::symlink(folder.parent().unwrap(), folder.join("inner/up")).unwrap();
    for (target, expected) in [
        ("../secret-above.txt", "leads out of the folder, which is not followed"),
        ("../../outside.txt", "leads out of the folder, which is not followed"),
        ("../nothing-there.txt", "leads out of the folder, which is not followed"),
        ("./x/../../secret-above.txt", "leads out of the folder"),
        ("../inner/ok.txt", "leads out of the folder"),
        ("link.txt", "leads out of the folder by a link"),
        ("up/outside.txt", "leads out of the folder by a link"),
        ("/etc/hostname", "is an absolute path"),
        (".", "is not a file"),
        ("gone.txt", "cannot be read: No such file"),
        (
            "file:///etc/hostname",
            "note: $text: file:///etc/hostname is elsewhere and was not fetched",
        ),
    ] {
        fs::write(
            folder.join("inner/catalog-info.yaml"),
            format!(
                "{}---\n{}",
                api("a", &format!("{{$text: '{target}'}}")),
                descriptor("rest")
            ),
        )
        .unwrap();
        let said = landfall(&folder, &["import", "inner/catalog-info.yaml"], "");
        assert!(said.errors.contains(expected), "{target}: {}", said.errors);
        assert!(
            said.errors.contains("inner/catalog-info.yaml:9:16: "),
            "{target}: {}",
            said.errors
        );
        assert!(
            !said.output.contains("SECRET") && said.output.contains("name: rest"),
            "{target}: {}",
            said.output
        );
    }
    // Whatever the placeholder.
    for placeholder in ["$json", "$yaml"] {
        for target in ["../secret-above.txt", "link.txt", "up/outside.txt"] {
            let data = api("a", "x").replace("spec:\n", &format!("spec:\n  data: {{{placeholder}: {target}}}\n"));
            fs::write(
                folder.join("inner/catalog-info.yaml"),
                format!("{data}---\n{}", descriptor("rest")),
            )
            .unwrap();
            let said = landfall(&folder, &["import", "inner/catalog-info.yaml"], "");
            let expected = format!("{placeholder}: {target} leads out of the folder");
            assert!(said.code == 1 && said.errors.contains(&expected), "{}", said.errors);
            assert!(
                !said.output.contains("SECRET") && said.output.contains("name: rest"),
                "{}",
                said.output
            );
        }
    }
    // A location may name a file of the folder that is imported, and none outside of it.
    fs::write(
        folder.join("inner/catalog-info.yaml"),
        location("[../../outside.txt, /etc/hostname, up/outside.txt, ../rest.yaml]"),
    )
    .unwrap();
    fs::write(folder.join("rest.yaml"), descriptor("rest")).unwrap();
    let said = landfall(&folder, &["import", "."], "");
    assert_eq!(
        said.errors.matches("leads out of the folder").count(),
        2,
        "{}",
        said.errors
    );
    assert_eq!(said.errors.matches("is an absolute path").count(), 1, "{}", said.errors);
    assert!(said.output.contains("name: rest") && said.code == 1, "{}", said.output);
    let said = landfall(&folder, &["import", "-"], &api("a", "{$text: ./ok.txt}"));
    assert!(
        said.errors.contains("standard input is none; name the file itself"),
        "{}",
        said.errors
    );
}

/// What is wrong with a document, and what is said: its place in `input.yaml` behind another document, and the message.
type Bad = (&'static str, String, &'static str);

fn with(from: &str, to: &str) -> String {
    descriptor("bad").replace(from, to)
}

fn broken_envelopes() -> Vec<Bad> {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let _ = writeln!(
            bomb,
            "a{level}: &a{level} [{}]",
            vec![format!("*a{}", level - 1); 10].join(", ")
        );
    }
    vec![
        (
            "a bomb of aliases",
            bomb,
            ":14:9: the document has more than 200000 values",
        ),
        (
            "a key that is given twice",
            with("  owner: team-a", "  owner: team-a\n  owner: b"),
            ":18:3: owner is given twice, first in line 17; leave one of them out",
        ),
        (
            "a tab",
            with("  owner", "\towner"),
            ":16:14: not YAML: while scanning a plain scalar, found a tab",
        ),
        (
            "no kind",
            with("kind: Component\n", ""),
            ":10:1: kind is missing; write for example Component",
        ),
        (
            "no apiVersion",
            with("apiVersion: backstage.io/v1alpha1\n", ""),
            ":10:1: apiVersion is missing",
        ),
        (
            "no name",
            with("  name: bad\n", "  title: x\n"),
            ":12:1: metadata.name is missing",
        ),
    ]
}

fn broken_values() -> Vec<Bad> {
    vec![
        (
            "a text",
            "just a text".into(),
            ":10:1: the document is \"just a text\", expected a map",
        ),
        ("a list", "- a\n- b".into(), ":10:1: the document is a list"),
        (
            "a name beyond ASCII",
            with("name: bad", "name: größe"),
            ":13:3: metadata.name is \"größe\", which no entity can be called",
        ),
        (
            "a name with a control character",
            with("name: bad", "name: \"a\\u001b[2Jb\""),
            ":13:3: metadata.name is \"a\\u{1b}[2Jb\"",
        ),
        (
            "a name of 64 characters",
            with("name: bad", &format!("name: {}", "x".repeat(64))),
            ":13:3: metadata.name is ",
        ),
        (
            "a name that is a number",
            with("name: bad", "name: 0x10"),
            ":13:3: metadata.name is 16, expected a text",
        ),
        (
            "a ref without a name",
            with("team-a", "'group:'"),
            ":17:3: spec.owner: owner \"group:\" is not an entity ref; write [kind:][namespace/]name",
        ),
        (
            "a ref of another kind",
            with("team-a", "api:x"),
            ":17:3: spec.owner: owner api:x is of kind api, expected group or user",
        ),
        (
            "a ref that is a map",
            with("team-a", "{name: x}"),
            ":17:3: spec.owner is a map, expected a text",
        ),
        (
            "no owner",
            with("  owner: team-a\n", ""),
            ":14:1: spec.owner is missing; a Component has one",
        ),
        (
            "a dependency without a kind",
            with("  owner", "  dependsOn: [a:b, c]\n  owner"),
            ":17:20: spec.dependsOn[1]: dependency c does not say its kind",
        ),
        (
            "a tag that is none",
            with("  name: bad", "  name: bad\n  tags: [java, Spring Boot]"),
            ":14:16: metadata.tags[1] is \"Spring Boot\", which is not a tag",
        ),
        (
            "an unknown tag of YAML",
            with("team-a", "!vault x"),
            ":17:17: the tag !vault has no meaning here; leave it out",
        ),
        (
            "an open bracket",
            with("team-a", "[a"),
            ":17:10: not YAML: unclosed bracket",
        ),
        (
            "a number that is none",
            with("team-a", ".inf"),
            ":17:10: .inf is a number that JSON",
        ),
        (
            "a resource of ours",
            with("backstage.io/v1alpha1", "catalog.landfall.dev/v1alpha1"),
            ":10:1: this is a resource of catalog.landfall.dev/v1alpha1 already; apply it as it is",
        ),
        (
            "one that is there already",
            descriptor("FIRST"),
            ":10:1: component:default/first is there already, in input.yaml:1:1; leave one of them out",
        ),
        (
            "a skeleton",
            with("name: bad", "name: ${{ values.name }}"),
            ":13:3: metadata.name is \"${{ values.name }}\": this is a skeleton",
        ),
    ]
}

#[test]
fn each_bad_document_is_said_at_its_place_and_the_rest_is_imported() {
    let good = descriptor("first");
    let last = descriptor("last");
    for (name, bad, expected) in broken_envelopes().into_iter().chain(broken_values()) {
        let text = format!("{good}---\n{bad}\n---\n{last}");
        let folder = folder(&[("input.yaml", &text)]);
        let said = landfall(&folder, &["import", "input.yaml"], "");
        assert_eq!(said.code, 1, "{name}: {}", said.errors);
        assert!(
            said.errors.contains(&format!("input.yaml{expected}")),
            "{name}: {}",
            said.errors
        );
        assert!(!said.errors.contains('\u{1b}'), "{name}");
        let names: Vec<Value> = values(&said.output)
            .iter()
            .map(|resource| resource["metadata"]["name"].clone())
            .collect();
        assert_eq!(names, ["first", "last"], "{name}");
        let checked = landfall(&folder, &["import", "--check", "input.yaml"], "");
        assert_eq!((checked.code, checked.output.as_str()), (2, ""), "{name}");
        let (faults, summary) = checked.errors.trim_end().rsplit_once('\n').unwrap();
        assert!(said.errors.starts_with(faults), "{name}");
        assert_eq!(summary, "3 descriptors, 1 fault", "{name}: {faults}");
    }
}

#[test]
fn what_is_no_fault_is_none() {
    for (name, text, summary) in [
        ("nothing", String::new(), "0 descriptors, 0 faults\n"),
        (
            "empty documents",
            "---\n---\n# only a comment\n...\n".into(),
            "0 descriptors, 0 faults\n",
        ),
        (
            "a byte order mark",
            format!("\u{feff}{}", descriptor("a")),
            "1 descriptor, 0 faults\n",
        ),
        (
            "line ends of Windows",
            descriptor("a").replace('\n', "\r\n"),
            "1 descriptor, 0 faults\n",
        ),
        (
            "JSON",
            values(&descriptor("a"))[0].to_string(),
            "1 descriptor, 0 faults\n",
        ),
        ("63 characters", descriptor(&"x".repeat(63)), "1 descriptor, 0 faults\n"),
    ] {
        let said = landfall(&folder(&[]), &["import", "--check", "-"], &text);
        assert_eq!((said.code, said.errors.as_str()), (0, summary), "{name}");
    }
    for (name, file, expected) in [
        (
            "UTF-16",
            &b"\xff\xfea\0"[..],
            "a.yaml: not UTF-8 but UTF-16, by its first bytes; save it as UTF-8",
        ),
        (
            "no UTF-8",
            b"a: b\nc: \xff\n",
            "a.yaml: not UTF-8: line 2 has a byte that is no character",
        ),
    ] {
        let folder = folder(&[]);
        fs::write(folder.join("a.yaml"), file).unwrap();
        let said = landfall(&folder, &["import", "a.yaml"], "");
        assert!(
            said.code == 1 && said.errors.contains(expected),
            "{name}: {}",
            said.errors
        );
    }
    let said = landfall(&folder(&[]), &["import", "gone.yaml"], "");
    assert_eq!(
        (said.code, said.errors.as_str()),
        (1, "landfall: gone.yaml: No such file or directory (os error 2)\n")
    );
}

#[test]
fn a_folder_says_what_in_it_was_not_read() {
    let other = folder(&[("a.yaml", "kind: x\n"), ("values.yml", "b: c\n")]);
    let said = landfall(&other, &["import", "--check", "."], "");
    assert_eq!(said.code, 0);
    assert_eq!(
        said.errors,
        ".: note: there is no catalog-info.yaml and no catalog-info.yml in it that was not read before; name the files themselves\n0 descriptors, 0 faults\n"
    );
    let template = descriptor("t").replace("backstage.io/v1alpha1", "'scaffolder.backstage.io/v1beta3'");
    let some = folder(&[
        ("catalog-info.yaml", &location("[./read.yaml]")),
        ("read.yaml", &descriptor("read")),
        ("a.yaml", &descriptor("a")),
        ("b/b.yml", &template),
        ("c.yaml", &descriptor("c")),
        ("d.yaml", &descriptor("d")),
        ("e.yaml", "a: b\n"),
        ("f.txt", &descriptor("f")),
    ]);
    let said = landfall(&some, &["import", "--check", "."], "");
    assert_eq!(
        (said.code, said.errors.as_str()),
        (
            0,
            ".: note: files with Backstage's apiVersion are not called catalog-info.yaml and not named by a Location, and were not read: a.yaml, b/b.yml, c.yaml and 1 more; name those that are meant\n2 descriptors, 0 faults\n"
        )
    );
}

#[test]
fn what_a_location_from_elsewhere_names_need_not_be_here() {
    let gone = location("[./gone.yaml, ./here.yaml, ../above.yaml]");
    let annotated = gone.replace(
        "  name: all\n",
        "  name: all\n  annotations: {backstage.io/source-location: 'url:https://git.example/a/'}\n",
    );
    let here = folder(&[
        ("checkout.yaml", &gone),
        ("from.yaml", &annotated),
        ("here.yaml", &descriptor("here")),
    ]);
    let said = landfall(&here, &["import", "checkout.yaml"], "");
    assert_eq!((said.code, values(&said.output).len()), (1, 2), "{}", said.errors);
    assert!(
        said.errors
            .contains("checkout.yaml:6:13: ./gone.yaml cannot be read: No such file"),
        "{}",
        said.errors
    );
    let said = landfall(&here, &["import", "from.yaml"], "");
    assert_eq!((said.code, values(&said.output).len()), (0, 2), "{}", said.errors);
    for line in [
        "from.yaml:7:13: note: ./gone.yaml cannot be read: No such file",
        "note: ../above.yaml leads out of the folder",
        "it is relative to where the Location was read from",
    ] {
        assert!(said.errors.contains(line), "{line}: {}", said.errors);
    }
    // An export holds the entities that its Locations name, and they are not read a second time.
    let resources = landfall(&here, &["import", "from.yaml"], "").output;
    let exported = landfall(&here, &["export", "-f", "-"], &resources);
    fs::write(here.join("c.yaml"), &exported.output).unwrap();
    for (file, input) in [("c.yaml", ""), ("-", exported.output.as_str())] {
        let said = landfall(&here, &["import", file], input);
        assert_eq!(
            (said.code, values(&said.output)),
            (0, values(&resources).into_iter().rev().collect()),
            "{}",
            said.errors
        );
        assert_eq!(
            said.errors
                .matches("yaml is not read: an export has the Location as a record")
                .count(),
            3,
            "{}",
            said.errors
        );
    }
}

#[test]
fn what_plugins_fill_in_is_kept_and_skeletons_are_told_from_descriptors() {
    for key in ["$openapi", "$asyncapi"] {
        let said = landfall(
            &folder(&[]),
            &["import", "-"],
            &api("a", &format!("{{{key}: ./gone.yaml}}")),
        );
        assert_eq!(said.code, 0, "{}", said.errors);
        assert!(
            said.errors.contains(&format!(
                "note: {key}: ./gone.yaml is for a plugin of Backstage to fill in"
            )),
            "{}",
            said.errors
        );
        assert_eq!(
            values(&said.output)[0]["spec"]["extensions"]["spec"]["definition"][key],
            "./gone.yaml"
        );
    }
    let skeleton = descriptor("a").replace(
        "spec:\n",
        "spec:\n  {%- if values.system %}\n  system: x\n  {%- endif %}\n",
    );
    let said = landfall(&folder(&[]), &["import", "-"], &skeleton);
    assert!(
        said.code == 1 && said.errors.contains("this is a skeleton that a template fills in"),
        "{}",
        said.errors
    );
}

#[test]
fn a_descriptor_may_be_as_deep_as_it_is_allowed_and_is_exported_again() {
    let deep = |levels: usize| format!("{}x: {}1{}\n", descriptor("a"), "[".repeat(levels), "]".repeat(levels));
    let there = landfall(&folder(&[]), &["import", "-"], &deep(99));
    assert_eq!(there.code, 0, "{}", there.errors);
    let back = landfall(&folder(&[]), &["export", "-f", "-"], &there.output);
    assert_eq!(
        (back.code, values(&back.output)),
        (0, values(&deep(99))),
        "{}",
        back.errors
    );
    let said = landfall(&folder(&[]), &["import", "-"], &deep(100));
    assert!(
        said.errors.contains("values are nested more than 100 deep"),
        "{}",
        said.errors
    );
}

#[test]
fn as_many_keys_as_a_document_may_have_are_read_in_time() {
    let keys = |prefix: &str| {
        (0..99_900).fold(String::new(), |mut text, key| {
            let _ = writeln!(text, "    {prefix}{key}: x");
            text
        })
    };
    for text in [
        // Each is said at its place.
        descriptor("a").replace("spec:\n", &format!("  annotations:\n{}spec:\n", keys("a b"))),
        format!("{}  more:\n{}", descriptor("a"), keys("k")),
    ] {
        let begin = Instant::now();
        let said = landfall(&folder(&[]), &["import", "-"], &text);
        assert_eq!(said.code, 0, "{}", &said.errors[..200.min(said.errors.len())]);
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    }
}

#[test]
fn two_names_that_would_be_one_object_are_told_apart() {
    let text = format!(
        "{}---\n{}---\n{}",
        descriptor("artist_web"),
        descriptor("artist-web"),
        descriptor("Artist-Web2")
    );
    let said = landfall(&folder(&[]), &["import", "-"], &text);
    assert_eq!(said.code, 1);
    assert!(
        said.errors
            .contains("standard input:4:3: note: artist_web is the object artist-web"),
        "{}",
        said.errors
    );
    assert!(
        said.errors.contains("standard input:10:1: component:default/artist-web and component:default/artist_web, in standard input:1:1, would both be the Component artist-web in namespace default"),
        "{}",
        said.errors
    );
    assert_eq!(values(&said.output).len(), 2);
    let renamed = text.replace(
        "  name: artist_web\n",
        "  name: artist_web\n  landfall: {name: artist-web-old}\n",
    );
    let said = landfall(&folder(&[]), &["import", "-"], &renamed);
    assert_eq!((said.code, values(&said.output).len()), (0, 3), "{}", said.errors);
}

#[test]
fn into_a_namespace_refs_go_in_full() {
    let group =
        "apiVersion: backstage.io/v1alpha1\nkind: Group\nmetadata: {name: Team-A}\nspec: {type: team, children: []}\n";
    let text = format!(
        "{}---\n{group}---\n{}",
        descriptor("a").replace("owner: team-a", "owner: team-a\n  system: shop"),
        descriptor("b").replace("name: b", "name: b\n  namespace: other")
    );
    let said = landfall(&folder(&[]), &["import", "-n", "catalog", "-"], &text);
    assert_eq!(said.code, 0, "{}", said.errors);
    let [a, team, b] = &values(&said.output)[..] else {
        panic!("{}", said.output)
    };
    assert_eq!(
        (a["spec"]["owner"].as_str(), a["spec"]["system"].as_str()),
        (Some("group:catalog/team-a"), Some("system:default/shop"))
    );
    assert_eq!(b["spec"]["owner"], "group:other/team-a");
    for resource in [a, team, b] {
        assert_eq!(resource["metadata"]["namespace"], "catalog");
    }
    let bad = landfall(&folder(&[]), &["import", "-n", "No", "-"], "");
    assert_eq!(bad.code, 1);
}

#[test]
fn ten_thousand_entities_with_one_broken_among_them_lose_only_that_one() {
    let mut text = String::new();
    for index in 0..10_000 {
        let one = descriptor(&format!("component-{index}"));
        let one = if index == 7_000 {
            one.replace("  owner: team-a", "  owner: [team-a")
        } else {
            one
        };
        let _ = writeln!(text, "{one}---");
    }
    let folder = folder(&[("all.yaml", &text)]);
    let said = landfall(&folder, &["import", "all.yaml"], "");
    assert_eq!(said.code, 1);
    let line = 7_000 * 9 + 8;
    assert_eq!(
        said.errors,
        format!("all.yaml:{line}:10: not YAML: unclosed bracket '['\nlandfall: 9999 imported, 1 fault: see above\n")
    );
    assert_eq!(said.output.matches("\nkind: Component\n").count(), 9_999);
    assert!(!said.output.contains("component-7000\n"));
}

#[test]
fn fifty_megabytes_are_refused_within_time_and_memory() {
    let folder = folder(&[]);
    let rows = "- 0123456789012345678901234567890123456789012345678\n".repeat(1_000_000);
    let one = format!("{}  rows:\n{}", descriptor("large"), rows.replace("- ", "  - "));
    fs::write(
        folder.join("one.yaml"),
        format!("{}---\n{one}---\n{}", descriptor("first"), descriptor("last")),
    )
    .unwrap();
    fs::write(
        folder.join("text.yaml"),
        api("text", &format!("\"{}\"", "x".repeat(50 << 20))),
    )
    .unwrap();
    fs::write(folder.join("more.yaml"), "x".repeat(65 << 20)).unwrap();
    for (file, expected, imported) in [
        (
            "one.yaml",
            "the document is longer than 3145728 bytes, more than Kubernetes takes for one object",
            2,
        ),
        (
            "text.yaml",
            "text.yaml:9:15: the document is longer than 3145728 bytes",
            0,
        ),
        (
            "more.yaml",
            "more.yaml: larger than 64 MiB, which is the most that is read; divide it",
            0,
        ),
    ] {
        let begin = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["import", file])
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        while child.try_wait().unwrap().is_none() {
            let found = fs::read_to_string(&status).ok().and_then(|text| {
                let line = text.lines().find(|line| line.starts_with("VmHWM"))?.to_owned();
                line.split_whitespace().nth(1)?.parse::<u64>().ok()
            });
            peak = peak.max(found.unwrap_or_default());
            thread::sleep(Duration::from_millis(2));
        }
        let said = child.wait_with_output().unwrap();
        let errors = String::from_utf8(said.stderr).unwrap();
        assert!(errors.contains(expected), "{file}: {errors}");
        assert_eq!(
            values(&String::from_utf8(said.stdout).unwrap()).len(),
            imported,
            "{file}"
        );
        println!("{file}: {:?}, {} MiB", begin.elapsed(), peak >> 10);
        assert!(
            begin.elapsed() < Duration::from_mins(1),
            "{file}: {:?}",
            begin.elapsed()
        );
        assert!(peak < 400 << 10, "{file}: {peak} KiB");
    }
}

#[test]
fn resources_become_descriptors_without_a_cluster() {
    let resource = "apiVersion: catalog.landfall.dev/v1alpha1\nkind: Component\nmetadata: {name: web, namespace: shop, uid: x}\nspec: {type: service, lifecycle: production, owner: team-a, template: {ref: platform/web}}\nstatus: {observedGeneration: 1}\n";
    let said = landfall(&folder(&[]), &["export", "-f", "-"], resource);
    assert_eq!(said.code, 0, "{}", said.errors);
    let expected = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {"name": "web", "namespace": "shop", "landfall": {"spec": {"template": {"ref": "platform/web"}}}},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-a"},
    });
    assert_eq!(values(&said.output), std::slice::from_ref(&expected));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [values(resource)[0], {"apiVersion": "v1", "kind": "Pod"}]});
    let said = landfall(&folder(&[]), &["export", "-f", "-"], &list.to_string());
    assert_eq!((said.code, values(&said.output)), (1, vec![expected]));
    assert!(
        said.errors.contains(
            "apiVersion is \"v1\", expected catalog.landfall.dev/v1alpha1; only Landfall's resources become descriptors"
        ),
        "{}",
        said.errors
    );
    let said = landfall(&folder(&[]), &["export"], "");
    assert_eq!(said.code, 1, "it has to be said what is exported");
}
