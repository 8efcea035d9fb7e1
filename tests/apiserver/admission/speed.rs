//! How long a question at the door takes: `make bench` prints it.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::door::{Door, PARAMETERS, close, component, template, with_template};
use crate::support::{Case, eventually};

const QUESTIONS: usize = 500;

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1000.0;
    format!("p50 {:.1} ms, p99 {:.1} ms (of {})", at(50), at(99), times.len())
}

/// Dry runs of an instance, one after another.
async fn asked(case: &Case<'_>, parameters: &Value) -> Vec<Duration> {
    let api = case.own("Component");
    let dry = PatchParams::apply("tests").force().dry_run();
    let mut times = Vec::new();
    for number in 0..QUESTIONS {
        let name = format!("asked-{number}");
        let object = json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component", "metadata": {"name": name, "namespace": case.team},
            "spec": {"type": "service", "lifecycle": "production", "owner": "shop", "template": {"ref": format!("{}/web", case.platform), "parameters": parameters}},
        });
        let began = Instant::now();
        let answer = api.patch(&name, &dry, &Patch::Apply(&object)).await;
        times.push(began.elapsed());
        assert!(answer.is_ok() || parameters.get("host").is_some(), "{answer:?}");
    }
    times
}

#[tokio::test]
#[ignore = "measures; make bench runs it"]
async fn how_long_a_question_takes() {
    let case = Case::new().await;
    with_template(&case).await;
    let door = Door::open(&case, &[]).await;
    asked(&case, &json!({})).await;
    println!(
        "admission, a good instance: {}",
        percentiles(asked(&case, &json!({})).await)
    );
    println!(
        "admission, a refused instance: {}",
        percentiles(asked(&case, &json!({"host": 1})).await)
    );
    // From a template's new version to the first refusal by it.
    let mut times = Vec::new();
    for number in 0..20 {
        let rest = PARAMETERS.trim_start_matches('{');
        let newer = template(
            &format!("v{number}"),
            "{from: All}",
            &format!("{{n{number}: {{type: integer}}, {rest}"),
        );
        let wrong = component(
            "edited",
            &format!("{{ref: PLATFORM/web, parameters: {{n{number}: text}}}}"),
        );
        let object: Value = serde_saphyr::from_str(&case.named(&wrong)).unwrap();
        let dry = PatchParams::apply("tests").force().dry_run();
        let began = Instant::now();
        case.put(&newer).await;
        eventually("the new version to be gone by", async || {
            let told = case
                .own("Component")
                .patch("edited", &dry, &Patch::Apply(&object))
                .await;
            let told = told.err().map(|error| error.to_string()).unwrap_or_default();
            told.contains(&format!("n{number}: \"text\" is a string"))
                .then_some(())
                .ok_or(told)
        })
        .await;
        times.push(began.elapsed());
    }
    println!("from a template's edit to a verdict by it: {}", percentiles(times));
    let (_, metrics) = door.webhook.get("/metrics").await.unwrap();
    let value = |name: &str| {
        let begin = format!("{name}{{webhook=\"instances\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&begin));
        line.and_then(|number| number.parse::<f64>().ok()).unwrap_or_default()
    };
    let (sum, count) = (
        value("landfall_admission_duration_seconds_sum"),
        value("landfall_admission_duration_seconds_count"),
    );
    println!(
        "of which the webhook's own: {:.2} ms in the mean (of {count})",
        sum / count * 1000.0
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", door.webhook.id())).unwrap();
    println!(
        "its memory: {}",
        status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap_or_default()
    );
    close(&case).await;
    eventually("nobody to be asked", async || {
        let object = component("edited", "{ref: PLATFORM/web, parameters: {host: 1}}");
        let said = door.kubectl("apply --dry-run=server -f -", &object);
        said.done.then_some(()).ok_or(said.text)
    })
    .await;
    println!(
        "the same without a webhook: {}",
        percentiles(asked(&case, &json!({})).await)
    );
}
