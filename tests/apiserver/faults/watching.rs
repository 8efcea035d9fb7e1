//! R4, R5 and R6: watches that break, fall silent, are late, or come back to another world.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use serde_json::{Value, json};

use super::proxy::{Call, Fault, Proxy};
use super::reference::{QUIET, Reference, assert_no_panic, assert_quiet, within, writes_since};
use super::workflow::{APP, LIFE, Step};
use crate::support::{Cluster, Operator, Stage, Trial, Verdict, condition, eventually, is_current, lines};

/// How late events are.
const LATE: Duration = Duration::from_secs(10);
/// The operator's `--watch-timeout` where it is to find out by itself that a watch is dead.
const TIMEOUT: &str = "5";

struct Bench<'c> {
    cluster: &'c Cluster,
    stage: Stage<'c>,
    proxy: Proxy,
    reference: Reference,
}

#[tokio::test]
async fn watches_that_break_lie_or_are_late_are_made_good() {
    let cluster = Cluster::own("watches").await;
    let proxy = Proxy::before(&cluster);
    let operator = proxy.operator(&cluster, &["--watch-timeout", TIMEOUT]).await;
    let stage = Stage::on(&cluster, "watches").await;
    LIFE.prepare(&stage).await;
    let reference = Reference::of(&stage, &LIFE).await;
    let bench = Bench {
        cluster: &cluster,
        stage,
        proxy,
        reference,
    };
    broken_watches(&bench).await;
    operator.kill();
    let operator = bench.proxy.operator(&cluster, &[]).await;
    unseen_changes(&bench).await;
    let operator = late_events(&bench, operator).await;
    drop(operator);
    assert_no_panic(&cluster);
}

impl Bench<'_> {
    async fn homes<const COUNT: usize>(&self) -> [String; COUNT] {
        let mut homes = Vec::new();
        for _ in 0..COUNT {
            homes.push(self.cluster.namespace("home").await);
        }
        homes.try_into().unwrap()
    }

    async fn takes(&self, home: &str, step: Step) {
        LIFE.take(&self.stage, step, home).await;
        LIFE.done(&self.stage, step, home).await;
    }

    /// Takes these steps in each of `homes` at once.
    async fn lives(&self, homes: &[String], steps: &[Step]) {
        let life = |home: String| async move {
            for step in steps {
                self.takes(&home, *step).await;
            }
        };
        join_all(homes.iter().cloned().map(life)).await;
    }

    /// Lets the operator miss what happens to objects of a kind, and then has it list that kind anew, since its watch is told that it
    /// comes from too long ago. Gives when that was.
    async fn unseen(&self, plural: &'static str, happens: impl Future<Output = ()>) -> Instant {
        let began = Instant::now();
        let about = move |call: &Call| call.is_watch() && call.path.ends_with(&format!("/{plural}"));
        let silent = self
            .proxy
            .when(Fault::Silent, move |call| about(call) && call.at < began);
        happens.await;
        let told = Mutex::new(HashSet::new());
        let gone = self.proxy.when(Fault::Gone, move |call| {
            // There are two on namespaces: all, and the labelled ones.
            about(call) && call.at > began && told.lock().unwrap().insert(call.query.contains("labelSelector"))
        });
        self.proxy.cut_watches();
        drop(silent);
        eventually("a watch to be told that it comes from too long ago", async || {
            (gone.hits() > 0).then_some(())
        })
        .await;
        Instant::now()
    }
}

/// R4: watches end every second, fall silent, and are told to begin anew.
async fn broken_watches(bench: &Bench<'_>) {
    let stage = &bench.stage;
    let mut trial = Trial::of(
        "R4",
        "watches dropped every second, silent, or told 410 Gone after compaction",
        3,
    );
    let mark = bench.cluster.audit().mark().await;
    let last = LIFE.steps.len() - 1;

    let [dropped] = bench.homes().await;
    let dropping = bench
        .proxy
        .when(Fault::CutAfter(Duration::from_secs(1)), Call::is_watch);
    bench.proxy.cut_watches();
    bench.lives(std::slice::from_ref(&dropped), LIFE.steps).await;
    assert!(dropping.hits() > 10, "{dropping:?}");
    drop(dropping);
    trial.held(Duration::ZERO);

    let [silent, drifted, shortened] = bench.homes().await;
    bench
        .lives(&[silent.clone(), drifted.clone(), shortened.clone()], &[Step::Create])
        .await;
    let began = Instant::now();
    let silence = bench
        .proxy
        .when(Fault::Silent, move |call| call.is_watch() && call.at < began);
    LIFE.take(stage, Step::Update, &silent).await;
    stage
        .delete(("ConfigMap", &format!("{drifted}-{APP}"), "settings"))
        .await;
    LIFE.done(stage, Step::Update, &silent).await;
    stage
        .appears(("ConfigMap", &format!("{drifted}-{APP}"), "settings"))
        .await;
    assert!(silence.hits() > 0, "{silence:?}");
    trial.held(began.elapsed());
    drop(silence);
    stage.looked_at_in(&drifted, "Component", APP).await;
    assert_quiet(bench.cluster, &[silent.clone(), drifted.clone()], QUIET).await;

    trial.held(relisted(bench, &shortened).await);
    let places = [(dropped, last), (silent, 1)];
    trial.extra_writes(bench.reference.assert_same_in(stage, &places, mark).await);
    trial.ends(Verdict::Resilient, "");
}

/// Changes of which the operator learns only from a new list: an object of a template is gone, a Component has changed, another
/// that a System counts is gone, a namespace is chosen by a Template. Gives the longest time that one took to show.
async fn relisted(bench: &Bench<'_>, drifted: &str) -> Duration {
    let stage = &bench.stage;
    let beside = ("ConfigMap", drifted, "beside");
    // It is the newest of all that are watched, so that every list that lacks it looks older than it.
    stage.edit(beside, json!({"metadata": {"labels": {"a": "b"}}})).await;
    bench.takes(drifted, Step::Update).await;
    stage.edit(beside, json!({"metadata": {"labels": {"a": "c"}}})).await;
    let [marker] = bench.homes().await;
    bench.takes(&marker, Step::Create).await;
    stage.edit(beside, json!({"metadata": {"labels": {"a": "d"}}})).await;
    stage.looked_at_in(drifted, "Component", APP).await;
    let began = bench.unseen("configmaps", stage.delete(beside)).await;
    stage.appears(beside).await;
    let gone = began.elapsed();

    let [plain, changed] = bench.homes().await;
    let (system, component) = (
        ("System", plain.as_str(), "whole"),
        ("Component", plain.as_str(), "part"),
    );
    stage
        .put(entity("System", &plain, "whole", json!({"owner": "team"})))
        .await;
    let part = json!({"type": "service", "lifecycle": "production", "owner": "team", "system": "whole"});
    stage.put(entity("Component", &plain, "part", part)).await;
    let counts = |count: u64| move |object: &Value| object["status"]["components"]["total"] == count;
    stage.becomes(system, counts(1)).await;
    bench.takes(&changed, Step::Create).await;
    let began = bench
        .unseen("components", async {
            stage.delete(component).await;
            LIFE.take(stage, Step::Update, &changed).await;
        })
        .await;
    LIFE.done(stage, Step::Update, &changed).await;
    stage.becomes(system, counts(0)).await;
    let counted = began.elapsed();
    let chosen = chosen(bench).await;
    gone.max(counted).max(chosen)
}

/// A namespace is labelled so that a Template is open to it, and only a new list says so.
async fn chosen(bench: &Bench<'_>) -> Duration {
    let stage = &bench.stage;
    let [waiting] = bench.homes().await;
    let template = json!({
        "type": "service", "serviceAccountName": "maker", "resources": [{
            "id": "one", "manifest": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}},
        }],
        "allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"open": "yes"}}},
    });
    stage.put(entity("Template", &stage.home, "chosen", template)).await;
    stage.ready("Template", "chosen").await;
    let spec = json!({
        "type": "service", "lifecycle": "production", "owner": "team", "template": {"ref": format!("{}/chosen", stage.home)},
    });
    stage.put(entity("Component", &waiting, APP, spec)).await;
    let place = ("Component", waiting.as_str(), APP);
    stage
        .becomes(place, |object| condition(object, "Ready").reason == "NotAllowed")
        .await;
    let labelled = async {
        stage
            .edit(
                ("Namespace", "", &waiting),
                json!({"metadata": {"labels": {"open": "yes"}}}),
            )
            .await;
    };
    let began = bench.unseen("namespaces", labelled).await;
    stage
        .becomes(place, |object| condition(object, "Ready").status == "True")
        .await;
    began.elapsed()
}

fn entity(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// R6: between two looks an object was deleted and another made in its place, or a spec was changed and changed back.
async fn unseen_changes(bench: &Bench<'_>) {
    let stage = &bench.stage;
    let mut trial = Trial::of(
        "R6",
        "create, delete and create of one name between two events; a spec changed and changed back",
        4,
    );
    let [reborn, replaced, flipped, flipped_back] = bench.homes().await;
    let all = [reborn.clone(), replaced.clone(), flipped.clone(), flipped_back.clone()];
    bench.lives(&all, &[Step::Create]).await;
    let inside = format!("{replaced}-{APP}");
    let settings = ("ConfigMap", inside.as_str(), "settings");
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": inside}, "data": {"text": "theirs"}});
    let mark = bench.cluster.audit().mark().await;
    let began = bench
        .unseen("components", async {
            let place = ("Component", reborn.as_str(), APP);
            stage.edit(place, json!({"metadata": {"finalizers": null}})).await;
            stage.delete(place).await;
            LIFE.take(stage, Step::Create, &reborn).await;
            for home in [&flipped, &flipped_back] {
                flip(stage, home).await;
            }
        })
        .await;
    bench
        .unseen("configmaps", async {
            stage.delete(settings).await;
            stage.put(theirs).await;
        })
        .await;
    let theirs = stage.get(settings).await;
    // What the one before had is not this one's, and what another made is not ours.
    for home in [&reborn, &replaced] {
        let conflict = |object: &Value| is_current(object) && condition(object, "Ready").reason == "NameConflict";
        stage.becomes(("Component", home, APP), conflict).await;
        trial.held(began.elapsed());
    }
    for home in [&flipped, &flipped_back] {
        LIFE.done(stage, Step::Create, home).await;
        trial.held(began.elapsed());
    }
    assert_quiet(bench.cluster, &all, QUIET).await;
    assert_eq!(stage.get(settings).await, theirs, "it is another's");
    // Nothing but status, and the finalizer of the new one; what was asked for anew was refused.
    let mut written = writes_since(bench.cluster, mark).await;
    written.retain(|entry| all.iter().any(|home| within(entry, home)) && entry.code < 300);
    written.retain(|entry| !entry.resource.starts_with("components."));
    assert!(written.is_empty(), "{}", lines(&written));
    trial.ends(Verdict::Resilient, "");
}

/// From the spec as it is to another and back.
async fn flip(stage: &Stage<'_>, home: &str) {
    for text in ["two", "one"] {
        let change = json!({"spec": {"template": {"parameters": {"text": text}}}});
        stage.edit(("Component", home, APP), change).await;
    }
}

/// R5: every event comes ten seconds late, and an old list is given out.
async fn late_events(bench: &Bench<'_>, operator: Operator) -> Operator {
    let stage = &bench.stage;
    let mut trial = Trial::of("R5", "events ten seconds late; an old list", 5);
    let [lived, flipped, drifted, phantom, travelled] = bench.homes().await;
    bench
        .lives(
            &[flipped.clone(), drifted.clone(), phantom.clone(), travelled.clone()],
            &[Step::Create],
        )
        .await;
    let old = old_list(stage).await;
    bench.takes(&travelled, Step::Update).await;
    bench.takes(&travelled, Step::Prune).await;
    let mark = bench.cluster.audit().mark().await;
    let late = bench.proxy.when(Fault::LateEvents(LATE), Call::is_watch);
    let began = Instant::now();
    tokio::join!(
        bench.lives(std::slice::from_ref(&lived), &[Step::Create, Step::Update]),
        flip(stage, &flipped),
        stage.delete(("ConfigMap", &drifted, "beside")),
    );
    LIFE.done(stage, Step::Create, &flipped).await;
    stage.appears(("ConfigMap", &drifted, "beside")).await;
    drop(late);
    bench.proxy.cut_watches(); // with all that is still on its way
    bench.takes(&drifted, Step::Update).await;
    trial.held(began.elapsed());
    trial.held(began.elapsed());
    trial.held(began.elapsed());

    // An instance is taken away by force, and with it what it had. Its objects' watch says so at once, its own later.
    let late = bench.proxy.when(Fault::LateEvents(LATE), |call| {
        call.is_watch() && call.is_of("components")
    });
    let place = ("Component", phantom.as_str(), APP);
    stage.edit(place, json!({"metadata": {"finalizers": null}})).await;
    stage.delete(place).await;
    let made = format!("{phantom}-{APP}");
    stage.delete(("ConfigMap", &phantom, "beside")).await;
    stage.delete(("Namespace", "", &made)).await;
    stage.vanishes(("Namespace", "", &made)).await;
    tokio::time::sleep(LATE).await; // while it does not know, and until it does
    assert_eq!(
        stage.get(("Namespace", "", &made)).await,
        None,
        "made again for an instance that is gone"
    );
    assert_eq!(
        stage.get(("ConfigMap", &phantom, "beside")).await,
        None,
        "made again for an instance that is gone"
    );
    drop(late);
    trial.held(Duration::ZERO);

    // An operator starts, and is given the past where it lets the apiserver choose.
    operator.kill();
    let any = |call: &Call| call.method == "GET" && call.query.contains("resourceVersion=0");
    let own = bench.proxy.when(Fault::Answer(old.0), move |call| {
        any(call) && call.path.ends_with("/v1alpha1/components")
    });
    let children = bench.proxy.when(Fault::Answer(old.1), move |call| {
        any(call) && call.path == "/api/v1/configmaps"
    });
    let late = bench.proxy.when(Fault::LateEvents(LATE), |call| {
        call.is_watch() && !call.query.contains("sendInitialEvents")
    });
    let began = Instant::now();
    let operator = bench.proxy.operator(bench.cluster, &[]).await;
    tokio::time::sleep(LATE + QUIET).await;
    drop((own, children, late));
    LIFE.done(stage, Step::Prune, &travelled).await;
    trial.held(began.elapsed());
    let homes = [lived.clone(), flipped.clone(), drifted.clone(), travelled.clone()];
    assert_quiet(bench.cluster, &homes, QUIET).await;
    let written: Vec<_> = writes_since(bench.cluster, mark)
        .await
        .into_iter()
        .filter(|entry| within(entry, &travelled))
        .collect();
    assert!(written.is_empty(), "it was done before:\n{}", lines(&written));
    let places = [(lived, 1), (travelled, 2)];
    trial.extra_writes(bench.reference.assert_same_in(stage, &places, mark).await);
    trial.ends(Verdict::Resilient, "");
    operator
}

/// The lists of Components, as the first events of a watch, and of our `ConfigMap`s, as they are now.
async fn old_list(stage: &Stage<'_>) -> (Bytes, Bytes) {
    let list = async |path: &str| {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        Bytes::from(stage.client.request_text(request).await.unwrap())
    };
    let components: Value =
        serde_json::from_slice(&list("/apis/catalog.landfall.dev/v1alpha1/components").await).unwrap();
    let mut events: Vec<Value> = components["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| json!({"type": "ADDED", "object": object}))
        .collect();
    events.push(json!({"type": "BOOKMARK", "object": {
        "apiVersion": components["apiVersion"], "kind": "Component",
        "metadata": {"resourceVersion": components["metadata"]["resourceVersion"], "annotations": {"k8s.io/initial-events-end": "true"}},
    }}));
    let events: Vec<String> = events.iter().map(Value::to_string).collect();
    (
        events.join("\n").into(),
        list("/api/v1/configmaps?labelSelector=landfall.dev/instance-uid").await,
    )
}
