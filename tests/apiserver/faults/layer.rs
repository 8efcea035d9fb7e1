//! The operator with a layer in its clients that crashes it at a given write. This test binary starts itself
//! again as that operator, so that the program that users run holds nothing of this.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Response};
use kube::client::Body;
use landfall::controllers::{self, Election, Options};
use landfall::runtime::clients::FencedBuilder;
use landfall::runtime::leader::decide::Times;
use landfall::runtime::telemetry::{self, LogFormat};
use landfall::template::compile::Policy;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Layer, Service};

use super::reference::Write;
use crate::support::{Cluster, Operator};

/// The environment variable that names the directory of [`Desk`]; without it nothing is run.
const DESK: &str = "LANDFALL_TEST_FAULT_DESK";
/// The environment variable that makes it stand for election.
pub const ELECTED: &str = "LANDFALL_TEST_FAULT_ELECTED";
/// The test below, as `--exact` wants it.
const THIS: &str = "faults::layer::the_operator_that_is_crashed";

/// On which side of a write the operator is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The request never leaves.
    Before,
    /// It is carried out, and its answer never seen.
    After,
}

/// Where the operator is to end. The process ends when every one of its orders has been reached; until then the passes that
/// have reached theirs hold still, and all that is theirs with them: for each of them the crash is at its own write.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    pub write: Write,
    /// Which of the requests that look so, counted from 1 since the process began.
    pub occurrence: usize,
    pub side: Side,
}

/// A directory over which a test and its operator speak: orders one way, what was reached the other.
#[derive(Clone, Debug)]
pub struct Desk(PathBuf);

impl Desk {
    pub fn new(cluster: &Cluster) -> Self {
        let directory = cluster.directory().join("faults");
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    /// Starts the operator with these orders, without waiting for anything.
    pub fn start(&self, cluster: &Cluster, orders: &[Order]) -> Operator {
        self.start_with(cluster, orders, &[])
    }

    /// [`Self::start`] with further environment.
    pub fn start_with(&self, cluster: &Cluster, orders: &[Order], environment: &[(&str, &str)]) -> Operator {
        fs::write(self.orders(), serde_json::to_string_pretty(orders).unwrap()).unwrap();
        fs::write(self.reached(), "").unwrap();
        let program = std::env::current_exe().unwrap();
        let operator = Operator::spawn_program(cluster, &program, |command: &mut Command| {
            command.args(["--exact", THIS, "--ignored", "--nocapture", "--test-threads", "1"]);
            command.env(DESK, &self.0).envs(environment.iter().copied());
        });
        operator.unwrap()
    }

    /// Those of the present orders that have been reached, by their place.
    pub fn reached_orders(&self) -> Vec<usize> {
        lines(&self.reached())
            .iter()
            .map(|line| line.parse().unwrap())
            .collect()
    }

    fn orders(&self) -> PathBuf {
        self.0.join("orders.json")
    }

    fn reached(&self) -> PathBuf {
        self.0.join("reached")
    }
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn append(file: &Path, line: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap(); // in one piece, as appends are
}

/// No test: the operator itself. It runs until it is killed or crashes by order.
#[test]
#[ignore = "it is the operator that tests of crashes start"]
fn the_operator_that_is_crashed() {
    if std::env::var_os(DESK).is_none() {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    telemetry::start("info,kube_client=warn,kube_runtime=error", LogFormat::Text).unwrap();
    let options = Options {
        listen: std::env::var("LANDFALL_LISTEN").unwrap().parse().unwrap(),
        policy: Policy {
            cluster_scoped_kinds: vec!["Namespace".to_owned()],
            reserved_namespaces: vec!["kube-*".to_owned()],
        },
        debug: None,
        election: Election {
            wanted: Some(std::env::var_os(ELECTED).is_some()),
            namespace: None,
            name: "landfall-controller".to_owned(),
            times: Times {
                lease_duration: Duration::from_secs(5),
                renew_deadline: Duration::from_secs(4),
                retry_period: Duration::from_millis(500),
            },
        },
        make_client: |builder: FencedBuilder| builder.with_layer(&Crashing).build(),
        blocked_retry: Duration::from_mins(1),
        watch_timeout: 290,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(controllers::run(options, CancellationToken::new()))
        .unwrap();
}

/// What this process was ordered, and how far it is.
struct Ordered {
    desk: Desk,
    orders: Vec<Order>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    seen: Vec<Write>,
    reached: usize,
}

fn ordered() -> &'static Ordered {
    static ORDERED: OnceLock<Ordered> = OnceLock::new();
    ORDERED.get_or_init(|| {
        let desk = Desk(PathBuf::from(std::env::var_os(DESK).unwrap()));
        let orders = serde_json::from_str(&fs::read_to_string(desk.orders()).unwrap()).unwrap();
        Ordered {
            desk,
            orders,
            progress: Mutex::default(),
        }
    })
}

impl Ordered {
    /// Takes note of a request, and gives the place of the order that is about it, if one is.
    fn meets(&self, write: &Write) -> Option<usize> {
        let mut progress = self.progress.lock().unwrap();
        progress.seen.push(write.clone());
        let occurrence = progress.seen.iter().filter(|seen| *seen == write).count();
        let about = |order: &Order| order.write == *write && order.occurrence == occurrence;
        self.orders.iter().position(about)
    }

    /// Holds still for good. The last of the orders to be reached ends the process.
    async fn reach(&self, place: usize) {
        let all = {
            let mut progress = self.progress.lock().unwrap();
            append(&self.desk.reached(), &place.to_string());
            progress.reached += 1;
            progress.reached == self.orders.len()
        };
        if all {
            std::process::abort();
        }
        std::future::pending::<()>().await;
    }
}

struct Crashing;

impl<S> Layer<S> for Crashing {
    type Service = Crash<S>;

    fn layer(&self, inner: S) -> Crash<S> {
        Crash(inner)
    }
}

struct Crash<S>(S);

impl<S, B> Service<Request<Body>> for Crash<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        // Events are told to people and nothing follows from them.
        if reads || path.starts_with("/apis/events.k8s.io/") {
            return Box::pin(self.0.call(request));
        }
        let write = Write {
            method: request.method().to_string(),
            path,
        };
        let met = ordered().meets(&write);
        match met.map(|place| (place, ordered().orders[place].side)) {
            None => Box::pin(self.0.call(request)),
            Some((place, Side::Before)) => Box::pin(async move {
                ordered().reach(place).await;
                unreachable!("it holds still")
            }),
            Some((place, Side::After)) => {
                let answer = self.0.call(request);
                Box::pin(async move {
                    let answer = answer.await?;
                    ordered().reach(place).await;
                    Ok(answer)
                })
            }
        }
    }
}
