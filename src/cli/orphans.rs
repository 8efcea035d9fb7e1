//! `landfall orphans`: lists what bears the marks of instances that do not exist any more.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::connection::Connection;
use super::{Fault, Outcome, marked, print, printable};
use crate::api::marks;
use crate::template::names::count;

/// List the objects that bear the marks of instances that do not exist any more.
///
/// Such objects are left behind where an instance's finalizer was taken off by hand, or its inventory was lost. Nothing is changed. It
/// is asked as KUBECONFIG's user; kinds that the user may not list are named. Exit code 2 says that there are some.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Look in this namespace only; without it, everywhere.
    #[arg(long, short)]
    namespace: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// An object without its instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Orphan {
    namespace: String,
    kind: String,
    name: String,
    /// The instance that it says it belongs to.
    instance: String,
    /// Whether others have made it.
    patched: bool,
}

/// Looks, and prints what it finds.
///
/// # Errors
/// When there is no way to the cluster, or the user may not list instances.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (orphans, unseen) = runtime.block_on(find(&arguments.connection, arguments.namespace.as_deref()))?;
    if !unseen.is_empty() {
        let kinds: Vec<String> = unseen.into_iter().collect();
        let _ = writeln!(io::stderr(), "not looked at: {}", kinds.join(", "));
    }
    if orphans.is_empty() {
        print("nothing bears the marks of an instance that does not exist\n")?;
        return Ok(Outcome::Done);
    }
    print(&table(&orphans))?;
    Ok(Outcome::Findings)
}

async fn find(connection: &Connection, namespace: Option<&str>) -> Result<(Vec<Orphan>, BTreeSet<String>), Fault> {
    let client = connection.open().await?.client;
    let look = marked::look(&client, namespace).await?;
    // Last: an instance that came meanwhile has its objects, and one that went has lost them.
    let instances = marked::instances(&client).await?;
    let left = look
        .marked
        .into_iter()
        .filter(|object| !instances.contains_key(&object.instance_uid));
    let mut orphans: Vec<Orphan> = left
        .map(|object| Orphan {
            namespace: object.namespace,
            kind: object.kind.kind,
            name: object.name,
            instance: object.instance,
            patched: object.patched,
        })
        .collect();
    orphans.sort();
    Ok((orphans, look.unseen))
}

fn table(orphans: &[Orphan]) -> String {
    let of: Vec<String> = orphans.iter().map(Orphan::of).collect();
    let rows: Vec<[&str; 4]> = orphans
        .iter()
        .zip(&of)
        .map(|(orphan, of)| {
            [
                orphan.namespace.as_str(),
                orphan.kind.as_str(),
                orphan.name.as_str(),
                of.as_str(),
            ]
        })
        .collect();
    let heads = ["NAMESPACE", "KIND", "NAME", "OF"];
    let width = |column: usize| {
        let cells = rows.iter().chain([&heads]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let (first, second, third) = (width(0), width(1), width(2));
    let mut text = String::new();
    for [namespace, kind, name, instance] in [heads].iter().chain(&rows) {
        let line = format!("{namespace:first$}  {kind:second$}  {name:third$}  {instance}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(
        text,
        "\n{} of instances that do not exist. Delete what is not needed; to give an object to an instance, annotate it with {}=component:NAMESPACE/NAME, or let landfall adopt do so for all that an instance wants.",
        count(orphans.len(), "object"),
        marks::ADOPT_BY
    );
    if orphans.iter().any(|orphan| orphan.patched) {
        let _ = writeln!(
            text,
            "What was patched was made by others and is in use: do not delete it. landfall release --all takes the marks off it."
        );
    }
    text
}

impl Orphan {
    /// Whose it says it is, and how.
    fn of(&self) -> String {
        if self.patched {
            format!("{} (patched)", printable(&self.instance))
        } else {
            printable(&self.instance)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orphans_are_told_in_columns() {
        let orphan = |namespace: &str, kind: &str, name: &str| Orphan {
            namespace: namespace.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            instance: "component:shop/orders".to_owned(),
            patched: kind == "ServiceAccount",
        };
        let text = table(&[
            orphan("", "Namespace", "shop-orders-dev"),
            orphan("shop", "ConfigMap", "settings"),
            orphan("shop", "ServiceAccount", "default"),
        ]);
        insta::assert_snapshot!(text, @"
        NAMESPACE  KIND            NAME             OF
                   Namespace       shop-orders-dev  component:shop/orders
        shop       ConfigMap       settings         component:shop/orders
        shop       ServiceAccount  default          component:shop/orders (patched)

        3 objects of instances that do not exist. Delete what is not needed; to give an object to an instance, annotate it with landfall.dev/adopt-by=component:NAMESPACE/NAME, or let landfall adopt do so for all that an instance wants.
        What was patched was made by others and is in use: do not delete it. landfall release --all takes the marks off it.
        ");
    }
}
