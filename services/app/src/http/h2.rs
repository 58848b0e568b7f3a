//! A connection that speaks HTTP/2 (RFC 9113).

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use hyper::{rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use journey::event::ClosedBy;
use service::linger;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    task::JoinSet,
    time::timeout,
};
use tracing::debug;

use super::{
    breaking,
    connection::{Connection, Expired, Sent},
    exchange,
    metered::Metered,
    stream::Stream,
};
use crate::metrics::Unread;

/// Requests of one connection that are under way at once.
const STREAMS: u32 = 64;
/// Bytes that a client may send ahead of what is read, on a stream and on all of them together.
const STREAM_WINDOW: u32 = 64 * 1024;
const WINDOW: u32 = 256 * 1024;
/// Bytes of a response that are kept for a client that does not take them.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves one client to the end of its connection. A client that is told to leave gets GOAWAY (RFC 9113 §6.8) and the
/// answers to what it has asked. hyper and h2 bound what their defaults bound: streams that a client opens and resets at
/// once, CONTINUATION frames, errors that it makes us answer.
pub(super) async fn converse<S: Stream>(stream: S, connection: &Arc<Connection>) {
    let service = {
        let connection = Arc::clone(connection);
        service_fn(move |request| {
            // Called in the order of the requests; what it returns runs in any order.
            let arrived = connection.arrives();
            exchange::exchange(Arc::clone(&connection), arrived, request)
        })
    };
    let stream = Lent(Arc::new(Mutex::new(stream)));
    let io = TokioIo::new(Metered::new(stream.clone(), Arc::clone(connection)));
    let head_bytes = u32::try_from(connection.server.config.limits.head_bytes).unwrap_or(u32::MAX);
    let mut http = Box::pin(
        http2::Builder::new(Tasks::default())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(head_bytes)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .serve_connection(io, service),
    );

    let mut expired = pin!(connection.expired());
    let mut stop = pin!(connection.stop.cancelled());
    let mut broken = pin!(connection.broken());
    let mut is_leaving = false;
    let is_done = loop {
        tokio::select! {
            biased;
            done = &mut http => {
                if let Err(error) = done {
                    debug!(peer = %connection.peer, %error, "connection failed");
                    if !connection.is_ended_by_peer() {
                        connection.server.metrics.unread(Unread::Malformed);
                    }
                }
                break true;
            }
            waited = &mut expired => {
                debug!(peer = %connection.peer, ?waited, "time limit");
                if is_leaving || waited != Expired::Idle {
                    if waited == Expired::Head {
                        connection.server.metrics.unread(Unread::Timeout);
                    }
                    connection.ended(if waited == Expired::Idle { ClosedBy::Me } else { ClosedBy::TimeLimit });
                    break false;
                }
                connection.ended(ClosedBy::TimeLimit);
            }
            how = &mut broken => {
                drop(http);
                if let Some(stream) = stream.back() {
                    breaking::end(stream, connection, how).await;
                }
                return;
            }
            () = &mut stop, if !is_leaving => {}
        }
        connection.leaves();
        http.as_mut().graceful_shutdown();
        is_leaving = true;
        // What it waited for has become another.
        expired.set(connection.expired());
    };
    drop(http);
    if let Some(stream) = stream.back() {
        close(stream, connection, is_done).await;
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

/// A stream that hyper does not give back, lent to it.
#[derive(Debug)]
struct Lent<S>(Arc<Mutex<S>>);

impl<S> Lent<S> {
    /// The stream, once hyper has let go of it.
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

/// The tasks of one connection's requests, which end with it.
#[derive(Clone, Debug, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(request);
    }
}
