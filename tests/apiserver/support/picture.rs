//! All that is on the server in some namespaces, so that a test can say what did not change.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures::StreamExt;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope, verbs};
use tokio::sync::OnceCell;

use super::patience::eventually;

/// Every object in some namespaces, and the cluster-scoped ones that belong to them by name, byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    objects: BTreeMap<String, String>,
}

impl Picture {
    /// What is there now. Of our own kinds the status moves, events come and go, and the controller manager
    /// makes two objects in each namespace in its own time: these are left out.
    pub async fn take(client: &Client, namespaces: &[&str]) -> Self {
        let kinds = kinds(client).await;
        let places = kinds.iter().flat_map(|(resource, namespaced)| {
            let places: Vec<Option<&str>> = if *namespaced {
                namespaces.iter().copied().map(Some).collect()
            } else {
                vec![None]
            };
            places.into_iter().map(move |place| (resource, place))
        });
        let listed = futures::stream::iter(places)
            .map(|(resource, place)| list(client, resource, place))
            .buffer_unordered(8)
            .collect::<Vec<_>>()
            .await;
        let belongs = |name: &str| {
            namespaces
                .iter()
                .any(|namespace| name == *namespace || name.starts_with(&format!("{namespace}-")))
        };
        let objects = listed
            .into_iter()
            .flatten()
            .filter(
                |(resource, object)| match (&object.metadata.namespace, &object.metadata.name) {
                    (None, Some(name)) => belongs(name),
                    (Some(_), Some(name)) => !matches!(
                        (resource.as_str(), name.as_str()),
                        ("serviceaccounts", "default") | ("configmaps", "kube-root-ca.crt")
                    ),
                    _ => false,
                },
            )
            .map(|(resource, object)| {
                let place = object.metadata.namespace.as_deref().unwrap_or("-");
                let name = object.metadata.name.as_deref().unwrap_or_default();
                (
                    format!("{resource} {place}/{name}"),
                    serde_json::to_string(&object).unwrap(),
                )
            })
            .collect();
        Self { objects }
    }

    /// The objects' resources and names.
    pub fn names(&self) -> Vec<&str> {
        self.objects.keys().map(String::as_str).collect()
    }

    /// What differs, in words; empty where nothing does.
    pub fn differences(&self, now: &Self) -> String {
        let mut text = String::new();
        for (name, body) in &now.objects {
            match self.objects.get(name) {
                None => writeln!(text, "new: {name}\n  {body}").unwrap(),
                Some(before) if before != body => {
                    writeln!(text, "changed: {name}\n  before {before}\n  after  {body}").unwrap();
                }
                Some(_) => {}
            }
        }
        for name in self.objects.keys().filter(|name| !now.objects.contains_key(*name)) {
            writeln!(text, "gone: {name}").unwrap();
        }
        text
    }
}

pub(super) async fn list(client: &Client, resource: &ApiResource, place: Option<&str>) -> Vec<(String, DynamicObject)> {
    let api: Api<DynamicObject> = match place {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    // A kind that was just defined answers 429 until its storage is there.
    let what = format!("{} to be listed", resource.plural);
    let listed = eventually(&what, async || api.list(&ListParams::default()).await).await;
    listed
        .into_iter()
        .map(|object| (resource.plural.clone(), object))
        .collect()
}

/// The kinds that are looked at, and whether they live in namespaces.
pub(super) async fn kinds(client: &Client) -> &'static [(ApiResource, bool)] {
    static KINDS: OnceCell<Vec<(ApiResource, bool)>> = OnceCell::const_new();
    KINDS
        .get_or_init(async || {
            let discovery = Discovery::new(client.clone())
                .exclude(&[
                    "catalog.landfall.dev",
                    "events.k8s.io",
                    "coordination.k8s.io",
                    "metrics.k8s.io",
                ])
                .run_aggregated()
                .await
                .unwrap();
            let mut kinds: Vec<(ApiResource, bool)> = discovery
                .groups()
                .flat_map(kube::discovery::ApiGroup::recommended_resources)
                .filter(|(_, capabilities)| capabilities.supports_operation(verbs::LIST))
                .filter(|(resource, _)| {
                    !resource.group.ends_with(".example.com")
                        && !matches!(
                            resource.plural.as_str(),
                            "events" | "controllerrevisions" | "componentstatuses"
                        )
                })
                .map(|(resource, capabilities)| (resource, capabilities.scope == Scope::Namespaced))
                .collect();
            kinds.sort_by(|left, right| left.0.plural.cmp(&right.0.plural));
            assert!(kinds.len() > 30, "the server has more kinds than {kinds:?}");
            kinds
        })
        .await
}
