//! Connections through a proxy.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use futures::future::BoxFuture;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use kube::Config;
use kube::client::ConfigExt as _;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt as _};

use super::Proxy;
use crate::runtime::causes::sentence;

/// A server that was not reached because of the proxy before it. It names both, and no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{target} was not reached through the proxy {proxy}: {why}")]
pub struct Unreached {
    target: String,
    proxy: String,
    why: String,
}

/// Connects to whatever it is asked for by way of one proxy.
#[derive(Clone)]
pub struct Through {
    proxy: Arc<Proxy>,
    /// How long it may take until the server on the other side can be spoken to.
    patience: Option<Duration>,
    first: BoxCloneSyncService<Uri, Way, BoxError>,
}

impl Through {
    /// By way of `proxy`. One that is spoken to by TLS is trusted as the system trusts, and not as the cluster is.
    ///
    /// # Errors
    /// When the system has no authorities to trust.
    pub fn new(proxy: Proxy, patience: Option<Duration>) -> Result<Self, kube::Error> {
        let mut plain = HttpConnector::new();
        plain.enforce_http(false);
        let first = if proxy.address.scheme_str() == Some("https") {
            let secured = Config::new(proxy.address.clone()).rustls_https_connector()?;
            BoxCloneSyncService::new(secured.map_response(Way::over))
        } else {
            let plain = plain.map_response(Way::over);
            BoxCloneSyncService::new(plain.map_err(BoxError::from))
        };
        Ok(Self {
            proxy: Arc::new(proxy),
            patience,
            first,
        })
    }

    /// That `target` was not reached, and why.
    pub fn unreached(&self, target: &Uri, why: impl Into<String>) -> Unreached {
        Unreached {
            target: place(target),
            proxy: self.proxy.to_string(),
            why: why.into(),
        }
    }

    /// What a proxy says that refuses.
    pub fn refused(&self, target: &Uri, status: StatusCode) -> Unreached {
        let advice = match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED if self.proxy.authorization().is_some() => {
                "; it does not take the user and the password of its address"
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                "; it wants a user and a password: write http://USER:PASSWORD@HOST:PORT"
            }
            StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => {
                "; it lets nobody through to there: ask whoever runs it, or put the host into NO_PROXY if there is a way without"
            }
            _ => "",
        };
        self.unreached(target, format!("it answers {status}{advice}"))
    }

    /// What each request to `target` has to be given that the proxy passes on itself.
    pub fn authorization(&self, target: &Uri) -> Option<HeaderValue> {
        let asked = target.scheme_str() == Some("http") && !self.proxy.is_socks();
        self.proxy.authorization().filter(|_| asked).cloned()
    }

    async fn connect(&self, target: &Uri) -> Result<Way, Unreached> {
        let way = self.first.clone().oneshot(self.proxy.address.clone()).await;
        let way = way.map_err(|error| self.unreached(target, sentence(error.as_ref())))?;
        if self.proxy.is_socks() {
            self.socks(way, target).await
        } else if target.scheme_str() == Some("http") {
            Ok(Way {
                asks_proxy: true,
                ..way
            })
        } else {
            self.tunnel(way, target).await
        }
    }

    /// Asks the proxy to lead on to `target` (RFC 1928), which it looks up by name itself.
    async fn socks(&self, way: Way, target: &Uri) -> Result<Way, Unreached> {
        // It is connected before, because what stopped that would be lost on the way out of there.
        let mut way = Some(way);
        let connected = tower::service_fn(move |_: Uri| {
            std::future::ready(way.take().ok_or(std::io::Error::other("it was taken already")))
        });
        let mut socks = SocksV5::new(self.proxy.address.clone(), connected);
        if let Some((user, password)) = self.proxy.entry.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        let way = socks.oneshot(with_port(target)).await;
        way.map_err(|error| self.unreached(target, error.to_string()))
    }

    /// Asks the proxy to lead on to `target` (RFC 9110, section 9.3.6).
    async fn tunnel(&self, way: Way, target: &Uri) -> Result<Way, Unreached> {
        let place = place(target);
        let mut request = Request::connect(&place).header(HOST, &place);
        if let Some(authorization) = self.proxy.authorization() {
            request = request.header(PROXY_AUTHORIZATION, authorization);
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.unreached(target, error.to_string()))?;
        let greeted = http1::handshake(way).await;
        let (mut sender, connection) = greeted.map_err(|error| self.unreached(target, sentence(&error)))?;
        // It ends with what comes of the request, or with the stream.
        tokio::spawn(connection.with_upgrades());
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| self.unreached(target, sentence(&error)))?;
        if !answer.status().is_success() {
            return Err(self.refused(target, answer.status()));
        }
        let stream = hyper::upgrade::on(answer).await;
        stream
            .map(Way::over)
            .map_err(|error| self.unreached(target, sentence(&error)))
    }
}

impl Service<Uri> for Through {
    type Response = Way;
    type Error = Unreached;
    type Future = BoxFuture<'static, Result<Way, Unreached>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unreached>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let through = self.clone();
        Box::pin(async move {
            let Some(patience) = through.patience else {
                return through.connect(&target).await;
            };
            let led = tokio::time::timeout(patience, through.connect(&target)).await;
            led.unwrap_or_else(|_| {
                let why = format!("it did not lead there within {} s", patience.as_secs());
                Err(through.unreached(&target, why))
            })
        })
    }
}

/// What is read from and written to.
trait Transport: Read + Write + Send + Unpin {}
impl<Any: Read + Write + Send + Unpin> Transport for Any {}

/// A way to the proxy, or through it.
pub struct Way {
    transport: Box<dyn Transport>,
    /// Whether each request is the proxy's to pass on, which has to be told where to (RFC 9112, section 3.2.2).
    asks_proxy: bool,
}

impl Way {
    fn over(transport: impl Transport + 'static) -> Self {
        Self {
            transport: Box::new(transport),
            asks_proxy: false,
        }
    }
}

impl Connection for Way {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.asks_proxy)
    }
}

impl Read for Way {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.transport).poll_read(context, buffer)
    }
}

impl Write for Way {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(context)
    }
}

/// Host and port.
fn place(target: &Uri) -> String {
    with_port(target)
        .authority()
        .map_or_else(String::new, ToString::to_string)
}

fn with_port(target: &Uri) -> Uri {
    let usual = if target.scheme_str() == Some("http") { 80 } else { 443 };
    let host = target.host().unwrap_or_default();
    let authority = format!("{host}:{}", target.port_u16().unwrap_or(usual));
    let mut parts = target.clone().into_parts();
    parts.authority = authority.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| target.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_proxy_that_says_nothing_is_not_waited_for_longer_than_is_patient() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Proxy::read("HTTPS_PROXY", &format!("jane:s3cret@{address}")).unwrap();
        let through = Through::new(proxy, Some(Duration::from_millis(20))).unwrap();
        let target = Uri::from_static("https://cluster.example");
        let unreached = through.oneshot(target).await.err().unwrap();
        assert_eq!(
            unreached.to_string(),
            format!(
                "cluster.example:443 was not reached through the proxy http://{address} (HTTPS_PROXY): it did not lead there within 0 s"
            )
        );
    }
}
