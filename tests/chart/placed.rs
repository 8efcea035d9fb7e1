//! Where each value ends up.

use serde_json::{Value, json};

use crate::helm::{RELEASE, find, rendered};

/// With these values, what an object has at a place: its kind and name, a pointer, and JSON; `absent` where nothing is to be
/// there. A flag instead of a pointer is one of the operator's.
const ROWS: &str = r#"
controller.listenAddress=[::]                | Deployment landfall | --listen | [::]:8080
controller.port=9090                         | Deployment landfall | --listen | 0.0.0.0:9090
controller.port=9090                         | Deployment landfall | /spec/template/spec/containers/0/ports/0/containerPort | 9090
controller.port=9090                         | Service landfall | /spec/ports/0/port | 9090
log.format=json                              | Deployment landfall | --log-format | json
log.filter=warn\,landfall=debug              | Deployment landfall | --log | warn,landfall=debug
clusterScopedKinds={Namespace,Role.example.org} | Deployment landfall | --cluster-scoped-kinds | Namespace,Role.example.org
reservedNamespaces={kube-*,argocd}           | Deployment landfall | --reserved-namespaces | kube-*,argocd,landfall-system
{"reservedNamespaces":[]}                    | Deployment landfall | --reserved-namespaces | landfall-system
blockedRetrySeconds=5                        | Deployment landfall | --blocked-retry | 5
watchTimeoutSeconds=60                       | Deployment landfall | --watch-timeout | 60
leaderElection.leaseDurationSeconds=60       | Deployment landfall | --lease-duration | 60s
leaderElection.renewDeadlineSeconds=25       | Deployment landfall | --renew-deadline | 25s
leaderElection.retryPeriodSeconds=2          | Deployment landfall | --retry-period | 2s
leaderElection.enabled=false,controller.replicas=1 | Deployment landfall | --leader-elect | false
leaderElection.enabled=false,controller.replicas=1 | Deployment landfall | --lease-duration | absent
leaderElection.enabled=false,controller.replicas=1 | Deployment landfall | /spec/strategy | {"type":"Recreate"}
leaderElection.enabled=false,controller.replicas=1 | Role landfall-controller | | absent
leaderElection.enabled=false,controller.replicas=1 | RoleBinding landfall-controller | | absent
image.repository=example.org/landfall,image.tag=v9 | Deployment landfall | /spec/template/spec/containers/0/image | "example.org/landfall:v9"
image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000 | Deployment landfall | /spec/template/spec/containers/0/image | "localhost/landfall@sha256:0000000000000000000000000000000000000000000000000000000000000000"
image.pullPolicy=Always                      | Deployment landfall | /spec/template/spec/containers/0/imagePullPolicy | "Always"
image.pullSecrets[0].name=pull               | Deployment landfall | /spec/template/spec/imagePullSecrets | [{"name":"pull"}]
                                             | Deployment landfall | /spec/replicas | 2
controller.replicas=3                        | Deployment landfall | /spec/replicas | 3
controller.resources.limits.memory=1Gi       | Deployment landfall | /spec/template/spec/containers/0/resources/limits/memory | "1Gi"
controller.annotations.a=b                   | Deployment landfall | /metadata/annotations | {"a":"b"}
controller.podAnnotations.a=b                | Deployment landfall | /spec/template/metadata/annotations | {"a":"b"}
controller.podLabels.team=x                  | Deployment landfall | /spec/template/metadata/labels/team | "x"
controller.nodeSelector.disk=ssd             | Deployment landfall | /spec/template/spec/nodeSelector | {"disk":"ssd"}
controller.tolerations[0].operator=Exists    | Deployment landfall | /spec/template/spec/tolerations | [{"operator":"Exists"}]
{"controller":{"affinity":{"nodeAffinity":{}}}} | Deployment landfall | /spec/template/spec/affinity | {"nodeAffinity":{}}
controller.priorityClassName=high            | Deployment landfall | /spec/template/spec/priorityClassName | "high"
controller.terminationGracePeriodSeconds=5   | Deployment landfall | /spec/template/spec/terminationGracePeriodSeconds | 5
                                             | Deployment landfall | /spec/template/spec/topologySpreadConstraints/1/topologyKey | "topology.kubernetes.io/zone"
controller.topologySpread=false              | Deployment landfall | /spec/template/spec/topologySpreadConstraints | absent
                                             | PodDisruptionBudget landfall | /spec/maxUnavailable | 1
controller.podDisruptionBudget.enabled=false | PodDisruptionBudget landfall | | absent
networkPolicy.enabled=false                  | NetworkPolicy landfall | | absent
                                             | NetworkPolicy landfall | /spec/policyTypes | ["Ingress","Egress"]
                                             | NetworkPolicy landfall | /spec/ingress | [{"ports":[{"port":"http","protocol":"TCP"}]}]
{"networkPolicy":{"metricsFrom":[{"podSelector":{}}]}} | NetworkPolicy landfall | /spec/ingress/0/from | [{"podSelector":{}}]
                                             | NetworkPolicy landfall | /spec/egress | [{"ports":[{"port":443,"protocol":"TCP"},{"port":6443,"protocol":"TCP"}]}]
networkPolicy.apiserverPorts={8443}          | NetworkPolicy landfall | /spec/egress/0/ports/0/port | 8443
networkPolicy.apiserverCidrs={10.0.0.1/32}   | NetworkPolicy landfall | /spec/egress/0/to | [{"ipBlock":{"cidr":"10.0.0.1/32"}}]
networkPolicy.extraEgress[0].ports[0].port=53 | NetworkPolicy landfall | /spec/egress/1 | {"ports":[{"port":53}]}
serviceAccount.annotations.a=b               | ServiceAccount landfall | /metadata/annotations | {"a":"b"}
serviceAccount.create=false,serviceAccount.name=mine | ServiceAccount mine | | absent
serviceAccount.create=false,serviceAccount.name=mine | ClusterRoleBinding landfall-controller | /subjects/0/name | "mine"
serviceAccount.name=mine                     | Deployment landfall | /spec/template/spec/serviceAccountName | "mine"
rbac.create=false                            | ClusterRole landfall-controller | | absent
rbac.create=false                            | Role landfall-controller | | absent
rbac.aggregate=false                         | ClusterRole landfall-view | | absent
rbac.aggregate=false                         | ClusterRole landfall-edit | | absent
rbac.platformRole=false                      | ClusterRole landfall-platform | | absent
accounts[0].namespace=shop,accounts[0].name=maker | Role landfall-acts-as-maker | /rules | [{"apiGroups":[""],"resources":["serviceaccounts"],"resourceNames":["maker"],"verbs":["impersonate","get"]}]
accounts[0].namespace=shop,accounts[0].name=maker | Role landfall-acts-as-maker | /metadata/namespace | "shop"
                                             | Role landfall-acts-as-golden-path | | absent
goldenPath.enabled=true                      | Role landfall-acts-as-golden-path | /metadata/namespace | "platform"
goldenPath.enabled=true,goldenPath.name=gp,goldenPath.namespace=shop | Role landfall-acts-as-gp | /metadata/namespace | "shop"
                                             | Namespace platform | | absent
goldenPath.enabled=true                      | Namespace platform | /metadata/annotations | {"helm.sh/resource-policy":"keep"}
goldenPath.enabled=true,goldenPath.createNamespace=false | Namespace platform | | absent
goldenPath.enabled=true,goldenPath.bindableClusterRoles={viewer} | ClusterRole landfall-golden-path | /rules/4/resourceNames | ["viewer"]
goldenPath.enabled=true                      | ClusterRole landfall-golden-path | /rules/5 | absent
goldenPath.enabled=true,goldenPath.tekton=true | ClusterRole landfall-golden-path | /rules/5/resources | ["pipelines","pipelineruns"]
{"goldenPath":{"enabled":true,"extraRules":[{"apiGroups":["apps"],"resources":["deployments"],"verbs":["get"]}]}} | ClusterRole landfall-golden-path | /rules/5/resources | ["deployments"]
                                             | ServiceMonitor landfall | | absent
metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.labels.release=prometheus | ServiceMonitor landfall | /metadata/labels/release | "prometheus"
metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.interval=1m | ServiceMonitor landfall | /spec/endpoints/0/interval | "1m"
                                             | PrometheusRule landfall | | absent
metrics.prometheusRule.enabled=true,metrics.prometheusRule.labels.release=prometheus | PrometheusRule landfall | /metadata/labels/release | "prometheus"
                                             | CustomResourceDefinition users.catalog.landfall.dev | /metadata/annotations | {"helm.sh/resource-policy":"keep"}
crds.annotations.a=b                         | CustomResourceDefinition users.catalog.landfall.dev | /metadata/annotations/a | "b"
crds.keep=false                              | CustomResourceDefinition users.catalog.landfall.dev | /metadata/annotations | absent
crds.enabled=false                           | CustomResourceDefinition users.catalog.landfall.dev | | absent
                                             | ValidatingWebhookConfiguration landfall-instances | | absent
                                             | Deployment landfall-webhook | | absent
webhook.enabled=true                         | ValidatingWebhookConfiguration landfall-instances | /webhooks/0/failurePolicy | "Fail"
webhook.enabled=true                         | ValidatingWebhookConfiguration landfall-deletions | /webhooks/0/failurePolicy | "Ignore"
webhook.enabled=true,webhook.timeoutSeconds=2 | ValidatingWebhookConfiguration landfall-instances | /webhooks/0/timeoutSeconds | 2
webhook.enabled=true,webhook.timeoutSeconds=2 | ValidatingWebhookConfiguration landfall-deletions | /webhooks/0/timeoutSeconds | 2
webhook.enabled=true,webhook.exemptNamespaces={old} | ValidatingWebhookConfiguration landfall-instances | /webhooks/0/namespaceSelector/matchExpressions/0/values | ["kube-system","landfall-system","old"]
webhook.enabled=true,accounts[0].namespace=shop,accounts[0].name=maker | ValidatingWebhookConfiguration landfall-instances | /webhooks/0/matchConditions/0/expression | "!(request.userInfo.username in [\"system:serviceaccount:landfall-system:landfall\",\"system:serviceaccount:shop:maker\"])"
webhook.enabled=true,webhook.deletionGuard=Allow | ValidatingWebhookConfiguration landfall-deletions | | absent
webhook.enabled=true,webhook.deletionGuard=Allow | ClusterRole landfall-webhook | /rules/5/resourceNames | ["landfall-instances"]
webhook.enabled=true,webhook.deletionGuard=Deny | Deployment landfall-webhook | --deletion-guard | deny
webhook.enabled=true                         | Deployment landfall-webhook | --server-name | landfall-webhook.landfall-system.svc
webhook.enabled=true,webhook.port=9999       | Deployment landfall-webhook | --webhook-listen | 0.0.0.0:9999
webhook.enabled=true,webhook.port=9999       | Deployment landfall-webhook | /spec/template/spec/containers/0/ports/0/containerPort | 9999
webhook.enabled=true,webhook.replicas=3      | Deployment landfall-webhook | /spec/replicas | 3
webhook.enabled=true,webhook.resources.limits.memory=1Gi | Deployment landfall-webhook | /spec/template/spec/containers/0/resources/limits/memory | "1Gi"
{"webhook":{"enabled":true,"from":[{"ipBlock":{"cidr":"10.0.0.1/32"}}]}} | NetworkPolicy landfall-webhook | /spec/ingress/0/from | [{"ipBlock":{"cidr":"10.0.0.1/32"}}]
webhook.enabled=true,networkPolicy.enabled=false | NetworkPolicy landfall-webhook | | absent
webhook.enabled=true,rbac.create=false       | Role landfall-webhook | | absent
webhook.enabled=true,controller.podDisruptionBudget.enabled=false | PodDisruptionBudget landfall-webhook | | absent
commonLabels.team=x                          | CustomResourceDefinition users.catalog.landfall.dev | /metadata/labels/team | "x"
commonLabels.team=x                          | Deployment landfall | /spec/template/metadata/labels/team | "x"
fullnameOverride=catalog                     | Deployment catalog | /metadata/name | "catalog"
nameOverride=other                           | Deployment landfall-other | /spec/selector/matchLabels/app.kubernetes.io~1name | "other"
"#;

/// The operator's arguments.
fn arguments(deployment: &Value) -> &Vec<Value> {
    let place = "/spec/template/spec/containers/0/args";
    deployment.pointer(place).unwrap().as_array().unwrap()
}

#[test]
fn each_value_ends_up_where_it_belongs() {
    let mut rows = 0;
    for row in ROWS.lines().filter(|row| !row.is_empty()) {
        let cells: Vec<&str> = row.splitn(4, '|').map(str::trim).collect();
        let [values, object, place, expected] = cells[..] else {
            panic!("{row}")
        };
        let option = if values.starts_with('{') { "--set-json" } else { "--set" };
        let objects = rendered(&[option, values]);
        let (kind, name) = object.split_once(' ').unwrap();
        let object = find(&objects, kind, name);
        let found = if place.starts_with("--") {
            let begin = format!("{place}=");
            let flag = arguments(object.unwrap()).iter().filter_map(Value::as_str);
            flag.filter_map(|flag| flag.strip_prefix(&begin))
                .map(str::to_owned)
                .next()
        } else {
            object.and_then(|object| object.pointer(place)).map(Value::to_string)
        };
        let expected = if place.starts_with('-') || expected == "absent" {
            expected.to_owned()
        } else {
            serde_json::from_str::<Value>(expected).unwrap().to_string()
        };
        assert_eq!(found.as_deref().unwrap_or("absent"), expected, "{row}");
        rows += 1;
    }
    assert!(rows > 70, "{rows}");
}

#[test]
fn the_operator_is_given_every_flag_that_has_a_value() {
    let objects = rendered(&[]);
    let expected = json!([
        "controller",
        "--listen=0.0.0.0:8080",
        "--log=info,kube_client=warn,kube_runtime=error",
        "--log-format=text",
        "--cluster-scoped-kinds=Namespace",
        "--reserved-namespaces=kube-*,landfall-system",
        "--blocked-retry=60",
        "--watch-timeout=290",
        "--leader-elect=true",
        "--lease-duration=30s",
        "--renew-deadline=20s",
        "--retry-period=4s",
    ]);
    assert_eq!(
        *arguments(find(&objects, "Deployment", RELEASE).unwrap()),
        *expected.as_array().unwrap()
    );
    let image = format!("localhost/landfall:{}", env!("CARGO_PKG_VERSION"));
    let place = "/spec/template/spec/containers/0/image";
    assert_eq!(
        *find(&objects, "Deployment", RELEASE).unwrap().pointer(place).unwrap(),
        json!(image)
    );
}
