//! Parameters: defaults, faults in words, and schemas that are refused.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::Schema;

fn schema(value: &Value) -> Schema {
    match Schema::compile(Some(value)) {
        Ok(schema) => schema,
        Err(faults) => panic!("{faults:?}"),
    }
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn complete(schema_value: &Value, given: &Value) -> Value {
    match schema(schema_value).complete(&map(given)) {
        Ok(complete) => Value::Object(complete),
        Err(faults) => panic!("{faults:?}"),
    }
}

fn faults(schema_value: &Value, given: &Value) -> Vec<String> {
    schema(schema_value)
        .complete(&map(given))
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn refused(value: &Value) -> Vec<String> {
    Schema::compile(Some(value))
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn defaults_reach_every_depth() {
    let schema = json!([
        {"properties": {
            "environments": {"type": "object", "default": {"dev": {}}, "additionalProperties": {
                "type": "object", "properties": {"replicas": {"type": "integer", "default": 1}, "ports": {"type": "array", "items": {
                    "type": "object", "properties": {"protocol": {"default": "TCP"}}}}}}},
        }},
        {"properties": {"ci": {"default": "tekton"}, "nested": {"type": "object", "properties": {"x": {"default": 1}}}},
         "definitions": {"size": {"type": "string", "default": "S"}}, "allOf": [{"properties": {"size": {"$ref": "#/definitions/size"}}}]},
    ]);
    assert_eq!(
        complete(&schema, &json!({})),
        json!({"environments": {"dev": {"replicas": 1}}, "ci": "tekton", "size": "S"})
    );
    assert_eq!(
        complete(
            &schema,
            &json!({"environments": {"prod": {"replicas": 2, "ports": [{}, {"protocol": "UDP"}]}}, "nested": {}})
        ),
        json!({"environments": {"prod": {"replicas": 2, "ports": [{"protocol": "TCP"}, {"protocol": "UDP"}]}}, "nested": {"x": 1}, "ci": "tekton", "size": "S"})
    );
}

#[test]
fn conditional_parameters_are_backstages() {
    let with_dependencies = json!({
        "properties": {"ci": {"type": "string", "enum": ["tekton", "github"], "default": "tekton"}},
        "dependencies": {"ci": {"oneOf": [
            {"properties": {"ci": {"enum": ["github"]}, "runner": {"type": "string"}}, "required": ["runner"]},
            {"properties": {"ci": {"enum": ["tekton"]}, "image": {"type": "string", "default": "builder"}}},
        ]}},
    });
    assert_eq!(
        complete(&with_dependencies, &json!({})),
        json!({"ci": "tekton", "image": "builder"})
    );
    assert_eq!(
        complete(&with_dependencies, &json!({"ci": "github", "runner": "x"})),
        json!({"ci": "github", "runner": "x"})
    );
    assert!(faults(&with_dependencies, &json!({"ci": "github"}))[0].contains("runner is missing"));
    let with_if = json!({
        "properties": {"kind": {"type": "string"}},
        "if": {"properties": {"kind": {"const": "db"}}, "required": ["kind"]},
        "then": {"properties": {"size": {"type": "integer", "default": 10, "maximum": 20}}},
        "else": {"properties": {"size": false}},
    });
    assert_eq!(
        complete(&with_if, &json!({"kind": "db"})),
        json!({"kind": "db", "size": 10})
    );
    assert_eq!(
        faults(&with_if, &json!({"kind": "db", "size": 21})),
        ["parameters.size: 21 is more than the maximum of 20"]
    );
    assert_eq!(
        faults(&with_if, &json!({"size": 5})),
        ["parameters.size: not allowed here"]
    );
}

#[test]
fn faults_are_in_words() {
    let schema = json!({
        "required": ["name", "kind"],
        "properties": {
            "name": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$"}, "kind": {"enum": ["a", "b"]}, "port": {"type": ["integer", "null"]},
            "items": {"type": "array", "maxItems": 1, "uniqueItems": true, "items": {"type": "object", "required": ["x"]}},
            "one": {"oneOf": [{"type": "string"}, {"type": "object", "required": ["y"]}]}, "url": {"type": "string", "format": "ipv4"}, "half": {"multipleOf": 0.5},
            "map": {"type": "object", "propertyNames": {"maxLength": 2}}, "low": {"exclusiveMinimum": 0}, "fixed": {"const": 1},
        },
    });
    for (given, expected) in [
        (
            json!({}),
            vec![
                "parameters.kind: missing; expected one of a, b",
                "parameters.name: missing; expected a string",
            ],
        ),
        (
            json!({"name": "A", "kind": "c"}),
            vec![
                "parameters.kind: \"c\" is not allowed, expected one of a, b",
                "parameters.name: \"A\" does not match the pattern ^[a-z]+$",
                "parameters.name: \"A\" has 1 characters, less than the minimum of 2",
            ],
        ),
        (
            json!({"name": "abcdef", "kind": "a", "port": "x"}),
            vec![
                "parameters.name: \"abcdef\" has 6 characters, more than the maximum of 5",
                "parameters.port: \"x\" is a string, expected null or an integer",
            ],
        ),
        (
            json!({"name": [], "kind": "a"}),
            vec!["parameters.name: found a list, expected a string"],
        ),
        (
            json!({"name": "ab", "kind": "a", "items": [{}, {}]}),
            vec![
                "parameters.items: the list has 2 items, more than the maximum of 1",
                "parameters.items: the list has an item twice",
                "parameters.items[0].x: missing",
                "parameters.items[1].x: missing",
            ],
        ),
        (
            json!({"name": "ab", "kind": "a", "one": {}}),
            vec!["parameters.one: fits none of the allowed forms: found a map, expected a string; or y is missing"],
        ),
        (
            json!({"name": "ab", "kind": "a", "url": "x"}),
            vec!["parameters.url: \"x\" is not of the format ipv4"],
        ),
        (
            json!({"name": "ab", "kind": "a", "half": 0.3}),
            vec!["parameters.half: 0.3 is not a multiple of 0.5"],
        ),
        (
            json!({"name": "ab", "kind": "a", "map": {"abc": 1}}),
            vec!["parameters.map: the key \"abc\" has 3 characters, more than the maximum of 2"],
        ),
        (
            json!({"name": "ab", "kind": "a", "low": 0}),
            vec!["parameters.low: 0 is not more than 0"],
        ),
        (
            json!({"name": "ab", "kind": "a", "fixed": 2}),
            vec!["parameters.fixed: 2 is not allowed, expected 1"],
        ),
        (
            json!({"name": "ab", "kind": "a", "nam": 2}),
            vec!["parameters.nam: unknown parameter; did you mean name?"],
        ),
        (
            json!({"name": "ab", "kind": "a", "zzzzz": 2}),
            vec![
                "parameters.zzzzz: unknown parameter; the template has fixed, half, items, kind, low, map, name, one, port, url",
            ],
        ),
    ] {
        assert_eq!(faults(&schema, &given), expected, "{given}");
    }
    assert_eq!(
        faults(&Value::Null, &json!({"x": 1})),
        ["parameters.x: unknown parameter; the template has no parameters"]
    );
    assert_eq!(
        faults(&json!({}), &json!({"x": "y".repeat(300_000)})),
        ["parameters: larger than 256 KiB, which is the most that parameters may have"]
    );
}

#[test]
fn others_are_taken_where_the_schema_says_so() {
    assert_eq!(
        complete(&json!({"additionalProperties": true}), &json!({"x": 1})),
        json!({"x": 1})
    );
    assert_eq!(
        faults(&json!({"additionalProperties": {"type": "string"}}), &json!({"x": 1})),
        ["parameters.x: 1 is an integer, expected a string"]
    );
    // A page that takes no others does not refuse another page's.
    let pages = json!([{"additionalProperties": false, "properties": {"a": {}}}, {"additionalProperties": false, "properties": {"b": {}}}]);
    assert_eq!(complete(&pages, &json!({"a": 1, "b": 2})), json!({"a": 1, "b": 2}));
}

#[test]
fn schemas_that_are_wrong_or_costly_are_refused() {
    assert_eq!(
        refused(&json!("x")),
        ["parameters: found a string, expected a JSON Schema of type object"]
    );
    assert_eq!(
        refused(&json!({"type": "string"})),
        ["parameters.type: found string, expected object: parameters are a map by name"]
    );
    assert!(
        refused(&json!([{}, {"properties": {"a": {"type": "strng"}}}]))[0]
            .starts_with("parameters[1].properties.a.type: "),
        "{:?}",
        refused(&json!([{}, {"properties": {"a": {"type": "strng"}}}]))
    );
    assert_eq!(
        refused(&json!({"properties": {"a": {"$ref": "https://example.com/schema.json"}}})),
        [
            "parameters: $ref https://example.com/schema.json leaves the template, expected a path such as #/definitions/port"
        ]
    );
    assert_eq!(
        refused(&json!({"$ref": "#"})),
        ["parameters: $ref # leads back to itself, which is not supported"]
    );
    assert_eq!(
        refused(&json!({"properties": {"a": {"$ref": "#/definitions/a"}}})),
        ["parameters: $ref #/definitions/a points to nothing"]
    );
    let recursive = json!({"definitions": {"a": {"properties": {"b": {"$ref": "#/definitions/a"}}}}, "properties": {"a": {"$ref": "#/definitions/a"}}});
    assert_eq!(
        refused(&recursive),
        ["parameters: $ref #/definitions/a leads back to itself, which is not supported"]
    );
    // Look-around needs an engine whose time is exponential.
    for pattern in ["^(?!x)", "((a{1000}){1000}){1000}", "(", "(a)\\1"] {
        assert_eq!(
            refused(&json!({"properties": {"a": {"pattern": pattern}}})),
            [format!(
                "parameters.properties.a.pattern: \"{pattern}\" is not a pattern that can be used: it is no regular expression, is too large, or needs look-around or back references, whose time is not bounded"
            )]
        );
    }
    let mut definitions = Map::new();
    for place in 0..15 {
        let next = json!({"$ref": format!("#/definitions/d{}", place + 1)});
        definitions.insert(format!("d{place}"), json!({"allOf": [next, next]}));
    }
    definitions.insert("d15".to_owned(), json!({}));
    assert!(
        refused(&json!({"definitions": definitions, "allOf": [{"$ref": "#/definitions/d0"}]}))[0]
            .contains("expected at most 20000")
    );
    let deep = (0..100).fold(json!({}), |inner, _| json!({"properties": {"a": inner}}));
    assert_eq!(refused(&deep), ["parameters: the schema is nested more than 64 deep"]);
}

#[test]
fn a_pattern_takes_linear_time() {
    let schema = schema(&json!({"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}));
    let begin = std::time::Instant::now();
    assert!(schema.complete(&map(&json!({"a": "a".repeat(100_000) + "b"}))).is_err());
    assert!(begin.elapsed() < std::time::Duration::from_secs(10));
}

#[test]
fn form_keys_are_left_alone() {
    let schema = json!({
        "title": "x", "required": ["owner"], "properties": {"owner": {"title": "Owner", "type": "string", "ui:field": "OwnerPicker", "ui:options": {"catalogFilter": {"kind": "Group"}}}},
        "backstage:featureFlag": "x",
    });
    assert_eq!(
        complete(&schema, &json!({"owner": "team-a"})),
        json!({"owner": "team-a"})
    );
}

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string", "default": "x"})),
        Just(json!({"type": "integer", "default": 3, "minimum": 1})),
        Just(json!({"type": "boolean"})),
        Just(json!({})),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::btree_map("[abc]", inner.clone(), 0..3)
                .prop_map(|properties| json!({"type": "object", "properties": properties, "default": {}})),
            inner
                .clone()
                .prop_map(|inner| json!({"type": "array", "items": inner, "default": [{}]})),
            inner
                .clone()
                .prop_map(|inner| json!({"type": "object", "additionalProperties": inner})),
            (inner.clone(), inner).prop_map(|(first, second)| json!({"allOf": [first, second]})),
        ]
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|flag| json!(flag)),
        (0..9).prop_map(|number| json!(number)),
        "[a-z]{0,3}".prop_map(|text| json!(text))
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn defaults_are_idempotent(page in any_schema(), given in prop::collection::btree_map("[abc]", any_value(), 0..3)) {
        let page = json!({"properties": {"a": page}, "additionalProperties": true});
        let schema = schema(&page);
        let mut once = json!(given);
        super::defaults::fill(&mut once, &[&page]);
        let mut twice = once.clone();
        super::defaults::fill(&mut twice, &[&page]);
        prop_assert_eq!(&once, &twice);
        // What the schema takes with its defaults in place gives no fault, and is not changed again.
        let valid = jsonschema::draft7::is_valid(&page, &once);
        let complete = schema.complete(&map(&json!(given)));
        prop_assert_eq!(valid, complete.is_ok());
        if let Ok(complete) = complete {
            prop_assert_eq!(&schema.complete(&complete).map_err(|faults| format!("{faults:?}")), &Ok(complete.clone()));
            prop_assert_eq!(Value::Object(complete), once);
        }
    }
}
