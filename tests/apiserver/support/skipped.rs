//! A test that is left out says so.

use std::io::Write as _;

/// Says loudly that `what` was left out, and why. Not by a macro: what those print of a test that passes is thrown away.
pub fn skipped(what: &str, why: &str) {
    let line = format!("\n*** SKIPPED: {what}: {why} ***\n\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
