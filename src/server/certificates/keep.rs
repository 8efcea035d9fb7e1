//! Keeps the certificate: in the Secret, in the webhook configurations, and in what is served. Each pass begins with what there is,
//! so that replicas that do the same at the same time, or one that ends anywhere, leave nothing that the next does not put right.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, PartialObjectMeta, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use tokio::sync::Notify;

use super::publish::{publish, told};
use super::{Kept, Standing};
use crate::api::marks;
use crate::runtime::backoff::{Reopening, jittered};
use crate::runtime::http::Readiness;
use crate::server::tls::Serving;

/// What readiness calls it.
pub const CERTIFICATE: &str = "certificate";
/// When everything is looked at again though no watch said so: the clock goes on by itself, and may be set.
const LOOK: Duration = Duration::from_mins(5);
/// When something that went wrong is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long apiservers are given to learn of a new authority while the certificate before still holds.
const LEARNING: Duration = Duration::from_secs(15);

/// How often others may be faster in one pass.
pub const RIVALS: usize = 5;

/// What is kept, and where.
pub struct Keeper {
    /// A client that no fence keeps from writing.
    pub client: Client,
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret.
    pub secret: String,
    /// The webhook configurations.
    pub configurations: Vec<String>,
    /// The names by which the apiserver calls this server.
    pub names: Vec<String>,
    /// What is served.
    pub serving: Serving,
    /// Where it is said what is missing.
    pub ready: Readiness,
    /// What keys and certificates are made and read with.
    pub provider: Arc<CryptoProvider>,
}

/// What the passes before have come to.
#[derive(Default)]
struct State {
    /// What is served.
    served: Option<Kept>,
    /// What is to be served, whose authority has been published, and since when.
    coming: Option<(Kept, Instant)>,
}

impl Keeper {
    /// Keeps it until the process ends.
    pub async fn run(self) {
        let changed = Arc::new(Notify::new());
        let watching = self.watch(&changed);
        let keeping = async {
            let mut state = State::default();
            loop {
                let wait = match self.pass(&mut state).await {
                    Ok(wait) => {
                        if self.ready.has(CERTIFICATE) {
                            tracing::info!(names = ?self.names, "the apiserver can know the certificate that is served");
                        }
                        wait
                    }
                    Err(why) => {
                        // What is served stays, and is known for as long as it holds.
                        if self.ready.lacks(CERTIFICATE, &why) {
                            tracing::warn!("{why}");
                        }
                        jittered(AGAIN)
                    }
                };
                let _ = tokio::time::timeout(wait, changed.notified()).await;
            }
        };
        futures::future::join(watching, keeping).await;
    }

    /// One pass. Gives when the next is due.
    async fn pass(&self, state: &mut State) -> Result<Duration, String> {
        let (kept, certificate) = self.kept().await?;
        for name in &self.configurations {
            if publish(&self.client, name, &kept.authorities).await? {
                tracing::info!(
                    configuration = name,
                    "the authority was written into the webhook configuration"
                );
            }
        }
        let coming = state.coming.take();
        if state.served.as_ref() == Some(&kept) {
            return Ok(LOOK);
        }
        let known = coming.filter(|(coming, _)| *coming == kept);
        let since = known.map_or_else(Instant::now, |(_, since)| since);
        let left = LEARNING.saturating_sub(since.elapsed());
        // Without one that holds, and is known, there is nothing to wait with.
        let holds = state.served.as_ref().is_some_and(|served| self.holds(served, &kept));
        if holds && !left.is_zero() {
            state.coming = Some((kept, since));
            return Ok(left);
        }
        self.serving.put(certificate);
        state.served = Some(kept);
        tracing::info!("another certificate is served from now on");
        Ok(LOOK)
    }

    /// Whether what is served still holds for whoever knows the authorities of `kept`.
    fn holds(&self, served: &Kept, kept: &Kept) -> bool {
        let known = Kept {
            authorities: kept.authorities.clone(),
            ..served.clone()
        };
        let standing = known.standing(&self.names, Timestamp::now(), &self.provider);
        !matches!(standing, Standing::Useless(_))
    }

    /// What the Secret holds, made anew where that is due.
    async fn kept(&self) -> Result<(Kept, Arc<CertifiedKey>), String> {
        for _ in 0..RIVALS {
            if let Some(kept) = self.try_kept().await? {
                return Ok(kept);
            }
        }
        Err(format!(
            "Secret {}/{} is changed all the time",
            self.namespace, self.secret
        ))
    }

    /// The same; none where another was faster.
    async fn try_kept(&self) -> Result<Option<(Kept, Arc<CertifiedKey>)>, String> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let about = |error: kube::Error| format!("Secret {}/{}: {}", self.namespace, self.secret, told(&error));
        let Some(mut secret) = api.get_opt(&self.secret).await.map_err(about)? else {
            return Err(format!(
                "Secret {}/{} does not exist, and is not made here; apply the chart again, or: kubectl create secret generic {} -n {}",
                self.namespace, self.secret, self.secret, self.namespace
            ));
        };
        let now = Timestamp::now();
        let kept = Kept::of(secret.data.as_ref());
        let before = match &kept {
            None => None,
            Some(kept) => match kept.standing(&self.names, now, &self.provider) {
                Standing::Good(certificate) => return Ok(Some((kept.clone(), certificate))),
                Standing::Ending(_) => {
                    tracing::info!("the certificate ends soon, and another one is made");
                    Some(kept)
                }
                Standing::Useless(why) => {
                    tracing::warn!("the certificate in the Secret cannot be served, and another one is made: {why}");
                    None
                }
            },
        };
        let made = Kept::make(&self.names, now, before).map_err(|error| error.to_string())?;
        let certificate = match made.standing(&self.names, now, &self.provider) {
            Standing::Good(certificate) | Standing::Ending(certificate) => certificate,
            Standing::Useless(why) => return Err(format!("the certificate that was made is of no use: {why}")),
        };
        secret.data = Some(made.data());
        let parameters = PostParams {
            field_manager: Some(marks::WEBHOOK_MANAGER.to_owned()),
            ..PostParams::default()
        };
        // It carries the version that was read: of several replicas, one succeeds, and the others read what it wrote.
        match api.replace(&self.secret, &parameters, &secret).await {
            Ok(_) => Ok(Some((made, certificate))),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(about(error)),
        }
    }

    /// Tells of every change of the Secret and of the configurations.
    async fn watch(&self, changed: &Notify) {
        let only = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = watcher(secrets, only(&self.secret))
            .backoff(Reopening::default())
            .map(drop)
            .boxed();
        let configurations = self.configurations.iter().map(|name| {
            let api: Api<PartialObjectMeta<ValidatingWebhookConfiguration>> = Api::all(self.client.clone());
            watcher(api, only(name)).backoff(Reopening::default()).map(drop).boxed()
        });
        let mut events = futures::stream::select_all(configurations.chain([secret]));
        while events.next().await.is_some() {
            changed.notify_one();
        }
    }
}
