//! Which names expressions mention.

use std::collections::BTreeSet;

use super::paths::{Step, path_of};
use super::syntax::Expression;

/// A name with the names behind it, as far as they are written out. Example: `entity`, `metadata`, `name`.
pub(crate) type Mention = Vec<String>;

/// Adds what an expression mentions, each as far as it is written out.
pub(crate) fn mentions(expression: &Expression, into: &mut BTreeSet<Mention>) {
    let mut rest = expression;
    if let Some((root, steps)) = path_of(expression) {
        let names = steps.iter().map_while(|step| match step {
            Step::Name(name) => Some((*name).to_owned()),
            Step::Index | Step::EachKey | Step::Computed => None,
        });
        into.insert(std::iter::once(root.to_owned()).chain(names).collect());
        // The chain is one name; what stands in its brackets has names of its own.
        loop {
            match rest {
                Expression::Attribute(input, _) => rest = input,
                Expression::Item(input, subscript) => {
                    mentions(subscript, into);
                    rest = input;
                }
                _ => return,
            }
        }
    }
    for child in rest.children() {
        mentions(child, into);
    }
}
