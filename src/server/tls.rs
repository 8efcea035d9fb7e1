//! TLS for a server whose certificate may change at any time: connections that are open go on with the one that they began with.

use std::fmt;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a client may take to greet.
const GREETING: Duration = Duration::from_secs(5);
/// How many may be greeting at the same time.
const GREETINGS: usize = 64;
/// How long to wait when the system has no room for one more connection.
const NO_ROOM: Duration = Duration::from_millis(200);

/// The certificate that is served. Clones are one.
#[derive(Clone, Default)]
pub struct Serving(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

impl Serving {
    /// Serves another one from now on.
    pub fn put(&self, certificate: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
    }

    /// The one that is served, if there is one yet.
    pub fn get(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The key is shown to nobody.
impl fmt::Debug for Serving {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Serving").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.get()
    }
}

/// Gives connections whose greeting is over, so that one client who is slow keeps no other waiting.
pub struct TlsListener {
    bound: SocketAddr,
    greeted: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// Binds `address`.
    ///
    /// # Errors
    /// When it cannot be bound, or the provider knows no version of TLS.
    pub async fn bind(address: SocketAddr, serving: Serving, provider: Arc<CryptoProvider>) -> io::Result<Self> {
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(serving));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        let (sender, greeted) = mpsc::channel(GREETINGS);
        tokio::spawn(greet(listener, TlsAcceptor::from(Arc::new(config)), sender));
        Ok(Self { bound, greeted })
    }
}

async fn greet(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    greeted: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let slots = Arc::new(Semaphore::new(GREETINGS));
    // Never closed: the semaphore is this function's own.
    while let Ok(slot) = slots.clone().acquire_owned().await {
        let (stream, peer) = tokio::select! {
            () = greeted.closed() => return,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be taken");
                    tokio::time::sleep(NO_ROOM).await;
                    continue;
                }
            },
        };
        // Answers are small, and each is waited for.
        let _ = stream.set_nodelay(true);
        let (acceptor, greeted) = (acceptor.clone(), greeted.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(GREETING, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => drop(greeted.send((stream, peer)).await),
                // A client that does not know the authority ends it here; who asks is told by the apiserver.
                Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS greeting failed"),
                Err(_) => tracing::debug!(%peer, "a TLS greeting took too long"),
            }
            drop(slot);
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.greeted.recv().await {
            Some(greeted) => greeted,
            // Nobody greets any more: the runtime is about to end.
            None => pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.bound)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use hyper::client::conn::http1::{SendRequest, handshake};
    use hyper_util::rt::TokioIo;
    use jiff::Timestamp;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;
    use crate::server::certificates::{Kept, Standing};

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::ring::default_provider())
    }

    fn certificate(names: &[String], before: Option<&Kept>) -> (Kept, Arc<CertifiedKey>) {
        let kept = Kept::make(names, Timestamp::now(), before).unwrap();
        match kept.standing(names, Timestamp::now(), &provider()) {
            Standing::Good(served) => (kept, served),
            other => panic!("{other:?}"),
        }
    }

    async fn connected(address: SocketAddr, authorities: &str) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(authorities.as_bytes()).filter_map(Result::ok));
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// A connection on which one can ask again and again.
    async fn open(address: SocketAddr, authorities: &str) -> SendRequest<String> {
        let stream = connected(address, authorities).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn asks(connection: &mut SendRequest<String>) -> u16 {
        connection.ready().await.unwrap();
        let request = http::Request::get("/").header("host", "x").body(String::new()).unwrap();
        let answer = connection.send_request(request).await.unwrap();
        let code = answer.status().as_u16();
        answer.into_body().collect().await.unwrap();
        code
    }

    #[tokio::test]
    async fn a_connection_goes_on_with_what_it_began_with_and_the_next_is_shown_the_new_one() {
        let names = ["127.0.0.1".to_owned()];
        let (first, served) = certificate(&names, None);
        let serving = Serving::default();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TlsListener::bind(address, serving.clone(), provider()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(|| async { "here" }));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        // Before there is one, nobody is let in, and nobody kept waiting.
        assert!(connected(address, &first.authorities).await.is_err());
        serving.put(served);
        // Whoever says nothing does not keep others from being answered.
        let _silent = TcpStream::connect(address).await.unwrap();
        let mut old = open(address, &first.authorities).await;
        assert_eq!(asks(&mut old).await, 200);
        let (second, served) = certificate(&names, Some(&first));
        serving.put(served);
        assert_eq!(asks(&mut old).await, 200);
        assert!(
            connected(address, &first.authorities).await.is_err(),
            "it shows the new one"
        );
        let mut new = open(address, &second.authorities).await;
        assert_eq!(asks(&mut new).await, 200);
    }
}
