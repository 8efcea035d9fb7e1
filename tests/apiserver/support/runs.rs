//! Where a run keeps what it makes, and which runs belong together.
//!
//! `cargo test` starts one process for each test target. Each that brings up control planes has a directory of its
//! own, which says by whom the process was started, so that a target which comes later can go through the logs of
//! all that came before it (`tests/who_writes.rs`), and of nothing else.

use std::fs;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};

/// In a run's directory: who has started it.
const STARTED_BY: &str = "started-by";

/// Where all runs are.
fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cluster")
}

/// Where this process keeps what it makes.
pub fn run_directory() -> PathBuf {
    place().join(format!("test-{}", std::process::id()))
}

/// Makes the directory of this process, and removes those that nobody will read any more.
pub fn begin() -> Result<(), String> {
    for directory in directories() {
        if !is_process(&directory) && !started_by(&directory).is_some_and(|starter| starter.is_alive()) {
            let _ = fs::remove_dir_all(directory);
        }
    }
    let directory = run_directory();
    let complain = |error| format!("{}: {error}", directory.display());
    fs::create_dir_all(&directory).map_err(complain)?;
    let starter = Starter::of_this_process().ok_or("there is no /proc, or it does not name the parent process")?;
    fs::write(directory.join(STARTED_BY), starter.0).map_err(complain)
}

/// The directories of those processes that were started by the one that has started this one, such as the targets
/// that one `cargo test` runs.
pub fn of_the_same_start() -> Vec<PathBuf> {
    let starter = Starter::of_this_process();
    let mut found = directories();
    found.retain(|directory| starter.is_some() && started_by(directory) == starter);
    found.sort();
    found
}

fn directories() -> Vec<PathBuf> {
    let entries = fs::read_dir(place());
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| process_of(path).is_some()).collect()
}

/// The id of the process whose directory this is.
fn process_of(directory: &Path) -> Option<u32> {
    directory.file_name()?.to_str()?.strip_prefix("test-")?.parse().ok()
}

fn is_process(directory: &Path) -> bool {
    process_of(directory).is_some_and(|id| started(id).is_some())
}

fn started_by(directory: &Path) -> Option<Starter> {
    fs::read_to_string(directory.join(STARTED_BY)).ok().map(Starter)
}

/// When a process was started, in the kernel's ticks; none if it does not run. Process ids are given anew, this is not.
pub fn started(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name, which comes second, may hold anything, a parenthesis too. `man 5 proc_pid_stat`.
    stat.rsplit_once(") ")?.1.split(' ').nth(19).map(str::to_owned)
}

/// A process, by its id and the time at which it was started.
#[derive(PartialEq, Eq)]
struct Starter(String);

impl Starter {
    fn of_this_process() -> Option<Self> {
        Self::of(parent_id())
    }

    fn of(id: u32) -> Option<Self> {
        Some(Self(format!("{id} {}", started(id)?)))
    }

    fn is_alive(&self) -> bool {
        let id = self.0.split(' ').next().and_then(|id| id.parse().ok());
        id.and_then(Self::of).as_ref() == Some(self)
    }
}
