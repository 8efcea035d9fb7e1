//! `landfall template`: what a template's author asks before the template goes live.

use std::path::PathBuf;

use kube::ResourceExt as _;
use serde_json::Value;

use super::plan::files::{self, Document, Finding};
use super::plan::included;
use super::plan::picture::Picture;
use super::policy::PolicyArguments;
use super::{Fault, Form, Outcome};
use crate::api::reasons::Reason;
use crate::api::template::TemplateSpec;
use crate::controllers::template::checks::check;
use crate::controllers::template::includes;
use crate::controllers::template::revisions::Held;
use crate::controllers::trouble::Trouble;
use crate::template::compile::Compiled;
use crate::template::content::version;

mod access;
mod lint;
mod test;

/// Test a template by its examples, and look for what compiles and should not be.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Lint(lint::Arguments),
    Test(test::Arguments),
}

/// The files of a subcommand.
#[derive(Debug, clap::Args)]
struct Sources {
    /// Files with Templates; folders, of which all YAML and JSON counts; - for standard input.
    #[arg(value_name = "FILE|DIR|-", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    policy: PolicyArguments,
    /// How the answer looks.
    #[arg(long, short, value_enum, default_value_t = Form::Text)]
    output: Form,
}

/// A Template of a file.
struct Read {
    /// Where it stands.
    place: String,
    /// Its ref.
    reference: String,
    document: Document,
    spec: TemplateSpec,
    /// What it compiled to, or what is wrong with it.
    compiled: Result<Compiled, Trouble>,
}

/// Something is wrong; what, was said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Wrong(String);

/// Does what is asked for.
///
/// # Errors
/// When something is wrong with the files, or an example does not hold.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    match &arguments.command {
        Command::Lint(arguments) => lint::run(arguments),
        Command::Test(arguments) => test::run(arguments),
    }
}

/// Reads the Templates of files and compiles them, without a cluster. Also what is wrong with the files.
///
/// # Errors
/// When a file is not there, or there is no Template in any.
fn read(sources: &Sources, picture: &mut Picture<'_>) -> Result<(Vec<Read>, Vec<Finding>), Fault> {
    let files = files::read(&sources.files, "default")?;
    let documents: Vec<&Document> = files.documents.iter().collect();
    let mut templates = Vec::new();
    for (place, document) in included::first(&documents) {
        templates.push((place, compiled(document.clone(), picture)?));
    }
    templates.sort_by_key(|(place, _)| *place);
    let templates: Vec<Read> = templates.into_iter().map(|(_, read)| read).collect();
    if templates.is_empty() && files.faults.is_empty() {
        return Err("there is no Template in these files".into());
    }
    Ok((templates, files.faults))
}

fn compiled(document: Document, picture: &mut Picture<'_>) -> Result<Read, Fault> {
    let spec = document.object.data.get("spec").cloned().unwrap_or(Value::Null);
    let spec: TemplateSpec = serde_json::from_value(spec)?;
    let compiled = includes::content(picture, &document.key, &spec)
        .map_err(|trouble| match trouble.reason {
            Reason::IncludeNotFound => Trouble {
                message: format!("{}; give its file as well, since no cluster is asked", trouble.message),
                ..trouble
            },
            _ => trouble,
        })
        .and_then(|content| {
            let version = version(spec.version.as_deref(), &content.digest());
            check(picture, &content, &version)
        });
    let held = compiled.as_ref().map_err(Clone::clone).map(|compiled| Held {
        template: document.key.name.clone(),
        version: compiled.version.clone(),
        digest: compiled.digest.clone(),
        content: compiled.content.clone(),
    });
    picture.put_revisions(&document.key, held.iter().cloned().collect());
    picture.take_template(&document.key, document.object.clone(), &held);
    Ok(Read {
        place: document.place.clone(),
        reference: format!(
            "template:{}/{}",
            document.object.namespace().unwrap_or_default(),
            document.object.name_any()
        ),
        compiled,
        document,
        spec,
    })
}
