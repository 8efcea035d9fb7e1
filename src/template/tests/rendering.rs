//! What bodies come to, and what they wait for.

use super::*;

const DATABASE: &str = r#"
parameters: {properties: {labels: {type: object}, text: {type: string}, key: {type: string}}}
resources:
- id: db
  readyWhen: ${{ self.status.phase == 'Ready' && self.status.replicas > 0 }}
  manifest: {apiVersion: example.com/v1, kind: Database, metadata: {name: orders}}
- id: shards
  each: [a, b]
  manifest: {apiVersion: example.com/v1, kind: Database, metadata: {name: "shard-${{ each.value }}"}}
- id: settings
  manifest:
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: settings, labels: "${{ parameters.labels }}"}
    data:
      HOST: "${{ resources.db.status.host }}:${{ resources.db.status.port }}"
      TEXT: ${{ parameters.text }}
      FIRST: ${{ resources.shards['0'].metadata.name }}
      "${{ parameters.key }}": found
- id: all
  manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: all}, data: {count: "${{ resources.shards | length | string }}", host: "${{ resources.shards['1'].status.host }}"}}
output:
  host: ${{ resources.db.status.host }}
  name: ${{ resources.db.metadata.name }}
"#;

fn live(plan: &Plan, id: &str, object: Value) -> Live {
    Live::from([(place(plan, id), Arc::new(object))])
}

#[test]
fn what_is_not_there_yet_is_waited_for() {
    let plan = orders(&json!({})).planned(&compiled(DATABASE));
    let settings = place(&plan, "settings");
    let waiting = |field: &str, value: &str| {
        Ok(Rendered::Waiting {
            field: field.to_owned(),
            value: value.to_owned(),
        })
    };
    assert_eq!(
        plan.render(settings, &Live::new()),
        waiting("data.HOST", "resources.db.status.host")
    );
    let some = live(&plan, "db", json!({"status": {"host": "h"}}));
    assert_eq!(
        plan.render(settings, &some),
        waiting("data.HOST", "resources.db.status.port")
    );
    assert_eq!(
        plan.output(&Live::new()).0,
        *json!({"name": "orders"}).as_object().unwrap()
    );
    let all = live(&plan, "db", json!({"status": {"host": "h", "port": 5432}}));
    assert_eq!(
        body(&plan, "settings", &all),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}, "data": {"HOST": "h:5432", "FIRST": "shard-a"}})
    );
    assert_eq!(
        plan.output(&all).0,
        *json!({"name": "orders", "host": "h"}).as_object().unwrap()
    );
    assert_eq!(
        plan.objects[settings].depends_on,
        [place(&plan, "db"), place(&plan, "shards/0"), place(&plan, "shards/1")]
    );
}

#[test]
fn a_resource_with_each_is_a_map_by_key() {
    let plan = orders(&json!({})).planned(&compiled(DATABASE));
    let all = place(&plan, "all");
    assert_eq!(
        plan.render(all, &Live::new()),
        Ok(Rendered::Waiting {
            field: "data.count".to_owned(),
            value: "resources.shards.0".to_owned()
        })
    );
    let live = Live::from([
        (place(&plan, "shards/0"), Arc::new(json!({}))),
        (place(&plan, "shards/1"), Arc::new(json!({"status": {"host": "h"}}))),
    ]);
    assert_eq!(body(&plan, "all", &live)["data"], json!({"count": "2", "host": "h"}));
}

#[test]
fn ready_when_decides() {
    let plan = orders(&json!({})).planned(&compiled(DATABASE));
    let ready = |object: Value| plan.ready_when(place(&plan, "db"), &object, &Live::new());
    assert_eq!(ready(json!({})), Ok(Some(false)));
    assert_eq!(ready(json!({"status": {"phase": "Ready"}})), Ok(Some(false)));
    assert_eq!(
        ready(json!({"status": {"phase": "Ready", "replicas": 1}})),
        Ok(Some(true))
    );
    assert_eq!(
        ready(json!({"status": {"phase": "Ready", "replicas": []}}))
            .unwrap_err()
            .to_string(),
        "resource \"db\", readyWhen: a list cannot be compared with an integer, expected two numbers or two strings"
    );
    assert_eq!(
        plan.ready_when(place(&plan, "settings"), &json!({}), &Live::new()),
        Ok(None)
    );
}

#[test]
fn hostile_values_are_data() {
    let plan_of = |text: &str, key: &str| orders(&json!({"text": text, "key": key})).planned(&compiled(DATABASE));
    for text in [
        "${{ parameters.key }}",
        "{% raw %}",
        "a: b\n- c: |\n  d",
        "\0",
        "\u{202e}txt",
        "'\"\\",
        "null",
        "true",
        "0x10",
        "*alias",
        "!!binary x",
    ] {
        let plan = plan_of(text, text);
        let all = live(&plan, "db", json!({"status": {"host": "${{ x }}", "port": 1}}));
        let data = body(&plan, "settings", &all)["data"].clone();
        assert_eq!(data["TEXT"], text);
        assert_eq!(data[text], "found");
        assert_eq!(data["HOST"], "${{ x }}:1");
    }
    // A key that is there already.
    let plan = plan_of("x", "HOST");
    let all = live(&plan, "db", json!({"status": {"host": "h", "port": 1}}));
    let fault = plan.render(place(&plan, "settings"), &all).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "resource \"settings\", manifest.data.HOST: the key HOST is there twice"
    );
}

#[test]
fn marks_out_of_an_expression_are_refused_too() {
    let plan = orders(&json!({"labels": {"landfall.dev/instance-uid": "x"}})).planned(&compiled(DATABASE));
    let all = live(&plan, "db", json!({"status": {"host": "h", "port": 1}}));
    assert_eq!(
        plan.render(place(&plan, "settings"), &all).unwrap_err().to_string(),
        "resource \"settings\", manifest.metadata.labels[\"landfall.dev/instance-uid\"]: keys of landfall.dev are Landfall's own marks; use another prefix"
    );
}

#[test]
fn a_fault_names_its_field() {
    let base = compiled(
        "
parameters: {properties: {text: {type: string}}}
resources: [{id: settings, each: [x], manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {HOST: 'x-${{ parameters.text }}'}}}]
",
    );
    let plan = orders(&json!({})).planned(&base);
    let fault = plan.render(0, &Live::new()).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "resource \"settings/0\", manifest.data.HOST: parameters.text is not given; give it, or write parameters.text | default(…)"
    );
    assert!(plan.render(7, &Live::new()).is_err());
}

#[test]
fn a_plan_renders_to_at_most_4_mib() {
    let base = compiled(
        "
parameters: {properties: {text: {type: string}}}
resources: [{id: settings, each: '${{ range(30) }}', manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: 'a${{ each.key }}'}, data: {a: '${{ parameters.text }}'}}}]
",
    );
    let plan = orders(&json!({"text": "x".repeat(200_000)})).planned(&base);
    let rendered: Vec<_> = (0..30).map(|place| plan.render(place, &Live::new())).collect();
    assert_eq!(rendered.iter().filter(|rendered| rendered.is_ok()).count(), 20);
    assert!(
        rendered[29]
            .as_ref()
            .unwrap_err()
            .message
            .contains("more than the 4 MiB")
    );
    // Rendering one again counts once.
    assert!(plan.render(0, &Live::new()).is_err());
}

#[test]
fn the_output_is_bounded_and_its_faults_are_told_by_field() {
    let base = compiled(
        "
parameters: {properties: {text: {type: string}}}
resources: [{id: db, manifest: {apiVersion: example.com/v1, kind: Database, metadata: {name: a}}}]
output:
  a: '${{ parameters.text }}'
  b: 'x-${{ 1 / 0 }}'
  links: [{if: false, url: a}, {if: '', url: b}, {url: '${{ resources.db.status.host }}'}, {url: c}]
",
    );
    let plan = orders(&json!({"text": "x".repeat(100_000)})).planned(&base);
    let (output, faults) = plan.output(&Live::new());
    assert_eq!(Value::Object(output), json!({"links": [{"url": "c"}]}));
    assert_eq!(
        texts(&faults),
        [
            "RenderFailed · output.a: the output is larger than 64 KiB with it, which is the most that a status may hold of it",
            "RenderFailed · output.b: division by zero",
        ]
    );
}
