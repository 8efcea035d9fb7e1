//! Filters for HTML and URLs.

use serde_json::Value;

use super::call::{Call, Signature};
use super::operators;
use super::term::Outcome;

pub(super) const FILTERS: &[Signature] = &[
    Signature {
        name: "escape",
        parameters: &[],
        required: 0,
        apply: escape,
    },
    Signature {
        name: "forceescape",
        parameters: &[],
        required: 0,
        apply: escape,
    },
    Signature {
        name: "nl2br",
        parameters: &[],
        required: 0,
        apply: line_breaks,
    },
    Signature {
        name: "striptags",
        parameters: &["preserve"],
        required: 0,
        apply: striptags,
    },
    Signature {
        name: "urlencode",
        parameters: &[],
        required: 0,
        apply: urlencode,
    },
];

fn escape(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_letters()?;
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\\' => escaped.push_str("&#92;"),
            other => escaped.push(other),
        }
    }
    call.give(escaped)
}

fn line_breaks(call: &Call<'_>) -> Outcome<Value> {
    let plain = call.replaced("\r\n", "\n", None)?;
    let plain = Call {
        meter: call.meter,
        name: call.name,
        input: &plain,
        positional: Vec::new(),
        named: Vec::new(),
    };
    plain.replaced("\n", "<br />\n", None)
}

/// Without tags and comments of HTML, and with white space put together; with `preserve`, line by line.
fn striptags(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_letters()?;
    let plain = untagged(&text);
    let plain = plain.trim();
    if !call.flag(0, "preserve") {
        return call.give(plain.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let mut kept = String::with_capacity(plain.len());
    let mut blank = 0;
    for (place, line) in plain.split('\n').enumerate() {
        let line = line.trim_end_matches('\r').trim_matches(' ');
        blank = if line.is_empty() { blank + 1 } else { 0 };
        // Of many empty lines one is kept.
        if blank > 1 {
            continue;
        }
        if place > 0 {
            kept.push('\n');
        }
        let words = line.split(' ').filter(|word| !word.is_empty());
        kept.push_str(&words.collect::<Vec<_>>().join(" "));
    }
    call.give(kept)
}

/// Takes out `<name …>`, `</name …>` and `<!-- … -->`; another `<` is text.
fn untagged(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    // Looked for once: a text of many `<` and no end would be gone through for each.
    let (mut comments, mut tags) = (text.rfind("-->"), text.rfind('>'));
    while let Some(begin) = rest.find('<') {
        let (before, from) = rest.split_at_checked(begin).unwrap_or((rest, ""));
        plain.push_str(before);
        let place = text.len() - from.len();
        comments = comments.filter(|last| *last > place + 3);
        tags = tags.filter(|last| *last > place);
        let end = if from.starts_with("<!--") {
            let end = comments.and_then(|_| from.get(4..)?.find("-->"));
            end.map(|end| end + 7)
        } else if is_tag(from) {
            tags.and_then(|_| from.find('>')).map(|end| end + 1)
        } else {
            None
        };
        let taken = end.unwrap_or(1);
        if end.is_none() {
            plain.push('<');
        }
        rest = from.get(taken..).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}

/// Whether a text begins as a tag: a letter after `<` or `</`, then letters and digits, and no `_` after them.
fn is_tag(text: &str) -> bool {
    let name = text.strip_prefix('<').unwrap_or_default();
    let name = name.strip_prefix('/').unwrap_or(name);
    let after = name.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric());
    name.starts_with(|letter: char| letter.is_ascii_alphabetic()) && !after.starts_with('_')
}

/// A text, or the query that a map or a list of pairs makes.
fn urlencode(call: &Call<'_>) -> Outcome<Value> {
    let pair = |name: &str, value: &Value| {
        Ok(format!(
            "{}={}",
            percent_encoded(name),
            percent_encoded(&operators::text(value)?)
        ))
    };
    let pairs: Vec<String> = match call.input {
        Value::Object(map) => {
            call.meter.value(call.input)?;
            map.iter()
                .map(|(name, value)| pair(name, value))
                .collect::<Outcome<_>>()?
        }
        Value::Array(items) => {
            call.meter.value(call.input)?;
            let pair = |item: &Value| match item.as_array().map(Vec::as_slice) {
                Some([name, value]) => pair(&operators::text(name)?, value),
                _ => Err(call.wrong_input("a string, a map or a list of pairs")),
            };
            items.iter().map(pair).collect::<Outcome<_>>()?
        }
        _ => {
            let text = call.input_letters()?;
            return call.give(percent_encoded(&text));
        }
    };
    call.give(pairs.join("&"))
}

/// As JavaScript's `encodeURIComponent`.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
