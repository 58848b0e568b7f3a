//! What to try next, by the stage that failed and its reason.

use std::net::SocketAddr;

use super::{Case, has_been_twice, has_status, nobody_asked, raw};
use crate::{
    Hop, Observer, Place, Reason, Said, StageName,
    dns::Meaning,
    stage::{Did, Exchange, NameSource, Protocol, Told},
};

/// A lab of which no host answers any more is not a lab with a broken hop.
pub(super) fn lab_is_gone(case: &Case<'_>) -> Option<String> {
    let Place::RunningLab { described_by } = case.place else { return None };
    // A server of another vendor never reports; that it does not is no sign of anything.
    let mut asked = case.observers.iter().filter(|observer| !matches!(observer.said, Said::NotAsked { .. })).peekable();
    let silent = |observer: &Observer| matches!(observer.said, Said::Silent { .. });
    let gone = asked.peek().is_some() && asked.all(silent);
    gone.then(|| {
        format!("no host of the lab that {described_by} describes answers: does it still run? (visit lab serve)")
    })
}

/// What to try next. It names only what exists.
pub(super) fn advice(case: &Case<'_>, reason: Reason, stage: StageName, hop: &Hop) -> Option<String> {
    let (place, hops) = (case.place, case.hops);
    let families = match hop.stage(StageName::Name).map(|stage| &stage.did) {
        Some(Did::Name(name)) => {
            let of = |rtype: &str| name.exchanges.iter().any(|exchange| exchange.question.rtype == rtype);
            (of("A"), of("AAAA"))
        }
        _ => (false, false),
    };
    let asked = match hop.stage(StageName::Name).map(|stage| &stage.did) {
        Some(Did::Name(name)) => name.asked.clone(),
        _ => String::new(),
    };
    let resolver = hop.stage(StageName::Name).and_then(|stage| match &stage.did {
        Did::Name(name) => match &name.source {
            Some(NameSource::Resolver { address, .. }) => Some(*address),
            _ => None,
        },
        _ => None,
    });
    if let Some(text) = Some(hop).filter(|hop| hop.is_raw()).and_then(|hop| raw::advice(reason, stage, hop)) {
        return Some(text);
    }
    let text = match (reason, stage) {
        (Reason::UrlMalformed, StageName::Receive) => {
            "the server has to send a URL in its Location field: look at what makes it".to_owned()
        }
        (Reason::UrlMalformed, _) => "write it like http://host:port/path".to_owned(),
        (Reason::SchemeUnsupported, _) if hops.len() > 1 || stage == StageName::Receive => {
            "where the server points to is its own choice: if you mean to go there, visit it by itself".to_owned()
        }
        (Reason::SchemeUnsupported, _) => "use one of http://, https://, tcp:// and udp://".to_owned(),
        (Reason::NoSuchName, _) if place.is_lab() => {
            "check the spelling; the lab knows its own names alone (lab/zones), without --lab others are the internet's"
                .to_owned()
        }
        (Reason::NoSuchName, _) => "check the spelling, or ask another resolver with --resolver ADDR".to_owned(),
        (Reason::NoAddress, _) if families == (true, false) => "visit without -4".to_owned(),
        (Reason::NoAddress, _) if families == (false, true) => "visit without -6".to_owned(),
        (Reason::NoAddress, _) => "the name is there for something else (mail, text): visit another name".to_owned(),
        (Reason::ServerFailure, _) if !nobody_asked(hop) && does_not_report(case, hop) => {
            "this resolver does not report whom it asked: ask them yourself with --walk".to_owned()
        }
        (Reason::ServerFailure, _) if nobody_asked(hop) => "ask another resolver with --resolver ADDR".to_owned(),
        (Reason::ServerFailure, _) => {
            format!("look at the name servers of {asked}, or ask another resolver with --resolver ADDR")
        }
        (Reason::NoRecursion, _) if case.walk.is_some() => {
            "it is a name server and no resolver: name one with --resolver ADDR".to_owned()
        }
        (Reason::NoRecursion, _) => {
            "it is a name server and no resolver: name one with --resolver ADDR, or walk yourself with --walk"
                .to_owned()
        }
        (Reason::QueryRefused, _) => {
            "this resolver does not serve you: ask one that does with --resolver ADDR".to_owned()
        }
        (Reason::BadReply | Reason::Timeout, StageName::Name) if !nobody_asked(hop) => has_replied(hop, resolver),
        (Reason::ResolverDown, _)
        | (Reason::Timeout | Reason::BadReply | Reason::Reset | Reason::NotTls | Reason::TlsFailed, StageName::Name) => {
            match resolver {
                Some(address) => {
                    format!("is a DNS server running at {address}? Another one: --resolver ADDR, or --resolver system")
                }
                None => "ask another resolver with --resolver ADDR".to_owned(),
            }
        }
        (Reason::NoResolver, _) => "name one with --resolver ADDR".to_owned(),
        (Reason::Unreachable, StageName::Route) if families == (false, true) => "visit without -6".to_owned(),
        (Reason::Unreachable, StageName::Route) => {
            "is this machine's network up? Look at its routing table and its addresses: ip route, ip address".to_owned()
        }
        (Reason::ConnectionRefused, _) => "is the server running, and is this its port?".to_owned(),
        (Reason::Unreachable | Reason::ConnectFailed, _) | (Reason::Timeout, StageName::Connect) => {
            "is the machine up, and is there a route or a firewall on the way?".to_owned()
        }
        (Reason::NotTls, _) if protocol(hop).is_some() => return other_protocol(hop),
        (Reason::NotTls, _) => "does it speak TLS on this port? Without: use an http:// URL".to_owned(),
        (Reason::TlsFailed, StageName::Wait | StageName::Receive) => {
            "it may want a certificate of this side, and visit has none to show: look at the server's log".to_owned()
        }
        (Reason::Reset, StageName::Tls) => {
            "the server hung up: does it speak TLS on this port? Look at its log".to_owned()
        }
        (Reason::TlsFailed, _) | (Reason::Timeout, StageName::Tls) => {
            "look at what the server's TLS is set up for: versions, cipher suites, its log".to_owned()
        }
        (Reason::CertificateExpired, _) => {
            "the server needs a new certificate; is this machine's clock right?".to_owned()
        }
        (Reason::CertificateNotYetValid, _) => "is this machine's clock right?".to_owned(),
        (Reason::CertificateWrongName, _) => {
            "visit a name that the certificate is for, or have one issued for this name".to_owned()
        }
        (Reason::CertificateUntrusted, _) => {
            "is its issuer one to trust? Then name the issuer's certificate with --cacert FILE".to_owned()
        }
        (Reason::CertificateRefused, _) => "have the server's certificate looked at".to_owned(),
        (Reason::WriteFailed, _) => "write it somewhere else with -o FILE".to_owned(),
        (Reason::BadContentCoding, _) => "ask for the content as it is: -H 'Accept-Encoding: identity'".to_owned(),
        (Reason::Timeout, StageName::Wait) => {
            "the server took the request and is silent: look at its load and its log".to_owned()
        }
        (Reason::BadTransferCoding, _) => {
            "the request did not ask for this coding (TE): look at the server, and at proxies on the way".to_owned()
        }
        (Reason::BrokenChunks, _) => {
            "look at the server's log, and at proxies on the way: the framing of the response is broken".to_owned()
        }
        (Reason::Timeout, StageName::Receive) => "allow more with --max-time SECONDS".to_owned(),
        (Reason::Reset | Reason::MalformedResponse, _)
            if !is_http2(hop) && (has_status(hop) || protocol(hop) == Some(Protocol::Http)) =>
        {
            "it began as an answer should, so it is the server or something on the way: look at the server's log"
                .to_owned()
        }
        (Reason::EmptyReply | Reason::Reset, _) if is_http2(hop) => {
            "the server agreed on HTTP/2 and hung up: look at its log; does it answer over HTTP/1.1? visit with --http1.1"
                .to_owned()
        }
        (Reason::EmptyReply | Reason::Reset, _) => {
            "the server hung up: does it speak HTTP on this port? Look at its log".to_owned()
        }
        (Reason::BodyCut | Reason::ReceiveFailed, _) => {
            "the server or something on the way broke the connection: visit again, and look at the server's log"
                .to_owned()
        }
        (Reason::Http1Required, _) => "visit with --http1.1".to_owned(),
        (Reason::StreamFailed, _) => {
            "look at the server's log; does it answer over HTTP/1.1? visit with --http1.1".to_owned()
        }
        (Reason::MalformedResponse, _) if is_http2(hop) => {
            "the server agreed on HTTP/2 and does not keep to it: look at its log; does it answer over HTTP/1.1? visit \
             with --http1.1"
                .to_owned()
        }
        (Reason::MalformedResponse, _) if protocol(hop).is_some() => return other_protocol(hop),
        (Reason::MalformedResponse, _) => "what listens there does not speak HTTP: check the port".to_owned(),
        (Reason::MaxTime, _) => "allow more with --max-time SECONDS".to_owned(),
        (Reason::TooManyRedirects, _) if has_been_twice(hops) => {
            "the server has to end the circle: what does it look at? Scheme, host, a cookie that is not sent?"
                .to_owned()
        }
        (Reason::TooManyRedirects, _) => "allow more with --max-redirs N".to_owned(),
        // The limit of a head cannot be changed.
        (Reason::TooLarge, _) if !has_head(hop) => return None,
        (Reason::TooLarge, _) => "allow more with --max-filesize BYTES".to_owned(),
        (Reason::Timeout | Reason::BadReply | Reason::SendFailed | Reason::HttpStatus | Reason::Interrupted, _) => {
            return None;
        }
    };
    Some(text)
}

/// Whether the handshake agreed on HTTP/2, so that the port is one of a server that speaks it.
fn is_http2(hop: &Hop) -> bool {
    let tls = hop.stage(StageName::Tls).map(|stage| &stage.did);
    matches!(tls, Some(Did::Tls(tls)) if tls.alpn.as_deref() == Some("h2"))
}

/// What to try where the resolver replied, and the reply was of no use: that a DNS server runs there is known.
fn has_replied(hop: &Hop, resolver: Option<SocketAddr>) -> String {
    let Some(Did::Name(name)) = hop.stage(StageName::Name).map(|stage| &stage.did) else { return String::new() };
    let is_cut = |exchange: &Exchange| {
        matches!(&exchange.result, Told::Reply { reply } if reply.meaning == Meaning::Truncated)
            && Some(exchange.server) == resolver
    };
    match resolver.filter(|_| name.exchanges.iter().any(is_cut)) {
        Some(address) => format!(
            "does TCP reach {address}? A firewall may let UDP through only (RFC 7766 asks for both). Another resolver: --resolver ADDR"
        ),
        None => "ask another resolver with --resolver ADDR".to_owned(),
    }
}

/// Whether the head of a response came to its end.
fn has_head(hop: &Hop) -> bool {
    hop.received().is_some_and(|receive| receive.headers_at_us.is_some())
}

/// What the server speaks instead of what was expected.
fn protocol(hop: &Hop) -> Option<Protocol> {
    let of_tls = hop.stage(StageName::Tls).and_then(|stage| match &stage.did {
        Did::Tls(tls) => tls.protocol,
        _ => None,
    });
    of_tls.or_else(|| hop.received()?.protocol)
}

/// What to do where a server speaks something else than the URL says.
fn other_protocol(hop: &Hop) -> Option<String> {
    let protocol = protocol(hop)?;
    let url = |scheme: &str| match hop.stage(StageName::Url).map(|stage| &stage.did) {
        Some(Did::Url(url)) => {
            let port = url.port.map_or_else(String::new, |port| format!(":{port}"));
            format!("{scheme}://{}{port}{}", url.host, url.target)
        }
        _ => format!("{scheme}://"),
    };
    Some(match protocol {
        Protocol::Tls => format!("this port speaks TLS: try {}", url("https")),
        Protocol::Http if hop.scheme() == "https" => format!("this port speaks plain HTTP: try {}", url("http")),
        Protocol::Http2 => "this port speaks HTTP/2 without TLS (prior knowledge), which visit does not".to_owned(),
        other => format!("this port speaks {}, not HTTP: check the port", other.name()),
    })
}

/// Whether another vendor's server plays the resolver: what it met is known from nobody.
fn does_not_report(case: &Case<'_>, hop: &Hop) -> bool {
    let Some(Did::Name(name)) = hop.stage(StageName::Name).map(|stage| &stage.did) else { return false };
    let Some(NameSource::Resolver { host: Some(host), .. }) = &name.source else { return false };
    let is_it = |observer: &Observer| observer.host == *host && matches!(observer.said, Said::NotAsked { .. });
    case.observers.iter().any(is_it)
}
