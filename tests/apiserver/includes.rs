//! Templates that include others: what that brings, when it follows, and what is told where it cannot be.

use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, namespace_manifest, resource, uid, with};

/// A Template of namespace `namespace` that nobody has an account for: one namespace, and in it a `ConfigMap` that holds `text`.
fn rails(stage: &Stage<'_>, namespace: &str, text: &str, more: Value) -> Value {
    let mut settings = config_map("rails", json!({"text": text, "pods": "${{ parameters.pods }}"}));
    settings["metadata"]["namespace"] = json!("${{ resources.ns.metadata.name }}");
    let resources = json!([
        resource("ns", namespace_manifest("-${{ parameters.name }}")),
        resource("settings", settings),
    ]);
    let parameters = json!({
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "pods": {"type": "string", "default": "3"}},
    });
    let spec = json!({"serviceAccountName": "nobody", "parameters": parameters});
    let mut template = stage.template_object("rails", resources, with(spec, more));
    template["metadata"]["namespace"] = json!(namespace);
    template
}

/// What a Template says that includes `reference` once for each environment.
fn including(reference: &str) -> Value {
    json!({
        "parameters": {"properties": {"environments": {"type": "object"}}},
        "include": [{
            "id": "rails", "ref": reference, "each": "${{ parameters.environments }}",
            "parameters": {"name": "${{ each.key }}", "pods": "${{ each.value.pods }}"},
        }],
    })
}

/// A `ConfigMap` of the Template's own in each of the namespaces that the include makes.
fn own() -> Value {
    let mut own = config_map("own", json!({"key": "${{ each.key }}"}));
    own["metadata"]["namespace"] = json!("${{ resources.rails[each.key].ns.metadata.name }}");
    json!([with(
        resource("own", own),
        json!({"each": "${{ parameters.environments }}"})
    )])
}

fn environments() -> Value {
    json!({"ref": "app", "parameters": {"environments": {"dev": {}, "prod": {"pods": "9"}}}})
}

#[tokio::test]
async fn what_is_included_is_the_instances_own_and_follows_what_is_newest() {
    let stage = Stage::new("include").await;
    let shared = stage.cluster.namespace("include-shared").await;
    let open = json!({"allowedNamespaces": {"from": "All"}});
    stage.put(rails(&stage, &shared, "first", open.clone())).await;
    let template = stage
        .template_with("app", own(), including(&format!("{shared}/rails")))
        .await;
    let first = template["status"]["latest"]["version"].clone();
    stage.component("orders", environments()).await;
    let component = stage.ready("Component", "orders").await;

    // All is written as the account of the template that includes: the other one's does not exist.
    let inventory = component["status"]["inventory"].as_array().unwrap();
    let mut resources: Vec<String> = inventory
        .iter()
        .map(|entry| {
            format!(
                "{} {}",
                entry["resource"].as_str().unwrap(),
                entry["account"].as_str().unwrap()
            )
        })
        .collect();
    resources.sort();
    let account = inventory[0]["account"].as_str().unwrap();
    assert!(account.starts_with(&format!("{}/", stage.home)), "{account}");
    let expected = [
        "own/dev",
        "own/prod",
        "rails.ns/dev",
        "rails.ns/prod",
        "rails.settings/dev",
        "rails.settings/prod",
    ];
    assert_eq!(resources, expected.map(|resource| format!("{resource} {account}")));
    let name = |environment: &str| format!("{}-orders-{environment}", stage.home);
    let settings = stage.get(("ConfigMap", &name("prod"), "rails")).await.unwrap();
    assert_eq!(settings["data"], json!({"text": "first", "pods": "9"}));
    let dev = stage.get(("ConfigMap", &name("dev"), "rails")).await.unwrap();
    assert_eq!(dev["data"]["pods"], "3", "the included template's default");
    let own = stage.get(("ConfigMap", &name("dev"), "own")).await.unwrap();

    // A new version of what is included is one of what includes it, and reaches the instances.
    let mark = stage.cluster.audit().mark().await;
    stage.put(rails(&stage, &shared, "second", open)).await;
    let place = ("ConfigMap", name("prod"));
    stage
        .becomes((place.0, &place.1, "rails"), |object| {
            object["data"]["text"] == "second"
        })
        .await;
    let component = stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            object["status"]["template"]["version"] != first && condition(object, "Ready").status == "True"
        })
        .await;
    assert_eq!(
        component["status"]["template"]["version"],
        component["status"]["template"]["latestVersion"]
    );
    let written = stage.written_since(mark).await;
    assert!(
        written
            .iter()
            .all(|entry| entry.verb != "delete" && entry.verb != "create"),
        "{written:?}"
    );
    let after = stage.get(("ConfigMap", &name("dev"), "own")).await.unwrap();
    assert_eq!(
        (uid(&after), &after["metadata"]["resourceVersion"]),
        (uid(&own), &own["metadata"]["resourceVersion"]),
        "what did not change is not written"
    );

    // Gone from under running instances: what they have stays, and is kept.
    stage.delete(("Template", &shared, "rails")).await;
    let message = stage.unready("Template", "app", "IncludeNotFound").await;
    assert!(
        message.starts_with(&format!("spec.include[rails]: template:{shared}/rails does not exist")),
        "{message}"
    );
    stage.delete(("ConfigMap", &name("dev"), "rails")).await;
    stage.appears(("ConfigMap", &name("dev"), "rails")).await;
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&component, "Ready").status, "True");
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Namespace", "", &name("prod"))).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
}

#[tokio::test]
async fn a_version_keeps_what_it_included_and_a_pin_takes_no_other() {
    let stage = Stage::new("includepin").await;
    stage
        .put(rails(&stage, &stage.home, "one", json!({"version": "1.0.0"})))
        .await;
    let text = async |name: &str, text: &str| {
        let namespace = format!("{}-{name}-dev", stage.home);
        stage
            .becomes(("ConfigMap", &namespace, "rails"), |object| {
                object["data"]["text"] == text
            })
            .await
    };
    let only = |name: &str| json!({"ref": name, "parameters": {"environments": {"dev": {}}}});

    // Pinned to what is not there yet.
    let mut pinned = including("rails");
    pinned["include"][0]["version"] = json!("2.0.0");
    stage.put(stage.template_object("pinned", own(), pinned)).await;
    let message = stage.unready("Template", "pinned", "IncludeNotFound").await;
    assert!(
        message.starts_with(&format!(
            "spec.include[rails].version: template:{}/rails has no version \"2.0.0\"",
            stage.home
        )),
        "{message}"
    );
    let versioned = with(including("rails"), json!({"version": "7.0.0"}));
    stage.template_with("versioned", own(), versioned.clone()).await;
    stage.component("b", only("versioned")).await;
    text("b", "one").await;

    stage
        .put(rails(&stage, &stage.home, "two", json!({"version": "2.0.0"})))
        .await;
    stage.ready("Template", "pinned").await;
    stage.component("a", only("pinned")).await;
    text("a", "two").await;
    stage
        .put(rails(&stage, &stage.home, "three", json!({"version": "3.0.0"})))
        .await;
    // What follows the newest is there when the others would be, too.
    stage.template_with("newest", own(), including("rails")).await;
    stage.component("c", only("newest")).await;
    text("c", "three").await;
    for (name, kept) in [("a", "two"), ("b", "one")] {
        stage.looked_at("Component", name).await;
        text(name, kept).await;
    }
    for template in ["pinned", "versioned"] {
        let template = stage.ready("Template", template).await;
        assert_eq!(template["metadata"]["generation"], 1);
    }
    // A new version of the including template takes what is newest now.
    stage
        .template_with("versioned", own(), with(versioned, json!({"version": "7.1.0"})))
        .await;
    text("b", "three").await;
}

#[tokio::test]
async fn a_template_is_included_only_where_it_is_open() {
    let stage = Stage::new("includeshut").await;
    let shared = stage.cluster.namespace("includeshut-shared").await;
    stage.put(rails(&stage, &shared, "one", json!({}))).await;
    let reference = format!("{shared}/rails");
    stage
        .put(stage.template_object("app", own(), including(&reference)))
        .await;
    let message = stage.unready("Template", "app", "IncludeNotAllowed").await;
    assert_eq!(
        message,
        format!(
            "spec.include[rails]: template:{shared}/rails is not open to namespace {}: it is open to its own namespace only; ask its owner to widen its spec.allowedNamespaces, for example to {{from: All}}, or include one that is open",
            stage.home
        )
    );
    let named = json!({"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}}});
    stage.put(rails(&stage, &shared, "one", named)).await;
    let home = stage.home.clone();
    stage
        .becomes(("Template", &home, "app"), |object| {
            condition(object, "Ready")
                .message
                .contains("its selector does not match")
        })
        .await;
    stage
        .edit(
            ("Namespace", "", &home),
            json!({"metadata": {"labels": {"team": "shop"}}}),
        )
        .await;
    stage.ready("Template", "app").await;
    // What closes it again keeps new content out, and takes nothing from those who have it.
    stage.component("orders", environments()).await;
    stage.ready("Component", "orders").await;
    stage
        .put(rails(
            &stage,
            &shared,
            "two",
            json!({"allowedNamespaces": {"from": "Same"}}),
        ))
        .await;
    stage.unready("Template", "app", "IncludeNotAllowed").await;
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&component, "Ready").status, "True");
    let settings = stage
        .get(("ConfigMap", &format!("{home}-orders-dev"), "rails"))
        .await
        .unwrap();
    assert_eq!(settings["data"]["text"], "one");
}

#[tokio::test]
async fn templates_that_include_each_other_are_told_so() {
    let stage = Stage::new("includering").await;
    let includes = |other: &str| json!({"include": [{"id": "other", "ref": other}]});
    stage.put(stage.template_object("a", json!([]), includes("b"))).await;
    stage.put(stage.template_object("b", json!([]), includes("c"))).await;
    stage.put(stage.template_object("c", json!([]), includes("a"))).await;
    let ring = |names: [&str; 4]| names.map(|name| format!("template:{}/{name}", stage.home)).join(" → ");
    for (name, names) in [
        ("a", ["a", "b", "c", "a"]),
        ("b", ["b", "c", "a", "b"]),
        ("c", ["c", "a", "b", "c"]),
    ] {
        let message = stage.unready("Template", name, "InvalidTemplate").await;
        assert_eq!(
            message,
            format!(
                "spec.include[other]: the templates include each other: {}; take one of these includes out",
                ring(names)
            )
        );
    }
    // Without one of them, all compile.
    stage
        .template(
            "c",
            json!([resource(
                "settings",
                config_map("${{ entity.metadata.name }}", json!({}))
            )]),
        )
        .await;
    stage.ready("Template", "b").await;
    stage.ready("Template", "a").await;
}

#[tokio::test]
async fn parameters_that_an_included_template_does_not_take_are_told_by_their_field() {
    let stage = Stage::new("includewrong").await;
    stage.put(rails(&stage, &stage.home, "one", json!({}))).await;
    stage.template_with("app", own(), including("rails")).await;
    stage
        .component(
            "orders",
            json!({"ref": "app", "parameters": {"environments": {"dev": {"pods": 3}}}}),
        )
        .await;
    let message = stage.unready("Component", "orders", "InvalidParameters").await;
    assert!(
        message.contains("include[rails].parameters.pods: 3 is an integer, expected a string (for dev)"),
        "{message}"
    );
    let mut wrong = including("rails");
    wrong["include"][0]["parameters"] = json!({"nmae": "x"});
    stage.put(stage.template_object("wrong", own(), wrong)).await;
    let message = stage.unready("Template", "wrong", "InvalidTemplate").await;
    assert!(
        message.contains("include[rails].parameters.nmae: unknown parameter; did you mean name?"),
        "{message}"
    );
}
