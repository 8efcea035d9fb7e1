//! Descriptors in files: which are read, and what they may name.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::batch::Batch;
use crate::catalog::conversion::placeholders::{self, Fetched, Report};
use crate::catalog::yaml::{self, Limits, Node, Places};
use crate::cli::Fault;
use crate::cli::export::EXPORTED;

/// The largest file that is read: 64 MiB, some 50,000 descriptors.
const FILE: u64 = 64 << 20;
/// The largest file that stands for a value of a descriptor, all of which must fit an object.
const VALUE: u64 = 3 << 20;
/// How much of a file is looked at to tell whether it is a descriptor.
const BEGINNING: u64 = 64 << 10;
/// How many files that were not read are named.
const NAMED: usize = 3;
/// Folders that hold nothing of one's own.
const PASSED_OVER: [&str; 2] = [".git", "node_modules"];

/// Reads `sources` into `batch`, and the files that locations in them name.
///
/// # Errors
/// When a source is not there.
pub fn read(sources: &[PathBuf], batch: &mut Batch) -> Result<(), Fault> {
    let mut reader = Reader {
        batch,
        seen: HashSet::new(),
        others: Vec::new(),
    };
    for source in sources {
        if source.as_os_str() == "-" {
            match bounded(io::stdin().lock(), FILE) {
                Ok(text) => reader.documents("standard input", None, &text),
                Err(reason) => reader.batch.fault("standard input", &reason),
            }
            continue;
        }
        let root = source
            .canonicalize()
            .map_err(|error| format!("{}: {error}", source.display()))?;
        if root.is_dir() {
            let before = reader.seen.len();
            reader.folder(source, &root);
            if reader.seen.len() == before {
                let message = "there is no catalog-info.yaml and no catalog-info.yml in it that was not read before; name the files themselves";
                Batch::note(&source.display().to_string(), message);
            }
            reader.passed_over(source);
        } else {
            let folder = root.parent().unwrap_or(Path::new("/")).to_owned();
            reader.file(source, &root, &folder);
        }
    }
    Ok(())
}

struct Reader<'a> {
    batch: &'a mut Batch,
    seen: HashSet<PathBuf>,
    /// Files of YAML in the folder that are not called as descriptors are: as they are shown, and where they are.
    others: Vec<(PathBuf, PathBuf)>,
}

/// A file that is being read.
struct Here<'a> {
    /// Where it really is.
    path: &'a Path,
    /// The folder that nothing read for it may be outside of.
    root: &'a Path,
    /// As it was named.
    shown: &'a Path,
}

impl Reader<'_> {
    fn folder(&mut self, folder: &Path, root: &Path) {
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(error) => return self.batch.fault(&folder.display().to_string(), &error.to_string()),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (tidy(&entry.path()), entry.file_name());
            // A link to a folder is not followed: it may lead anywhere, and back.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !PASSED_OVER.iter().any(|passed| name == *passed) {
                    self.folder(&path, root);
                }
            } else if is_descriptor(&name) {
                match path.canonicalize() {
                    Ok(real) if real.starts_with(root) => self.file(&path, &real, root),
                    Ok(_) => self.batch.fault(
                        &path.display().to_string(),
                        "leads out of the folder that is imported; name the file itself",
                    ),
                    Err(error) => self.batch.fault(&path.display().to_string(), &error.to_string()),
                }
            } else if is_yaml(&path)
                && entry.file_type().is_ok_and(|kind| kind.is_file())
                && let Ok(real) = path.canonicalize()
            {
                self.others.push((path, real));
            }
        }
    }

    /// Says which files of `folder` look like descriptors and were not read.
    fn passed_over(&mut self, folder: &Path) {
        let others = std::mem::take(&mut self.others);
        let missed: Vec<String> = others
            .into_iter()
            .filter(|(_, real)| !self.seen.contains(real) && looks_like_descriptor(real))
            .map(|(shown, _)| shown.display().to_string())
            .collect();
        if !missed.is_empty() {
            let named = missed
                .iter()
                .take(NAMED)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            let more = missed.len().saturating_sub(NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let message = format!(
                "files with Backstage's apiVersion are not called catalog-info.yaml and not named by a Location, and were not read: {named}{more}; name those that are meant"
            );
            Batch::note(&folder.display().to_string(), &message);
        }
    }

    fn file(&mut self, shown: &Path, path: &Path, root: &Path) {
        if !self.seen.insert(path.to_owned()) {
            return;
        }
        let name = shown.display().to_string();
        let text = File::open(path)
            .map_err(|error| error.to_string())
            .and_then(|file| bounded(file, FILE));
        match text {
            Ok(text) => self.documents(&name, Some(&Here { path, root, shown }), &text),
            Err(reason) => self.batch.fault(&name, &reason),
        }
    }

    fn documents(&mut self, name: &str, here: Option<&Here<'_>>, text: &str) {
        let exported = text.starts_with(EXPORTED);
        for document in yaml::documents(text, Limits::default()) {
            self.batch.count();
            let mut document = match document {
                Ok(document) => document,
                Err(mut fault) => {
                    if is_skeleton(text) {
                        fault.message +=
                            "; this is a skeleton that a template fills in, not a descriptor; import what it makes";
                    }
                    self.batch.fault(&format!("{name}:{}", fault.place), &fault.message);
                    continue;
                }
            };
            for note in &document.notes {
                Batch::note(&format!("{name}:{}", note.place), &note.message);
            }
            let mut report = Report::default();
            placeholders::fill(&mut document.root, &mut |target| fetch(here, target), &mut report);
            for note in &report.notes {
                Batch::note(&format!("{name}:{}", note.place), &note.message);
            }
            for fault in &report.faults {
                self.batch.fault(&format!("{name}:{}", fault.place), &fault.message);
            }
            if !report.faults.is_empty() {
                continue;
            }
            let resource = self.batch.add_document(name, &document.root);
            let is_location =
                resource.is_some_and(|resource| resource.get("kind").is_some_and(|kind| kind == "Location"));
            if is_location {
                self.follow(name, here, &document.root, exported);
            }
        }
    }

    /// Reads the files that a location names.
    fn follow(&mut self, name: &str, here: Option<&Here<'_>>, location: &Node, exported: bool) {
        let (value, mut places) = (location.value(), Places::of(location));
        let elsewhere = is_from_elsewhere(&value);
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let spec = value.get("spec");
        let field = |field: &str| spec.and_then(|spec| spec.get(field));
        if text(field("type")).is_some_and(|kind| !matches!(kind.as_str(), "url" | "file")) {
            return;
        }
        let optional = field("presence").is_some_and(|presence| presence == "optional");
        let one = text(field("target")).map(|target| (vec!["spec".to_owned(), "target".to_owned()], target));
        let several = field("targets")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate();
        let several = several.filter_map(|(index, target)| {
            let path = ["spec".to_owned(), "targets".to_owned(), index.to_string()];
            Some((path.to_vec(), text(Some(target))?))
        });
        for (path, target) in one.into_iter().chain(several) {
            let place = format!("{name}:{}", places.locate(&path));
            if exported && !target.contains("://") {
                let message = format!(
                    "{target} is not read: an export has the Location as a record, and what it names as entities"
                );
                Batch::note(&place, &message);
                continue;
            }
            let found = match target_of(here, &target) {
                Ok(found) => found,
                Err(Missed::Left(reason)) => {
                    Batch::note(&place, &format!("{target} {reason}"));
                    continue;
                }
                Err(Missed::NotThere(_)) if optional => continue,
                Err(Missed::NotThere(reason) | Missed::Refused(reason)) if elsewhere => {
                    let message = format!("{target} {reason}; it is relative to where the Location was read from");
                    Batch::note(&place, &message);
                    continue;
                }
                Err(Missed::NotThere(reason) | Missed::Refused(reason)) => {
                    self.batch.fault(&place, &format!("{target} {reason}"));
                    continue;
                }
            };
            if let Some(here) = here {
                let shown = tidy(&here.shown.parent().unwrap_or(Path::new("")).join(&target));
                self.file(&shown, &found, here.root);
            }
        }
    }
}

/// The path without detours, as far as it can be told from its text.
fn tidy(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut tidy, part| {
        let folder = matches!(tidy.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if folder => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
        tidy
    })
}

/// Why a target is not read.
enum Missed {
    /// It is elsewhere.
    Left(String),
    /// There is no such file.
    NotThere(String),
    /// It must not be read.
    Refused(String),
}

/// Backstage's two names for a descriptor.
fn is_descriptor(name: &OsStr) -> bool {
    name == "catalog-info.yaml" || name == "catalog-info.yml"
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// Whether a file begins as a descriptor does.
fn looks_like_descriptor(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BEGINNING).read_to_end(&mut bytes));
    read.is_ok()
        && String::from_utf8_lossy(&bytes).lines().any(|line| {
            line.strip_prefix("apiVersion:").is_some_and(|version| {
                let version = version.trim_start().trim_start_matches(['"', '\'']);
                version.starts_with("backstage.io/") || version.starts_with("scaffolder.backstage.io/")
            })
        })
}

/// Whether a text is one that a template fills in, by the lines that only say how.
fn is_skeleton(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("{%"))
}

/// Whether a location's targets are relative to another place than the file that it is read from.
fn is_from_elsewhere(location: &Value) -> bool {
    ["backstage.io/source-location", "backstage.io/managed-by-location"]
        .iter()
        .any(|key| {
            let place = location
                .pointer("/metadata/annotations")
                .and_then(|annotations| annotations.get(key));
            place
                .and_then(Value::as_str)
                .is_some_and(|place| place.starts_with("url:"))
        })
}

/// The file that `target` means in a file, which must lie in the folder of that file, or for a location in the one that is
/// imported.
fn target_of(here: Option<&Here<'_>>, target: &str) -> Result<PathBuf, Missed> {
    if target.contains("://") {
        return Err(Missed::Left("is elsewhere and was not fetched".to_owned()));
    }
    let Some(here) = here else {
        return Err(Missed::Refused(
            "is relative to a file, and standard input is none; name the file itself".to_owned(),
        ));
    };
    if target.contains('*') {
        return Err(Missed::Left(
            "is a pattern, which is not followed; import the folder".to_owned(),
        ));
    }
    within(here, here.root, target)
}

/// The file that `target` names from the file `here`, if it lies in `root`.
fn within(here: &Here<'_>, root: &Path, target: &str) -> Result<PathBuf, Missed> {
    let refused = |reason: &str| Err(Missed::Refused(reason.to_owned()));
    if Path::new(target).is_absolute() {
        return refused("is an absolute path, expected one below the descriptor's folder");
    }
    let folder = here.path.parent().unwrap_or(Path::new("/"));
    // First as it is written, so that nobody learns which files there are elsewhere.
    let mut written = folder.to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => {
                written.pop();
            }
            Component::Normal(name) => written.push(name),
            _ => {}
        }
        if !written.starts_with(root) {
            return refused("leads out of the folder, which is not followed; put the file into it");
        }
    }
    let path = match folder.join(target).canonicalize() {
        Ok(path) => path,
        Err(error) => return Err(Missed::NotThere(format!("cannot be read: {error}"))),
    };
    if !path.starts_with(root) {
        return refused("leads out of the folder by a link, which is not followed; put the file into it");
    }
    if !path.is_file() {
        return refused("is not a file");
    }
    Ok(path)
}

/// What a placeholder in a file stands for.
fn fetch(here: Option<&Here<'_>>, target: &str) -> Fetched {
    if target.contains("://") {
        return Fetched::Left("is elsewhere and was not fetched".to_owned());
    }
    let Some(here) = here else {
        return Fetched::Refused("is relative to a file, and standard input is none; name the file itself".to_owned());
    };
    let folder = here.path.parent().unwrap_or(Path::new("/"));
    match within(here, folder, target) {
        Ok(path) => {
            let text = File::open(path)
                .map_err(|error| error.to_string())
                .and_then(|file| bounded(file, VALUE));
            text.map_or_else(
                |reason| Fetched::Refused(format!("cannot be read: {reason}")),
                Fetched::Text,
            )
        }
        Err(Missed::Left(reason)) => Fetched::Left(reason),
        Err(Missed::NotThere(reason) | Missed::Refused(reason)) => Fetched::Refused(reason),
    }
}

/// The text of `source`, of at most `limit` bytes.
pub fn bounded(source: impl Read, limit: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    source
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!(
            "larger than {} MiB, which is the most that is read; divide it",
            limit >> 20
        ));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("not UTF-8 but UTF-16, by its first bytes; save it as UTF-8".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error
            .as_bytes()
            .get(..error.utf8_error().valid_up_to())
            .unwrap_or_default();
        let line = 1 + good.split(|byte| *byte == b'\n').count().saturating_sub(1);
        format!("not UTF-8: line {line} has a byte that is no character; save it as UTF-8")
    })
}
