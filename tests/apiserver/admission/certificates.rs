//! The certificate: made, shared, made anew in time, and never shown.

use std::net::TcpListener;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::door::{Door, SECRET, component, name, shipped, with_template};
use crate::support::{Case, eventually};

/// What the Secret holds under a name.
async fn kept(case: &Case<'_>, part: &str) -> String {
    let api: Api<Secret> = Api::namespaced(case.client.clone(), &case.platform);
    let data = api.get(SECRET).await.unwrap().data.unwrap_or_default();
    String::from_utf8(data.get(part).map(|bytes| bytes.0.clone()).unwrap_or_default()).unwrap()
}

async fn put(case: &Case<'_>, parts: Value) {
    let api: Api<Secret> = Api::namespaced(case.client.clone(), &case.platform);
    let patch = json!({"stringData": parts});
    api.patch(SECRET, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

/// The authorities that a configuration knows.
async fn known(case: &Case<'_>, path: &str) -> String {
    let api = case.api("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "");
    let found = api.get(&name(case, path)).await.unwrap();
    let bundle: Option<ByteString> =
        serde_json::from_value(found.data["webhooks"][0]["clientConfig"]["caBundle"].clone()).unwrap();
    String::from_utf8(bundle.map(|bundle| bundle.0).unwrap_or_default()).unwrap()
}

/// A certificate that holds for so many days from `from` on, with an authority of its own: authority, certificate, key.
pub fn certificate(from: i64, days: i64) -> [String; 3] {
    let now = jiff::Zoned::now();
    let day = |days: i64| {
        let date = now.checked_add(jiff::Span::new().days(days)).unwrap().date();
        rcgen::date_time_ymd(
            date.year().into(),
            date.month().try_into().unwrap(),
            date.day().try_into().unwrap(),
        )
    };
    let held = |names: Vec<String>| {
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        (parameters.not_before, parameters.not_after) = (day(from), day(from + days));
        parameters
    };
    let mut authority = held(Vec::new());
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(authority, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = held(vec!["127.0.0.1".to_owned()]).signed_by(&key, &authority).unwrap();
    [authority.pem(), certificate.pem(), key.serialize_pem()]
}

/// Instances are asked about, and by an authority that is known.
async fn works(door: &Door<'_>) {
    eventually("the apiserver to be answered", async || {
        let said = door.kubectl(
            "apply --dry-run=server -f -",
            &component("probe", "{ref: PLATFORM/web, parameters: {host: 1}}"),
        );
        said.text
            .contains("host: 1 is an integer")
            .then_some(())
            .ok_or(said.text)
    })
    .await;
}

fn count(text: &str) -> usize {
    text.matches("BEGIN CERTIFICATE").count()
}

#[tokio::test]
async fn what_cannot_be_served_is_made_anew_and_what_ends_soon_in_time_with_both_authorities_known() {
    let case = Case::new().await;
    with_template(&case).await;
    let door = Door::open(&case, &[]).await;
    works(&door).await;
    let (authority, key) = (kept(&case, "ca.crt").await, kept(&case, "tls.key").await);
    assert_eq!(count(&authority), 1);
    for path in ["instances", "deletions"] {
        assert_eq!(known(&case, path).await, authority);
    }
    let (first, mut before) = (authority.clone(), authority);
    let [_, expired, expired_key] = certificate(-100, 90);
    let [other, good, good_key] = certificate(-1, 90);
    for (what, parts) in [
        ("no PEM", json!({"ca.crt": "x", "tls.crt": "y", "tls.key": "z"})),
        ("nothing", json!({"ca.crt": "", "tls.crt": "", "tls.key": ""})),
        (
            "expired",
            json!({"ca.crt": other, "tls.crt": expired, "tls.key": expired_key}),
        ),
        (
            "another's key",
            json!({"ca.crt": other, "tls.crt": good, "tls.key": key}),
        ),
        (
            "another's authority",
            json!({"ca.crt": first, "tls.crt": good, "tls.key": good_key}),
        ),
    ] {
        put(&case, parts).await;
        let made = eventually(&format!("it to be made anew: {what}"), async || {
            let now = kept(&case, "ca.crt").await;
            let put = [&first, &before, &other];
            (count(&now) == 1 && !put.contains(&&now)).then_some(now)
        })
        .await;
        eventually("the configurations to know it", async || {
            (known(&case, "instances").await == made && known(&case, "deletions").await == made).then_some(())
        })
        .await;
        works(&door).await;
        before = made;
    }
    // One that still holds is not given up before another is known everywhere.
    let [authority, certificate, key] = certificate(-70, 90);
    put(
        &case,
        json!({"ca.crt": authority, "tls.crt": certificate, "tls.key": key}),
    )
    .await;
    let made = eventually("another to be made before the end", async || {
        let now = kept(&case, "ca.crt").await;
        (count(&now) == 2 && now.ends_with(&authority)).then_some(now)
    })
    .await;
    eventually("both to be known", async || {
        (known(&case, "instances").await == made).then_some(())
    })
    .await;
    works(&door).await;
    let (log, key) = (door.log(), kept(&case, "tls.key").await);
    for line in key.lines().filter(|line| !line.starts_with("-----")) {
        assert!(!log.contains(line), "the key is in the log");
    }
    assert!(!log.contains("PRIVATE"), "{log}");
}

#[tokio::test]
async fn replicas_share_one_certificate_and_an_authority_that_others_overwrite_is_put_back() {
    let case = Case::new().await;
    with_template(&case).await;
    let door = Door::open(&case, &[]).await;
    let more: Vec<_> = (0..2)
        .map(|_| {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            Door::process(&case, port, &[])
        })
        .collect();
    for mut replica in more {
        replica.wait_ready().await.unwrap();
        put(&case, json!({"tls.crt": "garbage"})).await;
        eventually("it to be made anew by one of them", async || {
            (count(&kept(&case, "tls.crt").await) == 1).then_some(())
        })
        .await;
        works(&door).await;
        drop(replica);
    }
    let [stranger, ..] = certificate(-1, 90);
    let api = case.api("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "");
    for bundle in [Some(ByteString(stranger.into_bytes())), None] {
        let change = json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]);
        let change = serde_json::from_value(change).unwrap();
        api.patch(
            &name(&case, "instances"),
            &PatchParams::default(),
            &Patch::<Value>::Json(change),
        )
        .await
        .unwrap();
        eventually("our authority to be known again", async || {
            (known(&case, "instances").await == kept(&case, "ca.crt").await).then_some(())
        })
        .await;
        works(&door).await;
    }
}

#[tokio::test]
async fn a_webhook_without_its_secret_says_so_and_goes_on_when_it_is_there() {
    let case = Case::new().await;
    with_template(&case).await;
    let door = Door::open(&case, &[]).await;
    let secret = case.api("v1", "Secret", &case.platform);
    secret.delete(SECRET, &DeleteParams::default()).await.unwrap();
    eventually("it to say what is missing", async || {
        let (code, said) = door.webhook.get("/readyz").await.unwrap();
        (code == 503 && said.contains(&format!("Secret {}/{SECRET} does not exist", case.platform)))
            .then_some(())
            .ok_or(said)
    })
    .await;
    // What it serves is as good as before.
    works(&door).await;
    case.put_object(
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": case.platform}}),
    )
    .await;
    eventually("it to be ready again", async || {
        let (code, said) = door.webhook.get("/readyz").await.unwrap();
        (code == 200).then_some(()).ok_or(said)
    })
    .await;
    works(&door).await;
}

/// The chart makes the Secret, and says nothing of what is in it.
#[test]
fn the_shipped_secret_is_empty_and_the_shipped_configurations_know_no_authority() {
    let secrets = shipped("Secret");
    assert_eq!(secrets.len(), 1);
    assert!(secrets[0].get("data").is_none() && secrets[0].get("stringData").is_none());
    for configuration in shipped("ValidatingWebhookConfiguration") {
        assert_eq!(configuration["webhooks"].as_array().unwrap().len(), 1);
        assert!(configuration["webhooks"][0]["clientConfig"].get("caBundle").is_none());
    }
}
