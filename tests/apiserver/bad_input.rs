//! Bad input on the real apiserver with the real operator, a row each: what it says (which condition, which
//! reason, at which field, in which words), that nothing on the server has changed by it, and that correcting
//! the input is enough to be Ready, without a restart.

use insta::assert_snapshot;

use crate::support::{Case, eventually};

mod changes;
mod forged;
mod limits;
mod manifests;
mod parameters;
mod places;
mod rights;
mod templates;
mod values;

/// A Template `web` of the platform team, open to all, with its parameters and resources given.
fn template(rest: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {{name: web, namespace: PLATFORM}}
spec:
  type: service
  serviceAccountName: golden-path
  allowedNamespaces: {{from: All}}
{}",
        rest.trim_matches('\n')
    )
}

/// The Template that is right: a namespace with a `ConfigMap` in it.
fn good_template() -> String {
    template(
        r#"
  parameters:
    required: [tier]
    properties:
      tier: {type: string, enum: [gold, silver]}
      host: {type: string}
      environments:
        type: object
        additionalProperties:
          type: object
          properties:
            replicas: {type: integer, minimum: 1, maximum: 10, default: 1}
  resources:
  - id: ns
    manifest:
      apiVersion: v1
      kind: Namespace
      metadata: {name: "${{ entity.metadata.namespace }}-${{ entity.metadata.name }}"}
  - id: settings
    manifest:
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: settings, namespace: "${{ resources.ns.metadata.name }}"}
      data: {TIER: "${{ parameters.tier }}"}
"#,
    )
}

/// A Template with one resource beside the namespace: this manifest, as flow YAML.
fn template_with(manifest: &str) -> String {
    template(&format!(
        r#"
  parameters: {{properties: {{value: {{}}}}}}
  resources:
  - id: ns
    manifest:
      apiVersion: v1
      kind: Namespace
      metadata: {{name: "${{{{ entity.metadata.namespace }}}}-${{{{ entity.metadata.name }}}}"}}
  - id: thing
    manifest: {manifest}
"#
    ))
}

/// A manifest that is right, for [`template_with`].
const GOOD: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: thing}}";

/// The product team's Component `orders` with these parameters, as flow YAML.
fn component(parameters: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Component
metadata: {{name: orders, namespace: TEAM}}
spec:
  type: service
  lifecycle: production
  owner: group:default/shop
  template: {{ref: PLATFORM/web, parameters: {parameters}}}
"
    )
}

/// Beside what is wrong, another instance of another template of the same account is made, changed and Ready.
async fn neighbour_works(case: &Case<'_>) {
    let manifest =
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: beside}, data: {text: '${{ parameters.value }}'}}";
    let resources = format!(
        "  parameters: {{properties: {{value: {{}}}}}}\n  resources:\n  - id: beside\n    manifest: {manifest}"
    );
    case.put(&template(&resources).replace("name: web", "name: beside"))
        .await;
    let instance = |text: &str| {
        component(&format!("{{value: {text}}}"))
            .replace("PLATFORM/web", "PLATFORM/beside")
            .replace("name: orders", "name: payments")
    };
    let maps = case.api("v1", "ConfigMap", &case.team);
    for text in ["one", "two"] {
        case.put(&instance(text)).await;
        case.ready("Component", "payments").await;
        eventually("the neighbour to be as planned", async || {
            let beside = maps.get("beside").await.map_err(|error| error.to_string())?;
            (beside.data["data"]["text"] == text)
                .then_some(())
                .ok_or(format!("{beside:?}"))
        })
        .await;
    }
}

/// A Template that cannot be compiled: nothing is made for its instance, both say so, and the corrected one
/// makes both Ready. Gives what the Template says and what the instance says.
async fn refused_template(bad: &str, reason: &str) -> String {
    let case = Case::new().await;
    let before = case.before(&[]).await;
    case.put(&template_with(bad)).await;
    case.put(&component("{}")).await;
    let said = case.refused_untouched(&before, "Template", "web", reason).await;
    let instance = case
        .refused_untouched(&before, "Component", "orders", "TemplateNotReady")
        .await;
    case.conforms().await;
    neighbour_works(&case).await;
    case.put(&template_with(GOOD)).await;
    case.ready("Template", "web").await;
    case.ready("Component", "orders").await;
    case.conforms().await;
    let message = said.split_once(": ").map_or("", |(_, message)| message);
    assert_eq!(
        instance,
        format!("Reconciling, TemplateNotReady: template:platform/web is not ready: {message}"),
        "the instance says what its template says"
    );
    said
}

/// A Template that compiles, and an instance of it whose plan is refused with `value` given and not without.
async fn refused_value(manifest: &str, value: &str, reason: &str) -> String {
    let case = Case::new().await;
    case.put(&template_with(manifest)).await;
    case.ready("Template", "web").await;
    let before = case.before(&[]).await;
    case.put(&component(&format!("{{value: {value}}}"))).await;
    let said = case.refused_untouched(&before, "Component", "orders", reason).await;
    case.conforms().await;
    neighbour_works(&case).await;
    case.put(&template_with(GOOD)).await;
    case.ready("Component", "orders").await;
    case.conforms().await;
    said
}

#[tokio::test]
async fn the_good_ones_are_good() {
    let case = Case::new().await;
    let before = case.before(&[]).await;
    case.put(&good_template()).await;
    case.put(&component("{tier: gold, environments: {prod: {replicas: 3}}}"))
        .await;
    case.ready("Component", "orders").await;
    case.conforms().await;
    // The means by which the rows below see that nothing happened do see when something does.
    let seen = std::panic::AssertUnwindSafe(case.assert_unchanged(&before));
    assert!(futures::FutureExt::catch_unwind(seen).await.is_err());
    let tried = std::panic::AssertUnwindSafe(case.assert_nothing_tried(&before));
    assert!(futures::FutureExt::catch_unwind(tried).await.is_err());
    let names: Vec<String> = case
        .picture_names(&["TEAM-orders"])
        .await
        .into_iter()
        .filter(|name| name.contains("orders"))
        .map(|name| case.masked(&name))
        .collect();
    assert_snapshot!(names.join("\n"), @"configmaps shop-orders/settings
namespaces -/shop-orders");
}
