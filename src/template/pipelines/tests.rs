//! Tables of `PipelineRun`s as Tekton writes them.

use serde_json::json;

use super::*;

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
    let [pipeline] = &pipelines(&[&run])[..] else {
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
        pipelines(&runs)
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
    let shown = pipelines(&runs.iter().collect::<Vec<_>>());
    assert_eq!(shown.len(), PIPELINES);
    assert_eq!(
        (shown[0].name.as_str(), shown[63].name.as_str()),
        ("p036", "p099"),
        "those that ran last, by name"
    );
    let last = only(succeeded("False", "Failed", &"ä".repeat(5000)));
    assert!(last.message.unwrap().len() <= MESSAGE);
}
