//! Every object on the cluster that bears the mark of an instance, as subcommands that look for such share it.

use std::collections::{BTreeSet, HashMap};

use futures::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PartialObjectMeta};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, ResourceExt as _};

use super::{Fault, kinds};
use crate::api::marks;

/// The kinds that can be instances.
pub const INSTANCES: [&str; 3] = ["Component", "Resource", "System"];
/// How many kinds are asked for at the same time.
const CONCURRENCY: usize = 8;
/// How many objects one page of a list has.
const PAGE: u32 = 500;

/// An object that bears the label of an instance, and is not controlled by another object, which would only have passed it on.
#[derive(Clone, Debug)]
pub struct Marked {
    /// Its kind, as the apiserver knows it.
    pub kind: ApiResource,
    /// Its namespace; empty where it has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The instance that it says it belongs to.
    pub instance: String,
    /// That instance's UID.
    pub instance_uid: String,
    /// Whether others have made it, and the instance has only set fields of it.
    pub patched: bool,
}

/// What a look at the cluster has given.
#[derive(Debug, Default)]
pub struct Look {
    /// The objects.
    pub marked: Vec<Marked>,
    /// The kinds that could not be listed, and why.
    pub unseen: BTreeSet<String>,
}

/// Looks at all kinds, in one namespace or everywhere.
///
/// # Errors
/// When the cluster does not say which kinds it serves.
pub async fn look(client: &Client, namespace: Option<&str>) -> Result<Look, Fault> {
    let discovery = match Discovery::new(client.clone()).run_aggregated().await {
        Ok(discovery) => discovery,
        Err(_) => Discovery::new(client.clone()).run().await?,
    };
    let kinds: Vec<(ApiResource, bool)> = discovery
        .groups()
        .flat_map(kube::discovery::ApiGroup::recommended_resources)
        .filter(|(_, capabilities)| capabilities.supports_operation(verbs::LIST))
        .map(|(resource, capabilities)| (resource, capabilities.scope == Scope::Namespaced))
        .filter(|(_, namespaced)| *namespaced || namespace.is_none())
        .collect();
    let looks = kinds
        .into_iter()
        .map(|(kind, _)| of_kind(client.clone(), kind, namespace.map(str::to_owned)));
    let mut found = Look::default();
    let mut answers = futures::stream::iter(looks).buffer_unordered(CONCURRENCY);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(marked) => found.marked.extend(marked),
            Err(unseen) => {
                found.unseen.insert(unseen);
            }
        }
    }
    Ok(found)
}

/// The objects of one kind that bear our mark, or why they cannot be told.
async fn of_kind(client: Client, kind: ApiResource, namespace: Option<String>) -> Result<Vec<Marked>, String> {
    let api: Api<DynamicObject> = match &namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &kind),
        None => Api::all_with(client, &kind),
    };
    let name = if kind.group.is_empty() {
        kind.plural.clone()
    } else {
        format!("{}.{}", kind.plural, kind.group)
    };
    let listed = list(&api, marks::INSTANCE_UID).await.map_err(|error| match error {
        kube::Error::Api(status) => format!("{name} ({})", status.reason),
        other => format!("{name} ({other})"),
    })?;
    // What another object controls goes with that one; it has only copied its labels.
    let own = listed
        .into_iter()
        .filter(|object| {
            !object
                .owner_references()
                .iter()
                .any(|owner| owner.controller == Some(true))
        })
        .filter(|object| object.metadata.deletion_timestamp.is_none());
    Ok(own
        .map(|object| Marked {
            kind: kind.clone(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            instance: object.annotations().get(marks::INSTANCE).cloned().unwrap_or_default(),
            patched: object.annotations().contains_key(marks::MODE),
            instance_uid: object.labels().get(marks::INSTANCE_UID).cloned().unwrap_or_default(),
        })
        .collect())
}

/// All instances by their UID, wherever they are.
///
/// # Errors
/// When they cannot be listed.
pub async fn instances(client: &Client) -> Result<HashMap<String, PartialObjectMeta<DynamicObject>>, Fault> {
    let mut found = HashMap::new();
    for kind in INSTANCES.into_iter().filter_map(kinds::resource) {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), kind);
        let listed = match list(&api, "").await {
            Ok(listed) => listed,
            // Without its definition there are none.
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(error) => return Err(format!("instances of kind {} cannot be listed: {error}", kind.kind).into()),
        };
        found.extend(
            listed
                .into_iter()
                .map(|object| (object.uid().unwrap_or_default(), object)),
        );
    }
    Ok(found)
}

/// The metadata of all objects with a label, page by page.
async fn list(api: &Api<DynamicObject>, label: &str) -> Result<Vec<PartialObjectMeta<DynamicObject>>, kube::Error> {
    let mut parameters = ListParams::default().labels(label).limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list_metadata(&parameters).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(all),
        }
    }
}
