//! The watches on our own kinds, on revisions, on namespaces and on CRDs: they feed the caches and wake who is concerned.

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
use kube::{Client, Resource, ResourceExt};
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
const LOOKS: [Duration; 6] = [
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(300),
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
pub async fn run(world: Arc<World>, feeds: Feeds, ready: Readiness) {
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
            watcher::Config::default().any_semantic(),
            writer,
            done,
            move |event| own(&world, kind, event),
            kind.kind(),
        )));
    }
    let (done, seen) = watch::channel(false);
    synced.push(seen);
    let reacting = world.clone();
    let labelled = watcher::Config::default().any_semantic().labels(marks::TEMPLATE);
    tasks.push(tokio::spawn(follow(
        Api::all(client.clone()),
        labelled,
        feeds.revisions,
        done,
        move |event| revision(&reacting, event),
        "ControllerRevision",
    )));
    let (done, seen) = watch::channel(false);
    synced.push(seen);
    let reacting = world.clone();
    tasks.push(tokio::spawn(follow(
        Api::<PartialObjectMeta<Namespace>>::all(client.clone()),
        watcher::Config::default().any_semantic(),
        feeds.namespaces,
        done,
        move |event| namespace(&reacting, event),
        "Namespace",
    )));
    let (done, seen) = watch::channel(false);
    synced.push(seen);
    tasks.push(tokio::spawn(follow(
        Api::<PartialObjectMeta<CustomResourceDefinition>>::all(client),
        watcher::Config::default().any_semantic(),
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

/// Keeps one cache. `done` turns true with the first whole list.
async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    mut writer: Writer<K>,
    done: watch::Sender<bool>,
    react: impl Fn(&Event<K>) + Send,
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
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                writer.apply_watcher_event(&event);
                react(&event);
                if matches!(event, Event::InitDone) {
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

/// An entity of ours came, changed or went.
fn own(world: &World, kind: OwnKind, event: &Event<DynamicObject>) {
    match event {
        Event::Apply(object) | Event::InitApply(object) => {
            let key = Key::of(kind, object);
            world.wakes.learn_uid(&object.uid().unwrap_or_default(), &key);
            // What a first or renewed list gives is in the cache only when the list has ended.
            let (listed, own_write) = match event {
                Event::InitApply(_) => (true, world.is_own_write(&key, object)),
                _ => (false, world.caught_up(&key, object)),
            };
            if listed || !own_write {
                world.wakes.wake(&key);
            }
            concern(world, &key, object, own_write);
        }
        Event::Delete(object) => {
            let key = Key::of(kind, object);
            world.wakes.forget(&key, &object.uid().unwrap_or_default());
            world.children.hold(&key, &std::collections::HashSet::new());
            world.attempts.succeeded(&key);
            world.refusals.forget(&key);
            world.repairs.forget(&key);
            world
                .written
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .remove(&key);
            concern(world, &key, object, false);
        }
        Event::Init | Event::InitDone => {}
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

fn revision(world: &World, event: &Event<ControllerRevision>) {
    if let Event::Apply(revision) | Event::Delete(revision) = event
        && let Some((namespace, name)) = revisions::template_of(revision)
    {
        if matches!(event, Event::Delete(_)) {
            world.wakes.wake(&Key {
                kind: OwnKind::Template,
                namespace: namespace.clone(),
                name: name.clone(),
            });
        }
        world.wakes.wake_interested(&Interest::Template(namespace, name));
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
        look(&world, &client, &mut looks, rounds).await;
    }
}

/// Looks at what the cluster serves, after each of `rounds`. A CRD that changes meanwhile is looked at as promptly as the
/// first; one that changes all the time does not put the look off.
async fn look(world: &World, client: &Client, looks: &mut watch::Receiver<()>, rounds: &[Duration]) {
    let mut place = 0;
    while let Some(wait) = rounds.get(place) {
        match tokio::time::timeout(*wait, looks.changed()).await {
            Ok(Err(_)) => return,
            Ok(Ok(())) if place > 0 => {
                place = 0;
                continue;
            }
            Ok(Ok(())) => tokio::time::sleep(*wait).await,
            Err(_) => {}
        }
        if place == 0 {
            // The fields of a kind may have changed without its name changing.
            world.kinds.forget_schemas();
        }
        place += 1;
        match world.kinds.refresh(client).await {
            Ok(changed) => {
                if changed {
                    world.wakes.wake_interested(&Interest::Kinds);
                }
                // What was closed because its kind had gone is opened without waiting for its own next try.
                world.children.reopen();
            }
            Err(error) => {
                tracing::info!(%error, "the apiserver does not say what it serves; the last picture stands");
            }
        }
    }
}
