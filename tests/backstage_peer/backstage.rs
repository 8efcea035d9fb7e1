//! A real Backstage in a process of its own, with its database in memory.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What its catalog is read with.
pub const TOKEN: &str = "landfall-reads-this-catalog";
/// How long it may take until another entity is there.
const PATIENCE: Duration = Duration::from_mins(2);
/// What it warns of that is about this way to run it: none is elsewhere that it could not reach, or that listens to
/// its events, and it is asked before it has started.
const EXPECTED: [&str; 3] = [
    "events backend not found",
    "backend.baseUrl is set to a localhost URL",
    "Service has not started up yet",
];
/// What it logs with the faults of an entity.
const ENTITY_FAULT: &str = "Event received: topic=experimental.catalog.errors";

/// Not by a macro: what those print of a test that passes is thrown away.
pub fn print(text: &str) {
    std::io::stderr().write_all(format!("\n{text}\n\n").as_bytes()).unwrap();
}

/// Where Backstage was installed, if it was.
pub fn installed() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/backstage/build");
    let output = Command::new(script).arg("--where").output().unwrap();
    let place = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end());
    (output.status.success() && place.is_dir()).then_some(place)
}

/// One that runs.
pub struct Backstage {
    pub address: String,
    process: Child,
    log: PathBuf,
}

impl Drop for Backstage {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Backstage {
    /// One whose catalog is what `locations` hold. Its configuration and its log go to `folder`.
    pub fn start(installed: &Path, folder: &Path, name: &str, locations: &[PathBuf]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("http://127.0.0.1:{port}");
        let locations: Vec<Value> = locations
            .iter()
            .map(|file| json!({"type": "file", "target": file}))
            .collect();
        let configuration = json!({
            "app": {"title": name, "baseUrl": address},
            "organization": {"name": "Landfall"},
            "backend": {
                "baseUrl": address,
                "listen": {"host": "127.0.0.1", "port": port},
                "database": {"client": "better-sqlite3", "connection": ":memory:"},
                "auth": {"externalAccess": [{"type": "static", "options": {"token": TOKEN, "subject": "landfall"}}]},
            },
            "catalog": {
                // Each entity is processed once.
                "processingInterval": {"hours": 1},
                "rules": [{"allow": ["AiResource", "API", "Component", "Domain", "Group", "Location", "Resource", "System", "Template", "User"]}],
                "locations": locations,
            },
        });
        let file = folder.join(format!("{name}.yaml"));
        fs::write(&file, configuration.to_string()).unwrap();
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).unwrap();
        let process = Command::new("node")
            .arg(installed.join("index.js"))
            .args(["--config", file.to_str().unwrap()])
            .current_dir(installed)
            // It then logs in JSON.
            .env("NODE_ENV", "production")
            // What is wrong with an entity it logs at this level alone.
            .env("LOG_LEVEL", "debug")
            // It ends when this ends.
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { address, process, log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Status and body of an answer.
    fn get(&self, target: &str) -> Result<(u16, Value), String> {
        let host = self.address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).map_err(|error| error.to_string())?;
        // By HTTP 1.0, the answer ends with the connection and comes in one piece.
        write!(
            stream,
            "GET {target} HTTP/1.0\r\nhost: {host}\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
        )
        .map_err(|error| error.to_string())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer
            .split_once("\r\n\r\n")
            .and_then(|(_, body)| serde_json::from_str(body).ok());
        status.zip(body).ok_or(answer)
    }

    /// Waits until the catalog has so many entities.
    pub fn wait_for(&self, count: usize) {
        let (mut since, mut last) = (Instant::now(), Value::Null);
        loop {
            let answer = self.get("/api/catalog/entities/by-query?limit=0");
            if let Ok((200, page)) = &answer {
                if page["totalItems"] == count {
                    return;
                }
                if page["totalItems"] != last {
                    (since, last) = (Instant::now(), page["totalItems"].clone());
                }
            }
            assert!(
                since.elapsed() < PATIENCE,
                "Backstage has not {count} entities but {answer:?}:\n{}\n{}",
                self.trouble().join("\n"),
                self.log().lines().rev().take(20).collect::<Vec<_>>().join("\n")
            );
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// All entities, as its API gives them.
    pub fn entities(&self) -> Vec<Value> {
        let (mut found, mut query) = (Vec::new(), "limit=200".to_owned());
        loop {
            let (status, page) = self.get(&format!("/api/catalog/entities/by-query?{query}")).unwrap();
            assert_eq!(status, 200, "{page}");
            found.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["pageInfo"]["nextCursor"].as_str() {
                // It is of base 64.
                Some(cursor) => query = format!("limit=200&cursor={}", cursor.replace('+', "%2B").replace('=', "%3D")),
                None => return found,
            }
        }
    }

    /// The lines of its log that are warnings or worse, or say that something is wrong with an entity.
    fn trouble(&self) -> Vec<String> {
        self.log()
            .lines()
            .filter(|line| {
                let line: Value = serde_json::from_str(line).unwrap_or_default();
                let message = line["message"].as_str().unwrap_or_default();
                let bad = matches!(line["level"].as_str(), Some("warn" | "error")) || message.contains(ENTITY_FAULT);
                bad && !EXPECTED.iter().any(|expected| message.contains(expected))
            })
            .map(str::to_owned)
            .collect()
    }

    /// That it took every entity without a word.
    pub fn assert_nothing_was_refused(&self) {
        assert_eq!(self.trouble(), Vec::<String>::new());
        for entity in self.entities() {
            assert!(
                entity
                    .get("status")
                    .is_none_or(|status| status["items"].as_array().is_none_or(Vec::is_empty)),
                "{entity}"
            );
        }
    }

    /// How often the catalog was asked by the program whose name begins so.
    pub fn requests_of(&self, program: &str) -> usize {
        let by = format!("\"userAgent\":\"{program}");
        self.log().lines().filter(|line| line.contains(&by)).count()
    }
}
