//! The tree of causes, and how it reads. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::reasons::Reason;

/// How one thing in the tree is. The order is that in which causes are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum State {
    /// It cannot get further by itself.
    Failed,
    /// It is on its way, or waits.
    Waiting,
    /// It is not as it should be, and does not keep what it is said of from being Ready.
    Warning,
    /// It could not be looked at.
    Unchecked,
    /// It says nothing of itself, and is shown since it explains.
    Note,
    /// Nothing is wrong with it.
    Good,
}

impl State {
    fn sign(self) -> &'static str {
        match self {
            Self::Failed => "✗",
            Self::Waiting => "…",
            Self::Warning => "!",
            Self::Unchecked => "?",
            Self::Note => "·",
            Self::Good => "✓",
        }
    }
}

/// One thing in the tree: an entity, an object, or what is known of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// What it is. Example: `Deployment shop-checkout-dev/web`.
    pub what: String,
    /// How it is.
    pub state: State,
    /// What there is to say about it, as in the conditions that are stored: without ages.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Since when it is so, as RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Whether what it says of itself is the cause, whatever else is not as it should be.
    #[serde(skip)]
    pub decided: bool,
    /// What it depends on or is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Node>,
}

impl Node {
    /// A thing without parts.
    pub fn new(what: impl Into<String>, state: State, text: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            state,
            text: text.into(),
            since: None,
            remedy: None,
            decided: false,
            parts: Vec::new(),
        }
    }

    /// The same with what to do about it.
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The same with since when.
    pub fn since(mut self, since: Option<&str>) -> Self {
        self.since = since.filter(|time| !time.is_empty()).map(str::to_owned);
        self
    }

    /// The deepest cause of this being as it is: of its parts the worst, of several the first, and of that the same;
    /// itself where no part is wrong.
    pub fn deepest(&self) -> &Self {
        self.worst().map_or(self, Self::deepest)
    }

    /// What to do: the remedy of the deepest cause, else of what is nearest to it.
    pub fn remedy(&self) -> Option<&str> {
        self.worst().and_then(Self::remedy).or(self.remedy.as_deref())
    }

    /// Whether anything in the tree is not as it should be.
    pub fn is_finding(&self) -> bool {
        matches!(self.deepest().state, State::Failed | State::Waiting | State::Warning)
    }

    /// The part that makes this be as it is. A warning does so only where nothing else is wrong.
    fn worst(&self) -> Option<&Self> {
        let counts = |part: &&Self| match part.state {
            State::Failed | State::Waiting => true,
            State::Warning => self.state == State::Good,
            State::Unchecked | State::Note | State::Good => false,
        };
        if self.decided {
            return None;
        }
        self.parts.iter().filter(counts).min_by_key(|part| part.state)
    }
}

/// How the tree looks at `now`. A long sentence that is the cause's, which is told below the tree, is not told in it.
pub fn text(root: &Node, now: Timestamp) -> String {
    let cause = &root.deepest().text;
    let sentence = cause
        .split_once(": ")
        .filter(|(reason, _)| reason.parse::<Reason>().is_ok());
    let sentence = sentence.map_or(cause.as_str(), |(_, sentence)| sentence);
    let mut page = Page {
        now,
        told_below: (sentence.chars().count() >= LONG && root.is_finding()).then_some(sentence),
        lines: String::new(),
    };
    page.add(root, "", "");
    page.lines
}

/// How many characters a sentence has that is not told twice.
const LONG: usize = 80;

/// The lines of a tree.
struct Page<'a> {
    now: Timestamp,
    told_below: Option<&'a str>,
    lines: String,
}

impl Page<'_> {
    fn add(&mut self, node: &Node, first: &str, rest: &str) {
        let age = node.since.as_deref().and_then(|since| age(since, self.now));
        let age = age.map(|age| format!(" ({age})")).unwrap_or_default();
        let colon = if node.text.is_empty() { "" } else { ": " };
        let text = match self.told_below {
            Some(sentence) => node.text.replace(sentence, "(see below)"),
            None => node.text.clone(),
        };
        let _ = writeln!(
            self.lines,
            "{first}{} {}{age}{colon}{text}",
            node.state.sign(),
            node.what,
        );
        for (place, part) in node.parts.iter().enumerate() {
            let last = place + 1 == node.parts.len();
            let (head, tail) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.add(part, &format!("{rest}{head}"), &format!("{rest}{tail}"));
        }
    }
}

/// The time from `since` to `now` as kubectl prints ages: the two largest units, or one past ten of it.
fn age(since: &str, now: Timestamp) -> Option<String> {
    let since: Timestamp = since.parse().ok()?;
    let seconds = now.duration_since(since).as_secs();
    // The time of a status that nobody has written yet.
    if since.as_second() == 0 || seconds < 0 {
        return None;
    }
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let Some(place) = units.iter().position(|(length, _)| seconds >= *length) else {
        return Some("0s".to_owned());
    };
    let (length, unit) = units.get(place)?;
    let count = seconds / length;
    let remainder = seconds % length;
    match units.get(place + 1) {
        Some((small, name)) if count < 10 && remainder >= *small => {
            Some(format!("{count}{unit}{}{name}", remainder / small))
        }
        _ => Some(format!("{count}{unit}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_tree_ends_in_the_deepest_cause_and_its_remedy() {
        let pod = Node::new("Pod shop/web-1", State::Failed, "container app waits: ImagePullBackOff")
            .since(Some("2026-11-22T11:58:55Z"))
            .with_remedy("correct the image");
        let mut deployment = Node::new("Deployment shop/web", State::Waiting, "0 of 1 replicas available");
        deployment.parts = vec![Node::new("events", State::Unchecked, "may not be listed"), pod];
        let mut root = Node::new(
            "component:shop/checkout",
            State::Waiting,
            "Deployment web: 0 of 1 replicas available",
        )
        .since(Some("2026-11-20T11:00:00Z"))
        .with_remedy("wait");
        root.parts = vec![Node::new("template:platform/service", State::Good, ""), deployment];
        assert_eq!(root.deepest().what, "Pod shop/web-1");
        assert_eq!(root.remedy(), Some("correct the image"));
        insta::assert_snapshot!(text(&root, now()), @r"
        … component:shop/checkout (2d1h): Deployment web: 0 of 1 replicas available
        ├─ ✓ template:platform/service
        └─ … Deployment shop/web: 0 of 1 replicas available
           ├─ ? events: may not be listed
           └─ ✗ Pod shop/web-1 (1m5s): container app waits: ImagePullBackOff
        ");
    }

    #[test]
    fn a_warning_is_the_cause_only_where_nothing_else_is_wrong() {
        let mut root = Node::new("component:shop/checkout", State::Good, "Ready: 1 object is as planned");
        assert!(!root.is_finding());
        root.parts = vec![
            Node::new("UpToDate", State::Note, "Pinned: at version 1"),
            Node::new(
                "ReferencesResolved",
                State::Warning,
                "ReferenceNotFound: owner: x does not exist",
            )
            .with_remedy("create it"),
        ];
        assert!(root.is_finding());
        assert_eq!(
            (root.deepest().what.as_str(), root.remedy()),
            ("ReferencesResolved", Some("create it"))
        );
        root.state = State::Waiting;
        assert_eq!(root.deepest().what, "component:shop/checkout");
        root.parts
            .push(Node::new("Deployment shop/web", State::Failed, "crashed"));
        assert_eq!(root.deepest().what, "Deployment shop/web");
        root.decided = true;
        assert_eq!(root.deepest().what, "component:shop/checkout");
    }

    #[test]
    fn a_long_sentence_of_the_cause_is_left_to_the_line_of_the_cause() {
        let long = "platform/golden-path may not create configmaps in shop; grant: apiGroups [\"\"], resources [configmaps], verbs [get]";
        let mut template = Node::new("template:platform/web", State::Failed, format!("Forbidden: {long}"));
        template.decided = true;
        let mut root = Node::new(
            "component:shop/checkout",
            State::Waiting,
            format!("TemplateNotReady: template:platform/web is not ready: {long}"),
        );
        root.parts = vec![template];
        insta::assert_snapshot!(text(&root, now()), @r"
        … component:shop/checkout: TemplateNotReady: template:platform/web is not ready: (see below)
        └─ ✗ template:platform/web: Forbidden: (see below)
        ");
        root.parts.clear();
        root.text = "short".to_owned();
        assert_eq!(text(&root, now()), "… component:shop/checkout: short\n");
    }

    #[test]
    fn ages_read_as_kubectl_prints_them() {
        let of = |since: &str| age(since, now());
        assert_eq!(of("2026-11-22T12:00:00Z").as_deref(), Some("0s"));
        assert_eq!(of("2026-11-22T11:59:15Z").as_deref(), Some("45s"));
        assert_eq!(of("2026-11-22T11:40:15Z").as_deref(), Some("19m"));
        assert_eq!(of("2026-11-22T10:00:00Z").as_deref(), Some("2h"));
        assert_eq!(of("1970-01-01T00:00:00Z"), None, "nobody has written it yet");
        assert_eq!(of("2026-11-22T12:00:09Z"), None, "a clock that is ahead");
        assert_eq!(of("yesterday"), None);
    }

    proptest! {
        #[test]
        fn no_age_panics(seconds in -10_i64..10_000_000_000) {
            let since = Timestamp::from_second(now().as_second().saturating_sub(seconds)).map(|time| time.to_string());
            if let Ok(since) = since {
                let _ = age(&since, now());
            }
        }
    }
}
