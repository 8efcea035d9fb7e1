//! Letting go of one instance: the annotation, its objects, its status, its finalizer, in this order.

use std::time::{Duration, Instant};

use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use super::Report;
use super::objects::{self, Became, Listed, TRIES, told};
use crate::api::conditions::{Condition, settle};
use crate::api::marks;
use crate::catalog::refs::EntityRef;
use crate::cli::marked::INSTANCES;
use crate::cli::{Fault, former, kinds};
use crate::controllers::children::resource;
use crate::controllers::instance::{now, released};
use crate::runtime::discovery::KindPicture;
use crate::template::kinds::Kinds as _;

/// How often an instance is looked at of which the operator is to let go.
const LOOK: Duration = Duration::from_millis(200);
/// How many instances one page of a list has.
const PAGE: u32 = 500;

/// A cluster, and what it serves.
pub struct Cluster {
    pub client: Client,
    kinds: KindPicture,
}

/// An instance as it was last read.
pub struct Instance {
    api: Api<DynamicObject>,
    reference: EntityRef,
    name: String,
    uid: String,
    object: DynamicObject,
}

impl Instance {
    fn new(api: Api<DynamicObject>, kind: &ApiResource, object: DynamicObject) -> Self {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        Self {
            reference: EntityRef::new(&kind.kind.to_lowercase(), &namespace, &name),
            uid: object.uid().unwrap_or_default(),
            api,
            name,
            object,
        }
    }

    /// Whether there is anything to let go of, now or as soon as an operator looks at it.
    pub fn has_anything(&self) -> bool {
        !is_let_go(&self.object) || (provisions(&self.object) && !is_asked(&self.object))
    }
}

fn provisions(object: &DynamicObject) -> bool {
    object
        .data
        .pointer("/spec/template")
        .is_some_and(|template| !template.is_null())
}

fn is_asked(object: &DynamicObject) -> bool {
    marks::says_release(object.annotations())
}

fn is_finalized(object: &DynamicObject) -> bool {
    object.finalizers().iter().any(|name| name == marks::FINALIZER)
}

/// What its inventory lists.
fn inventory(object: &DynamicObject) -> Vec<Listed> {
    let entries = object.data.pointer("/status/inventory").and_then(Value::as_array);
    entries.into_iter().flatten().map(Listed::of).collect()
}

/// Whether it holds on to nothing.
fn is_let_go(object: &DynamicObject) -> bool {
    !is_finalized(object) && inventory(object).is_empty()
}

/// The status of an instance that was let go.
fn status_of(object: &DynamicObject, reference: &EntityRef) -> Value {
    let generation = object.metadata.generation;
    let before: Vec<Condition> = object
        .data
        .pointer("/status/conditions")
        .and_then(|conditions| serde_json::from_value(conditions.clone()).ok())
        .unwrap_or_default();
    json!({
        "observedGeneration": generation,
        "conditions": settle(&before, &released(reference), generation, &now()),
    })
}

impl Cluster {
    /// Asks what the cluster serves.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn look(client: Client) -> Result<Self, Fault> {
        let kinds = KindPicture::default();
        let seen = kinds.refresh(&client).await;
        seen.map_err(|error| format!("the cluster does not say which kinds it serves: {error}"))?;
        Ok(Self { client, kinds })
    }

    /// One instance.
    ///
    /// # Errors
    /// When it does not exist, may not be read, or is none.
    pub async fn get(&self, kind: &ApiResource, reference: EntityRef) -> Result<Instance, Fault> {
        if !INSTANCES.contains(&kind.kind.as_str()) {
            return Err(format!("{reference} owns nothing: expected one of {}", INSTANCES.join(", ")).into());
        }
        let api = objects::api(&self.client, kind, &reference.namespace);
        match api.get_opt(&reference.name).await {
            Ok(Some(object)) => Ok(Instance::new(api, kind, object)),
            Ok(None) => {
                let hint = former::hint(&self.client, kind, &reference).await;
                Err(format!("{reference} does not exist{hint}").into())
            }
            Err(error) => Err(format!("{reference} cannot be read: {}", told(&error)).into()),
        }
    }

    /// All instances, of one namespace or everywhere. A kind whose definition is gone has none.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn list(&self, namespace: Option<&str>) -> Result<Vec<Instance>, Fault> {
        let mut found = Vec::new();
        for kind in INSTANCES.into_iter().filter_map(kinds::resource) {
            let everywhere = objects::api(&self.client, kind, namespace.unwrap_or_default());
            let mut parameters = ListParams::default().limit(PAGE);
            loop {
                let page = match everywhere.list(&parameters).await {
                    Ok(page) => page,
                    Err(kube::Error::Api(status)) if status.code == 404 => break,
                    Err(error) => {
                        return Err(
                            format!("instances of kind {} cannot be listed: {}", kind.kind, told(&error)).into(),
                        );
                    }
                };
                found.extend(page.items.into_iter().map(|object| {
                    let own = objects::api(&self.client, kind, &object.namespace().unwrap_or_default());
                    Instance::new(own, kind, object)
                }));
                match page.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => parameters = parameters.continue_token(&token),
                    None => break,
                }
            }
        }
        Ok(found)
    }

    /// Asks operators, running or to come, to let go of them. One that cannot be asked is told of when its turn comes.
    pub async fn ask(&self, instances: &mut [Instance]) {
        let change = Patch::Merge(json!({"metadata": {"annotations": {marks::RELEASE: "yes"}}}));
        for instance in instances.iter_mut().filter(|instance| !is_asked(&instance.object)) {
            // What an operator may have written since it was read is in the answer.
            if let Ok(object) = instance
                .api
                .patch(&instance.name, &PatchParams::default(), &change)
                .await
            {
                instance.object = object;
            }
        }
    }

    /// Waits until a running operator has let go of them, unless it does not get on with it for as long as `patience`.
    pub async fn wait(&self, instances: &[Instance], patience: Duration) {
        let mut progress = Instant::now();
        for instance in instances.iter().filter(|instance| is_asked(&instance.object)) {
            let mut waited = false;
            loop {
                match instance.api.get_opt(&instance.name).await {
                    Ok(Some(object)) if !is_let_go(&object) && object.uid().as_ref() == Some(&instance.uid) => {}
                    _ if waited => break progress = Instant::now(),
                    _ => break,
                }
                if progress.elapsed() >= patience {
                    break;
                }
                waited = true;
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Does what is left to be done of letting go of `instance`, and says what became of each object.
    pub async fn let_go(&self, instance: &Instance) -> Report {
        let mut report = Report {
            reference: instance.reference.clone(),
            uid: instance.uid.clone(),
            objects: Vec::new(),
            held: None,
            deleting: instance.object.metadata.deletion_timestamp.is_some(),
        };
        let mut done: Vec<Listed> = Vec::new();
        let mut known = inventory(&instance.object);
        for _ in 0..TRIES {
            let found = match instance.api.get_opt(&instance.name).await {
                Ok(found) => found.filter(|found| found.uid().as_ref() == Some(&instance.uid)),
                Err(error) => return report.held_by(told(&error)),
            };
            let found = match self.asked(instance, found).await {
                Ok(found) => found,
                Err(error) => return report.held_by(told(&error)),
            };
            known.extend(found.iter().flat_map(inventory));
            for listed in std::mem::take(&mut known) {
                if !done.contains(&listed) {
                    report
                        .objects
                        .push((listed.label(), self.free(&listed, &instance.uid).await));
                    done.push(listed);
                }
            }
            // Where the operator has let go, one need not see its objects.
            let seen_to = found.as_ref().is_none_or(is_let_go);
            let held = |(_, became): &&(String, Became)| match became {
                Became::Held(_) => true,
                Became::Unseen(_) => !seen_to,
                Became::Kept | Became::Gone(_) | Became::Another(_) => false,
            };
            match report.objects.iter().filter(held).count() {
                0 => {}
                1 => return report.held_by("one of its objects could not be let go".to_owned()),
                count => return report.held_by(format!("{count} of its objects could not be let go")),
            }
            let Some(object) = found else { return report };
            match self.finish(instance, object).await {
                Ok(true) => return report,
                Ok(false) => {}
                Err(why) => return report.held_by(why),
            }
        }
        report.held_by("others change it all the time".to_owned())
    }

    /// The instance with the annotation on it: before that is so, an operator may put back whatever is taken off.
    async fn asked(
        &self,
        instance: &Instance,
        found: Option<DynamicObject>,
    ) -> Result<Option<DynamicObject>, kube::Error> {
        match found {
            Some(object) if !is_asked(&object) => {
                let change = json!({"metadata": {"uid": instance.uid, "annotations": {marks::RELEASE: "yes"}}});
                self.patched(instance, &change).await.map(Some)
            }
            found => Ok(found),
        }
    }

    /// Says in the status that it was let go, and takes the finalizer off. False where it was changed meanwhile.
    async fn finish(&self, instance: &Instance, mut object: DynamicObject) -> Result<bool, String> {
        let answer = async {
            if object.metadata.deletion_timestamp.is_none() && !inventory(&object).is_empty() {
                let status = status_of(&object, &instance.reference);
                if let Some(fields) = object.data.as_object_mut() {
                    fields.insert("status".to_owned(), status);
                }
                let parameters = PostParams {
                    field_manager: Some(marks::STATUS_MANAGER.to_owned()),
                    ..PostParams::default()
                };
                object = instance
                    .api
                    .replace_status(&instance.name, &parameters, &object)
                    .await?;
            }
            if is_finalized(&object) {
                let others = object.finalizers().iter().filter(|name| *name != marks::FINALIZER);
                let change = json!({"metadata": {
                    "resourceVersion": object.metadata.resource_version, "finalizers": others.collect::<Vec<_>>(),
                }});
                self.patched(instance, &change).await?;
            }
            Ok(())
        };
        match answer.await {
            Ok(()) => Ok(true),
            // Gone, or changed: the next look tells.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(told(&error)),
        }
    }

    async fn patched(&self, instance: &Instance, change: &Value) -> Result<DynamicObject, kube::Error> {
        let parameters = PatchParams {
            field_manager: Some(marks::STATUS_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        instance
            .api
            .patch(&instance.name, &parameters, &Patch::Merge(change))
            .await
    }

    async fn free(&self, listed: &Listed, uid: &str) -> Became {
        let api_version = listed.api_version();
        let known = self.kinds.kind(&api_version, &listed.kind);
        let Some(kind) = known.or_else(|| self.kinds.find(&listed.group, &listed.kind)) else {
            return self.unknown(&api_version, &listed.kind).await;
        };
        let resource: ApiResource = resource(&kind);
        objects::free(&objects::api(&self.client, &resource, &listed.namespace), listed, uid).await
    }

    /// The picture of the cluster has no such kind. An aggregated apiserver that is down is missing from it, too.
    async fn unknown(&self, api_version: &str, kind: &str) -> Became {
        match self.client.list_api_group_resources(api_version).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Ok(served) if !served.resources.iter().any(|resource| resource.kind == kind) => {}
            Ok(_) => return Became::Held("its kind is served again; run the same again".to_owned()),
            Err(error) => {
                return Became::Unseen(format!("whether its kind is served cannot be told: {}", told(&error)));
            }
        }
        Became::Gone(format!("the cluster serves no {kind} of {api_version}"))
    }
}

impl Report {
    fn held_by(mut self, why: String) -> Self {
        self.held = Some(why);
        self
    }
}
