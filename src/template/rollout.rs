//! How a new version reaches the instances of a template: which of them may be moved now, from how each is. Pure, and without
//! memory: what is stored in the cluster decides alone, so that whoever decides anew decides the same.

#[cfg(test)]
mod played;
pub mod stages;
#[cfg(test)]
mod tests;

use serde_json::Value;

use self::stages::Move;
use crate::api::rollout::{Rollout, RolloutState, RolloutStrategy};

/// What a template says about its rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether instances are moved only by their pins.
    pub manual: bool,
    /// Whether nobody is moved for now.
    pub paused: bool,
    /// How many may be unavailable at a time; without it, any number.
    pub max_unavailable: Option<Limit>,
    /// How long an instance must have been Ready to count as available, in seconds.
    pub min_ready_seconds: i64,
}

/// A count, or a share of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many.
    Count(usize),
    /// So many of a hundred, rounded down, and one at least.
    Percent(usize),
}

impl Limit {
    /// What a field says that holds a count or a percentage. None of anything else, which its schema keeps out.
    fn parse(value: &Value) -> Option<Self> {
        if let Some(count) = value.as_u64() {
            return usize::try_from(count).ok().map(Self::Count);
        }
        let percent = value.as_str()?.strip_suffix('%')?.parse().ok()?;
        Some(Self::Percent(percent))
    }

    /// How many of `all`.
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Count(count) => count,
            // As with Deployments: a share that comes to none would never end.
            Self::Percent(percent) => (all * percent.min(100) / 100).max(usize::from(percent > 0)),
        }
    }
}

impl Policy {
    /// What `rollout` says.
    pub fn of(rollout: &Rollout) -> Self {
        Self {
            manual: rollout.strategy == RolloutStrategy::Manual,
            paused: rollout.paused,
            max_unavailable: rollout.max_unavailable.as_ref().and_then(Limit::parse),
            min_ready_seconds: rollout.min_ready_seconds.unwrap_or_default(),
        }
    }
}

/// An instance that follows the template: one that has no pin, is not suspended and not going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own.
pub struct Member {
    /// Whether it is among those that come first.
    pub canary: bool,
    /// The stage in which it is to be moved next; none where it is at the newest version.
    pub next: Option<usize>,
    /// Whether it is Ready.
    pub ready: bool,
    /// Since when it is so, in seconds since 1970.
    pub ready_since: i64,
    /// Whether it is not Ready, and nothing that is under way will make it so.
    pub failed: bool,
    /// What a rollout has moved of it last while it was Ready.
    pub moved: Option<Move>,
    /// Whether it cannot be planned at all: whoever waited for it to be moved could wait for ever. It keeps its turn, for a version
    /// that it can take.
    pub stopped: bool,
    /// Whether it cannot take the newest version, or a person has to agree first.
    pub held: bool,
    /// Whether it was allowed to move, and has not yet.
    pub granted: bool,
}

impl Member {
    fn is_available(&self, policy: &Policy, now: i64) -> bool {
        self.ready && now >= self.available_at(policy)
    }

    /// From when on it is available, if it stays Ready. Times are stored without fractions, so that up to a second is missing.
    fn available_at(&self, policy: &Policy) -> i64 {
        let rounding = i64::from(policy.min_ready_seconds > 0);
        self.ready_since + policy.min_ready_seconds + rounding
    }

    /// Whether it is unavailable by our doing.
    fn is_down(&self, policy: &Policy, now: i64) -> bool {
        self.moved.is_some() && !self.is_available(policy, now)
    }

    /// Whether it is unavailable by what was moved in an earlier stage than `stage`.
    fn is_down_before(&self, stage: usize, policy: &Policy, now: i64) -> bool {
        self.moved.is_some_and(|moved| moved.stage < stage) && self.is_down(policy, now)
    }

    /// Whether it is unavailable by an earlier version, in a part whose stage is yet to come: until then it takes room.
    fn is_stuck(&self, stage: usize, policy: &Policy, now: i64) -> bool {
        let later = self.moved.is_some_and(|moved| !moved.latest && moved.stage > stage);
        later && self.is_down(policy, now) && self.is_behind() && !self.ready
    }

    /// Whether the newest version has broken it.
    fn has_failed(&self) -> bool {
        self.moved.is_some_and(|moved| moved.latest) && !self.ready && self.failed
    }

    /// Whether it is Ready, and will not be once it uses its grant.
    fn is_leaving(&self) -> bool {
        self.granted && self.next.is_some() && self.ready
    }

    /// Whether it is to be moved.
    fn is_behind(&self) -> bool {
        self.next.is_some() && !self.held
    }

    /// Whether it is to be moved in `stage`.
    fn is_behind_in(&self, stage: usize) -> bool {
        self.next == Some(stage) && !self.held
    }
}

/// The stage that a rollout is in: the first in which somebody is to be moved. None where nobody is.
pub fn stage(members: &[Member]) -> Option<usize> {
    let behind = members.iter().filter(|member| member.is_behind() && !member.stopped);
    behind.filter_map(|member| member.next).min()
}

/// What is so, and what may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The state of the rollout.
    pub state: RolloutState,
    /// The stage that it is in, where somebody is to be moved or waited for.
    pub stage: Option<usize>,
    /// Whether that stage has not begun, since one is not available that was moved in an earlier one.
    pub waits: bool,
    /// Those that may be moved now, by their places among the members; those that were granted before are not among them.
    pub granted: Vec<usize>,
    /// The one that is to be told of: the first that has failed, or else that is waited for, or else that is held.
    pub about: Option<usize>,
    /// The first that is not waited for, since it cannot be planned.
    pub passed_over: Option<usize>,
    /// Whether only those that come first are moved yet.
    pub canaries: bool,
    /// How many are unavailable by our doing.
    pub unavailable: usize,
    /// When to look again, though nothing changes, in seconds since 1970.
    pub again: Option<i64>,
}

/// Decides. `policy` is none where the template says nothing about its rollout: then everyone moves by itself, and only the state is told.
pub fn decide(policy: Option<&Policy>, members: &[Member], now: i64) -> Decision {
    let Some(policy) = policy else {
        return Decision::of(state_without(members), first(members, |member| member.held));
    };
    let failed = first(members, Member::has_failed);
    let unavailable = members.iter().filter(|member| member.is_down(policy, now)).count();
    let behind = stage(members);
    if failed.is_some() {
        return Decision {
            unavailable,
            stage: moved_in(members, failed).or(behind),
            ..Decision::of(RolloutState::Stopped, failed)
        };
    }
    let down = first(members, |member| member.is_down(policy, now));
    let Some(stage) = behind.or_else(|| moved_in(members, down)) else {
        let held = first(members, |member| {
            member.next.is_some() && (member.held || member.stopped)
        });
        let state = if held.is_some() {
            RolloutState::HeldBack
        } else {
            RolloutState::Complete
        };
        let may = !policy.manual && !policy.paused;
        return Decision {
            granted: if may {
                to_be_tried(members, false).collect()
            } else {
                Vec::new()
            },
            ..Decision::of(state, held)
        };
    };
    let stays = match policy {
        Policy { manual: true, .. } => Some(RolloutState::Manual),
        Policy { paused: true, .. } => Some(RolloutState::Paused),
        _ => None,
    };
    let earlier = first(members, |member| member.is_down_before(stage, policy, now));
    let canaries = first(members, |member| {
        member.canary && is_unproven(member, stage, policy, now)
    })
    .is_some();
    Decision {
        state: stays.unwrap_or(RolloutState::Progressing),
        stage: Some(stage),
        waits: earlier.is_some(),
        granted: if stays.is_some() || earlier.is_some() {
            Vec::new()
        } else {
            grants(policy, members, stage, canaries, now)
        },
        about: earlier.or(down),
        passed_over: first(members, |member| member.stopped && member.is_behind()),
        canaries,
        unavailable,
        again: members
            .iter()
            .filter(|member| member.ready && member.is_down(policy, now))
            .map(|member| member.available_at(policy))
            .min(),
    }
}

impl Decision {
    /// Nobody may be moved.
    fn of(state: RolloutState, about: Option<usize>) -> Self {
        Self {
            state,
            stage: None,
            waits: false,
            granted: Vec::new(),
            about,
            passed_over: None,
            canaries: false,
            unavailable: 0,
            again: None,
        }
    }
}

/// The stage in which a member was moved last.
fn moved_in(members: &[Member], place: Option<usize>) -> Option<usize> {
    let member = place.and_then(|place| members.get(place));
    member.and_then(|member| Some(member.moved?.stage))
}

fn first(members: &[Member], holds: impl Fn(&Member) -> bool) -> Option<usize> {
    members.iter().position(holds)
}

fn state_without(members: &[Member]) -> RolloutState {
    if members.iter().any(Member::is_behind) {
        RolloutState::Progressing
    } else if members.iter().any(|member| member.next.is_some()) {
        RolloutState::HeldBack
    } else {
        RolloutState::Complete
    }
}

/// Whether one that comes first has not shown yet that the version can be run in this stage.
fn is_unproven(member: &Member, stage: usize, policy: &Policy, now: i64) -> bool {
    let newest = member.moved.is_some_and(|moved| moved.latest);
    member.is_behind_in(stage) || (newest && member.is_down(policy, now))
}

/// Those that cannot be planned, of those that have no grant: another version may put them right, and they take no room.
fn to_be_tried(members: &[Member], canaries: bool) -> impl Iterator<Item = usize> {
    let members = members.iter().enumerate();
    let stopped = members.filter(|(_, member)| member.stopped && member.is_behind() && !member.ready);
    let tried = stopped.filter(move |(_, member)| !member.granted && (member.canary || !canaries));
    tried.map(|(place, _)| place)
}

/// Who may be moved now in a stage, of those that have no grant. One that is not Ready cannot be made unavailable by it, and needs no room.
fn grants(policy: &Policy, members: &[Member], stage: usize, canaries: bool, now: i64) -> Vec<usize> {
    let taken = members
        .iter()
        .filter(|member| member.is_down(policy, now) || member.is_leaving())
        .count();
    let limit = policy
        .max_unavailable
        .map_or(usize::MAX, |limit| limit.of(members.len()));
    let mut room = limit.saturating_sub(taken);
    let candidates = members
        .iter()
        .enumerate()
        .filter(|(_, member)| member.is_behind_in(stage) && !member.stopped && !member.granted)
        .filter(|(_, member)| member.canary || !canaries);
    let mut granted: Vec<usize> = candidates
        .filter(|(_, member)| {
            let needs_room = member.ready && !member.is_down(policy, now);
            let fits = !needs_room || room > 0;
            room = room.saturating_sub(usize::from(needs_room));
            fits
        })
        .map(|(place, _)| place)
        .collect();
    granted.extend(to_be_tried(members, canaries));
    let waits_for_none = members
        .iter()
        .all(|member| !member.granted && (!member.is_down(policy, now) || member.is_stuck(stage, policy, now)));
    if granted.is_empty() && waits_for_none {
        // All the room is taken by those whose stage would never come: they go on before it.
        let stuck = members.iter().enumerate();
        return stuck
            .filter(|(_, member)| member.is_stuck(stage, policy, now))
            .map(|(place, _)| place)
            .collect();
    }
    granted
}
