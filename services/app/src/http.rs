//! HTTP/1.1 (RFC 9110, RFC 9112).
//!
//! | module | what |
//! |---|---|
//! | `connection` | the life of one connection: what crossed the socket, what is waited for, who ended it |
//! | `metered` | the socket, measured |
//! | `heads` | where the heads of requests end in what was read |
//! | `request` | what a request asks for, and its body |
//! | `route` | what a path asks for |
//! | `exchange` | one request and its answer |
//! | `answer` | responses, and what all of them carry |
//! | `pages` | the page, and the words around a status |
//! | `template` | pages with holes |
//! | `reply` | the body on its way out |
//!
//! hyper parses requests and frames responses; limits in time and the closing of connections are done here.

mod answer;
mod connection;
mod exchange;
mod heads;
mod metered;
mod pages;
mod reply;
mod request;
mod route;
mod template;

pub(crate) use connection::Connection;
use connection::{Expired, Life};
use metered::Metered;
pub(crate) use pages::{Others, Pages};
pub(crate) use route::RouteName;

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, SystemTime},
};

use hyper::{StatusCode, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use journey::event::ClosedBy;
use service::ring::now_ns;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tracing::debug;

use crate::{Server, metrics::Unread};

/// hyper's smallest buffer. A head has a limit of its own, which may be smaller.
const SMALLEST_BUFFER: usize = 8192;

/// How long a closed connection is still read, so that the client gets the last response before a RST (RFC 9112 §9.6):
/// until the client closes too, or is silent for the first of these, and never longer than the second.
const LINGER_SILENT: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(2);

/// Why a connection is over.
#[derive(Debug)]
enum Over {
    /// hyper says so.
    Done(Result<(), hyper::Error>),
    /// It waited for too long.
    Expired(Expired),
    /// The server stops, and no request is under way.
    Stopped,
}

/// Serves one client to the end of its connection.
pub(crate) async fn converse(server: Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    let Ok(local) = stream.local_addr() else { return };
    let life = Life(Arc::new(Connection::new(server, local, peer)));
    let connection = &life.0;
    let limits = connection.server.config.limits;

    let service = {
        let connection = Arc::clone(connection);
        service_fn(move |request| exchange::exchange(Arc::clone(&connection), request))
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
        let mut stop = pin!(connection.stop.cancelled());
        let mut is_stopping = false;
        loop {
            let over = tokio::select! {
                biased;
                done = &mut http => Some(Over::Done(done)),
                expired = &mut expired => Some(Over::Expired(expired)),
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
async fn close(connection: &Connection, mut stream: TcpStream, over: Over) {
    let (peer, metrics) = (connection.peer, &connection.server.metrics);
    let mut is_unread = connection.is_unread();
    let last_word = match over {
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
    if let Some(status) = last_word
        && let Ok(bytes) = stream.try_write(bare_response(connection, status).as_bytes())
    {
        connection.has_written(bytes, now_ns());
    }
    let is_ended = connection.is_ended_by_peer();
    connection.ended(ClosedBy::Me);
    // Fails where the client has reset the connection.
    let _ = stream.shutdown().await;
    connection.record_end();
    if is_unread && !is_ended {
        linger(stream, connection).await;
    }
}

/// A response that hyper cannot be asked for. The connection ends with it.
fn bare_response(connection: &Connection, status: StatusCode) -> String {
    let server = connection.server_field.to_str().unwrap_or_default();
    let date = httpdate::fmt_http_date(SystemTime::now());
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\nDate: {date}\r\nServer: {server}\r\n\r\n")
}

async fn linger(mut stream: TcpStream, connection: &Connection) {
    let mut unread = [0; 4096];
    tokio::select! {
        () = async {
            while let Ok(Ok(1..)) = timeout(LINGER_SILENT, stream.read(&mut unread)).await {}
        } => {}
        () = sleep(LINGER) => {}
        () = connection.stop.cancelled() => {}
    }
}
