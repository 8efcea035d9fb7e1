//! Filters on texts and single values: Jinja's, and Nunjucks' where it has others
//! (`mozilla/nunjucks`, `nunjucks/src/filters.js`).

use serde_json::Value;

use super::call::{Call, Signature};
use super::operators;
use super::term::{MAX_VALUE, Outcome, Stop};

pub(super) const FILTERS: &[Signature] = &[
    Signature {
        name: "abs",
        parameters: &[],
        required: 0,
        apply: abs,
    },
    Signature {
        name: "capitalize",
        parameters: &[],
        required: 0,
        apply: capitalize,
    },
    Signature {
        name: "center",
        parameters: &["width"],
        required: 0,
        apply: center,
    },
    Signature {
        name: "dump",
        parameters: &["spaces"],
        required: 0,
        apply: dump,
    },
    Signature {
        name: "escape",
        parameters: &[],
        required: 0,
        apply: escape,
    },
    Signature {
        name: "float",
        parameters: &["default"],
        required: 0,
        apply: float,
    },
    Signature {
        name: "forceescape",
        parameters: &[],
        required: 0,
        apply: escape,
    },
    Signature {
        name: "indent",
        parameters: &["width", "first"],
        required: 0,
        apply: indent,
    },
    Signature {
        name: "int",
        parameters: &["default"],
        required: 0,
        apply: int,
    },
    Signature {
        name: "lower",
        parameters: &[],
        required: 0,
        apply: lower,
    },
    Signature {
        name: "nl2br",
        parameters: &[],
        required: 0,
        apply: |call| call.replaced("\n", "<br />\n", None),
    },
    Signature {
        name: "replace",
        parameters: &["old", "new", "count"],
        required: 2,
        apply: replace,
    },
    Signature {
        name: "round",
        parameters: &["precision", "method"],
        required: 0,
        apply: round,
    },
    Signature {
        name: "safe",
        parameters: &[],
        required: 0,
        apply: string,
    },
    Signature {
        name: "string",
        parameters: &[],
        required: 0,
        apply: string,
    },
    Signature {
        name: "striptags",
        parameters: &["preserve"],
        required: 0,
        apply: striptags,
    },
    Signature {
        name: "title",
        parameters: &[],
        required: 0,
        apply: title,
    },
    Signature {
        name: "tojson",
        parameters: &["indent"],
        required: 0,
        apply: dump,
    },
    Signature {
        name: "trim",
        parameters: &["chars"],
        required: 0,
        apply: trim,
    },
    Signature {
        name: "truncate",
        parameters: &["length", "killwords", "end"],
        required: 0,
        apply: truncate,
    },
    Signature {
        name: "upper",
        parameters: &[],
        required: 0,
        apply: upper,
    },
    Signature {
        name: "urlencode",
        parameters: &[],
        required: 0,
        apply: urlencode,
    },
    Signature {
        name: "wordcount",
        parameters: &[],
        required: 0,
        apply: wordcount,
    },
];

fn abs(call: &Call<'_>) -> Outcome<Value> {
    match call.input.as_i64() {
        Some(number) => number
            .checked_abs()
            .map(Value::from)
            .ok_or_else(|| Stop::fault("abs: the number is too large")),
        None => operators::number(call.input_number()?.abs()),
    }
}

fn capitalize(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_letters()?;
    call.give(capitalized(&text))
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        let mut word: String = first.to_uppercase().collect();
        word.push_str(&letters.as_str().to_lowercase());
        word
    })
}

fn center(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_letters()?;
    let width = call.count(0, "width", 80, MAX_VALUE)?;
    let room = width.saturating_sub(text.chars().count());
    call.meter.text(text.len() + room)?;
    let left = room / 2;
    call.give(format!("{}{text}{}", " ".repeat(left), " ".repeat(room - left)))
}

/// A value as JSON text, as Nunjucks' `dump` gives it.
fn dump(call: &Call<'_>) -> Outcome<Value> {
    call.meter.value(call.input)?;
    let spaces = call.count(0, call.name_of_spaces(), 0, 10)?;
    let fault = |_| Stop::fault("the value cannot be written as JSON");
    let text = if spaces == 0 {
        serde_json::to_string(call.input).map_err(fault)?
    } else {
        // Indentation adds at most this much to each line, and a line takes 16 bytes of the meter's count.
        call.meter.charge(super::term::size(call.input, MAX_VALUE) * spaces)?;
        let indent = " ".repeat(spaces);
        let mut bytes = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        serde::Serialize::serialize(call.input, &mut serializer).map_err(fault)?;
        String::from_utf8(bytes).map_err(|_| Stop::fault("the value cannot be written as JSON"))?
    };
    call.give(text)
}

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
            other => escaped.push(other),
        }
    }
    call.give(escaped)
}

fn float(call: &Call<'_>) -> Outcome<Value> {
    let found = match call.input {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok().filter(|number| number.is_finite()),
        _ => None,
    };
    match (found, call.argument(0, "default")) {
        (Some(number), _) => operators::number(number),
        (None, Some(otherwise)) => Ok(otherwise.clone()),
        (None, None) => Err(call.wrong_input("a number, or a string that holds one")),
    }
}

fn int(call: &Call<'_>) -> Outcome<Value> {
    if call.input.is_i64() {
        return Ok(call.input.clone());
    }
    match float(call)? {
        Value::Number(number) if number.is_f64() => operators::number(number.as_f64().unwrap_or_default().trunc()),
        other => Ok(other),
    }
}

fn indent(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_text()?;
    let width = call.count(0, "width", 4, 1024)?;
    let first = call.flag(1, "first");
    let lines = text.split('\n').count();
    call.meter.text(text.len() + lines.saturating_mul(width))?;
    let space = " ".repeat(width);
    let mut indented = String::with_capacity(text.len() + lines * width);
    for (place, line) in text.split('\n').enumerate() {
        if place > 0 {
            indented.push('\n');
        }
        if (place > 0 && !line.is_empty()) || (place == 0 && first) {
            indented.push_str(&space);
        }
        indented.push_str(line);
    }
    call.give(indented)
}

fn lower(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_letters()?;
    call.give(text.to_lowercase())
}

fn upper(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_letters()?;
    call.give(text.to_uppercase())
}

fn replace(call: &Call<'_>) -> Outcome<Value> {
    let count = call
        .argument(2, "count")
        .map(|_| call.count(2, "count", 0, MAX_VALUE))
        .transpose()?;
    call.replaced(call.text_needed(0, "old")?, call.text_needed(1, "new")?, count)
}

fn round(call: &Call<'_>) -> Outcome<Value> {
    let number = call.input_number()?;
    let precision = call.count(0, "precision", 0, 15)?;
    let factor = 10_f64.powi(i32::try_from(precision).unwrap_or_default());
    let scaled = number * factor;
    let rounded = match call.text_argument(1, "method")?.unwrap_or("common") {
        "common" => scaled.round(),
        "ceil" => scaled.ceil(),
        "floor" => scaled.floor(),
        other => {
            return Err(Stop::fault(format!(
                "round: method is {other}, expected common, ceil or floor"
            )));
        }
    };
    operators::number(rounded / factor)
}

fn string(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_text()?;
    call.give(text)
}

fn striptags(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_letters()?;
    let mut plain = String::with_capacity(text.len());
    let mut inside = false;
    for letter in text.chars() {
        match letter {
            '<' => inside = true,
            '>' if inside => inside = false,
            _ if inside => {}
            other => plain.push(other),
        }
    }
    call.give(plain.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn title(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_letters()?;
    call.give(text.split(' ').map(capitalized).collect::<Vec<_>>().join(" "))
}

fn trim(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_text()?;
    match call.text_argument(0, "chars")? {
        Some(letters) => {
            call.meter.charge(text.len().saturating_mul(letters.len().min(64)))?;
            call.give(text.trim_matches(|letter| letters.contains(letter)))
        }
        None => call.give(text.trim()),
    }
}

fn truncate(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_letters()?;
    let length = call.count(0, "length", 255, MAX_VALUE)?;
    let end = call.text_argument(2, "end")?.unwrap_or("...");
    if text.chars().count() <= length {
        return call.give(text);
    }
    let mut short: String = text.chars().take(length).collect();
    if !call.flag(1, "killwords")
        && let Some(space) = short.rfind(' ')
    {
        short.truncate(space);
    }
    call.meter.text(short.len() + end.len())?;
    call.give(short + end)
}

fn urlencode(call: &Call<'_>) -> Outcome<Value> {
    if let Value::Object(map) = call.input {
        call.meter.value(call.input)?;
        let mut pairs = Vec::with_capacity(map.len());
        for (name, value) in map {
            pairs.push(format!(
                "{}={}",
                percent_encoded(name),
                percent_encoded(&operators::text(value)?)
            ));
        }
        return call.give(pairs.join("&"));
    }
    let text = call.input_letters()?;
    call.give(percent_encoded(&text))
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

fn wordcount(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_letters()?;
    Ok(Value::from(text.split_whitespace().count()))
}

impl Call<'_> {
    fn name_of_spaces(&self) -> &'static str {
        if self.name == "tojson" { "indent" } else { "spaces" }
    }

    /// The input text with `old` replaced by `new`, at most `count` times. The length is known before anything is made.
    pub(super) fn replaced(&self, old: &str, new: &str, count: Option<usize>) -> Outcome<Value> {
        let text = self.input_text()?;
        if old.is_empty() {
            return Err(Stop::fault(format!(
                "{}: the text to be replaced is empty, expected at least one character",
                self.name
            )));
        }
        let most = count.unwrap_or(usize::MAX);
        let found = text.matches(old).take(most).count();
        let bytes = (text.len() - found * old.len()).saturating_add(found.saturating_mul(new.len()));
        self.meter.text(bytes)?;
        self.give(text.replacen(old, new, most))
    }
}
