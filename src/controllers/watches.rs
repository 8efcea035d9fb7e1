//! The watches on our own kinds, on revisions, on namespaces and on CRDs: they feed the caches and wake who is concerned.

use std::collections::HashMap;
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
use crate::catalog::refs;
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
    own: Vec<(OwnKind, Writer<DynamicObject>)>,
    revisions: Writer<ControllerRevision>,
    namespaces: Writer<PartialObjectMeta<Namespace>>,
}

/// The caches, empty, and their writing ends.
pub fn stores() -> (Stores, Feeds) {
    let own: Vec<(OwnKind, Writer<DynamicObject>)> = OwnKind::ALL
        .into_iter()
        .map(|kind| (kind, Writer::new(kind.resource())))
        .collect();
    let revisions = Writer::new(());
    let namespaces = Writer::new(());
    let reader = |wanted: OwnKind| {
        own.iter()
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, writer)| writer.as_reader())
    };
    let empty = || Writer::new(OwnKind::Component.resource()).as_reader();
    let stores = Stores {
        components: reader(OwnKind::Component).unwrap_or_else(empty),
        systems: reader(OwnKind::System).unwrap_or_else(empty),
        templates: reader(OwnKind::Template).unwrap_or_else(empty),
        revisions: revisions.as_reader(),
        namespaces: namespaces.as_reader(),
    };
    (
        stores,
        Feeds {
            own,
            revisions,
            namespaces,
        },
    )
}

/// Watches until the process ends, and says when everything has been seen once.
pub async fn run(world: Arc<World>, feeds: Feeds, ready: Readiness, timeout: u32) {
    // Lists are of the present, as they are where nothing else is asked for: one of the past would bring back what is gone.
    let config = watcher::Config::default().timeout(timeout);
    let client = world.clients.operator();
    let (crds_changed, looks) = watch::channel(());
    let mut synced = Vec::new();
    let mut tasks = Vec::new();
    for (kind, writer) in feeds.own {
        let (world, (done, seen)) = (world.clone(), watch::channel(false));
        synced.push(seen);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource());
        tasks.push(tokio::spawn(follow(
            api,
            config.clone(),
            writer,
            done,
            move |seen| own(&world, kind, seen),
            kind.kind(),
        )));
    }
    let (done, seen) = watch::channel(false);
    synced.push(seen);
    let reacting = world.clone();
    let labelled = config.clone().labels(marks::TEMPLATE);
    tasks.push(tokio::spawn(follow(
        Api::all(client.clone()),
        labelled,
        feeds.revisions,
        done,
        move |seen| revision(&reacting, seen),
        "ControllerRevision",
    )));
    let (done, seen) = watch::channel(false);
    synced.push(seen);
    let reacting = world.clone();
    tasks.push(tokio::spawn(follow(
        Api::<PartialObjectMeta<Namespace>>::all(client.clone()),
        config.clone(),
        feeds.namespaces,
        done,
        move |seen| namespace(&reacting, seen),
        "Namespace",
    )));
    let (done, seen) = watch::channel(false);
    synced.push(seen);
    tasks.push(tokio::spawn(follow(
        Api::<PartialObjectMeta<CustomResourceDefinition>>::all(client),
        config,
        Writer::new(()),
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

/// What a watch tells of an object.
enum Seen<'a, K> {
    /// It is there, as new or changed.
    There(&'a K),
    /// It is gone.
    Gone(&'a K),
}

/// Keeps one cache. `done` turns true with the first whole list. What a later list gives is told as the changes that it makes to
/// the cache, and when the cache has them: the watch that ended has told of none of them.
async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    mut writer: Writer<K>,
    done: watch::Sender<bool>,
    react: impl Fn(&Seen<'_, K>) + Send,
    kind: &'static str,
) where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    // Managed fields are more than half of a small object, and nothing here reads those of our own kinds.
    let events = watcher::watcher(api, config)
        .backoff(Reopening::default())
        .modify(|object| object.managed_fields_mut().clear());
    let mut events = std::pin::pin!(events);
    let cache = writer.as_reader();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitDone) => {
                let before = cache.state();
                writer.apply_watcher_event(&Event::InitDone);
                differences(&before, &cache.state(), &react);
                done.send_replace(true);
            }
            Ok(event) => {
                writer.apply_watcher_event(&event);
                match &event {
                    Event::Apply(object) => react(&Seen::There(object)),
                    Event::Delete(object) => react(&Seen::Gone(object)),
                    Event::Init | Event::InitApply(_) | Event::InitDone => {}
                }
            }
            Err(error) if !*done.borrow() => {
                tracing::warn!(kind, %error, "not listed yet; trying again (are the CRDs installed, and may the operator watch them?)");
            }
            Err(error) => tracing::info!(kind, %error, "a watch ended and starts again"),
        }
    }
}

/// Tells of what differs from one state of a cache to the next.
fn differences<K: Resource>(before: &[Arc<K>], now: &[Arc<K>], react: &impl Fn(&Seen<'_, K>)) {
    let place = |object: &K| (object.meta().namespace.clone(), object.meta().name.clone());
    let mut known: HashMap<_, &Arc<K>> = before.iter().map(|object| (place(object), object)).collect();
    let mut changed = Vec::new();
    for object in now {
        match known.remove(&place(object)) {
            Some(before) if before.meta().resource_version == object.meta().resource_version => {}
            Some(before) => {
                if before.meta().uid != object.meta().uid {
                    react(&Seen::Gone(before));
                }
                changed.push(object);
            }
            None => changed.push(object),
        }
    }
    for gone in known.into_values() {
        react(&Seen::Gone(gone));
    }
    for object in changed {
        react(&Seen::There(object));
    }
}

/// An entity of ours came, changed or went.
fn own(world: &World, kind: OwnKind, seen: &Seen<'_, DynamicObject>) {
    match seen {
        Seen::There(object) => {
            let key = Key::of(kind, object);
            world.wakes.learn_uid(&object.uid().unwrap_or_default(), &key);
            let own_write = world.caught_up(&key, object);
            if !own_write {
                world.wakes.wake(&key);
            }
            concern(world, &key, object, own_write);
        }
        Seen::Gone(object) => {
            let key = Key::of(kind, object);
            world.wakes.forget(&key, &object.uid().unwrap_or_default());
            world.children.hold(&key, &std::collections::HashSet::new());
            world.attempts.succeeded(&key);
            world.refusals.forget(&key);
            world
                .written
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .remove(&key);
            concern(world, &key, object, false);
        }
    }
}

/// Wakes what shows this entity in its own status, or depends on it.
fn concern(world: &World, key: &Key, object: &DynamicObject, own_write: bool) {
    match key.kind {
        OwnKind::Template => {
            // A change of its status that concerns instances wakes them when it is written; this is for its spec's authority, its coming and its going.
            if !own_write {
                world
                    .wakes
                    .wake_interested(&Interest::Template(key.namespace.clone(), key.name.clone()));
            }
        }
        OwnKind::System => {
            if !own_write || object.metadata.deletion_timestamp.is_some() {
                world
                    .wakes
                    .wake_interested(&Interest::System(key.namespace.clone(), key.name.clone()));
            }
            template_of(world, key, object);
        }
        OwnKind::Component => {
            let written = object.data.pointer("/spec/system").and_then(serde_json::Value::as_str);
            if let Some(system) =
                written.and_then(|written| refs::parse_of_kind(written, "system", &key.namespace).ok())
            {
                world.wakes.wake_soon(&Key {
                    kind: OwnKind::System,
                    namespace: system.namespace,
                    name: system.name,
                });
            }
            template_of(world, key, object);
        }
    }
}

fn template_of(world: &World, key: &Key, object: &DynamicObject) {
    let written = object
        .data
        .pointer("/spec/template/ref")
        .and_then(serde_json::Value::as_str);
    if let Some(named) = written.and_then(|written| refs::parse_of_kind(written, "template", &key.namespace).ok()) {
        world.wakes.wake_soon(&Key {
            kind: OwnKind::Template,
            namespace: named.namespace,
            name: named.name,
        });
    }
}

fn revision(world: &World, seen: &Seen<'_, ControllerRevision>) {
    let (Seen::There(revision) | Seen::Gone(revision)) = seen;
    if let Some((namespace, name)) = revisions::template_of(revision) {
        if matches!(seen, Seen::Gone(_)) {
            world.wakes.wake(&Key {
                kind: OwnKind::Template,
                namespace: namespace.clone(),
                name: name.clone(),
            });
        }
        world.wakes.wake_interested(&Interest::Template(namespace, name));
    }
}

fn namespace(world: &World, seen: &Seen<'_, PartialObjectMeta<Namespace>>) {
    let (Seen::There(namespace) | Seen::Gone(namespace)) = seen;
    world.wakes.wake_interested(&Interest::Namespace(namespace.name_any()));
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
