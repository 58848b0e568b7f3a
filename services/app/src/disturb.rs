//! What the faults in force do here: which of them is meant for a door, a connection or a request, and strikes.

use std::net::SocketAddr;

use service::door::State;
use world::fault::{Client, Fault, Fit, Kind, Met, Only, Transport};

use crate::{Config, Server};

/// What a fault makes of the doors of the web's ports and the talk port.
pub(crate) fn door(fault: &Fault) -> Option<State> {
    match fault.kind {
        Kind::Refused => Some(State::Refusing),
        Kind::Blackhole => Some(State::Unanswering),
        Kind::AcceptStall => Some(State::Stalled),
        _ => None,
    }
}

/// A request, as faults see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Whom it is for.
    pub(crate) host: &'a str,
    pub(crate) transport: Transport,
    pub(crate) peer: SocketAddr,
    /// Whether its answer has no content anyway.
    pub(crate) is_head: bool,
}

/// What meets this request before there is an answer; counted.
pub(crate) fn request<'a>(server: &Server, asked: impl FnOnce() -> Asked<'a>) -> Met {
    if server.faults.is_empty() {
        return Met::Nothing;
    }
    let asked = asked();
    let name = name(asked.host);
    server.faults.meet(|fault| fit(server, fault, &asked, &name))
}

/// The fault that meets the answer to this request, from that one on; counted.
pub(crate) fn answer(server: &Server, from: u64, asked: &Asked<'_>, has_content: bool) -> Option<Fault> {
    let name = name(asked.host);
    server.faults.meet_answer(from, |fault| match fit(server, fault, asked, &name) {
        Fit::No => false,
        Fit::Yes => true,
        Fit::OnAnswer => has_content,
    })
}

fn fit(server: &Server, fault: &Fault, asked: &Asked<'_>, name: &str) -> Fit {
    let is_meant = meets_requests(fault.kind)
        && is_for_name(&fault.only, Some(name))
        && is_for(&fault.only, asked.transport, asked.peer, &server.config);
    let is_of_content = fault.kind == Kind::Drip || fault.kind == Kind::Cut && fault.behind.is_none();
    match is_of_content {
        _ if !is_meant => Fit::No,
        true if asked.is_head => Fit::No,
        true => Fit::OnAnswer,
        false => Fit::Yes,
    }
}

/// The fault that meets this connection to the port of HTTPS before anything of it is read; counted.
pub(crate) fn connection(server: &Server, peer: SocketAddr) -> Option<Fault> {
    if server.faults.is_empty() {
        return None;
    }
    server.faults.strike(|fault| {
        fault.kind == Kind::TlsNotTls
            // Where no TLS is spoken, nobody hears for which name the client has come.
            && is_for_name(&fault.only, None)
            && is_for(&fault.only, Transport::Tls, peer, &server.config)
    })
}

/// The fault that meets this handshake, with the name that the client asks for (RFC 6066 §3); counted.
pub(crate) fn handshake(server: &Server, name: Option<&str>, peer: SocketAddr) -> Option<Fault> {
    let name = name.map(self::name);
    server.faults.strike(|fault| {
        matches!(fault.kind, Kind::TlsExpired | Kind::TlsWrongName | Kind::TlsUntrusted)
            && is_for_name(&fault.only, name.as_deref())
            && is_for(&fault.only, Transport::Tls, peer, &server.config)
    })
}

fn meets_requests(kind: Kind) -> bool {
    use Kind::{Cut, Drip, Empty, Endless, Garbage, RedirectLoop, Reset, SlowFirstByte, Status};
    matches!(kind, Cut | Drip | Empty | Endless | Garbage | RedirectLoop | Reset | SlowFirstByte | Status)
}

/// A name as faults have it: fully qualified and in lower case, without the port.
fn name(host: &str) -> String {
    let name = crate::http::without_port(host);
    format!("{}.", name.trim_end_matches('.').to_ascii_lowercase())
}

fn is_for_name(only: &Only, name: Option<&str>) -> bool {
    let is_in = |zone: &str| {
        let below = name.and_then(|name| name.strip_suffix(zone));
        zone == "." && name.is_some() || below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
    };
    only.name.as_deref().is_none_or(|wanted| name == Some(wanted)) && only.zone.as_deref().is_none_or(is_in)
}

fn is_for(only: &Only, transport: Transport, peer: SocketAddr, config: &Config) -> bool {
    let is_over = |wanted: Transport| match wanted {
        // There is one way of speaking HTTP over TLS, and both are names for it.
        Transport::Tls | Transport::Https => transport == Transport::Tls,
        other => other == transport,
    };
    let is_from = |client: &Client| match client {
        Client::Address(ip) => peer.ip().to_canonical() == *ip,
        Client::Host(host) => config.is_client(host, peer.ip().to_canonical()),
    };
    // A request has no type.
    only.rtype.is_none() && only.transport.is_none_or(is_over) && only.client.as_ref().is_none_or(is_from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |fault: &str, host: Option<&str>, expected: bool| {
            let only = fault.parse::<Fault>().unwrap().only;
            assert_eq!(is_for_name(&only, host.map(name).as_deref()), expected, "{fault} {host:?}");
        };
        check("app1:empty", None, true);
        check("app1:empty", Some(""), true);
        check("app1:empty,name=www.example.local", Some("WWW.example.local:8080"), true);
        check("app1:empty,name=www.example.local", Some("www.example.local."), true);
        check("app1:empty,name=www.example.local", Some("example.local"), false);
        check("app1:empty,name=www.example.local", None, false);
        check("app1:empty,zone=example.local", Some("www.example.local"), true);
        check("app1:empty,zone=example.local", Some("example.local:80"), true);
        check("app1:empty,zone=example.local", Some("www.notexample.local"), false);
        check("app1:empty,zone=.", Some("x"), true);
    }
}
