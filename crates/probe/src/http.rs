//! The stages `send`, `wait`, `receive` and `close`: one request on an open connection, in HTTP/1.1 or HTTP/2. The times
//! between them are those of bytes on the stream, not of calls into the HTTP library.
//!
//! | module | what |
//! |---|---|
//! | `head` | what the head of a response says |
//! | `one` | the exchange in HTTP/1.1, by this program's own reader (crate `http1`) |
//! | `two` | the exchange in HTTP/2, by hyper |
//! | `coding` | content and transfer codings |
//! | `content` | decoding, counting, writing to where `-o` says |
//! | `explain` | what went wrong, from what the stream saw |
//! | `http2` | the same over HTTP/2, from its frames |
//! | `close` | the `close` stage |
//! | [`by_reqwest`] | the same by reqwest, as far as it lets itself be watched |

pub mod by_reqwest;
mod close;
mod coding;
mod content;
mod explain;
mod head;
mod http2;
mod one;
mod two;

pub use content::Output;

use std::time::Duration;

use hyper::{
    Method,
    header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING},
};
use journey::{
    Reason, Stage, StageName, StageState, TraceId,
    stage::{self, Did, Failure, Framing, Protocol},
};
use secrets::Secrets;

use super::{
    Probe,
    conn::Conn,
    meter::{Grammar, Meter, Metered, Seen},
    observed,
    target::Target,
};
use crate::request;

/// How long the first byte of a response may take.
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// How long the server may be silent in the middle of a response.
const STALL: Duration = Duration::from_secs(30);
/// How long a response may take from its first byte to its last, unless `--max-time` says how long the visit may take: a
/// server that sends a byte now and then would otherwise hold a visit for ever.
const LONGEST: Duration = Duration::from_secs(120);
/// Bytes that the head of a response may have.
const MAX_HEAD: usize = 64 * 1024;
/// Fields that the head of a response may have.
const MAX_FIELDS: usize = 1_000;

/// Which versions of HTTP may be spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// HTTP/2 where the server agrees in the handshake, else HTTP/1.1.
    #[default]
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
    pub conn: Conn,
    /// What is spoken over it.
    pub version: Version,
    /// The visit's id, where the other side records it.
    pub trace: Option<TraceId>,
}

/// Sends the request, reads the response and closes; the stages as far as they came, and the response's `Location`.
pub async fn exchange(
    probe: &Probe<'_>,
    target: &Target,
    asked: &request::Request,
    open: Open,
) -> (Vec<Stage>, Option<String>) {
    match open.version {
        Version::Http1 => in_http1(probe, target, asked, open).await,
        Version::Http2 => in_http2(probe, target, asked, open).await,
    }
}

async fn in_http1(
    probe: &Probe<'_>,
    target: &Target,
    asked: &request::Request,
    open: Open,
) -> (Vec<Stage>, Option<String>) {
    let start_us = probe.clock.us();
    let message = one::Message::new(target, asked, &open);
    let sent = message.shown(probe, target);
    let before = before(&open);
    let (mut stream, meter, back) = Metered::lend(open.conn, Grammar::Messages);
    let mut talk = Talk::new(probe, meter, start_us, before, asked.follows);
    talk.request_bytes = Some(message.len());
    let stages = match one::run(&mut talk, &message, &mut stream).await {
        Ok(done) => {
            let mut stages = talk.stages(sent, None);
            drop(stream);
            let conn = match (done.surplus, back.await) {
                (0, conn) => conn.map_err(|_| "the connection was lost".to_owned()),
                (count, _) => Err(behind(count)),
            };
            stages.push(close::close(probe, conn, done.keep_alive, &talk.meter.seen()).await);
            stages
        }
        Err(failure) => talk.stages(sent, Some(failure)),
    };
    (stages, talk.location)
}

/// What is said of bytes that belong to no response.
fn behind(count: u64) -> String {
    let bytes = if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") };
    format!("the server sent {bytes} after the end of its response; they belong to no request")
}

async fn in_http2(
    probe: &Probe<'_>,
    target: &Target,
    asked: &request::Request,
    open: Open,
) -> (Vec<Stage>, Option<String>) {
    let start_us = probe.clock.us();
    let (request, dropped) = two::build(target, asked, &open);
    let sent = stage::Send {
        method: Some(request.method().to_string()),
        target: Some(probe.secrets.text(&target.path)),
        version: Some(head::version(request.version())),
        headers: two::shown(probe, &request),
        content_bytes: (!asked.body.is_empty()).then_some(asked.body.len() as u64),
        ..stage::Send::default()
    };
    let before = before(&open);
    let (stream, meter, back) = Metered::lend(open.conn, Grammar::Frames);
    let mut talk = Talk::new(probe, meter, start_us, before, asked.follows);
    let mut stages = match talk.run(request, stream).await {
        Ok(done) => {
            let mut stages = talk.stages(sent, None);
            let keep_alive = done.keep_alive;
            let conn = done.conn(probe, &talk.meter, back).await;
            stages.push(close::close(probe, conn, keep_alive, &talk.meter.seen()).await);
            stages
        }
        Err(failure) => talk.stages(sent, Some(failure)),
    };
    if let (Some(send), false) = (stages.first_mut(), dropped.is_empty()) {
        let not_sent =
            format!("not sent, since HTTP/2 has no such fields (RFC 9113 section 8.2.2): {}", dropped.join(", "));
        send.note = Some(send.note.take().map_or_else(|| not_sent.clone(), |note| format!("{note}; {not_sent}")));
    }
    (stages, talk.location)
}

/// A handshake that failed because the server does not speak TLS: what it sent instead.
pub(super) fn not_tls(did: &mut stage::Tls, failure: Failure, begin: &[u8], secrets: Secrets) -> Failure {
    // The types of TLS's records (RFC 8446 §5.1). A server that closes early is met as an end, not as bytes that are not TLS.
    let is_tls = begin.first().is_none_or(|first| (0x14..=0x18).contains(first));
    if is_tls || !matches!(failure.reason, Reason::NotTls | Reason::TlsFailed | Reason::Reset | Reason::Timeout) {
        return failure;
    }
    did.protocol = Protocol::of(begin);
    let what = format!("{} does not speak TLS: it sent {}", did.server_name, one::first_bytes(begin, secrets));
    Failure { reason: Reason::NotTls, what }
}

/// Bytes written and read below TLS so far: what went over the socket before belongs to the handshake.
fn before(open: &Open) -> Option<(u64, u64)> {
    open.conn.tally().map(|tally| (tally.written(), tally.read()))
}

struct Talk<'a> {
    probe: &'a Probe<'a>,
    meter: Meter,
    start_us: u64,
    // Bytes written and read below TLS before the request.
    before: Option<(u64, u64)>,
    follows: bool,
    // Of the whole request, where that is known.
    request_bytes: Option<u64>,
    receive: stage::Receive,
    // What one should know about the response besides.
    note: Option<String>,
    location: Option<String>,
}

impl<'a> Talk<'a> {
    fn new(probe: &'a Probe<'a>, meter: Meter, start_us: u64, before: Option<(u64, u64)>, follows: bool) -> Self {
        Self {
            probe,
            meter,
            start_us,
            before,
            follows,
            request_bytes: None,
            receive: stage::Receive::default(),
            note: None,
            location: None,
        }
    }

    /// How much longer the response may take.
    fn time_left(&self) -> Duration {
        match self.meter.seen().first_read.filter(|_| self.probe.bounds.deadline.is_none()) {
            Some(first) => LONGEST.saturating_sub(first.elapsed()),
            None => LONGEST,
        }
    }

    /// What is said of the response besides: of its content, and of a head that breaks the grammar.
    fn receive_note(&self) -> Option<String> {
        let oddities = &self.receive.oddities;
        let odd = oddities.first().map(|first| match oddities.len() - 1 {
            0 => first.what.clone(),
            more => format!("{} (and {more} more)", first.what),
        });
        let notes: Vec<String> = self.note.clone().into_iter().chain(odd).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    fn cut(&self, reason: Reason, limit: Duration) -> Failure {
        explain::cut(reason, limit, &self.meter.seen(), &self.receive)
    }

    /// The stages `send`, `wait` and `receive`, from what the meter saw; a failure belongs to the one it came in.
    fn stages(&mut self, mut sent: stage::Send, failure: Option<Failure>) -> Vec<Stage> {
        let seen = self.meter.seen();
        let now_us = self.probe.clock.us();
        let at = |instant| self.probe.clock.us_at(instant);
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
        let request_bytes = self.request_bytes.or(sent.content_bytes).unwrap_or(0);
        let is_unsent = seen.written < request_bytes;
        let failed_in = failure.as_ref().map(|failure| stage_of(failure, &seen, is_unsent));
        let mut failure = failure;
        let mut make = |name: StageName, did: Did, start: Option<u64>, end: Option<u64>| match start {
            None => Stage::not_reached(name),
            Some(start) if failed_in == Some(name) => observed(StageState::Failed, did, start, now_us, failure.take()),
            Some(start) => observed(StageState::Done, did, start, end.unwrap_or(now_us), None),
        };
        let written = seen.written;
        let mut send = make(StageName::Send, Did::Send(sent), Some(self.start_us), sent_us);
        if is_unsent && send.state == StageState::Done {
            send.note = Some(format!(
                "the server answered before it had the whole request: {written} of {request_bytes} bytes were sent"
            ));
        }
        let reached_wait = sent_us.filter(|_| failed_in != Some(StageName::Send));
        let wait = make(StageName::Wait, Did::Wait(stage::Wait {}), reached_wait, first_us);
        let reached_receive = first_us.filter(|_| !matches!(failed_in, Some(StageName::Send | StageName::Wait)));
        let mut receive =
            make(StageName::Receive, Did::Receive(Box::new(self.receive.clone())), reached_receive, last_us);
        if reached_receive.is_some() {
            receive.note = self.receive_note();
        }
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

/// Written here, so that what is shown is what is sent. RFC 9112 §6.2: not beside a transfer coding. RFC 9110 §8.6: a method that usually has
/// content says so also where there is none.
fn with_length(asked: &request::Request, fields: &mut HeaderMap) {
    let expects_content = matches!(asked.method, Method::POST | Method::PUT | Method::PATCH);
    let is_told = [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| fields.contains_key(name))
        || asked.without.contains(&CONTENT_LENGTH);
    if (expects_content || !asked.body.is_empty()) && !is_told {
        fields.insert(CONTENT_LENGTH, asked.body.len().into());
    }
}
