//! The way to the server: addresses that could not be connected to, and what they say to TLS.

use std::net::SocketAddr;

use super::{
    evidence::{Evidence, id},
    own::packets,
    words::{and, ms},
};
use journey::{
    Basis, Cause, Event, HostReport, Reason, StageName, Sure, Trouble, What,
    chronicle::YOU,
    stage::{Attempt, ConnectFailure, Did, Tried},
};

/// An attempt that was given up so early was not left unanswered: another was started at the same time.
const LONG_US: u64 = 200_000;

/// What came of an attempt, as a trouble.
fn trouble(evidence: &Evidence<'_>, attempt: &Attempt) -> Option<Trouble> {
    let unanswered = || match () {
        () if is_lost(evidence, attempt) => None,
        () if is_full(evidence, attempt.server).is_some() => Some(Trouble::AcceptQueueFull),
        () => Some(Trouble::SynUnanswered),
    };
    match &attempt.result {
        Tried::Connected => None,
        Tried::Refused => Some(Trouble::NothingListens),
        Tried::Timeout => unanswered(),
        // What another overtook had its time, and was not answered in it; unless the frames say that it was, later.
        Tried::Abandoned if attempt.duration_us < LONG_US || is_answered(evidence, attempt) => None,
        Tried::Abandoned => unanswered(),
        Tried::Unreachable { .. } => Some(Trouble::Unreachable).filter(|_| !is_lost(evidence, attempt)),
        Tried::Failed { failure: ConnectFailure::NotWaitedFor, .. } => unanswered(),
        Tried::Failed { failure: ConnectFailure::Reset, .. } => Some(Trouble::Reset),
        Tried::Failed { failure: ConnectFailure::Other, .. } => Some(Trouble::ThisMachine),
    }
}

fn is_answered(evidence: &Evidence<'_>, attempt: &Attempt) -> bool {
    evidence.traffic.as_ref().is_some_and(|traffic| traffic.is_syn_answered(attempt.server))
}

fn is_lost(evidence: &Evidence<'_>, attempt: &Attempt) -> bool {
    evidence.is_lost(&evidence.way_of_attempt(attempt))
}

/// Addresses that could not be connected to: all that a host has, in one cause.
pub(super) fn attempts(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(connect) = evidence.connect() else { return Vec::new() };
    let broke = evidence.failed_at(StageName::Connect).is_some();
    let mut hosts: Vec<(String, Vec<&Attempt>)> = Vec::new();
    for attempt in connect.attempts.iter().filter(|attempt| trouble(evidence, attempt) == Some(wanted)) {
        let host = attempt.host.clone().unwrap_or_else(|| attempt.server.ip().to_string());
        match hosts.iter_mut().find(|(known, _)| *known == host) {
            Some((_, attempts)) => attempts.push(attempt),
            None => hosts.push((host, vec![attempt])),
        }
    }
    hosts.into_iter().map(|(host, attempts)| of_host(evidence, wanted, host, &attempts).broke(broke)).collect()
}

fn of_host(evidence: &Evidence<'_>, wanted: Trouble, host: String, attempts: &[&Attempt]) -> Cause {
    let sockets: Vec<String> = attempts.iter().map(|attempt| attempt.server.to_string()).collect();
    // A verdict names the host before this; what went wrong besides does not.
    let at = match evidence.failed_at(StageName::Connect) {
        None if attempts.iter().any(|attempt| attempt.host.is_some()) => format!("{host} ({})", and(&sockets)),
        _ => and(&sockets),
    };
    // The stage's own words are of all attempts; where these are all, nobody says it better.
    let is_all = evidence.connect().is_some_and(|connect| connect.attempts.len() == attempts.len());
    let own = evidence.failed_at(StageName::Connect).filter(|_| is_all).map(|failed| failed.what.to_owned());
    let longest = attempts.iter().map(|attempt| attempt.duration_us).max().unwrap_or_default();
    let events = evidence.events_of(YOU).filter(|event| match &event.what {
        What::ConnectFailed { server, .. } | What::ConnectStarted { server } => {
            attempts.iter().any(|attempt| attempt.server == *server)
        }
        _ => false,
    });
    let basis: Vec<Basis> = events.filter_map(id).chain([evidence.stage(StageName::Connect)]).collect();
    let (what, sure, tell, more) = match wanted {
        Trouble::NothingListens => {
            let otherwise = || format!("nothing listens on {at}: the machine is there and refuses");
            match refusal(evidence, &at) {
                None => (own.unwrap_or_else(otherwise), Sure::Certain, None, Vec::new()),
                Some((what, tell)) => (what, Sure::Likely, Some(tell), Vec::new()),
            }
        }
        Trouble::AcceptQueueFull => {
            let (how, sure, more) = is_full(evidence, attempts[0].server).unwrap_or_default();
            let what = own.unwrap_or_else(|| format!("{at} did not answer"));
            (format!("{what}, and {how}"), sure, None, more)
        }
        Trouble::SynUnanswered => {
            unanswered(evidence, &host, attempts, own.unwrap_or_else(|| format!("{at} did not answer")))
        }
        Trouble::Unreachable => {
            let why = attempts.iter().find_map(|attempt| match &attempt.result {
                Tried::Unreachable { why } => Some(why.as_str()),
                _ => None,
            });
            (format!("there is no way to {at}: {}", why.unwrap_or("no more is told")), Sure::Certain, None, Vec::new())
        }
        _ => {
            let why = attempts.iter().find_map(|attempt| match &attempt.result {
                Tried::Failed { why, .. } => Some(why.as_str()),
                _ => None,
            });
            (format!("no connection to {at}: {}", why.unwrap_or("no more is told")), Sure::Certain, None, Vec::new())
        }
    };
    let what = match (evidence.failed_at(StageName::Connect), evidence.server()) {
        (None, Some(other)) => {
            let others = if wanted == Trouble::SynUnanswered { one_by_one(evidence, attempts) } else { "" };
            format!("{what}; {other} was there instead, after {}{others}", ms(longest))
        }
        _ => what,
    };
    Cause::new(wanted, Some(host), what).sure(sure).tell(tell).on(more.into_iter().chain(basis))
}

/// What clients do at a silent address that do not begin with the next one of its family meanwhile, as this visit does. The
/// other family is tried beside it after 200 or 300 ms (curl, Chromium), so only addresses of one family count. Linux sends
/// six SYNs again before it gives up (tcp(7), `tcp_syn_retries`): 134 s, measured with Chromium, Firefox and curl.
fn one_by_one(evidence: &Evidence<'_>, attempts: &[&Attempt]) -> &'static str {
    let is_v4 = |attempt: &Attempt| attempt.server.ip().to_canonical().is_ipv4();
    let Some(connected) = evidence.connected() else { return "" };
    let is_first = |attempt: &&&Attempt| {
        is_v4(attempt) == is_v4(connected)
            && attempt.start_us <= connected.start_us
            && attempt.server != connected.server
    };
    match attempts.iter().find(is_first) {
        Some(_) => {
            ": clients that try the addresses of a family one after the other (Chromium, Firefox, curl) wait more than two \
             minutes at it"
        }
        None => "",
    }
}

/// What an RST says outside a lab, and what would tell more: a firewall, on the machine or before it, may reject so too (RFC
/// 9293 §3.5.2 is what a machine does by itself).
fn refusal(evidence: &Evidence<'_>, at: &str) -> Option<(String, String)> {
    let what = || format!("{at} refuses (RST): nothing listens there, or a firewall rejects what comes");
    let tell = || "the machine's own list of what listens (ss -ltn), and the firewalls on the way to it".to_owned();
    (!evidence.case.place.is_lab()).then(|| (what(), tell()))
}

type Words = (String, Sure, Option<String>, Vec<Basis>);

/// A SYN without an answer: with the frames it is known how far it came.
fn unanswered(evidence: &Evidence<'_>, host: &str, attempts: &[&Attempt], what: String) -> Words {
    let reached = evidence.traffic.as_ref().map(|traffic| {
        attempts.iter().flat_map(|attempt| traffic.syns_delivered(attempt.server)).collect::<Vec<u64>>()
    });
    match reached {
        Some(frames) if !frames.is_empty() && !attempts.iter().any(|attempt| is_answered(evidence, attempt)) => {
            let basis = frames.into_iter().map(|number| Basis::Frame { number }).collect();
            (format!("{what}: the SYN came to {host}, and nothing came back"), Sure::Certain, None, basis)
        }
        _ => {
            let tell = packets(evidence).unwrap_or_else(|| "a capture at the server".to_owned());
            (what, Sure::Likely, Some(tell), Vec::new())
        }
    }
}

/// Whether the accept queue at an address is full, in words: by the host's own report, by its kernel's sockets or counters.
pub(super) fn is_full(evidence: &Evidence<'_>, server: SocketAddr) -> Option<(String, Sure, Vec<Basis>)> {
    let host = journey::host_of(evidence.case.hosts, server.ip())?;
    if let Some(HostReport::Reported { queues, .. }) = evidence.said(host)
        && let Some(queue) = serving(queues, |queue| queue.address, server).filter(|queue| queue.is_full())
    {
        let what = format!(
            "{host} reports that its accept queue there is full: {} wait, and nobody takes them",
            queue.waiting
        );
        return Some((what, Sure::Certain, vec![Basis::Observer { host: host.to_owned() }]));
    }
    let capture = evidence.case.capture.frames()?;
    let kernel = capture.kernels.iter().find(|kernel| kernel.host == host)?;
    let listening = kernel.sockets.iter().filter(|socket| socket.state == "LISTEN");
    let socket = serving(listening, |socket| socket.local, server);
    if let Some(socket) = socket.filter(|socket| socket.receive_queue > socket.send_queue) {
        let what = format!("the kernel of {host} has a full accept queue there: {} wait", socket.receive_queue);
        return Some((what, Sure::Certain, Vec::new()));
    }
    let overflow = kernel.counters.iter().find(|counter| counter.name == "ListenOverflows" && counter.grew_by > 0)?;
    let what = format!(
        "the kernel of {host} counts {} connections that a full accept queue had no room for",
        overflow.grew_by
    );
    Some((what, Sure::Likely, Vec::new()))
}

/// The listening socket that serves an address: the one that is bound to it, else one that is bound to all. Where there are
/// both, the kernel gives a connection to the closer match.
fn serving<'q, T>(
    sockets: impl IntoIterator<Item = &'q T>,
    at: impl Fn(&T) -> SocketAddr,
    server: SocketAddr,
) -> Option<&'q T> {
    let of_port = sockets.into_iter().filter(|socket| at(socket).port() == server.port());
    let is_for_all = |ip: std::net::IpAddr| ip.is_unspecified() && (ip.is_ipv6() || server.is_ipv4());
    let (closer, others): (Vec<&T>, Vec<&T>) = of_port
        .filter(|socket| at(socket).ip() == server.ip() || is_for_all(at(socket).ip()))
        .partition(|socket| at(socket).ip() == server.ip());
    closer.into_iter().next().or_else(|| others.into_iter().next())
}

/// Connections that waited in the accept queue of a host when it was asked, after the visit; one look does not tell for how
/// long. A handshake may go on without the server's report of it.
pub(super) fn waits_in_queue<'a>(evidence: &Evidence<'a>) -> Option<(String, u32)> {
    let attempt = evidence.connected().filter(|_| evidence.failed_at(StageName::Tls).is_none())?;
    let host = attempt.host.clone()?;
    let Some(HostReport::Reported { queues, .. }) = evidence.said(&host) else { return None };
    let queue = serving(queues, |queue| queue.address, attempt.server).filter(|queue| queue.waiting > 0)?;
    let accepted = evidence.events_of(&host).any(is_served);
    (!accepted).then_some((host, queue.waiting))
}

/// Whether an event tells that a server has taken this visit's connection.
pub(super) fn is_served(event: &Event) -> bool {
    matches!(event.what, What::ConnectionAccepted { .. } | What::RequestRead { .. } | What::ResponseWritten { .. })
}

/// What a TLS handshake failed by.
pub(super) fn tls(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(failed) = evidence.failed else { return Vec::new() };
    let found = match failed.reason {
        Reason::CertificateExpired => Trouble::CertificateExpired,
        Reason::CertificateNotYetValid => Trouble::CertificateNotYetValid,
        Reason::CertificateWrongName => Trouble::CertificateWrongName,
        Reason::CertificateUntrusted => Trouble::CertificateUntrusted,
        Reason::CertificateRefused => Trouble::CertificateRefused,
        Reason::NotTls => Trouble::NotTls,
        Reason::TlsFailed => Trouble::TlsFailed,
        _ => return Vec::new(),
    };
    if found != wanted {
        return Vec::new();
    }
    let (host, validity) = match &failed.stage.did {
        // A resolver that is asked over TLS.
        Did::Name(_) => (evidence.resolver().map(|(_, host)| host), None),
        // The words of the stage say from when to when.
        Did::Tls(tls) if !tls.faults.is_empty() => (evidence.server(), None),
        // In records of earlier versions one further up the chain is named by its subject.
        Did::Tls(tls) => {
            let above = tls.chain.iter().skip(1).find(|certificate| failed.what.contains(&certificate.subject));
            (evidence.server(), above.or_else(|| tls.chain.first()))
        }
        _ => (evidence.server(), None),
    };
    let of_dates = matches!(wanted, Trouble::CertificateExpired | Trouble::CertificateNotYetValid);
    let what = match validity.filter(|_| of_dates) {
        Some(own) => format!("{}: it is valid from {} to {}", failed.what, day(&own.not_before), day(&own.not_after)),
        None => failed.what.to_owned(),
    };
    let events = evidence.events_of(YOU).filter(|event| matches!(event.what, What::HandshakeFailed { .. }));
    let basis: Vec<Basis> = events.filter_map(id).chain([evidence.stage(failed.name)]).collect();
    vec![Cause::new(wanted, host, what).broke(true).seen().on(basis)]
}

/// The day of a moment in RFC 3339.
fn day(moment: &str) -> &str {
    moment.split_once('T').map_or(moment, |(day, _)| day)
}
