//! Conversations as small scripts: what passes, and what is told of it.

use std::net::SocketAddr;

use super::*;
use journey::capture::{Fate, Frame};

use crate::decode::{Decoded, Ip, Network, Tcp, TcpFlags, TcpOptions, Transport};

/// Numbers run over 2^32 in every conversation.
const CLIENT: u32 = 0xffff_fff0;
const SERVER: u32 = 0x7fff_fff8;

/// `> PA 1 1 100 win=5 sack=201-301 @1.5 lost`: who, flags, sequence and acknowledgment counted from the SYNs, bytes.
fn segment(line: &str) -> (i64, Decoded, Arrival) {
    let mut words = line.split_whitespace();
    let is_client = words.next() == Some(">");
    let (own, other) = if is_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
    let letters = words.next().unwrap();
    let has = |letter| letters.contains(letter);
    let flags =
        TcpFlags { syn: has('S'), ack: has('A'), fin: has('F'), rst: has('R'), psh: has('P'), ..TcpFlags::default() };
    let (mut numbers, mut at, mut arrival) = (Vec::new(), 0.0, Arrival::Yes);
    let (mut window, mut options) = (500, TcpOptions::default());
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "lost" => arrival = Arrival::No,
            "far" => arrival = Arrival::Unknown,
            "win" => window = value.parse().unwrap(),
            "scale" => options.window_scale = Some(value.parse().unwrap()),
            "sack" => {
                let (from, to) = value.split_once('-').unwrap();
                let raw = |number: &str| other.wrapping_add(number.parse::<u32>().unwrap());
                options.sack.push((raw(from), raw(to)));
            }
            _ => match word.strip_prefix('@') {
                Some(time) => at = time.parse::<f64>().unwrap(),
                None => numbers.push(word.parse::<i64>().unwrap()),
            },
        }
    }
    let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
    let ends = [("10.0.0.1".parse().unwrap(), 40_000), ("10.0.0.2".parse().unwrap(), 80)];
    let [source, destination] = if is_client { ends } else { [ends[1], ends[0]] };
    let tcp = Tcp {
        source_port: source.1,
        destination_port: destination.1,
        sequence: own.wrapping_add(number(0) as u32),
        acknowledgment: if flags.ack { other.wrapping_add(number(1) as u32) } else { 0 },
        flags,
        window,
        options,
        payload_len: number(2) as usize,
    };
    let ip = Ip {
        source: source.0,
        destination: destination.0,
        ttl: 64,
        protocol: 6,
        total_len: 40 + tcp.payload_len,
        fragment: None,
    };
    let decoded =
        Decoded { network: Some(Network::Ip(ip)), transport: Some(Transport::Tcp(tcp)), ..Decoded::default() };
    ((at * 1e9) as i64, decoded, arrival)
}

/// Everything told of a segment, in a line.
fn told(segment: &Segment) -> String {
    let state = |state: Option<State>| state.map_or("?", State::name);
    let mut told = format!("{} {} {:?}", state(segment.client), state(segment.server), segment.what);
    match segment.again {
        Some(Again::Copy { of }) => told += &format!(" copy of {of}"),
        Some(Again::Retransmission { of, after_ns, why }) => {
            let of = of.map_or_else(|| "?".to_owned(), |of| of.to_string());
            let after = after_ns.map_or_else(|| "?".to_owned(), |ns| format!("{:.2}", ns as f64 / 1e9));
            told += &format!(" again {of} {after} {why:?}");
        }
        None => {}
    }
    for (is, word) in [
        (segment.is_out_of_order, " out-of-order"),
        (segment.is_after_gap, " after-gap"),
        (segment.acknowledges_unseen, " acks-unseen"),
    ] {
        told += if is { word } else { "" };
    }
    told
}

/// Plays lines of `what passes | what is told of it`; the ends of the connections are told at last.
#[track_caller]
fn check(script: &str, endings: &[(Ending, bool)]) -> Flows {
    let mut follower = Follower::new(Limits::default());
    for (index, line) in script.trim().lines().enumerate() {
        let (passes, expected) = line.split_once('|').unwrap();
        let (at_ns, decoded, arrival) = segment(passes);
        follower.see(index, 0, at_ns, &decoded, arrival);
        let segments = || follower.flows().iter().flat_map(|flow| &flow.segments);
        let last = segments().find(|segment| segment.frame == index).unwrap();
        let expected: Vec<_> = expected.split_whitespace().collect();
        assert_eq!(told(last), expected.join(" "), "line {}: {passes}", index + 1);
    }
    let is_over = follower.all_over(|_| true);
    let flows = follower.into_flows();
    let found: Vec<_> = flows.flows.iter().map(|flow| (flow.ending(), flow.is_over())).collect();
    assert_eq!(found, endings);
    assert_eq!(is_over, flows.flows.iter().all(|flow| flow.is_superseded || flow.is_over() || flow.is_unanswered()));
    flows
}

const CLIENT_FIRST: Ending = Ending::Closed { first: Some(Side::Client) };

#[test]
fn opened_used_and_closed() {
    let flows = check(
        "> S 0 scale=7           | SYN-SENT ?                Opens
         < SA 0 1 scale=2        | ESTABLISHED SYN-RECEIVED  Answers
         > A 1 1                 | ESTABLISHED ESTABLISHED   Acknowledges
         > PA 1 1 100            | ESTABLISHED ESTABLISHED   Data
         < A 1 101               | ESTABLISHED ESTABLISHED   Acknowledges
         < PA 1 101 50           | ESTABLISHED ESTABLISHED   Data
         > A 101 51              | ESTABLISHED ESTABLISHED   Acknowledges
         > FA 101 51             | FIN-WAIT-1  CLOSE-WAIT    Closes
         < A 51 102              | FIN-WAIT-2  CLOSE-WAIT    Acknowledges
         < FA 51 102             | TIME-WAIT   LAST-ACK      Closes
         > A 102 52              | TIME-WAIT   CLOSED        Acknowledges",
        &[(CLIENT_FIRST, true)],
    );
    let flow = &flows.flows[0];
    // The server was not heard of before it answered; it answered, so it was reached.
    assert_eq!(flow.segments[0].server, Some(State::SynReceived));
    assert_eq!((flow.begun, flow.half_closed()), (Begun::Opening, None));
    let windows: Vec<_> = flow.segments.iter().map(|segment| segment.window.unwrap()).collect();
    assert_eq!(windows[..4], [500, 500, 64_000, 64_000]);
    assert_eq!((windows[4], flows.of_frame(4).unwrap().1.relative_acknowledgment), (2_000, Some(101)));
    assert_eq!((flow.segments[3].sequence, flow.segments[8].acknowledgment), (CLIENT.wrapping_add(1), Some(86)));
}

#[test]
fn a_lost_syn() {
    let flows = check(
        "> S 0 lost              | SYN-SENT ?                Opens
         > S 0 @1.03             | SYN-SENT ?                Opens again 0 1.03 Timeout
         < SA 0 1 @1.04          | ESTABLISHED SYN-RECEIVED  Answers
         > A 1 1 @1.05 lost      | ESTABLISHED SYN-RECEIVED  Acknowledges
         < SA 0 1 @2.04          | ESTABLISHED SYN-RECEIVED  Answers again 2 1.00 Timeout
         > PA 1 1 9 @2.05        | ESTABLISHED ESTABLISHED   Data",
        &[(Ending::Open, false)],
    );
    assert!(!flows.flows[0].is_unanswered());
    let servers: Vec<_> = flows.flows[0].segments.iter().map(|segment| segment.server).take(2).collect();
    assert_eq!(servers, [Some(State::Listen), Some(State::SynReceived)]);
}

#[test]
fn a_lost_answer_is_asked_for() {
    check(
        "> S 0                   | SYN-SENT ?                Opens
         < SA 0 1 lost           | SYN-SENT SYN-RECEIVED     Answers
         > S 0 @1                | SYN-SENT SYN-RECEIVED     Opens again 0 1.00 Timeout
         < SA 0 1 @1             | ESTABLISHED SYN-RECEIVED  Answers again 1 1.00 Asked",
        &[(Ending::Open, false)],
    );
}

#[test]
fn refused() {
    let flows = check(
        "> S 0                   | SYN-SENT ?                Opens
         < RA 0 1                | CLOSED CLOSED             Reset",
        &[(Ending::Refused, true)],
    );
    assert_eq!(flows.flows[0].segments[0].server, Some(State::Closed));
    // A reset that acknowledges something else is not the server's.
    check(
        "> S 0                   | SYN-SENT ?                Opens
         < RA 0 700              | SYN-SENT ?                Reset
         < SA 0 1                | ESTABLISHED SYN-RECEIVED  Answers",
        &[(Ending::Open, false)],
    );
}

#[test]
fn resets() {
    let opened = "> S 0              | SYN-SENT ?                Opens
         < SA 0 1                | ESTABLISHED SYN-RECEIVED  Answers
         > A 1 1                 | ESTABLISHED ESTABLISHED   Acknowledges\n";
    let by = |by| [(Ending::Reset { by }, true)];
    check(&format!("{opened} < R 1 | CLOSED CLOSED Reset"), &by(Side::Server));
    check(&format!("{opened} > RA 1 1 | CLOSED CLOSED Reset"), &by(Side::Client));
    check(&format!("{opened} < R 1 lost | ESTABLISHED CLOSED Reset"), &[(Ending::Open, false)]);
    check(&format!("{opened} > R 1 far | CLOSED ESTABLISHED Reset"), &by(Side::Client));
    // Within the window, but not the next number: it is asked for again (RFC 5961 §3.2).
    check(&format!("{opened} < R 90 | ESTABLISHED CLOSED Reset"), &by(Side::Server));
    // Outside it: nobody's.
    check(&format!("{opened} < R 90000 | ESTABLISHED ESTABLISHED Reset"), &[(Ending::Open, false)]);
}

/// An end that has given up answers what comes too late (RFC 9293 §3.10.7.1), which tells that it had.
#[test]
fn too_late() {
    let states = |flows: &Flows| -> Vec<_> {
        let name = |state: Option<State>| state.map_or("?", State::name);
        flows.flows[0].segments.iter().map(|s| format!("{} {}", name(s.client), name(s.server))).collect()
    };
    let flows = check(
        "> S 0                   | SYN-SENT ?                Opens
         < SA 0 1 lost           | SYN-SENT SYN-RECEIVED     Answers
         < SA 0 1 @1             | ESTABLISHED SYN-RECEIVED  Answers again 1 1.00 Timeout
         > R 1 @1                | CLOSED CLOSED             Reset",
        &[(Ending::Reset { by: Side::Client }, true)],
    );
    let expected = ["SYN-SENT SYN-RECEIVED", "SYN-SENT SYN-RECEIVED", "CLOSED SYN-RECEIVED", "CLOSED CLOSED"];
    assert_eq!(states(&flows), expected);
    let opened = "> S 0              | SYN-SENT ?                Opens
         < SA 0 1                | ESTABLISHED SYN-RECEIVED  Answers
         > A 1 1                 | ESTABLISHED ESTABLISHED   Acknowledges\n";
    // It has closed, and takes nothing any more.
    let flows = check(
        &format!(
            "{opened} > FA 1 1 | FIN-WAIT-1 CLOSE-WAIT Closes
             < A 1 2 | FIN-WAIT-2 CLOSE-WAIT Acknowledges
             < PA 1 2 9 | FIN-WAIT-2 CLOSE-WAIT Data
             > R 2 | CLOSED CLOSED Reset"
        ),
        &[(Ending::Reset { by: Side::Client }, true)],
    );
    assert_eq!(states(&flows)[4..], ["FIN-WAIT-2 CLOSE-WAIT", "CLOSED CLOSE-WAIT", "CLOSED CLOSED"]);
    // An open end may break off of its own accord: nothing is known of before.
    let flows = check(
        &format!("{opened} < PA 1 1 9 | ESTABLISHED ESTABLISHED Data\n > R 1 | CLOSED CLOSED Reset"),
        &[(Ending::Reset { by: Side::Client }, true)],
    );
    assert_eq!(states(&flows)[3], "ESTABLISHED ESTABLISHED");
}

#[test]
fn closing_in_other_ways() {
    let opened = "> S 0              | SYN-SENT ?                Opens
         < SA 0 1                | ESTABLISHED SYN-RECEIVED  Answers
         > A 1 1                 | ESTABLISHED ESTABLISHED   Acknowledges\n";
    check(
        &format!(
            "{opened} > FA 1 1 | FIN-WAIT-1 CLOSE-WAIT Closes
             < FA 1 2 | TIME-WAIT LAST-ACK Closes
             > A 2 2 lost | TIME-WAIT LAST-ACK Acknowledges
             < FA 1 2 @0.2 | TIME-WAIT LAST-ACK Closes again 4 0.20 Timeout
             > A 2 2 @0.2 | TIME-WAIT CLOSED Acknowledges"
        ),
        &[(CLIENT_FIRST, true)],
    );
    // Both at once (RFC 9293 §3.6, figure 13).
    check(
        &format!(
            "{opened} > FA 1 1 lost | FIN-WAIT-1 ESTABLISHED Closes
             < FA 1 1 | CLOSING FIN-WAIT-1 Closes
             > FA 1 1 @0.3 | CLOSING CLOSING Closes again 3 0.30 Timeout
             > A 2 2 | CLOSING TIME-WAIT Acknowledges
             < A 2 2 | TIME-WAIT TIME-WAIT Acknowledges"
        ),
        &[(Ending::ClosedAtOnce, true)],
    );
    let flows = check(
        &format!(
            "{opened} > FA 1 1 9 | FIN-WAIT-1 CLOSE-WAIT Closes
             < A 1 11 | FIN-WAIT-2 CLOSE-WAIT Acknowledges
             < PA 1 11 700 | FIN-WAIT-2 CLOSE-WAIT Data
             > A 11 701 | FIN-WAIT-2 CLOSE-WAIT Acknowledges
             < FA 701 11 | TIME-WAIT LAST-ACK Closes"
        ),
        &[(Ending::Open, false)],
    );
    assert_eq!(flows.flows[0].half_closed(), Some((Side::Client, 700)));
    // The FIN overtakes bytes: it is not heard before they are.
    check(
        &format!(
            "{opened} < FA 11 1 | ESTABLISHED FIN-WAIT-1 Closes after-gap
             < PA 1 1 10 | CLOSE-WAIT FIN-WAIT-1 Data out-of-order"
        ),
        &[(Ending::Open, false)],
    );
}

#[test]
fn opened_by_both() {
    check(
        "> S 0 lost              | SYN-SENT ?                 Opens
         < S 0                   | SYN-RECEIVED SYN-SENT      Opens
         > SA 0 1                | SYN-RECEIVED ESTABLISHED   Answers again 0 0.00 Asked
         < A 1 1                 | ESTABLISHED ESTABLISHED    Acknowledges",
        &[(Ending::Open, false)],
    );
}

#[test]
fn retransmissions() {
    let opened = "> S 0              | SYN-SENT ?                Opens
         < SA 0 1                | ESTABLISHED SYN-RECEIVED  Answers
         > A 1 1                 | ESTABLISHED ESTABLISHED   Acknowledges\n";
    let e = "ESTABLISHED ESTABLISHED";
    let check = |script: &str| {
        check(&format!("{opened}{}", script.replace("| ", &format!("| {e} "))), &[(Ending::Open, false)])
    };
    check(
        "> PA 1 1 100 lost       | Data
         > PA 1 1 100 @0.21      | Data again 3 0.21 Timeout
         > PA 1 1 100 @0.62      | Data again 4 0.41 Timeout",
    );
    check(
        "> A 1 1 100 lost        | Data
         > A 101 1 100           | Data
         < A 1 1 sack=101-201    | DuplicateAck
         > A 1 1 100             | Data again 3 0.00 Fast
         < A 1 201               | Acknowledges",
    );
    // Without SACK it takes three; one alone tells nothing.
    check(
        "> A 1 1 100 lost        | Data
         > A 101 1 100           | Data
         < A 1 1                 | DuplicateAck
         > A 1 1 100             | Data again 3 0.00 Unknown
         < A 1 1                 | DuplicateAck
         < A 1 1                 | DuplicateAck
         > A 1 1 100             | Data again 6 0.00 Fast",
    );
    // Two segments repeated as one; and the first half of it not new.
    check(
        "> A 1 1 100             | Data
         > A 101 1 100           | Data
         > A 51 1 200 @0.3       | Data again 4 0.30 Timeout",
    );
    // A hole on this link: lost before it came here.
    check(
        "< A 1 1 10              | Data
         < A 21 1 10             | Data after-gap
         < A 11 1 10             | Data out-of-order",
    );
    // The capture lacks a frame.
    check("> A 1 701 | Acknowledges acks-unseen");
}

#[test]
fn windows_and_probes() {
    let opened = "> S 0              | SYN-SENT ?                Opens
         < SA 0 1                | ESTABLISHED SYN-RECEIVED  Answers
         > A 1 1                 | ESTABLISHED ESTABLISHED   Acknowledges\n";
    let e = "ESTABLISHED ESTABLISHED";
    let check = |script: &str| {
        check(&format!("{opened}{}", script.replace("| ", &format!("| {e} "))), &[(Ending::Open, false)])
    };
    check(
        "> A 1 1 100             | Data
         < A 1 101 win=0         | ZeroWindow
         > A 100 1               | WindowProbe
         < A 1 101 win=0         | ProbeAnswer
         > A 100 1 @1            | WindowProbe
         < A 1 101               | WindowUpdate
         > A 101 1 100           | Data",
    );
    check(
        "> A 1 1 100             | Data
         < A 1 101               | Acknowledges
         > A 100 1 @75           | KeepAlive
         < A 1 101 @75           | ProbeAnswer
         > A 100 1 1 @150        | KeepAlive
         < A 1 101 win=600       | WindowUpdate",
    );
}

#[test]
fn in_the_middle() {
    let flows = check(
        "> A 1000 2000           | ? ?                       Acknowledges
         < PA 2000 1000 10       | ? ?                       Data
         > PA 1000 2010 10       | ESTABLISHED ESTABLISHED   Data
         < FA 2010 1010          | CLOSE-WAIT FIN-WAIT-1     Closes
         > FA 1010 2011          | LAST-ACK TIME-WAIT        Closes
         < A 2011 1011           | CLOSED TIME-WAIT          Acknowledges",
        &[(Ending::Closed { first: Some(Side::Server) }, true)],
    );
    let flow = &flows.flows[0];
    assert_eq!((flow.begun, flow.segments[1].relative_sequence), (Begun::Middle, 1));
    assert_eq!((flow.segments[2].relative_acknowledgment, flow.segments[2].window), (Some(11), None));
    // Who closes: the other end may have closed before.
    check(
        "> FA 1000 2000          | ? ?                       Closes
         < A 2000 1001           | ? ?                       Acknowledges
         < PA 2000 1001 5        | FIN-WAIT-2 CLOSE-WAIT     Data",
        &[(Ending::Open, false)],
    );
    let flows = check(
        "< SA 0 1                | ? SYN-RECEIVED            Answers
         > A 1 1                 | ESTABLISHED ESTABLISHED   Acknowledges",
        &[(Ending::Open, false)],
    );
    let key = flows.flows[0].key;
    let client: SocketAddr = "10.0.0.1:40000".parse().unwrap();
    assert_eq!((flows.flows[0].begun, key.client), (Begun::Answer, client));
}

/// What this machine sends is not seen to arrive; the other end's answers tell.
#[test]
fn a_far_end() {
    check(
        "> S 0 far               | SYN-SENT ?                Opens
         < SA 0 1                | ESTABLISHED SYN-RECEIVED  Answers
         > A 1 1 far             | ESTABLISHED SYN-RECEIVED  Acknowledges
         > PA 1 1 10 far         | ESTABLISHED SYN-RECEIVED  Data
         < A 1 11                | ESTABLISHED ESTABLISHED   Acknowledges
         > FA 11 1 far           | FIN-WAIT-1 ESTABLISHED    Closes
         < FA 1 12               | TIME-WAIT LAST-ACK        Closes
         > A 12 2 far            | TIME-WAIT LAST-ACK        Acknowledges",
        &[(CLIENT_FIRST, true)],
    );
}

#[test]
fn ports_used_again() {
    let flows = check(
        "> S 0                   | SYN-SENT ?                Opens
         < RA 0 1                | CLOSED CLOSED             Reset
         > S 5000                | SYN-SENT ?                Opens
         > S 5000 @1             | SYN-SENT ?                Opens again 2 1.00 Timeout
         > S 9000 @2             | SYN-SENT ?                Opens",
        &[(Ending::Refused, true), (Ending::Open, false), (Ending::Open, false)],
    );
    assert!(!flows.flows[0].is_unanswered() && flows.flows[2].is_unanswered());
    assert!(flows.flows[1].is_superseded && !flows.flows[0].is_superseded);
}

#[test]
fn bounded() {
    let mut follower = Follower::new(Limits { flows: 2, segments: 3 });
    for port in 0..5 {
        let (_, mut decoded, _) = segment("> S 0");
        let Some(Transport::Tcp(tcp)) = &mut decoded.transport else { unreachable!() };
        tcp.source_port = 1000 + port;
        for _ in 0..2 {
            follower.see(0, 0, 0, &decoded, true);
        }
    }
    let flows = follower.into_flows();
    let noted: Vec<_> = flows.flows.iter().map(|flow| (flow.segments.len(), flow.unnoted)).collect();
    assert_eq!((noted, flows.unfollowed), (vec![(2, 0), (1, 1)], 6));
}

proptest::proptest! {
    /// Whatever comes: no panic.
    #[test]
    fn anything(
        segments in proptest::collection::vec(
            (proptest::bool::ANY, 0u8..64, proptest::num::u32::ANY, proptest::num::u32::ANY, 0usize..70_000, 0u8..3),
            0..60,
        )
    ) {
        let mut follower = Follower::new(Limits::default());
        for (index, (is_client, bits, sequence, acknowledgment, payload_len, arrival)) in segments.into_iter().enumerate() {
            let (_, mut decoded, _) = segment(if is_client { "> A 0" } else { "< A 0" });
            let Some(Transport::Tcp(tcp)) = &mut decoded.transport else { unreachable!() };
            let has = |bit: u8| bits >> bit & 1 == 1;
            tcp.flags = TcpFlags { syn: has(0), ack: has(1), fin: has(2), rst: has(3) && has(4), ..TcpFlags::default() };
            // Half of the numbers lie close together, so that they mean something.
            let near = |number: u32| if has(5) { number } else { number % 300 };
            (tcp.sequence, tcp.acknowledgment, tcp.payload_len) = (near(sequence), near(acknowledgment), payload_len % 400);
            tcp.options.window_scale = Some(acknowledgment as u8);
            let arrival = [Arrival::Yes, Arrival::No, Arrival::Unknown][usize::from(arrival)];
            follower.see(index, 0, index as i64, &decoded, arrival);
        }
        for flow in &follower.into_flows().flows {
            let _ = (flow.ending(), flow.half_closed(), flow.state(Side::Client));
        }
    }
}

/// A frame between the client and the server: which link, to whom it was passed, the packet's identification.
fn frame(link: usize, to: Option<&str>, flags: &str, numbers: (u32, u32), identification: u16) -> Frame {
    let is_client = !flags.starts_with("S.");
    let [from, dst] = if is_client { [1, 2] } else { [2, 1] };
    // Behind the router the time to live is one less.
    let ttl = if (link == 0) == is_client { 64 } else { 63 };
    let (source, destination) = if is_client { (40_000, 80) } else { (80, 40_000) };
    let mut builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([10, 0, from, 1], [10, 0, dst, 1], ttl)
        .tcp(source, destination, numbers.0, 500);
    if flags.contains('S') {
        builder = builder.syn();
    }
    if flags.contains('R') {
        builder = builder.rst();
    }
    if numbers.1 > 0 {
        builder = builder.ack(numbers.1);
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &[]).unwrap();
    bytes[18..20].copy_from_slice(&identification.to_be_bytes());
    let fate = match to {
        Some(to) => Fate::Passed { to: vec![to.to_owned()], flooded: false, altered: None },
        None => Fate::Dropped { why: "a fault".to_owned() },
    };
    let len = bytes.len() as u32;
    let bytes = journey::capture::Bytes(bytes);
    Frame { at_ns: 0, link, from: Some("x".to_owned()), fate, len, bytes, cut: None, unfilled_checksum: None }
}

/// Over a router: what becomes of a packet on the second link is told on the first.
#[test]
fn over_a_router() {
    let link = |name: &str, host: &str, address: &str| journey::capture::Link {
        name: name.to_owned(),
        kind: LinkKind::Segment,
        ports: vec![journey::capture::Port {
            host: host.to_owned(),
            interface: "eth0".to_owned(),
            mac: None,
            addresses: vec![address.to_owned()],
        }],
        learned_before: Vec::new(),
        learned_after: Vec::new(),
    };
    let links = || vec![link("clients", "you", "10.0.1.1/24"), link("servers", "server", "10.0.2.1/24")];
    let frames = vec![
        // Lost behind the router.
        frame(0, Some("router"), "S", (100, 0), 1),
        frame(1, None, "S", (100, 0), 1),
        // Lost within it, as far as anybody saw.
        frame(0, Some("router"), "S", (100, 0), 2),
        // Doubled by the first switch; the router forwards both.
        frame(0, Some("router"), "S", (100, 0), 3),
        frame(1, Some("server"), "S", (100, 0), 3),
        frame(1, Some("server"), "S", (100, 0), 3),
        frame(1, Some("router"), "S.", (700, 101), 4),
        frame(0, Some("you"), "S.", (700, 101), 4),
        // It went to a wrong port.
        frame(0, Some("resolver"), "S.", (700, 101), 5),
    ];
    let flows = Flows::follow(&Capture { links: links(), frames, ..Capture::default() });
    let found: Vec<_> = (0..9)
        .map(|frame| {
            let (_, segment) = flows.of_frame(frame).unwrap();
            (segment.arrival, matches!(segment.again, Some(Again::Copy { .. })), segment.server)
        })
        .collect();
    let (yes, no, unknown) = (Arrival::Yes, Arrival::No, Arrival::Unknown);
    let (listen, received) = (Some(State::Listen), Some(State::SynReceived));
    let expected = [
        (no, false, listen),
        (no, false, listen),
        (unknown, false, listen),
        (yes, false, received),
        (yes, false, received),
        (yes, true, received),
        (yes, false, received),
        (yes, false, received),
        (no, false, received),
    ];
    assert_eq!(found, expected);
    assert_eq!(flows.flows.len(), 2);

    // The first switch doubles the SYN, so the server answers twice, each with identification 0.
    let by_server = |frame: Frame| Frame { from: Some("server".to_owned()), ..frame };
    let frames = vec![
        frame(0, Some("router"), "S", (100, 0), 1),
        frame(1, Some("server"), "S", (100, 0), 1),
        frame(1, Some("server"), "S", (100, 0), 1),
        by_server(frame(1, Some("router"), "S.", (700, 101), 0)),
        by_server(frame(1, Some("router"), "S.", (700, 101), 0)),
        frame(0, Some("you"), "S.", (700, 101), 0),
        frame(0, Some("you"), "S.", (700, 101), 0),
        // Nothing tells resets from each other; as many came as were sent.
        frame(0, Some("router"), "R", (101, 0), 0),
        frame(1, Some("server"), "R", (101, 0), 0),
        frame(0, Some("router"), "R", (101, 0), 0),
        frame(1, Some("server"), "R", (101, 0), 0),
    ];
    let came_as = |frames: Vec<Frame>| -> (Flows, Vec<Option<usize>>) {
        let all = 0..frames.len();
        let flows = Flows::follow(&Capture { links: links(), frames, ..Capture::default() });
        let came_as = all.map(|frame| flows.came_as(frame)).collect();
        (flows, came_as)
    };
    let (flows, found) = came_as(frames.clone());
    assert_eq!(found, [None, Some(0), None, None, None, Some(3), Some(4), None, Some(7), None, Some(9)]);
    let again = |frame| flows.of_frame(frame).unwrap().1.again;
    let repeats = |frame: usize, of| match again(frame) {
        Some(Again::Retransmission { of: found, why, .. }) => found == Some(of) && why == Why::Asked,
        _ => false,
    };
    assert_eq!(again(2), Some(Again::Copy { of: 1 }));
    assert!(repeats(4, 3) && repeats(6, 5), "{:?} {:?}", again(4), again(6));
    assert_eq!(flows.of_frame(7).unwrap().1.server, Some(State::Closed));
    // Of three alike one did not come over: nobody knows which.
    let resets = [&frames[7], &frames[7], &frames[8]].map(Frame::clone).to_vec();
    assert_eq!(came_as(resets).1, [None, None, None]);
}
