//! Any template and any parameters: they compile, plan and render, or are refused in words, within bounds of time and
//! memory, and nothing ever panics. Templates are generated: of parts that mean something to each other, so that most get far.
//!
//! `LANDFALL_FUZZ_CASES` says how many; `make bench` tries many.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // In a test, they are how it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall::template::compile::{Compiled, Policy, compile};
use landfall::template::content::Content;
use landfall::template::fault::Fault;
use landfall::template::kinds::{FieldLookup, KindInfo, Kinds};
use landfall::template::plan::{Live, Plan, PlanRequest, Rendered, plan};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The most processor time that compiling, planning and rendering one template may take, unoptimised and twice: the meter of a
/// plan stops it at 64 MiB of data handled.
const TIME: Duration = Duration::from_secs(10);
/// The most memory that this process may ever have had.
const MEMORY: usize = 512 * 1024 * 1024;
/// The most bytes of what a plan renders to (design §2), with room for JSON's signs.
const PLAN: usize = 5 * 1024 * 1024;

/// How many templates are tried.
fn cases() -> u32 {
    let given = std::env::var("LANDFALL_FUZZ_CASES").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(300)
}

/// A cluster that serves a few kinds.
struct Cluster;

impl Kinds for Cluster {
    fn kind(&self, api_version: &str, kind: &str) -> Option<KindInfo> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let known = matches!(
            (group, kind),
            ("", "ConfigMap" | "Namespace" | "Service") | ("apps", "Deployment") | ("batch", "Job")
        );
        known.then(|| KindInfo {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: format!("{}s", kind.to_lowercase()),
            namespaced: kind != "Namespace",
        })
    }

    fn field(&self, _: &str, _: &str, _: &[String]) -> FieldLookup {
        FieldLookup::Unknown
    }
}

/// How long this thread was on a processor, where the system tells: other tests and builds run beside this one.
fn spent(begin: Instant) -> Duration {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .map_or_else(|| begin.elapsed(), Duration::from_nanos)
}

/// The most memory that this process has had, where the system tells.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    kib.unwrap_or_default() * 1024
}

/// A message that a person may be shown.
fn assert_readable(faults: &[Fault]) {
    for fault in faults {
        let text = fault.to_string();
        assert!(text.len() < 4096, "a message of {} bytes: {}", text.len(), &text[..200]);
        assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
        assert!(!text.contains(['\u{0}', '\u{202e}', '\u{200b}']), "{text:?}");
    }
}

fn planned(compiled: &Arc<Compiled>, parameters: &Value) -> Result<Plan, Vec<Fault>> {
    let empty = Map::new();
    let entity = json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
        "metadata": {"name": "orders", "namespace": "shop", "uid": "u", "labels": {}, "annotations": {}},
        "spec": {"type": "service", "owner": "group:shop/a"},
    });
    plan(PlanRequest {
        entity: &entity,
        owner: &json!({"kind": "group", "namespace": "shop", "name": "a", "ref": "group:shop/a", "exists": false, "spec": {}}),
        system: &Value::Null,
        template_name: "web",
        template_namespace: "platform",
        parameters: parameters.as_object().unwrap_or(&empty),
        base: compiled.clone(),
        environments: BTreeMap::new(),
        newest: None,
        system_namespaces: BTreeSet::new(),
        target_namespaces: BTreeSet::from(["argocd".to_owned()]),
        kinds: &Cluster,
        policy: &Policy::default(),
        references: BTreeMap::new(),
    })
}

/// How far a template came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Nothing,
    Content,
    Compiled,
    Planned,
    Rendered,
}

/// Takes a template through all that the controller does with it, twice, and holds it to the rules.
fn taken_through(source: &Value, parameters: &Value) -> Reached {
    let Ok(content) = serde_json::from_value::<Content>(source.clone()) else {
        return Reached::Nothing;
    };
    let compiled = match compile(&content, "1", &Cluster, &Policy::default()) {
        Ok(compiled) => Arc::new(compiled),
        Err(faults) => {
            assert!(!faults.is_empty());
            assert_readable(&faults);
            return Reached::Content;
        }
    };
    let plan = match planned(&compiled, parameters) {
        Ok(plan) => plan,
        Err(faults) => {
            assert!(!faults.is_empty());
            assert_readable(&faults);
            return Reached::Compiled;
        }
    };
    assert!(plan.objects.len() <= 500);
    for object in &plan.objects {
        let namespace = object.namespace.as_deref().unwrap_or("shop");
        let made = plan
            .objects
            .iter()
            .any(|other| other.kind.kind == "Namespace" && other.name == namespace);
        assert!(
            made || ["shop", "argocd"].contains(&namespace),
            "an object in {namespace}"
        );
        assert!(object.depends_on.iter().all(|place| *place < plan.objects.len()));
    }
    let faults = plan.faults();
    if !faults.is_empty() {
        assert_readable(&faults);
        return Reached::Planned;
    }
    let again = planned(&compiled, parameters).unwrap();
    let (mut live, mut bytes, mut reached) = (Live::new(), 0, Reached::Rendered);
    for (place, object) in plan.objects.iter().enumerate() {
        match plan.render(place, &live) {
            Ok(Rendered::Object(body)) => {
                bytes += body.to_string().len();
                assert_eq!(body["metadata"]["name"], object.name.as_str());
                assert_eq!(body["kind"], object.kind.kind.as_str());
                match again.render(place, &live) {
                    Ok(Rendered::Object(same)) => assert_eq!(same, body, "the same gives the same"),
                    other => panic!("{other:?}"),
                }
                let mut seen = body;
                seen["status"] = json!({"host": "h", "conditions": [{"type": "Ready", "status": "True"}]});
                if let Err(fault) = plan.ready_when(place, &seen, &live) {
                    assert_readable(&[fault]);
                }
                live.insert(place, Arc::new(seen));
            }
            Ok(Rendered::Waiting { .. }) => reached = Reached::Planned,
            Err(fault) => {
                assert_readable(&[fault]);
                reached = Reached::Planned;
            }
        }
    }
    assert!(bytes <= PLAN, "{bytes} bytes");
    let (output, faults) = plan.output(&live);
    assert!(Value::Object(output).to_string().len() <= 80 * 1024);
    assert_readable(&faults);
    reached
}

/// [`taken_through`], in time, and on a stack as small as the controller's threads have.
fn timed(source: &Value, parameters: &Value) -> Reached {
    if let Ok(file) = std::env::var("LANDFALL_FUZZ_TRACE") {
        // A stack that overflows ends the process without a word.
        std::fs::write(file, json!({"template": source, "parameters": parameters}).to_string()).unwrap();
    }
    let begin = Instant::now();
    let (reached, took) = on_stack(2 * 1024 * 1024, || {
        let before = spent(begin);
        let reached = taken_through(source, parameters);
        (reached, spent(begin).saturating_sub(before))
    });
    assert!(took < TIME, "{took:?}: {source}");
    reached
}

fn on_stack<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(bytes)
            .spawn_scoped(scope, work)
            .unwrap();
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// An expression, mostly of names that exist.
fn expression() -> impl Strategy<Value = String> {
    let sound = prop::sample::select(vec![
        "parameters.text",
        "parameters.number",
        "parameters.list",
        "parameters.map",
        "parameters.map.a",
        "parameters",
        "entity.metadata.name",
        "entity.metadata",
        "owner.name",
        "system.name",
        "template.version",
        "'x'",
        "7",
        "-1",
        "1e9",
        "[1, 'a']",
        "{'a': 1}",
        "range(3)",
    ]);
    let odd = prop::sample::select(vec![
        "parameters.missing",
        "each.key",
        "each.value",
        "each.index",
        "resources.first.metadata.name",
        "resources.second.metadata.namespace",
        "resources.first.status.host",
        "resources.third",
        "self.status.host",
        "range(400)",
        "'x' * 250000",
        "'x' * 1000000000",
        "null",
    ]);
    let root = prop_oneof![12 => sound, 1 => odd];
    root.prop_map(str::to_owned).prop_recursive(3, 6, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "===", "<", ">=", "in", "not in", "and", "or", "&&",
            "||",
        ]);
        let step = prop::sample::select(vec![
            " | upper",
            " | dump",
            " | list",
            " | join('-')",
            " | default('d')",
            " | length",
            " | first",
            " | replace('a', 'bb')",
            " | indent(1000)",
            " | batch(2)",
            " | map('string')",
            " | sort",
            " | int(0)",
            " | string",
            " | keys",
            " | tojson(4)",
            " is defined",
            ".length",
            ".split('')",
            ".repeat(3)",
            ".padEnd(200000)",
            "[0]",
            "[-1:]",
            "['a']",
            ".a.b",
        ]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(left, sign, right)| format!("({left} {sign} {right})")),
            (inner.clone(), step).prop_map(|(input, step)| format!("({input}){step}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(yes, test, no)| format!("({yes} if {test} else {no})")),
            inner.clone().prop_map(|input| format!("not {input}")),
            inner.prop_map(|input| format!("!({input})")),
        ]
    })
}

/// A string of a template.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => expression().prop_map(|expression| format!("${{{{ {expression} }}}}")),
        4 => (expression(), expression()).prop_map(|(one, two)| format!("a-${{{{ {one} | dump }}}}-${{{{ {two} }}}}")),
        20 => "[a-z0-9-]{0,8}",
        3 => any::<String>().prop_map(|text| text.replace("{%", "").replace("${{", "")),
        1 => prop::sample::select(vec![
            "${{", "${{ }}", "}}", "${{ '}}' }}", "{% if x %}", "{% raw %}${{ x }}{% endraw %}", "${{- 1 -}}", "\u{0}", "\u{202e}",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Any value of a manifest.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        5 => text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop_oneof![1 => text(), 9 => "[a-z]{1,5}"], inner, 0..4)
                .prop_map(|map| json!(map)),
        ]
    })
}

fn manifest() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        24 => Just(("v1", "ConfigMap")),
        8 => Just(("v1", "Namespace")),
        4 => Just(("apps/v1", "Deployment")),
        4 => Just(("batch/v1", "Job")),
        1 => Just(("v1", "Secret")),
        1 => Just(("rbac.authorization.k8s.io/v1", "ClusterRole")),
        1 => Just(("v9", "Nothing")),
    ];
    let name = prop_oneof![
        12 => "[a-z]{3,6}".prop_map(Value::from),
        4 => "[a-z]{3,4}".prop_map(|prefix| json!(format!("{prefix}-${{{{ each.key | default('x') }}}}"))),
        1 => text().prop_map(Value::from),
        1 => value(),
    ];
    let namespace = prop_oneof![
        16 => Just(Value::Null),
        1 => Just(json!("${{ resources.first.metadata.name }}")),
        2 => prop::sample::select(vec!["shop", "argocd", "kube-system", "other"]).prop_map(Value::from),
        1 => text().prop_map(Value::from),
    ];
    let marks = prop_oneof![20 => Just(json!({})), 1 => value(), 1 => Just(json!({"landfall.dev/instance-uid": "x"}))];
    (kind, name, namespace, marks, value()).prop_map(|((api_version, kind), name, namespace, labels, data)| {
        let mut metadata = json!({"name": name, "labels": labels});
        if !namespace.is_null() && kind != "Namespace" {
            metadata["namespace"] = namespace;
        }
        json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "data": {"value": data.clone()}, "spec": data})
    })
}

fn resource(id: &'static str) -> impl Strategy<Value = Value> {
    let each = prop_oneof![
        12 => Just(Value::Null),
        6 => Just(json!("${{ parameters.map }}")),
        1 => Just(json!("${{ range(600) }}")),
        2 => Just(json!(["dev", "prod"])),
        1 => text().prop_map(Value::from),
        1 => value(),
    ];
    let rarely = |value: BoxedStrategy<Value>| prop_oneof![16 => Just(Value::Null), 1 => value];
    let needs = prop::collection::vec(
        prop::sample::select(vec!["first", "second", "third", "fourth", "none"]),
        0..2,
    );
    (
        each,
        rarely(value().boxed()),
        rarely(text().prop_map(Value::from).boxed()),
        rarely(needs.prop_map(|ids| json!(ids)).boxed()),
        rarely(text().prop_map(Value::from).boxed()),
        rarely(
            prop::sample::select(vec!["Own", "Once", "Own", "Patch", "Other"])
                .prop_map(Value::from)
                .boxed(),
        ),
        manifest(),
    )
        .prop_map(move |(each, condition, environment, needs, ready, mode, manifest)| {
            let mut resource = json!({"id": id, "manifest": manifest});
            for (name, value) in [
                ("each", each),
                ("if", condition),
                ("environment", environment),
                ("dependsOn", needs),
                ("readyWhen", ready),
                ("mode", mode),
            ] {
                if !value.is_null() {
                    resource[name] = value;
                }
            }
            resource
        })
}

fn template() -> impl Strategy<Value = Value> {
    let resources = (
        resource("first"),
        prop::option::of(resource("second")),
        prop::option::of(resource("third")),
        prop::option::weighted(0.2, resource("fourth")),
    );
    let schema = prop_oneof![
        12 => Just(json!({"additionalProperties": true})),
        6 => Just(json!({"properties": {
            "text": {"type": "string", "default": "t"}, "number": {"type": "integer"}, "list": {"type": "array"},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"b": {"default": 1}}}},
        }})),
        1 => value(),
    ];
    let output = prop::collection::btree_map("[a-z]{1,5}", value(), 0..2);
    (resources, schema, output).prop_map(|((first, second, third, fourth), parameters, output)| {
        let resources: Vec<Value> = [Some(first), second, third, fourth].into_iter().flatten().collect();
        json!({"parameters": parameters, "resources": resources, "output": output})
    })
}

fn given() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => Just(json!({"text": "x", "number": 3, "list": ["b", "a"], "map": {"dev": {"a": {"b": 1}}, "prod": {}}})),
        1 => Just(json!({})),
        2 => value().prop_map(|value| json!({"text": value.clone(), "list": value.clone(), "map": {"a": value}})),
    ]
}

#[test]
fn any_template_is_taken_or_refused_in_words() {
    // The generator recurses deeper than what it makes.
    on_stack(64 * 1024 * 1024, any_template);
}

fn any_template() {
    use proptest::test_runner::{Config, TestRunner};
    let mut runner = TestRunner::new(Config {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    });
    let reached = std::cell::RefCell::new(BTreeMap::<String, u32>::new());
    runner
        .run(&(template(), given()), |(source, parameters)| {
            let far = timed(&source, &parameters);
            *reached.borrow_mut().entry(format!("{far:?}")).or_default() += 1;
            Ok(())
        })
        .unwrap();
    let reached = reached.into_inner();
    println!(
        "how far they came: {reached:?}, peak memory {} MiB",
        peak() / 1024 / 1024
    );
    // The generator is worth something only where every door is gone through.
    for door in ["Content", "Compiled", "Planned", "Rendered"] {
        assert!(reached.contains_key(door), "none came as far as {door}: {reached:?}");
    }
    assert!(peak() < MEMORY, "{} bytes of memory", peak());
}

/// A thousand parameters, a thousand resources, or a single one of everything that is large: refused or done, in time.
#[test]
fn what_is_large_in_every_way_stays_in_bounds() {
    let config_map = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    let many: Vec<Value> = (0..1000)
        .map(|place| json!({"id": format!("r{place}"), "manifest": config_map(&format!("n{place}"), json!({}))}))
        .collect();
    let chain: Vec<Value> = (0..400)
        .map(|place: usize| {
            let before = place
                .checked_sub(1)
                .map(|before| format!("${{{{ resources.r{before}.metadata.name }}}}x"));
            json!({"id": format!("r{place}"), "manifest": config_map(&before.unwrap_or("x".to_owned()), json!({}))})
        })
        .collect();
    let wide: Map<String, Value> = (0..5000)
        .map(|place| (format!("k{place}"), json!("${{ parameters.text }}")))
        .collect();
    let heavy: Vec<Value> = (0..16)
        .map(|place| {
            let data = json!({"a": "${{ 'x' * 250000 }}"});
            json!({"id": format!("r{place}"), "each": "${{ range(30) }}", "manifest": config_map(&format!("n{place}-${{{{ each.key }}}}"), data)})
        })
        .collect();
    let open = json!({"additionalProperties": true});
    for resources in [
        json!(many),
        json!(chain),
        json!([{"id": "a", "manifest": config_map("a", json!(wide))}]),
        json!(heavy),
        json!([{"id": "a", "each": "${{ range(500) }}", "manifest": config_map("a-${{ each.key }}", json!({"a": "${{ range(9999) | join }}"}))}]),
    ] {
        timed(
            &json!({"parameters": open, "resources": resources}),
            &json!({"text": "x"}),
        );
    }
    assert!(peak() < MEMORY, "{} bytes of memory", peak());
}
