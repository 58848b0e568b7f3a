//! What is asked of an HTTP server.

use bytes::Bytes;
use hyper::{
    HeaderMap, Method,
    header::{CONTENT_TYPE, HeaderName},
};

use crate::http::Versions;

/// What is asked of the server.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Whether a redirect may not change the method (`-X`).
    pub keeps_method: bool,
    /// The fields, without those that the target and the visit itself add.
    pub fields: HeaderMap,
    /// Fields that are not to be sent although every request has them.
    pub without: Vec<HeaderName>,
    /// The body.
    pub body: Bytes,
    /// Which versions of HTTP are offered.
    pub versions: Versions,
    /// Whether an answer that points elsewhere is not the last one.
    pub follows: bool,
}

impl Request {
    /// The request to make where an answer with this status points elsewhere (RFC 9110 §15.4): to another origin without
    /// the credentials that were meant for this one.
    #[must_use]
    pub fn redirected(&self, status: u16, same_origin: bool) -> Self {
        let mut next = self.clone();
        let becomes_get = match status {
            303 => self.method != Method::HEAD,
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        if becomes_get && !self.keeps_method {
            next.method = Method::GET;
        }
        if becomes_get {
            next.body = Bytes::new();
            next.fields.remove(CONTENT_TYPE);
        }
        if !same_origin {
            for name in ["authorization", "cookie", "proxy-authorization"] {
                next.fields.remove(name);
            }
            // A host that was named for the first server is none of the next one's.
            next.fields.remove("host");
        }
        next
    }
}
