//! `landfall orphans`: lists what bears the marks of instances that do not exist any more.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::io::{self, Write as _};

use futures::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PartialObjectMeta};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, ResourceExt as _};

use super::connection::Connection;
use super::{Fault, Outcome, print};
use crate::api::{self, marks};

/// How many kinds are asked for at the same time.
const CONCURRENCY: usize = 8;
/// How many objects one page of a list has.
const PAGE: u32 = 500;

/// List the objects that bear the marks of instances that do not exist any more.
///
/// Such objects are left behind where an instance's finalizer was taken off by hand, or its inventory was lost. Nothing is changed. It
/// is asked as KUBECONFIG's user; kinds that the user may not list are named. Exit code 2 says that there are some.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Look in this namespace only; without it, everywhere.
    #[arg(long, short)]
    namespace: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// An object without its instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Orphan {
    namespace: String,
    kind: String,
    name: String,
    /// The instance that it says it belongs to.
    instance: String,
    /// That instance's UID.
    uid: String,
}

/// What a look at the cluster has given.
#[derive(Debug, Default)]
struct Look {
    marked: Vec<Orphan>,
    /// The kinds that could not be listed, and why.
    unseen: BTreeSet<String>,
}

/// Looks, and prints what it finds.
///
/// # Errors
/// When there is no way to the cluster, or the user may not list instances.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (orphans, unseen) = runtime.block_on(find(&arguments.connection, arguments.namespace.as_deref()))?;
    if !unseen.is_empty() {
        let kinds: Vec<String> = unseen.into_iter().collect();
        let _ = writeln!(io::stderr(), "not looked at: {}", kinds.join(", "));
    }
    if orphans.is_empty() {
        print("nothing bears the marks of an instance that does not exist\n")?;
        return Ok(Outcome::Done);
    }
    print(&table(&orphans))?;
    Ok(Outcome::Findings)
}

async fn find(connection: &Connection, namespace: Option<&str>) -> Result<(Vec<Orphan>, BTreeSet<String>), Fault> {
    let client = connection.open().await?.client;
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
        .map(|(kind, _)| marked(client.clone(), kind, namespace.map(str::to_owned)));
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
    // Last: an instance that came meanwhile has its objects, and one that went has lost them.
    let instances = instances(&client).await?;
    found.marked.retain(|orphan| !instances.contains(&orphan.uid));
    found.marked.sort();
    Ok((found.marked, found.unseen))
}

/// The objects of one kind that bear our mark, or why they cannot be told.
async fn marked(client: Client, kind: ApiResource, namespace: Option<String>) -> Result<Vec<Orphan>, String> {
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
        .map(|object| Orphan {
            namespace: object.namespace().unwrap_or_default(),
            kind: kind.kind.clone(),
            name: object.name_any(),
            instance: object.annotations().get(marks::INSTANCE).cloned().unwrap_or_default(),
            uid: object.labels().get(marks::INSTANCE_UID).cloned().unwrap_or_default(),
        })
        .collect())
}

/// The UIDs of all instances, wherever they are.
async fn instances(client: &Client) -> Result<HashSet<String>, Fault> {
    let mut uids = HashSet::new();
    for kind in ["Component", "Resource", "System"] {
        let (group, version) = api::API_VERSION.split_once('/').unwrap_or_default();
        let resource = ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let listed = list(&api, "").await;
        let listed = listed.map_err(|error| format!("instances of kind {kind} cannot be listed: {error}"))?;
        uids.extend(listed.into_iter().filter_map(|object| object.metadata.uid));
    }
    Ok(uids)
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

fn table(orphans: &[Orphan]) -> String {
    let rows: Vec<[&str; 4]> = orphans
        .iter()
        .map(|orphan| {
            [
                orphan.namespace.as_str(),
                orphan.kind.as_str(),
                orphan.name.as_str(),
                orphan.instance.as_str(),
            ]
        })
        .collect();
    let heads = ["NAMESPACE", "KIND", "NAME", "OF"];
    let width = |column: usize| {
        let cells = rows.iter().chain([&heads]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let (first, second, third) = (width(0), width(1), width(2));
    let mut text = String::new();
    for [namespace, kind, name, instance] in [heads].iter().chain(&rows) {
        let line = format!("{namespace:first$}  {kind:second$}  {name:third$}  {instance}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(
        text,
        "\n{} of instances that do not exist. Delete what is not needed; to give an object to an instance, annotate it with {}=component:NAMESPACE/NAME.",
        if orphans.len() == 1 {
            "1 object".to_owned()
        } else {
            format!("{} objects", orphans.len())
        },
        marks::ADOPT_BY
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orphans_are_told_in_columns() {
        let orphan = |namespace: &str, kind: &str, name: &str| Orphan {
            namespace: namespace.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            instance: "component:shop/orders".to_owned(),
            uid: "x".to_owned(),
        };
        let text = table(&[
            orphan("", "Namespace", "shop-orders-dev"),
            orphan("shop", "ConfigMap", "settings"),
        ]);
        insta::assert_snapshot!(text, @"
        NAMESPACE  KIND       NAME             OF
                   Namespace  shop-orders-dev  component:shop/orders
        shop       ConfigMap  settings         component:shop/orders

        2 objects of instances that do not exist. Delete what is not needed; to give an object to an instance, annotate it with landfall.dev/adopt-by=component:NAMESPACE/NAME.
        ");
    }
}
