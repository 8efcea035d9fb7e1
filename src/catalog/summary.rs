//! What an entity's status says of what stands around it: counts, each with a bounded sample.

use std::collections::BTreeSet;
use std::hash::Hash;

use super::index::{Index, Neighbour, RefParts};
use super::relations::Role;
use crate::api::common::{EntityCounts, RelationSummary};

/// How many refs a sample has at most.
const SAMPLE: usize = 10;
/// How many bytes a sample has at most, so that long names do not make a status large.
const SAMPLE_BYTES: usize = 512;

/// The first few of many refs, by name.
#[derive(Default)]
struct Sample<'i> {
    first: BTreeSet<RefParts<'i>>,
}

impl<'i> Sample<'i> {
    fn add(&mut self, reference: RefParts<'i>) {
        if self.first.len() >= SAMPLE {
            if self.first.last().is_some_and(|last| *last <= reference) {
                return;
            }
            self.first.pop_last();
        }
        self.first.insert(reference);
    }

    fn refs(&self) -> Vec<String> {
        let mut bytes = 0;
        let refs = self.first.iter().map(ToString::to_string);
        refs.take_while(|text| {
            bytes += text.len();
            bytes <= SAMPLE_BYTES
        })
        .collect()
    }
}

/// The relations of an entity to others that exist.
pub fn relations<K: Eq + Hash + Ord, P>(index: &Index<K, P>, key: &K) -> Vec<RelationSummary> {
    let mut summaries = Vec::new();
    for role in index.roles(key) {
        let Some(word) = role.word() else { continue };
        let (mut count, mut sample) = (0, Sample::default());
        for neighbour in index.related(key, role) {
            count += 1;
            sample.add(neighbour.reference);
        }
        if count > 0 {
            summaries.push(RelationSummary {
                kind: word.to_owned(),
                count,
                sample: sample.refs(),
            });
        }
    }
    summaries
}

/// How many entities stand in a relation to this one, of those for which `counts` holds, and how many of them are Ready.
pub fn counts<K: Eq + Hash + Ord, P>(
    index: &Index<K, P>,
    key: &K,
    role: Role,
    counts: impl Fn(&Neighbour<'_, K, P>) -> bool,
) -> EntityCounts {
    let (mut total, mut ready, mut not_ready) = (0, 0, Sample::default());
    for neighbour in index.related(key, role).filter(counts) {
        total += 1;
        if neighbour.aspects.ready {
            ready += 1;
        } else {
            not_ready.add(neighbour.reference);
        }
    }
    EntityCounts {
        total,
        ready,
        not_ready: not_ready.refs(),
    }
}
