//! The socket, measured: every byte that crosses it is counted where it crosses it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use journey::event::ClosedBy;
use service::ring::now_ns;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::Connection;

/// A client's socket, which tells its [`Connection`] what crosses it.
#[derive(Debug)]
pub(crate) struct Metered {
    stream: TcpStream,
    connection: Arc<Connection>,
    is_at_end: bool,
}

impl Metered {
    pub(crate) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection, is_at_end: false }
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Tells hyper of the client's FIN, once it may know.
    fn poll_end(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.connection.poll_end(cx));
        self.connection.ended(ClosedBy::Peer);
        Poll::Ready(Ok(()))
    }

    fn note_written(&self, began_ns: u64, written: &io::Result<usize>) {
        match written {
            Ok(bytes) => self.connection.has_written(*bytes, began_ns),
            Err(_) => self.connection.ended(ClosedBy::PeerReset),
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_at_end {
            return self.poll_end(cx);
        }
        let before = buffer.filled().len();
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer)) {
            self.connection.ended(ClosedBy::PeerReset);
            return Poll::Ready(Err(error));
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

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let began_ns = now_ns();
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.note_written(began_ns, &written);
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let began_ns = now_ns();
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices));
        self.note_written(began_ns, &written);
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP socket has nothing to flush: what is written is the kernel's.
        self.connection.has_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.ended(if self.is_at_end { ClosedBy::Peer } else { ClosedBy::Me });
        // A connection that the client has reset cannot be shut down, and need not be.
        let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        Poll::Ready(Ok(()))
    }
}
