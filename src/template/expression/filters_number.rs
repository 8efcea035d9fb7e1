//! Filters that give numbers, as JavaScript reads and rounds them.

use serde_json::Value;

use super::call::{Call, Signature};
use super::operators;
use super::term::{Outcome, Stop};

pub(super) const FILTERS: &[Signature] = &[
    Signature {
        name: "abs",
        parameters: &[],
        required: 0,
        apply: abs,
    },
    Signature {
        name: "float",
        parameters: &["default"],
        required: 0,
        apply: float,
    },
    Signature {
        name: "int",
        parameters: &["default"],
        required: 0,
        apply: int,
    },
    Signature {
        name: "round",
        parameters: &["precision", "method"],
        required: 0,
        apply: round,
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

/// As JavaScript's `parseFloat`: what the text begins with.
fn float(call: &Call<'_>) -> Outcome<Value> {
    let found = match call.input {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => leading_number(text, true),
        _ => None,
    };
    number_or_default(call, found)
}

/// As JavaScript's `parseInt`: the digits that the text begins with.
fn int(call: &Call<'_>) -> Outcome<Value> {
    if call.input.is_i64() {
        return Ok(call.input.clone());
    }
    let found = match call.input {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => leading_number(text, false),
        _ => None,
    };
    number_or_default(call, found.map(f64::trunc))
}

fn number_or_default(call: &Call<'_>, found: Option<f64>) -> Outcome<Value> {
    match (found.filter(|number| number.is_finite()), call.argument(0, "default")) {
        (Some(number), _) => operators::number(number),
        (None, Some(otherwise)) => Ok(otherwise.clone()),
        (None, None) => Err(call.wrong_input("a number, or a string that begins with one")),
    }
}

/// The number that a text begins with, after white space: digits, and with `whole` a fraction and an exponent too.
fn leading_number(text: &str, whole: bool) -> Option<f64> {
    let text = text.trim_start();
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        from + rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len()
    };
    let sign = usize::from(text.starts_with(['+', '-']));
    let mut end = digits(sign);
    if whole {
        if text.get(end..).is_some_and(|rest| rest.starts_with('.')) {
            end = digits(end + 1);
        }
        if let Some(exponent) = text.get(end..).and_then(|rest| rest.strip_prefix(['e', 'E'])) {
            let from = end + 1 + usize::from(exponent.starts_with(['+', '-']));
            end = Some(digits(from)).filter(|to| *to > from).unwrap_or(end);
        }
    }
    text.get(..end)?.parse().ok()
}

fn round(call: &Call<'_>) -> Outcome<Value> {
    let number = call.input_number()?;
    let precision = call.integer(0, "precision")?.unwrap_or(0);
    if !(-15..=15).contains(&precision) {
        return Err(Stop::fault(format!(
            "round: precision is {precision}, expected a whole number from -15 to 15"
        )));
    }
    let factor = 10_f64.powi(i32::try_from(precision).unwrap_or_default());
    let scaled = number * factor;
    let rounded = match call.text_argument(1, "method")?.unwrap_or("common") {
        // As JavaScript's `Math.round`: a half goes up, below 0 too.
        "common" => scaled.floor() + f64::from(u8::from(scaled - scaled.floor() >= 0.5)),
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
