//! The life of one HTTP connection: what was read and written, what it waits for and until when, and who ended it.
//!
//! The socket's wrapper ([`super::Metered`]) says what crossed the connection; the handler says what a request is and what
//! its answer; this puts both together and records it. [`one`] has one message after the other (HTTP/1.1), [`many`] many
//! streams at once (HTTP/2), [`breaks`] where a fault ends them.
//!
//! Bytes are those of HTTP: over TLS what is within its records, not the records themselves. Over HTTP/2 a request's head
//! and a response are the frames of their stream, with the frames' headers, and the fields as they were compressed. Times
//! are those of the socket: a response is written when the kernel has taken its last byte, over TLS the last record.

mod breaks;
mod many;
mod one;

use std::{
    io::IoSlice,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    task::{Context, Poll},
    time::Duration,
};

use hyper::header::HeaderValue;
use journey::{TraceId, What, event::ClosedBy};
use service::{
    Stop,
    ring::now_ns,
    seats::{Busy, Seat},
};
use tokio::sync::Notify;
use tracing::debug;
use world::fault::Transport;

use super::{breaking::How, heads::Framing, tls::Tls};
use crate::{Server, journal, metrics::Port};
use many::Many;
use one::One;

pub(crate) use many::Arrived;

/// Bytes per second that a client must send of a request's body, and take of a response, on average. Kestrel's and IIS's
/// limit is the same by default.
const SLOWEST: u64 = 240;

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
    /// What was agreed on, where it is one over TLS.
    pub(crate) tls: Option<Tls>,
    /// Which server and which software answers, and when the server stops. Both are the connection's own: what all
    /// connections share travels between the processors' caches with every request.
    pub(crate) server_field: HeaderValue,
    pub(crate) stop: Stop,
    is_https: bool,
    accepted_ns: u64,
    seat: Arc<Seat>,
    // Whether a fault will end the connection, and the word that it does now.
    is_breaking: AtomicBool,
    breaking: Notify,
    // A std mutex: it is held for some assignments, by the connection's own tasks alone. Without `unsafe`, a cell that may
    // move between threads has to be one.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    course: Course,
    // A fault ends it.
    broken: Option<How>,
    requests: u64,
    visits: Vec<Option<TraceId>>,
    // While a request is handled or answered: the connection is not closed for another one.
    busy: Option<Busy>,
    bytes_in: u64,
    bytes_out: u64,
    // Who ended the connection and when: the first of them.
    ended: Option<(ClosedBy, u64)>,
    is_recorded: bool,
}

#[derive(Debug)]
enum Course {
    One(One),
    Many(Many),
}

impl Course {
    fn is_busy(&self) -> bool {
        match self {
            Self::One(one) => one.is_busy(),
            Self::Many(many) => many.is_busy(),
        }
    }
}

/// Where a client came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Whether it was the port of HTTPS, whatever is spoken there.
    pub(crate) is_https: bool,
    pub(crate) at_ns: u64,
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
    /// The head as it was read, where it was asked for and is text.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// An answer that the kernel has taken all of.
#[derive(Clone, Copy, Debug)]
struct Written {
    answered: Answered,
    at_ns: u64,
    bytes: u64,
}

/// What the kernel has of what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// When the call began by which it took the last of it. That time counts: the client may have the bytes before the
    /// call returns, and a response is not received before it is written.
    pub(crate) at_ns: u64,
    /// Whether it has all.
    pub(crate) is_all: bool,
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
    /// A connection that is counted as open already.
    pub(crate) fn new(server: Arc<Server>, accepted: Accepted, tls: Option<Tls>, seat: Arc<Seat>) -> Self {
        let Accepted { peer, local, is_https, at_ns: accepted_ns } = accepted;
        // A handshake has had a limit of its own.
        let now_ns = if tls.is_some() { now_ns() } else { accepted_ns };
        let course = if tls.as_ref().is_some_and(Tls::is_http_2) {
            Course::Many(Many::new(now_ns))
        } else {
            Course::One(One::new(now_ns, &server.config.limits))
        };
        let state = State {
            course,
            broken: None,
            requests: 0,
            visits: Vec::new(),
            busy: None,
            bytes_in: 0,
            bytes_out: 0,
            ended: None,
            is_recorded: false,
        };
        let config = &server.config;
        let port = if is_https { config.https_port } else { config.http_port };
        let world = config.in_world(local, port);
        let (server_field, stop) = (server.pages.server_field(), server.stop.child_token());
        let (is_breaking, breaking) = (AtomicBool::new(false), Notify::new());
        let state = Mutex::new(state);
        Self {
            server,
            peer,
            local,
            world,
            tls,
            server_field,
            stop,
            is_https,
            accepted_ns,
            seat,
            is_breaking,
            breaking,
            state,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is carried by, as faults call it.
    pub(crate) fn transport(&self) -> Transport {
        if self.is_https { Transport::Tls } else { Transport::Tcp }
    }

    fn port(&self) -> &Port {
        if self.is_https { &self.server.metrics.https } else { &self.server.metrics.http }
    }

    // What the handler says.

    /// h2 has a request, on this stream. Said in the order of requests, before any of them is handled.
    pub(crate) fn arrives(&self, stream: u32) -> Arrived {
        match &mut self.state().course {
            Course::One(_) => Arrived::default(),
            Course::Many(many) => many.arrives(stream),
        }
    }

    /// A request that has arrived is over without a whole response.
    pub(crate) fn gives_up(&self, arrived: Arrived) {
        let mut state = self.state();
        if let Course::Many(many) = &mut state.course {
            many.gives_up(arrived, now_ns());
            self.note_busy(&mut state);
        }
    }

    /// Waits until the request may be handled: over HTTP/1.1, until no response is on its way out. So it is answered
    /// after that one (RFC 9112 §9.3.2), and the bytes of two responses can be told apart.
    pub(crate) fn poll_turn(&self, cx: &Context<'_>) -> Poll<()> {
        match &mut self.state().course {
            Course::One(one) => one.poll_written(cx),
            Course::Many(_) => Poll::Ready(()),
        }
    }

    /// A request's head is read.
    pub(crate) fn began(&self, arrived: Arrived, asked: Asked<'_>) -> Began {
        let at_ns = now_ns();
        let mut state = self.state();
        state.requests += 1;
        let (bytes, head) = match &mut state.course {
            Course::One(one) => one.began(asked.framing, asked.keep_head),
            Course::Many(many) => (many.began(arrived), Vec::new()),
        };
        self.note_busy(&mut state);
        let (trace, journal) = (asked.trace, &self.server.journal);
        if journal.wants(trace) {
            let peer = self.peer;
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
        if let Course::One(one) = &mut state.course {
            // A FIN that has come already may mean something else within a body.
            one.wake();
        }
        Began { number: state.requests, at_ns, head_bytes: bytes, head }
    }

    /// The handler has nothing to say for a while: a client that closes its sending half now counts as gone.
    pub(crate) fn waits(&self) {
        if let Course::One(one) = &mut self.state().course {
            one.waits();
        }
    }

    /// The answer is made.
    pub(crate) fn answered(&self, arrived: Arrived, answered: Answered) {
        match &mut self.state().course {
            Course::One(one) => one.answered(answered, &self.server.config.limits),
            Course::Many(many) => many.answered(arrived, answered),
        }
    }

    /// Whether the client has ended the connection by a word of HTTP/2, before its FIN.
    pub(crate) fn client_leaves(&self) -> bool {
        matches!(&self.state().course, Course::Many(many) if many.client_leaves())
    }

    /// hyper has taken all of the answer's body, or there is none to take.
    pub(crate) fn body_taken(&self) {
        if let Course::One(one) = &mut self.state().course {
            one.body_taken();
        }
    }

    // What the socket says.

    pub(crate) fn has_read(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.bytes_in += bytes.len() as u64;
        match &mut state.course {
            Course::One(one) => one.has_read(bytes, now_ns, &self.server.config.limits),
            Course::Many(many) => {
                many.has_read(bytes, now_ns());
                self.note_busy(&mut state);
            }
        }
    }

    /// hyper has written so many bytes of these slices.
    pub(crate) fn has_written(&self, slices: &[IoSlice<'_>], length: usize, sent: Sent) {
        let mut state = self.state();
        state.bytes_out += length as u64;
        match &mut state.course {
            Course::One(one) => one.has_written(length as u64),
            Course::Many(many) => {
                let mut left = length;
                for slice in slices {
                    let taken = left.min(slice.len());
                    many.has_written(&slice[..taken], sent.at_ns);
                    left -= taken;
                }
            }
        }
        self.note_sent(&mut state, sent);
    }

    /// The kernel may have more of what was written.
    pub(crate) fn has_sent(&self, sent: Sent) {
        self.note_sent(&mut self.state(), sent);
    }

    fn note_sent(&self, state: &mut State, sent: Sent) {
        match &mut state.course {
            Course::One(one) => one.has_sent(sent.at_ns, &self.server.config.limits),
            Course::Many(many) => {
                for written in many.has_sent(sent) {
                    self.record(&written);
                }
                self.note_busy(state);
            }
        }
        self.note_broken(state);
    }

    /// Everything that hyper gave to the socket is with the kernel.
    pub(crate) fn has_flushed(&self) {
        let mut state = self.state();
        if let Course::One(one) = &mut state.course
            && let Some(written) = one.has_flushed(&self.server.config.limits)
        {
            self.record(&written);
            self.note_busy(&mut state);
        }
        self.note_broken(&mut state);
    }

    fn note_busy(&self, state: &mut State) {
        if !state.course.is_busy() {
            state.busy = None;
        } else if state.busy.is_none() {
            state.busy = Some(self.seat.busy());
        }
    }

    /// Waits until hyper may be told of the client's FIN, which it takes for a client that has gone. One that has closed
    /// only its sending half still waits for the answer to what it has sent (RFC 9293 §3.6). But a FIN within a request
    /// leaves nothing to answer. Over HTTP/2 a client that wants answers keeps its half open (RFC 9113 §5.4.1).
    pub(crate) fn poll_end(&self, cx: &Context<'_>) -> Poll<()> {
        match &mut self.state().course {
            Course::One(one) => one.poll_end(cx),
            Course::Many(_) => Poll::Ready(()),
        }
    }

    fn record(&self, written: &Written) {
        let Written { answered, at_ns, bytes } = *written;
        if !self.server.journal.wants(answered.trace) {
            return;
        }
        let (peer, status) = (self.peer, Some(answered.status));
        let elapsed_us = at_ns.saturating_sub(answered.began_ns) / 1000;
        self.server.journal.visit(answered.trace, at_ns, What::ResponseWritten { peer, status, bytes, elapsed_us });
    }

    // What the connection's task asks.

    /// Whether a request is being handled or answered.
    pub(crate) fn is_busy(&self) -> bool {
        self.state().course.is_busy()
    }

    /// Whether it may have many requests under way at once.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::is_http_2)
    }

    /// Whether there may be bytes that nobody will read. A socket closed over them sends a RST, and that can take the
    /// last response away from the client (RFC 9112 §9.6).
    pub(crate) fn is_unread(&self) -> bool {
        match &self.state().course {
            Course::One(one) => one.is_unread(),
            Course::Many(_) => false,
        }
    }

    /// The client is told that the connection ends; it need not close, but has not long.
    pub(crate) fn leaves(&self) {
        if let Course::Many(many) = &mut self.state().course {
            many.leaves(now_ns());
        }
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
            // What begins meanwhile lasts at least this long. So a request costs no timer, only an assignment.
            let shortest = limits.read.min(limits.idle);
            let (expires, shortest) = match &self.state().course {
                Course::One(one) => (one.expires(), shortest),
                Course::Many(many) => (many.expires(limits), many.shortest(shortest)),
            };
            let wait = match expires {
                Some((expires_ns, why)) if expires_ns <= now_ns => return why,
                Some((expires_ns, _)) => Duration::from_nanos(expires_ns - now_ns),
                None => shortest,
            };
            tokio::time::sleep(wait.min(shortest)).await;
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
        self.port().closed(bytes_in, bytes_out);
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

/// How long a client may take for so many bytes, besides the time in which the next ones must come or go. A client that
/// moves one byte before each time limit would otherwise keep its connection for years.
pub(crate) fn earn(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SLOWEST)
}

fn after(now_ns: u64, limit: Duration) -> u64 {
    now_ns.saturating_add(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX))
}
