//! `landfall template test`: runs the examples of Templates in files, without a cluster.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Form, Read, Sources, Wrong, read};
use crate::cli::plan::files::Finding;
use crate::cli::plan::picture::Picture;
use crate::cli::{Fault, Outcome, print, print_json};
use crate::controllers::template::checks::examples;
use crate::template::names::readable;

/// Run the examples (spec.examples) of Templates in files.
///
/// The operator runs the same examples when a Template changes, before the change reaches an instance. No cluster is asked: every
/// kind counts as served. Exit code 0 says that all hold, 1 that one does not or that something is wrong.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    sources: Sources,
}

/// The answer as JSON.
#[derive(Serialize)]
struct Answer {
    faults: Vec<Finding>,
    templates: Vec<Tested>,
}

/// One Template.
#[derive(Serialize)]
struct Tested {
    #[serde(rename = "ref")]
    reference: String,
    place: String,
    /// Why it does not compile.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    examples: Vec<Ran>,
}

/// One example.
#[derive(Serialize)]
struct Ran {
    name: String,
    holds: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mismatches: Vec<String>,
}

impl Tested {
    fn wrong(&self) -> usize {
        usize::from(self.fault.is_some()) + self.examples.iter().filter(|ran| !ran.holds).count()
    }
}

/// Runs them, and prints how each came out.
///
/// # Errors
/// When one does not hold, or something is wrong with the files.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    let mut picture = Picture::new(None, arguments.sources.policy.policy());
    let (templates, faults) = read(&arguments.sources, &mut picture)?;
    let templates: Vec<Tested> = templates.into_iter().map(|read| tested(read, &picture)).collect();
    let wrong = faults.len() + templates.iter().map(Tested::wrong).sum::<usize>();
    let answer = Answer { faults, templates };
    match arguments.sources.output {
        Form::Text => print(&text(&answer))?,
        Form::Json => print_json(&answer)?,
    }
    if wrong == 0 {
        Ok(Outcome::Done)
    } else {
        Err(Box::new(Wrong(format!("{wrong} failed: see above"))))
    }
}

fn tested(read: Read, picture: &Picture<'_>) -> Tested {
    let mut tested = Tested {
        reference: read.reference,
        place: read.place,
        fault: None,
        examples: Vec::new(),
    };
    match read.compiled {
        Ok(compiled) => {
            let verdicts = examples(picture, &read.document.key, &read.spec, compiled).run(&read.spec.examples);
            tested.examples = verdicts
                .into_iter()
                .map(|verdict| Ran {
                    holds: verdict.holds(),
                    name: verdict.name,
                    mismatches: verdict.mismatches,
                })
                .collect();
        }
        Err(trouble) => tested.fault = Some(format!("{}: {}", trouble.reason, trouble.message)),
    }
    tested
}

fn text(answer: &Answer) -> String {
    let mut text = String::new();
    for fault in &answer.faults {
        let _ = writeln!(text, "FAIL {}: {}", readable(&fault.place), readable(&fault.message));
    }
    for template in &answer.templates {
        let _ = writeln!(text, "{}  ({})", template.reference, readable(&template.place));
        if let Some(fault) = &template.fault {
            let _ = writeln!(text, "  FAIL {}", readable(fault));
        } else if template.examples.is_empty() {
            let _ = writeln!(text, "  it has no examples");
        }
        for ran in &template.examples {
            let _ = writeln!(
                text,
                "  {} {}",
                if ran.holds { "ok  " } else { "FAIL" },
                readable(&ran.name)
            );
            for mismatch in &ran.mismatches {
                let _ = writeln!(text, "       {}", readable(mismatch));
            }
        }
    }
    text
}
