//! The queues of TCP sockets, as the kernel tells of them (sock_diag(7)): what `ss -tan` shows.
//!
//! `/proc/net/tcp` has no limits in it, and TCP_INFO no safe call.

use std::{io, net::SocketAddr};

use journey::report::AcceptQueue;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::{
    AF_INET, AF_INET6, IPPROTO_TCP, SockDiagMessage,
    inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags},
};
use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};

/// Answers are at most this long; a dump comes in several.
const LONGEST: usize = 64 * 1024;

/// The queues of these listening sockets in which connections wait, in the network namespace of the calling thread.
/// An error where the kernel has nothing to tell it with (`tcp_diag`).
pub fn waiting(sockets: &[SocketAddr]) -> io::Result<Vec<AcceptQueue>> {
    let mut queues = Vec::new();
    for is_v4 in [true, false] {
        if sockets.iter().any(|socket| socket.is_ipv4() == is_v4) {
            let told = dump(is_v4, StateFlags::LISTEN, (0, 0))?.into_iter().map(|header| {
                let address = SocketAddr::new(header.socket_id.source_address, header.socket_id.source_port);
                // Of a listening socket these are the connections in its accept queue, and its limit.
                AcceptQueue { address, waiting: header.recv_queue, limit: header.send_queue }
            });
            queues.extend(told.filter(|queue| queue.waiting > 0 && sockets.contains(&queue.address)));
        }
    }
    Ok(queues)
}

/// How many bytes that this end of an open connection has written the other has not acknowledged yet; none where there is no
/// such connection (any more).
pub fn unacknowledged(local: SocketAddr, peer: SocketAddr) -> io::Result<Option<u32>> {
    let states = StateFlags::ESTABLISHED | StateFlags::CLOSE_WAIT;
    let told = dump(local.is_ipv4(), states, (local.port(), peer.port()))?;
    let is_it = |header: &&InetResponseHeader| {
        let id = &header.socket_id;
        (id.source_address, id.destination_address) == (local.ip(), peer.ip())
    };
    Ok(told.iter().find(is_it).map(|header| header.send_queue))
}

/// The TCP sockets of a family in these states, and with these ports where they are not 0.
fn dump(is_v4: bool, states: StateFlags, ports: (u16, u16)) -> io::Result<Vec<InetResponseHeader>> {
    let (family, mut socket_id) = if is_v4 { (AF_INET, SocketId::new_v4()) } else { (AF_INET6, SocketId::new_v6()) };
    (socket_id.source_port, socket_id.destination_port) = ports;
    let extensions = ExtensionFlags::empty();
    let request = InetRequest { family, protocol: IPPROTO_TCP, extensions, states, socket_id };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let message = SockDiagMessage::InetRequest(request);
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let netlink = Socket::new(NETLINK_SOCK_DIAG)?;
    netlink.send(&bytes, 0)?;
    let mut told = Vec::new();
    loop {
        let mut datagram = Vec::with_capacity(LONGEST);
        netlink.recv(&mut datagram, 0)?;
        if read(&datagram, &mut told)? {
            return Ok(told);
        }
    }
}

/// Reads messages; says whether the last one was among them.
fn read(mut rest: &[u8], told: &mut Vec<InetResponseHeader>) -> io::Result<bool> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "a message of the kernel is cut off");
    while !rest.is_empty() {
        let length = NetlinkBuffer::new_checked(rest).map_err(|_| invalid())?.length() as usize;
        let message = rest.get(..length).ok_or_else(invalid)?;
        match NetlinkMessage::<SockDiagMessage>::deserialize(message).map(|message| message.payload) {
            Ok(NetlinkPayload::Error(error)) if error.code.is_some() => return Err(error.to_io()),
            Ok(NetlinkPayload::Error(_) | NetlinkPayload::Done(_)) => return Ok(true),
            Ok(NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response))) => {
                told.push(response.header);
            }
            // What this program cannot read is no socket of its own.
            _ => {}
        }
        // Messages begin at multiples of 4 bytes (netlink(7)).
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use socket2::SockRef;

    use super::*;

    #[test]
    fn who_waits_and_how_many_may() {
        for ip in ["127.0.0.1", "::1"] {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            SockRef::from(&listener).listen(1).unwrap();
            let address = listener.local_addr().unwrap();
            assert_eq!(waiting(&[address]).unwrap(), [], "nobody waits");
            let _first = TcpStream::connect(address).unwrap();
            assert_eq!(waiting(&[address]).unwrap(), [AcceptQueue { address, waiting: 1, limit: 1 }]);
            let _second = TcpStream::connect(address).unwrap();
            let queues = waiting(&[address]).unwrap();
            assert_eq!(queues, [AcceptQueue { address, waiting: 2, limit: 1 }]);
            assert!(queues[0].is_full());
            assert_eq!(waiting(&["127.0.0.2:9".parse().unwrap()]).unwrap(), [], "somebody else's");
            listener.accept().unwrap();
            assert!(!waiting(&[address]).unwrap()[0].is_full());
        }
    }

    #[test]
    fn what_the_other_side_has_not_taken() {
        use std::io::Write;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, peer) = listener.accept().unwrap();
        let local = server.local_addr().unwrap();
        let left = || unacknowledged(local, peer).unwrap();
        assert_eq!(left(), Some(0));
        server.set_nonblocking(true).unwrap();
        while server.write(&[0; 65_536]).is_ok() {}
        assert!(left().is_some_and(|left| left > 0), "more than a client holds that reads nothing");
        drop(client);
        server.write(&[0]).unwrap_err();
        assert_eq!(left(), None, "it was reset");
    }

    #[test]
    fn messages_that_are_none() {
        let check = |bytes: &[u8]| read(bytes, &mut Vec::new()).map_err(|error| error.kind());
        assert_eq!(check(&[]), Ok(false));
        assert_eq!(check(&[1, 2, 3]), Err(io::ErrorKind::InvalidData));
        let header = |length: u32, kind: u16| [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat();
        assert_eq!(check(&header(100, 3)), Err(io::ErrorKind::InvalidData), "longer than it is");
        assert_eq!(check(&header(0, 3)), Err(io::ErrorKind::InvalidData), "without end");
        assert_eq!(check(&[header(20, 3), vec![0; 4]].concat()), Ok(true), "done");
        let error = [header(36, 2), (-2_i32).to_ne_bytes().to_vec(), vec![0; 16]].concat();
        assert_eq!(check(&error), Err(io::ErrorKind::NotFound), "no such module");
    }
}
