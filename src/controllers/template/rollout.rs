//! A Template's rollout: looks at its instances, lets the pure decision say who may be moved, gives them their turns, and tells.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::api::conditions::{self, Condition, Verdict, bounded};
use crate::api::reasons::Reason;
use crate::api::rollout::{Rollout, RolloutState, RolloutStatus};
use crate::api::template::{LabelSelector, RevisionInForce};
use crate::catalog::index::InRollout;
use crate::catalog::relations::Role;
use crate::controllers::catalog::{moment, to_the_microsecond};
use crate::controllers::namespaces::matches;
use crate::controllers::surroundings::Surroundings as _;
use crate::controllers::turns::At;
use crate::controllers::wakes::Key;
use crate::controllers::world::World;
use crate::template::rollout::{Decision, Member, Policy, decide};

/// What one look at a rollout came to.
pub struct Advanced {
    /// What the Template's status says about it.
    pub status: RolloutStatus,
    /// The same as a condition.
    pub verdict: Verdict,
    /// The instances that have been given their turn.
    pub granted: Vec<Key>,
    /// When to look again, though nothing changes.
    pub again: Option<Duration>,
}

/// One instance that follows the template.
struct Follower {
    key: Key,
    digest: String,
    stands: InRollout,
}

impl Follower {
    fn at(&self) -> At<'_> {
        At {
            digest: &self.digest,
            ready: self.stands.up,
        }
    }
}

/// Looks at the rollout of a template whose newest version is `latest`, and gives those their turns that may be moved now.
pub fn advance(
    world: &World,
    key: &Key,
    rollout: Option<&Rollout>,
    latest: &RevisionInForce,
    before: Option<&RolloutStatus>,
) -> Advanced {
    let now = jiff::Timestamp::now();
    let policy = rollout.map(Policy::of);
    let text = to_the_microsecond(now);
    // What was before the first look counts for nothing.
    let completed_at = before.map_or(Some(text.clone()), |before| before.completed_at.clone());
    let completed = completed_at
        .as_deref()
        .and_then(moment)
        .map_or(0, jiff::Timestamp::as_microsecond);
    let followers = followers(world, key);
    let canaries = rollout.and_then(|rollout| rollout.canary_selector.as_ref());
    let canaries = canaries.map(|selector| selected(world, &followers, selector));
    let behind = || followers.iter().filter(|follower| follower.digest != latest.digest);
    // One that has found that it cannot take the version has used its turn, too.
    let at: HashMap<Key, At<'_>> = behind()
        .filter(|follower| !follower.stands.held)
        .map(|follower| (follower.key.clone(), follower.at()))
        .collect();
    let held = behind().count() - at.len();
    let mut decision = None;
    let granted = world.turns.renew(key, &latest.digest, &at, |has_turn| {
        let members: Vec<Member> = followers
            .iter()
            .enumerate()
            .map(|(place, follower)| Member {
                canary: canaries.as_ref().is_some_and(|canaries| canaries.contains(&place)),
                latest: follower.digest == latest.digest,
                ready: follower.stands.up,
                ready_since: follower.stands.up_since,
                failed: follower.stands.failed,
                was_ready: follower.stands.moved > 0 && follower.stands.moved >= completed,
                held: follower.stands.held,
                granted: has_turn(&follower.key),
            })
            .collect();
        let decided = decide(policy.as_ref(), &members, now.as_second());
        let may_go_on = decided.state == RolloutState::Progressing && policy.is_some();
        let granted = decided
            .granted
            .iter()
            .filter_map(|place| Some(followers.get(*place)?.key.clone()));
        let granted = may_go_on.then(|| granted.collect());
        decision = Some(decided);
        granted
    });
    let decision = decision.unwrap_or_else(|| decide(None, &[], 0));
    let mut status = RolloutStatus {
        state: decision.state,
        version: latest.version.clone(),
        following: whole(followers.len()),
        updated: whole(followers.len() - behind().count()),
        held: whole(held),
        unavailable: whole(decision.unavailable),
        message: String::new(),
        completed_at,
    };
    status.message = bounded(
        &message(world, &status, &decision, &followers, policy.as_ref()),
        conditions::MESSAGE_LIMIT,
    );
    if is_over(&status) && before.is_none_or(|before| !is_over(before) || before.version != status.version) {
        status.completed_at = Some(text);
    }
    Advanced {
        verdict: verdict(&status),
        status,
        granted,
        again: decision
            .again
            .map(|again| Duration::from_secs(u64::try_from(again - now.as_second()).unwrap_or_default().max(1))),
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Whether nothing is left to do but what a person has to agree to.
fn is_over(status: &RolloutStatus) -> bool {
    matches!(status.state, RolloutState::Complete | RolloutState::HeldBack)
}

/// The instances that follow the newest version, in the order of their names.
fn followers(world: &World, key: &Key) -> Vec<Follower> {
    let index = world.catalog.index();
    let following = index.related(key, Role::TemplateOf).filter_map(|instance| {
        let stands = instance.aspects.rollout;
        let digest = instance.aspects.revision.as_deref()?;
        stands.follows.then(|| Follower {
            key: instance.key.clone(),
            digest: digest.to_owned(),
            stands,
        })
    });
    let mut followers: Vec<Follower> = following.collect();
    followers.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    followers
}

/// The places of those that a selector matches.
fn selected(world: &World, followers: &[Follower], selector: &LabelSelector) -> std::collections::HashSet<usize> {
    let none = BTreeMap::new();
    let is_selected = |follower: &Follower| {
        let object = world.entity(&follower.key);
        let labels = object.as_ref().and_then(|object| object.metadata.labels.as_ref());
        matches(selector, labels.unwrap_or(&none))
    };
    let places = followers.iter().enumerate();
    places
        .filter(|(_, follower)| is_selected(follower))
        .map(|(place, _)| place)
        .collect()
}

fn message(
    world: &World,
    status: &RolloutStatus,
    decision: &Decision,
    followers: &[Follower],
    policy: Option<&Policy>,
) -> String {
    let RolloutStatus {
        version,
        following,
        updated,
        held,
        ..
    } = status;
    let about = decision
        .about
        .and_then(|place| followers.get(place))
        .map(|follower| &follower.key);
    let name = about
        .map(|key| world.catalog.reference(key).to_string())
        .unwrap_or_default();
    let says = |kind: &str| about.map(|key| said(world, key, kind)).unwrap_or_default();
    let progress = format!("{updated} of {following} instances that follow the template are at version {version}");
    match status.state {
        RolloutState::Complete => progress,
        RolloutState::Paused => format!("{progress}; no other is moved while spec.rollout.paused is true"),
        RolloutState::Manual => {
            format!(
                "{progress}; spec.rollout.strategy is Manual: an instance moves when its spec.template.version says so"
            )
        }
        RolloutState::Stopped => format!(
            "{progress}; stopped: {name} was Ready before it was moved, and is not: {}. It goes on when that is Ready again, or with another version; back to the one before: landfall rollout undo",
            says(conditions::READY)
        ),
        RolloutState::HeldBack => {
            format!(
                "{progress}; {held} stay where they are, the first of them {name}: {}",
                says(conditions::UP_TO_DATE)
            )
        }
        RolloutState::Progressing => {
            let first = if decision.canaries {
                "; those that spec.rollout.canarySelector matches come first"
            } else {
                ""
            };
            let none = policy
                .and_then(|policy| policy.max_unavailable)
                .is_some_and(|limit| limit.of(followers.len()) == 0);
            let none = if none {
                "; spec.rollout.maxUnavailable is 0, so that none that is Ready is moved"
            } else {
                ""
            };
            let waits = if about.is_some() && policy.is_some() {
                format!("; waiting for {name} to be available")
            } else {
                String::new()
            };
            format!("{progress}{first}{none}{waits}")
        }
    }
}

/// What an instance's condition says.
fn said(world: &World, key: &Key, kind: &str) -> String {
    let object = world.entity(key);
    let found = object.and_then(|object| object.data.pointer("/status/conditions").cloned());
    let all: Vec<Condition> = found
        .and_then(|all| serde_json::from_value(all).ok())
        .unwrap_or_default();
    conditions::find(&all, kind).map_or_else(String::new, |condition| condition.message.clone())
}

fn verdict(status: &RolloutStatus) -> Verdict {
    let reason = match status.state {
        RolloutState::Complete => {
            return Verdict::yes(conditions::ROLLED_OUT, Reason::RolloutComplete, &status.message);
        }
        RolloutState::Progressing => Reason::RolloutProgressing,
        RolloutState::Paused => Reason::RolloutPaused,
        RolloutState::Manual => Reason::RolloutManual,
        RolloutState::Stopped => Reason::RolloutStopped,
        RolloutState::HeldBack => Reason::RolloutHeldBack,
    };
    Verdict::no(conditions::ROLLED_OUT, reason, &status.message)
}
