//! What the frames tell of the network.

use std::collections::BTreeMap;

use super::{
    evidence::{Evidence, own},
    traffic::{Packet, Seen, Traffic, Way, network},
    words::{and, ms},
};
use journey::{Basis, Cause, NoUse, Reason, StageName, Sure, Trouble, chronicle::YOU, stage::Tried};

/// What happens at so many hosts happens at none of them.
pub(super) const MANY: usize = 3;

/// Whom the visit did not hear of, and who asked.
fn silent(evidence: &Evidence<'_>) -> Vec<Way> {
    let Some(failed) = evidence.failed else { return Vec::new() };
    let is_silence =
        |no_use: Option<NoUse>| matches!(no_use, Some(NoUse::NoAnswer | NoUse::Unreachable | NoUse::Truncated));
    match failed.name {
        StageName::Name => {
            let Some(name) = evidence.name() else { return Vec::new() };
            let asked = name.bootstrap.as_deref().into_iter().chain([name]).flat_map(|name| &name.exchanges);
            let is_over = matches!(failed.reason, Reason::MaxTime);
            let own = asked.filter(|exchange| {
                is_silence(own(&exchange.result, false))
                    || is_over && exchange.result == journey::stage::QueryResult::Abandoned
            });
            let queries = evidence.queries.iter().filter(|query| {
                is_silence(query.no_use)
                    && query.is_of_hop
                    && !evidence.is_made_good(query)
                    && evidence.name_is_broken()
            });
            let queries = queries.map(|query| evidence.way_of(query));
            own.map(|exchange| evidence.way_of_name(YOU, exchange.server, exchange.local)).chain(queries).collect()
        }
        StageName::Connect => {
            let attempts = evidence.connect().into_iter().flat_map(|connect| &connect.attempts);
            let silent = attempts.filter(|attempt| !matches!(attempt.result, Tried::Connected | Tried::Refused));
            silent.map(|attempt| evidence.way_of_attempt(attempt)).collect()
        }
        StageName::Tls | StageName::Send | StageName::Wait | StageName::Receive => {
            let is_silence =
                matches!(failed.reason, Reason::Timeout | Reason::MaxTime | Reason::ReceiveFailed | Reason::SendFailed);
            let is_silence = is_silence || is_ended(failed.reason);
            evidence.way_of_connection().filter(|_| is_silence).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a stage ended by what the other end did, which it may have done since it heard nothing.
fn is_ended(reason: Reason) -> bool {
    matches!(reason, Reason::EmptyReply | Reason::Reset)
}

/// Of lost frames those that explain how the stage ended: where the other end closed, what it never got of the request.
fn explaining<'b, 'a>(evidence: &Evidence<'a>, traffic: &Traffic<'a>, lost: Vec<&'b Seen<'a>>) -> Vec<&'b Seen<'a>> {
    let is_ended = evidence.failed.is_some_and(|failed| failed.name != StageName::Name && is_ended(failed.reason));
    let server = evidence.connected().map(|attempt| attempt.server);
    let is_request = |seen: &&Seen<'_>| {
        let Packet::Tcp { to, len: 1.., .. } = seen.packet else { return false };
        Some(to) == server && !traffic.is_acknowledged(seen)
    };
    lost.into_iter().filter(|seen| !is_ended || is_request(seen)).collect()
}

/// Whether the other end closed the connection, and had not got the request.
pub(super) fn is_cut_off(evidence: &Evidence<'_>) -> bool {
    let is_ended = evidence.failed.is_some_and(|failed| is_ended(failed.reason));
    let Some(traffic) = evidence.traffic.as_ref().filter(|_| is_ended) else { return false };
    silent(evidence).iter().any(|way| !explaining(evidence, traffic, traffic.unrecovered(way)).is_empty())
}

/// Frames that got lost: those that the visit failed by, and those that were made good.
pub(super) fn lost(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(traffic) = &evidence.traffic else { return Vec::new() };
    let mut told: Vec<u64> = Vec::new();
    let mut found: Vec<Cause> = Vec::new();
    let mut add = |frames: &[&Seen<'_>], broke: bool| {
        let cause = of_frames(evidence, traffic, frames).broke(broke);
        if cause.trouble == wanted && !found.iter().any(|other| other.host == cause.host) {
            found.push(cause);
        }
    };
    for way in silent(evidence) {
        let frames = explaining(evidence, traffic, traffic.unrecovered(&way));
        if !frames.is_empty() {
            told.extend(frames.iter().map(|seen| seen.number));
            add(&frames, true);
        }
    }
    // The others were made good by somebody, or were nothing that anybody waited for.
    let rest: Vec<&Seen<'_>> = traffic.lost().into_iter().filter(|seen| !told.contains(&seen.number)).collect();
    let mut by_host: BTreeMap<Option<String>, Vec<&Seen<'_>>> = BTreeMap::new();
    let common = located(traffic, &rest).0;
    for seen in rest {
        let ends = [seen.frame.from.as_deref(), seen.to];
        let host = ends.into_iter().flatten().find(|host| Some(*host) == common.as_deref() || !traffic.forwards(host));
        // What is lost everywhere is lost at nobody.
        let host = if common.is_some() {
            common.clone()
        } else {
            host.filter(|_| is_at_one(traffic, seen)).map(str::to_owned)
        };
        by_host.entry(host).or_default().push(seen);
    }
    by_host.values().for_each(|frames| add(frames, false));
    if wanted == Trouble::FramesLost && found.is_empty() {
        found.extend(sent_again(evidence, traffic));
    }
    found
}

/// Whether nothing that comes to or from a lost frame's end ever passed on its link.
fn is_at_one(traffic: &Traffic<'_>, lost: &Seen<'_>) -> bool {
    let ends = [lost.frame.from.as_deref(), lost.to];
    ends.into_iter().flatten().any(|host| passed(traffic, host, lost.frame.link) == 0)
}

/// How many frames came from a host or to it on a link.
fn passed(traffic: &Traffic<'_>, host: &str, link: usize) -> usize {
    let is_of = |seen: &&Seen<'_>| {
        let is_end = seen.frame.from.as_deref() == Some(host) || seen.to == Some(host);
        // Of what is for all it is not known who needed it.
        is_end && seen.frame.link == link && seen.arrived == Some(true) && (!seen.is_for_many || seen.to.is_some())
    };
    traffic.seen.iter().filter(is_of).count()
}

/// The host at whose link frames got lost, where the evidence is about that link alone, and whether no other can have
/// been it.
fn located(traffic: &Traffic<'_>, frames: &[&Seen<'_>]) -> (Option<String>, bool) {
    let is_end = |seen: &Seen<'_>, host: &str| seen.frame.from.as_deref() == Some(host) || seen.to == Some(host);
    let Some(first) = frames.first() else { return (None, false) };
    let link = first.frame.link;
    if frames.iter().any(|seen| seen.frame.link != link) {
        return (None, false);
    }
    let ends = [first.frame.from.as_deref(), first.to];
    let candidates: Vec<&str> =
        ends.into_iter().flatten().filter(|host| frames.iter().all(|seen| is_end(seen, host))).collect();
    // One frame may get lost anywhere; and where none passes at all, nothing sets one link apart from the others.
    let is_sure = frames.len() > 1 && !is_all_lost(traffic);
    // What is for all, and came to some, got lost on the way to the one; what came to nobody, on the way from its sender.
    let mut exact: Vec<&str> = Vec::new();
    for seen in frames.iter().filter(|seen| seen.is_for_many && traffic.ports(link) > 2) {
        let is_heard = matches!(seen.frame.fate, journey::capture::Fate::Passed { .. });
        exact.extend(if is_heard { seen.to } else { seen.frame.from.as_deref() });
    }
    if let Some(host) =
        exact.first().filter(|host| candidates.contains(host) && exact.iter().all(|other| other == *host))
    {
        return (Some((*host).to_owned()), is_sure);
    }
    let dead: Vec<&&str> = candidates.iter().filter(|host| passed(traffic, host, link) == 0).collect();
    if let [host] = dead.as_slice() {
        return (Some((**host).to_owned()), is_sure);
    }
    // Both ends are heard: it is one of them only where the other loses nothing of the kind with others.
    let is_kind = |seen: &Seen<'_>| frames.iter().any(|lost| lost.packet.what() == seen.packet.what());
    let is_fine_with_others = |host: &str, but: &str| {
        let others = traffic.seen.iter().filter(|seen| seen.frame.link == link && is_kind(seen));
        let others: Vec<&Seen<'_>> = others.filter(|seen| is_end(seen, host) && !is_end(seen, but)).collect();
        others.len() >= frames.len() && others.iter().all(|seen| seen.arrived == Some(true))
    };
    let host = match candidates.as_slice() {
        [one, other] if is_fine_with_others(other, one) => Some(*one),
        [one, other] if is_fine_with_others(one, other) => Some(*other),
        _ => None,
    };
    (host.map(str::to_owned), false)
}

/// Whether no frame came to anybody, on any link.
fn is_all_lost(traffic: &Traffic<'_>) -> bool {
    let has_passed = |seen: &Seen<'_>| match &seen.frame.fate {
        journey::capture::Fate::Passed { to, .. } => !to.is_empty(),
        journey::capture::Fate::Seen => true,
        journey::capture::Fate::Dropped { .. } => false,
    };
    !traffic.seen.iter().any(has_passed)
}

/// The lost frames in words: what they were, between whom, and where.
fn described(traffic: &Traffic<'_>, frames: &[&Seen<'_>], host: Option<&str>) -> String {
    let unique = |words: Vec<String>| {
        let mut found: Vec<String> = Vec::new();
        words.into_iter().for_each(|word| {
            if !found.contains(&word) {
                found.push(word);
            }
        });
        found
    };
    let links = unique(frames.iter().map(|seen| format!("on {}", traffic.link(seen.frame.link))).collect());
    let kinds = unique(frames.iter().map(|seen| seen.packet.what().to_owned()).collect());
    let count = if frames.len() == 1 { "1 frame".to_owned() } else { format!("{} frames", frames.len()) };
    let (links, kinds) = (and(&links), and(&kinds));
    // Who looked for whom says more than that they did.
    let looked_for = frames.iter().map(|seen| match seen.packet {
        Packet::Neighbour { is_question: true, target, .. } => {
            let target = traffic.host_of(target).map_or_else(|| target.to_string(), str::to_owned);
            Some((seen.packet.what(), seen.frame.from.as_deref()?, target))
        }
        _ => None,
    });
    let looked_for: Option<Vec<(&str, &str, String)>> = looked_for.collect();
    if let Some([(kind, from, target), rest @ ..]) = looked_for.as_deref()
        && rest.iter().all(|other| (other.0, other.1, &other.2) == (*kind, *from, target))
    {
        let plural = if frames.len() == 1 { "" } else { "s" };
        return format!("the {kind}{plural} of {from} for {target} got lost {links} ({count})");
    }
    let ends = |seen: &Seen<'_>| {
        let mut ends = [seen.frame.from.clone()?, seen.to?.to_owned()];
        ends.sort_unstable();
        Some(ends)
    };
    let first = frames.first().and_then(|seen| ends(seen));
    match (first.filter(|first| frames.iter().all(|seen| ends(seen).as_ref() == Some(first))), host) {
        (_, Some(host)) => format!("{count} to or from {host} got lost {links} ({kinds})"),
        (Some([one, other]), None) => format!("{count} between {one} and {other} got lost {links} ({kinds})"),
        (None, None) => format!("{count} got lost {links} ({kinds})"),
    }
}

fn of_frames(evidence: &Evidence<'_>, traffic: &Traffic<'_>, frames: &[&Seen<'_>]) -> Cause {
    let (host, is_sure) = located(traffic, frames);
    let is_down =
        host.as_deref().is_some_and(|host| frames.iter().all(|seen| passed(traffic, host, seen.frame.link) == 0));
    let trouble = if is_down { Trouble::LinkDown } else { Trouble::FramesLost };
    let what = described(traffic, frames, host.as_deref());
    let what = match &host {
        _ if is_all_lost(traffic) => format!("no frame passed anywhere: {what}"),
        Some(host) if is_down => format!("{what}, and nothing else passed on the link of {host}"),
        _ => what,
    };
    let what = match cost(traffic, frames) {
        Some(us) => format!("{what}; sent again after {} at most", ms(us)),
        None => what,
    };
    let sure = if is_sure { Sure::Certain } else { Sure::Likely };
    let basis = frames.iter().map(|seen| Basis::Frame { number: seen.number });
    let stage = evidence.failed.map(|failed| evidence.stage(failed.name));
    let next = "look at every frame: --packets".to_owned();
    // One place is left for what this machine saw of it.
    Cause::new(trouble, host, what).sure(sure).on(basis.take(6).chain(stage)).next(Some(next))
}

/// How much later than the lost one the same frame came, at most.
fn cost(traffic: &Traffic<'_>, frames: &[&Seen<'_>]) -> Option<u64> {
    let gap = |seen: &&Seen<'_>| {
        let later = traffic.made_good_by(seen)?;
        u64::try_from(later.frame.at_ns - seen.frame.at_ns).ok().map(|ns| ns / 1_000)
    };
    frames.iter().filter_map(gap).max()
}

/// Segments that this machine or its peer sent again, where nothing tells what became of frames.
fn sent_again(evidence: &Evidence<'_>, traffic: &Traffic<'_>) -> Option<Cause> {
    let is_tracked = |seen: &&Seen<'_>| {
        seen.arrived.is_none() && matches!(seen.packet, Packet::Tcp { syn: true, .. } | Packet::Tcp { len: 1.., .. })
    };
    let mut again: Vec<(&Seen<'_>, &Seen<'_>)> = Vec::new();
    for (nth, seen) in traffic.seen.iter().enumerate().filter(|(_, seen)| is_tracked(seen)) {
        let before = traffic.seen[..nth].iter().rev().find(|before| {
            before.packet == seen.packet && before.frame.link == seen.frame.link && before.frame.from == seen.frame.from
        });
        again.extend(before.map(|before| (before, seen)));
    }
    let longest = again.iter().map(|(before, seen)| seen.frame.at_ns - before.frame.at_ns).max()?;
    let us = u64::try_from(longest).unwrap_or_default() / 1_000;
    let what = format!(
        "segments were sent again, as if they or their acknowledgments had been lost: {}, after {} at most",
        again.len(),
        ms(us)
    );
    let basis = again.iter().flat_map(|(before, seen)| [before.number, seen.number]);
    let basis = basis.map(|number| Basis::Frame { number });
    // A server that does not answer looks just so.
    let sure = if evidence.failed.is_some() { Sure::Possible } else { Sure::Likely };
    Some(
        Cause::new(Trouble::FramesLost, None, what)
            .sure(sure)
            .tell(Some("a capture at the other end".to_owned()))
            .on(basis),
    )
}

/// A packet without what a router changes in it.
fn identity(traffic: &Traffic<'_>, seen: &Seen<'_>) -> Option<Vec<u8>> {
    if !matches!(seen.packet, Packet::Tcp { .. } | Packet::Udp { .. }) || seen.arrived == Some(false) {
        return None;
    }
    let kind = traffic.kind(seen.frame.link)?;
    let (begin, ether_type) = network(&seen.frame.bytes.0, kind)?;
    let mut bytes = seen.frame.bytes.0.get(begin..)?.to_vec();
    // Time to live and header checksum; the hop limit.
    let changed: &[usize] = if ether_type == 0x0800 { &[8, 10, 11] } else { &[7] };
    changed
        .iter()
        .filter(|at| **at < bytes.len())
        .copied()
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|at| bytes[at] = 0);
    Some(bytes)
}

/// Every packet, with the frames that carried it, in their order.
pub(super) fn packets<'b, 'a>(traffic: &'b Traffic<'a>) -> BTreeMap<Vec<u8>, Vec<&'b Seen<'a>>> {
    let mut packets: BTreeMap<Vec<u8>, Vec<&Seen<'_>>> = BTreeMap::new();
    for seen in &traffic.seen {
        if let Some(identity) = identity(traffic, seen) {
            packets.entry(identity).or_default().push(seen);
        }
    }
    packets
}

/// Packets that were once on the link that they came from, and more often on the next.
pub(super) fn doubled(evidence: &Evidence<'_>, wanted: Trouble) -> Vec<Cause> {
    let Some(traffic) = &evidence.traffic else { return Vec::new() };
    let mut by_host: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for frames in packets(traffic).values() {
        let first = frames[0];
        let Some(host) = first.frame.from.clone().filter(|host| !traffic.forwards(host)) else { continue };
        let (before, after): (Vec<&Seen<'_>>, Vec<&Seen<'_>>) =
            frames.iter().partition(|seen| seen.frame.link == first.frame.link);
        if after.len() > before.len() {
            by_host.entry(host).or_default().extend(after.iter().map(|seen| seen.number));
        }
    }
    let cause = |(host, frames): (Option<String>, Vec<u64>)| {
        let of = host.as_ref().map_or_else(|| "several hosts".to_owned(), Clone::clone);
        let what =
            format!("packets of {of} came twice through the network: once on their first link, twice on the next");
        let basis = frames.into_iter().map(|number| Basis::Frame { number });
        Cause::new(wanted, host, what).sure(Sure::Likely).on(basis)
    };
    if by_host.len() >= MANY {
        return vec![cause((None, by_host.into_values().flatten().collect()))];
    }
    by_host.into_iter().map(|(host, frames)| cause((Some(host), frames))).collect()
}
