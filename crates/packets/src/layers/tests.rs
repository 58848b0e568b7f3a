use super::{model::Place, *};
use crate::decode::samples::frame;

const SEGMENT: LinkKind = LinkKind::Segment;

/// What is true of every frame, whatever is in it.
pub(crate) fn holds(kind: LinkKind, frame: &[u8], len: usize) {
    let headers = unfold(kind, frame, len);
    let mut at = 0;
    for header in &headers {
        assert_eq!(header.range.start, at, "a gap before {header:?}");
        at = header.range.end;
        for field in &header.fields {
            let Range { start, end } = field.range;
            assert!(header.range.start <= start && start <= end && end <= header.range.end, "{field:?} in {header:?}");
            let bits = 8 * (end - start);
            assert!(field.bits.as_ref().is_none_or(|bit| bit.start < bit.end && usize::from(bit.end) <= bits));
        }
        for model in Model::ALL {
            let _ = model.place(header.protocol);
        }
    }
    assert_eq!(at, frame.len(), "the headers do not cover the frame");
}

fn shape(frame: &[u8], len: usize) -> String {
    let headers = unfold(SEGMENT, frame, len);
    let one = |header: &Header| format!("{} {}+{}", header.protocol.name(), header.range.len(), header.payload_len);
    headers.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn sizes_on_every_layer() {
    for (name, expected) in [
        ("ARP_QUESTION", "Ethernet II 14+28, ARP 28+0"),
        ("DNS_QUERY", "Ethernet II 14+74, IPv4 20+54, UDP 8+46, DNS 46+0"),
        ("SYN", "Ethernet II 14+60, IPv4 20+40, TCP 40+0"),
        ("REQUEST", "Ethernet II 14+180, IPv4 20+160, TCP 32+128, HTTP 128+0"),
        ("RESPONSE", "Ethernet II 14+171, IPv4 20+151, TCP 32+119, HTTP 64+55, data 55+0"),
        ("NEIGHBOUR_QUESTION", "Ethernet II 14+72, IPv6 40+32, ICMPv6 32+0"),
        ("MLD_REPORT", "Ethernet II 14+76, IPv6 40+36, IPv6 extension header 8+28, ICMPv6 28+0"),
        ("PORT_UNREACHABLE", "Ethernet II 14+64, IPv4 20+44, ICMP 8+36, quoted packet 36+0"),
        ("ECHO_REQUEST", "Ethernet II 14+32, IPv4 20+12, ICMP 8+4, data 4+0"),
    ] {
        let frame = frame(name);
        assert_eq!(shape(&frame, frame.len()), expected, "{name}");
        holds(SEGMENT, &frame, frame.len());
    }
    // A frame that was filled up, and one of which only the begin was kept.
    let mut arp = frame("ARP_ANSWER");
    arp.resize(60, 0);
    assert_eq!(shape(&arp, 60), "Ethernet II 14+46, ARP 28+0, padding 18+0");
    let cut = "Ethernet II 14+180, IPv4 20+160, TCP 32+128, HTTP 44+84";
    assert_eq!(shape(&frame("REQUEST")[..110], 194), cut);
}

/// A field by its name, its bytes, its bits and what it says.
#[test]
fn fields_down_to_the_bit() {
    let check = |name: &str, wanted: &str, place: (Range<usize>, Option<Range<u8>>), meaning: &str| {
        let frame = frame(name);
        let headers = unfold(SEGMENT, &frame, frame.len());
        let found: Vec<_> = headers.iter().flat_map(|header| &header.fields).filter(|f| f.name == wanted).collect();
        let [field] = found[..] else { panic!("{wanted} in {name}: {found:?}") };
        assert_eq!((field.range.clone(), field.bits.clone(), field.meaning.as_str()), (place.0, place.1, meaning));
    };
    check("SYN", "EtherType", (12..14, None), "0x0800: IPv4");
    check("SYN", "version", (14..15, Some(0..4)), "4");
    check("SYN", "IHL", (14..15, Some(4..8)), "5 × 4 = 20 bytes");
    check("SYN", "ECN", (15..16, Some(6..8)), "0: not in use");
    check("SYN", "flags", (20..22, Some(0..3)), "DF: do not fragment");
    check("SYN", "time to live", (22..23, None), "64 hops left at most");
    check("SYN", "protocol", (23..24, None), "6: TCP");
    check("SYN", "source address", (26..30, None), "10.78.1.100");
    check("SYN", "destination port", (36..38, None), "80");
    check("SYN", "data offset", (46..48, Some(0..4)), "10 × 4 = 40 bytes");
    check("SYN", "SYN", (46..48, Some(14..15)), "1: it opens");
    check("SYN", "ACK", (46..48, Some(11..12)), "0");
    check("SYN", "option: maximum segment size", (54..58, None), "1460 bytes");
    check("SYN", "option: SACK permitted", (58..60, None), "");
    check("ARP_QUESTION", "target hardware address", (32..38, None), "00:00:00:00:00:00: that is what it asks for");
    check("ARP_QUESTION", "destination", (0..6, None), "ff:ff:ff:ff:ff:ff: all");
    check("NEIGHBOUR_QUESTION", "source link-layer address", (78..86, None), "02:0a:4e:01:00:64");
    check("NEIGHBOUR_ANSWER", "S", (58..62, Some(1..2)), "1: it was asked");
    check("SYN_OVER_V6", "hop limit", (21..22, None), "64 hops left at most");
    check("DNS_QUERY", "length", (38..40, None), "54 bytes with this header");
    check("DNS_QUERY", "RD", (44..46, Some(7..8)), "1: ask others for me");
    check("DNS_QUERY", "question", (54..77, None), "A www.example.local.");
    check("DNS_QUERY", "additional", (77..88, None), "OPT: it takes datagrams of 1232 bytes (EDNS, RFC 6891)");
    check("REQUEST", "first line", (66..101, None), "GET /login?token=hunter2 HTTP/1.1");
    check("REQUEST", "host", (101..126, None), "www.example.local");
}

#[test]
fn the_bits_of_ipv6_begin_in_the_middle_of_a_byte() {
    let mut frame = frame("SYN_OVER_V6");
    // DSCP 46, ECN 3, flow label 0x12345.
    frame[14..18].copy_from_slice(&[0x6b, 0xb1, 0x23, 0x45]);
    let headers = unfold(SEGMENT, &frame, frame.len());
    let said: Vec<_> = headers[1].fields[..4].iter().map(|field| field.meaning.as_str()).collect();
    assert_eq!(said, ["6", "46", "3: there is congestion (CE)", "0x12345"]);
}

#[test]
fn tls_record_by_record() {
    let frame = frame("REQUEST");
    let hello = crate::decode::samples::bytes("160301000401000000140303000101");
    let mut tls = frame[..66].to_vec();
    tls.extend(&hello);
    tls[17] = 52 + 15;
    assert_eq!(
        shape(&tls, tls.len()),
        "Ethernet II 14+67, IPv4 20+47, TCP 32+15, TLS 5+4, TLS fragment 4+0, TLS 5+1, TLS fragment 1+0"
    );
}

#[test]
fn what_is_in_tls_records() {
    let check = |records: &str, expected: &[&str]| {
        let mut tls = frame("REQUEST")[..66].to_vec();
        tls.extend(crate::decode::samples::bytes(records));
        let total = u16::try_from(tls.len() - 14).unwrap();
        tls[16..18].copy_from_slice(&total.to_be_bytes());
        let headers = unfold(SEGMENT, &tls, tls.len());
        let fragments = headers.iter().filter(|header| header.protocol == Protocol::TlsFragment);
        let said: Vec<_> = fragments.map(|header| header.fields[0].meaning.as_str()).collect();
        assert_eq!(said, expected, "{records}");
    };
    check("160301000401000000", &["ClientHello (1)"]);
    check("1603030008020000000e000000", &["ServerHello (2), ServerHelloDone (14)"]);
    let finished = format!("1603030028{}{}", "00".repeat(8), "5a".repeat(32));
    check(&format!("140303000101{finished}"), &["change cipher spec", "encrypted"]);
    check(&finished, &["encrypted"]);
    check(&format!("1603030028{}", "00".repeat(40)), &["encrypted"]);
    check("16030300280000", &["not enough of it here"]);
    check("170303000400000000", &["encrypted"]);
}

#[test]
fn where_a_protocol_is() {
    let check = |protocol: Protocol, expected: [&str; 3], is_clean: bool| {
        let place = |model: Model| {
            let Place { layer, note } = model.place(protocol);
            assert!(model.layers().contains(&layer));
            (format!("{} {}", layer.number, layer.name), note.is_none())
        };
        let found = Model::ALL.map(place);
        assert_eq!(found.each_ref().map(|(layer, _)| layer.as_str()), expected, "{protocol:?}");
        assert_eq!(found.iter().all(|(_, is_clean)| *is_clean), is_clean, "{protocol:?}");
    };
    check(Protocol::Ethernet, ["2 data link", "2 data link", "1 link"], true);
    check(Protocol::Arp, ["2 data link", "2 data link", "1 link"], false);
    check(Protocol::Ipv4, ["3 network", "3 network", "2 internet"], true);
    check(Protocol::Icmp, ["3 network", "3 network", "2 internet"], false);
    check(Protocol::Tcp, ["4 transport", "4 transport", "3 transport"], true);
    check(Protocol::Tls, ["6 presentation", "5 application", "4 application"], false);
    check(Protocol::Dns, ["7 application", "5 application", "4 application"], true);
    assert_eq!("five".parse(), Ok(Model::Five));
    assert!(Model::ALL.iter().all(|model| model.to_string().parse() == Ok(*model)) && "OSI".parse::<Model>().is_err());
}
