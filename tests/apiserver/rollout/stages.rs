//! A new version reaches the environments one after the other.

use std::process::Command;

use serde_json::{Value, json};

use super::*;
use crate::support::{Cluster, Mark, Operator, eventually};

/// A Template's resources: a `ConfigMap` `<instance>-<environment>` for each environment, and `<instance>-shared` outside of them. Each is
/// ready at once where it holds `fast…`, and when somebody has let it go elsewhere.
pub fn staged(text: &str) -> Value {
    let ready_when = if text.starts_with("fast") {
        "${{ true }}"
    } else {
        "${{ self.data.go == self.data.text }}"
    };
    let config = config_map("${{ entity.metadata.name }}-${{ each.key }}", json!({"text": text}));
    let each =
        json!({"each": "${{ parameters.environments }}", "environment": "${{ each.key }}", "readyWhen": ready_when});
    let shared = config_map("${{ entity.metadata.name }}-shared", json!({"text": text}));
    json!([
        with(resource("config", config), each),
        with(resource("shared", shared), json!({"readyWhen": ready_when})),
    ])
}

/// What such a Template says beside its resources.
pub fn spec_of(version: &str, rollout: &Value) -> Value {
    let environments = json!({"type": "object", "default": {"dev": {}, "prod": {}}});
    with(
        crate::support::parameters(json!({"environments": environments})),
        spec(version, rollout),
    )
}

/// Applies the Template `app` with this text at this version.
pub async fn publish_staged(stage: &Stage<'_>, text: &str, version: &str, rollout: &Value) {
    stage
        .template_with("app", staged(text), spec_of(version, rollout))
        .await;
}

fn dev_first() -> Value {
    json!({"environments": ["dev", "prod"]})
}

/// The texts that an instance's objects hold: in dev, in prod and outside.
pub async fn texts(stage: &Stage<'_>, name: &str) -> [String; 3] {
    let text = async |part: &str| {
        let object = stage.get(("ConfigMap", &stage.home, &format!("{name}-{part}"))).await;
        object.map_or_else(String::new, |object| {
            object["data"]["text"].as_str().unwrap().to_owned()
        })
    };
    [text("dev").await, text("prod").await, text("shared").await]
}

/// The versions of an instance: of dev, of prod, and its own.
pub fn versions(component: &Value) -> [String; 3] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |name: &str| {
        let all = component["status"]["environments"].as_array();
        let found = all
            .into_iter()
            .flatten()
            .find(|environment| environment["name"] == name);
        found.map_or_else(String::new, |environment| text(&environment["version"]))
    };
    [of("dev"), of("prod"), text(&component["status"]["template"]["version"])]
}

/// Waits until an instance has these versions in dev, in prod, and of its own.
pub async fn stands_at(stage: &Stage<'_>, name: &str, wanted: [&str; 3]) -> Value {
    stage
        .becomes(("Component", &stage.home, name), |object| versions(object) == wanted)
        .await
}

/// Lets one of an instance's objects become ready that holds `text`.
async fn let_part_go(stage: &Stage<'_>, name: &str, part: &str, text: &str) {
    let object = format!("{name}-{part}");
    stage
        .edit(("ConfigMap", &stage.home, &object), json!({"data": {"go": text}}))
        .await;
}

/// The parts that the operator has written since, in this order, each time that it went on to another.
pub async fn order_since(stage: &Stage<'_>, mark: Mark) -> Vec<String> {
    let mut written = stage.written_since(mark).await;
    written.retain(|entry| entry.resource == "configmaps" && entry.code < 300);
    let mut parts: Vec<String> = written
        .iter()
        .map(|entry| entry.name.rsplit_once('-').unwrap().1.to_owned())
        .collect();
    parts.dedup();
    parts
}

#[tokio::test]
async fn a_new_version_reaches_every_dev_before_any_prod_and_last_what_is_in_no_environment() {
    let stage = Stage::new("stages").await;
    let rollout = with(dev_first(), json!({"maxUnavailable": 1}));
    publish_staged(&stage, "fast", "1.0.0", &rollout).await;
    let names = ["a", "b", "c"];
    instances(&stage, &names).await;
    rollout_is(&stage, "Complete", "1.0.0").await;

    let mark = stage.cluster.audit().mark().await;
    publish_staged(&stage, "slow", "2.0.0", &rollout).await;
    for (place, part) in ["dev", "prod", "shared"].into_iter().enumerate() {
        for moved in 0..names.len() {
            // One at a time, of whichever it is the turn.
            let (name, down) = eventually("the next to be moved", async || {
                let (mut at, mut down) = (0, Vec::new());
                for name in names {
                    let component = stage.get(("Component", &stage.home, name)).await.unwrap();
                    at += usize::from(versions(&component)[place] == "2.0.0");
                    if condition(&component, "Ready").status != "True" {
                        down.push(name);
                    }
                }
                let name = (at == moved + 1).then(|| down.first().copied()).flatten();
                name.map(|name| (name, down.len())).ok_or(format!("{part}: {at}"))
            })
            .await;
            assert_eq!(down, 1, "{name} and more are not Ready");
            if moved == 0 {
                let template = stage
                    .becomes(("Template", &stage.home, "app"), |object| {
                        let rollout = &object["status"]["rollout"];
                        let updated = &rollout["environments"][place]["updated"];
                        (if place == 2 { &rollout["updated"] } else { updated }) == 1
                    })
                    .await;
                let said = &template["status"]["rollout"];
                let environment = if place == 2 { json!(null) } else { json!(part) };
                assert_eq!(
                    (&said["state"], &said["environment"], &said["updated"]),
                    (&json!("Progressing"), &environment, &json!(i64::from(place == 2))),
                    "{said:#}"
                );
                let message = said["message"].as_str().unwrap();
                assert!(message.contains(&format!("stage {} of 3", place + 1)), "{message}");
            }
            let_part_go(&stage, name, part, "slow").await;
        }
    }
    let status = rollout_is(&stage, "Complete", "2.0.0").await;
    let all = |name: &str| json!({"name": name, "following": 3, "updated": 3});
    assert_eq!(status["rollout"]["environments"], json!([all("dev"), all("prod")]));
    assert_eq!(order_since(&stage, mark).await, ["dev", "prod", "shared"]);
    for name in names {
        let component = arrives(&stage, name, "2.0.0").await;
        assert_eq!(condition(&component, "UpToDate").status, "True");
        assert_eq!(component["status"]["template"]["environments"], json!(null));
    }
    // Back it goes in the same order.
    let mark = stage.cluster.audit().mark().await;
    publish_staged(&stage, "fast", "1.0.0", &rollout).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    assert_eq!(order_since(&stage, mark).await, ["dev", "prod", "shared"]);
}

#[tokio::test]
async fn a_stage_that_breaks_one_that_was_ready_stops_all_that_come_after_it() {
    let stage = Stage::new("stagestop").await;
    let rollout = with(dev_first(), json!({"maxUnavailable": 1}));
    publish_staged(&stage, "fast", "1.0.0", &rollout).await;
    instances(&stage, &["a", "b"]).await;
    rollout_is(&stage, "Complete", "1.0.0").await;

    let mut resources = staged("fast two");
    resources[0]["manifest"]["data"] = json!({"no such key": "x"});
    let mark = stage.cluster.audit().mark().await;
    stage.template_with("app", resources, spec_of("2.0.0", &rollout)).await;
    let status = rollout_is(&stage, "Stopped", "2.0.0").await;
    assert_eq!(status["rollout"]["environment"], "dev");
    let message = status["rollout"]["message"].as_str().unwrap();
    assert!(
        message.contains("stage 1 of 3: environment dev") && message.contains("no such key"),
        "{message}"
    );
    for name in ["a", "b"] {
        let component = stage.looked_at("Component", name).await;
        assert_eq!(versions(&component)[1..], ["1.0.0", "1.0.0"]);
        assert_eq!(texts(&stage, name).await, ["fast", "fast", "fast"]);
    }
    assert_eq!(order_since(&stage, mark).await, [""; 0], "nothing was taken");
    let broken = ["a", "b"].map(async |name| stage.get(("Component", &stage.home, name)).await.unwrap());
    let broken = futures::future::join_all(broken).await;
    let down = broken
        .iter()
        .filter(|object| condition(object, "Ready").status != "True");
    assert_eq!(down.count(), 1, "one at a time");

    // The one before comes back where the new one was.
    let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["rollout", "undo", "app", "-n", &stage.home])
        .env("KUBECONFIG", stage.cluster.kubeconfig())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    rollout_is(&stage, "Complete", "1.0.0").await;
    for name in ["a", "b"] {
        stage.ready("Component", name).await;
        assert_eq!(texts(&stage, name).await, ["fast", "fast", "fast"]);
    }
}

#[tokio::test]
async fn what_a_version_has_broken_in_a_later_stage_takes_no_room_from_its_own_way_back() {
    let stage = Stage::new("stageback").await;
    let rollout = with(dev_first(), json!({"maxUnavailable": 1}));
    publish_staged(&stage, "fast", "1.0.0", &rollout).await;
    instances(&stage, &["a", "b", "c"]).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    // In prod alone the object never is ready.
    let mut resources = staged("fast two");
    resources[0]["readyWhen"] = json!("${{ each.key == 'dev' }}");
    stage.template_with("app", resources, spec_of("2.0.0", &rollout)).await;
    let moved = eventually("one prod to be moved", async || {
        for name in ["a", "b", "c"] {
            let component = stage.get(("Component", &stage.home, name)).await.unwrap();
            if versions(&component) == ["2.0.0", "2.0.0", "1.0.0"] && condition(&component, "Ready").status != "True" {
                return Some(name);
            }
        }
        None
    })
    .await;
    publish_staged(&stage, "fast", "1.0.0", &rollout).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    for name in ["a", "b", "c"] {
        stage.ready("Component", name).await;
        assert_eq!(
            texts(&stage, name).await,
            ["fast", "fast", "fast"],
            "{moved} was broken"
        );
    }
}

#[tokio::test]
async fn promotion_and_the_way_back_are_the_moving_of_one_pin() {
    let stage = Stage::new("pins").await;
    // Pins go before everything.
    let rollout = with(dev_first(), json!({"paused": true}));
    publish_staged(&stage, "fast", "1.0.0", &rollout).await;
    let pinned = |version: &str| json!({"ref": "app", "environments": {"prod": {"version": version}}});
    stage.component("a", pinned("1.0.0")).await;
    stage.ready("Component", "a").await;
    publish_staged(&stage, "fast two", "2.0.0", &rollout).await;
    rollout_is(&stage, "Paused", "2.0.0").await;
    for (version, text) in [("2.0.0", "fast two"), ("1.0.0", "fast")] {
        let mark = stage.cluster.audit().mark().await;
        stage.component("a", pinned(version)).await;
        stands_at(&stage, "a", ["1.0.0", version, "1.0.0"]).await;
        stage.ready("Component", "a").await;
        assert_eq!(texts(&stage, "a").await, ["fast", text, "fast"]);
        assert_eq!(order_since(&stage, mark).await, ["prod"]);
    }
    // The rollout passes over it, and says so nowhere as a fault.
    publish_staged(&stage, "fast two", "2.0.0", &dev_first()).await;
    rollout_is(&stage, "Complete", "2.0.0").await;
    stands_at(&stage, "a", ["2.0.0", "1.0.0", "2.0.0"]).await;
    let component = stage.ready("Component", "a").await;
    let said = condition(&component, "UpToDate");
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", "Pinned"));
    assert_eq!(
        said.message,
        "at version 2.0.0, the newest, environment prod at 1.0.0: pinned to it by spec.template.environments"
    );
    assert_eq!(texts(&stage, "a").await, ["fast two", "fast", "fast two"]);

    // Without its pin it follows again, when it may.
    publish_staged(&stage, "fast two", "2.0.0", &rollout).await;
    stage.component("a", json!({"ref": "app"})).await;
    let template = rollout_is(&stage, "Paused", "2.0.0").await;
    assert_eq!(template["rollout"]["environment"], "prod");
    let component = stage.looked_at("Component", "a").await;
    assert_eq!(versions(&component), ["2.0.0", "1.0.0", "2.0.0"]);
    assert_eq!(condition(&component, "UpToDate").reason, "NewerVersion");
    publish_staged(&stage, "fast two", "2.0.0", &dev_first()).await;
    stands_at(&stage, "a", ["2.0.0", "2.0.0", "2.0.0"]).await;
    rollout_is(&stage, "Complete", "2.0.0").await;
}

#[tokio::test]
async fn an_instance_says_which_environment_is_where_and_which_comes_next() {
    let stage = Stage::new("stagesays").await;
    publish_staged(&stage, "fast", "1.0.0", &dev_first()).await;
    instances(&stage, &["a", "b"]).await;
    publish_staged(&stage, "slow", "2.0.0", &dev_first()).await;
    for name in ["a", "b"] {
        stands_at(&stage, name, ["2.0.0", "1.0.0", "1.0.0"]).await;
    }
    let_part_go(&stage, "a", "dev", "slow").await;
    let component = stage.ready("Component", "a").await;
    let said = condition(&component, "UpToDate");
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", "NewerVersion"));
    assert_eq!(
        said.message,
        "at version 1.0.0, environment dev at 2.0.0, while the newest is 2.0.0: environment prod waits for its turn in the template's rollout, and after it the rest"
    );
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(arguments)
            .args(["-n", &stage.home])
            .env("KUBECONFIG", stage.cluster.kubeconfig())
            .output()
            .unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let why = run(&["why", "component/a"]);
    assert!(
        why.contains("environment dev at 2.0.0, while the newest is 2.0.0"),
        "{why}"
    );
    stage
        .becomes(("Template", &stage.home, "app"), |object| {
            object["status"]["rollout"]["environment"] == "prod"
        })
        .await;
    let status = run(&["rollout", "status", "app"]);
    assert!(
        status.contains("stage 2 of 3: environment prod (0 of 2); this begins when component:")
            && status.contains("  dev: 2 of 2 at it\n  prod: 0 of 2 at it"),
        "{status}"
    );
    for part in ["dev", "prod", "shared"] {
        for name in ["a", "b"] {
            stage
                .becomes(("ConfigMap", &stage.home, &format!("{name}-{part}")), |object| {
                    object["data"]["text"] == "slow"
                })
                .await;
            let_part_go(&stage, name, part, "slow").await;
        }
    }
    rollout_is(&stage, "Complete", "2.0.0").await;
}

#[tokio::test]
async fn a_version_that_takes_other_parameters_is_taken_environment_by_environment() {
    let stage = Stage::new("stageparams").await;
    publish_staged(&stage, "fast", "1.0.0", &dev_first()).await;
    instances(&stage, &["a"]).await;
    let mut more = spec_of("2.0.0", &dev_first());
    more["parameters"]["additionalProperties"] = json!(false);
    more["parameters"]["properties"]["colour"] = json!({"type": "string"});
    more["parameters"]["required"] = json!(["colour"]);
    stage.template_with("app", staged("slow"), more).await;
    let status = rollout_is(&stage, "HeldBack", "2.0.0").await;
    assert!(
        status["rollout"]["message"].as_str().unwrap().contains("colour"),
        "{status:#}"
    );
    // What only the newest knows is no fault of one that is on its way there.
    stage
        .component("a", json!({"ref": "app", "parameters": {"colour": "red"}}))
        .await;
    let component = stands_at(&stage, "a", ["2.0.0", "1.0.0", "1.0.0"]).await;
    assert_ne!(condition(&component, "Ready").reason, "InvalidParameters");
    for part in ["dev", "prod", "shared"] {
        stage
            .becomes(("ConfigMap", &stage.home, &format!("a-{part}")), |object| {
                object["data"]["text"] == "slow"
            })
            .await;
        let_part_go(&stage, "a", part, "slow").await;
    }
    rollout_is(&stage, "Complete", "2.0.0").await;
}

#[tokio::test]
async fn what_a_version_deletes_is_asked_for_in_each_stage() {
    let stage = Stage::new("stageconsent").await;
    let mut resources = staged("fast");
    let more = config_map(
        "${{ entity.metadata.name }}-more-${{ each.key }}",
        json!({"text": "fast"}),
    );
    let each = json!({"each": "${{ parameters.environments }}", "environment": "${{ each.key }}"});
    resources
        .as_array_mut()
        .unwrap()
        .push(with(resource("more", more), each));
    stage
        .template_with("app", resources, spec_of("1.0.0", &dev_first()))
        .await;
    instances(&stage, &["a"]).await;
    publish_staged(&stage, "fast", "2.0.0", &dev_first()).await;
    let mut given = Vec::new();
    for (part, at) in [
        ("dev", ["1.0.0", "1.0.0", "1.0.0"]),
        ("prod", ["2.0.0", "1.0.0", "1.0.0"]),
    ] {
        let component = stage
            .becomes(("Component", &stage.home, "a"), |object| {
                let said = condition(object, "UpToDate");
                said.reason == "DeletionNotConfirmed" && said.message.contains(&format!("a-more-{part}"))
            })
            .await;
        assert_eq!(versions(&component), at);
        rollout_is(&stage, "HeldBack", "2.0.0").await;
        let said = condition(&component, "UpToDate");
        assert_eq!(said.message.matches("a-more-").count(), 1, "{}", said.message);
        let (_, word) = said.message.rsplit_once("landfall.dev/confirm-deletion=").unwrap();
        given.push(word.to_owned());
        let words = json!({"metadata": {"annotations": {"landfall.dev/confirm-deletion": given.join(",")}}});
        stage.edit(("Component", &stage.home, "a"), words).await;
        stage
            .vanishes(("ConfigMap", &stage.home, &format!("a-more-{part}")))
            .await;
    }
    rollout_is(&stage, "Complete", "2.0.0").await;
    stands_at(&stage, "a", ["2.0.0", "2.0.0", "2.0.0"]).await;
}

#[tokio::test]
async fn a_list_that_changes_on_the_way_holds_at_once_and_takes_nothing_back() {
    let stage = Stage::new("stagelist").await;
    publish_staged(&stage, "fast", "1.0.0", &dev_first()).await;
    // One without prod, and one whose environment the list does not name.
    stage
        .component(
            "a",
            json!({"ref": "app", "parameters": {"environments": {"dev": {}, "prod": {}, "other": {}}}}),
        )
        .await;
    stage
        .component("b", json!({"ref": "app", "parameters": {"environments": {"prod": {}}}}))
        .await;
    stage.ready("Component", "a").await;
    stage.ready("Component", "b").await;
    publish_staged(&stage, "slow", "2.0.0", &dev_first()).await;
    stands_at(&stage, "a", ["2.0.0", "1.0.0", "1.0.0"]).await;
    let component = stage.looked_at("Component", "b").await;
    assert_eq!(
        versions(&component),
        ["", "1.0.0", "1.0.0"],
        "prod comes after the other's dev"
    );
    // Now other comes next.
    publish_staged(&stage, "slow", "2.0.0", &json!({"environments": ["other", "prod"]})).await;
    let other = stage
        .becomes(("ConfigMap", &stage.home, "a-other"), |object| {
            object["data"]["text"] == "slow"
        })
        .await;
    assert_eq!(other["data"]["text"], "slow");
    assert_eq!(texts(&stage, "a").await, ["slow", "fast", "fast"]);
    // Without a list, all that is left moves at once; without a rollout, everything.
    publish_staged(&stage, "slow", "2.0.0", &json!({"maxUnavailable": "100%"})).await;
    for name in ["a", "b"] {
        stage
            .becomes(("ConfigMap", &stage.home, &format!("{name}-shared")), |object| {
                object["data"]["text"] == "slow"
            })
            .await;
        stage
            .becomes(("ConfigMap", &stage.home, &format!("{name}-prod")), |object| {
                object["data"]["text"] == "slow"
            })
            .await;
    }
    let mut without = spec_of("3.0.0", &json!({}));
    without.as_object_mut().unwrap().remove("rollout");
    stage.template_with("app", staged("fast at last"), without).await;
    for name in ["a", "b"] {
        arrives(&stage, name, "3.0.0").await;
    }
    assert_eq!(texts(&stage, "a").await, ["fast at last"; 3]);
}

#[tokio::test]
async fn the_next_stage_waits_until_the_one_before_has_been_ready_long_enough() {
    let stage = Stage::new("stagetime").await;
    let rollout = with(dev_first(), json!({"minReadySeconds": 6}));
    publish_staged(&stage, "fast", "1.0.0", &rollout).await;
    instances(&stage, &["a"]).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    publish_staged(&stage, "fast two", "2.0.0", &rollout).await;
    let moved = |value: &Value| {
        value["moved"]["at"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    let component = stands_at(&stage, "a", ["2.0.0", "2.0.0", "1.0.0"]).await;
    let environments = &component["status"]["template"]["environments"];
    assert_eq!(
        (&environments[0]["name"], &environments[1]["name"]),
        (&json!("dev"), &json!("prod"))
    );
    let (dev, prod) = (moved(&environments[0]), moved(&environments[1]));
    let component = stands_at(&stage, "a", ["2.0.0"; 3]).await;
    let own = moved(&component["status"]["template"]);
    for between in [prod.as_second() - dev.as_second(), own.as_second() - prod.as_second()] {
        assert!(between >= 6, "{between} s");
    }
}

#[tokio::test]
async fn a_rollout_by_stages_goes_on_where_it_was_when_the_operator_is_killed() {
    let cluster = Cluster::own("stages-killed").await;
    let mut operator = Operator::start(&cluster).await;
    let stage = Stage::on(&cluster, "stageskilled").await;
    let rollout = with(dev_first(), json!({"maxUnavailable": 1}));
    publish_staged(&stage, "fast", "1.0.0", &rollout).await;
    let names = ["a", "b"];
    instances(&stage, &names).await;
    rollout_is(&stage, "Complete", "1.0.0").await;
    let mark = stage.cluster.audit().mark().await;
    publish_staged(&stage, "slow", "2.0.0", &rollout).await;
    for part in ["dev", "prod", "shared"] {
        for _ in names {
            let name = eventually("the next to be moved", async || {
                let mut slow = Vec::new();
                for name in names {
                    let object = stage
                        .get(("ConfigMap", &stage.home, &format!("{name}-{part}")))
                        .await
                        .unwrap();
                    if object["data"]["text"] == "slow" && object["data"]["go"] != "slow" {
                        slow.push(name);
                    }
                }
                assert!(slow.len() <= 1, "{slow:?} at once");
                slow.first().copied()
            })
            .await;
            operator.kill();
            operator = Operator::start(&cluster).await;
            let_part_go(&stage, name, part, "slow").await;
        }
    }
    rollout_is(&stage, "Complete", "2.0.0").await;
    assert_eq!(order_since(&stage, mark).await, ["dev", "prod", "shared"]);
    for name in names {
        arrives(&stage, name, "2.0.0").await;
        assert_eq!(texts(&stage, name).await, ["slow"; 3]);
    }
}
