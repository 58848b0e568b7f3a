//! The content of a request that came on a stream.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use hyper::{
    HeaderMap, Method,
    body::{Body, Frame, SizeHint},
    header::CONTENT_LENGTH,
    http::request::Parts,
};

/// Bytes of a request's content, as they come. What is read may be sent anew at once: nothing is kept.
#[derive(Debug)]
pub(crate) struct Content {
    // None where there is none to read: `CONNECT` is followed by a tunnel's bytes (RFC 9113 §8.5).
    stream: Option<RecvStream>,
    length: Option<u64>,
}

impl Content {
    pub(super) fn new(parts: &Parts, stream: RecvStream) -> Self {
        let stream = (parts.method != Method::CONNECT).then_some(stream);
        Self { stream, length: length(&parts.headers) }
    }
}

/// h2 refuses what is not a number, and content that has another length.
fn length(fields: &HeaderMap) -> Option<u64> {
    fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Body for Content {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        if let Some(data) = ready!(stream.poll_data(cx)) {
            let data = data.and_then(|data| stream.flow_control().release_capacity(data.len()).map(|()| data));
            return Poll::Ready(Some(data.map(Frame::data)));
        }
        let trailers = ready!(stream.poll_trailers(cx));
        self.stream = None;
        Poll::Ready(trailers.transpose().map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::default(),
        }
    }
}
