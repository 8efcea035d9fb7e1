//! The pass over an instance that is wanted no more: its objects go by the inventory alone.

use std::collections::{BTreeSet, HashSet};

use super::inventory::{Identity, label, under_policy};
use super::leaving::bounded_list;
use super::remove::{Removal, Remove, watches_needed};
use super::status::Facts;
use super::{Pass, released};
use crate::api::conditions::{self, Verdict};
use crate::api::instance::{DeletionPolicy, InstanceStatus, InventoryEntry};
use crate::api::marks;
use crate::api::reasons::Reason;
use crate::controllers::trouble::{Class, Trouble};
use crate::controllers::wakes::Interest;
use crate::controllers::world::reference;
use crate::controllers::writes;
use crate::runtime::clients::Account;
use crate::template::names::count;

impl Pass<'_> {
    /// The instance is being deleted.
    pub(super) async fn delete(&mut self) -> Result<(), Trouble> {
        if !self.instance.finalized {
            return Ok(());
        }
        let suspended = self.instance.template.as_ref().is_some_and(|template| template.suspend);
        if suspended && !self.instance.is_released() && !self.instance.status.inventory.is_empty() {
            return self.hold_back().await;
        }
        self.hand_over_first("deleting").await?;
        let removal = self.take_down().await;
        let removal = self.excuse(removal);
        if removal.remaining.is_empty() {
            self.finish().await?;
            return Ok(());
        }
        self.still_there(removal, Reason::Deleting, "deleting").await
    }

    /// The instance names no template any more.
    pub(super) async fn detach(&mut self) -> Result<(), Trouble> {
        self.hand_over_first("the template was taken away: deleting").await?;
        let removal = self.take_down().await;
        let removal = self.excuse(removal);
        if removal.remaining.is_empty() {
            self.finish().await?;
            return self.record().await;
        }
        self.still_there(removal, Reason::Deleting, "the template was taken away: deleting")
            .await
    }

    /// It stays, and lets go of all that it owns. What cannot be let go stays in the inventory as it was.
    pub(super) async fn release(&mut self) -> Result<(), Trouble> {
        let mut removal = self.take_down().await;
        if removal.remaining.is_empty() {
            self.finish().await?;
            let verdicts = released(&self.instance.reference());
            return self.write(InstanceStatus::default(), &verdicts).await;
        }
        let held: HashSet<Identity> = removal.remaining.iter().map(Identity::of).collect();
        let entries = self.instance.status.inventory.iter();
        removal.remaining = entries
            .filter(|entry| held.contains(&Identity::of(entry)))
            .cloned()
            .collect();
        self.still_there(removal, Reason::Released, "letting go").await
    }

    /// Nothing is left that is owned: takes our finalizer off and closes the watches.
    async fn finish(&mut self) -> Result<(), Trouble> {
        self.object = writes::finalizer(self.world, &self.instance.key, &self.object, false).await?;
        self.world.children.hold(&self.instance.key, &HashSet::new());
        Ok(())
    }

    async fn take_down(&mut self) -> Removal {
        let mut inventory = self.instance.status.inventory.clone();
        if let Some(template) = &self.instance.template {
            inventory = under_policy(inventory, template.deletion_policy.unwrap_or_default());
        }
        self.world.wakes.depend(&self.instance.key, vec![Interest::Kinds]);
        self.world.wakes.own_namespaces(&self.instance.key, Vec::new());
        let entries: Vec<InventoryEntry> = if self.instance.is_released() {
            inventory
                .into_iter()
                .map(|entry| InventoryEntry {
                    deletion_policy: DeletionPolicy::Retain,
                    ..entry
                })
                .collect()
        } else {
            inventory
        };
        let watches = self
            .world
            .children
            .hold(&self.instance.key, &watches_needed(self.world, &entries));
        for watch in watches.values() {
            // Without a watch the objects are looked up one by one.
            let _ = watch.synced().await;
        }
        Remove {
            world: self.world,
            instance: &self.instance,
            watches: &watches,
        }
        .run(&entries)
        .await
    }

    /// A suspended instance is not written to, and a delete is a write.
    async fn hold_back(&mut self) -> Result<(), Trouble> {
        let message = format!(
            "it is suspended, so nothing that it owns is deleted; set spec.template.suspend to false, or let go of it all: kubectl annotate -n {} {} {} {}=yes",
            self.instance.key.namespace,
            self.instance.key.kind.full_name(),
            self.instance.key.name,
            marks::RELEASE,
        );
        let removal = Removal {
            remaining: self.instance.status.inventory.clone(),
            troubles: vec![Trouble::waiting(Reason::Suspended, message)],
            ..Removal::default()
        };
        self.still_there(removal, Reason::Suspended, "not deleted").await
    }

    /// Letting go of what is wanted no more is for when nothing else helps, so what is in its way does not hold it up; but it is
    /// said.
    fn excuse(&self, removal: Removal) -> Removal {
        if !self.instance.is_released() {
            return removal;
        }
        if !removal.remaining.is_empty() {
            self.tell_of_marks(&removal);
        }
        Removal::default()
    }

    fn tell_of_marks(&self, removal: &Removal) {
        let labels: Vec<String> = removal.remaining.iter().map(label).collect();
        let why = removal
            .troubles
            .first()
            .map(|trouble| trouble.message.clone())
            .unwrap_or_default();
        let message = format!("let go, but the marks are still on {}: {why}", bounded_list(&labels));
        tracing::warn!(message, "released");
        let about = reference(&self.instance.key, &self.object);
        self.world
            .events
            .publish(about, false, Reason::Forbidden.as_str(), &message);
    }

    /// What an account may not delete waits for the right to, and the account itself may have been deleted before what it made. There
    /// is another way out than to bring it back.
    async fn or_release(&self, trouble: Trouble, remaining: &[InventoryEntry]) -> Trouble {
        let accounts: BTreeSet<&str> = remaining.iter().map(|entry| entry.account.as_str()).collect();
        let named = accounts
            .into_iter()
            .filter(|account| trouble.message.contains(account))
            .find_map(Account::parse);
        let trouble = match named {
            Some(account) => self.if_account_exists(trouble, &account).await,
            None => trouble,
        };
        let key = &self.instance.key;
        Trouble {
            message: format!(
                "{}; or leave what is left as it is: landfall release {}/{} -n {}",
                trouble.message,
                key.kind.word(),
                key.name,
                key.namespace
            ),
            ..trouble
        }
    }

    pub(super) async fn still_there(&mut self, removal: Removal, reason: Reason, doing: &str) -> Result<(), Trouble> {
        let left = removal.remaining.len();
        let facts = Facts {
            beside: removal.troubles,
            ..Facts::default()
        };
        let deepest = facts.troubles().into_iter().next().cloned();
        let because = match deepest {
            Some(trouble) if trouble.reason == Reason::Forbidden => self.or_release(trouble, &removal.remaining).await,
            Some(trouble) => trouble,
            None => Trouble::waiting(reason, format!("{} left", count(left, "object"))),
        };
        let blocked = because.class >= Class::Blocked;
        // What is on its way goes by itself; of what does not, a person has to know all.
        let beside = if blocked && left > 1 {
            let labels: Vec<String> = removal.remaining.iter().map(label).collect();
            format!(" ({} left: {})", count(left, "object"), bounded_list(&labels))
        } else {
            String::new()
        };
        let message = format!("{doing}{beside}: {}", because.message);
        let shown = if blocked { because.reason } else { reason };
        let verdicts = [
            Verdict::no(conditions::READY, shown, &message),
            Verdict::yes(
                if blocked {
                    conditions::STALLED
                } else {
                    conditions::RECONCILING
                },
                shown,
                &message,
            ),
        ];
        let mut status = self.instance.status.clone();
        status.inventory = removal.remaining;
        status.environments.clear();
        status.environments_ready = None;
        status.pipelines.clear();
        self.write(status, &verdicts).await?;
        Err(because)
    }
}
