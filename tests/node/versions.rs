//! From one version of the chart, or of the operator, to another and back, with live objects.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::installation::{CHART, Installation, RELEASE};
use crate::kubectl;
use crate::support::{Cluster, Mark, condition, is_current, is_write, lines, patience, repository, skipped};

/// The chart as it was before the last commit that changed it, if there is one and Git knows it.
fn previous_chart(directory: &Path) -> Option<PathBuf> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(repository())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        output.status.success().then_some(output.stdout)
    };
    let commits = String::from_utf8(git(&["log", "--format=%H", "--max-count=2", "--", CHART])?).ok()?;
    let archive = directory.join("previous.tar");
    fs::write(&archive, git(&["archive", commits.lines().nth(1)?, CHART])?).unwrap();
    let directory = directory.join("previous");
    fs::create_dir_all(&directory).unwrap();
    let tar = Command::new("tar")
        .arg("--extract")
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(&directory)
        .status();
    assert!(tar.unwrap().success());
    // The operator's image is the newest, and writes nothing while its definitions lack what it knows. From definitions to newer ones goes
    // the test that has an earlier image too.
    let definitions = Path::new(CHART).join("files/crds");
    for file in fs::read_dir(repository().join(&definitions)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), directory.join(&definitions).join(file.file_name())).unwrap();
    }
    Some(directory.join(CHART))
}

/// Upgrades the release, and applies one component after another until that is done; gives their names.
fn while_upgrading(installation: &Installation<'_>, settings: &[&str]) -> Vec<String> {
    let upgraded = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let making = scope.spawn(|| {
            let mut made = Vec::new();
            while !upgraded.load(Ordering::SeqCst) {
                let name = format!("flight-{}", made.len());
                let component = json!({
                    "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
                    "metadata": {"name": name, "namespace": "quickstart"},
                    "spec": {"type": "service", "lifecycle": "production", "owner": "team-a", "template": {"ref": "sandbox"}},
                });
                let file = installation.cluster().directory().join("flight.json");
                fs::write(&file, component.to_string()).unwrap();
                kubectl(&installation.stage, &["apply", "-f", file.to_str().unwrap()]);
                made.push(name);
            }
            made
        });
        installation.upgrade(settings);
        upgraded.store(true, Ordering::SeqCst);
        making.join().unwrap()
    })
}

/// Each of the components is Ready; none of their objects was made twice or deleted, whoever led when, and no spec was touched.
async fn were_made_once(installation: &Installation<'_>, names: &[String], mark: Mark) {
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        let is_ready = |object: &Value| condition(object, "Ready").status == "True";
        let component = installation
            .stage
            .becomes(("Component", "quickstart", name), is_ready)
            .await;
        assert_eq!(component["metadata"]["generation"], 1, "{component:#}");
    }
    let mut entries = installation.cluster().audit().since(mark).await;
    entries.retain(|entry| entry.user_agent.starts_with("landfall/") && is_write(entry));
    let deleted: Vec<_> = entries
        .iter()
        .filter(|entry| entry.verb.starts_with("delete"))
        .cloned()
        .collect();
    assert!(deleted.is_empty(), "{}", lines(&deleted));
    for name in names {
        let namespace = format!("sandbox-{name}");
        for (resource, object) in [
            ("namespaces", namespace.as_str()),
            ("resourcequotas", "limits"),
            ("configmaps", "about"),
        ] {
            let made = entries.iter().filter(|entry| {
                let place = entry.namespace == namespace || entry.name == namespace;
                place && entry.resource == resource && entry.name == object && entry.code == 201
            });
            assert_eq!(made.count(), 1, "{resource} {namespace}/{object}");
        }
    }
    println!(
        "figures: {} components were made while the release was upgraded",
        names.len()
    );
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn upgrade_rollback_and_uninstall_keep_the_kinds_the_entities_and_what_they_were_given() {
    let cluster = Cluster::bare_with_node("upgrades").await;
    let installation = Installation::prepare(&cluster).await;
    let stage = &installation.stage;
    if let Some(previous) = previous_chart(cluster.directory()) {
        installation.install(&previous, &[]);
    } else {
        skipped("an upgrade from the previous chart", "Git knows of none");
        installation.install_this(&[]);
    }
    installation.quickstart();
    let before = installation.provisioned().await;
    let names = |pods: &[Value]| {
        pods.iter()
            .map(|pod| pod["metadata"]["name"].to_string())
            .collect::<Vec<_>>()
    };
    let first = names(&installation.ready_pods(2).await);

    let mark = cluster.audit().mark().await;
    let made = while_upgrading(&installation, &["--set=log.filter=debug"]);
    let second = names(&installation.ready_pods(2).await);
    assert!(
        second.iter().all(|name| !first.contains(name)),
        "no pod was replaced: {second:?}"
    );
    assert_eq!(
        installation.provisioned().await,
        before,
        "an upgrade changes nothing of what was provisioned"
    );
    were_made_once(&installation, &made, mark).await;
    installation.helm(&["rollback", RELEASE, "1", "--wait", "--timeout=3m"]);
    installation.ready_pods(2).await;
    assert_eq!(installation.provisioned().await, before, "nor does a rollback");
    // The one that has come last leads and works.
    installation.repairs(patience() * 3).await;
    let before = installation.provisioned().await;

    installation.helm(&["uninstall", RELEASE, "--wait", "--timeout=1m"]);
    assert_eq!(installation.pods().await, [Value::Null; 0]);
    assert_eq!(
        installation.provisioned().await,
        before,
        "uninstalling keeps everything"
    );
    let kinds = ["get", "customresourcedefinitions", "--output=name"];
    let kept = kubectl(stage, &kinds)
        .lines()
        .filter(|line| line.ends_with(".catalog.landfall.dev"))
        .count();
    assert_eq!(kept, 10);
    // A deletion waits for an operator: nothing is forgotten, and nothing is deleted in the dark.
    kubectl(
        stage,
        &["delete", "component", "hello", "-n", "quickstart", "--wait=false"],
    );
    let now = installation.provisioned().await;
    let given = |all: &[Value]| {
        all.iter()
            .filter(|one| one["place"] != "hello")
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(given(&now), given(&before));

    // Installed again, it takes over what was kept, and does what was waited for.
    installation.install_this(&[]);
    stage.vanishes(("Component", "quickstart", "hello")).await;
    stage.vanishes(("Namespace", "", "sandbox-hello")).await;
}

/// Where `tests/node/previous` has put an earlier version.
const PREVIOUS: &str = "LANDFALL_PREVIOUS";

/// Each instance with its spec, and what it owns.
fn instances(installation: &Installation<'_>) -> Vec<Value> {
    let kinds = "components.catalog.landfall.dev,resources.catalog.landfall.dev,systems.catalog.landfall.dev";
    let listed = kubectl(&installation.stage, &["get", kinds, "-A", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let seen = listed["items"].as_array().unwrap().iter().map(|object| {
        let entries = object["status"]["inventory"].as_array().into_iter().flatten();
        let owned: Vec<Value> = entries
            .map(|entry| json!([entry["kind"], entry["namespace"], entry["name"], entry["uid"], entry["resource"]]))
            .collect();
        let metadata = &object["metadata"];
        json!({
            "kind": object["kind"], "name": metadata["name"], "uid": metadata["uid"], "generation": metadata["generation"],
            "finalizers": metadata["finalizers"], "spec": object["spec"], "owned": owned,
        })
    });
    seen.collect()
}

/// What was made is the same, down to when it was last written, nothing but status has been written since the mark, and all is Ready.
async fn nothing_has_moved(
    installation: &Installation<'_>,
    before: &(Vec<Value>, BTreeMap<String, Value>),
    mark: Mark,
) {
    let stage = &installation.stage;
    stage.looked_at_in("quickstart", "Component", "hello").await;
    for name in ["orders", "payments", "catalogue"] {
        let component = stage.looked_at_in("shop", "Component", name).await;
        assert_eq!(condition(&component, "Ready").status, "True", "{component:#}");
    }
    assert_eq!(instances(installation), before.0);
    assert_eq!(installation.made(), before.1);
    let mut entries = installation.cluster().audit().since(mark).await;
    entries.retain(|entry| entry.user_agent.starts_with("landfall/") && is_write(entry) && entry.is_counted());
    let statuses = entries.len();
    // A newer version may keep a revision of a template in a form of its own.
    entries.retain(|entry| !entry.resource.ends_with("/status") && entry.resource != "controllerrevisions.apps");
    assert!(entries.is_empty(), "{}", lines(&entries));
    println!("figures: {statuses} statuses and revisions were written, and nothing else");
}

/// `LANDFALL_PREVIOUS=$(tests/node/previous COMMIT) tests/node/run versions::`
#[tokio::test]
#[ignore = "needs a node: make test"]
async fn an_upgrade_from_an_earlier_operator_and_back_moves_nothing() {
    let Some(previous) = std::env::var_os(PREVIOUS).map(PathBuf::from) else {
        let why = format!("{PREVIOUS} names no earlier version; tests/node/previous COMMIT makes one");
        return skipped(
            "versions::an_upgrade_from_an_earlier_operator_and_back_moves_nothing",
            &why,
        );
    };
    let cluster = Cluster::bare_with_node("earlier").await;
    let program = repository().join("target/cluster/bin/ctr");
    let archive = previous.join("target/image-dev/landfall.tar");
    cluster.enter(&[
        program.to_str().unwrap(),
        "--address=/run/containerd/containerd.sock",
        "--namespace=k8s.io",
        "images",
        "import",
        archive.to_str().unwrap(),
    ]);
    let installation = Installation::prepare(&cluster).await;
    let stage = &installation.stage;
    installation.install(&previous.join(CHART), &["--set=image.tag=previous"]);
    for example in ["-f examples/quickstart.yaml", "-k examples/golden-path"] {
        let (flag, path) = example.split_once(' ').unwrap();
        kubectl(stage, &["apply", flag, previous.join(path).to_str().unwrap()]);
    }
    let ready = |object: &Value| is_current(object) && condition(object, "Ready").status == "True";
    stage.becomes(("Component", "quickstart", "hello"), ready).await;
    for name in ["orders", "payments", "catalogue"] {
        stage.becomes(("Component", "shop", name), ready).await;
    }
    let before = (instances(&installation), installation.made());
    let images = async || -> Vec<String> {
        let pods = installation.ready_pods(2).await;
        let image = |pod: &Value| pod["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
        pods.iter().map(image).collect()
    };
    assert!(images().await.iter().all(|image| image.ends_with(":previous")));

    let mark = cluster.audit().mark().await;
    let this = repository().join(CHART);
    installation.upgrade_to(&this, &["--reset-then-reuse-values", "--set=image.tag="]);
    assert!(images().await.iter().all(|image| !image.ends_with(":previous")));
    nothing_has_moved(&installation, &before, mark).await;
    installation.repairs(patience() * 3).await;

    let before = (instances(&installation), installation.made());
    let mark = cluster.audit().mark().await;
    installation.helm(&["rollback", RELEASE, "1", "--wait", "--timeout=3m"]);
    assert!(images().await.iter().all(|image| image.ends_with(":previous")));
    nothing_has_moved(&installation, &before, mark).await;
    installation.repairs(patience() * 3).await;
}
