//! R29: Helm takes the account of templates away under its instances: by the value that made it, or because one release held it beside
//! Components, of which Helm deletes the account first.

use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::ground::{Ground, ground};
use crate::helm::said;
use crate::support::{Stage, Trial, Verdict, condition, config_map, namespace_manifest, resource, uid, with};

/// What every word about it names, and what it says to do.
const NAMED: [&str; 2] = ["service account pruned/golden-path", "in namespace pruned"];

/// A template of a namespace and a `ConfigMap` in it, made as the chart's account.
fn template(stage: &Stage<'_>) -> Value {
    let metadata = json!({"name": "settings", "namespace": "${{ resources.ns.metadata.name }}"});
    let settings = with(config_map("settings", json!({"a": "b"})), json!({"metadata": metadata}));
    let resources = json!([resource("ns", namespace_manifest("")), resource("settings", settings)]);
    let more = json!({"serviceAccountName": "golden-path", "allowedNamespaces": {"from": "All"}});
    let template = stage.template_object("app", resources, more);
    with(template, json!({"metadata": {"name": "app", "namespace": "pruned"}}))
}

/// The namespace that a component was given, and what is in it.
async fn objects(stage: &Stage<'_>, name: &str) -> [Option<Value>; 2] {
    let namespace = format!("{}-{name}", stage.home);
    let settings = stage.get(("ConfigMap", &namespace, "settings")).await;
    [stage.get(("Namespace", "", &namespace)).await, settings]
}

/// Waits until a component says of which account the right is missing.
async fn names_the_account(stage: &Stage<'_>, name: &str) {
    stage
        .becomes(("Component", &stage.home, name), |object| {
            let ready = condition(object, "Ready");
            let named = NAMED.iter().all(|words| ready.message.contains(words));
            ready.status == "False"
                && ready.reason == "Forbidden"
                && named
                && condition(object, "Stalled").status == "True"
        })
        .await;
}

#[tokio::test]
async fn an_account_that_helm_takes_away_is_named_and_when_it_is_back_all_goes_on() {
    let ground = ground().await;
    ground.without_definitions();
    ground.helm("install landfall CHART --create-namespace --set goldenPath.enabled=true,goldenPath.namespace=pruned,blockedRetrySeconds=1");
    ground.kubectl("wait --for=condition=Established crd -l app.kubernetes.io/part-of=landfall --timeout=30s");
    let stage = Stage::on(&ground.cluster, "pruned").await;
    let fault = "Helm takes a template's account away under its instances, and beside their deletion";
    let mut trial = Trial::of("R29", fault, 2);
    let operator = ground.operator().await;
    stage.put(template(&stage)).await;
    for name in ["kept", "going"] {
        stage.component(name, json!({"ref": "pruned/app"})).await;
    }
    for name in ["kept", "going"] {
        stage.ready("Component", name).await;
    }
    let (kept, going) = (objects(&stage, "kept").await, objects(&stage, "going").await);
    assert!(kept.iter().chain(&going).all(Option::is_some));

    ground.helm("upgrade landfall CHART --reuse-values --set goldenPath.enabled=false");
    let account = ground.try_kubectl("get serviceaccount golden-path -n pruned");
    assert!(!account.status.success(), "{}", said(&account));
    // Of two instances one loses an object, which cannot be made again, and the other goes, and cannot.
    stage.delete(("Component", &stage.home, "going")).await;
    stage
        .delete(("ConfigMap", &format!("{}-kept", stage.home), "settings"))
        .await;
    for name in ["going", "kept"] {
        names_the_account(&stage, name).await;
        why_names_it(&ground, &stage, name);
    }
    // Nothing is forgotten, and nothing is given up.
    assert_eq!(objects(&stage, "going").await, going);
    assert_eq!(objects(&stage, "kept").await, [kept[0].clone(), None]);
    for name in ["going", "kept"] {
        let component = stage.get(("Component", &stage.home, name)).await.unwrap();
        assert_eq!(component["status"]["inventory"].as_array().unwrap().len(), 2);
    }

    ground.helm("upgrade landfall CHART --reuse-values --set goldenPath.enabled=true");
    let began = Instant::now();
    stage.vanishes(("Component", &stage.home, "going")).await;
    assert_eq!(objects(&stage, "going").await, [None, None]);
    trial.held(began.elapsed());
    stage.ready("Component", "kept").await;
    let now = objects(&stage, "kept").await;
    assert_eq!(uid(now[0].as_ref().unwrap()), uid(kept[0].as_ref().unwrap()));
    assert_eq!(now[1].as_ref().unwrap()["data"], json!({"a": "b"}));
    trial.held(began.elapsed());

    stage.delete(("Component", &stage.home, "kept")).await;
    stage.vanishes(("Component", &stage.home, "kept")).await;
    let log = std::fs::read_to_string(operator.log()).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    drop(operator);
    ground.helm("uninstall landfall");
    ground.kubectl("delete namespace pruned --timeout=60s");
    trial.ends(Verdict::Resilient, "");
}

/// The command for it tells the same, and what to do.
fn why_names_it(ground: &Ground, stage: &Stage<'_>, name: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["why", &format!("component/{name}"), "-n", &stage.home])
        .env("KUBECONFIG", ground.cluster.kubeconfig())
        .output()
        .unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("pruned/golden-path"), "{text}");
}
