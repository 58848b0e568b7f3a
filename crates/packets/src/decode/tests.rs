use etherparse::{PacketBuilder, VlanId};
use proptest::prelude::*;

use super::{
    checksums::checksums,
    samples::{self, bytes, frame},
    words::summary,
    *,
};

const SEGMENT: LinkKind = LinkKind::Segment;

fn says(frame: &[u8], len: usize) -> String {
    let decoded = decode(SEGMENT, frame, len);
    let summary = summary(&decoded, frame);
    format!("{} {summary}", summary.protocol)
}

#[test]
fn real_frames_in_words() {
    let about = "destination unreachable: nothing listens on that port; about UDP from";
    for (name, expected) in [
        ("ARP_QUESTION", "ARP who has 10.78.1.53? tell 10.78.1.100"),
        ("ARP_ANSWER", "ARP 10.78.1.53 is at 02:0a:4e:01:00:35"),
        ("DNS_QUERY", "DNS query A www.example.local."),
        ("DNS_ANSWER", "DNS answer A www.example.local.: 2 records NOERROR"),
        ("SYN", "TCP SYN"),
        ("SYN_ACK", "TCP SYN ACK"),
        ("ACK", "TCP ACK"),
        ("REQUEST", "HTTP PSH ACK, 128 bytes: GET /login?… HTTP/1.1"),
        ("RESPONSE", "HTTP PSH ACK, 119 bytes: HTTP/1.1 200 OK"),
        ("FIN", "TCP FIN ACK"),
        ("RESET", "TCP RST ACK"),
        ("PORT_UNREACHABLE", &format!("ICMP {about} 10.78.1.100:40807 to 10.78.2.81:7")),
        ("NEIGHBOUR_QUESTION", "ICMPv6 who has fd10:78:1ab::1:53? tell fd10:78:1ab::1:100"),
        ("NEIGHBOUR_ANSWER", "ICMPv6 fd10:78:1ab::1:53 is at 02:0a:4e:01:00:35"),
        ("UDP_OVER_V6", "UDP 8 bytes"),
        ("PORT_UNREACHABLE_V6", &format!("ICMPv6 {about} [fd10:78:1ab::1:100]:44604 to [fd10:78:1ab::1:53]:4001")),
        ("SYN_OVER_V6", "TCP SYN"),
        ("ECHO_REQUEST", "ICMP echo request id 77 sequence 1, 4 bytes"),
        ("ECHO_REPLY", "ICMP echo reply id 77 sequence 1, 4 bytes"),
        (
            "TTL_RAN_OUT",
            "ICMP time exceeded: its TTL ran out on the way; about UDP from 10.78.1.100:33767 to 10.78.2.81:9",
        ),
        ("ADDRESS_TAKEN", "ICMPv6 who has fe80::a:4eff:fe02:1? before it takes that address"),
        ("MLD_REPORT", "ICMPv6 MLD report: groups that it listens to"),
        ("ROUTER_SOLICITATION", "ICMPv6 router solicitation: is there a router?"),
    ] {
        let frame = frame(name);
        assert_eq!(says(&frame, frame.len()), expected, "{name}");
        assert_eq!(decode(SEGMENT, &frame, frame.len()).flaw, None, "{name}");
    }
}

#[test]
fn a_segment_with_options() {
    let frame = frame("SYN");
    let decoded = decode(SEGMENT, &frame, frame.len());
    let mac = |text: &str| text.parse::<Mac>().unwrap();
    let (destination, source) = (mac("02:0a:4e:01:00:01"), mac("02:0a:4e:01:00:64"));
    assert_eq!(decoded.ethernet, Some(Ethernet { destination, source, ether_type: 0x800 }));
    let Some(Network::Ip(ip)) = decoded.network else { panic!("{decoded:?}") };
    assert_eq!((ip.source.to_string().as_str(), ip.ttl, ip.protocol, ip.total_len), ("10.78.1.100", 64, 6, 60));
    let Some(Transport::Tcp(tcp)) = decoded.transport else { panic!("{:?}", decoded.transport) };
    assert_eq!((tcp.destination_port, tcp.window, tcp.payload_len), (80, 64240, 0));
    assert_eq!(tcp.flags, TcpFlags { syn: true, ..TcpFlags::default() });
    let TcpOptions { mss, sack_permitted, timestamps, .. } = tcp.options;
    assert_eq!((mss, sack_permitted, timestamps.map(|(_, heard)| heard)), (Some(1460), true, Some(0)));
    assert_eq!((decoded.packet, decoded.payload), (14..74, 74..74));
}

/// What is changed in a real frame, how long it says it was, the flaw, and what can still be read.
#[test]
fn what_is_wrong_is_said_and_the_rest_is_read() {
    let check = |name: &str, change: &dyn Fn(&mut Vec<u8>), len: usize, flaw: &str, left: &str| {
        let mut frame = frame(name);
        change(&mut frame);
        let decoded = decode(SEGMENT, &frame, len.max(frame.len()));
        assert_eq!(decoded.flaw.as_deref().unwrap_or_default(), flaw, "{name}");
        let read = [
            decoded.ethernet.map(|_| "ethernet"),
            decoded.network.as_ref().map(|_| "network"),
            decoded.transport.as_ref().map(|_| "transport"),
        ];
        assert_eq!(read.into_iter().flatten().collect::<Vec<_>>().join(" "), left, "{name}: {flaw}");
    };
    let cut = |to: usize| move |frame: &mut Vec<u8>| frame.truncate(to);
    let set = |at: usize, byte: u8| move |frame: &mut Vec<u8>| frame[at] = byte;
    let kept = "only 50 of its 194 bytes were kept, and they end within its TCP header";
    check("REQUEST", &cut(50), 194, kept, "ethernet network");
    // Cut within the options and behind them.
    let kept = "only 60 of its 194 bytes were kept, and they end within its TCP header";
    check("REQUEST", &cut(60), 194, kept, "ethernet network transport");
    check("REQUEST", &cut(100), 194, "", "ethernet network transport");
    let fewer = "its IP header says that the packet has 180 bytes, and there are 46";
    check("REQUEST", &cut(60), 0, fewer, "ethernet network transport");
    check("REQUEST", &cut(13), 0, "it ends within its Ethernet header", "");
    check("ARP_ANSWER", &cut(40), 0, "it ends within its ARP message", "ethernet");
    check("ARP_ANSWER", &set(18, 9), 0, "it is ARP for something else than IPv4 over Ethernet", "ethernet");
    check("SYN", &set(14, 0x44), 0, "its IPv4 header says that it is 16 bytes long, and 20 is the least", "ethernet");
    check("SYN", &set(14, 0x65), 0, "its EtherType says IPv4, and the packet that it is of version 6", "ethernet");
    check("SYN", &set(17, 19), 0, "its IP header says that the packet has 19 bytes, fewer than the header alone", {
        "ethernet network"
    });
    let short = "its TCP header says that it is 16 bytes long, and 20 is the least";
    check("SYN", &set(46, 0x40), 0, short, "ethernet network");
    let option = "its TCP option 2 does not fit where it says that it ends";
    check("SYN", &set(55, 0), 0, option, "ethernet network transport");
    check("SYN", &set(55, 200), 0, option, "ethernet network transport");
    let udp = "its UDP header says that the datagram has 7 bytes, fewer than the header alone";
    check("DNS_QUERY", &set(39, 7), 0, udp, "ethernet network transport");
    let udp = "its UDP header says that the datagram has 255 bytes, and there are 54";
    check("DNS_QUERY", &set(39, 255), 0, udp, "ethernet network transport");
    check("UDP_OVER_V6", &set(20, 60), 0, "it ends within its IPv6 extension header", "ethernet network");
}

#[test]
fn padding_is_no_payload() {
    let mut arp = frame("ARP_ANSWER");
    arp.resize(60, 0);
    assert_eq!(decode(SEGMENT, &arp, 60).payload, 42..42);
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 78, 1, 1], [10, 78, 1, 2], 64).udp(1000, 2000);
    let mut frame = Vec::new();
    builder.write(&mut frame, b"hello").unwrap();
    frame.resize(60, 0);
    let decoded = decode(SEGMENT, &frame, 60);
    assert_eq!((&frame[decoded.payload], decoded.flaw), (&b"hello"[..], None));
}

#[test]
fn tags_and_extension_headers_are_passed() {
    let id = |id| VlanId::try_new(id).unwrap();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).double_vlan(id(7), id(9));
    let mut frame = Vec::new();
    builder.ipv4([10, 78, 1, 1], [10, 78, 1, 2], 64).tcp(1000, 80, 5, 100).ack(6).write(&mut frame, b"GET").unwrap();
    let decoded = decode(SEGMENT, &frame, frame.len());
    assert_eq!(decoded.ethernet.unwrap().ether_type, 0x800);
    assert!(matches!(decoded.transport, Some(Transport::Tcp(Tcp { payload_len: 3, .. }))), "{decoded:?}");
    // Destination options (8 bytes), then a fragment header, in front of a datagram.
    let mut frame = samples::frame("UDP_OVER_V6");
    let extensions = bytes("2c00010400000000110000018899aabb");
    frame.splice(54..54, extensions);
    (frame[20], frame[19]) = (60, frame[19] + 16);
    let first = decode(SEGMENT, &frame, frame.len());
    let Some(Network::Ip(ip)) = first.network else { panic!("{:?}", first.network) };
    assert_eq!((ip.protocol, ip.fragment, first.transport.is_some()), (17, Some((0, true)), true));
    frame[54 + 8 + 3] = 0x10;
    let later = decode(SEGMENT, &frame, frame.len());
    let Some(Network::Ip(ip)) = &later.network else { panic!("{:?}", later.network) };
    assert_eq!((ip.protocol, ip.fragment, later.transport), (17, Some((16, false)), None));
    assert_eq!(says(&frame, frame.len()), "IPv6 a fragment: 16 bytes from byte 16 on");
    // The same in IPv4: 0x20b9 is more fragments, and 185 units of 8 bytes.
    let mut frame = samples::frame("DNS_QUERY");
    frame[20..22].copy_from_slice(&[0x20, 0xb9]);
    let decoded = decode(SEGMENT, &frame, frame.len());
    let Some(Network::Ip(ip)) = &decoded.network else { panic!("{:?}", decoded.network) };
    assert_eq!((ip.fragment, decoded.transport), (Some((1480, true)), None));
    assert_eq!(says(&frame, frame.len()), "IPv4 a fragment: 54 bytes from byte 1480 on");
}

#[test]
fn without_a_link_layer() {
    let frame = frame("SYN");
    let decoded = decode(LinkKind::Ip, &frame[14..], frame.len() - 14);
    assert_eq!((decoded.ethernet, decoded.flaw), (None, None));
    assert!(matches!(decoded.transport, Some(Transport::Tcp(_))));
    assert_eq!(decode(LinkKind::Ip, &[0x10], 1).flaw.unwrap(), "it is no IP packet: its version would be 1");
}

#[test]
fn checksums_are_the_kernels() {
    for (name, _) in samples::ALL {
        let mut frame = frame(name);
        let sums = checksums(SEGMENT, &frame, frame.len());
        assert!(sums.iter().all(checksums::Checksum::is_right), "{name}: {sums:?}");
        let is_arp = name.starts_with("ARP");
        assert_eq!(sums.is_empty(), is_arp, "{name}");
        // One bit of the last byte: that of an IP header is no part of it.
        *frame.last_mut().unwrap() ^= 1;
        let wrong = checksums(SEGMENT, &frame, frame.len()).iter().filter(|sum| !sum.is_right()).count();
        assert_eq!(wrong, usize::from(!is_arp), "{name}");
        let cut = checksums(SEGMENT, &frame[..frame.len() - 1], frame.len());
        assert!(cut.iter().all(|sum| sum.of == "IPv4 header"), "{name}: {cut:?}");
    }
}

#[test]
fn applications_by_their_first_bytes() {
    let check = |bytes: &[u8], expected: &str| {
        let said = app::in_segment((50_000, 80), bytes).map_or_else(String::new, |app| app.to_string());
        assert_eq!(said, expected, "{}", bytes.escape_ascii());
    };
    check(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", "GET / HTTP/1.1");
    check(b"POST http://me:secret@www.example.local/form?key=secret HTTP/1.1\n", "POST /form?… HTTP/1.1");
    check(b"GET http://www.example.local?key=secret HTTP/1.1\r\n", "GET /?… HTTP/1.1");
    check(b"CONNECT me@www.example.local:443 HTTP/1.1\r\n", "CONNECT www.example.local:443 HTTP/1.1");
    check(b"GET / HT", "");
    check(b"HTTP/1.0 404 Not Found\r\n", "HTTP/1.0 404 Not Found");
    check(b"HTTP/1.1 200\r\n", "HTTP/1.1 200");
    check(b"HTTP/1.1 200 \x1b[31m\r\n", "");
    check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0", "HTTP/2 preface");
    check(&bytes("1603010200010001fc0303"), "TLS ClientHello");
    check(
        &bytes("16030300050200000160140303000101170303000201021703030002010217030300"),
        "TLS ServerHello, ChangeCipherSpec, application data",
    );
    check(&bytes("16030300100badc0de00000000000000000000000000"), "TLS handshake, encrypted");
    // A Finished of TLS 1.2: the nonce's explicit part is zero, and the rest looks like nothing.
    let finished = format!("1603030028{}{}", "00".repeat(8), "5a".repeat(32));
    check(&bytes(&finished), "TLS handshake, encrypted");
    check(&bytes(&format!("140303000101{finished}")), "TLS ChangeCipherSpec, handshake, encrypted");
    check(&bytes(&format!("1603030028{}", "00".repeat(40))), "TLS handshake, encrypted");
    check(&bytes("16030300080e0000005a5a5a5a"), "TLS handshake, encrypted");
    check(&bytes("16030300060e0000005a5a"), "TLS handshake, encrypted");
    check(&bytes("14030300010116030300040e000000"), "TLS ChangeCipherSpec, handshake, encrypted");
    check(&bytes("1603030004000000000e"), "TLS HelloRequest");
    check(&bytes("16030300080e0000000e000000"), "TLS ServerHelloDone");
    // A certificate goes on in the next record, and something is behind it there; a hello that is asked for again.
    check(&bytes("16030300060b00000400011603030006020302030e00"), "TLS Certificate, handshake, encrypted");
    check(&bytes("16030300060b0000040001160303000602030e000000"), "TLS Certificate, ServerHelloDone");
    check(&bytes("1403030001011603010200010001fc0303"), "TLS ChangeCipherSpec, ClientHello");
    check(&bytes("15030300020100"), "TLS alert");
    check(&bytes("1603090002"), "");
    // DNS is known by its port, and over TCP by its length.
    let message = &frame("DNS_ANSWER")[42..];
    let over_tcp = [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat();
    let dns = |bytes| app::in_segment((53, 40_000), bytes).map_or_else(String::new, |app: app::App| app.to_string());
    assert_eq!(dns(&over_tcp), "answer A www.example.local.: 2 records NOERROR");
    assert_eq!(dns(&over_tcp[..over_tcp.len() - 1]), "");
    assert_eq!(app::in_datagram((4000, 4001), message), None);
}

fn mutated() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let flips = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (prop::sample::select(samples::ALL), flips, any::<prop::sample::Index>(), 0..2000_usize).prop_map(
        |((_, hex), flips, cut, more)| {
            let mut frame = bytes(hex);
            for (at, byte) in flips {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            frame.truncate(cut.index(frame.len() + 1));
            let len = frame.len() + more;
            (frame, len)
        },
    )
}

fn holds(kind: LinkKind, frame: &[u8], len: usize) {
    let decoded = decode(kind, frame, len);
    assert!(decoded.payload.start <= decoded.payload.end && decoded.payload.end <= frame.len(), "{decoded:?}");
    assert!(decoded.packet.start <= decoded.packet.end && decoded.packet.end <= frame.len(), "{decoded:?}");
    assert!(!summary(&decoded, frame).to_string().is_empty());
    let _ = checksums(kind, frame, len);
    crate::layers::tests::holds(kind, frame, len);
}

proptest! {
    #[test]
    fn arbitrary_bytes(frame in prop::collection::vec(any::<u8>(), 0..200), len in 0..300_usize) {
        for kind in [LinkKind::Segment, LinkKind::Loopback, LinkKind::Ip] {
            holds(kind, &frame, len);
        }
    }

    #[test]
    fn damaged_frames((frame, len) in mutated()) {
        holds(SEGMENT, &frame, len);
        holds(LinkKind::Ip, frame.get(14..).unwrap_or_default(), len);
    }
}
