//! The template that an instance names: not there, not open, not to be written like this.

use insta::assert_snapshot;

use super::{GOOD, component, good_template, refused_template, template_with};
use crate::support::Case;

#[tokio::test]
async fn unknown() {
    let case = Case::new().await;
    let before = case.before(&[]).await;
    case.put(&component("{tier: gold}")).await;
    let said = case
        .refused_untouched(&before, "Component", "orders", "TemplateNotFound")
        .await;
    assert_snapshot!(said, @"Reconciling, TemplateNotFound: spec.template.ref: template:platform/web does not exist; create it, or correct the ref. Objects that exist already are kept as they are");
    case.conforms().await;
    case.put(&good_template()).await;
    case.ready("Component", "orders").await;
    case.conforms().await;
}

#[tokio::test]
async fn not_open_to_this_namespace() {
    let case = Case::new().await;
    let open = "{from: All}";
    case.put(&good_template().replace(open, "{from: Same}")).await;
    case.ready("Template", "web").await;
    let before = case.before(&[]).await;
    case.put(&component("{tier: gold}")).await;
    let said = case
        .refused_untouched(&before, "Component", "orders", "NotAllowed")
        .await;
    assert_snapshot!(said, @"Stalled, NotAllowed: spec.template.ref: template:platform/web is not open to namespace shop: it is open to its own namespace only; ask its owner to widen its spec.allowedNamespaces, for example to {from: All}, or use a template that is open");
    let selector = "{from: Selector, selector: {matchLabels: {landfall.test/team: TEAM}}}";
    case.put(&good_template().replace(open, selector)).await;
    case.ready("Template", "web").await;
    // It was NotAllowed before, too.
    case.mark_processed("Component", "orders", "after-the-selector").await;
    let said = case
        .refused_untouched(&before, "Component", "orders", "NotAllowed")
        .await;
    assert_snapshot!(said, @"Stalled, NotAllowed: spec.template.ref: template:platform/web is not open to namespace shop: its selector does not match that namespace's labels; ask its owner to widen its spec.allowedNamespaces, for example to {from: All}, or use a template that is open");
    case.conforms().await;
    // The namespace is given the label that the template asks for, and this alone makes it Ready.
    case.put("{apiVersion: v1, kind: Namespace, metadata: {name: TEAM, labels: {landfall.test/team: TEAM}}}")
        .await;
    case.ready("Component", "orders").await;
    // Taken from under a running instance, its objects stay and it says so.
    case.put(&good_template().replace(open, "{from: Same}")).await;
    case.refused("Component", "orders", "NotAllowed").await;
    let settings = case
        .api("v1", "ConfigMap", &case.named("TEAM-orders"))
        .get("settings")
        .await;
    assert!(settings.unwrap().metadata.deletion_timestamp.is_none());
    case.conforms().await;
}

#[tokio::test]
async fn malformed_refs_are_refused_at_once() {
    let case = Case::new().await;
    let with = |reference: &str| component("{}").replace("ref: PLATFORM/web", &format!("ref: {reference}"));
    assert_snapshot!(case.refused_at_once(&with("'a/b/c'")).await, @r#"Component.catalog.landfall.dev "orders" is invalid: spec.template.ref: Invalid value: "a/b/c": template a/b/c is not an entity ref; write [kind:][namespace/]name, for example platform/web-service"#);
    assert_snapshot!(case.refused_at_once(&with("'component:platform/web'")).await, @r#"Component.catalog.landfall.dev "orders" is invalid: spec.template.ref: Invalid value: "component:platform/web": template component:platform/web is of kind component, expected template; write [kind:][namespace/]name, for example platform/web-service"#);
    assert_snapshot!(case.refused_at_once(&with("''")).await, @r#"Component.catalog.landfall.dev "orders" is invalid: spec.template.ref: Invalid value: "": template "" is not an entity ref; write [kind:][namespace/]name, for example platform/web-service"#);
    let owner = component("{}").replace("group:default/shop", "'?'");
    assert_snapshot!(case.refused_at_once(&owner).await, @r#"Component.catalog.landfall.dev "orders" is invalid: spec.owner: Invalid value: "?": owner ? is not an entity ref; write [kind:][namespace/]name, for example group:default/team-a"#);
}

#[tokio::test]
async fn without_an_account() {
    let case = Case::new().await;
    let none = good_template().replace("  serviceAccountName: golden-path\n", "");
    assert_snapshot!(case.refused_at_once(&none).await, @r#"Template.catalog.landfall.dev "web" is invalid: spec.serviceAccountName: Required value: serviceAccountName is missing: objects are written as a service account of this namespace; write for example serviceAccountName: golden-path"#);
    let foreign = good_template().replace("golden-path", "kube-system/admin");
    assert_snapshot!(case.refused_at_once(&foreign).await, @r#"Template.catalog.landfall.dev "web" is invalid: spec.serviceAccountName: Invalid value: "kube-system/admin": serviceAccountName kube-system/admin is not the name of a service account; write a name alone, of an account in this namespace, for example golden-path"#);
}

/// A bad edit leaves the last good content in force, and says so at the template alone.
#[tokio::test]
async fn spoilt_by_an_edit() {
    let case = Case::new().await;
    case.put(&template_with(GOOD)).await;
    case.put(&component("{}")).await;
    case.ready("Component", "orders").await;
    let before = case.before(&["TEAM-orders"]).await;
    case.put(&template_with(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: '${{ paramters.value }}'}}",
    ))
    .await;
    let said = case.refused("Template", "web", "InvalidTemplate").await;
    assert_snapshot!(said, @r#"Stalled, InvalidTemplate: resource "thing", manifest.metadata.name: `paramters` is not known; did you mean parameters?; expected one of parameters, values, entity, system, owner, template, each, resources, references, self; instances keep the last version that compiled"#);
    case.mark_processed("Component", "orders", "after-the-edit").await;
    case.ready("Component", "orders").await;
    case.assert_unchanged(&before).await;
    case.conforms().await;
    case.put(&template_with(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}",
    ))
    .await;
    case.ready("Template", "web").await;
    case.ready("Component", "orders").await;
}

#[tokio::test]
async fn with_every_fault_listed() {
    let bad = "{apiVersion: v1, kind: ConfigMap, metadata: {name: '${{ nobody.name }}', uid: x}, data: {a: '${{ 1 + }}', b: '${{ resources.nothing.metadata.name }}'}}";
    assert_snapshot!(refused_template(bad, "InvalidTemplate").await, @r#"Stalled, InvalidTemplate: resource "thing", manifest.metadata.uid: uid is given by the apiserver; remove it; resource "thing", manifest.data.a: `1 +` is not an expression: unexpected end of input, expected expression; resource "thing", manifest.data.b: resources.nothing does not exist: no resource has this id; did you mean thing?; resource "thing", manifest.metadata.name: `nobody` is not known; expected one of parameters, values, entity, system, owner, template, each, resources, references, self"#);
}
