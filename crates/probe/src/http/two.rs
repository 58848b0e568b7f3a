//! The exchange in HTTP/2, by hyper: what is spoken over the stream is its affair, what is seen of it is the stream's.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn,
    header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, TE},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use journey::{
    Reason,
    stage::{self, Failure, Framing, Header},
};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    super::{
        Probe,
        conn::Conn,
        meter::{Meter, Metered},
        target::{Scheme, Target},
    },
    FIRST_BYTE, LONGEST, Open, Output, STALL, Talk,
    close::LAST_FIN,
    content::{self, Content},
    explain,
    head::{self, Informational},
    http2, with_length,
};
use crate::{redirect::is_redirect, request};

/// The task that moves bytes between the library and the stream.
type Driver = JoinHandle<hyper::Result<()>>;

/// A response that is complete.
pub(super) struct Complete {
    driver: Driver,
    pub(super) keep_alive: bool,
}

impl Complete {
    /// The stream, once the library is done with it; or why it cannot be closed as it should.
    pub(super) async fn conn(
        self,
        probe: &Probe<'_>,
        meter: &Meter,
        back: oneshot::Receiver<Conn>,
    ) -> Result<Conn, String> {
        // The connection's task ends as soon as nobody can send on it any more.
        let mut driver = self.driver;
        let ended = probe.bounds.within(LAST_FIN, &mut driver).await;
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

impl Talk<'_> {
    /// The whole exchange, up to the end of the response.
    pub(super) async fn run(
        &mut self,
        mut request: Request<Full<Bytes>>,
        stream: Metered,
    ) -> Result<Complete, Failure> {
        let interim = Informational::listen(&mut request, self.probe.clock, self.probe.secrets);
        let io = TokioIo::new(stream);
        let mut builder = conn::http2::Builder::new(TokioExecutor::new());
        builder.max_header_list_size(http2::MAX_LIST);
        let (mut sender, connection) = builder.handshake(io).await.map_err(|error| self.explain(&error))?;
        let driver = tokio::spawn(connection);
        let responded = async move { sender.send_request(request).await };
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
        let response = match self.probe.bounds.within(FIRST_BYTE, responded).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.explain(&error)),
            Err(reason) => return Err(self.cut(reason, FIRST_BYTE)),
        };
        if let Some(failure) = http2::too_large(response.headers()) {
            return Err(failure);
        }
        self.head(&response);
        self.receive.interim = interim.heard();
        let keep_alive = head::keeps_alive(&response);
        // What a redirect that is followed says besides is nobody's content.
        let is_last = !(self.follows && self.location.is_some() && is_redirect(response.status().as_u16()));
        let output = self.probe.output.filter(|_| is_last);
        let mut content = Content::new(content::codings_of(response.headers()), &[], self.probe.max_response, output)?;
        self.receive.codings.clone_from(&content.codings);
        let result = self.body(response.into_body(), &mut content).await;
        self.note = content.note();
        let has_content = self.receive.content_bytes > Some(0);
        self.receive.decoded_bytes = (content.is_decoded && has_content).then(|| content.count());
        result?;
        if let Some(Output::File(path)) = output {
            self.receive.written_to = Some(path.display().to_string());
        }
        Ok(keep_alive)
    }

    fn head(&mut self, response: &Response<Incoming>) {
        self.location = head::location(head::values(response.headers(), "location"));
        // Where frames do not tell, the read that brought the end of the head is the last one so far: HTTP/1.1 is read in
        // turn with being understood.
        let seen = self.meter.seen();
        let headers_at = seen.head_read.or(seen.last_read).map(|at| self.probe.clock.us_at(at));
        self.receive = stage::Receive {
            status: Some(response.status().as_u16()),
            reason_phrase: head::reason_phrase(response),
            version: Some(head::version(response.version())),
            headers: head::fields(self.probe.secrets, response.headers()),
            headers_at_us: headers_at,
            content_bytes: Some(0),
            framing: Some(Framing::EndStream),
            server_timing: head::server_timing(self.probe.secrets, head::values(response.headers(), "server-timing")),
            ..stage::Receive::default()
        };
    }

    async fn body(&mut self, mut body: Incoming, content: &mut Content) -> Result<(), Failure> {
        let limit = self.probe.max_response;
        loop {
            let frame = match self.probe.bounds.within(STALL.min(self.time_left()), body.frame()).await {
                Ok(None) if !self.meter.seen().answer.is_ended => {
                    return Err(http2::unfinished(&self.meter.seen().answer, &self.receive));
                }
                // An answer to HEAD names a coding, and there is nothing to decode.
                Ok(None) if self.receive.content_bytes == Some(0) => return Ok(()),
                Ok(None) => return content.finish(),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(self.explain(&error)),
                Err(reason) => {
                    let limit = if self.time_left().is_zero() { LONGEST } else { STALL };
                    return Err(self.cut(reason, limit));
                }
            };
            if let Some(data) = frame.data_ref() {
                *self.receive.content_bytes.get_or_insert(0) += data.len() as u64;
                content.feed(data)?;
            } else if let Some(trailers) = frame.trailers_ref() {
                self.receive.trailers = head::fields(self.probe.secrets, trailers);
                let timings = head::values(trailers, "server-timing");
                self.receive.server_timing.extend(head::server_timing(self.probe.secrets, timings));
            }
            if self.receive.content_bytes > Some(limit) {
                let what = format!("the content is larger than the limit of {limit} bytes");
                return Err(Failure { reason: Reason::TooLarge, what });
            }
        }
    }

    fn explain(&self, error: &hyper::Error) -> Failure {
        http2::failure(error, &self.meter.seen(), &self.receive)
    }
}

/// The request as it goes to the library.
pub(super) fn build(target: &Target, asked: &request::Request, open: &Open) -> (Request<Full<Bytes>>, Vec<String>) {
    let mut request = Request::new(Full::new(asked.body.clone()));
    *request.method_mut() = asked.method.clone();
    *request.headers_mut() = asked.fields.clone();
    if let Some(trace) = open.trace {
        let value = HeaderValue::from_str(&trace.traceparent(rand::random())).expect("hexadecimal digits and dashes");
        request.headers_mut().insert(HeaderName::from_static("traceparent"), value);
    }
    with_length(asked, request.headers_mut());
    *request.version_mut() = hyper::Version::HTTP_2;
    // RFC 9113 §8.3.1: `:authority` says what `Host` says in HTTP/1.1.
    let host = request.headers_mut().remove(HOST);
    let authority = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or(&target.authority);
    let scheme = if target.scheme == Scheme::Http { "http" } else { "https" };
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(target.path.as_str()).build();
    *request.uri_mut() = uri.unwrap_or_default();
    let dropped = without_connection_fields(request.headers_mut());
    (request, dropped)
}

/// Removes the fields that belong to a connection of HTTP/1.1 (RFC 9113 §8.2.2), and returns their names. The library would
/// remove them without a word, and they would be shown as sent.
fn without_connection_fields(fields: &mut HeaderMap) -> Vec<String> {
    let named = fields.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    let mut names: Vec<String> =
        named.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect();
    names.extend(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].map(str::to_owned));
    if fields.get(TE).is_some_and(|value| value != "trailers") {
        names.push("te".to_owned());
    }
    names.retain(|name| fields.remove(name.as_str()).is_some());
    names
}

/// The head as it is shown: in HTTP/2 with the pseudo-header fields that carry its first line.
pub(super) fn shown(probe: &Probe<'_>, request: &Request<Full<Bytes>>) -> Vec<Header> {
    let mut fields = Vec::new();
    if request.version() == hyper::Version::HTTP_2 {
        let uri = request.uri();
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let pseudo = [
            (":method", request.method().as_str().to_owned()),
            (":scheme", uri.scheme_str().unwrap_or("").to_owned()),
            (":authority", authority.to_owned()),
            (":path", probe.secrets.text(path)),
        ];
        fields.extend(pseudo.map(|(name, value)| Header { name: name.to_owned(), value }));
    }
    fields.extend(head::fields(probe.secrets, request.headers()));
    fields
}
