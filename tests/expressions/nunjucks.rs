//! Every stock filter of Nunjucks, which Backstage's templates are evaluated by, and what Nunjucks 3.2.4 itself made
//! of each of these expressions, as JSON: it was given `${{ (EXPRESSION) | json }}` with a filter `json` that is
//! `JSON.stringify`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::come_to;

/// The filters that Nunjucks has: its documentation's list, "Builtin Filters", with the two short names.
const STOCK: [&str; 43] = [
    "abs",
    "batch",
    "capitalize",
    "center",
    "d",
    "default",
    "dictsort",
    "dump",
    "e",
    "escape",
    "first",
    "float",
    "forceescape",
    "groupby",
    "indent",
    "int",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "nl2br",
    "random",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "trim",
    "truncate",
    "upper",
    "urlencode",
    "urlize",
    "wordcount",
];

/// Those that are refused; the message says why.
const REFUSED: [&str; 2] = ["random", "urlize"];

/// Where a value is not what Nunjucks makes of it, on purpose: what is empty or not there is told, and never passed on
/// as nothing. (Of an empty text `wordcount` gives 0, and Nunjucks null.)
const DIFFERENT: &[(&str, &str)] = &[
    ("[] | first", "first was given an empty list or string"),
    ("[] | last", "last was given an empty list or string"),
    (
        "'bob' | int",
        "int was given a string, expected a number, or a string that begins with one",
    ),
    ("null | upper", "upper was given null, expected a string"),
    (
        "[1, null] | join",
        "found null, expected a text; give one with | default('…')",
    ),
    ("[{}] | sum('v')", "sum found null, expected numbers"),
];

#[test]
fn every_stock_filter_does_what_nunjucks_does_or_says_why_not() {
    let stock: BTreeSet<&str> = STOCK.into_iter().collect();
    let mut shown = BTreeSet::new();
    let mut wrong = Vec::new();
    for (expression, expected) in ROWS {
        shown.extend(stock.iter().copied().filter(|name| {
            let calls = expression.split(" | ").skip(1);
            calls
                .into_iter()
                .any(|call| call.split(['(', ' ']).next() == Some(name))
        }));
        let expected: Value = serde_json::from_str(expected).unwrap();
        match come_to(&format!("${{{{ {expression} }}}}")) {
            Ok(Some(found)) if found == expected => {}
            other => wrong.push(format!("{expression}: {other:?}, and Nunjucks {expected}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let missing: Vec<&&str> = stock
        .iter()
        .filter(|name| !shown.contains(*name) && !REFUSED.contains(name))
        .collect();
    assert!(missing.is_empty(), "no row shows {missing:?}");
    for name in REFUSED {
        let said = come_to(&format!("${{{{ 'x' | {name} }}}}")).unwrap_err();
        assert!(said.contains(&format!("filter {name} is not supported: ")), "{said}");
    }
    for (expression, expected) in DIFFERENT {
        let said = come_to(&format!("${{{{ {expression} }}}}")).unwrap_err();
        assert!(said.ends_with(expected), "{expression}: {said}");
    }
}

const ROWS: &[(&str, &str)] = &[
    ("-3 | abs", "3"),
    ("-3.456 | abs", "3.456"),
    ("[1,2,3,4,5] | batch(2)", "[[1,2],[3,4],[5]]"),
    ("[1,2,3] | batch(2, 'x')", r#"[[1,2],[3,"x"]]"#),
    ("[1,2,3] | batch(2, '')", "[[1,2],[3]]"),
    ("'fOO bar' | capitalize", r#""Foo bar""#),
    ("'fooo' | center(9)", r#""  fooo   ""#),
    ("'foo' | center(10)", r#""   foo    ""#),
    ("'fooo' | center(2)", r#""fooo""#),
    ("parameters.missing | default('foo')", r#""foo""#),
    ("'bar' | default('foo')", r#""bar""#),
    ("'' | default('foo')", r#""""#),
    ("'' | default('foo', true)", r#""foo""#),
    ("parameters.missing | d('foo')", r#""foo""#),
    (
        "{'b': 2, 'A': 1, 'a_': 4, 'ab': 3} | dictsort",
        r#"[["A",1],["ab",3],["a_",4],["b",2]]"#,
    ),
    (
        "{'b': 1, 'a': 3, 'B': 2} | dictsort(true)",
        r#"[["B",2],["a",3],["b",1]]"#,
    ),
    (
        "{'a': 6, 'b': 5, 'c': 1} | dictsort(false, 'value')",
        r#"[["c",1],["b",5],["a",6]]"#,
    ),
    ("{'a': [1, 'x', null, true]} | dump", r#""{\"a\":[1,\"x\",null,true]}""#),
    (
        "{'a': [1, {}], 'b': []} | dump(2)",
        r#""{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}""#,
    ),
    (r"{'a': [1]} | dump('\t')", r#""{\n\t\"a\": [\n\t\t1\n\t]\n}""#),
    ("{'a': [1]} | dump('--')", r#""{\n--\"a\": [\n----1\n--]\n}""#),
    ("2.0 | dump", r#""2""#),
    (r#"'a"b\\c' | dump"#, r#""\"a\\\"b\\\\c\"""#),
    (
        r#"'<a href="x">&\'' | escape"#,
        r#""&lt;a href=&quot;x&quot;&gt;&amp;&#39;""#,
    ),
    ("'<' | e", r#""&lt;""#),
    (r"'a\\b' | escape", r#""a&#92;b""#),
    ("'a%b.c' | escape", r#""a%b.c""#),
    ("[1,2,3] | first", "1"),
    ("'3.5' | float", "3.5"),
    ("'3.5 apples' | float", "3.5"),
    ("'-.5' | float", "-0.5"),
    ("'1e3x' | float", "1000"),
    ("'bob' | float('cat')", r#""cat""#),
    ("7 | float", "7"),
    ("'<b>' | forceescape", r#""&lt;b&gt;""#),
    (
        "[{'t': 'g', 'n': 1}, {'t': 'b', 'n': 2}, {'t': 'g', 'n': 3}] | groupby('t')",
        r#"{"g":[{"t":"g","n":1},{"t":"g","n":3}],"b":[{"t":"b","n":2}]}"#,
    ),
    (r"'one\ntwo\n\nthree' | indent", r#""one\n    two\n    \n    three""#),
    (r"'one\ntwo' | indent(2)", r#""one\n  two""#),
    (r"'one\ntwo' | indent(2, true)", r#""  one\n  two""#),
    ("'' | indent(2, true)", r#""""#),
    ("'3.9' | int", "3"),
    ("'12px' | int", "12"),
    ("'-7.9' | int", "-7"),
    ("3.9 | int", "3"),
    ("'0x1f' | int", "0"),
    ("'1e3' | int", "1"),
    ("'bob' | int('cat')", r#""cat""#),
    ("[1,2,3] | join", r#""123""#),
    ("['a','b'] | join(', ')", r#""a, b""#),
    ("[{'n': 'a'}, {'n': 'b'}] | join('-', 'n')", r#""a-b""#),
    ("[{'a.b': 'x'}] | join('-', 'a.b')", r#""x""#),
    ("[1,2,3] | last", "3"),
    ("'blah' | length", "4"),
    ("[1,2] | length", "2"),
    ("{'a': 1} | length", "1"),
    ("'ab' | list", r#"["a","b"]"#),
    ("{'a': 1} | list", r#"[{"key":"a","value":1}]"#),
    ("[1,2] | list", "[1,2]"),
    ("'fOObAr' | lower", r#""foobar""#),
    (r"'a\nb\r\nc' | nl2br", r#""a<br />\nb<br />\nc""#),
    ("[0, 1, '', 'x', null, true] | reject", r#"[0,"",null]"#),
    ("[1,2,3] | reject('odd')", "[2]"),
    ("[1,2,3] | select('odd')", "[1,3]"),
    ("[0, 1, '', 'x', null, true] | select", r#"[1,"x",true]"#),
    (
        "[{'a': true, 'b': 1}, {'a': false, 'b': 2}] | rejectattr('a')",
        r#"[{"a":false,"b":2}]"#,
    ),
    (
        "[{'a': true, 'b': 1}, {'a': false, 'b': 2}] | selectattr('a')",
        r#"[{"a":true,"b":1}]"#,
    ),
    ("123456 | replace('4', '.')", r#""123.56""#),
    ("12345.6 | replace(4, 7)", r#""12375.6""#),
    ("'aabb' | replace('', '.')", r#"".a.a.b.b.""#),
    ("'aaabbb' | replace('a', 'x', 2)", r#""xxabbb""#),
    ("'aaabbb' | replace('a', 'x', -1)", r#""xxxbbb""#),
    ("'aaabbb' | replace('a', '', 0)", r#""aaabbb""#),
    ("'aaabbb' | replace('b', '')", r#""aaa""#),
    ("'abc' | reverse", r#""cba""#),
    ("[1,2,3] | reverse", "[3,2,1]"),
    ("4.5 | round", "5"),
    ("-4.5 | round", "-4"),
    ("4.5 | round(0, 'floor')", "4"),
    ("4.5 | round(0, 'ceil')", "5"),
    ("4.12345 | round(4)", "4.1235"),
    ("145 | round(-1)", "150"),
    ("2.5 | round", "3"),
    ("'x' | safe", r#""x""#),
    ("[1,2,3,4,5,6,7,8,9,10] | slice(3)", "[[1,2,3,4],[5,6,7],[8,9,10]]"),
    ("[1,2,3,4] | slice(3, 'x')", r#"[[1,2],[3,"x"],[4,"x"]]"#),
    ("[1,2,3,4] | slice(2, 'x')", r#"[[1,2,"x"],[3,4,"x"]]"#),
    ("[3,1,2] | sort", "[1,2,3]"),
    ("['b', 'A', '_', 'a'] | sort", r#"["_","A","a","b"]"#),
    ("['b', 'A'] | sort(false, true)", r#"["A","b"]"#),
    ("[3,1,2] | sort(true)", "[3,2,1]"),
    (
        "[{'n': {'x': 2} }, {'n': {'x': 1} }] | sort(false, false, 'n.x')",
        r#"[{"n":{"x":1}},{"n":{"x":2}}]"#,
    ),
    ("[{'n': 2}, {'n': 1}] | sort(attribute='n')", r#"[{"n":1},{"n":2}]"#),
    ("['b', 'A'] | sort(case_sensitive=true)", r#"["A","b"]"#),
    ("1234 | string", r#""1234""#),
    ("2.50 | string", r#""2.5""#),
    ("'<foo>bar</foo>' | striptags", r#""bar""#),
    (
        r##"'  <p>an  \n <a href="#">example</a> link</p>\n<p>to a webpage</p> <!-- <p>and some comments</p> -->' | striptags"##,
        r#""an example link to a webpage""#,
    ),
    ("'a < b and c > d' | striptags", r#""a < b and c > d""#),
    ("'1 <2> <x_y> <x-y z>w' | striptags", r#""1 <2> <x_y> w""#),
    (
        r"'<div>\n  row1\nrow2  \n  <strong>row3</strong>\n</div>\n\n\n\nend' | striptags(true)",
        r#""row1\nrow2\nrow3\n\nend""#,
    ),
    ("'<!-- never closed <b>x' | striptags", r#""<!-- never closed x""#),
    ("[1,2,3] | sum", "6"),
    ("[{'v': 1}, {'v': 2}] | sum('v')", "3"),
    ("[1,2] | sum('', 10)", "13"),
    ("'foo bar bAZ' | title", r#""Foo Bar Baz""#),
    ("'  foo ' | trim", r#""foo""#),
    ("'foo bar' | truncate(3)", r#""foo...""#),
    ("'ab cd ef' | truncate(5)", r#""ab cd...""#),
    ("'foo bar baz' | truncate(5)", r#""foo...""#),
    ("'foo bar baz' | truncate(5, true)", r#""foo b...""#),
    ("'foo bar baz' | truncate(7, false, '!')", r#""foo bar!""#),
    ("'foobarbaz' | truncate(3)", r#""foo...""#),
    ("'foo' | upper", r#""FOO""#),
    ("'&/ é' | urlencode", r#""%26%2F%20%C3%A9""#),
    ("{'a': 1, 'b': '&'} | urlencode", r#""a=1&b=%26""#),
    ("[['a', 1], ['a', 'x y']] | urlencode", r#""a=1&a=x%20y""#),
    (r"'foo bar-baz it\'s' | wordcount", "5"),
    ("'one_two  three' | wordcount", "2"),
    ("[] | join", r#""""#),
    ("'x' | replace('y', 'z')", r#""x""#),
    ("'-5' | int", "-5"),
    ("'  42' | int", "42"),
    ("'+1.5.3' | float", "1.5"),
    ("'a  b' | title", r#""A  B""#),
    (r"' a\r\n\n\n\n  b  c ' | striptags(true)", r#""a\n\nb c""#),
    ("2 is odd", "false"),
    ("3 is divisibleby(3)", "true"),
    ("'x' is string", "true"),
    ("null is null", "true"),
    ("parameters.missing is undefined", "true"),
    ("parameters.missing is defined", "false"),
    ("{} is mapping", "true"),
    ("[] is iterable", "true"),
    ("5 is ge(5)", "true"),
    ("5 is eq(5)", "true"),
    ("true is truthy", "true"),
    ("'abc' is lower", "true"),
    ("'ABC' is upper", "true"),
    ("5 is lessthan(6)", "true"),
    ("range(3)", "[0,1,2]"),
    ("range(1, 7, 3)", "[1,4]"),
];
