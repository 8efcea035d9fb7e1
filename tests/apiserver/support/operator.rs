//! The operator as users run it: a process of its own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::cluster::{Cluster, cluster};
use super::patience::patience;
use super::processes;

/// A running `landfall controller`. Dropping it kills it.
#[derive(Debug)]
pub struct Operator {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
}

/// The operator that all tests of this run share; the first to ask starts it.
pub async fn operator() -> &'static Operator {
    static SHARED: OnceCell<Operator> = OnceCell::const_new();
    SHARED
        .get_or_init(async || Operator::start(cluster().await).await)
        .await
}

impl Operator {
    /// Starts an operator and waits until it is ready. Two on one cluster do the same work: a test that
    /// needs one to itself takes a [`Cluster::own`] too.
    pub async fn start(cluster: &Cluster) -> Self {
        Self::start_with(cluster, |_| {}).await
    }

    /// [`Self::start`] with further arguments or environment.
    pub async fn start_with(cluster: &Cluster, prepare: impl Fn(&mut Command)) -> Self {
        for _ in 0..5 {
            let mut operator = Self::spawn(cluster, &prepare).unwrap();
            match operator.wait_ready().await {
                Ok(()) => return operator,
                // Another program was faster to take the port that was free.
                Err(reason) if reason.contains("in use") => {}
                Err(reason) => panic!("the operator did not become ready: {reason}"),
            }
        }
        panic!("five ports in a row were taken before the operator could listen on them");
    }

    /// Starts an operator without waiting for anything.
    pub fn spawn(cluster: &Cluster, prepare: impl Fn(&mut Command)) -> io::Result<Self> {
        Self::spawn_program(cluster, Path::new(env!("CARGO_BIN_EXE_landfall")), |command| {
            command.arg("controller");
            prepare(command);
        })
    }

    /// Starts `program`, which is to be an operator that takes `LANDFALL_LISTEN` and `KUBECONFIG`.
    pub fn spawn_program(cluster: &Cluster, program: &Path, prepare: impl Fn(&mut Command)) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = cluster.directory().join(format!("landfall-{number}.log"));
        let output = File::create(&log)?;
        let errors = output.try_clone()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = processes::spawn(program, |command| {
            command.env("LANDFALL_LISTEN", address.to_string());
            command.env("LANDFALL_DEBUG_LISTEN", "off");
            command.env("KUBECONFIG", cluster.kubeconfig());
            command.stdin(Stdio::null()).stdout(output).stderr(errors);
            prepare(command);
        })?;
        Ok(Self { process, address, log })
    }

    /// Waits until `/readyz` answers with 200.
    pub async fn wait_ready(&mut self) -> Result<(), String> {
        let end = Instant::now() + patience();
        loop {
            let seen = match self.get("/readyz").await {
                Ok((200, _)) => return Ok(()),
                Ok((code, body)) => format!("/readyz answers {code} {body}"),
                Err(error) => format!("/readyz: {error}"),
            };
            if let Some(status) = self.process.try_wait().unwrap() {
                return Err(format!("it has ended ({status}):\n{}", self.log_tail()));
            }
            if Instant::now() > end {
                return Err(format!(
                    "{seen}; the end of {}:\n{}",
                    self.log.display(),
                    self.log_tail()
                ));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks its own HTTP server, as in `get("/metrics")`, and gives status code and body.
    pub async fn get(&self, path: &str) -> io::Result<(u16, String)> {
        let (address, path) = (self.address, path.to_owned());
        tokio::task::spawn_blocking(move || get(address, &path))
            .await
            .map_err(io::Error::other)?
    }

    /// Its exit status, once it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().unwrap()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its output.
    pub fn log_tail(&self) -> String {
        processes::tail(&self.log)
    }

    /// Ends it as Kubernetes does, with SIGTERM, and gives its exit status.
    pub async fn stop(mut self) -> ExitStatus {
        tokio::task::spawn_blocking(move || processes::terminate(&mut self.process, patience()).unwrap())
            .await
            .unwrap()
    }

    /// Ends it without a chance to do anything more.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.end();
    }
}

fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    code.map(|code| (code, body.to_owned()))
        .ok_or_else(|| io::Error::other(format!("not an HTTP answer: {answer:?}")))
}
