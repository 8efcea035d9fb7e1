//! Paths in expressions: a name, and the attributes and subscripts behind it.

use serde_json::Value;

use super::analysis::Declared;
use super::syntax::Expression;
use crate::template::names::{hint, listed, push_name};
use crate::template::parameters::{Key, Shape};

/// One step of a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'e> {
    /// `.name` or `['name']`.
    Name(&'e str),
    /// `[0]`, or another constant.
    Index,
    /// `[each.key]`.
    EachKey,
    /// `[…]`.
    Computed,
}

impl<'e> Step<'e> {
    /// The step in a schema.
    pub(super) fn key(self) -> Key<'e> {
        match self {
            Self::Name(name) => Key::Name(name),
            Self::Index | Self::EachKey | Self::Computed => Key::Any,
        }
    }

    /// Appends it to a path in words.
    pub(super) fn push(self, path: &mut String) {
        match self {
            Self::Name(name) => push_name(path, name),
            Self::EachKey => path.push_str("[each.key]"),
            Self::Index | Self::Computed => path.push_str("[…]"),
        }
    }
}

/// A chain of attributes and subscripts that starts from a name, as that name and its steps.
pub(super) fn path_of(expression: &Expression) -> Option<(&str, Vec<Step<'_>>)> {
    let mut steps = Vec::new();
    let mut rest = expression;
    loop {
        match rest {
            Expression::Variable(name) => {
                steps.reverse();
                return Some((name, steps));
            }
            Expression::Attribute(input, name) => {
                steps.push(Step::Name(name));
                rest = input;
            }
            Expression::Item(input, subscript) => {
                steps.push(match subscript.as_ref() {
                    Expression::Constant(Value::String(name)) => Step::Name(name),
                    Expression::Constant(_) => Step::Index,
                    Expression::Attribute(root, name)
                        if name == "key" && matches!(root.as_ref(), Expression::Variable(root) if root == "each") =>
                    {
                        Step::EachKey
                    }
                    _ => Step::Computed,
                });
                rest = input;
            }
            _ => return None,
        }
    }
}

/// What is known of `each.value` in a resource whose `each` is this expression: what the schema says of the items of
/// a parameter, and nothing of anything else.
pub(crate) fn each_value<'n>(each: Option<&Expression>, names: &Declared<'n>) -> Shape<'n> {
    let Some(("parameters" | "values", steps)) = each.and_then(path_of) else {
        return Shape::default();
    };
    let Some((Step::Name(name), rest)) = steps.split_first() else {
        return Shape::default();
    };
    // What does not exist is told where `each` itself is looked at.
    rest.iter()
        .map(|step| step.key())
        .chain([Key::Any])
        .try_fold(names.parameters.get(name).cloned().unwrap_or_default(), |shape, key| {
            shape.below(key)
        })
        .unwrap_or_default()
}

/// Why there is nothing at these steps below the value at `path`, if its schema says so.
pub(super) fn undeclared(mut path: String, mut shape: Shape<'_>, steps: &[Step<'_>]) -> Option<String> {
    for step in steps {
        match shape.below(step.key()) {
            Ok(next) => shape = next,
            Err(known) => {
                let near = match step {
                    Step::Name(name) => hint(name, known.iter().copied()),
                    _ => String::new(),
                };
                let has = if near.is_empty() {
                    format!("; {path} has {}", listed(known, 10))
                } else {
                    near
                };
                step.push(&mut path);
                return Some(format!("{path} does not exist{has}"));
            }
        }
        step.push(&mut path);
    }
    None
}
