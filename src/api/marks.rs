//! Names that are API: labels, annotations, the finalizer and the field managers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Label on every object that belongs to an instance: the instance's UID.
pub const INSTANCE_UID: &str = "landfall.dev/instance-uid";
/// Annotation on every object that belongs to an instance: the instance's ref, for people to read.
pub const INSTANCE: &str = "landfall.dev/instance";
/// Annotation on every object that belongs to an instance: the template resource (and `each` key) it comes from.
pub const RESOURCE: &str = "landfall.dev/resource";
/// Annotation on every object that belongs to an instance: the random claim that its inventory entry holds too.
pub const CLAIM: &str = "landfall.dev/claim";
/// Annotation on every object that belongs to an instance: the first digits of the hash of what was asked for. Managed
/// fields name fields without their values, so that alone they cannot tell what was applied last.
pub const INTENT: &str = "landfall.dev/intent";
/// Annotation on an object that others have made and of which an instance only sets some fields: `Patch`.
pub const MODE: &str = "landfall.dev/mode";
/// Annotation on an instance: any new value asks for a pass now.
pub const RECONCILE: &str = "landfall.dev/reconcile";
/// Annotation on an instance: the hash out of a `DeletionNotConfirmed` message.
pub const CONFIRM_DELETION: &str = "landfall.dev/confirm-deletion";
/// Annotation on an instance: let go of everything, deleting nothing, and make nothing while it is there.
pub const RELEASE: &str = "landfall.dev/release";

/// Whether annotations say that an instance is to be let go: [`RELEASE`] is there, and does not say `no` or `false`.
pub fn says_release(annotations: &BTreeMap<String, String>) -> bool {
    annotations
        .get(RELEASE)
        .is_some_and(|value| !["no", "false"].contains(&value.trim().to_lowercase().as_str()))
}
/// Annotation on an object that is to be taken over: the ref of the instance that may do so.
pub const ADOPT_BY: &str = "landfall.dev/adopt-by";
/// Annotation on an instance: the ref of the instance that may take over its objects, and that has to ask for it.
pub const HAND_OVER_TO: &str = "landfall.dev/hand-over-to";
/// The finalizer of an instance that owns objects.
pub const FINALIZER: &str = "catalog.landfall.dev/provisioned";
/// The field manager of what templates render to.
pub const OBJECT_MANAGER: &str = "landfall";
/// The field manager of our own kinds' status and finalizer.
pub const STATUS_MANAGER: &str = "landfall-status";
/// The field manager of a webhook's certificate and of its authority in the webhook configurations.
pub const WEBHOOK_MANAGER: &str = "landfall-webhook";
/// The field manager of what `landfall import --apply` writes.
pub const IMPORT_MANAGER: &str = "landfall-import";
/// Label on a `ControllerRevision`: the name of the Template it is a revision of.
pub const TEMPLATE: &str = "landfall.dev/template";
/// Annotation on a `ControllerRevision`: the version it holds.
pub const VERSION: &str = "landfall.dev/version";

/// The prefix of annotations on a Template that silence a rule of `landfall template lint`: behind it the rule's name, and as
/// the value why. Example: `lint.landfall.dev/shared-name: one instance for the whole cluster`.
pub const LINT: &str = "lint.landfall.dev/";

/// The annotations that an object of an instance can bear.
pub const ON_OBJECTS: [&str; 6] = [INSTANCE, RESOURCE, CLAIM, INTENT, MODE, ADOPT_BY];

/// The merge patch that takes every mark off the object of `uid`, and leaves all else as it is.
pub fn taken_off(uid: &str) -> Value {
    let annotations: Map<String, Value> = ON_OBJECTS
        .map(|name| (name.to_owned(), Value::Null))
        .into_iter()
        .collect();
    json!({"metadata": {"uid": uid, "labels": {INSTANCE_UID: null}, "annotations": annotations}})
}
