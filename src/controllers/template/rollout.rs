//! A Template's rollout: looks at its instances, lets the pure decision say who may be moved, gives them their turns, and tells.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::telling::Told;
use crate::api::conditions::{self, Verdict, bounded};
use crate::api::reasons::Reason;
use crate::api::rollout::{EnvironmentRollout, Rollout, RolloutState, RolloutStatus};
use crate::api::template::{LabelSelector, RevisionInForce};
use crate::catalog::index::InRollout;
use crate::catalog::relations::Role;
use crate::controllers::catalog::{moment, to_the_microsecond};
use crate::controllers::namespaces::matches;
use crate::controllers::surroundings::Surroundings as _;
use crate::controllers::turns::At;
use crate::controllers::wakes::Key;
use crate::controllers::world::World;
use crate::template::rollout::stages::{Part, Stages};
use crate::template::rollout::{Member, Policy, decide};

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
    /// The digest of its own version.
    digest: String,
    stands: InRollout,
    /// The stage in which it is to be moved next.
    next: Option<usize>,
}

impl Follower {
    /// Its parts, each with the content that it runs.
    fn parts(&self) -> Vec<Part<'_>> {
        let own = Part {
            environment: None,
            digest: &self.digest,
            moved: self.stands.moved,
        };
        let environments = self.stands.environments.iter().map(|environment| Part {
            environment: Some(&environment.name),
            digest: environment.revision.as_deref().unwrap_or(&self.digest),
            moved: environment.moved,
        });
        std::iter::once(own).chain(environments).collect()
    }

    /// Where that is which is to be moved next.
    fn at<'a>(&'a self, stages: Stages<'a>, stage: usize) -> At<'a> {
        let environment = stages.environment(stage);
        let part = self.parts().into_iter().find(|part| part.environment == environment);
        At {
            environment,
            digest: part.map_or("", |part| part.digest),
            ready: self.stands.up,
        }
    }

    fn is_behind(&self) -> bool {
        self.next.is_some() && !self.stands.held
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
    let stages = Stages::of(rollout.map_or(&[], |rollout| &rollout.environments));
    let followers = followers(world, key, stages, latest);
    let canaries = rollout.and_then(|rollout| rollout.canary_selector.as_ref());
    let canaries = canaries.map(|selector| selected(world, &followers, selector));
    let stage = followers
        .iter()
        .filter(|follower| follower.is_behind() && !follower.stands.stopped)
        .filter_map(|follower| follower.next)
        .min();
    // One that has found that it cannot take the version has used its turn, too, and so has one whose stage has not come.
    let at: HashMap<Key, At<'_>> = followers
        .iter()
        .filter(|follower| follower.is_behind() && (follower.next == stage || !follower.stands.up))
        .filter_map(|follower| Some((follower.key.clone(), follower.at(stages, follower.next?))))
        .collect();
    let mut decision = None;
    let granted = world.turns.renew(key, &latest.digest, &at, |has_turn| {
        let members: Vec<Member> = followers
            .iter()
            .enumerate()
            .map(|(place, follower)| Member {
                canary: canaries.as_ref().is_some_and(|canaries| canaries.contains(&place)),
                next: follower.next,
                ready: follower.stands.up,
                ready_since: follower.stands.up_since,
                failed: follower.stands.failed,
                moved: stages.last(&follower.parts(), &latest.digest, completed),
                stopped: follower.stands.stopped,
                held: follower.stands.held,
                granted: has_turn(&follower.key),
            })
            .collect();
        let decided = decide(policy.as_ref(), &members, now.as_second());
        let may_go_on = matches!(decided.state, RolloutState::Progressing | RolloutState::HeldBack)
            && policy.is_some()
            && !decided.waits;
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
        updated: count(&followers, |follower| follower.next.is_none()),
        environment: decision
            .stage
            .and_then(|stage| stages.environment(stage))
            .map(str::to_owned),
        environments: environments(&followers, rollout, latest),
        held: count(&followers, |follower| {
            follower.next.is_some() && (follower.stands.held || follower.stands.stopped)
        }),
        unavailable: whole(decision.unavailable),
        message: String::new(),
        completed_at,
    };
    let told = Told {
        world,
        decision: &decision,
        stages,
        about: decision
            .about
            .and_then(|place| followers.get(place))
            .map(|follower| &follower.key),
        passed_over: decision
            .passed_over
            .and_then(|place| followers.get(place))
            .map(|follower| &follower.key),
        policy: policy.as_ref(),
    };
    status.message = bounded(&told.message(&status), conditions::MESSAGE_LIMIT);
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

fn count(followers: &[Follower], holds: impl Fn(&&Follower) -> bool) -> i64 {
    whole(followers.iter().filter(holds).count())
}

/// How far the newest version has come in each environment that the rollout names.
fn environments(
    followers: &[Follower],
    rollout: Option<&Rollout>,
    latest: &RevisionInForce,
) -> Vec<EnvironmentRollout> {
    let mut found: HashMap<&str, (i64, i64)> = HashMap::new();
    for follower in followers {
        for environment in &follower.stands.environments {
            let (following, updated) = found.entry(&environment.name).or_default();
            let revision = environment.revision.as_deref().unwrap_or(&follower.digest);
            *following += 1;
            *updated += i64::from(revision == latest.digest);
        }
    }
    // One that is listed twice has the first of its places.
    let mut told = HashSet::new();
    let named = rollout.into_iter().flat_map(|rollout| &rollout.environments);
    named
        .filter(|name| told.insert(name.as_str()))
        .map(|name| {
            let (following, updated) = found.get(name.as_str()).copied().unwrap_or_default();
            EnvironmentRollout {
                name: name.clone(),
                following,
                updated,
            }
        })
        .collect()
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Whether nothing is left to do but what a person has to agree to.
fn is_over(status: &RolloutStatus) -> bool {
    matches!(status.state, RolloutState::Complete | RolloutState::HeldBack)
}

/// The instances that follow the newest version, in the order of their names.
fn followers(world: &World, key: &Key, stages: Stages<'_>, latest: &RevisionInForce) -> Vec<Follower> {
    let index = world.catalog.index();
    let following = index.related(key, Role::TemplateOf).filter_map(|instance| {
        let stands = &instance.aspects.rollout;
        let digest = instance.aspects.revision.as_deref()?;
        stands.follows.then(|| Follower {
            key: instance.key.clone(),
            digest: digest.to_owned(),
            stands: stands.clone(),
            next: None,
        })
    });
    let mut followers: Vec<Follower> = following.collect();
    followers.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    for follower in &mut followers {
        follower.next = stages.next(&follower.parts(), &latest.digest);
    }
    followers
}

/// The places of those that a selector matches.
fn selected(world: &World, followers: &[Follower], selector: &LabelSelector) -> HashSet<usize> {
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
