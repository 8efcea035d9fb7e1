//! What is someone else's stays byte for byte what it was, until its owner hands it over.

use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, namespace_manifest, parameters, resource, uid, with};

const ADOPT_BY: &str = "landfall.dev/adopt-by";

/// A `ConfigMap` that someone else made, in the stage's namespace.
async fn foreign(stage: &Stage<'_>, name: &str) -> Value {
    let object = with(
        config_map(name, json!({"text": "theirs"})),
        json!({"metadata": {"name": name, "namespace": stage.home, "labels": {"team": "theirs"}}}),
    );
    stage.apply_as("someone", object).await
}

async fn settings_template(stage: &Stage<'_>) {
    let manifest = config_map("settings", json!({"text": "ours"}));
    stage.template("app", json!([resource("settings", manifest)])).await;
}

#[tokio::test]
async fn an_existing_namespace_is_never_touched_until_it_is_handed_over() {
    let stage = Stage::new("taken").await;
    let name = format!("{}-orders", stage.home);
    let labels = json!({"team": "theirs", "pod-security.kubernetes.io/enforce": "privileged"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    stage.apply_as("someone", namespace).await;
    let secret = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": name}, "data": {"text": "theirs"},
    });
    stage.apply_as("someone", secret).await;
    // The authority's certificate is put into every namespace; after that nothing changes it.
    stage.appears(("ConfigMap", &name, "kube-root-ca.crt")).await;
    let place = ("Namespace", "", name.as_str());
    let before = stage.get(place).await.unwrap();
    let inside = stage.get(("ConfigMap", &name, "settings")).await.unwrap();

    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"text": "ours"},
        "metadata": {"name": "settings", "namespace": "${{ resources.ns.metadata.name }}"},
    });
    let manifest = with(namespace_manifest(""), json!({}));
    stage
        .template("app", json!([resource("ns", manifest), resource("settings", settings)]))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.unready("Component", "orders", "NameConflict").await;
    let component = stage.looked_at("Component", "orders").await;
    let stalled = condition(&component, "Stalled");
    assert_eq!(
        stalled.message,
        format!(
            "Namespace {name} exists and is not ours; rename the component, or hand it over: kubectl annotate namespace {name} landfall.dev/adopt-by=component:{}/orders",
            stage.home
        )
    );
    assert_eq!(stage.get(place).await.as_ref(), Some(&before));
    assert_eq!(
        stage.get(("ConfigMap", &name, "settings")).await.as_ref(),
        Some(&inside)
    );

    // Nor when the component goes.
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get(place).await.as_ref(), Some(&before));
    assert_eq!(
        stage.get(("ConfigMap", &name, "settings")).await.as_ref(),
        Some(&inside)
    );

    // A mark for another instance is none for this one.
    let marked = stage
        .edit(
            place,
            json!({"metadata": {"annotations": {ADOPT_BY: format!("component:{}/payments", stage.home)}}}),
        )
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.unready("Component", "orders", "NameConflict").await;
    stage.looked_at("Component", "orders").await;
    assert_eq!(stage.get(place).await, Some(marked));

    // The very command of the message hands it over, and no look need be asked for.
    let mark = format!("{ADOPT_BY}=component:{}/orders", stage.home);
    let output = stage
        .cluster
        .kubectl(&["annotate", "--overwrite", "namespace", &name, &mark]);
    assert!(output.status.success(), "{output:?}");
    let adopted = stage
        .becomes(place, |object| {
            object["metadata"]["labels"]["landfall.dev/instance-uid"].is_string()
        })
        .await;
    assert_eq!(uid(&adopted), uid(&before));
    assert_eq!(
        adopted["metadata"]["labels"]["team"], "theirs",
        "what nobody planned stays"
    );
    // What lies in it is another object, and was not handed over.
    stage.unready("Component", "orders", "NameConflict").await;
    assert_eq!(
        stage.get(("ConfigMap", &name, "settings")).await.as_ref(),
        Some(&inside)
    );
}

#[tokio::test]
async fn an_existing_object_is_never_touched_until_it_is_handed_over() {
    let stage = Stage::new("theirs").await;
    let before = foreign(&stage, "settings").await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    settings_template(&stage).await;
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Component", "orders", "NameConflict").await;
    let home = &stage.home;
    assert_eq!(
        message,
        format!(
            "ConfigMap {home}/settings exists and is not ours; rename the component, or hand it over: kubectl annotate -n {home} configmaps settings landfall.dev/adopt-by=component:{home}/orders"
        )
    );
    stage.looked_at("Component", "orders").await;
    assert_eq!(stage.get(place).await.as_ref(), Some(&before));
    stage.delete(("Component", home, "orders")).await;
    stage.vanishes(("Component", home, "orders")).await;
    assert_eq!(stage.get(place).await.as_ref(), Some(&before));

    stage.component("orders", json!({"ref": "app"})).await;
    stage.unready("Component", "orders", "NameConflict").await;
    let mark = format!("{ADOPT_BY}=component:{home}/orders");
    let output = stage
        .cluster
        .kubectl(&["annotate", "-n", home, "configmaps", "settings", &mark]);
    assert!(output.status.success(), "{output:?}");
    stage.looked_at("Component", "orders").await;
    stage.ready("Component", "orders").await;
    let adopted = stage.get(place).await.unwrap();
    assert_eq!(
        (uid(&adopted), &adopted["data"]["text"]),
        (uid(&before), &json!("ours"))
    );
    assert_eq!(adopted["metadata"]["labels"]["team"], "theirs");
}

#[tokio::test]
async fn marks_alone_make_nothing_ours() {
    let stage = Stage::new("forged").await;
    settings_template(&stage).await;
    // Suspended, so that its UID is known before anything is made.
    let component = stage.component("orders", json!({"ref": "app", "suspend": true})).await;
    let forged = stage
        .apply_as(
            "someone",
            with(
                config_map("settings", json!({"text": "theirs"})),
                json!({"metadata": {
                    "name": "settings", "namespace": stage.home,
                    "labels": {"landfall.dev/instance-uid": uid(&component)},
                    "annotations": {
                        "landfall.dev/instance": format!("component:{}/orders", stage.home),
                        "landfall.dev/resource": "settings", "landfall.dev/claim": "guessed",
                    },
                }}),
            ),
        )
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.unready("Component", "orders", "NameConflict").await;
    stage.looked_at("Component", "orders").await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    assert_eq!(stage.get(place).await.as_ref(), Some(&forged));
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get(place).await.as_ref(), Some(&forged));
}

#[tokio::test]
async fn an_object_that_took_the_place_of_ours_is_not_ours() {
    let stage = Stage::new("swapped").await;
    settings_template(&stage).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    // While the operator looks away, ours goes and another comes.
    stage.component("orders", json!({"ref": "app", "suspend": true})).await;
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            condition(object, "Ready").reason == "Suspended"
        })
        .await;
    stage.delete(place).await;
    let theirs = foreign(&stage, "settings").await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.unready("Component", "orders", "NameConflict").await;
    stage.looked_at("Component", "orders").await;
    assert_eq!(stage.get(place).await.as_ref(), Some(&theirs));
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get(place).await.as_ref(), Some(&theirs));
}

#[tokio::test]
async fn an_object_that_is_being_deleted_is_waited_for() {
    let stage = Stage::new("leaving").await;
    foreign(&stage, "settings").await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    stage
        .edit(place, json!({"metadata": {"finalizers": ["example.com/hold"]}}))
        .await;
    stage.delete(place).await;
    let leaving = stage.get(place).await.unwrap();
    settings_template(&stage).await;
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Component", "orders", "WaitingForDeletion").await;
    assert!(
        message.starts_with(&format!("ConfigMap {}/settings is being deleted", stage.home)),
        "{message}"
    );
    stage.looked_at("Component", "orders").await;
    assert_eq!(stage.get(place).await.as_ref(), Some(&leaving));
    stage.edit(place, json!({"metadata": {"finalizers": null}})).await;
    let made = stage.becomes(place, |object| object["data"]["text"] == "ours").await;
    assert_ne!(uid(&made), uid(&leaving));
    stage.ready("Component", "orders").await;
}

#[tokio::test]
async fn of_two_instances_that_claim_one_namespace_exactly_one_has_it() {
    let stage = Stage::new("rivals").await;
    let name = format!("{}-shared", stage.home);
    let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "${{ parameters.name }}"}});
    let schema = parameters(json!({"name": {"type": "string"}}));
    stage
        .template_with("app", json!([resource("ns", manifest)]), schema)
        .await;
    let wanted = json!({"ref": "app", "parameters": {"name": name}});
    tokio::join!(stage.component("one", wanted.clone()), stage.component("two", wanted));
    let ready = |object: &Value| {
        !matches!(
            condition(object, "Ready").reason.as_str(),
            "Pending" | "Progressing" | ""
        )
    };
    let one = stage.becomes(("Component", &stage.home, "one"), ready).await;
    let two = stage.becomes(("Component", &stage.home, "two"), ready).await;
    let reasons = [condition(&one, "Ready").reason, condition(&two, "Ready").reason];
    let (winner, loser) = match reasons.each_ref().map(String::as_str) {
        ["Ready", "NameConflict"] => (one, two),
        ["NameConflict", "Ready"] => (two, one),
        other => panic!("one has it and the other is told so, found {other:?}"),
    };
    let named = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    let place = ("Namespace", "", name.as_str());
    let before = stage.get(place).await.unwrap();
    assert_eq!(before["metadata"]["labels"]["landfall.dev/instance-uid"], uid(&winner));

    // The loser goes, and the namespace is as it was.
    stage.looked_at("Component", &named(&loser)).await;
    stage.delete(("Component", &stage.home, &named(&loser))).await;
    stage.vanishes(("Component", &stage.home, &named(&loser))).await;
    stage.looked_at("Component", &named(&winner)).await;
    assert_eq!(stage.get(place).await.as_ref(), Some(&before));
}

#[tokio::test]
async fn what_one_instance_owns_can_be_handed_to_another() {
    let stage = Stage::new("handover").await;
    settings_template(&stage).await;
    stage.component("first", json!({"ref": "app"})).await;
    stage.ready("Component", "first").await;
    stage.component("second", json!({"ref": "app"})).await;
    stage.unready("Component", "second", "NameConflict").await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    let mark = json!({"metadata": {"annotations": {ADOPT_BY: format!("component:{}/second", stage.home)}}});
    let before = stage.edit(place, mark).await;
    stage.looked_at("Component", "second").await;
    let second = stage.ready("Component", "second").await;
    let taken = stage.get(place).await.unwrap();
    assert_eq!(uid(&taken), uid(&before));
    assert_eq!(taken["metadata"]["labels"]["landfall.dev/instance-uid"], uid(&second));

    // The first says so, does not take it back, and can go without harm to it.
    let message = stage.unready("Component", "first", "NameConflict").await;
    let said = format!(
        "ConfigMap {0}/settings was handed over to component:{0}/second; ",
        stage.home
    );
    assert!(message.starts_with(&said), "{message}");
    for name in ["first", "second"] {
        stage.looked_at("Component", name).await;
    }
    assert_eq!(stage.get(place).await.as_ref(), Some(&taken), "they fight over it");
    stage.delete(("Component", &stage.home, "first")).await;
    stage.vanishes(("Component", &stage.home, "first")).await;
    assert_eq!(stage.get(place).await, Some(taken));
    stage.ready("Component", "second").await;
}

#[tokio::test]
async fn what_was_handed_over_does_not_come_back_when_the_other_lets_it_go() {
    let stage = Stage::new("letgo").await;
    settings_template(&stage).await;
    stage.component("first", json!({"ref": "app"})).await;
    stage.ready("Component", "first").await;
    let retained = json!({"ref": "app", "deletionPolicy": "Retain"});
    stage.component("second", retained).await;
    stage.unready("Component", "second", "NameConflict").await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    let mark = json!({"metadata": {"annotations": {ADOPT_BY: format!("component:{}/second", stage.home)}}});
    let before = stage.edit(place, mark).await;
    stage.looked_at("Component", "second").await;
    stage.ready("Component", "second").await;
    stage.unready("Component", "first", "NameConflict").await;

    stage.delete(("Component", &stage.home, "second")).await;
    stage.vanishes(("Component", &stage.home, "second")).await;
    stage.looked_at("Component", "first").await;
    stage.unready("Component", "first", "NameConflict").await;
    let left = stage.get(place).await.unwrap();
    assert_eq!(uid(&left), uid(&before));
    assert!(
        left["metadata"]["labels"]["landfall.dev/instance-uid"].is_null(),
        "{left:#}"
    );
    // Nor does it go with it.
    stage.delete(("Component", &stage.home, "first")).await;
    stage.vanishes(("Component", &stage.home, "first")).await;
    assert_eq!(stage.get(place).await, Some(left));
}

#[tokio::test]
async fn deleting_an_instance_removes_what_it_made_and_nothing_else() {
    let stage = Stage::new("leaves").await;
    let namespace = format!("{}-orders", stage.home);
    let inside = with(
        config_map("inside", json!({"a": "b"})),
        json!({"metadata": {"name": "inside", "namespace": "${{ resources.ns.metadata.name }}"}}),
    );
    let beside = config_map("${{ entity.metadata.name }}-beside", json!({"a": "b"}));
    stage
        .template(
            "app",
            json!([
                resource("ns", namespace_manifest("")),
                resource("inside", inside),
                resource("beside", beside)
            ]),
        )
        .await;
    let theirs = foreign(&stage, "theirs").await;
    for name in ["orders", "payments"] {
        stage.component(name, json!({"ref": "app"})).await;
        stage.ready("Component", name).await;
    }
    let other = format!("{}-payments", stage.home);
    let places = [
        ("Namespace", "", other.as_str()),
        ("ConfigMap", &other, "inside"),
        ("ConfigMap", &stage.home, "payments-beside"),
        ("ConfigMap", &stage.home, "theirs"),
        ("Template", &stage.home, "app"),
    ];
    let mut before = Vec::new();
    for place in places {
        before.push(stage.get(place).await.unwrap());
    }
    assert!(before.contains(&theirs));

    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    assert_eq!(stage.get(("Namespace", "", &namespace)).await, None);
    assert_eq!(stage.get(("ConfigMap", &stage.home, "orders-beside")).await, None);
    for (place, before) in places.into_iter().zip(before) {
        let mut after = stage.get(place).await.unwrap();
        if place.0 == "Template" {
            // It counts its instances.
            assert_eq!(after["spec"], before["spec"]);
            continue;
        }
        assert_eq!(after.take(), before, "{place:?}");
    }
}
