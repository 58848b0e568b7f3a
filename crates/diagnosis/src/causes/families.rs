//! A resolver that answers for one family of addresses, and late or not at all for the other. This visit connects with what
//! it has (RFC 8305 §3); clients that ask by getaddrinfo wait for both answers first.

use super::{
    evidence::{Evidence, own},
    own::{events, packets},
    words::{at, bare, ms},
};
use journey::{
    Cause, Place, StageName, Sure, Trouble,
    chronicle::YOU,
    dns::Meaning,
    stage::{Exchange, Name, NameSource, QueryResult},
};

/// What has not been answered for so long has been lost, or is not answered.
const LONG_US: u64 = 1_000_000;
/// A second answer that comes so much later is felt by clients that wait for it.
const LATE_US: u64 = 200_000;
/// How often glibc waits its timeout for the second answer when the first has come: it sends both queries again, then
/// one at a time, whatever `attempts` says and however many servers there are (measured with 2.36).
const WAITS: u64 = 3;

/// The two questions of a name to one server, of which one was answered first.
struct Pair<'a> {
    answered: &'a Exchange,
    /// Every transmission of the other one, the first in front.
    other: Vec<&'a Exchange>,
}

impl<'a> Pair<'a> {
    fn start_us(&self) -> u64 {
        self.other.first().map_or(0, |exchange| exchange.start_us)
    }

    /// The answer to the other question, where it came.
    fn reply(&self) -> Option<&'a Exchange> {
        self.other.iter().copied().find(|exchange| is_whole(exchange))
    }
}

fn end_us(exchange: &Exchange) -> u64 {
    exchange.start_us.saturating_add(exchange.duration_us)
}

fn is_whole(exchange: &Exchange) -> bool {
    matches!(&exchange.result, QueryResult::Reply { reply } if reply.meaning != Meaning::Truncated)
}

fn pairs(name: &Name) -> Vec<Pair<'_>> {
    let answered =
        name.exchanges.iter().filter(|exchange| is_whole(exchange) && own(&exchange.result, false).is_none());
    let pair = |answered: &'_ Exchange| {
        let other = match answered.question.rtype.as_str() {
            "A" => "AAAA",
            "AAAA" => "A",
            _ => return Vec::new(),
        };
        let is_it = |exchange: &&Exchange| {
            exchange.server == answered.server
                && exchange.question.name == answered.question.name
                && exchange.question.rtype == other
        };
        name.exchanges.iter().filter(is_it).collect()
    };
    let pairs = answered.map(|answered| Pair { answered, other: pair(answered) });
    pairs.filter(|pair| !pair.other.is_empty()).collect()
}

/// One family was not answered for, while the other was.
pub(super) fn unanswered(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(name) = evidence.name().filter(|_| evidence.failed_at(StageName::Name).is_none()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for pair in pairs(name) {
        let is_silent = |exchange: &&Exchange| matches!(exchange.result, QueryResult::Timeout | QueryResult::Abandoned);
        let Some(last) = pair.other.last().filter(|_| pair.other.iter().all(is_silent)) else { continue };
        let elapsed_us = end_us(last).saturating_sub(pair.start_us());
        let is_lost = evidence.is_lost(&evidence.way_of_name(YOU, last.server, last.local));
        if elapsed_us < LONG_US || is_lost {
            continue;
        }
        let rtype = &last.question.rtype;
        let what = format!(
            "{} did not answer the {rtype} query for {} within {}, and answered the {} query after {}: {}",
            at(evidence, last.server),
            bare(&last.question.name),
            ms(elapsed_us),
            pair.answered.question.rtype,
            ms(pair.answered.duration_us),
            others(name, rtype),
        );
        // Without an answer for this family, there was nothing that could be connected to.
        let unreachable = evidence.failed_at(StageName::Route);
        let what = unreachable.map_or_else(|| what.clone(), |failed| format!("{what}; {}", failed.what));
        let is_over = last.result == QueryResult::Timeout;
        found.push(
            Cause::new(wanted, Some(evidence.named(last.server.ip())), what)
                .broke(unreachable.is_some())
                .sure(if is_over { Sure::Certain } else { Sure::Likely })
                .tell(packets(evidence).filter(|_| !is_over))
                .next(dig(evidence, last))
                .on(events(evidence, last.server)),
        );
    }
    found
}

/// What clients do that wait for both answers.
fn others(name: &Name, rtype: &str) -> String {
    let Some(NameSource::Resolver { timeout_s: Some(timeout_s), chosen_by, .. }) = &name.source else {
        return "clients that wait for both answers before they connect hang".to_owned();
    };
    let by = if chosen_by.starts_with('/') { format!("with {chosen_by}") } else { "by default".to_owned() };
    let wait = format!(
        "clients that wait for both answers before they connect (getaddrinfo: curl, Firefox) hang for {} s {by}",
        timeout_s.saturating_mul(WAITS)
    );
    match rtype {
        "A" => format!("{wait}, and then fail: without an A answer, glibc takes the lookup for failed"),
        _ => wait,
    }
}

fn dig(evidence: &Evidence<'_>, exchange: &Exchange) -> Option<String> {
    let server = exchange.server;
    let port = if server.port() == 53 { String::new() } else { format!(" -p {}", server.port()) };
    let name = bare(&exchange.question.name);
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    (*evidence.case.place == Place::Internet && is_plain)
        .then(|| format!("dig @{}{port} {name} {}", server.ip(), exchange.question.rtype))
}

/// The answer for one family came late, when this visit no longer waited for it.
pub(super) fn late(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let stage = evidence.hop.stage(StageName::Name);
    let (Some(name), Some(end)) = (evidence.name(), stage.and_then(journey::Stage::end_us)) else { return Vec::new() };
    let mut found = Vec::new();
    for pair in pairs(name) {
        let Some(reply) = pair.reply() else { continue };
        let came_us = end_us(reply);
        if came_us <= end || came_us.saturating_sub(end_us(pair.answered)) < LATE_US {
            continue;
        }
        let what = format!(
            "{} answered the {} query for {} after {}, and the {} query after {}: clients that wait for both answers \
             before they connect (getaddrinfo: curl, Firefox) take that long",
            at(evidence, reply.server),
            reply.question.rtype,
            bare(&reply.question.name),
            ms(came_us.saturating_sub(pair.start_us())),
            pair.answered.question.rtype,
            ms(pair.answered.duration_us),
        );
        found.push(
            Cause::new(wanted, Some(evidence.named(reply.server.ip())), what).seen().on(events(evidence, reply.server)),
        );
    }
    found
}
