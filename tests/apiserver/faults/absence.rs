//! R28: namespaces with instances, and the definitions, are deleted while no operator runs. Nothing is deleted in the dark, an operator
//! that comes does what is waited for, and `landfall release` does without one.

use std::time::Instant;

use serde_json::{Value, json};

use super::definitions::{objects_of, says, template};
use super::reference::assert_no_panic;
use crate::deletion::is_released;
use crate::release::release;
use crate::support::{
    Cluster, Operator, Stage, Trial, Verdict, condition, eventually, is_current, repository, uid, with,
};

const COMPONENTS: &str = "components.catalog.landfall.dev";

#[tokio::test]
async fn what_is_deleted_while_no_operator_runs_waits_for_one_or_is_let_go_without() {
    let cluster = Cluster::own("absence").await;
    let stage = Stage::on(&cluster, "absence").await;
    let mut trial = Trial::of(
        "R28",
        "namespaces with instances, and the definitions, deleted while no operator runs",
        3,
    );
    let operator = Operator::start(&cluster).await;
    stage.put(open_template(&stage)).await;
    let (first, second) = (instance(&stage).await, instance(&stage).await);
    let third = instance(&stage).await;
    assert!(operator.stop().await.success());

    waits(&stage, &first).await;
    waits(&stage, &second).await;
    trial.held(is_let_go_without_an_operator(&stage, &second).await.elapsed());
    let began = Instant::now();
    let operator = Operator::start(&cluster).await;
    all_is_gone(&stage, &first).await;
    trial.held(began.elapsed());
    assert!(operator.stop().await.success());
    trial.held(definitions_wait(&stage, &third).await.elapsed());
    assert_no_panic(&cluster);
    trial.ends(Verdict::Resilient, "");
}

/// An instance alone in a namespace of a team, and its objects as they were made.
struct Instance {
    team: String,
    objects: [Option<Value>; 2],
}

fn open_template(stage: &Stage<'_>) -> Value {
    let mut template = template(stage);
    template["spec"]["allowedNamespaces"] = json!({"from": "All"});
    template
}

async fn instance(stage: &Stage<'_>) -> Instance {
    let team = stage.cluster.namespace("absence-team").await;
    let spec = json!({
        "type": "service", "lifecycle": "production", "owner": "group:shop/checkout",
        "template": {"ref": format!("{}/app", stage.home)},
    });
    let placed = json!({"metadata": {"name": "shop", "namespace": team}});
    stage.put(with(stage.catalog("Component", "shop", spec), placed)).await;
    let ready = |object: &Value| is_current(object) && condition(object, "Ready").status == "True";
    stage.becomes(("Component", &team, "shop"), ready).await;
    let objects = objects_of(stage, &format!("{team}-shop")).await;
    assert!(objects.iter().all(Option::is_some), "{objects:#?}");
    Instance { team, objects }
}

/// Deleted, the team's namespace says what it waits for, and what the instance was given is not touched.
async fn waits(stage: &Stage<'_>, instance: &Instance) {
    let team = ("Namespace", "", instance.team.as_str());
    stage.delete(team).await;
    let held = |object: &Value| {
        let remaining = condition(object, "NamespaceFinalizersRemaining");
        remaining.status == "True" && remaining.message.contains("catalog.landfall.dev/provisioned")
    };
    stage.becomes(team, held).await;
    let going = |object: &Value| object["metadata"]["deletionTimestamp"].is_string();
    stage.becomes(("Component", &instance.team, "shop"), going).await;
    assert_eq!(
        objects_of(stage, &format!("{}-shop", instance.team)).await,
        instance.objects
    );
}

async fn is_let_go_without_an_operator(stage: &Stage<'_>, instance: &Instance) -> Instant {
    let began = Instant::now();
    let (code, said) = release(stage.cluster, &["component/shop", "-n", &instance.team, "--wait", "0"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("shop: let go; it was being deleted, and is gone\n"),
        "{said}"
    );
    stage.vanishes(("Namespace", "", &instance.team)).await;
    let now = objects_of(stage, &format!("{}-shop", instance.team)).await;
    for (before, now) in instance.objects.iter().zip(&now) {
        let (before, now) = (before.as_ref().unwrap(), now.as_ref().unwrap());
        assert_eq!((uid(now), &now["data"]), (uid(before), &before["data"]));
        assert!(is_released(now), "{now:#}");
    }
    began
}

async fn all_is_gone(stage: &Stage<'_>, instance: &Instance) {
    stage.vanishes(("Component", &instance.team, "shop")).await;
    stage.vanishes(("Namespace", "", &instance.team)).await;
    stage
        .vanishes(("Namespace", "", &format!("{}-shop", instance.team)))
        .await;
}

/// All definitions are deleted: that of Components waits, and the others, those of Templates among them, are gone. They cannot be put
/// back before all are gone; so an operator that comes then has to begin without them.
async fn definitions_wait(stage: &Stage<'_>, instance: &Instance) -> Instant {
    let crds = repository().join("crds");
    let crds = crds.to_str().unwrap();
    let output = stage.cluster.kubectl(&["delete", "--wait=false", "-f", crds]);
    assert!(output.status.success(), "{output:?}");
    let going = |object: &Value| object["metadata"]["deletionTimestamp"].is_string();
    stage.becomes(("Component", &instance.team, "shop"), going).await;
    stage
        .vanishes(("CustomResourceDefinition", "", "templates.catalog.landfall.dev"))
        .await;
    let definition = ("CustomResourceDefinition", "", COMPONENTS);
    stage.becomes(definition, going).await;
    assert_eq!(
        objects_of(stage, &format!("{}-shop", instance.team)).await,
        instance.objects
    );

    let began = Instant::now();
    let mut operator = Operator::spawn(stage.cluster, |_| {}).unwrap();
    says(&operator, &format!("definition {COMPONENTS}: it is")).await;
    stage.vanishes(definition).await;
    stage
        .vanishes(("Namespace", "", &format!("{}-shop", instance.team)))
        .await;
    says(&operator, &format!("definition {COMPONENTS}: it is not installed")).await;
    // And put back, they are worked with.
    eventually("the definitions to be installed again", async || {
        let output = stage.cluster.kubectl(&["apply", "--server-side", "-f", crds]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(said)
    })
    .await;
    operator.wait_ready().await.unwrap();
    stage.put(open_template(stage)).await;
    self::instance(stage).await;
    began
}
