//! R14: another program wants an object to be other than its template says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{neighbour_works, settings, settled, stage};
use crate::support::{
    Stage, Trial, Verdict, condition, config_map, eventually, eventually_within, lines, resource, with,
};

const FAULT: &str = "a policy rejects or rewrites an object; another manager fights over it";

/// Another program at work until it is dropped.
struct Other {
    stop: Arc<AtomicBool>,
    /// How often it had its way.
    rounds: Arc<AtomicUsize>,
}

impl Other {
    /// Does `work` again and again; `work` says whether there was anything to do.
    fn at_work<Work: Future<Output = bool> + Send>(work: impl Fn() -> Work + Send + 'static) -> Self {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (stop.clone(), rounds.clone());
        tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                if work().await {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        Self { stop, rounds }
    }

    fn rounds(&self) -> usize {
        self.rounds.load(Ordering::Relaxed)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Fights over `settings` with `other` until Landfall gives up its haste, and holds it to the rules. Gives what Drifted says.
async fn fought(stage: &Stage<'_>, other: Other, trial: &mut Trial) -> String {
    let place = ("Component", stage.home.as_str(), "orders");
    let drifted = stage
        .becomes(place, |object| condition(object, "Drifted").reason == "Contested")
        .await;
    // From now on it is slow: in ten seconds at most the repairs that waits of 1, 2, 4 and 8 s allow.
    let mark = stage.cluster.audit().mark().await;
    let began = other.rounds();
    tokio::join!(tokio::time::sleep(Duration::from_secs(10)), neighbour_works(stage));
    let mut written = stage.written_since(mark).await;
    written.retain(|entry| matches!(entry.name.as_str(), "settings" | "orders"));
    let repairs = written.iter().filter(|entry| entry.resource == "configmaps").count();
    assert!(
        (1..=6).contains(&repairs),
        "{repairs} repairs in 10 s:\n{}",
        lines(&written)
    );
    assert!(
        written.len() <= repairs * 2 + 2,
        "the status moves too often:\n{}",
        lines(&written)
    );
    assert!(other.rounds() > began, "the other is still at it");
    trial.extra_writes(written.len());
    let still = stage.get(place).await.unwrap();
    assert_eq!(
        condition(&still, "Drifted"),
        condition(&drifted, "Drifted"),
        "it says the same"
    );
    let message = condition(&still, "Drifted").message;

    // The other stops: what it did is put right, and some time later nothing is said of it any more.
    drop(other);
    let stopped = Instant::now();
    stage
        .becomes(("ConfigMap", &stage.home, "settings"), |object| {
            object["data"]["a"] == "one"
        })
        .await;
    trial.held(stopped.elapsed());
    let limit = Duration::from_mins(2);
    eventually_within(limit, "the fight to be over", async || {
        let component = stage.get(place).await.unwrap();
        let over =
            condition(&component, "Drifted").status.is_empty() && condition(&component, "Ready").status == "True";
        over.then_some(())
            .ok_or(format!("{:#}", component["status"]["conditions"]))
    })
    .await;
    // It is as quick as ever.
    stage
        .edit(("ConfigMap", &stage.home, "settings"), json!({"data": {"a": "edited"}}))
        .await;
    stage
        .becomes(("ConfigMap", &stage.home, "settings"), |object| {
            object["data"]["a"] == "one"
        })
        .await;
    message.replace(&stage.home, "shop")
}

#[tokio::test]
async fn a_manager_that_forces_its_own_value_again_and_again() {
    let mut trial = Trial::of("R14", FAULT, 1);
    let stage = stage("forces").await;
    settled(&stage, settings()).await;
    let maps = stage.api("ConfigMap", &stage.home);
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "theirs"},
    });
    let other = Other::at_work(move || {
        let (maps, theirs) = (maps.clone(), theirs.clone());
        async move {
            if maps
                .get("settings")
                .await
                .is_ok_and(|found| found.data["data"]["a"] == "theirs")
            {
                return false;
            }
            let parameters = PatchParams::apply("argocd-controller").force();
            maps.patch("settings", &parameters, &Patch::Apply(&theirs))
                .await
                .is_ok()
        }
    });
    let message = fought(&stage, other, &mut trial).await;
    insta::assert_snapshot!(message, @r#"ConfigMap shop/settings: data.a is changed again and again by field manager argocd-controller; it is put right ever more slowly, at least every five minutes; let one of the two have it: take it out of the template, or out of what argocd-controller writes"#);
    trial.ends(Verdict::Resilient, "");
}

/// A controller that takes our label off whenever it sees it: the object leaves our watch each time.
#[tokio::test]
async fn a_manager_that_takes_our_label_off_again_and_again() {
    let mut trial = Trial::of("R14", FAULT, 1);
    let stage = stage("strips").await;
    settled(&stage, settings()).await;
    let maps = stage.api("ConfigMap", &stage.home);
    let other = Other::at_work(move || {
        let maps = maps.clone();
        async move {
            let found = maps.get("settings").await;
            if found.is_ok_and(|found| found.metadata.labels.unwrap_or_default().is_empty()) {
                return false;
            }
            let none = json!({"metadata": {"labels": null}, "data": {"a": "theirs"}});
            let parameters = PatchParams::default();
            maps.patch("settings", &parameters, &Patch::Merge(&none)).await.is_ok()
        }
    });
    let message = fought(&stage, other, &mut trial).await;
    insta::assert_snapshot!(message, @r#"ConfigMap shop/settings: data.a is changed again and again by field manager landfall-tests; it is put right ever more slowly, at least every five minutes; let one of the two have it: take it out of the template, or out of what landfall-tests writes"#);
    trial.ends(Verdict::Resilient, "");
}

/// A controller that deletes what it does not know. The object is not there then, and nothing says that all is well.
#[tokio::test]
async fn a_program_that_deletes_the_object_again_and_again() {
    let mut trial = Trial::of("R14", FAULT, 1);
    let stage = stage("deletes").await;
    settled(&stage, settings()).await;
    let maps = stage.api("ConfigMap", &stage.home);
    let other = Other::at_work(move || {
        let maps = maps.clone();
        async move { maps.delete("settings", &DeleteParams::default()).await.is_ok() }
    });
    let place = ("Component", stage.home.as_str(), "orders");
    stage
        .becomes(place, |object| {
            condition(object, "Ready").reason == "Contested" && condition(object, "Stalled").status == "True"
        })
        .await;
    let message = fought(&stage, other, &mut trial).await;
    insta::assert_snapshot!(message, @r#"ConfigMap shop/settings is deleted again and again; it is made anew ever more slowly, at least every five minutes; find out who deletes it, or take it out of the template"#);
    trial.ends(Verdict::Resilient, "");
}

/// A policy of the cluster for what the stage's account writes to `ConfigMap`s named `settings`, in force when this returns.
async fn policy(stage: &Stage<'_>, kind: &str, more: Value, in_force: impl Fn(&Result<Value, String>) -> bool) {
    let admission = "admissionregistration.k8s.io/v1";
    let constraints = json!({"resourceRules": [{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"],
    }]});
    let conditions = json!([
        {"name": "ours", "expression": format!("request.userInfo.username == 'system:serviceaccount:{}:maker'", stage.home)},
        {"name": "settings", "expression": "object.metadata.name in ['settings', 'probe']"},
    ]);
    let spec = json!({"failurePolicy": "Fail", "matchConstraints": constraints, "matchConditions": conditions});
    let metadata = json!({"name": stage.home});
    stage
        .put(json!({"apiVersion": admission, "kind": kind, "metadata": metadata, "spec": with(spec, more)}))
        .await;
    let binding = match kind {
        "ValidatingAdmissionPolicy" => json!({"policyName": stage.home, "validationActions": ["Deny"]}),
        _ => json!({"policyName": stage.home}),
    };
    stage
        .put(json!({"apiVersion": admission, "kind": format!("{kind}Binding"), "metadata": metadata, "spec": binding}))
        .await;
    probe(stage, in_force).await;
}

/// Waits until what the account writes is treated in a certain way.
async fn probe(stage: &Stage<'_>, holds: impl Fn(&Result<Value, String>) -> bool) {
    let account = stage.cluster.client_as(&stage.home, "maker").await;
    let api = kube::Api::<kube::api::DynamicObject>::namespaced_with(
        account,
        &stage.home,
        &kube::api::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "ConfigMap")),
    );
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "one"},
        "metadata": {"name": "probe", "labels": {"landfall.dev/instance-uid": "none"}},
    });
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::apply("probe").force()
    };
    eventually("the policy to be in force, or to be no more", async || {
        let made = api.patch("probe", &dry, &Patch::Apply(&object)).await;
        let made = made
            .map(|made| serde_json::to_value(made).unwrap())
            .map_err(|error| error.to_string());
        holds(&made).then_some(()).ok_or(format!("{made:?}"))
    })
    .await;
}

/// With a policy in the way of every write, there is one write and not a second while nothing changes. Gives what Drifted says.
async fn rewritten(stage: &Stage<'_>) -> String {
    let component = settled(stage, settings()).await;
    let component = match condition(&component, "Drifted").reason.as_str() {
        "ChangedAtAdmission" => component,
        _ => {
            stage
                .becomes(("Component", &stage.home, "orders"), |object| {
                    condition(object, "Drifted").reason == "ChangedAtAdmission"
                })
                .await
        }
    };
    neighbour_works(stage).await;
    let mark = stage.cluster.audit().mark().await;
    for _ in 0..3 {
        stage.looked_at("Component", "orders").await;
    }
    let mut written = stage.written_since(mark).await;
    written.retain(|entry| entry.resource == "configmaps");
    assert!(written.is_empty(), "written again and again:\n{}", lines(&written));
    condition(&component, "Drifted").message.replace(&stage.home, "shop")
}

/// The policy is taken away: what is asked for is written when it is next asked for, and kept.
async fn policy_goes(stage: &Stage<'_>, kind: &str, trial: &mut Trial) {
    stage.delete((&format!("{kind}Binding"), "", &stage.home)).await;
    probe(stage, |made| {
        made.as_ref().is_ok_and(|made| {
            made["data"]["a"] == "one" && made["metadata"]["labels"]["landfall.dev/instance-uid"].is_string()
        })
    })
    .await;
    let gone = Instant::now();
    let resources = json!([resource(
        "settings",
        config_map("settings", json!({"a": "one", "b": "new"}))
    )]);
    stage.template("app", resources).await;
    stage
        .becomes(("ConfigMap", &stage.home, "settings"), |object| {
            object["data"]["a"] == "one"
                && object["data"]["b"] == "new"
                && object["metadata"]["labels"]["landfall.dev/instance-uid"].is_string()
        })
        .await;
    stage
        .becomes(("Component", &stage.home, "orders"), |object| {
            condition(object, "Drifted").status.is_empty() && condition(object, "Ready").status == "True"
        })
        .await;
    trial.held(gone.elapsed());
}

#[tokio::test]
async fn a_policy_that_rewrites_a_value_at_each_write() {
    let mut trial = Trial::of("R14", FAULT, 1);
    let stage = stage("rewrites").await;
    let expression = "Object{data: {'a': 'theirs'}}";
    let mutation = json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
    let more = json!({"mutations": [mutation], "reinvocationPolicy": "Never"});
    policy(&stage, "MutatingAdmissionPolicy", more, |made| {
        made.as_ref().is_ok_and(|made| made["data"]["a"] == "theirs")
    })
    .await;
    let message = rewritten(&stage).await;
    insta::assert_snapshot!(message, @r#"ConfigMap shop/settings: data.a is not kept as it is written: a mutating policy or webhook of the cluster changes it; take it out of the template, or except the object from the policy"#);
    policy_goes(&stage, "MutatingAdmissionPolicy", &mut trial).await;
    trial.ends(Verdict::Resilient, "");
}

#[tokio::test]
async fn a_policy_that_takes_our_label_off_at_each_write() {
    let mut trial = Trial::of("R14", FAULT, 1);
    let stage = stage("unlabels").await;
    let expression = "[JSONPatch{op: 'remove', path: '/metadata/labels/landfall.dev~1instance-uid'}]";
    let mutation = json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}});
    let more = json!({"mutations": [mutation], "reinvocationPolicy": "Never"});
    policy(&stage, "MutatingAdmissionPolicy", more, |made| {
        made.as_ref()
            .is_ok_and(|made| made["metadata"]["labels"]["landfall.dev/instance-uid"].is_null())
    })
    .await;
    let message = rewritten(&stage).await;
    insta::assert_snapshot!(message, @r#"ConfigMap shop/settings: metadata.labels is not kept as it is written: a mutating policy or webhook of the cluster changes it; except the object from the policy, since what is done to it is not seen while its marks are missing"#);
    policy_goes(&stage, "MutatingAdmissionPolicy", &mut trial).await;
    trial.ends(Verdict::Resilient, "");
}

#[tokio::test]
async fn a_policy_that_rejects_one_object() {
    let mut trial = Trial::of("R14", FAULT, 1);
    let stage = stage("rejects").await;
    let rule = json!({"expression": "!has(object.data.a)", "message": "a is not wanted here"});
    policy(
        &stage,
        "ValidatingAdmissionPolicy",
        json!({"validations": [rule]}),
        |made| made.as_ref().is_err_and(|error| error.contains("not wanted")),
    )
    .await;
    stage.template("app", settings()).await;
    stage.component("orders", json!({"ref": "app"})).await;
    let message = stage.unready("Component", "orders", "Denied").await;
    assert!(
        message.contains("resource \"settings\"") && message.contains("a is not wanted here"),
        "{message}"
    );
    neighbour_works(&stage).await;
    let mark = stage.cluster.audit().mark().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let written = stage.written_since(mark).await;
    let tries = written.iter().filter(|entry| entry.resource == "configmaps").count();
    assert!(
        tries <= 6,
        "{tries} tries in 5 s, where each waits 1 to 5 s:\n{}",
        lines(&written)
    );
    stage
        .delete(("ValidatingAdmissionPolicyBinding", "", &stage.home))
        .await;
    probe(&stage, Result::is_ok).await;
    let gone = Instant::now();
    stage.ready("Component", "orders").await;
    trial.held(gone.elapsed());
    trial.ends(Verdict::Resilient, "");
}
