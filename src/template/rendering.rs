//! What a plan's objects and its output come to, once the live values they name are there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value};

use super::compile::template_fault;
use super::expression::context::Scope;
use super::expression::evaluate::Evaluator;
use super::expression::term::{Meter, Stop, size, truthy};
use super::fault::Fault;
use super::names::{below, push_index};
use super::plan::{Live, Plan, PlannedObject, Rendered};
use super::planning::{Binding, Version};
use super::resource::CompiledResource;
use super::rules;
use super::tree::{At, Key, MAX_PLAN, Node, Rendering};
use crate::api::reasons::Reason;

/// The most bytes of an instance's output.
const MAX_OUTPUT: usize = 64 * 1024;

/// Whether a field of the output is one of Backstage's lists, whose items may have an `if`.
pub(crate) fn has_items(name: &str) -> bool {
    matches!(name, "links" | "text")
}

/// How large each object of a plan was when it was last rendered.
#[derive(Debug)]
pub(crate) struct Sizes(Vec<AtomicUsize>);

impl Sizes {
    /// Sizes of objects that were not rendered yet.
    pub(crate) fn new(count: usize) -> Self {
        Self(std::iter::repeat_with(AtomicUsize::default).take(count).collect())
    }

    /// Notes the size of one object, and gives the size of all.
    fn note(&self, place: usize, bytes: usize) -> usize {
        if let Some(size) = self.0.get(place) {
            size.store(bytes, Ordering::Relaxed);
        }
        self.0.iter().map(|size| size.load(Ordering::Relaxed)).sum()
    }
}

/// Everything about one place of a plan.
struct Place<'p> {
    object: &'p PlannedObject,
    binding: &'p Binding,
    version: &'p Version,
    resource: &'p CompiledResource,
}

impl Place<'_> {
    fn label(&self) -> String {
        match &self.object.each_key {
            Some(key) => format!("{}/{}", self.object.resource, super::names::shown(key, 63)),
            None => self.object.resource.clone(),
        }
    }

    fn fault(&self, reason: Reason, field: &str, message: impl Into<String>) -> Fault {
        Fault {
            reason,
            resource: Some(self.label()),
            field: field.to_owned(),
            message: message.into(),
        }
    }
}

impl Plan {
    fn at(&self, place: usize) -> Result<Place<'_>, Fault> {
        let found = self
            .objects
            .get(place)
            .zip(self.bindings.get(place))
            .and_then(|(object, binding)| {
                let version = self.versions.get(binding.version)?;
                let resource = version.compiled.resources.get(binding.resource)?;
                Some(Place {
                    object,
                    binding,
                    version,
                    resource,
                })
            });
        found.ok_or_else(|| {
            template_fault(
                Reason::RenderFailed,
                "",
                &format!("the plan has no object at place {place}"),
            )
        })
    }

    fn scope<'a>(
        &'a self,
        version: &'a Version,
        binding: Option<&'a Binding>,
        live: &'a BTreeMap<usize, Arc<Value>>,
    ) -> Scope<'a> {
        let part = binding.and_then(|binding| binding.part.as_deref());
        let each = binding.and_then(|binding| binding.each.as_ref());
        Scope {
            live: Some(live),
            ..self.inputs.scope(version, part, each)
        }
    }

    /// The body of the object at `place`, without our marks.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn render(&self, place: usize, live: &Live) -> Result<Rendered, Fault> {
        self.render_within(&Meter::for_plan(), place, live)
    }

    /// The body of the object at `place`, with as much work as `meter` has.
    pub(crate) fn render_within(&self, meter: &Meter, place: usize, live: &Live) -> Result<Rendered, Fault> {
        let at = self.at(place)?;
        let evaluator = Evaluator {
            scope: self.scope(at.version, Some(at.binding), live),
            meter,
        };
        let rendering = Rendering::new(&evaluator);
        let body = match rendering.render(&at.resource.manifest, "") {
            Ok(Some(Value::Object(body))) => body,
            Ok(_) => return Err(at.fault(Reason::RenderFailed, "manifest", "not a map")),
            Err(At {
                path,
                what: Stop::Waiting(value),
            }) => return Ok(Rendered::Waiting { field: path, value }),
            Err(At {
                path,
                what: Stop::Fault(message),
            }) => {
                return Err(at.fault(Reason::RenderFailed, &below_manifest(&path), message));
            }
        };
        let total = self.sizes.note(place, rendering.bytes());
        if total > MAX_PLAN {
            return Err(at.fault(
                Reason::RenderFailed,
                "manifest",
                format!("the plan's objects have {total} bytes together, more than the 4 MiB that a plan may have"),
            ));
        }
        let mut broken = Vec::new();
        rules::manifest(&body, &mut broken);
        if let Some(broken) = broken.into_iter().next() {
            return Err(rules::of_resource(&at.label(), broken));
        }
        identified(&at, body).map(Rendered::Object)
    }

    /// What is wrong with the bodies as far as that shows before anything is live. A body that waits is not wrong. All of them
    /// together may cost no more than one alone: five hundred that each cost as much would take minutes.
    pub fn faults(&self) -> Vec<Fault> {
        self.faults_within(&Meter::for_plan())
    }

    /// The same with as much work as `meter` has.
    pub(crate) fn faults_within(&self, meter: &Meter) -> Vec<Fault> {
        let live = Live::new();
        let rendered = (0..self.objects.len()).map(|place| self.render_within(meter, place, &live));
        rendered.filter_map(Result::err).collect()
    }

    /// Whether the template's `readyWhen` holds for the live object at `place`; none where it has no `readyWhen`.
    /// A value that the object does not have yet means no.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub fn ready_when(&self, place: usize, object: &Value, live: &Live) -> Result<Option<bool>, Fault> {
        let at = self.at(place)?;
        let Some(condition) = &at.resource.ready_when else {
            return Ok(None);
        };
        let meter = Meter::for_plan();
        let mut scope = self.scope(at.version, Some(at.binding), live);
        scope.itself = Some(object);
        let evaluator = Evaluator { scope, meter: &meter };
        match condition.holds(&evaluator) {
            Ok(holds) => Ok(Some(holds)),
            Err(Stop::Waiting(_)) => Ok(Some(false)),
            Err(Stop::Fault(message)) => Err(at.fault(Reason::RenderFailed, "readyWhen", message)),
        }
    }

    /// The template's `output`; what waits for a live value is left out.
    ///
    /// In `links` and `text`, Backstage's lists, an item waits for itself and may have an `if`.
    ///
    /// # Errors
    /// What is wrong with it, by field; the rest is given all the same.
    pub fn output(&self, live: &Live) -> (Map<String, Value>, Vec<Fault>) {
        let mut output = Map::new();
        let mut faults = Vec::new();
        let Some(version) = self.versions.first() else {
            return (output, faults);
        };
        let meter = Meter::for_plan();
        let evaluator = Evaluator {
            scope: self.scope(version, None, live),
            meter: &meter,
        };
        let mut room = MAX_OUTPUT;
        for (name, node) in &version.compiled.output {
            let field = below("output", name);
            let value = match node {
                Node::List(nodes) if has_items(name) => Some(output_items(nodes, &evaluator, &field, &mut faults)),
                _ => noted(Rendering::new(&evaluator).render(node, &field), &mut faults),
            };
            let Some(value) = value else { continue };
            match room.checked_sub(size(&value, MAX_OUTPUT)) {
                Some(left) => {
                    room = left;
                    output.insert(name.clone(), value);
                }
                None => faults.push(template_fault(
                    Reason::RenderFailed,
                    &field,
                    "the output is larger than 64 KiB with it, which is the most that a status may hold of it",
                )),
            }
        }
        (output, faults)
    }
}

/// The items of `links` or `text` that are wanted and wait for nothing.
fn output_items<'a>(nodes: &'a [Node], evaluator: &Evaluator<'a>, field: &str, faults: &mut Vec<Fault>) -> Value {
    let mut items = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        let mut field = field.to_owned();
        push_index(&mut field, place);
        items.extend(noted(output_item(node, evaluator, &field), faults));
    }
    Value::Array(items)
}

/// An item of `links` or `text`: none where its `if` is false.
fn output_item<'a>(node: &'a Node, evaluator: &Evaluator<'a>, field: &str) -> Result<Option<Value>, At<Stop>> {
    let rendering = Rendering::new(evaluator);
    let wanted = |condition: &'a Node| {
        condition.holds(evaluator).map_err(|what| At {
            path: below(field, "if"),
            what,
        })
    };
    match node {
        Node::Map(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                if matches!(key, Key::Literal(name) if name == "if") {
                    if !wanted(value)? {
                        return Ok(None);
                    }
                } else {
                    rendering.entry(key, value, field, &mut map)?;
                }
            }
            Ok(Some(Value::Object(map)))
        }
        Node::Literal(Value::Object(map)) => {
            let mut map = map.clone();
            let wanted = map.remove("if").is_none_or(|condition| truthy(&condition));
            Ok(wanted.then_some(Value::Object(map)))
        }
        other => rendering.render(other, field),
    }
}

/// A rendered value; none where it waits or is wrong, which is noted.
fn noted(rendered: Result<Option<Value>, At<Stop>>, faults: &mut Vec<Fault>) -> Option<Value> {
    match rendered {
        Ok(value) => value,
        Err(At {
            what: Stop::Waiting(_), ..
        }) => None,
        Err(At {
            path,
            what: Stop::Fault(message),
        }) => {
            faults.push(template_fault(Reason::RenderFailed, &path, &message));
            None
        }
    }
}

fn below_manifest(path: &str) -> String {
    match path {
        "" => "manifest".to_owned(),
        path if path.starts_with('[') => format!("manifest{path}"),
        path => format!("manifest.{path}"),
    }
}

/// Checks that the body still is the object that was planned, and gives it its namespace.
fn identified(at: &Place<'_>, mut body: Map<String, Value>) -> Result<Value, Fault> {
    let object = at.object;
    let changed = |field: &str| {
        at.fault(
            Reason::RenderFailed,
            field,
            "renders to another value than the plan knows; what an object is cannot change",
        )
    };
    if body.get("kind").and_then(Value::as_str) != Some(&object.kind.kind) {
        return Err(changed("manifest.kind"));
    }
    // The plan's version of the kind is the one that was asked for.
    body.insert("apiVersion".to_owned(), Value::String(object.kind.api_version()));
    let Some(Value::Object(metadata)) = body.get_mut("metadata") else {
        return Err(changed("manifest.metadata"));
    };
    if metadata.get("name").and_then(Value::as_str) != Some(&object.name) {
        return Err(changed("manifest.metadata.name"));
    }
    match &object.namespace {
        Some(namespace) => {
            metadata.insert("namespace".to_owned(), Value::String(namespace.clone()));
        }
        None => {
            metadata.remove("namespace");
        }
    }
    // The apiserver takes these empty fields of `kubectl create --dry-run` for ours.
    metadata.remove("creationTimestamp");
    body.remove("status");
    Ok(Value::Object(body))
}
