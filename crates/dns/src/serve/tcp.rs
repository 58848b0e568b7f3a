//! Streams: every message behind its length in two bytes (RFC 1035 §4.2.2, RFC 7766), over TCP or over TLS (RFC 7858).

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use hickory_server::server::RequestHandler;
use journey::dns::Transport;
use rustls::ServerConfig;
use service::{Door, Stop, tls};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use super::{
    Answered, Heard, Server, https,
    seats::{Seat, Seats},
};

/// Queries of one connection that are under way at once. One that waits must not hold up those behind it (RFC 7766
/// §6.2.1.1); what a client sends beyond this stays in the kernel's buffers.
const PIPELINE: usize = 16;
/// Room for a query and its length, made before each read.
const QUERY: usize = 512;

/// How long a client may take for the last word of TLS.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What connections carry.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Messages.
    Plain,
    /// Messages over TLS.
    Tls(Arc<ServerConfig>),
    /// HTTPS.
    Https(Arc<ServerConfig>),
}

/// Serves those who come in by one door until `stop`; returns how many connections were cut off.
pub(super) async fn serve<H: RequestHandler>(
    server: Arc<Server<H>>,
    mut door: Door,
    kind: Kind,
    seats: Arc<Seats>,
    stop: Stop,
) -> usize {
    let mut connections = JoinSet::new();
    loop {
        // Where all places are busy, clients wait in the kernel's accept queue instead of being turned away.
        let accepted = tokio::select! {
            accepted = async {
                let (stream, peer) = door.accept().await?;
                // Meanwhile the door follows the faults all the same.
                let seat = tokio::select! {
                    seat = seats.take(peer.ip().to_canonical(), &stop) => seat,
                    never = door.attend() => never,
                };
                Ok::<_, io::Error>((seat, stream, peer))
            } => accepted,
            () = stop.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((Some(seat), stream, peer)) => {
                let (server, kind) = (Arc::clone(&server), kind.clone());
                connections.spawn(async move {
                    if let Err(error) = converse(&server, stream, kind, peer, seat).await {
                        debug!(%peer, %error, "connection ended");
                    }
                });
            }
            Ok((None, _, peer)) => debug!(%peer, "connection refused: the client has its share, all busy"),
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

async fn converse<H: RequestHandler>(
    server: &Arc<Server<H>>,
    mut stream: TcpStream,
    kind: Kind,
    peer: SocketAddr,
    seat: Arc<Seat>,
) -> io::Result<()> {
    // An answer is one write; waiting for a full segment would only delay it.
    stream.set_nodelay(true)?;
    match kind {
        Kind::Plain => talk(server, &mut stream, Transport::Tcp, peer, &seat).await,
        Kind::Tls(config) => {
            let Some(mut stream) = handshake(server, config, stream, seat.leave()).await? else { return Ok(()) };
            let result = talk(server, &mut stream, Transport::Tls, peer, &seat).await;
            // Fails where the client has gone.
            let _ = timeout(LAST_WORD, stream.shutdown()).await;
            result
        }
        Kind::Https(config) => {
            let Some(stream) = handshake(server, config, stream, seat.leave()).await? else { return Ok(()) };
            https::converse(server, stream, peer, seat).await.map_err(io::Error::other)
        }
    }
}

/// `None` where the server stops. A failure is counted.
async fn handshake<H: RequestHandler>(
    server: &Server<H>,
    config: Arc<ServerConfig>,
    stream: TcpStream,
    stop: &Stop,
) -> io::Result<Option<TlsStream<TcpStream>>> {
    let shaken = tokio::select! {
        shaken = tls::accept(config, stream, server.limits.tcp_idle) => shaken,
        () = stop.cancelled() => return Ok(None),
    };
    match shaken {
        Ok(stream) => Ok(Some(stream)),
        Err((why, error, stream)) => {
            server.metrics.unshaken(why);
            tls::close(why, stream, stop).await;
            Err(error)
        }
    }
}

/// Answers queries as their answers come, until the client closes, is silent for too long, or has to leave; then what was
/// read is still answered.
async fn talk<H: RequestHandler, S: AsyncRead + AsyncWrite + Unpin>(
    server: &Arc<Server<H>>,
    stream: &mut S,
    transport: Transport,
    peer: SocketAddr,
    seat: &Arc<Seat>,
) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut inbox = Inbox::default();
    let mut answers = FuturesUnordered::new();
    let mut open = true;
    let mut stopped = pin!(seat.leave().cancelled());
    // Counted from the last answer, not from the last byte: a query that comes in drops is idleness, too.
    let mut idle = pin!(sleep_until(Instant::now() + server.limits.tcp_idle));
    loop {
        while answers.len() < PIPELINE
            && let Some(query) = inbox.take()
        {
            let (answer, busy) = (Arc::clone(server).answer(query, peer, transport), seat.busy());
            answers.push(async move { (answer.await, busy) });
        }
        if !open && answers.is_empty() {
            return Ok(());
        }
        inbox.make_room();
        tokio::select! {
            Some((answered, busy)) = answers.next() => {
                let answered = match answered {
                    Heard::Answer(answered) => answered,
                    // To the client it is a query that is not answered: it may ask another, or lose its patience.
                    Heard::Nothing => continue,
                    // What may not be answered is no DNS client; keeping the connection would only feed it.
                    Heard::Ignored => return Ok(()),
                };
                send(server, &mut writer, answered).await?;
                drop(busy);
                idle.as_mut().reset(Instant::now() + server.limits.tcp_idle);
            }
            read = reader.read_buf(&mut inbox.0), if open && answers.len() < PIPELINE => open = read? > 0,
            () = &mut idle, if answers.is_empty() => return Err(io::ErrorKind::TimedOut.into()),
            () = &mut stopped, if open => {
                // What the kernel already has was asked in time.
                let _ = reader.read_buf(&mut inbox.0).now_or_never();
                open = false;
            }
        }
    }
}

/// A client that does not take its answer within the idle time is given up: answers are not kept for it.
async fn send<H, W>(server: &Server<H>, writer: &mut W, answered: Answered) -> io::Result<()>
where
    H: RequestHandler,
    W: AsyncWrite + Unpin,
{
    let length = u16::try_from(answered.bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut framed = Vec::with_capacity(answered.bytes.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&answered.bytes);
    let sending = server.sending(&answered);
    let write = async {
        writer.write_all(&framed).await?;
        // TLS may hold back what the kernel does not take at once.
        writer.flush().await
    };
    timeout(server.limits.tcp_idle, write).await.map_err(|_| io::ErrorKind::TimedOut)??;
    server.sent(sending);
    Ok(())
}

/// Bytes read and not yet taken as messages.
#[derive(Default)]
struct Inbox(Vec<u8>);

impl Inbox {
    /// The next message, once all of it is there.
    fn take(&mut self) -> Option<Vec<u8>> {
        let end = 2 + self.expected()?;
        let message = self.0.get(2..end)?.to_vec();
        self.0.drain(..end);
        Some(message)
    }

    /// Room for what is missing of the next message, so that a buffer never grows beyond the largest message.
    fn make_room(&mut self) {
        let missing = self.expected().map_or(0, |expected| (2 + expected).saturating_sub(self.0.len()));
        self.0.reserve(missing.max(QUERY));
    }

    fn expected(&self) -> Option<usize> {
        Some(usize::from(u16::from_be_bytes([*self.0.first()?, *self.0.get(1)?])))
    }
}
