//! What a connection is carried by: a TCP socket, or TLS over one.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use service::ring::now_ns;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::connection::Sent;

/// A stream that knows what the kernel has of what was written to it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// What it has; none where that is all, at once.
    fn sent(&self) -> Option<Sent>;

    /// Has the kernel end the connection with RST when this is dropped, whatever it has not sent yet (`SO_LINGER` 0).
    fn reset_on_drop(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn sent(&self) -> Option<Sent> {
        None
    }

    fn reset_on_drop(&self) -> io::Result<()> {
        SockRef::from(self).set_linger(Some(Duration::ZERO))
    }
}

impl Stream for TlsStream<Socket> {
    /// What is written becomes records, and some may wait here for the kernel to take them.
    fn sent(&self) -> Option<Sent> {
        let (socket, tls) = self.get_ref();
        Some(Sent { at_ns: socket.sent_ns, is_all: !tls.wants_write() })
    }

    fn reset_on_drop(&self) -> io::Result<()> {
        self.get_ref().0.stream.reset_on_drop()
    }
}

/// A socket below TLS, which knows when the kernel last took something.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    sent_ns: u64,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, sent_ns: 0 }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let began_ns = now_ns();
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.sent_ns = began_ns;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let began_ns = now_ns();
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.sent_ns = began_ns;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
