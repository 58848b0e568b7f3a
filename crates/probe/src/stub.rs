//! A stub resolver's exchanges: one question to one server, over UDP, again when nothing comes, over TCP when the answer
//! was cut, and without EDNS where the server does not handle it. It is our own because a library's resolver hides what
//! is shown here: every transmission, the socket it left by, and the kernel's word that nothing listens there.

use std::{
    cell::{Cell, RefCell},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use dns::{options, words};
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::RecordType,
};
use journey::{
    NoUse, Reason, TraceId,
    dns::{Question, Transport},
    stage::{Exchange, Opt, QueryResult},
};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::Instant,
};
use world::{Protocol, Route};

use super::{Probe, bounds::cut, bounds::seconds};

/// A server that says nothing to a query with an OPT record is asked without one after half of the wait, or after this:
/// some devices drop what they do not know, and programs that send no OPT record are served meanwhile.
const WITHOUT_OPT_AFTER: Duration = Duration::from_secs(1);

/// A server that can be asked.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its address, as the user or the world knows it.
    pub address: SocketAddr,
    /// How long to wait in each attempt; as many attempts as there are times.
    pub waits: Vec<Duration>,
    /// Whether it is to find the answer itself (RFC 1035 §4.1.1, RD), or to say what it knows.
    pub recursion_desired: bool,
    /// Whether it is asked over TCP only.
    pub tcp_only: bool,
}

/// Every transmission, in order. A visit is one task, so a cell is enough.
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
    /// The response code, where a reply came that answers the question.
    pub rcode: Option<ResponseCode>,
    /// Whether the time passed without a reply that answers the question, so that asking again may help.
    pub is_unanswered: bool,
}

impl NoReply {
    /// Without a reply there are no aliases.
    pub fn new(reason: Reason, what: impl Into<String>) -> Self {
        Self { reason, what: what.into(), aliases: Vec::new(), rcode: None, is_unanswered: false }
    }
}

/// Asks a server, in as many attempts as it has; the reply may say anything, also that there is no such name.
pub async fn ask(probe: &Probe<'_>, server: &Server, query: &Query, log: &Log) -> Result<Message, NoReply> {
    let peer = Peer::new(server.clone());
    let mut result = Err(NoReply::new(Reason::Timeout, format!("{} was not asked", server.address)));
    for attempt in 0..server.waits.len() {
        result = peer.ask(probe, query, attempt, log).await;
        if !result.as_ref().is_err_and(|no_reply| no_reply.is_unanswered) {
            break;
        }
    }
    result
}

/// A server, and what the questions to it have shown so far.
#[derive(Debug)]
pub struct Peer {
    /// The server.
    pub server: Server,
    /// The OPT record that it answers to.
    opt: Cell<Opt>,
    /// Whether it has answered anything.
    has_answered: Cell<bool>,
    talks: RefCell<Vec<(Query, Talk)>>,
}

/// What was sent for one question. Its socket is kept from attempt to attempt, so that a late answer is one.
#[derive(Debug, Default)]
struct Talk {
    socket: Option<UdpSocket>,
    sent: Vec<Sent>,
    attempts: usize,
    waited: Duration,
    unfit: Option<Unfit>,
    answer: Option<Message>,
    /// The OPT record that the last query had to have.
    opt: Opt,
}

/// A transmission that may be answered.
#[derive(Debug)]
struct Sent {
    nth: usize,
    id: u16,
    opt: Opt,
    bytes: Vec<u8>,
}

impl Peer {
    /// A server of which nothing is known.
    pub fn new(server: Server) -> Self {
        Self { server, opt: Cell::default(), has_answered: Cell::default(), talks: RefCell::default() }
    }

    /// One attempt; a question that was answered before is not asked again.
    pub async fn ask(&self, probe: &Probe<'_>, query: &Query, attempt: usize, log: &Log) -> Result<Message, NoReply> {
        let nth = self.talks.borrow().iter().position(|(of, _)| of == query);
        let mut talk = nth.map(|nth| self.talks.borrow_mut().swap_remove(nth).1).unwrap_or_default();
        let result = match &talk.answer {
            Some(answer) => Ok(answer.clone()),
            None => {
                let asking = Asking { probe, peer: self, query, question: words::question(query), log };
                let wait = self.server.waits.get(attempt).copied().unwrap_or_default();
                asking.attempt(&mut talk, wait).await
            }
        };
        talk.answer = result.as_ref().ok().filter(|message| is_word(message)).cloned();
        self.talks.borrow_mut().push((query.clone(), talk));
        result
    }
}

/// Whether a reply says something of the name.
fn is_word(reply: &Message) -> bool {
    matches!(reply.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// The OPT record to ask with after this reply to a query with `opt` (RFC 6891 §6.2.2, §7): a server that does not
/// understand EDNS says so by an error, mostly without an OPT record of its own; one that has such a record may dislike
/// the options. None where the error is of something else.
pub(super) fn with_less(opt: Opt, reply: &Message) -> Option<Opt> {
    let has_opt = reply.edns.is_some();
    match (reply.metadata.response_code, opt) {
        (_, Opt::Absent) => None,
        (ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS, Opt::Full) if has_opt => Some(Opt::Bare),
        (ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS, _) => Some(Opt::Absent),
        (ResponseCode::ServFail, _) if !has_opt => Some(Opt::Absent),
        _ => None,
    }
}

struct Asking<'a> {
    probe: &'a Probe<'a>,
    peer: &'a Peer,
    query: &'a Query,
    question: Question,
    log: &'a Log,
}

impl Asking<'_> {
    /// One attempt, in which a server that turns EDNS down is asked again with less of it: at most two queries more.
    async fn attempt(&self, talk: &mut Talk, wait: Duration) -> Result<Message, NoReply> {
        let mut opt = self.peer.opt.get().max(talk.opt);
        loop {
            talk.opt = opt;
            let (reply, answered) = if self.peer.server.tcp_only {
                (self.over_tcp(opt, wait).await?, opt)
            } else {
                self.over_udp(talk, opt, wait).await?
            };
            match with_less(answered, &reply) {
                Some(less) => opt = less,
                None => {
                    self.peer.has_answered.set(true);
                    if is_word(&reply) {
                        self.peer.opt.set(answered);
                    }
                    return Ok(reply);
                }
            }
        }
    }

    /// One attempt over UDP, over TCP where the answer was cut; with the OPT record of the query that was answered.
    async fn over_udp(&self, talk: &mut Talk, opt: Opt, wait: Duration) -> Result<(Message, Opt), NoReply> {
        let (reply, answered) = self.over_udp_alone(talk, opt, wait).await?;
        if !reply.metadata.truncation {
            return Ok((reply, answered));
        }
        match self.over_tcp(answered, wait).await {
            Ok(reply) => Ok((reply, answered)),
            Err(no_reply) => Err(self.cut_and_no_tcp(no_reply)),
        }
    }

    /// The server is there, as it has answered: what fails is TCP.
    fn cut_and_no_tcp(&self, no_reply: NoReply) -> NoReply {
        let reason = match no_reply.reason {
            Reason::ResolverDown => Reason::BadReply,
            other => other,
        };
        let what = format!(
            "{} answered over udp that its answer is too large (truncated), and TCP fails: {}",
            self.peer.server.address, no_reply.what
        );
        NoReply { reason, what, is_unanswered: false, ..no_reply }
    }

    async fn over_udp_alone(&self, talk: &mut Talk, opt: Opt, wait: Duration) -> Result<(Message, Opt), NoReply> {
        let real = self.real(Protocol::Udp)?;
        let socket = match talk.socket.take() {
            Some(socket) => socket,
            None => self.udp_socket(real).await.map_err(|error| self.fail(Transport::Udp, real, &error))?,
        };
        let result = self.wait_for(&socket, talk, opt, wait, real).await;
        talk.socket = Some(socket);
        result
    }

    async fn wait_for(
        &self,
        socket: &UdpSocket,
        talk: &mut Talk,
        opt: Opt,
        wait: Duration,
        real: SocketAddr,
    ) -> Result<(Message, Opt), NoReply> {
        let first = talk.sent.len();
        talk.attempts += 1;
        talk.sent.push(self.transmit(socket, opt, real).await?);
        let begin = Instant::now();
        let end = begin + wait;
        let mut without_opt = self.may_be_deaf(opt, first).then(|| begin + WITHOUT_OPT_AFTER.min(wait / 2));
        // On the heap: in the future itself it would be moved about with it.
        let mut buffer = vec![0; 65_535];
        loop {
            let until = without_opt.unwrap_or(end);
            let left = until.saturating_duration_since(Instant::now());
            match self.probe.bounds.within(left, socket.recv(&mut buffer)).await {
                Ok(Ok(length)) => match self.fitting(&buffer[..length], &talk.sent) {
                    Ok((message, nth)) => {
                        let sent = &talk.sent[nth];
                        self.end(sent, QueryResult::Reply { reply: words::reply(&message, length) });
                        return Ok((message, sent.opt));
                    }
                    // Whoever sent it, the true answer may still come (RFC 5452 §9.1).
                    Err(unfit) => talk.unfit = Some(unfit.after(talk.unfit.take())),
                },
                Ok(Err(error)) => return Err(self.broken(&talk.sent[talk.sent.len() - 1], &error)),
                Err(Reason::Timeout) if without_opt.take().is_some() => {
                    talk.sent.push(self.transmit(socket, Opt::Absent, real).await?);
                }
                Err(Reason::Timeout) => break,
                Err(reason) => return Err(self.given_up(talk, first, reason, wait)),
            }
        }
        talk.waited += wait;
        Err(self.in_vain(talk, first))
    }

    /// Whether the server may be one that says nothing to an OPT record. A lab's hosts understand it, and would not see
    /// the visit's id in a query without it.
    fn may_be_deaf(&self, opt: Opt, sent: usize) -> bool {
        let address = self.peer.server.address.ip();
        let is_of_lab = self.probe.book.is_some_and(|book| book.contains(address));
        opt != Opt::Absent && sent == 0 && !self.peer.has_answered.get() && !is_of_lab
    }

    /// Sends the question and notes that.
    async fn transmit(&self, socket: &UdpSocket, opt: Opt, real: SocketAddr) -> Result<Sent, NoReply> {
        let sent = self.begin(Transport::Udp, real, socket.local_addr().ok(), opt);
        let at_us = self.probe.clock.us();
        match socket.send(&sent.bytes).await {
            Ok(_) => self.is_sent(&sent, at_us),
            Err(error) => return Err(self.broken(&sent, &error)),
        }
        Ok(sent)
    }

    /// The visit ended while this was waited for.
    fn given_up(&self, talk: &Talk, first: usize, reason: Reason, wait: Duration) -> NoReply {
        let address = self.peer.server.address;
        talk.sent[first..].iter().for_each(|sent| self.end(sent, QueryResult::Abandoned));
        let so_far = match &talk.unfit {
            Some(_) => format!("{address} sent only what does not answer the question"),
            None => format!("{address} did not answer"),
        };
        NoReply::new(reason, cut(&so_far, reason, wait))
    }

    /// The wait is over, and nothing came that answers the question.
    fn in_vain(&self, talk: &Talk, first: usize) -> NoReply {
        let address = self.peer.server.address;
        let told = match &talk.unfit {
            Some(Unfit { why, failure }) => QueryResult::BadReply { why: why.clone(), failure: *failure },
            None => QueryResult::Timeout,
        };
        talk.sent[first..].iter().for_each(|sent| self.end(sent, told.clone()));
        let no_reply = match &talk.unfit {
            Some(Unfit { why, .. }) => {
                NoReply::new(Reason::BadReply, format!("{address} sent nothing that answers the question: {why}"))
            }
            None => {
                let (times, waited) = (times(talk.sent.len()), seconds(talk.waited));
                NoReply::new(Reason::Timeout, format!("{address} did not answer {times} over udp within {waited}"))
            }
        };
        // A server that sends what cannot be read would send it again.
        let is_unreadable = talk.unfit.as_ref().is_some_and(|unfit| unfit.failure == NoUse::Malformed);
        NoReply { is_unanswered: !is_unreadable, ..no_reply }
    }

    async fn over_tcp(&self, opt: Opt, limit: Duration) -> Result<Message, NoReply> {
        let address = self.peer.server.address;
        let real = self.real(Protocol::Tcp)?;
        let mut transmission = self.begin(Transport::Tcp, real, None, opt);
        let talk = async {
            let mut stream = TcpStream::connect(real).await?;
            let local = stream.local_addr().ok();
            self.log.borrow_mut()[transmission.nth].local = local;
            stream.set_nodelay(true)?;
            let length = u16::try_from(transmission.bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            let mut framed = length.to_be_bytes().to_vec();
            framed.append(&mut transmission.bytes.clone());
            let at_us = self.probe.clock.us();
            stream.write_all(&framed).await?;
            self.is_sent(&transmission, at_us);
            let length = stream.read_u16().await?;
            let mut reply = vec![0; usize::from(length)];
            stream.read_exact(&mut reply).await?;
            Ok::<_, io::Error>(reply)
        };
        let reply = match self.probe.bounds.within(limit, talk).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => return Err(self.broken(&transmission, &error)),
            Err(reason) => {
                self.end(
                    &transmission,
                    if reason == Reason::Timeout { QueryResult::Timeout } else { QueryResult::Abandoned },
                );
                let what = cut(&format!("{address} did not answer over tcp"), reason, limit);
                return Err(NoReply { is_unanswered: reason == Reason::Timeout, ..NoReply::new(reason, what) });
            }
        };
        transmission.bytes.clear();
        match self.fitting(&reply, std::slice::from_ref(&transmission)) {
            Ok((message, _)) => {
                self.end(&transmission, QueryResult::Reply { reply: words::reply(&message, reply.len()) });
                Ok(message)
            }
            Err(Unfit { why, failure }) => {
                self.end(&transmission, QueryResult::BadReply { why: why.clone(), failure });
                let what = format!("{address} sent over tcp what does not answer the question: {why}");
                Err(NoReply::new(Reason::BadReply, what))
            }
        }
    }

    /// The real socket behind the server's address.
    fn real(&self, protocol: Protocol) -> Result<SocketAddr, NoReply> {
        let route = self.probe.book.map_or(Route::Direct, |book| book.route(protocol, self.peer.server.address));
        let missing = |what: String| Err(NoReply::new(Reason::ResolverDown, what));
        match route {
            Route::Direct => Ok(self.peer.server.address),
            Route::Via(socket) => Ok(socket),
            Route::NothingListens(_) => missing(format!("nothing listens on {} in this lab", self.peer.server.address)),
            Route::NoHost => missing(format!("no host of this lab has the address {}", self.peer.server.address.ip())),
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
    fn begin(&self, transport: Transport, real: SocketAddr, local: Option<SocketAddr>, opt: Opt) -> Sent {
        let trace = self.probe.trace_for(self.peer.server.address.ip());
        let message = query_message(self.query, self.peer.server.recursion_desired, trace, opt);
        // A question that was parsed can be written.
        let bytes = message.to_vec().unwrap_or_default();
        let mut log = self.log.borrow_mut();
        log.push(Exchange {
            question: self.question.clone(),
            id: message.metadata.id,
            transport,
            server: self.peer.server.address,
            via: (real != self.peer.server.address).then_some(real),
            local,
            start_us: self.probe.clock.us(),
            duration_us: 0,
            sent_us: None,
            sent_bytes: bytes.len(),
            opt,
            opening: None,
            tls: None,
            result: QueryResult::Abandoned,
        });
        Sent { nth: log.len() - 1, id: message.metadata.id, opt, bytes }
    }

    /// The kernel has taken it by a call that began then.
    fn is_sent(&self, sent: &Sent, at_us: u64) {
        self.log.borrow_mut()[sent.nth].sent_us = Some(at_us);
    }

    fn end(&self, sent: &Sent, told: QueryResult) {
        let exchange = &mut self.log.borrow_mut()[sent.nth];
        exchange.duration_us = self.probe.clock.us().saturating_sub(exchange.start_us);
        exchange.result = told;
    }

    fn fitting(&self, bytes: &[u8], sent: &[Sent]) -> Result<(Message, usize), Unfit> {
        let ids: Vec<u16> = sent.iter().map(|sent| sent.id).collect();
        fitting(bytes, self.query, &ids)
    }

    /// The socket could not be made.
    fn fail(&self, transport: Transport, real: SocketAddr, error: &io::Error) -> NoReply {
        let sent = self.begin(transport, real, None, self.peer.opt.get());
        self.broken(&sent, error)
    }

    fn broken(&self, sent: &Sent, error: &io::Error) -> NoReply {
        let transport = self.log.borrow()[sent.nth].transport.as_str();
        let address = format!("{} over {transport}", self.peer.server.address);
        let (told, reason, what) = match error.kind() {
            io::ErrorKind::ConnectionRefused => (
                QueryResult::NothingListens,
                Reason::ResolverDown,
                format!("nothing listens on {address}: the machine is there and refuses"),
            ),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => (
                QueryResult::Failed {
                    why: "the server closed the connection without an answer".to_owned(),
                    failure: NoUse::HungUp,
                },
                Reason::BadReply,
                format!("{address} closed the connection without an answer"),
            ),
            _ => {
                let (why, failure) = failed(error);
                (
                    QueryResult::Failed { why: why.clone(), failure },
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
pub(super) fn query_message(query: &Query, recursion_desired: bool, trace: Option<TraceId>, opt: Opt) -> Message {
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = recursion_desired;
    message.add_query(query.clone());
    message.edns = match opt {
        Opt::Full => Some(options::of_query(trace)),
        Opt::Bare => {
            let mut edns = Edns::new();
            edns.set_max_payload(options::UDP_PAYLOAD).set_version(0);
            Some(edns)
        }
        Opt::Absent => None,
    };
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
pub struct Unfit {
    /// Why, in words.
    pub why: String,
    /// Why, for programs.
    pub failure: NoUse,
}

impl Unfit {
    fn new(failure: NoUse, why: impl Into<String>) -> Self {
        Self { why: why.into(), failure }
    }

    /// The same behind others that came before; for programs, what is true of all.
    fn after(self, before: Option<Self>) -> Self {
        let alike = before.is_none_or(|before| before.failure == self.failure);
        Self { failure: if alike { self.failure } else { NoUse::Other }, ..self }
    }
}

/// A message's header (RFC 1035 §4.1.1).
const HEADER: usize = 12;

/// The message in these bytes, and which of the transmissions with these ids it answers; or why it answers none (RFC 5452
/// §9.1). Pure: a peer may send any bytes.
pub fn fitting(bytes: &[u8], asked: &Query, ids: &[u16]) -> Result<(Message, usize), Unfit> {
    // The header first, as far as there is one: it says more of what cannot be read.
    if let [_, _, flags, ..] = *bytes
        && bytes.len() >= HEADER
        && flags & 0x80 == 0
    {
        return Err(Unfit::new(NoUse::NotAResponse, "it is a query and not a reply"));
    }
    let id = bytes.first_chunk().map(|id| u16::from_be_bytes(*id));
    let nth = id.and_then(|id| ids.iter().position(|sent| *sent == id));
    if let (Some(id), None, true) = (id, nth, bytes.len() >= HEADER) {
        return Err(Unfit::new(NoUse::WrongId, format!("its id {id} is of no query sent")));
    }
    let message = Message::from_vec(bytes)
        .map_err(|error| Unfit::new(NoUse::Malformed, format!("{} bytes are no DNS message: {error}", bytes.len())))?;
    // What could be read has an id, which is one of these.
    let nth = nth.unwrap_or_default();
    if message.metadata.op_code != OpCode::Query {
        return Err(Unfit::new(NoUse::Other, format!("its opcode is {:?}", message.metadata.op_code)));
    }
    match message.queries.as_slice() {
        // A server that cannot read the question may leave it out of its error (RFC 1035 §4.1.1, FORMERR); of no other
        // reply can it be told what it answers.
        [] if is_error(&message) => Ok((message, nth)),
        [] => Err(Unfit::new(NoUse::Other, "it has no question, so that it answers none")),
        // Names are compared without case (RFC 4343).
        [query] if query == asked => Ok((message, nth)),
        [query] if query.query_type() == asked.query_type() && query.name() == asked.name() => {
            Err(Unfit::new(NoUse::Other, format!("it answers for the class {} and not for IN", query.query_class())))
        }
        _ => Err(Unfit::new(NoUse::Other, "it answers another question")),
    }
}

fn is_error(message: &Message) -> bool {
    let code = message.metadata.response_code;
    !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) && message.answers.is_empty()
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
    use hickory_proto::rr::{DNSClass, Name};

    use super::*;

    fn query(name: &str) -> Query {
        Query::query(Name::from_ascii(name).unwrap(), RecordType::A)
    }

    #[test]
    fn only_a_reply_to_the_question_answers_it() {
        let asked = query("a.test.");
        let message = |id, mtype, query: &Query| {
            let mut message = Message::new(id, mtype, OpCode::Query);
            message.add_query(query.clone());
            message
        };
        let bytes = |id, mtype, query: &Query| message(id, mtype, query).to_vec().unwrap();
        let reply = MessageType::Response;
        let check = |bytes: &[u8], expected: Result<usize, NoUse>| {
            let found = fitting(bytes, &asked, &[7, 8]);
            assert_eq!(found.map(|(_, nth)| nth).map_err(|unfit| unfit.failure), expected, "{bytes:?}");
        };
        check(&bytes(8, reply, &asked), Ok(1));
        check(&bytes(8, reply, &query("A.tEst.")), Ok(1));
        check(&bytes(9, reply, &asked), Err(NoUse::WrongId));
        check(&bytes(8, MessageType::Query, &asked), Err(NoUse::NotAResponse));
        check(&bytes(8, reply, &query("b.test.")), Err(NoUse::Other));
        let mut chaos = asked.clone();
        chaos.set_query_class(DNSClass::CH);
        check(&bytes(8, reply, &chaos), Err(NoUse::Other));
        let mut other_type = asked.clone();
        other_type.set_query_type(RecordType::AAAA);
        check(&bytes(8, reply, &other_type), Err(NoUse::Other));
        let mut notify = message(8, reply, &asked);
        notify.metadata.op_code = OpCode::Notify;
        check(&notify.to_vec().unwrap(), Err(NoUse::Other));
        let mut twice = message(8, reply, &asked);
        twice.add_query(asked.clone());
        check(&twice.to_vec().unwrap(), Err(NoUse::Other));
        // Only an error may leave the question out.
        let without = |code| {
            let mut message = Message::new(8, reply, OpCode::Query);
            message.metadata.response_code = code;
            message.to_vec().unwrap()
        };
        check(&without(ResponseCode::FormErr), Ok(1));
        check(&without(ResponseCode::NoError), Err(NoUse::Other));
        check(&without(ResponseCode::NXDomain), Err(NoUse::Other));
        for short in [&[0, 8, 0x84, 0, 1, 1][..], &[0, 9, 0x84, 0, 1, 1], &[0, 8], &[]] {
            check(short, Err(NoUse::Malformed));
        }
    }

    #[test]
    fn a_server_without_edns_is_asked_with_less() {
        let check = |opt: Opt, code: ResponseCode, has_opt: bool, expected: Option<Opt>| {
            let mut reply = Message::new(7, MessageType::Response, OpCode::Query);
            reply.metadata.response_code = code;
            reply.edns = has_opt.then(Edns::new);
            assert_eq!(with_less(opt, &reply), expected, "{opt:?} {code:?} {has_opt}");
        };
        for code in [ResponseCode::FormErr, ResponseCode::NotImp, ResponseCode::BADVERS] {
            check(Opt::Full, code, false, Some(Opt::Absent));
            check(Opt::Full, code, true, Some(Opt::Bare));
            check(Opt::Bare, code, true, Some(Opt::Absent));
            check(Opt::Absent, code, false, None);
        }
        check(Opt::Full, ResponseCode::ServFail, false, Some(Opt::Absent));
        // It understands EDNS, so that is not why it fails.
        check(Opt::Full, ResponseCode::ServFail, true, None);
        check(Opt::Full, ResponseCode::Refused, false, None);
        check(Opt::Full, ResponseCode::NoError, false, None);
        check(Opt::Full, ResponseCode::NXDomain, false, None);
    }

    #[test]
    fn strays_of_several_kinds_are_told_as_none() {
        let stray = |failure| Unfit::new(failure, "");
        assert_eq!(stray(NoUse::WrongId).after(None).failure, NoUse::WrongId);
        assert_eq!(stray(NoUse::WrongId).after(Some(stray(NoUse::WrongId))).failure, NoUse::WrongId);
        assert_eq!(stray(NoUse::WrongId).after(Some(stray(NoUse::NotAResponse))).failure, NoUse::Other);
    }
}
