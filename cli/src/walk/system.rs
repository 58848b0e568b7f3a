//! What this machine says about names: its hosts file and its resolvers.

use std::{
    net::{IpAddr, SocketAddr, SocketAddrV6},
    path::Path,
    time::Duration,
};

use journey::Reason;

use super::stub::{NoReply, Server};

/// The file that names are looked up in first.
pub const HOSTS_FILE: &str = "/etc/hosts";
/// The file that names the resolvers.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The addresses that a hosts file has for a name; none where there is no such file.
pub fn hosts_file(path: &Path, name: &str) -> Vec<IpAddr> {
    addresses_of(&String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()), name)
}

fn addresses_of(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(ip) = words.next().and_then(|word| word.parse().ok()) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !found.contains(&ip) {
            found.push(ip);
        }
    }
    found
}

/// What resolv.conf says.
#[derive(Clone, Debug)]
pub struct System {
    /// The resolvers, in the order to ask them.
    pub servers: Vec<Server>,
    search: Vec<String>,
    ndots: u32,
}

/// Reads resolv.conf.
pub fn resolv_conf(path: &Path) -> Result<System, NoReply> {
    let fail = |what: String| NoReply::new(Reason::NoResolver, what);
    let text = std::fs::read(path).map_err(|error| fail(format!("{} cannot be read: {error}", path.display())))?;
    let config = resolv_conf::Config::parse(&text).map_err(|error| fail(format!("{}: {error}", path.display())))?;
    // resolv.conf(5): a list of three, `timeout` seconds for each try, `attempts` tries, both capped.
    let wait = Duration::from_secs(config.timeout.clamp(1, 30).into());
    let waits = vec![wait; usize::try_from(config.attempts.clamp(1, 5)).unwrap_or(2)];
    let servers: Vec<Server> =
        config.nameservers.iter().take(3).map(|ip| Server { address: with_scope(ip), waits: waits.clone() }).collect();
    if servers.is_empty() {
        return Err(fail(format!("{} names no resolver", path.display())));
    }
    let search = config.get_last_search_or_domain().cloned().collect();
    Ok(System { servers, search, ndots: config.ndots })
}

/// A link-local resolver, as routers announce them, is of use only with the interface that it is on.
fn with_scope(ip: &resolv_conf::ScopedIp) -> SocketAddr {
    match ip {
        resolv_conf::ScopedIp::V4(ip) => SocketAddr::new((*ip).into(), 53),
        resolv_conf::ScopedIp::V6(ip, scope) => {
            let number = |scope: &str| nix::net::if_::if_nametoindex(scope).ok().or_else(|| scope.parse().ok());
            SocketAddrV6::new(*ip, 53, 0, scope.as_deref().and_then(number).unwrap_or(0)).into()
        }
    }
}

impl System {
    /// The names to ask for, in order: a name with a final dot or with enough dots is asked for as it is first.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let plain = format!("{name}.");
        let dots = name.bytes().filter(|b| *b == b'.').count();
        let with_suffix =
            self.search.iter().filter(|s| *s != ".").map(|suffix| format!("{name}.{}.", suffix.trim_end_matches('.')));
        if dots >= usize::try_from(self.ndots).unwrap_or(1) {
            std::iter::once(plain.clone()).chain(with_suffix).collect()
        } else {
            with_suffix.chain([plain.clone()]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file() {
        let text = "127.0.0.1 localhost # comment web\n::1 localhost ip6-localhost\n10.0.0.1\tWEB web.lan\nbad web\n";
        assert_eq!(addresses_of(text, "web."), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(addresses_of(text, "localhost").len(), 2);
        assert!(addresses_of(text, "comment").is_empty());
    }

    #[test]
    fn the_search_list() {
        let system = System { servers: Vec::new(), search: vec!["lan".to_owned(), "corp.test".to_owned()], ndots: 1 };
        assert_eq!(system.candidates("web"), ["web.lan.", "web.corp.test.", "web."]);
        assert_eq!(system.candidates("www.a.test"), ["www.a.test.", "www.a.test.lan.", "www.a.test.corp.test."]);
        assert_eq!(system.candidates("web."), ["web."]);
    }
}
