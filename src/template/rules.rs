//! What a manifest may be: which kinds, which names, which metadata.

use serde_json::{Map, Value};

use super::compile::Policy;
use super::expression::term::kind_of;
use super::fault::Fault;
use super::kinds::{KindInfo, Kinds};
use super::names::shown;
use crate::api::instance::Mode;
use crate::api::reasons::Reason;
use crate::api::template::TemplateResource;

/// A fault without its resource: reason, field, message.
pub(crate) type Broken = (Reason, String, String);

/// Adds the resource to a fault.
pub(crate) fn of_resource(resource: &str, (reason, field, message): Broken) -> Fault {
    Fault {
        reason,
        resource: Some(resource.to_owned()),
        field,
        message,
    }
}

/// Finds the kind, and says whether it may be in a template at all.
///
/// # Errors
/// When the cluster does not serve it, when it is Secret, when it is cluster-scoped and not listed, and when the
/// resource wants what its kind does not allow.
pub(crate) fn kind(
    api_version: &str,
    kind: &str,
    kinds: &dyn Kinds,
    policy: &Policy,
    mode: Option<Mode>,
    replace: bool,
) -> Result<KindInfo, Broken> {
    if kind == "Secret" && matches!(api_version, "v1" | "/v1") {
        return Err((
            Reason::KindNotAllowed,
            "manifest.kind".to_owned(),
            "Secret is not allowed in a template; write an ExternalSecret, a SealedSecret, a Certificate or the like, which makes one".to_owned(),
        ));
    }
    let Some(info) = kinds.kind(api_version, kind) else {
        return Err((
            Reason::KindNotServed,
            "manifest.kind".to_owned(),
            format!(
                "{} ({}) is not served by this cluster",
                shown(kind, 63),
                shown(api_version, 120)
            ),
        ));
    };
    if !info.namespaced && !listed(&info, &policy.cluster_scoped_kinds) {
        return Err((
            Reason::KindNotAllowed,
            "manifest.kind".to_owned(),
            format!(
                "{} ({}) is cluster-scoped and not allowed in a template; the administrator may list {} in clusterScopedKinds",
                info.kind,
                info.api_version(),
                if info.group.is_empty() {
                    info.kind.clone()
                } else {
                    format!("{}.{}", info.kind, info.group)
                }
            ),
        ));
    }
    if !info.namespaced && mode == Some(Mode::Patch) {
        return Err((
            Reason::KindNotAllowed,
            "mode".to_owned(),
            format!(
                "Patch is for objects in this plan's namespaces, and {} is cluster-scoped",
                info.kind
            ),
        ));
    }
    if replace && info.group.is_empty() && matches!(info.kind.as_str(), "Namespace" | "PersistentVolumeClaim") {
        return Err((
            Reason::InvalidTemplate,
            "replace".to_owned(),
            format!(
                "a {} is never replaced, since what it holds would be lost; remove replace",
                info.kind
            ),
        ));
    }
    Ok(info)
}

fn listed(info: &KindInfo, allowed: &[String]) -> bool {
    let full = format!("{}.{}", info.kind, info.group);
    allowed
        .iter()
        .any(|entry| *entry == info.kind || (!info.group.is_empty() && *entry == full))
}

/// Whether an object of this kind runs to completion, so that it is made once.
pub(crate) fn runs_to_completion(info: &KindInfo) -> bool {
    matches!(
        (info.group.as_str(), info.kind.as_str()),
        ("tekton.dev", "PipelineRun" | "TaskRun") | ("argoproj.io", "Workflow") | ("batch", "Job") | ("", "Pod")
    )
}

/// The class that decides the order among objects that do not depend on each other: what others need comes first.
pub(crate) fn class(info: &KindInfo, mode: Mode) -> u8 {
    if mode == Mode::Once {
        return 4;
    }
    match (info.group.as_str(), info.kind.as_str()) {
        ("", "Namespace") => 0,
        ("", "ServiceAccount" | "ResourceQuota" | "LimitRange")
        | ("rbac.authorization.k8s.io", "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding")
        | ("networking.k8s.io", "NetworkPolicy") => 1,
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job" | "CronJob")
        | ("", "Pod" | "ReplicationController") => 3,
        _ => 2,
    }
}

/// Checks the keys of a manifest and of its metadata: those that would break ownership are refused.
///
/// `literal`: whether this is the template's own text, in which values may still be expressions.
pub(crate) fn manifest(manifest: &Map<String, Value>, broken: &mut Vec<Broken>) {
    let mut refuse = |field: &str, message: &str| {
        broken.push((Reason::InvalidTemplate, field.to_owned(), message.to_owned()));
    };
    if manifest.get("status").is_some_and(|status| !empty(status)) {
        refuse(
            "manifest.status",
            "status is written by the object's own controller; remove it",
        );
    }
    let Some(Value::Object(metadata)) = manifest.get("metadata") else {
        return;
    };
    for (name, message) in [
        (
            "generateName",
            "generateName is not allowed, since every name must be known beforehand; write metadata.name",
        ),
        ("uid", "uid is given by the apiserver; remove it"),
        (
            "resourceVersion",
            "resourceVersion is given by the apiserver; remove it",
        ),
        ("generation", "generation is given by the apiserver; remove it"),
        ("selfLink", "selfLink is given by the apiserver; remove it"),
        ("managedFields", "managedFields are kept by the apiserver; remove them"),
        (
            "creationTimestamp",
            "creationTimestamp is given by the apiserver; remove it",
        ),
        (
            "deletionTimestamp",
            "deletionTimestamp is given by the apiserver; remove it",
        ),
        (
            "deletionGracePeriodSeconds",
            "deletionGracePeriodSeconds is given by the apiserver; remove it",
        ),
        (
            "ownerReferences",
            "ownerReferences would let another object's deletion take this one along; remove them",
        ),
    ] {
        if metadata.get(name).is_some_and(|value| !value.is_null()) {
            refuse(&format!("manifest.metadata.{name}"), message);
        }
    }
    for field in ["labels", "annotations"] {
        let keys = metadata
            .get(field)
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys);
        for key in keys {
            if let Some(message) = reserved_key(key) {
                let mut path = format!("manifest.metadata.{field}");
                super::names::push_name(&mut path, key);
                refuse(&path, message);
            }
        }
    }
}

fn empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

/// Why a label or annotation cannot be a template's.
fn reserved_key(key: &str) -> Option<&'static str> {
    let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
    if prefix == "landfall.dev" || prefix.ends_with(".landfall.dev") {
        return Some("keys of landfall.dev are Landfall's own marks; use another prefix");
    }
    if prefix == "argocd.argoproj.io" && key.ends_with("/tracking-id") {
        return Some("Argo CD's tracking mark would make Argo CD delete the object; remove it");
    }
    None
}

/// Checks that a resource which only changes what others have made asks for nothing that is for objects of its own.
pub(crate) fn patch(resource: &TemplateResource, broken: &mut Vec<Broken>) {
    if resource.mode != Some(Mode::Patch) {
        return;
    }
    let mut refuse = |field: &str, why: &str| {
        let message = format!("mode Patch changes an object that others have made, and never deletes it; {why}");
        broken.push((Reason::InvalidTemplate, field.to_owned(), message));
    };
    if resource.replace {
        refuse("replace", "remove replace");
    }
    if resource.deletion_policy.is_some() {
        refuse("deletionPolicy", "remove deletionPolicy");
    }
}

/// The plain string at a field of a manifest that must have one.
pub(crate) fn needed_string(value: Option<&Value>, field: &str, example: &str) -> Result<String, Broken> {
    let broken = |what: String| (Reason::InvalidTemplate, field.to_owned(), what);
    match value {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::String(_)) => Err(broken(format!("empty; expected for example {example}"))),
        None | Some(Value::Null) => Err(broken(format!("missing; expected for example {example}"))),
        Some(other) => Err(broken(format!(
            "found {}, expected a string, for example {example}",
            kind_of(other)
        ))),
    }
}

/// Checks an object's name by the rule of its kind.
///
/// # Errors
/// In plain words. The rules are the apiserver's (`k8s.io/apimachinery/pkg/api/validation`, `pkg/apis/*/validation`).
pub(crate) fn object_name(info: &KindInfo, name: &str) -> Result<(), String> {
    match (info.group.as_str(), info.kind.as_str()) {
        ("", "Namespace") => label(name, 63),
        // Letters first was the rule until Kubernetes 1.34.
        ("", "Service") => {
            label(name, 63)?;
            if name.starts_with(|letter: char| letter.is_ascii_digit()) {
                return Err(format!(
                    "\"{name}\" begins with a digit, expected a letter: it is a Service's name"
                ));
            }
            Ok(())
        }
        ("rbac.authorization.k8s.io", _) => path_segment(name),
        // The controller appends 11 characters for each run, whose name must fit into a label.
        ("batch", "CronJob") => subdomain(name, 52),
        ("batch", "Job") | ("apps", "StatefulSet") => subdomain(name, 63),
        _ => subdomain(name, 253),
    }
}

/// An RFC 1123 label, as the names of namespaces are.
pub(crate) fn label(name: &str, limit: usize) -> Result<(), String> {
    within(name, limit)?;
    if label_letters(name) {
        Ok(())
    } else {
        Err(format!(
            "\"{}\" is not a legal name, expected lower-case letters, digits and -, beginning and ending with a letter or digit{}",
            shown(name, 80),
            about_quotes(name)
        ))
    }
}

/// What to do about quotes that are part of a name, as JSON has them and skeletons for YAML text want them.
fn about_quotes(name: &str) -> &'static str {
    if name.len() > 1 && name.starts_with('"') && name.ends_with('"') {
        "; its quotes are those of JSON: leave out the filter dump or tojson"
    } else {
        ""
    }
}

fn label_letters(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn subdomain(name: &str, limit: usize) -> Result<(), String> {
    within(name, limit)?;
    if name.split('.').all(label_letters) {
        Ok(())
    } else {
        Err(format!(
            "\"{}\" is not a legal name, expected lower-case letters, digits, - and ., beginning and ending with a letter or digit{}",
            shown(name, 80),
            about_quotes(name)
        ))
    }
}

fn path_segment(name: &str) -> Result<(), String> {
    within(name, 253)?;
    if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '%']) || name.chars().any(char::is_control)
    {
        return Err(format!(
            "\"{}\" is not a legal name, expected a name without / and %",
            shown(name, 80)
        ));
    }
    Ok(())
}

fn within(name: &str, limit: usize) -> Result<(), String> {
    let length = name.chars().count();
    if length > limit {
        return Err(format!(
            "\"{}\" has {length} characters, expected at most {limit}",
            shown(name, 80)
        ));
    }
    Ok(())
}
