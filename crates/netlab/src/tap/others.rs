//! Frames that cannot be a visit's: those of connections that were there before it. Pure.

use std::{collections::HashSet, net::SocketAddr};

use journey::capture::{LinkKind, Socket};

use packets::decode::{Network, Transport, decode};

/// Connections of others, each by its two ends in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Others(HashSet<(SocketAddr, SocketAddr)>);

impl Others {
    /// Those that are established. One in another state may be over soon, and its ports used by a new one (RFC 6191). Of UDP
    /// none: nothing tells when a socket's ports are another's.
    pub(super) fn among(sockets: &[Socket]) -> Self {
        let established = sockets.iter().filter(|it| it.protocol == "tcp" && it.state == "ESTABLISHED");
        Self(established.filter_map(|socket| Some(in_order(socket.local, socket.remote?))).collect())
    }

    /// Whether a frame is of one of them. A connection that begins is a new one, whatever was between its ends before.
    pub(super) fn have(&mut self, kind: LinkKind, frame: &[u8], len: usize) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let decoded = decode(kind, frame, len);
        let (Some(Network::Ip(ip)), Some(Transport::Tcp(tcp))) = (&decoded.network, &decoded.transport) else {
            return false;
        };
        let ends = in_order((ip.source, tcp.source_port).into(), (ip.destination, tcp.destination_port).into());
        if tcp.flags.syn {
            self.0.remove(&ends);
        }
        self.0.contains(&ends)
    }
}

/// Without what is said besides of an address (RFC 4007 §11), and however an IPv4 address is written.
fn in_order(one: SocketAddr, other: SocketAddr) -> (SocketAddr, SocketAddr) {
    let [one, other] = [one, other].map(|end| SocketAddr::new(end.ip().to_canonical(), end.port()));
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    #[test]
    fn whose_connections() {
        let socket = |protocol: &str, state: &str, local: &str, remote: &str| Socket {
            protocol: protocol.to_owned(),
            state: state.to_owned(),
            local: local.parse().unwrap(),
            remote: remote.parse().ok(),
            receive_queue: 0,
            send_queue: 0,
        };
        let sockets = [
            socket("tcp", "ESTABLISHED", "[::ffff:10.0.0.1]:1000", "[::ffff:10.0.0.2]:80"),
            socket("tcp", "TIME-WAIT", "10.0.0.1:1001", "10.0.0.2:80"),
            socket("tcp", "LISTEN", "10.0.0.1:22", ""),
            socket("udp", "ESTABLISHED", "10.0.0.1:1003", "10.0.0.2:80"),
        ];
        let mut others = Others::among(&sockets);
        let mut check = |from: ([u8; 4], u16), to: ([u8; 4], u16), what: &str, expected: bool| {
            let (builder, mut bytes) = (PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from.0, to.0, 64), Vec::new());
            match what {
                "udp" => builder.udp(from.1, to.1).write(&mut bytes, b"x").unwrap(),
                "syn" => builder.tcp(from.1, to.1, 1, 500).syn().write(&mut bytes, b"").unwrap(),
                _ => builder.tcp(from.1, to.1, 1, 500).ack(1).write(&mut bytes, b"x").unwrap(),
            }
            assert_eq!(others.have(LinkKind::Ethernet, &bytes, bytes.len()), expected, "{from:?} {to:?} {what}");
        };
        let (here, there) = ([10, 0, 0, 1], ([10, 0, 0, 2], 80));
        check((here, 1000), there, "tcp", true);
        check(there, (here, 1000), "tcp", true);
        check((here, 1001), there, "tcp", false);
        check((here, 1002), there, "tcp", false);
        check((here, 1003), there, "udp", false);
        check((here, 1000), there, "udp", false);
        check((here, 22), there, "tcp", false);
        // It was over, and another one has its ports.
        check((here, 1000), there, "syn", false);
        check((here, 1000), there, "tcp", false);
        assert!(!others.have(LinkKind::Ethernet, &[0; 60], 60));
    }
}
