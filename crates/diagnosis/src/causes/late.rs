//! Which frames were held up, and whom that kept from an answer.

use std::collections::BTreeMap;

use super::{
    evidence::{Evidence, Query, own},
    network::{MANY, packets},
    servers::answer_of,
    traffic::{Packet, Seen, Traffic},
    words::{and, ms},
};
use journey::{Basis, Cause, NoUse, Reason, StageName, Sure, Trouble, What, chronicle::YOU, stage::QueryResult};

/// A packet that stays so long on a link is late: a switch and a router need microseconds.
const LATE_NS: i64 = 20_000_000;

/// What one frame alone must have been held up by, to be more than a busy machine's doing.
const LONG_NS: i64 = 200_000_000;

/// Frames of one host on one link that were each held up.
struct Held {
    host: String,
    link: usize,
    kinds: Vec<&'static str>,
    /// Whether others of the host's there were not.
    is_some: bool,
    shortest_ns: i64,
    frames: Vec<u64>,
}

/// How long frames of a kind took, and which.
type Times = Vec<(i64, u64)>;

/// How long each frame took that can be followed: to the next link, or to an answer that a kernel gives at once.
fn times(traffic: &Traffic<'_>) -> BTreeMap<(String, usize), BTreeMap<&'static str, Times>> {
    let mut times: BTreeMap<(String, usize), BTreeMap<&'static str, Times>> = BTreeMap::new();
    let mut add = |host: Option<&str>, first: &Seen<'_>, (until_ns, number): (i64, u64)| {
        if let Some(host) = host.filter(|host| !traffic.forwards(host)) {
            let of_host = times.entry((host.to_owned(), first.frame.link)).or_default();
            of_host.entry(first.packet.what()).or_default().push((until_ns - first.frame.at_ns, number));
        }
    };
    for frames in packets(traffic).values() {
        let first = frames[0];
        let next = frames.iter().find(|seen| seen.frame.link != first.frame.link);
        if let Some(next) = next
            && let Some(at_ns) = sent_on(traffic, first, next)
        {
            add(first.frame.from.as_deref(), first, (at_ns, next.number));
        }
    }
    // What had to be sent again is late for that.
    let lost: Vec<Packet> = traffic.lost().iter().map(|seen| seen.packet).collect();
    for (nth, seen) in traffic.seen.iter().enumerate().filter(|(_, seen)| !lost.contains(&seen.packet)) {
        let answer = traffic.seen[nth..]
            .iter()
            .find(|later| later.frame.link == seen.frame.link && answers(&later.packet, &seen.packet));
        if let Some(answer) = answer.filter(|answer| !lost.contains(&answer.packet)) {
            add(answer.frame.from.as_deref(), seen, (answer.frame.at_ns, answer.number));
        }
    }
    times
}

/// When a packet had come to whoever sent it on: before that it may have had to look for the next hop.
fn sent_on(traffic: &Traffic<'_>, first: &Seen<'_>, next: &Seen<'_>) -> Option<i64> {
    let between = first.frame.at_ns..next.frame.at_ns;
    let is_sent = |seen: &&Seen<'_>| seen.frame.link == next.frame.link && seen.frame.from == next.frame.from;
    let sent = || traffic.seen.iter().filter(is_sent);
    let target = first.packet.ends().map(|(_, to)| to);
    // ARP looks for a neighbour by its IPv4 address, NDP by that of IPv6.
    let is_search = |seen: &&Seen<'_>| match seen.packet {
        Packet::Neighbour { is_question: true, target: neighbour, .. } => {
            traffic.host_of(neighbour) == next.to
                && target.is_some_and(|target| target.is_ipv4() == neighbour.is_ipv4())
        }
        _ => false,
    };
    let search = sent().find(|seen| is_search(seen) && between.contains(&seen.frame.at_ns));
    let knew = sent().any(|seen| {
        let of_link = matches!(seen.packet, Packet::Neighbour { .. });
        let is_of_kind = seen.packet.ends().map(|(_, to)| to.is_ipv4()) == target.map(|target| target.is_ipv4());
        !of_link && is_of_kind && seen.to == next.to && seen.frame.at_ns < first.frame.at_ns
    });
    let searched = sent().any(|seen| is_search(&seen));
    // An earlier packet may be what the search was for.
    let is_first = !traffic.seen.iter().any(|seen| {
        let is_before = seen.number < first.number && seen.frame.link == first.frame.link;
        is_before && seen.packet.ends().map(|(_, to)| to) == target
    });
    match search {
        Some(search) if !knew && is_first => Some(search.frame.at_ns),
        _ if knew || !searched => Some(next.frame.at_ns),
        // It waited for a neighbour that was looked for already.
        _ => None,
    }
}

/// Whether a packet is what a kernel answers to another at once.
fn answers(answer: &Packet, question: &Packet) -> bool {
    match (*question, *answer) {
        (
            Packet::Neighbour { is_question: true, sender, target },
            Packet::Neighbour { is_question: false, sender: by, target: to },
        ) => (sender, target) == (to, by),
        (
            Packet::Tcp { from, to, syn: true, ack: false, .. },
            Packet::Tcp { from: by, to: back, syn: true, ack: true, .. },
        ) => (from, to) == (back, by),
        _ => false,
    }
}

/// A machine that is busy holds up one frame; a network that is slow, each of a kind.
fn held(traffic: &Traffic<'_>) -> Vec<Held> {
    let mut held = Vec::new();
    for ((host, link), kinds) in times(traffic) {
        let shortest = |times: &Times| times.iter().map(|(ns, _)| *ns).min().unwrap_or_default();
        // All of its frames together say more than the few of each kind.
        let all: Times = kinds.values().flatten().copied().collect();
        if all.len() > 1 && shortest(&all) >= LATE_NS {
            let (kinds, frames) = (Vec::new(), all.iter().map(|(_, number)| *number).collect());
            held.push(Held { host, link, kinds, is_some: false, shortest_ns: shortest(&all), frames });
            continue;
        }
        let is_held = |times: &Times| shortest(times) >= LONG_NS || times.len() > 1 && shortest(times) >= LATE_NS;
        let late: Vec<(&'static str, &Times)> =
            kinds.iter().filter(|(_, times)| is_held(times)).map(|(kind, times)| (*kind, times)).collect();
        if late.is_empty() {
            continue;
        }
        held.push(Held {
            host,
            link,
            kinds: late.iter().map(|(kind, _)| *kind).collect(),
            is_some: late.len() < kinds.len(),
            shortest_ns: late.iter().map(|(_, times)| shortest(times)).min().unwrap_or_default(),
            frames: late.iter().flat_map(|(_, times)| times.iter().map(|(_, number)| *number)).collect(),
        });
    }
    held.sort_by_key(|held| held.link);
    held
}

/// For how long frames are held up at two ends together, at least.
fn between_us(held: &[Held], ends: [&str; 2]) -> u64 {
    let ns = held.iter().filter(|held| ends.contains(&held.host.as_str())).map(|held| held.shortest_ns).sum::<i64>();
    u64::try_from(ns).unwrap_or_default() / 1_000
}

/// Whether it was the network that brought a query, or its answer, too late: the server says that it answered, or it had
/// not got the question by the time that the asker gave up.
fn is_late(evidence: &Evidence<'_>, held: &[Held], query: &Query<'_>) -> bool {
    let host = evidence.named(query.server.ip());
    let us = between_us(held, [query.asker, &host]);
    let is_silent = matches!(query.no_use, Some(NoUse::NoAnswer | NoUse::Unreachable));
    if us == 0 || !is_silent {
        return false;
    }
    if let Some((_, own_us)) = answer_of(evidence, query, &host) {
        return own_us < query.elapsed_us / 2;
    }
    let had_read = evidence.events_of(&host).any(|event| {
        let is_it = matches!(&event.what, What::QueryReceived { question, .. } if question == query.question);
        is_it && event.at_us.zip(query.event.at_us).is_none_or(|(read, end)| read < end)
    });
    !had_read && us >= query.elapsed_us / 2
}

/// The same, for who asks of one query alone.
pub(super) fn explains(evidence: &Evidence<'_>, query: &Query<'_>) -> bool {
    evidence.traffic.as_ref().is_some_and(|traffic| is_late(evidence, &held(traffic), query))
}

/// The ends between which frames came too late for the visit.
fn broken(evidence: &Evidence<'_>, held: &[Held]) -> Vec<[String; 2]> {
    let Some(failed) = evidence.failed else { return Vec::new() };
    let you = |host: String, waited_us: u64| {
        let ends = [YOU.to_owned(), host];
        (between_us(held, [YOU, &ends[1]]) >= (waited_us / 2).max(1)).then_some(ends)
    };
    if failed.name == StageName::Name {
        let broke = |query: &&Query<'_>| {
            query.is_of_hop
                && evidence.name_is_broken()
                && !evidence.is_made_good(query)
                && is_late(evidence, held, query)
        };
        let queries = evidence.queries.iter().filter(broke);
        let queries = queries.map(|query| [query.asker.to_owned(), evidence.named(query.server.ip())]);
        let exchanges = evidence.name().into_iter().flat_map(|name| &name.exchanges);
        let own = exchanges.filter(|exchange| {
            let is_over = failed.reason == Reason::MaxTime && exchange.result == QueryResult::Abandoned;
            is_over || own(&exchange.result, false) == Some(NoUse::NoAnswer)
        });
        let own = own.filter_map(|exchange| you(evidence.named(exchange.server.ip()), exchange.duration_us));
        return queries.chain(own).collect();
    }
    let is_time = matches!(failed.reason, Reason::Timeout | Reason::MaxTime);
    let attempts = evidence.connect().into_iter().flat_map(|connect| &connect.attempts);
    let waited_us = failed.stage.duration_us.unwrap_or_default();
    attempts.filter(|_| is_time).filter_map(|attempt| you(evidence.named(attempt.server.ip()), waited_us)).collect()
}

/// Packets that were held up: between two links, or on their way to an answer that a kernel gives at once.
pub(super) fn late(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(traffic) = &evidence.traffic else { return Vec::new() };
    let held = held(traffic);
    let broken = broken(evidence, &held);
    let cause = |host: Option<String>, held: &[Held]| {
        let mut links: Vec<String> = held.iter().map(|held| format!("on {}", traffic.link(held.link))).collect();
        links.dedup();
        let mut kinds: Vec<&str> = held.iter().flat_map(|held| &held.kinds).copied().collect();
        kinds.sort_unstable();
        kinds.dedup();
        // Which, where others were not.
        let which = if held.iter().any(|held| held.is_some) { format!(" ({})", and(&kinds)) } else { String::new() };
        let us = held.iter().map(|held| held.shortest_ns).min().and_then(|ns| u64::try_from(ns / 1_000).ok());
        let of = host.as_ref().map_or_else(|| "several hosts".to_owned(), Clone::clone);
        let what = format!(
            "frames to or from {of} are held up {}{which}: each for {} and more",
            and(&links),
            ms(us.unwrap_or_default())
        );
        let basis = held.iter().flat_map(|held| &held.frames).map(|number| Basis::Frame { number: *number });
        let broke = broken.iter().flatten().any(|end| held.iter().any(|held| held.host == *end));
        let stage = evidence.failed.filter(|_| broke).map(|failed| evidence.stage(failed.name));
        Cause::new(wanted, host, what).broke(broke).sure(Sure::Likely).on(basis.take(6).chain(stage))
    };
    let is_one_link = held.iter().all(|one| one.link == held[0].link);
    if held.len() >= MANY || !is_one_link {
        return vec![cause(None, &held)];
    }
    held.iter().map(|one| cause(Some(one.host.clone()), std::slice::from_ref(one))).collect()
}
