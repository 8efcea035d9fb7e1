//! Taking the marks off one object that stays.

use std::fmt;

use kube::api::{Api, ApiResource, DynamicObject, PartialObjectMeta, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::Value;

use crate::api::marks;
use crate::cli::marked::Marked;

/// How often it is tried where others write to the object, too.
pub const TRIES: usize = 5;

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Became {
    /// It is there and bears no marks.
    Kept,
    /// It is not there any more; what is instead.
    Gone(String),
    /// It is not the instance's; whose it is.
    Another(String),
    /// It could not be looked at; why.
    Unseen(String),
    /// Its marks could not be taken off; why.
    Held(String),
}

impl fmt::Display for Became {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => formatter.write_str("kept"),
            Self::Gone(instead) => write!(formatter, "was gone, {instead}"),
            Self::Another(whose) => write!(formatter, "left as it is, {whose}"),
            Self::Unseen(why) => write!(formatter, "not looked at, {why}"),
            Self::Held(why) => write!(formatter, "NOT let go, {why}"),
        }
    }
}

/// An object as people name it.
pub fn label(kind: &str, namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        format!("{kind} {name}")
    } else {
        format!("{kind} {namespace}/{name}")
    }
}

/// What an inventory's entry says of an object. Whichever version has written the rest of it, this can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub claim: String,
}

impl Listed {
    pub fn of(entry: &Value) -> Self {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            group: text("group"),
            version: text("version"),
            kind: text("kind"),
            namespace: text("namespace"),
            name: text("name"),
            uid: text("uid"),
            claim: text("claim"),
        }
    }

    pub fn label(&self) -> String {
        label(&self.kind, &self.namespace, &self.name)
    }

    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Why the marks on `found` are not to be taken off for the instance of `uid`: it is another object, or another instance's.
    fn differs(&self, found: &PartialObjectMeta<DynamicObject>, uid: &str) -> Option<Became> {
        if !self.uid.is_empty() && found.uid().as_ref() != Some(&self.uid) {
            return Some(Became::Gone("and another of its name is there".to_owned()));
        }
        let owner = found.labels().get(marks::INSTANCE_UID);
        let instance = found
            .annotations()
            .get(marks::INSTANCE)
            .map_or("another instance", String::as_str);
        if owner.is_some_and(|owner| owner != uid) {
            return Some(Became::Another(format!("it is {instance}'s")));
        }
        // Before it is known to exist, only the claim tells whether it is what was made.
        let claimed = found.annotations().get(marks::CLAIM) == Some(&self.claim);
        (self.uid.is_empty() && !claimed).then(|| Became::Another("it was there before".to_owned()))
    }
}

/// Takes the marks off the object of an entry in the inventory of the instance of `uid`.
pub async fn free(api: &Api<DynamicObject>, listed: &Listed, uid: &str) -> Became {
    for _ in 0..TRIES {
        let found = match api.get_metadata_opt(&listed.name).await {
            Ok(Some(found)) => found,
            Ok(None) => return Became::Gone("there is none of its name".to_owned()),
            Err(error) => return Became::Unseen(told(&error)),
        };
        if let Some(differs) = listed.differs(&found, uid) {
            return differs;
        }
        if !is_marked(&found) {
            return Became::Kept;
        }
        if let Some(became) = take_off(api, &listed.name, &found.uid().unwrap_or_default()).await {
            return became;
        }
    }
    Became::Held("others change it all the time".to_owned())
}

/// Takes the marks off an object that was found by them.
pub async fn unmark(client: &Client, object: &Marked) -> Became {
    let api = api(client, &object.kind, &object.namespace);
    take_off(&api, &object.name, &object.uid)
        .await
        .unwrap_or_else(|| Became::Gone("and another of its name is there".to_owned()))
}

/// The API of a kind, in a namespace where there is one.
pub fn api(client: &Client, kind: &ApiResource, namespace: &str) -> Api<DynamicObject> {
    if namespace.is_empty() {
        Api::all_with(client.clone(), kind)
    } else {
        Api::namespaced_with(client.clone(), namespace, kind)
    }
}

fn is_marked(found: &PartialObjectMeta<DynamicObject>) -> bool {
    let annotations = found.annotations();
    found.labels().contains_key(marks::INSTANCE_UID)
        || marks::ON_OBJECTS.iter().any(|name| annotations.contains_key(*name))
}

/// None where it is not the object of `uid` any more, or was changed in that moment.
async fn take_off(api: &Api<DynamicObject>, name: &str, uid: &str) -> Option<Became> {
    let parameters = PatchParams {
        field_manager: Some(marks::OBJECT_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch_metadata(name, &parameters, &Patch::Merge(&marks::taken_off(uid)))
        .await
    {
        Ok(_) => Some(Became::Kept),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            Some(Became::Gone("there is none of its name".to_owned()))
        }
        Err(kube::Error::Api(status)) if status.code == 409 => None,
        Err(error) => Some(Became::Held(told(&error))),
    }
}

/// What the apiserver said, in one sentence.
pub fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(metadata: &Value) -> PartialObjectMeta<DynamicObject> {
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "PartialObjectMetadata", "metadata": metadata}))
            .unwrap()
    }

    fn listed(uid: &str) -> Listed {
        Listed::of(&json!({"version": "v1", "kind": "ConfigMap", "name": "a", "uid": uid, "claim": "c1", "newer": {}}))
    }

    #[test]
    fn only_what_is_the_instances_own_is_let_go() {
        let labels = |instance: &str| json!({"uid": "u1", "labels": {"landfall.dev/instance-uid": instance}});
        assert_eq!(listed("u1").differs(&found(&labels("mine")), "mine"), None);
        assert_eq!(
            listed("u1").differs(&found(&json!({"uid": "u1"})), "mine"),
            None,
            "a lost label is no other's"
        );
        assert!(matches!(
            listed("u1").differs(&found(&labels("other")), "mine"),
            Some(Became::Another(_))
        ));
        assert!(matches!(
            listed("u2").differs(&found(&labels("mine")), "mine"),
            Some(Became::Gone(_))
        ));
    }

    #[test]
    fn an_entry_without_uid_stands_for_what_bears_its_claim() {
        let claimed = |claim: &str| {
            found(
                &json!({"uid": "u1", "labels": {"landfall.dev/instance-uid": "mine"}, "annotations": {"landfall.dev/claim": claim}}),
            )
        };
        assert_eq!(listed("").differs(&claimed("c1"), "mine"), None);
        assert!(matches!(
            listed("").differs(&claimed("c2"), "mine"),
            Some(Became::Another(_))
        ));
    }

    #[test]
    fn any_mark_is_one() {
        assert!(!is_marked(&found(&json!({"labels": {"app": "web"}}))));
        assert!(is_marked(&found(
            &json!({"labels": {"landfall.dev/instance-uid": "u"}})
        )));
        for name in marks::ON_OBJECTS {
            assert!(is_marked(&found(&json!({"annotations": {name: ""}}))), "{name}");
        }
    }
}
