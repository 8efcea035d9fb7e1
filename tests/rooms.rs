//! The lines of the architecture: who may import whom, which rooms hold no client, whose CRDs lie here,
//! and how long a file may be. Nothing here needs a cluster.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // In a test, they are how it fails.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The rooms: each imports only from itself and from those before it.
const ROOMS: [&str; 7] = ["api", "catalog", "template", "runtime", "controllers", "server", "cli"];
/// The rooms in which everything follows from what is given: they ask nothing and nobody.
const PURE: [&str; 2] = ["catalog", "template"];
/// What a pure room names nowhere. `kube` is not among them as a whole: its types of metadata are plain data.
const IMPURE: [&str; 17] = [
    "tokio",
    "axum",
    "hyper",
    "tower",
    "rustls",
    "kube::Client",
    "kube::Api",
    "kube::Config",
    "kube::Discovery",
    "kube::api::Api",
    "kube::client",
    "kube::config",
    "kube::discovery",
    "kube::runtime",
    "std::net",
    "std::fs",
    "std::process",
];
/// The longest that a file of the program may be, in lines.
const LINES: usize = 500;
/// The group of every CRD that lies in this repository.
const GROUP: &str = "catalog.landfall.dev";

/// A path as the source writes it, with its `use` tree spread out, and the line that it stands in.
#[derive(Debug, PartialEq)]
struct Named {
    path: String,
    line: usize,
    /// Whether it is in a module `tests`.
    test: bool,
}

/// A word, `::`, or one sign, and the line that it stands in.
type Token = (String, usize);

/// The words and signs of a source file, without comments and without what stands in strings.
fn tokens(source: &str) -> Vec<Token> {
    let letters: Vec<char> = source.chars().collect();
    let (mut found, mut place, mut line) = (Vec::new(), 0, 1);
    while let Some(&letter) = letters.get(place) {
        let next = letters.get(place + 1).copied().unwrap_or('\0');
        let begin = place;
        match letter {
            '/' if next == '/' => place += letters[place..].iter().take_while(|letter| **letter != '\n').count(),
            '/' if next == '*' => place = end_of_comment(&letters, place),
            '"' => place = end_of_string(&letters, place),
            'r' | 'b' | 'c' if starts_string(&letters, place) => place = end_of_prefixed(&letters, place),
            // A character, which may be a quote, and not a lifetime.
            '\'' if next == '\\' => {
                place += 2
                    + letters[place + 3..]
                        .iter()
                        .take_while(|letter| **letter != '\'')
                        .count()
                    + 2;
            }
            '\'' if letters.get(place + 2) == Some(&'\'') => place += 3,
            ':' if next == ':' => {
                place += 2;
                found.push(("::".to_owned(), line));
            }
            letter if letter.is_alphanumeric() || letter == '_' => {
                let word: String = letters[place..]
                    .iter()
                    .take_while(|letter| letter.is_alphanumeric() || **letter == '_')
                    .collect();
                place += word.chars().count();
                found.push((word, line));
            }
            letter => {
                place += 1;
                if !letter.is_whitespace() {
                    found.push((letter.to_string(), line));
                }
            }
        }
        line += letters[begin..place.min(letters.len())]
            .iter()
            .filter(|letter| **letter == '\n')
            .count();
    }
    found
}

fn end_of_comment(letters: &[char], begin: usize) -> usize {
    let (mut depth, mut place) = (0_usize, begin);
    while place < letters.len() {
        match (letters[place], letters.get(place + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                place += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                place += 2;
                if depth == 0 {
                    break;
                }
            }
            _ => place += 1,
        }
    }
    place
}

fn end_of_string(letters: &[char], begin: usize) -> usize {
    let mut place = begin + 1;
    while place < letters.len() && letters[place] != '"' {
        place += if letters[place] == '\\' { 2 } else { 1 };
    }
    place + 1
}

/// Whether a string with a prefix begins here: `b"`, `r"`, `r#"`, `br#"` and so on.
fn starts_string(letters: &[char], begin: usize) -> bool {
    let before = begin.checked_sub(1).map_or(' ', |place| letters[place]);
    if before.is_alphanumeric() || before == '_' {
        return false;
    }
    let rest = &letters[begin..];
    let prefix = rest
        .iter()
        .take_while(|letter| matches!(letter, 'r' | 'b' | 'c'))
        .count();
    let hashes = rest[prefix..].iter().take_while(|letter| **letter == '#').count();
    prefix <= 2 && rest.get(prefix + hashes) == Some(&'"')
}

fn end_of_prefixed(letters: &[char], begin: usize) -> usize {
    let quote = begin + letters[begin..].iter().take_while(|letter| **letter != '"').count();
    let hashes = letters[begin..quote].iter().filter(|letter| **letter == '#').count();
    if !letters[begin..quote].contains(&'r') {
        return end_of_string(letters, quote);
    }
    let mut place = quote + 1;
    while place < letters.len() {
        if letters[place] == '"'
            && letters[place + 1..]
                .iter()
                .take(hashes)
                .filter(|letter| **letter == '#')
                .count()
                == hashes
        {
            return place + 1 + hashes;
        }
        place += 1;
    }
    place
}

/// Every path of two parts and more, and every name that `use` takes in. `module` is the path of the file's
/// own module, so that `super` is known for what it is.
fn named(source: &str, module: &[String]) -> Vec<Named> {
    let tokens = tokens(source);
    let mut scope = module.to_vec();
    // What each open brace is: the body of a module or not.
    let mut braces: Vec<bool> = Vec::new();
    let mut found = Vec::new();
    let mut place = 0;
    while let Some((word, line)) = tokens.get(place) {
        let text = |offset: usize| tokens.get(place + offset).map_or("", |(word, _)| word.as_str());
        match word.as_str() {
            "mod" if text(2) == "{" => {
                scope.push(text(1).to_owned());
                braces.push(true);
                place += 3;
                continue;
            }
            "{" => braces.push(false),
            "}" if braces.pop() == Some(true) => {
                scope.pop();
            }
            // Not the `use<…>` of a return type.
            "use" if text(1) != "<" => {
                let (mut tree, begin) = (place + 1, found.len());
                spread(&tokens, &mut tree, "", &mut found);
                place = tree;
                resolve(&mut found[begin..], &scope);
                continue;
            }
            _ if text(1) == "::" && is_word(word) && (place == 0 || tokens[place - 1].0 != "::") => {
                let mut path = word.clone();
                while tokens.get(place + 1).is_some_and(|(sign, _)| sign == "::")
                    && tokens.get(place + 2).is_some_and(|(word, _)| is_word(word))
                {
                    path = format!("{path}::{}", tokens[place + 2].0);
                    place += 2;
                }
                let line = *line;
                found.push(Named {
                    path,
                    line,
                    test: false,
                });
                let newest = found.len() - 1;
                resolve(&mut found[newest..], &scope);
            }
            _ => {}
        }
        place += 1;
    }
    found
}

fn is_word(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

/// Spreads a `use` tree that begins at `place` into whole paths.
fn spread(tokens: &[Token], place: &mut usize, before: &str, found: &mut Vec<Named>) {
    let mut path = before.to_owned();
    let line = tokens.get(*place).map_or(0, |(_, line)| *line);
    while let Some((word, _)) = tokens.get(*place) {
        *place += 1;
        match word.as_str() {
            "::" => {}
            "{" => {
                while tokens
                    .get(*place)
                    .is_some_and(|(word, _)| !matches!(word.as_str(), "}" | ";"))
                {
                    spread(tokens, place, &path, found);
                    if tokens.get(*place).is_some_and(|(word, _)| word == ",") {
                        *place += 1;
                    }
                }
                *place += 1;
                return;
            }
            "as" => *place += 1,
            "," | "}" | ";" => {
                *place -= 1;
                break;
            }
            word if path.is_empty() => word.clone_into(&mut path),
            word => path = format!("{path}::{word}"),
        }
    }
    found.push(Named {
        path,
        line,
        test: false,
    });
}

/// Writes `self` and `super` of the last paths out as `crate`.
fn resolve(found: &mut [Named], scope: &[String]) {
    for named in found.iter_mut() {
        named.test |= scope.iter().any(|module| module == "tests");
        let mut parts: Vec<&str> = named.path.split("::").collect();
        let mut module = scope.to_vec();
        let relative = matches!(parts[0], "self" | "super");
        while matches!(parts.first(), Some(&("self" | "super"))) {
            if parts.remove(0) == "super" {
                module.pop();
            }
        }
        if relative {
            let whole: Vec<&str> = std::iter::once("crate")
                .chain(module.iter().map(String::as_str))
                .chain(parts)
                .collect();
            named.path = whole.join("::");
        }
    }
}

/// The module that a file of src/ is.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// What a file of src/ names that its room may not.
fn trespasses(file: &str, source: &str) -> Vec<String> {
    let module = module_of(file);
    let room = module
        .first()
        .and_then(|name| ROOMS.iter().position(|room| room == name));
    let Some(room) = room else {
        return match file {
            "src/lib.rs" | "src/main.rs" => Vec::new(),
            _ => vec![format!("{file}: it is in none of the rooms {}", ROOMS.join(", "))],
        };
    };
    let mut broken = Vec::new();
    for Named { path, line, test } in named(source, &module) {
        let mut parts = path.split("::");
        if matches!(parts.next(), Some("crate" | "landfall"))
            && let Some(other) = parts
                .next()
                .and_then(|name| ROOMS.iter().position(|room| *room == name))
            && other > room
        {
            broken.push(format!(
                "{file}:{line}: {} names {path}, and {} comes after it",
                ROOMS[room], ROOMS[other]
            ));
        }
        let reaches = |impure: &str| path == impure || path.starts_with(&format!("{impure}::"));
        // Tests of a pure room may read samples.
        let impure = IMPURE.iter().filter(|impure| !(test && impure.starts_with("std::")));
        if PURE.contains(&ROOMS[room]) && impure.into_iter().any(|impure| reaches(impure)) {
            broken.push(format!("{file}:{line}: {} is pure and names {path}", ROOMS[room]));
        }
    }
    broken
}

/// The group of every CRD that a file defines: documents of YAML (also in a list, a chart's template or a
/// string of another language) and of JSON.
fn foreign_definitions(file: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let program = ["rs", "go", "ts", "sh", "py"]
        .iter()
        .any(|end| Path::new(file).extension().is_some_and(|found| found == *end));
    let plain = |line: &str| line.replace(' ', "");
    let lines: Vec<String> = text.lines().map(plain).collect();
    for (number, line) in lines.iter().enumerate() {
        if !line.replace(['"', '\''], "").contains("kind:CustomResourceDefinition") {
            continue;
        }
        let apart = |line: &String| line.starts_with("---");
        let end = lines[number..]
            .iter()
            .position(apart)
            .map_or(lines.len(), |offset| number + offset);
        let begin = lines[..number].iter().rposition(apart).unwrap_or(0);
        let groups: BTreeSet<&str> = lines[begin..end]
            .iter()
            .flat_map(|line| groups(line, program))
            .collect();
        for group in groups {
            // A kind that a test makes up is no peer's.
            let made_up = file.starts_with("tests/") && group.ends_with("example.com");
            if group != GROUP && !made_up {
                broken.push(format!("{file}:{}: it defines a CRD of {group}", number + 1));
            }
        }
    }
    broken
}

/// What stands behind `group:` in a line without spaces; in a program only what is in quotes.
fn groups(line: &str, program: bool) -> Vec<&str> {
    let mut found = Vec::new();
    for (place, word) in line.match_indices("group") {
        let before = line[..place].chars().next_back().unwrap_or(',');
        let behind = line[place + word.len()..].trim_start_matches(['"', '\'']);
        let Some(value) = behind.strip_prefix(':').filter(|_| !before.is_alphanumeric()) else {
            continue;
        };
        let quoted = value.starts_with(['"', '\'']);
        let value = value.trim_start_matches(['"', '\'']);
        let value = value.split(['"', '\'', ',', '}', '#']).next().unwrap_or_default();
        let is_group = value.contains('.')
            && value
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-'));
        if is_group && (quoted || !program) {
            found.push(value);
        }
    }
    found
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files that git tracks, and those that it would.
fn tracked() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository())
        .output();
    let listed = output.ok().filter(|output| output.status.success()).map(|output| {
        String::from_utf8(output.stdout)
            .unwrap()
            .split('\0')
            .filter(|name| !name.is_empty() && repository().join(name).is_file())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    listed.filter(|names| !names.is_empty()).unwrap_or_else(|| {
        eprintln!("git lists nothing here (a source archive?): every file outside target/ is looked at instead");
        walk(repository())
    })
}

fn walk(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            found.extend(walk(&path));
        } else if path.is_file() {
            found.push(path.strip_prefix(repository()).unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

/// The files of the program and their text.
fn sources() -> Vec<(String, String)> {
    let sources: Vec<_> = tracked()
        .into_iter()
        .filter(|name| name.starts_with("src/") && Path::new(name).extension().is_some_and(|end| end == "rs"))
        .map(|name| {
            let text = fs::read_to_string(repository().join(&name)).unwrap();
            (name, text)
        })
        .collect();
    assert!(sources.len() > 50, "src/ was not found: {sources:?}");
    sources
}

fn none_of(broken: &[String]) {
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn rooms_import_only_from_those_before_them_and_pure_ones_ask_nobody() {
    let broken: Vec<String> = sources()
        .iter()
        .flat_map(|(file, source)| trespasses(file, source))
        .collect();
    none_of(&broken);
}

#[test]
fn no_file_of_the_program_is_longer_than_one_idea() {
    let broken: Vec<String> = sources()
        .iter()
        .map(|(file, source)| (file, source.lines().count()))
        .filter(|(_, lines)| *lines > LINES)
        .map(|(file, lines)| format!("{file} has {lines} lines, more than {LINES}: it is two ideas"))
        .collect();
    none_of(&broken);
}

#[test]
fn no_definition_of_another_group_lies_in_the_repository() {
    let (mut broken, mut ours) = (Vec::new(), 0);
    for file in tracked() {
        let Ok(text) = fs::read_to_string(repository().join(&file)) else {
            continue; // not text
        };
        // This file holds bad samples.
        if file != "tests/rooms.rs" {
            broken.extend(foreign_definitions(&file, &text));
            ours += usize::from(file.starts_with("crds/"));
        }
    }
    none_of(&broken);
    assert!(ours > 0, "not even our own definitions were found");
}

#[test]
fn the_check_of_imports_can_fail() {
    let found = |file: &str, source: &str| trespasses(file, source).len();
    assert_eq!(found("src/api/system.rs", "use crate::controllers::world::World;"), 1);
    assert_eq!(
        found("src/api/system.rs", "use crate::{api::marks, catalog::refs, cli};"),
        2
    );
    assert_eq!(found("src/api/mod.rs", "use super::template::plan;"), 1);
    assert_eq!(
        found("src/api/crds/tests.rs", "use super::super::super::runtime::backoff;"),
        1
    );
    assert_eq!(
        found(
            "src/runtime/http.rs",
            "fn f() -> crate::controllers::Options { todo!() }"
        ),
        1
    );
    assert_eq!(
        found(
            "src/runtime/http.rs",
            "mod tests { use super::super::super::cli::run; }"
        ),
        1
    );
    assert_eq!(
        found("src/template/plan.rs", "use kube::{Client, api::{Api, ListParams}};"),
        2
    );
    assert_eq!(
        found("src/catalog/refs.rs", "async fn f() { tokio::time::sleep(D).await }"),
        1
    );
    assert_eq!(found("src/catalog/refs.rs", "use std::{fs, collections::BTreeMap};"), 1);
    assert_eq!(found("src/catalog/refs.rs", "use tokio;"), 1);
    assert_eq!(
        found("src/catalog/refs.rs", "use std::fs; mod tests { use std::fs; }"),
        1
    );
    assert_eq!(found("src/catalog/refs.rs", "mod tests { use kube::Client; }"), 1);
    assert_eq!(found("src/other/refs.rs", ""), 1);
}

#[test]
fn the_check_of_imports_lets_pass_what_is_right() {
    let none = |file: &str, source: &str| assert_eq!(trespasses(file, source), Vec::<String>::new());
    none(
        "src/controllers/world.rs",
        "use crate::{api, template::plan};\nuse super::wakes::Key;",
    );
    none(
        "src/api/mod.rs",
        "pub mod template;\nmod tests { use super::template::Template; }",
    );
    none(
        "src/template/plan.rs",
        "// crate::controllers\n/* tokio::spawn /* */ */ const S: &str = \"kube::Client\";",
    );
    none(
        "src/template/plan.rs",
        "const S: &str = r#\"a \" crate::cli::run\"#; const C: char = '\"'; // \"",
    );
    none(
        "src/template/plan.rs",
        "use kube::core::ObjectMeta; fn f<'a>(x: &'a str) -> char { '\\'' }",
    );
    let [Named { path, line, .. }] = &named("\n\nuse a::b;", &[])[..] else {
        panic!("one path is named")
    };
    assert_eq!((path.as_str(), *line), ("a::b", 3));
}

#[test]
fn the_check_of_definitions_can_fail() {
    let yaml = |group: &str| {
        format!(
            "kind: Thing\ngroup: a.b\n---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec:\n  group: {group}\n"
        )
    };
    assert_eq!(foreign_definitions("a.yaml", &yaml("tekton.dev")).len(), 1);
    assert!(foreign_definitions("a.yaml", &yaml(GROUP)).is_empty());
    let json = r#"{
        "kind": "CustomResourceDefinition",
        "spec": {
            "group": "argoproj.io",
        }}"#;
    assert_eq!(foreign_definitions("a.json", json).len(), 1);
    let inline = r#"json!({"kind": "CustomResourceDefinition", "spec": {"group": "tekton.dev"}})"#;
    assert_eq!(foreign_definitions("tests/a.rs", inline).len(), 1);
    let made_up = inline.replace("tekton.dev", "home.example.com");
    assert_eq!(foreign_definitions("tests/a.rs", &made_up).len(), 0);
    assert_eq!(foreign_definitions("examples/a.rs", &made_up).len(), 1);
    let listed = "items:\n- apiVersion: apiextensions.k8s.io/v1\n  kind: CustomResourceDefinition\n  spec:\n    group: 'tekton.dev'\n";
    assert_eq!(foreign_definitions("a.yaml", listed).len(), 1);
}
