//! What expressions come to.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::context::{Identity, Known, Named, NamedResource, References, Scope};
use super::evaluate::Evaluator;
use super::term::{Meter, Stop};
use super::text::Text;

fn render(source: &str, parameters: &Value) -> Result<Option<Value>, Stop> {
    let entity = json!({
        "kind": "Component", "metadata": {"name": "orders", "namespace": "shop", "labels": {"a.b/c": "x"}},
        "spec": {"type": "service", "tags": ["b", "a"]},
    });
    let mut known = Known::default();
    known.add(
        "db",
        &[],
        Identity {
            name: "orders-db".to_owned(),
            namespace: Some("shop".to_owned()),
        },
    );
    let references = References {
        found: BTreeMap::from([("host".to_owned(), json!({"spec": {"url": "u"}}))]),
        unwanted: BTreeSet::new(),
    };
    let each = json!({"key": "prod", "value": {"replicas": 3}, "index": 1});
    let template = json!({"name": "web", "namespace": "platform", "version": "1"});
    let names = BTreeMap::from([(
        "db".to_owned(),
        Named::Resource(NamedResource {
            id: "db".to_owned(),
            ..NamedResource::default()
        }),
    )]);
    let scope = Scope {
        parameters,
        entity: &entity,
        system: &Value::Null,
        owner: &json!({"name": "team-a", "spec": {}}),
        template: &template,
        each: Some(&each),
        itself: None,
        references: &references,
        known: &known,
        names: &names,
        keys: &[],
        within: "",
        live: None,
    };
    let meter = Meter::for_plan();
    let evaluator = Evaluator { scope, meter: &meter };
    match Text::parse(source)? {
        Ok(text) => text.value(&evaluator),
        Err(plain) => Ok(Some(Value::String(plain))),
    }
}

fn value(expression: &str, parameters: &Value) -> Value {
    render(&format!("${{{{ {expression} }}}}"), parameters)
        .unwrap_or_else(|stop| panic!("{expression}: {stop:?}"))
        .unwrap_or_else(|| panic!("{expression}: nothing"))
}

fn fault(source: &str, parameters: &Value) -> String {
    match render(source, parameters) {
        Err(Stop::Fault(message)) => message,
        other => panic!("{source}: {other:?}"),
    }
}

fn parameters() -> Value {
    json!({
        "name": "Orders Service", "count": 3, "ratio": 1.5, "on": true, "off": false, "nothing": null, "empty": "", "list": ["b", "a", "c"],
        "map": {"x": 1, "y": {"z": "deep"}}, "repo": "github.com?owner=shop&repo=orders", "objects": [{"n": "b", "v": 2}, {"n": "a", "v": 1}],
        "long": "x".repeat(200_000),
    })
}

#[test]
fn a_whole_expression_keeps_its_type() {
    let given = parameters();
    assert_eq!(value("parameters.count", &given), json!(3));
    assert_eq!(value("values.map", &given), json!({"x": 1, "y": {"z": "deep"}}));
    assert_eq!(value("parameters.on", &given), json!(true));
    assert_eq!(value("parameters.nothing", &given), json!(null));
    assert_eq!(
        render("x${{ parameters.count }}-${{parameters.on}}", &given),
        Ok(Some(json!("x3-true")))
    );
    assert_eq!(
        render("no expression, $ {{ x }} }}", &given),
        Ok(Some(json!("no expression, $ {{ x }} }}")))
    );
    assert_eq!(render("a ${{- ' b ' -}} c", &given), Ok(Some(json!("a b c"))));
    assert_eq!(render("${{ {'a': {'b': 1}}.a.b }}", &given), Ok(Some(json!(1))));
    assert_eq!(render("${{ '}}' }}!", &given), Ok(Some(json!("}}!"))));
    assert_eq!(
        render("{% raw %}${{ github.ref }}{% endraw %} ${{ parameters.count }}", &given),
        Ok(Some(json!("${{ github.ref }} 3")))
    );
    assert_eq!(
        render("{%- raw -%}${{ x }}{%- endraw -%}", &given),
        Ok(Some(json!("${{ x }}")))
    );
}

#[test]
fn the_dialect_is_backstages() {
    let given = parameters();
    for (expression, expected) in [
        ("parameters.name === 'Orders Service'", json!(true)),
        ("parameters.count !== 3 || parameters.on", json!(true)),
        ("parameters.on && !parameters.off", json!(true)),
        ("!parameters.off == true", json!(true)),
        ("not parameters.list", json!(false)),
        (
            "parameters.name.toLowerCase().replace(' ', '-')",
            json!("orders-service"),
        ),
        ("parameters.name.toUpperCase()", json!("ORDERS SERVICE")),
        ("parameters.name.split(' ')[0]", json!("Orders")),
        (
            "parameters.name.startsWith('Ord') and parameters.name.endsWith('ice')",
            json!(true),
        ),
        (
            "parameters.name.includes('Serv') and 'a' in parameters.list and 'x' in parameters.map",
            json!(true),
        ),
        ("parameters.name.substring(0, 6)", json!("Orders")),
        ("parameters.name.slice(-7)", json!("Service")),
        ("parameters.name.length", json!(14)),
        ("parameters.list.length", json!(3)),
        ("parameters.list[-1]", json!("c")),
        ("parameters.list[1:]", json!(["a", "c"])),
        ("parameters.name[::-1]", json!("ecivreS sredrO")),
        ("'a-b-c'.replaceAll('-', '.')", json!("a.b.c")),
        ("' x '.trim()", json!("x")),
        ("'a-b-a'.replace('a', 'c')", json!("c-b-a")),
        ("'7'.padStart(3, '0')", json!("007")),
        ("parameters.list.join('+')", json!("b+a+c")),
        ("parameters.list.includes('a')", json!(true)),
        ("parameters.list.indexOf('c')", json!(2)),
        ("'é' ~ 1 ~ true", json!("é1true")),
        ("'n' + 1", json!("n1")),
        ("(parameters.repo | parseRepoUrl).repo", json!("orders")),
        ("parameters.repo | parseRepoUrl | pick('owner')", json!("shop")),
        ("parameters.repo | projectSlug", json!("shop/orders")),
        (
            "'Group:Shop/Team' | parseEntityRef",
            json!({"kind": "group", "namespace": "shop", "name": "team"}),
        ),
        (
            "'team' | parseEntityRef({defaultKind: 'group', defaultNamespace: 'shop'}) | pick('namespace')",
            json!("shop"),
        ),
        ("parameters.name | dump", json!("\"Orders Service\"")),
        ("parameters.map | dump", json!(r#"{"x":1,"y":{"z":"deep"}}"#)),
        ("'x' if parameters.off else 'y'", json!("y")),
        ("parameters.missing | default('d')", json!("d")),
        ("parameters.empty | default('d', true)", json!("d")),
        ("parameters.nothing | d('d')", json!("d")),
        ("parameters.missing or 'x'", json!("x")),
        ("parameters.missing == 'x'", json!(false)),
        (
            "parameters.missing === undefined and parameters.missing is undefined",
            json!(true),
        ),
        ("parameters.missing is defined", json!(false)),
        ("each.key ~ each.value.replicas", json!("prod3")),
        ("entity.metadata.labels['a.b/c']", json!("x")),
        ("resources.db.metadata.name", json!("orders-db")),
        ("references.host.spec.url", json!("u")),
        ("system.name or 'alone'", json!("alone")),
    ] {
        assert_eq!(value(expression, &given), expected, "{expression}");
    }
}

#[test]
fn numbers_stay_whole_where_they_can() {
    let given = parameters();
    for (expression, expected) in [
        ("parameters.count * 2 + 1", json!(7)),
        ("7 / 2", json!(3.5)),
        ("4 / 2", json!(2)),
        ("7 // 2", json!(3)),
        ("7 % 4", json!(3)),
        ("2 ** 10", json!(1024)),
        ("-parameters.count", json!(-3)),
        ("1 < parameters.count <= 3", json!(true)),
        ("parameters.ratio * 2 == 3", json!(true)),
        ("'3' | int + 1", json!(4)),
        ("3.7 | int", json!(3)),
        ("2.345 | round(2)", json!(2.35)),
        ("-5 | abs", json!(5)),
        ("10 is divisibleby 5", json!(true)),
        ("3 is odd", json!(true)),
        ("range(3)", json!([0, 1, 2])),
        ("range(5, 0, -2)", json!([5, 3, 1])),
        ("9223372036854775807 + 1", json!(9_223_372_036_854_775_808.0)),
    ] {
        assert_eq!(value(expression, &given), expected, "{expression}");
    }
}

#[test]
fn filters_do_what_nunjucks_and_jinja_do() {
    let given = parameters();
    for (expression, expected) in [
        ("'aBC' | capitalize", json!("Abc")),
        ("'ab cd' | title", json!("Ab Cd")),
        ("'AB' | lower ~ 'x'", json!("abx")),
        ("parameters.list | sort | join(',')", json!("a,b,c")),
        ("parameters.list | sort(reverse=true) | first", json!("c")),
        ("parameters.list | reverse | last", json!("b")),
        (
            "parameters.objects | sort(attribute='n') | map(attribute='v')",
            json!([1, 2]),
        ),
        (
            "parameters.objects | selectattr('v', 'eq', 2) | map(attribute='n') | first",
            json!("b"),
        ),
        ("parameters.objects | rejectattr('v', 'gt', 1) | length", json!(1)),
        ("parameters.list | map('upper') | join", json!("BAC")),
        ("[0, 1, '', 'x'] | select", json!([1, "x"])),
        ("parameters.map | dictsort | first", json!(["x", 1])),
        ("parameters.map | keys", json!(["x", "y"])),
        ("parameters.map | items | length", json!(2)),
        ("[1, 2, 3] | batch(2)", json!([[1, 2], [3]])),
        ("[1, 2, 3] | batch(2, 9)", json!([[1, 2], [3, 9]])),
        ("[1, 2, 3] | slice(2)", json!([[1, 2], [3]])),
        ("[1, 2, 3] | sum", json!(6)),
        ("[3, 1, 2] | max", json!(3)),
        ("[1, 1, 2] | unique", json!([1, 2])),
        ("parameters.objects | groupby('n') | keys", json!(["a", "b"])),
        ("'a\nb' | indent(2)", json!("a\n  b")),
        ("'a b c' | wordcount", json!(3)),
        ("'<b>x</b> y' | striptags", json!("x y")),
        ("'<&>' | escape", json!("&lt;&amp;&gt;")),
        ("'a\nb' | nl2br", json!("a<br />\nb")),
        ("'a b/ü' | urlencode", json!("a%20b%2F%C3%BC")),
        ("'hello world foo' | truncate(12)", json!("hello world...")),
        ("'x' | center(5)", json!("  x  ")),
        ("'a-b' | replace('-', '_')", json!("a_b")),
        ("'abc' | list | length", json!(3)),
        ("{'a': 1} | tojson", json!("{\"a\":1}")),
    ] {
        assert_eq!(value(expression, &given), expected, "{expression}");
    }
}

#[test]
fn what_was_not_given_drops_its_field_and_is_a_fault_in_a_text() {
    let given = parameters();
    assert_eq!(render("${{ parameters.missing }}", &given), Ok(None));
    assert_eq!(render("${{ parameters.map.a.b }}", &given), Ok(None));
    assert_eq!(render("${{ 'x' if parameters.off }}", &given), Ok(None));
    assert_eq!(render("a${{ 'x' if parameters.off }}", &given), Ok(Some(json!("a"))));
    assert_eq!(
        fault("x-${{ parameters.missing }}", &given),
        "parameters.missing is not given; give it, or write parameters.missing | default(…)"
    );
    assert_eq!(
        fault("x-${{ parameters.map }}", &given),
        "`parameters.map`: found a map, expected a text; name one of its fields or write | dump"
    );
    assert_eq!(
        fault("x-${{ parameters.nothing }}", &given),
        "`parameters.nothing`: found null, expected a text; give one with | default('…')"
    );
    assert_eq!(
        render("${{ resources.db.status.host }}", &given),
        Err(Stop::Waiting("resources.db.status.host".to_owned()))
    );
    assert_eq!(
        render("${{ references.gone.spec.x }}", &given),
        Err(Stop::Waiting("references.gone.spec.x".to_owned()))
    );
    assert_eq!(
        value("resources.db.status.host | default('none')", &given),
        json!("none")
    );
    assert_eq!(value("resources.db.status.host is defined", &given), json!(false));
}

#[test]
fn faults_say_what_was_found_and_expected() {
    let given = parameters();
    for (expression, expected) in [
        (
            "parameters.name.x",
            "parameters.name.x does not exist: found a string there, expected a map",
        ),
        (
            "(parameters.repo | parseRepoUrl).repoo",
            "the map has no field repoo; did you mean repo?; it has host, owner, repo",
        ),
        (
            "parameters.name | parseRepoUrl",
            "parseRepoUrl: \"Orders Service\" has no ?, expected for example github.com?owner=shop&repo=orders",
        ),
        (
            "parameters.map + 1",
            "a map + an integer is not possible, expected two numbers",
        ),
        (
            "parameters.name < 3",
            "a string cannot be compared with an integer, expected two numbers or two strings",
        ),
        ("parameters.count | upper | first | nope", "there is no filter nope"),
        ("parameters.list | upper", "upper was given a list, expected a string"),
        (
            "parameters.name | round('x')",
            "round was given a string, expected a number",
        ),
        ("1 / 0", "division by zero"),
        ("[] | first", "first was given an empty list or string"),
        (
            "",
            "found an empty expression, expected a value such as parameters.name",
        ),
        (
            "parameters.a +",
            "`parameters.a +` is not an expression: unexpected end of input, expected expression",
        ),
        (
            "a ! b",
            "`a ! b` is not an expression: unexpected \"!\", expected an operator",
        ),
        (
            "resources",
            "`resources` is not a value; name one of them, for example resources.<id>.metadata.name",
        ),
    ] {
        assert_eq!(
            fault(&format!("${{{{ {expression} }}}}"), &given),
            expected,
            "{expression}"
        );
    }
    assert!(
        fault("{% if parameters.on %}x{% endif %}", &given)
            .starts_with("block tags such as `{% if parameters.on %}` are not supported")
    );
    assert_eq!(
        fault("${{ parameters.x ", &given),
        "`${{ parameters.x ` has no closing }}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_panic(source in ".{0,200}") {
        let _ = render(&source, &parameters());
        let _ = render(&format!("${{{{ {source} }}}}"), &parameters());
    }

    #[test]
    fn data_comes_out_byte_for_byte(data in any::<String>()) {
        let given = json!({"data": data});
        prop_assert_eq!(render("${{ parameters.data }}", &given), Ok(Some(json!(data))));
        prop_assert_eq!(render("<${{ parameters.data }}>", &given), Ok(Some(json!(format!("<{data}>")))));
    }
}
