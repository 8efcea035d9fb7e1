//! What is made from the chart and committed says what the chart says. With `LANDFALL_GENERATE` set, as `make generate`
//! does, it is written instead of compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::documented::{documented, schema_of, undocumented};
use crate::helm::{chart, template};
use crate::support::repository;

mod health;

/// Between these the README's table is made.
const BEGIN: &str = "<!-- made from values.yaml by make generate -->\n";
const END: &str = "<!-- end of what is made -->\n";

/// Whether what is generated is to be written instead of compared.
fn is_to_be_written() -> bool {
    std::env::var_os("LANDFALL_GENERATE").is_some()
}

/// Compares a file of the repository with what it is to be, or writes it.
fn holds(place: PathBuf, expected: &str) {
    if is_to_be_written() {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(&place).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not what the chart says; run `make generate`",
        place.display()
    );
}

#[test]
fn every_value_has_a_word_about_it() {
    assert_eq!(undocumented(), Vec::<String>::new());
}

#[test]
fn the_schema_says_of_each_value_what_values_yaml_says() {
    let place = chart().join("values.schema.json");
    let mut schema: Value = serde_json::from_str(&fs::read_to_string(&place).unwrap()).unwrap();
    for one in documented() {
        let part = schema_of(&mut schema, &one.path).unwrap_or_else(|| panic!("{} has no schema", one.name()));
        part["description"] = json!(one.text);
    }
    require_all(&mut schema);
    holds(place, &format!("{schema:#}\n"));
}

/// A value that is set to null is taken out by Helm, and would be rendered as nothing.
fn require_all(schema: &mut Value) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    let mut required = Vec::new();
    for (name, property) in properties {
        require_sections(property);
        if name != "global" {
            required.push(json!(name));
        }
    }
    schema["required"] = Value::Array(required);
}

/// The same in a section of the values; what is given as one has parts that may be left out.
fn require_sections(schema: &mut Value) {
    if schema.get("description").is_none() {
        require_all(schema);
    }
}

#[test]
fn the_readme_has_the_table_of_values() {
    let place = chart().join("README.md");
    let readme = fs::read_to_string(&place).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("where the table begins");
    let (_, after) = rest.split_once(END).expect("where the table ends");
    let mut table = String::from("| value | default | meaning |\n|---|---|---|\n");
    for one in documented() {
        writeln!(
            table,
            "| `{}` | `{}` | {} |",
            one.name(),
            one.default,
            one.text.replace('|', "\\|")
        )
        .unwrap();
    }
    holds(place, &format!("{before}{BEGIN}\n{table}\n{END}{after}"));
}

#[test]
fn the_definitions_in_the_chart_are_those_of_the_types() {
    let read = |directory: PathBuf| -> BTreeMap<String, String> {
        let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
        entries
            .map(|entry| {
                (
                    entry.file_name().into_string().unwrap(),
                    fs::read_to_string(entry.path()).unwrap(),
                )
            })
            .collect()
    };
    let (ours, charts) = (read(repository().join("crds")), read(chart().join("files/crds")));
    assert!(
        ours == charts,
        "charts/landfall/files/crds is not crds; run `make generate`"
    );
}

/// What the chart renders into a file of `deploy/`.
struct Rendered {
    file: &'static str,
    about: &'static str,
    templates: &'static [&'static str],
    values: &'static [&'static str],
}

const DEPLOY: [Rendered; 6] = [
    Rendered {
        file: "crds.yaml",
        about: "The definitions of Landfall's kinds.",
        templates: &["crds"],
        values: &["--set", "crds.keep=false"],
    },
    Rendered {
        file: "rbac.yaml",
        about: "What the operator itself may do, when it runs as a service account of its own and not as you.",
        templates: &["serviceaccount", "rbac"],
        values: &[],
    },
    Rendered {
        file: "people.yaml",
        about: "What people may do with entities.",
        templates: &["roles"],
        values: &[],
    },
    Rendered {
        file: "controller.yaml",
        about: "The operator. Its image is the one that `make image` writes.",
        templates: &["deployment", "poddisruptionbudget", "service", "networkpolicy"],
        values: &[],
    },
    Rendered {
        file: "webhook.yaml",
        about: "What the apiserver asks before it takes an instance in, or lets an entity go that others name: kubectl apply -f deploy/webhook.yaml",
        templates: &[
            "webhook/service",
            "webhook/rbac",
            "webhook/deployment",
            "webhook/networkpolicy",
            "webhook/configuration",
        ],
        values: &[
            "--set",
            "webhook.enabled=true",
            "--set-json",
            r#"accounts=[{"namespace":"platform","name":"golden-path"}]"#,
        ],
    },
    Rendered {
        file: "account.yaml",
        about: "That the operator may act as the account platform/golden-path of examples/golden-path, whose namespace must be there.\n# Each further account needs its own.",
        templates: &["accounts"],
        values: &[
            "--set-json",
            r#"accounts=[{"namespace":"platform","name":"golden-path"}]"#,
        ],
    },
];

/// The namespace, which Helm makes by itself.
const OWN_NAMESPACE: &str = "apiVersion: v1
kind: Namespace
metadata:
  name: landfall-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
---
";

#[test]
fn deploy_is_what_the_chart_renders() {
    for rendered in DEPLOY {
        let files: Vec<String> = rendered
            .templates
            .iter()
            .map(|name| format!("templates/{name}.yaml"))
            .collect();
        let mut arguments = rendered.values.to_vec();
        for file in &files {
            arguments.extend(["--show-only", file]);
        }
        let mut text = format!(
            "# {}\n# Rendered from charts/landfall by `make generate`: change it there.\n",
            rendered.about
        );
        if rendered.file == "rbac.yaml" {
            text.push_str(OWN_NAMESPACE);
        }
        text.push_str(&without_helm(&template(&arguments)));
        holds(repository().join("deploy").join(rendered.file), &text);
    }
}

/// What is rendered, without what only Helm has a use for.
fn without_helm(text: &str) -> String {
    let helms = ["# Source: ", "helm.sh/chart: ", "app.kubernetes.io/managed-by: "];
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| !helms.iter().any(|start| line.trim_start().starts_with(start)))
        .collect();
    let text = format!("\n{}\n", kept.join("\n"));
    let documents = text
        .split("\n---\n")
        .map(str::trim)
        .filter(|document| !document.is_empty());
    documents.collect::<Vec<_>>().join("\n---\n") + "\n"
}
