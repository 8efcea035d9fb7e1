use serde_json::{Value, json};

use super::*;

mod properties;

fn component(metadata: Value, spec: Value) -> Value {
    let mut document = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "orders"},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-a"},
    });
    for (part, fields) in [("metadata", metadata), ("spec", spec)] {
        for (key, value) in fields.as_object().unwrap() {
            document[part][key] = value.clone();
        }
    }
    document
}

fn imported(document: &Value) -> Imported {
    import(document).unwrap_or_else(|wrong| panic!("{document:#}: {wrong:#?}"))
}

/// What is said about a document: where, and what.
fn wrong(document: &Value) -> Vec<String> {
    let remarks = import(document).expect_err("it is wrong");
    remarks
        .iter()
        .map(|remark| format!("{}: {remark}", remark.path.join("/")))
        .collect::<Vec<_>>()
}

fn there_and_back(document: &Value) -> Value {
    let there = imported(document);
    let back = export(&there.resource).unwrap_or_else(|wrong| panic!("{:#}: {wrong:?}", there.resource));
    assert_eq!(back.reference, there.reference, "{:#}", there.resource);
    assert_eq!(imported(&back.document).resource, there.resource, "{document:#}");
    back.document
}

#[test]
fn each_field_goes_where_it_has_a_meaning_and_the_rest_is_kept() {
    let document = component(
        json!({
            "namespace": "shop", "title": "Order service", "tags": ["java"], "uid": "1", "etag": "2", "labels": {"team": "a"},
            "annotations": {"backstage.io/techdocs-ref": "dir:."}, "links": [{"url": "https://a.example", "title": "A"}],
            "extensions": {"own": 1}, "entityName": "own", "x": null,
        }),
        json!({"dependsOn": ["resource:db"], "template": {"ref": "own"}, "tags": ["own"], "extensions": [1], "foo": {"bar": 1}}),
    );
    let mut whole = document.clone();
    whole["relations"] = json!([{"type": "ownedBy", "targetRef": "group:default/team-a"}]);
    whole["status"] = json!({"items": []});
    assert_eq!(
        imported(&whole).resource,
        json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
            "metadata": {
                "name": "orders", "namespace": "shop", "labels": {"team": "a"},
                "annotations": {"backstage.io/techdocs-ref": "dir:."},
            },
            "spec": {
                "title": "Order service", "tags": ["java"], "links": [{"url": "https://a.example", "title": "A"}],
                "type": "service", "lifecycle": "production", "owner": "team-a", "dependsOn": ["resource:db"],
                "extensions": {
                    "metadata": {"extensions": {"own": 1}, "entityName": "own", "x": null},
                    "spec": {"template": {"ref": "own"}, "tags": ["own"], "extensions": [1], "foo": {"bar": 1}},
                },
            },
        })
    );
    let mut expected = document;
    for output in ["uid", "etag"] {
        expected["metadata"].as_object_mut().unwrap().remove(output);
    }
    assert_eq!(there_and_back(&whole), expected);
}

#[test]
fn what_an_object_cannot_hold_is_kept_aside_where_it_stood() {
    let document = component(
        json!({
            "labels": {"a b": "x", "c": "not a value", "d": "e"}, "annotations": {"a/b/c": "x", "d": "e"}, "title": "x".repeat(300),
            "links": [{"url": "slack://x"}, {"url": "https://a.example"}, {"url": "https://a.example", "title": "Again"}, {"url": "https://b.example", "more": 1}],
            "tags": ["a", "a", "b"],
        }),
        json!({"system": null, "dependsOn": ["api:a", "api:a", "api:b"]}),
    );
    let there = imported(&document);
    let spec = &there.resource["spec"];
    assert_eq!(there.resource["metadata"]["labels"], json!({"d": "e"}));
    assert_eq!(spec["links"], json!([{"url": "https://a.example"}]));
    assert_eq!(spec["tags"], json!(["a", "b"]));
    assert_eq!(spec["dependsOn"], json!(["api:a", "api:b"]));
    assert_eq!(spec["extensions"]["metadata"]["tags"], json!({"1": "a"}));
    assert_eq!(
        spec["extensions"]["spec"],
        json!({"system": null, "dependsOn": {"1": "api:a"}})
    );
    assert_eq!(there_and_back(&document), document);
    let notes: Vec<String> = there.notes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(notes.join("\n"), @r##"
    metadata.annotations["a/b/c"] cannot be an object's: its key is not [prefix/]name as Kubernetes has it; it is kept under spec.extensions
    metadata.labels["a b"] cannot be an object's: its key is not [prefix/]name as Kubernetes has it; it is kept under spec.extensions
    metadata.labels.c cannot be an object's: its value "not a value" is not one of Kubernetes' labels: at most 63 letters, digits, - _ or .; it is kept under spec.extensions
    metadata.links[0].url is "slack://x", which is not an absolute http, https or mailto URL; it is kept under spec.extensions
    metadata.links[2] is there already; it is kept under spec.extensions
    metadata.links[3].more is not a field that a resource has; it is kept under spec.extensions
    metadata.tags[1] is there already; it is kept under spec.extensions
    metadata.title has 300 characters, more than the 256 that a resource holds; it is kept under spec.extensions
    spec.dependsOn[1] is there already; it is kept under spec.extensions
    spec.system is empty, which a resource does not keep; it is kept under spec.extensions
    "##);
}

#[test]
fn names_are_mapped_and_the_mapping_is_said() {
    let there = imported(&component(
        json!({"name": "Artist_Web", "namespace": "Shop"}),
        json!({}),
    ));
    assert_eq!(
        there.resource["metadata"],
        json!({"name": "artist-web", "namespace": "shop"})
    );
    assert_eq!(there.resource["spec"]["entityName"], "Artist_Web");
    assert_eq!(there.reference.to_string(), "component:shop/artist_web");
    assert_eq!(there.notes[0].message, "Artist_Web is the object artist-web");
    let entity = json!({"apiVersion": "a/v1", "kind": "Thing", "metadata": {"name": "A_b", "labels": {"x": 1}}, "spec": {"y": null}});
    let there = imported(&entity);
    assert_eq!(
        there.resource["spec"],
        json!({"apiVersion": "a/v1", "kind": "Thing", "metadata": {"name": "A_b", "labels": {"x": 1}}, "spec": {"y": null}})
    );
    assert_eq!(
        there.resource["metadata"],
        json!({"name": "a-b", "namespace": "default"})
    );
    assert_eq!(there_and_back(&entity), entity);
}

#[test]
fn what_only_a_resource_has_comes_back_from_the_descriptor() {
    let resource = json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "x", "resourceVersion": "1", "generation": 3, "finalizers": ["catalog.landfall.dev/provisioned"],
            "annotations": {"landfall.dev/reconcile": "1", "kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}},
        "spec": {"entityName": "web", "type": "service", "lifecycle": "production", "owner": "team-a", "template": {"ref": "p/web", "parameters": {"a": null}},
            "extensions": {"spec": {"template": 1}, "metadata": {"landfall": {"name": "own"}}}},
        "status": {"observedGeneration": 3},
    });
    let document = export(&resource).unwrap().document;
    assert_eq!(
        document,
        json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
            "metadata": {"name": "web", "namespace": "shop", "annotations": {"a": "b"}, "landfall": {
                "name": "web-1", "spec": {"template": {"ref": "p/web", "parameters": {"a": null}}}, "metadata": {"name": "own"},
            }},
            "spec": {"type": "service", "lifecycle": "production", "owner": "team-a", "template": 1},
        })
    );
    let mut expected = resource;
    expected.as_object_mut().unwrap().remove("status");
    expected["metadata"] = json!({"name": "web-1", "namespace": "shop", "annotations": {"a": "b"}});
    assert_eq!(imported(&document).resource, expected);
}

#[test]
fn what_is_wrong_is_said_all_at_once_and_with_its_place() {
    let mut all = Vec::new();
    for document in [
        json!([]),
        json!("text"),
        json!({}),
        json!({"apiVersion": "a b", "kind": "1", "metadata": {"name": "-", "namespace": "a_b"}}),
        json!({"apiVersion": 1, "kind": null, "metadata": {"name": 1, "namespace": null}}),
        json!({"apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component", "metadata": {"name": "a"}}),
        json!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": "a"}}),
        json!({"apiVersion": "v1", "kind": "Component", "metadata": []}),
        json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": []}),
        json!({"apiVersion": "backstage.io/v1alpha1", "kind": "API", "metadata": {"name": "a"}, "spec": {"type": "grpc", "lifecycle": "x", "owner": "a"}}),
        json!({"apiVersion": "backstage.io/v1alpha1", "kind": "Location", "metadata": {"name": "a"}, "spec": {"presence": "maybe", "targets": [1]}}),
        component(json!({"name": "é"}), json!({})),
        component(json!({"name": "a\u{0}b"}), json!({})),
        component(json!({"name": "x".repeat(64)}), json!({})),
        component(json!({"name": "${{ values.name }}"}), json!({})),
        component(
            json!({"title": 1, "tags": ["Java", "a b", ""], "links": [{"title": "x"}, {"url": 1}, "x"], "labels": {"a": 1}, "annotations": []}),
            json!({}),
        ),
        component(
            json!({"landfall": {"name": "A", "spec": {"foo": 1, "template": {"ref": "a b", "more": 1}}, "labels": {"a": "b"}}}),
            json!({}),
        ),
        component(
            json!({}),
            json!({"lifecycle": null, "owner": "", "type": "x".repeat(64)}),
        ),
        component(
            json!({}),
            json!({"system": "component:x", "providesApis": "a", "dependsOn": ["a"], "consumesApis": [{"kind": "api", "name": "x"}]}),
        ),
    ] {
        all.extend(wrong(&document));
        all.push(String::new());
    }
    insta::assert_snapshot!(all.join("\n"), @r##"
    : the document is a list, expected a map with apiVersion, kind, metadata and spec

    : the document is "text", expected a map with apiVersion, kind, metadata and spec

    : metadata is missing, expected a map; write for example metadata: {name: orders}
    : apiVersion is missing; write for example backstage.io/v1alpha1
    : kind is missing; write for example Component

    apiVersion: apiVersion is "a b", expected [group/]version; write for example backstage.io/v1alpha1
    kind: kind is "1", expected a letter, then letters and digits, at most 63; write for example Component
    metadata/name: metadata.name is "-", which no entity can be called; write at most 63 letters, digits, - _ or ., with a letter or a digit at both ends
    metadata/namespace: metadata.namespace is "a_b", which no namespace can be called; write at most 63 letters, digits or -, with a letter or a digit at both ends

    apiVersion: apiVersion is 1, expected a text; write for example backstage.io/v1alpha1
    kind: kind is nothing, expected a text; write for example Component
    metadata/name: metadata.name is 1, expected a text; write for example orders
    metadata/namespace: metadata.namespace is nothing, expected a text; leave it out, or write for example shop

    apiVersion: this is a resource of catalog.landfall.dev/v1alpha1 already; apply it as it is

    : spec is missing; a Component has one

    metadata: metadata is a list, expected a map; write for example metadata: {name: orders}
    : spec is missing; a Component has one

    spec: spec is a list, expected a map

    spec: spec.definition is missing; write the OpenAPI, AsyncAPI, GraphQL or gRPC text, or for example definition: {$text: ./openapi.yaml}

    spec/presence: spec.presence is "maybe", expected required or optional
    spec/targets/0: spec.targets[0] is 1, expected a text; if it is a number, a date or a yes, write it in quotes

    metadata/name: metadata.name is "é", which no entity can be called; write at most 63 letters, digits, - _ or ., with a letter or a digit at both ends

    metadata/name: metadata.name is "a\0b", which no entity can be called; write at most 63 letters, digits, - _ or ., with a letter or a digit at both ends

    metadata/name: metadata.name is "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"…, 64 characters long; write at most 63 letters, digits, - _ or ., with a letter or a digit at both ends, and the long name as metadata.title

    metadata/name: metadata.name is "${{ values.name }}": this is a skeleton that a template fills in, not a descriptor; import what it makes

    metadata/annotations: metadata.annotations is a list, expected a map of texts
    metadata/labels/a: metadata.labels.a is 1, expected a text; write it in quotes
    metadata/links/0: metadata.links[0].url is missing
    metadata/links/1/url: metadata.links[1].url is 1, expected a text; if it is a number, a date or a yes, write it in quotes
    metadata/links/2: metadata.links[2] is "x", expected a map
    metadata/tags/0: metadata.tags[0] is "Java", which is not a tag; write lower-case letters, digits, : + or #, in runs joined by -, for example event-driven or c++
    metadata/tags/1: metadata.tags[1] is "a b", which is not a tag; write lower-case letters, digits, : + or #, in runs joined by -, for example event-driven or c++
    metadata/tags/2: metadata.tags[2] is "", which is not a tag; write lower-case letters, digits, : + or #, in runs joined by -, for example event-driven or c++
    metadata/title: metadata.title is 1, expected a text; if it is a number, a date or a yes, write it in quotes

    metadata/landfall/name: metadata.landfall.name is "A", which is not the name of an object; write lower-case letters, digits, - or .
    metadata/landfall/spec/foo: metadata.landfall.spec.foo is not a field of this kind that Landfall alone has
    metadata/landfall/spec/template/more: metadata.landfall.spec.template.more is not a field that a resource has
    metadata/landfall/spec/template/ref: metadata.landfall.spec.template.ref: template "a b" is not an entity ref; write [kind:][namespace/]name, for example platform/web-service
    metadata/landfall/labels: metadata.landfall.labels holds what an object cannot have, or stands where metadata.labels is meant

    spec/lifecycle: spec.lifecycle is empty, which a resource does not keep
    spec/owner: spec.owner: owner "" is not an entity ref; write [kind:][namespace/]name, for example group:default/team-a
    spec/type: spec.type has 64 characters, more than the 63 that a resource holds

    spec/consumesApis/0: spec.consumesApis[0] is a map, expected a text; if it is a number, a date or a yes, write it in quotes
    spec/dependsOn/0: spec.dependsOn[0]: dependency a does not say its kind, which has no default here; write kind:[namespace/]name, for example resource:default/orders-db
    spec/providesApis: spec.providesApis is "a", expected a list
    spec/system: spec.system: system component:x is of kind component, expected system; write [kind:][namespace/]name, for example system:default/shop
    "##);
}

#[test]
fn what_is_nearly_our_block_is_said_and_what_is_another_one_is_kept_with_a_note() {
    let template = json!({"template": {"ref": "a"}});
    for (block, expected) in [
        (
            json!({"spec": template, "nmae": "x"}),
            vec![
                "metadata.landfall.nmae is not known; did you mean metadata.landfall.name?; expected one of name, spec",
            ],
        ),
        (
            template.clone(),
            vec!["metadata.landfall.template is not known; did you mean metadata.landfall.spec.template?"],
        ),
        (
            json!({"templte": {"ref": "a"}}),
            vec!["did you mean metadata.landfall.spec.template?"],
        ),
        (
            json!({"version": "1.0"}),
            vec!["did you mean metadata.landfall.spec.version?"],
        ),
        (json!({"Spec": template}), vec!["did you mean metadata.landfall.spec?"]),
        (
            json!({"spec": {"template": {"ref": "a", "bogus": 1}}, "zzz": 1}),
            vec![
                "metadata.landfall.zzz is not known; expected one of",
                "metadata.landfall.spec.template.bogus is not a field",
            ],
        ),
        (
            json!({"spec": "a"}),
            vec!["metadata.landfall.spec is \"a\", expected a map with something in it"],
        ),
        (
            json!({"spec": {}}),
            vec!["metadata.landfall.spec is empty, expected a map"],
        ),
        (json!({"name": 1}), vec!["metadata.landfall.name is 1, expected a text"]),
    ] {
        let wrong = self::wrong(&component(json!({"landfall": block}), json!({})));
        assert_eq!(wrong.len(), expected.len(), "{wrong:?}");
        for expected in expected {
            assert!(
                wrong.iter().any(|remark| remark.contains(expected)),
                "{expected}: {wrong:?}"
            );
        }
        // As a descriptor's own it is kept, and comes back as it was.
        let own = component(json!({"landfall": {"metadata": block}}), json!({}));
        assert_eq!(there_and_back(&own), own);
        assert_eq!(
            imported(&own).resource["spec"]["extensions"]["metadata"]["landfall"],
            block
        );
    }
    for block in [
        json!("hello"),
        json!(null),
        json!({}),
        json!([{"spec": 1}]),
        json!({"port": "Rotterdam"}),
    ] {
        let own = component(json!({"landfall": block}), json!({}));
        let notes: Vec<String> = imported(&own).notes.iter().map(ToString::to_string).collect();
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("the descriptor's own") && notes[0].contains("Landfall does not act on it"));
        assert_eq!(there_and_back(&own), own);
    }
}

#[test]
fn what_is_wrong_with_the_envelope_hides_nothing_else() {
    let wrong = self::wrong(
        &json!({"kind": "Component", "metadata": {"name": "x y", "tags": ["A_B"]}, "spec": {"type": "service", "lifecycle": "x"}}),
    );
    for expected in [
        "apiVersion is missing",
        "metadata.name is \"x y\"",
        "metadata.tags[0] is \"A_B\"",
        "spec.owner is missing",
    ] {
        assert!(
            wrong.iter().any(|remark| remark.contains(expected)),
            "{expected}: {wrong:?}"
        );
    }
    assert_eq!(wrong.len(), 4, "{wrong:?}");
    let skeleton = json!({"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "{% if a %}x"}, "spec": {"owner": "${{ a }}"}});
    let wrong = self::wrong(&skeleton);
    assert!(wrong.len() == 1 && wrong[0].contains("this is a skeleton"), "{wrong:?}");
}

#[test]
fn refs_of_every_malformed_shape_are_refused_with_what_to_write() {
    for owner in [
        "",
        ":",
        "/",
        ":a",
        "a:",
        "/a",
        "a/",
        "group:",
        "group:/a",
        "group:a/",
        "a/b/c",
        "group:a/b/c",
        "a b",
        " a",
        "a ",
        "a\n",
        "é",
        "grüp:a",
        "group:ü/a",
        "a:b:c",
        "1roup:a",
        "group:a_b/c",
        "group:-a/b",
        "group:a/-b",
        "group:a/b-",
        "@a",
        "group:default/\u{202e}a",
        "\u{212a}ind:a",
        "component:a",
        "${{ x }}",
        "group:a.b/c",
    ] {
        let wrong = import(&component(json!({}), json!({"owner": owner}))).expect_err(owner);
        assert_eq!(wrong[0].path, ["spec", "owner"], "{owner}");
        assert!(
            wrong[0]
                .message
                .contains("write [kind:][namespace/]name, for example group:default/team-a"),
            "{}",
            wrong[0]
        );
    }
    for length in [64, 300] {
        for owner in [
            format!("group:{}/a", "x".repeat(length)),
            "x".repeat(length),
            format!("{}:a", "x".repeat(length)),
        ] {
            assert!(
                import(&component(json!({}), json!({"owner": owner}))).is_err(),
                "{owner}"
            );
        }
    }
    for owner in ["a", "A_b.c", "user:a", "GROUP:Default/A", "user:a-b/c", &"x".repeat(63)] {
        assert!(
            import(&component(json!({}), json!({"owner": owner}))).is_ok(),
            "{owner}"
        );
    }
}

#[test]
fn in_another_namespace_refs_go_on_meaning_what_they_meant() {
    let mut resource = imported(&component(
        json!({"namespace": "default", "landfall": {"spec": {"template": {"ref": "web"}}}}),
        json!({"owner": "Team-A", "system": "shop", "providesApis": ["orders", "other/x"], "dependsOn": ["Resource:db", "api:b/c"], "foo": "team-a"}),
    ))
    .resource;
    let placing = Placing {
        namespace: "catalog",
        comes_along: &|of| {
            ["group:default/team-a", "api:other/x", "resource:default/db"].contains(&of.to_string().as_str())
        },
    };
    assert!(place(&mut resource, &placing));
    assert_eq!(
        resource,
        json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component", "metadata": {"name": "orders", "namespace": "catalog"},
            "spec": {
                "type": "service", "lifecycle": "production", "owner": "group:catalog/Team-A", "system": "system:default/shop",
                "providesApis": ["api:default/orders", "api:catalog/x"], "dependsOn": ["Resource:catalog/db", "api:b/c"],
                "template": {"ref": "template:default/web"}, "extensions": {"spec": {"foo": "team-a"}},
            },
        })
    );
    let mut other =
        imported(&json!({"apiVersion": "a/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"owner": "x"}}))
            .resource;
    assert!(!place(&mut other, &placing), "nobody knows which of its texts are refs");
}
