//! Validation errors in words: what was found, what was expected, by path.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use crate::template::expression::term::kind_of;
use crate::template::names::{hint, listed, push_index, push_name, shown};

/// What an error of given parameters says, by path.
pub(super) fn faults(error: &ValidationError<'_>, schema: &Value, instance: &Value) -> Vec<(String, String)> {
    worded(error, schema, instance, "parameters")
}

/// What an error of a schema against the rules of JSON Schema says, by path.
pub(super) fn faults_of_schema(error: &ValidationError<'_>, schema: &Value, path: &str) -> Vec<(String, String)> {
    worded(error, &Value::Null, schema, path)
}

/// What an error of a schema says of a value that is called `root`, by path.
pub(super) fn worded(
    error: &ValidationError<'_>,
    schema: &Value,
    instance: &Value,
    root: &str,
) -> Vec<(String, String)> {
    let path = path_of(root, error.instance_path().as_str(), instance);
    let below = |name: &str| {
        let mut path = path.clone();
        push_name(&mut path, name);
        path
    };
    let siblings = |keyword: &str| schema_at(schema, error.schema_path().as_str(), keyword);
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let expected = siblings("properties")
                .and_then(|properties| properties.get(name))
                .and_then(expected_of);
            let expected = expected.map_or_else(String::new, |expected| format!("; expected {expected}"));
            vec![(below(name), format!("missing{expected}"))]
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known: Vec<&str> = siblings("properties")
                .and_then(Value::as_object)
                .map(|map| map.keys().map(String::as_str).collect())
                .unwrap_or_default();
            let unknown = |name: &String| {
                let near = hint(name, known.iter().copied());
                let has = if near.is_empty() && !known.is_empty() {
                    format!("; expected one of {}", listed(known.iter().copied(), 10))
                } else {
                    near
                };
                (below(name), format!("unknown field{has}"))
            };
            unexpected.iter().map(unknown).collect()
        }
        _ => vec![(path, message(error))],
    }
}

/// The schema that holds the keyword at `pointer`, and in it `keyword`.
fn schema_at<'s>(schema: &'s Value, pointer: &str, keyword: &str) -> Option<&'s Value> {
    let (parent, _) = pointer.rsplit_once('/')?;
    schema.pointer(parent)?.get(keyword)
}

/// What a schema wants, in words.
fn expected_of(schema: &Value) -> Option<String> {
    if let Some(options) = schema.get("enum").and_then(Value::as_array) {
        return Some(format!("one of {}", options_of(options)));
    }
    match schema.get("type")? {
        Value::String(name) => Some(type_in_words(name).to_owned()),
        Value::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).map(type_in_words).collect();
            Some(names.join(" or "))
        }
        _ => None,
    }
}

fn options_of(options: &[Value]) -> String {
    let options: Vec<String> = options.iter().map(value_text).collect();
    listed(options.iter().map(String::as_str), 10)
}

fn type_in_words(name: &str) -> &str {
    match name {
        "null" => "null",
        "boolean" => "a boolean",
        "integer" => "an integer",
        "number" => "a number",
        "string" => "a string",
        "array" => "a list",
        "object" => "a map",
        other => other,
    }
}

/// A value as a message shows it.
fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text, 60),
        other => shown(&other.to_string(), 60),
    }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", shown(text, 60)),
        Value::Array(_) | Value::Object(_) => kind_of(value).to_owned(),
        other => other.to_string(),
    }
}

fn message(error: &ValidationError<'_>) -> String {
    use ValidationErrorKind as Kind;
    let found = error.instance().as_ref();
    let shown_value = quoted(found);
    match error.kind() {
        Kind::Type { kind } => match found {
            Value::Array(_) | Value::Object(_) | Value::Null => {
                format!("found {}, expected {}", kind_of(found), types(kind))
            }
            _ => format!("{shown_value} is {}, expected {}", kind_of(found), types(kind)),
        },
        Kind::Maximum { limit } => format!("{shown_value} is more than the maximum of {limit}"),
        Kind::Minimum { limit } => format!("{shown_value} is less than the minimum of {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("{shown_value} is not less than {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("{shown_value} is not more than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("{shown_value} is not a multiple of {multiple_of}"),
        Kind::MaxLength { limit } => format!(
            "{shown_value} has {} characters, more than the maximum of {limit}",
            length(found)
        ),
        Kind::MinLength { limit } => format!(
            "{shown_value} has {} characters, less than the minimum of {limit}",
            length(found)
        ),
        Kind::MaxItems { limit } => format!("the list has {} items, more than the maximum of {limit}", length(found)),
        Kind::MinItems { limit } => format!("the list has {} items, less than the minimum of {limit}", length(found)),
        Kind::MaxProperties { limit } => {
            format!("the map has {} fields, more than the maximum of {limit}", length(found))
        }
        Kind::MinProperties { limit } => {
            format!("the map has {} fields, less than the minimum of {limit}", length(found))
        }
        Kind::Pattern { pattern } => format!("{shown_value} does not match the pattern {}", shown(pattern, 120)),
        Kind::Format { format } if format == "regex" => format!(
            "{shown_value} is not a pattern that can be used: it is no regular expression, is too large, or needs look-around or back references, whose time is not bounded"
        ),
        Kind::Format { format } => format!("{shown_value} is not of the format {format}"),
        Kind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            let near = found
                .as_str()
                .map(|found| hint(found, options.iter().filter_map(Value::as_str)))
                .unwrap_or_default();
            format!(
                "{shown_value} is not allowed, expected one of {}{near}",
                options_of(options)
            )
        }
        Kind::Constant { expected_value } => {
            format!("{shown_value} is not allowed, expected {}", quoted(expected_value))
        }
        Kind::UniqueItems => "the list has an item twice".to_owned(),
        Kind::Contains => "the list holds no item of the form that it must hold".to_owned(),
        Kind::FalseSchema => "not allowed here".to_owned(),
        Kind::Not { .. } => format!("{shown_value} is of a form that is not allowed"),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            let forms: Vec<String> = context
                .iter()
                .filter_map(|errors| errors.first())
                .take(3)
                .map(|inner| alternative(inner, error))
                .collect();
            format!("fits none of the allowed forms: {}", forms.join("; or "))
        }
        Kind::OneOfMultipleValid { .. } => "fits more than one of the allowed forms, expected exactly one".to_owned(),
        Kind::PropertyNames { error } => format!("the key {}", message(error)),
        Kind::AdditionalItems { limit } => format!("the list has more than {limit} items"),
        _ => shown(&error.to_string(), 200),
    }
}

/// What one of several forms wanted, where `whole` is the error of all of them.
fn alternative(error: &ValidationError<'_>, whole: &ValidationError<'_>) -> String {
    let place = error.instance_path().as_str();
    let place = place.strip_prefix(whole.instance_path().as_str()).unwrap_or(place);
    let place = place.trim_start_matches('/').replace('/', ".");
    let text = match error.kind() {
        ValidationErrorKind::Required { property } => format!("{} is missing", value_text(property)),
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            "fits none of its forms".to_owned()
        }
        _ => message(error),
    };
    if place.is_empty() {
        text
    } else {
        format!("{}: {text}", shown(&place, 60))
    }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(name) => type_in_words(name.as_str()).to_owned(),
        TypeKind::Multiple(names) => {
            let names: Vec<String> = names
                .into_iter()
                .map(|name| type_in_words(name.as_str()).to_owned())
                .collect();
            names.join(" or ")
        }
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    }
}

/// A JSON pointer as a path in words; what it points into tells lists from maps.
fn path_of(root: &str, pointer: &str, instance: &Value) -> String {
    let mut path = root.to_owned();
    let mut value = Some(instance);
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        match (value, name.parse::<usize>()) {
            (Some(Value::Array(items)), Ok(index)) => {
                push_index(&mut path, index);
                value = items.get(index);
            }
            (found, _) => {
                push_name(&mut path, &name);
                value = found.and_then(|found| found.get(&name));
            }
        }
    }
    path
}
