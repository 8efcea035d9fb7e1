//! Values with expressions in their strings, parsed once and rendered often.
//!
//! Substitution happens here, in the parsed tree: what an expression yields is put in its place as data and is
//! never read as YAML or as another expression.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::expression::evaluate::Evaluator;
use super::expression::syntax::Expression;
use super::expression::term::{MAX_VALUE, Outcome, Stop, size, truthy};
use super::expression::text::Text;
use super::names::{below, push_index};

/// The deepest nesting of maps and lists in a template.
const MAX_DEPTH: usize = 64;
/// The most bytes of a map's key, as it is written.
const MAX_KEY: usize = 4096;
/// The most bytes of everything that one plan renders to (design §2).
pub(crate) const MAX_PLAN: usize = 4 * 1024 * 1024;

/// A value, with expressions in its strings.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// No expression in it.
    Literal(Value),
    /// A string with expressions.
    Text(Text),
    /// A list.
    List(Vec<Node>),
    /// A map, whose keys may hold expressions too.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    /// As it stands.
    Literal(String),
    /// With expressions, and as it is written.
    Text(Text, String),
}

/// Something that stopped, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At<T> {
    /// The path below the value that was looked at.
    pub(crate) path: String,
    /// What it is.
    pub(crate) what: T,
}

impl Node {
    /// Parses every string in `value`. What cannot be read is added to `faults` with its path and stays out.
    pub(crate) fn parse(value: &Value, path: &str, faults: &mut Vec<At<String>>) -> Self {
        Self::parse_at(value, path, 0, faults)
    }

    fn parse_at(value: &Value, path: &str, depth: usize, faults: &mut Vec<At<String>>) -> Self {
        let mut fault = |what: String| {
            faults.push(At {
                path: path.to_owned(),
                what,
            });
        };
        if depth > MAX_DEPTH {
            fault(format!("nested more than {MAX_DEPTH} deep"));
            return Self::Literal(Value::Null);
        }
        match value {
            Value::String(text) if text.len() > MAX_VALUE => {
                fault(format!(
                    "a text of {} bytes is more than the 256 KiB that one may have",
                    text.len()
                ));
                Self::Literal(Value::Null)
            }
            Value::String(text) => match Text::parse(text) {
                Ok(Ok(text)) => Self::Text(text),
                Ok(Err(plain)) => Self::Literal(Value::String(plain)),
                Err(Stop::Fault(message) | Stop::Waiting(message)) => {
                    fault(message);
                    Self::Literal(Value::Null)
                }
            },
            Value::Array(items) => {
                let mut nodes = Vec::with_capacity(items.len());
                for (place, item) in items.iter().enumerate() {
                    let mut path = path.to_owned();
                    push_index(&mut path, place);
                    nodes.push(Self::parse_at(item, &path, depth + 1, faults));
                }
                Self::List(nodes).folded()
            }
            Value::Object(map) => {
                let mut nodes = Vec::with_capacity(map.len());
                for (name, item) in map {
                    let path = below(path, name);
                    let key = parse_key(name, &path, faults);
                    nodes.push((key, Self::parse_at(item, &path, depth + 1, faults)));
                }
                Self::Map(nodes).folded()
            }
            other => Self::Literal(other.clone()),
        }
    }

    /// A list or map whose parts are all literal, as one literal.
    fn folded(self) -> Self {
        match self {
            Self::List(nodes) if nodes.iter().all(|node| matches!(node, Self::Literal(_))) => {
                Self::Literal(Value::Array(
                    nodes
                        .into_iter()
                        .filter_map(|node| match node {
                            Self::Literal(value) => Some(value),
                            _ => None,
                        })
                        .collect(),
                ))
            }
            Self::Map(nodes)
                if nodes
                    .iter()
                    .all(|entry| matches!(entry, (Key::Literal(_), Self::Literal(_)))) =>
            {
                Self::Literal(Value::Object(
                    nodes
                        .into_iter()
                        .filter_map(|entry| match entry {
                            (Key::Literal(name), Self::Literal(value)) => Some((name, value)),
                            _ => None,
                        })
                        .collect(),
                ))
            }
            other => other,
        }
    }

    /// Visits every expression with the path of the string that holds it.
    pub(crate) fn visit<'n>(&'n self, path: &str, visitor: &mut dyn FnMut(&str, &'n Expression)) {
        self.visit_texts(path, &mut |path, text| {
            text.expressions().for_each(|expression| visitor(path, expression));
        });
    }

    /// Visits every string with expressions, keys of maps among them, with its path.
    pub(crate) fn visit_texts<'n>(&'n self, path: &str, visitor: &mut dyn FnMut(&str, &'n Text)) {
        match self {
            Self::Literal(_) => {}
            Self::Text(text) => visitor(path, text),
            Self::List(nodes) => {
                for (place, node) in nodes.iter().enumerate() {
                    let mut path = path.to_owned();
                    push_index(&mut path, place);
                    node.visit_texts(&path, visitor);
                }
            }
            Self::Map(entries) => {
                for (key, node) in entries {
                    let path = below(path, key.written());
                    if let Key::Text(text, _) = key {
                        visitor(&path, text);
                    }
                    node.visit_texts(&path, visitor);
                }
            }
        }
    }

    /// Whether it counts as true, as a condition.
    pub(crate) fn holds<'a>(&'a self, evaluator: &Evaluator<'a>) -> Outcome<bool> {
        match self {
            Self::Literal(value) => Ok(truthy(value)),
            Self::Text(Text::Whole(expression)) => {
                evaluator.meter.begin();
                evaluator.truth(expression)
            }
            other => {
                let rendered = Rendering::new(evaluator).render(other, "");
                rendered
                    .map(|value| value.is_some_and(|value| truthy(&value)))
                    .map_err(|stopped| stopped.what)
            }
        }
    }

    /// The value, rendered for itself; none where the whole of it is something that was not given.
    pub(crate) fn value<'a>(&'a self, evaluator: &Evaluator<'a>) -> Result<Option<Value>, At<Stop>> {
        Rendering::new(evaluator).render(self, "")
    }
}

impl Key {
    /// As it is written in the template.
    pub(crate) fn written(&self) -> &str {
        match self {
            Self::Literal(name) | Self::Text(_, name) => name,
        }
    }
}

fn parse_key(name: &str, path: &str, faults: &mut Vec<At<String>>) -> Key {
    if name.len() > MAX_KEY {
        faults.push(At {
            path: path.to_owned(),
            what: format!(
                "a key of {} bytes is more than the {MAX_KEY} that one may have",
                name.len()
            ),
        });
        return Key::Literal(String::new());
    }
    match Text::parse(name) {
        Ok(Ok(text)) => Key::Text(text, name.to_owned()),
        Ok(Err(plain)) => Key::Literal(plain),
        Err(Stop::Fault(message) | Stop::Waiting(message)) => {
            faults.push(At {
                path: path.to_owned(),
                what: message,
            });
            Key::Literal(name.to_owned())
        }
    }
}

/// One rendering of a tree.
pub(crate) struct Rendering<'e, 'a> {
    evaluator: &'e Evaluator<'a>,
    bytes: Cell<usize>,
}

impl<'e, 'a> Rendering<'e, 'a> {
    /// A rendering with `evaluator`.
    pub(crate) fn new(evaluator: &'e Evaluator<'a>) -> Self {
        Self {
            evaluator,
            bytes: Cell::new(0),
        }
    }

    /// How many bytes were rendered.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// The value of `node`; none where the whole of it is something that was not given.
    pub(crate) fn render(&self, node: &'a Node, path: &str) -> Result<Option<Value>, At<Stop>> {
        let at = |what| At {
            path: path.to_owned(),
            what,
        };
        match node {
            Node::Literal(value) => {
                self.count(size(value, MAX_PLAN)).map_err(at)?;
                Ok(Some(value.clone()))
            }
            Node::Text(text) => {
                let value = text.value(self.evaluator).map_err(at)?;
                if let Some(value) = &value {
                    self.count(size(value, MAX_PLAN)).map_err(at)?;
                }
                Ok(value)
            }
            Node::List(nodes) => {
                let mut items = Vec::with_capacity(nodes.len());
                for (place, node) in nodes.iter().enumerate() {
                    let mut path = path.to_owned();
                    push_index(&mut path, place);
                    items.extend(self.render(node, &path)?);
                }
                Ok(Some(Value::Array(items)))
            }
            Node::Map(entries) => {
                let mut map = Map::new();
                for (key, node) in entries {
                    self.entry(key, node, path, &mut map)?;
                }
                Ok(Some(Value::Object(map)))
            }
        }
    }

    /// Renders one entry of a map into `map`.
    pub(crate) fn entry(
        &self,
        key: &'a Key,
        node: &'a Node,
        path: &str,
        map: &mut Map<String, Value>,
    ) -> Result<(), At<Stop>> {
        let path = below(path, key.written());
        let at = |what| At {
            path: path.clone(),
            what,
        };
        let name = match key {
            Key::Literal(name) => Some(name.clone()),
            Key::Text(text, _) => match text.value(self.evaluator).map_err(at)? {
                None => None,
                Some(Value::String(name)) => Some(name),
                Some(other) => {
                    let found = super::expression::term::kind_of(&other);
                    return Err(at(Stop::fault(format!("the key is {found}, expected a string"))));
                }
            },
        };
        let Some(name) = name else { return Ok(()) };
        self.count(name.len()).map_err(at)?;
        if let Some(value) = self.render(node, &path)? {
            let shown = super::names::shown(&name, 63);
            if map.insert(name, value).is_some() {
                return Err(at(Stop::fault(format!("the key {shown} is there twice"))));
            }
        }
        Ok(())
    }

    fn count(&self, bytes: usize) -> Outcome<()> {
        let total = self.bytes.get().saturating_add(bytes);
        self.bytes.set(total);
        if total > MAX_PLAN {
            return Err(Stop::fault(
                "the object is larger than 4 MiB, which is the most that a whole plan may have",
            ));
        }
        Ok(())
    }
}
