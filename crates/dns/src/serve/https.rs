//! DNS over HTTPS (RFC 8484): a message is the content of an exchange, over HTTP/2 or HTTP/1.1.
//!
//! An answer counts as sent when it is given to hyper; when its last byte goes to the socket, hyper does not tell.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use hickory_proto::{
    op::Message,
    rr::{RData, Record},
};
use hickory_server::server::RequestHandler;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use journey::dns::Transport;
use service::Stop;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::server::TlsStream;

use super::{Heard, Server, seats::Seat};

/// Where queries go; clients are told so by a template like `https://dns.example.test/dns-query{?dns}` (RFC 8484 §3).
const PATH: &str = "/dns-query";
/// What a message is called (RFC 8484 §6).
const MESSAGE: &str = "application/dns-message";
/// The longest message.
const LONGEST: usize = 65_535;
/// Queries of one connection that are under way at once.
const STREAMS: u32 = 16;
/// Bytes of a request's head.
const HEAD: usize = 16 * 1024;
/// How long a client that is told to leave may take, once nothing of it is under way.
const LEAVING: Duration = Duration::from_secs(1);

/// Serves one client until it closes, asks nothing for too long, or has to leave; then what was asked is still answered.
pub(super) async fn converse<H: RequestHandler>(
    server: &Arc<Server<H>>,
    stream: TlsStream<TcpStream>,
    peer: SocketAddr,
    seat: Arc<Seat>,
) -> Result<(), hyper::Error> {
    let stop = seat.leave().clone();
    let (activity, idle) = (Arc::new(Activity::default()), server.limits.tcp_idle);
    let service = {
        let (server, activity, stop) = (Arc::clone(server), Arc::clone(&activity), stop.clone());
        service_fn(move |request| {
            let busy = (Busy::new(Arc::clone(&activity)), seat.busy());
            let (server, stop) = (Arc::clone(&server), stop.clone());
            async move {
                let response = exchange(server, request, peer, stop).await;
                drop(busy);
                response
            }
        })
    };
    let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    if is_http_2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD as u32)
            .serve_connection(io, service);
        drive(connection, http2::Connection::graceful_shutdown, &activity, idle, &stop).await
    } else {
        let connection = http1::Builder::new()
            // `Activity` is the limit, also for a head that comes in drops: hyper's would not take leave of TLS.
            .header_read_timeout(None)
            .max_buf_size(HEAD)
            .serve_connection(io, service);
        drive(connection, http1::Connection::graceful_shutdown, &activity, idle, &stop).await
    }
}

async fn drive<C: Future<Output = Result<(), hyper::Error>>>(
    connection: C,
    leave: impl FnOnce(Pin<&mut C>),
    activity: &Activity,
    idle: Duration,
    stop: &Stop,
) -> Result<(), hyper::Error> {
    let mut connection = pin!(connection);
    tokio::select! {
        done = &mut connection => return done,
        () = activity.idle(idle) => {}
        () = stop.cancelled() => {}
    }
    leave(connection.as_mut());
    activity.touch();
    tokio::select! {
        done = &mut connection => done,
        () = activity.idle(LEAVING) => Ok(()),
    }
}

/// What goes on on a connection: how many exchanges are under way, and when the last of them began or ended.
#[derive(Debug)]
struct Activity(Mutex<(usize, Instant)>);

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }
}

impl Activity {
    fn touch(&self) {
        self.change(|_| {});
    }

    fn change(&self, change: impl FnOnce(&mut usize)) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.0);
        state.1 = Instant::now();
    }

    /// Ends when nothing has been under way for so long.
    async fn idle(&self, limit: Duration) {
        loop {
            let (busy, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let end = if busy > 0 { now + limit } else { since + limit };
            if end <= now {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// An exchange that is under way; a client that gives it up ends it, too.
struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: Arc<Activity>) -> Self {
        activity.change(|busy| *busy += 1);
        Self(activity)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.change(|busy| *busy -= 1);
    }
}

async fn exchange<H: RequestHandler>(
    server: Arc<Server<H>>,
    request: Request<Incoming>,
    peer: SocketAddr,
    stop: Stop,
) -> io::Result<Response<Full<Bytes>>> {
    let query = match query(request, server.limits.tcp_idle).await {
        Ok(query) => query,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let answered = match Arc::clone(&server).answer(query, peer, Transport::Https).await {
        Heard::Answer(answered) => answered,
        Heard::Nothing => {
            // HTTP has no way to say nothing: the exchange stays open as long as a silent connection may, and then ends
            // without a response.
            let _ = timeout(server.limits.tcp_idle, stop.cancelled()).await;
            return Err(io::ErrorKind::TimedOut.into());
        }
        // What may not be answered is no DNS query.
        Heard::Ignored => return Ok(refused((StatusCode::BAD_REQUEST, "this is no DNS query\n"))),
    };
    let sending = server.sending(&answered);
    let fresh = freshness(&answered.bytes);
    let mut response = Response::new(Full::new(Bytes::from(answered.bytes)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MESSAGE));
    // RFC 8484 §5.1: no longer than the first of the records.
    if let Some(fresh) = fresh.and_then(|seconds| HeaderValue::try_from(format!("max-age={seconds}")).ok()) {
        response.headers_mut().insert(CACHE_CONTROL, fresh);
    }
    server.sent(sending);
    Ok(response)
}

type Refusal = (StatusCode, &'static str);

/// The message in a request.
async fn query(request: Request<Incoming>, limit: Duration) -> Result<Vec<u8>, Refusal> {
    if request.uri().path() != PATH {
        return Err((StatusCode::NOT_FOUND, "DNS over HTTPS (RFC 8484) is at /dns-query\n"));
    }
    match *request.method() {
        Method::GET => in_target(request.uri()),
        Method::POST if is_message(request.headers()) => {
            let content = Limited::new(request.into_body(), LONGEST).collect();
            match timeout(limit, content).await {
                Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the message did not come in time\n")),
                Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                    Err((StatusCode::PAYLOAD_TOO_LARGE, "a DNS message has at most 65535 bytes\n"))
                }
                Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, "the message is not framed as its head says\n")),
                Ok(Ok(content)) => Ok(content.to_bytes().to_vec()),
            }
        }
        Method::POST => Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/dns-message only\n")),
        _ => Err((StatusCode::METHOD_NOT_ALLOWED, "GET or POST only\n")),
    }
}

fn is_message(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MESSAGE)
}

/// RFC 8484 §4.1.1: the variable `dns`, in base64url without padding.
fn in_target(uri: &Uri) -> Result<Vec<u8>, Refusal> {
    let mut pairs = uri.query().unwrap_or_default().split('&');
    let Some(coded) = pairs.find_map(|pair| pair.strip_prefix("dns=")) else {
        return Err((StatusCode::BAD_REQUEST, "?dns=MESSAGE in base64url (RFC 8484 section 4.1.1)\n"));
    };
    let decoded = BASE64URL_NOPAD.decode(coded.as_bytes());
    decoded.map_err(|_| (StatusCode::BAD_REQUEST, "dns= is not base64url without padding\n"))
}

/// How long the answer may be kept, in seconds: the shortest of its records, or what its SOA record says of an answer
/// without any (RFC 2308 §5); none where neither is there.
fn freshness(bytes: &[u8]) -> Option<u32> {
    let message = Message::from_vec(bytes).ok()?;
    let negative = |record: &Record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    };
    let shortest = message.answers.iter().map(|record| record.ttl).min();
    shortest.or_else(|| message.authorities.iter().find_map(negative))
}

fn refused((status, why): Refusal) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(why.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}
