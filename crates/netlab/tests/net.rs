//! A network of two segments and a router, with real sockets in it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use journey::capture::{Capture, Fate, Frame, Link, LinkKind};
use netlab::net::{Host, Interface, Limits, Net, Plan};
use packets::{
    decode::{Network, Transport, checksums::checksums, decode},
    flow::Flows,
};

/// Says to the test that it may have namespaces.
const ALONE: &str = "WIRE_TEST_ALONE";

/// Runs a test of this file in a process of its own that may have namespaces, as an ordinary user may: a process with
/// several threads, as a test has, cannot become one.
fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net"]).arg(program).args(["--exact", name, "--nocapture"]).env(ALONE, "1");
    let output = command.output().expect("`unshare` starts: it is in the package util-linux");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn host(name: &str, segment: usize, addresses: &[&str], gateways: &[&str]) -> Host {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let gateways = gateways.iter().map(|ip| ip.parse().unwrap()).collect();
    Host { name: name.to_owned(), interfaces: vec![Interface { segment, addresses }], gateways, forwards: false }
}

fn plan() -> Plan {
    let near = host("near", 0, &["10.9.1.10/24", "fd09::1:10/112"], &["10.9.1.1", "fd09::1:1"]);
    let beside = host("beside", 0, &["10.9.1.11/24"], &["10.9.1.1"]);
    let far = host("far", 1, &["10.9.2.10/24", "fd09::2:10/112"], &["10.9.2.1", "fd09::2:1"]);
    let mut router = host("router", 0, &["10.9.1.1/24", "fd09::1:1/112"], &[]);
    router.interfaces.extend(host("", 1, &["10.9.2.1/24", "fd09::2:1/112"], &[]).interfaces);
    router.forwards = true;
    Plan { segments: vec!["clients".to_owned(), "servers".to_owned()], hosts: vec![near, beside, far, router] }
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64
}

/// Sends a datagram there and back.
fn echo(net: &Net, to: &str) -> Duration {
    let to: SocketAddr = to.parse().unwrap();
    let any: SocketAddr = if to.is_ipv4() { "0.0.0.0:0".parse().unwrap() } else { "[::]:0".parse().unwrap() };
    let server = net.run("far", || UdpSocket::bind(to)).unwrap();
    let client = net.run("near", || UdpSocket::bind(any)).unwrap();
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
    let began = Instant::now();
    client.send_to(b"hello", to).unwrap();
    let mut buffer = [0; 16];
    let (length, peer) = server.recv_from(&mut buffer).unwrap();
    server.send_to(&buffer[..length], peer).unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap(), 5);
    began.elapsed()
}

/// A frame in words: where, who sent it, what it says, to whom it went.
fn tell(capture: &Capture) -> Vec<String> {
    let tell = |frame: &Frame| {
        let decoded = decode(LinkKind::Segment, &frame.bytes.0, frame.len as usize);
        let what = match (decoded.network, decoded.transport) {
            (Some(Network::Arp(arp)), _) if arp.operation == 1 => format!("who has {}", arp.target.1),
            (Some(Network::Arp(arp)), _) => format!("{} is {}", arp.sender.1, arp.sender.0),
            (Some(Network::Ip(ip)), Some(Transport::Icmp(icmp))) if icmp.neighbour.is_none() => {
                format!("{} > {} icmp {}", ip.source, ip.destination, icmp.kind)
            }
            (Some(Network::Ip(_)), Some(Transport::Icmp(_))) => "neighbour".to_owned(),
            (Some(Network::Ip(ip)), _) => format!("{} > {} ttl {}", ip.source, ip.destination, ip.ttl),
            (None, _) => "?".to_owned(),
        };
        let to = match &frame.fate {
            Fate::Passed { to, altered, .. } => {
                let altered = altered.as_ref().map_or_else(String::new, |altered| format!(", {altered}"));
                to.join(" ") + &altered
            }
            Fate::Dropped { why } => format!("lost: {why}"),
            Fate::Seen => "?".to_owned(),
        };
        format!("{} {}: {what} [{to}]", capture.links[frame.link].name, frame.from.as_deref().unwrap_or("?"))
    };
    // Groups are joined whenever the kernel thinks fit.
    let told = capture.frames.iter().map(tell).filter(|told| !told.contains("icmp 143"));
    told.collect()
}

/// A datagram there and back, recorded.
fn recorded(net: &Net, to: &str) -> (Vec<String>, Capture) {
    let begin = now_ns();
    let recording = net.record(Limits::default());
    echo(net, to);
    let capture = recording.end(begin);
    assert_eq!((capture.lost, &capture.cut), (0, &None));
    assert!(capture.frames.iter().all(|frame| (0..5_000_000_000).contains(&frame.at_ns)), "{:?}", capture.frames);
    (tell(&capture), capture)
}

#[needs::tools(unshare)]
#[test]
fn a_datagram_over_the_router() {
    alone("a_datagram_over_the_router", || {
        let net = Net::build(&plan()).unwrap();
        let (told, capture) = recorded(&net, "10.9.2.10:7");
        let expected = [
            "clients near: who has 10.9.1.1 [beside router]",
            "clients router: 10.9.1.1 is 02:00:0a:09:01:01 [near]",
            "clients near: 10.9.1.10 > 10.9.2.10 ttl 64 [router]",
            "servers router: who has 10.9.2.10 [far]",
            "servers far: 10.9.2.10 is 02:00:0a:09:02:0a [router]",
            "servers router: 10.9.1.10 > 10.9.2.10 ttl 63 [far]",
            "servers far: 10.9.2.10 > 10.9.1.10 ttl 64 [router]",
            "clients router: 10.9.2.10 > 10.9.1.10 ttl 63 [near]",
        ];
        assert_eq!(told, expected);
        // What was learned: by the switches where each host is, by the hosts which address belongs to whom.
        let learned = |link: &Link| link.learned_after.iter().map(|l| l.host.clone()).collect::<Vec<_>>().join(" ");
        assert_eq!(capture.links.iter().map(learned).collect::<Vec<_>>(), ["near router", "far router"]);
        let near = capture.kernels.iter().find(|kernel| kernel.host == "near").unwrap();
        assert!(near.neighbours_before.is_empty());
        let [router] = &near.neighbours_after[..] else { panic!("{near:?}") };
        assert_eq!(
            (router.ip.to_string().as_str(), router.mac.unwrap().to_string().as_str()),
            ("10.9.1.1", "02:00:0a:09:01:01")
        );
        // Every checksum is there, and right.
        for frame in &capture.frames {
            for sum in checksums(LinkKind::Segment, &frame.bytes.0, frame.len as usize) {
                assert!(sum.is_right(), "{sum:?}");
            }
        }
        // The second time nobody needs to ask.
        let (told, _) = recorded(&net, "10.9.2.10:7");
        assert!(told.len() == 4 && told.iter().all(|told| told.contains("ttl")), "{told:?}");
        let (told, _) = recorded(&net, "[fd09::2:10]:7");
        assert!(told.contains(&"servers router: fd09::1:10 > fd09::2:10 ttl 63 [far]".to_owned()), "{told:?}");
    });
}

#[needs::tools(unshare)]
#[test]
fn faults() {
    alone("faults", || {
        let net = Net::build(&plan()).unwrap();
        recorded(&net, "10.9.2.10:7");
        let with = |faults: &[&str]| net.set_faults(faults.iter().map(|fault| fault.parse().unwrap()));
        with(&["wire:delay=20ms,at=near"]);
        assert!(echo(&net, "10.9.2.10:7") >= Duration::from_millis(40));
        with(&["wire:duplicate,frames=udp,first=1"]);
        let (told, _) = recorded(&net, "10.9.2.10:7");
        assert_eq!(
            told[0],
            "clients near: 10.9.1.10 > 10.9.2.10 ttl 64 [router, sent on twice: wire:duplicate,frames=udp,first=1]"
        );
        // The router sends on both.
        assert_eq!(told.iter().filter(|told| told.starts_with("servers router: 10.9.1.10 >")).count(), 2, "{told:?}");

        // The kernel sends what was lost again, after a second: RFC 6298 §2.
        with(&["wire:loss,frames=syn,first=1"]);
        let server = net.run("far", || TcpListener::bind("10.9.2.10:80")).unwrap();
        let begin = now_ns();
        let mut recording = net.record(Limits::default());
        let began = Instant::now();
        let client = net.run("near", || TcpStream::connect("10.9.2.10:80")).unwrap();
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(1), "{took:?}");
        let (mut accepted, _) = server.accept().unwrap();
        drop(client);
        assert_eq!(accepted.read(&mut [0; 1]).unwrap(), 0);
        drop(accepted);
        let end = Instant::now() + Duration::from_secs(5);
        while !recording.is_over() && Instant::now() < end {
            std::thread::yield_now();
        }
        let capture = recording.end(begin);
        assert_eq!(capture.cut, None);
        assert!(tell(&capture)[0].ends_with("[lost: wire:loss,frames=syn,first=1]"), "{:?}", tell(&capture));
        let near = capture.kernels.iter().find(|kernel| kernel.host == "near").unwrap();
        assert!(near.counters.iter().any(|counter| counter.name == "TCPSynRetrans"), "{near:?}");
        assert!(near.sockets.iter().any(|socket| socket.state == "TIME-WAIT"), "{near:?}");
        let flows = Flows::follow(&capture);
        assert!(flows.flows.iter().all(packets::flow::Flow::is_over));
    });
}

#[needs::tools(unshare)]
#[test]
fn what_got_lost_on_its_way_in_was_never_heard() {
    alone("what_got_lost_on_its_way_in_was_never_heard", || {
        let net = Net::build(&plan()).unwrap();
        net.set_faults(["wire:cut-link,at=near".parse().unwrap()]);
        let begin = now_ns();
        let recording = net.record(Limits::default());
        // It asks for the router's address, in vain, and the kernel says so in its own time.
        net.run("near", || UdpSocket::bind("0.0.0.0:0")?.send_to(b"hello", "10.9.2.10:7")).unwrap();
        net.run("beside", || UdpSocket::bind("0.0.0.0:0")?.send_to(b"hello", "10.9.2.10:7")).unwrap();
        let mut capture = recording.end(begin);
        let end = Instant::now() + Duration::from_secs(5);
        let heard = |capture: &Capture, host: &str| capture.links[0].learned_after.iter().any(|l| l.host == host);
        while !heard(&capture, "beside") && Instant::now() < end {
            capture = net.record(Limits::default()).end(begin);
        }
        assert!(heard(&capture, "beside") && !heard(&capture, "near"), "{:?}", capture.links[0].learned_after);
    });
}

#[needs::tools(unshare)]
#[test]
fn an_open_connection_is_cut_and_a_full_record_counts() {
    alone("an_open_connection_is_cut_and_a_full_record_counts", || {
        let net = Net::build(&plan()).unwrap();
        let server = net.run("far", || TcpListener::bind("10.9.2.10:80")).unwrap();
        let recording = net.record(Limits::default());
        let mut client = net.run("near", || TcpStream::connect("10.9.2.10:80")).unwrap();
        let capture = recording.end(now_ns());
        assert!(capture.cut.is_some());

        let recording = net.record(Limits { bytes: 1000 });
        let (mut accepted, _) = server.accept().unwrap();
        client.write_all(&[7; 20_000]).unwrap();
        accepted.read_exact(&mut [0; 20_000]).unwrap();
        drop((client, accepted));
        let capture = recording.end(now_ns());
        assert!(capture.lost > 5 && capture.frames.len() < 10, "{} {}", capture.lost, capture.frames.len());
    });
}

#[needs::tools(unshare)]
#[test]
fn hosts_are_alone_and_vanish() {
    alone("hosts_are_alone_and_vanish", || {
        let net = Net::build(&plan()).unwrap();
        // No way leads out, and this process's own network is none of theirs.
        let out = net.run("near", || UdpSocket::bind("0.0.0.0:0")?.connect("192.0.2.1:9")).map(|()| "a way");
        // The router takes what it has no way for; it says so to whoever sends.
        assert!(out.is_ok());
        let taken = net.run("router", || UdpSocket::bind("0.0.0.0:0")?.connect("192.0.2.1:9"));
        assert_eq!(taken.unwrap_err().kind(), std::io::ErrorKind::NetworkUnreachable);
        let own = netlab::kernel::interfaces().unwrap();
        assert_eq!(own.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>(), ["lo"]);
        assert!(net.run("nobody", || Ok(())).is_err());
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        drop(net);
        assert_eq!(threads(), before - 1);
    });
}
