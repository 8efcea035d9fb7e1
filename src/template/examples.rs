//! Examples of a template: what is said to come out of it, against what does. Pure, and bounded by the work that all of a
//! template's examples may do together, so that none can go on without end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::compile::{Compiled, Policy};
use super::expression::term::{MAX_PLAN_WORK, Meter};
use super::fault::Fault;
use super::kinds::Kinds;
use super::names::{below, hint, listed, push_index, shown};
use super::plan::{Live, Plan, PlanRequest, Rendered};
use super::planning;
use crate::api::API_VERSION;
use crate::api::example::{Example, ExpectedFault, ExpectedResource};
use crate::api::reasons::Reason;
use crate::catalog::refs::EntityRef;

/// The most work that all examples of a template may do together: that of two plans.
const ALL: u64 = 2 * MAX_PLAN_WORK;
/// The most mismatches that are told of one example.
const TOLD: usize = 10;
/// The most characters of a value that are told.
const VALUE: usize = 120;
/// The name and the namespace of an entity of which an example says neither.
const UNNAMED: &str = "example";

/// What examples are planned with.
pub struct Examples<'a> {
    /// The template's namespace and name.
    pub template: (&'a str, &'a str),
    /// The content that is tested.
    pub compiled: Arc<Compiled>,
    /// The Template's `targetNamespaces`.
    pub target_namespaces: BTreeSet<String>,
    /// The picture of the cluster's kinds.
    pub kinds: &'a dyn Kinds,
    /// What the administrator allows.
    pub policy: &'a Policy,
}

/// How one example came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its name.
    pub name: String,
    /// Where it is not as it says, each with what was found and what was expected; none where it holds.
    pub mismatches: Vec<String>,
}

impl Verdict {
    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.mismatches.is_empty()
    }

    /// What is wrong with the template by it.
    pub fn faults(&self) -> impl Iterator<Item = Fault> {
        self.mismatches.iter().map(|mismatch| Fault {
            reason: Reason::ExampleFailed,
            resource: None,
            field: format!("examples[{}]", shown(&self.name, 63)),
            message: mismatch.clone(),
        })
    }
}

impl Examples<'_> {
    /// Runs all of `examples`, in their order.
    pub fn run(&self, examples: &[Example]) -> Vec<Verdict> {
        let mut left = ALL;
        let mut verdicts = Vec::with_capacity(examples.len());
        for example in examples {
            let mismatches = if left == 0 {
                vec![format!(
                    "was not run, since the examples before it have done all the work that a template's examples may do, {} MiB of data; make them smaller",
                    ALL >> 20
                )]
            } else {
                let meter = Meter::new(left.min(MAX_PLAN_WORK));
                let given = meter.left();
                let mismatches = self.one(example, &meter);
                left = left.saturating_sub(given - meter.left());
                mismatches
            };
            verdicts.push(Verdict {
                name: example.name.clone(),
                mismatches,
            });
        }
        verdicts
    }

    fn one(&self, example: &Example, meter: &Meter) -> Vec<String> {
        let entity = entity(example);
        let text = |path: &str| entity.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let namespace = text("/metadata/namespace").to_owned();
        let owner = other(&example.owner, "group", &namespace);
        let system = if example.system.is_empty() {
            Value::Null
        } else {
            other(&example.system, "system", &namespace)
        };
        let request = PlanRequest {
            entity: &entity,
            owner: &owner,
            system: &system,
            template_name: self.template.1,
            template_namespace: self.template.0,
            parameters: &example.parameters,
            base: Arc::clone(&self.compiled),
            environments: BTreeMap::new(),
            newest: None,
            system_namespaces: example.system_namespaces.iter().cloned().collect(),
            target_namespaces: self.target_namespaces.clone(),
            kinds: self.kinds,
            policy: self.policy,
            references: BTreeMap::new(),
        };
        let planned = planning::plan(&request, meter).and_then(|plan| {
            let faults = plan.faults_within(meter);
            if faults.is_empty() { Ok(plan) } else { Err(faults) }
        });
        let mut found = match (&example.expect.fault, planned) {
            (None, Ok(plan)) => Matching::new(example, &plan, meter).all(),
            (None, Err(faults)) => faults
                .iter()
                .map(|fault| format!("cannot be planned: {fault}"))
                .collect(),
            (Some(expected), Ok(plan)) => vec![format!(
                "found a plan of {} objects, expected {}",
                plan.objects.len(),
                words(expected)
            )],
            (Some(expected), Err(faults)) => refused(expected, &faults),
        };
        let more = found.len().saturating_sub(TOLD);
        found.truncate(TOLD);
        if more > 0 {
            found.push(format!("and {more} more differences"));
        }
        found
    }
}

/// The entity of an example: what it says, and for the rest a plain Component.
fn entity(example: &Example) -> Value {
    let mut entity = json!({
        "apiVersion": API_VERSION, "kind": "Component",
        "metadata": {"name": UNNAMED, "namespace": UNNAMED, "uid": "00000000-0000-0000-0000-000000000000", "labels": {}, "annotations": {}},
        "spec": {"type": "service", "lifecycle": "production", "owner": format!("group:{UNNAMED}")},
    });
    overlay(&mut entity, &Value::Object(example.entity.clone()));
    entity
}

/// The owner or the system of an example, as expressions see one.
fn other(said: &Map<String, Value>, kind: &str, namespace: &str) -> Value {
    let text = |name: &str, otherwise: &str| {
        let found = said.get(name).and_then(Value::as_str);
        found.unwrap_or(otherwise).to_owned()
    };
    let (kind, namespace, name) = (
        text("kind", kind).to_lowercase(),
        text("namespace", namespace),
        text("name", UNNAMED),
    );
    let exists = said.get("exists").and_then(Value::as_bool).unwrap_or(true);
    let spec = said.get("spec").cloned().unwrap_or_else(|| json!({}));
    json!({
        "ref": EntityRef::new(&kind, &namespace, &name).to_string(),
        "kind": kind, "namespace": namespace, "name": name, "exists": exists,
        "spec": if exists { spec } else { Value::Null },
    })
}

fn overlay(value: &mut Value, said: &Value) {
    match (value, said) {
        (Value::Object(fields), Value::Object(said)) => {
            for (name, said) in said {
                overlay(fields.entry(name.clone()).or_insert(Value::Null), said);
            }
        }
        (value, said) => *value = said.clone(),
    }
}

fn words(expected: &ExpectedFault) -> String {
    let mut words = expected
        .reason
        .as_ref()
        .map_or_else(|| "a fault".to_owned(), |reason| format!("the fault {reason}"));
    if let Some(text) = &expected.message {
        words = format!("{words} that says \"{}\"", shown(text, VALUE));
    }
    words
}

fn refused(expected: &ExpectedFault, faults: &[Fault]) -> Vec<String> {
    let is = |fault: &Fault| {
        expected
            .reason
            .as_ref()
            .is_none_or(|reason| reason == fault.reason.as_str())
            && expected
                .message
                .as_ref()
                .is_none_or(|text| fault.to_string().contains(text))
    };
    if faults.iter().any(is) {
        return Vec::new();
    }
    let found: Vec<String> = faults
        .iter()
        .map(|fault| format!("{}: {fault}", fault.reason))
        .collect();
    vec![format!(
        "found {}; expected {}",
        listed(found.iter().map(String::as_str), 3),
        words(expected)
    )]
}

/// A plan that is matched with what an example says of it.
struct Matching<'m> {
    example: &'m Example,
    plan: &'m Plan,
    meter: &'m Meter,
    labels: Vec<String>,
    live: Live,
}

impl<'m> Matching<'m> {
    fn new(example: &'m Example, plan: &'m Plan, meter: &'m Meter) -> Self {
        let labels: Vec<String> = plan
            .objects
            .iter()
            .map(|object| match &object.each_key {
                Some(key) => format!("{}/{key}", object.resource),
                None => object.resource.clone(),
            })
            .collect();
        let live = example.live.iter().filter_map(|(label, value)| {
            let place = labels.iter().position(|known| known == label)?;
            Some((place, Arc::new(value.clone())))
        });
        let live = live.collect();
        Self {
            example,
            plan,
            meter,
            labels,
            live,
        }
    }

    fn all(&self) -> Vec<String> {
        let expect = &self.example.expect;
        let mut found = Vec::new();
        for label in self.example.live.keys().filter(|label| !self.labels.contains(label)) {
            found.push(format!("live.{}: {}", shown(label, 63), self.missing(label)));
        }
        if let Some(count) = expect.count
            && usize::try_from(count) != Ok(self.plan.objects.len())
        {
            let names = listed(self.labels.iter().map(String::as_str), 10);
            found.push(format!(
                "found {} objects, expected {count}: {names}",
                self.plan.objects.len()
            ));
        }
        for expected in &expect.resources {
            self.resource(expected, &mut found);
        }
        if !expect.output.is_empty() {
            let (output, faults) = self.plan.output(&self.live);
            found.extend(faults.iter().map(ToString::to_string));
            differences(
                Some(&Value::Object(output)),
                &Value::Object(expect.output.clone()),
                "output",
                &mut found,
            );
        }
        found
    }

    fn missing(&self, label: &str) -> String {
        let near = hint(label, self.labels.iter().map(String::as_str));
        let names = listed(self.labels.iter().map(String::as_str), 10);
        let there = if self.labels.is_empty() {
            "; the plan is empty".to_owned()
        } else if near.is_empty() {
            format!("; the plan has {names}")
        } else {
            near
        };
        format!("is not in the plan{there}")
    }

    /// The ids of the template's resources.
    fn declared(&self) -> impl Iterator<Item = &str> {
        let resources = self
            .plan
            .versions
            .iter()
            .flat_map(|version| &version.compiled.resources);
        resources.map(|resource| resource.id.as_str())
    }

    /// Whether the template has a resource of this id, or one of which this is an object by its key.
    fn is_declared(&self, id: &str) -> bool {
        let resource = id.split('/').next().unwrap_or_default();
        self.declared().any(|known| known == resource)
    }

    fn resource(&self, expected: &ExpectedResource, found: &mut Vec<String>) {
        let said = format!("resource \"{}\"", shown(&expected.id, 126));
        let place = self.labels.iter().position(|label| *label == expected.id);
        let Some(place) = place else {
            if !expected.absent {
                found.push(format!("{said} {}", self.missing(&expected.id)));
            } else if !self.is_declared(&expected.id) {
                // That something is absent which no resource is called says nothing.
                let near = hint(&expected.id, self.declared());
                found.push(format!("{said}: the template has no resource of this id{near}"));
            }
            return;
        };
        if expected.absent {
            let object = self.plan.objects.get(place);
            let named = object.map_or_else(String::new, |object| format!(": {} {}", object.kind.kind, object.name));
            found.push(format!("{said} is in the plan{named}; expected it to be absent"));
            return;
        }
        if expected.manifest.is_empty() {
            return;
        }
        let mut differ = Vec::new();
        match self.plan.render_within(self.meter, place, &self.live) {
            Ok(Rendered::Object(body)) => {
                differences(Some(&body), &Value::Object(expected.manifest.clone()), "", &mut differ);
            }
            Ok(Rendered::Waiting { field, value }) => differ.push(format!(
                "{field}: waits for {value}; say under the example's live what it is to be"
            )),
            Err(fault) => differ.push(fault.to_string()),
        }
        found.extend(differ.into_iter().map(|difference| format!("{said}, {difference}")));
    }
}

/// Adds each place at which `found` does not say what is `expected`. A map may have more fields than are expected; a field
/// that is expected to be null must not be there; a list has exactly its items.
fn differences(found: Option<&Value>, expected: &Value, path: &str, into: &mut Vec<String>) {
    match (found, expected) {
        (None | Some(Value::Null), Value::Null) => {}
        (Some(Value::Object(fields)), Value::Object(expected)) => {
            for (name, expected) in expected {
                differences(fields.get(name), expected, &below(path, name), into);
            }
        }
        (Some(Value::Array(items)), Value::Array(expected)) if items.len() == expected.len() => {
            for (place, (item, expected)) in items.iter().zip(expected).enumerate() {
                let mut path = path.to_owned();
                push_index(&mut path, place);
                differences(Some(item), expected, &path, into);
            }
        }
        (Some(found), expected) if found == expected => {}
        (found, expected) => into.push(format!(
            "{path}: found {}, expected {}",
            found.map_or_else(|| "nothing".to_owned(), told),
            if expected.is_null() {
                "nothing".to_owned()
            } else {
                told(expected)
            },
        )),
    }
}

fn told(value: &Value) -> String {
    shown(&value.to_string(), VALUE)
}
