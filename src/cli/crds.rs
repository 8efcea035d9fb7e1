//! `landfall crds`: the custom resource definitions, to be applied.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;

use super::{Fault, Outcome, print};
use crate::api::crds;

/// Print the custom resource definitions (CRDs) as YAML
///
/// To install them: landfall crds | kubectl apply --server-side -f -
#[derive(Debug, Args)]
pub struct Arguments {
    /// Write one file for each CRD into this directory instead, making it if need be
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// A file or directory that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
struct NotWritten {
    path: PathBuf,
    source: io::Error,
}

/// Prints the CRDs, or writes them into a directory.
///
/// # Errors
/// When they cannot be written.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    match &arguments.directory {
        None => print(&crds::to_yaml(&crds::all())?)?,
        Some(directory) => write_files(directory)?,
    }
    Ok(Outcome::Done)
}

fn write_files(directory: &Path) -> Result<(), Fault> {
    fs::create_dir_all(directory).map_err(|source| NotWritten {
        path: directory.to_owned(),
        source,
    })?;
    for crd in crds::all() {
        let path = directory.join(crds::file_name(&crd));
        let text = crds::to_yaml(std::slice::from_ref(&crd))?;
        fs::write(&path, text).map_err(|source| NotWritten {
            path: path.clone(),
            source,
        })?;
    }
    Ok(())
}
