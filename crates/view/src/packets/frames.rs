//! Every frame, once on each link that it crossed.

use journey::capture::{Fate, LinkKind, Mac};
use packets::{
    decode::{Ip, Network, Tcp, Transport, app::App, checksums::checksums, words::Says},
    flow::{Flow, Segment},
    layers::{Protocol, unfold},
};

use super::{
    mishaps,
    scene::{Scene, Seen},
};
use crate::{
    page::{Ink, Page, Piece, dim, piece, plain, width},
    words::{and, count},
};
use secrets::Secrets;

/// Columns before what belongs to a frame.
const DEEP: usize = 16;
/// Columns of a protocol's name.
const PROTOCOL: usize = 4;
/// Wider names than these are not waited for.
const WIDEST_NAME: usize = 20;

pub(super) fn listed(page: &mut Page, scene: &Scene<'_>, verbose: bool, secrets: Secrets) {
    let shown: Vec<&Seen<'_>> =
        scene.seen.iter().filter(|seen| verbose || !seen.is_background() || seen.is_disturbed()).collect();
    let hop = |seen: &Seen<'_>| format!("{} → {}", scene.sender(seen), scene.receiver(seen));
    let widest = |texts: &mut dyn Iterator<Item = String>| {
        texts.map(|text| width(&text)).filter(|width| *width <= WIDEST_NAME).max().unwrap_or_default()
    };
    let hops = widest(&mut shown.iter().map(|seen| hop(seen)));
    let links = widest(&mut shown.iter().map(|seen| seen.link_name().to_owned()));
    for seen in &shown {
        let head = [
            dim(format!("{:>4} {:>9}  ", seen.nth + 1, seen.time())),
            plain(format!("{:links$} ", seen.link_name())),
            piece(Ink::Host, format!(" {:hops$} ", hop(seen))),
            piece(if seen.is_background() { Ink::Dim } else { Ink::Bold }, format!(" {}", seen.summary.protocol)),
        ];
        let mut said = vec![plain(seen.summary.says.to_string())];
        if let Some(flaw) = &seen.summary.flaw {
            said.push(piece(Ink::Warn, format!(" ({flaw})")));
        }
        let wide = |pieces: &[Piece]| pieces.iter().map(Piece::width).sum::<usize>();
        // What does not fit behind it begins a line of its own: that is easier to read than half a sentence here.
        let gap = PROTOCOL.saturating_sub(width(seen.summary.protocol)) + 1;
        if wide(&head) + gap + wide(&said) <= page.style().width {
            page.line(DEEP, &[&head[..], &[plain(" ".repeat(gap))], &said].concat());
        } else {
            page.line(DEEP, &head);
            below(page, &said);
        }
        if let Some(line) = asked(seen).filter(|_| secrets == Secrets::Shown) {
            below(page, &[dim("as it is: "), plain(line)]);
        }
        details(scene, seen, verbose).iter().for_each(|line| below(page, line));
    }
    let hidden = scene.seen.len() - shown.len();
    if hidden > 0 {
        let text = format!("{:6}and {} of background, which --verbose lists", "", count(hidden, "frame"));
        page.line(6, &[dim(text)]);
    }
}

/// The first line of a request whose query is not said, since it may hold a secret.
fn asked(seen: &Seen<'_>) -> Option<String> {
    let Says::Segment(_, _, Some(App::Request { path, .. })) = &seen.summary.says else { return None };
    let is_whole = !path.ends_with('…');
    let headers = unfold(seen.kind(), &seen.frame.bytes.0, seen.frame.len as usize);
    let http = headers.into_iter().find(|header| header.protocol == Protocol::Http).filter(|_| !is_whole)?;
    http.fields.into_iter().find(|field| field.name == "first line").map(|field| field.meaning)
}

/// A line that belongs to a frame.
fn below(page: &mut Page, pieces: &[Piece]) {
    page.line(DEEP + 2, &[&[plain(format!("{:DEEP$}", ""))], pieces].concat());
}

fn details(scene: &Scene<'_>, seen: &Seen<'_>, verbose: bool) -> Vec<Vec<Piece>> {
    let mut lines: Vec<Vec<Piece>> = Vec::new();
    let network = seen.decoded.network.as_ref();
    // What a router sent on has been told of where it came from: it is the same but for what is told below.
    if let (Some(Network::Ip(ip)), Some(transport), None) = (network, &seen.decoded.transport, seen.came_as) {
        let segment = scene.segment(seen);
        let text = match transport {
            Transport::Tcp(tcp) => format!("{}, {}", ends(scene, ip, seen), numbers(tcp, segment.map(|(_, s)| s))),
            Transport::Udp(_) | Transport::Icmp(_) => ends(scene, ip, seen),
        };
        lines.push(vec![dim(text)]);
        if let Some((flow, segment)) = segment {
            lines.extend(states(scene, flow, segment));
        }
    }
    if verbose && let Some(ethernet) = &seen.decoded.ethernet {
        lines.push(vec![dim(format!("{} → {}, {} bytes", ethernet.source, ethernet.destination, seen.frame.len))]);
    }
    lines.extend(crossed(scene, seen));
    lines.extend(flooded(seen));
    lines.extend(mishaps(scene, seen).into_iter().map(|piece| vec![piece]));
    if let Some(why) = &seen.frame.cut {
        let text = format!("{} of its {} bytes are kept: {why}", seen.frame.bytes.0.len(), seen.frame.len);
        lines.push(vec![piece(Ink::Warn, text)]);
    }
    lines.extend(sums(seen));
    lines
}

/// From which address and port to which, by name where they have one, and the TTL.
fn ends(scene: &Scene<'_>, ip: &Ip, seen: &Seen<'_>) -> String {
    let ttl = if ip.source.is_ipv4() { "TTL" } else { "hop limit" };
    let (from, to) = (scene.who(ip.source), scene.who(ip.destination));
    match seen.ports() {
        Some((source, destination)) => format!("{from}:{source} → {to}:{destination}, {ttl} {}", ip.ttl),
        None => format!("{from} → {to}, {ttl} {}", ip.ttl),
    }
}

/// Sequence and acknowledgment number, counted from the connection's begin and raw, the window and the options.
fn numbers(tcp: &Tcp, segment: Option<&Segment>) -> String {
    let mut said = vec![match segment {
        Some(segment) => format!("seq {} (raw {})", segment.relative_sequence, tcp.sequence),
        None => format!("seq raw {}", tcp.sequence),
    }];
    if tcp.flags.ack {
        said.push(match segment.and_then(|segment| segment.relative_acknowledgment) {
            Some(number) => format!("ack {number} (raw {})", tcp.acknowledgment),
            None => format!("ack raw {}", tcp.acknowledgment),
        });
    }
    said.push(match segment.and_then(|segment| segment.window) {
        Some(window) if window != u32::from(tcp.window) => format!("window {window} (raw {})", tcp.window),
        Some(window) => format!("window {window}"),
        None => format!("window raw {}", tcp.window),
    });
    let options = &tcp.options;
    said.extend(options.mss.map(|mss| format!("MSS {mss}")));
    said.extend(options.window_scale.map(|shift| format!("window scale {shift}")));
    said.extend(options.sack_permitted.then(|| "SACK permitted".to_owned()));
    said.extend(options.sack.iter().map(|(from, to)| format!("SACK raw {from} to {to}")));
    said.join(", ")
}

/// The state of each end after a segment, where it is known.
fn states(scene: &Scene<'_>, flow: &Flow, segment: &Segment) -> Option<Vec<Piece>> {
    let one = |host: String, state: Option<packets::flow::State>| state.map(|state| format!("{host} {state}"));
    let (client, server) = (scene.who(flow.key.client.ip()), scene.who(flow.key.server.ip()));
    let known = [one(client, segment.client), one(server, segment.server)];
    let known: Vec<String> = known.into_iter().flatten().collect();
    (!known.is_empty()).then(|| vec![dim("then "), plain(known.join(", "))])
}

/// What a router did with a packet that was on another link before: what it changed, and what it left.
fn crossed(scene: &Scene<'_>, seen: &Seen<'_>) -> Option<Vec<Piece>> {
    let before = &scene.seen[seen.came_as?];
    let (Some(Network::Ip(old)), Some(Network::Ip(new))) = (&before.decoded.network, &seen.decoded.network) else {
        return None;
    };
    let ttl = if new.source.is_ipv4() { "TTL" } else { "hop limit" };
    let mut text = format!("frame {} sent on: {ttl} {} → {}", before.nth + 1, old.ttl, new.ttl);
    // Told once for each way: what follows on it is changed in the same places.
    let macs = |seen: &Seen<'_>| seen.decoded.ethernet.map(|ethernet| (ethernet.source, ethernet.destination));
    let changed = (macs(before), macs(seen));
    let is_told =
        |earlier: &Seen<'_>| earlier.came_as.is_some_and(|b| (macs(&scene.seen[b]), macs(earlier)) == changed);
    if let (Some((from, to)), Some((new_from, new_to))) = changed
        && !scene.seen.iter().take_while(|earlier| earlier.nth < seen.nth).any(is_told)
    {
        text.push_str(&format!(", the IP addresses the same, the MACs {from} → {to} now {new_from} → {new_to}"));
    }
    Some(vec![piece(Ink::Good, text)])
}

fn flooded(seen: &Seen<'_>) -> Option<Vec<Piece>> {
    let Fate::Passed { to, flooded: true, .. } = &seen.frame.fate else { return None };
    let why = match seen.decoded.ethernet.map(|ethernet| ethernet.destination) {
        Some(Mac::BROADCAST) => "it is for all",
        Some(mac) if !mac.is_unicast() => "it is for a group",
        _ => "the switch had not learned where its destination is",
    };
    let to = if to.is_empty() { "nobody".to_owned() } else { and(to) };
    Some(vec![dim(format!("sent on to {to}: {why}"))])
}

/// Checksums that are not right. Loopback's are never filled in.
fn sums(seen: &Seen<'_>) -> Vec<Vec<Piece>> {
    if seen.kind() == LinkKind::Loopback {
        return Vec::new();
    }
    if seen.frame.unfilled_checksum == Some(true) {
        return vec![vec![dim("its checksum was left to a device")]];
    }
    let sums = checksums(seen.kind(), &seen.frame.bytes.0, seen.frame.len as usize);
    let wrong = sums.iter().filter(|sum| !sum.is_right()).map(|sum| {
        let text = format!("! its {} checksum is {:#06x}, right is {:#06x}", sum.of, sum.found, sum.right);
        vec![piece(Ink::Warn, text), dim(" (damaged, or left to a device)")]
    });
    wrong.collect()
}
