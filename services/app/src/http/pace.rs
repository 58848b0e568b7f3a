//! Content that a fault holds back: in small pieces with pauses between them, or only the first part of it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::sleep;

use super::{Connection, reply::ROW};

/// Bytes of a drop: whole rows, and few enough that a page is many of them.
const DROP: usize = 2 * ROW.len();

/// When how much of a content may go on.
#[derive(Debug)]
pub(crate) enum Pace {
    /// In drops with this pause between them.
    Drip { pause: Duration, waits: Waits },
    /// So much more, and then nothing, for ever: the connection will end.
    Part(u64),
}

/// What the next drop waits for: none before the first.
#[derive(Default)]
pub(crate) struct Waits(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waits").field(&self.0.is_some()).finish()
    }
}

impl Pace {
    pub(crate) fn drip(pause: Duration) -> Self {
        Self::Drip { pause, waits: Waits::default() }
    }

    /// How many bytes may go on now.
    pub(crate) fn poll(&mut self, connection: &Connection, cx: &mut Context<'_>) -> Poll<usize> {
        match self {
            // What is under way when the server stops is finished.
            Self::Drip { .. } if connection.stop.is_cancelled() => Poll::Ready(usize::MAX),
            Self::Drip { pause, waits } => {
                let Some(wait) = &mut waits.0 else {
                    // Before the first of them nothing is waited for; this is for the next.
                    let (pause, stop) = (*pause, connection.stop.clone());
                    waits.0 = Some(Box::pin(async move {
                        tokio::select! {
                            () = sleep(pause) => {}
                            () = stop.cancelled() => {}
                        }
                    }));
                    connection.pauses(pause);
                    return Poll::Ready(DROP);
                };
                std::task::ready!(wait.as_mut().poll(cx));
                waits.0 = None;
                self.poll(connection, cx)
            }
            Self::Part(0) => {
                connection.content_over();
                Poll::Pending
            }
            Self::Part(left) => Poll::Ready(usize::try_from(*left).unwrap_or(usize::MAX)),
        }
    }

    /// So much did.
    pub(crate) fn has_given(&mut self, bytes: usize) {
        if let Self::Part(left) = self {
            *left = left.saturating_sub(bytes as u64);
        }
    }
}
