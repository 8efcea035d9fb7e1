//! `landfall adopt`: shows what instances would take over of what exists, and hands it over to them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde::Serialize;
use serde_json::json;

use super::connection::{self, Connected, Connection};
use super::plan::cluster::{Cluster, told};
use super::plan::files::{self, Files};
use super::plan::instance::Adoption;
use super::plan::reading::{CONCURRENCY, INSTANCES};
use super::plan::report::{EntityReport, ObjectReport, Report, counted};
use super::plan::{self, text};
use super::policy::PolicyArguments;
use super::{Fault, Form, Outcome, kinds, marked, print, print_json};
use crate::api::marks;
use crate::controllers::children::resource;
use crate::controllers::instance::preview::Action;
use crate::controllers::wakes::Key;
use crate::template::kinds::Kinds as _;
use crate::template::names::count;

/// Show what instances would take over of what exists, and hand it over to them with --apply.
///
/// An object that was there before an instance wants it is in its way, and is not touched until it bears the annotation
/// landfall.dev/adopt-by with the instance's ref. Without --apply nothing is written: the operator's own code plans each instance, and
/// shows field by field what would become of each such object. With --apply each is annotated, with the rights of KUBECONFIG's user, and
/// the instances are asked to look. What another instance owns, or is marked for another one, is refused. Exit code 0 says that there
/// is nothing to hand over, or that all was; 2 that there is something; 1 that something is wrong.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a word of the command line.
pub struct Arguments {
    /// The instances: kind/name or kind and names as kubectl takes them, refs such as component:NAMESPACE/NAME, or bare names of
    /// components.
    #[arg(value_name = "ENTITY", required_unless_present_any = ["filename", "selector", "all"])]
    entities: Vec<String>,
    /// The instances in files, which need not be applied yet: files; folders, of which all YAML and JSON counts; - for standard input.
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", conflicts_with_all = ["entities", "selector", "all"])]
    filename: Vec<PathBuf>,
    /// All instances with these labels, as kubectl has them.
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "entities")]
    selector: Option<String>,
    /// All instances of the namespace.
    #[arg(long, conflicts_with = "entities")]
    all: bool,
    /// With --all or --selector: in every namespace.
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "entities", "filename"])]
    all_namespaces: bool,
    /// The namespace of what names none; without it, the context's.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// Hand over what is shown.
    #[arg(long, visible_alias = "yes")]
    apply: bool,
    /// How the answer looks.
    #[arg(long, short, value_enum, default_value_t = Form::Text)]
    output: Form,
    /// Show everything however much it is.
    #[arg(long)]
    full: bool,
    /// How long the cluster may take for one answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    #[command(flatten)]
    policy: PolicyArguments,
    #[command(flatten)]
    connection: Connection,
}

/// Something cannot be handed over; what, was said.
#[derive(Debug, thiserror::Error)]
#[error("{count} {}: see above", counted(*.count, "thing is wrong", "things are wrong"))]
struct Wrong {
    count: usize,
}

/// The field manager of the mark.
const MANAGER: &str = "landfall-adopt";

/// How many objects come out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    /// Instances that were looked at.
    instances: usize,
    /// Objects that would be taken over if they were handed over.
    to_hand_over: usize,
    /// Objects that are handed over, and will be taken over.
    handed_over: usize,
    /// Objects and instances that are refused, or that cannot be planned.
    refused: usize,
    /// Objects that wait for others, so that nothing can be said of them yet.
    waiting: usize,
    /// What is wrong with the files.
    faults: usize,
}

/// The whole answer, as JSON has it.
#[derive(Debug, Serialize)]
struct Answer<'r> {
    summary: Summary,
    faults: &'r [files::Finding],
    entities: &'r [EntityReport],
    unchecked: &'r [String],
}

/// Plans, prints what would be taken over, and hands it over where that is asked for.
///
/// # Errors
/// When something is wrong with the cluster or the files, or something is refused; the rest is done all the same.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(adopt(arguments))?;
    let summary = Summary::of(&report);
    match arguments.output {
        Form::Text => print(&format!("{}{}\n", text::body(&report, arguments.full), summary.line()))?,
        Form::Json => {
            let answer = Answer {
                summary,
                faults: &report.faults,
                entities: &report.entities,
                unchecked: &report.unchecked,
            };
            print_json(&answer)?;
        }
    }
    match summary.refused + summary.faults {
        0 if summary.to_hand_over + summary.waiting > 0 => Ok(Outcome::Findings),
        0 => Ok(Outcome::Done),
        count => Err(Box::new(Wrong { count })),
    }
}

async fn adopt(arguments: &Arguments) -> Result<Report, Fault> {
    let connected = arguments.connection.open().await?;
    let connected = connected.patient(Duration::from_secs(arguments.timeout))?;
    let cluster = Cluster::new(connected.clone()).await?;
    let files = instances(arguments, &connected, &cluster).await?;
    let living = marked::instances(&connected.client).await;
    let adoption = Adoption {
        living: living
            .ok()
            .map(|living| living.into_keys().collect::<HashSet<String>>()),
    };
    let mut report = plan::as_if_handed_over(&cluster, arguments.policy.policy(), &files, &adoption).await;
    only_what_exists(&mut report);
    if arguments.apply {
        for (entity, key) in keyed(&mut report, &files) {
            hand_over(&connected.client, &cluster, entity, &key).await;
        }
    }
    Ok(report)
}

/// The instances that were asked for, and what is beside them in the files.
async fn instances(arguments: &Arguments, connected: &Connected, cluster: &Cluster) -> Result<Files, Fault> {
    let namespace = arguments.namespace.as_deref().unwrap_or(&connected.namespace);
    if !arguments.filename.is_empty() {
        return files::read(&arguments.filename, namespace);
    }
    let mut found = Files::default();
    for word in in_words(&arguments.entities) {
        let (kind, reference) = connection::named(&word, namespace)?;
        let kind = INSTANCES
            .into_iter()
            .find(|own| own.kind() == kind.kind)
            .ok_or_else(|| {
                format!(
                    "{reference} owns nothing: expected one of {}",
                    marked::INSTANCES.join(", ")
                )
            })?;
        let key = Key {
            kind,
            namespace: reference.namespace.clone(),
            name: reference.name.clone(),
        };
        let object = cluster.entity(&key).await;
        let object = object.map_err(|why| format!("{reference} cannot be read: {why}"))?;
        let object = object
            .ok_or_else(|| format!("{reference} does not exist; name its file with -f, if it is yet to be applied"))?;
        found.add(key, object);
    }
    if arguments.all || arguments.selector.is_some() {
        let within = (!arguments.all_namespaces).then_some(namespace);
        let selector = arguments.selector.as_deref().unwrap_or_default();
        for kind in INSTANCES {
            let listed = cluster.selected(kind, within, selector).await;
            let listed = listed.map_err(|why| format!("{} cannot be listed: {why}", kind.full_name()))?;
            for object in listed {
                found.add(Key::of(kind, &object), object);
            }
        }
    }
    Ok(found)
}

/// What a person names, each in one word: `component orders payments` is `component/orders` and `component/payments`.
fn in_words(words: &[String]) -> Vec<String> {
    match words {
        [kind, names @ ..]
            if !names.is_empty()
                && kinds::find(kind).is_some()
                && words.iter().all(|word| !word.contains(['/', ':'])) =>
        {
            names.iter().map(|name| format!("{kind}/{name}")).collect()
        }
        words => words.to_vec(),
    }
}

/// Leaves of a plan what is about objects that exist and are not the instances' own, and what keeps an instance from being planned.
fn only_what_exists(report: &mut Report) {
    for entity in &mut report.entities {
        entity.changes = plan::report::Changes::default();
        if !matches!(entity.action, Action::Deny | Action::Wait) {
            entity.action = Action::Nothing;
        }
        entity
            .objects
            .retain(|object| matches!(object.action, Action::Adopt | Action::Deny | Action::Wait));
        for object in &mut entity.objects {
            if object.action == Action::Adopt && object.to_hand_over.is_none() {
                object.message = Some("is handed over already".to_owned());
            }
        }
    }
}

/// The instances of a report, with what names each.
fn keyed<'r>(report: &'r mut Report, files: &Files) -> Vec<(&'r mut EntityReport, Key)> {
    let of = |entity: &EntityReport| {
        let mut keys = files.documents.iter().map(|document| &document.key);
        keys.find(|key| key.to_string() == entity.reference).cloned()
    };
    let entities = report.entities.iter_mut();
    entities
        .filter_map(|entity| {
            let key = of(entity).filter(|key| INSTANCES.contains(&key.kind))?;
            Some((entity, key))
        })
        .collect()
}

/// Hands over what an instance would take over, and asks it to look.
async fn hand_over(client: &Client, cluster: &Cluster, entity: &mut EntityReport, key: &Key) {
    let reference = entity.reference.clone();
    let marking = entity
        .objects
        .iter_mut()
        .filter(|object| object.to_hand_over.is_some())
        .map(|object| mark(client, cluster, object, &reference));
    let marked: Vec<bool> = stream::iter(marking).buffer_unordered(CONCURRENCY).collect().await;
    if !marked.contains(&true) {
        return;
    }
    // Without it, it looks within five minutes. One that is yet to be applied looks then.
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &key.namespace, &key.kind.resource());
    let look = json!({"metadata": {"annotations": {marks::RECONCILE: format!("adopt-{}", jiff::Timestamp::now())}}});
    let asked = api.patch_metadata(&key.name, &parameters(), &Patch::Merge(&look)).await;
    match asked {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => entity.unchecked.push(format!(
            "{reference} was not asked to look, and takes over what it was handed within five minutes: {}",
            told(&error)
        )),
        Ok(_) => {}
    }
}

fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Marks one object for the instance. False where that was refused.
async fn mark(client: &Client, cluster: &Cluster, object: &mut ObjectReport, reference: &str) -> bool {
    let Some(kind) = cluster.kinds.kind(&object.api_version, &object.kind) else {
        return false;
    };
    let client = client.clone();
    let api: Api<DynamicObject> = match &object.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource(&kind)),
        None => Api::all_with(client, &resource(&kind)),
    };
    let mark = json!({"metadata": {
        // It is the one that was shown, or none.
        "uid": object.to_hand_over.take(),
        "annotations": {marks::ADOPT_BY: reference},
    }});
    match api
        .patch_metadata(&object.name, &parameters(), &Patch::Merge(&mark))
        .await
    {
        Ok(_) => {
            object.message = Some("handed over".to_owned());
            true
        }
        Err(error) => {
            object.action = Action::Deny;
            object.message = Some(format!("cannot be handed over: {}", told(&error)));
            false
        }
    }
}

impl Summary {
    fn of(report: &Report) -> Self {
        let mut summary = Self {
            faults: report.faults.len(),
            ..Self::default()
        };
        let is_instance = |entity: &&EntityReport| {
            INSTANCES
                .iter()
                .any(|kind| entity.reference.starts_with(&format!("{}:", kind.word())))
        };
        summary.instances = report.entities.iter().filter(is_instance).count();
        for entity in &report.entities {
            // One that is being deleted, or was let go, wants nothing; it has no reason for that.
            let wants = entity.action == Action::Deny || (entity.action == Action::Wait && entity.reason.is_some());
            summary.refused += usize::from(wants);
            for object in &entity.objects {
                *match (object.action, &object.to_hand_over) {
                    (Action::Adopt, Some(_)) => &mut summary.to_hand_over,
                    (Action::Adopt, None) => &mut summary.handed_over,
                    (Action::Wait, _) => &mut summary.waiting,
                    _ => &mut summary.refused,
                } += 1;
            }
        }
        summary
    }

    /// What it comes to, and what to do.
    fn line(&self) -> String {
        let mut parts = Vec::new();
        if self.to_hand_over > 0 {
            parts.push(format!(
                "{} would be taken over; hand over what is shown: the same again with --apply",
                count(self.to_hand_over, "object")
            ));
        }
        if self.handed_over > 0 {
            let are = counted(self.handed_over, "is", "are");
            parts.push(format!("{} {are} handed over", count(self.handed_over, "object")));
        }
        if self.waiting > 0 {
            parts.push(format!(
                "{} cannot be looked at before what comes first is there; run the same again then",
                count(self.waiting, "object")
            ));
        }
        if self.refused + self.faults > 0 {
            parts.push(format!("{} refused", self.refused + self.faults));
        }
        if parts.is_empty() {
            parts.push(format!(
                "nothing that exists is in the way of {}",
                count(self.instances, "instance")
            ));
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_named_as_kubectl_takes_them() {
        let words = |line: &str| in_words(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(
            words("component orders payments"),
            ["component/orders", "component/payments"]
        );
        assert_eq!(
            words("component/orders system/shop"),
            ["component/orders", "system/shop"]
        );
        assert_eq!(words("orders"), ["orders"]);
        assert_eq!(words("orders payments"), ["orders", "payments"]);
    }

    #[test]
    fn what_it_comes_to_is_told_with_what_to_do() {
        let summary = Summary {
            instances: 3,
            ..Summary::default()
        };
        assert_eq!(summary.line(), "nothing that exists is in the way of 3 instances");
        let more = Summary {
            to_hand_over: 2,
            handed_over: 1,
            refused: 1,
            ..summary
        };
        assert_eq!(
            more.line(),
            "2 objects would be taken over; hand over what is shown: the same again with --apply; 1 object is handed over; 1 refused"
        );
    }
}
