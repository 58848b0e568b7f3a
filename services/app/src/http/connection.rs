//! The life of one HTTP connection: what was read and written, what it waits for and until when, and who ended it.
//!
//! The socket's wrapper ([`super::Metered`]) says what crossed the socket; the handler says what a request is and what
//! its answer; this puts both together and records it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use hyper::header::HeaderValue;
use journey::{TraceId, What, event::ClosedBy};
use service::{Stop, ring::now_ns};
use tracing::debug;

use super::heads::{Framing, Heads};
use crate::{Server, journal};

/// Visits that one connection is told to; each gets the connection's begin and end. More would be no visit's connection.
const MAX_VISITS: usize = 8;

/// One connection of a client.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) server: Arc<Server>,
    /// The client's socket.
    pub(crate) peer: SocketAddr,
    /// The socket that the client came in by.
    pub(crate) local: SocketAddr,
    /// The world's address that it stands for.
    pub(crate) world: SocketAddr,
    /// Which server and which software answers, and when the server stops. Both are the connection's own: what all
    /// connections share travels between the processors' caches with every request.
    pub(crate) server_field: HeaderValue,
    pub(crate) stop: Stop,
    accepted_ns: u64,
    // A std mutex: it is held for some assignments, by the connection's own task alone. Without `unsafe`, a cell that may
    // move between threads has to be one.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    heads: Heads,
    phase: Phase,
    // Until when something must come or go; none while the handler is at work.
    expires_ns: Option<u64>,
    requests: u64,
    visits: Vec<TraceId>,
    bytes_in: u64,
    bytes_out: u64,
    // Waits for the response to be written, or to tell hyper of the client's FIN: the connection's own task.
    waiting: Option<Waker>,
    // A FIN of the client, now, means that it has gone.
    ends_with_client: bool,
    // Who ended the connection and when: the first of them.
    ended: Option<(ClosedBy, u64)>,
    is_recorded: bool,
    is_unread: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No byte of the next request has come.
    Idle,
    /// Some of its head has.
    Head,
    /// The head is read and the handler at work, which reads the body.
    Handling,
    /// The response is on its way out.
    Writing(Writing),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Writing {
    trace: Option<TraceId>,
    status: u16,
    began_ns: u64,
    // When the client last took some of it; at first, when it was made.
    at_ns: u64,
    // What had been written before it.
    bytes_before: u64,
    // hyper has taken all of its body.
    is_taken: bool,
}

/// What the connection knows of a request.
#[derive(Debug)]
pub(crate) struct Began {
    /// Its number on this connection, from 1.
    pub(crate) number: u64,
    /// When its head was read.
    pub(crate) at_ns: u64,
    /// How long its head was.
    pub(crate) head_bytes: u64,
    /// The head as it was read, where it was asked for.
    pub(crate) head: Vec<u8>,
}

/// A request, as far as the connection cares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) framing: Framing,
    pub(crate) trace: Option<TraceId>,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Whether the handler wants the head's bytes.
    pub(crate) keep_head: bool,
}

/// An answer, as far as the connection cares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) trace: Option<TraceId>,
    pub(crate) status: u16,
    /// When the request's head was read.
    pub(crate) began_ns: u64,
    /// When the answer was made.
    pub(crate) at_ns: u64,
    /// Whether some of the request's body is not read, and never will be.
    pub(crate) leaves_body: bool,
}

/// Why a connection ends although hyper would go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// Nothing was asked for so long.
    Idle,
    /// A head has begun and not ended.
    Head,
    /// The client does not take its response.
    Response,
}

impl Connection {
    pub(crate) fn new(server: Arc<Server>, local: SocketAddr, peer: SocketAddr) -> Self {
        let accepted_ns = now_ns();
        server.metrics.http.opened();
        let state = State {
            heads: Heads::default(),
            phase: Phase::Idle,
            expires_ns: Some(after(accepted_ns, server.config.limits.read)),
            requests: 0,
            visits: Vec::new(),
            bytes_in: 0,
            bytes_out: 0,
            waiting: None,
            ends_with_client: false,
            ended: None,
            is_recorded: false,
            is_unread: false,
        };
        let world = server.config.in_world(local, server.config.http_port);
        let (server_field, stop) = (server.pages.server_field(), server.stop.child_token());
        Self { server, peer, local, world, server_field, stop, accepted_ns, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What the handler says.

    /// Waits until no response is on its way out. So the next request is answered after it (RFC 9112 §9.3.2), and the
    /// bytes of two responses can be told apart.
    pub(crate) fn poll_written(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if matches!(state.phase, Phase::Writing(_)) {
            state.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// A request's head is read.
    pub(crate) fn began(&self, asked: Asked<'_>) -> Began {
        let at_ns = now_ns();
        let mut state = self.state();
        state.phase = Phase::Handling;
        state.expires_ns = None;
        state.ends_with_client = false;
        state.requests += 1;
        let keep = |head: &[u8]| (head.len() as u64, if asked.keep_head { head.to_vec() } else { Vec::new() });
        let (bytes, head) = state.heads.take(asked.framing, keep);
        if let Some(trace) = asked.trace {
            let (journal, peer) = (&self.server.journal, self.peer);
            if !state.visits.contains(&trace) {
                // Which visit a connection belongs to is known only now.
                journal.visit(trace, self.accepted_ns, What::ConnectionAccepted { peer, local: self.world });
                if state.visits.len() == MAX_VISITS {
                    state.visits.remove(0);
                }
                state.visits.push(trace);
            }
            let (method, target) = (journal::method(asked.method), journal::target(asked.path));
            journal.visit(trace, at_ns, What::RequestRead { peer, method, target, bytes });
        }
        // A FIN that has come already may mean something else within a body.
        state.wake();
        Began { number: state.requests, at_ns, head_bytes: bytes, head }
    }

    /// The handler has nothing to say for a while: a client that closes its sending half now counts as gone.
    pub(crate) fn waits(&self) {
        let mut state = self.state();
        state.ends_with_client = true;
        state.wake();
    }

    /// The answer is made.
    pub(crate) fn answered(&self, answered: Answered) {
        let Answered { trace, status, began_ns, at_ns, leaves_body } = answered;
        let mut state = self.state();
        let bytes_before = state.bytes_out;
        let writing = Writing { trace, status, began_ns, at_ns, bytes_before, is_taken: false };
        state.phase = Phase::Writing(writing);
        state.expires_ns = Some(after(at_ns, self.server.config.limits.read));
        state.is_unread |= leaves_body;
    }

    /// hyper has taken all of the answer's body, or there is none to take.
    pub(crate) fn body_taken(&self) {
        if let Phase::Writing(writing) = &mut self.state().phase {
            writing.is_taken = true;
        }
    }

    // What the socket says.

    pub(crate) fn has_read(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.bytes_in += bytes.len() as u64;
        state.heads.feed(bytes);
        // A head that came in one piece has no need of a time limit: it is handled next.
        if state.phase == Phase::Idle && !state.heads.is_complete() {
            state.phase = Phase::Head;
            state.expires_ns = Some(after(now_ns(), self.server.config.limits.read));
        }
    }

    /// So many bytes went to the socket by a call that began at `began_ns`. That time counts: the client may have them
    /// before the call returns, and a response is not received before it is written.
    pub(crate) fn has_written(&self, bytes: usize, began_ns: u64) {
        let mut state = self.state();
        state.bytes_out += bytes as u64;
        if let Phase::Writing(writing) = &mut state.phase {
            writing.at_ns = began_ns;
            state.expires_ns = Some(after(writing.at_ns, self.server.config.limits.read));
        }
    }

    /// Waits until hyper may be told of the client's FIN, which it takes for a client that has gone. One that has closed
    /// only its sending half still waits for the answer to what it has sent (RFC 9293 §3.6). But a FIN within a request
    /// leaves nothing to answer.
    pub(crate) fn poll_end(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        let is_kept = match state.phase {
            Phase::Idle | Phase::Head => state.heads.is_complete(),
            Phase::Handling => !state.heads.is_in_body() && !state.ends_with_client,
            Phase::Writing(_) => true,
        };
        if is_kept {
            state.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Everything that hyper gave to the socket is written. hyper asks for this only when it has given all it has, so
    /// once the body is taken the response is out.
    pub(crate) fn has_flushed(&self) {
        let mut state = self.state();
        let Phase::Writing(writing) = state.phase else { return };
        if !writing.is_taken {
            return;
        }
        let at_ns = writing.at_ns;
        let limits = &self.server.config.limits;
        (state.phase, state.expires_ns) = if state.heads.has_begun() {
            (Phase::Head, Some(after(at_ns, limits.read)))
        } else {
            (Phase::Idle, Some(after(at_ns, limits.idle)))
        };
        if let Some(trace) = writing.trace {
            let (peer, status) = (self.peer, Some(writing.status));
            let bytes = state.bytes_out - writing.bytes_before;
            let elapsed_us = at_ns.saturating_sub(writing.began_ns) / 1000;
            self.server.journal.visit(trace, at_ns, What::ResponseWritten { peer, status, bytes, elapsed_us });
        }
        state.wake();
    }

    // What the connection's task asks.

    /// Whether a request is being handled or answered.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.state().phase, Phase::Handling | Phase::Writing(_))
    }

    /// Whether there may be bytes that nobody will read. A socket closed over them sends a RST, and that can take the
    /// last response away from the client (RFC 9112 §9.6).
    pub(crate) fn is_unread(&self) -> bool {
        let state = self.state();
        state.is_unread || state.heads.has_begun()
    }

    /// Whether the client has closed or reset its end.
    pub(crate) fn is_ended_by_peer(&self) -> bool {
        matches!(self.state().ended, Some((ClosedBy::Peer | ClosedBy::PeerReset, _)))
    }

    /// How long the connection had been open at that time.
    pub(crate) fn open_for(&self, at_ns: u64) -> Duration {
        Duration::from_nanos(at_ns.saturating_sub(self.accepted_ns))
    }

    /// Ends when the connection has waited for too long; says for what.
    pub(crate) async fn expired(&self) -> Expired {
        let limits = &self.server.config.limits;
        loop {
            let now_ns = now_ns();
            let (phase, expires_ns) = {
                let state = self.state();
                (state.phase, state.expires_ns)
            };
            let wait = match expires_ns {
                Some(expires_ns) if expires_ns <= now_ns => {
                    return match phase {
                        Phase::Idle => Expired::Idle,
                        Phase::Head | Phase::Handling => Expired::Head,
                        Phase::Writing(_) => Expired::Response,
                    };
                }
                Some(expires_ns) => Duration::from_nanos(expires_ns - now_ns),
                // What begins meanwhile lasts at least this long. So a request costs no timer, only an assignment.
                None => limits.read.min(limits.idle),
            };
            tokio::time::sleep(wait.min(limits.read).min(limits.idle)).await;
        }
    }

    /// The connection has ended, by this side unless it is known otherwise; the first to say so is right.
    pub(crate) fn ended(&self, by: ClosedBy) {
        self.state().ended.get_or_insert_with(|| (by, now_ns()));
    }

    /// Records the connection's end, once.
    pub(crate) fn record_end(&self) {
        self.ended(ClosedBy::Me);
        let mut state = self.state();
        let Some((by, at_ns)) = state.ended else { return };
        if std::mem::replace(&mut state.is_recorded, true) {
            return;
        }
        let (peer, bytes_in, bytes_out) = (self.peer, state.bytes_in, state.bytes_out);
        for trace in &state.visits {
            self.server.journal.visit(*trace, at_ns, What::ConnectionClosed { peer, by, bytes_in, bytes_out });
        }
        self.server.metrics.http.closed(bytes_in, bytes_out);
        debug!(%peer, ?by, bytes_in, bytes_out, requests = state.requests, "connection closed");
    }
}

/// Holds a connection while its task lives: one that is cut off is recorded as well.
#[derive(Debug)]
pub(crate) struct Life(pub(crate) Arc<Connection>);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.record_end();
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}

fn after(now_ns: u64, limit: Duration) -> u64 {
    now_ns.saturating_add(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX))
}
