//! Clients: the operator's own, and one for each account as which templates' objects are written.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use kube::client::Body;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};

use super::depth;

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

/// How a client is made of a configuration. Whoever embeds the operator can wrap each of its requests here.
pub type MakeClient = fn(Config) -> Result<Client, kube::Error>;

/// The clients of one process.
pub struct Clients {
    config: Config,
    make: MakeClient,
    operator: Client,
    accounts: Mutex<HashMap<Account, Client>>,
}

impl Clients {
    /// Connects as `KUBECONFIG`, or as the pod's own account in a cluster.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub async fn connect(make: MakeClient) -> Result<Self, kube::Error> {
        let mut config = configured().await?;
        // Retrying is this program's own affair: per object, with jitter, and never inside one pass.
        config.default_retry = false;
        let operator = attentive(make, config.clone())?;
        Ok(Self {
            config,
            make,
            operator,
            accounts: Mutex::default(),
        })
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
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(account.user());
        // The apiserver adds the groups that every service account has.
        config.auth_info.impersonate_groups = None;
        let client = attentive(self.make, config)?;
        accounts.insert(account.clone(), client.clone());
        Ok(client)
    }
}

async fn configured() -> Result<Config, kube::Error> {
    let mut config = match Config::infer().await {
        Ok(config) => config,
        Err(_) => Config::from_kubeconfig(&KubeConfigOptions::default())
            .await
            .map_err(kube::Error::InferKubeconfig)?,
    };
    let user_agent = HeaderValue::from_static(concat!("landfall/", env!("CARGO_PKG_VERSION")));
    config.headers.push((http::header::USER_AGENT, user_agent));
    config.connect_timeout = Some(Duration::from_secs(10));
    Ok(config)
}

/// A client that keeps what an answer's header asks for, see [`with_retry_after`], and that no depth of nesting stops, see
/// [`depth`].
fn attentive(make: MakeClient, config: Config) -> Result<Client, kube::Error> {
    let namespace = config.default_namespace.clone();
    let client = make(config)?;
    let service = tower::service_fn(move |request| {
        let client = client.clone();
        async move {
            let answer = client.send(request).await?;
            Ok::<_, kube::Error>(depth::limited(with_retry_after(answer)))
        }
    });
    Ok(Client::new(service, namespace))
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
