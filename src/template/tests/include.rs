//! Templates that include others.

use serde_json::json;

use super::super::content::Content;
use super::super::include::{MAX_DEPTH, MAX_INCLUDES};
use super::super::plan::Live;
use super::*;

/// Guard rails for one namespace, and two services that each have them, one for each environment.
const RAILS: &str = r#"
parameters:
  properties: {environments: {type: object}, quota: {type: integer, default: 3}}
include:
- id: rails
  ref: platform/namespace
  each: ${{ parameters.environments }}
  parameters:
    name: ${{ entity.metadata.name }}-${{ each.key }}
    pods: ${{ each.value.pods | default(parameters.quota) }}
included:
- template: platform/namespace
  version: "1.4.0"
  content:
    parameters:
      required: [name]
      properties: {name: {type: string}, pods: {type: integer, default: 1, maximum: 20}}
    resources:
    - id: ns
      manifest: {apiVersion: v1, kind: Namespace, metadata: {name: "${{ parameters.name }}"}}
    - id: quota
      manifest:
        apiVersion: v1
        kind: ResourceQuota
        metadata: {name: quota, namespace: "${{ resources.ns.metadata.name }}", labels: {by: "${{ template.namespace }}.${{ template.name }}.${{ template.version }}"}}
        spec: {hard: {pods: "${{ parameters.pods }}"}}
    - id: limits
      each: ${{ [parameters.pods, 9] }}
      manifest:
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: "limits-${{ each.value }}", namespace: "${{ resources.ns.metadata.name }}"}
        data: {quota: "${{ resources.quota.metadata.name }}"}
resources:
- id: app
  each: ${{ parameters.environments }}
  manifest:
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: app, namespace: "${{ resources.rails[each.key].ns.metadata.name }}"}
    data: {limit: "${{ resources.rails[each.key].limits['1'].metadata.name }}", by: "${{ template.version }}"}
"#;

fn rails() -> Plan {
    let compiled = compiled(RAILS);
    orders(&json!({"environments": {"dev": {}, "prod": {"pods": 7}}})).planned(&compiled)
}

#[test]
fn what_is_included_joins_the_plan_with_its_own_names_and_parameters() {
    let plan = rails();
    let mut labels: Vec<String> = plan
        .objects
        .iter()
        .map(|object| format!("{}/{}", object.resource, object.each_key.as_deref().unwrap_or_default()))
        .collect();
    labels.sort();
    assert_eq!(
        labels,
        [
            "app/dev",
            "app/prod",
            "rails.limits/dev/0",
            "rails.limits/dev/1",
            "rails.limits/prod/0",
            "rails.limits/prod/1",
            "rails.ns/dev",
            "rails.ns/prod",
            "rails.quota/dev",
            "rails.quota/prod",
        ]
    );
    let quota = body(&plan, "rails.quota/prod", &Live::new());
    assert_eq!(quota["metadata"]["namespace"], "orders-prod");
    assert_eq!(quota["spec"]["hard"]["pods"], 7);
    assert_eq!(quota["metadata"]["labels"]["by"], "platform.namespace.1.4.0");
    assert_eq!(body(&plan, "rails.quota/dev", &Live::new())["spec"]["hard"]["pods"], 3);
    let app = body(&plan, "app/prod", &Live::new());
    assert_eq!(app["metadata"]["namespace"], "orders-prod");
    assert_eq!(app["data"], json!({"limit": "limits-9", "by": "1.0.0"}));
}

#[test]
fn objects_wait_for_those_of_their_own_entry_and_for_no_others() {
    let plan = rails();
    let needs = |id: &str| -> Vec<String> {
        let object = &plan.objects[place(&plan, id)];
        let needed = object.depends_on.iter().map(|place| &plan.objects[*place]);
        let mut all: Vec<String> = needed
            .map(|object| format!("{}/{}", object.resource, object.each_key.as_deref().unwrap_or_default()))
            .collect();
        all.sort();
        all
    };
    assert_eq!(needs("rails.quota/dev"), ["rails.ns/dev"]);
    assert_eq!(needs("rails.limits/prod/1"), ["rails.ns/prod", "rails.quota/prod"]);
    assert_eq!(
        needs("app/dev"),
        ["rails.limits/dev/0", "rails.limits/dev/1", "rails.ns/dev"]
    );
}

#[test]
fn an_include_whose_if_is_false_gives_nothing() {
    let yaml = |condition: &str| {
        format!(
            r#"
parameters: {{properties: {{rails: {{type: boolean, default: false}}}}}}
include: [{{id: rails, ref: platform/x, if: "{condition}"}}]
included:
- template: platform/x
  version: "1"
  content:
    resources: [{{id: a, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: rails}}}}}}]
resources:
- id: own
  manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: own}}, data: {{x: "${{{{ resources.rails.a.metadata.name | default('none') }}}}"}}}}
- id: seldom
  if: ${{{{ resources.rails.a }}}}
  manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: seldom}}}}
"#
        )
    };
    // What an object is cannot hang on the state of another, whoever's it is.
    assert_eq!(
        faults(&yaml("${{ parameters.rails }}")),
        [
            "InvalidTemplate · resource \"seldom\", if: what a resource is cannot depend on the live state of resources.rails.a; only its metadata.name and metadata.namespace are known beforehand"
        ]
    );
    let yaml =
        yaml("${{ parameters.rails }}").replace("${{ resources.rails.a }}", "${{ resources.rails.a.metadata.name }}");
    let compiled = compiled(&yaml);
    let without = orders(&json!({})).planned(&compiled);
    assert_eq!(identities(&without), ["ConfigMap shop/own"]);
    assert_eq!(body(&without, "own", &Live::new())["data"]["x"], "none");
    let with = orders(&json!({"rails": true})).planned(&compiled);
    assert_eq!(with.objects.len(), 3);
    assert_eq!(body(&with, "own", &Live::new())["data"]["x"], "rails");
}

#[test]
fn templates_include_each_other_as_deep_as_is_needed() {
    let compiled = compiled(
        r#"
include:
- id: delivery
  ref: platform/delivery
  each: [eu, us]
  parameters: {region: "${{ each.value }}"}
included:
- template: platform/delivery
  version: "2"
  content:
    parameters: {properties: {region: {type: string}}}
    include:
    - {id: rails, ref: namespace, parameters: {name: "d-${{ parameters.region }}"}}
    included:
    - template: platform/namespace
      version: "3"
      content:
        parameters: {properties: {name: {type: string}}}
        resources: [{id: ns, manifest: {apiVersion: v1, kind: Namespace, metadata: {name: "${{ parameters.name }}"}}}]
    resources:
    - id: config
      dependsOn: [rails]
      manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: "${{ resources.rails.ns.metadata.name }}"}}
resources:
- id: list
  dependsOn: [delivery.rails.ns]
  manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: list}, data: {first: "${{ resources.delivery['0'].rails.ns.metadata.name }}"}}
"#,
    );
    let plan = orders(&json!({})).planned(&compiled);
    assert_eq!(
        identities(&plan),
        [
            "Namespace d-eu",
            "Namespace d-us",
            "ConfigMap shop/list",
            "ConfigMap d-eu/c",
            "ConfigMap d-us/c"
        ]
    );
    assert_eq!(plan.objects[place(&plan, "list")].depends_on, [0, 1]);
    assert_eq!(plan.objects[place(&plan, "delivery.config/1")].depends_on, [1]);
    assert_eq!(body(&plan, "list", &Live::new())["data"]["first"], "d-eu");
}

#[test]
fn what_is_wrong_with_an_include_is_told_where_it_is() {
    let included = "
included:
- template: platform/namespace
  version: '1.4.0'
  content:
    parameters: {required: [name], properties: {name: {type: string}, pods: {type: integer, maximum: 20}}}
    resources: [{id: ns, manifest: {apiVersion: v1, kind: Namespace, metadata: {name: '${{ parameters.name }}'}}}]
";
    let found = faults(&format!(
        "include: [{{id: rails, ref: namespace, if: always, each: '${{{{ parameters.x }}}}', parameters: {{nam: a}}}}]{included}
resources:
- {{id: a, dependsOn: [rails.nn], manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: '${{{{ resources.rails.ns.metadata.name }}}}'}}}}}}
- {{id: b, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: '${{{{ resources.rails[\"x\"].n.metadata.name }}}}'}}}}}}
- {{id: rails, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: c}}}}}}
"
    ));
    assert_eq!(
        found,
        [
            "InvalidTemplate · include[0].id: the id rails is there twice",
            "InvalidTemplate · resource \"a\", manifest.metadata.name: include \"rails\" has each: name one of its entries, as resources.rails[<key>].ns",
            "InvalidTemplate · resource \"a\", dependsOn: no resource has the id rails.nn; did you mean rails.ns?",
            "InvalidTemplate · resource \"b\", manifest.metadata.name: resources.rails.x.n does not exist: no resource has this id; did you mean ns?",
            "InvalidTemplate · include[rails].each: parameters.x is not declared in spec.parameters",
            "InvalidTemplate · include[rails].if: a text is always true; write true, false, or one expression in ${{ }}",
            "InvalidTemplate · include[rails].parameters.nam: unknown parameter; did you mean name?",
            "InvalidTemplate · include[rails].parameters.name: missing, and the included template requires it",
        ]
    );
    let compiled = compiled(&format!(
        "parameters: {{additionalProperties: true}}
include: [{{id: rails, ref: namespace, each: '${{{{ parameters.all }}}}', parameters: {{name: '${{{{ each.key }}}}', pods: '${{{{ each.value }}}}'}}}}]{included}"
    ));
    assert_eq!(
        orders(&json!({"all": {"a": 1, "b": 21, "c": "x"}})).faults(&compiled),
        [
            "InvalidParameters · include[rails].parameters.pods: 21 is more than the maximum of 20 (for b)",
            "InvalidParameters · include[rails].parameters.pods: \"x\" is a string, expected an integer (for c)",
        ]
    );
    assert_eq!(
        orders(&json!({"all": 3})).faults(&compiled),
        ["RenderFailed · include[rails].each: found an integer, expected a list or a map"]
    );
}

#[test]
fn two_includes_that_render_one_object_are_refused() {
    let compiled = compiled(
        "
include: [{id: a, ref: x}, {id: b, ref: x}]
included:
- {template: platform/x, version: '1', content: {resources: [{id: c, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: same}}}]}}
- {template: platform/x, version: '1', content: {resources: [{id: c, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: same}}}]}}
",
    );
    assert_eq!(
        orders(&json!({})).faults(&compiled),
        [
            "DuplicateObject · resource \"b.c\", manifest.metadata.name: ConfigMap same in shop is already what resource \"a.c\" renders to; give them different names"
        ]
    );
}

#[test]
fn an_include_that_waits_for_what_it_brings_is_a_cycle() {
    let found = faults(
        "
include: [{id: rails, ref: x, parameters: {name: '${{ resources.rails.c.metadata.name }}'}}]
included:
- {template: platform/x, version: '1', content: {parameters: {properties: {name: {type: string}}}, resources: [{id: c, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: same}}}]}}
",
    );
    assert_eq!(
        found,
        [
            "InvalidTemplate · resource \"rails.c\", dependsOn: the resources wait for each other: rails.c → rails.c; remove one of these dependencies"
        ]
    );
}

#[test]
fn depth_and_number_are_bounded() {
    let leaf = || content("resources: [{id: c, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}}]");
    let around = |inner: Content, count: usize| -> Content {
        let list: Vec<Value> = (0..count)
            .map(|at| json!({"id": format!("i{at}"), "ref": "x"}))
            .collect();
        let included: Vec<Value> = (0..count)
            .map(|_| json!({"template": "platform/x", "version": "1", "content": inner}))
            .collect();
        serde_json::from_value(json!({"include": list, "included": included})).expect("a content")
    };
    let told = |content: &Content| match compile(content, "1", &Cluster, &Policy::default()) {
        Ok(_) => Vec::new(),
        Err(faults) => texts(&faults),
    };
    let deep = |levels: usize| (0..levels).fold(leaf(), |inner, _| around(inner, 1));
    assert_eq!(told(&deep(MAX_DEPTH)), Vec::<String>::new());
    let bounded =
        "more than 64 included templates, or templates that include each other more than 8 deep; include fewer";
    assert!(
        told(&deep(MAX_DEPTH + 1))[0].ends_with(bounded),
        "{:?}",
        told(&deep(MAX_DEPTH + 1))
    );
    assert_eq!(told(&around(leaf(), MAX_INCLUDES)), Vec::<String>::new());
    assert!(told(&around(leaf(), MAX_INCLUDES + 1))[0].ends_with(bounded));
}

#[test]
fn the_digest_covers_what_is_included() {
    let one = content(RAILS);
    let mut other = one.clone();
    other.included[0].content.resources[1].id = "limit".to_owned();
    assert_ne!(one.digest(), other.digest());
    // One that includes nothing has the digest that it had before there were includes.
    let plain = json!({"resources": [{"id": "a", "manifest": {}}]});
    let read: Content = serde_json::from_value(plain.clone()).expect("a content");
    assert_eq!(read.digest(), super::super::content::hash(&plain));
}

#[test]
fn references_of_an_included_template_are_read_for_each_of_its_parts() {
    let compiled = compiled(
        r#"
include: [{id: app, ref: x, each: [one, two], parameters: {database: "${{ each.value }}"}}]
included:
- template: platform/x
  version: "1"
  content:
    parameters: {properties: {database: {type: string}}}
    references: [{id: db, ref: "${{ parameters.database }}"}]
    resources:
    - id: c
      manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: "c-${{ parameters.database }}"}, data: {host: "${{ references.db.status.output.host }}"}}
"#,
    );
    let mut instance = orders(&json!({}));
    let policy = Policy::default();
    let wanted = super::super::plan::references(&instance.request(&compiled, &policy)).expect("references");
    let ids: Vec<&str> = wanted.iter().map(|reference| reference.id.as_str()).collect();
    assert_eq!(ids, ["app[0].db", "app[1].db"]);
    instance.references.insert(
        "app[1].db".to_owned(),
        json!({"status": {"output": {"host": "second"}}}),
    );
    let plan = instance.planned(&compiled);
    assert_eq!(body(&plan, "app.c/1", &Live::new())["data"]["host"], "second");
    let first = plan.render(place(&plan, "app.c/0"), &Live::new());
    assert!(
        matches!(&first, Ok(Rendered::Waiting { value, .. }) if value.starts_with("references.db")),
        "{first:?}"
    );
}

#[test]
fn an_include_is_made_at_most_500_times() {
    let environments: Value = (0..501).map(|number| (format!("e{number}"), json!({}))).collect();
    let faults = orders(&json!({"environments": environments})).faults(&compiled(RAILS));
    let expected = "included more than 500 times, which is the most that a plan may have objects";
    assert!(
        faults
            .iter()
            .any(|fault| fault.starts_with("TooManyObjects") && fault.ends_with(expected)),
        "{faults:?}"
    );
}
