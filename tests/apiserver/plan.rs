//! `landfall plan` on a real apiserver: what it says is what happens then, and it writes nothing itself.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::support::{Case, Cluster, eventually, is_write};

mod reading;
mod stages;

const AGENT: &str = "landfall-command/";

/// What the program said.
pub struct Said {
    pub code: i32,
    pub text: String,
}

impl Said {
    pub fn has(&self, line: &str) {
        assert!(self.text.contains(line), "\"{line}\" is not in:\n{}", self.text);
    }

    pub fn has_not(&self, line: &str) {
        assert!(!self.text.contains(line), "\"{line}\" is in:\n{}", self.text);
    }
}

/// What `landfall plan` says about `yaml` to the user of a kubeconfig.
fn plan_as(case: &Case<'_>, kubeconfig: &Path, yaml: &str, more: &[&str]) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["plan", "-f", "-"])
        .args(more)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(case.named(yaml).as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    Said {
        code: output.status.code().unwrap(),
        text: case.masked(&text),
    }
}

/// The same to the administrator.
pub fn plan(case: &Case<'_>, yaml: &str, more: &[&str]) -> Said {
    plan_as(case, &case.cluster.kubeconfig(), yaml, more)
}

/// The kubeconfig of a service account of the team.
async fn kubeconfig(case: &Case<'_>, name: &str) -> PathBuf {
    case.put(&format!(
        "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: TEAM}}}}"
    ))
    .await;
    let output = case.cluster.kubectl(&["create", "token", name, "-n", &case.team]);
    let token = String::from_utf8(output.stdout).unwrap();
    let text = fs::read_to_string(case.cluster.kubeconfig()).unwrap();
    let mut config: Value = serde_saphyr::from_str(&text).unwrap();
    config["users"][0]["user"] = json!({"token": token.trim()});
    let place = case
        .cluster
        .directory()
        .join(format!("{}-{name}.kubeconfig", case.team));
    fs::write(&place, config.to_string()).unwrap();
    place
}

/// A Template `web` in the platform's namespace: a namespace for each instance, a quota and settings in it.
fn template(version: &str, pods: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {{name: web, namespace: PLATFORM}}
spec:
  type: service
  version: \"{version}\"
  serviceAccountName: golden-path
  allowedNamespaces: {{from: All}}
  parameters: {{properties: {{pods: {{type: integer, maximum: 20, default: 5}}, told: {{type: boolean, default: true}}, keep: {{type: boolean, default: true}}}}}}
  resources:
  - {{id: ns, manifest: {{apiVersion: v1, kind: Namespace, metadata: {{name: '${{{{ entity.metadata.namespace }}}}-${{{{ entity.metadata.name }}}}'}}}}}}
  - {{id: quota, manifest: {{apiVersion: v1, kind: ResourceQuota, metadata: {{name: limits, namespace: '${{{{ resources.ns.metadata.name }}}}'}}, spec: {{hard: {{pods: '${{{{ {pods} }}}}'}}}}}}}}
  - {{id: told, if: '${{{{ parameters.told }}}}', manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: told, namespace: '${{{{ resources.ns.metadata.name }}}}'}}, data: {{owner: '${{{{ owner.name }}}}'}}}}}}
  - {{id: kept, if: '${{{{ parameters.keep }}}}', deletionPolicy: Retain, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: kept, namespace: '${{{{ resources.ns.metadata.name }}}}'}}}}}}
"
    )
}

fn component(name: &str, rest: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Component
metadata: {{name: {name}, namespace: TEAM}}
spec: {{type: service, lifecycle: production, owner: shop, template: {{ref: PLATFORM/web{rest}}}}}
"
    )
}

/// A case with the Template, compiled.
async fn case() -> Case<'static> {
    let case = Case::new().await;
    case.put(&template("1", "parameters.pods")).await;
    case.ready("Template", "web").await;
    case
}

#[tokio::test]
async fn what_is_new_is_previewed_then_made_so_and_then_nothing_is_to_do() {
    let case = case().await;
    let foreign = ["TEAM-orders"];
    let before = case.before(&foreign).await;
    let mark = case.cluster.audit().mark().await;
    let yaml = component("orders", ", parameters: {pods: 7}");
    let said = plan(&case, &yaml, &[]);
    assert_eq!(said.code, 2, "{}", said.text);
    said.has("+ component:shop/orders  (standard input:2:1)");
    said.has("template:platform/web 1, as platform/golden-path");
    said.has("+ Namespace shop-orders  [ns]");
    said.has("+ ResourceQuota shop-orders/limits  [quota]");
    said.has("its namespace shop-orders would be made first (3 objects)");
    said.has("objects: 4 to add, 0 to change, 0 to remove, 0 kept, 0 waiting, 0 denied, 0 unchanged");
    case.assert_unchanged(&before).await;
    let asked = case.cluster.audit().since(mark).await;
    let ours: Vec<_> = asked
        .iter()
        .filter(|entry| entry.user_agent.starts_with(AGENT) && is_write(entry))
        .filter(|entry| {
            let (within, made) = (format!("/{}/", case.team), format!("/{}-orders", case.team));
            entry.uri.contains(&within) || entry.uri.contains(&made)
        })
        .collect();
    assert!(ours.len() >= 2, "the entity and its namespace are tried: {ours:#?}");
    for entry in ours {
        assert!(entry.uri.contains("dryRun=All"), "{entry}");
    }
    let secrets = asked.iter().filter(|entry| entry.user_agent.starts_with(AGENT));
    let secrets: Vec<_> = secrets.filter(|entry| entry.resource == "secrets").collect();
    assert!(secrets.is_empty(), "{secrets:#?}");

    case.put(&yaml).await;
    case.ready("Component", "orders").await;
    let said = plan(&case, &yaml, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    said.has("nothing to do: ");
    said.has("4 unchanged");
    said.has_not("unchecked");
}

#[tokio::test]
async fn what_is_changed_is_previewed_field_by_field_as_it_then_comes() {
    let case = case().await;
    case.put(&component("orders", "")).await;
    case.ready("Component", "orders").await;
    let yaml = component("orders", ", parameters: {pods: 9, told: false, keep: false}");
    let said = plan(&case, &yaml, &[]);
    assert_eq!(said.code, 2, "{}", said.text);
    said.has("~ component:shop/orders");
    said.has("+ spec.template.parameters: ");
    said.has("~ ResourceQuota shop-orders/limits  [quota]");
    said.has("~ spec.hard.pods: \"5\" → \"9\"");
    said.has("- ConfigMap shop-orders/told  [told]");
    said.has("= ConfigMap shop-orders/kept  [kept]");
    said.has("0 to add, 1 to change, 1 to remove, 1 kept, 0 waiting, 0 denied, 1 unchanged");

    case.put(&yaml).await;
    case.ready("Component", "orders").await;
    let namespace = case.named("TEAM-orders");
    let quota = case.api("v1", "ResourceQuota", &namespace).get("limits").await.unwrap();
    assert_eq!(quota.data["spec"]["hard"]["pods"], "9");
    let maps = case
        .api("v1", "ConfigMap", &namespace)
        .list(&ListParams::default())
        .await;
    let names: Vec<String> = maps
        .unwrap()
        .items
        .into_iter()
        .filter_map(|map| map.metadata.name)
        .collect();
    assert!(
        names.contains(&"kept".to_owned()) && !names.contains(&"told".to_owned()),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_changed_template_shows_whom_it_touches_and_how() {
    let case = case().await;
    case.put(&component("orders", "")).await;
    case.put(&component("pinned", ", version: '1'")).await;
    case.ready("Component", "orders").await;
    case.ready("Component", "pinned").await;
    // A Component of the files beside it is planned with the Template of the files.
    let yaml = format!(
        "{}---{}",
        template("2", "parameters.pods + 1"),
        component("new", ", parameters: {pods: 2}")
    );
    let said = plan(&case, &yaml, &["-o", "json"]);
    assert_eq!(said.code, 2, "{}", said.text);
    let report: Value = serde_json::from_str(&said.text).unwrap();
    let of = |name: &str| {
        let entities = report["entities"].as_array().unwrap();
        entities
            .iter()
            .find(|entity| entity["ref"] == name)
            .unwrap_or_else(|| panic!("{report:#}"))
    };
    let changed = of("template:platform/web");
    assert_eq!(changed["template"]["version"], "2");
    assert_eq!(changed["template"]["before"], "1");
    assert_eq!(changed["template"]["instances"], 2);
    let orders = of("component:shop/orders");
    assert_eq!(orders["because"], "template:platform/web");
    let quota = &orders["objects"][1];
    assert_eq!(quota["action"], "change", "{orders:#}");
    assert_eq!(
        quota["changes"],
        json!([{"path": "spec.hard.pods", "before": "5", "after": "6"}])
    );
    let pinned = of("component:shop/pinned");
    assert!(
        pinned["objects"]
            .as_array()
            .unwrap()
            .iter()
            .all(|object| object["action"] == "nothing"),
        "{pinned:#}"
    );
    let new = of("component:shop/new");
    let quota = new["objects"]
        .as_array()
        .unwrap()
        .iter()
        .find(|object| object["resource"] == "quota");
    assert_eq!(quota.unwrap()["object"]["spec"]["hard"]["pods"], 3);

    let reused = plan(&case, &template("1", "parameters.pods + 1"), &[]);
    assert_eq!(reused.code, 1, "{}", reused.text);
    reused.has("VersionReused: spec.version: \"1\" was given to other content before");
    let few = plan(&case, &template("2", "parameters.pods + 1"), &["--instances", "1"]);
    few.has("1 more instances that the files touch; --instances 2 plans them too");
}

#[tokio::test]
async fn a_changed_template_shows_whom_it_touches_through_those_that_include_it() {
    let case = case().await;
    let rails = |pods: u32| {
        format!(
            "apiVersion: catalog.landfall.dev/v1alpha1\nkind: Template\nmetadata: {{name: rails, namespace: PLATFORM}}\nspec:\n  type: service\n  serviceAccountName: nobody\n  allowedNamespaces: {{from: All}}\n  resources:\n  - id: quota\n    manifest: {{apiVersion: v1, kind: ResourceQuota, metadata: {{name: from-rails}}, spec: {{hard: {{pods: {pods}}}}}}}\n"
        )
    };
    case.put(&rails(1)).await;
    case.ready("Template", "rails").await;
    let including = format!(
        "{}  include: [{{id: rails, ref: rails}}]\n",
        template("1", "parameters.pods")
    );
    let including = including.replace("  version: \"1\"\n", "");
    case.put(&including).await;
    case.put(&component("orders", "")).await;
    case.ready("Component", "orders").await;
    let said = plan(&case, &rails(2), &["-o", "json"]);
    assert_eq!(said.code, 2, "{}", said.text);
    let report: Value = serde_json::from_str(&said.text).unwrap();
    let entities = report["entities"].as_array().unwrap();
    let orders = entities.iter().find(|entity| entity["ref"] == "component:shop/orders");
    let orders = orders.unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(orders["because"], "template:platform/web");
    let quota = orders["objects"]
        .as_array()
        .unwrap()
        .iter()
        .find(|object| object["resource"] == "rails.quota");
    assert_eq!(
        quota.unwrap()["changes"],
        json!([{"path": "spec.hard.pods", "before": "1", "after": "2"}])
    );
}

#[tokio::test]
async fn a_changed_owner_shows_whose_objects_change_with_it() {
    let case = case().await;
    case.put(&template(
        "2",
        "parameters.pods + (owner.spec.subjects | default([]) | length)",
    ))
    .await;
    case.ready("Template", "web").await;
    let group = "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Group
metadata: {name: shop, namespace: TEAM}
spec: {type: team}
";
    case.put(group).await;
    case.put(&component("orders", "")).await;
    case.ready("Component", "orders").await;
    let changed = group.replace(
        "{type: team}",
        "{type: team, subjects: [{kind: User, name: ann, apiGroup: rbac.authorization.k8s.io}]}",
    );
    let said = plan(&case, &changed, &[]);
    assert_eq!(said.code, 2, "{}", said.text);
    said.has("~ group:shop/shop");
    said.has("component:shop/orders  (by group:shop/shop)");
    said.has("~ spec.hard.pods: \"5\" → \"6\"");
}

#[tokio::test]
async fn what_would_be_refused_is_denied_with_the_reason_that_the_operator_gives_then() {
    let case = case().await;
    case.put(&component("orders", "")).await;
    case.ready("Component", "orders").await;
    case.put("{apiVersion: v1, kind: Namespace, metadata: {name: TEAM-taken}}")
        .await;
    let said = plan(&case, &component("taken", ""), &[]);
    assert_eq!(said.code, 1, "{}", said.text);
    said.has("! Namespace shop-taken  [ns]");
    said.has("NameConflict: Namespace shop-taken exists and is not ours; rename the component, or hand it over");

    let refused = plan(&case, &component("orders", ", parameters: {pods: -1}"), &[]);
    assert_eq!(refused.code, 1, "{}", refused.text);
    refused.has("! ResourceQuota shop-orders/limits  [quota]");
    refused.has("Denied: resource \"quota\": ResourceQuota shop-orders/limits: the apiserver does not take it");

    let wrong = plan(&case, &component("orders", ", parameters: {pods: 21}"), &[]);
    assert_eq!(wrong.code, 1, "{}", wrong.text);
    wrong.has("InvalidParameters: parameters.pods: 21 is more than the maximum of 20");

    let nobodys = plan(
        &case,
        &component("orders", "").replace("PLATFORM/web", "PLATFORM/webb"),
        &[],
    );
    assert_eq!(nobodys.code, 2, "a missing template is waited for: {}", nobodys.text);
    nobodys.has("TemplateNotFound: spec.template.ref: template:platform/webb does not exist; did you mean template:platform/web?");
    let foreign = case.api("v1", "Namespace", "");
    foreign
        .delete(&case.named("TEAM-taken"), &DeleteParams::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_others_changed_in_a_suspended_instance_and_what_waits_for_a_word_is_told() {
    let case = case().await;
    case.put(&component("orders", "")).await;
    case.ready("Component", "orders").await;
    let suspended = component("orders", ", suspend: true");
    case.put(&suspended).await;
    case.ready("Component", "orders").await;
    let namespace = case.named("TEAM-orders");
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "limits", "namespace": namespace},
        "spec": {"hard": {"pods": "99"}},
    });
    case.put_object(&quota).await;
    let said = plan(&case, &suspended, &[]);
    assert_eq!(said.code, 2, "{}", said.text);
    said.has("? ResourceQuota shop-orders/limits  [quota]");
    said.has("Suspended: the instance is suspended, and nothing is written");
    said.has("~ spec.hard.pods: \"99\" → 5");

    // Without a template everything goes, but for what is to stay, and the namespace with it.
    let none = component("orders", "").replace(", template: {ref: PLATFORM/web}", "");
    let said = plan(&case, &none, &[]);
    assert_eq!(said.code, 2, "{}", said.text);
    said.has("- ConfigMap shop-orders/told  [told]");
    said.has("= ConfigMap shop-orders/kept  [kept]");
    said.has("= Namespace shop-orders  [ns]");
}

#[tokio::test]
async fn what_is_only_patched_is_previewed_as_waiting_then_field_by_field_then_as_kept() {
    let case = case().await;
    let patch = |value: &str| {
        template("2", "parameters.pods").replace(
            "  resources:",
            &format!("  resources:\n  - {{id: set, if: '${{{{ parameters.told }}}}', mode: Patch, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: theirs, namespace: '${{{{ resources.ns.metadata.name }}}}'}}, data: {{ours: {value}}}}}}}"),
        )
    };
    case.put(&patch("one")).await;
    case.ready("Template", "web").await;
    let said = plan(&case, &component("orders", ""), &[]);
    assert_eq!(said.code, 2, "{}", said.text);
    said.has("? ConfigMap shop-orders/theirs  [set]\n      WaitingForObject: ConfigMap shop-orders/theirs is made by others, and waited for");
    case.put(&component("orders", "")).await;
    case.refused("Component", "orders", "WaitingForObject").await;
    case.put("{apiVersion: v1, kind: ConfigMap, metadata: {name: theirs, namespace: TEAM-orders}, data: {a: theirs}}")
        .await;
    case.ready("Component", "orders").await;
    let settled = plan(&case, &component("orders", ""), &[]);
    assert_eq!(settled.code, 0, "{}", settled.text);
    let changed = plan(&case, &patch("two").replace("version: \"2\"", "version: \"3\""), &[]);
    changed.has("~ ConfigMap shop-orders/theirs  [set]\n    ~ data.ours: \"one\" → \"two\"");
    let gone = plan(&case, &component("orders", ", parameters: {told: false}"), &[]);
    gone.has("= ConfigMap shop-orders/theirs  [set]\n      it stays, without the fields that were set on it");
}

#[tokio::test]
async fn who_may_only_read_is_told_what_was_not_checked_and_who_may_not_what_is_missing() {
    let case = case().await;
    case.put(&component("orders", "")).await;
    case.ready("Component", "orders").await;
    let reader = kubeconfig(&case, "reader").await;
    let yaml = component("orders", ", parameters: {pods: 9}");
    let said = plan_as(&case, &reader, &yaml, &[]);
    assert_eq!(said.code, 1, "{}", said.text);
    said.has("Forbidden: spec.template.ref: template:platform/web cannot be read: ");
    said.has("templates.catalog.landfall.dev \"web\" is forbidden");

    let group = "rbac.authorization.k8s.io";
    let name = format!("reader-of-{}", case.team);
    case.put_object(&json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": name},
        "rules": [{"apiGroups": ["", "catalog.landfall.dev"], "resources": ["namespaces", "resourcequotas", "configmaps", "components", "templates", "groups", "systems"], "verbs": ["get", "list"]}],
    }))
    .await;
    case.put_object(&json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": case.team}],
    }))
    .await;
    let user = format!("system:serviceaccount:{}:reader", case.team);
    case.may(
        &user,
        &json!("catalog.landfall.dev"),
        &json!("templates"),
        &json!("list"),
    )
    .await;
    let mark = case.cluster.audit().mark().await;
    let settled = plan_as(&case, &reader, &component("orders", ""), &[]);
    assert_eq!(
        settled.code, 0,
        "a number that the apiserver keeps as a text is no change: {}",
        settled.text
    );
    let said = plan_as(&case, &reader, &yaml, &[]);
    assert_eq!(said.code, 2, "{}", said.text);
    // The difference is found without the apiserver's help.
    said.has("~ spec.hard.pods: \"5\" → 9");
    said.has("the rights of platform/golden-path, as which you may not act; looked at with your own rights instead");
    said.has("what the apiserver says to it: resourcequotas \"limits\" is forbidden");
    said.has("whether the apiserver takes the entities of the files: ");
    let entries = case.cluster.audit().since(mark).await;
    let written: Vec<_> = entries
        .iter()
        .filter(|entry| entry.user == user && is_write(entry) && !entry.uri.contains("dryRun=All"))
        .collect();
    assert!(written.is_empty(), "{written:#?}");
}

#[tokio::test]
async fn a_cluster_without_our_definitions_is_told_what_to_do() {
    let cluster = Cluster::own("plan-bare").await;
    let output = cluster.kubectl(&["delete", "crd", "--all", "--wait=true"]);
    assert!(output.status.success(), "{output:?}");
    let case = Case::on(&cluster).await;
    eventually("the kinds to be served no more", async || {
        let said = plan(&case, &component("orders", ""), &[]);
        let told = said
            .text
            .contains("this cluster does not serve catalog.landfall.dev; install the CRDs");
        if told && said.code == 1 { Ok(()) } else { Err(said.text) }
    })
    .await;
    let offline = plan(
        &case,
        &format!("{}---{}", template("1", "parameters.pods"), component("orders", "")),
        &["--offline"],
    );
    assert_eq!(offline.code, 2, "{}", offline.text);
}
