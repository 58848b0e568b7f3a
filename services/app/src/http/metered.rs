//! The stream, measured: every byte that crosses it is counted where it crosses it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use journey::event::ClosedBy;
use service::ring::now_ns;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Connection, connection::Sent, stream::Stream};

/// A client's stream, which tells its [`Connection`] what crosses it.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    connection: Arc<Connection>,
    is_at_end: bool,
}

impl<S: Stream> Metered<S> {
    pub(crate) fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self { stream, connection, is_at_end: false }
    }

    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// Tells hyper of the client's FIN, once it may know.
    fn poll_end(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.connection.poll_end(cx));
        self.connection.ended(ClosedBy::Peer);
        Poll::Ready(Ok(()))
    }

    /// What came of a call that began then and was to write these slices.
    fn note_written(&self, slices: &[IoSlice<'_>], began_ns: u64, written: &io::Result<usize>) {
        match written {
            Ok(length) => {
                let sent = self.stream.sent().unwrap_or(Sent { at_ns: began_ns, is_all: true });
                self.connection.has_written(slices, *length, sent);
            }
            Err(_) => self.connection.ended(ClosedBy::PeerReset),
        }
    }
}

/// Who ended a connection that cannot be read.
fn ended_by(error: &io::Error) -> ClosedBy {
    // TLS says so of records that cannot be: it is this side that then gives up.
    if error.kind() == io::ErrorKind::InvalidData { ClosedBy::Me } else { ClosedBy::PeerReset }
}

impl<S: Stream> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_at_end {
            return self.poll_end(cx);
        }
        let before = buffer.filled().len();
        match ready!(Pin::new(&mut self.stream).poll_read(cx, buffer)) {
            Ok(()) => {}
            // A client need not say over TLS that it closes (RFC 9112 §9.8); a request cut short is no request anyway.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => {
                self.connection.ended(ended_by(&error));
                return Poll::Ready(Err(error));
            }
        }
        let read = &buffer.filled()[before..];
        if read.is_empty() {
            self.is_at_end = true;
            return self.poll_end(cx);
        }
        self.connection.has_read(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let room = self.connection.room();
        let bytes = &bytes[..bytes.len().min(room)];
        if bytes.is_empty() && room == 0 {
            // Here a fault ends the connection; its task knows.
            return Poll::Pending;
        }
        let began_ns = now_ns();
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.note_written(&[IoSlice::new(bytes)], began_ns, &written);
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.connection.room() < usize::MAX {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(cx, first.map_or(&[], |slice| slice));
        }
        let began_ns = now_ns();
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices));
        self.note_written(slices, began_ns, &written);
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if let Some(sent) = self.stream.sent() {
            self.connection.has_sent(sent);
        }
        ready!(flushed)?;
        self.connection.has_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper hangs up on a client's GOAWAY, and its FIN is then on the way.
        let by_peer = self.is_at_end || self.connection.client_leaves();
        self.connection.ended(if by_peer { ClosedBy::Peer } else { ClosedBy::Me });
        // A connection that the client has reset cannot be shut down, and need not be.
        let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        Poll::Ready(Ok(()))
    }
}
