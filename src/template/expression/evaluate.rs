//! Evaluation: from a tree and what it can name to a value, with every step counted.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::call::{self, Call};
use super::checks;
use super::context::{Scope, resources_in};
use super::operators;
use super::syntax::{Arguments, Comparison, Expression, Operator};
use super::term::{Every, Meter, Outcome, Stop, Term, Undefined, kind_of, truthy};
use crate::template::names::below;

/// What one node costs, in the meter's bytes.
const NODE: usize = 32;

/// Arguments by place, and by name.
type Given<'a> = (Vec<Cow<'a, Value>>, Vec<(&'a str, Cow<'a, Value>)>);

/// Evaluates expressions in one scope.
pub(crate) struct Evaluator<'a> {
    /// What they can name.
    pub(crate) scope: Scope<'a>,
    /// What they may cost.
    pub(crate) meter: &'a Meter,
}

impl<'a> Evaluator<'a> {
    /// What `expression` comes to.
    pub(crate) fn term(&self, expression: &'a Expression) -> Outcome<Term<'a>> {
        self.meter.charge(NODE)?;
        match expression {
            Expression::Constant(value) => Ok(Term::Value(Cow::Borrowed(value), None)),
            Expression::Variable(name) => Ok(self.variable(name)),
            Expression::Attribute(input, name) => self.attribute(self.term(input)?, name),
            Expression::Item(input, subscript) => {
                let input = self.term(input)?;
                let subscript = self.value(subscript)?;
                self.item(input, &subscript)
            }
            Expression::Slice {
                input,
                start,
                stop,
                step,
            } => {
                let input = self.value(input)?;
                let place = |part: &'a Option<Box<Expression>>| match part {
                    Some(part) => self.integer(part),
                    None => Ok(None),
                };
                let (first, last, by) = (place(start)?, place(stop)?, place(step)?);
                operators::slice(self.meter, &input, first, last, by.unwrap_or(1)).map(Term::made)
            }
            Expression::Not(input) => Ok(Term::made(Value::Bool(!self.truth(input)?))),
            Expression::Negate(input) => {
                let value = self.value(input)?;
                operators::binary(self.meter, Operator::Subtract, &Value::from(0), &value).map(Term::made)
            }
            Expression::Binary(operator, left, right) => self.binary(*operator, left, right),
            Expression::Compare(first, rest) => self.compare(first, rest),
            Expression::Choice { test, yes, no } => match (self.truth(test)?, no) {
                (true, _) => self.term(yes),
                (false, Some(no)) => self.term(no),
                (false, None) => Ok(Term::Undefined(Undefined::Absent(String::new()))),
            },
            Expression::Filter { name, input, arguments } => self.filter(name, input, arguments),
            Expression::Test { name, input, arguments } => self.test(name, input, arguments),
            Expression::Function { name, arguments } => {
                let (positional, named) = self.arguments(arguments)?;
                call::function(&Call {
                    meter: self.meter,
                    name,
                    input: &Value::Null,
                    positional,
                    named,
                })
                .map(Term::made)
            }
            Expression::Method { name, input, arguments } => {
                let input = self.value(input)?;
                let (positional, named) = self.arguments(arguments)?;
                let made = call::method(&Call {
                    meter: self.meter,
                    name,
                    input: &input,
                    positional,
                    named,
                })?;
                self.meter.value(&made)?;
                Ok(Term::made(made))
            }
            Expression::List(items) => self.list(items),
            Expression::Map(entries) => self.map(entries),
        }
    }

    /// The value of `expression`, which must have one.
    pub(crate) fn value(&self, expression: &'a Expression) -> Outcome<Cow<'a, Value>> {
        self.needed(self.term(expression)?)
    }

    /// Whether `expression` counts as true. What is not there does not.
    pub(crate) fn truth(&self, expression: &'a Expression) -> Outcome<bool> {
        match self.term(expression)? {
            Term::Value(value, _) => Ok(truthy(&value)),
            Term::Undefined(Undefined::Waiting(path)) => Err(Stop::Waiting(path)),
            Term::Undefined(_) => Ok(false),
            Term::Each(every) => Ok(self.scope.known.under(&every.id, &every.keys).next().is_some()),
            Term::Include(within) => Ok(resources_in(&within.include.names)
                .into_iter()
                .any(|id| self.scope.known.under(id, &within.keys).next().is_some())),
            Term::Resources | Term::References | Term::Object(..) | Term::Metadata(..) => Ok(true),
        }
    }

    /// The value behind a term.
    pub(crate) fn needed(&self, term: Term<'a>) -> Outcome<Cow<'a, Value>> {
        match term {
            Term::Value(value, _) => Ok(value),
            Term::Undefined(Undefined::Absent(path)) => Err(Stop::Fault(not_given(&path))),
            Term::Undefined(Undefined::Waiting(path)) => Err(Stop::Waiting(path)),
            Term::Undefined(Undefined::Missing(message)) => Err(Stop::Fault(message)),
            Term::Resources => Err(Stop::fault(
                "`resources` is not a value; name one of them, for example resources.<id>.metadata.name",
            )),
            Term::References => Err(Stop::fault(
                "`references` is not a value; name one of them, for example references.<id>.spec",
            )),
            Term::Each(every) => self.every_object(&every).map(Cow::Owned),
            Term::Include(within) => Err(Stop::fault(format!(
                "`{0}` is a template's resources, and not a value; name one of them, for example {0}.<id>.metadata.name",
                within.path
            ))),
            Term::Object(place, path) => self
                .scope
                .live_object(place)
                .map(Cow::Borrowed)
                .ok_or(Stop::Waiting(path)),
            Term::Metadata(place, path) => self
                .scope
                .live_object(place)
                .and_then(|object| object.get("metadata"))
                .map(Cow::Borrowed)
                .ok_or(Stop::Waiting(path)),
        }
    }

    /// The value behind a term, with null for what is not there.
    fn or_null(&self, term: Term<'a>) -> Outcome<Cow<'a, Value>> {
        match term {
            Term::Undefined(Undefined::Absent(_) | Undefined::Missing(_)) => Ok(Cow::Owned(Value::Null)),
            other => self.needed(other),
        }
    }

    /// Every live object of a resource with `each`, by key.
    fn every_object(&self, every: &Every) -> Outcome<Value> {
        let mut map = Map::new();
        for (rest, place) in self.scope.known.under(&every.id, &every.keys) {
            let key = rest.first().map(String::as_str).unwrap_or_default();
            let path = below(&every.path, key);
            let object = self.scope.live_object(place).ok_or(Stop::Waiting(path))?;
            self.meter.value(object)?;
            map.insert(key.to_owned(), object.clone());
        }
        Ok(Value::Object(map))
    }

    fn binary(&self, operator: Operator, left: &'a Expression, right: &'a Expression) -> Outcome<Term<'a>> {
        match operator {
            Operator::And | Operator::Or => {
                let first = self.term(left)?;
                let truth = match &first {
                    Term::Value(value, _) => truthy(value),
                    Term::Undefined(Undefined::Waiting(path)) => return Err(Stop::Waiting(path.clone())),
                    Term::Undefined(_) => false,
                    _ => true,
                };
                if truth == (operator == Operator::Or) {
                    Ok(first)
                } else {
                    self.term(right)
                }
            }
            _ => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                operators::binary(self.meter, operator, &left, &right).map(Term::made)
            }
        }
    }

    fn compare(&self, first: &'a Expression, rest: &'a [(Comparison, Expression)]) -> Outcome<Term<'a>> {
        let mut left = self.or_null(self.term(first)?)?;
        for (comparison, expression) in rest {
            let right = self.or_null(self.term(expression)?)?;
            // What is not there holds nothing and is in nothing.
            let nothing = matches!(comparison, Comparison::In | Comparison::NotIn) && right.is_null();
            let holds = if nothing {
                *comparison == Comparison::NotIn
            } else {
                operators::compare(self.meter, *comparison, &left, &right)?
            };
            if !holds {
                return Ok(Term::made(Value::Bool(false)));
            }
            left = right;
        }
        Ok(Term::made(Value::Bool(true)))
    }

    fn filter(&self, name: &'a str, input: &'a Expression, arguments: &'a Arguments) -> Outcome<Term<'a>> {
        if matches!(name, "default" | "d") {
            return self.default(input, arguments);
        }
        let input = self.value(input)?;
        let (positional, named) = self.arguments(arguments)?;
        let made = call::filter(&Call {
            meter: self.meter,
            name,
            input: &input,
            positional,
            named,
        })?;
        self.meter.value(&made)?;
        Ok(Term::made(made))
    }

    /// `input | default(fallback, boolean)`: the fallback for what is not there or null, with `true` for whatever counts as false.
    fn default(&self, input: &'a Expression, arguments: &'a Arguments) -> Outcome<Term<'a>> {
        let term = self.term(input)?;
        let wide = match arguments.positional.get(1) {
            Some(flag) => self.truth(flag)?,
            None => false,
        };
        let stays = match &term {
            Term::Undefined(_) => false,
            Term::Value(value, _) if wide => truthy(value),
            Term::Value(value, _) => !value.is_null(),
            Term::Object(place, _) | Term::Metadata(place, _) => self.scope.live_object(*place).is_some(),
            Term::Resources | Term::References | Term::Each(_) | Term::Include(_) => true,
        };
        match arguments.positional.first() {
            _ if stays => Ok(term),
            Some(fallback) => self.term(fallback),
            None => Ok(Term::made(Value::String(String::new()))),
        }
    }

    fn test(&self, name: &'a str, input: &'a Expression, arguments: &'a Arguments) -> Outcome<Term<'a>> {
        let term = self.term(input)?;
        let defined = match &term {
            Term::Undefined(_) => false,
            Term::Object(place, _) | Term::Metadata(place, _) => self.scope.live_object(*place).is_some(),
            _ => true,
        };
        match name {
            "defined" => return Ok(Term::made(Value::Bool(defined))),
            "undefined" => return Ok(Term::made(Value::Bool(!defined))),
            _ => {}
        }
        let value = self.or_null(term)?;
        let (positional, named) = self.arguments(arguments)?;
        let call = Call {
            meter: self.meter,
            name,
            input: &value,
            positional,
            named,
        };
        checks::test(&call).map(|holds| Term::made(Value::Bool(holds)))
    }

    fn arguments(&self, arguments: &'a Arguments) -> Outcome<Given<'a>> {
        let positional = arguments
            .positional
            .iter()
            .map(|argument| self.value(argument))
            .collect::<Outcome<_>>()?;
        let named = arguments
            .named
            .iter()
            .map(|(name, argument)| Ok((name.as_str(), self.value(argument)?)))
            .collect::<Outcome<_>>()?;
        Ok((positional, named))
    }

    fn integer(&self, expression: &'a Expression) -> Outcome<Option<i64>> {
        let value = self.value(expression)?;
        if value.is_null() {
            return Ok(None);
        }
        value.as_i64().map(Some).ok_or_else(|| {
            Stop::fault(format!(
                "found {} as the bound of a slice, expected a whole number",
                kind_of(&value)
            ))
        })
    }

    fn list(&self, items: &'a [Expression]) -> Outcome<Term<'a>> {
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let value = self.value(item)?;
            self.meter.value(&value)?;
            list.push(value.into_owned());
        }
        Ok(Term::made(Value::Array(list)))
    }

    fn map(&self, entries: &'a [(Expression, Expression)]) -> Outcome<Term<'a>> {
        let mut map = Map::new();
        for (key, value) in entries {
            let key = operators::text(self.value(key)?.as_ref())?;
            let value = self.value(value)?;
            self.meter.value(&value)?;
            map.insert(key, value.into_owned());
        }
        Ok(Term::made(Value::Object(map)))
    }
}

/// Why something that may be there is not.
fn not_given(path: &str) -> String {
    if path.is_empty() {
        return "found no value, expected one; add an else".to_owned();
    }
    if path.starts_with("resources.") {
        return format!("{path} is not there: this plan has no such object, since its `if` is false");
    }
    format!("{path} is not given; give it, or write {path} | default(…)")
}
