//! How often each object was put right, so that a fight with another program over it becomes slow and is told.
//!
//! The first few repairs of an object are made at once. Whoever undoes them again and again is not a person who erred but
//! a program that wants something else: from then on each repair waits longer than the one before it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::instance::inventory::Identity;
use super::wakes::Key;
use crate::runtime::backoff::jittered;

/// How many repairs of one object are made at once, one after another.
const FREE: f64 = 10.0;
/// After this long, one repair more is free again.
const REGAINED: Duration = Duration::from_mins(1);
/// The wait before the second repair that is not free; each further one waits twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(5);
/// A fight is over when nothing was undone for this long, and for three times as long as it ever took to be undone.
const CALM: Duration = Duration::from_secs(10);

/// One object of one instance.
type Place = (Key, Identity);

/// What is known of one object's repairs.
#[derive(Clone, Debug)]
struct Record {
    /// Repairs that are not regained yet, as of `counted`.
    spent: f64,
    counted: Instant,
    /// When it was put right, if nobody has undone it since.
    standing: Option<Instant>,
    /// The longest that a repair has stood in this fight.
    stood: Duration,
    /// How many repairs of the fight were made; none while there is no fight.
    rounds: u32,
    /// When the next repair may be made.
    next: Instant,
    /// Who undoes what, in words.
    told: String,
    /// Whether it was ever not there, or not seen, in this fight.
    unseen: bool,
    /// What the instance asked for when it was last put right.
    asked: String,
}

/// What is to be done about an object that is not as planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is put right now.
    Repair,
    /// It is put right now, and who undid it is to be found out and told.
    RepairAndTell,
    /// It was put right too often: not before this time has passed.
    Wait(Fight),
}

/// A fight over an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fight {
    /// Who undoes what, in words.
    pub told: String,
    /// When it is to be looked at again: for the next repair, or to see whether the fight is over.
    pub again: Duration,
    /// Whether it was ever not there, or not seen, in this fight, so that it cannot be called as planned until it is over.
    pub unseen: bool,
}

/// The repairs of every object.
#[derive(Default)]
pub struct Repairs {
    known: Mutex<HashMap<Place, Record>>,
}

impl Repairs {
    /// Asks whether an object that is not as planned, and that is `seen` or not, may be put right now. What comes of it is told
    /// by [`Self::made`]. Once the instance asks for something else (`asked`), nothing is waited for.
    pub fn ask(&self, instance: &Key, object: &Identity, seen: bool, asked: &str) -> Turn {
        self.ask_at(instance, object, seen, asked, Instant::now())
    }

    fn ask_at(&self, instance: &Key, object: &Identity, seen: bool, asked: &str, now: Instant) -> Turn {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (instance.clone(), object.clone());
        let record = known.entry(place).or_insert_with(|| Record::new(now));
        record.seen_undone(now);
        record.unseen |= !seen;
        if now < record.next && record.asked == asked {
            return Turn::Wait(Fight {
                told: record.told.clone(),
                again: record.next - now,
                unseen: record.unseen,
            });
        }
        asked.clone_into(&mut record.asked);
        if record.rounds == 0 && record.spent_by(now) + 1.0 <= FREE {
            Turn::Repair
        } else {
            Turn::RepairAndTell
        }
    }

    /// Counts a repair that was made. One that the apiserver did not let through has undone nothing.
    pub fn made(&self, instance: &Key, object: &Identity) {
        self.made_at(instance, object, Instant::now());
    }

    fn made_at(&self, instance: &Key, object: &Identity, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (instance.clone(), object.clone());
        let record = known.entry(place).or_insert_with(|| Record::new(now));
        record.spend(now);
        if record.rounds == 0 && record.spent <= FREE {
            return;
        }
        let wait = FIRST.saturating_mul(1 << record.rounds.min(16)).min(LONGEST);
        record.rounds = record.rounds.saturating_add(1);
        record.next = now + jittered(wait);
    }

    /// Remembers who undoes what.
    pub fn tell(&self, instance: &Key, object: &Identity, told: String) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = known.get_mut(&(instance.clone(), object.clone())) {
            record.told = told;
        }
    }

    /// The fight over an object that is as planned for now; none where there is none, or where it is over.
    pub fn fight(&self, instance: &Key, object: &Identity) -> Option<Fight> {
        self.fight_at(instance, object, Instant::now())
    }

    fn fight_at(&self, instance: &Key, object: &Identity, now: Instant) -> Option<Fight> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (instance.clone(), object.clone());
        let record = known.get_mut(&place).filter(|record| record.rounds > 0)?;
        // Whoever changed it may have put it right as well.
        let since = *record.standing.get_or_insert(now);
        let over = since + CALM.max(record.stood.saturating_mul(3));
        if now >= over {
            known.remove(&place);
            return None;
        }
        Some(Fight {
            told: record.told.clone(),
            again: over - now,
            unseen: record.unseen,
        })
    }

    /// Forgets an instance that is gone.
    pub fn forget(&self, instance: &Key) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(key, _), _| key != instance);
    }
}

impl Record {
    fn new(now: Instant) -> Self {
        Self {
            spent: 0.0,
            counted: now,
            standing: None,
            stood: Duration::ZERO,
            rounds: 0,
            next: now,
            told: String::new(),
            unseen: false,
            asked: String::new(),
        }
    }

    fn seen_undone(&mut self, now: Instant) {
        if let Some(since) = self.standing.take() {
            self.stood = self.stood.max(now.saturating_duration_since(since));
        }
    }

    /// The repairs that are not regained by `now`.
    fn spent_by(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.counted);
        (self.spent - passed.as_secs_f64() / REGAINED.as_secs_f64()).max(0.0)
    }

    fn spend(&mut self, now: Instant) {
        self.spent = self.spent_by(now) + 1.0;
        self.counted = now;
        self.standing = Some(now);
        if self.rounds == 0 && self.spent <= FREE {
            // How long repairs stood counts from the beginning of the fight.
            self.stood = Duration::ZERO;
            self.unseen = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::instance::InventoryEntry;
    use crate::controllers::wakes::OwnKind;
    use proptest::prelude::*;

    fn place() -> Place {
        let key = Key {
            kind: OwnKind::Component,
            namespace: "shop".to_owned(),
            name: "orders".to_owned(),
        };
        (key, Identity::of(&InventoryEntry::default()))
    }

    /// Another program that undoes every repair after `undone`, until `limit` has passed. Gives when repairs were made.
    fn fought(repairs: &Repairs, start: Instant, undone: Duration, limit: Duration) -> Vec<Duration> {
        let (key, object) = place();
        let (mut now, mut made) = (start, Vec::new());
        while now < start + limit {
            match repairs.ask_at(&key, &object, true, "", now) {
                Turn::Wait(fight) => now += fight.again,
                Turn::Repair | Turn::RepairAndTell => {
                    repairs.made_at(&key, &object, now);
                    made.push(now - start);
                    now += undone;
                }
            }
        }
        made
    }

    #[test]
    fn a_fast_fight_becomes_slow_and_ends_when_the_other_stops() {
        let (repairs, start) = (Repairs::default(), Instant::now());
        let made = fought(&repairs, start, Duration::from_millis(10), Duration::from_hours(1));
        assert!((20..=35).contains(&made.len()), "{} repairs in an hour", made.len());
        let waits: Vec<Duration> = made.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        assert!(waits.iter().all(|wait| *wait <= LONGEST.mul_f64(1.3)), "{waits:?}");
        let (key, object) = place();
        let end = start + *made.last().unwrap();
        assert!(repairs.fight_at(&key, &object, end + CALM / 2).is_some());
        assert_eq!(repairs.fight_at(&key, &object, end + CALM * 2), None);
        assert_eq!(repairs.ask_at(&key, &object, true, "", end + CALM * 2), Turn::Repair);
    }

    #[test]
    fn what_was_not_there_is_not_called_well_until_the_fight_is_over_and_who_asks_waits_for_nothing() {
        let (repairs, start) = (Repairs::default(), Instant::now());
        fought(&repairs, start, Duration::from_millis(10), Duration::from_secs(20));
        let (key, object) = place();
        let now = start + Duration::from_secs(20);
        let Turn::Wait(fight) = repairs.ask_at(&key, &object, false, "", now) else {
            panic!("it is fought over");
        };
        assert!(fight.unseen);
        assert_eq!(repairs.ask_at(&key, &object, true, "now", now), Turn::RepairAndTell);
        repairs.made_at(&key, &object, now);
        assert!(repairs.fight_at(&key, &object, now).is_some_and(|fight| fight.unseen));
        assert!(matches!(repairs.ask_at(&key, &object, true, "now", now), Turn::Wait(_)));
    }

    #[test]
    fn a_repair_that_is_refused_again_and_again_is_no_fight() {
        let (repairs, now) = (Repairs::default(), Instant::now());
        let (key, object) = place();
        for _ in 0..100 {
            assert_eq!(repairs.ask_at(&key, &object, false, "", now), Turn::Repair);
        }
    }

    #[test]
    fn what_is_undone_now_and_then_is_put_right_at_once_for_ever() {
        let (repairs, start) = (Repairs::default(), Instant::now());
        let (limit, undone) = (Duration::from_hours(5), Duration::from_mins(2));
        assert_eq!(fought(&repairs, start, undone, limit).len(), 150);
    }

    #[test]
    fn a_person_who_errs_ten_times_in_a_row_waits_for_nothing() {
        let (repairs, start) = (Repairs::default(), Instant::now());
        let made = fought(&repairs, start, Duration::from_secs(1), Duration::from_secs(10));
        assert_eq!(made.len(), 10);
        let (key, object) = place();
        assert_eq!(repairs.fight_at(&key, &object, start + Duration::from_secs(10)), None);
    }

    proptest! {
        #[test]
        fn whatever_the_other_does_there_are_few_repairs_a_minute(undone in 0_u64..100_000) {
            let (repairs, start) = (Repairs::default(), Instant::now());
            let made = fought(&repairs, start, Duration::from_millis(undone), Duration::from_mins(30));
            prop_assert!(made.len() <= 60, "{} in half an hour, where repairs stand {undone} ms", made.len());
            let first = made.iter().filter(|at| at.as_secs() < 60).count();
            prop_assert!(first <= 18, "{first} in the first minute, where repairs stand {undone} ms");
        }
    }
}
