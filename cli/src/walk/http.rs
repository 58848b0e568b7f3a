//! The stages `send`, `wait`, `receive` and `close`: one request on an open connection, in HTTP/1.1 or HTTP/2. The times
//! between them are those of bytes on the stream, not of calls into the HTTP library.
//!
//! | module | what |
//! |---|---|
//! | `head` | what the head of a response says |
//! | `two` | the exchange itself, by hyper |
//! | `content` | decoding, counting, writing to where `-o` says |
//! | `explain` | what went wrong, from what the stream saw |
//! | `http2` | the same over HTTP/2, from its frames |
//! | `close` | the `close` stage |
//! | [`by_reqwest`] | the same by reqwest, as far as it lets itself be watched |

pub mod by_reqwest;
mod close;
mod content;
mod explain;
mod head;
mod http2;
mod two;

pub use content::Output;

use std::time::Duration;

use hyper::{
    Method,
    header::{CONTENT_LENGTH, HeaderMap},
};
use journey::{
    Reason, Stage, StageName, StageState, TraceId,
    stage::{self, Did, Failure, Framing},
};

use super::{
    Walk,
    meter::{Grammar, Meter, Metered, Seen},
    observed,
    target::Target,
    wire::Wire,
};
use crate::plan::request;

/// How long the first byte of a response may take.
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// How long the server may be silent in the middle of a response.
const STALL: Duration = Duration::from_secs(30);
/// Bytes that the head of a response may have.
const MAX_HEAD: usize = 64 * 1024;
/// Fields that the head of a response may have.
const MAX_FIELDS: usize = 1_000;

/// Which versions of HTTP may be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// HTTP/2 where the server agrees in the handshake, else HTTP/1.1.
    Both,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone.
    Http2,
}

impl Versions {
    /// What is offered in the handshake (RFC 7301, RFC 9113 §3.2).
    pub fn alpn(self) -> &'static [&'static str] {
        match self {
            Self::Both => &["h2", "http/1.1"],
            Self::Http1 => &["http/1.1"],
            Self::Http2 => &["h2"],
        }
    }
}

/// What is spoken over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1 (RFC 9112).
    Http1,
    /// HTTP/2 (RFC 9113).
    Http2,
}

/// A connection that a request can be sent on.
#[derive(Debug)]
pub struct Open {
    /// The stream.
    pub wire: Wire,
    /// What is spoken over it.
    pub version: Version,
    /// The visit's id, where the other side records it.
    pub trace: Option<TraceId>,
}

/// Sends the request, reads the response and closes; the stages as far as they came, and the response's `Location`.
pub async fn exchange(
    walk: &Walk<'_>,
    target: &Target,
    asked: &request::Request,
    open: Open,
) -> (Vec<Stage>, Option<String>) {
    let start_us = walk.clock.us();
    let request = two::build(target, asked, &open);
    let sent = stage::Send {
        method: Some(request.method().to_string()),
        target: Some(walk.secrets.text(&target.path)),
        version: Some(head::version(request.version())),
        headers: two::shown(walk, &request),
        content_bytes: (!asked.body.is_empty()).then_some(asked.body.len() as u64),
        ..stage::Send::default()
    };
    let grammar = match open.version {
        Version::Http1 => Grammar::Messages,
        Version::Http2 => Grammar::Frames,
    };
    // What went over the socket before belongs to the handshake.
    let before = open.wire.tally().map(|tally| (tally.written(), tally.read()));
    let (stream, meter, back) = Metered::lend(open.wire, grammar);
    let mut talk = Talk {
        walk,
        meter,
        version: open.version,
        start_us,
        before,
        follows: asked.follows,
        receive: stage::Receive::default(),
        location: None,
    };
    let stages = match talk.run(request, stream).await {
        Ok(done) => {
            let mut stages = talk.stages(sent, None);
            let keep_alive = done.keep_alive;
            let wire = done.wire(walk, &talk.meter, back).await;
            stages.push(close::close(walk, wire, keep_alive, &talk.meter.seen()).await);
            stages
        }
        Err(failure) => talk.stages(sent, Some(failure)),
    };
    (stages, talk.location)
}

struct Talk<'a> {
    walk: &'a Walk<'a>,
    meter: Meter,
    version: Version,
    start_us: u64,
    // Bytes written and read below TLS before the request.
    before: Option<(u64, u64)>,
    follows: bool,
    receive: stage::Receive,
    location: Option<String>,
}

impl Talk<'_> {
    fn cut(&self, reason: Reason, limit: Duration) -> Failure {
        explain::cut(reason, limit, &self.meter.seen(), &self.receive)
    }

    /// The stages `send`, `wait` and `receive`, from what the meter saw; a failure belongs to the one it came in.
    fn stages(&mut self, mut sent: stage::Send, failure: Option<Failure>) -> Vec<Stage> {
        let seen = self.meter.seen();
        let now_us = self.walk.clock.us();
        let at = |instant| self.walk.clock.us_at(instant);
        sent.bytes = Some(seen.written);
        self.receive.bytes = Some(seen.read);
        if let Some((written, read)) = self.before {
            sent.wire_bytes = seen.wire_written.map(|now| now.saturating_sub(written));
            self.receive.wire_bytes = seen.wire_read.map(|now| now.saturating_sub(read));
        }
        let first_us = seen.first_read.map(at);
        // A server may answer before it has all of a request; what is sent after that is nobody's wait.
        let sent_us = seen.last_write.map(at).map(|sent| first_us.map_or(sent, |first| sent.min(first)));
        let last_us = match self.receive.framing {
            // The other side's end is what ends the content.
            Some(Framing::Close) => seen.peer_closed.or(seen.last_read).map(at),
            _ => seen.last_read.map(at),
        };
        let is_unsent = seen.written < sent.content_bytes.unwrap_or(0);
        let failed_in = failure.as_ref().map(|failure| stage_of(failure, &seen, is_unsent));
        let mut failure = failure;
        let mut make = |name: StageName, did: Did, start: Option<u64>, end: Option<u64>| match start {
            None => Stage::not_reached(name),
            Some(start) if failed_in == Some(name) => observed(StageState::Failed, did, start, now_us, failure.take()),
            Some(start) => observed(StageState::Done, did, start, end.unwrap_or(now_us), None),
        };
        let (written, content) = (seen.written, sent.content_bytes.unwrap_or(0));
        let mut send = make(StageName::Send, Did::Send(sent), Some(self.start_us), sent_us);
        if is_unsent && send.state == StageState::Done {
            send.note =
                Some(format!("the server answered before it had all: {written} bytes, of a content of {content}"));
        }
        let reached_wait = sent_us.filter(|_| failed_in != Some(StageName::Send));
        let wait = make(StageName::Wait, Did::Wait(stage::Wait {}), reached_wait, first_us);
        let reached_receive = first_us.filter(|_| !matches!(failed_in, Some(StageName::Send | StageName::Wait)));
        let receive = make(StageName::Receive, Did::Receive(Box::new(self.receive.clone())), reached_receive, last_us);
        vec![send, wait, receive]
    }
}

/// In which stage a failure came: what has been sent and what has come decide.
fn stage_of(failure: &Failure, seen: &Seen, is_unsent: bool) -> StageName {
    let is_unanswered = seen.first_read.is_none();
    if failure.reason == Reason::SendFailed || seen.written == 0 || (is_unsent && is_unanswered) {
        StageName::Send
    } else if is_unanswered {
        StageName::Wait
    } else {
        StageName::Receive
    }
}

/// Written here and not by the library, so that what is shown is what is sent. RFC 9110 §8.6: a method that usually has
/// content says so also where there is none.
fn with_length(asked: &request::Request, fields: &mut HeaderMap) {
    let expects_content = matches!(asked.method, Method::POST | Method::PUT | Method::PATCH);
    if (expects_content || !asked.body.is_empty()) && !fields.contains_key(CONTENT_LENGTH) {
        fields.insert(CONTENT_LENGTH, asked.body.len().into());
    }
}
