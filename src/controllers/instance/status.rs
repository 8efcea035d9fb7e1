//! What an instance's status says, from what a pass found. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::apply::Outcome;
use crate::api::conditions::{self, MESSAGE_LIMIT, Verdict, bounded};
use crate::api::instance::{EnvironmentStatus, TemplateInForce};
use crate::api::reasons::Reason;
use crate::catalog::urls;
use crate::controllers::trouble::{Class, Trouble};
use crate::template::health::Health;
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
    /// Whether a pin decides the version.
    pub pinned: bool,
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

    /// How many troubles are causes of their own, and do not merely wait for another object of the plan.
    fn causes(&self) -> usize {
        let waits = |trouble: &&Trouble| trouble.reason == Reason::WaitingForDependency;
        let troubles = self.troubles();
        troubles.iter().filter(|trouble| !waits(trouble)).count()
    }

    /// The objects that are not healthy, with what is known of each.
    fn unhealthy(&self) -> Vec<(&'static str, Reason, String)> {
        self.objects
            .iter()
            .filter(|(_, outcome)| outcome.trouble.is_none())
            .filter_map(|(_, outcome)| match outcome.health.as_ref()? {
                Health::Healthy => None,
                Health::Progressing(message) => Some(("False", Reason::Progressing, message.clone())),
                Health::Degraded(message) => Some(("False", Reason::Unhealthy, message.clone())),
                Health::Unknown(message) => Some(("Unknown", Reason::Unhealthy, message.clone())),
                Health::Terminating(message) => Some(("False", Reason::WaitingForDeletion, message.clone())),
            })
            .collect()
    }

    /// The conditions that all this amounts to.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = vec![self.accepted(), self.provisioned(), self.healthy()];
        verdicts.extend(self.up_to_date());
        verdicts.extend(self.drifted());
        let deepest = self.troubles().into_iter().next();
        verdicts.extend(match deepest {
            Some(trouble) => vec![
                Verdict::no(conditions::READY, trouble.reason, more(&trouble.message, self.causes())),
                if trouble.class >= Class::Blocked {
                    Verdict::yes(conditions::STALLED, trouble.reason, &trouble.message)
                } else {
                    Verdict::yes(conditions::RECONCILING, trouble.reason, &trouble.message)
                },
            ],
            None => self.ready(),
        });
        verdicts
    }

    fn ready(&self) -> Vec<Verdict> {
        let unhealthy = self.unhealthy();
        if let Some((status, reason, message)) = unhealthy.first() {
            let message = more(message, unhealthy.len());
            let ready = Verdict {
                kind: conditions::READY,
                status,
                reason: (*reason).into(),
                message: message.clone(),
            };
            return vec![ready, Verdict::yes(conditions::RECONCILING, *reason, message)];
        }
        let reason = if self.suspended {
            Reason::Suspended
        } else {
            Reason::Ready
        };
        vec![Verdict::yes(
            conditions::READY,
            reason,
            format!("{} as planned and healthy", count(self.objects.len())),
        )]
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
        match self.troubles().first() {
            None => Verdict::yes(
                conditions::PROVISIONED,
                Reason::Provisioned,
                format!("{} as planned", count(self.objects.len())),
            ),
            Some(trouble) => Verdict::no(
                conditions::PROVISIONED,
                trouble.reason,
                more(&trouble.message, self.causes()),
            ),
        }
    }

    fn healthy(&self) -> Verdict {
        if self.stopped.is_some() {
            return Verdict::unknown(conditions::HEALTHY, Reason::Pending, "there is no plan, see Accepted");
        }
        let unhealthy = self.unhealthy();
        if let Some((status, reason, message)) = unhealthy.first() {
            return Verdict {
                kind: conditions::HEALTHY,
                status,
                reason: (*reason).into(),
                message: more(message, unhealthy.len()),
            };
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
        Some(if in_force.version == in_force.latest_version {
            Verdict::yes(
                conditions::UP_TO_DATE,
                Reason::Latest,
                format!("at version {}, the newest", in_force.version),
            )
        } else {
            let why = if self.pinned {
                "pinned to it by spec.template.version"
            } else {
                "the newest is not in force yet"
            };
            let reason = if self.pinned {
                Reason::Pinned
            } else {
                Reason::NewerVersion
            };
            let message = format!(
                "at version {}, {why}; the newest is {}",
                in_force.version, in_force.latest_version
            );
            Verdict::no(conditions::UP_TO_DATE, reason, message)
        })
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

    /// The environments, by name.
    pub fn environments(
        &self,
        versions: &BTreeMap<String, String>,
        output: &Map<String, Value>,
    ) -> Vec<EnvironmentStatus> {
        let mut found: BTreeMap<&str, EnvironmentStatus> = BTreeMap::new();
        for (object, outcome) in &self.objects {
            let Some(name) = object.environment.as_deref() else {
                continue;
            };
            let environment = found.entry(name).or_insert_with(|| EnvironmentStatus {
                name: name.to_owned(),
                version: versions
                    .get(name)
                    .cloned()
                    .or_else(|| self.in_force.map(|in_force| in_force.version.clone())),
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
            let why = why_not(outcome);
            if environment.ready && why.is_some() {
                environment.ready = false;
                environment.message = why.map(|why| bounded(&why, MESSAGE_LIMIT));
            }
        }
        found.into_values().collect()
    }
}

/// Why an object keeps its environment from being ready, if it does.
fn why_not(outcome: &Outcome) -> Option<String> {
    if let Some(trouble) = &outcome.trouble {
        return Some(trouble.message.clone());
    }
    outcome.health.as_ref()?.message().map(str::to_owned)
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
}
