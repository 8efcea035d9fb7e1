//! Labels and annotations: those that Kubernetes takes, and the rest.

use serde_json::{Map, Value};

use super::split::{Problem, Split, below};
use super::{Remark, found, names, shown};

/// How many bytes the keys and values of an object's annotations may have together: 256 KiB (Kubernetes,
/// `TotalAnnotationSizeLimitB`).
const ANNOTATIONS: usize = 256 << 10;

/// Takes the labels of a descriptor apart.
pub fn labels(value: &Value, problems: &mut Vec<Problem>) -> Split {
    split(value, "labels", problems, |key, text| {
        if !names::is_label_key(key) {
            Some("its key is not [prefix/]name as Kubernetes has it".to_owned())
        } else if !names::is_label_value(text) {
            Some(format!(
                "its value {} is not one of Kubernetes' labels: at most 63 letters, digits, - _ or .",
                found(&Value::from(text))
            ))
        } else {
            None
        }
    })
}

/// Takes the annotations of a descriptor apart.
pub fn annotations(value: &Value, problems: &mut Vec<Problem>) -> Split {
    let mut room = ANNOTATIONS;
    split(value, "annotations", problems, |key, text| {
        if !names::is_annotation_key(key) {
            return Some("its key is not [prefix/]name as Kubernetes has it".to_owned());
        }
        match room.checked_sub(key.len() + text.len()) {
            Some(left) => {
                room = left;
                None
            }
            None => Some("with it, the annotations have more than the 256 KiB that Kubernetes takes".to_owned()),
        }
    })
}

fn split(
    value: &Value,
    field: &str,
    problems: &mut Vec<Problem>,
    mut misfit: impl FnMut(&str, &str) -> Option<String>,
) -> Split {
    let path = ["metadata".to_owned(), field.to_owned()];
    let Value::Object(entries) = value else {
        let message = format!("{} is {}, expected a map of texts", shown(&path), found(value));
        let remark = Remark {
            path: path.to_vec(),
            message,
        };
        problems.push(if value.is_null() {
            Problem::Beyond(remark)
        } else {
            Problem::Wrong(remark)
        });
        return Split {
            kept: None,
            rest: Some(value.clone()),
        };
    };
    let (mut kept, mut rest) = (Map::new(), Map::new());
    for (key, value) in entries {
        let path = below(&path, key);
        let at = shown(&path);
        let problem = match value {
            Value::String(text) => {
                misfit(key, text).map(|reason| (false, format!("{at} cannot be an object's: {reason}")))
            }
            Value::Null => Some((false, format!("{at} is empty, expected a text"))),
            other => Some((
                true,
                format!("{at} is {}, expected a text; write it in quotes", found(other)),
            )),
        };
        match problem {
            None => {
                kept.insert(key.clone(), value.clone());
            }
            Some((wrong, message)) => {
                let remark = Remark { path, message };
                problems.push(if wrong {
                    Problem::Wrong(remark)
                } else {
                    Problem::Beyond(remark)
                });
                rest.insert(key.clone(), value.clone());
            }
        }
    }
    Split {
        kept: (!kept.is_empty()).then_some(Value::Object(kept)),
        // A map with nothing in it is left over whole: an object has none such.
        rest: (!rest.is_empty() || entries.is_empty()).then_some(Value::Object(rest)),
    }
}
