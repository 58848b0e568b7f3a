//! A resolver that is asked over TLS (RFC 7858) or HTTPS (RFC 8484): one connection, on which both questions travel.
//!
//! | module | what |
//! |---|---|
//! | `channel` | the open connection: messages there and back |

mod channel;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use dns::{options, words};
use hickory_proto::{
    op::{Message, Query},
    rr::rdata::opt::EdnsOption,
};
use journey::{
    NoUse, Reason,
    dns::Transport,
    stage::{Exchange, Failure, Opening, Opt, QueryResult},
};
use secrets::Secrets;
use tokio::{net::TcpStream, sync::OnceCell};
use world::{Protocol, Route};

use super::{
    Probe,
    bounds::cut,
    conn::Counted,
    stub::{Log, NoReply, Unfit, failed, fitting, query_message, with_less},
    target::Host,
    tls,
};
use channel::{Channel, Lost};

/// How long opening a connection may take, then the handshake, then the answer; each.
const PATIENCE: Duration = Duration::from_secs(5);
/// The EDNS option that makes the length of a message tell less (RFC 7830).
const PADDING: u16 = 12;
/// Queries are made as long as a multiple of this (RFC 8467 §4.1).
const BLOCK: usize = 128;

/// A resolver that is asked over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// What is spoken inside TLS.
    pub over: Over,
    /// Who it is: the name or address that its certificate must be for.
    pub host: Host,
    /// Its port.
    pub port: u16,
}

/// What is spoken inside TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// Messages behind their lengths.
    Tls,
    /// HTTP.
    Https {
        /// The path, and the query where there is one.
        path: String,
    },
}

impl Upstream {
    /// As it would be written.
    pub fn url(&self, secrets: Secrets) -> String {
        let host = self.authority();
        match &self.over {
            Over::Tls => format!("tls://{host}"),
            Over::Https { path } => format!("https://{host}{}", secrets.text(path)),
        }
    }

    /// Host, and port unless it is the usual one.
    fn authority(&self) -> String {
        let host = match &self.host {
            Host::Name(name) => name.clone(),
            Host::Ip(IpAddr::V4(ip)) => ip.to_string(),
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
        };
        match (&self.over, self.port) {
            (Over::Tls, 853) | (Over::Https { .. }, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    fn transport(&self) -> Transport {
        match self.over {
            Over::Tls => Transport::Tls,
            Over::Https { .. } => Transport::Https,
        }
    }

    /// The application protocols to offer: `dot` is registered, and a server may insist (RFC 7858 names none).
    fn alpn(&self) -> &'static [&'static str] {
        match self.over {
            Over::Tls => &["dot"],
            Over::Https { .. } => &["h2", "http/1.1"],
        }
    }
}

/// A connection to a resolver, opened by the first question.
pub struct Session<'a> {
    probe: &'a Probe<'a>,
    upstream: &'a Upstream,
    address: SocketAddr,
    log: Rc<Log>,
    channel: OnceCell<Result<Channel, NoReply>>,
}

impl<'a> Session<'a> {
    /// Opens nothing yet.
    pub fn new(probe: &'a Probe<'a>, upstream: &'a Upstream, address: SocketAddr, log: Rc<Log>) -> Self {
        Self { probe, upstream, address, log, channel: OnceCell::new() }
    }

    /// Asks; the reply may say anything, also that there is no such name. A server that turns EDNS down is asked again
    /// with less of it.
    pub async fn ask(&self, query: &Query) -> Result<Message, NoReply> {
        let mut opt = Opt::Full;
        loop {
            let reply = self.ask_with(query, opt).await?;
            match with_less(opt, &reply) {
                Some(less) => opt = less,
                None => return Ok(reply),
            }
        }
    }

    async fn ask_with(&self, query: &Query, opt: Opt) -> Result<Message, NoReply> {
        let (nth, message, bytes) = self.begin(query, opt);
        let mut opened_here = false;
        let opening = self.channel.get_or_init(|| {
            opened_here = true;
            self.open(nth)
        });
        let channel = match opening.await {
            Ok(channel) => channel,
            Err(no_reply) => {
                if !opened_here {
                    let why = "the connection that it was to share did not open".to_owned();
                    self.end(nth, QueryResult::Failed { why, failure: NoUse::Other });
                }
                return Err(no_reply.clone());
            }
        };
        let server = self.named();
        // The channel writes it as soon as it is told to.
        self.log.borrow_mut()[nth].sent_us = Some(self.probe.clock.us());
        let came = match self.probe.bounds.within(PATIENCE, channel.exchange(message.metadata.id, bytes)).await {
            Ok(Ok(came)) => came,
            Ok(Err(lost)) => return Err(self.lost(nth, &lost)),
            Err(reason) => return Err(self.unanswered(nth, reason, channel.stray())),
        };
        match fitting(&came.bytes, query, &[message.metadata.id]) {
            Ok((mut message, _)) => {
                // What a cache of HTTP has kept for a while has aged there (RFC 8484 §5.1).
                for record in &mut message.answers {
                    record.ttl = record.ttl.saturating_sub(came.age);
                }
                self.end(nth, QueryResult::Reply { reply: words::reply(&message, came.bytes.len()) });
                Ok(message)
            }
            Err(Unfit { why, failure }) => {
                self.end(nth, QueryResult::BadReply { why: why.clone(), failure });
                Err(NoReply::new(Reason::BadReply, format!("{server} sent what does not answer the question: {why}")))
            }
        }
    }

    /// Makes a message and notes that it is asked now.
    fn begin(&self, query: &Query, opt: Opt) -> (usize, Message, Vec<u8>) {
        let mut message = query_message(query, true, self.probe.trace_for(self.address.ip()), opt);
        match self.upstream.over {
            // Alike questions are then alike for a cache of HTTP (RFC 8484 §4.1).
            Over::Https { .. } => message.metadata.id = 0,
            // On one connection the id alone says which question is answered (RFC 7766 §6.2.1).
            Over::Tls => {
                let log = self.log.borrow();
                while log.iter().any(|exchange| exchange.id == message.metadata.id) {
                    message.metadata.id = rand::random();
                }
            }
        }
        if opt == Opt::Full {
            pad(&mut message);
        }
        // A question that was parsed can be written.
        let bytes = message.to_vec().unwrap_or_default();
        let mut log = self.log.borrow_mut();
        log.push(Exchange {
            question: words::question(query),
            id: message.metadata.id,
            transport: self.upstream.transport(),
            server: self.address,
            via: None,
            local: None,
            start_us: self.probe.clock.us(),
            duration_us: 0,
            sent_us: None,
            sent_bytes: bytes.len(),
            opt,
            opening: None,
            tls: None,
            result: QueryResult::Abandoned,
        });
        let nth = log.len() - 1;
        (nth, message, bytes)
    }

    fn end(&self, nth: usize, told: QueryResult) {
        let exchange = &mut self.log.borrow_mut()[nth];
        exchange.duration_us = self.probe.clock.us().saturating_sub(exchange.start_us);
        exchange.result = told;
    }

    /// Opens the connection for the exchange `nth`, and notes with it what that took.
    async fn open(&self, nth: usize) -> Result<Channel, NoReply> {
        let clock = self.probe.clock;
        let begin = clock.us();
        let stream = self.connect(nth).await?;
        let connect_us = clock.us() - begin;
        let begin = clock.us();
        let name = match &self.upstream.host {
            Host::Name(name) => name.clone(),
            Host::Ip(ip) => ip.to_string(),
        };
        let (counted, tally) = Counted::new(stream);
        let alpn = self.upstream.alpn();
        let shaken = tls::handshake(self.probe.tls, &name, alpn, counted);
        let (mut did, result) = match self.probe.bounds.within(PATIENCE, shaken).await {
            Ok(shaken) => shaken,
            Err(reason) => {
                let what = cut(&format!("{name} did not finish the handshake"), reason, PATIENCE);
                (tls::intended(&name, alpn), Err(Failure { reason, what }))
            }
        };
        (did.bytes_out, did.bytes_in) = (Some(tally.written()), Some(tally.read()));
        let is_h2 = did.alpn.as_deref() == Some("h2");
        {
            let exchange = &mut self.log.borrow_mut()[nth];
            exchange.opening = Some(Opening { connect_us, handshake_us: clock.us() - begin });
            exchange.tls = Some(Box::new(did));
        }
        let stream = match result {
            Ok(stream) => stream,
            Err(Failure { reason, what }) => {
                let told = match reason {
                    Reason::MaxTime | Reason::Interrupted => QueryResult::Abandoned,
                    Reason::Timeout => QueryResult::Timeout,
                    _ => QueryResult::Failed { why: what.clone(), failure: NoUse::Other },
                };
                self.end(nth, told);
                return Err(NoReply::new(reason, format!("no TLS with {}: {what}", self.named())));
            }
        };
        let opened = match &self.upstream.over {
            Over::Tls => Ok(Channel::dot(stream)),
            Over::Https { path } => Channel::https(stream, is_h2, &self.upstream.authority(), path).await,
        };
        opened.map_err(|lost| self.lost(nth, &lost))
    }

    async fn connect(&self, nth: usize) -> Result<TcpStream, NoReply> {
        let server = self.named();
        let route = self.probe.book.map_or(Route::Direct, |book| book.route(Protocol::Tcp, self.address));
        let real = match route {
            Route::Direct => self.address,
            Route::Via(socket) | Route::NothingListens(Some(socket)) => socket,
            Route::NothingListens(None) | Route::NoHost => {
                let why = match route {
                    Route::NoHost => "no host of this lab has that address",
                    _ => "nothing listens there in this lab",
                };
                self.end(nth, QueryResult::Failed { why: why.to_owned(), failure: NoUse::Unreachable });
                return Err(NoReply::new(Reason::ResolverDown, format!("{server} cannot be asked: {why}")));
            }
        };
        self.log.borrow_mut()[nth].via = (real != self.address).then_some(real);
        let (told, reason, what) = match self.probe.bounds.within(PATIENCE, TcpStream::connect(real)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                self.log.borrow_mut()[nth].local = stream.local_addr().ok();
                return Ok(stream);
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => (
                QueryResult::NothingListens,
                Reason::ResolverDown,
                format!("no connection: nothing listens at {server}: the machine is there and refuses"),
            ),
            Ok(Err(error)) => {
                let (why, failure) = failed(&error);
                (
                    QueryResult::Failed { why: why.clone(), failure },
                    Reason::ResolverDown,
                    format!("no connection to {server}: {why}"),
                )
            }
            Err(reason) => (
                if reason == Reason::Timeout { QueryResult::Timeout } else { QueryResult::Abandoned },
                reason,
                cut(&format!("no connection to {server} was open"), reason, PATIENCE),
            ),
        };
        self.end(nth, told);
        Err(NoReply::new(reason, what))
    }

    /// No answer came in time; `stray` is what came instead.
    fn unanswered(&self, nth: usize, reason: Reason, stray: Option<&(NoUse, String)>) -> NoReply {
        let server = self.named();
        let (result, no_reply) = match (reason, stray) {
            (Reason::Timeout, Some((failure, why))) => (
                QueryResult::BadReply { why: why.clone(), failure: *failure },
                NoReply::new(Reason::BadReply, format!("{server} sent nothing that answers the question: {why}")),
            ),
            (Reason::Timeout, None) => {
                let what = cut(&format!("{server} did not answer"), reason, PATIENCE);
                (QueryResult::Timeout, NoReply::new(reason, what))
            }
            (_, stray) => {
                let so_far = match stray {
                    Some(_) => format!("{server} sent only what does not answer the question"),
                    None => format!("{server} did not answer"),
                };
                (QueryResult::Abandoned, NoReply::new(reason, cut(&so_far, reason, PATIENCE)))
            }
        };
        self.end(nth, result);
        no_reply
    }

    fn lost(&self, nth: usize, lost: &Lost) -> NoReply {
        let why = lost.to_string();
        let told = match lost {
            Lost::Closed => QueryResult::Failed { why: why.clone(), failure: NoUse::HungUp },
            _ => QueryResult::BadReply { why: why.clone(), failure: NoUse::Malformed },
        };
        self.end(nth, told);
        NoReply::new(Reason::BadReply, format!("{} gave no answer: {why}", self.named()))
    }

    fn named(&self) -> String {
        match &self.upstream.host {
            Host::Ip(_) => self.upstream.url(self.probe.secrets),
            Host::Name(_) => format!("{} ({})", self.upstream.url(self.probe.secrets), self.address),
        }
    }
}

/// Makes a query as long as many others are (RFC 8467 §4.1).
fn pad(message: &mut Message) {
    let length = message.to_vec().map_or(0, |bytes| bytes.len());
    // The option itself has four bytes before what is in it.
    let zeros = (BLOCK - (length + 4) % BLOCK) % BLOCK;
    let edns = message.edns.get_or_insert_with(|| options::of_query(None));
    edns.options_mut().insert(EdnsOption::Unknown(PADDING, vec![0; zeros]));
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{Name, RecordType};

    use super::*;

    #[test]
    fn queries_are_alike_in_length() {
        for name in ["a.test.", "www.example.local.", &format!("{0}.{0}.{0}.test.", "x".repeat(40))] {
            let query = Query::query(Name::from_ascii(name).unwrap(), RecordType::A);
            let mut message = query_message(&query, true, None, Opt::Full);
            pad(&mut message);
            let length = message.to_vec().unwrap().len();
            assert_eq!(length % BLOCK, 0, "{name}: {length}");
        }
    }
}
