//! What is not as it should be with an entity and does not count for whether it is Ready. Pure.

use serde_json::Value;

use super::remedies::{Asked, of_reason};
use super::tree::{Node, State};
use crate::api::conditions::{self, Condition};
use crate::api::reasons::Reason;

/// The conditions that do not count for Ready, and the status that each has when something is wrong.
const BESIDE: [(&str, &str); 5] = [
    (conditions::REFERENCES_RESOLVED, "False"),
    (conditions::UP_TO_DATE, "False"),
    (conditions::STEPS_SUPPORTED, "False"),
    (conditions::DRIFTED, "True"),
    (conditions::MOVING, "True"),
];

/// A warning for each condition that is not as it should be, does not count for Ready, and says what Ready does not.
pub fn of_conditions(all: &[Condition], asked: Asked<'_>) -> Vec<Node> {
    let ready = conditions::find(all, conditions::READY);
    let said = |reason: &str| ready.is_some_and(|ready| ready.status != "True" && ready.reason == reason);
    BESIDE
        .iter()
        .filter_map(|(kind, wrong)| conditions::find(all, kind).filter(|found| found.status == *wrong))
        .filter(|condition| !said(&condition.reason))
        .map(|condition| of_condition(condition, asked))
        .collect()
}

fn of_condition(condition: &Condition, asked: Asked<'_>) -> Node {
    let reason: Option<Reason> = condition.reason.parse().ok();
    let state = match reason {
        // It is so because somebody wants it so.
        Some(Reason::Pinned) => State::Note,
        _ => State::Warning,
    };
    let text = format!("{}: {}", condition.reason, condition.message);
    let node = Node::new(&condition.kind, state, text).since(Some(&condition.last_transition_time));
    match reason.and_then(|reason| of_reason(reason, &condition.message, asked)) {
        Some(remedy) => node.with_remedy(remedy),
        None => node,
    }
}

/// That nothing can be made from a Template with this spec, if so. An imported one is such a record.
pub fn of_template(spec: &Value, asked: Asked<'_>) -> Option<Node> {
    let resources = spec.get("resources").and_then(Value::as_array);
    if resources.is_some_and(|resources| !resources.is_empty()) {
        return None;
    }
    let account = if account(spec).is_some() {
        ""
    } else {
        " and names no spec.serviceAccountName"
    };
    let text = format!("it has none{account}, so nothing is made from it");
    let remedy = format!(
        "set spec.resources and spec.serviceAccountName, if instances are to use it: {}",
        asked.edit()
    );
    Some(Node::new("spec.resources", State::Warning, text).with_remedy(remedy))
}

/// The account that a Template with this spec names.
pub fn account(spec: &Value) -> Option<&str> {
    spec.get("serviceAccountName").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ASKED: Asked<'_> = Asked {
        resource: "components.catalog.landfall.dev",
        namespace: "shop",
        name: "orders",
    };

    fn condition(kind: &str, status: &str, reason: &str) -> Condition {
        Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: "says why".to_owned(),
            ..Condition::default()
        }
    }

    fn told(conditions: &[Condition]) -> Vec<(String, State, bool)> {
        let nodes = of_conditions(conditions, ASKED).into_iter();
        nodes
            .map(|node| (node.text, node.state, node.remedy.is_some()))
            .collect()
    }

    #[test]
    fn each_condition_that_is_wrong_and_does_not_count_for_ready_is_a_warning() {
        let wrong = [
            condition("Ready", "True", "Ready"),
            condition("ReferencesResolved", "False", "ReferenceNotFound"),
            condition("UpToDate", "False", "NewerVersion"),
            condition("StepsSupported", "False", "StepsNotSupported"),
            condition("Drifted", "True", "Contested"),
        ];
        let expected = ["ReferenceNotFound", "NewerVersion", "StepsNotSupported", "Contested"];
        let expected = expected.map(|reason| (format!("{reason}: says why"), State::Warning, true));
        assert_eq!(told(&wrong), expected);
        let well = [
            condition("ReferencesResolved", "True", "Resolved"),
            condition("UpToDate", "True", "Latest"),
        ];
        assert_eq!(told(&well), []);
    }

    #[test]
    fn a_pin_is_told_and_no_warning_and_what_ready_says_is_not_told_again() {
        let pinned = [condition("UpToDate", "False", "Pinned")];
        assert_eq!(told(&pinned), [("Pinned: says why".to_owned(), State::Note, false)]);
        let fought = [
            condition("Ready", "False", "Contested"),
            condition("Drifted", "True", "Contested"),
        ];
        assert_eq!(told(&fought), []);
    }

    #[test]
    fn a_template_without_resources_says_so() {
        let text = |spec| of_template(&spec, ASKED).map(|node| node.text);
        assert_eq!(text(json!({"resources": [{"id": "a"}]})), None);
        assert_eq!(
            text(json!({"serviceAccountName": "a"})).as_deref(),
            Some("it has none, so nothing is made from it")
        );
        assert_eq!(
            text(json!({"resources": []})).as_deref(),
            Some("it has none and names no spec.serviceAccountName, so nothing is made from it")
        );
    }
}
