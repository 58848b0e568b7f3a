//! From stages and events to the outcome: which stage failed at which host, why, and what to try next.

use crate::{
    Event, Hop, KnownHost, Outcome, Reason, Stage, StageName, What,
    dns::{Meaning, Reply},
    outcome::exit,
    stage::{Did, NameSource, Told},
};

/// What the outcome is concluded from.
pub struct Case<'a> {
    /// The requests with their stages.
    pub hops: &'a [Hop],
    /// What all hosts say.
    pub events: &'a [Event],
    /// The hosts of the world.
    pub hosts: &'a [KnownHost],
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
        None => reached(case, hop),
    }
}

fn reached(case: &Case<'_>, hop: &Hop) -> (Outcome, u8) {
    let server = server_of(hop);
    let (status, phrase) = match hop.stage(StageName::Receive).map(|stage| &stage.did) {
        Some(Did::Receive(receive)) => (receive.status, receive.reason_phrase.clone().unwrap_or_default()),
        _ => (None, String::new()),
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
        Some(300..400) => Some("the answer points elsewhere: follow it with -L".to_owned()),
        Some(404) => Some("the server is fine, the path is not: check what stands behind the host name".to_owned()),
        Some(500..) => Some("the network is fine; look into the server's own log".to_owned()),
        _ => None,
    };
    let outcome = Outcome { reached: true, failed_stage: None, host: server, reason: None, verdict, next };
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
            let mut hosts: Vec<String> =
                connect.attempts.iter().map(|a| a.host.clone().unwrap_or_else(|| a.server.ip().to_string())).collect();
            hosts.dedup();
            let mut unique: Vec<String> = Vec::new();
            for host in hosts {
                if !unique.contains(&host) {
                    unique.push(host);
                }
            }
            Blamed { host: (!unique.is_empty()).then(|| unique.join(", ")), what: None }
        }
        Did::Url(_) => Blamed { host: None, what: None },
        _ => Blamed { host: server_of(hop), what: None },
    };
    let what = blamed.what.unwrap_or(what);
    let outcome = unreached(Some(name), blamed.host, reason, &what, advice(reason, name, hop));
    (outcome, exit::code(name, reason))
}

struct Blamed {
    host: Option<String>,
    // Better words than the stage had, from what other hosts report.
    what: Option<String>,
}

/// Who is at fault when a name could not be resolved: the resolver only passes on what others did, so a host that the
/// reports name goes before it.
fn blame_for_name(case: &Case<'_>, name: &crate::stage::Name, reason: Reason, what: &str) -> Blamed {
    let resolver = name.source.as_ref().and_then(|source| match source {
        NameSource::Resolver { host, address, .. } => Some(host.clone().unwrap_or_else(|| address.ip().to_string())),
        NameSource::HostsFile { .. } | NameSource::Localhost => None,
    });
    match reason {
        Reason::NoSuchName | Reason::NoAddress => {
            let Some((host, reply)) = authority(case, reason) else {
                let what = cached(case).map(|left| format!("{what}; it has that in its cache for another {left} s"));
                return Blamed { host: resolver, what };
            };
            let zone = reply.authority.iter().find(|r| r.rtype == "SOA");
            let authority = zone.map_or_else(String::new, |soa| format!(" of {}", soa.name.trim_end_matches('.')));
            let asked = &name.asked;
            let what = if reason == Reason::NoSuchName {
                format!("there is no name {asked}, says {host}, the authority{authority}")
            } else {
                format!("{asked} exists but has no address, says {host}, the authority{authority}")
            };
            Blamed { host: Some(host), what: Some(what) }
        }
        Reason::ServerFailure => {
            let mut hosts: Vec<String> = Vec::new();
            for event in case.events {
                let What::QueryFailed { server, .. } = &event.what else { continue };
                if event.host == crate::chronicle::YOU {
                    continue;
                }
                let known = crate::host_of(case.hosts, server.ip()).map(str::to_owned);
                let host = known.unwrap_or_else(|| server.ip().to_string());
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
            let host = if hosts.is_empty() { resolver } else { Some(hosts.join(", ")) };
            Blamed { host, what: None }
        }
        _ => Blamed { host: resolver, what: None },
    }
}

/// Seconds that the resolver keeps the answer that it had in its cache, where it reports that it had.
fn cached(case: &Case<'_>) -> Option<u32> {
    case.events.iter().find_map(|event| match event.what {
        What::CacheHit { remaining_ttl_s, .. } => Some(remaining_ttl_s),
        _ => None,
    })
}

/// The authoritative answer that says no, and who gave it.
fn authority(case: &Case<'_>, reason: Reason) -> Option<(String, Reply)> {
    let meant = if reason == Reason::NoSuchName { Meaning::NoSuchName } else { Meaning::NoData };
    case.events.iter().rev().find_map(|event| match &event.what {
        What::AnswerSent { reply, .. } if reply.flags.aa && reply.meaning == meant => {
            Some((event.host.clone(), reply.clone()))
        }
        _ => None,
    })
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
        (Some(stage), Some(host)) => format!("The {} stage failed at {host}: {what}.", stage.as_str()),
        (Some(stage), None) => format!("The {} stage failed: {what}.", stage.as_str()),
        (None, _) => format!("{what}."),
    };
    Outcome { reached: false, failed_stage: stage, host, reason: Some(reason), verdict, next }
}

/// What to try next. It names only what exists.
fn advice(reason: Reason, stage: StageName, hop: &Hop) -> Option<String> {
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
    let text = match (reason, stage) {
        (Reason::UrlMalformed, _) => "write it like http://host:port/path".to_owned(),
        (Reason::SchemeUnsupported, _) => "use an http:// URL".to_owned(),
        (Reason::NoSuchName, _) => "check the spelling, or ask another resolver with --resolver ADDR".to_owned(),
        (Reason::NoAddress, _) => "the name is there for something else (mail, text): visit another name".to_owned(),
        (Reason::ServerFailure, _) if nobody_asked(hop) => "ask another resolver with --resolver ADDR".to_owned(),
        (Reason::ServerFailure, _) => {
            format!("look at the name servers of {asked}, or ask another resolver with --resolver ADDR")
        }
        (Reason::QueryRefused, _) => {
            "this resolver does not serve you: ask one that does with --resolver ADDR".to_owned()
        }
        (Reason::ResolverDown, _) | (Reason::Timeout | Reason::BadReply, StageName::Name) => match resolver {
            Some(address) => {
                format!("is a DNS server running at {address}? Another one: --resolver ADDR, or --resolver system")
            }
            None => "ask another resolver with --resolver ADDR".to_owned(),
        },
        (Reason::NoResolver, _) => "name one with --resolver ADDR".to_owned(),
        (Reason::ConnectionRefused, _) => "is the server running, and is this its port?".to_owned(),
        (Reason::Unreachable | Reason::ConnectFailed, _) | (Reason::Timeout, StageName::Connect) => {
            "is the machine up, and is there a route or a firewall on the way?".to_owned()
        }
        (Reason::Timeout, StageName::Wait) => {
            "the server took the request and is silent: look at its load and its log".to_owned()
        }
        (Reason::EmptyReply | Reason::Reset, _) => {
            "the server hung up: does it speak HTTP on this port? Look at its log".to_owned()
        }
        (Reason::BodyCut | Reason::ReceiveFailed, _) => {
            "the server or something on the way broke the connection: visit again, and look at the server's log"
                .to_owned()
        }
        (Reason::MalformedResponse, _) => "what listens there does not speak HTTP/1.1: check the port".to_owned(),
        (Reason::MaxTime, _) => "allow more with --max-time SECONDS".to_owned(),
        (Reason::TooManyRedirects, _) => "do they go in a circle? Otherwise allow more with --max-redirs N".to_owned(),
        (Reason::TooLarge, _) => "allow more with --max-filesize BYTES".to_owned(),
        (Reason::Timeout | Reason::BadReply | Reason::SendFailed | Reason::HttpStatus | Reason::Interrupted, _) => {
            return None;
        }
    };
    Some(text)
}

fn nobody_asked(hop: &Hop) -> bool {
    let Some(Did::Name(name)) = hop.stage(StageName::Name).map(|stage| &stage.did) else { return true };
    !name.exchanges.iter().any(|exchange| matches!(exchange.result, Told::Reply { .. }))
}
