use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    time::Duration,
};

use etherparse::PacketBuilder;

use super::*;
use crate::testing;
use packets::{
    decode::Transport,
    flow::{Ending, Flows, Side},
};

const LIMIT: usize = 1 << 24;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn conversation(protocol: u8, local: SocketAddr, remote: SocketAddr) -> Filter {
    Filter { endpoints: vec![Endpoint { protocol, local: Some(local), remote }], ..Filter::default() }
}

/// A connection over loopback, closed by the client first; who it was.
fn converse(listener: &TcpListener) -> (SocketAddr, SocketAddr) {
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, from) = listener.accept().unwrap();
    client.write_all(b"a question").unwrap();
    server.read_exact(&mut [0; 10]).unwrap();
    drop(client);
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
    (from, listener.local_addr().unwrap())
}

#[needs::tools(unshare)]
#[test]
fn a_connection_over_loopback() {
    testing::alone("tap::tests::a_connection_over_loopback", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tap = Tap::start(LIMIT, &[]).unwrap();
        let begin = Moment::now();
        // Somebody else's, before and after.
        converse(&listener);
        let (client, server) = converse(&listener);
        converse(&listener);
        let capture = tap.stop(&conversation(6, client, server), begin, soon());

        assert_eq!((capture.lost, &capture.cut), (0, &None));
        let [link] = &capture.links[..] else { panic!("{:?}", capture.links) };
        assert_eq!((link.name.as_str(), link.kind, link.ports[0].mac), ("lo", LinkKind::Loopback, None));
        assert!(link.ports[0].addresses.contains(&"127.0.0.1/8".to_owned()), "{link:?}");
        // Every frame once, and nobody else's.
        let flows = Flows::follow(&capture);
        let [flow] = &flows.flows[..] else { panic!("{} connections", flows.flows.len()) };
        assert_eq!((flow.key.client, flow.key.server), (client, server));
        assert_eq!(
            (flow.segments.len(), flow.ending()),
            (capture.frames.len(), Ending::Closed { first: Some(Side::Client) })
        );
        assert!(flow.segments.iter().all(|segment| segment.again.is_none()), "{flow:?}");
        assert!(capture.frames.iter().all(|frame| frame.from.as_deref() == Some("you")));
        assert!(capture.frames.iter().all(|frame| frame.unfilled_checksum == Some(true)));
        let times: Vec<_> = capture.frames.iter().map(|frame| frame.at_ns).collect();
        let until = begin.until(Instant::now());
        assert!(times.is_sorted() && times[0] > 0 && times.last().is_some_and(|&last| last < until), "{times:?}");
    });
}

#[needs::tools(unshare)]
#[test]
fn the_deadline() {
    testing::alone("tap::tests::the_deadline", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tap = Tap::start(LIMIT, &[]).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let capture = tap.stop(&conversation(6, local, remote), Moment::now(), Instant::now());
        assert_eq!(capture.frames.len(), 3);
        assert!(capture.frames.iter().all(|frame| frame.at_ns < 0), "before the begin");
        assert!(capture.cut.is_some_and(|cut| cut.contains("still open")));
    });
}

/// The end is waited for: it comes while the capture is being stopped.
#[needs::tools(unshare)]
#[test]
fn the_end_is_waited_for() {
    testing::alone("tap::tests::the_end_is_waited_for", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tap = Tap::start(LIMIT, &[]).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let (server, _) = listener.accept().unwrap();
        let capture = thread::scope(|scope| {
            let filter = conversation(6, local, remote);
            let stopped = scope.spawn(move || tap.stop(&filter, Moment::now(), soon()));
            drop(client);
            drop(server);
            stopped.join().unwrap()
        });
        assert_eq!(capture.cut, None);
        assert!(Flows::follow(&capture).flows[0].is_over());
    });
}

#[needs::tools(unshare)]
#[test]
fn refused_and_unreachable() {
    testing::alone("tap::tests::refused_and_unreachable", || {
        let tap = Tap::start(LIMIT, &[]).unwrap();
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Nobody is at these ports.
        let nobody = |port| SocketAddr::from(([127, 0, 0, 1], port));
        here.send_to(b"anybody?", nobody(9)).unwrap();
        here.send_to(b"not ours", nobody(10)).unwrap();
        let capture = tap.stop(&conversation(17, here.local_addr().unwrap(), nobody(9)), Moment::now(), soon());
        // The datagram, and the error that quotes it.
        let kinds: Vec<_> = capture.frames.iter().map(|it| decode(&capture, it).transport).collect();
        assert!(matches!(&kinds[..], [Some(Transport::Udp(_)), Some(Transport::Icmp(_))]), "{kinds:?}");

        let tap = Tap::start(LIMIT, &[]).unwrap();
        TcpStream::connect(nobody(9)).unwrap_err();
        let ours =
            Filter { endpoints: vec![Endpoint { protocol: 6, local: None, remote: nobody(9) }], ..Filter::default() };
        let capture = tap.stop(&ours, Moment::now(), soon());
        assert_eq!((Flows::follow(&capture).flows[0].ending(), capture.cut), (Ending::Refused, None));
    });
}

#[needs::tools(unshare)]
#[test]
fn no_room() {
    testing::alone("tap::tests::no_room", || {
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = here.local_addr().unwrap();
        let tap = Tap::start(3 * (42 + 100 + OVERHEAD), &[]).unwrap();
        for _ in 0..5 {
            here.send_to(&[7; 100], address).unwrap();
        }
        let capture = tap.stop(&conversation(17, address, address), Moment::now(), soon());
        assert_eq!((capture.frames.len(), capture.lost), (3, 2));
    });
}

/// A connection that was there before takes no room from the visit's.
#[needs::tools(unshare)]
#[test]
fn others_take_no_room() {
    testing::alone("tap::tests::others_take_no_room", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut others = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        let tap = Tap::start(20 * (66 + OVERHEAD), &kernel::sockets().unwrap()).unwrap();
        for _ in 0..100 {
            others.write_all(&[7; 1000]).unwrap();
            theirs.read_exact(&mut [0; 1000]).unwrap();
        }
        let (client, server) = converse(&listener);
        let capture = tap.stop(&conversation(6, client, server), Moment::now(), soon());
        assert_eq!((capture.lost, capture.cut.as_deref()), (0, None));
        assert_eq!(Flows::follow(&capture).flows[0].ending(), Ending::Closed { first: Some(Side::Client) });
    });
}

/// Where there is always one more frame, it ends all the same.
#[needs::tools(unshare)]
#[test]
fn a_flood() {
    testing::alone("tap::tests::a_flood", || {
        let bytes = udp(([10, 0, 0, 1], 1), ([10, 0, 0, 2], 2), 64);
        let flood = |buffer: &mut [u8]| {
            let kept = bytes.len().min(buffer.len());
            buffer[..kept].copy_from_slice(&bytes[..kept]);
            Ok(received(&bytes))
        };
        stamped(flood, Instant::now() + Duration::from_millis(1));
        let mut drain = drain();
        drain.drain(|_, buffer| flood(buffer));
        assert_eq!(drain.taken.len() + usize::try_from(drain.lost).unwrap(), AT_A_TIME);
    });
}

/// Without the right to, the kernel's word is told, and what helps.
#[needs::tools(unshare)]
#[test]
fn an_ordinary_user() {
    const ORDINARY: &str = "WIRE_TEST_ORDINARY";
    if std::env::var_os(ORDINARY).is_some() {
        let refused = Tap::start(LIMIT, &[]).unwrap_err();
        assert_eq!((refused.step, refused.error.raw_os_error()), ("opening a packet socket", Some(libc::EPERM)));
        let captured = journey::capture::Captured::from(refused);
        let journey::capture::Captured::NotObservable { why, how } = captured else { panic!("{captured:?}") };
        assert_eq!(why, "opening a packet socket was refused by the kernel: Operation not permitted (EPERM)");
        let how = how.unwrap();
        assert!(["root", "setcap cap_net_raw+ep", "the lab"].iter().all(|way| how.contains(way)), "{how}");
        return;
    }
    // A user namespace without a mapped user has no rights in the network that it came from.
    let output = Command::new("unshare")
        .arg("--user")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "tap::tests::an_ordinary_user", "--nocapture"])
        .env(ORDINARY, "1")
        .output()
        .expect("`unshare` starts: it is in the package util-linux");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

fn decode(capture: &Capture, frame: &Frame) -> packets::decode::Decoded {
    packets::decode::decode(capture.links[frame.link].kind, &frame.bytes.0, frame.len as usize)
}

const ETHERNET: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

fn taken(ifindex: u32, bytes: Vec<u8>) -> Taken {
    let len = bytes.len() as u32;
    Taken { at_ns: 0, ifindex, kind: LinkKind::Ethernet, is_outgoing: false, len, bytes, is_unfilled: false }
}

fn udp(source: ([u8; 4], u16), destination: ([u8; 4], u16), ttl: u8) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(ETHERNET[0], ETHERNET[1]).ipv4(source.0, destination.0, ttl);
    let mut bytes = Vec::new();
    builder.udp(source.1, destination.1).write(&mut bytes, b"a question").unwrap();
    bytes
}

fn arp(sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let head = [&ETHERNET[1][..], &ETHERNET[0], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &ETHERNET[0]].concat();
    [&head[..], &sender, &[0; 6], &target].concat()
}

/// A neighbour solicitation (135) or advertisement (136).
fn ndp(kind: u8, source: &str, destination: &str, about: &str) -> Vec<u8> {
    let octets = |address: &str| address.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2(ETHERNET[0], ETHERNET[1]).ipv6(octets(source), octets(destination), 255);
    let message = etherparse::Icmpv6Type::Unknown { type_u8: kind, code_u8: 0, bytes5to8: [0; 4] };
    builder.icmpv6(message).write(&mut bytes, &octets(about)).unwrap();
    bytes
}

#[test]
fn whose_frames() {
    const YOU: [u8; 4] = [10, 0, 0, 1];
    const THEM: [u8; 4] = [192, 0, 2, 7];
    const ROUTER: [u8; 4] = [10, 0, 0, 254];
    let own: Vec<IpAddr> = vec![YOU.into(), "fe80::1".parse().unwrap()];
    let filter = Filter {
        endpoints: vec![Endpoint { protocol: 17, local: Some((YOU, 5000).into()), remote: (THEM, 53).into() }],
        neighbours: vec![ROUTER.into(), "fe80::fe".parse().unwrap(), "fd00::fe".parse().unwrap()],
        interfaces: vec![4, 3],
    };
    let check = |what: &str, frames: &[Taken], expected: &[bool]| {
        assert_eq!(filter.choose(frames, &own), expected, "{what}");
    };
    let one = |what: &str, bytes: Vec<u8>, expected: bool| check(what, &[taken(3, bytes)], &[expected]);
    one("a question", udp((YOU, 5000), (THEM, 53), 64), true);
    one("its answer", udp((THEM, 53), (YOU, 5000), 64), true);
    one("of another program", udp((YOU, 5001), (THEM, 53), 64), false);
    one("to another server", udp((YOU, 5000), ([192, 0, 2, 8], 53), 64), false);
    one("of another host", udp(([10, 0, 0, 2], 5000), (THEM, 53), 64), false);
    one("who has the router's", arp(YOU, ROUTER), true);
    one("the router says", arp(ROUTER, YOU), true);
    one("the router says to all", arp(ROUTER, ROUTER), true);
    one("another host asks for the router's", arp([10, 0, 0, 2], ROUTER), false);
    one("who has another's", arp(YOU, [10, 0, 0, 3]), false);
    one("NDP: who has the router's", ndp(135, "fe80::1", "ff02::1:ff00:fe", "fd00::fe"), true);
    one("NDP: the router says", ndp(136, "fe80::fe", "fe80::1", "fe80::fe"), true);
    one("NDP: the router says, from another address", ndp(136, "fe80::aa", "fe80::1", "fd00::fe"), true);
    one("NDP: another host asks", ndp(135, "fe80::2", "ff02::1:ff00:fe", "fd00::fe"), false);
    one("nothing known", vec![0; 60], false);

    // The same packet on a bridge and its port, behind a router, and one that is on neither of the route's interfaces.
    let question = |ifindex, ttl| taken(ifindex, udp((YOU, 5000), (THEM, 53), ttl));
    check("on three", &[question(9, 64), question(3, 64), question(4, 63)], &[false, false, true]);
    check("on others", &[question(9, 64), question(8, 64), question(9, 64)], &[true, false, true]);

    // The second fragment tells no ports.
    let fragment = |id: u8, place: [u8; 2]| {
        let mut bytes = udp((YOU, 5000), (THEM, 53), 64);
        bytes[19] = id;
        bytes[20..22].copy_from_slice(&place);
        taken(3, bytes)
    };
    let (first, second) = ([0x20, 0], [0, 2]);
    check("fragments", &[fragment(7, second), fragment(7, first), fragment(8, second)], &[true, true, false]);
}

#[test]
fn kinds() {
    let check = |hatype: u16, protocol: u16, first: u8, expected: Option<LinkKind>| {
        assert_eq!(filter::kind(hatype, protocol, &[first, 0]), expected);
    };
    check(1, 0x0800, 2, Some(LinkKind::Ethernet));
    check(772, 0x0800, 0, Some(LinkKind::Loopback));
    check(0xfffe, 0x0800, 0x45, Some(LinkKind::Ip));
    check(0xfffe, 0x86dd, 0x60, Some(LinkKind::Ip));
    check(0xfffe, 0x86dd, 0x45, None);
    check(801, 0x0800, 0x08, None);
}

fn drain() -> Drain {
    Drain {
        socket: PacketSocket::open().unwrap(),
        begun: Moment::now(),
        step_ns: 0,
        taken: Vec::new(),
        bytes: 0,
        limit: LIMIT,
        others: Others::default(),
        lost: 0,
        failed: None,
    }
}

fn received(bytes: &[u8]) -> Received {
    Received {
        len: bytes.len(),
        kept: bytes.len(),
        ifindex: 3,
        at_ns: 0,
        kind: PacketKind::Outgoing,
        hatype: 1,
        protocol: 0x0800,
        vlan: None,
        vlan_protocol: 0,
        checksum_unfilled: false,
    }
}

/// A VLAN tag is back where it was on the wire, and a frame's own interface is told.
#[needs::tools(unshare)]
#[test]
fn tags() {
    testing::alone("tap::tests::tags", || {
        let mut drain = drain();
        let bytes = udp(([10, 0, 0, 1], 1), ([10, 0, 0, 2], 2), 64);
        let at_ns = drain.begun.realtime_ns + 7;
        let received = Received { at_ns, vlan: Some(0x2007), vlan_protocol: 0x88a8, ..received(&bytes) };
        drain.take(&received, &bytes);
        let taken = &drain.taken[0];
        assert_eq!((taken.at_ns, taken.len as usize, taken.bytes.len()), (7, bytes.len() + 4, bytes.len() + 4));
        assert_eq!(&taken.bytes[12..18], [0x88, 0xa8, 0x20, 0x07, 8, 0]);
        assert!(matches!(taken.decoded().transport, Some(Transport::Udp(_))));
    });
}
