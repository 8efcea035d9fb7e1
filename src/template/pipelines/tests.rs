//! Tables of runs as their engines write them.

use serde_json::json;

use super::*;

mod argo;

/// The pipelines of `runs`, of whose tasks nothing is known.
fn of(runs: &[&Value]) -> Vec<PipelineStatus> {
    pipelines(runs, |_| None)
}

fn run(name: &str, created: &str, rest: Value) -> Value {
    let mut run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
        "metadata": {
            "name": name, "namespace": "shop-orders-ci", "creationTimestamp": created,
            "labels": {"tekton.dev/pipeline": "build"}, "generation": 1,
        },
        "spec": {"pipelineRef": {"name": "build"}, "timeouts": {"pipeline": "1h0m0s"}},
    });
    merge(&mut run, rest);
    run
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn succeeded(status: &str, reason: &str, message: &str) -> Value {
    json!({"status": {"conditions": [{
        "type": "Succeeded", "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-22T10:00:30Z",
    }], "startTime": "2026-11-22T10:00:00Z"}})
}

fn only(rest: Value) -> PipelineRunStatus {
    let run = run("build-1", "2026-11-22T10:00:00Z", rest);
    let [pipeline] = &of(&[&run])[..] else {
        panic!("one run, one pipeline")
    };
    assert_eq!(
        (
            pipeline.name.as_str(),
            pipeline.namespace.as_str(),
            pipeline.engine.as_str()
        ),
        ("build", "shop-orders-ci", "Tekton")
    );
    pipeline.last_run.clone().unwrap()
}

#[test]
fn states() {
    for (rest, state, message) in [
        (json!({}), "Pending", None),
        (json!({"spec": {"status": "PipelineRunPending"}}), "Pending", None),
        (
            succeeded("Unknown", "PipelineRunPending", "PipelineRun \"build-1\" is pending"),
            "Pending",
            Some("PipelineRun \"build-1\" is pending"),
        ),
        (succeeded("Unknown", "Started", ""), "Running", Some("Started")),
        (
            succeeded(
                "Unknown",
                "Running",
                "Tasks Completed: 1 (Failed: 0, Cancelled 0), Incomplete: 2, Skipped: 0",
            ),
            "Running",
            Some("Tasks Completed: 1 (Failed: 0, Cancelled 0), Incomplete: 2, Skipped: 0"),
        ),
        (
            succeeded("Unknown", "CancelledRunningFinally", ""),
            "Running",
            Some("CancelledRunningFinally"),
        ),
        (
            succeeded("Unknown", "ResolvingPipelineRef", ""),
            "Running",
            Some("ResolvingPipelineRef"),
        ),
        (
            succeeded(
                "True",
                "Succeeded",
                "Tasks Completed: 3 (Failed: 0, Cancelled 0), Skipped: 0",
            ),
            "Succeeded",
            Some("Tasks Completed: 3 (Failed: 0, Cancelled 0), Skipped: 0"),
        ),
        (succeeded("True", "Completed", ""), "Succeeded", Some("Completed")),
        (
            succeeded(
                "False",
                "Failed",
                "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 1",
            ),
            "Failed",
            Some("Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 1"),
        ),
        (
            succeeded(
                "False",
                "PipelineRunTimeout",
                "PipelineRun \"build-1\" failed to finish within \"1h0m0s\"",
            ),
            "Failed",
            Some("PipelineRun \"build-1\" failed to finish within \"1h0m0s\""),
        ),
        (
            succeeded("False", "CouldntGetTask", "can't be Run"),
            "Failed",
            Some("can't be Run"),
        ),
        (
            succeeded("False", "Cancelled", "PipelineRun \"build-1\" was cancelled"),
            "Cancelled",
            Some("PipelineRun \"build-1\" was cancelled"),
        ),
        (
            succeeded("False", "PipelineRunCancelled", ""),
            "Cancelled",
            Some("PipelineRunCancelled"),
        ),
        (
            json!({"status": {"startTime": "2026-11-22T10:00:00Z"}}),
            "Running",
            None,
        ),
    ] {
        let last = only(rest.clone());
        assert_eq!(
            (last.state.as_str(), last.message.as_deref()),
            (state, message),
            "{rest}"
        );
    }
}

#[test]
fn times_are_the_engines() {
    let mut rest = succeeded("True", "Succeeded", "");
    rest["status"]["completionTime"] = json!("2026-11-22T10:00:30Z");
    let last = only(rest);
    assert_eq!(last.started.as_deref(), Some("2026-11-22T10:00:00Z"));
    assert_eq!(last.finished.as_deref(), Some("2026-11-22T10:00:30Z"));
    let last = only(json!({}));
    assert_eq!((last.started, last.finished), (None, None));
}

#[test]
fn revisions() {
    let sha = "4c0fb8a2d1e94f2c8d7f0a6b5c4d3e2f1a0b9c8d";
    for (rest, revision) in [
        (json!({}), None),
        (
            json!({"spec": {"params": [{"name": "git-revision", "value": "main"}]}}),
            Some("main"),
        ),
        (
            json!({"spec": {"params": [{"name": "image", "value": "x"}, {"name": "gitRevision", "value": "v1.2.3"}]}}),
            Some("v1.2.3"),
        ),
        (
            json!({"spec": {"params": [{"name": "revision", "value": "main"}]}, "status": {"results": [{"name": "commit-sha", "value": sha}]}}),
            Some(sha),
        ),
        (
            json!({"status": {"pipelineResults": [{"name": "CHAINS-GIT_COMMIT", "value": sha}]}}),
            Some(sha),
        ),
        (
            json!({"metadata": {"labels": {"pipelinesascode.tekton.dev/sha": sha}}}),
            Some(sha),
        ),
        (
            json!({"metadata": {"annotations": {"build.appstudio.redhat.com/commit_sha": sha}}}),
            Some(sha),
        ),
        (
            json!({"spec": {"params": [{"name": "revision", "value": ["a", "b"]}]}}),
            None,
        ),
        (
            json!({"spec": {"params": [{"name": "revision", "value": ""}, {"name": "commit", "value": "two words"}]}}),
            None,
        ),
    ] {
        assert_eq!(only(rest.clone()).revision.as_deref(), revision, "{rest}");
    }
}

#[test]
fn pages() {
    for (annotations, url) in [
        (
            json!({"pipelinesascode.tekton.dev/log-url": "https://console.example.com/k8s/ns/shop/build-1"}),
            Some("https://console.example.com/k8s/ns/shop/build-1"),
        ),
        (json!({"example.com/run-url": "javascript:alert(1)"}), None),
        (json!({"example.com/run-url": "https://user:secret@example.com/"}), None),
        (
            json!({"pipelinesascode.tekton.dev/repo-url": "https://git.example.com/shop/orders"}),
            None,
        ),
        (
            json!({"a.example/url": "file:///etc/passwd", "b.example/url": "http://runs.example.com/1"}),
            Some("http://runs.example.com/1"),
        ),
    ] {
        assert_eq!(
            only(json!({"metadata": {"annotations": annotations}})).url.as_deref(),
            url,
            "{annotations}"
        );
    }
}

#[test]
fn the_newest_run_of_each_pipeline_counts() {
    let embedded = json!({"metadata": {"labels": {"tekton.dev/pipeline": null}}, "spec": {"pipelineRef": null, "pipelineSpec": {"tasks": []}}});
    let resolved = json!({"spec": {"pipelineRef": {"name": null, "resolver": "git"}}, "metadata": {"labels": {"tekton.dev/pipeline": "deploy"}}});
    let elsewhere = json!({"metadata": {"namespace": "shop-orders-a"}});
    let beta = json!({"apiVersion": "tekton.dev/v1beta1"});
    let runs = [
        run("build-1", "2026-11-22T10:00:00Z", json!({})),
        run("build-3", "2026-11-22T12:00:00Z", beta),
        run("build-2", "2026-11-22T11:00:00Z", json!({})),
        run("build-4", "2026-11-22T12:00:00Z", json!({})),
        run("adhoc-x", "2026-11-22T09:00:00Z", embedded),
        run("deploy-1", "2026-11-22T09:00:00Z", resolved),
        run("build-9", "2026-11-22T09:00:00Z", elsewhere),
        run("other", "2026-11-22T09:00:00Z", json!({"kind": "TaskRun"})),
        json!({"kind": "PipelineRun", "apiVersion": "other.example/v1", "metadata": {"name": "x", "namespace": "y"}}),
        json!("nothing"),
    ];
    let seen = |runs: Vec<&Value>| -> Vec<String> {
        of(&runs)
            .into_iter()
            .map(|it| format!("{}/{} {}", it.namespace, it.name, it.last_run.unwrap().name))
            .collect()
    };
    let expected = [
        "shop-orders-a/build build-9",
        "shop-orders-ci/adhoc-x adhoc-x",
        "shop-orders-ci/build build-4",
        "shop-orders-ci/deploy deploy-1",
    ];
    assert_eq!(seen(runs.iter().collect()), expected);
    assert_eq!(
        seen(runs.iter().rev().collect()),
        expected,
        "the order in which they come has no meaning"
    );
}

#[test]
fn what_is_shown_is_bounded() {
    let runs: Vec<Value> = (0..100)
        .map(|index| {
            let name = format!("p{index:03}");
            run(
                &format!("{name}-1"),
                &format!("2026-11-22T10:{:02}:{:02}Z", index / 60, index % 60),
                json!({"spec": {"pipelineRef": {"name": name}}}),
            )
        })
        .collect();
    let shown = of(&runs.iter().collect::<Vec<_>>());
    assert_eq!(shown.len(), PIPELINES);
    assert_eq!(
        (shown[0].name.as_str(), shown[63].name.as_str()),
        ("p036", "p099"),
        "those that ran last, by name"
    );
    let last = only(succeeded("False", "Failed", &"ä".repeat(5000)));
    assert!(last.message.unwrap().len() <= MESSAGE);
}

#[test]
fn a_pipeline_that_only_the_run_holds_is_known_by_what_generates_its_names() {
    let unnamed =
        |metadata: Value| json!({"spec": {"pipelineRef": null, "pipelineSpec": {"tasks": []}}, "metadata": metadata});
    for (metadata, name) in [
        // Tekton puts the run's own name there.
        (
            json!({"labels": {"tekton.dev/pipeline": "orders-x7k2p"}, "generateName": "orders-"}),
            "orders",
        ),
        (
            json!({"labels": {"tekton.dev/pipeline": "orders-x7k2p", "pipelinesascode.tekton.dev/original-prname": "on-push"}}),
            "on-push",
        ),
        (
            json!({"labels": {"tekton.dev/pipeline": "orders-x7k2p"}}),
            "orders-x7k2p",
        ),
    ] {
        let run = run("orders-x7k2p", "2026-11-22T10:00:00Z", unnamed(metadata));
        let names: Vec<String> = of(&[&run]).into_iter().map(|pipeline| pipeline.name).collect();
        assert_eq!(names, [name]);
    }
}

/// A `TaskRun` of a pipeline's task, and what its condition Succeeded says.
fn task(name: &str, finished: &str, status: &str, reason: &str, message: &str) -> Value {
    let mut task = json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {"name": format!("build-1-{name}"), "labels": {"tekton.dev/pipelineTask": name}},
        "status": {"completionTime": finished},
    });
    merge(&mut task, succeeded(status, reason, message));
    task
}

#[test]
fn a_failed_run_says_what_its_task_says() {
    let counted = "Tasks Completed: 3 (Failed: 1, Cancelled 1), Skipped: 1";
    let mut failed = succeeded("False", "Failed", counted);
    let refs =
        json!([{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "build-1-test", "pipelineTaskName": "test"}]);
    failed["status"]["childReferences"] = refs;
    let run = run("build-1", "2026-11-22T10:00:00Z", failed);
    assert_eq!(failures(&[&run]), [&run]);
    let tasks = [
        task(
            "clone",
            "2026-11-22T10:00:05Z",
            "True",
            "Succeeded",
            "All Steps have completed executing",
        ),
        task(
            "lint",
            "2026-11-22T10:00:06Z",
            "False",
            "TaskRunCancelled",
            "TaskRun \"build-1-lint\" was cancelled",
        ),
        task(
            "deploy",
            "2026-11-22T10:00:09Z",
            "False",
            "Failed",
            "\"step-kubectl\" exited with code 1: Error",
        ),
        task(
            "test",
            "2026-11-22T10:00:07Z",
            "False",
            "Failed",
            "\"step-unit\" exited with code 2: Error",
        ),
        task(
            "scan",
            "2026-11-22T10:00:01Z",
            "False",
            "FailureIgnored",
            "\"step-scan\" exited with code 1: Error",
        ),
    ];
    let cause = failed_task(&tasks.iter().collect::<Vec<_>>());
    assert_eq!(
        cause.as_deref(),
        Some("task test: \"step-unit\" exited with code 2: Error")
    );
    let told = |cause: Option<String>| {
        let shown = pipelines(&[&run], |_| cause.clone());
        shown[0].last_run.clone().unwrap().message.unwrap()
    };
    assert_eq!(told(cause), "task test: \"step-unit\" exited with code 2: Error");
    assert_eq!(told(None), counted, "where the tasks may not be seen, or are gone");
    assert_eq!(failed_task(&[]), None);
    assert_eq!(failed_task(&[&tasks[0]]), None);
    let pull = task(
        "build",
        "2026-11-22T10:00:07Z",
        "False",
        "TaskRunImagePullFailed",
        "the step \"build\" in TaskRun \"build-1-build\" failed to pull the image \"\". The pod errored with the message: \"Back-off pulling image \"example.com/none:1\"\".",
    );
    assert!(
        failed_task(&[&pull])
            .unwrap()
            .starts_with("task build: the step \"build\" in TaskRun")
    );
}

#[test]
fn only_a_failure_that_is_a_tasks_is_looked_into() {
    let refs = json!({"status": {"childReferences": [{"kind": "TaskRun", "name": "build-1-test"}]}});
    let with_refs = |mut rest: Value| {
        merge(&mut rest, refs.clone());
        run("build-1", "2026-11-22T10:00:00Z", rest)
    };
    for run in [
        with_refs(succeeded("Unknown", "Running", "")),
        with_refs(succeeded("True", "Succeeded", "")),
        with_refs(succeeded("False", "Cancelled", "PipelineRun \"build-1\" was cancelled")),
        run(
            "build-1",
            "2026-11-22T10:00:00Z",
            succeeded("False", "CouldntGetTask", "Couldn't retrieve Task \"test\""),
        ),
    ] {
        assert!(failures(&[&run]).is_empty(), "{run}");
    }
    let old = with_refs(succeeded("False", "Failed", ""));
    let new = run("build-2", "2026-11-22T11:00:00Z", succeeded("True", "Succeeded", ""));
    assert!(failures(&[&old, &new]).is_empty(), "it is not shown any more");
}

#[test]
fn what_is_kept_of_a_run_shows_the_same() {
    let mut whole = succeeded(
        "False",
        "Failed",
        "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 0",
    );
    merge(
        &mut whole,
        json!({
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "example.com/run-url": "https://ci.example.com/1"}},
            "spec": {"params": [{"name": "revision", "value": "main"}]},
            "status": {"completionTime": "2026-11-22T10:00:30Z", "pipelineSpec": {"tasks": [{"name": "test"}]},
                "childReferences": [{"kind": "TaskRun", "name": "build-1-test"}]},
        }),
    );
    let whole = run("build-1", "2026-11-22T10:00:00Z", whole);
    let mut slimmed = whole.clone();
    slim(&mut slimmed);
    assert_eq!(of(&[&slimmed]), of(&[&whole]));
    assert_eq!(failures(&[&slimmed]).len(), 1);
    let left = slimmed.to_string();
    assert!(
        !left.contains("pipelineSpec") && !left.contains("last-applied") && !left.contains("timeouts"),
        "{left}"
    );
}
