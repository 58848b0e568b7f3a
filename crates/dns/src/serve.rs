//! The sockets of a DNS server around a hickory-server [`RequestHandler`].
//!
//! `hickory_server::Server` has sockets of its own; these are here because it has no limit on TCP connections, does not
//! finish what it began when it is told to stop, and drops the OPT record from a truncated answer (RFC 6891 §7 wants it
//! there). Messages come as datagrams, over TCP, over TLS (RFC 7858) and over HTTPS (RFC 8484); all go to one handler under
//! one set of limits. Beside the handler this module decides what every server decides alike: what is no query at all, which
//! opcodes and EDNS versions are answered how (RFC 8906 §3), how large a UDP answer may be, and it records the queries
//! that belong to a visit. The faults of a lab's server are applied here, too, since what is wrong with most of them can be
//! sent by no handler.

mod fault;
mod https;
mod message;
mod metrics;
mod seats;
mod signature;
mod tcp;
mod udp;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use hickory_net::{runtime::TokioTime, xfer::Protocol};
use hickory_proto::op::ResponseCode;
use hickory_server::server::{Request, RequestHandler};
use journey::{TraceId, What, dns::Transport};
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use service::{
    Bound, Door, Ended, Recorder, Signals, Stop,
    admin::{self, Admin},
    ring::now_ns,
};
use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};
use tracing::{debug, info};

pub use fault::{Faulty, Struck, struck};
pub use message::Encoded;
pub use metrics::Metrics;

use crate::{options, words};
use message::{Parsed, Slot};
use seats::Seats;
use tcp::Kind;

/// The bound sockets of a server. Several UDP sockets on one address (`SO_REUSEPORT`) share its load.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For datagrams.
    pub udp: Vec<UdpSocket>,
    /// For streams.
    pub tcp: Vec<TcpListener>,
    /// For streams over TLS (RFC 7858).
    pub tls: Vec<TcpListener>,
    /// For HTTPS (RFC 8484).
    pub https: Vec<TcpListener>,
}

/// A server's side of TLS.
#[derive(Clone, Debug)]
pub struct Secure {
    /// For DNS over TLS.
    pub tls: Arc<ServerConfig>,
    /// For DNS over HTTPS.
    pub https: Arc<ServerConfig>,
}

impl Secure {
    /// The protocol that is offered for DNS over TLS (RFC 7858, registered in its §7.2 and with IANA as `dot`).
    pub const TLS: [&str; 1] = ["dot"];
    /// Those for DNS over HTTPS, the better one first.
    pub const HTTPS: [&str; 2] = ["h2", "http/1.1"];

    /// Both with the certificate of this one, which is for [`Secure::TLS`].
    pub fn new(tls: Arc<ServerConfig>) -> Self {
        let mut https = ServerConfig::clone(&tls);
        https.alpn_protocols = Self::HTTPS.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { tls, https: Arc::new(https) }
    }
}

/// What a server allows its clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// TCP connections held open at once, those over TLS and those of HTTPS each as many, and half of them for one client.
    /// For one more, the one that has been idle longest is closed (RFC 7766 §6.2.3).
    pub tcp_connections: usize,
    /// A TCP connection without a query for so long is closed, and one without a TLS handshake.
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
    /// For the sockets over TLS; without it there must be none.
    pub secure: Option<Secure>,
    /// What is wrong with it.
    pub faults: Faulty,
}

impl<H: RequestHandler> Server<H> {
    /// The whole life of a DNS service on its sockets `dns`, `dot`, `doh` and `admin`: it serves until it is told to stop and has
    /// drained. `beside` is what it does meanwhile: reading its files again on [`Signals::reload`].
    pub async fn live(
        self: Arc<Self>,
        mut sockets: Bound,
        registry: Registry,
        beside: impl Future<Output = ()> + Send + 'static,
        signals: Signals,
    ) -> io::Result<Ended> {
        let dns = Sockets {
            udp: sockets.take_udp("dns")?,
            tcp: sockets.take_tcp("dns")?,
            tls: sockets.take_tcp("dot")?,
            https: sockets.take_tcp("doh")?,
        };
        if self.secure.is_none() && !(dns.tls.is_empty() && dns.https.is_empty()) {
            return Err(io::Error::other("there is a socket for DNS over TLS, and no authority for its certificate"));
        }
        signals.history.is_of(&self.recorder);
        let admin = Admin { recorder: self.recorder.clone(), registry, signals: signals.clone() };
        // Dropping the set at the end stops what is in it: the admin port answers until all else has drained.
        let mut tasks = JoinSet::new();
        tasks.spawn(admin::serve(sockets.take_tcp("admin")?, admin, Stop::new()));
        // It may be asked to read its files again as soon as it is ready, before that task has run for the first time.
        signals.reload.listen();
        tasks.spawn(beside);
        tasks.spawn({
            let (server, signals) = (Arc::clone(&self), signals.clone());
            async move {
                signals.stop.cancelled().await;
                signals.ready.set(false);
                info!(host = server.recorder.host(), "draining");
            }
        });
        // A fault that is put into force once the server is ready finds its sockets.
        let loops = self.begin(dns, &signals.stop)?;
        signals.ready.set(true);
        Ok(Ended { cut_off: loops.join_all().await.into_iter().sum() })
    }

    /// Serves until `stop`, then finishes what was begun within the grace period. Returns how many queries and
    /// connections were cut off at its end.
    pub async fn serve(self: Arc<Self>, sockets: Sockets, stop: Stop) -> io::Result<usize> {
        Ok(self.begin(sockets, &stop)?.join_all().await.into_iter().sum())
    }

    fn begin(self: Arc<Self>, sockets: Sockets, stop: &Stop) -> io::Result<JoinSet<usize>> {
        let mut loops = JoinSet::new();
        for socket in sockets.udp {
            loops.spawn(udp::serve(Arc::clone(&self), Arc::new(socket), stop.clone()));
        }
        let secure = self.secure.clone();
        let [tls, https] = [secure.as_ref().map(|both| &both.tls), secure.as_ref().map(|both| &both.https)];
        let kinds = [
            (Some(Kind::Plain), sockets.tcp),
            (tls.cloned().map(Kind::Tls), sockets.tls),
            (https.cloned().map(Kind::Https), sockets.https),
        ];
        for (kind, listeners) in kinds {
            let Some(kind) = kind else { continue };
            let seats = Seats::new(self.limits.tcp_connections);
            for listener in listeners {
                let seats = Arc::clone(&seats);
                let (faults, host) = (self.faults.faults(), self.recorder.host().to_owned());
                let door = Door::new(listener, faults, move |fault| fault::door(fault, &host))?;
                loops.spawn(tcp::serve(Arc::clone(&self), door, kind.clone(), seats, stop.clone()));
            }
        }
        Ok(loops)
    }

    /// What to send back for these bytes.
    async fn answer(self: Arc<Self>, bytes: Vec<u8>, peer: SocketAddr, transport: Transport) -> Heard {
        let read_ns = now_ns();
        let request = match message::parse(bytes, peer, transport) {
            Parsed::Query(request) => *request,
            Parsed::Error(reply) => {
                self.metrics.query(transport);
                self.metrics.reply(&reply);
                return Heard::Answer(Answered { bytes: reply, visit: None });
            }
            Parsed::Ignore => {
                self.metrics.ignored();
                return Heard::Ignored;
            }
        };
        self.metrics.query(transport);
        let trace = request.edns.as_ref().and_then(options::trace_of);
        let visit = self.recorder.wants(trace).then(|| self.note_query(trace, read_ns, &request, transport));
        let reply = match message::refusal(&request) {
            Some(code) => {
                let refusal = message::error(&request, code, self.nsid.as_deref());
                message::fit(refusal, &request)
            }
            None => match self.reply(&request, transport).await {
                Some(reply) => reply,
                None => return Heard::Nothing,
            },
        };
        self.metrics.reply(&reply);
        debug!(
            %peer,
            transport = transport.as_str(),
            qname = %request.queries.queries()[0].name(),
            qtype = words::rtype(request.queries.queries()[0].query_type()),
            rcode = reply[3] & 0x0f,
            bytes = reply.len(),
            elapsed_us = now_ns().saturating_sub(read_ns) / 1_000,
            "answered"
        );
        Heard::Answer(Answered { bytes: reply, visit })
    }

    /// What the handler answers.
    async fn handled(&self, request: &Request) -> Encoded {
        let slot = Slot::new(request);
        self.handler.handle_request::<_, TokioTime>(request, slot.clone()).await;
        slot.take().unwrap_or_else(|| message::error(request, ResponseCode::ServFail, self.nsid.as_deref()))
    }

    fn note_query(&self, trace: Option<TraceId>, read_ns: u64, request: &Request, transport: Transport) -> Visit {
        let question = words::question(&request.queries.queries()[0].original().clone());
        let peer = request.src();
        self.recorder.record(trace, read_ns, What::QueryReceived { peer, transport, question: question.clone() });
        Visit { trace, read_ns, peer, transport, question }
    }

    /// What is to be recorded of an answer that is about to be sent, if its query was. Its time is that before the
    /// sending: the client may have it before the call returns, and an answer is not received before it is sent.
    fn sending(&self, answered: &Answered) -> Option<Sending> {
        let visit = answered.visit.as_ref()?;
        // Reading our own bytes again keeps the record true to what is sent; it costs visits only, not loads.
        let reply = words::sent(&answered.bytes);
        let at_ns = now_ns();
        let what = What::AnswerSent {
            peer: visit.peer,
            transport: visit.transport,
            question: visit.question.clone(),
            reply,
            elapsed_us: at_ns.saturating_sub(visit.read_ns) / 1_000,
        };
        Some(Sending { trace: visit.trace, at_ns, what })
    }

    /// Records what has just been sent.
    fn sent(&self, sending: Option<Sending>) {
        if let Some(Sending { trace, at_ns, what }) = sending {
            self.recorder.record(trace, at_ns, what);
        }
    }
}

/// What is recorded of an answer once it is sent.
struct Sending {
    trace: Option<TraceId>,
    at_ns: u64,
    what: What,
}

/// What comes of some bytes.
enum Heard {
    /// This is sent.
    Answer(Answered),
    /// It was a query, and nothing is sent: a fault.
    Nothing,
    /// Nothing that may be answered.
    Ignored,
}

/// An answer, and what is recorded once it is sent.
struct Answered {
    bytes: Vec<u8>,
    visit: Option<Visit>,
}

/// What is remembered of a visit's query until its answer is sent.
struct Visit {
    trace: Option<TraceId>,
    read_ns: u64,
    peer: SocketAddr,
    transport: Transport,
    question: journey::dns::Question,
}

fn protocol(transport: Transport) -> Protocol {
    match transport {
        Transport::Udp => Protocol::Udp,
        // A handler is to know only whether an answer must fit into a datagram.
        Transport::Tcp | Transport::Tls | Transport::Https => Protocol::Tcp,
    }
}

#[cfg(test)]
mod tests;
