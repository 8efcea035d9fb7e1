//! Methods on texts, lists and numbers: JavaScript's, since Backstage's templates are evaluated by it, and the
//! few of Python that Jinja's authors write.

use serde_json::{Value, json};

use super::call::{Call, Signature};
use super::operators;
use super::term::{MAX_VALUE, Outcome, Stop};

macro_rules! method {
    ($name:literal, [$($parameter:literal),*], $required:literal, $apply:expr) => {
        Signature { name: $name, parameters: &[$($parameter),*], required: $required, apply: $apply }
    };
}

pub(super) const METHODS: &[Signature] = &[
    method!("at", ["index"], 1, at),
    method!("capitalize", [], 0, super::call::filter),
    method!("charAt", ["index"], 1, at),
    method!("concat", ["other"], 1, |call| operators::binary(
        call.meter,
        super::syntax::Operator::Add,
        call.input,
        call.argument(0, "other").unwrap_or(&Value::Null)
    )),
    method!("endsWith", ["end"], 1, ends_with),
    method!("endswith", ["end"], 1, ends_with),
    method!("includes", ["part"], 1, includes),
    method!("indexOf", ["part"], 1, |call| index_of(call, false)),
    method!("items", [], 0, super::call::filter),
    method!("join", ["separator"], 0, join),
    method!("keys", [], 0, super::call::filter),
    method!("lastIndexOf", ["part"], 1, |call| index_of(call, true)),
    method!("lower", [], 0, super::call::filter),
    method!("padEnd", ["length", "with"], 1, |call| pad(call, false)),
    method!("padStart", ["length", "with"], 1, |call| pad(call, true)),
    method!("repeat", ["times"], 1, repeat),
    method!("replace", ["old", "new"], 2, |call| call.replaced(
        call.text_needed(0, "old")?,
        call.text_needed(1, "new")?,
        Some(1)
    )),
    method!("replaceAll", ["old", "new"], 2, |call| call.replaced(
        call.text_needed(0, "old")?,
        call.text_needed(1, "new")?,
        None
    )),
    method!("reverse", [], 0, super::call::filter),
    method!("slice", ["start", "end"], 0, slice),
    method!("split", ["separator", "limit"], 0, split),
    method!("startsWith", ["start"], 1, starts_with),
    method!("startswith", ["start"], 1, starts_with),
    method!("strip", [], 0, trim),
    method!("substr", ["start", "length"], 1, substr),
    method!("substring", ["start", "end"], 1, substring),
    method!("title", [], 0, super::call::filter),
    method!("toFixed", ["digits"], 0, to_fixed),
    method!("toLowerCase", [], 0, |call| call
        .give(call.input_text()?.to_lowercase())),
    method!("toString", [], 0, |call| call.give(call.input_text()?)),
    method!("toUpperCase", [], 0, |call| call
        .give(call.input_text()?.to_uppercase())),
    method!("trim", [], 0, trim),
    method!("trimEnd", [], 0, |call| call.give(call.input_text()?.trim_end())),
    method!("trimStart", [], 0, |call| call.give(call.input_text()?.trim_start())),
    method!("upper", [], 0, super::call::filter),
    method!("values", [], 0, super::call::filter),
];

fn string<'c>(call: &'c Call<'_>) -> Outcome<&'c str> {
    let Value::String(text) = call.input else {
        return Err(call.wrong_input("a string"));
    };
    call.meter.charge(text.len())?;
    Ok(text)
}

fn at(call: &Call<'_>) -> Outcome<Value> {
    let index = call.integer(0, "index")?.unwrap_or_default();
    let stop = if index == -1 {
        None
    } else {
        Some(index.saturating_add(1))
    };
    match operators::slice(call.meter, call.input, Some(index), stop, 1)? {
        Value::Array(items) => items
            .into_iter()
            .next()
            .ok_or_else(|| Stop::fault(format!("the list has no item {index}"))),
        text => Ok(text),
    }
}

fn trim(call: &Call<'_>) -> Outcome<Value> {
    call.give(call.input_text()?.trim())
}

fn starts_with(call: &Call<'_>) -> Outcome<Value> {
    Ok(json!(string(call)?.starts_with(call.text_needed(0, "start")?)))
}

fn ends_with(call: &Call<'_>) -> Outcome<Value> {
    Ok(json!(string(call)?.ends_with(call.text_needed(0, "end")?)))
}

fn includes(call: &Call<'_>) -> Outcome<Value> {
    let part = call.argument(0, "part").unwrap_or(&Value::Null);
    operators::contains(call.meter, call.input, part).map(Value::Bool)
}

/// The place of the first or last part, or -1, counted in characters.
fn index_of(call: &Call<'_>, last: bool) -> Outcome<Value> {
    if let Value::Array(items) = call.input {
        let part = call.argument(0, "part").unwrap_or(&Value::Null);
        let mut found = None;
        for (place, item) in items.iter().enumerate() {
            if (last || found.is_none()) && operators::equal(call.meter, item, part)? {
                found = Some(place);
            }
        }
        return Ok(found.map_or(json!(-1), Value::from));
    }
    let (text, part) = (string(call)?, call.text_needed(0, "part")?);
    call.meter.charge(part.len())?;
    let found = if last { text.rfind(part) } else { text.find(part) };
    Ok(found
        .and_then(|place| text.get(..place))
        .map_or(json!(-1), |before| json!(before.chars().count())))
}

fn join(call: &Call<'_>) -> Outcome<Value> {
    let separator = call.text_argument(0, "separator")?.unwrap_or(",");
    let given = std::borrow::Cow::Owned(json!(separator));
    super::call::filter(&Call {
        meter: call.meter,
        name: "join",
        input: call.input,
        positional: vec![given],
        named: Vec::new(),
    })
}

fn pad(call: &Call<'_>, start: bool) -> Outcome<Value> {
    let text = string(call)?;
    let length = call.count(0, "length", 0, MAX_VALUE)?;
    let with = call.text_argument(1, "with")?.unwrap_or(" ");
    let room = length.saturating_sub(text.chars().count());
    call.meter.text(text.len() + room.saturating_mul(4))?;
    let padding: String = with
        .chars()
        .cycle()
        .take(if with.is_empty() { 0 } else { room })
        .collect();
    call.give(if start {
        format!("{padding}{text}")
    } else {
        format!("{text}{padding}")
    })
}

fn repeat(call: &Call<'_>) -> Outcome<Value> {
    let times = call.argument(0, "times").and_then(Value::as_f64).unwrap_or(-1.0);
    operators::repeat(call.meter, string(call)?, times)
}

fn slice(call: &Call<'_>) -> Outcome<Value> {
    operators::slice(
        call.meter,
        call.input,
        call.integer(0, "start")?,
        call.integer(1, "end")?,
        1,
    )
}

/// As `slice`, but what is below 0 counts as 0, and the bounds may stand in either order.
fn substring(call: &Call<'_>) -> Outcome<Value> {
    string(call)?;
    let start = call.integer(0, "start")?.unwrap_or_default().max(0);
    let end = call.integer(1, "end")?.unwrap_or(i64::MAX).max(0);
    operators::slice(call.meter, call.input, Some(start.min(end)), Some(start.max(end)), 1)
}

fn substr(call: &Call<'_>) -> Outcome<Value> {
    let length = i64::try_from(string(call)?.chars().count()).unwrap_or(i64::MAX);
    let start = call.integer(0, "start")?.unwrap_or_default();
    let start = if start < 0 {
        length.saturating_add(start).max(0)
    } else {
        start
    };
    let end = start.saturating_add(call.integer(1, "length")?.unwrap_or(i64::MAX).max(0));
    operators::slice(call.meter, call.input, Some(start), Some(end), 1)
}

fn split(call: &Call<'_>) -> Outcome<Value> {
    let text = string(call)?;
    let limit = call.count(1, "limit", usize::MAX, MAX_VALUE)?;
    let Some(separator) = call.text_argument(0, "separator")? else {
        return Ok(json!([text]));
    };
    // Each part becomes a value of its own.
    let parts = if separator.is_empty() {
        text.chars().count()
    } else {
        text.matches(separator).count() + 1
    };
    call.meter.nodes(parts.min(limit))?;
    let parts: Vec<Value> = if separator.is_empty() {
        text.chars()
            .take(limit)
            .map(|letter| json!(letter.to_string()))
            .collect()
    } else {
        text.split(separator).take(limit).map(|part| json!(part)).collect()
    };
    Ok(Value::Array(parts))
}

fn to_fixed(call: &Call<'_>) -> Outcome<Value> {
    let digits = call.count(0, "digits", 0, 20)?;
    call.give(format!("{:.digits$}", call.input_number()?))
}
