//! What the apiserver refuses, and the words in which it says so.

use super::*;

/// Each row: what is changed about the smallest good object, and what the apiserver says behind `is invalid: `.
async fn refused(kind: &str, rows: &[(Value, &str)]) {
    let namespace = cluster().await.namespace("crds-refused").await;
    for (changes, expected) in rows {
        let message = create(&namespace, &object(kind, changes), true)
            .await
            .expect_err(&changes.to_string());
        let name = changes
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or("orders");
        let said = message
            .strip_prefix(&format!("{kind}.catalog.landfall.dev \"{name}\" is invalid: "))
            .unwrap_or(&message);
        // The apiserver adds this where it refuses before it comes to the rules.
        let rest = ", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]";
        let said = said
            .strip_suffix(rest)
            .map_or(said, |said| said.trim_start_matches('['));
        assert_eq!(said, *expected, "{kind} {changes}");
    }
}

#[allow(clippy::needless_pass_by_value)] // It is given what json! has just made.
fn spec(changes: Value) -> Value {
    json!({"spec": changes})
}

#[tokio::test]
async fn refs() {
    refused("Component", &[
        (spec(json!({"owner": "team a!"})), r#"spec.owner: Invalid value: "team a!": owner team a! is not an entity ref; write [kind:][namespace/]name, for example group:default/team-a"#),
        (spec(json!({"owner": ""})), r#"spec.owner: Invalid value: "": owner "" is not an entity ref; write [kind:][namespace/]name, for example group:default/team-a"#),
        (spec(json!({"owner": "a/b/c"})), r#"spec.owner: Invalid value: "a/b/c": owner a/b/c is not an entity ref; write [kind:][namespace/]name, for example group:default/team-a"#),
        (spec(json!({"owner": "Component:shop/a"})), r#"spec.owner: Invalid value: "Component:shop/a": owner Component:shop/a is of kind Component, expected group or user; write [kind:][namespace/]name, for example group:default/team-a"#),
        (spec(json!({"system": "group:x"})), r#"spec.system: Invalid value: "group:x": system group:x is of kind group, expected system; write [kind:][namespace/]name, for example system:default/shop"#),
        (spec(json!({"subcomponentOf": ":x"})), r#"spec.subcomponentOf: Invalid value: ":x": component :x is not an entity ref; write [kind:][namespace/]name, for example component:default/orders"#),
        (spec(json!({"providesApis": ["orders", "a b"]})), r#"spec.providesApis[1]: Invalid value: "a b": API a b is not an entity ref; write [kind:][namespace/]name, for example api:default/orders"#),
        (spec(json!({"consumesApis": ["resource:x"]})), r#"spec.consumesApis[0]: Invalid value: "resource:x": API resource:x is of kind resource, expected api; write [kind:][namespace/]name, for example api:default/orders"#),
        (spec(json!({"dependsOn": ["orders-db"]})), r#"spec.dependsOn[0]: Invalid value: "orders-db": dependency orders-db does not say its kind, which has no default here; write kind:[namespace/]name, for example resource:default/orders-db"#),
        (spec(json!({"dependencyOf": ["component:"]})), r#"spec.dependencyOf[0]: Invalid value: "component:": dependency component: is not an entity ref; write kind:[namespace/]name, for example resource:default/orders-db"#),
        (spec(json!({"dependsOn": ["resource:a", "resource:a"]})), r#"spec.dependsOn[1]: Duplicate value: "resource:a""#),
        (spec(json!({"template": {"ref": "a b"}})), r#"spec.template.ref: Invalid value: "a b": template a b is not an entity ref; write [kind:][namespace/]name, for example platform/web-service"#),
        (spec(json!({"template": {"ref": "component:x"}})), r#"spec.template.ref: Invalid value: "component:x": template component:x is of kind component, expected template; write [kind:][namespace/]name, for example platform/web-service"#),
    ]).await;
    refused("System", &[
        (spec(json!({"domain": "system:x"})), r#"spec.domain: Invalid value: "system:x": domain system:x is of kind system, expected domain; write [kind:][namespace/]name, for example domain:default/commerce"#),
    ]).await;
    refused("Template", &[
        (spec(json!({"owner": "template:x"})), r#"spec.owner: Invalid value: "template:x": owner template:x is of kind template, expected group or user; write [kind:][namespace/]name, for example group:default/team-a"#),
        (spec(json!({"serviceAccountName": "x", "include": [{"id": "g", "ref": "${{ x }}"}]})), r#"spec.include[0].ref: Invalid value: "${{ x }}": template ${{ x }} is not an entity ref; write [kind:][namespace/]name, for example platform/web-service"#),
    ]).await;
}

#[tokio::test]
async fn what_every_entity_has() {
    refused("Component", &[
        (spec(json!({"tags": ["java", "Event Driven"]})), r#"spec.tags[1]: Invalid value: "Event Driven": tag Event Driven is not a tag of Backstage; write lower-case letters, digits, : + or #, in runs joined by -, for example event-driven or c++"#),
        (spec(json!({"links": [{"url": "/docs"}]})), r#"spec.links[0].url: Invalid value: "/docs": link /docs is not an absolute http, https or mailto URL; write for example https://grafana.example.com/d/orders"#),
        (spec(json!({"links": [{"url": "javascript:alert(1)"}]})), r#"spec.links[0].url: Invalid value: "javascript:alert(1)": link javascript:alert(1) is not an absolute http, https or mailto URL; write for example https://grafana.example.com/d/orders"#),
        (spec(json!({"links": [{"url": "https://a.example", "icon": "my icon"}]})), r#"spec.links[0].icon: Invalid value: "my icon": icon my icon is not the key of an icon; write letters, digits, - _ or ., for example dashboard"#),
        (spec(json!({"links": [{"url": "https://a.example"}, {"url": "https://a.example"}]})), r#"spec.links[1]: Duplicate value: {"url":"https://a.example"}"#),
        (spec(json!({"entityName": "artist web"})), r#"spec.entityName: Invalid value: "artist web": entityName artist web is not a name in Backstage; write letters, digits, - _ or ., beginning and ending with a letter or a digit, for example artist_Web"#),
        (spec(json!({"title": "x".repeat(257)})), "spec.title: Too long: may not be more than 256 bytes"),
        (spec(json!({"owner": 5})), r#"spec.owner: Invalid value: "integer": spec.owner in body must be of type string: "integer""#),
        (spec(json!({"owner": null})), "spec.owner: Required value"),
        (json!({"metadata": {"name": "n".repeat(64)}}), "metadata.name: Too long: may not be more than 63 bytes"),
    ]).await;
}

#[tokio::test]
async fn instances() {
    let parameters: Value = (0..257)
        .map(|index| (format!("p{index}"), json!(index)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let template = |changes: Value| {
        let mut template = json!({"ref": "x"});
        json_merge(&mut template, &changes);
        spec(json!({"template": template}))
    };
    refused("Component", &[
        (template(json!({"environments": {"Prod": {"version": "1"}, "dev": {"version": "1"}}})), "spec.template.environments: Invalid value: environment Prod is not the name of an environment; write at most 63 lower-case letters, digits or -, for example prod"),
        (template(json!({"environments": {"prod": {"version": ""}}})), r#"spec.template.environments.prod.version: Invalid value: "": spec.template.environments.prod.version in body should be at least 1 chars long"#),
        (template(json!({"deletionPolicy": "Keep"})), r#"spec.template.deletionPolicy: Unsupported value: "Keep": supported values: "Delete", "Retain", "Confirm""#),
        (template(json!({"parameters": parameters})), "spec.template.parameters: Too many: 257: must have at most 256 items"),
        (template(json!({"parameters": ["a"]})), r#"spec.template.parameters: Invalid value: "array": spec.template.parameters in body must be of type object: "array""#),
        (spec(json!({"template": {"version": "1"}})), "spec.template.ref: Required value"),
    ]).await;
}

#[tokio::test]
async fn templates() {
    let resource = |changes: Value| {
        let mut resource = json!({"id": "ns", "manifest": {"kind": "Namespace"}});
        json_merge(&mut resource, &changes);
        spec(json!({"serviceAccountName": "golden-path", "resources": [resource]}))
    };
    let account = "serviceAccountName is missing: objects are written as a service account of this namespace; write for example serviceAccountName: golden-path";
    let twice = json!([{"id": "ns", "manifest": {"kind": "A"}}, {"id": "ns", "manifest": {"kind": "B"}}]);
    refused("Template", &[
        (spec(json!({"resources": [{"id": "ns", "manifest": {"kind": "Namespace"}}]})), &format!("spec.serviceAccountName: Required value: {account}")),
        (spec(json!({"include": [{"id": "g", "ref": "x"}]})), &format!("spec.serviceAccountName: Required value: {account}")),
        (spec(json!({"serviceAccountName": "platform/golden-path"})), r#"spec.serviceAccountName: Invalid value: "platform/golden-path": serviceAccountName platform/golden-path is not the name of a service account; write a name alone, of an account in this namespace, for example golden-path"#),
        (resource(json!({"id": "my-id"})), r#"spec.resources[0].id: Invalid value: "my-id": id my-id is not an identifier; write a letter a-z, then letters and digits, for example firstRun"#),
        (spec(json!({"serviceAccountName": "x", "resources": twice})), r#"spec.resources[1]: Duplicate value: {"id":"ns"}"#),
        (resource(json!({"dependsOn": ["a.b.c"]})), r#"spec.resources[0].dependsOn[0]: Invalid value: "a.b.c": dependency a.b.c is not the id of a resource; write the id as it stands under resources, for example firstRun, or behind the id of an include, for example guardrails.quota"#),
        (resource(json!({"mode": "Sometimes"})), r#"spec.resources[0].mode: Unsupported value: "Sometimes": supported values: "Own", "Once", "Patch""#),
        (resource(json!({"manifest": null})), "spec.resources[0].manifest: Required value"),
        (resource(json!({"manifest": "kind: Namespace"})), r#"spec.resources[0].manifest: Invalid value: "string": spec.resources[0].manifest in body must be of type object: "string""#),
        (spec(json!({"version": "2.3 0"})), r#"spec.version: Invalid value: "2.3 0": version 2.3 0 is not a version; write letters, digits, - _ . or +, beginning and ending with a letter or a digit, for example 2.3.0"#),
        (spec(json!({"targetNamespaces": ["${{ parameters.ns }}"]})), r#"spec.targetNamespaces[0]: Invalid value: "${{ parameters.ns }}": namespace ${{ parameters.ns }} is not the name of a namespace, and expressions are not evaluated here; write lower-case letters, digits or -, for example argocd"#),
        (spec(json!({"references": [{"id": "db"}]})), "spec.references[0]: Invalid value: reference db has neither ref nor object; write for example ref: resource:default/orders-db"),
        (spec(json!({"references": [{"id": "db", "ref": "x", "object": {"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}}]})), "spec.references[0]: Invalid value: reference db has both ref and object; leave one of them out"),
    ]).await;
}

#[tokio::test]
async fn who_may_use_a_template_and_how_it_is_rolled_out() {
    let requirement = |operator: &str, values: Value| {
        let mut requirement = json!({"key": "team", "operator": operator});
        if !values.is_null() {
            requirement["values"] = values;
        }
        spec(json!({"allowedNamespaces": {"from": "Selector", "selector": {"matchExpressions": [requirement]}}}))
    };
    let rollout = |changes: Value| spec(json!({"rollout": changes}));
    refused("Template", &[
        (spec(json!({"allowedNamespaces": {"from": "Selector"}})), "spec.allowedNamespaces.selector: Invalid value: from: Selector needs a selector; write for example selector: {matchLabels: {team: shop}}"),
        (spec(json!({"allowedNamespaces": {"selector": {"matchLabels": {"team": "shop"}}}})), "spec.allowedNamespaces.selector: Invalid value: selector is given with from: Same, where it has no effect; write from: Selector, or leave the selector out"),
        (spec(json!({"allowedNamespaces": {"from": "Everyone"}})), r#"spec.allowedNamespaces.from: Unsupported value: "Everyone": supported values: "Same", "All", "Selector""#),
        (requirement("In", Value::Null), "spec.allowedNamespaces.selector.matchExpressions[0]: Invalid value: operator In needs values; write for example values: [shop]"),
        (requirement("Exists", json!(["x"])), "spec.allowedNamespaces.selector.matchExpressions[0]: Invalid value: operator Exists takes no values; leave them out, or write operator: In"),
        (rollout(json!({"maxUnavailable": "10"})), r#"spec.rollout.maxUnavailable: Invalid value: "10": 10 is neither a count nor a percentage; write for example 3 or 10%"#),
        (rollout(json!({"maxUnavailable": -1})), "spec.rollout.maxUnavailable: Invalid value: -1: -1 is neither a count nor a percentage; write for example 3 or 10%"),
        (rollout(json!({"environments": ["Dev"]})), r#"spec.rollout.environments[0]: Invalid value: "Dev": environment Dev is not the name of an environment; write lower-case letters, digits or -, for example prod"#),
        (rollout(json!({"minReadySeconds": -1})), "spec.rollout.minReadySeconds: Invalid value: -1: spec.rollout.minReadySeconds in body should be greater than or equal to 0"),
        (rollout(json!({"strategy": "Canary"})), r#"spec.rollout.strategy: Unsupported value: "Canary": supported values: "Automatic", "Manual""#),
    ]).await;
}

#[tokio::test]
async fn records() {
    let subject = |subject: Value| spec(json!({"subjects": [subject]}));
    refused("API", &[
        (spec(json!({"definition": null})), "spec.definition: Required value: definition is missing: an API is described by its OpenAPI, AsyncAPI, GraphQL or gRPC text; write it under definition, or what stands for it under extensions.spec"),
        (spec(json!({"definition": ""})), r#"spec.definition: Invalid value: "": spec.definition in body should be at least 1 chars long"#),
    ]).await;
    refused("Domain", &[
        (spec(json!({"subdomainOf": "system:x"})), r#"spec.subdomainOf: Invalid value: "system:x": domain system:x is of kind system, expected domain; write [kind:][namespace/]name, for example domain:default/commerce"#),
    ]).await;
    refused("Group", &[
        (spec(json!({"parent": "user:x"})), r#"spec.parent: Invalid value: "user:x": group user:x is of kind user, expected group; write [kind:][namespace/]name, for example group:default/team-a"#),
        (spec(json!({"members": ["jdoe", "group:x"]})), r#"spec.members[1]: Invalid value: "group:x": member group:x is of kind group, expected user; write [kind:][namespace/]name, for example user:default/jdoe"#),
        (spec(json!({"members": ["jdoe@example.com"]})), r#"spec.members[0]: Invalid value: "jdoe@example.com": member jdoe@example.com is not an entity ref; write [kind:][namespace/]name, for example user:default/jdoe"#),
        (subject(json!({"kind": "Team", "name": "x"})), r#"spec.subjects[0].kind: Unsupported value: "Team": supported values: "Group", "User", "ServiceAccount""#),
        (subject(json!({"kind": "ServiceAccount", "name": "ci"})), "spec.subjects[0].namespace: Invalid value: service account ci has no namespace; write for example namespace: ci"),
        (subject(json!({"kind": "Group", "name": "x", "namespace": "y"})), "spec.subjects[0].namespace: Invalid value: namespace is given for a Group, which has none; leave it out"),
        (subject(json!({"kind": "User", "name": "x", "apiGroup": ""})), r#"spec.subjects[0].apiGroup: Invalid value: apiGroup "" is not that of a User; leave it out"#),
    ]).await;
    refused("User", &[
        (spec(json!({"memberOf": ["user:x"]})), r#"spec.memberOf[0]: Invalid value: "user:x": group user:x is of kind user, expected group; write [kind:][namespace/]name, for example group:default/team-a"#),
    ]).await;
    refused(
        "Location",
        &[(
            spec(json!({"presence": "sometimes"})),
            r#"spec.presence: Unsupported value: "sometimes": supported values: "required", "optional""#,
        )],
    )
    .await;
    refused("Entity", &[
        (spec(json!({"kind": "component"})), r#"spec.kind: Invalid value: "component": kind component has a resource of its own; write apiVersion: catalog.landfall.dev/v1alpha1 and that kind instead of Entity"#),
        (spec(json!({"kind": "Ai-Resource"})), r#"spec.kind: Invalid value: "Ai-Resource": kind Ai-Resource is not a kind of Backstage; write a letter, then letters and digits, for example AiResource"#),
        (spec(json!({"apiVersion": "x/"})), r#"spec.apiVersion: Invalid value: "x/": apiVersion x/ is not an apiVersion of Backstage; write [group/]version, for example backstage.io/v1alpha1"#),
        (spec(json!({"metadata": {"name": "a b"}})), r#"spec.metadata.name: Invalid value: "a b": entityName a b is not a name in Backstage; write letters, digits, - _ or ., beginning and ending with a letter or a digit, for example artist_Web"#),
    ]).await;
}

/// Every malformed shape of a ref and of a name, in every place where one may stand.
#[tokio::test]
async fn malformed_refs_and_names() {
    let long = "n".repeat(64);
    let shapes = [
        ":",
        "/",
        "a:",
        ":a",
        "a/",
        "/a",
        "a//b",
        "a:/b",
        "a:b/",
        "a/b/c",
        "a:b:c",
        "a b",
        " a",
        "a ",
        "-a",
        "a-",
        ".a",
        "_a",
        "a/b:c",
        "grüppe",
        "\u{540d}",
        "a\tb",
        "a\nb",
        "a\u{0}b",
        "a\u{7f}",
        "a\u{202e}b",
        "a\u{200b}",
        "1:a",
        "a-b:c",
        "\"a\"",
        "${{ a }}",
        &long,
    ];
    let namespace = cluster().await.namespace("crds-malformed").await;
    for (kind, field, prefix, many) in [
        ("Component", "owner", "", false),
        ("Component", "dependsOn", "component:", true),
        ("API", "system", "", false),
        ("Domain", "subdomainOf", "", false),
        ("Group", "parent", "", false),
        ("Group", "members", "", true),
        ("User", "memberOf", "", true),
        ("Resource", "dependencyOf", "resource:", true),
    ] {
        for shape in shapes {
            // In a list of ten thousand members a name's length is left to what it resolves to.
            if field == "members" && shape.len() > 63 {
                continue;
            }
            let text = format!("{prefix}{shape}");
            let value = if many { json!([text]) } else { json!(text) };
            let message = create(&namespace, &object(kind, &spec(json!({field: value}))), true)
                .await
                .expect_err(&format!("{kind} {field}: {text:?}"));
            let at = if many {
                format!("spec.{field}[0]: Invalid value")
            } else {
                format!("spec.{field}: Invalid value")
            };
            assert!(
                message.contains(&at) && message.contains("write "),
                "{kind} {text:?}: {message}"
            );
        }
    }
    for name in ["Orders", "orders_1", "grüppe", "a b", "a\tb", "-a", "", &long] {
        for kind in KINDS {
            let named = json!({"metadata": {"name": name}});
            let message = create(&namespace, &object(kind, &named), true).await.expect_err(name);
            assert!(message.contains("name"), "{kind} {name:?}: {message}");
        }
    }
}

#[tokio::test]
async fn the_ref_of_an_entity_of_another_kind_stays_as_it_is() {
    let namespace = cluster().await.namespace("crds-entity").await;
    let named = object("Entity", &spec(json!({"metadata": {"name": "Skill_1"}})));
    create(&namespace, &named, false).await.unwrap();
    let change = async |changes: Value| {
        api("Entity", &namespace)
            .await
            .patch("orders", &PatchParams::default(), &Patch::Merge(spec(changes)))
            .await
    };
    for (changes, expected) in [
        (
            json!({"kind": "Other"}),
            "spec.kind: Invalid value: kind cannot be changed: it was AiResource and would be Other; create a new object instead",
        ),
        (
            json!({"metadata": {"name": "Skill_2"}}),
            "spec.metadata.name: Invalid value: metadata.name cannot be changed: it was Skill_1 and would be Skill_2; create a new object instead",
        ),
        (
            json!({"metadata": null}),
            "spec.metadata.name: Invalid value: metadata.name cannot be changed: it was Skill_1 and would be not given; create a new object instead",
        ),
    ] {
        let changed = change(changes).await;
        let Err(kube::Error::Api(status)) = changed else {
            panic!("{changed:?}")
        };
        assert!(status.message.ends_with(expected), "{}", status.message);
    }
    // Written otherwise it is the same kind, and anything else may change.
    change(json!({"kind": "AIResource", "metadata": {"title": "x"}}))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_field_that_the_schema_does_not_know() {
    let namespace = cluster().await.namespace("crds-unknown").await;
    let object = object("Component", &spec(json!({"systm": "shop"})));
    let applied = api("Component", &namespace)
        .await
        .patch("orders", &PatchParams::apply("test"), &Patch::Apply(object))
        .await;
    let Err(kube::Error::Api(status)) = applied else {
        panic!("{applied:?}")
    };
    assert!(
        status.message.contains(".spec.systm: field not declared in schema"),
        "{}",
        status.message
    );
}

#[tokio::test]
async fn a_name_in_backstage_is_given_once() {
    let namespace = cluster().await.namespace("crds-name").await;
    create(
        &namespace,
        &object("Component", &spec(json!({"entityName": "artist_Web"}))),
        false,
    )
    .await
    .unwrap();
    create(&namespace, &object("System", &json!({})), false).await.unwrap();
    for (kind, name, was, would_be) in [
        ("Component", json!("other_Web"), "artist_Web", "other_Web"),
        ("Component", Value::Null, "artist_Web", "not given"),
        ("System", json!("Shop"), "not given", "Shop"),
    ] {
        let patch = spec(json!({"entityName": name}));
        let changed = api(kind, &namespace)
            .await
            .patch("orders", &PatchParams::default(), &Patch::Merge(patch))
            .await;
        let Err(kube::Error::Api(status)) = changed else {
            panic!("{changed:?}")
        };
        let expected = format!(
            "spec.entityName: Invalid value: entityName cannot be changed: it was {was} and would be {would_be}; create a new object instead"
        );
        assert!(status.message.ends_with(&expected), "{}", status.message);
    }
    let patch = Patch::Merge(spec(json!({"title": "Artists"})));
    api("Component", &namespace)
        .await
        .patch("orders", &PatchParams::default(), &patch)
        .await
        .unwrap();
}
