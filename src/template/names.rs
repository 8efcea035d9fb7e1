//! Names that are nearly right, and paths in words.

use std::fmt::Write as _;

/// The candidate that `name` was most likely meant to be, if one is near enough.
///
/// Near is a third of the longer name's letters changed, left out, added or swapped with their neighbour.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.chars().take(64).flat_map(char::to_lowercase).collect();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let letters: Vec<char> = candidate.chars().take(64).flat_map(char::to_lowercase).collect();
            let distance = distance(&wanted, &letters);
            let room = wanted.len().max(letters.len()).div_ceil(3).max(1);
            (distance <= room && distance < letters.len()).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean x?`, or nothing where no candidate is near.
pub(crate) fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates)
        .map(|near| format!("; did you mean {near}?"))
        .unwrap_or_default()
}

/// A number of things. Example: `1 fault`, `2 faults`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// At most `limit` names joined by commas, and how many more there are.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>, limit: usize) -> String {
    let mut text = String::new();
    let mut left_out = 0_usize;
    for (place, name) in names.into_iter().enumerate() {
        if place >= limit {
            left_out += 1;
        } else {
            if place > 0 {
                text.push_str(", ");
            }
            text.push_str(name);
        }
    }
    if left_out > 0 {
        let _ = write!(text, " and {left_out} more");
    }
    text
}

/// At most `limit` characters of a text that others wrote, fit to stand in one line of a message.
pub(crate) fn shown(text: &str, limit: usize) -> String {
    let mut short: String = readable(&text.chars().take(limit).collect::<String>());
    if text.chars().nth(limit).is_some() {
        short.push('…');
    }
    short
}

/// A text that others wrote, with a visible sign in place of what would be invisible or turn the line around.
pub(crate) fn readable(text: &str) -> String {
    text.chars()
        .map(|letter| if unseen(letter) { '\u{fffd}' } else { letter })
        .collect()
}

/// Whether a character would be invisible, or would turn the rest of the line around.
fn unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Appends one step to a path: `.name`, `["odd name"]`.
pub(crate) fn push_name(path: &mut String, name: &str) {
    let plain = !name.is_empty()
        && name.len() <= 63
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-'));
    if plain {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
    } else {
        let _ = write!(path, "[\"{}\"]", shown(name, 63));
    }
}

/// Appends the place in a list to a path: `[3]`.
pub(crate) fn push_index(path: &mut String, index: usize) {
    let _ = write!(path, "[{index}]");
}

/// `path` and one step more.
pub(crate) fn below(path: &str, name: &str) -> String {
    let mut longer = path.to_owned();
    push_name(&mut longer, name);
    longer
}

/// How many letters differ, where two neighbours that changed places count once (optimal string alignment).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous_from = None;
    for (row, &letter) in from.iter().enumerate() {
        let mut current = Vec::with_capacity(to.len() + 1);
        current.push(row + 1);
        let mut left = row + 1;
        let mut previous_to = None;
        for (column, &other) in to.iter().enumerate() {
            let above = last.get(column + 1).copied().unwrap_or(usize::MAX - 1);
            let diagonal = last.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut best = (above + 1).min(left + 1).min(diagonal + usize::from(letter != other));
            if previous_from == Some(other) && previous_to == Some(letter) {
                let swapped = column.checked_sub(1).and_then(|place| before.get(place)).copied();
                best = best.min(swapped.map_or(usize::MAX, |cost| cost + 1));
            }
            current.push(best);
            left = best;
            previous_to = Some(other);
        }
        before = std::mem::replace(&mut last, current);
        previous_from = Some(letter);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        assert_eq!(nearest("replicsa", ["name", "replicas"]), Some("replicas"));
        assert_eq!(nearest("Replicas", ["replicas"]), Some("replicas"));
        assert_eq!(nearest("colour", ["replicas", "name"]), None);
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(hint("paramters", ["parameters"]), "; did you mean parameters?");
    }

    #[test]
    fn paths_quote_odd_names() {
        let mut path = String::from("metadata.labels");
        push_name(&mut path, "a.b/c");
        push_index(&mut path, 2);
        push_name(&mut path, "x");
        assert_eq!(path, "metadata.labels[\"a.b/c\"][2].x");
    }

    #[test]
    fn shown_text_stays_in_its_line() {
        assert_eq!(shown("a\nb\u{202e}c", 10), "a\u{fffd}b\u{fffd}c");
        assert_eq!(shown("abcdef", 3), "abc…");
    }
}
