//! The page, and the words around a status.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use hyper::{StatusCode, header::HeaderValue};
use serde_json::{Value, json};

use super::{
    Connection,
    template::{Fill, Template},
    tls::Tls,
};
use crate::Config;

const PAGE: &str = include_str!("../../../../lab/pages/page.html");
const NOTICE: &str = include_str!("../../../../lab/pages/notice.html");
const STYLE: &str = include_str!("../../../../lab/pages/style.css");

/// The name of the software, as `Server` has it.
const PROGRAM: &str = concat!("visit-app/", env!("CARGO_PKG_VERSION"));

/// Longest text of a client that is shown, in characters.
const SHOWN: usize = 120;

/// The pages, ready to be filled.
#[derive(Debug)]
pub(crate) struct Pages {
    page: Template,
    notice: Template,
    host: String,
    addresses: Vec<IpAddr>,
    names: Vec<String>,
    others: Others,
}

/// The host's other ports, for the page to point at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Others {
    /// Where `talk` listens.
    pub(crate) talk: Vec<SocketAddr>,
    /// Where `echo` does.
    pub(crate) echo: Vec<SocketAddr>,
}

/// What the server knows of a request, its connection and itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) version: &'a str,
    /// What the client calls the server.
    pub(crate) host: &'a str,
    pub(crate) client: SocketAddr,
    /// The world's address that the client came to.
    pub(crate) world: SocketAddr,
    /// The real socket behind it.
    pub(crate) socket: SocketAddr,
    /// What was agreed on, where the connection is one over TLS.
    pub(crate) tls: Option<&'a Tls>,
    pub(crate) number: u64,
    pub(crate) head_bytes: u64,
    pub(crate) open_for: Duration,
}

/// Some words around a status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notice<'a> {
    pub(crate) status: StatusCode,
    pub(crate) what: &'a str,
    pub(crate) link: Option<&'a str>,
}

impl Pages {
    pub(crate) fn new(config: &Config, others: Others) -> Self {
        let with_style = |page: &str| Template::new(&page.replace("{{style}}", STYLE));
        Self {
            page: with_style(PAGE),
            notice: with_style(NOTICE),
            host: config.host.clone(),
            addresses: config.addresses.clone(),
            names: config.names.clone(),
            others,
        }
    }

    /// Which software and which server answers. A comment may follow the product (RFC 9110 §10.2.4); a host's name that
    /// cannot stand in a field is left out.
    pub(crate) fn server_field(&self) -> HeaderValue {
        let field = HeaderValue::try_from(format!("{PROGRAM} ({})", self.host));
        field.unwrap_or(HeaderValue::from_static(PROGRAM))
    }

    pub(crate) fn page(&self, facts: &Facts<'_>) -> String {
        self.page.fill(&Page { pages: self, facts })
    }

    pub(crate) fn notice(&self, notice: &Notice<'_>) -> String {
        self.notice.fill(&Noticed { host: &self.host, notice })
    }

    /// Whether that name is one of the lab's own, somebody else's, or no name at all.
    fn called(&self, host: &str) -> Called {
        let name = without_port(host);
        if name.is_empty() || name.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost") {
            return Called::ByAddress;
        }
        let name = format!("{}.", name.trim_end_matches('.').to_ascii_lowercase());
        let is_under = |zone: &String| name == *zone || name.ends_with(&format!(".{zone}"));
        if self.names.iter().any(is_under) { Called::OwnName } else { Called::OthersName }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Called {
    OwnName,
    OthersName,
    ByAddress,
}

pub(crate) fn without_port(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
}

fn ago(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// A server's own colour, by the number that its name ends with.
fn hue(host: &str) -> u64 {
    let digits = host.len() - host.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = host[host.len() - digits..].parse().unwrap_or(1);
    (190 + number % 6 * 60) % 360
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Facts<'_> {
    pub(crate) fn json(&self, connection: &Connection) -> Value {
        let config = &connection.server.config;
        json!({
            "server": { "host": config.host, "addresses": config.addresses, "program": PROGRAM },
            "connection": {
                "client": self.client,
                "server": self.world,
                "socket": self.socket,
                "tls": self.tls.map(Tls::json),
                "open_ms": self.open_for.as_micros() as f64 / 1000.0,
                "request_number": self.number,
            },
            "request": {
                "method": self.method,
                "target": self.target,
                "version": self.version,
                "host": self.host,
                "head_bytes": self.head_bytes,
            },
            "time": httpdate::fmt_http_date(SystemTime::now()),
        })
    }
}

struct Page<'a> {
    pages: &'a Pages,
    facts: &'a Facts<'a>,
}

impl Page<'_> {
    /// Another port of this host, as the client can reach it: on the same family of addresses.
    fn other(&self, sockets: &[SocketAddr]) -> Option<SocketAddr> {
        let local = self.facts.socket;
        let mut same_ip = sockets.iter().filter(|socket| socket.is_ipv4() == local.is_ipv4());
        same_ip.find(|socket| socket.ip() == local.ip()).copied()
    }
}

impl Fill for Page<'_> {
    fn value(&self, name: &str) -> Option<String> {
        let Self { pages, facts } = self;
        Some(match name {
            "host" => pages.host.clone(),
            "hue" => hue(&pages.host).to_string(),
            "program" => PROGRAM.to_owned(),
            "time" => httpdate::fmt_http_date(SystemTime::now()),
            "called" => shown(facts.host),
            "called_name" => shown(without_port(facts.host)),
            "world" => facts.world.to_string(),
            "address" => facts.world.ip().to_string(),
            "port" => facts.world.port().to_string(),
            "other_addresses" => {
                let others = pages.addresses.iter().filter(|address| **address != facts.world.ip());
                let others = others.map(|address| SocketAddr::new(*address, facts.world.port()).to_string());
                others.collect::<Vec<_>>().join(", ")
            }
            "socket" => facts.socket.to_string(),
            "client" => facts.client.to_string(),
            "client_port" => facts.client.port().to_string(),
            "tls_version" => facts.tls.map_or("", Tls::version).to_owned(),
            "open_for" => ago(facts.open_for),
            "number" => facts.number.to_string(),
            "request_line" => shown(&format!("{} {} {}", facts.method, facts.target, facts.version)),
            "head_bytes" => facts.head_bytes.to_string(),
            "talk" => {
                self.other(&pages.others.talk).map_or_else(String::new, |at| format!("{} {}", at.ip(), at.port()))
            }
            "echo" => {
                self.other(&pages.others.echo).map_or_else(String::new, |at| format!("{} {}", at.ip(), at.port()))
            }
            _ => return None,
        })
    }

    fn is_so(&self, name: &str) -> Option<bool> {
        let Self { pages, facts } = self;
        let called = pages.called(facts.host);
        Some(match name {
            "others_name" => called == Called::OthersName,
            "own_name" => called == Called::OwnName,
            "by_address" => called == Called::ByAddress,
            "is_named" => called != Called::ByAddress,
            "has_host" => !facts.host.is_empty(),
            "no_host" => facts.host.is_empty(),
            "stands_in" => facts.world != facts.socket,
            "is_itself" => facts.world == facts.socket,
            "over_tls" => facts.tls.is_some(),
            "is_first" => facts.number == 1,
            "is_later" => facts.number > 1,
            "has_talk" => self.other(&pages.others.talk).is_some(),
            "has_echo" => self.other(&pages.others.echo).is_some(),
            "has_other_addresses" => pages.addresses.len() > 1,
            _ => return None,
        })
    }
}

impl Notice<'_> {
    fn title(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.status.canonical_reason().unwrap_or("Unassigned"))
    }

    pub(crate) fn text(&self) -> String {
        match self.link {
            Some(link) => format!("{}\n{} {link}\n", self.title(), self.what),
            None => format!("{}\n{}\n", self.title(), self.what),
        }
    }
}

struct Noticed<'a> {
    host: &'a str,
    notice: &'a Notice<'a>,
}

impl Fill for Noticed<'_> {
    fn value(&self, name: &str) -> Option<String> {
        Some(match name {
            "title" => self.notice.title(),
            "code" => self.notice.status.as_u16().to_string(),
            "reason" => self.notice.status.canonical_reason().unwrap_or("Unassigned").to_owned(),
            "what" => self.notice.what.to_owned(),
            "link" => self.notice.link.unwrap_or_default().to_owned(),
            "host" => self.host.to_owned(),
            "hue" => hue(self.host).to_string(),
            "program" => PROGRAM.to_owned(),
            "time" => httpdate::fmt_http_date(SystemTime::now()),
            _ => return None,
        })
    }

    fn is_so(&self, name: &str) -> Option<bool> {
        Some(match name {
            "has_link" => self.notice.link.is_some(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ports() {
        let check = |host: &str, expected: &str| assert_eq!(without_port(host), expected, "{host}");
        check("a", "a");
        check("a:80", "a");
        check("a:", "a");
        check("[::1]:80", "::1");
        check("[::1]", "::1");
        check("", "");
    }

    #[test]
    fn colours() {
        assert_eq!((hue("app1"), hue("app2"), hue("app"), hue("")), (250, 310, 250, 250));
        assert!(hue("app99999999999999999999999") < 360);
    }
}
