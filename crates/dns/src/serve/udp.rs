//! Datagrams.

use std::{io, net::SocketAddr, pin::pin, sync::Arc};

use futures_util::poll;
use hickory_server::server::RequestHandler;
use journey::dns::Transport;
use service::Stop;
use tokio::{net::UdpSocket, task::JoinSet, time::timeout};
use tracing::{debug, warn};

use super::{Heard, Server};

/// Datagrams read before other tasks of the runtime get their turn.
const BURST: usize = 64;
/// Bursts at the end: as many as a full receive buffer may hold; a flood must not keep a server from ending.
const LAST_BURSTS: usize = 64;
/// Queries are small; what is longer is cut by the kernel and then is no message.
const LONGEST_QUERY: usize = 4096;

/// Serves one socket until `stop`; returns how many queries were cut off.
pub(super) async fn serve<H: RequestHandler>(server: Arc<Server<H>>, socket: Arc<UdpSocket>, stop: Stop) -> usize {
    let mut reader = Reader { server, socket, buffer: vec![0; LONGEST_QUERY], waiting: JoinSet::new() };
    // One future for the whole life: a new one for each burst would take the token's lock each time.
    let mut stopped = pin!(stop.cancelled());
    loop {
        tokio::select! {
            ready = reader.socket.readable() => if let Err(error) = ready {
                warn!(%error, "socket is not readable");
                break;
            },
            () = &mut stopped => break,
        }
        // A burst that ends by itself is followed by a wait, which is a turn for others; only a full one needs to yield.
        // Yielding always would cost every lone query a system call.
        if reader.burst().await == BURST {
            tokio::task::yield_now().await;
        }
    }
    reader.drain().await
}

struct Reader<H> {
    server: Arc<Server<H>>,
    socket: Arc<UdpSocket>,
    buffer: Vec<u8>,
    /// Queries whose handler waits for something.
    waiting: JoinSet<()>,
}

impl<H: RequestHandler> Reader<H> {
    /// Reads and answers what has come, at most [`BURST`] datagrams; returns how many they were.
    async fn burst(&mut self) -> usize {
        while self.waiting.try_join_next().is_some() {}
        for read in 0..BURST {
            match self.socket.try_recv_from(&mut self.buffer) {
                Ok((length, peer)) => self.take(self.buffer[..length].to_vec(), peer).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return read,
                // On Linux an unconnected socket does not see other machines' ICMP errors; what comes is passing.
                Err(error) => {
                    debug!(%error, "datagram not read");
                    return read;
                }
            }
        }
        BURST
    }

    /// Answers at once where the handler has nothing to wait for, as an authority never has; otherwise the query goes on
    /// as a task of its own.
    async fn take(&mut self, query: Vec<u8>, peer: SocketAddr) {
        let mut answer = Box::pin(Arc::clone(&self.server).answer(query, peer, Transport::Udp));
        match poll!(&mut answer) {
            std::task::Poll::Ready(answered) => send(&self.server, &self.socket, peer, answered).await,
            std::task::Poll::Pending if self.waiting.len() < self.server.limits.pending => {
                let (server, socket) = (Arc::clone(&self.server), Arc::clone(&self.socket));
                self.waiting.spawn(async move {
                    let answered = answer.await;
                    send(&server, &socket, peer, answered).await;
                });
            }
            std::task::Poll::Pending => self.server.metrics.overloaded(),
        }
    }

    /// Answers what the kernel had taken before the stop, and waits for what is under way.
    async fn drain(mut self) -> usize {
        for _ in 0..LAST_BURSTS {
            if self.burst().await < BURST {
                break;
            }
        }
        let all = async { while self.waiting.join_next().await.is_some() {} };
        let _ = timeout(self.server.limits.grace, all).await;
        self.waiting.len()
    }
}

async fn send<H: RequestHandler>(server: &Server<H>, socket: &UdpSocket, peer: SocketAddr, said: Heard) {
    let Heard::Answer(answered) = said else { return };
    let sending = server.sending(&answered);
    let sent = match socket.try_send_to(&answered.bytes, peer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.send_to(&answered.bytes, peer).await,
        sent => sent,
    };
    match sent {
        Ok(_) => server.sent(sending),
        Err(error) => debug!(%peer, %error, "answer not sent"),
    }
}
