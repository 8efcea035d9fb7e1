//! Clients: the operator's own, and one for each account as which templates' objects are written.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Mutex;
use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use kube::Client;
use kube::client::{Body, ClientBuilder};

use super::depth;
use super::destination::{Destination, NoWay, Plain};
use super::fence::{Fence, Fenced};

/// A service account as which a template's objects are written, read and watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// Its namespace: the Template's.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Account {
    /// The account that `text`, `namespace/name`, names.
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        Some(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The user name that Kubernetes knows it by.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// A client in the making. Whatever is put around it, each request passes the fence last.
pub type FencedBuilder = ClientBuilder<Fenced<Plain>>;

/// How the last step of making a client is done. Whoever embeds the operator can wrap each of its requests here.
pub type MakeClient = fn(FencedBuilder) -> Client;

/// The clients of one process.
pub struct Clients {
    destination: Destination,
    fence: Fence,
    make: MakeClient,
    operator: Client,
    accounts: Mutex<HashMap<Account, Client>>,
    /// Whether this process runs in a pod, as the pod's own account.
    pub in_pod: bool,
}

impl Clients {
    /// Connects as `KUBECONFIG`, or as the pod's own account in a cluster. No write passes but through `fence`; `program` and
    /// `identity` tell this process from others in the apiserver's log.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub async fn connect(fence: Fence, program: &str, identity: &str, make: MakeClient) -> Result<Self, NoWay> {
        let (mut destination, in_pod) = Destination::find().await?;
        let config = &mut destination.config;
        let agent = format!("{program}/{} ({identity})", env!("CARGO_PKG_VERSION"));
        let agent = HeaderValue::from_str(&agent).unwrap_or(HeaderValue::from_static(concat!(
            "landfall/",
            env!("CARGO_PKG_VERSION")
        )));
        config.headers.push((http::header::USER_AGENT, agent));
        config.connect_timeout = Some(Duration::from_secs(10));
        // Retrying is this program's own affair: per object, with jitter, and never inside one pass.
        config.default_retry = false;
        let operator = attentive(make, &destination, &fence)?;
        Ok(Self {
            destination,
            fence,
            make,
            operator,
            accounts: Mutex::default(),
            in_pod,
        })
    }

    /// A client of the process's own, on connections of its own, that no fence keeps from writing: for the lease, which decides
    /// about the fence, and for a webhook's certificate, of which its resource version decides.
    ///
    /// # Errors
    /// When a client cannot be made from the configuration.
    pub fn unfenced(&self) -> Result<Client, kube::Error> {
        self.destination.client()
    }

    /// The namespace of the pod, or the one that the kubeconfig names.
    pub fn namespace(&self) -> &str {
        &self.destination.config.default_namespace
    }

    /// The operator's own client.
    pub fn operator(&self) -> Client {
        self.operator.clone()
    }

    /// The client of `account`, by impersonation.
    ///
    /// # Errors
    /// When a client cannot be made from the configuration.
    pub fn account(&self, account: &Account) -> Result<Client, kube::Error> {
        let mut accounts = self.accounts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(client) = accounts.get(account) {
            return Ok(client.clone());
        }
        let mut destination = self.destination.clone();
        let config = &mut destination.config;
        config.auth_info.impersonate = Some(account.user());
        // The apiserver adds the groups that every service account has.
        config.auth_info.impersonate_groups = None;
        let client = attentive(self.make, &destination, &self.fence)?;
        accounts.insert(account.clone(), client.clone());
        Ok(client)
    }
}

/// A name for this process that no other has: the machine's, which is the pod's in a cluster, and something random.
pub fn identity() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine: String = machine
        .trim()
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.'))
        .collect();
    let machine = if machine.is_empty() { "landfall" } else { &machine };
    let bits = std::hash::RandomState::new().hash_one(std::process::id());
    format!("{machine}_{:08x}", bits >> 32)
}

/// A client behind `fence` that keeps what an answer's header asks for, see [`with_retry_after`], and that no depth of nesting
/// stops, see [`depth`].
fn attentive(make: MakeClient, destination: &Destination, fence: &Fence) -> Result<Client, kube::Error> {
    let namespace = destination.config.default_namespace.clone();
    let client = make(destination.builder()?.with_layer(fence));
    let service = tower::service_fn(move |request| {
        let (client, request) = (client.clone(), of_the_present(request));
        async move {
            let answer = client.send(request).await?;
            Ok::<_, kube::Error>(depth::limited(with_retry_after(answer)))
        }
    });
    Ok(Client::new(service, namespace))
}

/// `kube` asks for the first events of a watch as they were at any time, and what is not the present brings back what is gone: then
/// the request is as it is for a list, with no time in it, and the apiserver makes sure that nothing is missing.
fn of_the_present(mut request: Request<Body>) -> Request<Body> {
    let query = request.uri().query().unwrap_or_default();
    if !query.contains("sendInitialEvents=true") {
        return request;
    }
    let kept: Vec<&str> = query.split('&').filter(|part| *part != "resourceVersion=0").collect();
    let text = format!("{}?{}", request.uri().path(), kept.join("&"));
    let mut parts = request.uri().clone().into_parts();
    if let Ok(path_and_query) = text.parse() {
        parts.path_and_query = Some(path_and_query);
        if let Ok(uri) = http::Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// The apiserver asks to be left alone for some seconds by a header. Where it refuses before it looks at the request, being
/// overloaded or about to end, it does so in plain text, and `kube` keeps no headers: then a `Status` that says
/// the same takes the text's place (its own refusals have the seconds in their `Status` as well).
fn with_retry_after(answer: Response<Body>) -> Response<Body> {
    let refused = matches!(
        answer.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let plain = !header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
    let seconds = header(RETRY_AFTER).and_then(|seconds| seconds.parse::<u32>().ok());
    let Some(seconds) = seconds.filter(|_| refused && plain) else {
        return answer;
    };
    let code = answer.status().as_u16();
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "reason": if code == 429 { "TooManyRequests" } else { "ServiceUnavailable" },
        "message": "the apiserver has too much to do at the moment",
        "details": {"retryAfterSeconds": seconds},
    });
    let (mut parts, _) = answer.into_parts();
    parts
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.remove(http::header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(status.to_string().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body_of(code: u16, kind: &'static str, seconds: Option<&'static str>) -> String {
        let mut answer = Response::new(Body::from(b"plain".to_vec()));
        *answer.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(seconds) = seconds {
            answer
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        let bytes = with_retry_after(answer)
            .into_body()
            .collect_bytes()
            .await
            .unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn a_list_by_events_is_of_the_present() {
        let sent = |uri: &str| {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = uri.parse().unwrap_or_default();
            of_the_present(request).uri().to_string()
        };
        assert_eq!(
            sent("/apis/x?&watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=0"),
            "/apis/x?&watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        );
        for other in ["https://host:1/apis/x?watch=true&resourceVersion=0", "/apis/x"] {
            assert_eq!(sent(other), other);
        }
    }

    #[tokio::test]
    async fn what_a_refusal_asks_for_by_its_header_alone_is_kept() {
        let text = "text/plain; charset=utf-8";
        let kept = body_of(429, text, Some("7")).await;
        assert!(kept.contains("\"retryAfterSeconds\":7"), "{kept}");
        assert!(body_of(503, text, Some("1")).await.contains("ServiceUnavailable"));
        for (code, kind, seconds) in [
            (429, text, None),
            (429, text, Some("Wed, 21 Oct 2026 07:28:00 GMT")),
            (429, "application/json", Some("7")),
            (500, text, Some("7")),
            (200, text, Some("7")),
        ] {
            assert_eq!(body_of(code, kind, seconds).await, "plain", "{code} {kind} {seconds:?}");
        }
    }
}
