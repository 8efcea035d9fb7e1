//! Whoever writes a Template gets its account's rights, and no others.

use insta::assert_snapshot;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::{ALL, Case, Entry, Mark, assert_conformance, eventually, is_write, own_role};

const COMPONENT: &str = "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Component
metadata: {name: orders, namespace: TEAM}
spec:
  type: service
  lifecycle: production
  owner: group:default/shop
  template: {ref: PLATFORM/web}
";

/// A `ConfigMap`, and a Role that lets its holder read Secrets.
const TEMPLATE: &str = "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {name: web, namespace: PLATFORM}
spec:
  type: service
  serviceAccountName: golden-path
  allowedNamespaces: {from: All}
  resources:
  - id: first
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: first}}
  - id: reader
    dependsOn: [first]
    manifest:
      apiVersion: rbac.authorization.k8s.io/v1
      kind: Role
      metadata: {name: reader}
      rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]
  - id: last
    dependsOn: [reader]
    manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: last}}
";

fn inventory(instance: &Value) -> Vec<(String, bool)> {
    let entries = instance["status"]["inventory"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            let has_uid = entry["uid"].as_str().is_some_and(|uid| !uid.is_empty());
            (entry["resource"].as_str().unwrap().to_owned(), has_uid)
        })
        .collect()
}

#[tokio::test]
async fn a_template_gives_no_right_that_its_account_does_not_hold() {
    let case = Case::new().await;
    let config_maps = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ALL});
    let roles = json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ALL});
    let secrets = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});

    // Only ConfigMaps: it cannot even see Roles, and nothing is begun that cannot be watched.
    case.grant(&json!([config_maps])).await;
    case.put(TEMPLATE).await;
    case.ready("Template", "web").await;
    let before = case.before(&[]).await;
    case.put(COMPONENT).await;
    let said = case
        .refused_untouched(&before, "Component", "orders", "Forbidden")
        .await;
    assert_snapshot!(said, @"Stalled, Forbidden: platform/golden-path may not list roles.rbac.authorization.k8s.io in the whole cluster; grant: apiGroups [rbac.authorization.k8s.io], resources [roles], verbs [get, list, watch, create, patch, delete]");

    // Roles too, and none of the rights that this one gives: the apiserver's own rule against escalation holds.
    case.grant(&json!([config_maps, roles])).await;
    eventually("the Role to be tried", async || {
        let entries = inventory(&case.get("Component", "orders").await);
        (entries.len() == 3 && entries[0].1)
            .then_some(())
            .ok_or(format!("{entries:?}"))
    })
    .await;
    let said = case.refused("Component", "orders", "Forbidden").await;
    assert_snapshot!(said, @r#"Stalled, Forbidden: Role shop/reader: platform/golden-path may not give rights that it does not hold; take them out of the Role, or grant them to the account too: {APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#);
    case.mark_processed("Component", "orders", "again").await;
    // What is made is in the inventory with its UID; what is not is there too, so that nothing can be lost.
    let instance = case.get("Component", "orders").await;
    let expected = [("first", true), ("reader", false), ("last", false)];
    assert_eq!(inventory(&instance), expected.map(|(id, made)| (id.to_owned(), made)));
    let maps = case.api("v1", "ConfigMap", &case.team);
    assert!(maps.get_opt("first").await.unwrap().is_some());
    assert!(maps.get_opt("last").await.unwrap().is_none(), "it depends on the Role");
    case.conforms().await;

    // The right itself is what it takes.
    case.grant(&json!([config_maps, roles, secrets])).await;
    case.mark_processed("Component", "orders", "granted").await;
    case.ready("Component", "orders").await;
    case.conforms().await;

    case.own("Component")
        .delete("orders", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the instance to be gone", async || {
        let found = case.own("Component").get_opt("orders").await.unwrap();
        found.is_none().then_some(()).ok_or(format!("{found:?}"))
    })
    .await;
    case.assert_unchanged(&before).await;
}

/// The account is one of the Template's own namespace: one of the same name elsewhere lends it nothing.
#[tokio::test]
async fn an_account_of_the_same_name_elsewhere_lends_nothing() {
    let (rich, poor) = (Case::new().await, Case::new().await);
    poor.grant(&json!([])).await;
    let template = TEMPLATE.split("  - id: reader").next().unwrap();
    poor.put(template).await;
    poor.ready("Template", "web").await;
    let before = poor.before(&[]).await;
    let mark = rich.cluster.audit().mark().await;
    poor.put(COMPONENT).await;
    let said = poor
        .refused_untouched(&before, "Component", "orders", "Forbidden")
        .await;
    assert!(said.contains("platform/golden-path may not list configmaps"), "{said}");
    let borrowed: Vec<Entry> = rich.writes_since(mark).await;
    assert!(borrowed.is_empty(), "{borrowed:?}");
    poor.conforms().await;
}

/// Over all that this run has asked of the apiserver until now, whichever tests it was for.
#[tokio::test]
async fn the_operator_itself_touches_only_its_own_kinds() {
    let case = Case::new().await;
    case.grant(&json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ALL}]))
        .await;
    let mark = case.cluster.audit().mark().await;
    case.put(TEMPLATE.split("  - id: reader").next().unwrap()).await;
    case.put(COMPONENT).await;
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

    let account = case.account();
    let mine = case.writes_since(mark).await;
    let verbs: Vec<&str> = mine.iter().map(|entry| entry.verb.as_str()).collect();
    assert_eq!(verbs, ["patch", "delete"], "as {account}: {mine:#?}");

    let entries = case.cluster.audit().since(Mark::START).await;
    let operators: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.user_agent.starts_with("landfall/") && !entry.resource.is_empty())
        .collect();
    assert!(operators.len() > 10);
    let role = own_role();
    for entry in operators {
        let resource = entry.resource.as_str();
        match &entry.impersonated {
            None => assert!(role.contains(&format!("{} {resource}", entry.verb)), "{entry}"),
            Some(user) => {
                assert!(user.starts_with("system:serviceaccount:"), "{entry}");
                assert!(!resource.contains("catalog.landfall.dev"), "{entry}");
                assert!(resource != "secrets", "{entry}");
            }
        }
    }
}

/// The role that a team is given: all of its entities, and nobody's status.
#[tokio::test]
async fn a_team_cannot_write_its_own_status_nor_a_template() {
    let case = Case::new().await;
    case.put(
        r"
apiVersion: v1
kind: ServiceAccount
metadata: {name: dev, namespace: TEAM}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: dev, namespace: TEAM}
rules:
- {apiGroups: [catalog.landfall.dev], resources: [components, systems], verbs: [get, list, watch, create, update, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: dev, namespace: TEAM}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: dev}
subjects: [{kind: ServiceAccount, name: dev, namespace: TEAM}]
",
    )
    .await;
    case.put(COMPONENT).await;
    case.refused("Component", "orders", "TemplateNotFound").await;
    let client = case.cluster.client_as(&case.team, "dev").await;
    let admin = case.client.clone();
    let mine = Case { client, ..case };
    eventually("the team's rights to be in force", async || {
        mine.own("Component").get("orders").await
    })
    .await;

    let forged = json!({"status": {"inventory": [{
        "version": "v1", "kind": "Namespace", "name": "kube-system", "uid": "x", "resource": "ns", "claim": "c", "account": "a/b",
    }]}});
    let status = mine
        .own("Component")
        .patch_status("orders", &PatchParams::default(), &Patch::Merge(&forged))
        .await;
    let refusal = status.unwrap_err();
    assert_snapshot!(mine.masked(refusal.to_string().split(": Forbidden").next().unwrap()), @r#"ApiError: components.catalog.landfall.dev "orders" is forbidden: User "system:serviceaccount:shop:dev" cannot patch resource "components/status" in API group "catalog.landfall.dev" in the namespace "shop""#);
    // By the main resource it is not refused, and has no effect.
    mine.own("Component")
        .patch("orders", &PatchParams::default(), &Patch::Merge(&forged))
        .await
        .unwrap();
    assert!(inventory(&mine.get("Component", "orders").await).is_empty());
    // Neither may it write a Template, in its own namespace or another's.
    for namespace in [&mine.team, &mine.platform] {
        let templates = mine.api("catalog.landfall.dev/v1alpha1", "Template", namespace);
        let body = json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Template",
            "metadata": {"name": "own"}, "spec": {"type": "service"},
        });
        let answer = templates
            .patch("own", &PatchParams::apply("dev"), &Patch::Apply(&body))
            .await;
        assert!(matches!(answer, Err(kube::Error::Api(status)) if status.code == 403));
    }
    assert_conformance(&admin, &[&mine.team]).await;
}
