//! Deletions of what others name.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};

use super::door::{Door, component, component_with, with_template};
use crate::support::{Case, Cluster, eventually};

/// An API that a Component calls and another provides, in a System.
const CATALOG: &str = "
apiVersion: catalog.landfall.dev/v1alpha1
kind: API
metadata: {name: payments, namespace: TEAM}
spec: {type: openapi, lifecycle: production, owner: shop, definition: '{}'}
---
apiVersion: catalog.landfall.dev/v1alpha1
kind: Component
metadata: {name: checkout, namespace: TEAM}
spec: {type: service, lifecycle: production, owner: shop, consumesApis: [payments], dependsOn: ['component:ledger']}
---
apiVersion: catalog.landfall.dev/v1alpha1
kind: Component
metadata: {name: ledger, namespace: TEAM}
spec: {type: service, lifecycle: production, owner: shop, providesApis: [payments]}
";

/// The catalog, seen by the door: what is asked of it is in its picture.
async fn seen(door: &Door<'_>) {
    door.case.put(CATALOG).await;
    eventually("the catalog to be seen", async || {
        let said = door.kubectl("delete apis.catalog.landfall.dev payments -n TEAM --dry-run=server", "");
        (said.text.contains("checkout") && said.text.contains("ledger"))
            .then_some(())
            .ok_or(said.text)
    })
    .await;
}

#[tokio::test]
async fn who_would_be_left_without_it_is_told() {
    let case = Case::new().await;
    with_template(&case).await;
    let door = Door::open(&case, &["--deletion-guard=warn"]).await;
    seen(&door).await;
    let said = door.kubectl("delete apis.catalog.landfall.dev payments -n TEAM", "");
    said.done().has("Warning: 2 entities name api:shop/payments: component:shop/checkout (consumesApi), component:shop/ledger (providesApi); without it their refs lead nowhere");
    // Who is named by it, or names nothing of it, is nobody's loss.
    door.kubectl("delete components.catalog.landfall.dev checkout -n TEAM", "")
        .done()
        .has_not("Warning");
    eventually("that to be seen", async || {
        let said = door.kubectl(
            "delete components.catalog.landfall.dev ledger -n TEAM --dry-run=server",
            "",
        );
        (!said.text.contains("Warning")).then_some(()).ok_or(said.text)
    })
    .await;
    // A template with instances, and more of them than are named.
    for number in 10..25 {
        case.put(&component(&format!("i{number}"), "{ref: PLATFORM/web, suspend: true}"))
            .await;
    }
    eventually("all to be named", async || {
        let said = door.kubectl(
            "delete templates.catalog.landfall.dev web -n PLATFORM --dry-run=server",
            "",
        );
        let all = "15 entities name template:platform/web: component:shop/i10 (instance of it), ";
        (said.text.contains(all) && said.text.contains("component:shop/i19 (instance of it), and 5 more;"))
            .then_some(())
            .ok_or(said.text)
    })
    .await;
}

#[tokio::test]
async fn a_guard_that_denies_keeps_what_is_needed_until_nobody_needs_it() {
    let case = Case::new().await;
    let door = Door::open(&case, &["--deletion-guard=deny"]).await;
    seen(&door).await;
    let said = door.kubectl("delete apis.catalog.landfall.dev payments -n TEAM", "");
    said.refused()
        .has("Forbidden")
        .has("2 entities name api:shop/payments: ")
        .has("; delete them first, or have them name another");
    case.own("API").get("payments").await.unwrap();
    door.kubectl("delete components.catalog.landfall.dev checkout -n TEAM", "")
        .done();
    door.apply(&component_with(
        "ledger",
        "description: it provides nothing any more, providesApis: []",
    ))
    .done();
    eventually("it to go when nobody needs it", async || {
        let said = door.kubectl("delete apis.catalog.landfall.dev payments -n TEAM", "");
        said.done.then_some(()).ok_or(said.text)
    })
    .await;
    assert!(case.own("API").get_opt("payments").await.unwrap().is_none());
}

/// With what lies in it, in any order, whatever the guard says: and nobody is asked for a single one.
#[tokio::test]
async fn a_namespace_goes_with_all_that_is_in_it_whatever_the_guard_says() {
    let cluster = Cluster::own("guarded").await;
    let case = Case::on(&cluster).await;
    let door = Door::open(&case, &["--deletion-guard=deny"]).await;
    seen(&door).await;
    door.kubectl("delete apis.catalog.landfall.dev payments -n TEAM", "")
        .refused();
    let refused = door.answers("deletions", "refused").await;
    let namespaces: Api<Namespace> = Api::all(case.client.clone());
    namespaces.delete(&case.team, &DeleteParams::default()).await.unwrap();
    eventually("the namespace to be gone", async || {
        namespaces.get_opt(&case.team).await.unwrap().is_none().then_some(())
    })
    .await;
    assert_eq!(door.answers("deletions", "refused").await, refused);
}
