//! Whether a live object still says what was intended, in which field it does not, and who wrote that. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use crate::api::marks;
use crate::template::names::{count, push_index, push_name, shown};

/// One step from a value into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A field of a map.
    Field(String),
    /// An item of a list.
    Item(usize),
}

/// One place at which a live object does not say what was intended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub steps: Vec<Step>,
    /// Whether there is nothing at all at that place.
    pub gone: bool,
}

/// The most places that are looked for.
const MOST: usize = 100;
/// The most places that are told.
const TOLD: usize = 3;
/// The longest name of a field manager that is told, in characters; the apiserver takes 128.
pub const MANAGER: usize = 63;

/// Every place at which `live` does not say what `intent` says, but for another spelling of the same. What `live` says besides
/// is others' affair.
pub fn differences(live: &Value, intent: &Value) -> Vec<Difference> {
    let same = |live: Option<&Value>, intent: &Value| live == Some(intent) || respelled(live, intent, false);
    search(live, intent, &same, MOST)
}

/// What was changed and by whom, in words. None where nothing was. Of a field that is gone nobody is the manager any more.
pub fn by_whom(live: &Value, intent: &Value, others: &[ManagedFieldsEntry]) -> Option<String> {
    let found = differences(live, intent);
    let told = found.iter().take(TOLD).map(|difference| {
        let place = path(&difference.steps);
        let who = manager(others, &difference.steps).filter(|_| !difference.gone);
        match who {
            Some(who) => format!("{place} was changed by field manager {}", shown(&who, MANAGER)),
            None if difference.gone => format!("{place} was taken away"),
            None => format!("{place} was changed by others"),
        }
    });
    let told: Vec<String> = told.collect();
    let more = match found.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!(", and {}", count(more, "more field")),
    };
    (!told.is_empty()).then(|| format!("{}{more}", told.join(", ")))
}

/// The first of [`differences`], without what the apiserver only writes in another way: quantities, times, and what is empty. For
/// objects of which nobody else has taken a field, so that what differs was changed while it was written.
pub fn rewritten(live: &Value, intent: &Value) -> Option<Vec<Step>> {
    let same = |live: Option<&Value>, intent: &Value| match (live, intent) {
        _ if is_empty(intent) => true,
        (Some(Value::Array(live)), Value::Array(intent)) => live.len() != intent.len(),
        (Some(live), intent) => live == intent || spelled(live, intent) || (counts(live) && counts(intent)),
        (None, _) => false,
    };
    search(live, intent, &same, 1).pop().map(|found| found.steps)
}

/// Whether the apiserver may write `wanted` as `found`, so that it would be no change: what is empty may be left out, a
/// number may be a text, and a quantity or a time may have another spelling. Of what was `applied` before, also what cannot be
/// told to be either.
pub fn respelled(found: Option<&Value>, wanted: &Value, applied: bool) -> bool {
    let Some(found) = found else {
        return is_empty(wanted);
    };
    let (Some(old), Some(new)) = (text_of(found), text_of(wanted)) else {
        return false;
    };
    if old == new {
        return true;
    }
    if let (Some(old), Some(new)) = (quantity(&old), quantity(&new)) {
        // Both come from few decimal digits, and differ by rounding alone where they are the same.
        return (old - new).abs() <= old.abs() * 1e-12;
    }
    if let (Ok(old), Ok(new)) = (old.parse::<Timestamp>(), new.parse::<Timestamp>()) {
        return old == new;
    }
    applied && counts(found) && counts(wanted)
}

/// The suffixes of quantities (`k8s.io/apimachinery/pkg/api/resource`).
const SUFFIXES: [(&str, f64); 16] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("", 1.0),
];

/// The number that a text is as a quantity.
fn quantity(text: &str) -> Option<f64> {
    let number = |(suffix, factor): &(&str, f64)| {
        let digits = text.strip_suffix(suffix)?;
        let plain = digits.ends_with(|last: char| last.is_ascii_digit() || last == '.');
        digits
            .parse::<f64>()
            .ok()
            .filter(|_| plain)
            .map(|number| number * factor)
    };
    SUFFIXES.iter().find_map(number)
}

/// Whether nothing is said by it, so that the apiserver may leave it out or put a default in its place.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        Value::Bool(true) => false,
    }
}

/// Whether a text and a number are the same but for that.
fn spelled(live: &Value, intent: &Value) -> bool {
    text_of(live).is_some_and(|text| text_of(intent) == Some(text))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether it may be a quantity or a time, which have several spellings.
fn counts(value: &Value) -> bool {
    text_of(value).is_some_and(|text| {
        text.trim_start_matches(['+', '-', '.'])
            .starts_with(|first: char| first.is_ascii_digit())
    })
}

/// Whether what is there is the same as what was intended.
type Same<'s> = &'s dyn Fn(Option<&Value>, &Value) -> bool;

/// The first places, at most so many, at which `live` is not the same as `intent`.
fn search(live: &Value, intent: &Value, same: Same<'_>, most: usize) -> Vec<Difference> {
    let mut found = Vec::new();
    collect(Some(live), intent, same, &mut Vec::new(), &mut |difference| {
        found.push(difference);
        found.len() < most
    });
    found
}

/// Hands in each place at which `live` is not the same as `intent`, until `take` wants no more. Gives whether it does.
fn collect(
    live: Option<&Value>,
    intent: &Value,
    same: Same<'_>,
    at: &mut Vec<Step>,
    take: &mut dyn FnMut(Difference) -> bool,
) -> bool {
    let mut below = |step: Step, live: Option<&Value>, wanted: &Value| {
        at.push(step);
        let more = collect(live, wanted, same, at, take);
        at.pop();
        more
    };
    match (live, intent) {
        (Some(Value::Object(live)), Value::Object(intent)) => intent
            .iter()
            .all(|(name, wanted)| below(Step::Field(name.clone()), live.get(name), wanted)),
        (Some(Value::Array(live)), Value::Array(intent)) if live.len() == intent.len() => {
            let mut pairs = live.iter().zip(intent).enumerate();
            pairs.all(|(place, (found, wanted))| {
                let found = named_as(live, wanted).unwrap_or(found);
                below(Step::Item(place), Some(found), wanted)
            })
        }
        _ if same(live, intent) => true,
        _ => take(Difference {
            steps: at.clone(),
            gone: live.is_none(),
        }),
    }
}

/// The item of a list that has the name of `wanted`: the apiserver keeps such items in an order of its own.
fn named_as<'v>(items: &'v [Value], wanted: &Value) -> Option<&'v Value> {
    let name = wanted.get("name")?;
    items.iter().find(|item| item.get("name") == Some(name))
}

/// The place in words: `data.a`, `spec.ports[0].port`.
pub fn path(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Field(name) => push_name(&mut path, name),
            Step::Item(place) => push_index(&mut path, *place),
        }
    }
    path
}

/// The field manager other than ours that wrote a place last, as far as managed fields say; also by a subresource such as
/// `scale`. Items of a list have keys of their own there, so that who wrote the list is found instead.
pub fn manager(managed: &[ManagedFieldsEntry], steps: &[Step]) -> Option<String> {
    let owns = |entry: &ManagedFieldsEntry| {
        let mut fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        for step in steps {
            let Step::Field(name) = step else { break };
            fields = fields.and_then(|fields| fields.get(format!("f:{name}")));
        }
        fields.is_some()
    };
    let others = managed.iter().filter(|entry| {
        entry.manager.as_deref() != Some(marks::OBJECT_MANAGER)
            && entry.subresource.as_deref() != Some("status")
            && owns(entry)
    });
    let last = others.max_by(|left, right| left.time.cmp(&right.time));
    last.and_then(|entry| entry.manager.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn at(found: Option<Vec<Step>>) -> Option<String> {
        found.map(|steps| path(&steps))
    }

    /// Where they differ.
    fn all(live: &Value, intent: &Value) -> Vec<String> {
        differences(live, intent)
            .iter()
            .map(|found| path(&found.steps))
            .collect()
    }

    #[test]
    fn what_others_added_is_no_drift_and_what_they_changed_is() {
        let intent = json!({"data": {"a": "one"}, "list": [{"name": "x"}]});
        let more = json!({"data": {"a": "one", "b": "theirs"}, "list": [{"name": "x", "by": "default"}], "status": {}});
        assert_eq!(all(&more, &intent), Vec::<String>::new());
        for (live, place) in [
            (json!({"data": {"a": "two"}, "list": [{"name": "x"}]}), "data.a"),
            (json!({"data": {}, "list": [{"name": "x"}]}), "data.a"),
            (json!({"data": {"a": "one"}, "list": []}), "list"),
            (json!({"data": {"a": "one"}, "list": [{"name": "y"}]}), "list[0].name"),
            (
                json!({"data": {"a": "one"}, "list": [{"name": "x"}, {"name": "y"}]}),
                "list",
            ),
            (json!({"data": {"a": "one"}}), "list"),
        ] {
            assert_eq!(all(&live, &intent), [place], "{live}");
        }
    }

    #[test]
    fn each_field_is_told_with_who_changed_it_and_another_spelling_is_no_change() {
        let theirs: Vec<ManagedFieldsEntry> = serde_json::from_value(json!([
            {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}},
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kubelet", "operation": "Update", "subresource": "status", "fieldsV1": {"f:spec": {"f:cpu": {}}}},
        ]))
        .unwrap();
        let intent = json!({"data": {"a": "one", "b": "two"}, "spec": {"replicas": 3, "cpu": "1000m"}});
        let told = |live: Value| by_whom(&live, &intent, &theirs);
        assert_eq!(
            told(json!({"data": {"a": "one", "b": "two"}, "spec": {"replicas": 3, "cpu": "1"}})),
            None
        );
        assert_eq!(
            told(json!({"data": {"a": "x"}, "spec": {"replicas": 9, "cpu": "1"}})).as_deref(),
            Some(
                "data.a was changed by field manager kubectl-edit, data.b was taken away, spec.replicas was changed by field manager kube-controller-manager"
            )
        );
        assert_eq!(
            told(json!({"data": {"a": "one", "b": "x"}, "spec": {"replicas": 3, "cpu": "2"}})).as_deref(),
            Some("data.b was changed by others, spec.cpu was changed by others")
        );
        let many = json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5});
        assert_eq!(
            by_whom(&json!({}), &many, &[]).as_deref(),
            Some("a was taken away, b was taken away, c was taken away, and 2 more fields")
        );
    }

    #[test]
    fn another_spelling_is_not_rewritten_and_another_value_is() {
        let intent = json!({"cpu": "1000m", "at": "2026-01-01T00:00:00Z", "port": "80", "none": "", "off": false, "list": [], "text": "a", "on": true});
        let live = json!({"cpu": "1", "at": "2026-01-01T01:00:00+01:00", "port": 80, "none": "a default", "text": "a", "on": true});
        assert_eq!(rewritten(&live, &intent), None);
        for (field, value) in [("text", json!("b")), ("text", json!(null)), ("on", json!(false))] {
            let mut changed = live.clone();
            changed[field] = value;
            assert_eq!(at(rewritten(&changed, &intent)).as_deref(), Some(field));
        }
    }

    #[test]
    fn a_number_may_come_back_as_a_text_and_a_quantity_or_a_time_in_another_spelling() {
        assert!(respelled(Some(&json!("5")), &json!(5), false));
        assert!(!respelled(Some(&json!("5")), &json!(9), false));
        assert!(!respelled(Some(&json!("99")), &json!(5), true));
        for (found, wanted) in [
            ("1", "1000m"),
            ("1Gi", "1024Mi"),
            ("1500m", "1.5"),
            ("2k", "2e3"),
            ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z"),
        ] {
            assert!(
                respelled(Some(&json!(found)), &json!(wanted), false),
                "{found} {wanted}"
            );
        }
        assert!(!respelled(Some(&json!("1G")), &json!("1Gi"), true));
        assert!(!respelled(Some(&json!("60m0s")), &json!("1h"), false));
        assert!(respelled(Some(&json!("60m0s")), &json!("1h"), true));
        assert!(!respelled(Some(&json!("NaN")), &json!("inf"), true));
        assert!(respelled(None, &json!({"a": []}), false));
        assert!(!respelled(None, &json!("a"), true));
    }

    #[test]
    fn the_manager_is_the_last_that_wrote_the_place() {
        let entry = |manager: &str, time: &str, fields: Value| {
            serde_json::from_value::<ManagedFieldsEntry>(
                json!({"manager": manager, "operation": "Apply", "time": time, "fieldsV1": fields}),
            )
            .unwrap()
        };
        let ours = json!({"f:data": {"f:a": {}, "f:b": {}}});
        let managed = [
            entry("landfall", "2026-01-03T00:00:00Z", ours),
            entry("old", "2026-01-01T00:00:00Z", json!({"f:data": {"f:a": {}}})),
            entry("new", "2026-01-02T00:00:00Z", json!({"f:data": {"f:a": {}}})),
        ];
        let steps = |names: &[&str]| -> Vec<Step> { names.iter().map(|name| Step::Field((*name).into())).collect() };
        assert_eq!(manager(&managed, &steps(&["data", "a"])).as_deref(), Some("new"));
        assert_eq!(manager(&managed, &steps(&["data", "b"])), None);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c0-2]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_differs_from_itself(value in value()) {
            prop_assert_eq!(differences(&value, &value), Vec::new());
            prop_assert_eq!(rewritten(&value, &value), None);
        }

        #[test]
        fn what_is_rewritten_differs(live in value(), intent in value()) {
            prop_assert!(rewritten(&live, &intent).is_none() || !differences(&live, &intent).is_empty());
        }
    }
}
