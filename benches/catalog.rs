//! What the index of a large catalog costs: building it, its memory, one change, and what stands around an entity.
//!
//! `cargo bench --bench catalog` prints it for 20,000 and 100,000 entities; nothing is sent anywhere.

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a bench that cannot go on may end, and its figures are rounded"
)]

use std::time::{Duration, Instant};

use kube::api::DynamicObject;
use landfall::catalog::fields;
use landfall::catalog::index::{Aspects, Index, Told};
use landfall::catalog::relations::Role;
use landfall::catalog::{integrity, summary};
use landfall::controllers::packed::Packed;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Catalog = Index<(String, String), Packed>;

const ROUNDS: usize = 300;

/// One entity of a company's catalog: for 100 of them 8 components and their like in 40 %, APIs 20 %, users 20 %, resources
/// 14 %, systems 4 %, groups 1.5 %, domains 0.5 %; each group owns, each system holds, each API is called a few times.
fn entity(at: usize, all: usize) -> (&'static str, Value) {
    // The numbers that the match below gives to each kind.
    let (group, system) = (at % (all / 200 * 3), at % (all / 200 * 8));
    let team = format!("group:default/group-{}", group / 3 * 200 + 196 + group % 3);
    let system = format!("system:default/system-{}", system / 8 * 200 + 188 + system % 8);
    let other = |kind: &str, step: usize, first: usize, many: usize| {
        let block = (at * 7 + step * 13) % all / 200 * 200;
        format!("{kind}:default/{kind}-{}", block + first + at % many)
    };
    match at % 200 {
        0..80 => (
            "Component",
            json!({
                "type": "service", "lifecycle": "production", "owner": team, "system": system, "description": "Does one thing, and does it well, for those who need it.",
                "tags": ["java", "event-driven"], "links": [{"url": format!("https://grafana.example.com/d/{at}"), "title": "Dashboard"}],
                "providesApis": [other("api", 0, 80, 40)], "consumesApis": [other("api", 3, 80, 40), other("api", 5, 80, 40)],
                "dependsOn": [other("resource", 1, 160, 28), other("component", 2, 0, 80)],
            }),
        ),
        80..120 => (
            "API",
            json!({"type": "openapi", "lifecycle": "production", "owner": team, "system": system}),
        ),
        120..160 => (
            "User",
            json!({"profile": {"displayName": format!("Person {at}"), "email": format!("p{at}@example.com")}, "memberOf": [team, "group:default/everyone"]}),
        ),
        160..188 => ("Resource", json!({"type": "database", "owner": team, "system": system})),
        188..196 => (
            "System",
            json!({"owner": team, "domain": format!("domain-{}", at / 200 * 200 + 199)}),
        ),
        196..199 => (
            "Group",
            json!({"type": "team", "parent": "everyone", "subjects": [{"kind": "Group", "name": format!("oidc:{team}")}]}),
        ),
        _ => ("Domain", json!({"owner": team})),
    }
}

fn told(at: usize, all: usize) -> Told<(String, String), Packed> {
    let (kind, spec) = entity(at, all);
    let name = format!("{}-{at}", kind.to_lowercase());
    let written = fields::written(kind, "default", &spec);
    Told {
        key: (kind.to_owned(), name.clone()),
        uid: format!("{at:036}").into(),
        created: 0,
        reference: fields::reference(kind, "default", &name, &spec),
        aliases: Vec::new(),
        declared: written
            .into_iter()
            .filter_map(|one| Some((one.role, one.target.ok()?)))
            .collect(),
        aspects: Aspects {
            ready: true,
            revision: None,
            ..Aspects::default()
        },
        // As the operator keeps it.
        payload: Packed::of(&object(&name, &spec)),
    }
}

/// The group that every user is in.
fn everyone(all: usize) -> Told<(String, String), Packed> {
    let mut told = told(196, all);
    "everyone".clone_into(&mut told.reference.name);
    "everyone".clone_into(&mut told.key.1);
    told.declared.clear();
    told
}

fn object(name: &str, spec: &Value) -> DynamicObject {
    let conditions = json!([
        {"type": "Ready", "status": "True", "reason": "Accepted", "message": "recorded in the catalog", "observedGeneration": 1, "lastTransitionTime": "2026-11-22T10:00:00Z"},
        {"type": "ReferencesResolved", "status": "True", "reason": "Resolved", "message": "every ref in the spec resolves", "observedGeneration": 1, "lastTransitionTime": "2026-11-22T10:00:00Z"},
    ]);
    let relations = json!([{"type": "ownedBy", "count": 1, "sample": ["group:default/team-1"]}, {"type": "partOf", "count": 1, "sample": ["system:default/system-1"]}]);
    let metadata = json!({"name": name, "namespace": "default", "uid": "0".repeat(36), "resourceVersion": "1234567", "generation": 1, "creationTimestamp": "2026-11-22T10:00:00Z", "labels": {"team": "shop"}});
    let whole = json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec,
        "status": {"observedGeneration": 1, "conditions": conditions, "relations": relations},
    });
    serde_json::from_value(whole).expect("an object")
}

/// What the process holds in memory, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok())
        .unwrap_or(0)
        * 1024
}

fn main() {
    for all in [20_000, 100_000] {
        println!("{all} entities");
        let before = resident();
        let mut index = Catalog::default();
        let began = Instant::now();
        let mut spent = Duration::ZERO;
        for told in (0..all).map(|at| told(at, all)).chain([everyone(all)]) {
            let put = Instant::now();
            index.put(told);
            spent += put.elapsed();
        }
        println!(
            "  index built in {spent:?}, with making the entities {:?}",
            began.elapsed()
        );
        println!(
            "  memory {:.1} MB, {} bytes an entity",
            (resident() - before) as f64 / 1e6,
            (resident() - before) / all
        );
        one_change(&mut index, all);
        questions(&index, all);
        let began = Instant::now();
        let mut told = 0;
        for at in 0..all {
            let (kind, spec) = entity(at, all);
            let key = (kind.to_owned(), format!("{}-{at}", kind.to_lowercase()));
            let verdict = integrity::verdict(&index, &key, &fields::written(kind, "default", &spec), &[]);
            told += verdict.message.len() + summary::relations(&index, &key).len();
        }
        println!("  what every status says: {:?} ({told})", began.elapsed());
    }
}

fn one_change(index: &mut Catalog, all: usize) {
    let mut step = 0;
    report("a component goes and comes again", || {
        step = (step + 200) % all;
        let told = told(step, all);
        index.take(&told.key);
        index.put(told);
    });
    report("a component's readiness turns", || {
        step = (step + 200) % all;
        let mut told = told(step, all);
        told.aspects.ready = !told.aspects.ready;
        index.put(told);
    });
    report("the group that most name goes and comes again", || {
        let told = everyone(all);
        index.take(&told.key);
        index.put(told);
    });
}

fn questions(index: &Catalog, all: usize) {
    let mut step = 0;
    report("the relations of one component", || {
        step = (step + 200) % all;
        let key = ("Component".to_owned(), format!("component-{step}"));
        assert!(!summary::relations(index, &key).is_empty());
    });
    let everyone = ("Group".to_owned(), "everyone".to_owned());
    let members = index.related(&everyone, Role::HasMember).count();
    report(&format!("the relations of a group of {members}"), || {
        assert!(!summary::relations(index, &everyone).is_empty());
    });
    let status = serde_json::to_vec(&summary::relations(index, &everyone)).expect("JSON");
    println!("  they take {} bytes in its status", status.len());
}

fn report(what: &str, mut work: impl FnMut()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed()
        })
        .collect();
    times.sort();
    let median = times.get(ROUNDS / 2).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    println!("  {what}: median {median:?}, worst of {ROUNDS} {worst:?}");
}
