//! What the design takes for granted of server-side apply, on the real apiserver: how an object is
//! created only where nothing is, and changed only while it is the one that was meant.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, Status};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::support::{cluster, eventually_within, patience};

/// A resourceVersion that no object has: etcd counts on from one with the first write of all.
const NEVER: &str = "1";

#[tokio::test]
async fn a_first_apply_creates_what_is_absent() {
    for case in cases("first-absent").await {
        let created = case
            .apply(
                case.object("ours", &json!({ "resourceVersion": NEVER })),
                "landfall",
                true,
            )
            .await;
        assert!(created.unwrap().uid().is_some(), "{}", case.title);
    }
}

#[tokio::test]
async fn a_first_apply_leaves_what_is_there() {
    // Made by someone else with other content; by us with this very content; by a create, not an apply.
    let makers = [
        ("theirs", Some("someone")),
        ("ours", Some("landfall")),
        ("theirs", None),
    ];
    for (content, manager) in makers {
        for case in cases("first-present").await {
            case.make(content, manager).await;
            for force in [true, false] {
                let object = case.object("ours", &json!({ "resourceVersion": NEVER }));
                case.refused(object, force, 409, "Conflict").await;
            }
        }
    }
}

#[tokio::test]
async fn a_first_apply_leaves_what_is_being_deleted() {
    let case = &cases("first-terminating").await[0];
    let mut object = case.object("theirs", &json!({ "finalizers": ["landfall.dev/test"] }));
    case.api
        .create(&PostParams::default(), &typed(object.take()))
        .await
        .unwrap();
    case.api.delete(&case.name, &DeleteParams::default()).await.unwrap();
    case.refused(
        case.object("ours", &json!({ "resourceVersion": NEVER })),
        true,
        409,
        "Conflict",
    )
    .await;
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    case.api
        .patch(&case.name, &PatchParams::default(), &release)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_later_apply_changes_only_the_object_that_was_meant() {
    for case in cases("later").await {
        let first = case.make("ours", Some("landfall")).await;
        let meant = json!({ "uid": first.uid() });
        let changed = case
            .apply(case.object("changed", &meant), "landfall", true)
            .await
            .unwrap();
        assert_eq!(changed.uid(), first.uid(), "{}", case.title);

        case.remove().await;
        let status = case
            .apply(case.object("ours", &meant), "landfall", true)
            .await
            .expect_err(&case.title);
        println!("{}: uid of a deleted object: {status:?}", case.title);
        assert_eq!(
            (status.code, status.reason.as_str()),
            (409, "Conflict"),
            "{}: {}",
            case.title,
            status.message
        );
        assert!(
            case.raw().await.is_none(),
            "{}: an apply for a deleted object has created one",
            case.title
        );

        // Even where nothing but the uid differs. The field that is named tells this from another fault
        // of the same code.
        case.make("ours", Some("landfall")).await;
        let status = case.refused(case.object("ours", &meant), true, 422, "Invalid").await;
        let causes = status.details.map(|details| details.causes).unwrap_or_default();
        assert!(
            causes.iter().any(|cause| cause.field == "metadata.uid"),
            "{}: {causes:?}",
            case.title
        );
    }
}

/// A kind to try with, and a name of it that no other test uses.
struct Case {
    title: String,
    client: Client,
    api: Api<DynamicObject>,
    resource: ApiResource,
    namespace: Option<String>,
    name: String,
    /// Which field of the kind takes the content.
    field: &'static str,
}

/// A built-in kind, one in no namespace, and one of a `CustomResourceDefinition`: three ways through the apiserver.
async fn cases(test: &str) -> Vec<Case> {
    let cluster = cluster().await;
    let client = cluster.client().await;
    let namespace = cluster.namespace(test).await;
    let case = |resource: ApiResource, inside: bool, field: &'static str| Case {
        title: format!("{test}, {}", resource.kind),
        client: client.clone(),
        api: if inside {
            Api::namespaced_with(client.clone(), &namespace, &resource)
        } else {
            Api::all_with(client.clone(), &resource)
        },
        resource,
        namespace: inside.then(|| namespace.clone()),
        name: format!("{namespace}-object"),
        field,
    };
    vec![
        case(ApiResource::erase::<ConfigMap>(&()), true, "data"),
        case(
            ApiResource::from_gvk(&GroupVersionKind::gvk("tekton.dev", "v1", "Task")),
            true,
            "spec",
        ),
        case(ApiResource::erase::<Namespace>(&()), false, "metadata"),
    ]
}

impl Case {
    fn object(&self, content: &str, metadata: &Value) -> Value {
        let mut object = json!({
            "apiVersion": self.resource.api_version, "kind": self.resource.kind,
            "metadata": { "name": self.name, "namespace": self.namespace, "labels": { "content": content } },
        });
        match self.field {
            "data" => object["data"] = json!({ "content": content }),
            "spec" => object["spec"] = json!({ "description": content }),
            _ => {}
        }
        for (key, value) in metadata.as_object().unwrap() {
            object["metadata"][key] = value.clone();
        }
        object
    }

    async fn apply(&self, object: Value, manager: &str, force: bool) -> Result<DynamicObject, Status> {
        let parameters = PatchParams {
            force,
            ..PatchParams::apply(manager)
        };
        match self.api.patch(&self.name, &parameters, &Patch::Apply(object)).await {
            Ok(object) => Ok(object),
            Err(kube::Error::Api(status)) => Err(*status),
            Err(error) => panic!("{}: {error}", self.title),
        }
    }

    /// Makes the object, by an apply of a manager or by a create.
    async fn make(&self, content: &str, manager: Option<&str>) -> DynamicObject {
        let object = self.object(content, &json!({}));
        match manager {
            Some(manager) => self.apply(object, manager, false).await.unwrap(),
            None => self.api.create(&PostParams::default(), &typed(object)).await.unwrap(),
        }
    }

    /// An apply that must be refused and leave what is there as it was, to the byte.
    async fn refused(&self, object: Value, force: bool, code: u16, reason: &str) -> Status {
        let before = self.raw().await;
        let status = self.apply(object, "landfall", force).await.expect_err(&self.title);
        println!("{} (force {force}): {status:?}", self.title);
        assert_eq!(
            (status.code, status.reason.as_str()),
            (code, reason),
            "{}: {}",
            self.title,
            status.message
        );
        assert!(before.is_some(), "{}: there was nothing to leave as it was", self.title);
        assert_eq!(self.raw().await, before, "{}: changed although refused", self.title);
        status
    }

    /// What the apiserver holds, as it writes it.
    async fn raw(&self) -> Option<String> {
        let path = format!("{}/{}", self.api.resource_url(), self.name);
        match self
            .client
            .request_text(http::Request::get(path).body(Vec::new()).unwrap())
            .await
        {
            Ok(text) => Some(text),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("{}: {error}", self.title),
        }
    }

    async fn remove(&self) {
        self.api.delete(&self.name, &DeleteParams::default()).await.unwrap();
        // A namespace takes Kubernetes five seconds, and more on a machine that does much else.
        eventually_within(patience() * 4, "the object to be gone", async || {
            match self.raw().await {
                None => Ok(()),
                Some(text) => Err(text),
            }
        })
        .await;
    }
}

fn typed(object: Value) -> DynamicObject {
    serde_json::from_value(object).unwrap()
}
