//! How long it takes to compile the golden path's template, to plan one instance of it and to render every object.
//!
//! `cargo bench --bench plan` prints the median of each with the quartiles beside it; nothing is sent anywhere.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on may end"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall::api::template::TemplateSpec;
use landfall::template::compile::{Policy, compile};
use landfall::template::content::Content;
use landfall::template::kinds::Assumed;
use landfall::template::plan::{Live, PlanRequest, plan};
use serde_json::{Value, json};

const ROUNDS: usize = 300;

fn main() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/golden-path/template.yaml");
    let text = std::fs::read_to_string(&file).expect("the golden path is in the repository");
    let template: Value = serde_saphyr::from_str(&text).expect("the golden path is YAML");
    let spec: TemplateSpec = serde_json::from_value(template["spec"].clone()).expect("the golden path is a Template");
    let content = Content::of(&spec);
    let policy = Policy::default();
    let base = Arc::new(compile(&content, "1", &Assumed, &policy).expect("the golden path compiles"));
    report("compile", || {
        compile(&content, "1", &Assumed, &policy).expect("the golden path compiles");
    });
    let entity = json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
        "metadata": {"name": "orders", "namespace": "shop", "uid": "0", "labels": {}, "annotations": {}}, "spec": {},
    });
    let owner = json!({"kind": "group", "namespace": "shop", "name": "checkout", "ref": "group:shop/checkout", "exists": true, "spec": {}});
    let parameters =
        json!({"repository": "acme/orders", "environments": {"dev": {}, "staging": {}, "prod": {"replicas": 3}}});
    let parameters = parameters.as_object().expect("an object");
    let one = || {
        plan(PlanRequest {
            entity: &entity,
            owner: &owner,
            system: &Value::Null,
            template_name: "web-service",
            template_namespace: "platform",
            parameters,
            base: base.clone(),
            environments: BTreeMap::new(),
            newest: None,
            system_namespaces: BTreeSet::new(),
            target_namespaces: BTreeSet::new(),
            kinds: &Assumed,
            policy: &policy,
            references: BTreeMap::new(),
        })
        .expect("the golden path can be planned")
    };
    report("plan", || {
        one();
    });
    let planned = one();
    report(&format!("render {} objects", planned.objects.len()), || {
        for place in 0..planned.objects.len() {
            planned.render(place, &Live::new()).expect("the golden path renders");
        }
    });
}

fn report(what: &str, mut work: impl FnMut()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "{what}: median {:?}, quartiles {:?} to {:?}",
        times[ROUNDS / 2],
        times[ROUNDS / 4],
        times[ROUNDS * 3 / 4]
    );
}
