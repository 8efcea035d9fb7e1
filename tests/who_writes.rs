//! Who does what: goes through the audit logs of every control plane that the test targets before this one have
//! brought up, and fails when the operator has written anything of a template's as anybody but an account in a
//! namespace with Templates; when it has read or written as itself anything that its own role, as the chart renders
//! it, does not list; and when that role lists what nothing has used.
//!
//! Cargo runs test targets one after the other in the order of their names, so this one comes after all that have
//! control planes. It reads only the logs of processes that the same `cargo test` has started. Which account it is
//! for which template is shown by `tests/apiserver/accounts.rs`.

// In a test, they are how it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(dead_code, unreachable_pub, missing_docs)] // What is shared with tests/apiserver is used there.

#[path = "apiserver/support/entry.rs"]
mod entry;
#[path = "apiserver/support/role.rs"]
mod role;
#[path = "apiserver/support/runs.rs"]
mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use entry::{Entry, is_write};
use role::{Role, own_role, webhooks_role};

/// How the operator's user agent begins.
const OPERATOR: &str = "landfall/";
/// How the webhook's does, which has a role of its own and acts as nobody.
const WEBHOOK: &str = "landfall-webhook/";
/// What a role lists that lets the operator act as an account.
const ACTS: &str = "impersonate serviceaccounts";
/// How many requests a failure names at most.
const NAMED: usize = 20;
/// The kinds that can be instances: the same is asked about each of them.
const INSTANCES: [&str; 3] = ["components", "resources", "systems"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return;
    }
    let (role, webhooks) = (own_role(), webhooks_role());
    the_rule_tells_right_from_wrong(&role);
    let logs = logs();
    // `cargo test NAME` gives the name to every target, and may run no test that has a control plane. tests/node/run, which
    // asks for ignored tests too, runs those on a node alone, and they do not use every rule.
    let chosen = |argument: &String| !argument.starts_with('-') || argument == "--include-ignored";
    let chosen = arguments.iter().any(chosen);
    if logs.is_empty() {
        if chosen {
            return;
        }
        fail("there is no audit log of this run to go through: run this after the tests, with `cargo test`");
    }
    let mut sum = Sum::default();
    for log in &logs {
        sum.add(log, &role, &webhooks);
    }
    println!("\nwho writes: in {} control planes {sum}", logs.len());
    if !sum.breaches.is_empty() {
        fail(&sum.complaint());
    }
    let mut unused = sum.unused(&role);
    unused.extend(sum.unused_by_webhooks(&webhooks));
    if !unused.is_empty() {
        let text = format!("the operator's role lists what nothing of this run has used: {unused:#?}");
        if chosen {
            println!("{text}");
        } else {
            fail(&text);
        }
    }
    if !chosen && (sum.as_accounts == 0 || sum.as_itself == 0) {
        fail(&format!(
            "the logs show nothing of what the tests let the operator do: {logs:#?}"
        ));
    }
}

/// Ends the run; what is to be read is the text, and no backtrace.
fn fail(text: &str) -> ! {
    eprintln!("\nwho writes: FAILED: {text}");
    std::process::exit(1);
}

/// The audit logs of all control planes of this run.
fn logs() -> Vec<PathBuf> {
    let mut directories = runs::of_the_same_start();
    let mut logs = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name == "audit.log") {
                logs.push(path);
            } else if path.is_dir() && path.file_name().is_some_and(|name| name != "etcd") {
                directories.push(path);
            }
        }
    }
    logs.sort();
    logs
}

/// What the logs show.
#[derive(Default)]
struct Sum {
    as_accounts: usize,
    as_itself: usize,
    accounts: BTreeSet<String>,
    /// What the operator has done as itself, as a [`Role`] lists it.
    used: Role,
    /// What the webhook has done.
    used_by_webhooks: Role,
    breaches: BTreeMap<PathBuf, Vec<String>>,
}

impl Sum {
    fn add(&mut self, log: &Path, role: &Role, webhooks: &Role) {
        let (mut templates, mut asked) = (BTreeSet::new(), Vec::new());
        let mut lines = BufReader::new(File::open(log).unwrap())
            .lines()
            .map(Result::unwrap)
            .peekable();
        while let Some(line) = lines.next() {
            // The apiserver may have been killed while it wrote the last line.
            let whole = lines.peek().is_some() || line.ends_with('}');
            let told = [OPERATOR, WEBHOOK, "\"templates\""]
                .iter()
                .any(|word| line.contains(word));
            if !whole || !told {
                continue;
            }
            let entry = entry::read(&line);
            if entry.user_agent.starts_with(WEBHOOK) {
                self.add_webhook(log, &entry, webhooks);
            } else if entry.user_agent.starts_with(OPERATOR) {
                // What anybody may do who is known, such as asking which kinds there are, takes no rule.
                if !entry.resource.is_empty() {
                    asked.push(entry);
                }
            } else if is_write(&entry) && entry.resource == "templates.catalog.landfall.dev" && entry.code < 300 {
                templates.insert(entry.namespace);
            }
        }
        for entry in asked {
            self.used.insert(match entry.impersonated {
                Some(_) => ACTS.to_owned(),
                None => format!("{} {}", entry.verb, entry.resource),
            });
            match breach(&entry, role, &templates) {
                Some(why) => {
                    let breaches = self.breaches.entry(log.to_owned()).or_default();
                    breaches.push(format!("{entry}: {why}"));
                }
                None if !is_write(&entry) => {}
                None if entry.impersonated.is_some() => {
                    self.as_accounts += 1;
                    self.accounts.extend(entry.impersonated);
                }
                None => self.as_itself += 1,
            }
        }
    }

    /// A request of a webhook's, which asks and writes what its role lists, and as itself.
    fn add_webhook(&mut self, log: &Path, entry: &Entry, role: &Role) {
        if entry.resource.is_empty() {
            return;
        }
        let asked = format!("{} {}", entry.verb, entry.resource);
        if !role.contains(&asked) || entry.impersonated.is_some() {
            let breaches = self.breaches.entry(log.to_owned()).or_default();
            breaches.push(format!("{entry}: the webhook's role does not list `{asked}`"));
        }
        self.used_by_webhooks.insert(asked);
    }

    /// What a role lists and nobody has used.
    fn unused(&self, role: &Role) -> Vec<String> {
        role.difference(&self.used)
            .filter(|right| !self.used_for_its_like(right))
            .cloned()
            .collect()
    }

    /// What the webhook's role lists and it has not used. Our own kinds are listed by the events of a watch, and by a list where the
    /// apiserver is too old for that.
    fn unused_by_webhooks(&self, role: &Role) -> Vec<String> {
        let used = &self.used_by_webhooks;
        let listed = |right: &&String| used.contains(&right.replacen("list ", "watch ", 1));
        let unused = role.difference(used).filter(|right| !listed(right));
        unused.map(|right| format!("{right} (webhook)")).collect()
    }

    /// Whether another kind of instance has used such a right: some are needed only where two things happen at once.
    fn used_for_its_like(&self, right: &str) -> bool {
        INSTANCES.iter().any(|kind| {
            let mut others = INSTANCES.iter().filter(|other| *other != kind);
            right.contains(&format!(" {kind}."))
                && others.any(|other| {
                    self.used
                        .contains(&right.replace(&format!(" {kind}."), &format!(" {other}.")))
                })
        })
    }

    fn complaint(&self) -> String {
        let mut text = String::from("the operator has done what it must not, or as whom it must not:\n");
        for (log, breaches) in &self.breaches {
            writeln!(text, "{}: {} requests", log.display(), breaches.len()).unwrap();
            for breach in breaches.iter().take(NAMED) {
                writeln!(text, "  {breach}").unwrap();
            }
        }
        text
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the operator has written {} times as {} accounts of templates and {} times what its own role lists",
            self.as_accounts,
            self.accounts.len(),
            self.as_itself
        )
    }
}

/// What is wrong with a request of the operator's, if anything is. `templates` are the namespaces with Templates.
fn breach(entry: &Entry, role: &Role, templates: &BTreeSet<String>) -> Option<String> {
    let asked = format!("{} {}", entry.verb, entry.resource);
    let Some(user) = &entry.impersonated else {
        // Refused before it was anybody's: an account that the operator may not impersonate, and nothing was written.
        let not_granted = entry.code == 403 && entry.decision.is_empty();
        let right = not_granted || role.contains(&asked);
        return (!right).then(|| format!("as the operator itself, whose role does not list `{asked}`"));
    };
    let account = user
        .strip_prefix("system:serviceaccount:")
        .and_then(|user| user.split_once(':'));
    match account {
        None => Some(format!("{user} is no service account")),
        // What an account may read is for whoever gives it rights.
        Some(_) if !is_write(entry) => None,
        Some((namespace, _)) if !templates.contains(namespace) => {
            Some(format!("{user} is of a namespace in which there is no Template"))
        }
        Some(_) => None,
    }
}

/// A rule that finds nothing could be one that cannot.
fn the_rule_tells_right_from_wrong(role: &Role) {
    let templates = BTreeSet::from(["platform".to_owned()]);
    let entry = |verb: &str, resource: &str, impersonated: Option<&str>| Entry {
        user_agent: "landfall/0".to_owned(),
        user: "admin".to_owned(),
        impersonated: impersonated.map(str::to_owned),
        verb: verb.to_owned(),
        uri: String::new(),
        resource: resource.to_owned(),
        namespace: "shop".to_owned(),
        name: "orders".to_owned(),
        code: 200,
        decision: "allow".to_owned(),
    };
    let account = Some("system:serviceaccount:platform:golden-path");
    for right in [
        entry("patch", "configmaps", account),
        entry("delete", "namespaces", account),
        entry("update", "components.catalog.landfall.dev/status", None),
        entry("create", "events.events.k8s.io", None),
        entry("watch", "namespaces", None),
        entry("list", "secrets", account),
        Entry {
            code: 403,
            decision: String::new(),
            ..entry("list", "persistentvolumeclaims", None)
        },
    ] {
        assert_eq!(breach(&right, role, &templates), None, "{right}");
    }
    for wrong in [
        entry("patch", "configmaps", None),
        entry("delete", "components.catalog.landfall.dev", None),
        entry("update", "controllerrevisions.apps", None),
        entry("list", "configmaps", None),
        entry("patch", "configmaps", Some("system:serviceaccount:shop:default")),
        entry("patch", "configmaps", Some("system:admin")),
        Entry {
            code: 403,
            decision: "forbid".to_owned(),
            ..entry("list", "persistentvolumeclaims", None)
        },
    ] {
        assert!(breach(&wrong, role, &templates).is_some(), "{wrong}");
    }
    let mut sum = Sum::default();
    assert_eq!(sum.unused(role).len(), role.len());
    sum.used.insert("get components.catalog.landfall.dev".to_owned());
    let unused = sum.unused(role);
    assert!(!unused.contains(&"get systems.catalog.landfall.dev".to_owned()));
    assert!(unused.contains(&"list systems.catalog.landfall.dev".to_owned()));
}
