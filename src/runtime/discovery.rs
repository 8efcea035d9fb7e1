//! The picture of the cluster's kinds, and their published schemas, kept current.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError, RwLock};

use http::Request;
use kube::Client;
use kube::discovery::{Discovery, Scope};

use super::openapi::Schemas;
use crate::template::kinds::{FieldLookup, KindInfo, Kinds};

/// The kinds that the cluster serves, by (apiVersion, kind).
type Served = HashMap<(String, String), KindInfo>;

/// The cluster's kinds and schemas as of the last look.
#[derive(Default)]
pub struct KindPicture {
    served: RwLock<Served>,
    schemas: RwLock<HashMap<String, Schemas>>,
    /// Group versions whose schema was asked for and is not here.
    wanted: Mutex<HashSet<String>>,
}

impl KindPicture {
    /// Looks again at what the cluster serves. Gives whether anything changed; schemas are forgotten then.
    ///
    /// # Errors
    /// When the apiserver does not answer.
    pub async fn refresh(&self, client: &Client) -> Result<bool, kube::Error> {
        let discovery = match Discovery::new(client.clone()).run_aggregated().await {
            Ok(discovery) => discovery,
            // An aggregated apiserver that is down, or a server without aggregated discovery.
            Err(_) => Discovery::new(client.clone()).run().await?,
        };
        let mut served = Served::new();
        for group in discovery.groups() {
            for version in group.versions() {
                for (resource, capabilities) in group.versioned_resources(version) {
                    let info = KindInfo {
                        group: resource.group.clone(),
                        version: resource.version.clone(),
                        kind: resource.kind.clone(),
                        plural: resource.plural.clone(),
                        namespaced: capabilities.scope == Scope::Namespaced,
                    };
                    served.insert((resource.api_version.clone(), resource.kind.clone()), info);
                }
            }
        }
        let mut current = self.served.write().unwrap_or_else(PoisonError::into_inner);
        let changed = *current != served;
        *current = served;
        drop(current);
        if changed {
            self.schemas.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
        Ok(changed)
    }

    /// Forgets the schemas, since a CRD changed without its names changing.
    pub fn forget_schemas(&self) {
        self.schemas.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Fetches the schemas that were asked for and not there. Gives whether any came in.
    pub async fn fetch_wanted(&self, client: &Client) -> bool {
        let wanted: Vec<String> = self
            .wanted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain()
            .collect();
        let mut fetched = false;
        for api_version in wanted {
            match fetch(client, &api_version).await {
                Ok(schemas) => {
                    self.schemas
                        .write()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(api_version, schemas);
                    fetched = true;
                }
                Err(error) => tracing::debug!(api_version, %error, "no schema is published"),
            }
        }
        fetched
    }

    /// Whether the kind's published schema declares `status.conditions`. False where no schema is known;
    /// the schema is then wanted, see [`Self::fetch_wanted`].
    pub fn declares_conditions(&self, api_version: &str, kind: &str) -> bool {
        self.with_schemas(api_version, |schemas| schemas.declares(kind, &["status", "conditions"]))
            .unwrap_or(false)
    }

    /// Whether any kind named `kind` of group `group` is served, in whatever version.
    pub fn find(&self, group: &str, kind: &str) -> Option<KindInfo> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served
            .values()
            .filter(|info| info.group == group && info.kind == kind)
            .max_by(|left, right| left.version.cmp(&right.version))
            .cloned()
    }

    fn with_schemas<T>(&self, api_version: &str, look: impl FnOnce(&Schemas) -> T) -> Option<T> {
        let schemas = self.schemas.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = schemas.get(api_version) {
            return Some(look(found));
        }
        drop(schemas);
        self.wanted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(api_version.to_owned());
        None
    }
}

impl Kinds for KindPicture {
    fn kind(&self, api_version: &str, kind: &str) -> Option<KindInfo> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.get(&(api_version.to_owned(), kind.to_owned())).cloned()
    }

    fn field(&self, api_version: &str, kind: &str, path: &[String]) -> FieldLookup {
        self.with_schemas(api_version, |schemas| schemas.field(kind, path))
            .unwrap_or(FieldLookup::Unknown)
    }
}

async fn fetch(client: &Client, api_version: &str) -> Result<Schemas, kube::Error> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let prefix = if group.is_empty() { "api" } else { "apis" };
    let request = Request::get(format!("/openapi/v3/{prefix}/{api_version}"))
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    let document = client.request(request).await?;
    Ok(Schemas::of(document, group, version))
}
