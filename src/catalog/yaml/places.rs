//! Where the values of a tree stand.

use std::collections::HashMap;

use super::{Data, Node, Place};

/// A key's place, and the value under it.
type Field<'a> = (Place, &'a Node);

/// The places of a tree, which are found in no more time for each than its way is long, however many keys a map has.
pub struct Places<'a> {
    root: &'a Node,
    /// The keys of each map that was looked into, by where the map is in memory.
    maps: HashMap<*const Node, HashMap<&'a str, Field<'a>>>,
}

impl<'a> Places<'a> {
    /// Those of `root`.
    pub fn of(root: &'a Node) -> Self {
        Self {
            root,
            maps: HashMap::new(),
        }
    }

    /// Where the value under `path` stands, or the last part of the way to it that is there. An index is a number in
    /// decimal digits.
    pub fn locate(&mut self, path: &[String]) -> Place {
        let (mut node, mut place) = (self.root, self.root.place);
        for step in path {
            let next = match &node.data {
                Data::Map(fields) => self
                    .maps
                    .entry(node)
                    .or_insert_with(|| {
                        let field = |(key, place, field): &'a (String, Place, Node)| (key.as_str(), (*place, field));
                        fields.iter().map(field).collect()
                    })
                    .get(step.as_str())
                    .copied(),
                Data::List(items) => step
                    .parse()
                    .ok()
                    .and_then(|index: usize| items.get(index))
                    .map(|item| (item.place, item)),
                Data::Scalar(_) => None,
            };
            let Some((found, below)) = next else {
                // What is missing is missing where its holder stands, and not at the key of that.
                return node.place;
            };
            (place, node) = (found, below);
        }
        place
    }
}
