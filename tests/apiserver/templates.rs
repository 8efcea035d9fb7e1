//! How a template's content reaches its instances: only what compiles, each version for ever the same, and a
//! pin before all.

use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, namespace_manifest, resource, uid, with};

/// A Template with one `ConfigMap` `<instance>-settings` that holds `text`.
fn settings(text: &str) -> Value {
    json!([resource(
        "settings",
        config_map("${{ entity.metadata.name }}-settings", json!({"text": text}))
    )])
}

fn version(version: &str) -> Value {
    json!({"version": version})
}

/// Waits until the instance's object says `text`.
async fn says(stage: &Stage<'_>, instance: &str, text: &str) -> Value {
    let name = format!("{instance}-settings");
    stage
        .becomes(("ConfigMap", &stage.home, &name), |object| {
            object["data"]["text"] == text
        })
        .await
}

#[tokio::test]
async fn a_bad_edit_leaves_the_last_good_content_in_force() {
    let stage = Stage::new("badedit").await;
    stage.template_with("app", settings("good"), version("1.0.0")).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;

    stage
        .put(stage.template_object("app", settings("${{ parameters.typo }}"), version("1.1.0")))
        .await;
    let message = stage.unready("Template", "app", "InvalidTemplate").await;
    for part in [
        "resource \"settings\"",
        "data.text",
        "typo",
        "instances keep the last version that compiled",
    ] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    let template = stage.get(("Template", &stage.home, "app")).await.unwrap();
    assert_eq!(template["status"]["latest"]["version"], "1.0.0");
    assert_eq!(condition(&template, "Stalled").reason, "InvalidTemplate");

    // Instances run on: repaired, and new ones are made.
    stage.delete(("ConfigMap", &stage.home, "orders-settings")).await;
    says(&stage, "orders", "good").await;
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&component, "Ready").status, "True");
    stage.component("payments", json!({"ref": "app"})).await;
    let component = stage.ready("Component", "payments").await;
    assert_eq!(component["status"]["template"]["version"], "1.0.0");

    stage.template_with("app", settings("better"), version("1.1.0")).await;
    says(&stage, "orders", "better").await;
    says(&stage, "payments", "better").await;
}

#[tokio::test]
async fn a_version_has_one_content_for_ever() {
    let stage = Stage::new("reused").await;
    stage.template_with("app", settings("first"), version("1.0.0")).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    stage
        .put(stage.template_object("app", settings("second"), version("1.0.0")))
        .await;
    let message = stage.unready("Template", "app", "VersionReused").await;
    assert!(
        message.contains("\"1.0.0\"") && message.contains("give this content a new version"),
        "{message}"
    );
    stage.looked_at("Component", "orders").await;
    says(&stage, "orders", "first").await;
    stage.template_with("app", settings("second"), version("1.0.1")).await;
    says(&stage, "orders", "second").await;
    // The old content may come back under its old version.
    stage.template_with("app", settings("first"), version("1.0.0")).await;
    says(&stage, "orders", "first").await;
}

#[tokio::test]
async fn a_new_version_reaches_all_that_are_not_pinned_and_is_counted() {
    let stage = Stage::new("rollout").await;
    stage.template_with("app", settings("one"), version("1.0.0")).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.component("payments", json!({"ref": "app"})).await;
    stage
        .component("pinned", json!({"ref": "app", "version": "1.0.0"}))
        .await;
    for name in ["orders", "payments", "pinned"] {
        stage.ready("Component", name).await;
    }
    let pinned = says(&stage, "pinned", "one").await;
    let counts = |total: i64, updated: i64, ready: i64| json!({"total": total, "updated": updated, "ready": ready});
    let template = ("Template", stage.home.as_str(), "app");
    stage
        .becomes(template, |object| object["status"]["instances"] == counts(3, 3, 3))
        .await;

    stage.template_with("app", settings("two"), version("2.0.0")).await;
    for name in ["orders", "payments"] {
        says(&stage, name, "two").await;
        let component = stage
            .becomes(("Component", &stage.home, name), |object| {
                object["status"]["template"]["version"] == "2.0.0"
            })
            .await;
        assert_eq!(condition(&component, "UpToDate").status, "True");
    }
    stage
        .becomes(template, |object| object["status"]["instances"] == counts(3, 2, 3))
        .await;
    let component = stage.looked_at("Component", "pinned").await;
    assert_eq!(
        says(&stage, "pinned", "one").await,
        pinned,
        "a pinned instance's object is not written"
    );
    assert_eq!(component["status"]["template"]["latestVersion"], "2.0.0");
    let up_to_date = condition(&component, "UpToDate");
    assert_eq!(
        (up_to_date.status.as_str(), up_to_date.reason.as_str()),
        ("False", "Pinned")
    );
    assert_eq!(
        condition(&component, "Ready").status,
        "True",
        "an old version is not a fault"
    );

    // A pin on a version that is not there is waited for, and nothing is changed meanwhile.
    stage
        .component("pinned", json!({"ref": "app", "version": "3.0.0"}))
        .await;
    let message = stage.unready("Component", "pinned", "VersionNotFound").await;
    assert!(message.contains("no version \"3.0.0\""), "{message}");
    assert_eq!(says(&stage, "pinned", "one").await, pinned);
    stage
        .becomes(template, |object| object["status"]["instances"]["ready"] == 2)
        .await;
    stage.template_with("app", settings("three"), version("3.0.0")).await;
    says(&stage, "pinned", "three").await;
    stage.ready("Component", "pinned").await;
}

#[tokio::test]
async fn one_environment_can_stay_at_a_version() {
    let stage = Stage::new("envpin").await;
    let resources = |text: &str| {
        let metadata = json!({"name": "settings", "namespace": "${{ resources.ns[each.key].metadata.name }}"});
        let each = json!({"each": {"dev": {}, "prod": {}}, "environment": "${{ each.key }}"});
        json!([
            with(resource("ns", namespace_manifest("-${{ each.key }}")), each.clone()),
            with(
                resource(
                    "settings",
                    with(
                        config_map("settings", json!({"text": text})),
                        json!({"metadata": metadata})
                    )
                ),
                each
            ),
        ])
    };
    stage.template_with("app", resources("one"), version("1.0.0")).await;
    stage
        .component(
            "orders",
            json!({"ref": "app", "environments": {"prod": {"version": "1.0.0"}}}),
        )
        .await;
    stage.ready("Component", "orders").await;
    let prod = format!("{}-orders-prod", stage.home);
    let dev = format!("{}-orders-dev", stage.home);
    let before = stage.get(("ConfigMap", &prod, "settings")).await.unwrap();
    stage.template_with("app", resources("two"), version("2.0.0")).await;
    stage
        .becomes(("ConfigMap", &dev, "settings"), |object| {
            object["data"]["text"] == "two"
        })
        .await;
    let component = stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            object["status"]["template"]["version"] == "2.0.0"
        })
        .await;
    assert_eq!(stage.get(("ConfigMap", &prod, "settings")).await, Some(before));
    let versions: Vec<_> = component["status"]["environments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["version"].clone())
        .collect();
    assert_eq!(versions, ["2.0.0", "1.0.0"]);
}

#[tokio::test]
async fn a_template_that_is_gone_leaves_its_instances_their_objects() {
    let stage = Stage::new("tplgone").await;
    stage.template_with("app", settings("one"), version("1.0.0")).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let before = says(&stage, "orders", "one").await;
    stage.delete(("Template", &stage.home, "app")).await;
    let message = stage.unready("Component", "orders", "TemplateNotFound").await;
    assert!(
        message.contains(&format!("template:{}/app does not exist", stage.home)),
        "{message}"
    );
    // Kept, and not repaired: authority went with the template.
    let edited = stage
        .edit(
            ("ConfigMap", &stage.home, "orders-settings"),
            json!({"data": {"text": "edited"}}),
        )
        .await;
    assert_eq!(uid(&edited), uid(&before));
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(component["status"]["inventory"][0]["uid"], uid(&before));
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "orders-settings")).await,
        Some(edited)
    );

    stage.template_with("app", settings("one"), version("1.0.0")).await;
    let after = says(&stage, "orders", "one").await;
    assert_eq!(uid(&after), uid(&before));
    stage.ready("Component", "orders").await;
}

#[tokio::test]
async fn an_instance_may_come_before_its_template() {
    let stage = Stage::new("early").await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.unready("Component", "orders", "TemplateNotFound").await;
    stage.template_with("app", settings("one"), version("1.0.0")).await;
    stage.ready("Component", "orders").await;
    says(&stage, "orders", "one").await;
}

#[tokio::test]
async fn a_kind_that_is_not_served_is_waited_for() {
    let stage = Stage::new("nokind").await;
    let resources = json!([resource("db", with(stage.widget_manifest("db"), json!({})))]);
    stage
        .put(stage.template_object("app", resources, version("1.0.0")))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    let expected = format!("Widget ({}.example.com/v1) is not served by this cluster", stage.home);
    let message = stage.unready("Template", "app", "KindNotServed").await;
    assert!(message.contains(&expected), "{message}");
    let template = stage.get(("Template", &stage.home, "app")).await.unwrap();
    assert_eq!(condition(&template, "Reconciling").reason, "KindNotServed");
    let component = stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            condition(object, "Ready").message.contains(&expected)
        })
        .await;
    assert_ne!(condition(&component, "Ready").status, "True");
    assert_eq!(
        condition(&component, "Stalled").status,
        "",
        "it is waited for, not given up"
    );

    let widget = stage.define_widget().await;
    stage.ready("Template", "app").await;
    stage.ready("Component", "orders").await;
    assert!(stage.get((&widget, &stage.home, "db")).await.is_some());
}

#[tokio::test]
async fn a_kind_may_go_and_come_back() {
    let stage = Stage::new("kindgone").await;
    let widget = stage.define_widget().await;
    let resources = json!([
        resource("db", stage.widget_manifest("${{ entity.metadata.name }}-db")),
        resource(
            "settings",
            config_map("${{ entity.metadata.name }}-settings", json!({"text": "one"}))
        ),
    ]);
    stage.template("app", resources).await;
    for name in ["orders", "payments"] {
        stage.component(name, json!({"ref": "app"})).await;
        stage.ready("Component", name).await;
    }
    let settings = says(&stage, "orders", "one").await;
    let definition = format!("widgets.{}.example.com", stage.home);
    stage.delete(("CustomResourceDefinition", "", &definition)).await;
    stage.vanishes(("CustomResourceDefinition", "", &definition)).await;
    stage.unready("Template", "app", "KindNotServed").await;
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            condition(object, "Ready")
                .message
                .contains("is not served by this cluster")
        })
        .await;
    // An instance can go all the same.
    stage.delete(("Component", &stage.home, "payments")).await;
    stage.vanishes(("Component", &stage.home, "payments")).await;
    assert_eq!(stage.get(("ConfigMap", &stage.home, "payments-settings")).await, None);

    stage.define_widget().await;
    stage.appears((&widget, &stage.home, "orders-db")).await;
    stage.ready("Component", "orders").await;
    assert_eq!(
        says(&stage, "orders", "one").await,
        settings,
        "the other object was not touched"
    );
}

#[tokio::test]
async fn a_lost_revision_is_kept_anew() {
    let stage = Stage::new("revision").await;
    let template = stage.template_with("app", settings("one"), version("1.0.0")).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let before = says(&stage, "orders", "one").await;
    let name = template["status"]["latest"]["revisionName"].as_str().unwrap();
    let revision = ("ControllerRevision", stage.home.as_str(), name);
    let lost = stage.get(revision).await.unwrap();
    assert_eq!(lost["metadata"]["ownerReferences"][0]["uid"], uid(&template));
    stage.delete(revision).await;
    let kept = stage.becomes(revision, |object| uid(object) != uid(&lost)).await;
    assert_eq!(kept["data"], lost["data"]);
    stage.looked_at("Component", "orders").await;
    stage.ready("Component", "orders").await;
    assert_eq!(says(&stage, "orders", "one").await, before);
}

#[tokio::test]
async fn the_live_template_alone_says_who_may_use_it() {
    let stage = Stage::new("closed").await;
    let other = stage.cluster.namespace(&format!("{}-other", stage.home)).await;
    stage.template("app", settings("one")).await;
    let component = json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
        "metadata": {"name": "orders", "namespace": other},
        "spec": {
            "type": "service", "lifecycle": "production", "owner": "group:shop/checkout",
            "template": {"ref": format!("{}/app", stage.home)},
        },
    });
    stage.put(component).await;
    let place = ("Component", other.as_str(), "orders");
    let refused = stage
        .becomes(place, |object| condition(object, "Ready").reason == "NotAllowed")
        .await;
    assert_eq!(condition(&refused, "Stalled").reason, "NotAllowed");
    assert_eq!(stage.get(("ConfigMap", &other, "orders-settings")).await, None);
    // Authority is no part of a version: opening needs no new one.
    stage
        .template_with("app", settings("one"), json!({"allowedNamespaces": {"from": "All"}}))
        .await;
    let made = stage
        .becomes(place, |object| condition(object, "Ready").status == "True")
        .await;
    assert!(stage.get(("ConfigMap", &other, "orders-settings")).await.is_some());
    // Closing stops the repair and takes nothing away.
    stage
        .template_with("app", settings("one"), json!({"allowedNamespaces": {"from": "Same"}}))
        .await;
    let closed = stage
        .becomes(place, |object| condition(object, "Ready").reason == "NotAllowed")
        .await;
    assert_eq!(closed["status"]["inventory"], made["status"]["inventory"]);
    assert!(stage.get(("ConfigMap", &other, "orders-settings")).await.is_some());
}

#[tokio::test]
async fn a_selector_opens_a_template_to_namespaces_as_they_are_labelled() {
    let stage = Stage::new("selector").await;
    let other = stage.cluster.namespace(&format!("{}-other", stage.home)).await;
    let open = json!({"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}}});
    stage.template_with("app", settings("one"), open).await;
    let spec = json!({
        "type": "service", "lifecycle": "production", "owner": "group:shop/checkout",
        "template": {"ref": format!("{}/app", stage.home)},
    });
    let metadata = json!({"name": "orders", "namespace": other});
    let api_version = "catalog.landfall.dev/v1alpha1";
    stage
        .put(json!({"apiVersion": api_version, "kind": "Component", "metadata": metadata, "spec": spec}))
        .await;
    let place = ("Component", other.as_str(), "orders");
    stage
        .becomes(place, |object| condition(object, "Ready").reason == "NotAllowed")
        .await;
    stage
        .edit(
            ("Namespace", "", &other),
            json!({"metadata": {"labels": {"team": "shop"}}}),
        )
        .await;
    stage
        .becomes(place, |object| condition(object, "Ready").status == "True")
        .await;
    assert!(stage.get(("ConfigMap", &other, "orders-settings")).await.is_some());
}
