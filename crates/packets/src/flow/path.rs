//! A packet's way over links: which frame carried it before, which are copies, and whether it arrived.

use std::collections::{HashMap, VecDeque};

use journey::capture::{Capture, Fate, Frame, LinkKind};

use super::{
    Arrival,
    packet::{Packet, packet},
};
use crate::decode::{Decoded, Network};

/// The ways of a capture's packets.
pub(super) struct Path {
    /// What is known of each frame.
    pub(super) passages: Vec<Passage>,
}

/// What is known of a frame from what passed besides it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passage {
    /// Whether it got to the host that it is for.
    pub(super) arrival: Arrival,
    /// The frame that carried its packet on the link before.
    pub(super) came_as: Option<usize>,
    /// The frame on its link that it is a copy of.
    pub(super) copy_of: Option<usize>,
    /// Whether its sender gives each packet another identification.
    pub(super) is_told_apart: bool,
    /// Whether one with the same timestamp was on its link before: no timer ran out in between.
    pub(super) is_at_once: bool,
}

impl Default for Passage {
    fn default() -> Self {
        Self { arrival: Arrival::Unknown, came_as: None, copy_of: None, is_told_apart: false, is_at_once: false }
    }
}

impl Path {
    pub(super) fn of(capture: &Capture, decoded: &[Decoded]) -> Self {
        let packets: Vec<_> = capture.frames.iter().zip(decoded).map(|(f, d)| packet(&f.bytes.0, d)).collect();
        let came_as = origins(capture, &packets);
        let mut onward: HashMap<usize, usize> = HashMap::new();
        for (index, before) in came_as.iter().enumerate() {
            onward.extend(before.map(|before| (before, index)));
        }
        let mut passages = vec![Passage::default(); capture.frames.len()];
        let mut first: HashMap<(usize, u64), usize> = HashMap::new();
        for (index, frame) in capture.frames.iter().enumerate() {
            let Some(packet) = packets[index] else { continue };
            let earlier = *first.entry((frame.link, packet.hash)).or_insert(index);
            let copy_of = match came_as[index] {
                // What was a copy before is one here.
                Some(before) => passages[before].copy_of.and_then(|of| onward.get(&of).copied()),
                None if is_own_word(capture, frame, &decoded[index]) => None,
                None => Some(earlier).filter(|of| packet.is_unique && *of != index),
            };
            passages[index] = Passage {
                arrival: Arrival::Unknown,
                came_as: came_as[index],
                copy_of,
                is_told_apart: packet.has_identification,
                is_at_once: packet.has_timestamp && earlier != index,
            };
        }
        for (index, frame) in capture.frames.iter().enumerate().rev() {
            let here = arrival(capture, frame, decoded[index].network.as_ref());
            // What became of it at last tells.
            let later = onward.get(&index).map_or(Arrival::Unknown, |next| passages[*next].arrival);
            passages[index].arrival = if here == Arrival::Unknown { later } else { here };
        }
        Self { passages }
    }
}

/// Which frame carried the same packet on the link before. Packets that are alike follow each other in the order in which
/// they came, each of them once.
fn origins(capture: &Capture, packets: &[Option<Packet>]) -> Vec<Option<usize>> {
    // Of each packet, on which links it is, and its frames there that were not lost; a packet crosses no link twice.
    let mut links: HashMap<u64, Vec<(usize, Vec<usize>)>> = HashMap::new();
    for (index, (frame, packet)) in capture.frames.iter().zip(packets).enumerate() {
        let Some(packet) = packet else { continue };
        let links = links.entry(packet.hash).or_default();
        match links.iter_mut().find(|(link, _)| *link == frame.link) {
            Some((_, frames)) => frames.push(index),
            None => links.push((frame.link, vec![index])),
        }
    }
    let mut origins = vec![None; capture.frames.len()];
    for pair in links.values().flat_map(|links| links.windows(2)) {
        let [(_, before), (_, after)] = pair else { continue };
        let is_lost = |index: &usize| matches!(capture.frames[*index].fate, Fate::Dropped { .. });
        let mut before: VecDeque<usize> = before.iter().copied().filter(|index| !is_lost(index)).collect();
        // Where nothing tells them apart and one is missing, nobody knows which one.
        let is_certain = before.len() <= after.len() || packets[after[0]].is_some_and(|packet| packet.is_marked);
        for &index in after {
            let waiting = before.iter().take_while(|before| **before < index).count();
            if waiting > 1 && !is_certain {
                before.drain(..waiting);
            } else if waiting > 0 {
                origins[index] = before.pop_front();
            }
        }
    }
    origins
}

/// Whether it is from the host that its packet is from, on a segment: the switch notes what each host sends once, so that
/// twice the same is said twice.
fn is_own_word(capture: &Capture, frame: &Frame, decoded: &Decoded) -> bool {
    let Some(Network::Ip(ip)) = &decoded.network else { return false };
    let link = capture.links.get(frame.link).filter(|link| link.kind == LinkKind::Segment);
    let mut ports = link.map_or(&[][..], |link| &link.ports).iter();
    ports.any(|port| Some(&port.host) == frame.from.as_ref() && port.addresses.iter().any(|text| is(text, ip.source)))
}

/// Whether a port's address with its prefix length is this one.
fn is(text: &str, ip: std::net::IpAddr) -> bool {
    text.split('/').next().and_then(|text| text.parse().ok()) == Some(ip)
}

/// Whether a frame got to the host that it is for, as far as its own link tells.
fn arrival(capture: &Capture, frame: &Frame, network: Option<&Network>) -> Arrival {
    let link = capture.links.get(frame.link);
    match &frame.fate {
        Fate::Dropped { .. } => Arrival::No,
        // What this machine sends over a wire is not seen to arrive. What it receives has arrived.
        Fate::Seen if frame.from.is_some() && link.is_none_or(|link| link.kind != LinkKind::Loopback) => {
            Arrival::Unknown
        }
        Fate::Seen => Arrival::Yes,
        Fate::Passed { to, .. } => {
            let Some(Network::Ip(ip)) = network else { return Arrival::Unknown };
            let mut ports = link.map_or(&[][..], |link| &link.ports).iter();
            match ports.find(|port| port.addresses.iter().any(|text| is(text, ip.destination))) {
                Some(port) => to.contains(&port.host).into(),
                // It is for a host behind the router.
                None => Arrival::Unknown,
            }
        }
    }
}
