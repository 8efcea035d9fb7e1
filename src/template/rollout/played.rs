//! Whole rollouts played through in stages: whatever happens, in whatever order, and whoever decides is replaced by another one that knows
//! nothing but what is stored.

use proptest::prelude::*;

use super::stages::{Part, Stages};
use super::*;
use crate::catalog::index::MovedAt;

/// One instance, as it is stored.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own.
struct Stored {
    /// Its environments that follow, and last its own version: of each the version, and when it was moved.
    parts: Vec<(Option<&'static str>, usize, MovedAt)>,
    ready: bool,
    /// Whether it never becomes Ready, whatever version it has.
    broken: bool,
    /// Whether it is not Ready because of a move.
    by_move: bool,
    granted: bool,
}

const ENVIRONMENTS: [&str; 3] = ["dev", "stage", "prod"];
const DIGESTS: [&str; 4] = ["zero", "one", "two", "three"];

/// A template and its instances.
#[derive(Debug)]
struct Played {
    order: Vec<String>,
    policy: Policy,
    latest: usize,
    /// A version that is not Ready in one environment, and which.
    bad: Option<(usize, &'static str)>,
    instances: Vec<Stored>,
    clock: i64,
}

impl Played {
    fn parts(instance: &Stored) -> Vec<Part<'static>> {
        let parts = instance.parts.iter();
        parts
            .map(|(environment, version, moved)| Part {
                environment: *environment,
                digest: DIGESTS[*version],
                moved: *moved,
            })
            .collect()
    }

    fn members(&self) -> Vec<Member> {
        let stages = Stages::of(&self.order);
        let of = |instance: &Stored| {
            let parts = Self::parts(instance);
            Member {
                next: stages.next(&parts, DIGESTS[self.latest]),
                ready: instance.ready,
                moved: stages.last(&parts, DIGESTS[self.latest], 0),
                granted: instance.granted,
                ..Member::default()
            }
        };
        self.instances.iter().map(of).collect()
    }

    /// Gives turns, as many as may be.
    fn decide(&mut self) {
        let decided = decide(Some(&self.policy), &self.members(), 0);
        for place in decided.granted {
            self.instances[place].granted = true;
        }
    }

    fn is_well(&self, instance: &Stored) -> bool {
        let bad = |part: &(Option<&'static str>, usize, MovedAt)| {
            self.bad
                .is_some_and(|(version, environment)| (part.0, part.1) == (Some(environment), version))
        };
        !instance.broken && !instance.parts.iter().any(bad)
    }

    /// Uses the turn of an instance. Gives the stage in which it is moved.
    fn move_one(&mut self, place: usize) -> usize {
        self.clock += 1;
        let (clock, latest) = (self.clock, self.latest);
        let order = self.order.clone();
        let stages = Stages::of(&order);
        let before = Self::parts(&self.instances[place]);
        let stage = stages.next(&before, DIGESTS[latest]).unwrap();
        let again = stages
            .last(&before, DIGESTS[latest], 0)
            .is_some_and(|last| last.stage == stage);
        let instance = &mut self.instances[place];
        let moved = MovedAt {
            at: clock,
            was_ready: instance.ready || again,
        };
        for part in &mut instance.parts {
            if stages.place(part.0) == stage {
                *part = (part.0, latest, moved);
            }
        }
        instance.by_move |= instance.ready;
        instance.ready = false;
        instance.granted = false;
        stage
    }

    fn down(&self) -> usize {
        self.instances
            .iter()
            .filter(|instance| instance.by_move && !instance.ready)
            .count()
    }

    fn becomes_ready(&mut self, place: usize) {
        if self.is_well(&self.instances[place]) {
            let instance = &mut self.instances[place];
            instance.ready = true;
            instance.by_move = false;
        }
    }

    /// The instances at which something can happen.
    fn busy(&self) -> Vec<usize> {
        let happens = |place: &usize| {
            let instance = &self.instances[*place];
            instance.granted || (!instance.ready && self.is_well(instance))
        };
        (0..self.instances.len()).filter(happens).collect()
    }

    fn is_done(&self) -> bool {
        self.instances
            .iter()
            .flat_map(|instance| &instance.parts)
            .all(|part| part.1 == self.latest)
    }
}

prop_compose! {
    fn instance()(has in prop::array::uniform3(any::<bool>()), broken in prop::bool::weighted(0.2)) -> Stored {
        let environments = ENVIRONMENTS.into_iter().zip(has).filter(|(_, has)| *has);
        let parts = environments.map(|(name, _)| (Some(name), 0, MovedAt::default())).chain([(None, 0, MovedAt::default())]);
        Stored { parts: parts.collect(), ready: !broken, broken, by_move: false, granted: false }
    }
}

prop_compose! {
    fn played(most: usize)(
        named in prop::sample::subsequence(ENVIRONMENTS.to_vec(), 0..=3).prop_shuffle(),
        limit in 1usize..4,
        instances in prop::collection::vec(instance(), 1..most),
    ) -> Played {
        Played {
            order: named.into_iter().map(str::to_owned).collect(),
            policy: Policy { max_unavailable: Some(Limit::Count(limit)), ..Policy::default() },
            latest: 1,
            bad: None,
            instances,
            clock: 0,
        }
    }
}

/// What happens next, out of what can.
#[derive(Clone, Debug)]
struct Event {
    restarted: bool,
    flaps: bool,
    which: prop::sample::Index,
}

prop_compose! {
    fn event()(restarted in prop::bool::weighted(0.2), flaps in prop::bool::weighted(0.1), which in any::<prop::sample::Index>()) -> Event {
        Event { restarted, flaps, which }
    }
}

proptest! {
    /// No environment gets a version before the earlier one has it in every instance that may have it and all that were Ready are again; never
    /// are more unavailable by it than may be; and it ends.
    #[test]
    fn environments_are_moved_one_after_the_other(mut played in played(12), events in prop::collection::vec(event(), 400)) {
        let limit = played.policy.max_unavailable.unwrap().of(played.instances.len());
        for event in events {
            if event.restarted {
                played.instances.iter_mut().for_each(|instance| instance.granted = false);
            }
            played.decide();
            let busy = played.busy();
            if busy.is_empty() {
                continue;
            }
            let place = busy[event.which.index(busy.len())];
            if played.instances[place].granted {
                let before = played.members();
                let stage = played.move_one(place);
                prop_assert!(before.iter().all(|member| member.next.is_none_or(|next| next >= stage)), "{stage}: {before:?}");
                let earlier = |member: &&Member| member.moved.is_some_and(|moved| moved.stage < stage) && !member.ready;
                prop_assert_eq!(before.iter().filter(earlier).count(), 0, "{}: {:?}", stage, before);
            } else {
                played.becomes_ready(place);
            }
            prop_assert!(played.down() <= limit, "{} of {limit}", played.down());
        }
        prop_assert!(played.is_done(), "{played:?}");
    }

    /// A version that breaks an environment, and whatever follows it: the one before again, or the next. Instances that fail by themselves
    /// meanwhile and come back are waited for.
    #[test]
    fn what_a_bad_version_has_broken_is_put_right_by_the_next_and_never_are_too_many_down(
        mut played in played(8),
        bad in prop::sample::select(ENVIRONMENTS.to_vec()),
        next in prop::sample::select(vec![0usize, 2]),
        then in 0usize..60,
        events in prop::collection::vec(event(), 600),
    ) {
        let limit = played.policy.max_unavailable.unwrap().of(played.instances.len());
        played.bad = Some((1, bad));
        for (step, event) in events.into_iter().enumerate() {
            if step == then {
                played.latest = next;
                // A turn is for one version.
                played.instances.iter_mut().for_each(|instance| instance.granted = false);
            }
            if event.restarted {
                played.instances.iter_mut().for_each(|instance| instance.granted = false);
            }
            if event.flaps && step < 300 {
                let place = event.which.index(played.instances.len());
                played.instances[place].ready = false;
            }
            played.decide();
            let busy = played.busy();
            if busy.is_empty() {
                continue;
            }
            let place = busy[event.which.index(busy.len())];
            if played.instances[place].granted {
                played.move_one(place);
            } else {
                played.becomes_ready(place);
            }
            prop_assert!(played.down() <= limit, "{} of {limit}", played.down());
        }
        prop_assert!(played.is_done(), "{played:?}");
    }
}
