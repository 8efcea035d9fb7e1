//! The pass over an instance that is wanted: plan, announce, apply, prune, status.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use futures::future::join_all;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PartialObjectMeta};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::Pass;
use super::access::watch_key;
use super::apply::{Apply, Outcome};
use super::decode::Instance;
use super::gather::{self, Gathered};
use super::inventory::{self, Union, fallen_out, hold_retained, is_namespace, unite};
use super::moving::{self, Source};
use super::remove::{Removal, Remove, watches_needed};
use super::standing::note_move;
use super::status::Facts;
use super::versions;
use crate::api::conditions::{self, Verdict};
use crate::api::instance::{InstanceStatus, InstanceTemplate, InventoryEntry, PipelineStatus};
use crate::api::reasons::Reason;
use crate::api::rollout::Moved;
use crate::controllers::catalog::to_the_microsecond;
use crate::controllers::children::{Watch, WatchKey};
use crate::controllers::trouble::{Class, MAY_NOT_ACT_AS, Trouble, of_faults, of_troubles};
use crate::controllers::wakes::{Interest, OwnKind};
use crate::controllers::writes;
use crate::runtime::clients::Account;
use crate::template::content::hash;
use crate::template::health::watch_full;
use crate::template::names::{count, hint};
use crate::template::plan::Plan;

impl Pass<'_> {
    /// Brings the instance to what its template says for it.
    pub(super) async fn provision(&mut self, wanted: &InstanceTemplate) -> Result<(), Trouble> {
        let mut interests = gather::interests(&self.instance, wanted);
        self.world.wakes.depend_also(&self.instance.key, interests.clone());
        let from = match moving::source(self.world, &self.instance) {
            Source::Nothing => None,
            Source::From(old) => Some(old),
            Source::Soon(trouble) => return Err(trouble),
            Source::Waits(trouble) => return self.stop(trouble).await,
        };
        if let Some(old) = &from {
            moving::inherit(&mut self.instance, old);
        }
        let mut planned = versions::planned(self.world, &self.instance, wanted);
        if let Ok((_, plan)) = &planned {
            let namespaces = plan
                .objects
                .iter()
                .filter_map(|object| object.namespace.clone().or_else(|| Some(object.name.clone())));
            interests.extend(namespaces.collect::<HashSet<_>>().into_iter().map(Interest::Namespace));
        }
        self.world.wakes.depend(&self.instance.key, interests);
        self.world.wakes.own_namespaces(&self.instance.key, self.namespaces());
        if let Ok((gathered, _)) = &mut planned {
            self.note_move(gathered);
        }
        match planned {
            Ok((gathered, plan)) => self.bring_about(wanted, &gathered, &plan, from.as_deref()).await,
            Err(trouble) => self.stop(trouble).await,
        }
    }

    /// Notes that this pass moves the instance for its template's rollout, if it does. What was moved before, and has not become Ready
    /// since, is as it was before that.
    fn note_move(&self, gathered: &mut Gathered) {
        let Some(moving) = gathered.moving.as_ref().filter(|moving| moving.turn.is_some()) else {
            return;
        };
        let moved = Moved {
            at: to_the_microsecond(jiff::Timestamp::now()),
            was_ready: self.instance.was_ready() || moving.again,
        };
        let environment = gathered.next.as_ref().and_then(|next| next.environment.as_deref());
        let standing = &gathered.standing;
        let to = environment.and_then(|name| standing.environments.get(name));
        note_move(&mut gathered.in_force, environment, moved, to.unwrap_or(&standing.own));
    }

    /// There is no plan: says why, and leaves what exists as it is.
    async fn stop(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        let facts = Facts {
            stopped: Some(&trouble),
            ..Facts::default()
        };
        self.keep_finalizer().await?;
        let mut status = self.instance.status.clone();
        for environment in &mut status.environments {
            environment.ready = false;
            environment.message = Some(conditions::bounded(&trouble.message, conditions::MESSAGE_LIMIT));
        }
        status.environments_ready = ready_of(&status);
        self.write(status, &facts.verdicts()).await?;
        Err(trouble)
    }

    /// Someone may have taken our finalizer off, and without it what is owned would be left behind.
    pub(super) async fn keep_finalizer(&mut self) -> Result<(), Trouble> {
        if !self.instance.status.inventory.is_empty() {
            self.object = writes::finalizer(self.world, &self.instance.key, &self.object, true).await?;
        }
        Ok(())
    }

    async fn bring_about(
        &mut self,
        wanted: &InstanceTemplate,
        gathered: &Gathered,
        plan: &Plan,
        from: Option<&Instance>,
    ) -> Result<(), Trouble> {
        let policy = wanted.deletion_policy.unwrap_or_default();
        let mut union = unite(
            &self.instance.status.inventory,
            &plan.objects,
            &gathered.account,
            policy,
            claim,
        );
        if let Some(old) = from {
            moving::carry(&mut union.planned, old);
        }
        self.learn_schemas(plan).await;
        let moving = !wanted.suspend && gathered.moving.as_ref().is_some_and(|moving| moving.turn.is_some());
        // Before anything else can fail: what happens from here on is the rollout's doing.
        if moving {
            self.announce(gathered, plan, &union).await?;
        }
        let watches = match self.watch(plan, gathered, &union.obsolete).await {
            Ok(watches) => watches,
            // What is not seen yet says nothing about how things are.
            Err(trouble) if trouble.class == Class::Transient => return Err(trouble),
            Err(trouble) => {
                let trouble = self.if_account_exists(trouble, &gathered.account).await;
                return self.stop(trouble).await;
            }
        };
        let announced = moving || (union.grown && !wanted.suspend);
        if announced && !moving {
            self.announce(gathered, plan, &union).await?;
        } else if !announced {
            self.keep_finalizer().await?;
        }
        let apply = Apply {
            world: self.world,
            instance: &self.instance,
            plan,
            account: &gathered.account,
            watches: &watches,
            suspended: wanted.suspend,
            confirmed: OnceCell::new_with(announced.then_some(())),
            left_alone: OnceLock::new(),
        };
        let (troubles, passed) = apply.take_over(&mut union.planned, from).await;
        if let Some(trouble) = of_troubles(troubles) {
            self.instance.status.inventory = [union.planned, union.obsolete].concat();
            return self.stop(trouble).await;
        }
        let (outcomes, live) = apply.run(&mut union.planned).await;
        let removal = self.prune(&union, &outcomes, &watches, wanted.suspend).await;
        hold_retained(&mut union.planned, &removal.retained_in);
        let (output, faults) = plan.output(&live);
        let mut beside = removal.troubles;
        if !faults.is_empty() {
            beside.push(of_faults(&faults));
        }
        let facts = Facts {
            stopped: None,
            objects: plan.objects.iter().zip(&outcomes).collect(),
            beside,
            in_force: Some(&gathered.in_force),
            behind: gathered.behind.as_ref(),
            suspended: wanted.suspend,
        };
        let inventory = if wanted.suspend && union.grown {
            self.instance.status.inventory.clone()
        } else {
            [union.planned.clone(), removal.remaining].concat()
        };
        // Said before runs are looked for: one that comes between would wake nobody.
        let namespaces = inventory.iter().filter(|entry| is_namespace(entry));
        self.world
            .wakes
            .own_namespaces(&self.instance.key, namespaces.map(|entry| entry.name.clone()).collect());
        let pipelines = self.pipelines(&gathered.account, &inventory, &watches).await;
        let mut status = Self::status(gathered, &facts, inventory, output, pipelines);
        status.taken_over = moving::taken_over(&self.instance, from);
        let verdicts = facts.verdicts();
        let deepest = facts.troubles().into_iter().next().cloned();
        self.write(status, &verdicts).await?;
        if let Some(old) = from.filter(|_| passed) {
            self.world.wakes.wake(&old.key);
        }
        deepest.map_or(Ok(()), Err)
    }

    /// Opens the watches that the plan needs and waits until each has listed, so that nothing is judged by what is not known.
    async fn watch(
        &self,
        plan: &Plan,
        gathered: &Gathered,
        obsolete: &[InventoryEntry],
    ) -> Result<HashMap<WatchKey, Arc<Watch>>, Trouble> {
        let required: Vec<WatchKey> = plan
            .objects
            .iter()
            .map(|object| watch_key(&gathered.account, &object.kind))
            .collect();
        let mut needed: HashSet<WatchKey> = required.iter().cloned().collect();
        needed.extend(watches_needed(self.world, obsolete));
        needed.extend(self.runs(plan, &gathered.account));
        let watches = self.world.children.hold(&self.instance.key, &needed);
        let synced = async |(key, watch): (WatchKey, Arc<Watch>)| (key, watch.synced().await.err());
        let answers = join_all(watches.clone().into_iter().map(synced)).await;
        let failed: HashMap<WatchKey, Trouble> = answers
            .into_iter()
            .filter_map(|(key, trouble)| Some((key, trouble?)))
            .collect();
        for (key, trouble) in &failed {
            // Obsolete objects are looked up one by one where they cannot be watched, and runs are then not shown.
            tracing::debug!(kind = key.kind.resource(), cause = %trouble.message, "not watched");
        }
        // In the plan's order, so that the same troubles always make the same message.
        let troubles = required.iter().filter_map(|key| failed.get(key)).cloned().collect();
        of_troubles(troubles).map_or(Ok(watches), Err)
    }

    /// An account that does not exist lacks every right, and to grant it some would not be the first thing to do.
    pub(super) async fn if_account_exists(&self, trouble: Trouble, account: &Account) -> Trouble {
        if trouble.reason != Reason::Forbidden {
            return trouble;
        }
        let meant = self.account_meant(account);
        let accounts: Api<PartialObjectMeta<ServiceAccount>> =
            Api::namespaced(self.world.clients.operator(), &account.namespace);
        match accounts.get_metadata_opt(&account.name).await {
            Ok(None) => Trouble {
                message: format!(
                    "service account {account} does not exist{meant}; create it: kubectl create serviceaccount -n {} {}; then: {}",
                    account.namespace, account.name, trouble.message
                ),
                ..trouble
            },
            // It may look at those only that it may act as.
            Err(_) if trouble.message.starts_with(MAY_NOT_ACT_AS) => Trouble {
                message: trouble.message.clone() + &meant,
                ..trouble
            },
            // The operator need not have the right to look, and what it was going to say is true all the same.
            Ok(Some(_)) | Err(_) => trouble,
        }
    }

    /// `; did you mean x?`, where other templates beside this one name an account that is called nearly so.
    fn account_meant(&self, account: &Account) -> String {
        let templates = self.world.catalog.keys(OwnKind::Template).into_iter();
        let named = templates
            .filter(|key| key.namespace == account.namespace)
            .filter_map(|key| {
                self.world
                    .catalog
                    .get(&key)?
                    .data
                    .pointer("/spec/serviceAccountName")?
                    .as_str()
                    .map(str::to_owned)
            });
        let named: BTreeSet<String> = named.filter(|name| *name != account.name).collect();
        hint(&account.name, named.iter().map(String::as_str))
    }

    /// Whether a custom resource owes a condition stands in its schema, which is fetched when it is first needed.
    async fn learn_schemas(&self, plan: &Plan) {
        let custom = plan
            .objects
            .iter()
            .map(|object| &object.kind)
            .filter(|kind| kind.group.contains('.'));
        for kind in custom.filter(|kind| watch_full(&kind.group, &kind.kind)) {
            self.world.kinds.declares_conditions(&kind.api_version(), &kind.kind);
        }
        self.world.kinds.fetch_wanted(&self.world.clients.operator()).await;
    }

    /// Writes down what is about to be made, before any of it is.
    async fn announce(&mut self, gathered: &Gathered, plan: &Plan, union: &Union) -> Result<(), Trouble> {
        self.object = writes::finalizer(self.world, &self.instance.key, &self.object, true).await?;
        let message = format!("making {} as {}", count(plan.objects.len(), "object"), gathered.account);
        let verdicts = [
            Verdict::no(conditions::READY, Reason::Progressing, &message),
            Verdict::yes(
                conditions::ACCEPTED,
                Reason::Accepted,
                "the template, the parameters and every object are allowed",
            ),
            Verdict::no(conditions::PROVISIONED, Reason::Progressing, &message),
            Verdict::unknown(
                conditions::HEALTHY,
                Reason::Pending,
                "not every object is there yet, see Provisioned",
            ),
            Verdict::yes(conditions::RECONCILING, Reason::Progressing, &message),
        ];
        let mut status = self.instance.status.clone();
        status.inventory = [union.planned.clone(), union.obsolete.clone()].concat();
        status.template = Some(gathered.in_force.clone());
        for environment in &mut status.environments {
            environment.version = Some(gathered.standing.of(&environment.name).version.clone());
        }
        self.write(status, &verdicts).await
    }

    /// Takes down what fell out of the plan, once all that is in it is there.
    async fn prune(
        &self,
        union: &Union,
        outcomes: &[Outcome],
        watches: &HashMap<WatchKey, Arc<Watch>>,
        suspended: bool,
    ) -> Removal {
        let (lived_in, obsolete) = fallen_out(union);
        let mut kept = Removal::default();
        for entry in lived_in {
            let message = inventory::lived_in(&entry);
            kept.troubles
                .push(Trouble::blocked(Reason::NamespaceNotAllowed, message));
            kept.remaining.push(entry);
        }
        if obsolete.is_empty() {
            return kept;
        }
        if suspended || outcomes.iter().any(|outcome| outcome.trouble.is_some()) {
            let troubles = if suspended {
                vec![Trouble::waiting(
                    Reason::Suspended,
                    format!(
                        "{} fell out of the plan, and the instance is suspended",
                        count(obsolete.len(), "object")
                    ),
                )]
            } else {
                Vec::new()
            };
            kept.remaining.extend(obsolete);
            kept.troubles.extend(troubles);
            return kept;
        }
        let removal = Remove {
            world: self.world,
            instance: &self.instance,
            watches,
        }
        .run(&obsolete)
        .await;
        kept.remaining.extend(removal.remaining);
        kept.troubles.extend(removal.troubles);
        kept.retained_in.extend(removal.retained_in);
        kept
    }

    fn status(
        gathered: &Gathered,
        facts: &Facts<'_>,
        inventory: Vec<InventoryEntry>,
        output: Map<String, Value>,
        pipelines: Vec<PipelineStatus>,
    ) -> InstanceStatus {
        let mut status = InstanceStatus {
            template: Some(gathered.in_force.clone()),
            environments: facts.environments(&|name| gathered.standing.of(name).version.clone(), &output),
            pipelines,
            inventory,
            output,
            ..InstanceStatus::default()
        };
        status.environments_ready = ready_of(&status);
        status
    }

    /// The names of the namespaces that the inventory has.
    fn namespaces(&self) -> Vec<String> {
        self.instance
            .status
            .inventory
            .iter()
            .filter(|entry| is_namespace(entry))
            .map(|entry| entry.name.clone())
            .collect()
    }
}

/// `ready/all` of the environments.
fn ready_of(status: &InstanceStatus) -> Option<String> {
    let all = status.environments.len();
    (all > 0).then(|| {
        format!(
            "{}/{all}",
            status
                .environments
                .iter()
                .filter(|environment| environment.ready)
                .count()
        )
    })
}

/// A mark that nobody can guess and no two entries share.
fn claim() -> String {
    use std::hash::{BuildHasher, RandomState};
    let seed = [RandomState::new().hash_one(1_u8), RandomState::new().hash_one(2_u8)];
    let moment = jiff::Timestamp::now().as_nanosecond();
    hash(&serde_json::json!([seed, moment.to_string()]))
        .chars()
        .take(20)
        .collect()
}
