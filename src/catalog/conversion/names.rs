//! Names: Backstage's rules, those of Kubernetes, and the way from one to the other.

/// The longest name of an entity, and of a namespace.
pub const LONGEST: usize = 63;

/// Whether Backstage takes `text` for a name: letters, digits, `-`, `_` and `.`, with a letter or a digit at both ends.
pub fn is_entity_name(text: &str) -> bool {
    let ends = |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphanumeric());
    text.len() <= LONGEST
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.'))
}

/// Whether Kubernetes takes `text` for the name of an object of ours: lower-case words of letters, digits and `-`, each with a
/// letter or a digit at both ends, joined by `.`.
pub fn is_object_name(text: &str) -> bool {
    text.len() <= LONGEST && is_subdomain(text)
}

/// Whether Kubernetes takes `text` for the name of a namespace.
pub fn is_namespace(text: &str) -> bool {
    text.len() <= LONGEST && is_label(text)
}

/// Whether Kubernetes takes `text` for the key of a label: `[prefix/]name`.
pub fn is_label_key(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    is_entity_name(name) && prefix.is_none_or(is_subdomain)
}

/// Whether `text` is lower-case words of letters, digits and `-` that are joined by `.`, as the name of a host is.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Whether Kubernetes takes `text` for the key of an annotation, whose prefix may have capitals.
pub fn is_annotation_key(text: &str) -> bool {
    is_label_key(&text.to_ascii_lowercase())
}

/// Whether Kubernetes takes `text` for the value of a label.
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_entity_name(text)
}

fn is_label(text: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    text.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && ends(text.as_bytes().first())
        && ends(text.as_bytes().last())
}

/// The object's name for an entity's name: in lower case, with `-` for `_`, and for a `.` that has no letter or digit on both
/// sides. One entity name always gives the same; two may give one, which whoever maps has to see.
pub fn object_name(entity_name: &str) -> String {
    let letters: Vec<char> = entity_name.to_ascii_lowercase().chars().collect();
    let word = |place: Option<usize>| {
        place
            .and_then(|place| letters.get(place))
            .is_some_and(char::is_ascii_alphanumeric)
    };
    letters
        .iter()
        .enumerate()
        .map(|(place, letter)| match letter {
            '.' if !word(place.checked_sub(1)) || !word(place.checked_add(1)) => '-',
            '_' => '-',
            letter => *letter,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_become_legal_ones_and_legal_ones_stay() {
        for (entity, object) in [
            ("orders", "orders"),
            ("a.b-c.d", "a.b-c.d"),
            ("Artist_Web", "artist-web"),
            ("a..b", "a--b"),
            ("a._b", "a--b"),
            ("a.-b", "a--b"),
            ("A", "a"),
        ] {
            assert_eq!(object_name(entity), object);
        }
    }

    #[test]
    fn what_kubernetes_refuses_is_refused() {
        for key in [
            "",
            "/a",
            "a/",
            "a/b/c",
            "A/b",
            "-a",
            "a-",
            "a b",
            "é",
            "_a/b",
            &"a".repeat(64),
            "a..b/c",
        ] {
            assert!(!is_label_key(key), "{key}");
        }
        assert!(is_label_key("a.b/C_d"));
        assert!(is_annotation_key("A.b/C"));
        for name in ["", "A", "a_b", "a..b", "-a", "a.", "é", &"a".repeat(64)] {
            assert!(!is_object_name(name), "{name}");
        }
        for namespace in ["", "a.b", "A", "a-", &"a".repeat(64)] {
            assert!(!is_namespace(namespace), "{namespace}");
        }
        for name in ["", "a b", "-a", "a.", "é", "a/b", "a\n", &"a".repeat(64)] {
            assert!(!is_entity_name(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_name_of_an_entity_becomes_a_name_of_an_object(name in "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?") {
            prop_assert!(is_entity_name(&name));
            let object = object_name(&name);
            prop_assert!(is_object_name(&object), "{}", object);
            prop_assert_eq!(object_name(&object), object);
        }

        #[test]
        fn every_name_of_an_object_stays(name in "[a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?([.][a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?){0,3}") {
            prop_assert!(is_object_name(&name));
            prop_assert_eq!(object_name(&name), name);
        }
    }
}
