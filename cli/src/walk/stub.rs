//! A stub resolver's exchanges: one question to one server, over UDP, again when nothing comes, over TCP when the answer
//! was cut. It is our own because a library's resolver hides what is shown here: every transmission, the socket it
//! left by, and the kernel's word that nothing listens there.

use std::{
    cell::RefCell,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use dns::{options, words};
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::RecordType,
};
use journey::{
    NoUse, Reason, TraceId,
    dns::{Question, Transport},
    stage::{Exchange, Told},
};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::Instant,
};
use world::{Protocol, Route};

use super::{Walk, bounds::cut};

/// A server that can be asked.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its address, as the user or the world knows it.
    pub address: SocketAddr,
    /// How long to wait after each transmission.
    pub waits: Vec<Duration>,
    /// Whether it is to find the answer itself (RFC 1035 §4.1.1, RD), or to say what it knows.
    pub recursion_desired: bool,
}

/// Every transmission, in order. The walk is one task, so a cell is enough.
pub type Log = RefCell<Vec<Exchange>>;

/// Why no usable reply was had.
#[derive(Clone, Debug)]
pub struct NoReply {
    /// For programs.
    pub reason: Reason,
    /// For people.
    pub what: String,
    /// The alias chain in a reply that has nothing at its end.
    pub aliases: Vec<String>,
}

impl NoReply {
    /// Without a reply there are no aliases.
    pub fn new(reason: Reason, what: impl Into<String>) -> Self {
        Self { reason, what: what.into(), aliases: Vec::new() }
    }
}

/// Asks a server; the reply may say anything, also that there is no such name.
pub async fn ask(walk: &Walk<'_>, server: &Server, query: &Query, log: &Log) -> Result<Message, NoReply> {
    let asking = Asking { walk, server, query, question: words::question(query), log };
    let reply = asking.over_udp().await?;
    if reply.metadata.truncation { asking.over_tcp().await } else { Ok(reply) }
}

struct Asking<'a> {
    walk: &'a Walk<'a>,
    server: &'a Server,
    query: &'a Query,
    question: Question,
    log: &'a Log,
}

impl Asking<'_> {
    async fn over_udp(&self) -> Result<Message, NoReply> {
        let real = self.real(Protocol::Udp)?;
        let socket = match self.udp_socket(real).await {
            Ok(socket) => socket,
            Err(error) => return Err(self.fail(Transport::Udp, real, &error)),
        };
        let mut sent: Vec<Sent> = Vec::new();
        let mut unfit: Option<Unfit> = None;
        // On the heap: in the future itself it would be moved about with it.
        let mut buffer = vec![0; 65_535];
        for wait in &self.server.waits {
            let transmission = self.begin(Transport::Udp, real, socket.local_addr().ok());
            let at_us = self.walk.clock.us();
            if let Err(error) = socket.send(&transmission.bytes).await {
                return Err(self.broken(&transmission, &error));
            }
            self.is_sent(&transmission, at_us);
            sent.push(transmission);
            let end = Instant::now() + *wait;
            loop {
                let left = end.saturating_duration_since(Instant::now());
                match self.walk.bounds.within(left, socket.recv(&mut buffer)).await {
                    Ok(Ok(length)) => match self.fitting(&buffer[..length], &sent) {
                        Ok((message, nth)) => {
                            self.end(&sent[nth], Told::Reply { reply: words::reply(&message, length) });
                            return Ok(message);
                        }
                        // From the server, with the right id and the mark of a response: nothing better will come.
                        Err(Unfit { why, failure, answers: Some(nth) }) => {
                            return Err(self.unfit(&sent[nth], why, failure));
                        }
                        // A forged or late message must not end the wait for the true one.
                        Err(stray) => unfit = Some(stray.after(unfit)),
                    },
                    Ok(Err(error)) => return Err(self.broken(&sent[sent.len() - 1], &error)),
                    Err(Reason::Timeout) => break,
                    Err(reason) => {
                        self.end(&sent[sent.len() - 1], Told::Abandoned);
                        let so_far = match &unfit {
                            Some(_) => format!("{} sent only what does not answer the question", self.server.address),
                            None => format!("{} did not answer", self.server.address),
                        };
                        return Err(NoReply::new(reason, cut(&so_far, reason, *wait)));
                    }
                }
            }
            let told = match &unfit {
                Some(Unfit { why, failure, .. }) => Told::BadReply { why: why.clone(), failure: *failure },
                None => Told::Timeout,
            };
            self.end(&sent[sent.len() - 1], told);
        }
        let waited: Duration = self.server.waits.iter().sum();
        Err(match unfit {
            Some(Unfit { why, .. }) => NoReply::new(
                Reason::BadReply,
                format!("{} sent nothing that answers the question: {why}", self.server.address),
            ),
            None => NoReply::new(
                Reason::Timeout,
                format!(
                    "{} did not answer {} over udp within {} s",
                    self.server.address,
                    times(self.server.waits.len()),
                    waited.as_secs_f32()
                ),
            ),
        })
    }

    async fn over_tcp(&self) -> Result<Message, NoReply> {
        let real = self.real(Protocol::Tcp)?;
        let mut transmission = self.begin(Transport::Tcp, real, None);
        let limit = self.server.waits.iter().sum();
        let talk = async {
            let mut stream = TcpStream::connect(real).await?;
            let local = stream.local_addr().ok();
            self.log.borrow_mut()[transmission.nth].local = local;
            stream.set_nodelay(true)?;
            let length = u16::try_from(transmission.bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            let mut framed = length.to_be_bytes().to_vec();
            framed.append(&mut transmission.bytes.clone());
            let at_us = self.walk.clock.us();
            stream.write_all(&framed).await?;
            self.is_sent(&transmission, at_us);
            let length = stream.read_u16().await?;
            let mut reply = vec![0; usize::from(length)];
            stream.read_exact(&mut reply).await?;
            Ok::<_, io::Error>(reply)
        };
        let reply = match self.walk.bounds.within(limit, talk).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => return Err(self.broken(&transmission, &error)),
            Err(reason) => {
                self.end(&transmission, if reason == Reason::Timeout { Told::Timeout } else { Told::Abandoned });
                let what = cut(&format!("{} did not answer over tcp", self.server.address), reason, limit);
                return Err(NoReply::new(reason, what));
            }
        };
        transmission.bytes.clear();
        match self.fitting(&reply, std::slice::from_ref(&transmission)) {
            Ok((message, _)) => {
                self.end(&transmission, Told::Reply { reply: words::reply(&message, reply.len()) });
                Ok(message)
            }
            Err(Unfit { why, failure, .. }) => {
                self.end(&transmission, Told::BadReply { why: why.clone(), failure });
                let what = format!("{} sent over tcp what does not answer the question: {why}", self.server.address);
                Err(NoReply::new(Reason::BadReply, what))
            }
        }
    }

    /// The real socket behind the server's address.
    fn real(&self, protocol: Protocol) -> Result<SocketAddr, NoReply> {
        let route = self.walk.book.map_or(Route::Direct, |book| book.route(protocol, self.server.address));
        let missing = |what: String| Err(NoReply::new(Reason::ResolverDown, what));
        match route {
            Route::Direct => Ok(self.server.address),
            Route::Via(socket) => Ok(socket),
            Route::NothingListens(_) => missing(format!("nothing listens on {} in this lab", self.server.address)),
            Route::NoHost => missing(format!("no host of this lab has the address {}", self.server.address.ip())),
        }
    }

    async fn udp_socket(&self, real: SocketAddr) -> io::Result<UdpSocket> {
        let any: IpAddr = if real.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        // Connected, so that the kernel drops what comes from elsewhere and tells when nothing listens there. Without
        // this option it keeps to itself that a machine cannot be reached, as that may pass (ip(7), IP_RECVERR). An old
        // kernel that lacks it only makes the wait longer.
        let _ = if real.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)
        };
        socket.connect(real).await?;
        Ok(socket)
    }

    /// Makes a message and notes that it is sent now.
    fn begin(&self, transport: Transport, real: SocketAddr, local: Option<SocketAddr>) -> Sent {
        let trace = self.walk.trace_for(self.server.address.ip());
        let message = query_message(self.query, self.server.recursion_desired, trace);
        // A question that was parsed can be written.
        let bytes = message.to_vec().unwrap_or_default();
        let mut log = self.log.borrow_mut();
        log.push(Exchange {
            question: self.question.clone(),
            id: message.metadata.id,
            transport,
            server: self.server.address,
            via: (real != self.server.address).then_some(real),
            local,
            start_us: self.walk.clock.us(),
            duration_us: 0,
            sent_us: None,
            sent_bytes: bytes.len(),
            opening: None,
            tls: None,
            result: Told::Abandoned,
        });
        Sent { nth: log.len() - 1, id: message.metadata.id, bytes }
    }

    /// The kernel has taken it by a call that began then.
    fn is_sent(&self, sent: &Sent, at_us: u64) {
        self.log.borrow_mut()[sent.nth].sent_us = Some(at_us);
    }

    fn end(&self, sent: &Sent, told: Told) {
        let exchange = &mut self.log.borrow_mut()[sent.nth];
        exchange.duration_us = self.walk.clock.us().saturating_sub(exchange.start_us);
        exchange.result = told;
    }

    /// What came is the server's, and no answer.
    fn unfit(&self, sent: &Sent, why: String, failure: NoUse) -> NoReply {
        let what = format!("{} sent nothing that answers the question: {why}", self.server.address);
        self.end(sent, Told::BadReply { why, failure });
        NoReply::new(Reason::BadReply, what)
    }

    fn fitting(&self, bytes: &[u8], sent: &[Sent]) -> Result<(Message, usize), Unfit> {
        let ids: Vec<u16> = sent.iter().map(|sent| sent.id).collect();
        fitting(bytes, self.query, &ids)
    }

    /// The socket could not be made.
    fn fail(&self, transport: Transport, real: SocketAddr, error: &io::Error) -> NoReply {
        let sent = self.begin(transport, real, None);
        self.broken(&sent, error)
    }

    fn broken(&self, sent: &Sent, error: &io::Error) -> NoReply {
        let transport = self.log.borrow()[sent.nth].transport.as_str();
        let address = format!("{} over {transport}", self.server.address);
        let (told, reason, what) = match error.kind() {
            io::ErrorKind::ConnectionRefused => (
                Told::NothingListens,
                Reason::ResolverDown,
                format!("nothing listens on {address}: the machine is there and refuses"),
            ),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => (
                Told::Failed {
                    why: "the server closed the connection without an answer".to_owned(),
                    failure: NoUse::HungUp,
                },
                Reason::BadReply,
                format!("{address} closed the connection without an answer"),
            ),
            _ => {
                let (why, failure) = failed(error);
                (
                    Told::Failed { why: why.clone(), failure },
                    Reason::ResolverDown,
                    format!("{address} cannot be asked: {why}"),
                )
            }
        };
        self.end(sent, told);
        NoReply::new(reason, what)
    }
}

/// A query as it is sent, with an id of its own.
pub(super) fn query_message(query: &Query, recursion_desired: bool, trace: Option<TraceId>) -> Message {
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = recursion_desired;
    message.add_query(query.clone());
    message.edns = Some(options::of_query(trace));
    message
}

/// An error of the socket: in words, and for programs.
pub(super) fn failed(error: &io::Error) -> (String, NoUse) {
    match super::connect::unreachable(error) {
        Some(why) => (why, NoUse::Unreachable),
        None => (error.to_string(), NoUse::Other),
    }
}

/// What answers nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    /// Why, in words.
    pub(super) why: String,
    /// Why, for programs.
    pub(super) failure: NoUse,
    /// The transmission that it is the server's own word about, where it is one.
    answers: Option<usize>,
}

impl Unfit {
    fn stray(failure: NoUse, why: impl Into<String>) -> Self {
        Self { why: why.into(), failure, answers: None }
    }

    /// The same behind others that came before; for programs, what is true of all.
    fn after(self, before: Option<Self>) -> Self {
        let alike = before.is_none_or(|before| before.failure == self.failure);
        Self { failure: if alike { self.failure } else { NoUse::Other }, ..self }
    }
}

/// A message's header (RFC 1035 §4.1.1); in fewer bytes there is no mark to look at.
const HEADER: usize = 12;

/// The message in these bytes, and which of the transmissions with these ids it answers; or why it answers none.
pub(super) fn fitting(bytes: &[u8], asked: &Query, ids: &[u16]) -> Result<(Message, usize), Unfit> {
    // Id and mark first, as far as there are any: they tell whether what cannot be read is the server's own word, which
    // ends the wait, or anybody's (RFC 5452 §9.1).
    if let [a, b, flags, ..] = *bytes
        && bytes.len() >= HEADER
    {
        let id = u16::from_be_bytes([a, b]);
        if flags & 0x80 == 0 {
            return Err(Unfit::stray(NoUse::NotAResponse, "it is a query and not a reply"));
        }
        if !ids.contains(&id) {
            return Err(Unfit::stray(NoUse::WrongId, format!("its id {id} is of no query sent")));
        }
    }
    let nth = bytes.first_chunk().and_then(|id| ids.iter().position(|sent| *sent == u16::from_be_bytes(*id)));
    let message = Message::from_vec(bytes).map_err(|error| Unfit {
        why: format!("{} bytes are no DNS message: {error}", bytes.len()),
        failure: NoUse::Malformed,
        answers: nth.filter(|_| bytes.len() > 2),
    })?;
    // What could be read has an id, which is one of these.
    let nth = nth.unwrap_or_default();
    // Servers that cannot read the question may leave it out (RFC 1035 §4.1.1, FORMERR).
    match message.queries.as_slice() {
        [] if message.answers.is_empty() => Ok((message, nth)),
        [query] if query.query_type() == asked.query_type() && query.name() == asked.name() => Ok((message, nth)),
        _ => Err(Unfit::stray(NoUse::Other, "it answers another question")),
    }
}

/// A transmission that may be answered.
struct Sent {
    nth: usize,
    id: u16,
    bytes: Vec<u8>,
}

fn times(count: usize) -> String {
    match count {
        1 => "a query".to_owned(),
        count => format!("any of {count} queries"),
    }
}

/// The question for the addresses of one family.
pub fn address_question(name: &hickory_proto::rr::Name, rtype: RecordType) -> Query {
    Query::query(name.clone(), rtype)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Name;

    use super::*;

    #[test]
    fn what_answers_and_what_ends_a_wait() {
        let asked = Query::query(Name::from_ascii("a.test.").unwrap(), RecordType::A);
        let message = |id, mtype, query: &Query| {
            let mut message = Message::new(id, mtype, OpCode::Query);
            message.add_query(query.clone());
            message.to_vec().unwrap()
        };
        let (reply, query) = (MessageType::Response, MessageType::Query);
        let check = |bytes: &[u8], expected: Result<usize, (NoUse, Option<usize>)>| {
            let found = fitting(bytes, &asked, &[7, 8]);
            let found = found.map(|(_, nth)| nth).map_err(|unfit| (unfit.failure, unfit.answers));
            assert_eq!(found, expected, "{bytes:?}");
        };
        check(&message(8, reply, &asked), Ok(1));
        check(&message(9, reply, &asked), Err((NoUse::WrongId, None)));
        check(&message(8, query, &asked), Err((NoUse::NotAResponse, None)));
        let other = Query::query(Name::from_ascii("b.test.").unwrap(), RecordType::A);
        check(&message(8, reply, &other), Err((NoUse::Other, None)));
        // The server's own word, as far as a client can tell; and anybody's.
        check(&[0, 8, 0x84, 0, 1, 1], Err((NoUse::Malformed, Some(1))));
        // Less than a header has no id to be held against it.
        check(&[0, 9, 0x84, 0, 1, 1], Err((NoUse::Malformed, None)));
        check(&[0, 8], Err((NoUse::Malformed, None)));
        check(&[], Err((NoUse::Malformed, None)));
    }

    #[test]
    fn strays_of_several_kinds_are_told_as_none() {
        let stray = |failure| Unfit::stray(failure, "");
        assert_eq!(stray(NoUse::WrongId).after(None).failure, NoUse::WrongId);
        assert_eq!(stray(NoUse::WrongId).after(Some(stray(NoUse::WrongId))).failure, NoUse::WrongId);
        assert_eq!(stray(NoUse::WrongId).after(Some(stray(NoUse::NotAResponse))).failure, NoUse::Other);
    }
}
