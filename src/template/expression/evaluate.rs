//! Evaluation: from a tree and what it can name to a value, with every step counted.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::call::{self, Call};
use super::checks;
use super::context::Scope;
use super::operators;
use super::syntax::{Arguments, Comparison, Expression, Operator};
use super::term::{Meter, Origin, Outcome, Stop, Term, Undefined, kind_of, truthy};
use crate::template::names::{below, hint, listed, push_index, shown};

/// What one node costs, in the meter's bytes.
const NODE: usize = 32;

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
            Expression::Variable(name) => self.variable(name),
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
                let bound =
                    |part: &'a Option<Box<Expression>>| part.as_ref().map(|part| self.integer(part)).transpose();
                let (start, stop, step) = (bound(start)?, bound(stop)?, bound(step)?);
                operators::slice(
                    self.meter,
                    &input,
                    start.flatten(),
                    stop.flatten(),
                    step.flatten().unwrap_or(1),
                )
                .map(Term::made)
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
            Term::Each(id) => Ok(self.scope.known.places.get(&id).is_some_and(|keys| !keys.is_empty())),
            Term::Resources | Term::Object(..) | Term::Metadata(..) => Ok(true),
        }
    }

    /// The value behind a term.
    pub(crate) fn needed(&self, term: Term<'a>) -> Outcome<Cow<'a, Value>> {
        match term {
            Term::Value(value, _) => Ok(value),
            Term::Undefined(Undefined::Absent(path)) if path.is_empty() => {
                Err(Stop::fault("found no value, expected one; add an else"))
            }
            Term::Undefined(Undefined::Absent(path)) => Err(Stop::fault(format!(
                "{path} is not given; give it, or write {path} | default(…)"
            ))),
            Term::Undefined(Undefined::Waiting(path)) => Err(Stop::Waiting(path)),
            Term::Undefined(Undefined::Missing(message)) => Err(Stop::Fault(message)),
            Term::Resources => Err(Stop::fault(
                "`resources` is not a value; name one of them, for example resources.<id>.metadata.name",
            )),
            Term::Each(id) => self.every_object(&id).map(Cow::Owned),
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
    fn every_object(&self, id: &str) -> Outcome<Value> {
        let mut map = Map::new();
        for (key, place) in self.scope.known.places.get(id).into_iter().flatten() {
            let key = key.as_deref().unwrap_or_default();
            let path = below(&format!("resources.{id}"), key);
            let object = self.scope.live_object(*place).ok_or(Stop::Waiting(path))?;
            self.meter.value(object)?;
            map.insert(key.to_owned(), object.clone());
        }
        Ok(Value::Object(map))
    }

    fn variable(&self, name: &str) -> Outcome<Term<'a>> {
        let scope = &self.scope;
        Ok(match name {
            "parameters" | "values" => Term::read(scope.parameters, name, false),
            "entity" => Term::read(scope.entity, name, false),
            "system" => Term::read(scope.system, name, false),
            "owner" => Term::read(scope.owner, name, false),
            "template" => Term::read(scope.template, name, false),
            "each" => scope.each.map_or_else(
                || Term::Undefined(Undefined::Missing("`each` has no meaning here".to_owned())),
                |each| Term::read(each, name, false),
            ),
            "self" => scope.itself.map_or_else(
                || {
                    Term::Undefined(Undefined::Missing(
                        "`self` has no meaning here, only in readyWhen".to_owned(),
                    ))
                },
                |object| Term::read(object, name, true),
            ),
            "resources" => Term::Resources,
            // Reached only through an attribute, see `attribute`.
            "references" => Term::Value(
                Cow::Owned(Value::Null),
                Some(Origin {
                    path: name.to_owned(),
                    live: true,
                }),
            ),
            _ => Term::Undefined(Undefined::Missing(format!(
                "`{}` is not known here{}",
                shown(name, 63),
                hint(name, super::context::ROOTS)
            ))),
        })
    }

    /// `term.name`.
    fn attribute(&self, term: Term<'a>, name: &str) -> Outcome<Term<'a>> {
        self.meter.charge(name.len())?;
        match term {
            Term::Undefined(undefined) => Ok(Term::Undefined(undefined.below(name))),
            Term::Resources => Ok(self.resource(name)),
            Term::Each(id) => {
                let path = below(&format!("resources.{id}"), name);
                let place = self
                    .scope
                    .known
                    .places
                    .get(&id)
                    .and_then(|keys| keys.get(&Some(name.to_owned())));
                Ok(place.map_or_else(
                    || Term::Undefined(Undefined::Absent(path.clone())),
                    |place| Term::Object(*place, path.clone()),
                ))
            }
            Term::Object(place, path) if name == "metadata" => Ok(Term::Metadata(place, below(&path, name))),
            Term::Object(place, path) => {
                let origin = Origin { path, live: true };
                Ok(match self.scope.live_object(place) {
                    Some(object) => field(Cow::Borrowed(object), Some(origin), name),
                    None => Term::Undefined(Undefined::Waiting(below(&origin.path, name))),
                })
            }
            Term::Metadata(place, path) => Ok(self.metadata(place, path, name)),
            Term::Value(_, Some(origin)) if origin.live && origin.path == "references" => Ok(self.reference(name)),
            Term::Value(value, origin) => Ok(field(value, origin, name)),
        }
    }

    fn resource(&self, id: &str) -> Term<'a> {
        if self.scope.repeated.contains(id) {
            return Term::Each(id.to_owned());
        }
        let path = format!("resources.{id}");
        match self.scope.known.places.get(id).and_then(|keys| keys.get(&None)) {
            Some(place) => Term::Object(*place, path),
            None => Term::Undefined(Undefined::Absent(path)),
        }
    }

    fn metadata(&self, place: usize, path: String, name: &str) -> Term<'a> {
        let identity = self.scope.known.identities.get(place);
        let planned = match name {
            "name" => identity.map(|identity| identity.name.clone()),
            "namespace" => identity.and_then(|identity| identity.namespace.clone()),
            _ => None,
        };
        if let Some(planned) = planned {
            return Term::Value(
                Cow::Owned(Value::String(planned)),
                Some(Origin {
                    path: below(&path, name),
                    live: true,
                }),
            );
        }
        let origin = Origin { path, live: true };
        match self.scope.live_object(place).and_then(|object| object.get("metadata")) {
            Some(metadata) => field(Cow::Borrowed(metadata), Some(origin), name),
            None => Term::Undefined(Undefined::Waiting(below(&origin.path, name))),
        }
    }

    fn reference(&self, id: &str) -> Term<'a> {
        let path = format!("references.{id}");
        match self.scope.references.found.get(id) {
            Some(found) => Term::read(found, path, true),
            None if self.scope.references.unwanted.contains(id) => Term::Undefined(Undefined::Absent(path)),
            None => Term::Undefined(Undefined::Waiting(path)),
        }
    }

    /// `term[subscript]`.
    fn item(&self, term: Term<'a>, subscript: &Value) -> Outcome<Term<'a>> {
        let index = match subscript {
            Value::String(name) => return self.attribute(term, name),
            Value::Number(number) => number.as_i64(),
            _ => None,
        };
        let Some(index) = index else {
            return Err(Stop::fault(format!(
                "found {} between [ and ], expected a name or a whole number",
                kind_of(subscript)
            )));
        };
        let Term::Value(value, origin) = term else {
            return self.attribute(term, &index.to_string());
        };
        match value.as_ref() {
            Value::Array(items) => {
                let place = place_of(index, items.len());
                let origin = origin.map(|mut origin| {
                    push_index(
                        &mut origin.path,
                        place.unwrap_or_else(|| usize::try_from(index).unwrap_or_default()),
                    );
                    origin
                });
                let item = match value {
                    Cow::Borrowed(Value::Array(items)) => place.and_then(|place| items.get(place)).map(Cow::Borrowed),
                    Cow::Owned(Value::Array(mut items)) => place
                        .filter(|place| *place < items.len())
                        .map(|place| Cow::Owned(items.swap_remove(place))),
                    _ => None,
                };
                Ok(item.map_or_else(
                    || undefined_at(origin.clone(), || format!("the list has no item {index}")),
                    |item| Term::Value(item, origin.clone()),
                ))
            }
            Value::String(text) => {
                self.meter.charge(text.len())?;
                let letter = place_of(index, text.chars().count()).and_then(|place| text.chars().nth(place));
                Ok(letter.map_or_else(
                    || Term::Undefined(Undefined::Missing(format!("the string has no character {index}"))),
                    |letter| Term::made(Value::String(letter.to_string())),
                ))
            }
            _ => self.attribute(Term::Value(value, origin), &index.to_string()),
        }
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
            Term::Resources | Term::Each(_) => true,
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

    fn arguments(&self, arguments: &'a Arguments) -> Outcome<(Vec<Cow<'a, Value>>, Vec<(&'a str, Cow<'a, Value>)>)> {
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

impl Undefined {
    fn below(self, name: &str) -> Self {
        match self {
            Self::Absent(path) if path.is_empty() => Self::Absent(path),
            Self::Absent(path) => Self::Absent(below(&path, name)),
            Self::Waiting(path) => Self::Waiting(below(&path, name)),
            Self::Missing(message) => Self::Missing(message),
        }
    }
}

/// `value.name`.
fn field<'a>(value: Cow<'a, Value>, origin: Option<Origin>, name: &str) -> Term<'a> {
    let length = match value.as_ref() {
        Value::String(text) if name == "length" => Some(text.chars().count()),
        Value::Array(items) if name == "length" => Some(items.len()),
        _ => None,
    };
    if let Some(length) = length {
        return Term::made(Value::from(length));
    }
    let origin = origin.map(|origin| Origin {
        path: below(&origin.path, name),
        live: origin.live,
    });
    match value {
        Cow::Borrowed(Value::Object(map)) => match map.get(name) {
            Some(found) => Term::Value(Cow::Borrowed(found), origin),
            None => undefined_at(origin, || no_field(map, name)),
        },
        Cow::Owned(Value::Object(mut map)) => match map.remove(name) {
            Some(found) => Term::Value(Cow::Owned(found), origin),
            None => undefined_at(origin, || no_field(&map, name)),
        },
        other => match (&*other, origin) {
            (Value::Null, Some(origin)) => undefined_at(Some(origin), String::new),
            (found, Some(origin)) => Term::Undefined(Undefined::Missing(format!(
                "{} does not exist: found {} there, expected a map",
                origin.path,
                kind_of(found)
            ))),
            (found, None) => Term::Undefined(Undefined::Missing(format!(
                "found {}, which has no field {}",
                kind_of(found),
                shown(name, 63)
            ))),
        },
    }
}

fn no_field(map: &Map<String, Value>, name: &str) -> String {
    let names = map.keys().map(String::as_str);
    format!(
        "the map has no field {}{}; it has {}",
        shown(name, 63),
        hint(name, names.clone()),
        if map.is_empty() {
            "none".to_owned()
        } else {
            listed(names, 10)
        }
    )
}

fn undefined_at<'a>(origin: Option<Origin>, message: impl FnOnce() -> String) -> Term<'a> {
    Term::Undefined(match origin {
        Some(Origin { path, live: true }) => Undefined::Waiting(path),
        Some(Origin { path, live: false }) => Undefined::Absent(path),
        None => Undefined::Missing(message()),
    })
}

/// A place in a list from its index; a negative one counts from the end.
fn place_of(index: i64, length: usize) -> Option<usize> {
    if index < 0 {
        length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    } else {
        usize::try_from(index).ok()
    }
}
