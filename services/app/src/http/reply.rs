//! Bodies of responses: what is written, and the word to the connection when all of it was taken.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::Connection;

/// One line of what `/bytes` sends: 63 visible characters and a newline, so that byte `i` of any answer is
/// `ROW[i % 64]`, and an answer cut short shows where.
pub(crate) const ROW: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+\n";

/// [`ROW`] again and again: what is handed to the socket at once. Nothing is held in memory for an answer.
static ROWS: [u8; 64 * 1024] = {
    let mut rows = [0; 64 * 1024];
    let mut i = 0;
    while i < rows.len() {
        rows[i] = ROW[i % 64];
        i += 1;
    }
    rows
};

/// What a response carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// So many bytes of [`ROW`]s.
    Rows(u64),
}

impl Content {
    /// How long it is.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Rows(length) => *length,
        }
    }

    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
            Self::Rows(0) => None,
            // Every piece but the last is full rows, so each begins with a row.
            Self::Rows(left) => {
                let piece = usize::try_from(*left).unwrap_or(usize::MAX).min(ROWS.len());
                *left -= piece as u64;
                Some(Bytes::from_static(&ROWS[..piece]))
            }
        }
    }
}

/// The body of a response on its way out.
#[derive(Debug)]
pub(crate) struct Reply {
    content: Content,
    connection: Arc<Connection>,
}

impl Reply {
    pub(crate) fn new(content: Content, connection: Arc<Connection>) -> Self {
        Self { content, connection }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.content.next().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.length() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.length())
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // A body that is dropped with something left was not sent: the client has gone.
        if self.content.length() == 0 {
            self.connection.body_taken();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_in_pieces() {
        for length in [0, 1, 63, 64, 65, 65_535, 65_536, 65_537, 200_000] {
            let mut content = Content::Rows(length);
            let mut sent = Vec::new();
            while let Some(piece) = content.next() {
                assert!(!piece.is_empty());
                sent.extend_from_slice(&piece);
            }
            assert_eq!(sent.len() as u64, length);
            assert!(sent.iter().enumerate().all(|(i, byte)| *byte == ROW[i % 64]));
        }
    }
}
