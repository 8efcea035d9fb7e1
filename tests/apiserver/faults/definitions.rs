//! R23 and R24: the definitions of the operator's own kinds are older or newer than it, go while it runs, and come back, under
//! instances that are alive.

use std::time::Instant;

use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use super::reference::assert_no_panic;
use crate::support::{
    Cluster, Entry, Mark, Operator, Stage, Trial, Verdict, condition, config_map, eventually, is_write, lines,
    namespace_manifest, repository, resource, uid, with,
};

const COMPONENTS: &str = "components.catalog.landfall.dev";
/// The place of the version's schema in a definition.
const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema/properties";

/// A definition as it is shipped.
fn shipped(name: &str) -> Value {
    let text = std::fs::read_to_string(repository().join("crds").join(format!("{name}.yaml"))).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// Puts the spec of a definition in the place of what is there.
async fn replace(stage: &Stage<'_>, definition: &Value) {
    let name = definition["metadata"]["name"].as_str().unwrap();
    let api = stage.api("CustomResourceDefinition", "");
    eventually("the definition to be replaced", async || {
        let mut found = api.get(name).await?;
        found.data["spec"] = definition["spec"].clone();
        api.replace(name, &PostParams::default(), &found).await
    })
    .await;
}

async fn install(stage: &Stage<'_>, name: &str) {
    stage.put(shipped(name)).await;
    let established = |object: &Value| condition(object, "Established").status == "True";
    stage.becomes(("CustomResourceDefinition", "", name), established).await;
}

/// A template of a namespace and a `ConfigMap` in it.
pub fn template(stage: &Stage<'_>) -> Value {
    let metadata = json!({"name": "settings", "namespace": "${{ resources.ns.metadata.name }}"});
    let settings = with(config_map("settings", json!({"a": "b"})), json!({"metadata": metadata}));
    let resources = json!([resource("ns", namespace_manifest("")), resource("settings", settings)]);
    stage.template_object("app", resources, json!({}))
}

/// The objects of a component, as they are.
async fn objects(stage: &Stage<'_>, name: &str) -> [Option<Value>; 2] {
    objects_of(stage, &format!("{}-{name}", stage.home)).await
}

/// A namespace of [`template`]'s with what is in it.
pub async fn objects_of(stage: &Stage<'_>, namespace: &str) -> [Option<Value>; 2] {
    let settings = stage.get(("ConfigMap", namespace, "settings")).await;
    [stage.get(("Namespace", "", namespace)).await, settings]
}

/// What was written by the operator since `mark`, events and leases aside.
async fn written(stage: &Stage<'_>, mark: Mark) -> Vec<Entry> {
    let entries = stage.cluster.audit().since(mark).await;
    let own = entries
        .into_iter()
        .filter(|entry| entry.user_agent.starts_with("landfall/"));
    own.filter(|entry| is_write(entry) && entry.is_counted()).collect()
}

pub async fn says(operator: &Operator, expected: &str) {
    eventually(&format!("readiness to say: {expected}"), async || {
        let (code, said) = operator.get("/readyz").await.map_err(|error| error.to_string())?;
        if code == 503 && said.contains(expected) {
            Ok(())
        } else {
            Err(said)
        }
    })
    .await;
}

#[tokio::test]
async fn definitions_may_be_older_or_newer_and_go_and_come_back() {
    let cluster = Cluster::own("definitions").await;
    let stage = Stage::on(&cluster, "defined").await;
    let mut operator = Operator::start(&cluster).await;
    stage.put(template(&stage)).await;
    stage.component("old", json!({"ref": "app"})).await;
    stage.ready("Component", "old").await;
    let mut trial = Trial::of(
        "R23",
        "own definitions older, newer, deleted while it runs, and put back",
        5,
    );
    for lacking in ["inventory", "environments"] {
        let began = older(&stage, &mut operator, lacking).await;
        trial.held(began.elapsed());
    }
    trial.held(newer(&stage, &operator).await.elapsed());
    trial.held(templates_go(&stage, &mut operator).await.elapsed());
    trial.held(components_go(&stage, &mut operator).await.elapsed());
    assert_eq!(operator.ended(), None, "{}", operator.log_tail());
    assert_no_panic(&cluster);
    trial.ends(Verdict::Resilient, "");
}

/// A definition that does not know a field of the status: the apiserver would cut it from whatever is written.
async fn older(stage: &Stage<'_>, operator: &mut Operator, lacking: &str) -> Instant {
    let before = (stage.ready("Component", "old").await, objects(stage, "old").await);
    let mut definition = shipped(COMPONENTS);
    let schema = definition.pointer_mut(SCHEMA).unwrap();
    schema["status"]["properties"].as_object_mut().unwrap().remove(lacking);
    // In the middle of its work.
    let name = format!("new-{lacking}");
    stage.component(&name, json!({"ref": "app"})).await;
    replace(stage, &definition).await;
    says(operator, &format!("definition {COMPONENTS}: it is older than this operator, which writes nothing until it is brought up to date: it lacks status.{lacking}")).await;
    let mark = stage.cluster.audit().mark().await;
    let late = format!("late-{lacking}");
    stage.component(&late, json!({"ref": "app"})).await;
    stage
        .put(stage.catalog("Group", &late, json!({"type": "team", "children": []})))
        .await;
    // It has looked at its definitions again, in vain.
    let log = std::fs::read_to_string(operator.log()).unwrap().len();
    let mut touched = shipped("groups.catalog.landfall.dev");
    touched["metadata"]["annotations"] = json!({"seen": lacking});
    stage.put(touched).await;
    eventually("it to have tried", async || {
        let said = std::fs::read_to_string(operator.log()).unwrap();
        let tried = said[log..].contains("older than the operator");
        tried.then_some(()).ok_or(operator.log_tail())
    })
    .await;
    let entries = written(stage, mark).await;
    assert!(entries.is_empty(), "{}", lines(&entries));

    replace(stage, &shipped(COMPONENTS)).await;
    let began = Instant::now();
    operator.wait_ready().await.unwrap();
    for name in [&name, &late] {
        stage.ready("Component", name).await;
    }
    // Nothing that was known of the other is lost, and its objects are the same.
    let component = stage.looked_at("Component", "old").await;
    assert_eq!(component["status"]["inventory"], before.0["status"]["inventory"]);
    assert_eq!(objects(stage, "old").await, before.1);
    began
}

/// A definition that knows more than the operator, and an instance in which a newer operator has written that.
async fn newer(stage: &Stage<'_>, operator: &Operator) -> Instant {
    let before = objects(stage, "old").await;
    let mut definition = shipped(COMPONENTS);
    let schema = definition.pointer_mut(SCHEMA).unwrap();
    schema["status"]["properties"]["tomorrow"] = json!({"type": "string"});
    replace(stage, &definition).await;
    let began = Instant::now();
    eventually("it to say what it does not act on", async || {
        let said = std::fs::read_to_string(operator.log()).unwrap();
        let named = said.contains("newer than this operator, which does not act on status.tomorrow");
        named.then_some(()).ok_or(operator.log_tail())
    })
    .await;
    assert_eq!(operator.get("/readyz").await.unwrap().0, 200);
    stage.component("tomorrow", json!({"ref": "app"})).await;
    stage.ready("Component", "tomorrow").await;
    stage.looked_at("Component", "old").await;
    assert_eq!(objects(stage, "old").await, before);
    replace(stage, &shipped(COMPONENTS)).await;
    stage.looked_at("Component", "old").await;
    assert_eq!(objects(stage, "old").await, before);
    began
}

/// All templates go with their definition: instances keep what they have, and say why nothing is done for them.
async fn templates_go(stage: &Stage<'_>, operator: &mut Operator) -> Instant {
    let before = objects(stage, "old").await;
    let templates = "templates.catalog.landfall.dev";
    stage.delete(("CustomResourceDefinition", "", templates)).await;
    stage.vanishes(("CustomResourceDefinition", "", templates)).await;
    stage.unready("Component", "old", "TemplateNotFound").await;
    says(operator, &format!("definition {templates}: it is not installed")).await;
    assert_eq!(objects(stage, "old").await, before);
    install(stage, templates).await;
    let began = Instant::now();
    operator.wait_ready().await.unwrap();
    stage.put(template(stage)).await;
    stage.ready("Component", "old").await;
    assert_eq!(objects(stage, "old").await, before);
    began
}

/// The instances' own definition goes: that is their deletion, and what they were given goes first. It comes back to an operator
/// that has never ended.
async fn components_go(stage: &Stage<'_>, operator: &mut Operator) -> Instant {
    stage.delete(("CustomResourceDefinition", "", COMPONENTS)).await;
    stage.vanishes(("CustomResourceDefinition", "", COMPONENTS)).await;
    assert_eq!(objects(stage, "old").await, [None, None]);
    says(operator, &format!("definition {COMPONENTS}: it is not installed")).await;
    install(stage, COMPONENTS).await;
    let began = Instant::now();
    operator.wait_ready().await.unwrap();
    stage.component("old", json!({"ref": "app"})).await;
    stage.ready("Component", "old").await;
    assert!(objects(stage, "old").await.iter().all(Option::is_some));
    began
}

/// A newer operator has worked on the instances and is replaced by this one, which replaces it again: what can be told of it
/// on one program is that what the newer one knew and this one does not changes no object of an instance.
#[tokio::test]
async fn operators_are_exchanged_over_live_objects() {
    let cluster = Cluster::own("exchange").await;
    let stage = Stage::on(&cluster, "exchange").await;
    let operator = Operator::start(&cluster).await;
    stage.put(template(&stage)).await;
    for name in ["one", "two"] {
        stage.component(name, json!({"ref": "app"})).await;
        stage.ready("Component", name).await;
    }
    let before = (objects(&stage, "one").await, objects(&stage, "two").await);
    let mut trial = Trial::of(
        "R24",
        "operators exchanged and exchanged back, with the newer one's status and definitions",
        3,
    );
    assert!(operator.stop().await.success());

    // The newer one has come, knows more of an instance and of each of its objects, and has gone.
    let mut definition = shipped(COMPONENTS);
    let status = &mut definition.pointer_mut(SCHEMA).unwrap()["status"]["properties"];
    status["tomorrow"] = json!({"type": "string"});
    status["inventory"]["items"]["properties"]["tomorrow"] = json!({"type": "string"});
    replace(&stage, &definition).await;
    let place = ("Component", stage.home.as_str(), "one");
    let mut known = stage.get(place).await.unwrap();
    known["status"]["tomorrow"] = "it knows more".into();
    for entry in known["status"]["inventory"].as_array_mut().unwrap() {
        entry["tomorrow"] = "it knows more".into();
    }
    let newer = known["status"].clone();
    eventually("the newer one's status to be taken", async || {
        stage.set_status(place, newer.clone()).await;
        let stored = stage.get(place).await.unwrap();
        let kept = stored["status"]["inventory"][0]["tomorrow"] == "it knows more";
        kept.then_some(()).ok_or(stored["status"].to_string())
    })
    .await;

    for definition in [None, Some(shipped(COMPONENTS)), Some(definition)] {
        let began = Instant::now();
        if let Some(definition) = definition {
            replace(&stage, &definition).await;
        }
        let mark = cluster.audit().mark().await;
        let operator = Operator::start(&cluster).await;
        for name in ["one", "two"] {
            let component = stage.looked_at("Component", name).await;
            assert_eq!(condition(&component, "Ready").status, "True", "{component:#}");
            assert_eq!(component["metadata"]["generation"], 1);
        }
        trial.held(began.elapsed());
        let entries = written(&stage, mark).await;
        let others: Vec<Entry> = entries
            .into_iter()
            .filter(|entry| !entry.resource.ends_with("catalog.landfall.dev/status"))
            .collect();
        assert!(others.is_empty(), "{}", lines(&others));
        // Down to the resourceVersion.
        assert_eq!((objects(&stage, "one").await, objects(&stage, "two").await), before);
        assert!(operator.stop().await.success());
    }
    assert_no_panic(&cluster);
    trial.ends(Verdict::Resilient, "");
}
