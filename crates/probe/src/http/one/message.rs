//! The request as the bytes that go out. What is shown of it is made from the same fields.

use bytes::{Buf, Bytes};
use hyper::{
    HeaderMap, Method,
    header::{HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE},
};
use journey::stage;

use super::super::{super::Probe, super::target::Target, Open, head, with_length};
use crate::request;

/// A body up to this size goes out together with the head.
const TOGETHER: usize = 16 * 1024;

/// A request of HTTP/1.1 (RFC 9112 §3).
pub(in super::super) struct Message {
    method: Method,
    fields: HeaderMap,
    head: Bytes,
    body: Bytes,
    content_bytes: Option<u64>,
    /// What its response depends on.
    pub(in super::super) asked: http1::Asked,
}

impl Message {
    pub(in super::super) fn new(target: &Target, asked: &request::Request, open: &Open) -> Self {
        let mut fields = asked.fields.clone();
        if let Some(trace) = open.trace {
            let value = trace.traceparent(rand::random());
            // Hexadecimal digits and dashes.
            if let Ok(value) = HeaderValue::from_str(&value) {
                fields.insert(HeaderName::from_static("traceparent"), value);
            }
        }
        with_length(asked, &mut fields);
        if !fields.contains_key(HOST) && !asked.without.contains(&HOST) {
            let host = HeaderValue::from_str(&target.authority).unwrap_or(HeaderValue::from_static(""));
            fields.insert(HOST, host);
        }
        let body = if is_chunked(&fields) { chunked(&asked.body) } else { asked.body.clone() };
        let mut head = format!("{} {} HTTP/1.1\r\n", asked.method, target.path).into_bytes();
        for (name, value) in &fields {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let together = body.len() <= TOGETHER;
        if together {
            head.extend_from_slice(&body);
        }
        Self {
            asked: http1::Asked {
                is_head: asked.method == Method::HEAD,
                is_connect: asked.method == Method::CONNECT,
                upgrades: fields.contains_key(UPGRADE),
            },
            method: asked.method.clone(),
            fields,
            head: head.into(),
            body: if together { Bytes::new() } else { body },
            content_bytes: (!asked.body.is_empty()).then_some(asked.body.len() as u64),
        }
    }

    /// All of it, in order.
    pub(in super::super) fn bytes(&self) -> impl Buf + use<> {
        self.head.clone().chain(self.body.clone())
    }

    /// How much that is.
    pub(in super::super) fn len(&self) -> u64 {
        (self.head.len() + self.body.len()) as u64
    }

    /// The message as it is shown.
    pub(in super::super) fn shown(&self, probe: &Probe<'_>, target: &Target) -> stage::Send {
        stage::Send {
            method: Some(self.method.to_string()),
            target: Some(probe.secrets.text(&target.path)),
            version: Some("HTTP/1.1".to_owned()),
            headers: head::fields(probe.secrets, &self.fields),
            content_bytes: self.content_bytes,
            ..stage::Send::default()
        }
    }
}

/// Whether the body is to be sent in chunks: the user said so (RFC 9112 §6.1).
fn is_chunked(fields: &HeaderMap) -> bool {
    let last = fields.get_all(TRANSFER_ENCODING).iter().next_back();
    let coding = last.and_then(|value| value.as_bytes().rsplit(|byte| *byte == b',').next());
    coding.is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// RFC 9112 §7.1: one chunk, where there is something, and the last one.
fn chunked(body: &Bytes) -> Bytes {
    let mut coded = Vec::with_capacity(body.len() + 32);
    if !body.is_empty() {
        coded.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        coded.extend_from_slice(body);
        coded.extend_from_slice(b"\r\n");
    }
    coded.extend_from_slice(b"0\r\n\r\n");
    coded.into()
}
