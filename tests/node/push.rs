//! From a push to a pipeline's run: Git, a real Gitea, Tekton's Triggers and Pipelines, the golden path, and pods of the node.
//! `tests/cluster/cluster gitea` builds Gitea; where that was not done, this is left out, and says so.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::gitea::{Gitea, URL};
use crate::kubectl;
use crate::peer::Git;
use crate::support::{Operator, Stage, built, condition, eventually, repository, skipped};
use crate::tekton::{install_triggers, last_run, with_pipelines};

/// What of the golden path is another company's: where its Git server is, and its images. There is no Git in the one image here; Gitea
/// gives a revision as an archive as well.
const OURS: [(&str, &str); 8] = [
    ("https://github.com", URL),
    ("docker.io/alpine/git:v2.49.1", "localhost/busybox:1"),
    ("docker.io/library/golang:1.26", "localhost/busybox:1"),
    ("docker.io/library/maven:3-eclipse-temurin-25", "localhost/busybox:1"),
    ("[go, test, ./...]", "[sh, test.sh]"),
    ("[mvn, --batch-mode, verify]", "[sh, test.sh]"),
    (
        r#"git fetch --quiet --depth=1 -- "$REPOSITORY" "$REVISION""#,
        r#"wget -q -O source.tar.gz -- "${REPOSITORY%.git}/archive/$REVISION.tar.gz""#,
    ),
    (
        "git checkout --quiet FETCH_HEAD",
        "tar -xzf source.tar.gz --strip-components=1",
    ),
];

/// Writes the files of the golden path to a directory, with what is ours in place of what is not.
fn golden_path(place: &Path) {
    fs::create_dir_all(place).unwrap();
    let mut replaced = [false; OURS.len()];
    for entry in fs::read_dir(repository().join("examples/golden-path")).unwrap() {
        let file = entry.unwrap().path();
        let mut text = fs::read_to_string(&file)
            .unwrap()
            .replace("git init --quiet .\n", "set -o pipefail\n");
        for ((theirs, ours), replaced) in OURS.iter().zip(&mut replaced) {
            *replaced |= text.contains(theirs);
            text = text.replace(theirs, ours);
        }
        fs::write(place.join(file.file_name().unwrap()), text).unwrap();
    }
    assert_eq!(replaced, [true; OURS.len()], "the golden path has not all of {OURS:?}");
}

/// What the service's tests are.
fn tests(git: &Git, said: &str) {
    git.write_text("test.sh", &format!("echo {said}\n"));
}

/// Waits until the last run of a component is the one that `is_it`, and has ended well, and gives its name.
async fn succeeded(stage: &Stage<'_>, component: &str, is_it: impl Fn(&Value) -> bool) -> String {
    let place = ("Component", "shop", component);
    stage.becomes(place, |object| is_it(last_run(object))).await;
    let done = stage
        .becomes(place, |object| {
            is_it(last_run(object)) && last_run(object)["state"] == "Succeeded"
        })
        .await;
    last_run(&done)["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn a_push_to_a_git_server_builds_what_was_pushed_for_the_right_component_and_for_no_other() {
    let Some(program) = built("gitea") else {
        skipped(
            "from a push to a run",
            "there is no Gitea here; tests/cluster/cluster gitea builds it",
        );
        return;
    };
    let (cluster, place) = with_pipelines("push").await;
    let stage = Stage::on(&cluster, "push").await;
    install_triggers(&stage, &place).await;
    let operator = Operator::start(&cluster).await;
    let gitea = Gitea::start(&program, &cluster).await;
    gitea.organization("harbour-goods");
    let [orders, payments] = ["orders", "payments"].map(|name| gitea.repository("harbour-goods", name));
    for git in [&orders, &payments] {
        tests(git, "the first");
        gitea.push(git, "main");
    }

    let path = cluster.directory().join("golden-path");
    golden_path(&path);
    eventually("the golden path to be taken", async || {
        let applied = cluster.kubectl(&["apply", "-k", path.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&applied.stderr).into_owned();
        applied.status.success().then_some(()).ok_or(said)
    })
    .await;
    stage
        .put(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "github-webhook", "namespace": "webhooks"},
            "stringData": {"token": "the key"},
        }))
        .await;
    // A new component's first run builds what is there.
    for name in ["orders", "payments"] {
        succeeded(&stage, name, |run| run["name"] == "first-build").await;
    }
    let listens = |object: &Value| condition(object, "Available").status == "True";
    stage.becomes(("EventListener", "webhooks", "github"), listens).await;
    let listener = stage.get(("Service", "webhooks", "el-github")).await.unwrap();
    let listener = format!("http://{}:8080/", listener["spec"]["clusterIP"].as_str().unwrap());
    eventually("the listener to answer", async || {
        let nothing = ["busybox", "wget", "-q", "-O", "-", "--post-data", "{}", &listener];
        cluster.try_to_enter(&nothing)
    })
    .await;

    // Two pushes that must start nothing: to another branch, and announced with another key.
    gitea.webhook("harbour-goods/orders", &listener, "the key");
    gitea.webhook("harbour-goods/payments", &listener, "another key");
    tests(&orders, "on a branch");
    gitea.push(&orders, "other");
    tests(&payments, "unsigned");
    gitea.push(&payments, "main");
    // And one that must, which is announced after that to the branch.
    tests(&orders, "the second");
    let pushed = gitea.push(&orders, "main");
    let run = succeeded(&stage, "orders", |run| run["revision"] == pushed.as_str()).await;
    assert!(run.starts_with("build-"), "{run}");
    let pod = format!("{run}-build-pod");
    let log = kubectl(&stage, &["logs", &pod, "-n", "shop-orders-ci", "-c", "step-test"]);
    assert_eq!(log, "the second\n");
    // The same of the other repository, once it has the key: what was announced without it, before, has started nothing.
    gitea.webhook("harbour-goods/payments", &listener, "the key");
    tests(&payments, "signed");
    let pushed = gitea.push(&payments, "main");
    succeeded(&stage, "payments", |run| run["revision"] == pushed.as_str()).await;
    for name in ["orders", "payments"] {
        let namespace = format!("shop-{name}-ci");
        let runs = kubectl(&stage, &["get", "pipelineruns", "-n", &namespace, "-o", "name"]);
        assert_eq!(runs.lines().count(), 2, "{runs}");
    }
    drop(operator);
}
