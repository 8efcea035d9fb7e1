//! What stands in the way of a pass, in the four classes that decide what happens next.

use std::fmt::Write as _;
use std::time::Duration;

use kube::core::Status;
use serde_json::Value;

use crate::api::conditions::{MESSAGE_LIMIT, bounded};
use crate::api::reasons::Reason;
use crate::runtime::clients::Account;
use crate::template::fault::Fault;
use crate::template::kinds::KindInfo;
use crate::template::names::{readable, shown};

/// The class of a trouble decides the condition it shows in and when it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Will pass by itself: tried again soon, with backoff.
    Transient,
    /// Something is awaited, and a watch tells when it is there.
    Waiting,
    /// A person has to change something that no watch shows; tried again every few minutes.
    Blocked,
    /// A person has to change the instance or its template.
    Invalid,
}

impl Class {
    /// The word for metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Invalid => "invalid",
        }
    }
}

/// One thing in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What is to be done about it, and by whom.
    pub class: Class,
    /// The reason word.
    pub reason: Reason,
    /// What is wrong, where, and what to do.
    pub message: String,
    /// When the apiserver asked to be left alone until.
    pub retry_after: Option<Duration>,
}

impl Trouble {
    /// A trouble of any class.
    pub fn new(class: Class, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            class,
            reason,
            message: message.into(),
            retry_after: None,
        }
    }
    /// Something is awaited.
    pub fn waiting(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Class::Waiting, reason, message)
    }
    /// Something outside is in the way.
    pub fn blocked(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Class::Blocked, reason, message)
    }
    /// Something is wrong with what was asked for.
    pub fn invalid(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Class::Invalid, reason, message)
    }
    /// Something went wrong that need not go wrong again.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Class::Transient, Reason::RetryingAfterError, message)
    }
}

/// The most faults that one message lists.
const LISTED: usize = 20;
/// The most bytes that a list takes, so that what is put around it fits into a condition's message as well.
const LIST_LIMIT: usize = MESSAGE_LIMIT - 256;

/// All of `faults` as one trouble: a kind that is not served is waited for, the rest is for a person.
pub fn of_faults(faults: &[Fault]) -> Trouble {
    let message = list(faults.iter().map(ToString::to_string));
    let worst = faults.iter().find(|fault| fault.reason != Reason::KindNotServed);
    match worst {
        Some(fault) => Trouble::invalid(fault.reason, message),
        None => Trouble::waiting(Reason::KindNotServed, message),
    }
}

/// Several troubles as one: of the worst class, each told once, in their order. None if there are none.
pub fn of_troubles(troubles: Vec<Trouble>) -> Option<Trouble> {
    let worst = troubles.iter().max_by_key(|trouble| trouble.class)?.clone();
    let mut messages: Vec<String> = Vec::new();
    for trouble in troubles {
        if !messages.contains(&trouble.message) {
            messages.push(trouble.message);
        }
    }
    Some(Trouble {
        message: list(messages.into_iter()),
        ..worst
    })
}

/// A bounded list that ends with how many more there are. The first is always in it.
fn list(all: impl ExactSizeIterator<Item = String>) -> String {
    let count = all.len();
    let (mut text, mut listed) = (String::new(), 0);
    for one in all.take(LISTED) {
        let one = bounded(&one, LIST_LIMIT / 2);
        if listed > 0 && text.len() + one.len() > LIST_LIMIT {
            break;
        }
        if listed > 0 {
            text.push_str("; ");
        }
        text.push_str(&one);
        listed += 1;
    }
    if count > listed {
        let _ = write!(text, "; and {} more", count - listed);
    }
    text
}

/// What was being done to which object, as whom.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// `create`, `patch`, `delete`, `get`, `list` or `watch`.
    pub verb: &'a str,
    /// The object's kind.
    pub kind: &'a KindInfo,
    /// Its namespace.
    pub namespace: Option<&'a str>,
    /// Its name; empty for a list or watch.
    pub name: &'a str,
    /// As whom.
    pub account: &'a Account,
    /// The template's resource that it comes from, where it comes from one.
    pub resource: Option<&'a str>,
    /// The `roleRef` of what is written, where it is a binding.
    pub role: Option<&'a Value>,
}

impl<'a> Attempt<'a> {
    /// The same, with what is written.
    #[must_use]
    pub fn of(self, intent: &'a Value) -> Self {
        Self {
            role: intent.get("roleRef"),
            ..self
        }
    }

    /// The rule that lets the account bind the role.
    fn bind(&self) -> String {
        let word = |name: &str| self.role.and_then(|role| role.get(name)?.as_str());
        let resource = match word("kind") {
            Some("Role") => "roles",
            _ => "clusterroles",
        };
        let name = word("name").map_or_else(|| "the role".to_owned(), |name| shown(name, NAME));
        format!("apiGroups [rbac.authorization.k8s.io], resources [{resource}], resourceNames [{name}], verbs [bind]")
    }
}

impl Attempt<'_> {
    /// The object for people: `Namespace shop-dev`, `Role shop-dev/reader`.
    pub fn object(&self) -> String {
        describe(&self.kind.kind, self.namespace, self.name)
    }

    /// The object, and the template's resource in which what is wrong with it stands.
    fn written(&self) -> String {
        match self.resource {
            Some(resource) => format!("resource \"{resource}\": {}", self.object()),
            None => self.object(),
        }
    }

    fn place(&self) -> String {
        self.namespace.map_or_else(|| "the cluster".to_owned(), str::to_owned)
    }
}

/// An object for people: kind, then namespace and name.
pub fn describe(kind: &str, namespace: Option<&str>, name: &str) -> String {
    match namespace.filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// What an error of the client means for the attempt.
pub fn of_error(error: &kube::Error, attempt: Attempt<'_>) -> Trouble {
    match error {
        kube::Error::Api(status) => of_status(status, attempt),
        other => Trouble::transient(format!(
            "{}: the apiserver could not be asked: {other}",
            attempt.object()
        )),
    }
}

/// What a refusal of the apiserver means for the attempt.
pub fn of_status(status: &Status, attempt: Attempt<'_>) -> Trouble {
    let object = attempt.object();
    let said = said(status);
    match status.code {
        403 => forbidden(status, attempt),
        404 if status
            .details
            .as_ref()
            .is_some_and(|details| details.kind == "namespaces") =>
        {
            Trouble::waiting(
                Reason::WaitingForNamespace,
                format!(
                    "{object}: waiting for namespace {}, which does not exist",
                    attempt.place()
                ),
            )
        }
        404 => Trouble::waiting(
            Reason::WaitingForKind,
            format!(
                "{object}: {} ({}) is not served by this cluster",
                attempt.kind.kind,
                attempt.kind.api_version()
            ),
        ),
        422 if said.contains("immutable") || said.contains("may not be changed") || said.contains("updates to") => {
            Trouble::blocked(
                Reason::ImmutableField,
                format!(
                    "{}: {said}; change it back, or set replace: true on the template's resource to delete and create it",
                    attempt.written()
                ),
            )
        }
        400 | 422 => Trouble::blocked(
            Reason::Denied,
            format!("{}: the apiserver does not take it: {said}", attempt.written()),
        ),
        413 => Trouble::blocked(
            Reason::Denied,
            format!("{}: it is larger than the apiserver takes: {said}", attempt.written()),
        ),
        500 if status.message.contains("typed patch object (") || said.contains("field not declared in schema") => {
            Trouble::blocked(
                Reason::Denied,
                format!("{}: the apiserver does not take it: {said}", attempt.written()),
            )
        }
        _ => Trouble {
            retry_after: asked_to_wait(status),
            ..Trouble::transient(format!("{object}: the apiserver answered {}: {said}", status.code))
        },
    }
}

/// For how long the apiserver asked to be left alone.
pub fn retry_after(error: &kube::Error) -> Option<Duration> {
    match error {
        kube::Error::Api(status) => asked_to_wait(status),
        _ => None,
    }
}

fn asked_to_wait(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)))
}

/// Whether an apply to one UID failed because that object is not there any more (409), or another is in its
/// place (422 on metadata.uid). `tests/apiserver/apply_preconditions.rs` holds the apiserver to these answers.
pub fn is_gone(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let replaced = || {
        status
            .details
            .iter()
            .flat_map(|details| &details.causes)
            .any(|cause| cause.field == "metadata.uid")
    };
    matches!(status.code, 404 | 409) || (status.code == 422 && replaced())
}

/// What is told of an account that the operator may not act as begins so.
pub const MAY_NOT_ACT_AS: &str = "the operator may not act as service account";

/// A 403 has many causes, and each has a remedy of its own.
fn forbidden(status: &Status, attempt: Attempt<'_>) -> Trouble {
    let object = attempt.object();
    let message = &status.message;
    let terminating = status.details.as_ref().is_some_and(|details| {
        details
            .causes
            .iter()
            .any(|cause| cause.reason == "NamespaceTerminating")
    });
    if terminating {
        return Trouble::waiting(
            Reason::WaitingForNamespace,
            format!(
                "{object}: waiting for namespace {}, which is being deleted",
                attempt.place()
            ),
        );
    }
    if message.contains("custom resource definition is terminating") {
        let kind = attempt.kind;
        return Trouble::waiting(
            Reason::WaitingForKind,
            format!(
                "{object}: waiting for {} ({}), whose definition is being deleted",
                kind.kind,
                kind.api_version()
            ),
        );
    }
    if message.contains("exceeded quota") {
        return Trouble::blocked(
            Reason::QuotaExceeded,
            format!("{object}: {}; raise the quota or ask for less", said(status)),
        );
    }
    if message.contains("cannot impersonate") {
        let account = attempt.account;
        return Trouble::blocked(
            Reason::Forbidden,
            format!(
                "{MAY_NOT_ACT_AS} {account}; grant {} by a Role in namespace {}: apiGroups [\"\"], resources [serviceaccounts], resourceNames [{}], verbs [impersonate]",
                asking(message),
                account.namespace,
                account.name
            ),
        );
    }
    if message.contains("is attempting to grant RBAC permissions not currently held") || message.contains("cannot bind")
    {
        // What to do comes first: the list of the rights may be long.
        let remedy = if attempt.kind.kind.ends_with("Binding") {
            format!("grant: {}; or the rights themselves", attempt.bind())
        } else {
            format!(
                "take them out of the {}, or grant them to the account too",
                attempt.kind.kind
            )
        };
        return Trouble::blocked(
            Reason::Forbidden,
            format!(
                "{object}: {} may not give rights that it does not hold; {remedy}{}",
                attempt.account,
                rights(message)
            ),
        );
    }
    if message.contains(" cannot ") && message.contains("resource \"") {
        return lacking(attempt);
    }
    Trouble::blocked(Reason::Denied, format!("{object}: denied: {}", said(status)))
}

/// Who was refused to act as an account: the operator's own, as the apiserver names it.
fn asking(message: &str) -> String {
    let user = message
        .split_once("User \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(user, _)| user);
    match user
        .strip_prefix("system:serviceaccount:")
        .and_then(|account| account.split_once(':'))
    {
        Some((namespace, name)) => format!("service account {namespace}/{name} the right"),
        None if user.is_empty() => "the right".to_owned(),
        None => format!("user {} the right", bounded(user, NAME)),
    }
}

/// The rights that a refusal lists, a line each: `: {APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`.
fn rights(message: &str) -> String {
    let lines: Vec<String> = message
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('{') && line.ends_with('}'))
        .map(str::to_owned)
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    let told: Vec<String> = lines.iter().take(RIGHTS).map(|line| bounded(line, RIGHT)).collect();
    let more = match lines.len() - told.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!(": {}{more}", told.join("; "))
}

/// How many of the rights that a role gives are told.
const RIGHTS: usize = 3;
/// The most bytes of each.
const RIGHT: usize = 160;
/// The most characters of a role's name that are told.
const NAME: usize = 253;

/// What an account needs on the kinds of its templates' objects.
const ALL_VERBS: &str = "get, list, watch, create, patch, delete";

/// The account lacks a right: names the rule that gives it, all verbs at once.
pub fn lacking(attempt: Attempt<'_>) -> Trouble {
    let group = if attempt.kind.group.is_empty() {
        "\"\""
    } else {
        &attempt.kind.group
    };
    // A list of one namespace is a mere look at what is in it; a list of all opens the watch on a template's own objects.
    let (place, verbs) = match (attempt.verb, attempt.namespace) {
        ("list" | "watch", None) => ("the whole cluster".to_owned(), ALL_VERBS),
        ("list", Some(namespace)) => (namespace.to_owned(), "list"),
        _ => (attempt.place(), ALL_VERBS),
    };
    Trouble::blocked(
        Reason::Forbidden,
        format!(
            "{} may not {} {} in {place}; grant: apiGroups [{group}], resources [{}], verbs [{verbs}]",
            attempt.account,
            attempt.verb,
            attempt.kind.resource(),
            attempt.kind.plural,
        ),
    )
}

/// What the apiserver said, without the parts that change from try to try.
fn said(status: &Status) -> String {
    let mut causes: Vec<String> = status
        .details
        .iter()
        .flat_map(|details| &details.causes)
        .filter(|cause| !cause.message.is_empty())
        .map(|cause| {
            if cause.field.is_empty() {
                cause.message.clone()
            } else {
                format!("{}: {}", cause.field, cause.message)
            }
        })
        .collect();
    // The apiserver goes through maps in another order each time.
    causes.sort();
    causes.truncate(LISTED);
    let text = if causes.is_empty() || status.code == 403 {
        plain(&status.message)
    } else {
        causes.join("; ")
    };
    readable(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// An error of the merge of an apply without the words that only a programmer of the apiserver knows: from
/// `failed to create typed patch object (shop/a; /v1, Kind=ConfigMap): .data.a: expected string, got
/// &value.valueUnstructured{Value:3}` to `.data.a: expected string, got 3`.
fn plain(message: &str) -> String {
    const TYPED: &str = "typed patch object (";
    let behind = message
        .split_once(TYPED)
        .and_then(|(_, behind)| behind.split_once("): "))
        .map_or(message, |(_, behind)| behind);
    let behind = behind.trim_start().strip_prefix("errors:").unwrap_or(behind);
    let mut lines: Vec<&str> = behind.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if message.contains(TYPED) {
        // The apiserver goes through maps in another order each time.
        lines.sort_unstable();
    }
    let mut parts = lines.join("; ");
    while let Some((before, rest)) = parts.split_once("&value.valueUnstructured{Value:") {
        let (value, after) = rest.split_once('}').unwrap_or((rest, ""));
        parts = format!("{before}{value}{after}");
    }
    parts
}

#[cfg(test)]
mod tests;
