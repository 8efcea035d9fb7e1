//! Whether a live object still says what was intended. Pure.

use serde_json::Value;

/// Whether `live` says all that `intent` says. What `live` says besides is others' affair.
pub fn says(live: &Value, intent: &Value) -> bool {
    match (live, intent) {
        (Value::Object(live), Value::Object(intent)) => intent
            .iter()
            .all(|(name, wanted)| live.get(name).is_some_and(|found| says(found, wanted))),
        (Value::Array(live), Value::Array(intent)) => {
            live.len() == intent.len() && live.iter().zip(intent).all(|(found, wanted)| says(found, wanted))
        }
        _ => live == intent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_added_is_no_drift_and_what_they_changed_is() {
        let intent = json!({"data": {"a": "one"}, "list": [{"name": "x"}]});
        assert!(says(
            &json!({"data": {"a": "one", "b": "theirs"}, "list": [{"name": "x", "by": "default"}], "status": {}}),
            &intent
        ));
        for live in [
            json!({"data": {"a": "two"}, "list": [{"name": "x"}]}),
            json!({"data": {}, "list": [{"name": "x"}]}),
            json!({"data": {"a": "one"}, "list": []}),
            json!({"data": {"a": "one"}, "list": [{"name": "x"}, {"name": "y"}]}),
            json!({"data": {"a": "one"}}),
        ] {
            assert!(!says(&live, &intent), "{live}");
        }
    }
}
