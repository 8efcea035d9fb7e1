//! What became of the operator under a fault: a row of the table that `tests/faults.rs` prints after these
//! tests and holds against the documents.
//!
//! Cargo runs both test programs of a run one after another, so that they have the same parent, and no other
//! run has that parent. This is how the rows of this run are told from those of an earlier one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::runs::started;

/// How the operator took a fault, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// It came back by itself to what was asked for, and nothing was lost, doubled or touched that must not be.
    Resilient,
    /// It did so with less than it promises, or not without help; the note says what.
    Degraded,
    /// It did not.
    Failed,
}

/// A fault and what became of it. Rows of one id are parts of one row of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// `R1`.
    pub id: String,
    /// The fault in words, the same in all parts.
    pub fault: String,
    pub verdict: Verdict,
    /// How many of the tried points held.
    pub points: (usize, usize),
    /// The longest time from the end of the fault to the desired state.
    pub recovery: Duration,
    /// Writes that the same work without the fault does not take.
    pub extra_writes: usize,
    pub note: String,
}

/// A row in the making. Dropped before [`Trial::ends`] is called, as when its test panics, it counts as Failed.
#[derive(Debug)]
pub struct Trial(Option<Row>);

impl Trial {
    /// A fault that is tried at `points` points.
    pub fn of(id: &str, fault: &str, points: usize) -> Self {
        begin();
        Self(Some(Row {
            id: id.to_owned(),
            fault: fault.to_owned(),
            verdict: Verdict::Failed,
            points: (0, points),
            recovery: Duration::ZERO,
            extra_writes: 0,
            note: String::new(),
        }))
    }

    fn row(&mut self) -> &mut Row {
        self.0.as_mut().expect("it is taken out at the end only")
    }

    /// One more point has held; it took so long from the end of the fault to the desired state.
    pub fn held(&mut self, recovery: Duration) {
        let row = self.row();
        row.points.0 += 1;
        row.recovery = row.recovery.max(recovery);
    }

    /// Writes that the same work without the fault does not take.
    pub fn extra_writes(&mut self, count: usize) {
        self.row().extra_writes += count;
    }

    /// Records the verdict; `note` is empty, or says what is short of Resilient.
    pub fn ends(mut self, verdict: Verdict, note: &str) {
        let mut row = self.0.take().expect("it ends once");
        let (held, of) = row.points;
        assert_eq!(held, of, "{}: not all points held", row.id);
        row.verdict = verdict;
        note.clone_into(&mut row.note);
        row.record();
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(mut row) = self.0.take() {
            "its test did not come to the end".clone_into(&mut row.note);
            row.record();
        }
    }
}

impl Row {
    fn record(&self) {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = rows_directory().join(format!("{}-{number}.json", self.id));
        fs::write(file, serde_json::to_string_pretty(self).unwrap()).unwrap();
    }

    /// The row of which `self` and `other` are parts.
    pub fn joined(mut self, other: &Self) -> Self {
        assert_eq!(self.fault, other.fault, "{}: one id, one fault", self.id);
        self.verdict = self.verdict.max(other.verdict);
        self.points = (self.points.0 + other.points.0, self.points.1 + other.points.1);
        self.recovery = self.recovery.max(other.recovery);
        self.extra_writes += other.extra_writes;
        if !other.note.is_empty() && !self.note.contains(&other.note) {
            let between = if self.note.is_empty() { "" } else { "; " };
            self.note = format!("{}{between}{}", self.note, other.note);
        }
        self
    }
}

/// Where the rows of this run are. It exists once a control plane has been asked for.
pub fn rows_directory() -> PathBuf {
    let parent = std::os::unix::process::parent_id();
    faults_directory().join(format!("{parent}-{}", started(parent).unwrap_or_default()))
}

/// A file in [`rows_directory`] that says that no test was left out.
pub fn whole_run() -> PathBuf {
    rows_directory().join("whole")
}

/// Makes the place for this run's rows, and removes those of runs that have ended.
pub fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for entry in fs::read_dir(faults_directory()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let run = name
                .split_once('-')
                .and_then(|(id, began)| Some((id.parse().ok()?, began)));
            if run.is_some_and(|(id, began)| started(id).as_deref() != Some(began)) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        fs::create_dir_all(rows_directory()).unwrap();
        // The arguments of a test program choose among its tests.
        if std::env::args().len() == 1 {
            fs::write(whole_run(), "").unwrap();
        }
    });
}

fn faults_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/faults")
}
