//! Filters on lists.

use serde_json::{Value, json};

use super::call::{self, Call, Signature};
use super::checks;
use super::operators;
use super::term::{MAX_VALUE, Outcome, Stop, kind_of, truthy};

/// The most numbers that `range` gives.
const MAX_RANGE: u128 = 10_000;

pub(super) const FILTERS: &[Signature] = &[
    Signature {
        name: "batch",
        parameters: &["size", "fill"],
        required: 1,
        apply: batch,
    },
    Signature {
        name: "first",
        parameters: &[],
        required: 0,
        apply: |call| end(call, true),
    },
    Signature {
        name: "join",
        parameters: &["separator", "attribute"],
        required: 0,
        apply: join,
    },
    Signature {
        name: "last",
        parameters: &[],
        required: 0,
        apply: |call| end(call, false),
    },
    Signature {
        name: "length",
        parameters: &[],
        required: 0,
        apply: length,
    },
    Signature {
        name: "list",
        parameters: &[],
        required: 0,
        apply: list,
    },
    Signature {
        name: "map",
        parameters: &["filter", "argument", "attribute"],
        required: 1,
        apply: map,
    },
    Signature {
        name: "max",
        parameters: &[],
        required: 0,
        apply: |call| extreme(call, std::cmp::Ordering::Greater),
    },
    Signature {
        name: "min",
        parameters: &[],
        required: 0,
        apply: |call| extreme(call, std::cmp::Ordering::Less),
    },
    Signature {
        name: "reject",
        parameters: &["test", "argument"],
        required: 0,
        apply: |call| chosen(call, false, false),
    },
    Signature {
        name: "rejectattr",
        parameters: &["attribute", "test", "argument"],
        required: 1,
        apply: |call| chosen(call, true, false),
    },
    Signature {
        name: "reverse",
        parameters: &[],
        required: 0,
        apply: reverse,
    },
    Signature {
        name: "select",
        parameters: &["test", "argument"],
        required: 0,
        apply: |call| chosen(call, false, true),
    },
    Signature {
        name: "selectattr",
        parameters: &["attribute", "test", "argument"],
        required: 1,
        apply: |call| chosen(call, true, true),
    },
    Signature {
        name: "slice",
        parameters: &["slices", "fill"],
        required: 1,
        apply: slice,
    },
    Signature {
        name: "sort",
        parameters: &["reverse", "case_sensitive", "attribute"],
        required: 0,
        apply: sort,
    },
    Signature {
        name: "sum",
        parameters: &["attribute", "start"],
        required: 0,
        apply: sum,
    },
    Signature {
        name: "unique",
        parameters: &[],
        required: 0,
        apply: unique,
    },
];

/// `range(stop)`, `range(start, stop)`, `range(start, stop, step)`.
pub(super) fn range(call: &Call<'_>) -> Outcome<Value> {
    let first = call.integer(0, "start")?.unwrap_or(0);
    let (from, to) = match call.integer(1, "stop")? {
        Some(end) => (first, end),
        None => (0, first),
    };
    let step = call.integer(2, "step")?.unwrap_or(1);
    if step == 0 {
        return Err(Stop::fault("range: step is 0, expected another whole number"));
    }
    let distance = i128::from(to) - i128::from(from);
    let count = if (distance > 0) == (step > 0) {
        distance.unsigned_abs().div_ceil(i128::from(step).unsigned_abs())
    } else {
        0
    };
    if count > MAX_RANGE {
        return Err(Stop::fault(format!(
            "range: {count} numbers are more than the {MAX_RANGE} that one may have"
        )));
    }
    let count = usize::try_from(count).unwrap_or_default();
    call.meter.nodes(count)?;
    Ok(Value::Array(
        std::iter::successors(Some(from), |place| place.checked_add(step))
            .take(count)
            .map(Value::from)
            .collect(),
    ))
}

fn batch(call: &Call<'_>) -> Outcome<Value> {
    let list = call.input_list()?;
    let size = call.count(0, "size", 1, 10_000)?.max(1);
    let mut rows: Vec<Vec<Value>> = list.chunks(size).map(<[Value]>::to_vec).collect();
    if let (Some(fill), Some(row)) = (call.argument(1, "fill").filter(|fill| truthy(fill)), rows.last_mut()) {
        fill_up(call, row, size, fill)?;
    }
    Ok(Value::from(rows))
}

fn slice(call: &Call<'_>) -> Outcome<Value> {
    let list = call.input_list()?;
    let slices = call.count(0, "slices", 1, 1_000)?.max(1);
    let (each, more) = (list.len() / slices, list.len() % slices);
    let mut rest = list.iter();
    let mut columns = Vec::with_capacity(slices);
    for place in 0..slices {
        let wanted = each + usize::from(place < more);
        let mut column: Vec<Value> = rest.by_ref().take(wanted).cloned().collect();
        // Those that got none of what is left over get the fill, also where nothing is left over: Nunjucks and Jinja agree.
        if let Some(fill) = call.argument(1, "fill").filter(|fill| truthy(fill))
            && place >= more
        {
            fill_up(call, &mut column, each + 1, fill)?;
        }
        columns.push(column);
    }
    Ok(Value::from(columns))
}

fn fill_up(call: &Call<'_>, row: &mut Vec<Value>, size: usize, fill: &Value) -> Outcome<()> {
    let missing = size.saturating_sub(row.len());
    call.meter
        .charge(missing.saturating_mul(super::term::measure(fill, MAX_VALUE).work()))?;
    row.resize(size.max(row.len()), fill.clone());
    Ok(())
}

fn sort(call: &Call<'_>) -> Outcome<Value> {
    let attribute = call.text_argument(2, "attribute")?;
    let mut pairs = Vec::new();
    for item in call.input_list()? {
        let key = match attribute {
            Some(attribute) => attribute_of(item, attribute).cloned().unwrap_or_default(),
            None => item.clone(),
        };
        pairs.push((key, item.clone()));
    }
    let case = (!call.flag(1, "case_sensitive")).then_some(str::to_lowercase as fn(&str) -> String);
    sorted(call, pairs, case, call.flag(0, "reverse"))
}

/// Sorts by the first of each pair, of which texts are taken as `case` makes them, and gives the second. Equal
/// ones keep their order.
pub(super) fn sorted(
    call: &Call<'_>,
    pairs: Vec<(Value, Value)>,
    case: Option<fn(&str) -> String>,
    reverse: bool,
) -> Outcome<Value> {
    let mut pairs: Vec<(Value, Value)> = pairs
        .into_iter()
        .map(|(key, value)| match (key, case) {
            (Value::String(text), Some(case)) => (Value::String(case(&text)), value),
            (other, _) => (other, value),
        })
        .collect();
    let mut fault = None;
    pairs.sort_by(|(left, _), (right, _)| {
        if fault.is_some() {
            return std::cmp::Ordering::Equal;
        }
        let order = call
            .meter
            .charge(16)
            .and_then(|()| operators::order(call.meter, left, right));
        let order = order.unwrap_or_else(|stop| {
            fault = Some(stop);
            std::cmp::Ordering::Equal
        });
        if reverse { order.reverse() } else { order }
    });
    match fault {
        Some(stop) => Err(stop),
        None => Ok(Value::Array(pairs.into_iter().map(|(_, value)| value).collect())),
    }
}

fn end(call: &Call<'_>, first: bool) -> Outcome<Value> {
    let found = match call.input {
        Value::Array(items) => {
            let item = if first { items.first() } else { items.last() };
            item.cloned()
        }
        Value::String(text) => {
            let letter = if first {
                text.chars().next()
            } else {
                text.chars().next_back()
            };
            letter.map(|letter| Value::String(letter.to_string()))
        }
        _ => return Err(call.wrong_input("a list or a string")),
    };
    found.ok_or_else(|| Stop::fault(format!("{} was given an empty list or string", call.name)))
}

fn join(call: &Call<'_>) -> Outcome<Value> {
    let separator = call.text_argument(0, "separator")?.unwrap_or("");
    let attribute = call.text_argument(1, "attribute")?;
    let mut joined = String::new();
    for (place, item) in call.input_list()?.iter().enumerate() {
        let item = match attribute {
            Some(attribute) => attribute_of(item, attribute)
                .ok_or_else(|| Stop::fault(format!("join: an item has no field {attribute}")))?,
            None => item,
        };
        let part = operators::text(item)?;
        call.meter.charge(part.len() + separator.len())?;
        if place > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&part);
        if joined.len() > MAX_VALUE {
            call.meter.text(joined.len())?;
        }
    }
    call.give(joined)
}

fn length(call: &Call<'_>) -> Outcome<Value> {
    call.meter.charge(64)?;
    Ok(Value::from(match call.input {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        Value::String(text) => {
            call.meter.charge(text.len())?;
            text.chars().count()
        }
        _ => return Err(call.wrong_input("a list, a map or a string")),
    }))
}

/// A list as it is, a text as its letters, a map as its keys and values.
fn list(call: &Call<'_>) -> Outcome<Value> {
    match call.input {
        Value::Array(_) => call.input_list().map(|items| Value::Array(items.clone())),
        Value::String(text) => {
            // Each letter becomes a value of its own.
            call.meter.nodes(text.len())?;
            Ok(Value::Array(
                text.chars().map(|letter| json!(letter.to_string())).collect(),
            ))
        }
        Value::Object(map) => {
            call.meter.value(call.input)?;
            Ok(Value::Array(
                map.iter()
                    .map(|(key, value)| json!({"key": key, "value": value}))
                    .collect(),
            ))
        }
        _ => Err(call.wrong_input("a list, a map or a string")),
    }
}

/// `map('upper')`, `map(attribute='name')`.
fn map(call: &Call<'_>) -> Outcome<Value> {
    let attribute = call.text_argument(2, "attribute")?;
    let mut mapped = Vec::new();
    for item in call.input_list()? {
        mapped.push(if let Some(attribute) = attribute {
            let found = attribute_of(item, attribute).cloned();
            found.ok_or_else(|| Stop::fault(format!("map: an item has no field {attribute}")))?
        } else {
            let name = call.text_needed(0, "filter")?;
            if matches!(name, "map" | "select" | "reject") {
                return Err(Stop::fault(format!(
                    "map: the filter {name} cannot be applied to every item"
                )));
            }
            let positional = call.positional.iter().skip(1).cloned().collect();
            call::filter(&Call {
                meter: call.meter,
                name,
                input: item,
                positional,
                named: Vec::new(),
            })?
        });
        call.meter.charge(32)?;
        if let Some(last) = mapped.last() {
            call.meter.value(last)?;
        }
    }
    Ok(Value::Array(mapped))
}

fn chosen(call: &Call<'_>, by_attribute: bool, wanted: bool) -> Outcome<Value> {
    let shift = usize::from(by_attribute);
    let attribute = if by_attribute {
        Some(call.text_needed(0, "attribute")?)
    } else {
        None
    };
    let test = call.text_argument(shift, "test")?;
    let null = Value::Null;
    let mut kept = Vec::new();
    for item in call.input_list()? {
        call.meter.charge(32)?;
        let looked_at = attribute
            .map_or(Some(item), |attribute| attribute_of(item, attribute))
            .unwrap_or(&null);
        let holds = match test {
            None => truthy(looked_at),
            Some(name) => {
                let positional = call.positional.iter().skip(shift + 1).cloned().collect();
                checks::test(&Call {
                    meter: call.meter,
                    name,
                    input: looked_at,
                    positional,
                    named: Vec::new(),
                })?
            }
        };
        if holds == wanted {
            kept.push(item.clone());
        }
    }
    Ok(Value::Array(kept))
}

fn extreme(call: &Call<'_>, wanted: std::cmp::Ordering) -> Outcome<Value> {
    let mut best: Option<&Value> = None;
    for item in call.input_list()? {
        let better = match best {
            Some(best) => operators::order(call.meter, item, best)? == wanted,
            None => true,
        };
        if better {
            best = Some(item);
        }
    }
    best.cloned()
        .ok_or_else(|| Stop::fault(format!("{} was given an empty list", call.name)))
}

fn reverse(call: &Call<'_>) -> Outcome<Value> {
    match call.input {
        Value::String(text) => {
            call.meter.charge(text.len())?;
            call.give(text.chars().rev().collect::<String>())
        }
        _ => Ok(Value::Array(call.input_list()?.iter().rev().cloned().collect())),
    }
}

fn sum(call: &Call<'_>) -> Outcome<Value> {
    let attribute = call
        .text_argument(0, "attribute")?
        .filter(|attribute| !attribute.is_empty());
    let mut total = call.argument(1, "start").cloned().unwrap_or_else(|| json!(0));
    for item in call.input_list()? {
        let item = attribute
            .map_or(Some(item), |attribute| attribute_of(item, attribute))
            .unwrap_or(&Value::Null);
        if !item.is_number() {
            return Err(Stop::fault(format!("sum found {}, expected numbers", kind_of(item))));
        }
        total = operators::binary(call.meter, super::syntax::Operator::Add, &total, item)?;
    }
    Ok(total)
}

fn unique(call: &Call<'_>) -> Outcome<Value> {
    let mut seen = std::collections::BTreeSet::new();
    let mut kept = Vec::new();
    for item in call.input_list()? {
        if seen.insert(item.to_string()) {
            kept.push(item.clone());
        }
    }
    Ok(Value::Array(kept))
}

/// A field of an item, by its name or else by a path with dots.
pub(super) fn attribute_of<'v>(item: &'v Value, path: &str) -> Option<&'v Value> {
    if let Some(field) = item.as_object().and_then(|map| map.get(path)) {
        return Some(field);
    }
    path.split('.').try_fold(item, |value, name| match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    })
}
