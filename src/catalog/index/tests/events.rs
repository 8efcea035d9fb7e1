//! What can happen to a small catalog.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Object;

const NAMESPACES: [&str; 2] = ["shop", "bank"];
const NAMES: [&str; 4] = ["orders", "ordres", "x", "team-1"];

fn text(kind: &'static str) -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "orders",
        "Ordres",
        "x",
        "team-1",
        "Team_1",
        "bank/orders",
        "shop/x",
        "shop/team_1",
    ]);
    (name, any::<bool>()).prop_map(move |(name, full)| {
        if full {
            format!("{kind}:{name}")
        } else {
            name.to_owned()
        }
    })
}

fn spec(kind: &'static str) -> BoxedStrategy<Value> {
    let some = |name: &'static str, kind: &'static str| {
        prop::option::weighted(0.7, text(kind)).prop_map(move |text| text.map(|text| json!({name: text})))
    };
    let many = |name: &'static str, kind: &'static str| {
        prop::collection::vec(text(kind), 0..3).prop_map(move |texts| Some(json!({name: texts})))
    };
    let parts: Vec<BoxedStrategy<Option<Value>>> = match kind {
        "Component" => vec![
            some("owner", "group").boxed(),
            some("system", "system").boxed(),
            some("subcomponentOf", "component").boxed(),
            many("dependsOn", "component").boxed(),
            many("dependencyOf", "resource").boxed(),
        ],
        "Domain" => vec![some("owner", "user").boxed(), some("subdomainOf", "domain").boxed()],
        "System" => vec![some("owner", "group").boxed(), some("domain", "domain").boxed()],
        "Group" => vec![
            some("parent", "group").boxed(),
            many("children", "group").boxed(),
            many("members", "user").boxed(),
        ],
        _ => vec![many("memberOf", "group").boxed()],
    };
    let word = kind.to_lowercase();
    let former = prop::collection::vec(
        prop::sample::select(vec!["orders", "bank/orders", "shop/x", "Team_1"]),
        0..3,
    );
    let former = prop::option::weighted(
        0.3,
        former.prop_map(move |names| {
            let refs: Vec<String> = names.into_iter().map(|name| format!("{word}:{name}")).collect();
            json!({"aliases": refs})
        }),
    )
    .boxed();
    let mapped = prop::option::weighted(0.3, Just(json!({"entityName": "Team_1"}))).boxed();
    let parts: Vec<_> = parts.into_iter().chain([mapped, former]).collect();
    parts
        .prop_map(|parts| {
            let mut spec = json!({});
            for (name, value) in parts
                .into_iter()
                .flatten()
                .flat_map(|part| part.as_object().cloned().unwrap())
            {
                spec[name] = value;
            }
            spec
        })
        .boxed()
}

fn object() -> impl Strategy<Value = Object> {
    let kind = prop::sample::select(vec!["Component", "Domain", "System", "Group", "User"]);
    let whole = kind.prop_flat_map(|kind| (Just(kind), spec(kind)));
    let namespace = prop::sample::select(NAMESPACES.to_vec());
    let name = prop::sample::select(NAMES.to_vec());
    (whole, namespace, name, 0..4_u8, 0..3_i64, any::<bool>()).prop_map(
        |((kind, spec), namespace, name, uid, created, ready)| Object {
            kind,
            namespace,
            name,
            spec,
            uid,
            created,
            ready,
        },
    )
}

#[derive(Clone, Debug)]
pub enum Event {
    Came(Object),
    Went(Object),
}

pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![3 => object().prop_map(Event::Came), 1 => object().prop_map(Event::Went)]
}
