//! Clients: the operator's own, and one for each account as which templates' objects are written.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use http::HeaderValue;
use kube::client::ClientBuilder;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use tower::util::MapResponseLayer;

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
        let mut config = configured(concat!("landfall/", env!("CARGO_PKG_VERSION"))).await?;
        // Retrying is this program's own affair: per object, with jitter, and never inside one pass.
        config.default_retry = false;
        let operator = make(config.clone())?;
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
        let client = (self.make)(config)?;
        accounts.insert(account.clone(), client.clone());
        Ok(client)
    }
}

/// A client for a subcommand that a person runs, as `KUBECONFIG` says.
///
/// # Errors
/// When there is no usable configuration.
pub async fn of_user() -> Result<Client, kube::Error> {
    make(configured(concat!("landfall-command/", env!("CARGO_PKG_VERSION"))).await?)
}

async fn configured(user_agent: &'static str) -> Result<Config, kube::Error> {
    let mut config = match Config::infer().await {
        Ok(config) => config,
        Err(_) => Config::from_kubeconfig(&KubeConfigOptions::default())
            .await
            .map_err(kube::Error::InferKubeconfig)?,
    };
    let user_agent = HeaderValue::from_static(user_agent);
    config.headers.push((http::header::USER_AGENT, user_agent));
    config.connect_timeout = Some(Duration::from_secs(10));
    Ok(config)
}

/// How clients are made, unless a test does it: with a limit to how deep what they read is nested.
///
/// # Errors
/// When `config` cannot be used.
pub fn make(config: Config) -> Result<Client, kube::Error> {
    let limit = MapResponseLayer::new(|response| depth::limited(response));
    Ok(ClientBuilder::try_from(config)?.with_layer(&limit).build())
}
