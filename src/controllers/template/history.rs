//! How many revisions of a Template are kept: the newest, all that an instance uses, and of the others the last few.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Preconditions};
use serde_json::Value;

use super::revisions::{Held, decode};
use crate::catalog::refs;
use crate::catalog::relations::Role;
use crate::controllers::catalog::Catalog;
use crate::controllers::instance::decode::Instance;
use crate::controllers::surroundings::Surroundings as _;
use crate::controllers::wakes::{Key, OwnKind};
use crate::controllers::world::World;

/// How many revisions that nobody uses are kept where the template does not say, as with Deployments.
const LIMIT: usize = 10;

/// Deletes the oldest of the revisions that nobody uses, until no more than `limit` are left. `known` are those of the template, oldest
/// first; `kept` are the names of those that stay whoever uses them. What cannot be deleted now is in nobody's way, and is tried again at the next pass.
pub async fn trim(world: &World, key: &Key, known: &[Arc<ControllerRevision>], kept: &[String], limit: Option<i64>) {
    let limit = limit.map_or(LIMIT, |limit| usize::try_from(limit).unwrap_or(LIMIT));
    let old: Vec<&Arc<ControllerRevision>> = known
        .iter()
        .filter(|revision| !kept.contains(&revision.name_any()))
        .collect();
    if old.len() <= limit {
        return;
    }
    let used = used(&world.catalog, world, key);
    let unused: Vec<&Arc<ControllerRevision>> = old
        .into_iter()
        .filter(|revision| decode(revision).is_none_or(|held| !used.has(&held)))
        .collect();
    let api: Api<ControllerRevision> = Api::namespaced(world.clients.operator(), &key.namespace);
    let surplus = unused.len().saturating_sub(limit);
    for revision in unused.into_iter().take(surplus) {
        let only_this = Preconditions {
            uid: revision.uid(),
            resource_version: None,
        };
        let parameters = DeleteParams {
            preconditions: Some(only_this),
            ..DeleteParams::default()
        };
        world.metrics.wrote("delete");
        match api.delete(&revision.name_any(), &parameters).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(error) => {
                tracing::warn!(revision = revision.name_any(), %error, "a revision that nobody uses could not be deleted");
                return;
            }
        }
    }
}

/// The versions and the digests that instances use.
#[derive(Default)]
struct Used {
    versions: HashSet<String>,
    digests: HashSet<String>,
}

impl Used {
    fn has(&self, held: &Held) -> bool {
        self.versions.contains(&held.version) || self.digests.contains(&held.digest)
    }
}

/// The versions of a template that other templates include by their pins.
fn included(catalog: &Catalog, world: &World, key: &Key) -> Vec<String> {
    let own = catalog.reference(key);
    let mut versions = Vec::new();
    for other in catalog.keys(OwnKind::Template) {
        let Some(object) = world.entity(&other) else { continue };
        let includes = object.data.pointer("/spec/include").and_then(Value::as_array);
        for include in includes.into_iter().flatten() {
            let text = |name: &str| include.get(name).and_then(Value::as_str);
            let (Some(reference), Some(version)) = (text("ref"), text("version")) else {
                continue;
            };
            if refs::parse_of_kind(reference, "template", &other.namespace).is_ok_and(|named| named == own) {
                versions.push(version.to_owned());
            }
        }
    }
    versions
}

/// What instances of a template are at, or are pinned to, and what other templates include by a pin.
fn used(catalog: &Catalog, world: &World, key: &Key) -> Used {
    let keys: Vec<Key> = catalog
        .index()
        .related(key, Role::TemplateOf)
        .map(|instance| instance.key.clone())
        .collect();
    let mut used = Used::default();
    used.versions.extend(included(catalog, world, key));
    for key in keys {
        let Some(object) = world.entity(&key) else { continue };
        let Ok(instance) = Instance::decode(&key, &object) else {
            continue;
        };
        if let Some(wanted) = instance.template {
            used.versions.extend(wanted.version);
            used.versions
                .extend(wanted.environments.into_values().map(|pin| pin.version));
        }
        if let Some(at) = instance.status.template {
            used.versions.insert(at.version);
            used.digests.insert(at.digest);
            for environment in at.environments {
                used.versions.insert(environment.version);
                used.digests.insert(environment.digest);
            }
        }
        used.versions.extend(
            instance
                .status
                .environments
                .into_iter()
                .filter_map(|environment| environment.version),
        );
    }
    used
}
