//! `landfall why`: the tree from an entity to the deepest cause of its not being Ready, and what to do about it.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use self::look::Look;
use self::remedies::{Asked, next_look};
use self::tree::{Node, State};
use super::connection::{Connection, in_one_word, named};
use super::{Fault, Outcome, print, print_json};
use crate::api::reasons::Reason;

mod look;
mod objects;
mod remedies;
mod tree;
mod warnings;

/// Say why an entity is not Ready: everything it depends on down to the deepest cause, and what to do.
///
/// It reads as KUBECONFIG's user and changes nothing; what may not be read is said. Exit code 0 says that the entity
/// is Ready and nothing is wrong with what is seen of it, 2 that it is not Ready or that there is a warning.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The entity: kind/name or kind name, a ref such as component:shop/checkout, or a component's name.
    entity: String,
    /// The entity's name, where the first word is its kind.
    name: Option<String>,
    /// The namespace of what is named without one; without it, the context's.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// How the answer looks.
    #[arg(long, short, value_enum, default_value_t = Form::Text)]
    output: Form,
    #[command(flatten)]
    connection: Connection,
}

/// How the answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A tree for people.
    Text,
    /// One JSON object.
    Json,
}

/// The answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    ready: bool,
    /// Whether anything is not as it should be; of what is Ready, a warning.
    finding: bool,
    cause: &'a Node,
    remedy: Option<&'a str>,
    next_look: Option<&'static str>,
    tree: &'a Node,
}

/// What was found out about an entity.
struct Found {
    tree: Node,
    /// The reason that its condition Ready has.
    reason: Option<Reason>,
}

/// Looks, and prints the tree.
///
/// # Errors
/// When there is no way to the cluster, or the entity does not exist or may not be read.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(async {
        let connected = arguments.connection.open().await?;
        let entity = in_one_word(&arguments.entity, arguments.name.as_deref());
        let (kind, reference) = named(&entity, arguments.namespace.as_ref().unwrap_or(&connected.namespace))?;
        let look = Look::new(connected.client).await?;
        look.entity(kind, &reference).await
    })?;
    match arguments.output {
        Form::Text => print(&report(&found, Timestamp::now()))?,
        Form::Json => print_json(&answer(&found))?,
    }
    Ok(if found.tree.is_finding() {
        Outcome::Findings
    } else {
        Outcome::Done
    })
}

fn answer(found: &Found) -> Answer<'_> {
    let (ready, finding) = (found.tree.state == State::Good, found.tree.is_finding());
    Answer {
        ready,
        finding,
        cause: found.tree.deepest(),
        remedy: found.tree.remedy().filter(|_| finding),
        next_look: found.reason.filter(|_| !ready).map(next_look),
        tree: &found.tree,
    }
}

fn report(found: &Found, now: Timestamp) -> String {
    let mut text = tree::text(&found.tree, now);
    let answer = answer(found);
    if !answer.finding {
        return text;
    }
    let _ = writeln!(text);
    let cause = answer.cause;
    let says = if cause.text.is_empty() {
        "not as it should be"
    } else {
        &cause.text
    };
    let word = if answer.ready { "warning:" } else { "cause:" };
    let _ = writeln!(text, "{word:<10} {}: {says}", cause.what);
    if let Some(remedy) = answer.remedy {
        let _ = writeln!(text, "remedy:    {remedy}");
    }
    if let Some(next) = answer.next_look {
        let _ = writeln!(text, "next look: {next}");
    }
    text
}

/// The parts of commands that name an entity.
fn asked<'a>(resource: &'a str, namespace: &'a str, name: &'a str) -> Asked<'a> {
    Asked {
        resource,
        namespace,
        name,
    }
}
