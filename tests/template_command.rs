//! `landfall template test` and `landfall template lint` on files. Nothing here needs a cluster.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // In a test, they are how it fails.

use serde_json::Value;

#[allow(dead_code)] // Not every test reads YAML.
mod program;

use program::{Said, landfall, run};

/// A Template with this much of a spec.
fn template(spec: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {{name: web, namespace: platform}}
spec:
  type: service
  serviceAccountName: golden-path
{spec}
"
    )
}

const QUOTA: &str = "
  parameters: {properties: {pods: {type: integer, maximum: 10, default: 2, description: How many.}}}
  resources:
  - id: ns
    manifest: {apiVersion: v1, kind: Namespace, metadata: {name: 'web-${{ entity.metadata.name }}'}}
  - id: quota
    manifest: {apiVersion: v1, kind: ResourceQuota, metadata: {name: size, namespace: '${{ resources.ns.metadata.name }}'}, spec: {hard: {pods: '${{ parameters.pods }}'}, phase: '${{ resources.ns.status.phase }}'}}
";

fn test(input: &str, more: &[&str]) -> Said {
    run(&mut landfall(&[&["template", "test", "-"], more].concat()), input)
}

fn lint(input: &str) -> Said {
    run(&mut landfall(&["template", "lint", "--offline", "-"]), input)
}

/// The rules and paths that are found.
fn found(spec: &str) -> Vec<String> {
    let said = run(
        &mut landfall(&["template", "lint", "--offline", "-o", "json", "-"]),
        &template(spec),
    );
    let report: Value = serde_json::from_str(&said.output).unwrap_or_else(|_| panic!("{}{}", said.output, said.errors));
    assert_eq!(report["faults"], serde_json::json!([]), "{report:#}");
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(said.code, if findings.is_empty() { 0 } else { 2 });
    let text = |finding: &Value| {
        format!(
            "{} {}",
            finding["rule"].as_str().unwrap(),
            finding["path"].as_str().unwrap()
        )
    };
    findings.iter().map(text).collect()
}

#[test]
fn the_examples_of_our_own_templates_hold_and_nothing_is_found_in_them() {
    for source in ["examples", "examples/quickstart.yaml"] {
        let said = run(&mut landfall(&["template", "test", source]), "");
        assert_eq!(said.code, 0, "{}{}", said.output, said.errors);
        assert!(said.output.contains("  ok   "), "{}", said.output);
        assert!(!said.output.contains("it has no examples"), "{}", said.output);
        let said = run(&mut landfall(&["template", "lint", "--offline", source]), "");
        assert_eq!(said.code, 0, "{}{}", said.output, said.errors);
        assert!(
            said.output.contains("unchecked: who else may use the account"),
            "{}",
            said.output
        );
    }
}

#[test]
fn an_example_that_does_not_hold_names_resource_field_what_was_found_and_what_was_expected() {
    let examples = "
  examples:
  - {name: good, live: {ns: {status: {phase: Active}}}, expect: {count: 2, resources: [{id: quota, manifest: {spec: {hard: {pods: 2}, phase: Active}}}]}}
  - {name: other-value, live: {ns: {status: {}}}, parameters: {pods: 3}, expect: {resources: [{id: ns, manifest: {metadata: {name: other}}}]}}
  - {name: waits, expect: {resources: [{id: quota, manifest: {spec: {hard: {pods: 2}}}}]}}
  - {name: misspelt, expect: {resources: [{id: quote, manifest: {kind: ResourceQuota}}]}}
  - {name: there, expect: {resources: [{id: ns, absent: true}]}}
  - {name: says-nothing, expect: {resources: [{id: quote, absent: true}]}}
  - {name: counted, expect: {count: 3}}
  - {name: refused, parameters: {pods: 11}, expect: {fault: {reason: InvalidParameters, message: more than the maximum of 10}}}
  - {name: not-refused, expect: {fault: {reason: InvalidParameters}}}
  - {name: refused-otherwise, parameters: {pods: 11}, expect: {fault: {message: minimum}}}
  - {name: cannot-be-planned, parameters: {pods: 11}, expect: {count: 2}}
";
    let said = test(&template(&format!("{examples}{QUOTA}")), &[]);
    assert_eq!(said.code, 1, "{}{}", said.output, said.errors);
    for line in [
        "  ok   good",
        "resource \"ns\", metadata.name: found \"web-example\", expected \"other\"",
        "resource \"quota\", spec.phase: waits for resources.ns.status.phase; say under the example's live what it is to be",
        "resource \"quote\" is not in the plan; did you mean quota?",
        "resource \"ns\" is in the plan: Namespace web-example; expected it to be absent",
        "resource \"quote\": the template has no resource of this id; did you mean quota?",
        "found 2 objects, expected 3: ns, quota",
        "  ok   refused",
        "found a plan of 2 objects, expected the fault InvalidParameters",
        "expected a fault that says \"minimum\"",
        "cannot be planned: parameters.pods: 11 is more than the maximum of 10",
    ] {
        assert!(said.output.contains(line), "\"{line}\" is not in:\n{}", said.output);
    }
    assert!(said.errors.contains("9 failed: see above"), "{}", said.errors);
}

#[test]
fn a_template_that_does_not_compile_or_is_none_is_a_fault() {
    let broken = test(&template(&QUOTA.replace("parameters.pods", "parameters.pod")), &[]);
    assert_eq!(broken.code, 1);
    assert!(broken.output.contains("FAIL InvalidTemplate: "), "{}", broken.output);
    let none = test(
        "{apiVersion: catalog.landfall.dev/v1alpha1, kind: Group, metadata: {name: a}, spec: {type: team}}",
        &[],
    );
    assert_eq!(none.code, 1);
    assert!(
        none.errors.contains("there is no Template in these files"),
        "{}",
        none.errors
    );
    let unread = test("{", &[]);
    assert_eq!(unread.code, 1);
    assert!(unread.output.contains("FAIL standard input:1:"), "{}", unread.output);
}

#[test]
fn examples_that_would_go_on_without_end_are_stopped() {
    let example = |number| format!("  - {{name: e{number}, expect: {{count: 1}}}}\n");
    let examples: String = (0..64).map(example).collect();
    let examples = format!("\n  examples:\n{examples}");
    let long = "${{ range(0, 9999) | join('xxxxxxxxxxxxxxxx') | length }}";
    let data: Vec<String> = (0..250).map(|number| format!("k{number}: \"{long}\"")).collect();
    let resources = format!(
        "\n  resources:\n  - {{id: map, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: '${{{{ entity.metadata.name }}}}'}}, data: {{{}}}}}}}\n",
        data.join(", ")
    );
    let begun = std::time::Instant::now();
    let said = test(&template(&format!("{examples}{resources}")), &[]);
    assert_eq!(said.code, 1, "{}", said.output);
    assert!(said.output.contains("too costly"), "{}", said.output);
    assert!(
        said.output.contains("was not run, since the examples before it"),
        "{}",
        said.output
    );
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

#[test]
fn parameters_that_nobody_uses_or_understands_are_found() {
    let spec = "
  parameters:
    properties:
      used: {type: string, maxLength: 9, description: It is used.}
      unused: {type: string, description: It is not.}
      mute: {type: string, enum: [a]}
  resources:
  - {id: map, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: '${{ entity.metadata.name }}'}, data: {a: '${{ parameters.used }}', b: '${{ parameters.mute }}'}}}
";
    assert_eq!(
        found(spec),
        [
            "unused-parameter spec.parameters.properties.unused",
            "undescribed-parameter spec.parameters.properties.mute"
        ]
    );
    assert_eq!(
        found(&spec.replace("'${{ parameters.used }}'", "'${{ parameters | dump }}'")).len(),
        1
    );
}

#[test]
fn what_fails_where_a_parameter_is_not_given_is_found_unless_it_is_guarded() {
    let spec = |guard: &str, text: &str, rest: &str| {
        format!(
            "
  parameters: {{properties: {{host: {{type: string, description: A host.{rest}}}}}}}
  resources:
  - {{id: map, {guard}manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: '${{{{ entity.metadata.name }}}}'}}, data: {{url: '{text}'}}}}}}
"
        )
    };
    let path = "optional-in-text spec.resources[map].manifest.data.url";
    assert_eq!(found(&spec("", "https://${{ parameters.host }}/", "")), [path]);
    for good in [
        spec("", "https://${{ parameters.host }}/", ", default: x"),
        spec("", "${{ parameters.host }}", ""),
        spec("", "https://${{ parameters.host | default(\"x\") }}/", ""),
        spec("if: '${{ parameters.host }}', ", "https://${{ parameters.host }}/", ""),
    ] {
        assert_eq!(found(&good), Vec::<String>::new(), "{good}");
    }
}

#[test]
fn names_that_two_would_claim_are_found() {
    let spec = |open: &str, name: &str, each: &str| {
        format!(
            "
{open}
  parameters: {{properties: {{free: {{type: string, description: Anything., default: a}}, all: {{type: array, description: All., default: []}}}}}}
  resources:
  - {{id: ns, {each}manifest: {{apiVersion: v1, kind: Namespace, metadata: {{name: '{name}', labels: {{a: '${{{{ parameters.free }}}}', b: '${{{{ parameters.all | length }}}}'}}}}}}}}
"
        )
    };
    let all = "  allowedNamespaces: {from: All}";
    let (name, namespace) = ("${{ entity.metadata.name }}", "${{ entity.metadata.namespace }}");
    let shared = "shared-name spec.resources[ns].manifest.metadata.name";
    assert_eq!(
        found(&spec("", name, "")),
        Vec::<String>::new(),
        "names are one namespace's own"
    );
    assert_eq!(found(&spec(all, name, "")), [shared]);
    assert_eq!(
        found(&spec(all, &format!("{namespace}-{name}"), "")),
        Vec::<String>::new()
    );
    assert_eq!(found(&spec("", "fixed", "")), [shared]);
    assert_eq!(
        found(&spec("", "${{ parameters.free }}", "")),
        ["unbounded-name spec.resources[ns].manifest.metadata.name", shared]
    );
    let each = "each: '${{ parameters.all }}', ";
    assert_eq!(
        found(&spec("", name, each)),
        ["each-without-key spec.resources[ns].manifest.metadata.name"]
    );
    assert_eq!(
        found(&spec("", &format!("{name}-${{{{ each.key }}}}"), each)),
        Vec::<String>::new()
    );
}

#[test]
fn namespaces_that_go_with_data_and_targets_of_nothing_are_found() {
    let spec = |policy: &str| {
        format!(
            "
  targetNamespaces: [argocd, unused]
  resources:
  - {{id: ns, {policy}manifest: {{apiVersion: v1, kind: Namespace, metadata: {{name: '${{{{ entity.metadata.name }}}}'}}}}}}
  - {{id: data, manifest: {{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: data, namespace: '${{{{ resources.ns.metadata.name }}}}'}}, spec: {{}}}}}}
  - {{id: app, manifest: {{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {{name: '${{{{ entity.metadata.name }}}}', namespace: argocd}}}}}}
"
        )
    };
    let target = "unused-target-namespace spec.targetNamespaces[1]";
    assert_eq!(
        found(&spec("")),
        [
            "shared-name spec.resources[app].manifest.metadata.name",
            "namespace-with-data spec.resources[ns]",
            target
        ][1..]
    );
    assert_eq!(found(&spec("deletionPolicy: Confirm, ")), [target]);
}

#[test]
fn a_rule_is_silenced_with_a_reason_and_only_with_one() {
    let named = |annotations: &str| {
        template(
            "
  resources:
  - {id: ns, manifest: {apiVersion: v1, kind: Namespace, metadata: {name: fixed}}}
",
        )
        .replace(
            "namespace: platform}",
            &format!("namespace: platform, annotations: {{{annotations}}}}}"),
        )
    };
    let silenced = lint(&named("lint.landfall.dev/shared-name: there is one"));
    assert_eq!(silenced.code, 0, "{}", silenced.output);
    assert!(
        silenced.output.contains("[shared-name]: there is one"),
        "{}",
        silenced.output
    );
    let unexplained = lint(&named("lint.landfall.dev/shared-name: ''"));
    assert_eq!(unexplained.code, 2);
    assert!(
        unexplained.output.contains("silences shared-name without a reason"),
        "{}",
        unexplained.output
    );
    assert!(unexplained.output.contains("[shared-name]"), "{}", unexplained.output);
    let unknown = lint(&named("lint.landfall.dev/shared-nam: because"));
    assert!(
        unknown
            .output
            .contains("there is no rule shared-nam; did you mean shared-name?"),
        "{}",
        unknown.output
    );
}

#[test]
fn two_templates_with_one_account_are_found() {
    let spec = "
  resources:
  - {id: map, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: '${{ entity.metadata.name }}'}}}
";
    let both = format!(
        "{}---{}",
        template(spec),
        template(spec).replace("name: web", "name: job")
    );
    let said = lint(&both);
    assert_eq!(said.code, 2, "{}", said.output);
    assert!(
        said.output
            .contains("golden-path is the account of template:platform/job too"),
        "{}",
        said.output
    );
    assert!(
        said.output
            .contains("golden-path is the account of template:platform/web too"),
        "{}",
        said.output
    );
}

#[test]
fn what_two_templates_repeat_is_found_in_both() {
    let spec = "
  resources:
  - {id: map, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: '${{ entity.metadata.namespace }}-${{ entity.metadata.name }}'}}}
  - {id: other, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: '${{ entity.metadata.namespace }}-${{ entity.metadata.name }}-other'}}}
";
    let job = template(spec)
        .replace("name: web", "name: job")
        .replace("golden-path", "other-path")
        .replace("id: map", "id: settings");
    let said = lint(&format!("{}---{job}", template(spec)));
    assert_eq!(said.code, 2, "{}", said.output);
    for expected in [
        "2 resources are word for word in template:platform/job too: map, other; put them into a template of their own",
        "2 resources are word for word in template:platform/web too: settings, other; put them into a template of their own",
        "[repeated-resources]",
    ] {
        assert!(said.output.contains(expected), "{}", said.output);
    }
}

/// A Template that includes `platform/rails`, and one of that name.
const INCLUDING: &str = "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {name: web, namespace: platform}
spec:
  type: service
  serviceAccountName: golden-path
  include: [{id: rails, ref: rails, parameters: {name: '${{ entity.metadata.name }}'}}]
  examples:
  - name: one
    parameters: {}
    expect: {count: 1, resources: [{id: rails.ns, manifest: {metadata: {name: rails-example}}}]}
";
const RAILS: &str = "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {name: rails, namespace: platform}
spec:
  type: service
  serviceAccountName: golden-path
  parameters: {required: [name], properties: {name: {type: string, description: Its name.}}}
  resources: [{id: ns, manifest: {apiVersion: v1, kind: Namespace, metadata: {name: 'rails-${{ parameters.name }}'}}}]
";

#[test]
fn a_template_is_tested_with_what_it_includes_in_whatever_order_the_files_come() {
    let expected = INCLUDING;
    for files in [format!("{expected}---{RAILS}"), format!("{RAILS}---{expected}")] {
        let said = test(&files, &[]);
        assert_eq!(said.code, 0, "{}{}", said.output, said.errors);
        let wrong = test(&files.replace("name: rails-example", "name: other"), &[]);
        assert_eq!(wrong.code, 1, "{}{}", wrong.output, wrong.errors);
        assert!(wrong.output.contains("rails-example"), "{}", wrong.output);
    }
    let alone = test(expected, &[]);
    assert_eq!(alone.code, 1);
    assert!(
        alone
            .output
            .contains("spec.include[rails]: template:platform/rails does not exist")
            && alone.output.contains("give its file as well"),
        "{}",
        alone.output
    );
}
