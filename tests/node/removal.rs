//! Landfall is taken away: what is let go before holds nothing up, and what is deleted while it is away waits for it, or is let go
//! without it.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::installation::{Installation, RELEASE, said};
use crate::kubectl;
use crate::support::{Cluster, Mark, condition, is_write, lines, repository};

/// Runs `landfall release`, which must succeed, and gives what it says.
fn release(installation: &Installation<'_>, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .arg("release")
        .args(arguments)
        .env("KUBECONFIG", installation.cluster().kubeconfig())
        .output()
        .unwrap();
    let text = said(&output);
    assert!(output.status.success(), "landfall release {arguments:?}: {text}");
    text
}

/// The objects of `before` are there, the same ones, and nothing of ours is on them.
fn assert_are_let_go(installation: &Installation<'_>, before: &BTreeMap<String, Value>) {
    let now = installation.objects(&[]);
    for (place, before) in before {
        let metadata = &now.get(place).unwrap_or_else(|| panic!("{place} is gone"))["metadata"];
        assert_eq!(metadata["uid"], before["uid"], "{place}");
        for marks in ["labels", "annotations", "finalizers", "ownerReferences"] {
            let text = metadata[marks].to_string();
            assert!(!text.contains("landfall.dev"), "{place} has {marks} {text}");
        }
    }
}

/// And there is nothing else that bears our marks.
fn assert_let_go(installation: &Installation<'_>, before: &BTreeMap<String, Value>) {
    assert_are_let_go(installation, before);
    assert_eq!(installation.made(), BTreeMap::new());
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn what_is_let_go_before_uninstalling_holds_nothing_up_after() {
    let cluster = Cluster::bare_with_node("released").await;
    let installation = Installation::prepare(&cluster).await;
    let stage = &installation.stage;
    installation.install_this(&[]);
    installation.quickstart();
    installation.golden_path().await;
    let before = installation.made();
    assert!(before.len() > 20, "{before:#?}");

    let told = release(&installation, &["--all"]);
    let expected = format!("{} objects kept", before.len());
    assert!(told.trim_end().ends_with(&expected), "expected {expected} in\n{told}");
    installation.helm(&["uninstall", RELEASE, "--wait", "--timeout=1m"]);
    assert_eq!(installation.pods().await, [Value::Null; 0]);
    assert_let_go(&installation, &before);
    let instances = "components.catalog.landfall.dev,resources.catalog.landfall.dev,systems.catalog.landfall.dev";
    let held = "jsonpath={.items[*].metadata.finalizers}";
    assert_eq!(kubectl(stage, &["get", instances, "-A", "-o", held]), "");

    // Nobody is there to do anything, and nothing needs anybody: an entity, the namespaces of others, all kinds.
    let limit = "--timeout=60s";
    kubectl(
        stage,
        &["delete", "component/hello", "-n", "quickstart", "--timeout=10s"],
    );
    kubectl(stage, &["delete", "namespace", "shop", "quickstart", "platform", limit]);
    let crds = repository().join("crds");
    kubectl(stage, &["delete", "-f", crds.to_str().unwrap(), limit]);
    assert_let_go(&installation, &before);
    // What was provisioned is deleted like anything else.
    kubectl(
        stage,
        &["delete", "namespace", "sandbox-hello", "shop-orders-dev", limit],
    );
}

/// Deletes a namespace with instances, which waits and says for what.
async fn waits(installation: &Installation<'_>, namespace: &str) {
    kubectl(&installation.stage, &["delete", "namespace", namespace, "--wait=false"]);
    let held = |object: &Value| {
        let remaining = condition(object, "NamespaceFinalizersRemaining");
        remaining.status == "True" && remaining.message.contains("catalog.landfall.dev/provisioned")
    };
    installation.stage.becomes(("Namespace", "", namespace), held).await;
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn a_namespace_that_is_deleted_while_the_operator_is_away_waits_for_it_or_is_freed_without_it() {
    let cluster = Cluster::bare_with_node("away").await;
    let installation = Installation::prepare(&cluster).await;
    let stage = &installation.stage;
    installation.install_this(&[]);
    installation.quickstart();
    installation.golden_path().await;
    installation.scale(0).await;
    let before = installation.made();

    waits(&installation, "shop").await;
    waits(&installation, "quickstart").await;
    // What lies in the namespace itself goes with it; of all else nothing is deleted in the dark.
    let (now, inside) = (installation.made(), |place: &str| place.contains(" shop/"));
    for (place, before) in before.iter().filter(|(place, _)| !inside(place)) {
        assert_eq!(now.get(place), Some(before), "{place}");
    }

    // With the namespace of a template its account has gone, as which no operator could delete anything any more.
    let told = release(&installation, &["component/hello", "-n", "quickstart", "--wait", "0"]);
    assert!(told.contains("let go; it was being deleted, and is gone"), "{told}");
    stage.vanishes(("Namespace", "", "quickstart")).await;
    let kept: BTreeMap<String, Value> = before
        .iter()
        .filter(|(place, _)| place.contains("sandbox-hello"))
        .map(|(place, before)| (place.clone(), before.clone()))
        .collect();
    assert_eq!(kept.len(), 3, "{before:#?}");
    assert_are_let_go(&installation, &kept);

    // That of a team goes as soon as an operator is there.
    let mark = cluster.audit().mark().await;
    installation.scale(2).await;
    stage.vanishes(("Namespace", "", "shop")).await;
    // And what was let go is let alone.
    assert_let_go(&installation, &kept);
    let entries = cluster.audit().since(mark).await;
    let touched: Vec<_> = entries
        .into_iter()
        .filter(|entry| entry.user_agent.starts_with("landfall/") && is_write(entry))
        .filter(|entry| entry.namespace == "sandbox-hello" || entry.name == "sandbox-hello")
        .collect();
    assert!(touched.is_empty(), "{}", lines(&touched));
}
