//! What is imported in one go, and what is said about it on standard error.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write as _};

use serde_json::Value;

use super::page::Item;
use crate::catalog::conversion::{self, Imported, Placing, Remark};
use crate::catalog::refs::EntityRef;
use crate::catalog::yaml::{self, Limits, Node, Places};
use crate::cli::{Fault, Outcome, printable};
use crate::template::names::count;

/// A resource and where it comes from.
#[derive(Debug)]
pub struct Entry {
    /// A file with line and column, or a ref.
    pub origin: String,
    /// What the entity was called there.
    pub reference: EntityRef,
    /// The resource.
    pub resource: Value,
}

/// The entities of one import.
#[derive(Debug, Default)]
pub struct Batch {
    entries: Vec<Entry>,
    /// How many documents there were, good and bad.
    documents: usize,
    faults: usize,
}

/// Some entities were not imported; which, and why, was said.
#[derive(Debug, thiserror::Error)]
#[error("{imported} imported, {}: see above", count(*faults, "fault"))]
struct Incomplete {
    imported: usize,
    faults: usize,
}

impl Batch {
    /// Counts a document, good or bad.
    pub fn count(&mut self) {
        self.documents += 1;
    }

    /// Takes a document of a file. Gives the resource that it became.
    pub fn add_document(&mut self, file: &str, root: &Node) -> Option<&Value> {
        let origin = format!("{file}:{}", root.place);
        let mut places = Places::of(root);
        let mut place = |remark: &Remark| format!("{file}:{}", places.locate(&remark.path));
        self.add(&origin, &root.value(), &mut place)
    }

    /// Takes an entity that a running catalog gave.
    pub fn add_item(&mut self, item: Item) {
        let Item { origin, entity, note } = item;
        self.count();
        if let Some(note) = note {
            Self::note(&origin, &note);
        }
        let document = entity.and_then(|mut entity| {
            conversion::detach(&mut entity);
            let document = Node::at(yaml::Place::default(), entity);
            Limits::default().hold(&document)?;
            Ok(document.value())
        });
        match document {
            Ok(document) => {
                self.add(&origin, &document, &mut |_| origin.clone());
            }
            Err(reason) => self.fault(&origin, &reason),
        }
    }

    fn add(&mut self, origin: &str, document: &Value, place: &mut dyn FnMut(&Remark) -> String) -> Option<&Value> {
        match conversion::import(document) {
            Ok(Imported {
                resource,
                reference,
                notes,
            }) => {
                for note in notes {
                    Self::note(&place(&note), &note.message);
                }
                self.entries.push(Entry {
                    origin: origin.to_owned(),
                    reference,
                    resource,
                });
                self.entries.last().map(|entry| &entry.resource)
            }
            Err(remarks) => {
                for remark in remarks {
                    self.fault(&place(&remark), &remark.message);
                }
                None
            }
        }
    }

    /// Says that something is not imported, and why.
    pub fn fault(&mut self, place: &str, message: &str) {
        self.faults(1, place, message);
    }

    /// Says that so many are not imported, all for one reason; the first is at `place`.
    pub fn faults(&mut self, number: usize, place: &str, message: &str) {
        self.faults += number;
        say(&format!("{place}: {message}"));
    }

    /// Says what one may want to know.
    pub fn note(place: &str, message: &str) {
        say(&format!("{place}: note: {message}"));
    }

    /// Puts every entity where it goes. Of several that would be one object the first stays.
    pub fn settle(&mut self, namespace: Option<&str>) {
        let mut entries = std::mem::take(&mut self.entries);
        if let Some(namespace) = namespace {
            let all: HashSet<EntityRef> = entries.iter().map(|entry| entry.reference.clone()).collect();
            let placing = Placing {
                namespace,
                comes_along: &|reference| all.contains(reference),
            };
            for entry in &mut entries {
                if !conversion::place(&mut entry.resource, &placing) {
                    let message = format!(
                        "{} has no kind of its own here: what refs it has are written as they were, and mean entities of {namespace} where they name no namespace",
                        entry.reference
                    );
                    Self::note(&entry.origin, &message);
                }
            }
        }
        let mut seen: HashMap<[String; 3], (String, EntityRef)> = HashMap::new();
        for entry in entries {
            let text = |path: &str| entry.resource.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let object = ["/kind", "/metadata/namespace", "/metadata/name"].map(|path| text(path).to_owned());
            let Some((first, reference)) = seen.get(&object) else {
                seen.insert(object, (entry.origin.clone(), entry.reference.clone()));
                self.entries.push(entry);
                continue;
            };
            let message = if *reference == entry.reference {
                format!("{reference} is there already, in {first}; leave one of them out")
            } else {
                let [kind, namespace, name] = &object;
                format!(
                    "{} and {reference}, in {first}, would both be the {kind} {name} in namespace {namespace}; rename one of them, or give one a name for its object under metadata.{}.name",
                    entry.reference,
                    conversion::OURS
                )
            };
            self.fault(&entry.origin, &message);
        }
    }

    /// The entities.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Takes the entities out.
    pub fn take(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Puts back one that was imported.
    pub fn put(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// The end of an import.
    ///
    /// # Errors
    /// When something was not imported.
    pub fn conclude(self) -> Result<Outcome, Fault> {
        if self.faults == 0 {
            return Ok(Outcome::Done);
        }
        Err(Box::new(Incomplete {
            imported: self.entries.len(),
            faults: self.faults,
        }))
    }

    /// The end of a check. A check that found nothing wrong says so, since one that has looked at nothing has, too.
    pub fn conclude_check(self) -> Outcome {
        say(&format!(
            "{}, {}",
            count(self.documents, "descriptor"),
            count(self.faults, "fault")
        ));
        if self.faults == 0 {
            Outcome::Done
        } else {
            Outcome::Findings
        }
    }
}

/// Writes a line to standard error, in which no character of the input moves the cursor or hides another.
pub fn say(line: &str) {
    // Who does not listen has no need to be told.
    let _ = writeln!(io::stderr().lock(), "{}", printable(line));
}
