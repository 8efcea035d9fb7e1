//! The operator with its own role and no more: it does the whole loop, and acts as no account that was not
//! granted to it.

use std::path::PathBuf;

use insta::assert_snapshot;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::{Case, Cluster, Entry, Operator, eventually, is_write, repository};

/// The user that the operator is.
pub const USER: &str = "system:serviceaccount:landfall-system:landfall";

/// The operator's own role as it is shipped, without the one account that it is granted there as an example.
pub fn own_role() -> Vec<Value> {
    let text = std::fs::read_to_string(repository().join("deploy/rbac.yaml")).unwrap();
    let documents: Vec<Value> = text
        .split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect();
    let kept: Vec<Value> = documents
        .into_iter()
        .filter(|document| document["metadata"]["namespace"] != "platform")
        .collect();
    assert_eq!(
        kept.len(),
        6,
        "a Namespace, an account, a ClusterRole, a Role and their bindings: {kept:#?}"
    );
    kept
}

pub fn kubeconfig(cluster: &Cluster) -> PathBuf {
    let printed = |arguments: &[&str]| {
        let output = cluster.kubectl(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let token = printed(&["create", "token", "landfall", "-n", "landfall-system"]);
    let mut config: Value =
        serde_json::from_str(&printed(&["config", "view", "--raw", "--minify", "-o", "json"])).unwrap();
    config["users"][0]["user"] = json!({"token": token.trim()});
    let place = cluster.directory().join("least-role.kubeconfig");
    std::fs::write(&place, config.to_string()).unwrap();
    place
}

/// Lets the operator act as one account, as the message says.
async fn let_act(case: &Case<'_>, account: &str) {
    case.put(&format!(
        r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: landfall-acts-as-{account}, namespace: PLATFORM}}
rules: [{{apiGroups: [""], resources: [serviceaccounts], resourceNames: [{account}], verbs: [impersonate]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: landfall-acts-as-{account}, namespace: PLATFORM}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: landfall-acts-as-{account}}}
subjects: [{{kind: ServiceAccount, name: landfall, namespace: landfall-system}}]
"#
    ))
    .await;
}

fn template(name: &str, account: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {{name: {name}, namespace: PLATFORM}}
spec:
  type: service
  serviceAccountName: {account}
  allowedNamespaces: {{from: All}}
  parameters: {{properties: {{text: {{type: string, default: one}}}}}}
  resources:
  - id: settings
    manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: '${{{{ entity.metadata.name }}}}'}}, data: {{text: '${{{{ parameters.text }}}}'}}}}
"
    )
}

fn component(name: &str, template: &str, text: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Component
metadata: {{name: {name}, namespace: TEAM}}
spec:
  type: service
  lifecycle: production
  owner: group:default/shop
  template: {{ref: PLATFORM/{template}, parameters: {{text: {text}}}}}
"
    )
}

async fn holds(case: &Case<'_>, name: &str, text: &str) {
    let maps = case.api("v1", "ConfigMap", &case.team);
    eventually("the ConfigMap to hold what it should", async || {
        let found = maps.get(name).await.map_err(|error| error.to_string())?;
        (found.data["data"]["text"] == text)
            .then_some(())
            .ok_or(found.data.to_string())
    })
    .await;
}

#[tokio::test]
async fn the_operators_own_role_is_enough_and_no_more() {
    let cluster = Cluster::own("least-role").await;
    let case = Case::on(&cluster).await;
    for document in own_role() {
        case.put_object(&document).await;
    }
    let config = kubeconfig(&cluster);
    let mark = cluster.audit().mark().await;
    let _operator = Operator::start_with(&cluster, |command| {
        command.env("KUBECONFIG", &config);
        command.args(["--leader-elect", "--lease-namespace", "landfall-system"]);
    })
    .await;

    // The whole loop, as an account that was granted: make, change, repair, delete.
    let_act(&case, "golden-path").await;
    case.put(&template("web", "golden-path")).await;
    case.put(&component("orders", "web", "one")).await;
    case.ready("Component", "orders").await;
    case.put(&component("orders", "web", "two")).await;
    holds(&case, "orders", "two").await;
    let maps = case.api("v1", "ConfigMap", &case.team);
    maps.delete("orders", &DeleteParams::default()).await.unwrap();
    holds(&case, "orders", "two").await;
    let edit = json!({"data": {"text": "edited"}});
    maps.patch("orders", &PatchParams::default(), &Patch::Merge(&edit))
        .await
        .unwrap();
    holds(&case, "orders", "two").await;
    case.ready("Component", "orders").await;
    case.own("Component")
        .delete("orders", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the instance to be gone", async || {
        let found = case.own("Component").get_opt("orders").await.unwrap();
        found.is_none().then_some(()).ok_or(format!("{found:?}"))
    })
    .await;
    assert!(maps.get_opt("orders").await.unwrap().is_none());

    // Nothing that it asked for as itself was refused: the role is enough.
    let entries = cluster.audit().since(mark).await;
    let refused: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.user == USER && entry.code == 403)
        .collect();
    assert!(refused.iter().all(|entry| entry.impersonated.is_some()), "{refused:#?}");

    // An account with every right, in the same namespace, that nobody granted: it cannot be reached.
    case.put(
        r"
apiVersion: v1
kind: ServiceAccount
metadata: {name: admin, namespace: PLATFORM}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: PLATFORM-admin}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: admin, namespace: PLATFORM}]
",
    )
    .await;
    case.put(&template("forbidden", "admin")).await;
    case.ready("Template", "forbidden").await;
    let before = case.before(&[]).await;
    case.put(&component("payments", "forbidden", "one")).await;
    let said = case
        .refused_untouched(&before, "Component", "payments", "Forbidden")
        .await;
    assert_snapshot!(said, @r#"Stalled, Forbidden: the operator may not act as service account platform/admin; grant service account landfall-system/landfall the right by a Role in namespace platform: apiGroups [""], resources [serviceaccounts], resourceNames [admin], verbs [impersonate]"#);
    let as_admin = format!("system:serviceaccount:{}:admin", case.platform);
    let entries = cluster.audit().since(mark).await;
    let done: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.impersonated.as_ref() == Some(&as_admin) && (entry.code < 400 || is_write(entry)))
        .collect();
    assert!(done.is_empty(), "{done:#?}");
    case.conforms().await;

    // Misspelt, it is an account that may not be asked for, either.
    case.put(&template("misspelt", "goldn-path")).await;
    case.put(&component("refunds", "misspelt", "one")).await;
    let said = case
        .refused_untouched(&before, "Component", "refunds", "Forbidden")
        .await;
    assert!(
        said.ends_with("resourceNames [goldn-path], verbs [impersonate]; did you mean golden-path?"),
        "{said}"
    );

    // Granted as the message says, it goes on by itself.
    let_act(&case, "admin").await;
    case.ready("Component", "payments").await;
    holds(&case, "payments", "one").await;
    case.conforms().await;
}

/// What the role must not hold, whatever else it gains.
#[test]
fn the_operators_own_role_makes_nothing() {
    let role = own_role()
        .into_iter()
        .find(|document| document["kind"] == "ClusterRole")
        .unwrap();
    for rule in role["rules"].as_array().unwrap() {
        let list = |field: &str| -> Vec<String> {
            let values = rule[field].as_array().cloned().unwrap_or_default();
            values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
        };
        let (groups, resources, verbs) = (list("apiGroups"), list("resources"), list("verbs"));
        let all = [groups.clone(), resources.clone(), verbs.clone()].concat();
        assert!(!all.contains(&"*".to_owned()), "{rule}");
        for verb in ["impersonate", "bind", "escalate", "deletecollection"] {
            assert!(!verbs.contains(&verb.to_owned()), "never in a ClusterRole: {rule}");
        }
        assert!(!resources.contains(&"secrets".to_owned()), "{rule}");
        let writes = verbs
            .iter()
            .any(|verb| !matches!(verb.as_str(), "get" | "list" | "watch"));
        let own = ["catalog.landfall.dev", "events.k8s.io", "coordination.k8s.io"];
        let revisions = groups == ["apps"] && resources == ["controllerrevisions"];
        let is_own = revisions || groups.iter().all(|group| own.contains(&group.as_str()));
        assert!(!writes || is_own, "it writes only its own: {rule}");
    }
}
