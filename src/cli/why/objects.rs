//! Looks at one object, and below it for what makes it be as it is.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::Value;

use super::look::{Look, api_version, told};
use super::remedies::of_object;
use super::tree::{Node, State};
use crate::api;
use crate::api::conditions::bounded;
use crate::api::instance::{InventoryEntry, Mode};
use crate::controllers::trouble::describe;
use crate::template::health::{Health, health, sync_failure};
use crate::template::kinds::Kinds as _;

/// How deep is looked: an Application, its Deployment, the set of replicas, a Pod, and room.
const DEPTH: usize = 6;
/// How many objects of one kind below another are shown.
const SHOWN: usize = 5;
/// The most of one kind that are read to find those that are below another.
const READ: u32 = 500;
/// The longest text that is taken over, in bytes.
const TEXT: usize = 512;

/// What becomes of the objects of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They are kept as planned.
    Kept {
        /// Whether the operator has found all of them well.
        ready: bool,
    },
    /// Nothing is made until what has this reason is put right.
    Held(String),
    /// They go with the entity.
    Deleted,
}

impl Fate {
    /// What there is to say of one that was made and is not there.
    fn of_absent(&self, what: String) -> Node {
        match self {
            Self::Kept { .. } => Node::new(what, State::Waiting, "does not exist any more; it is made again"),
            Self::Held(reason) => Node::new(
                what,
                State::Note,
                format!("does not exist any more; it is made again once {reason} is over"),
            ),
            Self::Deleted => Node::new(what, State::Good, "gone"),
        }
    }
}

impl Look {
    /// One object of an inventory.
    pub(super) async fn owned(&self, entry: &InventoryEntry, fate: &Fate) -> Node {
        let what = describe(&entry.kind, Some(&entry.namespace), &entry.name);
        let version = api_version(entry);
        let kind = self.kinds.kind(&version, &entry.kind);
        let Some(kind) = kind.or_else(|| self.kinds.find(&entry.group, &entry.kind)) else {
            return Node::new(
                what,
                State::Failed,
                format!("{} ({version}) is not served by this cluster", entry.kind),
            )
            .with_remedy("install the CustomResourceDefinition of this kind again");
        };
        let object = match self.api(&kind, Some(&entry.namespace)).get_opt(&entry.name).await {
            Ok(Some(object)) => object,
            Ok(None) if entry.mode == Mode::Patch => {
                return Node::new(what, State::Waiting, "is made by others, and waited for");
            }
            // Why it is not stands above: it was refused, or waits.
            Ok(None) if entry.uid.is_empty() => return Node::new(what, State::Note, "not made yet"),
            Ok(None) if entry.mode == Mode::Once => return Node::new(what, State::Good, "made once, and gone"),
            Ok(None) => return fate.of_absent(what),
            Err(error) => return Node::new(what, State::Unchecked, told(&error)),
        };
        let stranger = !entry.uid.is_empty() && entry.mode != Mode::Patch;
        if stranger && object.uid().as_deref() != Some(entry.uid.as_str()) {
            return Node::new(what, State::Failed, "another object has taken its name").with_remedy(format!(
                "delete it, or hand it over with the annotation {}",
                api::marks::ADOPT_BY
            ));
        }
        let node = self.object(what, &object, 0).await;
        // A run counts for its pipeline, and not for whether the instance is Ready; and readyWhen may find well what its
        // kind would not.
        let excused = entry.mode == Mode::Once || *fate == Fate::Kept { ready: true };
        if excused && node.state != State::Good {
            return Node {
                state: State::Note,
                ..node
            };
        }
        node
    }

    /// How an object is, and what below it makes it so.
    fn object<'a>(&'a self, what: String, object: &'a DynamicObject, depth: usize) -> BoxFuture<'a, Node> {
        async move {
            let value = serde_json::to_value(object).unwrap_or_default();
            let (version, kind) = (text(&value, "/apiVersion"), text(&value, "/kind"));
            let state = health(&value, self.kinds.declares_conditions(version, kind));
            let Some(says) = state.message() else {
                return Node::new(what, State::Good, "");
            };
            // The sentence names the object, which stands before it here.
            let name = object.name_any();
            let says = says
                .strip_prefix(&format!("{kind} {name}: "))
                .unwrap_or(says)
                .to_owned();
            let how = match state {
                Health::Degraded(_) => State::Failed,
                _ => State::Waiting,
            };
            let mut node = Node::new(what, how, says.clone()).since(since(&value).as_deref());
            node.parts = said_by_itself(&value);
            if depth < DEPTH {
                node.parts.extend(self.below(&value, object, depth).await);
            }
            if !node
                .parts
                .iter()
                .any(|part| matches!(part.state, State::Failed | State::Waiting))
            {
                node.parts.extend(self.events(object).await);
            }
            node.with_remedy(of_object(&value, &says))
        }
        .boxed()
    }

    /// The objects below one that are not as they should be either.
    async fn below(&self, value: &Value, object: &DynamicObject, depth: usize) -> Vec<Node> {
        let mut nodes = Vec::new();
        for (version, kind) in made_by(value) {
            nodes.extend(self.controlled(object, version, kind, depth).await);
        }
        for named in composed(value) {
            nodes.extend(self.referred(&named, object, depth).await);
        }
        nodes
    }

    /// The objects of a kind that `owner` controls and that are not healthy, the newest first.
    async fn controlled(&self, owner: &DynamicObject, version: &str, kind: &str, depth: usize) -> Vec<Node> {
        let Some(info) = self.kinds.kind(version, kind) else {
            return Vec::new();
        };
        let namespace = owner.namespace();
        let list = self
            .api(&info, namespace.as_deref())
            .list(&ListParams::default().limit(READ))
            .await;
        let mut below = match list {
            Ok(list) => list.items,
            Err(error) => {
                return vec![Node::new(
                    format!("its {}", info.plural),
                    State::Unchecked,
                    told(&error),
                )];
            }
        };
        below.retain(|object| {
            object
                .owner_references()
                .iter()
                .any(|to| Some(to.uid.as_str()) == owner.metadata.uid.as_deref())
        });
        below.sort_by_key(|object| std::cmp::Reverse(object.creation_timestamp()));
        let mut nodes = Vec::new();
        for mut object in below {
            // The items of a list do not repeat what they are.
            object.types = Some(kube::core::TypeMeta {
                api_version: version.to_owned(),
                kind: kind.to_owned(),
            });
            let what = describe(kind, namespace.as_deref(), &object.name_any());
            let node = self.object(what, &object, depth + 1).await;
            if node.state != State::Good {
                nodes.push(node);
            }
            if nodes.len() == SHOWN {
                break;
            }
        }
        nodes
    }

    /// An object that another names as its part.
    async fn referred(&self, named: &Named, from: &DynamicObject, depth: usize) -> Option<Node> {
        let info = self.kinds.kind(&named.version, &named.kind)?;
        let namespace = named.namespace.clone().or_else(|| from.namespace());
        let what = describe(
            &named.kind,
            namespace.as_deref().filter(|_| info.namespaced),
            &named.name,
        );
        let node = match self.api(&info, namespace.as_deref()).get_opt(&named.name).await {
            Ok(Some(object)) => self.object(what, &object, depth + 1).await,
            Ok(None) => Node::new(what, State::Waiting, "does not exist"),
            Err(error) => Node::new(what, State::Unchecked, told(&error)),
        };
        (node.state != State::Good).then_some(node)
    }

    /// The newest warning about an object, as the last word where nothing below it explains it.
    async fn events(&self, object: &DynamicObject) -> Option<Node> {
        let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let about = format!("involvedObject.uid={},type=Warning", object.uid()?);
        let events = match api.list(&ListParams::default().fields(&about).limit(READ)).await {
            Ok(list) => list.items,
            Err(error) => return Some(Node::new("its events", State::Unchecked, told(&error))),
        };
        let time = |event: &Event| {
            let last = event.last_timestamp.as_ref().map(|time| time.0);
            let series = event
                .series
                .as_ref()
                .and_then(|series| series.last_observed_time.as_ref());
            last.or(series.map(|time| time.0))
                .or(event.event_time.as_ref().map(|time| time.0))
        };
        let newest = events.iter().max_by_key(|event| time(event))?;
        let says = format!(
            "{}: {}",
            newest.reason.as_deref().unwrap_or("Warning"),
            bounded(newest.message.as_deref().unwrap_or_default(), TEXT)
        );
        let node = Node::new("its last warning", State::Note, says);
        Some(node.since(time(newest).map(|time| time.to_string()).as_deref()))
    }
}

/// Which kinds the objects below this one are of.
fn made_by(object: &Value) -> &'static [(&'static str, &'static str)] {
    let group = text(object, "/apiVersion")
        .split_once('/')
        .map_or("", |(group, _)| group);
    match (group, text(object, "/kind")) {
        ("apps", "Deployment") => &[("apps/v1", "ReplicaSet")],
        ("apps", "ReplicaSet" | "StatefulSet" | "DaemonSet") | ("", "ReplicationController") | ("batch", "Job") => {
            &[("v1", "Pod")]
        }
        ("tekton.dev", "PipelineRun") => &[("tekton.dev/v1", "TaskRun"), ("tekton.dev/v1beta1", "CustomRun")],
        ("tekton.dev", "TaskRun") | ("argoproj.io", "Workflow") => &[("v1", "Pod")],
        ("triggers.tekton.dev", "EventListener") => &[("apps/v1", "Deployment")],
        _ => &[],
    }
}

/// An object that another names.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    version: String,
    kind: String,
    namespace: Option<String>,
    name: String,
}

/// The objects that a composite names as its parts: Crossplane keeps them in `spec.crossplane.resourceRefs`, before
/// version 2 in `spec.resourceRefs`; an Argo CD Application lists them in `status.resources`.
fn composed(object: &Value) -> Vec<Named> {
    let application = text(object, "/kind") == "Application" && text(object, "/apiVersion").starts_with("argoproj.io/");
    let lists: &[&str] = if application {
        &["/status/resources"]
    } else {
        &["/spec/crossplane/resourceRefs", "/spec/resourceRefs"]
    };
    let items = lists
        .iter()
        .filter_map(|list| object.pointer(list)?.as_array())
        .flatten();
    items
        .filter(|item| {
            // Its own word on each part saves looking at those that are well, and it may be about another cluster.
            let health = text(item, "/health/status");
            !application || !matches!(health, "" | "Healthy") || text(item, "/status") == "OutOfSync"
        })
        .filter_map(|item| {
            let version = match (text(item, "/apiVersion"), text(item, "/group"), text(item, "/version")) {
                ("", "", version) => version.to_owned(),
                ("", group, version) => format!("{group}/{version}"),
                (version, ..) => version.to_owned(),
            };
            Some(Named {
                version,
                kind: Some(text(item, "/kind")).filter(|kind| !kind.is_empty())?.to_owned(),
                namespace: Some(text(item, "/namespace"))
                    .filter(|namespace| !namespace.is_empty())
                    .map(str::to_owned),
                name: Some(text(item, "/name")).filter(|name| !name.is_empty())?.to_owned(),
            })
        })
        .take(SHOWN * 2)
        .collect()
}

/// What an object says in places that its health does not read.
fn said_by_itself(object: &Value) -> Vec<Node> {
    let mut nodes = Vec::new();
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    for container in statuses
        .iter()
        .filter_map(|list| object.pointer(list)?.as_array())
        .flatten()
    {
        let places = ["/state/waiting", "/state/terminated", "/lastState/terminated"];
        for place in places.iter().filter_map(|place| container.pointer(place)) {
            let (reason, message) = (text(place, "/reason"), text(place, "/message"));
            let code = place.get("exitCode").and_then(Value::as_i64);
            let says = match (message, code) {
                ("", Some(code)) if code != 0 => format!("{reason} with exit code {code}"),
                ("", _) => continue,
                (message, _) => format!("{reason}: {}", bounded(message, TEXT)),
            };
            nodes.push(Node::new(
                format!("container {}", text(container, "/name")),
                State::Note,
                says,
            ));
        }
    }
    let operation = text(object, "/status/operationState/message");
    if matches!(text(object, "/status/operationState/phase"), "Failed" | "Error") && !operation.is_empty() {
        // Argo CD's own message only says that some objects failed.
        let said = sync_failure(object).unwrap_or_else(|| operation.to_owned());
        nodes.push(Node::new("its last sync", State::Failed, bounded(&said, TEXT)));
    }
    if !text(object, "/metadata/deletionTimestamp").is_empty() {
        let conditions = object
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        nodes.extend(
            conditions
                .filter(|condition| {
                    text(condition, "/status") == "True" && text(condition, "/type").starts_with("Namespace")
                })
                .map(|condition| {
                    Node::new(
                        text(condition, "/type"),
                        State::Note,
                        bounded(text(condition, "/message"), TEXT),
                    )
                }),
        );
    }
    nodes
}

/// Since when it is as it is, as far as its conditions say.
fn since(object: &Value) -> Option<String> {
    let deleted = text(object, "/metadata/deletionTimestamp");
    if !deleted.is_empty() {
        return Some(deleted.to_owned());
    }
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let wanted = ["Ready", "Succeeded", "Available", "PodScheduled"];
    wanted
        .iter()
        .find_map(|kind| conditions.iter().find(|condition| text(condition, "/type") == *kind))
        .map(|condition| text(condition, "/lastTransitionTime").to_owned())
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_applications_parts_are_those_that_it_calls_unwell() {
        let application = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "status": {"resources": [
            {"version": "v1", "kind": "Service", "namespace": "n", "name": "fine", "status": "Synced", "health": {"status": "Healthy"}},
            {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "n", "name": "web", "status": "Synced", "health": {"status": "Degraded"}},
            {"version": "v1", "kind": "ConfigMap", "namespace": "n", "name": "late", "status": "OutOfSync"},
        ]}});
        let names: Vec<String> = composed(&application)
            .into_iter()
            .map(|named| format!("{} {}", named.version, named.name))
            .collect();
        assert_eq!(names, ["apps/v1 web", "v1 late"]);
    }

    #[test]
    fn a_composites_parts_are_those_that_it_names() {
        let one =
            |spec: Value| composed(&json!({"apiVersion": "example.org/v1", "kind": "Database", "spec": spec})).len();
        let refs =
            json!([{"apiVersion": "nop.example.org/v1", "kind": "NopResource", "name": "a"}, {"kind": "NoName"}]);
        assert_eq!(one(json!({"crossplane": {"resourceRefs": refs}})), 1);
        assert_eq!(one(json!({"resourceRefs": refs})), 1);
        assert_eq!(one(json!({"resourceRefs": "odd"})), 0);
    }

    #[test]
    fn a_pods_containers_say_why_they_wait_and_how_they_ended() {
        let pod = json!({"kind": "Pod", "status": {"containerStatuses": [
            {"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}, "lastState": {"terminated": {"reason": "Error", "exitCode": 3}}},
            {"name": "fine", "state": {"running": {}}},
        ]}});
        let says: Vec<String> = said_by_itself(&pod)
            .into_iter()
            .map(|node| format!("{}: {}", node.what, node.text))
            .collect();
        assert_eq!(
            says,
            [
                "container app: CrashLoopBackOff: back-off 10s",
                "container app: Error with exit code 3"
            ]
        );
    }
}
