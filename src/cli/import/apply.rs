//! Applying what was imported, as whoever calls.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::{Client, Error};
use serde_json::Value;

use super::batch::{Batch, Entry};
use crate::api::marks::IMPORT_MANAGER;
use crate::cli::{Fault, kinds, print};

/// How many objects are applied at once.
const AT_ONCE: usize = 16;
/// How long one may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Applies each entity of `batch`. One that is refused is said, and the others are applied all the same.
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
    while let Some((entry, result)) = results.next().await {
        match result {
            Ok(name) => {
                print(&format!("{name} applied\n"))?;
                batch.put(entry);
            }
            Err(Refusal::Of(message)) => batch.fault(&entry.origin, &message),
            Err(Refusal::All(error)) => return Err(error),
        }
    }
    Ok(())
}

enum Refusal {
    /// This object is refused.
    Of(String),
    /// Nothing can be applied.
    All(Fault),
}

async fn one(client: Client, entry: &Entry, force: bool) -> Result<String, Refusal> {
    let text = |path: &str| entry.resource.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (kind, namespace, name) = (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
    let Some(resource) = kinds::resource(kind) else {
        return Err(Refusal::Of(format!("{kind} is not a kind of Landfall")));
    };
    let shown = format!("{}/{name} in namespace {namespace}", kinds::full_name(resource));
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, resource);
    // A field that a newer or older definition does not know is refused and not dropped.
    let mut parameters = PatchParams::apply(IMPORT_MANAGER).validation_strict();
    parameters.force = force;
    let patch = Patch::Apply(&entry.resource);
    match tokio::time::timeout(PATIENCE, api.patch(name, &parameters, &patch)).await {
        Ok(Ok(_)) => Ok(shown),
        Ok(Err(Error::Api(status))) => Err(Refusal::Of(format!(
            "{shown} was refused: {}{}",
            status.message,
            advice(&status, namespace)
        ))),
        Ok(Err(error)) => Err(Refusal::All(Box::new(error))),
        Err(_) => Err(Refusal::Of(format!(
            "{shown}: the apiserver did not answer within {} s; import again",
            PATIENCE.as_secs()
        ))),
    }
}

fn advice(status: &kube::core::Status, namespace: &str) -> String {
    if status.code == 404 && status.message.contains("namespaces") {
        format!("; make it first: kubectl create namespace {namespace}")
    } else if status.code == 404 {
        "; install the definitions first: landfall crds | kubectl apply --server-side -f -".to_owned()
    } else if status.code == 409 {
        "; --force-conflicts takes these fields over".to_owned()
    } else {
        String::new()
    }
}
