//! The sockets of a DNS server around a hickory-server [`RequestHandler`].
//!
//! `hickory_server::Server` has sockets of its own; these are here because it has no limit on TCP connections, does not
//! finish what it began when it is told to stop, and drops the OPT record from a truncated answer (RFC 6891 §7 wants it
//! there). Beside the handler this module decides what every server decides alike: what is no query at all, which
//! opcodes and EDNS versions are answered how (RFC 8906 §3), how large a UDP answer may be, and it records the queries
//! that belong to a visit.

mod message;
mod metrics;
mod tcp;
mod udp;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hickory_net::{runtime::TokioTime, xfer::Protocol};
use hickory_proto::op::{Message, ResponseCode};
use hickory_server::server::{Request, RequestHandler};
use journey::{TraceId, What, dns::Transport};
use service::{Recorder, Stop, ring::now_ns};
use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};
use tracing::debug;

pub use message::Encoded;
pub use metrics::Metrics;

use crate::{options, words};
use message::{Parsed, Slot};

/// The bound sockets of a server. Several UDP sockets on one address (`SO_REUSEPORT`) share its load.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For datagrams.
    pub udp: Vec<UdpSocket>,
    /// For streams.
    pub tcp: Vec<TcpListener>,
}

/// What a server allows its clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// TCP connections held open at once; more wait in the accept queue.
    pub tcp_connections: usize,
    /// A TCP connection without a query for so long is closed.
    pub tcp_idle: Duration,
    /// UDP queries that wait for something at once, per socket; more are dropped and counted.
    pub pending: usize,
    /// How long what was begun may take once `stop` is cancelled.
    pub grace: Duration,
}

/// A handler with what is needed to serve it.
#[derive(Debug)]
pub struct Server<H> {
    /// Answers.
    pub handler: H,
    /// The server's name for itself, told to whom asks (RFC 5001).
    pub nsid: Option<String>,
    /// Records the queries that belong to a visit.
    pub recorder: Recorder,
    /// Counts all.
    pub metrics: Metrics,
    /// What clients may do.
    pub limits: Limits,
}

impl<H: RequestHandler> Server<H> {
    /// Serves until `stop`, then finishes what was begun within the grace period. Returns how many queries and
    /// connections were cut off at its end.
    pub async fn serve(self: Arc<Self>, sockets: Sockets, stop: Stop) -> usize {
        let mut loops = JoinSet::new();
        for socket in sockets.udp {
            loops.spawn(udp::serve(Arc::clone(&self), Arc::new(socket), stop.clone()));
        }
        let permits = Arc::new(tokio::sync::Semaphore::new(self.limits.tcp_connections));
        for listener in sockets.tcp {
            loops.spawn(tcp::serve(Arc::clone(&self), listener, Arc::clone(&permits), stop.clone()));
        }
        loops.join_all().await.into_iter().sum()
    }

    /// The bytes to send back for these bytes, or `None` where nothing must be sent.
    async fn answer(self: Arc<Self>, bytes: Vec<u8>, peer: SocketAddr, transport: Transport) -> Option<Answered> {
        let read_ns = now_ns();
        let request = match message::parse(bytes, peer, transport) {
            Parsed::Query(request) => *request,
            Parsed::Error(reply) => {
                self.metrics.query(transport);
                self.metrics.reply(&reply);
                return Some(Answered { bytes: reply, visit: None });
            }
            Parsed::Ignore => {
                self.metrics.ignored();
                return None;
            }
        };
        self.metrics.query(transport);
        let trace = request.edns.as_ref().and_then(options::trace_of);
        let visit = trace.map(|trace| self.note_query(trace, read_ns, &request, transport));
        let slot = Slot::default();
        let encoded = match message::refusal(&request) {
            Some(code) => message::error(&request, code, self.nsid.as_deref()),
            None => {
                self.handler.handle_request::<_, TokioTime>(&request, slot.clone()).await;
                slot.take().unwrap_or_else(|| message::error(&request, ResponseCode::ServFail, self.nsid.as_deref()))
            }
        };
        let reply = message::fit(encoded, &request);
        self.metrics.reply(&reply);
        debug!(%peer, transport = transport.as_str(), bytes = reply.len(), "answered");
        Some(Answered { bytes: reply, visit })
    }

    fn note_query(&self, trace: TraceId, read_ns: u64, request: &Request, transport: Transport) -> Visit {
        let question = words::question(&request.queries.queries()[0].original().clone());
        let peer = request.src();
        self.recorder.record(Some(trace), read_ns, What::QueryReceived { peer, transport, question: question.clone() });
        Visit { trace, read_ns, peer, transport, question }
    }

    /// Records an answer that has just been sent.
    fn note_sent(&self, answered: Answered) {
        let Some(visit) = answered.visit else { return };
        // Reading our own bytes again keeps the record true to what was sent; it costs visits only, not loads.
        let Ok(message) = Message::from_vec(&answered.bytes) else { return };
        let now = now_ns();
        self.recorder.record(
            Some(visit.trace),
            now,
            What::AnswerSent {
                peer: visit.peer,
                transport: visit.transport,
                question: visit.question,
                reply: words::reply(&message, answered.bytes.len()),
                elapsed_us: now.saturating_sub(visit.read_ns) / 1_000,
            },
        );
    }
}

/// An answer, and what is recorded once it is sent.
struct Answered {
    bytes: Vec<u8>,
    visit: Option<Visit>,
}

/// What is remembered of a visit's query until its answer is sent.
struct Visit {
    trace: TraceId,
    read_ns: u64,
    peer: SocketAddr,
    transport: Transport,
    question: journey::dns::Question,
}

fn protocol(transport: Transport) -> Protocol {
    match transport {
        Transport::Udp => Protocol::Udp,
        Transport::Tcp => Protocol::Tcp,
    }
}
