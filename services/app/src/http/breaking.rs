//! Connections that a fault ends: when, and how.
//!
//! The end is the connection's own and not hyper's, which would say a last word. It comes from the handler (before an answer)
//! or from the bytes that are written (within one); the task of the connection waits for it, and ends the stream.

use std::{
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use journey::event::ClosedBy;
use service::{linger, queues, ring::now_ns};
use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};
use tracing::debug;

use super::{Connection, connection::Sent, stream::Stream};

/// Bytes that are no HTTP: for HTTP/1.1 no status line (RFC 9112 §4), for HTTP/2 the header of a frame that is far longer than
/// any may be (RFC 9113 §4.2).
pub(crate) const GARBAGE: &[u8; 64] = b"\
      \xde\xad\xbe\xef\xfe\xed\xfa\xce\x8b\xad\xf0\x0d\xd1\x5e\xa5\xed\
      \x93\x1c\xe7\x5a\xb8\x02\xf6\x4d\xc9\x71\xaf\x38\xe0\x9b\x56\xd4\
      \x87\x3f\xca\x14\xb1\x6e\xf9\x25\xdc\x40\xa3\x7b\xee\x18\x95\xcf\
      \x62\xbd\x0a\xf1\x4e\x99\xd7\x2c\xb6\x83\x5f\xe8\x11\xca\x74\xfd";

/// How soon the kernel is asked again whether the client has what was written: next door at once, far away or of a slow
/// client later and later, as each question is one about all of the kernel's sockets.
const AGAIN: Duration = Duration::from_millis(1);
const LATEST: Duration = Duration::from_millis(64);

/// How the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// RST.
    Reset,
    /// FIN; over TLS, with its last word before it.
    Close,
    /// [`GARBAGE`], and then the same.
    Garbage,
}

/// Where in a response it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Behind so many bytes of it, its head included; over HTTP/2, of the frames of its stream.
    Answer(u64),
    /// Behind so many bytes of its content, which are all that its body gives.
    Content(u64),
}

/// An end within a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Breaks {
    pub(crate) at: At,
    pub(crate) how: How,
}

/// Ends it.
pub(super) async fn end<S: Stream>(mut stream: S, connection: &Connection, how: How) {
    debug!(peer = %connection.peer, ?how, "a fault ends the connection");
    // What is written is to be the kernel's, over TLS too; a client that takes nothing is not waited for.
    let _ = timeout(linger::SILENT, stream.flush()).await;
    if how == How::Reset && stream.reset_on_drop().is_ok() {
        // And then the client's: a RST throws away what the kernel has not sent yet.
        let _ = timeout(linger::SILENT, arrives(connection)).await;
        drop(stream);
        connection.ended(ClosedBy::MeReset);
        connection.record_end();
        return;
    }
    if how == How::Garbage {
        say(connection, &mut stream, GARBAGE);
    }
    connection.ended(ClosedBy::Me);
    // Fails where the client has reset the connection. TLS has a last word of its own, which a client that takes nothing
    // must not hold up.
    let _ = timeout(linger::SILENT, stream.shutdown()).await;
    connection.record_end();
    tokio::select! {
        () = linger(&mut stream) => {}
        () = connection.stop.cancelled() => {}
    }
}

/// Waits until the client's kernel has all that was written, or there is no client any more.
async fn arrives(connection: &Connection) {
    let mut again = AGAIN;
    while let Ok(Some(1..)) = queues::unacknowledged(connection.local, connection.peer) {
        sleep(again).await;
        again = (again * 2).min(LATEST);
    }
}

/// Writes what the socket takes at once: a client that has taken nothing for long is not waited for.
pub(super) fn say<S: Stream>(connection: &Connection, stream: &mut S, bytes: &[u8]) {
    let at_ns = now_ns();
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(Ok(length)) = Pin::new(stream).poll_write(&mut cx, bytes) {
        connection.has_written(&[IoSlice::new(bytes)], length, Sent { at_ns, is_all: true });
    }
}
