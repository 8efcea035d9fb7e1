//! The way from a ref to its place, and to those that are written like it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::places::{PlaceId, Places, Scope};
use crate::catalog::refs::EntityRef;

/// How many are suggested at most.
const SUGGESTED: usize = 3;
/// How many names that nobody has are compared with one that came: where a catalog misses more of one kind in one namespace, the
/// suggestions for the others are made anew when they are next looked at.
const COMPARED: usize = 256;

/// The names of one kind in one namespace.
struct Named {
    scope: Arc<Scope>,
    /// Each with the characters that are in it, one bit each.
    places: HashMap<Arc<str>, (PlaceId, u64)>,
    /// The names that entities name and none has.
    missing: BTreeSet<Arc<str>>,
}

/// Every ref that has a place: by kind, then namespace, then name.
#[derive(Default)]
pub struct Names {
    kinds: BTreeMap<Box<str>, BTreeMap<Box<str>, Named>>,
}

impl Names {
    /// The place of a ref, if it has one.
    pub fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<PlaceId> {
        let (place, _) = self.kinds.get(kind)?.get(namespace)?.places.get(name)?;
        Some(*place)
    }

    /// The place of a ref, made if it has none.
    pub fn intern<K: Eq>(&mut self, places: &mut Places<K>, reference: &EntityRef) -> PlaceId {
        let EntityRef { kind, namespace, name } = reference;
        if let Some(place) = self.find(kind, namespace, name) {
            return place;
        }
        let namespaces = self.kinds.entry(kind.as_str().into()).or_default();
        let named = namespaces.entry(namespace.as_str().into()).or_insert_with(|| Named {
            scope: Arc::new(Scope {
                kind: kind.as_str().into(),
                namespace: namespace.as_str().into(),
            }),
            places: HashMap::new(),
            missing: BTreeSet::new(),
        });
        let name: Arc<str> = name.as_str().into();
        let place = places.make(named.scope.clone(), name.clone());
        named.places.insert(name.clone(), (place, letters(&name)));
        named.missing.insert(name);
        place
    }

    /// Says anew whether there is an entity with the ref of a place.
    pub fn turned<K: Eq>(&mut self, places: &Places<K>, place: PlaceId) {
        let Some(parts) = places.parts(place) else { return };
        let named = self
            .kinds
            .get_mut(parts.kind)
            .and_then(|kind| kind.get_mut(parts.namespace));
        let Some(named) = named else { return };
        if places.holder(place).is_some() {
            named.missing.remove(parts.name);
        } else if let Some((name, _)) = named.places.get_key_value(parts.name) {
            named.missing.insert(name.clone());
        }
    }

    /// Forgets a place at which nothing is any more.
    pub fn sweep<K: Eq>(&mut self, places: &mut Places<K>, place: PlaceId) {
        let Some((scope, name)) = places.drop_empty(place) else {
            return;
        };
        let Some(namespaces) = self.kinds.get_mut(&scope.kind) else {
            return;
        };
        let Some(named) = namespaces.get_mut(&scope.namespace) else {
            return;
        };
        named.places.remove(&name);
        named.missing.remove(&name);
        if named.places.is_empty() {
            namespaces.remove(&scope.namespace);
            if namespaces.is_empty() {
                self.kinds.remove(&scope.kind);
            }
        }
    }

    /// The existing places whose refs are near one that does not exist, the nearest first.
    pub fn near(&self, missing: &EntityRef, kinds: &[&str], exists: impl Fn(PlaceId) -> bool) -> Vec<PlaceId> {
        let EntityRef { kind, namespace, name } = missing;
        let mut found: Vec<(usize, &str, &str, PlaceId)> = Vec::new();
        for (other, named) in self.kinds.get(kind.as_str()).into_iter().flatten() {
            if **other == **namespace {
                continue;
            }
            if let Some((place, _)) = named.places.get(name.as_str()).filter(|(place, _)| exists(*place)) {
                found.push((0, other, name, *place));
            }
        }
        if let Some(named) = self
            .kinds
            .get(kind.as_str())
            .and_then(|kind| kind.get(namespace.as_str()))
        {
            let (allowed, own) = (tolerance(name), letters(name));
            for (other, (place, letters)) in &named.places {
                if (own ^ letters).count_ones() as usize > 2 * allowed || !exists(*place) {
                    continue;
                }
                if let Some(distance) = distance(name, other, allowed).filter(|distance| *distance > 0) {
                    found.push((distance, namespace, other, *place));
                }
            }
        }
        for (other, namespaces) in &self.kinds {
            if **other == **kind || !(kinds.is_empty() || kinds.contains(&&**other)) {
                continue;
            }
            let place = namespaces
                .get(namespace.as_str())
                .and_then(|named| named.places.get(name.as_str()));
            if let Some((place, _)) = place.filter(|(place, _)| exists(*place)) {
                found.push((1, other, name, *place));
            }
        }
        found.sort_unstable();
        found.truncate(SUGGESTED);
        found.into_iter().map(|(.., place)| place).collect()
    }

    /// The places without an entity to which the one of `place` is near: the other direction of [`Self::near`].
    pub fn missing_near<K: Eq>(
        &self,
        places: &Places<K>,
        place: PlaceId,
        missing: impl Fn(PlaceId) -> bool,
    ) -> Vec<PlaceId> {
        let Some(parts) = places.parts(place) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (kind, namespaces) in &self.kinds {
            let same_kind = **kind == *parts.kind;
            if same_kind {
                let others = namespaces
                    .iter()
                    .filter(|(namespace, _)| ***namespace != *parts.namespace);
                found.extend(
                    others
                        .filter_map(|(_, named)| named.places.get(parts.name))
                        .map(|(place, _)| *place),
                );
            }
            let Some(named) = namespaces.get(parts.namespace) else {
                continue;
            };
            if !same_kind {
                found.extend(named.places.get(parts.name).map(|(place, _)| *place));
                continue;
            }
            let like = named
                .missing
                .iter()
                .take(COMPARED)
                .filter(|name| ***name != *parts.name && distance(name, parts.name, tolerance(name)).is_some());
            found.extend(like.filter_map(|name| named.places.get(name)).map(|(place, _)| *place));
        }
        found.retain(|place| missing(*place));
        found
    }
}

/// How many letters of a name may be wrong for another to be near.
fn tolerance(name: &str) -> usize {
    (name.len() / 3).min(2)
}

/// The characters that are in a name, one bit each; several share one beyond letters and digits.
fn letters(name: &str) -> u64 {
    name.bytes().fold(0, |set, byte| set | 1 << (byte & 63))
}

/// How many letters have to be put in, taken out or changed to make one name the other, if they are at most `allowed`.
pub fn distance(left: &str, right: &str, allowed: usize) -> Option<usize> {
    if left.len().abs_diff(right.len()) > allowed {
        return None;
    }
    // What both begin and end with takes no part in it.
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let same = left.iter().zip(right).take_while(|(one, other)| one == other).count();
    let (left, right) = (left.get(same..)?, right.get(same..)?);
    let pairs = left.iter().rev().zip(right.iter().rev());
    let same = pairs.take_while(|(one, other)| one == other).count();
    let (left, right) = (left.get(..left.len() - same)?, right.get(..right.len() - same)?);
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, letter) in left.iter().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        let mut least = before;
        for (cell, other) in row.iter_mut().skip(1).zip(right) {
            let step = (diagonal + usize::from(letter != other)).min(before + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, step);
            before = step;
            least = least.min(step);
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
        if least > allowed {
            return None;
        }
    }
    row.last().copied().filter(|distance| *distance <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_counted_in_letters() {
        assert_eq!(distance("checkout", "checkout", 2), Some(0));
        assert_eq!(distance("chekout", "checkout", 2), Some(1));
        assert_eq!(distance("checkuot", "checkout", 2), Some(2));
        assert_eq!(distance("checkout", "orders", 2), None);
        assert_eq!(distance("", "ab", 2), Some(2));
        assert_eq!(distance("kitten", "sitting", 3), Some(3));
    }

    proptest::proptest! {
        #[test]
        fn the_filter_lets_every_near_name_through(left in "[a-e0-2_.-]{1,9}", right in "[a-e0-2_.-]{1,9}", allowed in 0_usize..3) {
            if distance(&left, &right, allowed).is_some() {
                proptest::prop_assert!((letters(&left) ^ letters(&right)).count_ones() as usize <= 2 * allowed);
            }
            proptest::prop_assert_eq!(distance(&left, &right, allowed), distance(&right, &left, allowed));
        }
    }
}
