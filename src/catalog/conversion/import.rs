//! From a descriptor to a resource.

use serde_json::{Map, Value, json};

use super::ours::{self, Ours};
use super::schema::{self, Home, Kind};
use super::split::{Problem, Split, below, split};
use super::{
    DEFAULT_NAMESPACE, ENVELOPE, OURS, OUTPUT_ONLY_METADATA, OUTPUT_ONLY_ROOT, Remark, found, insert_map, labels,
    names, required_list, shown, usual_api_version,
};
use crate::api::API_VERSION;
use crate::catalog::refs::EntityRef;

/// A resource, and what is to be said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The resource, whole and without a status.
    pub resource: Value,
    /// What the entity is called in Backstage.
    pub reference: EntityRef,
    /// What was kept aside or goes by another name.
    pub notes: Vec<Remark>,
}

/// What stands in the envelope of a descriptor.
struct Envelope<'a> {
    api_version: &'a str,
    kind: &'a str,
    name: &'a str,
    /// As it is written.
    namespace: Option<&'a str>,
    root: &'a Map<String, Value>,
    metadata: &'a Map<String, Value>,
}

impl Envelope<'_> {
    fn own_namespace(&self) -> String {
        self.namespace.unwrap_or(DEFAULT_NAMESPACE).to_ascii_lowercase()
    }
}

/// The resource that says what `document` says.
///
/// # Errors
/// Everything that is wrong with the document: what Backstage refuses too, or what an object cannot be.
pub fn import(document: &Value) -> Result<Imported, Vec<Remark>> {
    let (no_metadata, mut wrong) = (Map::new(), Vec::new());
    let Some(envelope) = envelope(document, &no_metadata, &mut wrong) else {
        return Err(wrong);
    };
    let kind = schema::kind(envelope.kind);
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    let ours = match envelope.metadata.get(OURS) {
        Some(value) if ours::is_ours(value) => Ours::read(value, kind, &mut problems),
        Some(_) => {
            let message = format!(
                "metadata.{OURS} is the descriptor's own, by what it holds, and is kept as it is; Landfall does not act on it"
            );
            notes.push(Remark::new(&["metadata", OURS], message));
            Ours::default()
        }
        None => Ours::default(),
    };
    let object = ours.name.clone().unwrap_or_else(|| names::object_name(envelope.name));
    let theirs = ours.theirs.clone();
    let resource = match kind {
        Some(kind) => of_kind(kind, &envelope, &object, ours, &mut problems),
        None => of_other_kind(&envelope, &object, ours, &mut problems),
    };
    let resource = resource.map(|resource| restore(resource, kind, theirs));
    for problem in problems {
        match problem {
            Problem::Elsewhere => {}
            Problem::Wrong(remark) => wrong.push(remark),
            Problem::Beyond(mut remark) => {
                remark.message += "; it is kept under spec.extensions";
                notes.push(remark);
            }
        }
    }
    if object != envelope.name {
        let message = format!("{} is the object {object}", envelope.name);
        notes.insert(0, Remark::new(&["metadata", "name"], message));
    }
    match resource {
        Some(resource) if wrong.is_empty() => Ok(Imported {
            resource,
            reference: EntityRef::new(envelope.kind, &envelope.own_namespace(), envelope.name),
            notes,
        }),
        _ => Err(wrong),
    }
}

/// Puts a value that a descriptor has under our own key back where it is kept.
fn restore(mut resource: Value, kind: Option<&Kind>, theirs: Option<Value>) -> Value {
    let Some(theirs) = theirs else { return resource };
    if let Some(spec) = resource.get_mut("spec").and_then(Value::as_object_mut) {
        let holder = if kind.is_some() {
            let extensions = spec.entry("extensions").or_insert_with(|| json!({}));
            extensions
                .as_object_mut()
                .map(|extensions| extensions.entry("metadata").or_insert_with(|| json!({})))
        } else {
            Some(spec.entry("metadata").or_insert_with(|| json!({})))
        };
        if let Some(Value::Object(metadata)) = holder {
            metadata.insert(OURS.to_owned(), theirs);
        }
    }
    resource
}

/// The envelope, with what is wrong with it said in `wrong`: so far as it is there, so that what is wrong with the rest is found
/// too. None where nobody knows what the rest should be.
fn envelope<'a>(
    document: &'a Value,
    no_metadata: &'a Map<String, Value>,
    wrong: &mut Vec<Remark>,
) -> Option<Envelope<'a>> {
    let Value::Object(root) = document else {
        let message = format!(
            "the document is {}, expected a map with apiVersion, kind, metadata and spec",
            found(document)
        );
        wrong.push(Remark::new(&[], message));
        return None;
    };
    let metadata = match root.get("metadata") {
        Some(Value::Object(metadata)) => Some(metadata),
        other => {
            let found = other.map_or_else(|| "missing".to_owned(), found);
            let message = format!("metadata is {found}, expected a map; write for example metadata: {{name: orders}}");
            let path: &[&str] = if other.is_some() { &["metadata"] } else { &[] };
            wrong.push(Remark::new(path, message));
            None
        }
    };
    let api_version = text(root, &["apiVersion"], "write for example backstage.io/v1alpha1", wrong);
    let kind = text(root, &["kind"], "write for example Component", wrong);
    let name = metadata.and_then(|metadata| text(metadata, &["metadata", "name"], "write for example orders", wrong));
    let namespace = metadata
        .filter(|metadata| metadata.contains_key("namespace"))
        .and_then(|metadata| {
            text(
                metadata,
                &["metadata", "namespace"],
                "leave it out, or write for example shop",
                wrong,
            )
        });
    let is_resource = api_version.is_some_and(|version| version.starts_with(concat!("catalog.landfall.dev", "/")));
    if is_resource {
        let message = format!("this is a resource of {API_VERSION} already; apply it as it is");
        wrong.push(Remark::new(&["apiVersion"], message));
    } else if let Some(version) = api_version.filter(|version| !is_api_version(version)) {
        let message =
            format!("apiVersion is {version:?}, expected [group/]version; write for example backstage.io/v1alpha1");
        wrong.push(Remark::new(&["apiVersion"], message));
    }
    if let Some(kind) = kind.filter(|kind| !is_kind(kind)) {
        let message = format!(
            "kind is {}, expected a letter, then letters and digits, at most 63; write for example Component",
            found(&Value::from(kind))
        );
        wrong.push(Remark::new(&["kind"], message));
    }
    if let Some(name) = name.filter(|name| !names::is_entity_name(name)) {
        wrong.push(Remark::new(&["metadata", "name"], bad_name(name)));
    }
    if let Some(namespace) = namespace.filter(|namespace| !names::is_namespace(&namespace.to_ascii_lowercase())) {
        let message = format!(
            "metadata.namespace is {}, which no namespace can be called; write at most 63 letters, digits or -, with a letter or a digit at both ends",
            found(&Value::from(namespace))
        );
        wrong.push(Remark::new(&["metadata", "namespace"], message));
    }
    let known = kind.filter(|kind| is_kind(kind) && !is_resource && !name.is_some_and(is_skeleton));
    known.map(|kind| Envelope {
        api_version: api_version.unwrap_or_default(),
        kind,
        name: name.unwrap_or_default(),
        namespace,
        root,
        metadata: metadata.unwrap_or(no_metadata),
    })
}

/// Whether a name is one that a template fills in.
fn is_skeleton(name: &str) -> bool {
    name.contains("${{") || name.contains("{%")
}

/// The text under the last step of `path` in `fields`, which stand under the others.
fn text<'a>(fields: &'a Map<String, Value>, path: &[&str], advice: &str, wrong: &mut Vec<Remark>) -> Option<&'a str> {
    let (last, parent) = path.split_last()?;
    let field = path.join(".");
    match fields.get(*last) {
        Some(Value::String(text)) => return Some(text),
        None => wrong.push(Remark::new(parent, format!("{field} is missing; {advice}"))),
        Some(other) => {
            let message = format!("{field} is {}, expected a text; {advice}", found(other));
            wrong.push(Remark::new(path, message));
        }
    }
    None
}

fn bad_name(name: &str) -> String {
    let shown = found(&Value::from(name));
    let advice = "write at most 63 letters, digits, - _ or ., with a letter or a digit at both ends";
    if is_skeleton(name) {
        format!(
            "metadata.name is {shown}: this is a skeleton that a template fills in, not a descriptor; import what it makes"
        )
    } else if name.chars().count() > names::LONGEST {
        format!(
            "metadata.name is {shown}, {} characters long; {advice}, and the long name as metadata.title",
            name.chars().count()
        )
    } else {
        format!("metadata.name is {shown}, which no entity can be called; {advice}")
    }
}

fn is_kind(text: &str) -> bool {
    text.len() <= names::LONGEST
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric())
}

fn is_api_version(text: &str) -> bool {
    let (group, version) = match text.split_once('/') {
        Some((group, version)) => (Some(group), version),
        None => (None, text),
    };
    (1..=names::LONGEST).contains(&version.len())
        && version.chars().all(|letter| letter.is_ascii_alphanumeric())
        && group.is_none_or(names::is_subdomain)
}

fn of_kind(
    kind: &Kind,
    envelope: &Envelope<'_>,
    object: &str,
    ours: Ours,
    problems: &mut Vec<Problem>,
) -> Option<Value> {
    let mut metadata = Map::from_iter([
        ("name".to_owned(), Value::from(object)),
        ("namespace".to_owned(), Value::from(envelope.own_namespace())),
    ]);
    let mut spec = ours.spec;
    let mut of_metadata = Map::new();
    for (field, value) in envelope.metadata {
        let path = ["metadata".to_owned(), field.clone()];
        let part = match field.as_str() {
            "name" => continue,
            OURS if ours::is_ours(value) => continue,
            field if OUTPUT_ONLY_METADATA.contains(&field) => continue,
            "namespace" => Split {
                kept: None,
                rest: kept_namespace(envelope),
            },
            "labels" => labels::labels(value, problems),
            "annotations" => labels::annotations(value, problems),
            field => match kind.field(Home::Metadata, field) {
                Some(schema) => split(schema, value, &path, problems),
                None => Split {
                    kept: None,
                    rest: Some(value.clone()),
                },
            },
        };
        let home = if matches!(field.as_str(), "labels" | "annotations") {
            &mut metadata
        } else {
            &mut spec
        };
        home.extend(part.kept.map(|value| (field.clone(), value)));
        of_metadata.extend(part.rest.map(|value| (field.clone(), value)));
    }
    let of_spec = spec_of_kind(kind, envelope, &mut spec, problems)?;
    if object != envelope.name {
        spec.insert("entityName".to_owned(), Value::from(envelope.name));
    }
    let mut extensions = Map::new();
    if envelope.api_version != usual_api_version(kind.name) {
        extensions.insert("apiVersion".to_owned(), Value::from(envelope.api_version));
    }
    insert_map(&mut extensions, "metadata", of_metadata);
    insert_map(&mut extensions, "spec", of_spec);
    insert_map(&mut extensions, "root", root_of(envelope, kind));
    insert_map(&mut spec, "extensions", extensions);
    Some(json!({"apiVersion": API_VERSION, "kind": kind.name, "metadata": metadata, "spec": spec}))
}

/// Puts the fields of the descriptor's spec that a resource has into `spec`, and gives the others.
fn spec_of_kind(
    kind: &Kind,
    envelope: &Envelope<'_>,
    spec: &mut Map<String, Value>,
    problems: &mut Vec<Problem>,
) -> Option<Map<String, Value>> {
    let fields = spec_fields(envelope, problems)?;
    let mut rest = Map::new();
    for (field, value) in fields {
        let path = ["spec".to_owned(), field.clone()];
        if required_list(kind.name) == Some(field) && value.as_array().is_some_and(Vec::is_empty) {
            continue;
        }
        let part = match kind.field(Home::Spec, field) {
            Some(schema) => split(schema, value, &path, problems),
            None => Split {
                kept: None,
                rest: Some(value.clone()),
            },
        };
        spec.extend(part.kept.map(|value| (field.clone(), value)));
        rest.extend(part.rest.map(|value| (field.clone(), value)));
    }
    for field in &kind.required {
        let path = below(&["spec".to_owned()], field);
        if !fields.contains_key(field) {
            let message = format!("{} is missing; a {} has one", shown(&path), kind.name);
            problems.push(Problem::Wrong(Remark::new(&["spec"], message)));
        } else if !spec.contains_key(field) {
            // What was kept aside there can be kept nowhere: the resource needs the field.
            let mut said = false;
            for problem in problems.iter_mut() {
                match problem {
                    Problem::Beyond(remark) if remark.path.starts_with(&path) => {
                        *problem = Problem::Wrong(remark.clone());
                        said = true;
                    }
                    Problem::Wrong(remark) => said |= remark.path.starts_with(&path),
                    _ => {}
                }
            }
            if !said {
                let message = format!(
                    "{} stands for a text that is elsewhere; a {} has its own",
                    shown(&path),
                    kind.name
                );
                problems.push(Problem::Wrong(Remark { path, message }));
            }
        }
    }
    if kind.name == "API" && !spec.contains_key("definition") && rest.is_empty() {
        let message = "spec.definition is missing; write the OpenAPI, AsyncAPI, GraphQL or gRPC text, or for example definition: {$text: ./openapi.yaml}";
        problems.push(Problem::Wrong(Remark::new(&["spec"], message)));
    }
    Some(rest)
}

fn spec_fields<'a>(envelope: &Envelope<'a>, problems: &mut Vec<Problem>) -> Option<&'a Map<String, Value>> {
    let remark = match envelope.root.get("spec") {
        Some(Value::Object(fields)) => return Some(fields),
        None => Remark::new(&[], format!("spec is missing; a {} has one", envelope.kind)),
        Some(other) => Remark::new(&["spec"], format!("spec is {}, expected a map", found(other))),
    };
    problems.push(Problem::Wrong(remark));
    None
}

/// The namespace as it is written, where the object's does not say it.
fn kept_namespace(envelope: &Envelope<'_>) -> Option<Value> {
    let written = envelope.namespace?;
    (written == DEFAULT_NAMESPACE || written != envelope.own_namespace()).then(|| Value::from(written))
}

/// What stands beside the fields that every descriptor has, and a kind that is written in letters of another case.
fn root_of(envelope: &Envelope<'_>, kind: &Kind) -> Map<String, Value> {
    let mut root = beside(envelope);
    if envelope.kind != kind.name {
        root.insert("kind".to_owned(), Value::from(envelope.kind));
    }
    root
}

fn beside(envelope: &Envelope<'_>) -> Map<String, Value> {
    envelope
        .root
        .iter()
        .filter(|(key, _)| !ENVELOPE.contains(&key.as_str()) && !OUTPUT_ONLY_ROOT.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn of_other_kind(envelope: &Envelope<'_>, object: &str, ours: Ours, problems: &mut Vec<Problem>) -> Option<Value> {
    let mut of_object = Map::from_iter([
        ("name".to_owned(), Value::from(object)),
        ("namespace".to_owned(), Value::from(envelope.own_namespace())),
    ]);
    insert_map(&mut of_object, "labels", ours.labels);
    insert_map(&mut of_object, "annotations", ours.annotations);
    let mut metadata = envelope.metadata.clone();
    metadata.retain(|key, value| {
        !OUTPUT_ONLY_METADATA.contains(&key.as_str()) && key != "namespace" && !(key == OURS && ours::is_ours(value))
    });
    metadata.extend(kept_namespace(envelope).map(|namespace| ("namespace".to_owned(), namespace)));
    if object == envelope.name {
        metadata.remove("name");
    }
    let mut spec = Map::from_iter([
        ("apiVersion".to_owned(), Value::from(envelope.api_version)),
        ("kind".to_owned(), Value::from(envelope.kind)),
    ]);
    insert_map(&mut spec, "metadata", metadata);
    if envelope.root.contains_key("spec") {
        let fields = spec_fields(envelope, problems)?;
        spec.insert("spec".to_owned(), Value::Object(fields.clone()));
    }
    spec.extend(ours.spec);
    let root = beside(envelope);
    if !root.is_empty() {
        spec.insert("extensions".to_owned(), json!({"root": root}));
    }
    Some(json!({"apiVersion": API_VERSION, "kind": "Entity", "metadata": of_object, "spec": spec}))
}
