//! What a System says of its Components.

use super::instance::decode::Instance;
use super::wakes::{Key, OwnKind};
use super::world::World;
use crate::api::EntityCounts;
use crate::catalog::refs::{self, EntityRef};

/// How many names a sample has at most.
const SAMPLE: usize = 10;

/// How many Components name `system`, and how many of them are Ready.
pub fn components(world: &World, system: &EntityRef) -> EntityCounts {
    let mut not_ready = Vec::new();
    let mut counts = EntityCounts::default();
    for object in world.stores.components.state() {
        let key = Key::of(OwnKind::Component, &object);
        let Ok(component) = Instance::decode(&key, &object) else {
            continue;
        };
        let named = component
            .system
            .as_deref()
            .and_then(|written| refs::parse_of_kind(written, "system", &key.namespace).ok());
        if named.as_ref() != Some(system) {
            continue;
        }
        counts.total += 1;
        if component.is_ready() {
            counts.ready += 1;
        } else {
            not_ready.push(component.reference().to_string());
        }
    }
    not_ready.sort();
    not_ready.truncate(SAMPLE);
    counts.not_ready = not_ready;
    counts
}
