//! Running the program, and reading the YAML that it prints.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use landfall::catalog::yaml::{self, Limits};
use serde_json::Value;

/// What the program said.
pub struct Said {
    pub code: i32,
    pub output: String,
    pub errors: String,
}

/// The program, with these arguments.
pub fn landfall(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    command.args(arguments);
    command
}

/// Runs a command to its end, with `input` on its standard input.
pub fn run(command: &mut Command, input: &str) -> Said {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let said = child.wait_with_output().unwrap();
    // One that ends before it has read all is no fault here.
    let _ = writer.join().unwrap();
    Said {
        code: said.status.code().unwrap(),
        output: String::from_utf8(said.stdout).unwrap(),
        errors: String::from_utf8(said.stderr).unwrap(),
    }
}

/// The documents of a text, all of which are good.
pub fn values(text: &str, limits: Limits) -> Vec<Value> {
    yaml::documents(text, limits)
        .map(|document| document.unwrap().root.value())
        .collect()
}
