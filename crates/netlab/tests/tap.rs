//! Capture at a host, beside what the network itself records.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use journey::capture::{Fate, LinkKind};
use netlab::{
    net::{Host, Interface, Limits, Net, Plan},
    tap::{Endpoint, Filter, Moment, Tap},
};
use packets::{
    decode::{Network, decode},
    flow::{Ending, Flows, Side, State},
    pcapng,
};

/// Says to the test that it may have namespaces.
const ALONE: &str = "WIRE_TEST_ALONE";

fn host(name: &str, addresses: &[(usize, &str)], gateway: &[&str]) -> Host {
    let interface =
        |&(segment, address): &(usize, &str)| Interface { segment, addresses: vec![address.parse().unwrap()] };
    Host {
        name: name.to_owned(),
        interfaces: addresses.iter().map(interface).collect(),
        gateways: gateway.iter().map(|ip| ip.parse().unwrap()).collect(),
        forwards: gateway.is_empty(),
    }
}

fn converse(net: &Net, to: SocketAddr) -> io::Result<SocketAddr> {
    let listener = net.run("far", || TcpListener::bind(to))?;
    let mut client = net.run("near", || TcpStream::connect(to))?;
    let (mut server, from) = listener.accept()?;
    client.write_all(b"a question")?;
    server.read_exact(&mut [0; 10])?;
    server.write_all(b"an answer")?;
    client.read_exact(&mut [0; 9])?;
    drop(client);
    assert_eq!(server.read(&mut [0])?, 0);
    Ok(from)
}

#[needs::tools(tshark, unshare)]
#[test]
fn at_a_host_as_on_its_segment() {
    if std::env::var_os(ALONE).is_none() {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net"]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "at_a_host_as_on_its_segment", "--nocapture"]).env(ALONE, "1");
        let output = command.output().expect("`unshare` starts: it is in the package util-linux");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let hosts = vec![
        host("near", &[(0, "10.9.1.10/24")], &["10.9.1.1"]),
        host("far", &[(1, "10.9.2.10/24")], &["10.9.2.1"]),
        host("router", &[(0, "10.9.1.1/24"), (1, "10.9.2.1/24")], &[]),
    ];
    let net = Net::build(&Plan { segments: vec!["clients".to_owned(), "servers".to_owned()], hosts }).unwrap();
    let latest = || Instant::now() + Duration::from_secs(5);
    let mut recording = net.record(Limits::default());
    let tap = net.run("near", || Tap::start(1 << 24, &[]).map_err(io::Error::other)).unwrap();
    let begin = Moment::now();
    let remote = "10.9.2.10:80".parse().unwrap();
    let local = converse(&net, remote).unwrap();
    converse(&net, "10.9.2.10:81".parse().unwrap()).unwrap();
    let ours = Filter {
        endpoints: vec![Endpoint { protocol: 6, local: Some(local), remote }],
        neighbours: vec!["10.9.1.1".parse().unwrap()],
        interfaces: Vec::new(),
    };
    let capture = net.run("near", || Ok(tap.stop(&ours, begin, latest()))).unwrap();
    let end = latest();
    while !recording.is_over() && Instant::now() < end {
        std::thread::yield_now();
    }
    let recorded = recording.end(begin.realtime_ns);

    assert_eq!((capture.lost, &capture.cut), (0, &None));
    let [link] = &capture.links[..] else { panic!("{:?}", capture.links) };
    let port = &link.ports[0];
    assert_eq!((link.kind, port.host.as_str(), port.interface == link.name), (LinkKind::Ethernet, "you", true));
    assert_eq!((&port.addresses[..], port.mac.is_some()), (&["10.9.1.10/24".to_owned()][..], true));

    // Every frame of the connection, and who the router is, byte for byte as its switch saw them; and no other.
    let about = |bytes: &[u8]| match decode(LinkKind::Ethernet, bytes, bytes.len()) {
        decoded if matches!(decoded.network, Some(Network::Arp(_))) => true,
        decoded => match decoded.transport {
            Some(packets::decode::Transport::Tcp(tcp)) => tcp.source_port == 80 || tcp.destination_port == 80,
            _ => false,
        },
    };
    let on_segment = recorded.frames.iter().filter(|frame| frame.link == 0 && about(&frame.bytes.0));
    let mut on_segment: Vec<_> =
        on_segment.map(|frame| (&frame.bytes, frame.from.as_deref() == Some("near"))).collect();
    let mut here: Vec<_> =
        capture.frames.iter().map(|frame| (&frame.bytes, frame.from.as_deref() == Some("you"))).collect();
    on_segment.sort_by_key(|(bytes, _)| bytes.0.clone());
    here.sort_by_key(|(bytes, _)| bytes.0.clone());
    assert_eq!(here, on_segment);
    assert!(capture.frames.iter().all(|frame| frame.fate == Fate::Seen && frame.unfilled_checksum == Some(false)));
    assert!(capture.frames.iter().all(|frame| frame.at_ns > 0), "{:?}", capture.frames);

    // Nobody here sees what arrives at the other end; its last word is not heard of.
    let flows = Flows::follow(&capture);
    let [flow] = &flows.flows[..] else { panic!("{} connections", flows.flows.len()) };
    assert_eq!(flow.ending(), Ending::Closed { first: Some(Side::Client) });
    assert_eq!((flow.state(Side::Client), flow.state(Side::Server)), (Some(State::TimeWait), Some(State::LastAck)));
    // The network knows.
    let flows = Flows::follow(&recorded);
    let ends: Vec<_> = flows.flows.iter().map(|flow| (flow.state(Side::Client), flow.state(Side::Server))).collect();
    assert_eq!(ends, [(Some(State::TimeWait), Some(State::Closed)); 4]);

    // Wireshark has nothing to complain of, at the host and on each segment.
    for (name, file) in [capture, recorded].iter().flat_map(|capture| pcapng::files(capture, pcapng::About::default()))
    {
        assert_eq!(
            wireshark(&file, "_ws.malformed || tcp.analysis.flags || _ws.expert.severity >= 6291456"),
            "",
            "{name}"
        );
        let right = wireshark(&file, "tcp.checksum.status == \"Good\" && ip.checksum.status == \"Good\"");
        assert!(right.lines().count() > 0 && right == wireshark(&file, "tcp"), "{name}: {right}");
    }
}

/// The frames that Wireshark finds by that filter, a line each.
fn wireshark(file: &[u8], filter: &str) -> String {
    let mut at = tempfile::NamedTempFile::new().unwrap();
    at.write_all(file).unwrap();
    let mut command = Command::new("tshark");
    command.args(["-n", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", filter, "-r"]);
    let output = command.arg(at.path()).output().expect("tshark is needed: apt-get install tshark");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
