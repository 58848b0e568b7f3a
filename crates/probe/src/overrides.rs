//! What the command line says about names and where they lead, with curl's options and their forms: `--resolve` and
//! `--connect-to`. Pure.

use std::net::IpAddr;

use super::target::{Host, Target};

/// What the command line says about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    resolve: Vec<Resolve>,
    connect_to: Vec<ConnectTo>,
}

/// `--resolve`: these are the addresses of that host, for that port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Resolve {
    // None is `*`: any host.
    host: Option<String>,
    port: u16,
    addresses: Vec<IpAddr>,
}

/// `--connect-to`: who means the one is led to the other. What is None means any, or the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ConnectTo {
    from: (Option<String>, Option<u16>),
    to: (Option<Host>, Option<u16>),
}

/// Where a request really goes. Its `Host` field, the name in its TLS handshake and the one that the certificate must be
/// for stay those of the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The host to look up.
    pub host: Host,
    /// The port to connect to.
    pub port: u16,
    /// The URL's host, where another is looked up in its place.
    pub instead_of: Option<String>,
}

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// Of `--resolve`.
    #[error("--resolve {given:?}: {why}; write HOST:PORT:ADDR[,ADDR], as www.test:80:10.0.0.1 or '*:443:[fd10::1]'")]
    Resolve {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// Of `--connect-to`.
    #[error(
        "--connect-to {given:?}: {why}; write HOST1:PORT1:HOST2:PORT2, as www.test:80:[fd10::1]:8080, with any part left \
         empty"
    )]
    ConnectTo {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Overrides {
    /// Reads the values of both options.
    pub fn parse(resolve: &[String], connect_to: &[String]) -> Result<Self, OverrideError> {
        let resolve = resolve
            .iter()
            .map(|given| Resolve::parse(given).map_err(|why| OverrideError::Resolve { given: given.clone(), why }));
        let connect_to = connect_to
            .iter()
            .map(|given| ConnectTo::parse(given).map_err(|why| OverrideError::ConnectTo { given: given.clone(), why }));
        Ok(Self { resolve: resolve.collect::<Result<_, _>>()?, connect_to: connect_to.collect::<Result<_, _>>()? })
    }

    /// Where a request for this target goes: the first `--connect-to` that fits decides.
    pub fn way(&self, target: &Target) -> Way {
        let (name, same) = (text(&target.host), (target.host.clone(), target.port));
        let fits = |rule: &&ConnectTo| {
            rule.from.0.as_ref().is_none_or(|host| *host == name) && rule.from.1.is_none_or(|port| port == target.port)
        };
        let Some(rule) = self.connect_to.iter().find(fits) else {
            return Way { host: same.0, port: same.1, instead_of: None };
        };
        let host = rule.to.0.clone().unwrap_or(same.0);
        let instead_of = (text(&host) != name).then_some(name);
        Way { host, port: rule.to.1.unwrap_or(same.1), instead_of }
    }

    /// The addresses that `--resolve` gives: a host that is named goes before `*`, and what was said last counts.
    pub fn addresses(&self, way: &Way) -> Option<&[IpAddr]> {
        let name = text(&way.host);
        let of = |host: Option<&str>| {
            self.resolve.iter().rev().find(|rule| rule.port == way.port && rule.host.as_deref() == host)
        };
        of(Some(&name)).or_else(|| of(None)).map(|rule| rule.addresses.as_slice())
    }
}

/// A host as it is compared: the final dot of a fully qualified name makes no other host of it.
fn text(host: &Host) -> String {
    match host {
        Host::Name(name) => name.trim_end_matches('.').to_ascii_lowercase(),
        Host::Ip(ip) => ip.to_string(),
    }
}

impl Resolve {
    fn parse(given: &str) -> Result<Self, String> {
        // curl's own forms for its cache: one that ages, and one that is taken away again.
        if given.starts_with(['+', '-']) {
            return Err("a leading + or - is about curl's cache, and there is none here".to_owned());
        }
        let (host, rest) = split(given)?;
        let (port, addresses) = rest.and_then(|rest| rest.split_once(':')).ok_or("it needs a port and an address")?;
        let host = match host {
            "" => return Err("it names no host".to_owned()),
            "*" => None,
            host => Some(text(&read_host(host))),
        };
        let address = |text: &str| {
            let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            bare.parse().map_err(|_| format!("{text:?} is no address"))
        };
        let addresses = addresses.split(',').map(address).collect::<Result<_, _>>()?;
        Ok(Self { host, port: read_port(port)?.ok_or("it needs a port")?, addresses })
    }
}

impl ConnectTo {
    fn parse(given: &str) -> Result<Self, String> {
        let parts = "it needs four parts";
        let (from, rest) = split(given)?;
        let (from_port, rest) = rest.and_then(|rest| rest.split_once(':')).ok_or(parts)?;
        let (to, to_port) = split(rest)?;
        let to_port = to_port.ok_or(parts)?;
        let named = |host: &str| (!host.is_empty()).then(|| read_host(host));
        Ok(Self { from: (named(from).as_ref().map(text), read_port(from_port)?), to: (named(to), read_port(to_port)?) })
    }
}

/// A host and what stands behind its colon; an IPv6 address stands in brackets.
fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    let Some(rest) = text.strip_prefix('[') else {
        return Ok(match text.split_once(':') {
            Some((host, rest)) => (host, Some(rest)),
            None => (text, None),
        });
    };
    let (host, rest) = rest.split_once(']').ok_or("a bracket is open")?;
    match host.parse::<std::net::Ipv6Addr>() {
        Ok(_) => Ok((host, rest.strip_prefix(':'))),
        Err(_) => Err(format!("{host:?} in brackets is no IPv6 address")),
    }
}

fn read_host(text: &str) -> Host {
    match text.parse() {
        Ok(ip) => Host::Ip(ip),
        Err(_) => Host::Name(text.to_ascii_lowercase()),
    }
}

/// A port; None where nothing is written.
fn read_port(text: &str) -> Result<Option<u16>, String> {
    match text.parse::<u16>() {
        _ if text.is_empty() => Ok(None),
        Ok(port @ 1..) => Ok(Some(port)),
        _ => Err(format!("{text:?} is no port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrets::Secrets;

    use crate::visitable::Visitable;

    fn target(url: &str) -> Target {
        Visitable::read(url, Secrets::Removed).target.unwrap()
    }

    fn owned(values: &[&str]) -> Vec<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    #[test]
    fn resolve_gives_addresses() {
        let check = |rules: &[&str], url: &str, expected: &[&str]| {
            let given = Overrides::parse(&owned(rules), &[]).unwrap();
            let way = given.way(&target(url));
            let seen: Vec<String> = given.addresses(&way).unwrap_or_default().iter().map(ToString::to_string).collect();
            assert_eq!(seen, expected, "{rules:?} {url}");
        };
        check(&["a.test:80:10.0.0.1,[fd10::1]"], "a.test", &["10.0.0.1", "fd10::1"]);
        check(&["a.test:80:fd10::1,10.0.0.1"], "a.test", &["fd10::1", "10.0.0.1"]);
        check(&["A.Test:80:10.0.0.1"], "http://a.test./", &["10.0.0.1"]);
        check(&["a.test:80:10.0.0.1"], "a.test:81", &[]);
        check(&["a.test:80:10.0.0.1"], "b.test", &[]);
        check(&["*:80:10.0.0.1"], "b.test", &["10.0.0.1"]);
        check(&["a.test:80:10.0.0.2", "*:80:10.0.0.1"], "a.test", &["10.0.0.2"]);
        check(&["a.test:80:10.0.0.1", "a.test:80:10.0.0.2"], "a.test", &["10.0.0.2"]);
        check(&["[::1]:80:10.0.0.1"], "http://[::1]/", &["10.0.0.1"]);
        check(&["127.0.0.1:80:10.0.0.1"], "127.1", &["10.0.0.1"]);
    }

    #[test]
    fn connect_to_leads_elsewhere() {
        let check = |rules: &[&str], url: &str, host: &str, port: u16, instead_of: Option<&str>| {
            let way = Overrides::parse(&[], &owned(rules)).unwrap().way(&target(url));
            assert_eq!((text(&way.host).as_str(), way.port), (host, port), "{rules:?} {url}");
            assert_eq!(way.instead_of.as_deref(), instead_of, "{rules:?} {url}");
        };
        check(&["a.test:80:b.test:81"], "a.test", "b.test", 81, Some("a.test"));
        check(&["a.test:80:b.test:81"], "a.test:82", "a.test", 82, None);
        check(&["a.test:80:b.test:81"], "c.test", "c.test", 80, None);
        check(&["::b.test:"], "a.test:82", "b.test", 82, Some("a.test"));
        check(&["a.test:::81"], "a.test", "a.test", 81, None);
        check(&[":80::81"], "a.test", "a.test", 81, None);
        check(&[":::"], "a.test", "a.test", 80, None);
        check(&["a.test:80:[fd10::1]:"], "a.test", "fd10::1", 80, Some("a.test"));
        check(&["[fd10::1]:80:b.test:"], "http://[fd10::1]/", "b.test", 80, Some("fd10::1"));
        // The first that fits decides, even where it says nothing new.
        check(&["a.test:::", "a.test::b.test:"], "a.test", "a.test", 80, None);
    }

    #[test]
    fn both_together() {
        let given = Overrides::parse(&owned(&["b.test:81:10.0.0.1"]), &owned(&["a.test::b.test:81"])).unwrap();
        let way = given.way(&target("a.test"));
        assert_eq!(given.addresses(&way).unwrap(), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn malformed() {
        let check = |error: OverrideError, words: &str| {
            let said = error.to_string();
            assert!(said.contains(words) && said.contains("; write HOST"), "{said}");
        };
        for (given, words) in [
            ("a.test", "it needs a port and an address"),
            ("a.test:80", "it needs a port and an address"),
            ("a.test:80:", "\"\" is no address"),
            ("a.test:80:10.0.0.1,", "\"\" is no address"),
            ("a.test:80:b.test", "\"b.test\" is no address"),
            ("a.test:*:10.0.0.1", "\"*\" is no port"),
            ("a.test:0:10.0.0.1", "\"0\" is no port"),
            ("a.test::10.0.0.1", "it needs a port"),
            (":80:10.0.0.1", "it names no host"),
            ("+a.test:80:10.0.0.1", "curl's cache"),
            ("-a.test:80", "curl's cache"),
            ("[::1:80:10.0.0.1", "a bracket is open"),
        ] {
            check(Overrides::parse(&owned(&[given]), &[]).unwrap_err(), words);
        }
        for (given, words) in [
            ("", "four parts"),
            ("a.test:80:b.test", "four parts"),
            ("a.test:x:b.test:", "\"x\" is no port"),
            ("a.test:80:b.test:99999", "\"99999\" is no port"),
            ("a.test:80:b.test:81:82", "\"81:82\" is no port"),
            ("a.test:80:[b.test]:81", "no IPv6 address"),
        ] {
            check(Overrides::parse(&[], &owned(&[given])).unwrap_err(), words);
        }
    }
}
