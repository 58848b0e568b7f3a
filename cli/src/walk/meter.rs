//! A stream that notes when bytes really went to and came from the socket.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a stream has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Bytes written.
    pub written: u64,
    /// When the last of them were given to the kernel: the time before that call. On a busy machine the answer can be
    /// there before the call returns, and a wait that ends before it begins would be no measurement.
    pub last_write: Option<Instant>,
    /// Bytes read.
    pub read: u64,
    /// When the first of them came.
    pub first_read: Option<Instant>,
    /// When the other side's FIN was read.
    pub peer_closed: Option<Instant>,
    /// What ended reading, if an error did.
    pub read_error: Option<io::ErrorKind>,
    /// What ended writing, if an error did.
    pub write_error: Option<io::ErrorKind>,
    // Waits until something has been written.
    reader: Option<Waker>,
}

/// What a [`Metered`] stream has seen, for whoever does not own the stream.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Seen>>);

impl Meter {
    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether nothing has been written yet; the task is then woken when something is.
    fn is_too_early(&self, waker: &Waker) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let early = seen.last_write.is_none() && seen.write_error.is_none();
        if early {
            seen.reader = Some(waker.clone());
        }
        early
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A stream that is measured.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    meter: Meter,
}

impl<S> Metered<S> {
    /// The stream and its meter.
    pub fn new(stream: S) -> (Self, Meter) {
        let meter = Meter::default();
        (Self { stream, meter: meter.clone() }, meter)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // A response is read once a request is on its way: what a server sends or does before that is then met in the
        // stage that it belongs to, whichever comes first.
        if self.meter.is_too_early(cx.waker()) {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        match &polled {
            Poll::Ready(Ok(())) => {
                let now = Instant::now();
                let count = buf.filled().len() - before;
                // No bytes although there is room for some: the other side has sent FIN.
                let closed = count == 0 && buf.remaining() > 0;
                self.meter.note(|seen| {
                    if closed {
                        seen.peer_closed.get_or_insert(now);
                    } else {
                        seen.read += count as u64;
                        seen.first_read.get_or_insert(now);
                    }
                });
            }
            Poll::Ready(Err(error)) => self.meter.note(|seen| seen.read_error = Some(error.kind())),
            Poll::Pending => {}
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> Metered<S> {
    fn note_write(&self, began: Instant, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Ready(Ok(count)) => self.meter.note(|seen| {
                seen.written += *count as u64;
                seen.last_write = Some(began);
            }),
            Poll::Ready(Err(error)) => self.meter.note(|seen| seen.write_error = Some(error.kind())),
            Poll::Pending => return,
        }
        self.meter.note(|seen| {
            if let Some(reader) = seen.reader.take() {
                reader.wake();
            }
        });
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let began = Instant::now();
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_write(began, &polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let began = Instant::now();
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_write(began, &polled);
        polled
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
