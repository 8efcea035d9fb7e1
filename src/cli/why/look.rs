//! Looks at an entity, at what it depends on and at what it owns, as the user may.

use std::collections::BTreeMap;
use std::fmt::Debug;

use futures::{StreamExt as _, TryFutureExt as _};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::{Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::objects::Fate;
use super::remedies::{OPERATOR, of_reason};
use super::tree::{Node, State};
use super::{Found, asked, warnings};
use crate::api::conditions::{self, Condition};
use crate::api::instance::{InstanceStatus, InventoryEntry};
use crate::api::reasons::Reason;
use crate::catalog::refs::{self, EntityRef};
use crate::cli::{Fault, former, kinds};
use crate::runtime::discovery::KindPicture;
use crate::template::kinds::KindInfo;
use crate::template::names::hint;

/// How many objects are looked at at the same time.
const CONCURRENCY: usize = 8;
/// How many names are read to find one that is near.
const NAMES: u32 = 500;

/// What a look is made with.
pub struct Look {
    pub(super) client: Client,
    pub(super) kinds: KindPicture,
}

/// What the parts of an entity's tree are read from.
struct Entity<'a> {
    reference: &'a EntityRef,
    object: &'a DynamicObject,
    status: InstanceStatus,
    reason: Option<Reason>,
}

impl Entity<'_> {
    fn is_deleting(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    /// What becomes of its objects.
    fn fate(&self) -> Fate {
        let found = |kind| conditions::find(&self.status.conditions, kind);
        let is = |kind, status: &str| found(kind).filter(|condition| condition.status == status);
        let held = is(conditions::STALLED, "True")
            .or_else(|| is(conditions::ACCEPTED, "False"))
            .or_else(|| is(conditions::ACCEPTED, "Unknown"))
            .or_else(|| found(conditions::READY).filter(|ready| ready.reason == Reason::Suspended.as_str()));
        if self.is_deleting() {
            return Fate::Deleted;
        }
        match held {
            Some(condition) => Fate::Held(condition.reason.clone()),
            None => Fate::Kept {
                ready: is(conditions::READY, "True").is_some(),
            },
        }
    }
}

/// Where an entity's objects come from.
#[derive(Default)]
struct Source {
    template: Option<Node>,
    account: Option<Node>,
}

/// `; did you mean x?`, where a name of this kind is near.
async fn near<K: Clone + DeserializeOwned + Debug>(api: &Api<K>, name: &str) -> String {
    let names = api
        .list_metadata(&ListParams::default().limit(NAMES))
        .map_ok(|list| {
            list.items
                .into_iter()
                .filter_map(|item| item.metadata.name)
                .collect::<Vec<_>>()
        })
        .await
        .unwrap_or_default();
    hint(name, names.iter().map(String::as_str))
}

impl Look {
    /// Asks the cluster which kinds it serves.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn new(client: Client) -> Result<Self, Fault> {
        let kinds = KindPicture::default();
        kinds
            .refresh(&client)
            .await
            .map_err(|error| format!("the cluster does not say which kinds it serves: {error}"))?;
        Ok(Self { client, kinds })
    }

    /// The tree of an entity.
    ///
    /// # Errors
    /// When it does not exist or may not be read.
    pub async fn entity(&self, kind: &ApiResource, reference: &EntityRef) -> Result<Found, Fault> {
        let object = self.get_entity(kind, reference).await?;
        let meant = former::reference(&object, kind);
        // Mostly it is what was asked for, which may be the object's name where the entity has another.
        let is_asked =
            object.namespace().as_deref() == Some(&reference.namespace) && object.name_any() == reference.name;
        let asked_for = reference;
        let reference = if is_asked { reference } else { &meant };
        let read = |name: &str| object.data.get(name).cloned();
        let status: InstanceStatus = read("status")
            .and_then(|status| serde_json::from_value(status).ok())
            .unwrap_or_default();
        let reason =
            conditions::find(&status.conditions, conditions::READY).and_then(|ready| ready.reason.parse().ok());
        let resource = kinds::full_name(kind);
        let mut tree = root(reference, &status.conditions, &resource, &object);
        if !is_asked {
            let text = format!("is an alias of it: write {reference}");
            tree.parts.push(Node::new(asked_for.to_string(), State::Note, text));
        }
        let entity = Entity {
            reference,
            object: &object,
            status,
            reason,
        };
        tree.parts.extend(unseen(&entity));
        let spec = read("spec").unwrap_or_default();
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let asked = asked(&resource, &namespace, &name);
        tree.parts
            .extend(warnings::of_conditions(&entity.status.conditions, asked));
        if kind.kind == "Template" {
            tree.parts.extend(warnings::of_template(&spec, asked));
        }
        let source = match spec.pointer("/template/ref").and_then(Value::as_str) {
            // What is being deleted is taken down by its inventory alone.
            Some(template) if !entity.is_deleting() => self.source(template, &entity).await,
            _ => Source::default(),
        };
        // What Landfall itself has found wrong is the cause whatever else is not as it should be, unless it was
        // refused for want of the account.
        let no_account = source.account.as_ref().is_some_and(|node| node.state == State::Failed);
        tree.decided = tree.state == State::Failed && !(reason == Some(Reason::Forbidden) && no_account);
        tree.parts.extend(source.template);
        tree.parts.extend(source.account);
        if let Some(system) = spec.get("system").and_then(Value::as_str) {
            tree.parts.extend(self.system(system, &entity).await);
        }
        tree.parts
            .extend(self.objects(&entity.status.inventory, &entity.fate()).await);
        tree.parts.extend(pipelines(&entity.status));
        Ok(Found { tree, reason })
    }

    async fn get_entity(&self, kind: &ApiResource, reference: &EntityRef) -> Result<DynamicObject, Fault> {
        let api = self.entities(&kind.kind, &reference.namespace)?;
        match api.get_opt(&reference.name).await {
            Ok(Some(object)) => Ok(object),
            Ok(None) => match former::heir(&self.client, kind, reference).await {
                Some(heir) => Ok(heir),
                None => Err(format!("{reference} does not exist{}", near(&api, &reference.name).await).into()),
            },
            Err(error) => Err(format!("{reference} cannot be read: {}", told(&error)).into()),
        }
    }

    /// The entity in the same namespace that had a ref before: what refs decide on goes by no other.
    async fn renamed(&self, kind: &str, reference: &EntityRef) -> Option<DynamicObject> {
        let heir = former::heir(&self.client, kinds::resource(kind)?, reference).await;
        heir.filter(|heir| heir.namespace().as_deref() == Some(&reference.namespace))
    }

    fn entities(&self, kind: &str, namespace: &str) -> Result<Api<DynamicObject>, Fault> {
        let info = self
            .kinds
            .find(crate::api::GROUP, kind)
            .ok_or_else(|| format!("this cluster does not serve {kind}.{}; install the CRDs: landfall crds | kubectl apply --server-side -f -", crate::api::GROUP))?;
        Ok(self.api(&info, Some(namespace)))
    }

    /// The API of a kind, in a namespace where it has one.
    pub(super) fn api(&self, kind: &KindInfo, namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = crate::controllers::children::resource(kind);
        match namespace.filter(|namespace| kind.namespaced && !namespace.is_empty()) {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// The template, and the account that it names.
    async fn source(&self, written: &str, of: &Entity<'_>) -> Source {
        let Ok(reference) = refs::parse_of_kind(written, "template", &of.reference.namespace) else {
            return Source::default();
        };
        let only = |node: Node| Source {
            template: Some(node),
            account: None,
        };
        let what = reference.to_string();
        let api = match self.entities("Template", &reference.namespace) {
            Ok(api) => api,
            Err(fault) => return only(Node::new(what, State::Failed, fault.to_string())),
        };
        let found = match api.get_opt(&reference.name).await {
            Ok(None) => Ok(self.renamed("Template", &reference).await),
            found => found,
        };
        let object = match found {
            Ok(Some(object)) => object,
            Ok(None) => {
                let text = format!("does not exist{}", near(&api, &reference.name).await);
                return only(
                    Node::new(what, State::Failed, text)
                        .with_remedy("apply the template, or correct spec.template.ref"),
                );
            }
            Err(error) => return only(Node::new(what, State::Unchecked, told(&error))),
        };
        if object.metadata.deletion_timestamp.is_some() {
            return only(Node::new(what, State::Failed, "is being deleted").with_remedy("apply the template again"));
        }
        let status: InstanceStatus = object
            .data
            .get("status")
            .cloned()
            .and_then(|status| serde_json::from_value(status).ok())
            .unwrap_or_default();
        let resource = format!("templates.{}", crate::api::GROUP);
        let mut template = root(&reference, &status.conditions, &resource, &object);
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        let Some(account) = warnings::account(&spec) else {
            if template.state == State::Good && of.reason == Some(Reason::TemplateNotReady) {
                let remedy = format!(
                    "set spec.serviceAccountName and spec.resources: {}",
                    asked(&resource, &reference.namespace, &object.name_any()).edit()
                );
                template = Node::new(what, State::Failed, "names no service account to write its objects as")
                    .with_remedy(remedy);
            }
            return only(template);
        };
        Source {
            template: Some(template),
            account: Some(self.account(&reference.namespace, account).await),
        }
    }

    async fn account(&self, namespace: &str, name: &str) -> Node {
        let what = format!("ServiceAccount {namespace}/{name}");
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        match api.get_metadata_opt(name).await {
            Ok(Some(_)) => Node::new(what, State::Good, ""),
            Ok(None) => {
                let near = near(&api, name).await;
                let correct = if near.is_empty() {
                    ""
                } else {
                    "correct the template's spec.serviceAccountName, or "
                };
                let text = format!(
                    "does not exist{near}; the template's objects are written as it, so that the next write may be refused"
                );
                Node::new(what, State::Failed, text).with_remedy(format!(
                    "{correct}create it: kubectl create serviceaccount -n {namespace} {name}; then bind it to its rights"
                ))
            }
            Err(error) => Node::new(what, State::Unchecked, told(&error)),
        }
    }

    /// The system, where it is missing or makes the entity wait.
    async fn system(&self, written: &str, entity: &Entity<'_>) -> Option<Node> {
        let reference = refs::parse_of_kind(written, "system", &entity.reference.namespace).ok()?;
        let api = self.entities("System", &reference.namespace).ok()?;
        let awaited = entity.reason == Some(Reason::WaitingForNamespace);
        match api.get_opt(&reference.name).await {
            // A ref is soft: only what is put into the system's namespaces waits for it.
            Ok(None) => {
                let state = if awaited { State::Waiting } else { State::Note };
                Some(
                    Node::new(reference.to_string(), state, "does not exist")
                        .with_remedy("apply the system, or correct spec.system"),
                )
            }
            Ok(Some(object)) => {
                let status: InstanceStatus = serde_json::from_value(object.data.get("status").cloned()?).ok()?;
                let resource = format!("systems.{}", crate::api::GROUP);
                let node = root(&reference, &status.conditions, &resource, &object);
                (awaited && node.state != State::Good).then_some(node)
            }
            Err(_) => None,
        }
    }

    /// The objects that are not as they should be, and how many are.
    async fn objects(&self, inventory: &[InventoryEntry], fate: &Fate) -> Vec<Node> {
        // Fetched once for all; which kinds declare conditions decides when a status without them is waited for.
        for entry in inventory {
            self.kinds.declares_conditions(&api_version(entry), &entry.kind);
        }
        self.kinds.fetch_wanted(&self.client).await;
        let nodes: Vec<Node> = futures::stream::iter(inventory.iter().map(|entry| self.owned(entry, fate)))
            .buffered(CONCURRENCY)
            .collect()
            .await;
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let (good, mut rest): (Vec<Node>, Vec<Node>) = nodes.into_iter().partition(|node| node.state == State::Good);
        for node in &good {
            *counts
                .entry(node.what.split(' ').next().unwrap_or_default())
                .or_default() += 1;
        }
        if !good.is_empty() {
            let kinds: Vec<String> = counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            rest.push(Node::new(
                format!("{} of {} objects", good.len(), inventory.len()),
                State::Good,
                kinds.join(", "),
            ));
        }
        rest
    }
}

/// The entity itself, by its condition Ready.
fn root(reference: &EntityRef, all: &[Condition], resource: &str, object: &DynamicObject) -> Node {
    let what = reference.to_string();
    let Some(ready) = conditions::find(all, conditions::READY) else {
        return Node::new(what, State::Waiting, "no status yet")
            .with_remedy(format!("see that an operator runs on this cluster: {OPERATOR}"));
    };
    let reason: Option<Reason> = ready.reason.parse().ok();
    let state = match ready.status.as_str() {
        "True" => State::Good,
        _ if conditions::find(all, conditions::STALLED).is_some() => State::Failed,
        _ => State::Waiting,
    };
    let node =
        Node::new(what, state, format!("{}: {}", ready.reason, ready.message)).since(Some(&ready.last_transition_time));
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    match reason.and_then(|reason| of_reason(reason, &ready.message, asked(resource, &namespace, &name))) {
        Some(remedy) => node.with_remedy(remedy),
        None => node,
    }
}

/// The operator, where it has not seen the entity as it is now.
fn unseen(entity: &Entity<'_>) -> Option<Node> {
    let generation = entity.object.metadata.generation.unwrap_or_default();
    let seen = entity.status.observed_generation;
    (seen < generation).then(|| {
        let text = if seen < 0 {
            "has not looked at it yet".to_owned()
        } else {
            format!("has not looked at the latest change yet: it is at generation {generation}, the status at {seen}")
        };
        Node::new("the operator", State::Waiting, text)
            .with_remedy(format!("see that it runs and reaches the apiserver: {OPERATOR}"))
    })
}

/// The pipelines whose last run did not succeed; they never make an entity less Ready.
fn pipelines(status: &InstanceStatus) -> Vec<Node> {
    status
        .pipelines
        .iter()
        .filter_map(|pipeline| {
            let run = pipeline.last_run.as_ref().filter(|run| run.state == "Failed")?;
            let text = format!(
                "run {} failed{}",
                run.name,
                run.message.as_ref().map(|said| format!(": {said}")).unwrap_or_default()
            );
            let what = format!("{} pipeline {}/{}", pipeline.engine, pipeline.namespace, pipeline.name);
            Some(Node::new(what, State::Note, text).since(run.finished.as_deref()))
        })
        .collect()
}

/// `group/version` of an entry.
pub(super) fn api_version(entry: &InventoryEntry) -> String {
    if entry.group.is_empty() {
        entry.version.clone()
    } else {
        format!("{}/{}", entry.group, entry.version)
    }
}

/// Why something could not be looked at.
pub(super) fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => format!("not looked at: {}", status.message),
        other => format!("not looked at: {other}"),
    }
}
