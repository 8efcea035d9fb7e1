//! Taking down what is no longer wanted: by the inventory alone, nothing is rendered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use either::Either;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use serde_json::Value;

use super::access::{object_api, watch_key};
use super::decode::Instance;
use super::inventory::{Fate, asking, doomed, fate, hold_retained, is_namespace, label};
use super::leaving::{awaited, unconfirmed};
use super::moving;
use super::patch::nothing;
use crate::api::instance::{InventoryEntry, Mode};
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::controllers::children::{Child, Watch, WatchKey, resource};
use crate::controllers::trouble::{Attempt, Trouble, is_gone, of_error};
use crate::controllers::world::World;
use crate::runtime::clients::Account;
use crate::runtime::server_side_apply;
use crate::template::kinds::{KindInfo, Kinds};

/// What is left of the entries that were to go.
#[derive(Debug, Default)]
pub struct Removal {
    /// Entries whose objects are still there, or not known to be gone.
    pub remaining: Vec<InventoryEntry>,
    /// What is in the way, or awaited.
    pub troubles: Vec<Trouble>,
    /// The namespaces of objects that were left to others.
    pub retained_in: HashSet<String>,
}

impl Removal {
    fn keep(&mut self, entry: &InventoryEntry, trouble: Option<Trouble>) {
        self.remaining.push(entry.clone());
        self.troubles.extend(trouble);
    }
}

/// One taking down.
pub struct Remove<'a> {
    /// The caches and clients.
    pub world: &'a World,
    /// Whose objects they are.
    pub instance: &'a Instance,
    /// The watches that see them.
    pub watches: &'a HashMap<WatchKey, Arc<Watch>>,
}

/// How a delete came out.
enum Deleted {
    /// It is gone, or what is awaited until it is.
    Settled(Option<Trouble>),
    /// It is not any more what it was when it was looked at.
    Moved,
}

/// What is known of one entry's object.
enum Found {
    Gone,
    Ours(Child),
    /// Whether we have written it.
    NotOurs {
        managed: bool,
    },
}

/// The kind of an entry, if the cluster still serves it in any version.
pub fn kind_of(world: &World, entry: &InventoryEntry) -> Option<KindInfo> {
    let api_version = if entry.group.is_empty() {
        entry.version.clone()
    } else {
        format!("{}/{}", entry.group, entry.version)
    };
    world
        .kinds
        .kind(&api_version, &entry.kind)
        .or_else(|| world.kinds.find(&entry.group, &entry.kind))
}

/// The watches that taking `entries` down needs: those of what is not left to a namespace's own deletion.
pub fn watches_needed(world: &World, entries: &[InventoryEntry]) -> HashSet<WatchKey> {
    let doomed = doomed(entries);
    entries
        .iter()
        .filter(|entry| !doomed.contains(entry.namespace.as_str()))
        .filter_map(|entry| Some(watch_key(&Account::parse(&entry.account)?, &kind_of(world, entry)?)))
        .collect()
}

impl Remove<'_> {
    /// Takes `entries` down, last made first, as far as that goes now.
    pub async fn run(&self, entries: &[InventoryEntry]) -> Removal {
        let doomed = doomed(entries);
        let asking = asking(entries);
        let mut removal = Removal::default();
        let mut held_up = false;
        let mut ordered: Vec<&InventoryEntry> = entries.iter().collect();
        ordered.sort_by_key(|entry| std::cmp::Reverse((!is_namespace(entry), entry.order)));
        for entry in ordered {
            match fate(entry, &doomed) {
                // It is listed until its namespace is gone.
                Fate::GoesWithNamespace => removal.remaining.push(entry.clone()),
                Fate::Stays => {
                    // What was only patched has never been the instance's to leave to others.
                    if entry.mode != Mode::Patch {
                        removal.retained_in.insert(entry.namespace.clone());
                    }
                    if let Err(trouble) = self.let_go(entry).await {
                        removal.keep(entry, Some(trouble));
                    }
                }
                // What was made after it is still there, or the apiserver wants to be left alone.
                Fate::Deleted if held_up || removal.troubles.iter().any(|trouble| trouble.retry_after.is_some()) => {
                    removal.remaining.push(entry.clone());
                }
                Fate::Deleted => {
                    let before = removal.remaining.len();
                    self.delete(entry, asking.get(entry.name.as_str()), &mut removal).await;
                    held_up |= removal.remaining.len() > before && !is_namespace(entry);
                }
            }
        }
        let gone: HashSet<&str> = doomed
            .iter()
            .filter(|name| {
                !removal
                    .remaining
                    .iter()
                    .any(|entry| is_namespace(entry) && entry.name == **name)
            })
            .copied()
            .collect();
        removal
            .remaining
            .retain(|entry| !gone.contains(entry.namespace.as_str()));
        removal.remaining.sort_by_key(|entry| entry.order);
        hold_retained(&mut removal.remaining, &removal.retained_in);
        removal
    }

    async fn delete(&self, entry: &InventoryEntry, asking: Option<&Vec<String>>, removal: &mut Removal) {
        let asking = if is_namespace(entry) { asking.cloned() } else { None };
        match self.try_delete(entry, asking.unwrap_or_default()).await {
            Ok(None) => {}
            Ok(Some(awaited)) => removal.keep(entry, Some(awaited)),
            Err(trouble) => removal.keep(entry, Some(trouble)),
        }
    }

    /// Deletes one object. Gives what is awaited if it is not gone at once.
    async fn try_delete(&self, entry: &InventoryEntry, asking: Vec<String>) -> Result<Option<Trouble>, Trouble> {
        match self.delete_found(entry, self.find(entry).await?, &asking).await? {
            Deleted::Settled(awaited) => Ok(awaited),
            // It is not as the cache had it, so that its marks may not be either.
            Deleted::Moved => match self.delete_found(entry, self.look(entry).await?, &asking).await? {
                Deleted::Settled(awaited) => Ok(awaited),
                Deleted::Moved => Err(Trouble::transient(format!(
                    "{} changes while it is to be deleted",
                    label(entry)
                ))),
            },
        }
    }

    /// Deletes what was found, exactly as it was found.
    async fn delete_found(&self, entry: &InventoryEntry, found: Found, asking: &[String]) -> Result<Deleted, Trouble> {
        let child = match found {
            Found::Gone => return Ok(Deleted::Settled(None)),
            Found::Ours(child) => child,
            Found::NotOurs { managed } => {
                return Err(Trouble::blocked(Reason::NameConflict, self.not_ours(entry, managed)));
            }
        };
        if child.deleting {
            return Ok(Deleted::Settled(Some(awaited(entry, &child.object))));
        }
        self.confirmed(entry, &child, asking).await?;
        let seen = child
            .object
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str);
        let only_this = Preconditions {
            uid: Some(child.uid.clone()),
            resource_version: seen.map(str::to_owned),
        };
        let parameters = DeleteParams {
            preconditions: Some(only_this),
            ..DeleteParams::background()
        };
        let api = self.api(entry, "delete")?;
        self.world.metrics.wrote("delete");
        match api.delete(&entry.name, &parameters).await {
            Ok(Either::Left(object)) => {
                // The next pass may come before the watch says that it is being deleted, and is not to delete it again.
                let object = match self.watch(entry) {
                    Some(watch) => watch.observe(object).object,
                    None => Child::of(object).object,
                };
                Ok(Deleted::Settled(Some(awaited(entry, &object))))
            }
            Ok(Either::Right(_)) => {
                if let Some(watch) = self.watch(entry) {
                    watch.remove(Some(&entry.namespace), &entry.name, &child.uid);
                }
                Ok(Deleted::Settled(None))
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Deleted::Settled(None)),
            // Another in its place, or changed since it was seen.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Deleted::Moved),
            Err(error) => Err(self.refused(entry, "delete", &error)),
        }
    }

    /// Why an object is not deleted, and what to do. `managed`: whether we have written it.
    fn not_ours(&self, entry: &InventoryEntry, managed: bool) -> String {
        if managed {
            return format!(
                "{} has lost the marks that say it is ours, so it is not deleted; delete it yourself, or put the label {}={} back on it",
                label(entry),
                marks::INSTANCE_UID,
                self.instance.uid
            );
        }
        format!(
            "{} is in status.inventory, but nothing on it says that Landfall has written it, so it is not deleted; delete it yourself, or, if it is not this {}'s, take its entry out: kubectl edit --subresource=status -n {} {} {}",
            label(entry),
            self.instance.key.kind.word(),
            self.instance.key.namespace,
            self.instance.key.kind.full_name(),
            self.instance.key.name
        )
    }

    /// Whether a person has agreed, where one has to: `Confirm`, and a namespace that holds a claim on a volume, or what is still
    /// another instance's, from which it was taken over.
    async fn confirmed(&self, entry: &InventoryEntry, child: &Child, asking: &[String]) -> Result<(), Trouble> {
        let held = if is_namespace(entry) {
            [
                asking.to_vec(),
                self.volume_claims(entry).await?,
                moving::theirs_in(self.world, self.instance, &entry.name),
            ]
            .concat()
        } else {
            Vec::new()
        };
        unconfirmed(self.instance, entry, &child.uid, &held).map_or(Ok(()), Err)
    }

    async fn volume_claims(&self, namespace: &InventoryEntry) -> Result<Vec<String>, Trouble> {
        let kind = KindInfo {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "PersistentVolumeClaim".to_owned(),
            plural: "persistentvolumeclaims".to_owned(),
            namespaced: true,
        };
        let account = Self::account(namespace)?;
        let attempt = Attempt {
            verb: "list",
            kind: &kind,
            namespace: Some(&namespace.name),
            name: "",
            account: &account,
            resource: None,
            role: None,
        };
        let api = object_api(self.world, &account, &kind, Some(&namespace.name))
            .map_err(|error| of_error(&error, attempt))?;
        let claims = api
            .list_metadata(&ListParams::default())
            .await
            .map_err(|error| of_error(&error, attempt))?;
        let mut names: Vec<String> = claims
            .items
            .into_iter()
            .filter_map(|claim| claim.metadata.name)
            .map(|name| format!("PersistentVolumeClaim {name}"))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Takes our marks off an object that stays, and off one that was only patched what was set on it, too.
    async fn let_go(&self, entry: &InventoryEntry) -> Result<(), Trouble> {
        let Found::Ours(child) = self.find(entry).await? else {
            return Ok(());
        };
        // Who lets go wants all to stay as it is.
        if entry.mode == Mode::Patch && !self.instance.is_released() && self.give_back(entry, &child).await? {
            return Ok(());
        }
        let parameters = PatchParams {
            field_manager: Some(marks::OBJECT_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        self.world.metrics.wrote("apply");
        match self
            .api(entry, "patch")?
            .patch(&entry.name, &parameters, &Patch::Merge(&marks::taken_off(&child.uid)))
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(error) => Err(self.refused(entry, "patch", &error)),
        }
    }

    /// Takes away what our manager alone has set on an object of others. False where something of ours is left on it: what it
    /// cannot be without, or what was not applied.
    async fn give_back(&self, entry: &InventoryEntry, child: &Child) -> Result<bool, Trouble> {
        let (Some(kind), account) = (kind_of(self.world, entry), Self::account(entry)?) else {
            return Ok(false);
        };
        let client = self.world.clients.account(&account);
        let client = client.map_err(|error| self.refused(entry, "patch", &error))?;
        self.world.metrics.wrote("apply");
        let parameters = PatchParams::apply(marks::OBJECT_MANAGER).force();
        let (namespace, body) = (Some(entry.namespace.as_str()), nothing(&kind, entry, &child.uid));
        let applied =
            server_side_apply::apply(&client, &resource(&kind), namespace, &entry.name, &parameters, &body).await;
        match applied {
            Ok(after) => {
                let after = Child::of(after);
                Ok(after.owner().is_none() && after.mark(marks::CLAIM).is_none())
            }
            Err(error) if is_gone(&error) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 422 || status.code == 400 => Ok(false),
            Err(error) => Err(self.refused(entry, "patch", &error)),
        }
    }

    /// Looks for the object of an entry: in the cache, and on the apiserver where the cache does not have it.
    async fn find(&self, entry: &InventoryEntry) -> Result<Found, Trouble> {
        if kind_of(self.world, entry).is_none() {
            return self.kind_is_gone(entry).await;
        }
        let cached = self
            .watch(entry)
            .and_then(|watch| watch.get(Some(&entry.namespace), &entry.name));
        if let Some(child) = cached.filter(|child| self.is_ours(child, entry)) {
            return Ok(Found::Ours(child));
        }
        if !entry.uid.is_empty() && self.watch(entry).is_some_and(|watch| watch.has_departed(&entry.uid)) {
            return Ok(Found::Gone);
        }
        self.look(entry).await
    }

    /// Looks for the object of an entry on the apiserver.
    async fn look(&self, entry: &InventoryEntry) -> Result<Found, Trouble> {
        let found = self
            .api(entry, "get")?
            .get_opt(&entry.name)
            .await
            .map_err(|error| self.refused(entry, "get", &error))?;
        let Some(child) = found.map(Child::of) else {
            return Ok(Found::Gone);
        };
        if self.is_ours(&child, entry) {
            return Ok(Found::Ours(child));
        }
        if !entry.uid.is_empty() && child.uid != entry.uid {
            return Ok(Found::Gone);
        }
        // An entry without a UID whose object does not carry our claim was never made by us.
        Ok(
            if entry.uid.is_empty() || self.world.holder(&self.instance.uid, entry, &child).is_some() {
                Found::Gone
            } else {
                Found::NotOurs { managed: child.managed }
            },
        )
    }

    /// The picture of the cluster has no such kind. Only the apiserver's own word that it serves none makes its objects
    /// gone: an aggregated apiserver that is down is missing from the picture, too.
    async fn kind_is_gone(&self, entry: &InventoryEntry) -> Result<Found, Trouble> {
        let api_version = format!("{}/{}", entry.group, entry.version);
        let served = match self
            .world
            .clients
            .operator()
            .list_api_group_resources(&api_version)
            .await
        {
            Ok(served) => served.resources.iter().any(|resource| resource.kind == entry.kind),
            Err(kube::Error::Api(status)) if status.code == 404 => false,
            Err(error) => {
                let message = format!("{}: whether its kind is served cannot be told: {error}", label(entry));
                return Err(Trouble::transient(message));
            }
        };
        if served {
            let message = format!("{}: its kind is served again; looking again", label(entry));
            return Err(Trouble::transient(message));
        }
        Ok(Found::Gone)
    }

    /// The inventory and the object's own marks must agree: neither proves anything alone. Where the label is lost,
    /// the annotations must name this instance and the entry. And since marks can be copied and an inventory forged, it must
    /// have been written by us, too.
    fn is_ours(&self, child: &Child, entry: &InventoryEntry) -> bool {
        let strayed = |watch: &Arc<Watch>| watch.has_strayed(&child.uid);
        if !child.managed && !self.watch(entry).is_some_and(strayed) {
            return false;
        }
        let label = child.mark(marks::INSTANCE_UID);
        let marked = label == Some(&self.instance.uid);
        let claimed = child.mark(marks::CLAIM) == Some(&entry.claim);
        // Not written down yet, or made anew before a crash, with the UID of the one before it still written down.
        if entry.uid != child.uid {
            return child.managed && marked && claimed;
        }
        let named = child.mark(marks::INSTANCE) == Some(&self.instance.reference().to_string());
        marked || (label.is_none() && named && claimed)
    }

    fn account(entry: &InventoryEntry) -> Result<Account, Trouble> {
        Account::parse(&entry.account).ok_or_else(|| {
            Trouble::blocked(
                Reason::Forbidden,
                format!(
                    "{}: status.inventory names no account that it was written as",
                    label(entry)
                ),
            )
        })
    }

    fn watch(&self, entry: &InventoryEntry) -> Option<&Arc<Watch>> {
        self.watches.get(&watch_key(
            &Account::parse(&entry.account)?,
            &kind_of(self.world, entry)?,
        ))
    }

    fn api(&self, entry: &InventoryEntry, verb: &str) -> Result<Api<DynamicObject>, Trouble> {
        let account = Self::account(entry)?;
        let kind = kind_of(self.world, entry).ok_or_else(|| {
            Trouble::waiting(
                Reason::WaitingForKind,
                format!("{}: its kind is not served by this cluster", label(entry)),
            )
        })?;
        object_api(self.world, &account, &kind, Some(&entry.namespace))
            .map_err(|error| self.refused(entry, verb, &error))
    }

    fn refused(&self, entry: &InventoryEntry, verb: &str, error: &kube::Error) -> Trouble {
        match (Self::account(entry), kind_of(self.world, entry)) {
            (Ok(account), Some(kind)) => {
                let namespace = Some(entry.namespace.as_str()).filter(|namespace| !namespace.is_empty());
                of_error(
                    error,
                    Attempt {
                        verb,
                        kind: &kind,
                        namespace,
                        name: &entry.name,
                        account: &account,
                        resource: None,
                        role: None,
                    },
                )
            }
            (Err(trouble), _) => trouble,
            _ => Trouble::transient(format!("{}: {error}", label(entry))),
        }
    }
}
