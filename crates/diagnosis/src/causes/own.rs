//! What this machine's own questions to its resolver met.

use std::net::SocketAddr;

use super::{
    evidence::{Evidence, own},
    words::{at, bare, ms, same, walk, walk_or_ask_another},
};
use journey::{
    Basis, Cause, Event, NoUse, Reason, StageName, Sure, Trouble, What,
    chronicle::YOU,
    dns::{Meaning, Reply, Transport},
    evidence::Placed,
    stage::{Exchange, Name, QueryResult},
};

/// What a useless answer is called.
pub(super) fn trouble(no_use: NoUse) -> Trouble {
    match no_use {
        NoUse::NoAnswer | NoUse::HungUp | NoUse::Other => Trouble::DnsNoAnswer,
        NoUse::WrongId => Trouble::DnsWrongId,
        NoUse::NotAResponse => Trouble::DnsNotAResponse,
        NoUse::NothingListens => Trouble::DnsNothingListens,
        NoUse::Unreachable => Trouble::DnsUnreachable,
        NoUse::Malformed => Trouble::DnsMalformed,
        NoUse::ServerFailure => Trouble::DnsServerFailure,
        NoUse::Refused => Trouble::DnsRefused,
        NoUse::OtherError => Trouble::DnsError,
        NoUse::Lame => Trouble::LameDelegation,
        NoUse::LeadsBack => Trouble::DelegationLoop,
        NoUse::Truncated => Trouble::DnsTcpRefused,
    }
}

/// This machine's events on a question to a server.
pub(super) fn events<'a>(evidence: &'a Evidence<'_>, server: SocketAddr) -> impl Iterator<Item = Basis> + 'a {
    let is_of = move |event: &&Event| match &event.what {
        What::ReplyReceived { server: of, .. } | What::QueryFailed { server: of, .. } => *of == server,
        _ => false,
    };
    let own = evidence.events_of(YOU).filter(is_of).filter_map(super::evidence::id);
    own.chain([evidence.stage(StageName::Name)])
}

fn followed_truncation(name: &Name, exchange: &Exchange) -> bool {
    exchange.transport == Transport::Tcp
        && name.exchanges.iter().any(|other| {
            let is_cut = matches!(&other.result, QueryResult::Reply { reply } if reply.meaning == Meaning::Truncated);
            is_cut && other.server == exchange.server && other.question == exchange.question
        })
}

/// The servers that this machine asked in vain, with what came of the last question that says something.
fn in_vain(name: &Name) -> Vec<(&Exchange, NoUse)> {
    let mut found: Vec<(&Exchange, NoUse)> = Vec::new();
    for exchange in &name.exchanges {
        let is_usable = |other: &&Exchange| {
            let is_full = matches!(&other.result, QueryResult::Reply { reply } if reply.meaning != Meaning::Truncated);
            other.server == exchange.server && is_full && own(&other.result, false).is_none()
        };
        let Some(no_use) = own(&exchange.result, followed_truncation(name, exchange)) else { continue };
        if name.exchanges.iter().any(|other| is_usable(&other)) {
            continue;
        }
        // Queries over TLS share a connection. Of those that were never sent, the first says why it did not open.
        let is_shared = matches!(exchange.transport, Transport::Tls | Transport::Https) && exchange.sent_us.is_none();
        if is_shared && found.iter().any(|(other, _)| other.server == exchange.server) {
            continue;
        }
        found.retain(|(other, _)| other.server != exchange.server);
        found.push((exchange, no_use));
    }
    found
}

/// A resolver that was asked in vain, and is itself what is in the way.
pub(super) fn useless(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(name) = evidence.name() else { return Vec::new() };
    let failed = evidence.failed_at(StageName::Name);
    // What a handshake with a resolver failed by is told of that.
    let is_of_tls = failed.is_some_and(|failed| {
        use Reason::*;
        matches!(
            failed.reason,
            NotTls
                | TlsFailed
                | CertificateExpired
                | CertificateNotYetValid
                | CertificateWrongName
                | CertificateUntrusted
                | CertificateRefused
        )
    });
    if is_of_tls {
        return Vec::new();
    }
    // Of several servers the stage names the one that says most; the others were asked in vain besides.
    let source = evidence.resolver().map(|(address, _)| address);
    let is_broken = |server| failed.is_some() && source.is_none_or(|source| source == server);
    let asked = name.bootstrap.as_deref().into_iter().chain([name]);
    asked
        .flat_map(in_vain)
        .filter(|(_, no_use)| trouble(*no_use) == wanted)
        .filter_map(|(exchange, no_use)| {
            // What got lost on the way says nothing of the server.
            let is_silent = matches!(no_use, NoUse::NoAnswer | NoUse::Unreachable);
            if is_silent && evidence.is_lost(&evidence.way_of_name(YOU, exchange.server, exchange.local)) {
                return None;
            }
            Some(of_exchange(evidence, exchange, no_use).broke(is_broken(exchange.server)))
        })
        .collect()
}

fn of_exchange(evidence: &Evidence<'_>, exchange: &Exchange, no_use: NoUse) -> Cause {
    let server = exchange.server;
    let host = evidence.named(server.ip());
    let of = bare(&exchange.question.name);
    let mut sure = Sure::Certain;
    let mut would_tell = None;
    // The stage's own words are of the server that was asked last.
    let is_last = evidence.resolver().is_some_and(|(address, _)| address == server);
    let own = evidence.failed_at(StageName::Name).filter(|_| is_last).map(|failed| failed.what);
    let at = at(evidence, server);
    let own =
        own.map(|own| own.strip_prefix(&server.to_string()).map_or_else(|| own.to_owned(), |own| format!("{at}{own}")));
    let what = match no_use {
        NoUse::NoAnswer | NoUse::HungUp | NoUse::Other => {
            let (what, how_sure, tell) = silent(evidence, exchange, &host, own);
            (sure, would_tell) = (how_sure, tell);
            what
        }
        NoUse::ServerFailure | NoUse::Lame | NoUse::LeadsBack => return server_failure(evidence, exchange, host),
        _ if own.is_some() => own.unwrap_or_default(),
        NoUse::NothingListens => {
            format!("nothing listens on {at} over {}: the machine is there and refuses", exchange.transport.as_str())
        }
        NoUse::Unreachable => format!("there is no way to {at}{}", because(exchange)),
        NoUse::Refused => format!("{at} refuses to answer for {of}{}", ede(exchange)),
        NoUse::OtherError => format!("{at} answers {} when asked for {of}{}", rcode(exchange), ede(exchange)),
        NoUse::WrongId => format!("{at} sent nothing but answers under another id than the question's"),
        NoUse::NotAResponse => format!("{at} sent queries where responses should be"),
        NoUse::Malformed => format!("{at} sent nothing that answers the question{}", because(exchange)),
        NoUse::Truncated => format!("{at} cut its answer over udp, and cannot be asked over tcp"),
    };
    Cause::new(trouble(no_use), Some(host), what).on(events(evidence, server)).sure(sure).tell(would_tell)
}

fn because(exchange: &Exchange) -> String {
    match &exchange.result {
        QueryResult::Failed { why, .. } | QueryResult::BadReply { why, .. } => format!(": {why}"),
        _ => String::new(),
    }
}

fn rcode(exchange: &Exchange) -> &str {
    match &exchange.result {
        QueryResult::Reply { reply } => &reply.rcode,
        _ => "an error",
    }
}

/// The server's own words on why (RFC 8914).
fn ede(exchange: &Exchange) -> String {
    let QueryResult::Reply { reply: Reply { edns: Some(edns), .. } } = &exchange.result else { return String::new() };
    let words = |error: &journey::dns::ExtendedError| match error.text.is_empty() {
        true => error.name.clone(),
        false => error.text.clone(),
    };
    let words: Vec<String> = edns.errors.iter().map(words).collect();
    if words.is_empty() { String::new() } else { format!(": {}", words.join("; ")) }
}

/// A resolver from which nothing came: what it says of it itself, where it says something.
fn silent(
    evidence: &Evidence<'_>,
    exchange: &Exchange,
    host: &str,
    own: Option<String>,
) -> (String, Sure, Option<String>) {
    let server = exchange.server;
    let is_it = |question: &journey::dns::Question| same(&question.name, &exchange.question.name);
    let read = evidence
        .events_of(host)
        .any(|event| matches!(&event.what, What::QueryReceived { question, .. } if is_it(question)));
    let answered = evidence
        .events_of(host)
        .any(|event| matches!(&event.what, What::AnswerSent { question, .. } if is_it(question)));
    let asked = || is_still_asking(evidence, host);
    let what =
        own.unwrap_or_else(|| format!("{} did not answer over {}", at(evidence, server), exchange.transport.as_str()));
    match (evidence.told_all(host), read, answered) {
        (_, true, true) => (
            format!("{what}: it read the question, and reports an answer that did not come"),
            Sure::Likely,
            packets(evidence),
        ),
        // That it sent nothing is known by a report that tells all.
        (all, true, false) => {
            let did = if asked() { "was still asking others" } else { "sent nothing" };
            let sure = if all { Sure::Certain } else { Sure::Likely };
            (format!("{what}: it read the question, and {did}"), sure, None)
        }
        (true, false, _) => (format!("{what}, and reports no question of this visit"), Sure::Likely, packets(evidence)),
        (false, false, _) => (what, Sure::Likely, packets(evidence)),
    }
}

/// Whether a question of this host to others had not come to an end when the visit was over.
fn is_still_asking(evidence: &Evidence<'_>, host: &str) -> bool {
    let of_host = || evidence.events_of(host).enumerate();
    let ended = |after: usize, at: SocketAddr, of: &journey::dns::Question| {
        of_host().skip(after).any(|(_, event)| match &event.what {
            What::ReplyReceived { server, question, .. } | What::QueryFailed { server, question, .. } => {
                *server == at && question == of
            }
            _ => false,
        })
    };
    of_host().any(|(nth, event)| {
        matches!(&event.what, What::QuerySent { server, question, .. } if !ended(nth, *server, question))
    })
}

pub(super) fn packets(evidence: &Evidence<'_>) -> Option<String> {
    let would = match evidence.traffic {
        Some(_) => return None,
        None => "the frames of this machine (--packets), and a capture at the server",
    };
    Some(would.to_owned())
}

/// SERVFAIL of the resolver, where nothing tells what it met.
fn server_failure(evidence: &Evidence<'_>, exchange: &Exchange, host: String) -> Cause {
    let server = exchange.server;
    let of = bare(&exchange.question.name);
    let is_it = |question: &journey::dns::Question| same(&question.name, of);
    let events_of = |wanted: fn(&What) -> Option<&journey::dns::Question>| {
        evidence.events_of(&host).find(|event| wanted(&event.what).is_some_and(is_it))
    };
    let sent = events_of(|what| match what {
        What::AnswerSent { question, .. } => Some(question),
        _ => None,
    });
    let hit = events_of(|what| match what {
        What::CacheHit { question, .. } => Some(question),
        _ => None,
    });
    let asked =
        evidence.case.events.iter().any(|event| event.host == host && matches!(event.what, What::QuerySent { .. }));
    let along = evidence.went_along(&host);
    let base = format!("{} could not get an answer for {of}{}", at(evidence, server), ede(exchange));
    let cause = |what: String, sure| {
        let own = [sent, hit, along].into_iter().flatten().filter_map(super::evidence::id);
        let basis: Vec<Basis> = own.chain(events(evidence, server)).collect();
        Cause::new(Trouble::DnsServerFailure, Some(host.clone()), what).on(basis).sure(sure)
    };
    let tell = || walk(evidence, "--walk=all").map(|command| format!("walk from the root yourself: {command}"));
    match (sent.is_some() && evidence.told_all(&host), hit.is_some(), asked) {
        (true, true, _) => cause(format!("{base}; it remembers that from before"), Sure::Certain)
            .next(Some(walk_or_ask_another(evidence))),
        // Whoever began that look-up was told what it met, and this visit was not.
        (_, false, false) if along.is_some() => {
            let what = format!("{base}; it asked nobody itself, and waited for a look-up that was under way already");
            cause(what, Sure::Possible).tell(tell())
        }
        (true, false, false) => cause(format!("{base}: it says so by itself, and asked nobody"), Sure::Certain)
            .next(Some(walk_or_ask_another(evidence))),
        (true, false, true) => cause(base, Sure::Likely).tell(tell()),
        // It may be the resolver, and it may be any server behind it.
        (false, ..) => cause(base, Sure::Possible).tell(tell()),
    }
}

/// The first question got lost or was not answered, and a later one was.
pub(super) fn asked_again(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(name) = evidence.name() else { return Vec::new() };
    let mut found = Vec::new();
    for exchange in name.exchanges.iter().filter(|exchange| exchange.result == QueryResult::Timeout) {
        let later = |other: &&Exchange| {
            other.server == exchange.server
                && other.question == exchange.question
                && other.start_us > exchange.start_us
                && matches!(other.result, QueryResult::Reply { .. })
        };
        if let Some(later) = name.exchanges.iter().find(later) {
            let host = evidence.named(exchange.server.ip());
            let what = format!(
                "{host} had not answered the question for {} when it was asked again, after {}",
                bare(&exchange.question.name),
                ms(later.start_us - exchange.start_us)
            );
            let tell = packets(evidence);
            found.push(
                Cause::new(wanted, Some(host), what)
                    .sure(Sure::Likely)
                    .tell(tell)
                    .on(events(evidence, exchange.server)),
            );
        }
    }
    found
}

/// An answer over UDP was cut, and came whole over TCP.
pub(super) fn truncated(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let of_events = evidence.case.events.iter().filter_map(|event| match &event.what {
        What::ReplyReceived { server, question, reply, .. } if reply.meaning == Meaning::Truncated => {
            Some((event, *server, question))
        }
        _ => None,
    });
    let whole = |server: SocketAddr, question: &journey::dns::Question| {
        evidence.case.events.iter().any(|event| {
            matches!(&event.what, What::ReplyReceived { server: of, transport: Transport::Tcp, question: q, .. }
                if *of == server && q == question)
        })
    };
    let found = of_events.filter(|(_, server, question)| whole(*server, question)).map(|(event, server, question)| {
        let host = evidence.named(server.ip());
        let what = format!("{host} cut its answer for {} over udp, and gave it whole over tcp", bare(&question.name));
        Cause::new(wanted, Some(host), what).seen().on(super::evidence::id(event))
    });
    found.collect()
}

/// A name server that looks no names up.
pub(super) fn no_recursion(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(failed) = evidence.failed_at(StageName::Name).filter(|failed| failed.reason == Reason::NoRecursion) else {
        return Vec::new();
    };
    let host = evidence.resolver();
    let basis: Vec<Basis> = host.iter().flat_map(|(address, _)| events(evidence, *address)).collect();
    let host = host.map(|(_, host)| host);
    vec![Cause::new(wanted, host, failed.what).broke(true).seen().on(basis)]
}

/// Whether an event's time can be held against this machine's.
pub(super) fn is_placed(event: &Event) -> bool {
    !matches!(event.evidence, journey::Evidence::Reported { placed: Placed::Order, .. })
}
