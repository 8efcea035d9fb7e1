//! The resources of files, with the place of each.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::Value;

use crate::api::{API_VERSION, GROUP};
use crate::catalog::conversion::names::is_object_name;
use crate::catalog::yaml::{self, Data, Limits, Node, Places, Reader};
use crate::cli::Fault;
use crate::cli::import::bounded;
use crate::controllers::wakes::{Key, OwnKind};
use crate::template::definition;

/// The largest file that is read.
const FILE: u64 = 64 << 20;
/// How many values a document of a file has at most, with its aliases written out.
const VALUES: usize = 4_000_000;
/// Folders that hold nothing of one's own.
const PASSED_OVER: [&str; 2] = [".git", "node_modules"];
/// The most misfits that are told of one resource.
const TOLD: usize = 10;

/// Something that is wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A file, with line and column where they are known.
    pub place: String,
    /// What was found, what was expected, and what to do.
    pub message: String,
}

/// A resource of ours in a file.
#[derive(Clone)]
pub struct Document {
    /// Its file, line and column; nothing for one that is in no file.
    pub place: String,
    /// Which one it is.
    pub key: Key,
    /// It, with its namespace and the defaults of its kind's definition.
    pub object: DynamicObject,
}

/// What files hold.
#[derive(Default)]
pub struct Files {
    /// The resources of ours that are what their kinds' definitions take.
    pub documents: Vec<Document>,
    /// What is wrong with the others.
    pub faults: Vec<Finding>,
    /// How many documents are not of our kinds.
    pub others: usize,
    seen: HashMap<Key, String>,
}

/// Reads `sources`: files, folders with all the YAML and JSON in them, or `-` for standard input. What names no namespace is
/// taken to be in `namespace`.
///
/// # Errors
/// When a source is not there, or none holds a document of ours, good or bad.
pub fn read(sources: &[PathBuf], namespace: &str) -> Result<Files, Fault> {
    let mut files = Files::default();
    for source in sources {
        if source.as_os_str() == "-" {
            match bounded(io::stdin().lock(), FILE) {
                Ok(text) => files.text("standard input", &text, namespace),
                Err(reason) => files.fault("standard input", reason),
            }
        } else if source.is_dir() {
            files.folder(source, namespace);
        } else {
            fs::metadata(source).map_err(|error| format!("{}: {error}", source.display()))?;
            files.file(source, namespace);
        }
    }
    if files.documents.is_empty() && files.faults.is_empty() {
        return Err(format!(
            "no resource of {GROUP} is in {}; Backstage's descriptors are converted by landfall import",
            sources
                .iter()
                .map(|source| source.display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        )
        .into());
    }
    Ok(files)
}

impl Files {
    /// Takes in a resource that is in no file.
    pub fn add(&mut self, key: Key, object: DynamicObject) {
        if self.seen.insert(key.clone(), String::new()).is_none() {
            self.documents.push(Document {
                place: String::new(),
                key,
                object,
            });
        }
    }

    fn fault(&mut self, place: &str, message: impl Into<String>) {
        self.faults.push(Finding {
            place: place.to_owned(),
            message: message.into(),
        });
    }

    fn folder(&mut self, folder: &Path, namespace: &str) {
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(error) => return self.fault(&folder.display().to_string(), error.to_string()),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // A link to a folder is not followed: it may lead back.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !PASSED_OVER.iter().any(|name| entry.file_name() == *name) {
                    self.folder(&path, namespace);
                }
            } else if path
                .extension()
                .is_some_and(|end| end == "yaml" || end == "yml" || end == "json")
            {
                self.file(&path, namespace);
            }
        }
    }

    fn file(&mut self, path: &Path, namespace: &str) {
        let name = path.display().to_string();
        let text = File::open(path)
            .map_err(|error| error.to_string())
            .and_then(|file| bounded(file, FILE));
        match text {
            Ok(text) => self.text(&name, &text, namespace),
            Err(reason) => self.fault(&name, reason),
        }
    }

    fn text(&mut self, name: &str, text: &str, namespace: &str) {
        // A list of objects is longer than any one of them.
        let limits = Limits {
            bytes: text.len(),
            values: text.len().min(VALUES),
            // Files are planned as they are applied.
            merge: true,
            reader: Reader::Kubectl,
            ..Limits::default()
        };
        for document in yaml::documents(text, limits) {
            match document {
                Ok(document) => match items(&document.root) {
                    Some(items) => items.iter().for_each(|item| self.resource(name, item, namespace)),
                    None => self.resource(name, &document.root, namespace),
                },
                Err(fault) => self.fault(&format!("{name}:{}", fault.place), fault.message),
            }
        }
    }

    fn resource(&mut self, name: &str, root: &Node, namespace: &str) {
        let place = format!("{name}:{}", root.place);
        let mut value = root.value();
        let text = |path: &str| value.pointer(path).and_then(Value::as_str);
        let api_version = text("/apiVersion").unwrap_or_default();
        if api_version.split('/').next() != Some(GROUP) {
            self.others += usize::from(!value.is_null());
            return;
        }
        let kind = OwnKind::ALL.into_iter().find(|kind| text("/kind") == Some(kind.kind()));
        let (Some(kind), true) = (kind, api_version == API_VERSION) else {
            let found = format!("{api_version} {}", text("/kind").unwrap_or_default());
            let kinds = OwnKind::ALL.map(OwnKind::kind).join(", ");
            return self.fault(
                &place,
                format!("found {found}, expected {API_VERSION} and one of {kinds}"),
            );
        };
        let Some(called) = text("/metadata/name").filter(|called| is_object_name(called)) else {
            let message = "metadata.name: expected lower-case letters, digits, - and ., beginning and ending with a letter or digit";
            return self.fault(&place, message);
        };
        let key = Key {
            kind,
            namespace: text("/metadata/namespace").unwrap_or(namespace).to_owned(),
            name: called.to_owned(),
        };
        if let Some(fields) = value.as_object_mut() {
            fields.remove("status");
        }
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("namespace".to_owned(), Value::String(key.namespace.clone()));
        }
        if !self.fits(name, root, &value) {
            return;
        }
        if let Some(first) = self.seen.get(&key) {
            let message = format!("{key} is there already, in {first}; leave one of them out");
            return self.fault(&place, message);
        }
        match serde_json::from_value(definition::with_defaults(&value)) {
            Ok(object) => {
                self.seen.insert(key.clone(), place.clone());
                self.documents.push(Document { place, key, object });
            }
            Err(error) => self.fault(&place, error.to_string()),
        }
    }

    /// Whether a resource is what its kind's definition takes; what is wrong with it is told with its place.
    fn fits(&mut self, name: &str, root: &Node, value: &Value) -> bool {
        let misfits = definition::misfits(value);
        let mut places = Places::of(root);
        for misfit in misfits.iter().take(TOLD) {
            let place = format!("{name}:{}", places.locate(&misfit.steps));
            self.fault(&place, misfit.message.clone());
        }
        if misfits.len() > TOLD {
            let message = format!("and {} more of its fields do not fit", misfits.len() - TOLD);
            self.fault(&format!("{name}:{}", root.place), message);
        }
        misfits.is_empty()
    }
}

/// The items of a list of objects, as kubectl gives it.
fn items(root: &Node) -> Option<&Vec<Node>> {
    let Data::Map(fields) = &root.data else { return None };
    let field = |name: &str| fields.iter().find(|(key, ..)| key == name).map(|(.., node)| node);
    let is_list = matches!(field("kind").map(|kind| &kind.data), Some(Data::Scalar(Value::String(kind))) if kind.ends_with("List"));
    match field("items").map(|items| &items.data) {
        Some(Data::List(items)) if is_list => Some(items),
        _ => None,
    }
}
