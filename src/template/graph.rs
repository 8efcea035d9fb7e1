//! Orders: what must come before what.

use std::collections::{BTreeMap, BTreeSet};

/// An order of `0..count` in which each place stands behind all that it depends on; among those that could come
/// next, the one with the smallest key does.
///
/// # Errors
/// A cycle, its first place again at its end.
pub(crate) fn ordered<K: Ord>(
    count: usize,
    depends_on: &[BTreeSet<usize>],
    key: impl Fn(usize) -> K,
) -> Result<Vec<usize>, Vec<usize>> {
    let mut open: Vec<usize> = vec![0; count];
    let mut needed_by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, needs) in depends_on.iter().enumerate() {
        for need in needs {
            needed_by.entry(*need).or_default().push(place);
            if let Some(left) = open.get_mut(place) {
                *left += 1;
            }
        }
    }
    let mut ready: BTreeSet<(K, usize)> = open
        .iter()
        .enumerate()
        .filter(|(_, left)| **left == 0)
        .map(|(place, _)| (key(place), place))
        .collect();
    let mut order = Vec::with_capacity(count);
    while let Some((_, place)) = ready.pop_first() {
        order.push(place);
        for next in needed_by.get(&place).into_iter().flatten() {
            if let Some(left) = open.get_mut(*next) {
                *left -= 1;
                if *left == 0 {
                    ready.insert((key(*next), *next));
                }
            }
        }
    }
    if order.len() == count {
        Ok(order)
    } else {
        Err(cycle(&open, depends_on))
    }
}

/// A cycle among the places that could not be ordered: from any of them, each step to what it still needs.
fn cycle(open: &[usize], depends_on: &[BTreeSet<usize>]) -> Vec<usize> {
    let stuck = |place: &usize| open.get(*place).is_some_and(|left| *left > 0);
    let Some(start) = (0..open.len()).find(stuck) else {
        return Vec::new();
    };
    let mut walked = vec![start];
    let mut current = start;
    while let Some(next) = depends_on
        .get(current)
        .and_then(|needs| needs.iter().copied().find(|place| stuck(place)))
    {
        if let Some(begin) = walked.iter().position(|place| *place == next) {
            let mut cycle = walked.split_off(begin);
            cycle.push(next);
            return cycle;
        }
        walked.push(next);
        current = next;
    }
    walked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_key_that_can_comes_next() {
        let needs = [BTreeSet::from([2]), BTreeSet::new(), BTreeSet::new()];
        assert_eq!(ordered(3, &needs, |place| place), Ok(vec![1, 2, 0]));
    }

    #[test]
    fn a_cycle_is_named() {
        let needs = [BTreeSet::from([1]), BTreeSet::from([2]), BTreeSet::from([1])];
        assert_eq!(ordered(3, &needs, |place| place), Err(vec![1, 2, 1]));
        assert_eq!(ordered(1, &[BTreeSet::from([0])], |place| place), Err(vec![0, 0]));
    }
}
