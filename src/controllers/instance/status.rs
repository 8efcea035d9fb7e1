//! What an instance's status says, from what a pass found. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::apply::Outcome;
use super::versions::Behind;
use crate::api::conditions::{self, MESSAGE_LIMIT, Verdict, bounded};
use crate::api::instance::{EnvironmentStatus, TemplateInForce};
use crate::api::reasons::Reason;
use crate::catalog::urls;
use crate::controllers::trouble::{Class, Trouble};
use crate::template::health::Health;
use crate::template::names::listed;
use crate::template::plan::PlannedObject;

/// What one pass found.
#[derive(Default)]
pub struct Facts<'a> {
    /// Why there is no plan, if there is none.
    pub stopped: Option<&'a Trouble>,
    /// The plan's objects and how each came out.
    pub objects: Vec<(&'a PlannedObject, &'a Outcome)>,
    /// What is in the way of taking down what fell out of the plan, or what was found wrong beside the objects.
    pub beside: Vec<Trouble>,
    /// The template in force.
    pub in_force: Option<&'a TemplateInForce>,
    /// Why the newest version is not in force, where it is not.
    pub behind: Option<&'a Behind>,
    /// Whether the instance is suspended.
    pub suspended: bool,
}

impl Facts<'_> {
    /// All that is in the way, the deepest cause first.
    pub fn troubles(&self) -> Vec<&Trouble> {
        let outcomes = self.objects.iter().filter_map(|(_, outcome)| outcome.trouble.as_ref());
        let mut troubles: Vec<&Trouble> = self.stopped.into_iter().chain(outcomes).chain(&self.beside).collect();
        // What merely waits for another object of the plan is never the cause.
        troubles.sort_by_key(|trouble| {
            (
                trouble.reason == Reason::WaitingForDependency,
                std::cmp::Reverse(trouble.class),
            )
        });
        troubles
    }

    /// Everything that keeps the instance from being Ready, the deepest cause first: what a person has to change, what has
    /// failed, what is awaited, what is on its way, and last what only waits for another object of the plan.
    fn causes(&self) -> Vec<Cause<'_>> {
        let unhealthy = self
            .objects
            .iter()
            .filter(|(_, outcome)| outcome.trouble.is_none())
            .filter_map(|(_, outcome)| Cause::of(outcome));
        let mut causes: Vec<Cause<'_>> = self
            .troubles()
            .into_iter()
            .map(Cause::of_trouble)
            .chain(unhealthy)
            .collect();
        causes.sort_by_key(|cause| cause.depth);
        causes
    }

    /// The objects that are not healthy, those that have failed first.
    fn unhealthy(&self) -> Vec<Cause<'_>> {
        let mut causes = self.causes();
        causes.retain(|cause| cause.unhealthy);
        causes
    }

    /// The conditions that all this amounts to.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = vec![self.accepted(), self.provisioned(), self.healthy()];
        verdicts.extend(self.up_to_date());
        verdicts.extend(self.drifted());
        verdicts.extend(self.ready());
        verdicts
    }

    fn ready(&self) -> Vec<Verdict> {
        let causes = self.causes();
        if let Some(deepest) = causes.first() {
            let abnormal = if deepest.stalled {
                conditions::STALLED
            } else {
                conditions::RECONCILING
            };
            return vec![
                deepest.verdict(conditions::READY, of_their_own(&causes)),
                Verdict::yes(abnormal, deepest.reason, deepest.message),
            ];
        }
        let reason = if self.suspended {
            Reason::Suspended
        } else {
            Reason::Ready
        };
        vec![Verdict::yes(conditions::READY, reason, self.as_planned(" and healthy"))]
    }

    /// That the objects are as they should be, but for those that differ and stand in nobody's way.
    fn as_planned(&self, healthy: &str) -> String {
        let count = count(self.objects.len());
        match self
            .objects
            .iter()
            .filter(|(_, outcome)| outcome.drift.is_some())
            .count()
        {
            0 => format!("{count} as planned{healthy}"),
            drifted => format!("{count} there{healthy}; {drifted} not as planned, see Drifted"),
        }
    }

    fn accepted(&self) -> Verdict {
        match self.stopped {
            None => Verdict::yes(
                conditions::ACCEPTED,
                Reason::Accepted,
                "the template, the parameters and every object are allowed",
            ),
            Some(trouble) if trouble.class == Class::Transient => {
                Verdict::unknown(conditions::ACCEPTED, trouble.reason, &trouble.message)
            }
            Some(trouble) => Verdict::no(conditions::ACCEPTED, trouble.reason, &trouble.message),
        }
    }

    fn provisioned(&self) -> Verdict {
        if let Some(trouble) = self.stopped {
            return Verdict::unknown(
                conditions::PROVISIONED,
                trouble.reason,
                "there is no plan, see Accepted",
            );
        }
        let mut causes = self.causes();
        causes.retain(|cause| !cause.unhealthy);
        match causes.first() {
            None => Verdict::yes(conditions::PROVISIONED, Reason::Provisioned, self.as_planned("")),
            Some(deepest) => deepest.verdict(conditions::PROVISIONED, of_their_own(&causes)),
        }
    }

    fn healthy(&self) -> Verdict {
        if self.stopped.is_some() {
            return Verdict::unknown(conditions::HEALTHY, Reason::Pending, "there is no plan, see Accepted");
        }
        let unhealthy = self.unhealthy();
        if let Some(deepest) = unhealthy.first() {
            return deepest.verdict(conditions::HEALTHY, unhealthy.len());
        }
        if self.objects.iter().any(|(_, outcome)| outcome.trouble.is_some()) {
            return Verdict::unknown(
                conditions::HEALTHY,
                Reason::Pending,
                "not every object is there yet, see Provisioned",
            );
        }
        Verdict::yes(
            conditions::HEALTHY,
            Reason::Healthy,
            "every object that has a health is healthy",
        )
    }

    fn up_to_date(&self) -> Option<Verdict> {
        let in_force = self.in_force?;
        let TemplateInForce {
            version,
            latest_version,
            environments,
            ..
        } = in_force;
        let mut others = environments.iter().filter(|other| other.version != *version).peekable();
        let is_latest = version == latest_version;
        if is_latest && others.peek().is_none() {
            let message = format!("at version {version}, the newest");
            return Some(Verdict::yes(conditions::UP_TO_DATE, Reason::Latest, message));
        }
        let others: Vec<String> = others
            .map(|other| format!("{} at {}", other.name, other.version))
            .collect();
        let listed = listed(others.iter().map(String::as_str), 8);
        let told = match others.len() {
            0 => String::new(),
            1 => format!(", environment {listed}"),
            _ => format!(", environments {listed}"),
        };
        let (newest, other) = if is_latest {
            (", the newest", String::new())
        } else {
            ("", format!(", while the newest is {latest_version}"))
        };
        let (reason, why) = match self.behind {
            Some((reason, why)) => (*reason, why.as_str()),
            None if is_latest => (Reason::Pinned, "pinned to it by spec.template.environments"),
            None => (Reason::NewerVersion, "the newest is not in force yet"),
        };
        let message = format!("at version {version}{newest}{told}{other}: {why}");
        Some(Verdict::no(conditions::UP_TO_DATE, reason, message))
    }

    fn drifted(&self) -> Option<Verdict> {
        let drifts = self.objects.iter().filter_map(|(_, outcome)| outcome.drift.as_ref());
        let all: Vec<_> = drifts.collect();
        let first = all.first()?;
        Some(Verdict::yes(
            conditions::DRIFTED,
            first.reason,
            more(&first.message, all.len()),
        ))
    }

    /// The environments, by name, each with its version.
    pub fn environments(
        &self,
        version_of: &dyn Fn(&str) -> String,
        output: &Map<String, Value>,
    ) -> Vec<EnvironmentStatus> {
        let mut found: BTreeMap<&str, EnvironmentStatus> = BTreeMap::new();
        let mut depths: BTreeMap<&str, u8> = BTreeMap::new();
        for (object, outcome) in &self.objects {
            let Some(name) = object.environment.as_deref() else {
                continue;
            };
            let environment = found.entry(name).or_insert_with(|| EnvironmentStatus {
                name: name.to_owned(),
                version: Some(version_of(name)),
                url: output
                    .get("environments")
                    .and_then(|urls| urls.get(name)?.get("url")?.as_str())
                    .and_then(urls::clean)
                    .map(|url| bounded(url, MESSAGE_LIMIT)),
                ready: true,
                ..EnvironmentStatus::default()
            });
            if object.kind.kind == "Namespace" && object.kind.group.is_empty() {
                environment.namespace.get_or_insert_with(|| object.name.clone());
            }
            let Some(cause) = Cause::of(outcome) else { continue };
            let depth = depths.entry(name).or_insert(u8::MAX);
            if cause.depth < *depth {
                *depth = cause.depth;
                environment.ready = false;
                environment.message = Some(bounded(cause.message, MESSAGE_LIMIT));
            }
        }
        found.into_values().collect()
    }
}

/// One thing that keeps an instance from being Ready.
struct Cause<'a> {
    /// How far it is from the cause of all: less is nearer.
    depth: u8,
    /// What it makes of Ready: `False` or `Unknown`.
    status: &'static str,
    reason: Reason,
    message: &'a str,
    /// Whether a person has to change something.
    stalled: bool,
    /// Whether it is an object that is as planned and not healthy.
    unhealthy: bool,
}

impl<'a> Cause<'a> {
    fn of(outcome: &'a Outcome) -> Option<Self> {
        match &outcome.trouble {
            Some(trouble) => Some(Self::of_trouble(trouble)),
            None => outcome.health.as_ref().and_then(Self::of_health),
        }
    }

    fn of_trouble(trouble: &'a Trouble) -> Self {
        let depth = match trouble.class {
            Class::Invalid => 0,
            Class::Blocked => 1,
            // The other object says more.
            _ if trouble.reason == Reason::WaitingForDependency => 9,
            Class::Waiting => 4,
            Class::Transient => 5,
        };
        Self {
            depth,
            status: "False",
            reason: trouble.reason,
            message: &trouble.message,
            stalled: trouble.class >= Class::Blocked,
            unhealthy: false,
        }
    }

    fn of_health(health: &'a Health) -> Option<Self> {
        let (depth, status, reason, message) = match health {
            Health::Healthy => return None,
            Health::Degraded(message) => (2, "False", Reason::Unhealthy, message),
            Health::Unknown(message) => (3, "Unknown", Reason::Unhealthy, message),
            Health::Terminating(message) => (6, "False", Reason::WaitingForDeletion, message),
            Health::Progressing(message) => (7, "False", Reason::Progressing, message),
        };
        Some(Self {
            depth,
            status,
            reason,
            message,
            stalled: false,
            unhealthy: true,
        })
    }

    /// What it makes of a condition, being the deepest of `all`.
    fn verdict(&self, kind: &'static str, all: usize) -> Verdict {
        Verdict {
            kind,
            status: self.status,
            reason: self.reason.into(),
            message: more(self.message, all),
        }
    }
}

/// How many are causes of their own, and do not merely wait for another object of the plan.
fn of_their_own(causes: &[Cause<'_>]) -> usize {
    let waits = |cause: &&Cause<'_>| cause.reason == Reason::WaitingForDependency;
    causes.iter().filter(|cause| !waits(cause)).count()
}

fn count(objects: usize) -> String {
    if objects == 1 {
        "1 object is".to_owned()
    } else {
        format!("{objects} objects are")
    }
}

fn more(message: &str, all: usize) -> String {
    if all > 1 {
        format!("{} (and {} more)", bounded(message, MESSAGE_LIMIT - 32), all - 1)
    } else {
        message.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::contest::Drift;
    use super::*;

    #[test]
    fn stalled_and_reconciling_never_stand_together_and_the_cause_comes_first() {
        let blocked = Trouble::blocked(Reason::NameConflict, "in the way");
        let facts = Facts {
            beside: vec![
                Trouble::waiting(Reason::WaitingForDependency, "waits"),
                Trouble::transient("again"),
                blocked,
                Trouble::waiting(Reason::WaitingForValue, "value"),
            ],
            ..Facts::default()
        };
        let verdicts = facts.verdicts();
        let find = |kind: &str| verdicts.iter().find(|verdict| verdict.kind == kind);
        assert!(find(conditions::RECONCILING).is_none());
        assert_eq!(find(conditions::STALLED).unwrap().message, "in the way");
        assert_eq!(find(conditions::READY).unwrap().message, "in the way (and 2 more)");
        assert_eq!(facts.troubles().last().unwrap().message, "waits");
    }

    fn planned(name: &str) -> PlannedObject {
        PlannedObject {
            resource: name.to_owned(),
            each_key: None,
            environment: Some("dev".to_owned()),
            kind: crate::template::kinds::Kinds::kind(&crate::template::kinds::Assumed, "v1", "ConfigMap").unwrap(),
            namespace: Some("shop-dev".to_owned()),
            name: name.to_owned(),
            mode: crate::api::instance::Mode::Own,
            deletion_policy: None,
            drift_policy: crate::api::instance::DriftPolicy::Repair,
            replace: false,
            depends_on: Vec::new(),
        }
    }

    fn of_health(health: Health) -> Outcome {
        Outcome {
            trouble: None,
            health: Some(health),
            drift: None,
        }
    }

    #[test]
    fn what_has_failed_is_told_and_not_what_waits_for_it_or_is_on_its_way() {
        let waits = |message: &str| Outcome {
            trouble: Some(Trouble::waiting(Reason::WaitingForDependency, message)),
            health: None,
            drift: None,
        };
        let outcomes = [
            of_health(Health::Healthy),
            of_health(Health::Progressing(
                "Deployment a: 0 of 1 replicas available".to_owned(),
            )),
            of_health(Health::Degraded(
                "Deployment b: no progress within its deadline".to_owned(),
            )),
            waits("ConfigMap c: waiting for Deployment b to be ready"),
        ];
        let objects: Vec<PlannedObject> = ["n", "a", "b", "c"].map(planned).into();
        let of = |count: usize| Facts {
            objects: objects.iter().zip(&outcomes).take(count).collect(),
            ..Facts::default()
        };
        let told = |facts: &Facts<'_>, kind: &str| {
            let verdicts = facts.verdicts();
            let found = verdicts.iter().find(|verdict| verdict.kind == kind).cloned().unwrap();
            format!("{} {}: {}", found.status, found.reason, found.message)
        };
        let all = of(4);
        let deepest = "False Unhealthy: Deployment b: no progress within its deadline (and 1 more)";
        assert_eq!(told(&all, conditions::READY), deepest);
        assert_eq!(told(&all, conditions::HEALTHY), deepest);
        assert_eq!(
            told(&all, conditions::PROVISIONED),
            "False WaitingForDependency: ConfigMap c: waiting for Deployment b to be ready"
        );
        assert_eq!(
            told(&all, conditions::RECONCILING),
            "True Unhealthy: Deployment b: no progress within its deadline"
        );
        let environment = &all.environments(&|_| String::new(), &Map::new())[0];
        assert_eq!(
            environment.message.as_deref(),
            Some("Deployment b: no progress within its deadline")
        );
        assert_eq!(
            told(&of(2), conditions::READY),
            "False Progressing: Deployment a: 0 of 1 replicas available"
        );
        assert_eq!(
            told(&of(1), conditions::READY),
            "True Ready: 1 object is as planned and healthy"
        );
        let fought_over = Outcome {
            drift: Some(Drift {
                reason: Reason::Contested,
                message: "Namespace n: another manager sets it otherwise".to_owned(),
            }),
            ..of_health(Health::Healthy)
        };
        let drifted = Facts {
            objects: vec![(&objects[0], &outcomes[0]), (&objects[1], &fought_over)],
            ..Facts::default()
        };
        assert_eq!(
            told(&drifted, conditions::READY),
            "True Ready: 2 objects are there and healthy; 1 not as planned, see Drifted"
        );
        assert_eq!(
            told(&drifted, conditions::PROVISIONED),
            "True Provisioned: 2 objects are there; 1 not as planned, see Drifted"
        );
    }
}
