//! The admin port of a service, for operators, tests and `visit` itself; on loopback or the lab's own network.
//!
//! | path | answer |
//! |---|---|
//! | `/live` | 200 while the process runs |
//! | `/ready` | 200 when the service takes clients, 503 before and while it drains |
//! | `/metrics` | Prometheus text |
//! | `/events` | JSON, see [`journey::report`]; `?trace=ID` one visit, `?peer=IP:PORT` one connection |
//! | `/faults` | JSON, the faults in force here: [`world::fault::Listed`] |
//! | `POST /faults` | puts `{"fault": "auth1:servfail", "lease_ms": 60000}` into force: 201 `{"id": 7}`; 422 what cannot be here |
//! | `PUT /faults/7` | lets it stay for `{"lease_ms": 60000}` from now on: 204, or 404 |
//! | `DELETE /faults/7`, `/faults` | ends it, or all: 204, or 404 |
//! | `POST /reload` | what SIGHUP does: 204 when it is done, 500 with the words where what was read cannot be used |
//! | `POST /clock` | puts the service's clock forward, for good: `{"advance_ms": 60000}`, 204; 409 where it cannot go so far |
//!
//! A page in a browser can send requests to wherever its user's machine can, this port too. What changes something is
//! therefore taken without an `Origin` alone, which browsers always send with it, and bodies are `application/json`, which a
//! page may not send elsewhere without asking first. Who asks for events or faults by a name other than `localhost` has 421: a page
//! could have been given its name's address anew, this one.
//!
//! On a machine with several users, each of them reaches a port on loopback. Where [`Signals::token`] is set, everything but
//! `/live`, `/ready` and `/metrics` is therefore answered with 401 unless `Authorization: Bearer TOKEN` comes with it
//! (RFC 6750). Those three tell nothing of what clients asked for, and are for health checks and scrapers.

mod change;
pub mod remote;

use std::{
    convert::Infallible,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, WWW_AUTHENTICATE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{encoding::text, registry::Registry};
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tracing::debug;
use world::{NoToken, Token};

use crate::{Recorder, Seats, Signals, Stop, queues, ring::Wanted, seats::Seat};

/// Connections at once; for a further one, the oldest is closed that has asked nothing.
const MAX_CONNECTIONS: usize = 64;
/// A client that has not sent its request's head by then is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection lives no longer than this.
const LIFE: Duration = Duration::from_secs(10);

/// The variable of the environment that has the token, for services that are programs of their own and for `visit` where a
/// world file describes their lab. Empty is none.
pub const TOKEN: &str = "VISIT_ADMIN_TOKEN";

/// The token that the environment has for admin ports.
pub fn token_from_environment() -> Result<Option<Token>, BadToken> {
    match std::env::var(TOKEN) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => text.parse().map(Some).map_err(BadToken),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(BadToken(NoToken)),
    }
}

/// The environment has what cannot be a token. It is not quoted: it is meant to be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{TOKEN}: {0}")]
pub struct BadToken(NoToken);

/// A client for admin ports that ask for this token: plain HTTP, without proxies, each answer within this time. Where TLS is compiled in, the
/// library reads the machine's store for every client unless it is given something else, and fails where there is none;
/// this one trusts nobody and speaks no TLS.
pub fn client(patience: Duration, token: Option<&Token>) -> reqwest::Result<reqwest::Client> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let mut fields = HeaderMap::new();
    // A token has no character that a field cannot have.
    if let Some(mut value) = token.and_then(|token| HeaderValue::try_from(token.authorization()).ok()) {
        value.set_sensitive(true);
        fields.insert(AUTHORIZATION, value);
    }
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).default_headers(fields);
    client.no_proxy().timeout(patience).build()
}

/// What the admin port tells, and what it changes.
#[derive(Debug)]
pub struct Admin {
    /// For `/events`; it knows whose port this is.
    pub recorder: Recorder,
    /// For `/metrics`.
    pub registry: Registry,
    /// For `/ready`, `/faults`, `/reload` and `/clock`.
    pub signals: Signals,
}

/// Serves on every one of these listeners until `stop`. It should be stopped after the service has drained, so that
/// `/ready` says 503 meanwhile.
pub async fn serve(listeners: Vec<TcpListener>, admin: Admin, stop: Stop) {
    let admin = Arc::new(admin);
    let serve = |listener| serve_one(listener, Arc::clone(&admin), stop.clone());
    listeners.into_iter().map(serve).collect::<JoinSet<()>>().join_all().await;
}

/// Serves until `stop`; open connections are then dropped, as nothing here is worth waiting for.
async fn serve_one(listener: TcpListener, admin: Arc<Admin>, stop: Stop) {
    let seats = Seats::new(MAX_CONNECTIONS);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, mostly: without a pause this loop would spin until one is free.
                debug!(%error, "admin port cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let seat = tokio::select! {
            seat = seats.take(peer.ip()) => seat,
            () = stop.cancelled() => return,
        };
        let admin = Arc::clone(&admin);
        // Until it has had its first turn, its seat is nobody else's.
        let arriving = seat.busy();
        connections.spawn(async move {
            let wanted = async {
                drop(arriving);
                seat.is_wanted().await;
            };
            tokio::select! {
                biased;
                () = converse(stream, &admin, &seat) => {}
                () = wanted => debug!(%peer, "admin connection closed for another one"),
                () = tokio::time::sleep(LIFE) => debug!(%peer, "admin connection closed: it is open for too long"),
            }
        });
    }
}

async fn converse(stream: TcpStream, admin: &Admin, seat: &Seat) {
    let service = service_fn(|request| async move {
        let _busy = seat.busy();
        Ok::<_, Infallible>(answer(admin, request).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(%error, "admin connection ended");
    }
}

/// Whether a request has the token, where one is asked for. Several fields are not one (RFC 9110 §5.3).
fn is_allowed(token: Option<&Token>, fields: &HeaderMap) -> bool {
    let Some(token) = token else { return true };
    let mut given = fields.get_all(AUTHORIZATION).iter();
    matches!((given.next(), given.next()), (Some(one), None) if token.is_in(one.as_bytes()))
}

fn unauthorized() -> Response<Full<Bytes>> {
    let words = "this lab's address book has the token that is asked for here: Authorization: Bearer TOKEN\n";
    let mut response = plain(StatusCode::UNAUTHORIZED, words);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

async fn answer(admin: &Admin, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    // What everybody may know is told by any name, as a scraper of metrics uses the host's.
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_open = matches!(path, "/live" | "/ready" | "/metrics");
    if let Some(host) = request.headers().get(HOST).filter(|_| !is_open)
        && !host.to_str().is_ok_and(is_here)
    {
        return plain(StatusCode::MISDIRECTED_REQUEST, "ask by IP address or localhost, and by no other name\n");
    }
    let needs_token = !(is_open && is_read);
    if needs_token && !is_allowed(admin.signals.token.as_ref(), request.headers()) {
        return unauthorized();
    }
    if !is_read {
        return change::answer(admin, request).await;
    }
    match path {
        "/live" => plain(StatusCode::OK, "live\n"),
        "/ready" if admin.signals.ready.is_ready() => plain(StatusCode::OK, "ready\n"),
        "/ready" => plain(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        "/metrics" => metrics(&admin.registry),
        "/events" => match wanted(request.uri().query().unwrap_or_default()) {
            Ok(wanted) => {
                let mut report = admin.recorder.report(wanted);
                // Asked by this thread, which is in the host's own network. A kernel that cannot tell says nothing.
                let queues = queues::waiting(admin.recorder.listening());
                report.queues = queues.inspect_err(|error| debug!(%error, "no accept queues")).unwrap_or_default();
                json(StatusCode::OK, &report)
            }
            Err(why) => plain(StatusCode::BAD_REQUEST, why),
        },
        "/faults" => json(StatusCode::OK, &admin.signals.faults.list()),
        _ => plain(StatusCode::NOT_FOUND, "/live /ready /metrics /events /faults\n"),
    }
}

/// Whether a client that sends this as `Host` meant an address, or this machine: what has a name was looked up, and whoever
/// has the name in their zone may have led a browser here from a page of their own (DNS rebinding).
fn is_here(host: &str) -> bool {
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    let in_brackets = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    in_brackets.map_or_else(
        || name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok(),
        |ip| ip.parse::<Ipv6Addr>().is_ok(),
    )
}

fn wanted(query: &str) -> Result<Wanted, &'static str> {
    let mut wanted = Wanted::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("trace", id)) => wanted.trace = Some(id.parse().map_err(|_| "trace: 32 hexadecimal digits\n")?),
            // Brackets and colons of an address may come percent-encoded.
            Some(("peer", peer)) => {
                let peer = peer.replace("%3A", ":").replace("%5B", "[").replace("%5D", "]");
                wanted.peer = Some(peer.parse().map_err(|_| "peer: IP:PORT or [IP]:PORT\n")?);
            }
            _ => return Err("known parameters: trace, peer\n"),
        }
    }
    Ok(wanted)
}

fn metrics(registry: &Registry) -> Response<Full<Bytes>> {
    let mut body = String::new();
    match text::encode(&mut body, registry) {
        Ok(()) => with_type(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", body),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be written\n"),
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    with_type(status, "application/json", serde_json::to_vec(body).expect("plain data with text keys"))
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    with_type(status, "text/plain; charset=utf-8", body)
}

fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type.parse().expect("a literal"));
    response
}
