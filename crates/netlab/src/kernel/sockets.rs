//! The sockets of a network namespace (sock_diag(7)): what `ss` shows.

use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
};

use journey::capture::Socket;
use netlink_packet_sock_diag::{
    AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, SockDiagMessage,
    inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags},
};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::{netlink::Netlink, tcp};

/// The TCP sockets in whatever state, and the UDP ones, ordered by protocol and address. An error where the kernel cannot
/// tell all of them: ENOENT where it has no `udp_diag`.
pub fn sockets() -> io::Result<Vec<Socket>> {
    let mut netlink = Netlink::open(NETLINK_SOCK_DIAG)?;
    let mut all = Vec::new();
    for (protocol, name) in [(IPPROTO_TCP, "tcp"), (IPPROTO_UDP, "udp")] {
        for (family, socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
            let request = InetRequest {
                family,
                protocol,
                extensions: ExtensionFlags::empty(),
                states: StateFlags::all(),
                socket_id,
            };
            let answers = netlink.dump(SockDiagMessage::InetRequest(request))?;
            all.extend(answers.iter().filter_map(|answer| match answer {
                SockDiagMessage::InetResponse(response) => Some(socket(name, &response.header)),
                _ => None,
            }));
        }
    }
    all.sort_by(|a: &Socket, b| (&a.protocol, a.local, a.remote).cmp(&(&b.protocol, b.local, b.remote)));
    Ok(all)
}

fn socket(protocol: &str, header: &InetResponseHeader) -> Socket {
    let id = &header.socket_id;
    let state = match (protocol, tcp::state(header.state)) {
        // UDP has no states; the kernel borrows the number, and `ss` calls it so.
        ("udp", "CLOSED") => "UNCONN",
        (_, state) => state,
    };
    let has_peer = id.destination_port != 0;
    Socket {
        protocol: protocol.to_owned(),
        state: state.to_owned(),
        local: end(id.source_address, id.source_port, id.interface_id),
        remote: has_peer.then(|| end(id.destination_address, id.destination_port, id.interface_id)),
        receive_queue: header.recv_queue,
        send_queue: header.send_queue,
    }
}

/// A link-local address means nothing without its interface (RFC 4007 §6).
fn end(ip: IpAddr, port: u16, interface: u32) -> SocketAddr {
    match ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => SocketAddrV6::new(ip, port, 0, interface).into(),
        ip => SocketAddr::new(ip, port),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    };

    use super::*;
    use crate::testing;

    fn states(local: SocketAddr) -> Vec<(String, Option<SocketAddr>, u32, u32)> {
        let all = sockets().unwrap().into_iter().filter(|socket| socket.local == local);
        all.map(|socket| (socket.state, socket.remote, socket.receive_queue, socket.send_queue)).collect()
    }

    #[needs::tools(unshare)]
    #[test]
    fn a_connection_through_its_states() {
        // In the network that tests share, others' closed connections may have had the same ports.
        testing::alone("kernel::sockets::tests::a_connection_through_its_states", || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let here = listener.local_addr().unwrap();
            let mut client = TcpStream::connect(here).unwrap();
            let there = client.local_addr().unwrap();
            let waiting = states(here).into_iter().find(|socket| socket.0 == "LISTEN").unwrap();
            assert_eq!((waiting.1, waiting.2), (None, 1), "one that waits to be accepted");
            assert!(waiting.3 > 0, "how many may wait");

            let (mut server, _) = listener.accept().unwrap();
            client.write_all(b"hello").unwrap();
            let accepted = states(here).into_iter().find(|socket| socket.1.is_some()).unwrap();
            assert_eq!(accepted, ("ESTABLISHED".to_owned(), Some(there), 5, 0));

            server.read_exact(&mut [0; 5]).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(server.read(&mut [0; 5]).unwrap(), 0);
            // Whether the other side's acknowledgement is here already is its own affair.
            let closing = states(there)[0].0.clone();
            assert!(["FIN-WAIT-1", "FIN-WAIT-2"].contains(&closing.as_str()), "{closing}");
            assert!(states(here).iter().any(|socket| socket.0 == "CLOSE-WAIT"));
            drop(server);
            assert_eq!(client.read(&mut [0; 5]).unwrap(), 0);
            drop(client);
            assert_eq!(states(there), [("TIME-WAIT".to_owned(), Some(here), 0, 0)]);
        });
    }

    #[needs::tools(unshare)]
    #[test]
    fn udp_with_and_without_a_peer() {
        // In the network that tests share, others' closed connections may have had the same ports.
        testing::alone("kernel::sockets::tests::udp_with_and_without_a_peer", || {
            let here = UdpSocket::bind("127.0.0.1:0").unwrap();
            let there = UdpSocket::bind("127.0.0.1:0").unwrap();
            there.connect(here.local_addr().unwrap()).unwrap();
            assert_eq!(states(here.local_addr().unwrap()), [("UNCONN".to_owned(), None, 0, 0)]);
            let with_peer = &states(there.local_addr().unwrap())[0];
            assert_eq!((with_peer.0.as_str(), with_peer.1), ("ESTABLISHED", Some(here.local_addr().unwrap())));
        });
    }
}
