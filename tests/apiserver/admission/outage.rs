//! R13: a webhook that is away, slow, or not to be known.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use kube::api::DeleteParams;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::certificates::certificate;
use super::door::{Door, PARAMETERS, component, component_with, kubectl, template, with_template};
use crate::support::{Case, Cluster, Operator, Trial, Verdict, eventually};

/// What is done to it, and how the apiserver says so.
const FAULTS: [(&str, &str); 4] = [
    ("down", "connect: connection refused"),
    ("slow", "context deadline exceeded"),
    ("stranger", "x509: certificate signed by unknown authority"),
    ("expired", "x509: certificate has expired or is not yet valid"),
];

/// What answers in the webhook's place.
enum Instead {
    Nobody,
    /// It takes connections, and says nothing.
    Silence(#[allow(dead_code)] TcpListener),
    /// It shows a certificate; a thread of its own, since the test's waits for kubectl.
    Impostor(CancellationToken, Option<JoinHandle<()>>),
}

impl Drop for Instead {
    fn drop(&mut self) {
        if let Self::Impostor(stop, thread) = self {
            stop.cancel();
            thread.take().unwrap().join().unwrap();
        }
    }
}

fn impostor(port: u16, certificate: &str, key: &str) -> Instead {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let (stop, acceptor) = (CancellationToken::new(), TlsAcceptor::from(Arc::new(config)));
    let stopped = stop.clone();
    let serve = async move {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        loop {
            tokio::select! {
                () = stopped.cancelled() => return,
                accepted = listener.accept() => {
                    let acceptor = acceptor.clone();
                    tokio::spawn(async move { drop(acceptor.accept(accepted.unwrap().0).await) });
                }
            }
        }
    };
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(serve);
    });
    Instead::Impostor(stop, Some(thread))
}

/// The configurations as the chart has them, also about namespaces that are not the case's.
async fn point(case: &Case<'_>, port: u16, bundle: &str) {
    let bytes = k8s_openapi::ByteString(bundle.as_bytes().to_vec());
    for path in ["instances", "deletions"] {
        let mut configuration = Door::configuration(case, path, port);
        let webhook = &mut configuration["webhooks"][0];
        webhook["timeoutSeconds"] = json!(1);
        webhook["clientConfig"]["caBundle"] = serde_json::to_value(&bytes).unwrap();
        let expressions = webhook["namespaceSelector"]["matchExpressions"].as_array_mut().unwrap();
        assert_eq!(expressions.pop().unwrap()["operator"], "In");
        case.put_object(&configuration).await;
    }
}

/// Ends the webhook and puts something else in its place.
async fn fault(case: &Case<'_>, what: &str, webhook: Operator, port: u16) -> Instead {
    webhook.kill();
    let [authority, good, good_key] = certificate(-1, 90);
    let [ended, expired, expired_key] = certificate(-100, 90);
    let (bundle, instead) = match what {
        "down" => (authority, Instead::Nobody),
        "slow" => (
            authority,
            Instead::Silence(TcpListener::bind(("127.0.0.1", port)).unwrap()),
        ),
        "stranger" => (ended, impostor(port, &good, &good_key)),
        _ => (ended, impostor(port, &expired, &expired_key)),
    };
    point(case, port, &bundle).await;
    instead
}

#[tokio::test]
async fn a_webhook_that_cannot_answer_holds_up_new_specs_of_instances_and_nothing_else() {
    let cluster = Cluster::own("door").await;
    let case = Case::on(&cluster).await;
    let operator = Operator::start(&cluster).await;
    with_template(&case).await;
    // Who is never asked about may do everything here.
    case.put("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: everything}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, subjects: [{kind: ServiceAccount, name: landfall, namespace: landfall-system}]}").await;
    for (what, _) in FAULTS {
        case.put(&component(what, "{ref: PLATFORM/web}")).await;
        case.ready("Component", what).await;
    }
    let mut trial = Trial::of(
        "R13",
        "our own admission webhook down, slow, with a wrong CA, with an expired certificate",
        FAULTS.len(),
    );
    for (what, words) in FAULTS {
        let Door { webhook, port, .. } = Door::open(&case, &[]).await;
        let instead = fault(&case, what, webhook, port).await;
        held_up(&case, what, words).await;
        goes_on(&case, what).await;
        assert_eq!(operator.get("/readyz").await.unwrap().0, 200);
        // And when it is back, it is asked at once.
        drop(instead);
        let began = Instant::now();
        let mut webhook = Door::process(&case, port, &[]);
        webhook.wait_ready().await.unwrap();
        let new = |parameters: &str| component("new", &format!("{{ref: PLATFORM/web, parameters: {parameters}}}"));
        eventually("writes to pass again", async || {
            let said = kubectl(&case, "apply -f -", &new("{}"));
            said.done.then_some(()).ok_or(said.text)
        })
        .await;
        trial.held(began.elapsed());
        kubectl(&case, "apply -f -", &new("{host: 1}"))
            .refused()
            .has("host: 1 is an integer");
        case.own("Component")
            .delete("new", &DeleteParams::default())
            .await
            .unwrap();
        gone(&case, "new").await;
    }
    trial.ends(Verdict::Resilient, "");
}

async fn gone(case: &Case<'_>, name: &str) {
    eventually("the instance to be gone", async || {
        case.own("Component")
            .get_opt(name)
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
}

/// New specs of instances are refused, in the apiserver's words.
async fn held_up(case: &Case<'_>, existing: &str, words: &str) {
    let changed = component(existing, "{ref: PLATFORM/web, parameters: {replicas: 2}}");
    eventually("the fault to be met", async || {
        let said = kubectl(case, "apply -f -", &changed);
        let told = ["failed calling webhook \"instances.catalog.landfall.dev\"", words];
        (!said.done && told.iter().all(|word| said.text.contains(word)))
            .then_some(())
            .ok_or(said.text)
    })
    .await;
    kubectl(case, "apply -f -", &component("new", "{ref: PLATFORM/web}")).refused();
}

/// Everything else goes on: what is no instance, other groups, metadata, the operator, kube-system, deletions.
async fn goes_on(case: &Case<'_>, existing: &str) {
    let apply = |line: &str, yaml: &str| {
        kubectl(case, line, yaml).done();
    };
    apply(
        "apply -f -",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: other, namespace: TEAM}}",
    );
    apply("apply -f -", &component_with("record", "description: no instance"));
    apply(
        &format!("label components.catalog.landfall.dev {existing} -n TEAM a=b --overwrite"),
        "",
    );
    let elsewhere = component("system", "{ref: PLATFORM/web, suspend: true}").replace("TEAM", "kube-system");
    apply("apply -f -", &elsewhere);
    apply(
        "delete components.catalog.landfall.dev system -n kube-system --wait=false",
        "",
    );
    let own = component(existing, "{ref: PLATFORM/web, parameters: {replicas: 3}}");
    apply("apply --as=system:serviceaccount:landfall-system:landfall -f -", &own);
    case.mark_processed("Component", existing, &format!("during-{existing}"))
        .await;
    case.ready("Component", existing).await;
    let settings = case.api("v1", "ConfigMap", &format!("{}-{existing}", case.team));
    settings.delete("settings", &DeleteParams::default()).await.unwrap();
    eventually("the operator to repair", async || {
        settings.get_opt("settings").await.unwrap()
    })
    .await;
    case.put(&template(&format!("for-{existing}"), "{from: All}", PARAMETERS))
        .await;
    case.ready("Template", "web").await;
    eventually("the operator to bring the new version", async || {
        let found: Value = case.get("Component", existing).await;
        (found["status"]["template"]["version"] == format!("for-{existing}")).then_some(())
    })
    .await;
    apply("delete components.catalog.landfall.dev record -n TEAM", "");
    apply(
        &format!("delete components.catalog.landfall.dev {existing} -n TEAM --wait=false"),
        "",
    );
    gone(case, existing).await;
}
