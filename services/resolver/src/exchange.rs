//! One question to one socket. Our own, because hickory's connections hide what has to be told: they do not see a
//! refused datagram, and wait for the time-out; they drop what does not fit without a word; and they take a port of
//! their own choice, one task and two copies for each query.

use std::{io, net::SocketAddr, time::Duration};

use hickory_proto::op::{DnsResponse, Message, Query};
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

/// Asks over UDP; a second time when half of the limit has passed without a reply, as a datagram may be lost.
/// `sent` is told when each transmission was made: a time from before it, as a server near by may read it at once.
pub(crate) async fn over_udp(
    to: SocketAddr,
    query: &Message,
    limit: Duration,
    mut sent: impl FnMut(u64),
) -> Result<Reply, NoReply> {
    let broken = |error: io::Error| NoReply::broken(&error);
    // Connected, so that the kernel drops what comes from elsewhere and tells when nothing listens there. The port is the
    // kernel's choice, at random, new for each question: it and the id are what a forger has to guess (RFC 5452 §4).
    let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(broken)?;
    socket.connect(to).await.map_err(broken)?;
    let mut bytes = query.to_vec().map_err(|error| NoReply::unwritten(&error))?;
    let begin = Instant::now();
    let mut ids = Vec::with_capacity(2);
    let mut buffer = vec![0; LONGEST_DATAGRAM];
    let mut ignored = Ignored::default();
    for end in [begin + limit / 2, begin + limit] {
        // An id for each transmission tells which of them was answered.
        let further = if ids.is_empty() { 0 } else { rand::random_range(1..=u16::MAX) };
        let id = query.metadata.id.wrapping_add(further);
        bytes[..2].copy_from_slice(&id.to_be_bytes());
        ids.push(id);
        let at_ns = now_ns();
        socket.send(&bytes).await.map_err(broken)?;
        sent(at_ns);
        while let Ok(received) = timeout_at(end, socket.recv(&mut buffer)).await {
            let length = received.map_err(broken)?;
            match fit(&buffer[..length], &ids, &query.queries) {
                Fit::Reply(reply) => return Ok(reply),
                Fit::Malformed(why) => return Err(NoReply::new(NoUse::Malformed, why)),
                // A forged or late datagram must not end the wait for the true one.
                Fit::Ignore(why) => ignored.add(why),
            }
        }
    }
    Err(NoReply::new(ignored.failure(), format!("no answer within {} ms{ignored}", limit.as_millis())))
}

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
    match fit(&reply, &[query.metadata.id], &query.queries) {
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

fn fit(bytes: &[u8], ids: &[u16], asked: &[Query]) -> Fit {
    let [a, b, flags, ..] = *bytes else { return Fit::Ignore(Stray::TooShort) };
    // Port and id first: whoever cannot guess them must not be able to end the wait.
    let Some(nth) = ids.iter().position(|id| *id == u16::from_be_bytes([a, b])) else {
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
    let about_it = response.queries == asked || (response.queries.is_empty() && response.answers.is_empty());
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
