//! `landfall template lint`: what compiles and should not be.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Form, Read, Sources, Wrong, access, read};
use crate::cli::connection::Connection;
use crate::cli::plan::files;
use crate::cli::plan::picture::Picture;
use crate::cli::{Fault, Outcome, print, print_json};
use crate::controllers::surroundings::Surroundings as _;
use crate::template::lint::{Finding, Linted, Rule, repeated};
use crate::template::names::{listed, readable};

/// Look for what compiles and should not be, in the Templates of files.
///
/// Where a cluster can be asked, also for who else may use the account that a Template names. A rule is silenced by an annotation of
/// the Template, lint.landfall.dev/RULE, whose value says why. Exit code 0 says that nothing was found, 2 that something was,
/// 1 that something is wrong.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    sources: Sources,
    /// Ask no cluster.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    connection: Connection,
}

/// The answer as JSON.
#[derive(Default, Serialize)]
struct Answer {
    faults: Vec<files::Finding>,
    findings: Vec<Found>,
    silenced: Vec<Silenced>,
    unchecked: Vec<String>,
}

#[derive(Serialize)]
struct Found {
    template: String,
    place: String,
    rule: &'static str,
    path: String,
    message: String,
    remedy: String,
}

#[derive(Serialize)]
struct Silenced {
    #[serde(flatten)]
    finding: Found,
    reason: String,
}

/// Looks, and prints what was found.
///
/// # Errors
/// When something is wrong with the files.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    let mut picture = Picture::new(None, arguments.sources.policy.policy());
    let (templates, faults) = read(&arguments.sources, &mut picture)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut answer = Answer {
        faults,
        ..Answer::default()
    };
    let cluster = if arguments.offline {
        Err("--offline asks no cluster".to_owned())
    } else {
        runtime
            .block_on(arguments.connection.open())
            .map_err(|error| error.to_string())
    };
    let mut seen: Vec<(String, String)> = Vec::new();
    for template in &templates {
        let compiled = match &template.compiled {
            Ok(compiled) => compiled,
            Err(trouble) => {
                answer.faults.push(files::Finding {
                    place: template.place.clone(),
                    message: format!("{}: {}: {}", template.reference, trouble.reason, trouble.message),
                });
                continue;
            }
        };
        let annotations = template
            .document
            .object
            .metadata
            .annotations
            .clone()
            .unwrap_or_default();
        let linted = Linted {
            spec: &template.spec,
            compiled,
            annotations: &annotations,
            kinds: picture.kinds(),
        };
        let mut found = linted.findings();
        let beside = templates.iter().filter(|other| other.reference != template.reference);
        let beside = beside.map(|other| (other.reference.as_str(), &other.spec));
        found.extend(repeated(&template.spec, beside));
        if let Some(account) = &template.spec.service_account_name {
            let place = (template.document.key.namespace.clone(), account.clone());
            let beside = templates.iter().filter(|other| other.reference != template.reference);
            let beside = beside.filter(|other| {
                other.document.key.namespace == place.0 && other.spec.service_account_name.as_ref() == Some(account)
            });
            let mut others: Vec<String> = beside.map(|other| other.reference.clone()).collect();
            match &cluster {
                Ok(connected) => {
                    let asked = runtime.block_on(access::ask(&connected.client, &place.0, account));
                    others.extend(asked.templates.into_iter().filter(|other| *other != template.reference));
                    answer.unchecked.extend(asked.unchecked);
                    found.extend(people(account, &asked.people));
                }
                Err(why) if !seen.contains(&place) => {
                    answer
                        .unchecked
                        .push(format!("who else may use the account {}/{account}: {why}", place.0));
                }
                Err(_) => {}
            }
            others.sort();
            others.dedup();
            found.extend(shared(account, &others));
            seen.push(place);
        }
        let settled = linted.settle(found);
        answer
            .findings
            .extend(settled.found.into_iter().map(|finding| said(template, finding)));
        let silenced = settled.silenced.into_iter().map(|(finding, reason)| Silenced {
            finding: said(template, finding),
            reason,
        });
        answer.silenced.extend(silenced);
    }
    answer.unchecked.sort();
    answer.unchecked.dedup();
    match arguments.sources.output {
        Form::Text => print(&text(&answer))?,
        Form::Json => print_json(&answer)?,
    }
    match (answer.faults.len(), answer.findings.is_empty()) {
        (0, true) => Ok(Outcome::Done),
        (0, false) => Ok(Outcome::Findings),
        (faults, _) => Err(Box::new(Wrong(format!("{faults} cannot be looked at: see above")))),
    }
}

fn said(template: &Read, finding: Finding) -> Found {
    Found {
        template: template.reference.clone(),
        place: template.place.clone(),
        rule: finding.rule.word(),
        path: finding.path,
        message: finding.message,
        remedy: finding.remedy,
    }
}

fn shared(account: &str, others: &[String]) -> Option<Finding> {
    (!others.is_empty()).then(|| Finding {
        rule: Rule::SharedAccount,
        path: "spec.serviceAccountName".to_owned(),
        message: format!(
            "{account} is the account of {} too, so that each can do what the others need",
            listed(others.iter().map(String::as_str), 5)
        ),
        remedy: "give each template an account of its own, with the rights that it needs".to_owned(),
    })
}

fn people(account: &str, people: &[String]) -> Option<Finding> {
    (!people.is_empty()).then(|| Finding {
        rule: Rule::SharedAccount,
        path: "spec.serviceAccountName".to_owned(),
        message: format!(
            "others may act as {account}: {}",
            listed(people.iter().map(String::as_str), 5)
        ),
        remedy: "keep Templates and their accounts in a namespace where nobody but the platform team has these rights"
            .to_owned(),
    })
}

fn text(answer: &Answer) -> String {
    let mut text = String::new();
    for fault in &answer.faults {
        let _ = writeln!(text, "! {}: {}", readable(&fault.place), readable(&fault.message));
    }
    for found in &answer.findings {
        let _ = writeln!(
            text,
            "{}: {}, {}: {}; {}  [{}]",
            readable(&found.place),
            found.template,
            readable(&found.path),
            readable(&found.message),
            readable(&found.remedy),
            found.rule
        );
    }
    for silenced in &answer.silenced {
        let found = &silenced.finding;
        let _ = writeln!(
            text,
            "silenced: {}, {}  [{}]: {}",
            found.template,
            readable(&found.path),
            found.rule,
            readable(&silenced.reason)
        );
    }
    for unchecked in &answer.unchecked {
        let _ = writeln!(text, "unchecked: {}", readable(unchecked));
    }
    if answer.findings.is_empty() && answer.faults.is_empty() {
        let _ = writeln!(text, "nothing found");
    }
    text
}
