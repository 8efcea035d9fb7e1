//! What the files of a plan are read as, and what is planned of what is let go or held up.

use std::fs;

use landfall::catalog::yaml::{Limits, Reader, documents};
use serde_json::Value;

use super::{case, component, plan};
use crate::support::Case;

/// Texts without quotes that readers of YAML of one version or another have for something else, or that look as if.
const PLAIN: &str = "yes Yes YES yEs no No NO on On off OFF y Y n N true True false null Null ~ 012 -012 +012 0o17 0O17 0x1F 0X1f -0x1F 0b11 -0b11 0b2 08 09 \
    0644 1_000 -1_000 1__0 _1 0_ 1. .5 -.5 +1 +.5 1e3 1E+3 1_0.5 1e_3 12:30 12:30:45 190:20:30.15 2026-11-22 2026-11-22T10:00:00Z 0 -0 00 007 0x 0o8 0b 1.0 \
    123abc 1-2 +- 9223372036854775807 9223372036854775808 18446744073709551615 0xFFFFFFFFFFFFFFFF 685_230.15 1.2.3 e3 -e3 0.0 .e1";

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

#[tokio::test]
async fn files_are_read_as_kubectl_reads_them() {
    let case = Case::new().await;
    let fields = PLAIN.split_whitespace().enumerate();
    let fields: Vec<String> = fields.map(|(place, text)| format!("   k{place}: {text}\n")).collect();
    let keys = "   y: 1\n   0x10: 1\n   defaults: &defaults {a: 1, b: 2}\n   merged: {<<: *defaults, b: 3}\n";
    let text = format!(
        "apiVersion: catalog.landfall.dev/v1alpha1\nkind: Component\nmetadata: {{name: one, namespace: {}}}\nspec:\n type: service\n lifecycle: production\n owner: a\n template:\n  ref: b\n  parameters:\n{}",
        case.team,
        fields.concat() + keys
    );
    let file = case.cluster.directory().join("plain.yaml");
    fs::write(&file, &text).unwrap();
    let output = case.cluster.kubectl(&[
        "create",
        "--dry-run=client",
        "--validate=false",
        "-o",
        "json",
        "-f",
        file.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{output:?}");
    let sent: Value = serde_json::from_slice(&output.stdout).unwrap();
    let limits = Limits {
        merge: true,
        reader: Reader::Kubectl,
        ..Limits::default()
    };
    let read = documents(&text, limits).next().unwrap().unwrap().root.value();
    let (sent, read) = (
        &sent["spec"]["template"]["parameters"],
        &read["spec"]["template"]["parameters"],
    );
    for (place, text) in PLAIN.split_whitespace().enumerate() {
        let key = format!("k{place}");
        let (read, sent) = (&read[&key], &sent[&key]);
        // What is more than 63 bits is sent as the nearest number.
        if sent.as_f64().is_some_and(|number| number >= TWO_TO_63) {
            assert_eq!(read.as_f64(), sent.as_f64(), "{text}");
            continue;
        }
        assert_eq!(read, sent, "{text}");
    }
    for key in ["true", "16", "defaults", "merged"] {
        assert_eq!(read[key], sent[key], "{key}");
    }
    // And so it is planned.
    let said = plan(
        &case,
        "{apiVersion: catalog.landfall.dev/v1alpha1, kind: System, metadata: {name: shop, namespace: TEAM}, spec: {owner: shop, title: no}}",
        &["--offline"],
    );
    assert_eq!(said.code, 1, "{}", said.text);
    said.has("false");
}

#[tokio::test]
async fn what_is_let_go_is_shown_as_kept_and_then_nothing_is_to_do() {
    let case = case().await;
    case.put(&component("orders", "")).await;
    case.ready("Component", "orders").await;
    let released = component("orders", "").replace(
        "metadata: {name: orders, namespace: TEAM",
        "metadata: {annotations: {landfall.dev/release: \"yes\"}, name: orders, namespace: TEAM",
    );
    assert!(released.contains("landfall.dev/release"), "{released}");
    let said = plan(&case, &released, &[]);
    assert_eq!(said.code, 2, "{}", said.text);
    said.has("= Namespace shop-orders");
    said.has("it stays, without Landfall's marks");
    said.has(", 0 waiting, ");
    case.put(&released).await;
    case.refused("Component", "orders", "Released").await;
    let settled = plan(&case, &released, &[]);
    assert_eq!(settled.code, 0, "{}", settled.text);
}

#[tokio::test]
async fn what_lies_in_a_namespace_of_others_is_not_shown_as_made_and_json_says_all_that_was_not_checked() {
    let case = case().await;
    let new = plan(&case, &component("orders", ""), &["-o", "json"]);
    let report: Value = serde_json::from_str(&new.text).unwrap();
    let unchecked = report["unchecked"].as_array().unwrap();
    let said = |line: &Value| {
        line.as_str()
            .unwrap()
            .contains("its namespace shop-orders would be made first")
    };
    assert!(unchecked.iter().any(said), "{unchecked:#?}");

    case.put("{apiVersion: v1, kind: Namespace, metadata: {name: TEAM-orders}}")
        .await;
    let said = plan(&case, &component("orders", ""), &[]);
    assert_eq!(said.code, 1, "{}", said.text);
    said.has("! Namespace shop-orders");
    said.has("WaitingForDependency: waiting for Namespace shop-orders to be ready");
    said.has_not("+ ResourceQuota");
    case.put(&component("orders", "")).await;
    case.refused("Component", "orders", "NameConflict").await;
    let quotas = case.cluster.kubectl(&[
        "get",
        "resourcequotas",
        "-n",
        &format!("{}-orders", case.team),
        "-o",
        "name",
    ]);
    assert_eq!(quotas.stdout, b"", "{quotas:?}");
}
