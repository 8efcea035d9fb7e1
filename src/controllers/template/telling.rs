//! What a Template's rollout says of itself.

use crate::api::conditions::{self, Condition};
use crate::api::rollout::{RolloutState, RolloutStatus};
use crate::controllers::surroundings::Surroundings as _;
use crate::controllers::wakes::Key;
use crate::controllers::world::World;
use crate::template::rollout::stages::Stages;
use crate::template::rollout::{Decision, Policy};

/// What is told of a rollout beside the counts.
pub(super) struct Told<'a> {
    pub(super) world: &'a World,
    pub(super) decision: &'a Decision,
    pub(super) stages: Stages<'a>,
    /// The instance that is to be told of.
    pub(super) about: Option<&'a Key>,
    /// One that is not waited for.
    pub(super) passed_over: Option<&'a Key>,
    pub(super) policy: Option<&'a Policy>,
}

impl Told<'_> {
    /// What is so, why, and what to do about it.
    pub(super) fn message(&self, status: &RolloutStatus) -> String {
        let RolloutStatus {
            version,
            following,
            updated,
            held,
            ..
        } = status;
        let name = self
            .about
            .map(|key| self.world.catalog.reference(key).to_string())
            .unwrap_or_default();
        let progress = format!("{updated} of {following} instances that follow the template are at version {version}");
        let stage = self.stage(status);
        match status.state {
            RolloutState::Complete => progress,
            RolloutState::Paused => {
                format!("{progress}{stage}; no other is moved while spec.rollout.paused is true")
            }
            RolloutState::Manual => {
                format!(
                    "{progress}; spec.rollout.strategy is Manual: an instance moves when its spec.template.version says so"
                )
            }
            RolloutState::Stopped => format!(
                "{progress}{stage}; stopped: {name} was Ready before it was moved, and is not: {}. It goes on when that is Ready again, or with another version; back to the one before: landfall rollout undo",
                self.said(conditions::READY)
            ),
            RolloutState::HeldBack => {
                let why = Some(self.said(conditions::UP_TO_DATE)).filter(|why| !why.is_empty());
                let why = why.unwrap_or_else(|| self.said(conditions::READY));
                format!("{progress}; {held} stay where they are, the first of them {name}: {why}")
            }
            RolloutState::Progressing => {
                let first = if self.decision.canaries {
                    "; those that spec.rollout.canarySelector matches come first"
                } else {
                    ""
                };
                let none = self
                    .policy
                    .and_then(|policy| policy.max_unavailable)
                    .is_some_and(|limit| limit.of(usize::try_from(*following).unwrap_or_default()) == 0);
                let none = if none {
                    "; spec.rollout.maxUnavailable is 0, so that none that is Ready is moved"
                } else {
                    ""
                };
                let waits = match (self.about, self.decision.waits) {
                    (Some(_), true) => format!("; this begins when {name}, which was moved before, is available"),
                    (Some(_), false) if self.policy.is_some() => format!("; waiting for {name} to be available"),
                    _ => String::new(),
                };
                let passed = self.passed_over.map_or_else(String::new, |key| {
                    let name = self.world.catalog.reference(key);
                    format!("; {name} is passed over, since it cannot be planned: see its condition Ready")
                });
                format!("{progress}{stage}{first}{none}{waits}{passed}")
            }
        }
    }

    /// The stage that it is in, as the end of a sentence; nothing where there is one only.
    fn stage(&self, status: &RolloutStatus) -> String {
        let (Some(stage), all @ 2..) = (self.decision.stage, self.stages.count()) else {
            return String::new();
        };
        let what = match &status.environment {
            Some(name) => {
                let mut environments = status.environments.iter();
                let found = environments.find(|environment| environment.name == *name);
                let counts = found.map(|found| format!(" ({} of {})", found.updated, found.following));
                format!("environment {name}{}", counts.unwrap_or_default())
            }
            None => "what belongs to none of spec.rollout.environments".to_owned(),
        };
        format!("; stage {} of {all}: {what}", stage + 1)
    }

    /// What a condition of the instance says.
    fn said(&self, kind: &str) -> String {
        let object = self.about.and_then(|key| self.world.entity(key));
        let found = object.and_then(|object| object.data.pointer("/status/conditions").cloned());
        let all: Vec<Condition> = found
            .and_then(|all| serde_json::from_value(all).ok())
            .unwrap_or_default();
        conditions::find(&all, kind).map_or_else(String::new, |condition| condition.message.clone())
    }
}
