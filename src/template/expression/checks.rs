//! Jinja's tests: what stands behind `is`.

use serde_json::Value;

use super::call::Call;
use super::operators;
use super::syntax::Comparison;
use super::term::{Outcome, Stop};
use crate::template::names::hint;

/// Every test's name, and how many arguments it takes.
const TESTS: [(&str, usize); 34] = [
    ("defined", 0),
    ("undefined", 0),
    ("none", 0),
    ("null", 0),
    ("boolean", 0),
    ("true", 0),
    ("false", 0),
    ("number", 0),
    ("integer", 0),
    ("float", 0),
    ("string", 0),
    ("list", 0),
    ("sequence", 0),
    ("mapping", 0),
    ("iterable", 0),
    ("empty", 0),
    ("even", 0),
    ("odd", 0),
    ("lower", 0),
    ("upper", 0),
    ("truthy", 0),
    ("falsy", 0),
    ("divisibleby", 1),
    ("equalto", 1),
    ("eq", 1),
    ("ne", 1),
    ("lt", 1),
    ("le", 1),
    ("gt", 1),
    ("ge", 1),
    ("greaterthan", 1),
    ("lessthan", 1),
    ("in", 1),
    ("sameas", 1),
];

/// The names of all tests.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TESTS.iter().map(|(name, _)| *name)
}

/// Checks that there is a test of this name with so many arguments.
pub(crate) fn known(name: &str, arguments: usize) -> Outcome<()> {
    let Some((_, expected)) = TESTS.iter().find(|(known, _)| *known == name) else {
        return Err(Stop::fault(format!(
            "there is no test {name}{}",
            hint(name, TESTS.iter().map(|(known, _)| *known))
        )));
    };
    if *expected == arguments {
        Ok(())
    } else {
        Err(Stop::fault(format!(
            "the test {name} has {arguments} arguments, expected {expected}"
        )))
    }
}

/// Whether the input passes the test.
pub(crate) fn test(call: &Call<'_>) -> Outcome<bool> {
    known(call.name, call.positional.len() + call.named.len())?;
    let input = call.input;
    let compare = |comparison| {
        let other = call.positional.first().map_or(&Value::Null, AsRef::as_ref);
        operators::compare(call.meter, comparison, input, other)
    };
    Ok(match call.name {
        "defined" => !input.is_null(),
        "undefined" | "none" | "null" => input.is_null(),
        "boolean" => input.is_boolean(),
        "true" => *input == Value::Bool(true),
        "false" => *input == Value::Bool(false),
        "number" => input.is_number(),
        "integer" => input.is_i64() || input.is_u64(),
        "float" => input.is_f64(),
        "string" => input.is_string(),
        "list" | "sequence" => input.is_array(),
        "mapping" => input.is_object(),
        "iterable" => input.is_array() || input.is_object() || input.is_string(),
        "empty" => match input {
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::String(text) => text.is_empty(),
            other => other.is_null(),
        },
        "even" => integer(call)? % 2 == 0,
        "odd" => integer(call)? % 2 != 0,
        "lower" => call.input_text()?.chars().all(|letter| !letter.is_uppercase()),
        "upper" => call.input_text()?.chars().all(|letter| !letter.is_lowercase()),
        "truthy" => super::term::truthy(input),
        "falsy" => !super::term::truthy(input),
        "divisibleby" => match call.integer(0, "number")? {
            Some(0) | None => return Err(Stop::fault("divisibleby needs a whole number other than 0")),
            Some(number) => integer(call)?.checked_rem(number) == Some(0),
        },
        "equalto" | "eq" | "sameas" => compare(Comparison::Equal)?,
        "ne" => compare(Comparison::NotEqual)?,
        "lt" | "lessthan" => compare(Comparison::Less)?,
        "le" => compare(Comparison::LessOrEqual)?,
        "gt" | "greaterthan" => compare(Comparison::Greater)?,
        "ge" => compare(Comparison::GreaterOrEqual)?,
        "in" => compare(Comparison::In)?,
        other => return Err(Stop::fault(format!("there is no test {other}"))),
    })
}

fn integer(call: &Call<'_>) -> Outcome<i64> {
    call.input.as_i64().ok_or_else(|| call.wrong_input("a whole number"))
}
