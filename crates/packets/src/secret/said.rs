//! What was said in the conversations of a capture: the bytes that TCP and UDP carried, put together. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use journey::capture::{Capture, LinkKind};

use super::Conversation;
use crate::{
    decode::{Decoded, Network, Tcp, Transport, decode},
    flow::{self, Fragment},
};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What one side of a conversation said to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The conversation.
    pub conversation: Conversation,
    /// The bytes, in as many pieces as there are gaps between them; of UDP all datagrams one behind the other.
    pub pieces: Vec<Vec<u8>>,
    /// Whether all of it was seen, from its begin to the last that was seen, and seen the same each time.
    pub is_whole: bool,
}

/// What was said, by every side of every conversation that said anything.
pub fn said(capture: &Capture) -> Vec<Transcript> {
    let mut tcp: BTreeMap<(SocketAddr, SocketAddr), Vec<Stream>> = BTreeMap::new();
    // On each link for itself: there a datagram passes once, as long as nothing doubles it.
    let mut udp: BTreeMap<(usize, SocketAddr, SocketAddr), Datagrams> = BTreeMap::new();
    let mut fragments: HashMap<(usize, Fragment), Fragments> = HashMap::new();
    for frame in &capture.frames {
        let kind = capture.links.get(frame.link).map_or(LinkKind::Ethernet, |link| link.kind);
        let decoded = decode(kind, &frame.bytes.0, frame.len as usize);
        let payload = &frame.bytes.0[decoded.payload.clone()];
        if let Some(fragment) = flow::fragment(&frame.bytes.0, &decoded) {
            fragments.entry((frame.link, fragment)).or_default().add(&decoded, payload);
            continue;
        }
        let Some((source, destination)) = ends(&decoded) else { continue };
        match &decoded.transport {
            Some(Transport::Tcp(segment)) => {
                add(tcp.entry((source, destination)).or_default(), segment, payload);
            }
            Some(Transport::Udp(datagram)) => {
                let said = udp.entry((frame.link, source, destination)).or_default();
                said.bytes.extend(payload);
                said.is_torn |= payload.len() < datagram.payload_len;
            }
            _ => {}
        }
    }
    for ((link, _), fragments) in fragments {
        let Some((protocol, source, destination)) = fragments.ends else { continue };
        if protocol == TCP {
            // The kernel makes segments that need none.
            tcp.entry((source, destination)).or_default().push(Stream { is_torn: true, ..Stream::default() });
            continue;
        }
        let said = udp.entry((link, source, destination)).or_default();
        let (bytes, is_whole) = fragments.together();
        said.bytes.extend(bytes);
        said.is_torn |= !is_whole;
    }
    let streams = tcp.into_iter().flat_map(|((source, destination), streams)| {
        streams.into_iter().map(move |stream| {
            let (pieces, is_whole) = stream.together();
            Transcript { conversation: (TCP, source, destination), pieces, is_whole }
        })
    });
    let datagrams = udp.into_iter().map(|((_, source, destination), said)| Transcript {
        conversation: (UDP, source, destination),
        pieces: vec![said.bytes],
        is_whole: !said.is_torn,
    });
    streams
        .chain(datagrams)
        .filter(|said| !said.is_whole || said.pieces.iter().any(|piece| !piece.is_empty()))
        .collect()
}

fn ends(decoded: &Decoded) -> Option<(SocketAddr, SocketAddr)> {
    let Some(Network::Ip(ip)) = &decoded.network else { return None };
    match &decoded.transport {
        Some(Transport::Tcp(tcp)) => {
            Some(((ip.source, tcp.source_port).into(), (ip.destination, tcp.destination_port).into()))
        }
        Some(Transport::Udp(udp)) => {
            Some(((ip.source, udp.source_port).into(), (ip.destination, udp.destination_port).into()))
        }
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Datagrams {
    bytes: Vec<u8>,
    is_torn: bool,
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Stream {
    /// The number of its first byte.
    begin: u32,
    /// By their distance from it.
    segments: BTreeMap<i64, Vec<u8>>,
    is_torn: bool,
}

fn add(streams: &mut Vec<Stream>, segment: &Tcp, payload: &[u8]) {
    if segment.flags.syn {
        let begin = segment.sequence.wrapping_add(1);
        // The same SYN is on every link, and is sent again where it was lost.
        if streams.last().is_none_or(|last| last.begin != begin) {
            streams.push(Stream { begin, ..Stream::default() });
        }
        if payload.is_empty() {
            return;
        }
    }
    if payload.is_empty() && segment.payload_len == 0 {
        return;
    }
    let first = segment.sequence.wrapping_add(u32::from(segment.flags.syn));
    if streams.is_empty() {
        streams.push(Stream { begin: first, is_torn: true, ..Stream::default() });
    }
    let Some(stream) = streams.last_mut() else { return };
    stream.is_torn |= payload.len() < segment.payload_len;
    let place = i64::from(first.wrapping_sub(stream.begin).cast_signed());
    match stream.segments.get_mut(&place) {
        Some(known) => {
            let both = known.len().min(payload.len());
            stream.is_torn |= known[..both] != payload[..both];
            if payload.len() > known.len() {
                *known = payload.to_vec();
            }
        }
        None => {
            stream.segments.insert(place, payload.to_vec());
        }
    }
}

impl Stream {
    /// Its bytes, and whether they are all.
    fn together(self) -> (Vec<Vec<u8>>, bool) {
        let (mut pieces, mut is_whole): (Vec<Vec<u8>>, bool) = (Vec::new(), !self.is_torn);
        // Where the next byte belongs that was not seen yet.
        let mut next = 0;
        for (place, bytes) in self.segments {
            if place > next || pieces.is_empty() {
                is_whole &= place == next;
                next = place;
                pieces.push(Vec::new());
            }
            let Some(piece) = pieces.last_mut() else { break };
            let again = usize::try_from(next - place).unwrap_or(usize::MAX).min(bytes.len());
            // What comes again has to be what came before: who receives may have taken either.
            let earlier = piece.len().saturating_sub(usize::try_from(next - place).unwrap_or(usize::MAX));
            let known = &piece[earlier..];
            let both = known.len().min(again);
            is_whole &= known[..both] == bytes[..both];
            piece.extend(&bytes[again..]);
            next = next.max(place + bytes.len() as i64);
        }
        (pieces, is_whole)
    }
}

/// The parts of a packet.
#[derive(Debug, Default)]
struct Fragments {
    /// As the first one tells.
    ends: Option<(u8, SocketAddr, SocketAddr)>,
    /// By their place in what UDP carries.
    parts: BTreeMap<usize, Vec<u8>>,
    end: Option<usize>,
}

/// Bytes of UDP's header.
const HEADER: usize = 8;

impl Fragments {
    fn add(&mut self, decoded: &Decoded, payload: &[u8]) {
        let Some(Network::Ip(ip)) = &decoded.network else { return };
        let Some((offset, has_more)) = ip.fragment else { return };
        if let (Some((source, destination)), 0) = (ends(decoded), offset) {
            self.ends = Some((ip.protocol, source, destination));
        }
        // The first one's payload begins behind the header.
        let place = offset.saturating_sub(HEADER);
        if !has_more {
            self.end = Some(place + payload.len());
        }
        self.parts.insert(place, payload.to_vec());
    }

    fn together(self) -> (Vec<u8>, bool) {
        let (mut bytes, mut is_whole) = (Vec::new(), true);
        for (place, part) in self.parts {
            is_whole &= place == bytes.len();
            bytes.extend(part);
        }
        (bytes.clone(), is_whole && self.end == Some(bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use journey::capture::{Bytes, Fate, Frame, Link};

    use super::*;

    const ONE: ([u8; 4], u16) = ([10, 0, 0, 1], 40_000);
    const OTHER: ([u8; 4], u16) = ([10, 0, 0, 2], 80);

    fn frame(link: usize, bytes: Vec<u8>) -> Frame {
        Frame {
            at_ns: 0,
            link,
            from: None,
            fate: Fate::Seen,
            len: bytes.len() as u32,
            bytes: Bytes(bytes),
            cut: None,
            unfilled_checksum: None,
        }
    }

    fn said_in(frames: Vec<Frame>) -> Vec<(u8, String, bool)> {
        let link = |name: &str| Link {
            name: name.to_owned(),
            kind: LinkKind::Ethernet,
            ports: Vec::new(),
            learned_before: Vec::new(),
            learned_after: Vec::new(),
        };
        let capture = Capture { links: vec![link("a"), link("b")], frames, ..Capture::default() };
        let text = |said: Transcript| {
            let pieces: Vec<_> = said.pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect();
            (said.conversation.0, pieces.join("|"), said.is_whole)
        };
        said(&capture).into_iter().map(text).collect()
    }

    fn builder() -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
        PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(ONE.0, OTHER.0, 64)
    }

    fn segment(sequence: u32, text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        builder().tcp(ONE.1, OTHER.1, sequence, 500).ack(1).write(&mut bytes, text.as_bytes()).unwrap();
        bytes
    }

    fn opening(sequence: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        builder().tcp(ONE.1, OTHER.1, sequence, 500).syn().write(&mut bytes, &[]).unwrap();
        bytes
    }

    fn datagram(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        builder().udp(ONE.1, OTHER.1).write(&mut bytes, text.as_bytes()).unwrap();
        bytes
    }

    #[test]
    fn connections() {
        // SYN's number; segments with their numbers.
        let check = |syn: Option<u32>, segments: &[(u32, &str)], expected: &[(&str, bool)]| {
            let opening = syn.map(opening);
            let frames = opening.into_iter().chain(segments.iter().map(|(sequence, text)| segment(*sequence, text)));
            let expected: Vec<_> = expected.iter().map(|(text, whole)| (TCP, (*text).to_owned(), *whole)).collect();
            let frames: Vec<_> = frames.map(|bytes| frame(0, bytes)).collect();
            assert_eq!(said_in(frames.clone()), expected, "{segments:?}");
            // Behind a router the same again.
            let twice = frames.iter().flat_map(|first| [first.clone(), Frame { link: 1, ..first.clone() }]);
            assert_eq!(said_in(twice.collect()), expected, "{segments:?}");
        };
        check(Some(9), &[(10, "to"), (12, "ken=a")], &[("token=a", true)]);
        check(Some(9), &[(12, "ken=a"), (10, "to")], &[("token=a", true)]);
        check(Some(9), &[(10, "to"), (10, "to"), (10, "token"), (14, "n=a")], &[("token=a", true)]);
        check(Some(9), &[(10, "token"), (12, "ke"), (15, "=a")], &[("token=a", true)]);
        check(Some(u32::MAX - 2), &[(u32::MAX - 1, "to"), (0, "ken")], &[("token", true)]);
        check(Some(9), &[], &[]);
        // What is missing, was not seen to begin, or comes otherwise than before.
        check(Some(9), &[(10, "to"), (13, "en=a")], &[("to|en=a", false)]);
        check(Some(9), &[(12, "ken=a")], &[("ken=a", false)]);
        check(None, &[(12, "ken=a")], &[("ken=a", false)]);
        check(Some(9), &[(10, "token"), (10, "tOken")], &[("token", false)]);
        check(Some(9), &[(10, "token"), (12, "Ken=a")], &[("token=a", false)]);
        // Another connection of the same ports.
        let again = [opening(9), segment(10, "one"), opening(90), segment(91, "two")].map(|it| frame(0, it)).to_vec();
        assert_eq!(said_in(again), [(TCP, "one".to_owned(), true), (TCP, "two".to_owned(), true)]);
        // A segment of which not all is there.
        let mut cut = segment(10, "token");
        cut.truncate(cut.len() - 1);
        let cut = Frame { len: cut.len() as u32 + 1, ..frame(0, cut) };
        assert_eq!(said_in(vec![frame(0, opening(9)), cut]), [(TCP, "toke".to_owned(), false)]);
    }

    #[test]
    fn datagrams() {
        let both = [datagram("to"), datagram("ken")].map(|it| frame(0, it)).to_vec();
        assert_eq!(said_in(both), [(UDP, "token".to_owned(), true)]);
        let on_two = vec![frame(0, datagram("token")), frame(1, datagram("token"))];
        assert_eq!(said_in(on_two), [(UDP, "token".to_owned(), true), (UDP, "token".to_owned(), true)]);
        // In fragments: 24 bytes, UDP's header among them; then the rest.
        let whole = datagram("0123456789abcdef-token=hunter2");
        let part = |range: std::ops::Range<usize>, offset: u16, more: bool| {
            let mut bytes = whole[..34].to_vec();
            bytes.extend(&whole[34..][range]);
            let length = (bytes.len() - 14) as u16;
            bytes[16..18].copy_from_slice(&length.to_be_bytes());
            bytes[18..20].copy_from_slice(&[0, 7]);
            bytes[20..22].copy_from_slice(&(offset / 8 + if more { 0x2000 } else { 0 }).to_be_bytes());
            frame(0, bytes)
        };
        let (first, last) = (part(0..24, 0, true), part(24..38, 24, false));
        let text = || "0123456789abcdef-token=hunter2".to_owned();
        assert_eq!(said_in(vec![first.clone(), last.clone()]), [(UDP, text(), true)]);
        assert_eq!(said_in(vec![last, first.clone()]), [(UDP, text(), true)]);
        assert_eq!(said_in(vec![first]), [(UDP, "0123456789abcdef".to_owned(), false)]);
    }
}
