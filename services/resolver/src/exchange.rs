//! One question to one socket. Our own, because hickory's connections hide what has to be told: they do not see a
//! refused datagram, and wait for the time-out; they drop what does not fit without a word; and they take a port of
//! their own choice, one task and two copies for each query.

use std::{io, net::SocketAddr, time::Duration};

use hickory_proto::op::{DnsResponse, Message};
use journey::NoUse;
use service::ring::now_ns;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout_at},
};

/// More than any server sends to a client that asks for 1232 bytes; what is longer is cut by the kernel, and malformed.
const LONGEST_DATAGRAM: usize = 4096;

/// A reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) response: DnsResponse,
    /// Which transmission it answers, from 0.
    pub(crate) nth: usize,
}

/// No reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoReply {
    /// What went wrong, in words.
    pub(crate) why: String,
    /// What went wrong.
    pub(crate) failure: NoUse,
}

impl NoReply {
    /// In these words.
    pub(crate) fn new(failure: NoUse, why: impl Into<String>) -> Self {
        Self { why: why.into(), failure }
    }

    /// An error of the socket.
    fn broken(error: &io::Error) -> Self {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable,
            UnexpectedEof,
        };
        let failure = match error.kind() {
            ConnectionRefused => NoUse::NothingListens,
            HostUnreachable | NetworkUnreachable => NoUse::Unreachable,
            UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe => NoUse::HungUp,
            _ => NoUse::Other,
        };
        Self::new(failure, words(error))
    }

    fn unwritten(error: &impl std::fmt::Display) -> Self {
        Self::new(NoUse::Other, format!("the query cannot be written: {error}"))
    }
}

/// One datagram of an exchange: when it is sent, counted from the first, and what it asks.
#[derive(Clone, Debug)]
pub(crate) struct Transmission {
    pub(crate) after: Duration,
    pub(crate) query: Message,
}

/// Asks over UDP, and again where no reply came, as a datagram may be lost; a reply to any of the transmissions ends the
/// wait. `sent` is asked before each transmission whether it may be made; it is told which one it is, and a time from
/// before it, as a server near by may read it at once.
pub(crate) async fn over_udp(
    to: SocketAddr,
    transmissions: &[Transmission],
    limit: Duration,
    mut may_send: impl FnMut(usize) -> bool,
    mut sent: impl FnMut(usize, u64),
) -> Result<Reply, NoReply> {
    let broken = |error: io::Error| NoReply::broken(&error);
    // Connected, so that the kernel drops what comes from elsewhere and tells when nothing listens there. The port is the
    // kernel's choice, at random, new for each question: it and the id are what a forger has to guess (RFC 5452 §4).
    let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(broken)?;
    socket.connect(to).await.map_err(broken)?;
    let begin = Instant::now();
    let mut asked: Vec<&Message> = Vec::with_capacity(transmissions.len());
    let mut buffer = vec![0; LONGEST_DATAGRAM];
    let mut ignored = Ignored::default();
    for (nth, Transmission { query, .. }) in transmissions.iter().enumerate() {
        let bytes = query.to_vec().map_err(|error| NoReply::unwritten(&error))?;
        if may_send(nth) {
            asked.push(query);
            let at_ns = now_ns();
            socket.send(&bytes).await.map_err(broken)?;
            sent(nth, at_ns);
        } else if asked.is_empty() {
            return Err(NoReply::new(NoUse::Other, NOTHING_LEFT));
        }
        let end = begin + transmissions.get(nth + 1).map_or(limit, |next| next.after);
        while let Ok(received) = timeout_at(end, socket.recv(&mut buffer)).await {
            let length = received.map_err(broken)?;
            match fit(&buffer[..length], &asked) {
                Fit::Reply(reply) => return Ok(reply),
                Fit::Malformed(why) => return Err(NoReply::new(NoUse::Malformed, why)),
                // A forged or late datagram must not end the wait for the true one.
                Fit::Ignore(why) => ignored.add(why),
            }
        }
    }
    Err(NoReply::new(ignored.failure(), format!("no answer within {} ms{ignored}", limit.as_millis())))
}

/// What is told where a client's query may cost no more.
pub(crate) const NOTHING_LEFT: &str = "not asked: this query has cost enough";

/// Asks over TCP, on a connection of its own.
pub(crate) async fn over_tcp(
    to: SocketAddr,
    query: &Message,
    limit: Duration,
    sent: impl FnOnce(u64),
) -> Result<Reply, NoReply> {
    let broken = |error: io::Error| NoReply::broken(&error);
    let end = Instant::now() + limit;
    let late = |what: &str| NoReply::new(NoUse::NoAnswer, format!("{what} within {} ms", limit.as_millis()));
    let connected = timeout_at(end, TcpStream::connect(to)).await.map_err(|_| late("no connection"))?;
    let mut stream = connected.map_err(broken)?;
    let bytes = query.to_vec().map_err(|error| NoReply::unwritten(&error))?;
    let talk = async {
        // Length and message in one segment, at once (RFC 7766 §8).
        stream.set_nodelay(true)?;
        let mut framed = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?.to_be_bytes().to_vec();
        framed.extend_from_slice(&bytes);
        let at_ns = now_ns();
        stream.write_all(&framed).await?;
        sent(at_ns);
        let mut reply = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut reply).await?;
        Ok(reply)
    };
    let reply = timeout_at(end, talk).await.map_err(|_| late("no answer over tcp"))?.map_err(broken)?;
    match fit(&reply, &[query]) {
        Fit::Reply(reply) => Ok(reply),
        Fit::Malformed(why) => Err(NoReply::new(NoUse::Malformed, why)),
        Fit::Ignore(why) => {
            Err(NoReply::new(why.failure(), format!("what it sent over tcp answers nothing: {}", why.words())))
        }
    }
}

/// What some bytes are to somebody who waits for a reply.
enum Fit {
    Reply(Reply),
    /// From the server that was asked, with the right id, and no DNS message.
    Malformed(String),
    /// Nothing that concerns the question.
    Ignore(Stray),
}

/// What answers nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stray {
    TooShort,
    OtherId,
    Query,
    OtherQuestion,
}

impl Stray {
    fn words(self) -> &'static str {
        match self {
            Self::TooShort => "too short for a message",
            Self::OtherId => "another id than the query's",
            Self::Query => "a query, not a reply",
            Self::OtherQuestion => "a reply to another question",
        }
    }

    fn failure(self) -> NoUse {
        match self {
            Self::TooShort => NoUse::Malformed,
            Self::OtherId => NoUse::WrongId,
            Self::Query => NoUse::NotAResponse,
            Self::OtherQuestion => NoUse::Other,
        }
    }
}

fn fit(bytes: &[u8], asked: &[&Message]) -> Fit {
    let [a, b, flags, ..] = *bytes else { return Fit::Ignore(Stray::TooShort) };
    // Port and id first: whoever cannot guess them must not be able to end the wait.
    let id = u16::from_be_bytes([a, b]);
    let Some((nth, query)) = asked.iter().enumerate().find(|(_, query)| query.metadata.id == id) else {
        return Fit::Ignore(Stray::OtherId);
    };
    if flags & 0x80 == 0 {
        return Fit::Ignore(Stray::Query);
    }
    let response = match DnsResponse::from_buffer(bytes.to_vec()) {
        Ok(response) => response,
        Err(error) => return Fit::Malformed(format!("its reply of {} bytes is malformed: {error}", bytes.len())),
    };
    // Servers that cannot read the question may leave it out (RFC 1035 §4.1.1, FORMERR).
    let about_it = response.queries == query.queries || (response.queries.is_empty() && response.answers.is_empty());
    if about_it { Fit::Reply(Reply { response, nth }) } else { Fit::Ignore(Stray::OtherQuestion) }
}

/// Datagrams that did not end the wait.
#[derive(Default)]
struct Ignored {
    count: usize,
    last: Option<Stray>,
    various: bool,
}

impl Ignored {
    fn add(&mut self, why: Stray) {
        self.count += 1;
        self.various |= self.last.replace(why).is_some_and(|before| before != why);
    }

    /// What the wait has brought.
    fn failure(&self) -> NoUse {
        match self.last {
            None => NoUse::NoAnswer,
            Some(_) if self.various => NoUse::Other,
            Some(why) => why.failure(),
        }
    }
}

impl std::fmt::Display for Ignored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.last, self.count) {
            (None, _) => Ok(()),
            (Some(why), 1) => write!(f, " (what came was ignored: {})", why.words()),
            (Some(why), count) => {
                write!(f, " ({count} datagrams came and were ignored, the last one as {})", why.words())
            }
        }
    }
}

/// An error of the socket in words.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there: the host refuses".to_owned(),
        io::ErrorKind::HostUnreachable => "the host cannot be reached".to_owned(),
        io::ErrorKind::NetworkUnreachable => "there is no route to it".to_owned(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => "it hung up without an answer".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_wait_has_brought() {
        let check = |strays: &[Stray], expected| {
            let mut ignored = Ignored::default();
            strays.iter().for_each(|stray| ignored.add(*stray));
            assert_eq!(ignored.failure(), expected, "{strays:?}");
        };
        check(&[], NoUse::NoAnswer);
        check(&[Stray::OtherId, Stray::OtherId], NoUse::WrongId);
        check(&[Stray::Query], NoUse::NotAResponse);
        check(&[Stray::TooShort], NoUse::Malformed);
        check(&[Stray::Query, Stray::OtherId, Stray::OtherId], NoUse::Other);
        check(&[Stray::OtherQuestion], NoUse::Other);
    }
}
