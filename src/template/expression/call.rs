//! Calls of filters, functions and methods: who they are, what they take, and how they read it.

use std::borrow::Cow;

use serde_json::Value;

use super::operators::text;
use super::term::{Meter, Outcome, Stop, kind_of};
use super::{filters_catalog, filters_list, filters_map, filters_markup, filters_number, filters_text, methods};
use crate::template::names::hint;

/// One call.
pub(crate) struct Call<'c> {
    /// What it may cost.
    pub(crate) meter: &'c Meter,
    /// Who is called.
    pub(crate) name: &'c str,
    /// What stands before the `|` or the dot.
    pub(crate) input: &'c Value,
    /// The arguments by place.
    pub(crate) positional: Vec<Cow<'c, Value>>,
    /// The arguments by name.
    pub(crate) named: Vec<(&'c str, Cow<'c, Value>)>,
}

/// A filter, function or method.
pub(crate) struct Signature {
    /// Its name.
    pub(crate) name: &'static str,
    /// The names of its arguments, in their order.
    pub(crate) parameters: &'static [&'static str],
    /// How many of them must be given.
    pub(crate) required: usize,
    /// What it does.
    pub(crate) apply: fn(&Call<'_>) -> Outcome<Value>,
}

/// Filters that Nunjucks has and that are left out, and why.
const LEFT_OUT: [(&str, &str); 3] = [
    ("random", "it would give another value each time"),
    ("urlize", "it makes HTML"),
    ("format", "write the parts with ~ or as a text with ${{ }} in it"),
];

const FUNCTIONS: &[Signature] = &[Signature {
    name: "range",
    parameters: &["start", "stop", "step"],
    required: 1,
    apply: filters_list::range,
}];

/// The filter `default`, which alone sees what is not there.
const DEFAULT: Signature = Signature {
    name: "default",
    parameters: &["value", "boolean"],
    required: 0,
    apply: |call| Ok(call.input.clone()),
};

fn filters() -> impl Iterator<Item = &'static Signature> + Clone {
    filters_text::FILTERS
        .iter()
        .chain(filters_number::FILTERS)
        .chain(filters_markup::FILTERS)
        .chain(filters_list::FILTERS)
        .chain(filters_map::FILTERS)
        .chain(filters_catalog::FILTERS)
        .chain(std::slice::from_ref(&DEFAULT))
}

fn canonical(name: &str) -> &str {
    match name {
        "d" => "default",
        "e" => "escape",
        "count" => "length",
        other => other,
    }
}

fn named(signatures: impl Iterator<Item = &'static Signature>, name: &str) -> Option<&'static Signature> {
    let mut signatures = signatures;
    signatures.find(|signature| signature.name == name)
}

/// Applies a filter.
pub(crate) fn filter(call: &Call<'_>) -> Outcome<Value> {
    let signature = known_filter(call.name)?;
    (signature.apply)(call)
}

/// Calls a function.
pub(crate) fn function(call: &Call<'_>) -> Outcome<Value> {
    let signature = known_function(call.name)?;
    (signature.apply)(call)
}

/// Calls a method.
pub(crate) fn method(call: &Call<'_>) -> Outcome<Value> {
    let signature = known_method(call.name)?;
    (signature.apply)(call)
}

/// The filter of this name.
pub(crate) fn known_filter(name: &str) -> Outcome<&'static Signature> {
    if let Some(signature) = named(filters(), canonical(name)) {
        return Ok(signature);
    }
    if let Some((_, reason)) = LEFT_OUT.iter().find(|(left_out, _)| *left_out == name) {
        return Err(Stop::fault(format!("filter {name} is not supported: {reason}")));
    }
    Err(Stop::fault(format!(
        "there is no filter {name}{}",
        hint(name, filters().map(|filter| filter.name))
    )))
}

/// The function of this name.
pub(crate) fn known_function(name: &str) -> Outcome<&'static Signature> {
    named(FUNCTIONS.iter(), name).ok_or_else(|| {
        if known_filter(name).is_ok() {
            return Stop::fault(format!("{name} is a filter, not a function; write value | {name}"));
        }
        Stop::fault(format!(
            "there is no function {name}{}",
            hint(name, FUNCTIONS.iter().map(|function| function.name))
        ))
    })
}

/// The method of this name.
pub(crate) fn known_method(name: &str) -> Outcome<&'static Signature> {
    named(methods::METHODS.iter(), name).ok_or_else(|| {
        Stop::fault(format!(
            "there is no method {name}{}",
            hint(name, methods::METHODS.iter().map(|method| method.name))
        ))
    })
}

/// Checks how many arguments a call has, and their names.
pub(crate) fn check_arguments<'n>(
    signature: &Signature,
    positional: usize,
    named: impl Iterator<Item = &'n str>,
) -> Outcome<()> {
    let name = signature.name;
    let most = signature.parameters.len();
    if positional > most {
        return Err(Stop::fault(format!(
            "{name} has {positional} arguments, expected at most {most}"
        )));
    }
    let mut given = positional;
    for argument in named {
        if !signature.parameters.contains(&argument) {
            let known = signature.parameters.iter().copied();
            return Err(Stop::fault(format!(
                "{name} has no argument {argument}{}",
                hint(argument, known)
            )));
        }
        given += 1;
    }
    if given < signature.required {
        let required = signature
            .parameters
            .get(..signature.required)
            .unwrap_or_default()
            .join(", ");
        return Err(Stop::fault(format!(
            "{name} has {given} arguments, expected at least {}: {required}",
            signature.required
        )));
    }
    Ok(())
}

impl Call<'_> {
    /// The argument at `place`, or of that name.
    pub(crate) fn argument(&self, place: usize, name: &str) -> Option<&Value> {
        self.positional
            .get(place)
            .or_else(|| {
                self.named
                    .iter()
                    .find(|(given, _)| *given == name)
                    .map(|(_, value)| value)
            })
            .map(AsRef::as_ref)
            .filter(|value| !value.is_null())
    }

    /// A text argument.
    pub(crate) fn text_argument(&self, place: usize, name: &str) -> Outcome<Option<&str>> {
        match self.argument(place, name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, other, "a string")),
        }
    }

    /// A text argument that must be there.
    pub(crate) fn text_needed(&self, place: usize, name: &str) -> Outcome<&str> {
        self.text_argument(place, name)?
            .ok_or_else(|| Stop::fault(format!("{} needs the argument {name}, a string", self.name)))
    }

    /// A whole number argument.
    pub(crate) fn integer(&self, place: usize, name: &str) -> Outcome<Option<i64>> {
        match self.argument(place, name) {
            None => Ok(None),
            Some(value) => value
                .as_i64()
                .map(Some)
                .ok_or_else(|| self.wrong(name, value, "a whole number")),
        }
    }

    /// A whole number argument from 0, at most `most`.
    pub(crate) fn count(&self, place: usize, name: &str, otherwise: usize, most: usize) -> Outcome<usize> {
        let Some(found) = self.integer(place, name)? else {
            return Ok(otherwise);
        };
        usize::try_from(found)
            .ok()
            .filter(|count| *count <= most)
            .ok_or_else(|| {
                Stop::fault(format!(
                    "{}: {name} is {found}, expected a whole number from 0 to {most}",
                    self.name
                ))
            })
    }

    /// A yes-or-no argument.
    pub(crate) fn flag(&self, place: usize, name: &str) -> bool {
        self.argument(place, name).is_some_and(super::term::truthy)
    }

    /// The input as a text; numbers and booleans are written out. Its length is counted.
    pub(crate) fn input_text(&self) -> Outcome<Cow<'_, str>> {
        let found = match self.input {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            other => Cow::Owned(text(other).map_err(|_| self.wrong_input("a string"))?),
        };
        self.meter.charge(found.len())?;
        Ok(found)
    }

    /// The input as a text that is gone through letter by letter, which costs more.
    pub(crate) fn input_letters(&self) -> Outcome<Cow<'_, str>> {
        let text = self.input_text()?;
        self.meter.charge(text.len().saturating_mul(5))?;
        Ok(text)
    }

    /// The input as a list. Its size is counted.
    pub(crate) fn input_list(&self) -> Outcome<&Vec<Value>> {
        self.meter.value(self.input)?;
        self.input.as_array().ok_or_else(|| self.wrong_input("a list"))
    }

    /// The input as a number.
    pub(crate) fn input_number(&self) -> Outcome<f64> {
        self.input.as_f64().ok_or_else(|| self.wrong_input("a number"))
    }

    /// A text as the result, counted.
    pub(crate) fn give(&self, text: impl Into<String>) -> Outcome<Value> {
        let text = text.into();
        self.meter.text(text.len())?;
        Ok(Value::String(text))
    }

    /// The fault of an input of the wrong kind.
    pub(crate) fn wrong_input(&self, expected: &str) -> Stop {
        Stop::fault(format!(
            "{} was given {}, expected {expected}",
            self.name,
            kind_of(self.input)
        ))
    }

    fn wrong(&self, argument: &str, found: &Value, expected: &str) -> Stop {
        Stop::fault(format!(
            "{}: {argument} is {}, expected {expected}",
            self.name,
            kind_of(found)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::expression::checks;

    /// A name is documented where it stands alone between backticks.
    #[test]
    fn every_filter_function_method_and_test_is_documented() {
        let page = include_str!("../../../docs/expressions.md");
        let known = filters()
            .chain(FUNCTIONS)
            .chain(methods::METHODS)
            .map(|signature| signature.name)
            .chain(checks::names())
            .chain(LEFT_OUT.iter().map(|(name, _)| *name));
        let missing: Vec<&str> = known.filter(|name| !page.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "docs/expressions.md does not name {missing:?}");
    }
}
