//! `landfall plan --offline`: the whole program on files alone. Nothing here needs a cluster.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // In a test, they are how it fails.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

#[allow(dead_code)] // Not every test reads YAML.
mod program;

use program::{Said, landfall, run};

const TEMPLATE: &str = "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {name: web, namespace: shop}
spec:
  type: service
  serviceAccountName: golden-path
  parameters: {properties: {pods: {type: integer, minimum: 1, maximum: 20, default: 5}}}
  resources:
  - id: namespace
    manifest: {apiVersion: v1, kind: Namespace, metadata: {name: \"web-${{ entity.metadata.name }}\"}}
  - id: quota
    manifest: {apiVersion: v1, kind: ResourceQuota, metadata: {name: limits, namespace: \"${{ resources.namespace.metadata.name }}\"}, spec: {hard: {pods: \"${{ parameters.pods }}\"}}}
  - id: told
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: told, namespace: \"${{ resources.namespace.metadata.name }}\"}, data: {phase: \"${{ resources.namespace.status.phase }}\"}}
";

fn component(name: &str, parameters: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Component
metadata: {{name: {name}, namespace: shop}}
spec: {{type: service, lifecycle: production, owner: team, template: {{ref: web, parameters: {parameters}}}}}
"
    )
}

/// What `landfall plan --offline` says to standard input.
fn plan(input: &str, more: &[&str]) -> Said {
    let arguments = [&["plan", "--offline", "-f", "-"], more].concat();
    run(&mut landfall(&arguments), input)
}

/// A folder of the test's own.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_component_is_planned_with_the_template_beside_it() {
    let said = plan(&format!("{TEMPLATE}---{}", component("orders", "{pods: 7}")), &[]);
    assert_eq!(said.code, 2, "{}{}", said.output, said.errors);
    for line in [
        "+ template:shop/web  (standard input:2:1)",
        "+ component:shop/orders  (standard input:17:1)",
        "  + Namespace web-orders  [namespace]",
        "  + ResourceQuota web-orders/limits  [quota]",
        "  ? ConfigMap web-orders/told  [told]",
        "WaitingForValue: data.phase: waiting for resources.namespace.status.phase",
        "--offline asks no cluster",
        "2 entities change; objects: 2 to add, 0 to change, 0 to remove, 0 kept, 1 waiting, 0 denied, 0 unchanged",
    ] {
        assert!(said.output.contains(line), "\"{line}\" is not in:\n{}", said.output);
    }
    assert!(!said.output.contains("landfall.dev/claim"), "{}", said.output);
}

#[test]
fn what_would_be_made_is_shown_as_a_whole_where_that_is_asked_for() {
    let input = format!("{TEMPLATE}---{}", component("orders", "{pods: 7}"));
    let full = plan(&input, &["--full"]).output;
    assert!(full.contains("pods: 7"), "{full}");
    assert!(
        !full.contains("landfall.dev/"),
        "our marks are not the template's:\n{full}"
    );
    let json: Value = serde_json::from_str(&plan(&input, &["-o", "json"]).output).unwrap();
    let quota = &json["entities"][1]["objects"][1];
    assert_eq!(quota["action"], "create");
    assert_eq!(quota["object"]["spec"]["hard"]["pods"], 7);
    assert_eq!(json["summary"]["added"], 2);
    let markdown = plan(&input, &["-o", "markdown"]).output;
    assert!(markdown.starts_with("### Landfall plan\n"), "{markdown}");
    assert!(markdown.contains("+ ResourceQuota web-orders/limits"), "{markdown}");
}

#[test]
fn a_parameter_that_is_wrong_is_named_and_the_rest_is_planned() {
    let input = format!(
        "{TEMPLATE}---{}---{}",
        component("good", "{pods: 7}"),
        component("bad", "{pods: 70, pod: 1}")
    );
    let said = plan(&input, &[]);
    assert_eq!(said.code, 1, "{}", said.output);
    assert!(said.output.contains("+ Namespace web-good"), "{}", said.output);
    assert!(said.output.contains("! component:shop/bad"), "{}", said.output);
    assert!(
        said.output
            .contains("InvalidParameters: parameters.pod: unknown parameter; did you mean pods?"),
        "{}",
        said.output
    );
    assert!(
        said.output
            .contains("parameters.pods: 70 is more than the maximum of 20"),
        "{}",
        said.output
    );
    assert!(said.errors.contains("1 thing is wrong: see above"), "{}", said.errors);
}

#[test]
fn of_500_files_the_one_that_is_broken_is_named_by_line_and_column_and_the_others_are_planned() {
    let folder = folder("plan-500");
    fs::write(folder.join("template.yaml"), TEMPLATE).unwrap();
    for number in 0..498 {
        fs::write(
            folder.join(format!("c{number}.yaml")),
            component(&format!("c{number}"), "{}"),
        )
        .unwrap();
    }
    fs::write(
        folder.join("broken.yaml"),
        "apiVersion: catalog.landfall.dev/v1alpha1\nkind: Component\nmetadata: {name: broken\n",
    )
    .unwrap();
    let said = run(
        &mut landfall(&[
            "plan",
            "--offline",
            "-n",
            "shop",
            "-o",
            "json",
            "-f",
            folder.to_str().unwrap(),
        ]),
        "",
    );
    assert_eq!(said.code, 1, "{}", said.errors);
    let report: Value = serde_json::from_str(&said.output).unwrap();
    let faults = report["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 1, "{faults:#?}");
    let place = faults[0]["place"].as_str().unwrap();
    let behind = place.split_once("broken.yaml:").unwrap().1;
    let parts: Vec<usize> = behind.split(':').map(|part| part.parse().unwrap()).collect();
    assert_eq!(parts.len(), 2, "{place}");
    assert_eq!(report["summary"]["added"], 2 * 498);
    let text = run(
        &mut landfall(&["plan", "--offline", "-f", folder.to_str().unwrap()]),
        "",
    )
    .output;
    assert!(text.lines().count() < 400, "{} lines", text.lines().count());
    assert!(text.contains("more entities; --full shows all"), "{text}");
}

#[test]
fn a_field_that_no_definition_knows_is_told_where_it_stands() {
    let input = component("orders", "{}").replace("parameters:", "parametrs:");
    let said = plan(&format!("{TEMPLATE}---{input}"), &[]);
    assert_eq!(said.code, 1);
    assert!(
        said.output
            .contains("standard input:20:80: spec.template.parametrs: unknown field; did you mean parameters?"),
        "{}",
        said.output
    );
}

#[test]
fn what_is_not_there_is_said_and_is_no_panic() {
    let missing = plan(&component("orders", "{}"), &[]);
    assert_eq!(missing.code, 1);
    assert!(
        missing
            .output
            .contains("template:shop/web is not among the files; name its file too, or leave out --offline"),
        "{}",
        missing.output
    );
    let none = run(&mut landfall(&["plan", "--offline", "-f", "/nowhere/at/all.yaml"]), "");
    assert_eq!(none.code, 1);
    assert!(none.errors.contains("/nowhere/at/all.yaml: "), "{}", none.errors);
    let other = plan("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", &[]);
    assert_eq!(other.code, 1);
    assert!(
        other.errors.contains("no resource of catalog.landfall.dev is in -"),
        "{}",
        other.errors
    );
    let mut away = landfall(&["plan", "-f", "-"]);
    let kubeconfig = folder("plan-away").join("kubeconfig");
    fs::write(
        &kubeconfig,
        "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], clusters: [{name: a, cluster: {server: 'https://127.0.0.1:9'}}], users: [{name: a, user: {}}]}",
    )
    .unwrap();
    away.env("KUBECONFIG", &kubeconfig);
    let said = run(&mut away, &component("orders", "{}"));
    assert_eq!(said.code, 1);
    assert!(said.errors.contains("the cluster does not answer: "), "{}", said.errors);
    assert!(said.errors.contains("--offline"), "{}", said.errors);
    let mut adopt = landfall(&["adopt", "orders"]);
    let said = run(adopt.env("KUBECONFIG", &kubeconfig), "");
    assert_eq!(said.code, 1);
    assert!(said.errors.contains("the cluster does not answer: "), "{}", said.errors);
    assert!(!said.errors.contains("--offline"), "it has none: {}", said.errors);
    let none = run(&mut landfall(&["adopt"]), "");
    assert_eq!(none.code, 1, "what is meant is to be said: {}", none.errors);
}

#[test]
fn a_server_that_never_answers_is_waited_for_no_longer_than_it_is_said() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let kubeconfig = folder("plan-silent").join("kubeconfig");
    let server = format!("http://{}", silent.local_addr().unwrap());
    fs::write(
        &kubeconfig,
        format!("{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a}}}}], clusters: [{{name: a, cluster: {{server: '{server}'}}}}], users: [{{name: a, user: {{}}}}]}}"),
    )
    .unwrap();
    let begun = std::time::Instant::now();
    let said = run(
        landfall(&["plan", "--timeout", "1", "-f", "-"]).env("KUBECONFIG", &kubeconfig),
        &component("orders", "{}"),
    );
    assert_eq!(said.code, 1, "{}", said.output);
    assert!(said.errors.contains("the cluster does not answer: "), "{}", said.errors);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

#[test]
fn what_stands_in_a_broken_kubeconfig_is_not_repeated() {
    let kubeconfig = folder("plan-broken").join("kubeconfig");
    for user in ["{token: SECRET", "{token: [SECRET]}", "{token: {SECRET: 1}}"] {
        fs::write(
            &kubeconfig,
            format!("apiVersion: v1\nusers:\n- name: a\n  user: {user}\n"),
        )
        .unwrap();
        let said = run(
            landfall(&["plan", "-f", "-"]).env("KUBECONFIG", &kubeconfig),
            &component("orders", "{}"),
        );
        assert_eq!(said.code, 1, "{}", said.output);
        assert!(said.errors.contains("the kubeconfig, line "), "{}", said.errors);
        assert!(!(said.errors + &said.output).contains("SECRET"), "{user}");
    }
}

#[test]
fn a_broken_template_is_told_with_what_is_wrong_and_its_instances_say_that_it_is() {
    let broken = TEMPLATE.replace("parameters.pods", "parameters.pod");
    let said = plan(&format!("{broken}---{}", component("orders", "{}")), &[]);
    assert_eq!(said.code, 1, "{}", said.output);
    assert!(
        said.output.contains("! template:shop/web")
            && said
                .output
                .contains("parameters.pod is not declared in spec.parameters; did you mean pods?"),
        "{}",
        said.output
    );
    assert!(
        said.output.contains("TemplateNotReady: template:shop/web is not ready"),
        "{}",
        said.output
    );
}

#[test]
fn a_system_of_the_files_makes_room_for_the_components_of_the_files() {
    let input = "
{apiVersion: catalog.landfall.dev/v1alpha1, kind: Template, metadata: {name: component, namespace: shop}, spec: {type: service, serviceAccountName: a, resources: [{id: settings, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: \"${{ entity.metadata.name }}\", namespace: shop-made}}}]}}
---
{apiVersion: catalog.landfall.dev/v1alpha1, kind: Template, metadata: {name: system, namespace: shop}, spec: {type: service, serviceAccountName: a, resources: [{id: room, manifest: {apiVersion: v1, kind: Namespace, metadata: {name: shop-made}}}]}}
---
{apiVersion: catalog.landfall.dev/v1alpha1, kind: Component, metadata: {name: orders, namespace: shop}, spec: {type: service, lifecycle: production, owner: team, system: all, template: {ref: component}}}
---
{apiVersion: catalog.landfall.dev/v1alpha1, kind: System, metadata: {name: all, namespace: shop}, spec: {owner: team, template: {ref: system}}}
";
    let said = plan(input, &[]);
    assert_eq!(said.code, 2, "{}", said.output);
    assert!(
        said.output.contains("+ ConfigMap shop-made/orders  [settings]"),
        "{}",
        said.output
    );
}
