//! One line of an audit log.

use std::fmt;

use serde::Deserialize;

/// One answered request.
#[derive(Clone, Debug)]
pub struct Entry {
    pub user_agent: String,
    pub user: String,
    /// As whom the user acted, if as someone else.
    pub impersonated: Option<String>,
    pub verb: String,
    pub uri: String,
    /// With its group, and its subresource after a slash: `deployments.apps/status`; empty for what is no object.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub code: u16,
    /// Whether whoever came through authentication, and impersonation where it was asked for, was authorized: `allow`
    /// or `forbid`; empty where a request ended before that.
    pub decision: String,
}

/// A resource as an [`Entry`] has it, of its group and of its name as a role has it: `deployments/status`.
pub fn resource(group: &str, resource: &str) -> String {
    let (name, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let mut whole = name.to_owned();
    for (separator, part) in [('.', group), ('/', subresource)] {
        if !part.is_empty() {
            whole.push(separator);
            whole.push_str(part);
        }
    }
    whole
}

/// Reads one whole line.
pub fn read(line: &str) -> Entry {
    Entry::from(serde_json::from_str::<Event>(line).unwrap_or_else(|error| panic!("{error}: {line}")))
}

impl Entry {
    /// Whether the budgets count it: watches, discovery, leases and events are free.
    pub fn is_counted(&self) -> bool {
        let free = ["leases.coordination.k8s.io", "events", "events.events.k8s.io"];
        self.verb != "watch" && !self.resource.is_empty() && !free.contains(&self.resource.as_str())
    }
}

/// Whether a request changes anything.
pub fn is_write(entry: &Entry) -> bool {
    matches!(
        entry.verb.as_str(),
        "create" | "update" | "patch" | "delete" | "deletecollection"
    )
}

/// Those of the requests that the budgets count and whose user agent begins with `agent`.
pub fn counted(entries: Vec<Entry>, agent: &str) -> Vec<Entry> {
    entries
        .into_iter()
        .filter(|entry| entry.is_counted() && entry.user_agent.starts_with(agent))
        .collect()
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.resource.is_empty() {
            &self.uri
        } else {
            &self.resource
        };
        write!(
            f,
            "{} {} {what} {}/{} by {}",
            self.code, self.verb, self.namespace, self.name, self.user_agent
        )?;
        self.impersonated
            .as_ref()
            .map_or(Ok(()), |user| write!(f, " as {user}"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    impersonated_user: Option<User>,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: ObjectRef,
    response_status: Option<ResponseStatus>,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "authorization.k8s.io/decision")]
    decision: String,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    api_group: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        let object = event.object_ref;
        let parts = [object.resource, object.subresource];
        let parts: Vec<&str> = parts
            .iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        let resource = resource(&object.api_group, &parts.join("/"));
        let status = event.response_status.unwrap_or_default();
        Self {
            user_agent: event.user_agent,
            user: event.user.username,
            impersonated: event.impersonated_user.map(|user| user.username),
            verb: event.verb,
            uri: event.request_uri,
            resource,
            namespace: object.namespace,
            name: object.name,
            code: status.code,
            decision: event.annotations.decision,
        }
    }
}
