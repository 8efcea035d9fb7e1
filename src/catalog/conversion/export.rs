//! From a resource to a descriptor.

use serde_json::{Map, Value};

use super::ours::Ours;
use super::schema::{self, Home, Kind};
use super::split::join;
use super::{DEFAULT_NAMESPACE, ENVELOPE, Remark, found, names, reference, required_list, usual_api_version};
use crate::api::{API_VERSION, KINDS, marks};
use crate::catalog::refs::EntityRef;

/// Annotations that ask something of Landfall once, or that kubectl keeps for itself.
const NOT_EXPORTED: [&str; 5] = [
    marks::RECONCILE,
    marks::CONFIRM_DELETION,
    marks::RELEASE,
    marks::HAND_OVER_TO,
    "kubectl.kubernetes.io/last-applied-configuration",
];

/// A descriptor.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// What goes into `catalog-info.yaml`.
    pub document: Value,
    /// What the entity is called.
    pub reference: EntityRef,
}

/// The descriptor that says what `resource` says, without its status and without what Kubernetes alone writes.
///
/// # Errors
/// When it is not one of our resources, or has a field that none of them has.
pub fn export(resource: &Value) -> Result<Exported, Vec<Remark>> {
    let api_version = resource.get("apiVersion").and_then(Value::as_str);
    if api_version != Some(API_VERSION) {
        let message = format!(
            "apiVersion is {}, expected {API_VERSION}; only Landfall's resources become descriptors",
            api_version.map_or_else(|| "missing".to_owned(), |version| found(&Value::from(version)))
        );
        return Err(vec![Remark::new(&["apiVersion"], message)]);
    }
    let name = resource.get("kind").and_then(Value::as_str).unwrap_or_default();
    let kind = KINDS.contains(&name).then(|| schema::kind(name)).flatten();
    if kind.is_none() && name != "Entity" {
        let message = format!(
            "kind is {}, expected {} or Entity",
            found(resource.get("kind").unwrap_or(&Value::Null)),
            KINDS.join(", ")
        );
        return Err(vec![Remark::new(&["kind"], message)]);
    }
    let (Some(spec), Some(reference)) = (resource.get("spec").and_then(Value::as_object), reference(resource)) else {
        let message = "metadata.name or spec is missing; a resource has both, and an Entity has spec.kind";
        return Err(vec![Remark::new(&[], message)]);
    };
    let object = Object::of(resource);
    let document = match kind {
        Some(kind) => of_kind(kind, &object, spec)?,
        None => of_other_kind(&object, spec),
    };
    Ok(Exported { document, reference })
}

/// The metadata of the object.
struct Object<'a> {
    name: &'a str,
    namespace: &'a str,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
}

impl<'a> Object<'a> {
    fn of(resource: &'a Value) -> Self {
        let metadata = resource.get("metadata").and_then(Value::as_object);
        let text = |field: &str| {
            metadata
                .and_then(|metadata| metadata.get(field))
                .and_then(Value::as_str)
        };
        let map = |field: &str| {
            metadata
                .and_then(|metadata| metadata.get(field))
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let mut annotations = map("annotations");
        annotations.retain(|key, _| !NOT_EXPORTED.contains(&key.as_str()));
        Self {
            name: text("name").unwrap_or_default(),
            namespace: text("namespace").unwrap_or(DEFAULT_NAMESPACE),
            labels: map("labels"),
            annotations,
        }
    }

    /// The name that only the object has.
    fn own_name(&self, entity_name: &str) -> Option<String> {
        (names::object_name(entity_name) != self.name).then(|| self.name.to_owned())
    }

    /// Puts name and namespace into a descriptor's metadata. What stands there of a namespace is how it was written.
    fn identify(&self, entity_name: &str, metadata: &mut Map<String, Value>) {
        metadata.insert("name".to_owned(), Value::from(entity_name));
        let written = metadata.remove("namespace");
        let written = written
            .as_ref()
            .and_then(Value::as_str)
            .filter(|written| written.eq_ignore_ascii_case(self.namespace))
            .or((self.namespace != DEFAULT_NAMESPACE).then_some(self.namespace));
        metadata.extend(written.map(|namespace| ("namespace".to_owned(), Value::from(namespace))));
    }
}

fn map(holder: Option<&Value>, field: &str) -> Map<String, Value> {
    holder
        .and_then(|holder| holder.get(field))
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

fn of_kind(kind: &Kind, object: &Object<'_>, spec: &Map<String, Value>) -> Result<Value, Vec<Remark>> {
    let extensions = spec.get("extensions");
    let (mut of_metadata, mut of_spec, mut ours) = (Map::new(), Map::new(), Ours::default());
    for (field, value) in spec {
        let home = match kind.fields.get(field) {
            Some((Home::Metadata, _)) => &mut of_metadata,
            Some((Home::Spec, _)) => &mut of_spec,
            Some((Home::Ours, _)) => &mut ours.spec,
            Some((Home::Conversion, _)) => continue,
            None => {
                let message = format!("spec.{field} is not a field of a {}", kind.name);
                return Err(vec![Remark::new(&["spec", field], message)]);
            }
        };
        home.insert(field.clone(), value.clone());
    }
    for (field, entries) in [("labels", &object.labels), ("annotations", &object.annotations)] {
        if !entries.is_empty() {
            of_metadata.insert(field.to_owned(), Value::Object(entries.clone()));
        }
    }
    let mut of_metadata = join_maps(of_metadata, map(extensions, "metadata"));
    let mut of_spec = join_maps(of_spec, map(extensions, "spec"));
    if let Some(list) = required_list(kind.name) {
        of_spec.entry(list).or_insert_with(|| Value::Array(Vec::new()));
    }
    let entity_name = spec.get("entityName").and_then(Value::as_str).unwrap_or(object.name);
    object.identify(entity_name, &mut of_metadata);
    ours.name = object.own_name(entity_name);
    ours.write(&mut of_metadata);
    let api_version = extensions
        .and_then(|extensions| extensions.get("apiVersion"))
        .and_then(Value::as_str)
        .unwrap_or_else(|| usual_api_version(kind.name));
    let root = map(extensions, "root");
    let spelled = root
        .get("kind")
        .and_then(Value::as_str)
        .filter(|spelled| spelled.eq_ignore_ascii_case(kind.name))
        .unwrap_or(kind.name)
        .to_owned();
    Ok(document(root, api_version, &spelled, of_metadata, Some(of_spec)))
}

fn of_other_kind(object: &Object<'_>, spec: &Map<String, Value>) -> Value {
    let text = |field: &str| spec.get(field).and_then(Value::as_str).unwrap_or_default();
    let mut metadata = spec
        .get("metadata")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let entity_name = metadata
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or(object.name)
        .to_owned();
    object.identify(&entity_name, &mut metadata);
    let ours = Ours {
        name: object.own_name(&entity_name),
        labels: object.labels.clone(),
        annotations: object.annotations.clone(),
        spec: spec
            .get_key_value(schema::ALIASES)
            .map(|(field, value)| (field.clone(), value.clone()))
            .into_iter()
            .collect(),
        ..Ours::default()
    };
    ours.write(&mut metadata);
    let fields = spec.get("spec").and_then(Value::as_object).cloned();
    let root = map(spec.get("extensions"), "root");
    document(root, text("apiVersion"), text("kind"), metadata, fields)
}

fn join_maps(kept: Map<String, Value>, rest: Map<String, Value>) -> Map<String, Value> {
    match join(Some(Value::Object(kept)), Some(Value::Object(rest))) {
        Some(Value::Object(joined)) => joined,
        _ => Map::new(),
    }
}

fn document(
    mut root: Map<String, Value>,
    api_version: &str,
    kind: &str,
    metadata: Map<String, Value>,
    spec: Option<Map<String, Value>>,
) -> Value {
    root.retain(|key, _| !ENVELOPE.contains(&key.as_str()));
    root.insert("apiVersion".to_owned(), Value::from(api_version));
    root.insert("kind".to_owned(), Value::from(kind));
    root.insert("metadata".to_owned(), Value::Object(metadata));
    root.extend(spec.map(|spec| ("spec".to_owned(), Value::Object(spec))));
    Value::Object(root)
}
