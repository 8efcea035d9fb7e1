//! The account lacks a right: the message is the rule to grant.

use insta::assert_snapshot;
use serde_json::json;

use super::{GOOD, component, template_with};
use crate::support::{ALL, Case};

/// An account without any right on the kinds cannot see what there is, and nothing is tried.
#[tokio::test]
async fn no_right_at_all() {
    let case = Case::new().await;
    case.grant(&json!([])).await;
    case.put(&template_with(GOOD)).await;
    case.ready("Template", "web").await;
    let before = case.before(&[]).await;
    case.put(&component("{}")).await;
    let said = case
        .refused_untouched(&before, "Component", "orders", "Forbidden")
        .await;
    assert_snapshot!(said, @r#"Stalled, Forbidden: platform/golden-path may not list namespaces in the whole cluster; grant: apiGroups [""], resources [namespaces], verbs [get, list, watch, create, patch, delete]; platform/golden-path may not list configmaps in the whole cluster; grant: apiGroups [""], resources [configmaps], verbs [get, list, watch, create, patch, delete]"#);
    case.conforms().await;
    // Half of it granted, the other half is asked for.
    case.grant(&json!([{"apiGroups": [""], "resources": ["namespaces"], "verbs": ALL}]))
        .await;
    case.grant(&json!([{"apiGroups": [""], "resources": ["namespaces", "configmaps"], "verbs": ALL}]))
        .await;
    // What no watch shows is looked at again by itself: the refused watch is opened anew.
    case.ready("Component", "orders").await;
    case.conforms().await;
}

/// An account that may see all and make only some of it: the rest is Forbidden, and all stays in the inventory.
#[tokio::test]
async fn no_right_to_create() {
    let case = Case::new().await;
    let see = ["get", "list", "watch"];
    case.grant(&json!([
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ALL},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": see},
    ]))
    .await;
    case.put(&template_with(GOOD)).await;
    case.put(&component("{}")).await;
    let said = case.refused("Component", "orders", "Forbidden").await;
    assert_snapshot!(said, @r#"Stalled, Forbidden: platform/golden-path may not create configmaps in shop; grant: apiGroups [""], resources [configmaps], verbs [get, list, watch, create, patch, delete]"#);
    case.conforms().await;
    case.grant(&json!([{"apiGroups": [""], "resources": ["namespaces", "configmaps"], "verbs": ALL}]))
        .await;
    case.mark_processed("Component", "orders", "granted").await;
    case.ready("Component", "orders").await;
    case.conforms().await;
}
