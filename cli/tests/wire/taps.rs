//! On interfaces: in a lab that runs elsewhere, on loopback, and where the kernel refuses it.

use std::{fs, net::UdpSocket, path::Path, thread};

use journey::{
    Journey,
    capture::{Captured, LinkKind},
};
use packets::{
    decode::{Transport, decode},
    flow::{Ending, Flows, Side},
};
use serde_json::Value;

use crate::{
    peer::{ClosedPort, End, Server},
    user::{User, count, frames, is_cut},
};

/// Those that capture in a lab's namespace.
pub(crate) const INSIDE: [(&str, fn()); 1] = [("taps::in_a_lab_with_a_network_of_its_own", in_a_lab)];
/// Those that capture on loopback, and have to be alone there.
pub(crate) const ALONE: [(&str, fn()); 4] = [
    ("taps::a_connection", a_connection),
    ("taps::nothing_listens", nothing_listens),
    ("taps::datagrams", datagrams),
    ("taps::a_lab_on_loopback", a_lab_on_loopback),
];
/// Those that must not capture.
pub(crate) const REFUSED: [(&str, fn()); 1] = [("taps::refused", refused)];

/// Checks links, and connections by how they ended. Where they had no time to, they are open at the worst; false then.
fn check_seen(journey: &Journey, link: (&str, LinkKind), expected: Ending) -> bool {
    let capture = frames(journey);
    let is_whole = !is_cut(capture);
    let links: Vec<_> = capture.links.iter().map(|link| (link.name.as_str(), link.kind)).collect();
    let endings: Vec<_> = Flows::follow(capture).flows.iter().map(packets::flow::Flow::ending).collect();
    let is_expected = |ending: &Ending| *ending == expected || !is_whole && *ending == Ending::Open;
    assert!(links == [link] && endings.len() == 1 && endings.iter().all(is_expected), "{links:?} {endings:?}");
    is_whole
}

const LOOPBACK: (&str, LinkKind) = ("lo", LinkKind::Loopback);
const CLOSED: Ending = Ending::Closed { first: Some(Side::Client) };

fn in_a_lab() {
    let user = User::new();
    let lab = user.serve(&["--wire"]);
    let env = [("VISIT_WORLD", &*lab.book)];
    let (code, journey) = user.visit(&env, &["--packets", "http://www.example.local/"]);
    assert_eq!(code, 0);
    let is_whole = check_seen(&journey, ("eth0", LinkKind::Ethernet), CLOSED);
    let capture = frames(&journey);
    // The first packet waited for the resolver's address: ARP is there too, and all within the visit.
    let is_arp = |bytes: &[u8]| bytes[12..14] == [8, 6];
    assert!(capture.frames.iter().any(|frame| is_arp(&frame.bytes.0)), "no ARP");
    assert!(capture.frames.iter().all(|frame| frame.at_ns >= 0 && frame.unfilled_checksum == Some(false)));
    let [you] = &capture.kernels[..] else { panic!("{:?}", capture.kernels) };
    let ips = |neighbours: &[journey::capture::Neighbour]| -> Vec<String> {
        neighbours.iter().map(|neighbour| neighbour.ip.to_string()).collect()
    };
    assert_eq!((you.host.as_str(), ips(&you.neighbours_before)), ("you", Vec::new()));
    // The resolver, and the router to the server.
    assert_eq!(ips(&you.neighbours_after), ["10.78.1.1", "10.78.1.53"]);
    let states: Vec<_> = you.sockets.iter().map(|socket| socket.state.as_str()).collect();
    assert!(states == ["TIME-WAIT"] || !is_whole, "{states:?}");

    // Over TLS, and to a resolver that is asked over TLS; of several addresses reqwest tells one.
    let ways: [&[&str]; 3] = [
        &["https://www.example.local/"],
        &["--resolver", "tls://10.78.1.53", "http://www.example.local/"],
        &["--engine", "reqwest", "http://www.example.local/"],
    ];
    for more in ways {
        let (code, journey) = user.visit(&env, &[&["--packets", "--pcap", "a.pcapng"], more].concat());
        is_cut(frames(&journey));
        let connections = Flows::follow(frames(&journey)).flows.len();
        assert!(code == 0 && connections > 0, "{more:?}: {code} {connections}");
        assert_eq!(count(&user.path("a.pcapng"), "_ws.malformed || tcp.checksum.status == \"Bad\""), 0, "{more:?}");
    }
}

fn a_connection() {
    let user = User::new();
    let answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: id=hunter2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    let server = Server::start(answer.to_vec(), End::WhenPeerCloses);
    let check = |options: &[&str], is_kept: bool| {
        let (code, journey) = user.visit(&[], &[options, &[&server.url("/")]].concat());
        assert_eq!(code, 0);
        let is_whole = check_seen(&journey, LOOPBACK, CLOSED);
        let held =
            frames(&journey).frames.iter().any(|frame| frame.bytes.0.windows(7).any(|seven| seven == b"hunter2"));
        assert_eq!(held, is_kept, "{options:?}");
        let sockets: Vec<_> = frames(&journey).kernels[0].sockets.iter().map(|it| it.state.clone()).collect();
        assert!(sockets == ["TIME-WAIT"] || !is_whole, "{options:?}: {sockets:?}");
    };
    check(&["--packets"], false);
    check(&["--layers", "osi", "--show-secrets"], true);
    check(&["--pcap", "a.pcapng", "--show-secrets"], true);
    assert_eq!(count(&user.path("a.pcapng"), "http.set_cookie"), 1);
    // Nobody asked, and nobody asks for those of a series.
    let (_, journey) = user.visit(&[], &[&server.url("/")]);
    let why = "nobody asked for frames".to_owned();
    assert_eq!(journey.capture, Captured::NotObservable { why, how: Some("--packets".to_owned()) });
    let series = user.run(&[], &["--json", "-n", "2", &server.url("/")]);
    let series: Value = serde_json::from_slice(&series.stdout).unwrap();
    assert_eq!(series["journeys"][0]["capture"]["how"], "without -n");
}

fn nothing_listens() {
    let user = User::new();
    let (code, journey) = user.visit(&[], &["--packets", &ClosedPort::new().url()]);
    assert_eq!(code, 7);
    check_seen(&journey, LOOPBACK, Ending::Refused);
    // Nothing was sent, and nothing was seen.
    let (_, journey) = user.visit(&[], &["--packets", "gopher://127.0.0.1/"]);
    assert_eq!((frames(&journey).frames.len(), frames(&journey).links.len()), (0, 0));
}

fn datagrams() {
    let user = User::new();
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", echo.local_addr().unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 100];
        while let Ok((length, from)) = echo.recv_from(&mut buffer) {
            let _ = echo.send_to(&buffer[..length], from);
        }
    });
    let (code, journey) = user.visit(&[], &["--packets", &url, "--send", "hi"]);
    let capture = frames(&journey);
    let is_udp = |frame: &journey::capture::Frame| {
        matches!(decode(LinkKind::Loopback, &frame.bytes.0, frame.len as usize).transport, Some(Transport::Udp(_)))
    };
    assert!(code == 0 && capture.frames.len() == 2 && capture.frames.iter().all(is_udp), "{:?}", capture.frames);
}

/// There sockets on loopback stand in for the lab's addresses.
fn a_lab_on_loopback() {
    let user = User::new();
    let lab = user.serve(&[]);
    let args = ["--packets", "--pcap", "a.pcapng", "http://www.example.local/"];
    let (code, journey) = user.visit(&[("VISIT_WORLD", &*lab.book)], &args);
    assert_eq!(code, 0);
    check_seen(&journey, LOOPBACK, CLOSED);
    // The questions too, and no link layer.
    assert!(count(&user.path("a.pcapng"), "udp") >= 2);
    assert_eq!(count(&user.path("a.pcapng"), "arp"), 0);
    let file = String::from_utf8_lossy(&fs::read(user.path("a.pcapng")).unwrap()).into_owned();
    assert!(file.contains("facts of the link layer are not observable"), "the file does not say so");
}

fn refused() {
    let user = User::new();
    let server = Server::start(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(), End::WhenPeerCloses);
    let (code, journey) = user.visit(&[], &["--packets", &server.url("/")]);
    let Captured::NotObservable { why, how: Some(how) } = &journey.capture else { panic!("{:?}", journey.capture) };
    assert_eq!(code, 0);
    assert_eq!(why, "opening a packet socket was refused by the kernel: Operation not permitted (EPERM)");
    for way in ["as root", "--cap-add NET_RAW", "setcap cap_net_raw+ep", "the lab"] {
        assert!(how.contains(way), "{way}: {how}");
    }
    // The visit is shown, and then why there is no file.
    let output = user.run(&[], &["--pcap", "a.pcapng", &server.url("/")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(String::from_utf8_lossy(&output.stdout).contains("200 OK"), "{said}");
    assert!(said.contains(why.as_str()) && said.contains("--pcap a.pcapng"), "{said}");
    assert!(output.status.code() == Some(2) && !Path::new(&user.path("a.pcapng")).exists());
}
