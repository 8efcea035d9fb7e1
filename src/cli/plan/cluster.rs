//! The cluster as it is asked for a preview: by reads, and by dry runs. Nothing here writes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, ServiceAccount};
use kube::api::{Api, DynamicObject, ListParams, PartialObjectMeta, PatchParams};
use kube::{Client, Error};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::api::reasons::Reason;
use crate::api::{GROUP, marks};
use crate::cli::Fault;
use crate::cli::connection::Connected;
use crate::controllers::children::resource;
use crate::controllers::instance::preview::{Answer, Seen};
use crate::controllers::template::revisions::{self, Held};
use crate::controllers::trouble::{Attempt, of_error};
use crate::controllers::wakes::{Key, OwnKind};
use crate::runtime::clients::Account;
use crate::runtime::discovery::KindPicture;
use crate::runtime::server_side_apply;
use crate::template::kinds::KindInfo;
use crate::template::names::shown;
use crate::template::plan::PlannedObject;

/// How many objects are asked for at once.
const PAGE: u32 = 500;
/// The field manager of dry runs of entities.
const PLAN_MANAGER: &str = "landfall-plan";
/// The most characters of what an apiserver says.
const SAID: usize = 300;

/// A cluster.
pub struct Cluster {
    connected: Connected,
    /// What it serves.
    pub kinds: KindPicture,
    accounts: Mutex<HashMap<Account, Arc<OnceCell<Acting>>>>,
}

/// How a refusal by our own admission webhook begins.
const OWN_WEBHOOK: &str = "admission webhook \"instances.catalog.landfall.dev\" denied the request";

/// With whose rights a template's objects are looked at.
#[derive(Clone)]
pub struct Acting {
    client: Client,
    /// Why not with the account's, where they are the caller's own.
    pub instead: Option<String>,
}

/// What an error says, in one bounded line.
pub fn told(error: &Error) -> String {
    match error {
        Error::Api(status) => shown(&status.message, SAID),
        other => {
            let source = std::error::Error::source(other).map(ToString::to_string);
            shown(
                &source.map_or_else(|| other.to_string(), |source| format!("{other}: {source}")),
                SAID,
            )
        }
    }
}

impl Cluster {
    /// Asks a cluster what it serves.
    ///
    /// # Errors
    /// When it does not answer, or does not serve our kinds.
    pub async fn new(connected: Connected) -> Result<Self, Fault> {
        let kinds = KindPicture::default();
        let refreshed = kinds.refresh(&connected.client).await;
        refreshed.map_err(|error| format!("the cluster does not answer: {}", told(&error)))?;
        if kinds.find(GROUP, "Template").is_none() {
            return Err(format!("this cluster does not serve {GROUP}; install the CRDs: landfall crds | kubectl apply --server-side -f -").into());
        }
        Ok(Self {
            connected,
            kinds,
            accounts: Mutex::default(),
        })
    }

    /// Fetches the schemas that were asked for. Gives whether any came in.
    pub async fn fetch_schemas(&self) -> bool {
        self.kinds.fetch_wanted(&self.connected.client).await
    }

    fn entities(&self, kind: OwnKind, namespace: Option<&str>) -> Api<DynamicObject> {
        let client = self.connected.client.clone();
        match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &kind.resource()),
            None => Api::all_with(client, &kind.resource()),
        }
    }

    /// The entity of `key`, if it exists.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub async fn entity(&self, key: &Key) -> Result<Option<DynamicObject>, String> {
        let api = self.entities(key.kind, Some(&key.namespace));
        api.get_opt(&key.name).await.map_err(|error| told(&error))
    }

    /// The entities of a kind, in one namespace or in all.
    ///
    /// # Errors
    /// Why they cannot be listed.
    pub async fn list(&self, kind: OwnKind, namespace: Option<&str>) -> Result<Vec<DynamicObject>, String> {
        self.selected(kind, namespace, "").await
    }

    /// Those of them that have the labels of a selector.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn selected(
        &self,
        kind: OwnKind,
        namespace: Option<&str>,
        selector: &str,
    ) -> Result<Vec<DynamicObject>, String> {
        let api = self.entities(kind, namespace);
        let mut parameters = ListParams::default().limit(PAGE).labels(selector);
        let mut found = Vec::new();
        loop {
            let page = api.list(&parameters).await.map_err(|error| told(&error))?;
            found.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters.continue_token = Some(token),
                None => return Ok(found),
            }
        }
    }

    /// Whether the apiserver would take an entity as a file has it.
    ///
    /// # Errors
    /// What it says; whether that is for want of the caller's rights.
    pub async fn would_take(&self, key: &Key, object: &DynamicObject) -> Result<(), (bool, String)> {
        let parameters = PatchParams::apply(PLAN_MANAGER).force().dry_run().validation_strict();
        let body = serde_json::to_value(object).unwrap_or_default();
        let (client, kind) = (&self.connected.client, key.kind.resource());
        let applied =
            server_side_apply::apply(client, &kind, Some(&key.namespace), &key.name, &parameters, &body).await;
        match applied {
            Ok(_) => Ok(()),
            // Our own webhook judges by the templates that are there. The plan judges the same by those of the files.
            Err(Error::Api(status)) if status.message.starts_with(OWN_WEBHOOK) => Ok(()),
            Err(error) => {
                let unable = match &error {
                    Error::Api(status) => {
                        (status.code == 403 && status.message.contains(" cannot ")) || status.code == 404
                    }
                    _ => true,
                };
                Err((unable, told(&error)))
            }
        }
    }

    /// The revisions of a Template, the newest first.
    ///
    /// # Errors
    /// Why they cannot be listed.
    pub async fn revisions(&self, template: &Key) -> Result<Vec<Held>, String> {
        let api: Api<ControllerRevision> = Api::namespaced(self.connected.client.clone(), &template.namespace);
        let selector = format!("{}={}", marks::TEMPLATE, template.name);
        let found = api.list(&ListParams::default().labels(&selector)).await;
        let mut found = found.map_err(|error| told(&error))?.items;
        found.sort_by_key(|revision| std::cmp::Reverse(revision.revision));
        Ok(found.iter().filter_map(revisions::decode).collect())
    }

    /// The labels of a namespace: none if it does not exist.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub async fn namespace_labels(&self, name: &str) -> Result<BTreeMap<String, String>, String> {
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(self.connected.client.clone());
        let found = api.get_metadata_opt(name).await.map_err(|error| told(&error))?;
        Ok(found
            .and_then(|namespace| namespace.metadata.labels)
            .unwrap_or_default())
    }

    /// With whose rights the objects of `account` are looked at: its own where the caller may impersonate it.
    pub async fn acting(&self, account: &Account) -> Acting {
        let cell = {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            accounts.entry(account.clone()).or_default().clone()
        };
        cell.get_or_init(|| self.act(account)).await.clone()
    }

    async fn act(&self, account: &Account) -> Acting {
        let own = |why: &str| Acting {
            client: self.connected.client.clone(),
            instead: Some(format!("{why}; looked at with your own rights instead")),
        };
        let client = match self.connected.acting_as(account.user()) {
            Ok(Some(client)) => client,
            Ok(None) => {
                return own(&format!(
                    "the rights of {account}, since the kubeconfig acts as someone already"
                ));
            }
            Err(error) => return own(&format!("the rights of {account}: {}", told(&error))),
        };
        // Whether the account may do this itself is of no interest: the answer tells who was asked.
        let api: Api<PartialObjectMeta<ServiceAccount>> = Api::namespaced(client.clone(), &account.namespace);
        match api.get_metadata_opt(&account.name).await {
            Err(Error::Api(status)) if status.message.contains("cannot impersonate") => {
                own(&format!("the rights of {account}, as which you may not act"))
            }
            _ => Acting { client, instead: None },
        }
    }

    /// How an object is.
    pub async fn see(&self, acting: &Acting, kind: &KindInfo, namespace: Option<&str>, name: &str) -> Seen {
        // Templates hold none, and what a list of others' claims of one is not to show it.
        if kind.group.is_empty() && kind.kind == "Secret" {
            return Seen::Unread("Secrets are never read".to_owned());
        }
        let client = acting.client.clone();
        let api: Api<DynamicObject> = match namespace.filter(|_| kind.namespaced) {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource(kind)),
            None => Api::all_with(client, &resource(kind)),
        };
        match api.get_opt(name).await {
            Ok(Some(object)) => Seen::There(Box::new(object)),
            Ok(None) => Seen::Absent,
            Err(error) => Seen::Unread(told(&error)),
        }
    }

    /// What the apiserver says to an object of `account`'s, by a dry run.
    pub async fn ask(&self, acting: &Acting, account: &Account, object: &PlannedObject, body: &Value) -> Answer {
        let parameters = PatchParams::apply(marks::OBJECT_MANAGER).force().dry_run();
        let (kind, namespace) = (resource(&object.kind), object.namespace.as_deref());
        let asked = server_side_apply::apply(&acting.client, &kind, namespace, &object.name, &parameters, body).await;
        let error = match asked {
            Ok(taken) => return Answer::Taken(serde_json::to_value(taken).unwrap_or_default()),
            Err(error) => error,
        };
        if !matches!(error, Error::Api(_)) || told(&error).contains("does not support dry run") {
            return Answer::NotAsked(told(&error));
        }
        let attempt = Attempt {
            verb: "patch",
            kind: &object.kind,
            namespace,
            name: &object.name,
            account,
            resource: Some(&object.resource),
            role: None,
        };
        let trouble = of_error(&error, attempt.of(body));
        // What the caller may not do says nothing about the account.
        if acting.instead.is_some() && trouble.reason == Reason::Forbidden {
            return Answer::NotAsked(told(&error));
        }
        Answer::Refused(trouble)
    }

    /// The claims on volumes in a namespace.
    ///
    /// # Errors
    /// Why they cannot be listed.
    pub async fn volume_claims(&self, acting: &Acting, namespace: &str) -> Result<Vec<String>, String> {
        let api: Api<PartialObjectMeta<PersistentVolumeClaim>> = Api::namespaced(acting.client.clone(), namespace);
        let found = api.list_metadata(&ListParams::default()).await;
        let found = found.map_err(|error| told(&error))?;
        let mut names: Vec<String> = found
            .items
            .into_iter()
            .filter_map(|claim| claim.metadata.name)
            .map(|name| format!("PersistentVolumeClaim {name}"))
            .collect();
        names.sort();
        Ok(names)
    }
}
