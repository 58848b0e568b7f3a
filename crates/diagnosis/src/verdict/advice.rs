//! What to try next, by the stage that failed and its reason.

use std::net::SocketAddr;

use super::{Facts, has_been_twice, has_status, nobody_asked, raw};
use journey::{
    Cause, Hop, HostReport, Observer, Place, Reason, StageName, Sure, Trouble,
    dns::Meaning,
    stage::{CertificateFault, Did, Exchange, FaultKind, NameSource, Protocol, QueryResult, Tls},
};

/// A lab of which no host answers any more is not a lab with a broken hop.
pub(super) fn lab_is_gone(case: &Facts<'_>) -> Option<String> {
    let Place::RunningLab { described_by } = case.place else { return None };
    // A server of another vendor never reports; that it does not is no sign of anything.
    let mut asked =
        case.observers.iter().filter(|observer| !matches!(observer.said, HostReport::NotAsked { .. })).peekable();
    let silent = |observer: &Observer| matches!(observer.said, HostReport::Silent { .. });
    let gone = asked.peek().is_some() && asked.all(silent);
    gone.then(|| {
        format!("no host of the lab that {described_by} describes answers: does it still run? (visit lab serve)")
    })
}

/// What to try next where a cause says more than the reason that the stage failed by.
pub(super) fn of_cause(cause: &Cause, stage: StageName, hop: &Hop) -> Option<String> {
    let host = || cause.host.clone().unwrap_or_else(|| "the server".to_owned());
    match cause.trouble {
        Trouble::AcceptQueueFull => Some(format!(
            "the server program on {} does not accept connections: look at its load and its log; ss -ltn there shows the \
             queue (Recv-Q above Send-Q)",
            host()
        )),
        Trouble::NothingListens => Some("is the server running, and is this its port?".to_owned()),
        Trouble::ThisMachine if stage == StageName::Connect => {
            Some("this machine could not try: look at its limits (ulimit -a) and its addresses (ip address)".to_owned())
        }
        Trouble::Reset if stage == StageName::Connect => {
            Some(format!("{}, or a firewall before it, resets connections to this port: look at its log", host()))
        }
        Trouble::Silent if stage == StageName::Tls && !ran_out_of_time(hop) => Some(format!(
            "does {} speak TLS on this port? It took the connection and sent nothing: look at its load and its log",
            host()
        )),
        Trouble::AliasLoop => Some("change one of these CNAME records".to_owned()),
        Trouble::FramesLate => Some(format!("look at the link of {}: frames are held up there", host())),
        // The SYN was seen to arrive: the route is fine.
        Trouble::SynUnanswered if cause.sure == Sure::Certain => {
            Some(format!("the SYN reached {}: does a firewall on it drop SYNs, or is the machine stuck?", host()))
        }
        Trouble::TlsFailed if tls(hop).is_some_and(|tls| tls.client_certificate_requested) => Some(
            "the server wants a client certificate, and visit cannot present one: curl can (--cert, --key)".to_owned(),
        ),
        _ => tls(hop).and_then(|tls| of_certificates(tls, hop)),
    }
}

/// Whether the time of the whole visit was over.
fn ran_out_of_time(hop: &Hop) -> bool {
    let failure = hop.failed().and_then(|stage| stage.failure.as_ref());
    failure.is_some_and(|failure| failure.reason == Reason::MaxTime)
}

fn tls(hop: &Hop) -> Option<&Tls> {
    match &hop.stage(StageName::Tls)?.did {
        Did::Tls(tls) => Some(tls),
        _ => None,
    }
}

/// What to do about certificates that were refused.
fn of_certificates(tls: &Tls, hop: &Hop) -> Option<String> {
    let failed = hop.failed().is_some_and(|stage| stage.name() == StageName::Tls);
    let fault = tls.faults.first().filter(|_| failed)?;
    let is_alone = tls.faults.len() == 1;
    let server = &tls.server_name;
    Some(match fault {
        CertificateFault { kind: FaultKind::SelfSigned, .. } if is_alone => {
            "if it is the server that you mean, name its certificate with --cacert FILE".to_owned()
        }
        CertificateFault { kind: FaultKind::SelfSigned | FaultKind::CaAsServer, .. } => {
            let kind = if tls.name_sent { "DNS" } else { "IP" };
            format!(
                "issue a certificate for the server with CA:FALSE and subjectAltName={kind}:{server}; -k visits without \
                 verifying"
            )
        }
        CertificateFault { kind: FaultKind::UntrustedRoot, .. } => {
            "if you trust that CA, name its certificate with --cacert FILE".to_owned()
        }
        CertificateFault { kind: FaultKind::MissingIssuer, .. } => {
            "configure the server to send its intermediate certificates too (the full chain); if the missing issuer is a root \
             that you trust, name it with --cacert FILE"
                .to_owned()
        }
        CertificateFault { kind: FaultKind::NoTrust, .. } => "name a CA to trust with --cacert FILE".to_owned(),
        CertificateFault { kind: FaultKind::BadSignature, .. } => {
            "was that CA renewed? Compare its certificates, and name the current one with --cacert FILE".to_owned()
        }
        CertificateFault { kind: FaultKind::Expired, certificate: Some(1..), .. } => {
            "the server needs a chain with a current CA certificate; is this machine's clock right?".to_owned()
        }
        CertificateFault { kind: FaultKind::Version | FaultKind::Algorithm, .. } => {
            "issue the certificate again: X.509 version 3, a key of ECDSA P-256 or RSA 2048, SHA-256; -k visits without \
             verifying"
                .to_owned()
        }
        CertificateFault { kind: FaultKind::Purpose, .. } => {
            "have a certificate issued for server authentication (extKeyUsage serverAuth)".to_owned()
        }
        CertificateFault { kind: FaultKind::NotACa | FaultKind::PathLength | FaultKind::NameConstraint, .. } => {
            "have the certificate issued by a CA that may issue it".to_owned()
        }
        _ => return None,
    })
}

/// What to try next. It names only what exists.
pub(super) fn advice(case: &Facts<'_>, reason: Reason, stage: StageName, hop: &Hop) -> Option<String> {
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
        (Reason::NotTls | Reason::TlsFailed, StageName::Name) => match resolver {
            Some(address) => format!("does {address} speak DNS over TLS or HTTPS? Another resolver: --resolver ADDR"),
            None => "ask another resolver with --resolver ADDR".to_owned(),
        },
        (Reason::ResolverDown, _) | (Reason::Timeout | Reason::BadReply | Reason::Reset, StageName::Name) => {
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
            "the server ended TLS after the handshake: look at its log".to_owned()
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
        (Reason::CertificateRefused, _) => {
            "look at the certificates: openssl s_client -showcerts -connect HOST:PORT".to_owned()
        }
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
        matches!(&exchange.result, QueryResult::Reply { reply } if reply.meaning == Meaning::Truncated)
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
fn does_not_report(case: &Facts<'_>, hop: &Hop) -> bool {
    let Some(Did::Name(name)) = hop.stage(StageName::Name).map(|stage| &stage.did) else { return false };
    let Some(NameSource::Resolver { host: Some(host), .. }) = &name.source else { return false };
    let is_it = |observer: &Observer| observer.host == *host && matches!(observer.said, HostReport::NotAsked { .. });
    case.observers.iter().any(is_it)
}
