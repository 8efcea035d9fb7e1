//! R18 and R19: what is wanted is another's already, or another wants it at the same moment.

use std::time::Instant;

use serde_json::{Value, json};

use super::{neighbour_works, settings, stage};
use crate::support::{Stage, Trial, Verdict, condition, config_map, parameters, resource, uid, with};

const TAKEN: &str = "the target namespace is another's: foreign, kube-system, another instance's";
const AT_ONCE: &str = "two instances claim one target at once; an object that another controller owns";

/// A template `app` of the Namespace that its parameter names, with a `ConfigMap` in it.
async fn namer(stage: &Stage<'_>) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "${{ parameters.name }}"}});
    let inside = with(
        config_map("settings", json!({"a": "one"})),
        json!({"metadata": {"name": "settings", "namespace": "${{ resources.ns.metadata.name }}"}}),
    );
    let schema = parameters(json!({"name": {"type": "string"}}));
    stage
        .template_with(
            "app",
            json!([resource("ns", namespace), resource("inside", inside)]),
            schema,
        )
        .await;
}

async fn wanted(stage: &Stage<'_>, component: &str, namespace: &str) {
    let template = json!({"ref": "app", "parameters": {"name": namespace}});
    stage.component(component, template).await;
}

/// The instance goes, and leaves all that is another's as it was.
async fn leaves(stage: &Stage<'_>, component: &str, place: (&str, &str, &str), before: &Value) {
    stage.looked_at("Component", component).await;
    assert_eq!(stage.get(place).await.as_ref(), Some(before), "while it is refused");
    stage.delete(("Component", &stage.home, component)).await;
    stage.vanishes(("Component", &stage.home, component)).await;
    assert_eq!(stage.get(place).await.as_ref(), Some(before), "when it has gone");
}

#[tokio::test]
async fn what_is_anothers_is_never_touched() {
    let mut trial = Trial::of("R18", TAKEN, 3);
    let stage = stage("taken").await;
    namer(&stage).await;
    let foreign = format!("{}-theirs", stage.home);
    stage
        .put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": foreign, "labels": {"owner": "another-team"}}}))
        .await;
    let owned = format!("{}-owned", stage.home);
    wanted(&stage, "first", &owned).await;
    stage.ready("Component", "first").await;
    for (namespace, reason) in [
        (foreign.as_str(), "NameConflict"),
        ("kube-system", "NamespaceNotAllowed"),
        (&owned, "NameConflict"),
    ] {
        let place = ("Namespace", "", namespace);
        let before = stage.get(place).await.unwrap();
        wanted(&stage, "orders", namespace).await;
        let message = stage.unready("Component", "orders", reason).await;
        assert!(message.contains(namespace), "{message}");
        assert_eq!(
            stage.get(("ConfigMap", namespace, "settings")).await.is_some(),
            namespace == owned,
            "{namespace}"
        );
        neighbour_works(&stage).await;
        leaves(&stage, "orders", place, &before).await;
        // With another name it is there at once.
        let renamed = Instant::now();
        wanted(&stage, "orders", &format!("{}-new", stage.home)).await;
        stage.ready("Component", "orders").await;
        trial.held(renamed.elapsed());
        stage.delete(("Component", &stage.home, "orders")).await;
        stage.vanishes(("Component", &stage.home, "orders")).await;
    }
    stage.ready("Component", "first").await;
    trial.ends(Verdict::Resilient, "");
}

/// Ten pairs, each at one moment, over a namespace or over an object in a shared one.
#[tokio::test]
async fn of_two_at_the_same_moment_exactly_one_wins() {
    const PAIRS: usize = 10;
    let mut trial = Trial::of("R19", AT_ONCE, PAIRS);
    let stage = stage("atonce").await;
    namer(&stage).await;
    let names: Vec<[String; 3]> = (0..PAIRS)
        .map(|pair| {
            [
                format!("a{pair}"),
                format!("b{pair}"),
                format!("{}-pair{pair}", stage.home),
            ]
        })
        .collect();
    futures::future::join_all(
        names
            .iter()
            .flat_map(|[one, two, namespace]| [wanted(&stage, one, namespace), wanted(&stage, two, namespace)]),
    )
    .await;
    for [one, two, namespace] in &names {
        let mut outcomes = Vec::new();
        for name in [one, two] {
            let component = stage
                .becomes(("Component", &stage.home, name), |object| {
                    matches!(condition(object, "Ready").reason.as_str(), "Ready" | "NameConflict")
                })
                .await;
            outcomes.push((condition(&component, "Ready").reason, component));
        }
        outcomes.sort_by(|left, right| right.0.cmp(&left.0));
        let reasons: Vec<&str> = outcomes.iter().map(|(reason, _)| reason.as_str()).collect();
        assert_eq!(reasons, ["Ready", "NameConflict"], "{namespace}");
        let (winner, loser) = (&outcomes[0].1, &outcomes[1].1);
        let message = condition(loser, "Ready").message;
        let of = winner["metadata"]["name"].as_str().unwrap();
        let said = format!(
            "Namespace {namespace} exists, is marked as an object of component:{}/{of}, and is not ours",
            stage.home
        );
        assert!(message.contains(&said), "{message}");
        let held = stage.get(("Namespace", "", namespace)).await.unwrap();
        assert_eq!(held["metadata"]["labels"]["landfall.dev/instance-uid"], uid(winner));
        // The winner goes; the loser has it as soon as it looks again.
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
        stage.delete(("Component", &stage.home, &name(winner))).await;
        stage.vanishes(("Component", &stage.home, &name(winner))).await;
        let gone = Instant::now();
        stage.ready("Component", &name(loser)).await;
        trial.held(gone.elapsed());
    }
    trial.ends(Verdict::Resilient, "");
}

/// An object of that name is controlled by another object: it is reported, not taken, and goes with its owner.
#[tokio::test]
async fn an_object_that_another_controller_owns_is_left_to_it() {
    let mut trial = Trial::of("R19", AT_ONCE, 1);
    let stage = stage("owned").await;
    let owner = stage
        .put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": stage.home}}))
        .await;
    let owners =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid(&owner), "controller": true}]);
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "theirs"},
        "metadata": {"name": "settings", "namespace": stage.home, "ownerReferences": owners},
    });
    let theirs = stage.put(theirs).await;
    stage.template("app", settings()).await;
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Component", "orders", "NameConflict").await;
    assert!(message.contains("settings exists and is not ours"), "{message}");
    neighbour_works(&stage).await;
    let place = ("ConfigMap", stage.home.as_str(), "settings");
    stage.looked_at("Component", "orders").await;
    assert_eq!(stage.get(place).await.as_ref(), Some(&theirs));
    // It goes with its owner, and ours is made in its place.
    stage.delete(("ConfigMap", &stage.home, "owner")).await;
    let gone = Instant::now();
    stage.becomes(place, |object| object["data"]["a"] == "one").await;
    stage.ready("Component", "orders").await;
    trial.held(gone.elapsed());
    trial.ends(Verdict::Resilient, "");
}
