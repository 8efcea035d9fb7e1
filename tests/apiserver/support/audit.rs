//! The apiserver's audit log: who asked for what.

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

use super::cluster::Cluster;
use super::patience::eventually;

/// The audit log of one cluster.
#[derive(Debug)]
pub struct Audit<'a> {
    cluster: &'a Cluster,
}

/// A place in the audit log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

impl Mark {
    /// Where the log begins.
    pub const START: Self = Self(0);
}

impl<'a> Audit<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        Self { cluster }
    }

    /// The place where the log ends now.
    pub async fn mark(&self) -> Mark {
        self.fence().await;
        Mark(fs::metadata(self.path()).unwrap().len())
    }

    /// All that was asked since the mark and has been answered, in the order of the answers.
    pub async fn since(&self, mark: Mark) -> Vec<Entry> {
        self.fence().await;
        self.read(mark)
    }

    /// Waits until the log holds what had been answered before this call: an entry is written at the end
    /// of a request, which can be a moment after its answer has arrived.
    async fn fence(&self) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let place = Mark(fs::metadata(self.path()).map_or(0, |file| file.len()));
        let path = format!("/version?fence={}", COUNT.fetch_add(1, Ordering::Relaxed));
        let client = self.cluster.client().await;
        client
            .request_text(http::Request::get(&path).body(Vec::new()).unwrap())
            .await
            .unwrap();
        eventually("the audit log to reach the present", async || {
            self.read(place).iter().any(|entry| entry.uri == path).then_some(())
        })
        .await;
    }

    fn read(&self, mark: Mark) -> Vec<Entry> {
        let mut file = File::open(self.path()).unwrap();
        file.seek(SeekFrom::Start(mark.0.saturating_sub(1))).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if mark.0 > 0 {
            // A line that was half written at the mark was answered before it.
            text = text
                .split_once('\n')
                .map_or_else(String::new, |(_, rest)| rest.to_owned());
        }
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| Entry::from(serde_json::from_str::<Event>(line).unwrap()))
            .collect()
    }

    fn path(&self) -> PathBuf {
        self.cluster.directory().join("audit.log")
    }
}

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
}

impl Entry {
    /// Whether the budgets count it: watches, discovery, leases and events are free.
    pub fn is_counted(&self) -> bool {
        let free = ["leases.coordination.k8s.io", "events", "events.events.k8s.io"];
        self.verb != "watch" && !self.resource.is_empty() && !free.contains(&self.resource.as_str())
    }
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

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        let mut resource = event.object_ref.resource;
        for (separator, part) in [('.', event.object_ref.api_group), ('/', event.object_ref.subresource)] {
            if !part.is_empty() {
                resource.push(separator);
                resource.push_str(&part);
            }
        }
        Self {
            user_agent: event.user_agent,
            user: event.user.username,
            impersonated: event.impersonated_user.map(|user| user.username),
            verb: event.verb,
            uri: event.request_uri,
            resource,
            namespace: event.object_ref.namespace,
            name: event.object_ref.name,
            code: event.response_status.map_or(0, |status| status.code),
        }
    }
}
