//! Parts: what the includes of a template come to for one instance, and the references that it wants read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::draft::Planner;
use super::{MAX_OBJECTS, Part, Version, stop_reason};
use crate::api::reasons::Reason;
use crate::template::compile::template_fault;
use crate::template::expression::evaluate::Evaluator;
use crate::template::expression::term::{Stop, kind_of};
use crate::template::fault::Fault;
use crate::template::include::CompiledInclude;
use crate::template::names::shown;
use crate::template::references::{self, CompiledReference, WantedReference};
use crate::template::tree::{At, Node};

/// The parts of each include, by the places of its version and of itself; none where one of them could not be made.
pub(super) type PartsByInclude = BTreeMap<(usize, usize), Option<Vec<Arc<Part>>>>;

/// The references of all versions and parts.
#[derive(Default)]
pub(super) struct References {
    pub(super) read: BTreeMap<String, WantedReference>,
    /// The ids of those whose `if` is false.
    pub(super) unwanted: BTreeSet<String>,
    pub(super) faults: Vec<Fault>,
}

impl Planner<'_> {
    /// The references that are wanted, as far as the parts are known that want them.
    pub(super) fn wanted_references(&self) -> References {
        let mut found = References::default();
        for (place, version) in self.versions.iter().enumerate() {
            self.look(&version.compiled.references, version, None, &mut found);
            for (include, compiled) in version.compiled.includes.iter().enumerate() {
                let parts = self.parts.get(&(place, include)).and_then(Option::as_ref);
                for part in parts.into_iter().flatten() {
                    self.look(&compiled.references, version, Some(part), &mut found);
                }
            }
        }
        found
    }

    fn look(&self, all: &[CompiledReference], version: &Version, part: Option<&Part>, found: &mut References) {
        let evaluator = Evaluator {
            scope: self.inputs.scope(version, part, None),
            meter: self.meter,
        };
        for reference in all {
            let id = format!("{}{}", part.map_or("", |part| &part.within), reference.id);
            match references::wanted(reference, &evaluator) {
                Ok(Some(wanted)) => {
                    found.read.entry(id.clone()).or_insert(WantedReference { id, ..wanted });
                }
                Ok(None) => {
                    found.unwanted.insert(id);
                }
                Err(fault) => found.faults.push(fault),
            }
        }
    }

    /// The parts of an include; none where something is wrong with one of them, which is noted once.
    pub(super) fn parts_of(&mut self, version: usize, include: usize) -> Option<Vec<Arc<Part>>> {
        if let Some(known) = self.parts.get(&(version, include)) {
            return known.clone();
        }
        let made = self.make_parts(version, include);
        self.parts.insert((version, include), made.clone());
        made
    }

    fn make_parts(&mut self, version: usize, place: usize) -> Option<Vec<Arc<Part>>> {
        let parent = self.versions.get(version)?.compiled.includes.get(place)?.parent;
        let around = match parent {
            None => vec![None],
            Some(parent) => self.parts_of(version, parent)?.into_iter().map(Some).collect(),
        };
        let mut parts: Vec<Arc<Part>> = Vec::new();
        let mut faults = Vec::new();
        for around in around {
            let Some(within) = self.versions.get(version) else {
                break;
            };
            let Some(include) = within.compiled.includes.get(place) else {
                break;
            };
            let maker = Maker {
                planner: self,
                version: within,
                include,
                place,
                around: around.as_deref(),
            };
            match maker.make(parts.len()) {
                Ok(made) => parts.extend(made.into_iter().map(Arc::new)),
                Err(found) => faults.extend(found),
            }
            if parts.len() > MAX_OBJECTS {
                faults.push(maker.too_many());
            }
            if faults.iter().any(|fault| fault.reason == Reason::TooManyObjects) {
                break;
            }
        }
        let whole = faults.is_empty();
        self.faults.extend(faults);
        whole.then_some(parts)
    }
}

/// Makes the parts of one include within one other.
struct Maker<'m> {
    planner: &'m Planner<'m>,
    version: &'m Version,
    include: &'m CompiledInclude,
    place: usize,
    around: Option<&'m Part>,
}

impl Maker<'_> {
    fn fault(&self, reason: Reason, field: &str, message: impl Into<String>) -> Fault {
        template_fault(
            reason,
            &format!("include[{}].{field}", self.include.id),
            &message.into(),
        )
    }

    fn too_many(&self) -> Fault {
        self.fault(
            Reason::TooManyObjects,
            "each",
            format!("included more than {MAX_OBJECTS} times, which is the most that a plan may have objects"),
        )
    }

    fn stopped(&self, field: &str, stop: Stop) -> Fault {
        self.fault(stop_reason(&stop), field, stop.told())
    }

    fn evaluator<'e>(&'e self, each: Option<&'e Value>) -> Evaluator<'e> {
        Evaluator {
            scope: self.planner.inputs.scope(self.version, self.around, each),
            meter: self.planner.meter,
        }
    }

    fn make(&self, before: usize) -> Result<Vec<Part>, Vec<Fault>> {
        let entries = match &self.include.each {
            None => vec![None],
            Some(each) => {
                let value = each
                    .value(&self.evaluator(None))
                    .map_err(|at| vec![self.stopped("each", at.what)])?;
                let entries =
                    entries(value).map_err(|message| vec![self.fault(Reason::RenderFailed, "each", message)])?;
                // Before any of them is made: each has parameters of its own.
                if before + entries.len() > MAX_OBJECTS {
                    return Err(vec![self.too_many()]);
                }
                entries.into_iter().map(Some).collect()
            }
        };
        let (mut parts, mut faults) = (Vec::new(), Vec::new());
        for each in entries {
            match self.part(each.as_ref(), before + parts.len()) {
                Ok(part) => parts.extend(part),
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(parts) } else { Err(faults) }
    }

    /// One part, if its `if` holds.
    fn part(&self, each: Option<&Value>, order: usize) -> Result<Option<Part>, Vec<Fault>> {
        let evaluator = self.evaluator(each);
        let wanted = self
            .include
            .condition
            .as_ref()
            .map_or(Ok(true), |condition| condition.holds(&evaluator));
        if !wanted.map_err(|stop| vec![self.stopped("if", stop)])? {
            return Ok(None);
        }
        let key = each.and_then(|each| each.get("key")).and_then(Value::as_str);
        let given = self.given(&evaluator)?;
        let parameters = self.include.schema.complete(&given).map_err(|faults| {
            let key = key.map_or_else(String::new, |key| format!(" (for {})", shown(key, 63)));
            let told = |fault: Fault| self.fault(fault.reason, &fault.field, format!("{}{key}", fault.message));
            faults.into_iter().map(told).collect::<Vec<_>>()
        })?;
        let mut keys = self.around.map(|around| around.keys.clone()).unwrap_or_default();
        keys.extend(key.map(str::to_owned));
        let before = self.around.map_or("", |around| &around.within);
        let own = self.include.id.rsplit('.').next().unwrap_or_default();
        let within = match key {
            Some(key) => format!("{before}{own}[{key}]."),
            None => format!("{before}{own}."),
        };
        Ok(Some(Part {
            include: self.place,
            order,
            keys,
            parameters: Value::Object(parameters),
            within,
        }))
    }

    /// The parameters as the include gives them.
    fn given(&self, evaluator: &Evaluator<'_>) -> Result<Map<String, Value>, Vec<Fault>> {
        let parameters: &Node = &self.include.parameters;
        match parameters.value(evaluator) {
            Ok(Some(Value::Object(given))) => Ok(given),
            Ok(None | Some(Value::Null)) => Ok(Map::new()),
            Ok(Some(other)) => Err(vec![self.fault(
                Reason::RenderFailed,
                "parameters",
                format!("found {}, expected a map", kind_of(&other)),
            )]),
            Err(At { path, what }) => {
                let field = if path.is_empty() {
                    "parameters".to_owned()
                } else {
                    format!("parameters.{path}")
                };
                Err(vec![self.stopped(&field, what)])
            }
        }
    }
}

/// `{key, value, index}` for each entry of a list or a map.
pub(super) fn entries(value: Option<Value>) -> Result<Vec<Value>, String> {
    let entries: Vec<(String, Value)> = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| (index.to_string(), item))
            .collect(),
        Some(Value::Object(map)) => map.into_iter().collect(),
        Some(other) => return Err(format!("found {}, expected a list or a map", kind_of(&other))),
    };
    let bound = entries.into_iter().enumerate();
    Ok(bound
        .map(|(index, (key, value))| json!({"key": key, "value": value, "index": index}))
        .collect())
}
