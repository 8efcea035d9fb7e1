//! Filters on maps, and those that make maps.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::call::{Call, Signature};
use super::filters_list::{attribute_of, sorted};
use super::operators;
use super::term::{Outcome, Stop};

pub(super) const FILTERS: &[Signature] = &[
    Signature {
        name: "dictsort",
        parameters: &["case_sensitive", "by", "reverse"],
        required: 0,
        apply: dictsort,
    },
    Signature {
        name: "groupby",
        parameters: &["attribute"],
        required: 1,
        apply: groupby,
    },
    Signature {
        name: "items",
        parameters: &[],
        required: 0,
        apply: items,
    },
    Signature {
        name: "keys",
        parameters: &[],
        required: 0,
        apply: keys,
    },
    Signature {
        name: "values",
        parameters: &[],
        required: 0,
        apply: values,
    },
];

/// A map's entries as pairs, sorted by key or by value.
fn dictsort(call: &Call<'_>) -> Outcome<Value> {
    let Value::Object(map) = call.input else {
        return Err(call.wrong_input("a map"));
    };
    call.meter.value(call.input)?;
    let by_value = match call.text_argument(1, "by")?.unwrap_or("key") {
        "key" => false,
        "value" => true,
        other => return Err(Stop::fault(format!("dictsort: by is {other}, expected key or value"))),
    };
    // In capitals, and not as `sort` does it: where `_` comes depends on this.
    let case = (!call.flag(0, "case_sensitive")).then_some(str::to_uppercase as fn(&str) -> String);
    let pairs = map
        .iter()
        .map(|(name, value)| (if by_value { value.clone() } else { json!(name) }, json!([name, value])))
        .collect();
    sorted(call, pairs, case, call.flag(2, "reverse"))
}

fn groupby(call: &Call<'_>) -> Outcome<Value> {
    let attribute = call.text_needed(0, "attribute")?;
    let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for item in call.input_list()? {
        let key = attribute_of(item, attribute)
            .ok_or_else(|| Stop::fault(format!("groupby: an item has no field {attribute}")))?;
        groups.entry(operators::text(key)?).or_default().push(item.clone());
    }
    Ok(Value::Object(
        groups
            .into_iter()
            .map(|(key, items)| (key, Value::Array(items)))
            .collect::<Map<_, _>>(),
    ))
}

fn items(call: &Call<'_>) -> Outcome<Value> {
    let Value::Object(map) = call.input else {
        return Err(call.wrong_input("a map"));
    };
    call.meter.value(call.input)?;
    Ok(Value::Array(
        map.iter().map(|(name, value)| json!([name, value])).collect(),
    ))
}

fn keys(call: &Call<'_>) -> Outcome<Value> {
    let Value::Object(map) = call.input else {
        return Err(call.wrong_input("a map"));
    };
    call.meter.value(call.input)?;
    Ok(Value::Array(map.keys().map(|name| json!(name)).collect()))
}

fn values(call: &Call<'_>) -> Outcome<Value> {
    let Value::Object(map) = call.input else {
        return Err(call.wrong_input("a map"));
    };
    call.meter.value(call.input)?;
    Ok(Value::Array(map.values().cloned().collect()))
}
