//! Places: one for each ref that an entity has or that an entity names, with the links between them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::catalog::refs::EntityRef;
use crate::catalog::relations::Role;

/// The number of a place. Numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(u32);

/// A kind and a namespace, shared by all places in them.
#[derive(Debug, PartialEq, Eq)]
pub struct Scope {
    pub kind: Box<str>,
    pub namespace: Box<str>,
}

/// A link from one place to another, which has its counterpart there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub role: Role,
    pub other: PlaceId,
    /// Whether the entity of this place declares it.
    near: bool,
    /// Whether the entity of the other place declares it.
    far: bool,
}

struct Place<K> {
    scope: Arc<Scope>,
    name: Arc<str>,
    /// The entities that have this ref, the oldest first.
    claims: Vec<Arc<K>>,
    /// Sorted by role and other end.
    links: Vec<Link>,
    /// How many entities declare something about this ref, with or without a link.
    holds: u32,
    /// What most places do not have.
    former: Option<Box<Former<K>>>,
}

/// Of a place, who had its ref before, and which refs its entity had before.
struct Former<K> {
    /// The entities that had this ref before, the oldest first, each with its own place.
    heirs: Vec<(Arc<K>, PlaceId)>,
    /// The refs that the entity of this place had before.
    aliases: Vec<PlaceId>,
}

impl<K> Default for Former<K> {
    fn default() -> Self {
        Self {
            heirs: Vec::new(),
            aliases: Vec::new(),
        }
    }
}

/// A ref as the index holds it, without a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefParts<'i> {
    /// Kind, lower case.
    pub kind: &'i str,
    /// Namespace, lower case.
    pub namespace: &'i str,
    /// Name, lower case.
    pub name: &'i str,
}

impl RefParts<'_> {
    /// The ref.
    pub fn to_ref(self) -> EntityRef {
        EntityRef::new(self.kind, self.namespace, self.name)
    }

    pub(super) fn is(self, reference: &EntityRef) -> bool {
        self.kind == reference.kind && self.namespace == reference.namespace && self.name == reference.name
    }
}

impl Ord for RefParts<'_> {
    /// By name, then by namespace and kind: the order in which people look for them.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.name, self.namespace, self.kind).cmp(&(other.name, other.namespace, other.kind))
    }
}

impl PartialOrd for RefParts<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RefParts<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}/{}", self.kind, self.namespace, self.name)
    }
}

/// All places.
pub struct Places<K> {
    slots: Vec<Option<Place<K>>>,
    free: Vec<u32>,
    /// How many refs entities had before.
    aliases: usize,
    /// How often a place was looked at, so that tests can say what a question costs.
    #[cfg(test)]
    looks: std::sync::atomic::AtomicUsize,
}

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            aliases: 0,
            #[cfg(test)]
            looks: std::sync::atomic::AtomicUsize::new(0),
        }
    }
}

impl<K: Eq> Places<K> {
    fn at(&self, id: PlaceId) -> Option<&Place<K>> {
        #[cfg(test)]
        self.looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.slots.get(id.0 as usize)?.as_ref()
    }

    fn at_mut(&mut self, id: PlaceId) -> Option<&mut Place<K>> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    /// A new place, at which nothing is yet.
    pub fn make(&mut self, scope: Arc<Scope>, name: Arc<str>) -> PlaceId {
        let place = Some(Place {
            scope,
            name,
            claims: Vec::new(),
            links: Vec::new(),
            holds: 0,
            former: None,
        });
        if let Some(slot) = self.free.pop() {
            if let Some(free) = self.slots.get_mut(slot as usize) {
                *free = place;
            }
            return PlaceId(slot);
        }
        self.slots.push(place);
        // Four thousand million refs do not fit into memory.
        PlaceId(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
    }

    /// Gives up a place at which nothing is any more. Whether it was one.
    pub fn drop_empty(&mut self, id: PlaceId) -> Option<(Arc<Scope>, Arc<str>)> {
        let place = self.at(id)?;
        if !place.claims.is_empty() || !place.links.is_empty() || place.holds > 0 || place.former.is_some() {
            return None;
        }
        let names = (place.scope.clone(), place.name.clone());
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            *slot = None;
        }
        self.free.push(id.0);
        Some(names)
    }

    pub fn hold(&mut self, id: PlaceId) {
        if let Some(place) = self.at_mut(id) {
            place.holds += 1;
        }
    }

    pub fn unhold(&mut self, id: PlaceId) {
        if let Some(place) = self.at_mut(id) {
            place.holds = place.holds.saturating_sub(1);
        }
    }

    pub fn parts(&self, id: PlaceId) -> Option<RefParts<'_>> {
        let place = self.at(id)?;
        Some(RefParts {
            kind: &place.scope.kind,
            namespace: &place.scope.namespace,
            name: &place.name,
        })
    }

    /// The entity that this ref means: the one that has it, or else the first that had it before.
    pub fn holder(&self, id: PlaceId) -> Option<&K> {
        self.holding(id).map(AsRef::as_ref)
    }

    pub fn holder_key(&self, id: PlaceId) -> Option<Arc<K>> {
        self.holding(id).cloned()
    }

    fn holding(&self, id: PlaceId) -> Option<&Arc<K>> {
        let place = self.at(id)?;
        let heir = || place.former.as_ref()?.heirs.first().map(|(key, _)| key);
        place.claims.first().or_else(heir)
    }

    /// Whether an entity has this ref, and not only had it before.
    pub fn is_held(&self, id: PlaceId) -> bool {
        self.at(id).is_some_and(|place| !place.claims.is_empty())
    }

    /// The place of the entity that this ref means; its own where it means none.
    pub fn meant(&self, id: PlaceId) -> PlaceId {
        let Some(place) = self.at(id).filter(|place| place.claims.is_empty()) else {
            return id;
        };
        let heir = place.former.as_ref().and_then(|former| former.heirs.first());
        heir.map_or(id, |(_, own)| *own)
    }

    /// The entities that had this ref before, in their order.
    pub fn heirs(&self, id: PlaceId) -> impl Iterator<Item = &Arc<K>> {
        let former = self.at(id).and_then(|place| place.former.as_ref());
        former.into_iter().flat_map(|former| &former.heirs).map(|(key, _)| key)
    }

    /// The entity of `own` had the ref of `id` before; `rank` of those that had it come first.
    pub fn inherit(&mut self, id: PlaceId, rank: usize, key: Arc<K>, own: PlaceId) {
        if let Some(place) = self.at_mut(id) {
            let heirs = &mut place.former.get_or_insert_default().heirs;
            heirs.insert(rank.min(heirs.len()), (key, own));
        }
        if let Some(place) = self.at_mut(own) {
            place.former.get_or_insert_default().aliases.push(id);
            self.aliases += 1;
        }
    }

    /// It is not said any more that the entity of `own` had the ref of `id` before.
    pub fn disinherit(&mut self, id: PlaceId, key: &K, own: PlaceId) {
        if let Some(former) = self.at_mut(id).and_then(|place| place.former.as_mut()) {
            former.heirs.retain(|(heir, _)| **heir != *key);
        }
        if let Some(former) = self.at_mut(own).and_then(|place| place.former.as_mut()) {
            let before = former.aliases.len();
            former.aliases.retain(|alias| *alias != id);
            let gone = before - former.aliases.len();
            self.aliases = self.aliases.saturating_sub(gone);
        }
        for id in [id, own] {
            if let Some(place) = self.at_mut(id) {
                place.former = place
                    .former
                    .take()
                    .filter(|former| !former.heirs.is_empty() || !former.aliases.is_empty());
            }
        }
    }

    /// The places whose links are those of the entity of `id`: its own, and those of refs that it had before and that mean it.
    fn spots(&self, id: PlaceId) -> impl Iterator<Item = PlaceId> {
        let former = self.at(id).and_then(|place| place.former.as_ref());
        let aliases = former.into_iter().flat_map(|former| &former.aliases).copied();
        std::iter::once(id).chain(aliases.filter(move |alias| self.meant(*alias) == id))
    }

    /// What links of the entity of `id` lead to, each entity's place once for each role. Not to itself.
    fn gathered(&self, id: PlaceId, of: impl Fn(&Link) -> bool) -> Vec<Link> {
        let links = self
            .spots(id)
            .flat_map(|spot| self.all_links(spot))
            .filter(|link| of(link));
        let meant = links.map(|link| Link {
            other: self.meant(link.other),
            ..*link
        });
        let mut found: Vec<Link> = meant.filter(|link| link.other != id).collect();
        found.sort_unstable_by_key(|link| (link.role, link.other));
        found.dedup_by_key(|link| (link.role, link.other));
        found
    }

    /// The places to which the entity of `id` stands in a relation, of which there may be no entity. Not its own.
    pub fn ends(&self, id: PlaceId, role: Role) -> impl Iterator<Item = PlaceId> {
        // Mostly no ref is another's of before, and nothing has to be put together.
        let plain = self.aliases == 0;
        let own = if plain { self.links(id, role) } else { &[] };
        let gathered = if plain {
            Vec::new()
        } else {
            self.gathered(id, |link| link.role == role)
        };
        let ends = own.iter().copied().chain(gathered).map(|link| link.other);
        ends.filter(move |other| *other != id)
    }

    /// The roles of all links of the entity of `id`, in their order.
    pub fn roles(&self, id: PlaceId) -> Vec<Role> {
        let links = self.spots(id).flat_map(|spot| self.all_links(spot));
        let mut roles: Vec<Role> = links.map(|link| link.role).collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    pub fn claims(&self, id: PlaceId) -> &[Arc<K>] {
        self.at(id).map_or(&[], |place| &place.claims)
    }

    pub fn claim(&mut self, id: PlaceId, rank: usize, key: Arc<K>) {
        if let Some(place) = self.at_mut(id) {
            place.claims.insert(rank.min(place.claims.len()), key);
        }
    }

    pub fn unclaim(&mut self, id: PlaceId, key: &K) {
        if let Some(place) = self.at_mut(id) {
            place.claims.retain(|claim| **claim != *key);
            place.claims.shrink_to_fit();
        }
    }

    pub fn all_links(&self, id: PlaceId) -> &[Link] {
        self.at(id).map_or(&[], |place| &place.links)
    }

    /// The links of one role.
    pub fn links(&self, id: PlaceId, role: Role) -> &[Link] {
        let links = self.all_links(id);
        let from = links.partition_point(|link| link.role < role);
        let to = links.partition_point(|link| link.role <= role);
        links.get(from..to).unwrap_or_default()
    }

    /// The entities that name the one of this place.
    pub fn namers(&self, id: PlaceId) -> Vec<Arc<K>> {
        let links = self.all_links(id).iter().filter(|link| link.far);
        links.filter_map(|link| self.holder_key(link.other)).collect()
    }

    /// The links by which others need the entity of this place: those that they declare about what they are themselves, and
    /// what this one declares to be needed by.
    pub fn needed_by(&self, id: PlaceId) -> impl Iterator<Item = Link> {
        let is_needed = |link: &Link| link.role.is_needed() && (link.far || link.role == Role::DependencyOf);
        self.gathered(id, is_needed).into_iter()
    }

    /// The entities that a link joins to the one of this place.
    pub fn neighbours(&self, id: PlaceId) -> Vec<Arc<K>> {
        self.all_links(id)
            .iter()
            .filter_map(|link| self.holder_key(link.other))
            .collect()
    }

    /// The entity of `id` declares that it is `role` to that of `other`.
    pub fn link(&mut self, id: PlaceId, role: Role, other: PlaceId) {
        self.set(id, role, other, |link| link.near = true);
        self.set(other, role.inverse(), id, |link| link.far = true);
    }

    /// It declares so no longer.
    pub fn unlink(&mut self, id: PlaceId, role: Role, other: PlaceId) {
        self.set(id, role, other, |link| link.near = false);
        self.set(other, role.inverse(), id, |link| link.far = false);
    }

    fn set(&mut self, id: PlaceId, role: Role, other: PlaceId, change: impl Fn(&mut Link)) {
        let Some(place) = self.at_mut(id) else { return };
        let spot = place
            .links
            .binary_search_by_key(&(role, other), |link| (link.role, link.other));
        match spot {
            Ok(at) => {
                let Some(link) = place.links.get_mut(at) else { return };
                change(link);
                if !link.near && !link.far {
                    place.links.remove(at);
                }
            }
            Err(at) => {
                let mut link = Link {
                    role,
                    other,
                    near: false,
                    far: false,
                };
                change(&mut link);
                if link.near || link.far {
                    // One at a time: most have a handful, and a vector's own growth would double what they take.
                    if place.links.len() == place.links.capacity() && place.links.len() < 16 {
                        place.links.reserve_exact(2);
                    }
                    place.links.insert(at, link);
                }
            }
        }
    }

    #[cfg(test)]
    pub fn looks(&self) -> usize {
        self.looks.swap(0, std::sync::atomic::Ordering::Relaxed)
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.slots.iter().flatten().count()
    }
}
