//! What the first Backstage reads: the corpus's real entities, and generated ones for more than a page.

use std::fs;
use std::path::{Path, PathBuf};

use landfall::catalog::yaml;
use serde_json::{Value, json};

use super::backstage::print;

/// How many documents are generated.
const GENERATED: usize = 560;
/// Texts of a file and what stands there instead.
type Changes = &'static [(&'static str, &'static str)];
/// The files of the corpus that a Backstage reads as they are: how many entities each has, and what is
/// changed where a file points to the internet.
const REAL: [(&str, usize, Changes); 7] = [
    (
        "backstage-demo/catalog-info.yaml",
        2,
        &[(
            "$text: https://demo.backstage.io/api/graphql/schema",
            "type Query { me }",
        )],
    ),
    ("backstage-demo/demo-template/template/template.yaml", 1, &[]),
    ("backstage-demo/examples/ai-resources.yaml", 6, &[]),
    ("backstage-demo/examples/mcp-server-api.yaml", 1, &[]),
    // Itself, and the templates that are its 14 targets. In files they are relative only with a dot.
    (
        "developer-hub-templates/templates.yaml",
        15,
        &[("type: url", "type: file"), ("- templates/", "- ./templates/")],
    ),
    (
        "developer-hub-templates/templates/github/backstage-system/template.yaml",
        1,
        &[],
    ),
    (
        "developer-hub-templates/templates/github/sdlc-app/template.yaml",
        1,
        &[],
    ),
];

/// What a Backstage is told to read.
pub struct Locations {
    pub files: Vec<PathBuf>,
    /// How many entities are there, without one for each of the files.
    pub entities: usize,
}

/// Writes all of it below `folder`.
pub fn write(folder: &Path) -> Locations {
    fs::create_dir_all(folder).unwrap();
    let file = folder.join("generated.yaml");
    let text: String = generated()
        .iter()
        .map(|document| yaml::write(document).unwrap())
        .collect();
    fs::write(&file, text).unwrap();
    let mut locations = Locations {
        files: vec![file],
        entities: GENERATED,
    };
    let given = std::env::var_os("LANDFALL_CORPUS").map(PathBuf::from);
    let corpus = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"));
    if !corpus.is_dir() {
        print(
            "*** SKIPPED: the real entities of backstage_peer: there is no corpus; LANDFALL_CORPUS names its folder ***",
        );
        return locations;
    }
    copy(&corpus, folder);
    for (name, entities, changes) in REAL {
        let file = folder.join(name);
        let mut text = fs::read_to_string(&file).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{name}: {from}");
            text = text.replace(from, to);
        }
        fs::write(&file, text).unwrap();
        locations.files.push(file);
        locations.entities += entities;
    }
    locations
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
        }
    }
}

/// Texts that other readers of YAML, or shells, take for something else.
const TEXTS: [&str; 14] = [
    "yes",
    "012",
    "1_000",
    "12:30:45",
    "2026-11-22",
    "~",
    "null",
    "0x1F",
    "- a",
    "a: b # c",
    "two\nlines\n",
    "tab\there",
    "Grüße, 世界 🚢",
    "'\"\\",
];

/// Documents of every kind and shape, each time the same.
fn generated() -> Vec<Value> {
    (0..GENERATED).map(one).collect()
}

fn one(number: usize) -> Value {
    let text = TEXTS[number % TEXTS.len()];
    let owner = ["team-a", "group:shop/Team_B", "user:default/jane.doe"][number % 3];
    let (kind, spec) = spec_of(number, text, owner);
    let name = match number % 5 {
        0 => format!("orders-{number}"),
        1 => format!("Orders_{number}"),
        2 => format!("orders.v{number}"),
        3 => format!("{number}"),
        _ => format!("a-name.of-63_letters-{number:0>42}"),
    };
    let mut metadata = json!({"name": name});
    let more = [
        ("namespace", json!(["shop", "default", "platform-eu"][number % 3]), 2),
        ("title", json!(text), 2),
        ("description", json!(format!("{text}, {number}")), 3),
        (
            "labels",
            json!({"team": "a", "example.com/Since_1.0": "012", "empty": ""}),
            3,
        ),
        (
            "annotations",
            json!({"backstage.io/techdocs-ref": "dir:.", "example.com/text": text, "plain": ""}),
            4,
        ),
        ("tags", json!(["java", "c++", "c#", "a:b", "0"]), 3),
        (
            "links",
            json!([{"url": "https://example.com/?a=b#c", "title": text, "icon": "dashboard", "type": "own"}, {"url": "slack://channel?id=C1"}, {"url": "https://example.com/?a=b#c"}]),
            5,
        ),
        (
            "own",
            json!({"numbers": [0, -1, 2.5, 1e21, 9_007_199_254_740_991_i64], "flag": true, "none": null, "empty": {}, "list": [[], [text]]}),
            4,
        ),
    ];
    for (field, value, every) in more {
        if number.is_multiple_of(every) {
            metadata[field] = value;
        }
    }
    let api_version = match kind {
        "Template" => "scaffolder.backstage.io/v1beta3",
        // Of an AiResource there is one version.
        _ if number.is_multiple_of(7) && kind != "AiResource" => "backstage.io/v1beta1",
        _ => "backstage.io/v1alpha1",
    };
    let mut document = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec});
    if number.is_multiple_of(6) {
        // Fields that only a reader of this catalog knows, one of them called like one of Landfall's.
        document["spec"]["template"] = json!({"ref": text});
        document["spec"]["own"] = json!([text, {"x": {"y": null}}, 3]);
    }
    if kind == "Component" && number.is_multiple_of(4) {
        document["metadata"]["landfall"] =
            json!({"spec": {"template": {"ref": "platform/web-service", "parameters": {"replicas": 2, "text": text}}}});
    }
    if kind == "AiResource" && number % 24 == 11 {
        document["metadata"]["landfall"] = json!({"labels": {"only": "here"}});
    }
    document
}

fn spec_of(number: usize, text: &str, owner: &str) -> (&'static str, Value) {
    let all = [
        (
            "Component",
            json!({"type": "service", "lifecycle": "production", "owner": owner, "system": "orders", "subcomponentOf": "component:shop/All_of_it", "providesApis": ["orders", "shop/Payments"], "consumesApis": ["api:default/x"], "dependsOn": ["resource:db", "component:shop/x"], "dependencyOf": ["component:y"]}),
        ),
        (
            "API",
            json!({"type": "openapi", "lifecycle": "experimental", "owner": owner, "system": "shop/orders", "definition": format!("openapi: 3.1.0\ninfo:\n  title: {text}\n\n   trailing  \n")}),
        ),
        (
            "Resource",
            json!({"type": "database", "owner": owner, "system": "orders", "dependsOn": ["component:default/x"], "dependencyOf": []}),
        ),
        ("System", json!({"owner": owner, "domain": "sales", "type": "product"})),
        (
            "Domain",
            json!({"owner": owner, "subdomainOf": "company", "type": "bundle"}),
        ),
        (
            "Group",
            json!({"type": "team", "profile": {"displayName": text, "email": "a@example.com", "picture": "https://example.com/a.png"}, "parent": "shop/all", "children": ["team-x", "group:shop/Y"], "members": ["jane.doe", "user:shop/j"]}),
        ),
        (
            "User",
            json!({"profile": {"displayName": text, "email": "a@example.com"}, "memberOf": ["team-a", "group:shop/Team_B"]}),
        ),
        (
            "Template",
            json!({"type": "service", "owner": owner, "parameters": [{"title": text, "required": ["name"], "properties": {"name": {"type": "string", "default": text, "ui:autofocus": true}}}], "steps": [{"id": "fetch", "name": "Fetch", "action": "fetch:template", "if": "${{ parameters.name }}", "input": {"url": "./skeleton", "values": {"name": "${{ parameters.name | upper }}"}}}], "output": {"links": [{"title": "Open", "url": "${{ steps.fetch.output.url }}"}]}}),
        ),
        ("Group", json!({"type": "root", "children": []})),
        ("User", json!({"memberOf": []})),
        ("Location", json!({})),
        (
            "AiResource",
            json!({"type": "skill", "lifecycle": "experimental", "owner": owner, "system": "orders"}),
        ),
    ];
    all.into_iter().nth(number % 12).unwrap()
}
