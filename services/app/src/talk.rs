//! The `talk` port: "a simple communication". A client connects, sends bytes of any kind, with or without a newline, and
//! is answered at once; the connection stays open until the client closes it or is silent for too long.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use journey::{What, event::ClosedBy};
use service::{ring::now_ns, seats::Seat};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tracing::debug;

use crate::{Server, journal};

/// Bytes taken at once. Together with the words around them they stay below the 1024 that a simple client reads at once.
const TAKEN: usize = 960;

/// Exchanges of one connection that are recorded.
const RECORDED: u32 = 16;

/// Talks with one client to the end.
pub(crate) async fn converse(server: Arc<Server>, stream: TcpStream, peer: SocketAddr, seat: Arc<Seat>) {
    let accepted_ns = now_ns();
    let Ok(local) = stream.local_addr() else { return };
    // A connection is recorded from its beginning to its end, or not at all.
    let recorded = server.journal.may_record(4, accepted_ns);
    if recorded {
        let local = server.config.in_world(local, server.config.talk_port);
        server.journal.untraced(accepted_ns, What::ConnectionAccepted { peer, local });
    }
    server.metrics.talk.opened();
    let mut talk = Talk { server, stream, peer, recorded, exchanges: 0, bytes_in: 0, bytes_out: 0, by: ClosedBy::Me };
    talk.by = talk.exchange_all(&seat).await;
}

struct Talk {
    server: Arc<Server>,
    stream: TcpStream,
    peer: SocketAddr,
    recorded: bool,
    exchanges: u32,
    bytes_in: u64,
    bytes_out: u64,
    // Until something else is known: a conversation that is cut off ends by this side.
    by: ClosedBy,
}

impl Talk {
    /// Answers every read until one side ends it; says which. A client that has said something is not closed for another one
    /// before its time is over.
    async fn exchange_all(&mut self, seat: &Seat) -> ClosedBy {
        let limit = self.server.config.limits.read;
        let mut busy = None;
        let mut taken = [0; TAKEN];
        loop {
            let read = tokio::select! {
                read = timeout(limit, self.stream.read(&mut taken)) => read,
                () = self.server.stop.cancelled() => return ClosedBy::Me,
            };
            let length = match read {
                Err(_) => return ClosedBy::TimeLimit,
                Ok(Err(_)) => return ClosedBy::PeerReset,
                // The client has said its last word; all of it is answered already.
                Ok(Ok(0)) => return ClosedBy::Peer,
                Ok(Ok(length)) => length,
            };
            busy.get_or_insert_with(|| seat.busy());
            if let Err(by) = self.answer(&taken[..length], limit).await {
                return by;
            }
        }
    }

    async fn answer(&mut self, said: &[u8], limit: Duration) -> Result<(), ClosedBy> {
        let read_ns = now_ns();
        let (peer, bytes) = (self.peer, said.len() as u64);
        self.bytes_in += bytes;
        let recorded = self.recorded
            && self.exchanges < RECORDED
            && (self.exchanges == 0 || self.server.journal.may_record(2, read_ns));
        self.exchanges = self.exchanges.saturating_add(1);
        if recorded {
            let (method, target) = (journal::method("TALK"), String::new());
            self.server.journal.untraced(read_ns, What::RequestRead { peer, method, target, bytes });
        }
        let reply = reply(&self.server.config.host, said);
        // Before the call: the client may have the reply before it returns.
        let sent_ns = now_ns();
        match timeout(limit, self.stream.write_all(&reply)).await {
            Err(_) => return Err(ClosedBy::TimeLimit),
            Ok(Err(_)) => return Err(ClosedBy::PeerReset),
            Ok(Ok(())) => {}
        }
        let bytes = reply.len() as u64;
        self.bytes_out += bytes;
        self.server.metrics.talk_exchanges.inc();
        debug!(%peer, bytes_in = said.len(), bytes_out = bytes, "talked");
        if recorded {
            let elapsed_us = (sent_ns - read_ns) / 1000;
            self.server.journal.untraced(sent_ns, What::ResponseWritten { peer, status: None, bytes, elapsed_us });
        }
        Ok(())
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let Self { peer, by, bytes_in, bytes_out, .. } = *self;
        self.server.metrics.talk.closed(bytes_in, bytes_out);
        debug!(%peer, ?by, bytes_in, bytes_out, "talk connection closed");
        if self.recorded {
            self.server.journal.untraced(now_ns(), What::ConnectionClosed { peer, by, bytes_in, bytes_out });
        }
    }
}

/// What is said to these bytes: how many they were, the bytes themselves, and a newline if they do not end with one.
fn reply(host: &str, said: &[u8]) -> Vec<u8> {
    let unit = if said.len() == 1 { "byte" } else { "bytes" };
    let mut reply = format!("{host} got {} {unit}: ", said.len()).into_bytes();
    reply.extend_from_slice(said);
    if !said.ends_with(b"\n") {
        reply.push(b'\n');
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        let check = |said: &[u8], expected: &[u8]| assert_eq!(reply("app1", said), expected);
        check(b"xxx", b"app1 got 3 bytes: xxx\n");
        check(b"hello\n", b"app1 got 6 bytes: hello\n");
        check(b"\0", b"app1 got 1 byte: \0\n");
        assert!(reply("a-rather-long-host-name", &[b'x'; TAKEN]).len() < 1024);
    }
}
