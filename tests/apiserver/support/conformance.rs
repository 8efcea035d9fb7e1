//! What tools take from a status: the rules of kstatus and of Flux, in our own words, as a check that any
//! test can run on any object of our kinds.

use std::collections::BTreeSet;

use kube::Client;
use kube::api::{Api, ApiResource, ListParams};
use kube::core::{DynamicObject, GroupVersionKind};
use serde_json::Value;

use super::patience::eventually;

/// The kinds that have a status of ours.
const KINDS: [&str; 3] = ["Component", "System", "Template"];
/// The longest message that people still read, in bytes.
const LONGEST: usize = 2048;

/// What kstatus, and with it `kubectl wait`, Helm, Flux and others, make of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed {
    /// It is as it should be.
    Current,
    /// It is not there yet.
    InProgress,
    /// It will not get there by itself.
    Failed,
    /// It is being deleted.
    Terminating,
}

/// What kstatus computes, by its order of precedence: deletion, generation, `Reconciling`, `Stalled`, `Ready`.
pub fn computed(object: &Value) -> Computed {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Computed::Terminating;
    }
    let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
    if object["status"]["observedGeneration"].as_i64() != Some(generation) || says(object, "Reconciling") == "True" {
        return Computed::InProgress;
    }
    match (says(object, "Stalled"), says(object, "Ready")) {
        ("True", _) => Computed::Failed,
        (_, "True") => Computed::Current,
        _ => Computed::InProgress,
    }
}

/// The status of a condition; empty where there is none.
pub fn says<'o>(object: &'o Value, kind: &str) -> &'o str {
    condition(object, kind)
        .and_then(|condition| condition["status"].as_str())
        .unwrap_or_default()
}

/// A condition of an object.
pub fn condition<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Whether the operator has said something about the object as it is now.
pub fn is_observed(object: &Value) -> bool {
    object["status"]["observedGeneration"].is_i64()
        && object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

/// What an object's status does against the rules, each in a sentence.
pub fn breaches(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut must = |holds: bool, rule: &str| {
        if !holds {
            found.push(rule.to_owned());
        }
    };
    let status = &object["status"];
    let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
    let observed = status["observedGeneration"].as_i64();
    must(observed.is_some(), "observedGeneration is there");
    must(
        observed.is_none_or(|observed| (-1..=generation).contains(&observed)),
        "observedGeneration is not beyond generation",
    );
    let conditions: Vec<&Value> = status["conditions"].as_array().into_iter().flatten().collect();
    let kinds: BTreeSet<&str> = conditions.iter().filter_map(|it| it["type"].as_str()).collect();
    must(kinds.len() == conditions.len(), "every type of condition is there once");
    must(kinds.contains("Ready"), "Ready is there");
    let holds = |kind: &str| says(object, kind) == "True";
    must(
        !(holds("Reconciling") && holds("Stalled")),
        "Reconciling and Stalled are not both True",
    );
    must(
        !(holds("Ready") && holds("Stalled")),
        "Ready is not True beside Stalled",
    );
    must(
        !(holds("Ready") && holds("Reconciling")),
        "Ready is not True beside Reconciling",
    );
    must(
        !holds("Ready") || observed == Some(generation),
        "Ready is True only of the spec as it is",
    );
    must(
        holds("Ready") || observed != Some(generation) || holds("Reconciling") || holds("Stalled"),
        "what is not Ready says whether it goes on (Reconciling) or is stuck (Stalled)",
    );
    let parts = ["Accepted", "Provisioned", "Healthy"];
    must(
        !holds("Ready") || object["spec"]["template"].is_null() || parts.iter().all(|part| holds(part)),
        "Ready is Accepted, Provisioned and Healthy",
    );
    for condition in conditions {
        for breach in of_condition(condition, observed) {
            found.push(format!("{}: {breach}", condition["type"].as_str().unwrap_or("?")));
        }
    }
    found
}

fn of_condition(condition: &Value, observed: Option<i64>) -> Vec<String> {
    let mut found = Vec::new();
    let mut must = |holds: bool, rule: String| {
        if !holds {
            found.push(rule);
        }
    };
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    let (kind, message) = (text("type"), text("message"));
    must(
        matches!(text("status"), "True" | "False" | "Unknown"),
        "its status is True, False or Unknown".to_owned(),
    );
    must(
        !matches!(kind, "Reconciling" | "Stalled" | "Drifted" | "Moving") || text("status") == "True",
        "it exists only while True".to_owned(),
    );
    let reason = text("reason");
    must(
        reason.starts_with(|letter: char| letter.is_ascii_uppercase())
            && reason.chars().all(|letter| letter.is_ascii_alphanumeric()),
        format!("its reason is one word, not {reason:?}"),
    );
    must(
        text("lastTransitionTime").parse::<jiff::Timestamp>().is_ok(),
        "it says when it changed".to_owned(),
    );
    must(
        condition["observedGeneration"]
            .as_i64()
            .is_none_or(|seen| Some(seen) <= observed),
        "it is not newer than the status".to_owned(),
    );
    must(!message.trim().is_empty(), "it has a message".to_owned());
    must(
        message.len() <= LONGEST,
        format!("its message has {} bytes, more than {LONGEST}", message.len()),
    );
    must(
        !message.contains(['\n', '\r', '\t']),
        format!("its message is one line: {message:?}"),
    );
    for volatile in volatile(message) {
        must(
            false,
            format!("its message holds what changes by itself, {volatile:?}: {message:?}"),
        );
    }
    for internal in ["Some(", "None)", "Err(", "Ok(", "panicked", "Error {", "Status {"] {
        must(
            !message.contains(internal),
            format!("its message shows the program's inside, {internal:?}: {message:?}"),
        );
    }
    found
}

/// Ages, countdowns, times and counts of attempts in a message: each makes a write out of nothing new.
pub fn volatile(message: &str) -> Vec<String> {
    let words: Vec<&str> = message
        .split(|letter: char| letter.is_whitespace() || matches!(letter, ',' | ';' | '(' | ')' | '"'))
        .filter(|word| !word.is_empty())
        .collect();
    let mut found: Vec<String> = words
        .windows(2)
        .filter(|pair| match pair {
            [before, "ago" | "left" | "remaining" | "old" | "elapsed"] => is_duration(before) || is_unit(before),
            ["in" | "after" | "for" | "since", then] => is_duration(then),
            ["attempt" | "retry" | "try", then] => then.trim_start_matches('#').parse::<u32>().is_ok(),
            _ => false,
        })
        .map(|pair| pair.join(" "))
        .collect();
    let times = words
        .iter()
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| word.parse::<jiff::Timestamp>().is_ok());
    found.extend(times.map(str::to_owned));
    found
}

/// `5s`, `1m30s`, `250ms`.
fn is_duration(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ':']);
    let units = word.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    units.len() < word.len()
        && !units.is_empty()
        && units
            .chars()
            .all(|letter| letter.is_ascii_digit() || matches!(letter, 'h' | 'm' | 's' | 'd'))
}

fn is_unit(word: &str) -> bool {
    let units = ["second", "minute", "hour", "day", "sec", "min", "s", "m", "h"];
    units.contains(&word.trim_end_matches('s')) || units.contains(&word)
}

/// Waits until the operator has seen every object of our kinds in these namespaces as it is, and holds each
/// to the rules.
pub async fn assert_conformance(client: &Client, namespaces: &[&str]) {
    for namespace in namespaces {
        for kind in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("catalog.landfall.dev", "v1alpha1", kind));
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            let objects = eventually("every object to be observed as it is", async || {
                let listed = api
                    .list(&ListParams::default())
                    .await
                    .map_err(|error| error.to_string())?;
                let objects: Vec<Value> = listed
                    .into_iter()
                    .map(|object| serde_json::to_value(object).unwrap())
                    .collect();
                let waiting = objects
                    .iter()
                    .find(|object| !is_observed(object) && object["metadata"]["deletionTimestamp"].is_null());
                match waiting {
                    None => Ok(objects),
                    Some(object) => Err(object.to_string()),
                }
            })
            .await;
            for object in objects {
                let broken = breaches(&object);
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                assert!(
                    broken.is_empty(),
                    "the status of {kind} {namespace}/{name} breaks the rules of kstatus:\n{}\n{:#}",
                    broken.join("\n"),
                    object["status"]
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(generation: i64, observed: i64, conditions: &[(&str, &str, &str)]) -> Value {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status, message)| {
                json!({
                    "type": kind, "status": status, "reason": "Because", "message": message,
                    "observedGeneration": observed, "lastTransitionTime": "2026-01-01T00:00:00Z",
                })
            })
            .collect();
        json!({
            "metadata": {"generation": generation},
            "status": {"observedGeneration": observed, "conditions": conditions},
        })
    }

    #[test]
    fn good_ones_pass() {
        for good in [
            object(2, 2, &[("Ready", "True", "3 objects are as planned and healthy")]),
            object(
                2,
                2,
                &[
                    ("Ready", "False", "waiting for x"),
                    ("Reconciling", "True", "waiting for x"),
                ],
            ),
            object(
                2,
                2,
                &[
                    ("Ready", "False", "is in the way"),
                    ("Stalled", "True", "is in the way"),
                ],
            ),
            object(1, -1, &[("Ready", "Unknown", "not looked at yet")]),
        ] {
            assert_eq!(breaches(&good), Vec::<String>::new());
        }
    }

    #[test]
    fn bad_ones_do_not() {
        for bad in [
            object(2, 2, &[("Accepted", "True", "x")]),
            object(2, 2, &[("Ready", "False", "x")]),
            object(2, 3, &[("Ready", "True", "x")]),
            object(2, 1, &[("Ready", "True", "x")]),
            object(2, 2, &[("Ready", "True", "x"), ("Stalled", "True", "x")]),
            object(2, 2, &[("Ready", "True", "x"), ("Reconciling", "True", "x")]),
            object(2, 2, &[("Ready", "True", "x"), ("Drifted", "False", "x")]),
            object(
                2,
                2,
                &[
                    ("Ready", "False", "x"),
                    ("Stalled", "True", "x"),
                    ("Reconciling", "True", "x"),
                ],
            ),
            object(2, 2, &[("Ready", "True", "x"), ("Ready", "True", "x")]),
            object(2, 2, &[("Ready", "True", "")]),
            object(2, 2, &[("Ready", "True", "since 2026-01-01T00:00:00Z")]),
        ] {
            assert!(!breaches(&bad).is_empty(), "{bad:#}");
        }
    }

    #[test]
    fn what_changes_by_itself_is_found() {
        for text in [
            "failed 5s ago",
            "tried 3 minutes ago",
            "again in 30s",
            "again in 1m30s.",
            "attempt 3 failed",
            "seen at 2026-01-01T00:00:00Z",
        ] {
            assert_eq!(volatile(text).len(), 1, "{text}");
        }
        for text in [
            "in namespace shop",
            "waiting for resources.db.status.host",
            "a pass took longer than 60 s and was ended",
            "grant in shop: verbs [get]",
        ] {
            assert_eq!(volatile(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn computed_as_kstatus_does() {
        let good = object(2, 2, &[("Ready", "True", "x")]);
        assert_eq!(computed(&good), Computed::Current);
        assert_eq!(computed(&object(3, 2, &[("Ready", "True", "x")])), Computed::InProgress);
        let stuck = object(2, 2, &[("Ready", "False", "x"), ("Stalled", "True", "x")]);
        assert_eq!(computed(&stuck), Computed::Failed);
        let going = object(2, 2, &[("Ready", "False", "x"), ("Reconciling", "True", "x")]);
        assert_eq!(computed(&going), Computed::InProgress);
        let mut gone = good;
        gone["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(computed(&gone), Computed::Terminating);
    }
}
