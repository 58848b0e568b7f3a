//! Bodies of responses: what is written, and the word to the connection when all of it was taken.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::{Connection, pace::Pace};

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
    /// [`ROW`]s without end.
    Endless,
}

impl Content {
    /// How long it is; nothing can say that of what has no end.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Rows(length) => Some(*length),
            Self::Endless => None,
        }
    }

    fn is_empty(&self) -> bool {
        self.length() == Some(0)
    }

    /// The next piece, of at most so many bytes.
    fn next(&mut self, most: usize) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes.split_to(bytes.len().min(most))).filter(|bytes| !bytes.is_empty()),
            Self::Rows(0) => None,
            // Every piece begins with a row: whoever wants less than all in between wants whole rows, or no more after that.
            Self::Rows(left) => {
                let piece = usize::try_from(*left).unwrap_or(usize::MAX).min(most).min(ROWS.len());
                *left -= piece as u64;
                Some(Bytes::from_static(&ROWS[..piece]))
            }
            Self::Endless => Some(Bytes::from_static(&ROWS)),
        }
    }
}

/// The body of a response on its way out.
#[derive(Debug)]
pub(crate) struct Reply {
    content: Content,
    connection: Arc<Connection>,
    // Where a fault has a say in when the content goes on.
    pace: Option<Pace>,
}

impl Reply {
    pub(crate) fn new(content: Content, connection: Arc<Connection>, pace: Option<Pace>) -> Self {
        Self { content, connection, pace }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { content, connection, pace } = &mut *self;
        if *content == Content::Endless && connection.stop.is_cancelled() {
            *content = Content::Bytes(Bytes::new());
        }
        let most = match pace {
            Some(pace) if !content.is_empty() => ready!(pace.poll(connection, cx)),
            _ => usize::MAX,
        };
        let next = content.next(most);
        if let (Some(pace), Some(bytes)) = (pace, &next) {
            pace.has_given(bytes.len());
        }
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // A body that is dropped with something left was not sent: the client has gone.
        if self.content.is_empty() {
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
            while let Some(piece) = content.next(usize::MAX) {
                assert!(!piece.is_empty());
                sent.extend_from_slice(&piece);
            }
            assert_eq!(sent.len() as u64, length);
            assert!(sent.iter().enumerate().all(|(i, byte)| *byte == ROW[i % 64]));
        }
    }
}
