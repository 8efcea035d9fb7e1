//! The way to a server: its configuration, and the proxy that leads there.

use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder, ConfigExt as _, DynBody};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use http::header::PROXY_AUTHORIZATION;
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper_timeout::TimeoutConnector;
use hyper_util::rt::TokioExecutor;
use tower::retry::RetryLayer;
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, ServiceExt as _};

use super::causes;
use super::proxy::connect::{Through, Unreached};
use super::proxy::{self, Environment, NoAddress, Proxy};

/// What stands in for the proxy while `kube` reads a kubeconfig: where there is one, it does not look at the environment.
const NOBODY: &str = "http://proxy.invalid";

/// What `kube` makes of a configuration.
pub type Plain = BoxService<http::Request<Body>, Response<Box<DynBody>>, BoxError>;

/// A server, and the way to it.
#[derive(Clone)]
pub struct Destination {
    /// How it is spoken to. It says nothing of a proxy.
    pub config: Config,
    proxy: Option<Proxy>,
}

/// Why there is no way to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum NoWay {
    /// The kubeconfig cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// The kubeconfig is none. What stands in it is not repeated: it may be a credential.
    #[error("the kubeconfig{0} is not what a kubeconfig is in YAML; kubectl config view reads the same file")]
    Unreadable(String),
    /// It says of a proxy what is no address, or the environment does.
    #[error(transparent)]
    Proxy(#[from] NoAddress),
    /// No client can be made of it.
    #[error(transparent)]
    Client(#[from] kube::Error),
}

fn unreadable(error: KubeconfigError) -> NoWay {
    let KubeconfigError::Parse(broken) = &error else {
        return error.into();
    };
    let place = broken.location();
    NoWay::Unreadable(place.map_or_else(String::new, |place| {
        format!(", line {}, column {},", place.line(), place.column())
    }))
}

impl Destination {
    /// A server, by way of the proxy that the environment names for it.
    ///
    /// # Errors
    /// When what the environment names is not the address of a proxy.
    pub fn at(config: Config) -> Result<Self, NoAddress> {
        Self::by_way_of(config, None)
    }

    /// The cluster of `KUBECONFIG`, and of this context where one is named.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub async fn of_kubeconfig(context: Option<&str>) -> Result<Self, NoWay> {
        let options = KubeConfigOptions {
            context: context.map(str::to_owned),
            ..KubeConfigOptions::default()
        };
        let (kubeconfig, configured) = without_proxy(Kubeconfig::read().map_err(unreadable)?, context);
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        // Programs that give credentials are told what the kubeconfig says.
        let told = config.auth_info.exec.as_mut().and_then(|exec| exec.cluster.as_mut());
        if let Some(cluster) = told {
            cluster.proxy_url.clone_from(&configured);
        }
        Ok(Self::by_way_of(config, configured.as_deref())?)
    }

    /// The cluster of `KUBECONFIG`, or that of this pod; and whether it is the pod's.
    ///
    /// # Errors
    /// When there is no usable configuration. Outside of a cluster, that the kubeconfig cannot be used is what there is to say.
    pub async fn find() -> Result<(Self, bool), NoWay> {
        match Self::of_kubeconfig(None).await {
            Err(NoWay::Kubeconfig(error)) => match Config::incluster() {
                Ok(pod) => Ok((Self::at(pod)?, true)),
                Err(_) => Err(error.into()),
            },
            found => found.map(|destination| (destination, false)),
        }
    }

    fn by_way_of(mut config: Config, configured: Option<&str>) -> Result<Self, NoAddress> {
        config.proxy_url = None;
        let proxy = proxy::decide(&config.cluster_url, configured, &Environment::of_process())?;
        Ok(Self { config, proxy })
    }

    /// A client in the making, as `kube` makes it.
    ///
    /// # Errors
    /// When none can be made of the configuration.
    pub fn builder(&self) -> Result<ClientBuilder<Plain>, kube::Error> {
        match &self.proxy {
            None => ClientBuilder::try_from(self.config.clone()),
            Some(proxy) => through(&self.config, proxy),
        }
    }

    /// A client.
    ///
    /// # Errors
    /// When none can be made of the configuration.
    pub fn client(&self) -> Result<Client, kube::Error> {
        self.builder().map(ClientBuilder::build)
    }
}

/// The kubeconfig with nobody for the proxy of the cluster that is meant, and what it says itself.
fn without_proxy(mut kubeconfig: Kubeconfig, context: Option<&str>) -> (Kubeconfig, Option<String>) {
    let name = context.or(kubeconfig.current_context.as_deref()).unwrap_or_default();
    let context = kubeconfig.contexts.iter().find(|context| context.name == name);
    let cluster = context
        .and_then(|context| context.context.as_ref())
        .map(|context| &context.cluster);
    let cluster = kubeconfig
        .clusters
        .iter_mut()
        .find(|named| Some(&named.name) == cluster);
    let configured = cluster
        .and_then(|named| named.cluster.as_mut())
        .and_then(|cluster| cluster.proxy_url.replace(NOBODY.to_owned()));
    (kubeconfig, configured)
}

/// A client that does what `kube`'s does (`make_generic_builder` in `kube_client::client`), by way of a proxy.
fn through(config: &Config, proxy: &Proxy) -> Result<ClientBuilder<Plain>, kube::Error> {
    let connector = Through::new(proxy.clone(), config.connect_timeout)?;
    let judge = (connector.clone(), config.cluster_url.clone());
    let mut timed = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector.clone())?);
    // As long again as the way through the proxy may take, for the first words with who is behind it.
    timed.set_connect_timeout(config.connect_timeout.map(|time| time * 2));
    timed.set_read_timeout(config.read_timeout);
    timed.set_write_timeout(config.write_timeout);
    timed.set_reset_reader_on_write(config.reset_reader_on_write);
    let client = hyper_util::client::legacy::Builder::new(TokioExecutor::new()).build(timed);
    let authorization = connector.authorization(&config.cluster_url);
    let client = client.map_request(move |mut request: http::Request<Body>| {
        if let Some(authorization) = &authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        request
    });
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(
            config
                .default_retry
                .then(|| RetryLayer::new(RetryPolicy::server_retry())),
        )
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    let service = service.map_result(move |answer: Result<Response<_>, BoxError>| {
        let answer = answer.map_err(|error| match causes::find::<Unreached>(error.as_ref()) {
            Some(unreached) => unreached.clone().into(),
            None => error,
        })?;
        // Only a proxy says so (RFC 9110, section 15.5.8).
        if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let (connector, target) = &judge;
            return Err(connector.refused(target, answer.status()).into());
        }
        Ok(answer.map(|body: hyper::body::Incoming| Box::new(body.map_err(BoxError::from)) as Box<DynBody>))
    });
    Ok(ClientBuilder::new(service.boxed(), config.default_namespace.clone()))
}
