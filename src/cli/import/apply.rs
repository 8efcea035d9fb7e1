//! Applying what was imported, as whoever calls.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Client, Error};
use serde_json::Value;

use super::batch::{Batch, Entry};
use crate::api::marks::IMPORT_MANAGER;
use crate::cli::{Fault, kinds, print};
use crate::template::names::{count, listed};

/// How many objects are applied at once.
const AT_ONCE: usize = 16;
/// How long one may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many namespaces are named of those in which the same is refused.
const NAMESPACES: usize = 3;

/// Applies each entity of `batch`. One that is refused is said, and the others are applied all the same; what many are refused for
/// alike is said once, after them.
///
/// # Errors
/// When the apiserver cannot be reached at all.
pub async fn apply(batch: &mut Batch, client: Client, force: bool) -> Result<(), Fault> {
    let mut results = stream::iter(batch.take())
        .map(|entry| {
            let client = client.clone();
            async move {
                let result = one(client, &entry, force).await;
                (entry, result)
            }
        })
        .buffered(AT_ONCE);
    let mut alike: BTreeMap<Alike, Vec<Refused>> = BTreeMap::new();
    let mut outcome = Ok(());
    while let Some((entry, result)) = results.next().await {
        match result {
            Ok(name) => {
                print(&format!("{name} applied\n"))?;
                batch.put(entry);
            }
            Err(Refusal::Of(message)) => batch.fault(&entry.origin, &message),
            Err(Refusal::Alike(why, refused)) => alike.entry(why).or_default().push(refused),
            Err(Refusal::All(error)) => {
                outcome = Err(error);
                break;
            }
        }
    }
    for (why, refused) in &alike {
        if let Some(first) = refused.first() {
            batch.faults(refused.len(), &first.origin, &why.of(first, refused));
        }
    }
    outcome
}

enum Refusal {
    /// This object is refused.
    Of(String),
    /// It is refused for what others are refused for, too.
    Alike(Alike, Refused),
    /// Nothing can be applied.
    All(Fault),
}

/// What is refused for the same reason.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    /// The full name of the kind, where others may be taken.
    kind: Option<String>,
    why: String,
}

struct Refused {
    origin: String,
    /// Its kind, in full, and its name.
    name: String,
    namespace: String,
}

impl Alike {
    /// What is said of all of them.
    fn of(&self, first: &Refused, all: &[Refused]) -> String {
        let namespaces: BTreeSet<&str> = all.iter().map(|one| one.namespace.as_str()).collect();
        let word = if namespaces.len() == 1 {
            "namespace"
        } else {
            "namespaces"
        };
        let place = format!("{word} {}", listed(namespaces, NAMESPACES));
        let others = match (all.len() - 1, &self.kind) {
            (0, _) => String::new(),
            (others, None) => format!(" and {}", count(others, "other")),
            (others, Some(_)) => format!(" and {} of the kind", count(others, "other")),
        };
        let verb = if all.len() == 1 { "was" } else { "were" };
        format!("{}{others} in {place} {verb} refused: {}", first.name, self.why)
    }
}

async fn one(client: Client, entry: &Entry, force: bool) -> Result<String, Refusal> {
    let text = |path: &str| entry.resource.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (kind, namespace, name) = (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
    let Some(resource) = kinds::resource(kind) else {
        return Err(Refusal::Of(format!("{kind} is not a kind of Landfall")));
    };
    let refused = Refused {
        origin: entry.origin.clone(),
        name: format!("{}/{name}", kinds::full_name(resource)),
        namespace: namespace.to_owned(),
    };
    let shown = format!("{} in namespace {namespace}", refused.name);
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, resource);
    // A field that a newer or older definition does not know is refused and not dropped.
    let mut parameters = PatchParams::apply(IMPORT_MANAGER).validation_strict();
    parameters.force = force;
    let patch = Patch::Apply(&entry.resource);
    match tokio::time::timeout(PATIENCE, api.patch(name, &parameters, &patch)).await {
        Ok(Ok(_)) => Ok(shown),
        Ok(Err(Error::Api(status))) => Err(match alike(&status, resource, namespace) {
            Some(why) => Refusal::Alike(why, refused),
            None if status.code == 409 => Refusal::Of(format!(
                "{shown} was refused: {}; --force-conflicts takes these fields over",
                status.message
            )),
            None => Refusal::Of(format!("{shown} was refused: {}", status.message)),
        }),
        Ok(Err(error)) => Err(Refusal::All(Box::new(error))),
        Err(_) => Err(Refusal::Of(format!(
            "{shown}: the apiserver did not answer within {} s; import again",
            PATIENCE.as_secs()
        ))),
    }
}

/// What an object is refused for, if that is nothing of its own.
fn alike(status: &kube::core::Status, resource: &ApiResource, namespace: &str) -> Option<Alike> {
    let kind = kinds::full_name(resource);
    let message = &status.message;
    if status.code == 404 && message.contains("namespaces") {
        return Some(Alike {
            kind: None,
            why: format!("{message}; make it first: kubectl create namespace {namespace}"),
        });
    }
    if status.code == 404 {
        return Some(Alike {
            kind: Some(kind),
            why: format!("{message}; install the definitions first: landfall crds | kubectl apply --server-side -f -"),
        });
    }
    let (_, denied) = message.split_once("is forbidden: ")?;
    let (who, what) = denied.split_once(" cannot ")?;
    let verb = what.split(' ').next()?;
    if status.code != 403 || !what.contains("resource \"") {
        return None;
    }
    let why = format!(
        "{who} cannot {verb} them; grant: apiGroups [{}], resources [{}], verbs [create, patch]",
        resource.group, resource.plural
    );
    Some(Alike { kind: Some(kind), why })
}
