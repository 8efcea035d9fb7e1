//! Gitea, a real Git server, where the node's addresses are, so that it reaches Services and pods reach it. `tests/cluster/cluster gitea`
//! builds it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::peer::Git;
use crate::support::{Cluster, eventually, repository, spawn, tail};

/// Where it answers: at the node's address, which is seen by nothing but the node and its pods.
pub const URL: &str = "http://10.2.0.1:3000";
/// Its only user, `tests` with password `tests-only`, as HTTP's basic authentication has it.
const AUTHORIZATION: &str = "Authorization: Basic dGVzdHM6dGVzdHMtb25seQ==";

/// A running Gitea. It ends with the node.
pub struct Gitea<'c> {
    cluster: &'c Cluster,
    directory: PathBuf,
    process: Child,
}

impl<'c> Gitea<'c> {
    /// Starts it, and waits until it answers.
    pub async fn start(program: &Path, cluster: &'c Cluster) -> Self {
        let directory = cluster.directory().join("gitea");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("app.ini"), settings(&directory)).unwrap();
        let command = |arguments: &[&str]| {
            let (program, file) = (program.to_str().unwrap(), directory.join("app.ini"));
            let words = [&[program, "--config", file.to_str().unwrap()], arguments].concat();
            unprivileged(&directory, &words)
        };
        let run = |arguments: &[&str]| {
            let command = command(arguments);
            cluster.enter(&command.iter().map(String::as_str).collect::<Vec<_>>());
        };
        run(&["migrate"]);
        let user = ["--username=tests", "--password=tests-only", "--email=tests@example.com"];
        let options = ["--admin", "--must-change-password=false"];
        run(&[&["admin", "user", "create"][..], &user, &options].concat());

        let log = directory.join("gitea.log");
        let output = File::create(&log).unwrap();
        let enter = cluster.entering();
        let process = spawn(Path::new(&enter[0]), |process| {
            process
                .args(&enter[1..])
                .args(command(&["web"]))
                .stdin(Stdio::null())
                .stdout(output.try_clone().unwrap())
                .stderr(output);
        });
        let gitea = Self {
            cluster,
            directory,
            process: process.unwrap(),
        };
        eventually("Gitea to answer", async || {
            let version = format!("{URL}/api/v1/version");
            let answer = cluster.try_to_enter(&["busybox", "wget", "-q", "-O", "-", &version]);
            answer.map_err(|said| format!("{said}\n{}", tail(&log)))
        })
        .await;
        gitea
    }

    /// Has it make something by its interface for programs.
    fn make(&self, path: &str, what: &Value) {
        let (url, what) = (format!("{URL}/api/v1/{path}"), what.to_string());
        let headers = ["--header", AUTHORIZATION, "--header", "Content-Type: application/json"];
        let send = ["busybox", "wget", "-q", "-O", "-"];
        self.cluster
            .enter(&[&send[..], &headers, &["--post-data", &what, &url]].concat());
    }

    /// An organization, which has repositories.
    pub fn organization(&self, name: &str) {
        self.make("orgs", &json!({"username": name}));
    }

    /// A repository, empty, and one on this side that is pushed to it.
    pub fn repository(&self, organization: &str, name: &str) -> Git {
        self.make(&format!("orgs/{organization}/repos"), &json!({"name": name}));
        let git = Git::new(&self.directory.join("work").join(name));
        git.run(&["remote", "add", "origin", &format!("{URL}/{organization}/{name}.git")]);
        git
    }

    /// Has every push to a repository, named with its organization, announced to a URL, signed with a key.
    pub fn webhook(&self, repository: &str, url: &str, key: &str) {
        self.make(
            &format!("repos/{repository}/hooks"),
            &json!({
                "type": "gitea", "active": true, "events": ["push"],
                "config": {"url": url, "content_type": "json", "secret": key},
            }),
        );
    }

    /// Commits what was written and pushes it to a branch over HTTP; gives the commit.
    pub fn push(&self, git: &Git, branch: &str) -> String {
        git.commit();
        let header = format!("http.extraHeader={AUTHORIZATION}");
        let place = git.place().to_str().unwrap();
        let git_alone = ["env", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "git"];
        let to = format!("HEAD:refs/heads/{branch}");
        let push = ["-C", place, "-c", &header, "push", "--quiet", "origin", &to];
        self.cluster.enter(&[&git_alone[..], &push].concat());
        git.head()
    }
}

/// Gitea refuses to be root. The user that it is here is none to itself alone: to files it is still who runs the tests, whose folders
/// nobody else may be able to read.
fn unprivileged(home: &Path, command: &[&str]) -> Vec<String> {
    let home = format!("HOME={}", home.display());
    let user = [
        "unshare",
        "--user",
        "--map-user=65534",
        "--map-group=65534",
        "--",
        "env",
        "USER=nobody",
        &home,
    ];
    user.iter().chain(command).map(ToString::to_string).collect()
}

/// What its file of settings says.
fn settings(directory: &Path) -> String {
    let script = repository().join("tests/cluster/cluster");
    let output = Command::new(script).arg("gitea-files").output().unwrap();
    let files = String::from_utf8(output.stdout).unwrap();
    let (files, place) = (files.trim_end(), directory.display());
    let (address, port) = URL.strip_prefix("http://").unwrap().split_once(':').unwrap();
    format!(
        "RUN_USER = nobody
RUN_MODE = prod
WORK_PATH = {place}
[server]
HTTP_ADDR = {address}
HTTP_PORT = {port}
ROOT_URL = {URL}/
STATIC_ROOT_PATH = {files}
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
[security]
INSTALL_LOCK = true
[repository]
DEFAULT_BRANCH = main
[webhook]
ALLOWED_HOST_LIST = private
[actions]
ENABLED = false
[log]
MODE = console
"
    )
}
