//! What someone who runs the operator relies on: metrics as documented, and a log that can be changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::json;

use crate::support::{Operator, Stage, config_map, eventually, operator, quiet_cluster, repository, resource};

/// Each metric of an answer with the names of its labels.
fn metrics(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            types.insert(name, kind);
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let histogram = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| {
            let base = name.strip_suffix(suffix)?;
            (types.get(base) == Some(&"histogram")).then_some(base)
        });
        let labels = labels
            .trim_end_matches('}')
            .split(',')
            .filter_map(|label| label.split_once('='))
            .map(|(label, _)| label.to_owned())
            .filter(|label| label != "le");
        let known: &mut BTreeSet<String> = found.entry(histogram.unwrap_or(name).to_owned()).or_default();
        known.extend(labels);
    }
    for (name, kind) in types {
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        assert!(found.contains_key(&format!("{name}{suffix}")), "{name} has no series");
    }
    found
}

/// The table of docs/operations.md.
fn documented(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let words = |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    text.lines()
        .filter(|line| line.starts_with("| `landfall_"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            (words(cells[1]).pop_first().unwrap(), words(cells[2]))
        })
        .collect()
}

#[tokio::test]
async fn every_metric_is_documented_and_named_by_the_conventions() {
    let stage = Stage::new("metrics").await;
    stage
        .template("app", json!([resource("one", config_map("one", json!({"a": "b"})))]))
        .await;
    stage.component("metered", json!({"ref": "app"})).await;
    stage.ready("Component", "metered").await;
    let (_, text) = operator().await.get("/metrics").await.unwrap();
    let document = std::fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let (found, documented) = (metrics(&text), documented(&document));
    assert_eq!(found, documented);
    for name in found.keys() {
        assert!(name.starts_with("landfall_"), "{name}");
        for unit in ["_ms", "_millis", "_minutes", "_kb"] {
            assert!(!name.contains(unit), "{name}: base units");
        }
    }
    // An alert speaks of nothing else.
    let mut alerts = 0;
    for line in document.lines().filter(|line| line.contains("(#")) {
        let names = line.split(|letter: char| !(letter.is_ascii_lowercase() || letter == '_'));
        for name in names.filter(|name| name.starts_with("landfall_")) {
            assert!(found.contains_key(name), "{name} in {line}");
            alerts += 1;
        }
        let (_, rest) = line.split_once("(#").unwrap();
        let title = rest.split(')').next().unwrap().replace('-', " ");
        let has_part = document.to_lowercase().contains(&format!("\n### {title}\n"));
        assert!(has_part, "no part for {title}");
    }
    assert!(alerts >= 5, "{alerts}");
    assert!(text.contains("landfall_lease_held 1\n"), "it runs without election");
    let written = text
        .lines()
        .find(|line| line.starts_with("landfall_writes_total{write=\"create\"}"));
    assert!(written.is_some_and(|line| !line.ends_with(" 0")), "{written:?}");
}

/// What a request to `address` is answered: the code and the body.
fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn what_is_logged_can_be_changed_from_the_same_machine_alone() {
    let cluster = quiet_cluster().await;
    // It stands by: on this cluster no operator is to be at work.
    let stage = Stage::on(cluster, "log-filter").await;
    let namespace = stage.home.clone();
    stage
        .put(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "landfall-controller", "namespace": namespace},
            "spec": {"holderIdentity": "stranger", "leaseDurationSeconds": 3600},
        }))
        .await;
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let operator = Operator::start_with(cluster, |command| {
        command.env("LANDFALL_DEBUG_LISTEN", address.to_string());
        command.args(["--leader-elect", "--lease-namespace", &namespace]);
    })
    .await;
    let path = "/debug/log-filter";
    let first = ask(address, "GET", path, "");
    assert_eq!(first.0, 200);
    assert!(first.1.contains("kube_client=warn"), "{first:?}");
    let (code, said) = ask(address, "PUT", path, "landfall=nonsense=nonsense");
    assert_eq!(code, 400);
    assert!(said.contains("log filter \"landfall=nonsense=nonsense\""), "{said}");
    assert_eq!(ask(address, "PUT", path, "").0, 400);
    assert_eq!(
        ask(address, "GET", path, ""),
        first,
        "what cannot be read changes nothing"
    );

    let log = || std::fs::read_to_string(operator.log()).unwrap();
    assert!(!log().contains("TRACE"), "not asked for yet");
    assert_eq!(ask(address, "PUT", path, "trace").0, 200);
    eventually("more to be logged", async || log().contains("TRACE").then_some(())).await;
    assert_eq!(ask(address, "DELETE", path, ""), first);

    assert_eq!(
        operator.get(path).await.unwrap().0,
        404,
        "the port that others reach does not have it"
    );
    let refused = Operator::spawn(cluster, |command| {
        command.env("LANDFALL_DEBUG_LISTEN", "0.0.0.0:0");
    })
    .unwrap();
    eventually("an address that others reach to be refused", async || {
        let said = refused.log_tail();
        said.contains("it must be a loopback address").then_some(()).ok_or(said)
    })
    .await;
}
