//! Plans that mix versions, and those that come by environment.

use serde_json::{Value, json};

use super::plan;
use crate::support::{Case, eventually};

/// A Template `web` with an object in each of two environments, and one outside.
fn template(version: &str, more: &str) -> String {
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
  rollout: {{environments: [dev, prod]{more}}}
  resources:
  - {{id: config, each: {{dev: {{}}, prod: {{}}}}, environment: '${{{{ each.key }}}}', manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: '${{{{ entity.metadata.name }}}}-${{{{ each.key }}}}'}}, data: {{at: '{version}'}}}}}}
  - {{id: shared, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: '${{{{ entity.metadata.name }}}}-shared'}}, data: {{at: '{version}'}}}}}}
"
    )
}

fn component(environments: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Component
metadata: {{name: orders, namespace: TEAM}}
spec: {{type: service, lifecycle: production, owner: shop, template: {{ref: PLATFORM/web{environments}}}}}
"
    )
}

/// What becomes of each object of `orders`, by its name.
fn actions(report: &Value) -> Vec<(String, String)> {
    let entities = report["entities"].as_array().unwrap();
    let orders = entities.iter().find(|entity| entity["ref"] == "component:shop/orders");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let objects = orders.unwrap()["objects"].as_array().unwrap();
    let mut all: Vec<_> = objects
        .iter()
        .map(|object| (text(&object["name"]), text(&object["action"])))
        .collect();
    all.sort();
    all
}

/// Waits until the status of `orders` is so.
async fn becomes(case: &Case<'_>, holds: impl Fn(&Value) -> bool) {
    eventually("the instance to be there", async || {
        let status = case.get("Component", "orders").await["status"].clone();
        if holds(&status) {
            Ok(())
        } else {
            Err(format!("{status:#}"))
        }
    })
    .await;
}

fn expected(actions: [&str; 3]) -> Vec<(String, String)> {
    let names = ["orders-dev", "orders-prod", "orders-shared"];
    names
        .map(str::to_owned)
        .into_iter()
        .zip(actions.map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn which_environment_moves_and_in_which_order_is_previewed_and_a_mix_of_versions_is_planned_as_it_then_comes() {
    let case = Case::new().await;
    case.put(&template("1", "")).await;
    case.ready("Template", "web").await;
    case.put(&component(", environments: {prod: {version: '1'}}")).await;
    case.ready("Component", "orders").await;

    let said = plan(&case, &template("2", ""), &[]);
    assert_eq!(said.code, 2, "{}", said.text);
    said.has(
        "1 → 2, as platform/golden-path\n    environment prod 1\n    by the template's rollout: dev, then the rest\n",
    );
    let said = plan(&case, &format!("{}---{}", template("2", ""), component("")), &[]);
    said.has("by the template's rollout: dev, then prod, then the rest\n");

    // Half of it has come: prod is pinned, and a person moves that pin.
    case.put(&template("2", "")).await;
    becomes(&case, |status| status["template"]["version"] == "2").await;
    let report = |yaml: &str| -> Value {
        let said = plan(&case, yaml, &["-o", "json"]);
        serde_json::from_str(&said.text).unwrap_or_else(|_| panic!("{}", said.text))
    };
    let now = report(&component(", environments: {prod: {version: '1'}}"));
    assert_eq!(actions(&now), expected(["nothing"; 3]));
    let promoted = component(", environments: {prod: {version: '2'}}");
    let then = report(&promoted);
    assert_eq!(actions(&then), expected(["nothing", "change", "nothing"]));
    let entity = &then["entities"][0];
    assert_eq!(
        entity["template"]["environments"],
        json!([{"name": "prod", "version": "2", "before": "1"}]),
        "{entity:#}"
    );
    case.put(&promoted).await;
    becomes(&case, |status| status["environments"][1]["version"] == "2").await;
    case.ready("Component", "orders").await;
    assert_eq!(actions(&report(&promoted)), expected(["nothing"; 3]));
}
