//! Writes to our own kinds: the status as a whole, and the finalizer. Each carries the resourceVersion.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::trouble::{Trouble, retry_after};
use super::wakes::Key;
use super::world::World;
use crate::api::marks;
use crate::api::reasons::Reason;

/// Writes `status` unless it is what `object` has already. Gives the object as it is then.
///
/// # Errors
/// A transient trouble when it was changed meanwhile or the apiserver does not take it now.
pub async fn status(
    world: &World,
    key: &Key,
    object: &Arc<DynamicObject>,
    status: Value,
) -> Result<Arc<DynamicObject>, Trouble> {
    if object.data.get("status") == Some(&status) {
        return Ok(object.clone());
    }
    // The apiserver takes nothing but the status from it, and goes by the UID and the version.
    let next = DynamicObject {
        types: Some(kube::api::TypeMeta {
            api_version: crate::api::API_VERSION.to_owned(),
            kind: key.kind.kind().to_owned(),
        }),
        metadata: ObjectMeta {
            name: Some(key.name.clone()),
            namespace: Some(key.namespace.clone()),
            uid: object.metadata.uid.clone(),
            resource_version: object.metadata.resource_version.clone(),
            ..ObjectMeta::default()
        },
        data: json!({"status": status}),
    };
    let parameters = PostParams {
        field_manager: Some(marks::STATUS_MANAGER.to_owned()),
        ..PostParams::default()
    };
    world.metrics.wrote("status");
    let written = world
        .api(key)
        .replace_status(&key.name, &parameters, &next)
        .await
        .map_err(|error| failed(&error, key, Written::Status))?;
    Ok(remember(world, key, written))
}

/// Adds or takes away our finalizer, leaving those of others. Gives the object as it is then.
///
/// # Errors
/// As [`status`].
pub async fn finalizer(
    world: &World,
    key: &Key,
    object: &Arc<DynamicObject>,
    wanted: bool,
) -> Result<Arc<DynamicObject>, Trouble> {
    let mut finalizers = object.metadata.finalizers.clone().unwrap_or_default();
    if finalizers.iter().any(|name| name == marks::FINALIZER) == wanted {
        return Ok(object.clone());
    }
    finalizers.retain(|name| name != marks::FINALIZER);
    if wanted {
        finalizers.push(marks::FINALIZER.to_owned());
    }
    let patch = json!({"metadata": {"resourceVersion": object.metadata.resource_version, "finalizers": finalizers}});
    let parameters = PatchParams {
        field_manager: Some(marks::STATUS_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    world.metrics.wrote("finalizer");
    let written = world
        .api(key)
        .patch(&key.name, &parameters, &Patch::Merge(&patch))
        .await
        .map_err(|error| failed(&error, key, Written::Finalizer))?;
    Ok(remember(world, key, written))
}

fn remember(world: &World, key: &Key, written: DynamicObject) -> Arc<DynamicObject> {
    world.wrote(key, written.clone());
    Arc::new(written)
}

/// What of an entity was to be written.
#[derive(Clone, Copy)]
enum Written {
    Status,
    Finalizer,
}

fn failed(error: &kube::Error, key: &Key, written: Written) -> Trouble {
    let (what, verb, subresource) = match written {
        Written::Status => ("status", "update", "/status"),
        Written::Finalizer => ("finalizer", "patch", ""),
    };
    match error {
        kube::Error::Api(status) if status.code == 409 => {
            Trouble::transient(format!("the {what} was changed meanwhile; looking again"))
        }
        // Gone meanwhile: there is nothing to say any more, and the watch tells.
        kube::Error::Api(status) if status.code == 404 => {
            Trouble::transient(format!("the {what} could not be written: the object is gone"))
        }
        kube::Error::Api(status) if status.code == 403 && status.message.contains("resource \"") => Trouble::blocked(
            Reason::Forbidden,
            format!(
                "the {what} could not be written: the operator may not {verb} {}{subresource}; grant its role: apiGroups [{}], resources [{}s{subresource}], verbs [{verb}]",
                key.kind.full_name(),
                crate::api::GROUP,
                key.kind.word(),
            ),
        ),
        // etcd's own limit, which the apiserver has no word for.
        kube::Error::Api(status)
            if ["request is too large", "larger than max"]
                .iter()
                .any(|words| status.message.contains(words)) =>
        {
            Trouble::blocked(
                Reason::Denied,
                format!(
                    "the {what} could not be written: with it the object is larger than the apiserver keeps ({}); make its spec or its annotations smaller",
                    status.message
                ),
            )
        }
        other => Trouble {
            retry_after: retry_after(other),
            ..Trouble::transient(format!("the {what} could not be written: {other}"))
        },
    }
}
