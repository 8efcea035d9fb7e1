//! What is not as it should be with an entity that is Ready, or that is being deleted, or whose template is a record.

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{OPEN, SETTINGS, ask, component, seeded, template, why};
use crate::support::{Case, eventually};

const GROUP: &str = "{apiVersion: catalog.landfall.dev/v1alpha1, kind: Group, metadata: {name: shop, namespace: TEAM}, spec: {type: team}}";
/// As an import of Backstage's makes it: steps, and nothing of Landfall's own.
const IMPORTED: &str = "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {name: web, namespace: PLATFORM}
spec:
  type: service
  allowedNamespaces: {from: All}
  steps: [{id: fetch, action: 'fetch:template'}]
";

/// Waits until `landfall why` finds something that its line of a warning says, and gives all that it prints.
async fn warned(case: &Case<'_>, entity: &str, expected: &str) -> String {
    eventually("landfall why to warn", async || {
        let (code, tree) = ask(case, &[entity, "-n", &case.team]);
        let line = tree.lines().find(|line| line.starts_with("warning:"));
        let found = code == Some(2) && line.is_some_and(|line| line.contains(expected));
        found
            .then_some(tree.clone())
            .ok_or(format!("{code:?}, expected {expected} in:\n{tree}"))
    })
    .await
}

#[tokio::test]
async fn a_ref_that_resolves_to_nothing_is_a_warning() {
    let case = seeded(&template(OPEN, &[SETTINGS]), "").await;
    case.ready("Component", "orders").await;
    let tree = warned(
        &case,
        "orders",
        "ReferencesResolved: ReferenceNotFound: owner: shop means group:shop/shop",
    )
    .await;
    assert!(tree.contains("✓ component:shop/orders"), "{tree}");
    assert!(tree.contains("├─ ! ReferencesResolved"), "{tree}");
    assert!(
        tree.contains("remedy:    create the entity that the ref names, or correct the ref: kubectl edit -n shop"),
        "{tree}"
    );
    let (code, text) = ask(&case, &["component", "orders", "-n", &case.team, "-o", "json"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, Some(2), "{answer:#}");
    assert_eq!(
        (&answer["ready"], &answer["finding"]),
        (&json!(true), &json!(true)),
        "{answer:#}"
    );
    assert_eq!(answer["cause"]["state"], "Warning", "{answer:#}");

    case.put(GROUP).await;
    eventually("nothing to be left to warn of", async || {
        let (code, tree) = ask(&case, &["lfcomp/orders", "-n", &case.team]);
        (code == Some(0)).then_some(()).ok_or(tree)
    })
    .await;
    let (_, text) = ask(&case, &["lfcomp", "orders", "-n", &case.team, "-o", "json"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&answer["finding"], &answer["remedy"]),
        (&json!(false), &Value::Null),
        "{answer:#}"
    );
}

#[tokio::test]
async fn drift_that_is_only_reported_is_a_warning() {
    let reported = SETTINGS.replace("{id: settings,", "{id: settings, driftPolicy: Report,");
    let case = seeded(&template(OPEN, &[&reported]), "").await;
    case.put(GROUP).await;
    case.ready("Component", "orders").await;
    let settings = case.api("v1", "ConfigMap", &case.team);
    let changed = Patch::Merge(json!({"data": {"KEY": "other"}}));
    settings
        .patch("settings", &PatchParams::default(), &changed)
        .await
        .unwrap();
    let tree = warned(&case, "orders", "Drifted: FieldsDiffer").await;
    assert!(
        tree.contains("remedy:    undo the change, put it into the template, or leave it"),
        "{tree}"
    );
}

#[tokio::test]
async fn an_account_that_is_gone_is_a_warning_while_all_is_ready() {
    let case = seeded(&template(OPEN, &[SETTINGS]), "").await;
    case.ready("Component", "orders").await;
    let accounts = case.api("v1", "ServiceAccount", &case.platform);
    accounts.delete("golden-path", &DeleteParams::default()).await.unwrap();
    let tree = warned(&case, "orders", "ServiceAccount platform/golden-path: does not exist").await;
    assert!(tree.contains("so that the next write may be refused"), "{tree}");
    assert!(
        tree.contains("remedy:    create it: kubectl create serviceaccount -n platform golden-path"),
        "{tree}"
    );
}

#[tokio::test]
async fn an_imported_template_is_told_to_be_a_record() {
    let case = Case::new().await;
    case.put(IMPORTED).await;
    case.ready("Template", "web").await;
    let entity = format!("template:{}/web", case.platform);
    let tree = warned(&case, &entity, "").await;
    assert!(tree.contains("! StepsSupported"), "{tree}");
    assert!(
        tree.contains("! spec.resources: it has none and names no spec.serviceAccountName, so nothing is made from it"),
        "{tree}"
    );
    case.put(&component("")).await;
    let said = why(&case, "TemplateNotReady", "template:platform/web").await;
    said.names(
        "names no service account to write its objects as",
        "set spec.serviceAccountName and spec.resources: kubectl edit -n platform templates.catalog.landfall.dev web",
    );
    assert!(said.tree.contains("✗ template:platform/web"), "{}", said.tree);
}

#[tokio::test]
async fn a_deletion_needs_no_template() {
    let case = Case::new().await;
    let but_delete = json!(["get", "list", "watch", "create", "patch"]);
    case.grant(&json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": but_delete}]))
        .await;
    case.put(&template(OPEN, &[SETTINGS])).await;
    case.put(&component("")).await;
    case.ready("Component", "orders").await;
    case.own("Template")
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    case.own("Component")
        .delete("orders", &DeleteParams::default())
        .await
        .unwrap();
    let said = why(
        &case,
        "Forbidden",
        "deleting: platform/golden-path may not delete configmaps",
    )
    .await;
    said.names(
        "component:shop/orders: Forbidden",
        "apiGroups [\"\"], resources [configmaps]",
    );
    assert!(
        said.remedy.ends_with("landfall.dev/reconcile=\"$(date +%s)\""),
        "{}",
        said.remedy
    );
    assert!(!said.tree.contains("template:"), "{}", said.tree);
    // What is long is told once, and the entity is marked as stuck.
    assert_eq!(
        said.tree.matches("may not delete configmaps").count(),
        1,
        "{}",
        said.tree
    );
    assert!(said.tree.starts_with("✗ component:shop/orders"), "{}", said.tree);
}
