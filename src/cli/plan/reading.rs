//! What a preview reads of the cluster before it plans: the entities of the files as they are, and what these name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{StreamExt as _, stream};
use kube::ResourceExt as _;
use kube::api::DynamicObject;

use super::cluster::Cluster;
use super::files::Document;
use super::picture::{NO_UID, Picture};
use crate::api::template::{AllowedFrom, TemplateSpec};
use crate::catalog::conversion::names::object_name;
use crate::catalog::fields;
use crate::catalog::refs::EntityRef;
use crate::controllers::instance::decode::Instance;
use crate::controllers::instance::gather;
use crate::controllers::surroundings::Surroundings as _;
use crate::controllers::template::revisions::Held;
use crate::controllers::wakes::{Interest, Key, OwnKind};
use crate::template::content::{Content, version};

/// How many objects are asked for at the same time.
pub const CONCURRENCY: usize = 16;
/// The kinds that may be instances.
pub const INSTANCES: [OwnKind; 3] = [OwnKind::System, OwnKind::Resource, OwnKind::Component];

/// The entities of the files as they are in the cluster, and why single ones could not be read.
#[derive(Default)]
pub struct Live {
    /// As they are.
    pub objects: HashMap<Key, DynamicObject>,
    /// Why not.
    pub unread: HashMap<Key, String>,
}

/// Reads how the entities of the files are.
pub async fn live(cluster: &Cluster, documents: &[Document]) -> Live {
    let mut live = Live::default();
    let mut reads = stream::iter(documents)
        .map(|document| async move { (&document.key, cluster.entity(&document.key).await) })
        .buffered(CONCURRENCY);
    while let Some((key, read)) = reads.next().await {
        match read {
            Ok(Some(object)) => {
                live.objects.insert(key.clone(), object);
            }
            Ok(None) => {}
            Err(why) => {
                live.unread.insert(key.clone(), why);
            }
        }
    }
    live
}

/// An entity of a file as it would be: what the apiserver and others have put to it stays.
pub fn overlaid(document: &Document, live: Option<&DynamicObject>) -> DynamicObject {
    let mut object = document.object.clone();
    let Some(live) = live else {
        object.metadata.uid = Some(NO_UID.to_owned());
        object.metadata.generation = Some(1);
        return object;
    };
    let written = object.metadata;
    object.metadata = live.metadata.clone();
    let merged = |theirs: Option<&BTreeMap<String, String>>, ours: Option<BTreeMap<String, String>>| {
        let mut all = theirs.cloned().unwrap_or_default();
        all.extend(ours.unwrap_or_default());
        Some(all).filter(|all| !all.is_empty())
    };
    object.metadata.labels = merged(live.metadata.labels.as_ref(), written.labels);
    object.metadata.annotations = merged(live.metadata.annotations.as_ref(), written.annotations);
    object.metadata.managed_fields = None;
    if let (Some(fields), Some(status)) = (object.data.as_object_mut(), live.data.get("status")) {
        fields.insert("status".to_owned(), status.clone());
    }
    object
}

/// Reads into the picture what instances name: templates, systems and owners that it does not have yet, the templates'
/// revisions, and the labels of namespaces by which templates choose.
pub async fn named(cluster: &Cluster, picture: &mut Picture<'_>, instances: &[Key]) {
    let mut wanted = BTreeSet::new();
    for instance in decoded(picture, instances) {
        let Some(template) = &instance.template else { continue };
        for interest in gather::interests(&instance, template) {
            if let Interest::Entity(reference) = interest
                && picture.find(&reference).is_none()
                && !picture.unread.contains_key(&reference)
            {
                wanted.insert(reference);
            }
        }
    }
    refs(cluster, picture, wanted).await;
    labels(cluster, picture, instances).await;
}

/// Reads into the picture what these refs name.
pub async fn refs(cluster: &Cluster, picture: &mut Picture<'_>, wanted: BTreeSet<EntityRef>) {
    let read: Vec<(EntityRef, Result<Vec<DynamicObject>, String>)> = stream::iter(wanted)
        .map(|reference| async move {
            let found = holders(cluster, &reference).await;
            (reference, found)
        })
        .buffered(CONCURRENCY)
        .collect()
        .await;
    for (reference, found) in read {
        match found {
            Ok(objects) => {
                let Some(kind) = kind_of(&reference) else { continue };
                for object in objects {
                    take_in(cluster, picture, kind, object).await;
                }
            }
            Err(why) => {
                picture.unread.insert(reference, why);
            }
        }
    }
}

async fn take_in(cluster: &Cluster, picture: &mut Picture<'_>, kind: OwnKind, object: DynamicObject) {
    let key = Key {
        kind,
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    };
    // An entity of the files stands before what the cluster has.
    if picture.entity(&key).is_some() {
        return;
    }
    if kind == OwnKind::Template {
        let revisions = revisions(cluster, &key, Some(&object)).await;
        match revisions {
            Ok(revisions) => picture.put_revisions(&key, revisions),
            Err(why) => {
                let reference = EntityRef::new(kind.word(), &key.namespace, &key.name);
                picture.unread.insert(reference, format!("its revisions: {why}"));
            }
        }
    }
    picture.put(&key, object);
}

/// The revisions of a Template. Where they may not be listed, what the Template says itself is the newest, if it compiled.
///
/// # Errors
/// Why they cannot be read.
pub async fn revisions(cluster: &Cluster, template: &Key, object: Option<&DynamicObject>) -> Result<Vec<Held>, String> {
    let why = match cluster.revisions(template).await {
        Ok(revisions) => return Ok(revisions),
        Err(why) => why,
    };
    let spec: Option<TemplateSpec> = object
        .and_then(|object| object.data.get("spec").cloned())
        .and_then(|spec| serde_json::from_value(spec).ok());
    let own = spec.map(|spec| {
        let content = Content::of(&spec);
        let digest = content.digest();
        Held {
            template: template.name.clone(),
            version: version(spec.version.as_deref(), &digest),
            digest,
            content,
        }
    });
    let latest = object.and_then(|object| object.data.pointer("/status/latest/digest")?.as_str());
    own.filter(|own| Some(own.digest.as_str()) == latest)
        .map(|own| vec![own])
        .ok_or(why)
}

fn decoded(picture: &Picture<'_>, keys: &[Key]) -> Vec<Instance> {
    keys.iter()
        .filter_map(|key| Instance::decode(key, &*picture.entity(key)?).ok())
        .collect()
}

fn kind_of(reference: &EntityRef) -> Option<OwnKind> {
    OwnKind::ALL.into_iter().find(|kind| kind.word() == reference.kind)
}

/// The objects among which is the one that holds a ref. Mostly it is called as the entity is; where it is not, all of its
/// kind in its namespace, which also tells what else may have been meant.
async fn holders(cluster: &Cluster, reference: &EntityRef) -> Result<Vec<DynamicObject>, String> {
    let Some(kind) = kind_of(reference) else {
        return Ok(Vec::new());
    };
    let key = Key {
        kind,
        namespace: reference.namespace.clone(),
        name: object_name(&reference.name),
    };
    let usual = cluster.entity(&key).await?;
    let is_it = |object: &DynamicObject| {
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        fields::reference(kind.kind(), &key.namespace, &object.name_any(), &spec) == *reference
    };
    match usual.filter(is_it) {
        Some(object) => Ok(vec![object]),
        None => cluster.list(kind, Some(&reference.namespace)).await,
    }
}

/// Reads the labels of the instances' namespaces where templates choose by them.
async fn labels(cluster: &Cluster, picture: &mut Picture<'_>, instances: &[Key]) {
    let mut wanted = BTreeSet::new();
    for instance in decoded(picture, instances) {
        let namespace = &instance.key.namespace;
        let template = instance.template.as_ref().and_then(|template| {
            let reference = crate::catalog::refs::parse_of_kind(&template.reference, "template", namespace).ok()?;
            let (_, object) = picture.find(&reference)?;
            serde_json::from_value::<TemplateSpec>(object.data.get("spec")?.clone()).ok()
        });
        let selects = template
            .and_then(|template| template.allowed_namespaces)
            .is_some_and(|allowed| allowed.from == AllowedFrom::Selector);
        if selects && !picture.has_labels(namespace) {
            wanted.insert(namespace.clone());
        }
    }
    for namespace in wanted {
        let labels = cluster.namespace_labels(&namespace).await;
        if let Err(why) = &labels {
            let reference = EntityRef::new("namespace", "", &namespace);
            picture.unread.insert(reference, why.clone());
        }
        picture.put_labels(&namespace, labels.ok());
    }
}
