//! What a plan holds, where its objects may go, and what is refused.

use super::*;
use crate::api::instance::{DeletionPolicy, DriftPolicy, Mode};
use crate::template::plan::{ReferenceTarget, WantedReference, references};

fn maps(resources: &str) -> Arc<Compiled> {
    compiled(&format!(
        "parameters: {{properties: {{name: {{type: string}}, list: {{type: array}}, namespace: {{type: string}}, kind: {{type: string}}, on: {{type: boolean}}}}}}\nresources:{resources}"
    ))
}

fn config(id: &str, more: &str, metadata: &str) -> String {
    format!("\n- {{id: {id}, {more} manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {metadata}}}}}")
}

#[test]
fn names_over_their_limit_name_the_limit() {
    let base = maps(
        "\n- {id: ns, manifest: {apiVersion: v1, kind: Namespace, metadata: {name: '${{ parameters.name }}'}}}\n- {id: cron, manifest: {apiVersion: batch/v1, kind: CronJob, metadata: {name: '${{ parameters.name }}'}}}\n- {id: config, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: '${{ parameters.name }}.x'}}}\n- {id: binding, manifest: {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: '${{ parameters.name }}:x'}}}",
    );
    let long = "a".repeat(64);
    assert_eq!(
        orders(&json!({"name": long})).faults(&base),
        [
            format!(
                "RenderFailed · resource \"ns\", manifest.metadata.name: \"{long}\" has 64 characters, expected at most 63"
            ),
            format!(
                "RenderFailed · resource \"cron\", manifest.metadata.name: \"{long}\" has 64 characters, expected at most 52"
            ),
        ]
    );
    assert_eq!(
        orders(&json!({"name": "Not_Legal"})).faults(&base),
        [
            "RenderFailed · resource \"ns\", manifest.metadata.name: \"Not_Legal\" is not a legal name, expected lower-case letters, digits and -, beginning and ending with a letter or digit",
            "RenderFailed · resource \"cron\", manifest.metadata.name: \"Not_Legal\" is not a legal name, expected lower-case letters, digits, - and ., beginning and ending with a letter or digit",
            "RenderFailed · resource \"config\", manifest.metadata.name: \"Not_Legal.x\" is not a legal name, expected lower-case letters, digits, - and ., beginning and ending with a letter or digit",
        ]
    );
    assert_eq!(
        orders(&json!({})).faults(&base)[0],
        "RenderFailed · resource \"ns\", manifest.metadata.name: empty or not given, expected a text"
    );
}

#[test]
fn objects_go_only_where_they_may() {
    let base = maps(&config("a", "", "{name: a, namespace: '${{ parameters.namespace }}'}"));
    let mut instance = orders(&json!({"namespace": "other"}));
    assert_eq!(
        instance.faults(&base),
        [
            "NamespaceNotAllowed · resource \"a\", manifest.metadata.namespace: no object may go into other; allowed are shop; make the namespace in this template, or list it in the Template's targetNamespaces"
        ]
    );
    instance.target_namespaces.insert("other".to_owned());
    assert_eq!(identities(&instance.planned(&base)), ["ConfigMap other/a"]);
    instance.target_namespaces.clear();
    instance.system_namespaces.insert("other".to_owned());
    assert_eq!(identities(&instance.planned(&base)), ["ConfigMap other/a"]);
    // What is reserved stays so, whoever lists it.
    let mut instance = orders(&json!({"namespace": "kube-system"}));
    instance.target_namespaces.insert("kube-system".to_owned());
    instance.system_namespaces.insert("kube-system".to_owned());
    assert_eq!(
        instance.faults(&base),
        [
            "NamespaceNotAllowed · resource \"a\", manifest.metadata.namespace: no object may go into kube-system: the administrator reserves kube-*"
        ]
    );
    let mut instance = orders(&json!({}));
    instance.entity["metadata"]["namespace"] = json!("kube-public");
    assert!(instance.faults(&base)[0].starts_with("NamespaceNotAllowed"));
    // Without a namespace, an object goes to the instance's own.
    assert_eq!(identities(&orders(&json!({})).planned(&base)), ["ConfigMap shop/a"]);
}

#[test]
fn a_namespace_of_the_plan_cannot_be_a_reserved_one() {
    let base = maps(
        "\n- {id: ns, manifest: {apiVersion: v1, kind: Namespace, metadata: {name: '${{ parameters.namespace }}'}}}",
    );
    assert_eq!(
        orders(&json!({"namespace": "kube-node-lease"})).faults(&base),
        [
            "NamespaceNotAllowed · resource \"ns\", manifest.metadata.name: the namespace kube-node-lease cannot be a template's: the administrator reserves kube-*"
        ]
    );
}

#[test]
fn kinds_that_expressions_yield_are_checked_as_well() {
    let base = maps("\n- {id: a, manifest: {apiVersion: v1, kind: '${{ parameters.kind }}', metadata: {name: a}}}");
    for (kind, expected) in [
        (
            "Secret",
            "KindNotAllowed · resource \"a\", manifest.kind: Secret is not allowed in a template; write an ExternalSecret, a SealedSecret, a Certificate or the like, which makes one",
        ),
        (
            "Nothing",
            "KindNotServed · resource \"a\", manifest.kind: Nothing (v1) is not served by this cluster",
        ),
        (
            "PersistentVolume",
            "KindNotAllowed · resource \"a\", manifest.kind: PersistentVolume (v1) is cluster-scoped and not allowed in a template; the administrator may list PersistentVolume in clusterScopedKinds",
        ),
    ] {
        assert_eq!(orders(&json!({"kind": kind})).faults(&base), [expected]);
    }
    assert_eq!(
        identities(&orders(&json!({"kind": "ConfigMap"})).planned(&base)),
        ["ConfigMap shop/a"]
    );
}

#[test]
fn two_resources_cannot_be_one_object() {
    let base = maps(
        &(config("a", "", "{name: '${{ parameters.name }}'}")
            + &config("b", "each: [p, q],", "{name: 'orders-${{ each.value }}'}")),
    );
    assert_eq!(
        orders(&json!({"name": "orders-q"})).faults(&base),
        [
            "DuplicateObject · resource \"b/1\", manifest.metadata.name: ConfigMap orders-q in shop is already what resource \"a\" renders to; give them different names"
        ]
    );
}

#[test]
fn a_plan_has_at_most_500_objects() {
    let base = maps(&config(
        "a",
        "each: '${{ parameters.list }}',",
        "{name: 'c${{ each.key }}'}",
    ));
    let list = |count: usize| json!({"list": vec![0; count]});
    let plan = orders(&list(500)).planned(&base);
    assert_eq!(plan.objects.len(), 500);
    // Keys of a list come in its order, not in that of their digits.
    assert_eq!(plan.objects[11].each_key.as_deref(), Some("11"));
    assert_eq!(
        orders(&list(501)).faults(&base),
        ["TooManyObjects · resource \"a\", each: 501 entries are more than the 500 objects that a plan may have"]
    );
    let two = maps(
        &(config("a", "each: '${{ parameters.list }}',", "{name: 'a${{ each.key }}'}")
            + &config("b", "each: '${{ parameters.list }}',", "{name: 'b${{ each.key }}'}")),
    );
    assert_eq!(
        orders(&list(251)).faults(&two),
        [
            "TooManyObjects · resource \"b\", each: the plan has more than 500 objects, which is the most that one may have"
        ]
    );
}

#[test]
fn each_takes_lists_and_maps_only() {
    let base = maps(&config("a", "each: '${{ parameters.name }}',", "{name: a}"));
    assert_eq!(
        orders(&json!({"name": "x"})).faults(&base),
        ["RenderFailed · resource \"a\", each: found a string, expected a list or a map"]
    );
    assert_eq!(orders(&json!({})).planned(&base).objects.len(), 0);
}

#[test]
fn modes_and_policies_are_those_of_the_resource() {
    let base = maps(
        "
- {id: run, deletionPolicy: Retain, driftPolicy: Report, manifest: {apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: a}}}
- {id: job, mode: Own, replace: true, manifest: {apiVersion: batch/v1, kind: Job, metadata: {name: a}}}
- {id: map, mode: Patch, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: made}}}
- {id: ns, manifest: {apiVersion: v1, kind: Namespace, metadata: {name: made}}}
",
    );
    let plan = orders(&json!({})).planned(&base);
    let [_, map, job, run] = plan.objects.as_slice() else {
        panic!("four objects")
    };
    assert_eq!(
        (run.mode, run.deletion_policy, run.drift_policy),
        (Mode::Once, Some(DeletionPolicy::Retain), DriftPolicy::Report)
    );
    assert_eq!((job.mode, job.deletion_policy, job.replace), (Mode::Own, None, true));
    assert_eq!(map.mode, Mode::Patch);
}

#[test]
fn an_environment_may_run_another_version() {
    let version = |image: &str, more: &str| {
        let text = format!(
            "
parameters: {{properties: {{environments: {{type: object}}{more}}}}}
resources:
- id: config
  each: ${{{{ parameters.environments }}}}
  environment: ${{{{ each.key }}}}
  manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: 'c-${{{{ each.key }}}}'}}, data: {{image: {image}, all: '${{{{ resources.shared.metadata.name }}}}', version: '${{{{ template.version }}}}'}}}}
- {{id: shared, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: shared}}, data: {{image: {image}}}}}}}
"
        );
        Arc::new(compile(&content(&text), image, &Cluster, &Policy::default()).unwrap())
    };
    let (new, old) = (version("new", ", added: {type: string}"), version("old", ""));
    let mut instance = orders(&json!({"environments": {"dev": {}, "prod": {}}, "added": "x"}));
    instance.environments.insert("prod".to_owned(), old);
    let plan = instance.planned(&new);
    assert_eq!(
        identities(&plan),
        ["ConfigMap shop/shared", "ConfigMap shop/c-dev", "ConfigMap shop/c-prod"]
    );
    let live = Live::new();
    assert_eq!(
        body(&plan, "config/dev", &live)["data"],
        json!({"image": "new", "all": "shared", "version": "new"})
    );
    assert_eq!(
        body(&plan, "config/prod", &live)["data"],
        json!({"image": "old", "all": "shared", "version": "old"})
    );
    assert_eq!(body(&plan, "shared", &live)["data"]["image"], "new");
}

/// A template at a version: an object in each environment that needs `shared`, which is outside of them, and one more that nobody needs.
fn of_environments(version: &str, shared: &str, parameters: &str) -> Arc<Compiled> {
    let text = format!(
        "
parameters: {{type: object, additionalProperties: false, {parameters}}}
resources:
- id: config
  each: [dev, prod]
  environment: ${{{{ each.value }}}}
  manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: 'c-${{{{ each.value }}}}'}}, data: {{of: '${{{{ resources.{shared}.metadata.name }}}}', in: '{version}'}}}}
- {{id: {shared}, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: {shared}}}, data: {{in: '{version}'}}}}}}
- {{id: alone{shared}, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: alone-{shared}}}}}}}
"
    );
    Arc::new(compile(&content(&text), version, &Cluster, &Policy::default()).unwrap())
}

#[test]
fn what_an_environment_needs_outside_of_it_is_there_though_the_instance_is_at_another_version() {
    let (old, new) = (of_environments("1", "old", ""), of_environments("2", "new", ""));
    let mut instance = orders(&json!({}));
    instance.environments.insert("dev".to_owned(), new.clone());
    let plan = instance.planned(&old);
    let mut named = identities(&plan);
    named.sort();
    let expected = ["alone-old", "c-dev", "c-prod", "new", "old"].map(|name| format!("ConfigMap shop/{name}"));
    assert_eq!(named, expected, "and what nobody needs there is the instance's own");
    let live = Live::new();
    assert_eq!(body(&plan, "config/0", &live)["data"], json!({"of": "new", "in": "2"}));
    assert_eq!(body(&plan, "config/1", &live)["data"], json!({"of": "old", "in": "1"}));

    // The other way about, for one that stays behind.
    instance.environments = BTreeMap::from([("prod".to_owned(), old)]);
    let mut named = identities(&instance.planned(&new));
    named.sort();
    let expected = ["alone-new", "c-dev", "c-prod", "new", "old"].map(|name| format!("ConfigMap shop/{name}"));
    assert_eq!(named, expected);
}

#[test]
fn a_parameter_that_one_of_the_versions_knows_is_unknown_to_none() {
    let (old, new) = (
        of_environments("1", "a", "properties: {size: {type: string}}"),
        of_environments(
            "2",
            "a",
            "properties: {size: {type: string}, colour: {type: string}}, required: [colour]",
        ),
    );
    let instance = |parameters| Instance {
        environments: BTreeMap::from([("dev".to_owned(), new.clone())]),
        ..orders(&parameters)
    };
    instance(json!({"size": "s", "colour": "red"})).planned(&old);
    let faults = |instance: &Instance| texts(&instance.plan(&old).expect_err("faults"));
    assert_eq!(
        faults(&instance(json!({"size": "s"}))),
        ["InvalidParameters · parameters.colour: missing; expected a string (version 2, which environment dev runs)"]
    );
    let said = faults(&instance(json!({"size": 3, "colour": "red"})));
    assert!(
        said.len() == 1 && said[0].ends_with("(version 1, which is in force outside dev)"),
        "{said:?}"
    );
    let said = faults(&instance(json!({"colour": "red", "weight": 3})));
    assert!(said.len() == 1 && said[0].contains("parameters.weight"), "{said:?}");
    // One that is yet to be moved may be given what only the newest knows.
    let waiting = orders(&json!({"colour": "red"}));
    assert!(waiting.plan(&old).is_err());
    let policy = Policy::default();
    let request = PlanRequest {
        newest: Some(new.clone()),
        ..waiting.request(&old, &policy)
    };
    assert!(plan(request).is_ok());
}

#[test]
fn references_are_told_before_they_are_read() {
    let base = compiled(
        "
parameters: {properties: {database: {type: string}, on: {type: boolean}}}
references:
- {id: db, ref: '${{ parameters.database }}'}
- {id: off, if: '${{ parameters.on }}', ref: api:a}
- {id: map, object: {apiVersion: v1, kind: ConfigMap, name: '${{ entity.metadata.name }}'}}
resources:
- {id: a, if: '${{ references.db }}', manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: 'a-${{ references.map.data.x }}'}, data: {off: '${{ references.off.spec.x }}', db: '${{ references.db.spec.host }}'}}}
",
    );
    let mut instance = orders(&json!({"database": "resource:shop/db"}));
    let policy = Policy::default();
    let wanted = references(&instance.request(&base, &policy)).unwrap();
    let object = ReferenceTarget::Object {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: None,
        name: "orders".to_owned(),
    };
    assert_eq!(
        wanted,
        [
            WantedReference {
                id: "db".to_owned(),
                target: ReferenceTarget::Entity("resource:shop/db".to_owned())
            },
            WantedReference {
                id: "map".to_owned(),
                target: object
            },
        ]
    );
    assert_eq!(
        instance.faults(&base),
        ["ReferenceNotFound · resource \"a\", if: references.db does not exist"]
    );
    instance
        .references
        .insert("db".to_owned(), json!({"spec": {"host": "h"}}));
    assert_eq!(
        instance.faults(&base),
        ["ReferenceNotFound · resource \"a\", manifest.metadata.name: references.map.data.x does not exist"]
    );
    instance
        .references
        .insert("map".to_owned(), json!({"data": {"x": "1"}}));
    let plan = instance.planned(&base);
    assert_eq!(body(&plan, "a", &Live::new())["data"], json!({"db": "h"}));
}

#[test]
fn a_namespace_waits_for_nothing_that_lies_in_it() {
    let base = maps(
        "
- {id: ns, dependsOn: [config], manifest: {apiVersion: v1, kind: Namespace, metadata: {name: made}}}
- {id: config, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: made}}}
",
    );
    assert_eq!(
        orders(&json!({})).faults(&base),
        ["InvalidTemplate · resource \"config\", dependsOn: the objects wait for each other: config → ns → config"]
    );
}

#[test]
fn a_namespace_of_the_plan_cannot_be_the_one_that_the_instance_is_in() {
    let base = maps(
        "\n- {id: ns, manifest: {apiVersion: v1, kind: Namespace, metadata: {name: '${{ parameters.namespace }}'}}}",
    );
    assert_eq!(
        orders(&json!({"namespace": "shop"})).faults(&base),
        [
            "NamespaceNotAllowed · resource \"ns\", manifest.metadata.name: the namespace shop is the one that the instance is in, and would go with it, while it waits for the instance to go; name another"
        ]
    );
}

#[test]
fn a_patch_stays_in_the_namespaces_of_the_plan() {
    let base = maps(&config("a", "mode: Patch,", "{name: a}"));
    let mut instance = orders(&json!({}));
    instance.target_namespaces.insert("shop".to_owned());
    assert_eq!(
        instance.faults(&base),
        [
            "NamespaceNotAllowed · resource \"a\", manifest.metadata.namespace: mode Patch is for objects in namespaces that this plan makes, which shop is not; it makes none"
        ]
    );
}

#[test]
fn one_mistake_is_told_once() {
    let base = maps(
        "
- {id: ns, manifest: {apiVersion: v1, kind: Namespace, metadata: {name: '${{ parameters.name }}'}}}
- {id: a, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: '${{ resources.ns.metadata.name }}'}}}
",
    );
    assert_eq!(orders(&json!({"name": "A"})).faults(&base).len(), 1);
}

#[test]
fn what_is_not_in_the_plan_is_told_so() {
    let base = maps(
        &(config("a", "if: '${{ parameters.on }}',", "{name: a}")
            + &config("b", "", "{name: 'b-${{ resources.a.metadata.name }}'}")),
    );
    assert_eq!(
        orders(&json!({})).faults(&base),
        [
            "RenderFailed · resource \"b\", manifest.metadata.name: resources.a.metadata.name is not there: this plan has no such object, since its `if` is false"
        ]
    );
    assert_eq!(
        identities(&orders(&json!({"on": true})).planned(&base)),
        ["ConfigMap shop/a", "ConfigMap shop/b-a"]
    );
}
