//! A network of two segments and a router, with real sockets in it.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use journey::capture::{Capture, Fate, LinkKind};
use wire::{
    decode::{Network, decode},
    net::{Host, Interface, Limits, Net, Plan},
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

fn tell(capture: &Capture) -> Vec<String> {
    let tell = |frame: &journey::capture::Frame| {
        let decoded = decode(LinkKind::Segment, &frame.bytes.0, frame.len as usize);
        let what = match decoded.network {
            Some(Network::Arp(arp)) if arp.operation == 1 => format!("who has {}", arp.target.1),
            Some(Network::Arp(arp)) => format!("{} is here", arp.sender.1),
            Some(Network::Ip(ip)) => format!("{} > {} ttl {}", ip.source, ip.destination, ip.ttl),
            None => "?".to_owned(),
        };
        let to = match &frame.fate {
            Fate::Passed { to, .. } => to.join(" "),
            Fate::Dropped { why } => format!("dropped: {why}"),
            Fate::Seen => "?".to_owned(),
        };
        format!("{} {}: {what} [{to}]", capture.links[frame.link].name, frame.from.as_deref().unwrap_or("?"))
    };
    capture.frames.iter().map(tell).collect()
}

#[test]
fn a_datagram_over_the_router() {
    alone("a_datagram_over_the_router", || {
        let began = Instant::now();
        let net = Net::build(&plan()).unwrap();
        println!("ready in {:?}", began.elapsed());
        let begin = now_ns();
        let recording = net.record(Limits::default());
        println!("first echo {:?}", echo(&net, "10.9.2.10:7"));
        println!("second echo {:?}", echo(&net, "10.9.2.10:7"));
        let v6 = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| echo(&net, "[fd09::2:10]:7")));
        println!("v6 echo {v6:?}");
        let capture = recording.end(begin, Instant::now());
        let told = tell(&capture);
        println!("{}", told.join("\n"));
        println!("{:?}", capture.kernels);
    });
}
