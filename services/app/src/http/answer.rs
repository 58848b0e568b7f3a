//! Responses: what a route says, and what all responses carry.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode,
    ext::ReasonPhrase,
    header::{self, HeaderName, HeaderValue},
};

use super::{
    Connection, coding,
    pace::Pace,
    reply::{Content, Reply},
};

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const JSON: &str = "application/json";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// For HTML: nothing but what is in the page itself, and nobody's frame.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";

/// A response without what all responses carry.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    content_type: &'static str,
    content: Content,
    fields: Vec<(HeaderName, HeaderValue)>,
    waited: Option<Duration>,
    by_accept: bool,
    is_gzip: bool,
    /// Whether some of the request's body is left unread: what follows on the connection could not be understood.
    pub(crate) leaves_body: bool,
    is_last: bool,
    pace: Option<Pace>,
}

/// What a response is made with.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Whether the request was a HEAD.
    pub(crate) is_head: bool,
    /// From the request's head to the answer.
    pub(crate) elapsed: Duration,
    /// A map whose memory may be used; what is in it is not.
    pub(crate) fields: HeaderMap,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, content_type: &'static str, content: impl Into<Bytes>) -> Self {
        let content = Content::Bytes(content.into());
        Self {
            status,
            content_type,
            content,
            fields: Vec::new(),
            waited: None,
            by_accept: false,
            is_gzip: false,
            leaves_body: false,
            is_last: false,
            pace: None,
        }
    }

    /// Without content.
    pub(crate) fn bare(status: StatusCode) -> Self {
        Self::new(status, "", Bytes::new())
    }

    pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Self {
        // A value has string keys alone, so it can be written.
        let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
        text.push(b'\n');
        Self::new(status, JSON, text)
    }

    /// So many bytes of [`super::reply::ROW`]s.
    pub(crate) fn rows(length: u64) -> Self {
        Self { content: Content::Rows(length), ..Self::new(StatusCode::OK, TEXT, Bytes::new()) }
    }

    /// [`super::reply::ROW`]s without end.
    pub(crate) fn endless() -> Self {
        Self { content: Content::Endless, ..Self::new(StatusCode::OK, TEXT, Bytes::new()) }
    }

    /// Sends the content at this pace.
    pub(crate) fn paced(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// How long its content is, where it has an end.
    pub(crate) fn length(&self) -> Option<u64> {
        self.content.length()
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    /// Says in `Server-Timing` how long the client was kept waiting on purpose.
    pub(crate) fn waited(mut self, waited: Duration) -> Self {
        self.waited = Some(waited);
        self
    }

    /// Another client might have got another type.
    pub(crate) fn varying_by_accept(mut self) -> Self {
        self.by_accept = true;
        self
    }

    /// Compresses text for a client that takes it so.
    pub(crate) fn coded(mut self, headers: &HeaderMap) -> Self {
        if let Content::Bytes(bytes) = &self.content
            && let Some(coded) = coding::gzip(bytes, headers)
        {
            self.content = Content::Bytes(coded.into());
            self.is_gzip = true;
        }
        self
    }

    /// What else the request could have got depends on (RFC 9110 §12.5.5). Rows are always sent as they are: who asks for
    /// so many bytes is to get so many.
    fn vary(&self) -> Option<&'static str> {
        match (&self.content, self.content_type, self.by_accept) {
            (Content::Rows(_) | Content::Endless, ..) | (_, "", _) => None,
            (.., true) => Some("Accept, Accept-Encoding"),
            (.., false) => Some("Accept-Encoding"),
        }
    }

    /// Leaves the request's body unread, and so closes the connection.
    pub(crate) fn leaving_body(mut self) -> Self {
        self.leaves_body = true;
        self.is_last = true;
        self
    }

    /// Closes the connection.
    pub(crate) fn closing(mut self) -> Self {
        self.is_last = true;
        self
    }

    /// The whole response.
    pub(crate) fn response(self, frame: Frame, connection: Arc<Connection>) -> Response<Reply> {
        let timing = self.timing(frame.elapsed, &connection.server.config.host);
        let vary = self.vary();
        let Self { status, content_type, content, fields: own, is_gzip, is_last, pace, .. } = self;
        let mut fields = frame.fields;
        fields.clear();
        if !content_type.is_empty() {
            fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        // 204 has no length, for 304 it would be that of another response (RFC 9110 §8.6).
        if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            && let Some(length) = content.length()
        {
            fields.insert(header::CONTENT_LENGTH, length.into());
        }
        fields.insert(header::SERVER, connection.server_field.clone());
        fields.insert(SERVER_TIMING, timing);
        // Every answer tells of its own request.
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if content_type == HTML {
            fields.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
            fields.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        }
        if let Some(vary) = vary {
            fields.insert(header::VARY, HeaderValue::from_static(vary));
        }
        if is_gzip {
            fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        // HTTP/2 has no such field (RFC 9113 §8.2.2): one stream says nothing about the others.
        if is_last && !connection.is_multiplexed() {
            fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        fields.extend(own);
        // RFC 9110 §9.3.2: the same fields as for GET, and no content.
        let content = if frame.is_head { Content::Bytes(Bytes::new()) } else { content };

        let mut response = Response::new(Reply::new(content, connection, pace));
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        if status.canonical_reason().is_none() {
            response.extensions_mut().insert(ReasonPhrase::from_static(b"Unassigned"));
        }
        response
    }

    /// `Server-Timing`, in milliseconds, all measured.
    fn timing(&self, elapsed: Duration, host: &str) -> HeaderValue {
        let mut text = String::with_capacity(96);
        let own = elapsed.saturating_sub(self.waited.unwrap_or_default());
        // Writing to a string cannot fail.
        if let Some(waited) = self.waited {
            let _ =
                write!(text, "wait;dur={}.{:03};desc=\"as asked\", ", waited.as_millis(), waited.as_micros() % 1000);
        }
        let _ = write!(text, "app;dur={}.{:03};desc=\"handler on {host}\"", own.as_millis(), own.as_micros() % 1000);
        HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static("app"))
    }
}
