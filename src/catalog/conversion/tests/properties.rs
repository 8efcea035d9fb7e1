//! What holds for every document, and every resource.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::schema::{self, Home};
use super::super::split::split;
use super::super::*;
use super::{imported, there_and_back};
use crate::api::KINDS;
use crate::catalog::yaml::tests::{any_text, any_value};

const REFS: &[&str] = &["a", "A_b", "shop/a", "group:a", "user:shop/b.c"];
const TYPED: &[&str] = &["component:a", "API:shop/b", "resource:c_d"];
const KEYS: &[&str] = &[
    "template",
    "tags",
    "extensions",
    "subjects",
    "version",
    "resources",
    "entityName",
    "x",
    "a b",
    "",
    "0",
    "é",
    "status",
    "landfall",
    "name2",
    "$text",
];

fn optional(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![3 => Just(None), 2 => value.prop_map(Some), 1 => Just(Some(Value::Null))].boxed()
}

fn texts(of: &'static [&'static str]) -> BoxedStrategy<Value> {
    prop::collection::vec(prop::sample::select(of), 0..5)
        .prop_map(|items| json!(items))
        .boxed()
}

fn odd_fields() -> BoxedStrategy<Map<String, Value>> {
    let key = prop_oneof![2 => prop::sample::select(KEYS).prop_map(str::to_owned), 1 => any_text()];
    prop::collection::btree_map(key, any_value(), 0..4)
        .prop_map(|fields| fields.into_iter().collect())
        .boxed()
}

fn link() -> BoxedStrategy<Value> {
    let url = prop::sample::select(
        &[
            "https://a.example",
            "https://b.example/x?y#z",
            "slack://c",
            "mailto:a@b",
            "/x",
            "",
        ][..],
    );
    (
        url,
        prop::option::of(any_text()),
        prop::option::of(prop::sample::select(&["dashboard", "a b"][..])),
        odd_fields(),
    )
        .prop_map(|(url, title, icon, mut fields)| {
            fields.insert("url".into(), url.into());
            fields.extend(title.map(|title| ("title".into(), title.into())));
            fields.extend(icon.map(|icon| ("icon".into(), icon.into())));
            fields.into()
        })
        .boxed()
}

fn metadata() -> BoxedStrategy<Map<String, Value>> {
    let name = prop_oneof![
        "[a-z0-9]([-a-z0-9.]{0,8}[a-z0-9])?",
        "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
    ];
    let namespace = prop::option::of(prop::sample::select(&["default", "shop", "Shop", "Default"][..]));
    let key = prop_oneof![
        Just("a.b/c".to_owned()),
        Just("d".to_owned()),
        Just("A.b/c".to_owned()),
        any_text()
    ];
    let entries = || prop::collection::btree_map(key.clone(), any_text(), 0..4).prop_map(|entries| json!(entries));
    let own = [
        ("labels", optional(entries())),
        ("annotations", optional(entries())),
        ("title", optional(any_text().prop_map(Value::from))),
        ("description", optional(any_text().prop_map(Value::from))),
        ("tags", optional(texts(&["java", "c++", "a:b-c#", "x"]))),
        (
            "links",
            optional(prop::collection::vec(link(), 0..4).prop_map(Value::from)),
        ),
    ];
    // What would be taken for ours, kept as the descriptor's own.
    let disguised =
        json!([{"nmae": 1}, {"spec": {}}, {"template": null, "x": []}, {"name": "a"}, {"metadata": {"metadata": 1}}]);
    let disguised = prop::option::weighted(0.2, prop::sample::select(disguised.as_array().unwrap().clone()));
    (name, namespace, fields(own.to_vec()), odd_fields(), disguised)
        .prop_map(|(name, namespace, own, mut fields, disguised)| {
            fields.remove("tags");
            fields.extend(disguised.map(|value| ("landfall".to_owned(), json!({"metadata": value}))));
            fields.extend(own);
            fields.insert("name".into(), name.into());
            fields.extend(namespace.map(|namespace| ("namespace".into(), namespace.into())));
            fields
        })
        .boxed()
}

fn fields(of: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Map<String, Value>> {
    of.into_iter().fold(Just(Map::new()).boxed(), |fields, (name, value)| {
        (fields, value)
            .prop_map(move |(mut fields, value)| {
                fields.extend(value.map(|value| (name.to_owned(), value)));
                fields
            })
            .boxed()
    })
}

/// Every field that Backstage has for a kind, required ones always.
fn spec(kind: &'static str) -> BoxedStrategy<Map<String, Value>> {
    let always = |values: &'static [&'static str]| {
        prop::sample::select(values)
            .prop_map(|value| Some(json!(value)))
            .boxed()
    };
    let one = |values: &'static [&'static str]| optional(prop::sample::select(values).prop_map(|value| json!(value)));
    let map = || optional(odd_fields().prop_map(Value::Object));
    let name = &["service", "yes", "12:30:45", "1.0"][..];
    let plain = &["a", "A_b", "shop/a"][..];
    let all = |with: Vec<(&'static str, BoxedStrategy<Option<Value>>)>| fields(with);
    match kind {
        "API" => all(vec![
            ("type", always(name)),
            ("lifecycle", always(name)),
            ("owner", always(REFS)),
            ("system", one(plain)),
            (
                "definition",
                prop_oneof![
                    any_text().prop_map(Value::from),
                    Just(json!({"$text": "https://a.example"}))
                ]
                .prop_map(Some)
                .boxed(),
            ),
        ]),
        "Component" => all(vec![
            ("type", always(name)),
            ("lifecycle", always(name)),
            ("owner", always(REFS)),
            ("system", one(plain)),
            ("subcomponentOf", one(plain)),
            ("providesApis", optional(texts(plain))),
            ("consumesApis", optional(texts(plain))),
            ("dependsOn", optional(texts(TYPED))),
            ("dependencyOf", optional(texts(TYPED))),
        ]),
        "Domain" => all(vec![
            ("owner", always(REFS)),
            ("subdomainOf", one(plain)),
            ("type", one(name)),
        ]),
        "Group" => all(vec![
            ("type", always(name)),
            ("children", texts(plain).prop_map(Some).boxed()),
            ("parent", one(plain)),
            ("members", optional(texts(plain))),
            ("profile", map()),
        ]),
        "Location" => all(vec![
            ("type", one(name)),
            ("target", one(&["./a.yaml", ""])),
            ("targets", optional(texts(&["./a", "https://b"]))),
            ("presence", one(&["required", "optional"])),
        ]),
        "Resource" => all(vec![
            ("type", always(name)),
            ("owner", always(REFS)),
            ("system", one(plain)),
            ("dependsOn", optional(texts(TYPED))),
        ]),
        "System" => all(vec![
            ("owner", always(REFS)),
            ("domain", one(plain)),
            ("type", one(name)),
        ]),
        "Template" => all(vec![
            ("type", always(name)),
            ("owner", one(REFS)),
            ("lifecycle", one(name)),
            ("parameters", optional(any_value())),
            ("secrets", map()),
            ("presentation", map()),
            ("output", map()),
            (
                "steps",
                optional(prop::collection::vec(odd_fields().prop_map(Value::Object), 0..3).prop_map(Value::from)),
            ),
        ]),
        "User" => all(vec![
            ("memberOf", texts(plain).prop_map(Some).boxed()),
            ("profile", map()),
        ]),
        _ => odd_fields(),
    }
}

/// A descriptor that Backstage takes, or takes but for what does no harm.
fn document() -> BoxedStrategy<Value> {
    let kinds: Vec<&'static str> = KINDS.into_iter().chain(["AiResource", "Thing", "component"]).collect();
    prop::sample::select(kinds)
        .prop_flat_map(|kind| {
            let canonical = if kind == "component" { "Component" } else { kind };
            let versions: &'static [&'static str] = &[
                "backstage.io/v1alpha1",
                "scaffolder.backstage.io/v1beta3",
                "a.example/v1",
                "v1",
            ];
            (
                Just(kind),
                prop::sample::select(versions),
                metadata(),
                spec(canonical),
                odd_fields(),
                odd_fields(),
            )
        })
        .prop_map(|(kind, api_version, metadata, spec, mut of_spec, mut root)| {
            of_spec.retain(|key, _| schema::kind(kind).is_none_or(|kind| kind.field(Home::Spec, key).is_none()));
            of_spec.extend(spec);
            root.retain(|key, _| !ENVELOPE.contains(&key.as_str()) && !OUTPUT_ONLY_ROOT.contains(&key.as_str()));
            root.extend([
                ("apiVersion".to_owned(), json!(api_version)),
                ("kind".to_owned(), json!(kind)),
                ("metadata".to_owned(), metadata.into()),
                ("spec".to_owned(), of_spec.into()),
            ]);
            Value::Object(root)
        })
        .boxed()
}

/// A resource as people write them, with what no descriptor has.
fn resource() -> BoxedStrategy<Value> {
    let ours = prop::option::of(Just(()));
    (document(), ours, prop::option::of("[a-z]{1,5}"))
        .prop_map(|(document, ours, name)| {
            let mut resource = imported(&document).resource;
            let kind = resource["kind"].as_str().unwrap().to_owned();
            if ours.is_some() {
                let more = match kind.as_str() {
                    "Component" | "Resource" | "System" => json!({"template": {"ref": "p/web", "parameters": {"a": [null, 1.5]}, "suspend": true}}),
                    "Group" | "User" => json!({"subjects": [{"kind": "Group", "name": "x"}]}),
                    "Template" => json!({"version": "1.0", "serviceAccountName": "x", "resources": [{"id": "a", "manifest": {"b": null}}], "targetNamespaces": ["c"]}),
                    _ => json!({}),
                };
                for (key, value) in more.as_object().unwrap() {
                    resource["spec"][key] = value.clone();
                }
                if kind == "Entity" {
                    resource["metadata"]["labels"] = json!({"a": "b"});
                }
            }
            if let Some(name) = name {
                let holder = if kind == "Entity" { "/spec/metadata/name" } else { "/spec/entityName" };
                let entity_name = resource.pointer(holder).or(resource.pointer("/metadata/name")).cloned().unwrap();
                if entity_name != json!(name) {
                    resource["metadata"]["name"] = json!(name);
                    if kind == "Entity" {
                        resource["spec"]["metadata"]["name"] = entity_name;
                    } else {
                        resource["spec"]["entityName"] = entity_name;
                    }
                }
            }
            resource
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_descriptor_comes_back_as_it_went(document in document()) {
        prop_assert_eq!(there_and_back(&document), document);
    }

    #[test]
    fn a_resource_comes_back_as_it_went(resource in resource()) {
        let document = export(&resource).unwrap().document;
        prop_assert_eq!(imported(&document).resource, resource, "{:#}", document);
    }

    #[test]
    fn what_is_put_into_a_field_fits_its_schema(document in document()) {
        let resource = imported(&document).resource;
        let Some(kind) = schema::kind(resource["kind"].as_str().unwrap()) else { return Ok(()) };
        for (field, value) in resource["spec"].as_object().unwrap() {
            let (home, schema) = &kind.fields[field];
            if *home != Home::Conversion {
                let (mut problems, path) = (Vec::new(), vec![field.clone()]);
                prop_assert_eq!(split(schema, value, &path, &mut problems).rest, None, "{}", value);
                prop_assert!(problems.is_empty(), "{:?}", problems);
            }
        }
    }

    #[test]
    fn no_document_panics(document in any_value(), mut other in document(), value in any_value(), place in 0..6_usize) {
        let _ = import(&document);
        let _ = export(&document);
        let path = ["/metadata", "/spec", "/spec/owner", "/metadata/labels", "/metadata/name", "/kind"][place];
        if let Some(part) = other.pointer_mut(path) {
            *part = value;
        }
        let _ = import(&other);
    }
}
