//! `landfall import --from` against a stand-in for a running Backstage, which answers `GET /api/catalog/entities/by-query` as
//! its API description has it (plugins/catalog-backend/src/schema/openapi.yaml), and as servers
//! answer that are ill. The real one needs Node and a build of its own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // In a test, they are how it fails.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use landfall::catalog::yaml::Limits;
use program::{Said, run};
use serde_json::{Value, json};

#[path = "program/mod.rs"]
mod program;

/// What was asked: target, and headers in lower case.
type Request = (String, HashMap<String, String>);

/// A server that answers each request by `answer`, with raw bytes.
struct Peer {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Peer {
    fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                while let Some(request) = read(&mut stream) {
                    let bytes = answer(&request.0);
                    seen.lock().unwrap().push(request);
                    let _ = stream.write_all(&bytes);
                    if !bytes.windows(10).any(|window| window == b"keep-alive") {
                        break;
                    }
                }
            }
        });
        Self { address, requests }
    }

    fn targets(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .map(|(target, _)| target.clone())
            .collect()
    }
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let target = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    Some((target, headers))
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: keep-alive\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

fn page(items: &[Value], next: Option<&str>) -> Vec<u8> {
    let mut page = json!({"items": items, "pageInfo": {}});
    if let Some(next) = next {
        page["pageInfo"]["nextCursor"] = next.into();
    }
    answer("200 OK", "", &page.to_string())
}

fn entity(name: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {
            "name": name, "namespace": "default", "uid": "2e1b", "etag": "9a", "annotations": {
                "backstage.io/managed-by-location": "url:https://git.example/a/catalog-info.yaml",
                "backstage.io/managed-by-origin-location": "url:https://git.example/all.yaml",
                "backstage.io/view-url": "https://git.example/a",
            },
        },
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-a"},
        "relations": [{"type": "ownedBy", "targetRef": "group:default/team-a"}],
    })
}

fn import(from: &str, more: &[&str], token: Option<&str>) -> (i32, Vec<Value>, String) {
    let mut command = program::landfall(&["import", "--from", from]);
    command.args(more).env_remove("LANDFALL_BACKSTAGE_TOKEN");
    if let Some(token) = token {
        command.env("LANDFALL_BACKSTAGE_TOKEN", token);
    }
    let Said { code, output, errors } = run(&mut command, "");
    // What is kept aside lies deeper in a resource than it did.
    let limits = Limits {
        depth: 105,
        ..Limits::default()
    };
    (code, program::values(&output, limits), errors)
}

#[test]
fn every_page_is_read_and_what_is_about_the_other_catalog_is_left_there() {
    let peer = Peer::start(|target| match target {
        "/api/catalog/entities/by-query?limit=500" => page(&[entity("a"), entity("b_c")], Some("x+/=&y")),
        "/api/catalog/entities/by-query?limit=500&cursor=x%2B%2F%3D%26y" => {
            page(&[entity("d"), json!({"kind": "Broken"})], Some("2"))
        }
        "/api/catalog/entities/by-query?limit=500&cursor=2" => page(
            &[
                json!({"apiVersion": "backstage.io/v1alpha1", "kind": "AiResource", "metadata": {"name": "skill", "namespace": "default", "uid": "1"}, "spec": {"type": "skill"}}),
            ],
            None,
        ),
        other => panic!("{other}"),
    });
    let token = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("token");
    std::fs::write(&token, "secret\n").unwrap();
    let (code, resources, errors) = import(
        &format!("{}/", peer.address),
        &["--token-file", token.to_str().unwrap()],
        None,
    );
    let names: Vec<&Value> = resources.iter().map(|resource| &resource["metadata"]["name"]).collect();
    assert_eq!(names, ["a", "b-c", "d", "skill"], "{errors}");
    assert_eq!(
        resources[0],
        json!({
            "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
            "metadata": {"name": "a", "namespace": "default", "annotations": {
                "backstage.io/source-location": "url:https://git.example/a/catalog-info.yaml", "backstage.io/view-url": "https://git.example/a",
            }},
            "spec": {"type": "service", "lifecycle": "production", "owner": "team-a", "extensions": {"metadata": {"namespace": "default"}}},
        })
    );
    assert_eq!(code, 1, "one was broken");
    assert!(errors.contains("broken:default/?: apiVersion is missing"), "{errors}");
    assert!(
        errors.contains("component:default/b_c: note: b_c is the object b-c"),
        "{errors}"
    );
    let requests = peer.requests.lock().unwrap();
    assert_eq!(requests.len(), 3);
    for (_, headers) in requests.iter() {
        assert_eq!(headers.get("authorization").map(String::as_str), Some("Bearer secret"));
    }
}

#[test]
#[allow(clippy::too_many_lines)] // A table.
fn an_answer_that_is_none_is_said_and_nothing_is_imported() {
    type Answer = fn(&str) -> Vec<u8>;
    let table: [(&str, Answer, &str); 11] = [
        (
            "401",
            |_| {
                answer(
                    "401 Unauthorized",
                    "",
                    "{\"error\": {\"message\": \"Missing\\u001b credentials\"}}",
                )
            },
            "answers 401 Unauthorized; give a token with --token-file or in LANDFALL_BACKSTAGE_TOKEN; nothing was imported. It says: {\"error\"",
        ),
        (
            "404",
            |_| answer("404 Not Found", "", "<html>"),
            "answers 404 Not Found; is it the address of the backend?",
        ),
        (
            "500",
            |_| answer("500 Internal Server Error", "", "out of\nmemory"),
            "answers 500 Internal Server Error; nothing was imported. It says: out of memory",
        ),
        (
            "500 on the second page",
            |target| {
                if target.contains("cursor") {
                    answer("500 Internal Server Error", "", "")
                } else {
                    page(&[entity("a")], Some("1"))
                }
            },
            "answers 500 Internal Server Error",
        ),
        (
            "no JSON",
            |_| answer("200 OK", "", "<html>Sign in</html>"),
            "does not answer as Backstage's catalog does",
        ),
        (
            "cut off",
            |_| b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"items\": [".to_vec(),
            "was cut off, or has more than 64 MiB",
        ),
        ("nothing", |_| Vec::new(), "cannot be reached"),
        (
            "no end",
            |_| page(&[entity("a")], Some("1")),
            "gives the same page again, and so has no end",
        ),
        (
            "fewer than it says",
            |_| {
                answer(
                    "200 OK",
                    "",
                    &json!({"items": [entity("a")], "totalItems": 100, "pageInfo": {}}).to_string(),
                )
            },
            "says that it has 100 entities, and gave 1 and no more to ask for; nothing was imported",
        ),
        (
            "empty pages without end",
            |target| {
                page(
                    &[],
                    Some(&format!("{}x", target.rsplit('=').next().unwrap_or_default())),
                )
            },
            "gives 10 pages without an entity one after another, and always another to ask for; nothing was imported",
        ),
        (
            "round and round",
            |target| answer("302 Found", &format!("location: {target}\r\n"), ""),
            "redirects more than 5 times",
        ),
    ];
    for (name, answer, expected) in table {
        let peer = Peer::start(answer);
        let (code, resources, errors) = import(&peer.address, &[], None);
        assert!(errors.contains(expected), "{name}: {errors}");
        assert!(!errors.contains('\u{1b}'), "{name}");
        assert_eq!((code, resources.len()), (1, 0), "{name}");
        assert!(peer.targets().len() <= 10, "{name}: {:?}", peer.targets());
    }
    let (_, _, errors) = import(
        &Peer::start(|_| answer("403 Forbidden", "", "")).address,
        &[],
        Some("x"),
    );
    assert!(
        errors.contains("answers 403 Forbidden; the token is not good for this"),
        "{errors}"
    );
    let (_, _, errors) = import("http://127.0.0.1:1", &[], None);
    assert!(errors.contains("http://127.0.0.1:1/ cannot be reached: "), "{errors}");
    for bad in [
        "backstage",
        "ftp://a.example",
        "https://user:secret@a.example",
        "http://",
    ] {
        let (code, _, errors) = import(bad, &[], None);
        assert!(code == 1 && errors.contains("address"), "{bad}: {errors}");
        assert!(bad.contains("secret") || !errors.contains("secret"));
    }
}

#[test]
fn an_entity_that_cannot_be_read_is_named_and_the_others_are_imported() {
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let with = |name: &str, value: &str| {
        let mut entity = entity(name);
        entity["metadata"]["x"] = json!("HERE");
        entity.to_string().replace("\"HERE\"", value)
    };
    // The descriptor itself, its metadata and what is in that are levels too.
    let items = [
        with("cut", "\"\\ud83d x\""),
        with("far", "1e999"),
        with("deepest", &deep(98)),
        with("deeper", &deep(99)),
        with("abyss", &deep(5000)),
        with("last", "1"),
    ];
    let body = format!(
        "{{\"items\": [{}], \"totalItems\": {}, \"pageInfo\": {{}}}}",
        items.join(", "),
        items.len()
    );
    let peer = Peer::start(move |_| answer("200 OK", "", &body));
    let (code, resources, errors) = import(&peer.address, &[], None);
    let names: Vec<&Value> = resources.iter().map(|resource| &resource["metadata"]["name"]).collect();
    assert_eq!(names, ["cut", "deepest", "last"], "{errors}");
    assert_eq!(resources[0]["spec"]["extensions"]["metadata"]["x"], "\u{fffd} x");
    for line in [
        "component:default/cut: note: 1 halves of characters",
        "component:default/far: it cannot be read: number out of range",
        "component:default/deeper: values are nested more than 100 deep",
        "component:default/abyss: values are nested more than 127 deep",
        "3 imported, 3 faults",
    ] {
        assert!(errors.contains(line), "{line}: {errors}");
    }
    assert_eq!(code, 1);
}

/// A server that answers some requests for each target by `refusal`, and then as it should.
fn puts_off(times: usize, refusal: &'static str, headers: &'static str) -> Peer {
    let asked: Mutex<HashMap<String, usize>> = Mutex::default();
    Peer::start(move |target| {
        let mut asked = asked.lock().unwrap();
        let count = asked.entry(target.to_owned()).or_default();
        *count += 1;
        if *count <= times {
            return answer(refusal, headers, "busy");
        }
        if target.contains("cursor") {
            page(&[entity("b")], None)
        } else {
            page(&[entity("a")], Some("1"))
        }
    })
}

#[test]
fn one_that_puts_a_page_off_is_asked_again_when_it_says_and_not_for_ever() {
    for refusal in [
        "429 Too Many Requests",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
    ] {
        let peer = puts_off(2, refusal, "retry-after: 0\r\n");
        let (code, resources, errors) = import(&peer.address, &[], None);
        assert_eq!((code, resources.len()), (0, 2), "{refusal}: {errors}");
        assert_eq!(peer.targets().len(), 6, "{refusal}: {:?}", peer.targets());
        let note = format!("note: it answers {refusal}; asking again in 0.0 s");
        assert_eq!(errors.matches(&note).count(), 4, "{errors}");
    }
    // It is left alone for as long as it says, and for a little where it says nothing that is a number.
    for (headers, least) in [("retry-after: 2\r\n", 2000), ("retry-after: soon\r\n", 500), ("", 500)] {
        let begin = std::time::Instant::now();
        let peer = puts_off(1, "503 Service Unavailable", headers);
        let (code, resources, errors) = import(&peer.address, &[], None);
        assert_eq!((code, resources.len()), (0, 2), "{headers}: {errors}");
        assert!(begin.elapsed().as_millis() >= 2 * least, "{headers}: {errors}");
    }
    let peer = puts_off(usize::MAX, "503 Service Unavailable", "retry-after: 0\r\n");
    let (code, resources, errors) = import(&peer.address, &[], None);
    assert_eq!((code, resources.len(), peer.targets().len()), (1, 0, 5), "{errors}");
    assert!(
        errors.contains("answers 503 Service Unavailable; nothing was imported. It says: busy"),
        "{errors}"
    );
    let peer = puts_off(1, "429 Too Many Requests", "retry-after: 3600\r\n");
    let (code, resources, errors) = import(&peer.address, &[], None);
    assert_eq!((code, resources.len(), peer.targets().len()), (1, 0, 1), "{errors}");
    assert!(
        errors.contains("it asks to be left alone for 3600 s, and the longest that is waited is 60 s"),
        "{errors}"
    );
}

#[test]
fn one_that_does_not_answer_is_waited_for_no_longer_than_is_said() {
    let peer = Peer::start(|_| {
        thread::sleep(std::time::Duration::from_secs(20));
        Vec::new()
    });
    let begin = std::time::Instant::now();
    let (code, _, errors) = import(&peer.address, &["--timeout", "1"], None);
    assert!(code == 1 && errors.contains("did not answer within 1 s"), "{errors}");
    assert!(begin.elapsed().as_secs() < 15);
}

#[test]
fn a_redirect_is_followed_with_the_host_and_the_token_goes_nowhere_else() {
    let peer = Peer::start(|target| match target {
        "/api/catalog/entities/by-query?limit=500" => answer(
            "308 Permanent Redirect",
            "location: /backstage/api/catalog/entities/by-query?limit=500\r\n",
            "",
        ),
        "/backstage/api/catalog/entities/by-query?limit=500" => page(&[entity("a")], None),
        other => panic!("{other}"),
    });
    let (code, resources, errors) = import(&peer.address, &[], Some("secret"));
    assert_eq!((code, resources.len()), (0, 1), "{errors}");
    let other = Peer::start(|_| page(&[entity("stolen")], None));
    let elsewhere = format!("location: {}/api/catalog/entities/by-query\r\n", other.address);
    let peer = Peer::start(move |_| answer("302 Found", &elsewhere, ""));
    let (code, resources, errors) = import(&peer.address, &[], Some("secret"));
    assert_eq!((code, resources.len()), (1, 0));
    assert!(
        errors.contains("another host, which was not asked; if that is right, name it with --from"),
        "{errors}"
    );
    assert_eq!(other.targets(), Vec::<String>::new());
}

#[test]
fn a_catalog_behind_a_proxy_is_asked_by_way_of_it() {
    let import = |from: &str, variables: &[(&str, &str)]| {
        let mut command = program::landfall(&["import", "--from", from]);
        for variable in [
            "HTTPS_PROXY",
            "https_proxy",
            "HTTP_PROXY",
            "http_proxy",
            "NO_PROXY",
            "no_proxy",
        ] {
            command.env_remove(variable);
        }
        run(command.envs(variables.iter().copied()), "")
    };
    let within = |address: &str| address.replace("http://", "http://jane:s3cr%40t@");
    // Requests in the open are the proxy's to pass on, so it is told the whole address.
    let whole = "http://backstage.example/api/catalog/entities/by-query?limit=500";
    let proxy = Peer::start(move |target| {
        if target == whole {
            page(&[entity("a")], None)
        } else {
            answer("404 Not Found", "", "")
        }
    });
    let said = import("http://backstage.example", &[("HTTP_PROXY", &within(&proxy.address))]);
    assert_eq!(
        (said.code, proxy.targets()),
        (0, vec![whole.to_owned()]),
        "{}",
        said.errors
    );
    let (_, headers) = proxy.requests.lock().unwrap().remove(0);
    assert_eq!(headers["proxy-authorization"], "Basic amFuZTpzM2NyQHQ=");
    assert_eq!(headers["host"], "backstage.example");

    let refusing = Peer::start(|_| answer("407 Proxy Authentication Required", "", ""));
    let address = within(&refusing.address);
    for (from, variable, target) in [
        ("http://backstage.example", "http_proxy", "backstage.example:80"),
        ("https://backstage.example", "HTTPS_PROXY", "backstage.example:443"),
    ] {
        let said = import(from, &[(variable, &address)]);
        let expected = format!(
            "{target} was not reached through the proxy {} ({variable}): it answers 407 Proxy Authentication Required; it does not take",
            refusing.address
        );
        assert!(said.code == 1 && said.errors.contains(&expected), "{}", said.errors);
        assert!(
            said.output.is_empty() && !said.errors.contains("s3cr"),
            "{}",
            said.errors
        );
    }
    let asked = refusing.targets();
    assert_eq!(asked, [whole, "backstage.example:443"]);

    // What needs no proxy, or is on this machine, is asked itself; 0.0.0.0 leads to this machine without being said to.
    let peer = Peer::start(|_| page(&[entity("a")], None));
    let port = peer.address.rsplit_once(':').unwrap().1;
    let nobody = ("HTTP_PROXY", "http://127.0.0.1:1");
    for (from, variables) in [
        (peer.address.clone(), &[nobody][..]),
        (format!("http://localhost:{port}"), &[nobody]),
        (format!("http://0.0.0.0:{port}"), &[nobody, ("NO_PROXY", "0.0.0.0")]),
    ] {
        let said = import(&from, variables);
        assert_eq!(said.code, 0, "{from}: {}", said.errors);
    }
    assert_eq!(peer.targets(), ["/api/catalog/entities/by-query?limit=500"; 3]);
}
