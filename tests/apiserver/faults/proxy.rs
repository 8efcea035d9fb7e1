//! A proxy before the apiserver, in the operator's way only: it loses, delays, refuses and holds back what it is told to.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::support::{Cluster, Operator};

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// A request of the operator's.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub query: String,
    pub at: Instant,
    /// What it was answered; none where the answer was lost or is still to come.
    pub code: Option<u16>,
}

impl Call {
    pub fn is_write(&self) -> bool {
        // Events are told to people and nothing follows from them.
        !matches!(self.method.as_str(), "GET" | "HEAD") && !self.path.starts_with("/apis/events.k8s.io/")
    }

    pub fn is_watch(&self) -> bool {
        self.method == "GET" && self.query.contains("watch=")
    }

    /// Whether it is about a namespace that is, or was made from, `home`, or something in one.
    pub fn is_in(&self, home: &str) -> bool {
        let mut parts = self.path.split('/').skip_while(|part| *part != "namespaces").skip(1);
        parts
            .next()
            .is_some_and(|namespace| super::reference::is_in(namespace, home))
    }

    /// Whether it is about a kind, by its plural, in whatever namespace.
    pub fn is_of(&self, plural: &str) -> bool {
        self.path.split('/').any(|part| part == plural)
    }
}

/// What is done to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is refused with this code, and where seconds are given, asked to come again only after them: by the header, as the
    /// apiserver does when it is overloaded.
    Refuse(u16, Option<u32>),
    /// It is carried out so much later.
    Late(Duration),
    /// It is carried out, and the connection breaks before the answer.
    LoseAnswer,
    /// It is answered with this instead.
    Answer(Bytes),
    /// A watch: it is told that it comes from too long ago.
    Gone,
    /// A watch: it ends so long after it was opened.
    CutAfter(Duration),
    /// A watch that is or will be open: nothing arrives any more, and it does not end.
    Silent,
    /// A watch that is or will be open: what arrives does so later.
    LateEvents(Duration),
    /// A watch that is or will be open: what arrives is kept back until the fault is over.
    Held,
}

/// A fault that stands until it is dropped.
pub struct Standing {
    rule: Arc<Rule>,
    shared: Arc<Shared>,
}

impl Standing {
    /// How many requests, or events of watches, it has hit.
    pub fn hits(&self) -> usize {
        self.rule.hits.load(Ordering::SeqCst)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.rule.over.store(true, Ordering::SeqCst);
        self.shared
            .rules
            .lock()
            .unwrap()
            .retain(|rule| !Arc::ptr_eq(rule, &self.rule));
        self.shared.changed.notify_waiters();
    }
}

struct Rule {
    matches: Box<dyn Fn(&Call) -> bool + Send + Sync>,
    fault: Fault,
    /// Of ten requests so many are hit.
    of_ten: usize,
    met: AtomicUsize,
    hits: AtomicUsize,
    over: AtomicBool,
}

impl fmt::Debug for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}, hit {} times", self.rule.fault, self.hits())
    }
}

struct Shared {
    client: Client,
    rules: Mutex<Vec<Arc<Rule>>>,
    calls: Mutex<Vec<Call>>,
    changed: Notify,
    /// Watches that were opened before this number are to end.
    cut: AtomicUsize,
}

/// The proxy; it lives as long as this process.
pub struct Proxy {
    shared: Arc<Shared>,
    kubeconfig: PathBuf,
}

impl Proxy {
    /// A proxy before the apiserver of `cluster`. It has a thread of its own, so that no test holds it up.
    pub fn before(cluster: &Cluster) -> Self {
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
        let (sender, started) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(run(kubeconfig, sender));
        });
        let (shared, address) = started.recv().unwrap();
        let kubeconfig = cluster.directory().join("proxy-kubeconfig");
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        });
        fs::write(&kubeconfig, content.to_string()).unwrap();
        Self { shared, kubeconfig }
    }

    /// Starts an operator that goes through the proxy, and waits until it is ready.
    pub async fn operator(&self, cluster: &Cluster, arguments: &[&str]) -> Operator {
        Operator::start_with(cluster, |command| {
            command.env("KUBECONFIG", &self.kubeconfig).args(arguments);
        })
        .await
    }

    /// What is done to every request that `matches`, until the value is dropped.
    pub fn when(&self, fault: Fault, matches: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Standing {
        self.when_of_ten(10, fault, matches)
    }

    /// The same for so many of ten requests.
    pub fn when_of_ten(
        &self,
        of_ten: usize,
        fault: Fault,
        matches: impl Fn(&Call) -> bool + Send + Sync + 'static,
    ) -> Standing {
        let rule = Arc::new(Rule {
            matches: Box::new(matches),
            fault,
            of_ten,
            met: AtomicUsize::new(0),
            hits: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        self.shared.rules.lock().unwrap().push(rule.clone());
        self.shared.changed.notify_waiters();
        Standing {
            rule,
            shared: self.shared.clone(),
        }
    }

    /// Ends all watches that are open.
    pub fn cut_watches(&self) {
        self.shared
            .cut
            .store(self.shared.calls.lock().unwrap().len(), Ordering::SeqCst);
        self.shared.changed.notify_waiters();
    }

    /// What was asked for so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }
}

async fn run(kubeconfig: Kubeconfig, started: mpsc::Sender<(Arc<Shared>, SocketAddr)>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.default_retry = false;
    // No other proxy than this one.
    config.proxy_url = None;
    let shared = Arc::new(Shared {
        client: Client::try_from(config).unwrap(),
        rules: Mutex::default(),
        calls: Mutex::default(),
        changed: Notify::new(),
        cut: AtomicUsize::new(0),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    started.send((shared.clone(), listener.local_addr().unwrap())).unwrap();
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        tokio::spawn(serve(connection, shared.clone()));
    }
}

async fn serve(connection: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(shared.clone(), request));
    // It ends with an error when an answer is to be lost, which is as it should be.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(connection), service)
        .await;
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, std::io::Error> {
    let call = Call {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        at: Instant::now(),
        code: None,
    };
    let number = {
        let mut calls = shared.calls.lock().unwrap();
        calls.push(call.clone());
        calls.len() - 1
    };
    let faults = shared.standing(&call);
    let refusal = faults.iter().find_map(|fault| match fault {
        Fault::Refuse(code, again) => Some(refused(*code, *again)),
        Fault::Answer(body) => Some(json_answer(StatusCode::OK, body.clone())),
        Fault::Gone if call.is_watch() => Some(json_answer(StatusCode::OK, gone())),
        _ => None,
    });
    for fault in &faults {
        if let Fault::Late(delay) = fault {
            tokio::time::sleep(*delay).await;
        }
    }
    let answer = match refusal {
        Some(refusal) => refusal,
        None => forward(&shared, &call, number, &faults, request).await?,
    };
    if faults.iter().any(|fault| matches!(fault, Fault::LoseAnswer)) {
        return Err(std::io::Error::other("the answer is lost"));
    }
    shared.calls.lock().unwrap()[number].code = Some(answer.status().as_u16());
    Ok(answer)
}

async fn forward(
    shared: &Arc<Shared>,
    call: &Call,
    number: usize,
    faults: &[Fault],
    request: Request<Incoming>,
) -> Result<Answer, std::io::Error> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    parts.headers.remove(header::HOST);
    parts.headers.remove(header::CONTENT_LENGTH);
    let request = Request::from_parts(parts, Body::from(body.to_vec()));
    let answer = shared.client.send(request).await.map_err(std::io::Error::other)?;
    let (parts, body) = answer.into_parts();
    let body = if call.is_watch() && parts.status.is_success() {
        let limit = faults.iter().find_map(|fault| match fault {
            Fault::CutAfter(limit) => Some(*limit),
            _ => None,
        });
        watched(shared.clone(), call.clone(), number, limit, body)
    } else {
        body.map_err(std::io::Error::other).boxed_unsync()
    };
    Ok(Response::from_parts(parts, body))
}

/// The body of a watch, with whatever stands in its way while it is open.
fn watched(
    shared: Arc<Shared>,
    call: Call,
    number: usize,
    limit: Option<Duration>,
    body: Body,
) -> UnsyncBoxBody<Bytes, std::io::Error> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<(Instant, Bytes)>();
    tokio::spawn(async move {
        let mut events = std::pin::pin!(body.into_data_stream());
        let end = limit.map_or_else(
            || Instant::now() + Duration::from_hours(1),
            |limit| Instant::now() + limit,
        );
        loop {
            let changed = shared.changed.notified();
            if shared.cut.load(Ordering::SeqCst) > number {
                return;
            }
            let next = tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep_until(end.into()) => return,
                () = changed => continue,
                next = events.next() => next,
            };
            let Some(Ok(event)) = next else {
                // A watch that is silent does not say that it has ended either.
                while shared
                    .watch_fault(&call, false)
                    .is_some_and(|(fault, _)| matches!(fault, Fault::Silent))
                {
                    tokio::select! {
                        () = sender.closed() => return,
                        () = shared.changed.notified() => {}
                    }
                }
                return;
            };
            let mut due = Instant::now();
            match shared.watch_fault(&call, true) {
                Some((Fault::Silent, _)) => continue,
                Some((Fault::LateEvents(delay), _)) => due += delay,
                Some((Fault::Held, rule)) => {
                    while !rule.over.load(Ordering::SeqCst) {
                        let changed = shared.changed.notified();
                        if rule.over.load(Ordering::SeqCst) || shared.cut.load(Ordering::SeqCst) > number {
                            break;
                        }
                        tokio::select! {
                            () = sender.closed() => return,
                            () = changed => {}
                        }
                    }
                    if shared.cut.load(Ordering::SeqCst) > number {
                        return;
                    }
                }
                _ => {}
            }
            let _ = sender.send((due, event));
        }
    });
    let frames = futures::stream::unfold(receiver, |mut receiver| async {
        let (due, event) = receiver.recv().await?;
        tokio::time::sleep_until(due.into()).await;
        Some((Ok(Frame::data(event)), receiver))
    });
    StreamBody::new(frames).boxed_unsync()
}

impl Shared {
    /// The faults that a request meets, each counted.
    fn standing(&self, call: &Call) -> Vec<Fault> {
        let rules = self.rules.lock().unwrap();
        let met = rules
            .iter()
            .filter(|rule| !rule.fault.is_of_open_watches() && (rule.matches)(call));
        met.filter(|rule| {
            let number = rule.met.fetch_add(1, Ordering::SeqCst);
            let hit = spread(number) % 10 < rule.of_ten;
            rule.hits.fetch_add(usize::from(hit), Ordering::SeqCst);
            hit
        })
        .map(|rule| rule.fault.clone())
        .collect()
    }

    /// What an event of an open watch meets.
    fn watch_fault(&self, call: &Call, counted: bool) -> Option<(Fault, Arc<Rule>)> {
        let rules = self.rules.lock().unwrap();
        let rule = rules
            .iter()
            .find(|rule| rule.fault.is_of_open_watches() && (rule.matches)(call))?;
        rule.hits.fetch_add(usize::from(counted), Ordering::SeqCst);
        Some((rule.fault.clone(), rule.clone()))
    }
}

/// A number that has nothing to do with the ones before and after it, and is the same in each run.
fn spread(number: usize) -> usize {
    let mixed = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    usize::try_from((mixed ^ (mixed >> 27)) >> 33).unwrap()
}

impl Fault {
    fn is_of_open_watches(&self) -> bool {
        matches!(self, Self::Silent | Self::LateEvents(_) | Self::Held)
    }
}

fn refused(code: u16, again: Option<u32>) -> Answer {
    let status = StatusCode::from_u16(code).unwrap();
    if let Some(seconds) = again {
        // As the apiserver's own overload protection says it: in plain text, with a header.
        let mut answer = json_answer(
            status,
            Bytes::from_static(b"Too many requests, please try again later.\n"),
        );
        answer.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        return answer;
    }
    let reason = match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "by order of the test", "reason": reason, "code": code,
    });
    json_answer(status, Bytes::from(body.to_string()))
}

fn gone() -> Bytes {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version: 1 (2)", "reason": "Expired", "code": 410,
    });
    Bytes::from(format!("{}\n", json!({"type": "ERROR", "object": status})))
}

fn json_answer(status: StatusCode, body: Bytes) -> Answer {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
