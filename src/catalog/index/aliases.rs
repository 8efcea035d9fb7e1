//! Refs that entities had before: what means such a ref, as long as no entity has it, means the first that had it: one of the same
//! namespace before others, so that nobody elsewhere takes it away, and of these the oldest.

use std::hash::Hash;
use std::sync::Arc;

use super::places::{PlaceId, RefParts};
use super::told::{AliasState, Changes};
use super::{Index, cycles};
use crate::catalog::refs::EntityRef;

impl<K: Eq + Hash + Ord, P> Index<K, P> {
    /// The refs that an entity had before, and how each stands. Nothing of one whose ref another holds.
    pub fn aliases<'i>(&'i self, key: &'i K) -> impl Iterator<Item = (RefParts<'i>, AliasState<'i>)> {
        let entity = self.held(key).and_then(|_| self.entities.get(key));
        let aliases = entity.into_iter().flat_map(|entity| entity.aliases.iter());
        aliases.filter_map(move |alias| Some((self.places.parts(*alias)?, self.state(*alias, key)?)))
    }

    fn state(&self, alias: PlaceId, key: &K) -> Option<AliasState<'_>> {
        if self.places.is_held(alias) {
            return Some(AliasState::Held);
        }
        match self.places.heirs(alias).next() {
            Some(heir) if **heir != *key => {
                let own = self.entities.get(heir)?.place;
                Some(AliasState::Second(self.places.parts(own)?))
            }
            _ => Some(AliasState::Means),
        }
    }

    /// Takes in which refs the entity of `key` had before, in the place of what was known of that.
    pub(super) fn rename(&mut self, key: &K, reference: &EntityRef, aliases: Vec<EntityRef>, changes: &mut Changes<K>) {
        let aliases = self.intern_aliases(aliases, reference);
        let Some(entity) = self.entities.get_mut(key) else {
            return self.release_aliases(&aliases);
        };
        let (key, place) = (entity.key.clone(), entity.place);
        let before = std::mem::replace(&mut entity.aliases, aliases.clone());
        if before != aliases && self.places.claims(place).first() == Some(&key) {
            let gone: Vec<PlaceId> = before
                .iter()
                .filter(|alias| !aliases.contains(alias))
                .copied()
                .collect();
            let come: Vec<PlaceId> = aliases
                .iter()
                .filter(|alias| !before.contains(alias))
                .copied()
                .collect();
            self.disinherit(&key, &gone, changes);
            self.inherit(&key, &come, changes);
        }
        self.release_aliases(&before);
    }

    /// From now on the entity of `key` is one of those that had these refs before.
    pub(super) fn inherit(&mut self, key: &Arc<K>, aliases: &[PlaceId], changes: &mut Changes<K>) {
        let Some(own) = self.entities.get(key).map(|entity| entity.place) else {
            return;
        };
        for alias in aliases {
            let rank = self.rank(*alias, key);
            let older = self
                .places
                .heirs(*alias)
                .take_while(|heir| self.rank(*alias, heir) < rank)
                .count();
            self.changed(*alias, own, changes, |index| {
                index.places.inherit(*alias, older, key.clone(), own);
            });
        }
    }

    /// By what one of those that had a ref comes before another.
    fn rank(&self, alias: PlaceId, key: &Arc<K>) -> Option<(bool, (i64, &str, &K))> {
        let own = self.places.parts(self.entities.get(key)?.place)?;
        let elsewhere = self.places.parts(alias)?.namespace != own.namespace;
        Some((elsewhere, self.age(key)?))
    }

    /// From now on it is not.
    pub(super) fn disinherit(&mut self, key: &Arc<K>, aliases: &[PlaceId], changes: &mut Changes<K>) {
        let Some(own) = self.entities.get(key).map(|entity| entity.place) else {
            return;
        };
        for alias in aliases {
            self.changed(*alias, own, changes, |index| {
                index.places.disinherit(*alias, key, own);
            });
        }
    }

    /// Changes who had the ref of a place before, and tells all whom that concerns.
    fn changed(&mut self, alias: PlaceId, own: PlaceId, changes: &mut Changes<K>, change: impl FnOnce(&mut Self)) {
        let meant = self.places.holder(alias).is_some();
        let tell = |index: &Self, changes: &mut Changes<K>| {
            index.stir(alias, changes);
            cycles::members(&index.places, own, changes);
        };
        tell(self, changes);
        change(self);
        if meant != self.places.holder(alias).is_some() {
            self.turned(alias, changes);
        }
        tell(self, changes);
    }

    /// All whom it concerns what the ref of a place means: to be called before and after that changes.
    pub(super) fn stir(&self, place: PlaceId, changes: &mut Changes<K>) {
        if self.places.heirs(place).next().is_none() {
            // Nobody had it before.
            return;
        }
        cycles::members(&self.places, self.places.meant(place), changes);
        changes.named.extend(self.places.namers(place));
        changes.named.extend(self.places.heirs(place).cloned());
        changes.counted.extend(self.places.neighbours(place));
        changes.counted.extend(self.places.holder_key(place));
    }

    pub(super) fn intern_aliases(&mut self, aliases: Vec<EntityRef>, own: &EntityRef) -> Box<[PlaceId]> {
        let others = aliases.into_iter().filter(|alias| alias != own);
        let mut places: Vec<PlaceId> = others
            .map(|alias| self.names.intern(&mut self.places, &alias))
            .collect();
        places.sort_unstable();
        places.dedup();
        for place in &places {
            self.places.hold(*place);
        }
        places.into()
    }

    /// Gives up places of refs that an entity had before.
    pub(super) fn release_aliases(&mut self, aliases: &[PlaceId]) {
        for place in aliases {
            self.places.unhold(*place);
            self.names.sweep(&mut self.places, *place);
        }
    }
}
