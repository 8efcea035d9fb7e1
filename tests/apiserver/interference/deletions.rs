//! R17: an instance is deleted at any moment and in any way, or forced away; nothing is left that its policy does not leave, and
//! what a force leaves is found.

use std::process::{Command, Output};
use std::time::Instant;

use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::{Value, json};

use super::{settings, stage};
use crate::support::{Cluster, Operator, Stage, Trial, Verdict, config_map, namespace_manifest, resource, uid, with};

const FAULT: &str = "an instance is deleted at every point of its making, in every way, or forced away";

/// A namespace, two objects in it one after the other, and one beside it.
fn resources() -> Value {
    let inside = |name: &str, before: &str| {
        let manifest = with(
            config_map(name, json!({"a": "b"})),
            json!({"metadata": {"name": name, "namespace": "${{ resources.ns.metadata.name }}"}}),
        );
        with(resource(name, manifest), json!({"dependsOn": [before]}))
    };
    json!([
        resource("ns", namespace_manifest("")),
        inside("one", "ns"),
        inside("two", "one"),
        resource(
            "beside",
            config_map("${{ entity.metadata.name }}-beside", json!({"a": "b"}))
        ),
    ])
}

/// The moments at which it is deleted.
const POINTS: [&str; 7] = ["created", "finalizer", "inventory", "namespace", "one", "two", "ready"];

/// Waits for a moment in the making of an instance.
async fn until(stage: &Stage<'_>, name: &str, point: &str) {
    let namespace = format!("{}-{name}", stage.home);
    let place = ("Component", stage.home.as_str(), name);
    match point {
        "created" => {}
        "finalizer" => drop(
            stage
                .becomes(place, |object| object["metadata"]["finalizers"].is_array())
                .await,
        ),
        "inventory" => drop(
            stage
                .becomes(place, |object| object["status"]["inventory"].is_array())
                .await,
        ),
        "namespace" => drop(stage.appears(("Namespace", "", &namespace)).await),
        "ready" => drop(stage.ready("Component", name).await),
        object => drop(stage.appears(("ConfigMap", &namespace, object)).await),
    }
}

#[tokio::test]
async fn at_every_point_and_in_every_way_nothing_is_left() {
    let stage = stage("points").await;
    stage.template("app", resources()).await;
    let ways = [
        ("background", PropagationPolicy::Background),
        ("foreground", PropagationPolicy::Foreground),
        ("orphan", PropagationPolicy::Orphan),
    ];
    let mut trial = Trial::of("R17", FAULT, POINTS.len() * ways.len());
    let mut deleted = Vec::new();
    for point in POINTS {
        for (word, way) in &ways {
            let name = format!("{point}-{word}");
            stage.component(&name, json!({"ref": "app"})).await;
            until(&stage, &name, point).await;
            let parameters = DeleteParams {
                propagation_policy: Some(way.clone()),
                ..DeleteParams::default()
            };
            stage
                .api("Component", &stage.home)
                .delete(&name, &parameters)
                .await
                .unwrap();
            deleted.push((name, Instant::now()));
        }
    }
    for (name, when) in deleted {
        stage.vanishes(("Component", &stage.home, &name)).await;
        trial.held(when.elapsed());
        let namespace = format!("{}-{name}", stage.home);
        assert_eq!(stage.get(("Namespace", "", &namespace)).await, None, "{name}");
        let beside = format!("{name}-beside");
        assert_eq!(stage.get(("ConfigMap", &stage.home, &beside)).await, None, "{name}");
    }
    trial.ends(Verdict::Resilient, "");
}

/// Runs `landfall orphans` as the administrator.
fn orphans(cluster: &Cluster, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .arg("orphans")
        .args(arguments)
        .env("KUBECONFIG", cluster.kubeconfig())
        .output()
        .unwrap();
    let text = String::from_utf8(stdout).unwrap();
    (
        status.code(),
        if text.is_empty() {
            String::from_utf8(stderr).unwrap()
        } else {
            text
        },
    )
}

/// While the operator is down, someone takes the finalizer off and the instance with it. What is left behind is found, and can
/// be given to the instance that comes back.
#[tokio::test]
async fn what_was_forced_away_while_nobody_looked_is_found() {
    let mut trial = Trial::of("R17", FAULT, 1);
    let cluster = Cluster::own("orphans").await;
    let operator = Operator::start(&cluster).await;
    let stage = Stage::on(&cluster, "forced").await;
    stage.template("app", settings()).await;
    stage
        .template(
            "other",
            json!([resource("kept", config_map("kept", json!({"a": "b"})))]),
        )
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.component("payments", json!({"ref": "other"})).await;
    stage.ready("Component", "orders").await;
    stage.ready("Component", "payments").await;
    assert_eq!(orphans(&cluster, &[]).0, Some(0), "while all is well there are none");
    operator.stop().await;

    let place = ("Component", stage.home.as_str(), "orders");
    stage.edit(place, json!({"metadata": {"finalizers": null}})).await;
    stage.delete(place).await;
    stage.vanishes(place).await;
    let left = stage.get(("ConfigMap", &stage.home, "settings")).await.unwrap();

    let _operator = Operator::start(&cluster).await;
    stage.looked_at("Component", "payments").await;
    assert_eq!(
        stage.get(("ConfigMap", &stage.home, "settings")).await.as_ref(),
        Some(&left),
        "it is nobody's to delete"
    );
    for arguments in [vec![], vec!["--namespace", &stage.home]] {
        let (code, text) = orphans(&cluster, &arguments);
        assert_eq!(code, Some(2), "{text}");
        let row = text.lines().find(|line| line.contains("ConfigMap")).unwrap_or_default();
        let cells: Vec<&str> = row.split_whitespace().collect();
        let instance = format!("component:{}/orders", stage.home);
        assert_eq!(cells, [&stage.home, "ConfigMap", "settings", &instance], "{text}");
        assert!(
            text.contains("1 object of instances that do not exist") && !text.contains("kept"),
            "{text}"
        );
    }
    assert_eq!(orphans(&cluster, &["--namespace", "default"]).0, Some(0));

    // The instance comes back: what is there is not its own until somebody says so, as the message does.
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Component", "orders", "NameConflict").await;
    let command = message.split("kubectl ").nth(1).unwrap();
    let output = stage.cluster.kubectl(&command.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "{command}: {output:?}");
    let said = Instant::now();
    stage.looked_at("Component", "orders").await;
    stage.ready("Component", "orders").await;
    trial.held(said.elapsed());
    let taken = stage.get(("ConfigMap", &stage.home, "settings")).await.unwrap();
    assert_eq!(uid(&taken), uid(&left));
    assert_eq!(orphans(&cluster, &[]).0, Some(0));
    trial.ends(
        Verdict::Resilient,
        "what a force leaves behind is listed by landfall orphans",
    );
}
