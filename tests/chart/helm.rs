//! The real Helm, and what it makes of the chart.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::{built, repository};

/// The release and the namespace that documents speak of.
pub const RELEASE: &str = "landfall";
pub const NAMESPACE: &str = "landfall-system";

/// The chart.
pub fn chart() -> PathBuf {
    repository().join("charts/landfall")
}

/// Helm, built if need be; the first to ask waits for it.
pub fn helm_4() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let script = repository().join("tests/cluster/cluster");
        let built = Command::new(&script)
            .arg("helm")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(
            built.success(),
            "{} helm failed: see what it wrote above",
            script.display()
        );
        repository().join("target/cluster/bin/helm")
    })
}

/// Helm 3, where `tests/cluster/cluster helm3` has built it.
pub fn helm_3() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| built("helm3")).as_deref()
}

/// Runs a Helm on the cluster of a kubeconfig, or on none.
pub fn helm(program: &Path, kubeconfig: Option<&Path>, arguments: &[&str]) -> Output {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm");
    let mut command = Command::new(program);
    command.args(arguments).env("HOME", &home).current_dir(repository());
    for place in ["CACHE", "CONFIG", "DATA"] {
        command.env(format!("HELM_{place}_HOME"), home.join(place.to_lowercase()));
    }
    command.env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/dev/null")));
    command.output().unwrap()
}

/// What it wrote, of both kinds.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stderr) + &text(&output.stdout)
}

/// Tries to render the chart.
pub fn try_template(more: &[&str]) -> Result<String, String> {
    let chart = chart();
    let mut arguments = vec!["template", RELEASE, chart.to_str().unwrap(), "--namespace", NAMESPACE];
    arguments.extend(more);
    let output = helm(helm_4(), None, &arguments);
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(said(&output))
    }
}

/// The chart rendered with further arguments, such as `["--set", "crds.enabled=false"]`.
pub fn template(more: &[&str]) -> String {
    try_template(more).unwrap_or_else(|error| panic!("helm template {more:?}: {error}"))
}

/// The objects of a rendered chart, in its order.
pub fn objects(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = text
        .split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}:\n{document}")))
        .collect();
    documents.into_iter().filter(Value::is_object).collect()
}

/// The chart's objects with these arguments.
pub fn rendered(more: &[&str]) -> Vec<Value> {
    objects(&template(more))
}

/// The object of a kind whose name ends in `name`.
pub fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    let mut found = objects
        .iter()
        .filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    let first = found.next();
    assert!(found.next().is_none(), "two of {kind} {name}");
    first
}

/// Which object it is, for messages.
pub fn place(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!(
        "{} {}/{}",
        text("/kind"),
        text("/metadata/namespace"),
        text("/metadata/name")
    )
}

/// All that can be switched on.
pub const ALL: [&str; 12] = [
    "--set",
    "goldenPath.enabled=true,goldenPath.tekton=true",
    "--set-json",
    r#"accounts=[{"namespace":"landfall-system","name":"other"}]"#,
    "--set",
    "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,argocd.healthScripts=true",
    "--set-json",
    r#"networkPolicy.metricsFrom=[{"namespaceSelector":{}}]"#,
    "--set-json",
    r#"networkPolicy.apiserverCidrs=["10.0.0.1/32"]"#,
    "--set",
    "webhook.enabled=true",
];
