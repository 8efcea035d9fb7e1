//! `landfall release`: lets go of what instances own, and deletes nothing.
//!
//! It does not matter who does the work. An annotation on the instance asks a running operator to let go, and keeps any operator
//! from beginning anew; what none has done after a while is done here, as the user. Each step can be done again, so that one
//! that was interrupted is resumed by the same command.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use futures::StreamExt as _;
use kube::ResourceExt as _;

use self::instance::{Cluster, Instance};
use self::objects::Became;
use super::connection::{self, Connection};
use super::{Fault, Outcome, marked, print};
use crate::api::marks;
use crate::catalog::refs::EntityRef;
use crate::template::names::count;

mod instance;
mod objects;

/// How many instances are looked at at the same time.
const CONCURRENCY: usize = 8;

/// Let go of what instances own: their objects stay, without Landfall's marks, and nothing is deleted.
///
/// An instance that was let go stays as a record in the catalog, without Landfall's finalizer, and is provisioned again when its
/// annotation landfall.dev/release is taken off. Where the operator runs, it does the work; where it is gone, this command does, as
/// KUBECONFIG's user. It can be interrupted and run again at any time. Exit code 2 says that something is not let go.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The instance: kind/name or kind name, a ref such as component:NAMESPACE/NAME, or the bare name of a component.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    entity: Option<String>,
    /// The instance's name, where the first word is its kind.
    #[arg(conflicts_with = "all")]
    name: Option<String>,
    /// All instances, and what bears the marks of instances that are gone.
    #[arg(long)]
    all: bool,
    /// The namespace of the entity; without it, that of the context. With --all, the instances of this namespace only.
    #[arg(long, short)]
    namespace: Option<String>,
    /// For how many seconds a running operator is left to do the work, counted from when it last got on with it. 0 where it is gone.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    wait: u16,
    #[command(flatten)]
    connection: Connection,
}

/// What became of one instance.
#[derive(Debug)]
struct Report {
    reference: EntityRef,
    uid: String,
    objects: Vec<(String, Became)>,
    /// Why it is not let go, if it is not.
    held: Option<String>,
    /// Whether it was being deleted.
    deleting: bool,
}

impl Report {
    fn text(&self) -> String {
        let said = match (&self.held, self.deleting) {
            (Some(why), _) => format!("NOT let go: {why}"),
            (None, true) => "let go; it was being deleted, and is gone".to_owned(),
            (None, false) => "let go".to_owned(),
        };
        let mut text = format!("{}: {said}\n", self.reference);
        for (object, became) in &self.objects {
            let _ = writeln!(text, "  {object}: {became}");
        }
        text
    }
}

/// Lets go, and prints what became of each object.
///
/// # Errors
/// When there is no way to the cluster, the entity does not exist, or instances may not be listed.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(release(arguments))
}

async fn release(arguments: &Arguments) -> Result<Outcome, Fault> {
    let connected = arguments.connection.open().await?;
    let cluster = Cluster::look(connected.client.clone()).await?;
    let instances = match &arguments.entity {
        Some(entity) => {
            let namespace = arguments.namespace.as_deref().unwrap_or(&connected.namespace);
            let entity = connection::in_one_word(entity, arguments.name.as_deref());
            let (kind, reference) = connection::named(&entity, namespace)?;
            vec![cluster.get(kind, reference).await?]
        }
        None => cluster.list(arguments.namespace.as_deref()).await?,
    };
    let mut instances: Vec<Instance> = instances.into_iter().filter(Instance::has_anything).collect();
    cluster.ask(&mut instances).await;
    let patience = Duration::from_secs(arguments.wait.into());
    cluster.wait(&instances, patience).await;
    let works = instances.iter().map(|instance| cluster.let_go(instance));
    let mut reports = futures::stream::iter(works).buffered(CONCURRENCY);
    let mut tally = Tally::default();
    while let Some(report) = reports.next().await {
        print(&report.text())?;
        tally.takes(&report);
    }
    if arguments.all && arguments.namespace.is_none() {
        sweep(&cluster, &mut tally).await?;
    }
    print(&tally.text())?;
    Ok(tally.outcome())
}

/// What has come of it all.
#[derive(Debug, Default)]
struct Tally {
    let_go: usize,
    kept: usize,
    /// The UIDs of instances that are not let go.
    held: HashSet<String>,
    /// How many objects beside theirs are not.
    beside: usize,
}

impl Tally {
    fn takes(&mut self, report: &Report) {
        self.kept += report
            .objects
            .iter()
            .filter(|(_, became)| *became == Became::Kept)
            .count();
        if report.held.is_some() {
            self.held.insert(report.uid.clone());
        } else {
            self.let_go += 1;
        }
    }

    fn outcome(&self) -> Outcome {
        if self.held.is_empty() && self.beside == 0 {
            Outcome::Done
        } else {
            Outcome::Findings
        }
    }

    fn text(&self) -> String {
        let done = format!(
            "{} let go, {} kept",
            count(self.let_go, "instance"),
            count(self.kept, "object")
        );
        match self.outcome() {
            Outcome::Done => format!("{done}\n"),
            Outcome::Findings => {
                format!("{done}; not all is let go: put right what is named above, and run the same again\n")
            }
        }
    }
}

/// Takes the marks off what no instance lists: what instances that are gone have left behind.
async fn sweep(cluster: &Cluster, tally: &mut Tally) -> Result<(), Fault> {
    let look = marked::look(&cluster.client, None).await?;
    // After the objects: those of an instance that came meanwhile are told from those of one that is gone.
    let instances = marked::instances(&cluster.client).await?;
    if !look.unseen.is_empty() {
        let kinds: Vec<String> = look.unseen.into_iter().collect();
        let _ = writeln!(io::stderr(), "not looked at: {}", kinds.join(", "));
    }
    let mut unasked = BTreeSet::new();
    for object in look.marked {
        let owner = instances.get(&object.instance_uid);
        if owner.is_some_and(|owner| !marks::says_release(owner.annotations())) {
            unasked.insert(object.instance);
            continue;
        }
        if tally.held.contains(&object.instance_uid) {
            continue;
        }
        let label = objects::label(&object.kind.kind, &object.namespace, &object.name);
        let became = objects::unmark(&cluster.client, &object).await;
        print(&format!("{label}, left behind by {}: {became}\n", object.instance))?;
        tally.kept += usize::from(became == Became::Kept);
        tally.beside += usize::from(matches!(became, Became::Held(_)));
    }
    for instance in unasked {
        tally.beside += 1;
        print(&format!("{instance}: NOT let go: it was made meanwhile\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_each_object_is_told_and_what_is_not_let_go_is_a_finding() {
        let objects = vec![
            ("Namespace shop-orders".to_owned(), Became::Kept),
            (
                "ConfigMap shop-orders/settings".to_owned(),
                Became::Gone("there is none".to_owned()),
            ),
        ];
        let reference = EntityRef::new("component", "shop", "orders");
        let mut report = Report {
            reference,
            uid: "one".to_owned(),
            objects,
            held: None,
            deleting: false,
        };
        let mut tally = Tally::default();
        tally.takes(&report);
        assert_eq!(tally.outcome(), Outcome::Done);
        report.uid = "two".to_owned();
        report.held = Some("you may not patch it".to_owned());
        tally.takes(&report);
        assert_eq!(tally.outcome(), Outcome::Findings);
        insta::assert_snapshot!(format!("{}{}", report.text(), tally.text()), @"
        component:shop/orders: NOT let go: you may not patch it
          Namespace shop-orders: kept
          ConfigMap shop-orders/settings: was gone, there is none
        1 instance let go, 2 objects kept; not all is let go: put right what is named above, and run the same again
        ");
    }
}
