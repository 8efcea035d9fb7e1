//! Ways that lead along a hierarchy back to where they began.

use std::collections::{HashMap, VecDeque};

use super::places::{PlaceId, Places};
use super::told::Changes;
use crate::catalog::relations::Role;

/// The hierarchies.
const UPWARDS: [Role; 2] = [Role::PartOf, Role::ChildOf];

/// The places straight above, of which there is an entity.
fn above<K: Eq>(places: &Places<K>, place: PlaceId, upwards: Role) -> impl Iterator<Item = PlaceId> {
    let ends = places.ends(place, upwards);
    ends.filter(|other| places.holder(*other).is_some())
}

/// All that is above `place`, each with those straight below it that lead there; none where nothing leads back.
fn climb<K: Eq>(places: &Places<K>, place: PlaceId, upwards: Role) -> Option<HashMap<PlaceId, Vec<PlaceId>>> {
    // Without both a way up and a way down there is none back, and most have not.
    if places.ends(place, upwards).next().is_none() || places.ends(place, upwards.inverse()).next().is_none() {
        return None;
    }
    let mut below: HashMap<PlaceId, Vec<PlaceId>> = HashMap::new();
    let mut open = vec![place];
    while let Some(at) = open.pop() {
        for next in above(places, at, upwards) {
            let known = below.entry(next).or_default();
            if known.is_empty() && next != place {
                open.push(next);
            }
            known.push(at);
        }
    }
    below.contains_key(&place).then_some(below)
}

/// Adds the entities that stand in a cycle together with the one of `place`.
pub fn members<K: Eq>(places: &Places<K>, place: PlaceId, changes: &mut Changes<K>) {
    if places.holder(place).is_none() {
        return;
    }
    for upwards in UPWARDS {
        let Some(mut below) = climb(places, place, upwards) else {
            continue;
        };
        let mut open = vec![place];
        while let Some(at) = open.pop() {
            // Taken out, so that each is gone through once.
            open.extend(below.remove(&at).unwrap_or_default());
            changes.named.extend(places.holder_key(at));
        }
    }
}

/// The shortest way from `place` upwards to itself, both ends included; of several, the first by their refs.
pub fn shortest<K: Eq>(places: &Places<K>, place: PlaceId, upwards: Role) -> Option<Vec<PlaceId>> {
    climb(places, place, upwards)?;
    let mut from: HashMap<PlaceId, PlaceId> = HashMap::new();
    let mut open = VecDeque::from([place]);
    while let Some(at) = open.pop_front() {
        let mut next: Vec<PlaceId> = above(places, at, upwards).collect();
        next.sort_unstable_by_key(|place| places.parts(*place));
        for next in next {
            if next == place {
                return Some(back(place, at, &from));
            }
            from.entry(next).or_insert_with(|| {
                open.push_back(next);
                at
            });
        }
    }
    None
}

fn back(place: PlaceId, last: PlaceId, from: &HashMap<PlaceId, PlaceId>) -> Vec<PlaceId> {
    let mut way = vec![place, last];
    let mut at = last;
    while at != place {
        let Some(before) = from.get(&at) else { break };
        at = *before;
        way.push(at);
    }
    way.reverse();
    way
}
