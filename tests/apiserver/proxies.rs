//! Proxies between this machine and the cluster: commands and the operator go by them where kubectl does, and say so where they
//! do not lead there.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::import::program;
use crate::support::{Cluster, Operator, Stage, cluster, eventually};

/// What tells of proxies.
const VARIABLES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// What a proxy does with those who ask it.
#[derive(Clone, Copy)]
enum Conduct {
    /// It leads to this port of this machine, whatever it is asked for.
    LeadsTo(u16),
    /// It does so for those who speak SOCKS 5.
    LeadsSocksTo(u16),
    /// It refuses by this status.
    Answers(&'static str),
}

/// A proxy, which lives as long as this process.
struct Proxy {
    port: u16,
    /// What it was asked, as it was written.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(conduct: Conduct) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, seen) = (stream.unwrap(), seen.clone());
                // One who goes away in the middle is no fault of the proxy's.
                thread::spawn(move || drop(lead(stream, conduct, &seen)));
            }
        });
        Self { port, asked }
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it was asked since this was called last.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn lead(mut client: TcpStream, conduct: Conduct, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let port = match conduct {
        Conduct::LeadsTo(port) => {
            asked.lock().unwrap().push(head(&mut client)?);
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            port
        }
        Conduct::LeadsSocksTo(port) => {
            asked.lock().unwrap().push(socks(&mut client)?);
            port
        }
        Conduct::Answers(status) => {
            asked.lock().unwrap().push(head(&mut client)?);
            return write!(
                client,
                "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
        }
    };
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        to_client.shutdown(std::net::Shutdown::Write)
    });
    io::copy(&mut client, &mut server)?;
    server.shutdown(std::net::Shutdown::Write)
}

fn head(client: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        bytes.extend(byte);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// RFC 1928, without authentication and for names alone.
fn socks(client: &mut TcpStream) -> io::Result<String> {
    let mut take = |count: usize| {
        let mut bytes = vec![0; count];
        client.read_exact(&mut bytes).map(|()| bytes)
    };
    let greeting = take(2)?;
    take(greeting[1].into())?;
    client.write_all(&[5, 0])?;
    let mut take = |count: usize| {
        let mut bytes = vec![0; count];
        client.read_exact(&mut bytes).map(|()| bytes)
    };
    let request = take(5)?;
    assert_eq!(request[..4], [5, 1, 0, 3], "connect to a name");
    let name = take(request[4].into())?;
    let port = take(2)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let port = u16::from_be_bytes([port[0], port[1]]);
    Ok(format!("SOCKS {}:{port}", String::from_utf8_lossy(&name)))
}

/// The port of the apiserver.
fn port(cluster: &Cluster) -> u16 {
    let config = kubeconfig(cluster);
    let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap();
    server
        .rsplit_once(':')
        .unwrap()
        .1
        .trim_end_matches('/')
        .parse()
        .unwrap()
}

fn kubeconfig(cluster: &Cluster) -> Value {
    let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    program::values(&text, landfall::catalog::yaml::Limits::default()).remove(0)
}

/// The administrator's kubeconfig, by another address of the apiserver, and with this for `proxy-url`.
fn leading(cluster: &Cluster, name: &str, host_and_port: &str, proxy: Option<&str>) -> PathBuf {
    let mut config = kubeconfig(cluster);
    let entry = &mut config["clusters"][0]["cluster"];
    entry["server"] = json!(format!("https://{host_and_port}"));
    entry["tls-server-name"] = json!("127.0.0.1");
    if let Some(proxy) = proxy {
        entry["proxy-url"] = json!(proxy);
    }
    let place = cluster.directory().join(format!("{name}.proxied-kubeconfig"));
    std::fs::write(&place, config.to_string()).unwrap();
    place
}

fn clean<'c>(command: &'c mut Command, variables: &[(&str, &str)]) -> &'c mut Command {
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.envs(variables.iter().copied())
}

/// Exported with these variables in the environment.
fn export(kubeconfig: &PathBuf, variables: &[(&str, &str)]) -> program::Said {
    let mut command = program::landfall(&["export", "--kind", "group", "-n", "nowhere"]);
    program::run(clean(&mut command, variables).env("KUBECONFIG", kubeconfig), "")
}

/// The apiserver's host, `proxy-url`, the variables, and whether the proxy is asked.
type Way<'w> = (&'w str, Option<&'w str>, &'w [(&'w str, &'w str)], bool);

#[tokio::test]
async fn a_command_goes_by_a_proxy_where_kubectl_does() {
    let cluster = cluster().await;
    let port = port(cluster);
    let proxy = Proxy::start(Conduct::LeadsTo(port));
    let address = proxy.address();
    let address = address.as_str();
    // Nobody is there: who asks it fails.
    let nobody = "http://127.0.0.1:1";
    let near = format!("0.0.0.0:{port}");
    let near_alone = format!("/var/run/docker.sock,,{near},");
    let ways: [Way<'_>; 11] = [
        ("cluster.example", None, &[("HTTPS_PROXY", address)], true),
        (
            "cluster.example",
            None,
            &[("https_proxy", address), ("HTTP_PROXY", nobody)],
            true,
        ),
        ("cluster.example", Some(address), &[("HTTPS_PROXY", nobody)], true),
        (
            &near,
            None,
            &[("HTTPS_PROXY", address), ("NO_PROXY", "example,10.0.0.0/8,127.0.0.1")],
            true,
        ),
        (
            &near,
            None,
            &[("HTTPS_PROXY", nobody), ("NO_PROXY", "10.0.0.0/8, 0.0.0.0/8")],
            false,
        ),
        (
            &near,
            None,
            &[("HTTPS_PROXY", nobody), ("no_proxy", &near_alone)],
            false,
        ),
        (&near, None, &[("HTTPS_PROXY", nobody), ("NO_PROXY", "*")], false),
        (&near, Some(address), &[("NO_PROXY", "*")], true),
        (&near, None, &[("HTTP_PROXY", nobody)], false),
        ("127.0.0.1", None, &[("HTTPS_PROXY", nobody)], false),
        ("127.0.0.1", Some(address), &[], true),
    ];
    for (at, (host, configured, variables, asks)) in ways.into_iter().enumerate() {
        let target = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:{port}")
        };
        let kubeconfig = leading(cluster, &format!("way-{at}"), &target, configured);
        let way = format!("{target} proxy-url {configured:?} {variables:?}");
        let said = export(&kubeconfig, variables);
        assert_eq!((said.code, said.errors.as_str()), (0, ""), "{way}");
        let asked = proxy.asked();
        assert_eq!(!asked.is_empty(), asks, "{way}: {asked:?}");
        assert!(
            asked
                .iter()
                .all(|head| head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n"))),
            "{way}: {asked:?}"
        );
        let mut kubectl = cluster.kubectl_command(&["get", "--raw", "/version"]);
        let output = clean(&mut kubectl, variables)
            .env("KUBECONFIG", &kubeconfig)
            .output()
            .unwrap();
        assert!(output.status.success(), "kubectl, {way}: {output:?}");
        assert_eq!(!proxy.asked().is_empty(), asks, "kubectl, {way}");
    }
    let proxy = Proxy::start(Conduct::LeadsSocksTo(port));
    let kubeconfig = leading(cluster, "socks", "cluster.example:6443", None);
    let address = format!("socks5://127.0.0.1:{}", proxy.port);
    let said = export(&kubeconfig, &[("HTTPS_PROXY", &address)]);
    assert_eq!((said.code, said.errors.as_str()), (0, ""));
    assert!(proxy.asked().contains(&"SOCKS cluster.example:6443".to_owned()));
}

#[tokio::test]
async fn a_proxy_that_does_not_lead_there_is_named_without_its_password() {
    let cluster = cluster().await;
    let kubeconfig = leading(cluster, "refused", "cluster.example:6443", None);
    let refused = |conduct, user: &str| {
        let proxy = Proxy::start(conduct);
        let address = format!("http://{user}127.0.0.1:{}", proxy.port);
        let said = export(&kubeconfig, &[("HTTPS_PROXY", &address)]);
        assert_eq!((said.code, said.output.as_str()), (1, ""));
        assert!(!said.errors.contains("s3cr"), "{}", said.errors);
        let asked = proxy.asked();
        (said.errors.replace(&proxy.port.to_string(), "3128"), asked)
    };
    let (said, asked) = refused(Conduct::Answers("407 Proxy Authentication Required"), "");
    let through = "cluster.example:6443 was not reached through the proxy http://127.0.0.1:3128 (HTTPS_PROXY): ";
    let expected = "it answers 407 Proxy Authentication Required; it wants a user and a password: write http://USER:PASSWORD@HOST:PORT";
    assert!(said.contains(&format!("{through}{expected}")), "{said}");
    assert!(!asked[0].to_lowercase().contains("authorization"), "{asked:?}");
    let (said, asked) = refused(Conduct::Answers("407 Proxy Authentication Required"), "jane:s3cr%40t@");
    assert!(
        said.contains(&format!(
            "{through}it answers 407 Proxy Authentication Required; it does not take the user and the password"
        )),
        "{said}"
    );
    assert!(
        asked[0]
            .to_lowercase()
            .contains("proxy-authorization: basic amfuztpzm2nyqhq="),
        "{asked:?}"
    );
    let (said, _) = refused(Conduct::Answers("403 Forbidden"), "jane:s3cret@");
    assert!(
        said.contains(&format!(
            "{through}it answers 403 Forbidden; it lets nobody through to there"
        )),
        "{said}"
    );
    let (said, _) = refused(Conduct::Answers("502 Bad Gateway"), "");
    assert!(
        said.contains(&format!("{through}it answers 502 Bad Gateway\n")),
        "{said}"
    );

    // One that is not there: a port that nobody has, since it was given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["http", "socks5", "https"] {
        let address = format!("{scheme}://jane:s3cret@127.0.0.1:{port}");
        let said = export(&kubeconfig, &[("https_proxy", &address)]).errors;
        let expected = format!("the proxy {scheme}://127.0.0.1:{port} (https_proxy): ");
        assert!(said.contains(&expected) && said.contains("onnection refused"), "{said}");
        assert!(
            said.contains("cluster.example:6443") && !said.contains("s3cret"),
            "{said}"
        );
    }
    let said = export(&kubeconfig, &[("HTTPS_PROXY", "ftp://jane:s3cret@proxy")]);
    assert!(
        said.code == 1
            && said
                .errors
                .contains("HTTPS_PROXY is not the address of a proxy; expected [http|https|socks5]://"),
        "{}",
        said.errors
    );
    assert!(!said.errors.contains("s3cret"), "{}", said.errors);
}

#[tokio::test]
async fn the_operator_goes_by_a_proxy_too_and_says_when_it_does_not_lead_there() {
    let cluster = Cluster::own("proxied").await;
    let kubeconfig = leading(&cluster, "operator", "cluster.example:6443", None);
    let behind = |proxy: &Proxy| {
        let (address, kubeconfig) = (
            format!("http://jane:s3cret@127.0.0.1:{}", proxy.port),
            kubeconfig.clone(),
        );
        move |command: &mut Command| {
            clean(command, &[("HTTPS_PROXY", &address)]).env("KUBECONFIG", &kubeconfig);
        }
    };
    let proxy = Proxy::start(Conduct::Answers("407 Proxy Authentication Required"));
    let refused = Operator::spawn(&cluster, behind(&proxy)).unwrap();
    eventually("the operator to say who refuses it", async || {
        let (code, body) = refused.get("/readyz").await.map_err(|error| error.to_string())?;
        let said = "cluster.example:6443 was not reached through the proxy http://127.0.0.1:";
        (code == 503 && body.contains(said) && body.contains("it answers 407 "))
            .then_some(())
            .ok_or(body)
    })
    .await;
    let log = std::fs::read_to_string(refused.log()).unwrap();
    assert!(!log.contains("s3cret"), "{log}");
    drop(refused);

    let proxy = Proxy::start(Conduct::LeadsTo(port(&cluster)));
    let operator = Operator::start_with(&cluster, behind(&proxy)).await;
    let stage = Stage::on(&cluster, "proxied").await;
    stage
        .template(
            "app",
            json!([crate::support::resource(
                "a",
                crate::support::config_map("made", json!({"a": "b"}))
            )]),
        )
        .await;
    stage.component("web", json!({"ref": "app"})).await;
    stage.ready("Component", "web").await;
    stage.appears(("ConfigMap", &stage.home, "made")).await;
    let asked = proxy.asked();
    let wanted = "CONNECT cluster.example:6443 HTTP/1.1\r\n";
    assert!(
        !asked.is_empty() && asked.iter().all(|head| head.starts_with(wanted)),
        "{asked:?}"
    );
    assert!(operator.stop().await.success());
}
