//! Conditions, in the form that Kubernetes, kstatus, Helm and Argo CD read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The summary: True when nothing is left to do or to wait for.
pub const READY: &str = "Ready";
/// The spec is valid, its template is there and open to it, and every object is allowed.
pub const ACCEPTED: &str = "Accepted";
/// Every object of the plan is on the apiserver as planned, and nothing that fell out of the plan is left.
pub const PROVISIONED: &str = "Provisioned";
/// Every object that has a health of its own is healthy.
pub const HEALTHY: &str = "Healthy";
/// Every ref in the spec resolves.
pub const REFERENCES_RESOLVED: &str = "ReferencesResolved";
/// The instance runs the newest version that its template and pin allow.
pub const UP_TO_DATE: &str = "UpToDate";
/// Work is going on, or something is being waited for. Exists only while True.
pub const RECONCILING: &str = "Reconciling";
/// Nothing will happen until a person changes something. Exists only while True.
pub const STALLED: &str = "Stalled";
/// A live object differs from the plan and is left as it is. Exists only while True.
pub const DRIFTED: &str = "Drifted";
/// Objects are to pass from this instance to another, or to it from another, and have not. Exists only while True.
pub const MOVING: &str = "Moving";
/// Of a Template: whether its `steps`, if it has any, can be run.
pub const STEPS_SUPPORTED: &str = "StepsSupported";

/// Of a Template: whether every instance that follows it is at its newest version.
pub const ROLLED_OUT: &str = "RolledOut";

/// The order in which conditions are written: the summary first, what is abnormal last.
pub const ORDER: [&str; 12] = [
    READY,
    ACCEPTED,
    PROVISIONED,
    HEALTHY,
    REFERENCES_RESOLVED,
    UP_TO_DATE,
    STEPS_SUPPORTED,
    ROLLED_OUT,
    RECONCILING,
    STALLED,
    DRIFTED,
    MOVING,
];

/// The longest message that is written, in bytes.
pub const MESSAGE_LIMIT: usize = 2048;

/// One aspect of an object's state, as seen by Landfall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect this is. Example: `Ready`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
    /// The generation of the spec that this was seen at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When `status` last changed.
    #[schemars(extend("format" = "date-time"), length(max = 64))]
    pub last_transition_time: String,
    /// One word that programs can tell the cause by. Example: `NameConflict`.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    )]
    pub reason: String,
    /// What is so, why, and what to do about it.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// What a condition is to say, before the time and the generation are put to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which aspect.
    pub kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// The reason word.
    pub reason: String,
    /// The message; cut to [`MESSAGE_LIMIT`] when written.
    pub message: String,
}

impl Verdict {
    /// A verdict of status True.
    pub fn yes(kind: &'static str, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: "True",
            reason: reason.into(),
            message: message.into(),
        }
    }
    /// A verdict of status False.
    pub fn no(kind: &'static str, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: "False",
            reason: reason.into(),
            message: message.into(),
        }
    }
    /// A verdict of status Unknown.
    pub fn unknown(kind: &'static str, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: "Unknown",
            reason: reason.into(),
            message: message.into(),
        }
    }
}

/// Gives the conditions that `verdicts` amount to: those that say what `previous` said keep their
/// transition time, the others are given `now`; what has no verdict is left out. Sorted by [`ORDER`].
pub fn settle(previous: &[Condition], verdicts: &[Verdict], generation: Option<i64>, now: &str) -> Vec<Condition> {
    let mut settled: Vec<Condition> = verdicts
        .iter()
        .map(|verdict| {
            let before = previous.iter().find(|condition| condition.kind == verdict.kind);
            Condition {
                kind: verdict.kind.to_owned(),
                status: verdict.status.to_owned(),
                observed_generation: generation,
                last_transition_time: before
                    .filter(|condition| condition.status == verdict.status)
                    .map_or_else(|| now.to_owned(), |condition| condition.last_transition_time.clone()),
                reason: verdict.reason.clone(),
                message: bounded(&verdict.message, MESSAGE_LIMIT),
            }
        })
        .collect();
    settled.sort_by_key(|condition| {
        ORDER
            .iter()
            .position(|kind| *kind == condition.kind)
            .unwrap_or(ORDER.len())
    });
    settled
}

/// Cuts `text` to at most `limit` bytes on a character's boundary and marks the cut.
pub fn bounded(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// The condition of type `kind`.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdicts() -> impl Strategy<Value = Vec<Verdict>> {
        let one = (
            prop::sample::select(vec!["True", "False", "Unknown"]),
            "[A-Z][a-z]{1,9}",
            ".{0,30}|[ä€😀]{0,900}",
        );
        // At most one verdict of each type, in any order.
        prop::sample::subsequence(ORDER.to_vec(), 0..=ORDER.len())
            .prop_shuffle()
            .prop_flat_map(move |kinds| {
                prop::collection::vec(one.clone(), kinds.len()).prop_map(move |said| {
                    let verdict =
                        |(kind, (status, reason, message)): (&&'static str, (&'static str, String, String))| Verdict {
                            kind,
                            status,
                            reason,
                            message,
                        };
                    kinds.iter().zip(said).map(verdict).collect()
                })
            })
    }

    proptest! {
        #[test]
        fn to_settle_what_is_settled_changes_nothing(first in verdicts(), generation in 1i64..9) {
            let settled = settle(&[], &first, Some(generation), "2026-11-22T10:00:00Z");
            prop_assert_eq!(&settle(&settled, &first, Some(generation), "2026-11-22T11:00:00Z"), &settled);
        }

        #[test]
        fn the_time_moves_with_the_status_and_with_nothing_else(before in verdicts(), after in verdicts()) {
            let (early, late) = ("2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z");
            let previous = settle(&[], &before, Some(1), early);
            let settled = settle(&previous, &after, Some(2), late);
            prop_assert_eq!(settled.len(), after.len(), "what has no verdict is left out");
            for condition in &settled {
                let kept = find(&previous, &condition.kind).is_some_and(|old| old.status == condition.status);
                prop_assert_eq!(condition.last_transition_time.as_str(), if kept { early } else { late });
                prop_assert_eq!(condition.observed_generation, Some(2));
                prop_assert!(condition.message.len() <= MESSAGE_LIMIT);
            }
            let places: Vec<_> = settled.iter().map(|it| ORDER.iter().position(|kind| *kind == it.kind)).collect();
            prop_assert!(places.is_sorted(), "{places:?}");
        }

        #[test]
        fn a_cut_is_within_the_limit_and_between_characters(text in ".{0,80}|[ä€😀]{0,40}", limit in 0usize..120) {
            let cut = bounded(&text, limit);
            if text.len() <= limit {
                prop_assert_eq!(&cut, &text);
            } else {
                prop_assert!(cut.len() <= limit.max('…'.len_utf8()), "{cut:?} has {} bytes, {limit} are allowed", cut.len());
                prop_assert!(cut.strip_suffix('…').is_some_and(|head| text.starts_with(head)), "{cut:?}");
            }
        }
    }
}
