//! The stream that a request goes over: TCP as it is, or inside TLS.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// How many bytes have crossed a socket.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Both>);

#[derive(Debug, Default)]
struct Both {
    read: AtomicU64,
    written: AtomicU64,
    last_write: Mutex<Option<Instant>>,
    // The first bytes read.
    begin: Mutex<Vec<u8>>,
}

/// Bytes that are kept of what comes first.
const BEGIN: usize = 64;

impl Tally {
    /// Bytes read.
    pub fn read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }

    /// Bytes written.
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// When the last of them were given to the kernel: the time before that call.
    pub fn last_write(&self) -> Option<Instant> {
        *self.0.last_write.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first bytes read.
    pub fn begin(&self) -> Vec<u8> {
        self.0.begin.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn has_read(&self, bytes: &[u8]) {
        if self.0.read.fetch_add(bytes.len() as u64, Ordering::Relaxed) < BEGIN as u64 {
            let mut begin = self.0.begin.lock().unwrap_or_else(PoisonError::into_inner);
            let room = BEGIN.saturating_sub(begin.len()).min(bytes.len());
            begin.extend_from_slice(&bytes[..room]);
        }
    }

    fn has_written(&self, began: Instant, count: usize) {
        self.0.written.fetch_add(count as u64, Ordering::Relaxed);
        *self.0.last_write.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
    }
}

/// A socket whose bytes are counted: what is below TLS.
#[derive(Debug)]
pub struct Counted {
    stream: TcpStream,
    tally: Tally,
}

impl Counted {
    /// The socket and its tally.
    pub fn new(stream: TcpStream) -> (Self, Tally) {
        let tally = Tally::default();
        (Self { stream, tally: tally.clone() }, tally)
    }

    /// The socket itself.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.tally.has_read(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let began = Instant::now();
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.tally.has_written(began, count);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let began = Instant::now();
        let count = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.tally.has_written(began, count);
        Poll::Ready(Ok(count))
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

/// The stream that a request goes over.
#[derive(Debug)]
pub enum Conn {
    /// TCP as it is.
    Plain(TcpStream),
    /// Inside TLS.
    Tls {
        /// The session.
        stream: Box<TlsStream<Counted>>,
        /// What crossed the socket below it, the handshake included.
        tally: Tally,
    },
}

impl Conn {
    /// The socket below.
    pub fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls { stream, .. } => stream.get_mut().0.socket(),
        }
    }

    /// Whether TLS has taken bytes that the kernel has not.
    pub fn holds_back(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls { stream, .. } => stream.get_ref().1.wants_write(),
        }
    }

    /// What crossed the socket, where that is not what crossed this stream.
    pub fn tally(&self) -> Option<&Tally> {
        match self {
            Self::Plain(_) => None,
            Self::Tls { tally, .. } => Some(tally),
        }
    }
}

impl AsyncRead for Conn {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls { stream, .. } => Pin::new(&mut **stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls { stream, .. } => Pin::new(&mut **stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls { stream, .. } => Pin::new(&mut **stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls { stream, .. } => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls { stream, .. } => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls { stream, .. } => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
