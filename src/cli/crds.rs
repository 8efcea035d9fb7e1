//! `landfall crds`: the custom resource definitions, to be applied.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;

use super::{Fault, Outcome, print};
use crate::api::crds::{self, published};

/// Print the custom resource definitions (CRDs) as YAML
///
/// To install them: landfall crds | kubectl apply --server-side -f -
#[derive(Debug, Args)]
pub struct Arguments {
    /// Write one file for each CRD into this directory instead, making it if need be
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Write their JSON Schemas into this directory instead, as `GROUP/KIND_VERSION.json`, for editors and kubeconform
    #[arg(long, value_name = "DIR", conflicts_with = "directory")]
    schemas: Option<PathBuf>,
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
    if let Some(directory) = &arguments.directory {
        for crd in crds::all() {
            let text = crds::to_yaml(std::slice::from_ref(&crd))?;
            write(&directory.join(crds::file_name(&crd)), &text)?;
        }
    } else if let Some(directory) = &arguments.schemas {
        for published in crds::all().iter().flat_map(published::json_schemas) {
            let text = serde_json::to_string_pretty(&published.schema)?;
            write(&directory.join(&published.path), &format!("{text}\n"))?;
        }
    } else {
        print(&crds::to_yaml(&crds::all())?)?;
    }
    Ok(Outcome::Done)
}

/// Writes a file, and makes the directory that it lies in if need be.
fn write(path: &Path, text: &str) -> Result<(), NotWritten> {
    let parent = path.parent().unwrap_or(path);
    let told = |path: &Path, source| NotWritten {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(parent).map_err(|source| told(parent, source))?;
    fs::write(path, text).map_err(|source| told(path, source))
}
