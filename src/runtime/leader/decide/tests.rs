use proptest::prelude::*;

use super::*;

const TIMES: Times = Times {
    lease_duration: Duration::from_secs(10),
    renew_deadline: Duration::from_secs(7),
    retry_period: Duration::from_secs(2),
};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn held(holder: &str, version: &str) -> Record {
    Record {
        holder: holder.to_owned(),
        promise: Some(seconds(10)),
        version: version.to_owned(),
        transitions: 0,
    }
}

#[test]
fn the_times_are_checked_against_each_other() {
    assert_eq!(TIMES.check(), Ok(()));
    let broken = [
        Times {
            lease_duration: Duration::from_millis(1500),
            ..TIMES
        },
        Times {
            lease_duration: seconds(0),
            ..TIMES
        },
        Times {
            lease_duration: seconds(7),
            ..TIMES
        },
        Times {
            retry_period: seconds(4),
            ..TIMES
        },
        Times {
            retry_period: Duration::ZERO,
            ..TIMES
        },
    ];
    for times in broken {
        assert!(times.check().is_err(), "{times:?}");
    }
}

#[test]
fn a_lease_that_nobody_holds_is_claimed_at_once() {
    let mut view = View::default();
    view.saw(None, seconds(1));
    assert_eq!(view.decide("me", &TIMES, seconds(1)), Decision::Claim);
    view.saw(Some(held("", "1")), seconds(2));
    assert_eq!(view.decide("me", &TIMES, seconds(2)), Decision::Claim);
}

#[test]
fn anothers_lease_is_claimed_when_it_has_not_changed_for_as_long_as_promised() {
    let mut view = View::default();
    view.saw(Some(held("other", "1")), seconds(100));
    assert_eq!(view.decide("me", &TIMES, seconds(105)), Decision::Wait(seconds(110)));
    view.saw(Some(held("other", "2")), seconds(106));
    assert_eq!(view.decide("me", &TIMES, seconds(110)), Decision::Wait(seconds(116)));
    view.saw(Some(held("other", "2")), seconds(115));
    assert_eq!(view.decide("me", &TIMES, seconds(116)), Decision::Claim);
}

#[test]
fn a_holder_that_could_not_renew_while_nobody_answered_comes_first() {
    let mut view = View::default();
    view.saw(Some(held("other", "1")), seconds(100));
    view.unanswered();
    view.saw(Some(held("other", "1")), seconds(200));
    assert_eq!(view.decide("me", &TIMES, seconds(200)), Decision::Wait(seconds(204)));
    assert_eq!(view.decide("me", &TIMES, seconds(204)), Decision::Claim);
}

#[test]
fn a_lease_that_was_deleted_under_its_holder_keeps_others_out_as_long() {
    let mut view = View::default();
    view.saw(Some(held("other", "1")), seconds(0));
    // It was renewed and deleted while this one did not look.
    view.saw(None, seconds(100));
    assert_eq!(view.decide("me", &TIMES, seconds(100)), Decision::Wait(seconds(110)));
    assert_eq!(view.decide("me", &TIMES, seconds(110)), Decision::Claim);
}

#[test]
fn a_leader_makes_a_deleted_lease_again_only_while_nobody_else_can_have_held_it() {
    let mut view = View::default();
    assert!(view.wrote(held("me", "1"), &TIMES, seconds(0), seconds(0)));
    view.saw(None, seconds(1));
    assert_eq!(view.decide("me", &TIMES, seconds(1)), Decision::Claim);
    assert_eq!(view.decide("me", &TIMES, seconds(7)), Decision::Wait(seconds(11)));
    // The answer comes when another may have led and its lease been deleted.
    let mut late = view.clone();
    assert!(!late.wrote(held("me", "9"), &TIMES, seconds(1), seconds(10)));
    assert_eq!(late.decide("me", &TIMES, seconds(10)), Decision::Wait(seconds(20)));
    // Or it does not come.
    view.unsettled();
    view.saw(Some(held("me", "9")), seconds(12));
    assert_eq!(view.decide("me", &TIMES, seconds(12)), Decision::Wait(seconds(22)));
    assert_eq!(view.decide("me", &TIMES, seconds(22)), Decision::Claim);
}

#[test]
fn a_leader_goes_on_where_nobody_came_between_and_has_lost_where_someone_did() {
    let mut view = View::default();
    assert!(view.wrote(held("me", "1"), &TIMES, seconds(0), seconds(0)));
    view.unanswered();
    view.saw(Some(held("me", "1")), seconds(1000));
    assert_eq!(view.decide("me", &TIMES, seconds(1000)), Decision::Renew);
    view.saw(Some(held("other", "2")), seconds(1001));
    assert_eq!(
        view.decide("me", &TIMES, seconds(1001)),
        Decision::Lost("other".to_owned())
    );
}

/// What a candidate of the model is doing.
#[derive(Clone, Debug)]
enum Doing {
    Nothing,
    /// A request is under way: it was sent at a time, and acts on the server at its next step.
    Looking,
    Looked(Option<Record>),
    Writing {
        sent: u64,
        over: Option<String>,
    },
    Written {
        sent: u64,
        answer: Option<Record>,
    },
    Gone,
}

struct Candidate {
    name: String,
    /// By how much its clock differs from the model's.
    skew: u64,
    view: View,
    doing: Doing,
    /// Until when it writes, by the model's clock.
    writes_until: u64,
}

/// A lease on a server, and candidates that are slow, stopped and woken at any moment.
#[derive(Default)]
struct Model {
    now: u64,
    versions: u64,
    lease: Option<Record>,
    candidates: Vec<Candidate>,
}

impl Model {
    fn step(&mut self, who: usize) {
        let now = self.now;
        let count = self.candidates.len();
        let candidate = &mut self.candidates[who % count];
        let local = |time: u64| Duration::from_millis(time + candidate.skew);
        let next = match std::mem::replace(&mut candidate.doing, Doing::Nothing) {
            Doing::Gone => Doing::Gone,
            Doing::Nothing => Doing::Looking,
            Doing::Looking => Doing::Looked(self.lease.clone()),
            Doing::Looked(record) => {
                candidate.view.saw(record.clone(), local(now));
                match candidate.view.decide(&candidate.name, &TIMES, local(now)) {
                    Decision::Claim | Decision::Renew => Doing::Writing {
                        sent: now,
                        over: record.map(|record| record.version),
                    },
                    Decision::Wait(_) => Doing::Nothing,
                    Decision::Lost(_) => {
                        candidate.writes_until = 0;
                        Doing::Gone
                    }
                }
            }
            Doing::Writing { sent, over } => {
                let answer = (self.lease.as_ref().map(|lease| &lease.version) == over.as_ref()).then(|| {
                    self.versions += 1;
                    Record {
                        holder: candidate.name.clone(),
                        promise: Some(TIMES.lease_duration),
                        version: self.versions.to_string(),
                        transitions: 0,
                    }
                });
                if answer.is_some() {
                    self.lease.clone_from(&answer);
                }
                Doing::Written { sent, answer }
            }
            Doing::Written { sent, answer } => {
                if let Some(record) = answer
                    && candidate.view.wrote(record, &TIMES, local(sent), local(now))
                {
                    candidate.writes_until = sent + u64::try_from(TIMES.renew_deadline.as_millis()).unwrap();
                }
                Doing::Nothing
            }
        };
        candidate.doing = next;
    }

    fn writers(&self) -> Vec<&str> {
        self.candidates
            .iter()
            .filter(|candidate| candidate.writes_until > self.now)
            .map(|candidate| candidate.name.as_str())
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// However slow answers are, whoever is stopped, whatever the clocks say, and though the lease is deleted.
    #[test]
    fn there_are_never_two_writers(
        skews in proptest::collection::vec(0_u64..10_000_000, 2..4),
        steps in proptest::collection::vec((0_usize..3, prop_oneof![9 => 0_u64..1500, 1 => 0_u64..30_000], 0_u8..60), 1..400),
    ) {
        let mut model = Model::default();
        for (number, skew) in skews.into_iter().enumerate() {
            model.candidates.push(Candidate {
                name: format!("c{number}"), skew, view: View::default(), doing: Doing::Nothing, writes_until: 0,
            });
        }
        let mut led = false;
        for (who, pause, chance) in steps {
            model.now += pause;
            model.step(who);
            let writers = model.writers();
            prop_assert!(writers.len() <= 1, "at {} ms: {writers:?}", model.now);
            led |= !writers.is_empty();
            // One that starts just after a deletion knows nothing of the one that led; this is the known limit.
            let all_know = model.candidates.iter().all(|candidate| candidate.view.record.is_some());
            if chance == 0 && all_know && led {
                model.lease = None;
            }
        }
    }
}
