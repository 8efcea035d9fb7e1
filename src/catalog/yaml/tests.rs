use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use traps::TRAPS;

fn values(text: &str) -> Vec<Result<Value, String>> {
    documents(text, Limits::default())
        .map(|document| {
            document
                .map(|document| document.root.value())
                .map_err(|fault| fault.to_string())
        })
        .collect()
}

fn one(text: &str) -> Value {
    match &values(text)[..] {
        [Ok(value)] => value.clone(),
        other => panic!("{text}: {other:?}"),
    }
}

fn fault(text: &str) -> String {
    values(text)
        .into_iter()
        .find_map(Result::err)
        .unwrap_or_else(|| panic!("{text} has no fault"))
}

#[test]
fn plain_scalars_are_those_of_the_core_schema() {
    for (text, value) in [
        ("yes", json!("yes")),
        ("on", json!("on")),
        ("Off", json!("Off")),
        ("y", json!("y")),
        ("TRUE", json!(true)),
        ("~", json!(null)),
        ("0o17", json!(15)),
        ("012", json!(12)),
        ("0x1F", json!(31)),
        ("0b11", json!("0b11")),
        ("1_000", json!("1_000")),
        ("12:30:45", json!("12:30:45")),
        ("2026-11-22", json!("2026-11-22")),
        ("=", json!("=")),
        ("1.0", json!(1)),
        ("-0.0", json!(0)),
        ("1e3", json!(1000)),
        (".5", json!(0.5)),
        ("1.", json!(1)),
        ("+12", json!(12)),
        ("9007199254740993", json!(9_007_199_254_740_993_i64)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("1e300", json!(1e300)),
        ("1.2.3", json!("1.2.3")),
        ("'1'", json!("1")),
        ("!!str 1", json!("1")),
        ("! 1", json!("1")),
        ("!!int 1", json!(1)),
        ("!!float 1", json!(1)),
    ] {
        assert_eq!(one(&format!("a: {text}")), json!({"a": value}), "{text}");
    }
}

#[test]
fn a_number_beyond_64_bits_is_read_as_backstage_reads_it_and_said() {
    let read: Vec<_> = documents("a: 123456789012345678901\nb: 0xffffffffffffffffff", Limits::default()).collect();
    let [Ok(document)] = &read[..] else { panic!("{read:?}") };
    assert_eq!(document.root.value()["a"], json!(123_456_789_012_345_678_901_f64));
    let said: Vec<String> = document.notes.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2);
    assert!(
        said[0].starts_with("1:4: 123456789012345678901 is more than 64 bits hold"),
        "{said:?}"
    );
}

#[test]
fn keys_are_texts_as_in_json() {
    assert_eq!(
        one("1: a\ntrue: b\n0x10: c\n? ~\n: d\n'2': e"),
        json!({"1": "a", "true": "b", "16": "c", "": "d", "2": "e"})
    );
}

#[test]
fn merge_keys_are_merged_only_where_they_are_asked_for() {
    let text = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: {\"<<\": 1}\nd: {<<: [*a, {z: 4}], x: 0}";
    assert_eq!(one("a: &a {x: 1}\nb: {<<: *a}")["b"], json!({"<<": {"x": 1}}));
    let limits = Limits {
        merge: true,
        ..Limits::default()
    };
    let merged = documents(text, limits).next().unwrap().unwrap().root.value();
    assert_eq!(merged["b"], json!({"x": 1, "y": 3}));
    assert_eq!(merged["c"], json!({"<<": 1}));
    assert_eq!(merged["d"], json!({"x": 0, "y": 2, "z": 4}));
}

#[test]
fn what_is_broken_is_said_with_its_place_and_the_rest_is_read() {
    for (text, expected) in [
        ("a: 1\nb: [1, 2\n", "2:4: not YAML: unclosed bracket"),
        ("a:\n\tb: 1", "2:2: not YAML: tabs disallowed"),
        (
            "a: 1\nb: 2\na: 3",
            "3:1: a is given twice, first in line 1; leave one of them out",
        ),
        ("a: {b: 1, b: 2}", "1:11: b is given twice"),
        ("1: a\n0x1: b", "2:1: 1 is given twice"),
        (
            "a: .inf",
            "1:4: .inf is a number that JSON, and so Kubernetes, has no form for",
        ),
        ("a: -.Inf", "1:4: -.Inf is a number"),
        ("a: .nan", "1:4: .nan is a number"),
        ("a: 1e999", "1:4: 1e999 is a number"),
        (
            "a: !secret x",
            "1:12: the tag !secret has no meaning here; leave it out",
        ),
        ("a: !!binary x", "1:13: the tag !!binary has no meaning here"),
        ("a: !!int x", "1:10: the tag !!int has no meaning here"),
        ("a: !x [1]", "1:7: the tag !x has no meaning here"),
        ("? [1]\n: 2", "1:3: a key is a list or a map, expected a text"),
        ("a: *b", "1:4: not YAML: "),
        ("a: &a [*a]", "1:8: an alias stands within what it means"),
        ("a: \"\u{1}\"", "1:"),
    ] {
        let found = fault(text);
        assert!(found.starts_with(expected), "{text:?}: {found}");
        let stream = format!("first: 1\n---\n{text}\n---\nlast: 1\n");
        let read = values(&stream);
        assert_eq!(read.first(), Some(&Ok(json!({"first": 1}))), "{text:?}");
        assert_eq!(read.last(), Some(&Ok(json!({"last": 1}))), "{text:?}");
        assert_eq!(read.len(), 3, "{text:?}: {read:?}");
    }
}

#[test]
fn empty_documents_byte_order_marks_and_line_ends_of_other_systems_are_read_over() {
    assert_eq!(values(""), []);
    assert_eq!(values("# nothing\n---\n---\n# nothing\n...\n"), []);
    assert_eq!(one("\u{feff}a: 1\n"), json!({"a": 1}));
    assert_eq!(
        one("a: 1\r\nb: |\r\n  x\r\n  y\r\n---\r\n"),
        json!({"a": 1, "b": "x\ny\n"})
    );
}

#[test]
fn a_bomb_of_aliases_and_what_is_too_large_or_too_deep_end_early() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = level - 1;
        let _ = writeln!(
            bomb,
            "a{level}: &a{level} [{}]",
            vec![format!("*a{before}"); 10].join(", ")
        );
    }
    assert!(
        fault(&bomb).contains("has more than 200000 values once its aliases are written out"),
        "{}",
        fault(&bomb)
    );
    let mut anchors = "&a [".repeat(90);
    anchors += &"x, ".repeat(20_000);
    anchors += &"]".repeat(90);
    assert!(
        fault(&anchors).contains("has more than 200000 values"),
        "{}",
        fault(&anchors)
    );
    let limits = Limits {
        bytes: 1000,
        ..Limits::default()
    };
    let long = format!("a: 1\n---\nb:\n{}---\nc: 1\n", "- 0123456789\n".repeat(1000));
    let read: Vec<_> = documents(&long, limits).collect();
    let [Ok(_), Err(fault), Ok(last)] = &read[..] else {
        panic!("{read:?}")
    };
    assert!(
        fault.message.starts_with("the document is longer than 1000 bytes"),
        "{fault}"
    );
    assert!(fault.place.line < 90, "{fault}");
    assert_eq!(last.root.value(), json!({"c": 1}));
    let deep = format!("a: {}1{}", "[".repeat(150), "]".repeat(150));
    assert!(
        self::fault(&deep).contains("nested more than 100 deep"),
        "{}",
        self::fault(&deep)
    );
}

#[test]
fn places_are_those_of_keys_and_items() {
    let text = "a:\n  b:\n  - c: 1\n    d: é\n  - e\n";
    let node = documents(text, Limits::default()).next().unwrap().unwrap().root;
    let at = |path: &[&str]| {
        Places::of(&node)
            .locate(&path.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>())
            .to_string()
    };
    assert_eq!(at(&["a", "b", "0", "d"]), "4:5");
    assert_eq!(at(&["a", "b", "1"]), "5:5");
    assert_eq!(at(&["a", "x", "y"]), "2:3");
    assert_eq!(at(&["x"]), "1:1");
}

/// Any JSON value as Kubernetes holds it.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1000_i64..1000).prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", scalar::number),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any_text(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Texts, those among them that readers of YAML take for something else.
pub(crate) fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(TRAPS).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => "[a-z:#\\-{}\\[\\], \n'\"|>&*!%@`\\\\]{0,16}",
        1 => "[0-9_.:eExob+-]{1,8}",
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(value in any_value()) {
        let text = write(&json!({"value": value})).unwrap();
        prop_assert_eq!(one(&text), json!({"value": value}), "{}", text);
    }

    #[test]
    fn no_text_panics(text in "[a-z0-9:\\-\\[\\]{}\n \t\"'&*!|>#<~.]{0,80}") {
        let _ = values(&text);
    }
}
