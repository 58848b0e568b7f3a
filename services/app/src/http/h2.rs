//! A connection that speaks HTTP/2 (RFC 9113), on h2 itself: hyper does not say which stream a request came on.

mod body;
mod streams;

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::server::{Builder, Connection as Http2};
use journey::event::ClosedBy;
use service::linger;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::timeout,
};
use tracing::debug;

use super::{
    breaking,
    connection::{Connection, Expired, Sent},
    metered::Metered,
    stream::Stream,
};
use crate::metrics::Unread;
pub(crate) use streams::MEMORY;
use streams::Streams;

/// Requests of one connection that are under way at once.
const STREAMS: u32 = 64;
/// Bytes that a client may send ahead of what is read, on a stream and on all of them together.
const STREAM_WINDOW: u32 = 64 * 1024;
const WINDOW: u32 = 256 * 1024;
/// Bytes of a response that are kept for a client that does not take them.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves one client to the end of its connection. A client that is told to leave gets GOAWAY (RFC 9113 §6.8) and the
/// answers to what it has asked. h2 limits streams that a client opens and resets at once, CONTINUATION frames, and
/// errors that it makes us answer; limits in time and in memory are kept here.
pub(super) async fn converse<S: Stream>(stream: S, connection: &Arc<Connection>) {
    let lent = Lent(Arc::new(Mutex::new(stream)));
    let over = match greet(lent.clone(), connection).await {
        Some(http) => serve(http, connection).await,
        None => Over::LeftBehind,
    };
    let Some(stream) = lent.back() else { return };
    match over {
        Over::Done => close(stream, connection, true).await,
        Over::LeftBehind => close(stream, connection, false).await,
        Over::Broken(how) => breaking::end(stream, connection, how).await,
    }
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug)]
enum Over {
    /// Both sides have said what they had to say, or h2 found an error.
    Done,
    /// The client has let a time limit pass.
    LeftBehind,
    /// A fault ends it.
    Broken(breaking::How),
}

type Http<S> = Http2<Metered<Lent<S>>, Bytes>;

/// Exchanges the prefaces (RFC 9113 §3.4).
async fn greet<S: Stream>(stream: Lent<S>, connection: &Arc<Connection>) -> Option<Http<S>> {
    let head_bytes = u32::try_from(connection.server.config.limits.head_bytes).unwrap_or(u32::MAX);
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(head_bytes)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buffer_size(SEND_BUFFER);
    tokio::select! {
        biased;
        http = builder.handshake(Metered::new(stream, Arc::clone(connection))) => match http {
            Ok(http) => Some(http),
            Err(error) => {
                failed(connection, &error);
                None
            }
        },
        waited = connection.expired() => {
            debug!(peer = %connection.peer, ?waited, "no preface in time");
            connection.server.metrics.unread(Unread::Timeout);
            connection.ended(ClosedBy::TimeLimit);
            None
        }
        () = connection.stop.cancelled() => None,
    }
}

/// Serves what the client asks until one side ends the connection.
async fn serve<S: Stream>(mut http: Http<S>, connection: &Arc<Connection>) -> Over {
    let mut streams = Streams::new(Arc::clone(connection));
    let mut expired = pin!(connection.expired());
    let mut stop = pin!(connection.stop.cancelled());
    let mut broken = pin!(connection.broken());
    let mut is_leaving = false;
    loop {
        tokio::select! {
            biased;
            accepted = http.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    streams.begin(request, respond);
                    continue;
                }
                Some(Err(error)) => {
                    failed(connection, &error);
                    return Over::Done;
                }
                None => return Over::Done,
            },
            waited = &mut expired => {
                debug!(peer = %connection.peer, ?waited, "time limit");
                if is_leaving || waited != Expired::Idle {
                    if waited == Expired::Head {
                        connection.server.metrics.unread(Unread::Timeout);
                    }
                    connection.ended(if waited == Expired::Idle { ClosedBy::Me } else { ClosedBy::TimeLimit });
                    return Over::LeftBehind;
                }
                connection.ended(ClosedBy::TimeLimit);
            }
            how = &mut broken => return Over::Broken(how),
            () = &mut stop, if !is_leaving => {}
        }
        connection.leaves();
        http.graceful_shutdown();
        is_leaving = true;
        // What it waited for has become another.
        expired.set(connection.expired());
    }
}

fn failed(connection: &Connection, error: &h2::Error) {
    debug!(peer = %connection.peer, %error, "connection failed");
    if !connection.is_ended_by_peer() {
        connection.server.metrics.unread(Unread::Malformed);
    }
}

/// Ends a connection: the last word of TLS, FIN, and no RST before the client has read it. A client sends to the end, if
/// only to say how much it takes; one that has let a time limit pass is not waited for once more.
async fn close<S: Stream>(mut stream: S, connection: &Connection, is_waited_for: bool) {
    connection.ended(ClosedBy::Me);
    // Fails where the client has reset the connection; where it takes nothing, it is not waited for.
    let _ = timeout(linger::SILENT, stream.shutdown()).await;
    connection.record_end();
    // Also one that has said GOAWAY: the last word of TLS and its FIN come behind that, and would be met with a RST.
    if is_waited_for {
        linger(&mut stream).await;
    }
}

/// A stream that h2 does not give back, lent to it.
#[derive(Debug)]
struct Lent<S>(Arc<Mutex<S>>);

impl<S> Lent<S> {
    /// The stream, once h2 has dropped it.
    fn back(self) -> Option<S> {
        Arc::into_inner(self.0).map(|stream| stream.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn get(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for Lent<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Stream> Stream for Lent<S> {
    fn sent(&self) -> Option<Sent> {
        self.get().sent()
    }

    fn reset_on_drop(&self) -> io::Result<()> {
        self.get().reset_on_drop()
    }
}

impl<S: Stream> AsyncRead for Lent<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get()).poll_read(cx, buffer)
    }
}

impl<S: Stream> AsyncWrite for Lent<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.get().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get()).poll_shutdown(cx)
    }
}
