//! Instances at the door.

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::door::{Door, PARAMETERS, close, component, component_with, kubectl, template, with_template};
use crate::support::{Case, eventually};

#[tokio::test]
async fn every_fault_of_an_instance_is_told_by_its_path_before_it_is_stored() {
    let case = Case::new().await;
    with_template(&case).await;
    let door = Door::open(&case, &[]).await;
    let bad = component(
        "orders",
        "{ref: PLATFORM/web, parameters: {replicsa: 3, replicas: 99, host: 8080, tier: bronze}}",
    );
    let before = case.before(&[]).await;
    let said = door.apply(&bad);
    said.refused();
    insta::assert_snapshot!(said.text.replace(": \n", ":\n").trim(), @r#"
    The Component "orders" is invalid:
    * spec.template.parameters.host: 8080 is an integer, expected a string
    * spec.template.parameters.replicas: 99 is more than the maximum of 10
    * spec.template.parameters.replicsa: unknown parameter; did you mean replicas?
    * spec.template.parameters.tier: "bronze" is not allowed, expected one of gold, silver
    "#);
    case.assert_unchanged(&before).await;
    // The same words as in the condition that the operator writes.
    close(&case).await;
    case.put(&bad).await;
    let condition = case.refused("Component", "orders", "InvalidParameters").await;
    for fault in condition
        .trim_start_matches("Stalled, InvalidParameters: ")
        .split("; parameters.")
    {
        let (_, words) = fault.split_once(": ").unwrap();
        said.has(words);
    }
    assert_eq!(door.answers("instances", "refused").await, 1);
}

#[tokio::test]
async fn a_hundred_faults_are_all_named_in_a_bounded_message() {
    let case = Case::new().await;
    with_template(&case).await;
    let door = Door::open(&case, &[]).await;
    for (length, bytes) in [(0, 12_000), (200, 60_000)] {
        let names: Vec<String> = (100..200)
            .map(|number| format!("p{number}{}", "x".repeat(length)))
            .collect();
        let given = names
            .iter()
            .map(|name| format!("{name}: 1"))
            .collect::<Vec<_>>()
            .join(", ");
        let yaml = component("orders", &format!("{{ref: PLATFORM/web, parameters: {{{given}}}}}"));
        let said = door.apply(&yaml);
        said.refused();
        for number in 100..200 {
            said.has(&format!("p{number}"));
        }
        assert!(said.text.len() < bytes, "{} bytes", said.text.len());
        // And for programs, as the text that the apiserver itself gives.
        let api = case.own("Component");
        let object: Value = serde_saphyr::from_str(&case.named(&yaml)).unwrap();
        let error = api
            .patch("orders", &PatchParams::apply("tests"), &Patch::Apply(&object))
            .await
            .unwrap_err();
        let kube::Error::Api(status) = error else {
            panic!("{error}")
        };
        assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
        assert_eq!(status.details.as_ref().unwrap().causes.len(), 100);
        assert!(
            status
                .message
                .contains("denied the request: 100 faults:\n- spec.template.parameters"),
            "{}",
            status.message
        );
        assert!(status.message.len() < 25_000, "{} bytes", status.message.len());
        for number in 100..200 {
            assert!(status.message.contains(&format!("p{number}")), "p{number}");
        }
    }
}

#[tokio::test]
async fn a_template_that_is_not_open_to_a_namespace_is_refused_there_and_used_as_soon_as_it_is() {
    let case = Case::new().await;
    case.put(&template("1", "{from: Same}", PARAMETERS)).await;
    case.ready("Template", "web").await;
    let door = Door::open(&case, &[]).await;
    let wanted = component("orders", "{ref: PLATFORM/web}");
    let said = door.apply(&wanted);
    said.refused().has("Forbidden").has(
        "spec.template.ref: template:platform/web is not open to namespace shop: it is open to its own namespace only",
    );
    let selector = "{from: Selector, selector: {matchLabels: {golden: 'yes'}}}";
    case.put(&template("1", selector, PARAMETERS)).await;
    door.apply(&wanted)
        .refused()
        .has("its selector does not match that namespace's labels");
    // Nobody is refused by what was so a moment ago, however late a watch is.
    door.kubectl("label namespace TEAM golden=yes", "").done();
    door.apply(&wanted).done();
    case.ready("Component", "orders").await;
    case.put(&template("1", "{from: Same}", PARAMETERS)).await;
    door.apply(&component("second", "{ref: PLATFORM/web}")).refused();
    case.put(&template("1", "{from: All}", PARAMETERS)).await;
    door.apply(&component("second", "{ref: PLATFORM/web}")).done();
}

#[tokio::test]
async fn what_may_come_later_is_admitted_with_a_warning() {
    let case = Case::new().await;
    with_template(&case).await;
    let door = Door::open(&case, &[]).await;
    let said = door.apply(&component("lost", "{ref: PLATFORM/wbe, parameters: {any: 1}}"));
    said.done()
        .has("Warning: spec.template.ref: template:platform/wbe does not exist; ");
    let said = door.apply(&component("pinned", "{ref: PLATFORM/web, version: '7'}"));
    said.done()
        .has("Warning: template:platform/web has no version \"7\"; pin one that it has");
    let said = door.apply(&component(
        "partly",
        "{ref: PLATFORM/web, environments: {prod: {version: '8'}}}",
    ));
    said.done().has("has no version \"8\"");
    let said = door.apply(&component("good", "{ref: PLATFORM/web}"));
    said.done().has_not("Warning");
    let said = door.apply(&component_with("record", "description: no instance"));
    said.done().has_not("Warning");
    case.ready("Component", "good").await;
    // What was admitted is what it was warned of.
    case.refused("Component", "lost", "TemplateNotFound").await;
    assert_eq!(door.answers("instances", "refused").await, 0);
}

#[tokio::test]
async fn only_what_changes_is_judged() {
    let case = Case::new().await;
    with_template(&case).await;
    // Stored while nobody stood at the door.
    let bad = |more: &str| {
        component_with(
            "orders",
            &format!("{more}template: {{ref: PLATFORM/web, parameters: {{host: 8080}}}}"),
        )
    };
    case.put(&bad("")).await;
    case.refused("Component", "orders", "InvalidParameters").await;
    let door = Door::open(&case, &[]).await;
    let asked = door.answers("instances", "allowed").await + door.answers("instances", "refused").await;
    door.kubectl("label components.catalog.landfall.dev orders -n TEAM a=b", "")
        .done();
    door.kubectl(
        "annotate components.catalog.landfall.dev orders -n TEAM landfall.dev/reconcile=now",
        "",
    )
    .done();
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    for list in [json!(["example.org/mine"]), json!([])] {
        case.own("Component")
            .patch("orders", &PatchParams::default(), &Patch::Merge(&finalizers(list)))
            .await
            .unwrap();
    }
    // The operator goes on to say what it thinks of it.
    case.mark_processed("Component", "orders", "again").await;
    assert_eq!(
        door.answers("instances", "allowed").await + door.answers("instances", "refused").await,
        asked,
        "nobody was asked"
    );
    // What was wrong before may stay so while something else is changed, and nothing more may become wrong.
    door.apply(&bad("description: told, "))
        .done()
        .has("Warning: it was wrong before, and still is: parameters.host: 8080 is an integer");
    let worse = component("orders", "{ref: PLATFORM/web, parameters: {host: 8080, tier: bronze}}");
    door.apply(&worse).refused().has("tier").has("host");
    door.apply(&component(
        "orders",
        "{ref: PLATFORM/web, parameters: {host: example.org}}",
    ))
    .done();
    case.ready("Component", "orders").await;
    // Wrong again behind the door's back, and deleted.
    close(&case).await;
    eventually("nobody to be asked", async || {
        let said = door.apply(&worse);
        said.done.then_some(()).ok_or(said.text)
    })
    .await;
    for path in ["instances", "deletions"] {
        case.put_object(&Door::configuration(&case, path, door.port)).await;
    }
    door.asked().await;
    case.own("Component")
        .delete("orders", &DeleteParams::default())
        .await
        .unwrap();
    eventually("it to be gone", async || {
        case.own("Component")
            .get_opt("orders")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_made_and_nothing_else_does() {
    let case = Case::new().await;
    with_template(&case).await;
    let door = Door::open(&case, &[]).await;
    let new = component("orders", "{ref: PLATFORM/web}");
    let before = case.before(&["TEAM-orders"]).await;
    let said = door.kubectl("apply --dry-run=server -f -", &new);
    said.done();
    insta::assert_snapshot!(said.text.trim(), @r"
    component.catalog.landfall.dev/orders created (server dry run)
    Warning: plan by template:platform/web version 1: 2 objects would be made (by what was written last; landfall plan compares what is live)
    Warning: would be made: Namespace shop-orders, ConfigMap shop-orders/settings
    ");
    case.assert_unchanged(&before).await;
    door.apply(&new).done().has_not("Warning");
    case.ready("Component", "orders").await;
    case.put(&template("2", "{from: All}", PARAMETERS)).await;
    case.ready("Template", "web").await;
    let pinned = component("orders", "{ref: PLATFORM/web, version: '1', suspend: false}");
    let said = door.kubectl("apply --dry-run=server -f -", &pinned);
    said.done().has("plan by template:platform/web version 1: ");
}

/// `GitOps` applies a template and what follows it at once, and in any order.
#[tokio::test]
async fn an_instance_of_a_template_that_is_being_compiled_is_not_refused_by_the_version_before() {
    let case = Case::new().await;
    with_template(&case).await;
    let door = Door::open(&case, &[]).await;
    let newer = template("2", "{from: All}", "{brand: {type: string}}");
    let user = component("orders", "{ref: PLATFORM/web, parameters: {brand: new}}");
    door.apply(&format!("{newer}\n---\n{user}")).done();
    case.ready("Component", "orders").await;
    let pinned = component("older", "{ref: PLATFORM/web, version: '1', parameters: {brand: new}}");
    door.apply(&pinned).refused().has("brand");
}

#[tokio::test]
async fn what_is_nested_too_deeply_is_told_and_the_next_is_answered() {
    let case = Case::new().await;
    with_template(&case).await;
    let door = Door::open(&case, &[]).await;
    for depth in [70, 150, 3000] {
        let deep = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let yaml = json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component", "metadata": {"name": "deep", "namespace": case.team},
            "spec": {"type": "service", "lifecycle": "production", "owner": "shop", "template": {"ref": format!("{}/web", case.platform), "parameters": {"host": "DEEP"}}},
        });
        let text = yaml.to_string().replace("\"DEEP\"", &deep);
        let said = kubectl(&case, "create --validate=false -f -", &text);
        said.refused().has("nested more than 64 deep");
    }
    door.apply(&component("good", "{ref: PLATFORM/web}")).done();
}

/// What the apiserver compares itself, and what is sent to the webhook and planned there, has bounds of its own.
#[tokio::test]
async fn a_large_spec_is_compared_sent_and_judged_in_time() {
    let case = Case::new().await;
    let rows =
        "{rows: {type: array, items: {type: object, properties: {name: {type: string}, size: {type: integer}}}}}";
    case.put(&template("1", "{from: All}", rows)).await;
    case.ready("Template", "web").await;
    let door = Door::open(&case, &[]).await;
    let large = |size: &str, more: &str| {
        let rows: Vec<String> = (0..4000)
            .map(|number| format!("{{name: row-{number}, size: {size}}}"))
            .collect();
        let template = format!(
            "template: {{ref: PLATFORM/web, suspend: true, parameters: {{rows: [{}]}}}}",
            rows.join(", ")
        );
        component_with("orders", &format!("{more}{template}"))
    };
    let put = |yaml: &str| kubectl(&case, "apply --server-side --force-conflicts -f -", yaml);
    put(&large("1", "")).done();
    put(&large("1", "description: another, ")).done();
    door.kubectl("label components.catalog.landfall.dev orders -n TEAM a=b", "")
        .done();
    put(&large("many", ""))
        .refused()
        .has("rows[0].size: \"many\" is a string, expected an integer");
}
