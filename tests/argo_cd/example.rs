//! examples/argo-cd with Argo CD itself: what it deploys, what of that shows, and how a service is promoted.

use std::process::Command;

use serde_json::{Value, json};

use crate::peer::{ArgoCd, Git, argo_cd, long, with_repository};
use crate::support::{Stage, condition, config_map, eventually_within};

/// A version of the service: a `ConfigMap` for each environment.
fn version(git: &Git, version: &str) -> String {
    for environment in ["dev", "prod"] {
        git.write(
            &format!("deploy/{environment}/settings.yaml"),
            &[config_map("settings", json!({"version": version}))],
        );
    }
    git.commit();
    git.head()
}

/// Applies the example, with a repository of this machine in place of one that does not exist.
fn apply(argo: &ArgoCd, git: &Git) {
    for (file, text) in with_repository(git) {
        argo.apply_text(file, &text);
    }
}

/// Waits until the environment of the Component says what is expected, and gives the whole.
async fn environment(stage: &Stage<'_>, name: &str, what: &str, holds: impl Fn(bool, &str) -> bool) -> Value {
    eventually_within(long(), &format!("{name} to be {what}"), async || {
        let component = stage.get(("Component", "shop", "shipping")).await.unwrap();
        let environments = component["status"]["environments"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = environments
            .iter()
            .find(|found| found["name"] == name)
            .cloned()
            .unwrap_or_default();
        let message = found["message"].as_str().unwrap_or_default();
        if holds(found["ready"] == true, message) {
            Ok(component)
        } else {
            let status = &component["status"];
            Err(format!("{:#}{:#}", status["conditions"], status["environments"]))
        }
    })
    .await
}

/// Waits until the environment runs this version.
async fn runs(stage: &Stage<'_>, environment: &str, version: &str) {
    let namespace = format!("shop-shipping-{environment}");
    let what = format!("{environment} to run {version}");
    // Argo CD looks at a branch every ten seconds here.
    eventually_within(long(), &what, async || {
        let settings = stage
            .get(("ConfigMap", &namespace, "settings"))
            .await
            .unwrap_or_default();
        (settings["data"]["version"] == version)
            .then_some(())
            .ok_or(settings["data"].to_string())
    })
    .await;
}

async fn promote(stage: &Stage<'_>, revision: &str) {
    let change = json!({"spec": {"template": {"parameters": {"environments": {"prod": {"revision": revision}}}}}});
    stage.edit(("Component", "shop", "shipping"), change).await;
}

#[tokio::test]
async fn the_example_deploys_each_environment_says_how_it_goes_and_promotes() {
    let Some(argo) = argo_cd("examples/argo-cd with a real Argo CD").await else {
        return;
    };
    let stage = Stage::on(&argo.cluster, "example").await;
    let git = argo.git("shipping");
    version(&git, "1");
    apply(argo, &git);
    let ready = |component: &Value| condition(component, "Ready").status == "True";
    let place = ("Component", "shop", "shipping");
    environment(&stage, "dev", "ready", |ready, _| ready).await;
    environment(&stage, "prod", "ready", |ready, _| ready).await;
    stage.becomes(place, ready).await;
    runs(&stage, "dev", "1").await;
    runs(&stage, "prod", "1").await;

    // A commit to main reaches dev, and production when it is promoted.
    let second = version(&git, "2");
    runs(&stage, "dev", "2").await;
    let settings = stage
        .get(("ConfigMap", "shop-shipping-prod", "settings"))
        .await
        .unwrap();
    assert_eq!(settings["data"]["version"], "1");
    promote(&stage, &second).await;
    runs(&stage, "prod", "2").await;
    environment(&stage, "prod", "ready", |ready, _| ready).await;

    // What the product's project does not allow is not deployed, and the Component says so in Argo CD's words.
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "size"}, "spec": {"hard": {"pods": "999"}}});
    git.write("deploy/prod/quota.yaml", &[quota]);
    git.commit();
    promote(&stage, &git.head()).await;
    let refused = "not permitted in project shop-logistics";
    let component = environment(&stage, "prod", "refused", |ready, said| {
        !ready && said.contains(refused)
    })
    .await;
    let said = condition(&component, "Ready").message;
    assert!(said.contains("shop-shipping-prod") && said.contains(refused), "{said}");
    let why = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["why", "component/shipping", "-n", "shop"])
        .env("KUBECONFIG", argo.cluster.kubeconfig())
        .output()
        .unwrap();
    let why = String::from_utf8(why.stdout).unwrap();
    let cause = why.lines().find(|line| line.starts_with("cause:")).unwrap_or_default();
    assert!(cause.contains("shop-shipping-prod"), "{why}");
    let quota = stage
        .get(("ResourceQuota", "shop-shipping-prod", "size"))
        .await
        .unwrap();
    assert_eq!(quota["spec"]["hard"]["pods"], "10", "the guard rail is the template's");
    environment(&stage, "dev", "ready", |ready, _| ready).await;

    promote(&stage, &second).await;
    stage.becomes(place, ready).await;
    argo.kubectl(&["delete", "component", "shipping", "-n", "shop", "--timeout=60s"]);
    for environment in ["dev", "prod"] {
        let name = format!("shop-shipping-{environment}");
        assert_eq!(stage.get(("Application", "argocd", &name)).await, None);
        assert_eq!(stage.get(("Namespace", "", &name)).await, None);
    }
    argo.kubectl(&["delete", "system", "logistics", "-n", "shop", "--timeout=60s"]);
}
