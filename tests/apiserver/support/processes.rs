//! Child processes that end with this one, whatever ends it.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// What a child gets when this process ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Kill,
    Terminate,
}

/// Starts a program that is killed when this process ends.
pub fn spawn(program: &Path, prepare: impl FnOnce(&mut Command)) -> io::Result<Child> {
    spawn_until(Signal::Kill, program, prepare)
}

/// Starts a program that gets a signal when this process ends.
///
/// The kernel sends that signal when the *thread* that started the child ends, and every test has a
/// thread of its own; so all children are started by one thread that never ends.
pub(super) fn spawn_until(signal: Signal, program: &Path, prepare: impl FnOnce(&mut Command)) -> io::Result<Child> {
    static NURSE: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let mut command = Command::new("setpriv");
    let signal = match signal {
        Signal::Kill => "KILL",
        Signal::Terminate => "TERM",
    };
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    prepare(&mut command);
    let nurse = NURSE.get_or_init(|| {
        let (orders, incoming) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in incoming {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (answer, child) = mpsc::channel();
    nurse
        .lock()
        .unwrap()
        .send((command, answer))
        .expect("the thread that starts processes never ends");
    child
        .recv()
        .expect("the thread that starts processes always answers")
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other("`setpriv` is missing: it is part of util-linux"),
            _ => error,
        })
}

/// Asks a child to end (SIGTERM) and waits for it; after `limit` it is killed.
pub(super) fn terminate(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    // Until it has been waited for, its process id cannot be given to another process.
    if let Some(status) = child.try_wait()? {
        return Ok(status);
    }
    Command::new("sh")
        .args(["-c", &format!("kill -TERM {}", child.id())])
        .status()?;
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()
}

/// The last lines of a log, for messages.
pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_else(|error| format!("(cannot be read: {error})"));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
