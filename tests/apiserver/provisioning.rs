//! What a template says comes to be, in order, with its marks, and the status tells the truth about it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, namespace_manifest, parameters, resource, uid, with};

/// A namespace and settings for each environment, and a `ConfigMap` that only some want.
async fn environments(stage: &Stage<'_>) {
    let each = json!({"each": "${{ parameters.environments }}", "environment": "${{ each.key }}"});
    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "${{ resources.ns[each.key].metadata.name }}"},
        "data": {"TEXT": "${{ each.key }} has ${{ each.value.replicas }} of ${{ parameters.size }}"},
    });
    let resources = json!([
        with(resource("ns", namespace_manifest("-${{ each.key }}")), each.clone()),
        with(resource("settings", settings), each),
        with(
            resource(
                "debug",
                config_map("${{ entity.metadata.name }}-debug", json!({"on": "yes"}))
            ),
            json!({"if": "${{ parameters.debug }}"}),
        ),
    ]);
    let schema = parameters(json!({
        "environments": {"type": "object", "additionalProperties": {
            "type": "object", "properties": {"replicas": {"type": "integer"}},
        }},
        "size": {"type": "string", "default": "small"},
        "debug": {"type": "boolean"},
    }));
    stage
        .template_with("app", resources, with(schema, json!({"version": "1.0.0"})))
        .await;
}

fn wanted() -> Value {
    json!({"ref": "app", "parameters": {"environments": {"dev": {"replicas": 1}, "prod": {"replicas": 3}}}})
}

#[tokio::test]
async fn each_environment_of_a_map_gets_its_objects_and_defaults_hold() {
    let stage = Stage::new("each").await;
    environments(&stage).await;
    stage.component("orders", wanted()).await;
    let component = stage.ready("Component", "orders").await;

    for (environment, replicas) in [("dev", 1), ("prod", 3)] {
        let namespace = format!("{}-orders-{environment}", stage.home);
        let settings = stage.get(("ConfigMap", &namespace, "settings")).await.unwrap();
        assert_eq!(
            settings["data"]["TEXT"],
            format!("{environment} has {replicas} of small")
        );
    }
    let debug = format!("{}-debug", "orders");
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, &debug)).await,
        None,
        "`if` does not hold"
    );

    let status = &component["status"];
    let environment = |name: &str| json!({"name": name, "namespace": format!("{}-orders-{name}", stage.home), "version": "1.0.0", "ready": true});
    assert_eq!(status["environments"], json!([environment("dev"), environment("prod")]));
    assert_eq!(status["environmentsReady"], "2/2");
    assert_eq!(status["template"]["ref"], format!("template:{}/app", stage.home));
    assert_eq!(status["template"]["version"], "1.0.0");
    assert_eq!(status["template"]["latestVersion"], "1.0.0");
    for (kind, reason) in [
        ("Ready", "Ready"),
        ("Accepted", "Accepted"),
        ("Provisioned", "Provisioned"),
        ("Healthy", "Healthy"),
        ("UpToDate", "Latest"),
    ] {
        let found = condition(&component, kind);
        assert_eq!(
            (found.status.as_str(), found.reason.as_str()),
            ("True", reason),
            "{kind}: {found:?}"
        );
    }
    for kind in ["Reconciling", "Stalled", "Drifted"] {
        assert_eq!(
            condition(&component, kind).status,
            "",
            "{kind} exists only while it is True"
        );
    }

    // `if` holds now; nothing else is touched.
    let mut spec = wanted();
    spec["parameters"]["debug"] = json!(true);
    stage.component("orders", spec).await;
    let made = stage.appears(("ConfigMap", &stage.home, &debug)).await;
    let component = stage.ready("Component", "orders").await;
    let inventory = component["status"]["inventory"].as_array().unwrap();
    assert_eq!(inventory.len(), 5);
    assert!(inventory.iter().any(|entry| entry["uid"] == uid(&made)));
}

#[tokio::test]
async fn the_inventory_and_the_marks_name_each_other() {
    let stage = Stage::new("marks").await;
    environments(&stage).await;
    stage.component("orders", wanted()).await;
    let component = stage.ready("Component", "orders").await;
    assert_eq!(
        component["metadata"]["finalizers"],
        json!(["catalog.landfall.dev/provisioned"])
    );

    let mut resources = BTreeSet::new();
    let mut claims = BTreeSet::new();
    for entry in component["status"]["inventory"].as_array().unwrap() {
        let text = |name: &str| entry[name].as_str().unwrap_or_default();
        let object = stage
            .get((text("kind"), text("namespace"), text("name")))
            .await
            .unwrap_or_else(|| panic!("the inventory lists what is not there: {entry}"));
        assert_eq!(text("uid"), uid(&object));
        assert_eq!(text("account"), format!("{}/maker", stage.home));
        assert_eq!(text("version"), "v1");
        assert!(
            !text("claim").is_empty() && !text("intentHash").is_empty() && !text("appliedHash").is_empty(),
            "{entry}"
        );
        let metadata = &object["metadata"];
        let labels: Vec<_> = metadata["labels"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| name.contains("landfall.dev"))
            .collect();
        assert_eq!(
            labels,
            [(&"landfall.dev/instance-uid".to_owned(), &json!(uid(&component)))]
        );
        assert_eq!(
            metadata["annotations"],
            json!({
                "landfall.dev/instance": format!("component:{}/orders", stage.home),
                "landfall.dev/resource": text("resource"),
                "landfall.dev/claim": text("claim"),
            })
        );
        assert_eq!(metadata["ownerReferences"], Value::Null);
        let managers: Vec<_> = metadata["managedFields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (&entry["manager"], &entry["operation"]))
            .collect();
        assert_eq!(managers[0], (&json!("landfall"), &json!("Apply")), "{managers:?}");
        assert!(resources.insert(text("resource").to_owned()));
        assert!(claims.insert(text("claim").to_owned()), "two objects share a claim");
    }
    assert_eq!(
        resources.iter().map(String::as_str).collect::<Vec<_>>(),
        ["ns/dev", "ns/prod", "settings/dev", "settings/prod"]
    );
}

#[tokio::test]
async fn kubectl_prints_what_people_look_for() {
    let stage = Stage::new("columns").await;
    environments(&stage).await;
    stage.system("shop", json!({})).await;
    stage
        .component_with("orders", json!({"system": "shop", "template": wanted()}))
        .await;
    stage.ready("Component", "orders").await;
    let output = stage.cluster.kubectl(&["get", "components", "-n", &stage.home]);
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows[0],
        [
            "NAME",
            "TYPE",
            "OWNER",
            "SYSTEM",
            "TEMPLATE",
            "VERSION",
            "ENVIRONMENTS",
            "READY",
            "REASON",
            "AGE"
        ]
    );
    assert_eq!(
        rows[1][..9],
        [
            "orders",
            "service",
            "group:shop/checkout",
            "shop",
            "app",
            "1.0.0",
            "2/2",
            "True",
            "Ready"
        ]
    );
}

#[tokio::test]
async fn an_object_waits_for_a_live_value_and_says_for_which() {
    let stage = Stage::new("live").await;
    let widget = stage.define_widget().await;
    let resources = json!([
        resource(
            "settings",
            config_map("settings", json!({"HOST": "${{ resources.db.status.host }}"}))
        ),
        with(
            resource("db", stage.widget_manifest("db")),
            json!({"readyWhen": "${{ self.spec.size > 0 }}"})
        ),
        resource("beside", config_map("beside", json!({"a": "b"}))),
    ]);
    stage.template("app", resources).await;
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Component", "orders", "WaitingForValue").await;
    assert_eq!(
        message,
        "resource \"settings\", data.HOST: waiting for resources.db.status.host"
    );
    let component = stage.looked_at("Component", "orders").await;
    assert_eq!(condition(&component, "Reconciling").reason, "WaitingForValue");
    assert_eq!(condition(&component, "Stalled").status, "");
    assert_eq!(stage.get(("ConfigMap", &stage.home, "settings")).await, None);
    assert!(
        stage.get(("ConfigMap", &stage.home, "beside")).await.is_some(),
        "what does not wait is made"
    );

    stage
        .set_status((&widget, &stage.home, "db"), json!({"host": "db.example.com"}))
        .await;
    let settings = stage.appears(("ConfigMap", &stage.home, "settings")).await;
    assert_eq!(settings["data"]["HOST"], "db.example.com");
    stage.ready("Component", "orders").await;

    // A value that moves is followed.
    stage
        .set_status((&widget, &stage.home, "db"), json!({"host": "db2.example.com"}))
        .await;
    stage
        .becomes(("ConfigMap", &stage.home, "settings"), |object| {
            object["data"]["HOST"] == "db2.example.com"
        })
        .await;
}

#[tokio::test]
async fn what_depends_on_an_object_waits_until_that_is_ready() {
    let stage = Stage::new("order").await;
    let widget = stage.define_widget().await;
    let resources = json!([
        with(
            resource("after", config_map("after", json!({"a": "b"}))),
            json!({"dependsOn": ["db"]})
        ),
        resource(
            "last",
            config_map("last", json!({"NAME": "${{ resources.after.data.a }}"}))
        ),
        with(
            resource("db", stage.widget_manifest("db")),
            json!({"readyWhen": "${{ self.status.phase == 'Up' }}"})
        ),
    ]);
    stage.template("app", resources).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.appears((&widget, &stage.home, "db")).await;
    // The host alone does not make it ready.
    stage
        .set_status((&widget, &stage.home, "db"), json!({"host": "db.example.com"}))
        .await;
    let component = stage.looked_at("Component", "orders").await;
    assert_ne!(condition(&component, "Ready").status, "True");
    for name in ["after", "last"] {
        assert_eq!(
            stage.get(("ConfigMap", &stage.home, name)).await,
            None,
            "{name} was not to be made yet"
        );
    }
    let ready = condition(&component, "Ready");
    assert!(
        ready.message.contains(&format!("Widget {}/db", stage.home)),
        "the message names what is waited for: {ready:?}"
    );

    stage
        .set_status((&widget, &stage.home, "db"), json!({"phase": "Up"}))
        .await;
    stage.ready("Component", "orders").await;
    let last = stage.get(("ConfigMap", &stage.home, "last")).await.unwrap();
    assert_eq!(last["data"]["NAME"], "b");
    let component = stage.get(("Component", &stage.home, "orders")).await.unwrap();
    let order: Vec<_> = component["status"]["inventory"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["resource"].as_str().unwrap())
        .collect();
    assert_eq!(order, ["db", "after", "last"]);

    // Readiness that is lost shows, and comes back.
    stage
        .set_status((&widget, &stage.home, "db"), json!({"phase": "Down"}))
        .await;
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            condition(object, "Ready").status == "False"
        })
        .await;
    assert!(
        stage.get(("ConfigMap", &stage.home, "after")).await.is_some(),
        "what exists is kept"
    );
    stage
        .set_status((&widget, &stage.home, "db"), json!({"phase": "Up"}))
        .await;
    stage.ready("Component", "orders").await;
}

#[tokio::test]
async fn an_environment_that_is_not_ready_says_why_and_the_others_are() {
    let stage = Stage::new("oneenv").await;
    environments(&stage).await;
    let taken = format!("{}-orders-prod", stage.home);
    stage
        .put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": taken}}))
        .await;
    stage.component("orders", wanted()).await;
    stage.unready("Component", "orders", "NameConflict").await;
    let component = stage.looked_at("Component", "orders").await;
    let environments = &component["status"]["environments"];
    assert_eq!(
        (&environments[0]["name"], &environments[0]["ready"]),
        (&json!("dev"), &json!(true))
    );
    assert_eq!(
        (&environments[1]["name"], &environments[1]["ready"]),
        (&json!("prod"), &json!(false))
    );
    let message = environments[1]["message"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("Namespace {taken} exists and is not ours")),
        "{message}"
    );
    assert_eq!(component["status"]["environmentsReady"], "1/2");
    // One broken object holds up no other.
    let dev = format!("{}-orders-dev", stage.home);
    assert!(stage.get(("ConfigMap", &dev, "settings")).await.is_some());
    assert_eq!(stage.get(("ConfigMap", &taken, "settings")).await, None);
    // An event tells people who do not read the status.
    stage
        .becomes_listed("Event", &stage.home, |event| {
            event["involvedObject"]["name"] == "orders"
                && event["reason"] == "NameConflict"
                && event["type"] == "Warning"
        })
        .await;
}

#[tokio::test]
async fn the_output_is_live_and_only_what_is_there_is_in_it() {
    let stage = Stage::new("output").await;
    let widget = stage.define_widget().await;
    let resources = json!([with(
        resource("db", stage.widget_manifest("db")),
        json!({"readyWhen": "${{ self.spec.size > 0 }}", "environment": "prod"})
    ),]);
    let output = json!({"output": {
        "host": "${{ resources.db.status.host }}",
        "name": "${{ entity.metadata.name }}",
        "environments": {"prod": {"url": "${{ resources.db.status.phase }}"}},
    }});
    stage.template_with("app", resources, output).await;
    stage.component("orders", json!({"ref": "app"})).await;
    let component = stage.ready("Component", "orders").await;
    assert_eq!(component["status"]["output"]["name"], "orders");
    assert_eq!(
        component["status"]["output"]["host"],
        Value::Null,
        "it is not there yet"
    );

    let place = (widget.as_str(), stage.home.as_str(), "db");
    stage
        .set_status(
            place,
            json!({"host": "db.example.com", "phase": "https://orders.example.com"}),
        )
        .await;
    let orders = ("Component", stage.home.as_str(), "orders");
    let component = stage
        .becomes(orders, |object| object["status"]["output"]["host"] == "db.example.com")
        .await;
    assert_eq!(
        component["status"]["environments"][0]["url"],
        "https://orders.example.com"
    );
    // What a browser would run is never a URL of ours.
    stage.set_status(place, json!({"phase": "javascript:alert(1)"})).await;
    stage
        .becomes(orders, |object| object["status"]["environments"][0]["url"].is_null())
        .await;
}

#[tokio::test]
async fn a_component_without_a_template_is_only_recorded() {
    let stage = Stage::new("plain").await;
    stage.component_with("library", json!({"type": "library"})).await;
    let component = stage.ready("Component", "library").await;
    assert_eq!(component["metadata"]["finalizers"], Value::Null);
    assert_eq!(component["status"]["inventory"], Value::Null);
    assert_eq!(condition(&component, "Ready").reason, "Accepted");
}
