//! The table of faults: what the tests on the apiserver recorded in this run of `cargo test`, which runs them
//! just before. It fails when a fault is not survived, and when a document says something else than what was seen.
// What the lints ask of the program is not asked of its tests: here a panic is how a fault is reported.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]
#![allow(dead_code, unreachable_pub)] // What is shared with the tests that record is not all used here.

#[path = "apiserver/support/runs.rs"]
mod runs;
#[path = "apiserver/support/verdict.rs"]
mod verdict;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use verdict::{Row, Verdict, rows_directory, whole_run};

/// The documents that show the table.
const DOCUMENTS: [&str; 2] = ["docs/faults.md", "README.md"];

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut findings = the_table_says_what_it_is_given();
    let documented: Vec<BTreeMap<String, Documented>> = DOCUMENTS
        .iter()
        .map(|document| documented(&fs::read_to_string(root.join(document)).unwrap()))
        .collect();
    if documented.windows(2).any(|pair| pair[0] != pair[1]) {
        findings.push(format!("{} do not show the same table", DOCUMENTS.join(" and ")));
    }
    let rows = rows();
    if rows.is_empty() && !whole_run().exists() {
        println!("\nfaults: no rows of this run; `make test` makes them\n");
    } else {
        println!("\nFaults, as the operator took them in this run:\n\n{}", table(&rows));
        findings.extend(judge(&rows, &documented[0], whole_run().exists()));
    }
    for finding in &findings {
        eprintln!("faults: {finding}");
    }
    if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What a document says of a fault: the words and the verdict.
type Documented = (String, String);

/// The table of a document: rows that begin with an id, as in `| R1 | crash … | Resilient |`.
fn documented(text: &str) -> BTreeMap<String, Documented> {
    text.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            let [id, fault, verdict, ..] = cells.as_slice() else {
                return None;
            };
            let number = id.strip_prefix('R')?;
            (!number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
                .then(|| ((*id).to_owned(), ((*fault).to_owned(), (*verdict).to_owned())))
        })
        .collect()
}

/// The rows of this run, parts put together, by number.
fn rows() -> Vec<Row> {
    let mut rows: BTreeMap<u32, Row> = BTreeMap::new();
    let mut files: Vec<_> = fs::read_dir(rows_directory()).into_iter().flatten().flatten().collect();
    files.sort_by_key(fs::DirEntry::file_name);
    for file in files.iter().filter(|file| file.file_name() != "whole") {
        let part: Row = serde_json::from_str(&fs::read_to_string(file.path()).unwrap()).unwrap();
        let number = part
            .id
            .trim_start_matches('R')
            .parse()
            .expect("an id is R and a number");
        let whole = match rows.remove(&number) {
            Some(row) => row.joined(&part),
            None => part,
        };
        rows.insert(number, whole);
    }
    rows.into_values().collect()
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.fault.chars().count()).max().unwrap_or(0);
    let mut text = format!(
        "  {:3}  {:width$}  {:9}  {:>9}  {:>9}  {:>12}  note\n",
        "", "fault", "verdict", "points", "recovery", "extra writes"
    );
    for row in rows {
        let (held, of) = row.points;
        let line = format!(
            "  {:3}  {:width$}  {:9}  {:>9}  {:>7.1} s  {:>12}  {}",
            row.id,
            row.fault,
            format!("{:?}", row.verdict),
            format!("{held} of {of}"),
            row.recovery.as_secs_f64(),
            row.extra_writes,
            row.note
        );
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    text
}

/// What is wrong with the rows, or with what is documented of them. Only in a whole run is a row missed.
fn judge(rows: &[Row], documented: &BTreeMap<String, Documented>, whole: bool) -> Vec<String> {
    let mut findings = Vec::new();
    for row in rows {
        let id = &row.id;
        if row.verdict == Verdict::Failed || row.points.0 != row.points.1 {
            findings.push(format!(
                "{id}: Failed at {} of {} points: {}",
                row.points.1 - row.points.0,
                row.points.1,
                row.note
            ));
        }
        match documented.get(id) {
            None => findings.push(format!(
                "{id}: it is in no document; add it to {}",
                DOCUMENTS.join(" and ")
            )),
            Some((fault, _)) if *fault != row.fault => {
                findings.push(format!(
                    "{id}: the documents call it \"{fault}\", its test \"{}\"",
                    row.fault
                ));
            }
            Some((_, verdict)) if *verdict != format!("{:?}", row.verdict) => {
                findings.push(format!("{id}: the documents say {verdict}, this run {:?}", row.verdict));
            }
            Some(_) => {}
        }
    }
    if whole {
        let missing = documented.keys().filter(|id| rows.iter().all(|row| row.id != **id));
        findings.extend(missing.map(|id| format!("{id}: it is documented, and no test recorded it in this run")));
    }
    findings
}

/// The judge's own test: it finds what it is there to find.
fn the_table_says_what_it_is_given() -> Vec<String> {
    let row = |id: &str, verdict| Row {
        id: id.to_owned(),
        fault: "crash".to_owned(),
        verdict,
        points: (2, 2),
        recovery: Duration::from_millis(1500),
        extra_writes: 1,
        note: String::new(),
    };
    let document =
        documented("| id | fault | verdict |\n|---|---|---|\n| R1 | crash | Resilient |\n| R2 | crash | Resilient |\n");
    let parts = row("R1", Verdict::Resilient).joined(&row("R1", Verdict::Degraded));
    let good = [row("R1", Verdict::Resilient), row("R2", Verdict::Resilient)];
    let cases = [
        (document.len() == 2, "the rows of a document are read"),
        (
            parts.points == (4, 4) && parts.verdict == Verdict::Degraded && parts.extra_writes == 2,
            "parts are put together",
        ),
        (
            judge(&good, &document, true).is_empty(),
            "nothing is found where nothing is wrong",
        ),
        (judge(&good[..1], &document, true).len() == 1, "a missing row is found"),
        (
            judge(&good[..1], &document, false).is_empty(),
            "a row is missed in a whole run only",
        ),
        (
            judge(&[parts], &document, false).len() == 1,
            "a verdict other than the documented is found",
        ),
        (
            judge(&[row("R3", Verdict::Resilient)], &document, false).len() == 1,
            "an undocumented row is found",
        ),
        (
            judge(&[row("R2", Verdict::Failed)], &document, false).len() == 2,
            "a failure is found",
        ),
        (
            table(&good).contains("R1   crash  Resilient     2 of 2"),
            "the table shows its rows",
        ),
    ];
    let failed = cases.into_iter().filter(|(holds, _)| !holds);
    failed
        .map(|(_, what)| format!("this test is at fault: not true that {what}"))
        .collect()
}
