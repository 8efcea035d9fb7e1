//! What would change in an object: field by field, between how it is and how it would be. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::names::{below, push_index, shown};

/// One field that would change.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// Where. Example: `spec.template.spec.containers[name=web].image`.
    pub path: String,
    /// What is there; none where there is nothing.
    pub before: Option<Value>,
    /// What would be there; none where there would be nothing.
    pub after: Option<Value>,
}

/// What the apiserver keeps in every object's metadata.
const KEPT_BY_APISERVER: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// An object without what nobody writes, and without the labels and annotations called as `marks`.
#[must_use]
pub fn written(object: &Value, marks: &[&str]) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return object;
    };
    for field in KEPT_BY_APISERVER {
        metadata.remove(field);
    }
    for place in ["labels", "annotations"] {
        if let Some(Value::Object(found)) = metadata.get_mut(place) {
            found.retain(|name, _| !marks.contains(&name.as_str()));
            if found.is_empty() {
                metadata.remove(place);
            }
        }
    }
    object
}

/// Every field in which `after` differs from `before`, in the order of their paths. Items of lists are matched by what
/// names them.
pub fn changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare(Some(before), Some(after), "", &mut found);
    found
}

fn compare(before: Option<&Value>, after: Option<&Value>, path: &str, found: &mut Vec<FieldChange>) {
    match (before, after) {
        (Some(before), Some(after)) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                compare(before.get(name), after.get(name), &below(path, name), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => lists(before, after, path, found),
        (before, after) => found.push(FieldChange {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn lists(before: &[Value], after: &[Value], path: &str, found: &mut Vec<FieldChange>) {
    let Some(key) = naming(before, after) else {
        for place in 0..before.len().max(after.len()) {
            let mut path = path.to_owned();
            push_index(&mut path, place);
            compare(before.get(place), after.get(place), &path, found);
        }
        return;
    };
    let (old, new) = (by_name(before, key), by_name(after, key));
    for (name, item) in &old {
        compare(Some(item), new.get(name).copied(), &named(path, key, name), found);
    }
    for (name, item) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        compare(None, Some(item), &named(path, key, name), found);
    }
}

/// The items of a list by what names them.
fn by_name<'v>(items: &'v [Value], key: &str) -> BTreeMap<String, &'v Value> {
    let name = |item: &'v Value| Some((text(item.get(key)?), item));
    items.iter().filter_map(name).collect()
}

fn named(path: &str, key: &str, name: &str) -> String {
    format!("{path}[{key}={}]", shown(name, 63))
}

/// The fields by which Kubernetes' lists of maps tell their items, the usual first.
const NAMING: [&str; 8] = [
    "name",
    "id",
    "key",
    "containerPort",
    "port",
    "mountPath",
    "type",
    "topologyKey",
];

/// The field that names every item of both lists, and each item otherwise.
fn naming(before: &[Value], after: &[Value]) -> Option<&'static str> {
    let names = |items: &[Value], key: &str| {
        let mut seen = BTreeSet::new();
        items.iter().all(|item| {
            let name = item.get(key).filter(|name| name.is_string() || name.is_number());
            name.is_some_and(|name| seen.insert(text(name)))
        })
    };
    NAMING.into_iter().find(|key| names(before, key) && names(after, key))
}

fn text(name: &Value) -> String {
    name.as_str().map_or_else(|| name.to_string(), str::to_owned)
}

/// What an apply of `intent` would make of `live`, as far as that can be told without the apiserver: what the intent says
/// is there, what was `owned` by the last apply and is said no more is gone, and all else stays.
///
/// `owned` are our managed fields, as the apiserver keeps them (`fieldsV1`).
pub fn applied(live: &Value, intent: &Value, owned: Option<&Value>) -> Value {
    let mut after = live.clone();
    if let Some(owned) = owned {
        take_out(&mut after, owned, Some(intent));
    }
    merge(&mut after, intent);
    after
}

fn merge(into: &mut Value, intent: &Value) {
    match (into, intent) {
        (Value::Object(into), Value::Object(intent)) => {
            for (name, wanted) in intent {
                match into.get_mut(name) {
                    Some(found) => merge(found, wanted),
                    None => {
                        into.insert(name.clone(), wanted.clone());
                    }
                }
            }
        }
        (Value::Array(into), Value::Array(intent)) => merge_lists(into, intent),
        (into, intent) => *into = intent.clone(),
    }
}

fn merge_lists(into: &mut Vec<Value>, intent: &[Value]) {
    // Lists of maps are merged item by item where they are named, as the schemas of nearly all kinds have it.
    let key = naming(into, intent).filter(|_| !into.is_empty());
    let Some(key) = key else {
        *into = intent.to_vec();
        return;
    };
    for wanted in intent {
        match into.iter_mut().find(|item| item.get(key) == wanted.get(key)) {
            Some(found) => merge(found, wanted),
            None => into.push(wanted.clone()),
        }
    }
}

/// Takes out of `value` what `owned` names and `intent` does not say.
fn take_out(value: &mut Value, owned: &Value, intent: Option<&Value>) {
    let Some(owned) = owned.as_object() else { return };
    for (step, below) in owned {
        if let Some(name) = step.strip_prefix("f:") {
            take_field(value, name, below, intent);
        } else if let Some(keys) = step.strip_prefix("k:") {
            take_item(value, keys, below, intent);
        }
    }
}

fn take_field(value: &mut Value, name: &str, below: &Value, intent: Option<&Value>) {
    let wanted = intent.and_then(|intent| intent.get(name));
    let Value::Object(fields) = value else { return };
    let Some(found) = fields.get_mut(name) else { return };
    let leaf = below.as_object().is_none_or(Map::is_empty);
    if wanted.is_none() && leaf {
        fields.remove(name);
        return;
    }
    take_out(found, below, wanted);
    // A map or list of which all was ours goes with the last of it.
    let empty = found.as_object().is_some_and(Map::is_empty) || found.as_array().is_some_and(Vec::is_empty);
    if wanted.is_none() && empty {
        fields.remove(name);
    }
}

fn take_item(value: &mut Value, keys: &str, below: &Value, intent: Option<&Value>) {
    let (Value::Array(items), Ok(Value::Object(keys))) = (value, serde_json::from_str(keys)) else {
        return;
    };
    let is = |item: &Value| keys.iter().all(|(key, value)| item.get(key) == Some(value));
    let wanted = intent
        .and_then(Value::as_array)
        .and_then(|items| items.iter().find(|item| is(item)));
    let Some(place) = items.iter().position(is) else { return };
    if let Some(found) = items.get_mut(place) {
        take_out(found, below, wanted);
    }
    let bare = items
        .get(place)
        .and_then(Value::as_object)
        .is_some_and(|item| item.keys().all(|field| keys.contains_key(field)));
    if wanted.is_none() && bare {
        items.remove(place);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn paths(before: &Value, after: &Value) -> Vec<String> {
        changes(before, after).into_iter().map(|change| change.path).collect()
    }

    #[test]
    fn each_field_is_named_by_its_path_and_items_by_what_names_them() {
        let before = json!({"spec": {"replicas": 1, "containers": [{"name": "web", "image": "a"}, {"name": "old"}], "args": ["x", "y"]}});
        let after = json!({"spec": {"replicas": 2, "containers": [{"name": "new"}, {"name": "web", "image": "b"}], "args": ["x"]}, "data": {}});
        assert_eq!(
            paths(&before, &after),
            [
                "data",
                "spec.args[1]",
                "spec.containers[name=old]",
                "spec.containers[name=web].image",
                "spec.containers[name=new]",
                "spec.replicas"
            ]
        );
    }

    #[test]
    fn what_the_apiserver_keeps_is_no_change() {
        let object = json!({"metadata": {"name": "a", "uid": "1", "managedFields": [], "annotations": {"mark": "x"}}, "status": {}});
        assert_eq!(written(&object, &["mark"]), json!({"metadata": {"name": "a"}}));
        assert_eq!(
            written(&object, &[]),
            json!({"metadata": {"name": "a", "annotations": {"mark": "x"}}})
        );
    }

    #[test]
    fn what_an_apply_says_no_more_goes_and_what_others_wrote_stays() {
        let live = json!({
            "data": {"ours": "1", "gone": "2", "theirs": "3"},
            "ports": [{"name": "http", "port": 80, "by": "default"}, {"name": "admin", "port": 81}],
            "only": {"ours": true},
        });
        let owned = json!({
            "f:data": {"f:ours": {}, "f:gone": {}},
            "f:ports": {"k:{\"name\":\"http\"}": {".": {}, "f:name": {}, "f:port": {}}, "k:{\"name\":\"admin\"}": {".": {}, "f:name": {}, "f:port": {}}},
            "f:only": {"f:ours": {}},
        });
        let intent = json!({"data": {"ours": "9"}, "ports": [{"name": "http", "port": 8080}]});
        assert_eq!(
            applied(&live, &intent, Some(&owned)),
            json!({
                "data": {"ours": "9", "theirs": "3"},
                "ports": [{"name": "http", "port": 8080, "by": "default"}],
            })
        );
        // Without the managed fields nothing is taken out.
        assert_eq!(applied(&live, &json!({"data": {"ours": "1"}}), None), live);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-c]", inner.clone()), 0..3).prop_map(|items| Value::from(
                    items
                        .into_iter()
                        .map(|(name, value)| json!({"name": name, "value": value}))
                        .collect::<Vec<_>>()
                )),
                prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_changes_between_a_value_and_itself(value in value()) {
            prop_assert_eq!(changes(&value, &value), vec![]);
            prop_assert_eq!(applied(&value, &value, None), value);
        }

        #[test]
        fn two_values_that_differ_have_a_change_and_it_is_one(before in value(), after in value()) {
            let found = changes(&before, &after);
            // A named list may only have another order, which is no change.
            prop_assert!(before != after || found.is_empty());
            for change in &found {
                prop_assert!(change.before != change.after, "{change:?}");
            }
            prop_assert_eq!(changes(&after, &before).len(), found.len());
        }

        #[test]
        fn to_apply_twice_is_to_apply_once(live in value(), intent in value()) {
            let once = applied(&live, &intent, None);
            prop_assert_eq!(applied(&once, &intent, None), once);
        }
    }
}
