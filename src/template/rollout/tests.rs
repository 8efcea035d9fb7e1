//! The rules of a rollout, for any instances in any state, and a whole rollout played through.

use proptest::prelude::*;

use super::*;

fn policy() -> impl Strategy<Value = Policy> {
    let limit = prop_oneof![
        Just(None),
        (0usize..8).prop_map(|count| Some(Limit::Count(count))),
        (0usize..=100).prop_map(|percent| Some(Limit::Percent(percent))),
    ];
    (any::<bool>(), any::<bool>(), limit, 0i64..20).prop_map(|(manual, paused, max_unavailable, min_ready_seconds)| {
        Policy {
            manual: manual && paused,
            paused,
            max_unavailable,
            min_ready_seconds,
        }
    })
}

prop_compose! {
    fn member()(
        canary in prop::bool::weighted(0.2),
        next in prop::option::of(0usize..3),
        ready in prop::bool::weighted(0.7),
        ready_since in 0i64..200,
        failed in prop::bool::weighted(0.1),
        moved in prop::option::of((0usize..3, any::<bool>())),
        held in prop::bool::weighted(0.1),
        stopped in prop::bool::weighted(0.1),
        granted in prop::bool::weighted(0.2),
    ) -> Member {
        let moved = moved.map(|(stage, latest)| Move { stage, latest });
        Member { canary, next, ready, ready_since, failed: failed && !ready, moved, stopped: stopped && !ready, held, granted: granted && next.is_some() }
    }
}

const NOW: i64 = 100;
/// Moved to the newest version.
const NEWEST: Option<Move> = Some(Move { stage: 0, latest: true });

proptest! {
    #[test]
    fn no_more_are_moved_than_may_be_unavailable(policy in policy(), members in prop::collection::vec(member(), 0..40)) {
        let decided = decide(Some(&policy), &members, NOW);
        let before = members.iter().filter(|member| member.is_down(&policy, NOW) || member.is_leaving()).count();
        let moved = decided.granted.iter().filter(|place| members[**place].ready && !members[**place].is_down(&policy, NOW)).count();
        if let (Some(limit), true) = (policy.max_unavailable, moved > 0) {
            prop_assert!(before + moved <= limit.of(members.len()), "{before} and {moved} of {}", limit.of(members.len()));
        }
    }

    #[test]
    fn only_those_are_moved_that_are_behind_and_have_not_been_told(policy in policy(), members in prop::collection::vec(member(), 0..40)) {
        let decided = decide(Some(&policy), &members, NOW);
        for place in &decided.granted {
            let member = members[*place];
            prop_assert!(member.next.is_some() && !member.held && !member.granted);
        }
        prop_assert!(decided.granted.is_empty() || decided.state == RolloutState::Progressing);
        prop_assert!(decided.granted.is_empty() || !(policy.paused || policy.manual));
    }

    #[test]
    fn nobody_is_moved_after_one_that_was_ready_has_failed(policy in policy(), mut members in prop::collection::vec(member(), 1..40), place in 0usize..40) {
        let place = place % members.len();
        members[place] = Member { next: None, ready: false, failed: true, moved: NEWEST, granted: false, ..members[place] };
        let decided = decide(Some(&policy), &members, NOW);
        prop_assert_eq!(decided.state, RolloutState::Stopped);
        prop_assert!(decided.granted.is_empty());
        prop_assert!(decided.about.is_some_and(|about| about <= place));
    }

    #[test]
    fn those_that_were_broken_before_never_stop_it(policy in policy(), mut members in prop::collection::vec(member(), 0..40)) {
        for member in &mut members {
            member.moved = member.moved.filter(|_| member.ready);
        }
        prop_assert_ne!(decide(Some(&policy), &members, NOW).state, RolloutState::Stopped);
    }

    #[test]
    fn canaries_come_first(policy in policy(), members in prop::collection::vec(member(), 0..40)) {
        let decided = decide(Some(&policy), &members, NOW);
        let stage = decided.stage.unwrap_or_default();
        let unproven = members.iter().any(|member| member.canary && is_unproven(member, stage, &policy, NOW));
        if unproven {
            let may = |member: &Member| member.canary || member.is_stuck(stage, &policy, NOW);
            prop_assert!(decided.granted.iter().all(|place| may(&members[*place])));
        }
    }

    #[test]
    fn more_that_are_available_never_let_fewer_move(policy in policy(), mut members in prop::collection::vec(member(), 1..40), place in 0usize..40) {
        let place = place % members.len();
        members[place] = Member { next: None, ready: false, failed: false, moved: NEWEST, granted: false, ..members[place] };
        let fewer = decide(Some(&policy), &members, NOW).granted;
        members[place] = Member { ready: true, ready_since: -1000, ..members[place] };
        let more = decide(Some(&policy), &members, NOW).granted;
        prop_assert!(fewer.iter().all(|place| more.contains(place)), "{fewer:?} {more:?}");
    }

    /// Every instance is moved, waves and canaries and all, wherever whoever decides is replaced by another one that knows nothing
    /// but what is stored, and never are more unavailable than may be. Those that are broken stay so, before and after.
    #[test]
    fn a_rollout_ends_and_keeps_its_word_through_restarts(
        limit in 1usize..6,
        canaries in 0usize..4,
        broken in prop::collection::vec(prop::bool::weighted(0.3), 1..30),
        restarts in prop::collection::vec(any::<bool>(), 200),
        order in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let policy = Policy { max_unavailable: Some(Limit::Count(limit)), ..Policy::default() };
        let mut members: Vec<Member> = broken
            .iter()
            .enumerate()
            .map(|(place, broken)| Member { canary: place < canaries, next: Some(0), ready: !broken, failed: *broken, ..Member::default() })
            .collect();
        for (restarted, which) in restarts.iter().zip(&order) {
            if *restarted {
                // A turn that was given and not used is forgotten.
                for member in &mut members {
                    member.granted = false;
                }
            }
            let decided = decide(Some(&policy), &members, NOW);
            prop_assert_ne!(decided.state, RolloutState::Stopped);
            for place in decided.granted {
                members[place].granted = true;
            }
            // One thing happens: a turn is used, or one that was moved becomes Ready.
            let busy: Vec<usize> = (0..members.len())
                .filter(|place| members[*place].granted || (members[*place].moved.is_some() && !members[*place].ready))
                .collect();
            if busy.is_empty() {
                continue;
            }
            let place = busy[which.index(busy.len())];
            let member = &mut members[place];
            if member.granted {
                *member = Member { next: None, granted: false, moved: NEWEST.filter(|_| member.ready), ready: false, ..*member };
            } else {
                member.ready = true;
            }
            let down = members.iter().filter(|member| member.moved.is_some() && !member.ready).count();
            prop_assert!(down <= limit, "{down} of {limit}");
            let others = members.iter().any(|member| !member.canary && member.next.is_none());
            prop_assert!(!others || members.iter().all(|member| !member.canary || member.next.is_none()));
        }
        // Each needs two of the steps, and a restart may cost one.
        prop_assert!(members.iter().all(|member| member.next.is_none()), "{members:?}");
    }
}

fn member_at(latest: bool, ready: bool) -> Member {
    Member {
        next: (!latest).then_some(0),
        ready,
        moved: NEWEST.filter(|_| latest),
        ..Member::default()
    }
}

#[test]
fn a_share_is_rounded_down_to_one_at_least() {
    assert_eq!(Limit::Percent(10).of(25), 2);
    assert_eq!(Limit::Percent(10).of(5), 1);
    assert_eq!(Limit::Percent(0).of(5), 0);
    assert_eq!(Limit::Percent(100).of(5), 5);
    assert_eq!(Limit::Count(3).of(2), 3);
}

#[test]
fn one_is_available_when_it_has_been_ready_long_enough() {
    let policy = Policy {
        max_unavailable: Some(Limit::Count(1)),
        min_ready_seconds: 30,
        ..Policy::default()
    };
    let members = [
        Member {
            ready_since: NOW,
            ..member_at(true, true)
        },
        member_at(false, true),
    ];
    let early = decide(Some(&policy), &members, NOW + 30);
    assert_eq!(
        (early.granted.len(), early.again, early.about),
        (0, Some(NOW + 31), Some(0))
    );
    assert_eq!(decide(Some(&policy), &members, NOW + 31).granted, [1]);
}

#[test]
fn what_is_held_back_is_told_and_not_waited_for() {
    let held = Member {
        held: true,
        ..member_at(false, true)
    };
    let decided = decide(Some(&Policy::default()), &[member_at(true, true), held], NOW);
    assert_eq!((decided.state, decided.about), (RolloutState::HeldBack, Some(1)));
    let none: Decision = decide(Some(&Policy::default()), &[], NOW);
    assert_eq!(none.state, RolloutState::Complete);
    let paused = Policy {
        paused: true,
        ..Policy::default()
    };
    assert_eq!(
        decide(Some(&paused), &[member_at(false, true)], NOW).state,
        RolloutState::Paused
    );
    assert_eq!(
        decide(None, &[member_at(false, true)], NOW).state,
        RolloutState::Progressing
    );
}

#[test]
fn one_that_cannot_be_planned_is_passed_over_and_keeps_its_turn() {
    let policy = Policy {
        max_unavailable: Some(Limit::Count(1)),
        ..Policy::default()
    };
    let stuck = Member {
        next: Some(0),
        stopped: true,
        ..Member::default()
    };
    let behind = Member {
        next: Some(1),
        ready: true,
        ..Member::default()
    };
    let decided = decide(Some(&policy), &[stuck, behind], NOW);
    assert_eq!((decided.stage, decided.granted), (Some(1), vec![1, 0]));
    assert_eq!(decided.passed_over, Some(0));
    let alone = decide(Some(&policy), &[stuck], NOW);
    assert_eq!(
        (alone.state, alone.granted, alone.about),
        (RolloutState::HeldBack, vec![0], Some(0))
    );
    let tried = decide(Some(&policy), &[Member { granted: true, ..stuck }], NOW);
    assert_eq!((tried.state, tried.granted), (RolloutState::HeldBack, vec![]));
}
