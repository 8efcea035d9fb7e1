//! The whole operator over a large catalog, on a real apiserver. Ignored by `make test`, since filling it takes minutes:
//! `make bench` runs it, with `ENTITIES=20000`, and prints what it measured.

use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use serde_json::{Value, json};

use crate::support::{Cluster, Entry, OPERATOR_AGENT, Operator, Stage, condition, counted, is_write, lines};

const KINDS: [&str; 7] = ["Component", "API", "Resource", "System", "Domain", "Group", "User"];
/// How many requests are under way at a time.
const BREADTH: usize = 64;
/// How long the operator may take to say something of everything.
const PATIENCE: Duration = Duration::from_mins(30);

/// The entities of a company, in the proportions of `benches/catalog.rs`.
fn entity(at: usize, all: usize) -> (&'static str, Value) {
    let team = format!("team-{}", at % (all / 66).max(1));
    let system = format!("system-{}", at % (all / 25).max(1));
    match at % 200 {
        0..80 => (
            "Component",
            json!({
                "type": "service", "lifecycle": "production", "owner": team, "system": system, "tags": ["java"],
                "description": "Does one thing, and does it well, for those who need it.",
                "links": [{"url": format!("https://grafana.example.com/d/{at}"), "title": "Dashboard"}],
                "consumesApis": [format!("api-{}", at / 200 * 200 + 80)], "dependsOn": [format!("resource:resource-{}", at / 200 * 200 + 160)],
            }),
        ),
        80..120 => (
            "API",
            json!({"type": "openapi", "lifecycle": "production", "owner": team, "system": system, "definition": "openapi: 3.1.0\n".repeat(200)}),
        ),
        120..160 => (
            "User",
            json!({"profile": {"displayName": format!("Person {at}")}, "memberOf": [team, "everyone"]}),
        ),
        160..188 => ("Resource", json!({"type": "database", "owner": team, "system": system})),
        188..196 => ("System", json!({"owner": team})),
        196..199 => ("Group", json!({"type": "team", "parent": "everyone"})),
        _ => ("Domain", json!({"owner": team})),
    }
}

async fn fill(stage: &Stage<'_>, all: usize) {
    let objects = (0..all).map(|at| {
        let (kind, spec) = entity(at, all);
        stage.catalog(kind, &format!("{}-{at}", kind.to_lowercase()), spec)
    });
    let teams = (0..(all / 66).max(1)).map(|at| stage.catalog("Group", &format!("team-{at}"), json!({"type": "team"})));
    let systems =
        (0..(all / 25).max(1)).map(|at| stage.catalog("System", &format!("system-{at}"), json!({"owner": "everyone"})));
    let everyone = stage.catalog("Group", "everyone", json!({"type": "root"}));
    let objects: Vec<Value> = objects.chain(teams).chain(systems).chain([everyone]).collect();
    futures::stream::iter(objects)
        .for_each_concurrent(BREADTH, async |object| {
            let api = stage.api(object["kind"].as_str().unwrap(), &stage.home);
            let typed: DynamicObject = serde_json::from_value(object).unwrap();
            match api.create(&PostParams::default(), &typed).await {
                Ok(_) => {}
                // A number may be that of a team or a system already.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("{error}"),
            }
        })
        .await;
}

/// How many entities there are, and how many whose status is about an older spec or says that they are not Ready.
async fn open(stage: &Stage<'_>) -> (usize, usize) {
    let (mut all, mut open) = (0, 0);
    for kind in KINDS {
        let api: Api<DynamicObject> = stage.api(kind, &stage.home);
        let mut next = Some(String::new());
        while let Some(token) = next {
            let page = match api
                .list(&ListParams::default().limit(500).continue_token(&token))
                .await
            {
                Ok(page) => page,
                // Its cache is behind what was written: then not all is right yet.
                Err(kube::Error::Api(status)) if [429, 504].contains(&status.code) => return (all, open.max(1)),
                Err(error) => panic!("{error}"),
            };
            all += page.items.len();
            open += page
                .items
                .iter()
                .filter(|object| {
                    let object = serde_json::to_value(object).unwrap();
                    condition(&object, "Ready").status != "True"
                        || condition(&object, "ReferencesResolved").status != "True"
                })
                .count();
            next = page.metadata.continue_.filter(|token| !token.is_empty());
        }
    }
    (all, open)
}

/// A figure of the process, in megabytes.
fn memory(operator: &Operator, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)).unwrap();
    line.trim_matches([':', ' ', '\t'])
        .trim_end_matches(" kB")
        .trim()
        .parse::<u64>()
        .unwrap()
        / 1000
}

async fn writes(stage: &Stage<'_>, mark: crate::support::Mark) -> Vec<Entry> {
    let mut asked = counted(stage.cluster.audit().since(mark).await, OPERATOR_AGENT);
    asked.retain(|entry| is_write(entry) && entry.namespace == stage.home);
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; make bench-catalog"]
async fn a_large_catalog() {
    let wanted: usize = std::env::var("ENTITIES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_000);
    let cluster = Cluster::own("scale").await;
    let stage = Stage::on(&cluster, "scale").await;
    let began = Instant::now();
    fill(&stage, wanted).await;
    println!("filled in {:?}", began.elapsed());

    let mark = cluster.audit().mark().await;
    let began = Instant::now();
    let operator = Operator::start(&cluster).await;
    println!(
        "first start: all seen after {:?}, {} MB",
        began.elapsed(),
        memory(&operator, "VmRSS")
    );
    let all = loop {
        let (all, open) = open(&stage).await;
        if open == 0 {
            break all;
        }
        assert!(began.elapsed() < PATIENCE, "{open} of {all} are not right yet");
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    println!("every status of {all} entities right after {:?}", began.elapsed());
    println!("{} writes for {all} entities", writes(&stage, mark).await.len());
    // The last counts are written within a second or two.
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!(
        "memory {} MB, at most {} MB",
        memory(&operator, "VmRSS"),
        memory(&operator, "VmHWM")
    );
    let mark = cluster.audit().mark().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let settled = writes(&stage, mark).await;
    assert!(
        settled.is_empty(),
        "written though all is settled:\n{}",
        lines(&settled)
    );

    // One change, and who is written for it.
    let place = ("Group", stage.home.as_str(), "everyone");
    let members = stage.get(place).await.unwrap()["status"]["members"].as_i64().unwrap();
    let mark = cluster.audit().mark().await;
    let began = Instant::now();
    stage.delete(("User", &stage.home, "user-120")).await;
    stage
        .becomes(place, |object| object["status"]["members"] == members - 1)
        .await;
    println!("one member less after {:?}", began.elapsed());
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!("which took {} writes", writes(&stage, mark).await.len());

    assert!(operator.stop().await.success());
    let mark = cluster.audit().mark().await;
    let began = Instant::now();
    let operator = Operator::start(&cluster).await;
    println!(
        "start over a settled catalog: all seen after {:?}, {} MB",
        began.elapsed(),
        memory(&operator, "VmRSS")
    );
    tokio::time::sleep(Duration::from_secs(20)).await;
    println!(
        "memory {} MB, at most {} MB",
        memory(&operator, "VmRSS"),
        memory(&operator, "VmHWM")
    );
    let asked = writes(&stage, mark).await;
    assert!(asked.is_empty(), "written at a restart:\n{}", lines(&asked));
}
