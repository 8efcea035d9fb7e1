//! The subcommands of `landfall`, one file each.
//!
//! A new one is a file with `Arguments` (a clap derive) and `run`, and a line in [`Command`] and in
//! [`Command::run`].

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::runtime::causes;

pub mod adopt;
pub mod connection;
pub mod controller;
pub mod crds;
pub mod export;
mod former;
pub mod import;
mod kinds;
pub mod marked;
pub mod orphans;
pub mod plan;
mod policy;
pub mod release;
pub mod rollout;
mod signals;
pub mod template;
pub mod webhook;
pub mod why;

/// Why a subcommand could not do its work.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// How a subcommand ended that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is nothing more to say: exit code 0.
    Done,
    /// There are changes or findings: exit code 2.
    Findings,
}

/// The software catalog and the golden path of an internal developer platform, as a Kubernetes operator.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Adopt(Box<adopt::Arguments>),
    Controller(Box<controller::Arguments>),
    Crds(crds::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
    Orphans(orphans::Arguments),
    Plan(Box<plan::Arguments>),
    Release(release::Arguments),
    Rollout(rollout::Arguments),
    Template(template::Arguments),
    Webhook(Box<webhook::Arguments>),
    Why(why::Arguments),
}

impl Command {
    fn run(self) -> Result<Outcome, Fault> {
        match self {
            Self::Adopt(arguments) => adopt::run(&arguments),
            Self::Controller(arguments) => controller::run(*arguments),
            Self::Crds(arguments) => crds::run(&arguments),
            Self::Export(arguments) => export::run(&arguments),
            Self::Import(arguments) => import::run(&arguments),
            Self::Orphans(arguments) => orphans::run(&arguments),
            Self::Plan(arguments) => plan::run(&arguments),
            Self::Release(arguments) => release::run(&arguments),
            Self::Rollout(arguments) => rollout::run(&arguments),
            Self::Template(arguments) => template::run(&arguments),
            Self::Webhook(arguments) => webhook::run(*arguments),
            Self::Why(arguments) => why::run(&arguments),
        }
    }
}

/// Runs the program with `arguments`, the first of which is the name that it was called by.
/// Gives exit code 0 for done, 1 for a fault, 2 for changes or findings.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match parse(&arguments) {
        Ok(command) => exit_code(command.run()),
        Err(usage) => {
            // A reader that has gone away has read enough.
            let _ = usage.print();
            // clap's own code for a wrong argument is 2, which means findings here.
            if usage.use_stderr() {
                ExitCode::from(1)
            } else {
                ExitCode::SUCCESS
            }
        }
    }
}

/// Called as `kubectl-landfall` it is a plugin of kubectl, and its help shows it as it is called then.
fn parse(arguments: &[OsString]) -> Result<Command, clap::Error> {
    let called = arguments
        .first()
        .map(std::path::Path::new)
        .and_then(std::path::Path::file_stem);
    let plugin = called.is_some_and(|name| name == "kubectl-landfall");
    let command = Arguments::command().bin_name(if plugin { "kubectl landfall" } else { "landfall" });
    let matches = command.try_get_matches_from(arguments)?;
    Arguments::from_arg_matches(&matches).map(|arguments| arguments.command)
}

fn exit_code(result: Result<Outcome, Fault>) -> ExitCode {
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(2),
        Err(fault) if is_closed_pipe(fault.as_ref()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(io::stderr(), "landfall: {}", causes::sentence(fault.as_ref()));
            ExitCode::from(1)
        }
    }
}

fn is_closed_pipe(fault: &(dyn std::error::Error + 'static)) -> bool {
    causes::find::<io::Error>(fault).is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes `text` to standard output.
///
/// # Errors
/// When it cannot be written; a closed pipe ends the program quietly.
pub fn print(text: &str) -> Result<(), Fault> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()?;
    Ok(())
}

/// How the answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Writes an answer to standard output, as JSON for programs.
///
/// # Errors
/// As [`print`].
pub fn print_json(answer: &impl serde::Serialize) -> Result<(), Fault> {
    print(&format!("{}\n", serde_json::to_string_pretty(answer)?))
}

/// A text of others' with nothing in it that moves the cursor, hides a character or ends a line.
pub fn printable(text: &str) -> String {
    let clean = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    text.chars().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, clap::Error> {
        parse(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn help_shows_the_program_as_it_is_called() {
        let usage = |line: &str| parsed(line).unwrap_err().to_string();
        assert!(usage("/usr/bin/landfall --help").contains("Usage: landfall <COMMAND>"));
        assert!(usage("/usr/bin/kubectl-landfall --help").contains("Usage: kubectl landfall <COMMAND>"));
        assert!(usage("kubectl-landfall crds --help").contains("Usage: kubectl landfall crds"));
    }

    #[test]
    fn a_closed_pipe_is_not_said_at_all() {
        let closed: Fault = Box::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_closed_pipe(closed.as_ref()));
        let other: Fault = Box::new(io::Error::other("the disk is full"));
        assert!(!is_closed_pipe(other.as_ref()));
    }
}
