//! What operators do: JavaScript's meaning where Backstage's templates rely on it, Jinja's otherwise, bounded always.

use serde_json::{Number, Value};

use super::syntax::{Comparison, Operator};
use super::term::{MAX_VALUE, Meter, Outcome, Stop, kind_of, measure};

/// A value as the text that stands for it inside a string.
///
/// # Errors
/// For null, lists and maps, which have no such text.
pub(crate) fn text(value: &Value) -> Outcome<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number_text(number)),
        Value::Null => Err(Stop::fault("found null, expected a text; give one with | default('…')")),
        Value::Array(_) => Err(Stop::fault(
            "found a list, expected a text; write | join(', ') or | dump",
        )),
        Value::Object(_) => Err(Stop::fault(
            "found a map, expected a text; name one of its fields or write | dump",
        )),
    }
}

/// A number as JavaScript writes it: without a fraction where there is none.
pub(crate) fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e21 => format!("{float:.0}"),
        _ => number.to_string(),
    }
}

/// A float as a JSON number: an integer where it has no fraction.
pub(crate) fn number(float: f64) -> Outcome<Value> {
    // 2^53: up to here a float holds every integer exactly.
    if float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 {
        #[allow(clippy::cast_possible_truncation)] // Just bounded, and without a fraction.
        return Ok(Value::from(float as i64));
    }
    Number::from_f64(float)
        .map(Value::Number)
        .ok_or_else(|| Stop::fault("the result is not a finite number"))
}

/// Applies an operator that needs both values.
pub(crate) fn binary(meter: &Meter, operator: Operator, left: &Value, right: &Value) -> Outcome<Value> {
    match operator {
        Operator::Add => add(meter, left, right),
        Operator::Concatenate => concatenate(meter, left, right),
        Operator::Multiply => multiply(meter, left, right),
        _ => arithmetic(operator, left, right),
    }
}

fn add(meter: &Meter, left: &Value, right: &Value) -> Outcome<Value> {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => arithmetic(Operator::Add, left, right),
        (Value::String(_), _) | (_, Value::String(_)) => concatenate(meter, left, right),
        (Value::Array(first), Value::Array(second)) => {
            meter.value(left)?;
            meter.value(right)?;
            Ok(Value::Array(first.iter().chain(second).cloned().collect()))
        }
        _ => Err(mismatch("+", left, right)),
    }
}

fn concatenate(meter: &Meter, left: &Value, right: &Value) -> Outcome<Value> {
    let (left, right) = (text(left)?, text(right)?);
    meter.text(left.len() + right.len())?;
    Ok(Value::String(left + &right))
}

fn multiply(meter: &Meter, left: &Value, right: &Value) -> Outcome<Value> {
    match (left, right) {
        (Value::String(text), Value::Number(times)) | (Value::Number(times), Value::String(text)) => {
            repeat(meter, text, times.as_f64().unwrap_or(-1.0))
        }
        _ => arithmetic(Operator::Multiply, left, right),
    }
}

/// A text, so many times.
pub(crate) fn repeat(meter: &Meter, text: &str, times: f64) -> Outcome<Value> {
    if !(0.0..=1e15).contains(&times) || times.fract() != 0.0 {
        return Err(Stop::fault(format!(
            "found {times} as the number of repetitions, expected a whole number from 0"
        )));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Just checked.
    let times = times as usize;
    let bytes = text.len().saturating_mul(times);
    meter.text(bytes)?;
    Ok(Value::String(text.repeat(if text.is_empty() { 0 } else { times })))
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::And => "and",
        Operator::Or => "or",
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::DivideWhole => "//",
        Operator::Remainder => "%",
        Operator::Power => "**",
        Operator::Concatenate => "~",
    }
}

fn mismatch(sign: &str, left: &Value, right: &Value) -> Stop {
    Stop::fault(format!(
        "{} {sign} {} is not possible, expected two numbers",
        kind_of(left),
        kind_of(right)
    ))
}

fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Outcome<Value> {
    if let (Some(first), Some(second)) = (left.as_i64(), right.as_i64()) {
        let exact = match operator {
            Operator::Add => first.checked_add(second),
            Operator::Subtract => first.checked_sub(second),
            Operator::Multiply => first.checked_mul(second),
            Operator::DivideWhole => first.checked_div_euclid(second),
            Operator::Remainder => first.checked_rem(second),
            Operator::Power => u32::try_from(second).ok().and_then(|power| first.checked_pow(power)),
            _ => None,
        };
        if let Some(exact) = exact {
            return Ok(Value::from(exact));
        }
    }
    let (Some(first), Some(second)) = (left.as_f64(), right.as_f64()) else {
        return Err(mismatch(sign(operator), left, right));
    };
    if second == 0.0 && matches!(operator, Operator::Divide | Operator::DivideWhole | Operator::Remainder) {
        return Err(Stop::fault("division by zero"));
    }
    number(match operator {
        Operator::Add => first + second,
        Operator::Subtract => first - second,
        Operator::Multiply => first * second,
        Operator::Divide => first / second,
        Operator::DivideWhole => (first / second).floor(),
        Operator::Remainder => first % second,
        Operator::Power => first.powf(second),
        Operator::And | Operator::Or | Operator::Concatenate => return Err(mismatch(sign(operator), left, right)),
    })
}

/// Compares two values.
pub(crate) fn compare(meter: &Meter, comparison: Comparison, left: &Value, right: &Value) -> Outcome<bool> {
    match comparison {
        Comparison::Equal => equal(meter, left, right),
        Comparison::NotEqual => equal(meter, left, right).map(|same| !same),
        Comparison::In => contains(meter, right, left),
        Comparison::NotIn => contains(meter, right, left).map(|inside| !inside),
        Comparison::Less => order(meter, left, right).map(std::cmp::Ordering::is_lt),
        Comparison::LessOrEqual => order(meter, left, right).map(std::cmp::Ordering::is_le),
        Comparison::Greater => order(meter, left, right).map(std::cmp::Ordering::is_gt),
        Comparison::GreaterOrEqual => order(meter, left, right).map(std::cmp::Ordering::is_ge),
    }
}

/// Whether two values are the same; 1 and 1.0 are.
pub(crate) fn equal(meter: &Meter, left: &Value, right: &Value) -> Outcome<bool> {
    // Only as much as the smaller one has is looked at.
    let smaller = measure(left, MAX_VALUE).work().min(measure(right, MAX_VALUE).work());
    meter.charge(smaller.saturating_mul(2))?;
    Ok(same(left, right))
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(first), Value::Number(second)) => first == second || first.as_f64() == second.as_f64(),
        (Value::Array(first), Value::Array(second)) => {
            first.len() == second.len() && first.iter().zip(second).all(|(left, right)| same(left, right))
        }
        (Value::Object(first), Value::Object(second)) => {
            first.len() == second.len()
                && first
                    .iter()
                    .zip(second)
                    .all(|((name, left), (other, right))| name == other && same(left, right))
        }
        _ => left == right,
    }
}

/// The order of two numbers or two texts.
pub(crate) fn order(meter: &Meter, left: &Value, right: &Value) -> Outcome<std::cmp::Ordering> {
    match (left, right) {
        (Value::Number(first), Value::Number(second)) => {
            if let (Some(first), Some(second)) = (first.as_i64(), second.as_i64()) {
                return Ok(first.cmp(&second));
            }
            first
                .as_f64()
                .zip(second.as_f64())
                .and_then(|(first, second)| first.partial_cmp(&second))
                .ok_or_else(|| Stop::fault("two numbers cannot be compared"))
        }
        (Value::String(first), Value::String(second)) => {
            meter.charge(first.len().min(second.len()))?;
            Ok(first.cmp(second))
        }
        (Value::Bool(first), Value::Bool(second)) => Ok(first.cmp(second)),
        _ => Err(Stop::fault(format!(
            "{} cannot be compared with {}, expected two numbers or two strings",
            kind_of(left),
            kind_of(right)
        ))),
    }
}

/// Whether `whole` holds `part`: a text a text, a list an item, a map a key.
pub(crate) fn contains(meter: &Meter, whole: &Value, part: &Value) -> Outcome<bool> {
    match whole {
        Value::String(text) => {
            let Value::String(part) = part else {
                return Err(Stop::fault(format!(
                    "a string cannot hold {}, expected a string",
                    kind_of(part)
                )));
            };
            meter.charge(text.len() + part.len())?;
            Ok(text.contains(part.as_str()))
        }
        Value::Array(items) => {
            for item in items {
                if equal(meter, item, part)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Object(map) => match part {
            Value::String(name) => Ok(map.contains_key(name)),
            Value::Number(number) => Ok(map.contains_key(&number_text(number))),
            _ => Ok(false),
        },
        other => Err(Stop::fault(format!(
            "{} holds nothing, expected a string, a list or a map",
            kind_of(other)
        ))),
    }
}

/// The part of a list or a text from `first` up to `last` in steps, as Jinja and Python cut it.
pub(crate) fn slice(meter: &Meter, input: &Value, first: Option<i64>, last: Option<i64>, step: i64) -> Outcome<Value> {
    if step == 0 {
        return Err(Stop::fault(
            "found 0 as the step of a slice, expected another whole number",
        ));
    }
    meter.value(input)?;
    match input {
        Value::String(text) => {
            let letters: Vec<char> = text.chars().collect();
            // A letter is copied, looked up and written.
            meter.charge(letters.len() * 12)?;
            let places = places(letters.len(), first, last, step);
            Ok(Value::String(places.filter_map(|place| letters.get(place)).collect()))
        }
        Value::Array(items) => {
            let places = places(items.len(), first, last, step);
            Ok(Value::Array(
                places.filter_map(|place| items.get(place).cloned()).collect(),
            ))
        }
        other => Err(Stop::fault(format!(
            "{} cannot be sliced, expected a list or a string",
            kind_of(other)
        ))),
    }
}

fn places(length: usize, first: Option<i64>, last: Option<i64>, step: i64) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let bound = |place: Option<i64>, without: i64| match place {
        None => without,
        Some(place) if place < 0 => place.saturating_add(length).clamp(lowest, highest),
        Some(place) => place.clamp(lowest, highest),
    };
    let begin = bound(first, if step > 0 { 0 } else { length - 1 });
    let end = bound(last, if step > 0 { length } else { -1 });
    std::iter::successors(Some(begin), move |place| place.checked_add(step))
        .take_while(move |place| if step > 0 { *place < end } else { *place > end })
        .filter_map(|place| usize::try_from(place).ok())
}
