//! The operator as a process: it starts, is killed at any moment, and ends, and what it keeps does not notice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Cluster, OPERATOR_AGENT, Operator, Place, Stage, config_map, counted, eventually, lines, namespace_manifest,
    repository, resource, uid, with,
};

/// One control plane and its operators, one after another.
#[tokio::test]
async fn the_operator_can_start_be_killed_and_end_at_any_moment() {
    let cluster = Cluster::own("restarts").await;
    let operator = starts_before_its_definitions(&cluster).await;
    let operator = serves_its_probes(operator).await;
    let operator = killed_at_any_point(&cluster, operator).await;
    let operator = killed_while_it_deletes(&cluster, operator).await;
    let operator = ended_in_the_middle_of_its_work(&cluster, operator).await;
    let operator = restarted_with_nothing_to_do(&cluster, operator).await;
    makes_good_what_happened_while_it_was_away(&cluster, operator).await;
}

/// The probes answer first of all, and say that it is not ready before it can be relied on.
async fn starts_before_its_definitions(cluster: &Cluster) -> Operator {
    let definitions = ["components", "systems", "templates"].map(|plural| format!("{plural}.catalog.landfall.dev"));
    let mut arguments = vec!["delete", "crds", "--wait"];
    arguments.extend(definitions.iter().map(String::as_str));
    let output = cluster.kubectl(&arguments);
    assert!(output.status.success(), "{output:?}");

    let mut operator = Operator::spawn(cluster, |_| {}).unwrap();
    let answer = eventually("the probes to be served", async || operator.get("/readyz").await).await;
    assert_eq!(answer.0, 503, "{answer:?}");
    assert_eq!(operator.get("/healthz").await.unwrap().0, 200);
    // It has asked for its kinds, in vain, says so, and is still there and still not ready.
    eventually("the operator to miss its definitions", async || {
        let (_, missing) = operator.get("/readyz").await.unwrap();
        let said = missing.contains("components.catalog.landfall.dev: the apiserver does not serve them")
            && missing.contains("definition templates.catalog.landfall.dev: it is not installed");
        said.then_some(()).ok_or(missing)
    })
    .await;
    let log = std::fs::read_to_string(operator.log()).unwrap();
    assert!(
        log.contains("landfall crds | kubectl apply --server-side -f -"),
        "{log}"
    );
    assert_eq!(operator.get("/readyz").await.unwrap().0, 503);
    assert_eq!(operator.get("/healthz").await.unwrap().0, 200);

    let crds = repository().join("crds");
    let output = cluster.kubectl(&["apply", "--server-side", "-f", crds.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    operator.wait_ready().await.unwrap();
    operator
}

async fn serves_its_probes(operator: Operator) -> Operator {
    let (code, body) = operator.get("/metrics").await.unwrap();
    assert_eq!(code, 200);
    assert!(body.ends_with("# EOF\n") && body.contains("# HELP landfall_"), "{body}");
    assert_eq!(operator.get("/nothing").await.unwrap().0, 404);
    operator
}

/// Three objects one after another, the last with a value of the first.
async fn chain(stage: &Stage<'_>) {
    let inside = |name: &str, data: Value| {
        let metadata = json!({"name": name, "namespace": "${{ resources.ns.metadata.name }}"});
        with(config_map(name, data), json!({"metadata": metadata}))
    };
    let resources = json!([
        resource("ns", namespace_manifest("")),
        resource("one", inside("one", json!({"a": "b"}))),
        with(
            resource("two", inside("two", json!({"a": "b"}))),
            json!({"dependsOn": ["one"]})
        ),
        with(
            resource("three", inside("three", json!({"a": "b"}))),
            json!({"dependsOn": ["two"]})
        ),
    ]);
    stage.template("app", resources).await;
}

async fn killed_at_any_point(cluster: &Cluster, mut operator: Operator) -> Operator {
    let stage = Stage::on(cluster, "killed").await;
    chain(&stage).await;
    let mark = cluster.audit().mark().await;
    // Killed the moment that this is there: nothing but the component, the finalizer, then each object.
    let points: [(&str, Option<&str>); 6] = [
        ("k0", None),
        ("k1", Some("finalizer")),
        ("k2", Some("ns")),
        ("k3", Some("one")),
        ("k4", Some("two")),
        ("k5", Some("three")),
    ];
    for (name, point) in points {
        stage.component(name, json!({"ref": "app"})).await;
        let namespace = format!("{}-{name}", stage.home);
        let awaited: Option<Place<'_>> = match point {
            None => None,
            Some("finalizer") => Some(("Component", &stage.home, name)),
            Some("ns") => Some(("Namespace", "", &namespace)),
            Some(object) => Some(("ConfigMap", &namespace, object)),
        };
        let end = Instant::now() + Duration::from_secs(20);
        while let Some(place) = awaited {
            let found = stage.get(place).await;
            let there =
                found.is_some_and(|found| point != Some("finalizer") || found["metadata"]["finalizers"].is_array());
            if there {
                break;
            }
            assert!(Instant::now() < end, "{place:?} did not come");
        }
        operator.kill();
        operator = Operator::start(cluster).await;
        let component = stage.ready("Component", name).await;
        let mut uids = BTreeMap::new();
        for entry in component["status"]["inventory"].as_array().unwrap() {
            let text = |field: &str| entry[field].as_str().unwrap_or_default();
            let object = stage
                .get((text("kind"), text("namespace"), text("name")))
                .await
                .unwrap();
            assert_eq!(uid(&object), text("uid"), "{name}: {entry}");
            assert_eq!(
                object["metadata"]["annotations"]["landfall.dev/claim"], entry["claim"],
                "{name}"
            );
            uids.insert(text("resource").to_owned(), text("uid").to_owned());
        }
        assert_eq!(uids.keys().collect::<Vec<_>>(), ["ns", "one", "three", "two"], "{name}");
    }
    // No object was made twice, and none was deleted.
    let asked = stage.asked_since(mark).await;
    let deleted: Vec<_> = asked.iter().filter(|entry| entry.verb == "delete").collect();
    assert!(deleted.is_empty(), "{deleted:?}");
    let mut made: BTreeMap<(String, String), usize> = BTreeMap::new();
    for entry in asked.iter().filter(|entry| entry.code == 201) {
        *made.entry((entry.namespace.clone(), entry.name.clone())).or_default() += 1;
    }
    // (Where the operator died before the answer, the log may lack the code; nothing was deleted, so there is one copy.)
    assert!(made.values().all(|times| *times == 1), "{made:?}");
    operator
}

async fn killed_while_it_deletes(cluster: &Cluster, mut operator: Operator) -> Operator {
    let stage = Stage::on(cluster, "ending").await;
    chain(&stage).await;
    for name in ["e0", "e1"] {
        stage.component(name, json!({"ref": "app"})).await;
        stage.ready("Component", name).await;
    }
    // Before it has done anything about it, and after it has begun.
    for name in ["e0", "e1"] {
        let namespace = format!("{}-{name}", stage.home);
        stage.delete(("Component", &stage.home, name)).await;
        if name == "e1" {
            let begun = |object: &Value| object["metadata"]["deletionTimestamp"].is_string();
            stage.becomes(("Namespace", "", &namespace), begun).await;
        }
        operator.kill();
        operator = Operator::start(cluster).await;
    }
    for name in ["e0", "e1"] {
        stage.vanishes(("Component", &stage.home, name)).await;
        let namespace = format!("{}-{name}", stage.home);
        assert_eq!(stage.get(("Namespace", "", &namespace)).await, None, "{name}");
    }
    operator
}

async fn ended_in_the_middle_of_its_work(cluster: &Cluster, operator: Operator) -> Operator {
    let stage = Stage::on(cluster, "busy").await;
    chain(&stage).await;
    let mark = cluster.audit().mark().await;
    let names: Vec<String> = (0..12).map(|number| format!("busy{number}")).collect();
    for name in &names {
        stage.component(name, json!({"ref": "app"})).await;
    }
    let began = Instant::now();
    let status = operator.stop().await;
    assert!(status.success(), "it ends with 0 when asked to: {status}");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        began.elapsed()
    );
    let operator = Operator::start(cluster).await;
    for name in &names {
        stage.ready("Component", name).await;
    }
    let asked = stage.asked_since(mark).await;
    assert!(asked.iter().all(|entry| entry.verb != "delete"), "{}", lines(&asked));
    operator
}

async fn restarted_with_nothing_to_do(cluster: &Cluster, operator: Operator) -> Operator {
    let stage = Stage::on(cluster, "again").await;
    crate::budgets::five_objects(&stage).await;
    for name in ["orders", "payments"] {
        stage.component(name, json!({"ref": "app"})).await;
        stage.ready("Component", name).await;
    }
    // The template's count of its instances comes up to a second later.
    stage
        .becomes(("Template", &stage.home, "app"), |object| {
            object["status"]["instances"]["ready"] == 2
        })
        .await;
    let began = Instant::now();
    let status = operator.stop().await;
    assert!(status.success(), "it ends with 0 when asked to: {status}");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "it took {:?} to end",
        began.elapsed()
    );

    let mark = cluster.audit().mark().await;
    let operator = Operator::start(cluster).await;
    for name in ["orders", "payments"] {
        let before = stage.get(("Component", &stage.home, name)).await.unwrap();
        assert_eq!(before["status"]["observedGeneration"], before["metadata"]["generation"]);
    }
    // Something later is processed by each controller, and nothing else was written or asked for one by one.
    let other = Stage::on(cluster, "marker").await;
    chain(&other).await;
    other.component("marker", json!({"ref": "app"})).await;
    other.ready("Component", "marker").await;
    other.system("marker", json!({})).await;
    other.ready("System", "marker").await;
    let inside = format!("{}-", other.home);
    let mut asked = counted(cluster.audit().since(mark).await, OPERATOR_AGENT);
    asked.retain(|entry| entry.namespace != other.home && !entry.namespace.starts_with(&inside));
    // A list of a whole kind opens a watch; it is one for all instances.
    asked.retain(|entry| !(entry.verb == "list" && entry.namespace.is_empty()));
    // So is the look at the definitions of our own kinds.
    asked.retain(|entry| entry.resource != "customresourcedefinitions.apiextensions.k8s.io");
    assert!(
        asked.is_empty(),
        "a restart with nothing changed asks for nothing:\n{}",
        lines(&asked)
    );
    operator
}

/// Changes, drift and deletions that nobody saw are seen after the start.
async fn makes_good_what_happened_while_it_was_away(cluster: &Cluster, operator: Operator) {
    let stage = Stage::on(cluster, "away").await;
    let parameters =
        json!({"parameters": {"type": "object", "properties": {"text": {"type": "string", "default": "one"}}}});
    let manifest = |name: &str| config_map(name, json!({"text": "${{ parameters.text }}"}));
    let name = "${{ entity.metadata.name }}";
    let resources = json!([
        resource("a", manifest(&format!("{name}-a"))),
        resource("b", manifest(&format!("{name}-b"))),
        with(
            resource("job", manifest(&format!("{name}-once"))),
            json!({"mode": "Once"})
        ),
    ]);
    stage.template_with("app", resources, parameters).await;
    for name in ["changed", "drifted", "deleted", "reborn"] {
        stage.component(name, json!({"ref": "app"})).await;
        stage.ready("Component", name).await;
    }
    operator.kill();
    stage
        .component("changed", json!({"ref": "app", "parameters": {"text": "two"}}))
        .await;
    stage.delete(("ConfigMap", &stage.home, "drifted-a")).await;
    stage.delete(("ConfigMap", &stage.home, "drifted-once")).await;
    stage
        .edit(
            ("ConfigMap", &stage.home, "drifted-b"),
            json!({"data": {"text": "edited"}}),
        )
        .await;
    stage.delete(("Component", &stage.home, "deleted")).await;
    // Its finalizer taken off by hand, deleted and made again: another instance, to which the old one's objects are foreign.
    let reborn = ("Component", stage.home.as_str(), "reborn");
    stage.edit(reborn, json!({"metadata": {"finalizers": null}})).await;
    stage.delete(reborn).await;
    stage.component("reborn", json!({"ref": "app"})).await;
    let left = stage.get(("ConfigMap", &stage.home, "reborn-a")).await.unwrap();

    let operator = Operator::start(cluster).await;
    stage
        .becomes(("ConfigMap", &stage.home, "changed-a"), |object| {
            object["data"]["text"] == "two"
        })
        .await;
    stage.appears(("ConfigMap", &stage.home, "drifted-a")).await;
    stage
        .becomes(("ConfigMap", &stage.home, "drifted-b"), |object| {
            object["data"]["text"] == "one"
        })
        .await;
    stage.vanishes(("Component", &stage.home, "deleted")).await;
    for object in ["deleted-a", "deleted-b"] {
        assert_eq!(stage.get(("ConfigMap", &stage.home, object)).await, None, "{object}");
    }
    stage.looked_at("Component", "drifted").await;
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "drifted-once")).await,
        None,
        "what was done once is done"
    );
    stage.unready("Component", "reborn", "NameConflict").await;
    stage.looked_at("Component", "reborn").await;
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "reborn-a")).await,
        Some(left),
        "it is the old instance's"
    );
    assert!(operator.stop().await.success());
}
