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
    /// The resolvers, in the file's order.
    pub servers: Vec<Server>,
    search: Vec<String>,
    ndots: u32,
    rotate: bool,
}

/// Reads resolv.conf.
pub fn resolv_conf(path: &Path) -> Result<System, NoReply> {
    let fail = |what: String| NoReply::new(Reason::NoResolver, what);
    let text = std::fs::read(path).map_err(|error| fail(format!("{} cannot be read: {error}", path.display())))?;
    // A line that cannot be read is skipped, as the system's own resolver does; the crate would give up the whole file.
    let text = String::from_utf8_lossy(&text);
    let readable = text.lines().filter(|line| resolv_conf::Config::parse(line).is_ok());
    let text = readable.collect::<Vec<_>>().join("\n");
    let config = resolv_conf::Config::parse(&text).map_err(|error| fail(format!("{}: {error}", path.display())))?;
    // resolv.conf(5): a list of three, `timeout` seconds for each try, `attempts` tries, both capped.
    let wait = Duration::from_secs(config.timeout.clamp(1, 30).into());
    let waits = vec![wait; usize::try_from(config.attempts.clamp(1, 5)).unwrap_or(2)];
    let server = |ip| Server { address: with_scope(ip), waits: waits.clone(), recursion_desired: true };
    let servers: Vec<Server> = config.nameservers.iter().take(3).map(server).collect();
    if servers.is_empty() {
        return Err(fail(format!("{} names no resolver", path.display())));
    }
    let search = config.get_last_search_or_domain().cloned().collect();
    Ok(System { servers, search, ndots: config.ndots, rotate: config.rotate })
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
    /// The resolvers in the order to ask them. `options rotate` spreads the load: each lookup begins with another one,
    /// here the one that the random number `nth` makes the first.
    pub fn order(&self, nth: usize) -> Vec<Server> {
        let mut servers = self.servers.clone();
        if self.rotate && !servers.is_empty() {
            let first = nth % servers.len();
            servers.rotate_left(first);
        }
        servers
    }

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

    fn read(text: &str) -> Result<System, NoReply> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        resolv_conf(file.path())
    }

    #[test]
    fn resolv_conf_and_its_options() {
        let check = |text: &str, waits: &[u64], addresses: &[&str]| {
            let system = read(text).unwrap();
            let expected: Vec<Duration> = waits.iter().copied().map(Duration::from_secs).collect();
            assert_eq!(system.servers[0].waits, expected, "{text}");
            let seen: Vec<String> = system.servers.iter().map(|server| server.address.to_string()).collect();
            assert_eq!(seen, addresses, "{text}");
        };
        check("nameserver 10.0.0.1\n", &[5, 5], &["10.0.0.1:53"]);
        check("nameserver ::1\noptions timeout:2 attempts:3\n", &[2, 2, 2], &["[::1]:53"]);
        // resolv.conf(5): timeout is capped at 30, attempts at 5; a server more than three is not asked.
        let four = "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        check(
            &format!("{four}options timeout:99 attempts:99\n"),
            &[30; 5],
            &["10.0.0.1:53", "10.0.0.2:53", "10.0.0.3:53"],
        );
        for text in ["", "search lan\n"] {
            assert_eq!(read(text).unwrap_err().reason, Reason::NoResolver, "{text:?}");
        }
        assert!(resolv_conf(Path::new("/nowhere")).unwrap_err().what.contains("/nowhere cannot be read"));
    }

    #[test]
    fn one_bad_line_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        std::fs::write(&file, "nameserver nowhere\nnonsense\nnameserver 127.0.0.9\n").unwrap();
        let addresses: Vec<String> =
            resolv_conf(&file).unwrap().servers.iter().map(|server| server.address.to_string()).collect();
        assert_eq!(addresses, ["127.0.0.9:53"]);
    }

    #[test]
    fn who_is_asked_first() {
        let two = "nameserver 10.0.0.1\nnameserver 10.0.0.2\n";
        let check = |options: &str, nth: usize, first: &str| {
            let servers = read(&format!("{two}{options}")).unwrap().order(nth);
            assert_eq!((servers[0].address.to_string(), servers.len()), (first.to_owned(), 2), "{options} {nth}");
        };
        check("", 1, "10.0.0.1:53");
        check("options rotate\n", 0, "10.0.0.1:53");
        check("options rotate\n", 1, "10.0.0.2:53");
        check("options rotate\n", 4, "10.0.0.1:53");
    }

    #[test]
    fn how_many_dots_are_enough() {
        let check = |options: &str, name: &str, first: &str| {
            let system = read(&format!("nameserver ::1\nsearch lan\n{options}")).unwrap();
            assert_eq!(system.candidates(name)[0], first, "{options} {name}");
        };
        check("", "web.a", "web.a.");
        check("options ndots:2\n", "web.a", "web.a.lan.");
        check("options ndots:2\n", "www.web.a", "www.web.a.");
        check("options ndots:0\n", "web", "web.");
        // The last of `search` and `domain` counts.
        check("domain corp.test\n", "web", "web.corp.test.");
    }

    #[test]
    fn the_search_list() {
        let search = vec!["lan".to_owned(), "corp.test".to_owned()];
        let system = System { servers: Vec::new(), search, ndots: 1, rotate: false };
        assert_eq!(system.candidates("web"), ["web.lan.", "web.corp.test.", "web."]);
        assert_eq!(system.candidates("www.a.test"), ["www.a.test.", "www.a.test.lan.", "www.a.test.corp.test."]);
        assert_eq!(system.candidates("web."), ["web."]);
    }
}
