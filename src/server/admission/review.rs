//! The questions of the apiserver, and the answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use kube::runtime::reflector::ObjectRef;

use super::dependents::{self, Guard};
use super::instance;
use super::words::Verdict;
use crate::api::GROUP;
use crate::controllers::catalog::Catalog;
use crate::controllers::surroundings::{CompiledTemplates, Surroundings, TestedTemplates};
use crate::controllers::template::revisions::Held;
use crate::controllers::wakes::{Key, OwnKind};
use crate::controllers::world::World;
use crate::runtime::depth;
use crate::runtime::metrics::{Metrics, WEBHOOKS};
use crate::template::compile::Policy;
use crate::template::kinds::Kinds;

/// The most bytes of a question: an object and the one before it, each of which the apiserver takes up to 3 MiB.
const QUESTION: usize = 8 * 1024 * 1024;

/// What answers are given by.
#[derive(Clone)]
pub(super) struct Reviewer {
    pub world: Arc<World>,
    pub guard: Guard,
    pub metrics: Arc<Metrics>,
}

type Question = AdmissionRequest<DynamicObject>;

/// What is asked about.
#[derive(Clone, Copy)]
enum Webhook {
    /// A write of an instance.
    Instances,
    /// A deletion of any entity.
    Deletions,
}

impl Webhook {
    /// Its path, and its label in metrics.
    fn word(self) -> &'static str {
        let [instances, deletions] = WEBHOOKS;
        match self {
            Self::Instances => instances,
            Self::Deletions => deletions,
        }
    }
}

/// Where the apiserver asks.
pub(super) fn routes(reviewer: Reviewer) -> Router {
    let ask = |webhook: Webhook| {
        let answer =
            move |State(reviewer): State<Reviewer>, body: Body| async move { reviewer.answer(webhook, body).await };
        (format!("/{}", webhook.word()), post(answer))
    };
    let (instances, about_instances) = ask(Webhook::Instances);
    let (deletions, about_deletions) = ask(Webhook::Deletions);
    Router::new()
        .route(&instances, about_instances)
        .route(&deletions, about_deletions)
        .with_state(reviewer)
}

impl Reviewer {
    /// Reads the question, has it judged, and answers.
    async fn answer(&self, webhook: Webhook, body: Body) -> Response {
        let (started, word) = (Instant::now(), webhook.word());
        let unanswered = |code: StatusCode, why: String| {
            self.metrics.answered(word, "unreadable", started.elapsed());
            tracing::info!(webhook = word, %code, "not answered: {why}");
            (code, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], why).into_response()
        };
        if !self.world.ready.was_reached() {
            let why = format!("not everything has been seen yet:\n{}", self.world.ready.missing());
            return unanswered(StatusCode::SERVICE_UNAVAILABLE, why);
        }
        let question = match read(body).await {
            Ok(question) => Arc::new(question),
            Err(why) => return unanswered(StatusCode::BAD_REQUEST, why),
        };
        let Some(key) = key(&question) else {
            let kind = &question.kind;
            let why = format!("{}/{} {} is not judged here", kind.group, kind.version, kind.kind);
            return unanswered(StatusCode::BAD_REQUEST, why);
        };
        let verdict = match webhook {
            Webhook::Instances => self.instance(&key, &question).await,
            Webhook::Deletions => self.deletion(&key).await,
        };
        let Some(verdict) = verdict else {
            let why = "the answer was ended by a fault in the program; see its log".to_owned();
            return unanswered(StatusCode::INTERNAL_SERVER_ERROR, why);
        };
        self.metrics.answered(word, verdict.word(), started.elapsed());
        tracing::debug!(webhook = word, %key, answer = verdict.word(), took = ?started.elapsed(), "answered");
        // What was read can be written.
        let text = serde_json::to_string(&response(&question, &key, &verdict)).unwrap_or_default();
        ([(header::CONTENT_TYPE, "application/json")], text).into_response()
    }

    /// What is said to a write of an instance.
    async fn instance(&self, key: &Key, question: &Arc<Question>) -> Option<Verdict> {
        let verdict = self.judged(key, question, None).await?;
        let Some(object) = question.object.as_ref().filter(|_| verdict.refusal.is_some()) else {
            return Some(verdict);
        };
        // A watch may be late, and nobody is refused by what was so a moment ago.
        match self.renew(key, object).await {
            Ok(Some(labels)) => self.judged(key, question, Some(labels)).await,
            Ok(None) => Some(Verdict::default()),
            Err(error) => {
                tracing::info!(%key, %error, "refused by what the watches have shown, since it could not be read again");
                Some(verdict)
            }
        }
    }

    async fn judged(
        &self,
        key: &Key,
        question: &Arc<Question>,
        labels: Option<BTreeMap<String, String>>,
    ) -> Option<Verdict> {
        let (world, key, question) = (self.world.clone(), key.clone(), question.clone());
        // A plan may take long, and others want an answer too.
        let judged = tokio::task::spawn_blocking(move || {
            let Some(object) = &question.object else {
                return Verdict::default();
            };
            let old = question.old_object.as_ref();
            let world = Renewed { world: &world, labels };
            instance::judge(&world, &key, object, old, question.dry_run)
        });
        judged
            .await
            .inspect_err(|error| tracing::error!(%error, "a judgement panicked; please report this"))
            .ok()
    }

    /// Reads again what a refusal goes by: the template, which goes to the picture, and the labels of the instance's namespace.
    /// None where the template is gone.
    async fn renew(&self, key: &Key, object: &DynamicObject) -> Result<Option<BTreeMap<String, String>>, kube::Error> {
        let found = instance::template_of(key, object).and_then(|reference| self.world.find(&reference));
        if let Some((template, _)) = found {
            let Some(fresh) = self.world.api(&template).get_opt(&template.name).await? else {
                return Ok(None);
            };
            self.world.catalog.saw(&template, fresh);
        }
        let namespace = self.namespace(&key.namespace).await?;
        Ok(Some(
            namespace.and_then(|found| found.metadata.labels).unwrap_or_default(),
        ))
    }

    async fn namespace(&self, name: &str) -> Result<Option<PartialObjectMeta<Namespace>>, kube::Error> {
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(self.world.clients.operator());
        api.get_opt(name).await
    }

    /// What is said to a deletion. One of a whole namespace is never held up.
    async fn deletion(&self, key: &Key) -> Option<Verdict> {
        let known = self.world.stores.namespaces.get(&ObjectRef::new(&key.namespace));
        if known.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some()) {
            return Some(Verdict::default());
        }
        let verdict = dependents::judge(&*self.world, key, self.guard);
        if verdict.refusal.is_none() {
            return Some(verdict);
        }
        match self.namespace(&key.namespace).await {
            Ok(Some(namespace)) if namespace.metadata.deletion_timestamp.is_none() => Some(verdict),
            Ok(_) => Some(Verdict::default()),
            Err(error) => {
                tracing::info!(%key, %error, "not held up, since its namespace could not be read");
                Some(Verdict::default())
            }
        }
    }
}

async fn read(body: Body) -> Result<Question, String> {
    let bytes = to_bytes(body, QUESTION).await;
    let bytes = bytes.map_err(|error| format!("the question could not be read: {error}"))?;
    let review: AdmissionReview<DynamicObject> = serde_json::from_slice(&depth::cut(bytes))
        .map_err(|error| format!("this is no AdmissionReview of admission.k8s.io/v1: {error}"))?;
    review
        .try_into()
        .map_err(|_| "this AdmissionReview asks nothing: it has no request".to_owned())
}

/// The entity that is asked about. A name that was to be made up is in the object alone.
fn key(question: &Question) -> Option<Key> {
    let asked = &question.kind;
    let kind = OwnKind::ALL.into_iter().find(|kind| kind.kind() == asked.kind)?;
    let object = question.object.as_ref().or(question.old_object.as_ref());
    let name = object.map(ResourceExt::name_any).filter(|name| !name.is_empty());
    (asked.group == GROUP).then(|| Key {
        kind,
        namespace: question.namespace.clone().unwrap_or_default(),
        name: name.unwrap_or_else(|| question.name.clone()),
    })
}

fn response(question: &Question, key: &Key, verdict: &Verdict) -> AdmissionReview<DynamicObject> {
    let mut response = AdmissionResponse::from(question);
    if let Some(refusal) = &verdict.refusal {
        response.allowed = false;
        response.result = refusal.status(key);
    }
    response.warnings = Some(verdict.bounded_warnings()).filter(|warnings| !warnings.is_empty());
    response.into_review()
}

/// The picture of the watches, with what was read again since.
struct Renewed<'w> {
    world: &'w World,
    /// The labels of the namespace that is asked about.
    labels: Option<BTreeMap<String, String>>,
}

impl Surroundings for Renewed<'_> {
    fn catalog(&self) -> &Catalog {
        self.world.catalog()
    }

    fn of_uid(&self, uid: &str) -> Option<Key> {
        self.world.of_uid(uid)
    }

    fn revision(&self, template: &Key, wanted: &dyn Fn(&Held) -> bool) -> Option<Held> {
        self.world.revision(template, wanted)
    }

    fn namespace_labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        let known = || self.world.namespace_labels(namespace);
        self.labels.clone().map_or_else(known, Some)
    }

    fn kinds(&self) -> &dyn Kinds {
        self.world.kinds()
    }

    fn policy(&self) -> &Policy {
        self.world.policy()
    }

    fn compiled(&self) -> &CompiledTemplates {
        self.world.compiled()
    }

    fn tested(&self) -> &TestedTemplates {
        self.world.tested()
    }
}
