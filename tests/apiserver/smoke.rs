//! The test cluster is what the other tests take it for.

use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ListParams, ObjectMeta, PostParams};

use landfall::runtime::openapi::{Document, Schemas};
use landfall::template::kinds::FieldLookup;
use serde_json::Value;

use crate::support::{cluster, counted, eventually};

#[tokio::test]
async fn serves_the_version_we_name() {
    let version = cluster().await.client().await.apiserver_version().await.unwrap();
    assert_eq!(version.git_version, "v1.36.3");
}

#[tokio::test]
async fn serves_the_definitions_of_the_peers() {
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster().await.client().await);
    for name in [
        "pipelines.tekton.dev",
        "pipelineruns.tekton.dev",
        "tasks.tekton.dev",
        "triggers.triggers.tekton.dev",
        "eventlisteners.triggers.tekton.dev",
        "applications.argoproj.io",
        "applicationsets.argoproj.io",
        "appprojects.argoproj.io",
        "workflows.argoproj.io",
        "cronworkflows.argoproj.io",
        "workflowtemplates.argoproj.io",
        "gitrepositories.source.toolkit.fluxcd.io",
        "kustomizations.kustomize.toolkit.fluxcd.io",
    ] {
        let definition = definitions.get(name).await.unwrap();
        let conditions = definition
            .status
            .and_then(|status| status.conditions)
            .unwrap_or_default();
        let established = conditions.iter().find(|condition| condition.type_ == "Established");
        assert_eq!(
            established.map(|condition| condition.status.as_str()),
            Some("True"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn records_every_request_with_its_author() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("audit").await;
    let mark = cluster.audit().mark().await;
    let client = cluster.client_as(&namespace, "stranger").await;
    let refused = Api::<ConfigMap>::namespaced(client, &namespace)
        .list(&ListParams::default())
        .await;
    assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 403));

    let entries = counted(cluster.audit().since(mark).await, "landfall-tests");
    let ours: Vec<_> = entries.iter().filter(|entry| entry.namespace == namespace).collect();
    let [entry] = ours.as_slice() else {
        panic!("one request was made, recorded are {ours:?}")
    };
    assert_eq!(
        (entry.verb.as_str(), entry.resource.as_str(), entry.code),
        ("list", "configmaps", 403)
    );
    assert_eq!(
        entry.impersonated,
        Some(format!("system:serviceaccount:{namespace}:stranger"))
    );
    assert_eq!(entry.user, "admin");
}

#[tokio::test]
async fn runs_the_controllers() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("controllers").await;
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client().await, &namespace);
    eventually("the namespace's default service account", async || {
        accounts.get("default").await
    })
    .await;
    let config_maps: Api<ConfigMap> = Api::namespaced(cluster.client().await, &namespace);
    let authority = eventually("the certificate authority", async || {
        config_maps.get("kube-root-ca.crt").await
    })
    .await;
    assert!(authority.data.unwrap_or_default()["ca.crt"].starts_with("-----BEGIN CERTIFICATE-----"));
}

#[tokio::test]
async fn has_a_kubectl() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("kubectl").await;
    let object = ConfigMap {
        metadata: ObjectMeta {
            name: Some("seen".into()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    Api::namespaced(cluster.client().await, &namespace)
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    let output = cluster.kubectl(&["get", "configmap", "seen", "-n", &namespace, "-o", "name"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "configmap/seen\n",
        "{output:?}"
    );
}

/// What the operator reads of the schemas that the server publishes is there, in all of them.
#[tokio::test]
async fn every_published_schema_can_be_read() {
    let client = cluster().await.client().await;
    let get = |path: &str| http::Request::get(path).body(Vec::new()).unwrap();
    let listed = async || -> Value { client.request(get("/openapi/v3")).await.unwrap() };
    let first = listed().await;
    let paths = first["paths"].as_object().unwrap();
    assert!(paths.len() > 30, "{first:#}");
    for path in paths.keys() {
        // While definitions are still coming in, the place of a document changes, and the former one answers with no content.
        let document = eventually(path, async || {
            let now = listed().await;
            let place = now["paths"][path]["serverRelativeURL"].as_str().unwrap();
            client.request::<Document>(get(place)).await
        })
        .await;
        match path.as_str() {
            "apis/apps/v1" => {
                let schemas = Schemas::of(document, "apps", "v1");
                assert!(schemas.declares("Deployment", &["status", "conditions"]));
            }
            "apis/tekton.dev/v1" => {
                let schemas = Schemas::of(document, "tekton.dev", "v1");
                let field = |name: &str| schemas.field("Pipeline", &["metadata".to_owned(), name.to_owned()]);
                assert_eq!(field("name"), FieldLookup::Exists);
                assert!(matches!(field("nane"), FieldLookup::Missing { .. }));
            }
            _ => {}
        }
    }
}
