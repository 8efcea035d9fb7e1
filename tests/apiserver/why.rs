//! Seeded faults: for each, one `kubectl get` names the reason, and one `landfall why` the deepest cause and what to
//! do about it.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{ALL, Case, cluster, eventually};

mod objects;
mod warnings;

const COMPONENTS: &str = "components.catalog.landfall.dev";

/// A Template `web` with the given beginning of its spec and these resources, each a flow mapping.
fn template(spec: &str, resources: &[&str]) -> String {
    let list: Vec<String> = resources.iter().map(|resource| format!("  - {resource}\n")).collect();
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Template
metadata: {{name: web, namespace: PLATFORM}}
spec:
  type: service
  serviceAccountName: golden-path
{spec}
  resources:
{}",
        list.concat()
    )
}

const OPEN: &str = "  allowedNamespaces: {from: All}
  parameters: {properties: {value: {}, tier: {type: string, enum: [gold, silver]}}}";
const NAMESPACE: &str = "{id: ns, manifest: {apiVersion: v1, kind: Namespace, metadata: {name: '${{ entity.metadata.namespace }}-orders'}}}";
const SETTINGS: &str =
    "{id: settings, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {KEY: value}}}";

/// The Component `orders` with what `spec.template` holds beside the ref, as flow YAML.
fn component(rest: &str) -> String {
    format!(
        "
apiVersion: catalog.landfall.dev/v1alpha1
kind: Component
metadata: {{name: orders, namespace: TEAM}}
spec: {{type: service, lifecycle: production, owner: shop, template: {{ref: PLATFORM/web{rest}}}}}
"
    )
}

/// What was said about a component that is not Ready.
struct Said {
    tree: String,
    cause: String,
    remedy: String,
}

impl Said {
    /// The cause and the remedy hold these words.
    fn names(&self, cause: &str, remedy: &str) {
        let Self {
            tree,
            cause: said,
            remedy: advice,
        } = self;
        assert!(said.contains(cause), "the cause is not \"{cause}\":\n{tree}");
        assert!(advice.contains(remedy), "the remedy is not \"{remedy}\":\n{tree}");
    }
}

/// What `landfall why` answers about `entity`: its exit code and what it prints.
fn ask(case: &Case<'_>, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .arg("why")
        .args(arguments)
        .env("KUBECONFIG", case.cluster.kubeconfig())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), case.masked(&String::from_utf8(text).unwrap()))
}

/// Waits until the component is not Ready for this reason, sees that kubectl's line names it, and asks why until the
/// cause holds `cause`: what is below an object follows on its own time.
async fn why(case: &Case<'_>, reason: &str, expected: &str) -> Said {
    eventually("kubectl to name the reason", async || {
        let output = case.cluster.kubectl(&[
            "get",
            COMPONENTS,
            "orders",
            "-n",
            &case.team,
            "--no-headers",
            "-o",
            "wide",
        ]);
        let line = String::from_utf8(output.stdout).unwrap();
        let named = line.split_whitespace().any(|word| word == reason);
        if named {
            Ok(())
        } else {
            Err(format!("expected {reason} in: {line}"))
        }
    })
    .await;
    eventually("landfall why to name the cause", async || {
        let (code, tree) = ask(case, &["component/orders", "-n", &case.team]);
        assert_eq!(code, Some(2), "{tree}");
        let after = |word: &str| {
            let line = tree.lines().find_map(|line| line.strip_prefix(word));
            line.unwrap_or_default().trim().to_owned()
        };
        let said = Said {
            cause: after("cause:"),
            remedy: after("remedy:"),
            tree: tree.clone(),
        };
        assert!(!after("next look:").is_empty(), "it says when it looks again:\n{tree}");
        if said.cause.contains(expected) {
            Ok(said)
        } else {
            Err(format!("expected \"{expected}\" in:\n{tree}"))
        }
    })
    .await
}

/// A case with this template, and a component of it with the rest of its `spec.template`.
async fn seeded(template: &str, rest: &str) -> Case<'static> {
    let case = Case::new().await;
    case.put(template).await;
    case.put(&component(rest)).await;
    case
}

async fn status(case: &Case<'_>, version: &str, kind: &str, name: &str, status: Value) {
    let api = case.api(version, kind, &case.team);
    let patch = kube::api::Patch::Merge(json!({"status": status}));
    eventually("the object to be there for its status", async || {
        let patched = api.patch_status(name, &kube::api::PatchParams::default(), &patch).await;
        patched.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
}

#[tokio::test]
async fn the_template_does_not_exist() {
    let case = Case::new().await;
    case.put(&component("")).await;
    let said = why(&case, "TemplateNotFound", "template:platform/web: does not exist").await;
    said.names("does not exist", "apply the template, or correct spec.template.ref");
    case.put(&template(OPEN, &[SETTINGS])).await;
    case.ready("Component", "orders").await;
    let (_, tree) = ask(&case, &["orders", "-n", &case.team]);
    assert!(tree.contains("✓ 1 of 1 objects: ConfigMap 1"), "{tree}");
    assert!(!tree.contains("cause:"), "{tree}");
}

#[tokio::test]
async fn the_template_is_misspelt() {
    let case = Case::new().await;
    let named = template(OPEN, &[SETTINGS]).replace("name: web,", "name: quaint-service,");
    case.put(&named).await;
    case.ready("Template", "quaint-service").await;
    case.put(&component("").replace("PLATFORM/web", "PLATFORM/quaint-servcie"))
        .await;
    let said = why(
        &case,
        "TemplateNotFound",
        "does not exist; did you mean quaint-service?",
    )
    .await;
    assert!(
        said.tree
            .contains("does not exist; did you mean template:platform/quaint-service? Objects"),
        "{}",
        said.tree
    );
}

#[tokio::test]
async fn the_account_may_not_bind_a_role() {
    let case = Case::new().await;
    let group = "rbac.authorization.k8s.io";
    case.grant(&json!([{"apiGroups": [group], "resources": ["rolebindings"], "verbs": ALL}]))
        .await;
    let binding = "{id: team, manifest: {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: team}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: shop}]}}";
    case.put(&template(OPEN, &[binding])).await;
    case.put(&component("")).await;
    let said = why(&case, "Forbidden", "may not give rights that it does not hold; grant: ").await;
    said.names(
        "component:shop/orders: Forbidden: RoleBinding shop/team",
        "bound to the account: apiGroups [rbac.authorization.k8s.io], resources [clusterroles], resourceNames [edit], verbs [bind]; then at once",
    );
    assert!(said.cause.len() < 900, "{}", said.cause);
}

#[tokio::test]
async fn the_template_is_not_open_to_it() {
    let case = seeded(&template("  parameters: {}", &[SETTINGS]), "").await;
    let said = why(&case, "NotAllowed", "is not open to namespace shop").await;
    said.names("component:shop/orders: NotAllowed", "spec.allowedNamespaces");
}

#[tokio::test]
async fn the_template_does_not_compile() {
    let broken = "{id: settings, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: '${{ paramters.x }}'}}}";
    let case = seeded(&template(OPEN, &[broken]), "").await;
    let said = why(&case, "TemplateNotReady", "`paramters` is not known").await;
    said.names("template:platform/web", "correct the template at the place");
}

#[tokio::test]
async fn the_template_names_a_kind_that_is_not_there() {
    let missing = "{id: db, manifest: {apiVersion: db.example.com/v1, kind: Database, metadata: {name: main}}}";
    let case = seeded(&template(OPEN, &[missing]), "").await;
    let said = why(&case, "TemplateNotReady", "Database (db.example.com/v1) is not served").await;
    said.names("template:platform/web", "install the CustomResourceDefinition");
}

#[tokio::test]
async fn a_parameter_is_wrong() {
    let case = seeded(&template(OPEN, &[SETTINGS]), ", parameters: {tier: bronze}").await;
    let said = why(&case, "InvalidParameters", "parameters.tier").await;
    said.names(
        "bronze",
        "correct the parameters that the message names: kubectl edit -n shop components.catalog.landfall.dev orders",
    );
    case.put(&component(", parameters: {tier: gold}")).await;
    case.ready("Component", "orders").await;
}

#[tokio::test]
async fn the_pinned_version_does_not_exist() {
    let case = seeded(&template(OPEN, &[SETTINGS]), ", version: '9.9'").await;
    let said = why(&case, "VersionNotFound", "has no version \"9.9\"").await;
    said.names("template:platform/web", "take the pin away");
}

#[tokio::test]
async fn an_expression_has_no_value() {
    let named =
        "{id: settings, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: 'a-${{ parameters.value }}'}}}";
    let case = seeded(&template(OPEN, &[named]), "").await;
    let said = why(&case, "RenderFailed", "parameters.value").await;
    said.names("resource \"settings\"", "correct the template");
}

#[tokio::test]
async fn the_account_does_not_exist() {
    let ghost = template(OPEN, &[SETTINGS]).replace("golden-path", "ghost");
    let case = seeded(&ghost, "").await;
    let said = why(&case, "Forbidden", "ServiceAccount platform/ghost: does not exist").await;
    said.names(
        "objects are written as it",
        "kubectl create serviceaccount -n platform ghost",
    );
}

#[tokio::test]
async fn the_account_lacks_a_right() {
    let case = Case::new().await;
    case.grant(&json!([{"apiGroups": [""], "resources": ["namespaces"], "verbs": ALL}]))
        .await;
    case.put(&template(OPEN, &[SETTINGS])).await;
    case.put(&component("")).await;
    let said = why(&case, "Forbidden", "platform/golden-path may not list configmaps").await;
    said.names(
        "component:shop/orders: Forbidden",
        "bound to the account: apiGroups [\"\"], resources [configmaps]",
    );
    case.grant(&json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ALL}]))
        .await;
    case.mark_processed("Component", "orders", "granted").await;
    case.ready("Component", "orders").await;
}

#[tokio::test]
async fn anothers_object_is_in_the_way() {
    let case = Case::new().await;
    case.put("{apiVersion: v1, kind: Namespace, metadata: {name: TEAM-orders}}")
        .await;
    case.put(&template(OPEN, &[NAMESPACE])).await;
    case.put(&component("")).await;
    let said = why(&case, "NameConflict", "Namespace shop-orders").await;
    said.names(
        "component:shop/orders: NameConflict",
        "landfall.dev/adopt-by=component:shop/orders",
    );
}

#[tokio::test]
async fn a_quota_is_exhausted() {
    let case = Case::new().await;
    case.put("{apiVersion: v1, kind: ResourceQuota, metadata: {name: none, namespace: TEAM}, spec: {hard: {count/configmaps: '0'}}}")
        .await;
    let quotas = case.api("v1", "ResourceQuota", &case.team);
    eventually("the quota to be counted", async || {
        let quota = quotas.get("none").await.unwrap();
        let counted = quota.data.pointer("/status/used/count~1configmaps").is_some();
        counted.then_some(()).ok_or("not yet")
    })
    .await;
    case.put(&template(OPEN, &[SETTINGS])).await;
    case.put(&component("")).await;
    let said = why(&case, "QuotaExceeded", "ConfigMap shop/settings").await;
    said.names("none", "raise the namespace's ResourceQuota");
}

#[tokio::test]
async fn the_apiserver_does_not_take_an_object() {
    let odd = "{id: settings, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {KEY: 3}}}";
    let case = seeded(&template(OPEN, &[odd]), "").await;
    let said = why(&case, "Denied", "ConfigMap shop/settings").await;
    said.names("expected string, got 3", "correct what the message names");
}

#[tokio::test]
async fn a_field_cannot_be_changed() {
    let fixed = |value: &str| {
        format!(
            "{{id: settings, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: settings}}, immutable: true, data: {{KEY: {value}}}}}}}"
        )
    };
    let case = seeded(&template(OPEN, &[&fixed("one")]), "").await;
    case.ready("Component", "orders").await;
    case.put(&template(OPEN, &[&fixed("two")])).await;
    let said = why(&case, "ImmutableField", "ConfigMap shop/settings").await;
    said.names("immutable", "set replace: true");
    case.put(&template(OPEN, &[&fixed("one")])).await;
    case.ready("Component", "orders").await;
}

#[tokio::test]
async fn a_namespace_is_missing() {
    let elsewhere = "{id: settings, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: TEAM-nowhere}}}";
    let spec = format!("{OPEN}\n  targetNamespaces: [TEAM-nowhere]");
    let case = seeded(&template(&spec, &[elsewhere]), "").await;
    let said = why(&case, "WaitingForNamespace", "shop-nowhere").await;
    said.names("waiting for namespace", "create the namespace");
    case.put("{apiVersion: v1, kind: Namespace, metadata: {name: TEAM-nowhere}}")
        .await;
    case.ready("Component", "orders").await;
}

#[tokio::test]
async fn it_is_suspended() {
    let case = seeded(&template(OPEN, &[SETTINGS]), ", suspend: true").await;
    let said = why(&case, "Suspended", "component:shop/orders").await;
    said.names("Suspended", "set spec.template.suspend to false");
    case.put(&component(", suspend: false")).await;
    case.ready("Component", "orders").await;
}

#[tokio::test]
async fn it_answers_in_json_and_for_what_is_not_there() {
    let case = seeded(&template(OPEN, &[SETTINGS]), ", parameters: {tier: bronze}").await;
    case.refused("Component", "orders", "InvalidParameters").await;
    let reference = format!("component:{}/orders", case.team);
    let (code, text) = ask(&case, &[&reference, "-o", "json"]);
    assert_eq!(code, Some(2), "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&answer["ready"], &answer["cause"]["state"]),
        (&json!(false), &json!("Failed")),
        "{answer:#}"
    );
    assert_eq!(answer["next_look"], "when the entity or its template changes");
    let (code, text) = ask(&case, &["component/ordes", "-n", &case.team]);
    assert_eq!(
        (code, text.as_str()),
        (
            Some(1),
            "landfall: component:shop/ordes does not exist; did you mean orders?\n"
        )
    );
    let (code, text) = ask(&case, &["pod:a/b"]);
    assert_eq!(code, Some(1), "{text}");
    let nowhere = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["why", "orders", "--context", "elsewhere"])
        .env("KUBECONFIG", cluster().await.kubeconfig())
        .output()
        .unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&nowhere.stderr).contains("no way to a cluster"),
        "{nowhere:?}"
    );
}
