//! What makes a template not compile, and how it says so.

use super::*;
use crate::template::compile::kinds_named;

fn of_resource(fields: &str) -> Vec<String> {
    faults(&format!(
        "parameters: {{properties: {{name: {{type: string}}, count: {{type: integer}}}}}}\nresources:\n- id: one\n{}",
        indent(fields)
    ))
}

fn indent(text: &str) -> String {
    "  ".to_owned() + &text.replace('\n', "\n  ")
}

fn of_manifest(manifest: &str) -> Vec<String> {
    of_resource(&format!("manifest:\n{}", indent(manifest)))
}

fn of_data(data: &str) -> Vec<String> {
    of_manifest(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: one}}\ndata: {data}"
    ))
}

/// Expects an expression to have exactly this fault.
fn named(expression: &str, message: &str) {
    let found = of_data(&format!("{{HOST: \"x${{{{ {expression} }}}}\"}}"));
    assert_eq!(
        found,
        [format!(
            "InvalidTemplate · resource \"one\", manifest.data.HOST: {message}"
        )],
        "{expression}"
    );
}

#[test]
fn names_that_do_not_exist_are_told_with_the_nearest() {
    for (expression, message) in [
        (
            "paramters.name",
            "`paramters` is not known; did you mean parameters?; expected one of parameters, values, entity, system, owner, template, each, resources, references, self",
        ),
        (
            "parameters.nmae",
            "parameters.nmae is not declared in spec.parameters; did you mean name?",
        ),
        (
            "parameters['nmae']",
            "parameters.nmae is not declared in spec.parameters; did you mean name?",
        ),
        (
            "values.other.x",
            "values.other is not declared in spec.parameters; the template has count, name",
        ),
        (
            "entity.metdata.name",
            "entity.metdata does not exist; did you mean metadata?; entity has apiVersion, kind, metadata, spec",
        ),
        (
            "entity.metadata.nam",
            "entity.metadata.nam does not exist; did you mean name?; entity.metadata has name, namespace, uid, labels, annotations",
        ),
        (
            "owner.nmae",
            "owner.nmae does not exist; did you mean name?; owner has kind, namespace, name, ref, exists, spec",
        ),
        (
            "each.key",
            "`each` has a meaning only in a resource that has the field each",
        ),
        ("self.status", "`self` has a meaning only in readyWhen"),
        (
            "resources.oen.metadata.name",
            "resources.oen does not exist: no resource has this id; did you mean one?",
        ),
        (
            "resources[parameters.name].x",
            "`resources` must be followed by the id of one resource: one",
        ),
        (
            "references.two.spec",
            "references.two does not exist: no reference has this id",
        ),
    ] {
        named(expression, message);
    }
}

#[test]
fn roots_filters_tests_and_methods_must_exist() {
    for (expression, message) in [
        (
            "steps.publish.output.url",
            "`steps` is not known in resources: what steps give is known only while they run",
        ),
        (
            "secrets.token",
            "`secrets` is not known in resources: secrets never reach a resource",
        ),
        (
            "user.entity",
            "`user` is not known in resources: a resource outlives the person who asked for it; use owner",
        ),
        ("parameters.name | uper", "there is no filter uper; did you mean upper?"),
        (
            "parameters.name | random",
            "filter random is not supported: it would give another value each time",
        ),
        (
            "parameters.name.toLowercase()",
            "there is no method toLowercase; did you mean toLowerCase?",
        ),
        (
            "upper(parameters.name)",
            "upper is a filter, not a function; write value | upper",
        ),
        ("rnge(3)", "there is no function rnge; did you mean range?"),
        (
            "parameters.name is definde",
            "there is no test definde; did you mean defined?",
        ),
        (
            "parameters.name | replace('a')",
            "replace has 1 arguments, expected at least 2: old, new",
        ),
        (
            "parameters.name | upper(1)",
            "upper has 1 arguments, expected at most 0",
        ),
        (
            "parameters.name | sort(revers=true)",
            "sort has no argument revers; did you mean reverse?",
        ),
        (
            "[parameters.name] | map('uper')",
            "there is no filter uper; did you mean upper?",
        ),
        (
            "[parameters.name] | select('evn')",
            "there is no test evn; did you mean even?",
        ),
        (
            "parameters.name ? 1 : 2",
            "\"?\" is not supported; write a if condition else b, or x | default(y)",
        ),
    ] {
        named(expression, message);
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let found = faults(
        "
include: [{id: x, ref: platform/x}]
resources:
- id: One
  manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: '${{ x }}', b: '${{ ( }}'}}
- id: two
  dependsOn: [tow]
  manifest: {apiVersion: v1, metadata: {}}
- id: two
  manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
output: {url: '${{ self.x }}', 'k': '${{ paramters }}'}
",
    );
    assert_eq!(
        found,
        [
            "IncludeNotFound · include: the included templates have not been looked up",
            "InvalidTemplate · resources[0].id: \"One\" is not an id, expected a lower-case letter and then letters and digits",
            "InvalidTemplate · resources[2].id: the id two is there twice",
            "InvalidTemplate · resource \"One\", manifest.data.b: `(` is not an expression: unexpected end of input, expected expression",
            "InvalidTemplate · resource \"One\", manifest.data.a: `x` is not known; expected one of parameters, values, entity, system, owner, template, each, resources, references, self",
            "InvalidTemplate · resource \"two\", manifest.kind: missing; expected for example ConfigMap",
            "InvalidTemplate · resource \"two\", manifest.metadata.name: missing; expected for example ${{ entity.metadata.name }}",
            "InvalidTemplate · resource \"two\", dependsOn: no resource has the id tow; did you mean two?",
            "InvalidTemplate · output.k: `paramters` is not known; did you mean parameters?; expected one of parameters, values, entity, system, owner, template, each, resources, references, self",
            "InvalidTemplate · output.url: `self` has a meaning only in readyWhen",
        ]
    );
}

#[test]
fn manifests_that_would_break_ownership_are_refused() {
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata:";
    for (manifest, expected) in [
        (
            "kind: ConfigMap\nmetadata: {name: a}",
            "InvalidTemplate · resource \"one\", manifest.apiVersion: missing; expected for example v1",
        ),
        (
            "apiVersion: v1\nkind: ''\nmetadata: {name: a}",
            "InvalidTemplate · resource \"one\", manifest.kind: empty; expected for example ConfigMap",
        ),
        (
            &format!("{config} {{name: 5}}"),
            "InvalidTemplate · resource \"one\", manifest.metadata.name: found an integer, expected a string, for example ${{ entity.metadata.name }}",
        ),
        (
            &format!("{config} '${{{{ parameters.name }}}}'"),
            "InvalidTemplate · resource \"one\", manifest.metadata: metadata must be written as a map, so that the name is known beforehand",
        ),
        (
            &format!("{config} {{generateName: a-}}"),
            "InvalidTemplate · resource \"one\", manifest.metadata.generateName: generateName is not allowed, since every name must be known beforehand; write metadata.name",
        ),
        (
            &format!("{config} {{name: a, uid: x}}"),
            "InvalidTemplate · resource \"one\", manifest.metadata.uid: uid is given by the apiserver; remove it",
        ),
        (
            &format!("{config} {{name: a, ownerReferences: [{{}}]}}"),
            "InvalidTemplate · resource \"one\", manifest.metadata.ownerReferences: ownerReferences would let another object's deletion take this one along; remove them",
        ),
        (
            &format!("{config} {{name: a, labels: {{landfall.dev/instance-uid: x}}}}"),
            "InvalidTemplate · resource \"one\", manifest.metadata.labels[\"landfall.dev/instance-uid\"]: keys of landfall.dev are Landfall's own marks; use another prefix",
        ),
        (
            &format!("{config} {{name: a, annotations: {{argocd.argoproj.io/tracking-id: x}}}}"),
            "InvalidTemplate · resource \"one\", manifest.metadata.annotations[\"argocd.argoproj.io/tracking-id\"]: Argo CD's tracking mark would make Argo CD delete the object; remove it",
        ),
        (
            &format!("{config} {{name: a}}\nstatus: {{a: b}}"),
            "InvalidTemplate · resource \"one\", manifest.status: status is written by the object's own controller; remove it",
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}",
            "KindNotAllowed · resource \"one\", manifest.kind: Secret is not allowed in a template; write an ExternalSecret, a SealedSecret, a Certificate or the like, which makes one",
        ),
        (
            "apiVersion: tekton.dev/v1beta1\nkind: Pipeline\nmetadata: {name: a}",
            "KindNotServed · resource \"one\", manifest.kind: Pipeline (tekton.dev/v1beta1) is not served by this cluster",
        ),
        (
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a, namespace: shop}",
            "KindNotAllowed · resource \"one\", manifest.kind: ClusterRole (rbac.authorization.k8s.io/v1) is cluster-scoped and not allowed in a template; the administrator may list ClusterRole.rbac.authorization.k8s.io in clusterScopedKinds",
        ),
        (
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: b}",
            "InvalidTemplate · resource \"one\", manifest.metadata.namespace: Namespace is cluster-scoped and has no namespace; remove it",
        ),
        (
            &format!("{config} {{name: '${{{{ resources.one.metadata.name }}}}'}}"),
            "InvalidTemplate · resource \"one\", dependsOn: the resources wait for each other: one → one; remove one of these dependencies",
        ),
    ] {
        assert_eq!(of_manifest(manifest), [expected], "{manifest}");
    }
    // What others use is let be.
    compiled(
        "resources: [{id: a, manifest: {apiVersion: v1, kind: ConfigMap, status: {}, metadata: {name: a, creationTimestamp: null, finalizers: [x/y], labels: {app.kubernetes.io/instance: x}}}}]",
    );
}

#[test]
fn fields_beside_the_manifest_are_checked() {
    let manifest = "manifest: {apiVersion: v1, kind: Namespace, metadata: {name: a}}";
    for (field, expected) in [
        (
            "replace: true",
            "InvalidTemplate · resource \"one\", replace: a Namespace is never replaced, since what it holds would be lost; remove replace",
        ),
        (
            "mode: Patch",
            "KindNotAllowed · resource \"one\", mode: Patch is for objects in this plan's namespaces, and Namespace is cluster-scoped",
        ),
        (
            "if: parameters.name",
            "InvalidTemplate · resource \"one\", if: a plain text is always true; write true, false, or an expression in ${{ }}",
        ),
        (
            "if: ${{ parameters.name }} == 'x'",
            "InvalidTemplate · resource \"one\", if: a text around ${{ }} is always true; write the whole condition as one ${{ }}",
        ),
        (
            "readyWhen: ${{ self.status.phase && parameters.x }}",
            "InvalidTemplate · resource \"one\", readyWhen: parameters.x is not declared in spec.parameters; the template has count, name",
        ),
        (
            "each: ${{ each.value }}",
            "InvalidTemplate · resource \"one\", each: `each` has a meaning only in a resource that has the field each",
        ),
        (
            "environment: ${{ x }",
            "InvalidTemplate · resource \"one\", environment: `${{ x }` has no closing }}",
        ),
        (
            "readyWhen: ${{ selff.status }}",
            "InvalidTemplate · resource \"one\", readyWhen: `selff` is not known; did you mean self?; expected one of parameters, values, entity, system, owner, template, each, resources, references, self",
        ),
    ] {
        assert_eq!(of_resource(&format!("{field}\n{manifest}")), [expected], "{field}");
    }
}

#[test]
fn what_is_for_objects_of_its_own_is_refused_beside_a_patch() {
    let fields = "mode: Patch\nreplace: true\ndeletionPolicy: Retain";
    let manifest = "manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}";
    let why = "mode Patch changes an object that others have made, and never deletes it";
    assert_eq!(
        of_resource(&format!("{fields}\n{manifest}")),
        [
            format!("InvalidTemplate · resource \"one\", replace: {why}; remove replace"),
            format!("InvalidTemplate · resource \"one\", deletionPolicy: {why}; remove deletionPolicy"),
        ]
    );
}

#[test]
fn live_paths_are_checked_against_the_schema() {
    let template = |expression: &str, name: &str| {
        format!(
            "resources:\n- {{id: db, manifest: {{apiVersion: example.com/v1, kind: Database, metadata: {{name: db}}}}}}\n- {{id: settings, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: \"{name}\"}}, data: {{HOST: \"{expression}\"}}}}}}"
        )
    };
    assert_eq!(
        faults(&template("${{ resources.db.status.hots }}", "a")),
        [
            "InvalidTemplate · resource \"settings\", manifest.data.HOST: resources.db.status.hots does not exist; did you mean host?; status of Database (example.com/v1) has host, port, replicas, phase"
        ]
    );
    assert_eq!(
        faults(&template("${{ resources.db.stats.host }}", "a")),
        [
            "InvalidTemplate · resource \"settings\", manifest.data.HOST: resources.db.stats.host does not exist; did you mean status?; Database (example.com/v1) has spec, status"
        ]
    );
    assert_eq!(
        faults(&template("x", "${{ resources.db.status.host }}")),
        [
            "InvalidTemplate · resource \"settings\", manifest.metadata.name: what a resource is cannot depend on the live state of resources.db; only its metadata.name and metadata.namespace are known beforehand"
        ]
    );
    for expression in [
        "${{ resources.db.status.host.toUpperCase() }}",
        "${{ resources.db.status.host.length }}",
        "${{ resources.db.status.replicas[0].x }}",
        "${{ resources.db.metadata.uid }}",
        "${{ resources.db | dump }}",
    ] {
        compiled(&template(expression, "${{ resources.db.metadata.name }}"));
    }
}

#[test]
fn a_cycle_is_named() {
    let found = faults(
        "
resources:
- {id: a, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: '${{ resources.b.data.x }}'}}}
- {id: b, dependsOn: [c], manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}}
- {id: c, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: 'c-${{ resources.a.metadata.name }}'}}}
",
    );
    assert_eq!(
        found,
        [
            "InvalidTemplate · resource \"a\", dependsOn: the resources wait for each other: a → b → c → a; remove one of these dependencies"
        ]
    );
}

#[test]
fn references_are_checked() {
    let found = faults(
        "
references:
- {id: db, ref: '${{ parameters.database }}'}
- {id: both, ref: x, object: {apiVersion: v1, kind: ConfigMap, name: a}}
- {id: none}
- {id: secret, object: {apiVersion: v1, kind: Secret, name: a}}
- {id: chain, ref: '${{ references.db.spec.x }}'}
- {id: live, ref: '${{ resources.a.status }}'}
resources: []
",
    );
    assert_eq!(
        found,
        [
            "InvalidTemplate · references.db.ref: parameters.database is not declared in spec.parameters",
            "InvalidTemplate · references.both: has both ref and object, expected one of them",
            "InvalidTemplate · references.none: has neither ref nor object, expected one of them",
            "KindNotAllowed · references.secret.object.kind: a Secret cannot be read by expressions; refer to it by name where it is used",
            "InvalidTemplate · references.chain.ref: a reference cannot name another reference",
            "InvalidTemplate · references.live.ref: a reference is read before anything is made, so it cannot name resources",
        ]
    );
}

#[test]
fn kinds_are_named() {
    let content = content(
        "
references: [{id: a, object: {apiVersion: example.com/v1, kind: Database, name: a}}, {id: b, ref: x}]
resources:
- {id: a, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}}
- {id: b, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}}
- {id: c, manifest: {apiVersion: v1, kind: '${{ parameters.kind }}', metadata: {name: c}}}
",
    );
    let pair = |version: &str, kind: &str| (version.to_owned(), kind.to_owned());
    assert_eq!(
        kinds_named(&content),
        [pair("example.com/v1", "Database"), pair("v1", "ConfigMap")]
    );
}

#[test]
fn what_steps_give_is_left_out_of_the_output_until_they_run() {
    let with = |output: &str| {
        format!("steps: [{{id: publish, action: x}}]\noutput: {{url: '{output}', kind: '${{{{ entity.kind }}}}'}}")
    };
    assert_eq!(
        faults(&with("${{ steps.publsh.output.remoteUrl }}")),
        ["InvalidTemplate · output.url: steps.publsh does not exist: no step has this id; did you mean publish?"]
    );
    let plan = orders(&json!({})).planned(&compiled(&with("${{ steps.publish.output.remoteUrl }}")));
    assert_eq!(
        plan.output(&Live::new()),
        (json!({"kind": "Component"}).as_object().cloned().unwrap(), Vec::new())
    );
}
