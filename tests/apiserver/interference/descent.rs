//! A template that makes instances of itself would never come to an end: it is named, and ends at the first.

use serde_json::{Value, json};

use super::{neighbour_works, settings, stage};
use crate::support::{Stage, condition, resource};

/// Makes one more Component, of another template.
fn one_more(template: &str) -> Value {
    json!([resource(
        "more",
        json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
            "metadata": {"name": "${{ entity.metadata.name }}-more"},
            "spec": {
                "type": "service", "lifecycle": "production", "owner": "group:shop/checkout", "template": {"ref": template},
            },
        })
    )])
}

async fn ends(stage: &Stage<'_>, last: &str, above: &[&str]) {
    let message = stage.unready("Component", last, "NotAllowed").await;
    let line: Vec<String> = [last]
        .iter()
        .chain(above)
        .map(|name| format!("component:{}/{name}", stage.home))
        .collect();
    assert_eq!(
        message,
        format!(
            "spec.template.ref: template:{}/app makes instances of itself, which would go on for ever: {}; let it make them from another template",
            stage.home,
            line.join(" is made by ")
        )
    );
    stage.looked_at("Component", last).await;
    let next = format!("{last}-more");
    assert_eq!(stage.get(("Component", &stage.home, &next)).await, None);
    let first = stage.get(("Component", &stage.home, "orders")).await.unwrap();
    assert_ne!(condition(&first, "Ready").status, "True", "what it makes is not Ready");
}

#[tokio::test]
async fn a_template_of_itself_is_named_and_ends_at_once() {
    let stage = stage("itself").await;
    stage.template("app", one_more("app")).await;
    stage.component("orders", json!({"ref": "app"})).await;
    ends(&stage, "orders-more", &["orders"]).await;
    neighbour_works(&stage).await;
    stage.template("other", settings()).await;
    stage.template("app", one_more("other")).await;
    stage.ready("Component", "orders").await;
    stage.ready("Component", "orders-more").await;
}

#[tokio::test]
async fn a_circle_of_templates_is_named_where_it_closes() {
    let stage = stage("circle").await;
    stage.template("app", one_more("back")).await;
    stage.template("back", one_more("app")).await;
    stage.component("orders", json!({"ref": "app"})).await;
    ends(&stage, "orders-more-more", &["orders-more", "orders"]).await;
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    for name in ["orders-more", "orders-more-more"] {
        stage.vanishes(("Component", &stage.home, name)).await;
    }
}
