//! A stream that notes when bytes really went out and came in, and comes back when its user is done with it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

use h2_frames::{Answer, Frames, Kind};

use super::conn::{Conn, Tally};

/// What a stream has seen so far. Bytes and times are those of the request and its response: in HTTP/2 those of their
/// frames, and not of what else goes over the connection.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Bytes written.
    pub written: u64,
    /// When the last of them were given to the kernel: the time before that call. On a busy machine the answer can be there
    /// before the call returns, and a wait that ends before it begins would be no measurement.
    pub last_write: Option<Instant>,
    /// Bytes that had crossed the socket below by then, where there is TLS between.
    pub wire_written: Option<u64>,
    /// Bytes read.
    pub read: u64,
    /// When the first of them came.
    pub first_read: Option<Instant>,
    /// When the head was complete, where frames tell.
    pub head_read: Option<Instant>,
    /// When the last of them came.
    pub last_read: Option<Instant>,
    /// Bytes that had crossed the socket below by then, where there is TLS between.
    pub wire_read: Option<u64>,
    /// When the other side's end was read: its FIN, or what TLS says before it.
    pub peer_closed: Option<Instant>,
    /// How far the answer has come, where frames tell.
    pub answer: Answer,
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

/// What goes over a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// One message after the other: every byte counts.
    Messages,
    /// Frames of HTTP/2.
    Frames,
}

/// The stream of the only request of a connection (RFC 9113 §5.1.1).
const FIRST_STREAM: u32 = 1;

/// A stream that is measured, lent to a library. It does not close: when it is dropped it comes back to its owner, who
/// does that as a stage of its own.
#[derive(Debug)]
pub struct Metered {
    // There until it is dropped.
    conn: Option<Conn>,
    home: Option<oneshot::Sender<Conn>>,
    tally: Option<Tally>,
    meter: Meter,
    // One for each direction, where bytes have to be told apart.
    frames: Option<(Frames, Frames)>,
    // Some of the request is in TLS, and not yet in the kernel.
    is_held_back: bool,
    // Fields that come from now on are trailers.
    has_content: bool,
    answer: Answer,
}

impl Metered {
    /// The stream to lend, its meter, and where it comes back.
    pub fn lend(conn: Conn, grammar: Grammar) -> (Self, Meter, oneshot::Receiver<Conn>) {
        let meter = Meter::default();
        let (home, back) = oneshot::channel();
        let tally = conn.tally().cloned();
        let frames = (grammar == Grammar::Frames).then(|| (Frames::from_client(), Frames::from_server()));
        (
            Self {
                conn: Some(conn),
                home: Some(home),
                tally,
                meter: meter.clone(),
                frames,
                is_held_back: false,
                has_content: false,
                answer: Answer::default(),
            },
            meter,
            back,
        )
    }

    fn conn(&mut self) -> Pin<&mut Conn> {
        Pin::new(self.conn.as_mut().expect("it is there until it is dropped"))
    }

    fn note_write(&mut self, began: Instant, bufs: &[&[u8]], written: &io::Result<usize>) {
        match written {
            Ok(count) => {
                let belonging = match &mut self.frames {
                    None => *count as u64,
                    Some((out, _)) => feed_first(out, bufs, *count),
                };
                let wire_written = self.tally.as_ref().map(Tally::written);
                self.meter.note(|seen| {
                    if belonging > 0 {
                        seen.written += belonging;
                        seen.last_write = Some(began);
                        seen.wire_written = wire_written;
                    }
                });
                self.is_held_back |= belonging > 0;
                self.note_passed_on();
            }
            Err(error) => self.meter.note(|seen| seen.write_error = Some(error.kind())),
        }
        self.meter.note(|seen| {
            if (seen.last_write.is_some() || seen.write_error.is_some())
                && let Some(reader) = seen.reader.take()
            {
                reader.wake();
            }
        });
    }

    /// TLS takes more than the kernel does; the request is sent when it has passed on all of it.
    fn note_passed_on(&mut self) {
        let (true, Some(tally)) = (self.is_held_back, &self.tally) else { return };
        let (at, count) = (tally.last_write(), tally.written());
        self.meter.note(|seen| {
            seen.last_write = at.max(seen.last_write);
            seen.wire_written = Some(count);
        });
        self.is_held_back = self.conn.as_ref().is_some_and(Conn::holds_back);
    }

    fn note_read(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        let mut head_read = None;
        let belonging = match &mut self.frames {
            None => bytes.len() as u64,
            Some((_, from_server)) => {
                let mut count = 0;
                let has_content = &mut self.has_content;
                let answer = &mut self.answer;
                from_server.feed(bytes, |part| {
                    answer.take(FIRST_STREAM, &part);
                    count += if part.is_message() { part.here } else { 0 };
                    *has_content |= matches!(part.kind, Kind::Data { .. });
                    let is_whole = matches!(
                        part.kind,
                        Kind::Headers { is_whole: true, .. } | Kind::Continuation { is_whole: true }
                    );
                    if is_whole && part.is_end && !*has_content {
                        head_read = Some(now);
                    }
                });
                let answer = *answer;
                self.meter.note(|seen| seen.answer = answer);
                count
            }
        };
        if belonging == 0 {
            return;
        }
        let wire_read = self.tally.as_ref().map(Tally::read);
        self.meter.note(|seen| {
            seen.read += belonging;
            seen.first_read.get_or_insert(now);
            seen.last_read = Some(now);
            // The last head before the content is that of the final answer.
            seen.head_read = head_read.or(seen.head_read);
            seen.wire_read = wire_read;
        });
    }
}

/// Feeds the first `count` bytes of these pieces.
fn feed_first(frames: &mut Frames, bufs: &[&[u8]], mut count: usize) -> u64 {
    let mut belonging = 0;
    for buf in bufs {
        let taken = count.min(buf.len());
        belonging += of_messages(frames, &buf[..taken]);
        count -= taken;
    }
    belonging
}

/// How many of these bytes belong to frames that carry a request or a response.
fn of_messages(direction: &mut Frames, bytes: &[u8]) -> u64 {
    let mut count = 0;
    direction.feed(bytes, |part| count += if part.is_message() { part.here } else { 0 });
    count
}

impl Drop for Metered {
    fn drop(&mut self) {
        if let (Some(conn), Some(home)) = (self.conn.take(), self.home.take()) {
            // An owner who does not wait for it any longer lets it be closed by being dropped.
            let _ = home.send(conn);
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // A response is read once a request is on its way: what a server sends or does before that is then met in the
        // stage that it belongs to, whichever comes first.
        if self.meter.is_too_early(cx.waker()) {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = ready!(self.conn().poll_read(cx, buf));
        match &read {
            // No bytes although there is room for some: the other side has sent its end.
            Ok(()) if buf.filled().len() == before && buf.remaining() > 0 => {
                self.meter.note(|seen| {
                    seen.peer_closed.get_or_insert_with(Instant::now);
                });
            }
            Ok(()) => self.note_read(&buf.filled()[before..]),
            Err(error) => self.meter.note(|seen| seen.read_error = Some(error.kind())),
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let began = Instant::now();
        let written = ready!(self.conn().poll_write(cx, buf));
        self.note_write(began, &[buf], &written);
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let began = Instant::now();
        let written = ready!(self.conn().poll_write_vectored(cx, bufs));
        let bufs: Vec<&[u8]> = bufs.iter().map(|buf| &**buf).collect();
        self.note_write(began, &bufs, &written);
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.conn.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.conn().poll_flush(cx);
        self.note_passed_on();
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is under way goes out; closing is the owner's.
        self.poll_flush(cx)
    }
}
