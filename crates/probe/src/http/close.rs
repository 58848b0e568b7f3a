//! The `close` stage: this side's end, then the other side's.

use std::{io, os::fd::AsFd, time::Duration};

use journey::{
    Stage, StageState,
    stage::{self, Closer, Did, PeerEnd},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::super::{Probe, conn::Conn, meter::Seen, observed};

/// How long the other side's FIN is waited for.
pub(super) const LAST_FIN: Duration = Duration::from_millis(500);

/// Closes a connection after a complete response. Without it the text says why it cannot be closed as it should.
pub(super) async fn close(probe: &Probe<'_>, conn: Result<Conn, String>, keep_alive: bool, seen: &Seen) -> Stage {
    let start_us = probe.clock.us();
    let mut did = stage::Close { keep_alive_offered: Some(keep_alive), ..stage::Close::default() };
    let mut conn = match conn {
        Ok(conn) => conn,
        Err(note) => {
            let stage = observed(StageState::Skipped, Did::Close(did), start_us, start_us, None);
            return Stage { duration_us: None, note: Some(note), ..stage };
        }
    };
    // What the other side has said before this one began to close.
    let mut ending = Ending::of(&conn, seen);
    let announced = !keep_alive;
    // A server that announced the close is given the time to do it; who closes first is then seen, not guessed.
    if announced && ending.is_open() {
        ending.follow(probe, &mut conn).await;
    }
    did.first = Some(if ending.is_open() { Closer::You } else { Closer::Server });
    did.kernel = netlab::kernel::tcp_info(conn.socket().as_fd()).ok().map(Box::new);
    // TLS has a word to say first, and a server that does not read could make it wait for ever.
    let _ = probe.bounds.within(LAST_FIN, conn.shutdown()).await;
    ending.follow(probe, &mut conn).await;
    did.peer = Some(ending.end.unwrap_or(PeerEnd::Silent));
    did.close_notify = ending.close_notify;
    observed(StageState::Done, Did::Close(did), start_us, probe.clock.us(), None)
}

/// How the other side ends a connection, as far as it has.
#[derive(Debug)]
struct Ending {
    // The end of TCP.
    end: Option<PeerEnd>,
    // Whether TLS said it before; none without TLS, or as long as neither has come.
    close_notify: Option<bool>,
}

impl Ending {
    fn of(conn: &Conn, seen: &Seen) -> Self {
        // The kernel tells a reset once, to the call that meets it; later ones meet an end.
        let is_reset = seen.write_error.is_some() || seen.read_error == Some(io::ErrorKind::ConnectionReset);
        if is_reset {
            return Self { end: Some(PeerEnd::Reset), close_notify: None };
        }
        let has_end = seen.peer_closed.is_some();
        match conn {
            Conn::Plain(_) => Self { end: has_end.then_some(PeerEnd::Fin), close_notify: None },
            // The library reports a FIN without `close_notify` as an error.
            Conn::Tls { .. } if seen.read_error == Some(io::ErrorKind::UnexpectedEof) => {
                Self { end: Some(PeerEnd::Fin), close_notify: Some(false) }
            }
            Conn::Tls { .. } => Self { end: None, close_notify: has_end.then_some(true) },
        }
    }

    fn is_open(&self) -> bool {
        self.end.is_none() && self.close_notify.is_none()
    }

    /// Reads on for a while. What comes now belongs to no response.
    async fn follow(&mut self, probe: &Probe<'_>, conn: &mut Conn) {
        if self.end.is_some() {
            return;
        }
        // Both waits together are bounded: a server could send for ever.
        let _ = probe.bounds.within(LAST_FIN, self.read(conn)).await;
    }

    async fn read(&mut self, conn: &mut Conn) {
        if matches!(conn, Conn::Tls { .. }) && self.close_notify.is_none() {
            match drain(conn).await {
                Ok(()) => self.close_notify = Some(true),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    (self.end, self.close_notify) = (Some(PeerEnd::Fin), Some(false));
                    return;
                }
                Err(_) => {
                    self.end = Some(PeerEnd::Reset);
                    return;
                }
            }
        }
        self.end = Some(match drain(conn.socket()).await {
            Ok(()) => PeerEnd::Fin,
            Err(_) => PeerEnd::Reset,
        });
    }
}

async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}
