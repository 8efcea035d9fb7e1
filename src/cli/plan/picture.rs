//! The picture that a preview plans with: the cluster as it was read, with the entities of the files in the place of its own.

use std::collections::{BTreeMap, HashMap};

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::cluster::Cluster;
use crate::api::conditions::{self, Condition};
use crate::api::instance::{InstanceStatus, InventoryEntry};
use crate::api::reasons::Reason;
use crate::api::template::{RevisionInForce, TemplateSpec, TemplateStatus};
use crate::catalog::refs::EntityRef;
use crate::controllers::catalog::Catalog;
use crate::controllers::instance::gather::made_namespaces;
use crate::controllers::nesting;
use crate::controllers::surroundings::{CompiledTemplates, Surroundings, TestedTemplates};
use crate::controllers::template::revisions::Held;
use crate::controllers::template::{checks, includes};
use crate::controllers::trouble::Trouble;
use crate::controllers::wakes::Key;
use crate::template::compile::Policy;
use crate::template::content::version;
use crate::template::kinds::{Assumed, Kinds};

/// The UID of what does not exist yet.
pub const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

/// What a preview plans with.
pub struct Picture<'c> {
    cluster: Option<&'c Cluster>,
    catalog: Catalog,
    uids: HashMap<String, Key>,
    /// The revisions of each Template, the newest first.
    revisions: HashMap<Key, Vec<Held>>,
    /// The labels of the namespaces that were asked for; nothing for one that may not be read.
    labels: HashMap<String, Option<BTreeMap<String, String>>>,
    policy: Policy,
    compiled: CompiledTemplates,
    tested: TestedTemplates,
    /// Why what was asked for could not be read.
    pub unread: BTreeMap<EntityRef, String>,
}

impl<'c> Picture<'c> {
    /// An empty one.
    pub fn new(cluster: Option<&'c Cluster>, policy: Policy) -> Self {
        Self {
            cluster,
            catalog: Catalog::default(),
            uids: HashMap::new(),
            revisions: HashMap::new(),
            labels: HashMap::new(),
            policy,
            compiled: CompiledTemplates::default(),
            tested: TestedTemplates::default(),
            unread: BTreeMap::new(),
        }
    }

    /// Takes in an entity, in the place of what was known of it.
    pub fn put(&mut self, key: &Key, object: DynamicObject) {
        if let Some(uid) = &object.metadata.uid {
            self.uids.insert(uid.clone(), key.clone());
        }
        self.catalog.gone(key);
        self.catalog.saw(key, object);
    }

    /// Takes note that a System would have made these namespaces, in which its Components may then put something.
    pub fn make(&mut self, system: &Key, namespaces: &[String]) {
        let Some(mut object) = self.entity(system).map(|object| (*object).clone()) else {
            return;
        };
        let mut status: InstanceStatus = status_of(&object).unwrap_or_default();
        let made = made_namespaces(&status);
        for name in namespaces.iter().filter(|name| !made.contains(*name)) {
            status.inventory.push(InventoryEntry {
                version: "v1".to_owned(),
                kind: "Namespace".to_owned(),
                name: name.clone(),
                uid: NO_UID.to_owned(),
                ..InventoryEntry::default()
            });
        }
        if let Some(fields) = object.data.as_object_mut() {
            fields.insert("status".to_owned(), json!(status));
        }
        self.put(system, object);
    }

    /// Takes in a Template's revisions, the newest first.
    pub fn put_revisions(&mut self, template: &Key, revisions: Vec<Held>) {
        self.revisions.insert(template.clone(), revisions);
    }

    /// Takes in a namespace's labels, or that they may not be read.
    pub fn put_labels(&mut self, namespace: &str, labels: Option<BTreeMap<String, String>>) {
        self.labels.insert(namespace.to_owned(), labels);
    }

    /// Whether a namespace's labels were asked for.
    pub fn has_labels(&self, namespace: &str) -> bool {
        self.labels.contains_key(namespace)
    }

    /// Takes in a Template of the files: what it says becomes its newest revision, if it holds together. Gives the revision,
    /// or what is wrong.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub async fn put_template(&mut self, key: &Key, object: DynamicObject) -> Result<Held, Trouble> {
        let checked = self.checked(key, &object).await;
        self.take_template(key, object, &checked);
        checked
    }

    /// Takes in a Template of the files, and what was found of it.
    pub fn take_template(&mut self, key: &Key, mut object: DynamicObject, checked: &Result<Held, Trouble>) {
        let before: TemplateStatus = status_of(&object).unwrap_or_default();
        let status = match checked {
            Ok(held) => {
                self.revisions.entry(key.clone()).or_default().insert(0, held.clone());
                TemplateStatus {
                    latest: Some(RevisionInForce {
                        version: held.version.clone(),
                        digest: held.digest.clone(),
                        revision_name: String::new(),
                    }),
                    ..before
                }
            }
            Err(trouble) => TemplateStatus {
                conditions: vec![not_ready(trouble)],
                ..before
            },
        };
        if let Some(fields) = object.data.as_object_mut() {
            fields.insert("status".to_owned(), json!(status));
        }
        self.put(key, object);
    }

    async fn checked(&self, key: &Key, object: &DynamicObject) -> Result<Held, Trouble> {
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        nesting::check(&spec)?;
        let spec: TemplateSpec = serde_json::from_value(spec)
            .map_err(|error| Trouble::invalid(Reason::InvalidSpec, format!("spec cannot be read: {error}")))?;
        let content = includes::content(self, key, &spec)?;
        let digest = content.digest();
        let version = version(spec.version.as_deref(), &digest);
        let mut outcome = checks::check_all(self, key, &spec, &content, &version);
        // Paths into live objects are checked against schemas that are fetched when they are first asked for.
        if let Some(cluster) = self.cluster
            && cluster.fetch_schemas().await
        {
            outcome = checks::check_all(self, key, &spec, &content, &version);
        }
        outcome?;
        let held = Held {
            template: key.name.clone(),
            version,
            digest,
            content,
        };
        let mut known = self.revisions.get(key).into_iter().flatten();
        let trouble = known.find_map(|other| checks::reused(&held, other));
        trouble.map_or(Ok(held), Err)
    }
}

fn not_ready(trouble: &Trouble) -> Condition {
    Condition {
        kind: conditions::READY.to_owned(),
        status: "False".to_owned(),
        reason: trouble.reason.as_str().to_owned(),
        message: trouble.message.clone(),
        ..Condition::default()
    }
}

/// The status of an object, if it can be read.
pub fn status_of<T: serde::de::DeserializeOwned>(object: &DynamicObject) -> Option<T> {
    let status = object.data.get("status").cloned().unwrap_or(Value::Null);
    serde_json::from_value(status).ok()
}

impl Surroundings for Picture<'_> {
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn of_uid(&self, uid: &str) -> Option<Key> {
        self.uids.get(uid).cloned()
    }

    fn revision(&self, template: &Key, wanted: &dyn Fn(&Held) -> bool) -> Option<Held> {
        let mut known = self.revisions.get(template).into_iter().flatten();
        known.find(|held| wanted(held)).cloned()
    }

    fn namespace_labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        self.labels.get(namespace).cloned().flatten()
    }

    fn kinds(&self) -> &dyn Kinds {
        self.cluster.map_or(&Assumed, |cluster| &cluster.kinds)
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn compiled(&self) -> &CompiledTemplates {
        &self.compiled
    }

    fn tested(&self) -> &TestedTemplates {
        &self.tested
    }
}
