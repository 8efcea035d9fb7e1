//! `landfall plan`: what files would change, by the operator's own code, and nothing written.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use self::cluster::Cluster;
use self::files::{Document, Files};
use self::instance::{Adoption, Planner};
use self::picture::Picture;
use self::reading::{CONCURRENCY, INSTANCES, Live};
use self::report::{Changes, EntityReport, Report};
use super::connection::Connection;
use super::policy::PolicyArguments;
use super::{Fault, Outcome, print, print_json};
use crate::controllers::instance::preview::{Action, shown};
use crate::controllers::wakes::{Key, OwnKind};
use crate::template::comparison::changes;
use crate::template::compile::Policy;
use crate::template::definition;

pub mod cluster;
pub mod files;
pub mod included;
pub mod instance;
mod markdown;
pub mod picture;
pub mod reading;
pub mod report;
pub mod text;
mod touched;

pub use self::cluster::told;

/// Say what files would change in the cluster if they were applied, and write nothing.
///
/// The operator's own code plans each instance of the files, and each that a changed Template of the files touches, and
/// compares that with what there is: with the rights of the template's account where KUBECONFIG's user may impersonate it, else with
/// the user's own. Where a namespace exists, the apiserver is asked by a dry run. What could not be checked is listed. Exit code 0
/// says that there is nothing to do, 2 that there are changes, 1 that something is wrong.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files; folders, of which all YAML and JSON counts; - for standard input. May be given several times.
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", required = true)]
    filename: Vec<PathBuf>,
    /// Ask no cluster: plan with the Templates of the files alone, as if nothing existed.
    #[arg(long)]
    offline: bool,
    /// The namespace of what names none; without it, the context's.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// How the answer looks.
    #[arg(long, short, value_enum, default_value_t = Form::Text)]
    output: Form,
    /// Show what would be made as a whole, and everything however much it is.
    #[arg(long)]
    full: bool,
    /// How long the cluster may take for one answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Of the instances that are touched by what the files change and are not in the files themselves, plan at most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    instances: usize,
    #[command(flatten)]
    policy: PolicyArguments,
    #[command(flatten)]
    connection: Connection,
}

/// How the answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// One JSON object.
    Json,
    /// For the comment of a pull request.
    Markdown,
}

/// Something is wrong with the files, or would be refused; what, was said.
#[derive(Debug, thiserror::Error)]
#[error("{count} {}: see above", report::counted(*.count, "thing is wrong", "things are wrong"))]
struct Wrong {
    count: usize,
}

/// Plans, and prints what would change.
///
/// # Errors
/// When something is wrong, with the cluster or with the files; of the files, the rest is planned all the same.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = runtime.block_on(plan(arguments))?;
    match arguments.output {
        Form::Text => print(&text::report(&report, arguments.full))?,
        Form::Json => {
            // Whoever reads nothing else is to know that not all was looked at.
            report.unchecked = text::unchecked_lines(&report.all_unchecked());
            print_json(&report)?;
        }
        Form::Markdown => print(&markdown::report(&report, arguments.full))?,
    }
    match report.summary.wrong() {
        0 if report.summary.has_changes() => Ok(Outcome::Findings),
        0 => Ok(Outcome::Done),
        count => Err(Box::new(Wrong { count })),
    }
}

async fn plan(arguments: &Arguments) -> Result<Report, Fault> {
    let mut namespace = arguments.namespace.clone();
    let cluster = if arguments.offline {
        None
    } else {
        let connected = arguments.connection.open().await?;
        namespace.get_or_insert_with(|| connected.namespace.clone());
        let patience = Duration::from_secs(arguments.timeout);
        let cluster = Cluster::new(connected.patient(patience)?).await;
        Some(cluster.map_err(|fault| format!("{fault}; --offline plans with the Templates of the files alone"))?)
    };
    let files = files::read(&arguments.filename, namespace.as_deref().unwrap_or("default"))?;
    let picture = Picture::new(cluster.as_ref(), arguments.policy.policy());
    let previewed = Previewed {
        cluster: cluster.as_ref(),
        picture,
        report: Report::of(&files),
        adoption: None,
    };
    Ok(previewed.run(&files, arguments.instances).await)
}

/// Plans the instances of `files` as if what is in their way and may be handed over were.
pub async fn as_if_handed_over(cluster: &Cluster, policy: Policy, files: &Files, adoption: &Adoption) -> Report {
    let previewed = Previewed {
        cluster: Some(cluster),
        picture: Picture::new(Some(cluster), policy),
        report: Report::of(files),
        adoption: Some(adoption),
    };
    previewed.run(files, 0).await
}

/// A preview in the making.
struct Previewed<'c> {
    cluster: Option<&'c Cluster>,
    picture: Picture<'c>,
    report: Report,
    adoption: Option<&'c Adoption>,
}

/// The entities of the files as they would be, by their keys.
type Reports = HashMap<Key, EntityReport>;

impl Previewed<'_> {
    async fn run(mut self, files: &Files, most: usize) -> Report {
        let live = match self.cluster {
            Some(cluster) => reading::live(cluster, &files.documents).await,
            None => Live::default(),
        };
        let mut reports = self.entities(files, &live).await;
        for document in files
            .documents
            .iter()
            .filter(|document| document.key.kind != OwnKind::Template)
        {
            let object = reading::overlaid(document, live.objects.get(&document.key));
            self.picture.put(&document.key, object);
        }
        let documents: Vec<&Document> = files.documents.iter().collect();
        for (_, document) in included::first(&documents) {
            let before = live.objects.get(&document.key);
            let object = reading::overlaid(document, before);
            if let Some(cluster) = self.cluster {
                included::read(cluster, &mut self.picture, &document.key, &object).await;
            }
            match reports.get_mut(&document.key) {
                Some(report) => self.template(document, object, before, report).await,
                None => self.picture.put(&document.key, object),
            }
        }
        let mut touched = match self.adoption {
            // Only what was asked for is taken over.
            Some(_) => Vec::new(),
            None => self.touched(files, &mut reports).await,
        };
        self.leave_out(&mut touched, most);
        let mut instances: Vec<Key> = touched.iter().map(|(key, _)| key.clone()).collect();
        instances.extend(files.documents.iter().map(|document| document.key.clone()));
        if let Some(cluster) = self.cluster {
            reading::named(cluster, &mut self.picture, &instances).await;
        }
        self.instances(files, reports, &touched).await;
        self.report.count();
        self.report
    }

    /// What would become of the entities of the files themselves.
    async fn entities(&self, files: &Files, live: &Live) -> Reports {
        let report = async |document: &Document| {
            let key = &document.key;
            let report = self.entity(document, live.objects.get(key), live.unread.get(key)).await;
            (key.clone(), report)
        };
        let reports = stream::iter(&files.documents).map(report).buffered(CONCURRENCY);
        reports.collect().await
    }

    /// Plans all instances, those first that make room for others.
    async fn instances(&mut self, files: &Files, mut reports: Reports, touched: &[(Key, String)]) {
        // What a System makes is there for the Components beside it.
        let mut to_come = HashSet::new();
        let records = OwnKind::ALL
            .into_iter()
            .filter(|kind| !INSTANCES.contains(kind) && *kind != OwnKind::Template);
        let order: Vec<OwnKind> = [OwnKind::Template]
            .into_iter()
            .chain(records)
            .chain(INSTANCES)
            .collect();
        for kind in order {
            for document in of_kind(files, kind) {
                let Some(mut report) = reports.remove(&document.key) else {
                    continue;
                };
                if INSTANCES.contains(&kind) && report.action != Action::Deny {
                    self.instance(&document.key, &mut report, &mut to_come).await;
                }
                self.report.entities.push(report);
            }
            for (key, cause) in touched.iter().filter(|(key, _)| key.kind == kind) {
                let mut report = EntityReport::of(key.to_string(), Action::Nothing);
                report.because = Some(cause.clone());
                self.instance(key, &mut report, &mut to_come).await;
                self.report.entities.push(report);
            }
        }
    }

    async fn instance(&mut self, key: &Key, report: &mut EntityReport, to_come: &mut HashSet<String>) {
        let planner = Planner {
            picture: &self.picture,
            cluster: self.cluster,
            to_come,
            adoption: self.adoption,
        };
        let namespaces = planner.instance(key, report).await;
        if key.kind == OwnKind::System {
            let made = report.objects.iter().filter(|object| object.action == Action::Create);
            let made = made.filter(|object| object.kind == "Namespace" && object.api_version == "v1");
            to_come.extend(made.map(|object| object.name.clone()));
            self.picture.make(key, &namespaces);
        }
    }

    /// Leaves out what is more than `most`, and says so.
    fn leave_out(&mut self, touched: &mut Vec<(Key, String)>, most: usize) {
        touched.sort();
        touched.dedup_by(|one, other| one.0 == other.0);
        if touched.len() > most {
            self.report.unchecked.push(format!(
                "{} more instances that the files touch; --instances {} plans them too",
                touched.len() - most,
                touched.len()
            ));
            touched.truncate(most);
        }
    }

    /// What would become of an entity of the files itself.
    async fn entity(
        &self,
        document: &Document,
        before: Option<&DynamicObject>,
        unread: Option<&String>,
    ) -> EntityReport {
        let mut report = EntityReport::of(document.key.to_string(), Action::Nothing);
        report.place = Some(document.place.clone()).filter(|place| !place.is_empty());
        if let Some(why) = unread {
            report
                .unchecked
                .push(format!("how the entities of the files are: {why}"));
            report.action = Action::Create;
            return report;
        }
        match before {
            None => report.action = Action::Create,
            Some(before) => {
                let after = reading::overlaid(document, Some(before));
                report.changes = Changes::of(changes(&kept(before), &kept(&after)));
                if !report.changes.is_empty() {
                    report.action = Action::Change;
                }
            }
        }
        if report.action != Action::Nothing
            && let Some(cluster) = self.cluster
        {
            match cluster.would_take(&document.key, &document.object).await {
                Ok(()) => {}
                Err((true, why)) => report
                    .unchecked
                    .push(format!("whether the apiserver takes the entities of the files: {why}")),
                Err((false, why)) => {
                    report.action = Action::Deny;
                    report.message = Some(format!("the apiserver does not take it: {why}"));
                }
            }
        }
        report
    }
}

fn of_kind(files: &Files, kind: OwnKind) -> impl Iterator<Item = &Document> {
    files.documents.iter().filter(move |document| document.key.kind == kind)
}

/// What of an entity a person writes, with the defaults of its definition.
fn kept(object: &DynamicObject) -> Value {
    let value = shown(&definition::with_defaults(&json!(object)));
    let metadata = value.get("metadata").cloned().unwrap_or_default();
    let of = |name: &str| metadata.get(name).cloned().unwrap_or_else(|| json!({}));
    json!({"metadata": {"labels": of("labels"), "annotations": of("annotations")}, "spec": value.get("spec")})
}
