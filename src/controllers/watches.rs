//! The watches on our own kinds, on revisions, on namespaces and on CRDs: they feed the caches and wake who is concerned.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource, ResourceExt};
use tokio::sync::watch;

use super::arrival::Arrival;
use super::following::Following;
use super::template::revisions;
use super::wakes::{Interest, Key, OwnKind};
use super::world::{Stores, World};
use crate::api::marks;
use crate::runtime::definitions;
use crate::runtime::fence::Fence;
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
/// How many objects one page of a list has. A page is held as a whole before it is packed.
const PAGE: u32 = 200;
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

/// What is watched, as readiness and messages name it: group and resource.
fn subject(group: &str, plural: &str) -> String {
    if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    }
}

/// What the picture of the cluster's kinds is called in readiness.
const DISCOVERY: &str = "discovery";

/// Says in `ready` that nothing has been seen yet.
pub fn expect(ready: &Readiness) {
    let own = OwnKind::ALL.map(OwnKind::full_name);
    let others = [
        subject("apps", "controllerrevisions"),
        subject("", "namespaces"),
        subject("apiextensions.k8s.io", "customresourcedefinitions"),
    ];
    for what in own.into_iter().chain(others) {
        ready.lacks(&what, "not listed yet");
    }
    ready.lacks(DISCOVERY, "the apiserver has not said yet what it serves");
}

/// Watches until the process ends, and says in `ready` what has not been seen yet. With a fence, it is kept closed, and the process
/// not ready, while the definitions of our kinds would not take what this process writes.
pub async fn run(world: Arc<World>, feeds: Feeds, ready: Readiness, fence: Option<Fence>, timeout: u32) {
    // Lists are of the present, as they are where nothing else is asked for: one of the past would bring back what is gone.
    let config = watcher::Config::default().timeout(timeout).page_size(PAGE);
    let client = world.clients.operator();
    let (crds_changed, looks) = watch::channel(());
    let (own_changed, own_looks) = watch::channel(());
    let following = |what: String| Following::new(&world, &ready, what);
    let mut tasks = Vec::new();
    for kind in OwnKind::ALL {
        let api: Api<Arrival> = Api::all_with(client.clone(), &kind.resource());
        let (reacting, mut listed) = (world.clone(), HashSet::new());
        let react = move |event| own(&reacting, kind, event, &mut listed);
        let streamed = following(kind.full_name()).streamed();
        tasks.push(tokio::spawn(streamed.follow(api, config.clone(), react)));
    }
    let reacting = world.clone();
    tasks.push(tokio::spawn(following(subject("apps", "controllerrevisions")).follow(
        Api::all(client.clone()),
        config.clone().labels(marks::TEMPLATE),
        keeping(feeds.revisions, move |seen| revision(&reacting, seen)),
    )));
    let reacting = world.clone();
    tasks.push(tokio::spawn(following(subject("", "namespaces")).follow(
        Api::<PartialObjectMeta<Namespace>>::all(client.clone()),
        config.clone(),
        keeping(feeds.namespaces, move |seen| namespace(&reacting, seen)),
    )));
    let (suspected, mut own_definitions) = (fence.clone(), OwnDefinitions::default());
    let definitions_watch = following(subject("apiextensions.k8s.io", "customresourcedefinitions"));
    tasks.push(tokio::spawn(definitions_watch.follow(
        Api::<PartialObjectMeta<CustomResourceDefinition>>::all(client.clone()),
        config,
        move |event| {
            crds_changed.send_replace(());
            if own_definitions.changed_with(&event) {
                // A status that is written to an older one is cut at once.
                if let Some(fence) = &suspected {
                    fence.suspect(true);
                }
                own_changed.send_replace(());
            }
        },
    )));
    if let Some(fence) = fence {
        tasks.push(tokio::spawn(definitions::keep(client, own_looks, ready.clone(), fence)));
    }
    tasks.push(tokio::spawn(discover(world.clone(), looks, ready.clone())));
    futures::future::select_all(tasks)
        .await
        .0
        .unwrap_or_else(|error| tracing::error!(%error, "a watch panicked"));
}

/// What the watch on definitions says of ours.
#[derive(Default)]
struct OwnDefinitions {
    /// Whether the list that is under way has one.
    listed: bool,
}

impl OwnDefinitions {
    /// Whether ours are to be looked at after this. Those of a list are, all at once, when it has ended: an operator that starts would
    /// else be ready with the first look, and keep from writing for the second.
    fn changed_with(&mut self, event: &Event<PartialObjectMeta<CustomResourceDefinition>>) -> bool {
        match event {
            Event::Apply(definition) | Event::Delete(definition) => is_own(definition),
            Event::InitApply(definition) => {
                self.listed |= is_own(definition);
                false
            }
            Event::Init => false,
            Event::InitDone => std::mem::take(&mut self.listed),
        }
    }
}

fn is_own(definition: &PartialObjectMeta<CustomResourceDefinition>) -> bool {
    definition.name_any().ends_with(&format!(".{}", crate::api::GROUP))
}

/// What a watch tells of an object.
enum Seen<'a, K> {
    /// It is there, as new or changed.
    There(&'a K),
    /// It is gone.
    Gone(&'a K),
}

/// Keeps a cache and tells of what changes in it. What a later list gives is told as the changes that it makes to the cache, and when
/// the cache has them: the watch that ended has told of none of them.
fn keeping<K>(mut writer: Writer<K>, react: impl Fn(&Seen<'_, K>) + Send) -> impl FnMut(Event<K>) + Send
where
    K: Resource + Clone + Send + Sync + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone + Default + Send,
{
    let cache = writer.as_reader();
    move |event| {
        let before = matches!(event, Event::InitDone).then(|| cache.state());
        writer.apply_watcher_event(&event);
        match (&event, before) {
            (Event::Apply(object), _) => react(&Seen::There(object)),
            (Event::Delete(object), _) => react(&Seen::Gone(object)),
            (_, Some(before)) => differences(&before, &cache.state(), &react),
            _ => {}
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

/// An entity of ours came, changed or went. `listed` holds what a list that is under way has given.
fn own(world: &World, kind: OwnKind, event: Event<Arrival>, listed: &mut HashSet<Key>) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(arrival) => {
            let object = arrival.into_object();
            listed.insert(Key::of(kind, &object));
            came(world, kind, object);
        }
        Event::Apply(arrival) => came(world, kind, arrival.into_object()),
        Event::Delete(arrival) => went(world, &Key::of(kind, &arrival.into_object())),
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
    let known = world.catalog.uid(&key);
    if known.is_some() && known != object.metadata.uid {
        // Another of the same name, whose going nobody saw.
        went(world, &key);
    }
    if may_own(&object) {
        world
            .wakes
            .learn_uid(object.metadata.uid.as_deref().unwrap_or_default(), &key);
    }
    let Some(seen) = world.catalog.saw(&key, object) else {
        return;
    };
    world.concern(&seen.changes);
    if seen.status_only {
        world.wakes.wake_soon(&key);
    } else {
        world.wakes.wake(&key);
    }
    // Of an owner only the spec is read; there are many who read it.
    if !(seen.status_only && matches!(kind, OwnKind::Group | OwnKind::User)) {
        world.wake_readers(&key);
    }
}

fn went(world: &World, key: &Key) {
    let uid = world.catalog.uid(key).unwrap_or_default();
    world.wake_readers(key);
    let changes = world.catalog.gone(key);
    world.wakes.forget(key, &uid);
    world.children.hold(key, &HashSet::new());
    world.attempts.succeeded(key);
    world.refusals.forget(key);
    world.repairs.forget(key);
    world.awaited.forget(key);
    world.concern(&changes);
}

/// Whether there may be objects that carry the UID of this entity.
fn may_own(object: &DynamicObject) -> bool {
    let finalizers = object.metadata.finalizers.iter().flatten();
    object.data.pointer("/spec/template").is_some()
        || object.data.pointer("/status/inventory").is_some()
        || finalizers.into_iter().any(|name| name == marks::FINALIZER)
}

fn revision(world: &World, seen: &Seen<'_, ControllerRevision>) {
    let (Seen::There(revision) | Seen::Gone(revision)) = seen;
    if let Some((namespace, name)) = revisions::template_of(revision) {
        let template = Key {
            kind: OwnKind::Template,
            namespace,
            name,
        };
        if matches!(seen, Seen::Gone(_)) {
            world.wakes.wake(&template);
        }
        world.wake_readers(&template);
    }
}

fn namespace(world: &World, seen: &Seen<'_, PartialObjectMeta<Namespace>>) {
    let (Seen::There(namespace) | Seen::Gone(namespace)) = seen;
    world.wakes.wake_interested(&Interest::Namespace(namespace.name_any()));
}

/// Keeps the picture of the cluster's kinds.
async fn discover(world: Arc<World>, mut looks: watch::Receiver<()>, ready: Readiness) {
    let client = world.clients.operator();
    while let Err(error) = world.kinds.refresh(&client).await {
        if ready.lacks(DISCOVERY, format!("the apiserver does not say what it serves: {error}")) {
            tracing::warn!(%error, "the apiserver does not say what it serves; trying again");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    ready.has(DISCOVERY);
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
