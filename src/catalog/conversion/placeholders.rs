//! `$text`, `$json` and `$yaml`: a map with one of these keys and nothing else stands for what a file says
//! (Backstage, docs/features/software-catalog/descriptor-format.md).
//!
//! Which file that is, and whether it may be read, is for whoever reads files to decide.

use serde_json::Value;

use crate::catalog::yaml::{self, Data, Fault, Limits, Node, Place};

const KEYS: [&str; 3] = ["$text", "$json", "$yaml"];
/// As them, filled in by plugins of Backstage (`@backstage/plugin-catalog-backend-module-openapi`), which resolve refs between files.
const OF_PLUGINS: [&str; 2] = ["$openapi", "$asyncapi"];

/// Whether `value` stands for something that is elsewhere.
pub fn is_placeholder(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|fields| fields.len() == 1 && fields.iter().all(|(key, value)| is_key(key) && value.is_string()))
}

fn is_key(key: &str) -> bool {
    KEYS.contains(&key) || OF_PLUGINS.contains(&key)
}

/// What became of a file that a placeholder names.
pub enum Fetched {
    /// What it says.
    Text(String),
    /// It is not for us to read; the placeholder stays. Why.
    Left(String),
    /// It cannot be read, or must not be. Why.
    Refused(String),
}

/// What there is to say about a document's placeholders.
#[derive(Debug, Default)]
pub struct Report {
    /// Those that could not be filled in.
    pub faults: Vec<Fault>,
    /// Those that were left.
    pub notes: Vec<Fault>,
}

/// Fills in every placeholder of `node` with what `fetch` has for its target. What is filled in is not looked at again, as in
/// Backstage.
pub fn fill(node: &mut Node, fetch: &mut dyn FnMut(&str) -> Fetched, report: &mut Report) {
    match &mut node.data {
        Data::List(items) => items.iter_mut().for_each(|item| fill(item, fetch, report)),
        Data::Map(fields) => {
            let placeholder = match &fields[..] {
                [
                    (
                        key,
                        place,
                        Node {
                            data: Data::Scalar(Value::String(target)),
                            ..
                        },
                    ),
                ] if is_key(key) => Some((key.clone(), *place, target.clone())),
                _ => None,
            };
            let Some((key, place, target)) = placeholder else {
                for (.., field) in fields {
                    fill(field, fetch, report);
                }
                return;
            };
            if OF_PLUGINS.contains(&key.as_str()) {
                let message = format!("{key}: {target} is for a plugin of Backstage to fill in, and is kept as it is");
                report.notes.push(Fault::new(place, message));
                return;
            }
            match fetch(&target) {
                Fetched::Text(text) => match parsed(&key, text, place) {
                    Ok(data) => node.data = data,
                    Err(reason) => report
                        .faults
                        .push(Fault::new(place, format!("{key}: {target}: {reason}"))),
                },
                Fetched::Left(reason) => report
                    .notes
                    .push(Fault::new(place, format!("{key}: {target} {reason}"))),
                Fetched::Refused(reason) => report
                    .faults
                    .push(Fault::new(place, format!("{key}: {target} {reason}"))),
            }
        }
        Data::Scalar(_) => {}
    }
}

fn parsed(key: &str, text: String, place: Place) -> Result<Data, String> {
    match key {
        "$json" => {
            let value = serde_json::from_str(&text).map_err(|error| format!("not JSON: {error}"))?;
            Ok(Node::at(place, value).data)
        }
        "$yaml" => {
            let limits = Limits {
                merge: true,
                ..Limits::default()
            };
            let mut documents = yaml::documents(&text, limits);
            let first = documents
                .next()
                .unwrap_or_else(|| Err(Fault::new(Place::default(), "there is no document in it")))
                .map_err(|fault| fault.to_string())?;
            if documents.next().is_some() {
                return Err("there is more than one document in it".to_owned());
            }
            // Places of another file would mislead.
            Ok(Node::at(place, first.root.value()).data)
        }
        _ => Ok(Data::Scalar(Value::String(text))),
    }
}
