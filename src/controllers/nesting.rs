//! How deep a spec may be. Pure.

use serde_json::Value;

use super::trouble::Trouble;
use crate::api::reasons::Reason;
use crate::template::names::{below, push_index, shown};

/// The deepest nesting of lists and maps in a spec. Less than what clients cut off (`runtime/depth.rs`), wherever the
/// spec stands in what they read.
const MAX_DEPTH: usize = 64;

/// Checks that `spec` is not nested too deeply.
///
/// # Errors
/// The place from which on it is.
pub fn check(spec: &Value) -> Result<(), Trouble> {
    if !is_deeper(spec, MAX_DEPTH) {
        return Ok(());
    }
    let path = deepest(spec);
    Err(Trouble::invalid(
        Reason::InvalidSpec,
        format!(
            "{} and what is below is nested more than {MAX_DEPTH} deep, which is the most that a spec may be; make it flatter, or pass it as a text",
            shown(&path, 200)
        ),
    ))
}

fn is_deeper(value: &Value, room: usize) -> bool {
    let Some(room) = room.checked_sub(1) else {
        return matches!(value, Value::Object(_) | Value::Array(_));
    };
    match value {
        Value::Object(map) => map.values().any(|child| is_deeper(child, room)),
        Value::Array(items) => items.iter().any(|child| is_deeper(child, room)),
        _ => false,
    }
}

/// The path to the first place that is nested too deeply, as far as its first few steps.
fn deepest(spec: &Value) -> String {
    let (mut value, mut path) = (spec, String::from("spec"));
    for room in (MAX_DEPTH - 6..MAX_DEPTH).rev() {
        match value {
            Value::Object(map) => {
                let Some((name, child)) = map.iter().find(|(_, child)| is_deeper(child, room)) else {
                    break;
                };
                path = below(&path, name);
                value = child;
            }
            Value::Array(items) => {
                let Some((place, child)) = items.iter().enumerate().find(|(_, child)| is_deeper(child, room)) else {
                    break;
                };
                push_index(&mut path, place);
                value = child;
            }
            _ => break,
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |value, _| json!({"a": value}))
    }

    #[test]
    fn a_spec_that_is_too_deep_is_refused_with_the_place() {
        let spec = |depth| json!({"type": "service", "template": {"parameters": {"list": [nested(depth)]}}});
        assert_eq!(check(&spec(MAX_DEPTH - 4)), Ok(()));
        let message = check(&spec(MAX_DEPTH - 3)).unwrap_err().message;
        assert!(
            message.starts_with("spec.template.parameters.list[0].a.a and what is below is nested more"),
            "{message}"
        );
    }
}
