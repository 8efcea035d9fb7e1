//! Whether the definitions of our own kinds on the cluster are such as this operator can work with. What an older one does not
//! know, the apiserver would cut from every status that is written, the inventory included: with such a one nothing is written.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use tokio::sync::watch;

use super::backoff::jittered;
use super::fence::Fence;
use super::http::Readiness;
use crate::api::{VERSION, crds};

/// How to install them.
pub const INSTALL: &str = "landfall crds | kubectl apply --server-side -f -";
/// How many fields a message lists.
const LISTED: usize = 3;
/// How long the first look waits for the watch.
const FIRST: Duration = Duration::from_millis(500);
/// When one that is missing or too old is looked at again, though nobody said that it changed.
const AGAIN: Duration = Duration::from_secs(3);

/// How the definition on the cluster stands to ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It knows all fields that we do, and no others.
    Same,
    /// It knows these fields that we do not.
    Newer(Vec<String>),
    /// It does not know these fields, or the version at all.
    Older(Vec<String>),
}

/// How `found` stands to `ours`.
pub fn compare(ours: &CustomResourceDefinition, found: &CustomResourceDefinition) -> Comparison {
    // Of the metadata only a rule is declared; nothing is ever cut from it.
    let schema = |definition: &CustomResourceDefinition| {
        let version = definition
            .spec
            .versions
            .iter()
            .find(|version| version.name == VERSION)?;
        let has_status = version.subresources.as_ref().is_some_and(|all| all.status.is_some());
        let schema = version.schema.as_ref()?.open_api_v3_schema.as_ref()?;
        let mut schema = serde_json::to_value(schema).unwrap_or_default();
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.remove("metadata");
        }
        (version.served && has_status).then_some(schema)
    };
    let (Some(ours), Some(found)) = (schema(ours), schema(found)) else {
        return Comparison::Older(vec![format!("version {VERSION}, served, with its status")]);
    };
    let mut lacking = Vec::new();
    lacks(&ours, &found, "", &mut lacking);
    if !lacking.is_empty() {
        return Comparison::Older(lacking);
    }
    lacks(&found, &ours, "", &mut lacking);
    if lacking.is_empty() {
        Comparison::Same
    } else {
        Comparison::Newer(lacking)
    }
}

/// The fields below `path` that `wanted` declares and `found` would cut.
fn lacks(wanted: &Value, found: &Value, path: &str, lacking: &mut Vec<String>) {
    if found.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return;
    }
    let properties = wanted.get("properties").and_then(Value::as_object);
    for (name, wanted) in properties.into_iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        match found.get("properties").and_then(|properties| properties.get(name)) {
            Some(found) => lacks(wanted, found, &path, lacking),
            None => lacking.push(path),
        }
    }
    for (below, sign) in [("items", "[]"), ("additionalProperties", ".*")] {
        if let Some(wanted) = wanted.get(below).filter(|wanted| wanted.is_object()) {
            lacks(
                wanted,
                found.get(below).unwrap_or(&Value::Null),
                &format!("{path}{sign}"),
                lacking,
            );
        }
    }
}

fn listed(fields: &[String]) -> String {
    let shown = fields.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match fields.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What readiness calls the definition `name`.
fn subject(name: &str) -> String {
    format!("definition {name}")
}

/// Says in `ready` that none of our definitions has been looked at yet.
pub fn expect(ready: &Readiness) {
    for ours in crds::all() {
        ready.lacks(&subject(&ours.name_any()), "not looked at yet");
    }
}

/// Looks at our definitions whenever `changed` says so, and says in `ready` and to `fence` what is wrong with them. Ends only
/// with the process.
///
/// One that is being deleted waits for the instances of its kind, and these wait for an operator: where there is such a one, the work
/// begins without it, and without those that are gone already, which cannot be put back before.
pub async fn keep(client: Client, mut changed: watch::Receiver<()>, ready: Readiness, fence: Fence) {
    let api: Api<CustomResourceDefinition> = Api::all(client);
    // The watch on definitions says so when it has listed them; without it one look is made all the same.
    let _ = tokio::time::timeout(FIRST, changed.changed()).await;
    loop {
        changed.mark_unchanged();
        let (mut good, mut outdated, mut known) = (true, false, true);
        let (mut going, mut spared) = (false, BTreeSet::new());
        for ours in crds::all() {
            match look(&api, &ours).await {
                Ok(None) => {
                    if ready.has(&subject(&ours.name_any())) {
                        tracing::info!(definition = ours.name_any(), "the definition is as needed");
                    }
                }
                Ok(Some(newer)) => {
                    ready.has(&subject(&ours.name_any()));
                    tracing::warn!(definition = ours.name_any(), "{newer}");
                }
                Err(trouble) => {
                    good = false;
                    outdated |= matches!(trouble, Unfit::Older(_));
                    known &= !matches!(trouble, Unfit::Unknown(_));
                    going |= matches!(trouble, Unfit::Going);
                    spared.extend(trouble.spared(&ours.name_any()));
                    if ready.lacks(&subject(&ours.name_any()), trouble.to_string()) {
                        tracing::warn!(definition = ours.name_any(), "{trouble}");
                    }
                }
            }
        }
        ready.spares(if going { spared } else { BTreeSet::new() });
        // What could not be looked at is taken to be as it was.
        if known || outdated {
            fence.outdated(outdated);
        }
        if !changed.has_changed().unwrap_or_default() {
            fence.suspect(false);
        }
        if good {
            if changed.changed().await.is_err() {
                return;
            }
        } else if let Ok(Err(_)) = tokio::time::timeout(jittered(AGAIN), changed.changed()).await {
            return;
        }
    }
}

/// Why a definition cannot be worked with.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("it is not installed; install it: {INSTALL}")]
    Missing,
    #[error(
        "it is being deleted, and with it every instance of its kind and what that was given; when it is gone, install it: {INSTALL}"
    )]
    Going,
    #[error(
        "it is older than this operator, which writes nothing until it is brought up to date: it lacks {0}; {INSTALL}"
    )]
    Older(String),
    #[error("it could not be looked at: {0}")]
    Unknown(String),
}

impl Unfit {
    /// What readiness lacks because of it that the work can begin without, where definitions are being deleted. What is still served
    /// is listed first.
    fn spared(&self, name: &str) -> Vec<String> {
        match self {
            Self::Missing => vec![subject(name), name.to_owned()],
            Self::Going => vec![subject(name)],
            Self::Older(_) | Self::Unknown(_) => Vec::new(),
        }
    }
}

async fn look(api: &Api<CustomResourceDefinition>, ours: &CustomResourceDefinition) -> Result<Option<String>, Unfit> {
    match api.get_opt(&ours.name_any()).await {
        Ok(Some(found)) if found.metadata.deletion_timestamp.is_some() => Err(Unfit::Going),
        Ok(Some(found)) => match compare(ours, &found) {
            Comparison::Same => Ok(None),
            Comparison::Newer(fields) => Ok(Some(format!(
                "the definition is newer than this operator, which does not act on {}",
                listed(&fields)
            ))),
            Comparison::Older(fields) => Err(Unfit::Older(listed(&fields))),
        },
        Ok(None) => Err(Unfit::Missing),
        Err(kube::Error::Api(status)) if status.code == 403 => Err(Unfit::Unknown(
            "the operator may not get customresourcedefinitions.apiextensions.k8s.io; grant its role: apiGroups [apiextensions.k8s.io], resources [customresourcedefinitions], verbs [get, list, watch]"
                .to_owned(),
        )),
        Err(error) => Err(Unfit::Unknown(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component() -> CustomResourceDefinition {
        crds::all()
            .into_iter()
            .find(|definition| definition.spec.names.kind == "Component")
            .unwrap()
    }

    /// The definition with `change` made to the schema of its status or spec.
    fn changed(change: impl Fn(&mut Value)) -> CustomResourceDefinition {
        let mut value = serde_json::to_value(component()).unwrap();
        change(
            value
                .pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties")
                .unwrap(),
        );
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn one_that_lacks_a_field_at_any_depth_is_older() {
        assert_eq!(compare(&component(), &component()), Comparison::Same);
        let older = changed(|root| {
            let entry = root
                .pointer_mut("/status/properties/inventory/items/properties")
                .unwrap();
            entry.as_object_mut().unwrap().remove("claim");
        });
        let lacks = vec!["status.inventory[].claim".to_owned()];
        assert_eq!(compare(&component(), &older), Comparison::Older(lacks.clone()));
        assert_eq!(compare(&older, &component()), Comparison::Newer(lacks));
        let open = changed(|root| {
            root["status"] = serde_json::json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
            root.as_object_mut().unwrap().remove("metadata");
        });
        assert_eq!(compare(&component(), &open), Comparison::Same);
    }

    #[test]
    fn one_without_the_version_or_its_status_is_older() {
        let mut other = component();
        other.spec.versions[0].name = "v1beta1".to_owned();
        assert!(matches!(compare(&component(), &other), Comparison::Older(_)));
        let mut bare = component();
        bare.spec.versions[0].subresources = None;
        assert!(matches!(compare(&component(), &bare), Comparison::Older(_)));
    }

    #[test]
    fn a_long_list_says_how_much_it_leaves_out() {
        let fields: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        assert_eq!(listed(&fields), "a, b, c and 2 more");
        assert_eq!(listed(&fields[..2]), "a, b");
    }
}
