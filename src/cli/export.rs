//! `landfall export`: Landfall's resources as Backstage's descriptors.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use serde_json::Value;

use super::connection::{self, Connected, Connection};
use super::import::{bounded, say};
use super::{Fault, Outcome, former, kinds, print};
use crate::catalog::conversion::{self, Exported};
use crate::catalog::refs::EntityRef;
use crate::catalog::yaml::{self, Limits};
use crate::template::names::count;

/// What an export begins with, so that an import knows it for one.
pub const EXPORTED: &str = "# Written by landfall export.\n";
/// How deep its values are nested at most: what an import keeps aside is up to 3 levels deeper than in a descriptor, which has
/// at most 100, and in a list of objects it is 2 more.
const DEPTH: usize = 105;
/// How many objects are asked for at once.
const PAGE: u32 = 500;
/// The largest file that is read.
const FILE: u64 = 64 << 20;
/// How many values a document of it has at most, with its aliases written out.
const VALUES: usize = 4_000_000;

/// Convert Landfall's resources to Backstage's descriptors (catalog-info.yaml)
///
/// Prints the descriptors as YAML, in the order of their refs. Exit code 0: all was exported; 1: something was not.
#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = true, args = ["reference", "file", "kind", "namespace", "selector", "all"])]
pub struct Arguments {
    /// One entity: kind/name or kind name, a ref such as component:shop/checkout, or a component's name
    #[arg(value_name = "REF", conflicts_with_all = ["file", "kind", "selector", "all"])]
    reference: Option<String>,
    /// The entity's name, where the first word is its kind
    #[arg(requires = "reference", conflicts_with_all = ["file", "kind", "selector", "all"])]
    name: Option<String>,
    /// Convert the resources of a file, or of standard input for -, and ask no cluster
    #[arg(short, long, value_name = "FILE|-", conflicts_with_all = ["kind", "namespace", "selector", "all"])]
    file: Option<PathBuf>,
    /// Entities of this kind, Backstage's or Landfall's; may be given several times
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Entities of this namespace; for a ref, where it names none
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Entities whose objects have these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Every entity
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Some resources were not exported; which, and why, was said.
#[derive(Debug, thiserror::Error)]
#[error("{exported} exported, {}: see above", count(*faults, "fault"))]
struct Incomplete {
    exported: usize,
    faults: usize,
}

/// Exports.
///
/// # Errors
/// When something was not exported, which is said before.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    let resources = match &arguments.file {
        Some(file) => of_file(file)?,
        None => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(of_cluster(arguments))?
            .into_iter()
            .map(|resource| {
                let reference = conversion::reference(&resource);
                (
                    reference.map_or_else(String::new, |reference| reference.to_string()),
                    Ok(resource),
                )
            })
            .collect(),
    };
    let (mut exported, mut faults) = (Vec::new(), 0);
    for (place, resource) in resources {
        let converted = resource.and_then(|resource| {
            conversion::export(&resource)
                .map_err(|remarks| remarks.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        });
        match converted {
            Ok(entity) => exported.push(entity),
            Err(message) => {
                faults += 1;
                say(&format!("{place}: {message}"));
            }
        }
    }
    exported.sort_by(|one, other| one.reference.cmp(&other.reference));
    if !exported.is_empty() {
        print(EXPORTED)?;
    }
    for Exported { document, .. } in &exported {
        print(&yaml::write(document)?)?;
    }
    if faults > 0 {
        let exported = exported.len();
        return Err(Box::new(Incomplete { exported, faults }));
    }
    Ok(Outcome::Done)
}

/// A resource, or why there is none, and its place.
type Read = (String, Result<Value, String>);

/// The resources of a file, each with its place; those of a `List`, as kubectl gives it, one by one.
fn of_file(file: &Path) -> Result<Vec<Read>, Fault> {
    let standard = file.as_os_str() == "-";
    let name = if standard {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    };
    let text = if standard {
        bounded(io::stdin().lock(), FILE)
    } else {
        bounded(File::open(file).map_err(|error| format!("{name}: {error}"))?, FILE)
    };
    let text = text.map_err(|reason| format!("{name}: {reason}"))?;
    // A list of objects is longer than any one of them.
    let limits = Limits {
        bytes: text.len(),
        values: text.len().min(VALUES),
        depth: DEPTH,
        ..Limits::default()
    };
    let mut found = Vec::new();
    for document in yaml::documents(&text, limits) {
        match document {
            Ok(document) => {
                let place = format!("{name}:{}", document.root.place);
                let mut value = document.root.value();
                let items = value
                    .get_mut("items")
                    .map(Value::take)
                    .filter(|_| value.get("kind").is_some_and(is_list));
                match items {
                    Some(Value::Array(items)) => found.extend(items.into_iter().map(|item| (place.clone(), Ok(item)))),
                    _ => found.push((place, Ok(value))),
                }
            }
            Err(fault) => found.push((format!("{name}:{}", fault.place), Err(fault.message))),
        }
    }
    Ok(found)
}

fn is_list(kind: &Value) -> bool {
    kind.as_str().is_some_and(|kind| kind.ends_with("List"))
}

async fn of_cluster(arguments: &Arguments) -> Result<Vec<Value>, Fault> {
    let Connected { client, namespace, .. } = arguments.connection.open().await?;
    if let Some(text) = &arguments.reference {
        let namespace = arguments.namespace.as_ref().unwrap_or(&namespace);
        let text = connection::in_one_word(text, arguments.name.as_deref());
        let reference = connection::reference(&text, namespace)?;
        return Ok(vec![one(&client, &reference).await?]);
    }
    let mut found = Vec::new();
    for resource in kinds::resources() {
        let wanted = arguments.kind.is_empty()
            || arguments.kind.iter().any(|kind| match kinds::resource(kind) {
                Some(named) => named.kind == resource.kind,
                None => resource.kind == "Entity",
            });
        if wanted {
            let all = list(
                &client,
                resource,
                arguments.namespace.as_deref(),
                arguments.selector.as_deref(),
            )
            .await?;
            found.extend(all.into_iter().filter(|object| is_of_kind(object, &arguments.kind)));
        }
    }
    for kind in &arguments.kind {
        let hint = kinds::hint(kind);
        if !hint.is_empty()
            && !found
                .iter()
                .any(|object| is_of_kind(object, std::slice::from_ref(kind)))
        {
            say(&format!("note: no entity is of kind {kind}{hint}"));
        }
    }
    Ok(found)
}

/// Whether an object is of one of `kinds`: by the name of its resource, or an Entity's by what it stands for.
fn is_of_kind(object: &Value, kinds: &[String]) -> bool {
    let is = |path: &str, kind: &String| {
        object
            .pointer(path)
            .and_then(Value::as_str)
            .is_some_and(|of| of.eq_ignore_ascii_case(kind))
    };
    kinds.is_empty() || kinds.iter().any(|kind| is("/kind", kind) || is("/spec/kind", kind))
}

async fn one(client: &Client, reference: &EntityRef) -> Result<Value, Fault> {
    let resource = kinds::resource(&reference.kind)
        .filter(|resource| resource.kind != "Entity")
        .or_else(|| kinds::resource("Entity"))
        .ok_or("there are no kinds")?;
    let is_it = |object: &Value| conversion::reference(object).is_some_and(|of| of == *reference);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &reference.namespace, resource);
    // Mostly the object is called what the entity is.
    let usual = api.get_opt(&conversion::names::object_name(&reference.name)).await?;
    if let Some(object) = usual.map(serde_json::to_value).transpose()?.filter(is_it) {
        return Ok(object);
    }
    let all = list(client, resource, Some(&reference.namespace), None).await?;
    if let Some(object) = all.into_iter().find(is_it) {
        return Ok(object);
    }
    let heir = former::heir(client, resource, reference).await.ok_or_else(|| {
        format!(
            "{reference} does not exist; kubectl get {} --all-namespaces lists what does",
            kinds::full_name(resource)
        )
    })?;
    let own = former::reference(&heir, resource);
    say(&format!("note: {reference} is an alias of {own}: write that instead"));
    let mut heir = heir;
    heir.types.get_or_insert_with(|| typed(resource));
    Ok(serde_json::to_value(heir)?)
}

fn typed(resource: &ApiResource) -> kube::core::TypeMeta {
    kube::core::TypeMeta {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
    }
}

async fn list(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
    selector: Option<&str>,
) -> Result<Vec<Value>, Fault> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let mut parameters = ListParams::default().limit(PAGE);
    parameters.label_selector = selector.map(str::to_owned);
    let mut found = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        for mut object in page.items {
            // Items of a list do not say themselves what they are.
            object.types.get_or_insert_with(|| typed(resource));
            found.push(serde_json::to_value(object)?);
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}
