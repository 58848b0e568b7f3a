//! Datagrams.

use std::{io, net::SocketAddr, sync::Arc};

use futures_util::poll;
use hickory_server::server::RequestHandler;
use journey::dns::Transport;
use service::Stop;
use tokio::{net::UdpSocket, task::JoinSet, time::timeout};
use tracing::{debug, warn};

use super::{Answered, Server};

/// Datagrams read before other tasks of the runtime get their turn.
const BURST: usize = 64;
/// Queries are small; what is longer is cut by the kernel and then is no message.
const LONGEST_QUERY: usize = 4096;

/// Serves one socket until `stop`; returns how many queries were cut off.
pub(super) async fn serve<H: RequestHandler>(server: Arc<Server<H>>, socket: Arc<UdpSocket>, stop: Stop) -> usize {
    let mut buffer = vec![0; LONGEST_QUERY];
    let mut waiting = JoinSet::new();
    loop {
        tokio::select! {
            ready = socket.readable() => if let Err(error) = ready {
                warn!(%error, "socket is not readable");
                break;
            },
            () = stop.cancelled() => break,
        }
        while waiting.try_join_next().is_some() {}
        for _ in 0..BURST {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, peer)) => {
                    let query = buffer[..length].to_vec();
                    take(&server, &socket, query, peer, &mut waiting).await;
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
    let _ = timeout(server.limits.grace, async { while waiting.join_next().await.is_some() {} }).await;
    waiting.len()
}

/// Answers at once where the handler has nothing to wait for, as an authority never has; otherwise the query goes on as
/// a task of its own.
async fn take<H: RequestHandler>(
    server: &Arc<Server<H>>,
    socket: &Arc<UdpSocket>,
    query: Vec<u8>,
    peer: SocketAddr,
    waiting: &mut JoinSet<()>,
) {
    let mut answer = Box::pin(Arc::clone(server).answer(query, peer, Transport::Udp));
    match poll!(&mut answer) {
        std::task::Poll::Ready(answered) => send(server, socket, peer, answered).await,
        std::task::Poll::Pending if waiting.len() < server.limits.pending => {
            let (server, socket) = (Arc::clone(server), Arc::clone(socket));
            waiting.spawn(async move {
                let answered = answer.await;
                send(&server, &socket, peer, answered).await;
            });
        }
        std::task::Poll::Pending => server.metrics.overloaded(),
    }
}

async fn send<H: RequestHandler>(server: &Server<H>, socket: &UdpSocket, peer: SocketAddr, answered: Option<Answered>) {
    let Some(answered) = answered else { return };
    let sent = match socket.try_send_to(&answered.bytes, peer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.send_to(&answered.bytes, peer).await,
        sent => sent,
    };
    match sent {
        Ok(_) => server.note_sent(answered),
        Err(error) => debug!(%peer, %error, "answer not sent"),
    }
}
