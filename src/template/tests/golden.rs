//! A golden path as a platform team would write it.

use super::*;
use crate::api::instance::Mode;

const GOLDEN_PATH: &str = r#"
parameters:
- title: About
  required: [image]
  properties:
    image: {type: string}
    ci: {type: string, enum: [tekton, none], default: tekton}
    host: {type: string}
- title: Environments
  properties:
    environments:
      type: object
      default: {dev: {}}
      additionalProperties:
        type: object
        additionalProperties: false
        properties:
          replicas: {type: integer, minimum: 1, maximum: 10, default: 1}
resources:
- id: run
  if: ${{ parameters.ci === 'tekton' }}
  manifest:
    apiVersion: tekton.dev/v1
    kind: PipelineRun
    metadata: {name: "${{ entity.metadata.name }}-first", namespace: "${{ resources.ci.metadata.name }}"}
    spec: {pipelineRef: {name: "${{ resources.pipeline.metadata.name }}"}}
- id: pipeline
  if: ${{ parameters.ci === 'tekton' }}
  manifest:
    apiVersion: tekton.dev/v1
    kind: Pipeline
    metadata: {name: "${{ entity.metadata.name }}", namespace: "${{ resources.ci.metadata.name }}"}
    spec: {tasks: []}
- id: ci
  manifest:
    apiVersion: v1
    kind: Namespace
    metadata: {name: "${{ entity.metadata.namespace }}-${{ entity.metadata.name }}-ci"}
- id: quota
  each: ${{ parameters.environments }}
  environment: ${{ each.key }}
  manifest:
    apiVersion: v1
    kind: ResourceQuota
    metadata: {name: quota, namespace: "${{ resources.ns[each.key].metadata.name }}"}
    spec: {hard: {pods: "${{ each.value.replicas * 2 }}", host: "${{ parameters.host }}"}}
- id: deny
  each: ${{ parameters.environments }}
  environment: ${{ each.key }}
  manifest:
    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: default-deny, namespace: "${{ entity.metadata.namespace }}-${{ entity.metadata.name }}-${{ each.key }}"}
    spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
- id: binding
  each: ${{ parameters.environments }}
  environment: ${{ each.key }}
  manifest:
    apiVersion: rbac.authorization.k8s.io/v1
    kind: RoleBinding
    metadata: {name: "owner:edit", namespace: "${{ resources.ns[each.key].metadata.name }}"}
    roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
    subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: "${{ owner.ref }}"}]
- id: ns
  each: ${{ parameters.environments }}
  environment: ${{ each.key }}
  manifest:
    apiVersion: v1
    kind: Namespace
    metadata:
      name: ${{ entity.metadata.namespace }}-${{ entity.metadata.name }}-${{ each.key }}
      labels:
        pod-security.kubernetes.io/enforce: restricted
        owner: ${{ owner.name }}
        system: ${{ system.name if entity.spec.system else 'none' }}
        "${{ template.name }}/environment": ${{ each.key }}
output:
  image: ${{ parameters.image }}
  links:
  - title: ${{ parameters.image | upper }}
    url: https://${{ parameters.image }}.example.com
  - if: ${{ parameters.host }}
    url: https://${{ parameters.host | default('none') }}
"#;

fn parameters() -> Value {
    json!({"image": "orders", "environments": {"prod": {"replicas": 3}, "dev": {}}})
}

#[test]
fn every_environment_gets_its_namespace_first() {
    let plan = orders(&parameters()).planned(&compiled(GOLDEN_PATH));
    assert_eq!(
        identities(&plan),
        [
            "Namespace shop-orders-ci",
            "Namespace shop-orders-dev",
            "Namespace shop-orders-prod",
            "ResourceQuota shop-orders-dev/quota",
            "ResourceQuota shop-orders-prod/quota",
            "NetworkPolicy shop-orders-dev/default-deny",
            "NetworkPolicy shop-orders-prod/default-deny",
            "RoleBinding shop-orders-dev/owner:edit",
            "RoleBinding shop-orders-prod/owner:edit",
            "Pipeline shop-orders-ci/orders",
            "PipelineRun shop-orders-ci/orders-first",
        ]
    );
    let run = plan.objects.last().unwrap();
    assert_eq!((run.mode, run.environment.as_deref()), (Mode::Once, None));
    assert_eq!(run.depends_on, [0, 9]);
    // The network policy names its namespace by hand and waits for it all the same, and for no other.
    let policy = &plan.objects[place(&plan, "deny/prod")];
    assert_eq!(
        (policy.depends_on.as_slice(), policy.environment.as_deref()),
        ([2].as_slice(), Some("prod"))
    );
    assert_eq!(plan.objects[place(&plan, "quota/dev")].depends_on, [1]);
    assert_eq!(plan.parameters["environments"]["dev"]["replicas"], 1);
}

#[test]
fn bodies_are_complete() {
    let plan = orders(&parameters()).planned(&compiled(GOLDEN_PATH));
    let live = Live::new();
    assert_eq!(
        body(&plan, "ns/prod", &live),
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "shop-orders-prod", "labels": {
                "pod-security.kubernetes.io/enforce": "restricted", "owner": "team-a", "system": "checkout",
                "web-service/environment": "prod",
            }},
        })
    );
    // A parameter that was not given drops its field; a whole value keeps its type.
    assert_eq!(body(&plan, "quota/prod", &live)["spec"], json!({"hard": {"pods": 6}}));
    assert_eq!(body(&plan, "run", &live)["spec"]["pipelineRef"]["name"], "orders");
    let (output, faults) = plan.output(&live);
    assert_eq!(faults, []);
    assert_eq!(
        Value::Object(output),
        json!({"image": "orders", "links": [{"title": "ORDERS", "url": "https://orders.example.com"}]})
    );
}

#[test]
fn a_false_condition_leaves_its_objects_out() {
    let plan = orders(&json!({"image": "orders", "ci": "none"})).planned(&compiled(GOLDEN_PATH));
    assert!(
        !identities(&plan)
            .iter()
            .any(|identity| identity.starts_with("Pipeline"))
    );
    assert_eq!(plan.parameters["environments"], json!({"dev": {"replicas": 1}}));
}

#[test]
fn every_wrong_parameter_is_named() {
    let given = json!({
        "ci": "tektn", "imagee": "x", "host": 8,
        "environments": {"prod": {"replicas": 99}, "dev": {"replicsa": 1}},
    });
    assert_eq!(
        orders(&given).faults(&compiled(GOLDEN_PATH)),
        [
            "InvalidParameters · parameters.ci: \"tektn\" is not allowed, expected one of tekton, none; did you mean tekton?",
            "InvalidParameters · parameters.environments.dev.replicsa: unknown field; did you mean replicas?",
            "InvalidParameters · parameters.environments.prod.replicas: 99 is more than the maximum of 10",
            "InvalidParameters · parameters.host: 8 is an integer, expected a string",
            "InvalidParameters · parameters.image: missing; expected a string",
            "InvalidParameters · parameters.imagee: unknown parameter; did you mean image?",
        ]
    );
}
