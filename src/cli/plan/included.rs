//! Templates that include others, in a preview: in which order they are looked at, and which of the cluster's an edit reaches.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;
use kube::api::DynamicObject;

use super::Previewed;
use super::cluster::Cluster;
use super::files::Document;
use super::picture::{Picture, status_of};
use super::reading;
use crate::api::template::{TemplateSpec, TemplateStatus};
use crate::catalog::refs::EntityRef;
use crate::controllers::surroundings::Surroundings as _;
use crate::controllers::template::includes;
use crate::controllers::wakes::{Key, OwnKind};
use crate::template::include::MAX_DEPTH;

/// The templates that a Template includes.
fn refs(key: &Key, object: &DynamicObject) -> Vec<EntityRef> {
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    serde_json::from_value::<TemplateSpec>(spec).map_or_else(|_| Vec::new(), |spec| includes::refs(key, &spec))
}

/// The Templates among the documents with their places, each behind those that it includes.
pub fn first<'d>(documents: &[&'d Document]) -> Vec<(usize, &'d Document)> {
    let templates: Vec<(usize, &Document)> = documents
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, document)| document.key.kind == OwnKind::Template)
        .collect();
    let places: BTreeMap<EntityRef, usize> = templates
        .iter()
        .enumerate()
        .map(|(place, (_, document))| {
            let key = &document.key;
            (EntityRef::new("template", &key.namespace, &key.name), place)
        })
        .collect();
    let mut order = Vec::with_capacity(templates.len());
    let mut seen = BTreeSet::new();
    // What is to be looked at next, and whether all that it includes was.
    let mut open: Vec<(usize, bool)> = (0..templates.len()).rev().map(|place| (place, false)).collect();
    while let Some((place, done)) = open.pop() {
        let Some((at, document)) = templates.get(place) else {
            continue;
        };
        if done {
            order.push((*at, *document));
        } else if seen.insert(place) {
            open.push((place, true));
            let included = refs(&document.key, &document.object);
            open.extend(
                included
                    .iter()
                    .filter_map(|reference| Some((*places.get(reference)?, false))),
            );
        }
    }
    order
}

/// Reads the templates into the picture that `document` includes and that it does not have yet, and those that these include.
pub async fn read(cluster: &Cluster, picture: &mut Picture<'_>, key: &Key, object: &DynamicObject) {
    let mut wanted = refs(key, object);
    for _ in 0..=MAX_DEPTH {
        wanted.retain(|reference| picture.find(reference).is_none() && !picture.unread.contains_key(reference));
        if wanted.is_empty() {
            return;
        }
        reading::refs(cluster, picture, std::mem::take(&mut wanted).into_iter().collect()).await;
        let known = picture.catalog().keys(OwnKind::Template);
        wanted = known
            .into_iter()
            .filter_map(|key| Some(refs(&key, &*picture.entity(&key)?)))
            .flatten()
            .collect();
    }
}

impl Previewed<'_> {
    /// The Templates of the cluster that include one of `changed`, however deep, and would become a new version by that.
    /// They are taken into the picture, and added to `changed`.
    pub(super) async fn including(&mut self, cluster: &Cluster, changed: &mut Vec<(EntityRef, Key)>) {
        if !changed.iter().any(|(_, key)| key.kind == OwnKind::Template) {
            return;
        }
        let mut all = match cluster.list(OwnKind::Template, None).await {
            Ok(all) => all,
            Err(why) => {
                let unchecked = format!("which templates include those of the files: {why}");
                return self.report.unchecked.push(unchecked);
            }
        };
        let key_of = |object: &DynamicObject| Key {
            kind: OwnKind::Template,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        };
        // Each time around, those that include what was added before.
        loop {
            let names = |object: &DynamicObject| {
                let included = refs(&key_of(object), object);
                changed.iter().any(|(reference, _)| included.contains(reference))
            };
            let (now, later): (Vec<_>, Vec<_>) = all.into_iter().partition(names);
            all = later;
            let before = changed.len();
            for object in now {
                let key = key_of(&object);
                if changed.iter().any(|(_, known)| *known == key) {
                    continue;
                }
                if let Ok(revisions) = reading::revisions(cluster, &key, Some(&object)).await {
                    self.picture.put_revisions(&key, revisions);
                }
                read(cluster, &mut self.picture, &key, &object).await;
                let latest = status_of::<TemplateStatus>(&object).and_then(|status| status.latest);
                let reference = EntityRef::new("template", &key.namespace, &key.name);
                match self.picture.put_template(&key, object).await {
                    Ok(held) if latest.is_some_and(|latest| latest.digest == held.digest) => {}
                    Ok(_) => changed.push((reference, key)),
                    Err(trouble) => self.report.unchecked.push(format!(
                        "{reference}, which includes what the files change, would not compile any more: {}",
                        trouble.message
                    )),
                }
            }
            if changed.len() == before {
                return;
            }
        }
    }
}
