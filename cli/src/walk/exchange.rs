//! The stages `send`, `wait`, `receive` and `close`: one HTTP/1.1 request on an open connection. The times between them
//! are those of bytes on the socket, not of calls into the HTTP library.

use std::{io, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response,
    body::{Body, Incoming},
    client::conn::http1,
    header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use journey::{
    Reason, Stage, StageName, StageState, TraceId,
    stage::{self, Closer, Did, Failure, Framing, Header, PeerEnd, ServerTiming},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Walk, bounds,
    meter::{Meter, Metered, Seen},
    observed,
    target::Target,
};

/// How long the first byte of a response may take.
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// How long the server may be silent in the middle of a response.
const STALL: Duration = Duration::from_secs(30);
/// How long the other side's FIN is waited for.
const LAST_FIN: Duration = Duration::from_millis(500);
/// Bytes that the head of a response may have.
const MAX_HEAD: usize = 64 * 1024;

/// Fields that the head of a response may have.
const MAX_FIELDS: usize = 1_000;

type Driver = tokio::task::JoinHandle<hyper::Result<http1::Parts<TokioIo<Metered<TcpStream>>>>>;

/// Sends the request, reads the response and closes; the stages as far as they came, and the response's `Location`.
pub async fn exchange(
    walk: &Walk<'_>,
    target: &Target,
    trace: Option<TraceId>,
    stream: TcpStream,
) -> (Vec<Stage>, Option<String>) {
    let start_us = walk.clock.us();
    let (stream, meter) = Metered::new(stream);
    let mut talk = Talk { walk, meter, start_us, receive: stage::Receive::default(), location: None };
    let request = request(target, trace);
    let sent = stage::Send {
        method: Some(request.method().to_string()),
        target: Some(walk.secrets.text(&target.path)),
        version: Some("HTTP/1.1".to_owned()),
        headers: headers(walk, request.headers()),
        ..stage::Send::default()
    };
    let stages = match talk.run(request, stream).await {
        Ok((connection, keep_alive)) => {
            let mut stages = talk.stages(sent, None);
            stages.push(close(walk, connection, keep_alive, talk.meter.seen().peer_closed.is_some()).await);
            stages
        }
        Err(failure) => talk.stages(sent, Some(failure)),
    };
    (stages, talk.location)
}

struct Talk<'a> {
    walk: &'a Walk<'a>,
    meter: Meter,
    start_us: u64,
    receive: stage::Receive,
    location: Option<String>,
}

impl Talk<'_> {
    /// The whole exchange; returns the connection, or why it cannot be closed as it should, and whether the server offered
    /// to keep it open.
    async fn run(
        &mut self,
        request: Request<Empty<Bytes>>,
        stream: Metered<TcpStream>,
    ) -> Result<(Result<Metered<TcpStream>, String>, bool), Failure> {
        let handshake =
            http1::Builder::new().max_buf_size(MAX_HEAD).max_headers(MAX_FIELDS).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.explain(&error))?;
        let driver: Driver = tokio::spawn(connection.without_shutdown());
        let responded = self.walk.bounds.within(FIRST_BYTE, sender.send_request(request)).await;
        let response = match responded {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.explain(&error)),
            Err(reason) => return Err(self.cut(reason, FIRST_BYTE)),
        };
        self.head(&response);
        let keep_alive = keeps_alive(&response);
        self.body(response.into_body()).await?;
        drop(sender);
        // The connection's task ends as soon as nobody can send on it any more.
        let connection = match self.walk.bounds.within(LAST_FIN, driver).await {
            Ok(Ok(Ok(parts))) => Ok(parts.io.into_inner()),
            Ok(Ok(Err(error))) => Err(format!("the connection broke after the response: {}", words(&error))),
            Ok(Err(_)) | Err(_) => Err("the connection was not free to be closed in time".to_owned()),
        };
        Ok((connection, keep_alive))
    }

    fn head(&mut self, response: &Response<Incoming>) {
        let status = response.status();
        let location = response.headers().get(LOCATION);
        self.location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        self.receive = stage::Receive {
            status: Some(status.as_u16()),
            reason_phrase: reason_phrase(response),
            version: Some(format!("{:?}", response.version())),
            headers: headers(self.walk, response.headers()),
            headers_at_us: Some(self.walk.clock.us()),
            content_bytes: Some(0),
            framing: Some(framing(response)),
            server_timing: server_timing(response.headers()),
            ..stage::Receive::default()
        };
    }

    async fn body(&mut self, mut body: Incoming) -> Result<(), Failure> {
        let limit = self.walk.max_response;
        loop {
            let frame = match self.walk.bounds.within(STALL, body.frame()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(self.explain(&error)),
                Err(reason) => return Err(self.cut(reason, STALL)),
            };
            if let Some(data) = frame.data_ref() {
                *self.receive.content_bytes.get_or_insert(0) += data.len() as u64;
            }
            if self.meter.seen().read > limit {
                let what = format!("the response is larger than the limit of {limit} bytes");
                return Err(Failure { reason: Reason::TooLarge, what });
            }
        }
    }

    /// A wait that was cut short.
    fn cut(&self, reason: Reason, limit: Duration) -> Failure {
        let seen = self.meter.seen();
        let what = match (seen.first_read, self.receive.status) {
            (None, _) => "the server sent nothing",
            (Some(_), None) => "the server did not finish the head of its response",
            (Some(_), Some(_)) => "the server sent no more of its response",
        };
        Failure { reason, what: bounds::cut(what, reason, limit) }
    }

    /// What went wrong, from what the socket saw rather than from the library's words.
    fn explain(&self, error: &hyper::Error) -> Failure {
        let seen = self.meter.seen();
        let reset = seen.read_error == Some(io::ErrorKind::ConnectionReset);
        let in_body = self.receive.status.is_some();
        let (reason, what) = if seen.read == 0 && seen.write_error.is_some() && !reset && seen.peer_closed.is_none() {
            (Reason::SendFailed, "the connection broke while the request was written".to_owned())
        } else if seen.read == 0 && (reset || seen.write_error.is_some()) {
            (Reason::Reset, "the server reset the connection before it sent a byte".to_owned())
        } else if seen.read == 0 && seen.peer_closed.is_some() {
            (Reason::EmptyReply, "the server closed the connection without sending a byte".to_owned())
        } else if error.is_parse_too_large() {
            let limit =
                if seen.read > MAX_HEAD as u64 { format!("{MAX_HEAD} bytes") } else { format!("{MAX_FIELDS} fields") };
            (Reason::TooLarge, format!("the head of the response is larger than {limit}"))
        } else if error.is_parse() || is_invalid_data(error) {
            (Reason::MalformedResponse, format!("what the server sent is no HTTP/1.1 response: {}", words(error)))
        } else if reset {
            (Reason::Reset, format!("the server reset the connection after {} bytes", seen.read))
        } else if in_body && (error.is_incomplete_message() || seen.peer_closed.is_some()) {
            let sent = self.receive.content_bytes.unwrap_or(0);
            let of = self.promised().map_or_else(String::new, |length| format!(" of {length}"));
            (Reason::BodyCut, format!("the server closed the connection after {sent}{of} bytes of content"))
        } else if seen.peer_closed.is_some() {
            (Reason::BodyCut, "the server closed the connection in the head of its response".to_owned())
        } else {
            (Reason::ReceiveFailed, format!("the response broke off: {}", words(error)))
        };
        Failure { reason, what }
    }

    fn promised(&self) -> Option<u64> {
        let length = self.receive.headers.iter().find(|header| header.name == "content-length")?;
        length.value.parse().ok()
    }

    /// The stages `send`, `wait` and `receive`, from what the meter saw; a failure belongs to the one it came in.
    fn stages(&mut self, mut sent: stage::Send, failure: Option<Failure>) -> Vec<Stage> {
        let seen = self.meter.seen();
        let now_us = self.walk.clock.us();
        let at = |instant| self.walk.clock.us_at(instant);
        sent.bytes = Some(seen.written);
        self.receive.bytes = Some(seen.read);
        let sent_us = seen.last_write.map(at);
        let first_us = seen.first_read.map(at);
        let failed_in = failure.as_ref().map(|failure| stage_of(failure, &seen));
        let mut failure = failure;
        let mut make = |name: StageName, did: Did, start: Option<u64>, end: Option<u64>| match start {
            None => Stage::not_reached(name),
            Some(start) if failed_in == Some(name) => observed(StageState::Failed, did, start, now_us, failure.take()),
            Some(start) => observed(StageState::Done, did, start, end.unwrap_or(now_us), None),
        };
        let send = make(StageName::Send, Did::Send(sent), Some(self.start_us), sent_us);
        let reached_wait = sent_us.filter(|_| failed_in != Some(StageName::Send));
        let wait = make(StageName::Wait, Did::Wait(stage::Wait {}), reached_wait, first_us);
        let reached_receive = first_us.filter(|_| !matches!(failed_in, Some(StageName::Send | StageName::Wait)));
        let receive =
            make(StageName::Receive, Did::Receive(Box::new(self.receive.clone())), reached_receive, Some(now_us));
        vec![send, wait, receive]
    }
}

/// In which stage a failure came: what has been sent and what has come decide.
fn stage_of(failure: &Failure, seen: &Seen) -> StageName {
    if failure.reason == Reason::SendFailed || seen.written == 0 {
        StageName::Send
    } else if seen.first_read.is_none() {
        StageName::Wait
    } else {
        StageName::Receive
    }
}

fn request(target: &Target, trace: Option<TraceId>) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    // Both were made by the URL parser, which leaves only what these types allow.
    *request.uri_mut() = target.path.parse().unwrap_or_default();
    let fields = request.headers_mut();
    fields.insert(HOST, HeaderValue::from_str(&target.authority).unwrap_or(HeaderValue::from_static("")));
    fields.insert(USER_AGENT, HeaderValue::from_static(concat!("visit/", env!("CARGO_PKG_VERSION"))));
    fields.insert(ACCEPT, HeaderValue::from_static("*/*"));
    if let Some(trace) = trace {
        let value = HeaderValue::from_str(&trace.traceparent(rand::random())).expect("hexadecimal digits and dashes");
        fields.insert(HeaderName::from_static("traceparent"), value);
    }
    request
}

fn headers(walk: &Walk<'_>, map: &HeaderMap) -> Vec<Header> {
    let one = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = walk.secrets.field(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
        Header { name: name.as_str().to_owned(), value }
    };
    map.iter().map(one).collect()
}

/// The phrase as it was sent; the library keeps it only where it differs from that of the code's definition.
fn reason_phrase(response: &Response<Incoming>) -> Option<String> {
    let sent = response.extensions().get::<hyper::ext::ReasonPhrase>();
    match sent {
        Some(phrase) => Some(String::from_utf8_lossy(phrase.as_bytes()).into_owned()),
        None => response.status().canonical_reason().map(str::to_owned),
    }
}

fn keeps_alive(response: &Response<Incoming>) -> bool {
    let says = |word: &str| {
        let values = response.headers().get_all(CONNECTION).into_iter();
        values
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|option| option.trim().eq_ignore_ascii_case(word)))
    };
    // RFC 9112 §9.3.
    if says("close") { false } else { response.version() == hyper::Version::HTTP_11 || says("keep-alive") }
}

fn framing(response: &Response<Incoming>) -> Framing {
    if response.headers().contains_key(hyper::header::TRANSFER_ENCODING) {
        Framing::Chunked
    } else if response.headers().contains_key(hyper::header::CONTENT_LENGTH) {
        Framing::ContentLength
    } else if response.body().is_end_stream() {
        Framing::None
    } else {
        Framing::Close
    }
}

/// `Server-Timing` (W3C): metrics separated by commas, parameters by semicolons; the first of a repeated parameter counts.
fn server_timing(headers: &HeaderMap) -> Vec<ServerTiming> {
    let values = headers.get_all("server-timing").into_iter().filter_map(|value| value.to_str().ok());
    let metric = |text: &str| {
        let mut parts = outside_quotes(text, ';').into_iter().map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let mut timing = ServerTiming { name, duration_us: None, description: None };
        for part in parts {
            let Some((key, value)) = part.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            if key.trim().eq_ignore_ascii_case("dur") && timing.duration_us.is_none() {
                timing.duration_us = milliseconds(value);
            } else if key.trim().eq_ignore_ascii_case("desc") && timing.description.is_none() {
                timing.description = Some(value.to_owned());
            }
        }
        Some(timing)
    };
    values.flat_map(|value| outside_quotes(value, ',').into_iter().filter_map(metric).collect::<Vec<_>>()).collect()
}

/// The parts of a text between separators that do not stand inside a quoted string (RFC 9110 §5.6.4).
fn outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let here = c == separator && !quoted;
        match c {
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\' && quoted && !escaped;
        here
    })
    .collect()
}

fn milliseconds(text: &str) -> Option<u64> {
    let ms: f64 = text.parse().ok()?;
    // Outside this range it is no duration of an answer that anybody waited for.
    (0.0..1e9).contains(&ms).then(|| (ms * 1_000.0).round() as u64)
}

/// The `close` stage: this side's FIN, then the other side's.
async fn close(
    walk: &Walk<'_>,
    connection: Result<Metered<TcpStream>, String>,
    keep_alive: bool,
    fin_seen: bool,
) -> Stage {
    let start_us = walk.clock.us();
    let mut did = stage::Close { keep_alive_offered: Some(keep_alive), ..stage::Close::default() };
    let mut stream = match connection {
        Ok(stream) => stream,
        Err(note) => {
            let stage = observed(StageState::Skipped, Did::Close(did), start_us, start_us, None);
            return Stage { duration_us: None, note: Some(note), ..stage };
        }
    };
    let mut end = if fin_seen { PeerEnd::Fin } else { PeerEnd::Silent };
    // A server that announced the close is given the time to do it; who closes first is then seen, not guessed.
    if !keep_alive && !fin_seen {
        end = peer_end(walk, &mut stream).await;
    }
    did.first = Some(if end == PeerEnd::Silent { Closer::You } else { Closer::Server });
    let _ = stream.shutdown().await;
    if end == PeerEnd::Silent {
        end = peer_end(walk, &mut stream).await;
    }
    did.peer = Some(end);
    observed(StageState::Done, Did::Close(did), start_us, walk.clock.us(), None)
}

/// How the other side ends the connection, as far as it does in time. What comes before belongs to no response.
async fn peer_end(walk: &Walk<'_>, stream: &mut Metered<TcpStream>) -> PeerEnd {
    let rest = async {
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).await? > 0 {}
        io::Result::Ok(())
    };
    match walk.bounds.within(LAST_FIN, rest).await {
        Ok(Ok(())) => PeerEnd::Fin,
        Ok(Err(_)) => PeerEnd::Reset,
        Err(_) => PeerEnd::Silent,
    }
}

/// Whether the library could not read the framing of the content, as a chunk's size that is no number.
fn is_invalid_data(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// The library's words, with those of what caused it.
fn words(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
