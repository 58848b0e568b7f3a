//! Requests that change something: faults, the clock, files read again.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderMap, ORIGIN},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::info;
use world::fault::{Fault, FaultError, Role};

use super::{Admin, json, plain};
use crate::{NotReloaded, clock};

/// No body that is meant for this port is longer.
const LONGEST_BODY: usize = 4 * 1024;
/// Reading zones of millions of records takes seconds.
const RELOAD_LIMIT: Duration = Duration::from_secs(8);
/// A lease is for a visit, or for a lesson.
const LONGEST_LEASE: Duration = Duration::from_secs(86_400);
/// Ages of a year are no lesson of caches any more.
const LONGEST_ADVANCE: Duration = Duration::from_secs(366 * 86_400);
/// Faults in force at one host: each query and connection is held against all of them.
const MOST_FAULTS: usize = 64;

/// The body of `POST /faults`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// As it is written.
    pub fault: String,
    /// It ends by itself after so long, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// By which it can be ended.
    pub id: u64,
}

/// The body of `PUT /faults/ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// It ends by itself after so long from now on, in milliseconds.
    pub lease_ms: u64,
}

/// The body of `POST /clock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advance {
    /// So far, in milliseconds.
    pub advance_ms: u64,
}

/// What is said to whoever asks for what cannot be had.
type Refused = Box<Response<Full<Bytes>>>;

pub(super) async fn answer(admin: &Admin, request: Request<Incoming>) -> Response<Full<Bytes>> {
    route(admin, request).await.unwrap_or_else(|refused| *refused)
}

async fn route(admin: &Admin, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Refused> {
    let (parts, body) = request.into_parts();
    if parts.headers.contains_key(ORIGIN) {
        return Err(refuse(StatusCode::FORBIDDEN, "not for pages in browsers\n"));
    }
    let (method, path) = (parts.method, parts.uri.path());
    let signals = &admin.signals;
    let host = admin.recorder.host();
    let id = path.strip_prefix("/faults/").map(str::parse::<u64>);
    match (&method, path, id) {
        (&Method::POST, "/faults", _) => add(admin, read(&parts.headers, body).await?),
        (&Method::DELETE, "/faults", _) => {
            info!(host, "all faults ended");
            signals.faults.clear();
            Ok(done())
        }
        (&Method::DELETE, _, Some(Ok(id))) if signals.faults.remove(id) => {
            info!(host, id, "fault ended");
            Ok(done())
        }
        (&Method::PUT, _, Some(Ok(id))) => {
            let Renew { lease_ms } = read(&parts.headers, body).await?;
            match signals.faults.renew(id, lease(lease_ms)?) {
                true => Ok(done()),
                false => Err(no_such_fault(host)),
            }
        }
        (&Method::DELETE | &Method::PUT, _, Some(_)) => Err(no_such_fault(host)),
        (&Method::POST, "/reload", _) => match signals.reload.and_wait(RELOAD_LIMIT).await {
            Ok(()) => Ok(done()),
            Err(late @ NotReloaded::Late) => Err(refuse(StatusCode::GATEWAY_TIMEOUT, format!("{late}\n"))),
            Err(failed) => Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("{failed}\n"))),
        },
        (&Method::POST, "/clock", _) => advance(admin, &read(&parts.headers, body).await?),
        (_, "/faults", _) => Err(not_allowed("GET, HEAD, POST, DELETE")),
        (_, _, Some(_)) => Err(not_allowed("PUT, DELETE")),
        (_, "/reload" | "/clock", _) => Err(not_allowed("POST")),
        _ => Err(not_allowed("GET, HEAD")),
    }
}

fn add(admin: &Admin, Add { fault, lease_ms }: Add) -> Result<Response<Full<Bytes>>, Refused> {
    let (faults, host) = (&admin.signals.faults, admin.recorder.host());
    let lease = lease_ms.map(lease).transpose()?;
    let unfit = |error| refuse(StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n"));
    let fault = here(admin, &fault).map_err(unfit)?;
    if faults.list().len() >= MOST_FAULTS {
        let why = format!("{MOST_FAULTS} faults are in force at {host} already\n");
        return Err(refuse(StatusCode::CONFLICT, why));
    }
    info!(host, %fault, ?lease, "fault put in force");
    let id = faults.add(fault, lease);
    Ok(json(StatusCode::CREATED, &Added { id }))
}

fn advance(admin: &Admin, Advance { advance_ms }: &Advance) -> Result<Response<Full<Bytes>>, Refused> {
    let (clock, host) = (&admin.signals.clock, admin.recorder.host());
    let by = Duration::from_millis(*advance_ms);
    if by > LONGEST_ADVANCE {
        return Err(refuse(StatusCode::BAD_REQUEST, "advance_ms: a year at most\n"));
    }
    if let Err(ahead) = clock.try_advance(by) {
        let why = format!(
            "the clock of {host} is {} s ahead already, and goes no further than {} s; it was left as it is, and is right \
             again when the host is started anew\n",
            ahead.as_secs(),
            clock::FURTHEST.as_secs()
        );
        return Err(refuse(StatusCode::CONFLICT, why));
    }
    info!(host, ?by, "clock put forward");
    Ok(done())
}

/// The fault, if it can be here.
fn here(admin: &Admin, text: &str) -> Result<Fault, FaultError> {
    let fault: Fault = text.parse()?;
    fault.check_at(admin.recorder.host(), role(admin.recorder.service()))?;
    Ok(fault)
}

/// What plays where this service is; what is none of the hosts' is the network.
fn role(service: &str) -> Role {
    match service {
        "nameserver" => Role::Nameserver,
        "resolver" => Role::Resolver,
        "app" => Role::App,
        _ => Role::Wire,
    }
}

fn lease(ms: u64) -> Result<Duration, Refused> {
    let lease = Duration::from_millis(ms);
    match lease {
        Duration::ZERO => Err(refuse(StatusCode::BAD_REQUEST, "lease_ms: above 0\n")),
        lease if lease > LONGEST_LEASE => Err(refuse(StatusCode::BAD_REQUEST, "lease_ms: a day at most\n")),
        lease => Ok(lease),
    }
}

async fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Incoming) -> Result<T, Refused> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body has to be application/json\n"));
    }
    // The whole connection has a time limit.
    let body = Limited::new(body, LONGEST_BODY)
        .collect()
        .await
        .map_err(|_| refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("a body of {LONGEST_BODY} bytes at most\n")))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| refuse(StatusCode::BAD_REQUEST, format!("{error}\n")))
}

fn done() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn no_such_fault(host: &str) -> Refused {
    refuse(StatusCode::NOT_FOUND, format!("there is no such fault at {host}: GET /faults lists them\n"))
}

fn not_allowed(methods: &'static str) -> Refused {
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, format!("{methods} only\n"));
    response.headers_mut().insert(ALLOW, methods.parse().expect("a literal"));
    response
}

fn refuse(status: StatusCode, words: impl Into<Bytes>) -> Refused {
    Box::new(plain(status, words))
}
