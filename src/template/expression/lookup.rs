//! How names, attributes and subscripts find their values, and what it means where they find none.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::context::{Named, Names, ROOTS};
use super::evaluate::Evaluator;
use super::term::{Every, Origin, Outcome, Stop, Term, Undefined, Within, kind_of};
use crate::template::names::{below, hint, listed, push_index, shown};

impl<'a> Evaluator<'a> {
    /// What a name stands for.
    pub(super) fn variable(&self, name: &str) -> Term<'a> {
        let scope = &self.scope;
        match name {
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
            "references" => Term::References,
            // Named only in `output`, where it is left out until steps run.
            "steps" => Term::Undefined(Undefined::Waiting(name.to_owned())),
            _ => Term::Undefined(Undefined::Missing(format!(
                "`{}` is not known here{}",
                shown(name, 63),
                hint(name, ROOTS)
            ))),
        }
    }

    /// `term.name`.
    pub(super) fn attribute(&self, term: Term<'a>, name: &str) -> Outcome<Term<'a>> {
        self.meter.charge(name.len())?;
        match term {
            Term::Undefined(undefined) => Ok(Term::Undefined(undefined.below(name))),
            Term::Resources => Ok(self.named(self.scope.names, self.scope.keys.to_vec(), "resources", name)),
            Term::References => Ok(self.reference(name)),
            Term::Include(within) => Ok(self.within(within, name)),
            Term::Each(every) => {
                let path = below(&every.path, name);
                let mut keys = every.keys.clone();
                keys.push(name.to_owned());
                Ok(match self.scope.known.place(&every.id, &keys) {
                    Some(place) => Term::Object(place, path),
                    None => Term::Undefined(Undefined::Missing(self.no_object(&every, &path, name))),
                })
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
            Term::Value(value, origin) => {
                if let (Value::String(text), "length") = (value.as_ref(), name) {
                    self.meter.charge(text.len())?;
                }
                Ok(field(value, origin, name))
            }
        }
    }

    /// What an id stands for, under `keys`.
    fn named(&self, names: &'a Names, keys: Vec<String>, parent: &str, name: &str) -> Term<'a> {
        let path = below(parent, name);
        match names.get(name) {
            Some(Named::Resource(resource)) if resource.repeated => Term::Each(Every {
                id: resource.id.clone(),
                keys,
                path,
            }),
            Some(Named::Resource(resource)) => match self.scope.known.place(&resource.id, &keys) {
                Some(place) => Term::Object(place, path),
                None => Term::Undefined(Undefined::Absent(path)),
            },
            Some(Named::Include(include)) => Term::Include(Within {
                include,
                keys,
                keyless: include.repeated,
                path,
            }),
            None => Term::Undefined(Undefined::Absent(path)),
        }
    }

    /// What follows the id of an include: a key, where it has `each`, and an id of the included template.
    fn within(&self, mut within: Within<'a>, name: &str) -> Term<'a> {
        if within.keyless {
            within.keys.push(name.to_owned());
            within.keyless = false;
            within.path = below(&within.path, name);
            return Term::Include(within);
        }
        self.named(&within.include.names, within.keys, &within.path, name)
    }

    /// Why a resource with `each` has no object of this key.
    fn no_object(&self, every: &Every, path: &str, key: &str) -> String {
        let known = || {
            let found = self.scope.known.under(&every.id, &every.keys);
            found.filter_map(|(rest, _)| rest.first().map(String::as_str))
        };
        let has = match known().next() {
            Some(_) => format!("the plan has {}", listed(known(), 10)),
            None => "the plan has none of its objects".to_owned(),
        };
        format!(
            "{path} does not exist: the `each` of resource \"{}\" has no such key, or its `if` is false there{}; {has}",
            every.id,
            hint(key, known())
        )
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
        let id = format!("{}{id}", self.scope.within);
        match self.scope.references.found.get(&id) {
            Some(found) => Term::read(found, path, true),
            None if self.scope.references.unwanted.contains(&id) => Term::Undefined(Undefined::Absent(path)),
            None => Term::Undefined(Undefined::Waiting(path)),
        }
    }

    /// `term[subscript]`.
    pub(super) fn item(&self, term: Term<'a>, subscript: &Value) -> Outcome<Term<'a>> {
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
