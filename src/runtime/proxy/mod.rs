//! Which proxy leads to a server, if any does: what kubectl would do.
//!
//! `proxy-url` of a kubeconfig goes before everything (client-go, `rest.Config.Proxy`). Otherwise the environment says it as it does to
//! every program in Go (`golang.org/x/net/http/httpproxy`). `kube` reads `HTTPS_PROXY` too, and
//! holds the exceptions of `NO_PROXY` against the proxy's own address; so it is kept from doing so.

use std::fmt;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

pub mod connect;
mod exceptions;

/// Where a kubeconfig says it.
const OF_KUBECONFIG: &str = "proxy-url in the kubeconfig";
/// What proxies are written as. The scheme may be left out, and is `http` then.
const SCHEMES: [(&str, u16); 4] = [("http", 80), ("https", 443), ("socks5", 1080), ("socks5h", 1080)];

/// What the environment says of proxies.
#[derive(Clone, Default)]
pub struct Environment {
    https: Option<Said>,
    http: Option<Said>,
    exceptions: String,
}

/// The value of a variable, which can hold a password.
#[derive(Clone)]
struct Said {
    by: &'static str,
    value: String,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        // One that is no text is wrong as an address too, and is told as such.
        Self::read(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// That which `variable` gives by name. A name in upper case goes before the same in lower case; an empty value is none.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|by| {
                let value = variable(by).filter(|value| !value.trim().is_empty())?;
                Some(Said { by, value })
            })
        };
        Self {
            https: first(["HTTPS_PROXY", "https_proxy"]),
            http: first(["HTTP_PROXY", "http_proxy"]),
            exceptions: first(["NO_PROXY", "no_proxy"]).map_or_else(String::new, |said| said.value),
        }
    }
}

/// A proxy. It shows itself without what it is entered with.
#[derive(Clone, Debug)]
pub struct Proxy {
    by: &'static str,
    address: Uri,
    entry: Intercept,
}

impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.to_string();
        write!(formatter, "{} ({})", address.trim_end_matches('/'), self.by)
    }
}

/// What is to be the address of a proxy, and is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{by} is not the address of a proxy; expected [http|https|socks5]://[USER:PASSWORD@]HOST[:PORT], for example \
     http://proxy.example.com:3128 (what it holds is not shown: it may be a password)"
)]
pub struct NoAddress {
    by: &'static str,
}

/// The proxy that leads to `target`, if one does. `configured` is what the kubeconfig says.
///
/// # Errors
/// When what says it is not the address of a proxy.
pub fn decide(target: &Uri, configured: Option<&str>, environment: &Environment) -> Result<Option<Proxy>, NoAddress> {
    if let Some(address) = configured.filter(|address| !address.is_empty()) {
        return Proxy::read(OF_KUBECONFIG, address).map(Some);
    }
    let (said, usual) = match target.scheme_str() {
        Some("https") => (&environment.https, 443),
        Some("http") => (&environment.http, 80),
        _ => return Ok(None),
    };
    let (Some(said), Some(host)) = (said, target.host()) else {
        return Ok(None);
    };
    if exceptions::holds(&environment.exceptions, host, target.port_u16().unwrap_or(usual)) {
        return Ok(None);
    }
    Proxy::read(said.by, &said.value).map(Some)
}

impl Proxy {
    fn read(by: &'static str, text: &str) -> Result<Self, NoAddress> {
        // It gives the address without the credentials, and those decoded; whatever it is asked for.
        let anywhere = Uri::from_static("https://anywhere/");
        let entry = Matcher::builder().all(text.trim()).build().intercept(&anywhere);
        let entry = entry.ok_or(NoAddress { by })?;
        let address = Self::with_port(entry.uri()).ok_or(NoAddress { by })?;
        Ok(Self { by, address, entry })
    }

    /// The address with its port, which for SOCKS is not the one of HTTP.
    fn with_port(address: &Uri) -> Option<Uri> {
        let scheme = address.scheme_str()?;
        let (_, usual) = SCHEMES.into_iter().find(|(known, _)| *known == scheme)?;
        let (host, port) = (address.host()?, address.port_u16().unwrap_or(usual));
        let address = Uri::builder().scheme(scheme).authority(format!("{host}:{port}"));
        address.path_and_query("/").build().ok().filter(|_| !host.is_empty())
    }

    fn is_socks(&self) -> bool {
        self.address
            .scheme_str()
            .is_some_and(|scheme| scheme.starts_with("socks"))
    }

    /// What it is entered with by HTTP.
    fn authorization(&self) -> Option<&HeaderValue> {
        self.entry.basic_auth()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn decided(target: &str, configured: Option<&str>, variables: &[(&str, &str)]) -> String {
        let proxy = decide(&target.parse().unwrap(), configured, &environment(variables));
        match proxy {
            Ok(Some(proxy)) => proxy.to_string(),
            Ok(None) => "none".to_owned(),
            Err(wrong) => wrong.to_string(),
        }
    }

    #[test]
    fn the_kubeconfig_goes_before_the_environment_and_upper_case_before_lower_case() {
        let cluster = "https://cluster.example:6443";
        let all = [
            ("HTTPS_PROXY", "http://upper:1"),
            ("https_proxy", "http://lower:2"),
            ("HTTP_PROXY", "http://plain"),
            ("NO_PROXY", ""),
            ("no_proxy", "example.org"),
        ];
        assert_eq!(decided(cluster, None, &[]), "none");
        assert_eq!(decided(cluster, None, &all), "http://upper:1 (HTTPS_PROXY)");
        assert_eq!(decided(cluster, Some(""), &all[1..]), "http://lower:2 (https_proxy)");
        assert_eq!(
            decided("http://cluster.example", None, &all),
            "http://plain:80 (HTTP_PROXY)"
        );
        assert_eq!(
            decided(cluster, None, &all[2..]),
            "none",
            "HTTP_PROXY is for http alone"
        );
        assert_eq!(
            decided("https://cluster.example.org", None, &all),
            "none",
            "an empty NO_PROXY is none"
        );
        // kubectl holds NO_PROXY against nothing that the kubeconfig says, and uses that for this machine too.
        let none = [("NO_PROXY", "*"), ("HTTPS_PROXY", "http://upper:1")];
        for target in [cluster, "https://127.0.0.1:6443", "https://localhost"] {
            assert_eq!(decided(target, None, &none), "none");
            assert_eq!(
                decided(target, Some("socks5://bastion"), &none),
                "socks5://bastion:1080 (proxy-url in the kubeconfig)"
            );
        }
    }

    #[test]
    fn an_address_is_shown_without_its_password_and_what_is_none_not_at_all() {
        let shown = |value: &str| decided("https://cluster.example", None, &[("HTTPS_PROXY", value)]);
        for (value, expected) in [
            ("proxy", "http://proxy:80 (HTTPS_PROXY)"),
            ("proxy:3128", "http://proxy:3128 (HTTPS_PROXY)"),
            ("jane:s3cr%40t@proxy:3128", "http://proxy:3128 (HTTPS_PROXY)"),
            ("https://jane:s3cret@proxy/path?x", "https://proxy:443 (HTTPS_PROXY)"),
            ("socks5h://jane:s3cret@[::1]:9", "socks5h://[::1]:9 (HTTPS_PROXY)"),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
        for value in [
            "ftp://jane:s3cret@proxy",
            "socks4://proxy",
            "http://",
            "http://jane:s3cret@",
            "http://jane:s3 cret@proxy",
            "/path",
            "\u{fffd}",
        ] {
            let message = shown(value);
            assert!(
                message.starts_with("HTTPS_PROXY is not the address of a proxy; expected "),
                "{value}: {message}"
            );
            assert!(!message.contains("s3"), "{message}");
        }
        let proxy = Proxy::read("HTTPS_PROXY", "jane:s3cr%40t@proxy").unwrap();
        assert!(!format!("{proxy:?}").contains("s3cr"), "{proxy:?}");
        assert_eq!(proxy.authorization().unwrap(), "Basic amFuZTpzM2NyQHQ=");
    }

    proptest! {
        #[test]
        fn whatever_the_variables_hold_it_is_decided(value in "\\PC{0,40}", exceptions in "\\PC{0,40}", host in "[a-z0-9.-]{1,20}") {
            if let Ok(target) = format!("https://{host}").parse::<Uri>() {
                let _ = decide(&target, Some(&value), &environment(&[]));
                let _ = decide(&target, None, &environment(&[("HTTPS_PROXY", &value), ("NO_PROXY", &exceptions)]));
                let own = environment(&[("HTTPS_PROXY", "http://proxy"), ("NO_PROXY", &format!("{exceptions},{host}"))]);
                prop_assert!(decide(&target, None, &own).unwrap().is_none());
            }
        }
    }
}
