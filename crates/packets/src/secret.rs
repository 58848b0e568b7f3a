//! Payloads that nobody is to keep, taken out of a capture: credentials that crossed a link without TLS. Pure.

mod said;

use std::{collections::HashSet, net::SocketAddr};

use journey::capture::{Capture, Frame, LinkKind};

use crate::{
    decode::{Decoded, Network, Transport, decode},
    flow::{self, Fragment},
};
pub use said::{Transcript, said};

/// A conversation: 6 for TCP, 17 for UDP, and its two ends in either order.
pub type Conversation = (u8, SocketAddr, SocketAddr);

/// Leaves of these conversations' frames the headers alone, of the link, of IP, and of TCP or UDP, and says why. What an
/// ICMP error quotes of them is cut as well, and so are fragments.
pub fn cut_to_headers(capture: &mut Capture, conversations: &[Conversation], why: &str) {
    let kinds: Vec<_> = capture.links.iter().map(|link| link.kind).collect();
    let decoded = |frame: &Frame| {
        let kind = kinds.get(frame.link).copied().unwrap_or(LinkKind::Ethernet);
        decode(kind, &frame.bytes.0, frame.len as usize)
    };
    let decoded: Vec<_> = capture.frames.iter().map(decoded).collect();
    let fragments: HashSet<Fragment> = capture
        .frames
        .iter()
        .zip(&decoded)
        .filter(|(_, decoded)| is_of(decoded, conversations))
        .filter_map(|(frame, decoded)| flow::fragment(&frame.bytes.0, decoded))
        .collect();
    for (frame, decoded) in capture.frames.iter_mut().zip(&decoded) {
        let is_fragment = || flow::fragment(&frame.bytes.0, decoded).is_some_and(|it| fragments.contains(&it));
        if !is_of(decoded, conversations) && !is_unreadable(decoded, conversations) && !is_fragment() {
            continue;
        }
        let headers = headers(&frame.bytes.0, decoded);
        // Padding behind the payload goes as well: it can be what was in memory before.
        if headers < frame.bytes.0.len() {
            frame.bytes.0.truncate(headers);
            frame.cut = Some(match frame.cut.take() {
                Some(cut) if cut != why => format!("{why}; {cut}"),
                _ => why.to_owned(),
            });
        }
    }
}

/// Where the headers end; of what an error quotes those that say what it is about (RFC 792: the first 64 bits behind IP's).
fn headers(bytes: &[u8], decoded: &Decoded) -> usize {
    let end = decoded.payload.start;
    let is_error = matches!(&decoded.transport, Some(Transport::Icmp(icmp)) if icmp.about.is_some());
    end + match bytes.get(end) {
        Some(first) if is_error && first >> 4 == 4 => usize::from(first & 0xf) * 4 + 8,
        Some(_) if is_error => 40 + 8,
        _ => 0,
    }
}

/// Whether a frame is of one of the conversations, or quotes one that is.
fn is_of(decoded: &Decoded, conversations: &[Conversation]) -> bool {
    let Some(Network::Ip(ip)) = &decoded.network else { return false };
    let (protocol, source, destination) = match &decoded.transport {
        Some(Transport::Tcp(tcp)) => {
            (6, (ip.source, tcp.source_port).into(), (ip.destination, tcp.destination_port).into())
        }
        Some(Transport::Udp(udp)) => {
            (17, (ip.source, udp.source_port).into(), (ip.destination, udp.destination_port).into())
        }
        Some(Transport::Icmp(icmp)) => match icmp.about {
            Some(about) => about,
            None => return false,
        },
        None => return false,
    };
    conversations.iter().any(|&(of, one, other)| {
        let is = |known: SocketAddr, seen: SocketAddr| {
            (known.ip().to_canonical(), known.port()) == (seen.ip().to_canonical(), seen.port())
        };
        of == protocol && ((is(one, source) && is(other, destination)) || (is(one, destination) && is(other, source)))
    })
}

/// Whether it may be of one of them: it passed between the same hosts, and its ports cannot be read.
fn is_unreadable(decoded: &Decoded, conversations: &[Conversation]) -> bool {
    let Some(Network::Ip(ip)) = &decoded.network else { return false };
    let is_whole_or_first = ip.fragment.is_none_or(|(offset, _)| offset == 0);
    decoded.transport.is_none()
        && is_whole_or_first
        && conversations.iter().any(|&(protocol, one, other)| {
            let ends = [one.ip().to_canonical(), other.ip().to_canonical()];
            protocol == ip.protocol && ends.contains(&ip.source) && ends.contains(&ip.destination)
        })
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use journey::capture::{Bytes, Fate, Link};

    use super::*;

    const SECRET: &[u8] = b"GET /?token=hunter2 HTTP/1.1\r\n\r\n";

    fn frame(bytes: Vec<u8>) -> Frame {
        Frame {
            at_ns: 0,
            link: 0,
            from: None,
            fate: Fate::Seen,
            len: bytes.len() as u32,
            bytes: Bytes(bytes),
            cut: None,
            unfilled_checksum: None,
        }
    }

    fn built(builder: etherparse::PacketBuilderStep<etherparse::UdpHeader>) -> Vec<u8> {
        let mut bytes = Vec::new();
        builder.write(&mut bytes, SECRET).unwrap();
        bytes
    }

    #[test]
    fn to_headers() {
        let v4 = || PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
        let back = || PacketBuilder::ethernet2([4; 6], [2; 6]).ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64);
        let tcp = |port| {
            let mut bytes = Vec::new();
            v4().tcp(40_000, port, 1, 500).psh().ack(1).write(&mut bytes, SECRET).unwrap();
            bytes
        };
        let v6 = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6([0xfd; 16], [0xfe; 16], 64);
        // An error quotes a datagram from its IP header on.
        let error = |quoted: &[u8]| {
            let mut bytes = Vec::new();
            let unreachable =
                etherparse::Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::Port);
            back().icmpv4(unreachable).write(&mut bytes, &quoted[14..]).unwrap();
            bytes
        };
        // A datagram in two fragments: more follow; then 24 bytes further on.
        let fragment = |last: bool, id: u16| {
            let mut bytes = built(v4().udp(5000, 53));
            let from = if last { [0, 3] } else { [0x20, 0] };
            bytes[18..20].copy_from_slice(&id.to_be_bytes());
            bytes[20..22].copy_from_slice(&from);
            bytes
        };
        let mut padded = tcp(80);
        padded.extend(b"hunter2");
        let mut torn = tcp(80);
        // Its TCP header cannot be that short.
        torn[46] = 0x10;
        let conversations = [
            (6, "10.0.0.2:80".parse().unwrap(), "10.0.0.1:40000".parse().unwrap()),
            (17, "10.0.0.1:5000".parse().unwrap(), "[::ffff:10.0.0.2]:53".parse().unwrap()),
        ];
        let check = |bytes: &[Vec<u8>], kept: Option<usize>| {
            let frames: Vec<_> = bytes.iter().cloned().map(frame).collect();
            let (kind, ports) = (LinkKind::Ethernet, Vec::new());
            let link =
                Link { name: "eth0".to_owned(), kind, ports, learned_before: Vec::new(), learned_after: Vec::new() };
            let mut capture = Capture { links: vec![link], frames, ..Capture::default() };
            let before = capture.frames.clone();
            cut_to_headers(&mut capture, &conversations, "it may hold credentials");
            for (now, before) in capture.frames.iter().zip(&before) {
                assert_eq!(now.len, before.len);
                let (expected, why) = match kept {
                    Some(kept) => (&before.bytes.0[..kept], Some("it may hold credentials")),
                    None => (&before.bytes.0[..], None),
                };
                assert_eq!((&now.bytes.0[..], now.cut.as_deref()), (expected, why));
            }
        };
        check(&[tcp(80), padded], Some(54));
        check(&[tcp(81)], None);
        check(&[built(v4().udp(5000, 53)), built(back().udp(53, 5000))], Some(42));
        check(&[built(v4().udp(5000, 54)), built(v6.udp(5000, 53))], None);
        check(&[error(&tcp(80)), error(&built(v4().udp(5000, 53)))], Some(42 + 20 + 8));
        check(&[error(&tcp(81))], None);
        // The last fragment tells no ports: it goes with the first.
        check(&[fragment(false, 7)], Some(42));
        check(&[fragment(true, 7)], None);
        check(&[torn], Some(34));
        let (first, last, other) = (fragment(false, 7), fragment(true, 7), fragment(true, 8));
        let frames = [last, first, other].map(frame).to_vec();
        let mut capture = Capture { frames, ..Capture::default() };
        cut_to_headers(&mut capture, &conversations, "why");
        let kept: Vec<_> = capture.frames.iter().map(|frame| frame.bytes.0.len()).collect();
        assert_eq!(kept, [34, 42, 42 + SECRET.len()]);
    }
}
