//! What `NO_PROXY` keeps from the proxy, as programs in Go read it (`golang.org/x/net/http/httpproxy`, `Config.NoProxy`): `*`,
//! addresses, networks in CIDR notation, names with all below them, `.name` or `*.name` for those below alone; a name or an
//! address with a port is for that port. This machine itself is always kept.

use std::net::IpAddr;

use ipnet::IpNet;

/// Whether `host`, as a URI has it, is kept from the proxy for this port.
pub fn holds(exceptions: &str, host: &str, port: u16) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
    let address = host.parse().ok().map(|address: IpAddr| address.to_canonical());
    let target = Target {
        host: &host,
        address,
        port,
    };
    host == "localhost"
        || address.is_some_and(|address| address.is_loopback())
        || exceptions
            .split(',')
            .any(|entry| target.is_meant_by(&entry.trim().to_lowercase()))
}

struct Target<'a> {
    host: &'a str,
    address: Option<IpAddr>,
    port: u16,
}

impl Target<'_> {
    fn is_meant_by(&self, entry: &str) -> bool {
        if entry == "*" {
            return true;
        }
        if let Ok(network) = entry.parse::<IpNet>() {
            return self.address.is_some_and(|address| network.contains(&address));
        }
        let (name, port) = split(entry);
        if name.is_empty() || port.is_some_and(|port| port != self.port.to_string()) {
            return false;
        }
        if let Ok(address) = name.parse::<IpAddr>() {
            return self.address == Some(address.to_canonical());
        }
        let name = name
            .strip_prefix('*')
            .filter(|rest| rest.starts_with('.'))
            .unwrap_or(name);
        match self.host.strip_suffix(name) {
            Some(before) => before.is_empty() || name.starts_with('.') || before.ends_with('.'),
            None => false,
        }
    }
}

/// A host, and its port where there is one.
fn split(entry: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (entry, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_everything_a_network_an_address_or_a_name_with_what_is_below_it() {
        for (exceptions, host, expected) in [
            ("", "cluster.example", false),
            ("", "localhost", true),
            ("", "LocalHost", true),
            ("", "127.0.0.1", true),
            ("", "127.8.9.1", true),
            ("", "[::1]", true),
            ("", "[::ffff:127.0.0.1]", true),
            ("", "localhost.example", false),
            ("*", "cluster.example", true),
            ("a, * ,b", "10.0.0.1", true),
            ("*example", "cluster.example", false),
            ("10.0.0.0/8", "10.96.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "10.example", false),
            ("fd00::/8", "[fd12::1]", true),
            ("10.0.0.0/33", "10.0.0.1", false),
            ("10.96.0.1", "10.96.0.1", true),
            ("10.96.0.1", "10.96.0.10", false),
            ("10.96.0.1:6443", "10.96.0.1", true),
            ("10.96.0.1:443", "10.96.0.1", false),
            ("fd12::1", "[fd12::1]", true),
            ("[fd12::1]:6443", "[fd12:0::1]", true),
            ("[fd12::1]:1", "[fd12::1]", false),
            ("example", "cluster.example", true),
            ("cluster.example", "Cluster.Example", true),
            ("CLUSTER.example", "cluster.example", true),
            ("cluster.example", "my-cluster.example", false),
            ("cluster.example", "a.cluster.example", true),
            (".cluster.example", "cluster.example", false),
            (".cluster.example", "a.cluster.example", true),
            ("*.cluster.example", "a.cluster.example", true),
            ("*.cluster.example", "cluster.example", false),
            ("cluster.example:6443", "cluster.example", true),
            ("cluster.example:443", "cluster.example", false),
            (".example:6443", "a.example", true),
            (":6443", "cluster.example", false),
            (",, ,", "cluster.example", false),
            ("/var/run/docker.sock,<local>,cluster.example,", "cluster.example", true),
            ("a.example b.example", "a.example", false),
        ] {
            assert_eq!(
                holds(exceptions, host, 6443),
                expected,
                "NO_PROXY={exceptions:?} {host}"
            );
        }
    }
}
