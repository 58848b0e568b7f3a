//! From stages and events to the outcome: which stage failed at which host, why, and what to try next.

mod raw;

use std::net::SocketAddr;

use crate::{
    Event, Hop, KnownHost, Observer, Outcome, Place, Reason, Said, Stage, StageName, What,
    chronicle::YOU,
    dns::{Meaning, Question, Reply},
    outcome::exit,
    stage::{self, Did, NameSource, Told},
};

/// What the outcome is concluded from.
pub struct Case<'a> {
    /// The requests with their stages.
    pub hops: &'a [Hop],
    /// What all hosts say.
    pub events: &'a [Event],
    /// The hosts of the world.
    pub hosts: &'a [KnownHost],
    /// Where the visit took place.
    pub place: &'a Place,
    /// What came of asking the hosts for reports.
    pub observers: &'a [Observer],
    /// Whether a status of 400 or above counts as a failure.
    pub fail_on_status: bool,
}

/// The outcome, and what to exit with.
pub fn judge(case: &Case<'_>) -> (Outcome, u8) {
    let Some(hop) = case.hops.last() else {
        return (unreached(None, None, Reason::UrlMalformed, "nothing was visited", None), exit::USAGE);
    };
    match hop.failed() {
        Some(stage) => failed(case, hop, stage),
        None if hop.is_raw() => (raw::ended(hop), exit::REACHED),
        None => reached(case, hop),
    }
}

fn reached(case: &Case<'_>, hop: &Hop) -> (Outcome, u8) {
    let server = server_of(hop);
    let (status, phrase) = match receive_of(hop) {
        Some(receive) => (receive.status, receive.reason_phrase.clone().unwrap_or_default()),
        None => (None, String::new()),
    };
    let answer = match status {
        Some(status) => format!("{status} {phrase}").trim().to_owned(),
        None => "an answer".to_owned(),
    };
    if case.fail_on_status && status.is_some_and(|status| status >= 400) {
        let what = format!("it answered {answer}, and --fail makes that a failure");
        let outcome = unreached(Some(StageName::Receive), server, Reason::HttpStatus, &what, None);
        return (outcome, exit::code(StageName::Receive, Reason::HttpStatus));
    }
    let verdict = match &server {
        Some(server) => format!("Reached {server}: {answer}."),
        None => format!("Reached: {answer}."),
    };
    let next = match status {
        Some(300..400) if points_elsewhere(hop) => Some("the answer points elsewhere: follow it with -L".to_owned()),
        Some(404) => Some("the server is fine, the path is not: check what stands behind the host name".to_owned()),
        Some(500..) => Some("the network is fine; look into the server's own log".to_owned()),
        _ => None,
    };
    let outcome =
        Outcome { reached: true, failed_stage: None, host: server, reason: None, verdict, next, causes: Vec::new() };
    (outcome, exit::REACHED)
}

fn failed(case: &Case<'_>, hop: &Hop, stage: &Stage) -> (Outcome, u8) {
    // A failed stage always says why.
    let (reason, what) = match &stage.failure {
        Some(failure) => (failure.reason, failure.what.clone()),
        None => (Reason::Timeout, "no reason was recorded".to_owned()),
    };
    let name = stage.name();
    let blamed = match &stage.did {
        Did::Name(told) => blame_for_name(case, told, reason, &what),
        Did::Connect(connect) => {
            let mut unique: Vec<String> = Vec::new();
            for attempt in &connect.attempts {
                let host = attempt.host.clone().unwrap_or_else(|| attempt.server.ip().to_string());
                if !unique.contains(&host) {
                    unique.push(host);
                }
            }
            Blamed { host: (!unique.is_empty()).then(|| unique.join(", ")), what: None }
        }
        Did::Url(_) | Did::Route(_) => Blamed { host: None, what: None },
        _ => Blamed { host: server_of(hop), what: None },
    };
    let what = blamed.what.unwrap_or(what);
    let next = lab_is_gone(case).or_else(|| advice(case, reason, name, hop));
    let outcome = unreached(Some(name), blamed.host, reason, &what, next);
    (outcome, exit::code(name, reason))
}

struct Blamed {
    host: Option<String>,
    // Better words than the stage had, from what other hosts report.
    what: Option<String>,
}

/// Who is at fault when a name could not be resolved: the resolver only passes on what others did, so a host that the
/// reports name goes before it.
fn blame_for_name(case: &Case<'_>, name: &stage::Name, reason: Reason, what: &str) -> Blamed {
    let resolver = name.source.as_ref().and_then(|source| match source {
        NameSource::Resolver { host, address, .. } => Some(host.clone().unwrap_or_else(|| address.ip().to_string())),
        NameSource::HostsFile { .. } | NameSource::CommandLine { .. } | NameSource::Localhost => None,
    });
    match reason {
        Reason::NoSuchName | Reason::NoAddress => {
            let end = name.aliases.last().unwrap_or(&name.asked).trim_end_matches('.');
            if let Some((host, reply)) = authority(case, reason, end) {
                let zone = reply.authority.iter().find(|r| r.rtype == "SOA");
                let of = zone.map_or_else(String::new, |soa| format!(" of {}", soa.name.trim_end_matches('.')));
                let what = format!("{}, says {host}, the authority{of}", name.denial(reason == Reason::NoSuchName));
                return Blamed { host: Some(host), what: Some(what) };
            }
            let what = cached(case, end).map(|left| format!("{what}; it has that in its cache for another {left} s"));
            Blamed { host: resolver, what }
        }
        Reason::ServerFailure => {
            let hosts = without_use(case);
            Blamed { host: if hosts.is_empty() { resolver } else { Some(hosts.join(", ")) }, what: None }
        }
        _ => Blamed { host: resolver, what: None },
    }
}

/// The servers that gave the resolver nothing to go on with: those whose question no other server answered either.
fn without_use(case: &Case<'_>) -> Vec<String> {
    let others = || case.events.iter().filter(|event| event.host != YOU);
    // A reply that is of no use is told twice, as it came and as what is wrong with it.
    let is_useless = |server: SocketAddr, question: &Question, took: u64| {
        others().any(|event| {
            matches!(&event.what, What::QueryFailed { server: s, question: q, elapsed_us, .. }
            if *s == server && q == question && *elapsed_us == took)
        })
    };
    let is_answered = |question: &Question| {
        others().any(|event| {
            matches!(&event.what, What::ReplyReceived { server, question: q, elapsed_us, .. }
            if q == question && !is_useless(*server, q, *elapsed_us))
        })
    };
    let mut hosts: Vec<String> = Vec::new();
    for event in others() {
        let What::QueryFailed { server, question, .. } = &event.what else { continue };
        let known = crate::host_of(case.hosts, server.ip()).map(str::to_owned);
        let host = known.unwrap_or_else(|| server.ip().to_string());
        if !is_answered(question) && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// Seconds that the resolver keeps the answer for this name that it had in its cache, where it reports that it had.
fn cached(case: &Case<'_>, name: &str) -> Option<u32> {
    case.events.iter().find_map(|event| match &event.what {
        What::CacheHit { question, remaining_ttl_s, .. } if is_name(question, name) => Some(*remaining_ttl_s),
        _ => None,
    })
}

/// The authoritative answer that says no to this name, and who gave it. "No such name" also goes for all names below
/// (RFC 8020); "no address" is said only when an address was asked for.
fn authority(case: &Case<'_>, reason: Reason, name: &str) -> Option<(String, Reply)> {
    case.events.iter().rev().find_map(|event| {
        let (host, reply, question) = match &event.what {
            What::AnswerSent { reply, question, .. } => (event.host.clone(), reply, question),
            // What an authority does not report itself, whoever asked it does.
            What::ReplyReceived { server, reply, question, .. } if event.host != YOU => {
                (crate::host_of(case.hosts, server.ip())?.to_owned(), reply, question)
            }
            _ => return None,
        };
        let says_no = match reason {
            Reason::NoSuchName => {
                let above = question.name.trim_end_matches('.').to_ascii_lowercase();
                let below = name.to_ascii_lowercase();
                reply.meaning == Meaning::NoSuchName && (below == above || below.ends_with(&format!(".{above}")))
            }
            _ => {
                let of_address = matches!(question.rtype.as_str(), "A" | "AAAA");
                reply.meaning == Meaning::NoData && of_address && is_name(question, name)
            }
        };
        (reply.flags.aa && says_no).then(|| (host, reply.clone()))
    })
}

fn is_name(question: &Question, name: &str) -> bool {
    question.name.trim_end_matches('.').eq_ignore_ascii_case(name)
}

fn server_of(hop: &Hop) -> Option<String> {
    let Did::Connect(connect) = &hop.stage(StageName::Connect)?.did else { return None };
    let attempt = connect.connected()?;
    Some(attempt.host.clone().unwrap_or_else(|| attempt.server.to_string()))
}

fn unreached(
    stage: Option<StageName>,
    host: Option<String>,
    reason: Reason,
    what: &str,
    next: Option<String>,
) -> Outcome {
    let verdict = match (stage, &host) {
        (Some(stage), Some(host)) if reason == Reason::Interrupted => {
            format!("Interrupted in the {} stage, at {host}.", stage.as_str())
        }
        (Some(stage), None) if reason == Reason::Interrupted => format!("Interrupted in the {} stage.", stage.as_str()),
        (Some(stage), Some(host)) => format!("The {} stage failed at {host}: {what}.", stage.as_str()),
        (Some(stage), None) => format!("The {} stage failed: {what}.", stage.as_str()),
        (None, _) => format!("{what}."),
    };
    Outcome { reached: false, failed_stage: stage, host, reason: Some(reason), verdict, next, causes: Vec::new() }
}

/// A lab of which no host answers any more is not a lab with a broken hop.
fn lab_is_gone(case: &Case<'_>) -> Option<String> {
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
fn advice(case: &Case<'_>, reason: Reason, stage: StageName, hop: &Hop) -> Option<String> {
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
        (Reason::NoRecursion, _) => {
            "it is a name server and no resolver: name one with --resolver ADDR, or walk yourself with --walk"
                .to_owned()
        }
        (Reason::QueryRefused, _) => {
            "this resolver does not serve you: ask one that does with --resolver ADDR".to_owned()
        }
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
        (Reason::Reset | Reason::MalformedResponse, _) if has_status(hop) => {
            "it began as an answer should, so it is the server or something on the way: look at the server's log"
                .to_owned()
        }
        (Reason::EmptyReply | Reason::Reset, _) => {
            "the server hung up: does it speak HTTP on this port? Look at its log".to_owned()
        }
        (Reason::BodyCut | Reason::ReceiveFailed, _) => {
            "the server or something on the way broke the connection: visit again, and look at the server's log"
                .to_owned()
        }
        (Reason::MalformedResponse, _) => "what listens there does not speak HTTP: check the port".to_owned(),
        (Reason::MaxTime, _) => "allow more with --max-time SECONDS".to_owned(),
        (Reason::TooManyRedirects, _) if has_been_twice(hops) => {
            "the server has to end the circle: what does it look at? Scheme, host, a cookie that is not sent?"
                .to_owned()
        }
        (Reason::TooManyRedirects, _) => "allow more with --max-redirs N".to_owned(),
        (Reason::TooLarge, _) if !has_status(hop) => return None,
        (Reason::TooLarge, _) => "allow more with --max-filesize BYTES".to_owned(),
        (Reason::Timeout | Reason::BadReply | Reason::SendFailed | Reason::HttpStatus | Reason::Interrupted, _) => {
            return None;
        }
    };
    Some(text)
}

fn receive_of(hop: &Hop) -> Option<&stage::Receive> {
    match &hop.stage(StageName::Receive)?.did {
        Did::Receive(receive) => Some(receive),
        _ => None,
    }
}

fn has_been_twice(hops: &[Hop]) -> bool {
    hops.iter().enumerate().any(|(nth, hop)| hops[..nth].iter().any(|before| before.url == hop.url))
}

fn has_status(hop: &Hop) -> bool {
    receive_of(hop).is_some_and(|receive| receive.status.is_some())
}

fn points_elsewhere(hop: &Hop) -> bool {
    receive_of(hop).is_some_and(|receive| receive.headers.iter().any(|header| header.name == "location"))
}

/// Whether the resolver that was asked is one of another vendor, which plays a host of the lab.
fn does_not_report(case: &Case<'_>, hop: &Hop) -> bool {
    let Some(Did::Name(name)) = hop.stage(StageName::Name).map(|stage| &stage.did) else { return false };
    let Some(NameSource::Resolver { host: Some(host), .. }) = &name.source else { return false };
    let is_it = |observer: &Observer| observer.host == *host && matches!(observer.said, Said::NotAsked { .. });
    case.observers.iter().any(is_it)
}

fn nobody_asked(hop: &Hop) -> bool {
    let Some(Did::Name(name)) = hop.stage(StageName::Name).map(|stage| &stage.did) else { return true };
    !name.exchanges.iter().any(|exchange| matches!(exchange.result, Told::Reply { .. }))
}
