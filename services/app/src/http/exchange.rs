//! One request and its answer.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::Body,
    header::{self, HeaderValue},
    http::request::Parts,
};
use serde_json::{Value, json};
use service::ring::now_ns;
use tokio::time::{Instant, sleep};
use tracing::debug;
use world::fault::{Amount, Fault, Kind, Met, Waits};

use super::{
    Connection,
    answer::{Answer, Frame, HTML, TEXT},
    breaking::{At, Breaks, How},
    connection::{Answered, Arrived, Asked, Began},
    pace::Pace,
    pages::{Facts, Notice},
    reply::Reply,
    request::{self, BodyRead, Refusal},
    route::Route,
};
use crate::disturb;

/// How much of a request's body `/headers` shows, in bytes.
const BODY_SHOWN: usize = 1024;

/// A request and what is known of it.
struct Exchange<'a> {
    connection: &'a Connection,
    parts: &'a Parts,
    route: Route,
    began: &'a Began,
    // The one that strikes.
    fault: Option<Fault>,
}

/// Answers a request.
pub(crate) async fn exchange<B>(
    connection: Arc<Connection>,
    arrived: Arrived,
    request: Request<B>,
) -> Result<Response<Reply>, Infallible>
where
    B: Body<Data = Bytes> + Unpin,
{
    poll_fn(|cx| connection.poll_turn(cx)).await;
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path();
    let route = Route::of(path);
    let trace = request::trace(&parts.headers);
    let asked = Asked {
        framing: request::framing(&body),
        trace,
        method: parts.method.as_str(),
        path,
        keep_head: route == Route::Headers,
    };
    let began = connection.began(arrived, asked);
    if matches!(route, Route::Delay(_)) || !body.is_end_stream() {
        request::lighten(&mut parts);
    }
    let path = parts.uri.path();

    let met = disturb::request(&connection.server, || disturbable(&connection, &parts));
    let (fault, waits) = match met {
        Met::Nothing => (None, None),
        Met::Strikes(fault) => (Some(fault), None),
        Met::Waits(waits) => (None, Some(waits)),
    };
    let mut exchange = Exchange { connection: &connection, parts: &parts, route, began: &began, fault };
    let mut answer = exchange.answer(body).await.coded(&parts.headers);
    if let Some(waits) = waits {
        answer = exchange.looked_at(answer, &waits);
    }
    let (answer, breaks) = match &exchange.fault {
        Some(fault) => exchange.disturbed(answer, fault).await,
        None => (answer, None),
    };

    let at_ns = now_ns();
    let elapsed = Duration::from_nanos(at_ns.saturating_sub(began.at_ns));
    let (status, leaves_body) = (answer.status.as_u16(), answer.leaves_body);
    connection.answered(arrived, Answered { trace, status, began_ns: began.at_ns, at_ns, leaves_body });
    if let Some(breaks) = breaks {
        connection.breaks(arrived, breaks);
    }
    connection.server.metrics.answered(route.name(), status);
    debug!(peer = %connection.peer, method = %parts.method, target = path, status, ?elapsed, "answered");
    // The request's fields are no longer needed, and their memory is what the response's fields need.
    let fields = std::mem::take(&mut parts.headers);
    let frame = Frame { is_head: parts.method == Method::HEAD, elapsed, fields };
    Ok(answer.response(frame, connection))
}

/// A request, as faults see it.
fn disturbable<'a>(connection: &Connection, parts: &'a Parts) -> disturb::Asked<'a> {
    let (transport, peer) = (connection.transport(), connection.peer);
    disturb::Asked { host: request::host(parts), transport, peer, is_head: parts.method == Method::HEAD }
}

impl Exchange<'_> {
    async fn answer(&self, body: impl Body<Data = Bytes> + Unpin) -> Answer {
        let refusal = request::refusal(self.parts, self.route);
        if let Some(refusal) = &refusal
            && request::waits_for_continue(self.parts)
        {
            // The client has not sent its body, and need not.
            return self.refuse(refusal).leaving_body();
        }
        let limits = &self.connection.server.config.limits;
        let keep = if self.route == Route::Headers { BODY_SHOWN } else { 0 };
        let body = request::read_body(body, limits.body_bytes, keep, limits.read).await;
        match (body, refusal) {
            (BodyRead::Whole { .. }, _) if let Some(answer) = self.instead() => answer,
            (BodyRead::Whole { .. }, Some(refusal)) => self.refuse(&refusal),
            (BodyRead::Whole { bytes, begin }, None) => self.of_route(bytes, &begin).await,
            (unread, _) => self.unreadable(&unread).leaving_body(),
        }
    }

    async fn of_route(&self, body_bytes: u64, body_begin: &[u8]) -> Answer {
        if self.parts.method == Method::OPTIONS {
            let allowed = HeaderValue::from_static(request::allowed(self.route));
            return Answer::bare(StatusCode::NO_CONTENT).with(header::ALLOW, allowed);
        }
        match self.route {
            Route::Root => Answer::new(StatusCode::OK, HTML, self.connection.server.pages.page(&self.facts())),
            Route::Json => Answer::json(StatusCode::OK, &self.facts().json(self.connection)),
            Route::Headers => self.headers(body_bytes, body_begin),
            Route::Bytes(length) => Answer::rows(length),
            Route::Delay(ms) => self.delay(ms).await,
            Route::Status(code) => {
                self.status(code, "This is the status you asked for; nothing is wrong with the server.")
            }
            Route::Redirect(left) => self.redirect(left),
            Route::BadNumber(name) => self.refuse(&Refusal::BadNumber(name)),
            Route::Unknown => self.refuse(&Refusal::NotFound),
        }
    }

    /// What a fault has the server answer instead, whatever was asked for.
    fn instead(&self) -> Option<Answer> {
        let fault = self.fault.as_ref()?;
        match (fault.kind, fault.amount) {
            (Kind::Status, Some(Amount::Status(code))) => {
                Some(self.status(code, "The server answers so at the moment."))
            }
            (Kind::RedirectLoop, _) => Some(self.redirect_to(&self.itself(), "What you look for is here:")),
            (Kind::Endless, _) => Some(Answer::endless()),
            _ => None,
        }
    }

    /// The answer, after a fault that had to see it to know whether there is anything to disturb.
    fn looked_at(&mut self, answer: Answer, waits: &Waits) -> Answer {
        let has_content = answer.length() != Some(0);
        let asked = disturbable(self.connection, self.parts);
        self.fault = disturb::answer(&self.connection.server, waits.id, &asked, has_content);
        match self.instead() {
            Some(instead) if !answer.leaves_body => instead.coded(&self.parts.headers),
            _ => answer,
        }
    }

    /// The URL that was asked for.
    fn itself(&self) -> String {
        let scheme = if self.connection.tls.is_some() { "https" } else { "http" };
        let target = self.parts.uri.path_and_query().map_or("/", |target| target.as_str());
        match request::host(self.parts) {
            // A client of HTTP/1.0 need not say what it calls the server.
            "" => format!("{scheme}://{}{target}", self.connection.world),
            host => format!("{scheme}://{host}{target}"),
        }
    }

    /// What a fault makes of an answer, and where it ends the connection within it. Where it does so before the answer, this
    /// does not return.
    async fn disturbed(&self, answer: Answer, fault: &Fault) -> (Answer, Option<Breaks>) {
        let behind = |how| fault.behind.map(|bytes| Breaks { at: At::Answer(bytes), how });
        match (fault.kind, fault.amount) {
            (Kind::Reset, _) if fault.behind.is_none() => self.end(How::Reset).await,
            (Kind::Empty, _) => self.end(How::Close).await,
            (Kind::Garbage, _) => self.end(How::Garbage).await,
            (Kind::Reset, _) => (answer, behind(How::Reset)),
            (Kind::Cut, _) if fault.behind.is_some() => (answer, behind(How::Close)),
            (Kind::Cut, _) => match answer.length() {
                Some(length @ 1..) => {
                    let breaks = Breaks { at: At::Content(length / 2), how: How::Close };
                    (answer.paced(Pace::Part(length / 2)), Some(breaks))
                }
                // There is no content to cut.
                _ => (answer, None),
            },
            (Kind::Drip, Some(Amount::Time(pause))) => (answer.paced(Pace::drip(pause)), None),
            (Kind::SlowFirstByte, Some(Amount::Time(time))) => {
                // A client that goes away meanwhile, or a server that stops, ends it.
                self.connection.waits();
                tokio::select! {
                    () = sleep(time) => {}
                    () = self.connection.stop.cancelled() => {}
                }
                (answer, None)
            }
            _ => (answer, None),
        }
    }

    async fn end<T>(&self, how: How) -> T {
        self.connection.breaks_now(how);
        pending().await
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            method: self.parts.method.as_str(),
            target: self.parts.uri.path_and_query().map_or("", |target| target.as_str()),
            version: version(self.parts.version),
            host: request::host(self.parts),
            client: self.connection.peer,
            world: self.connection.world,
            socket: self.connection.local,
            tls: self.connection.tls.as_ref(),
            number: self.began.number,
            head_bytes: self.began.head_bytes,
            open_for: self.connection.open_for(self.began.at_ns),
        }
    }

    /// The request as it came: over HTTP/1.1, names in the client's own letters and order. Over HTTP/2 names are in small
    /// letters, and what was the request line is pseudo-fields (RFC 9113 §8.3.1).
    fn headers(&self, body_bytes: u64, body_begin: &[u8]) -> Answer {
        let (request_line, fields) =
            if self.connection.is_multiplexed() { (Value::Null, self.fields()) } else { self.head() };
        let body = (body_bytes > 0).then(|| {
            let begin = std::str::from_utf8(body_begin).ok();
            json!({ "bytes": body_bytes, "text": begin, "text_is_cut": body_bytes > BODY_SHOWN as u64 })
        });
        Answer::json(
            StatusCode::OK,
            &json!({
                "request_line": request_line,
                "headers": fields,
                "head_bytes": self.began.head_bytes,
                "body": body,
            }),
        )
    }

    fn head(&self) -> (Value, Vec<Value>) {
        let head = String::from_utf8_lossy(&self.began.head);
        let mut lines = head.lines().skip_while(|line| line.is_empty());
        let request_line = lines.next().unwrap_or_default();
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some(json!({ "name": name, "value": value.trim_matches([' ', '\t']) }))
        };
        (request_line.into(), lines.filter_map(field).collect())
    }

    fn fields(&self) -> Vec<Value> {
        let uri = &self.parts.uri;
        let pseudo = [
            (":method", Some(self.parts.method.as_str())),
            (":scheme", uri.scheme_str()),
            (":authority", uri.authority().map(|authority| authority.as_str())),
            (":path", uri.path_and_query().map(|path| path.as_str())),
        ];
        let pseudo = pseudo.into_iter().filter_map(|(name, value)| Some((name, value?.into())));
        let fields = self.parts.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str(), value)
        });
        pseudo.chain(fields).map(|(name, value)| json!({ "name": name, "value": value })).collect()
    }

    /// Waits, but not for longer than the server runs. A client that goes away ends it too: hyper then drops this.
    async fn delay(&self, ms: u64) -> Answer {
        let begin = Instant::now();
        self.connection.waits();
        let is_stopped = tokio::select! {
            () = sleep(Duration::from_millis(ms)) => false,
            () = self.connection.stop.cancelled() => true,
        };
        let waited = begin.elapsed();
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let mut said = json!({ "asked_ms": ms, "waited_ms": waited_ms });
        if is_stopped {
            said["ended_early"] = "the server stops".into();
            return Answer::json(StatusCode::SERVICE_UNAVAILABLE, &said).waited(waited).closing();
        }
        Answer::json(StatusCode::OK, &said).waited(waited)
    }

    fn status(&self, code: u16, why: &str) -> Answer {
        // The route takes valid codes alone.
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let answer = match status {
            // They cannot have content (RFC 9110 §6.4.1, §15.3.6).
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED => Answer::bare(status),
            _ => self.notice(status, why, None),
        };
        // What such a status must come with (RFC 9110 §15.5.2, §15.5.6, §15.5.8, §15.5.22). The scheme is nobody's, so
        // that no browser asks for a password.
        match status {
            StatusCode::UNAUTHORIZED => answer.with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Lab")),
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                answer.with(header::PROXY_AUTHENTICATE, HeaderValue::from_static("Lab"))
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                answer.with(header::ALLOW, HeaderValue::from_static(request::allowed(self.route)))
            }
            StatusCode::UPGRADE_REQUIRED => answer.with(header::UPGRADE, HeaderValue::from_static("HTTP/2.0")),
            _ => answer,
        }
    }

    fn redirect(&self, left: u64) -> Answer {
        let to = if left > 1 { format!("/redirect/{}", left - 1) } else { "/".to_owned() };
        let what = format!("{left} to go, this one included. The next stop:");
        self.redirect_to(&to, &what)
    }

    fn redirect_to(&self, to: &str, what: &str) -> Answer {
        let answer = self.notice(StatusCode::FOUND, what, Some(to));
        match HeaderValue::try_from(to) {
            Ok(to) => answer.with(header::LOCATION, to),
            Err(_) => answer,
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Answer {
        match refusal {
            Refusal::BadHost(why) => self.notice(StatusCode::BAD_REQUEST, why, None),
            Refusal::Method(allowed) => self
                .notice(StatusCode::METHOD_NOT_ALLOWED, &format!("This path answers {allowed}."), None)
                .with(header::ALLOW, HeaderValue::from_static(allowed)),
            Refusal::UnknownMethod => {
                self.notice(StatusCode::NOT_IMPLEMENTED, "This server does not know that method.", None)
            }
            Refusal::BadNumber(name) => self.notice(StatusCode::BAD_REQUEST, &format!("{}.", name.range()), None),
            Refusal::NotFound => self.notice(
                StatusCode::NOT_FOUND,
                "The server was reached and works, but has nothing under this path. It has: / /json /headers /bytes/N \
                 /delay/MS /status/CODE /redirect/N",
                None,
            ),
        }
    }

    fn unreadable(&self, body: &BodyRead) -> Answer {
        let limits = &self.connection.server.config.limits;
        match body {
            BodyRead::TooLarge => {
                let what = format!("The body of a request may have {} bytes here.", limits.body_bytes);
                self.notice(StatusCode::PAYLOAD_TOO_LARGE, &what, None)
            }
            BodyRead::Stalled => {
                let what = format!("Nothing more of the body came for {:?}.", limits.read);
                self.notice(StatusCode::REQUEST_TIMEOUT, &what, None)
            }
            BodyRead::Broken | BodyRead::Whole { .. } => {
                self.notice(StatusCode::BAD_REQUEST, "The body is not framed as its head says.", None)
            }
        }
    }

    /// A few words: as a page for browsers, as a line of text for everybody else.
    fn notice(&self, status: StatusCode, what: &str, link: Option<&str>) -> Answer {
        let wants_html = |value: &HeaderValue| value.to_str().is_ok_and(|accept| accept.contains("text/html"));
        let notice = Notice { status, what, link };
        let answer = if self.parts.headers.get_all(header::ACCEPT).iter().any(wants_html) {
            Answer::new(status, HTML, self.connection.server.pages.notice(&notice))
        } else {
            Answer::new(status, TEXT, notice.text())
        };
        answer.varying_by_accept()
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}
