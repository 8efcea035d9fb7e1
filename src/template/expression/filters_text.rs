//! Filters on texts and single values: Jinja's, and Nunjucks' where it has others
//! (`mozilla/nunjucks`, `nunjucks/src/filters.js`).

use serde_json::Value;

use super::call::{Call, Signature};
use super::operators;
use super::term::{MAX_VALUE, Outcome, Stop};

pub(super) const FILTERS: &[Signature] = &[
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
        name: "indent",
        parameters: &["width", "first"],
        required: 0,
        apply: indent,
    },
    Signature {
        name: "lower",
        parameters: &[],
        required: 0,
        apply: lower,
    },
    Signature {
        name: "replace",
        parameters: &["old", "new", "count"],
        required: 2,
        apply: replace,
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
        name: "wordcount",
        parameters: &[],
        required: 0,
        apply: wordcount,
    },
];

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

/// A value as JSON text, as JavaScript's `JSON.stringify` gives it.
fn dump(call: &Call<'_>) -> Outcome<Value> {
    call.meter.value(call.input)?;
    let fault = |_| Stop::fault("the value cannot be written as JSON");
    let indent = dump_indent(call)?;
    let value = without_fractions(call.input);
    let text = if indent.is_empty() {
        serde_json::to_string(&value).map_err(fault)?
    } else {
        // Indentation adds at most this much to each line, and a line takes 16 bytes of the meter's count.
        call.meter
            .charge(super::term::size(call.input, MAX_VALUE) * indent.len())?;
        let mut bytes = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        serde::Serialize::serialize(&value, &mut serializer).map_err(fault)?;
        String::from_utf8(bytes).map_err(|_| Stop::fault("the value cannot be written as JSON"))?
    };
    call.give(text)
}

/// What each level is indented by: so many spaces, or a text of at most ten characters.
fn dump_indent(call: &Call<'_>) -> Outcome<String> {
    let name = if call.name == "tojson" { "indent" } else { "spaces" };
    match call.argument(0, name) {
        Some(Value::String(text)) => Ok(text.chars().take(10).collect()),
        _ => Ok(" ".repeat(call.count(0, name, 0, 10)?)),
    }
}

/// The value with 2 in place of 2.0, which are one number in JavaScript.
fn without_fractions(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            operators::number(number.as_f64().unwrap_or_default()).unwrap_or_else(|_| value.clone())
        }
        Value::Array(items) => items.iter().map(without_fractions).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (name.clone(), without_fractions(value)))
            .collect(),
        other => other.clone(),
    }
}

fn indent(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_text()?;
    if text.is_empty() {
        return call.give("");
    }
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
        // Also a line with nothing on it: Jinja leaves it as it is, Nunjucks does not.
        if place > 0 || first {
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
    let word = |place: usize, name: &str| match call.argument(place, name) {
        Some(number @ Value::Number(_)) => operators::text(number),
        _ => call.text_needed(place, name).map(str::to_owned),
    };
    let (old, new) = (word(0, "old")?, word(1, "new")?);
    let count = match call.integer(2, "count")? {
        None | Some(-1) => None,
        Some(_) => Some(call.count(2, "count", 0, MAX_VALUE)?),
    };
    call.replaced(&old, &new, count)
}

fn string(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_text()?;
    call.give(text)
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
    let killing = call.flag(1, "killwords");
    // A space right behind the last character counts: the last word is whole then.
    let mut short: String = text.chars().take(length + usize::from(!killing)).collect();
    match short.rfind(' ').filter(|_| !killing) {
        Some(space) => short.truncate(space),
        None if !killing => drop(short.pop()),
        None => {}
    }
    call.meter.text(short.len() + end.len())?;
    call.give(short + end)
}

fn wordcount(call: &Call<'_>) -> Outcome<Value> {
    let text = call.input_letters()?;
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    Ok(Value::from(words.filter(|word| !word.is_empty()).count()))
}

impl Call<'_> {
    /// The input text with `old` replaced by `new`, at most `count` times; nothing stands between any two characters, and
    /// around them. The length is known before anything is made.
    pub(super) fn replaced(&self, old: &str, new: &str, count: Option<usize>) -> Outcome<Value> {
        let text = self.input_text()?;
        let most = count.unwrap_or(usize::MAX);
        let found = text.matches(old).take(most).count();
        let bytes = (text.len() - found * old.len()).saturating_add(found.saturating_mul(new.len()));
        self.meter.text(bytes)?;
        self.give(text.replacen(old, new, most))
    }
}
