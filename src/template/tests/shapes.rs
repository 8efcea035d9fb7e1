//! Names below parameters and below `each.value`, against the parameters' schema; keys of resources with `each`.

use super::*;

const PARAMETERS: &str = r"
parameters:
- properties:
    name: {type: string}
    public: {type: boolean}
    quota: {type: object, properties: {pods: {type: integer}, memory: {type: string}}}
    size: {$ref: '#/definitions/size'}
    environments: {type: object, propertyNames: {maxLength: 20}, additionalProperties: {type: object, properties: {pods: {type: integer}, limits: {type: object, properties: {cpu: {type: string}}}}}}
    stages: {type: object, properties: {dev: {type: object, properties: {pods: {type: integer}}}, prod: {type: object, properties: {zone: {type: string}}}}}
    hosts: {type: array, items: {type: object, properties: {fqdn: {type: string}, paths: {type: array, items: {type: object, properties: {prefix: {type: string}}}}}}}
    labels: {type: object, properties: {team: {type: string}}, additionalProperties: {type: string}}
    anything: {type: object, properties: {a: {type: object, properties: {b: {type: string}}}}, additionalProperties: true}
    patterned: {type: object, properties: {a: {type: string}}, patternProperties: {'^x-': {type: string}}}
    either: {type: object, properties: {a: {type: string}}, anyOf: [{properties: {b: {type: string}}}]}
    bare: {type: object}
    either_type: {properties: {a: {type: string}}}
  definitions: {size: {type: object, properties: {cpu: {type: string}}}}
  dependencies:
    public: {oneOf: [{properties: {public: {enum: [true]}, ingress: {type: object, properties: {host: {type: string}}}}}, {properties: {public: {enum: [false]}}}]}
- properties: {more: {type: object, properties: {x: {type: string}}}}
";

/// A template of one `ConfigMap` with these further fields.
fn template(fields: &str, expression: &str) -> String {
    format!(
        "{PARAMETERS}resources:\n- id: one\n  {fields}\n  manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: one}}, data: {{X: \"${{{{ {expression} }}}}\"}}}}\n"
    )
}

#[test]
fn a_name_that_the_schema_does_not_have_is_a_fault() {
    for (expression, message) in [
        (
            "parameters.quota.podz",
            "parameters.quota.podz does not exist; did you mean pods?",
        ),
        (
            "values['quota']['podz']",
            "values.quota.podz does not exist; did you mean pods?",
        ),
        (
            "parameters.quota.x | default('a')",
            "parameters.quota.x does not exist; parameters.quota has memory, pods",
        ),
        (
            "parameters.size.cpus.x",
            "parameters.size.cpus does not exist; did you mean cpu?",
        ),
        (
            "parameters.environments.dev.podz",
            "parameters.environments.dev.podz does not exist; did you mean pods?",
        ),
        (
            "parameters.environments[parameters.name].limits.cpuu",
            "parameters.environments[…].limits.cpuu does not exist; did you mean cpu?",
        ),
        (
            "parameters.stages.test.pods",
            "parameters.stages.test does not exist; parameters.stages has dev, prod",
        ),
        (
            "parameters.stages[parameters.name].zoen",
            "parameters.stages[…].zoen does not exist; did you mean zone?",
        ),
        (
            "parameters.hosts[0].paths[0].prefxi",
            "parameters.hosts[…].paths[…].prefxi does not exist; did you mean prefix?",
        ),
        (
            "[1] if parameters.hosts[0].fqnd.length else parameters.quota.pods",
            "parameters.hosts[…].fqnd does not exist; did you mean fqdn?",
        ),
        (
            "parameters.anything.a.c",
            "parameters.anything.a.c does not exist; parameters.anything.a has b",
        ),
        (
            "parameters.ingress.hots",
            "parameters.ingress.hots does not exist; did you mean host?",
        ),
        (
            "parameters.more.y",
            "parameters.more.y does not exist; parameters.more has x",
        ),
        (
            "parameters.quota.length",
            "parameters.quota.length does not exist; parameters.quota has memory, pods",
        ),
    ] {
        assert_eq!(
            faults(&template("mode: Own", expression)),
            [format!(
                "InvalidTemplate · resource \"one\", manifest.data.X: {message}"
            )],
            "{expression}"
        );
    }
}

#[test]
fn what_a_schema_leaves_open_may_be_there() {
    for expression in [
        "parameters.quota.pods",
        "parameters.quota[parameters.name]",
        "parameters.size.cpu.length",
        "parameters.stages[parameters.name].zone",
        "parameters.stages[parameters.name].pods",
        "parameters.hosts.length",
        "parameters.hosts[0].fqdn.toUpperCase()",
        "parameters.labels.anything",
        "parameters.anything.other.x",
        "parameters.patterned.b",
        "parameters.either.b",
        "parameters.bare.x.y",
        "parameters.either_type.length",
        "parameters[parameters.name].x",
        "parameters.ingress.host",
    ] {
        compiled(&template("mode: Own", expression));
    }
}

#[test]
fn each_value_is_what_the_parameter_holds() {
    for (each, expression, message) in [
        (
            "parameters.environments",
            "each.value.podz",
            "each.value.podz does not exist; did you mean pods?",
        ),
        (
            "values.environments",
            "each.value.limits['cpuu']",
            "each.value.limits.cpuu does not exist; did you mean cpu?",
        ),
        (
            "parameters.environments",
            "parameters.environments[each.key].podz",
            "parameters.environments[each.key].podz does not exist; did you mean pods?",
        ),
        (
            "parameters.hosts",
            "each.value.fqnd",
            "each.value.fqnd does not exist; did you mean fqdn?",
        ),
        (
            "parameters.hosts[0].paths",
            "each.value.x",
            "each.value.x does not exist; each.value has prefix",
        ),
        (
            "parameters.stages",
            "each.value.x",
            "each.value.x does not exist; each.value has pods, zone",
        ),
    ] {
        let found = faults(&template(&format!("each: '${{{{ {each} }}}}'"), expression));
        let expected = format!("InvalidTemplate · resource \"one\", manifest.data.X: {message}");
        assert_eq!(found, [expected], "{each}, {expression}");
    }
    for (each, expression) in [
        ("parameters.environments", "each.value.pods"),
        ("parameters.stages", "each.value.zone"),
        ("parameters.bare", "each.value.x"),
        ("parameters.anything", "each.value.x"),
        ("parameters.environments | default({})", "each.value.podz"),
        ("[parameters.quota]", "each.value.podz"),
        ("entity.spec.x", "each.value.podz"),
    ] {
        compiled(&template(&format!("each: '${{{{ {each} }}}}'"), expression));
    }
}

#[test]
fn every_field_with_expressions_is_checked() {
    for field in ["if", "each", "environment", "readyWhen"] {
        let found = faults(&template(&format!("{field}: '${{{{ parameters.quota.podz }}}}'"), "1"));
        let expected = format!(
            "InvalidTemplate · resource \"one\", {field}: parameters.quota.podz does not exist; did you mean pods?"
        );
        assert_eq!(found, [expected]);
    }
    let elsewhere =
        "references: [{id: db, ref: '${{ parameters.quota.podz }}'}]\noutput: {x: 'a${{ parameters.quota.podz }}'}";
    assert_eq!(
        faults(&format!("{PARAMETERS}{elsewhere}")),
        ["references.db.ref", "output.x"].map(|field| format!(
            "InvalidTemplate · {field}: parameters.quota.podz does not exist; did you mean pods?"
        ))
    );
}

#[test]
fn a_declared_parameter_that_is_not_given_still_drops_its_field() {
    let base = compiled(&template(
        "each: '${{ parameters.environments }}'",
        "each.value.limits.cpu",
    ));
    let plan = orders(&json!({"environments": {"dev": {}}})).planned(&base);
    assert_eq!(body(&plan, "one/dev", &Live::new()).get("data"), Some(&json!({})));
}

#[test]
fn a_whole_value_keeps_its_type_whatever_the_quotes() {
    for (expression, value) in [
        ("each.key", json!("0")),
        ("each.index", json!(0)),
        ("each.index | string", json!("0")),
        ("each.value", json!(7)),
        ("resources.one.x.metadata.name if 'x' in [] ", Value::Null),
    ] {
        let plan = orders(&json!({})).planned(&compiled(&format!(
            "resources:\n- {{id: one, each: [7], manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: one}}}}}}\n- {{id: two, each: [7], manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: two}}, data: {{X: \"${{{{ {expression} }}}}\"}}}}}}"
        )));
        assert_eq!(body(&plan, "two/0", &Live::new())["data"]["X"], value, "{expression}");
    }
}

const TOPICS: &str = "
parameters: {properties: {topics: {type: array}, key: {type: string}}}
resources:
- id: topic
  each: ${{ parameters.topics }}
  if: ${{ each.value != 'c' }}
  manifest: {apiVersion: example.com/v1, kind: Database, metadata: {name: 'topic-${{ each.value }}'}}
- id: config
  manifest:
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: config}
    data: {X: '${{ EXPRESSION }}'}
";

#[test]
fn an_object_that_the_plan_does_not_have_is_a_fault() {
    let base = compiled(&TOPICS.replace("EXPRESSION", "resources.topic[parameters.key].metadata.name"));
    let rendered = |topics: Value, key: &str| {
        let plan = orders(&json!({"topics": topics, "key": key})).planned(&base);
        let faults = texts(&plan.faults());
        (faults.is_empty(), faults.into_iter().next().unwrap_or_default())
    };
    assert!(rendered(json!(["a", "b"]), "1").0);
    let fault = |path: &str, has: &str| {
        (
            false,
            format!(
                "RenderFailed · resource \"config\", manifest.data.X: resources.topic{path} does not exist: the `each` of resource \"topic\" has no such key, or its `if` is false there; the plan has {has}"
            ),
        )
    };
    assert_eq!(rendered(json!(["a", "b"]), "a"), fault(".a", "0, 1"));
    assert_eq!(rendered(json!(["a", "c"]), "1"), fault(".1", "0"));
    assert_eq!(rendered(json!([]), "a"), fault(".a", "none of its objects"));
    // Live fields are waited for, and other values may be named.
    let live = compiled(&TOPICS.replace("EXPRESSION", "resources.topic[parameters.key].status.host"));
    let plan = orders(&json!({"topics": ["a"], "key": "0"})).planned(&live);
    let waiting = plan.render(place(&plan, "config"), &Live::new());
    assert!(matches!(waiting, Ok(Rendered::Waiting { .. })), "{waiting:?}");
    let other = compiled(&TOPICS.replace("EXPRESSION", "resources.topic.x.metadata.name | default(\"none\")"));
    let plan = orders(&json!({"topics": ["a"]})).planned(&other);
    assert_eq!(
        body(&plan, "config", &Live::new()).get("data"),
        Some(&json!({"X": "none"}))
    );
}

#[test]
fn a_namespace_that_is_not_made_is_never_left_out() {
    let base = compiled(
        "
resources:
- {id: ns, each: {dev: 1, prod: 2}, if: '${{ each.value > 1 }}', manifest: {apiVersion: v1, kind: Namespace, metadata: {name: 'shop-${{ each.key }}'}}}
- {id: quota, each: {dev: 1, prod: 2}, manifest: {apiVersion: v1, kind: ResourceQuota, metadata: {name: quota, namespace: '${{ resources.ns[each.key].metadata.name }}'}}}
",
    );
    assert_eq!(
        orders(&json!({})).faults(&base),
        [
            "RenderFailed · resource \"quota/dev\", manifest.metadata.namespace: resources.ns.dev does not exist: the `each` of resource \"ns\" has no such key, or its `if` is false there; the plan has prod"
        ]
    );
}

#[test]
fn a_resource_with_each_is_named_by_key() {
    for (expression, path) in [
        ("resources.topic.metadata.uid", "metadata.uid"),
        ("resources.topic.status.hots", "status.hots"),
        ("resources.topic.spec[0].x", "spec[…].x"),
        ("resources.topic.metadata", "metadata"),
    ] {
        assert_eq!(
            faults(&TOPICS.replace("EXPRESSION", expression)),
            [format!(
                "InvalidTemplate · resource \"config\", manifest.data.X: resource \"topic\" has each: name one of its objects, as resources.topic[<key>].{path}"
            )]
        );
    }
    // A key may be called so.
    compiled(&TOPICS.replace("EXPRESSION", "resources.topic.status.metadata.uid"));
}
