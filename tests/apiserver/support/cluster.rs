//! The control plane of a test run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::audit::Audit;
use super::patience::eventually;
use super::processes::{self, Signal};
use super::{repository, runs, verdict};

/// The user agent of the tests' own requests, so that counts of the operator's leave them out.
pub const TESTS_AGENT: &str = "landfall-tests";

/// A control plane that lives no longer than this process.
#[derive(Debug)]
pub struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
    kubeconfig: Kubeconfig,
    /// Its standard input stays open for as long as this process lives; that is what keeps it up.
    process: Mutex<Child>,
    answers: Mutex<Lines<BufReader<ChildStdout>>>,
}

/// The control plane that all tests of this run share; the first to ask starts it.
pub async fn cluster() -> &'static Cluster {
    static SHARED: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let shared = tokio::task::spawn_blocking(|| {
        SHARED.get_or_init(|| {
            runs::begin()?;
            verdict::begin();
            Cluster::start(&runs::run_directory())
        })
    });
    match shared.await.unwrap() {
        Ok(cluster) => cluster,
        Err(reason) => panic!("no test cluster: {reason}"),
    }
}

/// The cluster with a node that all tests of this run share, as [`cluster`] is shared; it needs root.
pub async fn node_cluster() -> &'static Cluster {
    static SHARED: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let shared = tokio::task::spawn_blocking(|| {
        SHARED.get_or_init(|| {
            runs::begin()?;
            Cluster::start_with_node(&runs::run_directory().join("node"), own_definitions())
        })
    });
    match shared.await.unwrap() {
        Ok(cluster) => cluster,
        Err(reason) => panic!("no test cluster with a node: {reason}"),
    }
}

/// The control plane of those tests of a run that need one on which no operator is at work.
pub async fn quiet_cluster() -> &'static Cluster {
    static QUIET: tokio::sync::OnceCell<Cluster> = tokio::sync::OnceCell::const_new();
    QUIET.get_or_init(|| Cluster::own("quiet")).await
}

impl Cluster {
    /// A control plane for one test alone, which ends when the value is dropped. For tests that stop the
    /// apiserver, count what every operator does, or need one to themselves for another reason.
    pub async fn own(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        cluster().await; // so that programs are built and former runs removed by one only
        // Each keeps its audit log until all are gone through, also where two have one name.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = runs::run_directory().join(format!("{name}-{number}"));
        let started = tokio::task::spawn_blocking(move || Self::start(&directory));
        started
            .await
            .unwrap()
            .unwrap_or_else(|reason| panic!("no cluster of its own for {name}: {reason}"))
    }

    /// A cluster with a node for one test alone, which may end it. Started again, it is another one.
    pub async fn own_with_node(name: &str) -> Self {
        Self::own_node(name, own_definitions()).await
    }

    /// [`Self::own_with_node`] without our definitions, which are the test's to install.
    pub async fn bare_with_node(name: &str) -> Self {
        Self::own_node(name, None).await
    }

    async fn own_node(name: &str, definitions: Option<PathBuf>) -> Self {
        node_cluster().await; // so that programs are built and former runs removed by one only
        let directory = runs::run_directory().join(name);
        let started = tokio::task::spawn_blocking(move || Self::start_with_node(&directory, definitions));
        started
            .await
            .unwrap()
            .unwrap_or_else(|reason| panic!("no cluster with a node of its own for {name}: {reason}"))
    }

    /// The process that keeps the cluster.
    pub fn id(&self) -> u32 {
        self.process.lock().unwrap().id()
    }

    /// What runs a command where the node's addresses, mounts and processes are.
    pub fn entering(&self) -> Vec<String> {
        let machine = fs::read_to_string(self.directory.join("machine.pid")).unwrap();
        let words = format!("nsenter --target {} --mount --net --pid --", machine.trim());
        words.split(' ').map(str::to_owned).collect()
    }

    /// Runs a command there, which must succeed, and gives what it printed.
    pub fn enter(&self, command: &[&str]) -> String {
        self.try_to_enter(command)
            .unwrap_or_else(|said| panic!("{command:?}: {said}"))
    }

    /// Runs a command there, and gives what it printed, or the errors of one that fails.
    pub fn try_to_enter(&self, command: &[&str]) -> Result<String, String> {
        let enter = self.entering();
        let output = Command::new(&enter[0])
            .args(&enter[1..])
            .args(command)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        if output.status.success() {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    }

    /// Ends the cluster as `make cluster-stop` does, also one that is not there any more.
    pub fn down(&self) {
        let status = Command::new(self.programs.join("control-plane"))
            .args(["down", "--directory"])
            .arg(&self.directory)
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits until the cluster has ended by itself, and gives what it said.
    pub async fn ended(&self) -> String {
        eventually("the cluster to have ended", async || {
            self.process.lock().unwrap().try_wait().unwrap()
        })
        .await;
        processes::tail(&self.directory.join("up.log"))
    }

    fn start(directory: &Path) -> Result<Self, String> {
        run(SCRIPT, "build")?;
        Self::start_built(directory, own_definitions(), |_| {})
    }

    fn start_with_node(directory: &Path, definitions: Option<PathBuf>) -> Result<Self, String> {
        let images = run(SCRIPT, "build-node")?;
        let operator = image()?;
        Self::start_built(directory, definitions, |command| {
            command
                .args(["--node", "--programs"])
                .arg(repository().join("target/cluster/bin"));
            for archive in images.lines().map(Path::new).chain([operator.as_path()]) {
                command.arg("--image").arg(archive);
            }
        })
    }

    fn start_built(directory: &Path, own: Option<PathBuf>, prepare: impl FnOnce(&mut Command)) -> Result<Self, String> {
        let peers = run(SCRIPT, "crds")?;
        let programs = repository().join("target/cluster/bin");
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let log = directory.join("up.log");
        let complain = |what: &str, error: io::Error| format!("{what}: {error}");
        let errors = File::create(&log).map_err(|error| complain("up.log", error))?;
        // Told to stop, and not killed: what a node leaves in the control groups is to be removed.
        let mut process = processes::spawn_until(Signal::Terminate, &programs.join("control-plane"), |command| {
            command.args(["up", "--stop-with-stdin", "--directory"]).arg(directory);
            for place in peers.lines().map(PathBuf::from).chain(own) {
                command.arg("--crds").arg(place);
            }
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
            prepare(command);
        })
        .map_err(|error| complain("starting the control plane", error))?;
        let output = process.stdout.take().expect("its output is a pipe");
        let mut answers = BufReader::new(output).lines();
        let kubeconfig = answers
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ready ").map(PathBuf::from))
            .ok_or_else(|| format!("the control plane did not start:\n{}", processes::tail(&log)))?;
        let kubeconfig = Kubeconfig::read_from(kubeconfig).map_err(|error| error.to_string())?;
        Ok(Self {
            directory: directory.to_owned(),
            programs,
            kubeconfig,
            process: Mutex::new(process),
            answers: Mutex::new(answers),
        })
    }

    /// Ends a component of the control plane, such as `kube-apiserver`, or starts it again: `order("stop", …)`, `order("start", …)`.
    pub fn order(&self, verb: &str, component: &str) {
        let order = format!("{verb} {component}");
        let mut process = self.process.lock().unwrap();
        writeln!(process.stdin.as_mut().unwrap(), "{order}").unwrap();
        let answer = self.answers.lock().unwrap().next().unwrap().unwrap();
        assert_eq!(answer, format!("done {order}"));
    }

    /// A client with every right.
    pub async fn client(&self) -> Client {
        Client::try_from(self.config().await).unwrap()
    }

    /// A client that acts as a service account, as a template's objects are written.
    pub async fn client_as(&self, namespace: &str, service_account: &str) -> Client {
        let mut config = self.config().await;
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:{service_account}"));
        Client::try_from(config).unwrap()
    }

    /// The configuration of [`Self::client`], to change before a client is made of it. It does not repeat
    /// requests that failed: a test wants to see the first answer.
    pub async fn config(&self) -> Config {
        // kube leaves the choice among several crypto providers to the program.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = Config::from_custom_kubeconfig(self.kubeconfig.clone(), &KubeConfigOptions::default())
            .await
            .unwrap();
        config
            .headers
            .push((http::header::USER_AGENT, http::HeaderValue::from_static(TESTS_AGENT)));
        config.default_retry = false;
        // It is on this machine, which kube asks a proxy for too where the environment names one.
        config.proxy_url = None;
        config
    }

    /// The kubeconfig of the administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// Where the cluster keeps its logs and state.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs the real kubectl as the administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_command(arguments).output().unwrap()
    }

    /// What [`Self::kubectl`] runs, for more to be said to it.
    pub fn kubectl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("kubectl"));
        command
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", &self.directory); // its cache of what the server knows is this cluster's
        command
    }

    /// Runs the real Helm as the administrator.
    pub fn helm(&self, arguments: &[&str]) -> Output {
        static BUILT: OnceLock<Result<String, String>> = OnceLock::new();
        let built = BUILT.get_or_init(|| run(SCRIPT, "helm"));
        assert!(built.is_ok(), "{built:?}");
        Command::new(self.programs.join("helm"))
            .args(arguments)
            .current_dir(repository())
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", &self.directory)
            .output()
            .unwrap()
    }

    /// The process ids of its components, by their names.
    pub fn processes(&self) -> BTreeMap<String, u32> {
        let control_plane = self.process.lock().unwrap().id().to_string();
        let running = fs::read_dir("/proc").into_iter().flatten().flatten();
        let component = |entry: fs::DirEntry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let is_child = stat.rsplit_once(") ")?.1.split(' ').nth(1) == Some(control_plane.as_str());
            // All of them are one program, which goes by the name that it was called by.
            let command = fs::read_to_string(entry.path().join("cmdline")).ok()?;
            let name = command.split('\0').next().filter(|_| is_child)?;
            Some((
                name.rsplit('/').next()?.to_owned(),
                entry.file_name().to_str()?.parse().ok()?,
            ))
        };
        running.filter_map(component).collect()
    }

    /// What the apiserver was asked.
    pub fn audit(&self) -> Audit<'_> {
        Audit::new(self)
    }

    /// Makes a namespace that no other test uses and gives its name.
    pub async fn namespace(&self, prefix: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        Api::all(self.client().await)
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        name
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap();
        drop(process.stdin.take());
        let _ = process.wait();
    }
}

/// Builds the operator's image, compiled as the tests are unless `LANDFALL_IMAGE_PROFILE` says otherwise, and gives
/// its archive.
pub fn image() -> Result<PathBuf, String> {
    let profile = std::env::var("LANDFALL_IMAGE_PROFILE").unwrap_or_else(|_| "dev".to_owned());
    let archive = run_with("deploy/image", "archive", &[("LANDFALL_IMAGE_PROFILE", &profile)])?;
    Ok(repository().join(archive.trim()))
}

/// Where a program is that takes long to build, if it was built: what `tests/cluster/cluster NAME --where` says.
pub fn built(name: &str) -> Option<PathBuf> {
    let output = Command::new(repository().join(SCRIPT)).args([name, "--where"]).output();
    let place = PathBuf::from(String::from_utf8(output.unwrap().stdout).unwrap().trim_end());
    place.is_file().then_some(place)
}

/// Our own definitions, as `make generate` has written them.
fn own_definitions() -> Option<PathBuf> {
    Some(repository().join("crds")).filter(|directory| directory.is_dir())
}

/// The script that builds and starts clusters.
const SCRIPT: &str = "tests/cluster/cluster";

/// Runs a script that builds; what it says goes to the terminal, since a first build takes minutes.
fn run(script: &str, command: &str) -> Result<String, String> {
    run_with(script, command, &[])
}

fn run_with(script: &str, command: &str, environment: &[(&str, &str)]) -> Result<String, String> {
    let output = Command::new(repository().join(script))
        .arg(command)
        .envs(environment.iter().copied())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{script}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "{script} {command} failed ({}): see what it wrote above",
            output.status
        ))
    }
}
