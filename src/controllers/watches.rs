//! The watches on our own kinds, on revisions, on namespaces and on CRDs: they feed the caches and wake who is concerned.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::template::revisions;
use super::wakes::{Interest, Key, OwnKind};
use super::world::{Stores, World};
use crate::api::marks;
use crate::runtime::backoff::Reopening;
use crate::runtime::http::Readiness;

/// When discovery is looked at again after a CRD changed: a new kind is served a moment after its CRD says so.
const LOOKS: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];
/// Kinds of aggregated apiservers have no CRD to watch.
const UNPROMPTED: Duration = Duration::from_mins(5);

/// The writing ends of the caches.
pub struct Feeds {
    revisions: Writer<ControllerRevision>,
    namespaces: Writer<PartialObjectMeta<Namespace>>,
}

/// The caches, empty, and their writing ends.
pub fn stores() -> (Stores, Feeds) {
    let revisions = Writer::new(());
    let namespaces = Writer::new(());
    let stores = Stores {
        revisions: revisions.as_reader(),
        namespaces: namespaces.as_reader(),
    };
    (stores, Feeds { revisions, namespaces })
}

/// Watches until the process ends, and says when everything has been seen once.
pub async fn run(world: Arc<World>, feeds: Feeds, ready: Readiness) {
    let client = world.clients.operator();
    let (crds_changed, looks) = watch::channel(());
    let mut synced = Vec::new();
    let mut tasks = Vec::new();
    for kind in OwnKind::ALL {
        let (world, (done, seen)) = (world.clone(), watch::channel(false));
        synced.push(seen);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource());
        // In pages, and so not out of the apiserver's cache, which gives all at once: there may be many thousands.
        let pages = watcher::Config::default();
        let mut listed = HashSet::new();
        let react = move |event| own(&world, kind, event, &mut listed);
        tasks.push(tokio::spawn(follow(api, pages, done, react, kind.kind())));
    }
    let (done, seen) = watch::channel(false);
    synced.push(seen);
    let (reacting, mut writer) = (world.clone(), feeds.revisions);
    tasks.push(tokio::spawn(follow(
        Api::all(client.clone()),
        watcher::Config::default().any_semantic().labels(marks::TEMPLATE),
        done,
        move |event| {
            writer.apply_watcher_event(&event);
            revision(&reacting, &event);
        },
        "ControllerRevision",
    )));
    let (done, seen) = watch::channel(false);
    synced.push(seen);
    let (reacting, mut writer) = (world.clone(), feeds.namespaces);
    tasks.push(tokio::spawn(follow(
        Api::<PartialObjectMeta<Namespace>>::all(client.clone()),
        watcher::Config::default().any_semantic(),
        done,
        move |event| {
            writer.apply_watcher_event(&event);
            namespace(&reacting, &event);
        },
        "Namespace",
    )));
    let (done, seen) = watch::channel(false);
    synced.push(seen);
    tasks.push(tokio::spawn(follow(
        Api::<PartialObjectMeta<CustomResourceDefinition>>::all(client),
        watcher::Config::default().any_semantic(),
        done,
        move |_| {
            crds_changed.send_replace(());
        },
        "CustomResourceDefinition",
    )));
    tasks.push(tokio::spawn(discover(world.clone(), looks, synced, ready)));
    futures::future::select_all(tasks)
        .await
        .0
        .unwrap_or_else(|error| tracing::error!(%error, "a watch panicked"));
}

/// Follows one kind. `done` turns true with the first whole list.
async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    done: watch::Sender<bool>,
    mut react: impl FnMut(Event<K>) + Send,
    kind: &'static str,
) where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    // Managed fields are more than half of a small object, and nothing here reads those of these kinds.
    let events = watcher::watcher(api, config)
        .backoff(Reopening::default())
        .modify(|object| object.managed_fields_mut().clear());
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                let listed = matches!(event, Event::InitDone);
                react(event);
                if listed {
                    done.send_replace(true);
                }
            }
            Err(error) if !*done.borrow() => {
                tracing::warn!(kind, %error, "not listed yet; trying again (are the CRDs installed, and may the operator watch them?)");
            }
            Err(error) => tracing::info!(kind, %error, "a watch ended and starts again"),
        }
    }
}

/// An entity of ours came, changed or went. `listed` holds what a list that is under way has given.
fn own(world: &World, kind: OwnKind, event: Event<DynamicObject>, listed: &mut HashSet<Key>) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => {
            listed.insert(Key::of(kind, &object));
            came(world, kind, object);
        }
        Event::Apply(object) => came(world, kind, object),
        Event::Delete(object) => went(world, &Key::of(kind, &object)),
        Event::InitDone => {
            // What a renewed list does not have went while nobody watched.
            let gone = world.catalog.keys(kind).into_iter().filter(|key| !listed.contains(key));
            gone.for_each(|key| went(world, &key));
            *listed = HashSet::new();
        }
    }
}

fn came(world: &World, kind: OwnKind, object: DynamicObject) {
    let key = Key::of(kind, &object);
    if may_own(&object) {
        world
            .wakes
            .learn_uid(object.metadata.uid.as_deref().unwrap_or_default(), &key);
    }
    let Some(changes) = world.catalog.saw(&key, object) else {
        return;
    };
    world.concern(&changes);
    world.wakes.wake(&key);
    world.wake_readers(&key);
}

fn went(world: &World, key: &Key) {
    let uid = world.catalog.uid(key).unwrap_or_default();
    world.wake_readers(key);
    let changes = world.catalog.gone(key);
    world.wakes.forget(key, &uid);
    world.children.hold(key, &HashSet::new());
    world.attempts.succeeded(key);
    world.refusals.forget(key);
    world.concern(&changes);
}

/// Whether there may be objects that carry the UID of this entity.
fn may_own(object: &DynamicObject) -> bool {
    let finalizers = object.metadata.finalizers.iter().flatten();
    object.data.pointer("/spec/template").is_some()
        || object.data.pointer("/status/inventory").is_some()
        || finalizers.into_iter().any(|name| name == marks::FINALIZER)
}

fn revision(world: &World, event: &Event<ControllerRevision>) {
    if let Event::Apply(revision) | Event::Delete(revision) = event
        && let Some((namespace, name)) = revisions::template_of(revision)
    {
        let template = Key {
            kind: OwnKind::Template,
            namespace,
            name,
        };
        if matches!(event, Event::Delete(_)) {
            world.wakes.wake(&template);
        }
        world.wake_readers(&template);
    }
}

fn namespace(world: &World, event: &Event<PartialObjectMeta<Namespace>>) {
    if let Event::Apply(namespace) | Event::Delete(namespace) = event {
        world.wakes.wake_interested(&Interest::Namespace(namespace.name_any()));
    }
}

/// Keeps the picture of the cluster's kinds, and says when everything has been seen once.
async fn discover(
    world: Arc<World>,
    mut looks: watch::Receiver<()>,
    synced: Vec<watch::Receiver<bool>>,
    ready: Readiness,
) {
    let client = world.clients.operator();
    while let Err(error) = world.kinds.refresh(&client).await {
        tracing::warn!(%error, "the apiserver does not say what it serves; trying again");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for mut seen in synced {
        if seen.wait_for(|seen| *seen).await.is_err() {
            return;
        }
    }
    looks.mark_unchanged();
    ready.set(true);
    tracing::info!("everything has been seen once; at work");
    loop {
        let prompted = tokio::time::timeout(UNPROMPTED, looks.changed()).await;
        let rounds: &[Duration] = if prompted.is_ok() { &LOOKS } else { &[Duration::ZERO] };
        if matches!(prompted, Ok(Err(_))) {
            return;
        }
        // The fields of a kind may have changed without its name changing.
        world.kinds.forget_schemas();
        for round in rounds {
            tokio::time::sleep(*round).await;
            match world.kinds.refresh(&client).await {
                Ok(true) => world.wakes.wake_interested(&Interest::Kinds),
                Ok(false) => {}
                Err(error) => {
                    tracing::info!(%error, "the apiserver does not say what it serves; the last picture stands");
                }
            }
        }
    }
}
