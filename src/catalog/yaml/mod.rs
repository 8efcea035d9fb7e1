//! YAML as Backstage reads it and as every reader of ours must: a stream of documents with the place of every value,
//! where a broken document is a fault and the next one is read all the same.
//!
//! Plain scalars are YAML 1.2's core schema (`yes`, `0o17` apart from `012`, `1_000` and `12:30` are texts or decimal
//! numbers), as in Backstage, which reads with the npm package `yaml`. What is written is quoted so that readers of
//! YAML 1.1, kubectl among them, see the same values. What kubectl is to apply is read as kubectl reads it, see [`Reader`].

mod places;
mod read;
mod scalar;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod traps;
mod write;

use std::fmt;

use serde_json::{Map, Value};

pub use places::Places;
pub use read::{Documents, Limits, Reader, documents};
pub use write::write;

/// A place in a text: line and column, both from 1; columns are characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// What is wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What was found, what was expected, and what to do.
    pub message: String,
}

impl Fault {
    /// A fault at `place`.
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// The value.
    pub data: Data,
}

/// A value whose parts know their places.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Null, true, false, a number or a text.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the text, with the place of each key.
    Map(Vec<(String, Place, Node)>),
}

impl Node {
    /// `value`, all of whose parts stand at `place`, with its numbers as they are read from YAML.
    pub fn at(place: Place, value: Value) -> Self {
        let data = match value {
            Value::Array(items) => Data::List(items.into_iter().map(|item| Self::at(place, item)).collect()),
            Value::Object(fields) => Data::Map(
                fields
                    .into_iter()
                    .map(|(key, field)| (key, place, Self::at(place, field)))
                    .collect(),
            ),
            Value::Number(number) => Data::Scalar(
                number
                    .as_f64()
                    .filter(|_| !number.is_i64())
                    .and_then(scalar::number)
                    .unwrap_or(Value::Number(number)),
            ),
            scalar => Data::Scalar(scalar),
        };
        Self { place, data }
    }

    /// The value without places.
    pub fn value(&self) -> Value {
        match &self.data {
            Data::Scalar(value) => value.clone(),
            Data::List(items) => Value::Array(items.iter().map(Self::value).collect()),
            Data::Map(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(key, _, field)| (key.clone(), field.value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// How many lists and maps are nested in it, itself among them.
    fn levels(&self) -> usize {
        match &self.data {
            Data::Scalar(_) => 0,
            Data::List(items) => 1 + items.iter().map(Self::levels).max().unwrap_or_default(),
            Data::Map(fields) => {
                1 + fields
                    .iter()
                    .map(|(.., field)| field.levels())
                    .max()
                    .unwrap_or_default()
            }
        }
    }

    /// How many values it is made of, itself among them.
    fn size(&self) -> usize {
        1 + match &self.data {
            Data::Scalar(_) => 0,
            Data::List(items) => items.iter().map(Self::size).sum(),
            Data::Map(fields) => fields.iter().map(|(.., field)| field.size()).sum(),
        }
    }
}

/// A document of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it holds.
    pub root: Node,
    /// What was read otherwise than it is written.
    pub notes: Vec<Fault>,
}
