//! What a request asks for, and its body.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method, Uri, Version,
    body::Body,
    header::{ACCEPT, ACCEPT_ENCODING, EXPECT, HOST, HeaderName, HeaderValue},
    http::{request::Parts, uri::Authority},
};
use journey::TraceId;
use tokio::time::{Instant, timeout_at};

use super::{
    connection::earn,
    heads::Framing,
    route::{Route, RouteName},
};

/// The methods that a route answers, as `Allow` has them.
const READ: &str = "GET, HEAD, OPTIONS";
const ANY: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Fields that an answer may depend on, besides those that `/headers` tells.
const NEEDED: [HeaderName; 5] = [HOST, TRACEPARENT, ACCEPT, ACCEPT_ENCODING, EXPECT];

/// Why a request is not answered as its route would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// HTTP/1.1 needs exactly one `Host`, and a valid one (RFC 9112 §3.2).
    BadHost(&'static str),
    /// The route knows other methods (RFC 9110 §15.5.6).
    Method(&'static str),
    /// Nobody here knows the method (RFC 9110 §15.6.2).
    UnknownMethod,
    /// A number that the route does not take.
    BadNumber(RouteName),
    /// No such route.
    NotFound,
}

/// What came of reading a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyRead {
    /// All of it: how long it was, and how it began.
    Whole { bytes: u64, begin: Vec<u8> },
    /// It is over the limit, and not read to the end.
    TooLarge,
    /// Nothing more of it came in time.
    Stalled,
    /// It is not framed as it says, or the client has gone.
    Broken,
}

/// How the request's body is delimited: hyper has decided.
pub(crate) fn framing(body: &impl Body) -> Framing {
    match body.size_hint().exact() {
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    }
}

/// The visit that the request belongs to.
pub(crate) fn trace(headers: &HeaderMap) -> Option<TraceId> {
    TraceId::from_traceparent(headers.get(TRACEPARENT)?.to_str().ok()?).ok()
}

/// Forgets what no answer needs, before something is waited for: a request that waits for a minute would keep all its
/// fields, and what they share with others in the reader's buffers.
pub(crate) fn lighten(parts: &mut Parts) {
    let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
    if Route::of(parts.uri.path()) == Route::Headers {
        // These are the answer.
        parts.headers.values_mut().for_each(|value| *value = copy(value).unwrap_or_else(|| value.clone()));
    } else {
        let all = std::mem::take(&mut parts.headers);
        for name in NEEDED {
            parts.headers.extend(all.get_all(&name).iter().filter_map(copy).map(|value| (name.clone(), value)));
        }
    }
    parts.extensions.clear();
    if let Ok(uri) = parts.uri.to_string().parse() {
        parts.uri = uri;
    }
}

/// Whether the client waits to be told to send the body (RFC 9110 §10.1.1).
pub(crate) fn waits_for_continue(parts: &Parts) -> bool {
    let is_continue = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    parts.version > Version::HTTP_10 && parts.headers.get(EXPECT).is_some_and(is_continue)
}

/// What the client calls this server: the target's authority where it has one (RFC 9112 §3.2.2), or `Host`.
pub(crate) fn host(parts: &Parts) -> &str {
    let header = || parts.headers.get(HOST).and_then(|value| value.to_str().ok());
    parts.uri.authority().map(Authority::as_str).or_else(header).unwrap_or_default()
}

/// Why the request is not answered as its route would, if so.
pub(crate) fn refusal(parts: &Parts, route: Route) -> Option<Refusal> {
    if let Some(why) = bad_host(parts) {
        return Some(Refusal::BadHost(why));
    }
    let is_known = |method: &Method| {
        // RFC 9110 §9.3 and RFC 5789.
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"].contains(&method.as_str())
    };
    if !is_known(&parts.method) {
        return Some(Refusal::UnknownMethod);
    }
    if is_options_of_all(parts) {
        return None;
    }
    match route {
        // `CONNECT` asks for a tunnel to somewhere else, which is no path of ours.
        _ if parts.method == Method::CONNECT => Some(Refusal::Method(ANY)),
        Route::Unknown => Some(Refusal::NotFound),
        _ if !allowed(route).split(", ").any(|method| method == parts.method.as_str()) => {
            Some(Refusal::Method(allowed(route)))
        }
        Route::BadNumber(name) => Some(Refusal::BadNumber(name)),
        _ => None,
    }
}

/// The methods that a route answers, as `Allow` has them.
pub(crate) fn allowed(route: Route) -> &'static str {
    match route.name() {
        RouteName::Headers | RouteName::Delay | RouteName::Status => ANY,
        // `OPTIONS *` asks about the server (RFC 9110 §9.3.7).
        RouteName::Unknown => ANY,
        RouteName::Root | RouteName::Json | RouteName::Bytes | RouteName::Redirect => READ,
    }
}

fn is_options_of_all(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.uri == Uri::from_static("*")
}

fn bad_host(parts: &Parts) -> Option<&'static str> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else {
        return (parts.version == Version::HTTP_11).then_some("HTTP/1.1 needs a Host field (RFC 9112 section 3.2)");
    };
    if hosts.next().is_some() {
        return Some("more than one Host field (RFC 9112 section 3.2)");
    }
    // Empty for a target without an authority (RFC 9110 §7.2); a user before an `@` is no part of it.
    let is_valid =
        host.is_empty() || (Authority::try_from(host.as_bytes()).is_ok() && !host.as_bytes().contains(&b'@'));
    (!is_valid).then_some("the Host field is not a host and port (RFC 9110 section 7.2)")
}

/// Reads a body to its end and forgets all but the first `keep` bytes. The next bytes must come before `stall` is over, and
/// on average fast enough.
pub(crate) async fn read_body<B>(mut body: B, most: u64, keep: usize, stall: Duration) -> BodyRead
where
    B: Body<Data = Bytes> + Unpin,
{
    // Not even begun: the client is told before it sends it.
    if body.size_hint().lower() > most {
        return BodyRead::TooLarge;
    }
    let began = Instant::now();
    let (mut bytes, mut begin) = (0, Vec::new());
    loop {
        let now = Instant::now();
        let latest = (now + stall).min(began + stall + earn(bytes));
        let frame = match timeout_at(latest, body.frame()).await {
            Err(_) => return BodyRead::Stalled,
            Ok(None) => return BodyRead::Whole { bytes, begin },
            Ok(Some(Err(_))) => return BodyRead::Broken,
            Ok(Some(Ok(frame))) => frame,
        };
        // Trailers are none of the body's bytes.
        let Ok(data) = frame.into_data() else { continue };
        bytes += data.len() as u64;
        if bytes > most {
            return BodyRead::TooLarge;
        }
        begin.extend(data.iter().take(keep.saturating_sub(begin.len())));
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn parts(method: &str, target: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn check(method: &str, target: &str, hosts: &[&str], expected: Option<Refusal>) {
        let parts = parts(method, target, hosts);
        assert_eq!(refusal(&parts, Route::of(parts.uri.path())), expected, "{method} {target} {hosts:?}");
    }

    #[test]
    fn methods() {
        check("GET", "/", &["a"], None);
        check("HEAD", "/bytes/1", &["a"], None);
        check("POST", "/headers", &["a"], None);
        check("POST", "/", &["a"], Some(Refusal::Method(READ)));
        check("TRACE", "/headers", &["a"], Some(Refusal::Method(ANY)));
        check("PROPFIND", "/", &["a"], Some(Refusal::UnknownMethod));
        check("get", "/", &["a"], Some(Refusal::UnknownMethod));
        check("OPTIONS", "*", &["a"], None);
        check("GET", "*", &["a"], Some(Refusal::NotFound));
        check("GET", "/nothing", &["a"], Some(Refusal::NotFound));
        check("POST", "/nothing", &["a"], Some(Refusal::NotFound));
        check("GET", "/status/1", &["a"], Some(Refusal::BadNumber(RouteName::Status)));
        check("CONNECT", "a:80", &["a:80"], Some(Refusal::Method(ANY)));
    }

    #[test]
    fn hosts() {
        let refused =
            |hosts: &[&str]| matches!(refusal(&parts("GET", "/", hosts), Route::Root), Some(Refusal::BadHost(_)));
        for fine in ["www.example.local", "a:80", "[::1]:8080", "10.78.2.81", ""] {
            assert!(!refused(&[fine]), "{fine}");
        }
        for bad in ["a b", "user@a", "a/b", "<script>"] {
            assert!(refused(&[bad]), "{bad}");
        }
        assert!(refused(&[]) && refused(&["a", "a"]));
    }
}
