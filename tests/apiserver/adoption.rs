//! `landfall adopt`: what instances would take over is shown, handed over on a word, and never without one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures::{StreamExt as _, stream};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::{Case, eventually, is_write};

/// What the program said.
struct Said {
    code: i32,
    text: String,
}

impl Said {
    fn has(&self, line: &str) {
        assert!(self.text.contains(line), "\"{line}\" is not in:\n{}", self.text);
    }

    fn json(&self) -> Value {
        let text = self.text.split("\nlandfall: ").next().unwrap();
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{}", self.text))
    }
}

fn landfall_as(case: &Case<'_>, kubeconfig: &Path, arguments: &[&str]) -> Said {
    let arguments: Vec<String> = arguments.iter().map(|argument| case.named(argument)).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(&arguments)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    Said {
        code: output.status.code().unwrap(),
        text: case.masked(&text),
    }
}

fn landfall(case: &Case<'_>, arguments: &[&str]) -> Said {
    landfall_as(case, &case.cluster.kubeconfig(), arguments)
}

/// A Template `room`: a labelled namespace for each instance, and a quota in it.
const TEMPLATE: &str = "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {name: room, namespace: PLATFORM}
spec:
  type: service
  serviceAccountName: golden-path
  allowedNamespaces: {from: All}
  resources:
  - {id: ns, manifest: {apiVersion: v1, kind: Namespace, metadata: {name: '${{ entity.metadata.namespace }}-${{ entity.metadata.name }}', labels: {team: checkout}}}}
  - {id: quota, manifest: {apiVersion: v1, kind: ResourceQuota, metadata: {name: limits, namespace: '${{ resources.ns.metadata.name }}'}, spec: {hard: {pods: '5'}}}}
";

fn component(name: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Component
metadata: {{name: {name}, namespace: TEAM}}
spec: {{type: service, lifecycle: production, owner: shop, template: {{ref: PLATFORM/room}}}}
"
    )
}

/// The namespace that an instance of this name would make, with a quota in it, made by somebody else.
async fn room(case: &Case<'_>, name: &str) {
    case.put(&format!(
        "
{{apiVersion: v1, kind: Namespace, metadata: {{name: TEAM-{name}, labels: {{team: web, theirs: 'yes'}}}}}}
---
{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: limits, namespace: TEAM-{name}}}, spec: {{hard: {{pods: '99', services: '3'}}}}}}
"
    ))
    .await;
}

async fn case() -> Case<'static> {
    let case = Case::new().await;
    case.put(TEMPLATE).await;
    case.ready("Template", "room").await;
    case
}

async fn namespace(case: &Case<'_>, name: &str) -> DynamicObject {
    let name = case.named(&format!("TEAM-{name}"));
    case.api("v1", "Namespace", "").get(&name).await.unwrap()
}

async fn quota(case: &Case<'_>, name: &str) -> DynamicObject {
    let namespace = case.named(&format!("TEAM-{name}"));
    case.api("v1", "ResourceQuota", &namespace).get("limits").await.unwrap()
}

#[tokio::test]
async fn what_an_instance_would_take_over_is_shown_and_handed_over_on_a_word() {
    let case = case().await;
    room(&case, "orders").await;
    case.put(&component("orders")).await;
    case.refused("Component", "orders", "NameConflict").await;
    // Kubernetes counts what is used in its own time.
    eventually("the quota to be counted", async || {
        let quota = quota(&case, "orders").await;
        quota.data["status"]["used"].is_object().then_some(()).ok_or("not yet")
    })
    .await;
    let (before, inside) = (namespace(&case, "orders").await, quota(&case, "orders").await);
    let adopt = ["adopt", "component/orders", "-n", "TEAM"];
    let mark = case.cluster.audit().mark().await;
    let said = landfall(&case, &adopt);
    assert_eq!(said.code, 2, "{}", said.text);
    said.has("+ Namespace shop-orders  [ns], taken over\n    ~ metadata.labels.team: \"web\" → \"checkout\"");
    said.has("+ ResourceQuota shop-orders/limits  [quota], taken over\n    ~ spec.hard.pods: \"99\" → \"5\"");
    said.has("2 objects would be taken over; hand over what is shown: the same again with --apply");
    let asked = case.cluster.audit().since(mark).await;
    let written: Vec<_> = asked
        .iter()
        .filter(|entry| entry.user_agent.starts_with("landfall-command/") && is_write(entry))
        .filter(|entry| !entry.uri.contains("dryRun=All") && entry.uri.contains(&case.team))
        .collect();
    assert!(written.is_empty(), "it only looks: {written:#?}");
    assert_eq!(namespace(&case, "orders").await.metadata, before.metadata);
    let why = landfall(&case, &["why", "component/orders", "-n", "TEAM"]);
    why.has("landfall adopt -n shop components.catalog.landfall.dev/orders");
    // A name as kubectl takes it, and as JSON.
    let report = landfall(&case, &["adopt", "component", "orders", "-n", "TEAM", "-o", "json"]).json();
    assert_eq!(report["summary"]["toHandOver"], 2, "{report:#}");
    assert_eq!(report["entities"][0]["objects"][0]["action"], "adopt");

    let done = landfall(&case, &[&adopt[..], &["--apply"]].concat());
    assert_eq!(done.code, 0, "{}", done.text);
    done.has("2 objects are handed over");
    // It asks for no look itself: the command has done so.
    case.ready("Component", "orders").await;
    let (after, taken) = (namespace(&case, "orders").await, quota(&case, "orders").await);
    assert_eq!(
        (after.metadata.uid, taken.metadata.uid),
        (before.metadata.uid, inside.metadata.uid)
    );
    let labels = after.metadata.labels.unwrap();
    assert_eq!(
        (labels["team"].as_str(), labels["theirs"].as_str()),
        ("checkout", "yes")
    );
    assert_eq!(taken.data["spec"]["hard"], json!({"pods": "5", "services": "3"}));
    let again = landfall(&case, &adopt);
    assert_eq!(again.code, 0, "{}", again.text);
    again.has("nothing that exists is in the way of 1 instance");
}

#[tokio::test]
async fn what_is_anothers_or_meant_for_another_is_refused_and_the_rest_handed_over() {
    let case = case().await;
    case.put(&component("orders")).await;
    case.ready("Component", "orders").await;
    // The namespace of one instance is what another would make.
    let other = TEMPLATE
        .replace("name: room", "name: other")
        .replace("${{ entity.metadata.name }}'", "${{ parameters.of }}'")
        .replace(
            "  resources:",
            "  parameters: {properties: {of: {type: string}}}\n  resources:",
        );
    case.put(&other).await;
    case.ready("Template", "other").await;
    let wants = |name: &str, of: &str| {
        component(name).replace("PLATFORM/room", &format!("PLATFORM/other, parameters: {{of: {of}}}"))
    };
    case.put(&wants("thief", "orders")).await;
    case.refused("Component", "thief", "NameConflict").await;
    room(&case, "meant").await;
    case.cluster.kubectl(&[
        "annotate",
        "namespace",
        &case.named("TEAM-meant"),
        &case.named("landfall.dev/adopt-by=component:TEAM/payments"),
    ]);
    case.put(&wants("late", "meant")).await;
    case.refused("Component", "late", "NameConflict").await;
    let owned = namespace(&case, "orders").await;
    let meant = namespace(&case, "meant").await;
    let said = landfall(&case, &["adopt", "--all", "-n", "TEAM", "--apply"]);
    assert_eq!(said.code, 1, "{}", said.text);
    said.has(
        "NameConflict: Namespace shop-orders exists, is marked as an object of component:shop/orders, and is not ours",
    );
    said.has("NameConflict: Namespace shop-meant exists, is marked to be taken over by component:shop/payments, and is not ours");
    // The quota beside it is marked for nobody.
    said.has("ResourceQuota shop-meant/limits  [quota], taken over\n      handed over");
    assert_eq!(
        namespace(&case, "orders").await.metadata.annotations,
        owned.metadata.annotations
    );
    assert_eq!(
        namespace(&case, "meant").await.metadata.annotations,
        meant.metadata.annotations
    );
    case.mark_processed("Component", "thief", "later").await;
    case.refused("Component", "thief", "NameConflict").await;
    case.ready("Component", "orders").await;

    let group = landfall(&case, &["adopt", "group/shop", "-n", "TEAM"]);
    assert_eq!(group.code, 1);
    group.has("group:shop/shop owns nothing: expected one of Component, Resource, System");
    let missing = landfall(&case, &["adopt", "nobody", "-n", "TEAM"]);
    assert_eq!(missing.code, 1);
    missing.has("component:shop/nobody does not exist; name its file with -f");
}

/// As after the restore of a backup: the objects are there, and the instance of their marks is not.
#[tokio::test]
async fn what_a_restored_cluster_has_is_taken_back_on_a_word_and_not_before() {
    let case = case().await;
    case.put(&component("orders")).await;
    case.ready("Component", "orders").await;
    let api = case.own("Component");
    let (before, inside) = (namespace(&case, "orders").await, quota(&case, "orders").await);
    // While nobody provisions it, it goes without its objects.
    let stop = json!({"spec": {"template": {"suspend": true}}});
    api.patch("orders", &PatchParams::default(), &Patch::Merge(&stop))
        .await
        .unwrap();
    case.until("Component", "orders", "True", "Suspended").await;
    api.delete("orders", &DeleteParams::default()).await.unwrap();
    let forced = json!({"metadata": {"finalizers": null}});
    api.patch("orders", &PatchParams::default(), &Patch::Merge(&forced))
        .await
        .unwrap();
    eventually("the first one to be gone", async || {
        match api.get_opt("orders").await.unwrap() {
            None => Ok(()),
            Some(found) => Err(found.data["status"]["conditions"].to_string()),
        }
    })
    .await;

    case.put(&component("orders")).await;
    let said = case.refused("Component", "orders", "NameConflict").await;
    assert_eq!(
        said,
        "Stalled, NameConflict: Namespace shop-orders bears the marks of another component of this name, with another UID: that one was deleted without its objects, or the cluster was restored; if it is this component's, say so: kubectl annotate namespace shop-orders landfall.dev/adopt-by=component:shop/orders"
    );
    case.mark_processed("Component", "orders", "later").await;
    case.refused("Component", "orders", "NameConflict").await;
    assert_eq!(
        quota(&case, "orders").await.metadata.labels,
        inside.metadata.labels,
        "nothing is taken"
    );
    let said = landfall(&case, &["adopt", "--all", "-n", "TEAM"]);
    assert_eq!(said.code, 2, "{}", said.text);
    said.has("2 objects would be taken over");
    let said = landfall(&case, &["adopt", "--all", "-n", "TEAM", "--yes"]);
    assert_eq!(said.code, 0, "{}", said.text);
    case.ready("Component", "orders").await;
    let (after, taken) = (namespace(&case, "orders").await, quota(&case, "orders").await);
    assert_eq!(
        (after.metadata.uid, taken.metadata.uid),
        (before.metadata.uid, inside.metadata.uid)
    );
}

#[tokio::test]
async fn who_may_not_write_an_object_cannot_hand_it_over() {
    let case = case().await;
    room(&case, "orders").await;
    case.put("{apiVersion: v1, kind: ServiceAccount, metadata: {name: reader, namespace: TEAM}}")
        .await;
    let user = format!("system:serviceaccount:{}:reader", case.team);
    let (group, name) = ("rbac.authorization.k8s.io", format!("adopt-reader-of-{}", case.team));
    case.put_object(&json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": name},
        "rules": [{"apiGroups": ["", "apps", "catalog.landfall.dev"], "resources": ["*"], "verbs": ["get", "list"]}],
    }))
    .await;
    case.put_object(&json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": case.team}],
    }))
    .await;
    case.may(
        &user,
        &json!("catalog.landfall.dev"),
        &json!("templates"),
        &json!("list"),
    )
    .await;
    let output = case.cluster.kubectl(&["create", "token", "reader", "-n", &case.team]);
    let token = String::from_utf8(output.stdout).unwrap();
    let text = fs::read_to_string(case.cluster.kubeconfig()).unwrap();
    let mut config: Value = serde_saphyr::from_str(&text).unwrap();
    config["users"][0]["user"] = json!({"token": token.trim()});
    let kubeconfig = case.cluster.directory().join(format!("{}-adopt.kubeconfig", case.team));
    fs::write(&kubeconfig, config.to_string()).unwrap();
    case.put(&component("orders")).await;
    case.refused("Component", "orders", "NameConflict").await;
    let before = namespace(&case, "orders").await;
    let said = landfall_as(&case, &kubeconfig, &["adopt", "orders", "-n", "TEAM", "--apply"]);
    assert_eq!(said.code, 1, "{}", said.text);
    said.has("cannot be handed over: namespaces \"shop-orders\" is forbidden");
    said.has("as which you may not act; looked at with your own rights instead");
    assert_eq!(namespace(&case, "orders").await.metadata, before.metadata);
}

/// A folder of the test's own.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test]
async fn three_hundred_namespaces_are_handed_over_before_their_components_are_applied() {
    const MANY: usize = 300;
    let case = case().await;
    let names: Vec<String> = (0..MANY).map(|number| format!("c{number:03}")).collect();
    let each = async |name: &String| room(&case, name).await;
    stream::iter(&names)
        .map(each)
        .buffer_unordered(16)
        .collect::<Vec<()>>()
        .await;
    let folder = folder("adopt-300");
    for name in &names {
        fs::write(folder.join(format!("{name}.yaml")), case.named(&component(name))).unwrap();
    }
    let before = namespace(&case, "c299").await;
    let source = folder.to_str().unwrap();
    let began = std::time::Instant::now();
    let said = landfall(&case, &["adopt", "-f", source, "-o", "json"]);
    println!("{MANY} instances looked at in {:?}", began.elapsed());
    assert_eq!(
        said.code,
        2,
        "{}",
        said.text.chars().rev().take(300).collect::<String>()
    );
    let report = said.json();
    assert_eq!(report["summary"]["toHandOver"], 2 * MANY);
    for entity in report["entities"].as_array().unwrap() {
        let change = &entity["objects"][0]["changes"][0];
        assert_eq!(change["path"], "metadata.labels.team", "{entity:#}");
    }
    assert_eq!(namespace(&case, "c299").await.metadata, before.metadata);
    let began = std::time::Instant::now();
    let said = landfall(&case, &["adopt", "-f", source, "--apply"]);
    println!(
        "{MANY} instances looked at and handed what they want in {:?}",
        began.elapsed()
    );
    assert_eq!(said.code, 0, "{}", said.text);
    said.has(&format!("{} objects are handed over", 2 * MANY));

    // Nothing of theirs is ever in a conflict.
    let each = async |name: &String| case.put(&component(name)).await;
    stream::iter(&names)
        .map(each)
        .buffer_unordered(16)
        .collect::<Vec<()>>()
        .await;
    for name in &names {
        case.ready("Component", name).await;
    }
    let after = namespace(&case, "c299").await;
    assert_eq!(after.metadata.uid, before.metadata.uid);
    assert_eq!(after.metadata.labels.unwrap()["theirs"], "yes");
    let said = landfall(&case, &["adopt", "-f", source]);
    assert_eq!(said.code, 0, "{}", said.text);
    said.has("nothing that exists is in the way of 300 instances");
}
