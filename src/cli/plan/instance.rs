//! One instance: its objects as they are, as they would be, and what would be done about it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use kube::api::DynamicObject;
use serde_json::Value;

use super::cluster::{Acting, Cluster};
use super::picture::Picture;
use super::reading::CONCURRENCY;
use super::report::{EntityReport, EnvironmentReport, ObjectReport, TemplateReport};
use crate::api::instance::{InstanceTemplate, InventoryEntry};
use crate::catalog::refs::{self, EntityRef};
use crate::controllers::instance::consequences::{held_up, let_go, namespaces_to_go, removals};
use crate::controllers::instance::decode::Instance;
use crate::controllers::instance::gather::{self, Gathered};
use crate::controllers::instance::inventory::{
    Identity, Union, is_namespace, mark, resource_label, under_policy, unite,
};
use crate::controllers::instance::moving::{self, Source, Stand};
use crate::controllers::instance::ownership::may_be_handed_over;
use crate::controllers::instance::preview::{Action, Answer, Look, Looked, Preview, Question, Seen};
use crate::controllers::surroundings::Surroundings as _;
use crate::controllers::trouble::Trouble;
use crate::controllers::wakes::Key;
use crate::runtime::clients::Account;
use crate::template::kinds::KindInfo;
use crate::template::plan::{Live, Plan, Rendered};

/// What is said of what only a cluster could tell.
const OFFLINE: &str = "--offline asks no cluster";

/// What instances are planned with.
pub struct Planner<'a> {
    /// The picture.
    pub picture: &'a Picture<'a>,
    /// The cluster, unless it is not to be asked.
    pub cluster: Option<&'a Cluster>,
    /// Namespaces that instances planned before would make.
    pub to_come: &'a HashSet<String>,
    /// Whether, and how, objects that are in the way are looked at as if they were handed over.
    pub adoption: Option<&'a Adoption>,
}

/// What decides which objects that are in the way may be handed over.
#[derive(Debug, Default)]
pub struct Adoption {
    /// The UIDs of all instances, unless they could not be listed.
    pub living: Option<HashSet<String>>,
}

/// One instance's plan, and what it is compared with.
struct Work<'w> {
    planner: &'w Planner<'w>,
    instance: &'w Instance,
    plan: &'w Plan,
    union: &'w Union,
    account: &'w Account,
    acting: Option<Acting>,
    suspended: bool,
    /// The instance that it takes over from.
    from: Option<&'w Instance>,
}

impl Planner<'_> {
    /// Adds to `report` what would become of the instance of `key`. Gives the namespaces that it would have made.
    pub async fn instance(&self, key: &Key, report: &mut EntityReport) -> Vec<String> {
        let Some(object) = self.picture.entity(key) else {
            return Vec::new();
        };
        let instance = match Instance::decode(key, &object) {
            Ok(instance) => instance,
            Err(trouble) => {
                stopped(report, &trouble);
                return Vec::new();
            }
        };
        if instance.deleting {
            say(report, "it is being deleted, and its objects with it");
            return Vec::new();
        }
        if instance.is_released() {
            report.message =
                Some("its annotation lets it go: nothing is made or changed, and what it has stays".to_owned());
            let objects = let_go(&instance).into_iter();
            report.objects = objects.map(|(entry, preview)| fallen(entry, preview)).collect();
            return Vec::new();
        }
        if let Stand::Agreed(_) | Stand::Finished = moving::stand(self.picture, &instance) {
            say(report, "it hands over what it has: nothing is made or changed here");
            return Vec::new();
        }
        if let Some(wanted) = &instance.template {
            self.provisioned(&instance, wanted, report).await
        } else {
            self.detached(&instance, report).await;
            Vec::new()
        }
    }

    async fn provisioned(
        &self,
        instance: &Instance,
        wanted: &InstanceTemplate,
        report: &mut EntityReport,
    ) -> Vec<String> {
        if let Some(trouble) = self.unreadable(instance, wanted, report) {
            stopped(report, &trouble);
            return Vec::new();
        }
        let old = moving::asked(self.picture, instance).filter(|_| !wanted.suspend);
        let mut instance = instance.clone();
        if let Some(old) = &old {
            moving::inherit(&mut instance, old);
        }
        let instance = &instance;
        let planned = gather::gather(self.picture, instance, wanted)
            .and_then(|gathered| Ok((gather::plan(self.picture, instance, wanted, &gathered)?, gathered)));
        let (plan, gathered) = match planned {
            Ok(planned) => planned,
            Err(trouble) => {
                stopped(report, &self.in_context(trouble));
                return Vec::new();
            }
        };
        report.template = Some(template(instance, &gathered, &plan));
        let policy = wanted.deletion_policy.unwrap_or_default();
        let inventory = &instance.status.inventory;
        let mut union = unite(inventory, &plan.objects, &gathered.account, policy, || {
            "planned".to_owned()
        });
        union.obsolete = under_policy(std::mem::take(&mut union.obsolete), policy);
        let work = Work {
            planner: self,
            instance,
            plan: &plan,
            union: &union,
            account: &gathered.account,
            acting: self.acting(&gathered.account, report).await,
            suspended: wanted.suspend,
            from: old.as_ref(),
        };
        report.objects = work.objects().await;
        if let Some(old) = &old {
            self.moved(instance, old, &plan, report);
        }
        let removed = self.removed(instance, &union, work.acting.as_ref()).await;
        report.objects.extend(removed);
        let namespaces = union.planned.iter().filter(|entry| is_namespace(entry));
        namespaces.map(|entry| entry.name.clone()).collect()
    }

    /// What is in the way of taking over from `old`, and what stays there.
    fn moved(&self, instance: &Instance, old: &Instance, plan: &Plan, report: &mut EntityReport) {
        if let Source::Waits(trouble) = moving::source(self.picture, instance) {
            report.reason = Some(trouble.reason.into());
            report.message = Some(trouble.message);
        }
        let stays = format!(
            "it stays with {}, since this one's template does not make it; it is deleted with that one only once that is confirmed",
            old.reference()
        );
        let left = moving::would_be_left(old, &plan.objects).into_iter();
        let kept = |entry| {
            let message = Some(stays.clone());
            let preview = Preview {
                message,
                ..Preview::of(Action::Keep)
            };
            fallen(entry, preview)
        };
        report.objects.extend(left.map(kept));
    }

    /// The instance names no template any more.
    async fn detached(&self, instance: &Instance, report: &mut EntityReport) {
        if instance.status.inventory.is_empty() {
            return;
        }
        let union = Union {
            planned: Vec::new(),
            obsolete: instance.status.inventory.clone(),
            grown: false,
        };
        let account = union.obsolete.iter().find_map(|entry| Account::parse(&entry.account));
        let acting = match &account {
            Some(account) => self.acting(account, report).await,
            None => None,
        };
        report.objects = self.removed(instance, &union, acting.as_ref()).await;
    }

    async fn acting(&self, account: &Account, report: &mut EntityReport) -> Option<Acting> {
        let acting = self.cluster?.acting(account).await;
        report.unchecked.extend(acting.instead.clone());
        Some(acting)
    }

    async fn removed(&self, instance: &Instance, union: &Union, acting: Option<&Acting>) -> Vec<ObjectReport> {
        let mut claims = HashMap::new();
        for namespace in namespaces_to_go(union) {
            let found = match (self.cluster, acting) {
                (Some(cluster), Some(acting)) => cluster.volume_claims(acting, &namespace).await,
                _ => Err(OFFLINE.to_owned()),
            };
            claims.insert(namespace, found);
        }
        let previews = removals(instance, union, &claims);
        previews
            .into_iter()
            .map(|(entry, preview)| fallen(entry, preview))
            .collect()
    }

    /// Why the template cannot be planned with, if it could not be read. What else could not be is noted.
    fn unreadable(&self, instance: &Instance, wanted: &InstanceTemplate, report: &mut EntityReport) -> Option<Trouble> {
        let namespace = &instance.key.namespace;
        let unread = &self.picture.unread;
        if let Ok(template) = refs::parse_of_kind(&wanted.reference, "template", namespace)
            && let Some(why) = unread.get(&template)
        {
            let message = format!("spec.template.ref: {template} cannot be read: {why}");
            return Some(Trouble::blocked(crate::api::reasons::Reason::Forbidden, message));
        }
        let others = [
            refs::parse(&instance.owner, Some("group"), namespace).ok(),
            instance
                .system
                .as_deref()
                .and_then(|system| refs::parse_of_kind(system, "system", namespace).ok()),
        ];
        for reference in others.into_iter().flatten() {
            if let Some(why) = unread.get(&reference) {
                report
                    .unchecked
                    .push(format!("{reference}, planned as if it did not exist: {why}"));
            }
        }
        if let Some(why) = unread.get(&EntityRef::new("namespace", "", namespace)) {
            report
                .unchecked
                .push(format!("whether the template is open to namespace {namespace}: {why}"));
        }
        None
    }

    /// What is not there offline is not among the files.
    fn in_context(&self, trouble: Trouble) -> Trouble {
        use crate::api::reasons::Reason;
        if self.cluster.is_some() || trouble.reason != Reason::TemplateNotFound {
            return trouble;
        }
        let reference = trouble.message.split(" does not exist").next().unwrap_or_default();
        Trouble::invalid(
            trouble.reason,
            format!("{reference} is not among the files; name its file too, or leave out --offline"),
        )
    }
}

fn stopped(report: &mut EntityReport, trouble: &Trouble) {
    let preview = Preview::of_trouble(trouble);
    report.action = preview.action;
    report.reason = preview.reason.map(String::from);
    report.message = preview.message;
}

fn say(report: &mut EntityReport, message: &str) {
    report.action = Action::Wait;
    report.message = Some(message.to_owned());
}

fn template(instance: &Instance, gathered: &Gathered, plan: &Plan) -> TemplateReport {
    let before = instance.status.template.as_ref().map(|before| before.version.clone());
    let version = &gathered.in_force.version;
    let known = instance.status.environments.iter();
    let known: BTreeMap<&str, Option<&String>> = known
        .map(|environment| (environment.name.as_str(), environment.version.as_ref()))
        .collect();
    let planned = plan.objects.iter().filter_map(|object| object.environment.as_deref());
    let names: BTreeSet<&str> = planned.collect();
    let environments = names.into_iter().map(|name| EnvironmentReport {
        name: name.to_owned(),
        version: gathered.standing.of(name).version.clone(),
        before: known.get(name).copied().flatten().cloned(),
    });
    let moving = gathered.moving.as_ref().and(gathered.next.as_ref());
    TemplateReport {
        reference: gathered.in_force.reference.clone(),
        version: version.clone(),
        environments: environments
            .filter(|environment| {
                let other = environment.before.is_some() && environment.before != before;
                environment.version != *version || other
            })
            .collect(),
        order: moving.map(|next| next.order.clone()).unwrap_or_default(),
        before,
        account: Some(gathered.account.to_string()),
        instances: None,
    }
}

fn fallen(entry: InventoryEntry, preview: Preview) -> ObjectReport {
    let api_version = if entry.group.is_empty() {
        entry.version
    } else {
        format!("{}/{}", entry.group, entry.version)
    };
    let report = ObjectReport {
        resource: entry.resource,
        environment: None,
        api_version,
        kind: entry.kind,
        namespace: Some(entry.namespace).filter(|namespace| !namespace.is_empty()),
        name: entry.name,
        action: Action::Nothing,
        changes: super::report::Changes::default(),
        object: None,
        reason: None,
        message: None,
        unchecked: None,
        to_hand_over: None,
    };
    report.with(preview)
}

/// What was found of one object, and what the apiserver is to be asked still.
enum Step {
    Done(Preview),
    Ask(Box<Question>),
}

impl Work<'_> {
    async fn objects(&self) -> Vec<ObjectReport> {
        let seen = self.see().await;
        let mut live = Live::new();
        for (place, seen) in seen.iter().enumerate() {
            let ours = self.union.planned.get(place).map(|entry| entry.uid.as_str());
            if let Seen::There(object) = seen
                && object.metadata.uid.as_deref() == ours
            {
                live.insert(place, Arc::new(serde_json::to_value(object).unwrap_or_default()));
            }
        }
        let steps: Vec<Step> = seen
            .iter()
            .enumerate()
            .map(|(place, seen)| self.step(place, seen, &live))
            .collect();
        let mut previews: Vec<Preview> = stream::iter(steps.into_iter().enumerate())
            .map(|(place, step)| self.settle(place, step, &seen))
            .buffered(CONCURRENCY)
            .collect()
            .await;
        // What may be handed over is, whether or not its turn has come.
        if self.planner.adoption.is_none() {
            held_up(&self.plan.objects, &mut previews);
        }
        let objects = self.plan.objects.iter().zip(previews);
        objects
            .map(|(object, preview)| {
                let report = ObjectReport {
                    resource: resource_label(object),
                    environment: object.environment.clone(),
                    api_version: object.kind.api_version(),
                    kind: object.kind.kind.clone(),
                    namespace: object.namespace.clone(),
                    name: object.name.clone(),
                    action: Action::Nothing,
                    changes: super::report::Changes::default(),
                    object: None,
                    reason: None,
                    message: None,
                    unchecked: None,
                    to_hand_over: None,
                };
                report.with(preview)
            })
            .collect()
    }

    /// How each object of the plan is.
    async fn see(&self) -> Vec<Seen> {
        let look = |(kind, namespace, name): (KindInfo, Option<String>, String)| async move {
            match (self.planner.cluster, &self.acting) {
                (Some(cluster), Some(acting)) => cluster.see(acting, &kind, namespace.as_deref(), &name).await,
                _ => Seen::Unread(OFFLINE.to_owned()),
            }
        };
        let objects = self.plan.objects.iter();
        let wanted: Vec<_> = objects
            .map(|object| (object.kind.clone(), object.namespace.clone(), object.name.clone()))
            .collect();
        stream::iter(wanted).map(look).buffered(CONCURRENCY).collect().await
    }

    fn step(&self, place: usize, seen: &Seen, live: &Live) -> Step {
        let (Some(object), Some(entry)) = (self.plan.objects.get(place), self.union.planned.get(place)) else {
            return Step::Done(Preview::of(Action::Nothing));
        };
        let identity = Identity::planned(object);
        let adoption = self.planner.adoption;
        let as_if_handed_over = |found: &DynamicObject| {
            adoption.is_some_and(|adoption| may_be_handed_over(self.instance, found, adoption.living.as_ref()))
        };
        let looked = Looked {
            instance: self.instance,
            object,
            entry,
            listed: self
                .instance
                .status
                .inventory
                .iter()
                .any(|old| Identity::of(old) == identity),
            seen,
            suspended: self.suspended,
            as_if_handed_over: &as_if_handed_over,
            from: self.from,
        };
        if looked.is_done() {
            return Step::Done(Preview::of(Action::Nothing));
        }
        let intent = match self.plan.render(place, live) {
            Ok(Rendered::Object(intent)) => mark(intent, self.instance, entry),
            Ok(Rendered::Waiting { field, value }) => return Step::Done(Preview::waiting_for(&field, &value)),
            Err(fault) => return Step::Done(Preview::of_fault(&fault)),
        };
        match looked.look(&intent) {
            Look::Settled(preview) => Step::Done(preview),
            Look::Open(question) => Step::Ask(question),
        }
    }

    async fn settle(&self, place: usize, step: Step, seen: &[Seen]) -> Preview {
        let question = match step {
            Step::Done(preview) => return preview,
            Step::Ask(question) => question,
        };
        let answer = self.answer(place, &question.body, seen).await;
        question.answered(answer)
    }

    async fn answer(&self, place: usize, body: &Value, seen: &[Seen]) -> Answer {
        let (Some(cluster), Some(acting), Some(object)) =
            (self.planner.cluster, &self.acting, self.plan.objects.get(place))
        else {
            return Answer::NotAsked(OFFLINE.to_owned());
        };
        if let Some(namespace) = &object.namespace
            && (self.planner.to_come.contains(namespace) || self.to_be_made(seen).contains(namespace.as_str()))
        {
            return Answer::NotAsked(format!("its namespace {namespace} would be made first"));
        }
        cluster.ask(acting, self.account, object, body).await
    }

    /// The namespaces of the plan that do not exist.
    fn to_be_made(&self, seen: &[Seen]) -> BTreeSet<&str> {
        let entries = self.union.planned.iter().zip(seen);
        entries
            .filter(|(entry, seen)| is_namespace(entry) && matches!(seen, Seen::Absent))
            .map(|(entry, _)| entry.name.as_str())
            .collect()
    }
}
