//! What of a value fits a schema, and what is left over; and the two put together again.
//!
//! Of a map, the fields that fit stay and the others are left over; of a list, the items. What is left over of a list is a map
//! by position, so that putting together finds each place again. A value that stands where Backstage refuses it too is wrong;
//! one that is only more than a resource holds is kept aside, and both are said.

use serde_json::{Map, Value};

use super::{Remark, found, names, schema, shown};
use crate::api::rules::{self, RefField};
use crate::catalog::refs;

/// How a value does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Backstage refuses it too.
    Wrong(Remark),
    /// It is kept, but not where it has a meaning.
    Beyond(Remark),
    /// It stands for something that is elsewhere, which whoever looked for that has said.
    Elsewhere,
}

/// What fits and what is left over.
#[derive(Debug, Default, PartialEq)]
pub struct Split {
    /// What fits.
    pub kept: Option<Value>,
    /// What is left over.
    pub rest: Option<Value>,
}

/// Takes `value` apart by `schema`. What does not fit is said in `problems`, under `path`.
pub fn split(schema: &Value, value: &Value, path: &[String], problems: &mut Vec<Problem>) -> Split {
    let kept = || Split {
        kept: Some(value.clone()),
        rest: None,
    };
    if let Some(problem) = misfit(schema, value, path) {
        problems.push(problem);
        return Split {
            kept: None,
            rest: Some(value.clone()),
        };
    }
    match value {
        _ if schema::keeps_all(schema) => kept(),
        Value::Object(fields) => match schema.get("properties").and_then(Value::as_object) {
            Some(known) => split_map(schema, known, fields, path, problems),
            None => kept(),
        },
        Value::Array(items) => split_list(schema, items, path, problems),
        _ => kept(),
    }
}

/// What [`split`] took apart, put together.
pub fn join(kept: Option<Value>, rest: Option<Value>) -> Option<Value> {
    match (kept, rest) {
        (Some(Value::Object(mut kept)), Some(Value::Object(rest))) => {
            for (key, value) in rest {
                let joined = join(kept.remove(&key), Some(value));
                kept.extend(joined.map(|joined| (key, joined)));
            }
            Some(Value::Object(kept))
        }
        (Some(Value::Array(kept)), Some(Value::Object(mut rest))) => {
            let mut items = Vec::with_capacity(kept.len() + rest.len());
            let mut kept = kept.into_iter();
            loop {
                let aside = rest.remove(&items.len().to_string());
                let Some(item) = aside.or_else(|| kept.next()) else {
                    break;
                };
                items.push(item);
            }
            // Positions that are not there any more: somebody has shortened the list.
            items.extend(rest.into_iter().map(|(_, item)| item));
            Some(Value::Array(items))
        }
        (kept, rest) => rest.or(kept),
    }
}

fn split_map(
    schema: &Value,
    known: &Map<String, Value>,
    fields: &Map<String, Value>,
    path: &[String],
    problems: &mut Vec<Problem>,
) -> Split {
    let (mut kept, mut rest) = (Map::new(), Map::new());
    for (name, value) in fields {
        let path = below(path, name);
        let part = if let Some(schema) = known.get(name) {
            split(schema, value, &path, problems)
        } else {
            let message = format!("{} is not a field that a resource has", shown(&path));
            problems.push(Problem::Beyond(Remark { path, message }));
            Split {
                kept: None,
                rest: Some(value.clone()),
            }
        };
        kept.extend(part.kept.map(|value| (name.clone(), value)));
        rest.extend(part.rest.map(|value| (name.clone(), value)));
    }
    let required = schema.get("required").and_then(Value::as_array);
    let missing = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .find(|name| !kept.contains_key(*name));
    if let Some(name) = missing {
        if !fields.contains_key(name) {
            let message = format!("{} is missing", shown(&below(path, name)));
            problems.push(Problem::Wrong(Remark {
                path: path.to_owned(),
                message,
            }));
        }
        return Split {
            kept: None,
            rest: Some(Value::Object(fields.clone())),
        };
    }
    Split {
        kept: (!kept.is_empty() || rest.is_empty()).then_some(Value::Object(kept)),
        rest: (!rest.is_empty()).then_some(Value::Object(rest)),
    }
}

fn split_list(schema: &Value, items: &[Value], path: &[String], problems: &mut Vec<Problem>) -> Split {
    let Some(of_items) = schema.get("items") else {
        return Split {
            kept: Some(Value::Array(items.to_vec())),
            rest: None,
        };
    };
    let longest = schema.get("maxItems").and_then(Value::as_u64);
    let (mut kept, mut rest) = (Vec::<Value>::new(), Map::new());
    for (index, item) in items.iter().enumerate() {
        let path = below(path, &index.to_string());
        let mut whole = split(of_items, item, &path, problems);
        let reason = if whole.rest.is_none() && kept.iter().any(|known| is_same(schema, known, item)) {
            Some(format!("{} is there already", shown(&path)))
        } else if longest.is_some_and(|longest| kept.len() as u64 >= longest) {
            Some(format!("{} is more than a resource's list holds", shown(&path)))
        } else {
            None
        };
        if let Some(message) = reason {
            problems.push(Problem::Beyond(Remark { path, message }));
            whole.kept = None;
        }
        match whole.kept {
            Some(item) if whole.rest.is_none() => kept.push(item),
            _ => {
                rest.insert(index.to_string(), item.clone());
            }
        }
    }
    Split {
        kept: Some(Value::Array(kept)),
        rest: (!rest.is_empty()).then_some(Value::Object(rest)),
    }
}

/// Whether the apiserver takes two items of a list for one.
fn is_same(schema: &Value, one: &Value, other: &Value) -> bool {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => one == other,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            keys.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .all(|key| one.get(key) == other.get(key))
        }
        _ => false,
    }
}

pub(super) fn below(path: &[String], step: &str) -> Vec<String> {
    let mut path = path.to_owned();
    path.push(step.to_owned());
    path
}

/// Why `value` itself, whatever is in it, does not fit.
fn misfit(schema: &Value, value: &Value, path: &[String]) -> Option<Problem> {
    let name = || shown(path);
    let remark = |message: String| Remark {
        path: path.to_owned(),
        message,
    };
    let wrong = |message: String| Some(Problem::Wrong(remark(message)));
    let beyond = |message: String| Some(Problem::Beyond(remark(message)));
    if value.is_null() {
        return beyond(format!("{} is empty, which a resource does not keep", name()));
    }
    let expected = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    let fits = match expected {
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        _ => true,
    };
    if !fits {
        if super::placeholders::is_placeholder(value) {
            return Some(Problem::Elsewhere);
        }
        let expected = match expected {
            "string" => "a text; if it is a number, a date or a yes, write it in quotes",
            "array" => "a list",
            "object" => "a map",
            "boolean" => "true or false",
            _ => "a whole number",
        };
        return wrong(format!("{} is {}, expected {expected}", name(), found(value)));
    }
    match value {
        Value::String(text) => text_misfit(schema, text, path),
        Value::Object(fields) if at_most(schema, "maxProperties", fields.len()).is_some() => {
            beyond(format!("{} has more fields than a resource holds", name()))
        }
        _ => None,
    }
}

fn text_misfit(schema: &Value, text: &str, path: &[String]) -> Option<Problem> {
    let remark = |message: String| Remark {
        path: path.to_owned(),
        message,
    };
    if let Some(field) = schema::ref_field(schema) {
        let at = shown(path);
        return ref_misfit(text, field).map(|(backstage_too, message)| {
            let remark = remark(format!("{at}: {message}"));
            if backstage_too {
                Problem::Wrong(remark)
            } else {
                Problem::Beyond(remark)
            }
        });
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array)
        && !values.iter().any(|value| value == text)
    {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        let message = format!("{} is {text:?}, expected {}", shown(path), values.join(" or "));
        return Some(Problem::Wrong(remark(message)));
    }
    let rules = schema.get("x-kubernetes-validations");
    if rules == Some(&rules::tag()) && !is_tag(text) {
        let message = format!(
            "{} is {text:?}, which is not a tag; write lower-case letters, digits, : + or #, in runs joined by -, for example event-driven or c++",
            shown(path)
        );
        return Some(Problem::Wrong(remark(message)));
    }
    let length = text.chars().count();
    let message = if let Some(longest) = at_most(schema, "maxLength", length) {
        format!(
            "{} has {length} characters, more than the {longest} that a resource holds",
            shown(path)
        )
    } else if schema
        .get("minLength")
        .and_then(Value::as_u64)
        .is_some_and(|least| (length as u64) < least)
    {
        format!("{} is empty", shown(path))
    } else if rules == Some(&rules::url()) && !is_web_url(text) {
        format!(
            "{} is {text:?}, which is not an absolute http, https or mailto URL",
            shown(path)
        )
    } else if rules == Some(&rules::icon()) && !names::is_entity_name(text) {
        format!("{} is {text:?}, which is not the key of an icon", shown(path))
    } else {
        return None;
    };
    Some(Problem::Beyond(remark(message)))
}

fn at_most(schema: &Value, limit: &str, found: usize) -> Option<u64> {
    schema
        .get(limit)
        .and_then(Value::as_u64)
        .filter(|limit| found as u64 > *limit)
}

/// What is wrong with a ref, as the apiserver says it, and whether it is wrong in Backstage too: there, names in refs may have
/// any characters, and mean nothing that exists.
fn ref_misfit(text: &str, field: RefField) -> Option<(bool, String)> {
    let RefField { what, example, .. } = field;
    let form = if field.default_kind {
        "[kind:][namespace/]name"
    } else {
        "kind:[namespace/]name"
    };
    let advice = format!("write {form}, for example {example}");
    let default = field.kinds.first().copied().filter(|_| field.default_kind);
    let no_ref = || format!("{what} {} is not an entity ref; {advice}", found(&Value::from(text)));
    match refs::parse(text, default, "default") {
        Err(refs::RefError::KindMissing { .. }) => Some((
            true,
            format!("{what} {text} does not say its kind, which has no default here; {advice}"),
        )),
        Err(_) => Some((true, no_ref())),
        // Lower case makes some letters outside of ASCII ones of ASCII.
        Ok(parsed) if !text.is_ascii() || !is_well_formed(&parsed) => Some((false, no_ref())),
        Ok(parsed) if !field.kinds.is_empty() && !field.kinds.contains(&parsed.kind.as_str()) => Some((
            true,
            format!(
                "{what} {text} is of kind {}, expected {}; {advice}",
                parsed.kind,
                field.kinds.join(" or ")
            ),
        )),
        Ok(_) => None,
    }
}

fn is_well_formed(reference: &refs::EntityRef) -> bool {
    let kind = |text: &str| {
        text.len() <= names::LONGEST
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.chars().all(|letter| letter.is_ascii_alphanumeric())
    };
    kind(&reference.kind) && names::is_namespace(&reference.namespace) && names::is_entity_name(&reference.name)
}

fn is_tag(text: &str) -> bool {
    text.split('-').all(|run| {
        !run.is_empty()
            && run.chars().all(|letter| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, ':' | '+' | '#')
            })
    })
}

fn is_web_url(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    if text.contains(|letter: char| letter.is_ascii_whitespace()) {
        return false;
    }
    if let Some(address) = lower.strip_prefix("mailto:") {
        return address
            .split_once('@')
            .is_some_and(|(who, at)| !who.is_empty() && !at.is_empty());
    }
    lower
        .strip_prefix("https://")
        .or_else(|| lower.strip_prefix("http://"))
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']))
}
