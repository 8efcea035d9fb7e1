//! What can be known about an expression before it runs: that every name in it exists, and what it depends on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::call;
use super::checks;
use super::context::{Names, ROOTS};
use super::paths::{Step, path_of, undeclared};
use super::syntax::{Arguments, Expression};
use super::term::{Outcome, Stop};
use crate::template::kinds::{FieldLookup, Kinds};
use crate::template::names::{below, hint, listed, shown};
use crate::template::parameters::Shape;

/// Where an expression stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// It decides what a resource is: no live state.
    Identity,
    /// In the body of an object.
    Body,
    /// In `readyWhen`.
    ReadyWhen,
    /// In `output`.
    Output,
    /// In a reference: neither resources nor other references.
    Reference,
}

/// Every name that a template declares.
pub(crate) struct Declared<'n> {
    /// The declared parameters, and what is known of their values.
    pub(crate) parameters: &'n BTreeMap<&'n str, Shape<'n>>,
    /// Whether others may be given besides.
    pub(crate) open: bool,
    /// What its ids stand for.
    pub(crate) resources: &'n Names,
    /// How many includes with `each` the template is in.
    pub(crate) depth: usize,
    /// The references by id, with apiVersion and kind where they are objects and literal.
    pub(crate) references: &'n BTreeMap<String, Option<(String, String)>>,
    /// The ids of the steps.
    pub(crate) steps: &'n BTreeSet<String>,
    /// The cluster's kinds.
    pub(crate) kinds: &'n dyn Kinds,
}

/// What an expression names of another resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Use {
    /// The resource's id in the plan.
    pub(crate) id: String,
    /// How many keys, from the outermost, those of the object have in common with those of whatever names it.
    pub(crate) same_keys: usize,
}

/// What was found in one expression.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What is wrong.
    pub(crate) faults: Vec<String>,
    /// What it depends on.
    pub(crate) uses: BTreeSet<Use>,
}

/// Looks through an expression. `each`: what is known of `each.value`, where `each` has a meaning. `own`: the kind of `self`.
pub(crate) fn analyse(
    expression: &Expression,
    names: &Declared<'_>,
    site: Site,
    each: Option<&Shape<'_>>,
    own: Option<&(String, String)>,
) -> Findings {
    let mut analysis = Analysis {
        names,
        site,
        each,
        own,
        findings: Findings::default(),
    };
    analysis.walk(expression);
    analysis.findings
}

pub(super) struct Analysis<'n, 'k> {
    pub(super) names: &'n Declared<'k>,
    pub(super) site: Site,
    each: Option<&'n Shape<'n>>,
    own: Option<&'n (String, String)>,
    pub(super) findings: Findings,
}

impl Analysis<'_, '_> {
    fn walk(&mut self, expression: &Expression) {
        if let Some((root, steps)) = path_of(expression) {
            self.path(root, &steps);
        }
        match expression {
            Expression::Constant(_) | Expression::Variable(_) => {}
            Expression::Attribute(..) | Expression::Item(..) => self.walk_chain(expression),
            Expression::Slice {
                input,
                start,
                stop,
                step,
            } => {
                self.walk(input);
                [start, stop, step]
                    .into_iter()
                    .flatten()
                    .for_each(|part| self.walk(part));
            }
            Expression::Not(input) | Expression::Negate(input) => self.walk(input),
            Expression::Binary(_, left, right) => {
                self.walk(left);
                self.walk(right);
            }
            Expression::Compare(first, rest) => {
                self.walk(first);
                for (_, operand) in rest {
                    self.walk(operand);
                }
            }
            Expression::Choice { test, yes, no } => {
                self.walk(test);
                self.walk(yes);
                if let Some(no) = no {
                    self.walk(no);
                }
            }
            Expression::Filter { name, input, arguments } => {
                self.call(call::known_filter(name), arguments);
                self.inner_names(name, arguments);
                self.walk(input);
            }
            Expression::Test { name, input, arguments } => {
                self.note(checks::known(name, arguments.positional.len() + arguments.named.len()));
                self.walk_arguments(arguments);
                self.walk(input);
            }
            Expression::Function { name, arguments } => self.call(call::known_function(name), arguments),
            Expression::Method { name, input, arguments } => {
                self.call(call::known_method(name), arguments);
                self.walk(input);
            }
            Expression::List(items) => items.iter().for_each(|item| self.walk(item)),
            Expression::Map(entries) => entries.iter().for_each(|(key, value)| {
                self.walk(key);
                self.walk(value);
            }),
        }
    }

    /// Walks what a chain of attributes and subscripts starts from and its subscripts. The chain itself, where it
    /// starts from a name, was looked at as one path.
    fn walk_chain(&mut self, expression: &Expression) {
        let mut rest = expression;
        loop {
            match rest {
                Expression::Attribute(input, _) => rest = input,
                Expression::Item(input, subscript) => {
                    self.walk(subscript);
                    rest = input;
                }
                Expression::Variable(_) => return,
                other => return self.walk(other),
            }
        }
    }

    fn call(&mut self, signature: Outcome<&'static call::Signature>, arguments: &Arguments) {
        let checked = signature.and_then(|signature| {
            let named = arguments.named.iter().map(|(name, _)| name.as_str());
            call::check_arguments(signature, arguments.positional.len(), named)
        });
        // `map(attribute='x')` has none by place.
        self.note(checked);
        self.walk_arguments(arguments);
    }

    /// The names of filters and tests that stand as texts: `map('upper')`, `select('even')`, `selectattr('x', 'eq', 1)`.
    fn inner_names(&mut self, filter: &str, arguments: &Arguments) {
        let text = |place: usize| match arguments.positional.get(place) {
            Some(Expression::Constant(Value::String(text))) => Some(text.as_str()),
            _ => None,
        };
        match filter {
            "map" => {
                if let Some(name) = text(0) {
                    self.note(call::known_filter(name).map(|_| ()));
                }
            }
            "select" | "reject" | "selectattr" | "rejectattr" => {
                let place = usize::from(filter.ends_with("attr"));
                if let Some(name) = text(place) {
                    let rest = arguments.positional.len().saturating_sub(place + 1);
                    self.note(checks::known(name, rest));
                }
            }
            _ => {}
        }
    }

    fn walk_arguments(&mut self, arguments: &Arguments) {
        arguments.positional.iter().for_each(|argument| self.walk(argument));
        arguments.named.iter().for_each(|(_, argument)| self.walk(argument));
    }

    fn note(&mut self, checked: Outcome<()>) {
        if let Err(Stop::Fault(message) | Stop::Waiting(message)) = checked {
            self.fault(message);
        }
    }

    pub(super) fn fault(&mut self, message: String) {
        if !self.findings.faults.contains(&message) {
            self.findings.faults.push(message);
        }
    }

    fn path(&mut self, root: &str, steps: &[Step<'_>]) {
        match root {
            "parameters" | "values" => self.parameter(root, steps),
            "entity" => {
                self.one_of("entity", steps.first(), &["apiVersion", "kind", "metadata", "spec"]);
                if let (Some(Step::Name("metadata")), second) = (steps.first(), steps.get(1)) {
                    self.one_of(
                        "entity.metadata",
                        second,
                        &["name", "namespace", "uid", "labels", "annotations"],
                    );
                }
            }
            "owner" | "system" => self.one_of(
                root,
                steps.first(),
                &["kind", "namespace", "name", "ref", "exists", "spec"],
            ),
            "template" => self.one_of(root, steps.first(), &["name", "namespace", "version"]),
            "each" => match self.each {
                Some(value) => self.each(value, steps),
                None => self.fault("`each` has a meaning only in a resource that has the field each".to_owned()),
            },
            "self" if self.site == Site::ReadyWhen => {
                if let Some((api_version, kind)) = self.own {
                    self.live_path("self", api_version, kind, steps);
                }
            }
            "self" => self.fault("`self` has a meaning only in readyWhen".to_owned()),
            "resources" if self.site == Site::Reference => {
                self.fault("a reference is read before anything is made, so it cannot name resources".to_owned());
            }
            "resources" => self.resource(steps),
            "references" if self.site == Site::Reference => {
                self.fault("a reference cannot name another reference".to_owned());
            }
            "references" => self.reference(steps),
            // What a step gives is waited for, until steps run.
            "steps" if self.site == Site::Output => self.step(steps),
            other => self.unknown_root(other),
        }
    }

    fn parameter(&mut self, root: &str, steps: &[Step<'_>]) {
        let Some(Step::Name(name)) = steps.first() else { return };
        let declared = self.names.parameters;
        let Some(shape) = declared.get(name) else {
            if self.names.open {
                return;
            }
            let known = declared.keys().copied();
            let near = hint(name, known.clone());
            let has = if near.is_empty() && !declared.is_empty() {
                format!("; the template has {}", listed(known, 10))
            } else {
                near
            };
            return self.fault(format!(
                "{root}.{} is not declared in spec.parameters{has}",
                shown(name, 63)
            ));
        };
        if let Some(message) = undeclared(below(root, name), shape.clone(), steps.get(1..).unwrap_or_default()) {
            self.fault(message);
        }
    }

    fn each(&mut self, value: &Shape<'_>, steps: &[Step<'_>]) {
        self.one_of("each", steps.first(), &["key", "value", "index"]);
        if let Some((Step::Name("value"), rest)) = steps.split_first()
            && let Some(message) = undeclared("each.value".to_owned(), value.clone(), rest)
        {
            self.fault(message);
        }
    }

    fn one_of(&mut self, parent: &str, step: Option<&Step<'_>>, known: &[&str]) {
        if let Some(Step::Name(name)) = step
            && !known.contains(name)
        {
            let near = hint(name, known.iter().copied());
            let has = listed(known.iter().copied(), 10);
            self.fault(format!(
                "{} does not exist{near}; {parent} has {has}",
                below(parent, name)
            ));
        }
    }

    fn reference(&mut self, steps: &[Step<'_>]) {
        let Some(Step::Name(id)) = steps.first() else {
            return self.fault("`references` must be followed by the id of one reference".to_owned());
        };
        match self.names.references.get(*id) {
            None => {
                let near = hint(id, self.names.references.keys().map(String::as_str));
                self.fault(format!(
                    "references.{} does not exist: no reference has this id{near}",
                    shown(id, 63)
                ));
            }
            Some(Some((api_version, kind))) => {
                let (api_version, kind) = (api_version.clone(), kind.clone());
                self.live_path(
                    &format!("references.{id}"),
                    &api_version,
                    &kind,
                    steps.get(1..).unwrap_or_default(),
                );
            }
            Some(None) => {}
        }
    }

    fn step(&mut self, steps: &[Step<'_>]) {
        if let Some(Step::Name(id)) = steps.first()
            && !self.names.steps.contains(*id)
        {
            let near = hint(id, self.names.steps.iter().map(String::as_str));
            self.fault(format!(
                "steps.{} does not exist: no step has this id{near}",
                shown(id, 63)
            ));
        }
    }

    /// Checks a path below an object against its kind's schema.
    pub(super) fn live_path(&mut self, parent: &str, api_version: &str, kind: &str, steps: &[Step<'_>]) {
        let mut path = Vec::new();
        for step in steps {
            match step {
                Step::Name(name) if *name != "length" => path.push((*name).to_owned()),
                Step::Index => path.push("*".to_owned()),
                // A list's length is no field. A computed step may be an index or a key; what follows cannot be checked.
                Step::Name(_) | Step::EachKey | Step::Computed => break,
            }
        }
        // Every object has these, whatever its schema says of them.
        if matches!(
            path.first().map(String::as_str),
            None | Some("metadata" | "apiVersion" | "kind")
        ) {
            return;
        }
        if let FieldLookup::Missing {
            parent: known,
            available,
        } = self.names.kinds.field(api_version, kind, &path)
        {
            let full = format!("{parent}.{}", path.join(".").replace(".*", "[]"));
            let depth = if known.is_empty() { 0 } else { known.split('.').count() };
            let wrong = path.get(depth).map_or("", String::as_str);
            let near = hint(wrong, available.iter().map(String::as_str));
            let of = if known.is_empty() {
                String::new()
            } else {
                format!("{known} of ")
            };
            let has = if available.is_empty() {
                "nothing".to_owned()
            } else {
                listed(available.iter().map(String::as_str), 10)
            };
            self.fault(format!(
                "{full} does not exist{near}; {of}{kind} ({api_version}) has {has}"
            ));
        }
    }

    fn unknown_root(&mut self, name: &str) {
        let reason = match name {
            "steps" => Some("what steps give is known only while they run"),
            "secrets" => Some("secrets never reach a resource"),
            "user" => Some("a resource outlives the person who asked for it; use owner"),
            "environment" | "context" => Some("it belongs to Backstage's backend; use parameters or entity"),
            _ => None,
        };
        self.fault(if let Some(reason) = reason {
            format!("`{name}` is not known in resources: {reason}")
        } else {
            let near = hint(name, ROOTS);
            format!(
                "`{}` is not known{near}; expected one of {}",
                shown(name, 63),
                listed(ROOTS, 10)
            )
        });
    }
}
