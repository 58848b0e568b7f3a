//! The UDP echo port: whoever sends a datagram gets it back (RFC 862).

mod allowance;

use std::{io, net::SocketAddr, sync::Arc};

use journey::What;
use service::ring::now_ns;
use tokio::net::UdpSocket;
use tracing::{debug, warn};

use crate::{Server, journal};
use allowance::Allowances;

/// The largest datagram that UDP can carry.
const LARGEST: usize = 65_535;

/// Datagrams answered before other tasks of the runtime get their turn.
const BURST: usize = 64;

/// Ports of the small services that answer whatever they get: echo (RFC 862), daytime (867), quote of the day (865),
/// chargen (864), time (868). One forged datagram between two of them would go to and fro for ever. Others that answer at
/// ports of their own are found by how often they send: see [`allowance`].
const ANSWERS_ANYTHING: [u16; 5] = [7, 13, 17, 19, 37];

/// Serves one socket until the server stops. Nothing can be left unfinished; the count is for [`crate::accept::serve`]'s
/// like.
pub(crate) async fn serve(server: Arc<Server>, socket: UdpSocket) -> usize {
    let own = match socket.local_addr() {
        Ok(own) => own,
        Err(error) => {
            warn!(%error, "the echo socket has no address");
            return 0;
        }
    };
    let mut buffer = vec![0; LARGEST];
    let mut allowances = Allowances::default();
    loop {
        tokio::select! {
            ready = socket.readable() => if let Err(error) = ready {
                warn!(%error, "the echo socket is not readable");
                return 0;
            },
            () = server.stop.cancelled() => return 0,
        }
        for _ in 0..BURST {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, peer)) => {
                    let read_ns = now_ns();
                    if would_loop(peer.port(), own.port()) || !allowances.take(peer, read_ns) {
                        server.metrics.echo_ignored.inc();
                        debug!(%peer, bytes = length, "datagram ignored: its sender may answer the answer");
                        continue;
                    }
                    send_back(&server, &socket, peer, &buffer[..length], read_ns);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // On Linux an unconnected socket does not see other machines' ICMP errors; what comes is passing.
                Err(error) => {
                    debug!(%error, "datagram not read");
                    break;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

/// One datagram back, of the same size: a forged sender's address gains nothing. A full send buffer drops it, as the
/// network might.
fn send_back(server: &Server, socket: &UdpSocket, peer: SocketAddr, datagram: &[u8], read_ns: u64) {
    let bytes = datagram.len() as u64;
    // Before the call: the client may have the datagram before it returns.
    let sent_ns = now_ns();
    if let Err(error) = socket.try_send_to(datagram, peer) {
        server.metrics.echo_ignored.inc();
        debug!(%peer, bytes, %error, "datagram not sent back");
        return;
    }
    server.metrics.echo_datagrams.inc();
    server.metrics.echo_bytes.inc_by(bytes);
    debug!(%peer, bytes, "datagram sent back");
    if server.journal.may_record(2, read_ns) {
        let (method, target) = (journal::method("ECHO"), String::new());
        server.journal.untraced(read_ns, What::RequestRead { peer, method, target, bytes });
        let elapsed_us = (sent_ns - read_ns) / 1000;
        server.journal.untraced(sent_ns, What::ResponseWritten { peer, status: None, bytes, elapsed_us });
    }
}

/// Whether the sender may be a service that answers answers: another of these, or this very socket. Port 0 is nobody's.
fn would_loop(port: u16, own: u16) -> bool {
    port == 0 || port == own || ANSWERS_ANYTHING.contains(&port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops() {
        for port in [0, 7, 13, 17, 19, 37, 7007] {
            assert!(would_loop(port, 7007), "{port}");
        }
        assert!(!would_loop(53, 7) && !would_loop(40_000, 7));
    }
}
