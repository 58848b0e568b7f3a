//! In which flow a frame is, in words that are the same in every run: ports that the kernel chooses, ids and payloads differ.

use std::fmt::Write as _;

use world::fault::Flow;

use crate::decode::{
    Decoded, Network, Tcp, Transport,
    app::{self, App},
};

/// Where a frame is that `from` sends: on the way from there, between which addresses, and for which service.
pub(super) fn of(from: &str, frame: &Decoded, bytes: &[u8]) -> Flow {
    let (source, destination) = addresses(frame);
    match &frame.transport {
        Some(Transport::Tcp(tcp)) => {
            let (is_answer, server, client) = sides(tcp.source_port, tcp.destination_port);
            let between = between(from, "tcp", server, ends(is_answer, source, destination));
            Flow { between, which: client.into(), kind: part(tcp, is_answer) }
        }
        Some(Transport::Udp(udp)) => {
            let ports = (udp.source_port, udp.destination_port);
            let (is_answer, server, client) = sides(ports.0, ports.1);
            let mut between = between(from, "udp", server, ends(is_answer, source, destination));
            // Two questions at once are told apart by what they ask, not by which came first.
            let payload = bytes.get(frame.payload.clone()).unwrap_or_default();
            if let Some(App::Dns(dns)) = app::in_datagram(ports, payload)
                && let Some((kind, name)) = dns.question
            {
                // Writing to a string cannot fail.
                let _ = write!(between, " {kind} {}", name.to_ascii_lowercase());
            }
            Flow { between, which: client.into(), kind: if is_answer { "answer" } else { "question" } }
        }
        Some(Transport::Icmp(icmp)) => {
            let between = format!("{from}: icmp {} {} {source} → {destination}", icmp.kind, icmp.code);
            Flow { between, which: 0, kind: "message" }
        }
        None => match &frame.network {
            Some(Network::Arp(arp)) => {
                let between = format!("{from}: arp {} {} → {}", arp.operation, arp.sender.1, arp.target.1);
                Flow { between, which: 0, kind: "message" }
            }
            _ => Flow { between: format!("{from}: {source} → {destination}"), which: 0, kind: "packet" },
        },
    }
}

fn addresses(frame: &Decoded) -> (String, String) {
    match &frame.network {
        Some(Network::Ip(ip)) => (ip.source.to_string(), ip.destination.to_string()),
        _ => Default::default(),
    }
}

/// Whether the sender is the server, the server's port, and the client's. A service's port is below those that the kernel
/// chooses for clients.
fn sides(source: u16, destination: u16) -> (bool, u16, u16) {
    if source < destination { (true, source, destination) } else { (false, destination, source) }
}

/// The client's address and the server's.
fn ends(is_answer: bool, source: String, destination: String) -> (String, String) {
    if is_answer { (destination, source) } else { (source, destination) }
}

fn between(from: &str, protocol: &str, port: u16, (client, server): (String, String)) -> String {
    format!("{from}: {protocol} {client} → {server} {port}")
}

/// What a segment is in its connection. How many acknowledgments there are depends on times; data and the ends of a connection
/// are counted apart from them.
fn part(tcp: &Tcp, is_answer: bool) -> &'static str {
    let flags = &tcp.flags;
    match (is_answer, flags.rst, flags.syn, tcp.payload_len > 0, flags.fin) {
        (false, true, ..) => "RST of the client",
        (true, true, ..) => "RST of the server",
        (false, _, true, ..) => "SYN of the client",
        (true, _, true, ..) => "SYN of the server",
        (false, _, _, true, _) => "data of the client",
        (true, _, _, true, _) => "data of the server",
        (false, .., true) => "FIN of the client",
        (true, .., true) => "FIN of the server",
        (false, ..) => "ACK of the client",
        (true, ..) => "ACK of the server",
    }
}
