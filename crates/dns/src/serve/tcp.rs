//! Streams: every message behind its length in two bytes (RFC 1035 §4.2.2, RFC 7766).

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hickory_server::server::RequestHandler;
use journey::dns::Transport;
use service::Stop;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::Server;

/// Serves one listener until `stop`; returns how many connections were cut off.
pub(super) async fn serve<H: RequestHandler>(
    server: Arc<Server<H>>,
    listener: TcpListener,
    permits: Arc<Semaphore>,
    stop: Stop,
) -> usize {
    let mut connections = JoinSet::new();
    loop {
        // A full house leaves clients in the kernel's accept queue instead of turning them away.
        let accepted = tokio::select! {
            accepted = async {
                let permit = Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
                listener.accept().await.map(|accepted| (permit, accepted))
            } => accepted,
            () = stop.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((permit, (stream, peer))) => {
                let (server, stop) = (Arc::clone(&server), stop.clone());
                connections.spawn(async move {
                    if let Err(error) = converse(server, stream, peer, stop).await {
                        debug!(%peer, %error, "connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, mostly: without a pause this loop would spin until one is free.
                warn!(%error, "cannot accept");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    let _ = timeout(server.limits.grace, async { while connections.join_next().await.is_some() {} }).await;
    connections.len()
}

/// One query after the other until the client closes, is silent for too long, or `stop`.
async fn converse<H: RequestHandler>(
    server: Arc<Server<H>>,
    mut stream: TcpStream,
    peer: SocketAddr,
    stop: Stop,
) -> io::Result<()> {
    // An answer is one write; waiting for a full segment would only delay it.
    stream.set_nodelay(true)?;
    loop {
        let query = tokio::select! {
            query = timeout(server.limits.tcp_idle, read(&mut stream)) => query,
            () = stop.cancelled() => return Ok(()),
        };
        let Ok(Some(query)) = query.map_err(|_| io::ErrorKind::TimedOut)? else { return Ok(()) };
        let Some(answered) = Arc::clone(&server).answer(query, peer, Transport::Tcp).await else {
            // What may not be answered is no DNS client; keeping the connection would only feed it.
            return Ok(());
        };
        let length = u16::try_from(answered.bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut framed = Vec::with_capacity(answered.bytes.len() + 2);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&answered.bytes);
        timeout(server.limits.tcp_idle, stream.write_all(&framed)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        server.note_sent(answered);
    }
}

/// One message; `None` where the client has closed between messages.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 2];
    match stream.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}
