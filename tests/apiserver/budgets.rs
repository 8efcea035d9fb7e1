//! What an instance costs the apiserver, counted in its audit log: exact numbers, no estimates.

use serde_json::{Value, json};

use crate::support::{Stage, condition, config_map, lines, namespace_manifest, parameters, requests, resource, with};

/// A namespace and four objects in it, with no progress of their own.
pub async fn five_objects(stage: &Stage<'_>) {
    let inside = |name: &str| json!({"name": name, "namespace": "${{ resources.ns.metadata.name }}"});
    let settings = config_map("settings", json!({"text": "${{ parameters.text }}"}));
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": inside("quota"), "spec": {"hard": {"pods": "9"}}});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": inside("run")});
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": inside("default"),
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    });
    let resources = json!([
        resource("ns", namespace_manifest("")),
        resource("quota", quota),
        resource("account", account),
        resource("policy", policy),
        resource("settings", with(settings, json!({"metadata": inside("settings")}))),
    ]);
    let schema = parameters(json!({"text": {"type": "string", "default": "one"}}));
    stage.template_with("app", resources, schema).await;
}

fn text(text: &str) -> Value {
    json!({"ref": "app", "parameters": {"text": text}})
}

/// Something later has been processed by the same controller: a Component that is only recorded.
async fn later(stage: &Stage<'_>, name: &str) {
    stage.component_with(name, json!({})).await;
    stage.ready("Component", name).await;
}

#[tokio::test]
async fn an_instance_costs_what_the_design_allows() {
    let stage = Stage::new("budget").await;
    five_objects(&stage).await;
    let namespace = format!("{}-orders", stage.home);
    let counted = async |mark| {
        let mut asked = stage.asked_since(mark).await;
        asked.retain(|entry| !entry.name.starts_with("later"));
        asked
    };

    // One instance of five objects, to Ready.
    let mark = stage.cluster.audit().mark().await;
    stage.component("orders", text("one")).await;
    stage.ready("Component", "orders").await;
    later(&stage, "later-made").await;
    stage.looked_at("Component", "later-made").await;
    let asked = counted(mark).await;
    assert_eq!(
        requests(&asked),
        [
            "patch components.catalog.landfall.dev orders",
            "update components.catalog.landfall.dev/status orders",
            &format!("patch namespaces {namespace}"),
            "patch resourcequotas quota",
            "patch serviceaccounts run",
            "patch networkpolicies.networking.k8s.io default",
            "patch configmaps settings",
            "update components.catalog.landfall.dev/status orders",
        ],
        "\n{}",
        lines(&asked)
    );

    // Settled: nothing more, though Kubernetes itself writes to the objects' status.
    stage
        .becomes(("ResourceQuota", &namespace, "quota"), |object| {
            object["status"]["hard"]["pods"] == "9"
        })
        .await;
    let mark = stage.cluster.audit().mark().await;
    stage
        .edit(
            ("ResourceQuota", &namespace, "quota"),
            json!({"metadata": {"annotations": {"example.com/theirs": "x"}}}),
        )
        .await;
    stage
        .edit(("ConfigMap", &namespace, "settings"), json!({"data": {"theirs": "x"}}))
        .await;
    later(&stage, "later-settled").await;
    stage.looked_at("Component", "later-settled").await;
    let asked = counted(mark).await;
    assert!(asked.is_empty(), "asked though nothing changed:\n{}", lines(&asked));

    // One field: its object and the status.
    let mark = stage.cluster.audit().mark().await;
    stage.component("orders", text("two")).await;
    stage
        .becomes(("ConfigMap", &namespace, "settings"), |object| {
            object["data"]["text"] == "two"
        })
        .await;
    stage.ready("Component", "orders").await;
    later(&stage, "later-changed").await;
    stage.looked_at("Component", "later-changed").await;
    let asked = counted(mark).await;
    assert_eq!(
        requests(&asked),
        [
            "patch configmaps settings",
            "update components.catalog.landfall.dev/status orders"
        ],
        "\n{}",
        lines(&asked)
    );

    // A repair: its object, and the status that holds the hash of what was applied, which is as before.
    let mark = stage.cluster.audit().mark().await;
    stage
        .edit(
            ("ConfigMap", &namespace, "settings"),
            json!({"data": {"text": "edited"}}),
        )
        .await;
    stage
        .becomes(("ConfigMap", &namespace, "settings"), |object| {
            object["data"]["text"] == "two"
        })
        .await;
    later(&stage, "later-repaired").await;
    stage.looked_at("Component", "later-repaired").await;
    let asked = counted(mark).await;
    assert_eq!(requests(&asked), ["patch configmaps settings"], "\n{}", lines(&asked));

    // A namespace with all that is in it.
    let mark = stage.cluster.audit().mark().await;
    stage.delete(("Component", &stage.home, "orders")).await;
    stage.vanishes(("Component", &stage.home, "orders")).await;
    later(&stage, "later-deleted").await;
    let asked = counted(mark).await;
    assert_eq!(
        requests(&asked),
        [
            "list persistentvolumeclaims ",
            &format!("delete namespaces {namespace}"),
            "update components.catalog.landfall.dev/status orders",
            "patch components.catalog.landfall.dev orders",
        ],
        "\n{}",
        lines(&asked)
    );
}

#[tokio::test]
async fn many_at_once_cost_no_more_each() {
    let stage = Stage::new("crowd").await;
    five_objects(&stage).await;
    let names: Vec<String> = (0..20).map(|number| format!("crowd{number}")).collect();
    let mark = stage.cluster.audit().mark().await;
    futures::future::join_all(names.iter().map(|name| stage.component(name, json!({"ref": "app"})))).await;
    for name in &names {
        stage.ready("Component", name).await;
    }
    later(&stage, "later").await;
    stage.looked_at("Component", "later").await;
    let mut asked = stage.asked_since(mark).await;
    asked.retain(|entry| entry.name != "later");
    assert_eq!(asked.len(), names.len() * 8, "\n{}", lines(&asked));
}

#[tokio::test]
async fn what_is_in_the_way_costs_no_writes_while_it_stays() {
    let stage = Stage::new("stuck").await;
    let theirs = with(
        config_map("settings", json!({})),
        json!({"metadata": {"name": "settings", "namespace": stage.home}}),
    );
    stage.put(theirs).await;
    stage
        .template(
            "app",
            json!([resource("settings", config_map("settings", json!({"a": "b"})))]),
        )
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.unready("Component", "orders", "NameConflict").await;
    let before = stage.looked_at("Component", "orders").await;
    let mark = stage.cluster.audit().mark().await;
    let after = stage.looked_at("Component", "orders").await;
    let mut written = stage.written_since(mark).await;
    // The look itself is remembered in the status.
    written.retain(|entry| entry.resource != "components.catalog.landfall.dev/status" && entry.code < 300);
    assert!(written.is_empty(), "\n{}", lines(&written));
    assert_eq!(condition(&before, "Ready"), condition(&after, "Ready"));
}

#[tokio::test]
async fn an_instance_is_ready_at_once() {
    let stage = Stage::new("quick").await;
    five_objects(&stage).await;
    // The watches on the template's kinds are opened with the first instance.
    stage.component("first", json!({"ref": "app"})).await;
    stage.ready("Component", "first").await;
    let mut taken = Vec::new();
    for number in 0..5 {
        let name = format!("quick{number}");
        let began = std::time::Instant::now();
        stage.component(&name, json!({"ref": "app"})).await;
        stage.ready("Component", &name).await;
        taken.push(began.elapsed());
    }
    taken.sort();
    println!("create to Ready: {taken:?}");
    // A second on a quiet machine is the promise; the tests share theirs with others.
    assert!(taken[2] < std::time::Duration::from_secs(3), "{taken:?}");
}
