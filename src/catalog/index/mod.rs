//! The index: all entities and their relations, from both sides, kept by small steps.
//!
//! A place in it belongs to a ref, whether there is an entity with this ref or others only name it. An entity declares what
//! it names; each declaration makes a link at both places. So what stands around an entity is found where the entity is,
//! and an event costs what the entity's own links are. Two entities with one ref have one place, and the older one holds it.

mod aliases;
mod cycles;
mod names;
mod places;
#[cfg(test)]
mod tests;
mod told;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use self::names::Names;
pub(in crate::catalog) use self::names::distance;
pub use self::places::RefParts;
use self::places::{PlaceId, Places};
pub use self::told::{AliasState, Aspects, Changes, InEnvironment, InRollout, MovedAt, Told};
use super::refs::EntityRef;
use super::relations::Role;

/// An entity as the index has it.
struct Entity<K, P> {
    key: Arc<K>,
    uid: Box<str>,
    created: i64,
    place: PlaceId,
    declared: Box<[(Role, PlaceId)]>,
    /// The places of refs that it had before.
    aliases: Box<[PlaceId]>,
    aspects: Aspects,
    payload: P,
}

/// One of the entities in a relation.
#[derive(Debug)]
pub struct Neighbour<'i, K, P> {
    /// Its ref.
    pub reference: RefParts<'i>,
    /// Its key.
    pub key: &'i K,
    /// What others show of it.
    pub aspects: &'i Aspects,
    /// What was kept with it.
    pub payload: &'i P,
}

/// All entities by their refs, with their relations. `K` tells objects apart, `P` is what is kept with each.
pub struct Index<K, P> {
    entities: HashMap<Arc<K>, Entity<K, P>>,
    places: Places<K>,
    names: Names,
}

impl<K, P> Default for Index<K, P> {
    fn default() -> Self {
        Self {
            entities: HashMap::new(),
            places: Places::default(),
            names: Names::default(),
        }
    }
}

impl<K: Eq + Hash + Ord, P> Index<K, P> {
    /// How many entities there are, those without a place of their own included.
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Every key, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entities.keys().map(AsRef::as_ref)
    }

    /// What is kept with an entity.
    pub fn get(&self, key: &K) -> Option<&P> {
        self.entities.get(key).map(|entity| &entity.payload)
    }

    /// The ref of an entity.
    pub fn reference(&self, key: &K) -> Option<EntityRef> {
        let entity = self.entities.get(key)?;
        Some(self.places.parts(entity.place)?.to_ref())
    }

    /// The entity that a ref means: the one that has it, or else the first that had it before.
    pub fn resolve(&self, reference: &EntityRef) -> Option<&K> {
        let place = self
            .names
            .find(&reference.kind, &reference.namespace, &reference.name)?;
        self.places.holder(place)
    }

    /// The older entity that holds the ref of this one, if one does.
    pub fn rival(&self, key: &K) -> Option<&K> {
        let entity = self.entities.get(key)?;
        self.places.holder(entity.place).filter(|holder| *holder != key)
    }

    /// The entities that stand in a relation to this one, in no order. None of one whose ref another holds.
    pub fn related<'i>(&'i self, key: &K, role: Role) -> impl Iterator<Item = Neighbour<'i, K, P>> {
        let place = self.held(key).into_iter();
        let ends = place.flat_map(move |place| self.places.ends(place, role));
        ends.filter_map(|other| self.neighbour(other))
    }

    /// The entities that would be left without this one, and what each is to it, in no order.
    pub fn dependents<'i>(&'i self, key: &K) -> impl Iterator<Item = (Role, Neighbour<'i, K, P>)> {
        let links = self.held(key).map(|place| self.places.needed_by(place));
        let links = links.into_iter().flatten();
        links.filter_map(|link| Some((link.role.inverse(), self.neighbour(link.other)?)))
    }

    /// The relations in which an entity stands to any other, in the order of [`Role::ALL`].
    pub fn roles(&self, key: &K) -> Vec<Role> {
        self.held(key).map(|place| self.places.roles(place)).unwrap_or_default()
    }

    /// Existing refs that `missing` may have been meant to be, the nearest first: its name in other namespaces, the like in
    /// its own, its name among the other kinds in `kinds` (all where that is empty).
    pub fn near(&self, missing: &EntityRef, kinds: &[&str]) -> Vec<EntityRef> {
        let exists = |place: PlaceId| self.places.is_held(place);
        let found = self.names.near(missing, kinds, exists);
        found
            .into_iter()
            .filter_map(|place| Some(self.places.parts(place)?.to_ref()))
            .collect()
    }

    /// The shortest way that leads from an entity back to itself along a hierarchy, itself at both ends, if there is one.
    pub fn cycle(&self, key: &K, upwards: Role) -> Option<Vec<EntityRef>> {
        let way = cycles::shortest(&self.places, self.held(key)?, upwards)?;
        way.into_iter()
            .map(|place| Some(self.places.parts(place)?.to_ref()))
            .collect()
    }

    /// The place of an entity that holds it.
    fn held(&self, key: &K) -> Option<PlaceId> {
        let entity = self.entities.get(key)?;
        let holder = self.places.holder(entity.place)?;
        (holder == key).then_some(entity.place)
    }

    fn neighbour(&self, place: PlaceId) -> Option<Neighbour<'_, K, P>> {
        let key = self.places.holder(place)?;
        let entity = self.entities.get(key)?;
        Some(Neighbour {
            reference: self.places.parts(entity.place)?,
            key,
            aspects: &entity.aspects,
            payload: &entity.payload,
        })
    }
}

/// What changes the index.
impl<K: Eq + Hash + Ord, P> Index<K, P> {
    /// Takes in an entity that is new or has changed. Gives who is concerned, itself aside.
    pub fn put(&mut self, told: Told<K, P>) -> Changes<K> {
        let mut changes = Changes::default();
        let same = self.entities.get(&told.key).is_some_and(|known| {
            *known.uid == *told.uid
                && known.created == told.created
                && self
                    .places
                    .parts(known.place)
                    .is_some_and(|parts| parts.is(&told.reference))
        });
        if same {
            self.change(told, &mut changes);
        } else {
            self.remove(&told.key, &mut changes);
            self.add(told, &mut changes);
        }
        changes
    }

    /// Takes out an entity that is gone. Gives who is concerned.
    pub fn take(&mut self, key: &K) -> Changes<K> {
        let mut changes = Changes::default();
        self.remove(key, &mut changes);
        changes
    }

    /// Keeps something else with an entity, which concerns nobody. Whether the entity is there.
    pub fn keep(&mut self, key: &K, payload: P) -> bool {
        let entity = self.entities.get_mut(key);
        entity.map(|entity| entity.payload = payload).is_some()
    }

    fn change(&mut self, told: Told<K, P>, changes: &mut Changes<K>) {
        let Told {
            key,
            reference,
            declared,
            aliases,
            aspects,
            payload,
            ..
        } = told;
        let declared = self.intern(declared);
        self.rename(&key, &reference, aliases, changes);
        let Some(entity) = self.entities.get_mut(&key) else {
            return;
        };
        let place = entity.place;
        let before = std::mem::replace(&mut entity.declared, declared.clone());
        let old = std::mem::replace(&mut entity.aspects, aspects.clone());
        entity.payload = payload;
        let held = self.places.holder(place) == Some(&key);
        if held && before != declared {
            cycles::members(&self.places, place, changes);
            for (role, other) in before.iter().filter(|link| declared.binary_search(link).is_err()) {
                self.places.unlink(place, *role, *other);
                changes.counted.extend(self.places.holder_key(*other));
            }
            for (role, other) in declared.iter().filter(|link| before.binary_search(link).is_err()) {
                self.places.link(place, *role, *other);
                changes.counted.extend(self.places.holder_key(*other));
            }
            cycles::members(&self.places, place, changes);
        }
        if held {
            self.shown_by(place, &old, &aspects, changes);
        }
        self.release(&before);
        changes.settle(&key);
    }

    fn add(&mut self, told: Told<K, P>, changes: &mut Changes<K>) {
        let Told {
            key,
            uid,
            created,
            reference,
            declared,
            aliases,
            aspects,
            payload,
        } = told;
        let place = self.names.intern(&mut self.places, &reference);
        let declared = self.intern(declared);
        let aliases = self.intern_aliases(aliases, &reference);
        let key = Arc::new(key);
        let was = self.places.claims(place).first().cloned();
        let age = (created, &*uid, &*key);
        let rank = self
            .places
            .claims(place)
            .iter()
            .take_while(|other| self.age(other).is_some_and(|other| other < age))
            .count();
        let entity = Entity {
            key: key.clone(),
            uid,
            created,
            place,
            declared,
            aliases,
            aspects,
            payload,
        };
        self.entities.insert(key.clone(), entity);
        if rank == 0 {
            self.stir(place, changes);
            if let Some(was) = &was {
                cycles::members(&self.places, place, changes);
                self.withdraw(was, changes);
                // Each of them names the one that it gives way to.
                changes.named.extend(self.places.claims(place).iter().cloned());
                // Whoever shows this ref may show something else of it now.
                changes.counted.extend(self.places.neighbours(place));
            }
            self.places.claim(place, rank, key.clone());
            self.declare(&key, changes);
            if was.is_none() {
                self.turned(place, changes);
            }
            cycles::members(&self.places, place, changes);
            self.stir(place, changes);
        } else {
            self.places.claim(place, rank, key.clone());
        }
        changes.settle(&key);
    }

    fn remove(&mut self, key: &K, changes: &mut Changes<K>) {
        let Some(entity) = self.entities.get(key) else { return };
        let (key, place) = (entity.key.clone(), entity.place);
        let held = self.places.holder(place) == Some(&*key);
        if held {
            cycles::members(&self.places, place, changes);
            self.stir(place, changes);
            self.withdraw(&key, changes);
        }
        self.places.unclaim(place, &key);
        if held {
            match self.places.claims(place).first().cloned() {
                Some(heir) => {
                    self.declare(&heir, changes);
                    cycles::members(&self.places, place, changes);
                    changes.named.extend(self.places.claims(place).iter().cloned());
                    changes.counted.extend(self.places.neighbours(place));
                }
                None => self.turned(place, changes),
            }
            self.stir(place, changes);
        }
        if let Some(entity) = self.entities.remove(&key) {
            self.release(&entity.declared);
            self.release_aliases(&entity.aliases);
        }
        self.names.sweep(&mut self.places, place);
        changes.settle(&key);
    }

    fn age(&self, key: &Arc<K>) -> Option<(i64, &str, &K)> {
        let entity = self.entities.get(key)?;
        Some((entity.created, &entity.uid, &entity.key))
    }

    /// Makes the links of an entity that has become the holder of its ref.
    fn declare(&mut self, key: &Arc<K>, changes: &mut Changes<K>) {
        let Some(entity) = self.entities.get(key) else { return };
        for (role, other) in &entity.declared {
            self.places.link(entity.place, *role, *other);
            changes.counted.extend(self.places.holder_key(*other));
        }
        let aliases = entity.aliases.clone();
        self.inherit(key, &aliases, changes);
    }

    /// Takes away the links of an entity that is no longer the holder of its ref.
    fn withdraw(&mut self, key: &Arc<K>, changes: &mut Changes<K>) {
        let Some(entity) = self.entities.get(key) else { return };
        for (role, other) in &entity.declared {
            self.places.unlink(entity.place, *role, *other);
            changes.counted.extend(self.places.holder_key(*other));
        }
        let aliases = entity.aliases.clone();
        self.disinherit(key, &aliases, changes);
    }

    /// A ref has got its first entity or lost its last: all that name it are concerned, and all that miss one like it.
    fn turned(&mut self, place: PlaceId, changes: &mut Changes<K>) {
        self.names.turned(&self.places, place);
        changes.named.extend(self.places.namers(place));
        let missing = |place: PlaceId| self.places.holder(place).is_none();
        for missed in self.names.missing_near(&self.places, place, missing) {
            changes.named.extend(self.places.namers(missed));
        }
    }

    /// Who shows something of an entity whose aspects have changed.
    fn shown_by(&self, place: PlaceId, old: &Aspects, new: &Aspects, changes: &mut Changes<K>) {
        let roles: &[Role] = if old.ready != new.ready {
            &[Role::OwnedBy, Role::PartOf, Role::InstanceOf]
        } else if old.revision != new.revision || old.rollout != new.rollout {
            &[Role::InstanceOf]
        } else {
            &[]
        };
        for role in roles {
            let others = self.places.ends(place, *role);
            changes
                .counted
                .extend(others.filter_map(|other| self.places.holder_key(other)));
        }
    }

    fn intern(&mut self, declared: Vec<(Role, EntityRef)>) -> Box<[(Role, PlaceId)]> {
        let mut links: Vec<(Role, PlaceId)> = declared
            .into_iter()
            .map(|(role, reference)| (role, self.names.intern(&mut self.places, &reference)))
            .collect();
        links.sort_unstable();
        links.dedup();
        for (_, place) in &links {
            self.places.hold(*place);
        }
        links.into()
    }

    /// Gives up places that were declared.
    fn release(&mut self, declared: &[(Role, PlaceId)]) {
        for (_, place) in declared {
            self.places.unhold(*place);
            self.names.sweep(&mut self.places, *place);
        }
    }
}
