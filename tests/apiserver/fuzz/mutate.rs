//! What is done to a good object to make it a bad one.

use serde_json::{Map, Value, json};

use super::random::Random;
use super::schema::{Generator, Kind};

/// The most bytes of a spec: of a larger one the apiserver does not even read the end.
const LARGEST: usize = 1_000_000;

/// Texts that something may stumble over.
fn texts(own: &str) -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "null",
        "~",
        "\u{0}",
        "\u{7}\u{1b}[31m",
        "line one\nline two\r\n",
        "\u{202e}evil\u{202c}",
        "\u{200f}\u{feff}",
        "🦀🏳️‍🌈",
        "e\u{301}",
        "İ",
        "${{",
        "${{ }}",
        "${{ parameters }}",
        "${{ resources.firstRun.status.x }}",
        "${{ 'x' * 1000000000 }}",
        "{{ 7*7 }}",
        "{% for x in y %}",
        "{% raw %}",
        "../../etc/passwd",
        "a/b/c",
        "a:b:c",
        ":",
        "/",
        "component:",
        "Component:Default/X",
        "template:kube-system/x",
        "javascript:alert(1)",
        "- a: [b, &c, *c]",
        "<script>alert(1)</script>",
        "' OR 1=1 --",
        "999999999999999999999999",
        "-0",
        "1e309",
        "2026-13-45T99:99:99Z",
    ]
    .map(str::to_owned)
    .into();
    texts.extend([63, 64, 253, 254, 1024, 40_000].map(|length| "a".repeat(length)));
    texts.extend([63, 254].map(|length| "ß".repeat(length)));
    texts.push(own.to_owned());
    texts
}

/// Numbers that something may stumble over.
fn numbers() -> Vec<Value> {
    vec![
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e308),
        json!(-1),
        json!(0.5),
    ]
}

/// Changes a few things about a spec. `own` is the object's own ref.
pub fn mutate(random: &mut Random, spec: &mut Value, own: &str, refs: &[String]) {
    let changes = if random.chance(70) { 1 } else { 3 };
    for _ in 0..changes {
        let mut places = Vec::new();
        collect(spec, String::new(), &mut places);
        // What the schema leaves open gets past the apiserver, and is what the operator has to bear.
        let open: Vec<String> = places.iter().filter(|place| is_open(place)).cloned().collect();
        let among = if !open.is_empty() && random.chance(50) {
            &open
        } else {
            &places
        };
        let place = random.pick(among).clone();
        let before = spec.clone();
        change(random, spec, &place, own, refs);
        if spec.to_string().len() > LARGEST {
            *spec = before;
        }
    }
}

fn is_open(place: &str) -> bool {
    let open = [
        "manifest",
        "parameters",
        "extensions",
        "output",
        "steps",
        "each",
        "if",
        "readyWhen",
    ];
    place.split('/').any(|step| open.contains(&step))
}

/// Every place in a value, as a JSON pointer.
fn collect(value: &Value, path: String, places: &mut Vec<String>) {
    let step = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| collect(value, step(name), places)),
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                collect(item, step(&place.to_string()), places);
            }
        }
        _ => {}
    }
    places.push(path);
}

fn change(random: &mut Random, spec: &mut Value, place: &str, own: &str, refs: &[String]) {
    match random.below(10) {
        0 | 1 => remove(spec, place),
        choice => {
            let Some(found) = spec.pointer_mut(place) else { return };
            match choice {
                2 => *found = Value::Null,
                3 => *found = wrong_kind(random, found),
                4 => *found = random.pick(&numbers()).clone(),
                5 | 6 => *found = json!(random.pick(&texts(own))),
                7 => *found = many(found),
                8 => *found = json!(own),
                _ => *found = Generator { random, refs }.anything(4),
            }
        }
    }
}

fn remove(spec: &mut Value, place: &str) {
    let Some((parent, name)) = place.rsplit_once('/') else {
        return;
    };
    let name = name.replace("~1", "/").replace("~0", "~");
    match spec.pointer_mut(parent) {
        Some(Value::Object(map)) => drop(map.remove(&name)),
        Some(Value::Array(items)) => {
            if let Ok(place) = name.parse::<usize>() {
                items.remove(place);
            }
        }
        _ => {}
    }
}

fn wrong_kind(random: &mut Random, found: &Value) -> Value {
    let kinds = [
        json!("text"),
        json!(7),
        json!(true),
        json!([]),
        json!({}),
        json!([[[]]]),
        json!({"a": {"b": [1]}}),
    ];
    let other: Vec<&Value> = kinds
        .iter()
        .filter(|kind| std::mem::discriminant(*kind) != std::mem::discriminant(found))
        .collect();
    (*random.pick(&other)).clone()
}

/// Ten thousand links, or many of what else is a list; many fields; or a hundred levels of it.
fn many(found: &Value) -> Value {
    match found {
        Value::Array(items) => {
            let item = items
                .first()
                .cloned()
                .unwrap_or_else(|| json!({"url": "https://example.com/"}));
            let numbered = |number: usize| match &item {
                Value::Object(map) => {
                    let number_in = |(name, value): (&String, &Value)| match value {
                        Value::String(text) => (name.clone(), json!(format!("{text}{number}"))),
                        other => (name.clone(), other.clone()),
                    };
                    Value::Object(map.iter().map(number_in).collect())
                }
                Value::String(text) => json!(format!("{text}{number}")),
                other => other.clone(),
            };
            // Of other lists the apiserver compares every two items, for longer than it gives itself.
            let is_links = !items.is_empty() && item["url"].is_string();
            let count = if is_links { 10_000 } else { 600 };
            (0..count).map(numbered).collect()
        }
        Value::Object(_) => Value::Object(
            (0..30)
                .map(|number| (format!("f{number}"), json!("x")))
                .collect::<Map<_, _>>(),
        ),
        other => (0..100).fold(other.clone(), |inner, _| json!([inner])),
    }
}

/// Metadata that somebody may write: our own annotations with odd values, others', labels, owners, finalizers.
pub fn metadata(random: &mut Random, kind: &Kind, live: &Value) -> Value {
    let odd = [
        "",
        "yes",
        "x",
        "release",
        "sha256:0",
        "\u{202e}",
        "🦀",
        "component:other/x",
        "a\nb",
    ];
    let long = "x".repeat(100_000);
    let mut annotations = Map::new();
    for name in [
        "reconcile",
        "confirm-deletion",
        "release",
        "adopt-by",
        "instance",
        "claim",
        "intent",
        "unknown",
    ] {
        if random.chance(20) {
            let value = if random.chance(5) {
                long.as_str()
            } else {
                random.pick(&odd)
            };
            annotations.insert(format!("landfall.dev/{name}"), json!(value));
        }
    }
    let mut metadata = json!({"annotations": annotations});
    if random.chance(20) {
        metadata["labels"] = json!({"landfall.dev/instance-uid": live["uid"], "landfall.dev/template": "x"});
    }
    if random.chance(10) {
        metadata["ownerReferences"] = json!([{
            "apiVersion": kind.api_version, "kind": kind.name, "name": live["name"], "uid": live["uid"],
            "controller": true, "blockOwnerDeletion": true,
        }]);
    }
    // On a kind that is never provisioned nobody takes it off again: who put it there by hand does so.
    if kind.is_provisioned() && random.chance(10) {
        metadata["finalizers"] = json!(["catalog.landfall.dev/provisioned"]);
    }
    metadata
}
