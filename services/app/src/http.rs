//! HTTP/1.1 (RFC 9110, RFC 9112), and over TLS also HTTP/2 (RFC 9113).
//!
//! | module | what |
//! |---|---|
//! | `breaking` | connections that a fault ends |
//! | `connection` | the life of one connection: what crossed the socket, what is waited for, who ended it |
//! | `tls` | the handshake, and what was agreed on |
//! | `stream` | what a connection is carried by: a TCP socket, or TLS over one |
//! | `metered` | the stream, measured |
//! | `heads` | where the heads of requests end in what was read |
//! | `h2` | HTTP/2, on the crate h2; where its frames end, the crate `h2_frames` tells |
//! | `request` | what a request asks for, and its body |
//! | `route` | what a path asks for |
//! | `exchange` | one request and its answer |
//! | `answer` | responses, and what all of them carry |
//! | `coding` | content compressed for whoever asks |
//! | `pages` | the page, and the words around a status |
//! | `template` | pages with holes |
//! | `reply` | the body on its way out |
//! | `pace` | content that a fault holds back |
//!
//! hyper parses requests and frames responses of HTTP/1.1, h2 those of HTTP/2; limits in time and in memory, and the
//! closing of connections, are done here.

mod answer;
mod breaking;
mod coding;
mod connection;
mod exchange;
mod h2;
mod heads;
mod metered;
mod pace;
mod pages;
mod reply;
mod request;
mod route;
mod stream;
mod template;
mod tls;

use breaking::{How, say};
pub(crate) use connection::Connection;
use connection::{Accepted, Arrived, Expired, Life};
pub(crate) use h2::MEMORY;
use metered::Metered;
pub(crate) use pages::{Others, Pages, without_port};
pub(crate) use route::RouteName;
use stream::Stream;
pub(crate) use tls::ALPN;

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::SystemTime,
};

use hyper::{StatusCode, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use journey::event::ClosedBy;
use rustls::ServerConfig;
use service::{linger, ring::now_ns, seats::Seat};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tracing::debug;

use crate::{Server, disturb, metrics::Unread};

/// hyper's smallest buffer. A head has a limit of its own, which may be smaller.
const SMALLEST_BUFFER: usize = 8192;

/// Why a connection is over.
#[derive(Debug)]
enum Over {
    /// hyper says so.
    Done(Result<(), hyper::Error>),
    /// It waited for too long.
    Expired(Expired),
    /// A fault ends it.
    Broken(How),
    /// The server stops, and no request is under way.
    Stopped,
}

/// Serves one client of the HTTP port to the end of its connection.
pub(crate) async fn converse(server: Arc<Server>, stream: TcpStream, peer: SocketAddr, seat: Arc<Seat>) {
    let at_ns = now_ns();
    let Ok(local) = stream.local_addr() else { return };
    server.metrics.http.opened();
    let life = Life(Arc::new(Connection::new(server, Accepted { peer, local, is_https: false, at_ns }, None, seat)));
    speak(stream, &life.0).await;
}

/// Serves one client of the HTTPS port to the end of its connection.
pub(crate) async fn converse_over_tls(
    server: Arc<Server>,
    config: Arc<ServerConfig>,
    stream: TcpStream,
    peer: SocketAddr,
    seat: Arc<Seat>,
) {
    let at_ns = now_ns();
    let Ok(local) = stream.local_addr() else { return };
    server.metrics.https.opened();
    let accepted = Accepted { peer, local, is_https: true, at_ns };
    if disturb::connection(&server, peer).is_some() {
        // What a server without TLS does: it takes what comes for HTTP.
        let life = Life(Arc::new(Connection::new(server, accepted, None, seat)));
        return speak(stream, &life.0).await;
    }
    let Some((stream, tls)) = tls::handshake(&server, config, stream, accepted).await else {
        // It has carried no byte of HTTP.
        server.metrics.https.closed(0, 0);
        return;
    };
    let life = Life(Arc::new(Connection::new(server, accepted, Some(tls), seat)));
    if life.0.is_multiplexed() {
        h2::converse(stream, &life.0).await;
    } else {
        speak(stream, &life.0).await;
    }
}

/// Speaks HTTP/1.1 with one client to the end of its connection.
async fn speak<S: Stream>(stream: S, connection: &Arc<Connection>) {
    let limits = connection.server.config.limits;
    let service = {
        let connection = Arc::clone(connection);
        service_fn(move |request| exchange::exchange(Arc::clone(&connection), Arrived::default(), request))
    };
    let io = TokioIo::new(Metered::new(stream, Arc::clone(connection)));
    let mut http = http1::Builder::new()
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(SMALLEST_BUFFER))
        // Kept here instead, by `Connection::expired`, which tells an idle connection from a slow head.
        .header_read_timeout(None)
        .serve_connection(io, service);

    let over = {
        let mut expired = pin!(connection.expired());
        let mut broken = pin!(connection.broken());
        let mut stop = pin!(connection.stop.cancelled());
        let mut is_stopping = false;
        loop {
            let over = tokio::select! {
                biased;
                done = &mut http => Some(Over::Done(done)),
                expired = &mut expired => Some(Over::Expired(expired)),
                how = &mut broken => Some(Over::Broken(how)),
                () = &mut stop, if !is_stopping => (!connection.is_busy()).then_some(Over::Stopped),
            };
            if let Some(over) = over {
                break over;
            }
            // What is under way is finished; its response says `Connection: close` where its head is not sent yet.
            Pin::new(&mut http).graceful_shutdown();
            is_stopping = true;
        }
    };
    close(connection, http.into_parts().io.into_inner().into_stream(), over).await;
}

/// Ends a connection: the last word where there is one to say, then FIN, and no RST before the client has read it.
async fn close<S: Stream>(connection: &Connection, mut stream: S, over: Over) {
    let (peer, metrics) = (connection.peer, &connection.server.metrics);
    let mut is_unread = connection.is_unread();
    let last_word = match over {
        Over::Broken(how) => return breaking::end(stream, connection, how).await,
        Over::Done(Ok(())) | Over::Stopped => None,
        Over::Done(Err(error)) => {
            debug!(%peer, %error, "connection failed");
            if error.is_parse() {
                let too_large = error.is_parse_too_large();
                metrics.unread(if too_large { Unread::HeadTooLarge } else { Unread::Malformed });
                is_unread = true;
            }
            error.is_parse_version_h2().then_some(StatusCode::HTTP_VERSION_NOT_SUPPORTED)
        }
        Over::Expired(waited) => {
            debug!(%peer, ?waited, "time limit");
            connection.ended(ClosedBy::TimeLimit);
            if waited == Expired::Head {
                metrics.unread(Unread::Timeout);
            }
            (waited == Expired::Head).then_some(StatusCode::REQUEST_TIMEOUT)
        }
    };
    if let Some(status) = last_word {
        say(connection, &mut stream, bare_response(connection, status).as_bytes());
    }
    let is_ended = connection.is_ended_by_peer();
    connection.ended(ClosedBy::Me);
    // Fails where the client has reset the connection. TLS has a last word of its own, which a client that takes nothing
    // must not hold up.
    let _ = timeout(linger::SILENT, stream.shutdown()).await;
    connection.record_end();
    if is_unread && !is_ended {
        tokio::select! {
            () = linger(&mut stream) => {}
            () = connection.stop.cancelled() => {}
        }
    }
}

/// A response that hyper cannot be asked for. The connection ends with it.
fn bare_response(connection: &Connection, status: StatusCode) -> String {
    let server = connection.server_field.to_str().unwrap_or_default();
    let date = httpdate::fmt_http_date(SystemTime::now());
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\nDate: {date}\r\nServer: {server}\r\n\r\n")
}
