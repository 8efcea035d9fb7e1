//! What people and the golden path's account may do, as the apiserver says when it is asked.

use serde_json::json;

use crate::helm::rendered;
use crate::support::{Cluster, Stage, cluster, eventually, uid};

/// The kinds that a team writes, and those that decide who gets which rights.
const TEAMS: [&str; 6] = ["apis", "components", "domains", "entities", "resources", "systems"];
const PLATFORMS: [&str; 4] = ["groups", "locations", "templates", "users"];
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];
const READS: [&str; 3] = ["get", "list", "watch"];

/// Whether a user may do something in a namespace.
async fn may(stage: &Stage<'_>, user: &str, namespace: &str, verb: &str, resource: &str) -> bool {
    let (name, group) = resource.split_once('.').unwrap_or((resource, ""));
    let (name, subresource) = name.split_once('/').unwrap_or((name, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {"user": user, "resourceAttributes": {
            "namespace": namespace, "verb": verb, "group": group, "resource": name, "subresource": subresource,
        }},
    });
    let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
        .header("content-type", "application/json")
        .body(review.to_string().into_bytes())
        .unwrap();
    let answer: serde_json::Value = stage.client.request(request).await.unwrap();
    answer["status"]["allowed"] == true
}

async fn bind(stage: &Stage<'_>, user: &str, role: &str) {
    let group = "rbac.authorization.k8s.io";
    stage
        .put(json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding",
            "metadata": {"name": user, "namespace": stage.home},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }))
        .await;
}

/// The roles of the chart that are for people or for the golden path, on the cluster.
async fn applied(stage: &Stage<'_>) {
    stage
        .put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platform"}}))
        .await;
    let kinds = ["ClusterRole", "ClusterRoleBinding", "ServiceAccount"];
    for object in rendered(&["--set", "goldenPath.enabled=true"]) {
        let own = object["metadata"]["namespace"] == "landfall-system";
        if kinds.contains(&object["kind"].as_str().unwrap()) && !own {
            stage.put(object).await;
        }
    }
}

#[tokio::test]
async fn who_edits_a_namespace_writes_what_teams_write_and_nothing_that_gives_rights() {
    let stage = Stage::on(cluster().await, "people").await;
    applied(&stage).await;
    for (user, role) in [
        ("viewer", "view"),
        ("editor", "edit"),
        ("platform", "landfall-platform"),
    ] {
        bind(&stage, user, role).await;
    }
    let home = stage.home.clone();
    let group = "catalog.landfall.dev";
    // Kubernetes takes a moment to put roles together.
    for (user, verb, plural) in [
        ("viewer", "get", "apis"),
        ("editor", "create", "apis"),
        ("platform", "create", "users"),
    ] {
        eventually("the rights to be in force", async || {
            may(&stage, user, &home, verb, &format!("{plural}.{group}"))
                .await
                .then_some(())
        })
        .await;
    }
    for plural in [&TEAMS[..], &PLATFORMS[..]].concat() {
        let resource = format!("{plural}.{group}");
        let (teams, platforms) = (TEAMS.contains(&plural), PLATFORMS.contains(&plural));
        for verb in READS {
            assert!(
                may(&stage, "viewer", &home, verb, &resource).await,
                "view: {verb} {resource}"
            );
            assert!(
                may(&stage, "editor", &home, verb, &resource).await,
                "edit: {verb} {resource}"
            );
        }
        for verb in WRITES {
            assert!(
                !may(&stage, "viewer", &home, verb, &resource).await,
                "view: {verb} {resource}"
            );
            assert_eq!(
                may(&stage, "editor", &home, verb, &resource).await,
                teams,
                "edit: {verb} {resource}"
            );
            assert_eq!(
                may(&stage, "platform", &home, verb, &resource).await,
                platforms,
                "platform: {verb} {resource}"
            );
            let status = format!("{plural}/status.{group}");
            for user in ["viewer", "editor", "platform"] {
                assert!(
                    !may(&stage, user, &home, verb, &status).await,
                    "{user}: {verb} {status}"
                );
            }
        }
        assert!(
            !may(&stage, "editor", "default", "get", &resource).await,
            "in another namespace"
        );
    }
}

#[tokio::test]
async fn the_golden_paths_account_hands_out_the_roles_that_are_named_and_no_others() {
    let stage = Stage::on(cluster().await, "bounds").await;
    applied(&stage).await;
    let account = "system:serviceaccount:platform:golden-path";
    let home = stage.home.clone();
    eventually("the account's rights to be in force", async || {
        may(
            &stage,
            account,
            &home,
            "create",
            "rolebindings.rbac.authorization.k8s.io",
        )
        .await
        .then_some(())
    })
    .await;
    let as_account = Stage {
        client: stage.cluster.client_as("platform", "golden-path").await,
        home: stage.home.clone(),
        cluster: stage.cluster,
    };
    let group = "rbac.authorization.k8s.io";
    let binding = |role: &str| {
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding",
            "metadata": {"name": format!("to-{role}"), "namespace": home},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "somebody"}],
        })
    };
    for role in ["view", "edit"] {
        assert!(!uid(&as_account.put(binding(role)).await).is_empty());
    }
    for role in ["cluster-admin", "admin", "system:node", "landfall-platform"] {
        let api = as_account.api("RoleBinding", &home);
        let object = serde_json::from_value(binding(role)).unwrap();
        let refused = api.create(&kube::api::PostParams::default(), &object).await;
        assert!(
            matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403),
            "{role}: {refused:?}"
        );
    }
    for (verb, resource) in [
        ("create", "clusterroles.rbac.authorization.k8s.io"),
        ("create", "roles.rbac.authorization.k8s.io"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
        ("escalate", "roles.rbac.authorization.k8s.io"),
        ("impersonate", "serviceaccounts"),
        ("get", "secrets"),
        ("create", "pods"),
        ("create", "components.catalog.landfall.dev"),
        ("create", "serviceaccounts/token"),
    ] {
        assert!(!may(&stage, account, &home, verb, resource).await, "{verb} {resource}");
    }
}
