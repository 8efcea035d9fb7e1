//! What a System says of its Components.

use super::instance::glance::Glance;
use super::wakes::OwnKind;
use super::world::World;
use crate::api::system::ComponentCounts;
use crate::catalog::refs::{self, EntityRef};

/// How many names a sample has at most.
const SAMPLE: usize = 10;

/// How many Components name `system`, and how many of them are Ready.
pub fn components(world: &World, system: &EntityRef) -> ComponentCounts {
    let mut not_ready = Vec::new();
    let mut counts = ComponentCounts::default();
    for object in world.stores.components.state() {
        let seen = Glance::at(&object);
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let named = seen
            .system
            .and_then(|written| refs::parse_of_kind(written, "system", namespace).ok());
        if named.as_ref() != Some(system) {
            continue;
        }
        counts.total += 1;
        if seen.ready {
            counts.ready += 1;
        } else {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            not_ready.push(EntityRef::new(OwnKind::Component.word(), namespace, name).to_string());
        }
    }
    not_ready.sort();
    not_ready.truncate(SAMPLE);
    counts.not_ready = not_ready;
    counts
}
