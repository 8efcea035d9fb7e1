//! Entity refs: `[kind:][namespace/]name`, compared without case.
//!
//! The rules are Backstage's (docs/features/software-catalog/references.md and
//! packages/catalog-model/src/entity/ref.ts).

use std::fmt;

/// A full ref. Its parts are lower case, so that two refs to one entity are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityRef {
    /// Kind, lower case. Example: `component`.
    pub kind: String,
    /// Namespace, lower case.
    pub namespace: String,
    /// Name, lower case.
    pub name: String,
}

impl EntityRef {
    /// The ref of these three parts.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            kind: kind.to_lowercase(),
            namespace: namespace.to_lowercase(),
            name: name.to_lowercase(),
        }
    }
}

impl fmt::Display for EntityRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}/{}", self.kind, self.namespace, self.name)
    }
}

/// Why a text is not a ref.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefError {
    /// A part is there but empty.
    #[error("\"{text}\" has an empty {part}; write [kind:][namespace/]name, for example group:default/team-a")]
    EmptyPart {
        /// The text.
        text: String,
        /// `kind`, `namespace` or `name`.
        part: &'static str,
    },
    /// The kind is left out where there is no default for it.
    #[error("\"{text}\" does not say its kind; write kind:[namespace/]name, for example component:{text}")]
    KindMissing {
        /// The text.
        text: String,
    },
    /// Another kind than the field takes.
    #[error("\"{text}\" is of kind {found}, expected {expected}")]
    WrongKind {
        /// The text.
        text: String,
        /// The kind that it names.
        found: String,
        /// The kinds that the field takes.
        expected: String,
    },
}

/// Parses a written ref. `default_kind` and `default_namespace` stand in for the parts that are left out.
///
/// A colon divides kind from the rest only before the first slash, as in Backstage; a later one belongs to the name.
///
/// # Errors
/// When a part is empty, or when the kind is left out and has no default.
pub fn parse(text: &str, default_kind: Option<&str>, default_namespace: &str) -> Result<EntityRef, RefError> {
    let empty = |part| RefError::EmptyPart {
        text: text.to_owned(),
        part,
    };
    let slash = text.find('/');
    let colon = text.find(':').filter(|colon| slash.is_none_or(|slash| *colon < slash));
    let (kind, rest) = match colon.and_then(|at| text.split_at_checked(at)) {
        Some((kind, rest)) => (Some(kind), rest.strip_prefix(':').unwrap_or(rest)),
        None => (None, text),
    };
    let (namespace, name) = match rest.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, rest),
    };
    if kind.is_some_and(|kind| kind.trim().is_empty()) {
        return Err(empty("kind"));
    }
    if namespace.is_some_and(|namespace| namespace.trim().is_empty()) {
        return Err(empty("namespace"));
    }
    if name.trim().is_empty() {
        return Err(empty("name"));
    }
    let kind = kind
        .or(default_kind)
        .ok_or_else(|| RefError::KindMissing { text: text.to_owned() })?;
    Ok(EntityRef::new(kind, namespace.unwrap_or(default_namespace), name))
}

/// Parses a ref whose field takes one kind only.
///
/// # Errors
/// As [`parse`], and when the text names another kind.
pub fn parse_of_kind(text: &str, kind: &str, default_namespace: &str) -> Result<EntityRef, RefError> {
    let parsed = parse(text, Some(kind), default_namespace)?;
    if parsed.kind == kind.to_lowercase() {
        Ok(parsed)
    } else {
        Err(RefError::WrongKind {
            text: text.to_owned(),
            found: parsed.kind,
            expected: kind.to_lowercase(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_that_are_left_out_take_their_defaults() {
        assert_eq!(
            parse("a", Some("Group"), "shop").unwrap(),
            EntityRef::new("group", "shop", "a")
        );
        assert_eq!(
            parse("User:A", Some("Group"), "shop").unwrap(),
            EntityRef::new("user", "shop", "a")
        );
        assert_eq!(
            parse("x/A", Some("Group"), "shop").unwrap(),
            EntityRef::new("group", "x", "a")
        );
        assert_eq!(parse("api:X/y", None, "shop").unwrap().to_string(), "api:x/y");
    }

    #[test]
    fn a_colon_behind_the_slash_belongs_to_the_name() {
        assert_eq!(
            parse("x/a:b", Some("group"), "shop").unwrap(),
            EntityRef::new("group", "x", "a:b")
        );
    }

    #[test]
    fn faults_name_the_part() {
        assert!(matches!(
            parse(":a", Some("group"), "d"),
            Err(RefError::EmptyPart { part: "kind", .. })
        ));
        assert!(matches!(
            parse("/a", Some("group"), "d"),
            Err(RefError::EmptyPart { part: "namespace", .. })
        ));
        assert!(matches!(
            parse("a/", Some("group"), "d"),
            Err(RefError::EmptyPart { part: "name", .. })
        ));
        assert!(matches!(
            parse("", Some("group"), "d"),
            Err(RefError::EmptyPart { part: "name", .. })
        ));
        assert!(matches!(parse("a", None, "d"), Err(RefError::KindMissing { .. })));
        assert!(matches!(
            parse_of_kind("api:a", "system", "d"),
            Err(RefError::WrongKind { .. })
        ));
    }

    proptest! {
        #[test]
        fn a_written_ref_is_read_back(kind in "[a-z]{1,9}", namespace in "[a-z0-9-]{1,9}", name in "[a-zA-Z0-9_.-]{1,20}") {
            let full = EntityRef::new(&kind, &namespace, &name);
            prop_assert_eq!(parse(&full.to_string(), None, "other").unwrap(), full);
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = parse(&text, None, "default");
        }
    }
}
