//! What an instance asks for is not what its template offers.

use insta::assert_snapshot;

use super::{component, good_template, template};
use crate::support::Case;

/// An instance of the good template with these parameters is refused, and is Ready once they are right.
async fn refused(parameters: &str) -> String {
    let case = Case::new().await;
    case.put(&good_template()).await;
    case.ready("Template", "web").await;
    let before = case.before(&[]).await;
    case.put(&component(parameters)).await;
    let said = case
        .refused_untouched(&before, "Component", "orders", "InvalidParameters")
        .await;
    case.conforms().await;
    case.put(&component("{tier: gold}")).await;
    case.ready("Component", "orders").await;
    case.conforms().await;
    said
}

#[tokio::test]
async fn unknown() {
    assert_snapshot!(refused("{tier: gold, hots: example.com}").await, @"Stalled, InvalidParameters: parameters.hots: unknown parameter; did you mean host?");
}

#[tokio::test]
async fn of_the_wrong_type() {
    assert_snapshot!(refused("{tier: gold, host: 8080}").await, @"Stalled, InvalidParameters: parameters.host: 8080 is an integer, expected a string");
}

#[tokio::test]
async fn out_of_range() {
    assert_snapshot!(refused("{tier: gold, environments: {prod: {replicas: 99}}}").await, @"Stalled, InvalidParameters: parameters.environments.prod.replicas: 99 is more than the maximum of 10");
}

#[tokio::test]
async fn missing() {
    assert_snapshot!(refused("{host: example.com}").await, @"Stalled, InvalidParameters: parameters.tier: missing; expected one of gold, silver");
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    assert_snapshot!(refused("{tier: bronze, host: [a], hots: b, environments: {dev: {replicas: 0}}}").await, @r#"Stalled, InvalidParameters: parameters.environments.dev.replicas: 0 is less than the minimum of 1; parameters.host: found a list, expected a string; parameters.hots: unknown parameter; did you mean host?; parameters.tier: "bronze" is not allowed, expected one of gold, silver"#);
}

/// The list of faults ends with how many more there are, also where the first twenty are long.
#[tokio::test]
async fn many_faults_are_told_in_a_bounded_message() {
    let many = |length: usize| {
        let names: Vec<String> = (10..60)
            .map(|number| format!("p{number}{}: 1", "x".repeat(length)))
            .collect();
        format!("{{tier: gold, {}}}", names.join(", "))
    };
    let short = refused(&many(0)).await;
    assert_snapshot!(short, @"Stalled, InvalidParameters: parameters.p10: unknown parameter; the template has environments, host, tier; parameters.p11: unknown parameter; the template has environments, host, tier; parameters.p12: unknown parameter; the template has environments, host, tier; parameters.p13: unknown parameter; the template has environments, host, tier; parameters.p14: unknown parameter; the template has environments, host, tier; parameters.p15: unknown parameter; the template has environments, host, tier; parameters.p16: unknown parameter; the template has environments, host, tier; parameters.p17: unknown parameter; the template has environments, host, tier; parameters.p18: unknown parameter; the template has environments, host, tier; parameters.p19: unknown parameter; the template has environments, host, tier; parameters.p20: unknown parameter; the template has environments, host, tier; parameters.p21: unknown parameter; the template has environments, host, tier; parameters.p22: unknown parameter; the template has environments, host, tier; parameters.p23: unknown parameter; the template has environments, host, tier; parameters.p24: unknown parameter; the template has environments, host, tier; parameters.p25: unknown parameter; the template has environments, host, tier; parameters.p26: unknown parameter; the template has environments, host, tier; parameters.p27: unknown parameter; the template has environments, host, tier; parameters.p28: unknown parameter; the template has environments, host, tier; parameters.p29: unknown parameter; the template has environments, host, tier; and 30 more");
    let long = refused(&many(60)).await;
    assert!(long.len() <= 2100, "{} bytes", long.len());
    let listed = long.matches("unknown parameter").count();
    assert!(
        listed > 3 && long.ends_with(&format!("; and {} more", 50 - listed)),
        "{long}"
    );
}

/// A value that was not given, inside a text: the plan is good, the body is not.
#[tokio::test]
async fn expression_that_fails_at_render() {
    let case = Case::new().await;
    let bad = good_template().replace(
        r#"TIER: "${{ parameters.tier }}""#,
        r#"URL: "https://${{ parameters.host }}/""#,
    );
    assert_ne!(bad, good_template());
    case.put(&bad).await;
    case.ready("Template", "web").await;
    let before = case.before(&[]).await;
    case.put(&component("{tier: gold}")).await;
    let said = case
        .refused_untouched(&before, "Component", "orders", "RenderFailed")
        .await;
    assert_snapshot!(said, @r#"Stalled, RenderFailed: resource "settings", manifest.data.URL: parameters.host is not given; give it, or write parameters.host | default(…)"#);
    case.conforms().await;
    case.put(&component("{tier: gold, host: orders.example.com}")).await;
    case.ready("Component", "orders").await;
    case.conforms().await;
}

/// What is wrong with a value only its use shows.
#[tokio::test]
async fn expression_that_fails_on_a_value() {
    let case = Case::new().await;
    case.put(&template(
        r#"
  parameters: {properties: {ports: {}}}
  resources:
  - id: settings
    manifest:
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: settings}
      data: {PORT: "${{ parameters.ports.http + 1 }}"}
"#,
    ))
    .await;
    case.ready("Template", "web").await;
    let before = case.before(&[]).await;
    case.put(&component("{ports: {http: [80]}}")).await;
    let said = case
        .refused_untouched(&before, "Component", "orders", "RenderFailed")
        .await;
    assert_snapshot!(said, @r#"Stalled, RenderFailed: resource "settings", manifest.data.PORT: a list + an integer is not possible, expected two numbers"#);
    case.conforms().await;
    case.put(&component("{ports: {http: 80}}")).await;
    let refused = case.refused("Component", "orders", "Denied").await;
    assert_snapshot!(refused, @r#"Stalled, Denied: resource "settings": ConfigMap shop/settings: the apiserver does not take it: .data.PORT: expected string, got 81"#);
    case.conforms().await;
}
