//! What the server did with the request, and how long it took.

use super::{
    connection::{is_full, is_served, waits_in_queue},
    evidence::{Evidence, Failed, id},
    network,
    own::packets,
    words::ms,
};
use journey::{
    Basis, Cause, Event, Hop, Reason, StageName, Sure, Trouble, What,
    chronicle::YOU,
    stage::{Protocol, Receive},
};

/// What is faster than this is not slow.
const LONG_US: u64 = 200_000;
/// Content that comes slower than this is slow, in bytes a second.
const SLOW_RATE: u64 = 50_000;
/// Content of no told length that comes so fast when the time is over has no end in sight, in bytes a second.
const FAST_RATE: u64 = 1_000_000;

/// Which trouble ended the exchange.
fn trouble(evidence: &Evidence<'_>, failed: Failed<'_>) -> Option<Trouble> {
    let raw = evidence.hop.scheme();
    Some(match (failed.reason, failed.name) {
        (_, StageName::Url | StageName::Name | StageName::Route | StageName::Connect) => return None,
        (Reason::ConnectionRefused, _) => Trouble::NothingListens,
        (Reason::Unreachable, _) => Trouble::Unreachable,
        (Reason::SendFailed, _) if raw == "udp" => Trouble::ThisMachine,
        (Reason::Reset | Reason::SendFailed, _) => Trouble::Reset,
        (Reason::EmptyReply, _) => Trouble::EmptyReply,
        (Reason::BodyCut | Reason::ReceiveFailed | Reason::StreamFailed | Reason::Http1Required, _) => {
            Trouble::CutShort
        }
        (Reason::MalformedResponse, _) if speaks_http(evidence.hop) => Trouble::BadResponse,
        (Reason::MalformedResponse, _) => Trouble::NotHttp,
        (Reason::BrokenChunks, _) => Trouble::BadResponse,
        (Reason::BadContentCoding | Reason::BadTransferCoding, _) => Trouble::BadContent,
        (Reason::TooLarge, _) => Trouble::TooLarge,
        (Reason::TooManyRedirects, _) if is_circle(evidence.case.hops) => Trouble::RedirectLoop,
        (Reason::TooManyRedirects, _) => Trouble::TooManyRedirects,
        (Reason::WriteFailed, _) => Trouble::ThisMachine,
        (Reason::MaxTime, StageName::Receive | StageName::Close) if is_endless(evidence, failed) => Trouble::TooLarge,
        (Reason::Timeout | Reason::MaxTime, StageName::Receive | StageName::Close) => Trouble::SlowContent,
        (Reason::Timeout | Reason::MaxTime, _) if is_in_the_queue(evidence) => Trouble::AcceptQueueFull,
        // It has begun to work on it, so it is slow rather than silent.
        (Reason::Timeout | Reason::MaxTime, StageName::Wait) if is_slow(evidence) => Trouble::SlowFirstByte,
        (Reason::MaxTime, StageName::Wait) if !is_silent(evidence) => Trouble::SlowFirstByte,
        (Reason::Timeout | Reason::MaxTime, _) => Trouble::Silent,
        _ => return None,
    })
}

/// Whether what came begins as a response does.
fn speaks_http(hop: &Hop) -> bool {
    hop.received().is_some_and(|receive| receive.status.is_some() || receive.protocol == Some(Protocol::Http))
}

fn is_slow(evidence: &Evidence<'_>) -> bool {
    has_read(evidence).is_some() && unheard(evidence).is_none()
}

fn is_silent(evidence: &Evidence<'_>) -> bool {
    waits_in_queue(evidence).is_some() || unheard(evidence).is_some()
}

fn is_circle(hops: &[Hop]) -> bool {
    hops.iter().enumerate().any(|(nth, hop)| hops[..nth].iter().any(|before| before.url == hop.url))
}

fn rate(failed: Failed<'_>, receive: &Receive) -> Option<u64> {
    let us = failed.stage.duration_us.filter(|us| *us > 0)?;
    Some(receive.content_bytes?.saturating_mul(1_000_000) / us)
}

fn is_endless(evidence: &Evidence<'_>, failed: Failed<'_>) -> bool {
    let Some(receive) = evidence.hop.received() else { return false };
    let has_length = receive.headers.iter().any(|header| header.name.eq_ignore_ascii_case("content-length"));
    !has_length && rate(failed, receive).is_some_and(|rate| rate >= FAST_RATE)
}

fn is_in_the_queue(evidence: &Evidence<'_>) -> bool {
    let Some(attempt) = evidence.connected() else { return false };
    let is_served = attempt.host.as_ref().is_some_and(|host| evidence.events_of(host).any(is_served));
    !is_served && is_full(evidence, attempt.server).is_some()
}

/// The server's report that it has read the request.
fn has_read<'a>(evidence: &Evidence<'a>) -> Option<&'a Event> {
    let host = evidence.connected()?.host.as_ref()?;
    evidence.case.events.iter().find(|event| {
        let is_now = evidence.nth == 0 || event.at_us.is_none() || evidence.hop.holds(event.at_us);
        event.host == *host && is_now && matches!(event.what, What::RequestRead { .. })
    })
}

/// Whether an event may be of an earlier request: it has no time, and this one was not the first.
fn is_of_any(evidence: &Evidence<'_>, event: &Event) -> bool {
    event.at_us.is_none() && evidence.nth > 0
}

fn is_now(evidence: &Evidence<'_>, event: &Event) -> bool {
    if event.at_us.is_none() { evidence.nth == 0 } else { evidence.hop.holds(event.at_us) }
}

/// The server's report of an answer that it wrote while this machine still waited for one.
fn unheard<'a>(evidence: &Evidence<'a>) -> Option<&'a Event> {
    let waited = evidence.failed_at(StageName::Wait)?.stage.duration_us.unwrap_or_default();
    worked(evidence).filter(|(_, own)| *own < waited).map(|(event, _)| event)
}

/// The server's report that it took this connection, and not that it answered; by a report that tells all.
fn took_and_kept_silent<'a>(evidence: &Evidence<'a>) -> Option<&'a Event> {
    let attempt = evidence.connected()?;
    let host = attempt.host.as_ref().filter(|host| evidence.told_all(host))?;
    let is_ours = |peer: std::net::SocketAddr| attempt.local.is_none_or(|local| local.port() == peer.port());
    let own = || evidence.events_of(host).filter(|event| event.what.peer().is_some_and(is_ours));
    let has_answered = own().any(|event| matches!(event.what, What::ResponseWritten { .. }));
    own().find(|event| !has_answered && matches!(event.what, What::ConnectionAccepted { .. }))
}

/// A server that was connected to and said nothing, and how far that is known.
fn silent(evidence: &Evidence<'_>, failed: Failed<'_>, basis: &mut Vec<Basis>) -> (String, Sure, Option<String>) {
    let what = failed.what;
    if let Some(event) = unheard(evidence) {
        let what = format!("{what}: {} has read the request, and reports an answer that did not come", event.host);
        return (what, Sure::Likely, packets(evidence));
    }
    let attempt = evidence.connected();
    let heard = attempt.zip(evidence.traffic.as_ref());
    let heard = heard.map(|(attempt, traffic)| traffic.heard_in_silence(attempt.server, attempt.local));
    if let Some(frames) = heard.filter(|frames| !frames.is_empty()) {
        basis.splice(0..0, frames.into_iter().map(|number| Basis::Frame { number }));
        return (format!("{what}: what was sent came to it, and nothing came back"), Sure::Certain, None);
    }
    if let Some((host, waiting)) = waits_in_queue(evidence) {
        basis.insert(0, Basis::Observer { host: host.clone() });
        let wait = if waiting == 1 { "a connection waits".to_owned() } else { format!("{waiting} connections wait") };
        let what = format!("{what}: {host} reports that {wait} in its accept queue there, and nobody takes any");
        let tell = format!("whether they still wait when {host} is asked once more");
        return (what, Sure::Likely, Some(tell));
    }
    if let Some(event) = took_and_kept_silent(evidence) {
        basis.splice(0..0, id(event));
        let what = format!("{what}: {} reports that it took the connection, and no answer", event.host);
        return (what, Sure::Certain, None);
    }
    (what.to_owned(), Sure::Likely, packets(evidence))
}

/// The server's report of its own work, from the request read to the response written.
fn worked<'a>(evidence: &Evidence<'a>) -> Option<(&'a Event, u64)> {
    let host = evidence.connected()?.host.as_ref()?;
    evidence.case.events.iter().filter(|event| event.host == *host && is_now(evidence, event)).find_map(|event| {
        match event.what {
            What::ResponseWritten { elapsed_us, .. } => Some((event, elapsed_us)),
            _ => None,
        }
    })
}

/// What ended the exchange with the server.
pub(super) fn ended(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(failed) = evidence.failed.filter(|failed| trouble(evidence, *failed) == Some(wanted)) else {
        return Vec::new();
    };
    // Whoever closed never got what it was asked: the network is told of by itself.
    if network::is_cut_off(evidence) {
        return Vec::new();
    }
    let is_silence = matches!(failed.reason, Reason::Timeout | Reason::MaxTime);
    let server = evidence.connected().map(|attempt| attempt.server);
    if is_silence && evidence.way_of_connection().is_some_and(|way| evidence.is_lost(&way)) {
        return Vec::new();
    }
    let host = evidence.server();
    let own = evidence.events_of(YOU).filter(|event| matches!(event.what, What::RequestSent { .. } | What::FirstByte));
    let theirs = has_read(evidence).into_iter().chain(worked(evidence).map(|(event, _)| event));
    let closed = host
        .iter()
        .flat_map(|host| evidence.events_of(host))
        .filter(|event| !is_silence && matches!(event.what, What::ConnectionClosed { .. }));
    let mut basis: Vec<Basis> = theirs.chain(closed).chain(own).filter_map(id).collect();
    basis.push(evidence.stage(failed.name));
    let (what, sure, tell) = match wanted {
        Trouble::AcceptQueueFull => {
            let (how, sure, more) = server.and_then(|server| is_full(evidence, server)).unwrap_or_default();
            basis.splice(0..0, more);
            (format!("{}, and {how}", failed.what), sure, None)
        }
        Trouble::SlowFirstByte => match has_read(evidence) {
            Some(event) if is_of_any(evidence, event) => {
                let what = format!("{}: {} has read this request, or an earlier one", failed.what, event.host);
                (what, Sure::Possible, packets(evidence))
            }
            Some(event) => {
                let sure = if evidence.told_all(&event.host) { Sure::Certain } else { Sure::Likely };
                (format!("{}: {} has read the request, and works on it", failed.what, event.host), sure, None)
            }
            None => (failed.what.to_owned(), Sure::Possible, packets(evidence)),
        },
        Trouble::Silent => silent(evidence, failed, &mut basis),
        Trouble::SlowContent => (failed.what.to_owned(), Sure::Likely, packets(evidence)),
        Trouble::TooLarge if failed.reason == Reason::MaxTime => {
            (format!("{}: content of no told length comes without an end", failed.what), Sure::Likely, None)
        }
        // An ICMP message may be a firewall's as well.
        Trouble::NothingListens if !evidence.case.place.is_lab() => {
            let tell = "the machine's own list of what listens, and the firewalls on the way to it".to_owned();
            (failed.what.to_owned(), Sure::Likely, Some(tell))
        }
        _ => (failed.what.to_owned(), Sure::Certain, None),
    };
    vec![
        Cause::new(wanted, host.filter(|_| wanted != Trouble::ThisMachine), what)
            .broke(true)
            .sure(sure)
            .tell(tell)
            .on(basis),
    ]
}

/// A status of 400 or above: a failure where `--fail` says so.
pub(super) fn status(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let receive = evidence.hop.received().filter(|_| evidence.failed.is_none());
    let Some(status) = receive.and_then(|receive| receive.status).filter(|status| *status >= 400) else {
        return Vec::new();
    };
    let phrase = receive.and_then(|receive| receive.reason_phrase.as_deref()).unwrap_or_default();
    let answer = format!("{status} {phrase}");
    let what = match evidence.case.fail_on_status {
        true => format!("it answered {}, and --fail makes that a failure", answer.trim()),
        false => format!("it answered {}", answer.trim()),
    };
    let theirs = worked(evidence).and_then(|(event, _)| id(event));
    let basis = theirs.into_iter().chain([evidence.stage(StageName::Receive)]);
    vec![Cause::new(wanted, evidence.server(), what).broke(evidence.case.fail_on_status).seen().on(basis)]
}

/// The answer came, and its first byte late.
pub(super) fn slow_first_byte(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(wait) = done_for(evidence, StageName::Wait) else { return Vec::new() };
    let stage = evidence.stage(StageName::Wait);
    let Some(host) = evidence.server() else { return Vec::new() };
    match worked(evidence) {
        Some((event, us)) if us >= wait / 2 => {
            let what = format!("{host} took long to begin its answer: {} by its own report", ms(us.min(wait)));
            vec![Cause::new(wanted, Some(host), what).seen().on(id(event).into_iter().chain([stage]))]
        }
        // It says that it was not itself: what the network did, frames tell.
        Some(_) => Vec::new(),
        None => {
            let rtt = evidence.connected().and_then(|attempt| attempt.kernel.as_ref()?.min_rtt_us);
            let is_way = rtt.is_none_or(|rtt| u64::from(rtt) * 3 > wait);
            let is_disturbed = evidence.traffic.as_ref().is_some_and(|traffic| !traffic.lost().is_empty());
            if is_way || is_disturbed {
                return Vec::new();
            }
            let rtt = rtt.map_or_else(String::new, |rtt| format!(", where a round trip takes {}", ms(rtt.into())));
            let what = format!("{host} took long to begin its answer: {}{rtt}", ms(wait));
            let tell = "a report of the server: its log, Server-Timing".to_owned();
            vec![Cause::new(wanted, Some(host), what).sure(Sure::Likely).tell(Some(tell)).on([stage])]
        }
    }
}

/// The content came, and slowly.
pub(super) fn slow_content(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(us) = done_for(evidence, StageName::Receive).filter(|_| !evidence.hop.is_raw()) else { return Vec::new() };
    let Some(bytes) = evidence.hop.received().and_then(|receive| receive.content_bytes) else { return Vec::new() };
    let rate = bytes.saturating_mul(1_000_000) / us;
    let Some(host) = evidence.server().filter(|_| rate < SLOW_RATE) else { return Vec::new() };
    let stage = evidence.stage(StageName::Receive);
    let (sure, own) = match worked(evidence) {
        Some((event, own)) if own >= us / 2 => (Sure::Certain, id(event)),
        Some(_) => return Vec::new(),
        None => (Sure::Likely, None),
    };
    let by = if sure == Sure::Certain { ", by its own report" } else { "" };
    let what = format!("{host} sent the content slowly: {bytes} bytes in {}{by}", ms(us));
    let tell = if sure == Sure::Certain { None } else { packets(evidence) };
    vec![Cause::new(wanted, Some(host), what).sure(sure).tell(tell).on(own.into_iter().chain([stage]))]
}

/// How long a stage took that did what it is for, where that is long.
fn done_for(evidence: &Evidence<'_>, stage: StageName) -> Option<u64> {
    let stage = evidence.hop.stage(stage).filter(|stage| super::evidence::is_done(stage))?;
    stage.duration_us.filter(|us| *us >= LONG_US)
}
