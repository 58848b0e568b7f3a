//! The stages `send`, `wait`, `receive` and `close`: one request on an open connection, in HTTP/1.1 or HTTP/2. The times
//! between them are those of bytes on the stream, not of calls into the HTTP library.
//!
//! | module | what |
//! |---|---|
//! | `head` | what the head of a response says |
//! | `content` | decoding, counting, writing to where `-o` says |
//! | `explain` | what went wrong, from what the stream saw |
//! | `close` | the `close` stage |
//! | [`by_reqwest`] | the same by reqwest, as far as it lets itself be watched |

pub mod by_reqwest;
mod close;
mod content;
mod explain;
mod head;

pub use content::Output;

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::future::Either;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, Uri,
    body::Incoming,
    client::conn::{http1, http2},
    header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use journey::{
    Reason, Stage, StageName, StageState, TraceId,
    stage::{self, Did, Failure, Framing, Header},
};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    Walk,
    meter::{Grammar, Meter, Metered, Seen},
    observed,
    target::{Scheme, Target},
    wire::Wire,
};
use crate::{plan::request, redirect::is_redirect};
use close::LAST_FIN;
use content::Content;
use head::Informational;

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
    let request = build(target, asked, &open);
    let sent = stage::Send {
        method: Some(request.method().to_string()),
        target: Some(walk.secrets.text(&target.path)),
        version: Some(head::version(request.version())),
        headers: shown(walk, &request),
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
        start_us,
        before,
        follows: asked.follows,
        receive: stage::Receive::default(),
        location: None,
    };
    let stages = match talk.run(request, stream, open.version).await {
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

/// The task that moves bytes between the library and the stream.
type Driver = JoinHandle<hyper::Result<()>>;

/// A response that is complete.
struct Complete {
    driver: Driver,
    keep_alive: bool,
}

impl Complete {
    /// The stream, once the library is done with it; or why it cannot be closed as it should.
    async fn wire(self, walk: &Walk<'_>, meter: &Meter, back: oneshot::Receiver<Wire>) -> Result<Wire, String> {
        // The connection's task ends as soon as nobody can send on it any more.
        let mut driver = self.driver;
        let ended = walk.bounds.within(LAST_FIN, &mut driver).await;
        if ended.is_err() {
            // It would go on sending what nobody waits for.
            driver.abort();
        }
        // A server that ends TLS without a word has closed nevertheless.
        let torn = || meter.seen().read_error == Some(io::ErrorKind::UnexpectedEof);
        match ended {
            Ok(Ok(Ok(()))) => back.await.map_err(|_| "the connection was lost".to_owned()),
            Ok(Ok(Err(_))) if torn() => back.await.map_err(|_| "the connection was lost".to_owned()),
            Ok(Ok(Err(error))) if explain::is_surplus(&error) => {
                Err("more came than the response: it belongs to no answer, and the connection was given up".to_owned())
            }
            Ok(Ok(Err(error))) => Err(format!("the connection broke after the response: {}", explain::words(&error))),
            Ok(Err(_)) | Err(_) => Err("the connection was not free to be closed in time".to_owned()),
        }
    }
}

struct Talk<'a> {
    walk: &'a Walk<'a>,
    meter: Meter,
    start_us: u64,
    // Bytes written and read below TLS before the request.
    before: Option<(u64, u64)>,
    follows: bool,
    receive: stage::Receive,
    location: Option<String>,
}

impl Talk<'_> {
    /// The whole exchange, up to the end of the response.
    async fn run(
        &mut self,
        mut request: Request<Full<Bytes>>,
        stream: Metered,
        version: Version,
    ) -> Result<Complete, Failure> {
        let interim = Informational::listen(&mut request, self.walk.clock, self.walk.secrets);
        let io = TokioIo::new(stream);
        let (driver, responded) = match version {
            Version::Http1 => {
                let mut builder = http1::Builder::new();
                builder.max_buf_size(MAX_HEAD).max_headers(MAX_FIELDS);
                let (mut sender, connection) = builder.handshake(io).await.map_err(|error| self.explain(&error))?;
                (tokio::spawn(connection), Either::Left(async move { sender.send_request(request).await }))
            }
            Version::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.max_header_list_size(MAX_HEAD as u32);
                let (mut sender, connection) = builder.handshake(io).await.map_err(|error| self.explain(&error))?;
                (tokio::spawn(connection), Either::Right(async move { sender.send_request(request).await }))
            }
        };
        let result = self.response(responded, &interim).await;
        self.receive.interim = interim.heard();
        match result {
            Ok(keep_alive) => Ok(Complete { driver, keep_alive }),
            Err(failure) => {
                // Nobody reads on; the stream is dropped with the task, and closed by that.
                driver.abort();
                Err(failure)
            }
        }
    }

    /// Reads the response; returns whether the server offered to keep the connection.
    async fn response(
        &mut self,
        responded: impl Future<Output = hyper::Result<Response<Incoming>>>,
        interim: &Informational,
    ) -> Result<bool, Failure> {
        let response = match self.walk.bounds.within(FIRST_BYTE, responded).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.explain(&error)),
            Err(reason) => return Err(self.cut(reason, FIRST_BYTE)),
        };
        self.head(&response);
        self.receive.interim = interim.heard();
        let keep_alive = head::keeps_alive(&response);
        // What a redirect that is followed says besides is nobody's content.
        let is_last = !(self.follows && self.location.is_some() && is_redirect(response.status().as_u16()));
        let output = self.walk.output.filter(|_| is_last);
        let mut content = Content::new(response.headers(), self.walk.max_response, output)?;
        self.receive.codings.clone_from(&content.codings);
        let result = self.body(response.into_body(), &mut content).await;
        let has_content = self.receive.content_bytes > Some(0);
        self.receive.decoded_bytes = (content.is_decoded && has_content).then(|| content.count());
        result?;
        if let Some(Output::File(path)) = output {
            self.receive.written_to = Some(path.display().to_string());
        }
        Ok(keep_alive)
    }

    fn head(&mut self, response: &Response<Incoming>) {
        let location = response.headers().get(LOCATION);
        self.location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        // Where frames do not tell, the read that brought the end of the head is the last one so far: HTTP/1.1 is read in
        // turn with being understood.
        let seen = self.meter.seen();
        let headers_at = seen.head_read.or(seen.last_read).map(|at| self.walk.clock.us_at(at));
        self.receive = stage::Receive {
            status: Some(response.status().as_u16()),
            reason_phrase: head::reason_phrase(response),
            version: Some(head::version(response.version())),
            headers: head::fields(self.walk.secrets, response.headers()),
            headers_at_us: headers_at,
            content_bytes: Some(0),
            framing: Some(head::framing(response)),
            server_timing: head::server_timing(response.headers()),
            ..stage::Receive::default()
        };
    }

    async fn body(&mut self, mut body: Incoming, content: &mut Content) -> Result<(), Failure> {
        let limit = self.walk.max_response;
        loop {
            let frame = match self.walk.bounds.within(STALL, body.frame()).await {
                // An answer to HEAD names a coding, and there is nothing to decode.
                Ok(None) if self.receive.content_bytes == Some(0) => return Ok(()),
                Ok(None) => return content.finish(),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(self.explain(&error)),
                Err(reason) => return Err(self.cut(reason, STALL)),
            };
            if let Some(data) = frame.data_ref() {
                *self.receive.content_bytes.get_or_insert(0) += data.len() as u64;
                content.feed(data)?;
            } else if let Some(trailers) = frame.trailers_ref() {
                self.receive.trailers = head::fields(self.walk.secrets, trailers);
                self.receive.server_timing.extend(head::server_timing(trailers));
            }
            if self.meter.seen().read > limit {
                let what = format!("the response is larger than the limit of {limit} bytes");
                return Err(Failure { reason: Reason::TooLarge, what });
            }
        }
    }

    fn explain(&self, error: &hyper::Error) -> Failure {
        explain::failure(error, &self.meter.seen(), &self.receive)
    }

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

/// The request as it goes to the library.
fn build(target: &Target, asked: &request::Request, open: &Open) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(asked.body.clone()));
    *request.method_mut() = asked.method.clone();
    *request.headers_mut() = asked.fields.clone();
    if let Some(trace) = open.trace {
        let value = HeaderValue::from_str(&trace.traceparent(rand::random())).expect("hexadecimal digits and dashes");
        request.headers_mut().insert(HeaderName::from_static("traceparent"), value);
    }
    with_length(asked, request.headers_mut());
    match open.version {
        Version::Http1 => {
            // Made by the URL parser, which leaves only what these types allow.
            *request.uri_mut() = target.path.parse().unwrap_or_default();
            if !request.headers().contains_key(HOST) && !asked.without.contains(&HOST) {
                let host = HeaderValue::from_str(&target.authority).unwrap_or(HeaderValue::from_static(""));
                request.headers_mut().insert(HOST, host);
            }
        }
        Version::Http2 => {
            *request.version_mut() = hyper::Version::HTTP_2;
            // RFC 9113 §8.3.1: `:authority` says what `Host` says in HTTP/1.1.
            let host = request.headers_mut().remove(HOST);
            let authority = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or(&target.authority);
            let scheme = if target.scheme == Scheme::Http { "http" } else { "https" };
            let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(target.path.as_str()).build();
            *request.uri_mut() = uri.unwrap_or_default();
        }
    }
    request
}

/// Written here and not by the library, so that what is shown is what is sent. RFC 9110 §8.6: a method that usually has
/// content says so also where there is none.
fn with_length(asked: &request::Request, fields: &mut HeaderMap) {
    let expects_content = matches!(asked.method, Method::POST | Method::PUT | Method::PATCH);
    if (expects_content || !asked.body.is_empty()) && !fields.contains_key(CONTENT_LENGTH) {
        fields.insert(CONTENT_LENGTH, asked.body.len().into());
    }
}

/// The head as it is shown: in HTTP/2 with the pseudo-header fields that carry its first line.
fn shown(walk: &Walk<'_>, request: &Request<Full<Bytes>>) -> Vec<Header> {
    let mut fields = Vec::new();
    if request.version() == hyper::Version::HTTP_2 {
        let uri = request.uri();
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let pseudo = [
            (":method", request.method().as_str().to_owned()),
            (":scheme", uri.scheme_str().unwrap_or("").to_owned()),
            (":authority", authority.to_owned()),
            (":path", walk.secrets.text(path)),
        ];
        fields.extend(pseudo.map(|(name, value)| Header { name: name.to_owned(), value }));
    }
    fields.extend(head::fields(walk.secrets, request.headers()));
    fields
}
