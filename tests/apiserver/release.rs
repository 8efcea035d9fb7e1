//! `landfall release`: what instances own is let go, by a running operator or without one, and nothing is deleted.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::deletion::is_released;
use crate::support::{
    Cluster, Mark, Operator, Stage, condition, config_map, eventually, is_write, lines, namespace_manifest, repository,
    resource, uid, with,
};

/// `landfall release` with these arguments.
fn command(cluster: &Cluster, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    command.arg("release").args(arguments);
    command.env("KUBECONFIG", cluster.kubeconfig());
    command
}

/// Its exit code and what it says.
pub fn release(cluster: &Cluster, arguments: &[&str]) -> (i32, String) {
    let output = command(cluster, arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// A template of a namespace and a `ConfigMap` in it.
async fn template(stage: &Stage<'_>) {
    let metadata = json!({"name": "settings", "namespace": "${{ resources.ns.metadata.name }}"});
    let settings = with(config_map("settings", json!({"a": "b"})), json!({"metadata": metadata}));
    let resources = json!([resource("ns", namespace_manifest("")), resource("settings", settings)]);
    stage.template("app", resources).await;
}

async fn ready(stage: &Stage<'_>, names: &[&str]) {
    for name in names {
        stage.component(name, json!({"ref": "app"})).await;
    }
    for name in names {
        stage.ready("Component", name).await;
    }
}

/// The two objects of a component.
async fn objects(stage: &Stage<'_>, name: &str) -> [Value; 2] {
    let namespace = format!("{}-{name}", stage.home);
    let places = [
        ("Namespace", "", namespace.as_str()),
        ("ConfigMap", &namespace, "settings"),
    ];
    [stage.get(places[0]).await.unwrap(), stage.get(places[1]).await.unwrap()]
}

/// They are the same objects as before, with the same content and without our marks.
async fn assert_kept(stage: &Stage<'_>, name: &str, before: &[Value; 2]) {
    let after = objects(stage, name).await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((uid(after), &after["data"]), (uid(before), &before["data"]));
        assert!(is_released(after), "{after:#}");
    }
}

/// The component stays, and holds on to nothing.
fn assert_let_go(component: &Value) {
    assert!(component["metadata"]["finalizers"].is_null(), "{component:#}");
    assert!(component["status"]["inventory"].is_null(), "{component:#}");
    let ready = condition(component, "Ready");
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "Released"));
    assert_eq!(condition(component, "Stalled").reason, "Released");
}

/// One control plane, with an operator and without.
#[tokio::test]
async fn what_instances_own_is_let_go_and_nothing_is_deleted() {
    let cluster = Cluster::own("release").await;
    let stage = Stage::on(&cluster, "letgo").await;
    let operator = Operator::start(&cluster).await;
    template(&stage).await;
    ready(&stage, &["one", "two", "three", "four"]).await;

    one_of_several(&stage).await;
    it_is_provisioned_again_when_it_is_handed_over(&stage).await;
    by_someone_who_sees_the_component_alone(&stage).await;
    all_by_the_operator(&stage).await;
    operator.kill();

    let operator = Operator::start(&cluster).await;
    ready(&stage, &["five", "six", "seven", "eight"]).await;
    operator.kill();
    one_that_is_held_up(&stage).await;
    all_without_an_operator_and_interrupted(&stage).await;
    an_operator_that_comes_back_changes_nothing(&stage).await;
    definitions_that_hang_are_freed(&stage).await;

    let entries = cluster.audit().since(Mark::START).await;
    let of_command = entries
        .iter()
        .filter(|entry| entry.user_agent.starts_with("landfall-command/"));
    let deleted: Vec<_> = of_command
        .filter(|entry| entry.verb.starts_with("delete"))
        .cloned()
        .collect();
    assert!(deleted.is_empty(), "{}", lines(&deleted));
}

async fn one_of_several(stage: &Stage<'_>) {
    let (one, two) = (objects(stage, "one").await, objects(stage, "two").await);
    let (code, said) = release(stage.cluster, &["component", "one", "-n", &stage.home]);
    let home = &stage.home;
    let expected = format!(
        "component:{home}/one: let go\n  Namespace {home}-one: kept\n  ConfigMap {home}-one/settings: kept\n1 instance let go, 2 objects kept\n"
    );
    assert_eq!((code, said), (0, expected));
    assert_kept(stage, "one", &one).await;
    let component = stage.get(("Component", home, "one")).await.unwrap();
    assert_let_go(&component);
    // The one beside it is as it was.
    stage.looked_at("Component", "two").await;
    let component = stage.ready("Component", "two").await;
    assert_eq!(component["status"]["inventory"].as_array().unwrap().len(), 2);
    assert_eq!(objects(stage, "two").await, two);
    // Again, there is nothing left to do, and the operator has not begun anew.
    stage.looked_at("Component", "one").await;
    let again = release(stage.cluster, &["one", "-n", home]);
    assert_eq!(again, (0, "0 instances let go, 0 objects kept\n".to_owned()));
    assert_kept(stage, "one", &one).await;

    let (code, said) = release(stage.cluster, &["template/app", "-n", home]);
    assert_eq!(code, 1);
    assert!(
        said.contains("owns nothing: expected one of Component, Resource, System"),
        "{said}"
    );
    let (code, said) = release(stage.cluster, &["componet", "one", "-n", home]);
    assert!(
        code == 1 && said.contains("\"componet/one\" names no entity; did you mean component?"),
        "{said}"
    );
    let (code, said) = release(stage.cluster, &["component/none", "-n", home]);
    assert_eq!((code, said.contains("does not exist")), (1, true), "{said}");
    assert_eq!(release(stage.cluster, &[]).0, 1, "everything is let go only by --all");
    assert_eq!(release(stage.cluster, &["one", "--all"]).0, 1);
    assert_eq!(release(stage.cluster, &["component", "one", "--all"]).0, 1);
}

async fn it_is_provisioned_again_when_it_is_handed_over(stage: &Stage<'_>) {
    let before = objects(stage, "one").await;
    let place = ("Component", stage.home.as_str(), "one");
    stage
        .edit(
            place,
            json!({"metadata": {"annotations": {"landfall.dev/release": null}}}),
        )
        .await;
    stage.unready("Component", "one", "NameConflict").await;
    assert_kept(stage, "one", &before).await;
    let adopt =
        json!({"metadata": {"annotations": {"landfall.dev/adopt-by": format!("component:{}/one", stage.home)}}});
    let namespace = format!("{}-one", stage.home);
    for place in [
        ("Namespace", "", namespace.as_str()),
        ("ConfigMap", &namespace, "settings"),
    ] {
        stage.edit(place, adopt.clone()).await;
    }
    stage.looked_at("Component", "one").await;
    stage.ready("Component", "one").await;
    let after = objects(stage, "one").await;
    assert_eq!(after.each_ref().map(uid), before.each_ref().map(uid));
}

/// A team that may write its component and nothing of what it was given.
async fn by_someone_who_sees_the_component_alone(stage: &Stage<'_>) {
    ready(stage, &["zero"]).await;
    let before = objects(stage, "zero").await;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "dev", "namespace": stage.home},
        "rules": [{"apiGroups": ["catalog.landfall.dev"], "resources": ["components"], "verbs": ["get", "patch"]}],
    });
    stage.put(role).await;
    stage
        .put(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "dev", "namespace": stage.home},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "dev"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jenny"}],
        }))
        .await;
    let output = stage
        .cluster
        .kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]);
    let mut config: Value = serde_json::from_slice(&output.stdout).unwrap();
    config["users"][0]["user"]["as"] = "jenny".into();
    let place = stage.cluster.directory().join("jenny.kubeconfig");
    std::fs::write(&place, config.to_string()).unwrap();
    let said = eventually("the role to be in force", async || {
        let mut command = command(stage.cluster, &["component/zero", "-n", &stage.home]);
        let output = command.env("KUBECONFIG", &place).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        if output.status.success() { Ok(text) } else { Err(text) }
    })
    .await;
    assert!(said.contains("zero: let go\n"), "{said}");
    assert!(
        said.contains("-zero/settings: not looked at, configmaps \"settings\" is forbidden: "),
        "{said}"
    );
    assert_kept(stage, "zero", &before).await;
    stage.delete(("Component", &stage.home, "zero")).await;
    stage.vanishes(("Component", &stage.home, "zero")).await;
}

async fn all_by_the_operator(stage: &Stage<'_>) {
    let mut before = Vec::new();
    for name in ["one", "two", "three", "four"] {
        before.push((name, objects(stage, name).await));
    }
    // One is being deleted, and waits for a person.
    let keep = json!({"spec": {"template": {"deletionPolicy": "Confirm"}}});
    stage.edit(("Component", &stage.home, "four"), keep).await;
    stage.ready("Component", "four").await;
    stage.delete(("Component", &stage.home, "four")).await;
    stage.unready("Component", "four", "DeletionNotConfirmed").await;

    let mark = stage.cluster.audit().mark().await;
    let (code, said) = release(stage.cluster, &["--all"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.ends_with("4 instances let go, 8 objects kept\n"), "{said}");
    assert!(
        said.contains("four: let go; it was being deleted, and is gone\n"),
        "{said}"
    );
    for (name, before) in &before {
        assert_kept(stage, name, before).await;
    }
    for name in ["one", "two", "three"] {
        assert_let_go(&stage.get(("Component", &stage.home, name)).await.unwrap());
    }
    // It only asked; the rest was the operator's, with its accounts' rights.
    let entries = stage.cluster.audit().since(mark).await;
    let own = entries
        .iter()
        .filter(|entry| entry.user_agent.starts_with("landfall-command/") && is_write(entry));
    let own: Vec<_> = own
        .filter(|entry| entry.resource != "components.catalog.landfall.dev")
        .cloned()
        .collect();
    assert!(own.is_empty(), "{}", lines(&own));
    let (code, said) = release(stage.cluster, &["--all"]);
    assert_eq!(
        (code, said.ends_with("0 instances let go, 0 objects kept\n")),
        (0, true),
        "{said}"
    );
}

/// A policy keeps an object's marks on it: it is named, all else is let go, and the same again does the rest.
async fn one_that_is_held_up(stage: &Stage<'_>) {
    let before = objects(stage, "five").await;
    let name = format!("{}-keep", stage.home);
    let kind = "admissionregistration.k8s.io/v1";
    stage
        .put(json!({
            "apiVersion": kind, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["configmaps"]}]},
                "validations": [{"expression": "false", "message": "frozen this week"}],
            },
        }))
        .await;
    stage
        .put(json!({
            "apiVersion": kind, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": format!("{}-five", stage.home)}}},
            },
        }))
        .await;
    let place = ("ConfigMap", format!("{}-five", stage.home), "settings");
    eventually("the policy to be in force", async || {
        let change = kube::api::Patch::Merge(json!({"metadata": {"labels": {"probe": "yes"}}}));
        let parameters = kube::api::PatchParams {
            dry_run: true,
            ..Default::default()
        };
        let answer = stage.api(place.0, &place.1).patch(place.2, &parameters, &change).await;
        answer.err()
    })
    .await;
    let (code, said) = release(stage.cluster, &["component/five", "-n", &stage.home, "--wait", "0"]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("five: NOT let go: one of its objects could not be let go\n"),
        "{said}"
    );
    assert!(said.contains("-five: kept\n"), "{said}");
    assert!(
        said.contains("-five/settings: NOT let go, ") && said.contains("frozen this week"),
        "{said}"
    );
    let component = stage.get(("Component", &stage.home, "five")).await.unwrap();
    assert_eq!(
        component["status"]["inventory"].as_array().unwrap().len(),
        2,
        "it is still known what it owns"
    );
    assert_eq!(
        component["metadata"]["finalizers"],
        json!(["catalog.landfall.dev/provisioned"])
    );

    stage.delete(("ValidatingAdmissionPolicyBinding", "", &name)).await;
    eventually("the policy to be gone", async || {
        let (code, said) = release(stage.cluster, &["component/five", "-n", &stage.home, "--wait", "0"]);
        if code == 0 { Ok(()) } else { Err(said) }
    })
    .await;
    assert_kept(stage, "five", &before).await;
    assert_let_go(&stage.get(("Component", &stage.home, "five")).await.unwrap());
}

async fn all_without_an_operator_and_interrupted(stage: &Stage<'_>) {
    let names = ["six", "seven", "eight"];
    let mut before = Vec::new();
    for name in names {
        before.push((name, objects(stage, name).await));
    }
    // What bears the marks of an instance that is gone is let go, too.
    let orphan = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
        "metadata": {"name": "orphan", "namespace": stage.home, "labels": {"landfall.dev/instance-uid": "gone"}, "annotations": {"landfall.dev/instance": "component:shop/gone", "landfall.dev/claim": "x"}},
    });
    stage.put(orphan).await;
    let mut interrupted = command(stage.cluster, &["--all", "--wait", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let first = BufReader::new(interrupted.stdout.take().unwrap())
        .lines()
        .next()
        .unwrap()
        .unwrap();
    assert!(first.ends_with(": let go"), "{first}");
    interrupted.kill().unwrap();
    interrupted.wait().unwrap();

    let (code, said) = release(stage.cluster, &["--all", "--wait", "0"]);
    assert_eq!(code, 0, "{said}");
    let orphan = format!(
        "ConfigMap {}/orphan, left behind by component:shop/gone: kept\n",
        stage.home
    );
    assert!(said.contains(&orphan), "{said}");
    for (name, before) in &before {
        assert_kept(stage, name, before).await;
        assert_let_go(&stage.get(("Component", &stage.home, name)).await.unwrap());
    }
    let orphan = stage.get(("ConfigMap", &stage.home, "orphan")).await.unwrap();
    assert!(is_released(&orphan), "{orphan:#}");
}

async fn an_operator_that_comes_back_changes_nothing(stage: &Stage<'_>) {
    let before = objects(stage, "seven").await;
    let mark = stage.cluster.audit().mark().await;
    let operator = Operator::start(stage.cluster).await;
    let component = stage.looked_at("Component", "seven").await;
    assert_let_go(&component);
    assert_kept(stage, "seven", &before).await;
    // A component that was let go is deleted like any record.
    stage.delete(("Component", &stage.home, "seven")).await;
    stage.vanishes(("Component", &stage.home, "seven")).await;
    ready(stage, &["nine"]).await;
    assert_kept(stage, "seven", &before).await;
    let written = stage.written_since(mark).await;
    let namespace = format!("{}-nine", stage.home);
    let touched: Vec<_> = written
        .into_iter()
        .filter(|entry| {
            !entry.resource.starts_with("components.") && entry.namespace != namespace && entry.name != namespace
        })
        .collect();
    assert!(touched.is_empty(), "{}", lines(&touched));
    operator.kill();
}

/// With the operator gone, someone deletes the definitions: they wait for the finalizers that nobody takes off.
async fn definitions_that_hang_are_freed(stage: &Stage<'_>) {
    let before = objects(stage, "nine").await;
    let crds = repository().join("crds");
    let output = stage
        .cluster
        .kubectl(&["delete", "--wait=false", "-f", crds.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let going = |object: &Value| object["metadata"]["deletionTimestamp"].is_string();
    stage.becomes(("Component", &stage.home, "nine"), going).await;
    let (code, said) = release(stage.cluster, &["--all", "--wait", "0"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("nine: let go; it was being deleted, and is gone\n"),
        "{said}"
    );
    stage
        .vanishes(("CustomResourceDefinition", "", "components.catalog.landfall.dev"))
        .await;
    assert_kept(stage, "nine", &before).await;
    // Without its definitions there is nothing to let go, and that is no fault.
    eventually("all definitions to be gone", async || {
        let output = stage.cluster.kubectl(&["get", "crds", "-o", "name"]);
        let left = String::from_utf8(output.stdout).unwrap();
        if left.contains("catalog.landfall.dev") {
            Err(left)
        } else {
            Ok(())
        }
    })
    .await;
    let (code, said) = release(stage.cluster, &["--all", "--wait", "0"]);
    assert_eq!(
        (code, said.ends_with("0 instances let go, 0 objects kept\n")),
        (0, true),
        "{said}"
    );
}
