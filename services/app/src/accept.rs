//! TCP connections: how many at once, what to do when none can be had, and how they end.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use service::{Stop, start::GRACE};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

/// The first pause after a failed accept; it doubles up to [`LONGEST_PAUSE`] until one succeeds.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts on one listener and converses with every client in a task of its own, until `stop`; the conversations, which
/// watch `stop` themselves, then have [`GRACE`] to end. Returns how many did not.
pub(crate) async fn serve<C>(
    listener: TcpListener,
    permits: Arc<Semaphore>,
    stop: Stop,
    converse: impl Fn(TcpStream, SocketAddr) -> C,
) -> usize
where
    C: Future<Output = ()> + Send + 'static,
{
    let mut conversations = JoinSet::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            () = stop.cancelled() => break,
        };
        while conversations.try_join_next().is_some() {}
        match accepted {
            Ok((permit, stream, peer)) => {
                pause = FIRST_PAUSE;
                let conversation = converse(stream, peer);
                conversations.spawn(async move {
                    conversation.await;
                    drop(permit);
                });
            }
            Err(error) if is_of_one_client(&error) => debug!(%error, "a client left the accept queue"),
            Err(error) => {
                // Out of descriptors or memory: without a pause this loop would spin until there is one.
                warn!(%error, ?pause, "cannot accept");
                tokio::select! {
                    () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    () = stop.cancelled() => break,
                }
            }
        }
    }
    // From here on the kernel refuses new clients.
    drop(listener);
    let _ = timeout(GRACE, async { while conversations.join_next().await.is_some() {} }).await;
    let cut_off = conversations.len();
    conversations.shutdown().await;
    cut_off
}

/// A full house leaves clients in the kernel's accept queue instead of turning them away.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
    let (stream, peer) = listener.accept().await?;
    // A response is one write; waiting to fill a segment would only delay it.
    stream.set_nodelay(true)?;
    Ok((permit, stream, peer))
}

/// Errors that accept(2) passes on from the connection it would have returned.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected};
    // macOS answers EINVAL when an option is set on a connection that the client has already reset.
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput | NotConnected)
}
